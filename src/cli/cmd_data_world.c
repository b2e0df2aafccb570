/* critic data world: pictures, scenes, labels and base records from a seed. */
#include <stdio.h>

#include "cli/data.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "world/world.h"

struct world_flags {
    struct cr_common common;
    struct cr_world_opts opts;
    int split;
    size_t count, start, turns, cell_px, large, noise, jpeg, n_threads;
};

static void on_progress(void *user, size_t done, size_t total) {
    cr_progress_update(user, done, total);
}

static enum critic_status run_parsed(struct world_flags *f, critic_error *err) {
    struct cr_world_opts *o = &f->opts;
    struct cr_world_result r;
    struct cr_progress progress;
    if (!o->out)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--out names the folder of the world");
    o->split = (enum cr_split)f->split;
    o->count = f->count;
    o->start = f->start;
    o->turns = (unsigned)f->turns;
    o->cell_px = (unsigned)f->cell_px;
    o->large_percent = (unsigned)f->large;
    o->noise = (unsigned)f->noise;
    o->jpeg = (unsigned)f->jpeg;
    o->n_threads = cr_data_threads(f->n_threads);
    o->on_progress = on_progress;
    o->cancel = cr_cancelled;
    o->user = &progress;
    cr_progress_begin(&progress, "drawing", "scenes", f->common.quiet);
    enum critic_status status = cr_world_generate(o, &r, err);
    cr_progress_clear(&progress);
    CR_TRY(status);
    if (f->common.json)
        return cr_print_json(
            json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I}", "out", o->out, "split",
                      cr_split_name(o->split), "seed", (json_int_t)o->seed, "images",
                      (json_int_t)r.n_images, "turns", (json_int_t)r.n_turns,
                      "image_bytes", (json_int_t)r.image_bytes, "text_bytes",
                      (json_int_t)r.text_bytes),
            err);
    if (!f->common.quiet)
        printf("%zu pictures (%s), %zu turns: %s/%s\n", r.n_images,
               cr_size_text((double)r.image_bytes).text, r.n_turns, o->out,
               cr_split_name(o->split));
    return CRITIC_OK;
}

int cr_cmd_data_world(int n_args, const char *const *args) {
    struct world_flags f = {
        .count = 1000, .turns = 16, .cell_px = 32, .large = CR_LARGE_PERCENT};
    critic_error err = {0};
    cr_common_init(&f.common);
    cr_world_opts_default(&f.opts);
    const struct cr_flag flags[] = {
        {"out", 'o', CR_FLAG_STR, &f.opts.out, "DIR", "folder of the world", 0, 0},
        {"split", 0, CR_FLAG_CHOICE, &f.split, "train|val|test|novel|crowded",
         "which scenes (default train); no scene is in two splits", 0, 0},
        {"count", 'n', CR_FLAG_SIZE, &f.count, "N", "pictures (default 1000)", 1, 1e8},
        {"start", 0, CR_FLAG_SIZE, &f.start, "N", "number of the first (default 0)", 0,
         1e12},
        {"seed", 0, CR_FLAG_U64, &f.opts.seed, "N", "of everything (default 1)", 0, 0},
        {"turns", 0, CR_FLAG_SIZE, &f.turns, "N", "of a base record (default 16)", 1, 64},
        {"large", 0, CR_FLAG_SIZE, &f.large, "N",
         "of a hundred scenes so many are 4x4 grids (default 12)", 0, 100},
        {"cell-px", 0, CR_FLAG_SIZE, &f.cell_px, "N", "side of a grid cell (default 32)",
         16, 256},
        {"noise", 0, CR_FLAG_SIZE, &f.noise, "N",
         "amplitude of noise on every sample (default 0; files grow tenfold)", 0, 64},
        {"jpeg", 0, CR_FLAG_SIZE, &f.jpeg, "N",
         "pictures as JPEG of a quality drawn from N to 95 gives them back (default 0: "
         "never)",
         0, 95},
        {"force", 0, CR_FLAG_BOOL, &f.opts.force, NULL, "replace a split that is there",
         0, 0},
        CR_THREADS_FLAG(f.n_threads),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "data world",
        .usage = "--out DIR [--split NAME] [--count N] [--seed N]",
        .about = "Draws scenes of the micro world (docs/micro-world.md): the same seed "
                 "gives the "
                 "same bytes.\n"
                 "Writes below DIR/SPLIT:\n"
                 "  images/0000/000123.png  96 x 96 (3x3 cells) or 128 x 128 (4x4)\n"
                 "  scenes.jsonl            the truth, never shown to a model\n"
                 "  labels.jsonl            "
                 "{\"image\",\"grid\":[R,C],\"labels\":{\"shape\",\"colour\","
                 "\"size\",\"digit\"}}:\n"
                 "                          a class for each cell row by row; 0: empty; "
                 "digit: 1 "
                 "none, 2 to 11 for 0 to 9\n"
                 "  base.jsonl              LLaVA conversations: describe, then "
                 "questions of 19 "
                 "families; every pair stands alone\n"
                 "Image paths in labels and base start from DIR (--image-folder DIR), in "
                 "scenes "
                 "from the file's folder.",
        .example = "critic data world --out world --split train --count 40000 --seed 1\n"
                   "critic data world --out world --split test --count 2000 --seed 1",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, cr_outcome(run_parsed(&f, &err), &err));
}
