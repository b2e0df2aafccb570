/* Preference pairs: answers sampled from a policy, judged, and selected (LLaVA-Critic,
 * arXiv 2410.02712, section 4). Three stages, each a file that the next one reads, so that policy
 * and critic are never in memory together and any stage can be gone on with:
 *
 *   prompts -> STEM.samples.jsonl   K answers a prompt, one prefill each           (sample.c)
 *           -> STEM.ledger.jsonl    what the judge said, rewards, selected pairs   (score.c)
 *           -> STEM.jsonl           the pairs in a trainer's format                (export.c)
 *
 * The first two are appended and flushed line by line in the order of the prompts; the third is
 * made anew from the ledger and appears when it is whole. docs/prefer.md lists the keys.
 * Threads: one call at a time. */
#ifndef CR_PREFER_PREFER_H
#define CR_PREFER_PREFER_H

#include <jansson.h>

#include "image/image.h"
#include "judge/judge.h"
#include "prefer/select.h"

struct cr_engine;
struct cr_prompt;
struct cr_voice;

struct cr_prefer_counts {
    size_t n_total; /* prompts */
    size_t n_there; /* of them, finished before this run */
    size_t n_done;  /* by this run, faults included */
    /* of n_done: a picture missing or broken, a prompt too long, a judge's failure */
    size_t n_faults;
    size_t n_skipped;           /* of all: no pair (score stage) */
    size_t n_pairs;             /* of all (score stage) */
    size_t n_drops[CR_N_DROPS]; /* answers by what became of them (score stage) */
    size_t n_ties; /* prompts whose rewards are too close for any pair (score stage) */
    size_t prompt_tokens, cached_tokens, completion_tokens; /* of this run */
};

struct cr_prefer_opts {
    const char *image_folder; /* NULL: the folder of the prompts' file */
    struct cr_image_limits limits;
    struct cr_str system; /* data NULL: the chat format's own */
    size_t k;             /* answers a prompt, 1 to CR_MAX_K */
    double temperature, top_p;
    size_t top_k, max_new_tokens;
    uint64_t seed;
    const char *policy_name; /* in the files; NULL: the path that was opened */
    bool keep_ids;           /* also write each answer's token ids */
    enum cr_reward_kind reward;
    struct cr_select_opts select;
    bool resume; /* prompts that failed before are tried again */
    bool force;
    bool (*cancel)(void *user);
    void (*on_item)(void *user, const struct cr_prefer_counts *counts);
    /* A prompt that failed in this stage (not in one before it); may be NULL. */
    void (*on_fault)(void *user, const char *id, const char *why);
    void *user;
};
/* K = 5, temperature 0.7, top-p 0.9, 512 tokens, the paper's sum, best against worst. */
void cr_prefer_opts_default(struct cr_prefer_opts *opts);

/* ---- prompts.c --------------------------------------------------------------------------- */

/* A file of prompts as a list of {"id", "images": […], "prompt"}, a new reference. Taken are JSON
 * lines or a JSON list of {"id"?, "images" or "image"?, "prompt" or "question"} and of LLaVA
 * conversations, of which the last human turn is the prompt (LLaVA-NeXT issue 467); `<image>`
 * marks go. Without an id a record has its number. Paths are left as they are.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA "file:line: …" (an id that stands twice included). */
enum critic_status cr_prefer_prompts(json_t **out, const char *path, critic_error *err);

/* ---- sample.c ---------------------------------------------------------------------------- */

/* K answers of `policy` to each prompt, appended to the file `samples`. A prompt that fails becomes
 * a line with status "error". Sample i of a prompt draws from (seed, id, i).
 * Errors: CRITIC_BAD_ARGUMENT (samples holds something and neither resume nor force; or it was
 * written by another model or with other settings), CRITIC_IO, CRITIC_CANCELLED. */
enum critic_status cr_prefer_sample(struct cr_engine *policy, const json_t *prompts,
                                    const char *prompts_path, const char *samples,
                                    const struct cr_prefer_opts *opts,
                                    struct cr_prefer_counts *counts, critic_error *err);

/* The finished prompt of an entry; relative pictures start at `folder`. Ownership: the caller frees
 * *out, after failure too. Errors: as cr_image_load and cr_prompt_finish. */
enum critic_status cr_prefer_prompt(struct cr_prompt **out, struct cr_engine *policy,
                                    const json_t *entry, struct cr_str folder,
                                    const struct cr_prefer_opts *opts, critic_error *err);

/* ---- score.c ----------------------------------------------------------------------------- */

/* Whoever judges, and what the ledger calls it. The judge's template decides: a pairwise one
 * compares all pairs (both orders where its options say so), a pointwise one scores each answer
 * alone. */
struct cr_scorer {
    struct cr_judge *judge;
    const char *name;
    const char *hash;
};
struct cr_scorer cr_scorer_of_engine(struct cr_judge *judge);
struct cr_scorer cr_scorer_of_voice(struct cr_judge *judge, const struct cr_voice *voice);

/* What the judge says of the item's answers (`out` is initialised by the caller); adds to *usage.
 * Errors: as cr_judge_item. */
enum critic_status cr_prefer_ask(struct cr_judge *judge, const struct cr_item *item,
                                 struct cr_opinions *out, struct cr_judge_usage *usage,
                                 critic_error *err);

/* Judges what `samples` holds, appended to `ledger`; relative pictures start at `folder`.
 * Errors: as cr_prefer_sample. */
enum critic_status cr_prefer_score(const struct cr_scorer *scorer, const char *samples,
                                   const char *folder, const char *ledger,
                                   const struct cr_prefer_opts *opts,
                                   struct cr_prefer_counts *counts, critic_error *err);

/* ---- export.c ---------------------------------------------------------------------------- */

enum cr_export {
    CR_EXPORT_LLAVA_NEXT, /* id, image, prompt, chosen, rejected, answer */
    CR_EXPORT_TRL, /* images, prompt, chosen, rejected as messages with typed content */
    CR_EXPORT_LLAMA_FACTORY, /* sharegpt ranking; STEM.dataset_info.json beside it */
    CR_EXPORT_OPENRLHF,      /* prompt, chosen, rejected as messages; images */
    CR_EXPORT_REWARDS,       /* responses and rewards: every answer, for RL trainers */
    CR_EXPORT_BEST,          /* the best answer of each prompt */
    CR_EXPORT_SFT /* the chosen answers as conversations, for critic train sft and others */
};
/* The ledger's pairs into `out`, which appears when it is whole. *n: records written. Lines with
 * status "error" have none. image_prefix goes before every relative path, "" to leave them.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA, CRITIC_IO. */
enum critic_status cr_prefer_export(const char *ledger, const char *out,
                                    enum cr_export format, const char *image_prefix,
                                    size_t *n, critic_error *err);

#endif
