/* What a run of critic align has done, in one SQLite file: its options, and every finished stage with
 * what it counted. A stage is marked in one transaction after its files are whole, so kill -9 at any
 * moment leaves it done or not done. Nothing in it names a path or a time: the run's folder can be
 * moved, and equal runs have equal bytes once they are settled. While it is open, no other process can
 * open it. */
#ifndef CR_ALIGN_STATE_H
#define CR_ALIGN_STATE_H

#include <jansson.h>

#include "base/error.h"

struct cr_align_state;

/* An option that may be another as long as no round has done the stage that it is for. key NULL: none. */
struct cr_align_late {
    const char *key, *stage;
};

/* options: what must be the same to go on (flat object). A file that is there is gone on with where
 * `resume` says so. Errors: CRITIC_BAD_ARGUMENT (there and not resume; an option that differs, named
 * with both values), CRITIC_BAD_FILE (no such database), CRITIC_IO (another
 * process has it open, too), CRITIC_NO_MEMORY. */
enum critic_status cr_align_state_open(struct cr_align_state **out, const char *path,
                                       const json_t *options, struct cr_align_late late,
                                       bool resume, critic_error *err);
void cr_align_state_close(struct cr_align_state *s);

/* *detail: what the stage counted, a new reference; NULL: not done. */
enum critic_status cr_align_state_get(struct cr_align_state *s, size_t round,
                                      const char *stage, json_t **detail,
                                      critic_error *err);
enum critic_status cr_align_state_put(struct cr_align_state *s, size_t round,
                                      const char *stage, const json_t *detail,
                                      critic_error *err);
/* Writes the file anew, so that its bytes do not tell in how many goes it came to be. The state is
 * closed, success or not. */
enum critic_status cr_align_state_settle(struct cr_align_state *s, critic_error *err);

#endif
