/* Any bytes as config.json and the files beside it. The first byte chooses the layout that the
 * tensors' names say; \x1F parts config.json, generation_config.json, preprocessor_config.json
 * and processor_config.json, of which the later ones may be missing. */
#define _GNU_SOURCE
#include "model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const files[] = {"config.json", "generation_config.json",
                                    "preprocessor_config.json", "processor_config.json"};
static const char *const weights[] = {"model.mm_projector.0.bias",
                                      "multi_modal_projector.linear_1.bias",
                                      "model.norm.weight"};
#define N_LAYOUTS (sizeof weights / sizeof weights[0])

static char folders[N_LAYOUTS][64];

static void write_file(const char *folder, const char *name, const void *data,
                       size_t size) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    CR_ASSERT(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
}

static void remove_file(const char *folder, const char *name) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static void clean_up(void) {
    for (size_t i = 0; i < N_LAYOUTS; i++) {
        for (size_t k = 0; k < CR_COUNT(files); k++)
            remove_file(folders[i], files[k]);
        remove_file(folders[i], "model.safetensors");
        rmdir(folders[i]);
    }
}

static void make_folders(void) {
    for (size_t i = 0; i < N_LAYOUTS; i++) {
        char file[256] = {0};
        snprintf(folders[i], sizeof folders[i], "/tmp/critic-fuzz-XXXXXX");
        CR_ASSERT(mkdtemp(folders[i]));
        int n =
            snprintf(file + 8, sizeof file - 8,
                     "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                     weights[i]);
        file[0] = (char)n;
        write_file(folders[i], "model.safetensors", file, 8 + (size_t)n + 4);
    }
    atexit(clean_up);
}

/* What later code relies on without asking again. */
static void check(const struct cr_config *c) {
    const struct cr_decoder_config *t = &c->text;
    CR_ASSERT(t->width > 0 && t->n_layers > 0 && t->vocab > 0 && t->ffn_width > 0);
    CR_ASSERT(t->n_kv_heads > 0 && t->n_heads % t->n_kv_heads == 0);
    CR_ASSERT(t->head_dim > 0 && t->head_dim % 2 == 0 && t->rms_eps > 0 &&
              t->rope_theta > 1);
    if (!c->vision.present)
        return;
    CR_ASSERT(c->vision.width % c->vision.n_heads == 0 && cr_vision_grid(&c->vision) > 0);
    CR_ASSERT(c->picture.aspect != CR_ASPECT_ANYRES || c->picture.n_pinpoints > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cr_store *store;
    struct cr_config config;
    critic_error err = {0};
    if (size == 0 || size > 1 << 16)
        return 0;
    if (folders[0][0] == '\0')
        make_folders();
    const char *folder = folders[data[0] % N_LAYOUTS];
    const uint8_t *at = data + 1, *end = data + size;
    for (size_t i = 0; i < CR_COUNT(files); i++) {
        const uint8_t *stop = at < end ? memchr(at, '\x1F', (size_t)(end - at)) : NULL;
        stop = stop ? stop : end;
        if (at < end)
            write_file(folder, files[i], at, (size_t)(stop - at));
        else
            remove_file(folder, files[i]);
        at = stop < end ? stop + 1 : end;
    }
    CR_ASSERT(cr_store_open(&store, folder, &err) == CRITIC_OK);
    if (cr_config_read(&config, store, &err) == CRITIC_OK)
        check(&config);
    else
        CR_ASSERT(err.message[0] && config.text.width == 0);
    cr_store_close(store);
    return 0;
}
