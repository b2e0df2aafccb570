#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "image/anyres.h"
#include "kernel/quant.h"
#include "kernel/row.h"
#include "model/block.h"
#include "op/columns.h"

/* Row (y, x) of the tiles' joined map: which feature row it is. Tile 0 is the global view. */
static float *map_row(struct cr_tensor x, const struct cr_tile_plan *plan, size_t row,
                      size_t col) {
    size_t p = plan->patches_per_side;
    size_t tile = 1 + (row / p) * plan->grid_w + col / p;
    return cr_tensor_row(&x, tile * p * p + (row % p) * p + col % p);
}

/* Where output position i of a bilinear resize looks: two neighbours and the weight of the second.
 * torch.nn.functional.interpolate, align_corners=False: f32 arithmetic. */
struct tap {
    size_t low, high;
    float weight;
};

static struct tap tap_at(size_t i, size_t in, size_t out) {
    float scale = (float)in / (float)out;
    float source = fmaxf(0.0f, scale * ((float)i + 0.5f) - 0.5f);
    size_t low = CR_MIN((size_t)source, in - 1);
    return (struct tap){low, CR_MIN(low + 1, in - 1), source - (float)low};
}

static void mix(float *y, const float *a, const float *b, const float *c, const float *d,
                float right, float down, size_t n) {
    float left = 1.0f - right, up = 1.0f - down;
    for (size_t i = 0; i < n; i++)
        y[i] = up * (left * a[i] + right * b[i]) + down * (left * c[i] + right * d[i]);
}

/* Row `row` of the packed map: out_w feature rows, then the newline. */
static void pack_map_row(struct cr_tensor y, struct cr_tensor x, const float *newline,
                         const struct cr_tile_plan *plan, size_t row) {
    size_t width = x.dim[1];
    size_t top = plan->map_top, left = plan->map_left;
    for (size_t col = 0; col < plan->out_w; col++) {
        float *to = cr_tensor_row(&y, row * (plan->out_w + 1) + col);
        if (!plan->shrink) {
            memcpy(to, map_row(x, plan, top + row, left + col), width * sizeof *to);
            continue;
        }
        struct tap v = tap_at(row, plan->map_h, plan->out_h);
        struct tap h = tap_at(col, plan->map_w, plan->out_w);
        mix(to, map_row(x, plan, top + v.low, left + h.low),
            map_row(x, plan, top + v.low, left + h.high),
            map_row(x, plan, top + v.high, left + h.low),
            map_row(x, plan, top + v.high, left + h.high), h.weight, v.weight, width);
    }
    memcpy(cr_tensor_row(&y, row * (plan->out_w + 1) + plan->out_w), newline,
           width * sizeof *newline);
}

void cr_pack_fwd(struct cr_tensor y, struct cr_tensor x, struct cr_tensor newline,
                 const struct cr_tile_plan *plan, struct cr_exec *ex) {
    size_t width = x.dim[1];
    size_t n_base = plan->patches_per_side * plan->patches_per_side;
    CR_ASSERT(y.dtype == CR_F32 && x.dtype == CR_F32 && y.dim[0] == plan->n_tokens);
    CR_ASSERT(x.dim[0] == plan->n_tiles * n_base && newline.dim[0] == width);
    size_t mark = cr_arena_mark(&ex->scratch);
    float *line = cr_exec_matrix(ex, CR_F32, 1, width).data;
    cr_row_to_f32(newline.dtype, newline.data, line, width);
    for (size_t t = 0; t < n_base; t++)
        memcpy(cr_tensor_row(&y, t), cr_tensor_row(&x, t), width * sizeof *line);
    struct cr_tensor rest = cr_tensor_slice(&y, n_base, plan->n_tokens - n_base);
    if (plan->aspect == CR_ASPECT_ANYRES) {
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
        for (size_t row = 0; row < plan->out_h; row++)
            pack_map_row(rest, x, line, plan, row);
    } else {
        memcpy(rest.data, line, width * sizeof *line);
    }
    cr_arena_release(&ex->scratch, mark);
}

/* Columns [c, c + n) of one packed map row back to the rows it was mixed from. */
static void unpack_map_row(struct cr_tensor dx, struct cr_tensor dy,
                           const struct cr_tile_plan *plan, size_t row, size_t c,
                           size_t n) {
    size_t top = plan->map_top, left = plan->map_left;
    struct tap v = {row, row, 0.0f}, h;
    if (plan->shrink)
        v = tap_at(row, plan->map_h, plan->out_h);
    for (size_t col = 0; col < plan->out_w; col++) {
        const float *from =
            (float *)cr_tensor_row(&dy, row * (plan->out_w + 1) + col) + c;
        h = plan->shrink ? tap_at(col, plan->map_w, plan->out_w)
                         : (struct tap){col, col, 0.0f};
        for (int corner = 0; corner < 4; corner++) {
            float weight = (corner & 2 ? v.weight : 1.0f - v.weight) *
                           (corner & 1 ? h.weight : 1.0f - h.weight);
            if (weight == 0.0f)
                continue;
            float *to = map_row(dx, plan, top + (corner & 2 ? v.high : v.low),
                                left + (corner & 1 ? h.high : h.low));
            for (size_t i = 0; i < n; i++)
                to[c + i] += weight * from[i];
        }
    }
}

void cr_pack_bwd(struct cr_tensor dx, struct cr_tensor dnewline, struct cr_tensor dy,
                 const struct cr_tile_plan *plan, struct cr_exec *ex) {
    size_t width = dx.dim[1];
    size_t n_base = plan->patches_per_side * plan->patches_per_side;
    CR_ASSERT(dy.dtype == CR_F32 && dx.dtype == CR_F32 && dy.dim[0] == plan->n_tokens);
    CR_ASSERT(dx.dim[0] == plan->n_tiles * n_base && dy.dim[1] == width);
    bool anyres = plan->aspect == CR_ASPECT_ANYRES;
    size_t n_rows = anyres ? plan->out_h : 0;
    struct cr_tensor rest = cr_tensor_slice(&dy, n_base, plan->n_tokens - n_base);
#pragma omp parallel for num_threads(ex->n_threads) schedule(static)
    for (size_t c = 0; c < width; c += CR_COLUMNS) {
        size_t n = CR_MIN(CR_COLUMNS, width - c), bytes = n * sizeof(float);
        for (size_t t = 0; t < n_base; t++)
            memcpy((float *)cr_tensor_row(&dx, t) + c, (float *)cr_tensor_row(&dy, t) + c,
                   bytes);
        for (size_t t = n_base; t < dx.dim[0]; t++)
            memset((float *)cr_tensor_row(&dx, t) + c, 0, bytes);
        for (size_t row = 0; row < n_rows; row++)
            unpack_map_row(dx, rest, plan, row, c, n);
        for (size_t i = 0; dnewline.data && i < (anyres ? n_rows : 1); i++)
            ex->row->add((float *)dnewline.data + c,
                         (float *)cr_tensor_row(
                             &rest, anyres ? i * (plan->out_w + 1) + plan->out_w : 0) +
                             c,
                         n);
    }
}
