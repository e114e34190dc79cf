/* SPDX-License-Identifier: Apache-2.0
 *
 * grad_pick.c - contributions where a row is chosen: MIN and MAX columns (a pick of the winning row), picks
 * themselves, and the branches of UNION ALL. */
#include "pass/grad.h"

#include <string.h>

/* ---- MIN and MAX: a pick of the winning row, then g joined with it ---- */

/* The winners' block; slope[c]: column of the derivative towards source column c, SLOPE_one: 1.0 and no
 * column, SLOPE_zero: none. */
enum { SLOPE_zero = -1, SLOPE_one = -2 };
typedef struct Winner { Block *pick; int *key, *id, *slope; } Winner;

/* The column of b that is e; added under `name` if there is none. */
static int column_of(Back *k, Block *b, Expr *e, const char *name)
{
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].e && ex_equal(b->col[c].e, e))
            return c;
    return blk_add_col(k->p, b, name, e, AGG_none);
}

/* The first row of each group by the aggregate's argument; ties by identity (Block.order's rule). */
static Winner pick_winner(Back *k, const Block *f, int o, int s)
{
    Arena *a = k->a;
    const Block *r = f->src[s].rel;
    const Expr *e = f->col[o].e;
    Winner w = { grad_block(k, BLK_pick, f), grad_ints(a, f->n_keys, -1), grad_ints(a, r->n_id, -1),
                 grad_ints(a, r->n_cols, -1) };
    Block *b = w.pick;

    for (int t = 0; t < f->n_src; t++) {
        blk_add_source(k->p, b, f->src[t].rel, f->src[t].join, f->src[t].alias);
        for (int i = 0; i < f->src[t].n_on; i++)
            blk_add_on(k->p, b, t, ex_copy(a, f->src[t].on[i]));
    }
    for (int i = 0; i < f->n_where; i++)
        blk_add_where(k->p, b, ex_copy(a, f->where[i]));
    if (e->nullable)
        blk_add_where(k->p, b, ex1(a, OP_not_null, (Expr *)e));
    for (int i = 0; i < f->n_keys; i++) {
        VEC_PUSH(a, b->part_key, b->n_part, f->col[i].e);
        w.key[i] = blk_add_col(k->p, b, arena_printf(a, "k%d", i), f->col[i].e, AGG_none);
    }
    const Order order = { (Expr *)e, f->col[o].agg == AGG_max };
    VEC_PUSH(a, b->order, b->n_order, order);
    for (int i = 0; i < r->n_id; i++)
        w.id[i] = column_of(k, b, ex_col(a, f, s, r->id_col[i]), arena_printf(a, "i%d", i));
    for (int c = 0; c < r->n_cols; c++) {
        Expr *d = grad_is_active(r, c) ? grad_derive(a, e, ex_col(a, f, s, c)) : NULL;
        if (d && !ex_is_real(d, 1))
            w.slope[c] = blk_add_col(k->p, b, arena_printf(a, "s%d", c), d, AGG_none);
        else if (d)
            w.slope[c] = SLOPE_one;
    }
    return w;
}

static Expr *winner_slope(Back *k, const Block *b, const Grad *g, const Winner *w, int o, int c)
{
    Expr *gd = ex_col(k->a, b, 0, g->d[o]);

    return w->slope[c] == SLOPE_zero ? NULL : w->slope[c] == SLOPE_one ? gd : grad_mul(k->a, gd, ex_col(k->a, b, 1, w->slope[c]));
}

void grad_through_winner(Back *k, const Block *f, const Grad *g, int o, int s)
{
    Arena *a = k->a;
    const Block *r = f->src[s].rel;
    Join1 probe = { .k = k, .f = f, .g = g, .s = s };
    bool any = false;

    for (int c = 0; c < r->n_cols; c++)
        any |= grad_is_active(r, c) && grad_derive(a, f->col[o].e, ex_col(a, f, s, c));
    if (!any)
        return;
    const bool unique = grad_one_to_one(&probe);
    const Winner w = pick_winner(k, f, o, s);
    Block *b = grad_block(k, unique ? BLK_row : BLK_reduce, r);
    blk_add_source(k->p, b, g->rel, JOIN_inner, "g");
    blk_add_source(k->p, b, w.pick, JOIN_inner, "winner");
    for (int i = 0; i < f->n_keys; i++)
        blk_add_where(k->p, b, grad_same_key(a, ex_col(a, b, 0, g->id[i]), ex_col(a, b, 1, w.key[i])));
    Contribution out = { b, grad_ints(a, r->n_id, -1), grad_ints(a, r->n_cols, -1) };
    for (int i = 0; i < r->n_id; i++)
        out.id[i] = blk_add_col(k->p, b, r->col[r->id_col[i]].name, ex_col(a, b, 1, w.id[i]), AGG_none);
    b->n_keys = unique ? 0 : r->n_id;
    for (int c = 0; c < r->n_cols; c++) {
        Expr *d = grad_is_active(r, c) ? winner_slope(k, b, g, &w, o, c) : NULL;
        if (d)
            out.d[c] = blk_add_col(k->p, b, grad_col_name(a, b, r->col[c].name), d, unique ? AGG_none : AGG_sum);
    }
    grad_keep(k, r, out);
}

/* ---- picks: g joined with the pick itself, whose hidden columns name the rows that were picked ---- */

/* Columns of pick f that hold source t's identity; added where missing. */
static int *picked_ids(Back *k, Block *f, int t)
{
    const Block *r = f->src[t].rel;
    int *at = grad_ints(k->a, r->n_id, -1);

    for (int i = 0; i < r->n_id; i++) {
        Expr *e = ex_col(k->a, f, t, r->id_col[i]);
        for (int c = 0; c < f->n_cols; c++)
            if (f->col[c].e && ex_equal(f->col[c].e, e))
                at[i] = c;
        if (at[i] >= 0)
            continue;
        char *name = NULL;
        for (int n = 1; !name || blk_find_col(f, name) >= 0; n++)
            name = arena_printf(k->a, GEN_PREFIX "k%d", n);
        at[i] = blk_add_col(k->p, f, name, e, AGG_none);
        f->col[at[i]].hidden = true;
    }
    return at;
}

/* g, after f has columns for the identities of all its sources; these have no gradient. */
Grad grad_name_picked(Back *k, Block *f, const Grad *g)
{
    const int n = f->n_cols;
    Grad wide = *g;

    for (int t = 0; t < f->n_src; t++)
        picked_ids(k, f, t);
    wide.d = grad_ints(k->a, f->n_cols, -1);
    memcpy(wide.d, g->d, (size_t)n * sizeof *wide.d);
    return wide;
}

static void join_picked(Join1 *j, Block *f, int t, int pick_src)
{
    Back *k = j->k;
    Block *r = f->src[t].rel;
    const int *at = picked_ids(k, f, t);

    j->at[t] = blk_add_source(k->p, j->b, r, t == j->s ? JOIN_inner : f->src[t].join, NULL);
    for (int i = 0; i < r->n_id; i++) {
        Expr *e = grad_same_key(k->a, ex_col(k->a, j->b, j->at[t], r->id_col[i]), ex_col(k->a, j->b, pick_src, at[i]));
        if (j->b->src[j->at[t]].join == JOIN_left)
            blk_add_on(k->p, j->b, j->at[t], e);
        else
            blk_add_where(k->p, j->b, e);
    }
}

void grad_through_pick(Back *k, Block *f, const Grad *g, int s)
{
    Join1 j = { .k = k, .f = f, .g = g, .s = s };
    const Block *r = f->src[s].rel;
    bool *read = ARENA_ARRAY(k->a, bool, f->n_src + 1);
    Expr **id = ARENA_ARRAY(k->a, Expr *, r->n_id + 1);
    Contribution out;

    if (!grad_contributes(&j))
        return;
    grad_start(&j, k, f, g, s, grad_one_to_one(&j) ? BLK_row : BLK_reduce);
    grad_mark_read(&j, read);
    const int pick_src = blk_add_source(k->p, j.b, f, JOIN_inner, "picked");
    for (int i = 0; i < f->n_id; i++)
        blk_add_where(k->p, j.b, grad_same_key(k->a, j.gid[i], ex_col(k->a, j.b, pick_src, f->id_col[i])));
    for (int t = 0; t < f->n_src; t++)
        if (read[t] || t == s)
            join_picked(&j, f, t, pick_src);
    for (int i = 0; i < r->n_id; i++)
        id[i] = ex_col(k->a, j.b, j.at[s], r->id_col[i]);
    grad_add_columns(&j, id, &out);
    out.rel = j.b;
    grad_keep(k, r, out);
}

/* ---- UNION ALL: the rows of g that bear the branch's tag ---- */

/* A part seen as a row block of its own, so that the rules above serve it. */
static Block *part_as_row(Back *k, const Block *f, int part)
{
    Block *v = ARENA_NEW(k->a, Block);

    *v = *f;
    v->kind = BLK_row;
    v->n_src = 0;
    v->src = NULL;
    v->col = ARENA_ARRAY(k->a, Col, f->n_cols);
    VEC_PUSH(k->a, v->src, v->n_src, f->src[f->part[part].src]);
    for (int c = 0; c < f->n_cols; c++) {
        v->col[c] = f->col[c];
        Expr *e = ex_copy(k->a, f->part[part].e[c]);
        v->col[c].e = e;
    }
    return v;
}

static void renumber_source(Expr *e)
{
    if (e->op == OP_col)
        e->src = 0;
    for (int i = 0; i < e->n_args; i++)
        renumber_source(e->arg[i]);
}

void grad_through_part(Back *k, const Block *f, const Grad *g, int part)
{
    Block *v = part_as_row(k, f, part);
    const Block *r = v->src[0].rel;
    bool read[1] = { false };
    Contribution out;
    Join1 j = { .k = k, .f = v, .g = g, .s = 0 };

    for (int c = 0; c < v->n_cols; c++)
        renumber_source(v->col[c].e);
    if (!grad_any_active(r) || !grad_contributes(&j))
        return;
    grad_start(&j, k, v, g, 0, BLK_row);
    grad_mark_read(&j, read);
    for (int i = 0; i < v->n_id; i++)
        if (grad_id_expr(v, i)->op == OP_lit_int)
            blk_add_where(k->p, j.b, ex2(k->a, OP_eq, j.gid[i], grad_id_expr(v, i)));
    if (!grad_direct(&j, read, &out))
        grad_general(&j, read, &out);
    out.rel = j.b;
    grad_keep(k, r, out);
}
