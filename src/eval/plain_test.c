/* MME, POPE and MMBench against scripts/golden/plain.py, which writes the rules down once more. */
#include "t.h"

#include "eval/mmbench.h"
#include "eval/mme.h"
#include "eval/pope.h"
#include "io/json.h"

#define GOLDEN(name) T_SOURCE("tests/golden/eval/" name)

static json_t *expected(const char *key) {
    critic_error err = {0};
    json_t *all;
    T_OK(cr_json_read(&all, GOLDEN("plain.json"), 1 << 20, &err));
    json_t *part = json_incref(json_object_get(all, key));
    json_decref(all);
    assert_non_null(part);
    return part;
}

static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void test_mme(void **state) {
    (void)state;
    critic_error err = {0};
    struct cr_faults faults = {0};
    struct cr_mme m;
    json_t *e = expected("mme");
    T_OK(cr_mme_score(&m, GOLDEN("mme"), &faults, &err));
    assert_int_equal(faults.n, 0);
    assert_int_equal(m.n_missing, 0);
    for (size_t i = 0; i < CR_MME_TASKS; i++) {
        const json_t *t = json_object_get(json_object_get(e, "tasks"), cr_mme_tasks[i]);
        const struct cr_mme_result *r = &m.tasks[i].by[CR_MME_OFFICIAL];
        T_NEAR(r->accuracy.value, number(t, "acc"), 1e-15, 0);
        T_NEAR(r->accuracy_plus.value, number(t, "acc_plus"), 1e-15, 0);
        T_NEAR(r->score.value, number(t, "score"), 1e-12, 0);
    }
    T_NEAR(m.perception[CR_MME_OFFICIAL].value, number(e, "perception"), 1e-10, 0);
    T_NEAR(m.cognition[CR_MME_OFFICIAL].value, number(e, "cognition"), 1e-10, 0);
    json_decref(e);
    cr_faults_fini(&faults);
}

static void pope_is(const struct cr_pope_result *r, const json_t *e) {
    T_NEAR(r->accuracy.value, number(e, "accuracy"), 1e-14, 0);
    T_NEAR(r->precision.value, number(e, "precision"), 1e-14, 0);
    T_NEAR(r->recall.value, number(e, "recall"), 1e-14, 0);
    T_NEAR(r->f1.value, number(e, "f1"), 1e-14, 0);
    T_NEAR(r->yes_ratio.value, number(e, "yes_ratio"), 1e-14, 0);
}

static void test_pope(void **state) {
    (void)state;
    static const char *const files[] = {GOLDEN("pope-answers.jsonl"),
                                        GOLDEN("pope-llava.jsonl")};
    critic_error err = {0};
    json_t *e = expected("pope");
    for (size_t f = 0; f < 2; f++) {
        struct cr_faults faults = {0};
        struct cr_pope p;
        T_OK(cr_pope_score(&p, files[f], GOLDEN("pope-labels.json"), &faults, &err));
        assert_int_equal(faults.n, 0);
        assert_int_equal(p.by_id, f == 1);
        assert_int_equal(p.by[0].n, 600);
        pope_is(&p.by[CR_POPE_OFFICIAL], e);
        assert_int_equal(p.n_splits, 3);
        for (size_t i = 0; i < 3; i++)
            pope_is(&p.splits[i].by[CR_POPE_OFFICIAL],
                    json_object_get(json_object_get(e, "splits"), p.splits[i].name));
        cr_pope_fini(&p);
        cr_faults_fini(&faults);
    }
    json_decref(e);
}

static void test_mmbench(void **state) {
    (void)state;
    static const char *const files[] = {GOLDEN("mmbench.tsv"), GOLDEN("mmbench.jsonl")};
    static const char *const rules[] = {"official", "vlmevalkit"};
    critic_error err = {0};
    json_t *e = expected("mmbench");
    for (size_t f = 0; f < 2; f++) {
        struct cr_faults faults = {0};
        struct cr_mmbench m;
        T_OK(cr_mmbench_score(&m, files[f], &faults, &err));
        assert_int_equal(faults.n, 0);
        assert_true((double)m.n_questions == number(e, "questions"));
        assert_true((double)m.n_rows == number(e, "rows"));
        for (size_t r = 0; r < 2; r++) {
            const json_t *x = json_object_get(e, rules[r]);
            const struct cr_mmbench_group *all = &m.groups[0];
            T_NEAR((double)all->n_hit[r] / (double)all->n_questions, number(x, "overall"),
                   1e-15, 0);
            assert_true((double)m.n_unread[r] == number(x, "unread"));
            assert_true((double)m.n_right[r] == number(x, "right"));
            for (size_t i = 1; i < m.n_groups; i++)
                if (strcmp(m.groups[i].kind, "category") == 0)
                    T_NEAR((double)m.groups[i].n_hit[r] / (double)m.groups[i].n_questions,
                           number(json_object_get(x, "category"), m.groups[i].name),
                           1e-15, 0);
        }
        cr_mmbench_fini(&m);
        cr_faults_fini(&faults);
    }
    json_decref(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mme),
        cmocka_unit_test(test_pope),
        cmocka_unit_test(test_mmbench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
