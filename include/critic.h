/* critic: a multimodal judge and reward model as a library.
 *
 * This is the only installed header. Handles are opaque, text is UTF-8 with an explicit
 * length or a terminating zero as stated, and every fallible call returns a status and
 * fills the caller's error. Nothing here prints, exits, reads the environment or
 * keeps global state. */
#ifndef CRITIC_H
#define CRITIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CRITIC_API __attribute__((visibility("default")))
#else
#define CRITIC_API
#endif

#define CRITIC_VERSION "0.1.0"

/* Every status: name, the program's exit status for it, a short text. */
#define CRITIC_STATUS_LIST(X)                                                            \
    X(CRITIC_OK, 0, "done")                                                              \
    X(CRITIC_BAD_ARGUMENT, 2, "wrong usage")                                             \
    X(CRITIC_BAD_FILE, 3, "bad file")                                                    \
    X(CRITIC_BAD_MODEL, 3, "bad model")                                                  \
    X(CRITIC_BAD_DATA, 3, "bad data")                                                    \
    X(CRITIC_UNSUPPORTED, 3, "unsupported")                                              \
    X(CRITIC_CONTEXT_FULL, 3, "context full")                                            \
    X(CRITIC_NO_MEMORY, 4, "out of memory")                                              \
    X(CRITIC_IO, 4, "input/output error")                                                \
    X(CRITIC_DEVICE, 4, "device error")                                                  \
    X(CRITIC_CANCELLED, 130, "cancelled")

enum critic_status {
#define CRITIC_STATUS_ENUM(name, exit_status, text) name,
    CRITIC_STATUS_LIST(CRITIC_STATUS_ENUM)
#undef CRITIC_STATUS_ENUM
};

/* What went wrong, in one line, and where in the source it was found. */
typedef struct critic_error {
    enum critic_status status;
    int line;
    const char *file;
    char message[512];
} critic_error;

/* "CRITIC_BAD_FILE" and "bad file". Never NULL. */
CRITIC_API const char *critic_status_name(enum critic_status status);
CRITIC_API const char *critic_status_text(enum critic_status status);
/* The program's exit status for a library status (0, 2, 3, 4 or 130). */
CRITIC_API int critic_status_exit(enum critic_status status);
/* CRITIC_VERSION of the library that is linked, not of the header. */
CRITIC_API const char *critic_version(void);

#ifdef __cplusplus
}
#endif
#endif
