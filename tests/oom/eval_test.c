/* Every allocation of the readers and statistics of src/eval is refused once: they say so, or get by
 * with what they have, and leak nothing. */
#include "t.h"
#include "t_oom.h"

#include <jansson.h>
#include <omp.h>

#include "eval/mmbench.h"
#include "eval/mme.h"
#include "eval/pairs.h"
#include "eval/pope.h"
#include "eval/reviews.h"
#include "eval/stats_bias.h"
#include "eval/stats_calib.h"
#include "eval/stats_rank.h"
#include "eval/wildvision.h"
#include "t_files.h"

#if T_OOM_AVAILABLE

static struct t_dir dir;

/* As in loaders_test.c: Jansson writes behind the buffer of a token that did not grow. */
static void *jansson_malloc(size_t bytes) {
    bool grows_token = bytes >= 32 && (bytes & (bytes - 1)) == 0;
    return grows_token ? t_oom_malloc_always(bytes) : malloc(bytes);
}

/* Where Jansson is out of memory in a line, that line counts as one that is no JSON; a file may
 * then have nothing usable left. */
static enum critic_status forgive(enum critic_status status) {
    return status == CRITIC_BAD_FILE || status == CRITIC_BAD_DATA ? CRITIC_NO_MEMORY
                                                                  : status;
}

static const char reviews[] =
    "{\"question_id\": 1, \"text\": \"8 9\", \"category\": \"c\"}\n"
    "{\"question_id\": 1, \"text\": \"7 9\"}\n";
static const char labels[] =
    "{\"question_id\": 1, \"label\": \"yes\", \"category\": \"c\"}\n"
    "{\"question_id\": 2, \"label\": \"no\", \"category\": \"d\"}\n";
static const char answers[] = "{\"question_id\": 2, \"text\": \"No\"}\n"
                              "{\"question_id\": 7, \"text\": \"No\"}\n";
static const char choices[] =
    "index\tA\tB\tanswer\tcategory\tprediction\n"
    "0\tcat\tdog\tA\tx\tA\n0\tcat\tdog\tA\tx\t\"a \"\"b\"\"\"\n";
static const char mme[] = "a\tq\tYes\tYes\na\tr\tNo\tyes\n";
static const char numbers[] = "judge\treference\tother\tprompt\n1\t1\t2\ta\n2\t3\t2\ta\n"
                              "2\t2\t2\tb\n3\t4\t1\tb\n5\t1\t1\tc\n4\t4\t2\td\n";
static const char picks[] = "judge\treference\tother\tprompt\nfirst\ttie\tA\ta\n"
                            "tie\ttie\tA\ta\nsecond\tB\tA\tb\nfirst\tA\ttie\tb\n";
static const char wildvision[] =
    "{\"question_id\": 1, \"model\": \"m\", \"judgment\": \"[[A>B]]\"}\n"
    "{\"question_id\": 2, \"model\": \"m\", \"judgment\": \"[[B>>A]]\"}\n"
    "{\"question_id\": 2, \"model\": \"m\", \"judgment\": \"[[A=B]]\"}\n";

static enum critic_status do_reviews(critic_error *err) {
    struct cr_faults f = {0};
    struct cr_reviews r;
    enum critic_status status = cr_reviews_read(&r, t_path(&dir, "reviews"), &f, err);
    cr_reviews_fini(&r);
    cr_faults_fini(&f);
    return status;
}

static enum critic_status do_pope(critic_error *err) {
    struct cr_faults f = {0};
    struct cr_pope p;
    char answer_path[256];
    snprintf(answer_path, sizeof answer_path, "%s", t_path(&dir, "answers"));
    enum critic_status status =
        cr_pope_score(&p, answer_path, t_path(&dir, "labels"), &f, err);
    cr_pope_fini(&p);
    cr_faults_fini(&f);
    return status;
}

static enum critic_status do_mmbench(critic_error *err) {
    struct cr_faults f = {0};
    struct cr_mmbench m;
    enum critic_status status =
        cr_mmbench_score(&m, t_path(&dir, "choices.tsv"), &f, err);
    cr_mmbench_fini(&m);
    cr_faults_fini(&f);
    return status;
}

static enum critic_status do_mme(critic_error *err) {
    struct cr_faults f = {0};
    struct cr_mme m;
    enum critic_status status = cr_mme_score(&m, dir.path, &f, err);
    cr_faults_fini(&f);
    return status;
}

static enum critic_status do_wildvision(critic_error *err) {
    struct cr_faults f = {0};
    struct cr_wildvision w;
    struct cr_wildvision_options o;
    cr_wildvision_options_default(&o);
    o.n_draws = 20;
    enum critic_status status = cr_wildvision_run(&w, dir.path, &o, &f, err);
    cr_wildvision_fini(&w);
    cr_faults_fini(&f);
    return status;
}

static enum critic_status do_pairs(const char *name, critic_error *err) {
    const struct cr_pair_keys keys = {"judge", "reference", "other", "prompt"};
    struct cr_faults f = {0};
    struct cr_pairs p;
    struct cr_boot_options o;
    struct cr_number_report n;
    struct cr_pick_report k;
    cr_boot_options_default(&o);
    o.n_draws = 20;
    o.method = CR_BOOT_BCA;
    enum critic_status status = cr_pairs_read(&p, t_path(&dir, name), &keys, &f, err);
    if (status == CRITIC_OK)
        status = p.are_picks ? cr_pairs_picks(&k, &p, &o, err)
                             : cr_pairs_numbers(&n, &p, &o, err);
    cr_pairs_fini(&p);
    cr_faults_fini(&f);
    return status;
}

static enum critic_status do_numbers(critic_error *err) {
    return do_pairs("numbers.tsv", err);
}

static enum critic_status do_picks(critic_error *err) {
    return do_pairs("picks.tsv", err);
}

/* What the reports above do not reach. */
static enum critic_status do_statistics(critic_error *err) {
    static const double x[] = {0.1, 0.4, 0.4, 0.9};
    static const unsigned char y[] = {0, 1, 0, 1};
    static const int a[] = {0, 1, 1, 2};
    static const struct cr_battle b[] = {{0, 1, 1, 1}, {1, 0, 1, 1}};
    struct cr_stat s;
    struct cr_bt bt;
    struct cr_bt_options o;
    double ratings[2], adjusted[4];
    cr_bt_options_default(&o);
    CR_TRY(cr_ece(&s, NULL, 5, CR_EQUAL_MASS, x, y, 4, err));
    CR_TRY(cr_auroc(&s, x, y, 4, err));
    CR_TRY(cr_wasserstein(&s, x, 4, x, 4, err));
    CR_TRY(cr_kappa(&s, CR_KAPPA_PLAIN, a, a, 4, 3, err));
    CR_TRY(cr_alpha(&s, CR_ALPHA_ORDINAL, x, 2, 2, err));
    CR_TRY(cr_order_distance(&s, "AB", 2, "BA", 2, err));
    CR_TRY(cr_length_control(&(struct cr_length_control){0}, x, x, x, 4, 0.95, err));
    CR_TRY(cr_bt_fit(&bt, ratings, b, 2, 2, &o, err));
    CR_TRY(cr_elo_online(ratings, b, 2, 2, 1000, 4, 3, 1, err));
    CR_TRY(cr_cyclic_triads(&s, b, 2, 2, err));
    CR_TRY(cr_holm(adjusted, x, 4, err));
    return cr_permute_groups(&s, x, 2, x + 2, 2, 10, 1, err);
}

static void sweep(enum critic_status (*run)(critic_error *err)) {
    critic_error err = {0};
    enum critic_status status;
    size_t before = t_oom_refused;
    assert_int_equal(run(&err), CRITIC_OK); /* warm */
    T_OOM_SWEEP(status = forgive(run(&err)), status, (void)0);
    assert_true(t_oom_refused > before + 4);
}

static void test_refused(void **state) {
    (void)state;
    t_dir_make(&dir, "eval-oom");
    t_write_text(&dir, "reviews", reviews);
    t_write_text(&dir, "labels", labels);
    t_write_text(&dir, "answers", answers);
    t_write_text(&dir, "choices.tsv", choices);
    t_write_text(&dir, "numbers.tsv", numbers);
    t_write_text(&dir, "picks.tsv", picks);
    t_write_text(&dir, "count.txt", mme);
    t_write_text(&dir, "m.jsonl", wildvision);
    sweep(do_reviews);
    sweep(do_pope);
    sweep(do_mmbench);
    sweep(do_mme);
    sweep(do_wildvision);
    sweep(do_numbers);
    sweep(do_picks);
    sweep(do_statistics);
    t_dir_remove(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused)};
    omp_set_num_threads(1); /* OpenMP dies where it cannot start a thread */
    json_set_alloc_funcs(jansson_malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void) {
    return 77; /* sanitizers own malloc */
}

#endif
