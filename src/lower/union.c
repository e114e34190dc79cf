/* SPDX-License-Identifier: Apache-2.0
 *
 * union.c - unions of regular relations as a nest, that copies each part to its place.
 *
 * The parts have the same dimensions, perhaps in another order, and their keys differ in constants only: the number of
 * the branch, the slice of a step (2 AS layer).  Which part a row is of becomes one dimension more, the slowest; parts
 * are put in an order in which their constants are even, or one column's are the codes of that dimension.  Where nobody
 * can tell a missing row from a 0, parts may be shorter than others along the slowest dimension. */
#include "lower/block.h"

#include <stdlib.h>
#include <string.h>

typedef struct Union {
    Lower *l;
    int n_parts;
    int (*dim)[REG_DIMS];       /* by part: the dimension that is dimension d of the first part */
    int *place;                 /* by part: its place in the result */
    int codes_col;              /* the column whose constants are codes; -1 */
    bool flat;                  /* all parts number their rows alike */
    bool ragged;                /* but some are shorter along dimension 0 */
    int64_t *shift;             /* by part: where it begins along dimension 0 */
    int64_t extent;             /* of dimension 0, of all parts together */
} Union;

static const Regular *part_rows(const Union *u, int p)
{
    return u->l->src[u->l->b->part[p].src];
}

static bool part_key(const Union *u, int p, int c, RegCol *out)
{
    const Expr *e = u->l->b->part[p].e[c];

    *out = (RegCol){ .kind = REG_affine };
    if (e->op == OP_lit_int)
        out->key.c = e->i;
    else if (e->op == OP_col)
        *out = part_rows(u, p)->col[e->col];
    else
        return false;
    return out->kind != REG_none && out->kind != REG_value && out->kind != REG_list &&
           out->kind != REG_count;
}

/* ---- the same dimensions ---- */

static bool same_list(const Regular *x, int d, const Regular *y, int e)
{
    return !x->codes[d] == !y->codes[e] &&
           (!x->codes[d] || !memcmp(x->codes[d], y->codes[e], (size_t)x->extent[d] * sizeof(int64_t)));
}

static bool may_be_shorter(const Union *u, const Regular *x, int d, const Regular *y, int e)
{
    return u->l->blind && d == 0 && e == 0 && !x->codes[0] && !y->codes[0] && !x->n_conds && !y->n_conds;
}

/* Does dimension e of part p do for all keys what dimension d of the first part does? */
static bool dims_agree(const Union *u, int d, int p, int e)
{
    const Block *b = u->l->b;
    const Regular *x = part_rows(u, 0), *y = part_rows(u, p);
    bool ok = (x->extent[d] == y->extent[e] || may_be_shorter(u, x, d, y, e)) && same_list(x, d, y, e);

    for (int c = 0; ok && c < b->n_cols; c++) {
        RegCol k, m;
        if (b->col[c].type == T_REAL)
            continue;
        ok = part_key(u, 0, c, &k) && part_key(u, p, c, &m) && k.kind == m.kind &&
             (k.kind == REG_codes ? (k.dim == d) == (m.dim == e) : k.key.k[d] == m.key.k[e]);
    }
    return ok;
}

static bool match_dims(Union *u, int p)
{
    const Regular *x = part_rows(u, 0), *y = part_rows(u, p);
    bool used[REG_DIMS] = { false };

    if (x->n_dims != y->n_dims || x->lanes != y->lanes || x->n_conds != y->n_conds || y->winner)
        return false;
    for (int d = 0; d < x->n_dims; d++) {
        int e = 0;
        while (e < y->n_dims && (used[e] || !dims_agree(u, d, p, e)))
            e++;
        if (e == y->n_dims)
            return false;
        used[e] = true;
        u->dim[p][d] = e;
        u->flat = u->flat && e == d && x->stride[d] == y->stride[d];
    }
    for (int k = 0; k < x->n_conds; k++) {
        bool same = x->cond[k].c == y->cond[k].c;
        for (int d = 0; same && d < x->n_dims; d++)
            same = x->cond[k].k[d] == y->cond[k].k[u->dim[p][d]];
        if (!same)
            return false;
    }
    return true;
}

/* ---- parts that are shorter ---- */

/* How far part p begins behind the first one, along dimension 0; all keys that run along it must say the same. */
static bool find_shift(Union *u, int p)
{
    bool known = false;

    for (int c = 0; c < u->l->b->n_cols; c++) {
        RegCol k, m;
        int64_t by;
        if (u->l->b->col[c].type == T_REAL || !part_key(u, 0, c, &k) || !part_key(u, p, c, &m) || !k.key.k[0])
            continue;
        if (__builtin_sub_overflow(m.key.c, k.key.c, &by) || by % k.key.k[0] || (known && by / k.key.k[0] != u->shift[p]))
            return false;
        u->shift[p] = by / k.key.k[0];
        known = true;
    }
    return known;
}

static bool find_shifts(Union *u)
{
    int64_t lo = 0, hi = part_rows(u, 0)->extent[0];

    for (int p = 0; p < u->n_parts; p++) {
        if (!find_shift(u, p))
            return false;
        const int64_t end = u->shift[p] + part_rows(u, p)->extent[0];
        lo = u->shift[p] < lo ? u->shift[p] : lo;
        hi = end > hi ? end : hi;
    }
    for (int p = 0; p < u->n_parts; p++)
        u->shift[p] -= lo;
    u->extent = hi - lo;
    return u->flat && u->extent < 1 << 29;
}

/* ---- which part is where ---- */

/* Of a key in the part's first row; where parts are shorter, in the row that all begin with. */
static int64_t part_constant(const Union *u, int p, int c)
{
    RegCol k;

    part_key(u, p, c, &k);
    return u->ragged && k.kind == REG_affine ? k.key.c - u->shift[p] * k.key.k[0] : k.key.c;
}

static bool is_varying(const Union *u, int c)
{
    bool any = false;

    if (u->l->b->col[c].type == T_REAL)
        return false;
    for (int p = 1; p < u->n_parts; p++)
        any |= part_constant(u, p, c) != part_constant(u, 0, c);
    return any;
}

/* The constant of column c in the part at this place. */
static int64_t constant_at(const Union *u, int c, int place)
{
    int p = 0;

    while (u->place[p] != place)
        p++;
    return part_constant(u, p, c);
}

static bool is_even(const Union *u, int c)
{
    int64_t step, next;

    for (int k = 0; k < u->n_parts; k++)
        if (llabs(constant_at(u, c, k)) >= 1 << 29)
            return false;
    if (__builtin_sub_overflow(constant_at(u, c, 1), constant_at(u, c, 0), &step))
        return false;
    for (int k = 2; k < u->n_parts; k++)
        if (__builtin_sub_overflow(constant_at(u, c, k), constant_at(u, c, k - 1), &next) || next != step)
            return false;
    return step != 0;
}

/* By the constants of column c (-1: as they stand in the text); false: two are equal. */
static bool order_parts(Union *u, int c)
{
    for (int p = 0; p < u->n_parts; p++) {
        u->place[p] = c < 0 ? p : 0;
        for (int q = 0; c >= 0 && q < u->n_parts; q++) {
            if (q != p && part_constant(u, q, c) == part_constant(u, p, c))
                return false;
            u->place[p] += part_constant(u, q, c) < part_constant(u, p, c);
        }
    }
    return true;
}

/* Can all keys be said of the parts in this order, with at most `codes` columns of codes? */
static bool order_says_keys(Union *u, int codes)
{
    bool any = false;

    u->codes_col = -1;
    for (int c = 0; c < u->l->b->n_cols; c++) {
        if (!is_varying(u, c))
            continue;
        any = true;
        if (is_even(u, c))
            continue;
        if (u->codes_col >= 0 || !codes || u->l->b->col[c].type != T_INT)
            return false;
        for (int p = 1; p < u->n_parts; p++)
            for (int q = 0; q < p; q++)
                if (part_constant(u, p, c) == part_constant(u, q, c))
                    return false;
        RegCol k;
        part_key(u, 0, c, &k);
        for (int d = 0; d < MAX_LOOPS; d++)
            if (k.key.k[d])
                return false;
        u->codes_col = c;
    }
    return any;
}

static bool parts_in_order(Union *u)
{
    for (int codes = 0; codes < 2; codes++)
        for (int c = -1; c < u->l->b->n_cols; c++)
            if ((c < 0 || is_varying(u, c)) && order_parts(u, c) && order_says_keys(u, codes))
                return true;
    return false;
}

static bool parts_agree(Union *u)
{
    const Block *b = u->l->b;
    RegCol k;

    for (int c = 0; c < b->n_cols; c++)
        for (int p = 0; p < b->n_parts; p++)
            if (b->col[c].type == T_REAL ? b->part[p].e[c]->op != OP_col : !part_key(u, p, c, &k))
                return low_refuse(u->l, "it is a union of what is computed");
    for (int p = 0; p < b->n_parts; p++)
        if (!match_dims(u, p))
            return low_refuse(u->l, "it is a union of different boxes");
    for (int p = 1; p < b->n_parts; p++)
        u->ragged |= part_rows(u, p)->n_dims && part_rows(u, p)->extent[0] != part_rows(u, 0)->extent[0];
    if (u->ragged && !find_shifts(u))
        return low_refuse(u->l, "it is a union of different boxes");
    return b->n_parts > 1 && parts_in_order(u) ? true : low_refuse(u->l, "it is a union of parts that no key numbers");
}

/* ---- rows and nest ---- */

static void shift_form(Affine *f)
{
    for (int d = MAX_LOOPS - 1; d > 0; d--)
        f->k[d] = f->k[d - 1];
    f->k[0] = 0;
}

static void union_keys(const Union *u, Regular *r)
{
    const Block *b = u->l->b;

    r->col = ARENA_ARRAY(u->l->a, RegCol, b->n_cols + 1);
    for (int c = 0; c < b->n_cols; c++) {
        RegCol *k = &r->col[c];
        if (b->col[c].type == T_REAL) {
            k->kind = REG_value;
            continue;
        }
        part_key(u, 0, c, k);
        k->key.c = part_constant(u, 0, c);
        k->dim++;
        shift_form(&k->key);
        if (c == u->codes_col) {
            *k = (RegCol){ .kind = REG_codes, .dim = 0 };
        } else if (is_varying(u, c)) {
            k->key.c = constant_at(u, c, 0);
            k->key.k[0] = constant_at(u, c, 1) - k->key.c;
        }
    }
    if (u->codes_col < 0)
        return;
    int64_t *code = ARENA_ARRAY(u->l->a, int64_t, u->n_parts);
    for (int k = 0; k < u->n_parts; k++)
        code[k] = constant_at(u, u->codes_col, k);
    r->codes[0] = code;
}

/* Rows that a part has room for. */
static int64_t union_part(const Union *u)
{
    const Regular *x = part_rows(u, 0);

    return u->ragged ? u->extent * x->stride[0] : x->rows;
}

static bool union_rows(const Union *u)
{
    Lower *l = u->l;
    const Regular *x = part_rows(u, 0);
    Regular *r = &l->out->out;

    *r = *x;
    if (x->n_dims == REG_DIMS || union_part(u) > UINT32_MAX / u->n_parts)
        return low_refuse(l, "it has too many rows");
    r->gaps = u->ragged;
    r->n_cols = l->b->n_cols;
    r->n_dims = x->n_dims + 1;
    r->rows = union_part(u) * u->n_parts;
    r->extent[0] = u->n_parts;
    r->stride[0] = union_part(u);
    r->codes[0] = NULL;
    for (int d = 0; d < x->n_dims; d++) {
        r->extent[d + 1] = x->extent[d];
        r->stride[d + 1] = x->stride[d];
        r->codes[d + 1] = low_own_codes(l, x->codes[d], x->extent[d]);
    }
    if (u->ragged)
        r->extent[1] = u->extent;
    r->cond = ARENA_ARRAY(l->a, Affine, x->n_conds + 1);
    for (int k = 0; k < x->n_conds; k++) {
        r->cond[k] = x->cond[k];
        shift_form(&r->cond[k]);
    }
    union_keys(u, r);
    return true;
}

/* A loop a row where all parts are numbered alike, else one for each dimension. */
static void union_loops(const Union *u)
{
    Nest *n = &u->l->out->nest;
    const Regular *x = part_rows(u, 0);

    n->lanes = u->l->out->out.lanes;
    n->copies = u->flat;
    n->split = n->lanes || (!u->flat && !x->n_dims) ? -1 : 0;
    n->n_loops = n->n_out = u->flat ? 1 : x->n_dims;
    if (u->flat)
        n->loop[0] = (NestLoop){ .min = 0, .max = x->rows - 1, .box = true };
    for (int d = 0; !u->flat && d < x->n_dims; d++)
        n->loop[d] = (NestLoop){ .min = 0, .max = x->extent[d] - 1, .box = true };
}

static bool union_copies(const Union *u, int p)
{
    Lower *l = u->l;
    Nest *n = &l->out->nest;
    const Regular *x = part_rows(u, 0), *y = part_rows(u, p);

    for (int c = 0; c < l->b->n_cols; c++) {
        const Expr *e = l->b->part[p].e[c];
        if (l->b->col[c].type != T_REAL)
            continue;
        if (y->col[e->col].kind != REG_value)
            return low_refuse(l, "a number it reads may be missing");
        Operand o;
        memset(&o, 0, sizeof o);
        o.kind = OPD_load;
        o.index = low_buffer(l, e->src, e->col, n->lanes, false, y->rows);
        NestStore s = { .at.c = u->place[p] * union_part(u) + (u->ragged ? u->shift[p] * x->stride[0] : 0) };
        for (int d = 0; d < n->n_loops; d++) {
            o.at.k[d] = u->flat ? 1 : y->stride[u->dim[p][d]];
            s.at.k[d] = u->flat ? 1 : x->stride[d];
        }
        s.e = low_operand(l, o, T_REAL);
        s.buf = low_buffer(l, -1, c, n->lanes, true, union_part(u) * u->n_parts);
        VEC_PUSH(l->a, n->store, n->n_stores, s);
    }
    return true;
}

static bool union_of_equals(Lower *l)
{
    const Block *b = l->b;
    Union u = { .l = l, .n_parts = b->n_parts, .flat = true };

    u.dim = arena_alloc(l->work, (size_t)b->n_parts * sizeof *u.dim);
    u.place = ARENA_ARRAY(l->work, int, b->n_parts + 1);
    u.shift = ARENA_ARRAY(l->work, int64_t, b->n_parts + 1);
    if (!parts_agree(&u) || !union_rows(&u))
        return false;
    union_loops(&u);
    l->out->count = ARENA_ARRAY(l->a, int64_t *, b->n_cols + 1);
    for (int p = 0; p < b->n_parts; p++)
        if (!union_copies(&u, p))
            return false;
    return l->out->nest.n_stores > 0 || low_refuse(l, "it computes no numbers");
}

bool low_union(Lower *l)
{
    const Block *b = l->b;
    const Lowered empty = *l->out;

    for (int p = 0; p < b->n_parts; p++)
        if (b->part[p].src < 0 || !l->src[b->part[p].src])
            return low_refuse(l, "a source is not regular");
    if (union_of_equals(l))
        return true;
    *l->out = empty;
    return low_concat(l);
}
