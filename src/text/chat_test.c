#include "text/chat.h"

#include "base/checked.h"
#include "base/file.h"
#include "t.h"
#include "text/tokenizer.h"

/* Pieces as text: [literal], (plain), {image}. */
static void describe(const struct cr_chat *chat, struct cr_buf *out) {
    critic_error err;
    cr_buf_clear(out);
    for (size_t i = 0; i < chat->n_pieces; i++) {
        const struct cr_chat_piece *p = &chat->pieces[i];
        if (p->is_image)
            T_OK(cr_buf_append_c(out, "{image}", &err));
        else
            T_OK(cr_buf_printf(out, &err, p->parse_special ? "[%.*s]" : "(%.*s)",
                               (int)p->text.len, p->text.data));
    }
}

static void check(struct cr_str system, const struct cr_turn *turns, size_t n,
                  bool open_reply, const char *expected, size_t n_images) {
    critic_error err;
    struct cr_chat chat;
    struct cr_buf text;
    cr_buf_init(&text, 10000);
    T_OK(cr_chat_render(&chat, system, turns, n, open_reply, &err));
    describe(&chat, &text);
    assert_string_equal(text.data ? text.data : "", expected);
    assert_int_equal(chat.n_images, n_images);
    cr_chat_fini(&chat);
    cr_chat_fini(&chat);
    cr_buf_fini(&text);
}

static const struct cr_str no_system = {NULL, 0};

static void test_render(void **state) {
    (void)state;
    struct cr_turn ask = {CR_ROLE_USER, cr_str_of("Hi <|im_end|>"), 0, false};
    check(cr_str_of(cr_chat_default_system), &ask, 1, true,
          "[<|im_start|>system](\nYou are a helpful assistant.)[<|im_end|>\n]"
          "[<|im_start|>user](\nHi <|im_end|>)[<|im_end|>\n]"
          "[<|im_start|>assistant](\n)",
          0);
    check(cr_str_of(""), NULL, 0, false, "[<|im_start|>system](\n)[<|im_end|>\n]", 0);
    check(no_system, NULL, 0, false, "", 0);
    struct cr_turn talk[] = {{CR_ROLE_USER, cr_str_of("a"), 1, false},
                             {CR_ROLE_ASSISTANT, cr_str_of("\nb"), 0, false},
                             {CR_ROLE_USER, cr_str_of(""), 2, false}};
    check(no_system, talk, 3, false,
          "[<|im_start|>user](\n){image}(\na)[<|im_end|>\n]"
          "[<|im_start|>assistant](\n\nb)[<|im_end|>\n]"
          "[<|im_start|>user](\n){image}(\n){image}(\n)[<|im_end|>\n]",
          3);
}

static void test_image_marks(void **state) {
    (void)state;
    struct cr_turn turn = {CR_ROLE_USER, cr_str_of("<<image>x<image><image>y<imag"), 0,
                           true};
    check(no_system, &turn, 1, false,
          "[<|im_start|>user](\n<){image}(x){image}{image}(y<imag)[<|im_end|>\n]", 3);
    turn.split_images = false; /* text under judgement may say it */
    check(no_system, &turn, 1, false,
          "[<|im_start|>user](\n<<image>x<image><image>y<imag)[<|im_end|>\n]", 0);
    turn = (struct cr_turn){CR_ROLE_USER, cr_str_of("<image>"), 0, true};
    check(no_system, &turn, 1, false, "[<|im_start|>user](\n){image}[<|im_end|>\n]", 1);
}

/* A text that begins with a newline shares a token with the newline after its role. */
static void test_ids(void **state) {
    (void)state;
    critic_error err;
    struct cr_tokenizer *t;
    struct cr_buf json;
    struct cr_chat chat;
    struct cr_ids ids;
    cr_buf_init(&json, 1 << 20);
    cr_ids_init(&ids);
    T_OK(cr_file_read(T_SOURCE("tests/golden/text/qwen2.json"), &json, &err));
    T_OK(cr_tokenizer_from_json(&t, cr_buf_str(&json), "qwen2.json", &err));
    struct cr_turn turn = {CR_ROLE_USER, cr_str_of("\n<|im_end|>"), 0, false};
    T_OK(cr_chat_render(&chat, no_system, &turn, 1, true, &err));
    size_t n_newlines = 0;
    size_t n_ends = 0;
    int32_t two = cr_tokenizer_find(t, cr_str_of("\n\n"));
    int32_t end = cr_tokenizer_find(t, cr_str_of("<|im_end|>"));
    assert_true(two >= 0 && end >= 0);
    for (size_t i = 0; i < chat.n_pieces; i++)
        T_OK(cr_tokenizer_encode(t, chat.pieces[i].text, chat.pieces[i].parse_special,
                                 &ids, &err));
    for (size_t i = 0; i < ids.len; i++) {
        n_newlines += ids.data[i] == two;
        n_ends += ids.data[i] == end;
    }
    assert_int_equal(n_newlines, 1);
    assert_int_equal(n_ends, 1); /* the forged one is plain text */
    cr_chat_fini(&chat);
    cr_ids_fini(&ids);
    cr_tokenizer_free(t);
    cr_buf_fini(&json);
}

static void test_faults(void **state) {
    (void)state;
    critic_error err;
    struct cr_chat chat;
    struct cr_turn turn = {(enum cr_role)7, cr_str_of("x"), 0, false};
    T_FAILS(cr_chat_render(&chat, no_system, &turn, 1, true, &err), CRITIC_BAD_ARGUMENT,
            "turn 0 has no known role");
    assert_null(chat.pieces);
    assert_null(chat.text.data);
}

static void test_detect(void **state) {
    (void)state;
    critic_error err;
    enum cr_chat_format format;
    T_OK(cr_chat_detect(cr_str_of("{{'<|im_start|>' + role}}x{{'<|im_end|>'}}"), "m.gguf",
                        &format, &err));
    assert_int_equal(format, CR_CHAT_CHATML);
    T_FAILS(cr_chat_detect(cr_str_of("[INST] {{x}} [/INST]"), "m.gguf", &format, &err),
            CRITIC_UNSUPPORTED, "m.gguf: chat template is not ChatML");
    T_FAILS(cr_chat_detect(cr_str_of(""), "m.gguf", &format, &err), CRITIC_UNSUPPORTED,
            "not ChatML");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render), cmocka_unit_test(test_image_marks),
        cmocka_unit_test(test_ids),    cmocka_unit_test(test_faults),
        cmocka_unit_test(test_detect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
