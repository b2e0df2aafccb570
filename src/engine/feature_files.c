#define _POSIX_C_SOURCE 200809L
#include "engine/feature_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "base/hash.h"

#define MAGIC          "critic features\n"
#define SUFFIX         ".features"
#define MAX_PATH_BYTES ((size_t)1 << 16)
#define MAX_LIST_BYTES ((size_t)64 << 20)

struct header {
    char magic[16];
    uint64_t n_rows, width, hash[2];
};

struct cr_feature_files {
    char *dir;
    size_t limit;
    uint64_t salt[2];
    bool no_writes; /* it failed once, and that was said */
    void (*warn)(void *user, const char *line);
    void *user;
};

static void say(const struct cr_feature_files *f, const char *what, const char *path) {
    char line[512];
    snprintf(line, sizeof line, "warning: %.300s: %s", path, what);
    f->warn(f->user, line);
}

enum critic_status cr_feature_files_open(struct cr_feature_files **out, const char *dir,
                                         size_t limit, struct cr_str salt,
                                         void (*warn)(void *user, const char *line),
                                         void *user, critic_error *err) {
    struct cr_feature_files *f = *out = calloc(1, sizeof *f);
    struct cr_hash h;
    critic_error ignored;
    if (!f || !(f->dir = cr_str_dup(cr_str_of(dir)))) {
        free(f);
        *out = NULL;
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    }
    f->limit = limit;
    f->warn = warn;
    f->user = user;
    cr_hash_init(&h, 0);
    cr_hash_update(&h, salt.data, salt.len);
    cr_hash_final(&h, f->salt);
    if (cr_dir_make(dir, &ignored) != CRITIC_OK) {
        say(f, "no such folder, and it cannot be made; features are not kept", dir);
        f->no_writes = true;
    }
    return CRITIC_OK;
}

void cr_feature_files_close(struct cr_feature_files *f) {
    if (f)
        free(f->dir);
    free(f);
}

/* The file of a key; false: no memory. */
static bool path_of(const struct cr_feature_files *f, const uint64_t key[2],
                    struct cr_buf *path) {
    struct cr_hash h;
    char hex[CR_HASH_HEX];
    cr_hash_init(&h, 0);
    cr_hash_update(&h, f->salt, sizeof f->salt);
    cr_hash_update(&h, key, 2 * sizeof *key);
    cr_hash_hex(&h, hex);
    cr_buf_init(path, MAX_PATH_BYTES);
    return cr_buf_printf(path, NULL, "%s/%s" SUFFIX, f->dir, hex) == CRITIC_OK;
}

static struct header header_of(const float *rows, size_t n_rows, size_t width) {
    struct header head = {.magic = "", .n_rows = n_rows, .width = width};
    struct cr_hash h;
    memcpy(head.magic, MAGIC, sizeof head.magic);
    cr_hash_init(&h, 0);
    cr_hash_update(&h, rows, n_rows * width * sizeof *rows);
    cr_hash_final(&h, head.hash);
    return head;
}

static bool read_whole(struct cr_bytes bytes, float *rows, size_t n_rows, size_t width) {
    size_t len = n_rows * width * sizeof *rows; /* of rows in memory, so it fits */
    struct header head;
    if (bytes.len != sizeof head + len)
        return false;
    memcpy(&head, bytes.data, sizeof head);
    memcpy(rows, bytes.data + sizeof head, len);
    struct header want = header_of(rows, n_rows, width);
    return memcmp(&head, &want, sizeof head) == 0;
}

bool cr_feature_files_read(struct cr_feature_files *f, const uint64_t key[2], float *rows,
                           size_t n_rows, size_t width) {
    struct cr_buf path;
    struct cr_map map = {0};
    bool found = false;
    if (path_of(f, key, &path) && cr_file_exists(path.data)) {
        found = cr_map_open(&map, path.data, NULL) == CRITIC_OK &&
                read_whole(map.bytes, rows, n_rows, width);
        cr_map_close(&map);
        if (found) /* used now; a folder that may not be written keeps its times */
            (void)utimensat(AT_FDCWD, path.data, NULL, 0);
        else
            say(f, "is not what was written there; computed anew", path.data);
    }
    cr_buf_fini(&path);
    return found;
}

/* ---- writing --------------------------------------------------------------------------- */

struct old {
    char *path;
    size_t bytes;
    struct timespec used;
};

static int by_use(const void *a, const void *b) {
    const struct timespec *x = &((const struct old *)a)->used;
    const struct timespec *y = &((const struct old *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static bool is_ours(const char *name) {
    size_t len = strlen(name), suffix = sizeof SUFFIX - 1;
    return len == CR_HASH_HEX - 1 + suffix && strcmp(name + len - suffix, SUFFIX) == 0;
}

/* The folder's files into *list, malloc'ed, n of them with their bytes in all. */
static bool list_files(const struct cr_feature_files *f, struct old **list, size_t *n,
                       size_t *bytes) {
    struct cr_buf names, path;
    bool ok = false;
    size_t cap = 0;
    *list = NULL;
    *n = *bytes = 0;
    cr_buf_init(&names, MAX_LIST_BYTES);
    cr_buf_init(&path, MAX_PATH_BYTES);
    if (cr_dir_list(&names, f->dir, NULL) != CRITIC_OK)
        goto done;
    for (const char *name = NULL; (name = cr_dir_next(&names, name));) {
        struct stat st;
        if (!is_ours(name) || cr_path_join(&path, f->dir, name, NULL) != CRITIC_OK ||
            stat(path.data, &st) != 0)
            continue;
        if (*n == cap) {
            struct old *grown = realloc(*list, (2 * cap + 16) * sizeof *grown);
            if (!grown)
                goto done;
            *list = grown;
            cap = 2 * cap + 16;
        }
        char *copy = cr_str_dup(cr_buf_str(&path));
        if (!copy)
            goto done;
        (*list)[(*n)++] = (struct old){copy, (size_t)st.st_size, st.st_mtim};
        *bytes += (size_t)st.st_size;
    }
    ok = true;
done:
    cr_buf_fini(&names);
    cr_buf_fini(&path);
    return ok;
}

/* Removes what was unused for longest until `len` more bytes fit. */
static bool make_room(const struct cr_feature_files *f, size_t len) {
    struct old *list;
    size_t n, bytes;
    bool ok = list_files(f, &list, &n, &bytes);
    if (ok && n > 1)
        qsort(list, n, sizeof *list, by_use);
    for (size_t i = 0; i < n; i++) {
        if (ok && bytes > f->limit - len && unlink(list[i].path) == 0)
            bytes -= list[i].bytes;
        free(list[i].path);
    }
    free(list);
    return ok && bytes <= f->limit - len;
}

static enum critic_status write_file(const char *path, const struct header *head,
                                     const float *rows, size_t len, critic_error *err) {
    struct cr_buf bytes;
    cr_buf_init(&bytes, sizeof *head + len);
    enum critic_status status = cr_buf_append(&bytes, head, sizeof *head, err);
    if (status == CRITIC_OK)
        status = cr_buf_append(&bytes, rows, len, err);
    if (status == CRITIC_OK)
        status = cr_file_write(
            path, (struct cr_bytes){(const unsigned char *)bytes.data, bytes.len}, err);
    cr_buf_fini(&bytes);
    return status;
}

void cr_feature_files_write(struct cr_feature_files *f, const uint64_t key[2],
                            const float *rows, size_t n_rows, size_t width) {
    size_t len = n_rows * width * sizeof *rows;
    struct header head = header_of(rows, n_rows, width);
    struct cr_buf path;
    critic_error why;
    if (f->no_writes || sizeof head + len > f->limit)
        return;
    if (path_of(f, key, &path)) {
        bool fits = make_room(f, sizeof head + len);
        if (!fits || write_file(path.data, &head, rows, len, &why) != CRITIC_OK) {
            say(f,
                fits ? "cannot be written; features are kept no longer"
                     : "has no room and cannot be emptied; features are kept no longer",
                fits ? path.data : f->dir);
            f->no_writes = true;
        }
    }
    cr_buf_fini(&path);
}
