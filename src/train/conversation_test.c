/* Tokens and label masks against the goldens of scripts/golden/train.py; shared prefixes; and the
 * prompt of training against the prompt of inference. */
#include "t.h"

#include "base/file.h"
#include "engine/engine.h"
#include "io/jsonl.h"
#include "text/chat.h"
#include "train/conversation.h"

#define MODEL T_SOURCE("tests/tiny/ov-lmms")

static struct cr_tokenizer *tokenizer;

static int set_up(void **state) {
    critic_error err;
    (void)state;
    T_OK(cr_tokenizer_open(&tokenizer, MODEL, &err));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cr_tokenizer_free(tokenizer);
    return 0;
}

static size_t count_images(const json_t *record) {
    const json_t *image = json_object_get(record, "image");
    return json_is_array(image) ? json_array_size(image) : image ? 1 : 0;
}

static void compare(const json_t *line, const struct cr_labelled *l) {
    const json_t *ids = json_object_get(line, "ids");
    const json_t *labels = json_object_get(line, "labels");
    assert_int_equal(l->n, json_array_size(ids));
    for (size_t i = 0; i < l->n; i++) {
        assert_int_equal(l->ids[i], json_integer_value(json_array_get(ids, i)));
        json_int_t label = json_integer_value(json_array_get(labels, i));
        assert_int_equal(l->label[i] ? l->ids[i] : -100, label);
    }
}

static void test_golden(void **state) {
    struct cr_jsonl_reader reader;
    struct cr_encoder e;
    struct cr_str line;
    critic_error err;
    size_t n = 0;
    (void)state;
    cr_encoder_init(&e, tokenizer, cr_str_of(cr_chat_default_system), CR_LABELS_LLAVA);
    T_OK(cr_jsonl_open(&reader, T_SOURCE("tests/golden/train/labels.jsonl"), 1 << 20,
                       &err));
    for (;;) {
        json_t *root;
        struct cr_labelled l = {0};
        T_OK(cr_jsonl_next(&reader, &line, &err));
        if (!line.data)
            break;
        T_OK(cr_json_parse(&root, line.data, line.len, "labels.jsonl", &err));
        const json_t *record = json_object_get(root, "record");
        struct cr_conversation c = {json_object_get(record, "conversations"),
                                    count_images(record)};
        T_OK(cr_encode_conversation(&e, &c, &l, &err));
        compare(root, &l);
        cr_labelled_fini(&l);
        json_decref(root);
        n++;
    }
    assert_int_equal(n, 11);
    cr_jsonl_close(&reader);
}

/* ---- branches ---- */

struct branches {
    struct cr_labelled items[8];
    size_t n;
};

static enum critic_status keep(void *user, const struct cr_labelled *l,
                               critic_error *err) {
    struct branches *b = user;
    return cr_labelled_push(&b->items[b->n++], l->ids, l->label, l->n, err);
}

static json_t *turns_of(const char *text) {
    json_t *turns = json_loads(text, 0, NULL);
    assert_non_null(turns);
    return turns;
}

/* The prefix and a branch together are the conversation that the pair alone would be. */
static void check_pair(const struct cr_encoder *e, const struct cr_labelled *prefix,
                       const struct cr_labelled *branch, const char *alone,
                       size_t n_images) {
    struct cr_labelled whole = {0};
    critic_error err;
    json_t *turns = turns_of(alone);
    struct cr_conversation c = {turns, n_images};
    T_OK(cr_encode_conversation(e, &c, &whole, &err));
    assert_int_equal(whole.n, prefix->n + branch->n);
    assert_memory_equal(whole.ids, prefix->ids, prefix->n * sizeof *whole.ids);
    assert_memory_equal(whole.ids + prefix->n, branch->ids,
                        branch->n * sizeof *whole.ids);
    assert_memory_equal(whole.label, prefix->label, prefix->n);
    assert_memory_equal(whole.label + prefix->n, branch->label, branch->n);
    cr_labelled_fini(&whole);
    json_decref(turns);
}

static void test_turns_apart(void **state) {
    struct cr_encoder e;
    struct branches b = {0};
    struct cr_labelled prefix = {0};
    bool shared;
    critic_error err;
    json_t *turns = turns_of("[{\"from\":\"human\",\"value\":\"<image>\\nWhat?\"},{"
                             "\"from\":\"gpt\",\"value\":\"A cat.\"},"
                             "{\"from\":\"human\",\"value\":\"Where?\"},{\"from\":"
                             "\"gpt\",\"value\":\"There.\"}]");
    struct cr_conversation c = {turns, 1};
    (void)state;
    cr_encoder_init(&e, tokenizer, cr_str_of(cr_chat_default_system), CR_LABELS_LLAVA);
    T_OK(cr_encode_branches(&e, &c, true, &prefix, &shared, keep, &b, &err));
    assert_true(shared);
    assert_int_equal(b.n, 2);
    assert_int_equal(prefix.ids[prefix.n - 1], CR_IMAGE_MARK);
    check_pair(&e, &prefix, &b.items[0],
               "[{\"from\":\"human\",\"value\":\"<image>\\nWhat?\"},"
               "{\"from\":\"gpt\",\"value\":\"A cat.\"}]",
               1);
    check_pair(&e, &prefix, &b.items[1],
               "[{\"from\":\"human\",\"value\":\"<image>\\nWhere?\"},"
               "{\"from\":\"gpt\",\"value\":\"There.\"}]",
               1);
    for (size_t i = 0; i < b.n; i++)
        cr_labelled_fini(&b.items[i]);
    cr_labelled_fini(&prefix);
    json_decref(turns);
}

static void test_cannot_share(void **state) {
    struct cr_encoder e;
    struct branches b = {0};
    struct cr_labelled prefix = {0};
    bool shared;
    critic_error err;
    json_t *turns =
        turns_of("[{\"from\":\"human\",\"value\":\"One <image> and <image> two\"},"
                 "{\"from\":\"gpt\",\"value\":\"x\"}]");
    struct cr_conversation c = {turns, 2};
    (void)state;
    cr_encoder_init(&e, tokenizer, cr_str_of(cr_chat_default_system), CR_LABELS_LLAVA);
    T_OK(cr_encode_branches(&e, &c, true, &prefix, &shared, keep, &b, &err));
    assert_false(shared);
    assert_int_equal(b.n, 0);
    cr_labelled_fini(&prefix);
    json_decref(turns);
}

/* What the assistant writes and its end mark, nothing else. */
static void test_answers_only(void **state) {
    struct cr_encoder e;
    struct cr_labelled l = {0};
    struct cr_ids answer;
    critic_error err;
    json_t *turns = turns_of("[{\"from\":\"human\",\"value\":\"What?\\nNow.\"},"
                             "{\"from\":\"gpt\",\"value\":\"A cat.\\nYes.\"}]");
    struct cr_conversation c = {turns, 0};
    (void)state;
    cr_encoder_init(&e, tokenizer, cr_str_of(cr_chat_default_system), CR_LABELS_ANSWERS);
    T_OK(cr_encode_conversation(&e, &c, &l, &err));
    cr_ids_init(&answer);
    T_OK(cr_tokenizer_encode(tokenizer, cr_str_of("A cat.\nYes."), false, &answer, &err));
    size_t first = l.n - answer.len - 2; /* then <|im_end|> and its newline */
    for (size_t i = 0; i < l.n; i++)
        assert_int_equal(l.label[i], i >= first && i + 1 < l.n);
    assert_memory_equal(l.ids + first, answer.data, answer.len * sizeof *l.ids);
    cr_ids_fini(&answer);
    cr_labelled_fini(&l);
    json_decref(turns);
}

/* ---- the prompt of inference ---- */

static void test_same_prompt(void **state) {
    struct cr_engine_opts opts;
    struct cr_engine *engine;
    struct cr_prompt *prompt;
    struct cr_image image;
    struct cr_encoder e;
    struct cr_labelled l = {0};
    critic_error err;
    json_t *turns = turns_of("[{\"from\":\"human\",\"value\":\"<image>\\nWhat is it?\"},"
                             "{\"from\":\"gpt\",\"value\":\"A cat.\"}]");
    struct cr_conversation c = {turns, 1};
    (void)state;
    cr_engine_opts_default(&opts);
    T_OK(cr_engine_open(&engine, MODEL, &opts, &err));
    T_OK(cr_image_load(&image, T_SOURCE("tests/golden/images/94x235.png"), NULL, &err));
    T_OK(cr_prompt_new(&prompt, engine, &err));
    T_OK(cr_prompt_chat(prompt, &image, 1, (struct cr_str){NULL, 0},
                        cr_str_of("What is it?"), &err));
    T_OK(cr_prompt_finish(prompt, &err));
    cr_encoder_init(&e, tokenizer, cr_str_of(cr_chat_default_system), CR_LABELS_LLAVA);
    T_OK(cr_encode_conversation(&e, &c, &l, &err));
    const struct cr_ids *ids = cr_prompt_ids(prompt);
    size_t n_image = cr_prompt_plan(prompt, 0)->n_tokens, at = 0;
    for (size_t i = 0; at < ids->len; i++) {
        assert_true(i < l.n);
        size_t rows = l.ids[i] == CR_IMAGE_MARK ? n_image : 1;
        for (size_t r = 0; r < rows; r++, at++)
            assert_int_equal(ids->data[at], l.ids[i] == CR_IMAGE_MARK
                                                ? cr_engine_config(engine)->image_token_id
                                                : l.ids[i]);
    }
    cr_labelled_fini(&l);
    json_decref(turns);
    cr_image_free(&image);
    cr_prompt_free(prompt);
    cr_engine_free(engine);
}

/* ---- faults ---- */

static void refuse(const char *text, size_t n_images, const char *message) {
    struct cr_encoder e;
    struct cr_labelled l = {0};
    critic_error err;
    json_t *turns = turns_of(text);
    struct cr_conversation c = {turns, n_images};
    cr_encoder_init(&e, tokenizer, cr_str_of(cr_chat_default_system), CR_LABELS_LLAVA);
    T_FAILS(cr_encode_conversation(&e, &c, &l, &err), CRITIC_BAD_DATA, message);
    cr_labelled_fini(&l);
    json_decref(turns);
}

static void test_faults(void **state) {
    (void)state;
    refuse("[]", 0, "no turns");
    refuse("[{\"from\":\"human\",\"value\":\"x\"}]", 0, "no assistant turn");
    refuse("[{\"from\":\"human\",\"value\":\"x\"},{\"from\":\"gpt\",\"value\":\"y\"},"
           "{\"from\":\"human\",\"value\":\"x\"},{\"from\":\"gpt\",\"value\":\" \\n\"}]",
           0, "turn 4: an empty answer");
    refuse("[{\"from\":\"human\",\"value\":3}]", 0, "turn 1: expected");
    refuse("[{\"from\":\"human\",\"value\":\"x\"},{\"from\":\"bird\",\"value\":\"y\"}]",
           0, "'from' is 'bird'");
    refuse("[{\"from\":\"human\",\"value\":\"x\"},{\"from\":\"gpt\",\"value\":\"y\"}]", 1,
           "0 \"<image>\" marks for 1 picture");
    refuse(
        "[{\"from\":\"human\",\"value\":\"<image>\"},{\"from\":\"gpt\",\"value\":\"y\"}]",
        0, "1 \"<image>\" mark for 0 pictures");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),       cmocka_unit_test(test_turns_apart),
        cmocka_unit_test(test_cannot_share), cmocka_unit_test(test_answers_only),
        cmocka_unit_test(test_same_prompt),  cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
