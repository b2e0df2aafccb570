/* critic prefer: preference pairs from a policy's answers and a critic's verdicts. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/file.h"
#include "cli/prefer.h"
#include "cli/signals.h"
#include "engine/engine.h"

struct prefer_flags {
    struct cr_prefer_flags all;
    const char *out, *image_prefix;
    int format;
    size_t rank;
    char samples[4096], ledger[4096];
};

/* The file itself holds no run that could be told from another. */
static enum critic_status check_out(const struct prefer_flags *f, critic_error *err) {
    struct stat st;
    if (f->all.opts.resume && f->all.opts.force)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--resume and --force exclude each other");
    if (stat(f->out, &st) != 0)
        return CRITIC_OK;
    if (!S_ISREG(st.st_mode))
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "%s: is no file; expected a file's name, two more files are written "
            "beside it",
            f->out);
    if (f->all.opts.resume || f->all.opts.force || st.st_size == 0)
        return CRITIC_OK;
    return cr_fail(
        err, CRITIC_BAD_ARGUMENT,
        "%s: holds results already; go on with --resume or begin anew with --force",
        f->out);
}

/* No output is an input. */
static enum critic_status check_apart(const struct prefer_flags *f, critic_error *err) {
    const struct cr_prefer_flags *a = &f->all;
    const char *const inputs[] = {a->prompts, a->scenes, a->policy, a->critic,
                                  a->template_name};
    const char *const outputs[] = {f->out, f->samples, f->ledger};
    for (size_t i = 0; i < CR_COUNT(inputs); i++)
        for (size_t k = 0; inputs[i] && k < CR_COUNT(outputs); k++)
            CR_TRY(cr_file_apart(inputs[i], outputs[k], err));
    return CRITIC_OK;
}

static enum critic_status check_flags(struct prefer_flags *f, critic_error *err) {
    if (f->rank) {
        f->all.opts.k = f->rank;
        f->format = CR_EXPORT_BEST;
    }
    CR_TRY(cr_prefer_flags_check(&f->all, err));
    if (!f->out)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--out is missing");
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
    CR_TRY(check_apart(f, err));
    return check_out(f, err);
}

static void on_item(void *user, const struct cr_prefer_counts *counts) {
    struct cr_prefer_flags *f = user;
    f->progress.first = counts->n_there;
    cr_progress_update(&f->progress, counts->n_there + counts->n_done, counts->n_total);
}

static void say(const struct prefer_flags *f, const char *stage,
                const struct cr_prefer_counts *n, const char *cost) {
    if (f->all.common.quiet)
        return;
    fprintf(stderr, "%s: %zu of %zu prompts (%zu were there), %zu failed", stage,
            n->n_there + n->n_done, n->n_total, n->n_there, n->n_faults);
    if (n->prompt_tokens > n->cached_tokens && n->cached_tokens > 0)
        fprintf(stderr, "; %zu prompt tokens, %zu computed (%.1f times fewer)",
                n->prompt_tokens, n->prompt_tokens - n->cached_tokens,
                (double)n->prompt_tokens / (double)(n->prompt_tokens - n->cached_tokens));
    if (cost[0])
        fprintf(stderr, "; %s", cost);
    fputc('\n', stderr);
}

static enum critic_status sample(struct prefer_flags *f, struct cr_prefer_counts *counts,
                                 critic_error *err) {
    struct cr_prefer_flags *a = &f->all;
    struct cr_engine *policy = NULL;
    json_t *prompts = NULL;
    CR_TRY(cr_prefer_prompts(&prompts, a->prompts, err));
    cr_progress_begin(&a->progress, "sampling", "prompts", a->common.quiet);
    a->common.model = a->policy;
    enum critic_status status = cr_common_open(&a->common, &policy, err);
    if (status == CRITIC_OK)
        status = cr_prefer_sample(policy, prompts, a->prompts, f->samples, &a->opts,
                                  counts, err);
    cr_progress_clear(&a->progress);
    cr_prefer_say_rest(a, f->samples);
    if (status == CRITIC_OK)
        say(f, "sampled", counts, "");
    cr_engine_free(policy);
    json_decref(prompts);
    return status;
}

static enum critic_status score(struct prefer_flags *f, struct cr_prefer_counts *counts,
                                critic_error *err) {
    struct cr_prefer_flags *a = &f->all;
    struct cr_prefer_judge judge;
    char folder[4096];
    cr_prefer_image_folder(a, folder, sizeof folder);
    cr_progress_begin(&a->progress, "judging", "prompts", a->common.quiet);
    enum critic_status status = cr_prefer_judge_open(&judge, a, err);
    if (status == CRITIC_OK)
        status = cr_prefer_score(&judge.scorer, f->samples, folder, f->ledger, &a->opts,
                                 counts, err);
    cr_progress_clear(&a->progress);
    cr_prefer_say_rest(a, f->ledger);
    if (status == CRITIC_OK)
        say(f, "judged", counts, cr_eval_cost(&judge.judges, &a->judge).text);
    cr_prefer_judge_close(&judge);
    return status;
}

/* What this run put in, and what of it was there already. */
static json_t *tokens_json(const struct cr_prefer_counts *n) {
    return json_pack("{s:I,s:I,s:I}", "prompt_tokens", (json_int_t)n->prompt_tokens,
                     "cached_tokens", (json_int_t)n->cached_tokens, "completion_tokens",
                     (json_int_t)n->completion_tokens);
}

static json_t *summary_json(const struct prefer_flags *f,
                            const struct cr_prefer_counts *sampled,
                            const struct cr_prefer_counts *n, size_t n_records) {
    json_t *answers = json_object();
    for (size_t d = 0; d < CR_N_DROPS; d++)
        json_object_set_new(answers, cr_drop_name((enum cr_drop)d),
                            json_integer((json_int_t)n->n_drops[d]));
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o,s:s,s:s,s:s}", "prompts",
                     (json_int_t)n->n_total, "failed", (json_int_t)n->n_faults,
                     "without_pair", (json_int_t)n->n_skipped, "ties",
                     (json_int_t)n->n_ties, "pairs", (json_int_t)n->n_pairs, "records",
                     (json_int_t)n_records, "answers", answers, "sampling",
                     tokens_json(sampled), "judging", tokens_json(n), "out", f->out,
                     "ledger", f->ledger, "samples", f->samples);
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

/* What a full disk, an endpoint that died or somebody's wish left can be gone on with. */
static void say_way_on(enum critic_status status, const struct cr_prefer_counts *n,
                       critic_error *err) {
    if (status == CRITIC_IO && n->n_total > 0)
        cr_error_wrap(err, status, "stopped after %zu of %zu prompts; --resume goes on: ",
                      n->n_there + n->n_done, n->n_total);
    if (status == CRITIC_CANCELLED)
        cr_fail(err, status, "interrupted; go on with --resume");
}

static int run_parsed(struct prefer_flags *f) {
    struct cr_prefer_counts sampled = {0}, judged = {0};
    critic_error err = {0};
    size_t n_records = 0;
    enum critic_status status = check_flags(f, &err);
    f->all.common.progress = &f->all.progress;
    f->all.opts.cancel = cr_cancelled;
    f->all.opts.on_item = on_item;
    f->all.opts.on_fault = cr_prefer_say_fault;
    f->all.opts.user = &f->all;
    if (status == CRITIC_OK) {
        status = sample(f, &sampled, &err);
        say_way_on(status, &sampled, &err);
    }
    if (status == CRITIC_OK) {
        status = score(f, &judged, &err);
        say_way_on(status, &judged, &err);
    }
    if (status == CRITIC_OK)
        status =
            cr_prefer_export(f->ledger, f->out, (enum cr_export)f->format,
                             f->image_prefix ? f->image_prefix : "", &n_records, &err);
    if (status == CRITIC_OK && f->all.common.json)
        status = cr_print_json(summary_json(f, &sampled, &judged, n_records), &err);
    else if (status == CRITIC_OK && !f->all.common.quiet)
        print_summary(f, &judged, n_records);
    if (status != CRITIC_OK)
        return cr_report(&err);
    return judged.n_faults > 0 ? CR_EXIT_FAILED : CR_EXIT_DONE;
}

int cr_cmd_prefer(int n_args, const char *const *args) {
    struct prefer_flags f = {0};
    cr_prefer_flags_init(&f.all);
    const struct cr_flag flags[] = {
        CR_PREFER_WHAT_FLAGS(f.all),
        {"out", 'o', CR_FLAG_STR, &f.out, "FILE",
         "pairs; all answers and verdicts go to FILE's .samples.jsonl and .ledger.jsonl",
         0, 0},
        CR_PREFER_ANSWER_FLAGS(f.all),
        CR_PREFER_JUDGE_FLAGS(f.all),
        CR_PREFER_SELECT_FLAGS(f.all),
        {"rank", 0, CR_FLAG_SIZE, &f.rank, "N",
         "best of N: sample N answers and write the best one (-n N --format best)", 1,
         CR_MAX_K},
        {"format", 0, CR_FLAG_CHOICE, &f.format,
         "llava-next|trl|llama-factory|openrlhf|rewards|best|sft",
         "of FILE (default llava-next)", 0, 0},
        {"image-prefix", 0, CR_FLAG_STR, &f.image_prefix, "PATH",
         "goes before relative pictures in FILE, so that a trainer finds them", 0, 0},
        {"resume", 0, CR_FLAG_BOOL, &f.all.opts.resume, NULL,
         "go on with files that are there; what is finished is not done again, what "
         "failed is",
         0, 0},
        {"force", 0, CR_FLAG_BOOL, &f.all.opts.force, NULL,
         "begin anew over files that are there", 0, 0},
        CR_MACHINE_FLAGS(f.all.common),
        CR_PICTURE_FLAGS(f.all.common),
        CR_OUTPUT_FLAGS(f.all.common),
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
    return cr_command_end(&parsed, run_parsed(&f));
}
