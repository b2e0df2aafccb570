#include "train/conversation.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "text/chat.h"

static const char image_mark[] = "<image>";
#define MARK_LEN (sizeof image_mark - 1)

void cr_labelled_fini(struct cr_labelled *l) {
    free(l->ids);
    free(l->label);
    memset(l, 0, sizeof *l);
}

enum critic_status cr_labelled_push(struct cr_labelled *l, const int32_t *ids,
                                    const unsigned char *label, size_t n,
                                    critic_error *err) {
    if (n > l->cap - l->n) {
        size_t cap = CR_MAX(l->cap * 2, CR_MAX(l->n + n, (size_t)256));
        int32_t *more = realloc(l->ids, cap * sizeof *more);
        if (more)
            l->ids = more;
        unsigned char *flags = more ? realloc(l->label, cap) : NULL;
        if (!flags)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu tokens", cap);
        l->label = flags;
        l->cap = cap;
    }
    if (n > 0) {
        memcpy(l->ids + l->n, ids, n * sizeof *ids);
        memcpy(l->label + l->n, label, n);
    }
    l->n += n;
    return CRITIC_OK;
}

void cr_encoder_init(struct cr_encoder *e, const struct cr_tokenizer *tokenizer,
                     struct cr_str system, enum cr_label_mask mask) {
    *e = (struct cr_encoder){.tokenizer = tokenizer, .system = system, .mask = mask};
    e->newline = cr_tokenizer_find(tokenizer, cr_str_of("\n"));
    e->im_start = cr_tokenizer_find(tokenizer, cr_str_of("<|im_start|>"));
    e->im_end = cr_tokenizer_find(tokenizer, cr_str_of("<|im_end|>"));
}

/* ---- turns of a record ---- */

struct turn {
    enum cr_role role;
    struct cr_str text;
};

static enum critic_status get_turn(const struct cr_conversation *c, size_t i,
                                   struct turn *out, critic_error *err) {
    static const struct {
        const char *name;
        enum cr_role role;
    } roles[] = {{"human", CR_ROLE_USER},
                 {"user", CR_ROLE_USER},
                 {"gpt", CR_ROLE_ASSISTANT},
                 {"assistant", CR_ROLE_ASSISTANT},
                 {"system", CR_ROLE_SYSTEM}};
    const json_t *turn = json_array_get(c->turns, i);
    const json_t *from = json_object_get(turn, "from");
    const json_t *value = json_object_get(turn, "value");
    if (!from && !value) {
        from = json_object_get(turn, "role");
        value = json_object_get(turn, "content");
    }
    if (!json_is_string(from) || !json_is_string(value))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "turn %zu: expected {\"from\": text, \"value\": text}", i + 1);
    for (size_t r = 0; r < CR_COUNT(roles); r++)
        if (strcmp(json_string_value(from), roles[r].name) == 0) {
            out->role = roles[r].role;
            out->text =
                (struct cr_str){json_string_value(value), json_string_length(value)};
            return CRITIC_OK;
        }
    return cr_fail(err, CRITIC_BAD_DATA,
                   "turn %zu: 'from' is '%.40s'; expected human or gpt", i + 1,
                   json_string_value(from));
}

/* The first turn that counts: one in front that no human speaks is dropped. */
static enum critic_status first_turn(const struct cr_conversation *c, size_t *first,
                                     critic_error *err) {
    struct turn turn;
    size_t n = json_array_size(c->turns);
    *first = 0;
    if (n == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "no turns in 'conversations'");
    CR_TRY(get_turn(c, 0, &turn, err));
    *first = turn.role == CR_ROLE_USER ? 0 : 1;
    for (size_t i = *first; i < n; i++) {
        CR_TRY(get_turn(c, i, &turn, err));
        if (turn.role == CR_ROLE_SYSTEM)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "turn %zu: a system turn inside the conversation", i + 1);
    }
    return CRITIC_OK;
}

static size_t count_marks(struct cr_str text) {
    size_t n = 0;
    for (size_t at; (at = cr_str_find(text, cr_str_of(image_mark))) != SIZE_MAX; n++) {
        text.data += at + MARK_LEN;
        text.len -= at + MARK_LEN;
    }
    return n;
}

/* White space as Python's str.strip sees it in ASCII. */
static struct cr_str strip(struct cr_str s) {
    static const char space[] = " \t\n\r\v\f\x1c\x1d\x1e\x1f";
    while (s.len > 0 && s.data[0] && strchr(space, s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && s.data[s.len - 1] && strchr(space, s.data[s.len - 1]))
        s.len--;
    return s;
}

/* The text with a single mark moved to the front: "<image>\n" and the stripped rest; a mark that
 * is in front already, none, or several are left alone. */
static enum critic_status front_mark(struct cr_str text, struct cr_buf *out,
                                     critic_error *err) {
    cr_buf_clear(out);
    size_t at = cr_str_find(text, cr_str_of(image_mark));
    if (at == SIZE_MAX || at == 0 || count_marks(text) != 1)
        return cr_buf_append(out, text.data, text.len, err);
    struct cr_buf rest;
    enum critic_status status;
    cr_buf_init(&rest, SIZE_MAX / 2);
    CR_TRY_GOTO(cr_buf_append(&rest, text.data, at, err));
    CR_TRY_GOTO(
        cr_buf_append(&rest, text.data + at + MARK_LEN, text.len - at - MARK_LEN, err));
    struct cr_str inner = strip(cr_buf_str(&rest));
    CR_TRY_GOTO(cr_buf_append_c(out, image_mark, err));
    if (inner.len > 0) {
        CR_TRY_GOTO(cr_buf_append_c(out, "\n", err));
        CR_TRY_GOTO(cr_buf_append(out, inner.data, inner.len, err));
    }
fail:
    cr_buf_fini(&rest);
    return status;
}

/* ---- tokens ---- */

/* Is this token a target? at: its place in the assistant's text piece, SIZE_MAX elsewhere. */
static bool is_target(const struct cr_encoder *e, enum cr_role role, int32_t id,
                      size_t at_text, bool closes) {
    bool is_mark = id >= 0 && at_text == SIZE_MAX &&
                   (id == e->im_start || id == e->im_end || (closes && id == e->newline));
    if (e->mask != CR_LABELS_LLAVA)
        return (role == CR_ROLE_ASSISTANT && at_text != SIZE_MAX &&
                !(at_text == 0 && id == e->newline)) ||
               (e->mask == CR_LABELS_LLAVA_DPO
                    ? is_mark
                    : role == CR_ROLE_ASSISTANT && closes && id == e->im_end);
    return role == CR_ROLE_ASSISTANT ||
           (id >= 0 && (id == e->newline || id == e->im_start || id == e->im_end));
}

static enum critic_status push_piece(const struct cr_encoder *e, enum cr_role role,
                                     const struct cr_chat_piece *piece, bool closes,
                                     struct cr_labelled *out, critic_error *err) {
    struct cr_ids ids;
    if (piece->is_image) {
        const int32_t mark = CR_IMAGE_MARK;
        const unsigned char no = 0;
        return cr_labelled_push(out, &mark, &no, 1, err);
    }
    cr_ids_init(&ids);
    enum critic_status status =
        cr_tokenizer_encode(e->tokenizer, piece->text, piece->parse_special, &ids, err);
    for (size_t i = 0; i < ids.len && status == CRITIC_OK; i++) {
        unsigned char label =
            is_target(e, role, ids.data[i], piece->parse_special ? SIZE_MAX : i, closes);
        status = cr_labelled_push(out, &ids.data[i], &label, 1, err);
    }
    cr_ids_fini(&ids);
    return status;
}

/* Appends one turn. Text of a human turn is given with its marks. */
static enum critic_status push_turn(const struct cr_encoder *e, enum cr_role role,
                                    struct cr_str text, struct cr_labelled *out,
                                    critic_error *err) {
    struct cr_chat chat;
    struct cr_turn turn = {
        .role = role, .text = text, .split_images = role == CR_ROLE_USER};
    CR_TRY(cr_chat_render(&chat, (struct cr_str){NULL, 0}, &turn, 1, false, err));
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < chat.n_pieces && status == CRITIC_OK; i++)
        status = push_piece(e, role, &chat.pieces[i], i + 1 == chat.n_pieces, out, err);
    cr_chat_fini(&chat);
    return status;
}

static enum critic_status push_system(const struct cr_encoder *e, struct cr_labelled *out,
                                      critic_error *err) {
    return e->system.data ? push_turn(e, CR_ROLE_SYSTEM, e->system, out, err) : CRITIC_OK;
}

static enum critic_status check_marks(size_t n_marks, size_t n_images,
                                      critic_error *err) {
    if (n_marks == n_images)
        return CRITIC_OK;
    return cr_fail(
        err, CRITIC_BAD_DATA,
        "%zu \"<image>\" mark%s for %zu picture%s; expected as many of one as of "
        "the other",
        n_marks, n_marks == 1 ? "" : "s", n_images, n_images == 1 ? "" : "s");
}

static enum critic_status check_answers(const struct cr_conversation *c, size_t first,
                                        critic_error *err) {
    struct turn turn;
    size_t n = 0;
    for (size_t i = first; i < json_array_size(c->turns); i++) {
        CR_TRY(get_turn(c, i, &turn, err));
        if (turn.role != CR_ROLE_ASSISTANT)
            continue;
        if (strip(turn.text).len == 0)
            return cr_fail(err, CRITIC_BAD_DATA, "turn %zu: an empty answer", i + 1);
        n++;
    }
    if (n == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "no assistant turn to learn from");
    return CRITIC_OK;
}

/* *last is where the last turn begins. */
static enum critic_status encode_whole(const struct cr_encoder *e,
                                       const struct cr_conversation *c,
                                       struct cr_labelled *out, size_t *last,
                                       critic_error *err) {
    size_t first, n_marks = 0;
    struct cr_buf text;
    CR_TRY(first_turn(c, &first, err));
    CR_TRY(check_answers(c, first, err));
    enum critic_status status;
    cr_buf_init(&text, SIZE_MAX / 2);
    CR_TRY_GOTO(push_system(e, out, err));
    for (size_t i = first; i < json_array_size(c->turns); i++) {
        struct turn turn;
        CR_TRY_GOTO(get_turn(c, i, &turn, err));
        if (turn.role == CR_ROLE_USER) {
            CR_TRY_GOTO(front_mark(turn.text, &text, err));
            turn.text = cr_buf_str(&text);
            n_marks += count_marks(turn.text);
        }
        *last = out->n;
        CR_TRY_GOTO(push_turn(e, turn.role, turn.text, out, err));
    }
    CR_TRY_GOTO(check_marks(n_marks, c->n_images, err));
fail:
    cr_buf_fini(&text);
    return status;
}

enum critic_status cr_encode_conversation(const struct cr_encoder *e,
                                          const struct cr_conversation *c,
                                          struct cr_labelled *out, critic_error *err) {
    size_t last;
    return encode_whole(e, c, out, &last, err);
}

enum critic_status cr_encode_answer(const struct cr_encoder *e,
                                    const struct cr_conversation *c,
                                    struct cr_labelled *out, size_t *answer,
                                    critic_error *err) {
    size_t from = out->n;
    CR_TRY(encode_whole(e, c, out, answer, err));
    for (size_t i = from; i < *answer; i++)
        out->label[i] =
            e->mask == CR_LABELS_LLAVA_DPO && out->label[i] &&
            (out->ids[i] == e->im_start || out->ids[i] == e->im_end ||
             (out->ids[i] == e->newline && i > from && out->ids[i - 1] == e->im_end));
    return CRITIC_OK;
}

/* ---- branches ---- */

/* Where the shared part of an opening user turn ends: behind its last picture, which must come
 * before all text; of a text, behind the user header (the piece before the first newline).
 * 0: pictures stand elsewhere. */
static size_t split_at(const struct cr_encoder *e, const struct cr_labelled *l,
                       size_t n_system, size_t n_header, size_t n_images) {
    size_t at = n_system + n_header, seen = 0;
    if (n_images == 0)
        return at;
    for (; at < l->n && seen < n_images; at++) {
        if (l->ids[at] == CR_IMAGE_MARK)
            seen++;
        else if (l->ids[at] != e->newline)
            return 0;
    }
    for (size_t i = at; i < l->n; i++)
        if (l->ids[i] == CR_IMAGE_MARK)
            return 0;
    return at;
}

struct branching {
    const struct cr_encoder *e;
    const struct cr_conversation *c;
    struct cr_labelled whole; /* an opening human turn and what belongs to it */
    struct cr_labelled *prefix;
    size_t n_header; /* tokens of the user header */
    struct cr_buf text;
};

/* Text of an opening human turn: pictures in front where it does not mark them itself. */
static enum critic_status opening_text(struct branching *b, struct cr_str given,
                                       critic_error *err) {
    struct cr_buf front;
    enum critic_status status;
    size_t n = count_marks(given);
    CR_TRY(front_mark(given, &b->text, err));
    if (n > 0 || b->c->n_images == 0)
        return check_marks(n, b->c->n_images, err);
    cr_buf_init(&front, SIZE_MAX / 2);
    for (size_t i = 0; i < b->c->n_images; i++)
        CR_TRY_GOTO(cr_buf_printf(&front, err, "%s\n", image_mark));
    CR_TRY_GOTO(cr_buf_append(&front, given.data, given.len, err));
    cr_buf_clear(&b->text);
    CR_TRY_GOTO(cr_buf_append(&b->text, front.data, front.len, err));
fail:
    cr_buf_fini(&front);
    return status;
}

/* Tokens of turns [first, end), the first of them opening a conversation, into b->whole. */
static enum critic_status encode_span(struct branching *b, size_t first, size_t end,
                                      size_t *split, critic_error *err) {
    struct turn turn;
    b->whole.n = 0;
    CR_TRY(push_system(b->e, &b->whole, err));
    size_t n_system = b->whole.n;
    for (size_t i = first; i < end; i++) {
        CR_TRY(get_turn(b->c, i, &turn, err));
        if (i == first) {
            CR_TRY(opening_text(b, turn.text, err));
            turn.text = cr_buf_str(&b->text);
        } else if (turn.role == CR_ROLE_USER && count_marks(turn.text) > 0) {
            *split = 0;
            return CRITIC_OK;
        }
        CR_TRY(push_turn(b->e, turn.role, turn.text, &b->whole, err));
    }
    *split = split_at(b->e, &b->whole, n_system, b->n_header, b->c->n_images);
    return CRITIC_OK;
}

/* Turns [first, end) of one branch; end is the next human turn where turns are taken apart. */
static enum critic_status span_end(struct branching *b, size_t first, bool turns,
                                   size_t *end, critic_error *err) {
    size_t n = json_array_size(b->c->turns);
    struct turn turn;
    for (*end = first + 1; turns && *end < n; ++*end) {
        CR_TRY(get_turn(b->c, *end, &turn, err));
        if (turn.role == CR_ROLE_USER)
            break;
    }
    if (!turns)
        *end = n;
    if (*end == first + 1)
        return cr_fail(err, CRITIC_BAD_DATA, "turn %zu: a human turn without an answer",
                       first + 1);
    return CRITIC_OK;
}

static enum critic_status emit(struct branching *b, size_t split, bool is_first,
                               bool *shared, cr_branch_fn *on_branch, void *user,
                               critic_error *err) {
    if (is_first) {
        b->prefix->n = 0;
        CR_TRY(cr_labelled_push(b->prefix, b->whole.ids, b->whole.label, split, err));
    }
    *shared = split == b->prefix->n &&
              memcmp(b->whole.ids, b->prefix->ids, split * sizeof *b->whole.ids) == 0;
    if (!*shared)
        return CRITIC_OK;
    struct cr_labelled rest = {b->whole.ids + split, b->whole.label + split,
                               b->whole.n - split, 0};
    return on_branch(user, &rest, err);
}

static enum critic_status header_length(struct branching *b, critic_error *err) {
    struct cr_ids ids;
    cr_ids_init(&ids);
    enum critic_status status = cr_tokenizer_encode(
        b->e->tokenizer, cr_str_of("<|im_start|>user"), true, &ids, err);
    b->n_header = ids.len;
    cr_ids_fini(&ids);
    return status;
}

enum critic_status cr_encode_branches(const struct cr_encoder *e,
                                      const struct cr_conversation *c, bool turns,
                                      struct cr_labelled *prefix, bool *shared,
                                      cr_branch_fn *on_branch, void *user,
                                      critic_error *err) {
    struct branching b = {.e = e, .c = c, .prefix = prefix};
    size_t first, end, split;
    enum critic_status status;
    *shared = true;
    cr_buf_init(&b.text, SIZE_MAX / 2);
    CR_TRY_GOTO(first_turn(c, &first, err));
    CR_TRY_GOTO(check_answers(c, first, err));
    CR_TRY_GOTO(header_length(&b, err));
    bool is_first = true;
    for (; first < json_array_size(c->turns) && *shared; first = end) {
        CR_TRY_GOTO(span_end(&b, first, turns, &end, err));
        CR_TRY_GOTO(encode_span(&b, first, end, &split, err));
        *shared = split > 0;
        if (*shared)
            CR_TRY_GOTO(emit(&b, split, is_first, shared, on_branch, user, err));
        is_first = false;
    }
fail:
    cr_labelled_fini(&b.whole);
    cr_buf_fini(&b.text);
    return status;
}
