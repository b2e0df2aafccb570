#include "base/base64.h"

#include <string.h>

#include "base/checked.h"

enum critic_status cr_base64_append(struct cr_buf *out, struct cr_bytes data,
                                    critic_error *err) {
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char block[4 * 256];
    for (size_t at = 0; at < data.len;) {
        size_t n = 0;
        for (; at < data.len && n < sizeof block; at += 3, n += 4) {
            size_t left = CR_MIN(data.len - at, (size_t)3);
            uint32_t bits = (uint32_t)data.data[at] << 16;
            if (left > 1)
                bits |= (uint32_t)data.data[at + 1] << 8;
            if (left > 2)
                bits |= data.data[at + 2];
            block[n] = digits[bits >> 18];
            block[n + 1] = digits[bits >> 12 & 63];
            block[n + 2] = left > 1 ? digits[bits >> 6 & 63] : '=';
            block[n + 3] = left > 2 ? digits[bits & 63] : '=';
        }
        CR_TRY(cr_buf_append(out, block, n, err));
    }
    return CRITIC_OK;
}

const char *cr_media_type(struct cr_bytes data) {
    static const struct {
        const char *type;
        size_t at, len;
        const char *magic;
    } rows[] = {{"image/jpeg", 0, 3, "\xff\xd8\xff"},
                {"image/png", 0, 8, "\x89PNG\r\n\x1a\n"},
                {"image/webp", 8, 4, "WEBP"},
                {"image/gif", 0, 4, "GIF8"}};
    for (size_t i = 0; i < CR_COUNT(rows); i++)
        if (data.len >= rows[i].at + rows[i].len &&
            memcmp(data.data + rows[i].at, rows[i].magic, rows[i].len) == 0)
            return rows[i].type;
    return "application/octet-stream";
}

enum critic_status cr_data_url_append(struct cr_buf *out, struct cr_bytes data,
                                      critic_error *err) {
    CR_TRY(cr_buf_printf(out, err, "data:%s;base64,", cr_media_type(data)));
    return cr_base64_append(out, data, err);
}
