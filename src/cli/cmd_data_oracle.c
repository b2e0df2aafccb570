/* critic data oracle: anybody's answers about a world's pictures, scored by the oracle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/data.h"
#include "io/json.h"
#include "io/jsonl.h"
#include "prefer/oracle.h"

#define MAX_LINE_BYTES ((size_t)256 << 20)

struct oracle_flags {
    struct cr_common common;
    const char *input, *scenes, *out;
    struct cr_oracle *oracle;
    struct cr_jsonl_log log;
    struct cr_str folder;
    size_t n, n_failed, n_answers;
    double sum;
};

static enum critic_status score_item(struct oracle_flags *f, const struct cr_item *item,
                                     json_t *row, critic_error *err) {
    json_t *scores = json_array();
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < item->n_answers && status == CRITIC_OK; i++) {
        int score = 0;
        status = cr_oracle_score(f->oracle, item, i, &score, err);
        json_array_append_new(scores, json_integer(score));
        f->sum += status == CRITIC_OK ? score : 0;
        f->n_answers += status == CRITIC_OK;
    }
    json_object_set_new(row, "scores", scores);
    return status;
}

static enum critic_status do_line(struct oracle_flags *f, struct cr_str line,
                                  const char *where, critic_error *err) {
    struct cr_item item;
    critic_error fault = {0};
    struct cr_buf text;
    char *folder = cr_str_dup(f->folder);
    CR_TRY(cr_item_from_json(&item, line, folder ? folder : "", where, err));
    json_t *row = json_pack("{s:o}", "id", json_stringn(item.id.data, item.id.len));
    if (score_item(f, &item, row, &fault) != CRITIC_OK) {
        json_object_del(row, "scores");
        json_object_set_new(row, "error", json_string(fault.message));
        f->n_failed++;
    }
    f->n++;
    cr_buf_init(&text, MAX_LINE_BYTES);
    enum critic_status status = cr_json_append(&text, row, err);
    if (status == CRITIC_OK)
        status = cr_jsonl_log_append(&f->log, cr_buf_str(&text), err);
    cr_buf_fini(&text);
    json_decref(row);
    cr_item_fini(&item);
    free(folder);
    return status;
}

static enum critic_status do_lines(struct oracle_flags *f, critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str line;
    char where[320];
    enum critic_status status = cr_jsonl_open(&reader, f->input, MAX_LINE_BYTES, err);
    while (status == CRITIC_OK) {
        status = cr_jsonl_next(&reader, &line, err);
        if (status != CRITIC_OK || !line.data)
            break;
        snprintf(where, sizeof where, "%.256s:%zu", reader.name, reader.line_number);
        status = do_line(f, line, where, err);
    }
    cr_jsonl_close(&reader);
    return status;
}

static enum critic_status run(struct oracle_flags *f, critic_error *err) {
    const char *slash = strrchr(f->input, '/');
    f->folder = (struct cr_str){f->input, slash ? (size_t)(slash - f->input) : 0};
    f->log.fd = -1;
    if (!f->scenes)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--scenes names the scenes.jsonl of the pictures");
    CR_TRY(cr_file_apart(f->input, f->out ? f->out : "-", err));
    CR_TRY(cr_oracle_open(&f->oracle, f->scenes, err));
    enum critic_status status = cr_jsonl_log_open(&f->log, f->out ? f->out : "-",
                                                  CR_JSONL_FORCE, NULL, NULL, err);
    if (status == CRITIC_OK)
        status = do_lines(f, err);
    cr_jsonl_log_close(&f->log);
    cr_oracle_free(f->oracle);
    if (status == CRITIC_OK && !f->common.quiet)
        fprintf(stderr, "%zu items (%zu failed), %zu answers, mean %.2f\n", f->n,
                f->n_failed, f->n_answers,
                f->n_answers ? f->sum / (double)f->n_answers : 0);
    return status;
}

int cr_cmd_data_oracle(int n_args, const char *const *args) {
    struct oracle_flags f = {0};
    critic_error err = {0};
    cr_common_init(&f.common);
    const struct cr_flag flags[] = {
        {"scenes", 0, CR_FLAG_STR, &f.scenes, "FILE", "scenes.jsonl of the pictures", 0,
         0},
        {"out", 'o', CR_FLAG_STR, &f.out, "FILE", "default: standard output", 0, 0},
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "data oracle",
        .usage = "ITEMS.jsonl --scenes SCENES.jsonl",
        .about = "Scores answers to questions about a world's pictures by the criterion "
                 "overall, 0 to 100\n(docs/micro-world.md). Items are those of critic "
                 "judge: id, images, question, responses;\na line out is id and scores.",
        .example = "critic data oracle answers.jsonl --scenes world/test/scenes.jsonl",
        .flags = flags,
        .min_positional = 1,
        .max_positional = 1};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    f.input = parsed.positional[0];
    status = run(&f, &err) != CRITIC_OK ? cr_report(&err)
             : f.n_failed               ? CR_EXIT_FAILED
                                        : CR_EXIT_DONE;
    return cr_command_end(&parsed, status);
}
