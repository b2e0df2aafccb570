/* critic train: one table of kinds. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/train.h"

static const struct cr_command kinds[] = {
    {"sft", "supervised fine-tuning on conversations", cr_train_sft},
    {"dpo", "preference learning on pairs of answers", cr_train_dpo},
    {"tower", "the vision tower alone, on dense labels", cr_train_tower},
    {0}};

static void print_usage(const struct cr_command *table) {
    printf("usage: critic train KIND [FLAGS]\n\nkinds\n");
    cr_commands_print(table);
    printf("\ncritic train KIND --help   its flags and an example\n");
}

int cr_cmd_train(int n_args, const char *const *args) {
    return cr_commands_run("train ", kinds, print_usage, n_args, args);
}
