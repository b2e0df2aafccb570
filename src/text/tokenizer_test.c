#include "text/tokenizer.h"

#include "base/checked.h"
#include "base/file.h"
#include "base/rng.h"
#include "io/json.h"
#include "t.h"

#define GOLDEN T_SOURCE("tests/golden/text/")

static void read_text(struct cr_buf *out, const char *path) {
    critic_error err;
    cr_buf_init(out, 1 << 24);
    T_OK(cr_file_read(path, out, &err));
}

static struct cr_tokenizer *open_golden(const char *file) {
    critic_error err;
    char path[512];
    struct cr_buf text;
    struct cr_tokenizer *t;
    snprintf(path, sizeof path, GOLDEN "%s.json", file);
    read_text(&text, path);
    T_OK(cr_tokenizer_from_json(&t, cr_buf_str(&text), file, &err));
    cr_buf_fini(&text);
    return t;
}

/* Ids of text as plain text or with special tokens. */
static struct cr_ids encode(const struct cr_tokenizer *t, const char *text, size_t len,
                            bool parse_special) {
    critic_error err;
    struct cr_ids ids;
    cr_ids_init(&ids);
    T_OK(cr_tokenizer_encode(t, (struct cr_str){text, len}, parse_special, &ids, &err));
    return ids;
}

static void check_sample(const struct cr_tokenizer *t, const json_t *sample,
                         size_t line) {
    const json_t *text = json_object_get(sample, "text");
    const json_t *expected = json_object_get(sample, "ids");
    bool special = json_is_true(json_object_get(sample, "special"));
    struct cr_ids ids =
        encode(t, json_string_value(text), json_string_length(text), special);
    bool same = ids.len == json_array_size(expected);
    for (size_t i = 0; same && i < ids.len; i++)
        same = ids.data[i] == json_integer_value(json_array_get(expected, i));
    if (!same)
        fail_msg("samples.jsonl:%zu: ids differ from the reference's", line);
    cr_ids_fini(&ids);
}

/* Every sample of one of the reference's tokenizers. */
static void check_samples(const struct cr_tokenizer *t, const char *file,
                          size_t at_least) {
    critic_error err;
    struct cr_buf lines;
    size_t n = 0;
    size_t line = 0;
    read_text(&lines, GOLDEN "samples.jsonl");
    for (const char *at = lines.data; *at;) {
        const char *end = strchr(at, '\n');
        json_t *sample;
        line++;
        T_OK(cr_json_parse(&sample, at, (size_t)(end - at), "samples.jsonl", &err));
        if (strcmp(json_string_value(json_object_get(sample, "file")), file) == 0) {
            check_sample(t, sample, line);
            n++;
        }
        json_decref(sample);
        at = end + 1;
    }
    cr_buf_fini(&lines);
    assert_true(n >= at_least);
}

static void test_reference_ids(void **state) {
    (void)state;
    static const char *const files[] = {"qwen2", "llama3", "gpt2", "pattern"};
    for (size_t i = 0; i < CR_COUNT(files); i++) {
        struct cr_tokenizer *t = open_golden(files[i]);
        check_samples(t, files[i], 200);
        cr_tokenizer_free(t);
    }
}

static void test_vocab_and_merges(void **state) {
    (void)state;
    critic_error err;
    struct cr_tokenizer *t;
    T_OK(cr_tokenizer_open(&t, T_SOURCE("tests/golden/text"), &err));
    check_samples(t, "qwen2", 200);
    assert_true(cr_tokenizer_is_special(t, cr_tokenizer_find(t, cr_str_of("<image>"))));
    cr_tokenizer_free(t);
}

/* The same tokenizer from lists as GGUF holds them. */
static void test_lists(void **state) {
    (void)state;
    critic_error err;
    struct cr_buf text;
    json_t *root;
    read_text(&text, GOLDEN "qwen2.json");
    T_OK(cr_json_parse(&root, text.data, text.len, "qwen2", &err));
    json_t *model = json_object_get(root, "model");
    json_t *vocab = json_object_get(model, "vocab");
    json_t *merges = json_object_get(model, "merges");
    json_t *added = json_object_get(root, "added_tokens");
    struct cr_str tokens[1024];
    struct cr_str lines[1024];
    int32_t types[1024];
    size_t n = json_object_size(vocab) + json_array_size(added);
    for (size_t i = 0; i < CR_COUNT(types); i++) {
        tokens[i] = cr_str_of("[PAD]");
        types[i] = 5;
    }
    for (void *i = json_object_iter(vocab); i; i = json_object_iter_next(vocab, i)) {
        size_t id = (size_t)json_integer_value(json_object_iter_value(i));
        tokens[id] =
            (struct cr_str){json_object_iter_key(i), json_object_iter_key_len(i)};
        types[id] = 1;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *a = json_array_get(added, i);
        size_t id = (size_t)json_integer_value(json_object_get(a, "id"));
        tokens[id] = cr_str_of(json_string_value(json_object_get(a, "content")));
        types[id] = 3;
    }
    for (size_t i = 0; i < json_array_size(merges); i++)
        lines[i] = cr_str_of(json_string_value(json_array_get(merges, i)));
    struct cr_tokenizer_lists lists = {tokens,
                                       types,
                                       CR_COUNT(types),
                                       lines,
                                       json_array_size(merges),
                                       cr_str_of("qwen2")};
    struct cr_tokenizer *t;
    T_OK(cr_tokenizer_from_lists(&t, &lists, "x.gguf", &err));
    check_samples(t, "qwen2", 200);
    assert_int_equal(cr_tokenizer_size(t), n); /* padding rows are no tokens */
    assert_int_equal(cr_tokenizer_find(t, cr_str_of("[PAD]")), -1);
    cr_tokenizer_free(t);

    lists.pre = cr_str_of("tekken\n");
    T_FAILS(cr_tokenizer_from_lists(&t, &lists, "x.gguf", &err), CRITIC_UNSUPPORTED,
            "tokenizer.ggml.pre is 'tekken?'");
    assert_null(t);
    lists.pre = cr_str_of("qwen2");
    types[3] = 6;
    T_FAILS(cr_tokenizer_from_lists(&t, &lists, "x.gguf", &err), CRITIC_UNSUPPORTED,
            "token 3 has type 6");
    types[3] = 1;
    tokens[3] = tokens[4];
    T_FAILS(cr_tokenizer_from_lists(&t, &lists, "x.gguf", &err), CRITIC_BAD_FILE,
            "ids 3 and 4 are the same token");
    tokens[3] = (struct cr_str){"\xFF", 1};
    T_FAILS(cr_tokenizer_from_lists(&t, &lists, "x.gguf", &err), CRITIC_BAD_FILE,
            "token 3 is not valid UTF-8");
    lists.n_tokens = (size_t)1 << 40;
    T_FAILS(cr_tokenizer_from_lists(&t, &lists, "x.gguf", &err), CRITIC_BAD_FILE,
            "1099511627776 tokens");
    json_decref(root);
    cr_buf_fini(&text);
}

static void test_find_and_bytes(void **state) {
    (void)state;
    struct cr_tokenizer *t = open_golden("qwen2");
    int32_t newline = cr_tokenizer_find(t, cr_str_of("\n"));
    assert_int_equal(newline, 198); /* as in Qwen's own */
    assert_int_equal(cr_tokenizer_bytes(t, newline).len, 1);
    assert_int_equal(cr_tokenizer_bytes(t, newline).data[0], '\n');
    assert_true(cr_tokenizer_find(t, cr_str_of(" the")) > 0);
    assert_int_equal(cr_tokenizer_find(t, cr_str_of("\u0120the")), -1);
    assert_int_equal(cr_tokenizer_find(t, cr_str_of("no such token")), -1);
    assert_int_equal(cr_tokenizer_find(t, cr_str_of("")), -1);
    int32_t start = cr_tokenizer_find(t, cr_str_of("<|im_start|>"));
    assert_true(cr_tokenizer_is_special(t, start));
    assert_false(cr_tokenizer_is_special(t, newline));
    assert_false(cr_tokenizer_is_special(t, -1));
    assert_null(cr_tokenizer_bytes(t, -1).data);
    assert_null(cr_tokenizer_bytes(t, (int32_t)cr_tokenizer_size(t)).data);
    cr_tokenizer_free(t);
    cr_tokenizer_free(NULL);
}

/* Text of every kind in NFC comes back as it went in. */
static void random_text(struct cr_rng *rng, struct cr_buf *out) {
    static const char *const parts[] = {
        "a",  "the ", "\n",  "\r",     " ",          "'s",          "漢",
        "é",  "😀",    "\t",  "\u2028", "<|im_end|>", "<|im_start|", "12",
        "==", "'",    "<im", "age>",   "\u00A0",     "स्ते",          "\U0010FFFF",
    };
    critic_error err;
    size_t n = cr_rng_below(rng, 40);
    cr_buf_clear(out);
    for (size_t i = 0; i < n; i++) {
        uint64_t k = cr_rng_below(rng, CR_COUNT(parts) + 1);
        if (k == CR_COUNT(parts))
            T_OK(cr_buf_append(out, "\0", 1, &err));
        else
            T_OK(cr_buf_append_c(out, parts[k], &err));
    }
}

static void test_round_trip_and_stream(void **state) {
    (void)state;
    critic_error err;
    struct cr_tokenizer *t = open_golden("qwen2");
    struct cr_rng rng;
    struct cr_buf text;
    struct cr_buf whole;
    struct cr_buf streamed;
    cr_rng_seed(&rng, t_seed(7));
    cr_buf_init(&text, 1 << 20);
    cr_buf_init(&whole, 1 << 20);
    cr_buf_init(&streamed, 1 << 20);
    for (size_t round = 0; round < 2000; round++) {
        random_text(&rng, &text);
        struct cr_ids ids = encode(t, text.data ? text.data : "", text.len, round % 2);
        cr_buf_clear(&whole);
        cr_buf_clear(&streamed);
        T_OK(cr_tokenizer_decode(t, ids.data, ids.len, false, &whole, &err));
        assert_true(cr_str_eq(cr_buf_str(&whole), cr_buf_str(&text)));
        struct cr_stream_decoder d;
        cr_stream_decoder_init(&d, t, false);
        for (size_t i = 0; i < ids.len; i++) {
            T_OK(cr_stream_decoder_feed(&d, ids.data[i], &streamed, &err));
            assert_int_equal(
                cr_utf8_invalid_at(streamed.data ? streamed.data : "", streamed.len),
                SIZE_MAX);
        }
        T_OK(cr_stream_decoder_finish(&d, &streamed, &err));
        assert_true(cr_str_eq(cr_buf_str(&streamed), cr_buf_str(&text)));
        cr_ids_fini(&ids);
    }
    cr_buf_fini(&text);
    cr_buf_fini(&whole);
    cr_buf_fini(&streamed);
    cr_tokenizer_free(t);
}

/* Ids that are bytes of broken UTF-8: one U+FFFD for each maximal ill-formed part. */
static void test_decode_broken(void **state) {
    (void)state;
    critic_error err;
    static const struct {
        const char *bytes;
        const char *text;
    } cases[] = {
        {"a\xE6\xBC", "a\uFFFD"},
        {"\xE6\xBC\x41", "\uFFFDA"},
        {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
        {"\xF0\x9F\x98\xF0\x9F\x98\x80", "\uFFFD😀"},
        {"\xC0\xAF", "\uFFFD\uFFFD"},
        {"\xFFx\x80", "\uFFFDx\uFFFD"},
        {"\xF4\x90\x80", "\uFFFD\uFFFD\uFFFD"},
        {"\xE6\xE6\xBC\xA2", "\uFFFD漢"},
    };
    struct cr_tokenizer *t = open_golden("qwen2");
    struct cr_buf out;
    cr_buf_init(&out, 1000);
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        int32_t ids[16];
        size_t n = strlen(cases[i].bytes);
        for (size_t k = 0; k < n; k++)
            ids[k] = cr_tokenizer_find(t, (struct cr_str){cases[i].bytes + k, 1});
        cr_buf_clear(&out);
        T_OK(cr_tokenizer_decode(t, ids, n, false, &out, &err));
        assert_string_equal(out.data, cases[i].text);
    }
    int32_t im_end = cr_tokenizer_find(t, cr_str_of("<|im_end|>"));
    int32_t ids[3] = {cr_tokenizer_find(t, cr_str_of("a")), im_end, 1 << 20};
    cr_buf_clear(&out);
    T_OK(cr_tokenizer_decode(t, ids, 2, true, &out, &err));
    assert_string_equal(out.data, "a");
    T_OK(cr_tokenizer_decode(t, ids, 2, false, &out, &err));
    assert_string_equal(out.data, "aa<|im_end|>");
    T_FAILS(cr_tokenizer_decode(t, ids, 3, false, &out, &err), CRITIC_BAD_DATA,
            "id 1048576 is no token");
    assert_string_equal(out.data, "aa<|im_end|>");
    cr_buf_fini(&out);
    cr_tokenizer_free(t);
}

static void test_encode_faults(void **state) {
    (void)state;
    critic_error err;
    struct cr_tokenizer *t = open_golden("qwen2");
    struct cr_ids ids = encode(t, "ab", 2, true);
    size_t before = ids.len;
    T_FAILS(cr_tokenizer_encode(t, (struct cr_str){"abc\xFFxyz", 7}, true, &ids, &err),
            CRITIC_BAD_DATA, "at byte 3");
    T_FAILS(cr_tokenizer_encode(t, (struct cr_str){"\xED\xA0\x80", 3}, true, &ids, &err),
            CRITIC_BAD_DATA, "at byte 0");
    assert_int_equal(ids.len, before);
    T_OK(cr_tokenizer_encode(t, (struct cr_str){NULL, 0}, true, &ids, &err));
    assert_int_equal(ids.len, before);
    cr_ids_fini(&ids);
    cr_tokenizer_free(t);

    static const char tiny[] =
        "{\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]},"
        "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
        "\"decoder\":{\"type\":\"ByteLevel\"}}";
    T_OK(cr_tokenizer_from_json(&t, cr_str_of(tiny), "tiny", &err));
    ids = encode(t, "ab", 2, true);
    assert_int_equal(ids.len, 2);
    T_FAILS(cr_tokenizer_encode(t, cr_str_of("aac"), true, &ids, &err), CRITIC_BAD_DATA,
            "no token for byte 0x63");
    assert_int_equal(ids.len, 2);
    cr_ids_fini(&ids);
    cr_tokenizer_free(t);
}

/* Part of a hostile file that is put where it belongs in an otherwise good one. */
struct hostile {
    const char *key;
    const char *value;
    enum critic_status status;
    const char *message;
};

static const struct hostile hostile_files[] = {
    {"model", "7", CRITIC_BAD_FILE, "'model' is not an object"},
    {"model", "null", CRITIC_BAD_FILE, "'model' is missing"},
    {"model", "{\"type\":\"Uni\\ngram\"}", CRITIC_UNSUPPORTED,
     "model type is 'Uni?gram'"},
    {"model", "{\"vocab\":{}}", CRITIC_BAD_FILE, "no 'merges'"},
    {"model", "{\"merges\":[]}", CRITIC_BAD_FILE, "no 'vocab'"},
    {"model", "{\"vocab\":[],\"merges\":[]}", CRITIC_BAD_FILE,
     "'vocab' is not an object"},
    {"model", "{\"vocab\":{\"a\":-1},\"merges\":[]}", CRITIC_BAD_FILE, "no id from 0"},
    {"model", "{\"vocab\":{\"a\":1e3},\"merges\":[]}", CRITIC_BAD_FILE, "no id from 0"},
    {"model", "{\"vocab\":{\"a\":4194304},\"merges\":[]}", CRITIC_BAD_FILE,
     "no id from 0"},
    {"model", "{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}", CRITIC_BAD_FILE, "id 0"},
    {"model", "{\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}", CRITIC_BAD_FILE,
     "right part"},
    {"model", "{\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}", CRITIC_BAD_FILE,
     "its result"},
    {"model", "{\"vocab\":{\"a\":0},\"merges\":[\"aa\"]}", CRITIC_BAD_FILE, "merge 0"},
    {"model", "{\"vocab\":{\"a\":0},\"merges\":[\"a  a\"]}", CRITIC_BAD_FILE, "merge 0"},
    {"model", "{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}", CRITIC_BAD_FILE, "merge 0"},
    {"model", "{\"vocab\":{\"a\":0},\"merges\":[3]}", CRITIC_BAD_FILE, "merge 0"},
    {"model", "{\"vocab\":{},\"merges\":[],\"dropout\":0.5}", CRITIC_UNSUPPORTED,
     "dropout"},
    {"model", "{\"vocab\":{},\"merges\":[],\"byte_fallback\":true}", CRITIC_UNSUPPORTED,
     "byte_fallback"},
    {"model", "{\"vocab\":{},\"merges\":[],\"end_of_word_suffix\":\"</w>\"}",
     CRITIC_UNSUPPORTED, "end_of_word_suffix is '</w>'"},
    {"model", "{\"vocab\":{},\"merges\":[],\"continuing_subword_prefix\":\"##\"}",
     CRITIC_UNSUPPORTED, "continuing_subword_prefix is '##'"},
    {"normalizer", "{\"type\":\"NFKC\"}", CRITIC_UNSUPPORTED, "normalizer is 'NFKC'"},
    {"normalizer", "[]", CRITIC_BAD_FILE, "normalizer is not an object"},
    {"pre_tokenizer", "null", CRITIC_BAD_FILE, "pre_tokenizer is not an object"},
    {"pre_tokenizer", "{\"type\":\"Metaspace\"}", CRITIC_UNSUPPORTED, "'Metaspace'"},
    {"pre_tokenizer", "{\"type\":\"ByteLevel\"}", CRITIC_UNSUPPORTED, "add_prefix_space"},
    {"pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[]}", CRITIC_UNSUPPORTED,
     "does not end with ByteLevel"},
    {"pre_tokenizer",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a(\"},\"behavior\":\"Isolated\"}",
     CRITIC_UNSUPPORTED, "pattern fails at offset 2"},
    {"pre_tokenizer",
     "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Isolated\"}",
     CRITIC_UNSUPPORTED, "'Regex'"},
    {"pre_tokenizer",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Removed\"}",
     CRITIC_UNSUPPORTED, "behavior is 'Removed'"},
    {"decoder", "{\"type\":\"WordPiece\"}", CRITIC_UNSUPPORTED, "decoder is 'WordPiece'"},
    {"decoder", "null", CRITIC_BAD_FILE, "decoder is not an object"},
    {"added_tokens", "{}", CRITIC_BAD_FILE, "'added_tokens' is not a list"},
    {"added_tokens", "[3]", CRITIC_BAD_FILE, "not an object"},
    {"added_tokens", "[{\"content\":\"x\"}]", CRITIC_BAD_FILE, "'x' has no id"},
    {"added_tokens", "[{\"id\":5}]", CRITIC_BAD_FILE, "'content' is missing"},
    {"added_tokens", "[{\"id\":5,\"content\":\"\"}]", CRITIC_BAD_FILE, "has 0 bytes"},
    {"added_tokens", "[{\"id\":-5,\"content\":\"x\"}]", CRITIC_BAD_FILE, "-5"},
    {"added_tokens", "[{\"id\":4194304,\"content\":\"x\"}]", CRITIC_BAD_FILE, "4194304"},
    {"added_tokens", "[{\"id\":0,\"content\":\"x\"}]", CRITIC_BAD_FILE, "of that id"},
    {"added_tokens", "[{\"id\":1,\"content\":\"a\"}]", CRITIC_BAD_FILE, "of that id"},
    {"added_tokens", "[{\"id\":1,\"content\":\"x\"},{\"id\":2,\"content\":\"x\"}]",
     CRITIC_BAD_FILE, "same added token"},
    {"added_tokens", "[{\"id\":1,\"content\":\"x\",\"single_word\":true}]",
     CRITIC_UNSUPPORTED, "single_word"},
};

static void test_hostile_files(void **state) {
    (void)state;
    static const char *const good[][2] = {
        {"model", "{\"vocab\":{\"a\":0},\"merges\":[]}"},
        {"normalizer", "null"},
        {"pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"},
        {"decoder", "{\"type\":\"ByteLevel\"}"},
        {"added_tokens", "[]"},
    };
    critic_error err;
    struct cr_tokenizer *t;
    struct cr_buf text;
    cr_buf_init(&text, 1 << 16);
    for (size_t i = 0; i < CR_COUNT(hostile_files); i++) {
        const struct hostile *h = &hostile_files[i];
        cr_buf_clear(&text);
        for (size_t k = 0; k < CR_COUNT(good); k++)
            T_OK(cr_buf_printf(&text, &err, "%s\"%s\":%s", k ? "," : "{", good[k][0],
                               strcmp(good[k][0], h->key) == 0 ? h->value : good[k][1]));
        T_OK(cr_buf_append_c(&text, "}", &err));
        T_FAILS(cr_tokenizer_from_json(&t, cr_buf_str(&text), "t.json", &err), h->status,
                h->message);
        assert_non_null(strstr(err.message, "t.json"));
        assert_null(t);
    }
    cr_buf_fini(&text);
    T_FAILS(cr_tokenizer_from_json(&t, cr_str_of("[]"), "t.json", &err), CRITIC_BAD_FILE,
            "not an object");
    T_FAILS(cr_tokenizer_from_json(&t, cr_str_of("{"), "t.json", &err), CRITIC_BAD_FILE,
            "t.json:1:1");
    T_FAILS(cr_tokenizer_open(&t, "no/such/folder", &err), CRITIC_BAD_FILE,
            "no tokenizer; expected tokenizer.json");
}

static void test_hostile_parts(void **state) {
    (void)state;
    critic_error err;
    struct cr_tokenizer *t;
    static const struct {
        const char *vocab;
        const char *merges;
        const char *added;
        const char *message;
    } cases[] = {
        {"[]", "", "", "vocab is not an object"},
        {"{\"a\":0}", "", "[]", "added_tokens is not an object"},
        {"{\"a\":0}", "", "{\"x\":-1}", "no id from 0"},
        {"{\"a\":0}", "", "{\"x\":0}", "of that id"},
        {"{\"a\":0}", "#version: 0.2\na b\n", "", "merge 0: its right part"},
        {"{\"a\":0,\"aa\":1}", "a a\r\n\naa\n", "", "merge 1 is not two tokens"},
        {"{\"a\":0}", "\xFF", "", "not valid UTF-8 at byte 0"},
        {"{", "", "", "v:1:1"},
    };
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        T_FAILS(cr_tokenizer_from_vocab(&t, cr_str_of(cases[i].vocab),
                                        cr_str_of(cases[i].merges),
                                        cr_str_of(cases[i].added), "v", &err),
                CRITIC_BAD_FILE, cases[i].message);
        assert_null(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_ids),
        cmocka_unit_test(test_vocab_and_merges),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_find_and_bytes),
        cmocka_unit_test(test_round_trip_and_stream),
        cmocka_unit_test(test_decode_broken),
        cmocka_unit_test(test_encode_faults),
        cmocka_unit_test(test_hostile_files),
        cmocka_unit_test(test_hostile_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
