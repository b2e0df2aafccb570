/* A prompt read back: the item that a template made it of. */
#ifndef CR_JUDGE_TEMPLATE_MATCH_H
#define CR_JUDGE_TEMPLATE_MATCH_H

#include "judge/template.h"

/* What stood in the placeholders; slices of the text, data NULL where the template has no such place
 * or its section was left out. */
struct cr_template_found {
    struct cr_str fields[CR_N_FIELDS];
    size_t n_literal; /* bytes of the template's own text: the more, the surer */
};

/* Is this text one that the template gives? Values are as short as the template's own text behind
 * them allows; white space at the end does not count. Templates with {#answers} never match. */
bool cr_template_match(const struct cr_template *t, struct cr_str text,
                       struct cr_template_found *out);

#endif
