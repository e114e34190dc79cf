/* SPDX-License-Identifier: Apache-2.0
 *
 * growth.c - how fast a number grows: e'/e.  Where EXP(x) overflows that would be inf/inf, and (1/e)·e' would be
 * 0·inf, though EXP(x) just grows by x'.  A term t that grows like that is the share t/(t + r) = 1/(1 + r/t) of
 * its sum, and r/t goes to 0; the growth of a sum is that of its terms, each by its share.  So the derivatives of
 * 1/(1 + EXP(-x)) and LN(a + EXP(x)) are finite wherever they themselves are. */
#include "pass/grad.h"

enum { TERMS_MAX = 8 };

/* The growth of e if it is an EXP but for signs and for factors that `col` does not reach; else NULL. */
static Expr *term_growth(Arena *a, const Expr *e, const Expr *col)
{
    if (e->op == OP_exp)
        return grad_derive(a, e->arg[0], col);
    if (e->op == OP_neg)
        return term_growth(a, e->arg[0], col);
    if (e->op == OP_div)
        return grad_derive(a, e->arg[1], col) ? NULL : term_growth(a, e->arg[0], col);
    if (e->op != OP_mul)
        return NULL;
    for (int k = 0; k < 2; k++)
        if (!grad_derive(a, e->arg[1 - k], col))
            return term_growth(a, e->arg[k], col);
    return NULL;
}

typedef struct Terms { Arena *a; Expr *term[TERMS_MAX]; int n; bool many; } Terms;

static void add_terms(Terms *t, Expr *e, bool minus)
{
    if (e->op == OP_add || e->op == OP_sub) {
        add_terms(t, e->arg[0], minus);
        add_terms(t, e->arg[1], minus != (e->op == OP_sub));
    } else if (e->op == OP_neg)
        add_terms(t, e->arg[0], !minus);
    else if (t->n < TERMS_MAX)
        t->term[t->n++] = minus ? ex1(t->a, OP_neg, e) : e;
    else
        t->many = true;
}

/* growth · term k / (sum of all terms) */
static Expr *share_of(const Terms *t, int k, Expr *growth)
{
    Expr *rest = NULL;

    for (int j = 0; j < t->n; j++)
        if (j != k)
            rest = grad_add(t->a, rest, t->term[j]);
    if (!rest)
        return growth;
    Expr *parts = ex2(t->a, OP_add, ex_real(t->a, 1), ex2(t->a, OP_div, rest, t->term[k]));
    return ex2(t->a, OP_div, growth, parts);
}

Expr *grad_growth(Arena *a, Expr *e, const Expr *col)
{
    Terms t = { .a = a };
    Expr *sum = NULL;
    bool any = false;

    add_terms(&t, e, false);
    for (int k = 0; k < t.n && !t.many; k++) {
        Expr *growth = term_growth(a, t.term[k], col), *slope = growth ? NULL : grad_derive(a, t.term[k], col);
        any |= growth != NULL;
        if (growth)
            sum = grad_add(a, sum, share_of(&t, k, growth));
        else if (slope)
            sum = grad_add(a, sum, ex2(a, OP_div, slope, e));
    }
    return any && !t.many ? sum : NULL;
}
