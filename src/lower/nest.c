/* SPDX-License-Identifier: Apache-2.0
 *
 * nest.c - questions about nests: which can be written as C text, how large they are, what they cost. */
#include "lower/gen.h"

#include <math.h>
#include <string.h>

int64_t nest_extent(const Nest *n, int l)
{
    const int64_t e = n->loop[l].max - n->loop[l].min + 1;
    return e > 0 ? e : 0;
}

int64_t nest_unit(const Nest *n, const Target *t, int l)
{
    return n->sched.vec != l ? 1 : n->sched.packed ? t->W / t->B : t->W;
}

bool nest_any_reads(const Bound *b, int n, int l)
{
    for (int k = 0; k < n; k++)
        if (b[k].e.k[l])
            return true;
    return false;
}

bool nest_bounded_by(const Nest *n, int l)
{
    for (int m = 0; m < n->n_loops; m++)
        if (!n->loop[m].box && (nest_any_reads(n->loop[m].lo, n->loop[m].n_lo, l) ||
                                nest_any_reads(n->loop[m].hi, n->loop[m].n_hi, l)))
            return true;
    return false;
}

void nest_range(const Nest *n, const Affine *a, int64_t *lo, int64_t *hi)
{
    *lo = *hi = a->c;
    for (int l = 0; l < n->n_loops; l++) {
        const int64_t x = a->k[l] * n->loop[l].min, y = a->k[l] * n->loop[l].max;
        *lo += x < y ? x : y;
        *hi += x < y ? y : x;
    }
}

/* ---- what can be written ---- */

static bool can_operand(const Nest *n, const Expr *e, bool store)
{
    if (e->src != 0 || e->col < 0 || e->col >= n->n_opds)
        return false;
    const Operand *o = &n->opd[e->col];
    for (int l = n->n_out; store && l < n->n_loops; l++)
        if (o->kind != OPD_agg && o->kind != OPD_place && o->at.k[l])
            return false;
    if (o->kind == OPD_load)
        return e->type == T_REAL && o->index >= 0 && o->index < n->n_bufs;
    if (o->kind == OPD_key)
        return e->type == T_INT;
    return store && e->type == T_REAL && o->index >= 0 && o->index < n->n_aggs &&
           (o->kind == OPD_agg || n->agg[o->index].keep_place);
}

static bool can_expr(const Nest *n, const Expr *e, bool store);

static bool can_args(const Nest *n, const Expr *e, bool store, Type want)
{
    for (int k = 0; k < e->n_args; k++)
        if ((want != T_NULL && e->arg[k]->type != want) || !can_expr(n, e->arg[k], store))
            return false;
    return e->n_args > 0;
}

/* Numbers are compared with numbers, keys with keys. */
static bool can_compare(const Nest *n, const Expr *e, bool store)
{
    const Type t = e->arg[0]->type;
    return (t == T_REAL || t == T_INT) && can_args(n, e, store, t);
}

static bool can_cond(const Nest *n, const Expr *e, bool store)
{
    for (int k = 0; k < e->n_args; k++) {
        const bool when = k % 2 == 0 && k != e->n_args - 1;
        if (e->arg[k]->type != (when ? T_BOOL : e->type))
            return false;
    }
    return (e->type == T_REAL || e->type == T_BOOL) && e->n_args % 2 == 1 && can_args(n, e, store, T_NULL);
}

static bool can_expr(const Nest *n, const Expr *e, bool store)
{
    switch (e->op) {
    case OP_col: return can_operand(n, e, store);
    case OP_lit_int: return e->type == T_INT;
    case OP_lit_real: return true;
    case OP_neg: case OP_add: case OP_sub: case OP_mul: case OP_div: case OP_abs: case OP_sign: case OP_exp:
    case OP_ln: case OP_log10: case OP_sqrt: case OP_pow: case OP_sin: case OP_cos: case OP_tan: case OP_tanh:
    case OP_atan: case OP_floor: case OP_ceil: case OP_max: case OP_min:
        return e->type == T_REAL && can_args(n, e, store, T_REAL);
    case OP_round: return e->arg[1]->op == OP_lit_int && e->arg[0]->type == T_REAL && can_expr(n, e->arg[0], store);
    case OP_cond: return can_cond(n, e, store);
    case OP_coalesce: return e->type == e->arg[0]->type && can_expr(n, e->arg[0], store);
    case OP_to_real: return can_args(n, e, store, T_NULL);
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same: case OP_differ: case OP_in:
        return can_compare(n, e, store);
    case OP_is_null: case OP_not_null: return true;
    case OP_and: case OP_or: case OP_not: return can_args(n, e, store, T_BOOL);
    case OP_lit_text: case OP_lit_null: case OP_var: case OP_idiv: case OP_mod: case OP_nullif: case OP_to_int:
    case OP_to_text: case OP_draw:
        return false;
    }
    BUG("can_expr: operator %d", (int)e->op);
}

/* The store is one aggregate as it is. */
static bool is_plain_agg(const Nest *n, const Expr *e)
{
    return e->op == OP_col && n->opd[e->col].kind == OPD_agg;
}

static bool is_partial(const Nest *n)
{
    return n->sum_lanes || (n->split >= n->n_out && n->split >= 0);
}

static bool can_agg(const Nest *n, const NestAgg *a)
{
    int64_t lo, hi;

    if ((a->op != AGG_sum && a->op != AGG_max && a->op != AGG_min) || (is_partial(n) && a->op != AGG_sum))
        return false;
    if (a->keep_place) {
        nest_range(n, &a->place, &lo, &hi);
        if (a->op == AGG_sum || lo < -EXACT || hi > EXACT)
            return false;
    }
    return a->e->type == T_REAL && can_expr(n, a->e, false);
}

static bool can_store(const Nest *n, const NestStore *s)
{
    if (s->buf < 0 || s->buf >= n->n_bufs || n->buf[s->buf].lanes != (n->lanes && !n->sum_lanes))
        return false;
    for (int l = n->n_out; l < n->n_loops; l++)
        if (s->at.k[l])
            return false;
    return s->e->type == T_REAL && can_expr(n, s->e, true) && (!is_partial(n) || is_plain_agg(n, s->e));
}

static bool can_loop(const Nest *n, int l)
{
    const NestLoop *p = &n->loop[l];

    if (p->box)
        return true;
    if (l == n->split || !p->n_lo || !p->n_hi)
        return false;
    for (int m = l; m < n->n_loops; m++)
        if (nest_any_reads(p->lo, p->n_lo, m) || nest_any_reads(p->hi, p->n_hi, m))
            return false;
    return true;
}

/* Nodes of a tree, shared parts counted each time: text is made by walking it.  Stops at `most`. */
static int count_nodes(const Expr *e, int most)
{
    int n = 1;

    for (int k = 0; k < e->n_args && n < most; k++)
        n += count_nodes(e->arg[k], most - n);
    return n;
}

static bool can_size(const Nest *n)
{
    int left = MAX_NODES;

    for (int k = 0; k < n->n_aggs && left > 0; k++)
        left -= count_nodes(n->agg[k].e, left);
    for (int k = 0; k < n->n_stores && left > 0; k++)
        left -= count_nodes(n->store[k].e, left);
    return left > 0;
}

static bool can_alone(const Nest *n)
{
    bool ok = n->n_loops <= MAX_LOOPS && n->n_out <= n->n_loops && n->n_aggs <= MAX_AGGS && n->n_opds <= MAX_OPDS &&
              (!n->sum_lanes || n->lanes) && n->n_stores > 0 && (n->n_aggs || n->n_out == n->n_loops) && can_size(n) &&
              (n->split < 0 || (!n->lanes && n->split < n->n_loops && !nest_bounded_by(n, n->split)));

    for (int l = 0; ok && l < n->n_loops; l++)
        ok = can_loop(n, l);
    for (int k = 0; ok && k < n->n_aggs; k++)
        ok = can_agg(n, &n->agg[k]);
    for (int k = 0; ok && k < n->n_stores; k++)
        ok = can_store(n, &n->store[k]);
    for (int k = 0; ok && k < n->n_bufs; k++)
        ok = !n->buf[k].lanes || n->lanes;
    return ok;
}

bool nest_can(const Nest *n)
{
    for (; n; n = n->next)
        if (!can_alone(n))
            return false;
    return true;
}

/* ---- sizes ---- */

static double op_cost(Op op)
{
    switch (op) {
    case OP_col: case OP_lit_int: case OP_lit_real: case OP_lit_text: case OP_lit_null: case OP_var:
    case OP_coalesce: case OP_is_null: case OP_not_null: case OP_to_real:
        return 0;
    case OP_neg: case OP_add: case OP_sub: case OP_mul: case OP_abs: case OP_eq: case OP_ne: case OP_lt: case OP_le:
    case OP_gt: case OP_ge: case OP_and: case OP_or: case OP_not:
        return 1;
    case OP_max: case OP_min: case OP_cond: case OP_same: case OP_differ: case OP_in: case OP_nullif: case OP_floor:
    case OP_ceil: case OP_idiv: case OP_mod: case OP_to_int: case OP_sign:
        return 3;
    case OP_div: case OP_sqrt: case OP_round: return 6;
    case OP_exp: return 22;
    case OP_ln: case OP_tanh: case OP_sin: case OP_cos: case OP_draw: return 35;
    case OP_log10: case OP_tan: case OP_atan: case OP_pow: case OP_to_text: return 150;
    }
    BUG("op_cost: operator %d", (int)op);
}

double nest_cost(const Nest *n, const Expr *e)
{
    double c = op_cost(e->op);

    for (int k = 0; k < e->n_args; k++)
        c += nest_cost(n, e->arg[k]);
    return c;
}

static double work_alone(const Nest *n)
{
    double out = 1, all = 1, per_all = 0, per_out = 0;

    for (int l = 0; l < n->n_loops; l++)
        *(l < n->n_out ? &out : &all) *= (double)nest_extent(n, l);
    for (int k = 0; k < n->n_aggs; k++)
        per_all += 1 + nest_cost(n, n->agg[k].e);
    for (int k = 0; k < n->n_stores; k++)
        per_out += 1 + nest_cost(n, n->store[k].e);
    return out * (all * per_all + per_out);
}

double nest_work(const Nest *n)
{
    double sum = 0;

    for (; n; n = n->next)
        sum += work_alone(n);
    return sum;
}

/* The least constant of what is read of buffer b. */
static int64_t least_constant(const Nest *n, int b)
{
    bool any = false;
    int64_t base = 0;

    for (; n; n = n->next)
        for (int k = 0; k < n->n_opds; k++)
            if (n->opd[k].kind == OPD_load && n->opd[k].index == b) {
                base = any && base < n->opd[k].at.c ? base : n->opd[k].at.c;
                any = true;
            }
    return base;
}

void nest_rebase(Nest *n)
{
    for (int b = 0; b < n->n_bufs; b++) {
        const int64_t base = n->buf[b].written ? 0 : least_constant(n, b);
        if (base <= 0 || (size_t)base >= n->buf[b].rows)
            continue;
        n->buf[b].base += base;             /* the list of buffers is one for all that follow */
        for (Nest *m = n; m; m = m->next)
            for (int k = 0; k < m->n_opds; k++)
                if (m->opd[k].kind == OPD_load && m->opd[k].index == b)
                    m->opd[k].at.c -= base;
    }
}

/* Every iteration reads of it what it stores there, and stores once. */
bool nest_may_overlay(const Nest *n, int b)
{
    bool read = false;

    if (n->next || n->n_stores != 1 || n->n_aggs || n->lanes || n->buf[b].written || n->buf[b].base ||
        n->buf[n->store[0].buf].base || n->buf[b].rows != n->buf[n->store[0].buf].rows)
        return false;
    for (int k = 0; k < n->n_opds; k++) {
        if (n->opd[k].kind != OPD_load || n->opd[k].index != b)
            continue;
        if (memcmp(&n->opd[k].at, &n->store[0].at, sizeof n->store[0].at))
            return false;
        read = true;
    }
    return read;
}
