/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse.c - a generated row block that only renames the columns of one source is read through.
 *   needs   sources are earlier blocks; runs after grad (a detached block must still stop gradients)
 *   keeps   every relation that is read, row for row
 *   leaves  the renaming blocks behind; prune removes them */
#include "pass/pass.h"

static bool only_renames(const Block *b)
{
    if (b->user || b->kind != BLK_row || b->n_src != 1 || b->n_where || b->is_once)
        return false;
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].e->op != OP_col)
            return false;
    return true;
}

typedef struct Through { Arena *a; const Block *b; int src; const Block *rename; } Through;

static Expr *read_through(void *arg, const Expr *col)
{
    const Through *t = arg;

    if (col->src != t->src)
        return NULL;
    Expr *e = ARENA_NEW(t->a, Expr);
    *e = *col;
    e->col = t->rename->col[col->col].e->col;
    return e;
}

static void read_all_through(Through *t, Expr **e, int n)
{
    for (int k = 0; k < n; k++)
        if (e[k])
            e[k] = ex_map(t->a, e[k], read_through, t);
}

static void bypass(Prog *p, Block *b, int src)
{
    Through t = { &p->c->arena, b, src, b->src[src].rel };

    read_all_through(&t, b->where, b->n_where);
    read_all_through(&t, b->part_key, b->n_part);
    for (int c = 0; c < b->n_cols; c++)
        read_all_through(&t, &b->col[c].e, 1);
    for (int o = 0; o < b->n_order; o++)
        read_all_through(&t, &b->order[o].e, 1);
    for (int i = 0; i < b->n_parts; i++)
        if (b->part[i].src == src)
            read_all_through(&t, b->part[i].e, b->n_cols);
    for (int s = 0; s < b->n_src; s++)
        read_all_through(&t, b->src[s].on, b->src[s].n_on);
    b->src[src].rel = t.rename->src[0].rel;
}

void pass_fuse(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        for (int s = 0; s < b->n_src; s++)
            while (only_renames(b->src[s].rel))
                bypass(p, b, s);
    }
}
