#include "tensor/names.h"

#include <string.h>

#include "base/checked.h"

/* GGUF names without block number. */
static const struct pair {
    const char *gguf;
    const char *canonical;
} whole_names[] = {
    {"token_embd.weight", "embed_tokens.weight"},
    {"output_norm.weight", "norm.weight"},
    {"output.weight", "lm_head.weight"},
    {"mm.0.weight", "multi_modal_projector.linear_1.weight"},
    {"mm.0.bias", "multi_modal_projector.linear_1.bias"},
    {"mm.2.weight", "multi_modal_projector.linear_2.weight"},
    {"mm.2.bias", "multi_modal_projector.linear_2.bias"},
    {"v.patch_embd.weight", "vision_tower.embeddings.patch_embedding.weight"},
    {"v.patch_embd.bias", "vision_tower.embeddings.patch_embedding.bias"},
    {"v.position_embd.weight", "vision_tower.embeddings.position_embedding.weight"},
    {"v.post_ln.weight", "vision_tower.post_layernorm.weight"},
    {"v.post_ln.bias", "vision_tower.post_layernorm.bias"},
    {"model.image_newline", "image_newline"},
    {"v.image_newline", "image_newline"}, /* newer files */
};

/* Behind "blk.N." and "layers.N."; weight or bias follows. */
static const struct pair text_names[] = {
    {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},   {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

/* Behind "v.blk.N." and "vision_tower.encoder.layers.N.". */
static const struct pair vision_names[] = {
    {"ln1", "layer_norm1"},         {"ln2", "layer_norm2"},
    {"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"}, {"attn_out", "self_attn.out_proj"},
    {"ffn_up", "mlp.fc1"},          {"ffn_down", "mlp.fc2"},
};

static const char tower_layers[] = "vision_tower.encoder.layers.";

/* Steps *s over prefix if it starts with it. */
static bool skip(const char **s, const char *prefix) {
    size_t len = strlen(prefix);
    if (strncmp(*s, prefix, len) != 0)
        return false;
    *s += len;
    return true;
}

enum critic_status cr_name_from_safetensors(struct cr_buf *out, const char *name,
                                            critic_error *err) {
    cr_buf_clear(out);
    skip(&name, "model.");
    if (skip(&name, "language_model."))
        skip(&name, "model.");
    if (skip(&name, "vision_tower.")) {
        while (skip(&name, "vision_tower.") || skip(&name, "vision_model.")) {
        }
        return cr_buf_printf(out, err, "vision_tower.%s", name);
    }
    if (skip(&name, "mm_projector.0."))
        return cr_buf_printf(out, err, "multi_modal_projector.linear_1.%s", name);
    if (skip(&name, "mm_projector.2."))
        return cr_buf_printf(out, err, "multi_modal_projector.linear_2.%s", name);
    return cr_buf_append_c(out, name, err);
}

void cr_name_note(struct cr_name_evidence *e, const char *name) {
    skip(&name, "model.");
    if (strncmp(name, "mm_projector.", 13) == 0 ||
        strncmp(name, "vision_tower.vision_tower.", 26) == 0)
        e->lmms = true;
    if (strncmp(name, "multi_modal_projector.", 22) == 0 ||
        strncmp(name, "language_model.", 15) == 0)
        e->hf = true;
}

/* "12.attn_q.weight": the number, then *stem and *leaf ("weight"); false for other shapes. */
static bool split_block(const char *s, struct cr_str *number, struct cr_str *stem,
                        const char **leaf) {
    size_t digits = strspn(s, "0123456789");
    const char *dot = strrchr(s, '.');
    if (digits == 0 || s[digits] != '.' || dot <= s + digits)
        return false;
    *number = (struct cr_str){s, digits};
    *stem = (struct cr_str){s + digits + 1, (size_t)(dot - (s + digits + 1))};
    *leaf = dot + 1;
    return true;
}

static const char *swap_ffn(const char *canonical) {
    if (strcmp(canonical, "mlp.fc1") == 0)
        return "mlp.fc2";
    return strcmp(canonical, "mlp.fc2") == 0 ? "mlp.fc1" : canonical;
}

enum critic_status cr_name_from_gguf(struct cr_buf *out, const char *name,
                                     bool ffn_swapped, critic_error *err) {
    cr_buf_clear(out);
    for (size_t i = 0; i < CR_COUNT(whole_names); i++)
        if (strcmp(whole_names[i].gguf, name) == 0)
            return cr_buf_append_c(out, whole_names[i].canonical, err);
    const char *rest = name;
    const char *leaf;
    struct cr_str number, stem;
    bool vision = skip(&rest, "v.blk.");
    if (!vision && !skip(&rest, "blk."))
        return cr_buf_append_c(out, name, err);
    const struct pair *pairs = vision ? vision_names : text_names;
    size_t n = vision ? CR_COUNT(vision_names) : CR_COUNT(text_names);
    if (!split_block(rest, &number, &stem, &leaf))
        return cr_buf_append_c(out, name, err);
    for (size_t i = 0; i < n; i++)
        if (cr_str_eq_c(stem, pairs[i].gguf))
            return cr_buf_printf(
                out, err, "%s%.*s.%s.%s", vision ? tower_layers : "layers.",
                (int)number.len, number.data,
                ffn_swapped ? swap_ffn(pairs[i].canonical) : pairs[i].canonical, leaf);
    return cr_buf_append_c(out, name, err);
}

bool cr_name_is_vision(const char *canonical) {
    return strncmp(canonical, "vision_tower.", 13) == 0 ||
           strncmp(canonical, "multi_modal_projector.", 22) == 0 ||
           strcmp(canonical, "image_newline") == 0;
}

static enum critic_status to_gguf(struct cr_buf *out, const char *canonical,
                                  critic_error *err) {
    for (size_t i = 0; i < CR_COUNT(whole_names); i++)
        if (strcmp(whole_names[i].canonical, canonical) == 0)
            return cr_buf_append_c(out, whole_names[i].gguf, err);
    const char *rest = canonical;
    const char *leaf;
    struct cr_str number, stem;
    bool vision = skip(&rest, tower_layers);
    const struct pair *pairs = vision ? vision_names : text_names;
    size_t n = vision ? CR_COUNT(vision_names) : CR_COUNT(text_names);
    if ((vision || skip(&rest, "layers.")) && split_block(rest, &number, &stem, &leaf))
        for (size_t i = 0; i < n; i++)
            if (cr_str_eq_c(stem, pairs[i].canonical))
                return cr_buf_printf(out, err, "%s%.*s.%s.%s", vision ? "v.blk." : "blk.",
                                     (int)number.len, number.data, pairs[i].gguf, leaf);
    return cr_fail(err, CRITIC_UNSUPPORTED, "tensor '%s' has no name in GGUF", canonical);
}

enum critic_status cr_name_to(struct cr_buf *out, enum cr_layout layout,
                              const char *canonical, critic_error *err) {
    const char *rest = canonical;
    cr_buf_clear(out);
    if (layout == CR_LAYOUT_GGUF)
        return to_gguf(out, canonical, err);
    if (skip(&rest, "vision_tower."))
        return cr_buf_printf(out, err, "%s%s",
                             layout == CR_LAYOUT_LMMS
                                 ? "model.vision_tower.vision_tower.vision_model."
                                 : "vision_tower.",
                             rest);
    if (skip(&rest, "multi_modal_projector.linear_1."))
        return layout == CR_LAYOUT_LMMS
                   ? cr_buf_printf(out, err, "model.mm_projector.0.%s", rest)
                   : cr_buf_append_c(out, canonical, err);
    if (skip(&rest, "multi_modal_projector.linear_2."))
        return layout == CR_LAYOUT_LMMS
                   ? cr_buf_printf(out, err, "model.mm_projector.2.%s", rest)
                   : cr_buf_append_c(out, canonical, err);
    if (strcmp(canonical, "image_newline") == 0)
        return cr_buf_append_c(
            out, layout == CR_LAYOUT_LMMS ? "model.image_newline" : "image_newline", err);
    const char *prefix = layout == CR_LAYOUT_HF ? "language_model." : "";
    const char *model = strncmp(canonical, "lm_head.", 8) == 0 ? "" : "model.";
    return cr_buf_printf(out, err, "%s%s%s", prefix, model, canonical);
}
