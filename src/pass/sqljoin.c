/* SPDX-License-Identifier: Apache-2.0
 *
 * sqljoin.c - for SQL hosts: the order in which a block's sources are joined, and equalities written so
 * that the host can look rows up.  Needed only for speed (the backward pass of the paper's CNN: 67 s as
 * written, 1.1 s ordered and solved).
 *   needs   prog_analyse
 *   keeps   the rows of every block; picks get their ties spelled out, because they follow FROM order
 *   leaves  Block.ordered set where the order was chosen; LEFT sources last, in their own order
 *
 * The order is greedy from every possible first source: next comes the source with the least rows a joined
 * row so far (its rows / the product of the distinct counts of its columns that are bound), the sum of the
 * intermediate sizes decides, and what the host must sort to group the rows: nothing but the first source where
 * that one has all keys.  Counts come from the data, from CHECKs and conditions, and are passed on by rules.
 *
 * Of a stride, x / 2 = y AND x % 2 = 0, the host can look nothing up; it is x = 2 * y. */
#include "pass/pass.h"

#include <math.h>
#include <string.h>

typedef struct Size { double rows, *distinct; } Size;      /* distinct values a column */

typedef struct Sizes { Prog *p; Size *of; } Sizes;

static double at_most(double x, double most)
{
    return x < most ? x : most;
}

static double at_least1(double x)
{
    return x > 1 ? x : 1;
}

/* ---- estimates ---- */

static double base_distinct(const Block *b, int c, double rows)
{
    const Shape *sh = b->shape;

    for (int k = 0; sh && k < sh->n_cols; k++)
        if (sh->col[k] == c && sh->lo[k] <= sh->hi[k])
            return (double)sh->hi[k] - (double)sh->lo[k] + 1;
    for (int k = 0; b->cat && k < b->cat->n_cols; k++) {
        const CatCol *cc = &b->cat->col[k];
        if (ascii_ieq(cc->name, b->col[c].name) && cc->has_range)
            return at_most((double)cc->hi - (double)cc->lo + 1, rows);
    }
    return b->col[c].type == T_REAL ? rows : sqrt(rows);
}

static void size_base(Size *s, const Block *b)
{
    s->rows = b->cat && b->cat->exists ? (double)b->cat->n_rows : 1000;
    if (b->shape && !(b->cat && b->cat->exists)) {
        s->rows = 1;
        for (int k = 0; k < b->shape->n_cols; k++)
            s->rows *= at_least1((double)b->shape->hi[k] - (double)b->shape->lo[k] + 1);
    }
    if (b->one_row)
        s->rows = 1;
    for (int c = 0; c < b->n_cols; c++)
        s->distinct[c] = at_least1(base_distinct(b, c, at_least1(s->rows)));
}

static bool is_lit_int(const Expr *e)
{
    return e->op == OP_lit_int;
}

/* What the conditions of b leave of e: the length of its range, where both ends are numbers. */
static double range_length(const Block *b, const Expr *e)
{
    double lo = -INFINITY, hi = INFINITY;

    for (int w = 0; w < b->n_where; w++) {
        const Expr *c = b->where[w];
        if (c->n_args != 2 || !is_lit_int(c->arg[1]) || !ex_equal(c->arg[0], e))
            continue;
        const double v = (double)c->arg[1]->i;
        if (c->op == OP_ge || c->op == OP_gt || c->op == OP_eq)
            lo = fmax(lo, v);
        if (c->op == OP_le || c->op == OP_lt || c->op == OP_eq)
            hi = fmin(hi, v);
    }
    return hi - lo + 1;
}

static double expr_distinct(const Sizes *z, const Block *b, const Expr *e);

/* Sums of integers that lie close together are as many as their ranges are long, not every pair. */
static double made_distinct(const Sizes *z, const Block *b, const Expr *e)
{
    double d[2] = { 1, 1 }, all = 1;

    for (int k = 0; k < e->n_args; k++) {
        const double x = expr_distinct(z, b, e->arg[k]);
        all *= x;
        if (k < 2)
            d[k] = x;
    }
    if (e->type != T_INT || e->n_args != 2)
        return all;
    if (e->op == OP_add || e->op == OP_sub)
        return d[0] + d[1] - 1;
    if (e->op == OP_idiv && is_lit_int(e->arg[1]))
        return at_least1(d[0] / at_least1(fabs((double)e->arg[1]->i)));
    if (e->op == OP_mod && is_lit_int(e->arg[1]))
        return at_most(d[0], at_least1(fabs((double)e->arg[1]->i)));
    return all;
}

static double expr_distinct(const Sizes *z, const Block *b, const Expr *e)
{
    const double d = e->op == OP_col ? z->of[b->src[e->src].rel->id].distinct[e->col] : made_distinct(z, b, e);

    return e->type == T_INT && !is_lit_int(e) ? at_least1(at_most(d, range_length(b, e))) : d;
}

static double joined_rows(const Sizes *z, const Block *b)
{
    double rows = 1;

    for (int s = 0; s < b->n_src; s++)
        rows *= b->src[s].join == JOIN_left ? 1 : z->of[b->src[s].rel->id].rows;
    for (int w = 0; w < b->n_where; w++) {
        const Expr *e = b->where[w];
        if (e->op == OP_eq || e->op == OP_same) {
            const double x = expr_distinct(z, b, e->arg[0]), y = expr_distinct(z, b, e->arg[1]);
            rows /= at_least1(x > y ? x : y);
        }
    }
    return at_least1(rows);
}

/* Parts that take the same columns have the same values, those that compute them have others: the steps of a loop. */
static double parts_distinct(const Sizes *z, const Block *b, int c)
{
    double sum = 0, most = 0;
    bool made = false;

    for (int k = 0; k < b->n_parts; k++) {
        const double d = expr_distinct(z, b, b->part[k].e[c]);
        sum += d;
        most = fmax(most, d);
        made |= b->part[k].e[c]->op != OP_col;
    }
    return made ? sum : most;
}

static double col_distinct(const Sizes *z, const Block *b, int c, double rows)
{
    if (b->kind == BLK_union)
        return at_most(parts_distinct(z, b, c), rows);
    return b->col[c].agg == AGG_none && b->col[c].e ? at_most(expr_distinct(z, b, b->col[c].e), rows) : rows;
}

static void size_block(const Sizes *z, const Block *b)
{
    Size *s = &z->of[b->id];
    double by_id = 1;

    if (b->kind == BLK_base) {
        size_base(s, b);
        return;
    }
    s->rows = b->kind == BLK_union ? 0 : joined_rows(z, b);
    for (int k = 0; k < b->n_parts; k++)
        s->rows += z->of[b->src[b->part[k].src].rel->id].rows;
    for (int c = 0; c < b->n_cols; c++)
        s->distinct[c] = col_distinct(z, b, c, s->rows);
    for (int k = 0; k < b->n_id; k++)
        by_id *= s->distinct[b->id_col[k]];
    s->rows = at_least1(b->kind == BLK_union ? s->rows : at_most(s->rows, by_id));
    for (int c = 0; c < b->n_cols; c++)
        s->distinct[c] = at_least1(at_most(s->distinct[c], s->rows));
}

static Sizes sizes_of(Prog *p)
{
    Sizes z = { p, ARENA_ARRAY(&p->c->arena, Size, p->n_blocks + 1) };

    for (int k = 0; k < p->n_blocks; k++) {
        p->block[k]->id = k;
        z.of[k].distinct = ARENA_ARRAY(&p->c->arena, double, p->block[k]->n_cols + 1);
        size_block(&z, p->block[k]);
    }
    return z;
}

/* ---- order ---- */

/* Rows of source t for one joined row of the sources in `bound`. */
static double fanout(const Sizes *z, const Block *b, int t, uint64_t bound)
{
    const Block *r = b->src[t].rel;
    bool *used = ARENA_ARRAY(&z->p->c->arena, bool, r->n_cols + 1);
    double rows = z->of[r->id].rows;

    for (int w = 0; w < b->n_where; w++) {
        const Expr *e = b->where[w];
        const uint64_t reads = ex_sources(e);
        if ((e->op != OP_eq && e->op != OP_same) || !(reads >> t & 1) || (reads & ~bound & ~((uint64_t)1 << t)))
            continue;
        Expr *solved = equality_solved(z->p, b, e, t);
        const Expr *col = solved ? solved->arg[0] : e->arg[0]->op == OP_col && e->arg[0]->src == t ? e->arg[0]
                        : e->arg[1]->op == OP_col && e->arg[1]->src == t ? e->arg[1] : NULL;
        if (col && !used[col->col]) {
            used[col->col] = true;
            rows /= z->of[r->id].distinct[col->col];
        }
    }
    return rows;
}

/* What the host sorts for GROUP BY: the joined rows, or an index of the first source. */
static double sorted_rows(const Block *b, int first, double first_rows, double rows)
{
    for (int k = 0; k < b->n_keys; k++)
        if (b->col[k].e->op != OP_col || b->col[k].e->src != first)
            return rows;
    return b->n_keys ? at_most(first_rows, rows) : 0;
}

static double greedy(const Sizes *z, const Block *b, int first, int *order)
{
    uint64_t bound = (uint64_t)1 << first;
    double rows = z->of[b->src[first].rel->id].rows, cost = rows;
    int n = 1;

    order[0] = first;
    for (;;) {
        int best = -1;
        double least = 0;
        for (int t = 0; t < b->n_src; t++) {
            if (b->src[t].join == JOIN_left || (bound >> t & 1))
                continue;
            const double f = fanout(z, b, t, bound);
            if (best < 0 || f < least) {
                best = t;
                least = f;
            }
        }
        if (best < 0)
            return cost + sorted_rows(b, first, z->of[b->src[first].rel->id].rows, rows);
        order[n++] = best;
        bound |= (uint64_t)1 << best;
        rows *= least > 1e-3 ? least : 1e-3;
        cost += rows;
    }
}

static void renumber(Expr *e, const int *now)
{
    if (e->op == OP_col)
        e->src = now[e->src];
    for (int k = 0; k < e->n_args; k++)
        renumber(e->arg[k], now);
}

static void renumber_all(Arena *a, Expr **e, int n, const int *now)
{
    for (int k = 0; k < n; k++)
        if (e[k])
            renumber(e[k] = ex_copy(a, e[k]), now);      /* expressions may be shared: copy */
}

static void reorder(Prog *p, Block *b, const int *order)
{
    Arena *a = &p->c->arena;
    Source *src = ARENA_VEC(a, Source, b->n_src);
    int now[64];

    for (int k = 0; k < b->n_src; k++) {
        now[order[k]] = k;
        src[k] = b->src[order[k]];
    }
    b->src = src;
    renumber_all(a, b->where, b->n_where, now);
    renumber_all(a, b->part_key, b->n_part, now);
    for (int c = 0; c < b->n_cols; c++)
        renumber_all(a, &b->col[c].e, 1, now);
    for (int o = 0; o < b->n_order; o++)
        renumber_all(a, &b->order[o].e, 1, now);
    for (int s = 0; s < b->n_src; s++)
        renumber_all(a, b->src[s].on, b->src[s].n_on, now);
}

/* Ties of a pick follow the FROM order: spelled out before it changes. */
static void spell_ties(Prog *p, Block *b)
{
    Arena *a = &p->c->arena;

    for (int s = 0; s < b->n_src && b->kind == BLK_pick; s++)
        for (int i = 0; i < b->src[s].rel->n_id; i++) {
            const Order o = { ex_col(a, b, s, b->src[s].rel->id_col[i]), false };
            VEC_PUSH(a, b->order, b->n_order, o);
        }
}

static void set_join_order(const Sizes *z, Block *b)
{
    int best[64], order[64];
    double least = 0;
    bool chosen = false;

    for (int s = 0; s < b->n_src; s++) {
        if (b->src[s].join == JOIN_left)
            continue;
        const double cost = greedy(z, b, s, order);
        if (!chosen || cost < least) {
            memcpy(best, order, sizeof best);
            least = cost;
            chosen = true;
        }
    }
    int n = 0;
    for (int s = 0; s < b->n_src; s++)
        n += b->src[s].join != JOIN_left;
    for (int s = 0; s < b->n_src; s++)
        if (b->src[s].join == JOIN_left)
            best[n++] = s;
    spell_ties(z->p, b);
    reorder(z->p, b, best);
    b->ordered = true;
}

/* ---- solve ---- */

static int last_source(const Expr *e)
{
    int last = -1;

    for (uint64_t set = ex_sources(e), s = 0; set >> s && s < 64; s++)
        if (set >> s & 1)
            last = (int)s;
    return last;
}

static void solve(const Prog *p, const Block *b)
{
    for (int w = 0; w < b->n_where; w++) {
        const int last = last_source(b->where[w]);
        Expr *e = last > 0 ? equality_solved(p, b, b->where[w], last) : NULL;
        if (e)
            b->where[w] = e;
    }
}

/* ---- strides ---- */

/* e is x / k of whole numbers, k a positive literal. */
static bool is_quotient(const Expr *e)
{
    return e->op == OP_idiv && is_lit_int(e->arg[1]) && e->arg[1]->i > 0;
}

/* A condition x % k = 0 for the quotient x / k; -1: there is none. */
static int remainder_of(const Block *b, const Expr *quotient)
{
    for (int w = 0; w < b->n_where; w++) {
        const Expr *e = b->where[w];
        if (e->op == OP_eq && e->arg[0]->op == OP_mod && is_lit_int(e->arg[1]) && e->arg[1]->i == 0 &&
            ex_equal(e->arg[0]->arg[0], quotient->arg[0]) && ex_equal(e->arg[0]->arg[1], quotient->arg[1]))
            return w;
    }
    return -1;
}

static void drop_condition(Prog *p, Block *b, int gone)
{
    Expr **left = ARENA_ARRAY(&p->c->arena, Expr *, b->n_where + 1);
    int n = 0;

    for (int w = 0; w < b->n_where; w++)
        if (w != gone)
            left[n++] = b->where[w];
    b->where = left;
    b->n_where = n;
}

static bool straighten(Prog *p, Block *b)
{
    Arena *a = &p->c->arena;

    for (int w = 0; w < b->n_where; w++)
        for (int side = 0; side < 2 && b->where[w]->op == OP_eq; side++) {
            const Expr *q = b->where[w]->arg[side];
            const int r = is_quotient(q) ? remainder_of(b, q) : -1;
            if (r < 0)
                continue;
            b->where[w] = ex2(a, OP_eq, q->arg[0], ex2(a, OP_mul, q->arg[1], b->where[w]->arg[1 - side]));
            drop_condition(p, b, r);
            return true;
        }
    return false;
}

static bool is_join_to_order(const Block *b)
{
    int inner = 0;

    for (int s = 0; s < b->n_src; s++)
        inner += b->src[s].join == JOIN_inner;
    return b->kind != BLK_union && b->kind != BLK_base && inner >= 2 && b->n_src <= 60;
}

void pass_sqljoin(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        while (is_join_to_order(p->block[k]) && straighten(p, p->block[k]))
            ;
    const Sizes z = sizes_of(p);
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        if (!is_join_to_order(b))
            continue;
        set_join_order(&z, b);
        solve(p, b);
    }
}
