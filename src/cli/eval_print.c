/* What the eval commands share (cli/eval.h). */
#include <stdio.h>
#include <stdlib.h>

#include "cli/eval.h"

void cr_eval_print_faults(const struct cr_faults *faults) {
    for (size_t i = 0; i < faults->n; i++) {
        const struct cr_fault *f = &faults->items[i];
        critic_error err = {0};
        if (f->n > 1)
            cr_fail(&err, CRITIC_BAD_DATA, "%.200s (%zu of this kind in the file)",
                    f->message, f->n);
        else
            cr_fail(&err, CRITIC_BAD_DATA, "%.240s", f->message);
        cr_report(&err);
    }
}

int cr_eval_exit(const struct cr_faults *faults) {
    return faults->n > 0 ? CR_EXIT_FAILED : CR_EXIT_DONE;
}

/* 15 digits: what is exact in decimal stays as it is, and nothing that counts is lost. */
enum critic_status cr_eval_print_json(json_t *value, critic_error *err) {
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(value);
    if (!text)
        return cr_fail(err, CRITIC_NO_MEMORY, "out of memory while writing JSON");
    puts(text);
    free(text);
    return CRITIC_OK;
}

json_t *cr_eval_json(struct cr_stat s) {
    return cr_stat_ok(s) ? json_real(s.value) : json_null();
}

struct cr_stat_text cr_eval_text(struct cr_stat s, int decimals) {
    struct cr_stat_text t;
    if (cr_stat_ok(s))
        snprintf(t.text, sizeof t.text, "%.*f", decimals, s.value);
    else
        snprintf(t.text, sizeof t.text, "undefined (%.100s)", s.why);
    return t;
}
