/* critic train sft: supervised fine-tuning on conversations. */
#include <stdio.h>
#include <string.h>

#include "cli/signals.h"
#include "cli/train.h"
#include "train/gradients.h"

struct sft_flags {
    struct cr_train_flags train;
    int pack, loss_on;
    size_t pack_tokens;
    const char *aux_labels;
    double aux_weight;
};

static void fill_opts(struct sft_flags *f, const struct cr_net *net,
                      struct cr_sft_opts *o) {
    *o = (struct cr_sft_opts){.data_path = f->train.data,
                              .eval_path = f->train.eval_data,
                              .eval_split = f->train.eval_split,
                              .aux_labels = f->aux_labels,
                              .aux_weight = f->aux_weight,
                              .model_dir = net->dir,
                              .seed = f->train.seed};
    cr_train_dataset_opts(&f->train, net, &o->data);
    o->data.pack = (enum cr_pack_mode)f->pack;
    o->data.pack_tokens = f->pack_tokens;
    o->data.mask = (enum cr_label_mask)f->loss_on;
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
    CR_TRY(cr_sft_dump_gradients(s, f->train.dump, f->train.batch, &loss, err));
    return cr_train_say_dump(&f->train, loss, s->net->n_tensors, err);
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
    if (f->train.dump)
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

static enum critic_status run_with(void *self, struct cr_net *net, critic_error *err) {
    struct cr_sft sft = {0};
    enum critic_status status = run(self, net, &sft, err);
    cr_sft_close(&sft);
    return status;
}

/* The command; or only its flags: -1 where they are right. */
static int command(int n_args, const char *const *args, bool only_flags) {
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
        {"loss-on", 0, CR_FLAG_CHOICE, &f.loss_on, "llava|answers",
         "llava: assistant turns and every single newline and turn mark, as LLaVA-NeXT; "
         "answers: what the assistant writes",
         0, 0},
        CR_TRAIN_TEXT_FLAGS(f.train),
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
    if (only_flags)
        return cr_train_check_end(&parsed, cr_train_check(&f.train, &err), &err);
    return cr_command_end(
        &parsed, cr_outcome(cr_train_with_net(&f.train, run_with, &f, &err), &err));
}

int cr_train_sft(int n_args, const char *const *args) {
    return command(n_args, args, false);
}

int cr_train_sft_check(int n_args, const char *const *args) {
    return command(n_args, args, true);
}
