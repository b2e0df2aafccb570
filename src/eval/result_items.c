/* The most telling items: where the judge is wrong and sure of it, or where judges part. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "eval/result.h"
#include "image/image.h"
#include "report/page.h"

#define MAX_SHOWN   8
#define MAX_PICTURE ((size_t)2 << 20) /* larger ones would make the page heavy */
#define MAX_TEXT    4000

struct telling {
    double weight;
    const struct cr_judgement *row;
};

static int by_weight(const void *a, const void *b) {
    const struct telling *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return strcmp(x->row->id, y->row->id);
}

/* How far the verdict is from the label, by how sure it was; 0: not telling. */
static double weight_of(const struct cr_judgement *row) {
    const struct cr_reading *r = &row->robust;
    if (!r->ok)
        return 0;
    if (row->label_pick != CR_PICK_NONE)
        return r->pick == row->label_pick ? 0
               : isnan(row->p_first)      ? 1
                                          : 1 + fabs(row->p_first - 0.5);
    if (isfinite(row->label_score) && isfinite(r->score))
        return fabs(r->score - row->label_score);
    return row->label_order && strcmp(row->label_order, r->order) != 0;
}

/* Items that other judges saw otherwise come first. */
static double parting(const struct cr_result *results, size_t n,
                      const struct cr_judgement *row) {
    double w = 0;
    for (size_t k = 1; k < n; k++) {
        const struct cr_judgement *other = cr_judged_find(results[k].rows, row->id);
        if (other && !cr_reading_equal(results[0].rows->bench->metric, &row->robust,
                                       &other->robust))
            w += 10;
    }
    return w;
}

static const struct cr_exam_item *find_item(const struct cr_exam_set *set,
                                            const char *id) {
    for (size_t i = 0; set && i < set->n; i++)
        if (cr_str_eq_c(set->items[i].item.id, id))
            return &set->items[i];
    return NULL;
}

static void put_picture(struct cr_page *page, const struct cr_item *item, size_t i) {
    struct cr_buf bytes, path;
    bool ok;
    cr_buf_init(&bytes, MAX_PICTURE);
    cr_buf_init(&path, 1 << 16);
    if (cr_is_data_url(item->sources[i])) {
        ok = cr_data_url_decode(&bytes, item->sources[i], NULL) == CRITIC_OK;
    } else {
        char *folder = cr_str_dup(item->folder), *name = cr_str_dup(item->sources[i]);
        ok = folder && name && cr_path_join(&path, folder, name, NULL) == CRITIC_OK &&
             cr_file_read(path.data, &bytes, NULL) == CRITIC_OK;
        free(folder);
        free(name);
    }
    if (ok)
        cr_page_picture(page, (struct cr_bytes){(unsigned char *)bytes.data, bytes.len},
                        "the picture of this item");
    else
        cr_page_paragraph(page,
                          "The picture cannot be shown here (missing, or over 2 MiB).");
    cr_buf_fini(&bytes);
    cr_buf_fini(&path);
}

static struct cr_str shortened(struct cr_str s) {
    if (s.len > MAX_TEXT) {
        s.len = MAX_TEXT;
        while (s.len > 0 && ((unsigned char)s.data[s.len] & 0xc0) == 0x80)
            s.len--;
    }
    return s;
}

static void put_reading(struct cr_page *page, const char *who,
                        const struct cr_reading *r) {
    static const char *const picks[] = {"the first is better", "the second is better",
                                        "a tie", "no verdict"};
    if (!r->ok)
        cr_page_paragraph(page, "%s: no verdict.", who);
    else if (r->order[0])
        cr_page_paragraph(page, "%s: %s, best first.", who, r->order);
    else if (isfinite(r->pair[0]))
        cr_page_paragraph(page, "%s: %g and %g.", who, r->pair[0], r->pair[1]);
    else if (isfinite(r->score))
        cr_page_paragraph(page, "%s: %g.", who, r->score);
    else
        cr_page_paragraph(page, "%s: %s.", who, picks[r->pick]);
}

static void put_texts(struct cr_page *page, const struct cr_exam_item *b) {
    char label[32];
    for (size_t i = 0; i < b->item.n_sources; i++)
        put_picture(page, &b->item, i);
    cr_page_quote(page, "Question", shortened(b->item.question));
    if (b->item.reference.data)
        cr_page_quote(page, "Reference", shortened(b->item.reference));
    for (size_t i = 0; i < b->item.n_answers; i++) {
        snprintf(label, sizeof label, "Answer %zu", i + 1);
        cr_page_quote(page, label, shortened(b->item.answers[i]));
    }
}

static void put_item(const struct cr_result *results, size_t n,
                     const struct cr_judgement *row, struct cr_page *page) {
    struct cr_reading label = {.ok = true,
                               .pick = row->label_pick,
                               .score = row->label_score,
                               .pair = {(double)NAN, (double)NAN}};
    const struct cr_exam_item *item = find_item(results[0].set, row->id);
    if (row->label_order)
        snprintf(label.order, sizeof label.order, "%s", row->label_order);
    cr_page_fold_begin(page, "Item %s%s%s", row->id, row->group ? ", " : "",
                       row->group ? row->group : "");
    if (item)
        put_texts(page, item);
    put_reading(page, "Label", &label);
    for (size_t k = 0; k < n; k++) {
        const struct cr_judgement *other =
            k == 0 ? row : cr_judged_find(results[k].rows, row->id);
        if (!other)
            continue;
        put_reading(page, results[k].label, &other->robust);
        for (size_t h = 0; h < CR_MIN(other->n_heard, (size_t)2); h++)
            if (other->heard[h].raw.data)
                cr_page_quote(page,
                              other->heard[h].swapped ? "Its words, answers exchanged"
                                                      : "Its words",
                              shortened(other->heard[h].raw));
    }
    cr_page_fold_end(page);
}

void cr_result_page_items(const struct cr_result *results, size_t n,
                          struct cr_page *page) {
    const struct cr_judged *rows = results[0].rows;
    struct telling *list = calloc(rows->n + 1, sizeof *list);
    size_t m = 0;
    for (size_t i = 0; list && i < rows->n; i++) {
        double w = weight_of(&rows->items[i]) + parting(results, n, &rows->items[i]);
        if (w > 0)
            list[m++] = (struct telling){w, &rows->items[i]};
    }
    if (m > 0) {
        qsort(list, m, sizeof *list, by_weight);
        cr_page_heading(page, "The most telling disagreements");
        cr_page_paragraph(
            page,
            "%zu of %zu items on which a judge and the label, or two judges, "
            "part; the surest errors first.",
            CR_MIN(m, (size_t)MAX_SHOWN), m);
        for (size_t i = 0; i < CR_MIN(m, (size_t)MAX_SHOWN); i++)
            put_item(results, n, list[i].row, page);
    }
    free(list);
}
