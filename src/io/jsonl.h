/* JSON lines: a bounded reader, and an output that is appended line by line and can be gone
 * on with after any kind of end. Knows nothing of what the lines say. */
#ifndef CR_IO_JSONL_H
#define CR_IO_JSONL_H

#include "base/bytes.h"

/* ---- reading ---------------------------------------------------------------------------- */

struct cr_jsonl_reader {
    int fd;
    const char *name; /* for errors */
    size_t max_line;
    struct cr_buf buf; /* bytes read and not yet handed out */
    size_t start;      /* of the next line in buf */
    size_t line_number;
    bool at_end;
};

/* path "-": standard input, called "standard input" in errors. max_line: longest line.
 * path is borrowed. Errors: CRITIC_BAD_FILE. Ownership: the caller closes, after failure too. */
enum critic_status cr_jsonl_open(struct cr_jsonl_reader *r, const char *path,
                                 size_t max_line, critic_error *err);
/* The next line that is not blank, without its end, valid until the next call; line->data is
 * NULL at the end. r->line_number counts from 1, blank lines included.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA (a line too long), CRITIC_NO_MEMORY. */
enum critic_status cr_jsonl_next(struct cr_jsonl_reader *r, struct cr_str *line,
                                 critic_error *err);
void cr_jsonl_close(struct cr_jsonl_reader *r);

/* ---- writing ---------------------------------------------------------------------------- */

struct cr_jsonl_log {
    int fd;
    const char *name;
    bool is_stdout;
};

enum cr_jsonl_start {
    CR_JSONL_FRESH,  /* refuse a file that holds anything */
    CR_JSONL_RESUME, /* keep what is there, cut off a torn last line */
    CR_JSONL_FORCE   /* empty it */
};

/* path "-": standard output, which nothing is resumed from. With CR_JSONL_RESUME, on_line is
 * called with every line that is there; it returns a status that ends the opening.
 * Errors: CRITIC_BAD_ARGUMENT (the file holds something), CRITIC_IO, what on_line returns.
 * Ownership: the caller closes, after failure too. path is borrowed. */
enum critic_status
cr_jsonl_log_open(struct cr_jsonl_log *log, const char *path, enum cr_jsonl_start start,
                  enum critic_status (*on_line)(void *user, struct cr_str line,
                                                size_t number, critic_error *err),
                  void *user, critic_error *err);
/* Appends line and a newline in one write; on a full disk nothing of it stays.
 * Errors: CRITIC_IO. */
enum critic_status cr_jsonl_log_append(struct cr_jsonl_log *log, struct cr_str line,
                                       critic_error *err);
void cr_jsonl_log_close(struct cr_jsonl_log *log);

#endif
