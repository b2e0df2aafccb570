/* Agreement of choices and classes. */
#ifndef CR_EVAL_STATS_LABEL_H
#define CR_EVAL_STATS_LABEL_H

#include "eval/stats.h"

/* ---- pairwise verdicts ---------------------------------------------------------------- */

enum cr_pick { CR_PICK_FIRST, CR_PICK_SECOND, CR_PICK_TIE, CR_PICK_NONE, CR_N_PICKS };

/* Judge against reference. CR_PICK_NONE as verdict: unparsed, which counts as wrong wherever
 * the item counts. Items whose reference is CR_PICK_NONE are left out. */
struct cr_pick_scores {
    size_t confusion[CR_N_PICKS][CR_N_PICKS]; /* [reference][verdict] */
    size_t n;                                 /* items with a reference */
    struct cr_stat with_tie;                  /* 3 classes, all items */
    struct cr_stat no_tie_strict;   /* items whose reference is no tie; a tie is wrong */
    struct cr_stat no_tie_decisive; /* of these, items on which the judge decided */
    /* share of these among items whose reference is no tie */
    struct cr_stat decisive_rate;
    struct cr_stat macro; /* mean recall of the classes that the reference has */
    struct cr_stat tie_precision, tie_recall;
    struct cr_stat kappa; /* Cohen's, 3 classes, parsed items */
};
void cr_pick_scores(struct cr_pick_scores *out, const unsigned char *reference,
                    const unsigned char *verdict, size_t n);

/* ---- classes 0 … n_classes-1 -------------------------------------------------------------- */

/* A class out of range: undefined. */
struct cr_stat cr_accuracy(const int *truth, const int *predicted, size_t n);
/* Mean recall over the classes that truth has (scikit-learn's balanced accuracy). */
struct cr_stat cr_macro_accuracy(const int *truth, const int *predicted, size_t n,
                                 size_t n_classes);
/* Cohen's kappa; weights |i-j| or (i-j)^2. Undefined where chance agreement is certain.
 * Errors: CRITIC_NO_MEMORY. */
enum cr_kappa_weights { CR_KAPPA_PLAIN, CR_KAPPA_LINEAR, CR_KAPPA_QUADRATIC };
enum critic_status cr_kappa(struct cr_stat *out, enum cr_kappa_weights weights,
                            const int *a, const int *b, size_t n, size_t n_classes,
                            critic_error *err);

/* Krippendorff's alpha of n_units x n_raters ratings, unit by unit; NaN = not rated. Units
 * with fewer than two ratings do not count. Errors: CRITIC_NO_MEMORY. */
enum cr_alpha_level { CR_ALPHA_NOMINAL, CR_ALPHA_ORDINAL, CR_ALPHA_INTERVAL };
enum critic_status cr_alpha(struct cr_stat *out, enum cr_alpha_level level,
                            const double *ratings, size_t n_units, size_t n_raters,
                            critic_error *err);

/* Levenshtein distance / longer length, of two letter orders (batch ranking; lower is
 * better). Both empty: undefined. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_order_distance(struct cr_stat *out, const char *a, size_t n_a,
                                     const char *b, size_t n_b, critic_error *err);

#endif
