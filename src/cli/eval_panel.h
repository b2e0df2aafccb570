/* The panel, from flags: shared by critic eval panel and critic eval run --panel. */
#ifndef CR_CLI_EVAL_PANEL_H
#define CR_CLI_EVAL_PANEL_H

#include "cli/eval_judges.h"
#include "eval/panel.h"

struct cr_panel_flags {
    const char *self, *other_template;
    const char *output;
    bool resume, force;
};

#define CR_PANEL_FLAGS(p)                                                                \
    {"self",      0,                                                                     \
     CR_FLAG_STR, &(p).self,                                                             \
     "NAME",      "the judge's own name among the answers' models, for self-preference", \
     0,           0},                                                                    \
    {                                                                                    \
        "other-template", 0, CR_FLAG_STR, &(p).other_template, "NAME",                   \
            "a second wording, for prompt sensitivity", 0, 0                             \
    }

/* Judges like those of `from` ask about every version of the set's items; progress goes to
 * judge->common->progress. Errors: as cr_panel_run, and CRITIC_BAD_ARGUMENT for a file of verdicts. */
enum critic_status cr_eval_ask_panel(struct cr_panel *out, const struct cr_exam_set *set,
                                     const struct cr_eval_judges *from,
                                     const struct cr_judge_flags *judge,
                                     const struct cr_panel_flags *flags, size_t n_draws,
                                     critic_error *err);

#endif
