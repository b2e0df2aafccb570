/* Files: read-only mappings, bounded reads, and output that appears under its final name
 * only when it is whole. */
#ifndef CR_BASE_FILE_H
#define CR_BASE_FILE_H

#include "base/bytes.h"

/* A read-only mapping of a regular file; an empty file maps to len 0. */
struct cr_map {
    struct cr_bytes bytes;
    bool is_borrowed; /* bytes that someone else keeps: cr_map_close leaves them */
};

/* Errors: CRITIC_BAD_FILE naming the path (missing, a folder, unreadable), CRITIC_NO_MEMORY. */
enum critic_status cr_map_open(struct cr_map *m, const char *path, critic_error *err);
void cr_map_close(struct cr_map *m);
/* The whole pages of part, if it lies in the mapping, leave the process's memory until somebody reads
 * them again. Borrowed bytes stay. */
void cr_map_forget(const struct cr_map *m, struct cr_bytes part);

/* Reads a whole file, or standard input where path is "-", into out (initialised by the
 * caller; its max is the limit). Errors: CRITIC_BAD_FILE (more than the limit, too),
 * CRITIC_NO_MEMORY. */
enum critic_status cr_file_read(const char *path, struct cr_buf *out, critic_error *err);
bool cr_file_exists(const char *path);
/* Refuses to write what is being read: both names lead to one regular file. "-" is no file.
 * Errors: CRITIC_BAD_ARGUMENT naming the output. */
enum critic_status cr_file_apart(const char *input, const char *output,
                                 critic_error *err);
/* Replaces `to`. Errors: CRITIC_IO naming `to`. */
enum critic_status cr_file_rename(const char *from, const char *to, critic_error *err);
/* dir + "/" + name into out; name alone where it is absolute or dir is empty. */
enum critic_status cr_path_join(struct cr_buf *out, const char *dir, const char *name,
                                critic_error *err);

/* Output file: written beside its final name, then renamed. A process that dies leaves the
 * old file as it was. What is no regular file (a device, a pipe) is written in place: a rename
 * would put a file where the device was. */
struct cr_out {
    int fd;
    char *path;      /* final name */
    char *temporary; /* name while it is written; NULL: in place */
    unsigned char *pending;
    size_t n_pending;
    size_t n_written; /* bytes accepted so far, pending ones included */
};

/* Errors: CRITIC_IO naming the path. */
enum critic_status cr_out_open(struct cr_out *o, const char *path, critic_error *err);
enum critic_status cr_out_write(struct cr_out *o, const void *data, size_t len,
                                critic_error *err);
/* Flushes, syncs and renames. After it, success or not, the cr_out is closed. */
enum critic_status cr_out_commit(struct cr_out *o, critic_error *err);
/* Removes what was written. Safe on a zeroed or a committed cr_out. */
void cr_out_abort(struct cr_out *o);
/* A whole small file at once, one of many: beside and renamed as above, but not synced.
 * Errors: CRITIC_IO naming the path, CRITIC_NO_MEMORY. */
enum critic_status cr_file_write(const char *path, struct cr_bytes bytes,
                                 critic_error *err);
/* The same synced, as cr_out_commit does. */
enum critic_status cr_file_write_text(const char *path, struct cr_str text,
                                      critic_error *err);

#endif
