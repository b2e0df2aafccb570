#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "bench/picture.h"
#include "bench/run.h"
#include "bench/work.h"
#include "engine/random_model.h"
#include "kernel/ceiling.h"

/* A quick run starts nothing that would end later, at half of the ceiling or at the pace seen. */
#define QUICK_SECONDS 36.0
/* Ceilings are measured again as long as this is left for phases. */
#define PHASES_SECONDS 24.0
/* Phases shorter than this say nothing about the machine. */
#define PACE_SECONDS 0.25
/* Short work in a quick run: about 3 seconds of two cores with AVX-512. */
#define QUICK_OPS 1.0e12
/* Longer phases run once, whatever was asked for. */
#define LONG_SECONDS 30.0

/* Ceiling of the products' type, operations a second; 0 where there is none. */
static double ceiling_of(const struct cr_bench_run *r) {
    const struct cr_bench_ceilings *c = &r->report->ceilings;
    const char *dtype = r->opts->dtype;
    double gops = strcmp(dtype, "f32") == 0    ? c->f32
                  : strcmp(dtype, "bf16") == 0 ? c->bf16
                                               : c->int8;
    return gops * 1e9;
}

static double seconds_of(const struct cr_bench_run *r, double n_ops) {
    double ceiling = ceiling_of(r);
    if (ceiling <= 0) /* an ISA without such products */
        ceiling = r->report->ceilings.f32 * 1e9;
    return ceiling > 0 ? n_ops / (ceiling / 2) : 0;
}

bool cr_bench_has_time(const struct cr_bench_run *r, double seconds) {
    const struct cr_bench_opts *o = r->opts;
    return !o->quick || cr_clock_seconds() - o->started + seconds <= QUICK_SECONDS;
}

bool cr_bench_begin(struct cr_bench_run *r, const char *name, double n_ops) {
    const struct cr_bench_opts *o = r->opts;
    if (o->only && strncmp(name, o->only, strlen(o->only)) != 0)
        return false;
    if (!cr_bench_has_time(r, seconds_of(r, n_ops) * CR_MAX(r->pace, 1)))
        return false;
    if (o->on_phase)
        o->on_phase(o->user, name, NULL);
    return true;
}

size_t cr_bench_passes(const struct cr_bench_run *r, double n_ops) {
    if (seconds_of(r, n_ops) > LONG_SECONDS)
        return 1;
    if (r->opts->n_passes)
        return r->opts->n_passes;
    return r->opts->quick ? 1 : 2;
}

void cr_bench_add(struct cr_bench_run *r, const char *name, size_t tokens, double seconds,
                  double n_ops, double n_bytes, double share) {
    CR_ASSERT(r->report->n_phases < CR_BENCH_MAX_PHASES);
    struct cr_bench_phase *p = &r->report->phases[r->report->n_phases++];
    seconds = CR_MAX(seconds, 1e-9); /* a clock may stand still */
    *p = (struct cr_bench_phase){.tokens = tokens, .seconds = seconds, .share = share};
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->shape, sizeof p->shape, "%s", r->opts->shape);
    snprintf(p->dtype, sizeof p->dtype, "%s", r->opts->dtype);
    p->gops = n_ops / seconds / 1e9;
    if (seconds > PACE_SECONDS && seconds_of(r, n_ops) > 0)
        r->pace = CR_MAX(r->pace, seconds / seconds_of(r, n_ops));
    p->gbps = n_ops > 0 ? 0 : n_bytes / seconds / 1e9;
    if (r->opts->on_phase)
        r->opts->on_phase(r->opts->user, name, p);
}

size_t cr_bench_tokens(const struct cr_bench_run *r, size_t n, size_t first) {
    while (r->opts->quick && n > 16 && cr_work_decoder(r->config, first, n) > QUICK_OPS)
        n /= 2;
    return n;
}

enum critic_status cr_bench_random_ids(struct cr_bench_run *r, struct cr_prompt *p,
                                       size_t n, critic_error *err) {
    for (size_t i = 0; i < n; i++) {
        int32_t id =
            (int32_t)cr_rng_below(&r->rng, CR_MIN(r->config->text.vocab, 50000u));
        CR_TRY(cr_prompt_tokens(p, &id, 1, err));
    }
    return CRITIC_OK;
}

/* ---- ceilings ---- */

double cr_bench_read_pass(struct cr_bench_run *r) {
    double gbps = cr_ceiling_memory_read(r->ex->isa, r->ex->n_threads) / 1e9;
    struct cr_bench_ceilings *c = &r->report->ceilings;
    c->memory_read = CR_MAX(c->memory_read, gbps);
    return gbps;
}

static void arithmetic_ceilings(struct cr_bench_run *r) {
    struct cr_bench_ceilings *c = &r->report->ceilings;
    enum cr_isa isa = r->ex->isa;
    int n = r->ex->n_threads;
    for (int i = 0; i < 4 && (i == 0 || cr_bench_has_time(r, PHASES_SECONDS)); i++) {
        c->f32 = CR_MAX(c->f32, cr_ceiling_f32(isa, n) / 1e9);
        c->bf16 = CR_MAX(c->bf16, cr_ceiling_bf16(isa, n) / 1e9);
        c->int8 = CR_MAX(c->int8, cr_ceiling_int8(isa, n) / 1e9);
    }
}

static void first_ceilings(struct cr_bench_run *r) {
    if (r->opts->on_phase)
        r->opts->on_phase(r->opts->user, "ceilings", NULL);
    arithmetic_ceilings(r);
    for (int i = 0; i < 3 && (i == 0 || cr_bench_has_time(r, PHASES_SECONDS)); i++)
        cr_bench_read_pass(r);
}

/* Ceilings once more, then every phase's share of its own. */
static void finish(struct cr_bench_run *r) {
    struct cr_bench_ceilings *c = &r->report->ceilings;
    if (cr_bench_has_time(r, 0))
        arithmetic_ceilings(r);
    double gops = ceiling_of(r) / 1e9;
    for (size_t i = 0; i < r->report->n_phases; i++) {
        struct cr_bench_phase *p = &r->report->phases[i];
        if (p->gops > 0)
            p->share = gops > 0 ? p->gops / gops : 0;
        else if (p->share == 0 &&
                 c->memory_read > 0) /* not taken beside its own passes */
            p->share = p->gbps / c->memory_read;
    }
}

/* ---- the whole ---- */

static enum critic_status run_phases(struct cr_bench_run *r, critic_error *err) {
    static enum critic_status (*const groups[])(struct cr_bench_run *, critic_error *) = {
        cr_bench_pictures, cr_bench_prefill, cr_bench_decode, cr_bench_judging};
    const struct cr_bench_opts *o = r->opts;
    size_t width = o->image_width ? o->image_width : 640;
    size_t height = o->image_height ? o->image_height : 480;
    CR_TRY(cr_bench_picture(&r->picture, width, height, err));
    first_ceilings(r);
    for (size_t i = 0; i < CR_COUNT(groups); i++)
        CR_TRY(groups[i](r, err));
    finish(r);
    return CRITIC_OK;
}

enum critic_status cr_bench_run(struct cr_bench_report *out, struct cr_engine *e,
                                const struct cr_bench_opts *opts, critic_error *err) {
    struct cr_bench_run r = {.engine = e,
                             .ex = cr_engine_exec(e),
                             .model = cr_engine_model(e),
                             .config = cr_engine_config(e),
                             .opts = opts,
                             .report = out};
    memset(out, 0, sizeof *out);
    cr_rng_seed(&r.rng, 1);
    enum critic_status status = run_phases(&r, err);
    cr_engine_drop_cache(e);
    cr_image_free(&r.picture);
    return status;
}
