/* critic data lint: what is wrong in conversation files. */
#include <stdio.h>

#include "cli/data.h"
#include "cli/signals.h"
#include "world/lint.h"

struct lint_flags {
    struct cr_common common;
    struct cr_lint_opts opts;
    size_t limit;
    size_t shown[CR_N_LINT_KINDS];
    json_t *list; /* with --json */
};

static void on_fault(void *user, enum cr_lint_kind kind, const char *message) {
    struct lint_flags *f = user;
    if (f->shown[kind]++ >= f->limit)
        return;
    if (f->common.json) {
        json_array_append_new(
            f->list,
            json_pack("{s:s,s:s}", "kind", cr_lint_kind_name(kind), "message", message));
        return;
    }
    cr_print_text(cr_str_of(message));
    putchar('\n');
}

static size_t print_lint(struct lint_flags *f, const struct cr_lint_result *r,
                         critic_error *err) {
    size_t total = 0;
    json_t *counts = json_object();
    for (int k = 0; k < CR_N_LINT_KINDS; k++) {
        total += r->faults[k];
        json_object_set_new(counts, cr_lint_kind_name((enum cr_lint_kind)k),
                            json_integer((json_int_t)r->faults[k]));
    }
    if (f->common.json) {
        (void)cr_print_json(
            json_pack("{s:I,s:I,s:I,s:o,s:o}", "records", (json_int_t)r->n_records,
                      "turns", (json_int_t)r->n_turns, "images", (json_int_t)r->n_images,
                      "faults", counts, "list", f->list),
            err);
        f->list = NULL;
        return total;
    }
    json_decref(counts);
    for (int k = 0; k < CR_N_LINT_KINDS; k++)
        if (r->faults[k] > f->limit)
            printf("%s: %zu in all, %zu shown (--limit)\n",
                   cr_lint_kind_name((enum cr_lint_kind)k), r->faults[k], f->limit);
    if (!f->common.quiet)
        printf("%zu records, %zu turns, %zu pictures: %zu fault%s\n", r->n_records,
               r->n_turns, r->n_images, total, total == 1 ? "" : "s");
    return total;
}

int cr_cmd_data_lint(int n_args, const char *const *args) {
    struct lint_flags f = {.limit = 20};
    struct cr_lint_result result;
    critic_error err = {0};
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        {"image-folder", 0, CR_FLAG_STR, &f.opts.image_folder, "DIR",
         "where image paths start (default: each file's folder)", 0, 0},
        {"no-images", 0, CR_FLAG_BOOL, &f.opts.no_images, NULL,
         "do not look for the pictures", 0, 0},
        {"limit", 'n', CR_FLAG_SIZE, &f.limit, "N",
         "faults shown of each kind (default 20)", 0, 1e9},
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "data lint",
        .usage = "FILE… [--image-folder DIR]",
        .about = "Finds faults in files of conversations, ours or published (JSON lines "
                 "or one list): syntax, "
                 "<image> marks,\nmissing pictures, duplicates, pictures and scenes in "
                 "two splits, the better "
                 "answer in one place too often.\nFiles in one folder are one split; if "
                 "all are in one folder, "
                 "each is a split. Exit status 1 if there are faults.",
        .example = "critic data lint world/train/*.jsonl world/test/*.jsonl "
                   "--image-folder world",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1024};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.opts.paths = parsed.positional;
    f.opts.n_paths = parsed.n_positional;
    f.opts.on_fault = on_fault;
    f.opts.cancel = cr_cancelled;
    f.opts.user = &f;
    f.list = json_array();
    if (cr_data_lint(&f.opts, &result, &err) != CRITIC_OK)
        status = cr_report(&err);
    else
        status = print_lint(&f, &result, &err) > 0 ? CR_EXIT_FAILED : CR_EXIT_DONE;
    json_decref(f.list);
    return cr_command_end(&parsed, status);
}
