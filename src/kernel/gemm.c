#include "kernel/gemm.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include <dnnl.h>

#include "base/checked.h"

/* Shapes kept ready: a tower and a decoder use about a dozen for each number of rows. */
#define CACHE_LEN 96
/* Rows of x that one primitive takes. Measured on 2 Zen 4 cores at 2929 rows: 512 is 5 to 12 %
 * faster than all rows at once in f32 and bf16, and a new number of rows costs one new
 * primitive only, for the rest. */
#define CHUNK_ROWS 512u

/* What differs between the two generations of the interface. */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t desc;
typedef const_dnnl_memory_desc_t desc_ref;
#define DESC_REF(d) (d)

static dnnl_status_t desc_new(desc *d, int n_dim, const dnnl_dim_t *dim,
                              dnnl_data_type_t type, const dnnl_dim_t *strides) {
    return dnnl_memory_desc_create_with_strides(d, n_dim, dim, type, strides);
}

static void desc_free(desc *d) {
    if (*d)
        dnnl_memory_desc_destroy(*d);
}

static dnnl_status_t append_sum(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
}

static dnnl_status_t matmul_desc_new(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                     desc_ref x, desc_ref w, desc_ref bias, desc_ref y,
                                     const_dnnl_primitive_attr_t attr) {
    return dnnl_matmul_primitive_desc_create(pd, engine, x, w, bias, y, attr);
}
#else
typedef dnnl_memory_desc_t desc;
typedef const dnnl_memory_desc_t *desc_ref;
#define DESC_REF(d) (&(d))

static dnnl_status_t desc_new(desc *d, int n_dim, const dnnl_dim_t *dim,
                              dnnl_data_type_t type, const dnnl_dim_t *strides) {
    return dnnl_memory_desc_init_by_strides(d, n_dim, dim, type, strides);
}

static void desc_free(desc *d) {
    (void)d;
}

static dnnl_status_t append_sum(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1.0f);
}

static dnnl_status_t matmul_desc_new(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                     desc_ref x, desc_ref w, desc_ref bias, desc_ref y,
                                     const_dnnl_primitive_attr_t attr) {
    dnnl_matmul_desc_t op;
    dnnl_status_t status = dnnl_matmul_desc_init(&op, x, w, bias, y);
    if (status != dnnl_success)
        return status;
    return dnnl_primitive_desc_create(pd, &op, attr, engine, NULL);
}
#endif

/* The memory objects carry no data of their own: handles are set for each run. */
struct entry {
    struct cr_gemm_shape shape;
    uint64_t used; /* cr_gemm.clock at the last use; 0: empty */
    dnnl_primitive_desc_t primitive_desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t x, w, bias, y, scratch;
    size_t scratch_bytes;
};

struct cr_gemm {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int n_threads;
    bool multiplies_bf16;
    uint64_t clock;
    struct entry cache[CACHE_LEN];
};

/* oneDNN takes its thread count from OpenMP's setting of the calling thread, both when a
 * primitive is made and when it runs. */
static int threads_push(const struct cr_gemm *g) {
    int host = omp_get_max_threads();
    omp_set_num_threads(g->n_threads);
    return host;
}

static void threads_pop(int host) {
    omp_set_num_threads(host);
}

static bool onednn_has_bf16(void) {
    /* Values are sets of bits: each ISA contains those below it. */
    int need = (int)dnnl_cpu_isa_avx512_core_bf16;
    int have = (int)dnnl_get_effective_cpu_isa();
    return (have & need) == need;
}

bool cr_gemm_serves(enum cr_isa isa) {
    return isa == CR_ISA_AVX512;
}

enum critic_status cr_gemm_new(struct cr_gemm **out, int n_threads, critic_error *err) {
    *out = NULL;
    struct cr_gemm *g = calloc(1, sizeof *g);
    if (!g)
        return cr_fail(err, CRITIC_NO_MEMORY, "cannot allocate a product cache");
    g->n_threads = n_threads;
    g->multiplies_bf16 = onednn_has_bf16();
    if (dnnl_engine_create(&g->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&g->stream, g->engine, dnnl_stream_default_flags) !=
            dnnl_success) {
        cr_gemm_free(g);
        return cr_fail(err, CRITIC_DEVICE, "oneDNN cannot create a CPU engine");
    }
    *out = g;
    return CRITIC_OK;
}

static void entry_clear(struct entry *e) {
    dnnl_memory_t memory[] = {e->x, e->w, e->bias, e->y, e->scratch};
    for (size_t i = 0; i < CR_COUNT(memory); i++)
        if (memory[i])
            dnnl_memory_destroy(memory[i]);
    if (e->primitive)
        dnnl_primitive_destroy(e->primitive);
    if (e->primitive_desc)
        dnnl_primitive_desc_destroy(e->primitive_desc);
    memset(e, 0, sizeof *e);
}

void cr_gemm_free(struct cr_gemm *g) {
    if (!g)
        return;
    for (size_t i = 0; i < CACHE_LEN; i++)
        entry_clear(&g->cache[i]);
    if (g->stream)
        dnnl_stream_destroy(g->stream);
    if (g->engine)
        dnnl_engine_destroy(g->engine);
    free(g);
}

bool cr_gemm_multiplies_bf16(const struct cr_gemm *g) {
    return g->multiplies_bf16;
}

static dnnl_data_type_t type_of(enum cr_dtype dtype) {
    CR_ASSERT(dtype == CR_F32 || dtype == CR_BF16);
    return dtype == CR_F32 ? dnnl_f32 : dnnl_bf16;
}

static desc matrix_desc(size_t rows, size_t cols, enum cr_dtype dtype, size_t row_stride,
                        size_t col_stride) {
    desc d;
    dnnl_dim_t dim[DNNL_MAX_NDIMS] = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    dnnl_dim_t strides[DNNL_MAX_NDIMS] = {(dnnl_dim_t)row_stride, (dnnl_dim_t)col_stride};
    CR_ASSERT(desc_new(&d, 2, dim, type_of(dtype), strides) == dnnl_success);
    return d;
}

static dnnl_primitive_attr_t attributes(const struct cr_gemm_shape *s) {
    dnnl_primitive_attr_t attr;
    CR_ASSERT(dnnl_primitive_attr_create(&attr) == dnnl_success);
    CR_ASSERT(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) ==
              dnnl_success);
    if (s->add) {
        dnnl_post_ops_t ops;
        CR_ASSERT(dnnl_post_ops_create(&ops) == dnnl_success);
        CR_ASSERT(append_sum(ops) == dnnl_success);
        CR_ASSERT(dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success);
        dnnl_post_ops_destroy(ops);
    }
    return attr;
}

static dnnl_memory_t memory_new(const struct cr_gemm *g, desc_ref d) {
    dnnl_memory_t memory;
    CR_ASSERT(dnnl_memory_create(&memory, d, g->engine, DNNL_MEMORY_NONE) ==
              dnnl_success);
    return memory;
}

/* A failure here is a wrong shape, or memory gone in the midst of a pass: both asserted. */
static void entry_fill(const struct cr_gemm *g, struct entry *e,
                       const struct cr_gemm_shape *s) {
    const char *impl;
    desc x = s->x_by_k ? matrix_desc(s->m, s->k, s->in, 1, s->m)
                       : matrix_desc(s->m, s->k, s->in, s->k, 1);
    desc w = s->w_by_k ? matrix_desc(s->k, s->n, s->in, s->n, 1)
                       : matrix_desc(s->k, s->n, s->in, 1, s->k);
    desc bias = matrix_desc(1, s->n, CR_F32, s->n, 1);
    desc y = matrix_desc(s->m, s->n, s->out, s->n, 1);
    dnnl_primitive_attr_t attr = attributes(s);
    CR_ASSERT(matmul_desc_new(&e->primitive_desc, g->engine, DESC_REF(x), DESC_REF(w),
                              s->bias ? DESC_REF(bias) : NULL, DESC_REF(y),
                              attr) == dnnl_success);
    CR_ASSERT(dnnl_primitive_create(&e->primitive, e->primitive_desc) == dnnl_success);
    CR_ASSERT(dnnl_primitive_desc_query(e->primitive_desc, dnnl_query_impl_info_str, 0,
                                        (void *)&impl) == dnnl_success);
    CR_ASSERT(!strstr(impl, "ref"));
    desc_ref scratch =
        dnnl_primitive_desc_query_md(e->primitive_desc, dnnl_query_scratchpad_md, 0);
    e->scratch_bytes = dnnl_memory_desc_get_size(scratch);
    e->shape = *s;
    e->x = memory_new(g, DESC_REF(x));
    e->w = memory_new(g, DESC_REF(w));
    e->bias = memory_new(g, DESC_REF(bias));
    e->y = memory_new(g, DESC_REF(y));
    e->scratch = memory_new(g, scratch);
    dnnl_primitive_attr_destroy(attr);
    desc_free(&x);
    desc_free(&w);
    desc_free(&bias);
    desc_free(&y);
}

static bool same_shape(const struct cr_gemm_shape *a, const struct cr_gemm_shape *b) {
    return a->m == b->m && a->n == b->n && a->k == b->k && a->in == b->in &&
           a->out == b->out && a->bias == b->bias && a->add == b->add &&
           a->x_by_k == b->x_by_k && a->w_by_k == b->w_by_k;
}

/* The entry for a shape; the one not used for longest makes room. */
static struct entry *entry_get(struct cr_gemm *g, const struct cr_gemm_shape *s) {
    struct entry *oldest = &g->cache[0];
    for (size_t i = 0; i < CACHE_LEN; i++) {
        struct entry *e = &g->cache[i];
        if (e->used && same_shape(&e->shape, s)) {
            e->used = ++g->clock;
            return e;
        }
        if (e->used < oldest->used)
            oldest = e;
    }
    entry_clear(oldest);
    entry_fill(g, oldest, s);
    oldest->used = ++g->clock;
    return oldest;
}

/* oneDNN's handles are not const; what is read is not written through them. */
static void set_data(dnnl_memory_t memory, const void *data) {
    union {
        const void *in;
        void *out;
    } handle = {.in = data};
    CR_ASSERT(dnnl_memory_set_data_handle(memory, handle.out) == dnnl_success);
}

static void run_chunk(struct cr_gemm *g, const struct cr_gemm_shape *shape, const void *x,
                      const void *w, const float *bias, void *y,
                      struct cr_arena *scratch) {
    struct entry *e = entry_get(g, shape);
    size_t mark = cr_arena_mark(scratch);
    void *work = e->scratch_bytes ? cr_arena_alloc(scratch, e->scratch_bytes) : NULL;
    CR_ASSERT(work || e->scratch_bytes == 0);
    set_data(e->x, x);
    set_data(e->w, w);
    set_data(e->bias, bias);
    set_data(e->y, y);
    set_data(e->scratch, work);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, e->x},
                              {DNNL_ARG_WEIGHTS, e->w},
                              {DNNL_ARG_DST, e->y},
                              {DNNL_ARG_SCRATCHPAD, e->scratch},
                              {DNNL_ARG_BIAS, e->bias}};
    int n_args = (int)CR_COUNT(args) - (shape->bias ? 0 : 1);
    CR_ASSERT(dnnl_primitive_execute(e->primitive, g->stream, n_args, args) ==
              dnnl_success);
    CR_ASSERT(dnnl_stream_wait(g->stream) == dnnl_success);
    cr_arena_release(scratch, mark);
}

/* Rows of a primitive; x the other way round goes whole, since a part would have a stride. */
static size_t chunk_rows(const struct cr_gemm_shape *s) {
    return s->x_by_k ? s->m : CR_MIN(CHUNK_ROWS, s->m);
}

void cr_gemm_run(struct cr_gemm *g, const struct cr_gemm_shape *shape, const void *x,
                 const void *w, const float *bias, void *y, struct cr_arena *scratch) {
    size_t x_row = shape->k * cr_dtype_block_bytes(shape->in);
    size_t y_row = shape->n * cr_dtype_block_bytes(shape->out);
    size_t rows = chunk_rows(shape);
    int host_threads = threads_push(g);
    for (size_t first = 0; first < shape->m; first += rows) {
        struct cr_gemm_shape chunk = *shape;
        chunk.m = CR_MIN(rows, shape->m - first);
        run_chunk(g, &chunk, (const char *)x + first * x_row, w, bias,
                  (char *)y + first * y_row, scratch);
    }
    threads_pop(host_threads);
}
