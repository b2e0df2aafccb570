/* Ids to text. */
#include "base/checked.h"
#include "text/tokenizer_impl.h"

void cr_stream_decoder_init(struct cr_stream_decoder *d, const struct cr_tokenizer *t,
                            bool skip_special) {
    *d = (struct cr_stream_decoder){.tokenizer = t, .skip_special = skip_special};
}

enum sequence { SEQUENCE_WHOLE, SEQUENCE_OPEN, SEQUENCE_BROKEN };

/* What the n > 0 bytes at s are, all but the last of them known to be an open sequence
 * (Unicode 16, table 3-7). */
static enum sequence classify(const unsigned char *s, size_t n) {
    unsigned char lead = s[0];
    if (n == 1) {
        if (lead < 0x80)
            return SEQUENCE_WHOLE;
        return lead >= 0xC2 && lead <= 0xF4 ? SEQUENCE_OPEN : SEQUENCE_BROKEN;
    }
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (n == 2) {
        low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    }
    if (s[n - 1] < low || s[n - 1] > high)
        return SEQUENCE_BROKEN;
    size_t whole = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    return n == whole ? SEQUENCE_WHOLE : SEQUENCE_OPEN;
}

static const char replacement[] = "\xEF\xBF\xBD";

static enum critic_status feed_byte(struct cr_stream_decoder *d, unsigned char byte,
                                    struct cr_buf *out, critic_error *err) {
    d->held[d->n_held++] = byte;
    enum sequence kind = classify(d->held, d->n_held);
    if (kind == SEQUENCE_OPEN)
        return CRITIC_OK;
    size_t n = d->n_held;
    d->n_held = 0;
    if (kind == SEQUENCE_WHOLE)
        return cr_buf_append(out, d->held, n, err);
    CR_TRY(cr_buf_append(out, replacement, 3, err));
    /* The byte that broke a sequence may begin the next one. */
    return n > 1 ? feed_byte(d, byte, out, err) : CRITIC_OK;
}

enum critic_status cr_stream_decoder_feed(struct cr_stream_decoder *d, int32_t id,
                                          struct cr_buf *out, critic_error *err) {
    struct cr_bytes bytes = cr_tokenizer_bytes(d->tokenizer, id);
    if (!bytes.data)
        return cr_fail(err, CRITIC_BAD_DATA,
                       "id %d is no token; the vocabulary has %zu ids", (int)id,
                       cr_tokenizer_size(d->tokenizer));
    if (d->skip_special && cr_tokenizer_is_special(d->tokenizer, id))
        return CRITIC_OK;
    for (size_t i = 0; i < bytes.len;) {
        size_t plain = i;
        while (d->n_held == 0 && plain < bytes.len && bytes.data[plain] < 0x80)
            plain++;
        if (plain > i)
            CR_TRY(cr_buf_append(out, bytes.data + i, plain - i, err));
        i = plain;
        if (i < bytes.len)
            CR_TRY(feed_byte(d, bytes.data[i++], out, err));
    }
    return CRITIC_OK;
}

enum critic_status cr_stream_decoder_finish(struct cr_stream_decoder *d,
                                            struct cr_buf *out, critic_error *err) {
    if (d->n_held == 0)
        return CRITIC_OK;
    d->n_held = 0;
    return cr_buf_append(out, replacement, 3, err);
}

enum critic_status cr_tokenizer_decode(const struct cr_tokenizer *t, const int32_t *ids,
                                       size_t n_ids, bool skip_special,
                                       struct cr_buf *out, critic_error *err) {
    struct cr_stream_decoder d;
    cr_stream_decoder_init(&d, t, skip_special);
    size_t before = out->len;
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < n_ids && status == CRITIC_OK; i++)
        status = cr_stream_decoder_feed(&d, ids[i], out, err);
    if (status == CRITIC_OK)
        status = cr_stream_decoder_finish(&d, out, err);
    if (status != CRITIC_OK) {
        out->len = before;
        if (out->data)
            out->data[before] = '\0';
    }
    return status;
}
