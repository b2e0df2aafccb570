/* What each benchmark publishes. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "eval/metric_impl.h"

static const char *const variant_names[] = {"official", "robust"};

/* The reading that counts: the official one of the first reply in the given order, or the judge's
 * whole opinion. NULL: the official rule has no text to read. */
static const struct cr_reading *reading(const struct cr_judgement *row,
                                        enum cr_rule_set by) {
    if (row->status == CR_ROW_ERROR) /* nobody judged: it does not count, and is told */
        return NULL;
    if (by == CR_BY_ROBUST)
        return &row->robust;
    const struct cr_heard *h = cr_judgement_official(row);
    return h && h->raw.data ? &h->official : NULL;
}

/* ---- values of items ------------------------------------------------------------------------------- */

/* 1 or 0; what cannot be read is wrong; items without label or text do not count. */
static double right_pick(const struct cr_exam *bench, const struct cr_judgement *row,
                         enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    (void)bench;
    if (row->label_pick == CR_PICK_NONE || !r)
        return (double)NAN;
    return r->ok && r->pick == row->label_pick;
}

/* Where people did not tie. A tie of the judge is wrong. */
static double right_strict(const struct cr_exam *bench, const struct cr_judgement *row,
                           enum cr_rule_set by) {
    return row->label_pick == CR_PICK_TIE ? (double)NAN : right_pick(bench, row, by);
}

/* … and the judge did not either. */
static double right_decisive(const struct cr_exam *bench, const struct cr_judgement *row,
                             enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    bool decided = r && r->ok && (r->pick == CR_PICK_FIRST || r->pick == CR_PICK_SECOND);
    return decided ? right_strict(bench, row, by) : (double)NAN;
}

static double decided(const struct cr_exam *bench, const struct cr_judgement *row,
                      enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    if (isnan(right_strict(bench, row, by)))
        return (double)NAN;
    return r && r->ok && (r->pick == CR_PICK_FIRST || r->pick == CR_PICK_SECOND);
}

/* Both orders: right each time. */
static double right_both(const struct cr_exam *bench, const struct cr_judgement *row,
                         enum cr_rule_set by) {
    bool orders[2] = {false, false}, right = true;
    (void)bench;
    (void)by;
    for (size_t i = 0; i < row->n_heard; i++) {
        const struct cr_reading *r = &row->heard[i].robust;
        orders[row->heard[i].swapped] = true;
        right &= r->ok && r->pick == row->label_pick;
    }
    if (!orders[0] || !orders[1] || row->label_pick == CR_PICK_NONE)
        return (double)NAN;
    return right;
}

static double agrees_with_itself(const struct cr_exam *bench,
                                 const struct cr_judgement *row, enum cr_rule_set by) {
    (void)bench;
    (void)by;
    return row->has_consistent && row->status == CR_ROW_OK ? row->consistent
                                                           : (double)NAN;
}

static double score(const struct cr_exam *bench, const struct cr_judgement *row,
                    enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    (void)bench;
    return r && r->ok ? r->score : (double)NAN;
}

/* Against a label: the item needs both. */
static double labelled_score(const struct cr_exam *bench, const struct cr_judgement *row,
                             enum cr_rule_set by) {
    return isnan(row->label_score) ? (double)NAN : score(bench, row, by);
}

static double won(const struct cr_exam *bench, const struct cr_judgement *row,
                  enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    (void)bench;
    if (row->label_pick == CR_PICK_NONE || !r || !r->ok)
        return (double)NAN;
    return r->pick == CR_PICK_FIRST ? 1 : r->pick == CR_PICK_TIE ? 0.5 : 0;
}

/* ---- VL-RewardBench -------------------------------------------------------------------------------- */

/* One fair coin an item and sample, as the official script tosses for the order. */
static bool coin(const struct cr_judgement *row, size_t sample) {
    struct cr_hash h;
    uint64_t value[2];
    cr_hash_init(&h, 1234 + sample);
    cr_hash_update(&h, row->id, strlen(row->id));
    cr_hash_final(&h, value);
    return value[0] & 1;
}

/* The reply to sample k in the wanted order, or in the other where that was not asked for. */
static const struct cr_heard *heard_of(const struct cr_judgement *row, size_t k,
                                       bool swapped) {
    for (int pass = 0; pass < 2; pass++) {
        size_t seen = 0;
        for (size_t i = 0; i < row->n_heard; i++)
            if (row->heard[i].swapped == (pass ? !swapped : swapped) && seen++ == k)
                return &row->heard[i];
    }
    return NULL;
}

/* "integer != index of the rejected answer": a number out of range agrees. 1, 0; -1: no match. */
static int agrees(const struct cr_judgement *row, const struct cr_heard *h) {
    unsigned rejected = (row->label_pick == CR_PICK_FIRST) != h->swapped ? 2 : 1;
    return h->official.ok ? h->official.number != rejected : -1;
}

static size_t n_samples(const struct cr_judgement *row) {
    size_t n[2] = {0, 0};
    for (size_t i = 0; i < row->n_heard; i++)
        n[row->heard[i].swapped]++;
    return CR_MAX(n[0], n[1]);
}

/* cal.py: strict majority of the samples; everything else leaves the denominator. Where both orders
 * were asked, a coin a sample chooses the one that counts; else each sample has its own. */
static double vlrb_official(const struct cr_exam *bench, const struct cr_judgement *row,
                            enum cr_rule_set by) {
    size_t n = row->has_consistent ? n_samples(row) : row->n_heard, votes[2] = {0, 0};
    (void)bench;
    (void)by;
    if (row->label_pick == CR_PICK_NONE || row->status == CR_ROW_ERROR)
        return (double)NAN;
    for (size_t k = 0; k < n; k++) {
        const struct cr_heard *h =
            row->has_consistent ? heard_of(row, k, coin(row, k)) : &row->heard[k];
        int a = h && h->raw.data ? agrees(row, h) : -1;
        if (a >= 0)
            votes[a]++;
    }
    return 2 * votes[1] > n ? 1 : 2 * votes[0] > n ? 0 : (double)NAN;
}

/* lmms-eval and VLMEvalKit: the order by the parity of the lengths in code points, every item
 * counts. (Their re-reading of what does not match by another model is not done: wrong.) */
static double vlrb_parity(const struct cr_exam *bench, const struct cr_judgement *row,
                          enum cr_rule_set by) {
    bool odd = (row->lengths[0] + row->lengths[1]) % 2 == 1;
    const struct cr_heard *h = heard_of(row, 0, odd);
    (void)bench;
    (void)by;
    if (row->label_pick == CR_PICK_NONE || !h || !h->raw.data)
        return (double)NAN;
    return h->official.ok && h->official.pick == row->label_pick;
}

static enum critic_status in_groups(struct cr_metric_job *j, struct cr_metric as,
                                    cr_item_value value, double factor,
                                    critic_error *err) {
    as.is_headline = false;
    for (size_t g = 0; g < j->n_groups; g++) {
        as.group = j->groups[g];
        CR_TRY(cr_metric_mean(j, &as, value, factor, err));
    }
    return CRITIC_OK;
}

static enum critic_status vlrb_variant(struct cr_metric_job *j, const char *variant,
                                       enum cr_rule_set by, cr_item_value value,
                                       critic_error *err) {
    struct cr_metric as = {.name = "overall",
                           .variant = variant,
                           .by = by,
                           .is_percent = true,
                           .is_headline = true};
    CR_TRY(cr_metric_mean(j, &as, value, 100, err));
    as.name = "macro";
    as.is_headline = false;
    CR_TRY(cr_metric_macro(j, &as, value, 100, err));
    as.name = "group";
    return in_groups(j, as, value, 100, err);
}

static enum critic_status orders(struct cr_metric_job *j, critic_error *err) {
    struct cr_metric as = {.name = "right in both orders",
                           .variant = "swap-consistent",
                           .by = CR_BY_VARIANT,
                           .is_percent = true};
    bool any = false;
    for (size_t i = 0; i < j->rows->n; i++)
        any |= j->rows->items[i].has_consistent;
    if (!any)
        return CRITIC_OK;
    CR_TRY(cr_metric_mean(j, &as, right_both, 100, err));
    as.name = "same answer in both orders";
    return cr_metric_mean(j, &as, agrees_with_itself, 100, err);
}

static enum critic_status vlrb(struct cr_metric_job *j, critic_error *err) {
    CR_TRY(vlrb_variant(j, "official", CR_BY_OFFICIAL, vlrb_official, err));
    CR_TRY(vlrb_variant(j, "robust", CR_BY_ROBUST, right_pick, err));
    CR_TRY(vlrb_variant(j, "lmms-eval, VLMEvalKit", CR_BY_VARIANT, vlrb_parity, err));
    return orders(j, err);
}

/* ---- the other judge benchmarks -------------------------------------------------------------------- */

/* `name` over all items and by group, officially and robustly. */
static enum critic_status both_rules(struct cr_metric_job *j, const char *name,
                                     cr_item_value value, double factor, bool headline,
                                     bool groups, bool lower, critic_error *err) {
    for (int by = CR_BY_OFFICIAL; by <= CR_BY_ROBUST; by++) {
        struct cr_metric as = {.name = name,
                               .variant = variant_names[by],
                               .by = (enum cr_rule_set)by,
                               .is_percent = factor == 100,
                               .lower_is_better = lower,
                               .is_headline = headline};
        CR_TRY(cr_metric_mean(j, &as, value, factor, err));
        if (groups)
            CR_TRY(in_groups(j, as, value, factor, err));
    }
    return CRITIC_OK;
}

static enum critic_status mmrlhf(struct cr_metric_job *j, critic_error *err) {
    CR_TRY(both_rules(j, "Acc", right_pick, 100, true, true, false, err));
    for (int by = CR_BY_OFFICIAL; by <= CR_BY_ROBUST; by++) {
        const struct cr_metric as = {.name = "Acc+",
                                     .variant = variant_names[by],
                                     .by = (enum cr_rule_set)by,
                                     .is_percent = true};
        CR_TRY(cr_metric_all(j, &as, right_pick, 100, err));
    }
    return orders(j, err);
}

static enum critic_status pearson(struct cr_metric_job *j, critic_error *err) {
    for (int by = CR_BY_OFFICIAL; by <= CR_BY_ROBUST; by++) {
        struct cr_metric as = {.name = "mean Pearson",
                               .variant = variant_names[by],
                               .by = (enum cr_rule_set)by,
                               .is_headline = true};
        CR_TRY(cr_metric_mean_pearson(j, &as, labelled_score, err));
        as.is_headline = false;
        as.name = "Pearson over all";
        CR_TRY(cr_metric_pearson(j, &as, labelled_score, err));
        as.name = "Kendall tau of models";
        CR_TRY(cr_metric_models(j, &as, labelled_score, false, err));
        as.name = "mean Kendall tau of models";
        if (j->n_groups > 1)
            CR_TRY(cr_metric_models(j, &as, labelled_score, true, err));
        as.name = "Pearson";
        for (size_t g = 0; g < j->n_groups; g++) {
            as.group = j->groups[g];
            CR_TRY(cr_metric_pearson(j, &as, labelled_score, err));
        }
    }
    return CRITIC_OK;
}

static enum critic_status pick(struct cr_metric_job *j, critic_error *err) {
    CR_TRY(both_rules(j, "accuracy with ties", right_pick, 100, true, true, false, err));
    CR_TRY(both_rules(j, "accuracy without ties", right_strict, 100, false, false, false,
                      err));
    CR_TRY(both_rules(j, "accuracy without ties, decided items", right_decisive, 100,
                      false, false, false, err));
    CR_TRY(both_rules(j, "decided", decided, 100, false, false, false, err));
    for (int by = CR_BY_OFFICIAL; by <= CR_BY_ROBUST; by++) {
        struct cr_metric as = {.name = "Kendall tau of models",
                               .variant = variant_names[by],
                               .by = (enum cr_rule_set)by};
        CR_TRY(cr_metric_models(j, &as, won, false, err));
    }
    return orders(j, err);
}

static double distance(const struct cr_exam *bench, const struct cr_judgement *row,
                       enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    struct cr_stat d;
    (void)bench;
    if (!row->label_order || !r || !r->ok)
        return (double)NAN;
    if (cr_order_distance(&d, r->order, strlen(r->order), row->label_order,
                          strlen(row->label_order), NULL) != CRITIC_OK)
        return (double)NAN;
    return d.value;
}

/* ---- WildVision: the candidate is B -------------------------------------------------------------------- */

static double reward(const struct cr_exam *bench, const struct cr_judgement *row,
                     enum cr_rule_set by) {
    static const double values[] = {0, -100, -50, 0, 50, 100};
    const struct cr_reading *r = reading(row, by);
    (void)bench;
    if (!r)
        return (double)NAN;
    return r->ok ? values[r->arena] : 0; /* none counts as a tie, as published */
}

static double wins(const struct cr_exam *bench, const struct cr_judgement *row,
                   enum cr_rule_set by) {
    double x = reward(bench, row, by);
    return isnan(x) ? x : x > 0;
}

#define ARENA_SHARE(name, label)                                                         \
    static double name(const struct cr_exam *bench, const struct cr_judgement *row,      \
                       enum cr_rule_set by) {                                            \
        const struct cr_reading *r = reading(row, by);                                   \
        (void)bench;                                                                     \
        return r ? r->ok && r->arena == (label) : (double)NAN;                           \
    }
ARENA_SHARE(much_better, CR_ARENA_B_MUCH)
ARENA_SHARE(better, CR_ARENA_B)
ARENA_SHARE(tie, CR_ARENA_TIE)
ARENA_SHARE(worse, CR_ARENA_A)
ARENA_SHARE(much_worse, CR_ARENA_A_MUCH)

static enum critic_status arena(struct cr_metric_job *j, critic_error *err) {
    static const struct {
        const char *name;
        cr_item_value value;
    } shares[] = {{"much better", much_better},
                  {"better", better},
                  {"tie", tie},
                  {"worse", worse},
                  {"much worse", much_worse}};
    CR_TRY(both_rules(j, "reward", reward, 1, true, false, false, err));
    CR_TRY(both_rules(j, "win rate", wins, 100, false, false, false, err));
    for (size_t i = 0; i < CR_COUNT(shares); i++)
        CR_TRY(both_rules(j, shares[i].name, shares[i].value, 100, false, false, false,
                          err));
    return CRITIC_OK;
}

/* ---- scores ------------------------------------------------------------------------------------------ */

static double candidate(const struct cr_exam *bench, const struct cr_judgement *row,
                        enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    (void)bench;
    return r && r->ok ? r->pair[1] : (double)NAN;
}

static double reference(const struct cr_exam *bench, const struct cr_judgement *row,
                        enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    (void)bench;
    return r && r->ok ? r->pair[0] : (double)NAN;
}

static enum critic_status relative(struct cr_metric_job *j, critic_error *err) {
    for (int by = CR_BY_OFFICIAL; by <= CR_BY_ROBUST; by++) {
        struct cr_metric as = {.name = "relative score",
                               .variant = variant_names[by],
                               .by = (enum cr_rule_set)by,
                               .is_percent = true,
                               .is_headline = true};
        CR_TRY(cr_metric_ratio(j, &as, candidate, reference, err));
        as.is_headline = false;
        for (size_t g = 0; g < j->n_groups; g++) {
            as.group = j->groups[g];
            CR_TRY(cr_metric_ratio(j, &as, candidate, reference, err));
        }
        as.group = NULL;
        as.is_percent = false;
        as.name = "mean of candidate";
        CR_TRY(cr_metric_mean(j, &as, candidate, 1, err));
        as.name = "mean of reference";
        CR_TRY(cr_metric_mean(j, &as, reference, 1, err));
    }
    return CRITIC_OK;
}

/* MMHal: what its own rule cannot read is 0 there. Ours leaves it out. */
static double mmhal_score(const struct cr_exam *bench, const struct cr_judgement *row,
                          enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    (void)bench;
    if (!r || (!r->ok && by == CR_BY_ROBUST))
        return (double)NAN;
    return r->ok ? r->score : 0;
}

static double mmhal_hallucinates(const struct cr_exam *bench,
                                 const struct cr_judgement *row, enum cr_rule_set by) {
    double x = mmhal_score(bench, row, by);
    return isnan(x) ? x : x < 3;
}

static enum critic_status mmhal(struct cr_metric_job *j, critic_error *err) {
    CR_TRY(both_rules(j, "mean score", mmhal_score, 1, true, true, false, err));
    return both_rules(j, "hallucination rate", mmhal_hallucinates, 100, false, false,
                      true, err);
}

/* MM-Vet and video captions: unread is 0 officially, left out by ours; captions have no such rule. */
static double mean_score(const struct cr_exam *bench, const struct cr_judgement *row,
                         enum cr_rule_set by) {
    const struct cr_reading *r = reading(row, by);
    bool zero = bench->parse == CR_PARSE_MMVET || bench->parse == CR_PARSE_VIDEO_DC;
    if (!r)
        return (double)NAN;
    return r->ok ? r->score : by == CR_BY_OFFICIAL && zero ? 0 : (double)NAN;
}

enum critic_status cr_metric_rules(struct cr_metric_job *j, critic_error *err) {
    const struct cr_exam *b = j->rows->bench;
    double factor = b->factor != 0 ? b->factor : 1;
    switch (b->metric) {
    case CR_METRIC_VLRB:
        return vlrb(j, err);
    case CR_METRIC_MMRB:
        CR_TRY(both_rules(j, "overall", right_pick, 100, true, true, false, err));
        return orders(j, err);
    case CR_METRIC_MMRLHF:
        return mmrlhf(j, err);
    case CR_METRIC_PEARSON:
        return pearson(j, err);
    case CR_METRIC_PICK:
        return pick(j, err);
    case CR_METRIC_ORDER:
        return both_rules(j, "mean distance", distance, 1, true, true, true, err);
    case CR_METRIC_ARENA:
        return arena(j, err);
    case CR_METRIC_RELATIVE:
        return relative(j, err);
    case CR_METRIC_MMHAL:
        return mmhal(j, err);
    default:
        return both_rules(j, "mean score", mean_score, factor, true, true, false, err);
    }
}

double cr_metric_item(const struct cr_exam *bench, const struct cr_judgement *row,
                      enum cr_rule_set by) {
    static const cr_item_value values[] = {
        [CR_METRIC_VLRB] = right_pick,   [CR_METRIC_MMRB] = right_pick,
        [CR_METRIC_MMRLHF] = right_pick, [CR_METRIC_PEARSON] = labelled_score,
        [CR_METRIC_PICK] = right_pick,   [CR_METRIC_ORDER] = distance,
        [CR_METRIC_ARENA] = reward,      [CR_METRIC_RELATIVE] = candidate,
        [CR_METRIC_MMHAL] = mmhal_score, [CR_METRIC_MEAN] = mean_score};
    return values[bench->metric](bench, row, by);
}
