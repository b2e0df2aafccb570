/* What the public handles hold. */
#ifndef CR_API_API_H
#define CR_API_API_H

#include <stdatomic.h>

#include "engine/engine.h"

struct critic_image {
    struct cr_image image;
};

struct critic_engine {
    struct cr_engine *engine;
    atomic_bool
        cancelled; /* set by critic_engine_cancel, taken back when a call saw it */
    bool (*cancel)(void *user);
    void (*log)(void *user, int level, const char *line);
    void *user;
};

static inline struct cr_str cr_api_str(critic_text text) {
    return (struct cr_str){text.data, text.len};
}

static inline critic_text cr_api_text(struct cr_str text) {
    return (critic_text){text.data, text.len};
}

/* The pictures in one array of views, malloc'ed (also for none); NULL where memory is out. */
struct cr_image *cr_api_images(critic_image *const *images, size_t n);
/* An array of n slices, malloc'ed likewise. */
struct cr_str *cr_api_strs(const critic_text *texts, size_t n);
/* After a call: a cancellation that was seen is spent. Returns status. */
enum critic_status cr_api_end_call(struct critic_engine *engine,
                                   enum critic_status status);

#endif
