/* Flags and judges of critic prefer and critic align. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "cli/prefer.h"
#include "judge/template.h"
#include "rater/rater.h"
#include "tensor/store.h"

void cr_prefer_flags_init(struct cr_prefer_flags *f) {
    memset(f, 0, sizeof *f);
    cr_common_init(&f->common);
    cr_prefer_opts_default(&f->opts);
    cr_judge_flags_init(&f->judge, &f->common);
}

static bool is_url(const char *critic) {
    return strncmp(critic, "http://", 7) == 0 || strncmp(critic, "https://", 8) == 0;
}

static bool is_baseline(const char *name) {
    for (size_t i = 0; cr_baseline_names[i]; i++)
        if (strcmp(name, cr_baseline_names[i]) == 0)
            return true;
    return false;
}

/* What judges is there: told before hours of sampling, not after them. */
static enum critic_status find_critic(const struct cr_prefer_flags *f,
                                      critic_error *err) {
    struct cr_buf path;
    bool oracle = strcmp(f->critic, "oracle") == 0;
    if (oracle && !cr_file_exists(f->scenes))
        return cr_fail(err, CRITIC_BAD_FILE, "%s: no such file", f->scenes);
    if (oracle || is_url(f->critic) || is_baseline(f->critic))
        return CRITIC_OK;
    cr_buf_init(&path, 1 << 16);
    struct cr_store *store = NULL;
    enum critic_status status = cr_model_path(f->critic, &path, err);
    if (status == CRITIC_OK)
        status = cr_store_open(&store, path.data, err);
    cr_store_close(store);
    cr_buf_fini(&path);
    return status;
}

/* Rewards come of comparisons or of scores: the template must ask for the same. */
static enum critic_status check_template(const struct cr_prefer_flags *f,
                                         critic_error *err) {
    struct cr_template *t;
    enum cr_mode mode =
        f->reward == CR_REWARD_SCORE ? CR_MODE_POINTWISE : CR_MODE_PAIRWISE;
    if (!f->template_name)
        return CRITIC_OK;
    CR_TRY(cr_template_open(&t, f->template_name, err));
    enum cr_mode is = t->mode;
    cr_template_free(t);
    if (is == mode)
        return CRITIC_OK;
    return cr_fail(
        err, CRITIC_BAD_ARGUMENT,
        mode == CR_MODE_PAIRWISE
            ? "--template '%.80s' does not compare two answers; expected one that "
              "does, or --reward score"
            : "--template '%.80s' does not score single answers; expected one that "
              "does, or another --reward",
        f->template_name);
}

enum critic_status cr_prefer_flags_check(struct cr_prefer_flags *f, critic_error *err) {
    const char *missing = !f->policy    ? "--policy"
                          : !f->critic  ? "--critic"
                          : !f->prompts ? "--prompts"
                                        : NULL;
    if (missing)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "%s is missing", missing);
    if (f->opts.k > 1 && !(f->opts.temperature > 0))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%zu greedy answers would be one and the same: expected a "
                       "--temperature above 0",
                       f->opts.k);
    if (f->with_reasons + f->verdict_only + (f->judge.opts.explain_below > 0) > 1)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--with-reasons, --verdict-only and --explain-below exclude each "
                       "other");
    if (strcmp(f->critic, "oracle") == 0 && !f->scenes)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "the oracle wants --scenes, the scenes.jsonl of the pictures");
    CR_TRY(check_template(f, err));
    CR_TRY(find_critic(f, err));
    f->opts.reward = (enum cr_reward_kind)f->reward;
    f->opts.select.pairing = (enum cr_pairing)f->pairing;
    f->opts.limits = f->common.limits;
    return CRITIC_OK;
}

/* ---- failed prompts ---------------------------------------------------------------------- */

#define MOST_TOLD 20 /* a wrong --image-folder fails thousands */

void cr_prefer_say_fault(void *flags, const char *id, const char *why) {
    struct cr_prefer_flags *f = flags;
    f->n_told++;
    if (f->common.quiet || f->n_told > MOST_TOLD)
        return;
    cr_progress_clear(&f->progress);
    fprintf(stderr, "prompt '%.80s': %s\n", id, why);
}

void cr_prefer_say_rest(struct cr_prefer_flags *f, const char *file) {
    size_t more = f->n_told > MOST_TOLD ? f->n_told - MOST_TOLD : 0;
    f->n_told = 0;
    if (more > 0 && !f->common.quiet)
        fprintf(stderr, "%zu more prompts failed: lines with status \"error\" in %s\n",
                more, file);
}

void cr_prefer_image_folder(const struct cr_prefer_flags *f, char *out, size_t size) {
    const char *slash = strrchr(f->prompts, '/');
    if (f->opts.image_folder)
        snprintf(out, size, "%s", f->opts.image_folder);
    else
        snprintf(out, size, "%.*s", slash ? (int)CR_MAX(slash - f->prompts, 1) : 0,
                 f->prompts);
}

static enum critic_status open_oracle(struct cr_prefer_judge *j,
                                      const struct cr_prefer_flags *f,
                                      critic_error *err) {
    CR_TRY(cr_oracle_open(&j->oracle, f->scenes, err));
    const struct cr_voice *voice = cr_oracle_voice(j->oracle);
    CR_TRY(cr_judge_new_voiced(&j->of_oracle, voice, &f->judge.opts, err));
    j->scorer = cr_scorer_of_voice(j->of_oracle, voice);
    return CRITIC_OK;
}

enum critic_status cr_prefer_judge_open(struct cr_prefer_judge *j,
                                        struct cr_prefer_flags *f, critic_error *err) {
    struct cr_judge_opts *o = &f->judge.opts;
    memset(j, 0, sizeof *j);
    o->template_name = f->template_name;
    o->template_mode =
        f->opts.reward == CR_REWARD_SCORE ? CR_MODE_POINTWISE : CR_MODE_PAIRWISE;
    o->both_orders = !f->one_order;
    o->seed = f->opts.seed;
    o->image_limits = &f->common.limits;
    o->verdict_only = f->judge.own_manner = false;
    f->judge.endpoint = f->judge.baseline = NULL;
    f->common.model = NULL;
    if (strcmp(f->critic, "oracle") == 0)
        return open_oracle(j, f, err);
    if (is_url(f->critic))
        f->judge.endpoint = f->critic;
    else if (is_baseline(f->critic))
        f->judge.baseline = f->critic;
    else {
        f->common.model = f->critic;
        o->verdict_only = f->verdict_only;
        f->judge.own_manner = !f->verdict_only && !f->with_reasons && !o->explain_below;
    }
    CR_TRY(cr_eval_judges_open(&j->judges, &f->judge, NULL, err));
    struct cr_judge *judge = j->judges.judges[0];
    j->scorer = j->judges.engine
                    ? cr_scorer_of_engine(judge)
                    : cr_scorer_of_voice(judge, cr_rater_voice(j->judges.rater));
    return CRITIC_OK;
}

void cr_prefer_judge_close(struct cr_prefer_judge *j) {
    cr_judge_free(j->of_oracle);
    cr_oracle_free(j->oracle);
    cr_eval_judges_close(&j->judges);
    memset(j, 0, sizeof *j);
}
