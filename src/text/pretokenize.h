/* The pre-tokenizer: cuts text into the words inside which merges happen. The three
 * patterns that byte-level models use are scanners written by hand, over the reference's
 * own character classes (text/unicode_tables.h); any other pattern goes to PCRE2, whose
 * Unicode tables are those of the installed library. */
#ifndef CR_TEXT_PRETOKENIZE_H
#define CR_TEXT_PRETOKENIZE_H

#include "base/bytes.h"

enum cr_split_kind {
    CR_SPLIT_QWEN2,  /* digits one by one */
    CR_SPLIT_LLAMA3, /* the same with up to three digits a word */
    CR_SPLIT_GPT2,
    CR_SPLIT_PATTERN
};

enum { CR_MAX_SPLITS = 8 };

/* Applied one after another, each to every piece that the one before it left. */
struct cr_splitter {
    struct cr_split_step {
        enum cr_split_kind kind;
        void *pattern; /* pcre2_code */
    } steps[CR_MAX_SPLITS];
    size_t n_steps;
};

/* Safe on a zeroed splitter. */
void cr_splitter_fini(struct cr_splitter *s);
enum critic_status cr_splitter_add(struct cr_splitter *s, enum cr_split_kind kind,
                                   const char *name, critic_error *err);
/* Recognises the known patterns. Errors: CRITIC_UNSUPPORTED (PCRE2 cannot compile it, or
 * too many steps), CRITIC_NO_MEMORY. */
enum critic_status cr_splitter_add_pattern(struct cr_splitter *s, struct cr_str pattern,
                                           const char *name, critic_error *err);

/* Receives each word in order; a status that is not CRITIC_OK ends the walk. */
typedef enum critic_status (*cr_word_fn)(void *user, struct cr_str word,
                                         critic_error *err);

/* Cuts text (valid UTF-8); words put together are the text.
 * Errors: the callback's; CRITIC_BAD_DATA where a pattern gives up; CRITIC_NO_MEMORY. */
enum critic_status cr_split(const struct cr_splitter *s, struct cr_str text,
                            cr_word_fn on_word, void *user, critic_error *err);

#endif
