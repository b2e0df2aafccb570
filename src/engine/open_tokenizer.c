#include "engine/open_tokenizer.h"

#include <string.h>

#include "base/file.h"
#include "engine/internal.h"
#include "io/gguf.h"
#include "tensor/embedded.h"

#define GGUF_ARENA_BYTES ((size_t)1 << 34)
#define MAX_PATH_BYTES   ((size_t)1 << 16)

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* embedded NULL: the file of that name. */
static enum critic_status from_gguf(struct cr_tokenizer **out, const char *name,
                                    const struct cr_embedded *embedded,
                                    critic_error *err) {
    struct cr_arena arena;
    struct cr_gguf gguf;
    CR_TRY(cr_arena_init(&arena, GGUF_ARENA_BYTES, err));
    enum critic_status status =
        embedded ? cr_gguf_open_bytes(&gguf, &arena, embedded->text, name, err)
                 : cr_gguf_open(&gguf, &arena, name, err);
    if (status == CRITIC_OK) {
        status = cr_engine_tokenizer_from_gguf(out, &gguf, name, err);
        cr_gguf_close(&gguf);
    }
    cr_arena_fini(&arena);
    return status;
}

enum critic_status cr_open_tokenizer(struct cr_tokenizer **out, const char *model,
                                     critic_error *err) {
    struct cr_embedded embedded;
    *out = NULL;
    if (!cr_file_exists(model) && cr_embedded_find(model, &embedded))
        return from_gguf(out, model, &embedded, err);
    if (ends_with(model, ".gguf") || cr_gguf_is(model))
        return from_gguf(out, model, NULL, err);
    if (!ends_with(model, ".safetensors"))
        return cr_tokenizer_open(out, model, err);
    struct cr_buf folder;
    const char *slash = strrchr(model, '/');
    cr_buf_init(&folder, MAX_PATH_BYTES);
    enum critic_status status =
        slash ? cr_buf_append(&folder, model, (size_t)(slash - model) + 1, err)
              : cr_buf_append_c(&folder, ".", err);
    if (status == CRITIC_OK)
        status = cr_tokenizer_open(out, folder.data, err);
    cr_buf_fini(&folder);
    return status;
}
