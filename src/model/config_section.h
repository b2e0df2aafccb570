/* Private to src/model/config*.c: values of one JSON object of a configuration. An absent key leaves
 * *out alone. Errors: CRITIC_BAD_FILE (another type, out of range, null), CRITIC_UNSUPPORTED (a
 * value that the network here does not have), naming where and key. */
#ifndef CR_MODEL_CONFIG_SECTION_H
#define CR_MODEL_CONFIG_SECTION_H

#include <jansson.h>

#include "model/config.h"

/* One object and what errors call it. */
struct cr_section {
    const json_t *object;
    const char *where;
};

/* An integer from 1 to max. */
enum critic_status cr_section_size(struct cr_section s, const char *key, size_t max,
                                   size_t *out, critic_error *err);
enum critic_status cr_section_number(struct cr_section s, const char *key, double *out,
                                     critic_error *err);
/* A token. */
enum critic_status cr_section_id(struct cr_section s, const char *key, int32_t *out,
                                 critic_error *err);
enum critic_status cr_section_activation(struct cr_section s, const char *key,
                                         enum cr_activation *out, critic_error *err);
/* A string that must be one of the words (a comma-separated list), or absent. */
enum critic_status cr_section_need_word(struct cr_section s, const char *key,
                                        const char *words, critic_error *err);
enum critic_status cr_section_need_false(struct cr_section s, const char *key,
                                         critic_error *err);
enum critic_status cr_section_need_true(struct cr_section s, const char *key,
                                        critic_error *err);
enum critic_status cr_section_need_null(struct cr_section s, const char *key,
                                        critic_error *err);
/* CRITIC_UNSUPPORTED: key is `value`. */
enum critic_status cr_section_unsupported(struct cr_section s, const char *key,
                                          const char *value, const char *expected,
                                          critic_error *err);

#endif
