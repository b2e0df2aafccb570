/* Work in n turns, shared over the threads of a context: each thread has a part of the list of its own,
 * one stream of weights for the prefetcher, and helps the others when it is done. With a fixed
 * split the slowest thread, or a neighbour on its core, holds up the rest. */
#ifndef CR_OP_TURNS_H
#define CR_OP_TURNS_H

#include "op/exec.h"

/* run(work, turn) for every turn < n, once each, on any thread and in any order; neighbours mostly one
 * after the other on the same thread. */
void cr_turns_run(size_t n, void (*run)(const void *work, size_t turn), const void *work,
                  struct cr_exec *ex);

#endif
