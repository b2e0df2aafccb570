/* Inside the preference stages: a log that is gone on with, one line an id. */
#ifndef CR_PREFER_LEDGER_H
#define CR_PREFER_LEDGER_H

#include "io/jsonl.h"
#include "prefer/prefer.h"

struct cr_ledger {
    struct cr_jsonl_log log;
    json_t *there; /* ids as keys */
    json_t *stamp; /* borrowed: keys and values that every line of this run carries */
    const json_t
        *wanted; /* borrowed: of each id of the input the print of what it says; NULL:
                             lines are not held against the input */
    bool with_answers; /* in the print */
    void (*on_line)(void *user,
                    const json_t *line); /* what is there already; may be NULL */
    void *user;
    size_t n_retry; /* lines there with status "error" */
};

/* Opens path as opts say. A line that is there must carry the same `stamp`, be of an id that is
 * wanted, stand there once, and have been made of what the input says; else it was written by another
 * run. Of a line with status "error" the stamp alone counts: its id is not there and is tried again.
 * Errors: as cr_prefer_sample. Ownership: cr_ledger_close, after failure too. */
enum critic_status cr_ledger_open(struct cr_ledger *l, const char *path, json_t *stamp,
                                  const struct cr_prefer_opts *opts, critic_error *err);
/* A number over the prompt and the pictures of an entry or a line, and over its answers' texts: equal
 * where these are. A new reference. */
json_t *cr_ledger_print(const json_t *entry, bool with_answers);
/* Is there a line of this id? */
bool cr_ledger_has(const struct cr_ledger *l, const char *id);
/* Adds the stamp to `line`, appends it and takes the reference; line may be NULL (no memory). */
enum critic_status cr_ledger_append(struct cr_ledger *l, json_t *line, critic_error *err);
/* The end of a run that came through: closes the file and, where failed prompts were tried again, puts
 * its lines in the order of `ids` (an object's keys), one an id. Errors: as cr_jsonl_put_in_order. */
enum critic_status cr_ledger_finish(struct cr_ledger *l, const json_t *ids,
                                    critic_error *err);
void cr_ledger_close(struct cr_ledger *l);

/* Is it a fault that the next prompt would meet as well, so that the run ends and can be gone on with?
 * A judge that refuses (a wrong key, no such model) does so before anything came of a prompt. */
bool cr_prefer_ends_run(enum critic_status status, const struct cr_prefer_counts *counts);

/* The folder of a file, as a prefix of path: "" where there is no slash. */
struct cr_str cr_folder_of(const char *path);

#endif
