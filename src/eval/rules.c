#include "eval/rules.h"

#include <string.h>

#include "base/checked.h"
#include "eval/rules_text.h"

/* ---- two scores ----------------------------------------------------------------------------- */

/* Exactly two pieces between single spaces, commas being spaces, both numbers. */
static bool two_pieces(struct cr_str line, double pair[2]) {
    size_t n = 0;
    for (size_t start = 0, i = 0; i <= line.len; i++) {
        if (i < line.len && line.data[i] != ' ' && line.data[i] != ',')
            continue;
        if (n == 2 ||
            !cr_text_number((struct cr_str){line.data + start, i - start}, &pair[n]))
            return false;
        n++;
        start = i + 1;
    }
    return n == 2;
}

bool cr_rule_pair_llava(struct cr_str text, double pair[2]) {
    return two_pieces(cr_text_first_line(text), pair);
}

bool cr_rule_pair_wilder(struct cr_str text, double pair[2]) {
    return two_pieces(cr_text_trim(cr_text_first_line(text)), pair);
}

bool cr_rule_pair_lmms(struct cr_str text, double pair[2]) {
    struct cr_str line = cr_text_first_line(text);
    size_t n = 0;
    for (size_t i = 0; i < line.len && n < 2;) {
        size_t end = i + 1;
        if (cr_text_decimal_at(line, i, &pair[n], &end))
            n++;
        i = end;
    }
    return n == 2;
}

/* Nothing but two numbers and what separates them. */
static bool two_numbers(struct cr_str line, double pair[2]) {
    size_t n = 0;
    for (size_t i = 0; i < line.len;) {
        size_t end = i + 1;
        if (!memchr(" \t\r,;/|*[]()&", line.data[i], 13) &&
            (n == 2 || !cr_text_decimal_at(line, i, &pair[n++], &end)))
            return false;
        i = end;
    }
    return n == 2;
}

/* The number behind the last line that begins with `label` and holds nothing else. */
static bool labelled(struct cr_str text, const char *label, double *value) {
    bool found = false;
    while (text.len > 0) {
        struct cr_str line = cr_text_first_line(text);
        size_t skip = CR_MIN(line.len + 1, text.len);
        struct cr_str t = cr_text_trim(line);
        if (cr_text_starts(t, 0, label)) {
            size_t n = strlen(label);
            struct cr_str rest = cr_text_trim((struct cr_str){t.data + n, t.len - n});
            size_t end = 0;
            bool colon = rest.len > 0 && rest.data[0] == ':';
            rest = cr_text_trim(
                (struct cr_str){rest.data + colon, rest.len - (size_t)colon});
            if (colon && cr_text_decimal_at(rest, 0, value, &end) && end == rest.len)
                found = true;
        }
        text.data += skip;
        text.len -= skip;
    }
    return found;
}

bool cr_rule_pair_robust(struct cr_str text, double pair[2]) {
    return two_numbers(cr_text_first_line(text), pair) ||
           (labelled(text, "assistant 1", &pair[0]) &&
            labelled(text, "assistant 2", &pair[1]));
}

/* ---- five labels ---------------------------------------------------------------------------- */

static const char *const arena_labels[] = {"", "A>>B", "A>B", "A=B", "B>A", "B>>A"};

enum cr_arena_verdict cr_arena_of_label(struct cr_str label) {
    for (size_t i = CR_ARENA_A_MUCH; i <= CR_ARENA_B_MUCH; i++)
        if (cr_str_eq_c(label, arena_labels[i]))
            return (enum cr_arena_verdict)i;
    return CR_ARENA_NONE;
}

enum cr_arena_verdict cr_arena_swap(enum cr_arena_verdict verdict) {
    return verdict == CR_ARENA_NONE
               ? verdict
               : (enum cr_arena_verdict)(CR_ARENA_A_MUCH + CR_ARENA_B_MUCH -
                                         (int)verdict);
}

/* The label between "[[" and "]]" at i; len 0 where there is none. */
static struct cr_str bracketed(struct cr_str s, size_t i) {
    struct cr_str none = {NULL, 0};
    if (i + 4 > s.len || s.data[i] != '[' || s.data[i + 1] != '[')
        return none;
    size_t end = i + 2;
    while (end < s.len && memchr("AB<>=", s.data[end], 5))
        end++;
    if (end + 2 > s.len || s.data[end] != ']' || s.data[end + 1] != ']')
        return none;
    return (struct cr_str){s.data + i + 2, end - i - 2};
}

enum cr_arena_verdict cr_rule_arena(struct cr_str text) {
    struct cr_str label = {NULL, 0};
    for (size_t i = 0; i < text.len; i++) {
        struct cr_str here = bracketed(text, i);
        if (here.len > 0 && label.len > 0 && !cr_str_eq(here, label))
            return CR_ARENA_NONE;
        if (here.len > 0)
            label = here;
    }
    return cr_arena_of_label(label);
}

enum cr_arena_verdict cr_rule_arena_lmms(struct cr_str text) {
    static const struct {
        const char *text;
        enum cr_arena_verdict verdict;
    } order[] = {{"[[A>B]]", CR_ARENA_A},
                 {"[[A>>B]]", CR_ARENA_A_MUCH},
                 {"[[A=B]]", CR_ARENA_TIE},
                 {"[[B>A]]", CR_ARENA_B},
                 {"[[B>>A]]", CR_ARENA_B_MUCH}};
    for (size_t i = 0; i < CR_COUNT(order); i++)
        if (cr_str_find(text, cr_str_of(order[i].text)) != SIZE_MAX)
            return order[i].verdict;
    return CR_ARENA_NONE;
}

/* ---- one of two ----------------------------------------------------------------------------- */

/* A view of text without line feeds and asterisks. */
struct squeezed {
    struct cr_str text;
};

static size_t next_kept(const struct squeezed *s, size_t i) {
    while (i < s->text.len && (s->text.data[i] == '\n' || s->text.data[i] == '*'))
        i++;
    return i;
}

/* The position behind `lower` at i, SIZE_MAX where it does not stand there. */
static size_t squeezed_match(const struct squeezed *s, size_t i, const char *lower) {
    for (; *lower; lower++) {
        i = next_kept(s, i);
        if (i >= s->text.len || cr_text_lower(s->text.data[i]) != *lower)
            return SIZE_MAX;
        i++;
    }
    return i;
}

/* The position behind blanks, of which there may be none. */
static size_t skip_blanks(const struct squeezed *s, size_t i) {
    i = next_kept(s, i);
    while (i < s->text.len && cr_text_is_blank(s->text.data[i]))
        i = next_kept(s, i + 1);
    return i;
}

/* Behind `lower` and blanks where it stands at i, else i. */
static size_t skip_word(const struct squeezed *s, size_t i, const char *lower) {
    size_t k = squeezed_match(s, i, lower);
    return k == SIZE_MAX ? i : skip_blanks(s, k);
}

/* "Answer 2 is [the] [slightly] better" at i; between the words are any blanks or none, since a line
 * feed there is deleted first. A number too long to count is some number that is no answer's. */
static bool answer_is_better(const struct squeezed *s, size_t i, unsigned *number) {
    i = squeezed_match(s, i, "answer");
    if (i == SIZE_MAX)
        return false;
    unsigned n = 0;
    size_t digits = 0;
    for (i = skip_blanks(s, i);
         i < s->text.len && s->text.data[i] >= '0' && s->text.data[i] <= '9';
         i = next_kept(s, i + 1), digits++)
        n = digits < 9 ? n * 10 + (unsigned)(s->text.data[i] - '0') : 999999999;
    i = digits ? squeezed_match(s, skip_blanks(s, i), "is") : SIZE_MAX;
    if (i == SIZE_MAX)
        return false;
    i = skip_word(s, skip_blanks(s, i), "the");
    i = skip_word(s, i, "slightly");
    *number = n;
    return squeezed_match(s, i, "better") != SIZE_MAX;
}

bool cr_rule_vlrb(struct cr_str text, unsigned *number) {
    struct squeezed s = {text};
    bool found = false;
    bool anchored = false;
    for (size_t i = next_kept(&s, 0); i < text.len; i = next_kept(&s, i + 1)) {
        anchored = anchored || squeezed_match(&s, i, "overall judgment") != SIZE_MAX ||
                   squeezed_match(&s, i, "therefore") != SIZE_MAX;
        unsigned n;
        if (anchored && answer_is_better(&s, i, &n)) {
            *number = n;
            found = true;
        }
    }
    return found;
}

char cr_rule_letter(struct cr_str text) {
    if (cr_str_find(text, cr_str_of("[[A]]")) != SIZE_MAX)
        return 'A';
    return cr_str_find(text, cr_str_of("[[B]]")) != SIZE_MAX ? 'B' : 0;
}

char cr_rule_letter_robust(struct cr_str text) {
    for (size_t i = text.len; i-- > 0;) {
        struct cr_str label = bracketed(text, i);
        if (label.len == 1 && (label.data[0] == 'A' || label.data[0] == 'B'))
            return label.data[0];
    }
    return 0;
}

/* ---- a score -------------------------------------------------------------------------------- */

bool cr_rule_mmhal(struct cr_str text, double *score) {
    char label[] = "rating: 0";
    size_t n = 0;
    for (int s = 0; s <= 6; s++) {
        label[sizeof label - 2] = (char)('0' + s);
        if (cr_text_find(text, 0, label) == SIZE_MAX)
            continue;
        *score = s;
        n++;
    }
    return n == 1;
}

static bool unit_number(struct cr_str text, double *score) {
    return cr_text_number(text, score) && *score >= 0 && *score <= 1;
}

bool cr_rule_mmvet_vlmeval(struct cr_str text, double *score) {
    return unit_number(text, score);
}

bool cr_rule_mmvet_lmms(struct cr_str text, double *score) {
    const char *end = text.len > 0 ? memchr(text.data, ' ', text.len) : NULL;
    if (end)
        text.len = (size_t)(end - text.data);
    return unit_number(text, score);
}

bool cr_rule_video_dc(struct cr_str text, double *score) {
    struct cr_str s = cr_text_trim(text);
    if (s.len < 2 || s.data[0] != '{' || s.data[s.len - 1] != '}')
        return false;
    s = cr_text_trim((struct cr_str){s.data + 1, s.len - 2});
    if (!cr_text_starts(s, 0, "'score'") && !cr_text_starts(s, 0, "\"score\""))
        return false;
    s = cr_text_trim((struct cr_str){s.data + 7, s.len - 7});
    if (s.len == 0 || s.data[0] != ':' ||
        !cr_text_number((struct cr_str){s.data + 1, s.len - 1}, score))
        return false;
    *score = (double)(long long)*score;
    return *score >= 0 && *score <= 5;
}

bool cr_rule_batch(struct cr_str text, size_t n, char *order) {
    size_t found = 0;
    bool seen[26] = {false};
    if (n == 0 || n > 26)
        return false;
    for (size_t i = 0; i + 5 <= text.len; i++) {
        char c = text.data[i + 2];
        if (memcmp(text.data + i, "[[", 2) != 0 ||
            memcmp(text.data + i + 3, "]]", 2) != 0)
            continue;
        if (c < 'A' || (size_t)(c - 'A') >= n || seen[c - 'A'])
            return false;
        seen[c - 'A'] = true;
        order[found++] = c;
    }
    return found == n;
}
