/* What the reference model of preference learning gives the two answers of every pair: computed once
 * and kept in a file, or with every pass by a second model in memory or by the policy without its
 * adapter. All ways run the same passes, so that they give the same bits on one machine.
 *
 * File: JSON lines. The first holds the keys ("model": hash of the weights as they compute, "data": of
 * tokens, labels and picture files), then {"ref_chosen_logps", "ref_rejected_logps"} (TRL's names) for
 * every pair in the order of the data. */
#ifndef CR_TRAIN_REFERENCE_H
#define CR_TRAIN_REFERENCE_H

#include "train/batch.h"
#include "train/net.h"

enum cr_reference_kind {
    CR_REFERENCE_ONCE, /* before the first step, by `model` or the policy as it starts */
    CR_REFERENCE_LIVE, /* by a second model, with every pass */
    CR_REFERENCE_ADAPTER, /* by the policy without its adapter, with every pass */
    CR_REFERENCE_NONE     /* log-probabilities 0 */
};

struct cr_reference_opts {
    enum cr_reference_kind kind;
    const char *model; /* NULL: the model that the policy starts from */
    const char *file;  /* CR_REFERENCE_ONCE: kept there; NULL: nowhere */
    size_t batch;      /* pairs a pass */
    void (*on_progress)(void *user, size_t done, size_t total); /* may be NULL */
    void *user;
    cr_cancel_fn *cancel; /* may be NULL */
    void *cancel_user;
};

struct cr_reference {
    struct cr_reference_opts o;
    struct cr_net *policy;
    struct cr_net second;
    bool has_second;
    const struct cr_dataset *data;
    double (
        *logps)[2]; /* of each pair: chosen, rejected; LIVE and ADAPTER: once scored */
    float *rows;    /* scratch of one pass */
    size_t rows_cap;
};

/* policy holds the model that training starts from. Errors: those of cr_net_open,
 * CRITIC_BAD_DATA (the file is of another model or of other data; the models differ in their
 * vocabulary or pictures), CRITIC_BAD_ARGUMENT (no adapter), CRITIC_CANCELLED, CRITIC_IO. Close after
 * failure too. */
enum critic_status cr_reference_open(struct cr_reference *r, struct cr_net *policy,
                                     const struct cr_dataset *data,
                                     const struct cr_reference_opts *opts,
                                     critic_error *err);
void cr_reference_close(struct cr_reference *r);
/* Before a pass of the policy over the batch: logps of its pairs, where they are not known yet. */
enum critic_status cr_reference_score(struct cr_reference *r,
                                      const struct cr_pack_batch *batch,
                                      critic_error *err);

/* ---- sums over a pair's rows, for policy and reference ---- */

struct cr_pair_side {
    size_t first, end; /* rows of the batch that are its own */
    double logp;       /* those and the shared prefix's targets */
    size_t n;          /* counted tokens */
};

/* Chosen and rejected of a sequence whose rows begin at `row` of logp. */
void cr_pair_sides(const struct cr_train_sequence *s, size_t row, const float *logp,
                   struct cr_pair_side out[2]);

#endif
