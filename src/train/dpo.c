#include "train/dpo.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for pairs");
}

static enum critic_status make_room(struct cr_dpo *s, size_t n_rows, critic_error *err) {
    if (n_rows <= s->rows_cap)
        return CRITIC_OK;
    free(s->logp);
    free(s->dlogp);
    s->rows_cap = n_rows;
    s->logp = malloc(n_rows * sizeof *s->logp);
    s->dlogp = malloc(n_rows * sizeof *s->dlogp);
    if (s->logp && s->dlogp)
        return CRITIC_OK;
    s->rows_cap = 0;
    return no_memory(err);
}

/* ---- opening ---- */

enum critic_status cr_dpo_open(struct cr_dpo *s, struct cr_net *net,
                               const struct cr_dpo_opts *opts, critic_error *err) {
    memset(s, 0, sizeof *s);
    s->net = net;
    s->o = *opts;
    s->o.data.pack = CR_PACKS_PAIRS;
    s->o.data.mask = opts->llava_mask ? CR_LABELS_LLAVA_DPO : CR_LABELS_ANSWERS;
    s->o.data.skip_pictureless = true;
    CR_TRY(cr_preference_check(&opts->loss, err));
    CR_TRY(cr_dataset_open(&s->data, opts->data_path, &net->config, net->tokenizer,
                           &s->o.data, err));
    CR_TRY(
        cr_packs_split(&s->data, s->o.seed, s->o.eval_split, s->packs, s->n_packs, err));
    for (size_t i = 0; i < CR_TASK_SLOTS; i++)
        CR_TRY(cr_pack_batch_init(&s->slots[i], err));
    s->policy = calloc(s->data.n_packs, sizeof *s->policy);
    if (!s->policy)
        return no_memory(err);
    if (!cr_preference_needs_reference(opts->loss.loss))
        s->o.reference.kind = CR_REFERENCE_NONE;
    return cr_reference_open(&s->reference, net, &s->data, &s->o.reference, err);
}

void cr_dpo_close(struct cr_dpo *s) {
    for (size_t i = 0; i < CR_TASK_SLOTS; i++)
        cr_pack_batch_fini(&s->slots[i]);
    cr_reference_close(&s->reference);
    cr_dataset_close(&s->data);
    free(s->policy);
    free(s->packs[0]);
    free(s->packs[1]);
    free(s->logp);
    free(s->dlogp);
    memset(s, 0, sizeof *s);
}

/* ---- task ---- */

static enum critic_status prepare(void *self, size_t slot, bool eval, const uint32_t *at,
                                  size_t n, critic_error *err) {
    struct cr_dpo *s = self;
    uint32_t *packs = malloc(CR_MAX(n, 1) * sizeof *packs);
    if (!packs)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        packs[i] = s->packs[eval][at[i]];
    enum critic_status status =
        cr_pack_batch_build(&s->slots[slot], &s->data, packs, n, err);
    free(packs);
    return status;
}

static void fill_rows(const struct cr_dpo *s, const struct cr_train_sequence *seq,
                      size_t row, size_t first, size_t end, double by) {
    for (size_t r = first; r < end; r++)
        if (seq->targets[r - row] >= 0)
            s->dlogp[r] = (float)by;
}

static double mean_ratio(const struct cr_pair_logps *p) {
    return (p->policy_chosen - p->reference_chosen + p->policy_rejected -
            p->reference_rejected) /
           2;
}

/* Names as TRL logs them. kl: log p(reference) - log p over both answers, which estimates KL(reference
 * to policy) where the reference sampled them. */
static void report(const struct cr_dpo *s, struct cr_pass *out,
                   const struct cr_pair_logps *p, const struct cr_pair_loss *l) {
    double margin = l->reward_chosen - l->reward_rejected;
    cr_pass_add(out, "rewards/chosen", l->reward_chosen, 1);
    cr_pass_add(out, "rewards/rejected", l->reward_rejected, 1);
    cr_pass_add(out, "rewards/margins", margin, 1);
    cr_pass_add(out, "rewards/accuracies", margin > 0, 1);
    cr_pass_add(out, "rewards/saturated", margin > 5 || margin < -5, 1);
    cr_pass_add(out, "logps/chosen", p->policy_chosen, 1);
    cr_pass_add(out, "logps/rejected", p->policy_rejected, 1);
    cr_pass_add(out, "tokens/chosen", (double)p->n_chosen, 1);
    cr_pass_add(out, "tokens/rejected", (double)p->n_rejected, 1);
    if (p->n_chosen != p->n_rejected && margin != 0)
        cr_pass_add(out, "rewards/longer", (margin > 0) == (p->n_chosen > p->n_rejected),
                    1);
    if (s->o.reference.kind != CR_REFERENCE_NONE) {
        cr_pass_add(out, "ref_logps/chosen", p->reference_chosen, 1);
        cr_pass_add(out, "ref_logps/rejected", p->reference_rejected, 1);
        cr_pass_add(out, "kl", -mean_ratio(p), 1);
    }
    if (s->o.sft_weight > 0) {
        cr_pass_add(out, "losses/dpo", l->loss, 1);
        cr_pass_add(out, "losses/sft", -p->policy_chosen / (double)p->n_chosen, 1);
    }
}

/* ---- known diseases ---- */

#define WATCH_PAIRS   200 /* about as many does a running mean look back on */
#define COLLAPSE_NATS 10  /* of an answer's probability under the reference */
#define LENGTH_SHARE  0.2

static void say(const struct cr_dpo *s, const char *fmt, ...) CR_PRINTF(2, 3);
static void say(const struct cr_dpo *s, const char *fmt, ...) {
    char line[400];
    va_list args;
    if (!s->o.data.log)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    s->o.data.log(s->o.data.log_user, 0, line);
}

static void watch(struct cr_dpo *s, const struct cr_pair_logps *p,
                  const struct cr_pair_loss *l) {
    struct cr_dpo_watch *w = &s->watch;
    w->n++;
    double part = 1.0 / (double)CR_MIN(w->n, WATCH_PAIRS);
    bool chosen_longer = p->n_chosen > p->n_rejected;
    if (s->o.reference.kind != CR_REFERENCE_NONE)
        w->ratio += part * (p->policy_chosen - p->reference_chosen - w->ratio);
    if (p->n_chosen != p->n_rejected && l->reward_chosen != l->reward_rejected) {
        bool longer = (l->reward_chosen > l->reward_rejected) == chosen_longer;
        w->longer_chosen += part * (chosen_longer - w->longer_chosen);
        w->longer_preferred += part * (longer - w->longer_preferred);
    }
    if (w->n < WATCH_PAIRS)
        return;
    if (w->ratio < -COLLAPSE_NATS && !w->told_collapse) {
        say(s,
            "warning: chosen answers lost %.1f nats of log-probability on average (over "
            "%d "
            "pairs); a larger --beta or --sft-weight holds them",
            -w->ratio, WATCH_PAIRS);
        w->told_collapse = true;
    }
    if (w->longer_preferred > w->longer_chosen + LENGTH_SHARE && !w->told_length) {
        say(s,
            "warning: the longer answer is preferred in %.0f %% of pairs and is the "
            "better one "
            "in %.0f %%; --loss sigmoid_norm divides by length",
            100 * w->longer_preferred, 100 * w->longer_chosen);
        w->told_length = true;
    }
}

/* Loss of one pair; its derivatives, times scale, into dlogp. */
static enum critic_status do_pair(struct cr_dpo *s, const struct cr_train_sequence *seq,
                                  size_t row, uint32_t pack, bool train, double scale,
                                  struct cr_pass *out, double *loss, critic_error *err) {
    struct cr_pair_side sides[2];
    cr_pair_sides(seq, row, s->logp, sides);
    if (sides[0].n == 0 || sides[1].n == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "a pair without tokens to learn from");
    const double *reference = s->reference.logps[pack];
    const struct cr_pair_logps logps = {.policy_chosen = sides[0].logp,
                                        .policy_rejected = sides[1].logp,
                                        .reference_chosen = reference[0],
                                        .reference_rejected = reference[1],
                                        .n_chosen = sides[0].n,
                                        .n_rejected = sides[1].n};
    struct cr_pair_loss l = cr_preference_loss(&logps, &s->o.loss);
    double sft = s->o.sft_weight / (double)sides[0].n;
    double by[2] = {scale * (l.by_chosen - sft), scale * l.by_rejected};
    *loss = l.loss - sft * sides[0].logp;
    fill_rows(s, seq, row, row, row + seq->n_prefix, by[0] + by[1]);
    for (int k = 0; k < 2; k++) {
        fill_rows(s, seq, row, sides[k].first, sides[k].end, by[k]);
        s->policy[pack][k] = sides[k].logp;
    }
    report(s, out, &logps, &l);
    if (train)
        watch(s, &logps, &l);
    return CRITIC_OK;
}

static enum critic_status pass(void *self, size_t slot, bool train, double scale,
                               struct cr_pass *out, critic_error *err) {
    struct cr_dpo *s = self;
    const struct cr_pack_batch *p = &s->slots[slot];
    double sum = 0, n = (double)CR_MAX(p->n_packs, 1);
    size_t row = 0;
    CR_TRY(cr_batch_check(&p->batch, &s->net->config, err));
    CR_TRY(make_room(s, p->n_rows, err));
    CR_TRY(cr_reference_score(&s->reference, p, err));
    if (train)
        cr_train_forward(s->net->train, &p->batch, s->logp);
    else
        cr_train_score(s->net->train, &p->batch, s->logp);
    memset(s->dlogp, 0, p->n_rows * sizeof *s->dlogp);
    for (size_t i = 0; i < p->n_packs; i++) {
        double loss = 0;
        CR_TRY(do_pair(s, &p->sequences[i], row, p->packs[i], train, scale / n, out,
                       &loss, err));
        sum += loss;
        row += p->sequences[i].n_rows;
    }
    if (train)
        cr_train_backward(s->net->train, s->dlogp, (struct cr_tensor){0}, &s->net->grads);
    out->loss += sum / n;
    out->n_losses++;
    out->n_tokens += p->n_rows;
    return CRITIC_OK;
}

static bool find_bad(void *self, size_t slot, char out[CR_OP_NAME]) {
    struct cr_dpo *s = self;
    return cr_train_find_bad(s->net->train, &s->slots[slot].batch, out);
}

static enum critic_status names(void *self, size_t slot, struct cr_buf *out,
                                critic_error *err) {
    struct cr_dpo *s = self;
    const struct cr_pack_batch *p = &s->slots[slot];
    for (size_t i = 0; i < p->n_packs; i++) {
        char text[512];
        const struct cr_pack *pack = &s->data.packs[p->packs[i]];
        cr_dataset_name(&s->data, s->data.branches[pack->first_branch].record, text);
        CR_TRY(cr_buf_printf(out, err, "%s%s", i ? ", " : "", text));
    }
    return CRITIC_OK;
}

struct cr_task cr_dpo_task(struct cr_dpo *s) {
    return (struct cr_task){.self = s,
                            .n_train = s->n_packs[0],
                            .n_eval = s->n_packs[1],
                            .prepare = prepare,
                            .pass = pass,
                            .find_bad = find_bad,
                            .names = names};
}
