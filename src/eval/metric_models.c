/* Kendall's tau of the order of models: what the judge makes of it beside the labels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/metric_impl.h"
#include "eval/stats_boot.h"
#include "eval/stats_rank.h"

struct ranking {
    const double *x, *y; /* judge and label of each item */
    uint32_t (*model)[2];
    const uint32_t *group; /* of each item */
    size_t n_groups, n_models;
    bool pairs;
};

/* ---- models ------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum critic_status name_models(const struct cr_metric_job *j, size_t n,
                                      uint32_t (*model)[2], size_t *n_models,
                                      critic_error *err) {
    size_t n_names = 2 * n, m = 0;
    const char **names = calloc(n_names + 1, sizeof *names);
    if (!names)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for models");
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            if (j->rows->items[j->kept[i]].models[k])
                names[m++] = j->rows->items[j->kept[i]].models[k];
    qsort(names, m, sizeof *names, by_text);
    size_t distinct = 0;
    for (size_t i = 0; i < m; i++)
        if (distinct == 0 || strcmp(names[distinct - 1], names[i]) != 0)
            names[distinct++] = names[i];
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            const char *name = j->rows->items[j->kept[i]].models[k];
            const char *const *at =
                name ? bsearch(&name, names, distinct, sizeof *names, by_text) : NULL;
            model[i][k] = at ? (uint32_t)(at - (const char *const *)names) : UINT32_MAX;
        }
    free(names);
    *n_models = distinct;
    return CRITIC_OK;
}

/* ---- strengths --------------------------------------------------------------------------------- */

/* Bradley-Terry ratings of the drawn items of a group; false: memory is out. */
static bool ratings(const struct ranking *r, const double *won, const uint32_t *index,
                    size_t n, uint32_t group, double *out) {
    struct cr_bt fit;
    struct cr_bt_options o;
    size_t m = 0;
    struct cr_battle *battles = calloc(n + 1, sizeof *battles);
    for (size_t i = 0; battles && i < n; i++) {
        const uint32_t *two = r->model[index[i]];
        if (r->group[index[i]] == group && two[0] != UINT32_MAX && two[1] != UINT32_MAX &&
            two[0] != two[1])
            battles[m++] = (struct cr_battle){two[0], two[1], won[index[i]], 1};
    }
    cr_bt_options_default(&o);
    o.anchor = m > 0 ? battles[0].a : 0;
    bool ok =
        battles && cr_bt_fit(&fit, out, battles, m, r->n_models, &o, NULL) == CRITIC_OK;
    free(battles);
    return ok;
}

/* Mean scores; NAN for models without one. */
static bool means(const struct ranking *r, const double *x, const uint32_t *index,
                  size_t n, uint32_t group, double *out) {
    double *count = calloc(r->n_models + 1, sizeof *count);
    memset(out, 0, r->n_models * sizeof *out);
    for (size_t i = 0; count && i < n; i++) {
        uint32_t model = r->model[index[i]][0];
        if (r->group[index[i]] != group || model == UINT32_MAX)
            continue;
        out[model] += x[index[i]];
        count[model]++;
    }
    for (size_t k = 0; count && k < r->n_models; k++)
        out[k] /= count[k];
    bool ok = count != NULL;
    free(count);
    return ok;
}

static double tau_of_group(const struct ranking *r, const uint32_t *index, size_t n,
                           uint32_t group, double *mine, double *theirs) {
    struct cr_kendall tau;
    size_t m = 0;
    bool ok = r->pairs ? ratings(r, r->x, index, n, group, mine) &&
                             ratings(r, r->y, index, n, group, theirs)
                       : means(r, r->x, index, n, group, mine) &&
                             means(r, r->y, index, n, group, theirs);
    for (size_t k = 0; ok && k < r->n_models; k++)
        if (isfinite(mine[k]) && isfinite(theirs[k])) {
            mine[m] = mine[k];
            theirs[m++] = theirs[k];
        }
    if (!ok || cr_kendall(&tau, mine, theirs, m, NULL) != CRITIC_OK ||
        !cr_stat_ok(tau.tau_b))
        return (double)NAN;
    return tau.tau_b.value;
}

/* Mean over the groups, NAN where one has none. */
static double mean_tau(const uint32_t *index, size_t n, const void *user) {
    const struct ranking *r = user;
    double sum = 0;
    double *mine = calloc(2 * r->n_models + 1, sizeof *mine);
    for (uint32_t g = 0; mine && g < r->n_groups; g++)
        sum += tau_of_group(r, index, n, g, mine, mine + r->n_models);
    bool ok = mine != NULL;
    free(mine);
    return ok ? sum / (double)r->n_groups : (double)NAN;
}

/* ---- the metric ---------------------------------------------------------------------------------- */

static double label_won(const struct cr_judgement *row) {
    return row->label_pick == CR_PICK_FIRST    ? 1
           : row->label_pick == CR_PICK_SECOND ? 0
           : row->label_pick == CR_PICK_TIE    ? 0.5
                                               : (double)NAN;
}

/* Keeps the items that have a label; with groups, those of the groups, numbered. */
static size_t keep_labelled(struct cr_metric_job *j, size_t n, bool by_group,
                            uint32_t *group) {
    bool pairs = j->rows->bench->mode == CR_MODE_PAIRWISE;
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        const struct cr_judgement *row = &j->rows->items[j->kept[i]];
        double label = pairs ? label_won(row) : row->label_score;
        size_t g = 0;
        while (by_group && g < j->n_groups && !cr_judgement_in_group(row, j->groups[g]))
            g++;
        if (isnan(label) || (by_group && g == j->n_groups))
            continue;
        j->x[m] = j->x[i];
        j->y[m] = label;
        j->kept[m] = j->kept[i];
        group[m++] = (uint32_t)g;
    }
    return m;
}

enum critic_status cr_metric_models(struct cr_metric_job *j, const struct cr_metric *as,
                                    cr_item_value value, bool by_group,
                                    critic_error *err) {
    size_t n_group, n_models = 0, n = cr_metric_collect(j, as, value, &n_group);
    uint32_t(*model)[2] = calloc(n + 1, sizeof *model);
    uint32_t *group = calloc(n + 1, sizeof *group);
    struct cr_boot b;
    enum critic_status status = CRITIC_OK;
    cr_metric_undefined(&b);
    if (!model || !group)
        CR_TRY_GOTO(cr_fail(err, CRITIC_NO_MEMORY, "no memory for models"));
    n = keep_labelled(j, n, by_group, group);
    CR_TRY_GOTO(name_models(j, n, model, &n_models, err));
    if (n_models < 2)
        goto fail;
    struct ranking r = {j->x,
                        j->y,
                        model,
                        group,
                        by_group ? j->n_groups : 1,
                        n_models,
                        j->rows->bench->mode == CR_MODE_PAIRWISE};
    CR_TRY_GOTO(cr_boot_items(&b, n, j->kept_cluster, cr_metric_pack_clusters(j, n),
                              mean_tau, &r, j->boot, err));
    status = cr_metric_add(j, as, n_models, n_models, &b, err);
fail:
    free(model);
    free(group);
    return status;
}
