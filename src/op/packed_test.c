#include "t.h"

#include "base/checked.h"
#include "base/rng.h"
#include "kernel/quant.h"
#include "op/linear.h"

static const enum cr_isa isas[] = {CR_ISA_SCALAR, CR_ISA_NEON, CR_ISA_AVX2,
                                   CR_ISA_AVX512};

static struct cr_exec *exec_new(enum cr_isa isa, int n_threads) {
    critic_error err;
    struct cr_exec *ex;
    T_OK(cr_exec_new(&ex, &(struct cr_exec_opts){.isa = isa, .n_threads = n_threads},
                     &err));
    return ex;
}

static struct cr_tensor random_matrix(enum cr_dtype dtype, size_t rows, size_t cols,
                                      struct cr_rng *r) {
    struct cr_tensor t = cr_tensor_view2(NULL, dtype, rows, cols);
    float *row = malloc(cols * sizeof *row + 1);
    t.data = malloc(rows * t.row_bytes + 1);
    assert_true(row && t.data);
    for (size_t i = 0; i < rows; i++) {
        for (size_t c = 0; c < cols; c++)
            row[c] = (float)cr_rng_normal(r);
        cr_row_from_f32(dtype, row, cr_tensor_row(&t, i), cols);
    }
    free(row);
    return t;
}

static struct cr_packed pack(enum cr_packing packing, const struct cr_tensor *w,
                             struct cr_arena *arena, struct cr_exec *ex) {
    critic_error err;
    struct cr_packed packed;
    T_OK(cr_arena_init(arena, cr_packed_bytes(packing, w->dim[0], w->dim[1]), &err));
    T_OK(cr_packed_new(&packed, packing, w, arena, ex, &err));
    return packed;
}

/* Rows of x against w in double; what rounding to 8 and 4 bits may do to a sum of k products of
 * normal numbers is bounded by ten standard deviations: x has an error of 1/127 of its largest
 * (below 4.5) over sqrt(12), w of 1/127 or 1/15 of its range. */
static void check_near_double(const struct cr_tensor *y, const struct cr_tensor *x,
                              const struct cr_tensor *w, const struct cr_tensor *bias,
                              enum cr_packing packing) {
    size_t k = cr_tensor_cols(x);
    float *x_row = malloc(k * sizeof *x_row), *w_row = malloc(k * sizeof *w_row);
    double unit = packing == CR_PACK_INT8 ? 4.5 / 127 : 9.0 / 15;
    double sigma = sqrt((double)k / 12) * hypot(4.5 / 127, unit);
    for (size_t t = 0; t < cr_tensor_rows(x); t++) {
        cr_row_to_f32(x->dtype, cr_tensor_row(x, t), x_row, k);
        for (size_t n = 0; n < cr_tensor_rows(w); n++) {
            cr_row_to_f32(w->dtype, cr_tensor_row(w, n), w_row, k);
            double sum = (double)((float *)bias->data)[n];
            for (size_t i = 0; i < k; i++)
                sum += (double)x_row[i] * (double)w_row[i];
            T_NEAR(((float *)cr_tensor_row(y, t))[n], sum, 10 * sigma + 1e-3, 0);
        }
    }
    free(x_row);
    free(w_row);
}

static void test_products_are_near_double(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(1));
    static const size_t shapes[][2] = {{64, 32}, {19, 160}, {130, 96}, {1, 256}};
    for (size_t i = 0; i < CR_COUNT(isas) * CR_COUNT(shapes); i++) {
        enum cr_isa isa = isas[i % CR_COUNT(isas)];
        size_t n = shapes[i / CR_COUNT(isas)][0], k = shapes[i / CR_COUNT(isas)][1];
        if (!cr_isa_available(isa))
            continue;
        struct cr_exec *ex = exec_new(isa, 2);
        struct cr_tensor w = random_matrix(CR_BF16, n, k, &r);
        struct cr_tensor x = random_matrix(ex->act, 9, k, &r);
        struct cr_tensor y = random_matrix(CR_F32, 9, n, &r);
        struct cr_linear lin = {.w = w, .bias = random_matrix(CR_F32, 1, n, &r)};
        for (int packing = CR_PACK_INT8; packing <= CR_PACK_INT4; packing++)
            for (int phase = CR_PREFILL; phase <= CR_STEP; phase++) {
                struct cr_arena arena;
                struct cr_packed packed = pack((enum cr_packing)packing, &w, &arena, ex);
                lin.packed = &packed;
                cr_linear_fwd(y, x, &lin, CR_ASSIGN, (enum cr_phase)phase, ex);
                check_near_double(&y, &x, &w, &lin.bias, (enum cr_packing)packing);
                assert_int_equal(ex->scratch.used, 0);
                cr_arena_fini(&arena);
            }
        free(w.data);
        free(x.data);
        free(y.data);
        free(lin.bias.data);
        cr_exec_free(ex);
    }
}

/* Rows one by one, in pairs, from any place, on one thread and on two, on every ISA: the bits of the
 * scalar kernels on one thread. In 8 bits the phase makes no difference either. */
static void test_rows_have_one_result(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(2));
    enum { M = 400, N = 150, K = 288 };
    static const size_t counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 64, 193, 363};
    struct cr_exec *scalar = exec_new(CR_ISA_SCALAR, 1);
    struct cr_tensor w = random_matrix(CR_F32, N, K, &r),
                     x = random_matrix(CR_F32, M, K, &r);
    struct cr_tensor all = random_matrix(CR_F32, M, N, &r),
                     some = random_matrix(CR_F32, M, N, &r);
    struct cr_linear lin = {.w = w, .bias = random_matrix(CR_F32, 1, N, &r)};
    critic_error err;
    for (int kind = 0; kind < 3; kind++) { /* 8 bits, 4 bits, 8 bits of fine rows */
        enum cr_packing packing = kind == 1 ? CR_PACK_INT4 : CR_PACK_INT8;
        struct cr_arena arena;
        struct cr_packed packed = pack(packing, &w, &arena, scalar);
        packed.is_fine = kind == 2;
        lin.packed = &packed;
        for (size_t i = 0; i < 2 * CR_COUNT(isas); i++) {
            enum cr_phase phase = i % 2 ? CR_STEP : CR_PREFILL;
            if (!cr_isa_available(isas[i / 2]))
                continue;
            if (packing == CR_PACK_INT4 || i == 0)
                cr_linear_fwd(all, x, &lin, CR_ASSIGN, phase, scalar);
            for (size_t j = 0; j < CR_COUNT(counts); j++) {
                struct cr_exec *ex;
                struct cr_exec_opts opts = {.isa = isas[i / 2],
                                            .compute = CR_COMPUTE_F32,
                                            .n_threads = 1 + (int)(j % 2)};
                size_t first = j % 3 * 18;
                T_OK(cr_exec_new(&ex, &opts, &err));
                cr_linear_fwd(cr_tensor_slice(&some, 0, counts[j]),
                              cr_tensor_slice(&x, first, counts[j]), &lin, CR_ASSIGN,
                              phase, ex);
                if (memcmp(some.data, cr_tensor_row(&all, first),
                           counts[j] * all.row_bytes) != 0)
                    fail_msg("%s, kind %d, phase %d: %zu rows at %zu differ",
                             cr_isa_name(isas[i / 2]), kind, (int)phase, counts[j],
                             first);
                cr_exec_free(ex);
            }
        }
        cr_arena_fini(&arena);
    }
    cr_exec_free(scalar);
    free(w.data);
    free(x.data);
    free(all.data);
    free(some.data);
    free(lin.bias.data);
}

/* Weights that 8 bits hold exactly: what is left is the rounding of x, to 8 bits or to 15. */
static void test_fine_rows(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(5));
    enum { M = 5, N = 70, K = 200 };
    struct cr_exec *ex = exec_new(cr_isa_best(), 2);
    struct cr_tensor w = random_matrix(CR_F32, N, K, &r);
    struct cr_tensor x = random_matrix(CR_F32, M, K, &r);
    struct cr_tensor y = random_matrix(CR_F32, M, N, &r);
    struct cr_arena arena;
    double worst[2] = {0};
    for (size_t i = 0; i < (size_t)N * K; i++)
        ((float *)w.data)[i] =
            i % K == 3 ? 127.0f / 64 : (float)cr_rng_below(&r, 255) / 64 - 127.0f / 64;
    struct cr_packed packed = pack(CR_PACK_INT8, &w, &arena, ex);
    for (int fine = 0; fine < 2; fine++) {
        packed.is_fine = fine;
        cr_packed_fwd(y, x, &packed, NULL, false, CR_STEP, ex);
        assert_int_equal(ex->scratch.used, 0);
        for (size_t i = 0; i < (size_t)M * N; i++) {
            const float *a = cr_tensor_row(&x, i / N), *b = cr_tensor_row(&w, i % N);
            double sum = 0, size = 0;
            for (size_t k = 0; k < K; k++) {
                sum += (double)a[k] * (double)b[k];
                size += fabs((double)a[k] * (double)b[k]);
            }
            worst[fine] =
                fmax(worst[fine], fabs((double)((float *)y.data)[i] - sum) / size);
        }
    }
    assert_true(worst[0] > 3e-4); /* or there were nothing to gain */
    assert_true(worst[1] < worst[0] / 64);
    cr_arena_fini(&arena);
    free(w.data);
    free(x.data);
    free(y.data);
    cr_exec_free(ex);
}

/* Maps of the same rows as one call, in 8 bits and in 4: the bits of one call each. */
static void test_groups_are_single_calls(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(5));
    enum { M = 70, K = 160, N_MAPS = 3 };
    static const size_t widths[N_MAPS] = {130, 64, 19};
    for (size_t i = 0; i < 4 * CR_COUNT(isas); i++) {
        enum cr_isa isa = isas[i / 4];
        if (!cr_isa_available(isa))
            continue;
        enum cr_phase phase = i % 2 ? CR_PREFILL : CR_STEP;
        struct cr_exec *ex = exec_new(isa, 1 + (int)(i % 2));
        struct cr_linear lin[N_MAPS];
        struct cr_packed packed[N_MAPS];
        struct cr_arena arenas[N_MAPS];
        const struct cr_linear *group[N_MAPS] = {&lin[0], &lin[1], &lin[2]};
        struct cr_tensor x = random_matrix(ex->act, M, K, &r), y[N_MAPS];
        for (size_t j = 0; j < N_MAPS; j++) {
            lin[j] = (struct cr_linear){.w = random_matrix(CR_F32, widths[j], K, &r),
                                        .bias = random_matrix(CR_BF16, 1, widths[j], &r),
                                        .packed = &packed[j]};
            packed[j] = pack(i / 2 % 2 && j ? CR_PACK_INT4 : CR_PACK_INT8, &lin[j].w,
                             &arenas[j], ex);
            y[j] = random_matrix(CR_F32, M, widths[j], &r);
        }
        cr_linear_group_fwd(y, group, N_MAPS, x, phase, ex);
        assert_int_equal(ex->scratch.used, 0);
        for (size_t j = 0; j < N_MAPS; j++) {
            struct cr_tensor one = random_matrix(CR_F32, M, widths[j], &r);
            cr_linear_fwd(one, x, &lin[j], CR_ASSIGN, phase, ex);
            assert_memory_equal(y[j].data, one.data, M * one.row_bytes);
            free(one.data);
            free(y[j].data);
            free(lin[j].w.data);
            free(lin[j].bias.data);
            cr_arena_fini(&arenas[j]);
        }
        free(x.data);
        cr_exec_free(ex);
    }
}

static void test_bad_weights_are_named(void **state) {
    (void)state;
    critic_error err;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(3));
    struct cr_exec *ex = exec_new(cr_isa_best(), 2);
    struct cr_tensor w = random_matrix(CR_F32, 70, 64, &r);
    w.name = "layers.3.down";
    ((float *)cr_tensor_row(&w, 66))[5] = INFINITY;
    ((float *)cr_tensor_row(&w, 67))[1] = NAN;
    for (int packing = CR_PACK_INT8; packing <= CR_PACK_INT4; packing++) {
        struct cr_arena arena;
        struct cr_packed packed;
        T_OK(cr_arena_init(&arena, cr_packed_bytes((enum cr_packing)packing, 70, 64),
                           &err));
        T_FAILS(cr_packed_new(&packed, (enum cr_packing)packing, &w, &arena, ex, &err),
                CRITIC_BAD_MODEL,
                "'layers.3.down' cannot be quantised: element (66, 5) is inf");
        cr_arena_fini(&arena);
        T_OK(cr_arena_init(&arena, 4096, &err));
        T_FAILS(cr_packed_new(&packed, (enum cr_packing)packing, &w, &arena, ex, &err),
                CRITIC_NO_MEMORY, "quantised");
        cr_arena_fini(&arena);
    }
    free(w.data);
    cr_exec_free(ex);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_are_near_double),
        cmocka_unit_test(test_rows_have_one_result),
        cmocka_unit_test(test_fine_rows),
        cmocka_unit_test(test_groups_are_single_calls),
        cmocka_unit_test(test_bad_weights_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
