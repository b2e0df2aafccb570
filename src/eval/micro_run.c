#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "eval/micro.h"
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

enum { N_PAIR = 10, N_SCORE = 4 };

struct bench {
    struct cr_engine *engine;
    const struct cr_micro_opts *o;
    struct cr_micro_rows *rows;
    struct cr_judge *pair[2][N_PAIR]; /* reason, only */
    struct cr_judge *score[N_SCORE];  /* reason first, 0 to 100 */
    struct cr_renderer *renderer;
    struct cr_image image, other, blank;
};

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
    return cr_renderer_new(&b->renderer, CR_CELL_PX, err);
}

static void close_bench(struct bench *b) {
    for (int only = 0; only < 2; only++)
        for (int i = 0; i < N_PAIR; i++)
            cr_judge_free(b->pair[only][i]);
    for (int i = 0; i < N_SCORE; i++)
        cr_judge_free(b->score[i]);
    cr_renderer_free(b->renderer);
    cr_image_free(&b->image);
    cr_image_free(&b->other);
    cr_image_free(&b->blank);
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

/* ---- one prompt -------------------------------------------------------------------------------- */

/* A pair in the order that `turned` says, and by which criterion. */
static enum critic_status ask_pair(struct bench *b, struct cr_judge *judge,
                                   const struct cr_micro_row *row,
                                   const struct cr_image *image, bool turned,
                                   struct cr_verdict *v, critic_error *err) {
    const struct cr_pair *p = &row->pair;
    struct cr_str answers[2], criterion = cr_str_of(cr_criterion_name(p->criterion));
    for (int i = 0; i < 2; i++) {
        const struct cr_answer *a = &p->answers[turned ? 1 - i : i];
        answers[i] = (struct cr_str){a->text, a->len};
    }
    struct cr_item item = {.id = {"micro", 5},
                           .images = image,
                           .n_images = 1,
                           .question = cr_str_of(p->ask.text),
                           .answers = answers,
                           .n_answers = 2,
                           .criteria = &criterion,
                           .n_criteria = p->criterion != CR_OVERALL};
    CR_TRY(cr_judge_item(judge, &item, v, err));
    b->rows->n_prompts++;
    b->rows->n_unparsed += v->opinion.status != CR_VERDICT_OK;
    return CRITIC_OK;
}

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

static enum critic_status judge_orders(struct bench *b, struct cr_micro_row *row,
                                       size_t index, critic_error *err) {
    for (int turned = 0; turned < CR_MICRO_ORDERS; turned++) {
        struct cr_verdict v;
        CR_TRY(ask_pair(b, b->pair[0][index % N_PAIR], row, &b->image, turned, &v, err));
        row->reason[turned] = verdict_of(&v.opinion, turned);
        read_reason(row, &v.opinion, turned);
        cr_verdict_fini(&v);
        CR_TRY(ask_pair(b, b->pair[1][index % N_PAIR], row, &b->image, turned, &v, err));
        row->only[turned] = verdict_of(&v.opinion, turned);
        cr_verdict_fini(&v);
    }
    return CRITIC_OK;
}

/* The same with a gray picture, and with that of another scene of the same size. */
static enum critic_status judge_controls(struct bench *b, struct cr_micro_row *row,
                                         size_t index, critic_error *err) {
    struct cr_scene other;
    struct cr_verdict v;
    bool turned = index % 2;
    size_t bytes = 3 * b->image.width * b->image.height;
    for (uint64_t at = (uint64_t)1 << 32 | index;; at += (uint64_t)1 << 32) {
        cr_scene_draw(&other, b->o->split, b->o->seed, at, CR_LARGE_PERCENT);
        if (other.side == row->scene.side)
            break;
    }
    CR_TRY(draw_image(b, &other, &b->other, err));
    if (b->blank.width != b->image.width) {
        cr_image_free(&b->blank);
        b->blank = (struct cr_image){malloc(bytes), b->image.width, b->image.height};
        if (!b->blank.rgb)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture");
        memset(b->blank.rgb, 128, bytes);
    }
    CR_TRY(ask_pair(b, b->pair[0][index % N_PAIR], row, &b->blank, turned, &v, err));
    row->blind = verdict_of(&v.opinion, turned);
    cr_verdict_fini(&v);
    CR_TRY(ask_pair(b, b->pair[0][index % N_PAIR], row, &b->other, turned, &v, err));
    row->swapped = verdict_of(&v.opinion, turned);
    cr_verdict_fini(&v);
    return CRITIC_OK;
}

static enum critic_status score_answer(struct bench *b, const struct cr_micro_row *row,
                                       int i, enum cr_criterion c, size_t index,
                                       double *out, critic_error *err) {
    struct cr_verdict v;
    struct cr_str answer = {row->pair.answers[i].text, row->pair.answers[i].len};
    struct cr_str criterion = cr_str_of(cr_criterion_name(c));
    struct cr_item item = {.id = {"micro", 5},
                           .images = &b->image,
                           .n_images = 1,
                           .question = cr_str_of(row->pair.ask.text),
                           .answers = &answer,
                           .n_answers = 1,
                           .criteria = &criterion,
                           .n_criteria = c != CR_OVERALL};
    CR_TRY(cr_judge_item(b->score[(index + (size_t)i) % N_SCORE], &item, &v, err));
    b->rows->n_prompts++;
    b->rows->n_unparsed += v.opinion.status != CR_VERDICT_OK;
    *out = v.opinion.status == CR_VERDICT_OK ? v.opinion.score : (double)NAN;
    cr_verdict_fini(&v);
    return CRITIC_OK;
}

/* Each answer alone, and by the two criteria whose scores lie farthest apart. */
static enum critic_status score_answers(struct bench *b, struct cr_micro_row *row,
                                        size_t index, critic_error *err) {
    for (int i = 0; i < 2; i++) {
        const int *truth = row->pair.answers[i].scores;
        int low = 0, high = 0;
        double by_low, by_high;
        CR_TRY(score_answer(b, row, i, CR_OVERALL, index, &row->score[i], err));
        for (int c = 0; c < CR_N_CRITERIA; c++) {
            low = truth[c] < truth[low] ? c : low;
            high = truth[c] > truth[high] ? c : high;
        }
        row->obeys[i] = -1;
        if (truth[high] - truth[low] < 30)
            continue;
        CR_TRY(score_answer(b, row, i, (enum cr_criterion)low, index, &by_low, err));
        CR_TRY(score_answer(b, row, i, (enum cr_criterion)high, index, &by_high, err));
        row->obeys[i] = by_low < by_high; /* false where one is NAN */
    }
    return CRITIC_OK;
}

/* ---- base questions ------------------------------------------------------------------------------ */

static enum critic_status answer(struct bench *b, const struct cr_line *question,
                                 struct cr_buf *out, critic_error *err) {
    struct cr_prompt *prompt = NULL;
    struct cr_seq *seq = NULL;
    struct cr_completion c;
    struct cr_generate_opts g;
    struct cr_usage usage = {0};
    cr_generate_opts_default(&g, b->engine);
    g.max_new_tokens = b->o->max_new_tokens;
    enum critic_status status = cr_prompt_new(&prompt, b->engine, err);
    if (status == CRITIC_OK)
        status = cr_prompt_chat(prompt, &b->image, 1, (struct cr_str){NULL, 0},
                                cr_line_str(question), err);
    if (status == CRITIC_OK)
        status = cr_prompt_finish(prompt, err);
    if (status == CRITIC_OK)
        status = cr_engine_prefill(b->engine, prompt, &seq, &usage, err);
    if (status == CRITIC_OK) {
        status = cr_generate(seq, 1, &g, &c, &usage, err);
        if (status == CRITIC_OK)
            status = cr_buf_append(out, c.text.data, c.text.len, err);
        cr_completion_fini(&c);
    }
    cr_seq_free(seq);
    cr_prompt_free(prompt);
    return status;
}

static enum critic_status ask_base(struct bench *b, struct cr_micro_row *row,
                                   size_t index, critic_error *err) {
    struct cr_turn_text turn;
    struct cr_rng r;
    cr_rng_seed_at(&r, b->o->seed ^ 0x6261736571756573u, index);
    for (unsigned k = 0; k < b->o->qa && k < CR_COUNT(row->qa_right); k++) {
        enum cr_family family = CR_FAMILY_DESCRIBE;
        struct cr_buf said;
        if (k > 0 ||
            !cr_base_turn(&turn, family, &row->scene, &r, b->o->split == CR_NOVEL))
            family = cr_base_draw(&turn, &row->scene, &r, b->o->split == CR_NOVEL);
        cr_buf_init(&said, 1 << 20);
        enum critic_status status = answer(b, &turn.question, &said, err);
        row->qa_family[k] = (uint8_t)family;
        row->qa_right[k] = cr_str_eq(cr_buf_str(&said), cr_line_str(&turn.answer));
        row->n_qa = k + 1;
        cr_buf_fini(&said);
        CR_TRY(status);
    }
    return CRITIC_OK;
}

/* ---- all of them ---------------------------------------------------------------------------------- */

static enum critic_status do_row(struct bench *b, struct cr_micro_row *row, size_t index,
                                 critic_error *err) {
    struct cr_rng r;
    bool novel_ok = b->o->split == CR_NOVEL;
    cr_scene_draw(&row->scene, b->o->split, b->o->seed, index, CR_LARGE_PERCENT);
    cr_rng_seed_at(&r, b->o->seed ^ 0x70616972u, index);
    cr_pair_draw(&row->pair, &row->scene, &r, index % 2 == 0, novel_ok);
    row->score[0] = row->score[1] = (double)NAN;
    row->obeys[0] = row->obeys[1] = row->agrees[0] = row->agrees[1] = -1;
    CR_TRY(draw_image(b, &row->scene, &b->image, err));
    CR_TRY(judge_orders(b, row, index, err));
    if (!b->o->quick) {
        CR_TRY(score_answers(b, row, index, err));
        CR_TRY(judge_controls(b, row, index, err));
    }
    return ask_base(b, row, index, err);
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
    for (size_t i = 0; i < opts->limit && status == CRITIC_OK; i++) {
        if (opts->cancel && opts->cancel(opts->user))
            status = cr_fail(err, CRITIC_CANCELLED, "cancelled");
        else
            status = do_row(&b, &out->rows[i], i, err);
        out->n += status == CRITIC_OK;
        if (status == CRITIC_OK && opts->on_item)
            opts->on_item(opts->user, i + 1, opts->limit);
    }
    close_bench(&b);
    out->seconds = cr_clock_seconds() - start;
    return status;
}
