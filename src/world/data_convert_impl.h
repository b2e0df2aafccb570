/* Inside data_convert*.c only: what both ways share. */
#ifndef CR_WORLD_DATA_CONVERT_IMPL_H
#define CR_WORLD_DATA_CONVERT_IMPL_H

#include <jansson.h>

#include "base/file.h"
#include "judge/template.h"
#include "world/data_convert.h"

#define CR_IMAGE_MARK_TEXT "<image>"

struct cr_convert_job {
    const struct cr_data_convert_opts *o;
    struct cr_data_convert_result *result;
    struct cr_template **templates; /* the given ones first */
    size_t n_templates;
    struct cr_buf text;
    struct cr_out out;
};

struct cr_convert_turn {
    const char *role; /* "system", "user", "assistant" */
    json_t *text;     /* a new reference */
};

/* Texts as JSON and back; data NULL: no string. */
struct cr_str cr_convert_str(const json_t *value);
json_t *cr_convert_json(struct cr_str s);
/* CRITIC_BAD_DATA with that message. */
enum critic_status cr_convert_bad(critic_error *err, const char *what);

/* data_convert_record.c: what records have in common. */

/* A new list of the record's pictures, in whatever key they lie. */
json_t *cr_convert_images(const json_t *record);
/* Copies a member that is there. */
void cr_convert_copy(json_t *out, const json_t *record, const char *key);
/* A turn of either spelling. Errors: CRITIC_BAD_DATA. */
enum critic_status cr_convert_turn(struct cr_convert_turn *out, const json_t *turn,
                                   critic_error *err);
/* The turns of "conversations" or "messages". */
const json_t *cr_convert_turns(const json_t *record);

/* data_convert_item.c: a critic's record and an item. */

/* Fills `item` from a record whose prompt a template gives. Errors: CRITIC_BAD_DATA. */
enum critic_status cr_convert_to_item(struct cr_convert_job *j, const json_t *record,
                                      json_t *item, critic_error *err);
/* The template that writes an item; NULL: none. */
const struct cr_template *cr_convert_template(struct cr_convert_job *j,
                                              const json_t *item);
/* Prompt and reply that the template gives for an item, new references. Errors: CRITIC_BAD_DATA. */
enum critic_status cr_convert_prompt(struct cr_convert_job *j,
                                     const struct cr_template *t, const json_t *item,
                                     size_t n_images, json_t **out, critic_error *err);
enum critic_status cr_convert_reply(struct cr_convert_job *j, const struct cr_template *t,
                                    const json_t *item, json_t **out, critic_error *err);

#endif
