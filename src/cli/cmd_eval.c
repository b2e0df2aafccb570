/* critic eval: one table of sub-commands. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/eval.h"

/* To add a command: a row here, a declaration in cli/eval.h, its flags in src/cli/eval_NAME.c,
 * a section in docs/cli.md. */
static const struct cr_command commands[] = {
    {"stats", "a judge beside a reference: every statistic, with intervals",
     cr_eval_stats},
    {"wildvision", "WildVision-Bench table of a folder of judgements",
     cr_eval_wildvision},
    {"score mme", "MME scores of official result files", cr_eval_score_mme},
    {"score pope", "POPE scores of a file of predictions", cr_eval_score_pope},
    {"score mmbench", "MMBench with circular evaluation", cr_eval_score_mmbench},
    {"micro", "a judge of the micro world held against its oracle", cr_eval_micro},
    {"llava-reviews", "scores and relative score of LLaVA-Bench review files",
     cr_eval_llava_reviews},
    {"run", "judge a benchmark's items and score the verdicts", cr_eval_run},
    {"panel", "the diseases that judges have", cr_eval_panel},
    {"compare", "judges on the same items: differences with significance",
     cr_eval_compare},
    {"merge", "put the outputs of shards together", cr_eval_merge},
    {"list", "benchmarks, their files and where these are to be had", cr_eval_list},
    {0}};

static void print_usage(const struct cr_command *table) {
    printf("usage: critic eval COMMAND [FLAGS]\n\n"
           "How good is a judge: benchmarks by their own rules, statistics with "
           "intervals.\n\ncommands\n");
    cr_commands_print(table);
    printf("\ncritic eval COMMAND --help   the command's flags and an example\n"
           "docs/evaluation.md           formulas, parse rules, file formats\n\n"
           "example\n"
           "  critic eval wildvision --judgements judge_gpt-4o/ --json\n");
}

int cr_cmd_eval(int n_args, const char *const *args) {
    return cr_commands_run("eval ", commands, print_usage, n_args, args);
}
