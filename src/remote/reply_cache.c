#include "remote/reply_cache.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS        10000
#define APPLICATION_ID 0x63724331 /* "crC1" */

struct cr_reply_cache {
    sqlite3 *db;
    sqlite3_stmt *get, *put, *count;
    pthread_mutex_t lock; /* a prepared statement serves one caller at a time */
    char *path;
};

static enum critic_status fault(const struct cr_reply_cache *c, critic_error *err) {
    int code = c->db ? sqlite3_errcode(c->db) : SQLITE_NOMEM;
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        return cr_fail(err, CRITIC_BAD_FILE, "%s: %s; expected a cache that critic wrote",
                       c->path, sqlite3_errmsg(c->db));
    return cr_fail(err, code == SQLITE_NOMEM ? CRITIC_NO_MEMORY : CRITIC_IO, "%s: %s",
                   c->path, c->db ? sqlite3_errmsg(c->db) : "out of memory");
}

static enum critic_status read_number(struct cr_reply_cache *c, const char *sql,
                                      long long *out, critic_error *err) {
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(c->db, sql, -1, &s, NULL) != SQLITE_OK)
        return fault(c, err);
    bool ok = sqlite3_step(s) == SQLITE_ROW;
    *out = ok ? sqlite3_column_int64(s, 0) : 0;
    enum critic_status status = ok ? CRITIC_OK : fault(c, err);
    sqlite3_finalize(s);
    return status;
}

/* An empty database becomes ours; another program's is left alone. */
static enum critic_status claim(struct cr_reply_cache *c, critic_error *err) {
    long long id = 0, tables = 0;
    CR_TRY(read_number(c, "PRAGMA application_id", &id, err));
    CR_TRY(read_number(c, "SELECT count(*) FROM sqlite_schema", &tables, err));
    if (id != APPLICATION_ID && tables > 0)
        return cr_fail(
            err, CRITIC_BAD_FILE,
            "%s: another program's database; expected a cache that critic wrote",
            c->path);
    static const char schema[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "PRAGMA application_id=1668432689;"
        "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, source TEXT NOT NULL, "
        "reply BLOB NOT NULL, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID;";
    _Static_assert(APPLICATION_ID == 1668432689, "the number in the schema");
    return sqlite3_exec(c->db, schema, NULL, NULL, NULL) == SQLITE_OK ? CRITIC_OK
                                                                      : fault(c, err);
}

static enum critic_status prepare(struct cr_reply_cache *c, critic_error *err) {
    struct {
        sqlite3_stmt **out;
        const char *sql;
    } rows[] = {{&c->get, "SELECT reply FROM replies WHERE key = ?1"},
                {&c->put, "INSERT OR REPLACE INTO replies (key, source, reply) "
                          "VALUES (?1, ?2, ?3)"},
                {&c->count, "SELECT count(*) FROM replies"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (sqlite3_prepare_v2(c->db, rows[i].sql, -1, rows[i].out, NULL) != SQLITE_OK)
            return fault(c, err);
    return CRITIC_OK;
}

enum critic_status cr_reply_cache_open(struct cr_reply_cache **out, const char *path,
                                       critic_error *err) {
    enum critic_status status;
    *out = NULL;
    struct cr_reply_cache *c = calloc(1, sizeof *c);
    char *copy = cr_str_dup(cr_str_of(path));
    if (!c || !copy) {
        free(c);
        free(copy);
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for the cache %s", path);
    }
    c->path = copy;
    pthread_mutex_init(&c->lock, NULL);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
    if (sqlite3_open_v2(path, &c->db, flags, NULL) != SQLITE_OK) {
        status = fault(c, err);
        goto fail;
    }
    sqlite3_busy_timeout(c->db, BUSY_MS);
    CR_TRY_GOTO(claim(c, err));
    CR_TRY_GOTO(prepare(c, err));
    *out = c;
    return CRITIC_OK;
fail:
    cr_reply_cache_close(c);
    return status;
}

void cr_reply_cache_close(struct cr_reply_cache *c) {
    if (!c)
        return;
    sqlite3_finalize(c->get);
    sqlite3_finalize(c->put);
    sqlite3_finalize(c->count);
    sqlite3_close(c->db);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c);
}

enum critic_status cr_reply_cache_get(struct cr_reply_cache *c,
                                      const unsigned char key[CR_REPLY_KEY], bool *found,
                                      struct cr_buf *reply, critic_error *err) {
    enum critic_status status = CRITIC_OK;
    *found = false;
    pthread_mutex_lock(&c->lock);
    sqlite3_bind_blob(c->get, 1, key, CR_REPLY_KEY, SQLITE_STATIC);
    int code = sqlite3_step(c->get);
    if (code == SQLITE_ROW) {
        *found = true;
        const void *data = sqlite3_column_blob(c->get, 0);
        status = cr_buf_append(reply, data ? data : "",
                               (size_t)sqlite3_column_bytes(c->get, 0), err);
    } else if (code != SQLITE_DONE) {
        status = fault(c, err);
    }
    sqlite3_reset(c->get);
    pthread_mutex_unlock(&c->lock);
    return status;
}

enum critic_status cr_reply_cache_put(struct cr_reply_cache *c,
                                      const unsigned char key[CR_REPLY_KEY],
                                      const char *source, struct cr_str reply,
                                      critic_error *err) {
    pthread_mutex_lock(&c->lock);
    sqlite3_bind_blob(c->put, 1, key, CR_REPLY_KEY, SQLITE_STATIC);
    sqlite3_bind_text(c->put, 2, source, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(c->put, 3, reply.data, reply.len, SQLITE_STATIC);
    enum critic_status status =
        sqlite3_step(c->put) == SQLITE_DONE ? CRITIC_OK : fault(c, err);
    sqlite3_reset(c->put);
    sqlite3_clear_bindings(c->put);
    pthread_mutex_unlock(&c->lock);
    return status;
}

enum critic_status cr_reply_cache_count(struct cr_reply_cache *c, size_t *n,
                                        critic_error *err) {
    pthread_mutex_lock(&c->lock);
    bool ok = sqlite3_step(c->count) == SQLITE_ROW;
    *n = ok ? (size_t)sqlite3_column_int64(c->count, 0) : 0;
    enum critic_status status = ok ? CRITIC_OK : fault(c, err);
    sqlite3_reset(c->count);
    pthread_mutex_unlock(&c->lock);
    return status;
}
