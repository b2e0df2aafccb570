#include "train/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "io/json.h"
#include "io/jsonl.h"
#include "kernel/quant.h"

#define MAX_LINE ((size_t)1 << 12)

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the reference");
}

/* ---- passes ---- */

static void add_rows(const struct cr_train_sequence *s, size_t row, const float *logp,
                     size_t first, size_t end, struct cr_pair_side *side) {
    for (size_t r = first; r < end; r++)
        if (s->targets[r] >= 0) {
            side->logp += (double)logp[row + r];
            side->n++;
        }
}

void cr_pair_sides(const struct cr_train_sequence *s, size_t row, const float *logp,
                   struct cr_pair_side out[2]) {
    size_t first = s->n_prefix;
    CR_ASSERT(s->n_branches == 2);
    for (int k = 0; k < 2; k++) {
        out[k] = (struct cr_pair_side){row + first, row + s->branch_ends[k], 0, 0};
        add_rows(s, row, logp, 0, s->n_prefix, &out[k]);
        add_rows(s, row, logp, first, s->branch_ends[k], &out[k]);
        first = s->branch_ends[k];
    }
}

static enum critic_status make_room(struct cr_reference *r, size_t n, critic_error *err) {
    if (n <= r->rows_cap)
        return CRITIC_OK;
    free(r->rows);
    r->rows_cap = n;
    r->rows = malloc(n * sizeof *r->rows);
    if (r->rows)
        return CRITIC_OK;
    r->rows_cap = 0;
    return no_memory(err);
}

static enum critic_status score(struct cr_reference *r, const struct cr_net *net,
                                const struct cr_pack_batch *p, critic_error *err) {
    size_t row = 0;
    CR_TRY(cr_batch_check(&p->batch, &net->config, err));
    CR_TRY(make_room(r, p->n_rows, err));
    cr_train_score(net->train, &p->batch, r->rows);
    for (size_t i = 0; i < p->n_packs; i++) {
        struct cr_pair_side sides[2];
        cr_pair_sides(&p->sequences[i], row, r->rows, sides);
        for (int k = 0; k < 2; k++)
            r->logps[p->packs[i]][k] = sides[k].logp;
        row += p->sequences[i].n_rows;
    }
    return CRITIC_OK;
}

enum critic_status cr_reference_score(struct cr_reference *r,
                                      const struct cr_pack_batch *batch,
                                      critic_error *err) {
    if (r->o.kind == CR_REFERENCE_LIVE)
        return score(r, &r->second, batch, err);
    if (r->o.kind != CR_REFERENCE_ADAPTER)
        return CRITIC_OK;
    cr_net_lora_use(r->policy, false);
    enum critic_status status = score(r, r->policy, batch, err);
    cr_net_lora_use(r->policy, true);
    return status;
}

/* All pairs in their order, some at a time. */
static enum critic_status score_all(struct cr_reference *r, const struct cr_net *net,
                                    critic_error *err) {
    struct cr_pack_batch batch;
    size_t n_packs = r->data->n_packs, step = CR_MAX(r->o.batch, 1);
    uint32_t *packs = malloc(step * sizeof *packs);
    enum critic_status status = cr_pack_batch_init(&batch, err);
    if (status == CRITIC_OK && !packs)
        status = no_memory(err);
    for (size_t i = 0; i < n_packs && status == CRITIC_OK; i += step) {
        size_t n = CR_MIN(step, n_packs - i);
        for (size_t k = 0; k < n; k++)
            packs[k] = (uint32_t)(i + k);
        status = cr_pack_batch_build(&batch, r->data, packs, n, err);
        if (status == CRITIC_OK)
            status = score(r, net, &batch, err);
        if (status == CRITIC_OK && r->o.cancel && r->o.cancel(r->o.cancel_user))
            status = cr_fail(err, CRITIC_CANCELLED,
                             "interrupted while the reference was computed, before the "
                             "first step; the same command begins again");
        if (status == CRITIC_OK && r->o.on_progress)
            r->o.on_progress(r->o.user, i + n, n_packs);
    }
    cr_pack_batch_fini(&batch);
    free(packs);
    return status;
}

/* ---- keys ---- */

/* The values, whatever they are stored as. */
static bool hash_tensor(struct cr_hash *h, const struct cr_tensor *t) {
    size_t rows = t->data ? cr_tensor_rows(t) : 0, cols = rows ? cr_tensor_cols(t) : 0;
    uint64_t facts[2] = {rows, cols};
    float *row = malloc(CR_MAX(cols, 1) * sizeof *row);
    cr_hash_update(h, facts, sizeof facts);
    for (size_t r = 0; r < rows && row; r++) {
        cr_row_to_f32(t->dtype, cr_tensor_row(t, r), row, cols);
        cr_hash_update(h, row, cols * sizeof *row);
    }
    free(row);
    return row != NULL;
}

/* Of every weight that computes, an adapter's too. */
static enum critic_status model_key(const struct cr_net *net, char out[CR_HASH_HEX],
                                    critic_error *err) {
    struct cr_params params = net->model.params;
    struct cr_hash h;
    size_t n = cr_params_count(&net->config);
    uint64_t compute = (uint64_t)net->exec->act;
    cr_hash_init(&h, 0xef);
    cr_hash_update(&h, &compute, sizeof compute);
    for (size_t i = 0; i < n; i++) {
        struct cr_param_slot slot;
        cr_params_slot(&params, &net->config, i, &slot);
        if (!hash_tensor(&h, slot.tensor))
            return no_memory(err);
    }
    for (size_t i = 0; i < net->lora.n; i++) {
        const struct cr_lora *term = &net->lora.entries[i].term;
        cr_hash_update(&h, &term->scale, sizeof term->scale);
        if (!hash_tensor(&h, &term->a) || !hash_tensor(&h, &term->b))
            return no_memory(err);
    }
    cr_hash_hex(&h, out);
    return CRITIC_OK;
}

static enum critic_status data_key(const struct cr_dataset *d, char out[CR_HASH_HEX],
                                   critic_error *err) {
    struct cr_hash h;
    cr_hash_init(&h, 0xda);
    cr_hash_update(&h, d->hash, sizeof d->hash);
    for (size_t i = 0; i < d->n_picture_of; i++) {
        struct cr_map map;
        CR_TRY(cr_map_open(&map, d->pictures.items[d->picture_of[i]].path, err));
        cr_hash_update(&h, map.bytes.data, map.bytes.len);
        cr_map_close(&map);
    }
    cr_hash_hex(&h, out);
    return CRITIC_OK;
}

/* ---- the file ---- */

static enum critic_status check_head(const json_t *head, const char *path,
                                     const char *model, const char *data,
                                     critic_error *err) {
    const char *has_model = json_string_value(json_object_get(head, "model"));
    const char *has_data = json_string_value(json_object_get(head, "data"));
    if (!has_model || !has_data)
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "%s:1: no keys 'model' and 'data'; expected a file that critic train "
            "dpo wrote",
            path);
    bool other_model = strcmp(has_model, model) != 0;
    if (other_model || strcmp(has_data, data) != 0)
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "%s:1: reference of %s %.16s; expected %.16s (another --ref-logps, "
            "or remove the file)",
            path, other_model ? "the model" : "the data",
            other_model ? has_model : has_data, other_model ? model : data);
    return CRITIC_OK;
}

static enum critic_status read_line(struct cr_reference *r, const json_t *line,
                                    const char *path, size_t number, critic_error *err) {
    static const char *const keys[2] = {"ref_chosen_logps", "ref_rejected_logps"};
    size_t i = number - 2;
    for (int k = 0; k < 2; k++) {
        const json_t *value = json_object_get(line, keys[k]);
        if (!json_is_number(value) || i >= r->data->n_packs)
            return cr_fail(err, CRITIC_BAD_DATA, "%s:%zu: expected %s of %zu pairs", path,
                           number, keys[k], r->data->n_packs);
        r->logps[i][k] = json_number_value(value);
    }
    return CRITIC_OK;
}

static enum critic_status read_file(struct cr_reference *r, const char *model,
                                    const char *data, critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str text;
    const char *path = r->o.file;
    size_t n = 0;
    enum critic_status status = cr_jsonl_open(&reader, path, MAX_LINE, err);
    while (status == CRITIC_OK) {
        json_t *line = NULL;
        status = cr_jsonl_next(&reader, &text, err);
        if (status != CRITIC_OK || !text.data)
            break;
        status = cr_json_parse(&line, text.data, text.len, path, err);
        if (status == CRITIC_OK)
            status = ++n == 1 ? check_head(line, path, model, data, err)
                              : read_line(r, line, path, n, err);
        json_decref(line);
    }
    cr_jsonl_close(&reader);
    if (status == CRITIC_OK && n != r->data->n_packs + 1)
        return cr_fail(err, CRITIC_BAD_DATA, "%s: %zu lines; expected %zu", path, n,
                       r->data->n_packs + 1);
    return status;
}

static enum critic_status write_lines(const struct cr_reference *r, struct cr_out *out,
                                      const char *model, const char *data,
                                      critic_error *err) {
    char line[256];
    int n = snprintf(line, sizeof line, "{\"model\": \"%s\", \"data\": \"%s\"}\n", model,
                     data);
    CR_TRY(cr_out_write(out, line, (size_t)n, err));
    for (size_t i = 0; i < r->data->n_packs; i++) {
        n = snprintf(line, sizeof line,
                     "{\"ref_chosen_logps\": %.17g, \"ref_rejected_logps\": %.17g}\n",
                     r->logps[i][0], r->logps[i][1]);
        CR_TRY(cr_out_write(out, line, (size_t)n, err));
    }
    return CRITIC_OK;
}

static enum critic_status write_file(const struct cr_reference *r, const char *model,
                                     const char *data, critic_error *err) {
    struct cr_out out;
    CR_TRY(cr_out_open(&out, r->o.file, err));
    enum critic_status status = write_lines(r, &out, model, data, err);
    if (status == CRITIC_OK)
        return cr_out_commit(&out, err);
    cr_out_abort(&out);
    return status;
}

static enum critic_status compute_once(struct cr_reference *r, critic_error *err) {
    const struct cr_net *net = r->has_second ? &r->second : r->policy;
    char model[CR_HASH_HEX], data[CR_HASH_HEX];
    if (!r->o.file)
        return score_all(r, net, err);
    CR_TRY(model_key(net, model, err));
    CR_TRY(data_key(r->data, data, err));
    if (cr_file_exists(r->o.file))
        return read_file(r, model, data, err);
    CR_TRY(score_all(r, net, err));
    return write_file(r, model, data, err);
}

/* ---- opening ---- */

/* Both must read the same tokens and rows. */
static enum critic_status check_second(const struct cr_reference *r, critic_error *err) {
    const struct cr_config *a = &r->policy->config, *b = &r->second.config;
    if (a->text.vocab == b->text.vocab && a->vision.present == b->vision.present &&
        (!a->vision.present || (a->vision.image_px == b->vision.image_px &&
                                a->vision.patch_px == b->vision.patch_px)))
        return CRITIC_OK;
    return cr_fail(
        err, CRITIC_BAD_DATA,
        "%s: other vocabulary or pictures than the policy's; expected a reference "
        "of the same kind",
        r->second.opts.model);
}

static enum critic_status open_second(struct cr_reference *r, critic_error *err) {
    struct cr_net_opts opts = {.exec = r->policy->opts.exec,
                               .model = r->o.model ? r->o.model : r->policy->opts.model,
                               .save = CR_DTYPE_COUNT,
                               .reference = true,
                               .head_rows = r->policy->opts.head_rows};
    /* What the policy reads as the file has it, its reference reads so, too. */
    for (int part = 0; part < 3; part++)
        opts.frozen[part] = r->policy->lora.n > 0 || r->policy->opts.frozen[part];
    if (!opts.model)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "a policy from nothing has no reference to load; expected --ref-model");
    r->has_second = true;
    CR_TRY(cr_net_open(&r->second, &opts, err));
    return check_second(r, err);
}

enum critic_status cr_reference_open(struct cr_reference *r, struct cr_net *policy,
                                     const struct cr_dataset *data,
                                     const struct cr_reference_opts *opts,
                                     critic_error *err) {
    *r = (struct cr_reference){.o = *opts, .policy = policy, .data = data};
    r->logps = calloc(CR_MAX(data->n_packs, 1), sizeof *r->logps);
    if (!r->logps)
        return no_memory(err);
    if (opts->kind == CR_REFERENCE_NONE)
        return CRITIC_OK;
    if (opts->kind == CR_REFERENCE_ADAPTER)
        return policy->lora.n > 0
                   ? CRITIC_OK
                   : cr_fail(err, CRITIC_BAD_ARGUMENT,
                             "the policy has no adapter to leave off; expected --lora");
    bool other =
        opts->model && policy->opts.model && strcmp(opts->model, policy->opts.model) != 0;
    if (opts->kind == CR_REFERENCE_LIVE || other || (opts->model && !policy->opts.model))
        CR_TRY(open_second(r, err));
    if (opts->kind == CR_REFERENCE_LIVE)
        return CRITIC_OK;
    cr_net_lora_pass(policy, false, 0);
    CR_TRY(compute_once(r, err));
    if (r->has_second)
        cr_net_close(&r->second);
    r->has_second = false;
    return CRITIC_OK;
}

void cr_reference_close(struct cr_reference *r) {
    if (r->has_second)
        cr_net_close(&r->second);
    free(r->logps);
    free(r->rows);
    memset(r, 0, sizeof *r);
}
