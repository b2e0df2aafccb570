#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "eval/micro.h"
#include "judge/many.h"
#include "judge/template.h"
#include "world/render.h"
#include "world/world.h"

void cr_micro_opts_default(struct cr_micro_opts *opts) {
    *opts = (struct cr_micro_opts){
        .split = CR_TEST, .seed = 1, .limit = 2000, .qa = 4, .max_new_tokens = 320};
}

void cr_micro_rows_fini(struct cr_micro_rows *rows) {
    free(rows->rows);
    memset(rows, 0, sizeof *rows);
}

/* ---- judges, one a template ------------------------------------------------------------------ */

enum kind { REASON, ONLY, BLIND, SWAPPED, SCORE, BY_LOW, BY_HIGH };
/* Both orders with reason and without, two controls, three scores of each answer. */
enum { MAX_JOBS = 4 + 2 + 6 };

struct micro_job {
    struct cr_judge_job job; /* first, so that one pointer is both */
    struct cr_item item;
    struct cr_str answers[2], criterion;
    struct row_work *work;
    enum kind kind;
    int turned; /* or which answer is scored */
};

/* A row on its way, with its pictures. */
struct row_work {
    struct cr_micro_row *row;
    size_t index;
    struct cr_image image, other, blank;
    struct micro_job jobs[MAX_JOBS];
    size_t n_jobs, n_next, n_done;
    double by[2][2]; /* answer i by its lowest and its highest criterion */
};

/* One question of a row on its lane. */
struct asking {
    struct cr_micro_row *row;
    unsigned k; /* which of the row's */
    struct cr_turn_text turn;
    struct cr_talk talk;
    struct cr_completion said;
    bool is_there;
};

static void free_work(struct row_work *w) {
    cr_image_free(&w->image);
    cr_image_free(&w->other);
    cr_image_free(&w->blank);
    free(w);
}

enum { N_PAIR = 10, N_SCORE = 4 };

struct bench {
    struct cr_engine *engine;
    const struct cr_micro_opts *o;
    struct cr_micro_rows *rows;
    struct cr_judge *pair[2][N_PAIR]; /* reason, only */
    struct cr_judge *score[N_SCORE];  /* reason first, 0 to 100 */
    struct cr_renderer *renderer;
    struct row_work *open; /* whose jobs are being given out */
    size_t n_begun;
    /* Base questions of the last few rows, on lanes of their own. */
    struct cr_lanes *lanes;
    struct asking *askings;
    size_t n_askings;
};

/* Rows whose base questions are answered side by side. */
#define QA_ROWS 8u

static enum critic_status open_judge(struct bench *b, struct cr_judge **out,
                                     const char *name, bool only, critic_error *err) {
    struct cr_judge_opts opts;
    cr_judge_opts_default(&opts);
    opts.template_name = name;
    opts.verdict_only = only;
    opts.probabilities = !only && strncmp(name, "micro-pair", 10) == 0;
    opts.max_new_tokens = b->o->max_new_tokens;
    return cr_judge_new(out, b->engine, &opts, err);
}

static enum critic_status open_bench(struct bench *b, critic_error *err) {
    char name[64];
    for (int only = 0; only < 2; only++)
        for (int i = 0; i < N_PAIR; i++) {
            snprintf(name, sizeof name, "micro-pair-%02d-%s", i + 1,
                     only ? "only" : "reason");
            CR_TRY(open_judge(b, &b->pair[only][i], name, only, err));
        }
    for (int i = 0; i < N_SCORE; i++) {
        snprintf(name, sizeof name, "micro-score-100-%d-reason", i + 1);
        CR_TRY(open_judge(b, &b->score[i], name, false, err));
    }
    b->askings = calloc(QA_ROWS * 16, sizeof *b->askings);
    if (!b->askings)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for base questions");
    CR_TRY(cr_lanes_new(&b->lanes, b->engine, err));
    return cr_renderer_new(&b->renderer, CR_CELL_PX, err);
}

static void close_bench(struct bench *b) {
    for (int only = 0; only < 2; only++)
        for (int i = 0; i < N_PAIR; i++)
            cr_judge_free(b->pair[only][i]);
    for (int i = 0; i < N_SCORE; i++)
        cr_judge_free(b->score[i]);
    cr_renderer_free(b->renderer);
    cr_lanes_free(b->lanes);
    for (size_t i = 0; i < b->n_askings; i++)
        if (b->askings[i].is_there)
            cr_completion_fini(&b->askings[i].said);
    free(b->askings);
    if (b->open)
        free_work(b->open);
}

static enum critic_status draw_image(const struct bench *b, const struct cr_scene *s,
                                     struct cr_image *image, critic_error *err) {
    size_t side = (size_t)s->side * CR_CELL_PX;
    if (image->width != side) {
        cr_image_free(image);
        image->rgb = malloc(side * side * 3);
        image->width = image->height = side;
    }
    if (!image->rgb)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture");
    cr_render(b->renderer, s, 0, 0, image);
    return CRITIC_OK;
}

/* ---- what is asked of a row --------------------------------------------------------------- */

static struct micro_job *new_job(struct row_work *w, enum kind kind,
                                 struct cr_judge *judge, const struct cr_image *image,
                                 enum cr_criterion criterion) {
    CR_ASSERT(w->n_jobs < MAX_JOBS);
    struct micro_job *j = &w->jobs[w->n_jobs++];
    *j = (struct micro_job){.work = w, .kind = kind};
    j->criterion = cr_str_of(cr_criterion_name(criterion));
    j->item = (struct cr_item){.id = {"micro", 5},
                               .images = image,
                               .n_images = 1,
                               .question = cr_str_of(w->row->pair.ask.text),
                               .answers = j->answers,
                               .criteria = &j->criterion,
                               .n_criteria = criterion != CR_OVERALL};
    j->job.judge = judge;
    j->job.item = &j->item;
    return j;
}

static struct cr_str text_of(const struct cr_answer *a) {
    return (struct cr_str){a->text, a->len};
}

/* The pair in the order that `turned` says. */
static void plan_pair(struct row_work *w, enum kind kind, struct cr_judge *judge,
                      const struct cr_image *image, bool turned) {
    const struct cr_pair *p = &w->row->pair;
    struct micro_job *j = new_job(w, kind, judge, image, p->criterion);
    j->turned = turned;
    for (int i = 0; i < 2; i++)
        j->answers[i] = text_of(&p->answers[turned ? 1 - i : i]);
    j->item.n_answers = 2;
}

static void plan_score(const struct bench *b, struct row_work *w, enum kind kind, int i,
                       enum cr_criterion criterion) {
    struct micro_job *j = new_job(w, kind, b->score[(w->index + (size_t)i) % N_SCORE],
                                  &w->image, criterion);
    j->turned = i;
    j->answers[0] = text_of(&w->row->pair.answers[i]);
    j->item.n_answers = 1;
}

/* Each answer alone, and by the two criteria whose scores lie farthest apart. */
static void plan_scores(const struct bench *b, struct row_work *w) {
    for (int i = 0; i < 2; i++) {
        const int *truth = w->row->pair.answers[i].scores;
        int low = 0, high = 0;
        plan_score(b, w, SCORE, i, CR_OVERALL);
        for (int c = 0; c < CR_N_CRITERIA; c++) {
            low = truth[c] < truth[low] ? c : low;
            high = truth[c] > truth[high] ? c : high;
        }
        if (truth[high] - truth[low] < 30)
            continue;
        plan_score(b, w, BY_LOW, i, (enum cr_criterion)low);
        plan_score(b, w, BY_HIGH, i, (enum cr_criterion)high);
    }
}

/* A gray picture, and that of another scene of the same size. */
static enum critic_status draw_controls(const struct bench *b, struct row_work *w,
                                        critic_error *err) {
    struct cr_scene other;
    size_t bytes = 3 * w->image.width * w->image.height;
    for (uint64_t at = (uint64_t)1 << 32 | w->index;; at += (uint64_t)1 << 32) {
        cr_scene_draw(&other, b->o->split, b->o->seed, at, CR_LARGE_PERCENT);
        if (other.side == w->row->scene.side)
            break;
    }
    CR_TRY(draw_image(b, &other, &w->other, err));
    w->blank = (struct cr_image){malloc(bytes), w->image.width, w->image.height};
    if (!w->blank.rgb)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture");
    memset(w->blank.rgb, 128, bytes);
    return CRITIC_OK;
}

static enum critic_status plan_row(const struct bench *b, struct row_work *w,
                                   critic_error *err) {
    struct cr_judge *const *reason = &b->pair[0][w->index % N_PAIR];
    struct cr_judge *const *only = &b->pair[1][w->index % N_PAIR];
    bool turned = w->index % 2;
    CR_TRY(draw_image(b, &w->row->scene, &w->image, err));
    for (int t = 0; t < CR_MICRO_ORDERS; t++) {
        plan_pair(w, REASON, *reason, &w->image, t);
        plan_pair(w, ONLY, *only, &w->image, t);
    }
    if (b->o->quick)
        return CRITIC_OK;
    plan_scores(b, w);
    CR_TRY(draw_controls(b, w, err));
    plan_pair(w, BLIND, *reason, &w->blank, turned);
    plan_pair(w, SWAPPED, *reason, &w->other, turned);
    return CRITIC_OK;
}

/* ---- what is said of it ------------------------------------------------------------------- */

static struct cr_micro_verdict verdict_of(const struct cr_opinion *op, bool turned) {
    struct cr_micro_verdict out = {0};
    if (op->status != CR_VERDICT_OK)
        return out;
    out.choice = op->choice;
    if (turned && op->choice != CR_CHOICE_TIE)
        out.choice = op->choice == CR_CHOICE_FIRST ? CR_CHOICE_SECOND : CR_CHOICE_FIRST;
    for (size_t i = 0; i < op->n_options; i++) {
        const char *label = op->options[i].label;
        int at = strcmp(label, "first") == 0    ? turned
                 : strcmp(label, "second") == 0 ? !turned
                                                : 2;
        out.p[at] += op->options[i].probability;
        out.has_p = true;
    }
    return out;
}

/* What the reason states of the scene, and whether its scores order as the verdict does. */
static void read_reason(struct cr_micro_row *row, const struct cr_opinion *op,
                        bool turned) {
    struct cr_fact facts[64];
    struct cr_reason reason = {.facts = facts, .max_facts = CR_COUNT(facts)};
    struct cr_line value;
    struct cr_str right = {NULL, 0};
    double scores[2];
    int n = 0;
    cr_line_clear(&value);
    if (row->pair.ask.has_value) {
        cr_value_add(&value, &row->pair.ask, row->scene.side, row->pair.ask.value);
        right = cr_line_str(&value);
    }
    cr_reason_read(&reason, op->raw, row->scene.side);
    row->n_facts += (unsigned)reason.n_facts;
    for (size_t i = 0; i < reason.n_facts; i++)
        row->n_true_facts += cr_fact_holds(&facts[i], &row->scene, right);
    for (struct cr_str s = op->raw; n < 2;) {
        static const struct cr_str word = {"score ", 6};
        size_t at = cr_str_find(s, word);
        if (at == SIZE_MAX)
            break;
        s = (struct cr_str){s.data + at + word.len, s.len - at - word.len};
        scores[n++] = strtod(s.data, NULL); /* raw is terminated */
    }
    row->agrees[turned] = -1;
    if (n == 2 && op->status == CR_VERDICT_OK) {
        enum cr_choice by_scores = scores[0] > scores[1]   ? CR_CHOICE_FIRST
                                   : scores[0] < scores[1] ? CR_CHOICE_SECOND
                                                           : CR_CHOICE_TIE;
        row->agrees[turned] = by_scores == op->choice;
    }
}

static void take(struct bench *b, struct micro_job *j) {
    struct row_work *w = j->work;
    struct cr_micro_row *row = w->row;
    const struct cr_opinion *op = &j->job.verdict.opinion;
    bool ok = op->status == CR_VERDICT_OK;
    double score = ok ? op->score : (double)NAN;
    b->rows->n_prompts++;
    b->rows->n_unparsed += !ok;
    switch (j->kind) {
    case REASON:
        row->reason[j->turned] = verdict_of(op, j->turned);
        read_reason(row, op, j->turned);
        break;
    case ONLY:
        row->only[j->turned] = verdict_of(op, j->turned);
        break;
    case BLIND:
        row->blind = verdict_of(op, j->turned);
        break;
    case SWAPPED:
        row->swapped = verdict_of(op, j->turned);
        break;
    case SCORE:
        row->score[j->turned] = score;
        break;
    case BY_LOW:
        w->by[j->turned][0] = score;
        break;
    case BY_HIGH:
        w->by[j->turned][1] = score;
        row->obeys[j->turned] = w->by[j->turned][0] < score; /* false where one is NAN */
        break;
    }
}

/* ---- base questions ------------------------------------------------------------------------------ */

static enum critic_status start_answer(struct bench *b, const struct cr_image *image,
                                       struct asking *a, critic_error *err) {
    struct cr_prompt *prompt = NULL;
    struct cr_seq *seq = NULL;
    cr_generate_opts_default(&a->talk.opts, b->engine);
    a->talk.opts.max_new_tokens = b->o->max_new_tokens;
    a->talk.n = 1;
    a->talk.out = &a->said;
    enum critic_status status = cr_prompt_new(&prompt, b->engine, err);
    if (status == CRITIC_OK)
        status = cr_prompt_chat(prompt, image, 1, (struct cr_str){NULL, 0},
                                cr_line_str(&a->turn.question), err);
    if (status == CRITIC_OK)
        status = cr_prompt_finish(prompt, err);
    if (status == CRITIC_OK)
        status = cr_engine_prefill(b->engine, prompt, &seq, NULL, err);
    if (status == CRITIC_OK)
        status = cr_lanes_add(b->lanes, &a->talk, seq, err);
    a->is_there = status == CRITIC_OK;
    cr_seq_free(seq);
    cr_prompt_free(prompt);
    return status;
}

/* The questions of a row: drawn, and put on lanes. */
static enum critic_status ask_base(struct bench *b, struct row_work *w,
                                   critic_error *err) {
    struct cr_micro_row *row = w->row;
    struct cr_rng r;
    cr_rng_seed_at(&r, b->o->seed ^ 0x6261736571756573u, w->index);
    for (unsigned k = 0; k < b->o->qa && k < CR_COUNT(row->qa_right); k++) {
        enum cr_family family = CR_FAMILY_DESCRIBE;
        struct asking *a = &b->askings[b->n_askings++];
        *a = (struct asking){.row = row, .k = k};
        if (k > 0 ||
            !cr_base_turn(&a->turn, family, &row->scene, &r, b->o->split == CR_NOVEL))
            family = cr_base_draw(&a->turn, &row->scene, &r, b->o->split == CR_NOVEL);
        row->qa_family[k] = (uint8_t)family;
        row->n_qa = k + 1;
        CR_TRY(start_answer(b, &w->image, a, err));
    }
    return CRITIC_OK;
}

/* Waits for all the answers on lanes. */
static enum critic_status hear_answers(struct bench *b, critic_error *err) {
    enum critic_status status = CRITIC_OK;
    while (status == CRITIC_OK && cr_lanes_running(b->lanes) > 0)
        status = cr_lanes_step(b->lanes, err);
    for (size_t i = 0; i < b->n_askings; i++) {
        struct asking *a = &b->askings[i];
        if (!a->is_there)
            continue;
        if (a->talk.n_running > 0)
            cr_lanes_drop(b->lanes, &a->talk);
        a->row->qa_right[a->k] =
            cr_str_eq(cr_buf_str(&a->said.text), cr_line_str(&a->turn.answer));
        cr_completion_fini(&a->said);
    }
    b->n_askings = 0;
    return status;
}

/* ---- all of them ---------------------------------------------------------------------------------- */

static void draw_row(const struct bench *b, struct cr_micro_row *row, size_t index) {
    struct cr_rng r;
    bool novel_ok = b->o->split == CR_NOVEL;
    cr_scene_draw(&row->scene, b->o->split, b->o->seed, index, CR_LARGE_PERCENT);
    cr_rng_seed_at(&r, b->o->seed ^ 0x70616972u, index);
    cr_pair_draw(&row->pair, &row->scene, &r, index % 2 == 0, novel_ok);
    row->score[0] = row->score[1] = (double)NAN;
    row->obeys[0] = row->obeys[1] = row->agrees[0] = row->agrees[1] = -1;
}

static enum critic_status next_job(void *user, struct cr_judge_job **out,
                                   critic_error *err) {
    struct bench *b = user;
    struct row_work *w = b->open;
    if (!w && b->n_begun == b->o->limit)
        return CRITIC_OK;
    if (!w) {
        if (b->o->cancel && b->o->cancel(b->o->user))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
        w = b->open = calloc(1, sizeof *w);
        if (!w)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a pair");
        w->index = b->n_begun++;
        w->row = &b->rows->rows[w->index];
        draw_row(b, w->row, w->index);
        CR_TRY(plan_row(b, w, err));
    }
    *out = &w->jobs[w->n_next++].job;
    if (w->n_next == w->n_jobs)
        b->open = NULL; /* its last job's end releases it */
    return CRITIC_OK;
}

static enum critic_status end_row(struct bench *b, struct row_work *w,
                                  critic_error *err) {
    bool last = w->index + 1 == b->o->limit;
    CR_TRY(ask_base(b, w, err));
    if ((w->index + 1) % QA_ROWS == 0 || last)
        CR_TRY(hear_answers(b, err));
    b->rows->n++;
    if (b->o->on_item)
        b->o->on_item(b->o->user, b->rows->n, b->o->limit);
    return CRITIC_OK;
}

static enum critic_status done_job(void *user, struct cr_judge_job *job,
                                   critic_error *err) {
    struct bench *b = user;
    struct micro_job *j = (struct micro_job *)job;
    struct row_work *w = j->work;
    enum critic_status status = job->status;
    if (status == CRITIC_OK) {
        take(b, j);
        cr_verdict_fini(&job->verdict);
    } else if (err) {
        *err = job->fault;
    }
    if (++w->n_done < w->n_jobs)
        return status;
    if (status == CRITIC_OK)
        status = end_row(b, w, err);
    free_work(w);
    return status;
}

enum critic_status cr_micro_run(struct cr_micro_rows *out, struct cr_engine *engine,
                                const struct cr_micro_opts *opts, critic_error *err) {
    struct bench b = {.engine = engine, .o = opts, .rows = out};
    double start = cr_clock_seconds();
    memset(out, 0, sizeof *out);
    out->rows = calloc(CR_MAX(opts->limit, (size_t)1), sizeof *out->rows);
    if (!out->rows)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu pairs", opts->limit);
    enum critic_status status = open_bench(&b, err);
    if (status == CRITIC_OK)
        status = cr_judge_many(&(struct cr_judge_feed){next_job, done_job, &b}, err);
    close_bench(&b);
    out->seconds = cr_clock_seconds() - start;
    return status;
}
