/* Backward of the attention tiles on vectors: included behind kernel/attention_body.h, whose
 * panels, register tile and powers of two it shares. One call takes up to PANEL query rows
 * against one panel of keys:
 *   p = exp(scale q k' - lse),  dv += p' dy,  ds = p * (dy v' - delta) * scale,
 *   dq += ds k,  dk += ds' q
 * In PAIRS p and ds are rounded to bf16. p' and ds' are never transposed: the register tile
 * broadcasts its left operand from any two strides, and pairs along rows are joined as they are
 * stored. */

struct bwd_work {
    float s[PANEL * PANEL];       /* scores */
    float dp[PANEL * PANEL];      /* dy v' */
    float p_cols[PANEL * PANEL];  /* (n(rows), PANEL) units: pairs along rows */
    float ds_cols[PANEL * PANEL]; /* the same of ds */
    float ds_rows[PANEL * PANEL]; /* (rows, n(PANEL)) units: pairs along keys */
    float rest[];                 /* q and dy as units: (PANEL, n(E)) each */
};

static size_t bwd_bytes(size_t head_dim) {
    return (sizeof(struct bwd_work) + 2 * PANEL * STEPS(head_dim) * 4 + 63) / 64 * 64;
}

static size_t bwd_stride(size_t head_dim) {
    return vecs_of(head_dim) * LANES;
}

/* c (+)= a b for `height` rows and `cols` vectors; a[r, step] at a + r a_row + step a_step. */
INLINE void bwd_tile(float *c, size_t c_stride, const uint32_t *a, size_t a_row,
                     size_t a_step, const float *b, size_t n_steps, size_t height,
                     size_t cols, bool add) {
    vec acc[TILE_ROWS][VALUE_COLS];
    UNROLL for (size_t r = 0; r < height; r++) UNROLL for (size_t j = 0; j < cols; j++)
        acc[r][j] = add ? v_load_f32(c + r * c_stride + j * LANES) : v_set(0.0f);
    for (size_t step = 0; step < n_steps; step++) {
        UNROLL for (size_t j = 0; j < cols; j++) {
            vec v = v_load_f32(b + j * LANES);
            UNROLL for (size_t r = 0; r < height; r++) acc[r][j] =
                multiply_add(acc[r][j], v, a + r * a_row);
        }
        b += cols * LANES;
        a += a_step;
    }
    UNROLL for (size_t r = 0; r < height; r++) UNROLL for (size_t j = 0; j < cols; j++)
        v_store_f32(c + r * c_stride + j * LANES, acc[r][j]);
}

/* A whole product: what bwd_tile does for any number of rows. */
struct product {
    float *c;
    size_t c_stride;
    const uint32_t *a;
    size_t a_row, a_step;
    size_t n_rows, n_steps;
    bool add;
};

#define BWD_CASE(height, cols)                                                           \
    case height * 8 + cols:                                                              \
        bwd_tile(c, w->c_stride, a, w->a_row, w->a_step, b, w->n_steps, height, cols,    \
                 w->add);                                                                \
        break;
#define BWD_HEIGHTS(cols)                                                                \
    BWD_CASE(1, cols)                                                                    \
    BWD_CASE(2, cols)                                                                    \
    BWD_CASE(3, cols)                                                                    \
    BWD_CASE(4, cols)                                                                    \
    BWD_CASE(5, cols)                                                                    \
    BWD_CASE(6, cols)

static void multiply(const struct product *w, size_t column, const float *b,
                     size_t cols) {
    for (size_t r = 0; r < w->n_rows; r += TILE_ROWS) {
        size_t height = w->n_rows - r < TILE_ROWS ? w->n_rows - r : TILE_ROWS;
        float *c = w->c + r * w->c_stride + column;
        const uint32_t *a = w->a + r * w->a_row;
        switch (height * 8 + cols) {
            BWD_HEIGHTS(1)
            BWD_HEIGHTS(2)
#if VALUE_COLS > 2
            BWD_HEIGHTS(3)
            BWD_HEIGHTS(4)
            BWD_HEIGHTS(5)
#endif
        default:
            CR_ASSERT(false);
        }
    }
}

/* Against panels of the value layout: (column groups, steps of a panel, group width). */
static void multiply_values(const struct product *w, const float *panel,
                            size_t head_dim) {
    size_t n_vecs = vecs_of(head_dim);
    for (size_t g = 0; g < groups_of(n_vecs); g++) {
        size_t first = group_start(n_vecs, g);
        multiply(w, first * LANES, panel + first * LANES * STEPS(PANEL),
                 group_start(n_vecs, g + 1) - first);
    }
}

/* Against panels of the score layout: (score widths, steps, SCORE_WIDTH). */
static void multiply_scores(const struct product *w, const float *panel) {
    for (size_t key = 0; key < PANEL; key += SCORE_WIDTH)
        multiply(w, key, panel + key * w->n_steps, SCORE_COLS);
}

/* Rows as units, the last pair filled up with zero. */
INLINE void copy_rows(uint32_t *to, const void *rows, size_t stride, size_t n_rows,
                      size_t head_dim, enum cr_dtype type) {
    size_t steps = STEPS(head_dim), elem = type == CR_F32 ? 4 : 2;
    for (size_t r = 0; r < n_rows; r++, to += steps) {
        const char *row = (const char *)rows + r * stride * elem;
        if (PAIRS || type == CR_F32) {
            to[steps - 1] = 0;
            memcpy(to, row, head_dim * elem);
        } else {
            for (size_t step = 0; step < steps; step++)
                to[step] = query_unit(row, step, head_dim, type);
        }
    }
}

/* What v becomes when it is stored as bf16, as f32. */
INLINE vec rounded(vec v) {
    uint16_t half[LANES];
    v_store_bf16(half, v);
    return v_load_bf16(half);
}

/* p and ds of lanes [j, j + LANES) of one row; zero where the row does not see the key. */
INLINE void soften_bwd(struct bwd_work *w, size_t row, size_t j, size_t seen, float lse,
                       float delta, float scale, vec *p, vec *ds) {
    size_t n = seen > j ? seen - j : 0;
    vec t = v_fms(v_load_f32(w->s + row * PANEL + j), v_set(scale * LOG2_E),
                  v_set(lse * LOG2_E));
    vec slope = v_sub(v_load_f32(w->dp + row * PANEL + j), v_set(delta));
    *p = exp2_below(v_keep(t, n, MASKED));
    *ds = v_mul(v_mul(*p, slope), v_set(scale));
}

static void soften_rows(struct bwd_work *w, const struct cr_attention_bwd *b) {
    for (size_t r = 0; r < b->n_rows; r += 1 + PAIRS) {
        for (size_t j = 0; j < PANEL; j += LANES) {
            vec p[2] = {v_set(0.0f), v_set(0.0f)}, ds[2] = {v_set(0.0f), v_set(0.0f)};
            for (size_t i = 0; i <= PAIRS && r + i < b->n_rows; i++) {
                size_t row = r + i;
                soften_bwd(w, row, j, seen_by(&b->mask, row), b->lse[row], b->delta[row],
                           b->scale, &p[i], &ds[i]);
                if (PAIRS) {
                    v_store_bf16((uint16_t *)(void *)w->ds_rows + row * PANEL + j, ds[i]);
                    p[i] = rounded(p[i]);
                    ds[i] = rounded(ds[i]);
                } else {
                    v_store_f32(w->ds_rows + row * PANEL + j, ds[i]);
                }
            }
            float *p_to = w->p_cols + r / (1 + PAIRS) * PANEL + j;
            float *ds_to = w->ds_cols + r / (1 + PAIRS) * PANEL + j;
            v_store_f32(p_to, PAIRS ? v_pair(p[0], p[PAIRS]) : p[0]);
            v_store_f32(ds_to, PAIRS ? v_pair(ds[0], ds[PAIRS]) : ds[0]);
        }
    }
}

static const uint32_t *units(const float *p) {
    return (const uint32_t *)(const void *)p;
}

INLINE void bwd(struct bwd_work *w, const struct cr_attention_bwd *b,
                enum cr_dtype type) {
    size_t steps = STEPS(b->head_dim), stride = bwd_stride(b->head_dim);
    uint32_t *q = (uint32_t *)(void *)w->rest, *dy = q + PANEL * steps;
    copy_rows(q, b->q, b->q_stride, b->n_rows, b->head_dim, type);
    copy_rows(dy, b->dy, b->dy_stride, b->n_rows, b->head_dim, type);
    multiply_scores(&(struct product){w->s, PANEL, q, steps, 1, b->n_rows, steps, false},
                    b->k_cols);
    multiply_scores(
        &(struct product){w->dp, PANEL, dy, steps, 1, b->n_rows, steps, false},
        b->v_cols);
    soften_rows(w, b);
    size_t n_keys = b->mask.n_keys, row_steps = STEPS(b->n_rows);
    multiply_values(&(struct product){b->dv, stride, units(w->p_cols), 1, PANEL, n_keys,
                                      row_steps, true},
                    b->dy_rows, b->head_dim);
    multiply_values(&(struct product){b->dk, stride, units(w->ds_cols), 1, PANEL, n_keys,
                                      row_steps, true},
                    b->q_rows, b->head_dim);
    multiply_values(&(struct product){b->dq, stride, units(w->ds_rows), STEPS(PANEL), 1,
                                      b->n_rows, STEPS(n_keys), true},
                    b->k_rows, b->head_dim);
}

/* The backward half of a table, for ATTENTION_TABLE. */
#define ATTENTION_BWD(table, TYPE)                                                       \
    static void table##_bwd(void *work, const struct cr_attention_bwd *b) {              \
        bwd(work, b, TYPE);                                                              \
    }
