/* The training of a round of critic align: the trainer's arguments, its adapter, what it leaves. */
#include <stdio.h>
#include <string.h>

#include "base/dir.h"
#include "base/file.h"
#include "cli/align.h"
#include "cli/train.h"
#include "convert/convert.h"
#include "engine/engine.h"
#include "train/lora.h"

#define MAX_ARGS 128

struct args {
    const char *list[MAX_ARGS];
    size_t n;
};

static void add_arg(struct args *a, const char *flag, const char *value) {
    CR_ASSERT(a->n + 2 <= MAX_ARGS);
    a->list[a->n++] = flag;
    if (value)
        a->list[a->n++] = value;
}

/* What stands behind --lora in the trainer's flags; NULL: all weights learn. */
static const char *lora_of(const struct cr_align_flags *f) {
    for (size_t i = 0; i < f->n_train; i++) {
        if (strncmp(f->train[i], "--lora=", 7) == 0)
            return f->train[i] + 7;
        if (strcmp(f->train[i], "--lora") == 0)
            return i + 1 < f->n_train ? f->train[i + 1] : "";
    }
    return NULL;
}

/* Where a round trains: an adapter is merged into a policy afterwards. */
static struct cr_align_place trained_in(const struct cr_align_flags *f,
                                        const struct cr_align_round *r) {
    return cr_align_in_folder(r, lora_of(f) ? "adapter" : "policy");
}

enum critic_status cr_align_check_lora(const struct cr_align_flags *f,
                                       critic_error *err) {
    struct cr_lora_opts o;
    if (!lora_of(f))
        return CRITIC_OK;
    CR_TRY(cr_lora_opts_parse(&o, lora_of(f), err));
    return !o.dir ? CRITIC_OK
                  : cr_fail(err, CRITIC_BAD_ARGUMENT,
                            "--lora '%.80s': every round trains a new adapter on the "
                            "policy before it; expected r=N,…",
                            o.dir);
}

/* The policy before, with the round's adapter in its weights. Whole or not there. */
static enum critic_status merge(const struct cr_align_flags *f,
                                const struct cr_align_round *r, critic_error *err) {
    struct cr_align_place base = cr_align_policy_of(f, r->number - 1),
                          adapter = trained_in(f, r),
                          out = cr_align_in_folder(r, "policy");
    struct cr_buf path;
    struct cr_store *store = NULL;
    struct cr_config config;
    if (cr_dir_exists(out.text))
        return CRITIC_OK;
    cr_buf_init(&path, CR_ALIGN_MAX_PATH);
    enum critic_status status = cr_model_path(base.text, &path, err);
    if (status == CRITIC_OK)
        status = cr_store_open(&store, path.data, err);
    cr_buf_fini(&path);
    CR_TRY(status);
    status = cr_config_read(&config, store, err);
    const struct cr_convert_options options = {
        .target = cr_store_gguf(store) || config.layout == CR_LAYOUT_LMMS
                      ? CR_CONVERT_LMMS
                      : CR_CONVERT_HF,
        .dtype = cr_store_gguf(store) ? CR_F32 : CR_DTYPE_COUNT,
        .merge_lora = adapter.text};
    if (status == CRITIC_OK)
        status = cr_convert(store, &config, out.text, &options, NULL, err);
    cr_store_close(store);
    return status;
}

/* The trainer opens the policy by itself: of the first round it must be the one that came. */
static enum critic_status check_start(struct cr_align_flags *f,
                                      const struct cr_align_round *r, critic_error *err) {
    struct cr_engine *start = NULL;
    if (r->number != 1)
        return CRITIC_OK;
    enum critic_status status = cr_align_open_policy(f, 0, &start, err);
    if (status == CRITIC_OK)
        status = cr_align_same_policy(r, start, err);
    cr_engine_free(start);
    return status;
}

/* The trainer's arguments; numbers hold their texts. */
struct train_args {
    struct args a;
    struct cr_align_place model, data, out;
    char seed[24], threads[24];
};

static void fill_args(const struct cr_align_flags *f, const struct cr_align_round *r,
                      struct train_args *t) {
    struct args *a = &t->a;
    a->n = 0;
    t->model = cr_align_policy_of(f, r->number - 1);
    t->data = cr_align_in_folder(r, "pairs.jsonl");
    t->out = trained_in(f, r);
    snprintf(t->seed, sizeof t->seed, "%llu",
             (unsigned long long)(f->all.opts.seed + r->number));
    snprintf(t->threads, sizeof t->threads, "%zu", f->all.common.n_threads);
    add_arg(a, f->method == CR_ALIGN_SFT ? "sft" : "dpo", NULL);
    add_arg(a, "--model", t->model.text);
    add_arg(a, "--data", t->data.text);
    add_arg(a, "--image-folder", f->folder[0] ? f->folder : ".");
    add_arg(a, "--out", t->out.text);
    add_arg(a, "--resume", NULL);
    add_arg(a, "--seed", t->seed);
    add_arg(a, "--threads", t->threads);
    add_arg(a, "--dtype", cr_align_dtypes[f->all.common.dtype]);
    if (f->all.common.isa)
        add_arg(a, "--isa", f->all.common.isa);
    if (f->all.common.quiet || f->all.common.json)
        add_arg(a, "--quiet", NULL);
    for (size_t i = 0; i < f->n_train; i++)
        add_arg(a, f->train[i], NULL);
}

int cr_align_check_train(const struct cr_align_flags *f) {
    const struct cr_align_round first = {1, f->out, NULL};
    struct train_args t;
    fill_args(f, &first, &t);
    int n = (int)t.a.n - 1;
    return f->method == CR_ALIGN_SFT ? cr_train_sft_check(n, t.a.list + 1)
                                     : cr_train_dpo_check(n, t.a.list + 1);
}

/* As a command of its own would: critic train says itself what is wrong. */
enum critic_status cr_align_train(void *self, const struct cr_align_round *r,
                                  json_t *detail, critic_error *err) {
    struct cr_align_flags *f = self;
    struct train_args t;
    (void)detail;
    CR_TRY(check_start(f, r, err));
    fill_args(f, r, &t);
    f->exit_status = cr_cmd_train((int)t.a.n, t.a.list);
    if (f->exit_status != CR_EXIT_DONE)
        return cr_fail(err, CRITIC_BAD_DATA, "critic train failed");
    f->exit_status = -1;
    return lora_of(f) ? merge(f, r, err) : CRITIC_OK;
}

/* The trainer's state is of no use once its model is finished, and many times as large. */
void cr_align_drop_checkpoints(const struct cr_align_flags *f,
                               const struct cr_align_round *r) {
    struct cr_align_place run = trained_in(f, r);
    struct cr_buf names, path;
    const char *name = NULL;
    cr_buf_init(&names, (size_t)1 << 20);
    cr_buf_init(&path, (size_t)1 << 16);
    if (cr_dir_list(&names, run.text, NULL) == CRITIC_OK)
        while ((name = cr_dir_next(&names, name)))
            if (strncmp(name, "checkpoint-", 11) == 0 &&
                cr_path_join(&path, run.text, name, NULL) == CRITIC_OK)
                cr_dir_remove(path.data);
    cr_buf_fini(&names);
    cr_buf_fini(&path);
}
