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

static void replace_all(Prog *p, const Block *old, Block *now)
{
    for (int k = now->id + 1; k < p->n_blocks; k++)
        for (int s = 0; s < p->block[k]->n_src; s++)
            if (p->block[k]->src[s].rel == old)
                p->block[k]->src[s].rel = now;
}

void pass_cse(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        for (int i = 0; i < k && !p->block[k]->user; i++)
            if (blocks_equal(p->block[i], p->block[k])) {
                replace_all(p, p->block[k], p->block[i]);
                break;
            }
}
