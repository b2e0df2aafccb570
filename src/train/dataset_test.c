/* Data files to packs and batches: strategies, faults with their line, shared pictures, and weights
 * that make a pack count as its conversations one by one. */
#include "t.h"

#include "model/config.h"
#include "t_files.h"
#include "train/batch.h"
#include "train/order.h"

#define MODEL  T_SOURCE("tests/tiny/ov-lmms")
#define IMAGES T_SOURCE("tests/golden/images")

static struct cr_tokenizer *tokenizer;
static struct cr_config config;
static struct t_dir dir;

static int set_up(void **state) {
    critic_error err;
    (void)state;
    t_dir_make(&dir, "dataset");
    T_OK(cr_tokenizer_open(&tokenizer, MODEL, &err));
    T_OK(cr_config_read_dir(&config, MODEL, &err));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_dir_remove(&dir);
    cr_tokenizer_free(tokenizer);
    return 0;
}

static const char *write_file(const char *name, const char *text) {
    return t_write_text(&dir, name, text);
}

#define TURNS(q, a)                                                                      \
    "[{\"from\":\"human\",\"value\":\"" q "\"},{\"from\":\"gpt\",\"value\":\"" a "\"}]"
#define RECORD(q, a) "{\"conversations\":" TURNS(q, a) "}"
#define SEEN(image, q, a)                                                                \
    "{\"id\":\"r\",\"image\":\"" image                                                   \
    "\",\"conversations\":" TURNS("<image>\\n" q, a) "}"

/* ---- records ---- */

static void expect_records(const char *path, size_t n, const char *last_where) {
    struct cr_records r;
    char where[512];
    critic_error err;
    T_OK(cr_records_open(&r, path, 1, &err));
    assert_int_equal(r.n, n);
    cr_records_where(&r, n - 1, where);
    assert_string_equal(strrchr(where, '/') + 1, last_where);
    for (size_t i = 0; i < n; i++) {
        json_t *json;
        T_OK(cr_records_get(&r, i, &json, &err));
        assert_true(json_is_array(json_object_get(json, "conversations")));
        json_decref(json);
    }
    cr_records_close(&r);
}

static void test_records(void **state) {
    char path[512];
    (void)state;
    expect_records(write_file("data.json", "\n[" RECORD("a", "]}\\\"{[") ",\n\n " RECORD(
                                               "b", "c") "]\n"),
                   2, "data.json:4");
    expect_records(write_file("data.jsonl", RECORD("a", "b") "\n\n" RECORD("c", "d")), 2,
                   "data.jsonl:3");
    write_file("more.jsonl",
               RECORD("1", "b") "\n" RECORD("2", "b") "\n" RECORD("3", "b") "\n");
    expect_records(write_file("mix.yaml", "datasets:\n"
                                          "  - json_path: data.jsonl\n"
                                          "  - json_path: more.jsonl\n"
                                          "    sampling_strategy: \"first:34%\"\n"),
                   4, "more.jsonl:2");
    expect_records(write_file("mix.yaml",
                              "datasets:\n"
                              "  - {json_path: more.jsonl, sampling_strategy: end:1}\n"),
                   1, "more.jsonl:3");
    snprintf(path, sizeof path, "%s/{data,more}.jsonl", dir.path);
    expect_records(path, 5, "more.jsonl:3");
}

static void refuse_records(const char *name, const char *text, const char *message) {
    struct cr_records r;
    critic_error err;
    T_FAILS(cr_records_open(&r, write_file(name, text), 1, &err), CRITIC_BAD_DATA,
            message);
    cr_records_close(&r);
}

static void test_bad_files(void **state) {
    (void)state;
    refuse_records("data.json", "[{}, 3]", "data.json:1: '3' in the list");
    refuse_records("data.json", "[\n{}", "the list has no end");
    refuse_records("data.jsonl", "\n\n", "no records");
    refuse_records("mix.yaml", "datasets: 3\n", "no list 'datasets'");
    refuse_records("mix.yaml", "datasets:\n  - a: b\n", "mix.yaml:2: no 'json_path'");
    refuse_records("mix.yaml", "datasets: [\n", "mix.yaml:");
    write_file("more.jsonl", RECORD("1", "b"));
    refuse_records("mix.yaml",
                   "datasets:\n  - {json_path: more.jsonl, sampling_strategy: few}\n",
                   "'sampling_strategy' is 'few'");
}

/* ---- packs ---- */

static struct cr_dataset_opts options(enum cr_pack_mode pack) {
    struct cr_dataset_opts o;
    cr_dataset_opts_default(&o);
    o.image_folder = IMAGES;
    o.pack = pack;
    return o;
}

static void test_faults_have_lines(void **state) {
    struct cr_dataset d;
    struct cr_dataset_opts o = options(CR_PACKS_NONE);
    critic_error err;
    const char *path =
        write_file("data.jsonl", RECORD("a", "b") "\n{\"conversations\":[]}\n" SEEN(
                                     "nowhere.png", "q", "a") "\n" RECORD("c", "d") "\n");
    (void)state;
    T_FAILS(cr_dataset_open(&d, path, &config, tokenizer, &o, &err), CRITIC_BAD_DATA,
            "data.jsonl:2: ");
    assert_non_null(strstr(err.message, "2 bad records"));
    cr_dataset_close(&d);
    o.skip_bad = true;
    T_OK(cr_dataset_open(&d, path, &config, tokenizer, &o, &err));
    assert_int_equal(d.n_packs, 2);
    assert_int_equal(d.n_bad, 2);
    cr_dataset_close(&d);
    o.max_tokens = 20;
    o.skip_bad = false;
    T_FAILS(cr_dataset_open(&d, write_file("data.jsonl", RECORD("a", "b")), &config,
                            tokenizer, &o, &err),
            CRITIC_BAD_DATA, "--max-tokens");
    cr_dataset_close(&d);
}

/* Records that show one picture share a pack; what does not fit opens the next. */
static void test_turns_share_a_picture(void **state) {
    struct cr_dataset d;
    struct cr_dataset_opts o = options(CR_PACKS_TURNS);
    critic_error err;
    const char *path = write_file(
        "data.jsonl",
        SEEN("94x235.png", "one", "1") "\n" SEEN("47x423.png", "other", "x") "\n" SEEN(
            "94x235.png", "two", "2") "\n" RECORD("text", "t") "\n");
    (void)state;
    T_OK(cr_dataset_open(&d, path, &config, tokenizer, &o, &err));
    assert_int_equal(d.n_packs, 3);
    assert_int_equal(d.pictures.n, 2);
    assert_int_equal(d.packs[0].n_branches, 2);
    assert_int_equal(d.branches[1].record, 2);
    assert_int_equal(d.packs[1].n_branches, 1);
    assert_int_equal(d.packs[2].n_pictures, 0);
    size_t rows = d.packs[0].n_rows;
    cr_dataset_close(&d);
    o.pack_tokens = rows - 1;
    T_OK(cr_dataset_open(&d, path, &config, tokenizer, &o, &err));
    assert_int_equal(d.n_packs, 4);
    cr_dataset_close(&d);
}

/* ---- batches ---- */

static void build(struct cr_pack_batch *p, const struct cr_dataset *d) {
    uint32_t packs[16];
    critic_error err;
    assert_true(d->n_packs <= 16);
    for (size_t i = 0; i < d->n_packs; i++)
        packs[i] = (uint32_t)i;
    T_OK(cr_pack_batch_init(p, &err));
    T_OK(cr_pack_batch_build(p, d, packs, d->n_packs, &err));
    T_OK(cr_batch_check(&p->batch, &config, &err));
}

/* The targets' ids of a batch, weighted, are the same however the conversations are packed. */
static void test_weights(void **state) {
    static double counts[2][512];
    critic_error err;
    const char *path =
        write_file("data.jsonl", SEEN("94x235.png", "one", "1") "\n" SEEN(
                                     "94x235.png", "two",
                                     "2 and 3") "\n" SEEN("94x235.png", "three", "no"));
    (void)state;
    for (int turns = 0; turns < 2; turns++) {
        struct cr_dataset d;
        struct cr_pack_batch p;
        struct cr_dataset_opts o = options(turns ? CR_PACKS_TURNS : CR_PACKS_NONE);
        T_OK(cr_dataset_open(&d, path, &config, tokenizer, &o, &err));
        assert_int_equal(d.n_packs, turns ? 1 : 3);
        build(&p, &d);
        size_t row = 0;
        for (size_t i = 0; i < p.batch.n; i++)
            for (size_t r = 0; r < p.batch.sequences[i].n_rows; r++, row++) {
                int32_t target = p.batch.sequences[i].targets[r];
                assert_true((target >= 0) == (p.weights[row] > 0));
                if (target >= 0)
                    counts[turns][target] += (double)p.weights[row];
            }
        double weight = 0;
        for (size_t i = 0; i < d.n_packs; i++)
            weight += cr_pack_weight(&d, i);
        T_NEAR(weight, p.weight, 0, 0);
        assert_int_equal(p.n_pictures, turns ? 1 : 3);
        cr_pack_batch_fini(&p);
        cr_dataset_close(&d);
    }
    for (size_t id = 0; id < 512; id++)
        T_NEAR(counts[1][id], counts[0][id], 0, 0);
}

static void test_positions(void **state) {
    struct cr_dataset d;
    struct cr_pack_batch p;
    struct cr_dataset_opts o = options(CR_PACKS_TURNS);
    critic_error err;
    const char *path = write_file("data.jsonl", SEEN("94x235.png", "one", "1") "\n" SEEN(
                                                    "94x235.png", "two", "2 and 3"));
    (void)state;
    T_OK(cr_dataset_open(&d, path, &config, tokenizer, &o, &err));
    build(&p, &d);
    const struct cr_train_sequence *s = &p.batch.sequences[0];
    assert_int_equal(s->n_branches, 2);
    assert_int_equal(s->branch_ends[1], s->n_rows);
    for (size_t r = 0; r < s->n_rows; r++) {
        size_t start = r < s->n_prefix         ? 0
                       : r < s->branch_ends[0] ? s->n_prefix
                                               : s->branch_ends[0];
        size_t position = r - start + (start ? s->n_prefix : 0);
        assert_int_equal(s->positions[r], position);
    }
    const struct cr_train_picture *picture = &s->pictures[0];
    assert_int_equal(picture->first_row + picture->plan->n_tokens, s->n_prefix);
    assert_int_equal(s->ids[s->n_prefix - 1], -1);
    assert_int_equal(s->targets[s->n_prefix - 1], d.newline);
    T_NEAR(p.weights[s->n_prefix - 1], 2, 0, 0);
    cr_pack_batch_fini(&p);
    cr_dataset_close(&d);
}

/* Every epoch is a permutation, and a place is the same whoever asks first. */
static void test_order(void **state) {
    struct cr_order a, b;
    critic_error err;
    unsigned char seen[10] = {0};
    (void)state;
    T_OK(cr_order_init(&a, 10, 5, &err));
    T_OK(cr_order_init(&b, 10, 5, &err));
    for (size_t k = 0; k < 10; k++)
        seen[cr_order_at(&a, 20 + k)]++;
    for (size_t k = 0; k < 10; k++)
        assert_int_equal(seen[k], 1);
    assert_int_equal(cr_order_at(&a, 3), cr_order_at(&b, 3));
    assert_int_equal(cr_order_at(&b, 25), cr_order_at(&a, 25));
    cr_order_fini(&a);
    cr_order_fini(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_faults_have_lines),
        cmocka_unit_test(test_turns_share_a_picture),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
