/* p v in 8 bits, part of attention_body.h where INT8 is 1. A v panel holds int8, four keys side by
 * side, and behind them the logarithms of the keys' units and what is 1 / unit (PANEL each). Scores
 * get the logarithm, so that p is already times the unit, and p goes to 0..255 of its row's largest in
 * a block of keys. The includer defines
 *   value_add     vec (vec acc, vec p, vec v): int32 lanes of acc plus four products each
 *   value_add_at  the same with v in memory, float * */

#define FOURS (PANEL / 4) /* steps of a v panel */

/* Values [e, e + LANES) of a row in units, zeros behind. */
INLINE void round_values(int8_t *to, const void *row, enum cr_dtype type, size_t e,
                         size_t head_dim, float unit) {
    if (isnan(unit)) { /* the row's score is NaN */
        memset(to, 0, LANES);
        return;
    }
    v_store_i8(to, v_mul(v_set(1.0f / unit),
                         head_dim - e >= LANES ? load(row, type, e)
                                               : load_part(row, type, e, head_dim - e)));
}

static const float *logs_at(const void *v_panel, size_t n_vecs) {
    return (const float *)v_panel + FOURS * n_vecs * LANES;
}

static const float *inverse_at(const void *v_panel, size_t n_vecs) {
    return logs_at(v_panel, n_vecs) + PANEL;
}

static void put_unit(void *v_panel, size_t n_vecs, size_t key, float unit) {
    float *logs = (float *)v_panel + FOURS * n_vecs * LANES;
    logs[key] = log2f(unit);
    logs[PANEL + key] =
        isnan(unit) ? 0.0f : 1.0f / unit; /* of rows that do not see it, too */
}

INLINE void pack_v(float *panel, const void *const *rows, size_t n, size_t head_dim,
                   enum cr_dtype type) {
    size_t n_vecs = vecs_of(head_dim);
    float units[PANEL];
    memset(panel, 0, v_bytes(head_dim));
    for (size_t key = 0; key < n; key++) {
        units[key] = unit_less(rows[key], type, head_dim, NULL);
        put_unit(panel, n_vecs, key, units[key]);
    }
    for (size_t g = 0; g < groups_of(n_vecs); g++)
        for (size_t key = 0; key < PANEL; key += 4)
            for (size_t j = group_start(n_vecs, g); j < group_start(n_vecs, g + 1); j++) {
                int8_t q[4][LANES] = {{0}};
                for (size_t i = 0; i < 4 && key + i < n; i++)
                    round_values(q[i], rows[key + i], type, j * LANES, head_dim,
                                 units[key + i]);
                v_store_f32(panel, v_fours(q[0], q[1], q[2], q[3]));
                panel += LANES;
            }
}

static void put_v(void *panel, const float *row, size_t slot, size_t head_dim) {
    size_t n_vecs = vecs_of(head_dim);
    float unit = unit_less(row, CR_F32, head_dim, NULL);
    put_unit(panel, n_vecs, slot, unit);
    for (size_t g = 0; g < groups_of(n_vecs); g++) {
        size_t from = group_start(n_vecs, g), to = group_start(n_vecs, g + 1);
        int8_t *at = (int8_t *)panel +
                     4 * LANES * (from * FOURS + slot / 4 * (to - from)) + slot % 4;
        for (size_t j = from; j < to; j++) {
            int8_t q[LANES];
            round_values(q, row, CR_F32, j * LANES, head_dim, unit);
            for (size_t i = 0; i < LANES; i++, at += 4)
                *at = q[i];
        }
    }
}

/* Scores of one row become weights in 8 bits; n is a whole number of panels. The scores have the units
 * of the values in them, which l has not. */
static void soften(struct work *w, size_t row, float *s, size_t n, const void *const *v) {
    vec base = v_set(w->base[row]), sum = v_set(0.0f);
    for (size_t i = 0; i < n; i += 2 * LANES) {
        const float *inverse = inverse_at(v[i / PANEL], w->n_vecs) + i % PANEL;
        vec p0 = exp2_below(v_sub(v_load_f32(s + i), base));
        vec p1 = exp2_below(v_sub(v_load_f32(s + i + LANES), base));
        sum = v_fma(p0, v_load_f32(inverse), sum);
        sum = v_fma(p1, v_load_f32(inverse + LANES), sum);
        v_store_u8((uint8_t *)s + i, p0);
        v_store_u8((uint8_t *)s + i + LANES, p1);
    }
    float *l = w->l + row * LANES;
    v_store_f32(
        l, v_fma(sum, v_set(w->weight[row]), v_mul(v_load_f32(l), v_set(w->fade[row]))));
}

/* a = a * fade + p v for `height` rows and `cols` vectors of a column group, which begins at
 * float `at` of each of n_panels. */
INLINE void value_tile(float *a, size_t a_stride, const float *fade, const float *weight,
                       const uint32_t *p, const void *const *v, size_t at,
                       size_t n_panels, size_t height, size_t cols) {
    vec acc[TILE_ROWS][VALUE_COLS];
    UNROLL for (size_t r = 0; r < height; r++) UNROLL for (size_t j = 0; j < cols; j++)
        acc[r][j] = v_set(0.0f);
    for (size_t panel = 0; panel < n_panels; panel++) {
        const float *b = (const float *)v[panel] + at;
        for (size_t step = 0; step < FOURS; step++, p++, b += cols * LANES) {
            vec b_step[VALUE_COLS];
            UNROLL for (size_t j = 0; cols < VALUE_COLS && j < cols; j++) b_step[j] =
                v_load_f32(b + j * LANES);
            UNROLL for (size_t r = 0; r < height; r++) {
                vec p_row = v_set_bits(p + r * KEYS);
                UNROLL for (size_t j = 0; j < cols; j++) {
                    if (cols < VALUE_COLS) /* else no registers are left for b */
                        acc[r][j] = value_add(acc[r][j], p_row, b_step[j]);
                    else
                        acc[r][j] = value_add_at(acc[r][j], p_row, b + j * LANES);
                }
            }
        }
    }
    UNROLL for (size_t r = 0; r < height; r++) UNROLL for (size_t j = 0; j < cols; j++) {
        float *to = a + r * a_stride + j * LANES;
        vec faded = v_mul(v_load_f32(to), v_set(fade[r]));
        v_store_f32(to, v_fma(v_from_int32(acc[r][j]), v_set(weight[r]), faded));
    }
}
