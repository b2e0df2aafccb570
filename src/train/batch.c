#include "train/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/rng.h"

#define ARENA_BYTES ((size_t)1 << 40) /* address space */

enum critic_status cr_pack_batch_init(struct cr_pack_batch *p, critic_error *err) {
    memset(p, 0, sizeof *p);
    return cr_arena_init(&p->arena, ARENA_BYTES, err);
}

void cr_pack_batch_fini(struct cr_pack_batch *p) {
    cr_arena_fini(&p->arena);
    memset(p, 0, sizeof *p);
}

/* One sequence while it is filled. */
struct filling {
    struct cr_pack_batch *p;
    const struct cr_dataset *d;
    const struct cr_pack *pack;
    int32_t *ids, *positions, *targets;
    float *weights;
    size_t n;            /* rows so far */
    size_t next_picture; /* of the pack */
    struct cr_train_picture *pictures;
};

/* Rows of a run of tokens, positions from `position` on; each row predicts the token after it. */
static void fill_run(struct filling *f, struct cr_token_run run, size_t position,
                     float weight) {
    const struct cr_labelled *tokens = &f->d->tokens;
    for (size_t i = run.first; i < run.first + run.n; i++) {
        int32_t id = tokens->ids[i];
        size_t rows = 1;
        if (id == CR_IMAGE_MARK) {
            struct cr_train_picture *picture = &f->pictures[f->next_picture++];
            rows = picture->plan->n_tokens;
            picture->first_row = f->n;
            id = -1;
        }
        for (size_t r = 0; r < rows; r++) {
            f->ids[f->n] = id;
            f->positions[f->n] = (int32_t)position++;
            f->targets[f->n] = -1;
            f->weights[f->n++] = 0;
        }
        if (i + 1 < run.first + run.n && tokens->label[i + 1]) {
            f->targets[f->n - 1] = tokens->ids[i + 1];
            f->weights[f->n - 1] = weight;
        }
    }
}

/* The row before the branches predicts the first token of those that begin with a target, all of
 * them the same one (a newline); another one stays unpredicted. */
static void fill_junction(struct filling *f, size_t row) {
    const struct cr_labelled *tokens = &f->d->tokens;
    for (size_t i = 0; i < f->pack->n_branches; i++) {
        size_t first = f->d->branches[f->pack->first_branch + i].tokens.first;
        if (!tokens->label[first])
            continue;
        if (f->targets[row] < 0)
            f->targets[row] = tokens->ids[first];
        if (f->targets[row] == tokens->ids[first])
            f->weights[row] += 1;
    }
}

static void fill_pack(struct filling *f, struct cr_train_sequence *s,
                      size_t *branch_ends) {
    const struct cr_pack *pack = f->pack;
    fill_run(f, pack->prefix, 0, (float)pack->n_branches);
    size_t n_prefix = f->n;
    for (size_t i = 0; i < pack->n_branches; i++) {
        const struct cr_branch *branch = &f->d->branches[pack->first_branch + i];
        fill_run(f, branch->tokens, n_prefix, 1);
        branch_ends[i] = f->n;
    }
    if (n_prefix > 0)
        fill_junction(f, n_prefix - 1);
    CR_ASSERT(f->n == pack->n_rows && f->next_picture == pack->n_pictures);
    bool branched = pack->n_branches > 1;
    *s = (struct cr_train_sequence){.n_rows = f->n,
                                    .ids = f->ids,
                                    .positions = f->positions,
                                    .targets = f->targets,
                                    .n_prefix = branched ? n_prefix : f->n,
                                    .n_branches = branched ? pack->n_branches : 0,
                                    .branch_ends = branched ? branch_ends : NULL,
                                    .n_pictures = pack->n_pictures,
                                    .pictures = f->pictures};
}

/* Tiles of the pack's pictures, from place `at` of the batch on. */
static enum critic_status load_pictures(struct cr_pack_batch *p,
                                        const struct cr_dataset *d,
                                        const struct cr_pack *pack, size_t at,
                                        critic_error *err) {
    struct cr_anyres_config config;
    cr_picture_anyres(&config, d->config, pack->n_pictures);
    for (size_t i = 0; i < pack->n_pictures; i++) {
        uint32_t index = d->picture_of[pack->first_picture + i];
        const struct cr_image *image = &d->pictures.items[index].image;
        struct cr_tile_plan *plan = &p->plans[at + i];
        size_t len;
        CR_TRY(cr_tile_plan_make(plan, image->width, image->height, &config, err));
        float *pixels = cr_tile_plan_pixels_len(plan, &config, &len)
                            ? cr_arena_alloc(&p->arena, len * sizeof *pixels)
                            : NULL;
        if (!pixels)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a batch's pictures");
        CR_TRY(cr_pictures_tiles(&d->pictures, index, plan, &config, pixels, err));
        p->train_pictures[at + i] =
            (struct cr_train_picture){.pixels = pixels, .plan = plan};
        p->pictures[at + i] = index;
        p->tiles[at + i] = plan->n_tiles;
    }
    return CRITIC_OK;
}

static void *take(struct cr_pack_batch *p, size_t n, size_t size) {
    return cr_arena_alloc(&p->arena, CR_MAX(n * size, 1));
}

enum critic_status cr_pack_batch_build(struct cr_pack_batch *p,
                                       const struct cr_dataset *d, const uint32_t *packs,
                                       size_t n_packs, critic_error *err) {
    size_t n_rows = 0, n_branches = 0, n_pictures = 0;
    for (size_t i = 0; i < n_packs; i++) {
        const struct cr_pack *pack = &d->packs[packs[i]];
        n_rows += pack->n_rows;
        n_branches += pack->n_branches;
        n_pictures += pack->n_pictures;
    }
    cr_arena_release(&p->arena, 0);
    p->sequences = take(p, n_packs, sizeof *p->sequences);
    p->packs = take(p, n_packs, sizeof *p->packs);
    int32_t *ids = take(p, 3 * n_rows, sizeof *ids);
    p->weights = take(p, n_rows, sizeof *p->weights);
    size_t *ends = take(p, n_branches, sizeof *ends);
    p->train_pictures = take(p, n_pictures, sizeof *p->train_pictures);
    p->plans = take(p, n_pictures, sizeof *p->plans);
    p->pictures = take(p, n_pictures, sizeof *p->pictures);
    p->tiles = take(p, n_pictures, sizeof *p->tiles);
    if (!p->sequences || !p->packs || !ids || !p->weights || !ends ||
        !p->train_pictures || !p->plans || !p->pictures || !p->tiles)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a batch");
    p->n_rows = n_rows;
    p->n_packs = n_packs;
    p->n_pictures = n_pictures;
    size_t row = 0, picture = 0;
    for (size_t i = 0; i < n_packs; i++) {
        const struct cr_pack *pack = &d->packs[packs[i]];
        struct filling f = {.p = p,
                            .d = d,
                            .pack = pack,
                            .ids = ids + row,
                            .positions = ids + n_rows + row,
                            .targets = ids + 2 * n_rows + row,
                            .weights = p->weights + row,
                            .pictures = p->train_pictures + picture};
        p->packs[i] = packs[i];
        CR_TRY(load_pictures(p, d, pack, picture, err));
        fill_pack(&f, &p->sequences[i], ends);
        row += pack->n_rows;
        picture += pack->n_pictures;
        ends += pack->n_branches;
    }
    p->batch = (struct cr_train_batch){n_packs, p->sequences};
    p->weight = 0;
    for (size_t r = 0; r < n_rows; r++)
        p->weight += (double)p->weights[r];
    return CRITIC_OK;
}

void cr_pack_batch_coefficients(const struct cr_pack_batch *p, double n, float *dlogp) {
    for (size_t r = 0; r < p->n_rows; r++)
        dlogp[r] = n > 0 ? (float)(-(double)p->weights[r] / n) : 0;
}

double cr_pack_batch_loss(const struct cr_pack_batch *p, const float *logp) {
    double sum = 0;
    for (size_t r = 0; r < p->n_rows; r++)
        if (p->weights[r] > 0)
            sum -= (double)p->weights[r] * (double)logp[r];
    return p->weight > 0 ? sum / p->weight : 0;
}

/* Targets are labelled tokens that another token comes before: all but the first of a sequence. */
static double run_weight(const struct cr_labelled *tokens, struct cr_token_run run) {
    double n = 0;
    for (size_t i = run.first + 1; i < run.first + run.n; i++)
        n += tokens->label[i];
    return n;
}

double cr_pack_weight(const struct cr_dataset *d, size_t i) {
    const struct cr_pack *pack = &d->packs[i];
    double weight = run_weight(&d->tokens, pack->prefix) * (double)pack->n_branches;
    for (size_t b = 0; b < pack->n_branches; b++) {
        const struct cr_token_run run = d->branches[pack->first_branch + b].tokens;
        weight += run_weight(&d->tokens, run);
        if (pack->prefix.n > 0)
            weight += d->tokens.label[run.first];
    }
    return weight;
}

/* ---- splits ---- */

/* Packs of one picture stay together: the picture decides, else the pack. */
static bool held_back(const struct cr_dataset *d, size_t pack, uint64_t seed,
                      double share) {
    const struct cr_pack *p = &d->packs[pack];
    uint64_t what = p->n_pictures > 0 ? d->picture_of[p->first_picture]
                                      : (uint64_t)pack | (uint64_t)1 << 40;
    struct cr_rng rng;
    cr_rng_seed_at(&rng, seed ^ 0x5eed5eed, what);
    return cr_rng_uniform(&rng) < share;
}

enum critic_status cr_packs_split(const struct cr_dataset *d, uint64_t seed, double share,
                                  uint32_t *packs[2], size_t n_packs[2],
                                  critic_error *err) {
    for (int i = 0; i < 2; i++) {
        packs[i] = malloc(CR_MAX(d->n_packs, 1) * sizeof *packs[i]);
        if (!packs[i])
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a split");
    }
    for (size_t p = 0; p < d->n_packs; p++) {
        int side = held_back(d, p, seed, share);
        packs[side][n_packs[side]++] = (uint32_t)p;
    }
    return CRITIC_OK;
}

/* ---- memory ---- */

static int descending(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

struct cr_train_sizes cr_pack_worst(const struct cr_dataset *d, size_t n) {
    struct cr_train_sizes sizes = {0};
    size_t *rows = malloc(d->n_packs * sizeof *rows);
    size_t most_branches = 0, most_tiles = 0;
    for (size_t p = 0; p < d->n_packs; p++) {
        const struct cr_pack *pack = &d->packs[p];
        struct cr_anyres_config config;
        size_t tiles = 0;
        cr_picture_anyres(&config, d->config, pack->n_pictures);
        for (size_t i = 0; i < pack->n_pictures; i++) {
            const struct cr_image *image =
                &d->pictures.items[d->picture_of[pack->first_picture + i]].image;
            struct cr_tile_plan plan;
            if (cr_tile_plan_make(&plan, image->width, image->height, &config, NULL) ==
                CRITIC_OK)
                tiles += plan.n_tiles;
        }
        most_tiles = CR_MAX(most_tiles, tiles);
        most_branches = CR_MAX(most_branches, pack->n_branches);
        sizes.longest = CR_MAX(sizes.longest, pack->n_rows);
        if (rows)
            rows[p] = pack->n_rows;
    }
    if (rows)
        qsort(rows, d->n_packs, sizeof *rows, descending);
    for (size_t p = 0; p < n; p++)
        sizes.n_rows += rows && p < d->n_packs ? rows[p] : sizes.longest;
    sizes.n_targets = sizes.n_rows;
    sizes.n_tiles = n * most_tiles;
    sizes.n_sequences = n * (1 + most_branches);
    free(rows);
    return sizes;
}
