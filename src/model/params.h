/* The parameters of the network: one table (params.c) gives every tensor's canonical name, its
 * place in these structs and its symbolic shape; loading, counting, random initialisation and
 * (later) gradients, optimiser state and saving all walk that table.
 * Tensors are views: into the checkpoint's mapping, or into an arena. */
#ifndef CR_MODEL_PARAMS_H
#define CR_MODEL_PARAMS_H

#include "model/config.h"
#include "op/linear.h"

struct cr_layernorm_params {
    struct cr_tensor w, b; /* (D) */
};

struct cr_decoder_layer {
    struct cr_tensor attn_norm; /* (D) */
    struct cr_linear q, k, v;   /* (H*E, D), (G*E, D), (G*E, D), with bias */
    struct cr_linear o;         /* (D, H*E) */
    struct cr_tensor ffn_norm;  /* (D) */
    struct cr_linear gate, up;  /* (F, D) */
    struct cr_linear down;      /* (D, F) */
};

struct cr_vision_layer {
    struct cr_layernorm_params norm1;
    struct cr_linear q, k, v, o; /* (Dv, Dv), with bias */
    struct cr_layernorm_params norm2;
    struct cr_linear fc1, fc2; /* (Fv, Dv), (Dv, Fv), with bias */
};

struct cr_params {
    struct cr_tensor embed;          /* (V, D) */
    struct cr_decoder_layer *layers; /* L */
    struct cr_tensor norm;           /* (D) */
    struct cr_linear head;           /* (V, D); the embedding where tied */
    /* Present with a tower only. */
    struct cr_tensor newline;      /* (D) */
    struct cr_linear patch;        /* (Dv, 3*p*p), with bias */
    struct cr_tensor position;     /* (P, Dv) */
    struct cr_vision_layer *tower; /* blocks used */
    struct cr_linear project1;     /* (D, Dv), with bias */
    struct cr_linear project2;     /* (D, D), with bias */
};

/* What part of the network a parameter belongs to (learning rates, freezing). */
enum cr_param_part { CR_PART_DECODER, CR_PART_PROJECTOR, CR_PART_TOWER };

/* One parameter of one network. */
struct cr_param_slot {
    char name[96]; /* canonical (tensor/store.h) */
    enum cr_param_part part;
    int n_dim;
    size_t dim[CR_MAX_DIM];
    bool is_matrix;           /* a weight of a product: may be quantised */
    bool is_norm;             /* a norm's scale: near 1 */
    struct cr_tensor *tensor; /* where it lives */
};

/* Zeroed structs with room for the layers of config. */
enum critic_status cr_params_init(struct cr_params *p, const struct cr_config *config,
                                  struct cr_arena *arena, critic_error *err);
/* Number of parameter tensors (not elements) of config. */
size_t cr_params_count(const struct cr_config *config);
/* The i-th of them, in checkpoint order. */
void cr_params_slot(struct cr_params *p, const struct cr_config *config, size_t i,
                    struct cr_param_slot *slot);
/* Points every parameter at the store's tensor, name and shape proved. dtypes may differ from
 * tensor to tensor; vectors must be F32, F16 or BF16.
 * Errors: CRITIC_BAD_MODEL. */
enum critic_status cr_params_bind(struct cr_params *p, const struct cr_config *config,
                                  const struct cr_store *store, critic_error *err);
/* Fills every parameter with seeded random values of the given dtype (vectors F32, matrices whose
 * rows are no whole number of its blocks F16): for
 * benchmarks and tests of shapes whose weights are not at hand. The arena holds them. */
enum critic_status cr_params_random(struct cr_params *p, const struct cr_config *config,
                                    enum cr_dtype dtype, uint64_t seed,
                                    struct cr_arena *arena, critic_error *err);
/* Elements of all parameters of a config, before any is there. */
double cr_params_elements(const struct cr_config *config);
/* Bytes that cr_params_quantise takes of its arena. */
size_t cr_params_quantised_bytes(struct cr_params *p, const struct cr_config *config,
                                 enum cr_packing packing);
/* Packs the weights of every product (op/packed.h) beside what they are bound to: all in 8 bits,
 * or with CR_PACK_INT4 the decoder's blocks in 4 and the rest in 8, as is what the file itself
 * holds in 5 to 8. The patch embedding, the embedding rows and all vectors stay as they are.
 * cancelled (may be NULL) is asked before each matrix.
 * Errors: CRITIC_BAD_MODEL (a weight that is NaN or infinite), CRITIC_NO_MEMORY,
 * CRITIC_CANCELLED. */
enum critic_status cr_params_quantise(struct cr_params *p, const struct cr_config *config,
                                      enum cr_packing packing, struct cr_arena *arena,
                                      bool (*cancelled)(void *user), void *user,
                                      struct cr_exec *ex, critic_error *err);
/* How it packs a matrix of `dtype` with rows of k: 4 bits for the decoder's blocks only. */
enum cr_packing cr_param_packing(enum cr_dtype dtype, size_t k, bool in_decoder_block,
                                 enum cr_packing wanted);
/* The same from a packed file: every product uses its panels where they lie, nothing is copied.
 * The arena takes a few bytes a product.
 * Errors: CRITIC_BAD_MODEL (a product whose weights are no panels, a scale that is not finite),
 * CRITIC_NO_MEMORY. */
enum critic_status cr_params_use_panels(struct cr_params *p,
                                        const struct cr_config *config,
                                        struct cr_arena *arena, critic_error *err);
/* Lays the weights of every product out as the tiles take them (op/linear.h), where they can be.
 * Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_params_make_panels(struct cr_params *p,
                                         const struct cr_config *config,
                                         struct cr_arena *arena, struct cr_exec *ex,
                                         critic_error *err);
/* Bytes that it takes of its arena. */
size_t cr_params_panels_bytes(struct cr_params *p, const struct cr_config *config);
/* Elements of all parameters, and their bytes as they are stored. */
void cr_params_size(struct cr_params *p, const struct cr_config *config,
                    size_t *n_elements, size_t *n_bytes);

#endif
