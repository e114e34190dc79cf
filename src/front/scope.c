/* SPDX-License-Identifier: Apache-2.0
 *
 * scope.c - which column a name means: the tables of FROM, columns merged by USING, aliases of the select
 * list where they count, and the columns of enclosing queries.  An unquoted name matches without regard
 * to ASCII case, a quoted one exactly. */
#include "front/query.h"

Tab *scope_add_tab(Query *q, Tab *t)
{
    const Ident alias = { t->alias, false, t->at };

    for (int k = 0; k < q->n_tabs; k++)
        if (t->alias && q->tab[k]->alias && name_is(q->tab[k]->alias, &alias))
            diag_fail(q->b->c, ERR_query_alias, t->at,
                      "two tables in FROM are called %s; give one an alias: %s AS %s_2", t->alias,
                      t->rel && t->rel->name ? t->rel->name : t->alias, t->alias);
    VEC_PUSH(q->a, q->tab, q->n_tabs, t);
    return t;
}

Tab *scope_tab_of(Query *q, Block *rel, int src, const char *alias, Span at)
{
    Tab *t = ARENA_NEW(q->a, Tab);

    *t = (Tab){ .alias = alias, .schema = rel->schema, .rel = rel, .src = src, .at = at };
    t->col = ARENA_ARRAY(q->a, TabCol, rel->n_cols + 1);
    for (int c = 0; c < rel->n_cols; c++)
        t->col[t->n_cols++] = (TabCol){ rel->col[c].name, ex_col(q->a, q->d, src, c),
                                        rel->col[c].hidden };
    return t;
}

void vis_add_tab(Query *q, Vis *v, Tab *t)
{
    for (int c = 0; c < t->n_cols; c++)
        if (!t->col[c].hidden)
            VEC_PUSH(q->a, v->v, v->n, ((VisCol){ t->col[c].name, t->col[c].e, t }));
}

void vis_cat(Query *q, Vis *v, const Vis *w)
{
    for (int k = 0; k < w->n; k++)
        VEC_PUSH(q->a, v->v, v->n, w->v[k]);
}

Tab *scope_find_tab(Query *q, const Ident *want)
{
    for (int k = 0; k < q->n_tabs; k++)
        if (q->tab[k]->alias && name_is(q->tab[k]->alias, want))
            return q->tab[k];
    return NULL;
}

Out *scope_alias(Query *q, const Ident *want)
{
    for (int k = 0; k < q->n_outs; k++)
        if (q->out[k].named && name_is(q->out[k].name, want))
            return &q->out[k];
    return NULL;
}

/* ---- what is wrong with a name ---- */

static const char *tab_label(Query *q, const Tab *t)
{
    return t->alias ? t->alias : arena_strdup(q->a, "the subquery");
}

static const char *tab_columns(Query *q, const Tab *t)
{
    const char **name = ARENA_ARRAY(q->a, const char *, t->n_cols + 1);
    int n = 0;

    for (int c = 0; c < t->n_cols; c++)
        if (!t->col[c].hidden)
            name[n++] = t->col[c].name;
    return list_names(q->a, name, n);
}

static const char *near_column(Query *q, const Tab *only, const char *want)
{
    const char **name = NULL;
    int n = 0;

    for (int k = 0; k < q->n_tabs; k++)
        for (int c = 0; c < q->tab[k]->n_cols && (!only || only == q->tab[k]); c++)
            if (!q->tab[k]->col[c].hidden)
                VEC_PUSH(q->a, name, n, q->tab[k]->col[c].name);
    const char *best = n && strlen(want) > 2 ? nearest_name(want, name, n)
                                             : NULL; /* all short names are near */
    return best ? arena_printf(q->a, "; did you mean \"%s\"", best) : "";
}

static const char *quote_hint(const Ident *want)
{
    return want->quoted ? "; double quotes make a name, a text is written 'like this'" : "";
}

NORETURN static void fail_in_table(Query *q, const Tab *t, const Ident *want)
{
    diag_fail(q->b->c, ERR_query_no_column, want->at, "no column \"%s\" in %s; it has %s%s%s",
              want->text, tab_label(q, t), tab_columns(q, t), near_column(q, t, want->text),
              quote_hint(want));
}

NORETURN static void fail_unknown(Query *q, const Ident *want)
{
    const char *where = "", *lists = "";

    if (scope_alias(q, want))
        diag_fail(q->b->c, ERR_query_no_column, want->at,
                  "%s is an alias of the select list, which cannot be used here; repeat its "
                  "expression, or use a subquery",
                  want->text);
    if (q->n_tabs == 1)
        fail_in_table(q, q->tab[0], want);
    if (q->n_tabs == 0)
        diag_fail(q->b->c, ERR_query_no_column, want->at,
                  "no column \"%s\": there is no table in FROM%s", want->text, quote_hint(want));
    for (int k = 0; k < q->n_tabs && k < 8; k++) {
        where = arena_printf(q->a, "%s%s%s", where,
                             k == 0               ? ""
                             : k + 1 == q->n_tabs ? " or "
                                                  : ", ",
                             tab_label(q, q->tab[k]));
        lists = arena_printf(q->a, "%s; %s has %s", lists, tab_label(q, q->tab[k]),
                             tab_columns(q, q->tab[k]));
    }
    diag_fail(q->b->c, ERR_query_no_column, want->at, "no column \"%s\" in %s%s%s%s", want->text,
              where, lists, near_column(q, NULL, want->text), quote_hint(want));
}

void scope_fail_table(Query *q, const Ident *want)
{
    const char **name = NULL;
    int n = 0;

    for (int k = 0; k < q->n_tabs; k++)
        if (q->tab[k]->alias)
            VEC_PUSH(q->a, name, n, q->tab[k]->alias);
    const char *near = n && strlen(want->text) > 2 ? nearest_name(want->text, name, n) : NULL;
    if (!n)
        diag_fail(q->b->c, ERR_query_no_table, want->at,
                  "no table \"%s\" in FROM, which has none here", want->text);
    diag_fail(q->b->c, ERR_query_no_table, want->at, "no table \"%s\" in FROM; it has %s%s",
              want->text, list_names(q->a, name, n),
              near ? arena_printf(q->a, "; did you mean \"%s\"", near) : "");
}

NORETURN static void fail_ambiguous(Query *q, const Ident *want, const VisCol *x, const VisCol *y)
{
    diag_fail(q->b->c, ERR_query_ambiguous, want->at,
              "\"%s\" is in %s and in %s; write %s.%s or %s.%s", want->text,
              x->tab ? tab_label(q, x->tab) : "the USING list",
              y->tab ? tab_label(q, y->tab) : "the USING list",
              x->tab   ? tab_label(q, x->tab)
              : y->tab ? tab_label(q, y->tab)
                       : "t",
              x->name,
              y->tab   ? tab_label(q, y->tab)
              : x->tab ? tab_label(q, x->tab)
                       : "t",
              y->name);
}

/* ---- lookup ---- */

static Expr *tab_column(Query *q, const Tab *t, const Ident *want)
{
    const TabCol *found = NULL;

    for (int c = 0; c < t->n_cols; c++) {
        const TabCol *k = &t->col[c];
        if (!name_is(k->name, want) ||
            (k->hidden && strncmp(want->text, GEN_PREFIX, strlen(GEN_PREFIX))))
            continue;
        if (found)
            diag_fail(q->b->c, ERR_query_ambiguous, want->at,
                      "%s has \"%s\" and \"%s\"; write the one meant in double quotes",
                      tab_label(q, t), found->name, k->name);
        found = k;
    }
    return found ? found->e : NULL;
}

static Expr *visible_column(Query *q, const Ident *want)
{
    const VisCol *found = NULL;

    for (int k = 0; k < q->vis.n; k++) {
        if (!name_is(q->vis.v[k].name, want))
            continue;
        if (found)
            fail_ambiguous(q, want, found, &q->vis.v[k]);
        found = &q->vis.v[k];
    }
    return found ? found->e : NULL;
}

/* A column of this query, or NULL; the last of the n names is the column. */
static Expr *own_column(Query *q, const Ident *path, int n)
{
    if (n == 1)
        return visible_column(q, &path[0]);
    Tab *t = scope_find_tab(q, &path[n - 2]);
    if (!t || (n == 3 && (!t->schema || !name_is(t->schema, &path[0]))))
        return NULL;
    Expr *e = tab_column(q, t, &path[n - 1]);
    if (!e)
        fail_in_table(q, t, &path[n - 1]);
    return e;
}

/* A column of an enclosing query, as a placeholder. */
static Expr *outer_column(Query *q, const Ident *path, int n)
{
    if (!q->outer)
        return NULL;
    Expr *e = own_column(q->outer, path, n);
    if (!e)
        e = outer_column(q->outer, path, n);
    if (!e)
        return NULL;
    VEC_PUSH(q->a, q->outer_ref, q->n_outer_refs, e);
    return expr_placeholder(q, SRC_OUTER, q->n_outer_refs - 1, e->type, e->nullable, path[0].at);
}

static Expr *at_place(Arena *a, const Expr *e, Span at)
{
    Expr *n = ARENA_NEW(a, Expr);

    *n = *e;
    n->at = at;
    return n;
}

/* An alias of the select list that stands for its expression. */
static Expr *alias_expr(Ctx *x, const Out *o, const Ident *want)
{
    Query *q = x->q;

    if (x->alias_first && o->e)
        return o->e;
    if (!o->node)
        return NULL;
    if (func_node_aggregates(o->node))
        diag_fail(q->b->c, ERR_group_alias, want->at,
                  "%s is an aggregate, and %s is applied before grouping; write HAVING, or filter "
                  "in an enclosing query",
                  want->text, x->clause);
    Ctx inner = *x;
    inner.alias_last = inner.alias_first = false;
    return expr_bind(&inner, o->node);
}

static Expr *from_resolver(Query *q, const Ident *path, int n)
{
    Expr *e = n == 1 ? q->resolve(q->resolve_arg, path[0].text) : NULL;

    if (!e) {
        const char *near = nearest_name(path[n - 1].text, q->resolve_name, q->n_resolve_names);
        diag_fail(q->b->c, ERR_query_no_column, path[n - 1].at,
                  "no name \"%s\" here; there is %s%s", path[n - 1].text,
                  list_names(q->a, q->resolve_name, q->n_resolve_names),
                  near ? arena_printf(q->a, "; did you mean \"%s\"", near) : "");
    }
    return e;
}

static int ref_path(Ctx *x, const PgQuery__ColumnRef *r, Ident *path)
{
    Query *q = x->q;
    const Span at = bind_span(q->b, r->location, 0);

    for (size_t k = 0; k < r->n_fields; k++)
        if (!node_string(r->fields[k]))
            diag_fail(q->b->c, ERR_expr_star, at,
                      "* stands for columns only in a select list or COUNT(*)");
    if (r->n_fields > 3)
        diag_fail(q->b->c, ERR_query_no_column, at,
                  "a column is written column, table.column or schema.table.column");
    const int n = name_path(q, r->location, path, (int)r->n_fields);
    for (int k = n; k < (int)r->n_fields; k++) /* names not found in the text: take the parser's */
        path[k] = (Ident){ node_string(r->fields[k]), false, at };
    return (int)r->n_fields;
}

Expr *scope_column(Ctx *x, const PgQuery__ColumnRef *r)
{
    Query *q = x->q;
    Ident path[3] = { { 0 } };
    const int n = ref_path(x, r, path);
    const Span at = span_join(path[0].at, path[n - 1].at);
    const Out *o = n == 1 && !x->in_agg ? scope_alias(q, &path[0]) : NULL;
    Expr *e = NULL;

    if (q->resolve)
        return at_place(q->a, from_resolver(q, path, n), at);
    if (o && x->alias_first && (e = alias_expr(x, o, &path[0])))
        return e;
    if ((e = own_column(q, path, n)))
        return at_place(q->a, e, at);
    if (o && x->alias_last && (e = alias_expr(x, o, &path[0])))
        return e;
    if ((e = outer_column(q, path, n)))
        return at_place(q->a, e, at);
    if (n > 1)
        scope_fail_table(q, &path[n - 2]);
    fail_unknown(q, &path[0]);
}
