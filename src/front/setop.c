/* SPDX-License-Identifier: Apache-2.0
 *
 * setop.c - UNION ALL and VALUES.  Branches of one chain become the parts of one union block; a branch that
 * only renames or computes columns of one table is a part over that table, without a block of its own.
 * A hidden column numbers the branches, since equal rows of two branches are two rows. */
#include "front/query.h"

enum { MAX_ROWS = 10000 };

typedef struct Branches { Query **v; int n; } Branches;

NORETURN static void fail_setop(Query *q, const PgQuery__SelectStmt *s)
{
    const PgQuery__SelectStmt *r = s->rarg;
    const Span at = r->n_target_list ? node_span(q, r->target_list[0]) : bind_span(q->b, -1, 0);

    diag_fail(q->b->c, ERR_query_set, at, "%s is not in the language; write %s (SELECT …)",
              s->op == PG_QUERY__SET_OPERATION__SETOP_EXCEPT ? "EXCEPT" : "INTERSECT",
              s->op == PG_QUERY__SET_OPERATION__SETOP_EXCEPT ? "WHERE … NOT IN" : "WHERE … IN");
}

/* SELECT * FROM (a UNION ALL b …): what a long chain is written as, since parsers limit its length. */
static const PgQuery__SelectStmt *wrapped_union(const PgQuery__SelectStmt *s)
{
    if (s->op != PG_QUERY__SET_OPERATION__SETOP_NONE || s->n_target_list != 1 ||
        s->n_from_clause != 1 || s->where_clause || s->n_group_clause || s->having_clause ||
        s->n_distinct_clause || s->n_sort_clause || s->limit_count || s->with_clause)
        return NULL;
    const Node *v = s->target_list[0]->res_target->val, *f = s->from_clause[0];
    if (!v || v->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || v->column_ref->n_fields != 1 ||
        v->column_ref->fields[0]->node_case != PG_QUERY__NODE__NODE_A_STAR ||
        f->node_case != PG_QUERY__NODE__NODE_RANGE_SUBSELECT || f->range_subselect->lateral)
        return NULL;
    const PgQuery__SelectStmt *u = f->range_subselect->subquery->select_stmt;
    return u->op == PG_QUERY__SET_OPERATION__SETOP_UNION && u->all && !u->n_sort_clause &&
                   !u->limit_count && !u->with_clause
               ? u
               : NULL;
}

/* The branches of a chain.  Below UNION (without ALL) every union may be flattened: duplicates go anyway. */
static void flatten(Query *q, const PgQuery__SelectStmt *s, bool distinct, bool top, Branches *out)
{
    const bool chained = s->op == PG_QUERY__SET_OPERATION__SETOP_UNION && (s->all || distinct);
    const bool bare = !s->n_sort_clause && !s->limit_count && !s->with_clause;

    if (s->op == PG_QUERY__SET_OPERATION__SETOP_INTERSECT ||
        s->op == PG_QUERY__SET_OPERATION__SETOP_EXCEPT)
        fail_setop(q, s);
    if (top || (chained && bare)) {
        flatten(q, s->larg, distinct, false, out);
        flatten(q, s->rarg, distinct, false, out);
        return;
    }
    if (wrapped_union(s)) {
        flatten(q, wrapped_union(s), distinct, true, out);
        return;
    }
    Query *sub = query_new(q, q->b, s);
    query_collect(sub);
    VEC_PUSH(q->a, out->v, out->n, sub);
}

static Span out_span(const Query *sub, int c)
{
    return sub->out[c].at;
}

/* The type of a position; TEXT and numbers do not meet. */
static Type position_type(Query *q, const Branches *b, int c)
{
    Type t = T_NULL;

    for (int k = 0; k < b->n; k++) {
        const Type u = b->v[k]->out[c].e->type == T_BOOL ? T_INT : b->v[k]->out[c].e->type;
        if (u == T_NULL)
            continue;
        if (t != T_NULL && (t == T_TEXT) != (u == T_TEXT))
            diag_fail(q->b->c, ERR_query_union, out_span(b->v[k], c),
                      "column %d of UNION is %s here and %s in a branch before; CAST one", c + 1,
                      type_name[u], type_name[t]);
        t = t == T_REAL || u == T_REAL ? T_REAL : u;
    }
    if (t == T_NULL)
        diag_fail(q->b->c, ERR_query_untyped, out_span(b->v[0], c),
                  "this column is NULL in every branch and has no type; write CAST(NULL AS REAL)");
    return t;
}

/* Columns are called as in the first branch; what a later one calls them is not seen. */
static void agree(Query *q, Branches *b)
{
    const Query *first = b->v[0];

    for (int k = 1; k < b->n; k++)
        if (b->v[k]->n_outs != first->n_outs)
            diag_fail(q->b->c, ERR_query_union,
                      b->v[k]->n_outs ? out_span(b->v[k], 0) : bind_span(q->b, -1, 0),
                      "this branch of UNION has %d column%s, the first has %d", b->v[k]->n_outs,
                      b->v[k]->n_outs == 1 ? "" : "s", first->n_outs);
    for (int c = 0; c < first->n_outs; c++) {
        const Type t = position_type(q, b, c);
        for (int k = 0; k < b->n; k++)
            b->v[k]->out[c].e = expr_convert(q->a, b->v[k]->out[c].e, t);
        for (int k = 1; k < b->n; k++)
            b->v[k]->out[c].name = first->out[c].name;
    }
}

/* ---- the block ---- */

/* A block with one row, for branches without FROM. */
static Block *unit_block(Query *q, Block **unit)
{
    if (!*unit) {
        *unit = query_new_block(q, BLK_row, NULL);
        blk_add_col(q->b->p, *unit, NULL, ex_int(q->a, 1), AGG_none);
        query_done(q, *unit);
    }
    return *unit;
}

/* Columns and literals of at most one table; what computes is a block of its own. */
static bool only_takes_over(const Query *s)
{
    bool plain = s->d->n_src <= 1 && !s->d->n_where && !s->distinct && !s->has_limit;

    for (int c = 0; plain && s->d->n_src && c < s->n_outs; c++)
        plain = s->out[c].e->n_args == 0;
    return plain;
}

/* The columns of one branch, over source number k of the union. */
static Expr **branch_exprs(Query *q, Query *s, int k, Block **rel, Block **unit)
{
    Expr **e = ARENA_ARRAY(q->a, Expr *, s->n_outs + 1);
    Block *direct = NULL;

    query_settle(s, NULL, &direct);
    if (!direct && only_takes_over(s)) {
        *rel = s->d->n_src ? s->d->src[0].rel : unit_block(q, unit);
        for (int c = 0; c < s->n_outs; c++)
            e[c] = expr_over_source(q->a, s->out[c].e, k);
        return e;
    }
    *rel = direct ? direct : query_finish(s, NULL);
    for (int c = 0; c < s->n_outs; c++) {
        const int col = blk_find_col(*rel, s->out[c].name);
        e[c] = ex_new(q->a, OP_col, (*rel)->col[col].type, 0, NULL);
        e[c]->src = k;
        e[c]->col = col;
        e[c]->nullable = (*rel)->col[col].nullable;
    }
    return e;
}

typedef struct Branch { Block *rel; Expr **e; const char *alias; } Branch;

static void add_union_cols(Query *q, Block *u, const Query *first, bool tag, const Branch *v, int n)
{
    if (tag) {
        const int c = blk_add_col(q->b->p, u, GEN_PREFIX "branch", NULL, AGG_none);
        u->col[c].type = T_INT;
        u->col[c].hidden = true;
    }
    for (int c = 0; c < first->n_outs; c++) {
        const int k = query_add_col(q, u, &first->out[c], NULL);
        u->col[k].type = v[0].e[c]->type;
        for (int j = 0; j < n; j++)
            u->col[k].nullable |= v[j].e[c]->nullable;
    }
}

static Block *union_block(Query *q, Branches *b, const char *name)
{
    Branch *v = ARENA_ARRAY(q->a, Branch, b->n + 1);
    const Query *first = b->v[0];
    const bool tag = !(first->n_outs && !strcmp(first->out[0].name, GEN_PREFIX "branch"));
    Block *unit = NULL;

    for (int k = 0; k < b->n; k++) {
        v[k].e = branch_exprs(q, b->v[k], k, &v[k].rel, &unit);
        v[k].alias = b->v[k]->d->n_src == 1 && b->v[k]->d->src[0].rel == v[k].rel
                         ? b->v[k]->d->src[0].alias
                         : NULL;
    }
    Block *u = query_new_block(q, BLK_union, name);
    add_union_cols(q, u, first, tag, v, b->n);
    for (int k = 0; k < b->n; k++) {
        Part p = { blk_add_source(q->b->p, u, v[k].rel, JOIN_inner, v[k].alias), v[k].e };
        if (tag) {
            p.e = ARENA_ARRAY(q->a, Expr *, u->n_cols + 1);
            p.e[0] = ex_int(q->a, k);
            memcpy(p.e + 1, v[k].e, (size_t)first->n_outs * sizeof *p.e);
        }
        VEC_PUSH(q->a, u->part, u->n_parts, p);
    }
    query_done(q, u);
    return u;
}

static Block *union_distinct(Query *q, Block *u, const char *name)
{
    Block *d = query_new_block(q, BLK_reduce, name);

    blk_add_source(q->b->p, d, u, JOIN_inner, NULL);
    for (int c = 0; c < u->n_cols; c++)
        if (!u->col[c].hidden) {
            blk_add_col(q->b->p, d, u->col[c].name, ex_col(q->a, d, 0, c), AGG_none);
            d->n_keys++;
        }
    query_done(q, d);
    return d;
}

Block *setop_bind(Query *q, const char *name)
{
    const bool distinct = q->q->op == PG_QUERY__SET_OPERATION__SETOP_UNION && !q->q->all;
    Branches b = { 0 };

    flatten(q, q->q, distinct, true, &b);
    agree(q, &b);
    Block *u = union_block(q, &b, distinct ? NULL : name);
    return distinct ? union_distinct(q, u, name) : u;
}

/* ---- VALUES ---- */

static Query *values_row(Query *q, const PgQuery__List *row)
{
    Query *s = query_new(q, q->b, NULL);
    Ctx x = { .q = s, .clause = "VALUES" };

    s->outer = NULL;
    s->collected = true;
    for (size_t c = 0; c < row->n_items; c++) {
        Expr *e = expr_bind(&x, row->items[c]);
        VEC_PUSH(
            q->a, s->out, s->n_outs,
            ((Out){ .name = arena_printf(q->a, "column%d", (int)c + 1), .e = e, .at = e->at }));
    }
    return s;
}

Block *values_bind(Query *q, const char *name)
{
    const PgQuery__SelectStmt *s = q->q;
    Branches b = { 0 };

    if (s->n_values_lists > MAX_ROWS)
        diag_fail(q->b->c, ERR_query_limit, node_span(q, s->values_lists[0]),
                  "VALUES takes at most %d rows; import a CSV file", MAX_ROWS);
    for (size_t k = 0; k < s->n_values_lists; k++)
        VEC_PUSH(q->a, b.v, b.n, values_row(q, s->values_lists[k]->list));
    agree(q, &b);
    return b.n == 1 ? query_finish(b.v[0], name) : union_block(q, &b, name);
}
