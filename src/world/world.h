/* critic data world: pictures, scenes, labels and base records from a seed
 * (docs/micro-world.md). Everything about item i is a function of (seed, split, i), so the
 * bytes do not depend on machine, number of threads, or on which items were asked for.
 *
 *   OUT/SPLIT/images/0000/000123.png
 *   OUT/SPLIT/scenes.jsonl   the truth, one scene a line
 *   OUT/SPLIT/labels.jsonl   classes of every grid cell, for the tower stage
 *   OUT/SPLIT/base.jsonl     questions with right answers, LLaVA conversations
 *
 * Image paths in labels and base start from OUT, in scenes from the file's folder. */
#ifndef CR_WORLD_WORLD_H
#define CR_WORLD_WORLD_H

#include "world/scene.h"

struct cr_world_opts {
    const char *out;
    enum cr_split split;
    uint64_t seed;
    uint64_t start; /* index of the first item */
    size_t count;
    unsigned turns;         /* of a base record, 1 to 64 */
    unsigned cell_px;       /* 16 to 256 */
    unsigned large_percent; /* share of 4x4 grids, 0 to 100 */
    unsigned noise;         /* amplitude of pixel noise, 0 to 64 */
    unsigned jpeg; /* 0: none; else pictures go through JPEG of a quality drawn from here
                             * to 95. libjpeg's rounding may differ between builds */
    int n_threads;
    bool force; /* replace files that are there */
    void (*on_progress)(void *user, size_t done, size_t total); /* may be NULL */
    bool (*cancel)(void *user);                                 /* may be NULL */
    void *user;
};
/* train, seed 1, 1000 items from 0, 16 turns, 32 px, CR_LARGE_PERCENT, no noise, 1 thread. */
void cr_world_opts_default(struct cr_world_opts *opts);

struct cr_world_result {
    size_t n_images, n_turns;
    uint64_t image_bytes, text_bytes;
};

/* Errors: CRITIC_BAD_ARGUMENT, CRITIC_IO, CRITIC_NO_MEMORY, CRITIC_CANCELLED. JSON lines appear
 * under their names when all of it is done. */
enum critic_status cr_world_generate(const struct cr_world_opts *opts,
                                     struct cr_world_result *result, critic_error *err);

/* Random numbers for one use of an item: "base", "critic" … never share a stream. */
enum cr_stream {
    CR_STREAM_BASE = 1,
    CR_STREAM_CRITIC,
    CR_STREAM_NOISE,
    CR_STREAM_PROMPTS
};
void cr_world_rng(struct cr_rng *r, enum cr_stream stream, enum cr_split split,
                  uint64_t seed, uint64_t index);

#endif
