/* SPDX-License-Identifier: Apache-2.0
 *
 * prune.c - drop blocks that nothing asked for needs.
 *   needs   nothing
 *   keeps   `keep`, the assignments' blocks, and all they read
 *   leaves  p->block without the others, ids renumbered */
#include "pass/pass.h"

/* Objectives and what they name, without blocks that are gone: only a training program keeps them whole. */
static void drop_objectives(Prog *p, const bool *needed)
{
    Arena *a = &p->c->arena;
    Objective *left = NULL;
    int n = 0;

    for (int k = 0; k < p->n_obj; k++) {
        Objective o = p->obj[k];
        o.over = ARENA_ARRAY(a, Block *, o.n_over + 1);
        o.clamp = ARENA_ARRAY(a, Clamp, o.n_over + 1);
        o.n_over = 0;
        for (int i = 0; i < p->obj[k].n_over; i++)
            if (needed[p->obj[k].over[i]->id]) {
                o.over[o.n_over] = p->obj[k].over[i];
                o.clamp[o.n_over++] = p->obj[k].clamp[i];
            }
        if (needed[o.loss->id] && o.n_over)
            VEC_PUSH(a, left, n, o);
    }
    p->obj = left;
    p->n_obj = n;
    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->updates && !needed[p->block[k]->updates->id])
            p->block[k]->updates = NULL;
}

void pass_prune(Prog *p, Block *const *keep, int n_keep)
{
    bool *needed = ARENA_ARRAY(&p->c->arena, bool, p->n_blocks + 1);
    int n = 0;

    for (int k = 0; k < n_keep; k++)
        blk_mark(needed, keep[k]);
    for (int k = 0; k < p->n_assigns; k++) {
        blk_mark(needed, p->assign[k].from);
        blk_mark(needed, p->assign[k].target);
    }
    drop_objectives(p, needed);
    Block **left = ARENA_ARRAY(&p->c->arena, Block *, p->n_blocks + 1);
    for (int k = 0; k < p->n_blocks; k++)
        if (needed[k])
            left[n++] = p->block[k];
    prog_set_blocks(p, left, n);
}
