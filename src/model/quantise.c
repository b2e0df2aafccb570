#include <stdint.h>

#include "base/checked.h"
#include "model/params.h"

/* Every product of the network but the patch embedding, which is a thousandth of the work and
 * sees the pixels themselves. */
typedef enum critic_status visit_fn(void *user, struct cr_linear *lin,
                                    enum cr_param_part part, critic_error *err);

static enum critic_status each_product(struct cr_params *p,
                                       const struct cr_config *config, visit_fn *visit,
                                       void *user, critic_error *err) {
    for (size_t l = 0; config->vision.present && l < config->vision.n_layers; l++) {
        struct cr_vision_layer *v = &p->tower[l];
        struct cr_linear *products[] = {&v->q, &v->k, &v->v, &v->o, &v->fc1, &v->fc2};
        for (size_t i = 0; i < CR_COUNT(products); i++)
            CR_TRY(visit(user, products[i], CR_PART_TOWER, err));
    }
    if (config->vision.present) {
        CR_TRY(visit(user, &p->project1, CR_PART_PROJECTOR, err));
        CR_TRY(visit(user, &p->project2, CR_PART_PROJECTOR, err));
    }
    for (size_t l = 0; l < config->text.n_layers; l++) {
        struct cr_decoder_layer *d = &p->layers[l];
        struct cr_linear *products[] = {&d->q,    &d->k,  &d->v,   &d->o,
                                        &d->gate, &d->up, &d->down};
        for (size_t i = 0; i < CR_COUNT(products); i++)
            CR_TRY(visit(user, products[i], CR_PART_DECODER, err));
    }
    return visit(user, &p->head, CR_PART_DECODER, err);
}

/* What a file keeps in 5 to 8 bits, it keeps so on purpose. */
enum cr_packing cr_param_packing(enum cr_dtype dtype, size_t k, bool in_decoder_block,
                                 enum cr_packing wanted) {
    bool is_fine = dtype == CR_Q5_0 || dtype == CR_Q5_1 || dtype == CR_Q5_K ||
                   dtype == CR_Q6_K || dtype == CR_Q8_0;
    if (wanted == CR_PACK_INT4 && in_decoder_block && !is_fine &&
        cr_packed_fits(CR_PACK_INT4, k))
        return CR_PACK_INT4;
    return CR_PACK_INT8;
}

static enum cr_packing packing_of(const struct cr_linear *lin, enum cr_param_part part,
                                  bool is_head, enum cr_packing wanted) {
    return cr_param_packing(lin->w.dtype, cr_tensor_cols(&lin->w),
                            part == CR_PART_DECODER && !is_head, wanted);
}

struct quantiser {
    struct cr_params *params;
    enum cr_packing wanted;
    struct cr_arena *arena;
    struct cr_exec *ex;
    bool (*cancelled)(void *user);
    void *user;
    size_t bytes;
};

/* What an arena adds to two blocks, whatever it puts around them. */
#define ARENA_MARGIN ((size_t)1024)

/* The head's rounding decides between tokens that are nearly as likely: a fifth of all changes of
 * the likeliest token were its own (docs/quantisation.md). */
static void attach(struct quantiser *q, struct cr_linear *lin, struct cr_packed *packed) {
    packed->is_fine = lin == &q->params->head;
    lin->packed = packed;
}

static enum critic_status count(void *user, struct cr_linear *lin,
                                enum cr_param_part part, critic_error *err) {
    (void)err;
    struct quantiser *q = user;
    enum cr_packing packing = packing_of(lin, part, lin == &q->params->head, q->wanted);
    q->bytes +=
        sizeof(struct cr_packed) + ARENA_MARGIN +
        cr_packed_bytes(packing, cr_tensor_rows(&lin->w), cr_tensor_cols(&lin->w));
    return CRITIC_OK;
}

static enum critic_status quantise(void *user, struct cr_linear *lin,
                                   enum cr_param_part part, critic_error *err) {
    struct quantiser *q = user;
    if (q->cancelled && q->cancelled(q->user))
        return cr_fail(err, CRITIC_CANCELLED, "cancelled");
    struct cr_packed *packed = cr_arena_alloc(q->arena, sizeof *packed);
    if (!packed)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for quantised weights");
    CR_TRY(cr_packed_new(packed,
                         packing_of(lin, part, lin == &q->params->head, q->wanted),
                         &lin->w, q->arena, q->ex, err));
    attach(q, lin, packed);
    return CRITIC_OK;
}

size_t cr_params_quantised_bytes(struct cr_params *p, const struct cr_config *config,
                                 enum cr_packing packing) {
    struct quantiser q = {.params = p, .wanted = packing};
    enum critic_status status = each_product(p, config, count, &q, NULL);
    CR_ASSERT(status == CRITIC_OK);
    return q.bytes;
}

enum critic_status cr_params_quantise(struct cr_params *p, const struct cr_config *config,
                                      enum cr_packing packing, struct cr_arena *arena,
                                      bool (*cancelled)(void *user), void *user,
                                      struct cr_exec *ex, critic_error *err) {
    struct quantiser q = {.params = p,
                          .wanted = packing,
                          .arena = arena,
                          .ex = ex,
                          .cancelled = cancelled,
                          .user = user};
    return each_product(p, config, quantise, &q, err);
}

/* ---- panels that a file holds ---- */

static enum critic_status use(void *user, struct cr_linear *lin, enum cr_param_part part,
                              critic_error *err) {
    struct quantiser *q = user;
    const struct cr_tensor *w = &lin->w;
    (void)part;
    if (!cr_dtype_is_panels(w->dtype))
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "tensor '%s' has dtype %s in a packed file; expected %s or %s",
                       w->name, cr_dtype_name(w->dtype), cr_dtype_name(CR_PANEL8),
                       cr_dtype_name(CR_PANEL4));
    bool is_head = lin == &q->params->head;
    if (is_head && w->dtype != CR_PANEL8)
        return cr_fail(err, CRITIC_BAD_MODEL, "tensor '%s' has dtype %s; expected %s",
                       w->name, cr_dtype_name(w->dtype), cr_dtype_name(CR_PANEL8));
    struct cr_packed *packed = cr_arena_alloc(q->arena, sizeof *packed);
    if (!packed)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the parameter table");
    *packed = cr_packed_view(w->dtype == CR_PANEL4 ? CR_PACK_INT4 : CR_PACK_INT8,
                             cr_tensor_rows(w), cr_tensor_cols(w), w->data);
    size_t bad = cr_packed_bad_column(packed);
    if (bad != SIZE_MAX)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "tensor '%s': a scale of row %zu is not finite; expected numbers",
                       w->name, bad);
    attach(q, lin, packed);
    return CRITIC_OK;
}

enum critic_status cr_params_use_panels(struct cr_params *p,
                                        const struct cr_config *config,
                                        struct cr_arena *arena, critic_error *err) {
    struct quantiser q = {.params = p, .arena = arena};
    return each_product(p, config, use, &q, err);
}

/* ---- panels of bf16 ---- */

static enum critic_status count_panels(void *user, struct cr_linear *lin,
                                       enum cr_param_part part, critic_error *err) {
    struct quantiser *q = user;
    (void)part;
    (void)err;
    q->bytes += cr_linear_panels_bytes(&lin->w);
    return CRITIC_OK;
}

static enum critic_status make_panels(void *user, struct cr_linear *lin,
                                      enum cr_param_part part, critic_error *err) {
    struct quantiser *q = user;
    (void)part;
    if (!cr_linear_has_panels(&lin->w, q->ex))
        return CRITIC_OK;
    lin->panels = cr_linear_panels(&lin->w, q->arena, q->ex);
    return lin->panels ? CRITIC_OK
                       : cr_fail(err, CRITIC_NO_MEMORY, "out of memory for panels");
}

size_t cr_params_panels_bytes(struct cr_params *p, const struct cr_config *config) {
    struct quantiser q = {.params = p};
    enum critic_status status = each_product(p, config, count_panels, &q, NULL);
    CR_ASSERT(status == CRITIC_OK);
    return q.bytes;
}

enum critic_status cr_params_make_panels(struct cr_params *p,
                                         const struct cr_config *config,
                                         struct cr_arena *arena, struct cr_exec *ex,
                                         critic_error *err) {
    struct quantiser q = {.params = p, .arena = arena, .ex = ex};
    return each_product(p, config, make_panels, &q, err);
}
