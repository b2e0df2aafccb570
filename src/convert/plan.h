/* Private to src/convert: which tensors go out, under what name and type, and their bytes. */
#ifndef CR_CONVERT_PLAN_H
#define CR_CONVERT_PLAN_H

#include "base/arena.h"
#include "convert/convert.h"
#include "io/file_tensor.h"
#include "op/exec.h"

struct cr_plan_item {
    struct cr_tensor source;
    const char *canonical;
    struct cr_file_tensor target; /* name, dtype, shape, bytes; data NULL */
    bool vision;
};

struct cr_plan {
    struct cr_arena arena;
    struct cr_arena merged; /* weights that an adapter was added to (convert/merge.h) */
    struct cr_plan_item *items;
    size_t n_items;
    size_t n_not_quantised;
    struct cr_exec
        *ex; /* quantises the matrices of a packed file; NULL: another target */
};

/* Errors: as cr_convert. cr_plan_fini is safe on a zeroed plan. */
enum critic_status cr_plan_make(struct cr_plan *plan, const struct cr_store *store,
                                const struct cr_config *config, enum cr_layout layout,
                                const struct cr_convert_options *options,
                                critic_error *err);
void cr_plan_fini(struct cr_plan *plan);

/* Takes the converted bytes of a tensor in order. */
typedef enum critic_status cr_plan_sink(void *user, const void *data, size_t bytes,
                                        critic_error *err);
/* Converts row by row, matrices of a packed file as a whole.
 * Errors: the sink's; CRITIC_BAD_DATA, CRITIC_BAD_MODEL, CRITIC_NO_MEMORY. */
enum critic_status cr_plan_stream(const struct cr_plan *plan,
                                  const struct cr_plan_item *item, cr_plan_sink *sink,
                                  void *user, critic_error *err);
/* Opens `path` and compares configuration and every tensor with what was planned. */
enum critic_status cr_plan_verify(const struct cr_plan *plan,
                                  const struct cr_config *config, const char *path,
                                  critic_error *err);

#endif
