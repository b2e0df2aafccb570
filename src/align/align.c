#include "align/align.h"

#include "base/bytes.h"
#include "base/dir.h"

#define MAX_PATH_BYTES ((size_t)1 << 16)

static enum critic_status run_stage(const struct cr_align_opts *o,
                                    const struct cr_align_stage *stage, void *self,
                                    const struct cr_align_round *round,
                                    critic_error *err) {
    json_t *detail = NULL;
    CR_TRY(cr_align_state_get(round->state, round->number, stage->name, &detail, err));
    bool done = detail != NULL;
    json_decref(detail);
    if (done)
        return CRITIC_OK;
    if (o->on_stage)
        o->on_stage(o->user, round->number, stage->name);
    detail = json_object();
    enum critic_status status = detail ? stage->run(self, round, detail, err)
                                       : cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    if (status == CRITIC_OK)
        status =
            cr_align_state_put(round->state, round->number, stage->name, detail, err);
    json_decref(detail);
    return status;
}

static enum critic_status run_round(const struct cr_align_opts *o,
                                    const struct cr_align_stage *stages, size_t n,
                                    void *self, struct cr_align_state *state,
                                    size_t number, critic_error *err) {
    struct cr_buf folder;
    cr_buf_init(&folder, MAX_PATH_BYTES);
    enum critic_status status =
        cr_buf_printf(&folder, err, "%s/round-%zu", o->out, number);
    if (status == CRITIC_OK)
        status = cr_dir_make(folder.data, err);
    struct cr_align_round round = {number, folder.data, state};
    for (size_t i = 0; i < n && status == CRITIC_OK; i++)
        if (number > 0 || stages[i].at_start)
            status = run_stage(o, &stages[i], self, &round, err);
    cr_buf_fini(&folder);
    return status;
}

enum critic_status cr_align_run(const struct cr_align_opts *o,
                                const struct cr_align_stage *stages, size_t n_stages,
                                void *self, critic_error *err) {
    struct cr_align_state *state = NULL;
    struct cr_buf path;
    enum critic_status status;
    cr_buf_init(&path, MAX_PATH_BYTES);
    CR_TRY_GOTO(cr_dir_make(o->out, err));
    CR_TRY_GOTO(cr_buf_printf(&path, err, "%s/state.sqlite", o->out));
    CR_TRY_GOTO(
        cr_align_state_open(&state, path.data, o->options, o->late, o->resume, err));
    for (size_t number = 0; number <= o->n_rounds; number++)
        CR_TRY_GOTO(run_round(o, stages, n_stages, self, state, number, err));
    status = cr_align_state_settle(state, err);
    state = NULL;
fail:
    cr_align_state_close(state);
    cr_buf_fini(&path);
    return status;
}
