/* Inside src/cli only: the commands of critic data. */
#ifndef CR_CLI_DATA_H
#define CR_CLI_DATA_H

#include "cli/cli.h"

int cr_cmd_data_world(int n_args, const char *const *args);
int cr_cmd_data_critic(int n_args, const char *const *args);
int cr_cmd_data_prompts(int n_args, const char *const *args);
int cr_cmd_data_oracle(int n_args, const char *const *args);
int cr_cmd_data_stats(int n_args, const char *const *args);
int cr_cmd_data_lint(int n_args, const char *const *args);
int cr_cmd_data_split(int n_args, const char *const *args);
int cr_cmd_data_convert(int n_args, const char *const *args);

/* Threads for a number that --threads gave; 0: all there are. */
int cr_data_threads(size_t asked);

#define CR_THREADS_FLAG(n)                                                               \
    {                                                                                    \
        "threads", 't', CR_FLAG_SIZE, &(n), "N",                                         \
            "threads; 0: as many as the process may use (the result is the same)", 0,    \
            256                                                                          \
    }

#endif
