/* Picture features kept in files of a folder, so that later runs need no tower: one file a picture,
 * named by all that its rows follow from (the picture's content and processing, the weights, the precision and
 * the instruction set), so that what is found has the bits that would be computed.
 *
 *   "critic features\n", rows u64, width u64, hash of the rows (2 u64), rows (rows, width) F32
 *
 * in the machine's byte order, which the name stands for, too. Files are written beside their name and
 * renamed, so several processes may share a folder. The folder is a help, never a condition:
 * what cannot be read or written is said once (log) and done without. */
#ifndef CR_ENGINE_FEATURE_FILES_H
#define CR_ENGINE_FEATURE_FILES_H

#include "base/bytes.h"

struct cr_feature_files;

/* dir: made where it is not there. Reads may go on where writing fails. limit: most bytes of such files
 * in the folder; the ones unused for longest go first. `salt`: bytes that every name stands for.
 * warn is called with a line for a person. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_feature_files_open(struct cr_feature_files **out, const char *dir,
                                         size_t limit, struct cr_str salt,
                                         void (*warn)(void *user, const char *line),
                                         void *user, critic_error *err);
void cr_feature_files_close(struct cr_feature_files *f);

/* Fills rows (n_rows, width) where the folder has them whole; false: compute them. */
bool cr_feature_files_read(struct cr_feature_files *f, const uint64_t key[2], float *rows,
                           size_t n_rows, size_t width);
void cr_feature_files_write(struct cr_feature_files *f, const uint64_t key[2],
                            const float *rows, size_t n_rows, size_t width);

#endif
