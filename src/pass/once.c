/* SPDX-License-Identifier: Apache-2.0
 *
 * once.c - a block marked @once is computed over the whole data: what it reads of batched tables is
 * computed beside the batched blocks, from unrestricted twins.
 *   needs   prog_analyse
 *   keeps   every block but the sources of @once blocks
 *   leaves  twins of batched blocks that @once blocks read, none of them batched */
#include "pass/pass.h"

#include <string.h>

/* b's unrestricted twin; its sources' twins are made first. */
static Block *whole(Prog *p, Block *b, Block **twin)
{
    Arena *a = &p->c->arena;

    if (!b->batched)
        return b;
    if (twin[b->id])
        return twin[b->id];
    const int id = b->id;
    Source *src = ARENA_VEC(a, Source, b->n_src);
    for (int s = 0; s < b->n_src; s++) {
        src[s] = b->src[s];
        src[s].rel = whole(p, b->src[s].rel, twin);
    }
    Block *t = blk_new(p, b->kind, prog_unique_name(p, arena_printf(a, "all_%s", b->name)));
    const char *name = t->name;
    *t = *b;
    t->name = name;
    t->src = src;
    t->col = ARENA_VEC(a, Col, b->n_cols);          /* passes change and add to both */
    t->where = ARENA_VEC(a, Expr *, b->n_where);
    memcpy(t->col, b->col, (size_t)b->n_cols * sizeof *t->col);
    for (int w = 0; w < b->n_where; w++)
        t->where[w] = b->where[w];
    t->id = p->n_blocks - 1;
    t->user = t->is_data = t->batch_rows = t->is_loss = t->is_metric = false;
    t->n_batch = 0;
    return twin[id] = t;
}

static void read_whole(Prog *p, Block *b)
{
    const int from = p->n_blocks;

    for (int k = 0; k < from; k++)
        p->block[k]->id = k;
    Block **twin = ARENA_ARRAY(&p->c->arena, Block *, from + 1), **made = NULL;
    int n = 0;
    for (int s = 0; s < b->n_src; s++)
        b->src[s].rel = whole(p, b->src[s].rel, twin);
    for (int k = from; k < p->n_blocks; k++)
        VEC_PUSH(&p->c->arena, made, n, p->block[k]);
    for (int k = 0; k < n; k++)
        prog_move_before(p, made[k], b);
    prog_analyse(p);
}

void pass_once(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->is_once && p->block[k]->batched) {
            Block *b = p->block[k];
            read_whole(p, b);
            k = b->id;
        }
}
