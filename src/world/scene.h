/* Scenes: what is in a picture, drawn from a seed. A scene is the truth that every question,
 * claim and score is measured against (docs/micro-world.md). Integers only, so the same seed
 * gives the same scene on every machine. */
#ifndef CR_WORLD_SCENE_H
#define CR_WORLD_SCENE_H

#include "world/words.h"

enum { CR_MAX_OBJECTS = 8, CR_NO_DIGIT = -1 };

struct cr_object {
    uint8_t cell;
    uint8_t shape, colour, size; /* classes of words.h */
    int8_t digit;                /* 0..9 or CR_NO_DIGIT */
    /* How it is drawn, no part of the truth: */
    int8_t dx, dy;   /* quarter pixels of a 32-pixel cell */
    uint8_t variant; /* of the radius, 0..2 */
    int8_t tint[3];  /* added to the colour's R, G, B */
};

/* Objects stand in order of their cells, at most one a cell. */
struct cr_scene {
    uint8_t side; /* 3 or 4 cells along both axes */
    uint8_t n;
    struct cr_object objects[CR_MAX_OBJECTS];
    uint8_t background; /* 0..7 */
    int8_t
        gradient[2]; /* change of brightness over the picture, downwards and rightwards */
    int8_t shift[2]; /* of the whole picture: x, y in quarter pixels */
};

enum cr_split { CR_TRAIN, CR_VAL, CR_TEST, CR_NOVEL, CR_CROWDED, CR_N_SPLITS };
const char *cr_split_name(enum cr_split split);
bool cr_split_parse(struct cr_str text, enum cr_split *out);

/* Colour-shape pairs that no train, val or test picture shows, nor any text of those splits
 * names; every `novel` picture has one. One for each shape. */
bool cr_is_novel_pair(unsigned shape, unsigned colour);

/* Hash of the truth alone: side, and each object's cell, shape, colour, size and digit. */
uint64_t cr_scene_key(const struct cr_scene *s);
/* The split that a scene belongs to: novel where it has a novel pair, crowded where it has
 * more than five objects, else by cr_scene_key % 20: 0 val, 1 and 2 test, the rest train. Two
 * splits never share a scene. */
enum cr_split cr_scene_split(const struct cr_scene *s);

/* How many of a hundred scenes of train, val and test have a 4x4 grid. */
enum { CR_LARGE_PERCENT = 12 };

/* Scene `index` of the split: a function of its arguments alone. large_percent: share of
 * 4x4 grids. */
void cr_scene_draw(struct cr_scene *out, enum cr_split split, uint64_t seed,
                   uint64_t index, unsigned large_percent);

/* The object in a cell, NULL where it is empty. */
const struct cr_object *cr_scene_at(const struct cr_scene *s, unsigned cell);

/* Appends {"cell":…}-style members of a scenes.jsonl line; see docs/micro-world.md. */
enum critic_status cr_scene_write(struct cr_buf *out, const struct cr_scene *s,
                                  critic_error *err);
/* Reads a line of scenes.jsonl back. `where` is "file:line".
 * Errors: CRITIC_BAD_DATA naming the key. */
struct cr_scene_line {
    struct cr_scene scene;
    enum cr_split split;
    uint64_t index;
    char id[48];
    char image[96];
};
enum critic_status cr_scene_read(struct cr_scene_line *out, struct cr_str line,
                                 const char *where, critic_error *err);

#endif
