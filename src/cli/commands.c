#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cli/cli.h"

#define MAX_COMMANDS 32

void cr_commands_print(const struct cr_command *table) {
    int width = 0;
    for (const struct cr_command *c = table; c->name; c++)
        width = CR_MAX(width, (int)strlen(c->name));
    for (const struct cr_command *c = table; c->name; c++)
        printf("  %-*s  %s\n", width, c->name, c->summary);
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

static bool is_help(const char *arg) {
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* --help alone, or behind the first word of a command of two. */
static bool asks_for_help(const struct cr_command *table, int n_args,
                          const char *const *args) {
    size_t n = strlen(args[0]);
    if (is_help(args[0]))
        return true;
    for (const struct cr_command *c = table; c->name && n_args > 1; c++)
        if (is_help(args[1]) && strncmp(c->name, args[0], n) == 0 && c->name[n] == ' ')
            return true;
    return false;
}

static int unknown(const char *group, const struct cr_command *table, int n_args,
                   const char *const *args) {
    char two[64];
    const char *names[MAX_COMMANDS + 1] = {0};
    critic_error err = {0};
    for (size_t i = 0; i < MAX_COMMANDS && table[i].name; i++)
        names[i] = table[i].name;
    snprintf(two, sizeof two, "%.30s %.30s", args[0], n_args > 1 ? args[1] : "");
    const char *nearest = cr_nearest(two, names);
    if (!nearest)
        nearest = cr_nearest(args[0], names);
    if (nearest)
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "unknown command '%s%.80s'; did you mean '%s%s'?", group, args[0], group,
                nearest);
    else
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "unknown command '%s%.80s'; 'critic %s--help' lists them", group, args[0],
                group);
    return cr_report(&err);
}

int cr_commands_run(const char *group, const struct cr_command *table,
                    void (*print_usage)(const struct cr_command *table), int n_args,
                    const char *const *args) {
    critic_error err = {0};
    if (n_args == 0) {
        cr_fail(&err, CRITIC_BAD_ARGUMENT,
                "no command given; 'critic %s--help' lists them", group);
        return cr_report(&err);
    }
    for (const struct cr_command *c = table; c->name; c++) {
        int used = name_length(c->name, n_args, args);
        if (used > 0)
            return c->run(n_args - used, args + used);
    }
    if (asks_for_help(table, n_args, args)) {
        print_usage(table);
        return cr_finish(CR_EXIT_DONE);
    }
    return unknown(group, table, n_args, args);
}
