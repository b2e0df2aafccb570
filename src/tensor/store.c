#include "tensor/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "base/hash.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "tensor/embedded.h"
#include "tensor/names.h"
#include "tensor/packed_file.h"

/* Address space for names, metadata and the tokenizer lists of GGUF. */
#define ARENA_BYTES     ((size_t)256 << 20)
#define MAX_INDEX_BYTES ((size_t)64 << 20)
#define MAX_DIR_BYTES   ((size_t)16 << 20)

struct cr_store {
    struct cr_arena own;     /* of cr_store_open */
    struct cr_arena *arena;  /* only while opening */
    struct cr_arena aligned; /* copies of tensors that their file misaligns */
    enum cr_layout layout;
    char *dir;
    struct cr_safetensors *shards;
    size_t n_shards;
    struct cr_gguf text; /* map.bytes.data NULL: not a GGUF store */
    struct cr_gguf vision;
    enum cr_dtype packing; /* of a packed file, whose `text` is everything; else CR_F32 */
    struct cr_store_entry *entries;
    size_t n_entries;
    const struct cr_store_entry **by_canonical;
};

static enum critic_status no_memory(const char *path, critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory for the list of tensors",
                   path);
}

static enum critic_status copy_text(struct cr_store *s, char **out, const char *text,
                                    critic_error *err) {
    *out = cr_arena_strndup(s->arena, text, strlen(text));
    return *out ? CRITIC_OK : no_memory(text, err);
}

/* ---- entries ---- */

static struct cr_tensor tensor_view(const struct cr_file_tensor *t) {
    struct cr_tensor v = {.data = (void *)(uintptr_t)t->data,
                          .dtype = t->dtype,
                          .n_dim = CR_MAX(t->n_dim, 1),
                          .dim = {1},
                          .name = t->name};
    for (int i = 0; i < t->n_dim; i++)
        v.dim[i] = t->dim[i];
    CR_ASSERT(cr_dtype_row_bytes(v.dtype, v.dim[v.n_dim - 1], &v.row_bytes));
    return v;
}

static enum critic_status add_entry(struct cr_store *s, const struct cr_file_tensor *t,
                                    const char *file, const struct cr_buf *canonical,
                                    critic_error *err) {
    struct cr_store_entry *e = &s->entries[s->n_entries];
    e->name = t->name;
    e->file = file;
    e->canonical = cr_arena_strndup(s->arena, canonical->data, canonical->len);
    e->tensor = tensor_view(t);
    if (!e->canonical)
        return no_memory(file, err);
    s->n_entries++;
    return CRITIC_OK;
}

static int by_canonical(const void *a, const void *b) {
    const struct cr_store_entry *const *x = a;
    const struct cr_store_entry *const *y = b;
    return strcmp((*x)->canonical, (*y)->canonical);
}

static enum critic_status build_index(struct cr_store *s, critic_error *err) {
    s->by_canonical = cr_arena_calloc(s->arena, s->n_entries, sizeof *s->by_canonical);
    if (!s->by_canonical)
        return no_memory(s->dir, err);
    for (size_t i = 0; i < s->n_entries; i++)
        s->by_canonical[i] = &s->entries[i];
    if (s->n_entries > 0)
        qsort(s->by_canonical, s->n_entries, sizeof *s->by_canonical, by_canonical);
    for (size_t i = 1; i < s->n_entries; i++) {
        const struct cr_store_entry *a = s->by_canonical[i - 1];
        const struct cr_store_entry *b = s->by_canonical[i];
        if (strcmp(a->canonical, b->canonical) == 0)
            return cr_fail(err, CRITIC_BAD_MODEL,
                           "%s: tensors '%s' (%s) and '%s' (%s) mean the same weight",
                           s->dir, a->name, a->file, b->name, b->file);
    }
    return CRITIC_OK;
}

static size_t alignment_of(enum cr_dtype dtype) {
    if (cr_dtype_is_panels(dtype))
        return 64;
    return cr_dtype_block_len(dtype) == 1 ? cr_dtype_block_bytes(dtype) : 2;
}

static bool is_misaligned(const struct cr_tensor *t) {
    return (uintptr_t)t->data % alignment_of(t->dtype) != 0;
}

/* Files by careless writers put an F32 behind an odd number of bytes. */
static enum critic_status align_entries(struct cr_store *s, critic_error *err) {
    size_t total = 0;
    for (size_t i = 0; i < s->n_entries; i++)
        if (is_misaligned(&s->entries[i].tensor) &&
            !cr_add_size(total, cr_tensor_bytes(&s->entries[i].tensor) + 192, &total))
            return no_memory(s->dir, err);
    if (total == 0)
        return CRITIC_OK;
    CR_TRY(cr_arena_init(&s->aligned, total, err));
    for (size_t i = 0; i < s->n_entries; i++) {
        struct cr_tensor *t = &s->entries[i].tensor;
        if (!is_misaligned(t))
            continue;
        void *copy = cr_arena_alloc(&s->aligned, cr_tensor_bytes(t));
        if (!copy)
            return no_memory(s->dir, err);
        memcpy(copy, t->data, cr_tensor_bytes(t));
        t->data = copy;
    }
    return CRITIC_OK;
}

/* ---- safetensors ---- */

static enum critic_status set_layout(struct cr_store *s, critic_error *err) {
    struct cr_name_evidence evidence = {false, false};
    for (size_t i = 0; i < s->n_entries; i++)
        cr_name_note(&evidence, s->entries[i].name);
    if (evidence.lmms && evidence.hf)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: mixes names of the lmms-lab and the llava-hf layout", s->dir);
    s->layout = evidence.lmms ? CR_LAYOUT_LMMS
                : evidence.hf ? CR_LAYOUT_HF
                              : CR_LAYOUT_TEXT;
    return CRITIC_OK;
}

/* Adds the tensors of one shard; with a weight_map only those that it puts there. */
static enum critic_status add_shard(struct cr_store *s,
                                    const struct cr_safetensors *shard, const char *file,
                                    const json_t *weight_map, critic_error *err) {
    struct cr_buf canonical;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&canonical, 1 << 20);
    for (size_t i = 0; i < shard->n_tensors && status == CRITIC_OK; i++) {
        const struct cr_file_tensor *t = &shard->tensors[i];
        const char *home =
            weight_map ? json_string_value(json_object_get(weight_map, t->name)) : file;
        if (!home || strcmp(home, file) != 0)
            continue;
        status = cr_name_from_safetensors(&canonical, t->name, err);
        if (status == CRITIC_OK)
            status = add_entry(s, t, file, &canonical, err);
    }
    cr_buf_fini(&canonical);
    return status;
}

static enum critic_status alloc_entries(struct cr_store *s, size_t n, critic_error *err) {
    s->entries = cr_arena_calloc(s->arena, n, sizeof *s->entries);
    return s->entries ? CRITIC_OK : no_memory(s->dir, err);
}

static enum critic_status open_single(struct cr_store *s, const char *path,
                                      critic_error *err) {
    char *file;
    CR_TRY(copy_text(s, &file, cr_path_base(path), err));
    s->shards = cr_arena_calloc(s->arena, 1, sizeof *s->shards);
    if (!s->shards)
        return no_memory(path, err);
    CR_TRY(cr_safetensors_open(&s->shards[0], s->arena, path, err));
    s->n_shards = 1;
    CR_TRY(alloc_entries(s, s->shards[0].n_tensors, err));
    CR_TRY(add_shard(s, &s->shards[0], file, NULL, err));
    return set_layout(s, err);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct files of a weight_map, sorted. *names lies in the arena. */
static enum critic_status list_shards(struct cr_store *s, const char *path,
                                      const json_t *weight_map, const char ***names,
                                      size_t *n_names, critic_error *err) {
    size_t n = 0, distinct = 0;
    const char *key;
    json_t *value;
    const char **list =
        cr_arena_calloc(s->arena, json_object_size(weight_map), sizeof *list);
    if (!list)
        return no_memory(path, err);
    json_object_foreach((json_t *)(uintptr_t)weight_map, key, value) {
        const char *file = json_string_value(value);
        if (!file || file[0] == '\0' || strchr(file, '/') ||
            strlen(file) != json_string_length(value))
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s: weight_map gives tensor '%s' no plain file name", path,
                           key);
        list[n++] = file;
    }
    if (n == 0)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: weight_map is empty", path);
    qsort(list, n, sizeof *list, by_text);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(list[i], list[distinct - 1]) != 0)
            list[distinct++] = list[i];
    *names = list;
    *n_names = distinct;
    return CRITIC_OK;
}

/* Every name of the map was found in its shard, else the first that was not is named. */
static enum critic_status check_map(const struct cr_store *s, const char *path,
                                    const json_t *weight_map, critic_error *err) {
    if (s->n_entries == json_object_size(weight_map))
        return CRITIC_OK;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)weight_map, key, value) {
        bool found = false;
        for (size_t i = 0; i < s->n_entries && !found; i++)
            found = strcmp(s->entries[i].name, key) == 0;
        if (!found)
            return cr_fail(err, CRITIC_BAD_MODEL,
                           "%s: tensor '%s' is not in its shard '%s'", path, key,
                           json_string_value(value));
    }
    return CRITIC_OK;
}

static enum critic_status open_shards(struct cr_store *s, const char *path,
                                      const json_t *weight_map, critic_error *err) {
    const char **names = NULL;
    size_t n = 0, total = 0;
    struct cr_buf shard_path;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&shard_path, 1 << 16);
    CR_TRY_GOTO(list_shards(s, path, weight_map, &names, &n, err));
    s->shards = cr_arena_calloc(s->arena, n, sizeof *s->shards);
    if (!s->shards) {
        status = no_memory(path, err);
        goto fail;
    }
    for (size_t i = 0; i < n; i++) {
        CR_TRY_GOTO(cr_path_join(&shard_path, s->dir, names[i], err));
        if (!cr_file_exists(shard_path.data)) {
            status = cr_fail(err, CRITIC_BAD_MODEL, "%s: the shard '%s' is not there",
                             path, names[i]);
            goto fail;
        }
        CR_TRY_GOTO(cr_safetensors_open(&s->shards[i], s->arena, shard_path.data, err));
        total += s->shards[i].n_tensors;
        s->n_shards++;
    }
    CR_TRY_GOTO(alloc_entries(s, total, err));
    for (size_t i = 0; i < n; i++) {
        char *file;
        CR_TRY_GOTO(copy_text(s, &file, names[i], err));
        CR_TRY_GOTO(add_shard(s, &s->shards[i], file, weight_map, err));
    }
    CR_TRY_GOTO(check_map(s, path, weight_map, err));
    CR_TRY_GOTO(set_layout(s, err));
fail:
    cr_buf_fini(&shard_path);
    return status;
}

static enum critic_status open_index(struct cr_store *s, const char *path,
                                     critic_error *err) {
    json_t *root, *weight_map = NULL;
    CR_TRY(cr_json_read(&root, path, MAX_INDEX_BYTES, err));
    enum critic_status status = CRITIC_OK;
    if (json_is_object(root))
        status = cr_json_object(root, "weight_map", &weight_map, path, err);
    if (status == CRITIC_OK && !weight_map)
        status = cr_fail(err, CRITIC_BAD_FILE, "%s: no object 'weight_map'", path);
    if (status == CRITIC_OK)
        status = open_shards(s, path, weight_map, err);
    json_decref(root);
    return status;
}

/* ---- GGUF ---- */

/* Early vision converters called fc1 ffn_down and fc2 ffn_up. The shapes tell: fc1 takes
 * rows of the tower's width. */
static bool ffn_is_swapped(const struct cr_gguf *g) {
    const struct cr_file_tensor *up = cr_gguf_find_tensor(g, "v.blk.0.ffn_up.weight");
    const struct cr_file_tensor *position =
        cr_gguf_find_tensor(g, "v.position_embd.weight");
    if (!up || !position || up->n_dim != 2 || position->n_dim < 1)
        return false;
    size_t width = position->dim[position->n_dim - 1];
    return up->dim[1] != width && up->dim[0] == width;
}

static enum critic_status add_gguf(struct cr_store *s, const struct cr_gguf *g,
                                   const char *path, critic_error *err) {
    struct cr_buf canonical;
    char *file;
    bool swapped = ffn_is_swapped(g);
    CR_TRY(copy_text(s, &file, cr_path_base(path), err));
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&canonical, 1 << 20);
    for (size_t i = 0; i < g->n_tensors && status == CRITIC_OK; i++) {
        if (cr_store_is_packed(s) && strcmp(g->tensors[i].name, CR_PACKED_DIGESTS) == 0)
            continue;
        status = cr_name_from_gguf(&canonical, g->tensors[i].name, swapped, err);
        if (status == CRITIC_OK)
            status = add_entry(s, &g->tensors[i], file, &canonical, err);
    }
    cr_buf_fini(&canonical);
    return status;
}

static bool ends_with(const char *s, const char *end) {
    size_t len = strlen(s), end_len = strlen(end);
    return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

/* The vision part that belongs to text file `base` by the rule of the header; out is empty
 * where there is none. */
static enum critic_status find_vision(const struct cr_store *s, const char *base,
                                      struct cr_buf *out, critic_error *err) {
    struct cr_buf names;
    enum critic_status status;
    size_t n = 0;
    cr_buf_clear(out);
    cr_buf_init(&names, MAX_DIR_BYTES);
    CR_TRY_GOTO(cr_dir_list(&names, s->dir, err));
    for (const char *p = cr_dir_next(&names, NULL); p; p = cr_dir_next(&names, p)) {
        if (!ends_with(p, ".gguf") || !strstr(p, "mmproj") || strcmp(p, base) == 0)
            continue;
        bool exact = strncmp(p, "mmproj-", 7) == 0 && strcmp(p + 7, base) == 0;
        n = exact ? 1 : n + 1;
        CR_TRY_GOTO(cr_path_join(out, s->dir, p, err));
        if (exact)
            break;
    }
    if (n != 1)
        cr_buf_clear(out);
fail:
    cr_buf_fini(&names);
    return status;
}

/* Is the projector's output as wide as the text model? */
static bool vision_fits(const struct cr_store *s) {
    const struct cr_file_tensor *embedding =
        cr_gguf_find_tensor(&s->text, "token_embd.weight");
    const struct cr_file_tensor *projector =
        cr_gguf_find_tensor(&s->vision, "mm.2.weight");
    return embedding && projector && embedding->n_dim == 2 && projector->n_dim == 2 &&
           embedding->dim[1] == projector->dim[0];
}

static enum critic_status add_parts(struct cr_store *s, const char *text,
                                    const char *vision, critic_error *err) {
    CR_TRY(alloc_entries(s, s->text.n_tensors + s->vision.n_tensors, err));
    CR_TRY(add_gguf(s, &s->text, text, err));
    return s->vision.map.bytes.data ? add_gguf(s, &s->vision, vision, err) : CRITIC_OK;
}

static enum critic_status open_vision(struct cr_store *s, const char *base,
                                      critic_error *err) {
    struct cr_buf path;
    enum critic_status status;
    cr_buf_init(&path, 1 << 16);
    CR_TRY_GOTO(find_vision(s, base, &path, err));
    if (path.len > 0) {
        CR_TRY_GOTO(cr_gguf_open(&s->vision, s->arena, path.data, err));
        if (!vision_fits(s))
            cr_gguf_close(&s->vision);
    }
    CR_TRY_GOTO(add_parts(s, base, path.data, err));
fail:
    cr_buf_fini(&path);
    return status;
}

static enum critic_status open_gguf(struct cr_store *s, const char *path,
                                    critic_error *err) {
    struct cr_str architecture = {"", 0};
    uint64_t n_splits = 1;
    s->layout = CR_LAYOUT_GGUF;
    CR_TRY(cr_gguf_open(&s->text, s->arena, path, err));
    if (cr_packed_file_is(&s->text)) {
        CR_TRY(cr_packed_file_check(&s->text, path, &s->packing, err));
        return add_parts(s, path, NULL, err);
    }
    CR_TRY(cr_gguf_str(&s->text, "general.architecture", &architecture, err));
    if (cr_str_eq_c(architecture, "clip"))
        return cr_fail(
            err, CRITIC_BAD_MODEL,
            "%s: this is a vision part; give the text part, and keep both in one "
            "folder",
            path);
    CR_TRY(cr_gguf_u64(&s->text, "split.count", &n_splits, err));
    if (n_splits > 1)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: part of a split GGUF file (split.count %llu); merge it first",
                       path, (unsigned long long)n_splits);
    return open_vision(s, cr_path_base(path), err);
}

static enum critic_status open_embedded(struct cr_store *s, const struct cr_embedded *m,
                                        critic_error *err) {
    s->layout = CR_LAYOUT_GGUF;
    CR_TRY(copy_text(s, &s->dir, m->name, err));
    CR_TRY(cr_gguf_open_bytes(&s->text, s->arena, m->text, m->name, err));
    if (m->vision.data)
        CR_TRY(cr_gguf_open_bytes(&s->vision, s->arena, m->vision, m->name, err));
    return add_parts(s, m->name, m->name, err);
}

/* ---- folders ---- */

static enum critic_status refuse_dir(const struct cr_store *s, critic_error *err) {
    struct cr_buf path;
    const char *instead = "found neither safetensors nor a .gguf file";
    static const struct {
        const char *file, *text;
    } others[] = {
        {"pytorch_model.bin", "found only PyTorch pickles, which are not read"},
        {"pytorch_model.bin.index.json",
         "found only PyTorch pickles, which are not read"},
        {"adapter_model.bin", "found only a LoRA adapter, which needs its base model"},
        {"adapter_config.json", "found only a LoRA adapter, which needs its base model"},
    };
    cr_buf_init(&path, 1 << 16);
    for (size_t i = 0; i < CR_COUNT(others); i++)
        if (cr_path_join(&path, s->dir, others[i].file, NULL) == CRITIC_OK &&
            cr_file_exists(path.data))
            instead = others[i].text;
    cr_buf_fini(&path);
    return cr_fail(err, CRITIC_BAD_MODEL,
                   "%s: expected model.safetensors or model.safetensors.index.json; %s",
                   s->dir, instead);
}

/* The one text .gguf of a folder; out is empty where there is none or several. */
static enum critic_status find_gguf(const struct cr_store *s, struct cr_buf *out,
                                    critic_error *err) {
    struct cr_buf names;
    enum critic_status status;
    size_t n = 0;
    cr_buf_clear(out);
    cr_buf_init(&names, MAX_DIR_BYTES);
    CR_TRY_GOTO(cr_dir_list(&names, s->dir, err));
    for (const char *p = cr_dir_next(&names, NULL); p; p = cr_dir_next(&names, p)) {
        if (!ends_with(p, ".gguf") || strstr(p, "mmproj"))
            continue;
        n++;
        CR_TRY_GOTO(cr_path_join(out, s->dir, p, err));
    }
    if (n > 1)
        status =
            cr_fail(err, CRITIC_BAD_MODEL,
                    "%s: holds %zu .gguf files; name the one that is meant", s->dir, n);
fail:
    cr_buf_fini(&names);
    return status;
}

static enum critic_status open_dir(struct cr_store *s, critic_error *err) {
    struct cr_buf path;
    enum critic_status status;
    cr_buf_init(&path, 1 << 16);
    CR_TRY_GOTO(cr_path_join(&path, s->dir, "model.safetensors", err));
    if (cr_file_exists(path.data)) {
        CR_TRY_GOTO(open_single(s, path.data, err));
        goto fail;
    }
    CR_TRY_GOTO(cr_path_join(&path, s->dir, "model.safetensors.index.json", err));
    if (cr_file_exists(path.data)) {
        CR_TRY_GOTO(open_index(s, path.data, err));
        goto fail;
    }
    CR_TRY_GOTO(find_gguf(s, &path, err));
    CR_TRY_GOTO(path.len > 0 ? open_gguf(s, path.data, err) : refuse_dir(s, err));
fail:
    cr_buf_fini(&path);
    return status;
}

static enum critic_status set_dir(struct cr_store *s, const char *path, bool is_dir,
                                  critic_error *err) {
    struct cr_buf dir;
    enum critic_status status;
    cr_buf_init(&dir, 1 << 16);
    CR_TRY_GOTO(is_dir ? cr_buf_append_c(&dir, path, err)
                       : cr_path_parent(&dir, path, err));
    while (dir.len > 1 && dir.data[dir.len - 1] == '/')
        dir.data[--dir.len] = '\0';
    CR_TRY_GOTO(copy_text(s, &s->dir, dir.data, err));
fail:
    cr_buf_fini(&dir);
    return status;
}

static enum critic_status open_file(struct cr_store *s, const char *path,
                                    critic_error *err) {
    bool is_dir = cr_dir_exists(path);
    CR_TRY(set_dir(s, path, is_dir, err));
    if (is_dir)
        return open_dir(s, err);
    if (ends_with(path, ".safetensors"))
        return open_single(s, path, err);
    if (ends_with(path, ".gguf") || cr_gguf_is(path))
        return open_gguf(s, path, err);
    return cr_fail(
        err, CRITIC_BAD_FILE,
        "%s: not a checkpoint; expected a folder, a .safetensors, a .gguf or a "
        "packed file",
        path);
}

static enum critic_status open_path(struct cr_store *s, const char *path,
                                    critic_error *err) {
    struct cr_embedded embedded;
    if (path[0] != '\0' && cr_file_exists(path))
        CR_TRY(open_file(s, path, err));
    else if (cr_embedded_find(path, &embedded))
        CR_TRY(open_embedded(s, &embedded, err));
    else
        return cr_fail(err, CRITIC_BAD_FILE, "%s: no such checkpoint", path);
    CR_TRY(build_index(s, err));
    return align_entries(s, err);
}

enum critic_status cr_store_open_in(struct cr_store **out, struct cr_arena *arena,
                                    const char *path, critic_error *err) {
    *out = NULL;
    struct cr_store *s = cr_arena_calloc(arena, 1, sizeof *s);
    if (!s)
        return no_memory(path, err);
    s->arena = arena;
    enum critic_status status = open_path(s, path, err);
    s->arena = NULL;
    if (status == CRITIC_OK)
        *out = s;
    else
        cr_store_close(s);
    return status;
}

enum critic_status cr_store_open(struct cr_store **out, const char *path,
                                 critic_error *err) {
    struct cr_arena arena;
    *out = NULL;
    CR_TRY(cr_arena_init(&arena, ARENA_BYTES, err));
    enum critic_status status = cr_store_open_in(out, &arena, path, err);
    if (status == CRITIC_OK)
        (*out)->own = arena;
    else
        cr_arena_fini(&arena);
    return status;
}

void cr_store_close(struct cr_store *s) {
    if (!s)
        return;
    for (size_t i = 0; i < s->n_shards; i++)
        cr_safetensors_close(&s->shards[i]);
    cr_gguf_close(&s->text);
    cr_gguf_close(&s->vision);
    cr_arena_fini(&s->aligned);
    struct cr_arena own = s->own; /* s itself lies in it */
    cr_arena_fini(&own);
}

void cr_store_forget(const struct cr_store *s, struct cr_bytes bytes) {
    for (size_t i = 0; i < s->n_shards; i++)
        cr_map_forget(&s->shards[i].map, bytes);
    cr_map_forget(&s->text.map, bytes);
    cr_map_forget(&s->vision.map, bytes);
}

/* ---- look-up ---- */

enum cr_layout cr_store_layout(const struct cr_store *s) {
    return s->layout;
}

const char *cr_store_dir(const struct cr_store *s) {
    return s->dir;
}

const struct cr_gguf *cr_store_gguf(const struct cr_store *s) {
    return s->text.map.bytes.data ? &s->text : NULL;
}

bool cr_store_is_packed(const struct cr_store *s) {
    return cr_dtype_is_panels(s->packing);
}

enum cr_dtype cr_store_packing(const struct cr_store *s) {
    return s->packing;
}

enum critic_status cr_store_verify(const struct cr_store *s, critic_error *err) {
    CR_ASSERT(cr_store_is_packed(s));
    const char *file = s->n_entries > 0 ? s->entries[0].file : s->dir;
    return cr_packed_file_verify(&s->text, file, err);
}

const struct cr_gguf *cr_store_gguf_vision(const struct cr_store *s) {
    if (cr_store_is_packed(s) && cr_gguf_find(&s->text, "clip.has_vision_encoder"))
        return &s->text;
    return s->vision.map.bytes.data ? &s->vision : NULL;
}

size_t cr_store_count(const struct cr_store *s) {
    return s->n_entries;
}

const struct cr_store_entry *cr_store_at(const struct cr_store *s, size_t i) {
    CR_ASSERT(i < s->n_entries);
    return &s->entries[i];
}

const struct cr_store_entry *cr_store_find(const struct cr_store *s,
                                           const char *canonical) {
    size_t low = 0, high = s->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(canonical, s->by_canonical[middle]->canonical);
        if (order == 0)
            return s->by_canonical[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* "(4, 8)" */
static void format_shape(char text[128], int n_dim, const size_t *dim) {
    size_t used = 0;
    text[used++] = '(';
    for (int i = 0; i < n_dim; i++) {
        int n = snprintf(text + used, 128 - used, "%s%zu", i ? ", " : "", dim[i]);
        used += n < 0 ? 0 : (size_t)n;
    }
    snprintf(text + used, 128 - used, ")");
}

/* Equal once axes of length 1 are left out. */
static bool same_order(int n_a, const size_t *a, int n_b, const size_t *b) {
    int i = 0, j = 0;
    for (;;) {
        while (i < n_a && a[i] == 1)
            i++;
        while (j < n_b && b[j] == 1)
            j++;
        if (i == n_a || j == n_b)
            return i == n_a && j == n_b;
        if (a[i++] != b[j++])
            return false;
    }
}

enum critic_status cr_store_get(const struct cr_store *s, const char *canonical,
                                int n_dim, const size_t *dim, struct cr_tensor *out,
                                critic_error *err) {
    CR_ASSERT(n_dim >= 1 && n_dim <= CR_MAX_DIM);
    memset(out, 0, sizeof *out);
    const struct cr_store_entry *e = cr_store_find(s, canonical);
    if (!e)
        return cr_fail(err, CRITIC_BAD_MODEL, "%s: tensor '%s' is missing", s->dir,
                       canonical);
    const struct cr_tensor *t = &e->tensor;
    bool equal =
        t->n_dim == n_dim && memcmp(t->dim, dim, (size_t)n_dim * sizeof *dim) == 0;
    /* A row of blocks cannot be cut anew. */
    if (!equal && cr_dtype_block_len(t->dtype) == 1)
        equal = same_order(t->n_dim, t->dim, n_dim, dim);
    if (!equal) {
        char found[128], expected[128];
        format_shape(found, t->n_dim, t->dim);
        format_shape(expected, n_dim, dim);
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: tensor '%s': found shape %s, expected %s", e->file, e->name,
                       found, expected);
    }
    *out = *t;
    out->n_dim = n_dim;
    memcpy(out->dim, dim, (size_t)n_dim * sizeof *dim);
    CR_ASSERT(cr_dtype_row_bytes(t->dtype, dim[n_dim - 1], &out->row_bytes));
    return CRITIC_OK;
}

static void hash_tensor(struct cr_hash *h, const struct cr_store_entry *e) {
    const struct cr_tensor *t = &e->tensor;
    const unsigned char *data = t->data;
    size_t bytes = cr_tensor_bytes(t);
    cr_hash_update(h, e->name, strlen(e->name) + 1);
    const char *dtype = cr_dtype_name(t->dtype);
    cr_hash_update(h, dtype, strlen(dtype) + 1);
    for (int i = 0; i < t->n_dim; i++) {
        uint64_t n = t->dim[i];
        cr_hash_update(h, &n, sizeof n);
    }
    const size_t edge = 4096, sample = 64, n_samples = 64;
    if (bytes <= 2 * edge + n_samples * sample) {
        cr_hash_update(h, data, bytes);
        return;
    }
    cr_hash_update(h, data, edge);
    size_t stride = (bytes - 2 * edge) / n_samples;
    for (size_t i = 0; i < n_samples; i++)
        cr_hash_update(h, data + edge + i * stride, sample);
    cr_hash_update(h, data + bytes - edge, edge);
}

void cr_store_hash(const struct cr_store *s, char hex[33]) {
    struct cr_hash h;
    cr_hash_init(&h, 0);
    for (size_t i = 0; i < s->n_entries; i++)
        hash_tensor(&h, s->by_canonical[i]);
    cr_hash_hex(&h, hex);
}
