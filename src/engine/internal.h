/* What the engine's files share; nobody else includes it. */
#ifndef CR_ENGINE_INTERNAL_H
#define CR_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/feature_files.h"
#include "engine/kv.h"
#include "model/model.h"

/* Picture features as spliced, counted by the prompts and the cache that hold them. */
struct cr_features {
    int n_refs;
    uint64_t key[2]; /* content, processing */
    size_t n_rows;
    float *rows; /* (n_rows, D) */
};

void cr_features_drop(struct cr_features *f);

struct cr_prompt_image {
    struct cr_image image; /* own copy */
    struct cr_tile_plan plan;
    struct cr_anyres_config config;
    uint64_t key[2];
    size_t first;                 /* position of its first row, once finished */
    struct cr_features *features; /* NULL until prefill needs them */
};

struct cr_prompt {
    struct cr_engine *engine;
    struct cr_ids raw; /* before expansion: IMAGE_MARK for each picture */
    struct cr_ids ids; /* after it */
    uint64_t *keys;    /* one a position: equal keys, equal input row */
    struct cr_prompt_image *images;
    size_t n_images;
    bool finished;
};

struct cr_seq {
    struct cr_engine *engine;
    unsigned char **pages;
    size_t n_pages;
    size_t pages_cap;
    size_t len;
    int32_t *
        ids; /* of each position, the image token's where a picture is; as long as pages */
    float *hidden;   /* (D): normed last row */
    bool has_hidden; /* false after a rewind */
};

/* A remembered prompt: its pages and what each position held. Prompts that share a beginning share
 * its pages, so that together they are a prefix tree. */
struct cr_trunk {
    struct cr_seq *seq;
    uint64_t *keys;
};

/* Prompts and picture features remembered at most. */
#define CR_MAX_TRUNKS   64
#define CR_MAX_FEATURES 64

struct cr_engine {
    struct cr_engine_opts opts;
    char *name;
    char hash[33];
    struct cr_store *store; /* NULL for random weights */
    struct cr_config config;
    struct cr_tokenizer *tokenizer; /* NULL for random weights */
    struct cr_exec *exec;
    struct cr_arena arena;  /* parameter tables, random weights */
    struct cr_arena packed; /* quantised weights */
    struct cr_model model;
    struct cr_kv_pool kv;
    size_t context;
    size_t n_valid_ids; /* ids that may be sampled */
    int32_t end_ids[CR_MAX_EOS + 2];
    size_t n_end_ids;
    float *logits;                         /* (V), what cr_seq_logits returns */
    struct cr_trunk trunks[CR_MAX_TRUNKS]; /* most recent first */
    size_t n_trunks;
    bool *page_seen; /* of every page of kv: room for counting */
    struct cr_features *features[CR_MAX_FEATURES]; /* most recent first */
    size_t n_features;
    struct cr_feature_files *feature_files; /* NULL: none are kept */
};

void cr_engine_log(const struct cr_engine *e, int level, const char *fmt, ...)
    CR_PRINTF(3, 4);
/* How many of `left` > 0 rows go next: passes about as long as each other, in whole blocks of queries. */
size_t cr_engine_pass_rows(const struct cr_engine *e, size_t left);
bool cr_engine_cancelled(const struct cr_engine *e);
/* A page, giving up remembered prompts if need be; NULL when there is none. */
unsigned char *cr_engine_take_page(struct cr_engine *e);

/* seq.c */
enum critic_status cr_seq_new(struct cr_seq **out, struct cr_engine *e,
                              critic_error *err);
/* Pages for `n` more positions, the last shared page copied. */
enum critic_status cr_seq_make_room(struct cr_seq *s, size_t n, critic_error *err);
/* Runs rows x (n, D) of ids as positions len .. len + n - 1 in one pass and leaves the residual stream
 * in x: with a tap all of it, else the last row. The caller made room. */
void cr_seq_run(struct cr_seq *s, const int32_t *ids, struct cr_tensor x,
                const struct cr_layer_tap *tap);
/* Some tokens that go on with one sequence in a step. */
struct cr_stride {
    struct cr_seq *seq;
    const int32_t *tokens;
    size_t n;    /* > 0 */
    float *rows; /* (n, D): normed rows of all of them; NULL: the last is enough */
};
/* cr_seq_step of more than one token a sequence: each row has the bits that steps of one token give
 * it. */
enum critic_status cr_seq_stride(const struct cr_stride *strides, size_t n,
                                 critic_error *err);
/* Back to its first n tokens, `hidden` being the normed row of the last of them. */
void cr_seq_back_to(struct cr_seq *s, size_t n, const float *hidden);

/* picture.c: features of prompt image i, from the cache or computed; *cached says which. */
enum critic_status cr_prompt_features(struct cr_prompt *p, size_t i, bool use_cache,
                                      const struct cr_layer_tap *tap, bool *cached,
                                      critic_error *err);
/* picture.c: pixels (n_tiles, 3, S, S) of prompt image i; the caller frees. */
enum critic_status cr_prompt_pixels(const struct cr_prompt *p, size_t i, float **out,
                                    critic_error *err);

/* log of the sum of exp over the ids that may be sampled. */
double cr_log_sum_exp(const float *logits, size_t n);

#endif
