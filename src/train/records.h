/* Records of training data files: LLaVA conversations as a JSON list or JSON lines, and the
 * data-mixing YAML of LLaVA-NeXT. Finds each record's bytes and line; what it says is read by
 * train/conversation.h.
 *
 *   datasets:
 *     - json_path: a.jsonl            (or prefix{a,b}.json)
 *       sampling_strategy: random:10%  (all, first:N, end:N, random:N; N or "P%", rounded up)
 *
 * Source: LLaVA-NeXT llava/train/train.py, LazySupervisedDataset. */
#ifndef CR_TRAIN_RECORDS_H
#define CR_TRAIN_RECORDS_H

#include "base/arena.h"
#include "base/file.h"
#include "io/json.h"

struct cr_record_ref {
    uint32_t file;  /* index into files */
    uint32_t line;  /* from 1 */
    size_t at, len; /* bytes in the file */
};

struct cr_records {
    struct cr_arena arena;
    size_t n_files;
    const char **names;
    struct cr_map *maps;
    size_t n;
    /* selected ones, in file order (random: in drawn order) */
    struct cr_record_ref *refs;
};

/* path: .json or .jsonl (told apart by content), a brace list, or .yaml/.yml. json_path is taken
 * as it is, else from the YAML's folder. seed draws "random:N".
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA naming file and line, CRITIC_NO_MEMORY.
 * cr_records_close is safe on a zeroed struct and after failure. */
enum critic_status cr_records_open(struct cr_records *r, const char *path, uint64_t seed,
                                   critic_error *err);
void cr_records_close(struct cr_records *r);

/* Record i as JSON, a new reference. Errors: CRITIC_BAD_DATA "file:line: …". */
enum critic_status cr_records_get(const struct cr_records *r, size_t i, json_t **out,
                                  critic_error *err);
/* "file:line" of record i into text. */
void cr_records_where(const struct cr_records *r, size_t i, char text[512]);

#endif
