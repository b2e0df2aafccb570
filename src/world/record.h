/* What a record of conversations says (train/records.h finds and parses records). */
#ifndef CR_WORLD_RECORD_H
#define CR_WORLD_RECORD_H

#include <jansson.h>

#include "base/bytes.h"

/* The text of turn i, data NULL where there is none or it is not from `who` ("human", "gpt"). */
struct cr_str cr_record_turn(const json_t *record, size_t i, const char *who);
size_t cr_record_n_turns(const json_t *record);
/* Picture i of `image` (a text or a list of texts); data NULL behind the last. */
struct cr_str cr_record_image(const json_t *record, size_t i);

#endif
