#include "eval/judged.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/grow.h"
#include "eval/lines.h"
#include "io/json.h"

#define MAX_ARENA ((size_t)1 << 38)

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the rows of a benchmark");
}

enum critic_status cr_judged_init(struct cr_judged *rows, const struct cr_exam *bench,
                                  critic_error *err) {
    memset(rows, 0, sizeof *rows);
    rows->bench = bench;
    return cr_arena_init(&rows->arena, MAX_ARENA, err);
}

void cr_judged_fini(struct cr_judged *rows) {
    free(rows->items);
    cr_arena_fini(&rows->arena);
    memset(rows, 0, sizeof *rows);
}

static struct cr_judgement *new_row(struct cr_judged *rows, critic_error *err) {
    struct cr_judgement *grown = cr_grow(rows->items, rows->n, &rows->cap, sizeof *grown);
    if (!grown) {
        no_memory(err);
        return NULL;
    }
    rows->items = grown;
    struct cr_judgement *r = &rows->items[rows->n];
    memset(r, 0, sizeof *r);
    r->label_pick = CR_PICK_NONE;
    r->label_score = r->p_first = r->expected = (double)NAN;
    r->robust.pick = CR_PICK_NONE;
    r->robust.score = r->robust.pair[0] = r->robust.pair[1] = (double)NAN;
    return r;
}

static const char *copy(struct cr_judged *rows, const char *text) {
    return text ? cr_arena_strndup(&rows->arena, text, strlen(text)) : NULL;
}

static size_t code_points(struct cr_str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.data[i] & 0xc0) != 0x80;
    return n;
}

/* To what a line holds: a run that is gone on with, or merged, has the figures of one run. */
static double rounded(double x) {
    return cr_json_rounded(x, 9);
}

/* ---- from verdicts ------------------------------------------------------------------------------ */

static enum cr_pick pick_of(enum cr_choice c) {
    return c == CR_CHOICE_FIRST    ? CR_PICK_FIRST
           : c == CR_CHOICE_SECOND ? CR_PICK_SECOND
           : c == CR_CHOICE_TIE    ? CR_PICK_TIE
                                   : CR_PICK_NONE;
}

static enum cr_arena_verdict arena_of_share(double share) {
    static const enum cr_arena_verdict of[] = {CR_ARENA_B_MUCH, CR_ARENA_B, CR_ARENA_TIE,
                                               CR_ARENA_A, CR_ARENA_A_MUCH};
    double at = 4 * share + 0.5;
    return at >= 0 && at < 5 ? of[(int)at] : CR_ARENA_NONE;
}

static struct cr_reading reading_of(const struct cr_exam *exam,
                                    const struct cr_opinion *op) {
    struct cr_reading r = {.ok = op->status == CR_VERDICT_OK,
                           .pick = CR_PICK_NONE,
                           .score = (double)NAN,
                           .pair = {(double)NAN, (double)NAN}};
    if (!r.ok)
        return r;
    if (op->mode == CR_MODE_POINTWISE) {
        r.score = rounded(op->score);
    } else if (op->mode == CR_MODE_PAIRWISE) {
        r.pick = pick_of(op->choice);
        if (op->has_numbers || op->parts_kind == CR_PARTS_ANSWERS) {
            r.pair[0] = rounded(op->scores[0]);
            r.pair[1] = rounded(op->scores[1]);
        } else if (exam->metric == CR_METRIC_ARENA) {
            r.arena = arena_of_share(op->scores[0]);
        }
    } else {
        for (size_t i = 0; i < op->n_order && i < sizeof r.order - 1; i++)
            r.order[i] = (char)('A' + op->order[i]);
    }
    return r;
}

static size_t count_leaves(const struct cr_opinion *op) {
    size_t n = op->n_parts == 0;
    for (size_t i = 0; i < op->n_parts; i++)
        n += count_leaves(&op->parts[i]);
    return n;
}

/* Every reply below op. Parts that show one answer, or two of many, are not what the benchmark's
 * rule reads: their official reading stays empty. */
static enum critic_status add_heard(struct cr_judged *rows, struct cr_judgement *row,
                                    const struct cr_opinion *op, size_t n_answers,
                                    bool swapped, bool is_whole, critic_error *err) {
    bool splits = op->parts_kind == CR_PARTS_ANSWERS ||
                  op->parts_kind == CR_PARTS_COMPARISONS ||
                  op->parts_kind == CR_PARTS_CRITERIA;
    for (size_t i = 0; i < op->n_parts; i++)
        CR_TRY(add_heard(rows, row, &op->parts[i], n_answers,
                         op->parts_kind == CR_PARTS_ORDERS ? i == 1 : swapped,
                         is_whole && !splits, err));
    if (op->n_parts > 0)
        return CRITIC_OK;
    struct cr_heard *h = &row->heard[row->n_heard++];
    memset(h, 0, sizeof *h);
    h->swapped = swapped || (op->mode == CR_MODE_PAIRWISE && op->pair[0] > op->pair[1]);
    h->robust = reading_of(rows->bench, op);
    h->official.pick = CR_PICK_NONE;
    h->official.score = h->official.pair[0] = h->official.pair[1] = (double)NAN;
    if (op->raw.len == 0)
        return CRITIC_OK;
    h->raw.data = cr_arena_strndup(&rows->arena, op->raw.data, op->raw.len);
    h->raw.len = op->raw.len;
    if (!h->raw.data)
        return no_memory(err);
    if (is_whole)
        h->official = cr_read_official(rows->bench, h->raw, n_answers, h->swapped);
    return CRITIC_OK;
}

static double p_first_of(const struct cr_opinion *op) {
    double p = 0;
    bool any = false;
    for (size_t i = 0; op->mode == CR_MODE_PAIRWISE && i < op->n_options; i++) {
        any = true;
        if (strcmp(op->options[i].label, "first") == 0)
            p += op->options[i].probability;
        else if (strcmp(op->options[i].label, "tie") == 0)
            p += op->options[i].probability / 2;
    }
    return any ? p : (double)NAN;
}

static enum critic_status set_verdict(struct cr_judged *rows, struct cr_judgement *row,
                                      const struct cr_verdict *v, size_t n_answers,
                                      critic_error *err) {
    const struct cr_opinion *op = &v->opinion;
    row->status = op->status == CR_VERDICT_OK ? CR_ROW_OK : CR_ROW_UNPARSED;
    row->error = copy(rows, op->why);
    row->robust = reading_of(rows->bench, op);
    row->has_consistent = op->has_consistent;
    row->consistent = op->consistent;
    row->p_first = rounded(p_first_of(op));
    row->expected = op->has_expected ? rounded(op->expected) : (double)NAN;
    row->prompt_tokens = v->usage.prompt_tokens;
    row->completion_tokens = v->usage.completion_tokens;
    row->heard = cr_arena_calloc(&rows->arena, count_leaves(op), sizeof *row->heard);
    if (!row->heard)
        return no_memory(err);
    return add_heard(rows, row, op, n_answers, false, true, err);
}

enum critic_status cr_judged_set_source(struct cr_judged *rows,
                                        const struct cr_verdict *v, critic_error *err) {
    if (rows->model)
        return CRITIC_OK;
    rows->model = (char *)(uintptr_t)copy(rows, v->model);
    rows->model_hash = (char *)(uintptr_t)copy(rows, v->model_hash);
    rows->template_name = (char *)(uintptr_t)copy(rows, v->template_name);
    rows->template_hash = (char *)(uintptr_t)copy(rows, v->template_hash);
    rows->seed = v->seed;
    return rows->model && rows->template_hash ? CRITIC_OK : no_memory(err);
}

enum critic_status cr_judged_add(struct cr_judged *rows, const struct cr_exam_item *item,
                                 const struct cr_verdict *v, const critic_error *fault,
                                 critic_error *err) {
    struct cr_judgement *r = new_row(rows, err);
    if (!r)
        return CRITIC_NO_MEMORY;
    r->id = cr_arena_strndup(&rows->arena, item->item.id.data, item->item.id.len);
    r->group = copy(rows, item->group);
    r->subgroup = copy(rows, item->subgroup);
    r->cluster = copy(rows, item->cluster);
    r->label_order = copy(rows, item->label_order);
    r->label_pick = item->label_pick;
    r->label_score = rounded(item->label_score);
    for (size_t k = 0; k < 2; k++) {
        r->models[k] = copy(rows, item->models[k]);
        if (k < item->item.n_answers)
            r->lengths[k] = code_points(item->item.answers[k]);
    }
    if (!r->id)
        return no_memory(err);
    if (v) {
        CR_TRY(cr_judged_set_source(rows, v, err));
        CR_TRY(set_verdict(rows, r, v, item->item.n_answers, err));
    } else {
        r->status = CR_ROW_ERROR;
        r->error = copy(rows, fault->message);
    }
    rows->n++;
    return CRITIC_OK;
}

const struct cr_judgement *cr_judged_find(const struct cr_judged *rows, const char *id) {
    for (size_t i = 0; i < rows->n; i++)
        if (strcmp(rows->items[i].id, id) == 0)
            return &rows->items[i];
    return NULL;
}
