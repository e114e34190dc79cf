/* SPDX-License-Identifier: Apache-2.0
 *
 * block.h - what the files that lower a block share. */
#ifndef SG_BLOCK_H
#define SG_BLOCK_H

#include "lower/gen.h"
#include "lower/lower.h"

/* REG_codes: of variable var; REG_list: list[x], of n entries. */
typedef struct Key { RegKind kind; Lin x; int var; const int64_t *list; int64_t n; } Key;

typedef struct Lower {
    const Block *b;
    const KeyOrder *order;
    const Regular **src;
    int64_t *first;             /* the row of a source that its first one is */
    bool *met;                  /* by condition: it was seen to */
    bool blind;
    Arena *a, *work;            /* of what is returned; of this call */
    Lowered *out;
    Space s;
    int *var0;                  /* first variable of a source */
    bool lanes, carried;
    Key *key;                   /* by column; of those that are keys */
    Key *part;                  /* by PARTITION BY key */
    bool is_out[MAX_VARS];
    bool is_digit[MAX_VARS];    /* of a key of another source, whose row is thereby found */
    int loop_var[MAX_LOOPS], loop_of[MAX_VARS];
    bool masked;                /* a source's rows are there by their place only */
    bool certain;               /* … and one of the places that are summed over is always there */
    int carry;                  /* … or the result's rows are there as those of this source; -1 */
} Lower;

/* Where rows do not fill their box: numbers of a box of any share, and the least share of a larger one. */
enum { MOST_HOLES = 1 << 16, LEAST_SHARE = 8 };

/* False, and why, unless that is known. */
bool low_refuse(Lower *l, const char *why);

/* ---- condition.c ---- */

const RegCol *low_col(const Lower *l, const Expr *e);                   /* what is known of the column e */
bool low_is_kind(const Lower *l, const Expr *e, RegKind kind);
int  low_codes_var(const Lower *l, const Expr *e);
bool low_never_null(const Lower *l, const Expr *e);
Lin  low_over_vars(const Lower *l, int src, const Affine *f);           /* a form over the source's dimensions */
bool low_lin(Lower *l, const Expr *e, Lin *out);                        /* an INT expression as a form */
bool low_conditions(Lower *l);
bool low_outer_joins(Lower *l);

/* ---- block.c ---- */

bool low_is_key(const Block *b, int c);                                 /* column c of the result */
Affine low_over_loops(const Lower *l, const Lin *form);
/* Number the points of loops [from, to) row by row. */
Affine low_number_points(const Nest *n, int from, int to, int64_t *count);
bool low_all_box(const Nest *n);                                        /* all loops */
bool low_chosen_before(const Lower *l, int src);                        /* its rows are there as those of another are */
/* A copy: the result may outlive what is known of its sources. */
const int64_t *low_own_codes(Lower *l, const int64_t *codes, int64_t n);

/* ---- lists.c ---- */

bool low_reads_list(const Lower *l, const Expr *e);
bool low_narrow(Lower *l);                                              /* before there are variables */
bool low_lists(Lower *l);                                               /* the conditions that are not met yet */

/* ---- result.c ---- */

Expr *low_operand(Lower *l, Operand o, Type t);
Expr *low_number(Lower *l, const Expr *e);                              /* over the loops; NULL: refused */
int  low_buffer(Lower *l, int src, int col, bool lanes, bool written, int64_t rows);
bool low_results(Lower *l);
int64_t low_points(const Nest *n, int loops);                           /* of the first `loops` loops */

/* ---- union.c ---- */

bool low_union(Lower *l);

/* ---- concat.c ---- */

bool low_concat(Lower *l);                                              /* parts of several sizes */

#endif
