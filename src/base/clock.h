/* Monotonic time. */
#ifndef CR_BASE_CLOCK_H
#define CR_BASE_CLOCK_H

/* Seconds since some fixed moment. */
double cr_clock_seconds(void);

#endif
