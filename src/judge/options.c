/* Probabilities of every possible verdict at the place where the verdict stands.
 *
 * The trap is tokenisation. A numeral is several tokens, and what follows it may be one token
 * together with it: "]" alone, "].", "]\n". So each label is encoded as the model would write
 * it, prefix + label + suffix + what may follow, and the ids that all share are the lead, which
 * is computed once. Of one label the encodings that end in different tokens are disjoint events,
 * and their probabilities add; an encoding that only goes on from a shorter one is dropped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "judge/run.h"

/* What may follow a verdict, for the sake of the tokens that it would be merged into. */
static const char *const endings[] = {"",  ".", "\n", "\n\n", ".\n",  ".\n\n",
                                      " ", ",", ". ", "**",   ":",    "),",
                                      ";", ")", "/",  " -",   "\r\n", "\t"};

/* ---- alternatives ------------------------------------------------------------------------- */

void cr_alternatives_fini(struct cr_alternatives *a) {
    cr_ids_fini(&a->ids);
    cr_ids_fini(&a->lead);
    free(a->list);
    free(a->label);
    memset(a, 0, sizeof *a);
}

struct span {
    size_t label, from, n;
};

static bool begins_with(const int32_t *ids, size_t n, const int32_t *start,
                        size_t n_start) {
    return n_start <= n && memcmp(ids, start, n_start * sizeof *ids) == 0;
}

/* Encodes prefix + label + suffix + ending and keeps it unless a kept one begins it. An empty
 * ending without a suffix ends the turn instead: the end token stands for it. */
static enum critic_status encode_one(struct cr_alternatives *a,
                                     const struct cr_tokenizer *t, struct cr_buf *text,
                                     const char *ending, struct span *spans,
                                     size_t *n_spans, size_t label, bool ends_turn,
                                     critic_error *err) {
    size_t from = a->ids.len;
    size_t keep = text->len;
    CR_TRY(cr_buf_append_c(text, ending, err));
    CR_TRY(cr_tokenizer_encode(t, cr_buf_str(text), false, &a->ids, err));
    text->len = keep;
    if (ends_turn) {
        int32_t end = cr_tokenizer_find(t, cr_str_of("<|im_end|>"));
        if (end < 0) {
            a->ids.len = from;
            return CRITIC_OK;
        }
        CR_TRY(cr_ids_push(&a->ids, end, err));
    }
    for (size_t i = *n_spans; i > 0 && spans[i - 1].label == label; i--)
        if (begins_with(a->ids.data + from, a->ids.len - from,
                        a->ids.data + spans[i - 1].from, spans[i - 1].n)) {
            a->ids.len = from;
            return CRITIC_OK;
        }
    spans[(*n_spans)++] = (struct span){label, from, a->ids.len - from};
    return CRITIC_OK;
}

static enum critic_status encode_all(struct cr_alternatives *a,
                                     const struct cr_tokenizer *t, struct cr_str prefix,
                                     const struct cr_str *labels, size_t n_labels,
                                     struct cr_str suffix, struct span *spans,
                                     size_t *n_spans, critic_error *err) {
    struct cr_buf text;
    enum critic_status status = CRITIC_OK;
    cr_buf_init(&text, (size_t)1 << 24);
    for (size_t i = 0; i < n_labels && status == CRITIC_OK; i++) {
        cr_buf_clear(&text);
        status = cr_buf_append(&text, prefix.data, prefix.len, err);
        if (status == CRITIC_OK)
            status = cr_buf_append(&text, labels[i].data, labels[i].len, err);
        if (status == CRITIC_OK && suffix.len > 0)
            status = cr_buf_append(&text, suffix.data, suffix.len, err);
        for (size_t k = 0; k < CR_COUNT(endings) && status == CRITIC_OK; k++)
            status = encode_one(a, t, &text, endings[k], spans, n_spans, i,
                                k == 0 && suffix.len == 0, err);
    }
    cr_buf_fini(&text);
    return status;
}

/* Ids that all spans begin with, short of the whole of any. */
static size_t shared_lead(const struct cr_alternatives *a, const struct span *spans,
                          size_t n) {
    size_t lead = n > 0 ? spans[0].n - 1 : 0;
    for (size_t i = 1; i < n; i++) {
        size_t k = 0;
        while (k < lead && k + 1 < spans[i].n &&
               a->ids.data[spans[i].from + k] == a->ids.data[spans[0].from + k])
            k++;
        lead = k;
    }
    return lead;
}

enum critic_status cr_alternatives_make(struct cr_alternatives *a,
                                        const struct cr_tokenizer *tokenizer,
                                        struct cr_str prefix, const struct cr_str *labels,
                                        size_t n_labels, struct cr_str suffix,
                                        critic_error *err) {
    enum critic_status status;
    size_t n_spans = 0;
    size_t n = n_labels * CR_COUNT(endings);
    struct span *spans = calloc(n, sizeof *spans);
    memset(a, 0, sizeof *a);
    cr_ids_init(&a->ids);
    cr_ids_init(&a->lead);
    a->list = calloc(n, sizeof *a->list);
    a->label = calloc(n, sizeof *a->label);
    if (!spans || !a->list || !a->label) {
        status =
            cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu alternatives", n_labels);
        goto fail;
    }
    CR_TRY_GOTO(
        encode_all(a, tokenizer, prefix, labels, n_labels, suffix, spans, &n_spans, err));
    size_t lead = shared_lead(a, spans, n_spans);
    CR_TRY_GOTO(cr_ids_append(&a->lead, a->ids.data, lead, err));
    for (size_t i = 0; i < n_spans; i++) {
        a->list[i].ids = a->ids.data + spans[i].from + lead;
        a->list[i].n = spans[i].n - lead;
        a->label[i] = spans[i].label;
    }
    a->n = n_spans;
    free(spans);
    return CRITIC_OK;
fail:
    free(spans);
    cr_alternatives_fini(a);
    return status;
}

/* ---- labels of a template ------------------------------------------------------------------- */

static enum critic_status score_labels(struct cr_run *run, struct cr_label_set *set,
                                       critic_error *err) {
    const struct cr_scale *scale = &run->scale;
    size_t n = (size_t)floor((scale->max - scale->min) / scale->step + 1e-9) + 1;
    int decimals = 0;
    for (double step = scale->step; decimals < 6 && fabs(step - round(step)) > 1e-9;
         step *= 10)
        decimals++;
    CR_ASSERT(n <= CR_MAX_STEPS + 1);
    set->texts = cr_run_alloc(run, n, sizeof *set->texts, err);
    set->scores = cr_run_alloc(run, n, sizeof *set->scores, err);
    if (!set->texts || !set->scores)
        return CRITIC_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct cr_buf text;
        double score = scale->min + (double)i * scale->step;
        cr_buf_init(&text, 64);
        enum critic_status status = cr_buf_printf(&text, err, "%.*f", decimals, score);
        char *copy = status == CRITIC_OK
                         ? cr_arena_strndup(run->arena, text.data, text.len)
                         : NULL;
        set->texts[i] = (struct cr_str){copy, text.len};
        set->scores[i] = score;
        cr_buf_fini(&text);
        if (!copy)
            return cr_fail(err, CRITIC_NO_MEMORY, "no memory for %zu alternatives", n);
    }
    set->n = n;
    return CRITIC_OK;
}

enum critic_status cr_run_labels(struct cr_run *run, struct cr_label_set *set,
                                 critic_error *err) {
    const struct cr_template *t = run->template;
    memset(set, 0, sizeof *set);
    if (t->mode == CR_MODE_POINTWISE)
        return score_labels(run, set, err);
    set->texts = cr_run_alloc(run, CR_MAX_LABELS, sizeof *set->texts, err);
    if (!set->texts)
        return CRITIC_NO_MEMORY;
    for (size_t i = 0; i < t->n_labels; i++) {
        if (t->labels[i].whole)
            set->whole = &t->labels[i];
        else
            set->texts[set->n++] = t->labels[i].text;
    }
    return CRITIC_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Log-probability of each label after the lead, all its endings together. */
static enum critic_status score_labels_at(struct cr_seq *s, struct cr_alternatives *a,
                                          double *logprob, size_t n_labels,
                                          critic_error *err) {
    CR_TRY(cr_seq_score(s, a->list, a->n, err));
    for (size_t i = 0; i < n_labels; i++) {
        double best = -INFINITY;
        double sum = 0;
        for (size_t k = 0; k < a->n; k++)
            if (a->label[k] == i)
                best = fmax(best, a->list[k].logprob);
        for (size_t k = 0; k < a->n; k++)
            if (a->label[k] == i && isfinite(best))
                sum += exp(a->list[k].logprob - best);
        logprob[i] = best + log(sum);
    }
    return CRITIC_OK;
}

/* The sentence that stands for a tie, from the beginning of the reply. Its last character is
 * taken for the suffix, since it too may be one token with what follows it. */
static enum critic_status score_sentence(struct cr_run *run, const struct cr_seq *s,
                                         struct cr_str text, double *logprob,
                                         critic_error *err) {
    struct cr_alternatives a = {0};
    struct cr_seq *fork = NULL;
    enum critic_status status;
    double lead;
    size_t cut = text.len > 1 && (unsigned char)text.data[text.len - 1] < 0x80 ? 1 : 0;
    struct cr_str body = {text.data, text.len - cut};
    struct cr_str last = {text.data + body.len, cut};
    CR_TRY_GOTO(cr_alternatives_make(&a, cr_engine_tokenizer(run->judge->engine),
                                     cr_str_of(""), &body, 1, last, err));
    CR_TRY_GOTO(cr_seq_fork(&fork, s, err));
    CR_TRY_GOTO(cr_seq_follow(fork, a.lead.data, a.lead.len, &lead, err));
    CR_TRY_GOTO(score_labels_at(fork, &a, logprob, 1, err));
    *logprob += lead;
fail:
    cr_seq_free(fork);
    cr_alternatives_fini(&a);
    return status;
}

static double choice_total(const struct cr_opinion *op, enum cr_choice choice) {
    double sum = 0;
    for (size_t i = 0; i < op->n_options; i++)
        if (strcmp(op->options[i].label, cr_choice_name(choice)) == 0)
            sum += op->options[i].probability;
    return sum;
}

/* Options of a pairwise verdict are first, second and tie whatever the labels are called. */
static void add_choice(struct cr_opinion *op, enum cr_choice choice, double p) {
    const char *name = cr_choice_name(choice);
    for (size_t i = 0; i < op->n_options; i++)
        if (strcmp(op->options[i].label, name) == 0) {
            op->options[i].probability += p;
            return;
        }
    op->options[op->n_options++] = (struct cr_option){name, p, NAN};
}

enum critic_status cr_run_set_options(struct cr_run *run, const struct cr_label_set *set,
                                      const double *logprob, bool with_whole,
                                      struct cr_opinion *op, critic_error *err) {
    const struct cr_template *t = run->template;
    size_t n = set->n + with_whole;
    double best = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        best = fmax(best, logprob[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp(logprob[i] - best);
    op->options = cr_run_alloc(run, n, sizeof *op->options, err);
    if (!op->options)
        return CRITIC_NO_MEMORY;
    op->mass = exp(best) * sum;
    for (size_t i = 0; i < n; i++) {
        double p = exp(logprob[i] - best) / sum;
        if (t->mode == CR_MODE_PAIRWISE)
            add_choice(op, i == set->n ? CR_CHOICE_TIE : t->labels[i].choice, p);
        else
            op->options[op->n_options++] =
                (struct cr_option){set->texts[i].data, p, set->scores[i]};
    }
    op->has_expected = t->mode == CR_MODE_POINTWISE;
    op->expected = 0;
    for (size_t i = 0; i < op->n_options && op->has_expected; i++)
        op->expected += op->options[i].probability * op->options[i].score;
    return CRITIC_OK;
}

/* The most probable option is the verdict; equal probabilities of first and second: tie. */
static enum critic_status decide(struct cr_run *run, struct cr_opinion *op,
                                 critic_error *err) {
    const struct cr_option *best = &op->options[0];
    for (size_t i = 1; i < op->n_options; i++)
        if (op->options[i].probability > best->probability)
            best = &op->options[i];
    op->mode = run->template->mode;
    op->status = CR_VERDICT_OK;
    op->n_scores = op->mode == CR_MODE_POINTWISE ? 1 : 2;
    op->scores = cr_run_alloc(run, 2, sizeof *op->scores, err);
    if (!op->scores)
        return CRITIC_NO_MEMORY;
    op->raw = op->reason = (struct cr_str){"", 0};
    if (op->mode == CR_MODE_POINTWISE) {
        op->score = op->scores[0] = best->score;
        return CRITIC_OK;
    }
    double first = choice_total(op, CR_CHOICE_FIRST);
    double second = choice_total(op, CR_CHOICE_SECOND);
    double tie = choice_total(op, CR_CHOICE_TIE);
    op->choice = first > second && first > tie    ? CR_CHOICE_FIRST
                 : second > first && second > tie ? CR_CHOICE_SECOND
                                                  : CR_CHOICE_TIE;
    op->scores[0] = first + tie / 2;
    op->scores[1] = second + tie / 2;
    return CRITIC_OK;
}

enum critic_status cr_run_options(struct cr_run *run, struct cr_seq *s,
                                  struct cr_opinion *op, critic_error *err) {
    const struct cr_template *t = run->template;
    struct cr_alternatives a = {0};
    struct cr_seq *fork = NULL;
    struct cr_label_set set;
    enum critic_status status;
    double lead = 0;
    CR_TRY(cr_run_labels(run, &set, err));
    double *logprob = cr_run_alloc(run, set.n + 1, sizeof *logprob, err);
    if (!logprob)
        return CRITIC_NO_MEMORY;
    CR_TRY_GOTO(cr_alternatives_make(&a, cr_engine_tokenizer(run->judge->engine),
                                     t->prefix, set.texts, set.n, t->suffix, err));
    CR_TRY_GOTO(cr_seq_fork(&fork, s, err));
    if (set.whole)
        CR_TRY_GOTO(cr_seq_follow(fork, a.lead.data, a.lead.len, &lead, err));
    else if (a.lead.len > 0)
        CR_TRY_GOTO(cr_seq_feed(fork, a.lead.data, a.lead.len, err));
    CR_TRY_GOTO(score_labels_at(fork, &a, logprob, set.n, err));
    for (size_t i = 0; i < set.n; i++)
        logprob[i] += lead;
    if (set.whole)
        CR_TRY_GOTO(score_sentence(run, s, set.whole->text, &logprob[set.n], err));
    CR_TRY_GOTO(cr_run_set_options(run, &set, logprob, set.whole != NULL, op, err));
    CR_TRY_GOTO(decide(run, op, err));
fail:
    cr_seq_free(fork);
    cr_alternatives_fini(&a);
    return status;
}

/* ---- after a generated reply -------------------------------------------------------------- */

/* How many generated ids make exactly the first n_bytes of the text; SIZE_MAX where a token
 * crosses that place. */
static size_t ids_before(const struct cr_tokenizer *t, const struct cr_completion *c,
                         size_t n_bytes) {
    size_t bytes = 0;
    for (size_t i = 0; i < c->ids.len; i++) {
        if (bytes == n_bytes)
            return i;
        if (bytes > n_bytes)
            return SIZE_MAX;
        if (!cr_tokenizer_is_special(t, c->ids.data[i]))
            bytes += cr_tokenizer_bytes(t, c->ids.data[i]).len;
    }
    return SIZE_MAX;
}

/* What the reply wrote around its verdict, which may differ from what the template asks for:
 * "Score: 95" for "Score: [95]". Its own line up to the value, and the suffix where it is there. */
static void shape_of(const struct cr_template *t, struct cr_str text,
                     const struct cr_parsed *parsed, struct cr_str *prefix,
                     struct cr_str *suffix) {
    size_t line = parsed->value_at;
    size_t end = parsed->at + parsed->len;
    while (line > 0 && text.data[line - 1] != '\n')
        line--;
    *prefix = (struct cr_str){text.data + line, parsed->value_at - line};
    bool there =
        end >= parsed->value_at + t->suffix.len &&
        cr_str_eq((struct cr_str){text.data + end - t->suffix.len, t->suffix.len},
                  t->suffix);
    *suffix = there ? t->suffix : (struct cr_str){"", 0};
}

/* The lead of the alternatives is the prefix, byte for byte: only then do the ids behind it
 * stand for label and ending alone. */
static bool lead_is_prefix(const struct cr_tokenizer *t, const struct cr_alternatives *a,
                           struct cr_str prefix) {
    size_t bytes = 0;
    for (size_t i = 0; i < a->lead.len; i++)
        bytes += cr_tokenizer_bytes(t, a->lead.data[i]).len;
    return bytes == prefix.len;
}

/* The sequence as it was after the first n generated ids. The keys and values are there since the
 * reply was written; the last of the ids runs again for its logits. */
static enum critic_status go_back(struct cr_seq **out, const struct cr_seq *prompt,
                                  const struct cr_completion *c, size_t n,
                                  critic_error *err) {
    CR_TRY(cr_seq_fork(out, n == 0 ? prompt : c->seq, err));
    if (n == 0)
        return CRITIC_OK;
    cr_seq_rewind(*out, cr_seq_len(prompt) + n - 1);
    return cr_seq_feed(*out, &c->ids.data[n - 1], 1, err);
}

enum critic_status cr_run_options_at(struct cr_run *run, struct cr_seq *s,
                                     struct cr_completion *c,
                                     const struct cr_parsed *parsed,
                                     struct cr_opinion *op, critic_error *err) {
    const struct cr_template *t = run->template;
    const struct cr_tokenizer *tokenizer = cr_engine_tokenizer(run->judge->engine);
    struct cr_alternatives a = {0};
    struct cr_seq *fork = NULL;
    struct cr_str prefix;
    struct cr_str suffix;
    struct cr_label_set set;
    enum critic_status status;
    size_t n_before = ids_before(tokenizer, c, parsed->value_at);
    if (!t->has_prefix || parsed->format != t->rule.formats[0] || n_before == SIZE_MAX)
        return CRITIC_OK;
    CR_TRY(cr_run_labels(run, &set, err));
    double *logprob = cr_run_alloc(run, set.n, sizeof *logprob, err);
    if (!logprob)
        return CRITIC_NO_MEMORY;
    shape_of(t, cr_buf_str(&c->text), parsed, &prefix, &suffix);
    CR_TRY_GOTO(
        cr_alternatives_make(&a, tokenizer, prefix, set.texts, set.n, suffix, err));
    if (!lead_is_prefix(tokenizer, &a, prefix))
        goto fail;
    CR_TRY_GOTO(go_back(&fork, s, c, n_before, err));
    CR_TRY_GOTO(score_labels_at(fork, &a, logprob, set.n, err));
    CR_TRY_GOTO(cr_run_set_options(run, &set, logprob, false, op, err));
fail:
    cr_seq_free(fork);
    cr_alternatives_fini(&a);
    return status;
}
