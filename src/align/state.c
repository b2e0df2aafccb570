#include "align/state.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "io/json.h"

#define APPLICATION_ID 0x63724132 /* "crA2" */

struct cr_align_state {
    sqlite3 *db;
    char *path;
};

static enum critic_status fault(const struct cr_align_state *s, critic_error *err) {
    int code = s->db ? sqlite3_errcode(s->db) : SQLITE_NOMEM;
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        return cr_fail(err, CRITIC_BAD_FILE,
                       "%s: %s; expected the state of a run of critic align", s->path,
                       sqlite3_errmsg(s->db));
    if (code == SQLITE_BUSY)
        return cr_fail(err, CRITIC_IO, "%s: another process works on this run", s->path);
    return cr_fail(err, code == SQLITE_NOMEM ? CRITIC_NO_MEMORY : CRITIC_IO, "%s: %s",
                   s->path, s->db ? sqlite3_errmsg(s->db) : "out of memory");
}

static enum critic_status run_sql(struct cr_align_state *s, const char *sql,
                                  critic_error *err) {
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? CRITIC_OK
                                                                   : fault(s, err);
}

static enum critic_status prepare(struct cr_align_state *s, const char *sql,
                                  sqlite3_stmt **out, critic_error *err) {
    return sqlite3_prepare_v2(s->db, sql, -1, out, NULL) == SQLITE_OK ? CRITIC_OK
                                                                      : fault(s, err);
}

static enum critic_status parse(const struct cr_align_state *s, sqlite3_stmt *row,
                                json_t **out, critic_error *err) {
    const char *text = (const char *)sqlite3_column_text(row, 0);
    return cr_json_parse(out, text ? text : "", text ? strlen(text) : 0, s->path, err);
}

/* ---- options ----------------------------------------------------------------------------- */

/* All keys of both, so that an option that only one has is found too. */
static enum critic_status compare(const struct cr_align_state *s, const json_t *mine,
                                  const json_t *theirs, critic_error *err) {
    const char *key;
    json_t *value;
    json_t *all = json_copy((json_t *)(uintptr_t)mine);
    enum critic_status status = CRITIC_OK;
    if (!all || json_object_update_missing(all, (json_t *)(uintptr_t)theirs)) {
        json_decref(all);
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    }
    json_object_foreach(all, key, value) {
        const json_t *a = json_object_get(theirs, key), *b = json_object_get(mine, key);
        if (status != CRITIC_OK || (a && b && json_equal(a, b)))
            continue;
        char *text[2] = {a ? json_dumps(a, JSON_ENCODE_ANY) : NULL,
                         b ? json_dumps(b, JSON_ENCODE_ANY) : NULL};
        status =
            cr_fail(err, CRITIC_BAD_ARGUMENT,
                    "%s: this run was begun with %s %.200s; now it is %.200s", s->path,
                    key, text[0] ? text[0] : "unset", text[1] ? text[1] : "unset");
        free(text[0]);
        free(text[1]);
    }
    json_decref(all);
    return status;
}

static enum critic_status put_options(struct cr_align_state *s, const json_t *options,
                                      critic_error *err) {
    sqlite3_stmt *put = NULL;
    char *text = json_dumps(options, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    enum critic_status status =
        prepare(s, "INSERT OR REPLACE INTO options VALUES (1, ?1)", &put, err);
    if (status == CRITIC_OK) {
        sqlite3_bind_text(put, 1, text, -1, SQLITE_STATIC);
        status = sqlite3_step(put) == SQLITE_DONE ? CRITIC_OK : fault(s, err);
    }
    sqlite3_finalize(put);
    free(text);
    return status;
}

static enum critic_status begin(struct cr_align_state *s, const json_t *options,
                                critic_error *err) {
    enum critic_status status = run_sql(
        s,
        "BEGIN IMMEDIATE; PRAGMA application_id=1668432178;"
        "CREATE TABLE options (one INTEGER PRIMARY KEY, text TEXT NOT NULL);"
        "CREATE TABLE stages (round INTEGER NOT NULL, stage TEXT NOT NULL, detail "
        "TEXT NOT NULL, PRIMARY KEY (round, stage)) WITHOUT ROWID;",
        err);
    _Static_assert(APPLICATION_ID == 1668432178, "the number in the schema");
    if (status == CRITIC_OK)
        status = put_options(s, options, err);
    return status == CRITIC_OK ? run_sql(s, "COMMIT", err) : status;
}

static enum critic_status is_done(struct cr_align_state *s, const char *stage, bool *out,
                                  critic_error *err) {
    sqlite3_stmt *get = NULL;
    enum critic_status status =
        prepare(s, "SELECT count(*) FROM stages WHERE stage = ?1", &get, err);
    if (status == CRITIC_OK) {
        sqlite3_bind_text(get, 1, stage, -1, SQLITE_STATIC);
        status = sqlite3_step(get) == SQLITE_ROW ? CRITIC_OK : fault(s, err);
    }
    *out = status == CRITIC_OK && sqlite3_column_int64(get, 0) > 0;
    sqlite3_finalize(get);
    return status;
}

/* A late option becomes what it is now, where that is still to be said. */
static enum critic_status renew(struct cr_align_state *s, const json_t *options,
                                struct cr_align_late late, json_t *theirs,
                                critic_error *err) {
    json_t *now = late.key ? json_object_get(options, late.key) : NULL;
    bool done;
    if (!now || json_equal(now, json_object_get(theirs, late.key)))
        return CRITIC_OK;
    CR_TRY(is_done(s, late.stage, &done, err));
    if (done)
        return CRITIC_OK; /* compare() says what is wrong */
    if (json_object_set(theirs, late.key, now))
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    CR_TRY(compare(s, options, theirs, err));
    return put_options(s, theirs, err);
}

static enum critic_status go_on(struct cr_align_state *s, const json_t *options,
                                struct cr_align_late late, critic_error *err) {
    sqlite3_stmt *get = NULL;
    json_t *theirs = NULL;
    enum critic_status status = prepare(s, "SELECT text FROM options", &get, err);
    if (status == CRITIC_OK)
        status =
            sqlite3_step(get) == SQLITE_ROW ? parse(s, get, &theirs, err) : fault(s, err);
    sqlite3_finalize(get);
    if (status == CRITIC_OK)
        status = renew(s, options, late, theirs, err);
    if (status == CRITIC_OK)
        status = compare(s, options, theirs, err);
    json_decref(theirs);
    return status;
}

/* A file without tables is of a run that was killed while it began. One with tables of somebody else is
 * no run. */
static enum critic_status is_empty(struct cr_align_state *s, bool *out,
                                   critic_error *err) {
    sqlite3_stmt *get = NULL;
    enum critic_status status =
        prepare(s,
                "SELECT count(*), (SELECT application_id FROM pragma_application_id) "
                "FROM sqlite_schema",
                &get, err);
    if (status == CRITIC_OK)
        status = sqlite3_step(get) == SQLITE_ROW ? CRITIC_OK : fault(s, err);
    *out = status == CRITIC_OK && sqlite3_column_int64(get, 0) == 0;
    if (status == CRITIC_OK && !*out && sqlite3_column_int64(get, 1) != APPLICATION_ID)
        status = cr_fail(err, CRITIC_BAD_FILE,
                         "%s: another program's database; expected the state of a run of "
                         "critic align",
                         s->path);
    sqlite3_finalize(get);
    return status;
}

enum critic_status cr_align_state_open(struct cr_align_state **out, const char *path,
                                       const json_t *options, struct cr_align_late late,
                                       bool resume, critic_error *err) {
    enum critic_status status;
    bool empty;
    *out = NULL;
    struct cr_align_state *s = calloc(1, sizeof *s);
    if (!s || !(s->path = cr_str_dup(cr_str_of(path)))) {
        free(s);
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    }
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
        SQLITE_OK)
        CR_TRY_GOTO(fault(s, err));
    CR_TRY_GOTO(run_sql(s,
                        "PRAGMA synchronous=FULL; PRAGMA locking_mode=EXCLUSIVE;"
                        "BEGIN EXCLUSIVE; COMMIT", /* ours until it is closed */
                        err));
    CR_TRY_GOTO(is_empty(s, &empty, err));
    if (!empty && !resume)
        CR_TRY_GOTO(cr_fail(err, CRITIC_BAD_ARGUMENT,
                            "%s holds a run already; --resume goes on with it", path));
    CR_TRY_GOTO(empty ? begin(s, options, err) : go_on(s, options, late, err));
    *out = s;
    return CRITIC_OK;
fail:
    cr_align_state_close(s);
    return status;
}

void cr_align_state_close(struct cr_align_state *s) {
    if (!s)
        return;
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

/* ---- stages ------------------------------------------------------------------------------ */

enum critic_status cr_align_state_get(struct cr_align_state *s, size_t round,
                                      const char *stage, json_t **detail,
                                      critic_error *err) {
    sqlite3_stmt *get = NULL;
    *detail = NULL;
    CR_TRY(prepare(s, "SELECT detail FROM stages WHERE round = ?1 AND stage = ?2", &get,
                   err));
    sqlite3_bind_int64(get, 1, (sqlite3_int64)round);
    sqlite3_bind_text(get, 2, stage, -1, SQLITE_STATIC);
    int code = sqlite3_step(get);
    enum critic_status status = code == SQLITE_ROW    ? parse(s, get, detail, err)
                                : code == SQLITE_DONE ? CRITIC_OK
                                                      : fault(s, err);
    sqlite3_finalize(get);
    return status;
}

enum critic_status cr_align_state_put(struct cr_align_state *s, size_t round,
                                      const char *stage, const json_t *detail,
                                      critic_error *err) {
    sqlite3_stmt *put = NULL;
    char *text = json_dumps(detail, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    enum critic_status status =
        prepare(s, "INSERT OR REPLACE INTO stages VALUES (?1, ?2, ?3)", &put, err);
    if (status == CRITIC_OK) {
        sqlite3_bind_int64(put, 1, (sqlite3_int64)round);
        sqlite3_bind_text(put, 2, stage, -1, SQLITE_STATIC);
        sqlite3_bind_text(put, 3, text, -1, SQLITE_STATIC);
        status = sqlite3_step(put) == SQLITE_DONE ? CRITIC_OK : fault(s, err);
    }
    sqlite3_finalize(put);
    free(text);
    return status;
}

static enum critic_status copy_to(struct cr_align_state *s, const char *path,
                                  critic_error *err) {
    sqlite3_stmt *copy = NULL;
    (void)unlink(path); /* of a run that was killed here */
    /* The copy's schema version is one more than ours, whatever was copied before. */
    CR_TRY(run_sql(s, "PRAGMA schema_version=1", err));
    CR_TRY(prepare(s, "VACUUM INTO ?1", &copy, err));
    sqlite3_bind_text(copy, 1, path, -1, SQLITE_STATIC);
    enum critic_status status =
        sqlite3_step(copy) == SQLITE_DONE ? CRITIC_OK : fault(s, err);
    sqlite3_finalize(copy);
    if (status != CRITIC_OK)
        (void)unlink(path);
    return status;
}

enum critic_status cr_align_state_settle(struct cr_align_state *s, critic_error *err) {
    struct cr_buf path;
    enum critic_status status;
    cr_buf_init(&path, (size_t)1 << 16);
    CR_TRY_GOTO(cr_buf_printf(&path, err, "%s.new", s->path));
    CR_TRY_GOTO(copy_to(s, path.data, err));
    sqlite3_close(s->db);
    s->db = NULL;
    CR_TRY_GOTO(cr_file_rename(path.data, s->path, err));
fail:
    cr_buf_fini(&path);
    cr_align_state_close(s);
    return status;
}
