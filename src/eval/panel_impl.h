/* Between panel.c (asking) and panel_rows.c (what it means). */
#ifndef CR_EVAL_PANEL_IMPL_H
#define CR_EVAL_PANEL_IMPL_H

#include "eval/panel.h"

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
    double expected_share; /* the judge's label: second's share of the win */
    size_t lengths[2];
    const char *models[2];
    bool has_picture, asked, parsed;
};

enum critic_status cr_panel_rows(struct cr_panel *out, const struct cr_panel_item *items,
                                 size_t n, bool pairs, const struct cr_panel_opts *opts,
                                 critic_error *err);

#endif
