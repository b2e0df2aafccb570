/* How opinions become one: the rules of docs/judge.md. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "judge/run.h"

#define EQUAL 1e-9 /* shares and scores closer than this tie */

static double option_of(const struct cr_opinion *op, enum cr_choice choice) {
    for (size_t i = 0; i < op->n_options; i++)
        if (strcmp(op->options[i].label, cr_choice_name(choice)) == 0)
            return op->options[i].probability;
    return 0;
}

double cr_opinion_share(const struct cr_opinion *op) {
    if (op->n_options > 0)
        return option_of(op, CR_CHOICE_FIRST) + option_of(op, CR_CHOICE_TIE) / 2;
    if (!op->has_numbers)
        return op->scores[0];
    return op->choice == CR_CHOICE_FIRST ? 1 : op->choice == CR_CHOICE_TIE ? 0.5 : 0;
}

static enum cr_choice opposite(enum cr_choice c) {
    return c == CR_CHOICE_FIRST    ? CR_CHOICE_SECOND
           : c == CR_CHOICE_SECOND ? CR_CHOICE_FIRST
                                   : c;
}

void cr_opinion_swap(struct cr_opinion *op) {
    op->choice = opposite(op->choice);
    if (op->n_scores == 2) {
        double first = op->scores[0];
        op->scores[0] = op->scores[1];
        op->scores[1] = first;
    }
    for (size_t i = 0; i < op->n_options; i++) {
        const char *label = op->options[i].label;
        if (strcmp(label, "first") == 0)
            op->options[i].label = "second";
        else if (strcmp(label, "second") == 0)
            op->options[i].label = "first";
    }
    for (size_t i = 0; i < op->n_parts; i++)
        cr_opinion_swap(&op->parts[i]);
}

static enum cr_choice choice_between(double first, double second) {
    return first > second + EQUAL   ? CR_CHOICE_FIRST
           : second > first + EQUAL ? CR_CHOICE_SECOND
                                    : CR_CHOICE_TIE;
}

/* The order of a ranking from one number an answer. Insertion sort: few answers, and equal ones keep their order. */
static void rank(struct cr_opinion *op) {
    for (size_t i = 0; i < op->n_scores; i++) {
        size_t k = i;
        for (; k > 0 && op->scores[i] > op->scores[op->order[k - 1]] + EQUAL; k--)
            op->order[k] = op->order[k - 1];
        op->order[k] = i;
    }
    op->n_order = op->n_scores;
}

static enum critic_status make_room(struct cr_run *run, struct cr_opinion *op, size_t n,
                                    critic_error *err) {
    op->scores = cr_run_alloc(run, n, sizeof *op->scores, err);
    op->order = cr_run_alloc(run, n, sizeof *op->order, err);
    if (!op->scores || !op->order)
        return CRITIC_NO_MEMORY;
    op->n_scores = n;
    return CRITIC_OK;
}

/* Means over the parts that were parsed: of scores, and of probabilities where all have them. */
static void mean_scores(struct cr_opinion *op) {
    size_t n = 0;
    for (size_t i = 0; i < op->n_parts; i++) {
        if (op->parts[i].status != CR_VERDICT_OK)
            continue;
        n++;
        for (size_t k = 0; k < op->n_scores; k++)
            op->scores[k] += op->parts[i].scores[k];
    }
    for (size_t k = 0; k < op->n_scores && n > 0; k++)
        op->scores[k] /= (double)n;
}

static bool all_have_options(const struct cr_opinion *op) {
    for (size_t i = 0; i < op->n_parts; i++)
        if (op->parts[i].n_options == 0)
            return false;
    return op->n_parts > 0;
}

static enum critic_status mean_options(struct cr_run *run, struct cr_opinion *op,
                                       critic_error *err) {
    static const enum cr_choice choices[] = {CR_CHOICE_FIRST, CR_CHOICE_SECOND,
                                             CR_CHOICE_TIE};
    op->options = cr_run_alloc(run, CR_COUNT(choices), sizeof *op->options, err);
    if (!op->options)
        return CRITIC_NO_MEMORY;
    for (size_t c = 0; c < CR_COUNT(choices); c++) {
        struct cr_option o = {cr_choice_name(choices[c]), 0, NAN};
        bool present = false;
        for (size_t i = 0; i < op->n_parts; i++) {
            for (size_t k = 0; k < op->parts[i].n_options; k++)
                present |= strcmp(op->parts[i].options[k].label, o.label) == 0;
            o.probability += option_of(&op->parts[i], choices[c]) / (double)op->n_parts;
        }
        if (present)
            op->options[op->n_options++] = o;
    }
    for (size_t i = 0; i < op->n_parts; i++)
        op->mass += op->parts[i].mass / (double)op->n_parts;
    return CRITIC_OK;
}

/* ---- both orders --------------------------------------------------------------------------- */

static enum critic_status combine_orders(struct cr_run *run, struct cr_opinion *op,
                                         critic_error *err) {
    const struct cr_opinion *a = &op->parts[0];
    const struct cr_opinion *b = &op->parts[1];
    mean_scores(op);
    op->has_consistent = true;
    if (op->mode == CR_MODE_RANKING) {
        op->consistent = memcmp(a->order, b->order, a->n_order * sizeof *a->order) == 0;
        rank(op);
        return CRITIC_OK;
    }
    op->consistent = a->choice == b->choice;
    op->has_numbers = a->has_numbers && b->has_numbers;
    if (all_have_options(op)) {
        CR_TRY(mean_options(run, op, err));
        double first = option_of(op, CR_CHOICE_FIRST);
        double second = option_of(op, CR_CHOICE_SECOND);
        double tie = option_of(op, CR_CHOICE_TIE);
        op->choice =
            tie >= fmax(first, second) ? CR_CHOICE_TIE : choice_between(first, second);
    } else if (op->has_numbers) {
        op->choice = choice_between(op->scores[0], op->scores[1]);
    } else {
        op->choice = op->consistent ? a->choice : CR_CHOICE_TIE;
    }
    return CRITIC_OK;
}

/* ---- samples --------------------------------------------------------------------------------- */

static enum critic_status sample_scores(struct cr_run *run, struct cr_opinion *op,
                                        size_t n_ok, critic_error *err) {
    op->options = cr_run_alloc(run, op->n_parts, sizeof *op->options, err);
    if (!op->options)
        return CRITIC_NO_MEMORY;
    for (size_t i = 0; i < op->n_parts; i++) {
        const struct cr_opinion *part = &op->parts[i];
        size_t k = 0;
        if (part->status != CR_VERDICT_OK)
            continue;
        while (k < op->n_options && op->options[k].score < part->score)
            k++;
        if (k == op->n_options || op->options[k].score != part->score) {
            struct cr_buf text;
            cr_buf_init(&text, 64);
            enum critic_status status = cr_buf_printf(&text, err, "%g", part->score);
            char *label = status == CRITIC_OK
                              ? cr_arena_strndup(run->arena, text.data, text.len)
                              : NULL;
            cr_buf_fini(&text);
            if (!label)
                return cr_fail(err, CRITIC_NO_MEMORY,
                               "no memory for the verdict of one item");
            memmove(&op->options[k + 1], &op->options[k],
                    (op->n_options++ - k) * sizeof *op->options);
            op->options[k] = (struct cr_option){label, 0, part->score};
        }
        op->options[k].probability += 1 / (double)n_ok;
    }
    op->score = op->scores[0];
    op->has_expected = true;
    op->expected = op->scores[0];
    return CRITIC_OK;
}

static enum critic_status sample_choices(struct cr_run *run, struct cr_opinion *op,
                                         size_t n_ok, critic_error *err) {
    size_t votes[4] = {0};
    for (size_t i = 0; i < op->n_parts; i++)
        votes[op->parts[i].choice] += op->parts[i].status == CR_VERDICT_OK;
    op->options = cr_run_alloc(run, 3, sizeof *op->options, err);
    if (!op->options)
        return CRITIC_NO_MEMORY;
    op->choice = CR_CHOICE_TIE;
    for (size_t c = CR_CHOICE_FIRST; c <= CR_CHOICE_TIE; c++) {
        double p = (double)votes[c] / (double)n_ok;
        op->options[op->n_options++] = (struct cr_option){cr_choice_name(c), p, NAN};
        if (votes[c] > votes[c % 3 + 1] && votes[c] > votes[(c + 1) % 3 + 1])
            op->choice = (enum cr_choice)c;
    }
    return CRITIC_OK;
}

static enum critic_status combine_samples(struct cr_run *run, struct cr_opinion *op,
                                          critic_error *err) {
    size_t n_ok = op->n_parts - op->n_unparsed;
    mean_scores(op);
    if (op->mode == CR_MODE_RANKING) {
        rank(op);
        return CRITIC_OK;
    }
    if (op->mode == CR_MODE_POINTWISE)
        CR_TRY(sample_scores(run, op, n_ok, err));
    else
        CR_TRY(sample_choices(run, op, n_ok, err));
    op->mass = 1 - (double)op->n_unparsed / (double)op->n_parts;
    return CRITIC_OK;
}

/* ---- several answers, several criteria ------------------------------------------------------ */

static void combine_comparisons(struct cr_opinion *op, size_t n) {
    size_t k = 0;
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++, k++) {
            double share = cr_opinion_share(&op->parts[k]);
            op->scores[a] += share / (double)(n - 1);
            op->scores[b] += (1 - share) / (double)(n - 1);
        }
    rank(op);
}

/* Verdict-only scores are compared by their expectation, which whole numbers hide. */
static void combine_answers(struct cr_opinion *op) {
    for (size_t i = 0; i < op->n_parts; i++)
        op->scores[i] =
            op->parts[i].has_expected ? op->parts[i].expected : op->parts[i].score;
    op->has_numbers = true;
    if (op->mode == CR_MODE_PAIRWISE)
        op->choice = choice_between(op->scores[0], op->scores[1]);
    else
        rank(op);
}

static enum critic_status combine_criteria(struct cr_run *run, struct cr_opinion *op,
                                           critic_error *err) {
    double share = 0;
    mean_scores(op);
    if (op->mode == CR_MODE_RANKING) {
        rank(op);
        return CRITIC_OK;
    }
    if (op->mode == CR_MODE_POINTWISE) {
        op->score = op->scores[0];
        op->has_expected = all_have_options(op);
        for (size_t i = 0; i < op->n_parts && op->has_expected; i++)
            op->expected += op->parts[i].expected / (double)op->n_parts;
        return CRITIC_OK;
    }
    op->has_numbers = true;
    for (size_t i = 0; i < op->n_parts; i++) {
        share += cr_opinion_share(&op->parts[i]) / (double)op->n_parts;
        op->has_numbers = op->has_numbers && op->parts[i].has_numbers;
    }
    op->choice = choice_between(share, 1 - share);
    return all_have_options(op) ? mean_options(run, op, err) : CRITIC_OK;
}

/* ---- all ---------------------------------------------------------------------------------------- */

static bool same_verdict(const struct cr_opinion *a, const struct cr_opinion *b) {
    if (a->status != b->status || a->mode != b->mode)
        return false;
    if (a->mode == CR_MODE_POINTWISE)
        return a->score == b->score;
    if (a->mode == CR_MODE_PAIRWISE)
        return a->choice == b->choice;
    return a->n_order == b->n_order &&
           memcmp(a->order, b->order, a->n_order * sizeof *a->order) == 0;
}

/* Reason and raw text of the whole: those of the first part with its verdict, else of the
 * first part. */
static void take_text(struct cr_opinion *op) {
    const struct cr_opinion *from = &op->parts[0];
    for (size_t i = op->n_parts; i > 0; i--)
        if (same_verdict(&op->parts[i - 1], op))
            from = &op->parts[i - 1];
    op->reason = from->reason;
    op->raw = from->raw;
}

static enum critic_status unparsed(struct cr_opinion *op) {
    op->status = CR_VERDICT_UNPARSED;
    for (size_t i = op->n_parts; i > 0; i--)
        if (op->parts[i - 1].status != CR_VERDICT_OK) {
            op->why = op->parts[i - 1].why;
            op->reason = op->parts[i - 1].reason;
            op->raw = op->parts[i - 1].raw;
        }
    return CRITIC_OK;
}

enum critic_status cr_combine(struct cr_run *run, struct cr_opinion *op,
                              critic_error *err) {
    size_t n = op->mode == CR_MODE_POINTWISE  ? 1
               : op->mode == CR_MODE_PAIRWISE ? 2
                                              : run->item->n_answers;
    op->score = NAN;
    op->n_unparsed = 0;
    for (size_t i = 0; i < op->n_parts; i++)
        op->n_unparsed += op->parts[i].status != CR_VERDICT_OK;
    bool samples = op->parts_kind == CR_PARTS_SAMPLES;
    if (samples ? op->n_unparsed == op->n_parts : op->n_unparsed > 0)
        return unparsed(op);
    op->status = CR_VERDICT_OK;
    CR_TRY(make_room(run, op, n, err));
    if (samples)
        CR_TRY(combine_samples(run, op, err));
    else if (op->parts_kind == CR_PARTS_ORDERS)
        CR_TRY(combine_orders(run, op, err));
    else if (op->parts_kind == CR_PARTS_COMPARISONS)
        combine_comparisons(op, n);
    else if (op->parts_kind == CR_PARTS_ANSWERS)
        combine_answers(op);
    else
        CR_TRY(combine_criteria(run, op, err));
    take_text(op);
    return CRITIC_OK;
}
