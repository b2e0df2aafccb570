/* rounds.jsonl and report.html: what came out, a row a round, and answers side by side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "align/evaluate.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/grow.h"
#include "io/json.h"
#include "io/jsonl_order.h"
#include "report/page.h"

#define MAX_PATH_BYTES    ((size_t)1 << 16)
#define MAX_TEXT_BYTES    ((size_t)1 << 30)
#define MAX_PICTURE_BYTES ((size_t)4 << 20)

/* ---- rounds.jsonl ------------------------------------------------------------------------ */

static json_t *row_json(const struct cr_align_row *row, const json_t *details) {
    json_t *out = json_pack("{s:I,s:I,s:I,s:I}", "round", (json_int_t)row->round,
                            "prompts", (json_int_t)row->n, "failed",
                            (json_int_t)row->n_faults, "cut", (json_int_t)row->n_cut);
    for (int m = 0; m < CR_N_ALIGN; m++) {
        const struct cr_align_cell *c = &row->of[m];
        if (c->n > 0)
            json_object_set_new(out, cr_align_measure_name((enum cr_align_measure)m),
                                json_pack("{s:o,s:[o,o],s:I}", "value",
                                          cr_json_number(c->value), "ci",
                                          cr_json_number(c->low), cr_json_number(c->high),
                                          "n", (json_int_t)c->n));
    }
    if (details)
        json_object_set(out, "stages", (json_t *)(uintptr_t)details);
    return out;
}

static enum critic_status write_rounds(const struct cr_align_report *r,
                                       critic_error *err) {
    struct cr_buf path, text;
    enum critic_status status;
    cr_buf_init(&path, MAX_PATH_BYTES);
    cr_buf_init(&text, MAX_TEXT_BYTES);
    for (size_t i = 0; i < r->n_rows; i++) {
        json_t *row = row_json(&r->rows[i], json_array_get(r->details, i));
        status = cr_json_append(&text, row, err);
        json_decref(row);
        CR_TRY_GOTO(status);
        CR_TRY_GOTO(cr_buf_append(&text, "\n", 1, err));
    }
    CR_TRY_GOTO(cr_align_path(&path, r->out, "rounds.jsonl", err));
    CR_TRY_GOTO(cr_file_write(
        path.data,
        (struct cr_bytes){(const unsigned char *)(text.data ? text.data : ""), text.len},
        err));
fail:
    cr_buf_fini(&path);
    cr_buf_fini(&text);
    return status;
}

/* ---- the table --------------------------------------------------------------------------- */

static const struct {
    enum cr_align_measure m;
    const char *name, *help;
    int decimals;
    double scale;
} columns[] = {
    {CR_ALIGN_WIN, "Win rate, %",
     "Share of the win over round 0's answer by the critic, both orders, ties half.", 1,
     100},
    {CR_ALIGN_SCORE, "Critic's score", "Mean score that the critic gives the answers.", 1,
     1},
    {CR_ALIGN_QUALITY, "Oracle's quality",
     "Criterion overall of the micro world's oracle, 0 to 100.", 1, 1},
    {CR_ALIGN_GAIN, "Oracle's gain", "Quality less that of round 0 on the same prompts.",
     1, 1},
    {CR_ALIGN_DRAWN, "Quality as drawn", "The same of answers drawn at temperature 1.", 1,
     1},
    {CR_ALIGN_DRAWN_GAIN, "Gain as drawn", "Against round 0 on the same prompts.", 1, 1},
    {CR_ALIGN_TOKENS, "Tokens", "Of an answer.", 1, 1},
    {CR_ALIGN_KL, "KL, nats",
     "Of the policy from round 0's, an answer: mean log-ratio of answers drawn at "
     "temperature 1.",
     2, 1}};

static bool is_there(const struct cr_align_report *r, enum cr_align_measure m) {
    for (size_t i = 0; i < r->n_rows; i++)
        if (r->rows[i].of[m].n > 0)
            return true;
    return false;
}

static long long detail(const struct cr_align_report *r, size_t round, const char *stage,
                        const char *key) {
    const json_t *stages = json_array_get(r->details, round);
    return json_integer_value(json_object_get(json_object_get(stages, stage), key));
}

static void add_table(struct cr_page *page, const struct cr_align_report *r) {
    struct cr_column all[CR_COUNT(columns) + 3] = {
        {"Round", false, "0 is the policy as it came."},
        {"Pairs", true, "That the round trained on."},
        {"Without", true, "Prompts that gave no pair: ties, too few answers, faults."}};
    size_t n = 3, shown[CR_COUNT(columns)];
    for (size_t i = 0; i < CR_COUNT(columns); i++)
        if (is_there(r, columns[i].m)) {
            shown[n - 3] = i;
            all[n++] = (struct cr_column){columns[i].name, true, columns[i].help};
        }
    cr_page_table_begin(page, "Rounds, with 95 % bootstrap intervals over prompts", all,
                        n);
    for (size_t k = 0; k < r->n_rows; k++) {
        cr_page_cell(page, "%zu", r->rows[k].round);
        cr_page_cell(page, "%lld", detail(r, k, "judge", "pairs"));
        cr_page_cell(page, "%lld",
                     detail(r, k, "judge", "without_pair") +
                         detail(r, k, "judge", "failed"));
        for (size_t i = 0; i < n - 3; i++) {
            const struct cr_align_cell *c = &r->rows[k].of[columns[shown[i]].m];
            double scale = columns[shown[i]].scale;
            cr_page_interval(page, c->value * scale, c->low * scale, c->high * scale,
                             columns[shown[i]].decimals);
        }
    }
    cr_page_table_end(page);
}

/* The disease that an oracle can see: the critic's opinion rises and the quality does not. */
static void add_warnings(struct cr_page *page, const struct cr_align_report *r) {
    for (size_t k = 1; k < r->n_rows; k++) {
        const struct cr_align_cell *of = r->rows[k].of, *win = &of[CR_ALIGN_WIN],
                                   *gain = &of[CR_ALIGN_GAIN],
                                   *drawn = &of[CR_ALIGN_DRAWN_GAIN],
                                   *tokens = &of[CR_ALIGN_TOKENS];
        double before = r->rows[0].of[CR_ALIGN_TOKENS].value;
        if (win->low > 0.5 && gain->n > 0 && gain->low <= 0 && !(drawn->low > 0))
            cr_page_note(page, CR_TONE_RED,
                         "Round %zu: the critic prefers the new answers (%.1f %%), the "
                         "oracle sees no gain (%.1f, %.1f to %.1f). The policy has found "
                         "what the critic likes, not what is right.",
                         r->rows[k].round, 100 * win->value, gain->value, gain->low,
                         gain->high);
        if (before > 0 && tokens->value > 1.5 * before)
            cr_page_note(page, CR_TONE_AMBER,
                         "Round %zu: answers are %.1f times as long as in round 0.",
                         r->rows[k].round, tokens->value / before);
        if (r->rows[k].n_cut * 10 > r->rows[k].n)
            cr_page_note(page, CR_TONE_AMBER,
                         "Round %zu: %zu of %zu answers end at the limit of tokens.",
                         r->rows[k].round, r->rows[k].n_cut, r->rows[k].n);
    }
}

static void add_chart(struct cr_page *page, const struct cr_align_report *r,
                      enum cr_align_measure m, const char *title, const char *y_label) {
    double *at = calloc(4 * r->n_rows + 1, sizeof *at);
    if (!at || !is_there(r, m)) {
        free(at);
        return;
    }
    double *y = at + r->n_rows, *low = y + r->n_rows, *high = low + r->n_rows;
    for (size_t k = 0; k < r->n_rows; k++) {
        at[k] = (double)r->rows[k].round;
        y[k] = r->rows[k].of[m].value;
        low[k] = r->rows[k].of[m].low;
        high[k] = r->rows[k].of[m].high;
    }
    const struct cr_series series = {
        .name = y_label, .x = at, .y = y, .low = low, .high = high, .n = r->n_rows};
    const struct cr_chart chart = {.kind = CR_CHART_LINE,
                                   .title = title,
                                   .x_label = "Round",
                                   .y_label = y_label,
                                   .series = &series,
                                   .n_series = 1};
    cr_page_chart(page, &chart);
    free(at);
}

/* ---- examples ---------------------------------------------------------------------------- */

struct example {
    json_t *line;
    double change; /* of quality, else share - 0.5 */
    size_t at;
};
struct examples {
    struct example *list;
    size_t n, cap;
};

static enum critic_status keep_example(void *user, json_t *line, critic_error *err) {
    struct examples *all = user;
    const json_t *base = json_object_get(line, "base"), *a, *b, *share;
    if (cr_row_is_error(line) || !json_is_string(base) ||
        json_equal(base, json_object_get(line, "answer")))
        return CRITIC_OK;
    struct example *grown = cr_grow(all->list, all->n, &all->cap, sizeof *grown);
    if (!grown)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    all->list = grown;
    a = json_object_get(line, "quality");
    b = json_object_get(line, "base_quality");
    share = json_object_get(line, "share");
    double change = json_is_number(a) && json_is_number(b)
                        ? json_number_value(a) - json_number_value(b)
                    : json_is_number(share) ? json_number_value(share) - 0.5
                                            : 0;
    all->list[all->n] = (struct example){json_incref(line), change, all->n};
    all->n++;
    return CRITIC_OK;
}

static int by_change(const void *a, const void *b) {
    const struct example *x = a, *y = b;
    if (x->change != y->change)
        return x->change < y->change ? 1 : -1;
    return (x->at > y->at) - (x->at < y->at);
}

static void add_picture(struct cr_page *page, const char *folder, const json_t *line) {
    const char *name =
        json_string_value(json_array_get(json_object_get(line, "images"), 0));
    struct cr_buf path, file;
    if (!name || cr_is_data_url(cr_str_of(name)))
        return;
    cr_buf_init(&path, MAX_PATH_BYTES);
    cr_buf_init(&file, MAX_PICTURE_BYTES);
    if (cr_path_join(&path, folder, name, NULL) == CRITIC_OK &&
        cr_file_read(path.data, &file, NULL) == CRITIC_OK)
        cr_page_picture(
            page, (struct cr_bytes){(const unsigned char *)file.data, file.len}, name);
    cr_buf_fini(&path);
    cr_buf_fini(&file);
}

static void add_answer(struct cr_page *page, const json_t *line, const char *who,
                       const char *text_key, const char *quality_key) {
    const json_t *text = json_object_get(line, text_key),
                 *quality = json_object_get(line, quality_key);
    char label[80];
    if (json_is_number(quality))
        snprintf(label, sizeof label, "%s, quality %.0f", who,
                 json_number_value(quality));
    else
        snprintf(label, sizeof label, "%s", who);
    cr_page_quote(page, label,
                  (struct cr_str){json_string_value(text), json_string_length(text)});
}

static void add_example(struct cr_page *page, const struct cr_align_report *r,
                        const json_t *line) {
    const json_t *prompt = json_object_get(line, "prompt"),
                 *share = json_object_get(line, "share");
    char who[40];
    cr_page_subheading(page, json_string_value(json_object_get(line, "id")));
    add_picture(page, r->folder, line);
    cr_page_quote(page, "Prompt",
                  (struct cr_str){json_string_value(prompt), json_string_length(prompt)});
    add_answer(page, line, "Round 0", "base", "base_quality");
    snprintf(who, sizeof who, "Round %zu", r->rows[r->n_rows - 1].round);
    add_answer(page, line, who, "answer", "quality");
    if (json_is_number(share))
        cr_page_paragraph(page, "The critic's share of the win for the newer: %.2f",
                          json_number_value(share));
}

/* The largest changes for the better and for the worse, half of each. */
static enum critic_status
add_examples(struct cr_page *page, const struct cr_align_report *r, critic_error *err) {
    struct examples all = {0};
    struct cr_buf path, name;
    enum critic_status status;
    cr_buf_init(&path, MAX_PATH_BYTES);
    cr_buf_init(&name, MAX_PATH_BYTES);
    CR_TRY_GOTO(
        cr_buf_printf(&name, err, "round-%zu/eval.jsonl", r->rows[r->n_rows - 1].round));
    CR_TRY_GOTO(cr_align_path(&path, r->out, name.data, err));
    CR_TRY_GOTO(cr_align_lines(path.data, keep_example, &all, err));
    if (all.n > 0)
        qsort(all.list, all.n, sizeof *all.list, by_change);
    size_t n = CR_MIN(r->n_examples, all.n), n_better = n - n / 2;
    if (n > 0)
        cr_page_heading(page, "Answers that changed most");
    for (size_t i = 0; i < n; i++)
        add_example(page, r, all.list[i < n_better ? i : all.n - n + i].line);
fail:
    for (size_t i = 0; i < all.n; i++)
        json_decref(all.list[i].line);
    free(all.list);
    cr_buf_fini(&path);
    cr_buf_fini(&name);
    return status;
}

enum critic_status cr_align_report_write(const struct cr_align_report *r,
                                         critic_error *err) {
    struct cr_page *page = NULL;
    struct cr_buf path;
    enum critic_status status;
    cr_buf_init(&path, MAX_PATH_BYTES);
    CR_TRY_GOTO(write_rounds(r, err));
    CR_TRY_GOTO(cr_page_new(&page, "Preference learning", err));
    cr_page_subtitle(page, "%zu rounds; critic: %s; %zu prompts in the evaluation",
                     r->n_rows - 1, r->critic, r->rows[0].n);
    cr_page_heading(page, "Rounds");
    add_warnings(page, r);
    add_table(page, r);
    add_chart(page, r, CR_ALIGN_QUALITY, "Oracle's quality", "Quality");
    add_chart(page, r, CR_ALIGN_WIN, "Share of the win over round 0", "Win rate");
    add_chart(page, r, CR_ALIGN_TOKENS, "Length of answers", "Tokens");
    add_chart(page, r, CR_ALIGN_KL, "Divergence from round 0", "KL, nats");
    if (r->n_rows > 1)
        CR_TRY_GOTO(add_examples(page, r, err));
    CR_TRY_GOTO(cr_align_path(&path, r->out, "report.html", err));
    CR_TRY_GOTO(cr_page_write(page, path.data, err));
fail:
    cr_page_free(page);
    cr_buf_fini(&path);
    return status;
}
