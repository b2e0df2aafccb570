/* critic data convert: records of one format as another. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "cli/data.h"
#include "cli/signals.h"
#include "world/data_convert.h"

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

static enum critic_status run_convert(struct convert_flags *f, const char *in,
                                      critic_error *err) {
    const char *templates[64];
    struct cr_data_convert_result r;
    if (!f->out)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "--out names the file to write");
    CR_TRY(cr_file_apart(in, f->out, err));
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
                                           .cancel = cr_cancelled,
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
                   "critic data convert world/train/critic-oracle.jsonl --to pairs "
                   "--skip-bad \\\n"
                   "    --out pairs.jsonl",
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
