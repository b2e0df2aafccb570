#include "train/dpo.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for pairs");
}

/* ---- sums over one pair's rows ---- */

struct side {
    size_t first, end; /* rows of the batch */
    double logp;
    size_t n; /* counted tokens */
};

/* Chosen and rejected of sequence i, whose rows begin at `row`. */
static void sides_of(const struct cr_train_sequence *s, size_t row, const float *logp,
                     struct side out[2]) {
    size_t first = s->n_prefix;
    CR_ASSERT(s->n_branches == 2);
    for (int k = 0; k < 2; k++) {
        out[k] = (struct side){row + first, row + s->branch_ends[k], 0, 0};
        for (size_t r = first; r < s->branch_ends[k]; r++)
            if (s->targets[r] >= 0) {
                out[k].logp += (double)logp[row + r];
                out[k].n++;
            }
        first = s->branch_ends[k];
    }
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

/* ---- the reference ---- */

static enum critic_status score_packs(struct cr_dpo *s, const uint32_t *packs, size_t n,
                                      critic_error *err) {
    struct cr_pack_batch *p = &s->slots[0];
    size_t row = 0;
    CR_TRY(cr_pack_batch_build(p, &s->data, packs, n, err));
    CR_TRY(cr_batch_check(&p->batch, &s->net->config, err));
    CR_TRY(make_room(s, p->n_rows, err));
    cr_train_score(s->net->train, &p->batch, s->logp);
    for (size_t i = 0; i < n; i++) {
        struct side sides[2];
        sides_of(&p->sequences[i], row, s->logp, sides);
        for (int k = 0; k < 2; k++)
            s->reference[packs[i]][k] = sides[k].logp;
        row += p->sequences[i].n_rows;
    }
    return CRITIC_OK;
}

static enum critic_status make_reference(struct cr_dpo *s, critic_error *err) {
    size_t n_packs = s->data.n_packs, step = CR_MAX(s->o.batch, 1);
    uint32_t *packs = malloc(step * sizeof *packs);
    enum critic_status status = packs ? CRITIC_OK : no_memory(err);
    for (size_t i = 0; i < n_packs && status == CRITIC_OK; i += step) {
        size_t n = CR_MIN(step, n_packs - i);
        for (size_t k = 0; k < n; k++)
            packs[k] = (uint32_t)(i + k);
        status = score_packs(s, packs, n, err);
        if (status == CRITIC_OK && s->o.data.cancel &&
            s->o.data.cancel(s->o.data.cancel_user))
            status = cr_fail(err, CRITIC_CANCELLED,
                             "interrupted while the reference was computed");
        if (status == CRITIC_OK && s->o.on_reference)
            s->o.on_reference(s->o.user, i + n, n_packs);
    }
    free(packs);
    return status;
}

/* ---- opening ---- */

static enum critic_status split(struct cr_dpo *s, critic_error *err) {
    for (int i = 0; i < 2; i++) {
        s->packs[i] = malloc(CR_MAX(s->data.n_packs, 1) * sizeof *s->packs[i]);
        if (!s->packs[i])
            return no_memory(err);
    }
    for (size_t p = 0; p < s->data.n_packs; p++) {
        struct cr_rng rng;
        cr_rng_seed_at(&rng, s->o.seed ^ 0x5eed5eed, p);
        int side = cr_rng_uniform(&rng) < s->o.eval_split;
        s->packs[side][s->n_packs[side]++] = (uint32_t)p;
    }
    return CRITIC_OK;
}

enum critic_status cr_dpo_open(struct cr_dpo *s, struct cr_net *net,
                               const struct cr_dpo_opts *opts, critic_error *err) {
    memset(s, 0, sizeof *s);
    s->net = net;
    s->o = *opts;
    s->o.data.pack = CR_PACKS_PAIRS;
    s->o.data.mask = CR_LABELS_ANSWERS;
    CR_TRY(cr_preference_check(&opts->loss, err));
    CR_TRY(cr_dataset_open(&s->data, opts->data_path, &net->config, net->tokenizer,
                           &s->o.data, err));
    CR_TRY(split(s, err));
    for (size_t i = 0; i < CR_TASK_SLOTS; i++)
        CR_TRY(cr_pack_batch_init(&s->slots[i], err));
    s->reference = calloc(s->data.n_packs, sizeof *s->reference);
    if (!s->reference)
        return no_memory(err);
    return cr_preference_needs_reference(opts->loss.loss) ? make_reference(s, err)
                                                          : CRITIC_OK;
}

void cr_dpo_close(struct cr_dpo *s) {
    for (size_t i = 0; i < CR_TASK_SLOTS; i++)
        cr_pack_batch_fini(&s->slots[i]);
    cr_dataset_close(&s->data);
    free(s->reference);
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
                      size_t row, const struct side *side, double by) {
    for (size_t r = side->first; r < side->end; r++)
        if (seq->targets[r - row] >= 0)
            s->dlogp[r] = (float)by;
}

/* Names as TRL logs them. */
static void report(struct cr_pass *out, const struct side sides[2],
                   const struct cr_pair_loss *l) {
    double margin = l->reward_chosen - l->reward_rejected;
    cr_pass_add(out, "rewards/chosen", l->reward_chosen, 1);
    cr_pass_add(out, "rewards/rejected", l->reward_rejected, 1);
    cr_pass_add(out, "rewards/margins", margin, 1);
    cr_pass_add(out, "rewards/accuracies", margin > 0, 1);
    cr_pass_add(out, "logps/chosen", sides[0].logp, 1);
    cr_pass_add(out, "logps/rejected", sides[1].logp, 1);
    cr_pass_add(out, "tokens/chosen", (double)sides[0].n, 1);
    cr_pass_add(out, "tokens/rejected", (double)sides[1].n, 1);
}

/* Loss of one pair; its derivatives, times scale, into dlogp. */
static enum critic_status do_pair(const struct cr_dpo *s,
                                  const struct cr_train_sequence *seq, size_t row,
                                  uint32_t pack, double scale, struct cr_pass *out,
                                  double *loss, critic_error *err) {
    struct side sides[2];
    sides_of(seq, row, s->logp, sides);
    if (sides[0].n == 0 || sides[1].n == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "a pair without tokens to learn from");
    const struct cr_pair_logps logps = {.policy_chosen = sides[0].logp,
                                        .policy_rejected = sides[1].logp,
                                        .reference_chosen = s->reference[pack][0],
                                        .reference_rejected = s->reference[pack][1],
                                        .n_chosen = sides[0].n,
                                        .n_rejected = sides[1].n};
    struct cr_pair_loss l = cr_preference_loss(&logps, &s->o.loss);
    double sft = s->o.sft_weight / (double)sides[0].n;
    *loss = l.loss - sft * sides[0].logp;
    fill_rows(s, seq, row, &sides[0], scale * (l.by_chosen - sft));
    fill_rows(s, seq, row, &sides[1], scale * l.by_rejected);
    report(out, sides, &l);
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
    if (train)
        cr_train_forward(s->net->train, &p->batch, s->logp);
    else
        cr_train_score(s->net->train, &p->batch, s->logp);
    memset(s->dlogp, 0, p->n_rows * sizeof *s->dlogp);
    for (size_t i = 0; i < p->n_packs; i++) {
        double loss = 0;
        CR_TRY(
            do_pair(s, &p->sequences[i], row, p->packs[i], scale / n, out, &loss, err));
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
                            .names = names};
}
