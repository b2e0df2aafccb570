/* Preference records as the tools that make them write them:
 *   LLaVA-NeXT, critic prefer   "prompt", "chosen", "rejected": texts (`question` for RLAIF-V)
 *   TRL                         lists of {"role", "content"}, content a text or a list of
 *                               {"type": "image"} and {"type": "text", "text"}; without "prompt" chosen
 *                               and rejected are whole conversations that begin alike
 *   OpenRLHF                    lists of {"role", "content"}
 *   LLaMA-Factory               "conversations" (from, value), chosen and rejected one turn each
 * Sources: the preference formats in docs/prefer.md. */
#ifndef CR_TRAIN_PREFERENCE_RECORD_H
#define CR_TRAIN_PREFERENCE_RECORD_H

#include "io/json.h"

struct cr_preference_record {
    json_t *sides
        [2]; /* chosen, rejected: lists of {"from", "value"}, the answer last, pictures marked
                         "<image>" */
    json_t *system; /* text of a system turn in front; NULL: none */
};

/* n_images: pictures of the record. Prompts with marks of their own for several pictures keep them;
 * otherwise marks are removed and the pictures put in front of the first turn (LLaVA-NeXT,
 * train_dpo.py).
 * Errors: CRITIC_BAD_DATA (no context in the message), CRITIC_NO_MEMORY. Fini after failure too. */
enum critic_status cr_preference_record_read(struct cr_preference_record *out,
                                             const json_t *record, size_t n_images,
                                             critic_error *err);
void cr_preference_record_fini(struct cr_preference_record *r);

#endif
