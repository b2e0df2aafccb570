/* What the loaders of quizzes share. */
#ifndef CR_EVAL_QUIZ_IMPL_H
#define CR_EVAL_QUIZ_IMPL_H

#include "eval/quiz.h"

struct cr_quiz_loading {
    struct cr_quiz_set *set;
    const struct cr_quiz_load *how;
    struct cr_faults *faults;
    json_t *ids;             /* seen so far */
    const char *instruction; /* in force */
    const char *path;        /* of the file under way, for faults */
    struct cr_str folder;    /* where its pictures lie, in the arena */
    bool placed;             /* that folder is known */
    const char *split;       /* of its questions; NULL: not known from the file's name */
    bool several;            /* files: ids need the split in front */
};

enum critic_status cr_quiz_no_memory(critic_error *err);
/* A formatted text in the set's arena; data NULL: memory is out. */
struct cr_str cr_quiz_text(struct cr_quiz_set *set, const char *fmt, ...) CR_PRINTF(2, 3);
/* Question and instruction with a line end between. */
struct cr_str cr_quiz_prompt(struct cr_quiz_loading *l, struct cr_str question);
/* Takes item->row, on failure and for a doubled id (a fault) too. Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_quiz_add(struct cr_quiz_loading *l, const struct cr_quiz_item *item,
                               size_t line, critic_error *err);
/* MME as it is downloaded: a folder a task. Errors: CRITIC_BAD_FILE where `root` has none. */
enum critic_status cr_quiz_mme(struct cr_quiz_loading *l, const char *root, bool *found,
                               critic_error *err);
enum critic_status cr_quiz_mmbench(struct cr_quiz_loading *l, critic_error *err);

#endif
