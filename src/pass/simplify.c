/* SPDX-License-Identifier: Apache-2.0
 *
 * simplify.c - scalar identities that keep every bit, and constants folded.
 *   needs   types resolved, conversions explicit
 *   keeps   every value bit for bit, including NaN, infinities, NULL and -0
 *   leaves  blocks as they are; only expressions change */
#include "pass/pass.h"

#include <math.h>

static bool is_literal(const Expr *e)
{
    return e->op == OP_lit_int || e->op == OP_lit_real || e->op == OP_lit_null;
}

static Expr *literal_of(Arena *a, const Expr *e, Value v)
{
    Expr *r = v.null ? ex_null(a, e->type) : v.type == T_REAL ? ex_real(a, v.r) : ex_int(a, v.i);

    r->at = e->at;
    return r;
}

/* An operator over literals becomes its value, unless that is a BOOL or not finite (left for the reader to see). */
static Expr *fold(Arena *a, Expr *e)
{
    for (int k = 0; k < e->n_args; k++)
        if (!is_literal(e->arg[k]))
            return e;
    if (!e->n_args || e->type == T_BOOL || e->type == T_TEXT || e->type == T_NULL)
        return e;
    const Value v = ex_eval(e, NULL, NULL);
    return v.null || (v.type == T_REAL && !isfinite(v.r)) ? e : literal_of(a, e, v);
}

static bool is_one(const Expr *e)
{
    return ex_is_real(e, 1) || (e->op == OP_lit_int && e->i == 1);
}

static bool is_pos_zero(const Expr *e)
{
    return ex_is_real(e, 0) || (e->op == OP_lit_int && e->i == 0);
}

/* x + 0.0 is not x when x is -0; LN(EXP(x)) is not x when EXP overflows: neither is a rule. */
static Expr *simplify1(Arena *a, Expr *e)
{
    Expr *x = e->n_args > 0 ? e->arg[0] : NULL, *y = e->n_args > 1 ? e->arg[1] : NULL;

    if (e->op == OP_mul && is_one(y))
        return x;
    if (e->op == OP_mul && is_one(x))
        return y;
    if ((e->op == OP_div || e->op == OP_idiv) && is_one(y))
        return x;
    if (e->op == OP_sub && is_pos_zero(y))
        return x;
    if (e->op == OP_neg && x->op == OP_neg)
        return x->arg[0];
    return fold(a, e);
}

static Expr *simplified(Arena *a, Expr *e)
{
    if (!e || !e->n_args)
        return e;
    Expr *n = ARENA_NEW(a, Expr);
    *n = *e;
    n->arg = ARENA_ARRAY(a, Expr *, e->n_args);
    for (int k = 0; k < e->n_args; k++)
        n->arg[k] = simplified(a, e->arg[k]);
    return simplify1(a, n);
}

static void simplify_slot(void *a, Expr **e)
{
    *e = simplified(a, *e);
}

void pass_simplify(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        blk_each_expr(p->block[k], simplify_slot, &p->c->arena);
}
