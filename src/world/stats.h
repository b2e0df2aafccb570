/* critic data stats: what is in a conversation file, ours or a published one, and in the oracle's
 * file beside it. */
#ifndef CR_WORLD_STATS_H
#define CR_WORLD_STATS_H

#include "io/json.h"

struct cr_data_stats_opts {
    const char *path;   /* conversations; or an oracle file alone */
    const char *oracle; /* its oracle file; NULL: none */
    bool (*cancel)(void *user);
    void *user;
};

/* *out is a new object (docs/micro-world.md lists its keys): numbers, and objects that count.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA "file:line: …", CRITIC_NO_MEMORY, CRITIC_CANCELLED. */
enum critic_status cr_data_stats(json_t **out, const struct cr_data_stats_opts *opts,
                                 critic_error *err);

/* The first n different pictures of a conversation or label file, each brought to side x side
 * pixels, `columns` beside each other, as a PNG file appended to out. image_folder NULL: the
 * file's own. Errors: as cr_image_load. */
enum critic_status cr_contact_sheet(struct cr_buf *out, const char *path,
                                    const char *image_folder, size_t n, size_t side,
                                    size_t columns, critic_error *err);

#endif
