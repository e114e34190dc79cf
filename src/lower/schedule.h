/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule.h - what the files that schedule a nest share: schedule.c chooses, vector.c the loop along the vector,
 * cost.c is the model of the machine, turned.c sums whose vectors are turned over. */
#ifndef SG_SCHEDULE_H
#define SG_SCHEDULE_H

#include "lower/gen.h"

enum { SOME_BLOCKS = 8 };                       /* of lanes, where their number is not known */
enum { L1 = 24 << 10, L2 = 384 << 10 };         /* bytes that stay, beside others */
enum { MIN_BODY = 32, MAX_BODY = 320 };         /* operations written out */
enum { MOST_LISTED = 12 };

typedef struct Ranked { Schedule s; double cost; } Ranked;

typedef struct Model {
    Nest *n;
    const Target *t;
    int W;
    int number;                         /* bytes of one */
    int max_live, max_tile;             /* registers a tile may take; points it may have */
    int blocks;                         /* of lanes, in a call; 0: not known */
    double round;                       /* what a round of a loop costs beside its body */
    int red[MAX_LOOPS], n_red;          /* the order of the reduction loops */
    int64_t f[N_VARS];                  /* points of each loop in the body */
    double rounds;                      /* reduction points of one tile */
    double speed[MAX_OPDS];             /* bytes a cycle from where the operand is */
    bool outer[MAX_LOOPS];              /* reduction loops that stand outside the tiles */
    bool in_agg[MAX_OPDS];
    double most_body;                   /* text that the nest's work is worth compiling, in operations */
    double n_accs;                      /* registers that one point of the tile takes */
    bool places;                        /* winners' places are kept: constants and masks take registers as well */
    Schedule best;
    double best_cost;
    Ranked *list; int n_list;           /* the best of each sort, the best first; NULL: only the best of all is looked for */
} Model;

static inline int64_t sched_steps(const Model *m, int l)
{
    const int64_t e = nest_extent(m->n, l), unit = nest_unit(m->n, m->t, l);
    return (e + unit - 1) / unit;
}

/* ---- vector.c ---- */

int sched_packed_loop(Nest *n, const Target *t);        /* whose iterations fill vectors beside the lanes, or VEC_none */
int sched_vector_loop(const Nest *n);

/* ---- cost.c ---- */

bool sched_is_runtime(const Nest *n, int l);            /* its bounds are known when it runs */
bool sched_tile_fits(const Model *m);
double sched_body_size(const Model *m);
double sched_bytes_of(const Model *m, const Operand *o, const int64_t *points);        /* that it reads, lines in whole */
double sched_all_bytes(const Model *m, const Operand *o);
bool sched_alike(const Model *m, const Schedule *a, const Schedule *b);
void sched_rank(Model *m);                              /* what stands in m: is it among the best? */

/* ---- schedule.c ---- */

void sched_reductions_ending(Model *m, int x, int y);   /* their order, x and y innermost; -1: by stride alone */
/* Reduction loop l becomes two: over blocks, which goes outside the tiles, and within one, of which the last may be
 * shorter. */
void sched_make_blocks(Model *m, int l, int64_t block);
bool sched_sums_in_place(const Nest *n);                /* sums alone, each stored as it is */

/* ---- turned.c ---- */

int sched_turned_loop(const Nest *n, const Target *t);  /* -1: none */
void sched_turned(Model *m);

#endif
