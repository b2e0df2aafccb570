/* Any bytes as a GGUF file: what opens lies inside the file; every value can be asked for. */
#define _GNU_SOURCE
#include "io/gguf.h"

#include <string.h>

#include "base/checked.h"
#include "memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct cr_gguf *g, const struct cr_gguf_value *v) {
    char key[128];
    uint64_t u = 0;
    double d = 0;
    bool b = false;
    struct cr_str s = {NULL, 0};
    const struct cr_gguf_value *list;
    if (v->key.len >= sizeof key)
        return;
    memcpy(key, v->key.data, v->key.len);
    key[v->key.len] = '\0';
    CR_ASSERT(cr_gguf_find(g, key));
    (void)cr_gguf_u64(g, key, &u, NULL);
    (void)cr_gguf_double(g, key, &d, NULL);
    (void)cr_gguf_bool(g, key, &b, NULL);
    (void)cr_gguf_str(g, key, &s, NULL);
    (void)cr_gguf_array(g, key, v->type, &list, NULL);
    for (size_t i = 0; v->type != CR_GGUF_STRING && i < v->n; i++) {
        (void)cr_gguf_element_double(v, i);
        (void)cr_gguf_element_i64(v, i);
    }
}

static void walk(const struct cr_gguf *g) {
    const unsigned char *begin = g->map.bytes.data, *end = begin + g->map.bytes.len;
    for (size_t i = 0; i < g->n_values; i++)
        ask(g, &g->values[i]);
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct cr_file_tensor *t = &g->tensors[i];
        CR_ASSERT(t->data >= begin && t->data <= end &&
                  t->bytes <= (size_t)(end - t->data));
        CR_ASSERT(cr_gguf_find_tensor(g, t->name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cr_arena arena;
    struct cr_gguf g;
    critic_error err = {0};
    struct memory_file file = memory_file_make(data, size);
    CR_ASSERT(cr_arena_init(&arena, 1 << 24, NULL) == CRITIC_OK);
    if (cr_gguf_open(&g, &arena, file.path, &err) == CRITIC_OK)
        walk(&g);
    else
        CR_ASSERT(err.message[0] && !strchr(err.message, '\n') && !g.map.bytes.data);
    cr_gguf_close(&g);
    cr_arena_fini(&arena);
    memory_file_close(&file);
    return 0;
}
