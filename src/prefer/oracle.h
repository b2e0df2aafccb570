/* The micro world's oracle as a judge: it knows the scene of each picture, hears an answer's claims
 * and scores them by the criterion `overall` (world/answer.h). An item's picture leads to its scene
 * by its path, so the answers may be anybody's. */
#ifndef CR_PREFER_ORACLE_H
#define CR_PREFER_ORACLE_H

#include "judge/voice.h"

struct cr_oracle;

/* scenes: a scenes.jsonl that critic data world wrote, its pictures beside it.
 * Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA "file:line: …", CRITIC_NO_MEMORY. */
enum critic_status cr_oracle_open(struct cr_oracle **out, const char *scenes,
                                  critic_error *err);
void cr_oracle_free(struct cr_oracle *o);

/* A pointwise template gets the score on its scale, a pairwise one the answer with the larger score,
 * or a tie. Its items must have their pictures as sources. */
const struct cr_voice *cr_oracle_voice(const struct cr_oracle *o);

/* 0 to 100. Errors: CRITIC_BAD_DATA (no scene for the first picture; a question that is not the
 * world's). */
enum critic_status cr_oracle_score(const struct cr_oracle *o, const struct cr_item *item,
                                   size_t answer, int *score, critic_error *err);

#endif
