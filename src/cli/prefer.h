/* What critic prefer and critic align share: flags of sampling, judging and selecting, and whoever
 * judges. */
#ifndef CR_CLI_PREFER_H
#define CR_CLI_PREFER_H

#include "cli/eval_judges.h"
#include "cli/progress.h"
#include "prefer/oracle.h"
#include "prefer/prefer.h"

struct cr_prefer_flags {
    struct cr_common common;
    const char *policy, *critic, *prompts, *scenes, *template_name;
    struct cr_prefer_opts opts;
    struct cr_judge_flags judge; /* of an endpoint */
    bool with_reasons, verdict_only, one_order;
    int reward, pairing;
    size_t n_told; /* failed prompts that standard error named in this stage */
    struct cr_progress progress;
};

/* Fills the defaults. */
void cr_prefer_flags_init(struct cr_prefer_flags *f);
/* Copies choices into opts. Errors: CRITIC_BAD_ARGUMENT naming the flag. */
enum critic_status cr_prefer_flags_check(struct cr_prefer_flags *f, critic_error *err);
/* cr_prefer_opts.on_fault, its user these flags: names the first failed prompts of a stage on standard
 * error. cr_prefer_say_rest ends the stage: how many more there were, and the file that has them all. */
void cr_prefer_say_fault(void *flags, const char *id, const char *why);
void cr_prefer_say_rest(struct cr_prefer_flags *f, const char *file);
/* The folder of the prompts' file, or --image-folder, as a string of its own. */
void cr_prefer_image_folder(const struct cr_prefer_flags *f, char *out, size_t size);

struct cr_prefer_judge {
    struct cr_eval_judges judges;
    struct cr_oracle *oracle;
    struct cr_judge *of_oracle;
    struct cr_scorer scorer;
};
/* Opens what --critic names: a checkpoint, "oracle", a baseline, or an endpoint's URL.
 * Errors: CRITIC_BAD_ARGUMENT, and what opening gives. Close after failure too. */
enum critic_status cr_prefer_judge_open(struct cr_prefer_judge *j,
                                        struct cr_prefer_flags *f, critic_error *err);
void cr_prefer_judge_close(struct cr_prefer_judge *j);

#define CR_PREFER_WHAT_FLAGS(f)                                                          \
    {"what", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                                           \
        {"policy",                                                                       \
         0,                                                                              \
         CR_FLAG_STR,                                                                    \
         &(f).policy,                                                                    \
         "MODEL",                                                                        \
         "the model whose answers are compared: a checkpoint folder, a .gguf file or a " \
         "hub id",                                                                       \
         0,                                                                              \
         0},                                                                             \
        {"critic",                                                                       \
         0,                                                                              \
         CR_FLAG_STR,                                                                    \
         &(f).critic,                                                                    \
         "MODEL",                                                                        \
         "the judge: a checkpoint likewise; the URL of a chat endpoint "                 \
         "(http://host:8000/v1); 'oracle' of the micro world (with --scenes); 'longer' " \
         "or 'coin', which a judge must beat",                                           \
         0,                                                                              \
         0},                                                                             \
        {"prompts",                                                                      \
         0,                                                                              \
         CR_FLAG_STR,                                                                    \
         &(f).prompts,                                                                   \
         "FILE",                                                                         \
         "JSON lines or a JSON list: id, images, prompt (or question); LLaVA "           \
         "conversations",                                                                \
         0,                                                                              \
         0},                                                                             \
    {                                                                                    \
        "image-folder", 0, CR_FLAG_STR, &(f).opts.image_folder, "DIR",                   \
            "where relative pictures start; default: the folder of the prompts", 0, 0    \
    }
#define CR_PREFER_ANSWER_FLAGS(f)                                                        \
    {"answers", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                                        \
        {"samples",   'n',     CR_FLAG_SIZE,                                             \
         &(f).opts.k, "K",     "answers a prompt (default 5)",                           \
         1,           CR_MAX_K},                                                         \
        {"temperature",                                                                  \
         0,                                                                              \
         CR_FLAG_DOUBLE,                                                                 \
         &(f).opts.temperature,                                                          \
         "T",                                                                            \
         "default 0.7",                                                                  \
         0,                                                                              \
         100},                                                                           \
        {"top-p", 0, CR_FLAG_DOUBLE, &(f).opts.top_p, "P", "default 0.9; 1: off", 0, 1}, \
        {"top-k", 0, CR_FLAG_SIZE, &(f).opts.top_k, "K", "0: off (default)", 0, 1e9},    \
        {"max-new-tokens",                                                               \
         0,                                                                              \
         CR_FLAG_SIZE,                                                                   \
         &(f).opts.max_new_tokens,                                                       \
         "N",                                                                            \
         "longest answer (default 512)",                                                 \
         1,                                                                              \
         1e9},                                                                           \
        {"system",                                                                       \
         0,                                                                              \
         CR_FLAG_TEXT,                                                                   \
         &(f).opts.system,                                                               \
         "TEXT",                                                                         \
         "system text for the policy instead of the chat format's own; empty: none",     \
         0,                                                                              \
         0},                                                                             \
    {                                                                                    \
        "seed", 0, CR_FLAG_U64, &(f).opts.seed, "N", "of sampling (default 0)", 0, 0     \
    }
#define CR_PREFER_JUDGE_FLAGS(f)                                                         \
    {"judging", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                                        \
        {"reward",                                                                       \
         0,                                                                              \
         CR_FLAG_CHOICE,                                                                 \
         &(f).reward,                                                                    \
         "sum|bradley-terry|win|score",                                                  \
         "sum: the paper's over all ordered pairs (default); win: mean share; score: "   \
         "each answer alone, by a pointwise template",                                   \
         0,                                                                              \
         0},                                                                             \
        {"template",  0,                                                                 \
         CR_FLAG_STR, &(f).template_name,                                                \
         "NAME",      "a built-in template or a file (docs/judge.md)",                   \
         0,           0},                                                                \
        {"with-reasons",                                                                 \
         0,                                                                              \
         CR_FLAG_BOOL,                                                                   \
         &(f).with_reasons,                                                              \
         NULL,                                                                           \
         "let the critic write its reason; default: as the checkpoint was tuned if it "  \
         "says so, else one pass without (endpoints always write)",                      \
         0,                                                                              \
         0},                                                                             \
        {"verdict-only",                                                                 \
         0,                                                                              \
         CR_FLAG_BOOL,                                                                   \
         &(f).verdict_only,                                                              \
         NULL,                                                                           \
         "read the verdict's probabilities in one pass, whatever the checkpoint says",   \
         0,                                                                              \
         0},                                                                             \
        {"explain-below",                                                                \
         0,                                                                              \
         CR_FLAG_DOUBLE,                                                                 \
         &(f).judge.opts.explain_below,                                                  \
         "P",                                                                            \
         "one pass, and the reason only where no verdict has this probability",          \
         0,                                                                              \
         1},                                                                             \
        {"one-order",                                                                    \
         0,                                                                              \
         CR_FLAG_BOOL,                                                                   \
         &(f).one_order,                                                                 \
         NULL,                                                                           \
         "compare each pair once instead of both ways round",                            \
         0,                                                                              \
         0},                                                                             \
        {"judge-tokens",                                                                 \
         0,                                                                              \
         CR_FLAG_SIZE,                                                                   \
         &(f).judge.opts.max_new_tokens,                                                 \
         "N",                                                                            \
         "longest reply of the critic (default 1024)",                                   \
         1,                                                                              \
         1e9},                                                                           \
        {"scenes",                                                                       \
         0,                                                                              \
         CR_FLAG_STR,                                                                    \
         &(f).scenes,                                                                    \
         "FILE",                                                                         \
         "scenes.jsonl of the pictures, for the oracle (docs/micro-world.md)",           \
         0,                                                                              \
         0},                                                                             \
        CR_ENDPOINT_FLAGS((f).judge)
#define CR_PREFER_SELECT_FLAGS(f)                                                        \
    {"selection", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},                                      \
        {"pairs",                                                                        \
         0,                                                                              \
         CR_FLAG_CHOICE,                                                                 \
         &(f).pairing,                                                                   \
         "best-worst|all",                                                               \
         "which answers are paired (default best-worst)",                                \
         0,                                                                              \
         0},                                                                             \
        {"min-margin",                                                                   \
         0,                                                                              \
         CR_FLAG_DOUBLE,                                                                 \
         &(f).opts.select.min_margin,                                                    \
         "M",                                                                            \
         "rewards that differ by no more are a tie (default 0)",                         \
         0,                                                                              \
         1e9},                                                                           \
        {"near-same",                                                                    \
         0,                                                                              \
         CR_FLAG_DOUBLE,                                                                 \
         &(f).opts.select.near_same,                                                     \
         "J",                                                                            \
         "answers with this share of word pairs in common count once (default 0.9)",     \
         0,                                                                              \
         1},                                                                             \
    {                                                                                    \
        "keep-truncated", 0, CR_FLAG_BOOL, &(f).opts.select.keep_truncated, NULL,        \
            "also pair answers that ended at --max-new-tokens", 0, 0                     \
    }

#endif
