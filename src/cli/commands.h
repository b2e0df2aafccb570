/* Tables of commands: of the program, of critic data, eval and train. */
#ifndef CR_CLI_COMMANDS_H
#define CR_CLI_COMMANDS_H

struct cr_command {
    const char *name; /* one word or two ("score mme"); NULL ends a table */
    const char *summary;
    int (*run)(int n_args, const char *const *args);
};

/* Runs the command that args begin with, and gives its exit status. `group` is what stands before
 * it on the command line ("data "; "": nothing). Where there is none, --help prints the usage;
 * everything else is an error that names the command that was probably meant. */
int cr_commands_run(const char *group, const struct cr_command *table,
                    void (*print_usage)(const struct cr_command *table), int n_args,
                    const char *const *args);
/* The rows as lines of a usage. */
void cr_commands_print(const struct cr_command *table);

#endif
