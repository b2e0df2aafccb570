#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "io/json.h"

static json_t *phase_to_json(const struct cr_bench_phase *p) {
    json_t *o =
        json_pack("{s:s,s:s,s:s,s:I,s:f}", "name", p->name, "dtype", p->dtype, "shape",
                  p->shape, "tokens", (json_int_t)p->tokens, "seconds", p->seconds);
    if (!o)
        return NULL;
    if (p->gops > 0)
        json_object_set_new(o, "gops", json_real(p->gops));
    else
        json_object_set_new(o, "gbps", json_real(p->gbps));
    json_object_set_new(o, "share", json_real(p->share));
    return o;
}

static double seconds_of(const struct cr_bench_report *r, const char *name) {
    for (size_t i = 0; i < r->n_phases; i++)
        if (strcmp(r->phases[i].name, name) == 0)
            return r->phases[i].seconds;
    return (double)NAN;
}

struct cr_bench_ratios cr_bench_ratios(const struct cr_bench_report *r) {
    return (struct cr_bench_ratios){
        .answers_8 = seconds_of(r, "candidates_8") / seconds_of(r, "request"),
        .pairs_20 =
            20 * seconds_of(r, "ordered_pair") / seconds_of(r, "ordered_pairs_20")};
}

static void add_ratios(json_t *root, const struct cr_bench_report *r) {
    struct cr_bench_ratios ratios = cr_bench_ratios(r);
    json_t *o = json_object();
    if (!isnan(ratios.answers_8))
        json_object_set_new(o, "answers_8", json_real(ratios.answers_8));
    if (!isnan(ratios.pairs_20))
        json_object_set_new(o, "pairs_20", json_real(ratios.pairs_20));
    if (json_object_size(o) > 0)
        json_object_set(root, "ratios", o);
    json_decref(o);
}

json_t *cr_bench_to_json(const struct cr_bench_report *r) {
    json_t *phases = json_array();
    for (size_t i = 0; i < r->n_phases; i++)
        json_array_append_new(phases, phase_to_json(&r->phases[i]));
    json_t *root =
        json_pack("{s:{s:f,s:f,s:f,s:f},s:o}", "ceilings", "f32", r->ceilings.f32, "bf16",
                  r->ceilings.bf16, "int8", r->ceilings.int8, "memory_read",
                  r->ceilings.memory_read, "phases", phases);
    if (root)
        add_ratios(root, r);
    return root;
}

static enum critic_status text(char *to, size_t size, const json_t *o, const char *key,
                               const char *where, critic_error *err) {
    struct cr_str s = {NULL, 0};
    CR_TRY(cr_json_str(o, key, &s, where, err));
    if (!s.data || s.len >= size)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: '%s' is missing or longer than %zu bytes", where, key,
                       size - 1);
    memcpy(to, s.data, s.len);
    to[s.len] = '\0';
    return CRITIC_OK;
}

static enum critic_status phase_from_json(struct cr_bench_phase *p, const json_t *o,
                                          const char *where, critic_error *err) {
    CR_TRY(text(p->name, sizeof p->name, o, "name", where, err));
    CR_TRY(text(p->dtype, sizeof p->dtype, o, "dtype", where, err));
    CR_TRY(text(p->shape, sizeof p->shape, o, "shape", where, err));
    CR_TRY(cr_json_size(o, "tokens", 0, SIZE_MAX / 2, &p->tokens, where, err));
    CR_TRY(cr_json_double(o, "seconds", &p->seconds, where, err));
    CR_TRY(cr_json_double(o, "gops", &p->gops, where, err));
    CR_TRY(cr_json_double(o, "gbps", &p->gbps, where, err));
    CR_TRY(cr_json_double(o, "share", &p->share, where, err));
    if (!(p->seconds > 0))
        return cr_fail(err, CRITIC_BAD_DATA, "%s: 'seconds' is missing or not positive",
                       where);
    return CRITIC_OK;
}

enum critic_status cr_bench_from_json(struct cr_bench_report *out, const json_t *json,
                                      const char *where, critic_error *err) {
    memset(out, 0, sizeof *out);
    json_t *ceilings = NULL, *phases = NULL;
    if (!json_is_object(json))
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: expected what 'critic bench --json' prints", where);
    CR_TRY(cr_json_object(json, "ceilings", &ceilings, where, err));
    CR_TRY(cr_json_array(json, "phases", &phases, where, err));
    if (!ceilings || !phases || json_array_size(phases) > CR_BENCH_MAX_PHASES)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: expected what 'critic bench --json' prints", where);
    struct cr_bench_ceilings *c = &out->ceilings;
    CR_TRY(cr_json_double(ceilings, "f32", &c->f32, where, err));
    CR_TRY(cr_json_double(ceilings, "bf16", &c->bf16, where, err));
    CR_TRY(cr_json_double(ceilings, "int8", &c->int8, where, err));
    CR_TRY(cr_json_double(ceilings, "memory_read", &c->memory_read, where, err));
    for (size_t i = 0; i < json_array_size(phases); i++) {
        char place[160];
        snprintf(place, sizeof place, "%.120s: phase %zu", where, i);
        CR_TRY(phase_from_json(&out->phases[i], json_array_get(phases, i), place, err));
        out->n_phases++;
    }
    return CRITIC_OK;
}

const struct cr_bench_phase *cr_bench_find(const struct cr_bench_report *in,
                                           const struct cr_bench_phase *phase) {
    for (size_t i = 0; i < in->n_phases; i++) {
        const struct cr_bench_phase *p = &in->phases[i];
        if (p->tokens == phase->tokens && strcmp(p->name, phase->name) == 0 &&
            strcmp(p->dtype, phase->dtype) == 0 && strcmp(p->shape, phase->shape) == 0)
            return p;
    }
    return NULL;
}
