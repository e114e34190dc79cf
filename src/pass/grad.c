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

#include <string.h>

/* The gradient of a relation: `rel` holds column id[j] for identity column j, and d[c] for value column c. */
typedef struct Grad { Block *rel; int *id, *d; } Grad;

typedef struct Contribution { Block *rel; int *id, *d; } Contribution;

typedef struct Back {
    Prog *p;
    Arena *a;
    int n_forward;                      /* blocks before the pass began */
    Contribution **contrib; int *n_contrib;     /* by forward block id */
} Back;

/* One contribution under construction: block `b`, whose source 0 is g; forward source t is source at[t]. */
typedef struct Join1 {
    Back *k;
    const Block *f;                     /* forward block */
    const Grad *g;
    int s;                              /* the source differentiated */
    Block *b;
    int *at;                            /* forward source -> source of b, -1: left out */
    Expr **gid;                         /* forward identity column j as a column of g */
    Known *named;                       /* what g's identity gives, over the forward block's sources */
} Join1;

static bool is_active(const Block *r, int c)
{
    return r->col[c].active;
}

static bool any_active(const Block *r)
{
    for (int c = 0; c < r->n_cols; c++)
        if (is_active(r, c))
            return true;
    return false;
}

static int *int_array(Arena *a, int n, int fill)
{
    int *v = ARENA_ARRAY(a, int, n + 1);

    for (int k = 0; k < n; k++)
        v[k] = fill;
    return v;
}

/* A name for the gradient of column c that meets no other name of the block. */
static const char *grad_col_name(Arena *a, const Block *b, const char *col)
{
    const char *name = arena_printf(a, "d_%s", col);

    while (blk_find_col(b, name) >= 0)
        name = arena_printf(a, "d_%s_", name + 2);
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

static Expr *same_key(Arena *a, Expr *x, Expr *y)
{
    return ex2(a, x->nullable && y->nullable ? OP_same : OP_eq, x, y);
}

/* Identity column j of the forward block as an expression over its sources; NULL for a union's empty slot. */
static Expr *id_expr(const Block *f, int j)
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
static void mark_read(Join1 *j, bool *read)
{
    const Block *r = j->f->src[j->s].rel;

    for (int o = 0; o < j->f->n_cols; o++)
        for (int c = 0; c < r->n_cols; c++) {
            Expr *d = is_active(r, c) ? output_slope(j, o, c) : NULL;
            for (int t = 0; d && t < j->f->n_src; t++)
                read[t] |= reads_source(d, t) || (j->f->col[o].e->nullable && reads_source(j->f->col[o].e, t));
        }
}

static bool contributes(Join1 *j)
{
    const Block *r = j->f->src[j->s].rel;

    for (int o = 0; o < j->f->n_cols; o++)
        for (int c = 0; c < r->n_cols; c++)
            if (is_active(r, c) && output_slope(j, o, c))
                return true;
    return false;
}

/* ---- the block's columns: s's identity, then a gradient for every active column of s ---- */

/* Does one row of s make at most one joined row? */
static bool one_to_one(const Join1 *j)
{
    Known *k = known_new(j->k->p, j->f);

    known_add_source(k, j->s);
    known_close(k);
    for (int t = 0; t < j->f->n_src; t++)
        if (!known_has_source(k, t))
            return false;
    return true;
}

static void add_columns(Join1 *j, Expr **id, Contribution *out)
{
    const Block *r = j->f->src[j->s].rel;
    Arena *a = j->k->a;
    const bool sum = j->b->kind == BLK_reduce;

    out->id = int_array(a, r->n_id, -1);
    out->d = int_array(a, r->n_cols, -1);
    for (int i = 0; i < r->n_id; i++)
        out->id[i] = blk_add_col(j->k->p, j->b, r->col[r->id_col[i]].name, id[i], AGG_none);
    j->b->n_keys = sum ? r->n_id : 0;
    for (int c = 0; c < r->n_cols; c++) {
        Expr *d = NULL;
        for (int o = 0; o < j->f->n_cols && is_active(r, c); o++) {
            Expr *slope = output_slope(j, o, c);
            if (slope)
                d = grad_add(a, d, weighed(j, o, slope));
        }
        if (is_active(r, c))
            out->d[c] = blk_add_col(j->k->p, j->b, grad_col_name(a, j->b, r->col[c].name),
                                    d ? d : ex_real(a, 0), sum ? AGG_sum : AGG_none);
    }
}

/* A contribution has a row for a row of r: its identity is r's. */
static void keep_contribution(Back *k, const Block *r, Contribution c)
{
    blk_set_id(k->p, c.rel, c.id, r->n_id);
    c.rel->id_fixed = true;
    VEC_PUSH(k->a, k->contrib[r->id], k->n_contrib[r->id], c);
}

static Block *new_grad_block(Back *k, BlockKind kind, const Block *of)
{
    const char *stem = strncmp(of->name, GEN_PREFIX, strlen(GEN_PREFIX)) ? of->name : of->name + strlen(GEN_PREFIX);
    Block *b = blk_new(k->p, kind, prog_unique_name(k->p, arena_printf(k->a, "d_%s", stem)));

    b->grad_of = of->id;
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
        if (id_expr(j->f, i) && ex_equal(id_expr(j->f, i), e))
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
    Known *k = known_new(p, f);

    for (int i = 0; i < f->n_id; i++)
        if (id_expr(f, i))
            known_add_expr(k, id_expr(f, i));
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
        Expr *e = same_key(k->a, ex_col(k->a, j->b, j->at[t], src->rel->id_col[i]), id[i]);
        if (how == JOIN_left)
            blk_add_on(k->p, j->b, j->at[t], e);
        else
            blk_add_where(k->p, j->b, e);
    }
}

/* Row blocks: every row that is read is named by g.  False: use the general form. */
static bool direct_form(Join1 *j, const bool *read, Contribution *out)
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
    add_columns(j, id[j->s], out);
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
        if (reads_source(id_expr(f, i), t) && id_expr(f, i)->op != OP_col)
            return false;
    return true;
}

static void general_form(Join1 *j, const bool *read, Contribution *out)
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
        const Expr *e = id_expr(f, i);
        bool here = true;
        for (int t = 0; t < f->n_src; t++)
            here &= !reads_source(e, t) || j->at[t] >= 0;
        if (here)
            blk_add_where(k->p, j->b, same_key(k->a, j->gid[i], moved(j, e)));
    }
    for (int w = 0; w < f->n_where; w++)
        if (!implied(j, f->where[w]))
            blk_add_where(k->p, j->b, moved(j, f->where[w]));
    for (int i = 0; i < r->n_id; i++)
        id[i] = ex_col(k->a, j->b, j->at[j->s], r->id_col[i]);
    add_columns(j, id, out);
}

/* ---- row blocks and the SUM columns of reductions ---- */

static void start_join(Join1 *j, Back *k, const Block *f, const Grad *g, int s, BlockKind kind)
{
    *j = (Join1){ .k = k, .f = f, .g = g, .s = s };
    j->b = new_grad_block(k, kind, f->src[s].rel);
    blk_add_source(k->p, j->b, g->rel, JOIN_inner, "g");
    j->at = int_array(k->a, f->n_src, -1);
    j->gid = ARENA_ARRAY(k->a, Expr *, f->n_id + 1);
    for (int i = 0; i < f->n_id; i++)
        j->gid[i] = ex_col(k->a, j->b, 0, g->id[i]);
    j->named = named_by_identity(k->p, f);
}

static void through_join(Back *k, const Block *f, const Grad *g, int s)
{
    Join1 j = { .k = k, .f = f, .g = g, .s = s };
    bool *read = ARENA_ARRAY(k->a, bool, f->n_src + 1);
    Contribution out;

    if (!contributes(&j))
        return;
    start_join(&j, k, f, g, s, one_to_one(&j) ? BLK_row : BLK_reduce);
    mark_read(&j, read);
    if (f->kind == BLK_reduce || !direct_form(&j, read, &out))
        general_form(&j, read, &out);
    out.rel = j.b;
    keep_contribution(k, f->src[s].rel, out);
}

/* ---- MIN and MAX: a pick of the winning row, then g joined with it ---- */

/* The winners' block; slope[c]: column of the derivative towards source column c, SLOPE_one: 1.0 and no
 * column, SLOPE_zero: none. */
enum { SLOPE_zero = -1, SLOPE_one = -2 };
typedef struct Winner { Block *pick; int *key, *id, *slope; } Winner;

/* The first row of each group by the aggregate's argument; ties by identity (Block.order's rule). */
static Winner pick_winner(Back *k, const Block *f, int o, int s)
{
    Arena *a = k->a;
    const Block *r = f->src[s].rel;
    const Expr *e = f->col[o].e;
    Winner w = { new_grad_block(k, BLK_pick, f), int_array(a, f->n_keys, -1), int_array(a, r->n_id, -1),
                 int_array(a, r->n_cols, -1) };
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
        w.id[i] = blk_add_col(k->p, b, arena_printf(a, "i%d", i), ex_col(a, f, s, r->id_col[i]), AGG_none);
    for (int c = 0; c < r->n_cols; c++) {
        Expr *d = is_active(r, c) ? grad_derive(a, e, ex_col(a, f, s, c)) : NULL;
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

static void through_winner(Back *k, const Block *f, const Grad *g, int o, int s)
{
    Arena *a = k->a;
    const Block *r = f->src[s].rel;
    Join1 probe = { .k = k, .f = f, .g = g, .s = s };
    bool any = false;

    for (int c = 0; c < r->n_cols; c++)
        any |= is_active(r, c) && grad_derive(a, f->col[o].e, ex_col(a, f, s, c));
    if (!any)
        return;
    const bool unique = one_to_one(&probe);
    const Winner w = pick_winner(k, f, o, s);
    Block *b = new_grad_block(k, unique ? BLK_row : BLK_reduce, r);
    blk_add_source(k->p, b, g->rel, JOIN_inner, "g");
    blk_add_source(k->p, b, w.pick, JOIN_inner, "winner");
    for (int i = 0; i < f->n_keys; i++)
        blk_add_where(k->p, b, same_key(a, ex_col(a, b, 0, g->id[i]), ex_col(a, b, 1, w.key[i])));
    Contribution out = { b, int_array(a, r->n_id, -1), int_array(a, r->n_cols, -1) };
    for (int i = 0; i < r->n_id; i++)
        out.id[i] = blk_add_col(k->p, b, r->col[r->id_col[i]].name, ex_col(a, b, 1, w.id[i]), AGG_none);
    b->n_keys = unique ? 0 : r->n_id;
    for (int c = 0; c < r->n_cols; c++)
        if (is_active(r, c)) {
            Expr *d = winner_slope(k, b, g, &w, o, c);
            out.d[c] = blk_add_col(k->p, b, grad_col_name(a, b, r->col[c].name), d ? d : ex_real(a, 0),
                                   unique ? AGG_none : AGG_sum);
        }
    keep_contribution(k, r, out);
}

/* ---- picks: g joined with the pick itself, whose hidden columns name the rows that were picked ---- */

/* Columns of pick f that hold source t's identity; added where missing. */
static int *picked_ids(Back *k, Block *f, int t)
{
    const Block *r = f->src[t].rel;
    int *at = int_array(k->a, r->n_id, -1);

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

static void join_picked(Join1 *j, Block *f, int t, int pick_src)
{
    Back *k = j->k;
    Block *r = f->src[t].rel;
    const int *at = picked_ids(k, f, t);

    j->at[t] = blk_add_source(k->p, j->b, r, t == j->s ? JOIN_inner : f->src[t].join, NULL);
    for (int i = 0; i < r->n_id; i++) {
        Expr *e = same_key(k->a, ex_col(k->a, j->b, j->at[t], r->id_col[i]), ex_col(k->a, j->b, pick_src, at[i]));
        if (j->b->src[j->at[t]].join == JOIN_left)
            blk_add_on(k->p, j->b, j->at[t], e);
        else
            blk_add_where(k->p, j->b, e);
    }
}

static void through_pick(Back *k, Block *f, const Grad *g, int s)
{
    Join1 j = { .k = k, .f = f, .g = g, .s = s };
    const Block *r = f->src[s].rel;
    bool *read = ARENA_ARRAY(k->a, bool, f->n_src + 1);
    Expr **id = ARENA_ARRAY(k->a, Expr *, r->n_id + 1);
    Contribution out;

    if (!contributes(&j))
        return;
    for (int t = 0; t < f->n_src; t++)
        picked_ids(k, f, t);
    start_join(&j, k, f, g, s, one_to_one(&j) ? BLK_row : BLK_reduce);
    mark_read(&j, read);
    const int pick_src = blk_add_source(k->p, j.b, f, JOIN_inner, "picked");
    for (int i = 0; i < f->n_id; i++)
        blk_add_where(k->p, j.b, same_key(k->a, j.gid[i], ex_col(k->a, j.b, pick_src, f->id_col[i])));
    for (int t = 0; t < f->n_src; t++)
        if (read[t] || t == s)
            join_picked(&j, f, t, pick_src);
    for (int i = 0; i < r->n_id; i++)
        id[i] = ex_col(k->a, j.b, j.at[s], r->id_col[i]);
    add_columns(&j, id, &out);
    out.rel = j.b;
    keep_contribution(k, r, out);
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

static void through_part(Back *k, const Block *f, const Grad *g, int part)
{
    Block *v = part_as_row(k, f, part);
    const Block *r = v->src[0].rel;
    bool read[1] = { false };
    Contribution out;
    Join1 j = { .k = k, .f = v, .g = g, .s = 0 };

    for (int c = 0; c < v->n_cols; c++)
        renumber_source(v->col[c].e);
    if (!any_active(r) || !contributes(&j))
        return;
    start_join(&j, k, v, g, 0, BLK_row);
    mark_read(&j, read);
    for (int i = 0; i < v->n_id; i++)
        if (id_expr(v, i)->op == OP_lit_int)
            blk_add_where(k->p, j.b, ex2(k->a, OP_eq, j.gid[i], id_expr(v, i)));
    if (!direct_form(&j, read, &out))
        general_form(&j, read, &out);
    out.rel = j.b;
    keep_contribution(k, r, out);
}

/* ---- contributions meet ---- */

static Block *union_of(Back *k, const Block *r, int *id, int *d)
{
    Block *u = new_grad_block(k, BLK_union, r);
    const int n = k->n_contrib[r->id];
    int col = 0;

    const int tag = blk_add_col(k->p, u, GEN_PREFIX "branch", NULL, AGG_none);
    u->col[tag].type = T_INT;
    u->col[tag].hidden = true;
    for (int i = 0; i < r->n_id; i++) {
        id[i] = blk_add_col(k->p, u, r->col[r->id_col[i]].name, NULL, AGG_none);
        u->col[id[i]].type = r->col[r->id_col[i]].type;
    }
    for (int c = 0; c < r->n_cols; c++)
        if (is_active(r, c)) {
            d[c] = blk_add_col(k->p, u, grad_col_name(k->a, u, r->col[c].name), NULL, AGG_none);
            u->col[d[c]].type = T_REAL;
        }
    for (int n_done = 0; n_done < n; n_done++) {
        const Contribution *from = &k->contrib[r->id][n_done];
        Part part = { blk_add_source(k->p, u, from->rel, JOIN_inner, NULL), ARENA_ARRAY(k->a, Expr *, u->n_cols) };
        part.e[tag] = ex_int(k->a, n_done);
        for (int i = 0; i < r->n_id; i++)
            part.e[id[i]] = ex_col(k->a, u, part.src, from->id[i]);
        for (col = 0; col < r->n_cols; col++)
            if (d[col] >= 0)
                part.e[d[col]] = ex_col(k->a, u, part.src, from->d[col]);
        VEC_PUSH(k->a, u->part, u->n_parts, part);
    }
    return u;
}

/* The gradient of r from its contributions: a single one is it; several meet by UNION ALL and SUM. */
static Grad gather(Back *k, const Block *r)
{
    Arena *a = k->a;
    int *id = int_array(a, r->n_id, -1), *d = int_array(a, r->n_cols, -1);

    if (k->n_contrib[r->id] == 1) {
        const Contribution *c = k->contrib[r->id];
        return (Grad){ c->rel, c->id, c->d };
    }
    const Block *u = union_of(k, r, id, d);
    Block *b = new_grad_block(k, BLK_reduce, r);
    Grad g = { b, int_array(a, r->n_id, -1), int_array(a, r->n_cols, -1) };
    blk_add_source(k->p, b, (Block *)u, JOIN_inner, NULL);
    for (int i = 0; i < r->n_id; i++)
        g.id[i] = blk_add_col(k->p, b, u->col[id[i]].name, ex_col(a, b, 0, id[i]), AGG_none);
    b->n_keys = r->n_id;
    for (int c = 0; c < r->n_cols; c++)
        if (d[c] >= 0)
            g.d[c] = blk_add_col(k->p, b, u->col[d[c]].name, ex_col(a, b, 0, d[c]), AGG_sum);
    return g;
}

static void through_block(Back *k, Block *f, const Grad *g)
{
    if (f->kind == BLK_union) {
        for (int i = 0; i < f->n_parts; i++)
            through_part(k, f, g, i);
        return;
    }
    for (int s = 0; s < f->n_src; s++) {
        if (!any_active(f->src[s].rel))
            continue;
        if (f->kind == BLK_pick)
            through_pick(k, f, g, s);
        else
            through_join(k, f, g, s);
        for (int o = 0; o < f->n_cols; o++)
            if ((f->col[o].agg == AGG_max || f->col[o].agg == AGG_min) && f->col[o].active)
                through_winner(k, f, g, o, s);
    }
}

/* ---- the ends: seed and results ---- */

static void seed(Back *k, const Block *loss)
{
    Block *b = new_grad_block(k, BLK_row, loss);
    Contribution c = { b, int_array(k->a, 1, -1), int_array(k->a, loss->n_cols, -1) };

    for (int o = 0; o < loss->n_cols; o++)
        if (is_active(loss, o))
            c.d[o] = blk_add_col(k->p, b, grad_col_name(k->a, b, loss->col[o].name), ex_real(k->a, 1), AGG_none);
    keep_contribution(k, loss, c);
}

/* All rows of t, its keys, and under each value column its gradient, 0.0 where nothing flows. */
static Block *result(Back *k, Block *t, const Grad *g)
{
    Arena *a = k->a;
    Block *b = new_grad_block(k, BLK_row, t);

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
        if (g && t->col[c].type == T_REAL)
            e = ex2(a, OP_coalesce, ex_col(a, b, 1, g->d[c]), e);
        blk_add_col(k->p, b, t->col[c].name, e, AGG_none);
    }
    return b;
}

/* Values that are differentiated decide no grouping and no equality join. */
static void check_keys(Prog *p, const Block *b)
{
    for (int c = 0; c < b->n_keys; c++)
        if (b->col[c].active)
            diag_fail(p->c, ERR_grad_key, b->col[c].at,
                      "%s groups by %s, which depends on what is differentiated; group by keys", b->name,
                      b->col[c].name);
    for (int w = 0; w < b->n_where; w++) {
        const Expr *e = b->where[w];
        if ((e->op == OP_eq || e->op == OP_same) && e->arg[0]->op == OP_col && e->arg[1]->op == OP_col &&
            e->arg[0]->src != e->arg[1]->src && b->src[e->arg[0]->src].rel->col[e->arg[0]->col].active &&
            b->src[e->arg[1]->src].rel->col[e->arg[1]->col].active)
            diag_fail(p->c, ERR_grad_key, e->at,
                      "%s joins on equal values that depend on what is differentiated; join on keys", b->name);
    }
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
            diag_fail(p->c, ERR_grad_null_key, at, "%s cannot be differentiated: key %s holds NULL", t->name,
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
    Back k = { .p = p, .a = a, .n_forward = p->n_blocks };

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
