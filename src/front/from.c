/* SPDX-License-Identifier: Apache-2.0
 *
 * from.c - the FROM clause: tables, subqueries, WITH names and joins become sources of the draft.  Inner
 * conditions go to its `where`; LEFT JOIN keeps its own.  A join tree on the right of LEFT JOIN becomes a
 * block of its own, since a block's sources stand in one row. */
#include "front/query.h"

static void from_item(Query *q, const Node *n, Join join, Vis *vis);

bool rel_one_row(const Block *b)
{
    if (b->kind == BLK_reduce)
        return b->n_keys == 0;
    if (b->kind != BLK_row || b->n_where)
        return false;
    for (int s = 0; s < b->n_src; s++)
        if (!rel_one_row(b->src[s].rel))
            return false;
    return true;
}

int from_add_source(Query *q, Block *rel, Join join, const char *alias, Span at, bool optional)
{
    if (q->d->n_src >= MAX_SOURCES)
        diag_fail(q->b->c, ERR_query_limit, at, "a query joins at most %d tables; make two of it",
                  MAX_SOURCES);
    const int s = blk_add_source(q->b->p, q->d, rel, join, alias);
    q->d->src[s].at = at;
    q->optional[s] = optional;
    return s;
}

void from_copy(Query *q, Block *to)
{
    const Block *d = q->d;

    to->src = ARENA_VEC(q->a, Source, d->n_src);
    to->n_src = d->n_src;
    for (int s = 0; s < d->n_src; s++) {
        to->src[s] = d->src[s];
        to->src[s].on = NULL;
        to->src[s].n_on = 0;
        for (int k = 0; k < d->src[s].n_on; k++)
            VEC_PUSH(q->a, to->src[s].on, to->src[s].n_on, expr_copy(q->a, d->src[s].on[k]));
    }
    for (int k = 0; k < d->n_where; k++)
        VEC_PUSH(q->a, to->where, to->n_where, expr_copy(q->a, d->where[k]));
}

/* ---- one relation ---- */

/* The name a table goes by, and new names for its columns: `t AS x (a, b)`. */
static Ident alias_ident(Query *q, const PgQuery__Alias *alias, int from)
{
    return name_anywhere(q, from, alias->aliasname);
}

static void rename_columns(Query *q, Tab *t, Node *const *name, size_t n, int from)
{
    int c = 0;

    for (size_t k = 0; k < n; k++, c++) {
        while (c < t->n_cols && t->col[c].hidden)
            c++;
        if (c >= t->n_cols)
            diag_fail(q->b->c, ERR_query_alias, t->at,
                      "%s has fewer columns than names are given for", t->alias);
        t->col[c].name = name_anywhere(q, from, node_string(name[k])).text;
    }
}

static void finish_tab(Query *q, Tab *t, const PgQuery__Alias *alias, int from, Vis *vis)
{
    if (alias && alias->n_colnames)
        rename_columns(q, t, alias->colnames, alias->n_colnames, from);
    scope_add_tab(q, t);
    vis_add_tab(q, vis, t);
}

/* A subquery whose row number may still become a limit: its columns, with the number among them. */
static Tab *open_tab(Query *q, Open *o, int src, const char *alias, Span at)
{
    Tab *t = scope_tab_of(q, o->pick, src, alias, at);
    TabCol *col = ARENA_ARRAY(q->a, TabCol, t->n_cols + 1);

    for (int c = 0; c <= t->n_cols; c++)
        col[c] = c == o->rank_at
                     ? (TabCol){ o->name,
                                 expr_placeholder(q, SRC_RANK, q->n_tabs, T_INT, false, at),
                                 o->hidden }
                     : t->col[c - (c > o->rank_at)];
    t->col = col;
    t->n_cols++;
    t->open = o;
    q->own_pick = o->pick;
    return t;
}

static Tab *tab_of_query(Query *q, const PgQuery__SelectStmt *s, Cte *env, Join join,
                         const char *alias, Span at)
{
    Query *sub = query_new(q, q->b, s);
    Block *closed = NULL;

    sub->outer = NULL;
    sub->env = env;
    Open *o = query_open(sub, &closed);
    const int src = from_add_source(q, o ? o->pick : closed, join, alias, at, false);
    return o ? open_tab(q, o, src, alias, at) : scope_tab_of(q, closed, src, alias, at);
}

static int end_of(const Query *q, Span at)
{
    return q->b->stmt ? at.off + at.len - q->b->stmt->at.off : 0;
}

static Cte *find_cte(Query *q, const Ident *want)
{
    for (Cte *c = q->env; c; c = c->next)
        if (name_is(c->name, want))
            return c;
    return NULL;
}

static Tab *cte_tab(Query *q, Cte *c, Join join, const char *alias, Span at)
{
    Tab *t;

    if (c->blk) {
        const int src = from_add_source(q, c->blk, join, alias, at, false);
        t = scope_tab_of(q, c->blk, src, alias, at);
    } else {
        t = tab_of_query(q, c->node->ctequery->select_stmt, c->env, join, alias, at);
    }
    t->schema = NULL;
    if (c->node->n_aliascolnames)
        rename_columns(q, t, c->node->aliascolnames, c->node->n_aliascolnames, c->node->location);
    return t;
}

static void from_table(Query *q, const PgQuery__RangeVar *v, Join join, Vis *vis)
{
    Ident path[3] = { { 0 } };
    const int n = name_path(q, v->location, path, 3);
    const Span name_at = n ? path[n - 1].at : bind_span(q->b, v->location, 0);
    const Ident want = n ? path[n - 1] : (Ident){ v->relname, false, name_at };
    const int end = end_of(q, name_at);

    if (v->catalogname && *v->catalogname)
        diag_fail(q->b->c, ERR_query_from, name_at, "a table is named table or schema.table");
    const bool plain = !v->schemaname || !*v->schemaname;
    Cte *c = plain ? find_cte(q, &want) : NULL;
    Block *rel = c ? NULL : bind_table(q->b, plain ? NULL : v->schemaname, v->relname, name_at);
    const char *alias = v->alias ? alias_ident(q, v->alias, end).text : c ? c->name : rel->name;
    Tab *t;
    if (c) {
        t = cte_tab(q, c, join, alias, name_at);
    } else {
        const int src = from_add_source(q, rel, join, alias, name_at, false);
        t = scope_tab_of(q, rel, src, alias, name_at);
        t->schema = v->alias ? NULL : rel->schema;
    }
    finish_tab(q, t, v->alias, end, vis);
}

static void from_subselect(Query *q, const PgQuery__RangeSubselect *r, Join join, Vis *vis)
{
    const PgQuery__SelectStmt *s = r->subquery->select_stmt;
    const Node *first = s->n_target_list    ? s->target_list[0]
                        : s->n_values_lists ? s->values_lists[0]
                                            : NULL;
    Span at = node_span(q, first);

    if (r->lateral)
        diag_fail(q->b->c, ERR_query_from, at,
                  "LATERAL is not in the language; join on the columns it would read");
    const Ident alias = r->alias ? alias_ident(q, r->alias, end_of(q, at)) : (Ident){ 0 };
    Tab *t = tab_of_query(q, s, q->env, join, alias.text, at);
    finish_tab(q, t, r->alias, end_of(q, at), vis);
}

/* ---- joins ---- */

static const VisCol *vis_find(Query *q, const Vis *v, const Ident *want, const char *side)
{
    const VisCol *found = NULL;

    for (int k = 0; k < v->n; k++) {
        if (!name_is(v->v[k].name, want))
            continue;
        if (found)
            diag_fail(q->b->c, ERR_query_ambiguous, want->at,
                      "\"%s\" is more than once on the %s of this join; write ON with table names",
                      want->text, side);
        found = &v->v[k];
    }
    return found;
}

static const VisCol *using_side(Query *q, const Vis *v, const Ident *want, const char *side)
{
    const VisCol *c = vis_find(q, v, want, side);

    if (c)
        return c;
    const char **name = ARENA_ARRAY(q->a, const char *, v->n + 1);
    for (int k = 0; k < v->n; k++)
        name[k] = v->v[k].name;
    diag_fail(q->b->c, ERR_query_using, want->at,
              "USING (%s): no such column on the %s of the join; it has %s", want->text, side,
              list_names(q->a, name, v->n));
}

static bool merged_away(const VisCol *v, const VisCol *const *gone, int n)
{
    for (int k = 0; k < n; k++)
        if (v == gone[k])
            return true;
    return false;
}

/* Join on equal columns: the conditions, and what the names mean afterwards. */
static Expr **join_using(Query *q, const Ident *name, int n, const Vis *left, const Vis *right,
                         Vis *out)
{
    Expr **cond = ARENA_ARRAY(q->a, Expr *, n + 1);
    const VisCol **gone = ARENA_ARRAY(q->a, const VisCol *, 2 * n + 1);

    for (int k = 0; k < n; k++) {
        const VisCol *l = using_side(q, left, &name[k], "left"),
                     *r = using_side(q, right, &name[k], "right");
        if ((l->e->type == T_TEXT) != (r->e->type == T_TEXT) && l->e->type != T_NULL && r->e->type != T_NULL)
            diag_fail(q->b->c, ERR_expr_type, name[k].at,
                      "%s is %s on the left of this join and %s on its right; write ON and CAST one", name[k].text,
                      type_name[l->e->type], type_name[r->e->type]);
        cond[k] = expr_compare(q, OP_eq, l->e, r->e, name[k].at);
        VEC_PUSH(q->a, out->v, out->n, ((VisCol){ l->name, l->e, NULL }));
        gone[2 * k] = l;
        gone[2 * k + 1] = r;
    }
    for (int side = 0; side < 2; side++) {
        const Vis *v = side ? right : left;
        for (int k = 0; k < v->n; k++)
            if (!merged_away(&v->v[k], gone, 2 * n))
                VEC_PUSH(q->a, out->v, out->n, v->v[k]);
    }
    return cond;
}

static Ident *natural_names(Query *q, const Vis *left, const Vis *right, Span at, int *n)
{
    Ident *name = NULL;
    const char **text = NULL;
    int m = 0;

    *n = 0;
    for (int l = 0; l < left->n; l++)
        for (int r = 0; r < right->n; r++)
            if (ascii_ieq(left->v[l].name, right->v[r].name)) {
                const Ident id = { left->v[l].name, false, at };
                VEC_PUSH(q->a, name, *n, id);
                VEC_PUSH(q->a, text, m, left->v[l].name);
                break;
            }
    if (*n)
        diag_note(q->b->c, ERR_note_natural, at, "this NATURAL JOIN means JOIN … USING (%s)",
                  list_names(q->a, text, m));
    else
        diag_note(q->b->c, ERR_note_natural, at,
                  "this NATURAL JOIN has no column in common: it is a CROSS JOIN");
    return name;
}

static Ident *using_names(Query *q, const PgQuery__JoinExpr *j, Span at)
{
    Ident *name = ARENA_ARRAY(q->a, Ident, j->n_using_clause + 1);

    for (size_t k = 0; k < j->n_using_clause; k++) {
        name[k] = name_anywhere(q, end_of(q, at), node_string(j->using_clause[k]));
        name[k].text = node_string(j->using_clause[k]);
    }
    return name;
}

static void add_condition(Query *q, Join join, int src, Expr *e)
{
    if (join == JOIN_left)
        blk_add_on(q->b->p, q->d, src, e);
    else
        blk_add_where(q->b->p, q->d, e);
}

/* ON is bound where only the two sides' names are visible. */
static Expr *bind_on(Query *q, const Node *quals, const Vis *both)
{
    const Vis saved = q->vis;

    q->vis = *both;
    Ctx x = { .q = q, .clause = "ON" };
    Expr *e = expr_cond(&x, quals);
    q->vis = saved;
    return e;
}

/* ---- a join tree on the right of LEFT JOIN ---- */

static Expr *moved_column(Query *q, const Block *m, int src, const Expr *e)
{
    for (int c = 0; c < m->n_cols; c++)
        if (ex_equal(m->col[c].e, e))
            return ex_col(q->a, q->d, src, c);
    BUG("a column of a nested join is lost");
}

static void from_nested(Query *q, const Node *n, Join join, Vis *vis)
{
    Query *sub = query_new(q, q->b, NULL);
    const Span at = node_span(q, n);

    sub->outer = NULL;
    sub->env = q->env;
    from_item(sub, n, JOIN_inner, &sub->vis);
    for (int t = 0; t < sub->n_tabs; t++)
        for (int c = 0; c < sub->tab[t]->n_cols; c++)
            VEC_PUSH(q->a, sub->out, sub->n_outs, ((Out){ .e = sub->tab[t]->col[c].e, .at = at }));
    rank_absorb(sub);
    Block *m = query_new_block(sub, BLK_row, NULL);
    from_copy(sub, m);
    for (int k = 0; k < sub->n_outs; k++)
        blk_add_col(q->b->p, m, NULL, sub->out[k].e, AGG_none);
    query_done(sub, m);
    const int src = from_add_source(q, m, join, NULL, at, false);
    for (int t = 0, k = 0; t < sub->n_tabs; t++) {
        Tab *tab = sub->tab[t];
        tab->rel = NULL;
        tab->open = NULL;
        for (int c = 0; c < tab->n_cols; c++)
            tab->col[c].e = ex_col(q->a, q->d, src, k++);
        scope_add_tab(q, tab);
    }
    for (int k = 0; k < sub->vis.n; k++) {
        VisCol v = sub->vis.v[k];
        v.e = moved_column(q, m, src, v.e);
        VEC_PUSH(q->a, vis->v, vis->n, v);
    }
}

static void from_join(Query *q, const PgQuery__JoinExpr *j, Vis *vis)
{
    const bool is_left = j->jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT;
    const Join join = is_left ? JOIN_left : JOIN_inner;
    const Span at = node_span(q, j->rarg);
    Vis left = { 0 }, right = { 0 };
    int n = 0;

    if (!is_left && j->jointype != PG_QUERY__JOIN_TYPE__JOIN_INNER)
        diag_fail(q->b->c, ERR_query_join, at, "%s JOIN is not in the language; %s",
                  j->jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT ? "RIGHT" : "FULL",
                  j->jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT ? "swap the tables and write LEFT "
                                                                   "JOIN"
                                                                 : "write a LEFT JOIN b UNION ALL "
                                                                   "the rows of b that meet none "
                                                                   "of a");
    if (j->alias || j->join_using_alias)
        diag_fail(q->b->c, ERR_query_join, at,
                  "a join has no alias of its own; name its tables, or use a subquery");
    from_item(q, j->larg, JOIN_inner, &left);
    const int src = q->d->n_src;
    from_item(q, j->rarg, join, &right);
    const Ident *name = j->is_natural ? natural_names(q, &left, &right, at, &n)
                                      : using_names(q, j, at);
    n = j->is_natural ? n : (int)j->n_using_clause;
    Expr **cond = join_using(q, name, n, &left, &right, vis);
    for (int k = 0; k < n; k++)
        add_condition(q, join, src, cond[k]);
    if (j->quals)
        add_condition(q, join, src, bind_on(q, j->quals, vis));
    if (is_left && q->d->src[src].n_on == 0)        /* a LEFT JOIN without condition, said as one */
        blk_add_on(q->b->p, q->d, src, expr_true(q->a));
}

static void from_item(Query *q, const Node *n, Join join, Vis *vis)
{
    if (++q->nesting > MAX_NESTING)
        diag_fail(q->b->c, ERR_query_limit, node_span(q, n), "FROM is nested too deeply");
    switch ((int)n->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR: from_table(q, n->range_var, join, vis); break;
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
        from_subselect(q, n->range_subselect, join, vis);
        break;
    case PG_QUERY__NODE__NODE_JOIN_EXPR:
        if (join == JOIN_left)
            from_nested(q, n, join, vis);
        else
            from_join(q, n->join_expr, vis);
        break;
    default:
        diag_fail(q->b->c, ERR_query_from, node_span(q, n),
                  "FROM takes tables, subqueries and joins only");
    }
    q->nesting--;
}

void from_bind(Query *q)
{
    for (size_t k = 0; k < q->q->n_from_clause; k++)
        from_item(q, q->q->from_clause[k], JOIN_inner, &q->vis);
}

/* ---- WITH ---- */

/* A row number among the columns: bound anew at each use, so that each may set its own limit. */
static bool may_stay_open(const PgQuery__SelectStmt *s)
{
    for (size_t k = 0; k < s->n_target_list; k++) {
        const Node *v = s->target_list[k]->res_target->val;
        if (v && v->node_case == PG_QUERY__NODE__NODE_FUNC_CALL && v->func_call->over &&
            !strcmp(node_string(v->func_call->funcname[0]), "row_number"))
            return true;
    }
    return false;
}

void from_with(Query *q, const PgQuery__WithClause *w)
{
    for (size_t k = 0; k < w->n_ctes; k++) {
        const PgQuery__CommonTableExpr *n = w->ctes[k]->common_table_expr;
        const Ident name = name_anywhere(q, n->location, n->ctename);
        if (w->recursive)
            diag_fail(q->b->c, ERR_query_with, name.at,
                      "WITH RECURSIVE is not in the language; a loop is written -- @for t = 1 .. 10 … -- @end");
        if (n->ctequery->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
            diag_fail(q->b->c, ERR_query_with, name.at, "WITH takes SELECT only");
        Cte *c = ARENA_NEW(q->a, Cte);
        *c = (Cte){ .next = q->env, .name = name.text, .node = n, .env = q->env };
        if (!may_stay_open(n->ctequery->select_stmt)) {
            Query *sub = query_new(q, q->b, n->ctequery->select_stmt);
            sub->outer = NULL;
            c->blk = query_block(sub, NULL);
        }
        q->env = c;
    }
}
