/* SPDX-License-Identifier: Apache-2.0
 *
 * grad_join.c - the contribution of a row block, or of the SUM columns of a reduction, to one source: the
 * output's gradient joined with the sources, in the direct or the general form (see grad.c). */
#include "pass/grad.h"

#include <string.h>

bool grad_is_active(const Block *r, int c)
{
    return r->col[c].active;
}

bool grad_any_active(const Block *r)
{
    for (int c = 0; c < r->n_cols; c++)
        if (grad_is_active(r, c))
            return true;
    return false;
}

int *grad_ints(Arena *a, int n, int fill)
{
    int *v = ARENA_ARRAY(a, int, n + 1);

    for (int k = 0; k < n; k++)
        v[k] = fill;
    return v;
}

/* A name for the gradient of column c that meets no other name of the block. */
const char *grad_col_name(Arena *a, const Block *b, const char *col)
{
    const char *name = name_fit(a, "d_", col, ""), *more = "_";

    for (; blk_find_col(b, name) >= 0; more = arena_printf(a, "%s_", more))
        name = name_fit(a, "d_", col, more);
    return name;
}

/* ---- forward expressions over the contribution's sources ---- */

static Expr *moved_col(void *arg, const Expr *col)
{
    const Join1 *j = arg;

    if (j->at[col->src] < 0)
        BUG("grad: a source that was left out is read in %s", j->f->name);
    return ex_col(j->k->a, j->b, j->at[col->src], col->col);
}

static Expr *moved(Join1 *j, const Expr *e)
{
    return ex_map(j->k->a, e, moved_col, j);
}

Expr *grad_same_key(Arena *a, Expr *x, Expr *y)
{
    return ex2(a, x->nullable && y->nullable ? OP_same : OP_eq, x, y);
}

/* Identity column j of the forward block as an expression over its sources; NULL for a union's empty slot. */
Expr *grad_id_expr(const Block *f, int j)
{
    return f->col[f->id_col[j]].e;
}

/* ---- derivatives ---- */

/* Sum over outputs o of g.d_o · ∂o/∂(s.c), in forward sources: the factor g.d_o is multiplied on in
 * `weigh`.  A NULL output neither takes nor passes gradient. */
static Expr *output_slope(Join1 *j, int o, int c)
{
    const Col *out = &j->f->col[o];
    Arena *a = j->k->a;

    if (j->g->d[o] < 0 || !out->e || (out->agg != AGG_none && out->agg != AGG_sum))
        return NULL;
    return grad_derive(a, out->e, ex_col(a, j->f, j->s, c));
}

static Expr *weighed(Join1 *j, int o, Expr *slope)
{
    Arena *a = j->k->a;
    const Expr *e = j->f->col[o].e;
    Expr *term = grad_mul(a, ex_col(a, j->b, 0, j->g->d[o]), moved(j, slope));

    if (!e->nullable)
        return term;
    Expr *when[3] = { ex1(a, OP_not_null, moved(j, e)), term, ex_real(a, 0) };
    return ex_exprs(a, OP_cond, when, 3);
}

static bool reads_source(const Expr *e, int src)
{
    return e && (ex_sources(e) >> src & 1);
}

/* Which forward sources the derivatives and guards read. */
void grad_mark_read(Join1 *j, bool *read)
{
    const Block *r = j->f->src[j->s].rel;

    for (int o = 0; o < j->f->n_cols; o++)
        for (int c = 0; c < r->n_cols; c++) {
            Expr *d = grad_is_active(r, c) ? output_slope(j, o, c) : NULL;
            for (int t = 0; d && t < j->f->n_src; t++)
                read[t] |= reads_source(d, t) || (j->f->col[o].e->nullable && reads_source(j->f->col[o].e, t));
        }
}

bool grad_contributes(Join1 *j)
{
    const Block *r = j->f->src[j->s].rel;

    for (int o = 0; o < j->f->n_cols; o++)
        for (int c = 0; c < r->n_cols; c++)
            if (grad_is_active(r, c) && output_slope(j, o, c))
                return true;
    return false;
}

/* ---- the block's columns: s's identity, then a gradient for every active column of s ---- */

/* Does one row of s make at most one joined row? */
bool grad_one_to_one(const Join1 *j)
{
    Known *k = known_new(j->k->a, j->f);

    known_add_source(k, j->s);
    known_close(k);
    for (int t = 0; t < j->f->n_src; t++)
        if (!known_has_source(k, t))
            return false;
    return true;
}

void grad_add_columns(Join1 *j, Expr **id, Contribution *out)
{
    const Block *r = j->f->src[j->s].rel;
    Arena *a = j->k->a;
    const bool sum = j->b->kind == BLK_reduce;

    out->id = grad_ints(a, r->n_id, -1);
    out->d = grad_ints(a, r->n_cols, -1);
    for (int i = 0; i < r->n_id; i++)
        out->id[i] = blk_add_col(j->k->p, j->b, r->col[r->id_col[i]].name, id[i], AGG_none);
    j->b->n_keys = sum ? r->n_id : 0;
    for (int c = 0; c < r->n_cols; c++) {
        Expr *d = NULL;
        for (int o = 0; o < j->f->n_cols && grad_is_active(r, c); o++) {
            Expr *slope = output_slope(j, o, c);
            if (slope)
                d = grad_add(a, d, weighed(j, o, slope));
        }
        if (d)
            out->d[c] = blk_add_col(j->k->p, j->b, grad_col_name(a, j->b, r->col[c].name), d, sum ? AGG_sum : AGG_none);
    }
}

/* A contribution has a row for a row of r: its identity is r's. */
void grad_keep(Back *k, const Block *r, Contribution c)
{
    blk_set_id(k->p, c.rel, c.id, r->n_id);
    c.rel->id_fixed = true;
    VEC_PUSH(k->a, k->contrib[r->id], k->n_contrib[r->id], c);
}

Block *grad_block(Back *k, BlockKind kind, const Block *of)
{
    const char *stem = strncmp(of->name, GEN_PREFIX, strlen(GEN_PREFIX)) ? of->name : of->name + strlen(GEN_PREFIX);
    Block *b = blk_new(k->p, kind, prog_unique_name(k->p, arena_printf(k->a, "d_%s", stem)));

    b->grad_of = of;
    b->at = of->at;
    return b;
}

/* ---- direct form ---- */

/* Source t's identity columns written in g's columns; NULL if some cannot be. */
static Expr **named_id(Join1 *j, int t)
{
    const Block *r = j->f->src[t].rel;
    Expr **id = ARENA_ARRAY(j->k->a, Expr *, r->n_id + 1);

    for (int i = 0; i < r->n_id; i++) {
        const Expr *col = ex_col(j->k->a, j->f, t, r->id_col[i]);
        if (!(id[i] = known_write(j->named, col)))
            return NULL;
        /* an unmatched LEFT row and a row whose key is NULL must not be taken for each other */
        if (j->f->src[t].join == JOIN_left && r->col[r->id_col[i]].nullable)
            return NULL;
    }
    return id;
}

/* e with the output's identity expressions replaced by g's columns; NULL if something else is read. */
static Expr *in_g(Join1 *j, const Expr *e)
{
    for (int i = 0; i < j->f->n_id; i++)
        if (grad_id_expr(j->f, i) && ex_equal(grad_id_expr(j->f, i), e))
            return j->gid[i];
    if (e->op == OP_col)
        return NULL;
    Expr *n = ARENA_NEW(j->k->a, Expr);
    *n = *e;
    n->arg = ARENA_ARRAY(j->k->a, Expr *, e->n_args + 1);
    for (int i = 0; i < e->n_args; i++)
        if (!(n->arg[i] = in_g(j, e->arg[i])))
            return NULL;
    n->nullable = ex_may_null(n);
    return n;
}

static Known *named_by_identity(Prog *p, const Block *f)
{
    Known *k = known_new(&p->c->arena, f);

    for (int i = 0; i < f->n_id; i++)
        if (grad_id_expr(f, i))
            known_add_expr(k, grad_id_expr(f, i));
    known_close(k);
    return k;
}

static Expr **ids_in_g(Join1 *j, int t)
{
    Expr **id = named_id(j, t);
    const int n = j->f->src[t].rel->n_id;

    for (int i = 0; id && i < n; i++)
        if (!(id[i] = in_g(j, id[i])))
            return NULL;
    return id;
}

static void join_on_id(Join1 *j, int t, Expr **id)
{
    const Source *src = &j->f->src[t];
    Back *k = j->k;
    const Join how = t == j->s ? JOIN_inner : src->join;

    j->at[t] = blk_add_source(k->p, j->b, src->rel, how, NULL);
    for (int i = 0; i < src->rel->n_id; i++) {
        Expr *e = grad_same_key(k->a, ex_col(k->a, j->b, j->at[t], src->rel->id_col[i]), id[i]);
        if (how == JOIN_left)
            blk_add_on(k->p, j->b, j->at[t], e);
        else
            blk_add_where(k->p, j->b, e);
    }
}

/* Row blocks: every row that is read is named by g.  False: use the general form. */
bool grad_direct(Join1 *j, const bool *read, Contribution *out)
{
    const Block *f = j->f;
    Back *k = j->k;
    Expr ***id = ARENA_ARRAY(k->a, Expr **, f->n_src + 1);
    const bool need_s = read[j->s] || f->src[j->s].join == JOIN_left;

    for (int t = 0; t < f->n_src; t++)
        if ((read[t] || t == j->s) && !(id[t] = ids_in_g(j, t)))
            return false;
    j->b->why = need_s ? NULL : "its row is named by the gradient's";
    for (int t = 0; t < f->n_src; t++)
        if (read[t] || (t == j->s && need_s))
            join_on_id(j, t, id[t]);
    for (int i = 0; need_s && i < f->src[j->s].rel->n_id; i++)
        id[j->s][i] = ex_col(k->a, j->b, j->at[j->s], f->src[j->s].rel->id_col[i]);
    grad_add_columns(j, id[j->s], out);
    return true;
}

/* ---- general form ---- */

/* A predicate that reads nothing but the output's identity holds for every row of g. */
static bool implied(Join1 *j, const Expr *e)
{
    return in_g(j, e) != NULL;
}

/* May source t be left out?  Not read, its row named by g, and no condition needs it. */
static bool can_leave_out(Join1 *j, int t, const bool *read)
{
    const Block *f = j->f;

    if (read[t] || t == j->s || f->src[t].join == JOIN_left || !ids_in_g(j, t))
        return false;
    for (int w = 0; w < f->n_where; w++)
        if (reads_source(f->where[w], t) && !implied(j, f->where[w]))
            return false;
    for (int s = 0; s < f->n_src; s++)
        for (int o = 0; o < f->src[s].n_on; o++)
            if (reads_source(f->src[s].on[o], t))
                return false;
    for (int i = 0; i < f->n_id; i++)
        if (reads_source(grad_id_expr(f, i), t) && grad_id_expr(f, i)->op != OP_col)
            return false;
    return true;
}

void grad_general(Join1 *j, const bool *read, Contribution *out)
{
    const Block *f = j->f;
    Back *k = j->k;
    const Block *r = f->src[j->s].rel;
    Expr **id = ARENA_ARRAY(k->a, Expr *, r->n_id + 1);

    for (int t = 0; t < f->n_src; t++) {
        if (can_leave_out(j, t, read)) {
            j->b->why = "its row is named by the gradient's";
            continue;
        }
        j->at[t] = blk_add_source(k->p, j->b, f->src[t].rel, t == j->s ? JOIN_inner : f->src[t].join, f->src[t].alias);
    }
    for (int t = 0; t < f->n_src; t++)
        for (int o = 0; o < f->src[t].n_on; o++) {
            if (t == j->s)
                blk_add_where(k->p, j->b, moved(j, f->src[t].on[o]));
            else
                blk_add_on(k->p, j->b, j->at[t], moved(j, f->src[t].on[o]));
        }
    for (int i = 0; i < f->n_id; i++) {
        const Expr *e = grad_id_expr(f, i);
        bool here = true;
        for (int t = 0; t < f->n_src; t++)
            here &= !reads_source(e, t) || j->at[t] >= 0;
        if (here)
            blk_add_where(k->p, j->b, grad_same_key(k->a, j->gid[i], moved(j, e)));
    }
    for (int w = 0; w < f->n_where; w++)
        if (!implied(j, f->where[w]))
            blk_add_where(k->p, j->b, moved(j, f->where[w]));
    for (int i = 0; i < r->n_id; i++)
        id[i] = ex_col(k->a, j->b, j->at[j->s], r->id_col[i]);
    grad_add_columns(j, id, out);
}

/* ---- row blocks and the SUM columns of reductions ---- */

void grad_start(Join1 *j, Back *k, const Block *f, const Grad *g, int s, BlockKind kind)
{
    *j = (Join1){ .k = k, .f = f, .g = g, .s = s };
    j->b = grad_block(k, kind, f->src[s].rel);
    blk_add_source(k->p, j->b, g->rel, JOIN_inner, "g");
    j->at = grad_ints(k->a, f->n_src, -1);
    j->gid = ARENA_ARRAY(k->a, Expr *, f->n_id + 1);
    for (int i = 0; i < f->n_id; i++)
        j->gid[i] = ex_col(k->a, j->b, 0, g->id[i]);
    j->named = named_by_identity(k->p, f);
}

void grad_through_join(Back *k, const Block *f, const Grad *g, int s)
{
    Join1 j = { .k = k, .f = f, .g = g, .s = s };
    bool *read = ARENA_ARRAY(k->a, bool, f->n_src + 1);
    Contribution out;

    if (!grad_contributes(&j))
        return;
    grad_start(&j, k, f, g, s, grad_one_to_one(&j) ? BLK_row : BLK_reduce);
    grad_mark_read(&j, read);
    if (f->kind == BLK_reduce || !grad_direct(&j, read, &out))
        grad_general(&j, read, &out);
    out.rel = j.b;
    grad_keep(k, f->src[s].rel, out);
}
