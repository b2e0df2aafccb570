#define _GNU_SOURCE
#include "base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

bool cr_dir_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum critic_status cr_dir_make(const char *path, critic_error *err) {
    char *part = strdup(path);
    enum critic_status status = CRITIC_OK;
    if (!part)
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", path);
    for (char *p = part + 1; status == CRITIC_OK && p[-1] != '\0'; p++) {
        char c = *p;
        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(part, 0777) != 0 && !(errno == EEXIST && cr_dir_exists(part)))
            status = cr_fail(err, CRITIC_IO, "%s: cannot make the folder: %s", part,
                             strerror(errno));
        *p = c;
        if (c == '\0')
            break;
    }
    free(part);
    return status;
}

const char *cr_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum critic_status cr_path_parent(struct cr_buf *out, const char *path,
                                  critic_error *err) {
    const char *base = cr_path_base(path);
    cr_buf_clear(out);
    if (base == path)
        return cr_buf_append_c(out, ".", err);
    size_t len = (size_t)(base - path) - 1;
    return cr_buf_append(out, path, len > 0 ? len : 1, err);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in `list` again in byte order. */
static enum critic_status sort_names(struct cr_buf *list, size_t n, critic_error *err) {
    const char **names = malloc((n + 1) * sizeof *names);
    char *sorted = malloc(list->len + 1);
    enum critic_status status = CRITIC_OK;
    if (names && sorted) {
        size_t i = 0;
        for (const char *p = cr_dir_next(list, NULL); p; p = cr_dir_next(list, p))
            names[i++] = p;
        qsort(names, n, sizeof *names, by_name);
        char *at = sorted;
        for (i = 0; i < n; i++)
            at = stpcpy(at, names[i]) + 1;
        if (n > 0)
            memcpy(list->data, sorted, list->len);
    } else {
        status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu file names", n);
    }
    free(names);
    free(sorted);
    return status;
}

enum critic_status cr_dir_list(struct cr_buf *out, const char *path, critic_error *err) {
    cr_buf_clear(out);
    DIR *dir = opendir(path);
    if (!dir)
        return cr_fail(err, errno == ENOMEM ? CRITIC_NO_MEMORY : CRITIC_BAD_FILE,
                       "%s: cannot list: %s", path, strerror(errno));
    enum critic_status status = CRITIC_OK;
    size_t n = 0;
    for (struct dirent *e = readdir(dir); e && status == CRITIC_OK; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        status = cr_buf_append(out, e->d_name, strlen(e->d_name) + 1, err);
        n++;
    }
    closedir(dir);
    if (status == CRITIC_OK)
        status = sort_names(out, n, err);
    return status;
}

const char *cr_dir_next(const struct cr_buf *names, const char *previous) {
    const char *next = previous ? previous + strlen(previous) + 1 : names->data;
    return next && next < names->data + names->len ? next : NULL;
}

enum critic_status cr_out_dir_open(struct cr_out_dir *d, const char *path,
                                   critic_error *err) {
    memset(d, 0, sizeof *d);
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    d->path = strndup(path, len);
    if (!d->path || asprintf(&d->temporary, "%s.tmp-%ld", d->path, (long)getpid()) < 0) {
        free(d->path);
        memset(d, 0, sizeof *d);
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", path);
    }
    struct stat st;
    int code = 0;
    if (stat(d->path, &st) == 0 && (!S_ISDIR(st.st_mode) || rmdir(d->path) != 0))
        code = S_ISDIR(st.st_mode) ? errno : EEXIST;
    if (code == 0 && mkdir(d->temporary, 0777) != 0)
        code = errno;
    if (code == 0)
        return CRITIC_OK;
    free(d->path);
    free(d->temporary);
    memset(d, 0, sizeof *d);
    return cr_fail(err, CRITIC_IO, "%s: cannot make the folder: %s", path,
                   code == ENOTEMPTY ? "it is there and not empty"
                   : code == EEXIST  ? "a file of that name is there"
                                     : strerror(code));
}

enum critic_status cr_out_dir_commit(struct cr_out_dir *d, critic_error *err) {
    enum critic_status status = CRITIC_OK;
    if (rename(d->temporary, d->path) != 0) {
        status = cr_fail(err, CRITIC_IO, "%s: cannot rename into place: %s", d->path,
                         strerror(errno));
    } else {
        free(d->temporary);
        d->temporary = NULL;
    }
    cr_out_dir_abort(d);
    return status;
}

void cr_dir_remove(const char *path) {
    struct cr_buf names, file;
    cr_buf_init(&names, 1 << 20);
    cr_buf_init(&file, 1 << 16);
    if (cr_dir_list(&names, path, NULL) == CRITIC_OK)
        for (const char *p = cr_dir_next(&names, NULL); p; p = cr_dir_next(&names, p))
            if (cr_path_join(&file, path, p, NULL) == CRITIC_OK)
                unlink(file.data);
    rmdir(path);
    cr_buf_fini(&names);
    cr_buf_fini(&file);
}

void cr_out_dir_abort(struct cr_out_dir *d) {
    if (d->temporary)
        cr_dir_remove(d->temporary);
    free(d->path);
    free(d->temporary);
    memset(d, 0, sizeof *d);
}
