#include "eval/wildvision.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/stats_boot.h"
#include "eval/stats_rank.h"
#include "eval/wildvision_impl.h"
#include "io/json.h"

void cr_wildvision_options_default(struct cr_wildvision_options *o) {
    *o = (struct cr_wildvision_options){CR_WILDVISION_BASELINE, 3, 10000, 0.95, 42};
}

void cr_wildvision_model_fini(struct cr_wildvision_model *m) {
    for (size_t i = 0; i < m->n_items; i++)
        free(m->items[i].question_id);
    free(m->items);
    free(m->name);
    free(m->file);
    memset(m, 0, sizeof *m);
}

void cr_wildvision_fini(struct cr_wildvision *w) {
    for (size_t i = 0; i < w->n_models; i++)
        cr_wildvision_model_fini(&w->models[i]);
    free(w->models);
    memset(w, 0, sizeof *w);
}

/* ---- counts, reward, win rate --------------------------------------------------------------- */

static double reward_of(enum cr_arena_verdict verdict) {
    return verdict == CR_ARENA_NONE ? 0 : 50 * ((double)verdict - CR_ARENA_TIE);
}

static void count_verdict(struct cr_wildvision_model *m, enum cr_arena_verdict verdict) {
    switch (verdict) {
    case CR_ARENA_B_MUCH:
        m->much_better++;
        break;
    case CR_ARENA_B:
        m->better++;
        break;
    case CR_ARENA_A:
        m->worse++;
        break;
    case CR_ARENA_A_MUCH:
        m->much_worse++;
        break;
    default:
        m->tie++;
    }
}

static void count(struct cr_wildvision_model *m) {
    double reward = 0;
    size_t n_won = 0;
    for (size_t i = 0; i < m->n_items; i++) {
        double own = 0;
        for (size_t g = 0; g < m->items[i].n_games; g++) {
            const struct cr_wildvision_game *game = &m->items[i].games[g];
            count_verdict(m, game->verdict);
            own += reward_of(game->verdict);
            m->n_unparsed += game->unparsed;
            m->n_from_label += game->from_label;
            m->n_label_differs += game->label_differs;
        }
        reward += own;
        n_won += own > 0;
    }
    m->reward = cr_stat_of(reward / (double)m->n_items);
    m->win_rate = cr_stat_of(100 * (double)n_won / (double)m->n_items);
}

/* ---- score ---------------------------------------------------------------------------------- */

/* Battles of the candidate (player 1) against the baseline (player 0). rows: each battle as its
 * (1, points), strong ones as several rows, and the question it is of. */
struct battles {
    struct cr_battle *all;
    size_t n;
    double *rows;
    uint32_t *question;
    size_t n_rows;
};

static enum critic_status collect(struct battles *b, const struct cr_wildvision_model *m,
                                  double strong, critic_error *err) {
    size_t copies = strong > 1 ? (size_t)ceil(strong) : 1;
    size_t most = 2 * m->n_items;
    b->all = calloc(most, sizeof *b->all);
    b->rows = calloc(most * copies, 2 * sizeof *b->rows);
    b->question = calloc(most * copies, sizeof *b->question);
    if (!b->all || !b->rows || !b->question)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu battles", most);
    for (size_t i = 0; i < m->n_items; i++)
        for (size_t g = 0; g < m->items[i].n_games; g++) {
            enum cr_arena_verdict v = m->items[i].games[g].verdict;
            if (v == CR_ARENA_NONE)
                continue;
            bool is_strong = v == CR_ARENA_A_MUCH || v == CR_ARENA_B_MUCH;
            double won = v > CR_ARENA_TIE ? 1 : v == CR_ARENA_TIE ? 0.5 : 0;
            b->all[b->n++] = (struct cr_battle){1, 0, won, is_strong ? strong : 1};
            for (size_t c = 0; c < (is_strong ? copies : 1); c++) {
                double weight = is_strong ? strong / (double)copies : 1;
                b->rows[2 * b->n_rows] = weight;
                b->rows[2 * b->n_rows + 1] = weight * won;
                b->question[b->n_rows++] = (uint32_t)i;
            }
        }
    return CRITIC_OK;
}

/* With one opponent the maximum of the likelihood is the share of points itself, which
 * makes the fit of a draw one division (cr_bt_fit is the score; a test compares). */
static double score_of_sums(const double *sums, size_t k, const void *user) {
    (void)k;
    (void)user;
    return sums[0] > 0 ? 100 * sums[1] / sums[0] : (double)NAN;
}

static enum critic_status rate(struct cr_wildvision_model *m, const struct battles *b,
                               const struct cr_wildvision_options *o, critic_error *err) {
    struct cr_bt_options bt_options;
    struct cr_bt bt;
    double ratings[2];
    cr_bt_options_default(&bt_options);
    CR_TRY(cr_bt_fit(&bt, ratings, b->all, b->n, 2, &bt_options, err));
    m->smoothed = bt.smoothed && b->n > 0;
    m->score = b->n > 0
                   ? cr_stat_of(100 * cr_elo_expected(ratings[1], ratings[0],
                                                      bt_options.scale, bt_options.base))
                   : cr_stat_undefined("no verdict was read");
    struct cr_boot boot;
    struct cr_boot_options options = {CR_BOOT_PERCENTILE, o->n_draws, o->level, o->seed,
                                      0};
    CR_TRY(cr_boot_sums(&boot, b->rows, b->n_rows, 2, NULL, 0, score_of_sums, NULL,
                        &options, err));
    m->ci = boot.interval;
    CR_TRY(cr_boot_sums(&boot, b->rows, b->n_rows, 2, b->question, m->n_items,
                        score_of_sums, NULL, &options, err));
    m->ci_questions = boot.interval;
    return CRITIC_OK;
}

static enum critic_status compute(struct cr_wildvision_model *m,
                                  const struct cr_wildvision_options *o,
                                  critic_error *err) {
    count(m);
    if (strcmp(m->name, o->baseline) == 0) { /* its battles are against itself */
        m->score = cr_stat_of(50);
        m->ci = m->ci_questions = (struct cr_interval){50, 50, NULL};
        return CRITIC_OK;
    }
    struct battles b = {0};
    enum critic_status status = collect(&b, m, o->strong_weight, err);
    if (status == CRITIC_OK)
        status = rate(m, &b, o, err);
    free(b.all);
    free(b.rows);
    free(b.question);
    return status;
}

/* ---- all candidates ------------------------------------------------------------------------- */

/* How many candidates have a question, by its id. NULL where memory is out. */
static json_t *count_questions(const struct cr_wildvision *w) {
    json_t *questions = json_object();
    for (size_t i = 0; i < w->n_models && questions; i++)
        for (size_t j = 0; j < w->models[i].n_items && questions; j++) {
            const char *id = w->models[i].items[j].question_id;
            json_int_t n = json_integer_value(json_object_get(questions, id));
            if (json_object_set_new(questions, id, json_integer(n + 1))) {
                json_decref(questions);
                questions = NULL;
            }
        }
    return questions;
}

/* Among three candidates and more, a question that only one has is nobody's question. */
static bool is_unknown(const struct cr_wildvision *w, const json_t *questions,
                       const char *id) {
    return w->n_models >= 3 && json_integer_value(json_object_get(questions, id)) == 1;
}

static enum critic_status check_questions(struct cr_wildvision *w, json_t *questions,
                                          struct cr_faults *faults, critic_error *err) {
    const char *id;
    json_t *n;
    json_object_foreach(questions, id, n) w->n_questions += !is_unknown(w, questions, id);
    for (size_t i = 0; i < w->n_models; i++) {
        struct cr_wildvision_model *m = &w->models[i];
        for (size_t j = 0; j < m->n_items; j++)
            if (is_unknown(w, questions, m->items[j].question_id)) {
                m->n_unknown++;
                CR_TRY(
                    cr_faults_add(faults, m->file, "unknown", 0, err,
                                  "no other candidate has question_id '%.60s'; it counts",
                                  m->items[j].question_id));
            }
        size_t n_known = m->n_items - m->n_unknown;
        m->n_missing = w->n_questions - n_known;
        if (m->n_missing > 0)
            CR_TRY(cr_faults_add(faults, m->file, "missing", 0, err,
                                 "%zu of %zu questions judged; the others are judged for "
                                 "other candidates",
                                 n_known, w->n_questions));
    }
    return CRITIC_OK;
}

/* Which questions the folder has, and how many of them each candidate lacks. */
static enum critic_status find_missing(struct cr_wildvision *w, struct cr_faults *faults,
                                       critic_error *err) {
    json_t *questions = count_questions(w);
    if (!questions)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a list of questions");
    enum critic_status status = check_questions(w, questions, faults, err);
    json_decref(questions);
    return status;
}

static enum critic_status find_silent(const struct cr_wildvision *w,
                                      struct cr_faults *faults, critic_error *err) {
    for (size_t i = 0; i < w->n_models; i++)
        if (!cr_stat_ok(w->models[i].score))
            CR_TRY(cr_faults_add(
                faults, w->models[i].file, "silent", 0, err,
                "no verdict was read from %zu judgements; there is no score",
                w->models[i].n_items));
    return CRITIC_OK;
}

static enum critic_status find_doubled(const struct cr_wildvision *w,
                                       struct cr_faults *faults, critic_error *err) {
    for (size_t i = 0; i < w->n_models; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(w->models[i].name, w->models[j].name) == 0)
                CR_TRY(cr_faults_add(faults, w->models[i].file, "model twice", 0, err,
                                     "is of model '%.60s', as is %.100s",
                                     w->models[i].name, w->models[j].file));
    return CRITIC_OK;
}

static int by_score(const void *a, const void *b) {
    const struct cr_wildvision_model *x = a;
    const struct cr_wildvision_model *y = b;
    if (cr_stat_ok(x->score) != cr_stat_ok(y->score))
        return cr_stat_ok(x->score) ? -1 : 1;
    if (cr_stat_ok(x->score) && x->score.value != y->score.value)
        return x->score.value > y->score.value ? -1 : 1;
    return strcmp(x->name, y->name);
}

enum critic_status cr_wildvision_run(struct cr_wildvision *out, const char *folder,
                                     const struct cr_wildvision_options *options,
                                     struct cr_faults *faults, critic_error *err) {
    memset(out, 0, sizeof *out);
    CR_TRY(cr_wildvision_read(out, folder, faults, err));
    CR_TRY(find_missing(out, faults, err));
    CR_TRY(find_doubled(out, faults, err));
    for (size_t i = 0; i < out->n_models; i++)
        CR_TRY(compute(&out->models[i], options, err));
    CR_TRY(find_silent(out, faults, err));
    qsort(out->models, out->n_models, sizeof *out->models, by_score);
    return CRITIC_OK;
}
