/* SPDX-License-Identifier: Apache-2.0
 *
 * gen.h - what the files that write C text share.
 *
 * The lane blocks are one loop more, LANE_VAR: an output loop, or with sum_lanes a reduction; where vectors are turned,
 * the lanes of a block are another one, IN_VAR.  A Gen stands at a point of all loops: a loop is a variable of the text
 * plus an offset, or a number where it has no variable.  A loop that is tiled or written out stands for `count` points,
 * `unit` iterations apart; the text of the innermost part is written once for each combination of points. */
#ifndef SG_GEN_H
#define SG_GEN_H

#include "lower/nest.h"

enum { LANE_VAR = MAX_LOOPS, IN_VAR, N_VARS };
enum { MAX_OPDS = 256, MAX_AGGS = 64, MAX_NODES = 4000 };
enum { EXACT = 1 << 24 };        /* up to here every precision holds integers exactly */

/* A value of straight-line code.  wide: it differs along the vector. */
typedef struct Val { const char *s; Type type; bool wide; } Val;

/* An element of a buffer: c + the sum of k[l] * loop l, in numbers. */
typedef struct Addr { int buf; int64_t c, k[N_VARS]; } Addr;

/* A pointer that holds the part of addresses that does not change in the accumulate scope. */
typedef struct Base { int buf; int64_t k[N_VARS]; } Base;

typedef struct Gen {
    const Nest *n;
    const Target *t;
    Arena *arena;
    Buf *out; int depth;
    bool var[N_VARS];           /* the loop has a variable */
    int64_t off[N_VARS];
    int64_t count[N_VARS];      /* points that the innermost text holds */
    bool inner[N_VARS];         /* the variable changes inside the accumulate scope */
    const char *tail;           /* how many numbers the last vector of the loop along the vector holds; NULL: all */
    bool last;                  /* the point has that vector */
    bool acc_wide[MAX_AGGS];    /* by aggregate: summed, or compared, in a vector */
    bool across;                /* and their results are numbers, across the vector */
    bool folds;                 /* or their results are those of one block of lanes, over the iterations in the vector */
    int ways;                   /* sums that one sum is split into */
    int64_t turn_at, n_turned;  /* the first point of the vectors that are turned over, and how many */
    /* straight-line code: what was computed, by its text */
    Map known; Val *val; int n_vals, n_temps;
    bool in_scope;              /* addresses go through bases */
    Base *base; int n_bases;
    int point;                  /* of the tile, in stores: names accumulators */
} Gen;

/* ---- nest.c ---- */

int64_t nest_extent(const Nest *n, int l);              /* of what encloses the loop; 0: empty */
int64_t nest_unit(const Nest *n, const Target *t, int l);       /* iterations of loop l that a vector holds */
bool nest_bounded_by(const Nest *n, int l);             /* does a bound mention loop l? */
bool nest_any_reads(const Bound *b, int n, int l);      /* does one of the n bounds? */
void nest_range(const Nest *n, const Affine *a, int64_t *lo, int64_t *hi);
/* What one iteration costs, in operations of a vector. */
double nest_cost(const Nest *n, const Expr *e);

/* ---- body.c: straight-line code ---- */

void gen_line(Gen *g, const char *fmt, ...) PRINTF(2, 3);
const char *gen_text(Gen *g, const char *fmt, ...) PRINTF(2, 3);        /* in the arena */
const char *gen_loop_var(Gen *g, int l);
bool gen_turns(const Nest *n, const Operand *o);        /* is it read from turned vectors? */
/* … of which there are others in every round of loop l, a reduction inside the tile. */
bool gen_turns_over(const Nest *n, const Operand *o, int l);
const char *gen_turned(Gen *g, const Operand *o, int64_t j);    /* where vector j of those of the current point stands */
Addr gen_addr(const Gen *g, int buf, const Affine *a);
int64_t gen_here(const Gen *g, const Addr *a);          /* its constant at the current point */
/* c + k over the variables, all or those of the accumulate scope (`inner`); `lead`: starts with a sign. */
const char *gen_sum(Gen *g, int64_t c, const int64_t *k, bool inner, bool lead);
const char *gen_affine(Gen *g, const Affine *a);        /* at the current point */
const char *gen_real(Gen *g, double x);                 /* a literal */
void body_begin(Gen *g);                                /* forget what was computed */
Val body_expr(Gen *g, const Expr *e);
Val body_wide(Gen *g, Val v);
Val body_affine_real(Gen *g, const Affine *a);
/* Which of the first `count` iterations of the vector meet the nest's conditions: a mask; "": all; NULL: none. */
const char *body_conds(Gen *g, int64_t count);
bool body_is_wide(const Gen *g, const Expr *e);
bool body_is_zero(const Nest *n, const Expr *e);        /* 0 in lanes that are not there */

#endif
