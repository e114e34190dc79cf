/* SPDX-License-Identifier: Apache-2.0
 *
 * concat.c - unions of boxes of several sizes as one box, each part written to its slice by a nest or a copy of its own.
 *
 *   along a dimension   the parts agree in all others, and their keys continue each other along it (channels 0 to 15 of
 *                       one table, 16 to 47 of another)
 *   hull                nobody can tell a missing row from a 0: each part has a box that all fit into, with zeros round it
 *   behind each other   whatever their keys are: these are lists along one dimension then, in the order of the text,
 *                       that of a dimension in which the parts differ alone, or of all rows
 *
 * Which part a row is of is a list along that dimension as well; conditions on it leave a slice (lists.c). */
#include "lower/block.h"

#include <stdlib.h>
#include <string.h>

#define MOST_ENTRIES (1 << 20)          /* of lists */
#define MOST_WASTE   4                  /* a hull has so many times the rows of its parts at most … */
#define SMALL_HULL   (1 << 14)          /* … or so many in all */
#define FAR          ((int64_t)1 << 29) /* keys of an affine form */

typedef struct Concat {
    Lower *l;
    int n_parts;
    const Regular **rows;       /* by part */
    RegCol **key;               /* by part and column; a NULL is a list of no dimension */
    int (*dim)[REG_DIMS];       /* by part: dimension of the result, by its own; -1: `along`, all dimensions of it together */
    int *own;                   /* by part: its dimension along which it continues the others; -1: none */
    int *order;                 /* parts as they stand behind each other */
    int64_t *first;             /* by part: the number along the dimension, or the row, at which it begins */
    int64_t *len;               /* by part: its numbers there */
    int64_t total;
    bool flat;                  /* all rows are behind each other */
    Affine *at;                 /* by part: the row of the result, over its own dimensions */
} Concat;

/* ---- keys of the parts ---- */

/* The variables of part p, which are its loops. */
static bool part_space(Concat *x, int p)
{
    Lower *l = x->l;
    const Regular *r = x->rows[p];

    l->s = (Space){ .a = l->work, .closed = true };
    l->var0[l->b->part[p].src] = 0;
    for (int d = 0; d < r->n_dims; d++) {
        if (space_var(&l->s, 0, r->extent[d] - 1, r->codes[d]) < 0)
            return false;
        l->loop_of[d] = d;
    }
    return true;
}

static bool concat_key(Concat *x, int p, int c)
{
    Lower *l = x->l;
    const Expr *e = l->b->part[p].e[c];
    RegCol *k = &x->key[p][c];
    Lin form;

    if (l->b->col[c].type == T_REAL)
        return true;
    *k = (RegCol){ .kind = REG_list, .dim = -1 };
    if (e->op == OP_lit_null)
        return true;
    if (e->op == OP_col && low_col(l, e)->kind != REG_affine) {
        *k = *low_col(l, e);
        if (k->kind == REG_codes)
            k->list = x->rows[p]->codes[k->dim];
        return k->kind == REG_lane || k->kind == REG_codes || k->kind == REG_list || low_refuse(l, "a key is not affine");
    }
    if (!low_lin(l, e, &form))
        return false;
    k->kind = REG_affine;
    k->key = low_over_loops(l, &form);
    return true;
}

static bool concat_keys(Concat *x)
{
    const Block *b = x->l->b;

    for (int p = 0; p < x->n_parts; p++) {
        if (x->rows[p]->winner || x->rows[p]->lanes != x->rows[0]->lanes || !part_space(x, p))
            return low_refuse(x->l, "it is a union of different boxes");
        for (int c = 0; c < b->n_cols; c++) {
            if (!concat_key(x, p, c))
                return false;
            if ((x->key[p][c].kind == REG_lane) != (x->key[0][c].kind == REG_lane))
                return low_refuse(x->l, "it is a union of different boxes");
        }
    }
    return true;
}

static bool has_keys(const Concat *x, int c)
{
    return x->l->b->col[c].type != T_REAL && x->key[0][c].kind != REG_lane;
}

/* Does the key depend on dimension d? */
static bool runs_along(const RegCol *k, int d)
{
    return k->kind == REG_affine ? k->key.k[d] != 0 : k->dim == d;
}

/* … of part p, at number i of its own dimension (or row i, where rows stand behind each other) and 0 of the others. */
static int64_t key_along(const Concat *x, int p, int c, int64_t i)
{
    const RegCol *k = &x->key[p][c];
    const Regular *r = x->rows[p];
    int64_t sum = k->key.c;

    if (k->kind == REG_list && k->dim < 0)
        return REG_NULL;
    if (k->kind != REG_affine)
        return k->list[x->flat ? i / r->stride[k->dim] % r->extent[k->dim] : i];
    for (int d = 0; x->flat && d < r->n_dims; d++)
        sum += k->key.k[d] * (i / r->stride[d] % r->extent[d]);
    return x->flat || x->own[p] < 0 ? sum : sum + k->key.k[x->own[p]] * i;
}

/* ---- the other dimensions ---- */

/* Does dimension e of part p do for key c what dimension d of part 0 does? */
static bool says_same(const Concat *x, int c, int d, int p, int e)
{
    const RegCol *k = &x->key[0][c], *m = &x->key[p][c];

    if (!runs_along(k, d) && !runs_along(m, e))
        return true;
    if (k->kind == REG_affine || m->kind == REG_affine)
        return k->kind == m->kind && k->key.k[d] == m->key.k[e];
    return k->kind == m->kind && k->dim == d && m->dim == e &&
           !memcmp(k->list, m->list, (size_t)x->rows[0]->extent[d] * sizeof *k->list);
}

static bool same_dims(const Concat *x, int d, int p, int e)
{
    const Regular *r = x->rows[0], *s = x->rows[p];
    bool ok = r->extent[d] == s->extent[e] && !r->codes[d] == !s->codes[e];

    ok = ok && (!r->codes[d] || !memcmp(r->codes[d], s->codes[e], (size_t)r->extent[d] * sizeof *r->codes[d]));
    for (int c = 0; ok && c < x->l->b->n_cols; c++)
        ok = !has_keys(x, c) || says_same(x, c, d, p, e);
    return ok;
}

/* Part p continues the others along its dimension `own` (-1: it has one number of it) if all others are those of part 0,
 * which are numbered by `dim`. */
static bool others_agree(Concat *x, int p, int own, const int *dim)
{
    const Regular *r = x->rows[0], *s = x->rows[p];
    bool used[REG_DIMS] = { false };

    for (int d = 0; d < r->n_dims; d++) {
        int e = 0;
        if (dim[d] < 0)
            continue;
        while (e < s->n_dims && (e == own || used[e] || !same_dims(x, d, p, e)))
            e++;
        if (e == s->n_dims)
            return false;
        used[e] = true;
        x->dim[p][e] = dim[d];
    }
    for (int e = 0; e < s->n_dims; e++)
        if (!used[e] && e != own)
            return false;
    x->own[p] = own;
    x->len[p] = own < 0 ? 1 : s->extent[own];
    if (own >= 0)
        x->dim[p][own] = -1;
    return true;
}

/* Conditions on the rows are the same, and none of the dimension along. */
static bool conditions_agree(const Concat *x, int p)
{
    const Regular *r = x->rows[0], *s = x->rows[p];

    if (r->n_conds != s->n_conds)
        return false;
    for (int k = 0; k < r->n_conds; k++) {
        int64_t f[REG_DIMS + 1] = { 0 };
        for (int d = 0; d < r->n_dims; d++)
            f[x->dim[0][d] + 1] += r->cond[k].k[d];
        for (int d = 0; d < s->n_dims; d++)
            f[x->dim[p][d] + 1] -= s->cond[k].k[d];
        for (int d = 0; d <= REG_DIMS; d++)
            if (f[d] || r->cond[k].c != s->cond[k].c)
                return false;
        for (int d = 0; d < r->n_dims; d++)
            if (x->dim[0][d] < 0 && r->cond[k].k[d])
                return false;
    }
    return true;
}

/* ---- the order of the parts ---- */

static bool steps_evenly(const int64_t *key, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (key[i] <= -FAR || key[i] >= FAR || (i > 1 && key[i] - key[i - 1] != key[1] - key[0]))
            return false;
    return n < 2 || key[1] != key[0];
}

/* The keys of column c along the dimension, in the order of the parts. */
static int64_t *keys_along(const Concat *x, int c)
{
    int64_t *key = ARENA_ARRAY(x->l->a, int64_t, x->total + 1), n = 0;

    for (int k = 0; k < x->n_parts; k++)
        for (int64_t i = 0; i < x->len[x->order[k]]; i++)
            key[n++] = key_along(x, x->order[k], c, i);
    return key;
}

static bool any_part_of(const Concat *x, int c, RegKind kind)
{
    for (int p = 0; p < x->n_parts; p++)
        if (x->key[p][c].kind == kind)
            return true;
    return false;
}

/* A list of one of the dimensions that all have in common. */
static bool is_common_list(const Concat *x, int c)
{
    return !x->flat && x->key[0][c].kind != REG_affine && x->key[0][c].dim >= 0 && x->key[0][c].dim != x->own[0];
}

static bool put_in_order(Concat *x, int c)
{
    for (int p = 0; p < x->n_parts; p++) {
        int at = 0;
        for (int q = 0; q < x->n_parts; q++)
            at += key_along(x, q, c, 0) < key_along(x, p, c, 0) || (q < p && key_along(x, q, c, 0) == key_along(x, p, c, 0));
        x->order[at] = p;
    }
    return steps_evenly(keys_along(x, c), x->total);
}

/* Do the keys of a column continue each other in some order of the parts? */
static bool order_parts_along(Concat *x)
{
    for (int c = 0; c < x->l->b->n_cols; c++)
        if (has_keys(x, c) && x->l->b->col[c].type == T_INT && !is_common_list(x, c) && !any_part_of(x, c, REG_codes) &&
            put_in_order(x, c))
            return true;
    return false;
}

static bool is_small(Concat *x)
{
    x->total = 0;
    for (int p = 0; p < x->n_parts; p++)
        x->total += x->len[p];
    return x->total < MOST_ENTRIES || low_refuse(x->l, "its lists are too long");
}

/* ---- the result ---- */

/* A key of the result, whose dimension `along` tells what the parts' own ones did. */
static bool key_of_all(Concat *x, int c, int along, RegCol *k)
{
    const int64_t *list;

    *k = (RegCol){ .kind = REG_affine };
    for (int d = 0; !x->flat && x->key[0][c].kind == REG_affine && d < x->rows[0]->n_dims; d++)
        if (x->dim[0][d] >= 0)
            k->key.k[x->dim[0][d]] = x->key[0][c].key.k[d];
    if (is_common_list(x, c)) {
        const int d = x->key[0][c].dim;
        *k = (RegCol){ .kind = x->key[0][c].kind, .dim = x->dim[0][d],
                       .list = low_own_codes(x->l, x->key[0][c].list, x->rows[0]->extent[d]) };
        return true;
    }
    list = keys_along(x, c);
    bool moves = false, other = false;
    for (int d = 0; d < MAX_LOOPS; d++)
        other |= k->key.k[d] != 0;
    for (int64_t i = 1; i < x->total; i++)
        moves |= list[i] != list[0];
    const bool plain = x->l->b->col[c].type == T_INT && list[0] > -FAR && list[0] < FAR;
    if (plain && (!moves || steps_evenly(list, x->total))) {
        k->key.c = list[0];
        k->key.k[along] = moves ? list[1] - list[0] : 0;
        return true;
    }
    k->kind = REG_list;
    k->dim = along;
    k->list = list;
    return !other || low_refuse(x->l, "it is a union of different boxes");
}

static bool keys_of_all(Concat *x, int along)
{
    const Block *b = x->l->b;
    Regular *out = &x->l->out->out;

    out->n_cols = b->n_cols;
    out->col = ARENA_ARRAY(x->l->a, RegCol, b->n_cols + 1);
    for (int c = 0; c < b->n_cols; c++) {
        if (!has_keys(x, c))
            out->col[c].kind = b->col[c].type == T_REAL ? REG_value : REG_lane;
        else if (!key_of_all(x, c, along, &out->col[c]))
            return false;
    }
    return true;
}

static void place_parts(Concat *x)
{
    int64_t n = 0;

    for (int k = 0; k < x->n_parts; k++) {
        x->first[x->order[k]] = n;
        n += x->len[x->order[k]];
    }
}

static bool number_rows_of_all(Concat *x, Regular *out)
{
    out->rows = 1;
    for (int d = out->n_dims - 1; d >= 0; d--) {
        out->stride[d] = out->rows;
        if (__builtin_mul_overflow(out->rows, out->extent[d], &out->rows) || out->rows >= UINT32_MAX)
            return low_refuse(x->l, "it has too many rows");
    }
    return true;
}

/* Dimensions of part 0, its own in its place or before all; the rows that each part writes. */
static bool rows_of_all(Concat *x, int along, int n_dims)
{
    const Regular *r = x->rows[0];
    Regular *out = &x->l->out->out;

    *out = (Regular){ .n_dims = n_dims, .lanes = r->lanes };
    out->extent[along] = x->total;
    for (int d = 0; !x->flat && d < r->n_dims; d++)
        if (x->dim[0][d] >= 0) {
            out->extent[x->dim[0][d]] = r->extent[d];
            out->codes[x->dim[0][d]] = low_own_codes(x->l, r->codes[d], r->extent[d]);
        }
    place_parts(x);
    if (!number_rows_of_all(x, out) || !keys_of_all(x, along))
        return false;
    for (int k = 0; !x->flat && k < r->n_conds; k++) {
        Affine f = { .c = r->cond[k].c };
        for (int d = 0; d < r->n_dims; d++)
            f.k[x->dim[0][d] < 0 ? along : x->dim[0][d]] += r->cond[k].k[d];
        VEC_PUSH(x->l->a, out->cond, out->n_conds, f);
    }
    for (int p = 0; p < x->n_parts; p++) {
        x->at[p] = (Affine){ .c = x->first[p] * out->stride[along] };
        for (int d = 0; d < x->rows[p]->n_dims; d++)
            x->at[p].k[d] = x->flat ? x->rows[p]->stride[d] : out->stride[x->dim[p][d] < 0 ? along : x->dim[p][d]];
    }
    return true;
}

/* ---- along a dimension ---- */

static bool parts_continue(Concat *x, int own, bool ordered)
{
    const Regular *r = x->rows[0];
    const int along = own < 0 ? 0 : own;
    int dim[REG_DIMS];

    if (own < 0 && r->n_dims == REG_DIMS)
        return false;
    for (int d = 0; d < r->n_dims; d++)
        dim[d] = d == own ? -1 : own < 0 ? d + 1 : d;
    memcpy(x->dim[0], dim, sizeof dim);
    x->own[0] = own;
    x->len[0] = own < 0 ? 1 : r->extent[own];
    for (int p = 1; p < x->n_parts; p++) {
        int e = -1;
        while (e < x->rows[p]->n_dims && !others_agree(x, p, e, dim))
            e++;
        if (e == x->rows[p]->n_dims || !conditions_agree(x, p))
            return false;
    }
    if (!is_small(x))
        return false;
    for (int p = 0; p < x->n_parts; p++)
        x->order[p] = p;
    return (!ordered || order_parts_along(x)) && rows_of_all(x, along, own < 0 ? r->n_dims + 1 : r->n_dims);
}

static bool along_a_dimension(Concat *x, bool ordered)
{
    for (int own = 0; own <= x->rows[0]->n_dims; own++)
        if (parts_continue(x, own < x->rows[0]->n_dims ? own : -1, ordered))
            return true;
    return false;
}

/* All rows, whatever their dimensions. */
static bool behind_each_other(Concat *x)
{
    x->flat = true;
    for (int p = 0; p < x->n_parts; p++) {
        if (x->rows[p]->n_conds)
            return low_refuse(x->l, "it is a union of different boxes");
        x->order[p] = p;
        x->len[p] = x->rows[p]->rows;
    }
    return is_small(x) && rows_of_all(x, 0, 1);
}

/* ---- a hull ---- */

/* The one dimension that the key depends on; -1: none; -2: several. */
static int only_dim(const RegCol *k, int n_dims)
{
    int found = -1;

    if (k->kind != REG_affine)
        return k->dim;
    for (int d = 0; d < n_dims; d++)
        if (k->key.k[d])
            found = found == -1 ? d : -2;
    return found;
}

static int64_t common_step(int64_t a, int64_t b)
{
    for (a = llabs(a), b = llabs(b); b;) {
        const int64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* Column c as a dimension of the hull; *step: between two numbers of it.  False: it does not tell one. */
static bool hull_of_column(const Concat *x, int c, int64_t *lo, int64_t *extent, int64_t *step)
{
    int64_t hi = INT64_MIN;

    *lo = INT64_MAX;
    *step = 0;
    for (int p = 0; p < x->n_parts; p++) {
        const RegCol *k = &x->key[p][c];
        const int d = only_dim(k, x->rows[p]->n_dims);
        if (k->kind != REG_affine || d == -2)
            return false;
        const int64_t a = k->key.c, b = d < 0 ? a : a + k->key.k[d] * (x->rows[p]->extent[d] - 1);
        *lo = a < *lo ? a : *lo;
        *lo = b < *lo ? b : *lo;
        hi = a > hi ? a : hi;
        hi = b > hi ? b : hi;
        *step = common_step(*step, d < 0 ? 0 : k->key.k[d]);
    }
    for (int p = 0; p < x->n_parts; p++)
        *step = common_step(*step, x->key[p][c].key.c - *lo);
    *extent = *step ? (hi - *lo) / *step + 1 : 1;
    return *lo > -FAR && hi < FAR;
}

static bool is_constant_everywhere(const Concat *x, int c)
{
    for (int p = 0; p < x->n_parts; p++)
        if (x->key[p][c].kind != REG_affine || only_dim(&x->key[p][c], x->rows[p]->n_dims) != -1)
            return false;
    return true;
}

/* Codes that are the same in all parts. */
static bool same_codes_everywhere(const Concat *x, int c)
{
    const RegCol *k = &x->key[0][c];

    for (int p = 0; p < x->n_parts; p++) {
        const RegCol *m = &x->key[p][c];
        if (m->kind != REG_codes || x->rows[p]->extent[m->dim] != x->rows[0]->extent[k->dim] ||
            memcmp(m->list, k->list, (size_t)x->rows[0]->extent[k->dim] * sizeof *k->list))
            return false;
    }
    return true;
}

/* Part p's dimension of key c is number d of the hull. */
static bool hull_dim(Concat *x, int p, int c, int d, int64_t lo, int64_t step, bool *used)
{
    const Regular *r = x->rows[p];
    const RegCol *k = &x->key[p][c];
    const int e = only_dim(k, r->n_dims);
    const int64_t stride = x->l->out->out.stride[d];

    if (k->kind == REG_affine)
        x->at[p].c += step ? (k->key.c - lo) / step * stride : 0;
    if (e < 0)
        return true;
    if (used[e])
        return false;
    used[e] = true;
    x->at[p].k[e] = stride * (k->kind == REG_affine ? k->key.k[e] / step : 1);
    return true;
}

static bool dims_of_hull(Concat *x, int64_t *lo, int64_t *step)
{
    const Block *b = x->l->b;
    Regular *out = &x->l->out->out;

    *out = (Regular){ .n_dims = 1, .n_cols = b->n_cols, .lanes = x->rows[0]->lanes, .gaps = true };
    out->extent[0] = x->n_parts;
    out->col = ARENA_ARRAY(x->l->a, RegCol, b->n_cols + 1);
    for (int c = 0; c < b->n_cols; c++) {
        RegCol *k = &out->col[c];
        k->kind = b->col[c].type == T_REAL ? REG_value : REG_lane;
        if (!has_keys(x, c))
            continue;
        if (is_constant_everywhere(x, c)) {
            *k = (RegCol){ .kind = REG_list, .dim = 0, .list = ARENA_ARRAY(x->l->a, int64_t, x->n_parts) };
            for (int p = 0; p < x->n_parts; p++)
                ((int64_t *)(uintptr_t)k->list)[p] = x->key[p][c].key.c;
            if (!steps_evenly(k->list, x->n_parts))
                continue;
            *k = (RegCol){ .kind = REG_affine, .key = { .c = k->list[0], .k = { k->list[1] - k->list[0] } } };
            continue;
        }
        const int d = out->n_dims++;
        if (d == REG_DIMS)
            return false;
        k->dim = d;
        if (same_codes_everywhere(x, c)) {
            k->kind = REG_codes;
            out->extent[d] = x->rows[0]->extent[x->key[0][c].dim];
            out->codes[d] = low_own_codes(x->l, x->key[0][c].list, out->extent[d]);
        } else if (hull_of_column(x, c, &lo[c], &out->extent[d], &step[c])) {
            *k = (RegCol){ .kind = REG_affine, .key.c = lo[c], .dim = d };
            k->key.k[d] = step[c];
        } else {
            return false;
        }
    }
    return true;
}

/* A box that all parts fit into, once for each of them. */
static bool in_a_hull(Concat *x)
{
    const Block *b = x->l->b;
    Regular *out = &x->l->out->out;
    int64_t *lo = ARENA_ARRAY(x->l->work, int64_t, b->n_cols + 1), *step = ARENA_ARRAY(x->l->work, int64_t, b->n_cols + 1);
    int64_t sum = 0;

    if (!x->l->blind || !dims_of_hull(x, lo, step) || !number_rows_of_all(x, out))
        return false;
    for (int p = 0; p < x->n_parts; p++) {
        bool used[REG_DIMS] = { false };
        x->at[p] = (Affine){ .c = p * out->stride[0] };
        for (int c = 0; c < b->n_cols; c++)
            if (has_keys(x, c) && !is_constant_everywhere(x, c) &&
                !hull_dim(x, p, c, out->col[c].dim, lo[c], step[c], used))
                return false;
        for (int d = 0; d < x->rows[p]->n_dims; d++)
            if (!used[d] || x->rows[p]->n_conds)
                return false;
        sum += x->rows[p]->rows;
    }
    return out->rows <= SMALL_HULL || out->rows <= sum * MOST_WASTE;
}

/* ---- nests ---- */

/* Is all of the part a copy of whole buffers, row by row? */
static bool copies_part(const Concat *x, int p)
{
    const Block *b = x->l->b;
    const Regular *r = x->rows[p];

    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].type == T_REAL && b->part[p].e[c]->op != OP_col)
            return false;
    for (int d = 0; d < r->n_dims; d++)
        if (r->extent[d] > 1 && x->at[p].k[d] != r->stride[d])
            return false;
    return true;
}

static bool part_stores(Concat *x, int p, bool whole)
{
    Lower *l = x->l;
    Nest *n = &l->out->nest;

    for (int c = 0; c < l->b->n_cols; c++) {
        NestStore s = { .at = whole ? (Affine){ .c = x->at[p].c } : x->at[p] };
        if (l->b->col[c].type != T_REAL)
            continue;
        if (!(s.e = low_number(l, l->b->part[p].e[c])))
            return false;
        if (whole)
            n->opd[s.e->col].at = (Affine){ 0 };
        s.buf = low_buffer(l, -1, c, n->lanes, true, l->out->out.rows);
        VEC_PUSH(l->a, n->store, n->n_stores, s);
    }
    return true;
}

/* The nest of part p, in l->out->nest, with the buffers of those before it. */
static bool part_nest(Concat *x, int p)
{
    Lower *l = x->l;
    Nest *n = &l->out->nest;
    const Regular *r = x->rows[p];

    n->opd = NULL;
    n->store = NULL;
    n->n_opds = n->n_stores = 0;
    n->n_loops = n->n_out = r->n_dims;
    for (int d = 0; d < r->n_dims; d++)
        n->loop[d] = (NestLoop){ .min = 0, .max = r->extent[d] - 1, .box = true };
    for (int c = 0; r->n_conds && c < l->b->n_cols; c++)        /* 0 must stay 0 */
        if (l->b->col[c].type == T_REAL && l->b->part[p].e[c]->op != OP_col)
            return low_refuse(l, "it is a union of what is computed");
    return part_space(x, p) && part_stores(x, p, false);
}

static bool nests_of_parts(Concat *x)
{
    Nest *n = &x->l->out->nest, *all = ARENA_ARRAY(x->l->a, Nest, x->n_parts);

    for (int p = 0; p < x->n_parts; p++) {
        if (!part_nest(x, p))
            return false;
        all[p] = *n;
    }
    for (int p = 0; p < x->n_parts; p++) {
        all[p].buf = n->buf;
        all[p].n_bufs = n->n_bufs;
        all[p].next = p + 1 < x->n_parts ? &all[p + 1] : NULL;
    }
    *n = all[0];
    return true;
}

static bool copies_of_parts(Concat *x)
{
    x->l->out->nest.copies = true;
    for (int p = 0; p < x->n_parts; p++)
        if (!part_space(x, p) || !part_stores(x, p, true))
            return false;
    return true;
}

static bool make_nests(Concat *x)
{
    Nest *n = &x->l->out->nest;
    bool copies = true;

    n->lanes = x->l->out->out.lanes;
    n->split = -1;
    for (int p = 0; p < x->n_parts; p++)
        copies = copies && copies_part(x, p);
    return (copies ? copies_of_parts(x) : nests_of_parts(x)) &&
           (n->n_stores > 0 || low_refuse(x->l, "it computes no numbers"));
}

static Concat *new_concat(Lower *l)
{
    Concat *x = ARENA_NEW(l->work, Concat);
    const size_t n = (size_t)l->b->n_parts + 1;

    *x = (Concat){ .l = l, .n_parts = l->b->n_parts };
    x->rows = ARENA_ARRAY(l->work, const Regular *, n);
    x->key = ARENA_ARRAY(l->work, RegCol *, n);
    x->dim = arena_alloc(l->work, n * sizeof *x->dim);
    x->own = ARENA_ARRAY(l->work, int, n);
    x->order = ARENA_ARRAY(l->work, int, n);
    x->first = ARENA_ARRAY(l->work, int64_t, n);
    x->len = ARENA_ARRAY(l->work, int64_t, n);
    x->at = ARENA_ARRAY(l->work, Affine, n);
    for (int p = 0; p < x->n_parts; p++) {
        x->rows[p] = l->src[l->b->part[p].src];
        x->key[p] = ARENA_ARRAY(l->work, RegCol, l->b->n_cols + 1);
    }
    return x;
}

static bool make_slices(Concat *x)
{
    return along_a_dimension(x, true) || in_a_hull(x) || along_a_dimension(x, false) || behind_each_other(x);
}

bool low_concat(Lower *l)
{
    Concat *x = new_concat(l);

    l->s.why = NULL;
    l->out->count = ARENA_ARRAY(l->a, int64_t *, l->b->n_cols + 1);
    return concat_keys(x) && make_slices(x) && make_nests(x);
}
