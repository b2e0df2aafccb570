#define _POSIX_C_SOURCE 200809L
#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

/* The only mutable global of the program: a handler has no other place to write to. */
static volatile sig_atomic_t signal_came;

static void on_signal(int number) {
    (void)number;
    signal_came = 1;
}

void cr_signals_install(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    /* Back to the default once handled, so that the second signal kills; system calls go on,
     * except those that nothing would ever wake up. */
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cr_cancelled(void *user) {
    (void)user;
    return signal_came != 0;
}
