#include "train/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "io/json.h"

#define MAX_LINE ((size_t)1 << 16)

static enum critic_status keep_lines(const char *path, size_t step, struct cr_out *out,
                                     critic_error *err) {
    struct cr_jsonl_reader reader;
    struct cr_str line;
    CR_TRY(cr_jsonl_open(&reader, path, MAX_LINE, err));
    enum critic_status status = cr_jsonl_next(&reader, &line, err);
    while (status == CRITIC_OK && line.data) {
        json_t *value = NULL;
        /* A torn last line is no JSON, and goes. */
        bool keep = cr_json_parse(&value, line.data, line.len, path, NULL) == CRITIC_OK &&
                    (size_t)json_integer_value(json_object_get(value, "step")) <= step;
        json_decref(value);
        if (keep)
            status = cr_out_write(out, line.data, line.len, err);
        if (keep && status == CRITIC_OK)
            status = cr_out_write(out, "\n", 1, err);
        if (status == CRITIC_OK)
            status = cr_jsonl_next(&reader, &line, err);
    }
    cr_jsonl_close(&reader);
    return status;
}

static enum critic_status rewind_to(const char *path, size_t step, critic_error *err) {
    struct cr_out out;
    if (!cr_file_exists(path))
        return CRITIC_OK;
    CR_TRY(cr_out_open(&out, path, err));
    enum critic_status status = keep_lines(path, step, &out, err);
    if (status == CRITIC_OK)
        return cr_out_commit(&out, err);
    cr_out_abort(&out);
    return status;
}

enum critic_status cr_metrics_open(struct cr_metrics *m, const char *run, bool resume,
                                   size_t step, critic_error *err) {
    struct cr_buf path;
    memset(m, 0, sizeof *m);
    cr_buf_init(&path, 1 << 16);
    enum critic_status status = cr_path_join(&path, run, "metrics.jsonl", err);
    m->path = status == CRITIC_OK ? cr_str_dup(cr_buf_str(&path)) : NULL;
    cr_buf_fini(&path);
    CR_TRY(status);
    if (!m->path)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory");
    if (!resume && cr_file_exists(m->path))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "%s holds a run already; --resume goes on with it", run);
    if (resume)
        CR_TRY(rewind_to(m->path, step, err));
    CR_TRY(cr_jsonl_log_open(&m->log, m->path, resume ? CR_JSONL_RESUME : CR_JSONL_FRESH,
                             NULL, NULL, err));
    m->is_open = true;
    return CRITIC_OK;
}

void cr_metrics_close(struct cr_metrics *m) {
    if (m->is_open)
        cr_jsonl_log_close(&m->log);
    free(m->path);
    memset(m, 0, sizeof *m);
}

static enum critic_status add_metrics(struct cr_buf *out, const struct cr_pass *pass,
                                      const char *prefix, critic_error *err) {
    for (size_t i = 0; i < pass->n_metrics; i++)
        CR_TRY(cr_buf_printf(out, err, ", \"%s%s\": %.6g", prefix, pass->metrics[i].name,
                             pass->metrics[i].sum / CR_MAX(pass->metrics[i].n, 1e-300)));
    return CRITIC_OK;
}

static enum critic_status append(struct cr_metrics *m, struct cr_buf *text,
                                 critic_error *err) {
    CR_TRY(cr_buf_append_c(text, "}", err));
    return cr_jsonl_log_append(&m->log, cr_buf_str(text), err);
}

enum critic_status cr_metrics_append(struct cr_metrics *m,
                                     const struct cr_metrics_line *l, critic_error *err) {
    struct cr_buf text;
    cr_buf_init(&text, MAX_LINE);
    enum critic_status status = cr_buf_printf(
        &text, err,
        "{\"step\": %zu, \"epoch\": %.4f, \"loss\": %.6g, \"lr\": %.6g, \"grad_norm\": "
        "%.6g, "
        "\"grad_norm_decoder\": %.6g, \"grad_norm_projector\": %.6g, "
        "\"grad_norm_tower\": "
        "%.6g, \"tokens\": %llu, \"tokens_per_second\": %.1f, \"seconds\": %.2f",
        l->step, l->epoch, l->loss, l->lr, l->grad_norm, l->parts[CR_PART_DECODER],
        l->parts[CR_PART_PROJECTOR], l->parts[CR_PART_TOWER],
        (unsigned long long)l->n_tokens, l->tokens_per_second, l->seconds);
    if (status == CRITIC_OK)
        status = add_metrics(&text, l->pass, "", err);
    if (status == CRITIC_OK)
        status = append(m, &text, err);
    cr_buf_fini(&text);
    return status;
}

enum critic_status cr_metrics_append_eval(struct cr_metrics *m, size_t step,
                                          const struct cr_pass *pass, critic_error *err) {
    struct cr_buf text;
    cr_buf_init(&text, MAX_LINE);
    enum critic_status status =
        cr_buf_printf(&text, err, "{\"step\": %zu, \"eval_loss\": %.6g", step,
                      pass->loss / (double)CR_MAX(pass->n_losses, 1));
    if (status == CRITIC_OK)
        status = add_metrics(&text, pass, "eval_", err);
    if (status == CRITIC_OK)
        status = append(m, &text, err);
    cr_buf_fini(&text);
    return status;
}
