#include "engine/perplexity.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "engine/internal.h"
#include "engine/random_model.h"

struct window {
    const struct cr_engine *engine;
    const int32_t *ids;
    size_t n;
    struct cr_foretold *out;
};

/* What row `logits` says of the token behind it. */
static struct cr_foretold foretell(const float *logits, size_t n_valid, int32_t next) {
    struct cr_foretold f = {.scored = true};
    for (size_t v = 1; v < n_valid; v++)
        if (logits[v] > logits[f.top])
            f.top = (int32_t)v;
    double sum = 0;
    for (size_t v = 0; v < n_valid; v++)
        sum += (double)expf(logits[v] - logits[f.top]);
    f.logprob = (float)((double)logits[next] - (double)logits[f.top] - log(sum));
    return f;
}

static enum critic_status look(void *user, const char *name, size_t first_row,
                               const struct cr_tensor *rows, critic_error *err) {
    struct window *w = user;
    (void)err;
    if (strcmp(name, "logits") != 0)
        return CRITIC_OK;
#pragma omp parallel for num_threads(w->engine->exec->n_threads) schedule(static)
    for (size_t r = 0; r < rows->dim[0]; r++) {
        size_t at = first_row + r + 1;
        if (at < w->n)
            w->out[at] =
                foretell(cr_tensor_row(rows, r), w->engine->n_valid_ids, w->ids[at]);
    }
    return CRITIC_OK;
}

static enum critic_status foretell_window(struct cr_engine *e, struct window *w,
                                          critic_error *err) {
    const struct cr_forward_opts opts = {.tap = look, .user = w};
    struct cr_prompt *prompt;
    CR_TRY(cr_prompt_new(&prompt, e, err));
    enum critic_status status = cr_prompt_tokens(prompt, w->ids, w->n, err);
    if (status == CRITIC_OK)
        status = cr_prompt_finish(prompt, err);
    if (status == CRITIC_OK)
        status = cr_engine_forward(e, prompt, &opts, err);
    cr_prompt_free(prompt);
    return status;
}

enum critic_status cr_engine_foretell(struct cr_engine *e, const int32_t *ids, size_t n,
                                      size_t window, struct cr_foretold *out,
                                      void (*done)(void *user, size_t n_tokens),
                                      void *user, critic_error *err) {
    CR_ASSERT(window >= 2);
    memset(out, 0, n * sizeof *out);
    for (size_t first = 0; first + 2 <= n; first += window) {
        struct window w = {e, ids + first, CR_MIN(window, n - first), out + first};
        CR_TRY(foretell_window(e, &w, err));
        if (done)
            done(user, first + w.n);
    }
    return CRITIC_OK;
}
