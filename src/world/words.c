#include "world/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"

static const char *const shapes[] = {"circle", "square", "triangle",
                                     "star",   "ring",   "cross"};
static const char *const colours[] = {"red",    "green",  "blue",  "yellow",
                                      "purple", "orange", "black", "white"};
static const char *const sizes[] = {"small", "large"};
static const char *const numbers[] = {
    "zero",   "one",      "two",      "three",   "four",   "five",
    "six",    "seven",    "eight",    "nine",    "ten",    "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen"};
static const char *const places3[] = {"top-left",    "top",    "top-right",
                                      "left",        "centre", "right",
                                      "bottom-left", "bottom", "bottom-right"};
static const char *const places4[] = {"a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4",
                                      "c1", "c2", "c3", "c4", "d1", "d2", "d3", "d4"};
static const char *const ways[CR_N_WAYS] = {"left of", "right of", "above", "below"};

const char *cr_shape_name(unsigned shape) {
    CR_ASSERT(shape >= 1 && shape <= CR_N_SHAPES);
    return shapes[shape - 1];
}

const char *cr_colour_name(unsigned colour) {
    CR_ASSERT(colour >= 1 && colour <= CR_N_COLOURS);
    return colours[colour - 1];
}

const char *cr_size_name(unsigned size) {
    CR_ASSERT(size >= 1 && size <= CR_N_SIZES);
    return sizes[size - 1];
}

const char *cr_number_name(unsigned n) {
    CR_ASSERT(n < CR_COUNT(numbers));
    return numbers[n];
}

const char *cr_place_name(unsigned side, unsigned cell) {
    CR_ASSERT((side == 3 || side == 4) && cell < side * side);
    return side == 3 ? places3[cell] : places4[cell];
}

const char *cr_way_name(unsigned way) {
    CR_ASSERT(way < CR_N_WAYS);
    return ways[way];
}

bool cr_lies(unsigned side, unsigned cell, unsigned other, unsigned way) {
    CR_ASSERT(way < CR_N_WAYS);
    int dx = (int)(cell % side) - (int)(other % side),
        dy = (int)(cell / side) - (int)(other / side), d = way < 2 ? dx : dy;
    return way & 1 ? d > 0 : d < 0;
}

unsigned cr_way_draw(struct cr_rng *r, unsigned side, unsigned cell, unsigned other) {
    bool across =
        cell / side == other / side || (cell % side != other % side && cr_chance(r, 50));
    unsigned way = across ? 0 : 2;
    return way + cr_lies(side, cell, other, way + 1);
}

void cr_line_add(struct cr_line *l, const char *text) {
    size_t n = strlen(text);
    CR_ASSERT(l->len + n < CR_LINE_MAX);
    memcpy(l->text + l->len, text, n + 1);
    l->len += n;
}

void cr_line_addf(struct cr_line *l, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(l->text + l->len, CR_LINE_MAX - l->len, fmt, args);
    va_end(args);
    CR_ASSERT(n >= 0 && l->len + (size_t)n < CR_LINE_MAX);
    l->len += (size_t)n;
}

enum critic_status cr_add_json_text(struct cr_buf *out, struct cr_str s,
                                    critic_error *err) {
    for (size_t i = 0; i < s.len;) {
        size_t run = i;
        while (run < s.len && (unsigned char)s.data[run] >= ' ' && s.data[run] != '"' &&
               s.data[run] != '\\')
            run++;
        CR_TRY(cr_buf_append(out, s.data + i, run - i, err));
        if (run == s.len)
            break;
        unsigned char c = (unsigned char)s.data[run];
        if (c == '\n')
            CR_TRY(cr_buf_append(out, "\\n", 2, err));
        else if (c < ' ')
            CR_TRY(cr_buf_printf(out, err, "\\u%04x", c));
        else
            CR_TRY(cr_buf_printf(out, err, "\\%c", c));
        i = run + 1;
    }
    return CRITIC_OK;
}

enum critic_status cr_add_json_str(struct cr_buf *out, struct cr_str s,
                                   critic_error *err) {
    CR_TRY(cr_buf_append(out, "\"", 1, err));
    CR_TRY(cr_add_json_text(out, s, err));
    return cr_buf_append(out, "\"", 1, err);
}

bool cr_read_literal(struct cr_str s, size_t *at, const char *literal) {
    size_t n = strlen(literal);
    if (s.len - *at < n || memcmp(s.data + *at, literal, n) != 0)
        return false;
    *at += n;
    return true;
}

static bool is_word_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* The whole word at *at, looked up. Index, or -1. */
static int read_word(struct cr_str s, size_t *at, const char *const *words, unsigned n) {
    size_t end = *at;
    while (end < s.len && is_word_byte(s.data[end]))
        end++;
    for (unsigned i = 0; i < n; i++)
        if (cr_str_eq_c((struct cr_str){s.data + *at, end - *at}, words[i])) {
            *at = end + (end < s.len && s.data[end] == ' ');
            return (int)i;
        }
    return -1;
}

unsigned cr_read_shape(struct cr_str s, size_t *at) {
    return (unsigned)(read_word(s, at, shapes, CR_N_SHAPES) + 1);
}

unsigned cr_read_colour(struct cr_str s, size_t *at) {
    return (unsigned)(read_word(s, at, colours, CR_N_COLOURS) + 1);
}

unsigned cr_read_size(struct cr_str s, size_t *at) {
    return (unsigned)(read_word(s, at, sizes, CR_N_SIZES) + 1);
}

int cr_read_number(struct cr_str s, size_t *at) {
    return read_word(s, at, numbers, CR_COUNT(numbers));
}

int cr_read_place(unsigned side, struct cr_str s, size_t *at) {
    return side == 3 ? read_word(s, at, places3, 9) : read_word(s, at, places4, 16);
}

unsigned cr_draw_weighted(struct cr_rng *r, const unsigned *weights, unsigned n) {
    unsigned total = 0, i = 0;
    for (unsigned k = 0; k < n; k++)
        total += weights[k];
    CR_ASSERT(total > 0);
    unsigned x = cr_draw(r, total);
    while (x >= weights[i])
        x -= weights[i++];
    return i;
}
