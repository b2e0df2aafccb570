/* Products by the tiles of kernel/tiles.h, whose panels are laid out beforehand, packed ahead or few. */
#include "t_exec.h"

#include "base/checked.h"
#include "kernel/tiles.h"
#include "op/linear.h"

static struct cr_tensor matrix(enum cr_dtype dtype, size_t rows, size_t cols,
                               struct cr_rng *r) {
    return t_random(dtype, rows, cols, 1, r);
}

/* Weights laid out beforehand give the bits of prefill in both phases, whoever travels along. */
static void test_panels_beforehand(void **state) {
    (void)state;
    static const size_t widths[] = {1, 31, 64, 130}, lens[] = {1, 7, 96, 193};
    struct cr_rng r;
    critic_error err;
    struct cr_exec *ex = t_exec(cr_isa_best(), CR_COMPUTE_BF16, 2);
    cr_rng_seed(&r, 17);
    for (size_t i = 0; i < 16; i++) {
        size_t n = widths[i % 4], k = lens[i / 4], rows = 9;
        enum cr_dtype dtype = i % 3 == 0 ? CR_F32 : i % 3 == 1 ? CR_BF16 : CR_F16;
        struct cr_arena arena;
        struct cr_linear plain[2], laid[2];
        struct cr_tensor x = matrix(CR_BF16, rows, k, &r);
        struct cr_tensor y[2], z[2];
        T_OK(cr_arena_init(&arena, 1 << 20, &err));
        for (size_t m = 0; m < 2; m++) {
            y[m] = matrix(CR_BF16, rows, n, &r);
            z[m] = matrix(CR_BF16, rows, n, &r);
            plain[m] = (struct cr_linear){.w = matrix(dtype, n, k, &r)};
            laid[m] = plain[m];
            if (!cr_linear_has_panels(&plain[m].w, ex)) {
                print_message("no tiles here\n");
                skip();
            }
            size_t before = arena.used;
            laid[m].panels = cr_linear_panels(&plain[m].w, &arena, ex);
            assert_non_null(laid[m].panels);
            assert_true(arena.used - before <= cr_linear_panels_bytes(&plain[m].w));
        }
        cr_linear_fwd(y[0], x, &plain[0], CR_ASSIGN, CR_PREFILL, ex);
        cr_linear_fwd(z[0], x, &laid[0], CR_ASSIGN, CR_PREFILL, ex);
        assert_memory_equal(y[0].data, z[0].data, rows * y[0].row_bytes);
        for (size_t t = 0; t < rows; t += 4) {
            size_t part = CR_MIN(rows - t, 4);
            cr_linear_fwd(cr_tensor_slice(&z[1], t, part), cr_tensor_slice(&x, t, part),
                          &laid[0], CR_ASSIGN, CR_STEP, ex);
        }
        assert_memory_equal(y[0].data, z[1].data, rows * y[0].row_bytes);
        cr_linear_group_fwd(z, (const struct cr_linear *[]){&laid[1], &laid[0]}, 2, x,
                            CR_STEP, ex);
        assert_memory_equal(y[0].data, z[1].data, rows * y[0].row_bytes);
        struct cr_linear out = {.w = matrix(dtype, 3, n, &r)};
        struct cr_tensor sums[2];
        for (size_t m = 0; m < 2; m++) {
            sums[m] = matrix(CR_F32, rows, 3, &r);
            memset(sums[m].data, 0, rows * sums[m].row_bytes);
        }
        cr_linear_ffn_fwd(sums[0], x, &(struct cr_ffn){&plain[0], &plain[1], &out, 0},
                          CR_PREFILL, ex);
        out.panels = cr_linear_panels(&out.w, &arena, ex);
        cr_linear_ffn_fwd(sums[1], x, &(struct cr_ffn){&laid[0], &laid[1], &out, 0},
                          CR_STEP, ex);
        assert_memory_equal(sums[0].data, sums[1].data, rows * sums[0].row_bytes);
        free(sums[0].data);
        free(sums[1].data);
        free(out.w.data);
        for (size_t m = 0; m < 2; m++) {
            free(y[m].data);
            free(z[m].data);
            free(plain[m].w.data);
        }
        free(x.data);
        cr_arena_fini(&arena);
    }
    cr_exec_free(ex);
}

/* Panels that are packed while others are multiplied, also in parts and by threads that help, hold what
 * a panel has that is alone. */
static void check_ahead(size_t rows, size_t k, int n_threads, struct cr_rng *r) {
    struct cr_exec *ex = t_exec(cr_isa_best(), CR_COMPUTE_BF16, n_threads);
    size_t n = 5 * 64 + 40;
    struct cr_linear all = {.w = matrix(CR_BF16, n, k, r)};
    struct cr_tensor x = matrix(CR_BF16, rows, k, r);
    struct cr_tensor y = matrix(CR_F32, rows, n, r);
    cr_linear_fwd(y, x, &all, CR_ASSIGN, CR_PREFILL, ex);
    for (size_t first = 0; first < n; first += 64) {
        struct cr_linear one = {
            .w = cr_tensor_slice(&all.w, first, CR_MIN(n - first, (size_t)64))};
        struct cr_tensor z = matrix(CR_F32, rows, one.w.dim[0], r);
        cr_linear_fwd(z, x, &one, CR_ASSIGN, CR_PREFILL, ex);
        for (size_t t = 0; t < rows; t++)
            assert_memory_equal(cr_tensor_row(&z, t),
                                (float *)cr_tensor_row(&y, t) + first, z.row_bytes);
        free(z.data);
    }
    free(y.data);
    free(x.data);
    free(all.w.data);
    cr_exec_free(ex);
}

static void test_panels_ahead(void **state) {
    (void)state;
    static const size_t counts[] = {1, 7, 90, 250}, lens[] = {31, 100, 128, 4870};
    if (!cr_tiles_for(cr_isa_best())) {
        print_message("no tiles here\n");
        skip();
    }
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(29));
    for (size_t i = 0; i < CR_COUNT(counts) * CR_COUNT(lens); i++)
        for (int n_threads = 1; n_threads <= 3; n_threads++)
            check_ahead(counts[i % 4], lens[i / 4], n_threads, &r);
}

/* Few columns have a kernel of their own: the bits of the same columns among many. */
static void test_few_columns(void **state) {
    (void)state;
    struct cr_rng r;
    cr_rng_seed(&r, 23);
    struct cr_exec *ex = t_exec(cr_isa_best(), CR_COMPUTE_BF16, 2);
    size_t rows = 29, n = 100, k = 5001;
    struct cr_linear all = {.w = matrix(CR_BF16, n, k, &r)};
    struct cr_tensor x = matrix(CR_BF16, rows, k, &r);
    struct cr_tensor y = matrix(CR_F32, rows, n, &r);
    cr_linear_fwd(y, x, &all, CR_ASSIGN, CR_PREFILL, ex);
    for (size_t few = 1; few < 40; few += 6) {
        struct cr_linear part = {.w = cr_tensor_slice(&all.w, 0, few)};
        struct cr_tensor z = matrix(CR_F32, rows, few, &r);
        cr_linear_fwd(z, x, &part, CR_ASSIGN, CR_PREFILL, ex);
        for (size_t t = 0; t < rows; t++)
            assert_memory_equal(cr_tensor_row(&z, t), cr_tensor_row(&y, t),
                                few * sizeof(float));
        free(z.data);
    }
    free(y.data);
    free(x.data);
    free(all.w.data);
    cr_exec_free(ex);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_panels_beforehand),
        cmocka_unit_test(test_panels_ahead),
        cmocka_unit_test(test_few_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
