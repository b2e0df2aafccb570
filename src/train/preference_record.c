#include "train/preference_record.h"

#include <stdint.h>
#include <string.h>

static const char image_mark[] = "<image>";
#define MARK_LEN (sizeof image_mark - 1)

void cr_preference_record_fini(struct cr_preference_record *r) {
    json_decref(r->sides[0]);
    json_decref(r->sides[1]);
    json_decref(r->system);
    memset(r, 0, sizeof *r);
}

/* ---- turns ---- */

static bool is_type(const json_t *part, const char *type) {
    const char *text = json_string_value(json_object_get(part, "type"));
    return text && strcmp(text, type) == 0;
}

/* A list of parts as one text: pictures in front as "<image>\n" each, others as "<image>". */
static enum critic_status flatten(const json_t *parts, struct cr_buf *out,
                                  critic_error *err) {
    bool in_front = true;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const json_t *text = json_object_get(part, "text");
        if (is_type(part, "image")) {
            CR_TRY(cr_buf_append_c(out, image_mark, err));
            if (in_front)
                CR_TRY(cr_buf_append_c(out, "\n", err));
        } else if (is_type(part, "text") && json_is_string(text)) {
            CR_TRY(cr_buf_append(out, json_string_value(text), json_string_length(text),
                                 err));
            in_front = false;
        } else {
            return cr_fail(err, CRITIC_BAD_DATA,
                           "content part %zu; expected {\"type\": \"image\"} or "
                           "{\"type\": \"text\", \"text\": …}",
                           i + 1);
        }
    }
    return CRITIC_OK;
}

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a pair");
}

static enum critic_status push_turn(json_t *turns, const char *from, struct cr_str text,
                                    critic_error *err) {
    json_t *turn = json_pack("{s:s,s:o}", "from", from, "value",
                             json_stringn(text.data ? text.data : "", text.len));
    return turn && json_array_append_new(turns, turn) == 0 ? CRITIC_OK : no_memory(err);
}

/* Appends a turn of any of the formats as {"from", "value"}. */
static enum critic_status add_turn(json_t *turns, const json_t *turn, critic_error *err) {
    const json_t *from = json_object_get(turn, "from");
    const json_t *value = json_object_get(turn, "value");
    struct cr_buf text;
    if (!from && !value) {
        from = json_object_get(turn, "role");
        value = json_object_get(turn, "content");
    }
    if (!json_is_string(from) || !(json_is_string(value) || json_is_array(value)))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "a turn without role and content; expected {\"role\": …, "
                       "\"content\": …} or {\"from\": …, \"value\": …}");
    cr_buf_init(&text, SIZE_MAX / 2);
    enum critic_status status = json_is_array(value)
                                    ? flatten(value, &text, err)
                                    : cr_buf_append(&text, json_string_value(value),
                                                    json_string_length(value), err);
    if (status == CRITIC_OK)
        status = push_turn(turns, json_string_value(from), cr_buf_str(&text), err);
    cr_buf_fini(&text);
    return status;
}

/* A text (a turn by `from`), a turn, or a list of turns. */
static enum critic_status add_turns(json_t *turns, const json_t *what, const char *key,
                                    const char *from, critic_error *err) {
    if (json_is_string(what))
        return push_turn(
            turns, from,
            (struct cr_str){json_string_value(what), json_string_length(what)}, err);
    if (json_is_object(what))
        return add_turn(turns, what, err);
    if (!json_is_array(what) || json_array_size(what) == 0)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "no text '%s'; expected prompt, chosen and rejected", key);
    for (size_t i = 0; i < json_array_size(what); i++)
        CR_TRY(add_turn(turns, json_array_get(what, i), err));
    return CRITIC_OK;
}

/* ---- pictures ---- */

static size_t count_marks(const char *text) {
    size_t n = 0;
    for (; (text = strstr(text, image_mark)); text += MARK_LEN)
        n++;
    return n;
}

static bool is_human(const json_t *turn) {
    const char *from = json_string_value(json_object_get(turn, "from"));
    return strcmp(from, "human") == 0 || strcmp(from, "user") == 0;
}

/* The newline behind a mark goes with it. */
static enum critic_status without_marks(struct cr_buf *out, const char *text,
                                        critic_error *err) {
    for (const char *mark; (mark = strstr(text, image_mark));) {
        CR_TRY(cr_buf_append(out, text, (size_t)(mark - text), err));
        text = mark + MARK_LEN;
        text += *text == '\n';
    }
    return cr_buf_append_c(out, text, err);
}

static enum critic_status front_marks(json_t *turns, size_t n_images, critic_error *err) {
    bool is_first = true;
    struct cr_buf text;
    cr_buf_init(&text, SIZE_MAX / 2);
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < json_array_size(turns) && status == CRITIC_OK; i++) {
        json_t *turn = json_array_get(turns, i);
        if (!is_human(turn))
            continue;
        cr_buf_clear(&text);
        for (size_t k = 0; is_first && k < n_images && status == CRITIC_OK; k++)
            status = cr_buf_printf(&text, err, "%s\n", image_mark);
        if (status == CRITIC_OK)
            status = without_marks(
                &text, json_string_value(json_object_get(turn, "value")), err);
        if (status == CRITIC_OK &&
            json_object_set_new(turn, "value",
                                json_stringn(text.data ? text.data : "", text.len)))
            status = no_memory(err);
        is_first = false;
    }
    cr_buf_fini(&text);
    return status;
}

static enum critic_status mark_pictures(json_t *turns, size_t n_images,
                                        critic_error *err) {
    size_t n_marks = 0;
    for (size_t i = 0; i < json_array_size(turns); i++) {
        const json_t *turn = json_array_get(turns, i);
        if (is_human(turn))
            n_marks += count_marks(json_string_value(json_object_get(turn, "value")));
    }
    return n_marks == n_images && (n_images > 1 || json_array_size(turns) > 2)
               ? CRITIC_OK
               : front_marks(turns, n_images, err);
}

/* ---- the record ---- */

static enum critic_status read_side(json_t *turns, const json_t *record, const char *side,
                                    critic_error *err) {
    static const char *const prompts[] = {"prompt", "question", "conversations"};
    const json_t *prompt = NULL, *answer = json_object_get(record, side);
    for (size_t i = 0; i < 3 && !prompt; i++)
        prompt = json_object_get(record, prompts[i]);
    if (prompt)
        CR_TRY(add_turns(turns, prompt, "prompt", "human", err));
    else if (!json_is_array(answer))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "no text 'prompt'; expected prompt, chosen and rejected");
    CR_TRY(add_turns(turns, answer, side, "gpt", err));
    size_t n = json_array_size(turns);
    if (n < 2 || is_human(json_array_get(turns, n - 1)) ||
        !is_human(json_array_get(turns, n - 2)))
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "'%s' is no answer to a human turn; expected the prompt to end with "
            "a human turn and the answer to be one turn",
            side);
    if (json_string_length(json_object_get(json_array_get(turns, n - 1), "value")) == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "'%s' is empty", side);
    return CRITIC_OK;
}

/* Takes a system turn out of the front. */
static void take_system(json_t *turns, json_t **system) {
    json_t *turn = json_array_get(turns, 0);
    const char *from = json_string_value(json_object_get(turn, "from"));
    if (strcmp(from, "system") != 0)
        return;
    json_decref(*system);
    *system = json_incref(json_object_get(turn, "value"));
    json_array_remove(turns, 0);
}

static enum critic_status check_alike(const json_t *const sides[2], critic_error *err) {
    size_t n = json_array_size(sides[0]);
    bool alike = n == json_array_size(sides[1]);
    for (size_t i = 0; i + 1 < n && alike; i++)
        alike = json_equal(json_array_get(sides[0], i), json_array_get(sides[1], i));
    return alike ? CRITIC_OK
                 : cr_fail(err, CRITIC_BAD_DATA,
                           "chosen and rejected do not share all turns but the last");
}

enum critic_status cr_preference_record_read(struct cr_preference_record *out,
                                             const json_t *record, size_t n_images,
                                             critic_error *err) {
    static const char *const keys[2] = {"chosen", "rejected"};
    memset(out, 0, sizeof *out);
    for (int i = 0; i < 2; i++) {
        json_t *turns = out->sides[i] = json_array();
        if (!turns)
            return no_memory(err);
        CR_TRY(read_side(turns, record, keys[i], err));
        take_system(turns, &out->system);
        CR_TRY(mark_pictures(turns, n_images, err));
    }
    return check_alike((const json_t *const *)out->sides, err);
}
