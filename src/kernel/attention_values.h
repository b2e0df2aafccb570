/* p v in f32 or pairs, part of attention_body.h where INT8 is 0. */

/* Vector j of rows 2 i and 2 i + 1 as pairs, or of row i. */
INLINE vec load_values(const void *const *rows, size_t n, size_t i, size_t j,
                       size_t head_dim, enum cr_dtype type) {
    size_t at = j * LANES, left = head_dim - at < LANES ? head_dim - at : LANES;
    vec v[2];
    for (size_t k = 0; k <= PAIRS; k++) {
        size_t row = i * (1 + PAIRS) + k;
        v[k] = v_set(0.0f);
        if (row < n)
            v[k] = left == LANES ? load(rows[row], type, at)
                                 : load_part(rows[row], type, at, left);
    }
    return PAIRS ? v_pair(v[0], v[PAIRS]) : v[0];
}

INLINE void pack_v(float *panel, const void *const *rows, size_t n, size_t head_dim,
                   enum cr_dtype type) {
    size_t n_vecs = vecs_of(head_dim);
    for (size_t g = 0; g < groups_of(n_vecs); g++) {
        size_t from = group_start(n_vecs, g), to = group_start(n_vecs, g + 1);
        for (size_t i = 0; i < STEPS(PANEL); i++)
            for (size_t j = from; j < to; j++, panel += LANES)
                v_store_f32(panel, load_values(rows, n, i, j, head_dim, type));
    }
}

static void put_v(void *panel, const float *row, size_t slot, size_t head_dim) {
    size_t n_vecs = vecs_of(head_dim), i = slot / (1 + PAIRS);
    for (size_t g = 0; g < groups_of(n_vecs); g++) {
        size_t from = group_start(n_vecs, g) * LANES;
        size_t to = group_start(n_vecs, g + 1) * LANES;
        size_t at = from * STEPS(PANEL) + i * (to - from);
        for (size_t e = from; e < to && e < head_dim; e++, at++) {
            if (PAIRS)
                ((uint16_t *)panel)[2 * at + slot % 2] = cr_bf16_from_f32(row[e]);
            else
                ((float *)panel)[at] = row[e];
        }
    }
}

/* Scores of one row become weights; n is a whole number of panels. */
static void soften(struct work *w, size_t row, float *s, size_t n, const void *const *v) {
    (void)v;
    vec scale = v_set(row_scale(w, row)), base = v_set(w->base[row]);
    vec l = v_mul(v_load_f32(w->l + row * LANES), v_set(w->fade[row]));
    for (size_t i = 0; i < n; i += 2 * LANES) {
        vec p0 = exp2_below(v_fms(v_load_f32(s + i), scale, base));
        vec p1 = exp2_below(v_fms(v_load_f32(s + i + LANES), scale, base));
        l = v_add(l, v_add(p0, p1));
        if (PAIRS) {
            v_store_bf16((uint16_t *)(void *)s + i, p0);
            v_store_bf16((uint16_t *)(void *)s + i + LANES, p1);
        } else {
            v_store_f32(s + i, p0);
            v_store_f32(s + i + LANES, p1);
        }
    }
    v_store_f32(w->l + row * LANES, l);
}

/* a = a * fade + p v for `height` rows and `cols` vectors of a column group, which begins at
 * float `at` of each of n_panels. */
INLINE void value_tile(float *a, size_t a_stride, const float *fade, const float *weight,
                       const uint32_t *p, const void *const *v, size_t at,
                       size_t n_panels, size_t height, size_t cols) {
    (void)weight;
    vec acc[TILE_ROWS][VALUE_COLS];
    UNROLL for (size_t r = 0; r < height; r++) UNROLL for (size_t j = 0; j < cols; j++)
        acc[r][j] = v_mul(v_load_f32(a + r * a_stride + j * LANES), v_set(fade[r]));
    for (size_t panel = 0; panel < n_panels; panel++) {
        const float *b_at = (const float *)v[panel] + at;
        for (size_t step = 0; step < STEPS(PANEL); step++) {
            UNROLL for (size_t j = 0; j < cols; j++) {
                vec b = v_load_f32(b_at + j * LANES);
                UNROLL for (size_t r = 0; r < height; r++) acc[r][j] =
                    multiply_add(acc[r][j], b, p + r * KEYS);
            }
            b_at += cols * LANES;
            p++;
        }
    }
    UNROLL for (size_t r = 0; r < height; r++) UNROLL for (size_t j = 0; j < cols; j++)
        v_store_f32(a + r * a_stride + j * LANES, acc[r][j]);
}

/* Panels have no logarithms of units. */
static const float *logs_at(const void *v_panel, size_t n_vecs) {
    (void)n_vecs;
    return v_panel;
}
