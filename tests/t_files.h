/* Files and folders for tests, below the current folder; each test makes and removes its own. */
#ifndef CR_TESTS_T_FILES_H
#define CR_TESTS_T_FILES_H

#include <sys/stat.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/file.h"
#include "t.h"

struct t_dir {
    char path[128];
    char file[256]; /* of the last t_path */
};

static inline void t_dir_make(struct t_dir *d, const char *name) {
    snprintf(d->path, sizeof d->path, "t-%s-%ld", name, (long)getpid());
    assert_int_equal(mkdir(d->path, 0777), 0);
}

static inline void t_dir_remove(struct t_dir *d) {
    struct cr_buf names;
    cr_buf_init(&names, 1 << 20);
    assert_int_equal(cr_dir_list(&names, d->path, NULL), CRITIC_OK);
    for (const char *p = cr_dir_next(&names, NULL); p; p = cr_dir_next(&names, p)) {
        snprintf(d->file, sizeof d->file, "%s/%s", d->path, p);
        unlink(d->file);
    }
    cr_buf_fini(&names);
    assert_int_equal(rmdir(d->path), 0);
}

/* Valid until the next call. */
static inline const char *t_path(struct t_dir *d, const char *name) {
    snprintf(d->file, sizeof d->file, "%s/%s", d->path, name);
    return d->file;
}

static inline const char *t_write(struct t_dir *d, const char *name, const void *data,
                                  size_t len) {
    FILE *f = fopen(t_path(d, name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return d->file;
}

static inline const char *t_write_text(struct t_dir *d, const char *name,
                                       const char *text) {
    return t_write(d, name, text, strlen(text));
}

#endif
