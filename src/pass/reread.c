/* SPDX-License-Identifier: Apache-2.0
 *
 * reread.c - what asks only whether x > 0 is sent to a stored MAX(0, x): x need not be kept for it.
 *   needs   prog_analyse; runs before inline, which then may leave x unstored
 *   keeps   every value
 *   leaves  x with fewer readers, or none */
#include "pass/pass.h"

/* The greater of 0 and a column of the only source: that column; -1. */
static int positive_part_of(const Expr *e)
{
    for (int k = 0; e->op == OP_max && e->n_args == 2 && k < 2; k++)
        if (ex_is_real(e->arg[k], 0) && e->arg[1 - k]->op == OP_col && e->arg[1 - k]->type == T_REAL)
            return e->arg[1 - k]->col;
    return -1;
}

/* Column of a row block that is column c of its source; -1. */
static int same_column(const Block *r, int c)
{
    for (int k = 0; k < r->n_cols; k++)
        if (r->col[k].e->op == OP_col && r->col[k].e->col == c && r->col[k].type != T_REAL)
            return k;
    return -1;
}

typedef struct Reread { Arena *a; int src; const Block *to; int of, as; } Reread;      /* column `of` of src is `as` of to */

static bool is_sign(const Reread *w, const Expr *e)
{
    const int x = e->op == OP_gt ? 0 : e->op == OP_lt ? 1 : -1;

    return x >= 0 && e->arg[x]->op == OP_col && e->arg[x]->src == w->src && e->arg[x]->col == w->of &&
           ex_is_real(e->arg[1 - x], 0);
}

/* Does e read of the source only what the other block knows too? */
static bool may_reread(const Reread *w, const Expr *e)
{
    if (!e || is_sign(w, e))
        return true;
    if (e->op == OP_col && e->src == w->src)
        return e->type != T_REAL && same_column(w->to, e->col) >= 0;
    for (int k = 0; k < e->n_args; k++)
        if (!may_reread(w, e->arg[k]))
            return false;
    return true;
}

static Expr *column_there(void *arg, const Expr *col)
{
    const Reread *w = arg;

    if (col->src != w->src)
        return NULL;
    Expr *e = ex_copy(w->a, col);
    e->col = col->type == T_REAL ? w->as : same_column(w->to, col->col);
    return e;
}

typedef bool EachExpr(const Reread *w, Expr **e);

static bool allows(const Reread *w, Expr **e)
{
    return may_reread(w, *e);
}

static bool redirect(const Reread *w, Expr **e)
{
    *e = *e ? ex_map(w->a, *e, column_there, (void *)(uintptr_t)w) : NULL;
    return true;
}

static bool each_expr(const Reread *w, Block *r, EachExpr *fn)
{
    bool ok = true;

    for (int k = 0; k < r->n_where; k++)
        ok = ok && fn(w, &r->where[k]);
    for (int s = 0; s < r->n_src; s++)
        for (int k = 0; k < r->src[s].n_on; k++)
            ok = ok && fn(w, &r->src[s].on[k]);
    for (int c = 0; c < r->n_cols; c++)
        ok = ok && fn(w, &r->col[c].e);
    return ok;
}

/* Is block r, a row for every row of its source, stored, and has it the source's identity? */
static bool is_stored_map(const Prog *p, const Block *r)
{
    if (r->kind != BLK_row || r->n_src != 1 || r->n_where || r->mode != r->src[0].rel->mode || inline_readers(p, r) >= 0)
        return false;
    for (int k = 0; k < r->src[0].rel->n_id; k++)
        if (same_column(r, r->src[0].rel->id_col[k]) < 0)
            return false;
    return true;
}

static void reread_signs(Prog *p, const Block *b, Block *to, int as)
{
    for (int k = to->id + 1; k < p->n_blocks; k++) {
        Block *r = p->block[k];
        for (int s = 0; s < r->n_src; s++) {
            const Reread w = { &p->c->arena, s, to, positive_part_of(to->col[as].e), as };
            if (r->src[s].rel != b || (r->kind != BLK_row && r->kind != BLK_reduce) || !each_expr(&w, r, allows))
                continue;
            each_expr(&w, r, redirect);
            r->src[s].rel = to;
        }
    }
}

void pass_reread(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++) {
        Block *to = p->block[k];
        for (int c = 0; is_stored_map(p, to) && c < to->n_cols; c++)
            if (positive_part_of(to->col[c].e) >= 0)
                reread_signs(p, to->src[0].rel, to, c);
    }
}
