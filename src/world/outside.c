#include "world/outside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "world/render.h"
#include "world/words.h"

/* ---- pictures ------------------------------------------------------------------------------- */

enum {
    MAX_SHADE = 32, /* how far a gradient moves a background, all channels alike */
    MAX_CAST = 8,   /* how far channels may differ in that: what JPEG does */
    MAX_TINT = 18   /* 12 levels of an object's own, and JPEG */
};

static bool is_background(const unsigned char *p, const uint8_t *base) {
    int low = 255, high = -255;
    for (int c = 0; c < 3; c++) {
        low = CR_MIN(low, p[c] - base[c]);
        high = CR_MAX(high, p[c] - base[c]);
    }
    return high - low <= MAX_CAST && low >= -MAX_SHADE && high <= MAX_SHADE;
}

static bool is_colour(const unsigned char *p) {
    for (unsigned k = 1; k <= CR_N_COLOURS; k++) {
        const uint8_t *rgb = cr_colour_rgb(k);
        int far = 0;
        for (int c = 0; c < 3; c++)
            far = CR_MAX(far, abs(p[c] - rgb[c]));
        if (far <= MAX_TINT)
            return true;
    }
    return false;
}

/* On the border of a cell, where only the tip of an object may come. */
static bool is_line(size_t x) {
    return x % CR_CELL_PX == 0 || x % CR_CELL_PX == CR_CELL_PX - 1;
}

/* 94 of 100 pixels on the lines are background; every picture of the world has 96 and more. */
static bool has_grid(const struct cr_image *image, const uint8_t *base) {
    size_t n = 0, plain = 0;
    for (size_t y = 0; y < image->height; y++)
        for (size_t x = 0; x < image->width; x++)
            if (is_line(x) || is_line(y)) {
                n++;
                plain += is_background(image->rgb + (y * image->width + x) * 3, base);
            }
    return plain * 100 >= n * 94;
}

/* 85 of 100 pixels are background or an object's colour (90 and more in the world's pictures), and
 * there is an object: the smallest have 80 pixels of their colour. */
static bool has_objects(const struct cr_image *image, const uint8_t *base) {
    size_t n = image->width * image->height, plain = 0, coloured = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_plain = is_background(image->rgb + i * 3, base);
        plain += is_plain;
        coloured += !is_plain && is_colour(image->rgb + i * 3);
    }
    return coloured >= 60 && (plain + coloured) * 100 >= n * 85;
}

static bool looks_drawn(const struct cr_image *image) {
    for (unsigned b = 0; b < CR_N_BACKGROUNDS; b++)
        if (has_grid(image, cr_background_rgb(b)) &&
            has_objects(image, cr_background_rgb(b)))
            return true;
    return false;
}

bool cr_is_foreign_picture(const struct cr_image *image, char why[128]) {
    size_t small = 3 * CR_CELL_PX, large = 4 * CR_CELL_PX;
    if (image->width != image->height ||
        (image->width != small && image->width != large)) {
        snprintf(
            why, 128,
            "a picture of %zu x %zu pixels; those of the world have %zu or %zu a side",
            image->width, image->height, small, large);
        return true;
    }
    if (looks_drawn(image))
        return false;
    snprintf(why, 128,
             "a picture that is no plain ground with the world's objects on it");
    return true;
}

/* ---- questions --------------------------------------------------------------------------------- */

/* What questions are made of beside the names of words.h. */
static const char *const others[] = {
    "a",       "above",    "all",       "an",      "another", "are",    "at",
    "b",       "below",    "c",         "check",   "claim",   "colour", "count",
    "d",       "describe", "different", "digit",   "digits",  "each",   "false",
    "has",     "how",      "in",        "is",      "larger",  "list",   "many",
    "not",     "nothing",  "object",    "objects", "of",      "on",     "or",
    "picture", "place",    "same",      "shape",   "size",    "than",   "the",
    "there",   "this",     "true",      "truth",   "what",    "where",  "which",
    "with",    "words",    "wrong"};

static bool is_name(struct cr_str word) {
    size_t at = 0;
    if (cr_read_shape(word, &at) || cr_read_colour(word, &at) ||
        cr_read_size(word, &at) || cr_read_number(word, &at) >= 0 ||
        cr_read_place(3, word, &at) >= 0 || cr_read_place(4, word, &at) >= 0)
        return at == word.len;
    return false;
}

static bool is_known(struct cr_str word) {
    for (size_t i = 0; i < CR_COUNT(others); i++)
        if (cr_str_eq_c(word, others[i]))
            return true;
    if (is_name(word))
        return true;
    /* circles, crosses */
    struct cr_str one = {word.data, word.len - 1};
    if (word.len > 1 && word.data[word.len - 1] == 's' && is_name(one))
        return true;
    one.len = word.len - 2;
    return word.len > 2 && memcmp(word.data + word.len - 2, "es", 2) == 0 && is_name(one);
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '\'' || (unsigned char)c >= 0x80;
}

struct cr_str cr_foreign_word(struct cr_str text) {
    for (size_t i = 0; i < text.len;) {
        char lower[24];
        size_t from = i, n = 0;
        while (i < text.len && is_letter(text.data[i]))
            i++;
        if (i == from) {
            i++;
            continue;
        }
        for (size_t k = from; k < i && n < sizeof lower; k++, n++)
            lower[n] =
                (char)(text.data[k] >= 'A' && text.data[k] <= 'Z' ? text.data[k] + 32
                                                                  : text.data[k]);
        if (i - from > n || !is_known((struct cr_str){lower, n}))
            return (struct cr_str){text.data + from, i - from};
    }
    return (struct cr_str){text.data, 0};
}
