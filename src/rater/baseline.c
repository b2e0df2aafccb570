#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"
#include "rater/rater_impl.h"

#define HALF_LENGTH 400.0 /* code points at which a length score is half of the scale */

enum kind { ORACLE, COIN, LONGER, SHORTER, FIRST, SECOND, TIE };
const char *const cr_baseline_names[] = {"oracle", "coin",   "longer", "shorter",
                                         "first",  "second", "tie",    NULL};

struct baseline {
    struct cr_rater rater;
    enum kind kind;
    struct cr_truths truths;
    uint64_t seed;
};

static size_t code_points(struct cr_str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
    return n;
}

/* A generator of this prompt's own: the same in every run, another for the other order. */
static void seed_of(struct cr_rng *rng, const struct baseline *b,
                    const struct cr_voice_ask *ask, size_t sample) {
    struct cr_hash h;
    uint64_t value[2];
    cr_hash_init(&h, b->seed);
    cr_hash_update(&h, ask->item->id.data, ask->item->id.len);
    cr_hash_update(&h, ask->answers, ask->n_answers * sizeof *ask->answers);
    cr_hash_update(&h, ask->criterion.data, ask->criterion.len);
    cr_hash_final(&h, value);
    cr_rng_seed_at(rng, value[0], sample);
}

/* ---- scores --------------------------------------------------------------------------------- */

static double on_scale(const struct cr_scale *scale, double share) {
    double steps = (scale->max - scale->min) / scale->step;
    return scale->min + scale->step * floor(share * steps + 0.5);
}

static double score_of(const struct baseline *b, const struct cr_voice_ask *ask,
                       const struct cr_truth *truth, struct cr_rng *rng) {
    const struct cr_scale *scale = &ask->scale;
    double n = (double)code_points(ask->item->answers[ask->answers[0]]);
    switch (b->kind) {
    case ORACLE:
        return truth->score;
    case COIN: {
        double steps = floor((scale->max - scale->min) / scale->step + 0.5);
        return scale->min + scale->step * (double)cr_rng_below(rng, (uint64_t)steps + 1);
    }
    case LONGER:
        return on_scale(scale, n / (n + HALF_LENGTH));
    case SHORTER:
        return on_scale(scale, HALF_LENGTH / (n + HALF_LENGTH));
    case FIRST:
        return scale->max;
    case SECOND:
        return scale->min;
    default:
        return on_scale(scale, 0.5);
    }
}

/* ---- pairs ------------------------------------------------------------------------------------ */

static enum cr_choice choice_of(const struct baseline *b, const struct cr_voice_ask *ask,
                                const struct cr_truth *truth, struct cr_rng *rng) {
    const struct cr_str *all = ask->item->answers;
    size_t first = code_points(all[ask->answers[0]]),
           second = code_points(all[ask->answers[1]]);
    switch (b->kind) {
    case ORACLE:
        if (truth->choice == CR_CHOICE_TIE || ask->answers[0] < ask->answers[1])
            return truth->choice;
        return truth->choice == CR_CHOICE_FIRST ? CR_CHOICE_SECOND : CR_CHOICE_FIRST;
    case COIN:
        return cr_rng_below(rng, 2) ? CR_CHOICE_FIRST : CR_CHOICE_SECOND;
    case LONGER:
    case SHORTER:
        if (first == second)
            return CR_CHOICE_TIE;
        return (first > second) == (b->kind == LONGER) ? CR_CHOICE_FIRST
                                                       : CR_CHOICE_SECOND;
    case FIRST:
        return CR_CHOICE_FIRST;
    case SECOND:
        return CR_CHOICE_SECOND;
    default:
        return CR_CHOICE_TIE;
    }
}

static int margin_of(enum cr_choice choice) {
    return choice == CR_CHOICE_FIRST ? 1 : choice == CR_CHOICE_SECOND ? -1 : 0;
}

/* ---- orders ------------------------------------------------------------------------------------- */

/* How far in front position i belongs. */
static double place_of(const struct baseline *b, const struct cr_voice_ask *ask,
                       const struct cr_truth *truth, size_t i, struct cr_rng *rng) {
    size_t answer = ask->answers[i];
    double n = (double)code_points(ask->item->answers[answer]);
    switch (b->kind) {
    case ORACLE:
        for (size_t place = 0; place < ask->n_answers; place++)
            if (truth->order[place] == answer)
                return (double)place;
        return (double)ask->n_answers;
    case COIN:
        return cr_rng_uniform(rng);
    case LONGER:
        return -n;
    case SHORTER:
        return n;
    case SECOND:
        return -(double)i;
    default:
        return (double)i;
    }
}

static void order_of(const struct baseline *b, const struct cr_voice_ask *ask,
                     const struct cr_truth *truth, struct cr_rng *rng,
                     struct cr_parsed *out) {
    double place[CR_MAX_ANSWERS];
    for (size_t i = 0; i < ask->n_answers; i++) {
        size_t k = i;
        place[i] = place_of(b, ask, truth, i, rng);
        for (; k > 0 && place[i] < place[out->order[k - 1]]; k--)
            out->order[k] = out->order[k - 1];
        out->order[k] = i;
    }
    out->n_order = ask->n_answers;
}

/* ---- ------------------------------------------------------------------------------------------- */

static enum critic_status find_truth(const struct baseline *b, const struct cr_item *item,
                                     struct cr_truth *out, critic_error *err) {
    memset(out, 0, sizeof *out);
    if (b->kind != ORACLE || b->truths.find(b->truths.user, item, out))
        return CRITIC_OK;
    return cr_fail(err, CRITIC_BAD_DATA,
                   "item '%.*s' has no label for the oracle to read",
                   (int)CR_MIN(item->id.len, (size_t)80), item->id.data);
}

static enum critic_status answer(void *self, const struct cr_voice_ask *ask,
                                 struct cr_reply *replies, struct cr_judge_usage *usage,
                                 critic_error *err) {
    const struct baseline *b = self;
    struct cr_truth truth;
    (void)usage;
    CR_TRY(find_truth(b, ask->item, &truth, err));
    for (size_t i = 0; i < ask->n_samples; i++) {
        struct cr_rng rng;
        struct cr_parsed *p = &replies[i].decision;
        seed_of(&rng, b, ask, i);
        replies[i].is_decision = true;
        memset(p, 0, sizeof *p);
        p->ok = true;
        p->format = ask->template->rule.formats[0];
        if (ask->template->mode == CR_MODE_POINTWISE) {
            p->score = score_of(b, ask, &truth, &rng);
        } else if (ask->template->mode == CR_MODE_PAIRWISE) {
            p->choice = choice_of(b, ask, &truth, &rng);
            p->margin = margin_of(p->choice);
            p->pair[0] =
                ask->scale.min + (p->margin >= 0) * (ask->scale.max - ask->scale.min);
            p->pair[1] =
                ask->scale.min + (p->margin <= 0) * (ask->scale.max - ask->scale.min);
        } else {
            order_of(b, ask, &truth, &rng, p);
        }
    }
    return CRITIC_OK;
}

enum critic_status cr_rater_baseline(struct cr_rater **out, const char *name,
                                     const struct cr_truths *truths, uint64_t seed,
                                     critic_error *err) {
    int kind = 0;
    *out = NULL;
    while (cr_baseline_names[kind] && strcmp(cr_baseline_names[kind], name) != 0)
        kind++;
    if (!cr_baseline_names[kind])
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "no baseline is called '%.40s'; expected oracle, coin, longer, "
                       "shorter, first, second or tie",
                       name);
    if (kind == ORACLE && (!truths || !truths->find))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "the oracle needs items with labels; there are none here");
    struct baseline *b =
        (struct baseline *)cr_rater_alloc(sizeof *b, cr_baseline_names[kind], err);
    if (!b)
        return CRITIC_NO_MEMORY;
    b->kind = (enum kind)kind;
    b->seed = seed;
    if (truths)
        b->truths = *truths;
    b->rater.voice.ask = answer;
    b->rater.voice.is_concurrent = true;
    *out = &b->rater;
    return CRITIC_OK;
}
