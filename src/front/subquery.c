/* SPDX-License-Identifier: Apache-2.0
 *
 * subquery.c - subqueries in expressions become sources of the enclosing query's draft.
 *
 *   x IN (SELECT y …), EXISTS (…)       as a conjunct of WHERE: join with the distinct keys
 *   the same under OR or NOT            LEFT JOIN with the distinct keys, and a test whether it met
 *   (SELECT one value …)                join with the one row, or LEFT JOIN on the correlated keys
 *
 * A correlated subquery may be tied to the enclosing one by equalities of its WHERE only: their inner sides
 * become keys of the block, their outer sides the join condition. */
#include "front/query.h"

typedef struct Corr { Expr **inner, **outer; int n; } Corr;

static Expr *outer_to_expr(void *arg, const Expr *e)
{
    const Query *sub = arg;

    return e->op == OP_col && e->src == SRC_OUTER ? sub->outer_ref[e->col] : NULL;
}

static bool only_outer(const Expr *e)
{
    return expr_reads(e, SRC_OUTER) && !expr_reads_rows(e);
}

NORETURN static void fail_correlated(Query *sub, Span at)
{
    diag_fail(sub->b->c, ERR_subquery_correlated, at,
              "a subquery may meet the enclosing query only in equalities of its "
              "WHERE, such as inner.k = outer.k; join the tables instead");
}

static void no_outer(Query *sub, const Expr *e)
{
    if (e && expr_reads(e, SRC_OUTER))
        fail_correlated(sub, e->at);
}

/* Take the equalities with the enclosing query out of WHERE. */
static Corr take_correlation(Query *sub)
{
    Expr **where = sub->d->where;
    const int n = sub->d->n_where;
    Corr c = { 0 };

    sub->d->where = NULL;
    sub->d->n_where = 0;
    for (int k = 0; k < n; k++) {
        Expr *e = where[k];
        if (!expr_reads(e, SRC_OUTER)) {
            blk_add_where(sub->b->p, sub->d, e);
            continue;
        }
        const int o = e->op == OP_eq && only_outer(e->arg[0]) ? 0 : 1;
        if (e->op != OP_eq || !only_outer(e->arg[o]) || expr_reads(e->arg[1 - o], SRC_OUTER))
            fail_correlated(sub, e->at);
        int m = c.n;
        VEC_PUSH(sub->a, c.inner, m, e->arg[1 - o]);
        VEC_PUSH(sub->a, c.outer, c.n, expr_rewrite(sub->a, e->arg[o], outer_to_expr, sub));
    }
    for (int s = 0; s < sub->d->n_src; s++)
        for (int k = 0; k < sub->d->src[s].n_on; k++)
            no_outer(sub, sub->d->src[s].on[k]);
    return c;
}

static void check_inside(Query *sub)
{
    for (int k = 0; k < sub->n_keys; k++) no_outer(sub, sub->key[k]);
    for (int k = 0; k < sub->n_aggs; k++) no_outer(sub, sub->agg[k].arg);
    for (int k = 0; k < sub->n_means; k++) no_outer(sub, sub->mean[k].arg);
    for (int k = 0; k < sub->n_order; k++) no_outer(sub, sub->order[k].e);
    for (int k = 0; k < sub->n_wins; k++) {
        no_outer(sub, sub->win[k].arg);
        for (int p = 0; p < sub->win[k].n_part; p++) no_outer(sub, sub->win[k].part[p]);
        for (int o = 0; o < sub->win[k].n_order; o++) no_outer(sub, sub->win[k].order[o].e);
    }
}

static Query *sub_collect(Ctx *x, const PgQuery__SubLink *s, Corr *corr, Span at)
{
    Query *q = x->q;

    if (!x->subqueries)
        diag_fail(q->b->c, ERR_subquery_place, at,
                  "a subquery cannot stand in %s; write it in WHERE or the select list", x->clause);
    Query *sub = query_new(q, q->b, s->subselect->select_stmt);
    query_collect(sub);
    *corr = take_correlation(sub);
    check_inside(sub);
    return sub;
}

static bool plain_select(const Query *sub)
{
    return !sub->grouped && !sub->n_wins && !sub->has_limit;
}

static void add_out(Query *sub, Expr *e)
{
    VEC_PUSH(sub->a, sub->out, sub->n_outs,
             ((Out){ .name = arena_printf(sub->a, GEN_PREFIX "c%d", sub->n_outs),
                     .e = e,
                     .at = e->at }));
}

/* The distinct rows of the correlated keys and the n first outputs. */
static Block *distinct_block(Query *sub, const Corr *c, int n)
{
    const Out *old = sub->out;

    sub->out = NULL;
    sub->n_outs = 0;
    for (int k = 0; k < c->n; k++)
        add_out(sub, expr_plain(sub->a, c->inner[k]));
    for (int k = 0; k < n; k++)
        add_out(sub, old[k].e);
    sub->distinct = true;
    return query_block(sub, NULL);
}

/* Join `d` (keys first) with the enclosing query: keys of the correlation, then the tested expressions. */
static int join_keys(Query *q, Block *d, Join join, const Corr *c, Expr **test, int n, Span at)
{
    const int src = from_add_source(q, d, join, NULL, at, true);

    for (int k = 0; k < c->n + n; k++) {
        Expr *e = expr_compare(q, OP_eq, k < c->n ? c->outer[k] : test[k - c->n],
                               ex_col(q->a, q->d, src, k), at);
        if (join == JOIN_left)
            blk_add_on(q->b->p, q->d, src, e);
        else
            blk_add_where(q->b->p, q->d, e);
    }
    return src;
}

/* One row that counts a relation's rows, and those with its first column not NULL. */
static int join_counts(Query *q, Query *sub, Block *over, Span at)
{
    Block *c = query_new_block(sub, BLK_reduce, NULL);

    if (over)
        blk_add_source(q->b->p, c, over, JOIN_inner, NULL);
    else
        from_copy(sub, c);
    blk_add_col(q->b->p, c, NULL, NULL, AGG_count);
    if (over)
        blk_add_col(q->b->p, c, NULL, ex_col(q->a, c, 0, 0), AGG_count);
    query_done(sub, c);
    return from_add_source(q, c, JOIN_inner, NULL, at, true);
}

/* ---- EXISTS ---- */

static Expr *exists_bind(Ctx *x, const PgQuery__SubLink *s, bool negated, bool conjunct, Span at)
{
    Query *q = x->q;
    Corr c;
    Query *sub = sub_collect(x, s, &c, at);

    if (!plain_select(sub))
        diag_fail(q->b->c, ERR_subquery_form, at,
                  "EXISTS takes a plain SELECT, without GROUP BY, aggregates, windows or LIMIT; "
                  "use IN (SELECT …)");
    if (c.n == 0) {
        const int src = join_counts(q, sub, NULL, at);
        return ex2(q->a, negated ? OP_eq : OP_gt, ex_col(q->a, q->d, src, 0), ex_int(q->a, 0));
    }
    Block *d = distinct_block(sub, &c, 0);
    if (conjunct && !negated) {
        join_keys(q, d, JOIN_inner, &c, NULL, 0, at);
        return NULL;
    }
    const int src = join_keys(q, d, JOIN_left, &c, NULL, 0, at);
    return ex1(q->a, negated ? OP_is_null : OP_not_null, ex_col(q->a, q->d, src, 0));
}

/* ---- IN ---- */

static Expr **in_tests(Ctx *x, const PgQuery__SubLink *s, int *n)
{
    Query *q = x->q;
    const Node *t = s->testexpr;
    Expr **e = ARENA_ARRAY(q->a, Expr *, MAX_KEYS + 1);

    *n = 0;
    if (t->node_case != PG_QUERY__NODE__NODE_ROW_EXPR) {
        e[(*n)++] = expr_bind(x, t);
        return e;
    }
    for (size_t k = 0; k < t->row_expr->n_args && *n < MAX_KEYS; k++)
        e[(*n)++] = expr_bind(x, t->row_expr->args[k]);
    return e;
}

/* IN as SQL says where NULLs are about: TRUE if it met; else NULL if the tested value is NULL and there are
 * rows, or if a row is NULL; else FALSE. */
static Expr *in_with_nulls(Query *q, Query *sub, Block *d, Expr *met, Expr *test, Span at)
{
    const int src = join_counts(q, sub, d, at);
    Expr *n = ex_col(q->a, q->d, src, 0), *m = ex_col(q->a, q->d, src, 1);
    Expr *lost = ex2(q->a, OP_and, ex1(q->a, OP_is_null, test),
                     ex2(q->a, OP_gt, n, ex_int(q->a, 0)));
    Expr *unknown = ex2(q->a, OP_or, lost, ex2(q->a, OP_gt, n, m));
    Expr *arg[5] = { met, expr_true(q->a), unknown, ex_null(q->a, T_BOOL), expr_false(q->a) };

    expr_share(q, test, 2);
    return ex_exprs(q->a, OP_cond, arg, 5);
}

static Expr *in_bind(Ctx *x, const PgQuery__SubLink *s, bool negated, bool conjunct, Span at)
{
    Query *q = x->q;
    const char *op = s->n_oper_name ? node_string(s->oper_name[0]) : "=";
    int n = 0;
    Corr c;

    if (strcmp(op, "="))
        diag_fail(q->b->c, ERR_subquery_form, at,
                  "%s ANY is not in the language; compare with a MIN or MAX subquery", op);
    Expr **test = in_tests(x, s, &n);
    Query *sub = sub_collect(x, s, &c, at);
    if (sub->n_outs != n)
        diag_fail(q->b->c, ERR_subquery_columns, at,
                  "IN tests %d value%s, and its subquery has %d column%s", n, n == 1 ? "" : "s",
                  sub->n_outs, sub->n_outs == 1 ? "" : "s");
    for (int k = 0; k < n; k++)
        no_outer(sub, sub->out[k].e);
    if (c.n && !plain_select(sub))
        diag_fail(q->b->c, ERR_subquery_form, at,
                  "a correlated IN takes a plain SELECT, without GROUP BY, windows or LIMIT");
    Block *d = distinct_block(sub, &c, n);
    if (conjunct && !negated) {
        join_keys(q, d, JOIN_inner, &c, test, n, at);
        return NULL;
    }
    bool nulls = false;
    for (int k = 0; k < n; k++)
        nulls |= test[k]->nullable || d->col[c.n + k].nullable;
    const int src = join_keys(q, d, JOIN_left, &c, test, n, at);
    Expr *met = ex1(q->a, OP_not_null, ex_col(q->a, q->d, src, c.n));
    if (!nulls)
        return negated ? ex1(q->a, OP_is_null, ex_col(q->a, q->d, src, c.n)) : met;
    if (c.n || n > 1)
        diag_fail(q->b->c, ERR_subquery_form, at,
                  "this IN tests what may be NULL; write EXISTS with equalities, which says what "
                  "is meant");
    Expr *in = in_with_nulls(q, sub, d, met, test[0], at);
    return negated ? ex1(q->a, OP_not, in) : in;
}

/* ---- scalar ---- */

static bool unique_on(Query *q, Block *s, int n)
{
    Block probe = { .kind = BLK_row };

    blk_add_source(q->b->p, &probe, s, JOIN_inner, NULL);
    Known *k = known_new(q->a, &probe);
    for (int c = 0; c < n; c++)
        known_add_expr(k, ex_col(q->a, &probe, 0, c));
    known_close(k);
    return known_has_source(k, 0);
}

NORETURN static void fail_rows(Query *q, Span at)
{
    diag_fail(q->b->c, ERR_subquery_rows, at,
              "a subquery used as a value must give one row; write an aggregate, or ORDER BY … "
              "LIMIT 1");
}

typedef struct Moved { Query *q, *sub; int src, n_keys; } Moved;

static Expr *moved_node(void *arg, const Expr *e)
{
    const Moved *m = arg;
    Query *q = m->q;

    if (e->op != OP_col)
        return NULL;
    if (e->src == SRC_OUTER)
        return m->sub->outer_ref[e->col];
    if (e->src != SRC_AGG)
        diag_fail(q->b->c, ERR_subquery_correlated, e->at,
                  "a column beside an aggregate in a correlated subquery; put it inside an "
                  "aggregate");
    Expr *c = ex_col(q->a, q->d, m->src, m->n_keys + e->col);
    if (m->sub->agg[e->col].fn != AGG_count)
        return c;
    return ex2(q->a, OP_coalesce, c, ex_int(q->a, 0));      /* COUNT over no row is 0 */
}

/* The aggregates by the correlated keys; the expression over them is computed outside, where "no row" shows. */
static Expr *scalar_grouped(Query *q, Query *sub, const Corr *c, Span at)
{
    Expr *value = sub->out[0].e;

    if (sub->n_keys || sub->having || sub->n_wins || sub->has_limit)
        diag_fail(q->b->c, ERR_subquery_form, at,
                  "a correlated subquery takes no GROUP BY, HAVING, window or LIMIT beside its "
                  "aggregate");
    sub->out = NULL;
    sub->n_outs = 0;
    for (int k = 0; k < c->n; k++) {
        Expr *e = expr_plain(sub->a, c->inner[k]);
        VEC_PUSH(sub->a, sub->key, sub->n_keys, e);
        add_out(sub, e);
    }
    for (int k = 0; k < sub->n_aggs; k++) {
        const AggUse *u = &sub->agg[k];
        add_out(sub, expr_placeholder(sub, SRC_AGG, k, u->fn == AGG_count ? T_INT : u->arg->type,
                                      u->fn != AGG_count, at));
    }
    Block *s = query_block(sub, NULL);
    Moved m = { q, sub, join_keys(q, s, JOIN_left, c, NULL, 0, at), c->n };
    return expr_rewrite(q->a, value, moved_node, &m);
}

static Expr *scalar_looked_up(Query *q, Query *sub, const Corr *c, Span at)
{
    Expr *value = sub->out[0].e;

    no_outer(sub, value);
    if (sub->n_wins || (sub->has_limit && sub->limit != 1))
        fail_rows(q, at);
    sub->out = NULL;
    sub->n_outs = 0;
    for (int k = 0; k < c->n; k++) {
        Expr *e = expr_plain(sub->a, c->inner[k]);
        if (sub->has_limit)
            VEC_PUSH(sub->a, sub->key, sub->n_keys, e); /* the first row for each: PARTITION BY */
        add_out(sub, e);
    }
    add_out(sub, value);
    Block *s = query_block(sub, NULL);
    if (!unique_on(q, s, c->n))
        fail_rows(q, at);
    const int src = join_keys(q, s, JOIN_left, c, NULL, 0, at);
    return ex_col(q->a, q->d, src, c->n);
}

static int first_visible(const Block *b)
{
    int c = 0;

    while (c + 1 < b->n_cols && b->col[c].hidden)
        c++;
    return c;
}

static Expr *scalar_bind(Ctx *x, const PgQuery__SubLink *s, Span at)
{
    Query *q = x->q;
    Corr c;
    Query *sub = sub_collect(x, s, &c, at);

    if (sub->n_outs != 1)
        diag_fail(q->b->c, ERR_subquery_columns, at,
                  "a subquery used as a value has one column, not %d", sub->n_outs);
    if (c.n)
        return sub->grouped ? scalar_grouped(q, sub, &c, at) : scalar_looked_up(q, sub, &c, at);
    no_outer(sub, sub->out[0].e);
    Block *b = query_block(sub, NULL);
    const bool always = rel_one_row(b);
    if (!always && !b->one_row)
        fail_rows(q, at);
    const int src = from_add_source(q, b, always ? JOIN_inner : JOIN_left, NULL, at, true);
    if (!always)
        blk_add_on(q->b->p, q->d, src, expr_true(q->a));
    return ex_col(q->a, q->d, src, first_visible(b));
}

static Expr *bind_kind_of(Ctx *x, const PgQuery__SubLink *s, bool negated, bool conjunct)
{
    Query *q = x->q;
    const Span at = bind_span(q->b, s->location, 0);

    switch ((int)s->sub_link_type) {
    case PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK: return exists_bind(x, s, negated, conjunct, at);
    case PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK: return in_bind(x, s, negated, conjunct, at);
    case PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK: {
        Expr *e = scalar_bind(x, s, at);
        e->at = at;
        if (negated && e->type != T_BOOL)
            diag_fail(q->b->c, ERR_expr_condition, at,
                      "NOT needs a condition, and this subquery is %s; compare it",
                      type_name[e->type]);
        return negated ? ex1(q->a, OP_not, e) : e;
    }
    }
    diag_fail(q->b->c, ERR_subquery_form, at,
              "this form of subquery is not in the language; it has IN, EXISTS and (SELECT one "
              "value)");
}

Expr *subquery_bind(Ctx *x, const PgQuery__SubLink *s, bool negated)
{
    Expr *e = bind_kind_of(x, s, negated, false);

    return expr_at(e, bind_span(x->q->b, s->location, 0));
}

void subquery_conjunct(Ctx *x, const Node *n)
{
    Query *q = x->q;
    Expr *e;

    if (n->node_case == PG_QUERY__NODE__NODE_BOOL_EXPR &&
        n->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) {
        if (++x->depth > MAX_NESTING)
            diag_fail(q->b->c, ERR_expr_size, node_span(q, n),
                      "the condition is nested more than %d deep", MAX_NESTING);
        for (size_t k = 0; k < n->bool_expr->n_args; k++)
            subquery_conjunct(x, n->bool_expr->args[k]);
        x->depth--;
        return;
    }
    if (n->node_case == PG_QUERY__NODE__NODE_SUB_LINK) {
        e = bind_kind_of(x, n->sub_link, false, true);
        if (e && e->type != T_BOOL)
            e = expr_cond(x, n);
    } else {
        e = expr_cond(x, n);
    }
    if (e)
        blk_add_where(q->b->p, q->d, e);
}
