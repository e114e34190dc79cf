/* SPDX-License-Identifier: Apache-2.0
 *
 * later.c - a slice of a relation stands right before the one block that reads it.  The steps of a loop walked backwards
 * take a slice each of a gradient that was there before the first of them: cut out all at once they would have left the
 * cache when their turn comes.  For speed only, and for hosts that evaluate blocks in their order.
 *   needs   sources are earlier blocks
 *   keeps   every relation
 *   leaves  p->block in another order, ids renumbered */
#include "pass/pass.h"

#define LEAST_SLICES 3                  /* of one relation, whose life then gets longer in place of theirs */

typedef struct Later { Prog *p; int *readers, *slices; bool *waits; Block **out; int n; } Later;

static bool is_slice(const Block *b)
{
    return b->kind == BLK_row && !b->user && b->n_src == 1 && b->src[0].rel->kind != BLK_base && b->n_where > 0;
}

static void count(Later *l)
{
    for (int k = 0; k < l->p->n_blocks; k++) {
        const Block *b = l->p->block[k];
        for (int s = 0; s < b->n_src; s++)
            l->readers[b->src[s].rel->id]++;
        if (is_slice(b))
            l->slices[b->src[0].rel->id]++;
    }
}

static void stand_here(Later *l, Block *b)
{
    for (int s = 0; s < b->n_src; s++) {
        Block *r = b->src[s].rel;
        if (l->waits[r->id]) {
            l->waits[r->id] = false;
            stand_here(l, r);
        }
    }
    l->out[l->n++] = b;
}

void pass_later(Prog *p, Block *const *keep, int n_keep)
{
    Arena a = { 0 };
    Later l = { p, ARENA_ARRAY(&a, int, p->n_blocks + 1), ARENA_ARRAY(&a, int, p->n_blocks + 1),
                ARENA_ARRAY(&a, bool, p->n_blocks + 1), ARENA_ARRAY(&a, Block *, p->n_blocks + 1), 0 };

    count(&l);
    for (int k = 0; k < n_keep; k++)
        l.readers[keep[k]->id]++;
    for (int k = 0; k < p->n_assigns; k++)
        l.readers[p->assign[k].from->id]++;
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        l.waits[k] = is_slice(b) && l.readers[k] == 1 && l.slices[b->src[0].rel->id] >= LEAST_SLICES;
        if (!l.waits[k])
            stand_here(&l, b);
    }
    prog_set_blocks(p, l.out, l.n);
    arena_free(&a);
}
