/* A critic's record to an item and back (data_convert_impl.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "judge/template_match.h"
#include "world/data_convert_impl.h"

/* ---- conversations to items ---- */

/* The text behind the marks in front. */
static struct cr_str without_marks(struct cr_str s) {
    size_t len = sizeof CR_IMAGE_MARK_TEXT - 1;
    for (;;) {
        if (s.len >= len && memcmp(s.data, CR_IMAGE_MARK_TEXT, len) == 0)
            s = (struct cr_str){s.data + len, s.len - len};
        else if (s.len > 0 && s.data[0] == '\n')
            s = (struct cr_str){s.data + 1, s.len - 1};
        else
            return s;
    }
}

static double number_of(struct cr_str s, double otherwise) {
    char text[32];
    if (!s.data)
        return otherwise;
    snprintf(text, sizeof text, "%.*s", (int)CR_MIN(s.len, sizeof text - 1), s.data);
    return strtod(text, NULL);
}

/* The scale that the prompt names, else the template's own. */
static struct cr_scale scale_of(const struct cr_template *t,
                                const struct cr_template_found *found) {
    return (struct cr_scale){
        number_of(found->fields[CR_FIELD_SCALE_MIN], t->rule.scale.min),
        number_of(found->fields[CR_FIELD_SCALE_MAX], t->rule.scale.max),
        t->rule.scale.step};
}

static bool is_own_scale(const struct cr_template *t, struct cr_scale s) {
    return s.min == t->rule.scale.min && s.max == t->rule.scale.max;
}

/* The template that gives the most of the text by its own words; of equal ones that of the scale. */
static const struct cr_template *recognise(const struct cr_convert_job *j,
                                           struct cr_str text,
                                           struct cr_template_found *found) {
    const struct cr_template *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < j->n_templates; i++) {
        const struct cr_template *t = j->templates[i];
        struct cr_template_found one;
        if (t->mode == CR_MODE_RANKING || !cr_template_match(t, text, &one))
            continue;
        size_t worth = 2 * one.n_literal + is_own_scale(t, scale_of(t, &one));
        if (!best || worth > most) {
            best = t;
            most = worth;
            *found = one;
        }
    }
    return best;
}

/* The verdict out of the reply, and the reply. */
static enum critic_status set_verdict(json_t *item, const struct cr_template *t,
                                      const struct cr_template_found *found,
                                      struct cr_str reply, critic_error *err) {
    struct cr_parsed parsed;
    struct cr_verdict_rule rule = t->rule;
    rule.n_answers = t->mode == CR_MODE_PAIRWISE ? 2 : 1;
    rule.scale = scale_of(t, found);
    CR_TRY(cr_verdict_parse(&parsed, reply, &rule, err));
    if (!parsed.ok)
        return cr_fail(err, CRITIC_BAD_DATA, "the reply to template '%s': %s", t->name,
                       parsed.why);
    if (t->mode == CR_MODE_PAIRWISE) {
        enum cr_choice c = parsed.choice;
        if (parsed.format == CR_FORMAT_TWO_SCORES)
            c = parsed.pair[0] > parsed.pair[1]   ? CR_CHOICE_FIRST
                : parsed.pair[0] < parsed.pair[1] ? CR_CHOICE_SECOND
                                                  : CR_CHOICE_TIE;
        json_object_set_new(item, "verdict", json_string(cr_choice_name(c)));
    } else {
        json_object_set_new(item, "verdict", json_real(parsed.score));
    }
    if (t->mode == CR_MODE_POINTWISE && !is_own_scale(t, rule.scale)) {
        char text[64];
        snprintf(text, sizeof text, "%g-%g", rule.scale.min, rule.scale.max);
        json_object_set_new(item, "scale", json_string(text));
    }
    json_object_set_new(item, "reply", cr_convert_json(reply));
    return CRITIC_OK;
}

static void set_field(json_t *item, const char *key, struct cr_str value, bool as_list) {
    if (value.data)
        json_object_set_new(item, key,
                            as_list ? json_pack("[s%]", value.data, value.len)
                                    : cr_convert_json(value));
}

enum critic_status cr_convert_to_item(struct cr_convert_job *j, const json_t *record,
                                      json_t *item, critic_error *err) {
    struct cr_convert_turn human = {0}, reply = {0};
    struct cr_template_found found = {0};
    const json_t *turns = cr_convert_turns(record);
    enum critic_status status = CRITIC_OK;
    if (json_array_size(turns) != 2)
        return cr_convert_bad(err,
                              "not one question and one reply, as a critic's record has");
    status = cr_convert_turn(&human, json_array_get(turns, 0), err);
    if (status == CRITIC_OK)
        status = cr_convert_turn(&reply, json_array_get(turns, 1), err);
    const struct cr_template *t =
        status == CRITIC_OK
            ? recognise(j, without_marks(cr_convert_str(human.text)), &found)
            : NULL;
    if (status == CRITIC_OK && !t)
        status = cr_convert_bad(
            err, "no template gives this prompt (--template FILE adds one)");
    if (status == CRITIC_OK) {
        const struct cr_str *f = found.fields;
        cr_convert_copy(item, record, "id");
        json_object_set_new(item, "images", cr_convert_images(record));
        set_field(item, "question", f[CR_FIELD_QUESTION], false);
        json_object_set_new(
            item, "responses",
            t->mode == CR_MODE_PAIRWISE
                ? json_pack("[s%,s%]", f[CR_FIELD_ANSWER_1].data,
                            f[CR_FIELD_ANSWER_1].len, f[CR_FIELD_ANSWER_2].data,
                            f[CR_FIELD_ANSWER_2].len)
                : json_pack("[s%]", f[CR_FIELD_ANSWER].data, f[CR_FIELD_ANSWER].len));
        set_field(item, "criteria", f[CR_FIELD_CRITERION], true);
        set_field(item, "reference", f[CR_FIELD_REFERENCE], false);
        set_field(item, "context", f[CR_FIELD_CONTEXT], false);
        json_object_set_new(item, "template", json_string(t->name));
        cr_convert_copy(item, record, "source");
        status = set_verdict(item, t, &found, cr_convert_str(reply.text), err);
    }
    json_decref(human.text);
    json_decref(reply.text);
    return status;
}

/* ---- items to conversations ---- */

const struct cr_template *cr_convert_template(struct cr_convert_job *j,
                                              const json_t *item) {
    const json_t *name = json_object_get(item, "template");
    if (j->o->n_templates > 0)
        return j->templates[0];
    for (size_t i = 0; json_is_string(name) && i < j->n_templates; i++)
        if (strcmp(j->templates[i]->name, json_string_value(name)) == 0)
            return j->templates[i];
    return NULL;
}

static enum critic_status append_verdict(struct cr_buf *out, const struct cr_template *t,
                                         const json_t *verdict, critic_error *err) {
    if (!t->has_prefix)
        return cr_convert_bad(
            err, "the template does not say how a verdict is written (prefix)");
    if (json_is_number(verdict) && t->mode == CR_MODE_POINTWISE)
        return cr_buf_printf(out, err, "%.*s%.10g%.*s", (int)t->prefix.len,
                             t->prefix.data, json_number_value(verdict),
                             (int)t->suffix.len, t->suffix.data);
    for (size_t i = 0; json_is_string(verdict) && i < t->n_labels; i++) {
        const struct cr_label *l = &t->labels[i];
        if (strcmp(cr_choice_name(l->choice), json_string_value(verdict)) != 0)
            continue;
        if (l->whole)
            return cr_buf_append(out, l->text.data, l->text.len, err);
        return cr_buf_printf(out, err, "%.*s%.*s%.*s", (int)t->prefix.len, t->prefix.data,
                             (int)l->text.len, l->text.data, (int)t->suffix.len,
                             t->suffix.data);
    }
    return cr_convert_bad(err, "its verdict is none that the template has");
}

enum critic_status cr_convert_reply(struct cr_convert_job *j, const struct cr_template *t,
                                    const json_t *item, json_t **out, critic_error *err) {
    struct cr_str reason = cr_convert_str(json_object_get(item, "reason"));
    json_t *reply = json_object_get(item, "reply");
    if (json_is_string(reply)) {
        *out = json_incref(reply);
        return CRITIC_OK;
    }
    cr_buf_clear(&j->text);
    if (reason.data && t->verdict_last)
        CR_TRY(cr_buf_printf(&j->text, err, "%.*s\n", (int)reason.len, reason.data));
    CR_TRY(append_verdict(&j->text, t, json_object_get(item, "verdict"), err));
    if (reason.data && !t->verdict_last)
        CR_TRY(cr_buf_printf(&j->text, err, "\n%.*s", (int)reason.len, reason.data));
    *out = cr_convert_json(cr_buf_str(&j->text));
    return CRITIC_OK;
}

enum critic_status cr_convert_prompt(struct cr_convert_job *j,
                                     const struct cr_template *t, const json_t *item,
                                     size_t n_images, json_t **out, critic_error *err) {
    struct cr_str answers[2] = {{NULL, 0}, {NULL, 0}};
    const json_t *list = json_object_get(item, "responses");
    size_t n = json_array_size(list);
    if (n != (t->mode == CR_MODE_PAIRWISE ? 2u : 1u))
        return cr_fail(err, CRITIC_BAD_DATA, "%zu responses for the %s template '%s'", n,
                       cr_mode_name(t->mode), t->name);
    for (size_t i = 0; i < n; i++)
        answers[i] = cr_convert_str(json_array_get(list, i));
    const json_t *named = json_object_get(item, "scale");
    struct cr_scale scale = t->rule.scale;
    if (json_is_string(named))
        CR_TRY(cr_scale_parse(json_string_value(named), &scale, err));
    const struct cr_template_values values = {
        .question = cr_convert_str(json_object_get(item, "question")),
        .answers = answers,
        .n_answers = n,
        .reference = cr_convert_str(json_object_get(item, "reference")),
        .criterion = cr_convert_str(json_array_get(json_object_get(item, "criteria"), 0)),
        .context = cr_convert_str(json_object_get(item, "context")),
        .scale = scale};
    cr_buf_clear(&j->text);
    for (size_t i = 0; i < n_images; i++)
        CR_TRY(cr_buf_printf(&j->text, err, "%s\n", CR_IMAGE_MARK_TEXT));
    CR_TRY(cr_template_render(t, &values, &j->text, err));
    *out = cr_convert_json(cr_buf_str(&j->text));
    return CRITIC_OK;
}
