/* Every allocation of every loader is refused once: the loader says so and leaks nothing.
 * Pictures have their own (src/image/oom_test.c). */
#include "t.h"
#include "t_oom.h"

#include <jansson.h>
#include <omp.h>

#include "base/arena.h"
#include "base/file.h"
#include "engine/engine.h"
#include "io/gguf.h"
#include "io/jsonl.h"
#include "io/safetensors.h"
#include "judge/judge.h"
#include "judge/template.h"

#if T_OOM_AVAILABLE
#define TINY T_SOURCE("tests/tiny/")

static const char *const checkpoints[] = {TINY "ov-lmms", TINY "ov-lmms-sharded",
                                          TINY "ov-hf-old", TINY "ov-hf-mem-flat",
                                          TINY "ov-text.gguf"};
#define N_CHECKPOINTS (sizeof checkpoints / sizeof checkpoints[0])

/* Jansson 2.14 ignores that the buffer of a token did not grow, and then writes behind it: those
 * blocks (powers of two from 32) are given always, all its others are refused in turn. */
static void *jansson_malloc(size_t bytes) {
    bool grows_token = bytes >= 32 && (bytes & (bytes - 1)) == 0;
    return grows_token ? t_oom_malloc_always(bytes) : malloc(bytes);
}

/* Where Jansson cannot keep a token it calls the syntax wrong, and nothing tells the two apart. */
static enum critic_status forgive(enum critic_status status, const critic_error *err) {
    bool is_json = status == CRITIC_BAD_FILE || status == CRITIC_BAD_DATA;
    return is_json && strstr(err->message, "not valid JSON") ? CRITIC_NO_MEMORY : status;
}

#define SWEEP(call, status, cleanup)                                                     \
    T_OOM_SWEEP((status) = forgive((call), &err), status, cleanup)

/* The sweep saw at least this many allocations: it tested something. */
static void saw(size_t before, size_t least, const char *what) {
    if (t_oom_refused < before + least)
        fail_msg("%s: only %zu allocations seen", what, t_oom_refused - before);
}

/* Blocks of an arena come from one reservation: each is refused in turn, too. */
#define ARENA_SWEEP(arena, call, status, cleanup)                                        \
    do {                                                                                 \
        size_t t_n_ = 0, t_mark_ = cr_arena_mark(arena);                                 \
        do {                                                                             \
            (arena)->fail_at = (arena)->n_allocs + ++t_n_;                               \
            long t_before_ = t_oom_live;                                                 \
            call;                                                                        \
            if ((status) == CRITIC_OK)                                                   \
                cleanup;                                                                 \
            else                                                                         \
                assert_int_equal((status), CRITIC_NO_MEMORY);                            \
            cr_arena_release((arena), t_mark_);                                          \
            assert_int_equal(t_oom_live, t_before_);                                     \
            assert_true(t_n_ < 100000);                                                  \
        } while ((status) != CRITIC_OK);                                                 \
        (arena)->fail_at = 0;                                                            \
        assert_true(t_n_ > 2);                                                           \
    } while (0)

static void test_files(void **state) {
    (void)state;
    critic_error err;
    struct cr_arena arena;
    struct cr_safetensors s;
    struct cr_gguf g;
    enum critic_status status = CRITIC_OK;
    size_t before = t_oom_refused;
    const char *path = TINY "ov-lmms/model.safetensors";
    T_OK(cr_arena_init(&arena, 1 << 24, &err));
    SWEEP(cr_safetensors_open(&s, &arena, path, &err), status, cr_safetensors_close(&s));
    saw(before, 100, path);
    ARENA_SWEEP(&arena, status = cr_safetensors_open(&s, &arena, path, &err), status,
                cr_safetensors_close(&s));
    ARENA_SWEEP(&arena, status = cr_gguf_open(&g, &arena, TINY "ov-text.gguf", &err),
                status, cr_gguf_close(&g));
    cr_arena_fini(&arena);
}

static void test_stores(void **state) {
    (void)state;
    critic_error err;
    for (size_t i = 0; i < N_CHECKPOINTS; i++) {
        struct cr_store *store;
        struct cr_config config;
        struct cr_arena arena;
        enum critic_status status = CRITIC_OK;
        size_t before = t_oom_refused;
        SWEEP(cr_store_open(&store, checkpoints[i], &err), status, cr_store_close(store));
        saw(before, 2, checkpoints[i]);
        T_OK(cr_arena_init(&arena, 1 << 26, &err));
        ARENA_SWEEP(&arena,
                    status = cr_store_open_in(&store, &arena, checkpoints[i], &err),
                    status, cr_store_close(store));
        cr_arena_fini(&arena);
        T_OK(cr_store_open(&store, checkpoints[i], &err));
        before = t_oom_refused;
        SWEEP(cr_config_read(&config, store, &err), status, (void)0);
        if (!cr_store_gguf(store))
            saw(before, 20, checkpoints[i]);
        cr_store_close(store);
    }
}

static void test_tokenizers(void **state) {
    (void)state;
    static const char *const folders[] = {TINY "ov-lmms", TINY "ov-lmms-sharded"};
    critic_error err;
    for (size_t i = 0; i < 2; i++) {
        struct cr_tokenizer *t;
        enum critic_status status = CRITIC_OK;
        size_t before = t_oom_refused;
        SWEEP(cr_tokenizer_open(&t, folders[i], &err), status, cr_tokenizer_free(t));
        saw(before, 500, folders[i]);
        T_OK(cr_tokenizer_open(&t, folders[i], &err));
        struct cr_ids ids;
        struct cr_buf text;
        before = t_oom_refused;
        T_OOM_SWEEP(
            {
                cr_ids_init(&ids);
                status = cr_tokenizer_encode(
                    t, cr_str_of("Score: e\xcc\x81 <|im_end|> the better response"), true,
                    &ids, &err);
                if (status != CRITIC_OK)
                    cr_ids_fini(&ids);
            },
            status, cr_ids_fini(&ids));
        saw(before, 3, "encode");
        cr_buf_init(&text, 1 << 16);
        T_OOM_SWEEP(
            {
                cr_buf_fini(&text);
                cr_buf_init(&text, 1 << 16);
                status = cr_tokenizer_decode(t, (const int32_t[]){40, 41}, 2, false,
                                             &text, &err);
            },
            status, cr_buf_fini(&text));
        cr_tokenizer_free(t);
    }
}

/* The whole of it: store, configuration, parameters, tokenizer, kernels, memory pool. */
static void test_engines(void **state) {
    (void)state;
    critic_error err;
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    static const char *const models[] = {TINY "tied-lmms", TINY "ov-text.gguf"};
    for (size_t i = 0; i < 2; i++) {
        struct cr_engine *e;
        struct cr_engine_opts opts;
        enum critic_status status = CRITIC_OK;
        cr_engine_opts_default(&opts);
        opts.exec.n_threads = 1;
        opts.kv_bytes = (size_t)16 << 20;
        T_OK(cr_engine_open(&e, models[i], &opts, &err)); /* warms libraries up */
        cr_engine_free(e);
        size_t before = t_oom_refused;
        SWEEP(cr_engine_open(&e, models[i], &opts, &err), status, cr_engine_free(e));
        saw(before, 30, models[i]);
    }
    omp_set_num_threads(threads);
}

static void test_templates_and_items(void **state) {
    (void)state;
    critic_error err;
    for (size_t i = 0; i < cr_template_n_builtin(); i++) {
        struct cr_template *t;
        enum critic_status status = CRITIC_OK;
        SWEEP(cr_template_open(&t, cr_template_builtin_name(i), &err), status,
              cr_template_free(t));
    }
    struct cr_item item;
    enum critic_status status = CRITIC_OK;
    const struct cr_str line =
        cr_str_of("{\"id\":\"a\",\"images\":[\"cat.jpg\",\"data:image/png;base64,AAAA\"],"
                  "\"question\":\"What?\",\"responses\":[\"A cat.\",\"A "
                  "dog.\"],\"reference\":\"cat\","
                  "\"criteria\":[\"right\",\"short\"],\"context\":\"c\"}");
    size_t before = t_oom_refused;
    SWEEP(cr_item_from_json(&item, line, "folder", "in.jsonl:1", &err), status,
          cr_item_fini(&item));
    saw(before, 10, "item");
}

static void test_json_lines(void **state) {
    (void)state;
    critic_error err;
    enum critic_status status = CRITIC_OK;
    T_OOM_SWEEP(
        {
            struct cr_jsonl_reader r;
            struct cr_str line;
            status = cr_jsonl_open(&r, TINY "ov-lmms/config.json", 1 << 16, &err);
            while (status == CRITIC_OK) {
                status = cr_jsonl_next(&r, &line, &err);
                if (!line.data)
                    break;
            }
            cr_jsonl_close(&r);
        },
        status, (void)0);
}

int main(void) {
    json_set_alloc_funcs(jansson_malloc, free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_tokenizers),
        cmocka_unit_test(test_engines),
        cmocka_unit_test(test_templates_and_items),
        cmocka_unit_test(test_json_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) {
    puts("skipped: the sanitizer owns malloc");
    return 77;
}
#endif
