/* critic data critic: judgements of answers to questions about a world's scenes. */
#include <stdio.h>

#include "cli/data.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "world/critic.h"

struct critic_flags {
    struct cr_common common;
    struct cr_critic_opts opts;
    size_t pairs, points, base, first, reason, only, n_threads;
};

static void on_progress(void *user, size_t done, size_t total) {
    cr_progress_update(user, done, total);
}

static enum critic_status run_parsed(struct critic_flags *f, critic_error *err) {
    struct cr_critic_opts *o = &f->opts;
    struct cr_critic_result r;
    struct cr_progress progress;
    o->pairs = (unsigned)f->pairs;
    o->points = (unsigned)f->points;
    o->base = (unsigned)f->base;
    o->manner_percent[CR_VERDICT_FIRST] = (unsigned)f->first;
    o->manner_percent[CR_REASON_FIRST] = (unsigned)f->reason;
    o->manner_percent[CR_VERDICT_ONLY] = (unsigned)f->only;
    if (f->first + f->reason + f->only == 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--verdict-first, --reason-first and --verdict-only are all 0");
    o->n_threads = cr_data_threads(f->n_threads);
    o->on_progress = on_progress;
    o->cancel = cr_cancelled;
    o->user = &progress;
    cr_progress_begin(&progress, "judging", "scenes", f->common.quiet);
    enum critic_status status = cr_critic_generate(o, &r, err);
    cr_progress_clear(&progress);
    CR_TRY(status);
    if (f->common.json)
        return cr_print_json(
            json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "scenes", o->scenes, "n_scenes",
                      (json_int_t)r.n_scenes, "pairs", (json_int_t)r.n_pairs, "points",
                      (json_int_t)r.n_points, "base_turns", (json_int_t)r.n_base_turns,
                      "answer_bytes", (json_int_t)r.answer_bytes, "base_answer_bytes",
                      (json_int_t)r.base_answer_bytes),
            err);
    if (!f->common.quiet)
        printf("%zu scenes: %zu pairs%s, %zu single answers, %zu base turns (%.0f %% of "
               "the answer "
               "text of packed records)\n",
               r.n_scenes, r.n_pairs, o->both_orders ? " in both orders" : "", r.n_points,
               r.n_base_turns,
               r.answer_bytes
                   ? 100.0 * (double)r.base_answer_bytes / (double)r.answer_bytes
                   : 0);
    return CRITIC_OK;
}

int cr_cmd_data_critic(int n_args, const char *const *args) {
    struct critic_flags f = {
        .pairs = 3, .points = 2, .base = 12, .first = 35, .reason = 50, .only = 15};
    critic_error err = {0};
    cr_common_init(&f.common);
    cr_critic_opts_default(&f.opts);
    const struct cr_flag flags[] = {
        {"out", 'o', CR_FLAG_STR, &f.opts.out, "DIR", "folder (default: that of SCENES)",
         0, 0},
        {"seed", 0, CR_FLAG_U64, &f.opts.seed, "N", "of everything (default 1)", 0, 0},
        {"limit", 'n', CR_FLAG_SIZE, &f.opts.limit, "N", "scenes (default: all)", 1, 1e9},
        {"pairs", 0, CR_FLAG_SIZE, &f.pairs, "N", "pairs of answers a scene (default 3)",
         0, 64},
        {"points", 0, CR_FLAG_SIZE, &f.points, "N", "single answers a scene (default 2)",
         0, 64},
        {"base", 0, CR_FLAG_SIZE, &f.base, "N",
         "base turns in a packed record, the description among them (default 12)", 1, 64},
        {"verdict-first", 0, CR_FLAG_SIZE, &f.first, "N",
         "weight of the verdict with a reason behind it (default 35)", 0, 1000},
        {"reason-first", 0, CR_FLAG_SIZE, &f.reason, "N",
         "weight of the walk through the answer with the verdict behind it (default 50)",
         0, 1000},
        {"verdict-only", 0, CR_FLAG_SIZE, &f.only, "N",
         "weight of the bare verdict (default 15)", 0, 1000},
        {"both-orders", 0, CR_FLAG_BOOL, &f.opts.both_orders, NULL,
         "every pair a second time with the answers exchanged (for evaluation)", 0, 0},
        {"force", 0, CR_FLAG_BOOL, &f.opts.force, NULL, "replace files that are there", 0,
         0},
        CR_THREADS_FLAG(f.n_threads),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "data critic",
        .usage = "SCENES.jsonl [--pairs N] [--points N] [--seed N]",
        .about =
            "Judgements of answers of known quality about a world's scenes, scored by "
            "the oracle "
            "(docs/micro-world.md).\nThe same seed gives the same bytes. Writes:\n"
            "  critic.jsonl         one judgement a record, as LLaVA-Critic-113k: id, "
            "source, "
            "image, conversations\n"
            "  critic-packed.jsonl  all of a picture in one record with base turns; "
            "every pair of "
            "turns stands alone. Train on this.\n"
            "  critic-oracle.jsonl  line by line about critic.jsonl: the oracle's scores "
            "and claims; "
            "also items for\n"
            "                       'critic judge --input'\n"
            "Prompts come from the built-in templates micro-pair-… and micro-score-….",
        .example = "critic data world --out world --split train --count 40000\n"
                   "critic data critic world/train/scenes.jsonl",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.opts.scenes = parsed.positional[0];
    return cr_command_end(&parsed, cr_outcome(run_parsed(&f, &err), &err));
}
