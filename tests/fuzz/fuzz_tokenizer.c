/* Tokenizer files and texts. The first byte says what the rest is:
 *   'j' tokenizer.json   'v' vocab.json, merges.txt and added_tokens.json with \x1F between
 *   'l' a GGUF-like list of tokens and merges, one a line   others: text for a fixed tokenizer
 * A text also checks that decoding gives well-formed UTF-8 and that streaming gives
 * the same as decoding at once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fixed[] =
    "{\"model\":{\"type\":\"BPE\",\"ignore_merges\":false,"
    "\"vocab\":{\"a\":0,\"b\":1,\"\\u0120\":2,\"\\u010a\":3,\"\\u00c3\":4,\"\\u00a9\":5,"
    "\"aa\":6,\"ab\":7,\"\\u0120a\":8,\"\\u00c3\\u00a9\":9,\"aab\":10,\"<\":11,"
    "\"\\u00cc\":12,"
    "\"\\u0123\":13},"
    "\"merges\":[\"a a\",\"a b\",\"\\u0120 a\",\"\\u00c3 \\u00a9\",\"aa b\"]},"
    "\"normalizer\":{\"type\":\"NFC\"},"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
    "\"pattern\":{\"Regex\":\"[ab]{1,9}|\\\\s+(?!\\\\S)|.\"},\"behavior\":\"Isolated\"},"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}]},"
    "\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"added_tokens\":[{\"id\":14,\"content\":\"<a>\",\"special\":true,\"lstrip\":true},"
    "{\"id\":15,\"content\":\"<ab\",\"special\":false,\"rstrip\":true,\"normalized\":"
    "true}]}";

static void require(bool condition) {
    if (!condition)
        abort();
}

static void try_text(const struct cr_tokenizer *t, struct cr_str text) {
    for (int special = 0; special < 2; special++) {
        struct cr_ids ids;
        struct cr_buf whole;
        struct cr_buf streamed;
        struct cr_stream_decoder d;
        cr_ids_init(&ids);
        cr_buf_init(&whole, 1 << 24);
        cr_buf_init(&streamed, 1 << 24);
        if (cr_tokenizer_encode(t, text, special, &ids, NULL) == CRITIC_OK) {
            cr_stream_decoder_init(&d, t, special);
            for (size_t i = 0; i < ids.len; i++)
                require(cr_stream_decoder_feed(&d, ids.data[i], &streamed, NULL) ==
                        CRITIC_OK);
            require(cr_stream_decoder_finish(&d, &streamed, NULL) == CRITIC_OK);
            require(cr_tokenizer_decode(t, ids.data, ids.len, special, &whole, NULL) ==
                    CRITIC_OK);
            require(cr_str_eq(cr_buf_str(&whole), cr_buf_str(&streamed)));
            require(cr_utf8_invalid_at(cr_buf_str(&whole).data, whole.len) == SIZE_MAX);
        }
        cr_ids_fini(&ids);
        cr_buf_fini(&whole);
        cr_buf_fini(&streamed);
    }
}

/* Up to n lines of *text; what is left stays in *text. */
static size_t take_lines(struct cr_str *text, struct cr_str *lines, size_t n) {
    size_t found = 0;
    while (found < n && text->len > 0) {
        const char *end = memchr(text->data, '\n', text->len);
        size_t len = end ? (size_t)(end - text->data) : text->len;
        size_t taken = end ? len + 1 : len;
        lines[found++] = (struct cr_str){text->data, len};
        text->data += taken;
        text->len -= taken;
    }
    return found;
}

static struct cr_tokenizer *open_lists(struct cr_str text) {
    struct cr_tokenizer *t = NULL;
    struct cr_str tokens[32];
    struct cr_str merges[32];
    int32_t types[32];
    struct cr_tokenizer_lists lists = {
        .tokens = tokens, .token_types = types, .merges = merges, .pre = {"qwen2", 5}};
    lists.n_tokens = take_lines(&text, tokens, 32);
    for (size_t i = 0; i < lists.n_tokens; i++)
        types[i] = tokens[i].len > 1 && tokens[i].data[0] == '<' ? 3 : 1;
    lists.n_merges = take_lines(&text, merges, 32);
    (void)cr_tokenizer_from_lists(&t, &lists, "fuzz", NULL);
    return t;
}

static struct cr_tokenizer *open_parts(struct cr_str text) {
    struct cr_tokenizer *t = NULL;
    struct cr_str parts[3] = {{"", 0}, {"", 0}, {"", 0}};
    for (size_t i = 0; i < 3 && text.len > 0; i++) {
        const char *end = memchr(text.data, 0x1F, text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        parts[i] = (struct cr_str){text.data, len};
        text.data += end ? len + 1 : len;
        text.len -= end ? len + 1 : len;
    }
    (void)cr_tokenizer_from_vocab(&t, parts[0], parts[1], parts[2], "fuzz", NULL);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cr_tokenizer *t = NULL;
    if (size == 0)
        return 0;
    struct cr_str rest = {(const char *)data + 1, size - 1};
    if (data[0] == 'j')
        (void)cr_tokenizer_from_json(&t, rest, "fuzz", NULL);
    else if (data[0] == 'v')
        t = open_parts(rest);
    else if (data[0] == 'l')
        t = open_lists(rest);
    else
        require(cr_tokenizer_from_json(&t, cr_str_of(fixed), "fixed", NULL) == CRITIC_OK);
    if (t) {
        try_text(t, rest);
        try_text(t, cr_str_of("<a> a\xCC\x81 <|im_start|>aab\n\nab <ab"));
    }
    cr_tokenizer_free(t);
    return 0;
}
