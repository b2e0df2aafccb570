/* NFC (UAX #15) as the reference tokenizer does it: utf8proc's decompositions and
 * compositions, but the combining classes of the reference, which are those of an older
 * Unicode version. Time is linear but for the sort of each run of marks. */
#ifndef CR_TEXT_NORMALIZE_H
#define CR_TEXT_NORMALIZE_H

#include "base/bytes.h"

/* False: text (valid UTF-8) surely is in NFC already. */
bool cr_nfc_needed(struct cr_str text);
/* Appends the NFC of text (valid UTF-8). Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_nfc(struct cr_str text, struct cr_buf *out, critic_error *err);

#endif
