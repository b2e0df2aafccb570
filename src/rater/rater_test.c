#include "rater/rater.h"

#include "base/file.h"
#include "image/image.h"
#include "t.h"

static critic_error err;

static const struct cr_str answers[] = {
    {"short", 5}, {"rather long an answer", 21}, {"\xe7\x8c\xab", 3}};

static struct cr_verdict judged(struct cr_rater *rater, const char *template_name,
                                size_t n_answers, const char *id, bool both) {
    struct cr_item item = {.id = cr_str_of(id),
                           .question = cr_str_of("Which?"),
                           .answers = answers,
                           .n_answers = n_answers};
    struct cr_judge_opts opts;
    struct cr_judge *judge;
    struct cr_verdict v;
    cr_judge_opts_default(&opts);
    opts.template_name = template_name;
    opts.both_orders = both;
    T_OK(cr_judge_new_voiced(&judge, cr_rater_voice(rater), &opts, &err));
    memset(&err, 0, sizeof err);
    if (cr_judge_item(judge, &item, &v, &err) != CRITIC_OK)
        v.opinion.status = CR_VERDICT_ERROR;
    cr_judge_free(judge);
    return v;
}

static bool truth_of(void *user, const struct cr_item *item, struct cr_truth *out) {
    static const size_t order[] = {2, 0, 1};
    (void)user;
    if (!cr_str_eq_c(item->id, "known"))
        return false;
    *out = (struct cr_truth){.score = 7, .choice = CR_CHOICE_SECOND, .order = order};
    return true;
}

static enum cr_choice choice(const char *name, bool both) {
    const struct cr_truths truths = {truth_of, NULL};
    struct cr_rater *rater;
    T_OK(cr_rater_baseline(&rater, name, &truths, 3, &err));
    struct cr_verdict v = judged(rater, "pairwise", 2, "known", both);
    enum cr_choice c = v.opinion.choice;
    if (both && strcmp(name, "first") == 0)
        assert_false(v.opinion.consistent);
    cr_verdict_fini(&v);
    cr_rater_free(rater);
    return c;
}

static void baselines_choose(void **state) {
    (void)state;
    assert_int_equal(choice("oracle", false), CR_CHOICE_SECOND);
    assert_int_equal(choice("oracle", true), CR_CHOICE_SECOND);
    assert_int_equal(choice("longer", true), CR_CHOICE_SECOND);
    assert_int_equal(choice("shorter", true), CR_CHOICE_FIRST);
    assert_int_equal(choice("first", false), CR_CHOICE_FIRST);
    assert_int_equal(choice("second", false), CR_CHOICE_SECOND);
    assert_int_equal(choice("first", true), CR_CHOICE_TIE); /* it contradicts itself */
    assert_int_equal(choice("tie", false), CR_CHOICE_TIE);
}

static void baselines_score_and_rank(void **state) {
    (void)state;
    const struct cr_truths truths = {truth_of, NULL};
    struct cr_rater *rater;
    T_OK(cr_rater_baseline(&rater, "oracle", &truths, 0, &err));
    struct cr_verdict v = judged(rater, "pointwise", 1, "known", false);
    T_NEAR(v.opinion.score, 7, 0, 0);
    cr_verdict_fini(&v);
    v = judged(rater, "ranking", 3, "known", false);
    assert_int_equal(v.opinion.order[0], 2);
    assert_int_equal(v.opinion.order[2], 1);
    cr_verdict_fini(&v);
    v = judged(rater, "pointwise", 1, "unknown", false);
    assert_int_equal(v.opinion.status, CR_VERDICT_ERROR);
    assert_non_null(strstr(err.message, "no label"));
    cr_rater_free(rater);
    T_OK(cr_rater_baseline(&rater, "longer", NULL, 0, &err));
    v = judged(rater, "ranking", 3, "x", false);
    assert_int_equal(v.opinion.order[0], 1);
    assert_int_equal(v.opinion.order[2], 2); /* one code point, three bytes */
    cr_verdict_fini(&v);
    cr_rater_free(rater);
    T_FAILS(cr_rater_baseline(&rater, "wise", NULL, 0, &err), CRITIC_BAD_ARGUMENT,
            "wise");
    T_FAILS(cr_rater_baseline(&rater, "oracle", NULL, 0, &err), CRITIC_BAD_ARGUMENT,
            "labels");
}

static void the_coin_is_fair_and_repeats(void **state) {
    (void)state;
    struct cr_rater *rater;
    size_t first = 0, agree = 0;
    T_OK(cr_rater_baseline(&rater, "coin", NULL, 11, &err));
    for (int i = 0; i < 400; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        struct cr_verdict v = judged(rater, "pairwise", 2, id, true);
        first += v.opinion.parts[0].choice == CR_CHOICE_FIRST;
        agree += v.opinion.consistent;
        cr_verdict_fini(&v);
    }
    assert_in_range(first, 160, 240); /* 4 standard deviations */
    assert_in_range(agree, 160, 240);
    struct cr_verdict a = judged(rater, "pairwise", 2, "7", false);
    struct cr_verdict b = judged(rater, "pairwise", 2, "7", false);
    assert_int_equal(a.opinion.choice, b.opinion.choice);
    cr_verdict_fini(&a);
    cr_verdict_fini(&b);
    cr_rater_free(rater);
}

static struct cr_rater *file_of(const char *text) {
    struct cr_rater *rater;
    FILE *f = fopen("rater_test.jsonl", "w");
    fputs(text, f);
    fclose(f);
    T_OK(cr_rater_verdicts(&rater, "rater_test.jsonl", &err));
    remove("rater_test.jsonl");
    return rater;
}

static void files_of_verdicts_are_read(void **state) {
    (void)state;
    struct cr_rater *rater = file_of(
        "{\"question_id\": 5, \"judgment\": \"The better response: [second].\"}\n"
        "{\"id\": \"turn\", \"verdict\": \"first\"}\n"
        "not json\n"
        "{\"id\": \"two\", \"orders\": [{\"raw\": \"The better response: [first].\"}, "
        "{\"raw\": \"The better response: [second].\"}]}\n"
        "{\"verdict\": 3}\n"
        "{\"id\": \"rank\", \"verdict\": [2, 0, 1]}\n"
        "{\"id\": \"torn\", \"verdict\": [2, 0, 2]}\n"
        "{\"id\": \"turn\", \"verdict\": \"second\"}\n"
        "{\"id\": \"score\", \"verdict\": 88.0}\n"
        "{\"id\": \"bad\", \"status\": \"error\", \"verdict\": null}\n");
    struct cr_verdict v = judged(rater, "pairwise", 2, "5", false);
    assert_int_equal(v.opinion.choice, CR_CHOICE_SECOND);
    cr_verdict_fini(&v);
    v = judged(rater, "pairwise", 2, "turn", true); /* by content: the same both ways */
    assert_int_equal(v.opinion.choice, CR_CHOICE_FIRST);
    assert_true(v.opinion.consistent);
    cr_verdict_fini(&v);
    v = judged(rater, "pairwise", 2, "two", true);
    assert_int_equal(v.opinion.choice, CR_CHOICE_FIRST);
    assert_true(v.opinion.consistent);
    cr_verdict_fini(&v);
    v = judged(rater, "ranking", 3, "rank", true);
    assert_int_equal(v.opinion.order[0], 2);
    assert_true(v.opinion.consistent);
    cr_verdict_fini(&v);
    v = judged(rater, "pointwise", 1, "score", false);
    T_NEAR(v.opinion.score, 88, 0, 0);
    cr_verdict_fini(&v);
    v = judged(rater, "pairwise", 2, "score", false); /* a number is no choice */
    assert_int_equal(v.opinion.status, CR_VERDICT_UNPARSED);
    cr_verdict_fini(&v);
    v = judged(rater, "pairwise", 2, "5", true); /* a text has one order only */
    assert_int_equal(v.opinion.status, CR_VERDICT_ERROR);
    v = judged(rater, "pairwise", 2, "nobody", false);
    assert_int_equal(v.opinion.status, CR_VERDICT_ERROR);
    assert_non_null(strstr(err.message, "0 of 1 verdicts for id 'nobody'"));
    struct cr_verdict_counts n = cr_rater_verdict_counts(rater);
    assert_int_equal(n.n_lines, 10);
    assert_int_equal(n.n_bad, 4);
    assert_int_equal(n.n_ids, 5);
    assert_int_equal(n.n_doubled, 1);
    assert_int_equal(n.n_used, 5);
    assert_non_null(strstr(n.first_bad, "rater_test.jsonl:3: "));
    cr_rater_free(rater);
}

static void files_without_verdicts_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"", "\n\n", "\xff\xfe{\n", "[1, 2]\n",
                                        "{\"id\": 1}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct cr_rater *rater;
        FILE *f = fopen("rater_test.jsonl", "w");
        fputs(texts[i], f);
        fclose(f);
        T_FAILS(cr_rater_verdicts(&rater, "rater_test.jsonl", &err), CRITIC_BAD_FILE,
                "rater_test.jsonl");
        remove("rater_test.jsonl");
    }
    struct cr_rater *rater;
    T_FAILS(cr_rater_verdicts(&rater, "no-such-file", &err), CRITIC_BAD_FILE, "no-such");
}

static void png_keeps_every_pixel(void **state) {
    (void)state;
    unsigned char rgb[3 * 5 * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (unsigned char)(37 * i);
    const struct cr_image image = {rgb, 5, 3};
    struct cr_image back;
    struct cr_buf png;
    cr_buf_init(&png, 1 << 16);
    T_OK(cr_image_encode_png(&png, &image, &err));
    T_OK(cr_image_decode(&back, (struct cr_bytes){(unsigned char *)png.data, png.len},
                         NULL, "x", &err));
    assert_int_equal(back.width, 5);
    assert_memory_equal(back.rgb, rgb, sizeof rgb);
    cr_image_free(&back);
    cr_buf_fini(&png);
    const struct cr_image none = {rgb, 0, 0};
    T_FAILS(cr_image_encode_png(&png, &none, &err), CRITIC_BAD_DATA, "cannot be PNG");
    cr_buf_fini(&png);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(baselines_choose),
        cmocka_unit_test(baselines_score_and_rank),
        cmocka_unit_test(the_coin_is_fair_and_repeats),
        cmocka_unit_test(files_of_verdicts_are_read),
        cmocka_unit_test(files_without_verdicts_are_refused),
        cmocka_unit_test(png_keeps_every_pixel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
