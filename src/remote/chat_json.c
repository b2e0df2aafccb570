#include "remote/chat_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "io/json.h"

#define MAX_TOKENS_ARENA                                                                 \
    ((size_t)1 << 30) /* address space; pages come as they are used */

/* ---- requests ------------------------------------------------------------------------------ */

struct writer {
    bool failed;
};

static void put(struct writer *w, json_t *object, const char *key, json_t *value) {
    if (!value || json_object_set_new(object, key, value) != 0)
        w->failed = true;
}

static void push(struct writer *w, json_t *array, json_t *value) {
    if (!value || json_array_append_new(array, value) != 0)
        w->failed = true;
}

static json_t *text_of(struct cr_str s) {
    return json_stringn(s.data ? s.data : "", s.len);
}

static json_t *content_of(struct writer *w, const struct cr_chat_request *r) {
    if (r->n_pictures == 0)
        return text_of(r->prompt);
    json_t *parts = json_array();
    for (size_t i = 0; i <= r->n_pictures; i++) {
        json_t *part = json_object();
        if (i < r->n_pictures) {
            json_t *url = json_object();
            put(w, url, "url", text_of(r->pictures[i]));
            put(w, part, "type", json_string("image_url"));
            put(w, part, "image_url", url);
        } else {
            put(w, part, "type", json_string("text"));
            put(w, part, "text", text_of(r->prompt));
        }
        push(w, parts, part);
    }
    return parts;
}

static void push_message(struct writer *w, json_t *messages, const char *role,
                         json_t *content) {
    json_t *message = json_object();
    put(w, message, "role", json_string(role));
    put(w, message, "content", content);
    push(w, messages, message);
}

enum critic_status cr_chat_body(struct cr_buf *out, const char *model,
                                const struct cr_chat_request *r, critic_error *err) {
    struct writer w = {false};
    json_t *body = json_object(), *messages = json_array();
    if (r->system.data)
        push_message(&w, messages, "system", text_of(r->system));
    push_message(&w, messages, "user", content_of(&w, r));
    put(&w, body, "model", json_string(model));
    put(&w, body, "messages", messages);
    put(&w, body, "max_tokens", json_integer((json_int_t)r->max_tokens));
    put(&w, body, "temperature", json_real(r->temperature));
    if (r->top_p < 1)
        put(&w, body, "top_p", json_real(r->top_p));
    if (r->n > 1)
        put(&w, body, "n", json_integer((json_int_t)r->n));
    if (r->has_seed)
        put(&w, body, "seed", json_integer((json_int_t)(r->seed & 0x7fffffff)));
    if (r->n_top > 0) {
        put(&w, body, "logprobs", json_true());
        put(&w, body, "top_logprobs", json_integer((json_int_t)r->n_top));
    }
    enum critic_status status =
        w.failed ? cr_fail(err, CRITIC_BAD_DATA,
                           "the prompt is not valid UTF-8, or memory is out")
                 : cr_json_append(out, body, err);
    json_decref(body);
    return status;
}

/* ---- answers -------------------------------------------------------------------------------- */

static bool starts_like(struct cr_str body, const char *start) {
    while (body.len > 0 && strchr(" \t\r\n", body.data[0]))
        body.data++, body.len--;
    return body.len >= strlen(start) && memcmp(body.data, start, strlen(start)) == 0;
}

/* content is a text, or a list of parts with texts. */
static enum critic_status append_content(struct cr_buf *out, const json_t *content,
                                         critic_error *err) {
    if (json_is_string(content))
        return cr_buf_append(out, json_string_value(content), json_string_length(content),
                             err);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *text = json_object_get(json_array_get(content, i), "text");
        if (json_is_string(text))
            CR_TRY(cr_buf_append(out, json_string_value(text), json_string_length(text),
                                 err));
    }
    return CRITIC_OK;
}

/* {"token", "bytes"?, "logprob"}; bytes are exact where the token is a part of a character. */
static bool read_token(struct cr_arena *a, const json_t *value,
                       struct cr_token_choice *out) {
    const json_t *text = json_object_get(value, "token");
    const json_t *bytes = json_object_get(value, "bytes");
    const json_t *logprob = json_object_get(value, "logprob");
    size_t n = json_array_size(bytes);
    if (!json_is_string(text) || !json_is_number(logprob))
        return false;
    out->logprob = json_number_value(logprob);
    if (n == 0) {
        out->text.len = json_string_length(text);
        out->text.data = cr_arena_strndup(a, json_string_value(text), out->text.len);
        return out->text.data != NULL;
    }
    char *copy = cr_arena_alloc(a, n + 1);
    if (!copy)
        return false;
    for (size_t i = 0; i < n; i++)
        copy[i] = (char)json_integer_value(json_array_get(bytes, i));
    copy[n] = '\0';
    out->text = (struct cr_str){copy, n};
    return true;
}

/* What cannot be read is not there: probabilities are an addition, and the text counts without. */
static void read_tokens(struct cr_reply_tokens *out, const json_t *logprobs) {
    const json_t *list = json_object_get(logprobs, "content");
    size_t n = json_array_size(list);
    bool ok = n > 0 && cr_arena_init(&out->arena, MAX_TOKENS_ARENA, NULL) == CRITIC_OK &&
              (out->all = cr_arena_calloc(&out->arena, n, sizeof *out->all)) != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        const json_t *one = json_array_get(list, i);
        const json_t *top = json_object_get(one, "top_logprobs");
        size_t n_top = json_array_size(top);
        struct cr_token_choice *choices =
            cr_arena_calloc(&out->arena, n_top + 1, sizeof *choices);
        ok = choices && read_token(&out->arena, one, &out->all[i].said);
        for (size_t k = 0; ok && k < n_top; k++)
            ok = read_token(&out->arena, json_array_get(top, k), &choices[k]);
        out->all[i].top = choices;
        out->all[i].n_top = n_top;
        out->n++;
    }
    if (!ok)
        cr_reply_tokens_fini(out);
}

static size_t count_of(const json_t *usage, const char *key) {
    json_int_t n = json_integer_value(json_object_get(usage, key));
    return n > 0 ? (size_t)n : 0;
}

static enum critic_status read_choices(const json_t *root, const char *where,
                                       struct cr_chat_choice *choices, size_t max,
                                       size_t *n, bool *early, critic_error *err) {
    const json_t *list = json_object_get(root, "choices");
    if (!json_is_array(list) || json_array_size(list) == 0) {
        char why[200];
        const json_t *error = json_object_get(root, "error");
        json_t *whole = error ? json_pack("{sO}", "error", error) : NULL;
        char *text = whole ? json_dumps(whole, 0) : NULL;
        if (text)
            cr_chat_complaint(cr_str_of(text), why, sizeof why);
        free(text);
        json_decref(whole);
        *early = text != NULL;
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: the answer has no choices%s%s; expected a chat completion",
                       where, text ? ": " : "", text ? why : "");
    }
    for (; *n < CR_MIN(json_array_size(list), max); ++*n) {
        const json_t *choice = json_array_get(list, *n);
        const json_t *message = json_object_get(choice, "message");
        const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
        cr_buf_clear(&choices[*n].text);
        CR_TRY(
            append_content(&choices[*n].text, json_object_get(message, "content"), err));
        choices[*n].cut = finish && strcmp(finish, "length") == 0;
        if (choices[*n].tokens) {
            cr_reply_tokens_fini(choices[*n].tokens);
            read_tokens(choices[*n].tokens, json_object_get(choice, "logprobs"));
        }
        if (choices[*n].text.len == 0 && !choices[*n].cut) {
            *early = true;
            return cr_fail(err, CRITIC_BAD_DATA,
                           "%s: the answer is empty; expected a text", where);
        }
    }
    return CRITIC_OK;
}

enum critic_status cr_chat_read(struct cr_str body, const char *where,
                                struct cr_chat_choice *choices, size_t max_choices,
                                size_t *n, struct cr_chat_usage *usage, bool *early,
                                critic_error *err) {
    json_t *root = NULL;
    critic_error parse = {0};
    *n = 0;
    *early = false;
    if (starts_like(body, "<"))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: a web page came back; expected JSON (is the address right?)",
                       where);
    if (cr_json_parse(&root, body.data, body.len, "answer", &parse) != CRITIC_OK) {
        *early = true;
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "%s: the answer is no whole JSON (%.200s); expected a chat completion", where,
            parse.message);
    }
    enum critic_status status =
        read_choices(root, where, choices, max_choices, n, early, err);
    const json_t *counts = json_object_get(root, "usage");
    if (status == CRITIC_OK) {
        usage->prompt_tokens += count_of(counts, "prompt_tokens");
        usage->completion_tokens += count_of(counts, "completion_tokens");
    }
    json_decref(root);
    return status;
}

static const json_t *complaint_of(const json_t *root) {
    static const char *const keys[] = {"error", "message", "detail"};
    for (size_t i = 0; i < CR_COUNT(keys); i++) {
        const json_t *value = json_object_get(root, keys[i]);
        if (json_is_object(value))
            value = json_object_get(value, "message");
        if (json_is_string(value))
            return value;
    }
    return NULL;
}

void cr_chat_complaint(struct cr_str body, char *out, size_t size) {
    json_t *root = NULL;
    critic_error ignored;
    const char *text = NULL;
    if (body.len == 0)
        text = "no text with it";
    else if (starts_like(body, "<"))
        text = "a web page with it";
    else if (cr_json_parse(&root, body.data, body.len, "answer", &ignored) == CRITIC_OK)
        text = json_string_value(complaint_of(root));
    if (text)
        snprintf(out, size, "%s", text);
    else
        snprintf(out, size, "%.*s", (int)CR_MIN(body.len, (size_t)120), body.data);
    json_decref(root);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
}
