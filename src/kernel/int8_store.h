/* From the sums of a panel to y, for the files that include int8_body.h and before it: plain C, the
 * same bits everywhere. INLINE: as there. Not a header for anyone else. */

#define COLS CR_INT8_COLS

INLINE uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

INLINE float float_of(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

INLINE uint16_t bf16_of(float f) {
    uint32_t u = bits_of(f);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16 | 64) : rounded);
}

/* Row of 64 finished sums into n columns of y. */
INLINE void store_columns(const float *sums, const float *minima,
                          const struct cr_int8_out *out, size_t row, const size_t n) {
    float value[COLS];
    for (size_t i = 0; i < COLS; i++)
        value[i] = sums[i] * out->scale[i];
    if (minima)
        for (size_t i = 0; i < COLS; i++)
            value[i] = __builtin_fmaf(-out->min[i], minima[i], value[i]);
    if (out->bias)
        for (size_t i = 0; i < n; i++)
            value[i] += out->bias[i];
    if (out->type == CR_BF16) {
        uint16_t *y = (uint16_t *)out->y + row * out->y_row;
        for (size_t i = 0; i < n; i++)
            y[i] = bf16_of(value[i]);
    } else {
        float *y = (float *)out->y + row * out->y_row;
        for (size_t i = 0; out->add && i < n; i++)
            value[i] += y[i];
        memcpy(y, value, n * sizeof *y);
    }
}

/* Whole panels by loops of a known length. */
INLINE void store_row(const float *sums, const float *minima,
                      const struct cr_int8_out *out, size_t row) {
    if (out->n == COLS)
        store_columns(sums, minima, out, row, COLS);
    else
        store_columns(sums, minima, out, row, out->n);
}
