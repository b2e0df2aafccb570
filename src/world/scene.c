#include "world/scene.h"

#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "io/json.h"

static const char *const split_names[CR_N_SPLITS] = {"train", "val", "test", "novel",
                                                     "crowded"};

const char *cr_split_name(enum cr_split split) {
    return split_names[split];
}

bool cr_split_parse(struct cr_str text, enum cr_split *out) {
    for (int i = 0; i < CR_N_SPLITS; i++)
        if (cr_str_eq_c(text, split_names[i])) {
            *out = (enum cr_split)i;
            return true;
        }
    return false;
}

/* circle orange, square purple, triangle white, star black, ring green, cross yellow */
static const uint8_t novel_colour[CR_N_SHAPES] = {6, 5, 8, 7, 2, 4};

bool cr_is_novel_pair(unsigned shape, unsigned colour) {
    return shape >= 1 && shape <= CR_N_SHAPES && novel_colour[shape - 1] == colour;
}

uint64_t cr_scene_key(const struct cr_scene *s) {
    uint64_t h = cr_hash_u64(s->side);
    for (unsigned i = 0; i < s->n; i++) {
        const struct cr_object *o = &s->objects[i];
        uint64_t x = o->cell | (uint64_t)o->shape << 8 | (uint64_t)o->colour << 16 |
                     (uint64_t)o->size << 24 | (uint64_t)(o->digit + 1) << 32;
        h = cr_hash_u64(h ^ x);
    }
    return h;
}

enum cr_split cr_scene_split(const struct cr_scene *s) {
    for (unsigned i = 0; i < s->n; i++)
        if (cr_is_novel_pair(s->objects[i].shape, s->objects[i].colour))
            return CR_NOVEL;
    if (s->n > 5)
        return CR_CROWDED;
    uint64_t k = cr_scene_key(s) % 20;
    return k == 0 ? CR_VAL : k <= 2 ? CR_TEST : CR_TRAIN;
}

const struct cr_object *cr_scene_at(const struct cr_scene *s, unsigned cell) {
    for (unsigned i = 0; i < s->n; i++)
        if (s->objects[i].cell == cell)
            return &s->objects[i];
    return NULL;
}

/* ---- drawing -------------------------------------------------------------------------------- */

/* Which attributes the objects of a scene may take. With few of them counts above one and
 * objects that are told apart by one attribute are common. */
struct palette {
    uint8_t shapes[CR_N_SHAPES], colours[CR_N_COLOURS];
    unsigned n_shapes, n_colours;
};

static void draw_some(struct cr_rng *r, uint8_t *out, unsigned n, unsigned keep) {
    for (unsigned i = 0; i < n; i++)
        out[i] = (uint8_t)(i + 1);
    for (unsigned i = 0; i < keep; i++) {
        unsigned k = i + cr_draw(r, n - i);
        uint8_t x = out[i];
        out[i] = out[k];
        out[k] = x;
    }
}

static void draw_palette(struct cr_rng *r, struct palette *p) {
    p->n_shapes = CR_N_SHAPES;
    p->n_colours = CR_N_COLOURS;
    if (cr_chance(r, 40)) {
        p->n_shapes = 2 + cr_draw(r, 2);
        p->n_colours = 2 + cr_draw(r, 2);
    }
    draw_some(r, p->shapes, CR_N_SHAPES, p->n_shapes);
    draw_some(r, p->colours, CR_N_COLOURS, p->n_colours);
}

static void draw_look(struct cr_rng *r, struct cr_object *o) {
    int reach = o->size == 2 ? 8 : 16; /* +-2 px large, +-4 px small, in quarters */
    o->dx = (int8_t)((int)cr_draw(r, (unsigned)(2 * reach + 1)) - reach);
    o->dy = (int8_t)((int)cr_draw(r, (unsigned)(2 * reach + 1)) - reach);
    o->variant = (uint8_t)cr_draw(r, 3);
    for (int c = 0; c < 3; c++)
        o->tint[c] = (int8_t)((int)cr_draw(r, 25) - 12);
}

static void draw_pair(struct cr_rng *r, const struct palette *p, bool novel,
                      struct cr_object *o) {
    o->shape = p->shapes[cr_draw(r, p->n_shapes)];
    o->colour = p->colours[cr_draw(r, p->n_colours)];
    if (novel)
        o->colour = novel_colour[o->shape - 1];
    while (!novel && cr_is_novel_pair(o->shape, o->colour)) {
        o->shape = (uint8_t)(1 + cr_draw(r, CR_N_SHAPES));
        o->colour = p->colours[cr_draw(r, p->n_colours)];
    }
}

/* All of one colour, or of one shape, but for one object. */
static void make_odd(struct cr_rng *r, struct cr_scene *s) {
    bool by_colour = cr_chance(r, 50);
    unsigned odd = cr_draw(r, s->n);
    struct cr_object *first = &s->objects[odd == 0 ? 1 : 0];
    for (unsigned i = 0; i < s->n; i++) {
        struct cr_object *o = &s->objects[i];
        unsigned want = by_colour ? first->colour : first->shape;
        do {
            unsigned x = want;
            while (i == odd && x == want)
                x = 1 + cr_draw(r, by_colour ? CR_N_COLOURS : CR_N_SHAPES);
            *(by_colour ? &o->colour : &o->shape) = (uint8_t)x;
            if (cr_is_novel_pair(o->shape, o->colour))
                *(by_colour ? &o->shape : &o->colour) =
                    (uint8_t)(1 + cr_draw(r, by_colour ? CR_N_SHAPES : CR_N_COLOURS));
        } while (cr_is_novel_pair(o->shape, o->colour));
    }
}

static unsigned draw_count(struct cr_rng *r, enum cr_split split) {
    static const unsigned weights[5] = {8, 17, 25, 27, 23};
    return split == CR_CROWDED ? 6 + cr_draw(r, 3) : 1 + cr_draw_weighted(r, weights, 5);
}

static void draw_once(struct cr_rng *r, struct cr_scene *s, enum cr_split split,
                      unsigned large_percent) {
    struct palette palette;
    uint8_t cells[CR_MAX_CELLS];
    memset(s, 0, sizeof *s);
    s->side = cr_chance(r, large_percent) ? 4 : 3;
    s->n = (uint8_t)draw_count(r, split);
    unsigned n_cells = (unsigned)s->side * s->side;
    for (unsigned i = 0; i < n_cells; i++)
        cells[i] = (uint8_t)i;
    /* A uniform subset of cells in rising order. */
    for (unsigned i = 0, left = s->n, k = 0; left > 0; i++)
        if (cr_draw(r, n_cells - i) < left) {
            s->objects[k++].cell = cells[i];
            left--;
        }
    draw_palette(r, &palette);
    unsigned novel_at = split == CR_NOVEL ? cr_draw(r, s->n) : s->n;
    for (unsigned i = 0; i < s->n; i++) {
        struct cr_object *o = &s->objects[i];
        bool novel = i == novel_at || (split == CR_NOVEL && cr_chance(r, 30));
        draw_pair(r, &palette, novel, o);
        o->size = (uint8_t)(1 + cr_draw(r, 2));
        o->digit = (int8_t)(cr_chance(r, 50) ? (int)cr_draw(r, 10) : CR_NO_DIGIT);
    }
    if (split != CR_NOVEL && s->n >= 3 && cr_chance(r, 12))
        make_odd(r, s);
    for (unsigned i = 0; i < s->n; i++)
        draw_look(r, &s->objects[i]);
    s->background = (uint8_t)cr_draw(r, 8);
    if (cr_chance(r, 30)) {
        int amount = 10 + (int)cr_draw(r, 31);
        s->gradient[cr_draw(r, 2)] = (int8_t)(cr_chance(r, 50) ? amount : -amount);
    }
    s->shift[0] = (int8_t)((int)cr_draw(r, 9) - 4);
    s->shift[1] = (int8_t)((int)cr_draw(r, 9) - 4);
}

void cr_scene_draw(struct cr_scene *out, enum cr_split split, uint64_t seed,
                   uint64_t index, unsigned large_percent) {
    struct cr_rng r;
    cr_rng_seed_at(&r, seed ^ cr_hash_u64(0x5ce4e + (uint64_t)split), index);
    do
        draw_once(&r, out, split, large_percent);
    while (cr_scene_split(out) != split);
}

/* ---- as JSON ---------------------------------------------------------------------------------- */

static enum critic_status write_object(struct cr_buf *out, const struct cr_scene *s,
                                       const struct cr_object *o, critic_error *err) {
    CR_TRY(
        cr_buf_printf(out, err,
                      "{\"cell\":%d,\"place\":\"%s\",\"shape\":\"%s\",\"colour\":\"%s\","
                      "\"size\":\"%s\",",
                      o->cell, cr_place_name(s->side, o->cell), cr_shape_name(o->shape),
                      cr_colour_name(o->colour), cr_size_name(o->size)));
    if (o->digit >= 0)
        CR_TRY(cr_buf_printf(out, err, "\"digit\":%d,", o->digit));
    return cr_buf_printf(out, err, "\"look\":[%d,%d,%d,%d,%d,%d]}", o->dx, o->dy,
                         o->variant, o->tint[0], o->tint[1], o->tint[2]);
}

enum critic_status cr_scene_write(struct cr_buf *out, const struct cr_scene *s,
                                  critic_error *err) {
    CR_TRY(cr_buf_printf(out, err,
                         "\"grid\":[%d,%d],\"background\":%d,\"gradient\":[%d,%d],"
                         "\"shift\":[%d,%d],\"objects\":[",
                         s->side, s->side, s->background, s->gradient[0], s->gradient[1],
                         s->shift[0], s->shift[1]));
    for (unsigned i = 0; i < s->n; i++) {
        if (i > 0)
            CR_TRY(cr_buf_append_c(out, ",", err));
        CR_TRY(write_object(out, s, &s->objects[i], err));
    }
    return cr_buf_append_c(out, "]", err);
}

static bool int_in(const json_t *v, json_int_t min, json_int_t max, int *out) {
    json_int_t x = json_integer_value(v);
    if (!json_is_integer(v) || x < min || x > max)
        return false;
    *out = (int)x;
    return true;
}

/* A class by its name; 0 where the name is unknown. */
static unsigned named(const json_t *object, const char *key,
                      unsigned (*read)(struct cr_str, size_t *)) {
    const char *text = json_string_value(json_object_get(object, key));
    size_t at = 0;
    if (!text)
        return 0;
    unsigned x = read(cr_str_of(text), &at);
    return text[at] == '\0' ? x : 0;
}

static bool read_object(struct cr_object *o, const json_t *j, unsigned side,
                        int previous) {
    const json_t *look = json_object_get(j, "look");
    const json_t *digit = json_object_get(j, "digit");
    int v[8] = {0};
    v[7] = CR_NO_DIGIT;
    if (!int_in(json_object_get(j, "cell"), previous + 1, (int)(side * side) - 1, &v[0]))
        return false;
    for (size_t i = 0; i < 6; i++)
        if (look && !int_in(json_array_get(look, i), -127, 127, &v[1 + i]))
            return false;
    if (digit && !int_in(digit, 0, 9, &v[7]))
        return false;
    *o = (struct cr_object){.cell = (uint8_t)v[0],
                            .shape = (uint8_t)named(j, "shape", cr_read_shape),
                            .colour = (uint8_t)named(j, "colour", cr_read_colour),
                            .size = (uint8_t)named(j, "size", cr_read_size),
                            .digit = (int8_t)v[7],
                            .dx = (int8_t)v[1],
                            .dy = (int8_t)v[2],
                            .variant = (uint8_t)v[3],
                            .tint = {(int8_t)v[4], (int8_t)v[5], (int8_t)v[6]}};
    return o->shape && o->colour && o->size && v[3] >= 0 && v[3] <= 2;
}

/* What is wrong, or NULL. */
static const char *fill_scene(struct cr_scene_line *out, const json_t *root) {
    struct cr_scene *s = &out->scene;
    const json_t *grid = json_object_get(root, "grid");
    const json_t *objects = json_object_get(root, "objects");
    const char *id = json_string_value(json_object_get(root, "id"));
    const char *image = json_string_value(json_object_get(root, "image"));
    const char *split = json_string_value(json_object_get(root, "split"));
    int side, other, v;
    if (!id || strlen(id) >= sizeof out->id || !image ||
        strlen(image) >= sizeof out->image)
        return "'id' or 'image' is missing or too long";
    memcpy(out->id, id, strlen(id) + 1);
    memcpy(out->image, image, strlen(image) + 1);
    if (!split || !cr_split_parse(cr_str_of(split), &out->split))
        return "'split' is none of train, val, test, novel, crowded";
    out->index = (uint64_t)json_integer_value(json_object_get(root, "index"));
    if (!int_in(json_array_get(grid, 0), 3, 4, &side) ||
        !int_in(json_array_get(grid, 1), side, side, &other))
        return "'grid' is not [3, 3] or [4, 4]";
    if (!json_is_array(objects) || json_array_size(objects) > CR_MAX_OBJECTS)
        return "'objects' is no list of at most 8";
    s->side = (uint8_t)side;
    s->n = (uint8_t)json_array_size(objects);
    int previous = -1;
    for (unsigned i = 0; i < s->n; i++) {
        if (!read_object(&s->objects[i], json_array_get(objects, i), s->side, previous))
            return "an object is malformed, or objects are not in order of cells";
        previous = s->objects[i].cell;
    }
    if (int_in(json_object_get(root, "background"), 0, 7, &v))
        s->background = (uint8_t)v;
    for (size_t i = 0; i < 2; i++) {
        if (int_in(json_array_get(json_object_get(root, "gradient"), i), -100, 100, &v))
            s->gradient[i] = (int8_t)v;
        if (int_in(json_array_get(json_object_get(root, "shift"), i), -4, 4, &v))
            s->shift[i] = (int8_t)v;
    }
    return NULL;
}

enum critic_status cr_scene_read(struct cr_scene_line *out, struct cr_str line,
                                 const char *where, critic_error *err) {
    json_t *root;
    memset(out, 0, sizeof *out);
    CR_TRY(cr_json_parse(&root, line.data, line.len, where, err));
    const char *fault = fill_scene(out, root);
    json_decref(root);
    if (fault)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: %s; expected a line that 'critic data world' wrote", where,
                       fault);
    return CRITIC_OK;
}
