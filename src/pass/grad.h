/* SPDX-License-Identifier: Apache-2.0
 *
 * grad.h - what the files of the differentiation share.  derive.c, growth.c: scalar expressions.  grad.c: the
 * walk backwards, its ends, and where contributions meet.  grad_join.c: through row blocks and sums.
 * grad_pick.c: through MIN, MAX, picks and unions.  grad_alike.c: sums of many contributions of one form. */
#ifndef SG_GRAD_H
#define SG_GRAD_H

#include "pass/pass.h"

/* The derivative of e towards the column `col` (an OP_col); NULL: zero everywhere. */
Expr *grad_derive(Arena *a, const Expr *e, const Expr *col);
/* e'/e where EXP in e may overflow; NULL: nothing does, divide. */
Expr *grad_growth(Arena *a, Expr *e, const Expr *col);
/* Products and sums of derivatives, where NULL is zero and factors 1.0 vanish. */
Expr *grad_mul(Arena *a, Expr *x, Expr *y);
Expr *grad_add(Arena *a, Expr *x, Expr *y);

/* The gradient of a relation: `rel` holds column id[j] for identity column j, and d[c] for value
 * column c, -1 where nothing flows into it: a column of zeros would still multiply, and 0·inf is NaN. */
typedef struct Grad { Block *rel; int *id, *d; } Grad;
typedef Grad Contribution;              /* one use's part of it */

typedef struct Back {
    Prog *p;
    Arena *a;
    Contribution **contrib; int *n_contrib;     /* by forward block id */
} Back;

/* One contribution under construction: block `b`, whose source 0 is g; forward source t is source at[t]. */
typedef struct Join1 {
    Back *k;
    const Block *f;                     /* forward block */
    const Grad *g;
    int s;                              /* the source differentiated */
    Block *b;
    int *at;                            /* forward source -> source of b, -1: left out */
    Expr **gid;                         /* forward identity column j as a column of g */
    Known *named;                       /* what g's identity gives, over the forward block's sources */
} Join1;

bool grad_is_active(const Block *r, int c);
bool grad_any_active(const Block *r);
int *grad_ints(Arena *a, int n, int fill);              /* n ints, each `fill` */
const char *grad_col_name(Arena *a, const Block *b, const char *col);      /* d_col, unique in b */
Expr *grad_same_key(Arena *a, Expr *x, Expr *y);        /* x = y, null-safe where both may be NULL */
Expr *grad_id_expr(const Block *f, int j);              /* identity column j of f over f's sources */
Block *grad_block(Back *k, BlockKind kind, const Block *of);               /* an empty gradient block */
void grad_keep(Back *k, const Block *r, Contribution c);                   /* c is one use's gradient of r */

/* Steps of one contribution (grad_join.c). */
bool grad_contributes(Join1 *j);                        /* does any derivative towards source s exist? */
bool grad_one_to_one(const Join1 *j);                   /* does one row of s make at most one joined row? */
void grad_start(Join1 *j, Back *k, const Block *f, const Grad *g, int s, BlockKind kind);
void grad_mark_read(Join1 *j, bool *read);              /* which forward sources derivatives and guards read */
bool grad_direct(Join1 *j, const bool *read, Contribution *out);           /* false: use the general form */
void grad_general(Join1 *j, const bool *read, Contribution *out);
void grad_add_columns(Join1 *j, Expr **id, Contribution *out);

/* Contributions of one form become one, in place; how many are left. */
int grad_sum_alike(Back *k, const Block *r, Contribution *c, int n);

/* All contributions of block f with gradient g to its source s (output column o; branch part). */
void grad_through_join(Back *k, const Block *f, const Grad *g, int s);
void grad_through_winner(Back *k, const Block *f, const Grad *g, int o, int s);
Grad grad_name_picked(Back *k, Block *f, const Grad *g);
void grad_through_pick(Back *k, Block *f, const Grad *g, int s);
void grad_through_part(Back *k, const Block *f, const Grad *g, int part);

#endif
