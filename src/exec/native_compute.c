/* SPDX-License-Identifier: Apache-2.0
 *
 * native_compute.c - the numeric phase of one block: gather, compute, scatter.
 *
 * Work is cut into parts of output rows, by shape alone; a row's sum is added in list order by one thread,
 * so any number of threads gives the same bits.  Sums with lanes are added in the value type, sums into
 * single numbers in double. */
#include "exec/native.h"

#include <string.h>

#define PART_ELEMENTS ((size_t)1 << 16)

/* What a part found, per column. */
typedef struct Found { bool any_null; } Found;

typedef struct Job {
    Native *n; Rel *r; Leg *leg;
    size_t L, out_L;
    size_t *cut; int n_parts;           /* part k: tuples (rows) or output rows cut[k] … cut[k + 1] */
    Found *found;                       /* n_parts × n_cols */
    bool *bad, *failed;
    bool fast;                          /* reduce: all columns by kernels */
    const uint32_t *row;                /* … of these rows; NULL: of all */
    uint8_t **unset;                    /* reduce with lanes: by column, not yet a value */
} Job;

static size_t tuples_at_once(size_t L)
{
    return L && L < CHUNK ? CHUNK / L : 1;
}

static char *val_at(const Native *n, const LCol *k, size_t at)
{
    return (char *)k->val + at * n->esz;
}

static void look(Job *j, int part, size_t from, size_t to)
{
    const Lay *y = &j->r->lay;

    for (int c = 0; c < y->n_cols; c++) {
        const LCol *k = &y->col[c];
        Found *f = &j->found[(size_t)part * (size_t)y->n_cols + (size_t)c];
        *f = (Found){ false };
        if (k->kind != CK_val || from == to)
            continue;
        f->any_null = k->nulls && memchr(k->null + from, 1, to - from);
    }
}

/* ---- rows ---- */

static void store_key(Frame *f, int64_t *out, int reg, const uint8_t *mask, size_t n)
{
    frame_codes(f, reg, n, out);
    for (size_t k = 0; k < n; k++)
        if (mask && mask[k] != 2)
            out[k] = KEY_NULL;
        else
            f->bad |= out[k] == KEY_BAD;
}

static void store_here(uint8_t *pres, const uint8_t *mask, size_t n)
{
    if (!mask)
        memset(pres, 1, n);
    for (size_t k = 0; mask && k < n; k++)
        pres[k] = mask[k] == 2;
}

static void aim_outputs(Job *j, Frame *f, size_t at)
{
    for (int c = 0; c < j->r->lay.n_cols; c++)
        if (j->leg->out[c].direct)
            f->data[j->leg->out[c].reg] = val_at(j->n, &j->r->lay.col[c], at);
}

/* The chunk's outputs to flat positions `at` on. */
static void store_outputs(Job *j, Frame *f, const uint8_t *mask, size_t at, size_t n)
{
    Lay *y = &j->r->lay;

    for (int c = 0; c < y->n_cols; c++) {
        const int reg = j->leg->out[c].reg;
        LCol *k = &y->col[c];
        if (reg < 0 || j->leg->out[c].settled)
            continue;
        if (k->kind == CK_val)
            j->n->k->store(val_at(j->n, k, at), k->nulls ? k->null + at : NULL, f->data[reg], f->null[reg], mask, n);
        else
            store_key(f, k->key + at, reg, mask, n);
    }
}

static void rows_part(void *arg, int part)
{
    Job *j = arg;
    Lay *y = &j->r->lay;
    const size_t L = j->L, t0 = j->cut[part], t1 = j->cut[part + 1], step = tuples_at_once(L);
    Frame f;

    if (!frame_open(j->n, &f, &j->leg->tape, (t1 - t0) * L < CHUNK ? (t1 - t0) * L : CHUNK)) {
        j->failed[part] = true;
        return;
    }
    for (size_t t = t0; t < t1; t += step)
        for (size_t l = 0; l < L; l += CHUNK) {
            const size_t nt = t1 - t < step ? t1 - t : step, nl = L - l < CHUNK ? L - l : CHUNK;
            const size_t at = (j->leg->first + t) * L + l;
            aim_outputs(j, &f, at);
            frame_run(&f, t, nt, l, nl, L);
            const uint8_t *mask = j->leg->mask >= 0 ? f.data[j->leg->mask] : NULL;
            store_outputs(j, &f, mask, at, nt * nl);
            if (y->masked)
                store_here(y->pres + at, mask, nt * nl);
        }
    look(j, part, (j->leg->first + t0) * L, (j->leg->first + t1) * L);
    j->bad[part] = f.bad;
    frame_close(&f);
}

/* ---- aggregates ---- */

/* One output row of a reduction without lanes. */
typedef struct RowAcc { double d; int64_t i; bool unset; } RowAcc;

static void skip_elements(Frame *f, int reg, const uint8_t *mask, size_t n, uint8_t *skip)
{
    const RegType type = reg < 0 ? RT_real : f->t->reg[reg].type;
    const uint8_t *null = reg >= 0 && type == RT_real ? f->null[reg] : NULL;

    for (size_t k = 0; k < n; k++)
        skip[k] = (mask && mask[k] != 2) || (null && null[k]);
    for (size_t k = 0; reg >= 0 && type == RT_int && k < n; k++)
        skip[k] |= ((const int64_t *)f->data[reg])[k] == KEY_NULL;
    for (size_t k = 0; reg >= 0 && type == RT_bool && k < n; k++)
        skip[k] |= ((const uint8_t *)f->data[reg])[k] == 1;
}

static bool may_skip(const Frame *f, int reg, const uint8_t *mask)
{
    return mask || (reg >= 0 && (f->t->reg[reg].nulls || f->t->reg[reg].type == RT_int));
}

static int64_t add_ints(int64_t x, int64_t y)
{
    int64_t r;

    if (x == KEY_BAD || y == KEY_BAD || __builtin_add_overflow(x, y, &r) || !IS_KEY(r))
        return KEY_BAD;
    return r;
}

static bool key_wins(const Job *j, int c, Agg agg, int64_t x, int64_t best)
{
    int o = (x > best) - (x < best);

    if (j->r->lay.col[c].type == T_TEXT)
        o = strcmp(dict_text(&j->n->dict, x), dict_text(&j->n->dict, best));
    return agg == AGG_max ? o > 0 : o < 0;
}

static int64_t agg_key(const Job *j, int c, Agg agg, int64_t acc, bool unset, int64_t x)
{
    if (agg == AGG_count)
        return acc + 1;
    if (agg == AGG_sum)
        return unset ? x : add_ints(acc, x);
    return unset || key_wins(j, c, agg, x, acc) ? x : acc;
}

static void fold_keys(const Job *j, int c, Agg agg, RowAcc *a, const int64_t *x, const uint8_t *skip, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (skip && skip[k])
            continue;
        a->i = agg_key(j, c, agg, a->i, a->unset, x ? x[k] : 0);
        a->unset = false;
    }
}

static void acc_keys(const Job *j, int c, Agg agg, int64_t *acc, uint8_t *unset, const int64_t *x, const uint8_t *skip,
                     size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (skip && skip[k])
            continue;
        acc[k] = agg_key(j, c, agg, acc[k], unset[k], x ? x[k] : 0);
        unset[k] = 0;
    }
}

/* Elements [from, from + n) of the chunk belong to one row: add them to its accumulators. */
static void fold_run(Job *j, Frame *f, RowAcc *acc, uint8_t *const *skip, size_t from, size_t n)
{
    for (int c = j->r->b->n_keys; c < j->r->b->n_cols; c++) {
        const Agg agg = j->r->b->col[c].agg;
        const int reg = j->leg->out[c].reg;
        const uint8_t *s = skip[c] ? skip[c] + from : NULL;
        if (j->r->lay.col[c].kind == CK_val)
            j->n->k->fold(agg, &acc[c].d, &acc[c].unset, (char *)f->data[reg] + from * j->n->esz, s, n);
        else if (agg == AGG_count && !s)
            acc[c].i += (int64_t)n;
        else
            fold_keys(j, c, agg, &acc[c], agg == AGG_count ? NULL : (int64_t *)f->data[reg] + from, s, n);
    }
}

static void acc_run(Job *j, Frame *f, uint8_t *const *skip, size_t at, size_t from, size_t n)
{
    for (int c = j->r->b->n_keys; c < j->r->b->n_cols; c++) {
        const Agg agg = j->r->b->col[c].agg;
        const int reg = j->leg->out[c].reg;
        LCol *k = &j->r->lay.col[c];
        uint8_t *unset = j->unset[c] ? j->unset[c] + at : NULL;
        const uint8_t *s = skip[c] ? skip[c] + from : NULL;
        if (k->kind == CK_val)
            j->n->k->acc(agg, val_at(j->n, k, at), unset, (char *)f->data[reg] + from * j->n->esz, s, n);
        else
            acc_keys(j, c, agg, k->key + at, unset, agg == AGG_count ? NULL : (int64_t *)f->data[reg] + from, s, n);
    }
}

static void start_row(const Rel *r, RowAcc *acc)
{
    for (int c = r->b->n_keys; c < r->b->n_cols; c++)
        acc[c] = (RowAcc){ 0, 0, true };
}

static void finish_row(Job *j, const RowAcc *acc, size_t row, bool here, bool *bad)
{
    Lay *y = &j->r->lay;

    if (y->masked)
        y->pres[row] = here;
    for (int c = j->r->b->n_keys; c < j->r->b->n_cols; c++) {
        LCol *k = &y->col[c];
        const bool null = acc[c].unset && j->r->b->col[c].agg != AGG_count;
        if (k->kind == CK_val) {
            val_set(j->n, k->val, row, null ? 0 : acc[c].d);
            if (k->nulls)
                k->null[row] = null && (here || !y->masked);
        } else {
            k->key[row] = null ? KEY_NULL : acc[c].i;
            *bad |= acc[c].i == KEY_BAD;
        }
    }
}

/* With lanes: what is still unset is NULL, where the row is there; integers likewise. */
static void finish_lanes(Job *j, size_t from, size_t to, bool *bad)
{
    Lay *y = &j->r->lay;

    for (int c = j->r->b->n_keys; c < j->r->b->n_cols; c++) {
        LCol *k = &y->col[c];
        const bool count = j->r->b->col[c].agg == AGG_count;
        for (size_t at = from; k->kind == CK_val && k->nulls && at < to; at++)
            k->null[at] = j->unset[c][at] && (!y->masked || y->pres[at]);
        for (size_t at = from; k->kind == CK_dyn && at < to; at++) {
            k->key[at] = j->unset[c][at] && !count ? KEY_NULL : k->key[at];
            *bad |= k->key[at] == KEY_BAD;
        }
    }
}

static void clear_lanes(Job *j, size_t from, size_t to)
{
    Lay *y = &j->r->lay;

    for (int c = j->r->b->n_keys; c < j->r->b->n_cols; c++) {
        LCol *k = &y->col[c];
        if (k->kind == CK_val)
            memset(val_at(j->n, k, from), 0, (to - from) * j->n->esz);
        else
            memset(k->key + from, 0, (to - from) * sizeof *k->key);
        if (j->unset[c])
            memset(j->unset[c] + from, 1, to - from);
    }
    if (y->masked)
        memset(y->pres + from, 0, to - from);
}

static void find_skips(Job *j, Frame *f, const uint8_t *mask, size_t n, uint8_t *buf, uint8_t **skip)
{
    for (int c = j->r->b->n_keys; c < j->r->b->n_cols; c++) {
        const int reg = j->leg->out[c].reg;
        skip[c] = NULL;
        if (!may_skip(f, reg, mask))
            continue;
        skip[c] = buf + (size_t)c * CHUNK;
        skip_elements(f, reg, mask, n, skip[c]);
    }
}

/* The chunk's tuples, run by run of one output row. */
typedef struct Rows { size_t row, end; bool here; RowAcc *acc; uint8_t **skip, *buf; bool bad; } Rows;

static bool any_true(const uint8_t *mask, size_t n)
{
    return memchr(mask, 2, n) != NULL;
}

static void chunk_without_lanes(Job *j, Frame *f, Rows *w, size_t t0, size_t nt, size_t nl, bool last)
{
    const uint32_t *ptr = j->leg->ptr;
    const uint8_t *mask = j->leg->mask >= 0 ? f->data[j->leg->mask] : NULL;

    find_skips(j, f, mask, nt * nl, w->buf, w->skip);
    for (size_t t = t0; t < t0 + nt;) {
        const size_t stop = ptr[w->row + 1] < t0 + nt ? ptr[w->row + 1] : t0 + nt;
        fold_run(j, f, w->acc, w->skip, (t - t0) * nl, (stop - t) * nl);
        w->here |= !mask || any_true(mask + (t - t0) * nl, (stop - t) * nl);
        t = stop;
        while (last && w->row < w->end && ptr[w->row + 1] == t) {
            finish_row(j, w->acc, w->row++, w->here, &w->bad);
            start_row(j->r, w->acc);
            w->here = false;
        }
        if (!last)
            return;
    }
}

static void chunk_with_lanes(Job *j, Frame *f, Rows *w, size_t t0, size_t nt, size_t l0, size_t nl, bool last)
{
    const uint32_t *ptr = j->leg->ptr;
    Lay *y = &j->r->lay;
    const uint8_t *mask = j->leg->mask >= 0 ? f->data[j->leg->mask] : NULL;

    find_skips(j, f, mask, nt * nl, w->buf, w->skip);
    for (size_t t = t0; t < t0 + nt; t++) {
        const size_t at = w->row * j->L + l0, from = (t - t0) * nl;
        acc_run(j, f, w->skip, at, from, nl);
        for (size_t l = 0; y->masked && l < nl; l++)
            y->pres[at + l] |= !mask || mask[from + l] == 2;
        while (last && w->row < w->end && ptr[w->row + 1] == t + 1)
            w->row++;
    }
}

static void reduce_general(Job *j, int part)
{
    const Rel *r = j->r;
    const size_t L = j->L, r0 = j->cut[part], r1 = j->cut[part + 1], step = tuples_at_once(L);
    const size_t t0 = j->leg->ptr[r0], t1 = j->leg->ptr[r1];
    Arena a = { 0 };
    Rows w = { r0, r1, false, ARENA_ARRAY(&a, RowAcc, r->b->n_cols), ARENA_ARRAY(&a, uint8_t *, r->b->n_cols),
               ARENA_ARRAY(&a, uint8_t, CHUNK * (size_t)r->b->n_cols), false };
    Frame f;

    if (!frame_open(j->n, &f, &j->leg->tape, (t1 - t0) * L < CHUNK ? (t1 - t0) * L : CHUNK)) {
        j->failed[part] = true;
        arena_free(&a);
        return;
    }
    start_row(r, w.acc);
    if (r->plan.carried)
        clear_lanes(j, r0 * L, r1 * L);
    for (size_t t = t0; t < t1; t += step)
        for (size_t l = 0; l < L; l += CHUNK) {
            const size_t nt = t1 - t < step ? t1 - t : step, nl = L - l < CHUNK ? L - l : CHUNK;
            frame_run(&f, t, nt, l, nl, L);
            if (r->plan.carried)
                chunk_with_lanes(j, &f, &w, t, nt, l, nl, l + nl == L);
            else
                chunk_without_lanes(j, &f, &w, t, nt, nl, l + nl == L);
        }
    if (r->plan.carried)
        finish_lanes(j, r0 * L, r1 * L, &w.bad);
    for (; !r->plan.carried && w.row < r1; w.row++)     /* no tuples, or no lanes */
        finish_row(j, w.acc, w.row, false, &w.bad);
    j->bad[part] = f.bad || w.bad;
    frame_close(&f);
    arena_free(&a);
}

/* ---- sums of products ---- */

static const float one_f32 = 1;
static const double one_f64 = 1;

/* Does the factor that has no lanes stand in the order of the tuples? */
static bool factor_in_order(const OutCol *o, const Input *b)
{
    return o->factor_ver || (!b->idx && !b->always0);
}

/* Of factors a, which has lanes, and b, which has or has not; NULL: ones. */
static void sum_with_lanes(const Job *j, const OutCol *o, LaneSums w)
{
    const Leg *leg = j->leg;
    const Kern *k = j->n->k;
    const Input *a = &leg->in[o->fa->src], *b = o->fb ? &leg->in[o->fb->src] : NULL;

    w.a = a->lay->col[o->fa->col].val;
    w.ia = a->idx;
    w.a_rows = a->lay->R + (b && b->laned ? b->lay->R : 0);
    w.b = b ? b->lay->col[o->fb->col].val : j->n->o.f64 ? (const void *)&one_f64 : &one_f32;
    w.ib = b ? b->idx : leg->zero_idx.p;
    if (b && !b->laned && factor_in_order(o, b)) {
        w.b = o->factor_ver ? o->factor.p : val_at(j->n, &b->lay->col[o->fb->col], b->base);
        k->lanes_x_list(&w);
        return;
    }
    (b && b->laned ? k->lanes_x_lanes : k->lanes_x_scalar)(&w);
}

static void sum_products(Job *j, const OutCol *o, void *out, size_t r0, size_t r1)
{
    const Leg *leg = j->leg;
    const Kern *k = j->n->k;
    const Input *a = &leg->in[o->fa->src], *b = o->fb ? &leg->in[o->fb->src] : NULL;
    const void *x = a->lay->col[o->fa->col].val;
    const void *y = b ? b->lay->col[o->fb->col].val : j->n->o.f64 ? (const void *)&one_f64 : &one_f32;
    const uint32_t *iy = b ? b->idx : leg->zero_idx.p;

    if (a->laned && j->r->plan.carried)
        sum_with_lanes(j, o, (LaneSums){ .out = out, .ptr = leg->ptr, .row = j->row, .r0 = r0, .r1 = r1, .L = j->L,
                                         .out_rows = j->row ? j->row[r1 - 1] + 1 : r1 });
    else if (!a->laned)
        k->dot(out, x, a->idx, y, iy, leg->ptr, r0, r1, 1);
    else
        (b && b->laned ? k->dot_lanes : k->dot_scalar)(out, x, a->idx, y, iy, leg->ptr, r0, r1, j->L);
}

/* Sums of rows [r0, r1) of those that are computed. */
static void sum_rows(Job *j, const OutCol *o, void *out, size_t r0, size_t r1)
{
    const bool by_row = j->row && !(j->leg->in[o->fa->src].laned && j->r->plan.carried);

    for (size_t k = r0; by_row && k < r1; k++)
        sum_products(j, o, out, j->row[k], j->row[k] + 1);
    if (!by_row)
        sum_products(j, o, out, r0, r1);
}

/* Numbers that never move are put in the order of the tuples once. */
static bool order_factor(Job *j, OutCol *o)
{
    const Leg *leg = j->leg;
    const Input *b = o->fb ? &leg->in[o->fb->src] : NULL;

    if (!o->fast || !b || b->laned || !j->r->plan.carried || !leg->in[o->fa->src].laned || !b->idx ||
        b->rel->life != LIFE_static)
        return true;
    if (o->factor_ver == b->rel->lay.val_ver)
        return true;
    if (!arr_need(j->n, &o->factor, leg->n * j->n->esz))
        return false;
    j->n->k->gather(o->factor.p, NULL, b->lay->col[o->fb->col].val, NULL, b->idx, leg->n);
    o->factor_ver = b->rel->lay.val_ver;
    return true;
}

/* Where kernels always do the work, nobody reads the rows of a factor that was put in order. */
static void drop_rows_of_factor(Job *j)
{
    Leg *leg = j->leg;
    const int c = j->r->b->n_keys;
    bool always = j->r->b->n_cols == c + 1 && leg->out[c].factor_ver != 0;

    for (int s = 0; s < leg->n_in; s++)
        always = always && !(leg->in[s].used && leg->in[s].lay->masked);
    if (!always || leg->in[leg->out[c].fa->src].lay->col[leg->out[c].fa->col].nulls ||
        leg->in[leg->out[c].fb->src].lay->col[leg->out[c].fb->col].nulls)
        return;
    Input *b = &leg->in[leg->out[c].fb->src];
    arr_drop(j->n, &b->idx_mem);
    b->idx = NULL;
}

static bool load_clean(const Leg *leg, const Expr *e)
{
    const LCol *k = &leg->in[e->src].lay->col[e->col];
    return !(k->nulls && k->any_null);
}

static bool load_finite(Native *n, const Leg *leg, const Expr *e)
{
    return !e || lay_finite(n, leg->in[e->src].lay, e->col);
}

static bool masked_now(const Input *in)
{
    return in->used && in->lay->masked && !in->pres_settled && !in->lay->all_here;
}

/* A column can be summed without masks: what is absent or NULL holds 0, and 0 times a finite number adds nothing. */
static bool fast_now(Native *n, const Rel *r, const Leg *leg, int c)
{
    const OutCol *o = &leg->out[c];
    bool masked = false;

    if (r->b->col[c].agg == AGG_count && !r->b->col[c].e)
        return leg->mask < 0;
    if (!o->fast)
        return false;
    bool clean = load_clean(leg, o->fa) && (!o->fb || load_clean(leg, o->fb));
    if (!clean && r->lay.col[c].nulls)
        return false;                   /* whether a sum is NULL must be counted */
    for (int s = 0; s < leg->n_in; s++) {
        if (!masked_now(&leg->in[s]))
            continue;
        masked = true;
        if (s != o->fa->src && !(o->fb && s == o->fb->src))
            return false;
    }
    if (r->b->n_keys == 0 && (masked || !clean))
        return false;
    return (clean && !masked) || (load_finite(n, leg, o->fa) && load_finite(n, leg, o->fb));
}

static bool all_fast(Native *n, const Rel *r, const Leg *leg)
{
    if (leg->n_soft || leg->n == 0)
        return false;
    for (int s = 0; s < leg->n_in; s++)
        if (leg->in[s].weak)
            return false;
    for (int c = r->b->n_keys; c < r->b->n_cols; c++)
        if (!fast_now(n, r, leg, c))
            return false;
    return true;
}

/* Which rows have a tuple whose sources are all there. */
static bool tuple_here(const Leg *leg, size_t t, size_t L, size_t l)
{
    for (int s = 0; s < leg->n_in; s++) {
        const Input *in = &leg->in[s];
        if (!masked_now(in))
            continue;
        const size_t row = in->idx ? in->idx[t] : in->always0 ? 0 : in->base + t;
        if (!in->lay->pres[in->laned ? row * L + l : row])
            return false;
    }
    return true;
}

static void presence_any(Job *j, size_t r0, size_t r1)
{
    const uint32_t *ptr = j->leg->ptr;

    for (size_t r = r0; r < r1; r++) {
        bool here = false;
        for (size_t t = ptr[r]; !here && t < ptr[r + 1]; t++)
            for (size_t l = 0; !here && l < j->L; l++)
                here = tuple_here(j->leg, t, j->L, l);
        j->r->lay.pres[r] = here;
    }
}

/* One masked source with lanes: its bytes, or'ed until every lane has one. */
static void presence_lanes(Job *j, const Input *in, size_t r0, size_t r1)
{
    const uint32_t *ptr = j->leg->ptr;
    const size_t L = j->L;

    for (size_t r = r0; r < r1; r++) {
        uint8_t *out = j->r->lay.pres + r * L;
        memset(out, 0, L);
        for (size_t t = ptr[r]; t < ptr[r + 1] && ((t - ptr[r]) % 8 || memchr(out, 0, L)); t++) {
            const size_t row = in->idx ? in->idx[t] : in->base + t;
            const uint8_t *p = in->lay->pres + row * L;
            for (size_t l = 0; l < L; l++)
                out[l] |= p[l];
        }
    }
}

static void presence_general(Job *j, size_t r0, size_t r1)
{
    const uint32_t *ptr = j->leg->ptr;

    for (size_t r = r0; r < r1; r++)
        for (size_t l = 0; l < j->L; l++) {
            bool here = false;
            for (size_t t = ptr[r]; !here && t < ptr[r + 1]; t++)
                here = tuple_here(j->leg, t, j->L, l);
            j->r->lay.pres[r * j->L + l] = here;
        }
}

static void presence(Job *j, size_t r0, size_t r1)
{
    const Input *only = NULL;
    int n = 0;

    for (int s = 0; s < j->leg->n_in; s++)
        if (masked_now(&j->leg->in[s])) {
            only = &j->leg->in[s];
            n++;
        }
    if (n == 0)
        memset(j->r->lay.pres + r0 * j->out_L, 1, (r1 - r0) * j->out_L);
    else if (!j->r->plan.carried)
        presence_any(j, r0, r1);
    else if (n == 1 && only->laned)
        presence_lanes(j, only, r0, r1);
    else
        presence_general(j, r0, r1);
}

static void reduce_fast(Job *j, int part)
{
    Lay *y = &j->r->lay;
    const size_t r0 = j->cut[part], r1 = j->cut[part + 1];

    for (int c = j->r->b->n_keys; c < j->r->b->n_cols; c++) {
        LCol *k = &y->col[c];
        if (k->kind == CK_val) {
            sum_rows(j, &j->leg->out[c], k->val, r0, r1);
            if (k->nulls)
                memset(k->null + r0 * j->out_L, 0, (r1 - r0) * j->out_L);
            continue;
        }
        for (size_t r = r0; r < r1; r++) {
            const int64_t count = (int64_t)(j->leg->ptr[r + 1] - j->leg->ptr[r]);
            for (size_t l = 0; l < j->out_L; l++)
                k->key[r * j->out_L + l] = j->r->plan.carried ? count : count * (int64_t)j->L;
        }
    }
    if (y->masked)
        presence(j, r0, r1);
}

static void reduce_part(void *arg, int part)
{
    Job *j = arg;

    if (j->fast)
        reduce_fast(j, part);
    else
        reduce_general(j, part);
    if (!j->row)                                /* else nothing can be NULL */
        look(j, part, j->cut[part] * j->out_L, j->cut[part + 1] * j->out_L);
}

/* ---- picks ---- */

/* Order keys of every element as codes: smaller comes first. */
static void order_codes(Job *j, Frame *f, int o, size_t n, int64_t *out)
{
    const Order *by = &j->r->b->order[o];
    const uint32_t *rank = by->e->type == T_TEXT ? dict_ranks(&j->n->dict) : NULL;

    frame_codes(f, j->leg->order[o], n, out);
    for (size_t k = 0; k < n; k++) {
        if (rank && out[k] != KEY_NULL)
            out[k] = (int64_t)rank[out[k]];
        if (by->e->type == T_REAL && out[k] == INT64_MAX && !by->desc)
            out[k] = INT64_MIN + 1;                     /* NaN wins, as in MIN and MAX */
        if (by->desc)
            out[k] = ~out[k];                           /* the order reversed, NULL last */
    }
}

typedef struct PickWork { int64_t *code; uint8_t *skip; uint32_t *list, *tmp; size_t n, L; int n_order; } PickWork;

/* Element (tuple t of the group, lane l) before (u, l)? */
static bool comes_before(const PickWork *w, size_t l, uint32_t t, uint32_t u)
{
    for (int o = 0; o < w->n_order; o++) {
        const int64_t x = w->code[((size_t)o * w->n + t) * w->L + l], y = w->code[((size_t)o * w->n + u) * w->L + l];
        if (x != y)
            return x < y;
    }
    return t < u;
}

static void sort_list(const PickWork *w, size_t l, uint32_t *v, uint32_t *tmp, size_t n)
{
    if (n < 2)
        return;
    const size_t h = n / 2;
    sort_list(w, l, v, tmp, h);
    sort_list(w, l, v + h, tmp, n - h);
    memcpy(tmp, v, h * sizeof *v);
    for (size_t i = 0, k = h, m = 0; i < h; m++)
        v[m] = k < n && comes_before(w, l, v[k], tmp[i]) ? v[k++] : tmp[i++];
}

static void pick_lane(Job *j, const PickWork *w, size_t first, size_t l)
{
    const size_t limit = (size_t)j->r->b->limit;
    size_t n = 0, best = 0;

    for (size_t t = 0; t < w->n; t++)
        if (!w->skip[t * w->L + l])
            w->list[n++] = (uint32_t)t;
    if (limit == 1) {
        for (size_t k = 1; k < n; k++)
            if (comes_before(w, l, w->list[k], w->list[best]))
                best = k;
        if (n)
            j->r->lay.pres[(first + w->list[best]) * w->L + l] = 1;
        return;
    }
    sort_list(w, l, w->list, w->tmp, n);
    for (size_t k = 0; k < n && k < limit; k++)
        j->r->lay.pres[(first + w->list[k]) * w->L + l] = 1;
}

/* Outputs are stored for every tuple; what is not picked is cleared afterwards. */
static void pick_group(Job *j, Frame *f, PickWork *w, size_t g)
{
    const size_t t0 = j->leg->ptr[g], t1 = j->leg->ptr[g + 1], L = j->L, step = tuples_at_once(L);
    int64_t code[CHUNK];

    w->n = t1 - t0;
    for (size_t t = t0; t < t1; t += step)
        for (size_t l = 0; l < L; l += CHUNK) {
            const size_t nt = t1 - t < step ? t1 - t : step, nl = L - l < CHUNK ? L - l : CHUNK;
            aim_outputs(j, f, t * L + l);
            frame_run(f, t, nt, l, nl, L);
            store_outputs(j, f, NULL, t * L + l, nt * nl);
            const uint8_t *mask = j->leg->mask >= 0 ? f->data[j->leg->mask] : NULL;
            for (size_t k = 0; k < nt * nl; k++)
                w->skip[(t - t0) * L + l + k] = mask && mask[k] != 2;
            for (int o = 0; o < w->n_order; o++) {
                order_codes(j, f, o, nt * nl, code);
                memcpy(w->code + ((size_t)o * w->n + (t - t0)) * L + l, code, nt * nl * sizeof *code);
            }
        }
    for (size_t l = 0; l < L; l++)
        pick_lane(j, w, t0, l);
}

/* One REAL order, one row: the best of every lane is followed along. */
static void pick_best(Job *j, Frame *f, size_t g0, size_t g1)
{
    const uint32_t *ptr = j->leg->ptr;
    const size_t L = j->L, step = tuples_at_once(L);
    const int reg = j->leg->order[0];
    const bool desc = j->r->b->order[0].desc;
    double best[CHUNK];
    uint32_t at[CHUNK];
    uint8_t skip[CHUNK];

    for (size_t l = 0; l < L; l += CHUNK) {
        const size_t nl = L - l < CHUNK ? L - l : CHUNK;
        size_t g = g0;
        memset(at, 0xff, sizeof at);
        for (size_t t = ptr[g0]; t < ptr[g1]; t += step) {
            const size_t nt = ptr[g1] - t < step ? ptr[g1] - t : step;
            aim_outputs(j, f, t * L + l);
            frame_run(f, t, nt, l, nl, L);
            store_outputs(j, f, NULL, t * L + l, nt * nl);
            const uint8_t *mask = j->leg->mask >= 0 ? f->data[j->leg->mask] : NULL;
            for (size_t k = 0; mask && k < nt * nl; k++)
                skip[k] = mask[k] != 2;
            for (size_t k = 0; k < nt; k++) {
                j->n->k->beat(best, at, (char *)f->data[reg] + k * nl * j->n->esz, mask ? skip + k * nl : NULL, desc,
                              (uint32_t)(t + k), nl);
                while (g < g1 && ptr[g + 1] == t + k + 1) {
                    for (size_t i = 0; i < nl; i++)
                        if (at[i] != ROW_NONE)
                            j->r->lay.pres[(size_t)at[i] * L + l + i] = 1;
                    memset(at, 0xff, nl * sizeof *at);
                    g++;
                }
            }
        }
    }
}

static void clear_absent(Job *j, size_t from, size_t to)
{
    Lay *y = &j->r->lay;

    for (int c = 0; c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        if (j->leg->out[c].settled || j->leg->out[c].reg < 0)
            continue;
        for (size_t at = from; at < to; at++) {
            if (y->pres[at])
                continue;
            if (k->kind == CK_val)
                val_set(j->n, k->val, at, 0);
            else
                k->key[at] = KEY_NULL;
            if (k->kind == CK_val && k->nulls)
                k->null[at] = 0;
        }
    }
}

static bool simple_order(const Job *j)
{
    const Tape *t = &j->leg->tape;

    return j->r->b->limit == 1 && j->r->b->n_order == 1 && t->reg[j->leg->order[0]].type == RT_real &&
           !t->reg[j->leg->order[0]].nulls;
}

static bool pick_all(Job *j, Frame *f, size_t g0, size_t g1)
{
    PickWork w = { .L = j->L, .n_order = j->r->b->n_order };
    size_t most = 0;

    for (size_t g = g0; g < g1; g++) {
        const size_t m = j->leg->ptr[g + 1] - j->leg->ptr[g];
        most = m > most ? m : most;
    }
    w.code = mem_try((most * j->L + 1) * sizeof *w.code * (size_t)(w.n_order + 1));
    w.skip = mem_try(most * j->L + 1);
    w.list = mem_try((most + 1) * 2 * sizeof *w.list);
    w.tmp = w.list ? w.list + most : NULL;
    const bool ok = w.code && w.skip && w.list;
    for (size_t g = g0; ok && g < g1; g++)
        pick_group(j, f, &w, g);
    mem_free(w.code);
    mem_free(w.skip);
    mem_free(w.list);
    return ok;
}

static void pick_part(void *arg, int part)
{
    Job *j = arg;
    const size_t g0 = j->cut[part], g1 = j->cut[part + 1], L = j->L;
    const size_t from = j->leg->ptr[g0] * L, to = j->leg->ptr[g1] * L;
    Frame f;

    if (!frame_open(j->n, &f, &j->leg->tape, to - from < CHUNK ? to - from : CHUNK)) {
        j->failed[part] = true;
        return;
    }
    memset(j->r->lay.pres + from, 0, to - from);
    if (simple_order(j))
        pick_best(j, &f, g0, g1);
    else
        j->failed[part] = !pick_all(j, &f, g0, g1);
    clear_absent(j, from, to);
    j->bad[part] = f.bad;
    frame_close(&f);
    look(j, part, from, to);
}

/* ---- parts ---- */

#define ALONE ((size_t)1 << 21)         /* elements that kernels have summed before another thread wakes up */

static size_t tuples_of(const Job *j, const uint32_t *ptr, size_t k)
{
    const size_t row = j->row ? j->row[k] : k;
    return ptr[row + 1] - ptr[row];
}

/* The part that begins with row r of `count` ends here: it has about PART_ELEMENTS elements of tuples × lanes. */
static size_t end_of_part(const Job *j, size_t r, size_t count, const uint32_t *ptr)
{
    const size_t L = j->L ? j->L : 1, most = PART_ELEMENTS * 4 / L;
    size_t end = r + 1, sum = ptr ? tuples_of(j, ptr, r) : 0;

    if (!ptr)
        return r + (PART_ELEMENTS / L ? PART_ELEMENTS / L : 1);
    if (j->fast && (size_t)j->leg->n * L <= ALONE)
        return count;
    for (; end < count && (sum += tuples_of(j, ptr, end)) <= most;)
        end++;
    return end;
}

static void cut_rows(Job *j, Arena *a, size_t count, const uint32_t *ptr)
{
    int n = 0;

    j->cut = NULL;
    VEC_PUSH(a, j->cut, n, 0);
    for (size_t r = 0; r < count;) {
        const size_t end = end_of_part(j, r, count, ptr);
        r = end < count ? end : count;
        VEC_PUSH(a, j->cut, n, r);
    }
    j->n_parts = n - 1;
    j->found = ARENA_ARRAY(a, Found, (size_t)j->n_parts * (size_t)j->r->lay.n_cols + 1);
    j->bad = ARENA_ARRAY(a, bool, j->n_parts + 1);
    j->failed = ARENA_ARRAY(a, bool, j->n_parts + 1);
}

static bool run_parts(Job *j, void (*fn)(void *, int))
{
    Native *n = j->n;
    Lay *y = &j->r->lay;

    if (j->leg->tape.serial || (size_t)j->n_parts < 2)
        for (int k = 0; k < j->n_parts; k++)
            fn(j, k);
    else
        pool_run(n->pool, j->n_parts, fn, j);
    for (int k = 0; k < j->n_parts; k++) {
        if (j->failed[k])
            return native_fail(n, E_ENV, ERR_native_memory, "no memory for registers");
        if (j->bad[k])
            return native_fail(n, E_INPUT, ERR_native_overflow, "an INTEGER computation leaves the range of 64 bits");
        for (int c = 0; c < y->n_cols; c++) {
            y->col[c].any_null |= j->found[(size_t)k * (size_t)y->n_cols + (size_t)c].any_null;
        }
    }
    return true;
}

static bool compute_rows(Job *j, Arena *a)
{
    for (int g = 0; g < j->r->plan.n_legs; g++) {
        j->leg = &j->r->plan.leg[g];
        cut_rows(j, a, j->leg->n, NULL);
        if (!run_parts(j, rows_part))
            return false;
    }
    return true;
}

/* MIN, MAX and nullable sums with lanes need to know what has no value yet. */
static bool need_unset(Job *j, Arena *a, Arr *mem)
{
    const Rel *r = j->r;
    const size_t N = lay_size(&r->lay);

    j->unset = ARENA_ARRAY(a, uint8_t *, r->b->n_cols + 1);
    for (int c = r->b->n_keys; r->plan.carried && !j->fast && c < r->b->n_cols; c++) {
        if (r->lay.col[c].kind == CK_val && r->b->col[c].agg == AGG_sum && !r->lay.col[c].nulls)
            continue;
        if (!arr_need(j->n, &mem[c], N))
            return false;
        j->unset[c] = mem[c].p;
    }
    return true;
}

static bool compute_reduce(Job *j, Arena *a)
{
    Arr *mem = ARENA_ARRAY(a, Arr, j->r->b->n_cols + 1);

    j->leg = &j->r->plan.leg[0];
    j->fast = all_fast(j->n, j->r, j->leg);
    bool ok = need_unset(j, a, mem);
    for (int c = j->r->b->n_keys; j->fast && ok && c < j->r->b->n_cols; c++)
        ok = order_factor(j, &j->leg->out[c]);
    if (j->fast && ok)
        drop_rows_of_factor(j);
    j->row = j->fast ? want_parts(j->n, j->r) : NULL;
    cut_rows(j, a, j->row ? (size_t)j->r->n_parts : j->leg->n_groups, j->leg->ptr);
    const bool done = ok && run_parts(j, reduce_part);
    for (int c = 0; c < j->r->b->n_cols; c++)
        arr_drop(j->n, &mem[c]);
    return done;
}

static bool compute_pick(Job *j, Arena *a)
{
    j->leg = &j->r->plan.leg[0];
    dict_ranks(&j->n->dict);                    /* now: threads only read it */
    cut_rows(j, a, j->leg->n_groups, j->leg->ptr);
    return run_parts(j, pick_part);
}

/* ---- memory of the output ---- */

static bool room_for_columns(Native *n, Lay *y)
{
    const size_t N = lay_size(y);

    for (int c = 0; c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        k->finite = true;
        k->unscanned = k->kind == CK_val;
        k->any_null = false;
        if (k->kind == CK_val) {
            if (!arr_take(n, &k->val_mem, N * n->esz) || (k->nulls && !arr_need(n, &k->null_mem, N)))
                return false;
            k->val = k->val_mem.p;
            k->null = k->null_mem.p;
        } else if (k->kind == CK_dyn) {
            if (!arr_need(n, &k->key_mem, N * sizeof(int64_t)))
                return false;
            k->key = k->key_mem.p;
        }
    }
    if (y->masked && !arr_need(n, &y->pres_mem, N))
        return false;
    y->pres = y->pres_mem.p;
    return true;
}

/* Values known since the symbolic phase, in all lanes. */
static void fill_known(Native *n, Lay *y)
{
    for (int c = 0; c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        if (k->kind != CK_val || !k->known)
            continue;
        for (size_t r = 0; r < y->R; r++) {
            n->k->from_codes(val_at(n, k, r * y->L), k->nulls ? k->null + r * y->L : NULL, k->key[r], y->L);
            k->any_null |= k->key[r] == KEY_NULL;
        }
        k->unscanned = true;
    }
}

bool plan_output_lanes(Native *n, Rel *r, size_t *L)
{
    const Lay *from = NULL;
    bool err = false;

    for (int k = 0; r->plan.laned && k < plan_reads(r) && !from; k++)
        if (r->plan.lane_col[k] >= 0 && plan_read_src(r, k) >= 0)
            from = plan_lay(n, r, k, &err);
    *L = from ? from->L : 1;
    return !err && lay_set_lanes(n, &r->lay, r->plan.carried && from ? from->lane_key : NULL,
                                 r->plan.carried ? *L : 1);
}

/* Nothing to compute: keys, and values known since they were settled. */
static bool all_settled(const Rel *r)
{
    bool any = r->lay.masked;

    for (int g = 0; g < r->plan.n_legs; g++)
        for (int c = 0; c < r->b->n_cols; c++)
            any |= !r->plan.leg[g].out[c].settled;
    return !any;
}

void plan_remember(Rel *r)
{
    for (int k = 0; k < plan_reads(r); k++)
        if (plan_read_src(r, k) >= 0)
            r->plan.seen[k].used_val = r->src[plan_read_src(r, k)]->lay.val_ver;
    r->plan.computed = true;
    r->plan.fresh = false;
}

/* What is computed once needs its lists no more. */
static void drop_lists(Native *n, Rel *r)
{
    for (int g = 0; g < r->plan.n_legs; g++) {
        Leg *leg = &r->plan.leg[g];
        arr_drop(n, &leg->ptr_mem);
        leg->ptr = NULL;
        for (int s = 0; s < leg->n_in; s++) {
            arr_drop(n, &leg->in[s].idx_mem);
            leg->in[s].idx = NULL;
        }
    }
    r->plan.lists_gone = true;
}

bool plan_compute(Native *n, Rel *r)
{
    Job j = { .n = n, .r = r };
    Arena a = { 0 };
    const uint64_t lanes = r->lay.lane_ver;
    bool ok = true;

    for (int g = 0; g < r->plan.n_legs; g++)
        if (!tape_ready(n, &r->plan.leg[g].tape))
            return false;
    if (!plan_output_lanes(n, r, &j.L))
        return false;
    if (all_settled(r) && r->plan.computed && !r->plan.fresh && lanes == r->lay.lane_ver) {
        plan_remember(r);
        return true;
    }
    j.out_L = r->plan.carried ? j.L : 1;
    if (!room_for_columns(n, &r->lay))
        return false;
    if (r->b->kind == BLK_reduce)
        ok = compute_reduce(&j, &a);
    else if (r->b->kind == BLK_pick)
        ok = compute_pick(&j, &a);
    else
        ok = compute_rows(&j, &a);
    arena_free(&a);
    if (!ok)
        return false;
    fill_known(n, &r->lay);
    r->lay.all_here = r->lay.masked && !memchr(r->lay.pres, 0, lay_size(&r->lay));
    r->lay.val_ver = ++n->clock;
    plan_remember(r);
    if (r->life == LIFE_static)
        drop_lists(n, r);
    return true;
}
