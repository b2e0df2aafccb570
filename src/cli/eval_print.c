/* What the eval commands share (cli/eval.h). */
#include <stdio.h>

#include "cli/eval.h"
#include "io/json.h"

static void print_faults(const struct cr_faults *faults) {
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

int cr_eval_end(enum critic_status status, struct cr_faults *faults,
                const critic_error *err) {
    print_faults(faults);
    int exit_status = faults->n > 0 ? CR_EXIT_FAILED : CR_EXIT_DONE;
    cr_faults_fini(faults);
    return status == CRITIC_OK ? exit_status : cr_report(err);
}

int cr_eval_missing(const char *flag) {
    critic_error err = {0};
    cr_fail(&err, CRITIC_BAD_ARGUMENT, "%s is needed", flag);
    return cr_report(&err);
}

json_t *cr_eval_json_interval(struct cr_interval i) {
    return i.why ? json_null() : json_pack("[f, f]", i.low, i.high);
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
