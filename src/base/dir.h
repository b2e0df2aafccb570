/* Folders: listing, and output that appears under its final name only when it is whole. */
#ifndef CR_BASE_DIR_H
#define CR_BASE_DIR_H

#include "base/bytes.h"

bool cr_dir_exists(const char *path);
/* Makes the folder and those above it; one that is there is fine. Errors: CRITIC_IO. */
enum critic_status cr_dir_make(const char *path, critic_error *err);
/* The folder that holds path ("." where path has no slash) into out. */
enum critic_status cr_path_parent(struct cr_buf *out, const char *path,
                                  critic_error *err);
/* The part of path behind its last slash. */
const char *cr_path_base(const char *path);

/* Base names of what lies in a folder, each terminated, in byte order, "." and ".." left out.
 * Initialised by the caller; walk it with cr_dir_next.
 * Errors: CRITIC_BAD_FILE naming the path, CRITIC_NO_MEMORY (also past out's max). */
enum critic_status cr_dir_list(struct cr_buf *out, const char *path, critic_error *err);
/* The first name where previous is NULL; NULL after the last. */
const char *cr_dir_next(const struct cr_buf *names, const char *previous);

/* Removes a folder and the files in it, as far as it goes; folders inside it stay, and it then. */
void cr_dir_remove(const char *path);

/* Output folder, filled under `temporary` and then renamed. An empty folder may stand in the
 * final place already; a folder with anything in it is CRITIC_IO. Holds files only. */
struct cr_out_dir {
    char *path;
    char *temporary;
};

enum critic_status cr_out_dir_open(struct cr_out_dir *d, const char *path,
                                   critic_error *err);
/* After it, success or not, d is closed. */
enum critic_status cr_out_dir_commit(struct cr_out_dir *d, critic_error *err);
/* Removes what was written. Safe on a zeroed or committed cr_out_dir. */
void cr_out_dir_abort(struct cr_out_dir *d);

#endif
