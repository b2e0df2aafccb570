/* critic train sft: supervised fine-tuning on conversations. */
#include <stdio.h>
#include <string.h>

#include "cli/signals.h"
#include "cli/train.h"
#include "train/gradients.h"

#define MAX_PATH_BYTES ((size_t)1 << 16)

struct sft_flags {
    struct cr_train_flags train;
    int pack, loss_on;
    size_t pack_tokens, max_tokens;
    struct cr_str system;
    bool skip_bad;
    const char *aux_labels, *dump;
    double aux_weight;
};

static void log_bad(void *user, int level, const char *line) {
    struct sft_flags *f = user;
    (void)level;
    if (!f->train.common.quiet)
        fprintf(stderr, "%s\n", line);
}

static void fill_opts(struct sft_flags *f, const struct cr_net *net,
                      struct cr_sft_opts *o) {
    *o = (struct cr_sft_opts){.data_path = f->train.data,
                              .eval_path = f->train.eval_data,
                              .eval_split = f->train.eval_split,
                              .aux_labels = f->aux_labels,
                              .aux_weight = f->aux_weight,
                              .model_dir = net->dir,
                              .seed = f->train.seed};
    cr_dataset_opts_default(&o->data);
    o->data.image_folder = f->train.image_folder;
    o->data.pack = (enum cr_pack_mode)f->pack;
    o->data.pack_tokens = f->pack_tokens;
    o->data.max_tokens = f->max_tokens ? f->max_tokens : net->config.text.max_positions;
    o->data.mask = (enum cr_label_mask)f->loss_on;
    if (f->system.data) /* empty: no system block */
        o->data.system = f->system.len ? f->system : (struct cr_str){NULL, 0};
    o->data.seed = f->train.seed;
    o->data.keep_picture_bytes = f->train.keep_pictures;
    o->data.skip_bad = f->skip_bad;
    o->data.log = log_bad;
    o->data.log_user = f;
    o->data.cancel = cr_cancelled;
}

static void say_data(const struct sft_flags *f, const struct cr_sft *s) {
    const struct cr_dataset *d = &s->data;
    if (f->train.common.quiet)
        return;
    fprintf(
        stderr,
        "data: %zu records (%zu left out), %zu pictures, %zu packs (%zu kept back), %zu "
        "branches, %zu tokens, %zu of them targets\n",
        d->records.n - d->n_bad, d->n_bad, d->pictures.n, d->n_packs, s->n_packs[1],
        d->n_branches, d->tokens.n, d->n_targets);
}

static enum critic_status dump(struct sft_flags *f, struct cr_sft *s, critic_error *err) {
    double loss;
    CR_TRY(cr_sft_dump_gradients(s, f->dump, f->train.batch, &loss, err));
    return cr_train_say_dump(&f->train, f->dump, loss, s->net->n_tensors, err);
}

static enum critic_status run(struct sft_flags *f, struct cr_net *net, struct cr_sft *s,
                              critic_error *err) {
    struct cr_sft_opts opts;
    struct cr_loop_opts loop;
    char options[256];
    fill_opts(f, net, &opts);
    CR_TRY(cr_train_loop_opts(&f->train, &loop, err));
    CR_TRY(cr_sft_open(s, net, &opts, err));
    say_data(f, s);
    if (f->dump)
        return dump(f, s, err);
    snprintf(loop.data, sizeof loop.data, "%016llx%016llx",
             (unsigned long long)s->data.hash[0], (unsigned long long)s->data.hash[1]);
    snprintf(options, sizeof options,
             "{\"kind\": \"sft\", \"aux-weight\": %.17g, \"eval-split\": %.17g}",
             f->aux_labels ? f->aux_weight : 0, f->train.eval_split);
    loop.options = options;
    struct cr_train_sizes sizes = cr_pack_worst(&s->data, f->train.batch);
    CR_TRY(cr_train_announce(&f->train, net, &sizes, &loop, err));
    struct cr_task task = cr_sft_task(s);
    return cr_train_loop(&f->train, net, &task, &loop, err);
}

static enum critic_status run_parsed(struct sft_flags *f, critic_error *err) {
    struct cr_buf path;
    struct cr_net net = {0};
    struct cr_sft sft = {0};
    struct cr_net_opts opts;
    cr_buf_init(&path, MAX_PATH_BYTES);
    if (f->dump) { /* there is no run */
        f->train.out = f->dump;
        f->train.eval_split = 0;
    }
    enum critic_status status = cr_train_net_opts(&f->train, &path, &opts, err);
    if (status == CRITIC_OK)
        status = cr_net_open(&net, &opts, err);
    if (status == CRITIC_OK)
        status = run(f, &net, &sft, err);
    cr_sft_close(&sft);
    cr_net_close(&net);
    cr_buf_fini(&path);
    return status;
}

int cr_train_sft(int n_args, const char *const *args) {
    struct sft_flags f;
    critic_error err = {0};
    memset(&f, 0, sizeof f);
    cr_train_flags_init(&f.train);
    f.pack_tokens = 4096;
    f.aux_weight = 0.3;
    const struct cr_flag flags[] = {
        CR_MODEL_FLAG(f.train.common),
        CR_TRAIN_FLAGS(f.train),
        {"conversations", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"eval-data", 0, CR_FLAG_STR, &f.train.eval_data, "FILE",
         "evaluate on this instead of a split", 0, 0},
        {"pack", 0, CR_FLAG_CHOICE, &f.pack, "none|length|turns",
         "length: several texts a sequence, apart from each other; turns: each human "
         "turn and "
         "its answer apart on their shared picture",
         0, 0},
        {"pack-tokens", 0, CR_FLAG_SIZE, &f.pack_tokens, "N",
         "rows of a pack, pictures included (default 4096)", 1, 1e9},
        {"max-tokens", 0, CR_FLAG_SIZE, &f.max_tokens, "N",
         "longest conversation (default: the model's context)", 1, 1e9},
        {"loss-on", 0, CR_FLAG_CHOICE, &f.loss_on, "llava|answers",
         "llava: assistant turns and every single newline and turn mark, as LLaVA-NeXT; "
         "answers: what the assistant writes",
         0, 0},
        {"system", 0, CR_FLAG_TEXT, &f.system, "TEXT",
         "system text instead of the chat format's own; empty: none", 0, 0},
        {"dump-gradients", 0, CR_FLAG_STR, &f.dump, "FILE",
         "instead of training: loss and every gradient over the whole data as one batch",
         0, 0},
        {"skip-bad", 0, CR_FLAG_BOOL, &f.skip_bad, NULL,
         "leave bad records out instead of stopping before the first step", 0, 0},
        {"aux-labels", 0, CR_FLAG_STR, &f.aux_labels, "FILE",
         "dense labels of the pictures: an auxiliary loss on the tower", 0, 0},
        {"aux-weight", 0, CR_FLAG_DOUBLE, &f.aux_weight, "X",
         "of that loss (default 0.3)", 0, 1e6},
        CR_MACHINE_FLAGS(f.train.common),
        CR_OUTPUT_FLAGS(f.train.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "train sft",
        .usage = "--model MODEL --data FILE --out RUN",
        .about = "Trains on LLaVA conversations: JSON, JSON lines, or a YAML that mixes "
                 "them.\n"
                 "All records are read and checked before the first step.",
        .example = "critic train sft --model ./llava-ov-0.5b --data critic.jsonl \\\n"
                   "    --image-folder pictures --out run --lr 1e-5 --lr-tower 2e-6",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    status = run_parsed(&f, &err) == CRITIC_OK ? CR_EXIT_DONE : cr_report(&err);
    cr_args_fini(&parsed);
    return cr_finish(status);
}
