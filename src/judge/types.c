/* Names and scales of judge.h. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "judge/judge.h"
#include "judge/scan.h"

static const char *const modes[] = {"auto", "pointwise", "pairwise", "ranking"};

const char *cr_mode_name(enum cr_mode mode) {
    return modes[mode];
}

bool cr_mode_parse(const char *text, enum cr_mode *out) {
    for (size_t i = 0; i < CR_COUNT(modes); i++)
        if (strcmp(text, modes[i]) == 0) {
            *out = (enum cr_mode)i;
            return true;
        }
    return false;
}

const char *cr_choice_name(enum cr_choice choice) {
    static const char *const names[] = {"none", "first", "second", "tie"};
    return names[choice];
}

const char *cr_verdict_status_name(enum cr_verdict_status status) {
    static const char *const names[] = {"ok", "unparsed", "error"};
    return names[status];
}

enum critic_status cr_scale_parse(const char *text, struct cr_scale *out,
                                  critic_error *err) {
    struct cr_scan s = {.text = cr_str_of(text)};
    struct cr_number min;
    struct cr_number max;
    struct cr_number step = {.value = 1};
    memset(out, 0, sizeof *out);
    bool ok = cr_scan_number(&s, 0, &min) && cr_scan_at(&s, min.after) == '-' &&
              cr_scan_number(&s, min.after + 1, &max) && !max.malformed;
    if (ok && cr_scan_at(&s, max.after) == ':')
        ok = cr_scan_number(&s, max.after + 1, &step) && !step.malformed &&
             step.after == s.text.len;
    else
        ok = ok && max.after == s.text.len;
    if (!ok || min.value >= max.value || !(step.value > 0) ||
        step.value > max.value - min.value)
        return cr_fail(
            err, CRITIC_BAD_ARGUMENT,
            "scale '%s': expected MIN-MAX or MIN-MAX:STEP, such as 1-10 or 0-1:0.1",
            text);
    if ((max.value - min.value) / step.value > CR_MAX_STEPS)
        return cr_fail(err, CRITIC_BAD_ARGUMENT, "scale '%s' has more than %d steps",
                       text, CR_MAX_STEPS);
    *out = (struct cr_scale){min.value, max.value, step.value};
    return CRITIC_OK;
}

void cr_judge_usage_add(struct cr_judge_usage *sum, const struct cr_judge_usage *u) {
    sum->prompt_tokens += u->prompt_tokens;
    sum->cached_tokens += u->cached_tokens;
    sum->completion_tokens += u->completion_tokens;
    sum->image_tiles += u->image_tiles;
    sum->cached_tiles += u->cached_tiles;
    sum->n_prompts += u->n_prompts;
    sum->seconds += u->seconds;
}
