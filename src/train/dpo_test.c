/* Pairs through the network: what is counted is what the engine gives the same answers, the policy is
 * its own reference to the bit, and a step along the gradient lowers the loss by what it says. */
#include "train/dpo.h"

#include "base/checked.h"

#include "t.h"
#include "t_files.h"

static critic_error err;

#define MODEL T_SOURCE("tests/tiny/ov-lmms")

static const char pairs[] =
    "{\"id\":\"a\",\"image\":\"1x1.png\",\"prompt\":\"What is it?\",\"chosen\":\"It is "
    "small.\",\"rejected\":\"It is a very large dog.\",\"answer\":\"\"}\n"
    "{\"id\":\"b\",\"prompt\":\"Add 1 and 2.\",\"chosen\":\"3\",\"rejected\":\"It is "
    "four.\"}\n"
    "{\"id\":\"c\",\"image\":[\"94x235.png\"],\"prompt\":\"Which <image>colour?\","
    "\"chosen\":\"Red\",\"rejected\":\"Blue and red\"}\n";

struct fixture {
    struct t_dir dir;
    struct cr_net net;
    struct cr_dpo dpo;
};

static void open_net(struct fixture *f, struct cr_net_opts net, struct cr_dpo_opts o) {
    memset(f, 0, sizeof *f);
    t_dir_make(&f->dir, "dpo");
    net.model = net.model ? net.model : MODEL;
    net.save = CR_DTYPE_COUNT;
    net.exec.isa = cr_isa_best();
    net.exec.n_threads = 2;
    T_OK(cr_net_open(&f->net, &net, &err));
    cr_dataset_opts_default(&o.data);
    o.data.image_folder = T_SOURCE("tests/golden/images");
    o.data.max_tokens = f->net.config.text.max_positions;
    o.data_path = t_write_text(&f->dir, "pairs.jsonl", pairs);
    T_OK(cr_dpo_open(&f->dpo, &f->net, &o, &err));
}

static void open_fixture(struct fixture *f, enum cr_preference_loss loss,
                         double sft_weight) {
    open_net(f, (struct cr_net_opts){.exec.compute = CR_COMPUTE_F32},
             (struct cr_dpo_opts){.loss = {.loss = loss, .beta = 0.5, .gamma = 0.3},
                                  .sft_weight = sft_weight,
                                  .reference = {.batch = 2}});
}

static void close_fixture(struct fixture *f) {
    cr_dpo_close(&f->dpo);
    cr_net_close(&f->net);
    t_dir_remove(&f->dir);
}

/* One pass over all three pairs; its loss. */
static double run_pass(struct fixture *f, bool train, struct cr_pass *out) {
    static const uint32_t at[] = {0, 1, 2};
    struct cr_task task = cr_dpo_task(&f->dpo);
    memset(out, 0, sizeof *out);
    T_OK(task.prepare(task.self, 1, false, at, 3, &err));
    T_OK(task.pass(task.self, 1, train, 1, out, &err));
    return out->loss;
}

static double metric(const struct cr_pass *p, const char *name) {
    for (size_t i = 0; i < p->n_metrics; i++)
        if (strcmp(p->metrics[i].name, name) == 0)
            return p->metrics[i].sum / p->metrics[i].n;
    fail_msg("no metric %s", name);
    return 0;
}

/* log-softmax over all rows of the head, padding included: training leaves none out. */
static double follow(struct cr_engine *e, struct cr_seq *s, const struct cr_ids *ids) {
    size_t vocab = cr_engine_config(e)->text.vocab;
    double sum = 0;
    for (size_t i = 0; i < ids->len; i++) {
        const float *logits = cr_seq_logits(s);
        double total = 0;
        for (size_t v = 0; v < vocab; v++)
            total += exp((double)logits[v]);
        sum += (double)logits[ids->data[i]] - log(total);
        T_OK(cr_seq_step(&s, &ids->data[i], 1, &err));
    }
    return sum;
}

/* log p of an answer behind the prompt that inference builds. */
static double by_engine(struct cr_engine *e, const char *image, const char *prompt,
                        const char *answer) {
    struct cr_prompt *p;
    struct cr_seq *s;
    struct cr_usage usage = {0};
    struct cr_image picture;
    struct cr_image_limits limits;
    struct cr_ids ids;
    const struct cr_tokenizer *t = cr_engine_tokenizer(e);
    cr_image_limits_default(&limits);
    T_OK(cr_prompt_new(&p, e, &err));
    if (image)
        T_OK(cr_image_load(&picture, image, &limits, &err));
    T_OK(cr_prompt_chat(p, image ? &picture : NULL, image != NULL, (struct cr_str){0},
                        cr_str_of(prompt), &err));
    T_OK(cr_prompt_finish(p, &err));
    T_OK(cr_engine_prefill(e, p, &s, &usage, &err));
    cr_ids_init(&ids);
    T_OK(cr_tokenizer_encode(t, cr_str_of(answer), false, &ids, &err));
    T_OK(cr_ids_push(&ids, cr_tokenizer_find(t, cr_str_of("<|im_end|>")), &err));
    double logprob = follow(e, s, &ids);
    cr_ids_fini(&ids);
    cr_seq_free(s);
    cr_prompt_free(p);
    if (image)
        cr_image_free(&picture);
    return logprob;
}

static void test_counts_what_the_engine_does(void **state) {
    static const struct {
        const char *image, *prompt, *answers[2];
    } rows[] = {{T_SOURCE("tests/golden/images/1x1.png"),
                 "What is it?",
                 {"It is small.", "It is a very large dog."}},
                {NULL, "Add 1 and 2.", {"3", "It is four."}},
                {T_SOURCE("tests/golden/images/94x235.png"),
                 "Which colour?",
                 {"Red", "Blue and red"}}};
    struct fixture f;
    struct cr_engine *e;
    struct cr_engine_opts opts;
    (void)state;
    open_fixture(&f, CR_LOSS_SIGMOID, 0);
    cr_engine_opts_default(&opts);
    opts.exec.compute = CR_COMPUTE_F32;
    opts.exec.n_threads = 2;
    opts.kv_bytes = (size_t)256 << 20;
    T_OK(cr_engine_open(&e, MODEL, &opts, &err));
    for (size_t i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            T_NEAR(f.dpo.reference.logps[i][k],
                   by_engine(e, rows[i].image, rows[i].prompt, rows[i].answers[k]), 1e-4,
                   1e-5);
    /* The prompt is in the shared prefix but for one row. */
    for (size_t i = 0; i < 3; i++) {
        const struct cr_pack *pack = &f.dpo.data.packs[i];
        assert_int_equal(pack->n_branches, 2);
        for (size_t b = 0; b < 2; b++) {
            const struct cr_branch *branch = &f.dpo.data.branches[pack->first_branch + b];
            const unsigned char *label = &f.dpo.data.tokens.label[branch->tokens.first];
            assert_true(!label[0] && label[1]);
        }
    }
    cr_engine_free(e);
    close_fixture(&f);
}

static void test_starts_at_its_reference(void **state) {
    struct fixture f;
    struct cr_pass p;
    (void)state;
    open_fixture(&f, CR_LOSS_SIGMOID, 0);
    assert_true(run_pass(&f, true, &p) == log(2));
    assert_true(run_pass(&f, false, &p) == log(2));
    assert_true(metric(&p, "rewards/margins") == 0);
    T_NEAR(metric(&p, "logps/chosen"),
           (f.dpo.reference.logps[0][0] + f.dpo.reference.logps[1][0] +
            f.dpo.reference.logps[2][0]) /
               3,
           0, 1e-12);
    close_fixture(&f);
}

/* Whatever is trained and kept, by bf16 products too: a reference rounds where its policy does. */
static void test_reference_rounds_alike(void **state) {
    static const struct cr_net_opts nets[] = {
        {.recompute = true},
        {.frozen = {[CR_PART_TOWER] = true}},
        {.frozen = {[CR_PART_DECODER] = true}},
        {.lora = {.is_set = true, .rank = 2, .alpha = 4}},
        {.lora = {.is_set = true, .rank = 2, .alpha = 4, .targets = "tower"}}};
    static const enum cr_reference_kind kinds[] = {CR_REFERENCE_ONCE, CR_REFERENCE_LIVE};
    struct fixture f;
    struct cr_pass p;
    (void)state;
    for (size_t i = 0; i < 2 * CR_COUNT(nets); i++) {
        struct cr_net_opts net = nets[i / 2];
        net.exec.compute = CR_COMPUTE_BF16;
        net.model = T_SOURCE("tests/tiny/ov-lmms-sharded"); /* F32, F16 and BF16 in it */
        open_net(&f, net,
                 (struct cr_dpo_opts){.loss = {.loss = CR_LOSS_SIGMOID, .beta = 100},
                                      .reference = {.kind = kinds[i % 2]}});
        if (run_pass(&f, true, &p) != log(2))
            fail_msg("network %zu, reference %zu: loss %.9f", i / 2, i % 2, p.loss);
        close_fixture(&f);
    }
}

/* Moves every tensor by -step times its gradient and compares the change of the loss with the
 * gradient's squared norm. */
static void check_gradient(enum cr_preference_loss loss, double sft_weight) {
    struct fixture f;
    struct cr_pass p;
    double norm = 0, step = 1e-3;
    open_fixture(&f, loss, sft_weight);
    double before = run_pass(&f, true, &p);
    for (size_t i = 0; i < f.net.n_tensors; i++) {
        struct cr_train_tensor *t = &f.net.tensors[i];
        for (size_t k = 0; k < t->rows * t->cols; k++)
            norm += (double)t->g[k] * (double)t->g[k];
    }
    assert_true(norm > 1e-6);
    step /= sqrt(norm);
    for (size_t i = 0; i < f.net.n_tensors; i++) {
        struct cr_train_tensor *t = &f.net.tensors[i];
        for (size_t k = 0; k < t->rows * t->cols; k++)
            t->w[k] -= (float)(step * (double)t->g[k]);
    }
    double after = run_pass(&f, false, &p);
    T_NEAR((before - after) / step, norm, 0, 0.02);
    close_fixture(&f);
}

static void test_gradients(void **state) {
    (void)state;
    check_gradient(CR_LOSS_SIGMOID, 0);
    check_gradient(CR_LOSS_SIGMOID, 0.5);
    check_gradient(CR_LOSS_SIMPO, 0);
    check_gradient(CR_LOSS_IPO, 0);
}

static void test_bad_records(void **state) {
    struct fixture f;
    struct cr_dpo again;
    struct cr_dpo_opts o;
    (void)state;
    open_fixture(&f, CR_LOSS_SIGMOID, 0);
    o = f.dpo.o;
    o.data_path =
        t_write_text(&f.dir, "bad.jsonl", "{\"prompt\":\"P\",\"chosen\":\"C\"}\n");
    T_FAILS(cr_dpo_open(&again, &f.net, &o, &err), CRITIC_BAD_DATA,
            "bad.jsonl:1: no text 'rejected'");
    cr_dpo_close(&again);
    o.data_path = f.dir.file;
    o.loss.beta = 0;
    T_FAILS(cr_dpo_open(&again, &f.net, &o, &err), CRITIC_BAD_ARGUMENT, "beta");
    cr_dpo_close(&again);
    close_fixture(&f);
}

/* ---- references ---- */

static void again(struct fixture *f, const char *data, struct cr_reference_opts reference,
                  struct cr_dpo *out) {
    struct cr_dpo_opts o = f->dpo.o;
    o.data_path = data;
    o.reference = reference;
    T_OK(cr_dpo_open(out, &f->net, &o, &err));
}

static void expect_same_bits(const struct cr_dpo *a, const struct cr_dpo *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            assert_true(a->reference.logps[i][k] == b->reference.logps[i][k]);
}

/* Once, from its file, by a second model with every pass, in batches of any size: the same bits. A
 * file of another model or of other data is refused. */
static void test_references(void **state) {
    static const uint32_t at[] = {2, 0, 1};
    struct fixture f;
    struct cr_dpo dpo;
    struct cr_pass p = {0};
    (void)state;
    open_fixture(&f, CR_LOSS_SIGMOID, 0);
    char *data = cr_str_dup(cr_str_of(f.dir.file));
    char *file = cr_str_dup(cr_str_of(t_write_text(&f.dir, "x", "")));
    file[strlen(file) - 1] = 'y';
    for (int i = 0; i < 2; i++) { /* written, read */
        again(&f, data, (struct cr_reference_opts){.file = file, .batch = 1}, &dpo);
        expect_same_bits(&f.dpo, &dpo, 3);
        cr_dpo_close(&dpo);
    }
    again(&f, data, (struct cr_reference_opts){.kind = CR_REFERENCE_LIVE}, &dpo);
    struct cr_task task = cr_dpo_task(&dpo);
    T_OK(task.prepare(task.self, 0, false, at, 3, &err));
    T_OK(task.pass(task.self, 0, true, 1, &p, &err));
    expect_same_bits(&f.dpo, &dpo, 3);
    assert_true(p.loss / 1 == log(2));
    cr_dpo_close(&dpo);

    struct cr_dpo_opts o = f.dpo.o;
    o.reference.file = file;
    o.data_path = t_write_text(
        &f.dir, "one.jsonl", "{\"prompt\":\"P\",\"chosen\":\"C\",\"rejected\":\"D\"}\n");
    T_FAILS(cr_dpo_open(&dpo, &f.net, &o, &err), CRITIC_BAD_DATA,
            "reference of the data");
    cr_dpo_close(&dpo);
    o.data_path = data;
    f.net.tensors[0].w[0] += 1;
    T_FAILS(cr_dpo_open(&dpo, &f.net, &o, &err), CRITIC_BAD_DATA,
            "reference of the model");
    cr_dpo_close(&dpo);
    o.reference = (struct cr_reference_opts){.kind = CR_REFERENCE_ADAPTER};
    T_FAILS(cr_dpo_open(&dpo, &f.net, &o, &err), CRITIC_BAD_ARGUMENT, "--lora");
    cr_dpo_close(&dpo);
    free(file);
    free(data);
    close_fixture(&f);
}

/* ---- known diseases ---- */

static void count_warnings(void *user, int level, const char *line) {
    char(*last)[400] = user;
    (void)level;
    if (strncmp(line, "warning: ", 9) == 0)
        snprintf(*last, sizeof *last, "%s", line);
}

/* 200 pairs and more of the one whose worse answer is longer, each answer's log p this far above the reference's. */
static void watch_pairs(double chosen, double rejected, char last[400]) {
    uint32_t at[50];
    struct fixture f;
    struct cr_pass p = {0};
    last[0] = '\0';
    for (size_t i = 0; i < 50; i++)
        at[i] = 1;
    open_fixture(&f, CR_LOSS_SIGMOID, 0);
    f.dpo.o.data.log = count_warnings;
    f.dpo.o.data.log_user = (char(*)[400])last;
    f.dpo.reference.logps[1][0] -= chosen;
    f.dpo.reference.logps[1][1] -= rejected;
    struct cr_task task = cr_dpo_task(&f.dpo);
    for (int i = 0; i < 5; i++) {
        if (i == 3)
            assert_string_equal(last, ""); /* not before 200 */
        T_OK(task.prepare(task.self, 0, false, at, 50, &err));
        T_OK(task.pass(task.self, 0, i != 4, 1, &p, &err));
    }
    close_fixture(&f);
}

static void test_warnings(void **state) {
    char last[400];
    (void)state;
    watch_pairs(1, -1, last);
    assert_string_equal(last, "");
    watch_pairs(-9, -30, last);
    assert_string_equal(last, "");
    watch_pairs(-11, -30, last);
    assert_non_null(strstr(last, "chosen answers lost 11.0 nats"));
    watch_pairs(1, 2, last);
    assert_non_null(strstr(last,
                           "the longer answer is preferred in 100 % of pairs and is "
                           "the better one in 0 %"));
}

/* ---- records ---- */

/* What other tools write is the same pair; pictures that are missing are skipped. */
static void test_formats(void **state) {
    static const char records[] = "{\"image\":\"1x1.png\",\"prompt\":\"What?\","
                                  "\"chosen\":\"It\",\"rejected\":\"Or\"}\n"
                                  "{\"images\":[\"1x1.png\"],\"prompt\":[{\"role\":"
                                  "\"user\",\"content\":[{\"type\":\"image\"},"
                                  "{\"type\":\"text\",\"text\":\"What?\"}]}],\"chosen\":["
                                  "{\"role\":\"assistant\",\"content\":"
                                  "[{\"type\":\"text\",\"text\":\"It\"}]}],\"rejected\":["
                                  "{\"role\":\"assistant\",\"content\":\"Or\"}]}\n"
                                  "{\"images\":[\"1x1.png\"],\"conversations\":[{"
                                  "\"from\":\"human\",\"value\":\"<image>\\nWhat?\"}],"
                                  "\"chosen\":{\"from\":\"gpt\",\"value\":\"It\"},"
                                  "\"rejected\":{\"from\":\"gpt\",\"value\":\"Or\"}}\n"
                                  "{\"images\":[\"1x1.png\"],\"chosen\":[{\"role\":"
                                  "\"user\",\"content\":\"What?\"},{\"role\":"
                                  "\"assistant\",\"content\":\"It\"}],\"rejected\":[{"
                                  "\"role\":\"user\",\"content\":\"What?\"},"
                                  "{\"role\":\"assistant\",\"content\":\"Or\"}]}\n"
                                  "{\"image\":\"nowhere.png\",\"prompt\":\"What?\","
                                  "\"chosen\":\"It\",\"rejected\":\"Or\"}\n";
    struct fixture f;
    struct cr_dpo dpo;
    (void)state;
    open_fixture(&f, CR_LOSS_SIGMOID, 0);
    again(&f, t_write_text(&f.dir, "formats.jsonl", records),
          (struct cr_reference_opts){.kind = CR_REFERENCE_NONE}, &dpo);
    assert_int_equal(dpo.data.n_packs, 4);
    assert_int_equal(dpo.data.n_pictureless, 1);
    assert_int_equal(dpo.data.n_bad, 0);
    size_t n = dpo.data.tokens.n / 4;
    for (size_t i = 1; i < 4; i++) {
        assert_memory_equal(dpo.data.tokens.ids + i * n, dpo.data.tokens.ids,
                            n * sizeof(int32_t));
        assert_memory_equal(dpo.data.tokens.label + i * n, dpo.data.tokens.label, n);
    }
    cr_dpo_close(&dpo);
    close_fixture(&f);
}

/* LLaVA-NeXT counts marks of the prompt as well: both sides alike, so that the margin stays. */
static void test_llava_mask(void **state) {
    struct fixture f;
    struct cr_dpo dpo;
    struct cr_pass p, q = {0};
    static const uint32_t at[] = {0, 1, 2};
    (void)state;
    open_fixture(&f, CR_LOSS_SIGMOID, 0);
    struct cr_dpo_opts o = f.dpo.o;
    o.llava_mask = true;
    o.reference.kind = f.dpo.o.reference.kind = CR_REFERENCE_NONE;
    T_OK(cr_dpo_open(&dpo, &f.net, &o, &err));
    run_pass(&f, false, &p);
    struct cr_task task = cr_dpo_task(&dpo);
    T_OK(task.prepare(task.self, 1, false, at, 3, &err));
    T_OK(task.pass(task.self, 1, false, 1, &q, &err));
    /* <|im_start|> of user and assistant, <|im_end|> and newline of system and user; the answer's newline. */
    T_NEAR(metric(&q, "tokens/chosen"), metric(&p, "tokens/chosen") + 7, 0, 1e-12);
    T_NEAR(metric(&q, "tokens/rejected"), metric(&p, "tokens/rejected") + 7, 0, 1e-12);
    assert_true(metric(&q, "logps/chosen") < metric(&p, "logps/chosen"));
    cr_dpo_close(&dpo);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts_what_the_engine_does),
                                       cmocka_unit_test(test_starts_at_its_reference),
                                       cmocka_unit_test(test_reference_rounds_alike),
                                       cmocka_unit_test(test_gradients),
                                       cmocka_unit_test(test_bad_records),
                                       cmocka_unit_test(test_references),
                                       cmocka_unit_test(test_warnings),
                                       cmocka_unit_test(test_formats),
                                       cmocka_unit_test(test_llava_mask)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
