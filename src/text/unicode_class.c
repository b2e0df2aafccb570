#include "text/unicode_tables.h"

/* 1 letter, 2 number, 3 space; the bulk of all text never searches a table. */
static const unsigned char ascii_class[128] = {
    ['\t'] = CR_CHAR_SPACE,
    ['\n'] = CR_CHAR_SPACE,
    ['\v'] = CR_CHAR_SPACE,
    ['\f'] = CR_CHAR_SPACE,
    ['\r'] = CR_CHAR_SPACE,
    [' '] = CR_CHAR_SPACE,
#define LETTER(c) [c] = CR_CHAR_LETTER, [(c) + 32] = CR_CHAR_LETTER
    LETTER('A'),
    LETTER('B'),
    LETTER('C'),
    LETTER('D'),
    LETTER('E'),
    LETTER('F'),
    LETTER('G'),
    LETTER('H'),
    LETTER('I'),
    LETTER('J'),
    LETTER('K'),
    LETTER('L'),
    LETTER('M'),
    LETTER('N'),
    LETTER('O'),
    LETTER('P'),
    LETTER('Q'),
    LETTER('R'),
    LETTER('S'),
    LETTER('T'),
    LETTER('U'),
    LETTER('V'),
    LETTER('W'),
    LETTER('X'),
    LETTER('Y'),
    LETTER('Z'),
#undef LETTER
    ['0'] = CR_CHAR_NUMBER,
    ['1'] = CR_CHAR_NUMBER,
    ['2'] = CR_CHAR_NUMBER,
    ['3'] = CR_CHAR_NUMBER,
    ['4'] = CR_CHAR_NUMBER,
    ['5'] = CR_CHAR_NUMBER,
    ['6'] = CR_CHAR_NUMBER,
    ['7'] = CR_CHAR_NUMBER,
    ['8'] = CR_CHAR_NUMBER,
    ['9'] = CR_CHAR_NUMBER,
};

enum cr_char_class cr_char_class(uint32_t c) {
    if (c < 128)
        return (enum cr_char_class)ascii_class[c];
    if (c >= 0x4E00 && c <= 0x9FFF) /* the common ideographs */
        return CR_CHAR_LETTER;
    size_t low = 0;
    size_t high = cr_n_char_steps;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (cr_char_steps[middle] >> 2 <= c)
            low = middle;
        else
            high = middle;
    }
    return (enum cr_char_class)(cr_char_steps[low] & 3);
}

/* The value of the span that holds c, 0 where none does. */
static unsigned span_value(const struct cr_class_span *spans, size_t n, uint32_t c) {
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (spans[middle].last < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && spans[low].first <= c ? spans[low].value : 0;
}

unsigned cr_combining_class(uint32_t c) {
    return c < 0x300 ? 0 : span_value(cr_combining_spans, cr_n_combining_spans, c);
}

bool cr_nfc_unstable(uint32_t c) {
    if (c < 0x300 || (c >= 0x3100 && c <= 0xA66E))
        return false;
    return span_value(cr_unstable_spans, cr_n_unstable_spans, c) != 0;
}
