#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/checked.h"

critic_text critic_text_of(const char *terminated) {
    return (critic_text){terminated, terminated ? strlen(terminated) : 0};
}

void critic_free(void *memory) {
    free(memory);
}

void critic_image_limits_default(critic_image_limits *limits) {
    struct cr_image_limits l;
    cr_image_limits_default(&l);
    *limits = (critic_image_limits){l.max_bytes, l.max_px};
}

static struct cr_image_limits limits_of(const critic_image_limits *limits) {
    struct cr_image_limits l;
    cr_image_limits_default(&l);
    if (limits)
        l = (struct cr_image_limits){.max_bytes = limits->max_bytes,
                                     .max_px = limits->max_px};
    return l;
}

/* The handle that takes over *image where status is CRITIC_OK. */
static enum critic_status wrap(critic_image **out, struct cr_image *image,
                               enum critic_status status, critic_error *err) {
    *out = NULL;
    if (status != CRITIC_OK)
        return status;
    *out = malloc(sizeof **out);
    if (!*out) {
        cr_image_free(image);
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture");
    }
    (*out)->image = *image;
    return CRITIC_OK;
}

enum critic_status critic_image_open(critic_image **out, const char *source,
                                     const critic_image_limits *limits,
                                     critic_error *err) {
    const struct cr_image_limits l = limits_of(limits);
    struct cr_image image;
    enum critic_status status = cr_image_load(&image, source, &l, err);
    return wrap(out, &image, status, err);
}

enum critic_status critic_image_decode(critic_image **out, const void *data, size_t len,
                                       const char *name,
                                       const critic_image_limits *limits,
                                       critic_error *err) {
    const struct cr_image_limits l = limits_of(limits);
    struct cr_image image;
    enum critic_status status = cr_image_decode(&image, (struct cr_bytes){data, len}, &l,
                                                name ? name : "picture", err);
    return wrap(out, &image, status, err);
}

enum critic_status critic_image_from_rgb(critic_image **out, const unsigned char *rgb,
                                         size_t width, size_t height, size_t row_bytes,
                                         critic_error *err) {
    const struct cr_image_limits l = limits_of(NULL);
    size_t n_px;
    *out = NULL;
    if (width == 0 || height == 0 || !cr_mul_size(width, height, &n_px) ||
        n_px > l.max_px)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "a picture of %zu x %zu pixels; expected 1 to %zu pixels", width,
                       height, l.max_px);
    if (row_bytes < 3 * width)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "rows of %zu bytes are too short for %zu pixels", row_bytes,
                       width);
    struct cr_image image = {.rgb = malloc(3 * n_px), .width = width, .height = height};
    if (!image.rgb)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for a picture");
    for (size_t y = 0; y < height; y++)
        memcpy(image.rgb + y * 3 * width, rgb + y * row_bytes, 3 * width);
    return wrap(out, &image, CRITIC_OK, err);
}

size_t critic_image_width(const critic_image *image) {
    return image->image.width;
}

size_t critic_image_height(const critic_image *image) {
    return image->image.height;
}

void critic_image_free(critic_image *image) {
    if (!image)
        return;
    cr_image_free(&image->image);
    free(image);
}

struct cr_image *cr_api_images(critic_image *const *images, size_t n) {
    struct cr_image *views = calloc(n + 1, sizeof *views);
    for (size_t i = 0; views && i < n; i++)
        views[i] = images[i]->image;
    return views;
}
