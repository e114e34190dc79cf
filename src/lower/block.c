/* SPDX-License-Identifier: Apache-2.0
 *
 * block.c - a block over regular sources as a nest.
 *
 *   conditions   equalities eliminate variables, inequalities bound them
 *   outputs      which variables the grouping keeps; a key that mixes some (samples.r - weight.r) becomes one itself
 *   loops        output loops in the order of the keys, then the rest as reductions, with exact bounds
 *   operands     where every source's number stands, as an affine form of the loops
 *
 * Nothing here knows a layer: a convolution is a join of boxes with affine keys.  What does not fit says why, and
 * runs over a tuple list. */
#include "lower/lower.h"

#include "lower/domain.h"
#include "lower/gen.h"

#include <stdlib.h>
#include <string.h>

typedef struct Key { RegKind kind; Lin x; int var; } Key;      /* REG_codes: of variable var */

typedef struct Lower {
    const Block *b;
    const Regular *const *src;
    bool blind;
    Arena *a;
    Lowered *out;
    Space s;
    int var0[64];               /* first variable of a source */
    bool lanes, carried;
    Key *key;                   /* by column; of those that are keys */
    Key *part;                  /* by PARTITION BY key */
    bool is_out[MAX_VARS];
    bool is_digit[MAX_VARS];    /* of a key of another source, whose row is thereby found */
    int loop_var[MAX_LOOPS], loop_of[MAX_VARS];
    bool masked;                /* a source's rows are there by their place only */
    bool certain;               /* … and one of the places that are summed over is always there */
    int carry;                  /* … or the result's rows are there as those of this source; -1 */
} Lower;

static bool refuse(Lower *l, const char *why)
{
    if (!l->s.why)
        l->s.why = why;
    return false;
}

static const RegCol *col_of(const Lower *l, const Expr *e)
{
    return &l->src[e->src]->col[e->col];
}

/* ---- affine forms of expressions ---- */

static Lin over_vars(const Lower *l, int src, const Affine *f)
{
    Lin x = lin_const(f->c);

    for (int d = 0; d < l->src[src]->n_dims; d++) {
        const Lin v = lin_var(&l->s, l->var0[src] + d);
        if (f->k[d])
            lin_add(&x, &v, f->k[d]);
    }
    return x;
}

static bool to_lin(Lower *l, const Expr *e, Lin *out);

static bool lin_of_sum(Lower *l, const Expr *e, int64_t sign, Lin *out)
{
    Lin y;

    return to_lin(l, e->arg[0], out) && to_lin(l, e->arg[1], &y) &&
           (lin_add(out, &y, sign) || refuse(l, "its keys are too large for exact arithmetic"));
}

static bool lin_of_product(Lower *l, const Expr *e, Lin *out)
{
    Lin x, y;

    if (!to_lin(l, e->arg[0], &x) || !to_lin(l, e->arg[1], &y))
        return false;
    if (!lin_is_const(&x) && !lin_is_const(&y))
        return refuse(l, "it multiplies keys with each other");
    *out = lin_const(0);
    return (lin_is_const(&x) ? lin_add(out, &y, x.c) : lin_add(out, &x, y.c)) ||
           refuse(l, "its keys are too large for exact arithmetic");
}

static bool lin_of_quotient(Lower *l, const Expr *e, Lin *out)
{
    Lin x, by, q, r;

    if (!to_lin(l, e->arg[0], &x) || !to_lin(l, e->arg[1], &by))
        return false;
    if (!lin_is_const(&by) || !space_div(&l->s, &x, by.c, &q, &r))
        return refuse(l, "it divides by something other than a positive literal");
    *out = e->op == OP_idiv ? q : r;
    return true;
}

static bool to_lin(Lower *l, const Expr *e, Lin *out)
{
    const Lin zero = lin_const(0);
    Lin x;

    if (e->type != T_INT)
        return refuse(l, "a key is no integer");
    if (e->op == OP_lit_int) {
        *out = lin_const(e->i);
        Lin probe = zero;
        return lin_add(&probe, out, 1) || refuse(l, "its keys are too large for exact arithmetic");
    }
    if (e->op == OP_col && col_of(l, e)->kind == REG_affine) {
        *out = over_vars(l, e->src, &col_of(l, e)->key);
        return true;
    }
    if (e->op == OP_neg) {
        *out = zero;
        return to_lin(l, e->arg[0], &x) && lin_add(out, &x, -1);
    }
    if (e->op == OP_add || e->op == OP_sub)
        return lin_of_sum(l, e, e->op == OP_add ? 1 : -1, out);
    if (e->op == OP_mul)
        return lin_of_product(l, e, out);
    if (e->op == OP_idiv || e->op == OP_mod)
        return lin_of_quotient(l, e, out);
    return refuse(l, "a key is not affine");
}

/* ---- conditions ---- */

static bool is_kind(const Lower *l, const Expr *e, RegKind kind)
{
    return e->op == OP_col && col_of(l, e)->kind == kind;
}

static int codes_var(const Lower *l, const Expr *e)
{
    return l->var0[e->src] + col_of(l, e)->dim;
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

    *trivial = is_kind(l, x, REG_lane) && is_kind(l, y, REG_lane);
    if (*trivial)
        return true;
    if (is_kind(l, x, REG_codes) && is_kind(l, y, REG_codes)) {
        const int v = codes_var(l, x), w = codes_var(l, y);
        if (x->type != y->type || !same_codes(l, v, w))
            return refuse(l, "it joins keys of different lists");
        const Lin at = lin_var(&l->s, w);
        *out = lin_var(&l->s, v);
        return lin_add(out, &at, -1);
    }
    return lin_of_sum(l, e, -1, out);
}

static bool inequality(Lower *l, const Expr *e)
{
    const bool less = e->op == OP_lt || e->op == OP_le;
    Lin x, f = lin_const(e->op == OP_lt || e->op == OP_gt ? -1 : 0);

    return lin_of_sum(l, e, -1, &x) && lin_add(&f, &x, less ? -1 : 1) && space_ge(&l->s, &f);
}

static bool never_null(const Lower *l, const Expr *e)
{
    return e->op == OP_col && col_of(l, e)->kind != REG_none;
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
    if (e->op == OP_not_null && never_null(l, e->arg[0]))
        return true;
    return refuse(l, "a condition is no comparison of keys");
}

/* Those that divide come last: the others tell the signs. */
static bool all_conditions(Lower *l)
{
    for (int late = 0; late < 2; late++)
        for (int w = 0; w < l->b->n_where; w++)
            if (ex_any(l->b->where[w], divides, NULL) == late && !key_condition(l, l->b->where[w]))
                return false;
    return true;
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
            return refuse(l, "an outer join may find no row");
        if (l->is_digit[v])
            continue;
        if (!s->gone[v])
            return refuse(l, "an outer join may find several rows");
        rest.lo[v] = -((int64_t)1 << 40);
        rest.hi[v] = (int64_t)1 << 40;
    }
    for (int v = v0; v < v1; v++) {
        const Lin at = lin_var(s, v);
        int64_t lo, hi;
        if (l->is_digit[v])
            continue;
        if (!space_range(&rest, &at, &lo, &hi) || lo < s->lo[v] || hi > s->hi[v])
            return refuse(l, "an outer join may find no row");
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
            return refuse(l, "an outer join compares otherwise than by =");
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
            return refuse(l, "an outer join may find several rows");
        if (!space_zero(&l->s, &x, pivot))
            return false;
    }
    return always_there(l, src);
}

static bool outer_joins(Lower *l)
{
    for (int s = 0; s < l->b->n_src; s++) {
        if (l->b->src[s].join != JOIN_left)
            continue;
        if (l->src[s]->winner)
            return refuse(l, "an outer join meets rows that come and go");
        if (!outer_join(l, s))
            return false;
    }
    return true;
}

/* ---- variables ---- */

static bool make_vars(Lower *l)
{
    for (int s = 0; s < l->b->n_src; s++) {
        const Regular *r = l->src[s];
        if (!r)
            return refuse(l, "a source is not regular");
        l->var0[s] = l->s.n;
        l->lanes |= r->lanes;
        l->masked |= r->winner;
        for (int d = 0; d < r->n_dims; d++) {
            const int v = space_var(&l->s, 0, r->extent[d] - 1, r->codes[d]);
            if (v < 0)
                return false;
            if (r->extent[d] == 1) {
                l->s.gone[v] = true;
                l->s.def[v] = lin_const(0);
            }
        }
    }
    return true;
}

/* ---- outputs ---- */

static bool read_key(Lower *l, const Expr *e, Key *k)
{
    if (is_kind(l, e, REG_lane)) {
        k->kind = REG_lane;
        l->carried = true;
        return true;
    }
    if (is_kind(l, e, REG_codes)) {
        k->kind = REG_codes;
        k->var = codes_var(l, e);
        k->x = lin_var(&l->s, k->var);
        return true;
    }
    k->kind = REG_affine;
    return to_lin(l, e, &k->x);
}

static bool is_key_of(const Block *b, int c)
{
    return b->kind == BLK_reduce ? c < b->n_keys : b->col[c].type != T_REAL;
}

static bool read_keys(Lower *l)
{
    const Block *b = l->b;

    l->key = ARENA_ARRAY(l->a, Key, b->n_cols + 1);
    l->part = ARENA_ARRAY(l->a, Key, b->n_part + 1);
    for (int c = 0; c < b->n_cols; c++)
        if (is_key_of(b, c) && !read_key(l, b->col[c].e, &l->key[c]))
            return false;
    for (int k = 0; k < b->n_part; k++)
        if (!read_key(l, b->part_key[k], &l->part[k]))
            return false;
    return true;
}

/* The keys that say which row of the result, or which group of a pick, a tuple belongs to. */
static int grouping(const Lower *l, Key **out)
{
    *out = l->b->kind == BLK_pick ? l->part : l->key;
    return l->b->kind == BLK_pick ? l->b->n_part : l->b->kind == BLK_reduce ? l->b->n_keys : l->b->n_cols;
}

static int open_vars(const Lower *l, const Lin *x, int *var)
{
    int n = 0;

    for (int v = 0; v < l->s.n; v++)
        if (x->k[v] && !l->is_out[v])
            var[n++] = v;
    return n;
}

/* Are the open variables digits of the key, so that it tells them all? */
static bool are_digits(const Lower *l, const Lin *x, int *var, int n)
{
    int64_t reach = 0;

    for (int k = 1; k < n; k++)                         /* by factor, the least first */
        for (int j = k; j > 0 && llabs(x->k[var[j]]) < llabs(x->k[var[j - 1]]); j--) {
            const int v = var[j];
            var[j] = var[j - 1];
            var[j - 1] = v;
        }
    for (int k = 0; k < n; k++) {
        const int64_t f = llabs(x->k[var[k]]);
        if (f <= reach)
            return false;
        reach += f * (l->s.hi[var[k]] - l->s.lo[var[k]]);
    }
    return true;
}

/* One round over the keys; true: some variable was found to be told by a key. */
static bool find_outputs(Lower *l, bool digits)
{
    Key *key;
    const int n = grouping(l, &key);
    int var[MAX_VARS];
    bool found = false;

    for (int k = 0; k < n; k++) {
        if (key[k].kind != REG_affine && key[k].kind != REG_codes)
            continue;
        const Lin x = space_reduce(&l->s, &key[k].x);
        const int m = open_vars(l, &x, var);
        if (m == 0 || (m > 1 && !(digits && are_digits(l, &x, var, m))))
            continue;
        for (int i = 0; i < m; i++)
            l->is_out[var[i]] = true;
        found = true;
    }
    return found;
}

/* A key that mixes open variables becomes a variable; the widest of them goes.  *left: there was none. */
static bool substitute_key(Lower *l, bool *left)
{
    Key *key;
    const int n = grouping(l, &key);
    int var[MAX_VARS];

    *left = true;
    for (int k = 0; k < n; k++) {
        if (key[k].kind != REG_affine)
            continue;
        Lin x = space_reduce(&l->s, &key[k].x);
        const int m = open_vars(l, &x, var);
        int pivot = -1;
        int64_t lo, hi;
        for (int i = 0; i < m; i++)
            if (llabs(x.k[var[i]]) == 1 && !l->s.codes[var[i]] &&
                (pivot < 0 || l->s.hi[var[i]] - l->s.lo[var[i]] > l->s.hi[pivot] - l->s.lo[pivot]))
                pivot = var[i];
        if (m == 0)
            continue;
        if (pivot < 0)
            return refuse(l, "a key mixes several with factors");
        if (!space_range(&l->s, &x, &lo, &hi))
            return false;
        const int v = space_var(&l->s, lo, hi, NULL);
        if (v < 0)
            return false;
        const Lin at = lin_var(&l->s, v);
        l->is_out[v] = true;
        *left = false;
        return lin_add(&x, &at, -1) && space_zero(&l->s, &x, pivot);
    }
    return true;
}

static bool is_in_key(const Lower *l, int v)
{
    for (int c = 0; c < l->b->n_cols; c++)
        if ((l->key[c].kind == REG_affine || l->key[c].kind == REG_codes) && space_reduce(&l->s, &l->key[c].x).k[v])
            return true;
    return false;
}

static Lin place_form(const Lower *l, int src)
{
    const Lin x = over_vars(l, src, &l->src[src]->place);

    return space_reduce(&l->s, &x);
}

/* A place that no key tells: of its rows one is there, and the others' numbers are 0, so that they can be summed. */
static bool is_summed_place(const Lower *l, int v)
{
    for (int s = 0; s < l->b->n_src; s++)
        if (l->src[s]->winner && place_form(l, s).k[v])
            return !is_in_key(l, v);
    return false;
}

static bool choose_outputs(Lower *l)
{
    bool left = l->b->kind == BLK_row;

    for (int v = 0; left && v < l->s.n; v++)
        l->is_out[v] = !l->s.gone[v] && !is_summed_place(l, v);
    while (!left) {
        while (find_outputs(l, false) || find_outputs(l, true))
            continue;
        if (!substitute_key(l, &left))
            return false;
    }
    return true;
}

/* ---- loops ---- */

static bool add_loop(Lower *l, int v)
{
    Nest *n = &l->out->nest;

    if (l->loop_of[v] >= 0)
        return true;
    if (n->n_loops == MAX_LOOPS)
        return refuse(l, "it has too many loops");
    l->loop_of[v] = n->n_loops;
    l->loop_var[n->n_loops++] = v;
    return true;
}

/* Variables of a form that are outputs (or not), the greatest factor first. */
static bool add_loops_of(Lower *l, const Lin *form, bool out)
{
    Lin x = space_reduce(&l->s, form);

    for (;;) {
        int best = -1;
        for (int v = 0; v < l->s.n; v++)
            if (x.k[v] && l->is_out[v] == out && (best < 0 || llabs(x.k[v]) > llabs(x.k[best])))
                best = v;
        if (best < 0)
            return true;
        if (!add_loop(l, best))
            return false;
        x.k[best] = 0;
    }
}

static bool output_loops(Lower *l)
{
    Key *key;
    const int n = grouping(l, &key);

    l->s.closed = true;
    for (int v = 0; v < MAX_VARS; v++)
        l->loop_of[v] = -1;
    for (int k = 0; k < n; k++)
        if ((key[k].kind == REG_affine || key[k].kind == REG_codes) && !add_loops_of(l, &key[k].x, true))
            return false;
    for (int v = 0; v < l->s.n; v++)
        if (l->is_out[v] && !l->s.gone[v] && !add_loop(l, v))
            return false;
    l->out->nest.n_out = l->out->nest.n_loops;
    return true;
}

static bool reduction_loops(Lower *l)
{
    for (int v = 0; v < l->s.n; v++)
        if (!l->is_out[v] && !l->s.gone[v] && !add_loop(l, v))
            return false;
    return true;
}

/* The loops inside a pick's group run in the order that breaks ties: by this expression next. */
static bool tie_order(Lower *l, const Expr *e, bool desc)
{
    Key k = { 0 };
    int var[MAX_VARS], n = 0;

    if (!read_key(l, e, &k))
        return false;
    if (k.kind == REG_lane)
        return true;
    const Lin x = space_reduce(&l->s, &k.x);
    for (int v = 0; v < l->s.n; v++)
        if (x.k[v] && !l->is_out[v] && l->loop_of[v] < 0) {
            if ((x.k[v] > 0) == desc || l->s.codes[v])
                return refuse(l, "ties go another way than its loops");
            var[n++] = v;
        }
    if (n > 1 && !are_digits(l, &x, var, n))
        return refuse(l, "ties go another way than its loops");
    while (n > 0)
        if (!add_loop(l, var[--n]))
            return false;
    return true;
}

static bool pick_loops(Lower *l)
{
    const Block *b = l->b;

    if (b->limit != 1 || b->n_order < 1 || b->order[0].e->type != T_REAL)
        return refuse(l, "it picks otherwise than by one number");
    for (int o = 1; o < b->n_order; o++)
        if (!tie_order(l, b->order[o].e, b->order[o].desc))
            return false;
    for (int s = 0; s < b->n_src; s++)
        for (int i = 0; i < b->src[s].rel->n_id; i++)
            if (!tie_order(l, ex_col(l->a, b, s, b->src[s].rel->id_col[i]), false))
                return false;
    return true;
}

static Affine over_loops(const Lower *l, const Lin *form)
{
    const Lin x = space_reduce(&l->s, form);
    Affine f = { .c = x.c };

    for (int v = 0; v < l->s.n; v++)
        if (x.k[v])
            f.k[l->loop_of[v]] = x.k[v];
    return f;
}

static void keep_at_least(Domain *d, const Lower *l, const Lin *form, int64_t sign, int64_t c)
{
    const Affine f = over_loops(l, form);
    int64_t k[MAX_LOOPS];

    for (int i = 0; i < MAX_LOOPS; i++)
        k[i] = sign * f.k[i];
    domain_ge(d, k, sign * f.c + c);
}

static bool find_bounds(Lower *l)
{
    Nest *n = &l->out->nest;
    Domain *d = domain_new(n->n_loops);
    int64_t lo[MAX_LOOPS], hi[MAX_LOOPS];

    for (int v = 0; v < l->s.n; v++) {
        const Lin at = lin_var(&l->s, v);
        keep_at_least(d, l, &at, 1, -l->s.lo[v]);
        keep_at_least(d, l, &at, -1, l->s.hi[v]);
    }
    for (int g = 0; g < l->s.n_ge; g++)
        keep_at_least(d, l, &l->s.ge[g], 1, 0);
    bool ok = domain_box(d, n->n_out, lo, hi) || refuse(l, "its rows are no box");
    for (int i = 0; ok && i < n->n_out; i++)
        n->loop[i] = (NestLoop){ .min = lo[i], .max = hi[i], .box = true };
    for (int i = n->n_out; ok && i < n->n_loops; i++)
        ok = domain_bounds(d, i, &n->loop[i], l->a) || refuse(l, "a loop has no plain bounds");
    domain_free(d);
    return ok;
}

/* ---- rows of the result ---- */

/* Number the points of loops [from, to) row by row. */
static Affine number_points(const Nest *n, int from, int to, int64_t *count)
{
    Affine f = { 0 };

    *count = 1;
    for (int i = to - 1; i >= from; i--) {
        f.k[i] = *count;
        f.c -= *count * n->loop[i].min;
        if (__builtin_mul_overflow(*count, n->loop[i].max - n->loop[i].min + 1, count))
            *count = INT64_MAX;
    }
    return f;
}

/* A form over loops as one over the dimensions of the result, that are numbered from 0. */
static Affine over_dims(const Nest *n, Affine f)
{
    for (int i = 0; i < n->n_loops; i++)
        f.c += f.k[i] * n->loop[i].min;
    return f;
}

static bool all_box(const Nest *n)
{
    for (int i = 0; i < n->n_loops; i++)
        if (!n->loop[i].box)
            return false;
    return true;
}

/* Are all places of the source met, by output loops only (`out`) or by the others only? */
static bool meets_all_places(const Lower *l, int src, bool out)
{
    const Regular *r = l->src[src];
    const Nest *n = &l->out->nest;
    const Lin x = place_form(l, src);
    const Affine f = over_loops(l, &x);
    int64_t places = 1, met = 1;

    for (int d = 0; d < r->n_dims; d++)
        places *= r->place.k[d] ? r->extent[d] : 1;
    for (int i = 0; i < n->n_loops; i++) {
        if (!f.k[i])
            continue;
        if ((i < n->n_out) != out || !n->loop[i].box)
            return false;
        met *= n->loop[i].max - n->loop[i].min + 1;
    }
    return met == places;
}

/* Do two sources' places have no loop in common, so that any pair of them occurs? */
static bool are_apart(const Lower *l, int s, int t)
{
    const Lin x = place_form(l, s), y = place_form(l, t);

    for (int v = 0; v < l->s.n; v++)
        if (x.k[v] && y.k[v])
            return false;
    return true;
}

/* Whether rows of the result come and go with those of a source. */
static bool find_presence(Lower *l)
{
    int winners = 0, last = -1;

    l->certain = true;
    l->carry = -1;
    for (int s = 0; s < l->b->n_src; s++) {
        if (!l->src[s]->winner)
            continue;
        for (int t = 0; t < s; t++)
            l->certain = l->certain && (!l->src[t]->winner || are_apart(l, s, t));
        winners++;
        last = s;
        l->certain = l->certain && meets_all_places(l, s, false);
    }
    if (!l->masked || l->certain || l->blind)
        return true;
    if (l->b->kind != BLK_row || winners != 1 || !meets_all_places(l, last, true))
        return refuse(l, "its rows are there by values that move");
    l->carry = last;
    return true;
}

/* Rows of the groups of a carried place: of the dimensions that the place leaves. */
static void carried_places(const Lower *l, Regular *r)
{
    const Lin x = place_form(l, l->carry);
    int64_t count = 1;

    r->winner = true;
    r->place = over_dims(&l->out->nest, over_loops(l, &x));
    r->group = (Affine){ 0 };
    for (int d = r->n_dims - 1; d >= 0; d--) {
        if (r->place.k[d])
            continue;
        r->group.k[d] = count;
        count *= r->extent[d];
    }
}

/* A copy: the result may outlive what is known of its sources. */
static const int64_t *own_codes(Lower *l, const int64_t *codes, int64_t n)
{
    if (!codes)
        return NULL;
    int64_t *own = ARENA_ARRAY(l->a, int64_t, n);
    memcpy(own, codes, (size_t)n * sizeof *own);
    return own;
}

/* The loop that runs along a key's codes: its own variable, or one it was found equal to. */
static int codes_loop(const Lower *l, const Key *k)
{
    const Lin x = space_reduce(&l->s, &k->x);
    const int v = lin_only_var(&x);

    return v < 0 ? -1 : l->loop_of[v];
}

static bool result_rows(Lower *l)
{
    const Nest *n = &l->out->nest;
    Regular *r = &l->out->out;
    const int dims = l->b->kind == BLK_pick ? n->n_loops : n->n_out;
    int64_t groups;

    *r = (Regular){ .n_dims = dims, .n_cols = l->b->n_cols, .lanes = l->carried };
    if (dims > REG_DIMS || (l->b->kind == BLK_pick && !all_box(n)))
        return refuse(l, "its rows are no box");
    const Affine at = number_points(n, 0, dims, &r->rows);
    if (r->rows >= UINT32_MAX)
        return refuse(l, "it has too many rows");
    for (int d = 0; d < dims; d++) {
        r->extent[d] = n->loop[d].max - n->loop[d].min + 1;
        r->stride[d] = at.k[d];
        r->codes[d] = own_codes(l, l->s.codes[l->loop_var[d]], r->extent[d]);
    }
    r->col = ARENA_ARRAY(l->a, RegCol, l->b->n_cols + 1);
    for (int c = 0; c < l->b->n_cols; c++) {
        const Key *k = &l->key[c];
        RegCol *col = &r->col[c];
        col->kind = !is_key_of(l->b, c) ? l->b->col[c].type == T_REAL ? REG_value : REG_affine : k->kind;
        if (col->kind == REG_codes && (col->dim = codes_loop(l, k)) < 0)
            return refuse(l, "a key of a list has one value");
        if (col->kind != REG_codes && is_key_of(l->b, c) && col->kind == REG_affine)
            col->key = over_dims(n, over_loops(l, &k->x));
    }
    r->winner = l->b->kind == BLK_pick;
    r->group = over_dims(n, number_points(n, 0, n->n_out, &groups));
    r->place = over_dims(n, number_points(n, n->n_out, n->n_loops, &groups));
    if (l->carry >= 0)
        carried_places(l, r);
    return true;
}

/* ---- operands and expressions ---- */

static Expr *operand(Lower *l, Operand o, Type t)
{
    Nest *n = &l->out->nest;
    int k = 0;

    while (k < n->n_opds && memcmp(&n->opd[k], &o, sizeof o))
        k++;
    if (k == n->n_opds)
        VEC_PUSH(l->a, n->opd, n->n_opds, o);
    Expr *e = ex_new(l->a, OP_col, t, 0, NULL);
    e->src = 0;
    e->col = k;
    return e;
}

static int buffer(Lower *l, int src, int col, bool lanes, bool written, int64_t rows)
{
    Nest *n = &l->out->nest;
    const NestBuf b = { .lanes = lanes, .written = written, .rows = (size_t)rows };
    const NestSource from = { src, col };
    int at = n->n_bufs;

    for (int k = 0; k < n->n_bufs; k++)
        if (l->out->from[k].src == src && l->out->from[k].col == col)
            return k;
    VEC_PUSH(l->a, l->out->from, at, from);
    VEC_PUSH(l->a, n->buf, n->n_bufs, b);
    return n->n_bufs - 1;
}

static Operand load_of(Lower *l, int src, int col, const Affine *row, int64_t rows)
{
    Operand o;

    memset(&o, 0, sizeof o);                            /* compared as bytes */
    o.kind = OPD_load;
    o.index = buffer(l, src, col, l->src[src]->lanes, false, rows);
    const Lin x = over_vars(l, src, row);
    o.at = over_loops(l, &x);
    return o;
}

static Expr *load_col(Lower *l, const Expr *e)
{
    const Regular *r = l->src[e->src];
    Affine row = { 0 };

    if (r->col[e->col].kind != REG_value || r->winner) {
        refuse(l, "a number it reads may be missing");
        return NULL;
    }
    for (int d = 0; d < r->n_dims; d++)
        row.k[d] = r->stride[d];
    return operand(l, load_of(l, e->src, e->col, &row, r->rows), T_REAL);
}

static Expr *key_number(Lower *l, const Lin *x)
{
    Operand o;

    memset(&o, 0, sizeof o);
    o.kind = OPD_key;
    o.at = over_loops(l, x);
    return operand(l, o, T_INT);
}

static Expr *number_of(Lower *l, const Expr *e);

static Expr *as_found(void *arg, const Expr *col)
{
    const Lower *l = arg;
    Expr *e = ex_copy(l->a, col);

    e->nullable = col_of(l, col)->kind == REG_none;
    return e;
}

/* As the data is, which says more than the text. */
static bool is_never_null(Lower *l, const Expr *e)
{
    return !ex_map(l->a, e, as_found, l)->nullable;
}

/* CASE branches whose condition is settled by nothing being NULL fall away. */
static Expr *convert_cond(Lower *l, const Expr *e)
{
    Expr **arg = NULL;
    int n = 0, k = 0;

    for (; k + 1 < e->n_args; k += 2) {
        const Op op = e->arg[k]->op;
        if ((op == OP_is_null || op == OP_not_null) && !is_never_null(l, e->arg[k]->arg[0])) {
            refuse(l, "it asks whether a number is missing");
            return NULL;
        }
        if (op == OP_is_null)
            continue;
        if (op == OP_not_null)
            break;
        Expr *when = number_of(l, e->arg[k]), *then = number_of(l, e->arg[k + 1]);
        if (!when || !then)
            return NULL;
        VEC_PUSH(l->a, arg, n, when);
        VEC_PUSH(l->a, arg, n, then);
    }
    Expr *other = number_of(l, k + 1 < e->n_args ? e->arg[k + 1] : e->arg[e->n_args - 1]);
    if (!other || n == 0)
        return other;
    VEC_PUSH(l->a, arg, n, other);
    return ex_new(l->a, OP_cond, e->type, n, arg);
}

static Expr *convert_args(Lower *l, const Expr *e)
{
    Expr **arg = ARENA_ARRAY(l->a, Expr *, e->n_args + 1);

    for (int k = 0; k < e->n_args; k++)
        if (!(arg[k] = number_of(l, e->arg[k])))
            return NULL;
    return ex_new(l->a, e->op, e->type, e->n_args, arg);
}

static Expr *cannot(Lower *l)
{
    refuse(l, "an expression needs what a nest does not have");
    return NULL;
}

static Expr *number_of(Lower *l, const Expr *e)
{
    Lin x;

    if (e->type == T_INT)
        return to_lin(l, e, &x) ? key_number(l, &x) : NULL;
    if (e->type == T_TEXT || e->type == T_NULL)
        return cannot(l);
    switch (e->op) {
    case OP_col: return load_col(l, e);
    case OP_lit_real: return ex_real(l->a, e->r);
    case OP_cond: return convert_cond(l, e);
    case OP_coalesce: return number_of(l, e->arg[0]);
    case OP_round: {
        Expr *arg[2] = { number_of(l, e->arg[0]), ex_copy(l->a, e->arg[1]) };
        return arg[0] && arg[1]->op == OP_lit_int ? ex_new(l->a, OP_round, T_REAL, 2, arg) : cannot(l);
    }
    case OP_neg: case OP_add: case OP_sub: case OP_mul: case OP_div: case OP_abs: case OP_sign: case OP_exp:
    case OP_ln: case OP_log10: case OP_sqrt: case OP_pow: case OP_sin: case OP_cos: case OP_tan: case OP_tanh:
    case OP_atan: case OP_floor: case OP_ceil: case OP_max: case OP_min:
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same: case OP_differ:
    case OP_in: case OP_and: case OP_or: case OP_not:
        return convert_args(l, e);
    case OP_to_real:
        return e->arg[0]->type == T_INT ? convert_args(l, e) : cannot(l);
    case OP_lit_int: case OP_lit_text: case OP_lit_null: case OP_var: case OP_idiv: case OP_mod: case OP_nullif:
    case OP_to_int: case OP_to_text: case OP_is_null: case OP_not_null:
        return cannot(l);
    }
    return cannot(l);
}

/* The place stored for the group of the source's row. */
static Expr *stored_place(Lower *l, int src)
{
    const Regular *r = l->src[src];
    int64_t groups = 1;

    for (int d = 0; d < r->n_dims; d++)
        groups *= r->place.k[d] ? 1 : r->extent[d];
    return operand(l, load_of(l, src, -1, &r->group, groups), T_REAL);
}

/* True where the winners read are there. */
static Expr *winners_there(Lower *l)
{
    Expr *all = NULL;

    for (int s = 0; s < l->b->n_src; s++) {
        const Regular *r = l->src[s];
        if (!r->winner)
            continue;
        Expr *stored = stored_place(l, s);
        const Lin own = over_vars(l, s, &r->place);
        Expr *arg[2] = { stored, ex1(l->a, OP_to_real, key_number(l, &own)) };
        Expr *here = ex_new(l->a, OP_eq, T_BOOL, 2, arg);
        all = all ? ex2(l->a, OP_and, all, here) : here;
    }
    return all;
}

/* A number of the result, 0 where a row it is made of is not there. */
static Expr *number(Lower *l, const Expr *from)
{
    Expr *e = number_of(l, from), *here = winners_there(l);

    if (!e || !here)
        return e;
    Expr *arg[3] = { here, e, ex_real(l->a, 0) };
    return ex_new(l->a, OP_cond, T_REAL, 3, arg);
}

/* ---- stores ---- */

static void add_store(Lower *l, int col, Expr *e)
{
    Nest *n = &l->out->nest;
    NestStore s = { .e = e };
    int64_t rows;

    s.at = number_points(n, 0, n->n_out, &rows);
    s.buf = buffer(l, -1, col, n->lanes && !n->sum_lanes, true, rows);
    VEC_PUSH(l->a, n->store, n->n_stores, s);
}

static Expr *result_of(Lower *l, OperandKind kind, int agg)
{
    Operand o;

    memset(&o, 0, sizeof o);
    o.kind = kind;
    o.index = agg;
    return operand(l, o, T_REAL);
}

static int64_t count_from(const Nest *n, int64_t *at, int depth);

static int64_t bound_at(const Bound *b, const int64_t *at, int depth, bool up)
{
    int64_t x = b->e.c;

    for (int i = 0; i < depth; i++)
        x += b->e.k[i] * at[i];
    const int64_t q = x / b->d, r = x % b->d;
    return up ? q + (r > 0) : q - (r < 0);
}

static int64_t count_loop(const Nest *n, int64_t *at, int depth)
{
    const NestLoop *o = &n->loop[depth];
    int64_t lo = o->min, hi = o->max, total = 0;

    for (int k = 0; !o->box && k < o->n_lo; k++) {
        const int64_t x = bound_at(&o->lo[k], at, depth, true);
        lo = x > lo ? x : lo;
    }
    for (int k = 0; !o->box && k < o->n_hi; k++) {
        const int64_t x = bound_at(&o->hi[k], at, depth, false);
        hi = x < hi ? x : hi;
    }
    if (depth + 1 == n->n_loops)
        return hi < lo ? 0 : hi - lo + 1;
    for (at[depth] = lo; at[depth] <= hi; at[depth]++)
        total += count_from(n, at, depth + 1);
    return total;
}

/* Points of the loops from `depth` on, inside those outside. */
static int64_t count_from(const Nest *n, int64_t *at, int depth)
{
    return depth == n->n_loops ? 1 : count_loop(n, at, depth);
}

static int64_t *rows_counted(const Lower *l)
{
    const Nest *n = &l->out->nest;
    const Regular *r = &l->out->out;
    int64_t *count = ARENA_ARRAY(l->a, int64_t, r->rows + 1), at[MAX_LOOPS];

    for (int64_t row = 0; row < r->rows; row++) {
        for (int d = 0; d < n->n_out; d++)
            at[d] = n->loop[d].min + row / r->stride[d] % r->extent[d];
        count[row] = row && all_box(n) ? count[0] : count_from(n, at, n->n_out);
    }
    return count;
}

/* Iterations for every row that is there. */
static int64_t places_met(const Lower *l)
{
    int64_t n = 1;

    for (int s = 0; s < l->b->n_src; s++)
        for (int d = 0; l->src[s]->winner && d < l->src[s]->n_dims; d++)
            n *= l->src[s]->place.k[d] ? l->src[s]->extent[d] : 1;
    return n;
}

/* What readers may know of a count. */
static RegCol constant_or_none(const int64_t *count, int64_t rows, bool of_one_lane)
{
    RegCol k = { .kind = REG_affine, .key = { .c = rows ? count[0] : 0 } };

    for (int64_t row = 0; row < rows; row++)
        if (of_one_lane || count[row] != count[0])
            k.kind = REG_none;
    return k;
}

static bool add_count(Lower *l, int c)
{
    const Expr *e = l->b->col[c].e;

    if (l->masked && !(l->certain && all_box(&l->out->nest)))       /* as many for every place */
        return refuse(l, "it counts rows that are known only when it runs");
    if (e && !(e->type == T_REAL ? number_of(l, e) != NULL : never_null(l, e)))
        return refuse(l, "it counts what may be NULL");
    l->out->count[c] = rows_counted(l);
    for (int64_t row = 0; l->masked && row < l->out->out.rows; row++)
        l->out->count[c][row] /= places_met(l);
    l->out->out.col[c] = constant_or_none(l->out->count[c], l->out->out.rows, l->out->nest.sum_lanes);
    return true;
}

static bool add_aggregate(Lower *l, int c)
{
    Nest *n = &l->out->nest;
    NestAgg g = { .op = l->b->col[c].agg };

    if (g.op == AGG_count)
        return add_count(l, c);
    if (l->b->col[c].type != T_REAL || (g.op != AGG_sum && (l->masked || n->sum_lanes)))
        return refuse(l, "it aggregates keys, or what may not be there");
    if (!(g.e = number(l, l->b->col[c].e)))
        return false;
    VEC_PUSH(l->a, n->agg, n->n_aggs, g);
    add_store(l, c, result_of(l, OPD_agg, n->n_aggs - 1));
    return true;
}

static bool add_pick(Lower *l)
{
    Nest *n = &l->out->nest;
    const Order *by = &l->b->order[0];
    NestAgg g = { .op = by->desc ? AGG_max : AGG_min, .keep_place = true };
    int64_t places;

    if (l->masked)
        return refuse(l, "it picks among what may not be there");
    for (int c = 0; c < l->b->n_cols; c++)
        if (l->b->col[c].type == T_REAL)
            return refuse(l, "it picks numbers");
    g.place = number_points(n, n->n_out, n->n_loops, &places);
    if (places > 1 << 24)
        return refuse(l, "its groups are too large");
    if (!(g.e = number_of(l, by->e)))
        return false;
    VEC_PUSH(l->a, n->agg, n->n_aggs, g);
    add_store(l, -1, result_of(l, OPD_place, 0));
    return true;
}

/* A column of a row block; a sum, if places are summed over. */
static bool add_number(Lower *l, int c)
{
    Nest *n = &l->out->nest;
    Expr *e = number(l, l->b->col[c].e);

    if (e && n->n_loops > n->n_out) {
        const NestAgg g = { .op = AGG_sum, .e = e };
        VEC_PUSH(l->a, n->agg, n->n_aggs, g);
        e = result_of(l, OPD_agg, n->n_aggs - 1);
    }
    if (e)
        add_store(l, c, e);
    return e != NULL;
}

/* The place goes along: the result's rows are there as the source's are. */
static void carry_place(Lower *l)
{
    Nest *n = &l->out->nest;
    const Regular *r = &l->out->out;
    NestStore s = { .e = stored_place(l, l->carry), .at = r->group };
    int64_t groups = 1;

    for (int i = 0; i < n->n_loops; i++)
        s.at.c -= s.at.k[i] * n->loop[i].min;
    for (int d = 0; d < r->n_dims; d++)
        groups *= r->place.k[d] ? 1 : r->extent[d];
    s.buf = buffer(l, -1, -1, n->lanes, true, groups);
    VEC_PUSH(l->a, n->store, n->n_stores, s);
}

static bool add_results(Lower *l)
{
    const Block *b = l->b;

    l->out->count = ARENA_ARRAY(l->a, int64_t *, b->n_cols + 1);
    if (b->kind == BLK_pick)
        return add_pick(l);
    for (int c = 0; c < b->n_cols; c++) {
        if (is_key_of(b, c))
            continue;
        if (b->kind == BLK_reduce ? !add_aggregate(l, c) : !add_number(l, c))
            return false;
    }
    if (l->carry >= 0)
        carry_place(l);
    return l->out->nest.n_stores > 0 || refuse(l, "it computes no numbers");
}

/* ---- unions ---- */

static bool same_part_key(const Regular *x, const Regular *y, const Expr *e, const Expr *f)
{
    if (e->op == OP_lit_int && f->op == OP_lit_int)
        return true;                                    /* the branches' numbers */
    if (e->op != OP_col || f->op != OP_col)
        return false;
    const RegCol *k = &x->col[e->col], *m = &y->col[f->col];
    if (k->kind != m->kind || k->kind == REG_none)
        return false;
    return k->kind == REG_codes ? k->dim == m->dim && !memcmp(x->codes[k->dim], y->codes[m->dim],
                                                              (size_t)x->extent[k->dim] * sizeof(int64_t))
                                : !memcmp(&k->key, &m->key, sizeof k->key);
}

/* Do all parts number the same rows alike, and differ in one literal?  *branch: its column. */
static bool parts_agree(Lower *l, int *branch)
{
    const Block *b = l->b;
    const Regular *x = l->src[b->part[0].src];

    *branch = -1;
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].type != T_REAL && b->part[0].e[c]->op == OP_lit_int)
            *branch = *branch == -1 ? c : -2;
    for (int p = 0; p < b->n_parts; p++) {
        const Regular *y = l->src[b->part[p].src];
        bool same = y->n_dims == x->n_dims && y->lanes == x->lanes && !y->winner;
        for (int d = 0; same && d < x->n_dims; d++)
            same = x->extent[d] == y->extent[d] && x->stride[d] == y->stride[d];
        for (int c = 0; same && c < b->n_cols; c++)
            same = b->col[c].type == T_REAL ? b->part[p].e[c]->op == OP_col
                                            : same_part_key(x, y, b->part[0].e[c], b->part[p].e[c]);
        if (!same || *branch < 0 || b->part[p].e[*branch]->i != p)
            return refuse(l, "it is a union of different boxes");
    }
    return true;
}

/* Rows of part 0, then of part 1 …: one dimension more, the slowest. */
static bool union_rows(Lower *l, int branch)
{
    const Block *b = l->b;
    const Regular *x = l->src[b->part[0].src];
    Regular *r = &l->out->out;

    *r = *x;
    if (x->n_dims == REG_DIMS || x->rows > UINT32_MAX / b->n_parts)
        return refuse(l, "it has too many rows");
    r->n_cols = b->n_cols;
    r->n_dims = x->n_dims + 1;
    r->rows = x->rows * b->n_parts;
    for (int d = x->n_dims; d > 0; d--) {
        r->extent[d] = x->extent[d - 1];
        r->stride[d] = x->stride[d - 1];
        r->codes[d] = own_codes(l, x->codes[d - 1], x->extent[d - 1]);
    }
    r->extent[0] = b->n_parts;
    r->stride[0] = x->rows;
    r->codes[0] = NULL;
    r->col = ARENA_ARRAY(l->a, RegCol, b->n_cols + 1);
    for (int c = 0; c < b->n_cols; c++) {
        RegCol *k = &r->col[c];
        if (c == branch) {
            *k = (RegCol){ .kind = REG_affine, .key.k[0] = 1 };
            continue;
        }
        *k = x->col[b->part[0].e[c]->col];
        k->dim++;
        for (int d = MAX_LOOPS - 1; d > 0; d--)
            k->key.k[d] = k->key.k[d - 1];
        k->key.k[0] = 0;
    }
    return true;
}

/* Every part is copied to its rows; a loop a row, since all parts are numbered alike. */
static bool union_nest(Lower *l)
{
    const Block *b = l->b;
    Nest *n = &l->out->nest;
    int64_t rows;
    int branch;

    for (int p = 0; p < b->n_parts; p++)
        if (b->part[p].src < 0 || !l->src[b->part[p].src])
            return refuse(l, "a source is not regular");
    if (!parts_agree(l, &branch) || !union_rows(l, branch))
        return false;
    rows = l->src[b->part[0].src]->rows;
    n->lanes = l->out->out.lanes;
    n->split = n->lanes ? -1 : 0;
    n->n_loops = n->n_out = 1;
    n->loop[0] = (NestLoop){ .min = 0, .max = rows - 1, .box = true };
    l->out->count = ARENA_ARRAY(l->a, int64_t *, b->n_cols + 1);
    for (int p = 0; p < b->n_parts; p++)
        for (int c = 0; c < b->n_cols; c++) {
            const Expr *e = b->part[p].e[c];
            if (b->col[c].type != T_REAL)
                continue;
            if (l->src[e->src]->col[e->col].kind != REG_value)
                return refuse(l, "a number it reads may be missing");
            Operand o;
            memset(&o, 0, sizeof o);
            o.kind = OPD_load;
            o.index = buffer(l, e->src, e->col, n->lanes, false, rows);
            o.at.k[0] = 1;
            NestStore s = { .e = operand(l, o, T_REAL), .at = { .c = p * rows, .k[0] = 1 } };
            s.buf = buffer(l, -1, c, n->lanes, true, rows * b->n_parts);
            VEC_PUSH(l->a, n->store, n->n_stores, s);
        }
    return n->n_stores > 0 || refuse(l, "it computes no numbers");
}

/* ---- */

static bool shape_is_right(Lower *l)
{
    const Block *b = l->b;

    if (b->kind != BLK_row && b->kind != BLK_reduce && b->kind != BLK_pick && b->kind != BLK_union)
        return refuse(l, "it has no rows");
    if (b->n_src == 0 || b->n_src >= 64)
        return refuse(l, "it has no sources");
    return true;
}

/* The outermost output loop that no bound depends on. */
static int loop_to_split(const Nest *n)
{
    for (int i = 0; i < n->n_out; i++)
        if (!nest_bounded_by(n, i))
            return i;
    return -1;
}

static bool lanes_are_right(Lower *l)
{
    Nest *n = &l->out->nest;

    n->lanes = l->lanes;
    n->sum_lanes = l->lanes && !l->carried;
    n->split = n->lanes ? -1 : loop_to_split(n);
    return !n->sum_lanes || l->b->kind == BLK_reduce || refuse(l, "a row for every lane that the lanes do not tell apart");
}

bool lower_block(const Block *b, const Regular *const *src, bool blind, Arena *a, Lowered *out, const char **why)
{
    Lower *l = ARENA_NEW(a, Lower);

    *out = (Lowered){ .nest = { .id = b->id } };
    *l = (Lower){ .b = b, .src = src, .blind = blind, .a = a, .out = out, .s = { .a = a } };
    const bool ok = !shape_is_right(l) ? false : b->kind == BLK_union ? union_nest(l)
                  : make_vars(l) && all_conditions(l) && outer_joins(l) &&
                    read_keys(l) && choose_outputs(l) && output_loops(l) &&
                    (b->kind != BLK_pick || pick_loops(l)) && reduction_loops(l) && find_bounds(l) &&
                    find_presence(l) && result_rows(l) && lanes_are_right(l) && add_results(l);
    *why = ok ? NULL : l->s.why ? l->s.why : "it is not affine";
    return ok;
}
