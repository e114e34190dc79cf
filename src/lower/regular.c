/* SPDX-License-Identifier: Apache-2.0
 *
 * regular.c - is a relation's row number a mixed-radix number whose digits its keys are made of?
 *
 * A column is a digit of stride s and extent n if key[r] = code[(r / s) % n] in every row.  A chain of digits with
 * strides 1, n1, n1 n2 … up to the number of rows makes the relation regular; where several columns offer a digit of
 * the same stride, the narrowest is taken, so that (channel * 5 + r) * 5 + c beside channel, r and c is seen as a form
 * of these.  The other columns must be affine forms of the digits. */
#include "lower/lower.h"

#include <stdlib.h>

typedef struct Digit { int col; int64_t stride, extent; } Digit;

typedef struct Look {
    Regular *out;
    Arena *a;
    const int64_t *const *key;
    const bool *ints;
    int64_t rows, null;
    bool loose;
    Digit *digit; int n_digits;
} Look;

#define MOST_LOOSE 65536                /* entries of lists that are kept where rows are no box */

static bool digit_holds(const Look *l, const Digit *d)
{
    const int64_t *k = l->key[d->col];

    for (int64_t r = 0, i = 0, run = 0; r < l->rows; r++) {
        if (k[r] != k[i * d->stride] || k[r] == l->null)
            return false;
        if (++run == d->stride) {
            run = 0;
            i = i + 1 == d->extent ? 0 : i + 1;
        }
    }
    return true;
}

static int by_code(const void *x, const void *y)
{
    const int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

    return (a > b) - (a < b);
}

bool regular_distinct_codes(const int64_t *code, int64_t n, int64_t stride, Arena *a)
{
    int64_t *v = ARENA_ARRAY(a, int64_t, n + 1);

    for (int64_t i = 0; i < n; i++)
        v[i] = code[i * stride];
    qsort(v, (size_t)n, sizeof *v, by_code);
    for (int64_t i = 1; i < n; i++)
        if (v[i] == v[i - 1])
            return false;
    return true;
}

/* The digit that column c would be: its first run, and the rows until its first key comes back. */
static void offer_digit(Look *l, int c)
{
    const int64_t *k = l->key[c];
    Digit d = { .col = c };

    while (d.stride < l->rows && k[d.stride] == k[0])
        d.stride++;
    if (d.stride == l->rows)
        return;                         /* one key in all rows: no digit */
    for (d.extent = 1; d.extent * d.stride < l->rows && k[d.extent * d.stride] != k[0];)
        d.extent++;
    if (l->rows % (d.stride * d.extent) == 0 && digit_holds(l, &d) &&
        regular_distinct_codes(k, d.extent, d.stride, l->a))
        VEC_PUSH(l->a, l->digit, l->n_digits, d);
}

static const Digit *narrowest(const Look *l, int64_t stride)
{
    const Digit *best = NULL;

    for (int k = 0; k < l->n_digits; k++)
        if (l->digit[k].stride == stride && (!best || l->digit[k].extent < best->extent))
            best = &l->digit[k];
    return best;
}

/* Keys that are no arithmetic sequence stay codes. */
static bool is_sequence(const Look *l, const Digit *d)
{
    const int64_t *k = l->key[d->col];
    int64_t step, next;

    if (!l->ints[d->col] || __builtin_sub_overflow(k[d->stride], k[0], &step))
        return false;
    for (int64_t i = 1; i < d->extent; i++)
        if (__builtin_sub_overflow(k[i * d->stride], k[(i - 1) * d->stride], &next) || next != step)
            return false;
    return true;
}

static bool add_dim(Look *l, const Digit *d)
{
    Regular *o = l->out;

    if (o->n_dims == REG_DIMS)
        return false;
    for (int k = o->n_dims; k > 0; k--) {               /* the widest stride first */
        o->extent[k] = o->extent[k - 1];
        o->stride[k] = o->stride[k - 1];
        o->codes[k] = o->codes[k - 1];
    }
    o->extent[0] = d->extent;
    o->stride[0] = d->stride;
    o->codes[0] = NULL;
    o->n_dims++;
    if (d->col < 0 || is_sequence(l, d))
        return true;
    int64_t *code = ARENA_ARRAY(l->a, int64_t, d->extent);
    for (int64_t i = 0; i < d->extent; i++)
        code[i] = l->key[d->col][i * d->stride];
    o->codes[0] = code;
    return true;
}

/* What no digits tell is one dimension more: keys are lists along it. */
static bool add_rest(Look *l, int64_t stride)
{
    const Digit rest = { -1, stride, l->rows / stride };

    return l->loose && l->rows % stride == 0 && rest.extent <= MOST_LOOSE && add_dim(l, &rest);
}

static bool find_chain(Look *l)
{
    int64_t stride = 1;

    while (stride < l->rows) {
        const Digit *d = narrowest(l, stride);
        if (!d)
            return add_rest(l, stride);
        if (!add_dim(l, d))
            return false;
        stride *= d->extent;
    }
    return stride == l->rows;
}

static bool form_holds(const Look *l, const int64_t *k, const Affine *f)
{
    const Regular *o = l->out;

    for (int64_t r = 0; r < l->rows; r++) {
        int64_t x = f->c;
        for (int d = 0; d < o->n_dims; d++)
            x += f->k[d] * (r / o->stride[d] % o->extent[d]);
        if (k[r] != x)
            return false;
    }
    return true;
}

static bool is_far(int64_t x)
{
    return x < -((int64_t)1 << 29) || x > (int64_t)1 << 29;
}

/* The form its values at the unit points suggest. */
static bool fit_form(const Look *l, int c, Affine *f)
{
    const Regular *o = l->out;
    const int64_t *k = l->key[c];

    *f = (Affine){ .c = k[0] };
    if (!l->ints[c] || is_far(k[0]))
        return false;
    for (int d = 0; d < o->n_dims; d++) {
        if (is_far(k[o->stride[d]]))
            return false;
        f->k[d] = k[o->stride[d]] - k[0];
    }
    return form_holds(l, k, f);
}

static bool fit_codes(const Look *l, int c, int *dim)
{
    const Regular *o = l->out;

    for (int d = 0; d < o->n_dims; d++) {
        bool same = o->codes[d] != NULL;
        for (int64_t r = 0; same && r < l->rows; r++)
            same = l->key[c][r] == o->codes[d][r / o->stride[d] % o->extent[d]];
        *dim = d;
        if (same)
            return true;
    }
    return false;
}

/* Any key that one dimension tells: what part of a union a row is of, say. */
static bool fit_list(const Look *l, int c, RegCol *col)
{
    const Regular *o = l->out;
    const int64_t *k = l->key[c];

    for (int d = 0; d < o->n_dims; d++) {
        bool same = true;
        for (int64_t r = 0; same && r < l->rows; r++)
            same = k[r] == k[r / o->stride[d] % o->extent[d] * o->stride[d]];
        if (!same)
            continue;
        int64_t *list = ARENA_ARRAY(l->a, int64_t, o->extent[d]);
        for (int64_t i = 0; i < o->extent[d]; i++)
            list[i] = k[i * o->stride[d]];
        *col = (RegCol){ .kind = REG_list, .dim = d, .list = list };
        return true;
    }
    return false;
}

/* Integers that are read as numbers. */
static void fit_numbers(const Look *l, int c, RegCol *col)
{
    int64_t least = INT64_MAX;

    for (int64_t r = 0; r < l->rows; r++) {
        if (is_far(l->key[c][r]))
            return;
        least = l->key[c][r] < least ? l->key[c][r] : least;
    }
    *col = (RegCol){ .kind = REG_count, .key.c = least };
}

static RegCol look_at_column(const Look *l, int c)
{
    RegCol col = { .kind = REG_affine };

    if (fit_form(l, c, &col.key))
        return col;
    col.kind = fit_codes(l, c, &col.dim) ? REG_codes : REG_none;
    if (col.kind == REG_none && !fit_list(l, c, &col) && l->ints[c])
        fit_numbers(l, c, &col);
    return col;
}

bool regular_look(Regular *out, Arena *a, int n_cols, const int64_t *const *key, const RegKind *kind, const bool *ints,
                  int64_t rows, int64_t null, bool loose)
{
    Look l = { out, a, key, ints, rows, null, loose, NULL, 0 };

    *out = (Regular){ .rows = rows, .n_cols = n_cols };
    if (rows <= 0)
        return false;
    for (int c = 0; c < n_cols; c++)
        if (key[c])
            offer_digit(&l, c);
    if (!find_chain(&l))
        return false;
    out->col = ARENA_ARRAY(a, RegCol, n_cols + 1);
    for (int c = 0; c < n_cols; c++) {
        out->col[c] = key[c] ? look_at_column(&l, c) : (RegCol){ .kind = kind[c] };
        if (out->col[c].kind == REG_count && !key[c])
            out->col[c].key.c = INT32_MIN;
        out->lanes |= out->col[c].kind == REG_lane;
    }
    return true;
}

bool regular_meets(const Regular *r, int64_t row)
{
    for (int k = 0; k < r->n_conds; k++) {
        int64_t x = r->cond[k].c;
        for (int d = 0; d < r->n_dims; d++)
            x += r->cond[k].k[d] * (row / r->stride[d] % r->extent[d]);
        if (x < 0)
            return false;
    }
    return true;
}

int64_t regular_key(const Regular *r, int c, int64_t row)
{
    const RegCol *k = &r->col[c];
    int64_t x = k->key.c;

    if (k->kind == REG_codes)
        return r->codes[k->dim][row / r->stride[k->dim] % r->extent[k->dim]];
    if (k->kind == REG_list)
        return k->list[row / r->stride[k->dim] % r->extent[k->dim]];
    for (int d = 0; d < r->n_dims; d++)
        x += k->key.k[d] * (row / r->stride[d] % r->extent[d]);
    return x;
}

bool regular_any_null(const Regular *r, int c)
{
    for (int64_t i = 0; r->col[c].kind == REG_list && i < r->extent[r->col[c].dim]; i++)
        if (r->col[c].list[i] == REG_NULL)
            return true;
    return false;
}

int64_t regular_distinct(const Regular *r, int c)
{
    const RegCol *k = &r->col[c];
    int64_t n = 1;

    if (k->kind == REG_codes)
        return r->extent[k->dim];
    for (int d = 0; k->kind == REG_affine && d < r->n_dims; d++)
        if (k->key.k[d]) {
            if (n > 1)
                return 0;
            n = r->extent[d];
        }
    return k->kind == REG_affine ? n : 0;
}
