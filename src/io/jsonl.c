#define _POSIX_C_SOURCE 200809L
#include "io/jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"

#define CHUNK_BYTES  ((size_t)1 << 16)
#define MAX_LOG_LINE ((size_t)1 << 30)

/* ---- reading ---------------------------------------------------------------------------- */

static void reader_init(struct cr_jsonl_reader *r, const char *name, size_t max_line) {
    *r = (struct cr_jsonl_reader){.fd = -1, .name = name, .max_line = max_line};
    size_t limit;
    if (!cr_add_size(max_line, 2 * CHUNK_BYTES, &limit))
        limit = SIZE_MAX;
    cr_buf_init(&r->buf, limit);
}

enum critic_status cr_jsonl_open(struct cr_jsonl_reader *r, const char *path,
                                 size_t max_line, critic_error *err) {
    bool is_stdin = strcmp(path, "-") == 0;
    struct stat st;
    reader_init(r, is_stdin ? "standard input" : path, max_line);
    r->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: cannot open: %s", path,
                       strerror(errno));
    if (fstat(r->fd, &st) == 0 && S_ISDIR(st.st_mode))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: is a folder; expected JSON lines",
                       path);
    return CRITIC_OK;
}

/* Makes room by dropping lines handed out, then reads once. */
static enum critic_status fill(struct cr_jsonl_reader *r, critic_error *err) {
    char chunk[CHUNK_BYTES];
    ssize_t n;
    if (r->start > 0) {
        memmove(r->buf.data, r->buf.data + r->start, r->buf.len - r->start);
        r->buf.len -= r->start;
        r->start = 0;
    }
    do
        n = read(r->fd, chunk, sizeof chunk);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: cannot read: %s", r->name,
                       strerror(errno));
    r->at_end = n == 0;
    return n == 0 ? CRITIC_OK : cr_buf_append(&r->buf, chunk, (size_t)n, err);
}

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
            return false;
    return true;
}

/* One line, blank or not, complete or not; data NULL at the end. */
static enum critic_status next_any(struct cr_jsonl_reader *r, struct cr_str *line,
                                   bool *complete, critic_error *err) {
    size_t searched = 0;
    *line = (struct cr_str){NULL, 0};
    for (;;) {
        /* An empty buffer has no data, and no place to count from. */
        const char *data = r->buf.data ? r->buf.data + r->start : "";
        size_t have = r->buf.len - r->start;
        const char *end =
            have > searched ? memchr(data + searched, '\n', have - searched) : NULL;
        if ((end ? (size_t)(end - data) : have) > r->max_line)
            return cr_fail(err, CRITIC_BAD_DATA, "%s:%zu: line is longer than %zu bytes",
                           r->name, r->line_number + 1, r->max_line);
        if (end || (r->at_end && have > 0)) {
            *line = (struct cr_str){data, end ? (size_t)(end - data) : have};
            *complete = end != NULL;
            r->start += line->len + (end != NULL);
            r->line_number++;
            return CRITIC_OK;
        }
        if (r->at_end)
            return CRITIC_OK;
        searched = have;
        CR_TRY(fill(r, err));
    }
}

enum critic_status cr_jsonl_next(struct cr_jsonl_reader *r, struct cr_str *line,
                                 critic_error *err) {
    bool complete;
    do {
        CR_TRY(next_any(r, line, &complete, err));
        if (r->line_number == 1 && line->len >= 3 &&
            memcmp(line->data, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
            *line = (struct cr_str){line->data + 3, line->len - 3};
    } while (line->data && is_blank(line->data, line->len));
    return CRITIC_OK;
}

void cr_jsonl_close(struct cr_jsonl_reader *r) {
    if (r->fd > STDERR_FILENO)
        close(r->fd);
    cr_buf_fini(&r->buf);
    r->fd = -1;
}

/* ---- writing ---------------------------------------------------------------------------- */

typedef enum critic_status on_line_fn(void *user, struct cr_str line, size_t number,
                                      critic_error *err);

static enum critic_status cannot(const struct cr_jsonl_log *log, const char *what,
                                 critic_error *err) {
    return cr_fail(err, CRITIC_IO, "%s: cannot %s: %s", log->name, what, strerror(errno));
}

/* Hands every whole line to on_line and cuts off what follows the last one. */
static enum critic_status replay(struct cr_jsonl_log *log, on_line_fn *on_line,
                                 void *user, critic_error *err) {
    struct cr_jsonl_reader r;
    struct cr_str line;
    size_t whole_bytes = 0;
    bool complete = true;
    reader_init(&r, log->name, MAX_LOG_LINE);
    r.fd = log->fd;
    enum critic_status status;
    while ((status = next_any(&r, &line, &complete, err)) == CRITIC_OK && line.data &&
           complete) {
        whole_bytes += line.len + 1;
        if (is_blank(line.data, line.len) || !on_line)
            continue;
        status = on_line(user, line, r.line_number, err);
        if (status != CRITIC_OK)
            break;
    }
    r.fd = -1;
    cr_jsonl_close(&r);
    if (status == CRITIC_OK && !complete && ftruncate(log->fd, (off_t)whole_bytes) != 0)
        return cannot(log, "cut off a torn line", err);
    return status;
}

enum critic_status cr_jsonl_log_open(struct cr_jsonl_log *log, const char *path,
                                     enum cr_jsonl_start start, on_line_fn *on_line,
                                     void *user, critic_error *err) {
    struct stat st;
    *log = (struct cr_jsonl_log){.fd = -1, .name = path};
    if (strcmp(path, "-") == 0) {
        *log = (struct cr_jsonl_log){STDOUT_FILENO, "standard output", true};
        return CRITIC_OK;
    }
    log->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->fd < 0)
        return cannot(log, "write", err);
    if (start == CR_JSONL_RESUME)
        return replay(log, on_line, user, err);
    if (start == CR_JSONL_FORCE)
        return ftruncate(log->fd, 0) == 0 || errno == EINVAL ? CRITIC_OK
                                                             : cannot(log, "empty", err);
    if (fstat(log->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%s: holds results already; go on with --resume or empty it with "
                       "--force",
                       path);
    return CRITIC_OK;
}

enum critic_status cr_jsonl_log_append(struct cr_jsonl_log *log, struct cr_str line,
                                       critic_error *err) {
    struct cr_buf text;
    struct stat st;
    cr_buf_init(&text, SIZE_MAX / 2);
    enum critic_status status = cr_buf_append(&text, line.data, line.len, err);
    if (status == CRITIC_OK)
        status = cr_buf_append(&text, "\n", 1, err);
    bool is_file = fstat(log->fd, &st) == 0 && S_ISREG(st.st_mode);
    for (size_t done = 0; status == CRITIC_OK && done < text.len;) {
        ssize_t n = write(log->fd, text.data + done, text.len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            status = cannot(log, "write", err);
    }
    if (status == CRITIC_IO && is_file && !log->is_stdout &&
        ftruncate(log->fd, st.st_size) != 0)
        cr_error_wrap(err, status, "a torn line stays: ");
    cr_buf_fini(&text);
    return status;
}

void cr_jsonl_log_close(struct cr_jsonl_log *log) {
    if (log->fd >= 0 && !log->is_stdout)
        close(log->fd);
    log->fd = -1;
}
