/* Judges that are no checkpoint, each behind the one interface of judge/voice.h: an endpoint, a
 * file of verdicts, a baseline.
 *
 *   struct cr_rater *rater;
 *   cr_rater_baseline(&rater, "longer", &labels, 0, &err);
 *   cr_judge_new_voiced(&judge, cr_rater_voice(rater), &opts, &err);
 *   …
 *   cr_judge_free(judge);
 *   cr_rater_free(rater);
 */
#ifndef CR_RATER_RATER_H
#define CR_RATER_RATER_H

#include "judge/voice.h"
#include "remote/chat.h"

struct cr_rater;

const struct cr_voice *cr_rater_voice(const struct cr_rater *rater);
void cr_rater_free(struct cr_rater *rater);

/* ---- endpoints (endpoint.c) -------------------------------------------------------------- */

/* `chat` must outlive the rater. Pictures go as they are stored (JPEG, PNG, WebP bytes); decoded
 * ones as PNG. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_rater_endpoint(struct cr_rater **out, struct cr_chat *chat,
                                     const struct cr_image_limits *limits,
                                     critic_error *err);
/* Calls, retries and tokens so far; safe while others ask. */
struct cr_chat_usage cr_rater_usage(struct cr_rater *rater);

/* ---- baselines (baseline.c) --------------------------------------------------------------- */

/* What is known to be right, for the oracle; false where nothing is known of the item. */
struct cr_truth {
    double score;          /* pointwise */
    enum cr_choice choice; /* pairwise, by content */
    const size_t *order;   /* ranking, best first */
};
struct cr_truths {
    bool (*find)(void *user, const struct cr_item *item, struct cr_truth *out);
    void *user;
};

/* Judges without eyes, to compare others with. All of them answer by position in the prompt,
 * as a judge does:
 *   oracle   what is known to be right (truths)
 *   coin     each prompt by a fair coin, or a score drawn evenly from the scale
 *   longer   the answer of more code points; a score that grows with length
 *   shorter  the reverse
 *   first    always what stands first; the best score
 *   second   always what stands second; the worst score
 *   tie      always a tie; the middle score
 * Errors: CRITIC_BAD_ARGUMENT (no such baseline; oracle without truths), CRITIC_NO_MEMORY. */
enum critic_status cr_rater_baseline(struct cr_rater **out, const char *name,
                                     const struct cr_truths *truths, uint64_t seed,
                                     critic_error *err);
/* "oracle", "coin", … ended by NULL. */
extern const char *const cr_baseline_names[];

/* ---- files of verdicts (verdict_file.c) ------------------------------------------------------ */

/* JSON lines that somebody's judge wrote. Read from each line:
 *   id       the first of id, question_id, ID, pair_id, score_id, index, uid
 *   text     the first of raw, judgment, judgement, text, output, response, completion, answer:
 *            parsed by the template's rule; or
 *   verdict  a number, "first" | "second" | "tie", or an order of indices: taken as it is
 *   orders   [{raw | verdict}, {…}]: the item as it is and with its answers the other way round
 *   games    WildVision's name for orders
 *   heard    a row of critic eval run
 *   swapped, random_number   true or 1: this line is of the answers the other way round
 * Lines with an equal id are samples of it. What is no JSON object, or has no id, or nothing to
 * read, is counted and skipped. */
struct cr_verdict_counts {
    size_t n_lines;      /* not blank */
    size_t n_bad;        /* unreadable */
    size_t n_ids;        /* different ids */
    size_t n_doubled;    /* lines beyond the first of their id and order */
    size_t n_used;       /* ids that were asked for */
    char first_bad[256]; /* "F.jsonl:3: what is wrong"; empty: none */
};
/* Errors: CRITIC_BAD_FILE (cannot be read, or not one readable line), CRITIC_NO_MEMORY. */
enum critic_status cr_rater_verdicts(struct cr_rater **out, const char *path,
                                     critic_error *err);
struct cr_verdict_counts cr_rater_verdict_counts(const struct cr_rater *rater);

#endif
