#include "eval/faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

void cr_faults_fini(struct cr_faults *f) {
    for (size_t i = 0; i < f->n; i++) {
        free(f->items[i].file);
        free(f->items[i].kind);
        free(f->items[i].message);
    }
    free(f->items);
    memset(f, 0, sizeof *f);
}

static struct cr_fault *add_kind(struct cr_faults *f, const char *file,
                                 const char *kind) {
    struct cr_fault *items = realloc(f->items, (f->n + 1) * sizeof *items);
    if (!items)
        return NULL;
    f->items = items;
    items[f->n] = (struct cr_fault){cr_str_dup(cr_str_of(file)),
                                    cr_str_dup(cr_str_of(kind)), NULL, 0};
    return &items[f->n++];
}

enum critic_status cr_faults_add(struct cr_faults *f, const char *file, const char *kind,
                                 size_t line, critic_error *err, const char *fmt, ...) {
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->items[i].file, file) == 0 && strcmp(f->items[i].kind, kind) == 0) {
            f->items[i].n++;
            return CRITIC_OK;
        }
    char what[sizeof err->message];
    char message[2 * sizeof what];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (line)
        snprintf(message, sizeof message, "%.200s:%zu: %s", file, line, what);
    else
        snprintf(message, sizeof message, "%.200s: %s", file, what);
    struct cr_fault *fault = add_kind(f, file, kind);
    if (fault)
        fault->message = cr_str_dup(cr_str_of(message));
    if (!fault || !fault->file || !fault->kind || !fault->message) {
        if (fault) { /* a half-made one is not kept */
            free(fault->file);
            free(fault->kind);
            free(fault->message);
            f->n--;
        }
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a list of faults");
    }
    fault->n = 1;
    return CRITIC_OK;
}

size_t cr_faults_total(const struct cr_faults *f) {
    size_t total = 0;
    for (size_t i = 0; i < f->n; i++)
        total += f->items[i].n;
    return total;
}
