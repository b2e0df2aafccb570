/* critic data split: records into parts. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cli/data.h"
#include "cli/signals.h"
#include "world/data_split.h"

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
