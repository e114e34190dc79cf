/* SPDX-License-Identifier: Apache-2.0
 *
 * native_sweep.c - nests at work.  Those with lanes wait in a queue, to run one after the other on a part of the lanes
 * at a time, while their numbers are in the cache; the parts go to the threads.  What is summed over the lanes is
 * summed part by part in their order, so that threads do not show in the bits.
 *
 * Numbers with lanes stand in blocks of W lanes here (nest.h), and row by row for everyone else; a column knows which
 * of the two forms is there, and the other is made when it is asked for. */
#include "exec/native_nest.h"

#include <stdlib.h>
#include <string.h>

#define MOST_ALONE 16                   /* parts of a nest without lanes */
#define PART_WORK  2e5                  /* multiply-adds that are worth a part */
#define POOL_WORK  2e6                  /* … that are worth waking other threads */

/* ---- the two forms of a column ---- */

static void to_blocks(Native *n, const char *from, char *to, size_t R, size_t L)
{
    const size_t W = nest_width(n), esz = n->esz;

    for (size_t b = 0; b * W < L; b++) {
        const size_t m = L - b * W < W ? L - b * W : W;
        for (size_t r = 0; r < R; r++) {
            char *at = to + (b * R + r) * W * esz;
            memcpy(at, from + (r * L + b * W) * esz, m * esz);
            if (m < W)
                memset(at + m * esz, 0, (W - m) * esz);
        }
    }
}

static void from_blocks(Native *n, const char *from, char *to, size_t R, size_t L)
{
    const size_t W = nest_width(n), esz = n->esz;

    for (size_t b = 0; b * W < L; b++) {
        const size_t m = L - b * W < W ? L - b * W : W;
        for (size_t r = 0; r < R; r++)
            memcpy(to + (r * L + b * W) * esz, from + (b * R + r) * W * esz, m * esz);
    }
}

static size_t block_bytes(Native *n, const Lay *y, size_t rows)
{
    return rows * nest_blocks(n, y->L) * nest_width(n) * n->esz;
}

bool nest_room(Native *n, const Lay *y, Arr *a)
{
    return arr_need(n, a, block_bytes(n, y, y->R));
}

/* Which rows of a box are there: those that meet its conditions. */
static bool presence_in_box(Native *n, Rel *r)
{
    Lay *y = &r->lay;

    if (!arr_need(n, &y->pres_mem, lay_size(y)))
        return false;
    y->pres = y->pres_mem.p;
    for (size_t row = 0; row < y->R; row++)
        memset(y->pres + row * y->L, regular_meets(&r->plan.nest->low.out, (int64_t)row), y->L);
    y->place_only = false;
    return true;
}

/* Which rows of a pick are there: those whose place the group stored. */
static bool make_presence(Native *n, Rel *r)
{
    const NestPlan *np = r->plan.nest;
    Lay *y = &r->lay;
    const Regular *out = &np->low.out;
    const size_t W = out->lanes ? nest_width(n) : 1;
    const size_t groups = np->low.nest.buf[np->low.nest.n_bufs - 1].rows;

    if (!arr_need(n, &y->pres_mem, lay_size(y)))
        return false;
    y->pres = y->pres_mem.p;
    for (size_t row = 0; row < y->R; row++) {
        int64_t group = out->group.c, place = out->place.c;
        for (int d = 0; d < out->n_dims; d++) {
            const int64_t i = (int64_t)row / out->stride[d] % out->extent[d];
            group += out->group.k[d] * i;
            place += out->place.k[d] * i;
        }
        for (size_t l = 0; l < y->L; l++) {
            const size_t at = ((l / W) * groups + (size_t)group) * W + l % W;
            y->pres[row * y->L + l] = val_get(n, y->place_mem.p, at) == (out->mask ? 1 : (double)place);
        }
    }
    y->place_only = false;
    return true;
}

bool lay_plain(Native *n, Lay *y)
{
    for (int c = 0; c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        if (k->kind != CK_val || !k->blk_only)
            continue;
        if (!arr_need(n, &k->val_mem, lay_size(y) * n->esz))
            return false;
        k->val = k->val_mem.p;
        from_blocks(n, k->blk, k->val, y->R, y->L);
        k->blk_only = false;
        k->val_asked = true;
    }
    if (!y->place_only)
        return true;
    for (int k = 0; k < n->n_rels; k++)
        if (&n->rel[k].lay == y)
            return n->rel[k].plan.nest->low.out.winner ? make_presence(n, &n->rel[k]) : presence_in_box(n, &n->rel[k]);
    return true;
}

bool lay_finite(Native *n, Lay *y, int c)
{
    LCol *k = &y->col[c];

    if (k->kind == CK_val && k->unscanned && lay_plain(n, y)) {
        k->finite = n->k->finite(k->val, lay_size(y));
        k->unscanned = false;
    }
    return k->finite;
}

static bool blocks_of(Native *n, Rel *r, Lay *y, int c, void **out)
{
    LCol *k = &y->col[c];

    if (!k->blk_only && (k->blk_ver != r->lay.val_ver || !k->blk)) {       /* of a view: its original's version */
        if (!nest_flush(n) || !lay_values(n, r, y) || !arr_need(n, &k->blk_mem, block_bytes(n, y, y->R)))
            return false;
        k->blk = k->blk_mem.p;
        to_blocks(n, k->val, k->blk, y->R, y->L);
        k->blk_ver = r->lay.val_ver;
    }
    *out = k->blk;
    return true;
}

/* ---- buffers ---- */

bool lay_numbers(Native *n, Lay *y)
{
    for (int c = 0; c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        const uint64_t ver = k->kind == CK_row ? y->rows_ver : y->val_ver;
        const size_t count = k->kind == CK_row ? y->R : lay_size(y);
        if (!k->as_number || k->num_ver == ver || k->kind == CK_val)
            continue;
        if ((k->kind == CK_row && !lay_keys(n, y)) || !arr_need(n, &k->val_mem, count * n->esz))
            return false;
        k->val = k->val_mem.p;
        for (size_t i = 0; i < count; i++)
            val_set(n, k->val, i, (double)k->key[i]);
        k->num_ver = ver;
    }
    return true;
}

static bool input_buffer(Native *n, Rel *r, const NestSource *from, bool lanes, void **out)
{
    Rel *src = r->src[from->src];
    bool err = false;
    Lay *y = nest_lay(n, r, from->src, r->plan.laned, &err);

    if (err || !y)
        return false;
    if (src->queued && !(lanes && r->plan.nest->low.nest.lanes) && !nest_flush(n))
        return false;
    if (from->col < 0) {
        *out = y->place_mem.p;
        return true;
    }
    if (lanes)
        return blocks_of(n, src, y, from->col, out);
    if (y->col[from->col].kind != CK_val) {
        y->col[from->col].as_number = true;
        *out = NULL;
        return lay_numbers(n, y) && (*out = y->col[from->col].val) != NULL;
    }
    if ((y->is_view || y->col[from->col].blk_only) && (!nest_flush(n) || !lay_values(n, src, y)))
        return false;
    *out = y->col[from->col].val;
    return true;
}

/* ---- blocks that are lent ----
 *
 * A loop's steps leave thousands of small arrays, of which most are read by the next few nests only.  What nobody behind
 * the queue reads gives its place to the next result of that size, while it is in the cache.  The nests in the queue run in
 * order, each part of the lanes by itself: a part's blocks stand at the same place in arrays of one size.  What nests do not
 * write whole (rows that are not there hold 0) neither gives nor takes. */

bool rel_can_lend(const Rel *r)
{
    const NestPlan *np = r->plan.nest;

    return np && np->low.nest.lanes && !np->low.nest.sum_lanes && !np->low.out.winner && !np->low.out.n_conds &&
           !np->low.out.gaps && !r->lay.masked && !r->kept && r->life == LIFE_step;
}

static void lend_blocks(Native *n, Rel *r)
{
    for (int c = 0; c < r->lay.n_cols; c++)
        if (r->lay.col[c].kind == CK_val && !r->lay.col[c].blk_only)
            return;                             /* someone asked for its rows */
    if (n->n_lent + r->lay.n_cols > n->max_spare)
        return;
    for (int c = 0; c < r->lay.n_cols; c++) {
        LCol *k = &r->lay.col[c];
        if (k->kind != CK_val || !k->blk_mem.p)
            continue;
        n->lent[n->n_lent++] = (struct Lent){ k->blk_mem, r->lay.L };
        k->blk_mem = (Arr){ 0 };
        k->blk = NULL;
        k->unscanned = false;
        k->finite = true;
    }
    r->plan.computed = r->evaluated = false;
}

void rel_read(Native *n, Rel *r)
{
    for (int s = 0; s < r->b->n_src; s++)
        if (r->reads[s] && --r->src[s]->readers_ahead == 0 && !n->keep_all && rel_can_lend(r->src[s]))
            lend_blocks(n, r->src[s]);
}

bool blocks_borrow(Native *n, Arr *a, size_t nbytes, size_t L)
{
    for (int k = n->n_lent - 1; k >= 0 && !a->p; k--)
        if (n->lent[k].mem.cap == nbytes && n->lent[k].L == L) {
            *a = n->lent[k].mem;
            n->lent[k] = n->lent[--n->n_lent];
        }
    return arr_need(n, a, nbytes);
}

void blocks_close(Native *n, size_t L)
{
    int m = 0;

    for (int k = 0; k < n->n_lent; k++)
        if (L && n->lent[k].L == L)
            n->lent[m++] = n->lent[k];
        else
            arr_drop(n, &n->lent[k].mem);
    n->n_lent = m;
}

/* Where the result goes: blocks of lanes, or rows. */
static bool output_buffer(Native *n, Rel *r, const NestSource *from, const NestBuf *b, void **out)
{
    Lay *y = &r->lay;
    LCol *k = from->col < 0 ? NULL : &y->col[from->col];
    Arr *a = !k ? &y->place_mem : b->lanes ? &k->blk_mem : &k->val_mem;
    const Regular *out_rows = &r->plan.nest->low.out;

    const size_t bytes = b->lanes ? block_bytes(n, y, b->rows) : b->rows * n->esz;

    if (!b->lanes ? !arr_take(n, a, bytes) : rel_can_lend(r) ? !blocks_borrow(n, a, bytes, y->L) : !arr_need(n, a, bytes))
        return false;
    *out = a->p;
    if (k && (out_rows->n_conds || out_rows->gaps))     /* rows that are not there hold 0 */
        memset(a->p, 0, b->lanes ? block_bytes(n, y, b->rows) : b->rows * n->esz);
    if (!k)
        return true;
    k->any_null = false;
    k->unscanned = true;
    k->blk_only = b->lanes;
    k->blk_ver = 0;
    if (b->lanes)
        k->blk = a->p;
    else
        k->val = a->p;
    return true;
}

/* The numbers of a source that nobody else reads any more give their place to the result. */
static void overlay(Native *n, Rel *r, int k)
{
    const NestPlan *np = r->plan.nest;
    const NestSource *from = &np->low.from[k], *to = &np->low.from[np->low.nest.store[0].buf];
    Rel *src = r->src[from->src];
    LCol *old = from->col < 0 ? NULL : &src->lay.col[from->col];

    if (!old || old->kind != CK_val || old->val_mem.p != np->p[k] || src->readers_left != 1 || !rel_can_release(n, src))
        return;
    for (int s = 0; s < r->b->n_src; s++)
        if (s != from->src && r->src[s] == src)
            return;
    arr_spare(n, &r->lay.col[to->col].val_mem);
    r->lay.col[to->col].val_mem = old->val_mem;
    old->val_mem = (Arr){ 0 };
    rel_release(n, src);
}

static void find_overlay(Native *n, Rel *r)
{
    const NestPlan *np = r->plan.nest;
    const Nest *nest = &np->low.nest;
    const int col = nest->n_stores == 1 && !nest->copies ? np->low.from[nest->store[0].buf].col : -1;

    if (col >= 0 && !r->lay.col[col].val_mem.p)         /* its own memory was released after the last step */
        for (int k = 0; k < nest->n_bufs; k++)
            if (np->low.from[k].src >= 0 && np->p[k] && nest_may_overlay(nest, k))
                overlay(n, r, k);
}

/* Counts over the lanes: those of one lane, as often as there are lanes. */
static bool fill_counts(Native *n, Rel *r, size_t L)
{
    const Lowered *low = &r->plan.nest->low;

    for (int c = 0; c < r->b->n_cols; c++) {
        LCol *k = &r->lay.col[c];
        if (k->kind != CK_dyn)
            continue;
        if (!arr_need(n, &k->key_mem, r->lay.R * sizeof(int64_t)))
            return false;
        k->key = k->key_mem.p;
        for (size_t row = 0; row < r->lay.R; row++)
            k->key[row] = low->count[c][row] * (int64_t)L;
    }
    return true;
}

static bool find_buffers(Native *n, Rel *r)
{
    NestPlan *np = r->plan.nest;
    const Nest *nest = &np->low.nest;

    np->p = np->p ? np->p : ARENA_ARRAY(&np->arena, void *, nest->n_bufs + 1);
    for (int k = 0; k < nest->n_bufs; k++) {
        const NestBuf *b = &nest->buf[k];
        if (np->low.from[k].src >= 0 && !input_buffer(n, r, &np->low.from[k], b->lanes, &np->p[k]))
            return false;
        if (np->low.from[k].src >= 0)
            np->p[k] = (char *)np->p[k] + (size_t)b->base * (b->lanes ? nest_width(n) : 1) * n->esz;
    }
    find_overlay(n, r);
    for (int k = 0; k < nest->n_bufs; k++)
        if (np->low.from[k].src < 0 && !output_buffer(n, r, &np->low.from[k], &nest->buf[k], &np->p[k]))
            return false;
    return true;
}

/* ---- running ---- */

typedef struct Together { Native *n; Parts parts; size_t L; } Together;

static size_t partial_rows(const NestBuf *b)
{
    return (b->rows + 15) / 16 * 16;
}

/* The buffers of one part: sums go to places of their own. */
static void part_buffers(const Together *t, const NestPlan *np, int part, void **p)
{
    const Nest *nest = &np->low.nest;
    char *at = (char *)np->partial.p;

    memcpy(p, np->p, (size_t)nest->n_bufs * sizeof *p);
    for (int k = 0; nest->sum_lanes && t->parts.n > 1 && k < nest->n_bufs; k++) {
        const size_t bytes = partial_rows(&nest->buf[k]) * t->n->esz;
        if (!nest->buf[k].written)
            continue;
        p[k] = at + (size_t)part * bytes;
        at += (size_t)t->parts.n * bytes;
    }
}

size_t nest_copy(const Native *n, const NestPlan *np, int k, void **to, void **from)
{
    const Nest *nest = &np->low.nest;
    const NestStore *s = &nest->store[k];
    const int buf = nest->opd[s->e->col].index;

    *to = (char *)np->p[s->buf] + (size_t)s->at.c * n->esz;
    *from = np->p[buf];
    return nest->buf[buf].rows * n->esz;
}

/* Rows of a buffer, of lane blocks [b0, b1) or without lanes, to their place in another. */
static void copy_part(Native *n, const NestPlan *np, const NestStore *s, size_t b0, size_t b1)
{
    const Nest *nest = &np->low.nest;
    const int from = nest->opd[s->e->col].index;
    const size_t W = nest->lanes ? nest_width(n) : 1, bytes = W * n->esz;
    const size_t rows = nest->buf[from].rows, to_rows = nest->buf[s->buf].rows;

    for (size_t b = nest->lanes ? b0 : 0; b < (nest->lanes ? b1 : 1); b++)
        memcpy((char *)np->p[s->buf] + (b * to_rows + (size_t)s->at.c) * bytes, (const char *)np->p[from] + b * rows * bytes,
               rows * bytes);
}

static void run_copies(Native *n, const NestPlan *np, size_t b0, size_t b1)
{
    for (int k = 0; k < np->low.nest.n_stores; k++)
        copy_part(n, np, &np->low.nest.store[k], b0, b1);
}

static void run_part(void *arg, int part)
{
    Together *t = arg;
    const size_t b0 = (size_t)part * t->parts.step, b1 = b0 + t->parts.step;
    void *p[MAX_BUFS];

    for (int k = 0; k < t->n->n_queue; k++) {
        Rel *r = t->n->queue[k];
        const NestPlan *np = r->plan.nest;
        const double from = native_seconds(t->n);
        if (np->low.nest.copies) {
            run_copies(t->n, np, b0, b1 < t->parts.blocks ? b1 : t->parts.blocks);
        } else {
            part_buffers(t, np, part, p);
            const double began = trial_begins(t->n, np);
            np->fn(p, (int64_t)b0, (int64_t)(b1 < t->parts.blocks ? b1 : t->parts.blocks), (int64_t)t->L, 0);
            trial_ends(t->n, np, part, began);
        }
        if (t->n->trace && !t->n->pool)
            r->spent.computing += native_seconds(t->n) - from;
    }
}

static void add_up(const Native *n, void *out, const char *from, size_t rows, size_t stride, int parts)
{
    memcpy(out, from, rows * n->esz);
    for (int k = 1; k < parts; k++) {
        from += stride;
        if (n->o.f64)
            for (size_t i = 0; i < rows; i++)
                ((double *)out)[i] += ((const double *)(const void *)from)[i];
        else
            for (size_t i = 0; i < rows; i++)
                ((float *)out)[i] += ((const float *)(const void *)from)[i];
    }
}

static void sum_parts(const Native *n, const NestPlan *np, int parts)
{
    const char *at = np->partial.p;

    for (int k = 0; k < np->low.nest.n_bufs; k++) {
        const NestBuf *b = &np->low.nest.buf[k];
        const size_t bytes = partial_rows(b) * n->esz;
        if (!b->written)
            continue;
        add_up(n, np->p[k], at, b->rows, bytes, parts);
        at += (size_t)parts * bytes;
    }
}

static bool room_for_parts(Native *n, NestPlan *np, int parts)
{
    size_t bytes = 0;

    for (int k = 0; k < np->low.nest.n_bufs; k++)
        bytes += np->low.nest.buf[k].written ? partial_rows(&np->low.nest.buf[k]) * n->esz : 0;
    return !np->low.nest.sum_lanes || parts < 2 || arr_need(n, &np->partial, bytes * (size_t)parts);
}

bool nest_flush(Native *n)
{
    bool ok = true;

    if (n->n_queue == 0)
        return true;
    const double from = native_seconds(n);
    Together t = { .n = n, .L = n->queue_L };
    t.parts = nest_parts(n, t.L);
    for (int k = 0; ok && k < n->n_queue; k++)
        ok = room_for_parts(n, n->queue[k]->plan.nest, t.parts.n);
    if (ok && n->pool && t.parts.n > 1)
        pool_run(n->pool, t.parts.n, run_part, &t);
    else
        for (int k = 0; ok && k < t.parts.n; k++)
            run_part(&t, k);
    for (int k = 0; k < n->n_queue; k++) {
        NestPlan *np = n->queue[k]->plan.nest;
        if (ok && np->low.nest.sum_lanes && t.parts.n > 1)
            sum_parts(n, np, t.parts.n);
        n->queue[k]->queued = false;
        trial_counts(n, np);
    }
    trials_turn(n, t.parts.blocks);
    const int done = n->n_queue;
    n->n_queue = 0;
    blocks_close(n, t.L);
    for (int k = 0; k < done; k++)
        rel_done(n, n->queue[k]);
    n->flushed += native_seconds(n) - from;
    return ok;
}

typedef struct Alone { const NestPlan *np; int64_t count, step; } Alone;

static void run_alone_part(void *arg, int part)
{
    const Alone *a = arg;
    const int64_t from = part * a->step, to = from + a->step;

    a->np->fn(a->np->p, from, to < a->count ? to : a->count, 1, 0);
}

#define NEAR_BYTES 131072               /* of what a part reads and writes, so that it stays in a near cache */

/* Iterations of the split loop whose numbers stay in the cache while loops outside it come back to them. */
static int64_t iterations_nearby(const Native *n, const Nest *nest, int64_t count)
{
    const int s = nest->split, tile = nest->sched.tile[s] > 1 ? nest->sched.tile[s] : 1;
    int64_t numbers = 1;

    for (int b = 0; b < nest->n_bufs; b++) {
        int64_t most = 0;
        for (int k = 0; k < nest->n_opds; k++)
            if (nest->opd[k].kind == OPD_load && nest->opd[k].index == b && llabs(nest->opd[k].at.k[s]) > most)
                most = llabs(nest->opd[k].at.k[s]);
        for (int k = 0; k < nest->n_stores; k++)
            if (nest->store[k].buf == b && llabs(nest->store[k].at.k[s]) > most)
                most = llabs(nest->store[k].at.k[s]);
        numbers += most;
    }
    const int64_t near = NEAR_BYTES / (numbers * (int64_t)n->esz) / tile * tile;
    return nest->sched.order[0] == s || near >= count ? count : near > tile ? near : tile;
}

/* Only the iterations that make rows someone reads. */
static void run_some(const NestPlan *np, const uint32_t *run, int n_runs)
{
    for (int k = 0; k < n_runs; k += 2)
        np->fn(np->p, run[k], run[k + 1], 1, 0);
}

/* Iterations that one of at most MOST_ALONE parts has, if there are threads to share them. */
static int64_t iterations_shared(const Native *n, const Nest *nest, int64_t count)
{
    const double work = nest_work(nest), worth = work / PART_WORK < MOST_ALONE ? work / PART_WORK : MOST_ALONE;

    return !n->pool || work < POOL_WORK ? count : (count + (int64_t)worth - 1) / (int64_t)worth;
}

/* Without lanes: the split loop is cut, if it is an output loop, and if that is worth it. */
void nest_steps(const Native *n, NestPlan *np)
{
    const Nest *nest = &np->low.nest;
    const int s = nest->split;

    if (np->step)
        return;
    np->count = np->step = s >= 0 ? nest->loop[s].max - nest->loop[s].min + 1 : 1;
    if (s >= 0 && s < nest->n_out && np->count > 1) {
        const int64_t shared = iterations_shared(n, nest, np->count), near = iterations_nearby(n, nest, np->count);
        np->step = shared < near ? shared : near;
    }
    if (np->count < 1) {
        np->count = 0;
        np->step = 1;
    }
    np->shared = n->pool && np->step < np->count && nest_work(nest) >= POOL_WORK;
}

static void run_alone(Native *n, NestPlan *np)
{
    if (np->low.nest.copies) {
        run_copies(n, np, 0, 1);
        return;
    }
    nest_steps(n, np);
    Alone a = { np, np->count, np->step };
    const int parts = (int)((a.count + a.step - 1) / a.step);
    if (np->shared)
        pool_run(n->pool, parts, run_alone_part, &a);
    else
        for (int k = 0; k < parts; k++)
            run_alone_part(&a, k);
}

bool nest_compute(Native *n, Rel *r)
{
    NestPlan *np = r->plan.nest;
    size_t L;

    if (!plan_output_lanes(n, r, &L))
        return false;
    if (n->n_queue && (!np->low.nest.lanes || L != n->queue_L) && !nest_flush(n))
        return false;
    if (!find_buffers(n, r) || !fill_counts(n, r, L))
        return false;
    if (np->low.out.winner || np->low.out.n_conds) {    /* which rows are there is said when someone asks */
        r->lay.place_only = true;
        r->lay.all_here = false;
    }
    if (np->low.nest.lanes) {
        r->queued = true;
        n->queue_L = L;
        n->queue[n->n_queue++] = r;
    } else if (want_parts(n, r)) {
        run_some(np, want_parts(n, r), r->n_parts);
    } else {
        const double began = trial_begins(n, np);
        run_alone(n, np);
        trial_ends(n, np, 0, began);
        trial_counts(n, np);
        trials_turn(n, 1);
    }
    r->lay.val_ver = ++n->clock;
    for (int c = 0; c < r->lay.n_cols; c++)
        r->lay.col[c].blk_ver = r->lay.col[c].blk_only ? r->lay.val_ver : 0;
    plan_remember(r);
    return true;
}
