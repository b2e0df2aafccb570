#include "train/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "io/json.h"
#include "kernel/quant.h"
#include "tensor/adapter.h"
#include "tensor/names.h"

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for the adapter");
}

/* ---- what --lora says ---- */

static enum critic_status bad_flag(const char *text, const char *what,
                                   critic_error *err) {
    return cr_fail(err, CRITIC_BAD_ARGUMENT,
                   "--lora '%.80s': %s; expected r=16,alpha=32[,dropout=0.05]"
                   "[,targets=q_proj+v_proj] or the folder of an adapter",
                   text, what);
}

static bool read_number(const char *text, double min, double max, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= min && *out <= max;
}

static enum critic_status read_pair(struct cr_lora_opts *o, const char *pair,
                                    const char *whole, critic_error *err) {
    double value = 0;
    if (strncmp(pair, "targets=", 8) == 0) {
        snprintf(o->targets, sizeof o->targets, "%s", pair + 8);
        return o->targets[0] ? CRITIC_OK : bad_flag(whole, "targets names nothing", err);
    }
    if (strncmp(pair, "r=", 2) == 0) {
        if (!read_number(pair + 2, 1, 65536, &value) || value != floor(value))
            return bad_flag(whole, "r is no whole number from 1 to 65536", err);
        o->rank = (size_t)value;
        return CRITIC_OK;
    }
    if (strncmp(pair, "alpha=", 6) == 0)
        return read_number(pair + 6, 1e-9, 1e9, &o->alpha)
                   ? CRITIC_OK
                   : bad_flag(whole, "alpha is no positive number", err);
    if (strncmp(pair, "dropout=", 8) == 0)
        return read_number(pair + 8, 0, 0.99, &o->dropout)
                   ? CRITIC_OK
                   : bad_flag(whole, "dropout is not in [0, 0.99]", err);
    return bad_flag(whole, "unknown key", err);
}

enum critic_status cr_lora_opts_parse(struct cr_lora_opts *o, const char *text,
                                      critic_error *err) {
    char parts[512];
    *o = (struct cr_lora_opts){.is_set = true};
    if (!strchr(text, '=')) {
        o->dir = text;
        return CRITIC_OK;
    }
    if (strlen(text) >= sizeof o->targets)
        return bad_flag(text, "too long", err);
    snprintf(parts, sizeof parts, "%s", text);
    for (char *p = parts; p;) {
        char *next = strchr(p, ',');
        if (next)
            *next++ = '\0';
        CR_TRY(read_pair(o, p, text, err));
        p = next;
    }
    if (o->rank == 0)
        return bad_flag(text, "no r", err);
    if (o->alpha <= 0)
        o->alpha = 2.0 * (double)o->rank;
    return CRITIC_OK;
}

/* ---- a new adapter ---- */

static const char *const part_names[] = {[CR_PART_DECODER] = "decoder",
                                         [CR_PART_PROJECTOR] = "projector",
                                         [CR_PART_TOWER] = "tower"};

/* The linear's name without what stands before its last dot: "q_proj". */
static struct cr_str leaf_of(const struct cr_param_slot *slot) {
    static const char weight[] = ".weight";
    size_t end = strlen(slot->name) - (sizeof weight - 1), begin = end;
    while (begin > 0 && slot->name[begin - 1] != '.')
        begin--;
    return (struct cr_str){slot->name + begin, end - begin};
}

static bool is_block(const struct cr_param_slot *slot) {
    return strncmp(slot->name, "layers.", 7) == 0;
}

static bool is_meant(struct cr_str target, const struct cr_param_slot *slot) {
    bool is_head = strcmp(slot->name, "lm_head.weight") == 0;
    if (cr_str_eq_c(target, part_names[slot->part]))
        return !is_head;
    return (is_block(slot) || is_head) && cr_str_eq(target, leaf_of(slot));
}

struct chosen {
    const char *targets;
    bool used[64];
};

static bool wants_target(void *user, const struct cr_param_slot *slot) {
    struct chosen *c = user;
    bool found = false;
    size_t i = 0;
    for (const char *p = c->targets; p; i++) {
        size_t len = strcspn(p, "+");
        if (is_meant((struct cr_str){p, len}, slot)) {
            found = true;
            if (i < CR_COUNT(c->used))
                c->used[i] = true;
        }
        p = p[len] ? p + len + 1 : NULL;
    }
    return found;
}

static enum critic_status check_used(const struct chosen *c, critic_error *err) {
    size_t i = 0;
    for (const char *p = c->targets; p; i++) {
        size_t len = strcspn(p, "+");
        if (i >= CR_COUNT(c->used) || !c->used[i])
            return cr_fail(err, CRITIC_BAD_ARGUMENT,
                           "--lora: no linear is called '%.*s'; expected one of q_proj "
                           "k_proj v_proj o_proj gate_proj up_proj down_proj lm_head "
                           "decoder projector tower",
                           (int)CR_MIN(len, 40), p);
        p = p[len] ? p + len + 1 : NULL;
    }
    return CRITIC_OK;
}

static enum critic_status make_new(struct cr_lora_set *set, const struct cr_lora_opts *o,
                                   struct cr_params *p, const struct cr_config *config,
                                   uint64_t seed, struct cr_arena *arena,
                                   critic_error *err) {
    struct chosen chosen = {.targets = o->targets};
    set->rank = o->rank;
    set->alpha = o->alpha;
    set->dropout = o->dropout;
    CR_TRY(cr_lora_attach(p, config, o->targets[0] ? wants_target : NULL, &chosen,
                          o->rank, (float)(o->alpha / (double)o->rank), CR_F32, arena,
                          err));
    if (o->targets[0])
        CR_TRY(check_used(&chosen, err));
    cr_lora_reset(p, config, seed);
    return CRITIC_OK;
}

/* ---- one that is continued ---- */

static bool wants_linear(void *user, const struct cr_param_slot *slot) {
    const struct cr_adapter_term *term = user;
    size_t len = strlen(term->linear);
    return strncmp(slot->name, term->linear, len) == 0 &&
           strcmp(slot->name + len, ".weight") == 0;
}

static void copy_values(struct cr_tensor *to, const struct cr_tensor *from) {
    for (size_t r = 0; r < to->dim[0]; r++)
        cr_row_to_f32(from->dtype, cr_tensor_row(from, r), cr_tensor_row(to, r),
                      to->dim[1]);
}

/* The i-th linear's term, filled from the adapter's where it is that one's. */
static enum critic_status fill(const struct cr_lora_slot *slot,
                               const struct cr_adapter_term *term, const char *dir,
                               critic_error *err) {
    if (term->a.dim[1] != slot->k || term->b.dim[0] != slot->n)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: the term of '%s' is for a linear (%zu, %zu); the model's is "
                       "(%zu, %zu)",
                       dir, term->linear, term->b.dim[0], term->a.dim[1], slot->n,
                       slot->k);
    copy_values(&slot->lora->a, &term->a);
    copy_values(&slot->lora->b, &term->b);
    return CRITIC_OK;
}

static enum critic_status attach_terms(const struct cr_adapter *a, const char *dir,
                                       struct cr_params *p,
                                       const struct cr_config *config,
                                       struct cr_arena *arena, critic_error *err) {
    for (size_t i = 0; i < a->n; i++)
        CR_TRY(cr_lora_attach(p, config, wants_linear, &a->terms[i], a->terms[i].a.dim[0],
                              (float)a->terms[i].scale, CR_F32, arena, err));
    size_t n = cr_lora_count(p, config);
    if (n != a->n)
        return cr_fail(
            err, CRITIC_BAD_MODEL,
            "%s: %zu of the adapter's %zu terms are for linears that the model "
            "has; expected all",
            dir, n, a->n);
    for (size_t i = 0; i < n; i++) {
        struct cr_lora_slot slot;
        cr_lora_at(p, config, i, &slot);
        CR_TRY(fill(&slot, cr_adapter_find(a, slot.name), dir, err));
    }
    return CRITIC_OK;
}

static enum critic_status make_continued(struct cr_lora_set *set, const char *dir,
                                         struct cr_params *p,
                                         const struct cr_config *config,
                                         struct cr_arena *arena, critic_error *err) {
    struct cr_adapter a;
    enum critic_status status = cr_adapter_open(&a, dir, err);
    if (status == CRITIC_OK)
        status = attach_terms(&a, dir, p, config, arena, err);
    set->rank = a.rank;
    set->alpha = a.alpha;
    set->dropout = a.dropout;
    set->by_root = a.by_root;
    cr_adapter_close(&a);
    return status;
}

/* ---- */

/* Module names of transformers' classes in memory, which PEFT goes by; they are not those of the
 * saved tensors. An adapter beside a GGUF is named for the lmms-lab model. */
static enum critic_status module_name(struct cr_buf *out, const struct cr_config *config,
                                      const char *linear, critic_error *err) {
    enum cr_layout layout = config->layout;
    if (layout == CR_LAYOUT_GGUF)
        layout = config->vision.present ? CR_LAYOUT_LMMS : CR_LAYOUT_TEXT;
    if (layout != CR_LAYOUT_HF)
        return cr_name_to(out, layout, linear, err);
    cr_buf_clear(out);
    const char *prefix = strncmp(linear, "layers.", 7) == 0   ? "model.language_model."
                         : strncmp(linear, "lm_head", 7) == 0 ? ""
                                                              : "model.";
    return cr_buf_printf(out, err, "%s%s", prefix, linear);
}

static enum critic_status list_entries(struct cr_lora_set *set, struct cr_params *p,
                                       const struct cr_config *config,
                                       struct cr_arena *arena, critic_error *err) {
    struct cr_buf name;
    enum critic_status status = CRITIC_OK;
    set->n = cr_lora_count(p, config);
    set->entries = cr_arena_calloc(arena, CR_MAX(set->n, 1), sizeof *set->entries);
    if (!set->entries)
        return no_memory(err);
    cr_buf_init(&name, 4096);
    for (size_t i = 0; i < set->n && status == CRITIC_OK; i++) {
        struct cr_lora_slot slot;
        cr_lora_at(p, config, i, &slot);
        status = module_name(&name, config, slot.name, err);
        if (status != CRITIC_OK)
            break;
        set->entries[i] = (struct cr_lora_entry){
            slot.lora, *slot.lora, cr_arena_strndup(arena, name.data, name.len)};
        if (!set->entries[i].module)
            status = no_memory(err);
    }
    cr_buf_fini(&name);
    return status;
}

enum critic_status cr_lora_set_open(struct cr_lora_set *set,
                                    const struct cr_lora_opts *opts, struct cr_params *p,
                                    const struct cr_config *config, uint64_t seed,
                                    struct cr_arena *arena, critic_error *err) {
    memset(set, 0, sizeof *set);
    CR_TRY(opts->dir ? make_continued(set, opts->dir, p, config, arena, err)
                     : make_new(set, opts, p, config, seed, arena, err));
    return list_entries(set, p, config, arena, err);
}

/* ---- PEFT's configuration ---- */

/* Modules whose rank is not the configuration's. */
static json_t *rank_pattern(const struct cr_lora_set *set) {
    json_t *pattern = json_object();
    for (size_t i = 0; i < set->n; i++) {
        size_t rank = set->entries[i].term.a.dim[0];
        if (rank != set->rank)
            json_object_set_new(pattern, set->entries[i].module,
                                json_integer((json_int_t)rank));
    }
    return pattern;
}

enum critic_status cr_lora_set_config(const struct cr_lora_set *set, const char *base,
                                      struct cr_buf *out, critic_error *err) {
    json_t *modules = json_array();
    for (size_t i = 0; i < set->n; i++)
        json_array_append_new(modules, json_string(set->entries[i].module));
    json_t *root = json_pack(
        "{s:s, s:n, s:s, s:I, s:f, s:f, s:o, s:o, s:s, s:b, s:b, s:b, s:n}", "peft_type",
        "LORA", "task_type", "base_model_name_or_path", base, "r", (json_int_t)set->rank,
        "lora_alpha", set->alpha, "lora_dropout", set->dropout, "target_modules", modules,
        "rank_pattern", rank_pattern(set), "bias", "none", "use_rslora",
        (int)set->by_root, "fan_in_fan_out", 0, "inference_mode", 1, "modules_to_save");
    if (!root)
        return no_memory(err);
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (!text)
        return no_memory(err);
    enum critic_status status = cr_buf_printf(out, err, "%s\n", text);
    free(text);
    return status;
}
