#include "text/normalize.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "base/checked.h"
#include "text/unicode_tables.h"

/* U+1D160 and its like become three; utf8proc needs room for the longest there is. */
enum { MAX_DECOMPOSED = 32 };

/* Code points that Unicode composed after the reference's version. utf8proc 2.8 knows the
 * first, later ones all of them; the reference leaves all of them alone. */
static bool composed_later(uint32_t c) {
    static const struct {
        uint32_t first;
        uint32_t last;
    } spans[] = {
        {0x105C9, 0x105C9}, {0x105E4, 0x105E4}, {0x11383, 0x11385}, {0x1138E, 0x11391},
        {0x113C5, 0x113C8}, {0x11938, 0x11938}, {0x16121, 0x16128}, {0x16D68, 0x16D6A},
    };
    for (size_t i = 0; i < CR_COUNT(spans); i++)
        if (c >= spans[i].first && c <= spans[i].last)
            return true;
    return false;
}

/* a followed by b as one code point, 0 where there is none. */
static uint32_t compose(uint32_t a, uint32_t b) {
    utf8proc_int32_t pair[3] = {(utf8proc_int32_t)a, (utf8proc_int32_t)b, 0};
    utf8proc_ssize_t n =
        utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (n != 1 || composed_later((uint32_t)pair[0]))
        return 0;
    return (uint32_t)pair[0];
}

/* Code points that wait for a starter. */
struct marks {
    uint64_t *data;
    size_t len;
    size_t cap;
};

static enum critic_status push_mark(struct marks *m, uint64_t value, critic_error *err) {
    if (m->len == m->cap) {
        size_t cap = CR_MAX(m->cap * 2, 64);
        uint64_t *data = realloc(m->data, cap * sizeof *data);
        if (!data)
            return cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu marks", cap);
        m->data = data;
        m->cap = cap;
    }
    m->data[m->len++] = value;
    return CRITIC_OK;
}

/* A starter that may still compose, the marks after it that did not, and the marks that
 * are not in canonical order yet. */
struct composer {
    struct cr_buf *out;
    uint32_t starter;
    bool has_starter;
    unsigned last_class;
    struct marks kept;
    struct marks unordered; /* class << 56 | arrival << 24 | code point */
};

static int compare_marks(const void *a, const void *b) {
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static enum critic_status emit(struct cr_buf *out, uint32_t c, critic_error *err) {
    char utf8[4];
    size_t n = cr_utf8_encode(c, utf8);
    return cr_buf_append(out, utf8, n, err);
}

/* Puts the waiting marks in order and offers each to the starter. */
static enum critic_status settle_marks(struct composer *s, critic_error *err) {
    /* The arrival number makes keys distinct, so any sort is a stable one. */
    if (s->unordered.len > 1)
        qsort(s->unordered.data, s->unordered.len, sizeof *s->unordered.data,
              compare_marks);
    for (size_t i = 0; i < s->unordered.len; i++) {
        unsigned mark_class = (unsigned)(s->unordered.data[i] >> 56);
        uint32_t c = (uint32_t)(s->unordered.data[i] & 0xFFFFFF);
        bool blocked = s->kept.len > 0 && s->last_class >= mark_class;
        uint32_t joined = s->has_starter && !blocked ? compose(s->starter, c) : 0;
        if (joined) {
            s->starter = joined;
            continue;
        }
        CR_TRY(push_mark(&s->kept, c, err));
        s->last_class = mark_class;
    }
    s->unordered.len = 0;
    return CRITIC_OK;
}

/* Writes what can no longer change. */
static enum critic_status flush(struct composer *s, critic_error *err) {
    if (s->has_starter)
        CR_TRY(emit(s->out, s->starter, err));
    for (size_t i = 0; i < s->kept.len; i++)
        CR_TRY(emit(s->out, (uint32_t)s->kept.data[i], err));
    s->kept.len = 0;
    s->has_starter = false;
    return CRITIC_OK;
}

static enum critic_status take(struct composer *s, uint32_t c, critic_error *err) {
    unsigned mark_class = cr_combining_class(c);
    if (mark_class != 0) {
        uint64_t arrival = (uint64_t)s->unordered.len << 24;
        return push_mark(&s->unordered, (uint64_t)mark_class << 56 | arrival | c, err);
    }
    CR_TRY(settle_marks(s, err));
    if (s->has_starter && s->kept.len == 0 && cr_nfc_unstable(c)) {
        uint32_t joined = compose(s->starter, c);
        if (joined) {
            s->starter = joined;
            return CRITIC_OK;
        }
    }
    CR_TRY(flush(s, err));
    s->starter = c;
    s->has_starter = true;
    return CRITIC_OK;
}

static enum critic_status normalize(struct composer *s, struct cr_str text,
                                    critic_error *err) {
    for (size_t i = 0; i < text.len;) {
        uint32_t c;
        i += cr_utf8_decode(text.data + i, text.len - i, &c);
        if (c < 0xC0 || composed_later(c)) {
            CR_TRY(take(s, c, err));
            continue;
        }
        utf8proc_int32_t parts[MAX_DECOMPOSED];
        utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)c, parts, MAX_DECOMPOSED,
                                    UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, NULL);
        CR_ASSERT(n > 0 && n <= MAX_DECOMPOSED);
        for (utf8proc_ssize_t k = 0; k < n; k++)
            CR_TRY(take(s, (uint32_t)parts[k], err));
    }
    CR_TRY(settle_marks(s, err));
    return flush(s, err);
}

bool cr_nfc_needed(struct cr_str text) {
    for (size_t i = 0; i < text.len;) {
        /* Below U+0300 (lead byte 0xCC) everything is stable. */
        unsigned char lead = (unsigned char)text.data[i];
        if (lead < 0xCC) {
            i += lead < 0x80 ? 1 : 2;
            continue;
        }
        uint32_t c;
        i += cr_utf8_decode(text.data + i, text.len - i, &c);
        if (cr_nfc_unstable(c))
            return true;
    }
    return false;
}

enum critic_status cr_nfc(struct cr_str text, struct cr_buf *out, critic_error *err) {
    struct composer s = {.out = out};
    enum critic_status status = normalize(&s, text, err);
    free(s.kept.data);
    free(s.unordered.data);
    return status;
}
