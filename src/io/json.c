#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

static enum critic_status parse(json_t **out, const char *text, size_t len,
                                const char *name, size_t flags, critic_error *err) {
    json_error_t fault;
    *out = json_loadb(text, len, flags | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
    if (*out)
        return CRITIC_OK;
    /* Jansson has nothing to say about most allocations that fail. */
    if (json_error_code(&fault) == json_error_out_of_memory || fault.text[0] == '\0')
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", name);
    return cr_fail(err, CRITIC_BAD_FILE, "%s:%d:%d: not valid JSON: %s", name, fault.line,
                   fault.column, fault.text);
}

enum critic_status cr_json_parse(json_t **out, const char *text, size_t len,
                                 const char *name, critic_error *err) {
    return parse(out, text, len, name, 0, err);
}

enum critic_status cr_json_parse_any(json_t **out, const char *text, size_t len,
                                     const char *name, critic_error *err) {
    return parse(out, text, len, name, JSON_DECODE_ANY, err);
}

enum critic_status cr_json_read(json_t **out, const char *path, size_t max_bytes,
                                critic_error *err) {
    struct cr_buf text;
    *out = NULL;
    cr_buf_init(&text, max_bytes);
    enum critic_status status = cr_file_read(path, &text, err);
    if (status == CRITIC_OK)
        status = cr_json_parse(out, text.data ? text.data : "", text.len, path, err);
    cr_buf_fini(&text);
    return status;
}

/* The member, or NULL where it is absent or null. */
static json_t *member(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static enum critic_status wrong_type(const char *where, const char *key,
                                     const char *expected, critic_error *err) {
    return cr_fail(err, CRITIC_BAD_FILE, "%s: '%s' is not %s", where, key, expected);
}

enum critic_status cr_json_size(const json_t *object, const char *key, size_t min,
                                size_t max, size_t *out, const char *where,
                                critic_error *err) {
    json_t *value = member(object, key);
    if (!value)
        return CRITIC_OK;
    if (!json_is_integer(value))
        return wrong_type(where, key, "an integer", err);
    json_int_t n = json_integer_value(value);
    if (n < 0 || (unsigned long long)n < min || (unsigned long long)n > max)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: '%s' is %lld; expected %zu to %zu",
                       where, key, (long long)n, min, max);
    *out = (size_t)n;
    return CRITIC_OK;
}

enum critic_status cr_json_double(const json_t *object, const char *key, double *out,
                                  const char *where, critic_error *err) {
    json_t *value = member(object, key);
    if (!value)
        return CRITIC_OK;
    if (!json_is_number(value))
        return wrong_type(where, key, "a number", err);
    *out = json_number_value(value);
    return CRITIC_OK;
}

enum critic_status cr_json_bool(const json_t *object, const char *key, bool *out,
                                const char *where, critic_error *err) {
    json_t *value = member(object, key);
    if (!value)
        return CRITIC_OK;
    if (!json_is_boolean(value))
        return wrong_type(where, key, "true or false", err);
    *out = json_is_true(value);
    return CRITIC_OK;
}

enum critic_status cr_json_str(const json_t *object, const char *key, struct cr_str *out,
                               const char *where, critic_error *err) {
    json_t *value = member(object, key);
    if (!value)
        return CRITIC_OK;
    if (!json_is_string(value))
        return wrong_type(where, key, "a string", err);
    *out = (struct cr_str){json_string_value(value), json_string_length(value)};
    return CRITIC_OK;
}

enum critic_status cr_json_object(const json_t *object, const char *key, json_t **out,
                                  const char *where, critic_error *err) {
    *out = member(object, key);
    if (*out && !json_is_object(*out)) {
        *out = NULL;
        return wrong_type(where, key, "an object", err);
    }
    return CRITIC_OK;
}

enum critic_status cr_json_array(const json_t *object, const char *key, json_t **out,
                                 const char *where, critic_error *err) {
    *out = member(object, key);
    if (*out && !json_is_array(*out)) {
        *out = NULL;
        return wrong_type(where, key, "a list", err);
    }
    return CRITIC_OK;
}

struct append_state {
    struct cr_buf *out;
    critic_error *err;
    enum critic_status status;
};

static int append_piece(const char *data, size_t len, void *user) {
    struct append_state *state = user;
    state->status = cr_buf_append(state->out, data, len, state->err);
    return state->status == CRITIC_OK ? 0 : -1;
}

static enum critic_status append(struct cr_buf *out, const json_t *value, size_t digits,
                                 critic_error *err) {
    struct append_state state = {out, err, CRITIC_OK};
    int rc =
        json_dump_callback(value, append_piece, &state,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
    if (rc != 0 && state.status == CRITIC_OK)
        return cr_fail(err, CRITIC_NO_MEMORY, "cannot write JSON");
    return state.status;
}

enum critic_status cr_json_append(struct cr_buf *out, const json_t *value,
                                  critic_error *err) {
    return append(out, value, 9, err);
}

enum critic_status cr_json_append_exact(struct cr_buf *out, const json_t *value,
                                        critic_error *err) {
    return append(out, value, 15, err);
}

json_t *cr_json_number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

double cr_json_rounded(double x, int digits) {
    char text[40];
    snprintf(text, sizeof text, "%.*g", digits, x);
    return isfinite(x) ? strtod(text, NULL) : (double)NAN;
}
