/* The oracle as a judge of a small world's answers, and what it refuses. */
#include "prefer/oracle.h"

#include "prefer/prefer.h"
#include "t.h"
#include "t_files.h"
#include "world/answer.h"
#include "world/world.h"

static critic_error err;
static struct cr_oracle *oracle;
static struct cr_scene_line first; /* the world's first scene */
static char folder[600];

#define WORLD "t-oracle-world"

static int make_world(void **state) {
    struct cr_world_opts o;
    struct cr_world_result r;
    struct cr_buf text;
    (void)state;
    cr_world_opts_default(&o);
    o.out = WORLD;
    o.count = 4;
    o.force = true;
    T_OK(cr_world_generate(&o, &r, &err));
    T_OK(cr_oracle_open(&oracle, WORLD "/train/scenes.jsonl", &err));
    cr_buf_init(&text, 1 << 20);
    T_OK(cr_file_read(WORLD "/train/scenes.jsonl", &text, &err));
    T_OK(cr_scene_read(&first, (struct cr_str){text.data, strcspn(text.data, "\n")}, "s",
                       &err));
    cr_buf_fini(&text);
    snprintf(folder, sizeof folder, "%s", WORLD "/train");
    return 0;
}

static int drop_world(void **state) {
    (void)state;
    cr_oracle_free(oracle);
    cr_dir_remove(WORLD "/train/images/0000");
    rmdir(WORLD "/train/images");
    cr_dir_remove(WORLD "/train");
    rmdir(WORLD);
    return 0;
}

/* The picture as sources name it, the question, and three answers: right, half right, wrong. */
struct fixture {
    struct cr_str source, answers[3];
    struct cr_answer perfect, half;
    struct cr_item item;
};

static void fill(struct fixture *f) {
    struct cr_ask ask;
    assert_true(cr_ask_read(&ask, &first.scene, cr_str_of("Describe the picture.")));
    cr_answer_perfect(&f->perfect, &first.scene, &ask);
    f->half = f->perfect;
    f->half.claims[0].said.size = (uint8_t)(3 - f->half.claims[0].said.size);
    cr_answer_judge(&f->half, &first.scene, &ask);
    f->source = cr_str_of(first.image);
    f->answers[0] = cr_str_of(f->perfect.text);
    f->answers[1] = cr_str_of(f->half.text);
    f->answers[2] = cr_str_of("I see a dog.");
    f->item = (struct cr_item){.id = {"i", 1},
                               .sources = &f->source,
                               .n_sources = 1,
                               .folder = cr_str_of(folder),
                               .question = cr_str_of("Describe the picture."),
                               .answers = f->answers,
                               .n_answers = 3};
}

static void test_scores(void **state) {
    struct fixture f;
    int score;
    (void)state;
    fill(&f);
    T_OK(cr_oracle_score(oracle, &f.item, 0, &score, &err));
    assert_int_equal(score, 100);
    T_OK(cr_oracle_score(oracle, &f.item, 1, &score, &err));
    assert_int_equal(score, f.half.scores[CR_OVERALL]);
    assert_true(score < 100);
    T_OK(cr_oracle_score(oracle, &f.item, 2, &score, &err));
    assert_int_equal(score, 0);
}

static void ask(const char *template, struct fixture *f, struct cr_opinions *o) {
    struct cr_judge *judge;
    struct cr_judge_opts opts;
    struct cr_judge_usage usage = {0};
    cr_judge_opts_default(&opts);
    opts.template_name = template;
    opts.both_orders = true;
    T_OK(cr_judge_new_voiced(&judge, cr_oracle_voice(oracle), &opts, &err));
    cr_opinions_init(o, f->item.n_answers);
    T_OK(cr_prefer_ask(judge, &f->item, o, &usage, &err));
    cr_judge_free(judge);
}

static void test_as_a_judge(void **state) {
    struct fixture f;
    struct cr_opinions o;
    double reward[CR_MAX_K];
    (void)state;
    fill(&f);
    f.answers[2] = f.answers[1];
    ask("pairwise", &f, &o);
    assert_true(o.share[0][1] == 1 && o.share[1][0] == 0);
    assert_true(o.share[1][2] == 0.5 && o.share[2][1] == 0.5);
    cr_rewards(&o, CR_REWARD_SUM, reward);
    assert_true(reward[0] > reward[1] && reward[1] == reward[2]);
    ask("micro-score-100-1-only", &f, &o);
    assert_true(o.score[0] == 100 && o.score[1] == f.half.scores[CR_OVERALL]);
    ask("micro-score-10-only", &f, &o);
    assert_true(o.score[0] == 10 && o.score[1] < 10 && o.score[1] >= 1);
}

static void test_refuses(void **state) {
    struct fixture f;
    struct cr_oracle *none;
    int score;
    (void)state;
    fill(&f);
    f.item.question = cr_str_of("What do you feel?");
    T_FAILS(cr_oracle_score(oracle, &f.item, 0, &score, &err), CRITIC_BAD_DATA,
            "expected those of critic data prompts");
    f.source = cr_str_of("images/0000/000009.png");
    T_FAILS(cr_oracle_score(oracle, &f.item, 0, &score, &err), CRITIC_BAD_DATA,
            "no such file");
    f.source = cr_str_of(T_SOURCE("tests/golden/images/cat-wide.jpg"));
    T_FAILS(cr_oracle_score(oracle, &f.item, 0, &score, &err), CRITIC_BAD_DATA,
            "no such picture");
    f.item.n_sources = 0;
    T_FAILS(cr_oracle_score(oracle, &f.item, 0, &score, &err), CRITIC_BAD_DATA,
            "has no picture");
    T_FAILS(cr_oracle_open(&none, WORLD "/train/base.jsonl", &err), CRITIC_BAD_DATA,
            "base.jsonl:1");
    T_FAILS(cr_oracle_open(&none, WORLD "/nowhere.jsonl", &err), CRITIC_BAD_FILE,
            "nowhere.jsonl");
    /* Two files of scenes put together without their folders' names. */
    struct cr_buf text, twice;
    cr_buf_init(&text, 1 << 20);
    cr_buf_init(&twice, 1 << 20);
    T_OK(cr_file_read(WORLD "/train/scenes.jsonl", &text, &err));
    T_OK(cr_buf_append(&twice, text.data, text.len, &err));
    T_OK(cr_buf_append(&twice, text.data, text.len, &err));
    T_OK(cr_file_write_text(WORLD "/train/twice.jsonl", cr_buf_str(&twice), &err));
    T_FAILS(cr_oracle_open(&none, WORLD "/train/twice.jsonl", &err), CRITIC_BAD_DATA,
            "twice.jsonl:5: the picture 'images/0000/000000.png' stands there twice");
    cr_buf_fini(&text);
    cr_buf_fini(&twice);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scores),
                                       cmocka_unit_test(test_as_a_judge),
                                       cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, make_world, drop_world);
}
