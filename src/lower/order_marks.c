/* SPDX-License-Identifier: Apache-2.0
 *
 * order_marks.c - what a block says of the keys of its sources and of its own: which are one, which are summed over,
 * shifted, put together from digits, or a literal.  Gradients say nothing: their keys follow those of what they are the
 * gradients of. */
#include "lower/order.h"

/* A term of a key: factor times a column, or a quotient of it. */
typedef struct Term { int src, col; int64_t by; bool divided; } Term;
typedef struct Terms { Term *t; int n; bool odd; } Terms;

/* ---- keys as sums of columns ---- */

static void key_terms(const Orders *o, const Expr *e, int64_t by, bool divided, Terms *out);

static void product_terms(const Orders *o, const Expr *e, int64_t by, bool divided, Terms *out)
{
    const int lit = e->arg[0]->op == OP_lit_int ? 0 : e->arg[1]->op == OP_lit_int ? 1 : -1;
    int64_t f = by;

    if (lit < 0 || __builtin_mul_overflow(by, e->arg[lit]->i, &f) || f == INT64_MIN) {
        out->odd = true;
        f = by;
    }
    for (int k = 0; k < e->n_args; k++)
        key_terms(o, e->arg[k], f, divided, out);
}

static void key_terms(const Orders *o, const Expr *e, int64_t by, bool divided, Terms *out)
{
    if (e->op == OP_col) {
        VEC_PUSH(o->work, out->t, out->n, ((Term){ e->src, e->col, by, divided }));
    } else if (e->op == OP_mul) {
        product_terms(o, e, by, divided, out);
    } else if (e->op == OP_add || e->op == OP_sub || e->op == OP_neg) {
        for (int k = 0; k < e->n_args; k++)
            key_terms(o, e->arg[k], (e->op == OP_sub && k == 1) || e->op == OP_neg ? -by : by, divided, out);
    } else {
        const bool quotient = e->op == OP_idiv || e->op == OP_mod;
        out->odd |= e->n_args > 0 && !quotient;
        for (int k = 0; k < e->n_args; k++)
            key_terms(o, e->arg[k], by, divided || quotient, out);
    }
}

static int64_t factor_size(int64_t x)
{
    return x < 0 ? -(x + 1) : x - 1;                    /* of a factor, less one: no overflow */
}

/* ---- what a block says of keys ---- */

typedef struct Seen {
    Orders *o;
    const Block *b;
    bool tells;                 /* marks are made; else only links */
    int n, *first;              /* columns of all sources; by source, the first of its */
    int *same;                  /* which of them are equal: sets, as groups */
    bool *kept, *fixed, *less, *mixed;
} Seen;

static int seen_at(const Seen *s, int src, int col)
{
    return s->first[src] + col;
}

static int term_node(const Seen *s, const Term *t)
{
    return order_node(s->o, s->b->src[t->src].rel, t->col);
}

/* Digits of a number, or one key shifted by another. */
static void mix_terms(Seen *s, const Terms *x)
{
    bool even = true;

    for (int k = 1; k < x->n; k++)
        even = even && factor_size(x->t[k].by) == factor_size(x->t[0].by);
    for (int k = 0; k < x->n; k++) {
        const int v = term_node(s, &x->t[k]);
        int above = 0;
        for (int j = 0; j < x->n; j++)
            above += factor_size(x->t[j].by) > factor_size(x->t[k].by);
        s->mixed[seen_at(s, x->t[k].src, x->t[k].col)] = true;
        if (!s->tells)
            continue;
        s->o->mark[v] |= even || x->t[k].divided ? MARK_shifted : 0;
        s->o->digit[v] = !even && above > s->o->digit[v] ? above : s->o->digit[v];
    }
}

static bool is_plain_term(const Term *t)
{
    return !t->divided && (t->by == 1 || t->by == -1);
}

static void add_literal(Orders *o, int v, const Expr *e)
{
    int n = o->slices[v];

    for (int k = 0; k < n; k++)
        if (o->lit[v][k] == e->i)
            return;
    if (e->op == OP_lit_int)
        VEC_PUSH(o->work, o->lit[v], o->slices[v], e->i);
}

static void see_equality(Seen *s, const Expr *e)
{
    Terms x = { 0 };

    key_terms(s->o, e->arg[0], 1, false, &x);
    key_terms(s->o, e->arg[1], -1, false, &x);
    if (x.odd || x.n == 0)
        return;
    if (x.n == 1) {
        s->fixed[seen_at(s, x.t[0].src, x.t[0].col)] = true;
        if (s->tells)
            add_literal(s->o, term_node(s, &x.t[0]), e->arg[e->arg[0]->op == OP_lit_int ? 0 : 1]);
        return;
    }
    const bool pair = x.n == 2 && is_plain_term(&x.t[0]) && is_plain_term(&x.t[1]) && x.t[0].by != x.t[1].by;
    if (pair)
        order_join(s->same, seen_at(s, x.t[0].src, x.t[0].col), seen_at(s, x.t[1].src, x.t[1].col));
    else
        mix_terms(s, &x);
    for (int k = 1; k < x.n; k++)
        order_link(s->o, term_node(s, &x.t[0]), term_node(s, &x.t[k]), pair && s->b->kind == BLK_row);
}

static void see_condition(Seen *s, const Expr *e)
{
    Terms x = { 0 };

    if (e->op == OP_and) {
        for (int k = 0; k < e->n_args; k++)
            see_condition(s, e->arg[k]);
    } else if (e->op == OP_eq || e->op == OP_same) {
        see_equality(s, e);
    } else if (e->op == OP_lt || e->op == OP_le || e->op == OP_gt || e->op == OP_ge) {
        key_terms(s->o, e, 1, false, &x);
        for (int k = 0; x.n > 1 && k < x.n; k++)
            s->less[seen_at(s, x.t[k].src, x.t[k].col)] = true;
    }
}

/* Column c of the result. */
static void see_key(Seen *s, int c, const Expr *e, bool same)
{
    const int v = order_node(s->o, s->b, c);
    Terms x = { 0 };

    key_terms(s->o, e, 1, false, &x);
    const bool plain = x.n == 1 && is_plain_term(&x.t[0]);
    if (!plain)
        mix_terms(s, &x);
    if (x.n == 1 && x.t[0].divided && !x.odd)
        s->o->quotient[v] = term_node(s, &x.t[0]) + 1;
    for (int k = 0; k < x.n; k++) {
        const int at = seen_at(s, x.t[k].src, x.t[k].col);
        s->kept[order_root(s->same, at)] |= plain;
        if (s->tells && s->less[at])
            s->o->mark[v] |= MARK_compared;
        s->o->vague[v] |= s->o->vague[term_node(s, &x.t[k])];
        order_link(s->o, v, term_node(s, &x.t[k]), plain && same);
    }
}

/* ---- marks ---- */

static bool joins_params(const Seen *s)
{
    bool any = false;

    for (int k = 0; k < s->b->n_src; k++)
        any |= s->b->src[k].rel->is_param;
    return any;
}

static bool any_mixed(const Seen *s)
{
    for (int k = 0; k < s->n; k++)
        if (s->mixed[k])
            return true;
    return false;
}

/* Is one of the columns that are equal to this one a parameter's? */
static bool meets_param(const Seen *s, int at)
{
    for (int k = 0; k < s->b->n_src; k++)
        for (int c = 0; s->b->src[k].rel->is_param && c < s->b->src[k].rel->n_cols; c++)
            if (order_root(s->same, seen_at(s, k, c)) == order_root(s->same, at))
                return true;
    return false;
}

static void mark_summed(Seen *s)
{
    const bool params = joins_params(s), turned = !s->b->batched && !any_mixed(s);

    for (int k = 0; k < s->b->n_src; k++) {
        const Block *rel = s->b->src[k].rel;
        for (int c = 0; c < rel->n_cols; c++) {
            const int at = seen_at(s, k, c);
            const bool kept = s->kept[order_root(s->same, at)];
            int *mark = &s->o->mark[order_node(s->o, rel, c)];
            if (rel->col[c].type == T_REAL || s->mixed[at] || s->fixed[at])
                continue;
            /* vectors run along what a product without batches keeps of its parameters */
            if (rel->is_param && turned)
                *mark |= kept ? MARK_summed : 0;
            else if (!kept)
                *mark |= s->b->n_src == 1 || (params && meets_param(s, at)) ? MARK_weighed : MARK_summed;
        }
    }
}

/* Keys of the result that came from a parameter. */
static void mark_made(Seen *s)
{
    for (int c = 0; joins_params(s) && c < s->b->n_keys; c++) {
        const Expr *e = s->b->col[c].e;
        if (e->op == OP_col && meets_param(s, seen_at(s, e->src, e->col)))
            s->o->mark[order_node(s->o, s->b, c)] |= MARK_made;
    }
}

static void mark_fixed(Seen *s)
{
    for (int k = 0; k < s->b->n_src; k++)
        for (int c = 0; c < s->b->src[k].rel->n_cols; c++)
            if (s->fixed[seen_at(s, k, c)]) {
                const int at = s->b->src[k].rel->kind == BLK_base ? AT_literal : TENDS_outside;
                int *outer = &s->o->outer[order_node(s->o, s->b->src[k].rel, c)];
                *outer = *outer < at ? *outer : at;
            }
}

bool order_is_key(const Block *b, int c)
{
    return b->kind == BLK_reduce ? c < b->n_keys : b->col[c].type != T_REAL;
}

/* A column of a union: where it is a literal in all parts, it tells them apart. */
static void see_union(Seen *s, int c)
{
    const Block *b = s->b;
    int n_cols = 0;

    for (int k = 0; k < b->n_parts; k++)
        n_cols += b->part[k].e[c]->op == OP_col;
    if (n_cols == 0)
        s->o->outer[order_node(s->o, b, c)] = TENDS_outside;
    for (int k = 0; k < b->n_parts; k++)
        see_key(s, c, b->part[k].e[c], n_cols == b->n_parts);
}

static void see_columns(Seen *s)
{
    const Block *b = s->b;

    for (int c = 0; c < b->n_cols; c++) {
        if (!order_is_key(b, c) || b->kind == BLK_base)
            continue;
        if (b->kind == BLK_union && !b->col[c].hidden)
            see_union(s, c);
        else if (b->kind == BLK_union)          /* identities of different tables */
            s->o->vague[order_node(s->o, b, c)] = true;
        else
            see_key(s, c, b->col[c].e, b->kind != BLK_reduce);
    }
}

void order_see_block(Orders *o, const Block *b)
{
    Seen s = { .o = o, .b = b, .tells = b->id < o->first_grad };

    s.first = ARENA_ARRAY(o->work, int, b->n_src + 1);
    for (int k = 0; k < b->n_src; k++) {
        s.first[k] = s.n;
        s.n += b->src[k].rel->n_cols;
    }
    s.same = ARENA_ARRAY(o->work, int, s.n + 1);
    for (int k = 0; k < s.n; k++)
        s.same[k] = k;
    s.kept = ARENA_ARRAY(o->work, bool, s.n + 1);
    s.fixed = ARENA_ARRAY(o->work, bool, s.n + 1);
    s.less = ARENA_ARRAY(o->work, bool, s.n + 1);
    s.mixed = ARENA_ARRAY(o->work, bool, s.n + 1);
    for (int w = 0; w < b->n_where; w++)
        see_condition(&s, b->where[w]);
    for (int k = 0; k < b->n_src; k++)
        for (int c = 0; c < b->src[k].n_on; c++)
            see_condition(&s, b->src[k].on[c]);
    see_columns(&s);
    if (s.tells && b->kind == BLK_reduce) {
        mark_summed(&s);
        mark_made(&s);
    }
    if (s.tells)
        mark_fixed(&s);
}
