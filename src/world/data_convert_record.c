/* Turns and pictures of records in every spelling (data_convert_impl.h). */
#include <string.h>

#include "base/checked.h"
#include "world/data_convert_impl.h"

#define MAX_TEXT_BYTES ((size_t)256 << 20)

struct cr_str cr_convert_str(const json_t *value) {
    return (struct cr_str){json_string_value(value), json_string_length(value)};
}

json_t *cr_convert_json(struct cr_str s) {
    return json_stringn(s.data, s.len);
}

enum critic_status cr_convert_bad(critic_error *err, const char *what) {
    return cr_fail(err, CRITIC_BAD_DATA, "%s", what);
}

json_t *cr_convert_images(const json_t *record) {
    json_t *images = json_object_get(record, "images");
    json_t *image = json_object_get(record, "image");
    if (json_is_array(images))
        return json_copy(images);
    if (json_is_array(image))
        return json_copy(image);
    return json_is_string(image) ? json_pack("[O]", image) : json_array();
}

void cr_convert_copy(json_t *out, const json_t *record, const char *key) {
    json_t *value = json_object_get(record, key);
    if (value && !json_is_null(value))
        json_object_set(out, key, value);
}

/* A string, or typed parts with pictures as marks; NULL: neither. */
static json_t *text_of(const json_t *content) {
    struct cr_buf text;
    size_t i;
    json_t *part;
    if (json_is_string(content))
        return cr_convert_json(cr_convert_str(content));
    if (!json_is_array(content))
        return NULL;
    cr_buf_init(&text, MAX_TEXT_BYTES);
    json_array_foreach((json_t *)(uintptr_t)content, i, part) {
        const json_t *type = json_object_get(part, "type");
        const json_t *words = json_object_get(part, "text");
        if (json_is_string(type) && strcmp(json_string_value(type), "image") == 0)
            cr_buf_append_c(&text, "<image>\n", NULL);
        else if (json_is_string(words))
            cr_buf_append(&text, json_string_value(words), json_string_length(words),
                          NULL);
    }
    json_t *out = json_stringn(text.data ? text.data : "", text.len);
    cr_buf_fini(&text);
    return out;
}

enum critic_status cr_convert_turn(struct cr_convert_turn *out, const json_t *turn,
                                   critic_error *err) {
    static const char *const roles[][2] = {{"human", "user"},
                                           {"user", "user"},
                                           {"gpt", "assistant"},
                                           {"assistant", "assistant"},
                                           {"system", "system"}};
    const json_t *from = json_object_get(turn, "from");
    const json_t *value = json_object_get(turn, "value");
    if (!json_is_string(from))
        from = json_object_get(turn, "role");
    if (!value)
        value = json_object_get(turn, "content");
    out->role = NULL;
    for (size_t i = 0; json_is_string(from) && i < CR_COUNT(roles); i++)
        if (strcmp(json_string_value(from), roles[i][0]) == 0)
            out->role = roles[i][1];
    if (!out->role)
        return cr_convert_bad(
            err, "a turn's speaker is none of human, gpt, user, assistant, system");
    out->text = text_of(value);
    return out->text ? CRITIC_OK : cr_convert_bad(err, "a turn without text");
}

const json_t *cr_convert_turns(const json_t *record) {
    const json_t *turns = json_object_get(record, "conversations");
    return turns ? turns : json_object_get(record, "messages");
}
