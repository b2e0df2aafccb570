/* The loop around a task that records how it is called, and what a network lists for training. */
#include "t_exec.h"
#include "t_files.h"

#include "train/labels.h"
#include "train/loop.h"

#define MODEL T_SOURCE("tests/tiny/ov-lmms")

static void open_net(struct cr_net *net, struct cr_net_opts opts) {
    critic_error err;
    opts.exec = (struct cr_exec_opts){
        .isa = cr_isa_best(), .compute = CR_COMPUTE_F32, .n_threads = 1};
    if (!opts.model)
        opts.model = MODEL;
    if (opts.save == 0)
        opts.save = CR_DTYPE_COUNT;
    T_OK(cr_net_open(net, &opts, &err));
}

static const struct cr_train_tensor *tensor(const struct cr_net *net, const char *name) {
    for (size_t i = 0; i < net->n_tensors; i++)
        if (strcmp(net->tensors[i].name, name) == 0)
            return &net->tensors[i];
    return NULL;
}

/* ---- what is trained, and how ---- */

static void test_decay_and_muon(void **state) {
    (void)state;
    struct cr_net net;
    open_net(&net, (struct cr_net_opts){0});
    static const struct {
        const char *name;
        bool decay, muon;
    } cases[] = {{"layers.0.self_attn.q_proj.weight", true, true},
                 {"layers.0.self_attn.q_proj.bias", false, false},
                 {"layers.1.input_layernorm.weight", false, false},
                 {"norm.weight", false, false},
                 {"embed_tokens.weight", true, false},
                 {"lm_head.weight", true, false},
                 {"multi_modal_projector.linear_1.weight", true, true},
                 {"vision_tower.encoder.layers.0.layer_norm1.bias", false, false},
                 {"vision_tower.encoder.layers.0.mlp.fc1.weight", true, true},
                 {"vision_tower.embeddings.patch_embedding.weight", true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct cr_train_tensor *t = tensor(&net, cases[i].name);
        if (!t || t->decay != cases[i].decay || t->muon != cases[i].muon)
            fail_msg("%s: %s", cases[i].name,
                     t ? "decay or muon is another" : "not trained");
    }
    cr_net_close(&net);
}

static void test_frozen_parts(void **state) {
    (void)state;
    struct cr_net net;
    open_net(&net, (struct cr_net_opts){.frozen = {[CR_PART_TOWER] = true}});
    assert_null(tensor(&net, "vision_tower.encoder.layers.0.mlp.fc1.weight"));
    assert_non_null(tensor(&net, "multi_modal_projector.linear_1.weight"));
    assert_int_equal(tensor(&net, "multi_modal_projector.linear_1.weight")->part,
                     CR_PART_PROJECTOR);
    assert_int_equal(tensor(&net, "norm.weight")->part, CR_PART_DECODER);
    cr_net_close(&net);
    open_net(&net, (struct cr_net_opts){
                       .frozen = {[CR_PART_DECODER] = true, [CR_PART_PROJECTOR] = true}});
    assert_null(tensor(&net, "norm.weight"));
    assert_int_equal(tensor(&net, "vision_tower.encoder.layers.0.mlp.fc1.weight")->part,
                     CR_PART_TOWER);
    cr_net_close(&net);
}

/* Off, the network is the base's; on again, the same terms. */
static void test_adapter_off_and_on(void **state) {
    (void)state;
    struct cr_net net;
    critic_error err;
    struct cr_net_opts opts = {0};
    T_OK(cr_lora_opts_parse(&opts.lora, "r=2,alpha=6,dropout=0.5,targets=q_proj", &err));
    open_net(&net, opts);
    assert_int_equal(net.n_tensors, 2 * net.config.text.n_layers);
    struct cr_lora *lora = &net.model.params.layers[1].q.lora;
    void *a = lora->a.data;
    assert_non_null(a);
    assert_true(lora->scale == 3.0f && lora->dropout == 0);
    cr_net_lora_use(&net, false);
    assert_null(lora->a.data);
    cr_net_lora_use(&net, true);
    assert_ptr_equal(lora->a.data, a);
    cr_net_lora_pass(&net, true, 4);
    uint64_t seed = lora->seed;
    assert_true(lora->dropout == 0.5f);
    cr_net_lora_pass(&net, true, 5);
    assert_true(lora->seed != seed);
    cr_net_lora_pass(&net, true, 4);
    assert_true(lora->seed == seed);
    cr_net_lora_pass(&net, false, 4);
    assert_true(lora->dropout == 0);
    cr_net_close(&net);
}

/* ---- the loop ---- */

#define N_SAMPLES 5

struct recorder {
    struct cr_net *net;
    uint32_t at[CR_TASK_SLOTS][8];
    size_t n_at[CR_TASK_SLOTS], seen[N_SAMPLES], n_passes;
    double scale, largest;
};

static enum critic_status prepare(void *self, size_t slot, bool eval, const uint32_t *at,
                                  size_t n, critic_error *err) {
    struct recorder *r = self;
    (void)eval;
    (void)err;
    memcpy(r->at[slot], at, n * sizeof *at);
    r->n_at[slot] = n;
    return CRITIC_OK;
}

/* Every gradient is scale * 3, so a step of two passes at half the scale sees 3. */
static enum critic_status pass(void *self, size_t slot, bool train, double scale,
                               struct cr_pass *out, critic_error *err) {
    struct recorder *r = self;
    (void)err;
    assert_true(train);
    for (size_t i = 0; i < r->n_at[slot]; i++)
        r->seen[r->at[slot][i]]++;
    for (size_t i = 0; i < r->net->n_tensors; i++) {
        struct cr_train_tensor *t = &r->net->tensors[i];
        for (size_t k = 0; k < t->rows * t->cols; k++)
            t->g[k] += (float)(3 * scale);
    }
    r->scale = scale;
    r->n_passes++;
    out->loss += 1;
    out->n_losses++;
    out->n_tokens += 10;
    return CRITIC_OK;
}

static enum critic_status names(void *self, size_t slot, struct cr_buf *out,
                                critic_error *err) {
    (void)self;
    (void)slot;
    return cr_buf_append_c(out, "x", err);
}

/* Steps of plain AdamW from m = v = 0 with one gradient: w -= lr * g / (|g| + eps), whatever g. */
static void test_accumulation_and_rates(void **state) {
    (void)state;
    struct cr_net net;
    struct recorder r = {.net = &net};
    struct cr_loop_opts o;
    struct cr_loop_result result;
    critic_error err;
    char command[256];
    open_net(&net, (struct cr_net_opts){0});
    const struct cr_train_tensor *decoder = tensor(&net, "norm.weight"),
                                 *projector =
                                     tensor(&net, "multi_modal_projector.linear_1.bias"),
                                 *tower = tensor(
                                     &net,
                                     "vision_tower.encoder.layers.0.layer_norm1.bias");
    double before[3] = {(double)decoder->w[0], (double)projector->w[0],
                        (double)tower->w[0]};
    const struct cr_task task = {.self = &r,
                                 .n_train = N_SAMPLES,
                                 .prepare = prepare,
                                 .pass = pass,
                                 .names = names};
    cr_loop_opts_default(&o);
    snprintf(command, sizeof command, "t-loop-%ld", (long)getpid());
    o.out = command;
    o.batch = 1;
    o.accumulate = 2;
    o.save_every = 0;
    o.schedule =
        (struct cr_schedule_opts){.kind = CR_SCHEDULE_CONSTANT, .n_steps = N_SAMPLES};
    o.optim.clip = 0;
    o.optim.lr[CR_PART_DECODER] = 0.01;
    o.optim.lr[CR_PART_PROJECTOR] = 0.002;
    o.optim.lr[CR_PART_TOWER] = 0.0003;
    T_OK(cr_loop_run(&net, &task, &o, &result, &err));
    assert_int_equal(r.n_passes, 2 * N_SAMPLES);
    T_NEAR(r.scale, 0.5, 0, 0);
    for (size_t i = 0; i < N_SAMPLES; i++) /* two epochs, each sample once in each */
        assert_int_equal(r.seen[i], 2);
    T_NEAR(decoder->g[0], 3, 1e-6, 0);
    T_NEAR(before[0] - (double)decoder->w[0], N_SAMPLES * 0.01, 0, 1e-3);
    T_NEAR(before[1] - (double)projector->w[0], N_SAMPLES * 0.002, 0, 1e-3);
    T_NEAR(before[2] - (double)tower->w[0], N_SAMPLES * 0.0003, 0, 2e-3);
    assert_int_equal(result.n_tokens, 20 * N_SAMPLES);
    cr_dir_remove(command);
    cr_net_close(&net);
}

/* A run that is stopped after two steps and goes on: progress says where this process began. */
struct watcher {
    size_t stop_at, first_step, step;
};

static void watch(void *user, const struct cr_loop_progress *p) {
    struct watcher *w = user;
    w->first_step = p->first_step;
    w->step = p->step;
}

static bool stop_there(void *user) {
    const struct watcher *w = user;
    return w->step + 1 == w->stop_at;
}

static void test_progress_after_resume(void **state) {
    (void)state;
    char out[64];
    critic_error err;
    snprintf(out, sizeof out, "t-progress-%ld", (long)getpid());
    for (int i = 0; i < 2; i++) {
        struct cr_net net;
        struct recorder r = {.net = &net};
        struct watcher w = {.stop_at = i ? 0 : 2};
        struct cr_loop_opts o;
        struct cr_loop_result result;
        open_net(&net, (struct cr_net_opts){0});
        const struct cr_task task = {.self = &r,
                                     .n_train = N_SAMPLES,
                                     .prepare = prepare,
                                     .pass = pass,
                                     .names = names};
        cr_loop_opts_default(&o);
        o.out = out;
        o.batch = 1;
        o.resume = i;
        o.log_every = 1;
        o.schedule.n_steps = 4;
        o.on_step = watch;
        o.cancel = stop_there;
        o.on_step_user = o.cancel_user = &w;
        enum critic_status status = cr_loop_run(&net, &task, &o, &result, &err);
        assert_int_equal(status, i ? CRITIC_OK : CRITIC_CANCELLED);
        assert_int_equal(w.step, i ? 4 : 2);
        assert_int_equal(w.first_step, i ? 2 : 0);
        cr_net_close(&net);
    }
    cr_dir_remove(out);
}

/* ---- labels ---- */

static const char label_lines[] =
    "{\"image\":\"94x235.png\",\"grid\":[2,2],\"labels\":{\"shape\":[0,1,2,1],\"dark\":"
    "[1,0,0,1]}}\n"
    "{\"image\":\"1x1.png\",\"grid\":[1,3],\"labels\":{\"shape\":[2,2,0],\"dark\":[0,1,1]"
    "}"
    "}\n";

static double label_loss(struct cr_labels *l, struct cr_tensor x, struct cr_tensor dx,
                         size_t side) {
    critic_error err;
    double loss;
    const struct cr_label_use uses[] = {{&l->items[0], 0}, {&l->items[1], 1}};
    T_OK(cr_label_loss(l, uses, 2, x, dx, side, 0.7, &loss, &err));
    return loss;
}

/* d loss / d features and d heads by central differences; 0.7 is the scale. */
static void test_label_gradients(void **state) {
    (void)state;
    struct cr_net net;
    struct t_dir dir;
    struct cr_labels labels;
    struct cr_pictures pictures;
    struct cr_rng rng;
    critic_error err;
    open_net(&net, (struct cr_net_opts){0});
    t_dir_make(&dir, "labels");
    t_write(&dir, "labels.jsonl", label_lines, sizeof label_lines - 1);
    cr_pictures_init(&pictures, 1 << 20);
    T_OK(cr_labels_open(&labels, t_path(&dir, "labels.jsonl"),
                        T_SOURCE("tests/golden/images"), &pictures, false, &err));
    T_OK(cr_label_heads_add(&labels, &net, 5, &err));
    size_t side = cr_vision_grid(&net.config.vision), width = net.config.vision.width;
    cr_rng_seed(&rng, 3);
    struct cr_tensor x = t_random(CR_F32, 2 * side * side, width, 1, &rng);
    struct cr_tensor dx = t_random(CR_F32, 2 * side * side, width, 0, &rng), none = dx;
    none.data = NULL;
    label_loss(&labels, x, dx, side);
    float *values[] = {x.data, labels.heads[0].w->w, labels.heads[1].b->w};
    float *gradients[] = {dx.data, labels.heads[0].w->g, labels.heads[1].b->g};
    size_t n[] = {2 * side * side * width, 3 * width, 2};
    for (size_t v = 0; v < 3; v++)
        for (size_t i = 0; i < n[v]; i += 1 + n[v] / 40) {
            float kept = values[v][i];
            values[v][i] = kept + 0.05f;
            double up = label_loss(&labels, x, none, side);
            values[v][i] = kept - 0.05f;
            double down = label_loss(&labels, x, none, side);
            values[v][i] = kept;
            T_NEAR(gradients[v][i], 0.7 * (up - down) / 0.1, 2e-5, 5e-3);
        }
    free(x.data);
    free(dx.data);
    cr_labels_close(&labels);
    cr_pictures_fini(&pictures);
    t_dir_remove(&dir);
    cr_net_close(&net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_decay_and_muon),
                                       cmocka_unit_test(test_frozen_parts),
                                       cmocka_unit_test(test_adapter_off_and_on),
                                       cmocka_unit_test(test_accumulation_and_rates),
                                       cmocka_unit_test(test_progress_after_resume),
                                       cmocka_unit_test(test_label_gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
