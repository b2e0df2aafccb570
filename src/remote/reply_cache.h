/* Replies that were paid for, in one SQLite file (WAL): key to bytes. Each put is a transaction
 * on disk, so kill -9 or power loss takes at most the call in flight. Several processes may
 * share a file. Threads: all functions may be called concurrently. */
#ifndef CR_REMOTE_REPLY_CACHE_H
#define CR_REMOTE_REPLY_CACHE_H

#include "base/bytes.h"

struct cr_reply_cache;

#define CR_REPLY_KEY 16 /* bytes: cr_hash over all that determines the reply */

/* Makes the file where it is not there. Errors: CRITIC_BAD_FILE (no database, or another's),
 * CRITIC_IO, CRITIC_NO_MEMORY. */
enum critic_status cr_reply_cache_open(struct cr_reply_cache **out, const char *path,
                                       critic_error *err);
void cr_reply_cache_close(struct cr_reply_cache *cache);

/* *found says whether reply was filled (initialised by the caller). Errors: CRITIC_IO. */
enum critic_status cr_reply_cache_get(struct cr_reply_cache *cache,
                                      const unsigned char key[CR_REPLY_KEY], bool *found,
                                      struct cr_buf *reply, critic_error *err);
/* `source` (the endpoint and model) is for people who look into the file. */
enum critic_status cr_reply_cache_put(struct cr_reply_cache *cache,
                                      const unsigned char key[CR_REPLY_KEY],
                                      const char *source, struct cr_str reply,
                                      critic_error *err);
/* How many replies are there. Errors: CRITIC_IO. */
enum critic_status cr_reply_cache_count(struct cr_reply_cache *cache, size_t *n,
                                        critic_error *err);

#endif
