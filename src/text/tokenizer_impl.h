/* What the files of the tokenizer share; nobody else includes this. */
#ifndef CR_TEXT_TOKENIZER_IMPL_H
#define CR_TEXT_TOKENIZER_IMPL_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

struct cr_tokenizer {
    struct cr_vocab vocab;
    struct cr_bpe bpe;
    struct cr_added_set raw;        /* matched before normalisation */
    struct cr_added_set normalized; /* matched after it */
    struct cr_splitter splitter;
    bool nfc;
    bool ignore_merges; /* a word that is a token needs no merges */
};

/* The parts of opening, in this order. `name` is what errors call the source. */

/* Zeroed, with room for ids below n_ids and for n_merges. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_tokenizer_new(struct cr_tokenizer **out, size_t n_ids,
                                    size_t n_merges, critic_error *err);
/* Merge number `rank` of the two spellings. Errors: CRITIC_BAD_FILE. */
enum critic_status cr_tokenizer_add_merge(struct cr_tokenizer *t, struct cr_str left,
                                          struct cr_str right, size_t rank,
                                          const char *name, critic_error *err);
/* The same from "left right". */
enum critic_status cr_tokenizer_add_merge_line(struct cr_tokenizer *t, struct cr_str line,
                                               size_t rank, const char *name,
                                               critic_error *err);
/* token->text may be any string. */
enum critic_status cr_tokenizer_add_added(struct cr_tokenizer *t,
                                          const struct cr_added_token *token,
                                          bool normalized, const char *name,
                                          critic_error *err);
/* After everything was added. */
enum critic_status cr_tokenizer_seal(struct cr_tokenizer *t, const char *name,
                                     critic_error *err);

#endif
