/* SPDX-License-Identifier: Apache-2.0
 *
 * insert.c - INSERT INTO adds a slice to a table of the file; CREATE in a loop makes a table anew.  A name so has versions,
 * one after the other.  A version is put together, as UNION ALL of the slices so far, when a statement reads it; what is
 * never read costs nothing. */
#include "front/defs.h"

/* The newest version bears the name; those before it keep their readers under generated ones. */
void def_supersede(Binder *b, Block *old)
{
    old->table = old->name;
    old->name = prog_unique_name(b->p, old->name);
    old->user = old->is_view = false;
}

static const Expr *slice_number(const Def *d, int i, int col)
{
    const Expr *e = d->slice[i]->col[col].constant;

    return e && e->op == OP_lit_int ? e : NULL;
}

/* Slices are numbered upwards, as a rule: then only what came since is looked at. */
static void follow_rising(Binder *b, Def *d)
{
    const int n_cols = d->slice[0]->n_cols;

    if (!d->rising) {
        d->rising = ARENA_ARRAY(&b->c->arena, bool, n_cols + 1);
        for (int c = 0; c < n_cols; c++)
            d->rising[c] = slice_number(d, 0, c) != NULL;
        d->n_rising = 1;
    }
    for (int i = d->n_rising; i < d->n_slices; i++)
        for (int c = 0; c < n_cols; c++)
            d->rising[c] = d->rising[c] && slice_number(d, i, c) && slice_number(d, i - 1, c)->i < slice_number(d, i, c)->i;
    d->n_rising = d->n_slices;
}

/* The column in which every slice has a number of its own: with it the slices need no branch numbers. */
static bool tells_slices(const Def *d, int col)
{
    if (d->rising[col])
        return true;
    for (int i = 0; i < d->n_slices; i++) {
        const Expr *e = slice_number(d, i, col);
        for (int j = 0; e && j < i; j++)
            if (slice_number(d, j, col)->i == e->i)
                return false;
        if (!e)
            return false;
    }
    return true;
}

static int block_visible(const Block *k, int *at)
{
    int n = 0;

    for (int c = 0; c < k->n_cols; c++)
        if (!k->col[c].hidden)
            at[n++] = c;
    return n;
}

/* Columns of slice i as part i of a union. */
static Expr **slice_exprs(Binder *b, const Def *d, int i)
{
    Arena *a = &b->c->arena;
    const Block *slice = d->slice[i];
    int *from = ARENA_ARRAY(a, int, slice->n_cols + 1);
    const int n = block_visible(slice, from);
    Expr **e = ARENA_ARRAY(a, Expr *, n + 2);

    if (d->slice_tag)
        e[0] = ex_int(a, i);
    for (int c = 0; c < n; c++) {
        const Col *k = &slice->col[from[c]];
        Expr *x = k->constant && k->constant->op == OP_lit_int ? ex_int(a, k->constant->i) : ex_new(a, OP_col, k->type, 0, NULL);
        if (x->op == OP_col) {
            x->src = i;
            x->col = from[c];
            x->nullable = k->nullable;
        }
        e[c + d->slice_tag] = x;
    }
    return e;
}

/* Sources and parts of the union of all slices; those of an earlier version are their beginning. */
static void add_parts(Binder *b, Def *d, bool tag)
{
    Arena *a = &b->c->arena;

    if (tag != d->slice_tag)
        d->n_slice_src = d->n_slice_parts = 0;
    d->slice_tag = tag;
    while (d->n_slice_parts < d->n_slices) {
        const int i = d->n_slice_parts;
        const Source src = { .rel = d->slice[i], .alias = d->slice[i]->name, .join = JOIN_inner };
        const Part part = { i, slice_exprs(b, d, i) };
        VEC_PUSH(a, d->slice_src, d->n_slice_src, src);
        VEC_PUSH(a, d->slice_part, d->n_slice_parts, part);
    }
}

/* UNION ALL of the slices. */
static Block *slices_together(Binder *b, Def *d)
{
    const Block *first = d->slice[0];
    int *at = ARENA_ARRAY(&b->c->arena, int, first->n_cols + 1);
    const int n = block_visible(first, at);
    bool tag = true;
    Block *u = blk_new(b->p, BLK_union, d->name);

    follow_rising(b, d);
    for (int c = 0; c < n; c++)
        tag &= first->col[at[c]].type == T_REAL || !tells_slices(d, at[c]);
    add_parts(b, d, tag);
    if (tag) {
        const int c = blk_add_col(b->p, u, GEN_PREFIX "branch", NULL, AGG_none);
        u->col[c].type = T_INT;
        u->col[c].hidden = true;
    }
    for (int c = 0; c < n; c++) {
        const int k = blk_add_col(b->p, u, first->col[at[c]].name, NULL, AGG_none);
        u->col[k].type = first->col[at[c]].type;
        u->col[k].at = first->col[at[c]].at;
    }
    u->src = d->slice_src;
    u->part = d->slice_part;
    u->n_src = u->n_parts = d->n_slices;
    u->at = d->st->at;
    u->name_at = d->st->name_at;
    u->mode = stmt_mode(d->st);
    u->user = u->is_version = true;
    prog_analyse_one(b->p, u);
    return u;
}

/* The newest version, put together when it is first read. */
Block *def_current(Binder *b, Def *d)
{
    if (!d->block && d->n_slices)
        d->block = slices_together(b, d);
    return d->block;
}

/* Passes change sources and parts where they stand: each version that is left gets its own. */
void def_part_versions(Binder *b)
{
    for (int i = 0; i < b->p->n_blocks; i++)
        if (b->p->block[i]->is_version)
            blk_own_parts(b->p, b->p->block[i]);
}

/* ---- INSERT INTO ---- */

/* `INSERT INTO t (a, b)`: the columns of t in the order given; without a list, all of them. */
static int *insert_columns(Binder *b, const PgQuery__InsertStmt *n, const Block *t, int *n_cols)
{
    int *all = ARENA_ARRAY(&b->c->arena, int, t->n_cols + 1), *at;
    const int n_all = block_visible(t, all);

    *n_cols = n->n_cols ? (int)n->n_cols : n_all;
    if (!n->n_cols)
        return all;
    if (*n_cols != n_all)
        diag_fail(b->c, ERR_bind_insert, b->stmt->name_at, "%s has %d columns, and %d are named here; name all of them",
                  b->stmt->name, n_all, *n_cols);
    at = ARENA_ARRAY(&b->c->arena, int, n_all + 1);
    for (int k = 0; k < n_all; k++) {
        const PgQuery__ResTarget *r = n->cols[k]->res_target;
        const char *name = bind_spelling(b, r->location, r->name);
        at[k] = -1;
        for (int c = 0; c < n_all; c++)
            if (ascii_ieq(t->col[all[c]].name, name))
                at[k] = all[c];
        for (int c = 0; c < k; c++)
            if (at[c] == at[k])
                diag_fail(b->c, ERR_bind_insert, bind_span(b, r->location, 0), "column %s stands here twice", name);
        if (at[k] < 0)
            diag_fail(b->c, ERR_bind_insert, bind_span(b, r->location, 0), "%s has no column %s", b->stmt->name, name);
    }
    return at;
}

static Expr *insert_value(Binder *b, const Block *slice, const Block *rows, int from, const Col *to)
{
    Arena *a = &b->c->arena;
    Expr *e = ex_col(a, slice, 0, from);
    const Type t = e->type == T_BOOL ? T_INT : e->type;

    if (t == T_NULL)
        return ex_null(a, to->type);
    if (e->type == T_BOOL)
        e = ex1(a, OP_to_int, e);
    if (t == T_INT && to->type == T_REAL)
        return ex_real_of(a, e);
    if (t != to->type)
        diag_fail(b->c, ERR_bind_insert, rows->col[from].at.len ? rows->col[from].at : b->stmt->name_at,
                  "%s of %s is %s, and this is %s; CAST it", to->name, b->stmt->name, type_name[to->type], type_name[t]);
    return e;
}

/* The rows under the names, in the order and of the types of their table. */
static Block *insert_slice(Binder *b, const PgQuery__InsertStmt *n, const Block *t, Block *rows)
{
    int n_to = 0, *from = ARENA_ARRAY(&b->c->arena, int, rows->n_cols + 1);
    const int *to = insert_columns(b, n, t, &n_to), n_from = block_visible(rows, from);
    Block *slice = blk_new(b->p, BLK_row, prog_unique_name(b->p, b->stmt->name));

    if (n_to != n_from)
        diag_fail(b->c, ERR_bind_insert, b->stmt->name_at, "%s takes %d columns, and its rows have %d", b->stmt->name, n_to,
                  n_from);
    blk_add_source(b->p, slice, rows, JOIN_inner, NULL);
    for (int c = 0; c < t->n_cols; c++)
        for (int k = 0; k < n_to; k++)
            if (to[k] == c) {
                Expr *e = insert_value(b, slice, rows, from[k], &t->col[c]);
                const int at = blk_add_col(b->p, slice, t->col[c].name, e, AGG_none);
                slice->col[at].at = rows->col[from[k]].at;
            }
    slice->table = b->stmt->name;
    slice->mode = b->mode;
    slice->at = b->stmt->at;
    slice->is_detached = dir_find(b->stmt, DIR_detach) != NULL;
    prog_analyse_one(b->p, slice);
    return slice;
}

static void check_insert(Binder *b, const PgQuery__InsertStmt *n, const Def *d)
{
    const char *what = n->n_returning_list ? "RETURNING" : n->on_conflict_clause ? "ON CONFLICT"
                       : n->with_clause ? "WITH before INSERT" : !n->select_stmt ? "DEFAULT VALUES" : NULL;

    if (what)
        diag_fail(b->c, ERR_bind_statement, b->stmt->name_at, "%s has no meaning in a model; write INSERT INTO x SELECT …", what);
    if (!d || !d->st)
        diag_fail(b->c, ERR_bind_insert, b->stmt->name_at,
                  "the file creates no table %s, and a model does not write to stored ones; begin with CREATE TABLE %s (…)",
                  b->stmt->name, b->stmt->name);
    if (d->state == DEF_waiting)
        diag_fail(b->c, ERR_bind_order, b->stmt->name_at, "%s is created later, on %s", d->name, bind_line(b, d->st->name_at));
    if (def_is_bound(b, d->name))
        diag_fail(b->c, ERR_bind_insert, b->stmt->name_at, "%s is bound to a stored table, which a model does not write to",
                  d->name);
    for (DirWord w = DIR_data; w <= DIR_once; w++)
        if (w != DIR_set && dir_find(d->st, w))
            diag_fail(b->c, ERR_bind_insert, b->stmt->name_at, "%s is marked @%s: no rows are added to it", d->name, dir_word(w));
}

void bind_insert(Binder *b, Def *d)
{
    const PgQuery__InsertStmt *n = b->stmt->tree->stmts[0]->stmt->insert_stmt;

    check_insert(b, n, d);
    bind_check_schema(b, n->relation);
    if (d->state == DEF_failed)
        bind_give_up(b);
    if (n->select_stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        bind_fail_part(b, "this INSERT");
    bind_reads(b);
    Block *rows = bind_query(b, n->select_stmt->select_stmt, NULL, b->stmt->name_at);
    Block *t = def_find(b, d->name)->n_slices ? d->slice[0] : def_current(b, def_find(b, d->name));
    Block *slice = insert_slice(b, n, t, rows);
    *d = *def_find(b, d->name);             /* what the query read may have put its slices together */
    if (d->block)
        def_supersede(b, d->block);
    if (!d->n_slices && d->block && !(d->st->kind == STMT_declare))
        VEC_PUSH(&b->c->arena, d->slice, d->n_slices, d->block);
    VEC_PUSH(&b->c->arena, d->slice, d->n_slices, slice);
    d->block = NULL;
}
