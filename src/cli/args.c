#include "cli/args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"

#define ARENA_BYTES ((size_t)1 << 33)
#define MAX_TEXT    ((size_t)256 << 20)
#define MAX_NAME    64
#define HELP_COLUMN 30
#define HELP_WIDTH  92
#define MAX_FLAGS   128

/* ---- nearest word --------------------------------------------------------------------- */

/* Levenshtein distance with transpositions counted as two edits; a, b shorter than MAX_NAME. */
static size_t edit_distance(const char *a, const char *b) {
    size_t row[MAX_NAME];
    size_t n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = CR_MIN(change, CR_MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

const char *cr_nearest(const char *word, const char *const *candidates) {
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    size_t len = strlen(word);
    if (len >= MAX_NAME || len == 0)
        return NULL;
    for (; *candidates; candidates++) {
        size_t distance = edit_distance(word, *candidates);
        if (len >= 3 && strncmp(word, *candidates, len) == 0)
            distance = 1; /* an abbreviation */
        if (distance < best_distance) {
            best_distance = distance;
            best = *candidates;
        }
    }
    return best_distance <= CR_MAX((len + 1) / 3, 1) ? best : NULL;
}

/* ---- values ---------------------------------------------------------------------------- */

bool cr_parse_bytes(const char *text, size_t *bytes) {
    static const char units[] = "KMGT";
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    double value = strtod(text, &end);
    if (*end) {
        const char *unit = strchr(units, *end & ~0x20);
        if (!unit)
            return false;
        for (const char *u = units; u <= unit; u++)
            value *= 1024;
        end++;
        if (*end && strcmp(end, "B") != 0 && strcmp(end, "iB") != 0)
            return false;
    }
    if (!(value < 0x1p62))
        return false;
    *bytes = (size_t)value;
    return true;
}

static bool parse_u64(const char *text, uint64_t *out) {
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end)
        return false;
    *out = value;
    return true;
}

static bool parse_double(const char *text, double *out) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value))
        return false;
    *out = value;
    return true;
}

/* Index of text among "a|b|c", -1 where it is none of them. */
static int parse_choice(const char *text, const char *choices) {
    size_t len = strlen(text);
    for (int i = 0;; i++) {
        size_t n = strcspn(choices, "|");
        if (n == len && memcmp(choices, text, n) == 0)
            return i;
        if (!choices[n])
            return -1;
        choices += n + 1;
    }
}

static bool in_range(const struct cr_flag *f, double value) {
    return (f->min == 0 && f->max == 0) || (value >= f->min && value <= f->max);
}

/* A flag as the user wrote it, for messages: "-n", "--samples", "--prompt-file". */
struct spelling {
    char text[MAX_NAME];
};

static enum critic_status wrong_value(const struct cr_flag *f, const struct spelling *as,
                                      const char *text, const char *expected,
                                      critic_error *err) {
    if (f->min == 0 && f->max == 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "%s '%s' is not %s", as->text, text,
                       expected);
    return cr_fail(err, CRITIC_BAD_ARGUMENT, "%s '%s' is not %s from %.15g to %.15g",
                   as->text, text, expected, f->min, f->max);
}

static enum critic_status read_text(struct cr_args *a, const char *path,
                                    struct cr_str *out, critic_error *err) {
    struct cr_buf text;
    cr_buf_init(&text, MAX_TEXT);
    enum critic_status status = cr_file_read(path, &text, err);
    if (status == CRITIC_OK) {
        out->data = cr_arena_strndup(&a->arena, text.data ? text.data : "", text.len);
        out->len = text.len;
        if (!out->data)
            status = cr_fail(err, CRITIC_NO_MEMORY, "%s: too long", path);
    }
    cr_buf_fini(&text);
    return status;
}

static enum critic_status append_text(struct cr_args *a, struct cr_strs *list,
                                      struct cr_str text, critic_error *err) {
    struct cr_str *items = cr_arena_calloc(&a->arena, list->n + 1, sizeof *items);
    if (!items)
        return cr_fail(err, CRITIC_NO_MEMORY, "too many arguments");
    if (list->n > 0)
        memcpy(items, list->items, list->n * sizeof *items);
    items[list->n] = text;
    *list = (struct cr_strs){items, list->n + 1};
    return CRITIC_OK;
}

static enum critic_status store_text(struct cr_args *a, const struct cr_flag *f,
                                     const struct spelling *as, const char *value,
                                     bool from_file, critic_error *err) {
    struct cr_str text = cr_str_of(value);
    if (from_file) {
        CR_TRY(read_text(a, value, &text, err));
        CR_TRY(append_text(a, &a->files, cr_str_of(value), err));
    }
    size_t bad = cr_utf8_invalid_at(text.data, text.len);
    if (bad != SIZE_MAX)
        return cr_fail(err, from_file ? CRITIC_BAD_DATA : CRITIC_BAD_ARGUMENT,
                       "%s: byte %zu is not valid UTF-8", from_file ? value : as->text,
                       bad);
    if (f->type == CR_FLAG_TEXTS || f->type == CR_FLAG_STRS)
        return append_text(a, f->out, text, err);
    *(struct cr_str *)f->out = text;
    return CRITIC_OK;
}

static enum critic_status store_number(const struct cr_flag *f, const struct spelling *as,
                                       const char *value, critic_error *err) {
    uint64_t n;
    double d;
    size_t bytes;
    switch (f->type) {
    case CR_FLAG_DOUBLE:
        if (!parse_double(value, &d) || !in_range(f, d))
            return wrong_value(f, as, value, "a number", err);
        *(double *)f->out = d;
        return CRITIC_OK;
    case CR_FLAG_BYTES:
        if (!cr_parse_bytes(value, &bytes) || !in_range(f, (double)bytes))
            return wrong_value(f, as, value, "a size such as 4096, 64K or 1.5G", err);
        *(size_t *)f->out = bytes;
        return CRITIC_OK;
    default:
        if (!parse_u64(value, &n) || !in_range(f, (double)n))
            return wrong_value(f, as, value, "a whole number", err);
        if (f->type == CR_FLAG_U64)
            *(uint64_t *)f->out = n;
        else
            *(size_t *)f->out = (size_t)n;
        return CRITIC_OK;
    }
}

static enum critic_status store(struct cr_args *a, const struct cr_flag *f,
                                const struct spelling *as, const char *value,
                                bool from_file, critic_error *err) {
    switch (f->type) {
    case CR_FLAG_STR:
        *(const char **)f->out = value;
        return CRITIC_OK;
    case CR_FLAG_TEXT:
    case CR_FLAG_STRS:
    case CR_FLAG_TEXTS:
        return store_text(a, f, as, value, from_file, err);
    case CR_FLAG_CHOICE: {
        int index = parse_choice(value, f->value);
        if (index < 0)
            return cr_fail(err, CRITIC_BAD_ARGUMENT, "%s '%s' is not one of %s", as->text,
                           value, f->value);
        *(int *)f->out = index;
        return CRITIC_OK;
    }
    default:
        return store_number(f, as, value, err);
    }
}

/* ---- parsing ---------------------------------------------------------------------------- */

static bool has_twin(const struct cr_flag *f) {
    return f->type == CR_FLAG_TEXT || f->type == CR_FLAG_TEXTS;
}

/* The flag called name[0..len); *from_file is true for its "-file" twin. */
static const struct cr_flag *find_long(const struct cr_flag *flags, const char *name,
                                       size_t len, bool *from_file) {
    static const char twin[] = "-file";
    const size_t twin_len = sizeof twin - 1;
    *from_file = false;
    for (const struct cr_flag *f = flags; f->name; f++) {
        size_t n = strlen(f->name);
        if (f->type == CR_FLAG_TITLE || len < n || memcmp(name, f->name, n) != 0)
            continue;
        if (len == n)
            return f;
        if (has_twin(f) && len == n + twin_len && memcmp(name + n, twin, twin_len) == 0) {
            *from_file = true;
            return f;
        }
    }
    return NULL;
}

static const struct cr_flag *find_short(const struct cr_flag *flags, char letter) {
    for (const struct cr_flag *f = flags; f->name; f++)
        if (f->letter && f->letter == letter)
            return f;
    return NULL;
}

static enum critic_status unknown_flag(const struct cr_args_spec *spec, const char *arg,
                                       critic_error *err) {
    const char *names[MAX_FLAGS];
    char word[MAX_NAME] = "";
    size_t n = 0;
    for (const struct cr_flag *f = spec->flags; f->name && n + 1 < MAX_FLAGS; f++)
        if (f->type != CR_FLAG_TITLE)
            names[n++] = f->name;
    names[n] = NULL;
    const char *bare = arg + strspn(arg, "-");
    size_t len = strcspn(bare, "=");
    if (len < sizeof word)
        memcpy(word, bare, len);
    const char *nearest = cr_nearest(word, names);
    if (nearest)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "unknown flag '%.80s'; did you mean --%s?", arg, nearest);
    return cr_fail(err, CRITIC_BAD_ARGUMENT,
                   "unknown flag '%.80s'; 'critic %s --help' lists them", arg,
                   spec->command);
}

struct parser {
    struct cr_args *out;
    const struct cr_args_spec *spec;
    int n_args;
    const char *const *args;
    int next;
    bool seen[MAX_FLAGS];
};

/* value: what stood behind '=' or a letter, NULL where the next argument is meant. */
static enum critic_status take_flag(struct parser *p, const struct cr_flag *f,
                                    const struct spelling *as, bool from_file,
                                    const char *value, critic_error *err) {
    size_t index = (size_t)(f - p->spec->flags);
    CR_ASSERT(index < MAX_FLAGS);
    bool repeats = f->type == CR_FLAG_STRS || f->type == CR_FLAG_TEXTS;
    if (p->seen[index] && !repeats)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--%s is given twice%s", f->name,
                       has_twin(f) ? ", as text or as a file" : "");
    p->seen[index] = true;
    if (f->type == CR_FLAG_BOOL) {
        if (value)
            return cr_fail(err, CRITIC_BAD_ARGUMENT, "%s takes no value", as->text);
        *(bool *)f->out = true;
        return CRITIC_OK;
    }
    if (!value) {
        if (p->next >= p->n_args)
            return cr_fail(err, CRITIC_BAD_ARGUMENT, "%s needs a value (%s)", as->text,
                           from_file ? "FILE" : f->value);
        value = p->args[p->next++];
    }
    return store(p->out, f, as, value, from_file, err);
}

static enum critic_status take_argument(struct parser *p, const char *arg,
                                        critic_error *err) {
    bool from_file = false;
    const struct cr_flag *f;
    struct spelling as;
    if (arg[1] == '-') {
        const char *name = arg + 2;
        size_t len = strcspn(name, "=");
        f = find_long(p->spec->flags, name, len, &from_file);
        if (!f)
            return unknown_flag(p->spec, arg, err);
        snprintf(as.text, sizeof as.text, "%.*s", (int)len + 2, arg);
        return take_flag(p, f, &as, from_file, name[len] ? name + len + 1 : NULL, err);
    }
    f = find_short(p->spec->flags, arg[1]);
    if (!f)
        return unknown_flag(p->spec, arg, err);
    snprintf(as.text, sizeof as.text, "-%c", arg[1]);
    return take_flag(p, f, &as, false, arg[2] ? arg + 2 : NULL, err);
}

static bool asks_for_help(int n_args, const char *const *args) {
    for (int i = 0; i < n_args && strcmp(args[i], "--") != 0; i++)
        if (strcmp(args[i], "--help") == 0 || strcmp(args[i], "-h") == 0)
            return true;
    return false;
}

static enum critic_status check_positional(const struct cr_args *a,
                                           const struct cr_args_spec *spec,
                                           critic_error *err) {
    if (a->n_positional > spec->max_positional)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "unexpected argument '%.80s'; usage: critic %s %s",
                       a->positional[spec->max_positional], spec->command, spec->usage);
    if (a->n_positional < spec->min_positional)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "too few arguments; usage: critic %s %s",
                       spec->command, spec->usage);
    return CRITIC_OK;
}

enum critic_status cr_args_parse(struct cr_args *out, const struct cr_args_spec *spec,
                                 int n_args, const char *const *args, critic_error *err) {
    struct parser p = {.out = out, .spec = spec, .n_args = n_args, .args = args};
    bool only_positional = false;
    memset(out, 0, sizeof *out);
    if (asks_for_help(n_args, args)) {
        out->help = true;
        return CRITIC_OK;
    }
    CR_TRY(cr_arena_init(&out->arena, ARENA_BYTES, err));
    out->positional =
        cr_arena_calloc(&out->arena, (size_t)n_args + 1, sizeof *out->positional);
    if (!out->positional)
        return cr_fail(err, CRITIC_NO_MEMORY, "too many arguments");
    while (p.next < n_args) {
        const char *arg = args[p.next++];
        if (only_positional || arg[0] != '-' || arg[1] == '\0')
            out->positional[out->n_positional++] = arg;
        else if (strcmp(arg, "--") == 0)
            only_positional = true;
        else
            CR_TRY(take_argument(&p, arg, err));
    }
    return check_positional(out, spec, err);
}

void cr_args_fini(struct cr_args *a) {
    cr_arena_fini(&a->arena);
    memset(a, 0, sizeof *a);
}

/* ---- help ---------------------------------------------------------------------------------- */

/* Wraps text into the right-hand column, whose first line already has `used` columns. */
static enum critic_status append_wrapped(struct cr_buf *out, size_t used,
                                         const char *text, critic_error *err) {
    if (used + 2 > HELP_COLUMN) {
        CR_TRY(cr_buf_append_c(out, "\n", err));
        used = 0;
    }
    CR_TRY(cr_buf_printf(out, err, "%*s", (int)(HELP_COLUMN - used), ""));
    size_t column = HELP_COLUMN;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + n > HELP_WIDTH) {
            CR_TRY(cr_buf_printf(out, err, "\n%*s", HELP_COLUMN, ""));
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            CR_TRY(cr_buf_append_c(out, " ", err));
            column++;
        }
        CR_TRY(cr_buf_append(out, text, n, err));
        column += n;
        text += n + strspn(text + n, " ");
    }
    return cr_buf_append_c(out, "\n", err);
}

static enum critic_status append_flag(struct cr_buf *out, const struct cr_flag *f,
                                      critic_error *err) {
    if (f->type == CR_FLAG_TITLE)
        return cr_buf_printf(out, err, "\n%s\n", f->name);
    size_t start = out->len;
    if (f->letter)
        CR_TRY(cr_buf_printf(out, err, "  -%c, --%s", f->letter, f->name));
    else
        CR_TRY(cr_buf_printf(out, err, "  --%s", f->name));
    if (f->type != CR_FLAG_BOOL)
        CR_TRY(cr_buf_printf(out, err, " %s", f->value));
    CR_TRY(append_wrapped(out, out->len - start, f->help, err));
    if (!has_twin(f))
        return CRITIC_OK;
    start = out->len;
    CR_TRY(cr_buf_printf(out, err, "  --%s-file FILE", f->name));
    return append_wrapped(out, out->len - start,
                          "the same, read from a file (-: standard input)", err);
}

enum critic_status cr_args_help(struct cr_buf *out, const struct cr_args_spec *spec,
                                critic_error *err) {
    CR_TRY(cr_buf_printf(out, err, "usage: critic %s %s\n\n%s\n", spec->command,
                         spec->usage, spec->about));
    for (const struct cr_flag *f = spec->flags; f->name; f++)
        CR_TRY(append_flag(out, f, err));
    CR_TRY(cr_buf_append_c(out, "  -h, --help", err));
    CR_TRY(append_wrapped(out, strlen("  -h, --help"), "this page", err));
    CR_TRY(cr_buf_append_c(out, "\nexample\n", err));
    for (const char *line = spec->example; *line;) {
        size_t n = strcspn(line, "\n");
        CR_TRY(cr_buf_printf(out, err, "  %.*s\n", (int)n, line));
        line += n + (line[n] == '\n');
    }
    return CRITIC_OK;
}
