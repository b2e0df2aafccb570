/* Who answers a judge's prompts where that is not an engine: an endpoint, a file of verdicts, a
 * baseline. The judge asks it once a prompt and does the rest (orders, samples, criteria,
 * parsing, combining) as it does for an engine. */
#ifndef CR_JUDGE_VOICE_H
#define CR_JUDGE_VOICE_H

#include "judge/template.h"
#include "remote/tokens.h"

struct cr_voice_ask {
    const struct cr_item *item;
    const size_t *answers; /* of the item, in prompt order */
    size_t n_answers;
    struct cr_str criterion; /* data NULL: none */
    const struct cr_template *template;
    struct cr_scale scale;
    struct cr_str prompt; /* rendered; empty where the voice reads none */
    struct cr_str system; /* data NULL: not given */
    size_t n_samples;
    double temperature, top_p;
    uint64_t seed; /* of this item; sample i may use seed + i */
    size_t max_new_tokens;
    bool probabilities; /* of the text's tokens, if they are to be had */
};

/* What came back for one sample: text to parse, or a decision (positions in the prompt). */
struct cr_reply {
    struct cr_buf text;
    bool cut; /* it ended at the limit of tokens */
    /* of the text, where probabilities were asked for and given */
    struct cr_reply_tokens tokens;
    bool is_decision;
    struct cr_parsed decision;
    bool other_order;   /* a pair: it was asked with the answers the other way round */
    double first_share; /* of a pairwise decision: P(first) + P(tie)/2; NAN: not known */
};

struct cr_voice {
    const char *model, *model_hash; /* of its verdicts; owned by the voice */
    bool reads_prompts;
    /* Fills n_samples replies, whose texts are initialised and released by the caller, and adds
     * to usage. Errors: what the item is to fail with. Threads: may be called concurrently where
     * `is_concurrent`. */
    enum critic_status (*ask)(void *self, const struct cr_voice_ask *ask,
                              struct cr_reply *replies, struct cr_judge_usage *usage,
                              critic_error *err);
    bool is_concurrent;
    bool gives_tokens; /* it may fill `tokens` */
    void *self;
};

/* A judge whose prompts `voice` answers; it must outlive the judge. verdict_only needs an engine and
 * is refused; so is probabilities, unless the voice gives tokens.
 * Errors: as cr_judge_new. */
enum critic_status cr_judge_new_voiced(struct cr_judge **out,
                                       const struct cr_voice *voice,
                                       const struct cr_judge_opts *opts,
                                       critic_error *err);

#endif
