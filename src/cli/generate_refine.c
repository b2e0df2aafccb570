/* critic generate --refine R: a draft, the critic's notes, revisions, and the one that it prefers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/generate.h"
#include "prefer/refine.h"

struct critics {
    struct cr_engine *engine; /* NULL: the policy itself */
    struct cr_judge *reasons, *pairs;
};

static enum critic_status open_critics(struct cr_generate_flags *f,
                                       struct cr_engine *policy, struct critics *c,
                                       critic_error *err) {
    struct cr_judge_opts opts;
    if (f->critic) {
        struct cr_common common = f->common;
        common.model = f->critic;
        CR_TRY(cr_common_open(&common, &c->engine, err));
    }
    struct cr_engine *engine = c->engine ? c->engine : policy;
    cr_judge_opts_default(&opts);
    opts.seed = f->opts.seed;
    opts.max_new_tokens = f->opts.max_new_tokens;
    opts.template_mode = CR_MODE_POINTWISE;
    CR_TRY(cr_judge_new(&c->reasons, engine, &opts, err));
    opts.template_mode = CR_MODE_PAIRWISE;
    opts.both_orders = true;
    bool with_reasons;
    CR_TRY(cr_judge_wants_reasons(engine, CR_MODE_PAIRWISE, &with_reasons, err));
    opts.verdict_only = !with_reasons;
    return cr_judge_new(&c->pairs, engine, &opts, err);
}

static json_t *refined_json(const struct cr_generate_flags *f,
                            const struct cr_engine *policy, const struct critics *c,
                            const struct cr_refined *r) {
    struct cr_str text = cr_refined_text(r);
    json_t *rounds = json_array();
    for (size_t i = 0; i < r->n_rounds; i++) {
        const struct cr_refine_round *round = &r->rounds[i];
        json_array_append_new(
            rounds,
            json_pack(
                "{s:o,s:o,s:o,s:b}", "notes",
                json_stringn(round->notes.data ? round->notes.data : "",
                             round->notes.len),
                "text",
                json_stringn(round->text.data ? round->text.data : "", round->text.len),
                "share", isnan(round->share) ? json_null() : json_real(round->share),
                "kept", round->kept));
    }
    return json_pack(
        "{s:s,s:o,s:o,s:o,s:I,s:{s:I,s:I,s:I,s:I},s:s,s:s,s:s,s:s,s:I,s:s}", "status",
        "ok", "text", json_stringn(text.data, text.len), "draft",
        json_stringn(r->draft.data ? r->draft.data : "", r->draft.len), "rounds", rounds,
        "best", (json_int_t)r->best, "usage", "prompt_tokens",
        (json_int_t)(r->policy.prompt_tokens + r->critic.prompt_tokens), "cached_tokens",
        (json_int_t)(r->policy.cached_tokens + r->critic.cached_tokens),
        "completion_tokens",
        (json_int_t)(r->policy.completion_tokens + r->critic.completion_tokens),
        "image_tiles", (json_int_t)r->policy.image_tiles, "model",
        cr_engine_model_name(policy), "model_hash", cr_engine_model_hash(policy),
        "critic", cr_engine_model_name(c->engine ? c->engine : policy), "critic_hash",
        cr_engine_model_hash(c->engine ? c->engine : policy), "seed",
        (json_int_t)f->opts.seed, "version", critic_version());
}

static void say_rounds(const struct cr_generate_flags *f, const struct cr_refined *r) {
    if (f->common.quiet)
        return;
    for (size_t i = 0; i < r->n_rounds; i++)
        fprintf(stderr, "round %zu: the revision's share of the win is %.2f: %s\n", i + 1,
                r->rounds[i].share, r->rounds[i].kept ? "kept" : "dropped");
    fprintf(stderr, "%zu tokens written by the model, %zu by the critic\n",
            r->policy.completion_tokens, r->critic.completion_tokens);
}

enum critic_status cr_generate_refined(struct cr_generate_flags *f,
                                       struct cr_engine *policy, critic_error *err) {
    struct cr_image *images = NULL;
    struct critics c = {0};
    struct cr_refined r = {0};
    struct cr_refine_opts opts = {
        .n_rounds = f->refine, .generate = f->opts, .system = f->prompt.system};
    CR_TRY(cr_images_load(&images, &f->prompt.images, &f->common.limits, err));
    enum critic_status status = open_critics(f, policy, &c, err);
    if (status == CRITIC_OK)
        status = cr_refine(policy, c.reasons, c.pairs, images, f->prompt.images.n,
                           f->prompt.text, &opts, &r, err);
    cr_progress_clear(f->progress);
    if (status == CRITIC_OK && f->common.json) {
        status = cr_print_json(refined_json(f, policy, &c, &r), err);
    } else if (status == CRITIC_OK) {
        cr_print_text(cr_refined_text(&r));
        putchar('\n');
        say_rounds(f, &r);
    }
    cr_refined_fini(&r);
    cr_judge_free(c.reasons);
    cr_judge_free(c.pairs);
    cr_engine_free(c.engine);
    cr_images_free(images, f->prompt.images.n);
    return status;
}
