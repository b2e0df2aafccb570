/* Text to readings by the benchmarks' own rules. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "eval/judged.h"
#include "eval/rules_text.h"
#include "judge/verdict.h"

static const struct cr_reading nothing = {
    .pick = CR_PICK_NONE, .score = (double)NAN, .pair = {(double)NAN, (double)NAN}};

static struct cr_reading picked(enum cr_pick pick) {
    struct cr_reading r = nothing;
    r.ok = pick != CR_PICK_NONE;
    r.pick = pick;
    return r;
}

static struct cr_reading scored(bool ok, double score) {
    struct cr_reading r = nothing;
    r.ok = ok;
    if (ok)
        r.score = score;
    return r;
}

static struct cr_reading paired(bool ok, const double pair[2]) {
    if (!ok)
        return nothing;
    struct cr_reading r = picked(pair[0] > pair[1]   ? CR_PICK_FIRST
                                 : pair[0] < pair[1] ? CR_PICK_SECOND
                                                     : CR_PICK_TIE);
    r.pair[0] = pair[0];
    r.pair[1] = pair[1];
    return r;
}

static enum cr_pick pick_of_arena(enum cr_arena_verdict a) {
    static const enum cr_pick picks[] = {CR_PICK_NONE, CR_PICK_FIRST,  CR_PICK_FIRST,
                                         CR_PICK_TIE,  CR_PICK_SECOND, CR_PICK_SECOND};
    return picks[a];
}

static struct cr_reading arena_reading(enum cr_arena_verdict a) {
    struct cr_reading r = picked(pick_of_arena(a));
    r.arena = a;
    return r;
}

/* The last "[[x]]" whose x is one of `allowed`; 0: none. */
static char last_bracket(struct cr_str s, const char *allowed) {
    char found = 0;
    for (size_t i = 0; i + 5 <= s.len; i++)
        if (memcmp(s.data + i, "[[", 2) == 0 && memcmp(s.data + i + 3, "]]", 2) == 0 &&
            s.data[i + 2] && strchr(allowed, s.data[i + 2]))
            found = s.data[i + 2];
    return found;
}

static struct cr_reading letter_reading(char letter) {
    return picked(letter == 'A'   ? CR_PICK_FIRST
                  : letter == 'B' ? CR_PICK_SECOND
                  : letter == 'C' ? CR_PICK_TIE
                                  : CR_PICK_NONE);
}

static struct cr_reading vlrb_reading(struct cr_str raw) {
    unsigned number = 0;
    struct cr_reading r = nothing;
    if (cr_rule_vlrb(raw, &number)) {
        r = picked(number == 1   ? CR_PICK_FIRST
                   : number == 2 ? CR_PICK_SECOND
                                 : CR_PICK_NONE);
        r.ok = true;
        r.number = number;
    }
    return r;
}

/* The number behind the last "Final Score:". */
static bool final_score(struct cr_str s, double *out) {
    size_t at = SIZE_MAX;
    for (size_t i = cr_text_find(s, 0, "final score:"); i != SIZE_MAX;
         i = cr_text_find(s, i + 1, "final score:"))
        at = i;
    if (at == SIZE_MAX)
        return false;
    size_t end;
    at += strlen("final score:");
    while (at < s.len && strchr(" *[\t", s.data[at]))
        at++;
    return cr_text_decimal_at(s, at, out, &end) && *out >= 0 && *out <= 100;
}

static struct cr_reading batch_reading(struct cr_str raw, size_t n) {
    struct cr_reading r = nothing;
    r.ok = n < sizeof r.order && cr_rule_batch(raw, n, r.order);
    if (!r.ok)
        memset(r.order, 0, sizeof r.order);
    return r;
}

static struct cr_reading ours_reading(const struct cr_exam *bench, struct cr_str raw,
                                      size_t n) {
    /* the formats that the benchmark's own template asks for, as docs/judge.md reads them */
    static const enum cr_format pairwise[] = {CR_FORMAT_BETTER, CR_FORMAT_ARENA,
                                              CR_FORMAT_LETTER};
    static const enum cr_format pointwise[] = {CR_FORMAT_SCORE, CR_FORMAT_FINAL_SCORE,
                                               CR_FORMAT_RATING};
    struct cr_verdict_rule rule = {.n_formats = 3, .scale = {0, 100, 1}, .n_answers = n};
    struct cr_parsed p;
    bool pair = bench->mode == CR_MODE_PAIRWISE;
    memcpy(rule.formats, pair ? pairwise : pointwise, sizeof pairwise);
    if (cr_verdict_parse(&p, raw, &rule, NULL) != CRITIC_OK || !p.ok)
        return nothing;
    return pair ? picked(p.choice == CR_CHOICE_FIRST    ? CR_PICK_FIRST
                         : p.choice == CR_CHOICE_SECOND ? CR_PICK_SECOND
                                                        : CR_PICK_TIE)
                : scored(true, p.score);
}

static struct cr_reading by_position(const struct cr_exam *bench, struct cr_str raw,
                                     size_t n) {
    double x = 0, pair[2] = {0, 0};
    char c;
    bool ok;
    switch (bench->parse) {
    case CR_PARSE_VLRB:
        return vlrb_reading(raw);
    case CR_PARSE_LETTER:
        return letter_reading(cr_rule_letter(raw));
    case CR_PARSE_BRACKET_LETTER:
        return letter_reading(last_bracket(raw, "ABC"));
    case CR_PARSE_BRACKET_SCORE:
        c = last_bracket(raw, "12345");
        return scored(c != 0, c - '0');
    case CR_PARSE_BATCH:
        return batch_reading(raw, n);
    case CR_PARSE_ARENA:
        return arena_reading(cr_rule_arena(raw));
    case CR_PARSE_PAIR_LLAVA:
        ok = cr_rule_pair_llava(raw, pair);
        return paired(ok, pair);
    case CR_PARSE_PAIR_WILDER:
        ok = cr_rule_pair_wilder(raw, pair);
        return paired(ok, pair);
    case CR_PARSE_MMHAL:
        ok = cr_rule_mmhal(raw, &x);
        return scored(ok, x);
    case CR_PARSE_MMVET:
        ok = cr_rule_mmvet_vlmeval(raw, &x);
        return scored(ok, x);
    case CR_PARSE_FINAL_SCORE:
        ok = final_score(raw, &x);
        return scored(ok, x);
    case CR_PARSE_VIDEO_DC:
        ok = cr_rule_video_dc(raw, &x);
        return scored(ok, x);
    default:
        return ours_reading(bench, raw, n);
    }
}

struct cr_reading cr_read_official(const struct cr_exam *bench, struct cr_str raw,
                                   size_t n_answers, bool swapped) {
    struct cr_reading r = by_position(bench, raw, n_answers);
    if (!swapped)
        return r;
    if (r.pick == CR_PICK_FIRST || r.pick == CR_PICK_SECOND)
        r.pick = r.pick == CR_PICK_FIRST ? CR_PICK_SECOND : CR_PICK_FIRST;
    double first = r.pair[0];
    r.pair[0] = r.pair[1];
    r.pair[1] = first;
    r.arena = cr_arena_swap(r.arena);
    for (size_t i = 0; r.order[i]; i++) /* the letters were given from the other end */
        r.order[i] = (char)('A' + (int)n_answers - 1 - (r.order[i] - 'A'));
    return r;
}

static bool same_number(double a, double b) {
    return (isnan(a) && isnan(b)) || a == b;
}

bool cr_reading_equal(enum cr_metric_rule metric, const struct cr_reading *a,
                      const struct cr_reading *b) {
    if (a->ok != b->ok || !a->ok)
        return a->ok == b->ok;
    if (metric == CR_METRIC_ARENA)
        return a->arena == b->arena;
    if (metric == CR_METRIC_RELATIVE)
        return same_number(a->pair[0], b->pair[0]) && same_number(a->pair[1], b->pair[1]);
    if (metric == CR_METRIC_ORDER)
        return strcmp(a->order, b->order) == 0;
    return a->pick == b->pick && same_number(a->score, b->score);
}

const struct cr_heard *cr_judgement_official(const struct cr_judgement *row) {
    for (size_t i = 0; i < row->n_heard; i++)
        if (!row->heard[i].swapped)
            return &row->heard[i];
    return NULL;
}
