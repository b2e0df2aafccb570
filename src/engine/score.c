/* Scoring alternatives: a trie over their ids, walked level by level. Every node of a level is a
 * fork of the sequence, and the level runs as one pass. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "engine/internal.h"

/* A node whose probability is below this is not followed: what lies under it keeps the node's own
 * log-probability, an upper bound, so no alternative is off by more than this much mass. */
#define LEAST_LOGPROB (-18.0)
/* Nodes a pass: bounds the pages that forks take. */
#define NODES_A_PASS 64

struct node {
    struct cr_seq *seq;
    size_t first, n; /* alternatives in sorted order that pass through here */
    double logprob;
};

static int by_ids(const void *a, const void *b) {
    const struct cr_alternative *x = *(struct cr_alternative *const *)a;
    const struct cr_alternative *y = *(struct cr_alternative *const *)b;
    for (size_t i = 0; i < CR_MIN(x->n, y->n); i++)
        if (x->ids[i] != y->ids[i])
            return x->ids[i] < y->ids[i] ? -1 : 1;
    return (x->n > y->n) - (x->n < y->n);
}

struct walk {
    struct cr_engine *engine;
    struct cr_alternative **sorted;
    struct node *level, *next; /* room for one node an alternative */
    size_t n_level, n_next;
    size_t depth;
    float *logits; /* (NODES_A_PASS, V) */
};

/* Gives the alternatives that end below the node their log-probability and makes a node of every
 * token that some of them continue with. */
static enum critic_status expand(struct walk *w, const struct node *node,
                                 const float *logits, int32_t *tokens,
                                 critic_error *err) {
    size_t n_valid = w->engine->n_valid_ids;
    double total = cr_log_sum_exp(logits, n_valid);
    for (size_t i = node->first; i < node->first + node->n;) {
        struct cr_alternative *a = w->sorted[i];
        if (a->n <= w->depth) { /* ends at this node */
            a->logprob = node->logprob;
            i++;
            continue;
        }
        int32_t token = a->ids[w->depth];
        size_t end = i;
        bool goes_on = false;
        while (end < node->first + node->n && w->sorted[end]->ids[w->depth] == token) {
            goes_on |= w->sorted[end]->n > w->depth + 1;
            end++;
        }
        double logprob = node->logprob + (double)logits[token] - total;
        for (size_t j = i; j < end; j++)
            w->sorted[j]->logprob = logprob;
        if (goes_on && logprob > LEAST_LOGPROB) {
            struct node *child = &w->next[w->n_next];
            *child = (struct node){NULL, i, end - i, logprob};
            CR_TRY(cr_seq_fork(&child->seq, node->seq, err));
            tokens[w->n_next++] = token;
        }
        i = end;
    }
    return CRITIC_OK;
}

static void drop_nodes(struct node *nodes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        cr_seq_free(nodes[i].seq);
        nodes[i].seq = NULL;
    }
}

/* One level: logits of its nodes, their children, and the pass over the children. */
static enum critic_status descend(struct walk *w, int32_t *tokens, struct cr_seq **seqs,
                                  critic_error *err) {
    size_t vocab = w->engine->config.text.vocab;
    w->n_next = 0;
    for (size_t first = 0; first < w->n_level; first += NODES_A_PASS) {
        size_t n = CR_MIN(w->n_level - first, (size_t)NODES_A_PASS);
        for (size_t i = 0; i < n; i++)
            seqs[i] = w->level[first + i].seq;
        cr_seq_logits_many(seqs, n, w->logits);
        for (size_t i = 0; i < n; i++)
            CR_TRY(expand(w, &w->level[first + i], w->logits + i * vocab, tokens, err));
    }
    for (size_t first = 0; first < w->n_next; first += NODES_A_PASS) {
        size_t n = CR_MIN(w->n_next - first, (size_t)NODES_A_PASS);
        for (size_t i = 0; i < n; i++)
            seqs[i] = w->next[first + i].seq;
        CR_TRY(cr_seq_step(seqs, tokens + first, n, err));
    }
    drop_nodes(w->level, w->n_level);
    struct node *swap = w->level;
    w->level = w->next;
    w->n_level = w->n_next;
    w->next = swap;
    w->n_next = 0;
    w->depth++;
    return CRITIC_OK;
}

enum critic_status cr_seq_score(struct cr_seq *s, struct cr_alternative *alternatives,
                                size_t n, critic_error *err) {
    struct cr_engine *e = s->engine;
    enum critic_status status = CRITIC_OK;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < alternatives[i].n; j++)
            if ((size_t)alternatives[i].ids[j] >= e->n_valid_ids)
                return cr_fail(err, CRITIC_BAD_DATA, "alternative %zu holds token %d", i,
                               (int)alternatives[i].ids[j]);
    struct walk w = {.engine = e};
    w.sorted = calloc(n + 1, sizeof *w.sorted);
    w.level = calloc(n + 1, sizeof *w.level);
    w.next = calloc(n + 1, sizeof *w.next);
    w.logits = malloc(NODES_A_PASS * e->config.text.vocab * sizeof *w.logits);
    int32_t *tokens = calloc(n + 1, sizeof *tokens);
    struct cr_seq **seqs = calloc(NODES_A_PASS, sizeof *seqs);
    if (!w.sorted || !w.level || !w.next || !w.logits || !tokens || !seqs) {
        status = cr_fail(err, CRITIC_NO_MEMORY, "out of memory for %zu alternatives", n);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        w.sorted[i] = &alternatives[i];
    qsort(w.sorted, n, sizeof *w.sorted, by_ids);
    w.level[0].n = n;
    status = cr_seq_fork(&w.level[0].seq, s, err);
    w.n_level = status == CRITIC_OK ? 1 : 0;
    while (status == CRITIC_OK && w.n_level > 0) {
        if (cr_engine_cancelled(e))
            status = cr_fail(err, CRITIC_CANCELLED, "cancelled");
        else
            status = descend(&w, tokens, seqs, err);
    }
    drop_nodes(w.level, w.n_level);
    drop_nodes(w.next, w.n_next);
done:
    free(w.sorted);
    free(w.level);
    free(w.next);
    free(w.logits);
    free(tokens);
    free(seqs);
    return status;
}

enum critic_status cr_seq_follow(struct cr_seq *s, const int32_t *ids, size_t n,
                                 double *logprob, critic_error *err) {
    *logprob = 0;
    for (size_t i = 0; i < n; i++) {
        struct cr_alternative one = {.ids = &ids[i], .n = 1};
        CR_TRY(cr_seq_score(s, &one, 1, err));
        CR_TRY(cr_seq_step(&s, &ids[i], 1, err));
        *logprob += one.logprob;
    }
    return CRITIC_OK;
}
