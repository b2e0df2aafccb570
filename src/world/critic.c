#include "world/critic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "io/jsonl.h"
#include "judge/template.h"
#include "world/base.h"
#include "world/world.h"

enum {
    CHUNK = 256,
    MAX_TEXT = 4 << 20,
    MAX_LINE = 1 << 20,
    MAX_TEMPLATES = 64,
    MAX_JUDGEMENTS = 64
};
enum { PUBLISHED, PACKED, ORACLE, N_FILES };
static const char *const file_names[N_FILES] = {"critic", "critic-packed",
                                                "critic-oracle"};

static const char *const manner_names[CR_N_MANNERS] = {"first", "reason", "only"};

const char *cr_manner_name(enum cr_manner m) {
    return manner_names[m];
}

void cr_critic_opts_default(struct cr_critic_opts *o) {
    *o = (struct cr_critic_opts){.seed = 1,
                                 .pairs = 3,
                                 .points = 2,
                                 .base = 12,
                                 .manner_percent = {35, 50, 15},
                                 .n_threads = 1};
}

/* ---- templates --------------------------------------------------------------------------------------- */

/* The built-in templates micro-pair-… and micro-score-…, by manner. */
struct shelf {
    struct cr_template *all[MAX_TEMPLATES];
    unsigned n;
    const struct cr_template *by[2][CR_N_MANNERS][MAX_TEMPLATES]; /* 0 score, 1 pair */
    unsigned n_by[2][CR_N_MANNERS];
};

static void shelf_close(struct shelf *shelf) {
    for (unsigned i = 0; i < shelf->n; i++)
        cr_template_free(shelf->all[i]);
}

static enum critic_status shelf_open(struct shelf *shelf, critic_error *err) {
    memset(shelf, 0, sizeof *shelf);
    for (size_t i = 0; i < cr_template_n_builtin(); i++) {
        const char *name = cr_template_builtin_name(i);
        bool pair = strncmp(name, "micro-pair-", 11) == 0;
        const char *dash = strrchr(name, '-');
        if (!pair && strncmp(name, "micro-score-", 12) != 0)
            continue;
        CR_ASSERT(shelf->n < MAX_TEMPLATES);
        CR_TRY(cr_template_open(&shelf->all[shelf->n], name, err));
        for (unsigned m = 0; m < CR_N_MANNERS; m++)
            if (dash && strcmp(dash + 1, manner_names[m]) == 0)
                shelf->by[pair][m][shelf->n_by[pair][m]++] = shelf->all[shelf->n];
        shelf->n++;
    }
    for (unsigned m = 0; m < CR_N_MANNERS; m++)
        CR_ASSERT(shelf->n_by[0][m] > 0 && shelf->n_by[1][m] > 0);
    return CRITIC_OK;
}

/* ---- one judgement -------------------------------------------------------------------------------------- */

struct judgement {
    bool is_pair;
    struct cr_pair pair; /* of one answer: ask, answers[0], criterion */
    const struct cr_template *t;
    enum cr_manner manner;
    bool is_rubric;
    bool says_criterion;
    bool has_reference;
    char reference[1024];
    int verdict;         /* one answer: on the template's scale */
    struct cr_line said; /* what the judge writes */
};

struct job {
    const struct cr_critic_opts *o;
    const struct shelf *shelf;
    const struct cr_scene *s;
    struct cr_rng *r;
    bool novel_ok;
};

static unsigned subject(const struct judgement *g) {
    return g->is_rubric ? (unsigned)CR_RUBRIC : (unsigned)g->pair.criterion;
}

static void add_verdict(struct judgement *g) {
    struct cr_line *l = &g->said;
    if (!g->is_pair)
        cr_line_addf(l, "%s: [%d]", g->is_rubric ? "Rating" : "Score", g->verdict);
    else if (g->pair.gap == 0)
        cr_line_add(l, "Two responses are equally good.");
    else
        cr_line_addf(l, "The better response: [%.*s].",
                     (int)g->t->labels[g->pair.gap < 0].text.len,
                     g->t->labels[g->pair.gap < 0].text.data);
}

static void add_reason(struct judgement *g, const struct cr_scene *s) {
    bool walk = g->manner == CR_REASON_FIRST;
    if (walk)
        cr_reason_scan(&g->said, s, &g->pair.ask);
    for (int i = 0; i < 1 + g->is_pair; i++) {
        if (g->is_pair) {
            struct cr_str label = g->t->labels[i].text;
            char c = label.data[0];
            cr_line_addf(&g->said, "%c%.*s: ", c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c,
                         (int)label.len - 1, label.data + 1);
        }
        if (walk)
            cr_reason_walk(&g->said, s, &g->pair.ask, &g->pair.answers[i], subject(g),
                           !g->is_rubric);
        else
            cr_reason_faults(&g->said, s, &g->pair.ask, &g->pair.answers[i], subject(g));
        if (i < g->is_pair)
            cr_line_add(&g->said, "\n");
    }
}

/* Template, manner and wording of a judgement whose content is chosen. */
static void word(const struct job *j, struct judgement *g) {
    g->manner =
        (enum cr_manner)cr_draw_weighted(j->r, j->o->manner_percent, CR_N_MANNERS);
    g->t = j->shelf->by[g->is_pair][g->manner]
                       [cr_draw(j->r, j->shelf->n_by[g->is_pair][g->manner])];
    g->is_rubric = !g->is_pair && g->t->rule.formats[0] == CR_FORMAT_RATING;
    g->has_reference = false;
    g->says_criterion =
        !g->is_rubric && (g->pair.criterion != CR_OVERALL || cr_chance(j->r, 15));
    if (!g->is_pair) {
        const struct cr_answer *a = &g->pair.answers[0];
        g->verdict = g->is_rubric ? a->rating
                                  : cr_on_scale(a->scores[g->pair.criterion],
                                                (int)g->t->rule.scale.min,
                                                (int)g->t->rule.scale.max);
        if (cr_chance(j->r, 8)) {
            struct cr_answer perfect;
            cr_answer_perfect(&perfect, j->s, &g->pair.ask);
            memcpy(g->reference, perfect.text, perfect.len + 1);
            g->has_reference = true;
        }
    }
    cr_line_clear(&g->said);
    if (g->manner != CR_REASON_FIRST)
        add_verdict(g);
    if (g->manner == CR_VERDICT_FIRST)
        cr_line_add(&g->said, "\n");
    if (g->manner != CR_VERDICT_ONLY)
        add_reason(g, j->s);
    if (g->manner == CR_REASON_FIRST) {
        cr_line_add(&g->said, "\n");
        add_verdict(g);
    }
}

/* A bare short answer, right or wrong, to any kind of short question alike: most of what a policy says to them,
 * and rare among answers drawn by their score. */
static void draw_short(const struct job *j, struct judgement *g) {
    static const unsigned kinds[CR_N_ASKS] = {
        [CR_ASK_AT] = 1,     [CR_ASK_COUNT] = 1, [CR_ASK_EXISTS] = 1,  [CR_ASK_WHERE] = 1,
        [CR_ASK_COLOUR] = 1, [CR_ASK_DIGIT] = 1, [CR_ASK_RELATION] = 2};
    unsigned want = cr_draw_weighted(j->r, kinds, CR_N_ASKS), tries = 0;
    do { /* a scene may have no such question */
        cr_ask_draw(&g->pair.ask, j->s, j->r, j->novel_ok);
    } while (!cr_ask_is_short(&g->pair.ask) ||
             (g->pair.ask.kind != want && ++tries < 60));
    g->is_pair = g->pair.is_swap = false;
    g->pair.criterion = CR_OVERALL;
    cr_answer_bare(&g->pair.answers[0], j->s, &g->pair.ask, cr_chance(j->r, 50), j->r,
                   j->novel_ok);
}

/* One answer, mostly one whose score lies in a range drawn beforehand, so that all scores are about as common and
 * full ones are not the rule. */
static void draw_point(const struct job *j, struct judgement *g) {
    static const unsigned weights[6] = {14, 16, 17, 19, 20, 14}; /* 0-19 … 80-99, 100 */
    static const unsigned criteria[CR_N_CRITERIA] = {44, 14, 14, 10, 9, 9};
    static const unsigned skills[6] = {14, 20, 20, 18, 14, 14};
    if (cr_chance(j->r, 22)) {
        draw_short(j, g);
        return;
    }
    unsigned want = cr_draw_weighted(j->r, weights, 6);
    g->is_pair = false;
    g->pair.criterion =
        (enum cr_criterion)cr_draw_weighted(j->r, criteria, CR_N_CRITERIA);
    for (unsigned tries = 0; tries < 36; tries++) {
        struct cr_answer *a = &g->pair.answers[0];
        if (tries % 3 == 0)
            cr_ask_draw(&g->pair.ask, j->s, j->r, j->novel_ok);
        cr_answer_speak(a, j->s, &g->pair.ask, cr_draw_weighted(j->r, skills, 6), j->r,
                        j->novel_ok);
        if ((unsigned)a->scores[g->pair.criterion] / 20 == want)
            break;
        if (tries == 24) /* hardly to be had by this criterion */
            g->pair.criterion = CR_OVERALL;
    }
    g->pair.is_swap = false;
}

/* The same answer under a criterion that scores it at least 30 points otherwise. */
static bool swap_point(const struct job *j, struct judgement *g) {
    unsigned start = cr_draw(j->r, CR_N_CRITERIA);
    const int *scores = g->pair.answers[0].scores;
    for (unsigned i = 0; i < CR_N_CRITERIA; i++) {
        enum cr_criterion c = (enum cr_criterion)((start + i) % CR_N_CRITERIA);
        if (abs(scores[c] - scores[g->pair.criterion]) < 30)
            continue;
        g->pair.criterion = c;
        g->pair.is_swap = true;
        return true;
    }
    return false;
}

/* ---- writing ---------------------------------------------------------------------------------------------- */

static enum critic_status render(const struct judgement *g, struct cr_buf *out,
                                 critic_error *err) {
    struct cr_str answers[2] = {{g->pair.answers[0].text, g->pair.answers[0].len},
                                {g->pair.answers[1].text, g->pair.answers[1].len}};
    struct cr_template_values v = {.question = cr_str_of(g->pair.ask.text),
                                   .answers = answers,
                                   .n_answers = g->is_pair ? 2 : 1,
                                   .scale = g->t->rule.scale};
    if (g->has_reference)
        v.reference = cr_str_of(g->reference);
    if (g->says_criterion)
        v.criterion = cr_str_of(cr_criterion_name(g->pair.criterion));
    cr_buf_clear(out);
    return cr_template_render(g->t, &v, out, err);
}

static enum critic_status add_claims(struct cr_buf *out, const struct cr_scene *s,
                                     const struct cr_ask *ask, const struct cr_answer *a,
                                     critic_error *err) {
    static const char *const kinds[] = {"object", "answer", "padding"};
    CR_TRY(cr_buf_append_c(out, "[", err));
    for (unsigned i = 0; i < a->n; i++) {
        const struct cr_claim *c = &a->claims[i];
        struct cr_line said;
        cr_line_clear(&said);
        if (c->kind == CR_CLAIM_OBJECT)
            cr_desc_add(&said, &c->said);
        else if (c->kind == CR_CLAIM_VALUE)
            cr_value_add(&said, ask, s->side, c->value);
        CR_TRY(
            cr_buf_printf(out, err, "%s{\"kind\":\"%s\"", i ? "," : "", kinds[c->kind]));
        if (c->kind == CR_CLAIM_OBJECT)
            CR_TRY(cr_buf_printf(out, err, ",\"cell\":%d", c->cell));
        if (c->kind != CR_CLAIM_PADDING)
            CR_TRY(
                cr_buf_printf(out, err,
                              ",\"said\":\"%s\",\"true\":%d,\"full\":%d,\"invented\":%d,"
                              "\"asked\":%d",
                              said.text, c->is_true, c->is_full, c->invented, c->asked));
        CR_TRY(cr_buf_append_c(out, "}", err));
    }
    return cr_buf_append_c(out, "]", err);
}

static enum critic_status add_scores(struct cr_buf *out, const struct cr_answer *a,
                                     critic_error *err) {
    CR_TRY(cr_buf_append_c(out, "{", err));
    for (int c = 0; c < CR_N_CRITERIA; c++)
        CR_TRY(cr_buf_printf(out, err, "\"%s\":%d,",
                             cr_criterion_name((enum cr_criterion)c), a->scores[c]));
    return cr_buf_printf(
        out, err,
        "\"rating\":%d,\"claims\":%u,\"true\":%u,\"invented\":%u,\"found\":%u,"
        "\"statements\":%u,\"asked\":%u}",
        a->rating, a->n_claims, a->n_true, a->n_invented, a->n_found, a->n_statements,
        a->n_asked);
}

/* The item: what `critic judge --input` reads. */
static enum critic_status add_oracle_item(struct cr_buf *out, const struct judgement *g,
                                          const char *id, const char *image,
                                          critic_error *err) {
    CR_TRY(cr_buf_printf(out, err, "{\"id\":\"%s\",\"images\":[\"%s\"],\"question\":", id,
                         image));
    CR_TRY(cr_add_json_str(out, cr_str_of(g->pair.ask.text), err));
    CR_TRY(cr_buf_append_c(out, ",\"responses\":[", err));
    for (int i = 0; i < 1 + g->is_pair; i++) {
        CR_TRY(cr_buf_append_c(out, i ? "," : "", err));
        CR_TRY(cr_add_json_str(out, cr_str_of(g->pair.answers[i].text), err));
    }
    CR_TRY(cr_buf_append_c(out, "]", err));
    if (g->says_criterion)
        CR_TRY(cr_buf_printf(out, err, ",\"criteria\":[\"%s\"]",
                             cr_criterion_name(g->pair.criterion)));
    if (g->has_reference) {
        CR_TRY(cr_buf_append_c(out, ",\"reference\":", err));
        CR_TRY(cr_add_json_str(out, cr_str_of(g->reference), err));
    }
    return CRITIC_OK;
}

static enum critic_status add_oracle(struct cr_buf *out, const struct job *j,
                                     const struct judgement *g, const char *id,
                                     const struct cr_scene_line *line,
                                     critic_error *err) {
    static const char *const verdicts[] = {"second", "tie", "first"};
    struct cr_line value;
    cr_line_clear(&value);
    if (g->pair.ask.has_value)
        cr_value_add(&value, &g->pair.ask, j->s->side, g->pair.ask.value);
    CR_TRY(add_oracle_item(out, g, id, line->image, err));
    CR_TRY(cr_buf_printf(
        out, err,
        ",\"scene\":\"%s\",\"kind\":\"%s\",\"family\":\"%s\",\"by\":\"%s\","
        "\"template\":\"%s\",\"manner\":\"%s\",\"swap\":%s,\"facts\":%u",
        line->id, g->is_pair ? "pair" : "score", cr_ask_name(g->pair.ask.kind),
        g->is_rubric ? "rubric" : cr_criterion_name(g->pair.criterion), g->t->name,
        cr_manner_name(g->manner), g->pair.is_swap ? "true" : "false",
        g->pair.ask.n_facts));
    if (g->pair.ask.has_value)
        CR_TRY(cr_buf_printf(out, err, ",\"truth\":\"%s\"", value.text));
    if (g->is_pair)
        CR_TRY(cr_buf_printf(out, err, ",\"gap\":%d,\"verdict\":\"%s\"", g->pair.gap,
                             verdicts[g->pair.gap > 0 ? 2 : g->pair.gap == 0]));
    else
        CR_TRY(cr_buf_printf(out, err, ",\"scale\":[%d,%d],\"verdict\":%d",
                             (int)g->t->rule.scale.min, (int)g->t->rule.scale.max,
                             g->verdict));
    CR_TRY(cr_buf_append_c(out, ",\"scores\":[", err));
    for (int i = 0; i < 1 + g->is_pair; i++) {
        CR_TRY(cr_buf_append_c(out, i ? "," : "", err));
        CR_TRY(add_scores(out, &g->pair.answers[i], err));
    }
    CR_TRY(cr_buf_append_c(out, "],\"claims\":[", err));
    for (int i = 0; i < 1 + g->is_pair; i++) {
        CR_TRY(cr_buf_append_c(out, i ? "," : "", err));
        CR_TRY(add_claims(out, j->s, &g->pair.ask, &g->pair.answers[i], err));
    }
    return cr_buf_append_c(out, "]}\n", err);
}

/* ---- one scene ---------------------------------------------------------------------------------------------- */

struct item {
    struct cr_scene_line line;
    struct cr_buf text[N_FILES], prompt;
    struct cr_critic_result sums;
    enum critic_status status;
    critic_error err;
};

static void exchange(struct judgement *g) {
    struct cr_answer a = g->pair.answers[0];
    g->pair.answers[0] = g->pair.answers[1];
    g->pair.answers[1] = a;
    g->pair.gap = -g->pair.gap;
}

static enum critic_status open_record(struct cr_buf *out, const char *id,
                                      const char *source,
                                      const struct cr_scene_line *line,
                                      critic_error *err) {
    return cr_buf_printf(
        out, err,
        "{\"id\":\"%s\",\"source\":\"%s\",\"image\":\"%s/%s\",\"conversations\":[", id,
        source, cr_split_name(line->split), line->image);
}

/* Adds a worded judgement to all three files. */
static enum critic_status emit(struct item *it, const struct job *j,
                               const struct judgement *g, const char *suffix,
                               critic_error *err) {
    char id[96];
    struct cr_str said = cr_line_str(&g->said);
    unsigned long long k =
        (unsigned long long)(g->is_pair ? it->sums.n_pairs : it->sums.n_points);
    snprintf(id, sizeof id, "%s-%c%llu%s", it->line.id, g->is_pair ? 'p' : 's', k,
             suffix);
    CR_TRY(render(g, &it->prompt, err));
    CR_TRY(open_record(&it->text[PUBLISHED], id,
                       g->is_pair ? "micro-pairwise" : "micro-pointwise", &it->line,
                       err));
    CR_TRY(cr_add_pair(&it->text[PUBLISHED], true, cr_buf_str(&it->prompt), said, err));
    CR_TRY(cr_buf_append_c(&it->text[PUBLISHED], "]}\n", err));
    CR_TRY(cr_add_pair(&it->text[PACKED], false, cr_buf_str(&it->prompt), said, err));
    it->sums.answer_bytes += said.len;
    return add_oracle(&it->text[ORACLE], j, g, id, &it->line, err);
}

static enum critic_status add_pairs(struct item *it, const struct job *j,
                                    critic_error *err) {
    struct judgement g = {.is_pair = true};
    for (unsigned k = 0; k < j->o->pairs; k++) {
        bool again = k > 0 && !g.pair.is_swap && cr_chance(j->r, 40) &&
                     cr_pair_swap(&g.pair, j->r);
        if (!again)
            cr_pair_draw(&g.pair, j->s, j->r, (it->line.index + k) % 2 == 0, j->novel_ok);
        word(j, &g);
        CR_TRY(emit(it, j, &g, j->o->both_orders ? "a" : "", err));
        if (j->o->both_orders) {
            struct judgement other = g;
            exchange(&other);
            word(j, &other);
            CR_TRY(emit(it, j, &other, "b", err));
        }
        it->sums.n_pairs++;
    }
    return CRITIC_OK;
}

static enum critic_status add_points(struct item *it, const struct job *j,
                                     critic_error *err) {
    struct judgement g;
    memset(&g, 0, sizeof g);
    for (unsigned k = 0; k < j->o->points; k++) {
        bool again = k > 0 && !g.pair.is_swap && !g.is_rubric && cr_chance(j->r, 50) &&
                     swap_point(j, &g);
        if (!again)
            draw_point(j, &g);
        word(j, &g);
        CR_TRY(emit(it, j, &g, "", err));
        it->sums.n_points++;
    }
    return CRITIC_OK;
}

static enum critic_status add_base(struct item *it, const struct job *j,
                                   critic_error *err) {
    struct cr_turn_text turn;
    for (unsigned k = 0; k < j->o->base; k++) {
        if (k == 0)
            (void)cr_base_turn(&turn, CR_FAMILY_DESCRIBE, j->s, j->r, j->novel_ok);
        else
            (void)cr_base_draw(&turn, j->s, j->r, j->novel_ok);
        CR_TRY(cr_add_pair(&it->text[PACKED], k == 0, cr_line_str(&turn.question),
                           cr_line_str(&turn.answer), err));
        it->sums.n_base_turns++;
        it->sums.answer_bytes += turn.answer.len;
        it->sums.base_answer_bytes += turn.answer.len;
    }
    return CRITIC_OK;
}

static enum critic_status make_item(struct item *it, const struct cr_critic_opts *o,
                                    const struct shelf *shelf, critic_error *err) {
    struct cr_rng r;
    char id[64];
    struct job j = {o, shelf, &it->line.scene, &r, it->line.split == CR_NOVEL};
    for (int k = 0; k < N_FILES; k++)
        cr_buf_clear(&it->text[k]);
    memset(&it->sums, 0, sizeof it->sums);
    it->sums.n_scenes = 1;
    cr_world_rng(&r, CR_STREAM_CRITIC, it->line.split, o->seed, it->line.index);
    snprintf(id, sizeof id, "%s-all", it->line.id);
    CR_TRY(open_record(&it->text[PACKED], id, "micro-packed", &it->line, err));
    CR_TRY(add_base(it, &j, err));
    CR_TRY(add_pairs(it, &j, err));
    CR_TRY(add_points(it, &j, err));
    return cr_buf_append_c(&it->text[PACKED], "]}\n", err);
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

struct run {
    const struct cr_critic_opts *o;
    struct shelf shelf;
    struct item *items;
    struct cr_out files[N_FILES];
    struct cr_jsonl_reader in;
    struct cr_critic_result *result;
};

static void add_up(struct cr_critic_result *to, const struct cr_critic_result *from) {
    to->n_scenes += from->n_scenes;
    to->n_pairs += from->n_pairs;
    to->n_points += from->n_points;
    to->n_base_turns += from->n_base_turns;
    to->answer_bytes += from->answer_bytes;
    to->base_answer_bytes += from->base_answer_bytes;
}

static enum critic_status read_chunk(struct run *run, size_t most, size_t *n,
                                     critic_error *err) {
    char where[4200];
    for (*n = 0; *n < most; (*n)++) {
        struct cr_str line;
        CR_TRY(cr_jsonl_next(&run->in, &line, err));
        if (!line.data)
            break;
        snprintf(where, sizeof where, "%s:%zu", run->o->scenes, run->in.line_number);
        CR_TRY(cr_scene_read(&run->items[*n].line, line, where, err));
        if (run->items[*n].line.scene.n == 0)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "%s: a scene without objects; expected one or more", where);
    }
    return CRITIC_OK;
}

static enum critic_status write_chunk(struct run *run, size_t n, critic_error *err) {
    for (size_t i = 0; i < n; i++) {
        struct item *it = &run->items[i];
        if (it->status != CRITIC_OK) {
            if (err)
                *err = it->err;
            return it->status;
        }
        for (int k = 0; k < N_FILES; k++)
            CR_TRY(cr_out_write(&run->files[k], it->text[k].data, it->text[k].len, err));
        add_up(run->result, &it->sums);
    }
    return CRITIC_OK;
}

static enum critic_status run_all(struct run *run, critic_error *err) {
    const struct cr_critic_opts *o = run->o;
    size_t limit = o->limit ? o->limit : SIZE_MAX;
    for (size_t done = 0, n = 1; done < limit && n > 0; done += n) {
        if (o->cancel && o->cancel(o->user))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
        CR_TRY(read_chunk(run, CR_MIN(limit - done, (size_t)CHUNK), &n, err));
#pragma omp parallel for schedule(dynamic, 8) num_threads(o->n_threads)
        for (size_t i = 0; i < n; i++)
            run->items[i].status =
                make_item(&run->items[i], o, &run->shelf, &run->items[i].err);
        CR_TRY(write_chunk(run, n, err));
        if (o->on_progress)
            o->on_progress(o->user, done + n, o->limit);
    }
    for (int k = 0; k < N_FILES; k++)
        CR_TRY(cr_out_commit(&run->files[k], err));
    return CRITIC_OK;
}

static enum critic_status open_files(struct run *run, critic_error *err) {
    struct cr_buf folder, path;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&folder, 1 << 16);
    cr_buf_init(&path, 1 << 16);
    if (run->o->out)
        CR_TRY_GOTO(cr_buf_append_c(&folder, run->o->out, err));
    else
        CR_TRY_GOTO(cr_path_parent(&folder, run->o->scenes, err));
    CR_TRY_GOTO(cr_dir_make(folder.data, err));
    for (int k = 0; k < N_FILES; k++) {
        cr_buf_clear(&path);
        CR_TRY_GOTO(cr_buf_printf(&path, err, "%s/%s.jsonl", folder.data, file_names[k]));
        if (!run->o->force && cr_file_exists(path.data)) {
            status = cr_fail(err, CRITIC_BAD_ARGUMENT,
                             "%s: is there already; --force replaces it", path.data);
            goto fail;
        }
        CR_TRY_GOTO(cr_out_open(&run->files[k], path.data, err));
    }
fail:
    cr_buf_fini(&folder);
    cr_buf_fini(&path);
    return status;
}

static enum critic_status open_run(struct run *run, critic_error *err) {
    CR_TRY(cr_jsonl_open(&run->in, run->o->scenes, MAX_LINE, err));
    CR_TRY(shelf_open(&run->shelf, err));
    run->items = calloc(CHUNK, sizeof *run->items);
    if (!run->items)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %d scenes", CHUNK);
    for (size_t i = 0; i < CHUNK; i++) {
        cr_buf_init(&run->items[i].prompt, MAX_TEXT);
        for (int k = 0; k < N_FILES; k++)
            cr_buf_init(&run->items[i].text[k], MAX_TEXT);
    }
    return open_files(run, err);
}

enum critic_status cr_critic_generate(const struct cr_critic_opts *opts,
                                      struct cr_critic_result *result,
                                      critic_error *err) {
    memset(result, 0, sizeof *result);
    if (opts->pairs > MAX_JUDGEMENTS || opts->points > MAX_JUDGEMENTS ||
        opts->pairs + opts->points == 0 || opts->base < 1 ||
        opts->base > MAX_JUDGEMENTS || opts->n_threads < 1)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "pairs, points, base turns or threads out of range; expected up to %d "
            "judgements and 1 to %d base turns",
            MAX_JUDGEMENTS, MAX_JUDGEMENTS);
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory");
    run->o = opts;
    run->result = result;
    run->in.fd = -1;
    enum critic_status status = open_run(run, err);
    if (status == CRITIC_OK)
        status = run_all(run, err);
    for (size_t i = 0; run->items && i < CHUNK; i++) {
        cr_buf_fini(&run->items[i].prompt);
        for (int k = 0; k < N_FILES; k++)
            cr_buf_fini(&run->items[i].text[k]);
    }
    free(run->items);
    shelf_close(&run->shelf);
    for (int k = 0; k < N_FILES; k++)
        cr_out_abort(&run->files[k]);
    cr_jsonl_close(&run->in);
    free(run);
    return status;
}
