/* Any bytes through the picture decoder, and what decodes through resizing. */
#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct cr_image_limits limits = {.max_bytes = 1 << 20, .max_px = 1 << 18};
    critic_error err;
    struct cr_image image;
    struct cr_image small;
    if (cr_image_decode(&image, (struct cr_bytes){data, size}, &limits, "x", &err) !=
        CRITIC_OK) {
        CR_ASSERT(image.rgb == NULL && err.status != CRITIC_OK && err.message[0] != '\0');
        return 0;
    }
    CR_ASSERT(image.width * image.height <= limits.max_px);
    if (cr_image_resize(&small, &image, 5, 7, CR_BICUBIC, NULL) == CRITIC_OK)
        cr_image_free(&small);
    cr_image_free(&image);
    return 0;
}
