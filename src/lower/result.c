/* SPDX-License-Identifier: Apache-2.0
 *
 * result.c - what a nest computes: operands, where every source's number stands as an affine form of the loops,
 * expressions, aggregates, stores; and counts, which are settled at once. */
#include "lower/block.h"

#include <stdlib.h>
#include <string.h>

/* ---- operands and expressions ---- */

Expr *low_operand(Lower *l, Operand o, Type t)
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

int low_buffer(Lower *l, int src, int col, bool lanes, bool written, int64_t rows)
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

static bool is_loaded_key(const Lower *l, int src, int col)
{
    const RegKind kind = col < 0 ? REG_value : l->src[src]->col[col].kind;

    return kind == REG_count || kind == REG_list;
}

static Operand load_of(Lower *l, int src, int col, const Affine *row, int64_t rows)
{
    Operand o;

    memset(&o, 0, sizeof o);                            /* compared as bytes */
    o.kind = OPD_load;
    o.index = low_buffer(l, src, col, l->src[src]->lanes && !is_loaded_key(l, src, col), false, rows);
    const Lin x = low_over_vars(l, src, row);
    o.at = low_over_loops(l, &x);
    o.at.c += col < 0 ? 0 : l->first[src];
    return o;
}

static Expr *load_col(Lower *l, const Expr *e)
{
    const Regular *r = l->src[e->src];
    Affine row = { 0 };

    if (r->col[e->col].kind != REG_value || (r->winner && r->pick < 0)) {
        low_refuse(l, "a number it reads may be missing");
        return NULL;
    }
    for (int d = 0; d < r->n_dims; d++)
        row.k[d] = r->stride[d];
    return low_operand(l, load_of(l, e->src, e->col, &row, r->rows), T_REAL);
}

/* An integer that stands in an array. */
static Expr *load_count(Lower *l, const Expr *e)
{
    const Regular *r = l->src[e->src];
    Affine row = { 0 };

    if (r->winner) {
        low_refuse(l, "a number it reads may be missing");
        return NULL;
    }
    for (int d = 0; d < r->n_dims; d++)
        row.k[d] = r->stride[d];
    return low_operand(l, load_of(l, e->src, e->col, &row, r->rows), T_REAL);
}

static Expr *key_number(Lower *l, const Lin *x)
{
    Operand o;

    memset(&o, 0, sizeof o);
    o.kind = OPD_key;
    o.at = low_over_loops(l, x);
    return low_operand(l, o, T_INT);
}

static Expr *number_of(Lower *l, const Expr *e);

static Expr *cannot(Lower *l)
{
    low_refuse(l, "an expression needs what a nest does not have");
    return NULL;
}

/* The least that an integer expression over counts may be; INT64_MIN: not known. */
static int64_t least_of(const Lower *l, const Expr *e)
{
    if (e->op == OP_lit_int)
        return e->i;
    if (e->op == OP_col && low_col(l, e)->kind == REG_count)
        return low_col(l, e)->key.c > INT32_MIN ? low_col(l, e)->key.c : INT64_MIN;
    if (e->op == OP_sub && e->arg[1]->op == OP_lit_int && least_of(l, e->arg[0]) > INT64_MIN && llabs(e->arg[1]->i) < INT32_MAX)
        return least_of(l, e->arg[0]) - e->arg[1]->i;
    return INT64_MIN;
}

/* NULLIF whose first argument is always the greater one. */
static bool is_never_equal(const Lower *l, const Expr *e)
{
    return e->op == OP_nullif && e->arg[1]->op == OP_lit_int && least_of(l, e->arg[0]) > e->arg[1]->i;
}

/* The expression as the data is, which says more than the text. */
static Expr *as_found(Lower *l, const Expr *e)
{
    Expr *own;

    if (is_never_equal(l, e))
        return as_found(l, e->arg[0]);
    own = ex_copy(l->a, e);
    if (e->op == OP_col) {
        own->nullable = low_col(l, e)->kind == REG_none || regular_any_null(l->src[e->src], e->col);
        return own;
    }
    for (int k = 0; k < e->n_args; k++)
        own->arg[k] = as_found(l, e->arg[k]);
    own->nullable = ex_may_null(own);
    return own;
}

static bool is_never_null(Lower *l, const Expr *e)
{
    return !as_found(l, e)->nullable;
}

/* CASE branches whose condition is settled by nothing being NULL fall away. */
static Expr *convert_cond(Lower *l, const Expr *e)
{
    Expr **arg = NULL;
    int n = 0, k = 0;

    for (; k + 1 < e->n_args; k += 2) {
        const Op op = e->arg[k]->op;
        if ((op == OP_is_null || op == OP_not_null) && !is_never_null(l, e->arg[k]->arg[0])) {
            low_refuse(l, "it asks whether a number is missing");
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

/* Where one argument is an integer that is made of reals, all are. */
static Expr *convert_args(Lower *l, const Expr *e)
{
    Expr **arg = ARENA_ARRAY(l->a, Expr *, e->n_args + 1);
    bool made = false;

    for (int k = 0; k < e->n_args; k++) {
        if (!(arg[k] = number_of(l, e->arg[k])))
            return NULL;
        made |= e->arg[k]->type == T_INT && arg[k]->type == T_REAL;
    }
    for (int k = 0; made && k < e->n_args; k++)
        arg[k] = arg[k]->type == T_INT ? ex1(l->a, OP_to_real, arg[k]) : arg[k];
    return made && e->op == OP_to_real ? arg[0] : ex_new(l->a, e->op, e->type, e->n_args, arg);
}

static Expr *real_of_key(Lower *l, const Expr *e);

/* x / by, toward zero.  Half a step keeps the quotient off the integers, so that rounding does not matter. */
static Expr *key_quotient(Lower *l, const Expr *e)
{
    const int64_t by = e->arg[1]->op == OP_lit_int ? e->arg[1]->i : 0;
    int64_t lo, hi;
    Lin x;

    if (by <= 0 || !low_lin(l, e->arg[0], &x) || !space_range(&l->s, &x, &lo, &hi) || lo <= -(1 << 20) || hi >= 1 << 20 ||
        by >= 1 << 20)
        return NULL;
    Expr *of = real_of_key(l, e->arg[0]), *far = lo < 0 ? ex1(l->a, OP_abs, of) : of;
    Expr *half = ex2(l->a, OP_add, far, ex_real(l->a, 0.5));
    Expr *q = ex1(l->a, OP_floor, ex2(l->a, OP_div, half, ex_real(l->a, (double)by)));
    return lo < 0 ? ex2(l->a, OP_mul, q, ex1(l->a, OP_sign, of)) : q;
}

static Expr *key_remainder(Lower *l, const Expr *e)
{
    Expr *q = key_quotient(l, e), *x = q ? real_of_key(l, e->arg[0]) : NULL;

    return x ? ex2(l->a, OP_sub, x, ex2(l->a, OP_mul, q, ex_real(l->a, (double)e->arg[1]->i))) : NULL;
}

/* CASE over integers, none of whose conditions asks for NULL. */
static Expr *case_of_keys(Lower *l, const Expr *e)
{
    Expr **arg = ARENA_ARRAY(l->a, Expr *, e->n_args + 1);

    for (int k = 0; k < e->n_args; k++) {
        const bool when = k % 2 == 0 && k + 1 < e->n_args;
        if ((when && (e->arg[k]->op == OP_is_null || e->arg[k]->op == OP_not_null)) ||
            !(arg[k] = when ? number_of(l, e->arg[k]) : real_of_key(l, e->arg[k])))
            return NULL;
    }
    return ex_new(l->a, OP_cond, T_REAL, e->n_args, arg);
}

/* An integer made of keys as a real number: where it is not affine, it is computed.  NULL: it cannot. */
static Expr *real_of_key(Lower *l, const Expr *e)
{
    const char *why = l->s.why;
    Expr **arg = ARENA_ARRAY(l->a, Expr *, e->n_args + 1);
    Lin x;

    if (e->type != T_INT)
        return NULL;
    if (e->op == OP_col && is_loaded_key(l, e->src, e->col))
        return low_never_null(l, e) ? load_count(l, e) : NULL;
    if (is_never_equal(l, e))
        return real_of_key(l, e->arg[0]);
    if (low_lin(l, e, &x))
        return ex1(l->a, OP_to_real, key_number(l, &x));
    l->s.why = why;
    if (e->op == OP_idiv || e->op == OP_mod)
        return e->op == OP_idiv ? key_quotient(l, e) : key_remainder(l, e);
    if (e->op == OP_cond)
        return case_of_keys(l, e);
    if (e->op != OP_neg && e->op != OP_add && e->op != OP_sub && e->op != OP_mul && e->op != OP_abs && e->op != OP_max &&
        e->op != OP_min)
        return NULL;
    for (int k = 0; k < e->n_args; k++)
        if (!(arg[k] = real_of_key(l, e->arg[k])))
            return NULL;
    return ex_new(l->a, e->op, T_REAL, e->n_args, arg);
}

static Expr *number_of_key(Lower *l, const Expr *e)
{
    const char *before = l->s.why;
    Lin x;

    if (low_lin(l, e, &x))
        return key_number(l, &x);
    const char *why = l->s.why;
    l->s.why = before;
    Expr *made = real_of_key(l, e);
    l->s.why = made ? before : why;
    return made;
}

static Expr *number_of(Lower *l, const Expr *e)
{
    if (e->type == T_INT)
        return number_of_key(l, e);
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
    case OP_draw: case OP_to_int: case OP_to_text: case OP_is_null: case OP_not_null:
        return cannot(l);
    }
    return cannot(l);
}

Expr *low_number(Lower *l, const Expr *e)
{
    return number_of(l, e);
}

/* The place stored for the group of the source's row. */
static Expr *stored_place(Lower *l, int src)
{
    const Regular *r = l->src[src];
    Affine at = r->group;

    for (int d = 0; d < r->n_dims; d++)         /* the same for all numbers of other dimensions */
        if (!r->part.k[d] && !r->place.k[d])
            at.k[d] = 0;
    return low_operand(l, load_of(l, src, -1, &at, r->groups), T_REAL);
}

/* True where the winners read are there. */
static Expr *winners_there(Lower *l)
{
    Expr *all = NULL;

    for (int i = 0; i < l->b->n_src; i++) {
        const int s = l->order->src[i];
        const Regular *r = l->src[s];
        if (!r->winner || low_chosen_before(l, s))
            continue;
        const Lin own = low_over_vars(l, s, &r->place);
        Expr *arg[2] = { stored_place(l, s), r->mask ? ex_real(l->a, 1) : ex1(l->a, OP_to_real, key_number(l, &own)) };
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

    s.at = low_number_points(n, 0, n->n_out, &rows);
    s.buf = low_buffer(l, -1, col, n->lanes && !n->sum_lanes, true, rows);
    VEC_PUSH(l->a, n->store, n->n_stores, s);
}

static Expr *result_of(Lower *l, OperandKind kind, int agg)
{
    Operand o;

    memset(&o, 0, sizeof o);
    o.kind = kind;
    o.index = agg;
    return low_operand(l, o, T_REAL);
}

static int64_t count_from(const Nest *n, int64_t *at, int depth, int end);

static int64_t bound_at(const Bound *b, const int64_t *at, int depth, bool up)
{
    int64_t x = b->e.c;

    for (int i = 0; i < depth; i++)
        x += b->e.k[i] * at[i];
    const int64_t q = x / b->d, r = x % b->d;
    return up ? q + (r > 0) : q - (r < 0);
}

static int64_t count_loop(const Nest *n, int64_t *at, int depth, int end)
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
    if (depth + 1 == end)
        return hi < lo ? 0 : hi - lo + 1;
    for (at[depth] = lo; at[depth] <= hi; at[depth]++)
        total += count_from(n, at, depth + 1, end);
    return total;
}

/* Points of the loops from `depth` up to `end`, inside those outside. */
static int64_t count_from(const Nest *n, int64_t *at, int depth, int end)
{
    return depth == end ? 1 : count_loop(n, at, depth, end);
}

int64_t low_points(const Nest *n, int loops)
{
    int64_t at[MAX_LOOPS];

    return count_from(n, at, 0, loops);
}

static int64_t *rows_counted(const Lower *l)
{
    const Nest *n = &l->out->nest;
    const Regular *r = &l->out->out;
    int64_t *count = ARENA_ARRAY(l->a, int64_t, r->rows + 1), at[MAX_LOOPS];

    for (int64_t row = 0; row < r->rows; row++) {
        for (int d = 0; d < n->n_out; d++)
            at[d] = n->loop[d].min + row / r->stride[d] % r->extent[d];
        count[row] = row && low_all_box(n) ? count[0] : count_from(n, at, n->n_out, n->n_loops);
    }
    return count;
}

/* So many of the iterations meet rows that are there: one in so many. */
static int64_t rows_met(const Lower *l, int64_t count)
{
    for (int s = 0; s < l->b->n_src; s++) {
        if (!l->src[s]->winner || low_chosen_before(l, s))
            continue;
        for (int d = 0; d < l->src[s]->n_dims; d++)
            count /= l->src[s]->place.k[d] ? l->src[s]->extent[d] : 1;
        count *= l->src[s]->chosen;
    }
    return count;
}

/* What readers may know of a count. */
static RegCol constant_or_numbers(const int64_t *count, int64_t rows, bool of_one_lane)
{
    RegCol k = { .kind = of_one_lane ? REG_count : REG_affine, .key = { .c = rows ? count[0] : 0 } };

    for (int64_t row = 0; row < rows; row++) {
        if (count[row] != k.key.c)
            k.kind = REG_count;
        k.key.c = count[row] < k.key.c ? count[row] : k.key.c;
    }
    return k;
}

static bool add_count(Lower *l, int c)
{
    const Expr *e = l->b->col[c].e;

    if (l->masked && l->carry < 0 && !(l->certain && low_all_box(&l->out->nest)))       /* as many for every place */
        return low_refuse(l, "it counts rows that are known only when it runs");
    if (e && !(e->type == T_REAL ? number_of(l, e) != NULL : low_never_null(l, e)))
        return low_refuse(l, "it counts what may be NULL");
    l->out->count[c] = rows_counted(l);
    for (int64_t row = 0; l->masked && l->carry < 0 && row < l->out->out.rows; row++)
        l->out->count[c][row] = rows_met(l, l->out->count[c][row]);
    l->out->out.col[c] = constant_or_numbers(l->out->count[c], l->out->out.rows, l->out->nest.sum_lanes);
    return true;
}

static bool add_aggregate(Lower *l, int c)
{
    Nest *n = &l->out->nest;
    NestAgg g = { .op = l->b->col[c].agg };

    if (g.op == AGG_count)
        return add_count(l, c);
    if (l->b->col[c].type != T_REAL || (g.op != AGG_sum && ((l->masked && l->carry < 0) || n->sum_lanes)))
        return low_refuse(l, "it aggregates keys, or what may not be there");
    if (!(g.e = number(l, l->b->col[c].e)))
        return false;
    VEC_PUSH(l->a, n->agg, n->n_aggs, g);
    add_store(l, c, result_of(l, OPD_agg, n->n_aggs - 1));
    return true;
}

/* A form in which loops [from, to) are the ones `by` further on. */
static Affine with_others(Affine f, int from, int to, int by)
{
    for (int i = from; i < to; i++) {
        f.k[i + by] = f.k[i];
        f.k[i] = 0;
    }
    return f;
}

static Expr *with_other_rows(Lower *l, const Expr *e, int from, int to)
{
    const Nest *n = &l->out->nest;
    Expr *own = ex_copy(l->a, e);

    if (e->op == OP_col) {
        Operand o = n->opd[e->col];
        o.at = with_others(o.at, from, to, to - from);
        return low_operand(l, o, e->type);
    }
    for (int k = 0; k < e->n_args; k++)
        own->arg[k] = with_other_rows(l, e->arg[k], from, to);
    return own;
}

static Expr *place_operand(Lower *l, const Affine *at)
{
    Operand o;

    memset(&o, 0, sizeof o);
    o.kind = OPD_key;
    o.at = *at;
    return low_operand(l, o, T_INT);
}

#define MOST_SPARED 32                  /* of so many rows one is there, or a list of those is better */
#define MOST_RANKED 256                 /* rows of a group that are compared with each other */

/* The first few of each group: 1 for every row that fewer others of the group come before. */
static bool add_mask(Lower *l, const Expr *e, const Affine *place, bool desc)
{
    Nest *n = &l->out->nest;
    const int from = n->n_out, to = n->n_loops;
    const Affine there = with_others(*place, from, to, to - from);

    int64_t places;

    low_number_points(n, from, to, &places);
    if (2 * to - from > MAX_LOOPS || places > MOST_RANKED || places > l->out->out.chosen * MOST_SPARED)
        return low_refuse(l, "it picks several of many");
    Expr *other = with_other_rows(l, e, from, to);
    Expr *own = ex_copy(l->a, e);
    Expr *tie = ex2(l->a, OP_and, ex2(l->a, OP_eq, other, own),
                    ex2(l->a, OP_lt, place_operand(l, &there), place_operand(l, place)));
    Expr *before = ex2(l->a, OP_or, ex2(l->a, desc ? OP_gt : OP_lt, other, own), tie);
    Expr *arg[3] = { before, ex_real(l->a, 1), ex_real(l->a, 0) };
    const NestAgg g = { .op = AGG_sum, .e = ex_new(l->a, OP_cond, T_REAL, 3, arg) };
    for (int i = from; i < to; i++)
        n->loop[i + to - from] = n->loop[i];
    n->n_loops = 2 * to - from;
    n->n_out = to;
    VEC_PUSH(l->a, n->agg, n->n_aggs, g);
    Expr *rank[2] = { result_of(l, OPD_agg, 0), ex_real(l->a, (double)l->out->out.chosen) };
    Expr *few[3] = { ex_new(l->a, OP_lt, T_BOOL, 2, rank), ex_real(l->a, 1), ex_real(l->a, 0) };
    add_store(l, -1, ex_new(l->a, OP_cond, T_REAL, 3, few));
    return true;
}

static bool add_pick(Lower *l)
{
    Nest *n = &l->out->nest;
    const Order *by = &l->b->order[0];
    NestAgg g = { .op = by->desc ? AGG_max : AGG_min, .keep_place = true };
    int64_t places;

    if (l->masked)
        return low_refuse(l, "it picks among what may not be there");
    for (int c = 0; c < l->b->n_cols; c++)
        if (l->b->col[c].type == T_REAL)
            return low_refuse(l, "it picks numbers");
    g.place = low_number_points(n, n->n_out, n->n_loops, &places);
    if (places > 1 << 24)
        return low_refuse(l, "its groups are too large");
    if (!(g.e = number_of(l, by->e)))
        return false;
    if (l->out->out.mask)
        return add_mask(l, g.e, &g.place, by->desc);
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

    for (int i = 0; i < n->n_out; i++)
        s.at.c -= s.at.k[i] * n->loop[i].min;
    s.buf = low_buffer(l, -1, -1, n->lanes, true, r->groups);
    VEC_PUSH(l->a, n->store, n->n_stores, s);
}

bool low_results(Lower *l)
{
    const Block *b = l->b;

    l->out->count = ARENA_ARRAY(l->a, int64_t *, b->n_cols + 1);
    if (b->kind == BLK_pick)
        return add_pick(l);
    for (int c = 0; c < b->n_cols; c++) {
        if (low_is_key(b, c))
            continue;
        if (b->kind == BLK_reduce ? !add_aggregate(l, c) : !add_number(l, c))
            return false;
    }
    if (l->carry >= 0)
        carry_place(l);
    if (l->out->nest.n_stores > 0)
        return true;
    if (l->masked && !l->certain)
        return low_refuse(l, "its rows are there by values that move");
    l->out->nest.copies = true;             /* keys alone: nothing is left to do */
    return true;
}
