#include "train/sft.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a batch");
}

enum critic_status cr_sft_open(struct cr_sft *s, struct cr_net *net,
                               const struct cr_sft_opts *opts, critic_error *err) {
    memset(s, 0, sizeof *s);
    s->net = net;
    s->o = *opts;
    CR_TRY(cr_dataset_open(&s->data, opts->data_path, &net->config, net->tokenizer,
                           &opts->data, err));
    if (opts->eval_path) {
        CR_TRY(cr_dataset_open(&s->eval, opts->eval_path, &net->config, net->tokenizer,
                               &opts->data, err));
        s->has_eval = true;
        s->o.eval_split = 0;
    }
    CR_TRY(
        cr_packs_split(&s->data, s->o.seed, s->o.eval_split, s->packs, s->n_packs, err));
    if (opts->aux_labels) {
        size_t found = 0;
        CR_TRY(cr_labels_open(&s->labels, opts->aux_labels, opts->data.image_folder,
                              &s->data.pictures, true, err));
        CR_TRY(cr_label_heads_add(&s->labels, net, opts->seed, err));
        if (opts->model_dir)
            CR_TRY(cr_checkpoint_heads(net, opts->model_dir, &found, err));
    }
    for (size_t i = 0; i < CR_TASK_SLOTS; i++)
        CR_TRY(cr_pack_batch_init(&s->slots[i], err));
    return CRITIC_OK;
}

void cr_sft_close(struct cr_sft *s) {
    for (size_t i = 0; i < CR_TASK_SLOTS; i++)
        cr_pack_batch_fini(&s->slots[i]);
    cr_labels_close(&s->labels);
    cr_dataset_close(&s->data);
    cr_dataset_close(&s->eval);
    free(s->packs[0]);
    free(s->packs[1]);
    free(s->logp);
    free(s->dlogp);
    free(s->uses);
    memset(s, 0, sizeof *s);
}

/* ---- task ---- */

static const struct cr_dataset *data_of(const struct cr_sft *s, bool eval) {
    return eval && s->has_eval ? &s->eval : &s->data;
}

static enum critic_status prepare(void *self, size_t slot, bool eval, const uint32_t *at,
                                  size_t n, critic_error *err) {
    struct cr_sft *s = self;
    uint32_t *packs = malloc(CR_MAX(n, 1) * sizeof *packs);
    if (!packs)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        packs[i] = eval && s->has_eval ? at[i] : s->packs[eval][at[i]];
    enum critic_status status =
        cr_pack_batch_build(&s->slots[slot], data_of(s, eval), packs, n, err);
    s->slot_is_eval[slot] = eval;
    free(packs);
    return status;
}

static enum critic_status make_room(struct cr_sft *s, const struct cr_pack_batch *p,
                                    critic_error *err) {
    if (p->n_rows > s->rows_cap) {
        free(s->logp);
        free(s->dlogp);
        s->rows_cap = p->n_rows;
        s->logp = malloc(p->n_rows * sizeof *s->logp);
        s->dlogp = malloc(p->n_rows * sizeof *s->dlogp);
        if (!s->logp || !s->dlogp) {
            s->rows_cap = 0;
            return no_memory(err);
        }
    }
    if (p->n_pictures > s->uses_cap) {
        free(s->uses);
        s->uses_cap = p->n_pictures;
        s->uses = malloc(p->n_pictures * sizeof *s->uses);
        if (!s->uses) {
            s->uses_cap = 0;
            return no_memory(err);
        }
    }
    return CRITIC_OK;
}

/* The auxiliary loss while the network's pass is under way. */
struct aux {
    struct cr_sft *s;
    const struct cr_pack_batch *p;
    double scale, loss;
    size_t n;
    enum critic_status status;
    critic_error err;
};

static size_t collect_uses(struct aux *a) {
    size_t tile = 0, n = 0;
    for (size_t i = 0; i < a->p->n_pictures; i++) {
        const struct cr_label_item *item = cr_labels_of(&a->s->labels, a->p->pictures[i]);
        if (item)
            a->s->uses[n++] = (struct cr_label_use){item, tile};
        tile += a->p->tiles[i];
    }
    return n;
}

static void aux_loss(void *user, struct cr_tensor features, struct cr_tensor dfeatures) {
    struct aux *a = user;
    a->n = collect_uses(a);
    a->status = cr_label_loss(&a->s->labels, a->s->uses, a->n, features, dfeatures,
                              cr_vision_grid(&a->s->net->config.vision), a->scale,
                              &a->loss, &a->err);
}

static void report_heads(struct cr_labels *l, struct cr_pass *pass) {
    for (size_t h = 0; h < l->n_heads; h++) {
        const struct cr_label_head *head = &l->heads[h];
        char name[40];
        snprintf(name, sizeof name, "label_%.32s", head->name);
        cr_pass_add(pass, name, (double)head->n_filled_right, (double)head->n_filled);
    }
    cr_label_counts_clear(l);
}

static enum critic_status pass(void *self, size_t slot, bool train, double scale,
                               struct cr_pass *out, critic_error *err) {
    struct cr_sft *s = self;
    const struct cr_pack_batch *p = &s->slots[slot];
    struct aux a = {.s = s, .p = p, .scale = scale * s->o.aux_weight};
    const struct cr_feature_loss feature_loss = {aux_loss, &a};
    bool has_aux =
        s->labels.n_heads > 0 && s->o.aux_weight > 0 && p->n_pictures > 0 && train;
    CR_TRY(cr_batch_check(&p->batch, &s->net->config, err));
    CR_TRY(make_room(s, p, err));
    if (train) {
        cr_pack_batch_coefficients(p, p->weight / scale, s->dlogp);
        cr_train_forward_backward(s->net->train, &p->batch, s->dlogp,
                                  has_aux ? &feature_loss : NULL, s->logp,
                                  &s->net->grads);
    } else {
        cr_train_score(s->net->train, &p->batch, s->logp);
    }
    if (a.status != CRITIC_OK) {
        if (err)
            *err = a.err;
        return a.status;
    }
    double loss = cr_pack_batch_loss(p, s->logp);
    if (has_aux) {
        cr_pass_add(out, "text_loss", loss, 1);
        cr_pass_add(out, "label_loss", a.loss, 1);
        report_heads(&s->labels, out);
    }
    out->loss += loss + (has_aux ? s->o.aux_weight * a.loss : 0);
    out->n_losses++;
    out->n_tokens += p->n_rows;
    cr_pass_add(out, "targets", (double)cr_batch_targets(&p->batch), 1);
    return CRITIC_OK;
}

static bool find_bad(void *self, size_t slot, char out[CR_OP_NAME]) {
    struct cr_sft *s = self;
    return cr_train_find_bad(s->net->train, &s->slots[slot].batch, out);
}

static enum critic_status names(void *self, size_t slot, struct cr_buf *out,
                                critic_error *err) {
    struct cr_sft *s = self;
    const struct cr_pack_batch *p = &s->slots[slot];
    const struct cr_dataset *d = data_of(s, s->slot_is_eval[slot]);
    for (size_t i = 0; i < p->n_packs; i++) {
        const struct cr_pack *pack = &d->packs[p->packs[i]];
        char text[512];
        cr_dataset_name(d, d->branches[pack->first_branch].record, text);
        CR_TRY(cr_buf_printf(out, err, "%s%s%s", i ? ", " : "", text,
                             pack->n_branches > 1 ? " and others" : ""));
    }
    return CRITIC_OK;
}

struct cr_task cr_sft_task(struct cr_sft *s) {
    return (struct cr_task){.self = s,
                            .n_train = s->n_packs[0],
                            .n_eval = s->has_eval ? s->eval.n_packs : s->n_packs[1],
                            .prepare = prepare,
                            .pass = pass,
                            .find_bad = find_bad,
                            .names = names};
}
