/* critic train dpo: preference learning on pairs of answers. */
#include <stdio.h>
#include <string.h>

#include "base/dir.h"
#include "base/file.h"
#include "cli/signals.h"
#include "cli/train.h"
#include "train/dpo.h"
#include "train/gradients.h"

#define MAX_PATH_BYTES ((size_t)1 << 16)

struct dpo_flags {
    struct cr_train_flags train;
    int loss;
    struct cr_preference_opts opts;
    double sft_weight;
    int mask, reference;
    const char *ref_model, *ref_logps;
    struct cr_buf ref_path, ref_folder; /* of the file beside the run, of the model */
};

static const char *const losses[] = {"sigmoid", "robust",       "hinge",
                                     "ipo",     "sigmoid_norm", "simpo"};

static void on_reference(void *user, size_t done, size_t total) {
    struct dpo_flags *f = user;
    cr_progress_update(&f->train.progress, done, total);
}

static enum critic_status fill_reference(struct dpo_flags *f, struct cr_reference_opts *o,
                                         critic_error *err) {
    *o = (struct cr_reference_opts){.kind = (enum cr_reference_kind)f->reference,
                                    .file = f->ref_logps,
                                    .batch = f->train.batch,
                                    .on_progress = on_reference,
                                    .user = f,
                                    .cancel = cr_cancelled};
    bool once = o->kind == CR_REFERENCE_ONCE && f->loss != CR_LOSS_SIMPO;
    if (f->ref_logps && !once)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--ref-logps is for --reference once; nothing is kept here");
    if (f->ref_model && f->reference > CR_REFERENCE_LIVE)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--ref-model is for --reference once or live");
    if (f->ref_model) {
        CR_TRY(cr_train_model_path(&f->train, f->ref_model, &f->ref_folder, err));
        o->model = f->ref_folder.data;
    }
    if (o->file || !once || f->train.dump)
        return CRITIC_OK;
    CR_TRY(cr_dir_make(f->train.out, err));
    CR_TRY(cr_path_join(&f->ref_path, f->train.out, "reference.jsonl", err));
    o->file = f->ref_path.data;
    return CRITIC_OK;
}

static void fill_opts(struct dpo_flags *f, const struct cr_net *net,
                      struct cr_dpo_opts *o) {
    *o = (struct cr_dpo_opts){.data_path = f->train.data,
                              .eval_split = f->train.eval_split,
                              .loss = f->opts,
                              .sft_weight = f->sft_weight,
                              .llava_mask = f->mask == 1,
                              .seed = f->train.seed};
    cr_train_dataset_opts(&f->train, net, &o->data);
}

static enum critic_status dump(struct dpo_flags *f, struct cr_dpo *s, critic_error *err) {
    double loss;
    CR_TRY(cr_dpo_dump_gradients(s, f->train.dump, f->train.batch, &loss, err));
    return cr_train_say_dump(&f->train, loss, s->net->n_tensors, err);
}

static enum critic_status run(struct dpo_flags *f, struct cr_net *net, struct cr_dpo *s,
                              critic_error *err) {
    struct cr_dpo_opts opts;
    struct cr_loop_opts loop;
    char options[512];
    fill_opts(f, net, &opts);
    CR_TRY(fill_reference(f, &opts.reference, err));
    CR_TRY(cr_train_loop_opts(&f->train, &loop, err));
    cr_progress_begin(&f->train.progress, "reference", "pairs", f->train.common.quiet);
    enum critic_status status = cr_dpo_open(s, net, &opts, err);
    cr_progress_clear(&f->train.progress);
    CR_TRY(status);
    if (!f->train.common.quiet)
        fprintf(stderr,
                "data: %zu pairs (%zu kept back; bad and left out: %zu; skipped for a "
                "missing "
                "or broken picture: %zu), %zu pictures\n",
                s->data.n_packs, s->n_packs[1], s->data.n_bad, s->data.n_pictureless,
                s->data.pictures.n);
    if (f->train.dump)
        return dump(f, s, err);
    snprintf(loop.data, sizeof loop.data, "%016llx%016llx",
             (unsigned long long)s->data.hash[0], (unsigned long long)s->data.hash[1]);
    snprintf(
        options, sizeof options,
        "{\"kind\": \"dpo\", \"loss\": \"%s\", \"beta\": %.17g, \"label-smoothing\": "
        "%.17g, \"gamma\": %.17g, \"sft-weight\": %.17g, \"eval-split\": %.17g, "
        "\"mask\": "
        "%d, \"reference\": %d}",
        losses[f->loss], f->opts.beta, f->opts.label_smoothing, f->opts.gamma,
        f->sft_weight, f->train.eval_split, f->mask,
        f->reference == CR_REFERENCE_LIVE ? CR_REFERENCE_ONCE : f->reference);
    loop.options = options;
    struct cr_train_sizes sizes = cr_pack_worst(&s->data, f->train.batch);
    CR_TRY(cr_train_announce(&f->train, net, &sizes, &loop, err));
    struct cr_task task = cr_dpo_task(s);
    return cr_train_loop(&f->train, net, &task, &loop, err);
}

static enum critic_status run_with(void *self, struct cr_net *net, critic_error *err) {
    struct dpo_flags *f = self;
    struct cr_dpo dpo = {0};
    cr_buf_init(&f->ref_path, MAX_PATH_BYTES);
    cr_buf_init(&f->ref_folder, MAX_PATH_BYTES);
    enum critic_status status = run(f, net, &dpo, err);
    cr_dpo_close(&dpo);
    cr_buf_fini(&f->ref_path);
    cr_buf_fini(&f->ref_folder);
    return status;
}

/* The command; or only its flags: -1 where they are right. */
static int command(int n_args, const char *const *args, bool only_flags) {
    struct dpo_flags f;
    critic_error err = {0};
    memset(&f, 0, sizeof f);
    cr_train_flags_init(&f.train);
    f.train.lr = 5e-7;
    f.opts.beta = 0.1;
    f.opts.gamma = 0.5;
    const struct cr_flag flags[] = {
        CR_MODEL_FLAG(f.train.common),
        CR_TRAIN_FLAGS(f.train),
        {"preferences", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"loss", 0, CR_FLAG_CHOICE, &f.loss,
         "sigmoid|robust|hinge|ipo|sigmoid_norm|simpo", "TRL's names (default sigmoid)",
         0, 0},
        {"beta", 0, CR_FLAG_DOUBLE, &f.opts.beta, "X",
         "how strongly the policy is held to the reference (default 0.1)", 1e-9, 1e6},
        {"label-smoothing", 0, CR_FLAG_DOUBLE, &f.opts.label_smoothing, "E",
         "share of pairs taken to be the wrong way round (default 0)", 0, 0.4999},
        {"simpo-gamma", 0, CR_FLAG_DOUBLE, &f.opts.gamma, "X",
         "margin of simpo (default 0.5)", 0, 1e6},
        {"sft-weight", 0, CR_FLAG_DOUBLE, &f.sft_weight, "X",
         "adds X times the chosen answer's mean -log p (default 0)", 0, 1e6},
        {"reference", 0, CR_FLAG_CHOICE, &f.reference, "once|live|adapter-off|none",
         "once: log-probabilities before the first step; live: by a second model in "
         "memory; "
         "adapter-off: the policy without --lora; none: reference-free",
         0, 0},
        {"ref-model", 0, CR_FLAG_STR, &f.ref_model, "MODEL",
         "the reference (default: the model that training starts from)", 0, 0},
        {"ref-logps", 0, CR_FLAG_STR, &f.ref_logps, "FILE",
         "keep the reference's log-probabilities there and use them again (default: "
         "RUN/reference.jsonl)",
         0, 0},
        {"mask", 0, CR_FLAG_CHOICE, &f.mask, "response|llava-next",
         "tokens that count: the answer and its <|im_end|>, or as LLaVA-NeXT", 0, 0},
        CR_TRAIN_TEXT_FLAGS(f.train),
        CR_MACHINE_FLAGS(f.train.common),
        CR_OUTPUT_FLAGS(f.train.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "train dpo",
        .usage = "--model MODEL --data FILE --out RUN",
        .about = "Trains on pairs of answers (prompt, chosen, rejected, pictures), as "
                 "critic prefer, "
                 "LLaVA-NeXT,\nTRL, LLaMA-Factory and OpenRLHF write them. All records "
                 "are read and "
                 "checked before the first step.",
        .example = "critic train dpo --model ./policy --data pairs.jsonl \\\n"
                   "    --image-folder pictures --out run --beta 0.1 --lr 5e-7",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.opts.loss = (enum cr_preference_loss)f.loss;
    if (only_flags) {
        enum critic_status right = cr_train_check(&f.train, &err);
        if (right == CRITIC_OK)
            right = cr_preference_check(&f.opts, &err);
        return cr_train_check_end(&parsed, right, &err);
    }
    return cr_command_end(
        &parsed, cr_outcome(cr_train_with_net(&f.train, run_with, &f, &err), &err));
}

int cr_train_dpo(int n_args, const char *const *args) {
    return command(n_args, args, false);
}

int cr_train_dpo_check(int n_args, const char *const *args) {
    return command(n_args, args, true);
}
