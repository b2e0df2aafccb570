/* Tables to pairs (pairs.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/pairs.h"
#include "eval/rows.h"
#include "eval/rules_text.h"

struct reading {
    struct cr_pairs *out;
    const struct cr_pair_keys *keys;
    const char *path;
    struct cr_faults *faults;
    json_t *clusters; /* key to index */
    size_t cap;
};

/* ---- values --------------------------------------------------------------------------------- */

static bool number_of(const json_t *value, double *out) {
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return isfinite(*out);
    }
    struct cr_str text = {json_string_value(value), json_string_length(value)};
    return text.data && cr_text_number(text, out);
}

/* What says nothing of a pick, such as null, is CR_PICK_NONE; a number is no pick at all. */
static bool pick_of(const json_t *value, unsigned char *out) {
    static const struct {
        const char *text;
        unsigned char pick;
    } names[] = {{"first", CR_PICK_FIRST},   {"a", CR_PICK_FIRST},
                 {"second", CR_PICK_SECOND}, {"b", CR_PICK_SECOND},
                 {"tie", CR_PICK_TIE},       {"c", CR_PICK_TIE}};
    double number;
    struct cr_str text = {json_string_value(value), json_string_length(value)};
    *out = CR_PICK_NONE;
    if (number_of(value, &number))
        return false;
    for (size_t i = 0; text.data && i < sizeof names / sizeof names[0]; i++)
        if (text.len == strlen(names[i].text) && cr_text_starts(text, 0, names[i].text))
            *out = names[i].pick;
    return true;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static enum critic_status make_room(struct reading *in, critic_error *err) {
    struct cr_pairs *p = in->out;
    if (p->n < in->cap)
        return CRITIC_OK;
    size_t cap = 2 * in->cap + 1024;
    double **numbers[] = {&p->x, &p->y, &p->z};
    unsigned char **picks[] = {&p->pick_x, &p->pick_y, &p->pick_z};
    bool done = true;
    for (size_t i = 0; i < 3 && done; i++) {
        void *grown = p->are_picks ? realloc(*picks[i], cap)
                                   : realloc(*numbers[i], cap * sizeof **numbers[i]);
        done = grown != NULL;
        if (done && p->are_picks)
            *picks[i] = grown;
        else if (done)
            *numbers[i] = grown;
    }
    uint32_t *cluster = done ? realloc(p->cluster, cap * sizeof *cluster) : NULL;
    if (!cluster)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu pairs", cap);
    p->cluster = cluster;
    in->cap = cap;
    return CRITIC_OK;
}

static enum critic_status cluster_of(struct reading *in, const json_t *row, uint32_t *out,
                                     bool *found, critic_error *err) {
    struct cr_id_text scratch;
    *out = (uint32_t)in->out->n;
    *found = true;
    if (!in->keys->cluster)
        return CRITIC_OK;
    struct cr_str key = cr_member_text(row, in->keys->cluster, &scratch);
    *found = key.data != NULL;
    if (!key.data)
        return CRITIC_OK;
    json_t *place = json_object_getn(in->clusters, key.data, key.len);
    size_t n = json_object_size(in->clusters);
    *out = place ? (uint32_t)json_integer_value(place) : (uint32_t)n;
    if (!place && json_object_setn_new(in->clusters, key.data, key.len,
                                       json_integer((json_int_t)n)))
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu clusters", n);
    return CRITIC_OK;
}

/* The columns' values into place p->n. NULL, or what is wrong. */
static const char *take_values(struct reading *in, const json_t *const value[3]) {
    struct cr_pairs *p = in->out;
    size_t n_columns = in->keys->z ? 3 : 2;
    double *numbers[] = {p->x, p->y, p->z};
    unsigned char *picks[] = {p->pick_x, p->pick_y, p->pick_z};
    for (size_t i = 0; i < n_columns; i++) {
        if (!value[i])
            return "lacks a column; row left out";
        if (p->are_picks ? !pick_of(value[i], &picks[i][p->n])
                         : !number_of(value[i], &numbers[i][p->n]))
            return p->are_picks ? "has a number among choices; row left out"
                                : "has a value that is no finite number; row left out";
    }
    return NULL;
}

static enum critic_status on_pair(void *user, json_t *row, size_t line,
                                  critic_error *err) {
    struct reading *in = user;
    struct cr_pairs *p = in->out;
    const json_t *const value[3] = {
        json_object_get(row, in->keys->x), json_object_get(row, in->keys->y),
        in->keys->z ? json_object_get(row, in->keys->z) : NULL};
    double number;
    uint32_t cluster;
    bool has_cluster;
    if (p->n_rows++ == 0) {
        if (!value[0] || !value[1] || (in->keys->z && !value[2]))
            return cr_fail(
                err, CRITIC_BAD_DATA,
                "%.160s:%zu: has no '%.40s'; --x, --y and --z name the columns", in->path,
                line,
                !value[0]   ? in->keys->x
                : !value[1] ? in->keys->y
                            : in->keys->z);
        p->are_picks = json_is_string(value[1]) && !number_of(value[1], &number);
    }
    CR_TRY(make_room(in, err));
    CR_TRY(cluster_of(in, row, &cluster, &has_cluster, err));
    const char *fault =
        has_cluster ? take_values(in, value) : "lacks its cluster; row left out";
    if (fault)
        return cr_faults_add(in->faults, in->path, "mixed", line, err, "%s", fault);
    p->cluster[p->n++] = cluster;
    return CRITIC_OK;
}

enum critic_status cr_pairs_read(struct cr_pairs *out, const char *path,
                                 const struct cr_pair_keys *keys,
                                 struct cr_faults *faults, critic_error *err) {
    struct reading in = {out, keys, path, faults, json_object(), 0};
    memset(out, 0, sizeof *out);
    enum critic_status status =
        in.clusters ? cr_rows_read(path, faults, on_pair, &in, err)
                    : cr_fail(err, CRITIC_NO_MEMORY, "no memory to read %.160s", path);
    out->n_clusters = json_object_size(in.clusters);
    json_decref(in.clusters);
    if (!keys->cluster) {
        free(out->cluster);
        out->cluster = NULL;
    }
    if (status == CRITIC_OK && out->n == 0)
        status = cr_fail(err, CRITIC_BAD_DATA, "%.160s: none of %zu rows is usable", path,
                         out->n_rows);
    return status;
}

void cr_pairs_fini(struct cr_pairs *p) {
    free(p->x);
    free(p->y);
    free(p->z);
    free(p->pick_x);
    free(p->pick_y);
    free(p->pick_z);
    free(p->cluster);
    memset(p, 0, sizeof *p);
}
