/* critic forward: every tensor of one forward pass into a safetensors file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "engine/engine.h"
#include "io/safetensors.h"

#define MAX_TENSORS 512
#define NAME_BYTES  64

/* A tensor as it grows, rows in order. */
struct dumped {
    char name[NAME_BYTES];
    enum cr_dtype dtype;
    int n_dim;
    size_t dim[CR_MAX_DIM];
    struct cr_buf bytes;
};

struct dump {
    struct dumped tensors[MAX_TENSORS];
    size_t n;
};

struct forward_flags {
    struct cr_common common;
    struct cr_prompt_flags prompt;
    const char *path;
    struct cr_forward_opts opts;
};

static void dump_fini(struct dump *d) {
    for (size_t i = 0; i < d->n; i++)
        cr_buf_fini(&d->tensors[i].bytes);
    free(d);
}

/* The tensor of that name, made on first sight with no rows yet. */
static struct dumped *dump_get(struct dump *d, const char *name) {
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->tensors[i].name, name) == 0)
            return &d->tensors[i];
    CR_ASSERT(d->n < MAX_TENSORS && strlen(name) < NAME_BYTES);
    struct dumped *t = &d->tensors[d->n++];
    memcpy(t->name, name, strlen(name) + 1);
    cr_buf_init(&t->bytes, SIZE_MAX / 2);
    return t;
}

static enum critic_status tap(void *user, const char *name, size_t first_row,
                              const struct cr_tensor *rows, critic_error *err) {
    struct dumped *t = dump_get(user, name);
    size_t n_rows = cr_tensor_rows(rows);
    size_t row_bytes;
    CR_ASSERT(cr_dtype_row_bytes(rows->dtype, cr_tensor_cols(rows), &row_bytes));
    if (t->n_dim == 0) {
        t->dtype = rows->dtype;
        t->n_dim = rows->n_dim;
        memcpy(t->dim, rows->dim, sizeof t->dim);
        t->dim[0] = 0;
    }
    CR_ASSERT(first_row == t->dim[0] && rows->n_dim == t->n_dim);
    for (size_t i = 0; i < n_rows; i++)
        if (cr_buf_append(&t->bytes, cr_tensor_row(rows, i), row_bytes, NULL) !=
            CRITIC_OK)
            return cr_fail(err, CRITIC_NO_MEMORY,
                           "tensor '%s' does not fit into memory; --logits-last K keeps "
                           "fewer rows of logits",
                           name);
    t->dim[0] += rows->dim[0];
    return CRITIC_OK;
}

/* I64 tensors that are not part of the pass itself; first in the file, because wider. */
static enum critic_status dump_integers(struct dump *d, const struct cr_prompt *p,
                                        critic_error *err) {
    const struct cr_ids *ids = cr_prompt_ids(p);
    struct dumped *t = dump_get(d, "input_ids");
    *t = (struct dumped){.name = "input_ids",
                         .dtype = CR_I64,
                         .n_dim = 1,
                         .dim = {ids->len},
                         .bytes = t->bytes};
    for (size_t i = 0; i < ids->len; i++) {
        int64_t id = ids->data[i];
        CR_TRY(cr_buf_append(&t->bytes, &id, sizeof id, err));
    }
    t = dump_get(d, "tiles_per_image");
    *t = (struct dumped){.name = "tiles_per_image",
                         .dtype = CR_I64,
                         .n_dim = 1,
                         .dim = {cr_prompt_n_images(p)},
                         .bytes = t->bytes};
    for (size_t i = 0; i < cr_prompt_n_images(p); i++) {
        int64_t n = (int64_t)cr_prompt_plan(p, i)->n_tiles;
        CR_TRY(cr_buf_append(&t->bytes, &n, sizeof n, err));
    }
    return CRITIC_OK;
}

static enum critic_status write_dump(const struct dump *d, const char *path,
                                     critic_error *err) {
    struct cr_file_tensor tensors[MAX_TENSORS];
    struct cr_safetensors_writer w = {0};
    static const struct cr_safetensors_note note = {"format", "pt"};
    for (size_t i = 0; i < d->n; i++) {
        const struct dumped *t = &d->tensors[i];
        tensors[i] = (struct cr_file_tensor){
            .name = t->name, .dtype = t->dtype, .n_dim = t->n_dim};
        memcpy(tensors[i].dim, t->dim, sizeof tensors[i].dim);
    }
    CR_TRY(cr_safetensors_create(&w, path, tensors, d->n, &note, 1, err));
    for (size_t i = 0; i < d->n; i++) {
        const struct cr_buf *b = &d->tensors[i].bytes;
        enum critic_status status =
            b->len ? cr_safetensors_write(&w, b->data, b->len, err) : CRITIC_OK;
        if (status != CRITIC_OK) {
            cr_safetensors_abort(&w);
            return status;
        }
    }
    return cr_safetensors_commit(&w, err);
}

static enum critic_status print_summary(const struct dump *d, const struct cr_common *c,
                                        critic_error *err) {
    json_t *list = c->json ? json_array() : NULL;
    for (size_t i = 0; i < d->n; i++) {
        const struct dumped *t = &d->tensors[i];
        json_t *shape = list ? json_array() : NULL;
        if (!list)
            printf("%-5s %s (", cr_dtype_name(t->dtype), t->name);
        for (int k = 0; k < t->n_dim; k++) {
            if (list)
                json_array_append_new(shape, json_integer((json_int_t)t->dim[k]));
            else
                printf("%s%zu", k ? ", " : "", t->dim[k]);
        }
        if (list)
            json_array_append_new(list,
                                  json_pack("{s:s,s:s,s:o}", "name", t->name, "dtype",
                                            cr_dtype_name(t->dtype), "shape", shape));
        else
            printf(")\n");
    }
    return list ? cr_print_json(json_pack("{s:o}", "tensors", list), err) : CRITIC_OK;
}

static enum critic_status run_prompt(struct forward_flags *f, struct cr_engine *engine,
                                     critic_error *err) {
    struct cr_prompt *prompt = NULL;
    struct dump *d = calloc(1, sizeof *d);
    if (!d)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    enum critic_status status =
        cr_prompt_from_flags(&prompt, engine, &f->prompt, &f->common.limits, err);
    f->opts.tap = tap;
    f->opts.user = d;
    if (status == CRITIC_OK)
        status = dump_integers(d, prompt, err);
    if (status == CRITIC_OK)
        status = cr_engine_forward(engine, prompt, &f->opts, err);
    if (status == CRITIC_OK)
        status = write_dump(d, f->path, err);
    cr_progress_clear(f->common.progress);
    if (status == CRITIC_OK && !f->common.quiet)
        status = print_summary(d, &f->common, err);
    cr_prompt_free(prompt);
    dump_fini(d);
    return status;
}

static enum critic_status run_parsed(struct forward_flags *f, critic_error *err) {
    struct cr_engine *engine = NULL;
    struct cr_progress progress;
    if (!f->path)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--dump names the file to write");
    CR_TRY(cr_prompt_flags_check(&f->prompt, err));
    for (size_t i = 0; i < f->prompt.images.n; i++)
        CR_TRY(cr_file_apart(f->prompt.images.items[i].data, f->path, err));
    if (f->common.model)
        CR_TRY(cr_file_apart(f->common.model, f->path, err));
    cr_progress_begin(&progress, "forward", NULL, f->common.quiet);
    f->common.progress = &progress;
    enum critic_status status = cr_common_open(&f->common, &engine, err);
    if (status == CRITIC_OK)
        status = run_prompt(f, engine, err);
    cr_progress_clear(&progress);
    cr_engine_free(engine);
    return status;
}

int cr_cmd_forward(int n_args, const char *const *args) {
    struct forward_flags f = {0};
    critic_error err = {0};
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        CR_MODEL_FLAG(f.common),
        CR_PROMPT_FLAGS(f.prompt),
        {"dump", 'o', CR_FLAG_STR, &f.path, "FILE", "the safetensors file to write", 0,
         0},
        {"logits-last", 0, CR_FLAG_SIZE, &f.opts.logits_last, "K",
         "keep the last K rows of logits only; 0: all", 0, 0},
        {"layers", 0, CR_FLAG_BOOL, &f.opts.layers, NULL,
         "also hidden_states.K and vision_hidden_states.K of every layer", 0, 0},
        CR_MACHINE_FLAGS(f.common),
        CR_PICTURE_FLAGS(f.common),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "forward",
        .usage = "--model MODEL [--image FILE]… --prompt TEXT --dump OUT.safetensors",
        .about =
            "The parity microscope: runs one prompt through the network and writes "
            "input_ids,\ntiles_per_image, pixel_values, image_features, hidden_states "
            "and logits, to be held\nagainst any other implementation.",
        .example =
            "critic forward --model ./model --image cat.jpg --prompt 'Describe it.' \\\n"
            "    --dump out.safetensors --dtype f32 --logits-last 1",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, cr_outcome(run_parsed(&f, &err), &err));
}
