#include "t_exec.h"

#include "base/checked.h"
#include "base/rng.h"
#include "op/linear.h"

/* Weights of modest products. */
static struct cr_tensor matrix(enum cr_dtype dtype, size_t rows, size_t cols,
                               struct cr_rng *r) {
    return t_random(dtype, rows, cols, 1 / sqrt((double)cols), r);
}

/* Two maps in, one out, with biases. */
struct maps {
    struct cr_linear lin[3];
    struct cr_packed packed[3];
    struct cr_arena arena[3];
};

static void maps_new(struct maps *m, size_t width, size_t hidden, enum cr_packing packing,
                     struct cr_rng *r, struct cr_exec *ex) {
    critic_error err;
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < 3; i++) {
        size_t n = i < 2 ? hidden : width, k = i < 2 ? width : hidden;
        m->lin[i].w = matrix(CR_BF16, n, k, r);
        m->lin[i].bias = matrix(CR_BF16, 1, n, r);
        if (packing == CR_PACK_NONE)
            continue;
        T_OK(cr_arena_init(&m->arena[i], cr_packed_bytes(packing, n, k), &err));
        T_OK(cr_packed_new(&m->packed[i], packing, &m->lin[i].w, &m->arena[i], ex, &err));
        m->lin[i].packed = &m->packed[i];
    }
}

static void maps_free(struct maps *m) {
    for (size_t i = 0; i < 3; i++) {
        free(m->lin[i].w.data);
        free(m->lin[i].bias.data);
        if (m->lin[i].packed)
            cr_arena_fini(&m->arena[i]);
    }
}

/* The same one after the other, with everything between in memory. */
static void by_parts(struct cr_tensor y, struct cr_tensor x, const struct maps *m,
                     bool gated, enum cr_gelu gelu, enum cr_phase phase, struct cr_rng *r,
                     struct cr_exec *ex) {
    size_t rows = x.dim[0], width = m->lin[0].w.dim[0];
    enum cr_dtype type = m->lin[0].packed ? ex->act : CR_F32;
    struct cr_tensor gate = matrix(type, rows, width, r),
                     up = matrix(type, rows, width, r);
    struct cr_tensor hidden = matrix(ex->act, rows, width, r);
    cr_linear_fwd(gate, x, &m->lin[0], CR_ASSIGN, phase, ex);
    cr_linear_fwd(up, x, &m->lin[1], CR_ASSIGN, phase, ex);
    if (gated)
        cr_swiglu_fwd(hidden, gate, up, ex);
    else
        cr_gelu_fwd(hidden, gate, gelu, ex);
    cr_linear_fwd(y, hidden, &m->lin[2], CR_ADD, phase, ex);
    free(gate.data);
    free(up.data);
    free(hidden.data);
}

static void check(size_t rows, size_t width, size_t hidden, enum cr_packing packing,
                  enum cr_isa isa, enum cr_phase phase, struct cr_rng *r) {
    struct cr_exec *ex = t_exec(isa, CR_COMPUTE_AUTO, 2);
    struct maps m;
    maps_new(&m, width, hidden, packing, r, ex);
    struct cr_tensor x = matrix(ex->act, rows, width, r);
    struct cr_tensor y = matrix(CR_F32, rows, width, r),
                     z = matrix(CR_F32, rows, width, r);
    for (int kind = 0; kind < 3; kind++) {
        enum cr_gelu gelu = kind == 1 ? CR_GELU_TANH : CR_GELU_ERF;
        struct cr_ffn f = {&m.lin[0], kind ? NULL : &m.lin[1], &m.lin[2], gelu};
        memcpy(z.data, y.data, rows * y.row_bytes);
        cr_linear_ffn_fwd(y, x, &f, phase, ex);
        by_parts(z, x, &m, kind == 0, gelu, phase, r, ex);
        assert_true(t_same_bits(&y, &z));
    }
    free(x.data);
    free(y.data);
    free(z.data);
    maps_free(&m);
    cr_exec_free(ex);
}

/* Rows that are made one by one have the bits of those in memory. */
static void test_as_by_parts(void **state) {
    (void)state;
    static const enum cr_packing packings[] = {CR_PACK_NONE, CR_PACK_INT8, CR_PACK_INT4};
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(41));
    T_EACH_ISA(isa) {
        for (size_t p = 0; p < CR_COUNT(packings); p++) {
            check(1, 96, 160, packings[p], isa, CR_STEP, &r);
            check(7, 64, 416, packings[p], isa, CR_STEP, &r);
            check(13, 64, 160, packings[p], isa, CR_PREFILL, &r);
            check(130, 96, 160, packings[p], isa, CR_PREFILL, &r);
        }
        check(13, 70, 75, CR_PACK_INT8, isa, CR_PREFILL, &r);
    }
    check(401, 64, 96, CR_PACK_INT8, cr_isa_best(), CR_PREFILL, &r);
}

/* A map with a low-rank term goes by itself, beside maps in 8 bits. */
static void test_with_a_low_rank_term(void **state) {
    (void)state;
    struct cr_exec *ex = t_exec(cr_isa_best(), CR_COMPUTE_AUTO, 2);
    struct maps m;
    struct cr_rng r;
    cr_rng_seed(&r, t_seed(43));
    for (size_t at = 0; at < 3; at++) {
        maps_new(&m, 64, 96, CR_PACK_INT8, &r, ex);
        struct cr_linear *lin = &m.lin[at];
        lin->lora = (struct cr_lora){.a = matrix(CR_F32, 2, lin->w.dim[1], &r),
                                     .b = matrix(CR_F32, lin->w.dim[0], 2, &r),
                                     .scale = 3.0f};
        struct cr_tensor x = matrix(ex->act, 9, 64, &r), y = matrix(CR_F32, 9, 64, &r);
        struct cr_tensor z = matrix(CR_F32, 9, 64, &r);
        memcpy(z.data, y.data, 9 * y.row_bytes);
        cr_linear_ffn_fwd(y, x, &(struct cr_ffn){&m.lin[0], &m.lin[1], &m.lin[2], 0},
                          CR_PREFILL, ex);
        by_parts(z, x, &m, true, 0, CR_PREFILL, &r, ex);
        for (size_t i = 0; i < 9 * 64; i++)
            T_NEAR(((float *)y.data)[i], ((float *)z.data)[i], 1e-5, 0);
        free(x.data);
        free(y.data);
        free(z.data);
        free(lin->lora.a.data);
        free(lin->lora.b.data);
        maps_free(&m);
    }
    cr_exec_free(ex);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_by_parts),
        cmocka_unit_test(test_with_a_low_rank_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
