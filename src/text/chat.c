#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

const char cr_chat_default_system[] = "You are a helpful assistant.";

static const char *const role_headers[] = {
    [CR_ROLE_SYSTEM] = "<|im_start|>system",
    [CR_ROLE_USER] = "<|im_start|>user",
    [CR_ROLE_ASSISTANT] = "<|im_start|>assistant",
};
static const char turn_end[] = "<|im_end|>\n";
static const char image_mark[] = "<image>";

/* Pieces while they grow. Text of a piece is a range of `text` until the end, because
 * the buffer may move. */
struct builder {
    struct cr_chat *chat;
    size_t cap;
    size_t start; /* where the open piece begins in text */
};

static enum critic_status push_piece(struct builder *b, struct cr_chat_piece piece,
                                     critic_error *err) {
    struct cr_chat *chat = b->chat;
    if (chat->n_pieces == b->cap) {
        size_t cap = CR_MAX(b->cap * 2, 16);
        size_t bytes;
        struct cr_chat_piece *pieces = NULL;
        if (cr_mul_size(cap, sizeof *pieces, &bytes))
            pieces = realloc(chat->pieces, bytes);
        if (!pieces)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a prompt");
        chat->pieces = pieces;
        b->cap = cap;
    }
    chat->pieces[chat->n_pieces++] = piece;
    return CRITIC_OK;
}

/* Ends the open piece; an empty one is none. */
static enum critic_status close_piece(struct builder *b, bool parse_special,
                                      critic_error *err) {
    size_t len = b->chat->text.len - b->start;
    b->start = b->chat->text.len;
    struct cr_chat_piece piece = {.text = {NULL, len}, .parse_special = parse_special};
    return len ? push_piece(b, piece, err) : CRITIC_OK;
}

static enum critic_status add(struct builder *b, struct cr_str text, critic_error *err) {
    return cr_buf_append(&b->chat->text, text.data, text.len, err);
}

static enum critic_status add_literal(struct builder *b, const char *text,
                                      critic_error *err) {
    CR_TRY(add(b, cr_str_of(text), err));
    return close_piece(b, true, err);
}

static enum critic_status add_image(struct builder *b, critic_error *err) {
    CR_TRY(close_piece(b, false, err));
    b->chat->n_images++;
    return push_piece(b, (struct cr_chat_piece){.is_image = true}, err);
}

/* The first "<image>" in text, or NULL. */
static const char *find_mark(struct cr_str text) {
    size_t mark = sizeof image_mark - 1;
    for (size_t i = 0; text.len >= mark && i <= text.len - mark; i++) {
        const char *found = memchr(text.data + i, '<', text.len - mark + 1 - i);
        if (!found)
            return NULL;
        if (memcmp(found, image_mark, mark) == 0)
            return found;
        i = (size_t)(found - text.data);
    }
    return NULL;
}

static enum critic_status add_turn(struct builder *b, const struct cr_turn *turn,
                                   critic_error *err) {
    CR_TRY(add_literal(b, role_headers[turn->role], err));
    CR_TRY(add(b, cr_str_of("\n"), err));
    for (size_t i = 0; i < turn->images_first; i++) {
        CR_TRY(add_image(b, err));
        CR_TRY(add(b, cr_str_of("\n"), err));
    }
    struct cr_str rest = turn->text;
    const char *mark;
    while (turn->split_images && (mark = find_mark(rest))) {
        size_t before = (size_t)(mark - rest.data);
        size_t taken = before + sizeof image_mark - 1;
        CR_TRY(add(b, (struct cr_str){rest.data, before}, err));
        CR_TRY(add_image(b, err));
        rest = (struct cr_str){rest.data + taken, rest.len - taken};
    }
    CR_TRY(add(b, rest, err));
    CR_TRY(close_piece(b, false, err));
    return add_literal(b, turn_end, err);
}

static enum critic_status render(struct builder *b, struct cr_str system,
                                 const struct cr_turn *turns, size_t n_turns,
                                 bool open_reply, critic_error *err) {
    if (system.data) {
        struct cr_turn turn = {.role = CR_ROLE_SYSTEM, .text = system};
        CR_TRY(add_turn(b, &turn, err));
    }
    for (size_t i = 0; i < n_turns; i++) {
        if ((size_t)turns[i].role >= CR_COUNT(role_headers))
            return cr_fail(err, CRITIC_BAD_ARGUMENT, "turn %zu has no known role", i);
        CR_TRY(add_turn(b, &turns[i], err));
    }
    if (!open_reply)
        return CRITIC_OK;
    CR_TRY(add_literal(b, role_headers[CR_ROLE_ASSISTANT], err));
    CR_TRY(add(b, cr_str_of("\n"), err));
    return close_piece(b, false, err);
}

enum critic_status cr_chat_render(struct cr_chat *out, struct cr_str system,
                                  const struct cr_turn *turns, size_t n_turns,
                                  bool open_reply, critic_error *err) {
    *out = (struct cr_chat){0};
    cr_buf_init(&out->text, SIZE_MAX / 2);
    struct builder b = {.chat = out};
    enum critic_status status = render(&b, system, turns, n_turns, open_reply, err);
    if (status != CRITIC_OK) {
        cr_chat_fini(out);
        return status;
    }
    size_t at = 0;
    for (size_t i = 0; i < out->n_pieces; i++) {
        if (out->pieces[i].is_image)
            continue;
        out->pieces[i].text.data = out->text.data + at;
        at += out->pieces[i].text.len;
    }
    CR_ASSERT(at == out->text.len);
    return CRITIC_OK;
}

void cr_chat_fini(struct cr_chat *chat) {
    free(chat->pieces);
    cr_buf_fini(&chat->text);
    *chat = (struct cr_chat){0};
}

static bool contains(struct cr_str text, const char *needle) {
    size_t n = strlen(needle);
    for (size_t i = 0; i + n <= text.len; i++)
        if (memcmp(text.data + i, needle, n) == 0)
            return true;
    return false;
}

enum critic_status cr_chat_detect(struct cr_str chat_template, const char *name,
                                  enum cr_chat_format *format, critic_error *err) {
    *format = CR_CHAT_CHATML;
    if (contains(chat_template, "<|im_start|>") && contains(chat_template, "<|im_end|>"))
        return CRITIC_OK;
    return cr_fail(
        err, CRITIC_UNSUPPORTED,
        "%s: chat template is not ChatML; expected <|im_start|> and <|im_end|>", name);
}
