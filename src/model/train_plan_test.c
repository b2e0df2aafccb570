/* What a step of the published sizes needs, from shapes alone: no weight is made. */
#include "base/checked.h"
#include "model/lora.h"
#include "model/train.h"
#include "t_exec.h"

#define GIB ((double)((size_t)1 << 30))

/* Every parameter a view without data: matrices of `dtype`, vectors F32. */
static void fill_shapes(struct cr_params *p, const struct cr_config *config,
                        enum cr_dtype dtype) {
    for (size_t i = 0, n = cr_params_count(config); i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(p, config, i, &slot);
        struct cr_tensor *t = slot.tensor;
        t->dtype = slot.is_matrix ? dtype : CR_F32;
        t->n_dim = slot.n_dim;
        memcpy(t->dim, slot.dim, sizeof t->dim);
        assert_true(cr_dtype_row_bytes(t->dtype, cr_tensor_cols(t), &t->row_bytes));
    }
}

static bool trains_none(void *user, const struct cr_param_slot *slot) {
    (void)user;
    (void)slot;
    return false;
}

static struct cr_train_plan plan_of(const struct cr_config *config, size_t rank,
                                    const struct cr_train_sizes *sizes) {
    critic_error err;
    struct cr_arena arena;
    struct cr_train *t;
    struct cr_params grads;
    struct cr_model model = {.config = config};
    struct cr_exec *ex = t_exec(cr_isa_best(), CR_COMPUTE_BF16, 2);
    struct cr_train_opts opts = {.recompute = true, .frozen_tower = rank > 0};
    T_OK(cr_arena_init(&arena, (size_t)8 << 30, &err));
    T_OK(cr_params_init(&model.params, config, &arena, &err));
    fill_shapes(&model.params, config, CR_BF16);
    if (rank)
        T_OK(cr_lora_attach(&model.params, config, NULL, NULL, rank, 1.0f, CR_BF16,
                            &arena, &err));
    T_OK(cr_grads_init(&grads, config, trains_none, NULL, &arena, &err));
    T_OK(cr_lora_grads_init(&grads, &model.params, config, &arena, &err));
    T_OK(cr_train_new(&t, &model, ex, &opts, &err));
    struct cr_train_plan plan = cr_train_plan(t, &grads, sizes);
    cr_train_free(t);
    cr_arena_fini(&arena);
    cr_exec_free(ex);
    return plan;
}

/* LLaVA-Critic-7B, bf16, rank 64 on all the decoder's linears, a 640 x 480 picture (2929 rows in
 * 5 tiles) and 571 rows of text, f32 adapters and two moments beside: 22 GiB. */
static void test_7b_adapter_step_fits(void **state) {
    (void)state;
    struct cr_config config = {.text = {.width = 3584,
                                        .n_layers = 28,
                                        .n_heads = 28,
                                        .n_kv_heads = 4,
                                        .head_dim = 128,
                                        .ffn_width = 18944,
                                        .vocab = 152064,
                                        .max_positions = 32768,
                                        .rope_theta = 1e6,
                                        .rms_eps = 1e-6},
                               .vision = {.present = true,
                                          .width = 1152,
                                          .n_layers = 26,
                                          .n_heads = 16,
                                          .ffn_width = 4304,
                                          .image_px = 384,
                                          .patch_px = 14,
                                          .layer_norm_eps = 1e-6}};
    struct cr_train_sizes sizes = {.n_rows = 3500,
                                   .n_targets = 300,
                                   .n_tiles = 5,
                                   .longest = 3500,
                                   .n_sequences = 1};
    struct cr_train_plan plan = plan_of(&config, 64, &sizes);
    double trainer = 3 * (double)plan.gradients; /* masters and moments */
    double total = (double)plan.total + trainer;
    print_message(
        "weights %.2f, gradients %.2f, activations %.2f, scratch %.2f, masters and "
        "moments %.2f: %.2f GiB\n",
        (double)plan.parameters / GIB, (double)plan.gradients / GIB,
        (double)plan.activations / GIB, (double)plan.scratch / GIB, trainer / GIB,
        total / GIB);
    assert_true(plan.parameters > 16e9 && plan.gradients > 6e8 && plan.activations > 1e9);
    assert_true(total / GIB <= 22.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_7b_adapter_step_fits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
