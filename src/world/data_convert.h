/* critic data convert: records of published formats, one into another.
 *
 *   items     what critic judge --input reads: id, images, question, responses, criteria?,
 *             reference?, context?; and template, verdict (first, second, tie or a score), scale? and
 *             reply (what the record says; without it verdict and `reason`? are written)
 *   llava     LLaVA conversations as JSON lines: id, source?, image, conversations [{from, value}]
 *   messages  the same as messages [{role, content}] with images, "<image>" marks kept
 *   pairs     preferences of LLaVA-NeXT: id, image, prompt, chosen, rejected
 *
 * Read: LLaVA conversations (JSON list, JSON lines, a mixing YAML), messages, items, the oracle's
 * lines. A critic's record (LLaVA-Critic-113k) becomes an item by the template whose text it is,
 * built in or given; an item becomes a record by its `template` or the given one. */
#ifndef CR_WORLD_DATA_CONVERT_H
#define CR_WORLD_DATA_CONVERT_H

#include "base/bytes.h"

enum cr_data_format { CR_DATA_ITEMS, CR_DATA_LLAVA, CR_DATA_MESSAGES, CR_DATA_PAIRS };

struct cr_data_convert_opts {
    const char *in, *out;
    enum cr_data_format to;
    const char *const *templates; /* names or files, before the built-in ones */
    size_t n_templates;
    bool skip_bad;
    void (*on_bad)(void *user, const char *message); /* "file:line: why" */
    bool (*cancel)(void *user);
    void *user;
};

struct cr_data_convert_result {
    size_t n_read, n_written, n_bad;
    size_t n_ties; /* pairs: left out */
};

/* out appears when it is whole. Errors: CRITIC_BAD_FILE, CRITIC_BAD_DATA (a record that cannot be
 * converted; not where skip_bad), CRITIC_IO, CRITIC_NO_MEMORY, CRITIC_CANCELLED. */
enum critic_status cr_data_convert(const struct cr_data_convert_opts *opts,
                                   struct cr_data_convert_result *result,
                                   critic_error *err);

#endif
