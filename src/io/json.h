/* JSON: a thin layer over Jansson that gives located errors, size limits and typed access.
 * Strings may hold U+0000 (JSON_ALLOW_NUL), so lengths travel with pointers; duplicate
 * keys are faults. Knows nothing of models. */
#ifndef CR_IO_JSON_H
#define CR_IO_JSON_H

#include <jansson.h>

#include "base/bytes.h"

/* Parses text[0..len). `name` is what errors call the text ("config.json"); errors read
 * "name:line:column: what". Depth is bounded by Jansson (2048).
 * Ownership: *out is a new reference. Errors: CRITIC_BAD_FILE, CRITIC_NO_MEMORY. */
enum critic_status cr_json_parse(json_t **out, const char *text, size_t len,
                                 const char *name, critic_error *err);
/* The same where the text may also be a bare string, number, true, false or null. */
enum critic_status cr_json_parse_any(json_t **out, const char *text, size_t len,
                                     const char *name, critic_error *err);
/* Reads and parses a file of at most max_bytes. */
enum critic_status cr_json_read(json_t **out, const char *path, size_t max_bytes,
                                critic_error *err);

/* Typed members of an object. `where` names the object in errors ("config.json").
 * Absent or null: *out is left as it was (the caller's default) and CRITIC_OK returned.
 * Wrong type or range: CRITIC_BAD_FILE naming where and key. */
enum critic_status cr_json_size(const json_t *object, const char *key, size_t min,
                                size_t max, size_t *out, const char *where,
                                critic_error *err);
enum critic_status cr_json_double(const json_t *object, const char *key, double *out,
                                  const char *where, critic_error *err);
enum critic_status cr_json_bool(const json_t *object, const char *key, bool *out,
                                const char *where, critic_error *err);
/* Borrowed from the object. */
enum critic_status cr_json_str(const json_t *object, const char *key, struct cr_str *out,
                               const char *where, critic_error *err);
/* The member if it is an object; *out is NULL where it is absent. */
enum critic_status cr_json_object(const json_t *object, const char *key, json_t **out,
                                  const char *where, critic_error *err);
enum critic_status cr_json_array(const json_t *object, const char *key, json_t **out,
                                 const char *where, critic_error *err);

/* Appends the compact form and no newline. Key order is insertion order. Numbers have 9 digits: all that
 * an f32 holds. */
enum critic_status cr_json_append(struct cr_buf *out, const json_t *value,
                                  critic_error *err);
/* The same with 15 digits, for statistics in f64: what is exact in decimal stays as it is. */
enum critic_status cr_json_append_exact(struct cr_buf *out, const json_t *value,
                                        critic_error *err);
/* A new reference: x, or null where x is not finite, which JSON cannot say. */
json_t *cr_json_number(double x);
/* What a reader gets back of a number that cr_json_append (digits 9) or cr_json_append_exact (15)
 * writes; NAN where it is not finite. Figures from numbers rounded so are those of the file. */
double cr_json_rounded(double x, int digits);

#endif
