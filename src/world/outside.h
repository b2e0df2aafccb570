/* Is something of the micro world? A picture that it could not have drawn, or a question with a word
 * that it lacks, is nothing that a model of this world was made for. Says nothing of what a picture
 * shows: only whether it looks as if cr_render had drawn it at CR_CELL_PX. */
#ifndef CR_WORLD_OUTSIDE_H
#define CR_WORLD_OUTSIDE_H

#include "image/image.h"

/* True where the picture is from outside; *why then says by what ("640 x 480 pixels; …"). It is from
 * outside unless it has the size of a grid, what lies on the lines between the cells and around
 * them is one of the backgrounds, and nearly all else is an object's colour; pixels between two
 * colours are the few on an edge. A slight JPEG loss is borne. */
bool cr_is_foreign_picture(const struct cr_image *image, char why[128]);
/* The first word of a text that no question of the world has; len 0: there is none. */
struct cr_str cr_foreign_word(struct cr_str text);

#endif
