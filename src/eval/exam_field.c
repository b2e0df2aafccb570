#include "eval/exam_field.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"

static const json_t *go_down(const json_t *value, const char *path, size_t len) {
    char name[128];
    while (value && len > 0) {
        const char *dot = memchr(path, '.', len);
        size_t n = dot ? (size_t)(dot - path) : len;
        if (n >= sizeof name)
            return NULL;
        memcpy(name, path, n);
        name[n] = '\0';
        if (json_is_array(value) && strspn(name, "0123456789") == n && n < 6) {
            size_t index = 0;
            for (size_t i = 0; i < n; i++)
                index = 10 * index + (size_t)(name[i] - '0');
            value = json_array_get(value, index);
        } else {
            value = json_object_get(value, name);
        }
        path += n + (dot != NULL);
        len -= n + (dot != NULL);
    }
    return value;
}

const json_t *cr_field_find(const json_t *object, const char *names) {
    while (names && *names) {
        size_t n = strcspn(names, "|");
        const json_t *value = json_object_get(object, names);
        /* a name with a dot in it may stand as such, as "claude-3.5" does */
        char whole[128];
        if (n < sizeof whole) {
            memcpy(whole, names, n);
            whole[n] = '\0';
            value = json_object_get(object, whole);
        }
        if (!value)
            value = go_down(object, names, n);
        if (value && !json_is_null(value))
            return value;
        names += n + (names[n] == '|');
    }
    return NULL;
}

static struct cr_str keep(struct cr_arena *a, const char *text, size_t len) {
    char *copy = cr_arena_strndup(a, text, len);
    return (struct cr_str){copy, copy ? len : 0};
}

static struct cr_str join(struct cr_arena *a, const json_t *list) {
    struct cr_buf text;
    struct cr_str out = {0};
    bool ok = json_array_size(list) > 0;
    cr_buf_init(&text, (size_t)1 << 26);
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        ok = json_is_string(one) &&
             (i == 0 || cr_buf_append_c(&text, ", ", NULL) == CRITIC_OK) &&
             cr_buf_append(&text, json_string_value(one), json_string_length(one),
                           NULL) == CRITIC_OK;
    }
    if (ok)
        out = keep(a, text.data ? text.data : "", text.len);
    cr_buf_fini(&text);
    return out;
}

struct cr_str cr_field_text(struct cr_arena *a, const json_t *value) {
    char number[40];
    int n;
    if (json_is_string(value))
        return keep(a, json_string_value(value), json_string_length(value));
    if (json_is_array(value))
        return join(a, value);
    if (json_is_integer(value))
        n = snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        n = snprintf(number, sizeof number, "%.15g", json_real_value(value));
    else
        return (struct cr_str){0};
    return keep(a, number, (size_t)n);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static char unescape(char c) {
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

/* One quoted text of Python at s[*at]; false where there is none. */
static bool python_text(struct cr_str s, size_t *at, struct cr_buf *out) {
    char quote = s.data[*at];
    if (quote != '\'' && quote != '"')
        return false;
    cr_buf_clear(out);
    for (++*at; *at < s.len && s.data[*at] != quote; ++*at) {
        char c = s.data[*at];
        if (c == '\\' && *at + 1 < s.len)
            c = unescape(s.data[++*at]);
        if (cr_buf_append(out, &c, 1, NULL) != CRITIC_OK)
            return false;
    }
    return (*at)++ < s.len;
}

static void skip(struct cr_str s, size_t *at, const char *what) {
    while (*at < s.len && strchr(what, s.data[*at]))
        ++*at;
}

/* ['a', "b"] or what numpy prints, ['a' 'b']. */
static size_t python_list(struct cr_arena *a, struct cr_str s, struct cr_str *out,
                          size_t max) {
    struct cr_buf text;
    size_t at = 0, n = 0;
    cr_buf_init(&text, s.len + 1);
    skip(s, &at, " \t\r\n");
    bool ok = at < s.len && s.data[at++] == '[';
    while (ok) {
        skip(s, &at, " \t\r\n,");
        if (at < s.len && s.data[at] == ']')
            break;
        ok = at < s.len && n < max && python_text(s, &at, &text);
        if (ok)
            out[n] = keep(a, text.data ? text.data : "", text.len);
        n += ok;
    }
    cr_buf_fini(&text);
    return ok ? n : 0;
}

size_t cr_field_texts(struct cr_arena *a, const json_t *value, struct cr_str *out,
                      size_t max) {
    if (json_is_array(value)) {
        size_t n = json_array_size(value);
        for (size_t i = 0; i < n; i++) {
            const json_t *one = json_array_get(value, i);
            if (json_is_object(one)) /* {"name", "answer"} */
                one = json_object_get(one, "answer");
            if (!json_is_string(one) || i >= max)
                return 0;
            out[i] = cr_field_text(a, one);
        }
        return n;
    }
    if (!json_is_string(value))
        return 0;
    struct cr_str s = {json_string_value(value), json_string_length(value)};
    json_t *list = NULL;
    critic_error ignored;
    size_t n = 0;
    if (cr_json_parse_any(&list, s.data, s.len, "list", &ignored) == CRITIC_OK &&
        json_is_array(list))
        n = cr_field_texts(a, list, out, max);
    else
        n = python_list(a, s, out, max);
    json_decref(list);
    return n;
}

/* Base64 of a picture without its "data:", as TSV files hold it? */
static bool is_base64_picture(struct cr_str s) {
    static const char *const starts[] = {"/9j/", "iVBOR", "UklGR", "R0lGOD"};
    for (size_t i = 0; s.len > 100 && i < CR_COUNT(starts); i++)
        if (memcmp(s.data, starts[i], strlen(starts[i])) == 0)
            return strspn(s.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789+/=\r\n") >= s.len;
    return false;
}

enum critic_status cr_field_picture(struct cr_arena *a, const json_t *value,
                                    struct cr_str *out, critic_error *err) {
    static const char start[] = "data:image/jpeg;base64,"; /* the content decides */
    if (json_is_object(value)) { /* {"path", "bytes"} as data sets write it */
        const json_t *path = json_object_get(value, "path");
        value = json_is_string(path) ? path : json_object_get(value, "bytes");
    }
    if (!json_is_string(value))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "a picture is no text; expected a path, a data URL or base64");
    struct cr_str s = {json_string_value(value), json_string_length(value)};
    if (!is_base64_picture(s)) {
        *out = cr_field_text(a, value);
        return out->data ? CRITIC_OK
                         : cr_fail(err, CRITIC_NO_MEMORY, "no memory for a picture");
    }
    char *url = cr_arena_alloc(a, sizeof start + s.len);
    if (!url)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a picture");
    memcpy(url, start, sizeof start - 1);
    memcpy(url + sizeof start - 1, s.data, s.len + 1);
    *out = (struct cr_str){url, sizeof start - 1 + s.len};
    return CRITIC_OK;
}
