/* critic train tower: the tower alone, on dense labels of its patches. */
#include <stdio.h>
#include <string.h>

#include "cli/signals.h"
#include "cli/train.h"
#include "train/tower.h"

static enum critic_status run(struct cr_train_flags *f, struct cr_net *net,
                              struct cr_tower *t, critic_error *err) {
    struct cr_loop_opts loop;
    char options[128];
    const struct cr_tower_opts opts = {.data_path = f->data,
                                       .eval_split = f->eval_split,
                                       .image_folder = f->image_folder,
                                       .keep_picture_bytes = f->keep_pictures,
                                       .model_dir = net->dir,
                                       .seed = f->seed,
                                       .cancel = cr_cancelled};
    CR_TRY(cr_train_loop_opts(f, &loop, err));
    CR_TRY(cr_tower_open(t, net, &opts, err));
    if (!f->common.quiet)
        fprintf(stderr,
                "data: %zu pictures with %zu labels a cell, %zu of them kept back\n",
                t->labels.n, t->labels.n_heads, t->n_items[1]);
    snprintf(loop.data, sizeof loop.data, "%016llx%016llx",
             (unsigned long long)t->hash[0], (unsigned long long)t->hash[1]);
    snprintf(options, sizeof options, "{\"kind\": \"tower\", \"eval-split\": %.17g}",
             f->eval_split);
    loop.options = options;
    const struct cr_train_sizes sizes = {.n_tiles = f->batch};
    CR_TRY(cr_train_announce(f, net, &sizes, &loop, err));
    struct cr_task task = cr_tower_task(t);
    return cr_train_loop(f, net, &task, &loop, err);
}

static enum critic_status run_with(void *self, struct cr_net *net, critic_error *err) {
    struct cr_tower tower = {0};
    enum critic_status status = run(self, net, &tower, err);
    cr_tower_close(&tower);
    return status;
}

int cr_train_tower(int n_args, const char *const *args) {
    struct cr_train_flags f;
    critic_error err = {0};
    cr_train_flags_init(&f);
    f.tower_only = true;
    const struct cr_flag flags[] = {CR_MODEL_FLAG(f.common), CR_TRAIN_FLAGS(f),
                                    CR_MACHINE_FLAGS(f.common), CR_OUTPUT_FLAGS(f.common),
                                    CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "train tower",
        .usage = "--init DIR --data LABELS.jsonl --out RUN",
        .about =
            "Trains the vision tower on classes of picture cells, as a small network's\n"
            "pre-training. Records: {\"image\", \"grid\": [rows, columns], \"labels\": "
            "{name: [class per cell]}}.",
        .example =
            "critic train tower --init ./micro --data labels.jsonl --image-folder world "
            "\\\n"
            "    --out run --optimizer muon --lr 2e-3 --schedule decay --warmup 50 "
            "--batch 32",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed,
                          cr_outcome(cr_train_with_net(&f, run_with, &f, &err), &err));
}
