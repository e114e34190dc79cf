/* SPDX-License-Identifier: Apache-2.0
 *
 * nest.h - loop nests: what a regular block is lowered to, and what C text is made from.
 *
 *   block.c      block over regular sources -> nest (the symbolic phase), with condition.c, lists.c, result.c, union.c
 *                and concat.c
 *   domain.c     integer sets: loop bounds, supports (the only file that includes isl)
 *   nest.c       which nests can be written, what they cost
 *   schedule.c   which loop runs along the vector (vector.c), tiles, order, unrolling, by a model of the machine
 *                (cost.c); turned.c for sums over lanes
 *   ctext.c      nest + schedule -> C text: loops, sums, stores
 *   body.c       expressions as straight-line C
 *   prelude.c    the helpers the text calls
 *   listing.c    the printed form (explain --stage loop)
 *
 * A nest is
 *
 *   for the output loops:
 *     acc[i] = the neutral element of agg[i]
 *     for the reduction loops:   acc[i] = agg[i](acc[i], agg[i].e)
 *     for every store:           buf[store.buf][store.at] = store.e
 *
 * over flat arrays.  Where it has lanes, every iteration does this for all lanes at once; a buffer with lanes
 * holds them in blocks of B:
 *
 *   element (row, lane) stands at ((lane / B) * rows + row) * B + lane % B
 *
 * B is the vector width W, or less where there are fewer lanes: a vector then holds several iterations of a loop, each
 * for the lanes of a block.
 *
 * Lanes behind the last one, up to a whole block, hold 0 in every buffer: they are stored so and may be relied on.
 * A union of boxes of several sizes is a nest for each of its parts, one after the other in one function (`next`).
 *
 * Nothing here knows tables or names; buffers are numbered. */
#ifndef SG_NEST_H
#define SG_NEST_H

#include "ir/ir.h"

#define MAX_LOOPS 16
#define MAX_CONDS 8

/* c + k[0] * loop 0 + … */
typedef struct Affine { int64_t c, k[MAX_LOOPS]; } Affine;

/* A bound of a loop over the loops outside it: ceil(e / d) below, floor(e / d) above; d >= 1. */
typedef struct Bound { Affine e; int64_t d; } Bound;

typedef struct NestLoop {
    int64_t min, max;           /* inclusive; the bounds themselves if `box`, else they enclose them */
    bool box;
    Bound *lo, *hi;             /* not box: from the greatest of lo to the least of hi, inclusive; may be empty */
    int n_lo, n_hi;
} NestLoop;

typedef enum OperandKind {
    OPD_load,                   /* REAL: buf[at], along the lanes if the buffer has them */
    OPD_key,                    /* INT: the number `at` */
    OPD_agg,                    /* REAL: the result of agg[index]; in stores only */
    OPD_place                   /* REAL: the place of the winner of agg[index]; in stores only */
} OperandKind;

typedef struct Operand { OperandKind kind; int index; Affine at; } Operand;     /* index: of buf or agg */

/* Expressions are those of the IR; an OP_col stands for operand number `col` (its `src` is 0).  Nothing is NULL.
 * Booleans arise from comparisons and are read by OP_cond and the connectives only. */
typedef struct NestAgg {
    Agg op;                     /* AGG_sum, AGG_max, AGG_min */
    const Expr *e;              /* REAL, over all loops */
    bool keep_place;            /* max, min: keep the place of the first winner in loop order */
    Affine place;               /* over all loops */
} NestAgg;

typedef struct NestStore { int buf; Affine at; const Expr *e; } NestStore;      /* over the output loops */

typedef struct NestBuf {
    bool lanes;
    bool written;
    size_t rows;                /* elements, of every lane */
    int64_t base;               /* the element that addresses count from; the buffer is passed from there on */
} NestBuf;

/* How the loops run; filled by nest_schedule. */
typedef struct Schedule {
    int vec;                    /* the loop along the vector: VEC_lanes, VEC_none or a loop whose steps are adjacent */
    bool packed;                /* a vector holds W / B iterations of `vec`, all lanes of a block for each */
    int order[MAX_LOOPS];       /* loops, outermost first; reduction loops that stand outside an output loop are cache
                                 * tiles: what they add up goes through the store's buffer */
    int tile[MAX_LOOPS];        /* iterations (vectors, of `vec`) a register tile holds, of output loops; 1: none */
    int lane_tile;              /* lane blocks a register tile holds */
    int unroll[MAX_LOOPS];      /* iterations (vectors) of a reduction loop that are written out; 1: none */
    bool lanes_first;           /* sum_lanes: lane blocks are the outermost loop; else the outermost of a tile */
    bool turned;                /* sum_lanes: vectors run along the output loop `vec`; what has lanes and runs along it
                                 * is turned over first, so that lanes are one more reduction loop */
    int turn_blocks;            /* turned: lane blocks that are turned over together, with all rounds of the reduction
                                 * loops inside the tile */
    int ways;                   /* sums that one sum is split into, over the innermost loop; 1: none */
} Schedule;

enum { VEC_none = -1, VEC_lanes = -2 };

typedef struct Nest {
    int id;                     /* of the block it stands for */
    int code;                   /* names in the text are made from it alone: the id of the first block with that text */
    NestLoop loop[MAX_LOOPS]; int n_loops;
    int n_out;                  /* loops 0 … n_out - 1 are output loops; the others are reductions */
    bool lanes;                 /* every iteration works on all lanes */
    bool copies;                /* every store copies all rows of a buffer: no code is needed, however many they are */
    bool sum_lanes;             /* the aggregates (AGG_sum) run over the lanes too; the stores' buffers have none */
    int split;                  /* without lanes: the loop of which the function runs a part; -1: none */
    Operand *opd; int n_opds;
    NestBuf *buf; int n_bufs;
    NestAgg *agg; int n_aggs;
    NestStore *store; int n_stores;
    Schedule sched;
    /* Made by nest_schedule.  Iterations count where all these are >= 0: bounds that differ along the vector. */
    Affine cond[MAX_CONDS]; int n_conds;
    Bound made[3];              /* bounds: a nest stays where it is from then on */
    struct Nest *next;          /* done after it, over the same buffers; none of them splits a loop or sums over lanes */
} Nest;

/* What the text is made for. */
typedef struct Target {
    bool f64;                   /* double, else float */
    int W;                      /* numbers of a vector: the CPU's widest */
    int B;                      /* lanes of a block: W, or W halved a few times */
    int regs;                   /* vector registers: 16 or 32 */
    int blocks;                 /* lane blocks that most calls work on, as far as that is known; 0: not */
} Target;

/* Bytes before and behind a buffer that vectors may read: what is read there never counts. */
#define NEST_SLACK 256

/* The function a nest becomes.  p: its buffers, 64-byte aligned, with slack.
 * Lanes: works on lane blocks [b0, b1) of n_lanes lanes.  Without lanes: on iterations [b0, b1) of the loop `split`,
 * a box that no bound depends on, counted from its first (none: b0 = 0, b1 = 1).  No two buffers overlap, but for the
 * one that is written and one that nest_may_overlay allows; what an iteration reads of a buffer that is written, no
 * other iteration writes.
 * Where it sums over the lanes, or the split loop is a reduction, the stores' buffers hold sums over this part, added
 * to what is there if `add`: all aggregates are then AGG_sum, and each store is one plain aggregate. */
typedef void NestFn(void *const *p, int64_t b0, int64_t b1, int64_t n_lanes, int add);

/* Addresses of what is only read count from the least of them, so that slices of one table have one text. */
void nest_rebase(Nest *n);
/* Whether C text can be made of it: well-formed, and made of operators and operands that body.c knows. */
bool nest_can(const Nest *n);
/* Fills n->sched.  It also makes the nest plainer, so the loops may be others afterwards: loops of one iteration go,
 * and neighbours become one loop where every access allows it; not the loop `split`, whose number may change.
 * Vectors, the order of sums and so every bit of the results follow from nest, W, B and f64 alone. */
void nest_schedule(Nest *n, const Target *t);
/* Schedules of a nest that was scheduled, its own first, then what the model ranks next of another sort; at most `most`.
 * They differ in tiles, in the order of output loops and in what is written out, and give the same bits. */
int nest_candidates(const Nest *n, const Target *t, Schedule *out, int most);
/* May buffer b, which is read, be the one buffer that is written?  Of nests that were scheduled. */
bool nest_may_overlay(const Nest *n, int b);
/* What every file begins with: vector types, helpers, vector functions. */
void nest_prelude(Buf *out, const Target *t);
/* The function, named by nest_name. */
void nest_text(Buf *out, const Nest *n, const Target *t);
void nest_name(Buf *out, const Nest *n, const Target *t);
/* As explain --stage loop prints it. */
void nest_listing(Buf *out, const Nest *n);
/* Multiply-adds of one lane, and numbers touched; for choosing what to do, not for reporting. */
double nest_work(const Nest *n);

#endif
