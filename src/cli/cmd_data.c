/* critic data: the micro world, critic data from it, and checks of data sets. */
#include <omp.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/data.h"

static const struct cr_command commands[] = {
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
    {0}};

static void print_usage(const struct cr_command *table) {
    printf("usage: critic data COMMAND [FLAGS]\n\ncommands\n");
    cr_commands_print(table);
    printf("\ncritic data COMMAND --help   the command's flags and an example\n");
}

int cr_data_threads(size_t asked) {
    return asked ? (int)asked : omp_get_max_threads();
}

int cr_cmd_data(int n_args, const char *const *args) {
    return cr_commands_run("data ", commands, print_usage, n_args, args);
}
