/* Checkpoints of every layout behind one lookup, and every way in which a folder is refused. */
#include "tensor/store.h"

#include <unistd.h>

#include "base/checked.h"
#include "t_files.h"
#include "tensor/embedded.h"

#define TINY T_SOURCE("tests/tiny/")

static struct t_dir dir;

static int set_up(void **state) {
    (void)state;
    t_dir_make(&dir, "store");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_dir_remove(&dir);
    return 0;
}

/* A safetensors file of this header and n data bytes: 0, 1, 2, … */
static const char *write_safetensors(const char *name, const char *header, size_t n) {
    unsigned char file[4096] = {0};
    size_t len = strlen(header);
    CR_ASSERT(8 + len + n <= sizeof file);
    file[0] = (unsigned char)(len & 255);
    file[1] = (unsigned char)(len >> 8);
    memcpy(file + 8, header, len);
    for (size_t i = 0; i < n; i++)
        file[8 + len + i] = (unsigned char)i;
    return t_write(&dir, name, file, 8 + len + n);
}

#define TENSOR(name, dtype, shape, offsets)                                              \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape                             \
    ",\"data_offsets\":" offsets "}"

/* ---- layouts ------------------------------------------------------------------------- */

static const struct {
    const char *path;
    enum cr_layout layout;
    const char *embedding; /* its name in the file */
} checkpoints[] = {
    {TINY "ov-lmms", CR_LAYOUT_LMMS, "model.embed_tokens.weight"},
    {TINY "ov-lmms-sharded", CR_LAYOUT_LMMS, "model.embed_tokens.weight"},
    {TINY "ov-hf-old", CR_LAYOUT_HF, "language_model.model.embed_tokens.weight"},
    {TINY "ov-hf-old-flat", CR_LAYOUT_HF, "language_model.model.embed_tokens.weight"},
    {TINY "ov-hf-mem", CR_LAYOUT_HF, "model.language_model.embed_tokens.weight"},
    {TINY "ov-hf-mem-flat", CR_LAYOUT_HF, "model.language_model.embed_tokens.weight"},
    {TINY "ov-text.gguf", CR_LAYOUT_GGUF, "token_embd.weight"},
};

static void test_layouts(void **state) {
    (void)state;
    critic_error err;
    for (size_t i = 0; i < CR_COUNT(checkpoints); i++) {
        struct cr_store *s;
        struct cr_tensor t;
        char hash[33], again[33];
        T_OK(cr_store_open(&s, checkpoints[i].path, &err));
        assert_int_equal(cr_store_layout(s), checkpoints[i].layout);
        const struct cr_store_entry *e = cr_store_find(s, "embed_tokens.weight");
        assert_non_null(e);
        assert_string_equal(e->name, checkpoints[i].embedding);
        T_OK(cr_store_get(s, "embed_tokens.weight", 2, (const size_t[]){523, 40}, &t,
                          &err));
        T_OK(cr_store_get(s, "layers.2.mlp.down_proj.weight", 2, (const size_t[]){40, 68},
                          &t, &err));
        if (checkpoints[i].layout != CR_LAYOUT_GGUF) {
            T_OK(cr_store_get(s, "vision_tower.encoder.layers.2.mlp.fc1.weight", 2,
                              (const size_t[]){50, 36}, &t, &err));
            T_OK(cr_store_get(s, "vision_tower.embeddings.patch_embedding.weight", 4,
                              (const size_t[]){36, 3, 7, 7}, &t, &err));
            T_OK(cr_store_get(s, "multi_modal_projector.linear_2.bias", 1,
                              (const size_t[]){40}, &t, &err));
            T_OK(cr_store_get(s, "image_newline", 1, (const size_t[]){40}, &t, &err));
        }
        assert_null(cr_store_find(s, "nothing"));
        cr_store_hash(s, hash);
        cr_store_close(s);
        T_OK(cr_store_open(&s, checkpoints[i].path, &err));
        cr_store_hash(s, again);
        assert_string_equal(hash, again);
        cr_store_close(s);
    }
}

/* A compiled-in model is its file, byte for byte; a path of that name goes before it. */
static void test_embedded(void **state) {
    (void)state;
    critic_error err;
    struct cr_store *s;
    char embedded[33], file[33];
    size_t n = 0;
    for (const char *name; (name = cr_embedded_name(n)); n++) {
        char path[512];
        T_OK(cr_store_open(&s, name, &err));
        assert_string_equal(cr_store_dir(s), name);
        assert_non_null(cr_store_gguf_vision(s));
        for (size_t i = 0; i < cr_store_count(s); i++)
            assert_int_equal((uintptr_t)cr_store_at(s, i)->tensor.data % 32, 0);
        cr_store_hash(s, embedded);
        cr_store_close(s);
        snprintf(path, sizeof path, "%s%s.gguf", T_SOURCE("assets/micro/"), name);
        T_OK(cr_store_open(&s, path, &err));
        cr_store_hash(s, file);
        cr_store_close(s);
        assert_string_equal(embedded, file);
    }
    assert_int_equal(n, 3);
    t_write_text(&dir, "micro-base", "x");
    assert_int_equal(chdir(dir.path), 0);
    T_FAILS(cr_store_open(&s, "micro-base", &err), CRITIC_BAD_FILE, "not a checkpoint");
    T_OK(cr_store_open(&s, "micro-policy", &err));
    cr_store_close(s);
    T_FAILS(cr_store_open(&s, "mmproj-micro-base", &err), CRITIC_BAD_FILE,
            "no such checkpoint");
    assert_int_equal(chdir(".."), 0);
}

/* What lmms-lab files carry beside the network is recognised and not asked for. */
static void test_surplus(void **state) {
    (void)state;
    critic_error err;
    struct cr_store *s;
    T_OK(cr_store_open(&s, TINY "ov-lmms", &err));
    assert_non_null(cr_store_find(s, "vision_tower.encoder.layers.3.mlp.fc1.weight"));
    assert_non_null(cr_store_find(s, "vision_tower.head.probe"));
    assert_non_null(cr_store_find(s, "vision_tower.post_layernorm.weight"));
    cr_store_close(s);
}

/* Weights lie in the mapping, but for one that its file misaligns. */
static void test_alignment(void **state) {
    (void)state;
    critic_error err;
    struct cr_store *s;
    struct cr_tensor t;
    const char *path =
        write_safetensors("model.safetensors",
                          "{" TENSOR("model.norm.weight", "F32", "[2]",
                                     "[3,11]") "," TENSOR("x", "U8", "[3]", "[0,3]") "}",
                          11);
    T_OK(cr_store_open(&s, path, &err));
    T_OK(cr_store_get(s, "norm.weight", 1, (const size_t[]){2}, &t, &err));
    assert_int_equal((uintptr_t)t.data % 4, 0);
    assert_memory_equal(t.data, "\3\4\5\6\7\10\11\12", 8);
    cr_store_close(s);
}

/* ---- lookup --------------------------------------------------------------------------- */

static void test_get(void **state) {
    (void)state;
    critic_error err;
    struct cr_store *s;
    struct cr_tensor t;
    T_OK(cr_store_open(
        &s,
        write_safetensors(
            "model.safetensors",
            "{" TENSOR("model.a", "F32", "[2,3]", "[0,24]") "," TENSOR(
                "model.b", "F32", "[1,3,1]", "[24,36]") "," TENSOR("model.c", "F32", "[]",
                                                                   "[36,40]") "}",
            40),
        &err));
    T_FAILS(cr_store_get(s, "z", 1, (const size_t[]){2}, &t, &err), CRITIC_BAD_MODEL,
            "tensor 'z' is missing");
    T_FAILS(cr_store_get(s, "a", 2, (const size_t[]){3, 2}, &t, &err), CRITIC_BAD_MODEL,
            "model.safetensors: tensor 'model.a': found shape (2, 3), expected (3, 2)");
    T_FAILS(cr_store_get(s, "a", 1, (const size_t[]){6}, &t, &err), CRITIC_BAD_MODEL,
            "expected (6)");
    T_OK(cr_store_get(s, "b", 1, (const size_t[]){3}, &t, &err)); /* unit axes */
    assert_int_equal(t.row_bytes, 12);
    T_OK(cr_store_get(s, "c", 1, (const size_t[]){1}, &t, &err));
    cr_store_close(s);
}

/* ---- refused ---------------------------------------------------------------------------- */

static void refused(enum critic_status status, const char *text) {
    critic_error err;
    struct cr_store *s;
    T_FAILS(cr_store_open(&s, dir.path, &err), status, text);
    assert_null(s);
}

static void test_paths(void **state) {
    (void)state;
    critic_error err;
    struct cr_store *s;
    T_FAILS(cr_store_open(&s, "no/such/place", &err), CRITIC_BAD_FILE,
            "no such checkpoint");
    T_FAILS(cr_store_open(&s, "", &err), CRITIC_BAD_FILE, "no such checkpoint");
    T_FAILS(cr_store_open(&s, t_write_text(&dir, "notes.txt", "x"), &err),
            CRITIC_BAD_FILE, "notes.txt: not a checkpoint");
    refused(CRITIC_BAD_MODEL, "found neither safetensors nor a .gguf file");
    t_write_text(&dir, "pytorch_model.bin", "x");
    refused(CRITIC_BAD_MODEL, "PyTorch pickles");
    t_write_text(&dir, "adapter_config.json", "{}");
    refused(CRITIC_BAD_MODEL, "only a LoRA adapter");
    t_write_text(&dir, "a.gguf", "x");
    refused(CRITIC_BAD_FILE, "a.gguf: not a GGUF file");
    t_write_text(&dir, "b.gguf", "x");
    refused(CRITIC_BAD_MODEL, "holds 2 .gguf files");
}

#define INDEX "model.safetensors.index.json"

static void test_index(void **state) {
    (void)state;
    static const struct {
        const char *index;
        enum critic_status status;
        const char *text;
    } cases[] = {
        {"{", CRITIC_BAD_FILE, INDEX ":1:1"},
        {"[]", CRITIC_BAD_FILE, "no object 'weight_map'"},
        {"{}", CRITIC_BAD_FILE, "no object 'weight_map'"},
        {"{\"weight_map\":[]}", CRITIC_BAD_FILE, "'weight_map' is not an object"},
        {"{\"weight_map\":{}}", CRITIC_BAD_FILE, "weight_map is empty"},
        {"{\"weight_map\":{\"model.a\":7}}", CRITIC_BAD_FILE,
         "tensor 'model.a' no plain"},
        {"{\"weight_map\":{\"model.a\":\"../x\"}}", CRITIC_BAD_FILE,
         "no plain file name"},
        {"{\"weight_map\":{\"model.a\":\"\"}}", CRITIC_BAD_FILE, "no plain file name"},
        {"{\"weight_map\":{\"model.a\":\"s\\u0000\"}}", CRITIC_BAD_FILE,
         "no plain file name"},
        {"{\"weight_map\":{\"model.a\":\"s\",\"model.b\":\"absent\"}}", CRITIC_BAD_MODEL,
         "the shard 'absent' is not there"},
        {"{\"weight_map\":{\"model.a\":\"s\",\"model.z\":\"s\"}}", CRITIC_BAD_MODEL,
         "tensor 'model.z' is not in its shard 's'"},
        {"{\"weight_map\":{\"model.a\":\"s\",\"model.b\":\"cut\"}}", CRITIC_BAD_FILE,
         "cut: "},
    };
    write_safetensors("s", "{" TENSOR("model.a", "F32", "[2]", "[0,8]") "}", 8);
    write_safetensors("cut", "{" TENSOR("model.b", "F32", "[2]", "[0,8]") "}", 7);
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        t_write_text(&dir, INDEX, cases[i].index);
        refused(cases[i].status, cases[i].text);
    }
}

static void test_names(void **state) {
    (void)state;
    write_safetensors("model.safetensors",
                      "{" TENSOR("model.norm.weight", "F32", "[1]", "[0,4]") "," TENSOR(
                          "language_model.model.norm.weight", "F32", "[1]", "[4,8]") "}",
                      8);
    refused(CRITIC_BAD_MODEL, "mean the same weight");
    write_safetensors("model.safetensors",
                      "{" TENSOR("model.mm_projector.0.bias", "F32", "[1]",
                                 "[0,4]") "," TENSOR("language_model.model.norm.weight",
                                                     "F32", "[1]", "[4,8]") "}",
                      8);
    refused(CRITIC_BAD_MODEL, "mixes names of the lmms-lab and the llava-hf layout");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),
        cmocka_unit_test_setup_teardown(test_embedded, set_up, tear_down),
        cmocka_unit_test(test_surplus),
        cmocka_unit_test_setup_teardown(test_alignment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_get, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
