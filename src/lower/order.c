/* SPDX-License-Identifier: Apache-2.0
 *
 * order.c - in which order the keys of a relation number its rows.
 *
 * The order of columns in a declaration, in SELECT or in GROUP BY says nothing about memory.  So it is found anew, from
 * what the program does with keys: along which ones it sums, which it shifts against each other (r - kr), which are the
 * digits of a number (5 * r + c), which are one literal.  What tables that share keys make of theirs should agree, or
 * numbers would be put in another order on the way: keys that blocks without sums make equal form a group, a group's
 * marks are those of all its members, and where marks do not decide, those of the neighbours do, by an average over
 * averages.  All are sums of integers, so no order in which something is written matters.  What is still equal does the
 * same for all the program does: then the first is put first, and its neighbours learn of it.
 *
 * Needed for speed alone: readers look at how rows are numbered. */
#include "lower/order.h"

#include <string.h>

enum { ROUNDS = 64, MOST_TIES = 24 };
#define TIE ((int64_t)1 << 49)                          /* half a mark; less for each tie that follows */

/* ---- nodes and groups ---- */

int order_root(int *group, int v)
{
    while (group[v] != v)
        v = group[v] = group[group[v]];
    return v;
}

void order_join(int *group, int v, int w)
{
    const int x = order_root(group, v), y = order_root(group, w);

    group[x > y ? x : y] = x > y ? y : x;
}

int order_node(const Orders *o, const Block *b, int c)
{
    return o->first[b->id] + c;
}

void order_link(Orders *o, int v, int w, bool same)
{
    if (v == w || o->vague[v] || o->vague[w])
        return;
    if (same)
        order_join(o->group, v, w);
    VEC_PUSH(o->work, o->link, o->n_links, ((Link){ v, w }));
}

/* ---- what belongs together otherwise ---- */

/* A gradient has the keys of what it is the gradient of; where that became part of others, of what its keys came from. */
static void link_gradient(Orders *o, const Block *b)
{
    for (int k = 0; k < b->n_id && b->grad_of->n_id == b->n_id; k++) {
        const Block *of = b->grad_of;
        int c = of->id_col[k];
        while (!prog_has(o->p, of) && of->kind == BLK_row && of->col[c].e->op == OP_col) {
            const Expr *e = of->col[c].e;
            of = of->src[e->src].rel;
            c = e->col;
        }
        if (!prog_has(o->p, of))
            continue;
        o->vague[order_node(o, b, b->id_col[k])] = o->vague[order_node(o, of, c)];
        order_link(o, order_node(o, b, b->id_col[k]), order_node(o, of, c), true);
    }
}

static void link_assigned(Orders *o, const Assign *x)
{
    for (int k = 0; k < x->n_cols; k++)
        if (x->target->col[x->to_col[k]].type != T_REAL)
            order_link(o, order_node(o, x->target, x->to_col[k]), order_node(o, x->from, x->from_col[k]), true);
}

static void mark_batch(Orders *o, const Block *b)
{
    for (int c = 0; c < b->n_cols; c++)
        for (int k = 0; k < b->n_batch; k++)
            if (ascii_ieq(b->col[c].name, b->batch_key[k]))
                o->outer[order_node(o, b, c)] = AT_batch;
    for (int k = 0; k < b->n_batch_cols; k++)
        o->outer[order_node(o, b, b->batch_col[k])] = AT_batch;
}

static void gather_marks(Orders *o)
{
    for (int v = 0; v < o->n; v++) {
        const int g = order_root(o->group, v);
        o->mark[g] |= o->mark[v];
        o->digit[g] = o->digit[v] > o->digit[g] ? o->digit[v] : o->digit[g];
        o->outer[g] = o->outer[v] < o->outer[g] ? o->outer[v] : o->outer[g];
        o->slices[g] = o->slices[v] > o->slices[g] ? o->slices[v] : o->slices[g];
    }
    /* r / 2 stands where r does: what is pooled is read in the order in which it stands */
    for (int v = 0; v < o->n; v++) {
        const int g = order_root(o->group, v);
        if (o->quotient[v])
            o->mark[g] |= o->mark[order_root(o->group, o->quotient[v] - 1)];
    }
}

/* ---- averages ---- */

static int64_t own_weight(int mark, int digit, int outer)
{
    return ((int64_t)mark + 8 * (int64_t)digit + 64 * (int64_t)outer) * ((int64_t)1 << 50);
}

static void web_open(Orders *o, Web *w, bool groups)
{
    w->n = o->n;
    w->own = ARENA_ARRAY(o->work, int64_t, o->n + 1);
    w->sum = ARENA_ARRAY(o->work, int64_t, o->n + 1);
    w->next = ARENA_ARRAY(o->work, int64_t, o->n + 1);
    w->ptr = ARENA_ARRAY(o->work, int, o->n + 2);
    w->at = ARENA_ARRAY(o->work, int, 2 * o->n_links + 1);
    for (int pass = 0; pass < 2; pass++) {
        for (int k = 0; k < o->n_links; k++) {
            const int v = groups ? order_root(o->group, o->link[k].from) : o->link[k].from;
            const int x = groups ? order_root(o->group, o->link[k].to) : o->link[k].to;
            if (v == x)
                continue;
            if (pass) {
                w->at[--w->ptr[v]] = x;
                w->at[--w->ptr[x]] = v;
            } else {
                w->ptr[v]++;
                w->ptr[x]++;
            }
        }
        for (int v = 0; !pass && v < o->n; v++)
            w->ptr[v + 1] += w->ptr[v];
    }
}

static void web_settle(Web *w)
{
    memcpy(w->sum, w->own, (size_t)w->n * sizeof *w->sum);
    for (int round = 0; round < ROUNDS; round++) {
        for (int v = 0; v < w->n; v++) {
            int64_t s = 0;
            const int deg = w->ptr[v + 1] - w->ptr[v];
            for (int k = w->ptr[v]; k < w->ptr[v + 1]; k++)
                s += w->sum[w->at[k]] / (2 * deg);
            w->next[v] = w->own[v] + s;
        }
        int64_t *was = w->sum;
        w->sum = w->next;
        w->next = was;
    }
}

/* ---- orders ---- */

/* Which of two columns stands further inside: > 0, the first one does; 0: nothing tells them apart. */
static int compare_keys(Orders *o, const Block *b, int c, int d)
{
    const int v = order_node(o, b, c), w = order_node(o, b, d), g = order_root(o->group, v), h = order_root(o->group, w);

    /* what follows from a row's identity would break the rule by which its rows are numbered */
    if (b->kind == BLK_base && !b->bag && col_is_id(b, c) != col_is_id(b, d))
        return col_is_id(b, c) ? -1 : 1;
    if (o->outer[g] / OUTSIDE != o->outer[h] / OUTSIDE)
        return o->outer[g] > o->outer[h] ? 1 : -1;
    if (o->outer[g] / OUTSIDE && o->slices[g] != o->slices[h])
        return o->slices[g] < o->slices[h] ? 1 : -1;
    if (o->digit[g] != o->digit[h])
        return o->digit[g] > o->digit[h] ? 1 : -1;
    if (o->mark[g] != o->mark[h])
        return o->mark[g] > o->mark[h] ? 1 : -1;
    if (o->groups.sum[g] != o->groups.sum[h])
        return o->groups.sum[g] > o->groups.sum[h] ? 1 : -1;
    return (o->cols.sum[v] > o->cols.sum[w]) - (o->cols.sum[v] < o->cols.sum[w]);
}

static void sort_keys(Orders *o, const Block *b, KeyOrder *out)
{
    out->n = 0;
    for (int c = 0; c < b->n_cols; c++) {
        if (!order_is_key(b, c))
            continue;
        int at = out->n++;
        for (; at > 0 && compare_keys(o, b, out->col[at - 1], c) > 0; at--)
            out->col[at] = out->col[at - 1];
        out->col[at] = c;
    }
    for (int c = 0, at = out->n; c < b->n_cols; c++)
        if (!order_is_key(b, c))
            out->col[at++] = c;
}

/* The second of the first two keys that nothing tells apart; false: there are none. */
static bool find_tie(Orders *o, KeyOrder *order, int *from, int *node)
{
    for (; *from < o->p->n_blocks; ++*from) {
        const Block *b = o->p->block[*from];
        KeyOrder *x = &order[*from];
        sort_keys(o, b, x);
        for (int k = 1; k < x->n; k++)
            if (compare_keys(o, b, x->col[k - 1], x->col[k]) == 0) {
                *node = order_node(o, b, x->col[k]);
                return true;
            }
    }
    return false;
}

static void settle_ties(Orders *o, KeyOrder *order)
{
    int from = 0, node;

    for (int k = 0; k < MOST_TIES && find_tie(o, order, &from, &node); k++) {
        const int g = order_root(o->group, node);
        o->groups.own[g] += TIE >> k;
        o->cols.own[node] += TIE >> k;
        web_settle(&o->groups);
        web_settle(&o->cols);
        from = 0;
    }
}

/* ---- the order of sources ---- */

static uint64_t stir(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    return x * 0xbf58476d1ce4e5b9u;
}

/* What an expression makes of source `src`, however its terms and factors are ordered. */
static uint64_t role_in(const Orders *o, const Block *b, const Expr *e, int src)
{
    uint64_t h = stir((uint64_t)e->op + 1) ^ stir((uint64_t)e->i + 7);
    const bool any_order = e->op == OP_add || e->op == OP_mul || e->op == OP_eq || e->op == OP_same;

    if (e->op == OP_col)
        return stir((uint64_t)o->cols.sum[order_node(o, b->src[e->src].rel, e->col)] + (e->src == src ? 77 : 0) + e->type);
    for (int k = 0; k < e->n_args; k++)
        h += stir(role_in(o, b, e->arg[k], src) + (any_order ? 0 : (uint64_t)k + 1));
    return stir(h);
}

static uint64_t role_of(const Orders *o, const Block *b, int src)
{
    uint64_t h = 0;

    for (int w = 0; w < b->n_where; w++)
        h += stir(role_in(o, b, b->where[w], src));
    for (int s = 0; s < b->n_src; s++)
        for (int k = 0; k < b->src[s].n_on; k++)
            h += stir(role_in(o, b, b->src[s].on[k], src));
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].e)
            h += stir(role_in(o, b, b->col[c].e, src) + 3);
    return h;
}

/* What others are joined to before those, tables before parameters, both in the order of the file; gradients, and a table
 * that is read twice, by what the block does with them. */
static int compare_sources(const Orders *o, const Block *b, const uint64_t *role, int s, int t)
{
    const Block *x = b->src[s].rel, *y = b->src[t].rel;
    const int i = x->id < o->first_grad ? x->id : o->first_grad, j = y->id < o->first_grad ? y->id : o->first_grad;

    if (b->src[s].join != b->src[t].join)
        return b->src[s].join == JOIN_left ? 1 : -1;
    if (x->is_param != y->is_param)
        return x->is_param ? 1 : -1;
    if (i != j)
        return i > j ? 1 : -1;
    return (role[s] > role[t]) - (role[s] < role[t]);
}

static void sort_sources(const Orders *o, const Block *b, KeyOrder *out)
{
    uint64_t *role = ARENA_ARRAY(o->work, uint64_t, b->n_src + 1);

    for (int s = 0; s < b->n_src; s++)
        role[s] = b->kind == BLK_union ? 0 : role_of(o, b, s);
    for (int s = 0; s < b->n_src; s++) {
        int at = s;
        for (; at > 0 && b->kind != BLK_union && compare_sources(o, b, role, out->src[at - 1], s) > 0; at--)
            out->src[at] = out->src[at - 1];
        out->src[at] = s;
    }
}

/* PARTITION BY: as the columns of the result that are the same. */
static int part_rank(const Block *b, const KeyOrder *x, int k)
{
    for (int i = 0; i < x->n; i++)
        if (ex_equal(b->col[x->col[i]].e, b->part_key[k]))
            return i;
    return x->n;
}

static void sort_parts(const Block *b, KeyOrder *out)
{
    for (int k = 0; k < b->n_part; k++) {
        int at = k;
        for (; at > 0 && part_rank(b, out, out->part[at - 1]) > part_rank(b, out, k); at--)
            out->part[at] = out->part[at - 1];
        out->part[at] = k;
    }
}

/* ---- */

static void orders_open(Orders *o)
{
    const Prog *p = o->p;

    o->first = ARENA_ARRAY(o->work, int, p->n_blocks + 1);
    o->first_grad = p->n_blocks;
    for (int k = 0; k < p->n_blocks; k++) {
        o->first[k] = o->n;
        o->n += p->block[k]->n_cols;
        if (p->block[k]->grad_of && k < o->first_grad)
            o->first_grad = k;
    }
    o->group = ARENA_ARRAY(o->work, int, o->n + 1);
    for (int v = 0; v < o->n; v++)
        o->group[v] = v;
    o->mark = ARENA_ARRAY(o->work, int, o->n + 1);
    o->digit = ARENA_ARRAY(o->work, int, o->n + 1);
    o->outer = ARENA_ARRAY(o->work, int, o->n + 1);
    o->slices = ARENA_ARRAY(o->work, int, o->n + 1);
    o->quotient = ARENA_ARRAY(o->work, int, o->n + 1);
    o->lit = ARENA_ARRAY(o->work, int64_t *, o->n + 1);
    o->vague = ARENA_ARRAY(o->work, bool, o->n + 1);
}

static void weigh_nodes(Orders *o)
{
    web_open(o, &o->cols, false);
    for (int v = 0; v < o->n; v++)
        o->cols.own[v] = own_weight(o->mark[v], o->digit[v], o->outer[v]);
    gather_marks(o);
    web_open(o, &o->groups, true);
    for (int v = 0; v < o->n; v++)
        o->groups.own[v] = own_weight(o->mark[v], o->digit[v], o->outer[v]);
    web_settle(&o->cols);
    web_settle(&o->groups);
}

KeyOrder *prog_orders(const Prog *p, Arena *a)
{
    Arena work = { 0 };
    Orders o = { .p = p, .a = a, .work = &work };
    KeyOrder *order = ARENA_ARRAY(a, KeyOrder, p->n_blocks + 1);

    orders_open(&o);
    for (int k = 0; k < p->n_blocks; k++) {
        const Block *b = p->block[k];
        mark_batch(&o, b);
        order_see_block(&o, b);
        if (b->grad_of)
            link_gradient(&o, b);
        order[k].col = ARENA_ARRAY(a, int, b->n_cols + 1);
        order[k].src = ARENA_ARRAY(a, int, b->n_src + 1);
        order[k].part = ARENA_ARRAY(a, int, b->n_part + 1);
    }
    for (int k = 0; k < p->n_assigns; k++)
        link_assigned(&o, &p->assign[k]);
    weigh_nodes(&o);
    settle_ties(&o, order);
    for (int k = 0; k < p->n_blocks; k++) {
        sort_keys(&o, p->block[k], &order[k]);
        sort_sources(&o, p->block[k], &order[k]);
        sort_parts(p->block[k], &order[k]);
    }
    arena_free(&work);
    return order;
}
