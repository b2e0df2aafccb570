/* Text to ids. */
#include "base/checked.h"
#include "text/normalize.h"
#include "text/tokenizer_impl.h"

/* One call of cr_tokenizer_encode. */
struct encoder {
    const struct cr_tokenizer *t;
    bool parse_special;
    struct cr_bpe_scratch scratch;
    struct cr_buf normal;
    struct cr_ids *out;
};

static enum critic_status encode_word(void *user, struct cr_str word, critic_error *err) {
    struct encoder *e = user;
    if (e->t->ignore_merges) {
        int32_t id = cr_vocab_find(&e->t->vocab, word, false);
        if (id >= 0)
            return cr_ids_push(e->out, id, err);
    }
    return cr_bpe_word(&e->t->bpe, &e->scratch, word, e->out, err);
}

static enum critic_status encode_plain(struct encoder *e, struct cr_str text,
                                       critic_error *err) {
    return cr_split(&e->t->splitter, text, encode_word, e, err);
}

/* Cuts the tokens of set out of text and gives what lies between to rest. */
static enum critic_status
cut(struct encoder *e, const struct cr_added_set *set, struct cr_str text,
    enum critic_status (*rest)(struct encoder *, struct cr_str, critic_error *),
    critic_error *err) {
    struct cr_added_match found;
    size_t at = 0;
    while (cr_added_next(set, text, at, e->parse_special, &found)) {
        CR_TRY(rest(e, (struct cr_str){text.data + at, found.start - at}, err));
        CR_TRY(cr_ids_push(e->out, found.token->id, err));
        at = found.end;
    }
    return rest(e, (struct cr_str){text.data + at, text.len - at}, err);
}

static enum critic_status encode_piece(struct encoder *e, struct cr_str piece,
                                       critic_error *err) {
    if (e->t->nfc && cr_nfc_needed(piece)) {
        cr_buf_clear(&e->normal);
        CR_TRY(cr_nfc(piece, &e->normal, err));
        piece = cr_buf_str(&e->normal);
    }
    return cut(e, &e->t->normalized, piece, encode_plain, err);
}

enum critic_status cr_tokenizer_encode(const struct cr_tokenizer *t, struct cr_str text,
                                       bool parse_special, struct cr_ids *out,
                                       critic_error *err) {
    if (text.len == 0)
        return CRITIC_OK;
    size_t invalid_at = cr_utf8_invalid_at(text.data, text.len);
    if (invalid_at != SIZE_MAX)
        return cr_fail(err, CRITIC_BAD_DATA, "text is not valid UTF-8 at byte %zu",
                       invalid_at);
    struct encoder e = {.t = t, .parse_special = parse_special, .out = out};
    size_t before = out->len;
    cr_buf_init(&e.normal, SIZE_MAX / 2);
    enum critic_status status = cut(&e, &t->raw, text, encode_piece, err);
    cr_buf_fini(&e.normal);
    cr_bpe_scratch_fini(&e.scratch);
    if (status != CRITIC_OK)
        out->len = before;
    return status;
}
