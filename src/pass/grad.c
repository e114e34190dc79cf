/* SPDX-License-Identifier: Apache-2.0
 *
 * grad.c - relational reverse-mode differentiation: blocks to blocks.
 *
 *   needs   prog_analyse; expressions typed
 *   keeps   every forward block (hidden identity columns may be added to picks)
 *   leaves  p->grad, one entry a wrt table; dead forward columns behind; prune removes what nobody reads
 *
 * Blocks are walked backwards.  The gradient of a relation R is a relation G with R's identity and a
 * column a differentiated value; its support lies inside R's.  For each source s of a block with output
 * gradient G there is one contribution: G joined with the sources on the output's identity (null-safely
 * where it can be NULL), times the partial derivative, summed over s's identity unless one row of s makes one
 * row.  Contributions of several uses meet by UNION ALL and SUM.
 *
 * Two forms of join.  General: all sources, all conditions of the forward block.  Direct: where every row needed
 * is named by G's own columns, G alone is joined with just those sources on their identities; a source
 * that is not read drops out, because the output row that G's row belongs to was made from it. */
#include "pass/grad.h"

#include <stdlib.h>
#include <string.h>

/* ---- contributions meet ---- */

/* Contributions to one relation, side by side: a branch each.  `by` is the place in r's identity of a column that
 * already tells them apart, or -1: then a tag is added. */
static Block *union_of(Back *k, const Block *r, const Contribution *from, int n, int by, int *id, int *d)
{
    Block *u = grad_block(k, BLK_union, r);
    int tag = -1;

    const char *tag_name = GEN_PREFIX "branch";
    while (blk_find_col(r, tag_name) >= 0)          /* r may be a union itself */
        tag_name = arena_printf(k->a, "%s_", tag_name);
    if (by < 0) {
        tag = blk_add_col(k->p, u, tag_name, NULL, AGG_none);
        u->col[tag].type = T_INT;
        u->col[tag].hidden = true;
    }
    for (int i = 0; i < r->n_id; i++) {
        id[i] = blk_add_col(k->p, u, r->col[r->id_col[i]].name, NULL, AGG_none);
        u->col[id[i]].type = r->col[r->id_col[i]].type;
    }
    for (int c = 0; c < r->n_cols; c++)
        for (int at = 0; at < n && d[c] < 0; at++)
            if (from[at].d[c] >= 0) {
                d[c] = blk_add_col(k->p, u, grad_col_name(k->a, u, r->col[c].name), NULL, AGG_none);
                u->col[d[c]].type = T_REAL;
            }
    for (int at = 0; at < n; at++) {
        Part part = { blk_add_source(k->p, u, from[at].rel, JOIN_inner, NULL), ARENA_ARRAY(k->a, Expr *, u->n_cols) };
        if (tag >= 0)
            part.e[tag] = ex_int(k->a, at);
        for (int i = 0; i < r->n_id; i++) {
            const Expr *c = i == by ? from[at].rel->col[from[at].id[i]].constant : NULL;
            part.e[id[i]] = c ? ex_int(k->a, c->i) : ex_col(k->a, u, part.src, from[at].id[i]);
            u->col[id[i]].nullable |= part.e[id[i]]->nullable;
        }
        for (int c = 0; c < r->n_cols; c++)
            if (d[c] >= 0)
                part.e[d[c]] = from[at].d[c] >= 0 ? ex_col(k->a, u, part.src, from[at].d[c]) : ex_real(k->a, 0);
        VEC_PUSH(k->a, u->part, u->n_parts, part);
    }
    int *whole = grad_ints(k->a, r->n_id + 1, tag);
    for (int i = 0; i < r->n_id; i++)
        whole[i + (tag >= 0)] = id[i];
    blk_set_id(k->p, u, whole, r->n_id + (tag >= 0));
    u->id_fixed = true;
    return u;
}

static Contribution sum_of(Back *k, const Block *r, const Contribution *from, int n)
{
    Arena *a = k->a;
    int *id = grad_ints(a, r->n_id, -1), *d = grad_ints(a, r->n_cols, -1);

    if (n == 1)
        return *from;
    Block *u = union_of(k, r, from, n, -1, id, d);
    Block *b = grad_block(k, BLK_reduce, r);
    Contribution g = { b, grad_ints(a, r->n_id, -1), grad_ints(a, r->n_cols, -1) };
    blk_add_source(k->p, b, u, JOIN_inner, NULL);
    for (int i = 0; i < r->n_id; i++)
        g.id[i] = blk_add_col(k->p, b, u->col[id[i]].name, ex_col(a, b, 0, id[i]), AGG_none);
    b->n_keys = r->n_id;
    for (int c = 0; c < r->n_cols; c++)
        if (d[c] >= 0)
            g.d[c] = blk_add_col(k->p, b, u->col[d[c]].name, ex_col(a, b, 0, d[c]), AGG_sum);
    return g;
}

typedef struct Apart { int64_t at; Contribution c; } Apart;

static int by_constant(const void *x, const void *y)
{
    const int64_t a = ((const Apart *)x)->at, b = ((const Apart *)y)->at;

    return (a > b) - (a < b);
}

/* Put the contributions in the order of the number that each has in identity column i; false: one has none. */
static bool order_by(Back *k, Contribution *from, int n, int i)
{
    Apart *at = ARENA_ARRAY(k->a, Apart, n);

    for (int c = 0; c < n; c++) {
        Block *b = from[c].rel;
        if (!b->col[from[c].id[i]].constant)
            analyse_constants(k->p, b);
        const Expr *e = b->col[from[c].id[i]].constant;
        if (!e || e->op != OP_lit_int)
            return false;
        at[c] = (Apart){ e->i, from[c] };
    }
    qsort(at, (size_t)n, sizeof *at, by_constant);
    for (int c = 0; c < n; c++)
        from[c] = at[c].c;
    return true;
}

static int64_t number_in(const Contribution *c, int i)
{
    return c->rel->col[c->id[i]].constant->i;
}

/* How many numbers the contributions have in identity column i, which they are put in order of; 0: some have none. */
static int numbers_in(Back *k, Contribution *from, int n, int i)
{
    int m = 1;

    if (!order_by(k, from, n, i))
        return 0;
    for (int c = 1; c < n; c++)
        m += number_in(&from[c], i) != number_in(&from[c - 1], i);
    return m;
}

/* The column of the identity, of those not tried, in which they have most numbers, two at least; -1. */
static int next_apart(Back *k, const Block *r, Contribution *from, int n, const bool *tried)
{
    int best = -1, most = 1;

    for (int i = 0; i < r->n_id; i++) {
        const int m = tried[i] ? 0 : numbers_in(k, from, n, i);
        if (m > most) {
            most = m;
            best = i;
        }
    }
    return best;
}

static bool stand_apart(Back *k, const Block *r, Contribution *from, int n, const bool *used, Contribution *out);

/* By column i: each group that shares a number there by the other columns. */
static bool stand_apart_by(Back *k, const Block *r, Contribution *from, int n, int i, const bool *used, Contribution *out)
{
    Contribution *group = ARENA_ARRAY(k->a, Contribution, n);
    int m = 0;

    order_by(k, from, n, i);
    for (int c = 0, end; c < n; c = end) {
        for (end = c + 1; end < n && number_in(&from[end], i) == number_in(&from[c], i);)
            end++;
        if (!stand_apart(k, r, &from[c], end - c, used, &group[m++]))
            return false;
    }
    *out = (Contribution){ NULL, grad_ints(k->a, r->n_id, -1), grad_ints(k->a, r->n_cols, -1) };
    for (int c = 0; c < m; c++)
        analyse_constants(k->p, group[c].rel);
    out->rel = union_of(k, r, group, m, i, out->id, out->d);
    return true;
}

/* Contributions whose rows never meet, as the steps of a loop that read a slice each, stand side by side: by a column of
 * the identity where each has a number of its own, or each group of them that shares a number, by another column.
 * false: some may meet. */
static bool stand_apart(Back *k, const Block *r, Contribution *from, int n, const bool *used, Contribution *out)
{
    bool *tried = ARENA_ARRAY(k->a, bool, r->n_id + 1);

    if (n == 1) {
        *out = *from;
        return true;
    }
    for (int i = 0; i < r->n_id; i++)
        tried[i] = used && used[i];
    for (int i; (i = next_apart(k, r, from, n, tried)) >= 0;) {
        tried[i] = true;
        if (stand_apart_by(k, r, from, n, i, tried, out))
            return true;
    }
    return false;
}

#define MEET_AT_ONCE 8

/* The gradient of r from its contributions: a single one is it; rows that never meet stand side by side; those of one form
 * are summed at once; else they meet by UNION ALL and SUM, so many at a time, so that many steps make many small blocks and
 * not a large one. */
static Grad gather(Back *k, const Block *r)
{
    Contribution *c = k->contrib[r->id];
    Contribution apart;
    int n = k->n_contrib[r->id];

    if (n > 1 && stand_apart(k, r, c, n, NULL, &apart))
        return (Grad){ apart.rel, apart.id, apart.d };
    n = grad_sum_alike(k, r, c, n);
    while (n > 1) {
        int m = 0;
        for (int at = 0; at < n; at += MEET_AT_ONCE)
            c[m++] = sum_of(k, r, &c[at], n - at < MEET_AT_ONCE ? n - at : MEET_AT_ONCE);
        n = m;
    }
    return (Grad){ c->rel, c->id, c->d };
}

static void through_block(Back *k, Block *f, const Grad *g)
{
    if (f->kind == BLK_union) {
        for (int i = 0; i < f->n_parts; i++)
            grad_through_part(k, f, g, i);
        return;
    }
    const Grad named = f->kind == BLK_pick ? grad_name_picked(k, f, g) : *g;
    g = &named;
    for (int s = 0; s < f->n_src; s++) {
        if (!grad_any_active(f->src[s].rel))
            continue;
        if (f->kind == BLK_pick)
            grad_through_pick(k, f, g, s);
        else
            grad_through_join(k, f, g, s);
        for (int o = 0; o < f->n_cols; o++)
            if ((f->col[o].agg == AGG_max || f->col[o].agg == AGG_min) && g->d[o] >= 0)
                grad_through_winner(k, f, g, o, s);
    }
}

/* ---- the ends: seed and results ---- */

static void seed(Back *k, const Block *loss)
{
    Block *b = grad_block(k, BLK_row, loss);
    Contribution c = { b, grad_ints(k->a, 1, -1), grad_ints(k->a, loss->n_cols, -1) };

    for (int o = 0; o < loss->n_cols; o++)
        if (grad_is_active(loss, o))
            c.d[o] = blk_add_col(k->p, b, grad_col_name(k->a, b, loss->col[o].name), ex_real(k->a, 1), AGG_none);
    grad_keep(k, loss, c);
}

/* All rows of t, its keys, and under each value column its gradient, 0.0 where nothing flows. */
static Block *result(Back *k, Block *t, const Grad *g)
{
    Arena *a = k->a;
    Block *b = grad_block(k, BLK_row, t);

    b->name = prog_unique_name(k->p, arena_printf(a, "grad_%s", t->name));
    blk_add_source(k->p, b, t, JOIN_inner, NULL);
    if (g) {
        blk_add_source(k->p, b, g->rel, JOIN_left, "g");
        for (int i = 0; i < t->n_id; i++)
            blk_add_on(k->p, b, 1, ex2(a, OP_eq, ex_col(a, b, 1, g->id[i]), ex_col(a, b, 0, t->id_col[i])));
        if (t->n_id == 0)
            blk_add_on(k->p, b, 1, ex2(a, OP_eq, ex_int(a, 1), ex_int(a, 1)));
    }
    for (int c = 0; c < t->n_cols; c++) {
        Expr *e = ex_col(a, b, 0, c);
        if (t->col[c].type == T_REAL)
            e = ex_real(a, 0);
        if (g && g->d[c] >= 0)
            e = ex2(a, OP_coalesce, ex_col(a, b, 1, g->d[c]), e);
        blk_add_col(k->p, b, t->col[c].name, e, AGG_none);
    }
    return b;
}

static bool active_col(const Block *b, const Expr *e)
{
    return e->op == OP_col && grad_is_active(b->src[e->src].rel, e->col);
}

static void check_join(Prog *p, const Block *b, const Expr *e)
{
    if ((e->op != OP_eq && e->op != OP_same) || ex_sources(e->arg[0]) == ex_sources(e->arg[1]))
        return;
    if (e->arg[0]->op == OP_col && e->arg[1]->op == OP_col && (active_col(b, e->arg[0]) || active_col(b, e->arg[1])))
        diag_fail(p->c, ERR_grad_key, e->at,
                  "%s joins on equal values, which depend on what is differentiated; join on keys", blk_shown(p, b));
}

/* Values that are differentiated decide no grouping and no equality join. */
static void check_keys(Prog *p, const Block *b)
{
    for (int c = 0; c < b->n_keys; c++)
        if (b->col[c].active)
            diag_fail(p->c, ERR_grad_key, b->col[c].at,
                      "%s groups by %s, which depends on what is differentiated; group by keys", blk_shown(p, b),
                      b->col[c].name);
    for (int w = 0; w < b->n_where; w++)
        check_join(p, b, b->where[w]);
    for (int k = 0; k < b->n_src; k++)
        for (int o = 0; o < b->src[k].n_on; o++)
            check_join(p, b, b->src[k].on[o]);
}

static void check_loss(Prog *p, const Block *loss)
{
    int values = 0;

    for (int c = 0; c < loss->n_cols; c++)
        values += !loss->col[c].hidden && loss->col[c].type == T_REAL;
    if (!loss->one_row || values != 1)
        diag_fail(p->c, ERR_grad_loss, loss->name_at,
                  "the loss %s must be one row with one REAL value, such as SELECT SUM(…) AS loss FROM …; it has %s",
                  loss->name, loss->one_row ? values ? "several values" : "no REAL value" : "a row per key");
}

static void check_wrt(Prog *p, const Block *t, Span at)
{
    bool value = false;

    for (int c = 0; c < t->n_cols; c++) {
        value |= t->col[c].type == T_REAL;
        if (t->col[c].type != T_REAL && t->col[c].nullable)
            diag_fail(p->c, ERR_grad_null_key, at, t->cat ? "%s cannot be differentiated: key %s holds NULL"
                      : "%s cannot be differentiated: key %s may hold NULL; declare it NOT NULL, or name a database", t->name,
                      t->col[c].name);
    }
    if (t->kind != BLK_base)
        diag_fail(p->c, ERR_grad_derived, at, "%s is computed; only stored tables can be differentiated", t->name);
    if (!value)
        diag_fail(p->c, ERR_grad_no_value, at, "%s has no REAL column to differentiate", t->name);
    if (t->bag)
        diag_fail(p->c, ERR_grad_bag, at, "%s cannot be differentiated: its keys repeat%s%s; make them unique", t->name,
                  t->cat && t->cat->dup_a && *t->cat->dup_a ? ", for example " : "",
                  t->cat && t->cat->dup_a ? t->cat->dup_a : "");
}

void pass_grad(Prog *p, Block *loss, Block *const *wrt, int n_wrt)
{
    Arena *a = &p->c->arena;
    Back k = { .p = p, .a = a };

    check_loss(p, loss);
    for (int w = 0; w < n_wrt; w++)
        check_wrt(p, wrt[w], wrt[w]->name_at);
    prog_activity(p, wrt, n_wrt);
    k.contrib = ARENA_ARRAY(a, Contribution *, p->n_blocks);
    k.n_contrib = ARENA_ARRAY(a, int, p->n_blocks);
    Grad **grad = ARENA_ARRAY(a, Grad *, p->n_blocks);
    seed(&k, loss);
    for (int f = loss->id; f >= 0; f--) {
        Block *b = p->block[f];
        if (!k.n_contrib[f])
            continue;
        check_keys(p, b);
        grad[f] = ARENA_NEW(a, Grad);
        *grad[f] = gather(&k, b);
        if (b->kind != BLK_base)
            through_block(&k, b, grad[f]);
    }
    for (int w = 0; w < n_wrt; w++) {
        const GradOf r = { wrt[w], result(&k, wrt[w], grad[wrt[w]->id]) };
        VEC_PUSH(a, p->grad, p->n_grads, r);
    }
    prog_analyse(p);
}
