/* SPDX-License-Identifier: Apache-2.0
 *
 * lists.c - conditions on keys that are lists (REG_list): the number of a union's part, keys that only some parts have.
 *
 * Of one source: `part = 1` leaves a run of a dimension's numbers, and within it the lists are mostly plain keys again.
 * The source is then taken for what is left of it, looked at anew.  Of two: rows of equal lists meet one to one, which
 * is an equality of the two dimensions.  What leaves rows here and there does not fit. */
#include "lower/block.h"

#include <string.h>

#define MOST_PAIRS (1 << 18)            /* that are tried for a condition on two dimensions */

static bool is_list(void *arg, const Expr *e)
{
    return e->op == OP_col && low_col(arg, e)->kind == REG_list;
}

bool low_reads_list(const Lower *l, const Expr *e)
{
    return ex_any(e, is_list, (void *)l);
}

/* ---- of one source ---- */

typedef struct Point { const Lower *l; int src, dim; int64_t at; } Point;

/* Is e something else than a key that depends on this dimension alone? */
static bool is_elsewhere(void *arg, const Expr *e)
{
    const Point *p = arg;
    const RegCol *k = e->op == OP_col ? low_col(p->l, e) : NULL;

    if (e->op == OP_col && (e->src != p->src || e->type != T_INT || (k->kind != REG_affine && k->kind != REG_list)))
        return true;
    for (int d = 0; k && k->kind == REG_affine && d < MAX_LOOPS; d++)
        if (k->key.k[d] && d != p->dim)
            return true;
    return k && k->kind == REG_list && k->dim != p->dim;
}

static Value key_at_point(void *arg, const Expr *e)
{
    const Point *p = arg;
    const RegCol *k = low_col(p->l, e);
    const int64_t x = k->kind == REG_list ? k->list[p->at] : k->key.c + k->key.k[p->dim] * p->at;

    return (Value){ .type = T_INT, .null = x == REG_NULL, .i = x };
}

/* The numbers of [*lo, *hi] that meet the condition, if they are a run; *hi < *lo: none. */
static bool keep_run(const Expr *e, Value (*get)(void *arg, const Expr *col), Point *p, int64_t *lo, int64_t *hi)
{
    int64_t first = *hi + 1, last = *lo - 1, n = 0;

    for (p->at = *lo; p->at <= *hi; p->at++) {
        const Value v = ex_eval(e, get, p);
        if (v.null || !v.i)
            continue;
        first = p->at < first ? p->at : first;
        last = p->at;
        n++;
    }
    *lo = first;
    *hi = last;
    return n == 0 || n == last - first + 1;
}

/* The run of a dimension's numbers that the block's conditions leave. */
static bool find_run(Lower *l, int src, int dim, int64_t *lo, int64_t *hi, bool *any)
{
    Point p = { l, src, dim, 0 };

    for (int w = 0; w < l->b->n_where; w++) {
        const Expr *e = l->b->where[w];
        if (l->met[w] || !low_reads_list(l, e) || ex_any(e, is_elsewhere, &p))
            continue;
        if (!keep_run(e, key_at_point, &p, lo, hi))
            return low_refuse(l, "a condition leaves rows here and there");
        if (*hi < *lo)
            return low_refuse(l, "no row meets its conditions");
        l->met[w] = *any = true;
    }
    return true;
}

/* What the lists of a dimension are within a run of it: digits, if they are some. */
static bool look_at_run(Lower *l, int src, int dim, int64_t lo, int64_t n, bool lists, Regular *out)
{
    const Regular *r = l->src[src];
    const int64_t **key = ARENA_ARRAY(l->work, const int64_t *, r->n_cols + 2);
    RegKind *kind = ARENA_ARRAY(l->work, RegKind, r->n_cols + 2);
    bool *ints = ARENA_ARRAY(l->work, bool, r->n_cols + 2);
    int64_t *number = ARENA_ARRAY(l->work, int64_t, n + 1);

    for (int64_t i = 0; i < n; i++)
        number[i] = i;
    for (int c = 0; c < r->n_cols; c++) {
        const RegCol *k = &r->col[c];
        if (lists && k->kind == REG_list && k->dim == dim)
            key[c] = k->list + lo;
        ints[c] = l->b->src[src].rel->col[c].type == T_INT;
    }
    key[r->n_cols] = number;
    ints[r->n_cols] = true;
    return regular_look(out, l->work, r->n_cols + 1, key, kind, ints, n, REG_NULL, false);
}

/* Dimension d of a form is `lo` and the digits of `run`; those behind it move on. */
static Affine over_run(const Affine *f, int dim, int64_t lo, const Regular *run)
{
    Affine g = { .c = f->c + f->k[dim] * lo };

    for (int d = 0; d < MAX_LOOPS - (run->n_dims > 0 ? run->n_dims - 1 : 0); d++)
        if (d != dim && f->k[d])
            g.k[d < dim ? d : d + run->n_dims - 1] = f->k[d];
    for (int j = 0; j < run->n_dims; j++)
        g.k[dim + j] = f->k[dim] * run->stride[j];
    return g;
}

static RegCol col_over_run(const Regular *r, int c, int dim, int64_t lo, const Regular *run)
{
    RegCol k = r->col[c];

    if (k.kind == REG_affine) {
        k.key = over_run(&k.key, dim, lo, run);
    } else if (k.kind == REG_list && k.dim == dim && run->col[c].kind != REG_none) {
        k = run->col[c];
        for (int d = MAX_LOOPS - 1; d >= 0; d--)
            k.key.k[d] = d >= dim && d < dim + run->n_dims ? run->col[c].key.k[d - dim] : 0;
        k.dim += dim;
    } else if (k.kind == REG_list && k.dim == dim) {
        k.kind = run->n_dims == 1 ? REG_list : REG_none;
        k.list += lo;
    } else if (k.kind == REG_list || k.kind == REG_codes) {
        k.dim += k.dim > dim ? run->n_dims - 1 : 0;
    }
    return k;
}

/* The source as what is left of it; its rows begin at row l->first. */
static bool take_run(Lower *l, int src, int dim, int64_t lo, int64_t n)
{
    const Regular *r = l->src[src];
    Regular *now = ARENA_NEW(l->work, Regular), run;

    if (r->winner || r->codes[dim])
        return low_refuse(l, "a condition leaves some rows of a list");
    if ((!look_at_run(l, src, dim, lo, n, true, &run) || r->n_dims - 1 + run.n_dims > REG_DIMS) &&
        !look_at_run(l, src, dim, lo, n, false, &run))
        return low_refuse(l, "a condition leaves some rows of a list");
    *now = *r;
    now->n_dims = r->n_dims - 1 + run.n_dims;
    for (int d = 0; d < now->n_dims; d++) {
        const bool here = d >= dim && d < dim + run.n_dims;
        const int from = d < dim ? d : d - run.n_dims + 1;
        now->extent[d] = here ? run.extent[d - dim] : r->extent[from];
        now->stride[d] = here ? r->stride[dim] * run.stride[d - dim] : r->stride[from];
        now->codes[d] = here ? run.codes[d - dim] : r->codes[from];
    }
    now->col = ARENA_ARRAY(l->work, RegCol, r->n_cols + 1);
    for (int c = 0; c < r->n_cols; c++)
        now->col[c] = col_over_run(r, c, dim, lo, &run);
    now->cond = ARENA_ARRAY(l->work, Affine, r->n_conds + 1);
    for (int k = 0; k < r->n_conds; k++)
        now->cond[k] = over_run(&r->cond[k], dim, lo, &run);
    l->first[src] += lo * r->stride[dim];
    l->src[src] = now;
    return true;
}

static bool narrow_to_runs(Lower *l, int src)
{
    for (int d = l->src[src]->n_dims - 1; d >= 0; d--) {
        int64_t lo = 0, hi = l->src[src]->extent[d] - 1;
        bool any = false;
        if (!find_run(l, src, d, &lo, &hi, &any) || (any && !take_run(l, src, d, lo, hi - lo + 1)))
            return false;
    }
    return true;
}

bool low_narrow(Lower *l)
{
    for (int s = 0; s < l->b->n_src; s++) {
        bool any = false;
        for (int c = 0; c < l->src[s]->n_cols; c++)
            any |= l->src[s]->col[c].kind == REG_list;
        if (any && l->b->src[s].join == JOIN_inner && !narrow_to_runs(l, s))
            return false;
    }
    return true;
}

/* ---- of several ---- */

typedef struct Pair { Lower *l; int v, w; int64_t at_v, at_w; bool outside; } Pair;

/* The number that a form has at the present point. */
static int64_t form_at(Pair *p, const Lin *form)
{
    const Lin x = space_reduce(&p->l->s, form);

    return x.c + (p->v >= 0 ? x.k[p->v] * p->at_v : 0) + (p->w >= 0 ? x.k[p->w] * p->at_w : 0);
}

/* The key that a column has at the present point. */
static int64_t code_at(Pair *p, const Expr *e)
{
    const RegCol *k = low_col(p->l, e);

    if (k->kind == REG_affine) {
        const Lin x = low_over_vars(p->l, e->src, &k->key);
        return form_at(p, &x);
    }
    const Lin x = lin_var(&p->l->s, p->l->var0[e->src] + k->dim);
    const int64_t i = form_at(p, &x);
    if (i < 0 || i >= p->l->src[e->src]->extent[k->dim]) {
        p->outside = true;
        return REG_NULL;
    }
    return k->kind == REG_list ? k->list[i] : p->l->src[e->src]->codes[k->dim][i];
}

static Value value_at(void *arg, const Expr *e)
{
    const int64_t x = code_at(arg, e);

    return (Value){ .type = T_INT, .null = x == REG_NULL, .i = x };
}

static bool holds_at(Pair *p, const Expr *e)
{
    p->outside = false;
    if (e->op != OP_eq && e->op != OP_same) {
        const Value v = ex_eval(e, value_at, p);
        return !v.null && v.i && !p->outside;
    }
    if (e->arg[0]->op == OP_col && e->arg[1]->op == OP_col) {           /* texts are compared by their codes */
        const int64_t x = code_at(p, e->arg[0]), y = code_at(p, e->arg[1]);
        return x == y && !p->outside && (e->op == OP_same || x != REG_NULL);
    }
    const Value v = ex_eval(e, value_at, p);
    return !v.null && v.i && !p->outside;
}

/* Is e a column whose key at a point is not known, or a text that is not compared by its code? */
static bool is_unknown(void *arg, const Expr *e)
{
    const RegKind kind = e->op == OP_col ? low_col(arg, e)->kind : REG_affine;

    return (e->op == OP_col && e->type == T_REAL) || e->op == OP_lit_text || e->op == OP_draw ||
           (kind != REG_affine && kind != REG_list && kind != REG_codes);
}

static bool compares_columns(const Expr *e)
{
    return (e->op == OP_eq || e->op == OP_same) && e->arg[0]->op == OP_col && e->arg[1]->op == OP_col &&
           e->arg[0]->type == e->arg[1]->type;
}

static bool is_text(void *arg, const Expr *e)
{
    (void)arg;
    return e->type == T_TEXT;
}

typedef struct Reads { Lower *l; bool var[MAX_VARS]; } Reads;

static bool add_vars(void *arg, const Expr *e)
{
    Reads *r = arg;
    const RegCol *k = e->op == OP_col ? low_col(r->l, e) : NULL;

    if (!k)
        return false;
    const Lin own = k->kind == REG_affine ? low_over_vars(r->l, e->src, &k->key)
                                          : lin_var(&r->l->s, r->l->var0[e->src] + k->dim);
    const Lin x = space_reduce(&r->l->s, &own);
    for (int v = 0; v < r->l->s.n; v++)
        r->var[v] |= x.k[v] != 0;
    return false;
}

/* The variables that a condition depends on, if they are at most two. */
static bool vars_of(Lower *l, const Expr *e, int *v, int *w)
{
    Reads r = { .l = l };

    *v = *w = -1;
    if (ex_any(e, is_unknown, l) || (ex_any(e, is_text, NULL) && !compares_columns(e)))
        return false;
    ex_any(e, add_vars, &r);
    for (int k = 0; k < l->s.n; k++) {
        if (!r.var[k])
            continue;
        if (*w >= 0)
            return false;
        *(*v < 0 ? v : w) = k;
    }
    return true;
}

/* The conditions on the same variables, all of them. */
static bool all_hold(Pair *p, Expr *const *e, int n)
{
    bool ok = true;

    for (int k = 0; ok && k < n; k++)
        ok = holds_at(p, e[k]);
    return ok;
}

static bool keep_between(Lower *l, int v, int64_t lo, int64_t hi)
{
    Lin x = lin_var(&l->s, v), y = lin_const(hi);

    x.c -= lo;
    y.k[v] -= 1;
    return space_ge(&l->s, &x) && space_ge(&l->s, &y);
}

/* The numbers of v for which there is one of w, if they are a run and w is as far from v in all of them. */
static bool meet_one_to_one(Pair *p, Expr *const *e, int n, int64_t *lo, int64_t *hi, int64_t *apart)
{
    const Space *s = &p->l->s;
    int64_t met = 0;

    *lo = INT64_MAX;
    for (p->at_v = s->lo[p->v]; p->at_v <= s->hi[p->v]; p->at_v++) {
        bool found = false;
        for (p->at_w = p->w < 0 ? 0 : s->lo[p->w]; p->at_w <= (p->w < 0 ? 0 : s->hi[p->w]); p->at_w++) {
            if (!all_hold(p, e, n))
                continue;
            if (found || (met && p->w >= 0 && p->at_w - p->at_v != *apart))
                return false;
            found = true;
            *apart = p->at_w - p->at_v;
            *lo = p->at_v < *lo ? p->at_v : *lo;
            *hi = p->at_v;
            met++;
        }
    }
    return met == 0 || met == *hi - *lo + 1;
}

static bool by_points(Lower *l, Expr *const *e, int n, int v, int w)
{
    const Space *s = &l->s;
    Pair p = { .l = l, .v = v, .w = w };
    int64_t lo = 0, hi = 0, apart = 0;

    if (v < 0)
        return all_hold(&p, e, n) || low_refuse(l, "no row meets its conditions");
    if (s->hi[v] - s->lo[v] >= MOST_PAIRS || (w >= 0 && s->hi[w] - s->lo[w] >= MOST_PAIRS / (s->hi[v] - s->lo[v] + 1)))
        return low_refuse(l, "its lists are too long");
    if (!meet_one_to_one(&p, e, n, &lo, &hi, &apart))
        return low_refuse(l, "a key is not affine");
    if (lo == INT64_MAX)
        return low_refuse(l, "no row meets its conditions");
    if (!keep_between(l, v, lo, hi))
        return false;
    if (w < 0)
        return true;
    Lin x = lin_var(s, w);
    x.c -= apart;
    x.k[v] -= 1;
    return space_zero(&l->s, &x, -1);
}

bool low_lists(Lower *l)
{
    const Block *b = l->b;
    Expr **e = ARENA_ARRAY(l->work, Expr *, b->n_where + 1);

    for (int w = 0; w < b->n_where; w++) {
        int n = 0, x, y;
        if (l->met[w])
            continue;
        if (!vars_of(l, b->where[w], &x, &y))
            return low_refuse(l, "a condition is no comparison of keys");
        for (int k = w; k < b->n_where; k++) {
            int x1, y1;
            if (l->met[k] || !vars_of(l, b->where[k], &x1, &y1) || x1 != x || y1 != y)
                continue;
            e[n++] = b->where[k];
            l->met[k] = true;
        }
        if (!by_points(l, e, n, x, y))
            return false;
    }
    return true;
}
