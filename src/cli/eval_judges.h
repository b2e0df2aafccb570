/* Whoever judges, from flags: a checkpoint, an endpoint, a file of verdicts, a baseline. Shared by
 * the eval commands that judge. */
#ifndef CR_CLI_EVAL_JUDGES_H
#define CR_CLI_EVAL_JUDGES_H

#include "cli/cli.h"
#include "eval/exam.h"
#include "judge/judge.h"
#include "rater/rater.h"
#include "remote/reply_cache.h"

struct cr_judge_flags {
    struct cr_common *common;
    const char *endpoint, *endpoint_model, *key_file, *key_variable, *cache;
    const char *verdicts, *baseline;
    double timeout, per_minute, price_in, price_out;
    size_t n_tries, n_parallel;
    int orders; /* 0: the benchmark's own */
    const char *scale;
    bool
        own_manner; /* of a checkpoint without opts.template_name: reasons where it prefers them
                        (judge.h), else one pass; sets opts.verdict_only */
    struct cr_judge_opts opts;
};
enum { CR_ORDERS_DEFAULT, CR_ORDERS_ONE, CR_ORDERS_BOTH };

/* Fills the defaults; `common` is initialised already. */
void cr_judge_flags_init(struct cr_judge_flags *f, struct cr_common *common);

/* Of a chat endpoint, but for its URL. */
#define CR_ENDPOINT_FLAGS(f)                                                              \
    {"endpoint-model",                                                                    \
     0,                                                                                   \
     CR_FLAG_STR,                                                                         \
     &(f).endpoint_model,                                                                 \
     "NAME",                                                                              \
     "the model's name at the endpoint",                                                  \
     0,                                                                                   \
     0},                                                                                  \
        {"key-file",  0,                                                                  \
         CR_FLAG_STR, &(f).key_file,                                                      \
         "FILE",      "the endpoint's key; default: the variable of --key-variable",      \
         0,           0},                                                                 \
        {"key-variable",                                                                  \
         0,                                                                               \
         CR_FLAG_STR,                                                                     \
         &(f).key_variable,                                                               \
         "NAME",                                                                          \
         "environment variable with the key (default CRITIC_API_KEY)",                    \
         0,                                                                               \
         0},                                                                              \
        {"cache",     0,                                                                  \
         CR_FLAG_STR, &(f).cache,                                                         \
         "FILE",      "keep the endpoint's replies: what was asked before costs nothing", \
         0,           0},                                                                 \
        {"timeout",    0,         CR_FLAG_DOUBLE,                                         \
         &(f).timeout, "SECONDS", "of one try (default 120)",                             \
         0.001,        1e6},                                                              \
        {"tries",                                                                         \
         0,                                                                               \
         CR_FLAG_SIZE,                                                                    \
         &(f).n_tries,                                                                    \
         "N",                                                                             \
         "of one request, with growing waits (default 6)",                                \
         1,                                                                               \
         1000},                                                                           \
        {"per-minute",                                                                    \
         0,                                                                               \
         CR_FLAG_DOUBLE,                                                                  \
         &(f).per_minute,                                                                 \
         "N",                                                                             \
         "most requests a minute; 0: no limit",                                           \
         0,                                                                               \
         1e9},                                                                            \
        {"price-in",                                                                      \
         0,                                                                               \
         CR_FLAG_DOUBLE,                                                                  \
         &(f).price_in,                                                                   \
         "X",                                                                             \
         "price of a million prompt tokens, for the cost",                                \
         0,                                                                               \
         1e9},                                                                            \
    {                                                                                     \
        "price-out", 0, CR_FLAG_DOUBLE, &(f).price_out, "X",                              \
            "price of a million written tokens", 0, 1e9                                   \
    }
#define CR_JUDGE_SOURCE_FLAGS(f)                                                         \
    {"who judges", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0}, CR_JUDGE_MODEL_FLAG(*(f).common),   \
        {"endpoint",                                                                     \
         0,                                                                              \
         CR_FLAG_STR,                                                                    \
         &(f).endpoint,                                                                  \
         "URL",                                                                          \
         "a chat endpoint that speaks OpenAI's protocol, such as "                       \
         "http://localhost:8000/v1",                                                     \
         0,                                                                              \
         0},                                                                             \
        CR_ENDPOINT_FLAGS(f),                                                            \
        {"parallel",                                                                     \
         0,                                                                              \
         CR_FLAG_SIZE,                                                                   \
         &(f).n_parallel,                                                                \
         "N",                                                                            \
         "requests under way at a time (endpoints; default 1)",                          \
         1,                                                                              \
         256},                                                                           \
        {"verdicts",  0,                                                                 \
         CR_FLAG_STR, &(f).verdicts,                                                     \
         "FILE",      "JSON lines that somebody's judge wrote",                          \
         0,           0},                                                                \
    {                                                                                    \
        "baseline", 0, CR_FLAG_STR, &(f).baseline, "NAME",                               \
            "oracle, coin, longer, shorter, first, second or tie", 0, 0                  \
    }
#define CR_JUDGE_HOW_FLAGS(f)                                                            \
    {"how it judges", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                                  \
        {"template",  0,                                                                 \
         CR_FLAG_STR, &(f).opts.template_name,                                           \
         "NAME",      "a built-in template or a file (default: the benchmark's)",        \
         0,           0},                                                                \
        {"orders",                                                                       \
         0,                                                                              \
         CR_FLAG_CHOICE,                                                                 \
         &(f).orders,                                                                    \
         "default|one|both",                                                             \
         "pairs as they are, or both ways round",                                        \
         0,                                                                              \
         0},                                                                             \
        {"samples",                                                                      \
         'n',                                                                            \
         CR_FLAG_SIZE,                                                                   \
         &(f).opts.n_samples,                                                            \
         "K",                                                                            \
         "replies an item; wants --temperature",                                         \
         1,                                                                              \
         1000},                                                                          \
        {"temperature",                                                                  \
         0,                                                                              \
         CR_FLAG_DOUBLE,                                                                 \
         &(f).opts.temperature,                                                          \
         "T",                                                                            \
         "0: greedy (default)",                                                          \
         0,                                                                              \
         100},                                                                           \
        {"top-p", 0, CR_FLAG_DOUBLE, &(f).opts.top_p, "P", "nucleus sampling; 1: off",   \
         0,       1},                                                                    \
        {"scale", 0, CR_FLAG_STR, &(f).scale, "RANGE", "scores such as 1-10", 0, 0},     \
        {"verdict-only",                                                                 \
         0,                                                                              \
         CR_FLAG_BOOL,                                                                   \
         &(f).opts.verdict_only,                                                         \
         NULL,                                                                           \
         "no reason: read the probability of every verdict (checkpoints)",               \
         0,                                                                              \
         0},                                                                             \
        {"probabilities",                                                                \
         0,                                                                              \
         CR_FLAG_BOOL,                                                                   \
         &(f).opts.probabilities,                                                        \
         NULL,                                                                           \
         "write the reason and read the probabilities as well (of an endpoint: its "     \
         "logprobs)",                                                                    \
         0,                                                                              \
         0},                                                                             \
        {"max-new-tokens",                                                               \
         0,                                                                              \
         CR_FLAG_SIZE,                                                                   \
         &(f).opts.max_new_tokens,                                                       \
         "N",                                                                            \
         "longest reply (default 1024; of pope, mme and mmbench 64)",                    \
         1,                                                                              \
         1e9},                                                                           \
    {                                                                                    \
        "seed", 0, CR_FLAG_U64, &(f).opts.seed, "N",                                     \
            "of all that is random (default 0)", 0, 0                                    \
    }

/* What is judged; `l` is a struct cr_exam_load. */
#define CR_DATA_FLAGS(l)                                                                 \
    {                                                                                    \
        "data",      'd',                                                                \
        CR_FLAG_STR, &(l).data,                                                          \
        "FOLDER",    "where the benchmark's published files lie, or the file itself",    \
        0,           0},                                                                 \
        {"answers",                                                                      \
         0,                                                                              \
         CR_FLAG_STR,                                                                    \
         &(l).answers,                                                                   \
         "FILE",                                                                         \
         "the candidate's answers, JSON lines by id, where the benchmark judges a "      \
         "candidate",                                                                    \
         0,                                                                              \
         0},                                                                             \
        {"candidate", 0,                                                                 \
         CR_FLAG_STR, &(l).candidate,                                                    \
         "COLUMN",    "the column of the file that holds them",                          \
         0,           0},                                                                \
        {"limit", 0, CR_FLAG_SIZE, &(l).limit, "N", "the first N items", 1, 1e9}, {      \
        "sample", 0, CR_FLAG_SIZE, &(l).sample, "N",                                     \
            "N items drawn by --seed, every group in its share", 1, 1e9                  \
    }

/* The benchmark called `name`, and what its judge starts from: mode, template, seed.
 * Errors: CRITIC_BAD_ARGUMENT (there is none of that name). */
enum critic_status cr_eval_exam(const struct cr_exam **out, const char *name,
                                struct cr_judge_flags *f, struct cr_exam_load *load,
                                critic_error *err);

struct cr_eval_judges {
    struct cr_engine *engine;
    struct cr_chat *chat;
    struct cr_reply_cache *cache;
    struct cr_rater *rater;
    struct cr_judge **judges; /* n of them, alike */
    size_t n;
    bool is_verdicts;
};

/* Opens what the flags name and makes the judges; f->opts has mode and template set. Exactly one of
 * model, endpoint, verdicts and baseline; none: the default model. truths may be NULL.
 * Errors: CRITIC_BAD_ARGUMENT (two sources, no model at the endpoint), and what opening gives. */
enum critic_status cr_eval_judges_open(struct cr_eval_judges *out,
                                       struct cr_judge_flags *f,
                                       const struct cr_truths *truths, critic_error *err);
void cr_eval_judges_close(struct cr_eval_judges *j);
/* Another set of judges over the same source with other options (the panel's). */
enum critic_status cr_eval_judges_again(struct cr_judge **out,
                                        const struct cr_eval_judges *from,
                                        const struct cr_judge_opts *opts,
                                        critic_error *err);
/* Calls, tokens, cost so far, as words: "12 calls, 3 remembered, 4 tried again, cost 0.12". */
struct cr_cost_text {
    char text[160];
};
struct cr_cost_text cr_eval_cost(const struct cr_eval_judges *j,
                                 const struct cr_judge_flags *f);

#endif
