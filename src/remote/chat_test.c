/* The client against a server of this test's own: one thread, plain sockets, scripted answers. */
#define _POSIX_C_SOURCE 200809L
#include "remote/chat.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "remote/reply_cache.h"
#include "t.h"
#include "t_http.h"

static critic_error err;

/* ---- the client ------------------------------------------------------------------------------- */

static char logged[4096];

static void on_log(void *user, const char *line) {
    (void)user;
    size_t n = strlen(logged);
    snprintf(logged + n, sizeof logged - n, "%s\n", line);
}

struct client {
    struct t_server server;
    struct cr_chat *chat;
    struct cr_chat_opts opts;
    struct cr_chat_request request;
    struct cr_chat_choice choices[4];
    struct cr_chat_usage usage;
    char url[64];
};

static void client_start(struct client *c, const char *const *script, size_t n) {
    memset(c, 0, sizeof *c);
    logged[0] = '\0';
    t_server_start(&c->server, script, n);
    snprintf(c->url, sizeof c->url, "http://127.0.0.1:%d/v1", c->server.port);
    cr_chat_opts_default(&c->opts);
    c->opts.url = c->url;
    c->opts.model = "judge-1";
    c->opts.key = cr_str_of("sk-SECRET\n");
    c->opts.first_wait = 0.01;
    c->opts.longest_wait = 0.05;
    c->opts.n_tries = 3;
    c->opts.timeout = 20;
    c->opts.log = on_log;
    c->request = (struct cr_chat_request){
        .prompt = cr_str_of("Which?"), .n = 1, .max_tokens = 9, .top_p = 1};
    for (int i = 0; i < 4; i++)
        cr_buf_init(&c->choices[i].text, 1 << 20);
}

static enum critic_status ask(struct client *c) {
    if (!c->chat)
        T_OK(cr_chat_new(&c->chat, &c->opts, &err));
    memset(&err, 0, sizeof err);
    return cr_chat_ask(c->chat, &c->request, c->choices, &c->usage, &err);
}

static void client_stop(struct client *c) {
    cr_chat_free(c->chat);
    t_server_stop(&c->server);
    for (int i = 0; i < 4; i++)
        cr_buf_fini(&c->choices[i].text);
}

static void a_text_comes_back(void **state) {
    (void)state;
    static const char *const script[] = {T_GOOD("Answer 1 \\u00e9")};
    static const struct cr_str picture = {"data:image/png;base64,iVBOR", 27};
    struct client c;
    client_start(&c, script, 1);
    c.request.pictures = &picture;
    c.request.n_pictures = 1;
    c.request.system = cr_str_of("Be fair.");
    c.request.has_seed = true;
    c.request.seed = 5;
    assert_int_equal(ask(&c), CRITIC_OK);
    assert_string_equal(c.choices[0].text.data, "Answer 1 \xc3\xa9");
    assert_false(c.choices[0].cut);
    assert_int_equal(c.usage.prompt_tokens, 7);
    assert_int_equal(c.usage.completion_tokens, 3);
    const char *sent = c.server.last;
    assert_non_null(strstr(sent, "POST /v1/chat/completions HTTP/1.1"));
    assert_non_null(strstr(sent, "Authorization: Bearer sk-SECRET\r\n"));
    assert_non_null(
        strstr(sent, "{\"model\":\"judge-1\",\"messages\":[{\"role\":\"system\","
                     "\"content\":\"Be fair.\"},{\"role\":\"user\",\"content\":[{"
                     "\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;"
                     "base64,iVBOR\"}},{\"type\":\"text\",\"text\":\"Which?\"}]}],"
                     "\"max_tokens\":9,\"temperature\":0.0,\"seed\":5}"));
    client_stop(&c);
}

static void faults_that_pass_are_tried_again(void **state) {
    (void)state;
    static const char *const first[] = {
        T_HTTP("429 Too Many Requests", "Retry-After: 0\r\n",
               "{\"error\":{\"message\":\"slow down\"}}"),
        T_HTTP("500 Internal Server Error", "", "<html>oops</html>"),
        T_HTTP("503 Service Unavailable", "", ""),
        T_HTTP("200 OK", "", "{\"choices\":[{\"message\":{\"conte"),
        T_HTTP("200 OK", "Content-Length: 500\r\n", "{\"choices\""),
        T_HTTP("200 OK", "", "{\"choices\":[{\"message\":{\"content\":\"\"}}]}"),
        NULL};
    static const char *const said[] = {"HTTP 429, slow down",
                                       "HTTP 500, a web page with it",
                                       "HTTP 503, no text with it",
                                       "no whole JSON",
                                       "transfer closed",
                                       "the answer is empty",
                                       "Empty reply"};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        const char *script[] = {first[i], T_GOOD("well")};
        struct client c;
        client_start(&c, script, 2);
        assert_int_equal(ask(&c), CRITIC_OK);
        assert_string_equal(c.choices[0].text.data, "well");
        assert_int_equal(c.usage.n_retries, 1);
        assert_int_equal(c.server.n_served, 2);
        if (!strstr(logged, said[i]))
            fail_msg("'%s' lacks '%s'", logged, said[i]);
        assert_non_null(strstr(logged, "try 2 of 3"));
        client_stop(&c);
    }
}

static void tries_end(void **state) {
    (void)state;
    static const char *const script[] = {
        T_HTTP("500 No", "", ""), T_HTTP("500 No", "", ""),
        T_HTTP("500 No", "", "{\"error\":\"still\\nbroken\"}"), T_GOOD("too late")};
    struct client c;
    client_start(&c, script, 4);
    T_FAILS(ask(&c), CRITIC_IO, "gave up after 3 tries: ");
    assert_non_null(strstr(err.message, "HTTP 500, still broken; expected 200"));
    assert_int_equal(c.server.n_served, 3);
    client_stop(&c);
}

static void faults_that_stay_are_told_at_once(void **state) {
    (void)state;
    static const struct {
        const char *answer;
        enum critic_status status;
        const char *text;
    } rows[] = {
        {T_HTTP("401 Unauthorized", "",
                "{\"error\":{\"message\":\"bad key sk-SECRET\"}}"),
         CRITIC_BAD_ARGUMENT, "HTTP 401, bad key ********* (is the key right?)"},
        {T_HTTP("404 Not Found", "", "<html>"), CRITIC_BAD_ARGUMENT,
         "HTTP 404, a web page with it (are address and model right?)"},
        {T_HTTP("400 Bad", "", "{\"detail\":\"no such model\"}"), CRITIC_BAD_ARGUMENT,
         "HTTP 400, no such model"},
        {T_HTTP("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
         CRITIC_BAD_ARGUMENT, "a redirect"},
        {T_HTTP("200 OK", "", "<!DOCTYPE html><html>"), CRITIC_BAD_DATA,
         "a web page came back"},
        {T_HTTP("200 OK", "", "{\"id\":1}"), CRITIC_BAD_DATA, "no choices"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c;
        client_start(&c, &rows[i].answer, 1);
        T_FAILS(ask(&c), rows[i].status, rows[i].text);
        assert_null(strstr(err.message, "SECRET"));
        assert_non_null(strstr(err.message, "127.0.0.1"));
        assert_int_equal(c.server.n_served, 1);
        client_stop(&c);
    }
}

static void fewer_texts_are_asked_for_again(void **state) {
    (void)state;
    static const char *const script[] = {
        T_HTTP("200 OK", "",
               "{\"choices\":[{\"message\":{\"content\":"
               "\"a\"}},{\"message\":{\"content\":\"b\"},"
               "\"finish_reason\":\"length\"}]}"),
        T_GOOD("c")};
    struct client c;
    client_start(&c, script, 2);
    c.request.n = 3;
    c.request.has_seed = true;
    c.request.seed = 10;
    assert_int_equal(ask(&c), CRITIC_OK);
    assert_string_equal(c.choices[0].text.data, "a");
    assert_string_equal(c.choices[1].text.data, "b");
    assert_true(c.choices[1].cut);
    assert_string_equal(c.choices[2].text.data, "c");
    assert_non_null(strstr(c.server.last, "\"seed\":12"));
    assert_int_equal(c.usage.n_calls, 2);
    client_stop(&c);
}

static void remove_cache(void) {
    remove("chat_test.db");
    remove("chat_test.db-wal");
    remove("chat_test.db-shm");
}

static void a_cached_reply_costs_nothing(void **state) {
    (void)state;
    static const char *const script[] = {T_GOOD("first"), T_GOOD("second")};
    struct cr_reply_cache *cache;
    struct client c;
    size_t n;
    remove_cache();
    T_OK(cr_reply_cache_open(&cache, "chat_test.db", &err));
    client_start(&c, script, 2);
    c.opts.cache = cache;
    assert_int_equal(ask(&c), CRITIC_OK);
    assert_int_equal(ask(&c), CRITIC_OK);
    assert_string_equal(c.choices[0].text.data, "first");
    assert_int_equal(c.server.n_served, 1);
    assert_int_equal(c.usage.n_remembered, 1);
    c.request.temperature = 0.5; /* another question */
    assert_int_equal(ask(&c), CRITIC_OK);
    assert_string_equal(c.choices[0].text.data, "second");
    T_OK(cr_reply_cache_count(cache, &n, &err));
    assert_int_equal(n, 2);
    client_stop(&c);
    cr_reply_cache_close(cache);
    /* and it is there after the process: nothing but the file is needed */
    T_OK(cr_reply_cache_open(&cache, "chat_test.db", &err));
    T_OK(cr_reply_cache_count(cache, &n, &err));
    assert_int_equal(n, 2);
    cr_reply_cache_close(cache);
    remove_cache();
}

/* Asks five questions; true where each was answered. */
static bool ask_five(struct client *c) {
    char prompt[2] = "0";
    bool ok = true;
    for (; ok && prompt[0] < '5'; prompt[0]++) {
        c->request.prompt = cr_str_of(prompt);
        ok = ask(c) == CRITIC_OK;
    }
    return ok;
}

static void kill_9_loses_the_call_in_flight_alone(void **state) {
    (void)state;
    static const char *const script[] = {T_GOOD("a"), T_GOOD("b"), T_GOOD("c"),
                                         "",          T_GOOD("d"), T_GOOD("e")};
    struct client c;
    size_t n = 0;
    remove_cache();
    client_start(&c, script, 6);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (cr_reply_cache_open(&c.opts.cache, "chat_test.db", &err) == CRITIC_OK)
            ask_five(&c);
        _exit(0); /* not reached: the fourth call hangs */
    }
    for (int i = 0; i < 2000 && c.server.n_served < 4; i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    assert_int_equal(c.server.n_served, 4);
    assert_int_equal(kill(child, SIGKILL), 0);
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    T_OK(cr_reply_cache_open(&c.opts.cache, "chat_test.db", &err));
    T_OK(cr_reply_cache_count(c.opts.cache, &n, &err));
    assert_int_equal(n, 3);
    assert_true(ask_five(&c)); /* three remembered, two asked */
    assert_int_equal(c.server.n_served, 6);
    assert_int_equal(c.usage.n_remembered, 3);
    assert_true(ask_five(&c)); /* nothing is asked any more */
    assert_int_equal(c.server.n_served, 6);
    client_stop(&c);
    cr_reply_cache_close(c.opts.cache);
    remove_cache();
}

static void foreign_files_are_no_cache(void **state) {
    (void)state;
    struct cr_reply_cache *cache;
    FILE *f = fopen("chat_test.db", "w");
    fputs(
        "this is text, and long enough to be looked at as a database header ............."
        "................................................",
        f);
    fclose(f);
    T_FAILS(cr_reply_cache_open(&cache, "chat_test.db", &err), CRITIC_BAD_FILE,
            "expected a cache that critic wrote");
    remove_cache();
    T_FAILS(cr_reply_cache_open(&cache, "no/such/folder/x.db", &err), CRITIC_IO,
            "no/such/folder");
}

#define T_TOKENS(text, more)                                                             \
    T_HTTP("200 OK", "",                                                                 \
           "{\"choices\":[{\"message\":{\"content\":\"" text                             \
           "\"},\"logprobs\":{\"content\":[" more "]}}]}")

static void probabilities_are_asked_for_and_kept(void **state) {
    (void)state;
    static const char *const script[] = {
        T_TOKENS("caf\\u00e9", "{\"token\":\"caf\",\"logprob\":-0.5,\"bytes\":null,"
                               "\"top_logprobs\":[{\"token\":\"tea\",\"logprob\":-2}]},"
                               "{\"token\":\"\\\\xc3\",\"logprob\":0,\"bytes\":[195],"
                               "\"top_logprobs\":[]},"
                               "{\"token\":\"\\\\xa9\",\"logprob\":0,\"bytes\":[169]}")};
    struct cr_reply_tokens tokens = {0};
    struct client c;
    remove_cache();
    client_start(&c, script, 1);
    T_OK(cr_reply_cache_open(&c.opts.cache, "chat_test.db", &err));
    c.request.n_top = 20;
    c.choices[0].tokens = &tokens;
    for (int round = 0; round < 2; round++) { /* the second time from the cache */
        assert_int_equal(ask(&c), CRITIC_OK);
        assert_int_equal(c.server.n_served, 1);
        assert_int_equal(tokens.n, 3);
        assert_string_equal(tokens.all[0].said.text.data, "caf");
        T_NEAR(tokens.all[0].said.logprob, -0.5, 0, 0);
        assert_int_equal(tokens.all[0].n_top, 1);
        assert_string_equal(tokens.all[0].top[0].text.data, "tea");
        T_NEAR(tokens.all[0].top[0].logprob, -2, 0, 0);
        assert_string_equal(tokens.all[1].said.text.data, "\xc3");
        assert_string_equal(tokens.all[2].said.text.data, "\xa9");
        cr_reply_tokens_fini(&tokens);
    }
    assert_non_null(strstr(c.server.last, ",\"logprobs\":true,\"top_logprobs\":20}"));
    client_stop(&c);
    cr_reply_cache_close(c.opts.cache);
    remove_cache();
}

static void torn_probabilities_are_none(void **state) {
    (void)state;
    static const char *const script[] = {
        T_TOKENS("a", "{\"token\":\"a\",\"logprob\":null}"), T_TOKENS("a", "7"),
        T_TOKENS("a", ""), T_GOOD("a")};
    struct cr_reply_tokens tokens = {0};
    struct client c;
    client_start(&c, script, 4);
    c.request.n_top = 5;
    c.choices[0].tokens = &tokens;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ask(&c), CRITIC_OK);
        assert_string_equal(c.choices[0].text.data, "a");
        assert_int_equal(tokens.n, 0);
    }
    client_stop(&c);
}

static void a_server_that_refuses_them_works(void **state) {
    (void)state;
    static const char *const script[] = {
        T_HTTP("400 Bad", "", "{\"error\":{\"message\":\"unknown field logprobs\"}}"),
        T_HTTP("422 No", "", "{\"detail\":\"top_logprobs\"}"), T_GOOD("plain"),
        T_GOOD("again"), T_HTTP("400 Bad", "", "{\"detail\":\"a bad prompt\"}")};
    struct client c;
    client_start(&c, script, 5);
    c.request.n_top = 20;
    assert_int_equal(ask(&c), CRITIC_OK);
    assert_string_equal(c.choices[0].text.data, "plain");
    assert_int_equal(c.server.n_served, 3);
    assert_null(strstr(c.server.last, "logprobs"));
    assert_non_null(strstr(logged, "refuses logprobs"));
    assert_int_equal(ask(&c), CRITIC_OK); /* and is not asked for them any more */
    assert_int_equal(c.server.n_served, 4);
    T_FAILS(ask(&c), CRITIC_BAD_ARGUMENT, "a bad prompt");
    assert_int_equal(c.server.n_served, 5);
    client_stop(&c);
}

static void a_server_that_gives_few_is_asked_for_few(void **state) {
    (void)state;
    static const char *const script[] = {
        T_HTTP("400 Bad", "", "{\"detail\":\"top_logprobs is at most 5\"}"),
        T_TOKENS("a", "{\"token\":\"a\",\"logprob\":0}"),
        T_HTTP("400 Bad", "", "{\"detail\":\"a bad prompt\"}")};
    struct cr_reply_tokens tokens = {0};
    struct client c;
    client_start(&c, script, 3);
    c.request.n_top = 20;
    c.choices[0].tokens = &tokens;
    assert_int_equal(ask(&c), CRITIC_OK);
    assert_int_equal(tokens.n, 1);
    cr_reply_tokens_fini(&tokens);
    assert_non_null(strstr(c.server.last, "\"top_logprobs\":5}"));
    assert_string_equal(logged, "");
    T_FAILS(ask(&c), CRITIC_BAD_ARGUMENT, "a bad prompt"); /* for its own reason */
    assert_int_equal(c.server.n_served, 3);
    assert_non_null(strstr(c.server.last, "\"top_logprobs\":5}"));
    client_stop(&c);
}

static bool yes(void *user) {
    (void)user;
    return true;
}

static void a_call_can_be_cancelled(void **state) {
    (void)state;
    static const char *const script[] = {T_HTTP("429 Slow", "Retry-After: 3600\r\n", "")};
    struct client c;
    client_start(&c, script, 1);
    c.opts.longest_wait = 3600;
    c.opts.cancel = yes;
    T_FAILS(ask(&c), CRITIC_CANCELLED, "cancelled");
    client_stop(&c);
}

static void a_silent_server_times_out(void **state) {
    (void)state;
    struct client c;
    client_start(&c, NULL, 0);
    t_server_stop(&c.server); /* nobody listens any more */
    c.opts.n_tries = 1;
    T_FAILS(ask(&c), CRITIC_IO, "127.0.0.1");
    cr_chat_free(c.chat);
}

static bool after_a_call(void *user) {
    struct client *c = user;
    return c->usage.n_calls > 0;
}

/* The second request of a minute has to wait for its turn, which is where it is cancelled. */
static void rate_is_kept(void **state) {
    (void)state;
    static const char *const script[] = {T_GOOD("a"), T_GOOD("b")};
    struct client c;
    client_start(&c, script, 2);
    c.opts.log = NULL;
    c.opts.per_minute = 0.1;
    c.opts.cancel = after_a_call;
    c.opts.user = &c;
    assert_int_equal(ask(&c), CRITIC_OK);
    T_FAILS(ask(&c), CRITIC_CANCELLED, "cancelled");
    assert_int_equal(c.server.n_served, 1);
    client_stop(&c);
}

static void bad_options_are_refused(void **state) {
    (void)state;
    struct cr_chat *chat;
    struct cr_chat_opts o;
    cr_chat_opts_default(&o);
    o.model = "m";
    o.url = "localhost:8000";
    T_FAILS(cr_chat_new(&chat, &o, &err), CRITIC_BAD_ARGUMENT, "expected a URL");
    o.url = "http://h/v1/chat/completions/";
    T_OK(cr_chat_new(&chat, &o, &err));
    assert_string_equal(cr_chat_url(chat), "http://h/v1/chat/completions");
    cr_chat_free(chat);
    o.key = cr_str_of("two words");
    T_FAILS(cr_chat_new(&chat, &o, &err), CRITIC_BAD_ARGUMENT, "byte 3");
    assert_null(strstr(err.message, "words"));
    o.key = cr_str_of(" \n");
    T_FAILS(cr_chat_new(&chat, &o, &err), CRITIC_BAD_ARGUMENT, "");
    o.key = (struct cr_str){0};
    o.model = "";
    T_FAILS(cr_chat_new(&chat, &o, &err), CRITIC_BAD_ARGUMENT, "no model named");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_comes_back),
        cmocka_unit_test(faults_that_pass_are_tried_again),
        cmocka_unit_test(tries_end),
        cmocka_unit_test(faults_that_stay_are_told_at_once),
        cmocka_unit_test(fewer_texts_are_asked_for_again),
        cmocka_unit_test(a_cached_reply_costs_nothing),
        cmocka_unit_test(kill_9_loses_the_call_in_flight_alone),
        cmocka_unit_test(foreign_files_are_no_cache),
        cmocka_unit_test(probabilities_are_asked_for_and_kept),
        cmocka_unit_test(torn_probabilities_are_none),
        cmocka_unit_test(a_server_that_refuses_them_works),
        cmocka_unit_test(a_server_that_gives_few_is_asked_for_few),
        cmocka_unit_test(a_call_can_be_cancelled),
        cmocka_unit_test(a_silent_server_times_out),
        cmocka_unit_test(rate_is_kept),
        cmocka_unit_test(bad_options_are_refused),
    };
    setenv("no_proxy", "*", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
