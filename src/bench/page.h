/* What critic bench measured, as one HTML page that stands alone. */
#ifndef CR_BENCH_PAGE_H
#define CR_BENCH_PAGE_H

#include "bench/bench.h"

/* before: an earlier report to be compared with, or NULL. Errors: CRITIC_IO, CRITIC_NO_MEMORY. */
enum critic_status cr_bench_page(const char *path, const struct cr_bench_report *report,
                                 const struct cr_bench_report *before, critic_error *err);

#endif
