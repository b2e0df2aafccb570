#include "convert/convert.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "convert/merge.h"
#include "convert/metadata.h"
#include "convert/plan.h"
#include "convert/tokens.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "tensor/packed_file.h"

#define DEFAULT_SHARD_BYTES ((size_t)5000000000)
#define MAX_FILE_BYTES      ((size_t)128 << 20)

struct job {
    const struct cr_store *store;
    const struct cr_config *config; /* with the image token found */
    const struct cr_convert_options *options;
    enum cr_layout layout;
    struct cr_plan plan;
    struct cr_tokens tokens;
    struct cr_out_dir dir;
    struct cr_buf path;
    struct cr_convert_result result;
};

static enum critic_status in_dir(struct job *j, const char *name, critic_error *err) {
    return cr_path_join(&j->path, j->dir.temporary, name, err);
}

static enum critic_status write_file(struct job *j, const char *name, struct cr_str text,
                                     critic_error *err) {
    CR_TRY(in_dir(j, name, err));
    return cr_file_write_text(j->path.data, text, err);
}

/* ---- safetensors ---- */

static enum critic_status to_safetensors(void *user, const void *data, size_t bytes,
                                         critic_error *err) {
    return cr_safetensors_write(user, data, bytes, err);
}

static enum critic_status write_shard(struct job *j, const char *name, size_t first,
                                      size_t n, critic_error *err) {
    struct cr_safetensors_writer w;
    const struct cr_safetensors_note note = {"format", "pt"};
    size_t mark = cr_arena_mark(&j->plan.arena);
    struct cr_file_tensor *tensors = cr_arena_calloc(&j->plan.arena, n, sizeof *tensors);
    if (!tensors)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the list of tensors");
    for (size_t i = 0; i < n; i++)
        tensors[i] = j->plan.items[first + i].target;
    CR_TRY(in_dir(j, name, err));
    CR_TRY(cr_safetensors_create(&w, j->path.data, tensors, n, &note, 1, err));
    cr_arena_release(&j->plan.arena, mark);
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < n && status == CRITIC_OK; i++)
        status =
            cr_plan_stream(&j->plan, &j->plan.items[first + i], to_safetensors, &w, err);
    if (status == CRITIC_OK)
        return cr_safetensors_commit(&w, err);
    cr_safetensors_abort(&w);
    return status;
}

/* Items [first, *end) make the next shard: at least one, then what fits. */
static size_t shard_end(const struct job *j, size_t first) {
    size_t limit =
        j->options->max_shard_bytes ? j->options->max_shard_bytes : DEFAULT_SHARD_BYTES;
    size_t end = first, bytes = 0;
    while (end < j->plan.n_items &&
           (end == first ||
            (bytes <= limit && j->plan.items[end].target.bytes <= limit - bytes)))
        bytes += j->plan.items[end++].target.bytes;
    return end;
}

static void shard_name(char name[64], size_t i, size_t n) {
    if (n == 1)
        snprintf(name, 64, "model.safetensors");
    else
        snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", i + 1, n);
}

static enum critic_status write_index(struct job *j, size_t n_shards, critic_error *err) {
    struct cr_buf index;
    char name[64];
    size_t first = 0;
    enum critic_status status;
    cr_buf_init(&index, MAX_FILE_BYTES);
    CR_TRY_GOTO(cr_buf_printf(
        &index, err, "{\"metadata\": {\"total_size\": %zu},\n\"weight_map\": {\n",
        j->result.bytes));
    for (size_t s = 0; s < n_shards; s++) {
        size_t end = shard_end(j, first);
        shard_name(name, s, n_shards);
        for (; first < end; first++) /* names are plain ASCII */
            CR_TRY_GOTO(cr_buf_printf(&index, err, "\"%s\": \"%s\"%s\n",
                                      j->plan.items[first].target.name, name,
                                      first + 1 < j->plan.n_items ? "," : ""));
    }
    CR_TRY_GOTO(cr_buf_append_c(&index, "}}\n", err));
    CR_TRY_GOTO(write_file(j, "model.safetensors.index.json", cr_buf_str(&index), err));
fail:
    cr_buf_fini(&index);
    return status;
}

static enum critic_status write_shards(struct job *j, critic_error *err) {
    size_t n_shards = 0;
    char name[64];
    for (size_t i = 0; i < j->plan.n_items; i = shard_end(j, i))
        n_shards++;
    size_t first = 0;
    for (size_t s = 0; s < n_shards; s++) {
        size_t end = shard_end(j, first);
        shard_name(name, s, n_shards);
        CR_TRY(write_shard(j, name, first, end - first, err));
        first = end;
    }
    j->result.n_files = n_shards;
    return n_shards > 1 ? write_index(j, n_shards, err) : CRITIC_OK;
}

/* ---- files beside the weights ---- */

static enum critic_status write_configs(struct job *j, critic_error *err) {
    struct cr_buf text;
    enum cr_dtype dtype = j->plan.items[0].target.dtype; /* the embedding's */
    enum critic_status status;
    cr_buf_init(&text, MAX_FILE_BYTES);
    CR_TRY_GOTO(cr_metadata_config(&text, j->config, j->layout, dtype, err));
    CR_TRY_GOTO(write_file(j, "config.json", cr_buf_str(&text), err));
    cr_buf_clear(&text);
    CR_TRY_GOTO(cr_metadata_generation(&text, j->config, err));
    CR_TRY_GOTO(write_file(j, "generation_config.json", cr_buf_str(&text), err));
    if (j->layout == CR_LAYOUT_HF) {
        cr_buf_clear(&text);
        CR_TRY_GOTO(cr_metadata_processor(&text, j->config, true, err));
        CR_TRY_GOTO(write_file(j, "processor_config.json", cr_buf_str(&text), err));
        cr_buf_clear(&text);
        CR_TRY_GOTO(cr_metadata_processor(&text, j->config, false, err));
        CR_TRY_GOTO(write_file(j, "preprocessor_config.json", cr_buf_str(&text), err));
    }
fail:
    cr_buf_fini(&text);
    return status;
}

static enum critic_status copy_file(struct job *j, const char *name, bool *copied,
                                    critic_error *err) {
    struct cr_buf text;
    enum critic_status status;
    cr_buf_init(&text, MAX_FILE_BYTES);
    CR_TRY_GOTO(cr_path_join(&j->path, cr_store_dir(j->store), name, err));
    *copied = cr_file_exists(j->path.data);
    if (*copied) {
        CR_TRY_GOTO(cr_file_read(j->path.data, &text, err));
        CR_TRY_GOTO(write_file(j, name, cr_buf_str(&text), err));
    }
fail:
    cr_buf_fini(&text);
    return status;
}

/* A tokenizer.json out of GGUF's lists, and the little that transformers wants beside it. */
static enum critic_status write_tokenizer(struct job *j, critic_error *err) {
    static const char config[] =
        "{\"tokenizer_class\": \"Qwen2Tokenizer\", \"eos_token\": \"<|im_end|>\", "
        "\"pad_token\": \"<|endoftext|>\", \"add_prefix_space\": false, "
        "\"clean_up_tokenization_spaces\": false}\n";
    struct cr_buf text;
    enum critic_status status;
    cr_buf_init(&text, MAX_FILE_BYTES);
    CR_TRY_GOTO(cr_tokens_to_json(&j->tokens, &text, err));
    CR_TRY_GOTO(write_file(j, "tokenizer.json", cr_buf_str(&text), err));
    CR_TRY_GOTO(write_file(j, "tokenizer_config.json", cr_str_of(config), err));
fail:
    cr_buf_fini(&text);
    return status;
}

static enum critic_status write_tokenizer_files(struct job *j, critic_error *err) {
    static const char *const names[] = {
        "tokenizer.json", "tokenizer_config.json", "vocab.json",
        "merges.txt",     "added_tokens.json",     "special_tokens_map.json",
    };
    bool copied = false;
    if (cr_store_gguf(j->store))
        CR_TRY(write_tokenizer(j, err));
    else
        for (size_t i = 0; i < CR_COUNT(names); i++)
            CR_TRY(copy_file(j, names[i], &copied, err));
    /* Each layout has its own chat format: a template is only taken along within one. */
    bool same = j->layout == cr_store_layout(j->store) || j->layout == CR_LAYOUT_TEXT;
    if (same && j->tokens.chat_template.data)
        return write_file(j, "chat_template.jinja", j->tokens.chat_template, err);
    return write_file(j, "chat_template.jinja",
                      cr_str_of(cr_metadata_template(j->config->vision.present,
                                                     j->layout != CR_LAYOUT_HF)),
                      err);
}

static enum critic_status write_folder(struct job *j, const char *out,
                                       critic_error *err) {
    CR_TRY(cr_out_dir_open(&j->dir, out, err));
    CR_TRY(write_shards(j, err));
    CR_TRY(write_configs(j, err));
    CR_TRY(write_tokenizer_files(j, err));
    CR_TRY(cr_plan_verify(&j->plan, j->config, j->dir.temporary, err));
    return cr_out_dir_commit(&j->dir, err);
}

/* ---- GGUF ---- */

static enum critic_status to_gguf(void *user, const void *data, size_t bytes,
                                  critic_error *err) {
    return cr_gguf_write(user, data, bytes, err);
}

static enum critic_status write_part(struct job *j, const char *file, bool vision,
                                     critic_error *err) {
    struct cr_gguf_writer w;
    enum cr_dtype dtype =
        j->options->dtype == CR_DTYPE_COUNT ? CR_F16 : j->options->dtype;
    enum critic_status status;
    cr_gguf_writer_init(&w);
    CR_TRY_GOTO(vision
                    ? cr_metadata_gguf_vision(&w, j->config, file, dtype, err)
                    : cr_metadata_gguf_text(&w, j->config, &j->tokens, file, dtype, err));
    for (size_t i = 0; i < j->plan.n_items; i++) {
        const struct cr_file_tensor *t = &j->plan.items[i].target;
        if (j->plan.items[i].vision == vision)
            CR_TRY_GOTO(cr_gguf_add_tensor(&w, t->name, t->dtype, t->n_dim, t->dim, err));
    }
    CR_TRY_GOTO(in_dir(j, file, err));
    CR_TRY_GOTO(cr_gguf_begin(&w, j->path.data, err));
    for (size_t i = 0; i < j->plan.n_items; i++)
        if (j->plan.items[i].vision == vision)
            CR_TRY_GOTO(cr_plan_stream(&j->plan, &j->plan.items[i], to_gguf, &w, err));
    CR_TRY_GOTO(cr_gguf_commit(&w, err));
    j->result.n_files++;
fail:
    cr_gguf_writer_fini(&w);
    return status;
}

static enum critic_status write_pair(struct job *j, const char *out, critic_error *err) {
    const char *base = cr_path_base(out);
    struct cr_buf parts, vision, folder;
    enum critic_status status;
    cr_buf_init(&parts, 1 << 16);
    cr_buf_init(&vision, 1 << 16);
    cr_buf_init(&folder, 1 << 16);
    CR_TRY_GOTO(cr_buf_printf(&parts, err, "%s.parts", out));
    CR_TRY_GOTO(cr_buf_printf(&vision, err, "mmproj-%s", base));
    CR_TRY_GOTO(cr_out_dir_open(&j->dir, parts.data, err));
    CR_TRY_GOTO(write_part(j, base, false, err));
    if (j->config->vision.present)
        CR_TRY_GOTO(write_part(j, vision.data, true, err));
    CR_TRY_GOTO(in_dir(j, base, err));
    CR_TRY_GOTO(cr_plan_verify(&j->plan, j->config, j->path.data, err));
    /* The vision part first: a text part without it would read as a text model. */
    if (j->config->vision.present) {
        CR_TRY_GOTO(in_dir(j, vision.data, err));
        CR_TRY_GOTO(cr_path_parent(&folder, out, err));
        CR_TRY_GOTO(cr_buf_printf(&folder, err, "/%s", vision.data));
        CR_TRY_GOTO(cr_file_rename(j->path.data, folder.data, err));
    }
    CR_TRY_GOTO(in_dir(j, base, err));
    CR_TRY_GOTO(cr_file_rename(j->path.data, out, err));
fail:
    cr_out_dir_abort(&j->dir);
    cr_buf_fini(&parts);
    cr_buf_fini(&vision);
    cr_buf_fini(&folder);
    return status;
}

/* ---- packed ---- */

struct packed_out {
    struct cr_gguf_writer w;
    struct cr_hash digest;
};

static enum critic_status to_packed(void *user, const void *data, size_t bytes,
                                    critic_error *err) {
    struct packed_out *out = user;
    cr_hash_update(&out->digest, data, bytes);
    return cr_gguf_write(&out->w, data, bytes, err);
}

/* All tensors, then a digest of each. */
static enum critic_status stream_packed(struct job *j, struct packed_out *out,
                                        critic_error *err) {
    size_t n = j->plan.n_items;
    uint64_t(*digests)[2] = cr_arena_calloc(&j->plan.arena, n, sizeof *digests);
    if (!digests)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the hashes");
    for (size_t i = 0; i < n; i++) {
        cr_packed_file_digest(&out->digest, &j->plan.items[i].target);
        CR_TRY(cr_plan_stream(&j->plan, &j->plan.items[i], to_packed, out, err));
        cr_hash_final(&out->digest, digests[i]);
    }
    return cr_gguf_write(&out->w, digests, n * sizeof *digests, err);
}

static enum critic_status write_packed_file(struct job *j, const char *file,
                                            critic_error *err) {
    struct packed_out out;
    const size_t digests[] = {j->plan.n_items, 2};
    enum critic_status status;
    cr_gguf_writer_init(&out.w);
    CR_TRY_GOTO(cr_metadata_gguf_packed(&out.w, j->config, &j->tokens, file,
                                        j->options->dtype, err));
    for (size_t i = 0; i < j->plan.n_items; i++) {
        const struct cr_file_tensor *t = &j->plan.items[i].target;
        CR_TRY_GOTO(cr_gguf_add_tensor(&out.w, t->name, t->dtype, t->n_dim, t->dim, err));
    }
    CR_TRY_GOTO(cr_gguf_add_tensor(&out.w, CR_PACKED_DIGESTS, CR_I64, 2, digests, err));
    CR_TRY_GOTO(cr_gguf_begin(&out.w, j->path.data, err));
    CR_TRY_GOTO(stream_packed(j, &out, err));
    CR_TRY_GOTO(cr_gguf_commit(&out.w, err));
    j->result.n_files = 1;
fail:
    cr_gguf_writer_fini(&out.w);
    return status;
}

/* Under another name, until it has been read back. */
static enum critic_status write_packed(struct job *j, const char *out,
                                       critic_error *err) {
    struct cr_buf parts;
    enum critic_status status;
    cr_buf_init(&parts, 1 << 16);
    CR_TRY_GOTO(cr_buf_printf(&parts, err, "%s.parts", out));
    CR_TRY_GOTO(cr_out_dir_open(&j->dir, parts.data, err));
    CR_TRY_GOTO(in_dir(j, cr_path_base(out), err));
    CR_TRY_GOTO(write_packed_file(j, cr_path_base(out), err));
    CR_TRY_GOTO(cr_plan_verify(&j->plan, j->config, j->path.data, err));
    CR_TRY_GOTO(cr_file_rename(j->path.data, out, err));
fail:
    cr_out_dir_abort(&j->dir);
    cr_buf_fini(&parts);
    return status;
}

/* ---- */

static enum critic_status check_options(const struct cr_convert_options *o,
                                        const char *out, critic_error *err) {
    bool gguf = o->target == CR_CONVERT_GGUF;
    bool blocks = o->dtype == CR_Q8_0 || o->dtype == CR_Q4_0;
    bool panels = cr_dtype_is_panels(o->dtype);
    size_t len = strlen(out);
    if (panels != (o->target == CR_CONVERT_PACKED))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "a packed file holds int8 or q4, and no other layout does");
    if (panels)
        return len > 0 ? CRITIC_OK
                       : cr_fail(err, CRITIC_BAD_ARGUMENT, "the output has no name");
    if (o->dtype != CR_DTYPE_COUNT && o->dtype != CR_F32 && o->dtype != CR_F16 &&
        o->dtype != CR_BF16 && !blocks)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "cannot write %s; expected F32, F16, BF16, Q8_0 or Q4_0",
                       cr_dtype_name(o->dtype));
    if (blocks && !gguf)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%s exists only in GGUF, not in safetensors",
                       cr_dtype_name(o->dtype));
    if (gguf && (len < 6 || strcmp(out + len - 5, ".gguf") != 0))
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "%s: a GGUF file's name ends in .gguf",
                       out);
    return CRITIC_OK;
}

/* transformers knows anyres only as anyres_max_N. With N tiles in the largest canvas nothing is ever
 * shrunk, which is what plain anyres means. */
static void name_max_tiles(struct cr_config *config) {
    struct cr_picture_config *p = &config->picture;
    size_t px = CR_MAX(config->vision.image_px, 1), most = 0;
    for (size_t i = 0; i < p->n_pinpoints; i++)
        most = CR_MAX(most, p->pinpoints[i][0] / px * (p->pinpoints[i][1] / px));
    if (p->aspect == CR_ASPECT_ANYRES && p->max_tiles == 0)
        p->max_tiles = most;
}

static enum critic_status run(struct job *j, struct cr_config *config, const char *out,
                              critic_error *err) {
    CR_TRY(cr_tokens_read(&j->tokens, j->store, config->text.vocab, err));
    if (config->vision.present && config->image_token_id < 0)
        config->image_token_id = cr_tokens_find(&j->tokens, "<image>");
    if (config->vision.present && config->image_token_id < 0)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: neither config.json nor the tokenizer names an image token",
                       cr_store_dir(j->store));
    if (j->layout == CR_LAYOUT_HF)
        name_max_tiles(config);
    CR_TRY(cr_plan_make(&j->plan, j->store, config, j->layout, j->options, err));
    if (j->options->merge_lora)
        CR_TRY(cr_plan_merge(&j->plan, j->options->merge_lora, err));
    for (size_t i = 0; i < j->plan.n_items; i++)
        j->result.bytes += j->plan.items[i].target.bytes;
    j->result.n_tensors = j->plan.n_items;
    j->result.n_not_quantised = j->plan.n_not_quantised;
    if (j->options->target == CR_CONVERT_PACKED) {
        config->text.tied = false; /* the head is written */
        CR_TRY(
            cr_exec_new(&j->plan.ex, &(struct cr_exec_opts){.isa = cr_isa_best()}, err));
        return write_packed(j, out, err);
    }
    return j->layout == CR_LAYOUT_GGUF ? write_pair(j, out, err)
                                       : write_folder(j, out, err);
}

enum critic_status cr_convert(const struct cr_store *store,
                              const struct cr_config *config, const char *out,
                              const struct cr_convert_options *options,
                              struct cr_convert_result *result, critic_error *err) {
    static const enum cr_layout layouts[] = {
        [CR_CONVERT_HF] = CR_LAYOUT_HF,
        [CR_CONVERT_LMMS] = CR_LAYOUT_LMMS,
        [CR_CONVERT_GGUF] = CR_LAYOUT_GGUF,
        [CR_CONVERT_PACKED] = CR_LAYOUT_GGUF, /* names and keys */
    };
    struct cr_config copy = *config;
    struct cr_convert_options own = *options;
    struct job j = {.store = store, .config = &copy, .options = &own};
    if (result)
        memset(result, 0, sizeof *result);
    if (own.target == CR_CONVERT_PACKED && own.dtype == CR_DTYPE_COUNT)
        own.dtype = CR_PANEL8;
    CR_TRY(check_options(&own, out, err));
    if (cr_store_is_packed(store))
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: a packed file is for judging only; expected the checkpoint "
                       "that it was made from",
                       cr_store_dir(store));
    j.layout = layouts[own.target];
    if (!config->vision.present && j.layout != CR_LAYOUT_GGUF)
        j.layout = CR_LAYOUT_TEXT;
    cr_buf_init(&j.path, 1 << 16);
    enum critic_status status = run(&j, &copy, out, err);
    if (status == CRITIC_OK && result)
        *result = j.result;
    cr_out_dir_abort(&j.dir);
    cr_plan_fini(&j.plan);
    cr_tokens_fini(&j.tokens);
    cr_buf_fini(&j.path);
    return status;
}
