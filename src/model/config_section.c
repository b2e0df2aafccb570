#include "model/config_section.h"

#include <string.h>

#include "io/json.h"

enum critic_status cr_section_unsupported(struct cr_section s, const char *key,
                                          const char *value, const char *expected,
                                          critic_error *err) {
    return cr_fail(err, CRITIC_UNSUPPORTED, "%s: '%s' is %.64s; supported: %s", s.where,
                   key, value, expected);
}

/* Null where the network needs a value is no way to ask for a default. */
static enum critic_status not_null(struct cr_section s, const char *key,
                                   const char *expected, critic_error *err) {
    if (!json_is_null(json_object_get(s.object, key)))
        return CRITIC_OK;
    return cr_fail(err, CRITIC_BAD_FILE, "%s: '%s' is null; expected %s", s.where, key,
                   expected);
}

enum critic_status cr_section_size(struct cr_section s, const char *key, size_t max,
                                   size_t *out, critic_error *err) {
    CR_TRY(not_null(s, key, "an integer", err));
    return cr_json_size(s.object, key, 1, max, out, s.where, err);
}

enum critic_status cr_section_number(struct cr_section s, const char *key, double *out,
                                     critic_error *err) {
    CR_TRY(not_null(s, key, "a number", err));
    return cr_json_double(s.object, key, out, s.where, err);
}

enum critic_status cr_section_id(struct cr_section s, const char *key, int32_t *out,
                                 critic_error *err) {
    size_t id = SIZE_MAX;
    CR_TRY(cr_json_size(s.object, key, 0, INT32_MAX, &id, s.where, err));
    if (id != SIZE_MAX)
        *out = (int32_t)id;
    return CRITIC_OK;
}

enum critic_status cr_section_need_word(struct cr_section s, const char *key,
                                        const char *words, critic_error *err) {
    struct cr_str text = {NULL, 0};
    CR_TRY(not_null(s, key, words, err));
    CR_TRY(cr_json_str(s.object, key, &text, s.where, err));
    if (!text.data)
        return CRITIC_OK;
    const char *word = words;
    for (;;) {
        size_t len = strcspn(word, ",");
        if (len == text.len && memcmp(word, text.data, len) == 0)
            return CRITIC_OK;
        if (word[len] == '\0')
            return cr_section_unsupported(s, key, text.data, words, err);
        word += len + 1;
    }
}

enum critic_status cr_section_need_false(struct cr_section s, const char *key,
                                         critic_error *err) {
    bool value = false;
    CR_TRY(cr_json_bool(s.object, key, &value, s.where, err));
    return value ? cr_section_unsupported(s, key, "true", "false", err) : CRITIC_OK;
}

enum critic_status cr_section_need_true(struct cr_section s, const char *key,
                                        critic_error *err) {
    bool value = true;
    CR_TRY(cr_json_bool(s.object, key, &value, s.where, err));
    return value ? CRITIC_OK : cr_section_unsupported(s, key, "false", "true", err);
}

enum critic_status cr_section_need_null(struct cr_section s, const char *key,
                                        critic_error *err) {
    const json_t *value = json_object_get(s.object, key);
    return !value || json_is_null(value)
               ? CRITIC_OK
               : cr_section_unsupported(s, key, "set", "null", err);
}

enum critic_status cr_section_activation(struct cr_section s, const char *key,
                                         enum cr_activation *out, critic_error *err) {
    struct cr_str text = {NULL, 0};
    CR_TRY(cr_section_need_word(s, key, "gelu,gelu_pytorch_tanh", err));
    CR_TRY(cr_json_str(s.object, key, &text, s.where, err));
    if (text.data)
        *out = cr_str_eq_c(text, "gelu") ? CR_ACT_GELU_ERF : CR_ACT_GELU_TANH;
    return CRITIC_OK;
}
