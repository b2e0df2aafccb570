/* Work in n turns, shared over the threads of a context: each thread has a part of the list of its own,
 * one stream of weights for the prefetcher, and helps the others when it is done. With a fixed
 * split the slowest thread, or a neighbour on its core, holds up the rest. */
#ifndef CR_OP_TURNS_H
#define CR_OP_TURNS_H

#include "op/exec.h"

/* Called for every turn < n, once each, on any thread and in any order; neighbours mostly one after
 * the other on the same thread: those up to `end` most likely follow on this one. */
typedef void cr_turn(const void *work, size_t turn, size_t end);
void cr_turns_run(size_t n, cr_turn *run, const void *work, struct cr_exec *ex);

#endif
