/* Base64 (RFC 4648, with padding, no line breaks). Decoding is data_url.c's, which forgives what
 * browsers forgive. */
#ifndef CR_BASE_BASE64_H
#define CR_BASE_BASE64_H

#include "base/bytes.h"

/* Errors: CRITIC_NO_MEMORY. */
enum critic_status cr_base64_append(struct cr_buf *out, struct cr_bytes data,
                                    critic_error *err);
/* "data:image/png;base64,…"; the media type of a picture from its first bytes ("image/jpeg",
 * "image/png", "image/webp", "image/gif"), else "application/octet-stream". */
enum critic_status cr_data_url_append(struct cr_buf *out, struct cr_bytes data,
                                      critic_error *err);
const char *cr_media_type(struct cr_bytes data);

#endif
