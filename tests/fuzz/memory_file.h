/* Bytes under a path, for loaders that open files: an anonymous file that lives in memory. */
#ifndef CR_FUZZ_MEMORY_FILE_H
#define CR_FUZZ_MEMORY_FILE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"

struct memory_file {
    int fd;
    char path[64];
};

static inline struct memory_file memory_file_make(const uint8_t *data, size_t size) {
    struct memory_file f;
    f.fd = memfd_create("fuzz", MFD_CLOEXEC);
    CR_ASSERT(f.fd >= 0);
    snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
    CR_ASSERT(size == 0 || write(f.fd, data, size) == (ssize_t)size);
    return f;
}

static inline void memory_file_close(struct memory_file *f) {
    close(f->fd);
}

#endif
