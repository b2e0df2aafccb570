/* Engine: a checkpoint, its tokenizer and the KV memory, behind sequences.
 *
 *   open -> prompt (text and pictures to ids and pixels) -> prefill -> logits, fork, generate
 *
 * Sharing. The engine remembers the pages of prompts, the latest first, as far as cache_bytes reach;
 * prompts that begin alike share them. A new prompt continues from the one that shares the most ids
 * and pictures with it, and picture features are kept by content, so the candidates, orders,
 * criteria and samples of one item, and items on the same picture, cost one prefix. What was reused
 * is reported, and never changes a bit of the result (op/exec.h, "Reproducibility").
 *
 * Threads: one call at a time per engine and all of its sequences.
 * Failure: a call that fails or is cancelled leaves the engine usable and frees what it took;
 * the sequence it worked on keeps its last complete state. */
#ifndef CR_ENGINE_ENGINE_H
#define CR_ENGINE_ENGINE_H

#include "image/anyres.h"
#include "image/image.h"
#include "model/config.h"
#include "op/exec.h"
#include "text/tokenizer.h"

/* One line for a person ("kv cache: 4096 tokens, 224 MiB"); level 0 is normal, 1 is detail. */
typedef void cr_log_fn(void *user, int level, const char *line);
/* Returns true to cancel; asked between chunks and between tokens. */
typedef bool cr_cancel_fn(void *user);

enum cr_preprocess {
    CR_PREPROCESS_AUTO, /* as the checkpoint's layout says */
    CR_PREPROCESS_LMMS,
    CR_PREPROCESS_HF
};

/* In how many bits the products' weights are multiplied (op/packed.h); under INT8 and Q4
 * activations are rounded to 8 bits on the way, and exec.compute says what lies between. */
enum cr_weights {
    CR_WEIGHTS_FILE, /* as exec.compute says */
    CR_WEIGHTS_INT8,
    CR_WEIGHTS_Q4
};

/* What keys and values are kept in. F32 makes attention compute in F32, too; the others are what
 * they are rounded to before it, INT8 in blocks of 32 with a scale each. */
enum cr_kv_type {
    CR_KV_AUTO, /* what products take: bf16, or f32 under CR_COMPUTE_F32; 8 bits, a scale a row of a
                   head, where weights have them and CR_COMPUTE_BF16 */
    CR_KV_F32,
    CR_KV_BF16,
    CR_KV_INT8
};

struct cr_engine_opts {
    /* n_threads 0: one for networks under 16 million parameters */
    struct cr_exec_opts exec;
    enum cr_weights weights;
    enum cr_kv_type kv_type;
    enum cr_preprocess preprocess;
    struct cr_image_limits image_limits;
    size_t context;     /* most tokens of one sequence; 0: the model's own maximum */
    size_t kv_bytes;    /* most memory for keys and values; 0: half of physical memory */
    size_t cache_bytes; /* most memory for remembered prompts, and as much again for kept
                             picture features; 0: 1 GiB */
    /* picture features are kept here for later runs, too; NULL: nowhere (feature_files.h)
       */
    const char *cache_dir;
    size_t cache_dir_bytes; /* most bytes of them; 0: 4 GiB */
    size_t prefill_chunk;   /* most rows a pass; 0: 2048, of weights in 8 bits 1024 */
    cr_log_fn *log;         /* may be NULL */
    void *log_user;
    cr_cancel_fn *cancel; /* may be NULL */
    void *cancel_user;
};

void cr_engine_opts_default(struct cr_engine_opts *opts);

struct cr_engine;
struct cr_model;
struct cr_seq;
struct cr_prompt;

/* model: a folder, a .safetensors or a .gguf file (tensor/store.h). */
enum critic_status cr_engine_open(struct cr_engine **out, const char *model,
                                  const struct cr_engine_opts *opts, critic_error *err);
void cr_engine_free(struct cr_engine *e);

const struct cr_config *cr_engine_config(const struct cr_engine *e);
const struct cr_tokenizer *cr_engine_tokenizer(const struct cr_engine *e);
struct cr_exec *cr_engine_exec(const struct cr_engine *e);
/* The network itself, for who runs a part of it alone (model/model.h). */
const struct cr_model *cr_engine_model(const struct cr_engine *e);
/* "f32", "bf16", "int8" or "q4": what products are computed in. */
const char *cr_engine_dtype(const struct cr_engine *e);
/* 32 hex digits over the weights (tensor/store.h, cr_store_hash). */
const char *cr_engine_model_hash(const struct cr_engine *e);
/* The path or name that was opened. */
const char *cr_engine_model_name(const struct cr_engine *e);
/* Bytes of keys and values a token takes in this model and precision. */
size_t cr_engine_kv_bytes_per_token(const struct cr_engine *e);
/* How the pictures of a prompt of n_images are processed: one alone as the checkpoint says, several
 * padded to squares (LLaVA-NeXT train.py and every evaluation harness do so). */
struct cr_anyres_config cr_engine_picture_config(const struct cr_engine *e,
                                                 size_t n_images);
/* The same from a configuration alone, as its layout says. *out borrows the pinpoints of c. */
void cr_picture_anyres(struct cr_anyres_config *out, const struct cr_config *c,
                       size_t n_images);
/* Most tokens of one sequence. */
size_t cr_engine_context(const struct cr_engine *e);
/* Replaces the cancel function of the options. */
void cr_engine_set_cancel(struct cr_engine *e, cr_cancel_fn *cancel, void *user);

/* ---- prompts (prompt.c) -------------------------------------------------------------- */

/* A prompt is built from the front: text and pictures in order. Several pictures in one prompt
 * are padded squares, one is anyres (docs/model.md), so their processing is fixed at the end. */
enum critic_status cr_prompt_new(struct cr_prompt **out, struct cr_engine *e,
                                 critic_error *err);
void cr_prompt_free(struct cr_prompt *p);
/* parse_special false: control-token spellings and "<image>" in the text stay plain text. */
enum critic_status cr_prompt_text(struct cr_prompt *p, struct cr_str text,
                                  bool parse_special, critic_error *err);
/* A picture at this place, copied. Errors: CRITIC_UNSUPPORTED where the model has no tower. */
enum critic_status cr_prompt_image(struct cr_prompt *p, const struct cr_image *image,
                                   critic_error *err);
/* One user turn in ChatML: the system block, the pictures in front (one and a newline each), the text
 * verbatim, the assistant header. system: {NULL, 0} for the default text, with which the published
 * checkpoints of every layout were trained (llava-hf's own template leaves the block out);
 * {"", 0} for none. */
enum critic_status cr_prompt_chat(struct cr_prompt *p, const struct cr_image *images,
                                  size_t n_images, struct cr_str system,
                                  struct cr_str user, critic_error *err);
/* A final prompt as text: specials parsed, each "<image>" takes the next picture.
 * Errors: CRITIC_BAD_DATA for more marks than pictures, or the reverse. */
enum critic_status cr_prompt_raw(struct cr_prompt *p, struct cr_str text,
                                 const struct cr_image *images, size_t n_images,
                                 critic_error *err);
/* Fixes the pictures' processing and expands their ids: call it when the prompt is complete.
 * Errors: CRITIC_CONTEXT_FULL, CRITIC_BAD_DATA (an empty prompt, an impossible picture). */
enum critic_status cr_prompt_finish(struct cr_prompt *p, critic_error *err);
/* After expansion: every picture row counted, the image token's id at its place. */
const struct cr_ids *cr_prompt_ids(const struct cr_prompt *p);
size_t cr_prompt_n_images(const struct cr_prompt *p);
/* The geometry of each picture, cr_prompt_n_images of them. */
const struct cr_tile_plan *cr_prompt_plan(const struct cr_prompt *p, size_t image);

/* ---- sequences ------------------------------------------------------------------------ */

struct cr_usage {
    size_t prompt_tokens; /* picture rows included */
    size_t cached_tokens; /* of them, not computed because a prefix was there */
    size_t completion_tokens;
    size_t image_tiles;  /* tiles of the prompt's pictures */
    size_t cached_tiles; /* of them, not encoded again */
    double seconds;
};

/* Makes room for n_tokens of sequences in all before work starts; logs tokens and bytes.
 * Errors: CRITIC_NO_MEMORY: "… needs 12.3 GiB; the limit is 8 GiB". */
enum critic_status cr_engine_reserve(struct cr_engine *e, size_t n_tokens,
                                     critic_error *err);

/* A sequence holding the whole prompt, its next-token logits ready. Adds to *usage. */
enum critic_status cr_engine_prefill(struct cr_engine *e, struct cr_prompt *p,
                                     struct cr_seq **out, struct cr_usage *usage,
                                     critic_error *err);
/* Forgets the remembered prompts and the kept picture features. */
void cr_engine_drop_cache(struct cr_engine *e);

void cr_seq_free(struct cr_seq *s);
/* A second sequence with the same past; pages are shared until written. */
enum critic_status cr_seq_fork(struct cr_seq **out, const struct cr_seq *s,
                               critic_error *err);
size_t cr_seq_len(const struct cr_seq *s);
/* Forgets all but the first n tokens (n <= len). Logits are gone until tokens are fed. */
void cr_seq_rewind(struct cr_seq *s, size_t n);
/* Appends known tokens (n > 0), as prefill does. */
enum critic_status cr_seq_feed(struct cr_seq *s, const int32_t *ids, size_t n,
                               critic_error *err);
/* Appends one token to each of n sequences of one engine in one pass (decode). */
enum critic_status cr_seq_step(struct cr_seq *const *seqs, const int32_t *tokens,
                               size_t n, critic_error *err);
/* Next-token logits, as many as the model has vocabulary rows (ids at or past the tokenizer's
 * size are meaningless). Valid until the next call on this engine. Asserted: not after a rewind. */
const float *cr_seq_logits(struct cr_seq *s);
/* The same of n > 0 sequences of one engine in one pass: logits (n, V). */
void cr_seq_logits_many(struct cr_seq *const *seqs, size_t n, float *logits);

/* log p(ids | sequence) for each of n alternatives, natural logarithm, f64 sums over the
 * log-softmax of f32 logits; ids past the tokenizer take no probability mass. Alternatives
 * that share a beginning share its computation; below e^-18 they are upper bounds (score.c). The
 * sequence is left as it was. */
struct cr_alternative {
    const int32_t *ids;
    size_t n;
    double logprob; /* out */
};
enum critic_status cr_seq_score(struct cr_seq *s, struct cr_alternative *alternatives,
                                size_t n, critic_error *err);
/* log p(ids | sequence), exact however small it is. The sequence ends with the ids in it. */
enum critic_status cr_seq_follow(struct cr_seq *s, const int32_t *ids, size_t n,
                                 double *logprob, critic_error *err);

/* ---- generation (generate.c) ------------------------------------------------------------ */

enum cr_finish {
    CR_FINISH_STOP,   /* an end token or a stop string */
    CR_FINISH_LENGTH, /* max_new_tokens, or the context is full */
    CR_FINISH_CANCELLED
};

struct cr_generate_opts {
    size_t max_new_tokens;
    double temperature;        /* 0: greedy */
    double top_p;              /* 1: off */
    size_t top_k;              /* 0: off */
    double repetition_penalty; /* 1: off; counts generated tokens only */
    uint64_t seed;
    const struct cr_str *stop; /* the text ends before the first of these */
    size_t n_stop;
    bool logprobs; /* keep log p of every generated token */
    /* Tokens that a step drafts at most, from what prompt and answer said before. What the model
     * would have said stays to the bit, whatever was drafted; 0: none. */
    size_t lookup;
    /* Complete UTF-8 as it comes, for sample `index`; may be NULL. */
    void (*on_text)(void *user, size_t index, struct cr_str piece);
    void *user;
};

/* Greedy, 512 tokens, and what the checkpoint's generation_config says of the penalty. */
void cr_generate_opts_default(struct cr_generate_opts *opts, const struct cr_engine *e);

struct cr_completion {
    struct cr_buf text; /* specials skipped, stop string cut off */
    struct cr_ids ids;  /* every generated token, the end token included */
    float *
        logprobs; /* ids.len of them, natural log, before temperature; NULL unless asked */
    enum cr_finish finish;
    struct cr_seq *seq; /* what it ended as, short of its last token; NULL unless asked */
};

/* n continuations of s (which stays as it is), stepped together; sample i draws from the
 * stream (seed, i), so each is the same whatever n is. out: n completions, filled by the call,
 * each released by cr_completion_fini, on failure too. Cancelled: CRITIC_CANCELLED with what
 * was there so far in out. */
enum critic_status cr_generate(struct cr_seq *s, size_t n,
                               const struct cr_generate_opts *opts,
                               struct cr_completion *out, struct cr_usage *usage,
                               critic_error *err);
void cr_completion_fini(struct cr_completion *c);

/* Continuations of many sequences of one engine, stepped together whenever they began: a step's
 * weights are read once for all. What each becomes does not depend on its company. */
struct cr_lanes;

/* n continuations of one sequence on their way. */
struct cr_talk {
    struct cr_generate_opts opts;
    size_t n;
    struct cr_completion *out; /* n of them, as for cr_generate */
    bool keep_seqs;            /* hand the sequences over in out */
    /* Kept by the lanes: */
    size_t n_running; /* 0: all have ended */
    size_t n_pages;
    double seconds; /* its share of the steps' time */
};

enum critic_status cr_lanes_new(struct cr_lanes **out, struct cr_engine *e,
                                critic_error *err);
/* What still runs is dropped; completions stay with their owners. */
void cr_lanes_free(struct cr_lanes *l);
/* Continuations that run. */
size_t cr_lanes_running(const struct cr_lanes *l);
/* Whether n answers of up to max_new_tokens after `len` tokens fit beside what runs, all at their
 * longest; true where nothing runs. */
bool cr_lanes_have_room(const struct cr_lanes *l, size_t len, size_t n,
                        size_t max_new_tokens);
/* Puts the continuations of s (which stays as it is) on lanes; `talk` stays where it is until
 * n_running is 0. */
enum critic_status cr_lanes_add(struct cr_lanes *l, struct cr_talk *talk,
                                const struct cr_seq *s, critic_error *err);
/* One token for everyone that runs. Errors: CRITIC_CANCELLED; CRITIC_NO_MEMORY, where only a talk
 * that runs alone can be the cause if cr_lanes_have_room was asked before each. */
enum critic_status cr_lanes_step(struct cr_lanes *l, critic_error *err);
/* Takes the talk off its lanes; its completions are what they have become. */
void cr_lanes_drop(struct cr_lanes *l, struct cr_talk *talk);

/* ---- the parity microscope ---------------------------------------------------------------- */

/* Called with every tensor of the forward pass: pixel_values (tiles, 3, S, S), image_features,
 * hidden_states, logits, and with `layers` hidden_states.K (input of decoder block K) and
 * vision_hidden_states.K. Rows come in chunks in order: `first_row` places them. */
typedef enum critic_status cr_tap_fn(void *user, const char *name, size_t first_row,
                                     const struct cr_tensor *rows, critic_error *err);
struct cr_forward_opts {
    bool layers;
    size_t logits_last; /* the last K rows of logits only; 0: all */
    cr_tap_fn *tap;
    void *user;
};
/* Runs the whole prompt, from nothing, through every layer. */
enum critic_status cr_engine_forward(struct cr_engine *e, struct cr_prompt *p,
                                     const struct cr_forward_opts *opts,
                                     critic_error *err);

#endif
