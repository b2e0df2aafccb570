/* Inside the preference stages: a log that is gone on with, one line an id. */
#ifndef CR_PREFER_LEDGER_H
#define CR_PREFER_LEDGER_H

#include "io/jsonl.h"
#include "prefer/prefer.h"

struct cr_ledger {
    struct cr_jsonl_log log;
    json_t *there; /* ids as keys */
    json_t *stamp; /* borrowed: keys and values that every line of this run carries */
    void (*on_line)(void *user,
                    const json_t *line); /* what is there already; may be NULL */
    void *user;
};

/* Opens path as opts say. A line that is there must carry the same `stamp`, else it was written by
 * another run. Errors: as cr_prefer_sample. Ownership: cr_ledger_close, after failure too. */
enum critic_status cr_ledger_open(struct cr_ledger *l, const char *path, json_t *stamp,
                                  const struct cr_prefer_opts *opts, critic_error *err);
/* Is there a line of this id? */
bool cr_ledger_has(const struct cr_ledger *l, const char *id);
/* Adds the stamp to `line`, appends it and takes the reference; line may be NULL (no memory). */
enum critic_status cr_ledger_append(struct cr_ledger *l, json_t *line, critic_error *err);
void cr_ledger_close(struct cr_ledger *l);

/* The folder of a file, as a prefix of path: "" where there is no slash. */
struct cr_str cr_folder_of(const char *path);

#endif
