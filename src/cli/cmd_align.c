/* critic align: rounds of answers, verdicts, training and evaluation. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/align.h"
#include "cli/signals.h"
#include "io/json.h"
#include "io/jsonl.h"

#define MAX_PROMPT_BYTES ((size_t)4 << 30)

/* ---- prompts ----------------------------------------------------------------------------- */

/* Which share of all ids is below this one: the same prompts are kept back in every run. */
static double place_of(const json_t *prompt) {
    const char *id = json_string_value(json_object_get(prompt, "id"));
    struct cr_hash h;
    uint64_t value[2];
    cr_hash_init(&h, 0);
    cr_hash_update(&h, id, strlen(id));
    cr_hash_final(&h, value);
    return (double)(value[0] >> 11) / 9007199254740992.0;
}

static enum critic_status split(struct cr_align_flags *f, critic_error *err) {
    json_t *all = f->prompts, *prompt;
    size_t i;
    f->prompts = json_array();
    f->held_out = json_array();
    json_array_foreach(all, i, prompt) json_array_append(
        place_of(prompt) < f->eval_share ? f->held_out : f->prompts, prompt);
    json_decref(all);
    if (json_array_size(f->held_out) > 0 && json_array_size(f->prompts) > 0)
        return CRITIC_OK;
    return cr_fail(
        err, CRITIC_BAD_DATA,
        "%s: %zu prompts to train on and %zu kept back; expected some of both: "
        "another --eval-share, or --eval-prompts",
        f->all.prompts, json_array_size(f->prompts), json_array_size(f->held_out));
}

static enum critic_status read_prompts(struct cr_align_flags *f, critic_error *err) {
    struct cr_prefer_flags eval = f->all;
    CR_TRY(cr_prefer_prompts(&f->prompts, f->all.prompts, err));
    cr_prefer_image_folder(&f->all, f->folder, sizeof f->folder);
    if (!f->eval_prompts) {
        memcpy(f->eval_folder, f->folder, sizeof f->folder);
        return split(f, err);
    }
    eval.prompts = f->eval_prompts;
    cr_prefer_image_folder(&eval, f->eval_folder, sizeof f->eval_folder);
    return cr_prefer_prompts(&f->held_out, f->eval_prompts, err);
}

/* ---- what must be the same to go on -------------------------------------------------------- */

static json_t *hash_of(const json_t *prompts) {
    struct cr_hash h;
    struct cr_buf text;
    char hex[CR_HASH_HEX];
    cr_hash_init(&h, 0);
    cr_buf_init(&text, MAX_PROMPT_BYTES);
    if (cr_json_append(&text, prompts, NULL) == CRITIC_OK)
        cr_hash_update(&h, text.data, text.len);
    cr_buf_fini(&text);
    cr_hash_hex(&h, hex);
    return json_string(hex);
}

static json_t *sampling_options(const struct cr_prefer_opts *o) {
    return json_pack("{s:I,s:f,s:f,s:I,s:I,s:I,s:o}", "samples", (json_int_t)o->k,
                     "temperature", o->temperature, "top-p", o->top_p, "top-k",
                     (json_int_t)o->top_k, "max-new-tokens",
                     (json_int_t)o->max_new_tokens, "seed", (json_int_t)o->seed, "system",
                     o->system.data ? json_stringn(o->system.data, o->system.len)
                                    : json_null());
}

static json_t *judging_options(const struct cr_prefer_flags *f) {
    static const char *const rewards[] = {"sum", "bradley-terry", "win", "score"};
    const struct cr_select_opts *select = &f->opts.select;
    return json_pack(
        "{s:s,s:s,s:b,s:b,s:f,s:I,s:b,s:s,s:f,s:f,s:b}", "reward", rewards[f->reward],
        "template", f->template_name ? f->template_name : "", "with-reasons",
        f->with_reasons, "verdict-only", f->verdict_only, "explain-below",
        f->judge.opts.explain_below, "judge-tokens",
        (json_int_t)f->judge.opts.max_new_tokens, "one-order", f->one_order, "pairs",
        f->pairing ? "all" : "best-worst", "min-margin", select->min_margin, "near-same",
        select->near_same, "keep-truncated", select->keep_truncated);
}

static json_t *machine_options(const struct cr_common *c) {
    static const char *const kv[] = {"auto", "f32", "bf16", "int8"};
    static const char *const preprocess[] = {"auto", "lmms", "hf"};
    return json_pack("{s:s,s:s,s:s,s:I}", "dtype", cr_align_dtypes[c->dtype], "kv-dtype",
                     kv[c->kv_dtype], "preprocess", preprocess[c->preprocess], "context",
                     (json_int_t)c->context);
}

/* Takes part; false: no memory. */
static bool add_options(json_t *to, json_t *part) {
    bool done = to && part && json_object_update(to, part) == 0;
    json_decref(part);
    return done;
}

/* A new reference; NULL: no memory. */
static json_t *options_of(const struct cr_align_flags *f) {
    json_t *train = json_array();
    for (size_t i = 0; i < f->n_train; i++)
        json_array_append_new(train, json_string(f->train[i]));
    json_t *all =
        json_pack("{s:o,s:o,s:s,s:s,s:o}", "prompts", hash_of(f->prompts), "eval-prompts",
                  hash_of(f->held_out), "version", critic_version(), "train",
                  f->method == CR_ALIGN_SFT ? "sft" : "dpo", "train-flags", train);
    if (add_options(all, sampling_options(&f->all.opts)) &&
        add_options(all, judging_options(&f->all)) &&
        add_options(all, machine_options(&f->all.common)))
        return all;
    json_decref(all);
    return NULL;
}

/* ---- results ------------------------------------------------------------------------------- */

/* Prompts of all rounds that failed, from rounds.jsonl. */
static enum critic_status count_faults(const struct cr_align_flags *f, size_t *n,
                                       critic_error *err) {
    char path[CR_ALIGN_MAX_PATH];
    struct cr_jsonl_reader reader;
    struct cr_str text;
    *n = 0;
    snprintf(path, sizeof path, "%s/rounds.jsonl", f->out);
    enum critic_status status = cr_jsonl_open(&reader, path, (size_t)1 << 24, err);
    while (status == CRITIC_OK) {
        json_t *row = NULL;
        status = cr_jsonl_next(&reader, &text, err);
        if (status != CRITIC_OK || !text.data)
            break;
        status = cr_json_parse(&row, text.data, text.len, path, err);
        const json_t *judge = json_object_get(json_object_get(row, "stages"), "judge");
        *n += (size_t)json_integer_value(json_object_get(row, "failed")) +
              (size_t)json_integer_value(json_object_get(judge, "failed"));
        json_decref(row);
    }
    cr_jsonl_close(&reader);
    return status;
}

static enum critic_status print_rounds(const struct cr_align_flags *f,
                                       critic_error *err) {
    char path[CR_ALIGN_MAX_PATH];
    struct cr_buf text;
    snprintf(path, sizeof path, "%s/rounds.jsonl", f->out);
    cr_buf_init(&text, (size_t)1 << 30);
    enum critic_status status = cr_file_read(path, &text, err);
    if (status == CRITIC_OK)
        cr_print_text(cr_buf_str(&text));
    cr_buf_fini(&text);
    return status;
}

static void print_cell(const struct cr_align_row *row, enum cr_align_measure m,
                       double scale, int decimals) {
    const struct cr_align_cell *c = &row->of[m];
    char text[64];
    if (c->n == 0)
        snprintf(text, sizeof text, "-");
    else if (isnan(c->low))
        snprintf(text, sizeof text, "%.*f", decimals, scale * c->value);
    else
        snprintf(text, sizeof text, "%.*f (%.*f to %.*f)", decimals, scale * c->value,
                 decimals, scale * c->low, decimals, scale * c->high);
    printf(" %-24s", text);
}

static enum critic_status print_table(const struct cr_align_flags *f, critic_error *err) {
    printf("%-6s %-24s %-24s %-24s %-24s %-24s %s\n", "round", "win rate, %",
           "oracle's quality", "gain, greedy", "gain, drawn", "tokens", "KL, nats");
    for (size_t k = 0; k <= f->n_rounds; k++) {
        struct cr_align_row row;
        char folder[CR_ALIGN_MAX_PATH];
        snprintf(folder, sizeof folder, "%s/round-%zu", f->out, k);
        CR_TRY(cr_align_row_read(&row, k, folder, err));
        printf("%-6zu", k);
        print_cell(&row, CR_ALIGN_WIN, 100, 1);
        print_cell(&row, CR_ALIGN_QUALITY, 1, 1);
        print_cell(&row, CR_ALIGN_GAIN, 1, 1);
        print_cell(&row, CR_ALIGN_DRAWN_GAIN, 1, 1);
        print_cell(&row, CR_ALIGN_TOKENS, 1, 1);
        print_cell(&row, CR_ALIGN_KL, 1, 2);
        putchar('\n');
    }
    printf("the last policy: %s/round-%zu/policy; the report: %s/report.html\n", f->out,
           f->n_rounds, f->out);
    return CRITIC_OK;
}

/* ---- --------------------------------------------------------------------------------------- */

static enum critic_status check_flags(struct cr_align_flags *f, critic_error *err) {
    CR_TRY(cr_prefer_flags_check(&f->all, err));
    if (!f->out)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "no place for the run: give --out RUN");
    if (strlen(f->out) + 64 > CR_ALIGN_MAX_PATH)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--out: a path that long cannot be used");
    if (f->n_train > 64)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%zu words behind '--'; expected at most 64", f->n_train);
    CR_TRY(cr_align_check_lora(f, err));
    if (f->all.opts.k < 2)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "one answer makes no pair: expected --samples of 2 or more");
    return CRITIC_OK;
}

static void on_stage(void *user, size_t round, const char *stage) {
    struct cr_align_flags *f = user;
    f->round = round;
    f->stage = stage;
    if (!f->all.common.quiet)
        fprintf(stderr, "round %zu: %s\n", round, stage);
}

static enum critic_status run(struct cr_align_flags *f, size_t *n_faults,
                              critic_error *err) {
    struct cr_align_opts o = {.out = f->out,
                              .n_rounds = f->n_rounds,
                              .late = {"train-flags", "train"},
                              .resume = f->resume,
                              .on_stage = on_stage,
                              .user = f};
    f->all.common.progress = &f->all.progress;
    CR_TRY(check_flags(f, err));
    f->exit_status = cr_align_check_train(f);
    if (f->exit_status >= 0)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "critic train has said why");
    CR_TRY(read_prompts(f, err));
    json_t *options = options_of(f);
    if (!options)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    o.options = options;
    enum critic_status status =
        cr_align_run(&o, cr_align_stages, cr_align_n_stages, f, err);
    json_decref(options);
    CR_TRY(status);
    CR_TRY(count_faults(f, n_faults, err));
    if (f->all.common.json)
        return print_rounds(f, err);
    return f->all.common.quiet ? CRITIC_OK : print_table(f, err);
}

int cr_cmd_align(int n_args, const char *const *args) {
    struct cr_align_flags f;
    critic_error err = {0};
    memset(&f, 0, sizeof f);
    cr_prefer_flags_init(&f.all);
    f.exit_status = -1;
    f.n_rounds = 3;
    f.eval_share = 0.1;
    f.n_examples = 8;
    const struct cr_flag flags[] = {
        CR_PREFER_WHAT_FLAGS(f.all),
        {"rounds", 0, CR_FLAG_SIZE, &f.n_rounds, "R",
         "rounds in all (default 3); more of them go on from a finished run", 1, 1000},
        {"out", 'o', CR_FLAG_STR, &f.out, "RUN", "the run's folder; it can be moved", 0,
         0},
        {"train", 0, CR_FLAG_CHOICE, &f.method, "dpo|sft",
         "dpo: on the pairs (default); sft: on the best answers alone (rejection "
         "sampling)",
         0, 0},
        {"resume", 0, CR_FLAG_BOOL, &f.resume, NULL, "go on with the run that is there",
         0, 0},
        {"evaluation", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"eval-prompts", 0, CR_FLAG_STR, &f.eval_prompts, "FILE",
         "prompts that no pair comes from; default: a share of --prompts", 0, 0},
        {"eval-share", 0, CR_FLAG_DOUBLE, &f.eval_share, "X",
         "that share, chosen by id (default 0.1)", 0, 0.9},
        {"examples", 0, CR_FLAG_SIZE, &f.n_examples, "N",
         "answers side by side in the report (default 8)", 0, 200},
        CR_PREFER_ANSWER_FLAGS(f.all),
        CR_PREFER_JUDGE_FLAGS(f.all),
        CR_PREFER_SELECT_FLAGS(f.all),
        CR_MACHINE_FLAGS(f.all.common),
        CR_PICTURE_FLAGS(f.all.common),
        CR_OUTPUT_FLAGS(f.all.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "align",
        .usage =
            "--policy MODEL --critic MODEL --prompts FILE --out RUN [-- TRAIN-FLAGS]",
        .about =
            "Preference learning in rounds: each samples answers from the newest policy, "
            "lets the\ncritic compare them (critic prefer), trains on the pairs (critic "
            "train dpo) and measures\nthe policy against round 0. What stands behind "
            "'--' are flags of that training.\nA run that was stopped in any way goes "
            "on with --resume, to the same bytes.",
        .example = "critic align --policy ./policy --critic ./critic --prompts p.jsonl "
                   "--out run "
                   "\\\n    --rounds 3 -- --beta 0.1 --lr 5e-7 --epochs 1",
        .flags = flags,
        .max_positional = 1000};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.train = parsed.positional;
    f.n_train = parsed.n_positional;
    size_t n_faults = 0;
    enum critic_status done = run(&f, &n_faults, &err);
    if (done == CRITIC_CANCELLED)
        cr_fail(&err, done, "interrupted; go on with --resume");
    if (done == CRITIC_IO && f.stage) /* a full disk, an endpoint that died */
        cr_error_wrap(&err, done,
                      "stopped in round %zu, stage %s; --resume goes on: ", f.round,
                      f.stage);
    status = done == CRITIC_OK    ? (n_faults ? CR_EXIT_FAILED : CR_EXIT_DONE)
             : f.exit_status >= 0 ? f.exit_status /* the sub-command said why */
                                  : cr_report(&err);
    json_decref(f.prompts);
    json_decref(f.held_out);
    return cr_command_end(&parsed, status);
}
