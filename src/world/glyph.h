/* Digits as bitmaps of 5 x 7. */
#ifndef CR_WORLD_GLYPH_H
#define CR_WORLD_GLYPH_H

enum { CR_GLYPH_W = 5, CR_GLYPH_H = 7 };

extern const unsigned char cr_glyphs[10][CR_GLYPH_W * CR_GLYPH_H];

#endif
