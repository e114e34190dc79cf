/* SPDX-License-Identifier: Apache-2.0
 *
 * query.c - one SELECT to blocks: the clauses are bound over the draft, then the stages run in SQL's order:
 * row numbers that WHERE limits, grouping, windows, and last DISTINCT, ORDER BY … LIMIT or a plain row
 * block.  A grouped SELECT of keys and aggregates is one reduce block, a plain SELECT one row block, so
 * that the printed form of a program reads back to the same blocks. */
#include "front/query.h"

Query *query_new(Query *outer, Binder *b, const PgQuery__SelectStmt *s)
{
    Query *q = ARENA_NEW(&b->c->arena, Query);

    *q = (Query){ .b = b, .a = &b->c->arena, .q = s, .outer = outer, .open_win = -1 };
    q->stem = b->stmt && b->stmt->name ? b->stmt->name : "q";
    q->env = outer ? outer->env : NULL;
    q->level = outer ? outer->level + 1 : 0;
    q->d = ARENA_NEW(q->a, Block);
    q->d->kind = BLK_row;
    q->optional = ARENA_ARRAY(q->a, bool, MAX_SOURCES + 1);
    if (q->level > MAX_QUERIES)
        diag_fail(b->c, ERR_query_limit, bind_span(b, -1, 0),
                  "queries are nested more than %d deep", MAX_QUERIES);
    return q;
}

Block *query_new_block(Query *q, BlockKind kind, const char *name)
{
    Block *b = blk_new(q->b->p, kind, name ? name : fresh_name(q));

    b->mode = q->b->mode;
    b->at = q->b->stmt ? q->b->stmt->at : (Span){ 0 };
    return b;
}

/* Identity and nullability of one new block, so that queries over it may rely on them at once. */
void query_done(Query *q, Block *b)
{
    for (int c = 0; c < b->n_cols; c++)
        b->col[c].hidden |= !strncmp(b->col[c].name, GEN_PREFIX, strlen(GEN_PREFIX));
    prog_analyse_one(q->b->p, b);
}

void query_map(Query *q, Rewrite fn, void *arg)
{
    for (int k = 0; k < q->n_outs; k++)
        q->out[k].e = expr_rewrite(q->a, q->out[k].e, fn, arg);
    if (q->having)
        q->having = expr_rewrite(q->a, q->having, fn, arg);
    for (int k = 0; k < q->n_order; k++)
        q->order[k].e = expr_rewrite(q->a, q->order[k].e, fn, arg);
    for (int w = 0; w < q->n_wins; w++) {
        WinUse *u = &q->win[w];
        if (u->now)
            continue;
        u->arg = u->arg ? expr_rewrite(q->a, u->arg, fn, arg) : NULL;
        for (int k = 0; k < u->n_part; k++) u->part[k] = expr_rewrite(q->a, u->part[k], fn, arg);
        for (int k = 0; k < u->n_order; k++)
            u->order[k].e = expr_rewrite(q->a, u->order[k].e, fn, arg);
    }
}

void query_map_all(Query *q, Rewrite fn, void *arg)
{
    query_map(q, fn, arg);
    for (int k = 0; k < q->n_keys; k++)
        q->key[k] = expr_rewrite(q->a, q->key[k], fn, arg);
    for (int k = 0; k < q->n_aggs; k++)
        q->agg[k].arg = q->agg[k].arg ? expr_rewrite(q->a, q->agg[k].arg, fn, arg) : NULL;
    for (int k = 0; k < q->n_means; k++)
        q->mean[k].arg = expr_rewrite(q->a, q->mean[k].arg, fn, arg);
    for (int k = 0; k < q->d->n_where; k++)
        q->d->where[k] = expr_rewrite(q->a, q->d->where[k], fn, arg);
    for (int s = 0; s < q->d->n_src; s++)
        for (int k = 0; k < q->d->src[s].n_on; k++)
            q->d->src[s].on[k] = expr_rewrite(q->a, q->d->src[s].on[k], fn, arg);
}

void query_new_draft(Query *q, Block *over)
{
    q->d = ARENA_NEW(q->a, Block);
    q->d->kind = BLK_row;
    memset(q->optional, 0, (MAX_SOURCES + 1) * sizeof *q->optional);
    blk_add_source(q->b->p, q->d, over, JOIN_inner, NULL);
}

/* ---- the draft becomes a block ---- */

typedef struct Moved2 { Query *q; Block *m; const Block *old; } Moved2;

static int materialised_col(const Moved2 *v, const Expr *e)
{
    for (int c = 0; c < v->m->n_cols; c++)
        if (ex_equal(v->m->col[c].e, e))
            return c;
    const char *name = v->old->src[e->src].rel->col[e->col].name;
    const bool keep = strncmp(name, GEN_PREFIX, strlen(GEN_PREFIX)) && blk_find_col(v->m, name) < 0;
    return blk_add_col(v->q->b->p, v->m, keep ? name : NULL, expr_copy(v->q->a, e), AGG_none);
}

static Expr *materialised_node(void *arg, const Expr *e)
{
    const Moved2 *v = arg;

    if (e->op != OP_col || e->src >= SRC_AGG)
        return NULL;
    return expr_col_at(v->q->a, e, 0, materialised_col(v, e));
}

void query_materialise(Query *q)
{
    Moved2 v = { q, query_new_block(q, BLK_row, NULL), q->d };

    from_copy(q, v.m);
    query_map(q, materialised_node, &v);
    if (v.m->n_cols == 0)
        blk_add_col(q->b->p, v.m, NULL, ex_int(q->a, 1), AGG_none);
    query_done(q, v.m);
    query_new_draft(q, v.m);
}

/* ---- collecting the clauses ---- */

static void check_clauses(Query *q, const PgQuery__SelectStmt *s)
{
    const Span at = s->n_target_list ? node_span(q, s->target_list[0]) : bind_span(q->b, -1, 0);

    if (s->into_clause)
        diag_fail(q->b->c, ERR_query_clause, at,
                  "SELECT INTO is not in the language; write CREATE TABLE … AS SELECT");
    if (s->n_locking_clause)
        diag_fail(q->b->c, ERR_query_clause, at,
                  "FOR UPDATE and FOR SHARE are not in the language");
    if (s->n_distinct_clause && s->distinct_clause[0]->node_case != PG_QUERY__NODE__NODE__NOT_SET)
        diag_fail(q->b->c, ERR_query_clause, node_span(q, s->distinct_clause[0]),
                  "DISTINCT ON is not in the language; number the rows with ROW_NUMBER() and keep "
                  "the first");
    if (s->n_target_list > MAX_COLS)
        diag_fail(q->b->c, ERR_query_limit, at, "a query has at most %d columns", MAX_COLS);
}

static bool is_star(const Node *n)
{
    return n && n->node_case == PG_QUERY__NODE__NODE_COLUMN_REF && n->column_ref->n_fields &&
           n->column_ref->fields[n->column_ref->n_fields - 1]->node_case ==
               PG_QUERY__NODE__NODE_A_STAR;
}

static void push_out(Query *q, Out o)
{
    if (q->n_outs >= MAX_COLS)
        diag_fail(q->b->c, ERR_query_limit, o.at, "a query has at most %d columns", MAX_COLS);
    VEC_PUSH(q->a, q->out, q->n_outs, o);
}

static void expand_star(Query *q, const PgQuery__ColumnRef *r)
{
    const Span at = bind_span(q->b, r->location, 0);
    Ident name = { .text = "?", .at = at };

    if (r->n_fields == 1) {
        if (!q->vis.n)
            diag_fail(q->b->c, ERR_expr_star, at,
                      "* stands for the columns of FROM, and there are none");
        for (int k = 0; k < q->vis.n; k++)
            push_out(q, (Out){ .name = q->vis.v[k].name,
                               .e = expr_at(expr_copy(q->a, q->vis.v[k].e), at),
                               .at = at });
        return;
    }
    Tab *t = name_path(q, r->location, &name, 1) == 1 ? scope_find_tab(q, &name) : NULL;
    if (!t || r->n_fields != 2)
        scope_fail_table(q, &name);
    for (int c = 0; c < t->n_cols; c++)
        if (!t->col[c].hidden)
            push_out(q, (Out){ .name = t->col[c].name,
                               .e = expr_at(expr_copy(q->a, t->col[c].e), at),
                               .at = at });
}

static void list_outs(Query *q)
{
    for (size_t k = 0; k < q->q->n_target_list; k++) {
        const PgQuery__ResTarget *t = q->q->target_list[k]->res_target;
        Out o = { .node = t->val, .at = bind_span(q->b, t->location, 0) };
        if (is_star(t->val)) {
            expand_star(q, t->val->column_ref);
            continue;
        }
        if (t->name && *t->name) {
            const Ident name = name_alias(q, t->location, t->name);
            o.name = name.text;
            o.named = true;
            o.at = name.at;
            if (reserved_name(q, o.name))
                diag_fail(q->b->c, ERR_query_reserved, name.at,
                          "names that start with %s are taken by sqlgrad; choose another",
                          GEN_PREFIX);
        }
        push_out(q, o);
    }
    if (!q->n_outs)
        diag_fail(q->b->c, ERR_query_clause, bind_span(q->b, -1, 0), "SELECT has no columns");
}

/* The name a bare column has where it is defined, in that spelling. */
static const char *defined_name(Query *q, const Expr *e, const PgQuery__ColumnRef *r)
{
    Ident path[3] = { { 0 } };

    for (int t = 0; t < q->n_tabs && e->op == OP_col; t++)
        for (int c = 0; c < q->tab[t]->n_cols; c++)
            if (q->tab[t]->col[c].e->src == e->src && q->tab[t]->col[c].e->col == e->col)
                return q->tab[t]->col[c].name;
    const int n = name_path(q, r->location, path, 3);
    return n ? path[n - 1].text : NULL;
}

static void bind_outs(Query *q)
{
    for (int k = 0; k < q->n_outs; k++) {
        Out *o = &q->out[k];
        Ctx x = {
            .q = q, .clause = "the select list", .aggs = true, .windows = true, .subqueries = true
        };
        if (!o->node)
            continue;
        Expr *e = expr_bind(&x, o->node);
        q->out[k].e = e;
        if (!o->name && o->node->node_case == PG_QUERY__NODE__NODE_COLUMN_REF)
            q->out[k].name = defined_name(q, e, o->node->column_ref);
        if (!o->named)
            q->out[k].at = e->at;
    }
}

static bool name_taken(const Query *q, const char *name)
{
    for (int k = 0; k < q->n_outs; k++)
        if (q->out[k].name && ascii_ieq(q->out[k].name, name))
            return true;
    return false;
}

/* `val` for the only value without a name, else column1, column2 … by position. */
static void name_outs(Query *q)
{
    int n = 0, last = 0;

    for (int k = 0; k < q->n_outs; k++)
        if (!q->out[k].name) {
            n++;
            last = k;
        }
    if (n == 1 && q->out[last].e->type == T_REAL && !name_taken(q, "val"))
        q->out[last].name = "val";
    for (int k = 0; k < q->n_outs; k++)
        if (!q->out[k].name)
            q->out[k].name = arena_printf(q->a, "column%d", k + 1);
}

static void bind_where(Query *q)
{
    Ctx x = { .q = q, .clause = "WHERE", .subqueries = true, .alias_last = true };

    if (q->q->where_clause)
        subquery_conjunct(&x, q->q->where_clause);
}

static void bind_having(Query *q)
{
    Ctx x = { .q = q, .clause = "HAVING", .aggs = true, .subqueries = true, .alias_first = true };

    if (!q->q->having_clause)
        return;
    q->having = expr_cond(&x, q->q->having_clause);
    q->grouped = true;
    if (expr_reads(q->having, SRC_WIN))
        diag_fail(q->b->c, ERR_window_place, q->having->at,
                  "a window cannot stand in HAVING; filter in an enclosing query");
}

static void bind_limit(Query *q)
{
    const PgQuery__SelectStmt *s = q->q;
    Ctx x = { .q = q,
              .clause = "ORDER BY",
              .aggs = true,
              .windows = true,
              .subqueries = true,
              .alias_first = true };

    if (s->limit_offset)
        diag_fail(q->b->c, ERR_query_order, node_span(q, s->limit_offset),
                  "OFFSET is not in the language; number the rows with ROW_NUMBER()");
    if (s->limit_option == PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_WITH_TIES)
        diag_fail(q->b->c, ERR_query_order, node_span(q, s->limit_count),
                  "WITH TIES is not in the language; ties are broken by the rows' keys");
    if (s->n_sort_clause && !s->limit_count)
        diag_fail(q->b->c, ERR_query_order, node_span(q, s->sort_clause[0]),
                  "ORDER BY needs LIMIT: a table has no order, the first rows can be chosen");
    if (!s->limit_count)
        return;
    if (!s->n_sort_clause)
        diag_fail(q->b->c, ERR_query_order, node_span(q, s->limit_count),
                  "LIMIT needs ORDER BY, which says what the first rows are");
    if (!expr_int_literal(q, s->limit_count, &q->limit) || q->limit < 1)
        diag_fail(q->b->c, ERR_query_order, node_span(q, s->limit_count),
                  "LIMIT takes a whole number from 1");
    q->order = order_list(&x, s->sort_clause, s->n_sort_clause, &q->n_order);
    q->has_limit = true;
}

/* A union or VALUES, then the query over it: only ORDER BY … LIMIT may follow. */
static void collect_over(Query *q, Block *u)
{
    const int src = from_add_source(q, u, JOIN_inner, NULL, bind_span(q->b, -1, 0), false);
    Tab *t = scope_add_tab(q, scope_tab_of(q, u, src, NULL, bind_span(q->b, -1, 0)));

    vis_add_tab(q, &q->vis, t);
    for (int k = 0; k < q->vis.n; k++)
        push_out(q,
                 (Out){ .name = q->vis.v[k].name, .named = true, .e = q->vis.v[k].e, .at = u->at });
    bind_limit(q);
}

static bool is_compound(const PgQuery__SelectStmt *s)
{
    return s->n_values_lists || s->op == PG_QUERY__SET_OPERATION__SETOP_UNION ||
           s->op == PG_QUERY__SET_OPERATION__SETOP_INTERSECT ||
           s->op == PG_QUERY__SET_OPERATION__SETOP_EXCEPT;
}

static Block *compound_block(Query *q, const char *name)
{
    return q->q->n_values_lists ? values_bind(q, name) : setop_bind(q, name);
}

void query_collect(Query *q)
{
    const PgQuery__SelectStmt *s = q->q;

    if (q->collected)
        return;
    q->collected = true;
    check_clauses(q, s);
    if (s->with_clause)
        from_with(q, s->with_clause);
    if (is_compound(s)) {
        collect_over(q, compound_block(q, NULL));
        return;
    }
    from_bind(q);
    list_outs(q);
    bind_where(q);
    group_keys(q);
    bind_outs(q);
    name_outs(q);
    bind_having(q);
    bind_limit(q);
    if (q->grouped && q->b->scan && q->b->scan->canonical)
        group_constants(q);
    q->distinct = s->n_distinct_clause > 0;
}

/* ---- from clauses to blocks ---- */

/* Tables hold INTEGER, TEXT and REAL only. */
static void final_types(Query *q)
{
    for (int k = 0; k < q->n_outs; k++) {
        Out *o = &q->out[k];
        if (o->e->type == T_NULL)
            diag_fail(q->b->c, ERR_query_untyped, o->at,
                      "a column that is always NULL has no type; write CAST(NULL AS REAL)");
        o->e = expr_plain(q->a, o->e);
    }
}

void query_settle(Query *q, const char *name, Block **direct)
{
    query_collect(q);
    final_types(q);
    rank_absorb(q);
    if (q->grouped) {
        group_stage(q, direct, name);
        if (direct && *direct)
            return;
    }
    if (q->n_wins)
        window_stage(q);
}

/* Two columns of one name could not be told apart. */
void query_check_name(Query *q, const Block *b, const Out *o)
{
    for (int c = 0; c < b->n_cols; c++)
        if (ascii_ieq(b->col[c].name, o->name))
            diag_fail(q->b->c, ERR_query_duplicate, o->at,
                      "two columns are called %s; name one of them: … AS %s_2", o->name, o->name);
}

int query_add_col(Query *q, Block *b, const Out *o, Expr *e)
{
    query_check_name(q, b, o);
    const int c = blk_add_col(q->b->p, b, o->name, e, AGG_none);
    b->col[c].at = o->at;
    return c;
}

void query_add_cols(Query *q, Block *b, int skip)
{
    for (int k = 0; k < q->n_outs; k++)
        if (k != skip)
            query_add_col(q, b, &q->out[k], q->out[k].e);
}

/* DISTINCT is GROUP BY all outputs: a value that the others determine is computed after it.  What the
 * grouping gave as one block is returned; otherwise the outputs wait over the new draft. */
static Block *distinct_stage(Query *q, const char *name)
{
    Block *direct = NULL;

    q->key = NULL;
    q->n_keys = q->n_aggs = q->n_means = q->n_wins = 0;
    q->distinct = false;
    q->was_distinct = q->grouped = true;
    for (int k = 0; k < q->n_outs; k++) {
        bool twice = false;
        for (int j = 0; j < q->n_keys; j++)
            twice |= ex_equal(q->key[j], q->out[k].e);
        if (!twice)
            VEC_PUSH(q->a, q->key, q->n_keys, q->out[k].e);
    }
    group_stage(q, &direct, name);
    return direct;
}

static bool breaks_tie_already(const Block *b, int n_order, int src, int col)
{
    for (int k = 0; k < b->n_part; k++)
        if (b->part_key[k]->op == OP_col && b->part_key[k]->src == src &&
            b->part_key[k]->col == col)
            return true;
    for (int k = 0; k < n_order; k++)
        if (!b->order[k].desc && b->order[k].e->op == OP_col && b->order[k].e->src == src &&
            b->order[k].e->col == col)
            return true;
    return false;
}

/* Whether order[from …] only says how ties are broken anyway: the sources' identities, in FROM order. */
static bool only_ties(const Block *b, int from)
{
    int k = from;

    for (int s = 0; s < b->n_src; s++)
        for (int j = 0; j < b->src[s].rel->n_id; j++) {
            const int c = b->src[s].rel->id_col[j];
            if (breaks_tie_already(b, from, s, c))
                continue;
            if (k == b->n_order)
                return true;
            const Order *o = &b->order[k++];
            if (o->desc || o->e->op != OP_col || o->e->src != s || o->e->col != c)
                return false;
        }
    return k == b->n_order;
}

/* Drop order keys that only repeat how ties are broken, so that a printed pick reads back to itself. */
static void trim_order(Block *b)
{
    int from = 0;

    while (from < b->n_order && !only_ties(b, from))
        from++;
    b->n_order = from;
}

static Block *pick_block(Query *q, const char *name)
{
    Block *b = query_new_block(q, BLK_pick, name);

    from_copy(q, b);
    query_add_cols(q, b, -1);
    b->order = q->order;
    b->n_order = q->n_order;
    b->limit = q->limit;
    b->part_key = q->grouped ? NULL : q->key;       /* only a correlated LIMIT 1 has keys here */
    b->n_part = q->grouped ? 0 : q->n_keys;
    trim_order(b);
    query_done(q, b);
    return b;
}

/* SELECT exprs FROM (a pick made for this query only): the pick itself, with those columns. */
static Expr *inlined_node(void *arg, const Expr *e)
{
    const struct { Arena *a; const Block *p; } *v = arg;

    return e->op == OP_col ? expr_copy(v->a, v->p->col[e->col].e) : NULL;
}

static Block *own_pick(const Query *q)
{
    if (q->d->n_src != 1 || q->d->n_where || q->distinct || q->has_limit || q->grouped ||
        q->n_wins || q->n_tabs != 1)
        return NULL;
    Block *p = q->d->src[0].rel;
    return p->kind == BLK_pick && q->own_pick == p ? p : NULL;
}

static Block *merge_pick(Query *q, Block *p, const char *name)
{
    Block old = *p;
    struct { Arena *a; const Block *p; } v = { q->a, &old };

    for (int k = 0; k < q->n_outs; k++)
        q->out[k].e = expr_rewrite(q->a, q->out[k].e, inlined_node, &v);
    p->col = NULL;
    p->n_cols = 0;
    query_add_cols(q, p, -1);
    p->name = name ? name : p->name;
    query_done(q, p);
    return p;
}

Block *query_finish(Query *q, const char *name)
{
    Block *own = own_pick(q);

    if (own)
        return merge_pick(q, own, name);
    if (q->distinct) {
        Block *d = distinct_stage(q, name);
        if (d)
            return d;
    }
    if (q->has_limit)
        return pick_block(q, name);
    Block *b = query_new_block(q, BLK_row, name);
    from_copy(q, b);
    query_add_cols(q, b, -1);
    query_done(q, b);
    return b;
}

/* A union that nothing follows is the result itself. */
static bool is_only_compound(const Query *q)
{
    const PgQuery__SelectStmt *s = q->q;

    return s && is_compound(s) && !q->collected && !s->limit_count && !s->n_sort_clause;
}

Block *query_block(Query *q, const char *name)
{
    Block *direct = NULL;

    if (is_only_compound(q)) {
        check_clauses(q, q->q);
        if (q->q->with_clause)
            from_with(q, q->q->with_clause);
        bind_limit(q);
        return compound_block(q, name);
    }
    query_settle(q, name, &direct);
    return direct ? direct : query_finish(q, name);
}

/* ---- a subquery of FROM whose row number may become a limit ---- */

static int open_output(const Query *q)
{
    int win = -1, out = -1, n_ranks = 0;

    for (int k = 0; k < q->n_wins; k++)
        if (q->win[k].fn == AGG_none) {
            win = k;
            n_ranks++;
        }
    if (n_ranks != 1 || q->distinct || q->has_limit)
        return -1;
    for (int k = 0; k < q->n_outs; k++) {
        const Expr *e = q->out[k].e;
        if (e->op == OP_col && e->src == SRC_WIN && e->col == win) {
            if (out >= 0)
                return -1;
            out = k;
        } else if (expr_reads_one(e, SRC_WIN, win)) {
            return -1;
        }
    }
    return out;
}

Open *query_open(Query *q, Block **closed)
{
    if (is_only_compound(q)) {
        *closed = query_block(q, NULL);
        return NULL;
    }
    query_collect(q);
    const int out = open_output(q);
    if (out < 0) {
        *closed = query_block(q, NULL);
        return NULL;
    }
    Open *o = ARENA_NEW(q->a, Open);
    q->open_win = q->out[out].e->col;
    query_settle(q, NULL, NULL);
    const WinUse *w = &q->win[q->open_win];
    *o = (Open){ .pick = query_new_block(q, BLK_pick, NULL), .rank_at = out, .name = q->out[out].name,
                 .hidden = !strncmp(q->out[out].name, GEN_PREFIX, strlen(GEN_PREFIX)) };
    from_copy(q, o->pick);
    query_add_cols(q, o->pick, out);
    o->pick->part_key = w->part;
    o->pick->n_part = w->n_part;
    o->pick->order = w->order;
    o->pick->n_order = w->n_order;
    o->pick->limit = INT64_MAX;
    trim_order(o->pick);
    return o;
}

Block *bind_query(Binder *b, const PgQuery__SelectStmt *s, const char *name, Span name_at)
{
    Block *r = query_block(query_new(NULL, b, s), name);

    r->name_at = name_at;
    r->user = name != NULL;
    return r;
}
