#include "convert/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/quant.h"
#include "tensor/adapter.h"

static enum critic_status no_memory(critic_error *err) {
    return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for merged weights");
}

/* The plan's item of a term's weight. */
static struct cr_plan_item *item_of(struct cr_plan *plan, const char *linear) {
    size_t n = strlen(linear);
    for (size_t i = 0; i < plan->n_items; i++) {
        const char *name = plan->items[i].canonical;
        if (strncmp(name, linear, n) == 0 && strcmp(name + n, ".weight") == 0)
            return &plan->items[i];
    }
    return NULL;
}

static void merge_rows(float *out, const struct cr_tensor *w, const float *a,
                       const float *b, size_t rank, double scale) {
    size_t n = cr_tensor_rows(w), k = cr_tensor_cols(w);
#pragma omp parallel for schedule(static)
    for (size_t r = 0; r < n; r++) {
        float *row = out + r * k;
        cr_row_to_f32(w->dtype, cr_tensor_row(w, r), row, k);
        for (size_t c = 0; c < k; c++) {
            double sum = 0;
            for (size_t i = 0; i < rank; i++)
                sum += (double)b[r * rank + i] * (double)a[i * k + c];
            row[c] = (float)((double)row[c] + scale * sum);
        }
    }
}

static void to_f32(float *out, const struct cr_tensor *t) {
    size_t cols = cr_tensor_cols(t);
    for (size_t r = 0; r < cr_tensor_rows(t); r++)
        cr_row_to_f32(t->dtype, cr_tensor_row(t, r), out + r * cols, cols);
}

static enum critic_status
merge_term(struct cr_plan *plan, const struct cr_adapter_term *term, critic_error *err) {
    struct cr_plan_item *item = item_of(plan, term->linear);
    size_t rank = term->a.dim[0], n = term->b.dim[0], k = term->a.dim[1];
    if (!item)
        return cr_fail(err, CRITIC_BAD_MODEL,
                       "the adapter has a term for '%s'; the model has no such linear",
                       term->linear);
    if (item->source.n_dim != 2 || item->source.dim[0] != n || item->source.dim[1] != k)
        return cr_fail(
            err, CRITIC_BAD_MODEL,
            "the adapter's term for '%s' is (%zu, %zu); the weight has another shape",
            term->linear, n, k);
    float *w = cr_arena_alloc(&plan->merged, n * k * sizeof *w);
    float *ab = malloc(rank * (n + k) * sizeof *ab);
    if (!w || !ab) {
        free(ab);
        return no_memory(err);
    }
    to_f32(ab, &term->a);
    to_f32(ab + rank * k, &term->b);
    merge_rows(w, &item->source, ab, ab + rank * k, rank, term->scale);
    free(ab);
    item->source.data = w;
    item->source.dtype = CR_F32;
    item->source.row_bytes = k * sizeof *w;
    return CRITIC_OK;
}

enum critic_status cr_plan_merge(struct cr_plan *plan, const char *dir,
                                 critic_error *err) {
    struct cr_adapter adapter;
    CR_TRY(cr_arena_init(&plan->merged, (size_t)1 << 40, err)); /* address space */
    enum critic_status status = cr_adapter_open(&adapter, dir, err);
    for (size_t i = 0; i < adapter.n && status == CRITIC_OK; i++)
        status = merge_term(plan, &adapter.terms[i], err);
    cr_adapter_close(&adapter);
    return status;
}
