/* A record's conversations as tokens with a label mask: the prompt is exactly the one that
 * inference builds (text/chat.h), pictures as marks.
 *
 * Labels, CR_LABELS_LLAVA (LLaVA-NeXT llava/train/train.py, preprocess_qwen): assistant turns
 * whole, header and final newline included; and wherever it stands, every single newline,
 * <|im_start|> and <|im_end|>. CR_LABELS_ANSWERS: what an assistant writes and its <|im_end|>.
 * CR_LABELS_LLAVA_DPO (train_dpo.py): that, every <|im_start|> and <|im_end|>, and the newline that
 * closes a turn.
 *
 * Record: {"id"?, "image"?: path or list of paths, "conversations": [{"from", "value"} or
 * {"role", "content"}, …]}; conversations may also be a list of such lists about the same pictures.
 * "<image>" in human turns marks each picture; a single mark that is not in front is moved there. */
#ifndef CR_TRAIN_CONVERSATION_H
#define CR_TRAIN_CONVERSATION_H

#include "io/json.h"
#include "text/tokenizer.h"

/* Stands for one picture; no token has this id. */
#define CR_IMAGE_MARK ((int32_t)-200)

enum cr_label_mask { CR_LABELS_LLAVA, CR_LABELS_ANSWERS, CR_LABELS_LLAVA_DPO };

/* Growing tokens, each with "is a target". */
struct cr_labelled {
    int32_t *ids;
    unsigned char *label;
    size_t n, cap;
};

void cr_labelled_fini(struct cr_labelled *l);
enum critic_status cr_labelled_push(struct cr_labelled *l, const int32_t *ids,
                                    const unsigned char *label, size_t n,
                                    critic_error *err);

struct cr_encoder {
    const struct cr_tokenizer *tokenizer;
    struct cr_str system; /* data NULL: no system block */
    enum cr_label_mask mask;
    int32_t newline, im_start, im_end; /* ids; -1 where the tokenizer lacks them */
};

void cr_encoder_init(struct cr_encoder *e, const struct cr_tokenizer *tokenizer,
                     struct cr_str system, enum cr_label_mask mask);

/* One conversation out of a record. Borrowed. */
struct cr_conversation {
    const json_t *turns; /* a list */
    size_t n_images;     /* of the record */
};

/* Appends the whole conversation: system block, turns.
 * Errors: CRITIC_BAD_DATA (no context in the message: the caller wraps it), CRITIC_NO_MEMORY. */
enum critic_status cr_encode_conversation(const struct cr_encoder *e,
                                          const struct cr_conversation *c,
                                          struct cr_labelled *out, critic_error *err);
/* The same of a preference: the last turn is the answer, and *answer is its first token (<|im_start|>
 * of its header). What earlier assistant turns say is no target. */
enum critic_status cr_encode_answer(const struct cr_encoder *e,
                                    const struct cr_conversation *c,
                                    struct cr_labelled *out, size_t *answer,
                                    critic_error *err);
/* Splits it for a shared prefix: everything through the last picture (of a text, through the user
 * header) goes to prefix, and what follows is one branch, or with `turns` one branch for each human
 * turn and its answer, as if each opened a conversation of its own. on_branch is called with each.
 * *shared is false, and nothing was called, where pictures stand elsewhere than in front. */
typedef enum critic_status cr_branch_fn(void *user, const struct cr_labelled *branch,
                                        critic_error *err);
enum critic_status cr_encode_branches(const struct cr_encoder *e,
                                      const struct cr_conversation *c, bool turns,
                                      struct cr_labelled *prefix, bool *shared,
                                      cr_branch_fn *on_branch, void *user,
                                      critic_error *err);

#endif
