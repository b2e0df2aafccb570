#include "eval/exam_group.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "eval/rules_text.h"

static bool starts(const char *text, size_t n, const char *word) {
    return n == strlen(word) && memcmp(text, word, n) == 0;
}

/* VL-RewardBench cal.py: the prefix up to the first "_" or "-". The rule for "hallucination" is
 * what the scripts with the known fault lack. VLMEvalKit's file names the category instead. */
static const char *vlrb_group(struct cr_str id, const char *category) {
    static const char *const names[] = {"general", "hallucination", "reasoning"};
    size_t n = 0;
    for (size_t i = 0; category && i < CR_COUNT(names); i++)
        if (cr_text_starts(cr_str_of(category), 0, names[i]))
            return names[i];
    while (n < id.len && id.data[n] != '_' && id.data[n] != '-')
        n++;
    if (starts(id.data, n, "RLAIF") || starts(id.data, n, "RLHF") ||
        starts(id.data, n, "hallucination"))
        return "hallucination";
    if (starts(id.data, n, "mathverse") || starts(id.data, n, "mmmu"))
        return "reasoning";
    return "general";
}

static bool begins(struct cr_str id, const char *lower) {
    return cr_text_starts(id, 0, lower);
}

static const char *mmrb_group(struct cr_str id, const char *category) {
    if (!category)
        return NULL;
    if (strcmp(category, "safety") == 0)
        return begins(id, "pairs") ? "safety/bias" : "safety/toxicity";
    if (strcmp(category, "reasoning") == 0)
        return begins(id, "math") ? "reasoning/math" : "reasoning/coding";
    return category;
}

static const char *mmrlhf_group(const char *path) {
    static const char *const names[] = {"mcq", "long", "short", "safety", "video"};
    for (size_t i = 0; path && i < CR_COUNT(names); i++)
        if (strstr(path, names[i]))
            return names[i];
    return "other";
}

const char *cr_exam_group(struct cr_arena *a, enum cr_group_rule rule, struct cr_str id,
                          const char *value, size_t index) {
    static const char *const types[] = {"attribute", "adversarial", "comparison",
                                        "counting",  "relation",    "environment",
                                        "holistic",  "other"};
    (void)a;
    switch (rule) {
    case CR_GROUP_KEY:
    case CR_GROUP_LIST:
        return value;
    case CR_GROUP_VLRB:
        return vlrb_group(id, value);
    case CR_GROUP_MMRB:
        return mmrb_group(id, value);
    case CR_GROUP_MMRLHF:
        return mmrlhf_group(value);
    case CR_GROUP_MMHAL:
        return types[index % 8];
    default:
        return NULL;
    }
}

const char *cr_exam_group_name(const struct cr_exam_item *item) {
    return item->group ? item->group : "";
}

static int compare(const void *a, const void *b) {
    return strcmp(((const struct cr_group_count *)a)->name,
                  ((const struct cr_group_count *)b)->name);
}

enum critic_status cr_exam_count_groups(const struct cr_exam_set *set,
                                        struct cr_group_count **out, size_t *n,
                                        critic_error *err) {
    struct cr_group_count *groups = calloc(set->n + 1, sizeof *groups);
    *out = groups;
    *n = 0;
    if (!groups)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu groups", set->n);
    for (size_t i = 0; i < set->n; i++)
        groups[i] = (struct cr_group_count){cr_exam_group_name(&set->items[i]), 1, 0};
    qsort(groups, set->n, sizeof *groups, compare);
    for (size_t i = 0; i < set->n; i++)
        if (*n > 0 && strcmp(groups[*n - 1].name, groups[i].name) == 0)
            groups[*n - 1].n++;
        else
            groups[(*n)++] = groups[i];
    return CRITIC_OK;
}

void cr_exam_share_out(struct cr_group_count *groups, size_t n_groups, size_t n_items,
                       size_t sample) {
    size_t given = 0;
    for (size_t g = 0; g < n_groups; g++) {
        groups[g].share = groups[g].n * sample / n_items;
        given += groups[g].share;
    }
    for (; given < sample; given++) {
        size_t best = n_groups;
        double most = -1;
        for (size_t g = 0; g < n_groups; g++) {
            double left = (double)groups[g].n * (double)sample / (double)n_items -
                          (double)groups[g].share;
            if (groups[g].share < groups[g].n && left > most) {
                most = left;
                best = g;
            }
        }
        groups[best].share++;
    }
}

enum critic_status cr_exam_describe_groups(struct cr_exam_set *set, critic_error *err) {
    struct cr_group_count *groups;
    size_t n;
    struct cr_buf text;
    cr_buf_init(&text, (size_t)1 << 24);
    enum critic_status status = cr_exam_count_groups(set, &groups, &n, err);
    for (size_t g = 0; g < n && status == CRITIC_OK; g++)
        status = cr_buf_printf(&text, err, "%s%s%s%zu", g > 0 ? ", " : "", groups[g].name,
                               groups[g].name[0] ? " " : "", groups[g].n);
    free(groups);
    set->groups = text.data;
    const struct cr_exam *b = set->bench;
    set->is_published =
        (!b->n_expected || b->n_expected == set->n) &&
        (!b->group_sizes || (text.data && strcmp(b->group_sizes, text.data) == 0));
    return status;
}
