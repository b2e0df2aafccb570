/* critic data lint: what is wrong in conversation files, ours or published ones, before a training
 * run finds it out.
 *
 * Files in one folder are one split; where all lie in one folder every file is a split of its own.
 *   syntax      no JSON, no object, no conversations, turns that do not alternate human and gpt,
 *               an empty reply
 *   marks       as many <image> in the human turns as pictures; none in a reply
 *   missing     a picture that is not there
 *   duplicate   an id, or picture and conversation, a second time in one file
 *   leak        a picture (by content), or a scene (by its truth), in two splits
 *   split       a scene that belongs to another split than its line says
 *   order       of a file's pairs that are no ties the first is better in a share that a fair coin
 *               gives in less than one of 10,000 files */
#ifndef CR_WORLD_LINT_H
#define CR_WORLD_LINT_H

#include "base/bytes.h"

#define CR_FAULT_LIST(X)                                                                 \
    X(SYNTAX, "syntax")                                                                  \
    X(MARKS, "marks")                                                                    \
    X(MISSING, "missing")                                                                \
    X(DUPLICATE, "duplicate")                                                            \
    X(LEAK, "leak")                                                                      \
    X(SPLIT, "split")                                                                    \
    X(ORDER, "order")

enum cr_lint_kind {
#define CR_FAULT_ENUM(name, text) CR_LINT_##name,
    CR_FAULT_LIST(CR_FAULT_ENUM)
#undef CR_FAULT_ENUM
        CR_N_LINT_KINDS
};
const char *cr_lint_kind_name(enum cr_lint_kind kind);

struct cr_lint_opts {
    const char *const *paths;
    size_t n_paths;
    const char *image_folder; /* NULL: each file's folder */
    bool no_images;           /* pictures are not looked for */
    /* Every fault, as it is found: "file:record: what is wrong; what was expected". */
    void (*on_fault)(void *user, enum cr_lint_kind kind, const char *message);
    bool (*cancel)(void *user); /* may be NULL */
    void *user;
};

struct cr_lint_result {
    size_t n_records, n_turns, n_images;
    size_t faults[CR_N_LINT_KINDS];
};

/* Errors: CRITIC_BAD_FILE, CRITIC_NO_MEMORY, CRITIC_CANCELLED; faults of the data are no errors. */
enum critic_status cr_data_lint(const struct cr_lint_opts *opts,
                                struct cr_lint_result *result, critic_error *err);

#endif
