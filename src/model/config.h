/* What a checkpoint says about its network: read from config.json and the files beside it,
 * or from GGUF metadata. Every layout ends in the same struct; what a layout leaves out is
 * filled with that layout's documented default (docs/formats.md), and a value that this
 * implementation does not do is an error that names the key, never a guess. */
#ifndef CR_MODEL_CONFIG_H
#define CR_MODEL_CONFIG_H

#include "image/anyres.h"
#include "tensor/store.h"

#define CR_MAX_PINPOINTS 64
#define CR_MAX_EOS       8
#define CR_MAX_TEMPLATES 16

enum cr_activation { CR_ACT_GELU_TANH, CR_ACT_GELU_ERF };

/* Qwen2. H * E need not equal D. */
struct cr_decoder_config {
    size_t width;         /* D */
    size_t n_layers;      /* L */
    size_t n_heads;       /* H */
    size_t n_kv_heads;    /* K, divides H */
    size_t head_dim;      /* E, even */
    size_t ffn_width;     /* F */
    size_t vocab;         /* V, rows of the embedding */
    size_t max_positions; /* longest sequence */
    double rope_theta;
    double rms_eps;
    bool tied; /* no lm_head: the embedding serves */
};

/* SigLIP tower. */
struct cr_vision_config {
    bool present;
    size_t width;
    size_t n_layers; /* blocks used: the feature is the residual stream after this many */
    size_t n_heads;  /* divides width */
    size_t ffn_width;
    size_t image_px; /* side of a tile */
    size_t patch_px;
    double layer_norm_eps;
    enum cr_activation act;
};

/* How pictures become tiles (image/anyres.h). */
struct cr_picture_config {
    enum cr_aspect aspect;
    size_t n_pinpoints;
    size_t pinpoints[CR_MAX_PINPOINTS][2]; /* width, height */
    size_t max_tiles;                      /* N of anyres_max_N; 0: no shrinking */
    enum cr_rounding rounding;             /* by layout */
    float mean[3];
    float std[3];
};

struct cr_generation_config {
    double repetition_penalty; /* 1: none */
    double temperature;
    double top_p;
    size_t top_k; /* 0: all */
    bool sample;
};

/* The built-in judge templates that a critic was tuned on, the preferred first; the judge chooses
 * among them by mode and scale (docs/templates.md). Only names: this layer reads none of them. */
struct cr_template_names {
    size_t n;
    char name[CR_MAX_TEMPLATES][64];
};

struct cr_config {
    enum cr_layout layout;
    struct cr_decoder_config text;
    struct cr_vision_config vision;
    enum cr_activation projector_act;
    struct cr_picture_config picture;
    int32_t image_token_id; /* -1: none named */
    int32_t bos_id;         /* -1: none */
    int32_t pad_id;         /* -1: none */
    size_t n_eos;
    int32_t eos_ids[CR_MAX_EOS]; /* generation_config.json first, then config.json */
    struct cr_generation_config generation;
    struct cr_template_names templates; /* "critic_templates"; n 0: none named */
    /* the default prompt has a system turn (lmms-lab, plain Qwen2; not HF) */
    bool system_turn;
    bool tower_named; /* tower sizes were taken from the tower's name */
    char absent_sizes
        [384]; /* keys of sizes that the file leaves to a class default; "": none */
};

/* Patches along one side of a tile, remainder dropped. */
static inline size_t cr_vision_grid(const struct cr_vision_config *v) {
    return v->image_px / v->patch_px;
}

/* Errors: CRITIC_BAD_MODEL for an empty or overlong name or too many, saying where and key. */
enum critic_status cr_config_add_template(struct cr_config *c, struct cr_str name,
                                          const char *where, const char *key,
                                          critic_error *err);
/* Reads config.json, and where present preprocessor_config.json, processor_config.json and
 * generation_config.json, from the store's folder; or its GGUF metadata. Checks sizes and
 * divisibility; shapes of tensors are proved by whoever asks the store for them.
 * Errors: CRITIC_BAD_MODEL, CRITIC_UNSUPPORTED, CRITIC_BAD_FILE, CRITIC_NO_MEMORY; the message
 * starts with the file and names the key. On failure *out is zeroed. Nothing to free. */
enum critic_status cr_config_read(struct cr_config *out, const struct cr_store *store,
                                  critic_error *err);
/* The same of a folder without weights, for a network that is to be trained from nothing; the
 * layout follows from config.json's own words. */
enum critic_status cr_config_read_dir(struct cr_config *out, const char *dir,
                                      critic_error *err);

#endif
