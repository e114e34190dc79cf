/* SPDX-License-Identifier: Apache-2.0
 *
 * sign.c - cheap proofs about numbers: can this expression be zero, negative, infinite, NaN?
 * Printers guard a division only where the divisor may be zero, so that emitted SQL stays readable and
 * quick.  The proofs hold for doubles: EXP may underflow to zero, 1 + EXP may not.  Answers are sets of
 * possible signs; "any" is always right. */
#include "ir/ir.h"

#include <math.h>

/* A proof looks at no more than this many nodes: blocks form a graph, and paths through it multiply. */
#define SIGN_BUDGET 400

typedef struct Prover { const Block *b; int left; } Prover;

static unsigned prove_sign(Prover *p, const Block *b, const Expr *e);

static unsigned sign_of_real(double r)
{
    const unsigned far = fabs(r) >= 1 ? SIGN_far : 0;
    return r > 0 ? SIGN_pos | far : r < 0 ? SIGN_neg | far : r == 0 ? SIGN_zero : SIGN_any;
}

static unsigned sign_negated(unsigned s)
{
    return (s & (SIGN_zero | SIGN_far)) | (s & SIGN_neg ? SIGN_pos : 0) | (s & SIGN_pos ? SIGN_neg : 0);
}

/* Integers other than zero are at least 1 away from it. */
static unsigned sign_of_int(unsigned s)
{
    return s & SIGN_zero ? s & ~(unsigned)SIGN_far : s | SIGN_far;
}

static unsigned sign_added(unsigned x, unsigned y)
{
    const unsigned both = (x | y) & SIGN_any;

    if ((both & SIGN_pos) && (both & SIGN_neg))
        return SIGN_any;
    if (!(x & SIGN_zero) || !(y & SIGN_zero))       /* one of them is never zero, the signs agree */
        return (both & ~(unsigned)SIGN_zero) | ((x | y) & SIGN_far);
    return both;
}

/* Products of small numbers underflow to zero, unless one factor keeps the other from shrinking. */
static unsigned sign_multiplied(unsigned x, unsigned y)
{
    unsigned r = 0;

    if (((x & SIGN_pos) && (y & SIGN_pos)) || ((x & SIGN_neg) && (y & SIGN_neg)))
        r |= SIGN_pos;
    if (((x & SIGN_pos) && (y & SIGN_neg)) || ((x & SIGN_neg) && (y & SIGN_pos)))
        r |= SIGN_neg;
    if (((x | y) & SIGN_zero) || !((x | y) & SIGN_far))
        r |= SIGN_zero;
    return r | (x & y & SIGN_far);
}

static unsigned sign_of_base(const Block *r, int col)
{
    const Shape *s = r->shape;

    for (int j = 0; s && j < s->n_cols; j++)
        if (s->col[j] == col && s->lo[j] <= s->hi[j])
            return sign_of_int((s->lo[j] < 0 ? SIGN_neg : 0) | (s->hi[j] > 0 ? SIGN_pos : 0) |
                               (s->lo[j] <= 0 && s->hi[j] >= 0 ? SIGN_zero : 0));
    return SIGN_any;
}

static unsigned sign_of_agg(Prover *p, const Block *r, const Col *k)
{
    switch (k->agg) {
    case AGG_none: return prove_sign(p, r, k->e);
    case AGG_count:
        return r->n_keys && (!k->e || !k->e->nullable) ? SIGN_pos | SIGN_far : SIGN_zero | SIGN_pos;
    case AGG_sum: {
        const unsigned s = prove_sign(p, r, k->e);
        return (s & SIGN_pos) && (s & SIGN_neg) ? SIGN_any : s;
    }
    case AGG_min: case AGG_max: return prove_sign(p, r, k->e);
    }
    BUG("sign_of_agg: aggregate %d", (int)k->agg);
}

static unsigned sign_of_col(Prover *p, const Block *r, int col)
{
    const Col *k = &r->col[col];
    unsigned s = 0, far = SIGN_far;

    switch (r->kind) {
    case BLK_base: return sign_of_base(r, col);
    case BLK_row: case BLK_pick: return prove_sign(p, r, k->e);
    case BLK_reduce: return sign_of_agg(p, r, k);
    case BLK_union:
        for (int j = 0; j < r->n_parts; j++) {
            const unsigned t = prove_sign(p, r, r->part[j].e[col]);
            s |= t & SIGN_any;
            far &= t;
        }
        return s | far;
    }
    BUG("sign_of_col: kind %d", (int)r->kind);
}

/* The union over the results of CASE, COALESCE. */
static unsigned sign_of_any_arg(Prover *p, const Block *b, const Expr *e)
{
    unsigned s = 0, far = SIGN_far;

    for (int k = 0; k < e->n_args; k++) {
        if (e->op == OP_cond && k % 2 == 0 && k != e->n_args - 1)
            continue;
        if (e->arg[k]->op == OP_lit_null)
            continue;
        const unsigned t = prove_sign(p, b, e->arg[k]);
        s |= t & SIGN_any;
        far &= t;
    }
    return s | far;
}

/* The largest argument is at least as large as each of them; MIN is MAX upside down. */
static unsigned sign_of_max(Prover *p, const Block *b, const Expr *e, bool max)
{
    unsigned any = 0, far = SIGN_far, pos_far = 0;
    bool pos = false, not_neg = false;

    for (int k = 0; k < e->n_args; k++) {
        const unsigned t = prove_sign(p, b, e->arg[k]), s = max ? t : sign_negated(t);
        any |= s & SIGN_any;
        far &= s;
        not_neg |= !(s & SIGN_neg);
        if ((s & SIGN_any) == SIGN_pos) {
            pos = true;
            pos_far |= s & SIGN_far;
        }
    }
    const unsigned r = pos ? SIGN_pos | pos_far | far : not_neg ? (any & ~(unsigned)SIGN_neg) | far : any | far;
    return max ? r : sign_negated(r);
}

static unsigned sign_of_pow(Prover *p, const Block *b, const Expr *e)
{
    const Expr *n = e->arg[1];
    const unsigned s = prove_sign(p, b, e->arg[0]);

    if (n->op == OP_lit_real && fmod(n->r, 2.0) == 0)
        return SIGN_zero | SIGN_pos;
    return s & SIGN_neg ? SIGN_any : SIGN_zero | SIGN_pos;
}

static unsigned sign_of_exp(unsigned s)
{
    return s & SIGN_neg ? SIGN_zero | SIGN_pos : SIGN_pos | SIGN_far;
}

/* NULLIF(x, 0) is never zero. */
static unsigned sign_of_nullif(Prover *p, const Block *b, const Expr *e)
{
    const unsigned s = prove_sign(p, b, e->arg[0]);
    const Expr *z = e->arg[1];
    const bool zero = (z->op == OP_lit_real && z->r == 0) || (z->op == OP_lit_int && z->i == 0);

    return zero ? s & ~(unsigned)SIGN_zero : s;
}

static unsigned sign_of_op(Prover *p, const Block *b, const Expr *e)
{
    const Expr *x = e->n_args > 0 ? e->arg[0] : NULL, *y = e->n_args > 1 ? e->arg[1] : NULL;
    unsigned s;

    switch (e->op) {
    case OP_col: return b->kind == BLK_base ? SIGN_any : sign_of_col(p, b->src[e->src].rel, e->col);
    case OP_lit_int: return sign_of_real((double)e->i);
    case OP_lit_real: return sign_of_real(e->r);
    case OP_neg: return sign_negated(prove_sign(p, b, x));
    case OP_add: return sign_added(prove_sign(p, b, x), prove_sign(p, b, y));
    case OP_sub: return sign_added(prove_sign(p, b, x), sign_negated(prove_sign(p, b, y)));
    case OP_mul:
        s = sign_multiplied(prove_sign(p, b, x), prove_sign(p, b, y));
        return ex_equal(x, y) ? s & ~(unsigned)SIGN_neg : s;
    case OP_div: return sign_multiplied(prove_sign(p, b, x), prove_sign(p, b, y)) | SIGN_zero;
    case OP_abs:
        s = prove_sign(p, b, x);
        return (s & (SIGN_zero | SIGN_far)) | (s & (SIGN_pos | SIGN_neg) ? SIGN_pos : 0);
    case OP_sqrt: return prove_sign(p, b, x) & ~(unsigned)SIGN_neg;
    case OP_sign: case OP_tanh: case OP_atan: return prove_sign(p, b, x) & SIGN_any;
    case OP_to_real: return x->type == T_TEXT ? SIGN_any : prove_sign(p, b, x);
    case OP_exp: return sign_of_exp(prove_sign(p, b, x));
    case OP_pow: return sign_of_pow(p, b, e);
    case OP_draw: return SIGN_zero | SIGN_pos;
    case OP_max: return sign_of_max(p, b, e, true);
    case OP_min: return sign_of_max(p, b, e, false);
    case OP_cond: case OP_coalesce: return sign_of_any_arg(p, b, e);
    case OP_nullif: return sign_of_nullif(p, b, e);
    case OP_lit_text: case OP_lit_null: case OP_var: case OP_idiv: case OP_mod: case OP_ln: case OP_log10:
    case OP_sin: case OP_cos: case OP_tan: case OP_floor: case OP_ceil: case OP_round: case OP_to_int:
    case OP_to_text: case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same:
    case OP_differ: case OP_is_null: case OP_not_null: case OP_in: case OP_and: case OP_or: case OP_not:
        return SIGN_any;
    }
    BUG("sign_of_op: operator %d", (int)e->op);
}

static bool is_zero_or_more(const Expr *e)
{
    return (e->op == OP_lit_real && e->r >= 0) || (e->op == OP_lit_int && e->i >= 0);
}

/* Rows of the block satisfy its WHERE: `e > 0`, `e <> 0`, `e >= 0` narrow e. */
static unsigned narrow_by_where(const Block *b, const Expr *e, unsigned s)
{
    for (int k = 0; k < b->n_where; k++) {
        const Expr *w = b->where[k];
        if (w->n_args != 2 || !ex_equal(w->arg[0], e) || !is_zero_or_more(w->arg[1]))
            continue;
        if (w->op == OP_gt)
            s &= ~(unsigned)(SIGN_neg | SIGN_zero);
        else if (w->op == OP_ge)
            s &= ~(unsigned)SIGN_neg;
        else if (w->op == OP_ne && prove_sign(&(Prover){ b, 8 }, b, w->arg[1]) == SIGN_zero)
            s &= ~(unsigned)SIGN_zero;
    }
    return s;
}

static unsigned prove_sign(Prover *p, const Block *b, const Expr *e)
{
    if (!e || p->left-- <= 0)
        return SIGN_any;
    unsigned s = sign_of_op(p, b, e);
    if (e->type != T_REAL)
        s = sign_of_int(s & SIGN_any);
    return s & SIGN_zero ? s & ~(unsigned)SIGN_far : s;
}

unsigned ex_signs(const Block *b, const Expr *e)
{
    Prover p = { b, SIGN_BUDGET };
    return narrow_by_where(b, e, prove_sign(&p, b, e));
}

/* ---- infinities and NaN ---- */

static unsigned risk_of_args(const Block *b, const Expr *e)
{
    unsigned r = 0;

    for (int k = 0; k < e->n_args; k++)
        if (e->arg[k]->type == T_REAL)
            r |= ex_risk(b, e->arg[k]);
    return r;
}

static unsigned risk_of_sum(unsigned x, unsigned y)
{
    return RISK_inf | ((x | y) & RISK_nan) | (x & y & RISK_inf ? RISK_nan : 0);
}

static unsigned risk_of_div(const Block *b, const Expr *e)
{
    const unsigned x = ex_risk(b, e->arg[0]), y = ex_risk(b, e->arg[1]);
    unsigned r = ((x | y) & RISK_nan) | RISK_inf;

    if (x & y & RISK_inf)
        r |= RISK_nan;
    if ((ex_signs(b, e->arg[1]) & SIGN_zero) && (ex_signs(b, e->arg[0]) & SIGN_zero))
        r |= RISK_nan;
    return r;
}

static unsigned risk_of_pow(const Block *b, const Expr *e)
{
    const Expr *n = e->arg[1];
    const unsigned r = risk_of_args(b, e) | RISK_inf;

    if ((n->op == OP_lit_real && floor(n->r) == n->r) || !(ex_signs(b, e->arg[0]) & SIGN_neg))
        return r;
    return r | RISK_nan;
}

unsigned ex_risk(const Block *b, const Expr *e)
{
    unsigned r;

    switch (e->op) {
    case OP_lit_real: return isnan(e->r) ? RISK_nan : isinf(e->r) ? RISK_inf : 0;
    case OP_add: case OP_sub: return risk_of_sum(ex_risk(b, e->arg[0]), ex_risk(b, e->arg[1]));
    case OP_mul:
        r = risk_of_args(b, e);
        return r ? RISK_inf | RISK_nan : RISK_inf;
    case OP_div: return risk_of_div(b, e);
    case OP_exp: return risk_of_args(b, e) | RISK_inf;
    case OP_ln: case OP_log10:
        return risk_of_args(b, e) | RISK_inf | (ex_signs(b, e->arg[0]) & SIGN_neg ? RISK_nan : 0);
    case OP_sqrt: return risk_of_args(b, e) | (ex_signs(b, e->arg[0]) & SIGN_neg ? RISK_nan : 0);
    case OP_pow: return risk_of_pow(b, e);
    case OP_sin: case OP_cos: case OP_tan:
        r = risk_of_args(b, e);
        return r ? r | RISK_nan : 0;
    case OP_tanh: case OP_atan: case OP_sign: return risk_of_args(b, e) & RISK_nan;
    case OP_neg: case OP_abs: case OP_floor: case OP_ceil: case OP_round: case OP_max: case OP_min:
    case OP_cond: case OP_coalesce: case OP_nullif: case OP_to_real:
        return risk_of_args(b, e);
    case OP_col: case OP_lit_int: case OP_lit_text: case OP_lit_null: case OP_var: case OP_idiv: case OP_mod:
    case OP_draw: case OP_to_int: case OP_to_text: case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge:
    case OP_same: case OP_differ: case OP_is_null: case OP_not_null: case OP_in: case OP_and: case OP_or:
    case OP_not:
        return 0;
    }
    BUG("ex_risk: operator %d", (int)e->op);
}
