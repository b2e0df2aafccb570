#if defined(__x86_64__)

#include "kernel/tiles.h"
#include "kernel/vec_avx512.h"

#define INLINE static inline __attribute__((always_inline))
#define LINE   CR_TILE_LINE
#define VECS   (CR_TILE_COLS / LANES)

/* 16 rows by up to 16 pairs, transposed into 16 columns of the panel. */
INLINE void pack_square(uint32_t *panel, const uint16_t *w, size_t w_row, size_t n,
                        size_t elements) {
    vec t[LANES];
    size_t pairs = (elements + 1) / 2;
    for (size_t i = 0; i < LANES; i++) {
        if (i >= n)
            t[i] = v_set(0.0f);
        else if (elements >= 2 * LANES)
            t[i] = v_load_f32((const float *)(const void *)(w + i * w_row));
        else
            t[i] = v_load_pairs_part(w + i * w_row, elements);
    }
    v_transpose(t);
    for (size_t i = 0; i < LANES && i < pairs; i++)
        v_store_f32((float *)(void *)(panel + i * CR_TILE_COLS), t[i]);
}

static void pack(uint32_t *panel, const uint16_t *w, size_t w_row, size_t n, size_t cols,
                 size_t k) {
    for (size_t col = 0; col < cols; col += LANES) {
        size_t here = n > col ? n - col : 0;
        for (size_t at = 0; at < k; at += 2 * LANES)
            pack_square(panel + at / 2 * CR_TILE_COLS + col, w + col * w_row + at, w_row,
                        here, k - at);
    }
}

/* Up to 16 columns of two rows as pairs; b NULL: zeros. */
INLINE vec pair_rows(const uint16_t *a, const uint16_t *b, __mmask16 mask) {
    __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, a));
    __m512i high = b ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, b))
                     : _mm512_setzero_si512();
    return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

/* Rows ahead that are asked for: they lie a whole row of w apart, which the machine's own
 * prefetching does not follow across pages. */
#define AHEAD 16

static void pack_turned(uint32_t *panel, const uint16_t *w, size_t w_row, size_t n,
                        size_t cols, size_t k) {
    for (size_t i = 0; i < k; i += 2, panel += CR_TILE_COLS) {
        const uint16_t *a = w + i * w_row, *b = i + 1 < k ? a + w_row : NULL;
        for (size_t r = i + AHEAD; r < k && r < i + AHEAD + 2; r++)
            for (size_t col = 0; col < n; col += LINE)
                _mm_prefetch((const char *)(w + r * w_row + col), _MM_HINT_T0);
        for (size_t col = 0; col < cols; col += LANES) {
            size_t here = n > col ? n - col : 0;
            __mmask16 mask = here >= LANES ? (__mmask16)0xffff : v_mask(here);
            v_store_f32((float *)(void *)(panel + col),
                        pair_rows(a + col, b ? b + col : NULL, mask));
        }
    }
}

/* Up to 32 rows of x by up to 16 columns, transposed. */
INLINE void transpose_square(uint16_t *y, size_t y_row, const uint16_t *x, size_t x_row,
                             size_t n, size_t k) {
    vec t[LANES];
    __mmask16 mask = n >= LANES ? (__mmask16)0xffff : v_mask(n);
    for (size_t i = 0; i < LANES; i++) {
        const uint16_t *a = x + 2 * i * x_row;
        t[i] = 2 * i < k ? pair_rows(a, 2 * i + 1 < k ? a + x_row : NULL, mask)
                         : v_set(0.0f);
    }
    v_transpose(t);
    for (size_t i = 0; i < LANES && i < n; i++)
        if (k >= LINE)
            v_store_f32((float *)(void *)(y + i * y_row), t[i]);
        else
            v_store_f32_part((float *)(void *)(y + i * y_row), t[i], (k + 1) / 2);
}

static void transpose(uint16_t *y, size_t y_row, const uint16_t *x, size_t x_row,
                      size_t n, size_t k) {
    for (size_t col = 0; col < n; col += LINE)
        for (size_t i = 0; i < k; i += LINE) {
            const uint16_t *from = x + i * x_row + col;
            for (size_t r = LINE; r < 2 * LINE && i + r < k; r++)
                _mm_prefetch((const char *)(from + r * x_row), _MM_HINT_T0);
            for (size_t half = col; half < col + LINE && half < n; half += LANES)
                transpose_square(y + half * y_row + i, y_row, x + i * x_row + half, x_row,
                                 n - half, k - i);
        }
}

/* 4 columns by 32 terms: 16 rows of the panel get 16 bytes each. What comes next is asked for; the
 * columns beside follow before their lines leave the first-level cache. */
INLINE void pack_ahead(struct cr_tiles_ahead *a) {
    const uint16_t *w = a->w + a->col * a->w_row + a->line * LINE;
    float *to = (float *)(void *)(a->panel + a->line * LANES * CR_TILE_COLS + a->col);
    vec row[4], pair[4];
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++) {
        row[r] = v_load_f32((const float *)(const void *)(w + r * a->w_row));
        _mm_prefetch((const char *)(w + r * a->w_row + LINE), _MM_HINT_T0);
    }
    v_transpose_4(pair, row);
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; c++, to += CR_TILE_COLS) {
        _mm_storeu_ps(to, _mm512_castps512_ps128(pair[c]));
        _mm_storeu_ps(to + 4 * CR_TILE_COLS, _mm512_extractf32x4_ps(pair[c], 1));
        _mm_storeu_ps(to + 8 * CR_TILE_COLS, _mm512_extractf32x4_ps(pair[c], 2));
        _mm_storeu_ps(to + 12 * CR_TILE_COLS, _mm512_extractf32x4_ps(pair[c], 3));
    }
    a->col += 4;
    if (a->col % LANES == 0) {
        a->line++;
        if (a->line < a->lines)
            a->col -= LANES;
        else
            a->line = 0;
    }
}

/* As assembly since gcc 12 loads the factor into a register of its own, and then spills. */
INLINE vec multiply_add(vec acc, vec b, const uint16_t *a) {
    __asm__("vdpbf16ps %2%{1to16%}, %1, %0"
            : "+v"(acc)
            : "v"(b), "m"(*(const uint32_t *)(const void *)a));
    return acc;
}

INLINE void tile_of(float *y, const uint16_t *x, size_t x_row, const uint32_t *panel,
                    size_t k, bool add, struct cr_tiles_ahead *ahead, size_t m) {
    vec acc[CR_TILE_ROWS][VECS];
    const uint16_t *x3 = x + 3 * x_row;
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++)
#pragma GCC unroll 8
        for (size_t j = 0; j < VECS; j++)
            acc[r][j] = add ? v_load_f32(y + r * CR_TILE_COLS + j * LANES) : v_set(0.0f);
    for (size_t i = 0; i < k; i += 2) {
        if (i % LINE == 0) {
            /* a cache line of each row of the next tile, to the second level */
#pragma GCC unroll 8
            for (size_t r = 0; r < m; r++)
                _mm_prefetch((const char *)(x + (m + r) * x_row + i), _MM_HINT_T1);
            if (ahead->col < ahead->cols)
                pack_ahead(ahead);
        }
#pragma GCC unroll 8
        for (size_t j = 0; j < VECS; j++) {
            vec b = v_load_f32((const float *)(const void *)(panel + j * LANES));
#pragma GCC unroll 8
            for (size_t r = 0; r < m; r++) {
                const uint16_t *row = r < 3 ? x + r * x_row : x3 + (r - 3) * x_row;
                acc[r][j] = multiply_add(acc[r][j], b, row + i);
            }
        }
        panel += CR_TILE_COLS;
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < m; r++)
#pragma GCC unroll 8
        for (size_t j = 0; j < VECS; j++)
            v_store_f32(y + r * CR_TILE_COLS + j * LANES, acc[r][j]);
}

static void tile(float *y, const uint16_t *x, size_t x_row, size_t m,
                 const uint32_t *panel, size_t k, bool add,
                 struct cr_tiles_ahead *ahead) {
    switch (m) {
    case 6:
        tile_of(y, x, x_row, panel, k, add, ahead, 6);
        break;
    case 5:
        tile_of(y, x, x_row, panel, k, add, ahead, 5);
        break;
    case 4:
        tile_of(y, x, x_row, panel, k, add, ahead, 4);
        break;
    case 3:
        tile_of(y, x, x_row, panel, k, add, ahead, 3);
        break;
    case 2:
        tile_of(y, x, x_row, panel, k, add, ahead, 2);
        break;
    default:
        tile_of(y, x, x_row, panel, k, add, ahead, 1);
    }
}

/* Twelve sums hide the latency of one; rows in threes, each from a pointer of its own. */
#define BASES (CR_THIN_ROWS / 3)

INLINE void thin_of(float *y, const uint16_t *x, size_t x_row, const uint32_t *panel,
                    size_t k, bool add, size_t m) {
    vec acc[CR_THIN_ROWS];
    const uint16_t *base[BASES];
#pragma GCC unroll 4
    for (size_t b = 0; b < BASES; b++)
        base[b] = x + (3 * b < m ? 3 * b : 0) * x_row;
#pragma GCC unroll 12
    for (size_t r = 0; r < m; r++)
        acc[r] = add ? v_load_f32(y + r * CR_TILE_COLS) : v_set(0.0f);
    for (size_t i = 0; i < k; i += 2, panel += CR_TILE_COLS) {
        vec b = v_load_f32((const float *)(const void *)panel);
#pragma GCC unroll 12
        for (size_t r = 0; r < m; r++)
            acc[r] = multiply_add(acc[r], b, base[r / 3] + r % 3 * x_row + i);
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < m; r++)
        v_store_f32(y + r * CR_TILE_COLS, acc[r]);
}

static void thin(float *y, const uint16_t *x, size_t x_row, size_t m,
                 const uint32_t *panel, size_t k, bool add) {
    if (m == CR_THIN_ROWS) {
        thin_of(y, x, x_row, panel, k, add, CR_THIN_ROWS);
        return;
    }
    for (size_t r = 0; r < m; r++)
        thin_of(y + r * CR_TILE_COLS, x + r * x_row, x_row, panel, k, add, 1);
}

static void store(void *y, enum cr_dtype type, const float *p, const float *bias,
                  size_t n, bool add) {
    for (size_t i = 0; i < n; i += LANES) {
        size_t part = n - i < LANES ? n - i : LANES;
        __mmask16 mask = part < LANES ? v_mask(part) : (__mmask16)0xffff;
        vec v = _mm512_maskz_loadu_ps(mask, p + i);
        if (bias)
            v = v_add(v, _mm512_maskz_loadu_ps(mask, bias + i));
        if (type == CR_BF16) {
            _mm256_mask_storeu_epi16((uint16_t *)y + i, mask,
                                     (__m256i)_mm512_cvtneps_pbh(v));
            continue;
        }
        if (add)
            v = v_add(v, _mm512_maskz_loadu_ps(mask, (float *)y + i));
        _mm512_mask_storeu_ps((float *)y + i, mask, v);
    }
}

const struct cr_tiles cr_tiles_avx512 = {

    .pack = pack,
    .pack_turned = pack_turned,
    .transpose = transpose,
    .tile = tile,
    .thin = thin,
    .store = store};

#else
typedef int not_for_this_architecture; /* ISO C wants a declaration */
#endif
