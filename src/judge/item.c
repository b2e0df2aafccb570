/* Items from JSON lines. */
#include <string.h>

#include "base/checked.h"
#include "io/json.h"
#include "judge/judge.h"

static enum critic_status no_memory(const char *where, critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "%s: no memory for the item", where);
}

static enum critic_status wrong(const char *where, const char *key, const char *expected,
                                critic_error *err) {
    return cr_fail(err, CRITIC_BAD_DATA, "%s: key '%s': expected %s", where, key,
                   expected);
}

static enum critic_status copy_text(struct cr_item *item, const json_t *value,
                                    struct cr_str *out, const char *where,
                                    critic_error *err) {
    size_t len = json_string_length(value);
    char *copy = cr_arena_strndup(&item->arena, json_string_value(value), len);
    if (!copy)
        return no_memory(where, err);
    *out = (struct cr_str){copy, len};
    return CRITIC_OK;
}

/* A member that may be absent or null. */
static enum critic_status read_text(struct cr_item *item, const json_t *object,
                                    const char *key, struct cr_str *out,
                                    const char *where, critic_error *err) {
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value))
        return CRITIC_OK;
    if (!json_is_string(value))
        return wrong(where, key, "a text", err);
    return copy_text(item, value, out, where, err);
}

static enum critic_status read_texts(struct cr_item *item, const json_t *object,
                                     const char *key, const struct cr_str **out,
                                     size_t *n, const char *where, critic_error *err) {
    const json_t *array = json_object_get(object, key);
    if (!array || json_is_null(array))
        return CRITIC_OK;
    if (!json_is_array(array))
        return wrong(where, key, "a list of texts", err);
    size_t size = json_array_size(array);
    struct cr_str *texts =
        cr_arena_calloc(&item->arena, CR_MAX(size, (size_t)1), sizeof *texts);
    if (!texts)
        return no_memory(where, err);
    for (size_t i = 0; i < size; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_string(value))
            return wrong(where, key, "a list of texts", err);
        CR_TRY(copy_text(item, value, &texts[i], where, err));
    }
    *out = texts;
    *n = size;
    return CRITIC_OK;
}

static enum critic_status read_id(struct cr_item *item, const json_t *object,
                                  const char *where, critic_error *err) {
    const json_t *value = json_object_get(object, "id");
    if (!json_is_integer(value))
        return value && !json_is_string(value) && !json_is_null(value)
                   ? wrong(where, "id", "a text or a whole number", err)
                   : read_text(item, object, "id", &item->id, where, err);
    struct cr_buf text;
    cr_buf_init(&text, 64);
    enum critic_status status =
        cr_buf_printf(&text, err, "%lld", (long long)json_integer_value(value));
    if (status == CRITIC_OK) {
        item->id = (struct cr_str){cr_arena_strndup(&item->arena, text.data, text.len),
                                   text.len};
        item->id_is_number = true;
        if (!item->id.data)
            status = no_memory(where, err);
    }
    cr_buf_fini(&text);
    return status;
}

/* Other keys are the user's own business, but these are misspelt ones of ours, and what they
 * say would be dropped in silence. */
static enum critic_status check_keys(const json_t *object, const char *where,
                                     critic_error *err) {
    static const char *const wrong_keys[][2] = {
        {"image", "images"},     {"question_text", "question"}, {"response", "responses"},
        {"answer", "responses"}, {"answers", "responses"},      {"criterion", "criteria"},
    };
    for (size_t i = 0; i < CR_COUNT(wrong_keys); i++)
        if (json_object_get(object, wrong_keys[i][0]) &&
            !json_object_get(object, wrong_keys[i][1]))
            return cr_fail(err, CRITIC_BAD_DATA, "%s: unknown key '%s'; expected '%s'",
                           where, wrong_keys[i][0], wrong_keys[i][1]);
    return CRITIC_OK;
}

static enum critic_status read_item(struct cr_item *item, json_t *object,
                                    const char *folder, const char *where,
                                    critic_error *err) {
    if (!json_is_object(object))
        return cr_fail(err, CRITIC_BAD_DATA, "%s: expected a JSON object", where);
    CR_TRY(read_id(item, object, where, err));
    CR_TRY(check_keys(object, where, err));
    CR_TRY(
        read_texts(item, object, "images", &item->sources, &item->n_sources, where, err));
    CR_TRY(read_text(item, object, "question", &item->question, where, err));
    CR_TRY(read_texts(item, object, "responses", &item->answers, &item->n_answers, where,
                      err));
    CR_TRY(read_text(item, object, "reference", &item->reference, where, err));
    CR_TRY(read_texts(item, object, "criteria", &item->criteria, &item->n_criteria, where,
                      err));
    CR_TRY(read_text(item, object, "context", &item->context, where, err));
    if (!item->question.data)
        return wrong(where, "question", "a text", err);
    if (item->n_answers == 0)
        return wrong(where, "responses", "a list of at least one text", err);
    if (folder) {
        item->folder = (struct cr_str){
            cr_arena_strndup(&item->arena, folder, strlen(folder)), strlen(folder)};
        if (!item->folder.data)
            return no_memory(where, err);
    }
    return CRITIC_OK;
}

enum critic_status cr_item_from_json(struct cr_item *out, struct cr_str line,
                                     const char *folder, const char *where,
                                     critic_error *err) {
    json_t *object = NULL;
    size_t limit;
    memset(out, 0, sizeof *out);
    /* texts are copied once, each rounded up to 64 bytes; the smallest takes 3 bytes of line */
    if (!cr_mul_size(line.len, 64, &limit) || !cr_add_size(limit, 1 << 16, &limit))
        return no_memory(where, err);
    enum critic_status status = cr_arena_init(&out->arena, limit, err);
    if (status == CRITIC_OK)
        status = cr_json_parse(&object, line.data, line.len, where, err);
    if (status == CRITIC_BAD_FILE && err)
        err->status = CRITIC_BAD_DATA;
    if (status == CRITIC_BAD_FILE)
        status = CRITIC_BAD_DATA;
    if (status == CRITIC_OK)
        status = read_item(out, object, folder, where, err);
    json_decref(object);
    if (status != CRITIC_OK)
        cr_item_fini(out);
    return status;
}

void cr_item_fini(struct cr_item *item) {
    cr_arena_fini(&item->arena);
    memset(item, 0, sizeof *item);
}
