/* SPDX-License-Identifier: Apache-2.0
 *
 * derive.c - the partial derivative of a scalar expression towards one column: one line an operator.
 * Structural, from the leaves up: adjoints are never pushed down, so that the factor outside a guard stays
 * outside (g * CASE WHEN x > 0 THEN 1/x ELSE 0.0 END has no 0·inf).  NULL means zero everywhere. */
#include "pass/grad.h"

#include <math.h>

static bool is_zero(const Expr *e)
{
    return !e;
}

Expr *grad_mul(Arena *a, Expr *x, Expr *y)
{
    if (is_zero(x) || is_zero(y))
        return NULL;
    if (ex_is_real(x, 1))
        return y;
    if (ex_is_real(y, 1))
        return x;
    if (ex_is_real(x, -1))
        return ex1(a, OP_neg, y);
    if (ex_is_real(y, -1))
        return ex1(a, OP_neg, x);
    if (y->op == OP_neg)
        return ex1(a, OP_neg, ex2(a, OP_mul, x, y->arg[0]));
    return ex2(a, OP_mul, x, y);
}

Expr *grad_add(Arena *a, Expr *x, Expr *y)
{
    if (is_zero(x))
        return y;
    if (is_zero(y))
        return x;
    return y->op == OP_neg ? ex2(a, OP_sub, x, y->arg[0]) : ex2(a, OP_add, x, y);
}

static Expr *negate(Arena *a, Expr *x)
{
    if (is_zero(x))
        return NULL;
    return x->op == OP_neg ? x->arg[0] : x->op == OP_lit_real ? ex_real(a, -x->r) : ex1(a, OP_neg, x);
}

static Expr *divide(Arena *a, Expr *x, Expr *y)
{
    return is_zero(x) ? NULL : ex2(a, OP_div, x, y);
}

static Expr *or_zero(Arena *a, Expr *x)
{
    return x ? x : ex_real(a, 0);
}

/* a/b: (a' - (a/b)·b') / b, or a'/b - (a/b)·(b'/b) */
static Expr *derive_div(Arena *a, const Expr *e, Expr *da, Expr *db, const Expr *col)
{
    Expr *growth = db ? grad_growth(a, e->arg[1], col) : NULL;

    if (growth)
        return grad_add(a, divide(a, da, e->arg[1]), negate(a, grad_mul(a, (Expr *)e, growth)));
    Expr *back = grad_mul(a, (Expr *)e, db);
    return divide(a, grad_add(a, da, negate(a, back)), e->arg[1]);
}

static Expr *derive_ln(Arena *a, Expr *x, Expr *dx, const Expr *col)
{
    Expr *growth = dx ? grad_growth(a, x, col) : NULL;

    return growth ? growth : divide(a, dx, x);
}

/* x^n towards x: n·x^(n-1), and 0 where n = 0 whatever x is; as torch's pow_backward_self. */
static Expr *pow_base(Arena *a, const Expr *e, Expr *dx)
{
    Expr *x = e->arg[0], *n = e->arg[1];

    if (is_zero(dx) || ex_is_real(n, 0))
        return NULL;
    if (ex_is_real(n, 1))
        return dx;
    if (n->op == OP_lit_real) {
        Expr *rest = n->r == 2 ? x : ex2(a, OP_pow, x, ex_real(a, n->r - 1));
        return grad_mul(a, dx, ex2(a, OP_mul, n, rest));
    }
    Expr *slope = ex2(a, OP_mul, n, ex2(a, OP_pow, x, ex2(a, OP_sub, n, ex_real(a, 1))));
    Expr *when[3] = { ex2(a, OP_eq, n, ex_real(a, 0)), ex_real(a, 0), slope };
    return grad_mul(a, dx, ex_exprs(a, OP_cond, when, 3));
}

/* x^n towards n: x^n·ln x, and 0 at x = 0, n >= 0; as torch's pow_backward_exponent. */
static Expr *pow_exponent(Arena *a, const Expr *e, Expr *dn)
{
    if (is_zero(dn))
        return NULL;
    Expr *x = e->arg[0], *zero = ex_real(a, 0);
    Expr *at0 = ex2(a, OP_and, ex2(a, OP_eq, x, zero), ex2(a, OP_ge, e->arg[1], zero));
    Expr *when[3] = { at0, zero, ex2(a, OP_mul, (Expr *)e, ex1(a, OP_ln, x)) };
    return grad_mul(a, dn, ex_exprs(a, OP_cond, when, 3));
}

static bool reads_value(void *arg, const Expr *e)
{
    (void)arg;
    return e->op == OP_col && e->type == T_REAL;
}

/* Argument i of MAX/MIN: n equal extremes share 1/n; a literal or key expression that is as good takes
 * the whole gradient away. */
static Expr *extreme_share(Arena *a, const Expr *e, int i)
{
    const Op strictly = e->op == OP_max ? OP_gt : OP_lt, weakly = e->op == OP_max ? OP_ge : OP_le;
    Expr *test[64], *ties = NULL, *x = e->arg[i];
    int n = 0;

    for (int k = 0; k < e->n_args && n < (int)COUNT_OF(test); k++) {
        if (k == i)
            continue;
        const bool value = ex_any(e->arg[k], reads_value, NULL);
        test[n++] = ex2(a, value ? weakly : strictly, x, e->arg[k]);
        if (!value)
            continue;
        Expr *tie[3] = { ex2(a, OP_eq, x, e->arg[k]), ex_real(a, 1), ex_real(a, 0) };
        ties = grad_add(a, ties, ex_exprs(a, OP_cond, tie, 3));
    }
    Expr *share = ties ? ex2(a, OP_div, ex_real(a, 1), ex2(a, OP_add, ex_real(a, 1), ties)) : ex_real(a, 1);
    Expr *when[3] = { n == 1 ? test[0] : ex_exprs(a, OP_and, test, n), share, ex_real(a, 0) };
    return ex_exprs(a, OP_cond, when, 3);
}

static Expr *derive_extreme(Arena *a, const Expr *e, const Expr *col)
{
    Expr *sum = NULL;

    for (int i = 0; i < e->n_args; i++)
        sum = grad_add(a, sum, grad_mul(a, grad_derive(a, e->arg[i], col), extreme_share(a, e, i)));
    return sum;
}

/* CASE: the CASE of the derivatives.  COALESCE: the first argument that is not NULL. */
static Expr *derive_branches(Arena *a, const Expr *e, const Expr *col)
{
    const bool is_case = e->op == OP_cond;
    const int n_out = is_case ? e->n_args : 2 * e->n_args - 1;
    Expr **out = ARENA_ARRAY(a, Expr *, n_out);
    bool any = false;

    for (int k = 0; k < n_out; k++) {
        const bool result = k % 2 == 1 || k == n_out - 1;
        Expr *x = e->arg[is_case ? k : k == n_out - 1 ? e->n_args - 1 : k / 2];
        if (!result) {
            out[k] = is_case ? x : ex1(a, OP_not_null, x);
            continue;
        }
        Expr *d = grad_derive(a, x, col);
        any |= d != NULL;
        out[k] = or_zero(a, d);
    }
    return any ? ex_exprs(a, OP_cond, out, n_out) : NULL;
}

Expr *grad_derive(Arena *a, const Expr *e, const Expr *col)
{
    if (e->type != T_REAL)
        return NULL;
    Expr *x = e->n_args > 0 ? e->arg[0] : NULL, *y = e->n_args > 1 ? e->arg[1] : NULL;
    const bool branches = op_info[e->op].kind == 'm' || e->op == OP_max || e->op == OP_min;
    Expr *dx = x && !branches ? grad_derive(a, x, col) : NULL;
    Expr *dy = y && !branches ? grad_derive(a, y, col) : NULL;
    Expr *self = (Expr *)e, *one = ex_real(a, 1);

    switch (e->op) {
    case OP_col: return e->src == col->src && e->col == col->col ? one : NULL;
    case OP_neg: return negate(a, dx);
    case OP_add: return grad_add(a, dx, dy);
    case OP_sub: return grad_add(a, dx, negate(a, dy));
    case OP_mul: return grad_add(a, grad_mul(a, dx, y), grad_mul(a, x, dy));
    case OP_div: return derive_div(a, e, dx, dy, col);
    case OP_abs: return grad_mul(a, dx, ex1(a, OP_sign, x));
    case OP_exp: return grad_mul(a, dx, self);
    case OP_ln: return derive_ln(a, x, dx, col);
    case OP_log10: return divide(a, dx, ex2(a, OP_mul, x, ex_real(a, 2.302585092994045684)));
    case OP_sqrt: return divide(a, grad_mul(a, dx, ex_real(a, 0.5)), self);
    case OP_pow: return grad_add(a, pow_base(a, e, dx), pow_exponent(a, e, dy));
    case OP_sin: return grad_mul(a, dx, dx ? ex1(a, OP_cos, x) : NULL);
    case OP_cos: return negate(a, grad_mul(a, dx, dx ? ex1(a, OP_sin, x) : NULL));
    case OP_tan: return grad_mul(a, dx, ex2(a, OP_add, one, ex2(a, OP_mul, self, self)));
    case OP_tanh: return grad_mul(a, dx, ex2(a, OP_sub, one, ex2(a, OP_mul, self, self)));
    case OP_atan: return divide(a, dx, ex2(a, OP_add, one, ex2(a, OP_mul, x, x)));
    case OP_max: case OP_min: return derive_extreme(a, e, col);
    case OP_cond: case OP_coalesce: return derive_branches(a, e, col);
    case OP_nullif: case OP_to_real: return grad_derive(a, x, col);
    case OP_lit_int: case OP_lit_real: case OP_lit_text: case OP_lit_null: case OP_var: case OP_idiv: case OP_draw:
    case OP_mod: case OP_sign: case OP_floor: case OP_ceil: case OP_round: case OP_to_int: case OP_to_text:
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same: case OP_differ:
    case OP_is_null: case OP_not_null: case OP_in: case OP_and: case OP_or: case OP_not:
        return NULL;
    }
    BUG("grad_derive: operator %d", (int)e->op);
}
