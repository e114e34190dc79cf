/* SPDX-License-Identifier: Apache-2.0
 *
 * union.c - unions of regular relations that number the same rows alike, as a nest. */
#include "lower/block.h"

#include <stdlib.h>
#include <string.h>

static bool same_part_key(const Regular *x, const Regular *y, const Expr *e, const Expr *f)
{
    if (e->op == OP_lit_int && f->op == OP_lit_int)
        return true;                                    /* looked at by counts_parts */
    if (e->op != OP_col || f->op != OP_col)
        return false;
    const RegCol *k = &x->col[e->col], *m = &y->col[f->col];
    if (k->kind != m->kind || k->kind == REG_none)
        return false;
    return k->kind == REG_codes ? k->dim == m->dim && !memcmp(x->codes[k->dim], y->codes[m->dim],
                                                              (size_t)x->extent[k->dim] * sizeof(int64_t))
                                : !memcmp(&k->key, &m->key, sizeof k->key);
}

/* A literal in every part, by equal steps: first + step * part. */
static bool counts_parts(const Block *b, int c, int64_t *first, int64_t *step)
{
    const Expr *e = b->part[0].e[c];

    *first = *step = 0;
    if (b->col[c].type == T_REAL || e->op != OP_lit_int)
        return false;
    *first = e->i;
    if (b->n_parts > 1 && b->part[1].e[c]->op == OP_lit_int && __builtin_sub_overflow(b->part[1].e[c]->i, e->i, step))
        return false;
    for (int p = 0; p < b->n_parts; p++) {
        int64_t want;
        if (b->part[p].e[c]->op != OP_lit_int || __builtin_mul_overflow(*step, p, &want) ||
            __builtin_add_overflow(want, *first, &want) || want != b->part[p].e[c]->i || llabs(want) >= 1 << 29)
            return false;
    }
    return true;
}

/* Do all parts number the same rows alike, and does a column tell them apart? */
static bool parts_agree(Lower *l)
{
    const Block *b = l->b;
    const Regular *x = l->src[b->part[0].src];
    int64_t first, step;
    bool apart = false;

    for (int c = 0; c < b->n_cols; c++) {
        const bool literal = b->col[c].type != T_REAL && b->part[0].e[c]->op == OP_lit_int;
        if (literal && !counts_parts(b, c, &first, &step))
            return low_refuse(l, "it is a union of different boxes");
        apart |= literal && step;
    }
    for (int p = 0; p < b->n_parts; p++) {
        const Regular *y = l->src[b->part[p].src];
        bool same = y->n_dims == x->n_dims && y->lanes == x->lanes && !y->winner && y->n_conds == x->n_conds;
        for (int k = 0; same && k < x->n_conds; k++)
            same = !memcmp(&x->cond[k], &y->cond[k], sizeof x->cond[k]);
        for (int d = 0; same && d < x->n_dims; d++)
            same = x->extent[d] == y->extent[d] && x->stride[d] == y->stride[d];
        for (int c = 0; same && c < b->n_cols; c++)
            same = b->col[c].type == T_REAL ? b->part[p].e[c]->op == OP_col
                                            : same_part_key(x, y, b->part[0].e[c], b->part[p].e[c]);
        if (!same || !apart)
            return low_refuse(l, "it is a union of different boxes");
    }
    return true;
}

/* Rows of part 0, then of part 1 …: one dimension more, the slowest. */
static bool union_rows(Lower *l)
{
    const Block *b = l->b;
    const Regular *x = l->src[b->part[0].src];
    Regular *r = &l->out->out;

    *r = *x;
    if (x->n_dims == REG_DIMS || x->rows > UINT32_MAX / b->n_parts)
        return low_refuse(l, "it has too many rows");
    r->n_cols = b->n_cols;
    r->n_dims = x->n_dims + 1;
    r->rows = x->rows * b->n_parts;
    for (int d = x->n_dims; d > 0; d--) {
        r->extent[d] = x->extent[d - 1];
        r->stride[d] = x->stride[d - 1];
        r->codes[d] = low_own_codes(l, x->codes[d - 1], x->extent[d - 1]);
    }
    r->cond = ARENA_ARRAY(l->a, Affine, x->n_conds + 1);
    for (int k = 0; k < x->n_conds; k++) {
        r->cond[k].c = x->cond[k].c;
        memcpy(r->cond[k].k + 1, x->cond[k].k, (MAX_LOOPS - 1) * sizeof *x->cond[k].k);
    }
    r->extent[0] = b->n_parts;
    r->stride[0] = x->rows;
    r->codes[0] = NULL;
    r->col = ARENA_ARRAY(l->a, RegCol, b->n_cols + 1);
    for (int c = 0; c < b->n_cols; c++) {
        RegCol *k = &r->col[c];
        int64_t first, step;
        if (counts_parts(b, c, &first, &step)) {
            *k = (RegCol){ .kind = REG_affine, .key = { .c = first, .k[0] = step } };
            continue;
        }
        *k = x->col[b->part[0].e[c]->col];
        k->dim++;
        for (int d = MAX_LOOPS - 1; d > 0; d--)
            k->key.k[d] = k->key.k[d - 1];
        k->key.k[0] = 0;
    }
    return true;
}

/* Every part is copied to its rows; a loop a row, since all parts are numbered alike. */
bool low_union(Lower *l)
{
    const Block *b = l->b;
    Nest *n = &l->out->nest;
    int64_t rows;

    for (int p = 0; p < b->n_parts; p++)
        if (b->part[p].src < 0 || !l->src[b->part[p].src])
            return low_refuse(l, "a source is not regular");
    if (!parts_agree(l) || !union_rows(l))
        return false;
    rows = l->src[b->part[0].src]->rows;
    n->lanes = l->out->out.lanes;
    n->split = n->lanes ? -1 : 0;
    n->n_loops = n->n_out = 1;
    n->copies = true;
    n->loop[0] = (NestLoop){ .min = 0, .max = rows - 1, .box = true };
    l->out->count = ARENA_ARRAY(l->a, int64_t *, b->n_cols + 1);
    for (int p = 0; p < b->n_parts; p++)
        for (int c = 0; c < b->n_cols; c++) {
            const Expr *e = b->part[p].e[c];
            if (b->col[c].type != T_REAL)
                continue;
            if (l->src[e->src]->col[e->col].kind != REG_value)
                return low_refuse(l, "a number it reads may be missing");
            Operand o;
            memset(&o, 0, sizeof o);
            o.kind = OPD_load;
            o.index = low_buffer(l, e->src, e->col, n->lanes, false, rows);
            o.at.k[0] = 1;
            NestStore s = { .e = low_operand(l, o, T_REAL), .at = { .c = p * rows, .k[0] = 1 } };
            s.buf = low_buffer(l, -1, c, n->lanes, true, rows * b->n_parts);
            VEC_PUSH(l->a, n->store, n->n_stores, s);
        }
    return n->n_stores > 0 || low_refuse(l, "it computes no numbers");
}
