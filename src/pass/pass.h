/* SPDX-License-Identifier: Apache-2.0
 *
 * pass.h - passes over programs; one file each, headed by needs / keeps / leaves. */
#ifndef SG_PASS_H
#define SG_PASS_H

#include "ir/ir.h"

/* Append the backward blocks of `loss` with respect to `wrt`; fills p->grad (one entry per wrt table, in
 * order; GradOf.grad has the table's key columns and, under each value column's own name, its gradient, for
 * every row of the table).  Errors: a wrt table without unique keys or values, a loss that is not one
 * REAL row, what has no gradient. */
void pass_grad(Prog *p, Block *loss, Block *const *wrt, int n_wrt);

/* Scalar identities that keep every bit; constants folded. */
void pass_simplify(Prog *p);
/* Equal blocks become one. */
void pass_cse(Prog *p);
/* Generated row blocks that only rename are read through. */
void pass_fuse(Prog *p);
/* Drop blocks that none of `keep` needs. */
void pass_prune(Prog *p, Block *const *keep, int n_keep);
/* Sources that are only looked for and always found leave their joins.  Before grad. */
void pass_leaveout(Prog *p);
/* Blocks marked @once read unrestricted twins of batched tables.  First of all passes. */
void pass_once(Prog *p);
/* Of a UNION ALL, only the parts that a reader's conditions can meet are read.  After once. */
void pass_slices(Prog *p);
/* LN(SUM(EXP(x))) through the group's maximum. */
void pass_logsumexp(Prog *p);
/* Forms of EXP that overflow where their value does not. */
void pass_logistic(Prog *p);

/* For SQL hosts: order each block's sources, and solve linear equalities for the columns of the source
 * joined last, so that the host can look rows up. */
void pass_sqljoin(Prog *p);

/* For hosts that compile loops: cheap row blocks are computed where they are read.  Prunes. */
void pass_inline(Prog *p, Block *const *keep, int n_keep);
int inline_readers(const Prog *p, const Block *b);      /* of b; -1: one of them needs it stored */
void pass_reread(Prog *p);                              /* the first thing that pass_inline does */

/* For hosts that evaluate blocks in their order: slices stand before the block that reads them. */
void pass_later(Prog *p, Block *const *keep, int n_keep);

/* Split a forward program for chunked evaluation: batch-local blocks go to *local, the others to
 * *global, where the relations that cross (`cross`, in local; their twins in global are base blocks of
 * BASE_driver with the same names and columns) are bound as tables. */
typedef struct Split { Prog *local, *global; Block **cross; int n_cross; } Split;
Split pass_split(Prog *p, Block *const *target, int n);

/* The list of passes with names, for --no-pass, --dump and explain. */
typedef struct PassOpts {
    Block **keep; int n_keep;
    unsigned skip; bool verify;
    void (*after)(void *arg, const Prog *p, const char *pass); void *arg;       /* sees the program after each pass; or NULL */
} PassOpts;
typedef enum PassStage { PASS_forward, PASS_whole } PassStage;      /* before and after pass_grad */
void run_passes(Prog *p, PassStage stage, const PassOpts *o);
int pass_count(void);
const char *pass_name(int k);           /* bit k of PassOpts.skip leaves it out */
#endif
