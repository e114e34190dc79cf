/* SPDX-License-Identifier: Apache-2.0
 *
 * split.c - a forward program in two, so that a pass over many batch keys goes in chunks: what carries
 * the batch key is computed chunk by chunk, the rest once over the concatenation.  What aggregates over the batch is
 * aggregated for each batch key first, and only that crosses: a row in place of all it was made from.
 *   needs   prog_analyse (batched, batch_local)
 *   keeps   every value: a batch-local block sees all rows of its keys in one chunk
 *   leaves  two programs that share block structures but for the crossing relations' twins */
#include "pass/pass.h"

/* Local: carries the batch key itself, and so does every batched block behind it. */
static bool is_local(const Block *b, const bool *local)
{
    if (!b->batch_local || b->is_once)
        return false;
    for (int s = 0; s < b->n_src; s++)
        if (b->src[s].rel->batched && !local[b->src[s].rel->id])
            return false;
    return true;
}

static Prog *empty_like(const Prog *p)
{
    Prog *q = ARENA_NEW(&p->c->arena, Prog);

    *q = (Prog){ .c = p->c, .path = p->path };
    return q;
}

static void add_block(Prog *q, Block *b)
{
    VEC_PUSH(&q->c->arena, q->block, q->n_blocks, b);
}

/* The twin of a crossing relation: a driver table with its columns, identity and nothing else. */
static Block *twin(const Prog *p, const Block *b)
{
    Block *t = ARENA_NEW(&p->c->arena, Block);

    *t = (Block){ .kind = BLK_base, .role = BASE_driver, .name = b->name, .at = b->at, .name_at = b->name_at,
                  .id_col = b->id_col, .n_id = b->n_id, .one_row = b->one_row, .limit = 1,
                  .user = b->user };
    for (int c = 0; c < b->n_cols; c++) {
        const Col k = b->col[c];
        const Col plain = { .name = k.name, .at = k.at, .type = k.type, .nullable = k.nullable, .hidden = k.hidden };
        VEC_PUSH(&p->c->arena, t->col, t->n_cols, plain);
    }
    return t;
}

static Block *global_copy(const Prog *p, const Block *b, Block *const *now)
{
    Block *g = ARENA_NEW(&p->c->arena, Block);

    *g = *b;
    g->src = ARENA_VEC(&p->c->arena, Source, b->n_src);
    for (int s = 0; s < b->n_src; s++) {
        g->src[s] = b->src[s];
        g->src[s].rel = now[b->src[s].rel->id];
    }
    return g;
}

/* ---- aggregates in two steps ---- */

static Block *blank(const Prog *p, BlockKind kind, const char *name, const Block *as)
{
    Block *b = ARENA_NEW(&p->c->arena, Block);

    *b = (Block){ .kind = kind, .name = name, .at = as->at, .name_at = as->name_at, .mode = as->mode, .limit = 1 };
    return b;
}

/* The first source that is batched, if all of them carry the batch key themselves; -1. */
static int batched_source(const Block *b, const bool *local)
{
    int first = -1;

    for (int s = b->n_src - 1; s >= 0; s--) {
        if (b->src[s].join != JOIN_inner || (b->src[s].rel->batched && !local[b->src[s].rel->id]))
            return -1;
        first = b->src[s].rel->batched ? s : first;
    }
    return first;
}

/* What b aggregates, for each batch key: b's keys, the batch key, b's aggregates.  NULL: that is not local. */
static Block *first_step(Prog *p, const Block *b, const bool *local)
{
    Arena *a = &p->c->arena;
    const int from = b->kind == BLK_reduce && !b->is_once ? batched_source(b, local) : -1;

    if (from < 0)
        return NULL;
    Block *q = blank(p, BLK_reduce, prog_unique_name(p, "split"), b);
    q->src = b->src;
    q->n_src = b->n_src;
    q->where = b->where;
    q->n_where = b->n_where;
    for (int c = 0; c < b->n_keys; c++)
        blk_add_col(p, q, NULL, b->col[c].e, AGG_none);
    for (int j = 0; j < b->src[from].rel->n_batch_cols; j++)
        blk_add_col(p, q, NULL, ex_col(a, q, from, b->src[from].rel->batch_col[j]), AGG_none);
    q->n_keys = q->n_cols;
    for (int c = b->n_keys; c < b->n_cols; c++)
        blk_add_col(p, q, NULL, b->col[c].e, b->col[c].agg);
    prog_analyse_one(p, q);
    return q->batched && q->batch_local ? q : NULL;
}

/* b over its first step, which has n_keys keys: aggregates of the aggregates.  A count is a sum of counts, and 0 where
 * there are none. */
static Block *second_step(Prog *p, const Block *b, Block *first, int n_keys, Prog *out)
{
    Arena *a = &p->c->arena;
    Block *g = blank(p, BLK_reduce, prog_unique_name(p, "split"), b), *r = blank(p, BLK_row, b->name, b);

    blk_add_source(p, g, first, JOIN_inner, NULL);
    for (int c = 0; c < b->n_cols; c++)
        blk_add_col(p, g, NULL, ex_col(a, g, 0, c < b->n_keys ? c : n_keys + c - b->n_keys),
                    b->col[c].agg == AGG_count ? AGG_sum : b->col[c].agg);
    g->n_keys = b->n_keys;
    prog_analyse_one(p, g);
    add_block(out, g);
    r->user = b->user;
    r->is_loss = b->is_loss;
    r->is_metric = b->is_metric;
    blk_add_source(p, r, g, JOIN_inner, NULL);
    for (int c = 0; c < b->n_cols; c++) {
        Expr *e = ex_col(a, r, 0, c);
        blk_add_col(p, r, b->col[c].name, b->col[c].agg == AGG_count ? ex2(a, OP_coalesce, e, ex_int(a, 0)) : e, AGG_none);
        r->col[c].hidden = b->col[c].hidden;
    }
    return r;
}

static bool read_globally(const Prog *p, const Block *b, const bool *needed, const bool *local, Block *const *step)
{
    for (int k = 0; k < p->n_blocks; k++)
        for (int s = 0; needed[k] && !local[k] && !step[k] && s < p->block[k]->n_src; s++)
            if (p->block[k]->src[s].rel == b)
                return true;
    return false;
}

Split pass_split(Prog *p, Block *const *target, int n)
{
    Arena *a = &p->c->arena;
    bool *needed = ARENA_ARRAY(a, bool, p->n_blocks + 1), *local = ARENA_ARRAY(a, bool, p->n_blocks + 1);
    Block **now = ARENA_ARRAY(a, Block *, p->n_blocks + 1), **step = ARENA_ARRAY(a, Block *, p->n_blocks + 1);
    Split s = { empty_like(p), empty_like(p), NULL, 0 };

    for (int k = 0; k < n; k++)
        blk_mark(needed, target[k]);
    for (int k = 0; k < p->n_blocks; k++)
        local[k] = is_local(p->block[k], local);
    for (int k = 0; k < p->n_blocks; k++)
        step[k] = needed[k] && !local[k] ? first_step(p, p->block[k], local) : NULL;
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        bool crosses = false;
        if (!needed[k])
            continue;
        for (int t = 0; t < n; t++)
            crosses |= target[t] == b;
        if (local[k] || !b->batched)
            add_block(s.local, b);
        if (local[k] && (crosses || read_globally(p, b, needed, local, step))) {
            VEC_PUSH(a, s.cross, s.n_cross, b);
            add_block(s.global, now[k] = twin(p, b));
        } else if (step[k]) {
            Block *t = twin(p, step[k]);
            add_block(s.local, step[k]);
            VEC_PUSH(a, s.cross, s.n_cross, step[k]);
            add_block(s.global, t);
            add_block(s.global, now[k] = second_step(p, b, t, step[k]->n_keys, s.global));
        } else if (!local[k]) {
            add_block(s.global, now[k] = global_copy(p, b, now));
        }
    }
    for (int k = 0; k < s.local->n_blocks; k++)
        s.local->block[k]->id = k;
    for (int k = 0; k < s.global->n_blocks; k++)
        s.global->block[k]->id = k;
    prog_analyse(s.global);
    return s;
}
