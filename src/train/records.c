#include "train/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/grow.h"
#include "base/rng.h"

#define META_BYTES ((size_t)1 << 40) /* address space */
#define MAX_FILES  4096

struct list {
    struct cr_record_ref *refs;
    size_t n, cap;
};

static enum critic_status push(struct list *l, struct cr_record_ref ref,
                               critic_error *err) {
    struct cr_record_ref *refs = cr_grow(l->refs, l->n, &l->cap, sizeof *refs);
    if (!refs)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu records", l->n + 1);
    l->refs = refs;
    l->refs[l->n++] = ref;
    return CRITIC_OK;
}

/* ---- finding records ---- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum critic_status index_lines(struct list *l, struct cr_record_ref ref,
                                      const char *text, size_t len, critic_error *err) {
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t stop = end ? (size_t)(end - text) : len, first = at;
        while (first < stop && is_space(text[first]))
            first++;
        if (first < stop) {
            ref.at = first;
            ref.len = stop - first;
            CR_TRY(push(l, ref, err));
        }
        ref.line++;
        at = stop + 1;
    }
    return CRITIC_OK;
}

/* Objects of the list that begins at `at`: brackets are counted outside of strings, and what is
 * between them is judged by the parser. */
static enum critic_status index_list(struct list *l, struct cr_record_ref ref,
                                     const char *text, size_t len, size_t at,
                                     const char *name, critic_error *err) {
    int depth = 0;
    bool in_string = false;
    size_t first = 0;
    uint32_t line = ref.line;
    for (; at < len; at++) {
        char c = text[at];
        if (c == '\n')
            line++;
        if (in_string) {
            if (c == '\\')
                at++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (depth == 1 && c == ']')
            return CRITIC_OK;
        if (depth == 1 && c != '{' && c != ',' && !is_space(c))
            return cr_fail(err, CRITIC_BAD_DATA,
                           "%s:%u: '%c' in the list; expected records as objects", name,
                           (unsigned)line, c > ' ' && c < 127 ? c : '?');
        if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (depth++ == 1) {
                first = at;
                ref.line = line;
            }
        } else if (c == '}' || c == ']') {
            if (--depth == 1) {
                ref.at = first;
                ref.len = at + 1 - first;
                CR_TRY(push(l, ref, err));
            }
        }
    }
    return cr_fail(err, CRITIC_BAD_DATA, "%s:%u: the list has no end; expected ']'", name,
                   (unsigned)line);
}

static enum critic_status add_file(struct cr_records *r, struct list *l, const char *path,
                                   critic_error *err) {
    if (r->n_files == MAX_FILES)
        return cr_fail(err, CRITIC_BAD_DATA, "%s: more than %d data files", path,
                       MAX_FILES);
    struct cr_map *map = &r->maps[r->n_files];
    CR_TRY(cr_map_open(map, path, err));
    const char *name = cr_arena_strndup(&r->arena, path, strlen(path));
    if (!name)
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", path);
    r->names[r->n_files] = name;
    struct cr_record_ref ref = {.file = (uint32_t)r->n_files++, .line = 1};
    const char *text = (const char *)map->bytes.data;
    size_t at = 0, len = map->bytes.len;
    while (at < len && is_space(text[at]))
        ref.line += text[at++] == '\n';
    if (at < len && text[at] == '[')
        return index_list(l, ref, text, len, at, name, err);
    ref.line = 1;
    return index_lines(l, ref, text, len, err);
}

/* ---- sampling ---- */

/* Keeps what the strategy takes of the n refs at `refs`; false where it is none of ours. */
static bool sample(struct cr_record_ref *refs, size_t *n, const char *strategy,
                   uint64_t seed) {
    static const char *const kinds[] = {"first:", "end:", "random:"};
    int kind = -1;
    if (strcmp(strategy, "all") == 0)
        return true;
    for (int i = 0; i < 3; i++)
        if (strncmp(strategy, kinds[i], strlen(kinds[i])) == 0)
            kind = i;
    if (kind < 0)
        return false;
    const char *number = strategy + strlen(kinds[kind]);
    char *end;
    double value = strtod(number, &end);
    bool percent = strcmp(end, "%") == 0;
    if (end == number || (!percent && *end) || !(value >= 0) || value > 1e15)
        return false;
    double wanted = percent ? (double)*n * value / 100 : value;
    size_t keep = CR_MIN(*n, (size_t)wanted + ((double)(size_t)wanted < wanted));
    if (kind == 1)
        memmove(refs, refs + (*n - keep), keep * sizeof *refs);
    if (kind == 2) {
        struct cr_rng rng;
        cr_rng_seed_at(&rng, seed, 0xda7a);
        for (size_t i = 0; i < keep; i++) {
            size_t j = i + (size_t)cr_rng_below(&rng, *n - i);
            struct cr_record_ref other = refs[i];
            refs[i] = refs[j];
            refs[j] = other;
        }
    }
    *n = keep;
    return true;
}

/* prefix{a,b}suffix becomes two files. */
static enum critic_status add_paths(struct cr_records *r, struct list *l,
                                    const char *path, const char *folder,
                                    critic_error *err) {
    struct cr_buf one;
    const char *open = strchr(path, '{'), *close = open ? strchr(open, '}') : NULL;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&one, 1 << 16);
    for (const char *item = open ? open + 1 : path; item && status == CRITIC_OK;) {
        if (close) {
            size_t n = strcspn(item, ",}");
            status = cr_buf_printf(&one, err, "%.*s%.*s%s", (int)(open - path), path,
                                   (int)n, item, close + 1);
            item = item[n] == ',' ? item + n + 1 : NULL;
        } else {
            status = cr_buf_append_c(&one, path, err);
            item = NULL;
        }
        if (status == CRITIC_OK && !cr_file_exists(one.data) && folder &&
            one.data[0] != '/') {
            char *bare = cr_str_dup(cr_buf_str(&one));
            status = bare ? cr_path_join(&one, folder, bare, err)
                          : cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", path);
            free(bare);
        }
        if (status == CRITIC_OK)
            status = add_file(r, l, one.data, err);
        cr_buf_clear(&one);
    }
    cr_buf_fini(&one);
    return status;
}

/* ---- YAML ---- */

static const char *scalar(yaml_document_t *doc, int node) {
    yaml_node_t *n = yaml_document_get_node(doc, node);
    return n && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
}

/* The node under `key` of a mapping; 0 where absent. */
static int member(yaml_document_t *doc, yaml_node_t *map, const char *key) {
    if (!map || map->type != YAML_MAPPING_NODE)
        return 0;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start;
         p < map->data.mapping.pairs.top; p++) {
        const char *name = scalar(doc, p->key);
        if (name && strcmp(name, key) == 0)
            return p->value;
    }
    return 0;
}

static enum critic_status add_dataset(struct cr_records *r, struct list *l,
                                      yaml_document_t *doc, yaml_node_t *entry,
                                      const char *path, const char *folder, uint64_t seed,
                                      critic_error *err) {
    size_t line = entry->start_mark.line + 1, before = l->n;
    const char *json = scalar(doc, member(doc, entry, "json_path"));
    const char *strategy = scalar(doc, member(doc, entry, "sampling_strategy"));
    if (!json)
        return cr_fail(err, CRITIC_BAD_DATA, "%s:%zu: no 'json_path'", path, line);
    enum critic_status status = add_paths(r, l, json, folder, err);
    if (status != CRITIC_OK)
        return cr_error_wrap(err, status, "%s:%zu: ", path, line);
    size_t n = l->n - before;
    if (!sample(l->refs + before, &n, strategy ? strategy : "all", seed + line))
        return cr_fail(
            err, CRITIC_BAD_DATA,
            "%s:%zu: 'sampling_strategy' is '%.40s'; expected all, first:N, end:N "
            "or random:N (N or P%%)",
            path, line, strategy);
    l->n = before + n;
    return CRITIC_OK;
}

static enum critic_status add_yaml(struct cr_records *r, struct list *l, const char *path,
                                   uint64_t seed, critic_error *err) {
    struct cr_map map;
    struct cr_buf folder;
    yaml_parser_t parser;
    yaml_document_t doc;
    CR_TRY(cr_map_open(&map, path, err));
    enum critic_status status;
    cr_buf_init(&folder, 1 << 16);
    status = cr_path_parent(&folder, path, err);
    if (!yaml_parser_initialize(&parser)) {
        cr_map_close(&map);
        cr_buf_fini(&folder);
        return cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", path);
    }
    yaml_parser_set_input_string(&parser, map.bytes.data, map.bytes.len);
    if (!yaml_parser_load(&parser, &doc)) {
        status = cr_fail(err, CRITIC_BAD_DATA, "%s:%zu: %s", path,
                         parser.problem_mark.line + 1,
                         parser.problem ? parser.problem : "not YAML");
    } else {
        yaml_node_t *list = yaml_document_get_node(
            &doc, member(&doc, yaml_document_get_root_node(&doc), "datasets"));
        if (!list || list->type != YAML_SEQUENCE_NODE)
            status = cr_fail(err, CRITIC_BAD_DATA, "%s:1: no list 'datasets'", path);
        else
            for (yaml_node_item_t *i = list->data.sequence.items.start;
                 i < list->data.sequence.items.top && status == CRITIC_OK; i++)
                status = add_dataset(r, l, &doc, yaml_document_get_node(&doc, *i), path,
                                     folder.data, seed, err);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    cr_map_close(&map);
    cr_buf_fini(&folder);
    return status;
}

/* ---- */

static bool ends_in(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);
    return n >= m && strcmp(path + n - m, end) == 0;
}

enum critic_status cr_records_open(struct cr_records *r, const char *path, uint64_t seed,
                                   critic_error *err) {
    struct list l = {0};
    memset(r, 0, sizeof *r);
    CR_TRY(cr_arena_init(&r->arena, META_BYTES >> 10, err));
    r->names = cr_arena_calloc(&r->arena, MAX_FILES, sizeof *r->names);
    r->maps = cr_arena_calloc(&r->arena, MAX_FILES, sizeof *r->maps);
    enum critic_status status =
        r->names && r->maps ? CRITIC_OK
                            : cr_fail(err, CRITIC_NO_MEMORY, "%s: out of memory", path);
    if (status == CRITIC_OK)
        status = ends_in(path, ".yaml") || ends_in(path, ".yml")
                     ? add_yaml(r, &l, path, seed, err)
                     : add_paths(r, &l, path, NULL, err);
    r->refs = l.refs;
    r->n = l.n;
    if (status == CRITIC_OK && r->n == 0)
        status = cr_fail(err, CRITIC_BAD_DATA, "%s:1: no records", path);
    return status;
}

void cr_records_close(struct cr_records *r) {
    for (size_t i = 0; i < r->n_files; i++)
        cr_map_close(&r->maps[i]);
    free(r->refs);
    cr_arena_fini(&r->arena);
    memset(r, 0, sizeof *r);
}

void cr_records_where(const struct cr_records *r, size_t i, char text[512]) {
    snprintf(text, 512, "%.480s:%u", r->names[r->refs[i].file],
             (unsigned)r->refs[i].line);
}

enum critic_status cr_records_get(const struct cr_records *r, size_t i, json_t **out,
                                  critic_error *err) {
    const struct cr_record_ref *ref = &r->refs[i];
    char where[512];
    cr_records_where(r, i, where);
    const char *text = (const char *)r->maps[ref->file].bytes.data + ref->at;
    enum critic_status status = cr_json_parse(out, text, ref->len, where, err);
    if (status == CRITIC_BAD_FILE) { /* one record of many */
        status = CRITIC_BAD_DATA;
        if (err)
            err->status = status;
    }
    if (status == CRITIC_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        status =
            cr_fail(err, CRITIC_BAD_DATA, "%s: not an object; expected a record", where);
    }
    return status;
}
