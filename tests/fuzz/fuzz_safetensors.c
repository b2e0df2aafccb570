/* Any bytes as a safetensors file: what opens lies inside the file and is written back. */
#define _GNU_SOURCE
#include "io/safetensors.h"

#include <string.h>

#include "base/checked.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every byte of a tensor can be read, and the tensors cover the data without overlap. */
static void walk(const struct cr_safetensors *s) {
    const unsigned char *begin = s->map.bytes.data, *end = begin + s->map.bytes.len;
    unsigned sum = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const struct cr_file_tensor *t = &s->tensors[i];
        CR_ASSERT(t->data >= begin && t->data <= end &&
                  t->bytes <= (size_t)(end - t->data));
        CR_ASSERT(cr_safetensors_find(s, t->name));
        for (size_t k = 0; k < t->bytes; k++)
            sum += t->data[k];
        CR_ASSERT(i == 0 || t[-1].data + t[-1].bytes == t->data);
    }
    CR_ASSERT(sum <= 255u * s->map.bytes.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cr_arena arena;
    struct cr_safetensors s;
    critic_error err = {0};
    struct memory_file file = memory_file_make(data, size);
    CR_ASSERT(cr_arena_init(&arena, 1 << 24, NULL) == CRITIC_OK);
    if (cr_safetensors_open(&s, &arena, file.path, &err) == CRITIC_OK)
        walk(&s);
    else
        CR_ASSERT(err.message[0] && !strchr(err.message, '\n') && !s.map.bytes.data);
    cr_safetensors_close(&s);
    cr_arena_fini(&arena);
    memory_file_close(&file);
    return 0;
}
