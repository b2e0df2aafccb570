/* Any text as a data: URL. */
#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cr_buf out;
    critic_error err;
    cr_buf_init(&out, 1 << 16);
    enum critic_status status =
        cr_data_url_decode(&out, (struct cr_str){(const char *)data, size}, &err);
    CR_ASSERT(status != CRITIC_OK || out.len <= size);
    CR_ASSERT(status == CRITIC_OK || err.message[0] != '\0');
    cr_buf_fini(&out);
    return 0;
}
