/* ChatML, the chat format of Qwen2 ("qwen_1_5" in LLaVA-NeXT llava/conversation.py), as
 * data: turns become pieces that are tokenised one by one. What the format itself writes is
 * read for special tokens; what a person or a model wrote never is.
 *
 * Exact bytes of a prompt, \n = newline:
 *   <|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{USER}<|im_end|>\n
 *   <|im_start|>assistant\n
 * A turn's text is one piece together with the newline after its role, because the
 * tokenizer sees them together: a text that begins with a newline makes "\n\n" one token. */
#ifndef CR_TEXT_CHAT_H
#define CR_TEXT_CHAT_H

#include "base/bytes.h"

enum cr_chat_format { CR_CHAT_CHATML };

enum cr_role { CR_ROLE_SYSTEM, CR_ROLE_USER, CR_ROLE_ASSISTANT };

/* images_first pictures stand before the text, each followed by a newline, as LLaVA writes
 * them; where split_images is true, every "<image>" inside the text is a picture too.
 * Otherwise the text is verbatim and "<image>" in it is plain text. */
struct cr_turn {
    enum cr_role role;
    struct cr_str text;
    size_t images_first;
    bool split_images;
};

/* A run of the prompt. is_image: one picture, no text. Else text, encoded with
 * parse_special as given. */
struct cr_chat_piece {
    struct cr_str text;
    bool parse_special;
    bool is_image;
};

/* Pieces and the text they point into. */
struct cr_chat {
    struct cr_chat_piece *pieces;
    size_t n_pieces;
    size_t n_images;
    struct cr_buf text;
};

/* What LLaVA-NeXT puts in the system block: "You are a helpful assistant." */
extern const char cr_chat_default_system[];

/* Renders turns. system: the text of the system block; data NULL leaves the block out (as
 * llava-hf's template does). open_reply: end with the header of an assistant turn, ready for
 * generation; otherwise the last turn is closed like the others.
 * Errors: CRITIC_BAD_ARGUMENT, CRITIC_NO_MEMORY. On failure *out is zeroed. */
enum critic_status cr_chat_render(struct cr_chat *out, struct cr_str system,
                                  const struct cr_turn *turns, size_t n_turns,
                                  bool open_reply, critic_error *err);
void cr_chat_fini(struct cr_chat *chat);

/* Recognises a chat template (Jinja text of tokenizer_config.json or of GGUF's
 * tokenizer.chat_template). Only ChatML is spoken.
 * Errors: CRITIC_UNSUPPORTED naming `name`. */
enum critic_status cr_chat_detect(struct cr_str chat_template, const char *name,
                                  enum cr_chat_format *format, critic_error *err);

#endif
