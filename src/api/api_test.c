/* The public interface on the tiny checkpoint: what tests/e2e/library_test.sh does not reach. */
#include "t.h"

#define MODEL T_SOURCE("tests/tiny/ov-lmms")

static critic_engine *engine;
static size_t n_log_lines;

static void on_log(void *user, int level, const char *line) {
    (void)level;
    assert_ptr_equal(user, &n_log_lines);
    assert_null(strchr(line, '\n'));
    n_log_lines++;
}

static int open_engine(void **state) {
    critic_error err;
    critic_engine_options options;
    (void)state;
    critic_engine_options_default(&options);
    options.log = on_log;
    options.user = &n_log_lines;
    options.n_threads = 1;
    T_OK(critic_engine_open(&engine, MODEL, &options, &err));
    return 0;
}

static int free_engine(void **state) {
    (void)state;
    critic_engine_free(engine);
    critic_engine_free(NULL);
    return 0;
}

static void opens_only_what_is_sound(void **state) {
    critic_error err;
    critic_engine *e = engine;
    critic_engine_options options;
    (void)state;
    T_FAILS(critic_engine_open(&e, "not/there", NULL, &err), CRITIC_BAD_FILE,
            "not/there");
    assert_null(e);
    assert_int_equal(critic_engine_open(&e, "not/there", NULL, NULL), CRITIC_BAD_FILE);
    critic_engine_options_default(&options);
    options.isa = "mmx";
    T_FAILS(critic_engine_open(&e, MODEL, &options, &err), CRITIC_BAD_ARGUMENT, "'mmx'");
    options.isa = NULL;
    options.n_threads = -1;
    T_FAILS(critic_engine_open(&e, MODEL, &options, &err), CRITIC_BAD_ARGUMENT,
            "negative");
    options.n_threads = 0;
    options.precision = (enum critic_precision)7;
    T_FAILS(critic_engine_open(&e, MODEL, &options, &err), CRITIC_BAD_ARGUMENT,
            "precision");
    assert_string_equal(critic_engine_model(engine), MODEL);
    assert_int_equal(strlen(critic_engine_model_hash(engine)), 32);
    assert_true(critic_engine_reads_images(engine));
    assert_true(critic_engine_context(engine) > 1000);
    assert_true(critic_engine_kv_bytes_per_token(engine) > 0);
}

static void takes_pixels(void **state) {
    static const unsigned char rgb[2 * 10] = {1, 2, 3, 4, 5, 6};
    critic_error err;
    critic_image *image;
    critic_image_limits limits;
    (void)state;
    T_OK(critic_image_from_rgb(&image, rgb, 2, 2, 10, &err));
    assert_int_equal(critic_image_width(image), 2);
    assert_int_equal(critic_image_height(image), 2);
    critic_image_free(image);
    T_FAILS(critic_image_from_rgb(&image, rgb, 0, 2, 10, &err), CRITIC_BAD_ARGUMENT,
            "0 x 2");
    assert_null(image);
    T_FAILS(critic_image_from_rgb(&image, rgb, SIZE_MAX / 2, 3, 10, &err),
            CRITIC_BAD_ARGUMENT, "pixels");
    T_FAILS(critic_image_from_rgb(&image, rgb, 4, 1, 10, &err), CRITIC_BAD_ARGUMENT,
            "rows of 10 bytes");
    T_FAILS(critic_image_decode(&image, "text", 4, NULL, NULL, &err), CRITIC_UNSUPPORTED,
            "picture");
    critic_image_limits_default(&limits);
    limits.max_px = 10;
    T_FAILS(critic_image_open(&image, T_SOURCE("tests/golden/images/cat-wide.jpg"),
                              &limits, &err),
            CRITIC_BAD_DATA, "cat-wide.jpg");
    critic_image_free(NULL);
}

static void tokenizes_there_and_back(void **state) {
    critic_error err;
    int32_t *ids;
    size_t n, len;
    char *text;
    (void)state;
    T_OK(critic_tokenize(engine, critic_text_of("Hello <|im_end|>"), true, &ids, &n,
                         &err));
    T_OK(critic_detokenize(engine, ids, n, false, &text, &len, &err));
    assert_string_equal(text, "Hello <|im_end|>");
    assert_int_equal(len, strlen(text));
    critic_free(text);
    critic_free(ids);
    T_OK(critic_tokenize(engine, critic_text_of(""), true, &ids, &n, &err));
    assert_int_equal(n, 0);
    critic_free(ids);
    T_FAILS(critic_tokenize(engine, critic_text_of("a\xff"), true, &ids, &n, &err),
            CRITIC_BAD_DATA, "1");
    assert_null(ids);
    T_FAILS(critic_detokenize(engine, (int32_t[]){1 << 30}, 1, false, &text, &len, &err),
            CRITIC_BAD_DATA, "");
    assert_null(text);
}

struct heard {
    char text[4096];
    size_t len;
};

static void on_text(void *user, size_t index, const char *text, size_t len) {
    struct heard *heard = user;
    if (index > 0)
        return;
    assert_true(heard->len + len < sizeof heard->text);
    memcpy(heard->text + heard->len, text, len);
    heard->len += len;
}

static void generates_and_streams(void **state) {
    critic_error err;
    struct heard heard = {.len = 0};
    critic_generate_options options;
    critic_completion *c;
    size_t n;
    (void)state;
    critic_generate_options_default(&options);
    options.n = 2;
    options.temperature = 1;
    options.seed = t_seed(3);
    options.max_new_tokens = 20;
    options.logprobs = true;
    options.on_text = on_text;
    options.user = &heard;
    T_OK(critic_generate(engine, NULL, 0, critic_text_of("Hello"), &options, &c, &err));
    critic_text text = critic_completion_text(c, 0);
    assert_int_equal(text.len, heard.len);
    assert_memory_equal(text.data, heard.text, heard.len);
    assert_non_null(critic_completion_ids(c, 1, &n));
    assert_true(n > 0 && n <= 20);
    for (size_t i = 0; i < n; i++)
        assert_true(critic_completion_logprobs(c, 1)[i] <= 0);
    assert_true(critic_completion_finish(c, 0) == CRITIC_FINISH_LENGTH || n < 20);
    assert_true(critic_completion_usage(c).completion_tokens >= n);
    critic_completion_free(c);
    critic_completion_free(NULL);
    options.n = 0;
    T_FAILS(critic_generate(engine, NULL, 0, critic_text_of("x"), &options, &c, &err),
            CRITIC_BAD_ARGUMENT, "n or");
    assert_null(c);
}

static void cancels_and_goes_on(void **state) {
    critic_error err;
    critic_completion *c;
    (void)state;
    critic_engine_cancel(engine);
    T_FAILS(critic_generate(engine, NULL, 0, critic_text_of("Hello"), NULL, &c, &err),
            CRITIC_CANCELLED, "");
    assert_null(c);
    critic_generate_options options;
    critic_generate_options_default(&options);
    options.max_new_tokens = 3;
    T_OK(critic_generate(engine, NULL, 0, critic_text_of("Hello"), &options, &c, &err));
    critic_completion_free(c);
}

static void judges(void **state) {
    critic_error err;
    critic_verdict *v;
    critic_image *image;
    critic_judge_options options;
    critic_text answers[] = {critic_text_of("a"), critic_text_of("b")};
    size_t n;
    (void)state;
    T_OK(critic_image_open(&image, T_SOURCE("tests/golden/images/cat-wide.jpg"), NULL,
                           &err));
    critic_item item = {.images = &image,
                        .n_images = 1,
                        .question = critic_text_of("Q"),
                        .answers = answers,
                        .n_answers = 1};
    critic_judge_options_default(&options);
    options.verdict_only = true;
    options.scale = "1-10";
    T_OK(critic_judge(engine, &item, &options, &v, &err));
    assert_true(critic_verdict_is_parsed(v));
    assert_null(critic_verdict_fault(v));
    assert_int_equal(critic_verdict_mode(v), CRITIC_MODE_POINTWISE);
    assert_true(critic_verdict_score(v) >= 1 && critic_verdict_score(v) <= 10);
    const critic_option *o = critic_verdict_options(v, &n);
    assert_int_equal(n, 10);
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += o[i].probability;
    T_NEAR(total, 1, 1e-9, 0);
    assert_true(critic_verdict_usage(v).image_tiles > 0);
    critic_verdict_free(v);

    item.n_answers = 2;
    options.scale = NULL;
    options.both_orders = true;
    T_OK(critic_judge(engine, &item, &options, &v, &err));
    assert_true(critic_verdict_choice(v) != CRITIC_CHOICE_NONE);
    assert_true(isnan(critic_verdict_score(v)));
    (void)critic_verdict_scores(v, &n);
    assert_int_equal(n, 2);
    assert_non_null(strstr(critic_verdict_json(v), "\"orders\":["));
    critic_verdict_free(v);
    critic_verdict_free(NULL);

    options.template_name = "no-such-template";
    T_FAILS(critic_judge(engine, &item, &options, &v, &err), CRITIC_BAD_ARGUMENT,
            "no-such-template");
    assert_null(v);
    options.template_name = NULL;
    options.mode = (enum critic_mode)9;
    T_FAILS(critic_judge(engine, &item, &options, &v, &err), CRITIC_BAD_ARGUMENT, "mode");
    critic_image_free(image);
}

static void names_every_status(void **state) {
    (void)state;
    assert_string_equal(critic_status_name(CRITIC_IO), "CRITIC_IO");
    assert_string_equal(critic_status_text(CRITIC_CANCELLED), "cancelled");
    assert_int_equal(critic_status_exit(CRITIC_BAD_MODEL), 3);
    assert_string_equal(critic_version(), CRITIC_VERSION);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_only_what_is_sound),
        cmocka_unit_test(takes_pixels),
        cmocka_unit_test(tokenizes_there_and_back),
        cmocka_unit_test(generates_and_streams),
        cmocka_unit_test(cancels_and_goes_on),
        cmocka_unit_test(judges),
        cmocka_unit_test(names_every_status),
    };
    return cmocka_run_group_tests(tests, open_engine, free_engine);
}
