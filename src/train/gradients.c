#include "train/gradients.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "train/tensor_file.h"

/* Packs [first, first + n) in the order of the data. */
static enum critic_status build(struct cr_sft *s, size_t first, size_t n,
                                critic_error *err) {
    uint32_t *packs = malloc(n * sizeof *packs);
    if (!packs)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a batch");
    for (size_t i = 0; i < n; i++)
        packs[i] = (uint32_t)(first + i);
    enum critic_status status =
        cr_pack_batch_build(&s->slots[0], &s->data, packs, n, err);
    free(packs);
    return status;
}

/* Adds the gradients of one batch; total is the weight of all. */
static enum critic_status add_batch(struct cr_sft *s, double total, double *loss,
                                    critic_error *err) {
    const struct cr_pack_batch *p = &s->slots[0];
    float *logp = malloc(2 * p->n_rows * sizeof *logp);
    if (!logp)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a batch");
    float *dlogp = logp + p->n_rows;
    enum critic_status status = cr_batch_check(&p->batch, &s->net->config, err);
    if (status == CRITIC_OK) {
        cr_pack_batch_coefficients(p, total, dlogp);
        cr_train_forward_backward(s->net->train, &p->batch, dlogp, NULL, logp,
                                  &s->net->grads);
        *loss += cr_pack_batch_loss(p, logp) * p->weight / total;
    }
    free(logp);
    return status;
}

static const char *const side_names[4] = {"policy_chosen_logps", "policy_rejected_logps",
                                          "reference_chosen_logps",
                                          "reference_rejected_logps"};

/* sides: (4, n) in the order of side_names, or NULL. */
static enum critic_status write(const struct cr_net *net, const char *path, double loss,
                                float *sides, size_t n, critic_error *err) {
    struct cr_tensor_file file = {0};
    float value = (float)loss;
    const struct cr_tensor scalar = {.data = &value, .dtype = CR_F32};
    enum critic_status status = cr_tensor_file_raw(&file, "loss", &scalar, err);
    for (size_t i = 0; i < 4 && sides && status == CRITIC_OK; i++) {
        const struct cr_tensor t = {.data = sides + i * n,
                                    .dtype = CR_F32,
                                    .n_dim = 1,
                                    .dim = {n},
                                    .row_bytes = n * sizeof *sides};
        status = cr_tensor_file_raw(&file, side_names[i], &t, err);
    }
    for (size_t i = 0; i < net->n_tensors && status == CRITIC_OK; i++)
        status = cr_tensor_file_f32(&file, "", net->tensors[i].saved, &net->tensors[i],
                                    net->tensors[i].g, CR_F32, err);
    if (status == CRITIC_OK)
        status = cr_tensor_file_write(&file, path, err);
    cr_tensor_file_fini(&file);
    return status;
}

enum critic_status cr_sft_dump_gradients(struct cr_sft *s, const char *path, size_t n,
                                         double *loss, critic_error *err) {
    double total = 0;
    size_t n_packs = s->data.n_packs;
    *loss = 0;
    cr_optim_zero_grad(s->net->tensors, s->net->n_tensors);
    for (size_t i = 0; i < n_packs; i++)
        total += cr_pack_weight(&s->data, i);
    for (size_t i = 0; i < n_packs; i += n) {
        CR_TRY(build(s, i, CR_MIN(n, n_packs - i), err));
        CR_TRY(add_batch(s, total, loss, err));
    }
    return write(s->net, path, *loss, NULL, 0, err);
}

/* ---- pairs ---- */

/* Adds loss and gradients of pairs [first, first + n), the mean over all. */
static enum critic_status add_pairs(struct cr_dpo *s, size_t first, size_t n,
                                    double *loss, critic_error *err) {
    struct cr_task task = cr_dpo_task(s);
    struct cr_pass pass = {0};
    double share = (double)n / (double)s->data.n_packs;
    uint32_t *packs = malloc(n * sizeof *packs);
    if (!packs)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a batch");
    for (size_t i = 0; i < n; i++)
        packs[i] = (uint32_t)(first + i);
    enum critic_status status = task.prepare(s, 0, false, packs, n, err);
    if (status == CRITIC_OK)
        status = task.pass(s, 0, true, share, &pass, err);
    *loss += share * pass.loss;
    free(packs);
    return status;
}

enum critic_status cr_dpo_dump_gradients(struct cr_dpo *s, const char *path, size_t n,
                                         double *loss, critic_error *err) {
    size_t n_pairs = s->data.n_packs;
    float *sides = malloc(4 * n_pairs * sizeof *sides);
    if (!sides)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu pairs", n_pairs);
    enum critic_status status = CRITIC_OK;
    *loss = 0;
    cr_optim_zero_grad(s->net->tensors, s->net->n_tensors);
    for (size_t i = 0; i < n_pairs && status == CRITIC_OK; i += n)
        status = add_pairs(s, i, CR_MIN(n, n_pairs - i), loss, err);
    for (size_t i = 0; i < n_pairs; i++)
        for (size_t k = 0; k < 2; k++) {
            sides[k * n_pairs + i] = (float)s->policy[i][k];
            sides[(2 + k) * n_pairs + i] = (float)s->reference.logps[i][k];
        }
    if (status == CRITIC_OK)
        status = write(s->net, path, *loss, sides, n_pairs, err);
    free(sides);
    return status;
}
