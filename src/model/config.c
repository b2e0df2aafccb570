#include "model/config.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "model/config_parts.h"

/* The defaults of a layout that says nothing. */
static void set_defaults(struct cr_config *c, enum cr_layout layout) {
    memset(c, 0, sizeof *c);
    c->layout = layout;
    c->projector_act = CR_ACT_GELU_ERF;
    c->picture.aspect = CR_ASPECT_SQUARE;
    c->picture.rounding = layout == CR_LAYOUT_HF ? CR_ROUND_HF : CR_ROUND_LMMS;
    for (int i = 0; i < 3; i++)
        c->picture.mean[i] = c->picture.std[i] = 0.5f;
    c->image_token_id = c->bos_id = c->pad_id = -1;
    c->generation = (struct cr_generation_config){
        .repetition_penalty = 1, .temperature = 1, .top_p = 1};
    c->system_turn = layout != CR_LAYOUT_HF;
}

enum critic_status cr_config_add_template(struct cr_config *c, struct cr_str name,
                                          const char *where, const char *key,
                                          critic_error *err) {
    struct cr_template_names *t = &c->templates;
    if (name.len == 0 || name.len >= sizeof t->name[0] || memchr(name.data, 0, name.len))
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: '%s' holds a name of %zu bytes; expected 1 to %zu", where,
                       key, name.len, sizeof t->name[0] - 1);
    if (t->n == CR_MAX_TEMPLATES)
        return cr_fail(err, CRITIC_BAD_MODEL, "%s: '%s' names more than %d templates",
                       where, key, CR_MAX_TEMPLATES);
    memcpy(t->name[t->n], name.data, name.len);
    t->name[t->n++][name.len] = '\0';
    return CRITIC_OK;
}

enum critic_status cr_config_add_pinpoint(struct cr_picture_config *p, size_t width,
                                          size_t height, size_t tile, const char *where,
                                          critic_error *err) {
    if (p->n_pinpoints == CR_MAX_PINPOINTS)
        return cr_fail(err, CRITIC_UNSUPPORTED,
                       "%s: 'image_grid_pinpoints' has more than %d entries", where,
                       CR_MAX_PINPOINTS);
    if (width == 0 || height == 0 || width % tile != 0 || height % tile != 0 ||
        width / tile > 64 || height / tile > 64)
        return cr_fail(
            err, CRITIC_UNSUPPORTED,
            "%s: 'image_grid_pinpoints' holds %zu x %zu; expected 1 to 64 tiles of "
            "%zu a side",
            where, width, height, tile);
    p->pinpoints[p->n_pinpoints][0] = width;
    p->pinpoints[p->n_pinpoints][1] = height;
    p->n_pinpoints++;
    return CRITIC_OK;
}

enum critic_status cr_config_set_aspect(struct cr_picture_config *p, struct cr_str text,
                                        const char *where, const char *key,
                                        critic_error *err) {
    static const char max[] = "anyres_max_";
    const size_t prefix = sizeof max - 1;
    size_t n = 0;
    bool known = true;
    if (cr_str_eq_c(text, "anyres")) {
        p->aspect = CR_ASPECT_ANYRES;
    } else if (cr_str_eq_c(text, "pad")) {
        p->aspect = CR_ASPECT_PAD;
    } else if (cr_str_eq_c(text, "square")) {
        p->aspect = CR_ASPECT_SQUARE;
    } else if (text.len > prefix && text.len <= prefix + 4 &&
               memcmp(text.data, max, prefix) == 0) {
        p->aspect = CR_ASPECT_ANYRES;
        for (size_t i = prefix; i < text.len && known; i++) {
            known = text.data[i] >= '0' && text.data[i] <= '9';
            n = n * 10 + (size_t)(text.data[i] - '0');
        }
        known = known && n > 0;
    } else {
        known = false;
    }
    if (!known)
        return cr_fail(
            err, CRITIC_UNSUPPORTED,
            "%s: '%s' is '%.*s'; known are anyres_max_N, anyres, pad and square", where,
            key, (int)CR_MIN(text.len, 64), text.data);
    p->max_tiles = n;
    return CRITIC_OK;
}

static enum critic_status out_of_range(const char *dir, const char *what,
                                       const char *expected, critic_error *err) {
    return cr_fail(err, CRITIC_BAD_MODEL, "%s: %s in its configuration; expected %s", dir,
                   what, expected);
}

/* low < value < high */
static enum critic_status check_between(const char *dir, const char *key, double value,
                                        double low, double high, critic_error *err) {
    if (value > low && value < high)
        return CRITIC_OK;
    return cr_fail(err, CRITIC_BAD_MODEL,
                   "%s: '%s' is %g in its configuration; expected above %g and below %g",
                   dir, key, value, low, high);
}

static enum critic_status check_divides(const char *dir, const char *part_key,
                                        size_t part, const char *whole_key, size_t whole,
                                        critic_error *err) {
    if (whole % part == 0)
        return CRITIC_OK;
    return cr_fail(err, CRITIC_BAD_MODEL,
                   "%s: '%s' %zu does not divide %s %zu in its configuration", dir,
                   part_key, part, whole_key, whole);
}

/* Sizes that later code may rely on without asking again. */
static enum critic_status check(const struct cr_config *c, const char *dir,
                                critic_error *err) {
    const struct cr_decoder_config *t = &c->text;
    const struct cr_vision_config *v = &c->vision;
    CR_TRY(check_divides(dir, "num_key_value_heads", t->n_kv_heads,
                         "'num_attention_heads'", t->n_heads, err));
    if (t->head_dim % 2 != 0)
        return out_of_range(dir, "the head width is odd", "an even one (rotary pairs)",
                            err);
    CR_TRY(check_between(dir, "rms_norm_eps", t->rms_eps, 0, 1, err));
    CR_TRY(check_between(dir, "rope_theta", t->rope_theta, 1, 1e12, err));
    if (!v->present)
        return CRITIC_OK;
    CR_TRY(check_divides(dir, "num_attention_heads", v->n_heads,
                         "the tower's 'hidden_size'", v->width, err));
    if (v->patch_px > v->image_px)
        return out_of_range(dir, "patch_size is larger than image_size",
                            "at least one patch", err);
    CR_TRY(check_between(dir, "layer_norm_eps", v->layer_norm_eps, 0, 1, err));
    if (c->picture.aspect == CR_ASPECT_ANYRES && c->picture.n_pinpoints == 0)
        return out_of_range(dir, "no image_grid_pinpoints", "some, for anyres", err);
    for (int i = 0; i < 3; i++)
        if (!(c->picture.std[i] > 0) || !isfinite(c->picture.mean[i]) ||
            !isfinite(c->picture.std[i]))
            return out_of_range(dir, "image_mean or image_std is out of range",
                                "finite numbers, std above 0", err);
    return CRITIC_OK;
}

enum critic_status cr_config_read(struct cr_config *out, const struct cr_store *store,
                                  critic_error *err) {
    set_defaults(out, cr_store_layout(store));
    enum critic_status status = cr_store_gguf(store)
                                    ? cr_config_from_gguf(out, store, err)
                                    : cr_config_from_json(out, cr_store_dir(store), err);
    if (status == CRITIC_OK)
        status = check(out, cr_store_dir(store), err);
    if (status != CRITIC_OK)
        memset(out, 0, sizeof *out);
    return status;
}

enum critic_status cr_config_read_dir(struct cr_config *out, const char *dir,
                                      critic_error *err) {
    enum cr_layout layout;
    memset(out, 0, sizeof *out);
    CR_TRY(cr_config_layout(&layout, dir, err));
    set_defaults(out, layout);
    enum critic_status status = cr_config_from_json(out, dir, err);
    if (status == CRITIC_OK)
        status = check(out, dir, err);
    if (status != CRITIC_OK)
        memset(out, 0, sizeof *out);
    return status;
}
