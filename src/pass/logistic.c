/* SPDX-License-Identifier: Apache-2.0
 *
 * logistic.c - an EXP that overflows inside of something that would not.  In f32 that is from 88 on: where
 * people write the loss of a logistic regression, LN(1 + EXP(x)) would be infinite and EXP(x) / (1 + EXP(x)) NaN.
 *
 *   LN(c + EXP(x))               ln c + MAX(z, 0) + LN(1 + EXP(-|z|)),  z = x - ln c, c a positive literal
 *   a·EXP(x) / (EXP(x) + …)      a / (1 + …·EXP(-x)),  for each of the other terms; EXP(y)·EXP(-x) is EXP(y - x)
 *
 * Equal for real numbers, and finite where the left side is.  |z| and MAX are CASEs of one condition: their
 * derivatives meet at z = 0 to the true one, 1/2, where those of ABS and MAX, both 0 there, would not.
 * What derivatives such forms need is in derive.c.
 *   needs   types resolved; runs before grad
 *   keeps   blocks as they are; only expressions change, and their values by rounding
 *   leaves  an x that is never positive, as in LN(1 + EXP(-ABS(x))), and one of more than NODES_MAX nodes */
#include "pass/pass.h"

#include <math.h>

enum { NODES_MAX = 64, TERMS_MAX = 8 };

typedef struct Place { Arena *a; const Block *b; } Place;

static int nodes_of(const Expr *e)
{
    int n = 1;

    for (int k = 0; k < e->n_args && n <= NODES_MAX; k++)
        n += nodes_of(e->arg[k]);
    return n;
}

/* A literal that is greater than 0, or 0. */
static double literal_above(const Expr *e)
{
    if (e->op == OP_to_real && e->arg[0]->op == OP_lit_int)
        return e->arg[0]->i > 0 ? (double)e->arg[0]->i : 0;
    return e->op == OP_lit_real && e->r > 0 && isfinite(e->r) ? e->r : 0;
}

static Expr *if_positive(Arena *a, Expr *z, Expr *then, Expr *otherwise)
{
    Expr *arg[3] = { ex2(a, OP_gt, z, ex_real(a, 0)), then, otherwise };

    return ex_exprs(a, OP_cond, arg, 3);
}

static Expr *softplus(const Place *w, Expr *e)
{
    Arena *a = w->a;
    const Expr *sum = e->arg[0];
    const int k = sum->op == OP_add && sum->arg[0]->op == OP_exp ? 0 : 1;

    if (sum->op != OP_add || sum->arg[k]->op != OP_exp || literal_above(sum->arg[1 - k]) == 0)
        return e;
    const double shift = log(literal_above(sum->arg[1 - k]));
    Expr *x = sum->arg[k]->arg[0], *z = shift == 0 ? x : ex2(a, OP_sub, x, ex_real(a, shift));
    if (nodes_of(x) > NODES_MAX || !(w->b->n_parts || ex_signs(w->b, z) & SIGN_pos))
        return e;
    Expr *small = ex1(a, OP_exp, if_positive(a, z, ex1(a, OP_neg, z), z));
    Expr *rest = ex1(a, OP_ln, ex2(a, OP_add, ex_real(a, 1), small));
    Expr *whole = ex2(a, OP_add, if_positive(a, z, z, ex_real(a, 0)), rest);
    return shift == 0 ? whole : ex2(a, OP_add, whole, ex_real(a, shift));
}

static bool terms_of(Expr *e, Expr **term, int *n)
{
    if (e->op == OP_add)
        return terms_of(e->arg[0], term, n) && terms_of(e->arg[1], term, n);
    if (*n == TERMS_MAX)
        return false;
    term[(*n)++] = e;
    return true;
}

/* term / EXP(x) */
static Expr *over_exp(Arena *a, Expr *term, Expr *x)
{
    if (term->op == OP_exp)
        return ex1(a, OP_exp, ex2(a, OP_sub, term->arg[0], x));
    Expr *down = ex1(a, OP_exp, ex1(a, OP_neg, x));
    return ex_is_real(term, 1) ? down : ex2(a, OP_mul, term, down);
}

/* EXP(x) of e = EXP(x), a·EXP(x) or EXP(x)·a; *rest is a, or NULL for 1. */
static Expr *exp_factor(Expr *e, Expr **rest)
{
    *rest = NULL;
    if (e->op == OP_exp)
        return e;
    if (e->op != OP_mul)
        return NULL;
    const int k = e->arg[1]->op == OP_exp ? 1 : 0;
    *rest = e->arg[1 - k];
    return e->arg[k]->op == OP_exp ? e->arg[k] : NULL;
}

static Expr *fraction(const Place *w, Expr *e)
{
    Arena *a = w->a;
    Expr *term[TERMS_MAX], *above, *below = ex_real(a, 1), *factor = exp_factor(e->arg[0], &above);
    int n = 0, own = -1;

    if (!factor || e->arg[1]->op != OP_add || !terms_of(e->arg[1], term, &n) || nodes_of(factor) > NODES_MAX)
        return e;
    for (int k = n - 1; k >= 0; k--)
        if (ex_equal(term[k], factor))
            own = k;
    if (own < 0)
        return e;
    for (int k = 0; k < n; k++)
        if (k != own)
            below = ex2(a, OP_add, below, over_exp(a, term[k], factor->arg[0]));
    return ex2(a, OP_div, above ? above : ex_real(a, 1), below);
}

static Expr *rewritten(const Place *w, Expr *e)
{
    if (!e->n_args)
        return e;
    Expr *n = ARENA_NEW(w->a, Expr);
    *n = *e;
    n->arg = ARENA_ARRAY(w->a, Expr *, e->n_args);
    for (int k = 0; k < e->n_args; k++)
        n->arg[k] = rewritten(w, e->arg[k]);
    Expr *r = n->op == OP_ln ? softplus(w, n) : n->op == OP_div ? fraction(w, n) : n;
    r->at = e->at;
    return r;
}

static bool is_exp(void *arg, const Expr *e)
{
    (void)arg;
    return e->op == OP_exp;
}

static void rewrite_slot(void *place, Expr **e)
{
    if (ex_any(*e, is_exp, NULL))
        *e = rewritten(place, *e);
}

void pass_logistic(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        blk_each_expr(p->block[k], rewrite_slot, &(Place){ &p->c->arena, p->block[k] });
}
