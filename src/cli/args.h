/* Command lines: one table of flags per sub-command serves the parser and --help, so that
 * the two cannot disagree.
 *
 *   --flag value, --flag=value, -f value, -fvalue; "--" ends the flags; "-" is a value.
 *   Of a CR_FLAG_TEXT or CR_FLAG_TEXTS named "x" there is a twin "x-file" that reads the
 *   text from a file ("-": standard input).
 *
 * An unknown flag, a flag twice, a missing or malformed value: CRITIC_BAD_ARGUMENT with one
 * line that names the flag and, where one is near, the flag that was probably meant. */
#ifndef CR_CLI_ARGS_H
#define CR_CLI_ARGS_H

#include "base/arena.h"
#include "base/bytes.h"

enum cr_flag_type {
    CR_FLAG_BOOL,   /* bool; takes no value */
    CR_FLAG_STR,    /* const char * */
    CR_FLAG_TEXT,   /* struct cr_str; data NULL until given */
    CR_FLAG_STRS,   /* struct cr_strs; repeats */
    CR_FLAG_TEXTS,  /* struct cr_strs; repeats; has the "-file" twin */
    CR_FLAG_SIZE,   /* size_t */
    CR_FLAG_BYTES,  /* size_t; 4096, 64K, 1.5G, 2GiB */
    CR_FLAG_U64,    /* uint64_t */
    CR_FLAG_DOUBLE, /* double, finite */
    CR_FLAG_CHOICE, /* int: index into `choices`, which is separated by '|' */
    CR_FLAG_TITLE   /* no flag: a heading in the help */
};

struct cr_flag {
    const char *name; /* without dashes; NULL ends a table */
    char letter;      /* 0: no short form */
    enum cr_flag_type type;
    void *out;         /* left alone where the flag is not given */
    const char *value; /* what the help calls the value; for CR_FLAG_CHOICE the choices */
    const char *help;
    double min, max; /* of numbers; both 0: no limit */
};

/* Texts are terminated as well. */
struct cr_strs {
    struct cr_str *items;
    size_t n;
};

struct cr_args_spec {
    const char *command; /* "judge" */
    const char *usage;   /* behind "critic judge": "--image FILE …" */
    const char *about;   /* one or more lines */
    const char *example; /* lines, each shown indented */
    const struct cr_flag *flags;
    size_t min_positional, max_positional;
};

struct cr_args {
    struct cr_arena arena; /* of texts and lists */
    const char **positional;
    size_t n_positional;
    struct cr_strs files; /* that "-file" twins have read */
    bool help;            /* --help or -h stood there; nothing else was checked */
};

/* args: argv without the program and the command. Strings are borrowed from it.
 * Errors: CRITIC_BAD_ARGUMENT, CRITIC_BAD_FILE (a "-file" twin), CRITIC_NO_MEMORY.
 * Ownership: cr_args_fini, after failure too, once nothing of it is used any more. */
enum critic_status cr_args_parse(struct cr_args *out, const struct cr_args_spec *spec,
                                 int n_args, const char *const *args, critic_error *err);
void cr_args_fini(struct cr_args *a);

/* Appends what --help prints. */
enum critic_status cr_args_help(struct cr_buf *out, const struct cr_args_spec *spec,
                                critic_error *err);

/* Bytes of "4096", "64K", "1.5G", "2GiB" (powers of 1024); false for anything else. */
bool cr_parse_bytes(const char *text, size_t *bytes);

/* The candidate nearest to `word` by edit distance, NULL where none is near enough to have
 * been meant. candidates ends with NULL. */
const char *cr_nearest(const char *word, const char *const *candidates);

#endif
