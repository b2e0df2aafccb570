#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"

#define PENDING_BYTES ((size_t)1 << 16)

static enum critic_status open_regular(const char *path, int *fd, size_t *size,
                                       critic_error *err) {
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: cannot open: %s", path,
                       strerror(errno));
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(*fd);
        *fd = -1;
        return cr_fail(err, CRITIC_BAD_FILE, "%s: not a regular file", path);
    }
    *size = (size_t)st.st_size;
    return CRITIC_OK;
}

enum critic_status cr_map_open(struct cr_map *m, const char *path, critic_error *err) {
    int fd;
    size_t size = 0;
    memset(m, 0, sizeof *m);
    CR_TRY(open_regular(path, &fd, &size, err));
    void *data = NULL;
    if (size > 0)
        data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (data == MAP_FAILED)
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: cannot map %zu bytes: %s", path, size,
                       strerror(errno));
    m->bytes = (struct cr_bytes){data, size};
    return CRITIC_OK;
}

void cr_map_close(struct cr_map *m) {
    if (m->bytes.data && !m->is_borrowed)
        munmap((void *)(uintptr_t)m->bytes.data, m->bytes.len);
    memset(m, 0, sizeof *m);
}

void cr_map_forget(const struct cr_map *m, struct cr_bytes part) {
    uintptr_t base = (uintptr_t)m->bytes.data, from = (uintptr_t)part.data,
              page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (m->is_borrowed || from < base || from - base > m->bytes.len ||
        part.len > m->bytes.len - (from - base))
        return;
    uintptr_t first = (from + page - 1) / page * page,
              end = (from + part.len) / page * page;
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_DONTNEED); /* a hint */
}

enum critic_status cr_file_read(const char *path, struct cr_buf *out, critic_error *err) {
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: cannot open: %s", path,
                       strerror(errno));
    enum critic_status status = CRITIC_OK;
    char chunk[65536];
    while (status == CRITIC_OK) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = cr_fail(err, CRITIC_BAD_FILE, "%s: cannot read: %s", name,
                             strerror(errno));
        if (n <= 0)
            break;
        if ((size_t)n > out->max - out->len) {
            status = cr_fail(err, CRITIC_BAD_FILE, "%s: more bytes than the limit of %zu",
                             name, out->max);
            break;
        }
        status = cr_buf_append(out, chunk, (size_t)n, err);
        if (status != CRITIC_OK)
            cr_error_wrap(err, status, "%s: ", name);
    }
    if (!is_stdin)
        close(fd);
    return status;
}

bool cr_file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

enum critic_status cr_file_apart(const char *input, const char *output,
                                 critic_error *err) {
    struct stat in, out;
    if (strcmp(input, "-") == 0 || strcmp(output, "-") == 0 || stat(input, &in) != 0 ||
        stat(output, &out) != 0 || !S_ISREG(in.st_mode) || in.st_dev != out.st_dev ||
        in.st_ino != out.st_ino)
        return CRITIC_OK;
    return cr_fail(err, CRITIC_BAD_ARGUMENT,
                   "%s: is the input as well; expected another file", output);
}

enum critic_status cr_file_rename(const char *from, const char *to, critic_error *err) {
    if (rename(from, to) == 0)
        return CRITIC_OK;
    return cr_fail(err, CRITIC_IO, "%s: cannot rename into place: %s", to,
                   strerror(errno));
}

enum critic_status cr_path_join(struct cr_buf *out, const char *dir, const char *name,
                                critic_error *err) {
    cr_buf_clear(out);
    if (name[0] == '/' || dir[0] == '\0')
        return cr_buf_append_c(out, name, err);
    return cr_buf_printf(out, err, "%s/%s", dir, name);
}

enum critic_status cr_out_open(struct cr_out *o, const char *path, critic_error *err) {
    struct stat st;
    bool there = stat(path, &st) == 0, in_place = there && !S_ISREG(st.st_mode);
    *o = (struct cr_out){.fd = -1};
    if (there && S_ISDIR(st.st_mode))
        return cr_fail(err, CRITIC_IO, "%s: is a folder; expected a file's name", path);
    o->path = strdup(path);
    o->pending = malloc(PENDING_BYTES);
    if (!o->path || !o->pending ||
        (!in_place && asprintf(&o->temporary, "%s.tmp-%ld", path, (long)getpid()) < 0)) {
        o->temporary = NULL;
        cr_out_abort(o);
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", path);
    }
    o->fd = in_place ? open(path, O_WRONLY | O_CLOEXEC)
                     : open(o->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (o->fd < 0) {
        int code = errno;
        cr_out_abort(o);
        return cr_fail(err, CRITIC_IO, "%s: cannot write: %s", path, strerror(code));
    }
    return CRITIC_OK;
}

static enum critic_status write_all(struct cr_out *o, const unsigned char *data,
                                    size_t len, critic_error *err) {
    while (len > 0) {
        ssize_t n = write(o->fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cr_fail(err, CRITIC_IO, "%s: cannot write: %s", o->path,
                           strerror(errno));
        data += n;
        len -= (size_t)n;
    }
    return CRITIC_OK;
}

static enum critic_status flush_pending(struct cr_out *o, critic_error *err) {
    size_t n = o->n_pending;
    o->n_pending = 0;
    return write_all(o, o->pending, n, err);
}

enum critic_status cr_out_write(struct cr_out *o, const void *data, size_t len,
                                critic_error *err) {
    o->n_written += len;
    if (len > PENDING_BYTES - o->n_pending)
        CR_TRY(flush_pending(o, err));
    if (len > PENDING_BYTES)
        return write_all(o, data, len, err);
    if (len > 0)
        memcpy(o->pending + o->n_pending, data, len);
    o->n_pending += len;
    return CRITIC_OK;
}

static enum critic_status commit(struct cr_out *o, bool sync, critic_error *err) {
    enum critic_status status = flush_pending(o, err);
    if (sync && status == CRITIC_OK && fsync(o->fd) != 0 && errno != EINVAL &&
        errno != EROFS)
        status = cr_fail(err, CRITIC_IO, "%s: cannot sync: %s", o->path, strerror(errno));
    int closed = close(o->fd);
    o->fd = -1;
    if (status == CRITIC_OK && closed != 0)
        status =
            cr_fail(err, CRITIC_IO, "%s: cannot close: %s", o->path, strerror(errno));
    if (status == CRITIC_OK && o->temporary && rename(o->temporary, o->path) != 0)
        status = cr_fail(err, CRITIC_IO, "%s: cannot rename into place: %s", o->path,
                         strerror(errno));
    if (status == CRITIC_OK) {
        free(o->temporary);
        o->temporary = NULL;
    }
    cr_out_abort(o);
    return status;
}

enum critic_status cr_out_commit(struct cr_out *o, critic_error *err) {
    return commit(o, true, err);
}

static enum critic_status write_whole(const char *path, const void *data, size_t len,
                                      bool sync, critic_error *err) {
    struct cr_out o;
    CR_TRY(cr_out_open(&o, path, err));
    enum critic_status status = write_all(&o, data, len, err);
    if (status == CRITIC_OK)
        return commit(&o, sync, err);
    cr_out_abort(&o);
    return status;
}

enum critic_status cr_file_write(const char *path, struct cr_bytes bytes,
                                 critic_error *err) {
    return write_whole(path, bytes.data, bytes.len, false, err);
}

enum critic_status cr_file_write_text(const char *path, struct cr_str text,
                                      critic_error *err) {
    return write_whole(path, text.data, text.len, true, err);
}

void cr_out_abort(struct cr_out *o) {
    if (o->fd > 0)
        close(o->fd);
    if (o->temporary)
        unlink(o->temporary);
    free(o->temporary);
    free(o->path);
    free(o->pending);
    *o = (struct cr_out){.fd = -1};
}
