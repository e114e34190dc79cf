/* SPDX-License-Identifier: Apache-2.0
 *
 * condition.c - the conditions of a block over regular sources: equalities eliminate variables, inequalities bound
 * them.  An outer join is read as an inner one where it always finds its one row. */
#include "lower/block.h"

#include <stdlib.h>
#include <string.h>

bool low_refuse(Lower *l, const char *why)
{
    if (!l->s.why)
        l->s.why = why;
    return false;
}

const RegCol *low_col(const Lower *l, const Expr *e)
{
    return &l->src[e->src]->col[e->col];
}

/* ---- affine forms of expressions ---- */

Lin low_over_vars(const Lower *l, int src, const Affine *f)
{
    Lin x = lin_const(f->c);

    for (int d = 0; d < l->src[src]->n_dims; d++) {
        const Lin v = lin_var(&l->s, l->var0[src] + d);
        if (f->k[d])
            lin_add(&x, &v, f->k[d]);
    }
    return x;
}

bool low_lin(Lower *l, const Expr *e, Lin *out);

static bool lin_of_sum(Lower *l, const Expr *e, int64_t sign, Lin *out)
{
    Lin y;

    return low_lin(l, e->arg[0], out) && low_lin(l, e->arg[1], &y) &&
           (lin_add(out, &y, sign) || low_refuse(l, "its keys are too large for exact arithmetic"));
}

static bool lin_of_product(Lower *l, const Expr *e, Lin *out)
{
    Lin x, y;

    if (!low_lin(l, e->arg[0], &x) || !low_lin(l, e->arg[1], &y))
        return false;
    if (!lin_is_const(&x) && !lin_is_const(&y))
        return low_refuse(l, "it multiplies keys with each other");
    *out = lin_const(0);
    return (lin_is_const(&x) ? lin_add(out, &y, x.c) : lin_add(out, &x, y.c)) ||
           low_refuse(l, "its keys are too large for exact arithmetic");
}

static bool lin_of_quotient(Lower *l, const Expr *e, Lin *out)
{
    Lin x, by, q, r;

    if (!low_lin(l, e->arg[0], &x) || !low_lin(l, e->arg[1], &by))
        return false;
    if (!lin_is_const(&by) || !space_div(&l->s, &x, by.c, &q, &r))
        return low_refuse(l, "it divides by something other than a positive literal");
    *out = e->op == OP_idiv ? q : r;
    return true;
}

bool low_lin(Lower *l, const Expr *e, Lin *out)
{
    const Lin zero = lin_const(0);
    Lin x;

    if (e->type != T_INT)
        return low_refuse(l, "a key is no integer");
    if (e->op == OP_lit_int) {
        *out = lin_const(e->i);
        Lin probe = zero;
        return lin_add(&probe, out, 1) || low_refuse(l, "its keys are too large for exact arithmetic");
    }
    if (e->op == OP_col && low_col(l, e)->kind == REG_affine) {
        *out = low_over_vars(l, e->src, &low_col(l, e)->key);
        return true;
    }
    if (e->op == OP_neg) {
        *out = zero;
        return low_lin(l, e->arg[0], &x) && lin_add(out, &x, -1);
    }
    if (e->op == OP_add || e->op == OP_sub)
        return lin_of_sum(l, e, e->op == OP_add ? 1 : -1, out);
    if (e->op == OP_mul)
        return lin_of_product(l, e, out);
    if (e->op == OP_idiv || e->op == OP_mod)
        return lin_of_quotient(l, e, out);
    return low_refuse(l, "a key is not affine");
}

/* ---- conditions ---- */

bool low_is_kind(const Lower *l, const Expr *e, RegKind kind)
{
    return e->op == OP_col && low_col(l, e)->kind == kind;
}

int low_codes_var(const Lower *l, const Expr *e)
{
    return l->var0[e->src] + low_col(l, e)->dim;
}

static bool same_codes(const Lower *l, int v, int w)
{
    const Space *s = &l->s;
    const int64_t n = s->hi[v] - s->lo[v];

    return n == s->hi[w] - s->lo[w] &&
           (s->codes[v] == s->codes[w] || !memcmp(s->codes[v], s->codes[w], (size_t)(n + 1) * sizeof(int64_t)));
}

/* x - y of an equality; *trivial: it holds by itself. */
static bool difference(Lower *l, const Expr *e, Lin *out, bool *trivial)
{
    const Expr *x = e->arg[0], *y = e->arg[1];

    *trivial = low_is_kind(l, x, REG_lane) && low_is_kind(l, y, REG_lane);
    if (*trivial)
        return true;
    if (low_is_kind(l, x, REG_codes) && low_is_kind(l, y, REG_codes)) {
        const int v = low_codes_var(l, x), w = low_codes_var(l, y);
        if (x->type != y->type || !same_codes(l, v, w))
            return low_refuse(l, "it joins keys of different lists");
        const Lin at = lin_var(&l->s, w);
        *out = lin_var(&l->s, v);
        return lin_add(out, &at, -1);
    }
    return lin_of_sum(l, e, -1, out);
}

/* big >= sign * small + margin.  ABS and MAX on the small side, MIN on the big one, are several such conditions. */
static bool not_less(Lower *l, const Expr *big, const Expr *small, int64_t sign, int64_t margin)
{
    const bool apart = sign > 0 && (small->op == OP_abs || small->op == OP_max);
    bool ok = true;
    Lin x, y;

    if (apart && small->op == OP_abs)
        return not_less(l, big, small->arg[0], 1, margin) && not_less(l, big, small->arg[0], -1, margin);
    for (int k = 0; apart && k < small->n_args; k++)
        ok = ok && not_less(l, big, small->arg[k], 1, margin);
    for (int k = 0; !apart && big->op == OP_min && k < big->n_args; k++)
        ok = ok && not_less(l, big->arg[k], small, sign, margin);
    if (apart || big->op == OP_min)
        return ok;
    if (!low_lin(l, big, &x) || !low_lin(l, small, &y))
        return false;
    x.c -= margin;
    return (lin_add(&x, &y, -sign) || low_refuse(l, "its keys are too large for exact arithmetic")) && space_ge(&l->s, &x);
}

static bool inequality(Lower *l, const Expr *e)
{
    const bool less = e->op == OP_lt || e->op == OP_le;
    const int64_t margin = e->op == OP_lt || e->op == OP_gt;

    return less ? not_less(l, e->arg[1], e->arg[0], 1, margin) : not_less(l, e->arg[0], e->arg[1], 1, margin);
}

/* x IN (y, y + 1, …): numbers that follow one another are two inequalities. */
static bool in_range(Lower *l, const Expr *e)
{
    Lin x, y, z;

    if (!low_lin(l, e->arg[0], &x))
        return false;
    for (int k = 1; k < e->n_args; k++) {
        if (!low_lin(l, e->arg[k], &z))
            return false;
        if (k == 1)
            y = z;
        else if (!lin_add(&z, &y, -1) || !lin_is_const(&z) || z.c != k - 1)
            return low_refuse(l, "a condition lists keys that do not follow one another");
    }
    z = lin_const(e->n_args - 2);
    return lin_add(&x, &y, -1) && space_ge(&l->s, &x) && lin_add(&z, &x, -1) && space_ge(&l->s, &z);
}

bool low_never_null(const Lower *l, const Expr *e)
{
    return e->op == OP_col && low_col(l, e)->kind != REG_none && !regular_any_null(l->src[e->src], e->col);
}

static bool divides(void *arg, const Expr *e)
{
    (void)arg;
    return e->op == OP_idiv || e->op == OP_mod;
}

static bool key_condition(Lower *l, const Expr *e)
{
    Lin x;
    bool trivial;

    if (e->op == OP_eq || e->op == OP_same)
        return difference(l, e, &x, &trivial) && (trivial || space_zero(&l->s, &x, -1));
    if (e->op == OP_lt || e->op == OP_le || e->op == OP_gt || e->op == OP_ge)
        return inequality(l, e);
    if (e->op == OP_and)
        return key_condition(l, e->arg[0]) && key_condition(l, e->arg[1]);
    if (e->op == OP_in)
        return in_range(l, e);
    if (e->op == OP_not_null && low_never_null(l, e->arg[0]))
        return true;
    return low_refuse(l, "a condition is no comparison of keys");
}

static bool is_comparison(const Expr *e)
{
    return e->op == OP_eq || e->op == OP_same || e->op == OP_lt || e->op == OP_le || e->op == OP_gt || e->op == OP_ge ||
           e->op == OP_in || e->op == OP_and || e->op == OP_not_null;
}

/* Those that divide come late: the others tell the signs.  Last, those on lists, and other conditions. */
bool low_conditions(Lower *l)
{
    for (int late = 0; late < 2; late++)
        for (int w = 0; w < l->b->n_where; w++) {
            const Expr *e = l->b->where[w];
            if (l->met[w] || ex_any(e, divides, NULL) != late || low_reads_list(l, e) || !is_comparison(e))
                continue;
            if (!key_condition(l, e))
                return false;
            l->met[w] = true;
        }
    return low_lists(l);
}

/* ---- outer joins that always find their one row ---- */

static bool divides_all(const Lin *x, int64_t by)
{
    for (int v = 0; v < MAX_VARS; v++)
        if (x->k[v] % by)
            return false;
    return true;
}

/* A dimension of the source that x = 0 can be solved for. */
static int pivot_in(const Lower *l, int src, const Lin *x)
{
    for (int d = 0; d < l->src[src]->n_dims; d++) {
        const int v = l->var0[src] + d;
        if (x->k[v] && divides_all(x, x->k[v]))
            return v;
    }
    return -1;
}

/* A key of another source that the source's dimensions are the digits of: 25 a + 5 b + c = v.  Where they take every
 * value of v once, v may go in place of them; -1: it is not so. */
static int number_of_digits(const Lower *l, int src, const Lin *x)
{
    const Space *s = &l->s;
    const int v0 = l->var0[src], v1 = v0 + l->src[src]->n_dims;
    int v = -1, n = 0;
    int64_t next = 1, lo = x->c, hi = x->c;

    for (int w = 0; w < s->n; w++) {
        if (x->k[w] && (w < v0 || w >= v1)) {
            if (v >= 0 || llabs(x->k[w]) != 1 || s->codes[w])
                return -1;
            v = w;
        }
        n += x->k[w] && w >= v0 && w < v1;
    }
    for (int k = 0; k < n; k++) {
        int digit = -1;
        for (int w = v0; w < v1; w++)
            if (llabs(x->k[w]) == next && s->hi[w] > s->lo[w] && !s->codes[w])
                digit = w;
        if (digit < 0)
            return -1;
        lo += x->k[digit] * (x->k[digit] > 0 ? s->lo[digit] : s->hi[digit]);
        hi += x->k[digit] * (x->k[digit] > 0 ? s->hi[digit] : s->lo[digit]);
        next *= s->hi[digit] - s->lo[digit] + 1;
    }
    if (n < 2 || v < 0)
        return -1;
    return x->k[v] < 0 ? (lo == s->lo[v] && hi == s->hi[v] ? v : -1) : (-hi == s->lo[v] && -lo == s->hi[v] ? v : -1);
}

/* The source's keys lie in its box whatever the other sources' are. */
static bool always_there(Lower *l, int src)
{
    Space *s = &l->s, rest = *s;
    const int v0 = l->var0[src], v1 = v0 + l->src[src]->n_dims;

    for (int v = v0; v < v1; v++) {
        if (l->is_digit[v] && s->gone[v])
            return low_refuse(l, "an outer join may find no row");
        if (l->is_digit[v])
            continue;
        if (!s->gone[v])
            return low_refuse(l, "an outer join may find several rows");
        rest.lo[v] = -((int64_t)1 << 40);
        rest.hi[v] = (int64_t)1 << 40;
    }
    for (int v = v0; v < v1; v++) {
        const Lin at = lin_var(s, v);
        int64_t lo, hi;
        if (l->is_digit[v])
            continue;
        if (!space_range(&rest, &at, &lo, &hi) || lo < s->lo[v] || hi > s->hi[v])
            return low_refuse(l, "an outer join may find no row");
    }
    return true;
}

static bool outer_join(Lower *l, int src)
{
    const Source *s = &l->b->src[src];

    for (int k = 0; k < s->n_on; k++) {
        Lin x;
        bool trivial;
        if (s->on[k]->op != OP_eq && s->on[k]->op != OP_same)
            return low_refuse(l, "an outer join compares otherwise than by =");
        if (!difference(l, s->on[k], &x, &trivial))
            return false;
        if (trivial)
            continue;
        x = space_reduce(&l->s, &x);
        int pivot = number_of_digits(l, src, &x);
        for (int d = 0; pivot >= 0 && d < l->src[src]->n_dims; d++)
            l->is_digit[l->var0[src] + d] |= x.k[l->var0[src] + d] != 0;
        pivot = pivot >= 0 ? pivot : pivot_in(l, src, &x);
        if (!lin_is_const(&x) && pivot < 0)
            return low_refuse(l, "an outer join may find several rows");
        if (!space_zero(&l->s, &x, pivot))
            return false;
    }
    return always_there(l, src);
}

bool low_outer_joins(Lower *l)
{
    for (int s = 0; s < l->b->n_src; s++) {
        if (l->b->src[s].join != JOIN_left)
            continue;
        if (l->src[s]->winner)
            return low_refuse(l, "an outer join meets rows that come and go");
        if (l->src[s]->n_conds)
            return low_refuse(l, "an outer join may find no row");
        if (!outer_join(l, s))
            return false;
    }
    return true;
}
