/* SPDX-License-Identifier: Apache-2.0
 *
 * native_fill.c - the numbers of a batch, from the table into blocks of lanes (nest.h), a block at a time: by all
 * threads, or while the batch before it is worked on.  A block depends on the table and the lanes drawn alone. */
#include "exec/native.h"

#include <string.h>

#define WORTH_WAKING 100000             /* numbers, for which another thread is woken */

/* Are the table's numbers first + step * byte, to the last bit? */
static bool is_arithmetic(const Native *n, ByteNumbers *as, const double *lut)
{
    uint8_t all[256];
    double out[256];

    for (int v = 0; v < 256; v++)
        all[v] = (uint8_t)v;
    as->even = true;
    as->first = lut[0];
    as->step = (lut[255] - lut[0]) / 255;
    n->k->bytes(out, all, as, 256);
    return !memcmp(out, as->number, 256 * n->esz);
}

bool fill_is_long(size_t R, size_t L)
{
    return R * L >= WORTH_WAKING;
}

Fill *fill_new(Native *n, Arena *a, const TableCol *k, const void *own, const uint32_t *lane, size_t R, size_t L)
{
    Fill *f = ARENA_NEW(a, Fill);

    *f = (Fill){ .n = n, .from = k, .own = own, .lane = lane, .R = R, .L = L, .W = nest_width(n) };
    if (k->bytes) {
        for (int v = 0; v < 256; v++)
            val_set(n, f->number, (size_t)v, k->lut[v]);
        f->as.number = f->number;
        f->as.even = is_arithmetic(n, &f->as, k->lut);
    }
    return f;
}

int fill_blocks(const Fill *f)
{
    return (int)((f->L + f->W - 1) / f->W);
}

/* Lanes behind the last hold 0. */
static void clear_behind(const Fill *f, char *to, size_t m)
{
    const size_t esz = f->n->esz;

    for (size_t r = 0; m < f->W && r < f->R; r++)
        memset(to + (r * f->W + m) * esz, 0, (f->W - m) * esz);
}

/* A few rows of each lane at a time: they are read one after the other, and written while those around them are near. */
#define TURN_NUMBERS(To, From)                                                                     \
    for (size_t r0 = 0; r0 < f->R; r0 += 16)                                                       \
        for (size_t w = 0; w < f->W; w++)                                                          \
            for (size_t r = r0; r < f->R && r < r0 + 16; r++)                                      \
                ((To *)to)[r * f->W + w] = (To)((const From *)from[w])[r];

static void turn_numbers(const Fill *f, const void *const *from, void *to)
{
    if (f->n->o.f64)
        TURN_NUMBERS(double, double)
    else if (f->own)
        TURN_NUMBERS(float, float)
    else
        TURN_NUMBERS(float, double)
}

void fill_block(const Fill *f, int block)
{
    const size_t W = f->W, l0 = (size_t)block * W, m = f->L - l0 < W ? f->L - l0 : W;
    char *to = (char *)f->to + l0 * f->R * f->n->esz;
    const uint8_t *byte[64];
    const void *number[64];

    for (size_t w = 0; w < W; w++) {
        const size_t at = (size_t)f->lane[w < m ? l0 + w : l0] * f->R;
        byte[w] = f->from->bytes ? f->from->bytes + at : NULL;
        number[w] = f->own ? (const char *)f->own + at * f->n->esz : (const char *)f->from->r + at * sizeof(double);
    }
    if (f->from->bytes && !f->own)
        f->n->k->bytes_to_lanes(to, byte, &f->as, f->R, W);
    else
        turn_numbers(f, number, to);
    clear_behind(f, to, m);
}

static void fill_part(void *arg, int part)
{
    fill_block(arg, part);
}

void fill_now(const Fill *f)
{
    Pool *pool = fill_is_long(f->R, f->L) ? f->n->pool : NULL;

    pool_run(pool, fill_blocks(f), fill_part, (void *)(uintptr_t)f);
}

/* ---- the batch that comes next ---- */

static void fill_later(void *arg, int part)
{
    const Native *n = arg;
    int k = 0;

    for (; part >= fill_blocks(n->later[k]); k++)
        part -= fill_blocks(n->later[k]);
    fill_block(n->later[k], part);
}

void later_start(Native *n)
{
    int parts = 0;

    for (int k = 0; k < n->n_later; k++)
        parts += fill_blocks(n->later[k]);
    if (parts)
        pool_later(n->pool, parts, fill_later, n);
}

void later_finish(Native *n)
{
    if (n->n_later)
        pool_finish(n->pool);
    n->later = NULL;
    n->n_later = 0;
    arena_free(&n->later_arena);
}
