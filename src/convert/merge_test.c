/* A PEFT adapter added to a tiny checkpoint: W + alpha / r * B A, and what is refused. */
#include "t.h"

#include "convert/convert.h"
#include "io/safetensors.h"
#include "kernel/quant.h"
#include "t_files.h"

#define MODEL T_SOURCE("tests/tiny/ov-lmms")
#define RANK  2

static struct t_dir dir;

static int set_up(void **state) {
    (void)state;
    t_dir_make(&dir, "merge");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_dir_remove(&dir);
    return 0;
}

static float value(size_t i) {
    return (float)((i * 7919) % 101) / 50 - 1;
}

/* One term of the linear `name` (n, k) in PEFT's files. */
static void write_adapter(const char *name, size_t n, size_t k, const char *config) {
    struct cr_safetensors_writer w;
    char names[2][160];
    float data[4096];
    critic_error err;
    snprintf(names[0], sizeof names[0], "base_model.model.%s.lora_A.weight", name);
    snprintf(names[1], sizeof names[1], "base_model.model.%s.lora_B.weight", name);
    const struct cr_file_tensor tensors[2] = {
        {.name = names[0], .dtype = CR_F32, .n_dim = 2, .dim = {RANK, k}},
        {.name = names[1], .dtype = CR_F32, .n_dim = 2, .dim = {n, RANK}}};
    t_write_text(&dir, "adapter_config.json", config);
    assert_true(RANK * (n + k) <= 4096);
    for (size_t i = 0; i < RANK * (n + k); i++)
        data[i] = value(i);
    T_OK(cr_safetensors_create(&w, t_path(&dir, "adapter_model.safetensors"), tensors, 2,
                               NULL, 0, &err));
    T_OK(cr_safetensors_write(&w, data, RANK * (n + k) * sizeof *data, &err));
    T_OK(cr_safetensors_commit(&w, &err));
}

static enum critic_status merge(const char *out, critic_error *err) {
    struct cr_store *store;
    struct cr_config config;
    const struct cr_convert_options o = {
        .target = CR_CONVERT_LMMS, .dtype = CR_F32, .merge_lora = dir.path};
    CR_TRY(cr_store_open(&store, MODEL, err));
    enum critic_status status = cr_config_read(&config, store, err);
    if (status == CRITIC_OK)
        status = cr_convert(store, &config, out, &o, NULL, err);
    cr_store_close(store);
    return status;
}

static void row_of(float *out, const struct cr_store *store, const char *name,
                   size_t row) {
    const struct cr_tensor *t = &cr_store_find(store, name)->tensor;
    cr_row_to_f32(t->dtype, cr_tensor_row(t, row), out, cr_tensor_cols(t));
}

/* Names as transformers 5 has them in memory, and as lmms-lab writes them. */
static void check_merge(const char *name, double scale, const char *config) {
    struct cr_store *was, *is;
    char path[256];
    critic_error err;
    float before[40], after[40];
    write_adapter(name, 40, 40, config);
    snprintf(path, sizeof path, "%s-out", dir.path);
    T_OK(merge(path, &err));
    T_OK(cr_store_open(&was, MODEL, &err));
    T_OK(cr_store_open(&is, path, &err));
    for (size_t r = 0; r < 40; r++) {
        row_of(before, was, "layers.1.self_attn.q_proj.weight", r);
        row_of(after, is, "layers.1.self_attn.q_proj.weight", r);
        for (size_t c = 0; c < 40; c++) {
            double sum = 0;
            for (size_t i = 0; i < RANK; i++)
                sum +=
                    (double)value(RANK * 40 + r * RANK + i) * (double)value(i * 40 + c);
            T_NEAR(after[c], (double)before[c] + scale * sum, 1e-6, 1e-6);
        }
        row_of(before, was, "layers.0.self_attn.q_proj.weight", r);
        row_of(after, is, "layers.0.self_attn.q_proj.weight", r);
        assert_memory_equal(before, after, sizeof before);
    }
    cr_store_close(was);
    cr_store_close(is);
    cr_dir_remove(path);
}

static void test_merge(void **state) {
    (void)state;
    check_merge("model.language_model.layers.1.self_attn.q_proj", 4,
                "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":8,\"target_modules\":"
                "\"all-linear\"}");
    check_merge("model.layers.1.self_attn.q_proj", 8 / sqrt(2),
                "{\"r\":2,\"lora_alpha\":8,\"use_rslora\":true}");
}

static void refuse(enum critic_status status, const char *message) {
    char path[256];
    critic_error err;
    snprintf(path, sizeof path, "%s-no", dir.path);
    T_FAILS(merge(path, &err), status, message);
    assert_false(cr_dir_exists(path));
}

static void test_refused(void **state) {
    const char *config = "{\"r\":2,\"lora_alpha\":8}";
    (void)state;
    write_adapter("model.layers.9.self_attn.q_proj", 40, 40, config);
    refuse(CRITIC_BAD_MODEL, "no such linear");
    write_adapter("model.layers.1.self_attn.q_proj", 40, 41, config);
    refuse(CRITIC_BAD_MODEL, "another shape");
    write_adapter("model.layers.1.self_attn.q_proj", 40, 40,
                  "{\"r\":2,\"use_dora\":true}");
    refuse(CRITIC_UNSUPPORTED, "'use_dora' is set");
    write_adapter("model.layers.1.self_attn.q_proj", 40, 40, "{\"peft_type\":\"IA3\"}");
    refuse(CRITIC_UNSUPPORTED, "'IA3'");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_merge),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
