/* SIGINT and SIGTERM ask for an orderly end: the item in work is finished or given up, state is
 * written, the exit status is 130. A second one ends the program at once. */
#ifndef CR_CLI_SIGNALS_H
#define CR_CLI_SIGNALS_H

#include <stdbool.h>

void cr_signals_install(void);
/* Has a signal come? `user` is ignored: this serves as the library's cancel function. */
bool cr_cancelled(void *user);

#endif
