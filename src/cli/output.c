#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "io/json.h"

#define MAX_OUTPUT ((size_t)1 << 30)

int cr_report(const critic_error *err) {
    char line[sizeof err->message];
    size_t n = 0;
    for (const char *s = err->message; *s; s++)
        line[n++] = (unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s;
    line[n] = '\0';
    fprintf(stderr, "critic: %s\n", n > 0 ? line : critic_status_text(err->status));
    return critic_status_exit(err->status);
}

int cr_finish(int exit_status) {
    errno = 0;
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    int code = errno;
    if (!failed)
        return exit_status;
    fprintf(stderr, "critic: standard output: cannot write: %s\n",
            code ? strerror(code) : "output error");
    return CR_EXIT_IO;
}

static int print_help(const struct cr_args_spec *spec) {
    struct cr_buf text;
    critic_error err = {0};
    cr_buf_init(&text, MAX_OUTPUT);
    int status = CR_EXIT_DONE;
    if (cr_args_help(&text, spec, &err) == CRITIC_OK)
        fwrite(text.data, 1, text.len, stdout);
    else
        status = cr_report(&err);
    cr_buf_fini(&text);
    return cr_finish(status);
}

int cr_command_begin(struct cr_args *args, const struct cr_args_spec *spec, int n_args,
                     const char *const *argv) {
    critic_error err = {0};
    int status = -1;
    if (cr_args_parse(args, spec, n_args, argv, &err) != CRITIC_OK)
        status = cr_report(&err);
    else if (args->help)
        status = print_help(spec);
    if (status >= 0)
        cr_args_fini(args);
    return status;
}

int cr_outcome(enum critic_status status, const critic_error *err) {
    return status == CRITIC_OK ? CR_EXIT_DONE : cr_report(err);
}

int cr_command_end(struct cr_args *args, int exit_status) {
    cr_args_fini(args);
    return cr_finish(exit_status);
}

static enum critic_status
print_json(json_t *value,
           enum critic_status (*append)(struct cr_buf *, const json_t *, critic_error *),
           critic_error *err) {
    struct cr_buf text;
    cr_buf_init(&text, MAX_OUTPUT);
    enum critic_status status =
        value ? append(&text, value, err)
              : cr_fail(err, CRITIC_NO_MEMORY, "out of memory while writing JSON");
    if (status == CRITIC_OK) {
        fwrite(text.data, 1, text.len, stdout);
        putchar('\n');
    }
    json_decref(value);
    cr_buf_fini(&text);
    return status;
}

enum critic_status cr_print_json(json_t *value, critic_error *err) {
    return print_json(value, cr_json_append, err);
}

enum critic_status cr_print_json_exact(json_t *value, critic_error *err) {
    return print_json(value, cr_json_append_exact, err);
}

void cr_print_text(struct cr_str text) {
    bool terminal = isatty(STDOUT_FILENO) == 1;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (terminal && (c < 0x20 || c == 0x7f) && c != '\n' && c != '\t')
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

bool cr_use_color(int choice) {
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (choice != CR_COLOR_AUTO)
        return choice == CR_COLOR_ALWAYS;
    if ((no_color && *no_color) || (term && strcmp(term, "dumb") == 0))
        return false;
    return isatty(STDOUT_FILENO) == 1;
}

struct cr_size_text cr_size_text(double bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    struct cr_size_text s;
    size_t unit = 0;
    while (bytes >= 1024 && unit < 4) {
        bytes /= 1024;
        unit++;
    }
    snprintf(s.text, sizeof s.text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes,
             units[unit]);
    return s;
}
