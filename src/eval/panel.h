/* The panel: the diseases that judges have, looked for on a benchmark's items. It changes the items
 * itself (padding, formatting, injected orders, grey, exchanged and shuffled pictures, a criterion),
 * asks the judge about each version in one pass, and says for every disease how strong it is, with
 * an interval, a plain sentence and a colour. Thresholds are ours and stand beside the figures.
 *
 * An item's value is the second answer's share of the win (pairs) or the score on 0 to 1
 * (pointwise), so that all perturbations, which touch that answer, are measured alike. */
#ifndef CR_EVAL_PANEL_H
#define CR_EVAL_PANEL_H

#include <jansson.h>

#include "eval/exam.h"
#include "eval/stats_boot.h"

struct cr_page;

enum cr_panel_colour { CR_PANEL_NONE, CR_PANEL_GREEN, CR_PANEL_AMBER, CR_PANEL_RED };

struct cr_panel_row {
    const char *name; /* "order bias" */
    struct cr_stat value;
    struct cr_interval interval;
    size_t n;
    enum cr_panel_colour colour; /* NONE: not measured here, the sentence says why */
    double amber, red;           /* where the colours begin */
    char sentence[320];
};

#define CR_PANEL_ROWS 24

struct cr_panel {
    struct cr_panel_row rows[CR_PANEL_ROWS];
    size_t n;
    size_t n_items, n_asked,
        n_failed; /* items; versions of them asked about; without reply */
};

struct cr_panel_judges {
    struct cr_judge *both;    /* pairs in both orders; NULL for pointwise items */
    struct cr_judge *one;     /* as they are */
    struct cr_judge *other;   /* another template; NULL: not asked */
    struct cr_judge *samples; /* several samples; NULL: not asked */
};

struct cr_panel_opts {
    struct cr_panel_judges judges;
    const struct cr_scale *scale; /* in place of the template's; NULL: that */
    const char *self; /* the judge's own name among the answers' models; NULL: unknown */
    uint64_t seed;
    struct cr_boot_options boot;
    /* A line an item, appended; with resume those that are there are not asked again (but for
     * items of which a version failed). identity: what the lines must agree in. NULL: none. */
    const char *output, *identity;
    bool resume, force;
    bool (*cancel)(void *user);
    void (*on_item)(void *user, size_t done, size_t total);
    void *user;
};

/* The set's items are pairs or single answers. Errors: CRITIC_BAD_DATA (rankings; an output of
 * another panel), CRITIC_BAD_ARGUMENT (it holds something), CRITIC_IO, CRITIC_CANCELLED,
 * CRITIC_NO_MEMORY. A version without reply is counted and left out. */
enum critic_status cr_panel_run(struct cr_panel *out, const struct cr_exam_set *set,
                                const struct cr_panel_opts *opts, critic_error *err);

/* ---- showing (panel_page.c) --------------------------------------------------------------- */

/* "not measured", "green", "amber", "red" */
extern const char *const cr_panel_colours[];
/* List of {name, value, ci, n, colour, amber, red, sentence}; a new reference. */
json_t *cr_panel_json(const struct cr_panel *panel);
/* Table and chart; the heading is the caller's. */
void cr_panel_page(const struct cr_panel *panel, struct cr_page *page);

#endif
