#include "world/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/grow.h"
#include "judge/verdict.h"
#include "train/records.h"
#include "world/critic.h"
#include "world/record.h"

/* ---- sums ------------------------------------------------------------------------------------------------ */

struct lengths {
    uint32_t *items;
    size_t n, cap;
};

static enum critic_status add_length(struct lengths *l, size_t len, critic_error *err) {
    uint32_t *items = cr_grow(l->items, l->n, &l->cap, sizeof *items);
    if (!items)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu lengths", l->n + 1);
    l->items = items;
    l->items[l->n++] = (uint32_t)CR_MIN(len, (size_t)UINT32_MAX);
    return CRITIC_OK;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static json_t *lengths_json(struct lengths *l) {
    double sum = 0;
    if (l->n == 0)
        return json_object();
    qsort(l->items, l->n, sizeof *l->items, by_value);
    for (size_t i = 0; i < l->n; i++)
        sum += l->items[i];
    return json_pack("{s:f,s:I,s:I,s:I}", "mean", sum / (double)l->n, "median",
                     (json_int_t)l->items[l->n / 2], "p90",
                     (json_int_t)l->items[l->n * 9 / 10], "max",
                     (json_int_t)l->items[l->n - 1]);
}

/* Sums of a correlation. */
struct moments {
    double n, x, y, xx, yy, xy;
};

static void add_point(struct moments *m, double x, double y) {
    m->n++;
    m->x += x;
    m->y += y;
    m->xx += x * x;
    m->yy += y * y;
    m->xy += x * y;
}

static double correlation(const struct moments *m) {
    double vx = m->xx - m->x * m->x / m->n, vy = m->yy - m->y * m->y / m->n;
    return vx > 0 && vy > 0 ? (m->xy - m->x * m->y / m->n) / sqrt(vx * vy) : 0;
}

static double share(double part, double whole) {
    return whole > 0 ? part / whole : 0;
}

/* counts[key]++; the first `most` keys, then "other". */
static void bump(json_t *counts, const char *key, size_t most) {
    json_t *value = json_object_get(counts, key);
    if (!value && json_object_size(counts) >= most) {
        key = "other";
        value = json_object_get(counts, key);
    }
    json_object_set_new(counts, key, json_integer(json_integer_value(value) + 1));
}

/* ---- conversations ---------------------------------------------------------------------------------------- */

struct conversations {
    json_t *sources, *formats, *verdicts, *scores, *openings;
    struct lengths prompts, replies;
    size_t n_records, n_turns, n_images;
};

/* Which verdict a reply holds, tried from the most particular format on. */
static void count_verdict(struct conversations *t, struct cr_str reply) {
    static const enum cr_format order[] = {
        CR_FORMAT_BETTER, CR_FORMAT_ARENA, CR_FORMAT_LETTER,  CR_FORMAT_FINAL_SCORE,
        CR_FORMAT_RATING, CR_FORMAT_SCORE, CR_FORMAT_BRACKETS};
    for (size_t i = 0; i < CR_COUNT(order); i++) {
        struct cr_verdict_rule rule = {
            .formats = {order[i]}, .n_formats = 1, .scale = {0, 100, 1}, .n_answers = 2};
        struct cr_parsed p;
        if (cr_verdict_parse(&p, reply, &rule, NULL) != CRITIC_OK || !p.ok)
            continue;
        bump(t->formats, cr_format_name(order[i]), 100);
        if (cr_format_mode(order[i]) == CR_MODE_PAIRWISE) {
            bump(t->verdicts, cr_choice_name(p.choice), 100);
        } else {
            char key[32];
            snprintf(key, sizeof key, "%d",
                     p.score >= 100 ? 100 : (int)(p.score / 10) * 10);
            bump(t->scores, key, 100);
        }
        return;
    }
    bump(t->formats, "none", 100);
}

static void count_opening(struct conversations *t, struct cr_str prompt) {
    char line[96];
    size_t at = 0, n = 0;
    if (prompt.len >= 7 && memcmp(prompt.data, "<image>", 7) == 0)
        at = 7;
    while (at < prompt.len && (prompt.data[at] == '\n' || prompt.data[at] == ' '))
        at++;
    while (at < prompt.len && n + 1 < sizeof line && prompt.data[at] != '\n')
        line[n++] = prompt.data[at++];
    line[n] = '\0';
    if (cr_utf8_invalid_at(line, n) != SIZE_MAX) /* cut inside a character */
        line[cr_utf8_invalid_at(line, n)] = '\0';
    bump(t->openings, line, 200);
}

static enum critic_status add_record(struct conversations *t, const json_t *record,
                                     critic_error *err) {
    const char *source = json_string_value(json_object_get(record, "source"));
    t->n_records++;
    bump(t->sources, source ? source : "none", 50);
    for (size_t i = 0; cr_record_image(record, i).data; i++)
        t->n_images++;
    for (size_t i = 0; i + 1 < cr_record_n_turns(record); i += 2) {
        struct cr_str prompt = cr_record_turn(record, i, "human");
        struct cr_str reply = cr_record_turn(record, i + 1, "gpt");
        if (!prompt.data || !reply.data)
            continue;
        t->n_turns++;
        CR_TRY(add_length(&t->prompts, prompt.len, err));
        CR_TRY(add_length(&t->replies, reply.len, err));
        count_verdict(t, reply);
        count_opening(t, prompt);
    }
    return CRITIC_OK;
}

/* ---- the oracle ------------------------------------------------------------------------------------------- */

static const char *const gap_names[CR_N_GAPS] = {"equal", "3-9", "10-15", "16-29", "30+"};

struct oracle {
    json_t *kinds, *criteria, *manners, *templates, *families, *verdicts, *gaps, *scores,
        *claims;
    struct moments length_quality; /* of answers: characters against the overall score */
    size_t n, n_answers, n_perfect, n_swaps, n_untied, n_uneven, n_longer;
};

static double score_of(const json_t *item, size_t i, const char *by) {
    const json_t *scores = json_array_get(json_object_get(item, "scores"), i);
    return (double)json_integer_value(json_object_get(scores, by));
}

static size_t answer_len(const json_t *item, size_t i) {
    return json_string_length(json_array_get(json_object_get(item, "responses"), i));
}

static void bump_member(json_t *counts, const json_t *item, const char *key) {
    const char *text = json_string_value(json_object_get(item, key));
    bump(counts, text ? text : "none", 100);
}

static void add_answers(struct oracle *o, const json_t *item) {
    for (size_t i = 0; i < json_array_size(json_object_get(item, "responses")); i++) {
        double overall = score_of(item, i, "overall");
        char key[16];
        o->n_answers++;
        o->n_perfect += overall == 100;
        add_point(&o->length_quality, (double)answer_len(item, i), overall);
        snprintf(key, sizeof key, "%zu",
                 json_array_size(json_array_get(json_object_get(item, "claims"), i)));
        bump(o->claims, key, 100);
    }
}

static void add_pair(struct oracle *o, const json_t *item) {
    int gap = (int)json_integer_value(json_object_get(item, "gap"));
    int bin = cr_gap_bin(gap);
    bump(o->gaps, bin < 0 ? "1-2" : gap_names[bin], 100);
    bump_member(o->verdicts, item, "verdict");
    if (gap == 0)
        return;
    size_t a = answer_len(item, 0), b = answer_len(item, 1);
    o->n_untied++;
    o->n_uneven += a != b;
    o->n_longer += a != b && (a > b) == (gap > 0);
}

static void add_oracle_item(struct oracle *o, const json_t *item) {
    const char *kind = json_string_value(json_object_get(item, "kind"));
    const char *by = json_string_value(json_object_get(item, "by"));
    o->n++;
    bump_member(o->kinds, item, "kind");
    bump_member(o->criteria, item, "by");
    bump_member(o->manners, item, "manner");
    bump_member(o->templates, item, "template");
    bump_member(o->families, item, "family");
    o->n_swaps += json_is_true(json_object_get(item, "swap"));
    add_answers(o, item);
    if (kind && strcmp(kind, "pair") == 0) {
        add_pair(o, item);
    } else {
        char key[16];
        int score =
            (int)score_of(item, 0, by && strcmp(by, "rubric") != 0 ? by : "overall");
        snprintf(key, sizeof key, "%d", score >= 100 ? 100 : score / 10 * 10);
        bump(o->scores, key, 100);
    }
}

/* ---- together --------------------------------------------------------------------------------------------- */

static json_t *oracle_json(const struct oracle *o) {
    return json_pack(
        "{s:I,s:O,s:O,s:O,s:O,s:O,s:O,s:O,s:O,s:O,s:f,s:f,s:f,s:f,s:f}", "judgements",
        (json_int_t)o->n, "kinds", o->kinds, "criteria", o->criteria, "manners",
        o->manners, "templates", o->templates, "families", o->families, "verdicts",
        o->verdicts, "gaps", o->gaps, "scores", o->scores, "claims", o->claims, "ties",
        share((double)json_integer_value(json_object_get(o->verdicts, "tie")),
              (double)json_integer_value(json_object_get(o->kinds, "pair"))),
        "longer_wins", share((double)o->n_longer, (double)o->n_uneven),
        "length_quality_correlation", o->n_answers ? correlation(&o->length_quality) : 0,
        "perfect_answers", share((double)o->n_perfect, (double)o->n_answers), "swaps",
        share((double)o->n_swaps, (double)o->n));
}

static json_t *conversations_json(struct conversations *t) {
    return json_pack("{s:I,s:I,s:I,s:O,s:o,s:o,s:O,s:O,s:O,s:O}", "records",
                     (json_int_t)t->n_records, "turns", (json_int_t)t->n_turns, "images",
                     (json_int_t)t->n_images, "sources", t->sources, "prompt_characters",
                     lengths_json(&t->prompts), "reply_characters",
                     lengths_json(&t->replies), "formats", t->formats, "verdicts",
                     t->verdicts, "scores", t->scores, "openings", t->openings);
}

static enum critic_status read_all(const struct cr_data_stats_opts *opts,
                                   const char *path, struct conversations *t,
                                   struct oracle *o, critic_error *err) {
    struct cr_records records;
    enum critic_status status = cr_records_open(&records, path, 0, err);
    for (size_t i = 0; status == CRITIC_OK && i < records.n; i++) {
        json_t *record;
        status = cr_records_get(&records, i, &record, err);
        if (status != CRITIC_OK)
            break;
        if (opts->cancel && opts->cancel(opts->user))
            status = cr_fail(err, CRITIC_CANCELLED, "cancelled");
        else if (json_object_get(record, "responses") &&
                 json_object_get(record, "claims"))
            add_oracle_item(o, record);
        else
            status = add_record(t, record, err);
        json_decref(record);
    }
    cr_records_close(&records);
    return status;
}

static json_t **counters(struct conversations *t, struct oracle *o, size_t i) {
    json_t **all[] = {&t->sources,   &t->formats,  &t->verdicts, &t->scores,
                      &t->openings,  &o->kinds,    &o->criteria, &o->manners,
                      &o->templates, &o->families, &o->verdicts, &o->gaps,
                      &o->scores,    &o->claims};
    return i < CR_COUNT(all) ? all[i] : NULL;
}

enum critic_status cr_data_stats(json_t **out, const struct cr_data_stats_opts *opts,
                                 critic_error *err) {
    struct conversations t = {0};
    struct oracle o = {0};
    *out = NULL;
    for (size_t i = 0; counters(&t, &o, i); i++)
        *counters(&t, &o, i) = json_object();
    enum critic_status status = read_all(opts, opts->path, &t, &o, err);
    if (status == CRITIC_OK && opts->oracle)
        status = read_all(opts, opts->oracle, &t, &o, err);
    if (status == CRITIC_OK) {
        *out = t.n_records > 0 ? conversations_json(&t) : json_object();
        if (o.n > 0)
            json_object_set_new(*out, "oracle", oracle_json(&o));
        if (!*out)
            status = cr_fail(err, CRITIC_NO_MEMORY, "no memory for statistics");
    }
    for (size_t i = 0; counters(&t, &o, i); i++)
        json_decref(*counters(&t, &o, i));
    free(t.prompts.items);
    free(t.replies.items);
    return status;
}
