/* Picture settings in config.json and the processor files (config_parts.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "io/json.h"
#include "model/config_parts.h"

/* "(1x1),...,(6x6)": every grid from the first to the last, times the tile. */
static enum critic_status read_compact_pinpoints(struct cr_picture_config *p,
                                                 struct cr_str text, size_t tile,
                                                 const char *where, critic_error *err) {
    unsigned first[2], last[2];
    char copy[128], end;
    const char *tail = NULL;
    if (text.len < sizeof copy) {
        memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        tail = strrchr(copy, '(');
    }
    if (!tail || strspn(copy, "0123456789x(),. ") != text.len ||
        sscanf(copy, "(%3ux%3u%c", &first[0], &first[1], &end) != 3 || end != ')' ||
        sscanf(tail, "(%3ux%3u%c", &last[0], &last[1], &end) != 3 || end != ')' ||
        first[0] > last[0] || first[1] > last[1])
        return cr_fail(
            err, CRITIC_UNSUPPORTED,
            "%s: 'image_grid_pinpoints' is '%.*s'; expected a list of pairs or "
            "\"(AxB),...,(CxD)\"",
            where, (int)CR_MIN(text.len, 64), text.data);
    for (size_t i = first[0]; i <= last[0]; i++)
        for (size_t j = first[1]; j <= last[1]; j++)
            CR_TRY(cr_config_add_pinpoint(p, i * tile, j * tile, tile, where, err));
    return CRITIC_OK;
}

enum critic_status cr_config_pinpoints(struct cr_picture_config *p, struct cr_section s,
                                       size_t tile, bool height_first,
                                       critic_error *err) {
    json_t *value = json_object_get(s.object, "image_grid_pinpoints");
    p->n_pinpoints = 0;
    if (json_is_string(value))
        return read_compact_pinpoints(
            p, (struct cr_str){json_string_value(value), json_string_length(value)}, tile,
            s.where, err);
    CR_TRY(cr_json_array(s.object, "image_grid_pinpoints", &value, s.where, err));
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *pair = json_array_get(value, i);
        json_int_t a = json_integer_value(json_array_get(pair, 0));
        json_int_t b = json_integer_value(json_array_get(pair, 1));
        if (json_array_size(pair) != 2 || a < 1 || b < 1)
            return cr_fail(
                err, CRITIC_BAD_FILE,
                "%s: entry %zu of 'image_grid_pinpoints' is not a pair of sizes", s.where,
                i);
        CR_TRY(cr_config_add_pinpoint(p, (size_t)(height_first ? b : a),
                                      (size_t)(height_first ? a : b), tile, s.where,
                                      err));
    }
    return CRITIC_OK;
}

enum critic_status cr_config_default_pinpoints(struct cr_picture_config *p, size_t tile,
                                               const char *where, critic_error *err) {
    for (size_t i = 1; i <= 6; i++)
        for (size_t j = 1; j <= 6; j++) /* height outer, as there */
            CR_TRY(cr_config_add_pinpoint(p, j * 384, i * 384, tile, where, err));
    return CRITIC_OK;
}

static enum critic_status get_triple(struct cr_section s, const char *key, float out[3],
                                     critic_error *err) {
    json_t *list;
    CR_TRY(cr_json_array(s.object, key, &list, s.where, err));
    if (!list)
        return CRITIC_OK;
    for (size_t i = 0; i < 3; i++) {
        json_t *item = json_array_get(list, i);
        if (json_array_size(list) != 3 || !json_is_number(item))
            return cr_fail(err, CRITIC_BAD_FILE,
                           "%s: '%s' is not a list of three numbers", s.where, key);
        out[i] = (float)json_number_value(item);
    }
    return CRITIC_OK;
}

static enum critic_status check_tile_size(struct cr_section s, size_t tile,
                                          critic_error *err) {
    static const char *const keys[] = {"height", "width", "shortest_edge"};
    json_t *size = json_object_get(s.object, "size");
    for (size_t i = 0; i < CR_COUNT(keys); i++) {
        size_t side = tile;
        if (json_is_object(size))
            CR_TRY(cr_json_size(size, keys[i], 1, 16384, &side, s.where, err));
        if (side != tile)
            return cr_fail(
                err, CRITIC_UNSUPPORTED,
                "%s: 'size' is %zu and the tower's image_size %zu; they must be "
                "equal",
                s.where, side, tile);
    }
    return CRITIC_OK;
}

enum critic_status cr_config_processor(struct cr_config *c, struct cr_section s,
                                       critic_error *err) {
    /* LlavaOnevisionImageProcessor's class defaults are CLIP's. */
    static const float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
    static const float std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    size_t resample = 3;
    double rescale = 1.0 / 255;
    memcpy(c->picture.mean, mean, sizeof mean);
    memcpy(c->picture.std, std, sizeof std);
    CR_TRY(get_triple(s, "image_mean", c->picture.mean, err));
    CR_TRY(get_triple(s, "image_std", c->picture.std, err));
    CR_TRY(cr_section_need_true(s, "do_resize", err));
    CR_TRY(cr_section_need_true(s, "do_rescale", err));
    CR_TRY(cr_section_need_true(s, "do_normalize", err));
    CR_TRY(cr_section_need_true(s, "do_pad", err));
    CR_TRY(cr_section_need_false(s, "do_center_crop", err));
    CR_TRY(cr_json_size(s.object, "resample", 0, 9, &resample, s.where, err));
    if (resample != 3)
        return cr_section_unsupported(s, "resample", "not 3", "3 (bicubic)", err);
    CR_TRY(cr_json_double(s.object, "rescale_factor", &rescale, s.where, err));
    if (fabs(rescale * 255 - 1) > 1e-12)
        return cr_section_unsupported(s, "rescale_factor", "not 1/255", "1/255", err);
    CR_TRY(check_tile_size(s, c->vision.image_px, err));
    if (!json_object_get(s.object, "image_grid_pinpoints"))
        return CRITIC_OK;
    struct cr_picture_config other = {.n_pinpoints = 0};
    CR_TRY(cr_config_pinpoints(&other, s, c->vision.image_px, true, err));
    if (other.n_pinpoints != c->picture.n_pinpoints ||
        memcmp(other.pinpoints, c->picture.pinpoints,
               other.n_pinpoints * sizeof other.pinpoints[0]) != 0)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "%s: 'image_grid_pinpoints' differs from that of config.json",
                       s.where);
    return CRITIC_OK;
}
