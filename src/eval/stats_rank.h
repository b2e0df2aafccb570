/* Strengths from battles: Bradley-Terry and Elo. */
#ifndef CR_EVAL_STATS_RANK_H
#define CR_EVAL_STATS_RANK_H

#include "eval/stats.h"

struct cr_battle {
    uint32_t a, b; /* players */
    double won;    /* by a: 1, 0.5 (tie), 0 */
    double weight; /* 1; 3 for a ">>" of WildVision */
};

struct cr_bt_options {
    size_t anchor;        /* the player whose rating is fixed */
    double anchor_rating; /* 1000 */
    double scale;         /* 400 */
    double base;          /* 10 */
};
void cr_bt_options_default(struct cr_bt_options *o);

/* P(a beats b) = 1 / (1 + base^((R_b - R_a) / scale)); ties are half a win each way.
 * Maximum likelihood by Newton's method on aggregated pairs. A finite maximum exists only
 * where everybody can be reached from everybody along wins (Ford 1957); else every pair
 * that met gets half a virtual win each way and smoothed is set. Players who met
 * nobody connected to the anchor have a NaN rating.
 * ratings: n_players of them. Errors: CRITIC_BAD_ARGUMENT (a player or result out of range),
 * CRITIC_NO_MEMORY. */
struct cr_bt {
    bool smoothed;
    size_t n_unconnected;
    size_t n_steps;
    double log_likelihood; /* of the battles, virtual ones left out */
};
enum critic_status cr_bt_fit(struct cr_bt *out, double *ratings,
                             const struct cr_battle *battles, size_t n, size_t n_players,
                             const struct cr_bt_options *options, critic_error *err);

/* Share of points expected against the opponent. */
double cr_elo_expected(double rating, double opponent, double scale, double base);

/* Elo ratings updated battle by battle from `initial`, step k, averaged over n_shuffles
 * orders (0: the given order once). Errors: as cr_bt_fit. */
enum critic_status cr_elo_online(double *ratings, const struct cr_battle *battles,
                                 size_t n, size_t n_players, double initial, double k,
                                 size_t n_shuffles, uint64_t seed, critic_error *err);

/* Share of cyclic triads among the triads in which all three pairs are decided. */
enum critic_status cr_cyclic_triads(struct cr_stat *out, const struct cr_battle *battles,
                                    size_t n, size_t n_players, critic_error *err);

#endif
