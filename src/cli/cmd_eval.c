/* critic eval: one table of sub-commands. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cli/eval.h"

/* To add a command: a row here, a declaration in cli/eval.h, its flags in src/cli/eval_NAME.c,
 * a section in docs/cli.md. A name of two words ("score mme") stands as such. */
static const struct {
    const char *name;
    const char *summary;
    int (*run)(int n_args, const char *const *args);
} commands[] = {
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
};

static void print_usage(void) {
    printf("usage: critic eval COMMAND [FLAGS]\n\n"
           "How good is a judge: benchmarks by their own rules, statistics with "
           "intervals.\n\ncommands\n");
    for (size_t i = 0; i < CR_COUNT(commands); i++)
        printf("  %-16s %s\n", commands[i].name, commands[i].summary);
    printf("\ncritic eval COMMAND --help   the command's flags and an example\n"
           "docs/evaluation.md           formulas, parse rules, file formats\n\n"
           "example\n"
           "  critic eval wildvision --judgements judge_gpt-4o/ --json\n");
}

/* How many arguments the command's name takes where they begin with it, else 0. */
static int name_length(const char *name, int n_args, const char *const *args) {
    int used = 0;
    while (*name) {
        size_t n = strcspn(name, " ");
        if (used == n_args || strlen(args[used]) != n || memcmp(args[used], name, n) != 0)
            return 0;
        name += n + (name[n] == ' ');
        used++;
    }
    return used;
}

static int unknown_command(int n_args, const char *const *args) {
    char word[64];
    const char *names[CR_COUNT(commands) + 1] = {0};
    critic_error err = {0};
    for (size_t i = 0; i < CR_COUNT(commands); i++)
        names[i] = commands[i].name;
    snprintf(word, sizeof word, "%.30s %.30s", args[0], n_args > 1 ? args[1] : "");
    const char *nearest = cr_nearest(word, names);
    if (!nearest)
        nearest = cr_nearest(args[0], names);
    if (nearest)
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "unknown command 'eval %.80s'; did you mean 'eval %s'?", args[0],
                nearest);
    else
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "unknown command 'eval %.80s'; 'critic eval --help' lists them", args[0]);
    return cr_report(&err);
}

int cr_cmd_eval(int n_args, const char *const *args) {
    critic_error err = {0};
    if (n_args == 0) {
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "no command given; 'critic eval --help' lists them");
        return cr_report(&err);
    }
    for (size_t i = 0; i < CR_COUNT(commands); i++) {
        int used = name_length(commands[i].name, n_args, args);
        if (used > 0)
            return commands[i].run(n_args - used, args + used);
    }
    for (int i = 0; i < n_args; i++)
        if (strcmp(args[i], "--help") == 0 || strcmp(args[i], "-h") == 0) {
            print_usage();
            return cr_finish(CR_EXIT_DONE);
        }
    return unknown_command(n_args, args);
}
