/* Calls, tries and waits. */
#define _POSIX_C_SOURCE 200809L
#include "remote/chat.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "remote/chat_json.h"
#include "remote/reply_cache.h"

#define MAX_ANSWER ((size_t)64 << 20)
#define MAX_BODY   ((size_t)1 << 30)
#define MAX_IDLE   64 /* connections kept for the next call */
#define FEW_TOP    5  /* top_logprobs where more is refused */

struct cr_chat {
    struct cr_chat_opts opts;
    char *url, *model, *key, *authorization;
    pthread_mutex_t lock;
    CURL *idle[MAX_IDLE];
    size_t n_idle;
    double next_start; /* when the rate limit allows the next request */
    struct cr_rng jitter;
    size_t most_top; /* top_logprobs that the endpoint takes */
    bool knows_top;  /* it has answered so: a refusal is for another reason */
};

void cr_chat_opts_default(struct cr_chat_opts *opts) {
    *opts = (struct cr_chat_opts){
        .timeout = 120, .n_tries = 6, .first_wait = 0.5, .longest_wait = 60};
}

/* ---- open ------------------------------------------------------------------------------------ */

static pthread_once_t started = PTHREAD_ONCE_INIT;

static void start_curl(void) {
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

/* ".../v1", ".../v1/" and ".../v1/chat/completions" mean the same. */
static enum critic_status set_url(struct cr_chat *c, const char *url, critic_error *err) {
    struct cr_buf text;
    if (!url || (!starts_with(url, "http://") && !starts_with(url, "https://")))
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "endpoint '%.200s': expected a URL such as http://localhost:8000/v1",
            url ? url : "");
    cr_buf_init(&text, 8192);
    enum critic_status status = cr_buf_append_c(&text, url, err);
    while (status == CRITIC_OK && text.len > 0 && text.data[text.len - 1] == '/')
        text.data[--text.len] = '\0';
    if (status == CRITIC_OK && !ends_with(text.data, "/chat/completions"))
        status = cr_buf_append_c(&text, "/chat/completions", err);
    c->url = text.data;
    return status;
}

static enum critic_status set_key(struct cr_chat *c, struct cr_str key,
                                  critic_error *err) {
    while (key.len > 0 && strchr(" \t\r\n", key.data[key.len - 1]))
        key.len--;
    if (!key.data)
        return CRITIC_OK;
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.data[i] <= 0x20 || (unsigned char)key.data[i] >= 0x7f)
            return cr_fail(
                err, CRITIC_BAD_ARGUMENT,
                "the endpoint's key holds a space or another unfit character at "
                "byte %zu; expected one word",
                i);
    if (key.len == 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "the endpoint's key is empty; expected one word");
    static const char header[] = "Authorization: Bearer ";
    c->key = cr_str_dup(key);
    c->authorization = malloc(sizeof header + key.len);
    if (!c->key || !c->authorization)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for an endpoint");
    snprintf(c->authorization, sizeof header + key.len, "%s%s", header, c->key);
    return CRITIC_OK;
}

enum critic_status cr_chat_new(struct cr_chat **out, const struct cr_chat_opts *opts,
                               critic_error *err) {
    enum critic_status status;
    *out = NULL;
    if (!opts->model || !opts->model[0])
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "no model named for the endpoint; expected the name it goes by there");
    if (opts->n_tries == 0 || !(opts->timeout > 0))
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "expected tries and time-out above 0");
    struct cr_chat *c = calloc(1, sizeof *c);
    if (!c)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for an endpoint");
    pthread_once(&started, start_curl);
    pthread_mutex_init(&c->lock, NULL);
    c->opts = *opts;
    c->opts.key = (struct cr_str){0};
    c->most_top = SIZE_MAX;
    cr_rng_seed(&c->jitter, 1);
    CR_TRY_GOTO(set_url(c, opts->url, err));
    CR_TRY_GOTO(set_key(c, opts->key, err));
    c->model = cr_str_dup(cr_str_of(opts->model));
    if (!c->model)
        CR_TRY_GOTO(cr_fail(err, CRITIC_NO_MEMORY, "no memory for an endpoint"));
    *out = c;
    return CRITIC_OK;
fail:
    cr_chat_free(c);
    return status;
}

void cr_chat_free(struct cr_chat *c) {
    if (!c)
        return;
    for (size_t i = 0; i < c->n_idle; i++)
        curl_easy_cleanup(c->idle[i]);
    pthread_mutex_destroy(&c->lock);
    free(c->url);
    free(c->model);
    free(c->key);
    free(c->authorization);
    free(c);
}

const char *cr_chat_url(const struct cr_chat *c) {
    return c->url;
}

const char *cr_chat_model(const struct cr_chat *c) {
    return c->model;
}

/* ---- waiting ---------------------------------------------------------------------------------- */

static bool is_cancelled(const struct cr_chat *c) {
    return c->opts.cancel && c->opts.cancel(c->opts.user);
}

static enum critic_status wait_seconds(const struct cr_chat *c, double seconds,
                                       critic_error *err) {
    double end = cr_clock_seconds() + seconds;
    for (double left = seconds; left > 0; left = end - cr_clock_seconds()) {
        double part = CR_MIN(left, 0.05);
        struct timespec t = {0, (long)(part * 1e9)};
        if (is_cancelled(c))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
        nanosleep(&t, NULL);
    }
    return CRITIC_OK;
}

/* Takes the next place in the rate limit and waits for it. */
static enum critic_status wait_for_turn(struct cr_chat *c, critic_error *err) {
    if (!(c->opts.per_minute > 0))
        return CRITIC_OK;
    double now = cr_clock_seconds();
    pthread_mutex_lock(&c->lock);
    double start = CR_MAX(now, c->next_start);
    c->next_start = start + 60 / c->opts.per_minute;
    pthread_mutex_unlock(&c->lock);
    return wait_seconds(c, start - now, err);
}

/* From half to the whole of first_wait * 2^retry, or what the endpoint asked for. */
static double wait_before(struct cr_chat *c, size_t retry, double retry_after) {
    double wait = c->opts.first_wait;
    for (size_t i = 0; i < retry && wait < c->opts.longest_wait; i++)
        wait *= 2;
    pthread_mutex_lock(&c->lock);
    wait *= 0.5 + 0.5 * cr_rng_uniform(&c->jitter);
    pthread_mutex_unlock(&c->lock);
    return CR_MIN(CR_MAX(wait, retry_after), c->opts.longest_wait);
}

/* ---- one try ------------------------------------------------------------------------------------ */

struct answer {
    struct cr_buf body;
    bool too_long;
    long code;
    double retry_after; /* seconds; 0: not said */
};

static size_t on_data(char *data, size_t size, size_t n, void *user) {
    struct answer *a = user;
    if (cr_buf_append(&a->body, data, size * n, NULL) == CRITIC_OK)
        return size * n;
    a->too_long = true;
    return 0;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t x,
                       curl_off_t y) {
    (void)a, (void)b, (void)x, (void)y;
    return is_cancelled(user) ? 1 : 0;
}

static CURL *take_handle(struct cr_chat *c) {
    pthread_mutex_lock(&c->lock);
    CURL *curl = c->n_idle > 0 ? c->idle[--c->n_idle] : NULL;
    pthread_mutex_unlock(&c->lock);
    return curl ? curl : curl_easy_init();
}

static void give_handle(struct cr_chat *c, CURL *curl) {
    curl_easy_reset(curl); /* keeps its connections */
    pthread_mutex_lock(&c->lock);
    bool kept = c->n_idle < MAX_IDLE;
    if (kept)
        c->idle[c->n_idle++] = curl;
    pthread_mutex_unlock(&c->lock);
    if (!kept)
        curl_easy_cleanup(curl);
}

static CURLcode post(struct cr_chat *c, CURL *curl, struct curl_slist *headers,
                     struct cr_str body, char *why, struct answer *a) {
    curl_easy_setopt(curl, CURLOPT_URL, c->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "critic/" CRITIC_VERSION);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(1000 * c->opts.timeout));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(1000 * CR_MIN(c->opts.timeout, 30)));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    CURLcode code = curl_easy_perform(curl);
    curl_off_t after = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a->code);
    if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK)
        a->retry_after = (double)after;
    return code;
}

/* The key must not come back in a message, whatever the server says. */
static void blot_out(const struct cr_chat *c, char *text) {
    size_t n = c->key ? strlen(c->key) : 0;
    for (char *at = n ? strstr(text, c->key) : NULL; at; at = strstr(at, c->key))
        memset(at, '*', n);
}

static bool may_pass(long code) {
    return code == 408 || code == 425 || code == 429 || code >= 500;
}

static enum critic_status check_code(const struct cr_chat *c, const struct answer *a,
                                     bool *again, critic_error *err) {
    char complaint[256];
    if (a->code >= 200 && a->code < 300)
        return CRITIC_OK;
    *again = may_pass(a->code);
    if (a->code >= 300 && a->code < 400)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%s: HTTP %ld, a redirect; expected the final address", c->url,
                       a->code);
    cr_chat_complaint(cr_buf_str(&a->body), complaint, sizeof complaint);
    blot_out(c, complaint);
    const char *hint = a->code == 401 || a->code == 403 ? " (is the key right?)"
                       : a->code == 404 ? " (are address and model right?)"
                                        : "";
    return cr_fail(err, *again ? CRITIC_IO : CRITIC_BAD_ARGUMENT,
                   "%s: HTTP %ld, %s%s; expected 200", c->url, a->code, complaint, hint);
}

/* Sends body once. *again: another try may help. */
static enum critic_status send_once(struct cr_chat *c, struct cr_str body,
                                    struct answer *a, bool *again, critic_error *err) {
    char why[CURL_ERROR_SIZE] = "";
    CURL *curl = take_handle(c);
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");
    if (headers && c->authorization)
        headers = curl_slist_append(headers, c->authorization);
    if (headers) /* no "Expect: 100-continue", which costs a second where it is ignored */
        headers = curl_slist_append(headers, "Expect:");
    *again = false;
    if (!curl || !headers) {
        curl_slist_free_all(headers);
        if (curl)
            curl_easy_cleanup(curl);
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a request");
    }
    CURLcode code = post(c, curl, headers, body, why, a);
    curl_slist_free_all(headers);
    give_handle(c, curl);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return cr_fail(err, CRITIC_CANCELLED, "cancelled");
    if (a->too_long)
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "%s: the answer is longer than %zu bytes; expected a chat completion", c->url,
            a->body.max);
    if (code != CURLE_OK) {
        *again = code != CURLE_URL_MALFORMAT && code != CURLE_UNSUPPORTED_PROTOCOL &&
                 code != CURLE_PEER_FAILED_VERIFICATION;
        blot_out(c, why);
        return cr_fail(err, CRITIC_IO, "%s: %s", c->url,
                       why[0] ? why : curl_easy_strerror(code));
    }
    return check_code(c, a, again, err);
}

/* ---- one request -------------------------------------------------------------------------------- */

static void log_wait(const struct cr_chat *c, double wait, size_t try_number,
                     const critic_error *err) {
    char line[700];
    if (!c->opts.log)
        return;
    snprintf(line, sizeof line, "%s; try %zu of %zu in %.1f s", err->message,
             try_number + 2, c->opts.n_tries, wait);
    c->opts.log(c->opts.user, line);
}

/* Sends until a readable answer comes or the tries are used up. *refused: the endpoint answers,
 * and cannot or will not do this. */
static enum critic_status send_tries(struct cr_chat *c, struct cr_str body,
                                     struct cr_chat_choice *choices, size_t max,
                                     size_t *n, struct cr_buf *answer, bool *refused,
                                     struct cr_chat_usage *usage, critic_error *err) {
    critic_error own = {0};
    critic_error *e = err ? err : &own;
    for (size_t i = 0;; i++) {
        struct answer a = {0};
        bool again = false;
        CR_TRY(wait_for_turn(c, e));
        cr_buf_clear(answer);
        a.body = *answer;
        enum critic_status status = send_once(c, body, &a, &again, e);
        *answer = a.body;
        *refused = a.code == 400 || a.code == 422 || a.code == 501;
        if (status == CRITIC_OK)
            status = cr_chat_read(cr_buf_str(answer), c->url, choices, max, n, usage,
                                  &again, e);
        if (status == CRITIC_OK || !again)
            return status;
        if (i + 1 >= c->opts.n_tries)
            return cr_error_wrap(e, status, "gave up after %zu tries: ", i + 1);
        double wait = wait_before(c, i, a.retry_after);
        log_wait(c, wait, i, e);
        usage->n_retries++;
        CR_TRY(wait_seconds(c, wait, e));
    }
}

/* All that determines the reply: where it comes from and what is asked. */
static void key_of(const struct cr_chat *c, struct cr_str body,
                   unsigned char key[CR_REPLY_KEY]) {
    struct cr_hash h;
    uint64_t value[2];
    cr_hash_init(&h, 0);
    cr_hash_update(&h, c->url, strlen(c->url) + 1);
    cr_hash_update(&h, body.data, body.len);
    cr_hash_final(&h, value);
    for (size_t i = 0; i < CR_REPLY_KEY; i++)
        key[i] = (unsigned char)(value[i / 8] >> 8 * (i % 8));
}

static enum critic_status recall(struct cr_chat *c, const unsigned char *key,
                                 struct cr_chat_choice *choices, size_t max, size_t *n,
                                 struct cr_buf *answer, struct cr_chat_usage *usage,
                                 critic_error *err) {
    bool found = false, early;
    *n = 0;
    if (!c->opts.cache)
        return CRITIC_OK;
    CR_TRY(cr_reply_cache_get(c->opts.cache, key, &found, answer, err));
    if (!found)
        return CRITIC_OK;
    usage->n_remembered++;
    return cr_chat_read(cr_buf_str(answer), "the cache", choices, max, n, usage, &early,
                        err);
}

/* As many top_logprobs as are wanted and the endpoint takes; *known: it took them before. */
static size_t top_of(struct cr_chat *c, size_t wanted, bool *known) {
    pthread_mutex_lock(&c->lock);
    size_t n = CR_MIN(wanted, c->most_top);
    *known = c->knows_top;
    pthread_mutex_unlock(&c->lock);
    return n;
}

/* An answer came with so many; *fewer says that more had been refused just before. */
static void note_top(struct cr_chat *c, size_t n_top, bool fewer) {
    char line[300];
    pthread_mutex_lock(&c->lock);
    bool is_news = fewer && n_top < c->most_top;
    if (is_news)
        c->most_top = n_top;
    c->knows_top |= n_top > 0;
    pthread_mutex_unlock(&c->lock);
    if (!is_news || n_top > 0 || !c->opts.log)
        return;
    snprintf(
        line, sizeof line,
        "%.200s: refuses logprobs; asked without them, so there are no probabilities",
        c->url);
    c->opts.log(c->opts.user, line);
}

/* Asks for probabilities, for fewer of them where that is refused, and at last without. */
static enum critic_status send_with_top(struct cr_chat *c,
                                        const struct cr_chat_request *request,
                                        struct cr_chat_choice *choices, size_t *n,
                                        struct cr_buf *answer,
                                        struct cr_chat_usage *usage, critic_error *err) {
    struct cr_chat_request r = *request;
    struct cr_buf body;
    bool refused = false, fewer = false, known;
    enum critic_status status;
    cr_buf_init(&body, MAX_BODY);
    r.n_top = top_of(c, r.n_top, &known);
    for (;; r.n_top = r.n_top > FEW_TOP ? FEW_TOP : 0) {
        refused = false;
        cr_buf_clear(&body);
        status = cr_chat_body(&body, c->model, &r, err);
        if (status == CRITIC_OK)
            status = send_tries(c, cr_buf_str(&body), choices, r.n, n, answer, &refused,
                                usage, err);
        if (status == CRITIC_OK || !refused || r.n_top == 0 || known)
            break;
        fewer = true;
    }
    if (status == CRITIC_OK)
        note_top(c, r.n_top, fewer);
    cr_buf_fini(&body);
    return status;
}

/* Up to max choices from one call, or from the cache. */
static enum critic_status ask_once(struct cr_chat *c, const struct cr_chat_request *r,
                                   struct cr_chat_choice *choices, size_t *n,
                                   struct cr_chat_usage *usage, critic_error *err) {
    unsigned char key[CR_REPLY_KEY];
    struct cr_buf body, answer;
    char source[256];
    enum critic_status status;
    cr_buf_init(&body, MAX_BODY);
    cr_buf_init(&answer, MAX_ANSWER);
    CR_TRY_GOTO(cr_chat_body(&body, c->model, r, err));
    key_of(c, cr_buf_str(&body), key);
    CR_TRY_GOTO(recall(c, key, choices, r->n, n, &answer, usage, err));
    if (*n == 0) {
        CR_TRY_GOTO(send_with_top(c, r, choices, n, &answer, usage, err));
        snprintf(source, sizeof source, "%s at %s", c->model, c->url);
        if (c->opts.cache)
            CR_TRY_GOTO(
                cr_reply_cache_put(c->opts.cache, key, source, cr_buf_str(&answer), err));
    }
    usage->n_calls++;
fail:
    cr_buf_fini(&body);
    cr_buf_fini(&answer);
    return status;
}

enum critic_status cr_chat_ask(struct cr_chat *c, const struct cr_chat_request *request,
                               struct cr_chat_choice *choices,
                               struct cr_chat_usage *usage, critic_error *err) {
    struct cr_chat_request r = *request;
    CR_ASSERT(request->n > 0);
    for (size_t done = 0, n = 0; done < request->n; done += n) {
        r.n = request->n - done;
        r.seed = request->seed + done; /* an endpoint without n must not repeat itself */
        CR_TRY(ask_once(c, &r, choices + done, &n, usage, err));
        if (n == 0)
            return cr_fail(err, CRITIC_BAD_DATA, "%s: no text in the answer", c->url);
    }
    return CRITIC_OK;
}
