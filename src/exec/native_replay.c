/* SPDX-License-Identifier: Apache-2.0
 *
 * native_replay.c - a step that does what the step before did, without asking what is to be done.
 *
 * A program with loops in it has thousands of small relations, and to find for each that its rows are as they were and
 * that its numbers moved takes longer than the numbers.  When a run asks for the same tables as the run before and
 * nothing was settled anew, what the nests were called with is written down, in order: from then on a step is a walk over
 * that record.  Relations whose arrays may go or come (lists, lanes, rows that values choose, large buffers that are
 * lent out) are evaluated as ever, at their place in the order; if the arrays that nests read of them are not
 * where they were, the record is thrown away and the run begun anew. */
#include "exec/native_nest.h"

#include <string.h>

#define MOST_FORGOTTEN 4                /* records; then steps are not alike, and no more are made */
#define ITEMS_AT_ONCE  64               /* between two looks at whether to stop */

typedef enum ItemKind { IT_code, IT_copy, IT_news, IT_rel } ItemKind;

typedef struct Item {
    ItemKind kind;
    NestFn *fn; void **p;               /* IT_code; IT_copy: p[1] to p[0]; IT_rel: where its columns are, if nests read them */
    int64_t from, to, step;             /* IT_code: iterations of the split loop; IT_copy: bytes */
    Rel *rel;                           /* IT_news: its numbers are new, and someone asks; IT_rel: evaluate it */
    uint64_t rows;                      /* IT_rel: the version of its rows */
} Item;

struct Replay {
    Arena arena;
    bool on;
    Block **target; int n_targets;      /* of the last run … */
    uint64_t plans, wants;              /* … and what was settled and left out then */
    bool limited;
    Item *item; int n_items;
    Rel **direct; int n_direct;         /* those that items of code stand for */
    Rel **lent; int *readers; int n_lent;
    int n_forgotten;
};

/* ---- what can be written down ---- */

/* May its buffers be released when they were read?  Those it gets next time may be twice as large as its numbers. */
static bool may_be_lent(const Native *n, const Rel *r)
{
    size_t bytes = 0;

    for (int c = 0; c < r->lay.n_cols; c++) {
        const size_t next = r->lay.col[c].kind == CK_val ? 2 * lay_size(&r->lay) * n->esz : 0;
        bytes += next > r->lay.col[c].val_mem.cap ? next : r->lay.col[c].val_mem.cap;
    }
    return r->b->kind != BLK_base && !r->kept && r->life == LIFE_step && !r->lay.masked && bytes >= LEAST_RELEASED;
}

static bool source_stays(const Native *n, const Rel *r, const NestSource *from, const NestBuf *b)
{
    const Rel *src = r->src[from->src];

    return from->col >= 0 && !b->lanes && !src->lay.col[from->col].blk_only && src->lay.col[from->col].val &&
           !(src->plan.nest && src->plan.nest->low.nest.lanes) && !may_be_lent(n, src);
}

/* Threads share its iterations: not worth sparing any of what is done around them. */
static bool is_shared(const Native *n, const Rel *r)
{
    if (!r->plan.nest->low.nest.copies)
        nest_steps(n, r->plan.nest);
    return r->plan.nest->shared;
}

static bool runs_alone(const Native *n, const Rel *r)
{
    const NestPlan *np = r->plan.nest;

    if (!np || np->low.nest.lanes || r->plan.laned || r->life != LIFE_step || !r->plan.settled || !r->plan.computed)
        return false;
    if (np->low.out.winner || np->low.out.n_conds || np->low.out.gaps || may_be_lent(n, r) || is_shared(n, r))
        return false;
    for (int k = 0; k < np->low.nest.n_bufs; k++)
        if (np->low.from[k].src >= 0 ? !source_stays(n, r, &np->low.from[k], &np->low.nest.buf[k])
                                     : np->low.from[k].col < 0 || np->low.nest.buf[k].lanes)
            return false;
    return true;
}

/* ---- writing it down ---- */

static Item *new_item(struct Replay *y, ItemKind kind)
{
    VEC_PUSH(&y->arena, y->item, y->n_items, ((Item){ .kind = kind }));
    return &y->item[y->n_items - 1];
}

static void write_copies(Native *n, struct Replay *y, const NestPlan *np)
{
    for (int k = 0; k < np->low.nest.n_stores; k++) {
        Item *i = new_item(y, IT_copy);
        i->p = ARENA_ARRAY(&y->arena, void *, 2);
        i->to = (int64_t)nest_copy(n, np, k, &i->p[0], &i->p[1]);
    }
}

static void write_code(struct Replay *y, const NestPlan *np, int64_t from, int64_t to, int64_t step)
{
    const size_t bytes = (size_t)np->low.nest.n_bufs * sizeof(void *);
    Item *i = new_item(y, IT_code);

    *i = (Item){ .kind = IT_code, .fn = np->fn, .p = arena_alloc(&y->arena, bytes), .from = from, .to = to, .step = step };
    memcpy(i->p, np->p, bytes);
}

static void write_direct(Native *n, struct Replay *y, Rel *r, bool news)
{
    const NestPlan *np = r->plan.nest;
    const uint32_t *run = want_parts(n, r);

    if (np->low.nest.copies) {
        write_copies(n, y, np);
    } else if (run) {
        for (int k = 0; k < r->n_parts; k += 2)
            write_code(y, np, run[k], run[k + 1], (int64_t)run[k + 1] - run[k]);
    } else {
        write_code(y, np, 0, np->count, np->step);
    }
    if (news)
        new_item(y, IT_news)->rel = r;
    VEC_PUSH(&y->arena, y->direct, y->n_direct, r);
}

static void write_rel(struct Replay *y, Rel *r, bool watched)
{
    Item *i = new_item(y, IT_rel);

    i->rel = r;
    i->rows = r->lay.rows_ver;
    if (!watched)
        return;
    i->p = ARENA_ARRAY(&y->arena, void *, r->lay.n_cols + 1);
    for (int c = 0; c < r->lay.n_cols; c++)
        i->p[c] = r->lay.col[c].val;
}

static void write_lent(Native *n, struct Replay *y)
{
    native_count_readers(n);
    for (int k = 0; k < n->n_rels; k++) {
        Rel *r = &n->rel[k];
        int at = y->n_lent;
        if (!r->needed || !(may_be_lent(n, r) || rel_can_lend(r)))
            continue;
        VEC_PUSH(&y->arena, y->readers, at, r->readers_left);
        VEC_PUSH(&y->arena, y->lent, y->n_lent, r);
    }
}

static void write_down(Native *n, struct Replay *y)
{
    bool *direct = ARENA_ARRAY(&n->scratch, bool, n->n_rels + 1);
    bool *read[2] = { ARENA_ARRAY(&n->scratch, bool, n->n_rels + 1), ARENA_ARRAY(&n->scratch, bool, n->n_rels + 1) };

    for (int k = 0; k < n->n_rels; k++) {
        const Rel *r = &n->rel[k];
        direct[k] = r->needed && runs_alone(n, r);
        for (int s = 0; r->needed && s < r->b->n_src; s++)
            read[direct[k]][r->src[s]->id] = true;
    }
    for (int k = 0; k < n->n_rels; k++)
        if (direct[k])
            write_direct(n, y, &n->rel[k], read[false][k] || n->rel[k].kept);
        else if (n->rel[k].needed)
            write_rel(y, &n->rel[k], read[true][k]);
    write_lent(n, y);
    y->on = y->n_direct > 0;
}

/* ---- the record ---- */

static bool asks_the_same(const struct Replay *y, Block *const *target, int n_targets)
{
    return y->n_targets == n_targets && y->target && !memcmp(y->target, target, (size_t)n_targets * sizeof(Block *));
}

void replay_forget(Native *n)
{
    struct Replay *y = n->replay;

    if (!y)
        return;
    for (int k = 0; y->on && k < y->n_direct; k++)
        y->direct[k]->plan.computed = false;
    const int forgotten = y->n_forgotten + y->on;
    arena_free(&y->arena);
    *y = (struct Replay){ .n_forgotten = forgotten };
}

void replay_learn(Native *n, Block *const *target, int n_targets)
{
    struct Replay *y = n->replay = n->replay ? n->replay : ARENA_NEW(&n->arena, struct Replay);
    const bool same = asks_the_same(y, target, n_targets) && y->plans == n->n_plans && y->wants == n->wants_ver &&
                      y->limited == n->limited;

    if (same && y->on)
        return;
    if (same && !n->trying) {
        write_down(n, y);
        return;
    }
    replay_forget(n);
    if (n->have_batch || n->trace || n->trying || y->n_forgotten >= MOST_FORGOTTEN)
        return;
    y->target = ARENA_ARRAY(&y->arena, Block *, n_targets + 1);
    memcpy(y->target, target, (size_t)n_targets * sizeof *target);
    y->n_targets = n_targets;
    y->plans = n->n_plans;
    y->wants = n->wants_ver;
    y->limited = n->limited;
}

void replay_close(Native *n)
{
    if (n->replay)
        arena_free(&n->replay->arena);
}

/* ---- a step ---- */

static void new_numbers(Native *n, Rel *r)
{
    r->lay.val_ver = ++n->clock;
    for (int c = 0; c < r->lay.n_cols; c++)
        r->lay.col[c].unscanned |= r->lay.col[c].kind == CK_val;
}

static bool is_where_it_was(const Item *i)
{
    const Lay *y = &i->rel->lay;
    bool same = !i->p || i->rows == y->rows_ver;

    for (int c = 0; i->p && c < y->n_cols; c++)
        same = same && i->p[c] == y->col[c].val;
    return same;
}

/* *ok false: it is not as it was. */
static bool run_item(Native *n, const Item *i, bool *ok)
{
    switch (i->kind) {
    case IT_code:
        for (int64_t b = i->from; b < i->to; b += i->step)
            i->fn(i->p, b, b + i->step < i->to ? b + i->step : i->to, 1, 0);
        return true;
    case IT_copy: memcpy(i->p[0], i->p[1], (size_t)i->to); return true;
    case IT_news: new_numbers(n, i->rel); return true;
    case IT_rel:
        if (!native_evaluate(n, i->rel))
            return false;
        *ok = n->replay->plans == n->n_plans && is_where_it_was(i);
        return true;
    }
    BUG("replay: item %d", (int)i->kind);
}

bool replay_run(Native *n, Block *const *target, int n_targets, bool *done)
{
    struct Replay *y = n->replay;

    *done = false;
    if (!y || !y->on || n->have_batch || n->keep_all || !asks_the_same(y, target, n_targets))
        return true;
    for (int k = 0; k < y->n_lent; k++)
        y->lent[k]->readers_left = y->lent[k]->readers_ahead = y->readers[k];
    *done = true;
    for (int k = 0; *done && k < y->n_items; k++)
        if ((k % ITEMS_AT_ONCE == 0 && native_stopped(n)) || !run_item(n, &y->item[k], done))
            return false;
    if (!*done)
        replay_forget(n);
    return !*done || nest_flush(n);
}
