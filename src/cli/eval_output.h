/* Where results go: the terminal, JSON, and the files of --report, --csv and --markdown. */
#ifndef CR_CLI_EVAL_OUTPUT_H
#define CR_CLI_EVAL_OUTPUT_H

#include "cli/eval.h"
#include "eval/result.h"

struct cr_result_flags {
    const char *report, *csv, *markdown;
    size_t n_draws;
};

#define CR_DRAWS_FLAG(n)                                                                 \
    {                                                                                    \
        "draws", 0, CR_FLAG_SIZE, &(n), "N",                                             \
            "bootstrap draws of the intervals (default 2000)", 100, 1e6                  \
    }
#define CR_RESULT_FLAGS(f)                                                               \
    {"where results go", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0}, CR_REPORT_FLAG((f).report),   \
        {"csv", 0, CR_FLAG_STR, &(f).csv, "FILE", "a line an item", 0, 0},               \
        {"markdown", 0, CR_FLAG_STR, &(f).markdown, "FILE", "the table for a paper",     \
         0,          0},                                                                 \
        CR_DRAWS_FLAG((f).n_draws)

/* Fails where a file that the flags write is `input`. */
enum critic_status cr_result_apart(const struct cr_result_flags *f, const char *input,
                                   critic_error *err);
/* Writes what the flags ask for. */
enum critic_status cr_result_files(const struct cr_result_flags *f,
                                   const struct cr_result *results, size_t n,
                                   critic_error *err);
/* The metrics as a table for a person. */
void cr_result_print(const struct cr_result *r);

#endif
