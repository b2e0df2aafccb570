/* Rankings: "Ranking: [2, 1, 3]", "C > A > B", "[[C]], [[A]], [[B]]", "Ranking: CAB". */
#include "judge/scan.h"

#include <string.h>

struct sequence {
    size_t order[CR_MAX_ANSWERS];
    size_t n;
    bool letters;
    bool broken; /* a repeated or impossible label, or letters and numbers mixed */
    size_t end;
};

static size_t skip_noun(const struct cr_scan *s, size_t i) {
    static const char *const nouns[] = {"response", "answer",  "assistant",
                                        "option",   "caption", "candidate"};
    for (size_t k = 0; k < sizeof nouns / sizeof nouns[0]; k++)
        if (cr_scan_word(s, i, nouns[k]))
            return cr_scan_marks(s, i + strlen(nouns[k]));
    return i;
}

static void add(struct sequence *q, size_t index, bool letter, size_t n_answers) {
    q->broken = q->broken || index >= n_answers || q->n == n_answers ||
                (q->n > 0 && letter != q->letters);
    for (size_t k = 0; k < q->n && !q->broken; k++)
        q->broken = q->order[k] == index;
    q->letters = letter;
    if (!q->broken)
        q->order[q->n++] = index;
}

/* One label at i: a number from 1 or one letter. Returns its end, or SIZE_MAX. */
static size_t read_label(const struct cr_scan *s, size_t i, size_t n_answers,
                         struct sequence *q) {
    unsigned char c = cr_scan_at(s, i);
    size_t index = 0;
    size_t k = i;
    if (c >= 'a' && c <= 'z' && !cr_scan_is_word_byte(cr_scan_at(s, i + 1))) {
        add(q, (size_t)(c - 'a'), true, n_answers);
        return i + 1;
    }
    for (; cr_scan_is_digit(cr_scan_at(s, k)); k++)
        index = index < 1000 ? index * 10 + (cr_scan_at(s, k) - '0') : index;
    if (k == i || cr_scan_is_word_byte(cr_scan_at(s, k)))
        return SIZE_MAX;
    add(q, index - 1, false, n_answers); /* 0 wraps to a label that no prompt has */
    return k;
}

/* "CDAB": a word of letters, one an answer. */
static bool read_word(const struct cr_scan *s, size_t i, size_t n_answers,
                      struct sequence *q) {
    for (size_t k = 0; k < n_answers; k++)
        if (cr_scan_at(s, i + k) < 'a' || cr_scan_at(s, i + k) >= 'a' + n_answers)
            return false;
    if (n_answers < 2 || cr_scan_is_word_byte(cr_scan_at(s, i + n_answers)))
        return false;
    for (size_t k = 0; k < n_answers; k++)
        add(q, (size_t)(cr_scan_at(s, i + k) - 'a'), true, n_answers);
    q->end = i + n_answers;
    return true;
}

/* Labels from i on, within the line, between separators. */
static void read_sequence(const struct cr_scan *s, size_t i, size_t n_answers,
                          struct sequence *q) {
    memset(q, 0, sizeof *q);
    size_t word = i;
    while (cr_scan_at(s, word) == '[' || cr_scan_at(s, word) == '*')
        word++;
    if (read_word(s, word, n_answers, q))
        return;
    q->end = i;
    while (!q->broken) {
        unsigned char c = cr_scan_at(s, i);
        while (c && strchr(" \t,;>=[]()*`\"", c))
            c = cr_scan_at(s, ++i);
        i = skip_noun(s, i);
        i = read_label(s, i, n_answers, q);
        if (i == SIZE_MAX)
            return;
        q->end = i;
    }
}

static size_t keyword(const struct cr_scan *s, size_t i) {
    static const char *const words[] = {"ranking", "order", "judgement", "judgment"};
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
        if (cr_scan_word(s, i, words[k]))
            return cr_scan_colon(s, i + strlen(words[k]));
    return SIZE_MAX;
}

/* The sequence stands alone: nothing but brackets and a stop behind it on its line. */
static bool ends_line(const struct cr_scan *s, size_t i) {
    unsigned char c = cr_scan_at(s, i);
    while (c && strchr(" \t\r])*`.\"", c))
        c = cr_scan_at(s, ++i);
    return i >= s->text.len || c == '\n';
}

/* "…]], [[" : this bracket belongs to a run that began before it. */
static bool continues_run(const struct cr_scan *s, size_t i) {
    while (i > 0 && strchr(" ,;>\t", s->text.data[i - 1]))
        i--;
    return i > 0 && s->text.data[i - 1] == ']';
}

bool cr_parse_order(const struct cr_scan *s, size_t n_answers, struct cr_parsed *out) {
    struct cr_match best = {0};
    for (size_t i = 0; i < s->text.len; i++) {
        struct sequence q;
        size_t from = keyword(s, i);
        int strength = from == SIZE_MAX ? 0 : 1 + 2 * cr_scan_starts_line(s, i);
        bool line = i == 0 || s->text.data[i - 1] == '\n';
        bool run = cr_scan_is(s, i, "[[") && (i == 0 || cr_scan_at(s, i - 1) != '[') &&
                   !continues_run(s, i);
        if (from == SIZE_MAX && !line && !run)
            continue;
        if (from == SIZE_MAX)
            from = i;
        if (!cr_match_beats(s, &best, strength, i))
            continue;
        read_sequence(s, from, n_answers, &q);
        bool whole = !q.broken && q.n == n_answers;
        if (q.n == 0 || (strength == 0 && (!whole || !(run || ends_line(s, q.end)))))
            continue;
        best = (struct cr_match){.found = true, .strength = strength, .at = i};
        while (cr_scan_at(s, q.end) == ']')
            q.end++;
        best.len = q.end - i;
        best.value_at = from;
        out->why = whole ? NULL : "the ranking does not name every answer once";
        out->n_order = whole ? q.n : 0;
        memcpy(out->order, q.order, sizeof q.order);
    }
    out->at = best.at;
    out->len = best.len;
    out->value_at = best.value_at;
    return best.found;
}
