/* The frame that the raters share. */
#ifndef CR_RATER_RATER_IMPL_H
#define CR_RATER_RATER_IMPL_H

#include "base/arena.h"
#include "rater/rater.h"

/* First member of every rater. */
struct cr_rater {
    struct cr_voice voice;
    char model[256];
    char hash[CR_HASH_HEX];
    void (*fini)(struct cr_rater *rater); /* of what is behind; may be NULL */
};

/* Zeroed memory with the frame filled in. NULL fills err. */
struct cr_rater *cr_rater_alloc(size_t size, const char *model, critic_error *err);

#endif
