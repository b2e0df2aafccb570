/* A NaN put into one place of a small network is found at the operation that first shows it. */
#include "base/checked.h"
#include "image/anyres.h"
#include "model/train.h"
#include "t_exec.h"

static const struct cr_config config = {.text = {.width = 32,
                                                 .n_layers = 3,
                                                 .n_heads = 2,
                                                 .n_kv_heads = 1,
                                                 .head_dim = 16,
                                                 .ffn_width = 48,
                                                 .vocab = 64,
                                                 .max_positions = 64,
                                                 .rope_theta = 1e4,
                                                 .rms_eps = 1e-6},
                                        .vision = {.present = true,
                                                   .width = 32,
                                                   .n_layers = 2,
                                                   .n_heads = 2,
                                                   .ffn_width = 48,
                                                   .image_px = 32,
                                                   .patch_px = 16,
                                                   .layer_norm_eps = 1e-6}};

struct network {
    struct cr_arena arena;
    struct cr_model model;
    struct cr_exec *ex;
    struct cr_train *train;
};

static void network_new(struct network *n, bool recompute) {
    critic_error err;
    const struct cr_train_opts opts = {.recompute = recompute, .frozen_tower = true};
    *n = (struct network){.model = {.config = &config}};
    T_OK(cr_arena_init(&n->arena, (size_t)1 << 30, &err));
    T_OK(cr_params_init(&n->model.params, &config, &n->arena, &err));
    T_OK(cr_params_random(&n->model.params, &config, CR_F32, 1, &n->arena, &err));
    n->ex = t_exec(cr_isa_best(), CR_COMPUTE_F32, 1);
    T_OK(cr_train_new(&n->train, &n->model, n->ex, &opts, &err));
}

static void network_free(struct network *n) {
    cr_train_free(n->train);
    cr_exec_free(n->ex);
    cr_arena_fini(&n->arena);
}

/* Text, a picture of one tile, text. */
static bool find(struct network *n, char op[CR_OP_NAME]) {
    critic_error err;
    static float pixels[2 * 3 * 32 * 32];
    struct cr_anyres_config anyres;
    struct cr_tile_plan plan;
    int32_t ids[32], positions[32], targets[32];
    cr_anyres_config_default(&anyres);
    anyres.tile_px = 32;
    anyres.patch_px = 16;
    anyres.aspect = CR_ASPECT_SQUARE;
    T_OK(cr_tile_plan_make(&plan, 32, 32, &anyres, &err));
    assert_true(plan.n_tiles <= 2 && plan.n_tokens <= 20);
    size_t rows = plan.n_tokens + 6;
    for (size_t i = 0; i < rows; i++) {
        bool is_picture = i >= 2 && i < 2 + plan.n_tokens;
        ids[i] = is_picture ? -1 : (int32_t)i + 3;
        positions[i] = (int32_t)i;
        targets[i] = i + 1 < rows && !is_picture ? (int32_t)i + 4 : -1;
    }
    const struct cr_train_picture picture = {pixels, &plan, 2};
    const struct cr_train_sequence sequence = {.n_rows = rows,
                                               .ids = ids,
                                               .positions = positions,
                                               .targets = targets,
                                               .n_prefix = rows,
                                               .n_pictures = 1,
                                               .pictures = &picture};
    const struct cr_train_batch batch = {1, &sequence};
    return cr_train_find_bad(n->train, &batch, op);
}

static void test_first_operation(void **state) {
    (void)state;
    for (int recompute = 0; recompute < 2; recompute++) {
        struct network n;
        char op[CR_OP_NAME];
        network_new(&n, recompute);
        struct cr_params *p = &n.model.params;
        const struct {
            float *at;
            const char *op;
        } cases[] = {
            {p->head.w.data, "lm_head and log-softmax"},
            {p->norm.data, "norm"},
            {p->layers[2].down.w.data, "layers.2 down_proj"},
            {p->layers[2].gate.w.data, "layers.2 gate_proj"},
            {p->layers[1].ffn_norm.data, "layers.1 norm before the feed-forward part"},
            {p->layers[1].o.w.data, "layers.1 o_proj"},
            {p->layers[1].v.bias.data, "layers.1 v_proj"},
            {p->layers[0].k.w.data, "layers.0 k_proj"},
            {(float *)p->embed.data + 3 * 32, "embed_tokens and picture rows"},
            {p->project2.w.data, "multi_modal_projector"},
            {p->tower[1].fc2.bias.data, "vision_tower.layers.1 fc2"},
            {p->tower[0].o.w.data, "vision_tower.layers.0 out_proj"},
            {p->position.data, "patch_embedding"}};
        assert_false(find(&n, op));
        /* Later ones stay: the first is what counts. */
        for (size_t i = 0; i < CR_COUNT(cases); i++) {
            *cases[i].at = NAN;
            assert_true(find(&n, op));
            assert_string_equal(op, cases[i].op);
        }
        network_free(&n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_first_operation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
