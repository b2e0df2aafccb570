/* critic data convert and critic data split. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cli/data.h"
#include "cli/signals.h"
#include "world/data_convert.h"
#include "world/data_split.h"

/* ---- convert ---- */

#define MAX_TOLD 10

struct convert_flags {
    struct cr_common common;
    int to;
    const char *out;
    struct cr_strs templates;
    bool skip_bad;
    size_t n_told;
};

static void on_bad(void *user, const char *message) {
    struct convert_flags *f = user;
    if (!f->common.quiet && f->n_told++ < MAX_TOLD)
        fprintf(stderr, "%s\n", message);
}

static bool cancelled(void *user) {
    (void)user;
    return cr_cancelled(NULL);
}

static enum critic_status run_convert(struct convert_flags *f, const char *in,
                                      critic_error *err) {
    const char *templates[64];
    struct cr_data_convert_result r;
    if (!f->out)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--out names the file to write");
    if (f->templates.n > CR_COUNT(templates))
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "more than %zu times --template",
                       CR_COUNT(templates));
    for (size_t i = 0; i < f->templates.n; i++)
        templates[i] = f->templates.items[i].data;
    const struct cr_data_convert_opts o = {.in = in,
                                           .out = f->out,
                                           .to = (enum cr_data_format)f->to,
                                           .templates = templates,
                                           .n_templates = f->templates.n,
                                           .skip_bad = f->skip_bad,
                                           .on_bad = on_bad,
                                           .cancel = cancelled,
                                           .user = f};
    CR_TRY(cr_data_convert(&o, &r, err));
    if (f->common.json)
        return cr_print_json(json_pack("{s:s,s:I,s:I,s:I,s:I}", "out", f->out, "read",
                                       (json_int_t)r.n_read, "written",
                                       (json_int_t)r.n_written, "bad",
                                       (json_int_t)r.n_bad, "ties", (json_int_t)r.n_ties),
                             err);
    if (!f->common.quiet)
        printf("%zu records read, %zu written (%zu left out, %zu ties): %s\n", r.n_read,
               r.n_written, r.n_bad, r.n_ties, f->out);
    return CRITIC_OK;
}

int cr_cmd_data_convert(int n_args, const char *const *args) {
    struct convert_flags f;
    critic_error err = {0};
    memset(&f, 0, sizeof f);
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        {"out", 'o', CR_FLAG_STR, &f.out, "FILE", "the file to write, JSON lines", 0, 0},
        {"to", 0, CR_FLAG_CHOICE, &f.to, "items|llava|messages|pairs",
         "items: what critic judge reads, with the verdict that was there; llava: "
         "conversations; messages: chat messages; pairs: LLaVA-NeXT preferences",
         0, 0},
        {"template", 0, CR_FLAG_STRS, &f.templates, "NAME|FILE",
         "also look for this prompt; for items to llava: write this one; repeats", 0, 0},
        {"skip-bad", 0, CR_FLAG_BOOL, &f.skip_bad, NULL,
         "leave out what cannot be converted instead of failing", 0, 0},
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "data convert",
        .usage = "FILE --to FORMAT --out FILE",
        .about =
            "Reads LLaVA conversations (JSON, JSON lines, mixing YAML; LLaVA-Critic-113k "
            "among\nthem), chat messages, and items or the oracle's lines, and writes "
            "one of them as\nanother. A critic's record becomes an item by the template "
            "that gives its prompt.",
        .example = "critic data convert critic.jsonl --to items --out items.jsonl\n"
                   "critic data convert world/train/critic-oracle.jsonl --to pairs --out "
                   "pairs.jsonl",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed,
                          cr_outcome(run_convert(&f, parsed.positional[0], &err), &err));
}

/* ---- split ---- */

struct split_flags {
    struct cr_common common;
    struct cr_data_split_opts opts;
    struct cr_strs parts;
};

static enum critic_status run_split(struct split_flags *f, critic_error *err) {
    static const char *const usual[] = {"train=0.9", "val=0.05", "test=0.05"};
    struct cr_data_part parts[CR_MAX_PARTS];
    size_t n = f->parts.n ? f->parts.n : CR_COUNT(usual);
    if (!f->opts.out)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--out names the folder to write");
    if (n > CR_MAX_PARTS)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "more than %d times --part",
                       CR_MAX_PARTS);
    for (size_t i = 0; i < n; i++)
        CR_TRY(cr_data_part_parse(
            &parts[i], f->parts.n ? f->parts.items[i] : cr_str_of(usual[i]), err));
    CR_TRY(cr_data_split(&f->opts, parts, n, err));
    json_t *counts = json_object();
    for (size_t i = 0; i < n; i++) {
        json_object_set_new(counts, parts[i].name,
                            json_integer((json_int_t)parts[i].n_records));
        if (!f->common.json && !f->common.quiet)
            printf("%8zu  %s/%s.jsonl\n", parts[i].n_records, f->opts.out, parts[i].name);
    }
    if (f->common.json)
        return cr_print_json(
            json_pack("{s:s,s:o}", "out", f->opts.out, "records", counts), err);
    json_decref(counts);
    return CRITIC_OK;
}

int cr_cmd_data_split(int n_args, const char *const *args) {
    struct split_flags f;
    critic_error err = {0};
    memset(&f, 0, sizeof f);
    cr_common_init(&f.common);
    f.opts.seed = 1;
    const struct cr_flag flags[] = {
        {"out", 'o', CR_FLAG_STR, &f.opts.out, "DIR", "folder of the parts", 0, 0},
        {"part", 0, CR_FLAG_STRS, &f.parts, "NAME=SHARE",
         "a part and its share; repeats (default train=0.9, val=0.05, test=0.05)", 0, 0},
        {"seed", 0, CR_FLAG_U64, &f.opts.seed, "N", "of who goes where (default 1)", 0,
         0},
        {"force", 0, CR_FLAG_BOOL, &f.opts.force, NULL, "replace files that are there", 0,
         0},
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "data split",
        .usage = "FILE --out DIR [--part NAME=SHARE]…",
        .about = "Parts records so that no picture is in two parts. Who goes where "
                 "follows from seed\nand picture alone: a file that grows leaves the "
                 "others where they were.",
        .example = "critic data split critic.jsonl --out parts --part train=0.95 --part "
                   "test=0.05",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.opts.in = parsed.positional[0];
    return cr_command_end(&parsed, cr_outcome(run_split(&f, &err), &err));
}
