/* SPDX-License-Identifier: Apache-2.0
 *
 * cse.c - a block that computes what an earlier one computes is replaced by it.
 *   needs   sources are earlier blocks
 *   keeps   the user's blocks (only generated ones are replaced)
 *   leaves  the replaced blocks behind; prune removes them */
#include "pass/pass.h"

#include <string.h>

static bool exprs_equal(Expr *const *x, Expr *const *y, int n)
{
    for (int k = 0; k < n; k++)
        if ((x[k] == NULL) != (y[k] == NULL) || (x[k] && !ex_equal(x[k], y[k])))
            return false;
    return true;
}

static bool sources_equal(const Block *x, const Block *y)
{
    if (x->n_src != y->n_src)
        return false;
    for (int s = 0; s < x->n_src; s++) {
        const Source *u = &x->src[s], *v = &y->src[s];
        if (u->rel != v->rel || u->join != v->join || u->n_on != v->n_on || !exprs_equal(u->on, v->on, u->n_on))
            return false;
    }
    return true;
}

static bool columns_equal(const Block *x, const Block *y)
{
    if (x->n_cols != y->n_cols || x->n_keys != y->n_keys)
        return false;
    for (int c = 0; c < x->n_cols; c++)
        if (x->col[c].agg != y->col[c].agg || !exprs_equal(&x->col[c].e, &y->col[c].e, 1) ||
            strcmp(x->col[c].name, y->col[c].name))
            return false;
    return true;
}

static bool orders_equal(const Block *x, const Block *y)
{
    if (x->limit != y->limit || x->n_order != y->n_order || x->n_part != y->n_part)
        return false;
    for (int o = 0; o < x->n_order; o++)
        if (x->order[o].desc != y->order[o].desc || !ex_equal(x->order[o].e, y->order[o].e))
            return false;
    return exprs_equal(x->part_key, y->part_key, x->n_part);
}

static bool blocks_equal(const Block *x, const Block *y)
{
    if (x->kind != y->kind || x->kind == BLK_base || x->kind == BLK_union || x->mode != y->mode)
        return false;
    if (x->is_detached != y->is_detached || x->n_where != y->n_where)
        return false;
    return sources_equal(x, y) && exprs_equal(x->where, y->where, x->n_where) && columns_equal(x, y) &&
           orders_equal(x, y);
}

/* ---- finding them: there may be as many blocks as steps of a loop ---- */

static uint64_t mixed(uint64_t h, uint64_t x)
{
    return hash_u64(31 * h + x);
}

static uint64_t expr_mixed(uint64_t h, const Expr *e)
{
    h = mixed(mixed(h, e->op), e->op == OP_col ? (uint64_t)e->src << 32 | (uint64_t)e->col : (uint64_t)e->i);
    for (int k = 0; k < e->n_args; k++)
        h = expr_mixed(h, e->arg[k]);
    return h;
}

/* Equal for equal blocks. */
static uint64_t block_mixed(const Block *b)
{
    uint64_t h = mixed((uint64_t)b->kind, (uint64_t)b->n_where);

    for (int s = 0; s < b->n_src; s++)
        h = mixed(h, (uint64_t)b->src[s].rel->id);
    for (int w = 0; w < b->n_where; w++)
        h = expr_mixed(h, b->where[w]);
    for (int c = 0; c < b->n_cols; c++)
        h = b->col[c].e ? expr_mixed(h, b->col[c].e) : mixed(h, (uint64_t)b->col[c].agg);
    return h;
}

/* Blocks by what they mix to: head[slot] and then next[block] are 1 + a block's id, the latest first. */
typedef struct Found { uint64_t *of; int *head, *next; size_t mask; } Found;

static Block *equal_before(const Prog *p, const Found *f, const Block *b)
{
    Block *first = NULL;

    for (int k = f->head[f->of[b->id] & f->mask]; k; k = f->next[k - 1])
        if (f->of[k - 1] == f->of[b->id] && blocks_equal(p->block[k - 1], b))
            first = p->block[k - 1];
    return first;
}

void pass_cse(Prog *p)
{
    Arena a = { 0 };
    Found f = { ARENA_ARRAY(&a, uint64_t, p->n_blocks + 1), NULL, ARENA_ARRAY(&a, int, p->n_blocks + 1), 15 };
    Block **now = ARENA_ARRAY(&a, Block *, p->n_blocks + 1);

    while (f.mask < (size_t)p->n_blocks)
        f.mask = 2 * f.mask + 1;
    f.head = ARENA_ARRAY(&a, int, f.mask + 1);
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        for (int s = 0; s < b->n_src; s++)
            b->src[s].rel = now[b->src[s].rel->id];
        f.of[k] = block_mixed(b);
        now[k] = b->user ? NULL : equal_before(p, &f, b);
        now[k] = now[k] ? now[k] : b;
        f.next[k] = f.head[f.of[k] & f.mask];
        f.head[f.of[k] & f.mask] = k + 1;
    }
    arena_free(&a);
}
