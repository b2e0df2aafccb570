#include "train/optim.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kernel/dense.h"
#include "op/linear.h"

/* Sums are taken over fixed chunks, so that they do not depend on the number of threads. */
#define CHUNK ((size_t)16384)

void cr_optim_opts_default(struct cr_optim_opts *o) {
    *o = (struct cr_optim_opts){.kind = CR_OPTIM_ADAMW,
                                .lr = {[CR_PART_DECODER] = 1e-5,
                                       [CR_PART_PROJECTOR] = 1e-5,
                                       [CR_PART_TOWER] = 2e-6},
                                .beta1 = 0.9,
                                .beta2 = 0.999,
                                .eps = 1e-8,
                                .momentum = 0.95,
                                .clip = 1};
}

bool cr_optim_is_muon(const struct cr_optim_opts *o, const struct cr_train_tensor *t) {
    return o->kind == CR_OPTIM_MUON && t->muon;
}

static size_t elements(const struct cr_train_tensor *t) {
    return t->rows * t->cols;
}

/* ---- norm ---- */

static double sum_of_squares(const float *x, size_t n) {
    double total = 0;
    size_t n_chunks = CR_CEIL_DIV(n, CHUNK);
    double sums[256];
    for (size_t first = 0; first < n_chunks; first += CR_COUNT(sums)) {
        size_t some = CR_MIN(n_chunks - first, CR_COUNT(sums));
#pragma omp parallel for schedule(static)
        for (size_t c = 0; c < some; c++) {
            size_t begin = (first + c) * CHUNK, end = CR_MIN(begin + CHUNK, n);
            double lanes[8] = {0};
            size_t i = begin;
            for (; i + 8 <= end; i += 8)
                for (size_t k = 0; k < 8; k++)
                    lanes[k] += (double)x[i + k] * (double)x[i + k];
            for (; i < end; i++)
                lanes[0] += (double)x[i] * (double)x[i];
            sums[c] = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
                      ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
        }
        for (size_t c = 0; c < some; c++)
            total += sums[c];
    }
    return total;
}

double cr_optim_grad_norm(const struct cr_train_tensor *tensors, size_t n,
                          double parts[3]) {
    double sums[3] = {0};
    for (size_t i = 0; i < n; i++)
        sums[tensors[i].part] += sum_of_squares(tensors[i].g, elements(&tensors[i]));
    for (int p = 0; parts && p < 3; p++)
        parts[p] = sqrt(sums[p]);
    return sqrt(sums[0] + sums[1] + sums[2]);
}

double cr_optim_clip(const struct cr_optim_opts *o, double norm) {
    return o->clip > 0 ? CR_MIN(1.0, o->clip / (norm + 1e-6)) : 1.0;
}

/* ---- AdamW ---- */

struct adamw {
    float decay;  /* 1 - lr * weight decay */
    float beta1c; /* 1 - beta1 */
    float beta2, beta2c;
    float step; /* -lr / (1 - beta1^t) */
    float root; /* sqrt(1 - beta2^t) */
    float eps;
    float scale; /* of the gradient */
};

/* torch: p *= 1 - lr*wd; m.lerp_(g, 1 - beta1); v = v*beta2 + (1 - beta2)*g*g;
 * p += step * m / (sqrt(v) / root + eps). */
static void adamw(float *w, const float *g, float *m, float *v, size_t n,
                  const struct adamw *a, int n_threads) {
    const struct adamw c = *a;
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n > CHUNK)
    for (size_t begin = 0; begin < n; begin += CHUNK) {
        size_t end = CR_MIN(begin + CHUNK, n);
#pragma omp simd
        for (size_t i = begin; i < end; i++) {
            float grad = g[i] * c.scale;
            m[i] += c.beta1c * (grad - m[i]);
            v[i] = v[i] * c.beta2 + c.beta2c * grad * grad;
            w[i] = w[i] * c.decay + c.step * (m[i] / (sqrtf(v[i]) / c.root + c.eps));
        }
    }
}

/* ---- Muon ---- */

static void transpose(float *y, const float *x, size_t rows, size_t cols,
                      struct cr_exec *ex) {
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t r0 = 0; r0 < rows; r0 += 32)
        for (size_t c0 = 0; c0 < cols; c0 += 32)
            for (size_t r = r0; r < CR_MIN(r0 + 32, rows); r++)
                for (size_t c = c0; c < CR_MIN(c0 + 32, cols); c++)
                    y[c * rows + r] = x[r * cols + c];
}

/* The row functions at hand, over threads: F32 rows in the type that products take. */
static void round_rows(const struct cr_tensor *to, const float *x, struct cr_exec *ex) {
    size_t rows = to->dim[0], cols = to->dim[1];
    if (to->data == x)
        return;
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t r = 0; r < rows; r++)
        ex->dense->row_to_bf16(CR_F32, x + r * cols, cr_tensor_row(to, r), cols);
}

/* Room for x in the type of products: x itself where that is F32. */
static struct cr_tensor act_room(float *x, size_t rows, size_t cols, struct cr_exec *ex) {
    return ex->act == CR_F32 ? cr_tensor_view2(x, CR_F32, rows, cols)
                             : cr_exec_matrix(ex, ex->act, rows, cols);
}

/* x is (r, c) with r <= c: x = a x + (b A + c A A) x with A = x x^T, five times. A is symmetric, so
 * A A^T is A A; (..) x is the backward product of a linear map with weight x. */
static void newton_schulz_wide(float *x, size_t r, size_t c, struct cr_exec *ex) {
    const float ka = 3.4445f, kb = -4.7750f, kc = 2.0315f;
    size_t mark = cr_arena_mark(&ex->scratch);
    struct cr_tensor a = cr_exec_matrix(ex, CR_F32, r, r);
    struct cr_tensor aa = cr_exec_matrix(ex, CR_F32, r, r);
    struct cr_tensor bx = cr_exec_matrix(ex, CR_F32, r, c);
    struct cr_tensor a_act = act_room(a.data, r, r, ex), x_act = act_room(x, r, c, ex);
    const struct cr_linear by_x = {.w = x_act}, by_a = {.w = a_act}, frozen = {0};
    float *pa = a.data;
    const float *paa = aa.data, *pbx = bx.data;
    float norm = (float)sqrt(sum_of_squares(x, r * c));
    float inverse = 1.0f / CR_MAX(norm, 1e-7f);
#pragma omp simd
    for (size_t i = 0; i < r * c; i++)
        x[i] *= inverse;
    for (int step = 0; step < 5; step++) {
        round_rows(&x_act, x, ex);
        cr_linear_fwd(a, x_act, &by_x, CR_ASSIGN, CR_PREFILL, ex);
        round_rows(&a_act, a.data, ex);
        cr_linear_fwd(aa, a_act, &by_a, CR_ASSIGN, CR_PREFILL, ex);
#pragma omp simd
        for (size_t i = 0; i < r * r; i++)
            pa[i] = kb * pa[i] + kc * paa[i];
        round_rows(&a_act, a.data, ex);
        cr_linear_bwd(bx, &frozen, a_act, x_act, &by_x, CR_ASSIGN, ex);
#pragma omp simd
        for (size_t i = 0; i < r * c; i++)
            x[i] = ka * x[i] + pbx[i];
    }
    cr_arena_release(&ex->scratch, mark);
}

void cr_newton_schulz(float *x, size_t rows, size_t cols, struct cr_exec *ex) {
    if (rows <= cols) {
        newton_schulz_wide(x, rows, cols, ex);
        return;
    }
    size_t mark = cr_arena_mark(&ex->scratch);
    float *t = cr_exec_matrix(ex, CR_F32, cols, rows).data;
    transpose(t, x, rows, cols, ex);
    newton_schulz_wide(t, cols, rows, ex);
    transpose(x, t, cols, rows, ex);
    cr_arena_release(&ex->scratch, mark);
}

/* torch: buf.lerp_(g, 1 - momentum); update = g.lerp(buf, momentum); w *= 1 - lr*wd;
 * w -= lr * 0.2 * sqrt(max(rows, cols)) * orthogonal(update). */
static void muon(struct cr_train_tensor *t, const struct cr_optim_opts *o, double lr,
                 double scale, struct cr_exec *ex) {
    size_t n = elements(t), mark = cr_arena_mark(&ex->scratch);
    float *u = cr_exec_matrix(ex, CR_F32, t->rows, t->cols).data;
    const float momentum = (float)o->momentum, s = (float)scale;
#pragma omp parallel for simd num_threads(ex->n_threads) schedule(static) if (n > CHUNK)
    for (size_t i = 0; i < n; i++) {
        float g = t->g[i] * s;
        t->m[i] += (1.0f - momentum) * (g - t->m[i]);
        u[i] = g + momentum * (t->m[i] - g);
    }
    cr_newton_schulz(u, t->rows, t->cols, ex);
    const float keep = (float)(1 - lr * (t->decay ? o->weight_decay : 0));
    const float step = (float)(lr * 0.2 * sqrt((double)CR_MAX(t->rows, t->cols)));
#pragma omp parallel for simd num_threads(ex->n_threads) schedule(static) if (n > CHUNK)
    for (size_t i = 0; i < n; i++)
        t->w[i] = t->w[i] * keep - step * u[i];
    cr_arena_release(&ex->scratch, mark);
}

/* ---- step ---- */

static void refresh(struct cr_train_tensor *t, struct cr_exec *ex) {
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t r = 0; r < t->rows; r++)
        ex->dense->row_to_bf16(CR_F32, t->w + r * t->cols, t->copy + r * t->cols,
                               t->cols);
}

void cr_optim_refresh(struct cr_train_tensor *tensors, size_t n, struct cr_exec *ex) {
    for (size_t i = 0; i < n; i++)
        if (tensors[i].copy)
            refresh(&tensors[i], ex);
}

void cr_optim_zero_grad(struct cr_train_tensor *tensors, size_t n) {
    for (size_t i = 0; i < n; i++)
        memset(tensors[i].g, 0, elements(&tensors[i]) * sizeof(float));
}

void cr_optim_step(const struct cr_optim_opts *o, struct cr_train_tensor *tensors,
                   size_t n, size_t step, double lr_factor, double grad_scale,
                   struct cr_exec *ex) {
    double t = (double)step + 1;
    struct adamw a = {.beta1c = (float)(1 - o->beta1),
                      .beta2 = (float)o->beta2,
                      .beta2c = (float)(1 - o->beta2),
                      .root = (float)sqrt(1 - pow(o->beta2, t)),
                      .eps = (float)o->eps,
                      .scale = (float)grad_scale};
    for (size_t i = 0; i < n; i++) {
        struct cr_train_tensor *p = &tensors[i];
        double lr = o->lr[p->part] * lr_factor;
        if (cr_optim_is_muon(o, p)) {
            muon(p, o, lr, grad_scale, ex);
            continue;
        }
        if (o->kind == CR_OPTIM_MUON && o->lr_vector > 0 && o->lr[CR_PART_DECODER] > 0)
            lr *= o->lr_vector / o->lr[CR_PART_DECODER];
        a.decay = (float)(1 - lr * (p->decay ? o->weight_decay : 0));
        a.step = (float)(-lr / (1 - pow(o->beta1, t)));
        adamw(p->w, p->g, p->m, p->v, elements(p), &a, ex->n_threads);
    }
    cr_optim_refresh(tensors, n, ex);
}

void cr_optim_average(const struct cr_optim_opts *o, struct cr_train_tensor *tensors,
                      size_t n, size_t step) {
    double early = (1.0 + (double)step) / (10.0 + (double)step);
    const float part = (float)(1 - CR_MIN(o->ema, early));
    for (size_t i = 0; i < n; i++) {
        float *e = tensors[i].e;
        const float *w = tensors[i].w;
        for (size_t k = 0; e && k < elements(&tensors[i]); k++)
            e[k] += part * (w[k] - e[k]);
    }
}
