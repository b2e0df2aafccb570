/* Which template serves which mode: the one that was asked for, else what the checkpoint names, else
 * our own. */
#include <math.h>
#include <string.h>

#include "judge/run.h"

static enum critic_status check_template(const struct cr_judge *j,
                                         const struct cr_template *t, critic_error *err) {
    if (j->opts.verdict_only && !t->has_prefix)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "template '%s' (format %s) has no prefix, so verdict-only cannot read "
            "probabilities with it",
            t->name, cr_format_name(t->rule.formats[0]));
    if (t->mode == CR_MODE_RANKING && j->opts.probabilities)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "template '%s' orders answers; it has no probabilities", t->name);
    return CRITIC_OK;
}

static bool same_scale(const struct cr_scale *a, const struct cr_scale *b) {
    return fabs(a->min - b->min) < 1e-9 && fabs(a->max - b->max) < 1e-9 &&
           fabs(a->step - b->step) < 1e-9;
}

/* How well a template of the right mode suits the options; -1: not at all. */
static int suits(const struct cr_template *t, enum cr_mode mode,
                 const struct cr_judge_opts *o) {
    if (t->mode != mode)
        return -1;
    bool scaled = mode != CR_MODE_POINTWISE || !o->has_scale ||
                  same_scale(&t->rule.scale, &o->scale);
    bool alone = !o->verdict_only || !t->verdict_last || o->explain_below > 0;
    return 2 * scaled + alone;
}

/* *out is NULL where the checkpoint names none of this mode. */
static enum critic_status open_named(struct cr_template **out,
                                     const struct cr_template_names *names,
                                     enum cr_mode mode, const struct cr_judge_opts *o,
                                     critic_error *err) {
    int best = -1;
    *out = NULL;
    for (size_t i = 0; i < names->n; i++) {
        struct cr_template *t;
        enum critic_status status = cr_template_open_builtin(&t, names->name[i], err);
        if (status != CRITIC_OK) {
            cr_template_free(*out);
            *out = NULL;
            return cr_error_wrap(err, status, "the checkpoint names its templates: ");
        }
        int points = suits(t, mode, o);
        if (points <= best) {
            cr_template_free(t);
            continue;
        }
        cr_template_free(*out);
        *out = t;
        best = points;
    }
    return CRITIC_OK;
}

static enum critic_status open_own(struct cr_template **out, const struct cr_judge *j,
                                   enum cr_mode mode, critic_error *err) {
    *out = NULL;
    if (j->engine)
        CR_TRY(open_named(out, &cr_engine_config(j->engine)->templates, mode, &j->opts,
                          err));
    return *out ? CRITIC_OK
                : cr_template_open_builtin(
                      out, mode == CR_MODE_POINTWISE ? "pointwise" : "pairwise", err);
}

enum critic_status cr_judge_wants_reasons(const struct cr_engine *engine,
                                          enum cr_mode mode, bool *out,
                                          critic_error *err) {
    const struct cr_template_names *names = &cr_engine_config(engine)->templates;
    bool found = false;
    *out = false;
    for (size_t i = 0; i < names->n && !found; i++) {
        struct cr_template *t;
        enum critic_status status = cr_template_open_builtin(&t, names->name[i], err);
        if (status != CRITIC_OK)
            return cr_error_wrap(err, status, "the checkpoint names its templates: ");
        found = t->mode == mode;
        *out = found && t->verdict_last;
        cr_template_free(t);
    }
    return CRITIC_OK;
}

enum critic_status cr_judge_open_templates(struct cr_judge *j, const char *chosen,
                                           critic_error *err) {
    struct cr_template **t = j->templates;
    enum cr_mode first =
        j->opts.template_mode == CR_MODE_AUTO ? CR_MODE_POINTWISE : j->opts.template_mode;
    CR_TRY(chosen ? cr_template_open(&t[CR_MODE_POINTWISE], chosen, err)
                  : open_own(&t[CR_MODE_POINTWISE], j, first, err));
    if (chosen || j->opts.template_mode != CR_MODE_AUTO)
        t[CR_MODE_PAIRWISE] = t[CR_MODE_POINTWISE];
    else
        CR_TRY(open_own(&t[CR_MODE_PAIRWISE], j, CR_MODE_PAIRWISE, err));
    t[CR_MODE_RANKING] = t[CR_MODE_PAIRWISE];
    CR_TRY(check_template(j, t[CR_MODE_POINTWISE], err));
    return check_template(j, t[CR_MODE_PAIRWISE], err);
}
