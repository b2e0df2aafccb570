/* critic: the program. One table of sub-commands; each lives in its cmd_*.c. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "cli/cli.h"
#include "cli/signals.h"

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int n_args, const char *const *args);
} commands[] = {
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
};

static void print_usage(void) {
    printf("critic %s: a multimodal judge (LLaVA-Critic, LLaVA-OneVision)\n\n"
           "usage: critic COMMAND [FLAGS]\n\ncommands\n",
           critic_version());
    for (size_t i = 0; i < CR_COUNT(commands); i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
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

static int unknown_command(const char *name) {
    const char *names[CR_COUNT(commands) + 1] = {0};
    for (size_t i = 0; i < CR_COUNT(commands); i++)
        names[i] = commands[i].name;
    const char *nearest = cr_nearest(name, names);
    critic_error err = {0};
    if (nearest)
        cr_fail(&err, CRITIC_BAD_ARGUMENT, "unknown command '%.80s'; did you mean '%s'?",
                name, nearest);
    else
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "unknown command '%.80s'; 'critic --help' lists them", name);
    return cr_report(&err);
}

/* Some faults of a disk show only when its file is closed. */
static int close_output(int exit_status) {
    if (fclose(stdout) == 0 || exit_status == CR_EXIT_IO)
        return exit_status;
    critic_error err = {0};
    cr_fail(&err, CRITIC_IO, "standard output: cannot write: %s", strerror(errno));
    return cr_report(&err);
}

int main(int argc, char **argv) {
    occupy_standard_descriptors();
    const char *name = argc > 1 ? argv[1] : NULL;
    if (!name) {
        critic_error err = {0};
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "no command given; 'critic --help' lists them");
        return cr_report(&err);
    }
    bool is_help = strcmp(name, "help") == 0;
    if (is_help && argc > 2) {
        static char help_flag[] = "--help";
        name = argv[2];
        argv[2] = help_flag;
        argc = 3;
    } else if (is_help || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_usage();
        return cr_finish(CR_EXIT_DONE);
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("critic %s\n", critic_version());
        return cr_finish(CR_EXIT_DONE);
    }
    for (size_t i = 0; i < CR_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0) {
            cr_signals_install();
            return close_output(
                commands[i].run(argc - 2, (const char *const *)(argv + 2)));
        }
    return unknown_command(name);
}
