#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/grow.h"
#include "io/json.h"
#include "io/jsonl.h"
#include "rater/rater_impl.h"

#define MAX_LINE  ((size_t)256 << 20)
#define MAX_ARENA ((size_t)1 << 36)

/* One line's verdict on an item, in one order of its answers. */
struct entry {
    struct cr_str id;
    uint64_t
        content; /* of the line's answers, where lines of this id differ in them; else 0 */
    bool swapped;
    size_t line;
    bool *used; /* shared by all entries of an id once sorted */
    bool has_text;
    struct cr_str text;
    double score; /* NAN: none */
    enum cr_choice choice;
    size_t *order; /* by content */
    size_t n_order;
};

struct verdict_file {
    struct cr_rater rater;
    struct cr_arena arena;
    struct entry *entries;
    size_t n, cap;
    struct cr_verdict_counts counts;
    const char *name;
    pthread_mutex_t lock;
};

/* Of answers in whatever order. */
static uint64_t content_of(const struct cr_str *answers, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        struct cr_hash h;
        uint64_t value[2];
        cr_hash_init(&h, 0);
        cr_hash_update(&h, answers[i].data, answers[i].len);
        cr_hash_final(&h, value);
        sum += value[0] | 1;
    }
    return sum;
}

/* ---- reading lines --------------------------------------------------------------------------- */

static const char *const id_keys[] = {"id",       "question_id", "ID", "pair_id",
                                      "score_id", "index",       "uid"};
static const char *const text_keys[] = {"raw",    "judgment", "judgement",  "text",
                                        "output", "response", "completion", "answer"};

static enum critic_status keep(struct verdict_file *f, const char *text, size_t len,
                               struct cr_str *out, critic_error *err) {
    char *copy = cr_arena_strndup(&f->arena, text, len);
    if (!copy)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu verdicts", f->n);
    *out = (struct cr_str){copy, len};
    return CRITIC_OK;
}

static enum critic_status read_id(struct verdict_file *f, const json_t *row,
                                  struct cr_str *out, critic_error *err) {
    char number[32];
    for (size_t i = 0; i < CR_COUNT(id_keys); i++) {
        const json_t *value = json_object_get(row, id_keys[i]);
        if (json_is_string(value))
            return keep(f, json_string_value(value), json_string_length(value), out, err);
        if (json_is_integer(value)) {
            int n = snprintf(number, sizeof number, "%lld",
                             (long long)json_integer_value(value));
            return keep(f, number, (size_t)n, out, err);
        }
    }
    return cr_fail(err, CRITIC_BAD_DATA, "no id; expected one of id, question_id, ID");
}

static const json_t *text_in(const json_t *row) {
    for (size_t i = 0; i < CR_COUNT(text_keys); i++) {
        const json_t *value = json_object_get(row, text_keys[i]);
        if (json_is_string(value) && json_string_length(value) > 0)
            return value;
    }
    /* VL-RewardBench's own output keeps the text in meta.filter_choice */
    const json_t *meta = json_object_get(json_object_get(row, "meta"), "filter_choice");
    return json_is_string(meta) ? meta : NULL;
}

static enum critic_status read_decision(struct verdict_file *f, const json_t *value,
                                        struct entry *e, critic_error *err) {
    if (json_is_number(value)) {
        e->score = json_number_value(value);
        return CRITIC_OK;
    }
    const char *text = json_string_value(value);
    for (int c = CR_CHOICE_FIRST; text && c <= CR_CHOICE_TIE; c++)
        if (strcmp(text, cr_choice_name((enum cr_choice)c)) == 0) {
            e->choice = (enum cr_choice)c;
            return CRITIC_OK;
        }
    size_t n = json_array_size(value);
    if (n < 2 || n > CR_MAX_ANSWERS)
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "nothing to read; expected raw (text), or verdict: a number, first, "
            "second, tie or an order");
    e->order = cr_arena_calloc(&f->arena, n, sizeof *e->order);
    if (!e->order)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu verdicts", f->n);
    for (size_t i = 0; i < n; i++) {
        const json_t *index = json_array_get(value, i);
        size_t at = json_is_integer(index) ? (size_t)json_integer_value(index) : n;
        for (size_t k = 0; k < i && at < n; k++)
            if (e->order[k] == at)
                at = n;
        if (at >= n)
            return cr_fail(err, CRITIC_BAD_DATA,
                           "verdict is no order of 0 to %zu, each once", n - 1);
        e->order[i] = at;
    }
    e->n_order = n;
    return CRITIC_OK;
}

static enum critic_status push(struct verdict_file *f, const struct entry *e,
                               critic_error *err) {
    struct entry *grown = cr_grow(f->entries, f->n, &f->cap, sizeof *grown);
    if (!grown)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu verdicts", f->n + 1);
    f->entries = grown;
    f->entries[f->n++] = *e;
    return CRITIC_OK;
}

/* Of the answers that the line repeats, as VL-RewardBench's output does; 0: it does not. */
static uint64_t content_in(const json_t *row) {
    const json_t *list = json_object_get(row, "response");
    struct cr_str answers[2];
    for (size_t i = 0; i < 2; i++) {
        const json_t *one = json_array_get(list, i);
        answers[i] = (struct cr_str){json_string_value(one), json_string_length(one)};
        if (json_array_size(list) != 2 || !answers[i].data)
            return 0;
    }
    return content_of(answers, 2);
}

/* A verdict by content becomes one by position where the line is of the other order. */
static enum critic_status add_one(struct verdict_file *f, const json_t *row,
                                  struct cr_str id, bool swapped, critic_error *err) {
    struct entry e = {
        .id = id, .swapped = swapped, .line = f->counts.n_lines, .score = (double)NAN};
    const json_t *text = text_in(row);
    e.content = content_in(row);
    e.has_text = text != NULL;
    if (text)
        CR_TRY(keep(f, json_string_value(text), json_string_length(text), &e.text, err));
    else
        CR_TRY(read_decision(f, json_object_get(row, "verdict"), &e, err));
    return push(f, &e, err);
}

static bool says_swapped(const json_t *row) {
    const json_t *random = json_object_get(json_object_get(row, "meta"), "random_number");
    if (!random)
        random = json_object_get(row, "random_number");
    return json_is_true(json_object_get(row, "swapped")) ||
           json_integer_value(random) == 1;
}

static enum critic_status add_row(struct verdict_file *f, const json_t *row,
                                  critic_error *err) {
    struct cr_str id;
    if (!json_is_object(row))
        return cr_fail(err, CRITIC_BAD_DATA, "expected a JSON object");
    CR_TRY(read_id(f, row, &id, err));
    const char *status = json_string_value(json_object_get(row, "status"));
    if (status && strcmp(status, "error") == 0)
        return cr_fail(err, CRITIC_BAD_DATA, "an item that failed (status error)");
    const json_t *orders = json_object_get(row, "orders");
    if (!json_is_array(orders))
        orders = json_object_get(row, "games");
    size_t n = json_array_size(orders);
    const json_t *heard = json_object_get(row, "heard"); /* critic eval run's own rows */
    for (size_t i = 0; i < json_array_size(heard); i++) {
        const json_t *one = json_array_get(heard, i);
        CR_TRY(add_one(f, one, id, says_swapped(one), err));
    }
    if (json_array_size(heard) > 0)
        return CRITIC_OK;
    if (n == 0)
        return add_one(f, row, id, says_swapped(row), err);
    for (size_t i = 0; i < CR_MIN(n, (size_t)2); i++)
        CR_TRY(add_one(f, json_array_get(orders, i), id, i == 1, err));
    return CRITIC_OK;
}

static void note_bad(struct verdict_file *f, size_t line, const char *what) {
    f->counts.n_bad++;
    if (!f->counts.first_bad[0])
        snprintf(f->counts.first_bad, sizeof f->counts.first_bad, "%s:%zu: %.180s",
                 f->name, line, what);
}

static enum critic_status read_lines(struct verdict_file *f, struct cr_jsonl_reader *r,
                                     critic_error *err) {
    struct cr_str line;
    for (;;) {
        json_t *row = NULL;
        critic_error why = {0};
        CR_TRY(cr_jsonl_next(r, &line, err));
        if (!line.data)
            return CRITIC_OK;
        f->counts.n_lines++;
        enum critic_status status =
            cr_json_parse(&row, line.data, line.len, "line", &why);
        if (status == CRITIC_OK)
            status = add_row(f, row, &why);
        json_decref(row);
        if (status == CRITIC_NO_MEMORY)
            return cr_fail(err, status, "%s: %s", f->name, why.message);
        if (status != CRITIC_OK)
            note_bad(f, r->line_number, why.message);
    }
}

/* ---- looking up ------------------------------------------------------------------------------- */

static int by_id(const struct cr_str a, const struct cr_str b) {
    int c = memcmp(a.data, b.data, CR_MIN(a.len, b.len));
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    int c = by_id(x->id, y->id);
    if (c == 0)
        c = (x->content > y->content) - (x->content < y->content);
    if (c == 0)
        c = x->swapped - y->swapped;
    return c ? c : (x->line > y->line) - (x->line < y->line);
}

/* Lines of one id are of one item unless their answers differ: only then do these count. */
static void drop_contents(struct verdict_file *f) {
    for (size_t i = 0, end; i < f->n; i = end) {
        bool differ = false;
        for (end = i; end < f->n && by_id(f->entries[end].id, f->entries[i].id) == 0;
             end++)
            differ |= f->entries[end].content != f->entries[i].content;
        for (size_t k = i; k < end && !differ; k++)
            f->entries[k].content = 0;
    }
}

static enum critic_status sort(struct verdict_file *f, critic_error *err) {
    if (f->n > 0)
        qsort(f->entries, f->n, sizeof *f->entries, compare);
    drop_contents(f);
    if (f->n > 0)
        qsort(f->entries, f->n, sizeof *f->entries, compare);
    for (size_t i = 0; i < f->n; i++) {
        struct entry *e = &f->entries[i], *last = i > 0 ? e - 1 : NULL;
        bool same = last && by_id(last->id, e->id) == 0;
        e->used = same ? last->used : cr_arena_calloc(&f->arena, 1, sizeof *e->used);
        if (!e->used)
            return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu verdicts", f->n);
        f->counts.n_ids += !same;
        f->counts.n_doubled +=
            same && last->swapped == e->swapped && last->content == e->content;
    }
    return CRITIC_OK;
}

/* Which entries an item has: those of its id; where items share one, those of its answers, or, of lines
 * that do not repeat them, those that come `turn` times as many as are asked for later. */
struct wanted {
    struct cr_str id;
    uint64_t content;
    size_t turn;
};

/* The first of these entries in this order; *n of them. */
static struct entry *find(struct verdict_file *f, const struct wanted *w, bool swapped,
                          size_t n_samples, size_t *n) {
    const struct entry want = {.id = w->id, .content = w->content, .swapped = swapped};
    size_t low = 0, high = f->n;
    *n = 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(&f->entries[mid], &want) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    while (low + *n < f->n && by_id(f->entries[low + *n].id, w->id) == 0 &&
           f->entries[low + *n].content == w->content &&
           f->entries[low + *n].swapped == swapped)
        ++*n;
    size_t skip = CR_MIN(w->turn * n_samples, *n);
    *n -= skip;
    return &f->entries[low + skip];
}

static bool has_id(struct verdict_file *f, struct cr_str id) {
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (by_id(f->entries[mid].id, id) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < f->n && by_id(f->entries[low].id, id) == 0;
}

/* "ID#2" is the second item of an id that the benchmark gives twice (exam.h). */
static struct wanted wanted_of(struct verdict_file *f, const struct cr_voice_ask *ask) {
    struct wanted w = {.id = ask->item->id};
    size_t at = w.id.len, number = 0, n;
    if (!has_id(f, w.id)) {
        while (at > 0 && w.id.data[at - 1] >= '0' && w.id.data[at - 1] <= '9')
            at--;
        for (size_t i = at; i < w.id.len && number < 1000000; i++)
            number = 10 * number + (size_t)(w.id.data[i] - '0');
        if (at > 1 && at < w.id.len && w.id.data[at - 1] == '#' && number > 1) {
            w.id.len = at - 1;
            w.turn = number - 1;
        }
    }
    struct wanted by_content = {w.id,
                                content_of(ask->item->answers, ask->item->n_answers), 0};
    find(f, &by_content, false, 1, &n);
    if (n == 0)
        find(f, &by_content, true, 1, &n);
    return n > 0 ? by_content : w;
}

static enum critic_status set_reply(const struct entry *e, const struct cr_voice_ask *ask,
                                    bool turned, struct cr_reply *reply,
                                    critic_error *err) {
    struct cr_parsed *p = &reply->decision;
    enum cr_mode mode = ask->template->mode;
    if (e->has_text)
        return cr_buf_append(&reply->text, e->text.data, e->text.len, err);
    reply->is_decision = true;
    memset(p, 0, sizeof *p);
    p->format = ask->template->rule.formats[0];
    p->why = "the file's verdict is of another kind than the item";
    if (mode == CR_MODE_POINTWISE && !isnan(e->score)) {
        p->ok = e->score >= ask->scale.min && e->score <= ask->scale.max;
        p->why = p->ok ? NULL : "score off the scale";
        p->score = e->score;
    } else if (mode == CR_MODE_PAIRWISE && e->choice != CR_CHOICE_NONE) {
        p->ok = true;
        p->choice = !turned || e->choice == CR_CHOICE_TIE ? e->choice
                    : e->choice == CR_CHOICE_FIRST        ? CR_CHOICE_SECOND
                                                          : CR_CHOICE_FIRST;
        p->margin = p->choice == CR_CHOICE_FIRST    ? 1
                    : p->choice == CR_CHOICE_SECOND ? -1
                                                    : 0;
        p->pair[0] = p->margin >= 0;
        p->pair[1] = p->margin <= 0;
    } else if (mode == CR_MODE_RANKING && e->n_order == ask->n_answers) {
        p->ok = true;
        p->n_order = e->n_order;
        for (size_t place = 0; place < e->n_order; place++)
            for (size_t at = 0; at < ask->n_answers; at++)
                if (ask->answers[at] == e->order[place])
                    p->order[place] = at;
    }
    return CRITIC_OK;
}

/* Texts are read as of the prompt's order; where the file has the other order only, a decision
 * can be turned, a text cannot. */
static enum critic_status answer(void *self, const struct cr_voice_ask *ask,
                                 struct cr_reply *replies, struct cr_judge_usage *usage,
                                 critic_error *err) {
    struct verdict_file *f = self;
    bool swapped = ask->n_answers > 1 && ask->answers[0] > ask->answers[1];
    size_t n, n_samples = ask->n_samples;
    (void)usage;
    const struct wanted w = wanted_of(f, ask);
    struct entry *e = find(f, &w, swapped, n_samples, &n);
    bool turned = false;
    if (n < n_samples && !swapped && ask->n_answers == 2 && w.turn == 0) {
        size_t other; /* a coin a sample: the texts of both orders stand side by side */
        struct entry *turned_ones = find(f, &w, true, n_samples, &other);
        e = n > 0 ? e : turned_ones;
        n += other;
    }
    if (n == 0 && swapped) {
        e = find(f, &w, false, n_samples, &n);
        turned = n > 0 && !e->has_text;
        n = turned ? n : 0;
    }
    if (n < ask->n_samples)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: %zu of %zu verdicts%s for id '%.*s'; the item is not judged",
                       f->name, n, ask->n_samples,
                       swapped ? " with the answers swapped" : "",
                       (int)CR_MIN(ask->item->id.len, (size_t)80), ask->item->id.data);
    pthread_mutex_lock(&f->lock);
    f->counts.n_used += !*e->used;
    f->counts.n_doubled -=
        w.turn > 0 && !swapped ? CR_MIN(n_samples, f->counts.n_doubled) : 0;
    *e->used = true;
    pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; i < ask->n_samples; i++) {
        replies[i].other_order = e[i].swapped && !swapped;
        CR_TRY(set_reply(&e[i], ask, turned || (swapped && !e[i].has_text), &replies[i],
                         err));
    }
    return CRITIC_OK;
}

/* ---- ------------------------------------------------------------------------------------------- */

static void fini(struct cr_rater *rater) {
    struct verdict_file *f = (struct verdict_file *)rater;
    pthread_mutex_destroy(&f->lock);
    cr_arena_fini(&f->arena);
    free(f->entries);
}

enum critic_status cr_rater_verdicts(struct cr_rater **out, const char *path,
                                     critic_error *err) {
    struct cr_jsonl_reader reader = {.fd = -1};
    enum critic_status status;
    *out = NULL;
    struct verdict_file *f = (struct verdict_file *)cr_rater_alloc(sizeof *f, path, err);
    if (!f)
        return CRITIC_NO_MEMORY;
    f->name = f->rater.model;
    f->rater.fini = fini;
    f->rater.voice.ask = answer;
    f->rater.voice.is_concurrent = true;
    pthread_mutex_init(&f->lock, NULL);
    CR_TRY_GOTO(cr_arena_init(&f->arena, MAX_ARENA, err));
    CR_TRY_GOTO(cr_jsonl_open(&reader, path, MAX_LINE, err));
    CR_TRY_GOTO(read_lines(f, &reader, err));
    CR_TRY_GOTO(sort(f, err));
    if (f->n == 0)
        CR_TRY_GOTO(cr_fail(err, CRITIC_BAD_FILE, "%s%s; expected JSON lines of verdicts",
                            f->counts.n_bad ? f->counts.first_bad : path,
                            f->counts.n_bad ? "" : ": holds no verdict"));
    cr_jsonl_close(&reader);
    *out = &f->rater;
    return CRITIC_OK;
fail:
    cr_jsonl_close(&reader);
    cr_rater_free(&f->rater);
    return status;
}

struct cr_verdict_counts cr_rater_verdict_counts(const struct cr_rater *rater) {
    return ((const struct verdict_file *)rater)->counts;
}
