/* critic prefer: preference pairs from a policy's answers and a critic's verdicts. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "engine/engine.h"
#include "prefer/prefer.h"
#include "rater/rater.h"

struct prefer_flags {
    struct cr_common common;
    const char *policy, *critic, *prompts, *out, *image_prefix, *template_name;
    struct cr_prefer_opts opts;
    bool with_reasons, one_order;
    int reward, pairing, format;
    size_t rank;
    struct cr_progress progress;
    char samples[4096], ledger[4096];
};

static enum critic_status check_flags(struct prefer_flags *f, critic_error *err) {
    const char *missing = !f->policy    ? "--policy"
                          : !f->critic  ? "--critic"
                          : !f->prompts ? "--prompts"
                          : !f->out     ? "--out"
                                        : NULL;
    if (missing)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "%s is missing", missing);
    if (f->rank) {
        f->opts.k = f->rank;
        f->format = CR_EXPORT_BEST;
    }
    if (f->opts.k > 1 && !(f->opts.temperature > 0))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%zu greedy answers would be one and the same: expected a "
                       "--temperature above 0",
                       f->opts.k);
    f->opts.reward = (enum cr_reward_kind)f->reward;
    f->opts.select.pairing = (enum cr_pairing)f->pairing;
    f->opts.limits = f->common.limits;
    size_t stem = strlen(f->out);
    if (stem > 6 && strcmp(f->out + stem - 6, ".jsonl") == 0)
        stem -= 6;
    if (stem == 0 || stem > sizeof f->ledger - 32 || strcmp(f->out, "-") == 0)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "--out '%.80s': expected a file name; two more files are written beside it",
            f->out);
    snprintf(f->samples, sizeof f->samples, "%.*s.samples.jsonl", (int)stem, f->out);
    snprintf(f->ledger, sizeof f->ledger, "%.*s.ledger.jsonl", (int)stem, f->out);
    return CRITIC_OK;
}

static void on_item(void *user, const struct cr_prefer_counts *counts) {
    struct prefer_flags *f = user;
    f->progress.first = counts->n_there;
    cr_progress_update(&f->progress, counts->n_there + counts->n_done, counts->n_total);
}

static void say(const struct prefer_flags *f, const char *stage,
                const struct cr_prefer_counts *n) {
    if (f->common.quiet)
        return;
    fprintf(stderr, "%s: %zu of %zu prompts (%zu were there), %zu failed", stage,
            n->n_there + n->n_done, n->n_total, n->n_there, n->n_faults);
    if (n->prompt_tokens > n->cached_tokens)
        fprintf(stderr, "; %zu prompt tokens, %zu computed (%.1f times fewer)",
                n->prompt_tokens, n->prompt_tokens - n->cached_tokens,
                (double)n->prompt_tokens / (double)(n->prompt_tokens - n->cached_tokens));
    fputc('\n', stderr);
}

static enum critic_status sample(struct prefer_flags *f, struct cr_prefer_counts *counts,
                                 critic_error *err) {
    struct cr_engine *policy = NULL;
    json_t *prompts = NULL;
    CR_TRY(cr_prefer_prompts(&prompts, f->prompts, err));
    cr_progress_begin(&f->progress, "sampling", "prompts", f->common.quiet);
    f->common.model = f->policy;
    enum critic_status status = cr_common_open(&f->common, &policy, err);
    if (status == CRITIC_OK)
        status = cr_prefer_sample(policy, prompts, f->prompts, f->samples, &f->opts,
                                  counts, err);
    cr_progress_clear(&f->progress);
    if (status == CRITIC_OK)
        say(f, "sampled", counts);
    cr_engine_free(policy);
    json_decref(prompts);
    return status;
}

static void judge_opts(const struct prefer_flags *f, struct cr_judge_opts *opts) {
    cr_judge_opts_default(opts);
    opts->template_name = f->template_name;
    opts->template_mode =
        f->opts.reward == CR_REWARD_SCORE ? CR_MODE_POINTWISE : CR_MODE_PAIRWISE;
    opts->both_orders = !f->one_order;
    opts->seed = f->opts.seed;
    opts->image_limits = &f->common.limits;
}

static enum critic_status open_judge(struct prefer_flags *f, struct cr_engine **engine,
                                     struct cr_judge **judge, critic_error *err) {
    struct cr_judge_opts opts;
    judge_opts(f, &opts);
    opts.verdict_only = !f->with_reasons;
    f->common.model = f->critic;
    CR_TRY(cr_common_open(&f->common, engine, err));
    return cr_judge_new(judge, *engine, &opts, err);
}

/* The oracle is none here: nothing is known of the answers that a policy will give. */
static bool is_baseline(const char *name) {
    for (size_t i = 0; cr_baseline_names[i]; i++)
        if (strcmp(name, cr_baseline_names[i]) == 0)
            return strcmp(name, "oracle") != 0;
    return false;
}

static enum critic_status open_baseline(const struct prefer_flags *f,
                                        struct cr_rater **rater, struct cr_judge **judge,
                                        critic_error *err) {
    struct cr_judge_opts opts;
    judge_opts(f, &opts);
    CR_TRY(cr_rater_baseline(rater, f->critic, NULL, f->opts.seed, err));
    return cr_judge_new_voiced(judge, cr_rater_voice(*rater), &opts, err);
}

/* The folder of the prompts' file, or --image-folder, as a string of its own. */
static void image_folder(const struct prefer_flags *f, char *out, size_t size) {
    const char *slash = strrchr(f->prompts, '/');
    if (f->opts.image_folder)
        snprintf(out, size, "%s", f->opts.image_folder);
    else
        snprintf(out, size, "%.*s", slash ? (int)CR_MAX(slash - f->prompts, 1) : 0,
                 f->prompts);
}

static enum critic_status score(struct prefer_flags *f, struct cr_prefer_counts *counts,
                                critic_error *err) {
    struct cr_engine *engine = NULL;
    struct cr_judge *judge = NULL;
    struct cr_rater *rater = NULL;
    struct cr_scorer scorer;
    char folder[4096];
    enum critic_status status;
    image_folder(f, folder, sizeof folder);
    cr_progress_begin(&f->progress, "judging", "prompts", f->common.quiet);
    if (is_baseline(f->critic)) {
        status = open_baseline(f, &rater, &judge, err);
        if (status == CRITIC_OK)
            scorer = cr_scorer_of_voice(judge, cr_rater_voice(rater));
    } else {
        status = open_judge(f, &engine, &judge, err);
        if (status == CRITIC_OK)
            scorer = cr_scorer_of_engine(judge);
    }
    if (status == CRITIC_OK)
        status = cr_prefer_score(&scorer, f->samples, folder, f->ledger, &f->opts, counts,
                                 err);
    cr_progress_clear(&f->progress);
    if (status == CRITIC_OK)
        say(f, "judged", counts);
    cr_judge_free(judge);
    cr_rater_free(rater);
    cr_engine_free(engine);
    return status;
}

static json_t *summary_json(const struct prefer_flags *f,
                            const struct cr_prefer_counts *n, size_t n_records) {
    json_t *answers = json_object();
    for (size_t d = 0; d < CR_N_DROPS; d++)
        json_object_set_new(answers, cr_drop_name((enum cr_drop)d),
                            json_integer((json_int_t)n->n_drops[d]));
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:s,s:s,s:s}", "prompts",
                     (json_int_t)n->n_total, "failed", (json_int_t)n->n_faults,
                     "without_pair", (json_int_t)n->n_skipped, "ties",
                     (json_int_t)n->n_ties, "pairs", (json_int_t)n->n_pairs, "records",
                     (json_int_t)n_records, "answers", answers, "out", f->out, "ledger",
                     f->ledger, "samples", f->samples);
}

static void print_summary(const struct prefer_flags *f, const struct cr_prefer_counts *n,
                          size_t n_records) {
    printf(
        "%zu pairs of %zu prompts; %zu prompts without a pair (%zu ties), %zu failed\n",
        n->n_pairs, n->n_total, n->n_skipped, n->n_ties, n->n_faults);
    printf("answers:");
    for (size_t d = 0; d < CR_N_DROPS; d++)
        printf("%s %zu %s", d ? "," : "", n->n_drops[d], cr_drop_name((enum cr_drop)d));
    printf("\n%zu records in %s; all answers, verdicts and rewards in %s\n", n_records,
           f->out, f->ledger);
}

static int run_parsed(struct prefer_flags *f) {
    struct cr_prefer_counts sampled = {0}, judged = {0};
    critic_error err = {0};
    size_t n_records = 0;
    enum critic_status status = check_flags(f, &err);
    f->common.progress = &f->progress;
    f->opts.cancel = cr_cancelled;
    f->opts.on_item = on_item;
    f->opts.user = f;
    if (status == CRITIC_OK)
        status = sample(f, &sampled, &err);
    if (status == CRITIC_OK)
        status = score(f, &judged, &err);
    if (status == CRITIC_OK)
        status =
            cr_prefer_export(f->ledger, f->out, (enum cr_export)f->format,
                             f->image_prefix ? f->image_prefix : "", &n_records, &err);
    if (status == CRITIC_OK && f->common.json)
        status = cr_print_json(summary_json(f, &judged, n_records), &err);
    else if (status == CRITIC_OK && !f->common.quiet)
        print_summary(f, &judged, n_records);
    if (status == CRITIC_CANCELLED)
        cr_fail(&err, status, "interrupted; go on with --resume");
    if (status != CRITIC_OK)
        return cr_report(&err);
    return judged.n_faults > 0 ? CR_EXIT_FAILED : CR_EXIT_DONE;
}

int cr_cmd_prefer(int n_args, const char *const *args) {
    struct prefer_flags f = {0};
    cr_common_init(&f.common);
    cr_prefer_opts_default(&f.opts);
    const struct cr_flag flags[] = {
        {"what", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"policy", 0, CR_FLAG_STR, &f.policy, "MODEL",
         "the model whose answers are compared: a checkpoint folder, a .gguf file or a "
         "hub id",
         0, 0},
        {"critic", 0, CR_FLAG_STR, &f.critic, "MODEL",
         "the judge: a checkpoint likewise; or 'length' (the longer is better) or "
         "'coin', which "
         "a judge must beat",
         0, 0},
        {"prompts", 0, CR_FLAG_STR, &f.prompts, "FILE",
         "JSON lines or a JSON list: id, images, prompt (or question); LLaVA "
         "conversations",
         0, 0},
        {"image-folder", 0, CR_FLAG_STR, &f.opts.image_folder, "DIR",
         "where relative pictures start; default: the folder of the prompts", 0, 0},
        {"out", 'o', CR_FLAG_STR, &f.out, "FILE",
         "pairs; all answers and verdicts go to FILE's .samples.jsonl and .ledger.jsonl",
         0, 0},
        {"answers", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"samples", 'n', CR_FLAG_SIZE, &f.opts.k, "K", "answers a prompt (default 5)", 1,
         CR_MAX_K},
        {"temperature", 0, CR_FLAG_DOUBLE, &f.opts.temperature, "T", "default 0.7", 0,
         100},
        {"top-p", 0, CR_FLAG_DOUBLE, &f.opts.top_p, "P", "default 0.9; 1: off", 0, 1},
        {"top-k", 0, CR_FLAG_SIZE, &f.opts.top_k, "K", "0: off (default)", 0, 1e9},
        {"max-new-tokens", 0, CR_FLAG_SIZE, &f.opts.max_new_tokens, "N",
         "longest answer (default 512)", 1, 1e9},
        {"system", 0, CR_FLAG_TEXT, &f.opts.system, "TEXT",
         "system text for the policy instead of the chat format's own; empty: none", 0,
         0},
        {"seed", 0, CR_FLAG_U64, &f.opts.seed, "N", "of sampling (default 0)", 0, 0},
        {"judging", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"reward", 0, CR_FLAG_CHOICE, &f.reward, "sum|bradley-terry|win|score",
         "sum: the paper's over all ordered pairs (default); win: mean share; score: "
         "each answer "
         "alone, by a pointwise template",
         0, 0},
        {"template", 0, CR_FLAG_STR, &f.template_name, "NAME",
         "a built-in template or a file (docs/judge.md)", 0, 0},
        {"with-reasons", 0, CR_FLAG_BOOL, &f.with_reasons, NULL,
         "let the critic write its reason; default: read the verdict's probabilities in "
         "one pass",
         0, 0},
        {"one-order", 0, CR_FLAG_BOOL, &f.one_order, NULL,
         "compare each pair once instead of both ways round", 0, 0},
        {"selection", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"pairs", 0, CR_FLAG_CHOICE, &f.pairing, "best-worst|all",
         "which answers are paired (default best-worst)", 0, 0},
        {"min-margin", 0, CR_FLAG_DOUBLE, &f.opts.select.min_margin, "M",
         "rewards that differ by no more are a tie (default 0)", 0, 1e9},
        {"near-same", 0, CR_FLAG_DOUBLE, &f.opts.select.near_same, "J",
         "answers with this share of word pairs in common count once (default 0.9)", 0,
         1},
        {"keep-truncated", 0, CR_FLAG_BOOL, &f.opts.select.keep_truncated, NULL,
         "also pair answers that ended at --max-new-tokens", 0, 0},
        {"rank", 0, CR_FLAG_SIZE, &f.rank, "N",
         "best of N: sample N answers and write the best one (-n N --format best)", 1,
         CR_MAX_K},
        {"format", 0, CR_FLAG_CHOICE, &f.format,
         "llava-next|trl|llama-factory|openrlhf|rewards|best",
         "of FILE (default llava-next)", 0, 0},
        {"image-prefix", 0, CR_FLAG_STR, &f.image_prefix, "PATH",
         "goes before relative pictures in FILE, so that a trainer finds them", 0, 0},
        {"resume", 0, CR_FLAG_BOOL, &f.opts.resume, NULL,
         "go on with files that are there; finished prompts are not done again", 0, 0},
        {"force", 0, CR_FLAG_BOOL, &f.opts.force, NULL,
         "begin anew over files that are there", 0, 0},
        CR_MACHINE_FLAGS(f.common),
        CR_PICTURE_FLAGS(f.common),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "prefer",
        .usage = "--policy MODEL --critic MODEL --prompts FILE --out FILE",
        .about =
            "Samples answers from a policy, lets a critic compare them, and writes the\n"
            "preference pairs that train the policy (critic train dpo, TRL, "
            "LLaMA-Factory, …).",
        .example = "critic prefer --policy ./policy --critic ./critic --prompts p.jsonl "
                   "--out pairs.jsonl\n"
                   "critic prefer --policy ./policy --critic ./critic --prompts p.jsonl "
                   "--out best.jsonl "
                   "--rank 8",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    status = run_parsed(&f);
    cr_args_fini(&parsed);
    return cr_finish(status);
}
