/* SPDX-License-Identifier: Apache-2.0
 *
 * algebra.c - which columns of a block's sources follow from known ones.
 *
 * Facts: conjuncts of WHERE that are equalities (a column against an expression; a linear integer equation,
 * solved for a column with coefficient 1 or -1), "the identity of a source gives all its columns", and
 * for a LEFT source only that the other sides of its ON give the source, never backwards.  One closure serves
 * identities, bare columns, one-to-one tests and the leaving-out of sources. */
#include "ir/ir.h"

#include <string.h>

typedef struct KnownCol { bool known; Expr *how; } KnownCol;    /* how NULL: only by joining the source */

struct Known {
    Arena *a;
    const Block *b;
    KnownCol **col;             /* [src][col] */
    bool *src;                  /* the row of the source is determined */
    const Expr **given; int n_given;
};

static bool learn(Known *k, int src, int col, Expr *how)
{
    KnownCol *c = &k->col[src][col];

    if (c->known && (c->how || !how))
        return false;
    *c = (KnownCol){ true, how };
    return true;
}

/* A key that its CHECKs pin to one number, as one INTEGER CHECK (one = 1), is known from the start. */
static void learn_pinned(Known *k, int src)
{
    const Block *r = k->b->src[src].rel;
    const bool filled = r->role == BASE_param || r->role == BASE_range;     /* the rows are known to be those */

    for (int i = 0; filled && r->shape && i < r->shape->n_cols; i++)
        if (r->shape->lo[i] == r->shape->hi[i])
            learn(k, src, r->shape->col[i], ex_int(k->a, r->shape->lo[i]));
}

Known *known_new(Arena *a, const Block *b)
{
    Known *k = ARENA_NEW(a, Known);

    k->a = a;
    k->b = b;
    k->col = ARENA_ARRAY(a, KnownCol *, b->n_src + 1);
    k->src = ARENA_ARRAY(a, bool, b->n_src + 1);
    for (int s = 0; s < b->n_src; s++) {
        k->col[s] = ARENA_ARRAY(a, KnownCol, b->src[s].rel->n_cols + 1);
        if (b->src[s].join == JOIN_inner)
            learn_pinned(k, s);
    }
    return k;
}

void known_add_expr(Known *k, const Expr *e)
{
    if (e->op == OP_col)
        learn(k, e->src, e->col, (Expr *)e);
    else
        VEC_PUSH(k->a, k->given, k->n_given, e);
}

void known_add_source(Known *k, int src)
{
    k->src[src] = true;
    for (int c = 0; c < k->b->src[src].rel->n_cols; c++)
        learn(k, src, c, ex_col(k->a, k->b, src, c));
}

static bool is_given(const Known *k, const Expr *e)
{
    for (int g = 0; g < k->n_given; g++)
        if (ex_equal(k->given[g], e))
            return true;
    return false;
}

bool known_has_expr(const Known *k, const Expr *e)
{
    if (is_given(k, e))
        return true;
    if (e->op == OP_col)
        return k->col[e->src][e->col].known;
    for (int i = 0; i < e->n_args; i++)
        if (!known_has_expr(k, e->arg[i]))
            return false;
    return true;
}

bool known_has_source(const Known *k, int src)
{
    return k->src[src];
}

Expr *known_write(const Known *k, const Expr *e)
{
    if (is_given(k, e))
        return (Expr *)e;
    if (e->op == OP_col)
        return k->col[e->src][e->col].known ? k->col[e->src][e->col].how : NULL;
    Expr *n = ARENA_NEW(k->a, Expr);
    *n = *e;
    n->arg = ARENA_ARRAY(k->a, Expr *, e->n_args + 1);
    for (int i = 0; i < e->n_args; i++)
        if (!(n->arg[i] = known_write(k, e->arg[i])))
            return NULL;
    n->nullable = ex_may_null(n);
    return n;
}

/* ---- linear integer equations ---- */

/* lhs - rhs as a sum of coef × term, where a term is a column or an opaque known expression; constant k. */
typedef struct Term { const Expr *e; int64_t coef; } Term;
typedef struct Linear { Term term[32]; int n; int64_t k; bool bad; } Linear;

static void lin_add(Linear *l, const Expr *e, int64_t coef)
{
    for (int t = 0; t < l->n; t++)
        if (ex_equal(l->term[t].e, e)) {
            l->bad |= __builtin_add_overflow(l->term[t].coef, coef, &l->term[t].coef);
            return;
        }
    if (l->n == (int)COUNT_OF(l->term))
        l->bad = true;
    else
        l->term[l->n++] = (Term){ e, coef };
}

static void linearise(Linear *l, const Expr *e, int64_t coef)
{
    int64_t c = 0;

    if (l->bad)
        return;
    if (e->op == OP_lit_int) {
        l->bad |= __builtin_mul_overflow(e->i, coef, &c) || __builtin_add_overflow(l->k, c, &l->k);
    } else if (e->op == OP_add || e->op == OP_sub) {
        linearise(l, e->arg[0], coef);
        linearise(l, e->arg[1], e->op == OP_add ? coef : -coef);
    } else if (e->op == OP_neg) {
        linearise(l, e->arg[0], -coef);
    } else if (e->op == OP_mul && (e->arg[0]->op == OP_lit_int || e->arg[1]->op == OP_lit_int)) {
        const int lit = e->arg[0]->op == OP_lit_int ? 0 : 1;
        l->bad |= __builtin_mul_overflow(e->arg[lit]->i, coef, &c) || c == INT64_MIN;
        linearise(l, e->arg[1 - lit], c);
    } else {
        lin_add(l, e, coef);
    }
}

static Expr *scaled(Arena *a, Expr *x, int64_t coef)
{
    return coef == 1 ? x : ex2(a, OP_mul, ex_int(a, coef), x);
}

/* sum + coef × x, written without needless signs. */
static Expr *accumulate(Arena *a, Expr *sum, Expr *x, int64_t coef)
{
    if (!sum)
        return coef == -1 ? ex1(a, OP_neg, x) : scaled(a, x, coef);
    return ex2(a, coef < 0 ? OP_sub : OP_add, sum, scaled(a, x, coef < 0 ? -coef : coef));
}

/* The unknown column's value: -coef × (the other terms + k), every other term written in what is known. */
static Expr *solve_for(const Known *k, const Linear *l, int unknown)
{
    const int64_t sign = -l->term[unknown].coef;
    Expr *sum = NULL;
    int64_t c = 0;

    for (int pass = 0; pass < 2; pass++)            /* positive terms first, so that no leading minus appears */
        for (int t = 0; t < l->n; t++) {
            if (t == unknown || l->term[t].coef == 0 || __builtin_mul_overflow(l->term[t].coef, sign, &c) ||
                (c < 0) != pass)
                continue;
            Expr *x = known_write(k, l->term[t].e);
            if (!x)
                return NULL;
            sum = accumulate(k->a, sum, x, c);
        }
    if (__builtin_mul_overflow(l->k, sign, &c) || c == INT64_MIN)
        return NULL;
    if (!sum)
        return ex_int(k->a, c);
    return c ? ex2(k->a, c < 0 ? OP_sub : OP_add, sum, ex_int(k->a, c < 0 ? -c : c)) : sum;
}

/* One equality of integers with exactly one unknown column of coefficient ±1. */
static bool learn_linear(Known *k, const Expr *eq)
{
    Linear l = { .n = 0 };
    int unknown = -1;

    linearise(&l, eq->arg[0], 1);
    linearise(&l, eq->arg[1], -1);
    if (l.bad)
        return false;
    for (int t = 0; t < l.n; t++) {
        if (l.term[t].coef == 0 || known_has_expr(k, l.term[t].e))
            continue;
        if (unknown >= 0 || l.term[t].e->op != OP_col || (l.term[t].coef != 1 && l.term[t].coef != -1))
            return false;
        unknown = t;
    }
    if (unknown < 0)
        return false;
    const Expr *u = l.term[unknown].e;
    return learn(k, u->src, u->col, solve_for(k, &l, unknown));
}

static bool learn_side(Known *k, const Expr *col, const Expr *other)
{
    if (col->op != OP_col || !known_has_expr(k, other))
        return false;
    return learn(k, col->src, col->col, known_write(k, other));
}

static bool learn_equality(Known *k, const Expr *e)
{
    if (e->op != OP_eq && e->op != OP_same)
        return false;
    if (learn_side(k, e->arg[0], e->arg[1]) || learn_side(k, e->arg[1], e->arg[0]))
        return true;
    return e->op == OP_eq && e->arg[0]->type == T_INT && learn_linear(k, e);
}

static bool id_known(const Known *k, int src)
{
    const Block *r = k->b->src[src].rel;

    for (int j = 0; j < r->n_id; j++)
        if (!k->col[src][r->id_col[j]].known)
            return false;
    return r->n_id > 0 || r->one_row;
}

/* LEFT source s: do the other sides of its ON give its identity?  Learned in a scratch copy, because a
 * column of an unmatched row is NULL, not the other side. */
static bool left_known(Known *k, int s)
{
    const Source *src = &k->b->src[s];
    const size_t nbytes = sizeof(KnownCol) * (size_t)(src->rel->n_cols + 1);
    KnownCol *saved = k->col[s], *scratch = arena_alloc(k->a, nbytes);

    memcpy(scratch, saved, nbytes);
    k->col[s] = scratch;
    for (int j = 0; j < src->n_on; j++)
        learn_equality(k, src->on[j]);
    const bool known = id_known(k, s);
    k->col[s] = saved;
    return known;
}

static bool learn_sources(Known *k)
{
    bool any = false;

    for (int s = 0; s < k->b->n_src; s++) {
        if (k->src[s] || !(id_known(k, s) || (k->b->src[s].join == JOIN_left && left_known(k, s))))
            continue;
        k->src[s] = any = true;
        for (int c = 0; c < k->b->src[s].rel->n_cols; c++)
            learn(k, s, c, NULL);
    }
    return any;
}

/* A pick of one row per group: the group gives the row. */
static bool learn_picked(Known *k)
{
    const Block *b = k->b;
    bool any = false;

    if (b->kind != BLK_pick || b->limit != 1)
        return false;
    for (int j = 0; j < b->n_part; j++)
        if (!known_has_expr(k, b->part_key[j]))
            return false;
    for (int s = 0; s < b->n_src; s++) {
        any |= !k->src[s];
        k->src[s] = true;
        for (int c = 0; c < b->src[s].rel->n_cols; c++)
            learn(k, s, c, NULL);
    }
    return any;
}

void known_close(Known *k)
{
    for (bool any = true; any;) {
        any = learn_sources(k) || learn_picked(k);
        for (int w = 0; w < k->b->n_where; w++)
            any |= learn_equality(k, k->b->where[w]);
    }
}

Expr *equality_solved(const Prog *p, const Block *b, const Expr *eq, int src)
{
    Known *k = known_new(&p->c->arena, b);
    Linear l = { .n = 0 };
    int unknown = -1;

    if (eq->op != OP_eq || eq->arg[0]->type != T_INT || eq->arg[1]->type != T_INT)
        return NULL;
    for (int s = 0; s < b->n_src; s++)
        if (s != src)
            known_add_source(k, s);
    linearise(&l, eq->arg[0], 1);
    linearise(&l, eq->arg[1], -1);
    for (int t = 0; t < l.n && !l.bad; t++) {
        if (l.term[t].coef == 0 || !(ex_sources(l.term[t].e) >> src & 1))
            continue;
        if (unknown >= 0 || l.term[t].e->op != OP_col || (l.term[t].coef != 1 && l.term[t].coef != -1))
            return NULL;
        unknown = t;
    }
    Expr *how = l.bad || unknown < 0 ? NULL : solve_for(k, &l, unknown);
    return how ? ex2(k->a, OP_eq, (Expr *)l.term[unknown].e, how) : NULL;
}
