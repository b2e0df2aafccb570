/* q . k in 8 bits, part of attention_body.h where INT8 is 1. A key is the first key of its panel plus
 * n * unit, |n| <= 127: what all keys of a place in the text share (Qwen2's biases of k are many times as
 * large as what tells its keys apart) takes no bits, and q meets it in f32, once a panel. The panel
 * holds n + 128, so a row of q carries what that adds. */

/* Where a panel's units begin, in floats, and behind them its first key, zeros behind that. */
static size_t units_at(size_t head_dim) {
    return PANEL * Q_STEPS(head_dim);
}

static size_t first_at(size_t head_dim) {
    return units_at(head_dim) + PANEL;
}

/* Elements [e, e + LANES) of a row of n, e < n, less those of `from`, zeros behind. */
INLINE vec load_less(const void *row, enum cr_dtype type, size_t e, size_t n,
                     const float *from) {
    vec v = n - e >= LANES ? load(row, type, e) : load_part(row, type, e, n - e);
    return from ? v_sub(v, v_load_f32(from + e)) : v;
}

/* Elements [at, at + 4 LANES) of a row in units, zeros behind. */
INLINE void round_row(int8_t *to, const void *row, enum cr_dtype type, size_t at,
                      size_t n, const float *from, float unit) {
    vec inverse = v_set(1.0f / unit);
    for (size_t i = 0; i < 4; i++) {
        size_t e = at + i * LANES;
        if (e < n)
            v_store_i8(to + i * LANES, v_mul(inverse, load_less(row, type, e, n, from)));
        else
            memset(to + i * LANES, 0, LANES);
    }
}

/* What 1 stands for in a row less `from` (NULL: nothing); NaN where an element is no finite number. */
INLINE float unit_less(const void *row, enum cr_dtype type, size_t n, const float *from) {
    vec most = v_set(0.0f);
    for (size_t e = 0; e < n; e += LANES)
        most = v_max_magnitude(most, v_abs(load_less(row, type, e, n, from)));
    float largest = v_highest_magnitude(most);
    if (!(largest <= FLT_MAX))
        return NAN;
    return largest > 127.0f * CR_ATTENTION_LEAST_UNIT ? largest / 127.0f
                                                      : CR_ATTENTION_LEAST_UNIT;
}

INLINE void round_key(uint8_t *to, const void *row, enum cr_dtype type, size_t at,
                      size_t n, const float *first, float unit) {
    int8_t signed_bytes[4 * LANES];
    round_row(signed_bytes, row, type, at, n, first, unit);
    for (size_t i = 0; i < 4 * LANES; i++)
        to[i] = (uint8_t)signed_bytes[i] ^ 128;
}

INLINE void set_first(float *first, const void *row, enum cr_dtype type, size_t n) {
    for (size_t e = 0; e < n; e += LANES)
        v_store_f32(first + e, load_less(row, type, e, n, NULL));
}

INLINE void pack_k(float *panel, const void *const *rows, size_t n, size_t head_dim,
                   enum cr_dtype type) {
    size_t steps = Q_STEPS(head_dim);
    float *units = panel + units_at(head_dim), *first = panel + first_at(head_dim);
    set_first(first, rows[0], type, head_dim);
    for (size_t key = 0; key < PANEL; key++)
        units[key] = key < n ? unit_less(rows[key], type, head_dim, first) : 0.0f;
    for (size_t key = 0; key < PANEL; key += LANES) {
        float *block =
            panel + key / SCORE_WIDTH * steps * SCORE_WIDTH + key % SCORE_WIDTH;
        for (size_t at = 0; at < steps; at += LANES) {
            vec t[LANES];
            for (size_t i = 0; i < LANES; i++) {
                uint8_t bytes[4 * LANES];
                t[i] = v_set(0.0f);
                if (key + i < n) {
                    round_key(bytes, rows[key + i], type, 4 * at, head_dim, first,
                              units[key + i]);
                    t[i] = v_load_f32((const float *)(const void *)bytes);
                }
            }
            v_transpose(t);
            for (size_t i = 0; i < LANES && at + i < steps; i++)
                v_store_f32(block + (at + i) * SCORE_WIDTH, t[i]);
        }
    }
}

static void put_k(void *panel, const float *row, size_t slot, size_t head_dim) {
    size_t steps = Q_STEPS(head_dim);
    float *to =
        (float *)panel + slot / SCORE_WIDTH * steps * SCORE_WIDTH + slot % SCORE_WIDTH;
    float *first = (float *)panel + first_at(head_dim);
    if (slot == 0)
        set_first(first, row, CR_F32, head_dim);
    float unit = unit_less(row, CR_F32, head_dim, first);
    ((float *)panel)[units_at(head_dim) + slot] = unit;
    for (size_t at = 0; at < steps; at += LANES) {
        uint8_t bytes[4 * LANES];
        round_key(bytes, row, CR_F32, 4 * at, head_dim, first, unit);
        for (size_t k = 0; k < LANES && at + k < steps; k++)
            memcpy(&to[(at + k) * SCORE_WIDTH], bytes + 4 * k, 4);
    }
}

/* Row r of q, in bytes, to column 0 of a tile (steps, height). */
INLINE void begin_row(struct work *w, size_t r, const void *row, enum cr_dtype type,
                      uint32_t *tile, size_t height) {
    size_t steps = Q_STEPS(w->head_dim);
    float unit = unit_less(row, type, w->head_dim, NULL);
    int32_t sum = 0;
    for (size_t at = 0; at < steps; at += LANES) {
        int8_t bytes[4 * LANES];
        round_row(bytes, row, type, 4 * at, w->head_dim, NULL, unit);
        for (size_t i = 0; i < 4 * LANES; i++)
            sum += bytes[i];
        for (size_t k = 0; k < LANES && at + k < steps; k++)
            memcpy(tile + (at + k) * height, bytes + 4 * k, 4);
    }
    w->unit[r] = unit * w->scale;
    w->offset[r] = -128 * sum;
}

static float *far_of(struct work *w) {
    return (float *)(void *)(q_of(w) + ROWS * Q_STEPS(w->head_dim));
}

/* Rows of q for their products with first keys. */
INLINE void begin_far(struct work *w, const void *q, size_t row_bytes,
                      enum cr_dtype type) {
    for (size_t r = 0; r < w->n_rows; r += LANES)
        for (size_t e = 0; e < w->head_dim; e += LANES) {
            vec t[LANES];
            for (size_t i = 0; i < LANES; i++)
                t[i] = r + i < w->n_rows
                           ? load_less((const char *)q + (r + i) * row_bytes, type, e,
                                       w->head_dim, NULL)
                           : v_set(0.0f);
            v_transpose(t);
            for (size_t i = 0; i < LANES; i++)
                v_store_f32(far_of(w) + (e + i) * ROWS + r, t[i]);
        }
}

/* The first n_vecs vectors of rows against one first key; what is behind the rows is not read. */
INLINE void far_rows(float *to, const float *q, const float *first, size_t head_dim,
                     float scale, size_t n_vecs) {
    vec sum[ROWS / LANES];
    UNROLL for (size_t i = 0; i < n_vecs; i++) sum[i] = v_set(0.0f);
    for (size_t e = 0; e < head_dim; e++) {
        vec key = v_set(first[e]);
        UNROLL for (size_t i = 0; i < n_vecs; i++) sum[i] =
            v_fma(v_load_f32(q + e * ROWS + i * LANES), key, sum[i]);
    }
    UNROLL for (size_t i = 0; i < n_vecs; i++)
        v_store_f32(to + i * LANES, v_mul(sum[i], v_set(scale)));
}

static void far_scores(struct work *w, const void *const *panels, size_t n_panels) {
    for (size_t p = 0; p < n_panels; p++) {
        const float *first = (const float *)panels[p] + first_at(w->head_dim);
        if (w->n_rows > LANES)
            far_rows(w->far[p], far_of(w), first, w->head_dim, w->scale, ROWS / LANES);
        else
            far_rows(w->far[p], far_of(w), first, w->head_dim, w->scale, 1);
    }
}
