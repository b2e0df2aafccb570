/* critic: the program. One table of sub-commands; each lives in its cmd_*.c. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/signals.h"

static const struct cr_command commands[] = {
    {"judge", "score an answer about a picture, compare two, rank many", cr_cmd_judge},
    {"generate", "answer a prompt about pictures", cr_cmd_generate},
    {"prefer", "preference pairs: a policy's answers, compared by a critic",
     cr_cmd_prefer},
    {"align", "preference learning in rounds: answers, verdicts, training, evaluation",
     cr_cmd_align},
    {"train", "tune a model on conversations, or its tower on labels", cr_cmd_train},
    {"forward", "write every tensor of one forward pass to a file", cr_cmd_forward},
    {"tokenize", "text to token ids and back", cr_cmd_tokenize},
    {"inspect", "what is in a checkpoint and the memory it needs", cr_cmd_inspect},
    {"convert", "write a checkpoint in another layout or precision", cr_cmd_convert},
    {"bench", "speed beside this machine's own ceilings", cr_cmd_bench},
    {"eval", "how good is a judge: benchmarks, statistics, comparisons", cr_cmd_eval},
    {"perplexity", "how well a model foretells a text, by precision", cr_cmd_perplexity},
    {"data", "the micro world, critic data from it, checks of data sets", cr_cmd_data},
    {"info", "this machine, the kernels chosen, the libraries linked", cr_cmd_info},
    {0}};

static void print_usage(const struct cr_command *table) {
    printf("critic %s: a multimodal judge (LLaVA-Critic, LLaVA-OneVision)\n\n"
           "usage: critic COMMAND [FLAGS]\n\ncommands\n",
           critic_version());
    cr_commands_print(table);
    printf("\n"
           "critic COMMAND --help   the command's flags and an example\n"
           "critic --version        the version\n\n"
           "example\n"
           "  critic judge --model lmms-lab/llava-critic-7b --image cat.jpg \\\n"
           "      --question 'What is on the sofa?' --answer 'A cat.'\n\n"
           "Results go to standard output, messages to standard error. Exit status: 0 "
           "done;\n"
           "1 done, but an item failed or a check did not hold; 2 wrong usage; 3 bad "
           "input;\n"
           "4 not enough memory, disk or device; 130 interrupted.\n");
}

/* A closed descriptor 0, 1 or 2 would be handed to the next file opened, and a message would
 * end up in it: /dev/null takes the place, opened the wrong way round so that its use fails
 * as it should. */
static void occupy_standard_descriptors(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

/* Some faults of a disk show only when its file is closed. */
static int close_output(int exit_status) {
    if (fclose(stdout) == 0 || exit_status == CR_EXIT_IO)
        return exit_status;
    critic_error err = {0};
    cr_fail(&err, CRITIC_IO, "standard output: cannot write: %s", strerror(errno));
    return cr_report(&err);
}

/* "help COMMAND" is "COMMAND --help". */
static void turn_help(int argc, char **argv) {
    static char flag[] = "--help";
    if (argc < 2 || strcmp(argv[1], "help") != 0)
        return;
    for (int i = 1; i + 1 < argc; i++)
        argv[i] = argv[i + 1];
    argv[argc - 1] = flag;
}

int main(int argc, char **argv) {
    occupy_standard_descriptors();
    turn_help(argc, argv);
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("critic %s\n", critic_version());
        return cr_finish(CR_EXIT_DONE);
    }
    cr_signals_install();
    return close_output(cr_commands_run("", commands, print_usage, argc - 1,
                                        (const char *const *)(argv + 1)));
}
