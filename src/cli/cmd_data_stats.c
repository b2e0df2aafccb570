/* critic data stats: what is in conversation files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/data.h"
#include "cli/signals.h"
#include "world/stats.h"

struct stats_flags {
    struct cr_common common;
    struct cr_data_stats_opts opts;
    const char *image_folder, *sheet;
    size_t n, side, columns;
};

/* critic-oracle.jsonl beside critic.jsonl. */
static enum critic_status find_oracle(const char *path, struct cr_buf *out, bool *there,
                                      critic_error *err) {
    static const char from[] = "critic.jsonl", to[] = "critic-oracle.jsonl";
    size_t len = strlen(path), tail = sizeof from - 1;
    *there = false;
    if (len < tail || strcmp(path + len - tail, from) != 0)
        return CRITIC_OK;
    CR_TRY(cr_buf_append(out, path, len - tail, err));
    CR_TRY(cr_buf_append_c(out, to, err));
    *there = cr_file_exists(out->data);
    return CRITIC_OK;
}

struct row {
    const char *key;
    json_int_t n;
};

static int by_count(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->key, y->key);
}

static void print_counts(const char *name, const json_t *counts, const char *indent) {
    enum { MOST = 24 };
    struct row rows[256];
    size_t n = 0;
    json_int_t total = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)counts, key, value) {
        total += json_integer_value(value);
        if (n < sizeof rows / sizeof rows[0])
            rows[n++] = (struct row){key, json_integer_value(value)};
    }
    if (n == 0)
        return;
    qsort(rows, n, sizeof rows[0], by_count);
    printf("%s%s\n", indent, name);
    for (size_t i = 0; i < n && i < MOST; i++) {
        printf("%s  %6.1f %%  %9lld  ", indent, 100.0 * (double)rows[i].n / (double)total,
               (long long)rows[i].n);
        cr_print_text(cr_str_of(rows[i].key));
        putchar('\n');
    }
    if (n > MOST)
        printf("%s  and %zu more\n", indent, n - MOST);
}

static void print_object(const json_t *object, const char *indent) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (json_is_integer(value))
            printf("%s%-28s %lld\n", indent, key, (long long)json_integer_value(value));
        else if (json_is_real(value))
            printf("%s%-28s %.3f\n", indent, key, json_real_value(value));
        else if (json_object_get(value, "mean"))
            printf("%s%-28s mean %.0f, median %lld, 90 %% up to %lld, max %lld\n", indent,
                   key, json_number_value(json_object_get(value, "mean")),
                   (long long)json_integer_value(json_object_get(value, "median")),
                   (long long)json_integer_value(json_object_get(value, "p90")),
                   (long long)json_integer_value(json_object_get(value, "max")));
        else if (strcmp(key, "oracle") != 0)
            print_counts(key, value, indent);
    }
}

static enum critic_status write_sheet(const struct stats_flags *f, critic_error *err) {
    struct cr_buf png;
    cr_buf_init(&png, (size_t)1 << 30);
    enum critic_status status = cr_contact_sheet(&png, f->opts.path, f->image_folder,
                                                 f->n, f->side, f->columns, err);
    if (status == CRITIC_OK)
        status = cr_file_write(
            f->sheet, (struct cr_bytes){(unsigned char *)png.data, png.len}, err);
    cr_buf_fini(&png);
    return status;
}

static enum critic_status run_stats(struct stats_flags *f, critic_error *err) {
    struct cr_buf oracle;
    json_t *stats = NULL;
    bool there = false;
    cr_buf_init(&oracle, 1 << 16);
    enum critic_status status =
        f->sheet ? cr_file_apart(f->opts.path, f->sheet, err) : CRITIC_OK;
    if (status == CRITIC_OK && !f->opts.oracle)
        status = find_oracle(f->opts.path, &oracle, &there, err);
    if (there)
        f->opts.oracle = oracle.data;
    f->opts.cancel = cr_cancelled;
    if (status == CRITIC_OK)
        status = cr_data_stats(&stats, &f->opts, err);
    if (status == CRITIC_OK && f->sheet)
        status = write_sheet(f, err);
    cr_buf_fini(&oracle);
    if (status == CRITIC_OK && f->common.json)
        return cr_print_json(stats, err);
    if (status == CRITIC_OK) {
        print_object(stats, "");
        if (json_object_get(stats, "oracle")) {
            printf("the oracle\n");
            print_object(json_object_get(stats, "oracle"), "  ");
        }
    }
    json_decref(stats);
    return status;
}

int cr_cmd_data_stats(int n_args, const char *const *args) {
    struct stats_flags f = {.n = 64, .side = 96, .columns = 8};
    critic_error err = {0};
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        {"oracle", 0, CR_FLAG_STR, &f.opts.oracle, "FILE",
         "the oracle's file (default: critic-oracle.jsonl beside a critic.jsonl)", 0, 0},
        {"sheet", 0, CR_FLAG_STR, &f.sheet, "OUT.png",
         "draw a contact sheet of the first pictures", 0, 0},
        {"image-folder", 0, CR_FLAG_STR, &f.image_folder, "DIR",
         "where image paths start (default: the file's folder)", 0, 0},
        {"pictures", 'n', CR_FLAG_SIZE, &f.n, "N", "on the sheet (default 64)", 1, 4096},
        {"side", 0, CR_FLAG_SIZE, &f.side, "N",
         "of a picture on the sheet, pixels (default 96)", 8, 1024},
        {"columns", 0, CR_FLAG_SIZE, &f.columns, "N", "of the sheet (default 8)", 1, 256},
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "data stats",
        .usage = "FILE [--sheet OUT.png]",
        .about = "What is in a file of conversations (JSON lines or one list; ours or "
                 "published, such "
                 "as LLaVA-Critic-113k):\nsources, lengths, verdict formats, verdicts, "
                 "scores, prompt "
                 "openings; and, from the oracle's file, gaps,\nties, criteria, "
                 "templates, and how "
                 "length goes with quality.",
        .example = "critic data stats world/train/critic.jsonl --sheet sheet.png "
                   "--image-folder world",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.opts.path = parsed.positional[0];
    return cr_command_end(&parsed, cr_outcome(run_stats(&f, &err), &err));
}
