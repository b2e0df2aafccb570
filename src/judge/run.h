/* Inside the judge: one item on its way, and the steps that build its tree of opinions. */
#ifndef CR_JUDGE_RUN_H
#define CR_JUDGE_RUN_H

#include "engine/engine.h"
#include "judge/voice.h"

struct cr_judge {
    struct cr_engine *engine;     /* NULL: the voice answers */
    const struct cr_voice *voice; /* NULL: the engine does */
    struct cr_judge_opts opts;
    struct cr_buf system;
    /* By mode: what prompts of an item in this mode are made with. Owned where it is not the
     * same pointer as an earlier one. */
    struct cr_template *templates[4];
};

/* One item: what it is judged with, and where its opinions go. */
struct cr_run {
    struct cr_judge *judge;
    const struct cr_item *item;
    const struct cr_template *template;
    struct cr_scale scale;
    enum cr_mode mode;
    const struct cr_image *images;
    struct cr_image *own_images; /* the same, where they were loaded for this run */
    size_t n_images;
    struct cr_arena *arena;
    struct cr_judge_usage *usage;
    uint64_t seed;          /* of this item */
    size_t n_total;         /* prompts */
    struct cr_asking *asks; /* what it takes, in order (judge.c) */
    size_t n_asks;
};

/* choose.c: fills j->templates; `chosen` NULL: by what the checkpoint names, and by the options.
 * Errors: as cr_judge_new. */
enum critic_status cr_judge_open_templates(struct cr_judge *j, const char *chosen,
                                           critic_error *err);

/* Which answers one prompt shows, in which order. */
struct cr_ask {
    const size_t *answers;
    size_t n_answers;
    struct cr_str criterion;
};

/* judge.c: an item's verdict begins with the tree of what has to be asked, and ends with what was
 * said combined. Between the two each of run->asks fills its opinion. `images` are the item's own
 * where it names sources; cr_run_drop_images releases them. */
enum critic_status cr_run_begin(struct cr_run *run, struct cr_judge *judge,
                                const struct cr_item *item, struct cr_verdict *out,
                                critic_error *err);
enum critic_status cr_run_conclude(struct cr_run *run, struct cr_opinion *op,
                                   critic_error *err);
void cr_run_drop_images(struct cr_run *run);

/* One prompt on its way (ask.c). Positions in the opinion are the prompt's. */
struct cr_asking {
    struct cr_ask ask;
    struct cr_opinion *op;
    struct cr_prompt *prompt; /* between build and start */
    struct cr_seq *seq;       /* between start and finish */
    struct cr_completion *all;
    struct cr_talk talk; /* runs while talk.n_running > 0 */
    struct cr_usage usage;
    double seconds;
    bool is_done;
};

/* The steps of a prompt: build it; start: read the verdict (is_done is set) or put its answers on
 * lanes; finish, when they have ended. fini at any time. */
enum critic_status cr_asking_build(struct cr_run *run, struct cr_asking *a,
                                   critic_error *err);
bool cr_asking_has_room(const struct cr_run *run, const struct cr_asking *a,
                        const struct cr_lanes *lanes);
enum critic_status cr_asking_start(struct cr_run *run, struct cr_asking *a,
                                   struct cr_lanes *lanes, critic_error *err);
enum critic_status cr_asking_finish(struct cr_run *run, struct cr_asking *a,
                                    critic_error *err);
void cr_asking_fini(struct cr_run *run, struct cr_asking *a);

/* ask_voice.c: the same where a voice answers. */
enum critic_status cr_run_ask_voice(struct cr_run *run, const struct cr_ask *ask,
                                    struct cr_opinion *out, critic_error *err);
/* ask.c, for both: the prompt's text, and what a text says. */
enum critic_status cr_run_render(struct cr_run *run, const struct cr_ask *ask,
                                 struct cr_buf *out, critic_error *err);
enum critic_status cr_run_set_parsed(struct cr_run *run, const struct cr_ask *ask,
                                     const struct cr_parsed *parsed,
                                     struct cr_opinion *op, critic_error *err);
enum critic_status cr_run_read_text(struct cr_run *run, const struct cr_ask *ask,
                                    struct cr_str text, bool cut,
                                    struct cr_parsed *parsed, struct cr_opinion *op,
                                    critic_error *err);

/* options.c: the probabilities of the template's verdicts after the prompt (`s`, left as it
 * is), or, with `parsed`, where the completion gave its verdict. Leaves op->options NULL where
 * they cannot be read there. */
enum critic_status cr_run_options(struct cr_run *run, struct cr_seq *s,
                                  struct cr_opinion *op, critic_error *err);
enum critic_status cr_run_options_at(struct cr_run *run, struct cr_seq *s,
                                     struct cr_completion *c,
                                     const struct cr_parsed *parsed,
                                     struct cr_opinion *op, critic_error *err);
/* options_heard.c: the same from the tokens that a voice gave for its text. */
enum critic_status cr_run_options_heard(struct cr_run *run,
                                        const struct cr_reply_tokens *tokens,
                                        struct cr_str text,
                                        const struct cr_parsed *parsed,
                                        struct cr_opinion *op, critic_error *err);
/* What the verdicts of the run's template are called; in the verdict's arena. */
struct cr_label_set {
    struct cr_str *texts;
    double *scores;               /* NAN for choices */
    const struct cr_label *whole; /* the tie sentence, or NULL */
    size_t n;
};
enum critic_status cr_run_labels(struct cr_run *run, struct cr_label_set *set,
                                 critic_error *err);
/* Log-probabilities of the labels (and of the sentence, last) to op's options. */
enum critic_status cr_run_set_options(struct cr_run *run, const struct cr_label_set *set,
                                      const double *logprob, bool with_whole,
                                      struct cr_opinion *op, critic_error *err);
/* The alternatives' ids: `lead` ids shared by all, then what differs. For tests as well. */
struct cr_alternatives {
    struct cr_ids ids;           /* of all, one after the other */
    struct cr_alternative *list; /* without the lead */
    size_t *label;               /* of each: index of its label */
    size_t n;
    struct cr_ids lead;
};
/* Every label with every way its end may be tokenised; none is a beginning of another of the
 * same label, so that their probabilities add. Errors: CRITIC_NO_MEMORY, CRITIC_BAD_DATA. */
enum critic_status cr_alternatives_make(struct cr_alternatives *a,
                                        const struct cr_tokenizer *tokenizer,
                                        struct cr_str prefix, const struct cr_str *labels,
                                        size_t n_labels, struct cr_str suffix,
                                        critic_error *err);
void cr_alternatives_fini(struct cr_alternatives *a);

/* combine.c: fills op from its parts (kind and parts are set). The rules: docs/judge.md. */
enum critic_status cr_combine(struct cr_run *run, struct cr_opinion *op,
                              critic_error *err);
/* Turns a pairwise opinion of (b, a) into one of (a, b), parts included. */
void cr_opinion_swap(struct cr_opinion *op);
/* Share of the first answer's wins: 1, 0.5, 0 or by probability. */
double cr_opinion_share(const struct cr_opinion *op);

/* Zeroed room in the verdict's arena; NULL fills err. */
void *cr_run_alloc(struct cr_run *run, size_t n, size_t size, critic_error *err);

#endif
