/* Any bytes as JSON lines: read line by line; and as an output that is gone on with, which keeps
 * every complete line and cuts off a torn one. */
#define _GNU_SOURCE
#include "io/jsonl.h"

#include <string.h>

#include "base/checked.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum critic_status count(void *user, struct cr_str line, size_t number,
                                critic_error *err) {
    (void)err;
    CR_ASSERT(number > 0 && !memchr(line.data, '\n', line.len));
    ++*(size_t *)user;
    return CRITIC_OK;
}

static void read_lines(const char *path, size_t size) {
    struct cr_jsonl_reader r;
    struct cr_str line = {"", 0};
    critic_error err = {0};
    size_t total = 0;
    enum critic_status status = cr_jsonl_open(&r, path, 4096, &err);
    while (status == CRITIC_OK && line.data) {
        status = cr_jsonl_next(&r, &line, &err);
        if (status == CRITIC_OK && line.data) {
            CR_ASSERT(line.len > 0 && line.len <= 4096 &&
                      !memchr(line.data, '\n', line.len));
            total += line.len;
        }
    }
    CR_ASSERT(total <= size && (status == CRITIC_OK || err.message[0]));
    cr_jsonl_close(&r);
}

static void resume(const char *path, const uint8_t *data, size_t size) {
    struct cr_jsonl_log log;
    critic_error err = {0};
    size_t seen = 0, again = 0;
    if (cr_jsonl_log_open(&log, path, CR_JSONL_RESUME, count, &seen, &err) == CRITIC_OK)
        CR_ASSERT(cr_jsonl_log_append(&log, (struct cr_str){"{}", 2}, &err) == CRITIC_OK);
    else
        CR_ASSERT(err.message[0]);
    cr_jsonl_log_close(&log);
    if (err.message[0])
        return;
    CR_ASSERT(cr_jsonl_log_open(&log, path, CR_JSONL_RESUME, count, &again, &err) ==
              CRITIC_OK);
    CR_ASSERT(again == seen + 1);
    cr_jsonl_log_close(&log);
    size_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    CR_ASSERT(seen <= lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 1 << 16)
        return 0;
    struct memory_file file = memory_file_make(data, size);
    read_lines(file.path, size);
    resume(file.path, data, size);
    memory_file_close(&file);
    return 0;
}
