/* critic eval merge: the outputs of shards put together, of judges and of answers alike. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/grow.h"
#include "cli/eval.h"
#include "io/json.h"
#include "io/jsonl.h"

#define MAX_LINE ((size_t)1 << 28)

/* What every line of every shard has to share, where it has it. */
static const char *const shared[] = {"bench", "model_hash", "template_hash", "seed"};

struct shard {
    const char *path;
    char **lines;
    size_t n, cap;
};

static enum critic_status keep_line(struct shard *s, struct cr_str line,
                                    critic_error *err) {
    char **grown = cr_grow(s->lines, s->n, &s->cap, sizeof *grown);
    if (!grown)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for shards");
    s->lines = grown;
    s->lines[s->n] = cr_str_dup(line);
    return s->lines[s->n++] ? CRITIC_OK
                            : cr_fail(err, CRITIC_NO_MEMORY, "no memory for shards");
}

/* Takes row; *first keeps the first of all shards. */
static enum critic_status check_line(const struct shard *s, size_t number, json_t *row,
                                     json_t **first, critic_error *err) {
    enum critic_status status = CRITIC_OK;
    if (!json_object_get(row, "bench") || !json_object_get(row, "model_hash"))
        status = cr_fail(err, CRITIC_BAD_DATA,
                         "%s:%zu: not an output of critic eval run; expected bench and "
                         "model_hash",
                         s->path, number);
    for (size_t k = 0;
         *first && status == CRITIC_OK && k < sizeof shared / sizeof *shared; k++) {
        const json_t *a = json_object_get(*first, shared[k]);
        const json_t *b = json_object_get(row, shared[k]);
        if (a != b && (!a || !b || !json_equal(a, b)))
            status = cr_fail(err, CRITIC_BAD_DATA,
                             "%s:%zu: of another benchmark, judge, template or seed than "
                             "the first line of all ('%s' differs)",
                             s->path, number, shared[k]);
    }
    if (status == CRITIC_OK && !*first)
        *first = row;
    else
        json_decref(row);
    return status;
}

static enum critic_status read_shard(struct shard *s, json_t **first, critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str line = {NULL, 0};
    char where[320];
    enum critic_status status = cr_jsonl_open(&reader, s->path, MAX_LINE, err);
    while (status == CRITIC_OK) {
        json_t *row = NULL;
        status = cr_jsonl_next(&reader, &line, err);
        if (status != CRITIC_OK || !line.data)
            break;
        snprintf(where, sizeof where, "%.256s:%zu", s->path, reader.line_number);
        status = cr_json_parse(&row, line.data, line.len, where, err);
        if (status == CRITIC_OK)
            status = check_line(s, reader.line_number, row, first, err);
        if (status == CRITIC_OK)
            status = keep_line(s, line, err);
    }
    cr_jsonl_close(&reader);
    return status;
}

/* Shards of a whole are of equal length, the first ones perhaps one longer. */
static enum critic_status check_lengths(const struct shard *shards, size_t n,
                                        critic_error *err) {
    for (size_t i = 0; i < n; i++) {
        size_t most = shards[0].n, mine = shards[i].n;
        if (mine > most || mine + 1 < most || (i > 0 && mine > shards[i - 1].n))
            return cr_fail(
                err, CRITIC_BAD_DATA,
                "%s: %zu rows; expected %zu or one less: are the shards all there, "
                "finished and in order?",
                shards[i].path, mine, most);
    }
    return CRITIC_OK;
}

/* Item k of the whole is row k / n of shard k mod n: what --shard i/n took apart. */
static enum critic_status interleave(const struct shard *shards, size_t n,
                                     const char *output, critic_error *err) {
    struct cr_out out;
    enum critic_status status = cr_out_open(&out, output, err);
    for (size_t k = 0; status == CRITIC_OK && k / n < shards[k % n].n; k++) {
        const char *line = shards[k % n].lines[k / n];
        status = cr_out_write(&out, line, strlen(line), err);
        if (status == CRITIC_OK)
            status = cr_out_write(&out, "\n", 1, err);
    }
    if (status == CRITIC_OK)
        return cr_out_commit(&out, err);
    cr_out_abort(&out);
    return status;
}

static int run_merge(const char *output, const struct cr_args *args) {
    size_t n = args->n_positional;
    struct shard *shards = calloc(n, sizeof *shards);
    json_t *first = NULL;
    critic_error err = {0};
    enum critic_status status =
        !output  ? cr_fail(&err, CRITIC_BAD_ARGUMENT, "expected --output FILE")
        : shards ? CRITIC_OK
                 : cr_fail(&err, CRITIC_NO_MEMORY, "no memory for shards");
    for (size_t i = 0; status == CRITIC_OK && i < n; i++) {
        shards[i].path = args->positional[i];
        status = cr_file_apart(shards[i].path, output, &err);
        if (status == CRITIC_OK)
            status = read_shard(&shards[i], &first, &err);
    }
    if (status == CRITIC_OK)
        status = check_lengths(shards, n, &err);
    if (status == CRITIC_OK)
        status = interleave(shards, n, output, &err);
    for (size_t i = 0; shards && i < n; i++) {
        for (size_t k = 0; k < shards[i].n; k++)
            free(shards[i].lines[k]);
        free(shards[i].lines);
    }
    free(shards);
    json_decref(first);
    return cr_outcome(status, &err);
}

int cr_eval_merge(int n_args, const char *const *args) {
    struct cr_common c;
    const char *output = NULL;
    cr_common_init(&c);
    const struct cr_flag flags[] = {
        {"output", 'o', CR_FLAG_STR, &output, "FILE", "the whole", 0, 0},
        CR_OUTPUT_FLAGS(c),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "eval merge",
        .usage = "SHARD1 SHARD2 … --output FILE",
        .about = "Puts the outputs of critic eval run --shard 1/N … N/N together: the "
                 "bytes of "
                 "one run\nwithout shards.",
        .example = "critic eval merge part1.jsonl part2.jsonl --output whole.jsonl",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 100000};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, run_merge(output, &parsed));
}
