/* Character classes exactly as the reference tokenizer has them (Unicode 16 for \p{L},
 * \p{N}, \s; an older version for NFC): Debian's PCRE2 and utf8proc know other versions,
 * and one letter more or less changes token ids. */
#ifndef CR_TEXT_UNICODE_TABLES_H
#define CR_TEXT_UNICODE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cr_char_class { CR_CHAR_OTHER, CR_CHAR_LETTER, CR_CHAR_NUMBER, CR_CHAR_SPACE };

/* Code points first..last have this value; spans are sorted and apart. */
struct cr_class_span {
    uint32_t first;
    uint32_t last;
    unsigned char value;
};

/* code point << 2 | class from there on, sorted. */
extern const uint32_t cr_char_steps[];
extern const size_t cr_n_char_steps;
extern const struct cr_class_span cr_combining_spans[];
extern const size_t cr_n_combining_spans;
/* Marks, code points that NFC replaces, and second halves of compositions: a text without
 * any of them is in NFC. */
extern const struct cr_class_span cr_unstable_spans[];
extern const size_t cr_n_unstable_spans;

/* \p{L}, \p{N}, \s, or none of them. */
enum cr_char_class cr_char_class(uint32_t c);
/* Canonical combining class; 0 for starters. */
unsigned cr_combining_class(uint32_t c);
bool cr_nfc_unstable(uint32_t c);

#endif
