/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse.c - a generated row block that only renames the columns of one source is read through.
 *   needs   sources are earlier blocks; runs after grad (a detached block must still stop gradients)
 *   keeps   every relation that is read, row for row
 *   leaves  the renaming blocks behind; prune removes them */
#include "pass/pass.h"

#include <string.h>

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

static bool reads_renamed(void *arg, const Expr *e)
{
    return e->op == OP_col && e->src == ((const Through *)arg)->src;
}

static void put_through(void *arg, Expr **e)
{
    if (ex_any(*e, reads_renamed, arg))
        *e = ex_map(((const Through *)arg)->a, *e, read_through, arg);
}

/* Versions of a table that a loop adds to share what their parts say of the columns. */
static void own_columns(Arena *a, const Block *b, Part *part)
{
    Expr **e = ARENA_ARRAY(a, Expr *, b->n_cols + 1);

    memcpy(e, part->e, (size_t)b->n_cols * sizeof *e);
    part->e = e;
}

static void bypass(Prog *p, Block *b, int src)
{
    Through t = { &p->c->arena, b, src, b->src[src].rel };

    for (int i = 0; i < b->n_parts; i++)
        if (b->part[i].src == src)
            own_columns(&p->c->arena, b, &b->part[i]);
    blk_each_expr(b, put_through, &t);
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
