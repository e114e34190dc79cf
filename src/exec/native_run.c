/* SPDX-License-Identifier: Apache-2.0
 *
 * native_run.c - the interpreter of register programs: one chunk of tuples × lanes at a time, every
 * instruction a loop over contiguous arrays.  Columns whose rows stand in tuple order are read in place. */
#include "exec/native.h"

#include <math.h>
#include <string.h>

typedef struct Chunk { size_t t0, nt, l0, nl, L, n; } Chunk;

bool frame_open(Native *n, Frame *f, const Tape *t, size_t cap)
{
    const size_t count = (size_t)t->n_regs + 1, lanes = (cap + 15) & ~(size_t)15, each = lanes * 8;
    const size_t ptrs = (4 * count * sizeof(void *) + 63) & ~(size_t)63;

    *f = (Frame){ .n = n, .t = t, .cap = lanes };
    f->mem = mem_try(ptrs + count * (each + lanes));
    if (!f->mem)
        return native_fail(n, E_ENV, ERR_native_memory, "no memory for %d registers", t->n_regs);
    f->data = f->mem;
    f->home = f->data + count;
    f->null = (uint8_t **)(f->home + count);
    f->home_null = f->null + count;
    for (int r = 0; r < t->n_regs; r++) {
        f->data[r] = f->home[r] = (char *)f->mem + ptrs + (size_t)r * (each + lanes);
        f->null[r] = f->home_null[r] = t->reg[r].nulls && t->reg[r].type == RT_real ? (uint8_t *)f->home[r] + each : NULL;
    }
    frame_run(f, 0, 0, 0, 0, 0);
    return true;
}

void frame_close(Frame *f)
{
    mem_free(f->mem);
    *f = (Frame){ 0 };
}

/* ---- loads ---- */

static const uint32_t zeros[CHUNK];

/* Rows of the chunk's tuples, or NULL if they are consecutive from *first. */
static const uint32_t *rows_of(const Input *in, const Chunk *c, size_t *first)
{
    *first = 0;
    if (in->always0)                                    /* its list, if it has one, is as long as the tuples, not as c */
        return zeros;
    if (in->idx)
        return in->idx + c->t0;
    *first = in->base + c->t0;
    return NULL;
}

static void load_real(Frame *f, const Ins *i, const Input *in, const LCol *k, const Chunk *c)
{
    const Reg *r = &f->t->reg[i->dst];
    const Kern *kern = f->n->k;
    const size_t esz = f->n->esz;
    const uint8_t *knull = k->nulls ? k->null : NULL;
    const bool lanes = in->laned;
    size_t first = 0;

    const uint32_t *ix = rows_of(in, c, &first);
    f->data[i->dst] = f->home[i->dst];
    f->null[i->dst] = f->home_null[i->dst];
    if (!ix) {                                          /* in place */
        const size_t at = lanes ? first * c->L + c->l0 : first;
        f->data[i->dst] = (char *)k->val + at * esz;
        if (r->nulls && knull)
            f->null[i->dst] = (uint8_t *)knull + at;
        else if (r->nulls)
            memset(f->null[i->dst], 0, lanes ? c->n : c->nt);
    } else if (lanes) {
        kern->gather_lanes(f->data[i->dst], f->null[i->dst], k->val, knull, ix, c->nt, c->L, c->l0, c->nl);
    } else {
        kern->gather(f->data[i->dst], f->null[i->dst], k->val, knull, ix, c->nt);
    }
}

static void gather_ints(int64_t *d, const int64_t *key, const uint32_t *ix, size_t first, size_t n)
{
    if (!ix) {
        memcpy(d, key + first, n * sizeof *d);
        return;
    }
    for (size_t k = 0; k < n; k++)
        d[k] = ix[k] == ROW_NONE ? KEY_NULL : key[ix[k]];
}

static void load_int(Frame *f, const Ins *i, const Input *in, const LCol *k, const Chunk *c)
{
    int64_t *d = f->home[i->dst];
    size_t first = 0;
    const uint32_t *ix = rows_of(in, c, &first);

    f->data[i->dst] = d;
    if (!in->laned || k->kind == CK_row) {
        const int64_t *key = in->laned ? k->key : lay_codes(f->n, in->lay, i->col);
        gather_ints(d, key, ix, first, c->nt);
        return;
    }
    for (size_t t = 0; t < c->nt; t++, d += c->nl) {    /* along the lanes: computed keys, or the lanes' own */
        const size_t row = ix ? ix[t] : first + t;
        const size_t at = row == ROW_NONE ? 0 : row * c->L;
        const int64_t *from = k->kind == CK_lane ? in->lay->lane_key + c->l0 : k->key + at + c->l0;
        for (size_t l = 0; l < c->nl; l++)
            d[l] = row == ROW_NONE ? KEY_NULL : from[l];
    }
}

static void load_here(Frame *f, const Ins *i, const Chunk *c)
{
    const Input *in = &f->t->in[i->src];
    const uint8_t *pres = in->lay->pres;
    uint8_t *d = f->home[i->dst];
    const size_t nl = in->laned ? c->nl : 1, L = in->laned ? c->L : 1, l0 = in->laned ? c->l0 : 0;
    size_t first = 0;
    const uint32_t *ix = rows_of(in, c, &first);

    for (size_t t = 0; t < c->nt; t++, d += nl) {
        const size_t row = ix ? ix[t] : first + t;
        for (size_t l = 0; l < nl; l++)
            d[l] = row == ROW_NONE ? 0 : (uint8_t)(2 * pres[row * L + l0 + l]);
    }
}

static void run_load(Frame *f, const Ins *i, const Chunk *c)
{
    const Input *in = &f->t->in[i->src];
    const LCol *k = &in->lay->col[i->col];

    if (k->type == T_REAL)
        load_real(f, i, in, k, c);
    else
        load_int(f, i, in, k, c);
}

/* ---- instructions ---- */

static void join_nulls(Frame *f, const Ins *i, size_t n)
{
    uint8_t *d = f->null[i->dst];
    const uint8_t *a = i->a >= 0 ? f->null[i->a] : NULL, *b = i->b >= 0 ? f->null[i->b] : NULL;

    if (!d)
        return;
    for (size_t k = 0; k < n; k++)
        d[k] = (a && a[k]) | (b && b[k]);
}

static void note_bad(Frame *f, const int64_t *a, size_t n)
{
    bool bad = false;

    for (size_t k = 0; k < n; k++)
        bad |= a[k] == KEY_BAD;
    f->bad |= bad;
}

static void run_lit(Frame *f, const Ins *i, size_t n)
{
    const Reg *r = &f->t->reg[i->dst];

    if (r->type == RT_real) {
        f->n->k->fill(f->data[i->dst], i->r, n);
        if (r->nulls)
            memset(f->null[i->dst], 1, n);
    } else if (r->type == RT_bool) {
        memset(f->data[i->dst], (int)i->i, n);
    } else {
        for (size_t k = 0; k < n; k++)
            ((int64_t *)f->data[i->dst])[k] = i->i;
    }
}

static void run_spread(Frame *f, const Ins *i, const Chunk *c)
{
    const Reg *r = &f->t->reg[i->dst];

    if (r->type == RT_real)
        f->n->k->spread(f->data[i->dst], f->data[i->a], c->nt, c->nl);
    for (size_t t = 0; t < c->nt; t++) {
        if (r->type == RT_real && r->nulls)
            memset(f->null[i->dst] + t * c->nl, f->null[i->a][t], c->nl);
        if (r->type == RT_bool)
            memset((uint8_t *)f->data[i->dst] + t * c->nl, ((uint8_t *)f->data[i->a])[t], c->nl);
        for (size_t l = 0; r->type == RT_int && l < c->nl; l++)
            ((int64_t *)f->data[i->dst])[t * c->nl + l] = ((int64_t *)f->data[i->a])[t];
    }
}

/* A weak LEFT source's column: NULL where there is no match. */
static void run_guard(Frame *f, const Ins *i, size_t n)
{
    const uint8_t *m = f->data[i->b], *was = f->null[i->a];

    if (f->t->reg[i->dst].type == RT_int) {
        for (size_t k = 0; k < n; k++)
            ((int64_t *)f->data[i->dst])[k] = m[k] == 2 ? ((int64_t *)f->data[i->a])[k] : KEY_NULL;
        return;
    }
    memcpy(f->data[i->dst], f->data[i->a], n * f->n->esz);
    for (size_t k = 0; k < n; k++)
        f->null[i->dst][k] = m[k] != 2 || (was && was[k]);
}

static void run_cmp(Frame *f, const Ins *i, size_t n)
{
    const uint8_t *a = f->null[i->a], *b = f->null[i->b];
    uint8_t *d = f->data[i->dst];

    f->n->k->cmp[i->op](d, f->data[i->a], f->data[i->b], n);
    for (size_t k = 0; (a || b) && k < n; k++)
        d[k] = (a && a[k]) || (b && b[k]) ? 1 : d[k];
}

static void run_same(Frame *f, const Ins *i, size_t n)
{
    uint8_t *d = f->data[i->dst];
    const uint8_t equal = i->op == OP_same ? 2 : 0;
    int64_t x[64], y[64];

    for (size_t at = 0; at < n; at += 64) {
        const size_t m = n - at < 64 ? n - at : 64;
        const int64_t *a = (const int64_t *)f->data[i->a] + at, *b = (const int64_t *)f->data[i->b] + at;
        if (f->t->reg[i->a].type == RT_real) {
            const size_t off = at * f->n->esz;
            f->n->k->codes(x, (char *)f->data[i->a] + off, f->null[i->a] ? f->null[i->a] + at : NULL, m);
            f->n->k->codes(y, (char *)f->data[i->b] + off, f->null[i->b] ? f->null[i->b] + at : NULL, m);
            a = x;
            b = y;
        } else {
            note_bad(f, a, m);
            note_bad(f, b, m);
        }
        for (size_t k = 0; k < m; k++)
            d[at + k] = a[k] == b[k] ? equal : 2 - equal;
    }
}

static void run_is_null(Frame *f, const Ins *i, size_t n)
{
    uint8_t *d = f->data[i->dst];
    const uint8_t yes = i->op == OP_is_null ? 2 : 0;
    const RegType type = f->t->reg[i->a].type;

    for (size_t k = 0; k < n; k++) {
        const bool null = type == RT_real ? f->null[i->a] && f->null[i->a][k]
                        : type == RT_int ? ((int64_t *)f->data[i->a])[k] == KEY_NULL
                        : ((uint8_t *)f->data[i->a])[k] == 1;
        d[k] = null ? yes : 2 - yes;
    }
}

static void select_nulls(Frame *f, const Ins *i, const uint8_t *c, size_t n)
{
    const uint8_t *x = f->null[i->a], *y = f->null[i->b];
    uint8_t *d = f->null[i->dst];

    for (size_t k = 0; d && k < n; k++)
        d[k] = c[k] == 2 ? x && x[k] : y && y[k];
}

static void run_sel(Frame *f, const Ins *i, size_t n)
{
    const uint8_t *c = f->data[i->c];
    const RegType type = f->t->reg[i->dst].type;

    if (type == RT_real) {
        f->n->k->sel(f->data[i->dst], c, f->data[i->a], f->data[i->b], n);
        select_nulls(f, i, c, n);
    } else if (type == RT_int) {
        for (size_t k = 0; k < n; k++)
            ((int64_t *)f->data[i->dst])[k] = ((int64_t *)f->data[c[k] == 2 ? i->a : i->b])[k];
    } else {
        for (size_t k = 0; k < n; k++)
            ((uint8_t *)f->data[i->dst])[k] = ((uint8_t *)f->data[c[k] == 2 ? i->a : i->b])[k];
    }
}

static void run_coalesce(Frame *f, const Ins *i, size_t n)
{
    const RegType type = f->t->reg[i->dst].type;

    if (type == RT_real) {
        const uint8_t *x = f->null[i->a], *y = f->null[i->b];
        f->n->k->pick_null(f->data[i->dst], x, f->data[i->a], f->data[i->b], n);
        for (size_t k = 0; f->null[i->dst] && k < n; k++)
            f->null[i->dst][k] = x[k] && y && y[k];
        return;
    }
    for (size_t k = 0; k < n; k++)
        if (type == RT_int)
            ((int64_t *)f->data[i->dst])[k] =
                ((int64_t *)f->data[((int64_t *)f->data[i->a])[k] == KEY_NULL ? i->b : i->a])[k];
        else
            ((uint8_t *)f->data[i->dst])[k] = ((uint8_t *)f->data[((uint8_t *)f->data[i->a])[k] == 1 ? i->b : i->a])[k];
}

static void run_nullif(Frame *f, const Ins *i, size_t n)
{
    const uint8_t *c = f->data[i->c], *was = f->null[i->a];
    const RegType type = f->t->reg[i->dst].type;

    if (type == RT_real) {
        memcpy(f->data[i->dst], f->data[i->a], n * f->n->esz);
        for (size_t k = 0; k < n; k++)
            f->null[i->dst][k] = c[k] == 2 || (was && was[k]);
        return;
    }
    for (size_t k = 0; k < n; k++)
        if (type == RT_int)
            ((int64_t *)f->data[i->dst])[k] = c[k] == 2 ? KEY_NULL : ((int64_t *)f->data[i->a])[k];
        else
            ((uint8_t *)f->data[i->dst])[k] = c[k] == 2 ? 1 : ((uint8_t *)f->data[i->a])[k];
}

static void run_logic(Frame *f, const Ins *i, size_t n)
{
    uint8_t *d = f->data[i->dst];
    const uint8_t *a = f->data[i->a], *b = i->b >= 0 ? f->data[i->b] : NULL;

    if (i->kind == IN_not)
        for (size_t k = 0; k < n; k++)
            d[k] = (uint8_t)(2 - a[k]);
    else if (i->kind == IN_and)
        for (size_t k = 0; k < n; k++)
            d[k] = a[k] < b[k] ? a[k] : b[k];
    else
        for (size_t k = 0; k < n; k++)
            d[k] = a[k] > b[k] ? a[k] : b[k];
}

/* ---- conversions ---- */

static void run_to_int(Frame *f, const Ins *i, size_t n)
{
    int64_t *d = f->data[i->dst];

    if (f->t->reg[i->a].type == RT_real) {
        f->n->k->to_int(d, f->data[i->a], f->null[i->a], n);
        return;
    }
    for (size_t k = 0; k < n; k++) {
        const uint8_t x = ((uint8_t *)f->data[i->a])[k];
        d[k] = x == 1 ? KEY_NULL : x / 2;
    }
}

static void run_to_bool(Frame *f, const Ins *i, size_t n)
{
    const int64_t *a = f->data[i->a];

    note_bad(f, a, n);
    for (size_t k = 0; k < n; k++)
        ((uint8_t *)f->data[i->dst])[k] = a[k] == KEY_NULL ? 1 : a[k] ? 2 : 0;
}

static void run_parse(Frame *f, const Ins *i, size_t n)
{
    const int64_t *a = f->data[i->a];

    for (size_t k = 0; k < n; k++) {
        const char *s = a[k] == KEY_NULL ? NULL : dict_text(&f->n->dict, a[k]);
        if (i->op == OP_to_int) {
            ((int64_t *)f->data[i->dst])[k] = s ? text_to_int(s) : KEY_NULL;
            continue;
        }
        val_set(f->n, f->data[i->dst], k, s ? text_to_real(s) : 0);
        if (f->null[i->dst])
            f->null[i->dst][k] = !s;
    }
}

static void run_print(Frame *f, const Ins *i, size_t n)
{
    const bool real = f->t->reg[i->a].type == RT_real;
    int64_t *d = f->data[i->dst];
    Buf text = { 0 };

    for (size_t k = 0; k < n; k++) {
        const int64_t x = real ? 0 : ((int64_t *)f->data[i->a])[k];
        text.n = 0;
        if (real ? f->null[i->a] && f->null[i->a][k] : !IS_KEY(x)) {
            d[k] = x;
            d[k] = real ? KEY_NULL : d[k];
            continue;
        }
        if (real)
            buf_real(&text, val_get(f->n, f->data[i->a], k));
        else
            buf_printf(&text, "%lld", (long long)x);
        d[k] = dict_code(&f->n->dict, text.s);
    }
    buf_free(&text);
}

/* ---- random numbers ---- */

static uint64_t text_key(const Frame *f, int64_t code)
{
    const char *s = IS_KEY(code) ? dict_text(&f->n->dict, code) : "";

    return hash_bytes(s, strlen(s));
}

static void run_place(Frame *f, const Ins *i, size_t n)
{
    const int64_t *place = f->data[i->a], *key = f->data[i->b];
    int64_t *restrict d = f->data[i->dst];

    note_bad(f, key, n);
    if (i->kind == IN_place_text)
        for (size_t k = 0; k < n; k++)
            d[k] = draw_place(place[k], text_key(f, key[k]));
    else
        for (size_t k = 0; k < n; k++)
            d[k] = draw_place(place[k], (uint64_t)key[k]);
    for (size_t k = 0; f->t->reg[i->dst].nulls && k < n; k++)
        if (place[k] == KEY_NULL || key[k] == KEY_NULL)
            d[k] = KEY_NULL;
}

static void run_draw(Frame *f, const Ins *i, size_t n)
{
    const int64_t *place = f->data[i->a], *seed = f->data[i->b], *step = f->data[i->c];
    const bool constant = f->t->reg[i->b].shape == SH_const && f->t->reg[i->c].shape == SH_const;
    uint8_t *null = f->null[i->dst];
    char *d = f->data[i->dst];

    if (constant)
        f->n->k->draw(d, i->i, *seed, *step, place, n);
    for (size_t k = 0; !constant && k < n; k++)
        f->n->k->draw(d + k * f->n->esz, i->i, seed[k], step[k], &place[k], 1);
    for (size_t k = 0; null && k < n; k++)
        null[k] = !IS_KEY(place[k]) || !IS_KEY(seed[k]) || !IS_KEY(step[k]);
}

static void run_ins(Frame *f, const Ins *i, const Chunk *c)
{
    const size_t n = f->t->reg[i->dst].shape == SH_tuple ? c->nt : c->n;
    void *d = f->data[i->dst];
    const void *a = i->a >= 0 ? f->data[i->a] : NULL, *b = i->b >= 0 ? f->data[i->b] : NULL;

    switch (i->kind) {
    case IN_load: run_load(f, i, c); return;
    case IN_pres: load_here(f, i, c); return;
    case IN_lit: run_lit(f, i, n); return;
    case IN_spread: run_spread(f, i, c); return;
    case IN_guard: run_guard(f, i, n); return;
    case IN_real:
        f->n->k->real[i->op](d, a, b, n);
        join_nulls(f, i, n);
        return;
    case IN_int: ints_op(i->op, d, a, b, n); return;
    case IN_cmp: run_cmp(f, i, n); return;
    case IN_cmp_int: ints_compare(i->op, d, a, b, n, &f->bad); return;
    case IN_cmp_text: texts_compare(&f->n->dict, i->op, d, a, b, n); return;
    case IN_extreme_text: texts_extreme(&f->n->dict, i->op == OP_max, d, a, b, n); return;
    case IN_and: case IN_or: case IN_not: run_logic(f, i, n); return;
    case IN_same: run_same(f, i, n); return;
    case IN_is_null: run_is_null(f, i, n); return;
    case IN_sel: run_sel(f, i, n); return;
    case IN_coalesce: run_coalesce(f, i, n); return;
    case IN_nullif: run_nullif(f, i, n); return;
    case IN_to_real:
        note_bad(f, a, n);
        f->n->k->from_int(d, f->null[i->dst], a, n);
        return;
    case IN_to_int: run_to_int(f, i, n); return;
    case IN_to_bool: run_to_bool(f, i, n); return;
    case IN_parse: run_parse(f, i, n); return;
    case IN_print: run_print(f, i, n); return;
    case IN_place: case IN_place_text: run_place(f, i, n); return;
    case IN_draw: run_draw(f, i, n); return;
    }
    BUG("frame: instruction %d", (int)i->kind);
}

/* With nt == 0: the constants, whole registers of them. */
void frame_run(Frame *f, size_t t0, size_t nt, size_t l0, size_t nl, size_t L)
{
    const Chunk c = { t0, nt, l0, nl, L, nt * nl }, whole = { 0, f->cap, 0, 1, 1, f->cap };

    for (int k = 0; k < f->t->n_ins; k++) {
        const Ins *i = &f->t->ins[k];
        const bool constant = f->t->reg[i->dst].shape == SH_const;
        if (constant == (nt == 0))
            run_ins(f, i, constant ? &whole : &c);
    }
}

void frame_codes(Frame *f, int r, size_t count, int64_t *out)
{
    const RegType type = f->t->reg[r].type;

    if (type == RT_real)
        f->n->k->codes(out, f->data[r], f->null[r], count);
    else if (type == RT_int)
        memcpy(out, f->data[r], count * sizeof *out);
    for (size_t k = 0; type == RT_bool && k < count; k++) {
        const uint8_t x = ((uint8_t *)f->data[r])[k];
        out[k] = x == 1 ? KEY_NULL : x / 2;
    }
}
