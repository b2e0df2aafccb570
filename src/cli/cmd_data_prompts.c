/* critic data prompts: questions about a world's scenes, for a policy to answer. */
#include <stdio.h>

#include "base/file.h"
#include "cli/data.h"
#include "world/prompts.h"

int cr_cmd_data_prompts(int n_args, const char *const *args) {
    struct cr_common common;
    struct cr_world_prompts_opts o;
    critic_error err = {0};
    size_t n;
    cr_common_init(&common);
    cr_world_prompts_opts_default(&o);
    const struct cr_flag flags[] = {
        {"out", 'o', CR_FLAG_STR, &o.out, "FILE",
         "default: prompts.jsonl beside SCENES, where pictures' paths start", 0, 0},
        {"seed", 0, CR_FLAG_U64, &o.seed, "N", "of the questions (default 1)", 0, 0},
        {"limit", 'n', CR_FLAG_SIZE, &o.limit, "N", "scenes (default: all)", 1, 1e9},
        {"questions", 0, CR_FLAG_SIZE, &o.n_scene, "N", "a scene (default 1)", 1, 16},
        {"force", 0, CR_FLAG_BOOL, &o.force, NULL, "replace the file", 0, 0},
        CR_OUTPUT_FLAGS(common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "data prompts",
        .usage = "SCENES.jsonl [--questions N] [--seed N]",
        .about = "Questions about a world's scenes, without answers: prompts of critic "
                 "prefer and\ncritic align that the oracle can score "
                 "(docs/micro-world.md). Lines of id, images, question, scene.",
        .example = "critic data prompts world/test/scenes.jsonl",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    o.scenes = parsed.positional[0];
    enum critic_status done = o.out ? cr_file_apart(o.scenes, o.out, &err) : CRITIC_OK;
    if (done == CRITIC_OK)
        done = cr_world_prompts(&o, &n, &err);
    if (done == CRITIC_OK && common.json)
        done = cr_print_json(
            json_pack("{s:s,s:I}", "scenes", o.scenes, "prompts", (json_int_t)n), &err);
    else if (done == CRITIC_OK && !common.quiet)
        printf("%zu prompts\n", n);
    return cr_command_end(&parsed, cr_outcome(done, &err));
}
