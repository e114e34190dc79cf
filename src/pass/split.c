/* SPDX-License-Identifier: Apache-2.0
 *
 * split.c - a forward program in two, so that a pass over many batch keys goes in chunks: what carries
 * the batch key is computed chunk by chunk, the rest once over the concatenation.
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
                  .id_col = b->id_col, .n_id = b->n_id, .one_row = b->one_row, .grad_of = -1, .limit = 1,
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
    g->src = ARENA_ARRAY(&p->c->arena, Source, b->n_src + 1);
    for (int s = 0; s < b->n_src; s++) {
        g->src[s] = b->src[s];
        g->src[s].rel = now[b->src[s].rel->id];
    }
    return g;
}

static bool read_globally(const Prog *p, const Block *b, const bool *needed, const bool *local)
{
    for (int k = 0; k < p->n_blocks; k++)
        for (int s = 0; needed[k] && !local[k] && s < p->block[k]->n_src; s++)
            if (p->block[k]->src[s].rel == b)
                return true;
    return false;
}

Split pass_split(Prog *p, Block *const *target, int n)
{
    Arena *a = &p->c->arena;
    bool *needed = ARENA_ARRAY(a, bool, p->n_blocks + 1), *local = ARENA_ARRAY(a, bool, p->n_blocks + 1);
    Block **now = ARENA_ARRAY(a, Block *, p->n_blocks + 1);
    Split s = { empty_like(p), empty_like(p), NULL, 0 };

    for (int k = 0; k < n; k++)
        blk_mark(needed, target[k]);
    for (int k = 0; k < p->n_blocks; k++)
        local[k] = is_local(p->block[k], local);
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        bool crosses = false;
        if (!needed[k])
            continue;
        for (int t = 0; t < n; t++)
            crosses |= target[t] == b;
        if (local[k] || !b->batched)
            add_block(s.local, b);
        if (local[k] && (crosses || read_globally(p, b, needed, local))) {
            VEC_PUSH(a, s.cross, s.n_cross, b);
            add_block(s.global, now[k] = twin(p, b));
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
