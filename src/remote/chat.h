/* A client for OpenAI-compatible chat endpoints: text and pictures in, texts out.
 *
 *   POST {url}/chat/completions with model, messages, max_tokens, temperature, top_p, n, seed,
 *   logprobs; pictures are data URLs in image_url parts in front of the text.
 *
 * Calls that may work later (no connection, time-out, 408, 425, 429, 5xx, a reply that ends
 * early) are tried again with growing random waits, or after what Retry-After says. Everything
 * else fails at once. Errors are one line, "URL: what is wrong; what was expected", and never
 * hold the key: should the server repeat it, it is blotted out. Redirects are not followed, so
 * that the key goes where it was meant to go.
 *
 * With a cache (reply_cache.h) a request that was answered before is not sent again.
 * Threads: cr_chat_ask may be called concurrently. */
#ifndef CR_REMOTE_CHAT_H
#define CR_REMOTE_CHAT_H

#include "base/bytes.h"
#include "remote/tokens.h"

struct cr_chat;
struct cr_reply_cache;

struct cr_chat_opts {
    const char *url; /* ".../v1", or the whole ".../chat/completions" */
    const char *model;
    struct cr_str key;   /* data NULL: no Authorization header */
    double timeout;      /* seconds of one try */
    size_t n_tries;      /* of one request in all */
    double first_wait;   /* seconds before the second try; doubles, with jitter */
    double longest_wait; /* seconds; a longer Retry-After is obeyed up to this */
    double per_minute;   /* most requests a minute; 0: no limit */
    struct cr_reply_cache *cache; /* NULL: none; must outlive the client */
    /* True to give up; asked several times a second. May be NULL. */
    bool (*cancel)(void *user);
    /* One line about a wait and its cause; may be NULL. Called from the asking thread. */
    void (*log)(void *user, const char *line);
    void *user;
};

/* 120 s, 6 tries, waits from 0.5 s to 60 s. */
void cr_chat_opts_default(struct cr_chat_opts *opts);

/* Errors: CRITIC_BAD_ARGUMENT (url, model, key), CRITIC_NO_MEMORY. */
enum critic_status cr_chat_new(struct cr_chat **out, const struct cr_chat_opts *opts,
                               critic_error *err);
void cr_chat_free(struct cr_chat *chat);
const char *cr_chat_url(const struct cr_chat *chat); /* the complete one */
const char *cr_chat_model(const struct cr_chat *chat);

/* ---- asking ------------------------------------------------------------------------------ */

struct cr_chat_request {
    struct cr_str system; /* data NULL: no system message */
    struct cr_str prompt;
    const struct cr_str *pictures; /* data URLs */
    size_t n_pictures;
    size_t n; /* texts; an endpoint that gives fewer at a time is asked again */
    size_t max_tokens;
    double temperature, top_p;
    bool has_seed;
    uint64_t seed;
    /* Of how many tokens to give the probability at each place (top_logprobs); 0: of none. An
     * endpoint that refuses the field is asked for fewer, then without it; one that does not know
     * it gives none. */
    size_t n_top;
};

struct cr_chat_choice {
    struct cr_buf text;
    bool cut;                       /* finish_reason "length" */
    struct cr_reply_tokens *tokens; /* filled where not NULL and given; the caller's */
};

struct cr_chat_usage {
    size_t n_calls;      /* requests answered */
    size_t n_remembered; /* of them, by the cache */
    size_t n_retries;
    size_t prompt_tokens,
        completion_tokens; /* as the endpoint counts; 0: it does not say */
};

/* Fills request->n choices, whose texts the caller has initialised, and adds to *usage.
 * Errors: CRITIC_IO (no usable answer after all tries), CRITIC_BAD_ARGUMENT (the endpoint
 * refuses: 400, 401, 403, 404 …), CRITIC_BAD_DATA (the answer is no chat completion),
 * CRITIC_CANCELLED, CRITIC_NO_MEMORY. */
enum critic_status cr_chat_ask(struct cr_chat *chat,
                               const struct cr_chat_request *request,
                               struct cr_chat_choice *choices,
                               struct cr_chat_usage *usage, critic_error *err);

#endif
