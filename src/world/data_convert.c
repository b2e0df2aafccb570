#include "world/data_convert.h"

#include <stdlib.h>
#include <string.h>

#include "train/records.h"
#include "world/data_convert_impl.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)

/* ---- turns out ---- */

/* "image" of LLaVA: one path as a string, several as a list, none not at all. */
static void set_image(json_t *out, json_t *images) {
    size_t n = json_array_size(images);
    if (n == 1)
        json_object_set(out, "image", json_array_get(images, 0));
    else if (n > 1)
        json_object_set(out, "image", images);
}

static bool is_item(const json_t *record) {
    return json_is_array(json_object_get(record, "responses"));
}

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

static enum critic_status item_turns(struct cr_convert_job *j, const json_t *item,
                                     json_t *images, json_t *turns, critic_error *err) {
    const struct cr_template *t = cr_convert_template(j, item);
    json_t *prompt = NULL, *reply = NULL;
    if (!t)
        return cr_convert_bad(err,
                              "an item without a known template (--template names one)");
    enum critic_status status =
        cr_convert_prompt(j, t, item, json_array_size(images), &prompt, err);
    if (status == CRITIC_OK)
        status = cr_convert_reply(j, t, item, &reply, err);
    if (status == CRITIC_OK) {
        json_array_append_new(turns, turn_json(j->o->to, "user", prompt));
        json_array_append_new(turns, turn_json(j->o->to, "assistant", reply));
    }
    json_decref(prompt);
    json_decref(reply);
    return status;
}

static enum critic_status conversation_turns(const struct cr_convert_job *j,
                                             const json_t *record, json_t *out,
                                             critic_error *err) {
    const json_t *turns = cr_convert_turns(record);
    if (json_array_size(turns) == 0 || !json_is_object(json_array_get(turns, 0)))
        return cr_convert_bad(err, "no conversation of turns");
    for (size_t i = 0; i < json_array_size(turns); i++) {
        struct cr_convert_turn turn;
        CR_TRY(cr_convert_turn(&turn, json_array_get(turns, i), err));
        json_array_append_new(out, turn_json(j->o->to, turn.role, turn.text));
        json_decref(turn.text);
    }
    return CRITIC_OK;
}

static enum critic_status chat_of(struct cr_convert_job *j, const json_t *record,
                                  json_t *out, critic_error *err) {
    json_t *images = cr_convert_images(record), *turns = json_array();
    bool messages = j->o->to == CR_DATA_MESSAGES;
    enum critic_status status = is_item(record)
                                    ? item_turns(j, record, images, turns, err)
                                    : conversation_turns(j, record, turns, err);
    cr_convert_copy(out, record, "id");
    cr_convert_copy(out, record, "source");
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

static enum critic_status pair_of(struct cr_convert_job *j, const json_t *item,
                                  json_t *out, bool *is_tie, critic_error *err) {
    const json_t *verdict = json_object_get(item, "verdict");
    json_t *responses = json_object_get(item, "responses");
    struct cr_str word = cr_convert_str(verdict);
    if (!word.data || json_array_size(responses) != 2)
        return cr_convert_bad(err, "no pair of responses with a verdict");
    *is_tie = cr_str_eq_c(word, "tie");
    bool second = cr_str_eq_c(word, "second");
    if (!*is_tie && !second && !cr_str_eq_c(word, "first"))
        return cr_convert_bad(err, "its verdict is none of first, second, tie");
    json_t *images = cr_convert_images(item);
    struct cr_str question = cr_convert_str(json_object_get(item, "question"));
    enum critic_status status = CRITIC_OK;
    cr_buf_clear(&j->text);
    for (size_t i = 0; i < json_array_size(images) && status == CRITIC_OK; i++)
        status = cr_buf_append_c(&j->text, CR_IMAGE_MARK_TEXT "\n", err);
    if (status == CRITIC_OK)
        status = cr_buf_append(&j->text, question.data, question.len, err);
    cr_convert_copy(out, item, "id");
    set_image(out, images);
    json_decref(images);
    json_object_set_new(out, "prompt", cr_convert_json(cr_buf_str(&j->text)));
    json_object_set(out, "chosen", json_array_get(responses, second));
    json_object_set(out, "rejected", json_array_get(responses, !second));
    return status;
}

/* A pair wants an item first; what is one stays as it is. */
static enum critic_status as_pair(struct cr_convert_job *j, const json_t *record,
                                  json_t *out, bool *is_tie, critic_error *err) {
    if (is_item(record))
        return pair_of(j, record, out, is_tie, err);
    json_t *item = json_object();
    enum critic_status status = cr_convert_to_item(j, record, item, err);
    if (status == CRITIC_OK)
        status = pair_of(j, item, out, is_tie, err);
    json_decref(item);
    return status;
}

/* ---- all ---- */

static enum critic_status one(struct cr_convert_job *j, const json_t *record, json_t *out,
                              bool *is_tie, critic_error *err) {
    if (j->o->to == CR_DATA_PAIRS)
        return as_pair(j, record, out, is_tie, err);
    if (j->o->to != CR_DATA_ITEMS)
        return chat_of(j, record, out, err);
    if (!is_item(record))
        return cr_convert_to_item(j, record, out, err);
    json_object_update(out, (json_t *)(uintptr_t)record);
    return CRITIC_OK;
}

static enum critic_status write_line(struct cr_convert_job *j, const json_t *value,
                                     critic_error *err) {
    cr_buf_clear(&j->text);
    CR_TRY(cr_json_append(&j->text, value, err));
    CR_TRY(cr_buf_append_c(&j->text, "\n", err));
    j->result->n_written++;
    return cr_out_write(&j->out, j->text.data, j->text.len, err);
}

/* A record that cannot be converted is told, and is the run's end unless it may be left out. */
static enum critic_status convert_record(struct cr_convert_job *j,
                                         const struct cr_records *r, size_t i,
                                         critic_error *err) {
    json_t *record, *out = json_object();
    critic_error why = {0};
    bool is_tie = false;
    enum critic_status status = cr_records_get(r, i, &record, &why);
    j->result->n_read++;
    if (status == CRITIC_OK) {
        status = one(j, record, out, &is_tie, &why);
        json_decref(record);
        if (status == CRITIC_BAD_DATA) {
            char where[512];
            cr_records_where(r, i, where);
            cr_error_wrap(&why, status, "%s: ", where);
        }
    }
    if (status == CRITIC_BAD_DATA) {
        j->result->n_bad++;
        if (j->o->on_bad)
            j->o->on_bad(j->o->user, why.message);
        status = CRITIC_OK;
    } else if (status == CRITIC_OK && is_tie) {
        j->result->n_ties++;
    } else if (status == CRITIC_OK) {
        status = write_line(j, out, err);
    } else if (err) {
        *err = why;
    }
    json_decref(out);
    return status;
}

static enum critic_status open_templates(struct cr_convert_job *j, critic_error *err) {
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

static enum critic_status run(struct cr_convert_job *j, struct cr_records *r,
                              critic_error *err) {
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
    struct cr_convert_job j = {.o = opts, .result = result};
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
