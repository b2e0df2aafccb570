/* critic data: the micro world, critic data from it, and checks of data sets. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cli/data.h"

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int n_args, const char *const *args);
} commands[] = {
    {"world", "pictures, scenes, labels and base records from a seed", cr_cmd_data_world},
    {"critic", "judgements of answers about a world's scenes, with the oracle's scores",
     cr_cmd_data_critic},
    {"prompts", "questions about a world's scenes, for a policy to answer",
     cr_cmd_data_prompts},
    {"oracle", "scores of anybody's answers about a world's pictures",
     cr_cmd_data_oracle},
    {"stats", "what is in a file of conversations; contact sheets", cr_cmd_data_stats},
    {"lint", "faults in files of conversations", cr_cmd_data_lint},
    {"convert", "critic records, items, chat messages, preferences: one into another",
     cr_cmd_data_convert},
    {"split", "records into parts without a picture in two of them", cr_cmd_data_split},
};

static void print_usage(void) {
    printf("usage: critic data COMMAND [FLAGS]\n\ncommands\n");
    for (size_t i = 0; i < CR_COUNT(commands); i++)
        printf("  %-8s %s\n", commands[i].name, commands[i].summary);
    printf("\ncritic data COMMAND --help   the command's flags and an example\n");
}

int cr_data_threads(size_t asked) {
    return asked ? (int)asked : omp_get_max_threads();
}

int cr_cmd_data(int n_args, const char *const *args) {
    const char *names[CR_COUNT(commands) + 1] = {0};
    critic_error err = {0};
    if (n_args > 0 && (strcmp(args[0], "--help") == 0 || strcmp(args[0], "-h") == 0)) {
        print_usage();
        return cr_finish(CR_EXIT_DONE);
    }
    for (size_t i = 0; i < CR_COUNT(commands); i++) {
        names[i] = commands[i].name;
        if (n_args > 0 && strcmp(args[0], names[i]) == 0)
            return commands[i].run(n_args - 1, args + 1);
    }
    const char *nearest = n_args > 0 ? cr_nearest(args[0], names) : NULL;
    if (nearest)
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "unknown command 'data %.80s'; did you mean '%s'?", args[0], nearest);
    else
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "data wants a command; 'critic data --help' lists them");
    return cr_report(&err);
}
