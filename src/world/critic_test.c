/* Whole data sets in a folder: the same bytes for any number of threads, replies that the verdict
 * parser and the reason's reader understand, prompts that are the templates', and lint and stats on
 * them and on files that were broken on purpose. */
#include "world/critic.h"

#include "base/checked.h"
#include "base/hash.h"
#include "image/image.h"
#include "judge/template.h"
#include "t_files.h"
#include "train/records.h"
#include "world/lint.h"
#include "world/record.h"
#include "world/stats.h"
#include "world/world.h"

enum { N_SCENES = 150 };

static const char *const file_names[] = {"scenes.jsonl",        "labels.jsonl",
                                         "base.jsonl",          "critic.jsonl",
                                         "critic-packed.jsonl", "critic-oracle.jsonl"};

/* Draws a split and its critic records below dir. */
static void make(const char *dir, enum cr_split split, uint64_t seed, int n_threads,
                 bool both_orders) {
    struct cr_world_opts w;
    struct cr_world_result wr;
    struct cr_critic_opts c;
    struct cr_critic_result cr;
    char scenes[512];
    critic_error err;
    cr_world_opts_default(&w);
    w.out = dir;
    w.split = split;
    w.seed = seed;
    w.count = N_SCENES;
    w.start = 940; /* over the edge of a folder of pictures */
    w.n_threads = n_threads;
    w.large_percent = 25;
    T_OK(cr_world_generate(&w, &wr, &err));
    assert_int_equal(wr.n_images, N_SCENES);
    snprintf(scenes, sizeof scenes, "%s/%s/scenes.jsonl", dir, cr_split_name(split));
    cr_critic_opts_default(&c);
    c.scenes = scenes;
    c.n_threads = n_threads;
    c.both_orders = both_orders;
    T_OK(cr_critic_generate(&c, &cr, &err));
    assert_int_equal(cr.n_scenes, N_SCENES);
    T_FAILS(cr_critic_generate(&c, &cr, &err), CRITIC_BAD_ARGUMENT, "--force");
    T_FAILS(cr_world_generate(&w, &wr, &err), CRITIC_BAD_ARGUMENT, "--force");
}

static void remove_tree(const char *path) {
    struct cr_buf names;
    char inner[4096];
    cr_buf_init(&names, 1 << 20);
    assert_int_equal(cr_dir_list(&names, path, NULL), CRITIC_OK);
    for (const char *p = cr_dir_next(&names, NULL); p; p = cr_dir_next(&names, p)) {
        snprintf(inner, sizeof inner, "%s/%s", path, p);
        if (cr_dir_exists(inner))
            remove_tree(inner);
        else
            unlink(inner);
    }
    cr_buf_fini(&names);
    assert_int_equal(rmdir(path), 0);
}

static void hash_file(struct cr_hash *h, const char *dir, const char *split,
                      const char *name) {
    char path[1024];
    struct cr_map m;
    critic_error err;
    snprintf(path, sizeof path, "%s/%s/%s", dir, split, name);
    T_OK(cr_map_open(&m, path, &err));
    cr_hash_update(h, m.bytes.data, m.bytes.len);
    cr_map_close(&m);
}

static void hash_all(const char *dir, const char *split, char hex[CR_HASH_HEX]) {
    struct cr_hash h;
    cr_hash_init(&h, 0);
    for (size_t i = 0; i < CR_COUNT(file_names); i++)
        hash_file(&h, dir, split, file_names[i]);
    hash_file(&h, dir, split, "images/0000/000940.png");
    hash_file(&h, dir, split, "images/0001/001001.png");
    cr_hash_hex(&h, hex);
}

/* The second hash is that of every machine: a change of it is a change of the world. */
static void test_same_bytes(void **state) {
    static const struct {
        enum cr_split split;
        const char *hex;
    } cases[] = {{CR_TRAIN, "49501dee69828e49cf1c69845e63e0a6"},
                 {CR_NOVEL, "c365d818be45b58765642e474941238d"}};
    (void)state;
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        char hex[2][CR_HASH_HEX];
        for (int k = 0; k < 2; k++) {
            struct t_dir d;
            t_dir_make(&d, k ? "world-b" : "world-a");
            make(d.path, cases[i].split, 5, k ? 3 : 1, false);
            hash_all(d.path, cr_split_name(cases[i].split), hex[k]);
            remove_tree(d.path);
        }
        assert_string_equal(hex[0], hex[1]);
        assert_string_equal(hex[0], cases[i].hex);
    }
}

/* ---- what the records say -------------------------------------------------------------------------------- */

static struct cr_str text_of(const json_t *object, const char *key) {
    const json_t *v = json_object_get(object, key);
    return json_is_string(v)
               ? (struct cr_str){json_string_value(v), json_string_length(v)}
               : (struct cr_str){NULL, 0};
}

/* The prompt is what `critic judge` makes of the oracle's item with the oracle's template. */
static void check_prompt(const struct cr_template *t, const json_t *item,
                         struct cr_str prompt) {
    struct cr_str answers[2] = {{NULL, 0}};
    const json_t *responses = json_object_get(item, "responses");
    const json_t *criterion = json_array_get(json_object_get(item, "criteria"), 0);
    struct cr_template_values v = {.question = text_of(item, "question"),
                                   .answers = answers,
                                   .n_answers = json_array_size(responses),
                                   .reference = text_of(item, "reference"),
                                   .scale = t->rule.scale};
    struct cr_buf out;
    critic_error err;
    for (size_t i = 0; i < v.n_answers; i++)
        answers[i] = (struct cr_str){json_string_value(json_array_get(responses, i)),
                                     json_string_length(json_array_get(responses, i))};
    if (criterion)
        v.criterion = cr_str_of(json_string_value(criterion));
    cr_buf_init(&out, 1 << 16);
    T_OK(cr_buf_append_c(&out, "<image>\n", &err));
    T_OK(cr_template_render(t, &v, &out, &err));
    assert_int_equal(out.len, prompt.len);
    assert_memory_equal(out.data, prompt.data, prompt.len);
    cr_buf_fini(&out);
}

static void check_reply(const struct cr_template *t, const json_t *item,
                        struct cr_str reply) {
    struct cr_parsed p;
    critic_error err;
    const json_t *verdict = json_object_get(item, "verdict");
    T_OK(cr_verdict_parse(&p, reply, &t->rule, &err));
    if (!p.ok)
        fail_msg("%.*s: %s", (int)reply.len, reply.data, p.why);
    if (t->mode == CR_MODE_PAIRWISE)
        assert_string_equal(cr_choice_name(p.choice), json_string_value(verdict));
    else
        assert_int_equal((int)p.score, json_integer_value(verdict));
}

static void check_reason(const json_t *item, const struct cr_scene *s,
                         struct cr_str reply) {
    struct cr_fact facts[64];
    struct cr_reason r = {.facts = facts, .max_facts = 64};
    cr_reason_read(&r, reply, s->side);
    if (r.n_unread > 0)
        fail_msg("%zu unread: %.*s", r.n_unread, (int)reply.len, reply.data);
    for (size_t i = 0; i < r.n_facts; i++)
        assert_true(cr_fact_holds(&facts[i], s, text_of(item, "truth")));
}

static void open_records(struct cr_records *r, const char *dir, const char *split,
                         const char *name) {
    critic_error err;
    char path[1024];
    snprintf(path, sizeof path, "%s/%s/%s", dir, split, name);
    T_OK(cr_records_open(r, path, 0, &err));
}

static void check_split(const char *dir, const char *split) {
    struct cr_records talk, oracle, scenes;
    json_t *record, *item, *scene;
    struct cr_scene_line line = {.id = ""};
    critic_error err;
    size_t n_scenes = 0;
    open_records(&talk, dir, split, "critic.jsonl");
    open_records(&oracle, dir, split, "critic-oracle.jsonl");
    open_records(&scenes, dir, split, "scenes.jsonl");
    assert_int_equal(talk.n, N_SCENES * (2 * 3 + 2));
    assert_int_equal(oracle.n, talk.n);
    for (size_t i = 0; i < talk.n; i++) {
        struct cr_template *t;
        T_OK(cr_records_get(&talk, i, &record, &err));
        T_OK(cr_records_get(&oracle, i, &item, &err));
        assert_string_equal(text_of(record, "id").data, text_of(item, "id").data);
        while (strcmp(line.id, text_of(item, "scene").data) != 0) {
            struct cr_buf text;
            T_OK(cr_records_get(&scenes, n_scenes++, &scene, &err));
            cr_buf_init(&text, 1 << 16);
            T_OK(cr_json_append(&text, scene, &err));
            T_OK(cr_scene_read(&line, cr_buf_str(&text), "scene", &err));
            cr_buf_fini(&text);
            json_decref(scene);
        }
        T_OK(cr_template_open(&t, text_of(item, "template").data, &err));
        check_prompt(t, item, cr_record_turn(record, 0, "human"));
        check_reply(t, item, cr_record_turn(record, 1, "gpt"));
        check_reason(item, &line.scene, cr_record_turn(record, 1, "gpt"));
        cr_template_free(t);
        json_decref(record);
        json_decref(item);
    }
    cr_records_close(&talk);
    cr_records_close(&oracle);
    cr_records_close(&scenes);
}

static void test_records(void **state) {
    struct t_dir d;
    (void)state;
    t_dir_make(&d, "world-r");
    make(d.path, CR_TEST, 6, 2, true);
    make(d.path, CR_CROWDED, 6, 2, true);
    check_split(d.path, "test");
    check_split(d.path, "crowded");
    remove_tree(d.path);
}

/* ---- lint and stats --------------------------------------------------------------------------------------- */

static void test_lint_clean(void **state) {
    struct t_dir d;
    char paths[8][512];
    const char *list[8];
    struct cr_lint_result r;
    critic_error err;
    (void)state;
    t_dir_make(&d, "world-l");
    make(d.path, CR_TRAIN, 6, 2, false);
    make(d.path, CR_VAL, 6, 2, false);
    for (int i = 0; i < 8; i++) {
        static const char *const names[] = {"scenes", "base", "critic", "critic-packed"};
        snprintf(paths[i], sizeof paths[i], "%s/%s/%s.jsonl", d.path,
                 i < 4 ? "train" : "val", names[i % 4]);
        list[i] = paths[i];
    }
    struct cr_lint_opts o = {.paths = list, .n_paths = 8, .image_folder = d.path};
    T_OK(cr_data_lint(&o, &r, &err));
    for (int k = 0; k < CR_N_LINT_KINDS; k++)
        assert_int_equal(r.faults[k], 0);
    assert_int_equal(r.n_images, 2 * N_SCENES);
    assert_int_equal(r.n_records, 2 * N_SCENES * (1 + 1 + 5 + 1));

    json_t *stats;
    struct cr_data_stats_opts so = {.path = paths[2]};
    char oracle[512];
    snprintf(oracle, sizeof oracle, "%s/train/critic-oracle.jsonl", d.path);
    so.oracle = oracle;
    T_OK(cr_data_stats(&stats, &so, &err));
    const json_t *inner = json_object_get(stats, "oracle");
    assert_int_equal(json_integer_value(json_object_get(stats, "records")), 5 * N_SCENES);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(stats, "formats"),
                                                        "better-response")),
                     3 * N_SCENES);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(inner, "kinds"), "score")),
        2 * N_SCENES);
    T_NEAR(json_real_value(json_object_get(inner, "ties")), 0.24, 0.08, 0);
    json_decref(stats);

    struct cr_buf png;
    struct cr_image sheet;
    cr_buf_init(&png, 64 << 20);
    T_OK(cr_contact_sheet(&png, paths[1], d.path, 10, 32, 4, &err));
    T_OK(cr_image_decode(&sheet, (struct cr_bytes){(unsigned char *)png.data, png.len},
                         NULL, "sheet", &err));
    assert_int_equal(sheet.width, 4 + 4 * 36);
    assert_int_equal(sheet.height, 4 + 3 * 36);
    cr_image_free(&sheet);
    cr_buf_fini(&png);
    remove_tree(d.path);
}

#define TURNS(h, g)                                                                      \
    "\"conversations\":[{\"from\":\"human\",\"value\":\"" h                              \
    "\"},{\"from\":\"gpt\",\"value\":\"" g "\"}]"

/* Each broken file has one fault of one kind. */
static void test_lint_faults(void **state) {
    static const struct {
        const char *text;
        enum cr_lint_kind kind;
        size_t n;
    } cases[] = {
        {"", CR_LINT_SYNTAX, 1},
        {"{\"id\":\"a\"", CR_LINT_SYNTAX, 1},
        {"[{\"id\":\"a\"," TURNS("x", "y") "},", CR_LINT_SYNTAX, 1},
        {"[{\"id\":\"a\"," TURNS("x", "y") "}, 7]", CR_LINT_SYNTAX, 1},
        {"{\"id\":\"a\",\"conversations\":[]}", CR_LINT_SYNTAX, 1},
        {"{\"id\":\"a\",\"conversations\":[{\"from\":\"gpt\",\"value\":\"x\"},{\"from\":"
         "\"human\",\"value\":\"y\"}]}",
         CR_LINT_SYNTAX, 1},
        {"{\"id\":\"a\"," TURNS("x", "") "}", CR_LINT_SYNTAX, 1},
        {"{\"id\":\"a\",\"image\":\"p.png\"," TURNS("x", "y") "}", CR_LINT_MARKS, 1},
        {"{\"id\":\"a\"," TURNS("<image>x", "y") "}", CR_LINT_MARKS, 1},
        {"{\"id\":\"a\",\"image\":[\"p.png\",\"p.png\"]," TURNS("<image><image>",
                                                                "<image>") "}",
         CR_LINT_MARKS, 1},
        {"{\"id\":\"a\",\"image\":\"q.png\"," TURNS("<image>", "y") "}", CR_LINT_MISSING,
         1},
        {"{\"id\":\"a\"," TURNS("x", "y") "}\n{\"id\":\"a\"," TURNS("x", "z") "}",
         CR_LINT_DUPLICATE, 1},
        {"{\"id\":\"a\"," TURNS("x", "y") "}\n{\"id\":\"b\"," TURNS("x", "y") "}",
         CR_LINT_DUPLICATE, 1},
        {"{\"id\":\"a\",\"image\":\"i\",\"split\":\"train\",\"grid\":[3,3],\"objects\":[{"
         "\"cell\":0,\"shape\":\"ring\","
         "\"colour\":\"green\",\"size\":\"small\"}]}",
         CR_LINT_SPLIT, 1},
    };
    struct t_dir d;
    critic_error err;
    (void)state;
    t_dir_make(&d, "lint");
    t_write_text(&d, "p.png", "a picture, as far as lint cares");
    for (size_t i = 0; i < CR_COUNT(cases); i++) {
        struct cr_lint_result r;
        char path[512];
        snprintf(path, sizeof path, "%s", t_write_text(&d, "x.jsonl", cases[i].text));
        const char *list[] = {path};
        struct cr_lint_opts o = {.paths = list, .n_paths = 1};
        T_OK(cr_data_lint(&o, &r, &err));
        for (int k = 0; k < CR_N_LINT_KINDS; k++)
            if (r.faults[k] != (k == (int)cases[i].kind ? cases[i].n : 0))
                fail_msg("case %zu: %zu faults '%s'", i, r.faults[k],
                         cr_lint_kind_name((enum cr_lint_kind)k));
    }
    t_dir_remove(&d);
}

static void test_lint_leak_and_order(void **state) {
    struct t_dir d;
    struct cr_buf text;
    struct cr_lint_result r;
    char a[512], b[512];
    critic_error err;
    (void)state;
    t_dir_make(&d, "leak");
    t_write_text(&d, "p.png", "one");
    t_write_text(&d, "q.png", "one"); /* another name, the same picture */
    snprintf(
        a, sizeof a, "%s",
        t_write_text(&d, "a.json",
                     "[{\"id\":\"a\",\"image\":\"p.png\"," TURNS("<image>", "y") "}]"));
    cr_buf_init(&text, 1 << 20);
    T_OK(cr_buf_append_c(
        &text, "{\"id\":\"a\",\"image\":\"q.png\"," TURNS("<image>", "y") "}\n", &err));
    for (int i = 0; i < 60; i++)
        T_OK(cr_buf_printf(
            &text, &err,
            "{\"id\":\"p%d\"," TURNS("%d", "The better response: [%s].") "}\n", i, i,
            i < 50 ? "first" : "B"));
    snprintf(b, sizeof b, "%s", t_write_text(&d, "b.jsonl", text.data));
    const char *list[] = {a, b};
    struct cr_lint_opts o = {.paths = list, .n_paths = 2};
    T_OK(cr_data_lint(&o, &r, &err));
    for (int k = 0; k < CR_N_LINT_KINDS; k++)
        assert_int_equal(r.faults[k], k == CR_LINT_LEAK || k == CR_LINT_ORDER ? 1 : 0);
    cr_buf_fini(&text);
    t_dir_remove(&d);
}

static void keep_message(void *user, enum cr_lint_kind kind, const char *message) {
    (void)kind;
    snprintf(user, 2048, "%s", message);
}

/* A fault of a whole file is told in full under the longest path. */
static void test_lint_long_path(void **state) {
    struct t_dir d;
    struct cr_buf path, text;
    struct cr_lint_result r;
    char message[2048] = "";
    critic_error err;
    (void)state;
    t_dir_make(&d, "deep");
    cr_buf_init(&path, 1 << 16);
    cr_buf_init(&text, 1 << 20);
    T_OK(cr_buf_append_c(&path, d.path, &err));
    for (int i = 0; i < 6; i++)
        T_OK(cr_buf_printf(&path, &err, "/%0200d", i));
    T_OK(cr_dir_make(path.data, &err));
    T_OK(cr_buf_append_c(&path, "/pairs.jsonl", &err));
    for (int i = 0; i < 60; i++)
        T_OK(cr_buf_printf(
            &text, &err,
            "{\"id\":\"p%d\"," TURNS("%d", "The better response: [first].") "}\n", i, i));
    FILE *f = fopen(path.data, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
    assert_int_equal(fclose(f), 0);
    const char *list[] = {path.data};
    struct cr_lint_opts o = {
        .paths = list, .n_paths = 1, .on_fault = keep_message, .user = message};
    T_OK(cr_data_lint(&o, &r, &err));
    assert_int_equal(r.faults[CR_LINT_ORDER], 1);
    assert_non_null(strstr(message, "better in 60 of 60 pairs"));
    cr_buf_fini(&text);
    cr_buf_fini(&path);
    remove_tree(d.path);
}

static void test_bad_scenes(void **state) {
    struct t_dir d;
    struct cr_critic_opts c;
    struct cr_critic_result r;
    char path[512];
    critic_error err;
    (void)state;
    t_dir_make(&d, "bad");
    cr_critic_opts_default(&c);
    snprintf(path, sizeof path, "%s",
             t_write_text(&d, "scenes.jsonl", "\n{\"id\":\"a\"}\n"));
    c.scenes = path;
    T_FAILS(cr_critic_generate(&c, &r, &err), CRITIC_BAD_DATA,
            "scenes.jsonl:2: 'id' or 'image'");
    c.base = 0;
    T_FAILS(cr_critic_generate(&c, &r, &err), CRITIC_BAD_ARGUMENT, "base turns");
    t_dir_remove(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),          cmocka_unit_test(test_records),
        cmocka_unit_test(test_lint_clean),          cmocka_unit_test(test_lint_faults),
        cmocka_unit_test(test_lint_leak_and_order), cmocka_unit_test(test_lint_long_path),
        cmocka_unit_test(test_bad_scenes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
