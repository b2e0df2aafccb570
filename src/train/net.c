#include "train/net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"
#include "engine/open_tokenizer.h"
#include "kernel/quant.h"
#include "tensor/names.h"
#include "train/init.h"

#define ARENA_BYTES ((size_t)1 << 40) /* address space; pages are taken when touched */

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the parameters");
}

/* ---- where it comes from ---- */

static enum critic_status open_checkpoint(struct cr_net *net, critic_error *err) {
    CR_TRY(cr_store_open(&net->store, net->opts.model, err));
    if (cr_store_is_packed(net->store))
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: a packed file is for judging only; expected the checkpoint "
                       "that it was made from",
                       net->opts.model);
    if (cr_store_gguf(net->store) && !net->opts.lora.is_set && !net->opts.reference)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: the weights of a GGUF cannot be trained, only an adapter on "
                       "them (--lora); expected a checkpoint folder (critic convert --to "
                       "safetensors-lmms makes one)",
                       net->opts.model);
    CR_TRY(cr_config_read(&net->config, net->store, err));
    CR_TRY(cr_params_init(&net->masters, &net->config, &net->arena, err));
    net->dir = cr_str_dup(cr_str_of(cr_store_dir(net->store)));
    CR_TRY(cr_params_bind(&net->masters, &net->config, net->store, err));
    return CRITIC_OK;
}

static enum critic_status open_source(struct cr_net *net, critic_error *err) {
    if (net->opts.init) {
        CR_TRY(cr_config_read_dir(&net->config, net->opts.init, err));
        net->dir = cr_str_dup(cr_str_of(net->opts.init));
        CR_TRY(cr_params_init(&net->masters, &net->config, &net->arena, err));
        CR_TRY(cr_init_params(&net->masters, &net->config, net->opts.seed, &net->arena,
                              err));
    } else {
        CR_TRY(open_checkpoint(net, err));
    }
    if (!net->dir)
        return no_memory(err);
    if (net->store && cr_store_gguf(net->store))
        return cr_engine_tokenizer_from_gguf(&net->tokenizer, cr_store_gguf(net->store),
                                             net->opts.model, err);
    return cr_tokenizer_open(&net->tokenizer, net->dir, err);
}

/* ---- masters, copies, list ---- */

static bool trains(void *user, const struct cr_param_slot *slot) {
    const struct cr_net *net = user;
    if (net->opts.lora.is_set || net->opts.reference)
        return false;
    if (net->opts.tower_only)
        return slot->part == CR_PART_TOWER;
    return !net->opts.frozen[slot->part];
}

static enum critic_status saved_name(struct cr_net *net, const char *canonical,
                                     const char **out, critic_error *err) {
    if (net->store) {
        *out = cr_store_find(net->store, canonical)->name;
        return CRITIC_OK;
    }
    struct cr_buf name;
    cr_buf_init(&name, 4096);
    enum critic_status status = cr_name_to(&name, net->config.layout, canonical, err);
    *out =
        status == CRITIC_OK ? cr_arena_strndup(&net->arena, name.data, name.len) : NULL;
    cr_buf_fini(&name);
    return status == CRITIC_OK && !*out ? no_memory(err) : status;
}

/* A dense F32 tensor of t's shape with t's values; the file's leave memory. */
static enum critic_status copy_f32(struct cr_net *net, struct cr_tensor *t,
                                   critic_error *err) {
    size_t rows = cr_tensor_rows(t), cols = cr_tensor_cols(t);
    float *data = cr_arena_alloc(&net->arena, CR_MAX(rows * cols, 1) * sizeof *data);
    if (!data)
        return no_memory(err);
    for (size_t r = 0; r < rows; r++)
        cr_row_to_f32(t->dtype, cr_tensor_row(t, r), data + r * cols, cols);
    if (net->store)
        cr_store_forget(net->store, (struct cr_bytes){t->data, cr_tensor_bytes(t)});
    t->data = data;
    t->dtype = CR_F32;
    t->row_bytes = cols * sizeof *data;
    return CRITIC_OK;
}

/* Products read bf16 copies under CR_COMPUTE_BF16; everything else reads the masters. */
static bool wants_copy(const struct cr_net *net, const struct cr_param_slot *slot) {
    return net->exec->act == CR_BF16 && slot->is_matrix;
}

static bool decays(const struct cr_param_slot *slot) {
    const char *bias = strstr(slot->name, "bias");
    return !slot->is_norm && !bias && !strstr(slot->name, "norm");
}

static bool is_muon(const struct cr_param_slot *slot) {
    return slot->is_matrix && slot->n_dim == 2 && !strstr(slot->name, "embed") &&
           !strstr(slot->name, "lm_head");
}

static enum critic_status add_tensor(struct cr_net *net,
                                     const struct cr_param_slot *master,
                                     struct cr_tensor *compute,
                                     const struct cr_tensor *grad, critic_error *err) {
    struct cr_train_tensor *t = &net->tensors[net->n_tensors];
    CR_TRY(copy_f32(net, master->tensor, err));
    *t = (struct cr_train_tensor){.part = master->part,
                                  .muon = is_muon(master),
                                  .decay = decays(master),
                                  .n_dim = master->n_dim,
                                  .rows = cr_tensor_rows(master->tensor),
                                  .cols = cr_tensor_cols(master->tensor),
                                  .w = master->tensor->data,
                                  .g = grad->data};
    memcpy(t->dim, master->dim, sizeof t->dim);
    snprintf(t->name, sizeof t->name, "%s", master->name);
    CR_TRY(saved_name(net, master->name, &t->saved, err));
    *compute = *master->tensor;
    if (wants_copy(net, master)) {
        t->copy = cr_arena_alloc(&net->arena, t->rows * t->cols * sizeof *t->copy);
        if (!t->copy)
            return no_memory(err);
        compute->data = t->copy;
        compute->dtype = CR_BF16;
        compute->row_bytes = t->cols * sizeof *t->copy;
    }
    net->n_tensors++;
    net->n_elements += t->rows * t->cols;
    return CRITIC_OK;
}

/* A reference has the copies that training its unfrozen parts would compute with, from the same f32
 * values. */
static enum critic_status copy_bf16(struct cr_net *net, const struct cr_param_slot *slot,
                                    critic_error *err) {
    struct cr_tensor *t = slot->tensor;
    size_t rows = cr_tensor_rows(t), cols = cr_tensor_cols(t);
    if (net->opts.frozen[slot->part] || !wants_copy(net, slot) || !t->data ||
        t->dtype == CR_BF16)
        return CRITIC_OK;
    uint16_t *data = cr_arena_alloc(&net->arena, rows * cols * sizeof *data);
    float *row = malloc(CR_MAX(cols, 1) * sizeof *row);
    if (data && row)
        for (size_t r = 0; r < rows; r++) {
            cr_row_to_f32(t->dtype, cr_tensor_row(t, r), row, cols);
            cr_row_from_f32(CR_BF16, row, data + r * cols, cols);
        }
    free(row);
    if (!data || !row)
        return no_memory(err);
    t->data = data;
    t->dtype = CR_BF16;
    t->row_bytes = cols * sizeof *data;
    return CRITIC_OK;
}

/* Random weights that stay as they are. */
static enum critic_status add_fixed(struct cr_net *net, const struct cr_param_slot *slot,
                                    critic_error *err) {
    struct cr_train_tensor *t = &net->fixed[net->n_fixed++];
    *t = (struct cr_train_tensor){.n_dim = slot->n_dim,
                                  .rows = cr_tensor_rows(slot->tensor),
                                  .cols = cr_tensor_cols(slot->tensor),
                                  .w = slot->tensor->data};
    memcpy(t->dim, slot->dim, sizeof t->dim);
    snprintf(t->name, sizeof t->name, "%s", slot->name);
    return saved_name(net, slot->name, &t->saved, err);
}

/* Tensors that may be listed: every parameter, or two for every adapted one, and heads. */
static size_t room(const struct cr_net *net) {
    return 2 * cr_params_count(&net->config) + CR_NET_EXTRA;
}

/* ---- the adapter ---- */

/* One side of a term: a master, listed, and what computes in its place. */
static enum critic_status add_half(struct cr_net *net, const struct cr_lora_slot *slot,
                                   const char *module, char half, struct cr_tensor *term,
                                   const struct cr_tensor *grad, critic_error *err) {
    struct cr_train_tensor *t = &net->tensors[net->n_tensors++];
    size_t rows = term->dim[0], cols = term->dim[1];
    char saved[256];
    *t = (struct cr_train_tensor){.part = slot->part,
                                  .muon = true,
                                  .decay = true,
                                  .n_dim = 2,
                                  .dim = {rows, cols},
                                  .rows = rows,
                                  .cols = cols,
                                  .w = term->data,
                                  .g = grad->data};
    snprintf(t->name, sizeof t->name, "%.80s.lora_%c.weight", slot->name, half);
    snprintf(saved, sizeof saved, "base_model.model.%s.lora_%c.weight", module, half);
    t->saved = cr_arena_strndup(&net->arena, saved, strlen(saved));
    if (!t->saved)
        return no_memory(err);
    net->n_elements += rows * cols;
    if (net->exec->act != CR_BF16)
        return CRITIC_OK;
    t->copy = cr_arena_alloc(&net->arena, rows * cols * sizeof *t->copy);
    if (!t->copy)
        return no_memory(err);
    *term = cr_tensor_view2(t->copy, CR_BF16, rows, cols);
    term->name = "lora";
    return CRITIC_OK;
}

static enum critic_status list_adapter(struct cr_net *net, critic_error *err) {
    struct cr_params *p = &net->model.params;
    CR_TRY(cr_lora_set_open(&net->lora, &net->opts.lora, p, &net->config, net->opts.seed,
                            &net->arena, err));
    CR_TRY(cr_lora_grads_init(&net->grads, p, &net->config, &net->arena, err));
    bool tower = false;
    for (size_t i = 0; i < net->lora.n; i++) {
        struct cr_lora_entry *e = &net->lora.entries[i];
        struct cr_lora_slot slot, grad;
        cr_lora_at(p, &net->config, i, &slot);
        cr_lora_at(&net->grads, &net->config, i, &grad);
        CR_TRY(add_half(net, &slot, e->module, 'A', &slot.lora->a, &grad.lora->a, err));
        CR_TRY(add_half(net, &slot, e->module, 'B', &slot.lora->b, &grad.lora->b, err));
        e->term = *slot.lora;
        tower = tower || slot.part == CR_PART_TOWER;
    }
    net->opts.frozen[CR_PART_TOWER] = !tower;
    return CRITIC_OK;
}

void cr_net_lora_use(struct cr_net *net, bool on) {
    for (size_t i = 0; i < net->lora.n; i++)
        *net->lora.entries[i].at =
            on ? net->lora.entries[i].term : (struct cr_lora){.scale = 0};
}

void cr_net_lora_pass(struct cr_net *net, bool train, uint64_t pass) {
    for (size_t i = 0; i < net->lora.n; i++) {
        struct cr_lora_entry *e = &net->lora.entries[i];
        e->term.dropout = train ? (float)net->lora.dropout : 0;
        e->term.seed = cr_hash_u64(cr_hash_u64(net->opts.seed ^ 0x10a) + pass) + i;
        e->term.seed = cr_hash_u64(e->term.seed);
        *e->at = e->term;
    }
}

/* ---- */

/* No pass uses the tower's last norm, but readers of both layouts (transformers) expect it: from
 * nothing it is written as it starts, 1 and 0. */
static enum critic_status add_post_layernorm(struct cr_net *net, critic_error *err) {
    static const char *const names[] = {"vision_tower.post_layernorm.weight",
                                        "vision_tower.post_layernorm.bias"};
    size_t width = net->config.vision.width;
    for (size_t i = 0; i < 2; i++) {
        struct cr_train_tensor *t = &net->fixed[net->n_fixed++];
        *t = (struct cr_train_tensor){
            .n_dim = 1, .dim = {width}, .rows = 1, .cols = width};
        snprintf(t->name, sizeof t->name, "%s", names[i]);
        t->w = cr_arena_calloc(&net->arena, width, sizeof *t->w);
        if (!t->w)
            return no_memory(err);
        for (size_t k = 0; i == 0 && k < width; k++)
            t->w[k] = 1;
        CR_TRY(saved_name(net, names[i], &t->saved, err));
    }
    return CRITIC_OK;
}

static enum critic_status list_tensors(struct cr_net *net, critic_error *err) {
    struct cr_params *compute = &net->model.params;
    size_t n = cr_params_count(&net->config);
    CR_TRY(cr_params_init(compute, &net->config, &net->arena, err));
    CR_TRY(cr_grads_init(&net->grads, &net->config, trains, net, &net->arena, err));
    net->tensors = cr_arena_calloc(&net->arena, room(net), sizeof *net->tensors);
    net->fixed = cr_arena_calloc(&net->arena, n + 2, sizeof *net->fixed);
    if (!net->tensors || !net->fixed)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct cr_param_slot master, copy, grad;
        cr_params_slot(&net->masters, &net->config, i, &master);
        cr_params_slot(compute, &net->config, i, &copy);
        cr_params_slot(&net->grads, &net->config, i, &grad);
        *copy.tensor = *master.tensor;
        if (grad.tensor->data)
            CR_TRY(add_tensor(net, &master, copy.tensor, grad.tensor, err));
        else if (net->opts.reference)
            CR_TRY(copy_bf16(net, &copy, err));
        else if (!net->store)
            CR_TRY(add_fixed(net, &master, err));
    }
    if (!net->store && net->config.vision.present)
        CR_TRY(add_post_layernorm(net, err));
    if (net->config.text.tied)
        compute->head.w = compute->embed;
    if (net->opts.lora.is_set)
        CR_TRY(list_adapter(net, err));
    if (net->n_tensors == 0 && !net->opts.reference)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "everything is frozen: nothing to train");
    cr_optim_refresh(net->tensors, net->n_tensors, net->exec);
    return CRITIC_OK;
}

/* ---- */

enum critic_status cr_net_open(struct cr_net *net, const struct cr_net_opts *opts,
                               critic_error *err) {
    memset(net, 0, sizeof *net);
    net->opts = *opts;
    CR_TRY(cr_arena_init(&net->arena, ARENA_BYTES, err));
    cr_arena_use_huge_pages(&net->arena);
    CR_TRY(open_source(net, err));
    if (opts->tower_only && !net->config.vision.present)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "the model has no tower to train");
    if (opts->lora.is_set && !net->store)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--lora adapts a checkpoint; expected --model, not --init");
    CR_TRY(cr_exec_new(&net->exec, &opts->exec, err));
    net->model.config = &net->config;
    CR_TRY(list_tensors(net, err));
    if (net->opts.save == CR_DTYPE_COUNT)
        net->opts.save = CR_F32;
    if (opts->save == CR_DTYPE_COUNT && net->store && !opts->lora.is_set) {
        const struct cr_store_entry *e = cr_store_find(net->store, "embed_tokens.weight");
        if (e && (e->tensor.dtype == CR_BF16 || e->tensor.dtype == CR_F16))
            net->opts.save = e->tensor.dtype;
    }
    const struct cr_train_opts train = {.recompute = opts->recompute,
                                        .frozen_tower = net->opts.frozen[CR_PART_TOWER],
                                        .head_rows = opts->head_rows};
    return cr_train_new(&net->train, &net->model, net->exec, &train, err);
}

void cr_net_close(struct cr_net *net) {
    cr_train_free(net->train);
    cr_exec_free(net->exec);
    cr_tokenizer_free(net->tokenizer);
    cr_store_close(net->store);
    free(net->dir);
    cr_arena_fini(&net->arena);
    memset(net, 0, sizeof *net);
}

enum critic_status cr_net_add(struct cr_net *net, const char *name, size_t rows,
                              size_t cols, struct cr_train_tensor **out,
                              critic_error *err) {
    struct cr_train_tensor *t = &net->tensors[net->n_tensors];
    *t = (struct cr_train_tensor){.part = CR_PART_TOWER,
                                  .decay = cols > 1,
                                  .n_dim = cols > 1 ? 2 : 1,
                                  .dim = {rows, cols > 1 ? cols : 0},
                                  .rows = rows,
                                  .cols = cols};
    CR_ASSERT(net->n_tensors < room(net));
    snprintf(t->name, sizeof t->name, "%s", name);
    t->saved = t->name;
    t->w = cr_arena_calloc(&net->arena, rows * cols, sizeof *t->w);
    t->g = cr_arena_calloc(&net->arena, rows * cols, sizeof *t->g);
    if (!t->w || !t->g)
        return no_memory(err);
    net->n_tensors++;
    *out = t;
    return CRITIC_OK;
}

enum critic_status cr_net_moments(struct cr_net *net, const struct cr_optim_opts *optim,
                                  critic_error *err) {
    for (size_t i = 0; i < net->n_tensors; i++) {
        struct cr_train_tensor *t = &net->tensors[i];
        size_t n = t->rows * t->cols;
        bool second = !cr_optim_is_muon(optim, t);
        t->m = cr_arena_calloc(&net->arena, n, sizeof *t->m);
        t->v = second ? cr_arena_calloc(&net->arena, n, sizeof *t->v) : NULL;
        t->e = optim->ema > 0 ? cr_arena_alloc(&net->arena, n * sizeof *t->e) : NULL;
        if (!t->m || (second && !t->v) || (optim->ema > 0 && !t->e))
            return no_memory(err);
        if (t->e)
            memcpy(t->e, t->w, n * sizeof *t->e);
    }
    return CRITIC_OK;
}
