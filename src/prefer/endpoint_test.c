/* Judging by an endpoint that dies on the way: what is there stays, and the run goes on from it. */
#include "base/file.h"
#include "prefer/prefer.h"
#include "rater/rater.h"
#include "t.h"
#include "t_files.h"
#include "t_http.h"

static critic_error err;

#define N 3 /* prompts, of two answers each: a request an order */

struct judged {
    struct cr_prefer_counts counts;
    enum critic_status status;
};

static struct judged score(struct t_dir *dir, const char *const *script, size_t n_script,
                           bool resume) {
    struct t_server server;
    struct cr_chat_opts chat_opts;
    struct cr_chat *chat;
    struct cr_rater *rater;
    struct cr_judge_opts judge_opts;
    struct cr_judge *judge;
    struct cr_prefer_opts opts;
    struct judged out;
    char url[64], samples[300], ledger[300];
    t_server_start(&server, script, n_script);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", server.port);
    cr_chat_opts_default(&chat_opts);
    chat_opts.url = url;
    chat_opts.model = "judge-1";
    chat_opts.first_wait = chat_opts.longest_wait = 0.01;
    chat_opts.n_tries = 2;
    T_OK(cr_chat_new(&chat, &chat_opts, &err));
    T_OK(cr_rater_endpoint(&rater, chat, NULL, &err));
    cr_judge_opts_default(&judge_opts);
    judge_opts.template_name = "pairwise";
    judge_opts.both_orders = true;
    T_OK(cr_judge_new_voiced(&judge, cr_rater_voice(rater), &judge_opts, &err));
    cr_prefer_opts_default(&opts);
    opts.resume = resume;
    snprintf(samples, sizeof samples, "%s", t_path(dir, "p.samples.jsonl"));
    snprintf(ledger, sizeof ledger, "%s", t_path(dir, "p.ledger.jsonl"));
    const struct cr_scorer scorer = cr_scorer_of_voice(judge, cr_rater_voice(rater));
    memset(&err, 0, sizeof err);
    out.status = cr_prefer_score(&scorer, samples, "", ledger, &opts, &out.counts, &err);
    cr_judge_free(judge);
    cr_rater_free(rater);
    cr_chat_free(chat);
    t_server_stop(&server);
    return out;
}

static void write_samples(struct t_dir *dir) {
    char text[4096];
    size_t n = 0;
    for (int i = 0; i < N; i++)
        n +=
            (size_t)snprintf(text + n, sizeof text - n,
                             "{\"id\":\"%d\",\"images\":[],\"prompt\":\"Q%d\",\"status\":"
                             "\"ok\",\"answers\":[{\"text\":\"yes, a cat\",\"tokens\":3,"
                             "\"finish_reason\":\"stop\"},{\"text\":\"no dog\","
                             "\"tokens\":3,\"finish_reason\":\"stop\"}]}\n",
                             i, i);
    t_write(dir, "p.samples.jsonl", text, n);
}

static void read_ledger(struct t_dir *dir, struct cr_buf *out) {
    cr_buf_init(out, 1 << 20);
    T_OK(cr_file_read(t_path(dir, "p.ledger.jsonl"), out, &err));
}

#define FIRST  T_GOOD("The better response: [first].")
#define SECOND T_GOOD("The better response: [second].")
#define BUSY   T_HTTP("503 Service Unavailable", "", "{}")

static void test_dies_and_comes_back(void **state) {
    static const char *const all[] = {FIRST, SECOND, FIRST, SECOND, SECOND, FIRST};
    /* The second prompt gets half of what it needs. */
    static const char *const half[] = {FIRST, SECOND, FIRST, BUSY, NULL};
    struct t_dir dir;
    struct cr_buf whole, broken;
    (void)state;
    t_dir_make(&dir, "endpoint");
    write_samples(&dir);
    struct judged j = score(&dir, all, 6, false);
    assert_int_equal(j.status, CRITIC_OK);
    assert_int_equal(j.counts.n_pairs, N);
    read_ledger(&dir, &whole);
    unlink(t_path(&dir, "p.ledger.jsonl"));

    j = score(&dir, half, 5, false);
    assert_int_equal(j.status, CRITIC_IO);
    assert_int_equal(j.counts.n_done, 1);
    read_ledger(&dir, &broken);
    assert_true(broken.len > 0 && broken.len < whole.len);
    assert_memory_equal(broken.data, whole.data, broken.len);
    cr_buf_fini(&broken);

    j = score(&dir, all + 2, 4, true);
    assert_int_equal(j.status, CRITIC_OK);
    assert_int_equal(j.counts.n_there, 1);
    assert_int_equal(j.counts.n_done, N - 1);
    read_ledger(&dir, &broken);
    assert_int_equal(broken.len, whole.len);
    assert_memory_equal(broken.data, whole.data, broken.len);
    cr_buf_fini(&broken);
    cr_buf_fini(&whole);
    t_dir_remove(&dir);
}

/* A wrong key ends the run at once; a request that the endpoint refuses later is that prompt's. */
static void test_refuses(void **state) {
    static const char *const wrong_key[] = {T_HTTP("401 Unauthorized", "", "{}")};
    static const char *const one_bad[] = {
        FIRST, SECOND, T_HTTP("400 Bad Request", "", "{}"), SECOND, FIRST};
    struct t_dir dir;
    (void)state;
    t_dir_make(&dir, "endpoint");
    write_samples(&dir);
    struct judged j = score(&dir, wrong_key, 1, false);
    assert_int_equal(j.status, CRITIC_BAD_ARGUMENT);
    assert_int_equal(j.counts.n_done, 0);
    j = score(&dir, one_bad, 5, true);
    assert_int_equal(j.status, CRITIC_OK);
    assert_int_equal(j.counts.n_faults, 1);
    assert_int_equal(j.counts.n_pairs, N - 1);
    t_dir_remove(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dies_and_comes_back),
                                       cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
