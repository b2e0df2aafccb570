/* A round in numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "align/evaluate.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/grow.h"
#include "eval/stats_boot.h"

#define MAX_PATH_BYTES ((size_t)1 << 16)

const char *cr_align_measure_name(enum cr_align_measure m) {
    static const char *const names[CR_N_ALIGN] = {[CR_ALIGN_WIN] = "win",
                                                  [CR_ALIGN_SCORE] = "score",
                                                  [CR_ALIGN_SCORE_GAIN] = "score_gain",
                                                  [CR_ALIGN_QUALITY] = "quality",
                                                  [CR_ALIGN_GAIN] = "gain",
                                                  [CR_ALIGN_DRAWN] = "drawn",
                                                  [CR_ALIGN_DRAWN_GAIN] = "drawn_gain",
                                                  [CR_ALIGN_TOKENS] = "tokens",
                                                  [CR_ALIGN_KL] = "kl"};
    return names[m];
}

struct values {
    double *x;
    size_t n, cap;
};
struct sums {
    struct cr_align_row *row;
    struct values of[CR_N_ALIGN];
};

static enum critic_status push(struct sums *s, enum cr_align_measure m, double x,
                               critic_error *err) {
    struct values *v = &s->of[m];
    double *grown = cr_grow(v->x, v->n, &v->cap, sizeof *grown);
    if (!grown)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    v->x = grown;
    v->x[v->n++] = x;
    return CRITIC_OK;
}

/* The number under `key`, less that under `minus` (NULL: nothing); NAN where one is not there. */
static double number(const json_t *line, const char *key, const char *minus) {
    const json_t *a = json_object_get(line, key),
                 *b = minus ? json_object_get(line, minus) : NULL;
    if (!json_is_number(a) || (minus && !json_is_number(b)))
        return (double)NAN;
    return json_number_value(a) - (minus ? json_number_value(b) : 0);
}

static bool is_ok(const json_t *line) {
    const char *status = json_string_value(json_object_get(line, "status"));
    return status && strcmp(status, "ok") == 0;
}

static enum critic_status add_line(void *user, json_t *line, critic_error *err) {
    static const struct {
        enum cr_align_measure m;
        const char *key, *minus;
    } keys[] = {{CR_ALIGN_WIN, "share", NULL},
                {CR_ALIGN_SCORE, "score", NULL},
                {CR_ALIGN_SCORE_GAIN, "score", "base_score"},
                {CR_ALIGN_QUALITY, "quality", NULL},
                {CR_ALIGN_GAIN, "quality", "base_quality"},
                {CR_ALIGN_TOKENS, "tokens", NULL}};
    struct sums *s = user;
    const char *finish = json_string_value(json_object_get(line, "finish_reason"));
    s->row->n_faults += !is_ok(line);
    if (!is_ok(line))
        return CRITIC_OK;
    s->row->n++;
    s->row->n_cut += finish && strcmp(finish, "length") == 0;
    for (size_t i = 0; i < CR_COUNT(keys); i++) {
        double x = number(line, keys[i].key, keys[i].minus);
        if (!isnan(x))
            CR_TRY(push(s, keys[i].m, x, err));
    }
    return CRITIC_OK;
}

static enum critic_status add_drawn(void *user, json_t *line, critic_error *err) {
    struct sums *s = user;
    double quality = number(line, "quality", NULL),
           gain = number(line, "quality", "base_quality");
    if (!is_ok(line))
        return CRITIC_OK;
    if (!isnan(quality))
        CR_TRY(push(s, CR_ALIGN_DRAWN, quality, err));
    return isnan(gain) ? CRITIC_OK : push(s, CR_ALIGN_DRAWN_GAIN, gain, err);
}

static enum critic_status add_ratio(void *user, json_t *line, critic_error *err) {
    struct sums *s = user;
    size_t i;
    json_t *draw;
    json_array_foreach(json_object_get(line, "draws"), i, draw) {
        double ratio = number(draw, "logprob", "start_logprob");
        if (is_ok(line) && !isnan(ratio))
            CR_TRY(push(s, CR_ALIGN_KL, ratio, err));
    }
    return CRITIC_OK;
}

static enum critic_status fill(struct cr_align_cell *c, const struct values *v,
                               critic_error *err) {
    struct cr_boot_options o;
    struct cr_boot boot;
    *c = (struct cr_align_cell){(double)NAN, (double)NAN, (double)NAN, v->n};
    if (v->n == 0)
        return CRITIC_OK;
    cr_boot_options_default(&o);
    CR_TRY(cr_boot_mean(&boot, v->x, NULL, v->n, NULL, 0, &o, err));
    c->value = boot.estimate.value;
    c->low = boot.interval.low;
    c->high = boot.interval.high;
    return CRITIC_OK;
}

enum critic_status cr_align_row_read(struct cr_align_row *out, size_t round,
                                     const char *folder, critic_error *err) {
    struct sums s = {.row = out};
    struct cr_buf path;
    enum critic_status status;
    *out = (struct cr_align_row){.round = round};
    cr_buf_init(&path, MAX_PATH_BYTES);
    CR_TRY_GOTO(cr_align_path(&path, folder, "eval.jsonl", err));
    CR_TRY_GOTO(cr_align_lines(path.data, add_line, &s, err));
    CR_TRY_GOTO(cr_align_path(&path, folder, "drawn.jsonl", err));
    if (cr_file_exists(path.data))
        CR_TRY_GOTO(cr_align_lines(path.data, add_drawn, &s, err));
    CR_TRY_GOTO(cr_align_path(&path, folder, "ratios.jsonl", err));
    if (cr_file_exists(path.data))
        CR_TRY_GOTO(cr_align_lines(path.data, add_ratio, &s, err));
    for (size_t m = 0; m < CR_N_ALIGN; m++)
        CR_TRY_GOTO(fill(&out->of[m], &s.of[m], err));
fail:
    for (size_t m = 0; m < CR_N_ALIGN; m++)
        free(s.of[m].x);
    cr_buf_fini(&path);
    return status;
}
