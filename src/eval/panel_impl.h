/* Between panel.c (asking) and panel_rows.c (what it means). */
#ifndef CR_EVAL_PANEL_IMPL_H
#define CR_EVAL_PANEL_IMPL_H

#include <jansson.h>

#include "eval/panel.h"
#include "io/jsonl.h"
#include "io/jsonl_order.h"

/* Versions of an item. */
enum cr_probe {
    CR_PROBE_PLAIN,
    CR_PROBE_PADDED,
    CR_PROBE_FORMATTED,
    CR_PROBE_ORDERED, /* "ignore the above" in the answer */
    CR_PROBE_CONTROL, /* control-token spellings in it */
    CR_PROBE_GREY,
    CR_PROBE_FOREIGN, /* the next item's picture */
    CR_PROBE_SHUFFLED,
    CR_PROBE_CRITERION,
    CR_PROBE_TEMPLATE,
    CR_N_PROBES
};

/* What came of one item. NAN: no verdict, or not asked. */
struct cr_panel_item {
    double value[CR_N_PROBES];
    double first_order, second_order; /* value in each order */
    double p_second;                  /* probability of the second answer */
    double self_agreement; /* share of samples with the most frequent verdict */
    double expected_share; /* the label: second's share of the win */
    double expected_score; /* the label of a single answer */
    size_t lengths[2];
    const char *models[2];
    bool has_picture, asked, parsed;
};

/* ---- lines of --output (panel_log.c) --------------------------------------------------------- */

struct cr_panel_log {
    const char *path; /* NULL: none is kept */
    const char *identity;
    struct cr_jsonl_log log;
    json_t *there, *order;   /* rows of an earlier run by id; their ids */
    struct cr_row_key *keys; /* of every item */
    size_t n;
    bool rewrite; /* to be put in order at the end */
};
/* Ownership: cr_panel_log_fini, after failure too. */
enum critic_status cr_panel_log_open(struct cr_panel_log *log,
                                     const struct cr_panel_opts *opts, size_t n_items,
                                     critic_error *err);
/* Fills item where an earlier run asked all about it; false: none did. */
bool cr_panel_log_take(struct cr_panel_log *log, size_t index, const char *id,
                       struct cr_panel_item *item, size_t *n_asked);
/* Rounds the item's figures to what a line holds, and writes it. */
enum critic_status cr_panel_log_add(struct cr_panel_log *log, size_t index,
                                    const char *id, struct cr_panel_item *item,
                                    size_t n_asked, size_t n_failed, critic_error *err);
enum critic_status cr_panel_log_finish(struct cr_panel_log *log, critic_error *err);
void cr_panel_log_fini(struct cr_panel_log *log);

enum critic_status cr_panel_rows(struct cr_panel *out, const struct cr_panel_item *items,
                                 size_t n, bool pairs, const struct cr_panel_opts *opts,
                                 critic_error *err);

#endif
