/* critic eval list: the benchmarks, their files and where these are to be had. */
#include <stdio.h>

#include "base/checked.h"
#include "cli/eval.h"
#include "eval/exam.h"
#include "eval/quiz.h"

static json_t *bench_json(const struct cr_exam *b) {
    json_t *files = json_array();
    for (size_t i = 0; i < CR_EXAM_FILES && b->files[i]; i++)
        json_array_append_new(files, json_string(b->files[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:I, s:o}", "name", b->name, "title",
                     b->title, "mode", cr_mode_name(b->mode), "files", files, "source",
                     b->source, "template", b->template_name, "items",
                     (json_int_t)b->n_expected, "note",
                     b->note ? json_string(b->note) : json_null());
}

static void print_bench(const struct cr_exam *b) {
    printf("%s: %s, %s, template %s", b->name, b->title, cr_mode_name(b->mode),
           b->template_name);
    if (b->n_expected)
        printf(", %zu items", b->n_expected);
    printf("\n  file: %s", b->files[0]);
    for (size_t i = 1; i < CR_EXAM_FILES && b->files[i]; i++)
        printf(" or %s", b->files[i]);
    printf("\n  from: %s\n", b->source);
    if (b->note)
        printf("  note: %s\n", b->note);
}

static json_t *quiz_json(const struct cr_quiz *q) {
    json_t *files = json_array();
    for (size_t i = 0; i < CR_COUNT(q->files) && q->files[i]; i++)
        json_array_append_new(files, json_string(q->files[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s}", "name", q->name, "title", q->title,
                     "mode", "answers", "files", files, "source", q->source,
                     "instruction", q->instruction);
}

static void print_quiz(const struct cr_quiz *q) {
    printf("%s: %s, a model answers\n  file: %s", q->name, q->title, q->files[0]);
    for (size_t i = 1; i < CR_COUNT(q->files) && q->files[i]; i++)
        printf(" or %s", q->files[i]);
    printf("\n  from: %s\n", q->source);
}

static int run_parsed(const struct cr_common *c) {
    critic_error err = {0};
    json_t *list = json_array(), *not_given = json_array();
    for (const struct cr_exam *b = cr_exams; b->name && c->json; b++)
        json_array_append_new(list, bench_json(b));
    for (const struct cr_irreproducible *x = cr_irreproducible; x->what && c->json; x++)
        json_array_append_new(not_given,
                              json_pack("{s:s, s:s}", "what", x->what, "why", x->why));
    for (const struct cr_exam *b = cr_exams; b->name && !c->json; b++)
        print_bench(b);
    for (const struct cr_quiz *q = cr_quizzes; q->name; q++)
        if (c->json)
            json_array_append_new(list, quiz_json(q));
        else
            print_quiz(q);
    if (!c->json)
        printf("\nPublished figures that their own data do not give:\n");
    for (const struct cr_irreproducible *x = cr_irreproducible; x->what && !c->json; x++)
        printf("  %s: %s\n", x->what, x->why);
    enum critic_status status = CRITIC_OK;
    if (c->json)
        status = cr_print_json(
            json_pack("{s:O, s:O}", "benchmarks", list, "not_reproducible", not_given),
            &err);
    json_decref(list);
    json_decref(not_given);
    return cr_outcome(status, &err);
}

int cr_eval_list(int n_args, const char *const *args) {
    struct cr_common c;
    cr_common_init(&c);
    const struct cr_flag flags[] = {CR_OUTPUT_FLAGS(c), CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval list",
        .usage = "[--json]",
        .about =
            "The benchmarks that critic eval run knows, the exact names of their files "
            "and "
            "where they\nare to be had; and published figures that cannot be reproduced.",
        .example = "critic eval list",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, run_parsed(&c));
}
