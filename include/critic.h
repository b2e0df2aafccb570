/* critic: a multimodal judge and reward model as a library.
 *
 * A complete program (tests/e2e/library_test.sh compiles and runs it):
 *
 *   #include <critic.h>
 *   #include <stdio.h>
 *
 *   int main(int argc, char **argv) {
 *       critic_error err = {0};
 *       critic_engine *engine = NULL;
 *       critic_image *image = NULL;
 *       critic_verdict *verdict = NULL;
 *       if (argc != 3)
 *           return 2;
 *       critic_text answers[] = {critic_text_of("A cat."), critic_text_of("A dog.")};
 *       critic_item item = {.images = &image, .n_images = 1,
 *                           .question = critic_text_of("What is in the picture?"),
 *                           .answers = answers, .n_answers = 2};
 *       if (critic_engine_open(&engine, argv[1], NULL, &err) == CRITIC_OK &&
 *           critic_image_open(&image, argv[2], NULL, &err) == CRITIC_OK &&
 *           critic_judge(engine, &item, NULL, &verdict, &err) == CRITIC_OK)
 *           printf("%s\n", critic_verdict_json(verdict));
 *       else
 *           fprintf(stderr, "%s\n", err.message);
 *       critic_verdict_free(verdict);
 *       critic_image_free(image);
 *       critic_engine_free(engine);
 *       return critic_status_exit(err.status);
 *   }
 *
 * This is the only installed header. Handles are opaque; text is UTF-8 with an explicit
 * length; every fallible call returns a status and fills the caller's error, which may be
 * NULL; on failure its out-parameter is NULL and nothing leaks. *_free(NULL) is allowed.
 * Nothing here prints, exits, reads the environment or keeps global state.
 *
 * Threads. One call at a time per engine; different engines may work at the same time, but
 * share the machine's cores. Pictures, verdicts and completions belong to whoever holds them:
 * reading one from several threads is fine, freeing it is for one. critic_engine_cancel may
 * be called from any thread and from a signal handler.
 *
 * Ownership. Text and arrays given to a call are only read during that call. What an
 * accessor returns belongs to its handle. What the caller frees is said where it is made. */
#ifndef CRITIC_H
#define CRITIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CRITIC_API __attribute__((visibility("default")))
#else
#define CRITIC_API
#endif

#define CRITIC_VERSION "0.1.0"

/* Every status: name, the program's exit status for it, a short text. */
#define CRITIC_STATUS_LIST(X)                                                            \
    X(CRITIC_OK, 0, "done")                                                              \
    X(CRITIC_BAD_ARGUMENT, 2, "wrong usage")                                             \
    X(CRITIC_BAD_FILE, 3, "bad file")                                                    \
    X(CRITIC_BAD_MODEL, 3, "bad model")                                                  \
    X(CRITIC_BAD_DATA, 3, "bad data")                                                    \
    X(CRITIC_UNSUPPORTED, 3, "unsupported")                                              \
    X(CRITIC_CONTEXT_FULL, 3, "context full")                                            \
    X(CRITIC_NO_MEMORY, 4, "out of memory")                                              \
    X(CRITIC_IO, 4, "input/output error")                                                \
    X(CRITIC_DEVICE, 4, "device error")                                                  \
    X(CRITIC_CANCELLED, 130, "cancelled")

enum critic_status {
#define CRITIC_STATUS_ENUM(name, exit_status, text) name,
    CRITIC_STATUS_LIST(CRITIC_STATUS_ENUM)
#undef CRITIC_STATUS_ENUM
};

/* What went wrong, in one line, and where in the source it was found. */
typedef struct critic_error {
    enum critic_status status;
    int line;
    const char *file;
    char message[512];
} critic_error;

/* "CRITIC_BAD_FILE" and "bad file". Never NULL. */
CRITIC_API const char *critic_status_name(enum critic_status status);
CRITIC_API const char *critic_status_text(enum critic_status status);
/* The program's exit status for a library status (0, 2, 3, 4 or 130). */
CRITIC_API int critic_status_exit(enum critic_status status);
/* CRITIC_VERSION of the library that is linked, not of the header. */
CRITIC_API const char *critic_version(void);

/* ---- text ----------------------------------------------------------------------------- */

/* Borrowed UTF-8, not necessarily terminated. data NULL: not given. */
typedef struct critic_text {
    const char *data;
    size_t len;
} critic_text;

/* Of a terminated string; NULL gives "not given". */
CRITIC_API critic_text critic_text_of(const char *terminated);
/* Releases what critic_tokenize and critic_detokenize made. */
CRITIC_API void critic_free(void *memory);

/* ---- pictures ------------------------------------------------------------------------- */

/* A decoded picture, immutable. */
typedef struct critic_image critic_image;

typedef struct critic_image_limits {
    size_t max_bytes; /* of the encoded picture */
    size_t max_px;    /* width * height */
} critic_image_limits;

/* 64 MiB and 178,956,970 pixels. */
CRITIC_API void critic_image_limits_default(critic_image_limits *limits);
/* A JPEG, PNG or WebP file, "-" for standard input, or a data: URL. limits NULL: the defaults.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA, CRITIC_UNSUPPORTED, CRITIC_NO_MEMORY. */
CRITIC_API enum critic_status critic_image_open(critic_image **out, const char *source,
                                                const critic_image_limits *limits,
                                                critic_error *err);
/* The same from an encoded file in memory; `name` is what errors call it. */
CRITIC_API enum critic_status critic_image_decode(critic_image **out, const void *data,
                                                  size_t len, const char *name,
                                                  const critic_image_limits *limits,
                                                  critic_error *err);
/* From pixels: rows of 3 * width bytes (R, G, B), row_bytes apart. Copied.
 * Errors: CRITIC_BAD_ARGUMENT, CRITIC_NO_MEMORY. */
CRITIC_API enum critic_status critic_image_from_rgb(critic_image **out,
                                                    const unsigned char *rgb,
                                                    size_t width, size_t height,
                                                    size_t row_bytes, critic_error *err);
CRITIC_API size_t critic_image_width(const critic_image *image);
CRITIC_API size_t critic_image_height(const critic_image *image);
CRITIC_API void critic_image_free(critic_image *image);

/* ---- engines -------------------------------------------------------------------------- */

/* A checkpoint ready to work. Prefixes that prompts have in common are computed once. */
typedef struct critic_engine critic_engine;

enum critic_precision {
    CRITIC_PRECISION_AUTO, /* bf16 where the machine multiplies it at speed, else f32 */
    CRITIC_PRECISION_F32,
    CRITIC_PRECISION_BF16,
    CRITIC_PRECISION_INT8, /* weights quantised to 8 bits when the model is opened */
    CRITIC_PRECISION_Q4    /* the same to 4 bits */
};

enum critic_preprocess {
    CRITIC_PREPROCESS_AUTO, /* as the checkpoint's layout says */
    CRITIC_PREPROCESS_LMMS, /* rounds picture sizes as lmms-lab's code */
    CRITIC_PREPROCESS_HF    /* … as transformers */
};

typedef struct critic_engine_options {
    enum critic_precision precision;
    enum critic_preprocess preprocess;
    int n_threads;   /* 0: as many as the process may use; one for a model so small that
                        threads would only wait for each other (16 million parameters) */
    const char *isa; /* "scalar", "neon", "avx2", "avx512"; NULL: the best there is */
    size_t context; /* most tokens of a prompt and its answer; 0: the model's own limit */
    size_t kv_bytes; /* most memory for keys and values; 0: half of the machine's */
    /* One line for a person; level 0 is normal, 1 is detail. May be NULL. */
    void (*log)(void *user, int level, const char *line);
    /* Returns true to cancel; asked often while a call works. May be NULL. */
    bool (*cancel)(void *user);
    void *user;
} critic_engine_options;

CRITIC_API void critic_engine_options_default(critic_engine_options *options);
/* model: a checkpoint folder (lmms-lab or llava-hf layout), a .safetensors or a .gguf file, or a
 * model that is compiled in: "micro-critic", "micro-base", "micro-policy" (docs/micro.md).
 * options NULL: the defaults. The files stay mapped until the engine is freed.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_MODEL, CRITIC_UNSUPPORTED, CRITIC_BAD_ARGUMENT (isa),
 * CRITIC_NO_MEMORY. Ownership: the caller frees *out. */
CRITIC_API enum critic_status critic_engine_open(critic_engine **out, const char *model,
                                                 const critic_engine_options *options,
                                                 critic_error *err);
CRITIC_API void critic_engine_free(critic_engine *engine);
/* The call that is working, or else the next one, ends with CRITIC_CANCELLED. */
CRITIC_API void critic_engine_cancel(critic_engine *engine);
/* Forgets the prompt and the pictures that are kept for the next call. */
CRITIC_API void critic_engine_drop_cache(critic_engine *engine);
/* As it was opened; and 32 hex digits over the weights. */
CRITIC_API const char *critic_engine_model(const critic_engine *engine);
CRITIC_API const char *critic_engine_model_hash(const critic_engine *engine);
CRITIC_API bool critic_engine_reads_images(const critic_engine *engine);
/* Most tokens of a prompt and its answer; and bytes of keys and values a token takes. */
CRITIC_API size_t critic_engine_context(const critic_engine *engine);
CRITIC_API size_t critic_engine_kv_bytes_per_token(const critic_engine *engine);

/* ---- tokens --------------------------------------------------------------------------- */

/* parse_special false: the spelling of a control token is plain text.
 * Ownership: *ids is released with critic_free. Errors: CRITIC_BAD_DATA (invalid UTF-8). */
CRITIC_API enum critic_status critic_tokenize(const critic_engine *engine,
                                              critic_text text, bool parse_special,
                                              int32_t **ids, size_t *n_ids,
                                              critic_error *err);
/* *text is terminated, and *len does not count that; released with critic_free.
 * Errors: CRITIC_BAD_DATA (an id that is no token). */
CRITIC_API enum critic_status critic_detokenize(const critic_engine *engine,
                                                const int32_t *ids, size_t n_ids,
                                                bool skip_special, char **text,
                                                size_t *len, critic_error *err);

/* ---- usage ---------------------------------------------------------------------------- */

typedef struct critic_usage {
    size_t prompt_tokens; /* picture rows included */
    size_t cached_tokens; /* of them, not computed because a prefix was there */
    size_t completion_tokens;
    size_t image_tiles;
    double seconds;
} critic_usage;

/* ---- judging -------------------------------------------------------------------------- */

/* One item. Text under judgement is data: control tokens and "<image>" in it stay plain. */
typedef struct critic_item {
    critic_image *const *images;
    size_t n_images;
    critic_text question;
    const critic_text *answers;
    size_t n_answers;
    critic_text reference;       /* an answer known to be right; may be left out */
    critic_text context;         /* more that the judge may know; may be left out */
    const critic_text *criteria; /* each is judged on its own; may be left out */
    size_t n_criteria;
} critic_item;

enum critic_mode {
    CRITIC_MODE_AUTO, /* one answer pointwise, two pairwise, more ranking */
    CRITIC_MODE_POINTWISE,
    CRITIC_MODE_PAIRWISE,
    CRITIC_MODE_RANKING
};

typedef struct critic_judge_options {
    enum critic_mode mode;
    /* a built-in name or a file; NULL: what the checkpoint names, else the mode's own */
    const char *template_name;
    const char *scale;  /* "1-10", "0-1:0.1"; NULL: the template's */
    bool verdict_only;  /* no reason: the probability of every verdict in one pass */
    bool probabilities; /* the reason, and probabilities at the verdict as well */
    bool both_orders;   /* pairs both ways round */
    size_t n_samples;   /* > 1: a distribution over samples; wants a temperature */
    double temperature; /* 0: greedy */
    double top_p;       /* 1: off */
    size_t top_k;       /* 0: off */
    uint64_t seed;
    size_t max_new_tokens;
    critic_text system; /* data NULL: the chat format's own; len 0: none */
} critic_judge_options;

CRITIC_API void critic_judge_options_default(critic_judge_options *options);

typedef struct critic_verdict critic_verdict;

/* options NULL: the defaults. A verdict that could not be parsed is CRITIC_OK as a call: ask
 * critic_verdict_is_parsed. Errors: CRITIC_BAD_ARGUMENT, CRITIC_BAD_DATA, CRITIC_BAD_FILE (the
 * template), CRITIC_CONTEXT_FULL, CRITIC_NO_MEMORY, CRITIC_CANCELLED; the engine stays usable.
 * Ownership: the caller frees *out. */
CRITIC_API enum critic_status critic_judge(critic_engine *engine, const critic_item *item,
                                           const critic_judge_options *options,
                                           critic_verdict **out, critic_error *err);
CRITIC_API void critic_verdict_free(critic_verdict *verdict);

enum critic_choice {
    CRITIC_CHOICE_NONE,
    CRITIC_CHOICE_FIRST,
    CRITIC_CHOICE_SECOND,
    CRITIC_CHOICE_TIE
};

/* A possible verdict ("87", "first", …) and its probability among the alternatives. */
typedef struct critic_option {
    const char *label;
    double probability;
    double score; /* of a score; NAN otherwise */
} critic_option;

CRITIC_API bool critic_verdict_is_parsed(const critic_verdict *verdict);
/* What is wrong with a verdict that is not parsed; NULL for one that is. */
CRITIC_API const char *critic_verdict_fault(const critic_verdict *verdict);
CRITIC_API enum critic_mode critic_verdict_mode(const critic_verdict *verdict);
/* Pointwise; NAN where there is none. */
CRITIC_API double critic_verdict_score(const critic_verdict *verdict);
/* Probability-weighted mean of the scores; NAN where no probabilities were read. */
CRITIC_API double critic_verdict_expected_score(const critic_verdict *verdict);
/* Pairwise. */
CRITIC_API enum critic_choice critic_verdict_choice(const critic_verdict *verdict);
/* Ranking: indices of answers, best first, *n of them. */
CRITIC_API const size_t *critic_verdict_order(const critic_verdict *verdict, size_t *n);
/* One score an answer, *n of them; higher is better (docs/judge.md says of what kind). */
CRITIC_API const double *critic_verdict_scores(const critic_verdict *verdict, size_t *n);
/* *n is 0 where no probabilities were read. */
CRITIC_API const critic_option *critic_verdict_options(const critic_verdict *verdict,
                                                       size_t *n);
/* Both orders: did they agree? True where only one was asked. */
CRITIC_API bool critic_verdict_is_consistent(const critic_verdict *verdict);
/* The text without the verdict; and all that the model wrote. */
CRITIC_API critic_text critic_verdict_reason(const critic_verdict *verdict);
CRITIC_API critic_text critic_verdict_raw(const critic_verdict *verdict);
CRITIC_API critic_usage critic_verdict_usage(const critic_verdict *verdict);
/* One line, as `critic judge --json` prints it, with every part and the provenance. */
CRITIC_API const char *critic_verdict_json(const critic_verdict *verdict);

/* ---- generating ----------------------------------------------------------------------- */

typedef struct critic_generate_options {
    size_t n; /* samples of the prompt, which is computed once */
    size_t max_new_tokens;
    double temperature;      /* 0: greedy */
    double top_p;            /* 1: off */
    size_t top_k;            /* 0: off */
    uint64_t seed;           /* sample i is the same whatever n is */
    const critic_text *stop; /* the text ends before the first of these */
    size_t n_stop;
    critic_text system; /* data NULL: the chat format's own; len 0: none */
    bool raw;      /* the prompt is final: specials parsed, "<image>" takes a picture */
    bool logprobs; /* keep them */
    /* Complete UTF-8 of sample `index` as it comes; may be NULL. */
    void (*on_text)(void *user, size_t index, const char *text, size_t len);
    void *user;
} critic_generate_options;

CRITIC_API void critic_generate_options_default(critic_generate_options *options);

typedef struct critic_completion critic_completion;

enum critic_finish {
    CRITIC_FINISH_STOP,  /* an end token or a stop string */
    CRITIC_FINISH_LENGTH /* max_new_tokens, or the context is full */
};

/* Errors: as critic_judge. Ownership: the caller frees *out. */
CRITIC_API enum critic_status critic_generate(critic_engine *engine,
                                              critic_image *const *images,
                                              size_t n_images, critic_text prompt,
                                              const critic_generate_options *options,
                                              critic_completion **out, critic_error *err);
CRITIC_API void critic_completion_free(critic_completion *completion);
/* Of sample i < n: */
CRITIC_API critic_text critic_completion_text(const critic_completion *completion,
                                              size_t i);
CRITIC_API const int32_t *critic_completion_ids(const critic_completion *completion,
                                                size_t i, size_t *n);
/* As many as ids, natural logarithms; NULL unless asked for. */
CRITIC_API const float *critic_completion_logprobs(const critic_completion *completion,
                                                   size_t i);
CRITIC_API enum critic_finish
critic_completion_finish(const critic_completion *completion, size_t i);
CRITIC_API critic_usage critic_completion_usage(const critic_completion *completion);

#ifdef __cplusplus
}
#endif
#endif
