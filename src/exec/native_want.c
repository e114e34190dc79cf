/* SPDX-License-Identifier: Apache-2.0
 *
 * native_want.c - which rows of what is computed anyone will read.
 *
 * A loss over some vertices of a graph reads the scores of those alone, these the numbers of their neighbours, and so
 * on.  What a block reads of its sources, row by row, is settled with its rows; so it is known, before a step, which
 * rows of each relation reach what the run asks for.  The others are not computed: they keep what was there, and
 * nobody reads them but nests that make of them what nobody reads either.
 *
 * This is for speed only.  It is found again when other tables are asked for or a block is settled anew, and left
 * off while batches come and go.  Should something be settled after it was found, the run is done again without it. */
#include "exec/native_nest.h"

#include <string.h>

#define RUN_GAP 4                       /* iterations of a nest that are done rather than left out between two others */

static void want_everything(Rel *r)
{
    r->wants_all = true;
}

/* Rows that are wanted together: of a nest, those of one value of its slowest key. */
static size_t rows_together(const Rel *r)
{
    const NestPlan *np = r->plan.nest;

    return np && !np->low.out.lanes && np->low.out.n_dims > 0 && np->low.out.stride[0] > 0 ? (size_t)np->low.out.stride[0] : 1;
}

/* Numbers [from, from + count) of r, in the flat order of its rows. */
static void want_flat(Rel *r, size_t from, size_t count)
{
    const size_t unit = rows_together(r) * r->lay.L;

    if (r->wants_all || count == 0)
        return;
    for (size_t k = from / unit; k <= (from + count - 1) / unit && k < r->want_mem.cap; k++)
        ((uint8_t *)r->want_mem.p)[k] = 1;
}

static bool wants_row(const Rel *r, size_t row)
{
    return r->wants_all || ((const uint8_t *)r->want_mem.p)[row / rows_together(r)];
}

/* ---- lists ---- */

static void want_tuples(Rel *src, const Input *in, size_t t0, size_t t1)
{
    const size_t L = in->laned ? in->lay->L : 1;

    for (size_t t = t0; t < t1; t++) {
        const size_t row = in->idx ? in->idx[t] : in->always0 ? 0 : in->base + t;
        if (row != ROW_NONE)
            want_flat(src, row * L, L);
    }
}

/* Sums of products by kernels, where nothing comes and goes: rows of these may be left out. */
static bool is_plain_sum(const Rel *r)
{
    const Block *b = r->b;
    const Leg *leg = &r->plan.leg[0];

    if (r->plan.nest || b->kind != BLK_reduce || b->n_keys == 0 || r->lay.masked || leg->n_soft || leg->mask >= 0)
        return false;
    for (int s = 0; s < leg->n_in; s++)
        if (leg->in[s].weak || leg->in[s].left || (leg->in[s].used && leg->in[s].lay->masked))
            return false;
    for (int c = b->n_keys; c < b->n_cols; c++) {
        const OutCol *o = &leg->out[c];
        if (!o->fast || r->lay.col[c].kind != CK_val || r->lay.col[c].nulls ||
            leg->in[o->fa->src].lay->col[o->fa->col].nulls || (o->fb && leg->in[o->fb->src].lay->col[o->fb->col].nulls))
            return false;
    }
    return true;
}

static void want_by_list(Rel *r)
{
    const bool all = !is_plain_sum(r) || r->wants_all;

    for (int g = 0; g < r->plan.n_legs; g++) {
        const Leg *leg = &r->plan.leg[g];
        for (int s = 0; s < leg->n_in; s++) {
            const Input *in = &leg->in[s];
            Rel *src = in->rel;
            if (!in->used || src->wants_all)
                continue;
            if (r->b->kind == BLK_pick || r->plan.hard || (in->lay->is_view && !in->lay->same_order))
                want_everything(src);
            else if (all)
                want_tuples(src, in, 0, leg->n);
            for (size_t row = 0; !all && row < leg->n_groups; row++)
                if (wants_row(r, row))
                    want_tuples(src, in, leg->ptr[row], leg->ptr[row + 1]);
        }
    }
}

/* ---- nests ---- */

/* Elements that a form takes besides what the split loop adds. */
static void around_split(const Nest *n, const Affine *f, int64_t *lo, int64_t *hi)
{
    *lo = *hi = f->c;
    for (int l = 0; l < n->n_loops; l++) {
        const int64_t a = f->k[l] * n->loop[l].min, b = f->k[l] * n->loop[l].max;
        if (l == n->split)
            continue;
        *lo += a < b ? a : b;
        *hi += a < b ? b : a;
    }
}

static bool has_parts(const Nest *n)
{
    return !n->lanes && n->split >= 0 && n->split < n->n_out;
}

/* Whether iteration i of the split loop makes a row that is wanted. */
static bool wants_iteration(const Rel *r, const Nest *n, int64_t i)
{
    for (int k = 0; k < n->n_stores; k++) {
        const int64_t together = (int64_t)rows_together(r);
        const int64_t first = n->buf[n->store[k].buf].base + n->store[k].at.k[n->split] * i;
        int64_t lo, hi;
        around_split(n, &n->store[k].at, &lo, &hi);
        for (int64_t at = lo + first; at <= hi + first; at += together)
            if (wants_row(r, (size_t)at))
                return true;
        if (wants_row(r, (size_t)(hi + first)))
            return true;
    }
    return false;
}

/* Numbers from … to, as far as there are any: bounds that depend on other loops are enclosed. */
static void want_between(Rel *src, int64_t from, int64_t to)
{
    if (to >= 0)
        want_flat(src, from > 0 ? (size_t)from : 0, (size_t)(to - (from > 0 ? from : 0) + 1));
}

static void want_operand(const Rel *r, const Operand *o, Rel *src)
{
    const Nest *n = &r->plan.nest->low.nest;
    const int64_t base = n->buf[o->index].base;         /* of what it is handed */
    int64_t lo, hi;

    around_split(n, &o->at, &lo, &hi);
    for (int64_t i = n->loop[n->split].min; i <= n->loop[n->split].max; i++)
        if (r->wants_all || wants_iteration(r, n, i))
            want_between(src, base + lo + o->at.k[n->split] * i, base + hi + o->at.k[n->split] * i);
}

static void want_by_nest(Rel *r)
{
    const NestPlan *np = r->plan.nest;
    const Nest *n = &np->low.nest;

    for (int k = 0; n->next && k < r->b->n_src; k++)
        want_everything(r->src[k]);
    for (int k = 0; k < n->n_opds; k++) {
        const Operand *o = &n->opd[k];
        const int s = o->kind == OPD_load ? np->low.from[o->index].src : -1;
        if (s < 0 || r->src[s]->wants_all)
            continue;
        if (!has_parts(n) || n->copies || r->plan.laned || r->src[s]->lay.masked)
            want_everything(r->src[s]);             /* a copy may have more rows than the loop */
        else
            want_operand(r, o, r->src[s]);
    }
}

/* ---- what is left out ---- */

/* Iterations of the split loop that are worth doing, as pairs from, to; few short gaps are filled. */
static int nest_runs(const Rel *r, uint32_t *run)
{
    const Nest *n = &r->plan.nest->low.nest;
    const int64_t first = n->loop[n->split].min, count = n->loop[n->split].max - first + 1;
    int m = 0;

    for (int64_t i = 0; i < count; i++) {
        if (!wants_iteration(r, n, first + i))
            continue;
        if (m > 0 && i - run[m - 1] <= RUN_GAP)
            run[m - 1] = (uint32_t)i + 1;
        else {
            run[m++] = (uint32_t)i;
            run[m++] = (uint32_t)i + 1;
        }
    }
    return m;
}

static size_t length_of(const uint32_t *run, int m)
{
    size_t sum = 0;

    for (int k = 0; k < m; k += 2)
        sum += run[k + 1] - run[k];
    return sum;
}

/* A nest loses its tiles where it does a row at a time: only if few rows are wanted. */
static bool choose_runs(Native *n, Rel *r)
{
    const Nest *nest = &r->plan.nest->low.nest;
    const size_t count = (size_t)(nest->loop[nest->split].max - nest->loop[nest->split].min + 1);

    if (!arr_need(n, &r->part_mem, (count + 2) * 2 * sizeof(uint32_t)))
        return false;
    r->n_parts = nest_runs(r, r->part_mem.p);
    if (length_of(r->part_mem.p, r->n_parts) > count / 4)
        r->n_parts = -1;
    return true;
}

static bool choose_rows(Native *n, Rel *r)
{
    if (!arr_need(n, &r->part_mem, r->lay.R * sizeof(uint32_t)))
        return false;
    r->n_parts = 0;
    for (size_t row = 0; row < r->lay.R; row++)
        if (wants_row(r, row))
            ((uint32_t *)r->part_mem.p)[r->n_parts++] = (uint32_t)row;
    if ((size_t)r->n_parts > r->lay.R / 8 * 7)
        r->n_parts = -1;
    return true;
}

static bool choose_parts(Native *n, Rel *r)
{
    r->n_parts = -1;
    if (r->wants_all)
        return true;
    if (r->plan.nest)
        return r->plan.nest->low.nest.copies || !has_parts(&r->plan.nest->low.nest) || r->plan.laned || choose_runs(n, r);
    return !is_plain_sum(r) || choose_rows(n, r);
}

static bool start_wants(Native *n, Rel *r)
{
    r->wants_all = r->kept || r->b->kind == BLK_base || r->life != LIFE_step || r->lay.masked || r->lay.R == 0 ||
                   r->lay.L == 0;
    if (r->wants_all)
        return true;
    if (!arr_need(n, &r->want_mem, r->lay.R / rows_together(r) + 1))
        return false;
    memset(r->want_mem.p, 0, r->want_mem.cap);
    return true;
}

/* Everything is settled, and nothing was settled anew in the run before. */
static bool is_possible(const Native *n)
{
    for (int k = 0; k < n->n_rels; k++) {
        const Rel *r = &n->rel[k];
        if (r->needed && (r->life == LIFE_batch || (r->b->kind != BLK_base && (!r->plan.settled || r->plan.hard))))
            return false;
    }
    return !n->have_batch && !n->keep_all && (!n->n_runs || n->settled_before == n->n_settled);
}

/* Were the same tables asked for when it was last found? */
static bool found_before(Native *n)
{
    bool same = n->wants_ver != 0 && n->wants_settled == n->n_settled;

    for (int k = 0; k < n->n_rels; k++) {
        same = same && n->rel[k].needed == n->rel[k].was_needed && n->rel[k].kept == n->rel[k].was_kept;
        n->rel[k].was_needed = n->rel[k].needed;
        n->rel[k].was_kept = n->rel[k].kept;
    }
    return same;
}

bool want_find(Native *n)
{
    n->limited = is_possible(n);
    n->settled_before = n->n_settled;
    n->n_runs++;
    if (!n->limited || found_before(n))
        return true;
    n->wants_ver = ++n->clock;
    n->wants_settled = n->n_settled;
    for (int k = 0; k < n->n_rels; k++)
        if (n->rel[k].needed && !start_wants(n, &n->rel[k]))
            return false;
    for (int k = n->n_rels - 1; k >= 0; k--) {          /* readers come after what they read */
        Rel *r = &n->rel[k];
        if (!r->needed || r->b->kind == BLK_base || r->life == LIFE_static)
            continue;
        if (r->plan.nest)
            want_by_nest(r);
        else
            want_by_list(r);
        if (!choose_parts(n, r))
            return false;
        arr_drop(n, &r->want_mem);
        if (r->n_parts < 0)
            arr_drop(n, &r->part_mem);
    }
    return true;
}

void want_free(Native *n, Rel *r)
{
    arr_drop(n, &r->want_mem);
    arr_drop(n, &r->part_mem);
}
