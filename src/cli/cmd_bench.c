/* critic bench: phases of judging beside this machine's ceilings. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/file.h"
#include "bench/bench.h"
#include "bench/page.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "engine/random_model.h"
#include "io/json.h"
#include "model/model.h"

#define MAX_REPORT_BYTES ((size_t)1 << 20)

struct bench_flags {
    struct cr_common common;
    struct cr_bench_opts opts;
    const char *compare, *report;
    uint64_t seed;
};

struct printer {
    const struct bench_flags *flags;
    struct cr_progress progress;
};

static void on_phase(void *user, const char *name, const struct cr_bench_phase *done) {
    struct printer *p = user;
    if (!done) {
        p->progress.what = name;
        cr_progress_tick(&p->progress);
        return;
    }
    if (!p->flags->common.verbose || p->flags->common.quiet)
        return;
    cr_progress_clear(&p->progress);
    fprintf(stderr, "%-16s %6zu tokens  %9.4f s\n", done->name, done->tokens,
            done->seconds);
}

/* ---- the network ---- */

/* Matrices of random weights have the type of the products; what is quantised anyway is made
 * of the smallest there is, or 7B would not fit beside its own 8 bits. */
static enum critic_status random_weights(const struct bench_flags *f,
                                         const struct cr_engine_opts *opts,
                                         struct cr_engine **out, critic_error *err) {
    struct cr_config config;
    struct cr_exec *ex;
    CR_TRY(cr_config_preset(&config, f->opts.shape, err));
    CR_TRY(cr_exec_new(&ex, &opts->exec, err));
    enum cr_dtype dtype = ex->compute == CR_COMPUTE_BF16 ? CR_BF16 : CR_F32;
    if (opts->weights != CR_WEIGHTS_FILE)
        dtype = CR_Q4_0;
    cr_exec_free(ex);
    double need = cr_params_elements(&config) * (double)cr_dtype_block_bytes(dtype) /
                  (double)cr_dtype_block_len(dtype);
    double have = (double)cr_memory_bytes();
    if (have > 0 && need > 0.9 * have)
        return cr_fail(err, CRITIC_NO_MEMORY,
                       "%s: random weights take %s; this machine has %s", f->opts.shape,
                       cr_size_text(need).text, cr_size_text(have).text);
    return cr_engine_open_random(out, &config, dtype, f->seed, opts, err);
}

static enum critic_status open_engine(struct bench_flags *f, struct cr_engine **out,
                                      critic_error *err) {
    struct cr_engine_opts opts;
    *out = NULL;
    if (f->common.model) {
        if (f->opts.shape)
            return cr_fail(err, CRITIC_BAD_ARGUMENT,
                           "--shape makes random weights: leave out --model");
        CR_TRY(cr_common_open(&f->common, out, err));
        const char *slash = strrchr(f->common.model, '/');
        f->opts.shape = slash && slash[1] ? slash + 1 : f->common.model;
    } else {
        if (!f->opts.shape)
            f->opts.shape = "onevision-0.5b";
        CR_TRY(cr_common_engine_opts(&f->common, &opts, err));
        CR_TRY(random_weights(f, &opts, out, err));
    }
    f->opts.dtype = cr_engine_dtype(*out);
    return CRITIC_OK;
}

/* ---- printing ---- */

static void print_rate(const struct cr_bench_phase *p) {
    if (p->gops > 0)
        printf(" %8.1f Gop/s", p->gops);
    else
        printf(" %8.2f GB/s ", p->gbps);
}

/* How many times as fast as before; the rates are compared, so the machines may differ. */
static void print_ratio(const struct cr_bench_phase *now,
                        const struct cr_bench_report *before) {
    const struct cr_bench_phase *then = before ? cr_bench_find(before, now) : NULL;
    if (then)
        printf("  %6.2fx  was %.4f s, %.0f %%", then->seconds / now->seconds,
               then->seconds, 100 * then->share);
}

static void print_text(const struct bench_flags *f, const struct cr_bench_report *r,
                       const struct cr_bench_report *before) {
    const struct cr_bench_ceilings *c = &r->ceilings;
    printf("ceilings   f32 %.0f, bf16 %.0f, int8 %.0f Gop/s; memory read %.1f GB/s\n",
           c->f32, c->bf16, c->int8, c->memory_read);
    printf("network    %s, %s\n\n", f->opts.shape, f->opts.dtype);
    printf("%-18s %7s %11s %14s %6s\n", "phase", "tokens", "seconds", "rate", "share");
    for (size_t i = 0; i < r->n_phases; i++) {
        const struct cr_bench_phase *p = &r->phases[i];
        printf("%-18s %7zu %11.5f", p->name, p->tokens, p->seconds);
        print_rate(p);
        printf(" %5.1f %%", 100 * p->share);
        print_ratio(p, before);
        putchar('\n');
    }
    struct cr_bench_ratios ratios = cr_bench_ratios(r);
    if (!isnan(ratios.answers_8))
        printf("\n8 answers on one picture take %.2f times as long as 1\n",
               ratios.answers_8);
    if (!isnan(ratios.pairs_20))
        printf("20 ordered pairs are %.2f times as fast as each alone\n",
               ratios.pairs_20);
}

static enum critic_status read_report(const char *path, struct cr_bench_report *out,
                                      critic_error *err) {
    json_t *json;
    CR_TRY(cr_json_read(&json, path, MAX_REPORT_BYTES, err));
    enum critic_status status = cr_bench_from_json(out, json, path, err);
    json_decref(json);
    return status;
}

/* Minutes of measuring are not to end in a folder that is not there. */
static enum critic_status can_write(const char *path, critic_error *err) {
    struct cr_out out;
    CR_TRY(cr_out_open(&out, path, err));
    cr_out_abort(&out);
    return CRITIC_OK;
}

static enum critic_status run_parsed(struct bench_flags *f, critic_error *err) {
    struct cr_bench_report before, *report = calloc(1, sizeof *report);
    struct cr_engine *engine = NULL;
    struct printer printer = {.flags = f};
    enum critic_status status = CRITIC_OK;
    if (!report)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    if (f->compare)
        CR_TRY_GOTO(read_report(f->compare, &before, err));
    if (f->report)
        CR_TRY_GOTO(can_write(f->report, err));
    cr_progress_begin(&printer.progress, "weights", NULL, f->common.quiet);
    f->common.progress = &printer.progress;
    f->opts.on_phase = on_phase;
    f->opts.user = &printer;
    CR_TRY_GOTO(open_engine(f, &engine, err));
    CR_TRY_GOTO(cr_bench_run(report, engine, &f->opts, err));
    if (f->opts.only && report->n_phases == 0) {
        status = cr_fail(err, CRITIC_BAD_ARGUMENT,
                         "--only '%s': no phase of this run begins with it; without "
                         "--only all are listed",
                         f->opts.only);
        goto fail;
    }
    cr_progress_clear(&printer.progress);
    if (f->report)
        CR_TRY_GOTO(cr_bench_page(f->report, report, f->compare ? &before : NULL, err));
    if (f->common.json)
        status = cr_print_json(cr_bench_to_json(report), err);
    else
        print_text(f, report, f->compare ? &before : NULL);
fail:
    cr_progress_clear(&printer.progress);
    f->common.progress = NULL;
    cr_engine_free(engine);
    free(report);
    return status;
}

int cr_cmd_bench(int n_args, const char *const *args) {
    struct bench_flags f = {.opts.started = cr_clock_seconds()};
    critic_error err = {0};
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        {"shape", 0, CR_FLAG_STR, &f.opts.shape, "NAME",
         "random weights of onevision-0.5b (default), onevision-7b, onevision-72b, "
         "qwen-1.5b or "
         "tiny",
         0, 0},
        CR_MODEL_FLAG(f.common),
        {"quick", 0, CR_FLAG_BOOL, &f.opts.quick, NULL,
         "short phases, done within 40 seconds; what would not be is left out", 0, 0},
        {"only", 0, CR_FLAG_STR, &f.opts.only, "NAME",
         "phases whose name begins with NAME", 0, 0},
        {"passes", 0, CR_FLAG_SIZE, &f.opts.n_passes, "N",
         "passes of each phase, of which the fastest counts (default 2, decode 24; "
         "quick: 1 and 12)",
         1, 100},
        {"tokens", 0, CR_FLAG_SIZE, &f.opts.n_tokens, "N",
         "of the prompt in prefill (default 256, 1,024 and 4,096) and before decode "
         "(default 1,024)",
         1, 1000000},
        {"image-width", 0, CR_FLAG_SIZE, &f.opts.image_width, "PX",
         "of the picture (default 640)", 1, 20000},
        {"image-height", 0, CR_FLAG_SIZE, &f.opts.image_height, "PX",
         "of the picture (default 480)", 1, 20000},
        {"seed", 0, CR_FLAG_U64, &f.seed, "N", "of the random weights", 0, 0},
        {"compare", 0, CR_FLAG_STR, &f.compare, "FILE",
         "what --json printed before: how many times as fast now", 0, 0},
        {"report", 0, CR_FLAG_STR, &f.report, "FILE",
         "the same as an HTML page with a chart", 0, 0},
        CR_MACHINE_FLAGS(f.common),
        CR_KV_FLAG(f.common),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "bench",
        .usage = "[--shape NAME | --model MODEL] [--quick] [--json]",
        .about =
            "Phases of judging (picture, tower, prefill, decode, verdicts that share a "
            "picture)\nbeside what this machine can do at most, measured in the same "
            "run.",
        .example = "critic bench --quick\n"
                   "critic bench --shape onevision-7b --json > before.json",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, cr_outcome(run_parsed(&f, &err), &err));
}
