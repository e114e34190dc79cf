/* SPDX-License-Identifier: Apache-2.0
 *
 * native_nest.h - what the files of nests share: native_nest.c settles and compiles them, native_sweep.c runs
 * them, native_trial.c finds out which of their schedules is fastest. */
#ifndef SG_NATIVE_NEST_H
#define SG_NATIVE_NEST_H

#include "exec/cc.h"
#include "exec/native.h"

#define MAX_PARTS 16                    /* of the lanes, and so of partial sums */
#define MAX_BUFS 64                     /* of a nest; a block with more stays a list */

struct NestPlan {
    Arena arena;
    Lowered low;
    NestFn *fn;                         /* NULL: not compiled yet */
    int text;                           /* number of its text among Native.nest_text */
    void **p;                           /* buffers, for the next run */
    Arr partial;                        /* sums over the lanes, by part */
    int64_t count, step;                /* iterations of the split loop, and how many of them at a time; 0: not found yet */
    bool shared;                        /* … by all threads */
};

/* A text that was compiled or soon will be, which any number of nests run: the steps of a loop differ in their buffers. */
typedef struct NestText { int code; NestFn *fn; } NestText;

/* L lanes in n parts of `step` blocks: cut by their number alone, so that sums by part do not depend on threads. */
typedef struct Parts { size_t blocks, step; int n; } Parts;
Parts nest_parts(Native *n, size_t L);
size_t nest_blocks(Native *n, size_t L);

/* Iterations of a nest without lanes. */
void nest_steps(const Native *n, NestPlan *np);
/* Where copy k of a nest of copies goes, and from where: the bytes of it. */
size_t nest_copy(const Native *n, const NestPlan *np, int k, void **to, void **from);

size_t nest_lanes(const Rel *r);         /* that it works on; 1 without */
Target nest_target(Native *n);          /* what its text is made for */
void nest_keep_lib(Native *n, const CcLib *lib);        /* until the engine closes */

/* ---- trials of schedules: native_trial.c ---- */

void trials_find(Native *n, const Target *t);           /* new nests have code: what is known of them, what is to be tried */
/* Round each call of a nest, by part of the lanes; trial_begins: 0 if the nest is not on trial. */
double trial_begins(const Native *n, const NestPlan *np);
void trial_ends(const Native *n, const NestPlan *np, int part, double began);
/* It ran once; when all that ran were counted, the turn is over: of so many lane blocks, or 1. */
void trial_counts(const Native *n, const NestPlan *np);
void trials_turn(Native *n, size_t blocks);
void trials_close(Native *n);

/* The layout in which a nest reads source s: with the lanes chosen (batch), or as it is. */
Lay *nest_lay(Native *n, Rel *r, int s, bool batch, bool *err);

#endif
