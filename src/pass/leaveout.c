/* SPDX-License-Identifier: Apache-2.0
 *
 * leaveout.c - a source that is only looked for, and always found, is left out of its join: as in
 * `FROM h, w, b WHERE h.i = w.i AND w.o = b.o` when only w and h are read.
 *   needs   prog_analyse; facts of base tables (Catalog, CHECKs)
 *   keeps   every row: the source's keys are all combinations of ranges (a box, by CHECK or by looking at the
 *           data), and what they are compared with lies inside those ranges and is never NULL
 *   leaves  Block.why set */
#include "pass/pass.h"

typedef struct Range { int64_t lo, hi; bool known; } Range;

static Range range(int64_t lo, int64_t hi)
{
    return (Range){ lo, hi, lo <= hi };
}

static Range range_of(const Block *b, const Expr *e, int depth);

/* CHECKs that compare one column with literals describe a box; anything else may have holes. */
static bool simple_check(const Expr *e)
{
    const bool compares = e->op == OP_ge || e->op == OP_le || e->op == OP_gt || e->op == OP_lt || e->op == OP_eq;

    return compares && ((e->arg[0]->op == OP_col && e->arg[1]->op == OP_lit_int) ||
                        (e->arg[1]->op == OP_col && e->arg[0]->op == OP_lit_int));
}

static Range base_range(const Block *b, int c)
{
    for (int k = 0; b->shape && k < b->shape->n_cols; k++)
        if (b->shape->col[k] == c)
            return range(b->shape->lo[k], b->shape->hi[k]);
    for (int k = 0; b->cat && b->cat->exists && !b->is_data && k < b->cat->n_cols; k++)
        if (ascii_ieq(b->cat->col[k].name, b->col[c].name) && b->cat->col[k].has_range)
            return range(b->cat->col[k].lo, b->cat->col[k].hi);
    return (Range){ 0 };
}

static Range col_range(const Block *b, int c, int depth)
{
    Range r = { 0 };

    if (depth > 20 || b->col[c].type != T_INT || b->col[c].agg != AGG_none)
        return r;
    if (b->kind == BLK_base)
        return base_range(b, c);
    if (b->kind != BLK_union)
        return range_of(b, b->col[c].e, depth + 1);
    for (int p = 0; p < b->n_parts; p++) {
        const Range q = range_of(b, b->part[p].e[c], depth + 1);
        if (!q.known)
            return q;
        r = p == 0 ? q : range(q.lo < r.lo ? q.lo : r.lo, q.hi > r.hi ? q.hi : r.hi);
    }
    return r;
}

static Range range_of(const Block *b, const Expr *e, int depth)
{
    if (e->nullable)
        return (Range){ 0 };
    if (e->op == OP_lit_int)
        return range(e->i, e->i);
    return e->op == OP_col ? col_range(b->src[e->src].rel, e->col, depth) : (Range){ 0 };
}

/* Are t's keys all combinations of its columns' ranges? */
static bool is_box(const Block *t)
{
    double cells = 1;

    if (t->shape) {
        for (int k = 0; k < t->shape->n_checks; k++)
            if (!simple_check(t->shape->check[k]))
                return false;
        return t->n_id == t->shape->n_cols;
    }
    if (!t->cat || !t->cat->exists || t->is_data)
        return false;
    for (int k = 0; k < t->n_id; k++) {
        const Range r = base_range(t, t->id_col[k]);
        if (!r.known || t->col[t->id_col[k]].nullable)
            return false;
        cells *= (double)r.hi - (double)r.lo + 1;
    }
    return cells == (double)t->cat->n_rows;
}

/* The other side of the one equality on key column c of source s, if the block has it. */
static Expr *compared_with(const Block *b, int s, int c)
{
    for (int w = 0; w < b->n_where; w++) {
        const Expr *e = b->where[w];
        for (int side = 0; side < 2 && e->op == OP_eq; side++)
            if (e->arg[side]->op == OP_col && e->arg[side]->src == s && e->arg[side]->col == c &&
                !(ex_sources(e->arg[1 - side]) >> s & 1))
                return e->arg[1 - side];
    }
    return NULL;
}

typedef struct Gone { Arena *a; const Block *b; int src; Expr **with; } Gone;    /* with[col] */

static Expr *replaced(void *arg, const Expr *col)
{
    Gone *g = arg;

    if (col->src != g->src)
        return NULL;
    return g->with[col->col];
}

static bool reads_values(void *arg, const Expr *e)
{
    const Gone *g = arg;
    return e->op == OP_col && e->src == g->src && !g->with[e->col];
}

static bool only_looked_for(const Block *b, Gone *g)
{
    for (int w = 0; w < b->n_where; w++)
        if (ex_any(b->where[w], reads_values, g))
            return false;
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].e && ex_any(b->col[c].e, reads_values, g))
            return false;
    for (int s = 0; s < b->n_src; s++)
        for (int o = 0; o < b->src[s].n_on; o++)
            if (ex_any(b->src[s].on[o], reads_values, g))
                return false;
    return true;
}

static bool always_found(const Block *b, Gone *g)
{
    const Block *t = b->src[g->src].rel;

    if (b->src[g->src].join != JOIN_inner || t->kind != BLK_base || t->bag || t->batched || t->n_id == 0 || !is_box(t))
        return false;
    for (int k = 0; k < t->n_id; k++) {
        const int c = t->id_col[k];
        Expr *e = compared_with(b, g->src, c);
        const Range box = base_range(t, c), r = e ? range_of(b, e, 0) : (Range){ 0 };
        if (!box.known || !r.known || r.lo < box.lo || r.hi > box.hi)
            return false;
        g->with[c] = e;
    }
    return only_looked_for(b, g);
}

static void shift_sources(Expr *e, int gone)
{
    if (e->op == OP_col && e->src > gone)
        e->src--;
    for (int k = 0; k < e->n_args; k++)
        shift_sources(e->arg[k], gone);
}

static Expr *without(Gone *g, const Expr *e)
{
    Expr *n = ex_copy(g->a, ex_map(g->a, e, replaced, g));      /* copied twice: replacements are shared */

    shift_sources(n, g->src);
    return n;
}

static bool is_trivial(const Expr *e)
{
    return e->op == OP_eq && ex_equal(e->arg[0], e->arg[1]) && !e->arg[0]->nullable;
}

static void leave_out(Block *b, Gone *g)
{
    int n = 0;

    for (int w = 0; w < b->n_where; w++) {
        Expr *e = without(g, b->where[w]);
        if (!is_trivial(e))
            b->where[n++] = e;
    }
    b->n_where = n;
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].e)
            b->col[c].e = without(g, b->col[c].e);
    for (int s = 0; s < b->n_src; s++)
        for (int o = 0; o < b->src[s].n_on; o++)
            b->src[s].on[o] = without(g, b->src[s].on[o]);
    for (int s = g->src; s + 1 < b->n_src; s++)
        b->src[s] = b->src[s + 1];
    b->n_src--;
    b->why = "every row that is looked for is there";
}

void pass_leaveout(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        for (int s = b->n_src - 1; s >= 0 && (b->kind == BLK_row || b->kind == BLK_reduce); s--) {
            Gone g = { &p->c->arena, b, s, ARENA_ARRAY(&p->c->arena, Expr *, b->src[s].rel->n_cols + 1) };
            if (b->n_src > 1 && !(s == 0 && b->src[1].join == JOIN_left) && always_found(b, &g))
                leave_out(b, &g);
        }
    }
    prog_analyse(p);
}
