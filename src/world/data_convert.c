#include "world/data_convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "judge/template_match.h"
#include "train/records.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)

static const char mark[] = "<image>";

struct job {
    const struct cr_data_convert_opts *o;
    struct cr_data_convert_result *result;
    struct cr_template **templates; /* the given ones first */
    size_t n_templates;
    struct cr_buf text;
    struct cr_out out;
};

static struct cr_str str_of(const json_t *value) {
    return (struct cr_str){json_string_value(value), json_string_length(value)};
}

static json_t *json_of(struct cr_str s) {
    return json_stringn(s.data, s.len);
}

static enum critic_status bad(critic_error *err, const char *what) {
    return cr_fail(err, CRITIC_BAD_DATA, "%s", what);
}

/* ---- what records have in common ---- */

/* A new list of the record's pictures, in whatever key they lie. */
static json_t *images_of(const json_t *record) {
    json_t *images = json_object_get(record, "images");
    json_t *image = json_object_get(record, "image");
    if (json_is_array(images))
        return json_copy(images);
    if (json_is_array(image))
        return json_copy(image);
    return json_is_string(image) ? json_pack("[O]", image) : json_array();
}

/* "image" of LLaVA: one path as a string, several as a list, none not at all. */
static void set_image(json_t *out, json_t *images) {
    size_t n = json_array_size(images);
    if (n == 1)
        json_object_set(out, "image", json_array_get(images, 0));
    else if (n > 1)
        json_object_set(out, "image", images);
}

static void copy_key(json_t *out, const json_t *record, const char *key) {
    json_t *value = json_object_get(record, key);
    if (value && !json_is_null(value))
        json_object_set(out, key, value);
}

struct turn {
    const char *role; /* "system", "user", "assistant" */
    json_t *text;     /* a new reference */
};

/* A string, or typed parts with pictures as marks; NULL: neither. */
static json_t *text_of(const json_t *content) {
    struct cr_buf text;
    size_t i;
    json_t *part;
    if (json_is_string(content))
        return json_of(str_of(content));
    if (!json_is_array(content))
        return NULL;
    cr_buf_init(&text, MAX_LINE_BYTES);
    json_array_foreach((json_t *)(uintptr_t)content, i, part) {
        const json_t *type = json_object_get(part, "type");
        const json_t *words = json_object_get(part, "text");
        if (json_is_string(type) && strcmp(json_string_value(type), "image") == 0)
            cr_buf_append_c(&text, "<image>\n", NULL);
        else if (json_is_string(words))
            cr_buf_append(&text, json_string_value(words), json_string_length(words),
                          NULL);
    }
    json_t *out = json_stringn(text.data ? text.data : "", text.len);
    cr_buf_fini(&text);
    return out;
}

static enum critic_status read_turn(struct turn *out, const json_t *turn,
                                    critic_error *err) {
    static const char *const roles[][2] = {{"human", "user"},
                                           {"user", "user"},
                                           {"gpt", "assistant"},
                                           {"assistant", "assistant"},
                                           {"system", "system"}};
    const json_t *from = json_object_get(turn, "from");
    const json_t *value = json_object_get(turn, "value");
    if (!json_is_string(from))
        from = json_object_get(turn, "role");
    if (!value)
        value = json_object_get(turn, "content");
    out->role = NULL;
    for (size_t i = 0; json_is_string(from) && i < CR_COUNT(roles); i++)
        if (strcmp(json_string_value(from), roles[i][0]) == 0)
            out->role = roles[i][1];
    if (!out->role)
        return bad(err,
                   "a turn's speaker is none of human, gpt, user, assistant, system");
    out->text = text_of(value);
    return out->text ? CRITIC_OK : bad(err, "a turn without text");
}

/* The turns of "conversations" or "messages". */
static const json_t *turns_of(const json_t *record) {
    const json_t *turns = json_object_get(record, "conversations");
    return turns ? turns : json_object_get(record, "messages");
}

static bool is_item(const json_t *record) {
    return json_is_array(json_object_get(record, "responses"));
}

/* ---- conversations to items ---- */

/* The text behind the marks in front. */
static struct cr_str without_marks(struct cr_str s) {
    size_t len = sizeof mark - 1;
    for (;;) {
        if (s.len >= len && memcmp(s.data, mark, len) == 0)
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
static const struct cr_template *recognise(const struct job *j, struct cr_str text,
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
    json_object_set_new(item, "reply", json_of(reply));
    return CRITIC_OK;
}

static void set_field(json_t *item, const char *key, struct cr_str value, bool as_list) {
    if (value.data)
        json_object_set_new(item, key,
                            as_list ? json_pack("[s%]", value.data, value.len)
                                    : json_of(value));
}

static enum critic_status item_of(struct job *j, const json_t *record, json_t *item,
                                  critic_error *err) {
    struct turn human = {0}, reply = {0};
    struct cr_template_found found = {0};
    const json_t *turns = turns_of(record);
    enum critic_status status = CRITIC_OK;
    if (json_array_size(turns) != 2)
        return bad(err, "not one question and one reply, as a critic's record has");
    status = read_turn(&human, json_array_get(turns, 0), err);
    if (status == CRITIC_OK)
        status = read_turn(&reply, json_array_get(turns, 1), err);
    const struct cr_template *t =
        status == CRITIC_OK ? recognise(j, without_marks(str_of(human.text)), &found)
                            : NULL;
    if (status == CRITIC_OK && !t)
        status = bad(err, "no template gives this prompt (--template FILE adds one)");
    if (status == CRITIC_OK) {
        const struct cr_str *f = found.fields;
        copy_key(item, record, "id");
        json_object_set_new(item, "images", images_of(record));
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
        copy_key(item, record, "source");
        status = set_verdict(item, t, &found, str_of(reply.text), err);
    }
    json_decref(human.text);
    json_decref(reply.text);
    return status;
}

/* ---- items to conversations ---- */

static const struct cr_template *template_of(struct job *j, const json_t *item) {
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
        return bad(err, "the template does not say how a verdict is written (prefix)");
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
    return bad(err, "its verdict is none that the template has");
}

static enum critic_status reply_of(struct job *j, const struct cr_template *t,
                                   const json_t *item, json_t **out, critic_error *err) {
    struct cr_str reason = str_of(json_object_get(item, "reason"));
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
    *out = json_of(cr_buf_str(&j->text));
    return CRITIC_OK;
}

static enum critic_status prompt_of(struct job *j, const struct cr_template *t,
                                    const json_t *item, size_t n_images, json_t **out,
                                    critic_error *err) {
    struct cr_str answers[2] = {{NULL, 0}, {NULL, 0}};
    const json_t *list = json_object_get(item, "responses");
    size_t n = json_array_size(list);
    if (n != (t->mode == CR_MODE_PAIRWISE ? 2u : 1u))
        return cr_fail(err, CRITIC_BAD_DATA, "%zu responses for the %s template '%s'", n,
                       cr_mode_name(t->mode), t->name);
    for (size_t i = 0; i < n; i++)
        answers[i] = str_of(json_array_get(list, i));
    const json_t *named = json_object_get(item, "scale");
    struct cr_scale scale = t->rule.scale;
    if (json_is_string(named))
        CR_TRY(cr_scale_parse(json_string_value(named), &scale, err));
    const struct cr_template_values values = {
        .question = str_of(json_object_get(item, "question")),
        .answers = answers,
        .n_answers = n,
        .reference = str_of(json_object_get(item, "reference")),
        .criterion = str_of(json_array_get(json_object_get(item, "criteria"), 0)),
        .context = str_of(json_object_get(item, "context")),
        .scale = scale};
    cr_buf_clear(&j->text);
    for (size_t i = 0; i < n_images; i++)
        CR_TRY(cr_buf_printf(&j->text, err, "%s\n", mark));
    CR_TRY(cr_template_render(t, &values, &j->text, err));
    *out = json_of(cr_buf_str(&j->text));
    return CRITIC_OK;
}

/* ---- turns out ---- */

static json_t *turn_json(enum cr_data_format to, const char *role, json_t *text) {
    bool user = strcmp(role, "user") == 0, system = strcmp(role, "system") == 0;
    if (to == CR_DATA_MESSAGES)
        return json_pack("{s:s,s:O}", "role", role, "content", text);
    return json_pack("{s:s,s:O}", "from",
                     user     ? "human"
                     : system ? "system"
                              : "gpt",
                     "value", text);
}

static enum critic_status item_turns(struct job *j, const json_t *item, json_t *images,
                                     json_t *turns, critic_error *err) {
    const struct cr_template *t = template_of(j, item);
    json_t *prompt = NULL, *reply = NULL;
    if (!t)
        return bad(err, "an item without a known template (--template names one)");
    enum critic_status status =
        prompt_of(j, t, item, json_array_size(images), &prompt, err);
    if (status == CRITIC_OK)
        status = reply_of(j, t, item, &reply, err);
    if (status == CRITIC_OK) {
        json_array_append_new(turns, turn_json(j->o->to, "user", prompt));
        json_array_append_new(turns, turn_json(j->o->to, "assistant", reply));
    }
    json_decref(prompt);
    json_decref(reply);
    return status;
}

static enum critic_status conversation_turns(const struct job *j, const json_t *record,
                                             json_t *out, critic_error *err) {
    const json_t *turns = turns_of(record);
    if (json_array_size(turns) == 0 || !json_is_object(json_array_get(turns, 0)))
        return bad(err, "no conversation of turns");
    for (size_t i = 0; i < json_array_size(turns); i++) {
        struct turn turn;
        CR_TRY(read_turn(&turn, json_array_get(turns, i), err));
        json_array_append_new(out, turn_json(j->o->to, turn.role, turn.text));
        json_decref(turn.text);
    }
    return CRITIC_OK;
}

static enum critic_status chat_of(struct job *j, const json_t *record, json_t *out,
                                  critic_error *err) {
    json_t *images = images_of(record), *turns = json_array();
    bool messages = j->o->to == CR_DATA_MESSAGES;
    enum critic_status status = is_item(record)
                                    ? item_turns(j, record, images, turns, err)
                                    : conversation_turns(j, record, turns, err);
    copy_key(out, record, "id");
    copy_key(out, record, "source");
    if (messages)
        json_object_set(out, "images", images);
    else
        set_image(out, images);
    json_object_set(out, messages ? "messages" : "conversations", turns);
    json_decref(images);
    json_decref(turns);
    return status;
}

/* ---- pairs ---- */

static enum critic_status pair_of(struct job *j, const json_t *item, json_t *out,
                                  bool *is_tie, critic_error *err) {
    const json_t *verdict = json_object_get(item, "verdict");
    json_t *responses = json_object_get(item, "responses");
    struct cr_str word = str_of(verdict);
    if (!word.data || json_array_size(responses) != 2)
        return bad(err, "no pair of responses with a verdict");
    *is_tie = cr_str_eq_c(word, "tie");
    bool second = cr_str_eq_c(word, "second");
    if (!*is_tie && !second && !cr_str_eq_c(word, "first"))
        return bad(err, "its verdict is none of first, second, tie");
    json_t *images = images_of(item);
    struct cr_str question = str_of(json_object_get(item, "question"));
    cr_buf_clear(&j->text);
    for (size_t i = 0; i < json_array_size(images); i++)
        CR_TRY(cr_buf_printf(&j->text, err, "%s\n", mark));
    CR_TRY(cr_buf_append(&j->text, question.data, question.len, err));
    copy_key(out, item, "id");
    set_image(out, images);
    json_decref(images);
    json_object_set_new(out, "prompt", json_of(cr_buf_str(&j->text)));
    json_object_set(out, "chosen", json_array_get(responses, second));
    json_object_set(out, "rejected", json_array_get(responses, !second));
    return CRITIC_OK;
}

/* A pair wants an item first; what is one stays as it is. */
static enum critic_status as_pair(struct job *j, const json_t *record, json_t *out,
                                  bool *is_tie, critic_error *err) {
    if (is_item(record))
        return pair_of(j, record, out, is_tie, err);
    json_t *item = json_object();
    enum critic_status status = item_of(j, record, item, err);
    if (status == CRITIC_OK)
        status = pair_of(j, item, out, is_tie, err);
    json_decref(item);
    return status;
}

/* ---- all ---- */

static enum critic_status one(struct job *j, const json_t *record, json_t *out,
                              bool *is_tie, critic_error *err) {
    if (j->o->to == CR_DATA_PAIRS)
        return as_pair(j, record, out, is_tie, err);
    if (j->o->to != CR_DATA_ITEMS)
        return chat_of(j, record, out, err);
    if (!is_item(record))
        return item_of(j, record, out, err);
    json_object_update(out, (json_t *)(uintptr_t)record);
    return CRITIC_OK;
}

static enum critic_status write_line(struct job *j, const json_t *value,
                                     critic_error *err) {
    cr_buf_clear(&j->text);
    CR_TRY(cr_json_append(&j->text, value, err));
    CR_TRY(cr_buf_append_c(&j->text, "\n", err));
    j->result->n_written++;
    return cr_out_write(&j->out, j->text.data, j->text.len, err);
}

/* A record that cannot be converted is told, and is the run's end unless it may be left out. */
static enum critic_status convert_record(struct job *j, const struct cr_records *r,
                                         size_t i, critic_error *err) {
    json_t *record, *out = json_object();
    critic_error why = {0};
    bool is_tie = false;
    enum critic_status status = cr_records_get(r, i, &record, err);
    if (status == CRITIC_OK) {
        j->result->n_read++;
        status = one(j, record, out, &is_tie, &why);
        json_decref(record);
        if (status == CRITIC_BAD_DATA) {
            char where[512], message[1200];
            cr_records_where(r, i, where);
            snprintf(message, sizeof message, "%s: %.600s", where, why.message);
            j->result->n_bad++;
            if (j->o->on_bad)
                j->o->on_bad(j->o->user, message);
            status = CRITIC_OK;
        } else if (status == CRITIC_OK && is_tie) {
            j->result->n_ties++;
        } else if (status == CRITIC_OK) {
            status = write_line(j, out, err);
        } else if (err) {
            *err = why;
        }
    }
    json_decref(out);
    return status;
}

static enum critic_status open_templates(struct job *j, critic_error *err) {
    const struct cr_data_convert_opts *o = j->o;
    size_t n_builtin = cr_template_n_builtin();
    j->templates = calloc(o->n_templates + n_builtin, sizeof(struct cr_template *));
    if (!j->templates)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for templates");
    for (size_t i = 0; i < o->n_templates; i++) {
        CR_TRY(cr_template_open(&j->templates[i], o->templates[i], err));
        j->n_templates++;
    }
    for (size_t i = 0; i < n_builtin; i++) {
        CR_TRY(cr_template_open_builtin(&j->templates[j->n_templates],
                                        cr_template_builtin_name(i), err));
        j->n_templates++;
    }
    return CRITIC_OK;
}

static enum critic_status run(struct job *j, struct cr_records *r, critic_error *err) {
    const struct cr_data_convert_opts *o = j->o;
    CR_TRY(open_templates(j, err));
    CR_TRY(cr_records_open(r, o->in, 0, err));
    CR_TRY(cr_out_open(&j->out, o->out, err));
    for (size_t i = 0; i < r->n; i++) {
        if (o->cancel && o->cancel(o->user))
            return cr_fail(err, CRITIC_CANCELLED, "cancelled");
        CR_TRY(convert_record(j, r, i, err));
    }
    if (j->result->n_bad > 0 && !o->skip_bad)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "%s: %zu of %zu records cannot be converted; --skip-bad leaves "
                       "them out",
                       o->in, j->result->n_bad, j->result->n_read);
    return cr_out_commit(&j->out, err);
}

enum critic_status cr_data_convert(const struct cr_data_convert_opts *opts,
                                   struct cr_data_convert_result *result,
                                   critic_error *err) {
    struct job j = {.o = opts, .result = result};
    struct cr_records records = {0};
    memset(result, 0, sizeof *result);
    cr_buf_init(&j.text, MAX_LINE_BYTES);
    enum critic_status status = run(&j, &records, err);
    cr_out_abort(&j.out);
    for (size_t i = 0; i < j.n_templates; i++)
        cr_template_free(j.templates[i]);
    free(j.templates);
    cr_records_close(&records);
    cr_buf_fini(&j.text);
    return status;
}
