/* critic judge: one item from flags, or a JSONL batch. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "cli/cli.h"
#include "cli/foreign.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "cli/signals.h"
#include "engine/engine.h"
#include "judge/batch.h"
#include "judge/template.h"

#define BAR_CELLS   30
#define MAX_OPTIONS 8
#define MAX_RAW     600 /* bytes shown of a text without a verdict */
#define MAX_LINE    ((size_t)1 << 30)

struct judge_flags {
    struct cr_common common;
    struct cr_strs images, answers, criteria;
    struct cr_str question, reference, system;
    const char *scale;
    bool list, show;
    int mode;
    struct cr_judge_opts opts;
    struct cr_batch_opts batch;
    struct cr_progress progress;
    struct cr_foreign foreign;
};

static int run_parsed(struct judge_flags *f);

int cr_cmd_judge(int n_args, const char *const *args) {
    struct judge_flags f = {0};
    cr_common_init(&f.common);
    f.common.judges = true;
    cr_judge_opts_default(&f.opts);
    const struct cr_flag flags[] = {
        {"what is judged", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        CR_JUDGE_MODEL_FLAG(f.common),
        {"image", 'i', CR_FLAG_STRS, &f.images, "FILE",
         "a picture (JPEG, PNG, WebP; -: standard input); repeats", 0, 0},
        {"question", 0, CR_FLAG_TEXT, &f.question, "TEXT", "the question or task", 0, 0},
        {"answer", 'a', CR_FLAG_TEXTS, &f.answers, "TEXT",
         "an answer; one is scored, two are compared, more are ranked; repeats", 0, 0},
        {"reference", 0, CR_FLAG_TEXT, &f.reference, "TEXT",
         "an answer known to be right", 0, 0},
        {"criterion", 0, CR_FLAG_TEXTS, &f.criteria, "TEXT",
         "judge by this criterion; repeats, each is judged on its own", 0, 0},
        {"how", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"mode", 0, CR_FLAG_CHOICE, &f.mode, "auto|pointwise|pairwise|ranking",
         "auto: by the number of answers", 0, 0},
        {"template", 0, CR_FLAG_STR, &f.opts.template_name, "NAME",
         "a built-in template or a file with your own wording (docs/templates.md)", 0, 0},
        {"list-templates", 0, CR_FLAG_BOOL, &f.list, NULL,
         "list the built-in templates and end", 0, 0},
        {"scale", 0, CR_FLAG_STR, &f.scale, "RANGE",
         "scores such as 1-10, or 0-1:0.1 in steps of 0.1", 0, 0},
        {"verdict-only", 0, CR_FLAG_BOOL, &f.opts.verdict_only, NULL,
         "no reason: read the probability of every verdict in one pass", 0, 0},
        {"explain-below", 0, CR_FLAG_DOUBLE, &f.opts.explain_below, "P",
         "one pass, and the reason only where no verdict has this probability", 0, 1},
        {"probabilities", 0, CR_FLAG_BOOL, &f.opts.probabilities, NULL,
         "write the reason and read the probabilities at the verdict as well", 0, 0},
        {"both-orders", 0, CR_FLAG_BOOL, &f.opts.both_orders, NULL,
         "judge pairs both ways round and say whether the verdicts agree", 0, 0},
        {"samples", 'n', CR_FLAG_SIZE, &f.opts.n_samples, "N",
         "distribution over N samples; wants --temperature", 1, 1000},
        {"temperature", 0, CR_FLAG_DOUBLE, &f.opts.temperature, "T",
         "0: greedy (default)", 0, 100},
        {"top-p", 0, CR_FLAG_DOUBLE, &f.opts.top_p, "P", "nucleus sampling; 1: off", 0,
         1},
        {"top-k", 0, CR_FLAG_SIZE, &f.opts.top_k, "K", "0: off", 0, 1e9},
        {"max-new-tokens", 0, CR_FLAG_SIZE, &f.opts.max_new_tokens, "N",
         "longest verdict (default 1024)", 1, 1e9},
        CR_LOOKUP_FLAG(f.opts.lookup, "3"),
        {"system", 0, CR_FLAG_TEXT, &f.system, "TEXT",
         "system text instead of the chat format's own; empty: none", 0, 0},
        {"seed", 0, CR_FLAG_U64, &f.opts.seed, "N", "of sampling (default 0)", 0, 0},
        {"show", 0, CR_FLAG_BOOL, &f.show, NULL,
         "show picture, question and answers before the verdict, on a terminal the "
         "picture "
         "itself",
         0, 0},
        {"many items", 0, CR_FLAG_TITLE, 0, 0, 0, 0, 0},
        {"input", 0, CR_FLAG_STR, &f.batch.input, "FILE",
         "items as JSON lines: id, images, question, responses, … (-: standard input)", 0,
         0},
        {"output", 'o', CR_FLAG_STR, &f.batch.output, "FILE",
         "verdicts as JSON lines, appended one by one (default: standard output)", 0, 0},
        {"resume", 0, CR_FLAG_BOOL, &f.batch.resume, NULL,
         "go on with an output that is there; finished items are not judged again", 0, 0},
        {"force", 0, CR_FLAG_BOOL, &f.batch.force, NULL, "empty an output that is there",
         0, 0},
        CR_MACHINE_FLAGS(f.common),
        CR_PICTURE_FLAGS(f.common),
        CR_OUTPUT_FLAGS(f.common),
        CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "judge",
        .usage = "--image FILE --question TEXT --answer TEXT [--answer TEXT …]",
        .about =
            "Judges answers to a question about pictures: one answer is scored, two are\n"
            "compared, more are ranked. What the model writes is parsed strictly: a "
            "verdict that\ncannot be read is reported as such (exit status 1), never "
            "guessed.",
        .example =
            "critic judge --model lmms-lab/llava-critic-7b --image cat.jpg \\\n"
            "    --question 'What is on the sofa?' --answer 'A cat.' --answer 'A dog.'\n"
            "critic judge --input items.jsonl --output verdicts.jsonl --resume",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, run_parsed(&f));
}

/* ---- printing a verdict for a person -------------------------------------------------------- */

struct style {
    const char *bold, *dim, *end;
};

static struct style style_of(const struct judge_flags *f) {
    if (cr_use_color(f->common.color))
        return (struct style){"\033[1m", "\033[2m", "\033[0m"};
    return (struct style){"", "", ""};
}

/* Answers count from 1 for a person. A choice is by content: of a pair (a, b) in whatever order
 * they were put to the model, "first" is the one that the item names first. */
static void print_choice(const struct cr_opinion *o) {
    size_t first = CR_MIN(o->pair[0], o->pair[1]),
           second = CR_MAX(o->pair[0], o->pair[1]);
    if (first == second)
        second = first + 1; /* the whole item: its two answers */
    if (o->choice == CR_CHOICE_TIE)
        printf("answers %zu and %zu are equally good", first + 1, second + 1);
    else
        printf("answer %zu is better",
               (o->choice == CR_CHOICE_FIRST ? first : second) + 1);
}

/* One line without its end: what the opinion says. */
static void print_conclusion(const struct cr_opinion *o) {
    if (o->status != CR_VERDICT_OK) {
        printf("no verdict: %s", o->why ? o->why : "unparsed");
        return;
    }
    switch (o->mode) {
    case CR_MODE_POINTWISE:
        printf("score %.6g", o->score);
        break;
    case CR_MODE_PAIRWISE:
        print_choice(o);
        break;
    default:
        fputs("best first:", stdout);
        for (size_t i = 0; i < o->n_order; i++)
            printf(" %zu", o->order[i] + 1);
    }
    if (o->has_expected && o->mode == CR_MODE_POINTWISE)
        printf(" (expected score %.4g)", o->expected);
    if (o->has_consistent)
        fputs(o->consistent ? ", both orders agree" : ", the two orders disagree",
              stdout);
    if (o->n_unparsed > 0)
        printf(", %zu of %zu unparsed", o->n_unparsed, o->n_parts);
}

/* The most probable options, best first, each with a bar. */
static void print_options(const struct cr_opinion *o) {
    double last = INFINITY;
    size_t last_index = SIZE_MAX;
    for (size_t row = 0; row < CR_MIN(o->n_options, (size_t)MAX_OPTIONS); row++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < o->n_options; i++) {
            double p = o->options[i].probability;
            bool shown =
                p > last || (p == last && i <= last_index && last_index != SIZE_MAX);
            if (!shown && (best == SIZE_MAX || p > o->options[best].probability))
                best = i;
        }
        if (best == SIZE_MAX || o->options[best].probability < 0.0005)
            return;
        last = o->options[best].probability;
        last_index = best;
        printf("  %-8s %5.1f%%  ", o->options[best].label, 100 * last);
        for (int i = 0; i < (int)(BAR_CELLS * last + 0.5); i++)
            putchar('#');
        putchar('\n');
    }
}

static void print_part(const struct cr_opinion *parent, size_t index) {
    const struct cr_opinion *part = &parent->parts[index];
    switch (parent->parts_kind) {
    case CR_PARTS_CRITERIA:
        fputs("  ", stdout);
        cr_print_text(part->criterion);
        fputs(": ", stdout);
        break;
    case CR_PARTS_COMPARISONS:
        printf("  %zu against %zu: ", part->pair[0] + 1, part->pair[1] + 1);
        break;
    case CR_PARTS_ORDERS:
        fputs(index == 0 ? "  as given: " : "  swapped: ", stdout);
        break;
    default:
        printf("  sample %zu: ", index + 1);
    }
    print_conclusion(part);
    putchar('\n');
}

static void print_verdict(const struct judge_flags *f, const struct cr_verdict *v) {
    const struct cr_opinion *o = &v->opinion;
    struct style s = style_of(f);
    fputs(s.bold, stdout);
    print_conclusion(o);
    printf("%s\n", s.end);
    print_options(o);
    for (size_t i = 0; i < o->n_parts; i++)
        print_part(o, i);
    struct cr_str text = o->status == CR_VERDICT_OK ? o->reason : o->raw;
    bool cut = o->status != CR_VERDICT_OK && text.len > MAX_RAW;
    if (cut)
        text.len = MAX_RAW;
    while (cut && ((unsigned char)text.data[text.len] & 0xc0) == 0x80)
        text.len--; /* not inside a character */
    if (text.len > 0) {
        printf("\n%s", s.dim);
        cr_print_text(text);
        printf("%s%s\n", cut ? " … (--json has all of it)" : "", s.end);
    }
}

static void print_usage_line(const struct judge_flags *f, const struct cr_verdict *v) {
    const struct cr_judge_usage *u = &v->usage;
    if (f->common.quiet)
        return;
    fprintf(
        stderr,
        "%zu prompt tokens (%zu from a shared prefix), %zu written, %zu picture tiles, "
        "%.2f s; template %s\n",
        u->prompt_tokens, u->cached_tokens, u->completion_tokens, u->image_tiles,
        u->seconds, v->template_name);
}

/* ---- one item ------------------------------------------------------------------------------------- */

static void on_prompt(void *user, size_t done, size_t total) {
    struct judge_flags *f = user;
    if (total > 1)
        cr_progress_update(&f->progress, done, total);
}

static void print_labelled(struct style s, const char *label, size_t number,
                           struct cr_str text) {
    printf("%s%s", s.bold, label);
    if (number > 0)
        printf(" %zu", number);
    printf("%s  ", s.end);
    cr_print_text(text);
    putchar('\n');
}

/* The item as a person would want to see it. */
static void show_item(const struct judge_flags *f, const struct cr_item *item,
                      const struct cr_image *images, size_t n_images) {
    struct style s = style_of(f);
    struct cr_terminal terminal;
    struct cr_buf picture;
    cr_terminal_look(&terminal, f->common.color);
    cr_buf_init(&picture, (size_t)256 << 20);
    for (size_t i = 0; i < n_images; i++) {
        cr_buf_clear(&picture);
        if (cr_show_picture(&picture, &images[i], &terminal, NULL) == CRITIC_OK &&
            picture.len > 0)
            fwrite(picture.data, 1, picture.len, stdout);
        print_labelled(s, "Picture ", 0, item->sources[i]);
    }
    cr_buf_fini(&picture);
    print_labelled(s, "Question", 0, item->question);
    for (size_t i = 0; i < item->n_answers; i++)
        print_labelled(s, "Answer", i + 1, item->answers[i]);
    putchar('\n');
}

static void on_pictures(void *user, const struct cr_item *item,
                        const struct cr_image *images, size_t n_images) {
    struct judge_flags *f = user;
    cr_foreign_see(&f->foreign, item, images, n_images);
    if (f->show)
        show_item(f, item, images, n_images);
}

static enum critic_status print_item(const struct judge_flags *f,
                                     const struct cr_verdict *v, critic_error *err) {
    if (!f->common.json) {
        print_verdict(f, v);
        fflush(stdout);
        print_usage_line(f, v);
        return CRITIC_OK;
    }
    struct cr_buf line;
    cr_buf_init(&line, MAX_LINE);
    enum critic_status status = cr_verdict_to_json(v, &line, err);
    if (status == CRITIC_OK) {
        fwrite(line.data, 1, line.len, stdout);
        putchar('\n');
    }
    cr_buf_fini(&line);
    return status;
}

static enum critic_status judge_one(struct judge_flags *f, struct cr_judge *judge,
                                    int *exit_status, critic_error *err) {
    struct cr_verdict verdict;
    struct cr_item item = {.sources = f->images.items,
                           .n_sources = f->images.n,
                           .question = f->question,
                           .answers = f->answers.items,
                           .n_answers = f->answers.n,
                           .reference = f->reference,
                           .criteria = f->criteria.items,
                           .n_criteria = f->criteria.n};
    CR_TRY(cr_judge_item(judge, &item, &verdict, err));
    cr_progress_clear(&f->progress);
    *exit_status =
        verdict.opinion.status == CR_VERDICT_OK ? CR_EXIT_DONE : CR_EXIT_FAILED;
    enum critic_status status = print_item(f, &verdict, err);
    cr_verdict_fini(&verdict);
    return status;
}

/* ---- a batch ---------------------------------------------------------------------------------------- */

static void on_item(void *user, const struct cr_batch_counts *counts, size_t n_total) {
    size_t own = counts->n_ok + counts->n_unparsed + counts->n_error;
    struct judge_flags *f = user;
    f->progress.first = counts->n_skipped;
    cr_progress_update(&f->progress, counts->n_skipped + own, n_total);
}

static enum critic_status judge_batch(struct judge_flags *f, struct cr_judge *judge,
                                      int *exit_status, critic_error *err) {
    struct cr_batch_counts n = {0};
    if (!f->batch.output)
        f->batch.output = "-";
    f->batch.cancel = cr_cancelled;
    f->batch.on_item = on_item;
    f->batch.user = f;
    enum critic_status status = cr_judge_batch(judge, &f->batch, &n, err);
    cr_progress_clear(&f->progress);
    cr_foreign_end(&f->foreign);
    if (!f->common.quiet && (status == CRITIC_OK || status == CRITIC_CANCELLED))
        fprintf(stderr,
                "%zu items: %zu judged, %zu unparsed, %zu failed, %zu were there\n",
                n.n_items, n.n_ok, n.n_unparsed, n.n_error, n.n_skipped);
    if (status == CRITIC_CANCELLED)
        return cr_fail(err, status, "interrupted; go on with --resume");
    *exit_status = n.n_unparsed + n.n_error > 0 ? CR_EXIT_FAILED : CR_EXIT_DONE;
    return status;
}

/* ---- ------------------------------------------------------------------------------------------------- */

static enum critic_status check_flags(struct judge_flags *f, critic_error *err) {
    bool batch = f->batch.input != NULL;
    bool item = f->images.n || f->answers.n || f->question.data || f->reference.data ||
                f->criteria.n;
    f->opts.mode = (enum cr_mode)f->mode;
    f->opts.image_limits = &f->common.limits;
    f->opts.system = f->system;
    if (f->scale) {
        f->opts.has_scale = true;
        CR_TRY(cr_scale_parse(f->scale, &f->opts.scale, err));
    }
    if (batch && item)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--input brings its own items: leave out --image, --question, "
                       "--answer, --reference and --criterion");
    if (!batch && (f->batch.output || f->batch.resume || f->batch.force))
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "--output, --resume and --force belong to --input");
    if (f->show && (batch || f->common.json))
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "--show is for one item and a person: leave out --input and --json");
    if (batch || (f->answers.n > 0 && f->question.data))
        return CRITIC_OK;
    return cr_fail(err, CRITIC_BAD_ARGUMENT,
                   "nothing to judge: give --question and --answer, or --input");
}

static enum critic_status list_templates(critic_error *err) {
    for (size_t i = 0; i < cr_template_n_builtin(); i++) {
        struct cr_template *t;
        CR_TRY(cr_template_open_builtin(&t, cr_template_builtin_name(i), err));
        printf("%-24s %-9s  %s\n", t->name, cr_mode_name(t->mode), t->description);
        cr_template_free(t);
    }
    return CRITIC_OK;
}

static int run_parsed(struct judge_flags *f) {
    struct cr_engine *engine = NULL;
    struct cr_judge *judge = NULL;
    critic_error err = {0};
    int exit_status = CR_EXIT_DONE;
    if (f->list)
        return cr_outcome(list_templates(&err), &err);
    cr_progress_begin(&f->progress, "judging", f->batch.input ? "items" : "prompts",
                      f->common.quiet);
    f->opts.user = f;
    f->opts.on_item = on_pictures;
    f->common.progress = &f->progress;
    f->opts.on_prompt = f->batch.input ? NULL : on_prompt;
    enum critic_status status = check_flags(f, &err);
    if (status == CRITIC_OK)
        status = cr_common_open(&f->common, &engine, &err);
    if (status == CRITIC_OK) {
        cr_foreign_begin(&f->foreign, &f->common, engine);
        status = cr_judge_new(&judge, engine, &f->opts, &err);
    }
    if (status == CRITIC_OK)
        status = f->batch.input ? judge_batch(f, judge, &exit_status, &err)
                                : judge_one(f, judge, &exit_status, &err);
    cr_progress_clear(&f->progress);
    cr_judge_free(judge);
    cr_engine_free(engine);
    return status == CRITIC_OK ? exit_status : cr_report(&err);
}
