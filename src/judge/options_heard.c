/* Probabilities of every possible verdict from what an endpoint tells about its tokens: at each place
 * the token that was written and the most probable others.
 *
 * The reply is followed from the place of its verdict. What another token would have begun there is
 * known only as far as that token goes, so its probability belongs to a verdict where it can be no
 * other one any more: "second" or " sec" to second, "1" on a scale of 1 to 10 to nobody. What was
 * written is followed to its end, "1" and "0" being 10. Where more than OPEN of the probability
 * belongs to nobody, no probabilities are given. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "judge/run.h"

#define OPEN 0.05

struct hearing {
    const struct cr_run *run;
    const struct cr_label_set *set;
    double *p;      /* of each label */
    double open;    /* of beginnings that may become different verdicts */
    char said[256]; /* of the verdict, so far */
    size_t n_said;
};

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Letter case does not matter, as it does not for the parser. */
static bool begins(struct cr_str text, struct cr_str start) {
    for (size_t i = 0; i < start.len; i++)
        if (i >= text.len || lower(text.data[i]) != lower(start.data[i]))
            return false;
    return true;
}

/* Goes the label on with these bytes? "85" is not 8, nor is "8.5". */
static bool goes_on(struct cr_str rest) {
    if (rest.len == 0)
        return false;
    char c = rest.data[0];
    bool decimals =
        c == '.' && rest.len > 1 && rest.data[1] >= '0' && rest.data[1] <= '9';
    return decimals || (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           (unsigned char)c >= 0x80;
}

static bool same_verdict(const struct hearing *h, size_t a, size_t b) {
    return a == b ||
           (h->run->template->mode == CR_MODE_PAIRWISE &&
            h->run->template->labels[a].choice == h->run->template->labels[b].choice);
}

enum { NOBODY = -1, UNDECIDED = -2 };

/* The label that a text begins or is, NOBODY, or UNDECIDED where it may become different verdicts. */
static int label_of(const struct hearing *h, struct cr_str text) {
    int found = NOBODY;
    for (size_t i = 0; i < h->set->n; i++) {
        struct cr_str label = h->set->texts[i];
        bool whole =
            begins(text, label) &&
            !goes_on((struct cr_str){text.data + label.len, text.len - label.len});
        if (!whole && !begins(label, text))
            continue;
        if (found >= 0 && !same_verdict(h, (size_t)found, i))
            return UNDECIDED;
        found = found >= 0 ? found : (int)i;
    }
    return found;
}

/* What is written so far and this token's part of the verdict. */
static struct cr_str with(const struct hearing *h, struct cr_str token, char room[512]) {
    size_t n = CR_MIN(token.len, sizeof h->said);
    memcpy(room, h->said, h->n_said);
    memcpy(room + h->n_said, token.data, n);
    return (struct cr_str){room, h->n_said + n};
}

static void count(struct hearing *h, struct cr_str token, double p) {
    char room[512];
    int label = label_of(h, with(h, token, room));
    if (label >= 0)
        h->p[label] += p;
    else if (label == UNDECIDED)
        h->open += p;
}

/* The token's bytes behind the first `skip`, which are those of what was said there; data NULL where
 * it begins with others. */
static struct cr_str behind(struct cr_str token, struct cr_str said, size_t skip) {
    if (token.len < skip || memcmp(token.data, said.data, skip) != 0)
        return (struct cr_str){NULL, 0};
    return (struct cr_str){token.data + skip, token.len - skip};
}

/* Follows the verdict from the byte `skip` of token `at`; false where it is none of the labels. */
static bool follow(struct hearing *h, const struct cr_reply_tokens *tokens, size_t at,
                   size_t skip) {
    double path = 1;
    for (; at < tokens->n; at++, skip = 0) {
        const struct cr_reply_token *t = &tokens->all[at];
        char room[512];
        for (size_t k = 0; k < t->n_top; k++) {
            struct cr_str other = behind(t->top[k].text, t->said.text, skip);
            if (other.data && !cr_str_eq(t->top[k].text, t->said.text))
                count(h, other, path * exp(t->top[k].logprob));
        }
        struct cr_str said = with(h, behind(t->said.text, t->said.text, skip), room);
        int label = label_of(h, said);
        path *= exp(t->said.logprob);
        if (label >= 0)
            h->p[label] += path;
        if (label != UNDECIDED)
            return label >= 0;
        if (said.len > sizeof h->said)
            return false;
        memcpy(h->said, said.data, said.len);
        h->n_said = said.len;
    }
    for (size_t i = 0; i < h->set->n; i++) /* the reply ends with it: "1" is 1 */
        if (h->set->texts[i].len == h->n_said &&
            begins(h->set->texts[i], (struct cr_str){h->said, h->n_said})) {
            h->p[i] += path;
            return true;
        }
    return false;
}

/* The token that holds byte `place` of the text, and where in it; false where tokens and text do not
 * agree. Blanks may stand in front of the text, and its end token behind. */
static bool find_token(const struct cr_reply_tokens *tokens, struct cr_str text,
                       size_t place, size_t *at, size_t *skip) {
    struct cr_buf all;
    bool ok = true;
    cr_buf_init(&all, (size_t)1 << 28);
    for (size_t i = 0; ok && i < tokens->n; i++)
        ok = cr_buf_append(&all, tokens->all[i].said.text.data,
                           tokens->all[i].said.text.len, NULL) == CRITIC_OK;
    size_t shift = ok ? cr_str_find(cr_buf_str(&all), text) : SIZE_MAX;
    cr_buf_fini(&all);
    if (shift == SIZE_MAX)
        return false;
    size_t left = place + shift;
    for (*at = 0; *at < tokens->n; ++*at) {
        *skip = left;
        if (left < tokens->all[*at].said.text.len)
            return true;
        left -= tokens->all[*at].said.text.len;
    }
    return false;
}

enum critic_status cr_run_options_heard(struct cr_run *run,
                                        const struct cr_reply_tokens *tokens,
                                        struct cr_str text,
                                        const struct cr_parsed *parsed,
                                        struct cr_opinion *op, critic_error *err) {
    const struct cr_template *t = run->template;
    struct cr_label_set set;
    size_t at, skip;
    double sum = 0;
    if (!t->has_prefix || t->mode == CR_MODE_RANKING ||
        parsed->format != t->rule.formats[0] ||
        !find_token(tokens, text, parsed->value_at, &at, &skip))
        return CRITIC_OK;
    CR_TRY(cr_run_labels(run, &set, err));
    double *p = cr_run_alloc(run, set.n + 1, sizeof *p, err);
    if (!p)
        return CRITIC_NO_MEMORY;
    struct hearing h = {.run = run, .set = &set, .p = p};
    if (!follow(&h, tokens, at, skip))
        return CRITIC_OK;
    for (size_t i = 0; i < set.n; i++)
        sum += p[i];
    if (!(sum > 0) || !isfinite(sum) || h.open > OPEN * (sum + h.open))
        return CRITIC_OK;
    for (size_t i = 0; i < set.n; i++)
        p[i] = log(p[i]);
    return cr_run_set_options(run, &set, p, false, op, err);
}
