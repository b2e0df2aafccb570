#define _POSIX_C_SOURCE 200809L
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define TERMINAL_AFTER 2.0
#define TERMINAL_EVERY 0.1
#define PIPE_EVERY     10.0
#define BAR_CELLS      24
#define LINE_BYTES     160

void cr_progress_begin(struct cr_progress *p, const char *what, const char *unit,
                       bool quiet) {
    *p = (struct cr_progress){.what = what, .unit = unit, .quiet = quiet};
    p->terminal = isatty(STDERR_FILENO) == 1;
    p->started = cr_clock_seconds();
    p->shown = p->started;
}

static void format_time(double seconds, char *out, size_t size) {
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%lu:%02lu", s / 60, s % 60);
}

void cr_progress_line(const struct cr_progress *p, double now, bool bar, char *out,
                      size_t size) {
    char cells[BAR_CELLS + 4] = "", time_text[24], left[40] = "", of[32] = "";
    double elapsed = now - p->started;
    size_t own = p->done > p->first ? p->done - p->first : 0;
    double rate = elapsed > 0 ? (double)own / elapsed : 0;
    if (p->total > 0) {
        snprintf(of, sizeof of, "/%zu", p->total);
        if (bar) {
            size_t full = BAR_CELLS * p->done / p->total;
            cells[0] = '[';
            memset(cells + 1, ' ', BAR_CELLS);
            memset(cells + 1, '=', full < BAR_CELLS ? full : BAR_CELLS);
            memcpy(cells + 1 + BAR_CELLS, "] ", 3);
        }
        if (rate > 0 && p->done <= p->total) {
            format_time((double)(p->total - p->done) / rate, time_text, sizeof time_text);
            snprintf(left, sizeof left, ", %s left", time_text);
        }
    }
    format_time(elapsed, time_text, sizeof time_text);
    if (!p->unit)
        snprintf(out, size, "%s: %s so far", p->what, time_text);
    else if (own == 0)
        snprintf(out, size, "%s: %s%zu%s %s, %s so far", p->what, cells, p->done, of,
                 p->unit, time_text);
    else if (rate >= 1)
        snprintf(out, size, "%s: %s%zu%s %s, %.1f/s%s", p->what, cells, p->done, of,
                 p->unit, rate, left);
    else
        snprintf(out, size, "%s: %s%zu%s %s, %.1f s each%s", p->what, cells, p->done, of,
                 p->unit, 1 / rate, left);
}

void cr_progress_update(struct cr_progress *p, size_t done, size_t total) {
    char line[LINE_BYTES];
    double now = cr_clock_seconds();
    p->done = done;
    p->total = total;
    if (p->quiet)
        return;
    if (p->terminal) {
        if (now - p->started < TERMINAL_AFTER || now - p->shown < TERMINAL_EVERY)
            return;
        cr_progress_line(p, now, true, line, sizeof line);
        fprintf(stderr, "\r%.79s\033[K", line);
        p->drawn = true;
    } else {
        if (now - p->shown < PIPE_EVERY)
            return;
        cr_progress_line(p, now, false, line, sizeof line);
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
    p->shown = now;
}

void cr_progress_tick(struct cr_progress *p) {
    cr_progress_update(p, p->done, p->total);
}

void cr_progress_clear(struct cr_progress *p) {
    if (!p->drawn)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    p->drawn = false;
}
