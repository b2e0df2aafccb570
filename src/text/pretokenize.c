#include "text/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "text/unicode_tables.h"

/* The spellings that tokenizer.json files use. */
static const char qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| "
                                   "?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

void cr_splitter_fini(struct cr_splitter *s) {
    for (size_t i = 0; i < s->n_steps; i++)
        pcre2_code_free(s->steps[i].pattern);
    *s = (struct cr_splitter){0};
}

enum critic_status cr_splitter_add(struct cr_splitter *s, enum cr_split_kind kind,
                                   const char *name, critic_error *err) {
    if (s->n_steps == CR_MAX_SPLITS)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: pre_tokenizer has more than %d steps", name, CR_MAX_SPLITS);
    s->steps[s->n_steps++] = (struct cr_split_step){.kind = kind};
    return CRITIC_OK;
}

enum critic_status cr_splitter_add_pattern(struct cr_splitter *s, struct cr_str pattern,
                                           const char *name, critic_error *err) {
    if (cr_str_eq_c(pattern, qwen2_pattern))
        return cr_splitter_add(s, CR_SPLIT_QWEN2, name, err);
    if (cr_str_eq_c(pattern, llama3_pattern))
        return cr_splitter_add(s, CR_SPLIT_LLAMA3, name, err);
    if (cr_str_eq_c(pattern, gpt2_pattern))
        return cr_splitter_add(s, CR_SPLIT_GPT2, name, err);
    CR_TRY(cr_splitter_add(s, CR_SPLIT_PATTERN, name, err));
    int fault;
    size_t at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.len,
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C |
                                         PCRE2_NO_AUTO_CAPTURE,
                                     &fault, &at, NULL);
    if (!code) {
        s->n_steps--;
        if (fault == PCRE2_ERROR_HEAP_FAILED)
            return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", name);
        char text[128] = "";
        pcre2_get_error_message(fault, (PCRE2_UCHAR *)text, sizeof text);
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: pre_tokenizer: pattern fails at offset %zu: %s", name, at,
                       text);
    }
    /* Without the compiler's help the interpreter does the same work, slower. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    s->steps[s->n_steps - 1].pattern = code;
    return CRITIC_OK;
}

/* ---- the scanners: each returns where the word that starts at i ends ---- */

/* The class of the character at s[i], i < len; *next is where the following one starts. */
static inline enum cr_char_class class_at(struct cr_str s, size_t i, size_t *next) {
    unsigned char lead = (unsigned char)s.data[i];
    uint32_t c = lead;
    *next = i + (lead < 0x80 ? 1 : cr_utf8_decode(s.data + i, s.len - i, &c));
    return cr_char_class(c);
}

/* The end of the run of `wanted` that starts at i (possibly empty). */
static size_t run_end(struct cr_str s, size_t i, enum cr_char_class wanted) {
    size_t next;
    while (i < s.len && class_at(s, i, &next) == wanted)
        i = next;
    return i;
}

static bool is_line_end(char c) {
    return c == '\r' || c == '\n';
}

/* 's 't 're 've 'm 'll 'd at i, where s[i] is the apostrophe; the end, or 0. Folding
 * case also takes U+017F, the long s, for an s. */
static size_t contraction_end(struct cr_str s, size_t i, bool fold_case) {
    size_t left = s.len - i - 1;
    if (left == 0)
        return 0;
    if (fold_case && left >= 2 && memcmp(s.data + i + 1, "\xC5\xBF", 2) == 0)
        return i + 3;
    char bit = fold_case ? 0x20 : 0;
    char a = (char)(s.data[i + 1] | bit);
    char b = left >= 2 ? (char)(s.data[i + 2] | bit) : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return i + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return i + 3;
    return 0;
}

/* \s*[\r\n]+ | \s+(?!\S) | \s+ where s[i] is a space character. line_ends false leaves
 * the first of them out. */
static size_t space_end(struct cr_str s, size_t i, bool line_ends) {
    size_t end = i;
    size_t last = i;     /* where the run's last character starts */
    size_t line_end = 0; /* behind the run's last line end */
    size_t next;
    while (end < s.len && class_at(s, end, &next) == CR_CHAR_SPACE) {
        if (line_ends && is_line_end(s.data[end]))
            line_end = next;
        last = end;
        end = next;
    }
    if (line_end)
        return line_end;
    /* The last space belongs to the word that follows, unless it is the only one. */
    return end == s.len || last == i ? end : last;
}

static size_t number_end(struct cr_str s, size_t i, int max_digits) {
    size_t next;
    for (int n = 0; n < max_digits && i < s.len; n++, i = next)
        if (class_at(s, i, &next) != CR_CHAR_NUMBER)
            break;
    return i;
}

/* The alternatives of qwen2_pattern, in order. */
static size_t qwen2_end(struct cr_str s, size_t i, int max_digits) {
    if (s.data[i] == '\'') {
        size_t end = contraction_end(s, i, true);
        if (end)
            return end;
    }
    size_t next;
    enum cr_char_class first = class_at(s, i, &next);
    if (first == CR_CHAR_LETTER)
        return run_end(s, next, CR_CHAR_LETTER);
    if (first == CR_CHAR_NUMBER)
        return number_end(s, i, max_digits);
    if (!is_line_end(s.data[i])) {
        size_t end = run_end(s, next, CR_CHAR_LETTER);
        if (end > next)
            return end;
    }
    size_t start = s.data[i] == ' ' ? next : i;
    size_t end = run_end(s, start, CR_CHAR_OTHER);
    if (end > start) {
        while (end < s.len && is_line_end(s.data[end]))
            end++;
        return end;
    }
    return space_end(s, i, true);
}

/* The alternatives of gpt2_pattern, in order. */
static size_t gpt2_end(struct cr_str s, size_t i) {
    if (s.data[i] == '\'') {
        size_t end = contraction_end(s, i, false);
        if (end)
            return end;
    }
    size_t start = s.data[i] == ' ' ? i + 1 : i;
    size_t next;
    if (start < s.len) {
        enum cr_char_class first = class_at(s, start, &next);
        if (first != CR_CHAR_SPACE)
            return run_end(s, next, first);
    }
    return space_end(s, i, false);
}

/* ---- the walk ---- */

struct walk {
    const struct cr_splitter *splitter;
    pcre2_match_data *matches[CR_MAX_SPLITS];
    cr_word_fn on_word;
    void *user;
};

static enum critic_status walk_step(struct walk *w, size_t step, struct cr_str text,
                                    critic_error *err);

static enum critic_status scan(struct walk *w, size_t step, struct cr_str text,
                               critic_error *err) {
    enum cr_split_kind kind = w->splitter->steps[step].kind;
    for (size_t i = 0; i < text.len;) {
        size_t end = kind == CR_SPLIT_GPT2
                         ? gpt2_end(text, i)
                         : qwen2_end(text, i, kind == CR_SPLIT_QWEN2 ? 1 : 3);
        struct cr_str word = {text.data + i, end - i};
        CR_TRY(walk_step(w, step + 1, word, err));
        i = end;
    }
    return CRITIC_OK;
}

/* Every match is a word, and so is what lies between two matches. */
static enum critic_status match(struct walk *w, size_t step, struct cr_str text,
                                critic_error *err) {
    const pcre2_code *code = w->splitter->steps[step].pattern;
    pcre2_match_data *found = w->matches[step];
    size_t at = 0;    /* where the next search starts */
    size_t taken = 0; /* what was handed on */
    while (at <= text.len) {
        int n = pcre2_match(code, (PCRE2_SPTR)text.data, text.len, at, PCRE2_NO_UTF_CHECK,
                            found, NULL);
        if (n == PCRE2_ERROR_NOMATCH)
            break;
        if (n < 0)
            return cr_fail(
                err, n == PCRE2_ERROR_NOMEMORY ? CRITIC_NO_MEMORY : CRITIC_BAD_DATA,
                "pre-tokenizer pattern gives up at byte %zu of a piece (PCRE2 %d)", at,
                n);
        const size_t *span = pcre2_get_ovector_pointer(found);
        size_t start = span[0];
        size_t end = span[1];
        if (end < start || start < taken) /* \K in a lookaround; nothing sane does that */
            return cr_fail(err, CRITIC_UNSUPPORTED,
                           "pre-tokenizer pattern moves backwards");
        if (start > taken)
            CR_TRY(walk_step(w, step + 1,
                             (struct cr_str){text.data + taken, start - taken}, err));
        if (end > start)
            CR_TRY(walk_step(w, step + 1, (struct cr_str){text.data + start, end - start},
                             err));
        taken = end;
        at = end;
        if (end == start) { /* an empty match: go on behind the next character */
            size_t next = text.len + 1;
            if (end < text.len)
                (void)class_at(text, end, &next);
            at = next;
        }
    }
    if (taken < text.len)
        CR_TRY(walk_step(w, step + 1,
                         (struct cr_str){text.data + taken, text.len - taken}, err));
    return CRITIC_OK;
}

/* Recursion is as deep as there are steps. */
static enum critic_status walk_step(struct walk *w, size_t step, struct cr_str text,
                                    critic_error *err) {
    if (step == w->splitter->n_steps)
        return w->on_word(w->user, text, err);
    return w->splitter->steps[step].kind == CR_SPLIT_PATTERN ? match(w, step, text, err)
                                                             : scan(w, step, text, err);
}

enum critic_status cr_split(const struct cr_splitter *s, struct cr_str text,
                            cr_word_fn on_word, void *user, critic_error *err) {
    if (text.len == 0)
        return CRITIC_OK;
    struct walk w = {.splitter = s, .on_word = on_word, .user = user};
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < s->n_steps && status == CRITIC_OK; i++) {
        if (s->steps[i].kind != CR_SPLIT_PATTERN)
            continue;
        w.matches[i] = pcre2_match_data_create_from_pattern(s->steps[i].pattern, NULL);
        if (!w.matches[i])
            status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a match");
    }
    if (status == CRITIC_OK)
        status = walk_step(&w, 0, text, err);
    for (size_t i = 0; i < s->n_steps; i++)
        pcre2_match_data_free(w.matches[i]);
    return status;
}
