/* That a run reports what the contract says, on a tiny network. No clock is compared. */
#include "t.h"

#include <math.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "engine/random_model.h"

static struct cr_engine *open_tiny(void) {
    struct cr_engine *e;
    struct cr_config config;
    struct cr_engine_opts opts;
    critic_error err;
    cr_engine_opts_default(&opts);
    opts.exec.n_threads = 1;
    opts.kv_bytes = (size_t)64 << 20;
    T_OK(cr_config_preset(&config, "tiny", &err));
    T_OK(cr_engine_open_random(&e, &config, CR_F32, 0, &opts, &err));
    return e;
}

struct seen {
    size_t begun, done;
};

static void count(void *user, const char *name, const struct cr_bench_phase *done) {
    struct seen *seen = user;
    assert_true(strlen(name) > 0);
    if (done)
        seen->done++;
    else
        seen->begun++;
}

static void run_from(struct cr_bench_report *r, const char *only, double started,
                     struct seen *seen) {
    critic_error err;
    struct cr_engine *e = open_tiny();
    struct cr_bench_opts opts = {.shape = "tiny",
                                 .dtype = "f32",
                                 .quick = true,
                                 .n_passes = 1,
                                 .started = started,
                                 .only = only,
                                 .image_width = 60,
                                 .image_height = 50,
                                 .on_phase = count,
                                 .user = seen};
    T_OK(cr_bench_run(r, e, &opts, &err));
    cr_engine_free(e);
}

static void run(struct cr_bench_report *r, const char *only, struct seen *seen) {
    run_from(r, only, cr_clock_seconds() + 1e6, seen); /* all fits */
}

static void test_nothing_begins_too_late(void **state) {
    (void)state;
    struct cr_bench_report r;
    struct seen seen = {0};
    run_from(&r, NULL, cr_clock_seconds() - 1e6, &seen);
    assert_int_equal(r.n_phases, 0);
    assert_int_equal(seen.begun, 1); /* the ceilings */
}

static size_t count_named(const struct cr_bench_report *r, const char *name) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_phases; i++)
        n += strcmp(r->phases[i].name, name) == 0;
    return n;
}

static void test_every_phase_is_reported(void **state) {
    (void)state;
    static const char *const names[] = {
        "jpeg",         "resize",       "tower",           "projector", "vision",
        "decode",       "decode_4",     "decode_8",        "request",   "verdict_only",
        "candidates_8", "ordered_pair", "ordered_pairs_20"};
    struct cr_bench_report r;
    struct seen seen = {0};
    run(&r, NULL, &seen);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(count_named(&r, names[i]), 1);
    assert_int_equal(count_named(&r, "prefill"), 3);
    assert_int_equal(seen.done, r.n_phases);
    assert_true(seen.begun > seen.done); /* the ceilings are announced too */
    assert_true(r.ceilings.f32 > 0 && r.ceilings.memory_read > 0);
    for (size_t i = 0; i < r.n_phases; i++) {
        const struct cr_bench_phase *p = &r.phases[i];
        assert_true(p->seconds > 0 && isfinite(p->share) && p->share > 0);
        assert_true((p->gops > 0) != (p->gbps > 0));
        double ceiling = p->gops > 0 ? r.ceilings.f32 : r.ceilings.memory_read;
        if (strncmp(p->name, "decode", 6) != 0) /* those have read passes of their own */
            T_NEAR((p->gops + p->gbps) / ceiling, p->share, 1e-9, 1e-9);
    }
}

static void test_only(void **state) {
    (void)state;
    struct cr_bench_report r;
    struct seen seen = {0};
    run(&r, "proj", &seen);
    assert_int_equal(r.n_phases, 1);
    assert_string_equal(r.phases[0].name, "projector");
    assert_int_equal(r.phases[0].tokens, 2 * 16);
}

static void fill(struct cr_bench_report *r) {
    memset(r, 0, sizeof *r);
    r->ceilings = (struct cr_bench_ceilings){1, 2, 3, 4};
    r->n_phases = 2;
    r->phases[0] =
        (struct cr_bench_phase){"prefill", "tiny", "bf16", 7, 0.5, 12.5, 0, 0.25};
    r->phases[1] =
        (struct cr_bench_phase){"decode", "tiny", "bf16", 9, 1.5, 0, 2.5, 0.75};
}

static void test_json(void **state) {
    (void)state;
    struct cr_bench_report r, back;
    critic_error err;
    fill(&r);
    json_t *json = cr_bench_to_json(&r);
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(3));
    assert_string_equal(
        text, "{\"ceilings\":{\"f32\":1.0,\"bf16\":2.0,\"int8\":3.0,\"memory_read\":4.0},"
              "\"phases\":[{\"name\":\"prefill\",\"dtype\":\"bf16\",\"shape\":\"tiny\","
              "\"tokens\":7,\"seconds\":0.5,\"gops\":12.5,\"share\":0.25},"
              "{\"name\":\"decode\",\"dtype\":\"bf16\",\"shape\":\"tiny\",\"tokens\":9,"
              "\"seconds\":1.5,\"gbps\":2.5,\"share\":0.75}]}");
    free(text);
    T_OK(cr_bench_from_json(&back, json, "r.json", &err));
    assert_memory_equal(&back, &r, sizeof r);
    assert_ptr_equal(cr_bench_find(&back, &r.phases[1]), &back.phases[1]);
    r.phases[1].tokens++;
    assert_null(cr_bench_find(&back, &r.phases[1]));
    json_decref(json);
}

static void test_json_that_is_none_of_ours(void **state) {
    (void)state;
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"ceilings\":{}}",
        "{\"ceilings\":1,\"phases\":[]}",
        "{\"ceilings\":{},\"phases\":[1]}",
        "{\"ceilings\":{},\"phases\":[{\"name\":\"a\"}]}",
        "{\"ceilings\":{},\"phases\":[{\"name\":\"a\",\"dtype\":\"f32\",\"shape\":\"s\","
        "\"tokens\":1}]}",
        "{\"ceilings\":{},\"phases\":[{\"name\":\"a\",\"dtype\":\"float32long\","
        "\"shape\":"
        "\"s\",\"tokens\":1,\"seconds\":1}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cr_bench_report r;
        critic_error err = {0};
        json_t *json = json_loads(bad[i], 0, NULL);
        assert_int_not_equal(cr_bench_from_json(&r, json, "r.json", &err), CRITIC_OK);
        assert_non_null(strstr(err.message, "r.json"));
        json_decref(json);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_phase_is_reported), cmocka_unit_test(test_only),
        cmocka_unit_test(test_nothing_begins_too_late), cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_that_is_none_of_ours)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
