#include "eval/metric.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/grow.h"
#include "eval/metric_impl.h"

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the metrics");
}

/* ---- groups ------------------------------------------------------------------------------------- */

/* The group list's next name at *at; false at the end. */
static bool next_name(const char **at, const char **name, size_t *len) {
    while (**at == ',' || **at == ' ')
        ++*at;
    *name = *at;
    *len = strcspn(*at, ",");
    *at += *len;
    while (*len > 0 && (*name)[*len - 1] == ' ')
        --*len;
    return *len > 0;
}

bool cr_judgement_in_group(const struct cr_judgement *row, const char *group) {
    if (!group)
        return true;
    const char *name;
    size_t len;
    for (const char *at = row->group ? row->group : ""; next_name(&at, &name, &len);)
        if (len == strlen(group) && memcmp(name, group, len) == 0)
            return true;
    return row->group && strcmp(row->group, group) == 0;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum critic_status add_group(struct cr_metric_job *j, const char *name, size_t len,
                                    size_t *cap, critic_error *err) {
    for (size_t i = 0; i < j->n_groups; i++)
        if (strlen(j->groups[i]) == len && memcmp(j->groups[i], name, len) == 0)
            return CRITIC_OK;
    const char **grown = cr_grow(j->groups, j->n_groups, cap, sizeof *grown);
    if (!grown)
        return no_memory(err);
    j->groups = grown;
    char *copy = cr_arena_strndup(&j->out->arena, name, len);
    if (!copy)
        return no_memory(err);
    j->groups[j->n_groups++] = copy;
    return CRITIC_OK;
}

static enum critic_status list_groups(struct cr_metric_job *j, critic_error *err) {
    bool lists = j->rows->bench->group == CR_GROUP_LIST;
    size_t cap = 0;
    for (size_t i = 0; i < j->rows->n; i++) {
        const char *group = j->rows->items[i].group, *name;
        size_t len;
        if (group && !lists)
            CR_TRY(add_group(j, group, strlen(group), &cap, err));
        for (const char *at = group ? group : ""; lists && next_name(&at, &name, &len);)
            CR_TRY(add_group(j, name, len, &cap, err));
    }
    if (j->n_groups > 1)
        qsort(j->groups, j->n_groups, sizeof *j->groups, by_text);
    return CRITIC_OK;
}

/* ---- clusters ------------------------------------------------------------------------------------ */

struct named {
    const char *name;
    uint32_t item;
};

static int by_name(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : (x->item > y->item) - (x->item < y->item);
}

enum critic_status cr_metric_clusters(const struct cr_judged *rows, uint32_t **out,
                                      size_t *n, critic_error *err) {
    struct named *names = calloc(rows->n + 1, sizeof *names);
    *out = calloc(rows->n + 1, sizeof **out);
    *n = 0;
    if (!names || !*out) {
        free(names);
        return no_memory(err);
    }
    for (size_t i = 0; i < rows->n; i++) {
        const struct cr_judgement *r = &rows->items[i];
        names[i] = (struct named){r->cluster ? r->cluster : r->id, (uint32_t)i};
    }
    qsort(names, rows->n, sizeof *names, by_name);
    for (size_t i = 0; i < rows->n; i++) {
        *n += i == 0 || strcmp(names[i - 1].name, names[i].name) != 0;
        (*out)[names[i].item] = (uint32_t)(*n - 1);
    }
    free(names);
    return CRITIC_OK;
}

/* Clusters of the kept items, renumbered from 0; NULL where every item is its own. */
size_t cr_metric_pack_clusters(struct cr_metric_job *j, size_t n) {
    size_t m = 0;
    uint32_t *seen = calloc(j->n_clusters + 1, sizeof *seen);
    for (size_t i = 0; i < n && seen; i++) {
        uint32_t c = j->cluster[j->kept[i]];
        if (!seen[c])
            seen[c] = (uint32_t)++m;
        j->kept_cluster[i] = seen[c] - 1;
    }
    free(seen);
    return m;
}

/* ---- adding --------------------------------------------------------------------------------------- */

enum critic_status cr_metric_add(struct cr_metric_job *j, const struct cr_metric *as,
                                 size_t n, size_t n_used, const struct cr_boot *boot,
                                 critic_error *err) {
    struct cr_metrics *m = j->out;
    bool needs_text = as->by == CR_BY_OFFICIAL || strncmp(as->variant, "lmms", 4) == 0;
    if (needs_text && !m->has_official)
        return CRITIC_OK;
    struct cr_metric *grown = cr_grow(m->items, m->n, &m->cap, sizeof *grown);
    if (!grown)
        return no_memory(err);
    m->items = grown;
    struct cr_metric *one = &m->items[m->n++];
    *one = *as;
    one->value = boot->estimate;
    one->interval = boot->interval;
    one->n = n;
    one->n_used = n_used;
    return CRITIC_OK;
}

static void scale(struct cr_boot *b, double factor) {
    if (cr_stat_ok(b->estimate))
        b->estimate.value *= factor;
    if (!b->interval.why) {
        b->interval.low *= factor;
        b->interval.high *= factor;
    }
}

/* Keeps the items of the group that have a value, in j->x; counts those of the group. */
size_t cr_metric_collect(struct cr_metric_job *j, const struct cr_metric *as,
                         cr_item_value value, size_t *n_group) {
    size_t n = 0;
    *n_group = 0;
    for (size_t i = 0; i < j->rows->n; i++) {
        const struct cr_judgement *row = &j->rows->items[i];
        if (!cr_judgement_in_group(row, as->group))
            continue;
        ++*n_group;
        double x = value(j->rows->bench, row, as->by);
        if (isnan(x))
            continue;
        j->x[n] = x;
        j->kept[n++] = (uint32_t)i;
    }
    return n;
}

void cr_metric_undefined(struct cr_boot *b) {
    memset(b, 0, sizeof *b);
    b->estimate = cr_stat_undefined(cr_why_empty);
    b->interval = (struct cr_interval){(double)NAN, (double)NAN, cr_why_empty};
}

enum critic_status cr_metric_mean(struct cr_metric_job *j, const struct cr_metric *as,
                                  cr_item_value value, double factor, critic_error *err) {
    struct cr_boot b;
    size_t n_group, n = cr_metric_collect(j, as, value, &n_group);
    size_t n_clusters = cr_metric_pack_clusters(j, n);
    cr_metric_undefined(&b);
    if (n > 0)
        CR_TRY(
            cr_boot_mean(&b, j->x, NULL, n, j->kept_cluster, n_clusters, j->boot, err));
    scale(&b, factor);
    return cr_metric_add(j, as, n_group, n, &b, err);
}

enum critic_status cr_metric_all(struct cr_metric_job *j, const struct cr_metric *as,
                                 cr_item_value value, double factor, critic_error *err) {
    struct cr_boot b;
    size_t n_group, n = cr_metric_collect(j, as, value, &n_group);
    size_t n_clusters = cr_metric_pack_clusters(j, n);
    double *all = calloc(n_clusters + 1, sizeof *all);
    if (!all)
        return no_memory(err);
    for (size_t c = 0; c < n_clusters; c++)
        all[c] = 1;
    for (size_t i = 0; i < n; i++)
        if (j->x[i] != 1)
            all[j->kept_cluster[i]] = 0;
    cr_metric_undefined(&b);
    enum critic_status status = CRITIC_OK;
    if (n_clusters > 0)
        status = cr_boot_mean(&b, all, NULL, n_clusters, NULL, 0, j->boot, err);
    free(all);
    scale(&b, factor);
    return status == CRITIC_OK ? cr_metric_add(j, as, n_clusters, n_clusters, &b, err)
                               : status;
}

/* ---- over groups ------------------------------------------------------------------------------------ */

struct by_group {
    const double *x, *y;
    const uint32_t *group; /* of each kept item */
    size_t n_groups;
};

#define MAX_GROUPS 512

static double mean_of_means(const uint32_t *index, size_t n, const void *user) {
    const struct by_group *b = user;
    double sum[MAX_GROUPS] = {0}, total = 0;
    size_t count[MAX_GROUPS] = {0};
    for (size_t i = 0; i < n; i++) {
        sum[b->group[index[i]]] += b->x[index[i]];
        count[b->group[index[i]]]++;
    }
    for (size_t g = 0; g < b->n_groups; g++) {
        if (count[g] == 0)
            return (double)NAN;
        total += sum[g] / (double)count[g];
    }
    return total / (double)b->n_groups;
}

/* Mean over the groups in which r is defined (a constant side leaves a group out). */
static double mean_of_pearsons(const uint32_t *index, size_t n, const void *user) {
    const struct by_group *b = user;
    double sx[MAX_GROUPS] = {0}, sy[MAX_GROUPS] = {0}, total = 0;
    double xx[MAX_GROUPS] = {0}, yy[MAX_GROUPS] = {0}, xy[MAX_GROUPS] = {0};
    size_t count[MAX_GROUPS] = {0}, used = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t g = b->group[index[i]];
        sx[g] += b->x[index[i]];
        sy[g] += b->y[index[i]];
        count[g]++;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t g = b->group[index[i]];
        double dx = b->x[index[i]] - sx[g] / (double)count[g];
        double dy = b->y[index[i]] - sy[g] / (double)count[g];
        xx[g] += dx * dx;
        yy[g] += dy * dy;
        xy[g] += dx * dy;
    }
    for (size_t g = 0; g < b->n_groups; g++)
        if (xx[g] > 0 && yy[g] > 0) {
            total += xy[g] / sqrt(xx[g] * yy[g]);
            used++;
        }
    return used > 0 ? total / (double)used : (double)NAN;
}

static enum critic_status over_groups(struct cr_metric_job *j, const struct cr_metric *as,
                                      size_t n_group, size_t n,
                                      cr_boot_of_items statistic, critic_error *err) {
    struct cr_boot b;
    enum critic_status status = CRITIC_OK;
    uint32_t *group = calloc(n + 1, sizeof *group);
    bool *there = calloc(j->n_groups + 1, sizeof *there);
    uint32_t *number = calloc(j->n_groups + 1, sizeof *number);
    size_t n_there = 0;
    cr_metric_undefined(&b);
    if (!group || !there || !number)
        status = no_memory(err);
    for (size_t i = 0; i < n && status == CRITIC_OK; i++)
        for (size_t g = 0; g < j->n_groups; g++)
            if (cr_judgement_in_group(&j->rows->items[j->kept[i]], j->groups[g])) {
                group[i] = (uint32_t)g;
                there[g] = true;
                break;
            }
    for (size_t g = 0; g < j->n_groups && status == CRITIC_OK; g++)
        if (there[g])
            number[g] = (uint32_t)n_there++;
    for (size_t i = 0; i < n && status == CRITIC_OK; i++)
        group[i] = number[group[i]];
    const struct by_group user = {j->x, j->y, group, n_there};
    if (status == CRITIC_OK && n_there > 0 && n_there <= MAX_GROUPS)
        status = cr_boot_items(&b, n, j->kept_cluster, cr_metric_pack_clusters(j, n),
                               statistic, &user, j->boot, err);
    free(group);
    free(there);
    free(number);
    return status == CRITIC_OK ? cr_metric_add(j, as, n_group, n, &b, err) : status;
}

enum critic_status cr_metric_macro(struct cr_metric_job *j, const struct cr_metric *as,
                                   cr_item_value value, double factor,
                                   critic_error *err) {
    size_t n_group, n = cr_metric_collect(j, as, value, &n_group);
    for (size_t i = 0; i < n; i++)
        j->x[i] *= factor;
    return over_groups(j, as, n_group, n, mean_of_means, err);
}

static void collect_labels(struct cr_metric_job *j, size_t n) {
    for (size_t i = 0; i < n; i++)
        j->y[i] = j->rows->items[j->kept[i]].label_score;
}

enum critic_status cr_metric_pearson(struct cr_metric_job *j, const struct cr_metric *as,
                                     cr_item_value value, critic_error *err) {
    struct cr_boot b;
    size_t n_group, n = cr_metric_collect(j, as, value, &n_group);
    collect_labels(j, n);
    cr_metric_undefined(&b);
    size_t n_clusters = cr_metric_pack_clusters(j, n);
    if (n > 0)
        CR_TRY(cr_boot_pearson(&b, j->x, NULL, j->y, n, j->kept_cluster, n_clusters,
                               j->boot, err));
    return cr_metric_add(j, as, n_group, n, &b, err);
}

enum critic_status cr_metric_mean_pearson(struct cr_metric_job *j,
                                          const struct cr_metric *as, cr_item_value value,
                                          critic_error *err) {
    size_t n_group, n = cr_metric_collect(j, as, value, &n_group);
    collect_labels(j, n);
    return over_groups(j, as, n_group, n, mean_of_pearsons, err);
}

/* ---- ratios --------------------------------------------------------------------------------------- */

static double ratio_of(const double *sums, size_t k, const void *user) {
    (void)k;
    (void)user;
    return sums[1] != 0 ? 100 * sums[0] / sums[1] : (double)NAN;
}

enum critic_status cr_metric_ratio(struct cr_metric_job *j, const struct cr_metric *as,
                                   cr_item_value value, cr_item_value other,
                                   critic_error *err) {
    struct cr_boot b;
    size_t n_group, n = cr_metric_collect(j, as, value, &n_group);
    double *terms = calloc(2 * n + 2, sizeof *terms);
    if (!terms)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        terms[2 * i] = j->x[i];
        terms[2 * i + 1] = other(j->rows->bench, &j->rows->items[j->kept[i]], as->by);
    }
    cr_metric_undefined(&b);
    enum critic_status status = CRITIC_OK;
    if (n > 0)
        status =
            cr_boot_sums(&b, terms, n, 2, j->kept_cluster, cr_metric_pack_clusters(j, n),
                         ratio_of, NULL, j->boot, err);
    free(terms);
    return status == CRITIC_OK ? cr_metric_add(j, as, n_group, n, &b, err) : status;
}

/* ---- all ------------------------------------------------------------------------------------------- */

static void count_rows(struct cr_metrics *m, const struct cr_judged *rows) {
    m->n_total = rows->n;
    for (size_t i = 0; i < rows->n; i++) {
        const struct cr_judgement *r = &rows->items[i];
        const struct cr_heard *h = cr_judgement_official(r);
        m->n_error += r->status == CR_ROW_ERROR;
        m->n_unparsed += r->status == CR_ROW_UNPARSED;
        m->n_judged += r->status == CR_ROW_OK;
        if (!h || !h->raw.data)
            continue;
        m->has_official = true;
        m->n_official += h->official.ok;
        m->n_official_failed += !h->official.ok;
        m->n_differ += !cr_reading_equal(rows->bench->metric, &h->official, &h->robust);
    }
}

enum critic_status cr_metrics_compute(struct cr_metrics *out,
                                      const struct cr_judged *rows,
                                      const struct cr_boot_options *boot,
                                      critic_error *err) {
    struct cr_metric_job j = {.out = out, .rows = rows, .boot = boot};
    enum critic_status status;
    memset(out, 0, sizeof *out);
    CR_TRY_GOTO(cr_arena_init(&out->arena, (size_t)1 << 28, err));
    j.x = calloc(rows->n + 1, sizeof *j.x);
    j.y = calloc(rows->n + 1, sizeof *j.y);
    j.kept = calloc(rows->n + 1, sizeof *j.kept);
    j.kept_cluster = calloc(rows->n + 1, sizeof *j.kept_cluster);
    if (!j.x || !j.y || !j.kept || !j.kept_cluster)
        CR_TRY_GOTO(no_memory(err));
    CR_TRY_GOTO(cr_metric_clusters(rows, &j.cluster, &j.n_clusters, err));
    CR_TRY_GOTO(list_groups(&j, err));
    count_rows(out, rows);
    CR_TRY_GOTO(cr_metric_rules(&j, err));
fail:
    free(j.x);
    free(j.y);
    free(j.kept);
    free(j.kept_cluster);
    free(j.cluster);
    free(j.groups);
    return status;
}

void cr_metrics_fini(struct cr_metrics *m) {
    free(m->items);
    cr_arena_fini(&m->arena);
    memset(m, 0, sizeof *m);
}

static bool same(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

const struct cr_metric *cr_metric_find(const struct cr_metrics *m, const char *name,
                                       const char *variant, const char *group) {
    for (size_t i = 0; i < m->n; i++)
        if (same(m->items[i].name, name) && same(m->items[i].variant, variant) &&
            same(m->items[i].group, group))
            return &m->items[i];
    return NULL;
}

const struct cr_metric *cr_metric_headline(const struct cr_metrics *m) {
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i].is_headline && cr_stat_ok(m->items[i].value))
            return &m->items[i];
    return NULL;
}
