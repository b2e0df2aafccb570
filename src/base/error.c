#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *text;
    int exit_status;
} status_table[] = {
#define STATUS_ROW(name, exit_status, text) {#name, text, exit_status},
    CRITIC_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

static size_t status_index(enum critic_status status) {
    size_t i = (size_t)status;
    return i < sizeof status_table / sizeof status_table[0] ? i : CRITIC_BAD_ARGUMENT;
}

const char *critic_status_name(enum critic_status status) {
    return status_table[status_index(status)].name;
}

const char *critic_status_text(enum critic_status status) {
    return status_table[status_index(status)].text;
}

int critic_status_exit(enum critic_status status) {
    return status_table[status_index(status)].exit_status;
}

const char *critic_version(void) {
    return CRITIC_VERSION;
}

/* A message is one line, whatever a file put into it. */
static void one_line(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = ' ';
}

enum critic_status cr_fail_at(critic_error *err, enum critic_status status,
                              const char *file, int line, const char *fmt, ...) {
    if (err) {
        va_list args;
        err->status = status;
        err->file = file;
        err->line = line;
        va_start(args, fmt);
        vsnprintf(err->message, sizeof err->message, fmt, args);
        va_end(args);
        one_line(err->message);
    }
    return status;
}

enum critic_status cr_error_wrap(critic_error *err, enum critic_status status,
                                 const char *fmt, ...) {
    if (!err)
        return status;
    char inner[sizeof err->message];
    memcpy(inner, err->message, sizeof inner);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof err->message)
        snprintf(err->message + used, sizeof err->message - used, "%s", inner);
    one_line(err->message);
    return err->status;
}

void cr_error_clear(critic_error *err) {
    if (err)
        memset(err, 0, sizeof *err);
}

_Noreturn void cr_assert_failed(const char *file, int line, const char *cond) {
    fprintf(stderr, "critic: internal error: %s:%d: %s\n", file, line, cond);
    abort();
}
