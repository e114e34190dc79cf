/* SPDX-License-Identifier: Apache-2.0
 *
 * native_base_load.c - base tables: keys and values of the layout. */
#include "exec/native_base.h"

#include <string.h>

/* Table row of flat position (row, lane). */
static size_t place(const Places *p, size_t row, size_t lane)
{
    if (p->s->ragged && p->laned)
        return p->s->rest_row[row];
    return p->laned ? base_row(p->s, p->pick[lane], row) : p->pick ? p->pick[row] : row;
}

/* A table row that has the key of column c of row `row`. */
static size_t key_place(const Places *p, size_t row, int c)
{
    return p->s->ragged && p->laned && c >= 0 && c == p->s->chosen ? p->s->choice_row[row] : place(p, row, 0);
}

/* The driver's one row of step, epoch, …: integers that move are values, not keys to settle on. */
static bool counts_steps(const Block *b)
{
    return b->role == BASE_driver && b->one_row;
}

bool base_load_keys(Native *n, Rel *r, const Places *p, size_t R)
{
    Arena a = { 0 };
    Arr *key = ARENA_ARRAY(&a, Arr, r->b->n_cols + 1);
    LCol *now = ARENA_ARRAY(&a, LCol, r->b->n_cols + 1);
    bool ok = true;

    for (int c = 0; ok && c < r->b->n_cols; c++) {
        const TableCol *k = r->base->tcol[c] < 0 ? NULL : &r->base->t->col[r->base->tcol[c]];
        now[c].nulls = k && k->null;
        now[c].kind = r->b->col[c].type == T_REAL ? CK_val : p->laned && c == r->base->lane_col ? CK_lane
                    : counts_steps(r->b) ? CK_dyn : CK_row;
        now[c].nulls |= now[c].kind == CK_dyn;
        if (now[c].kind != CK_row)
            continue;
        ok = arr_need(n, &key[c], R * sizeof(int64_t));
        for (size_t j = 0; ok && j < R; j++)
            ((int64_t *)key[c].p)[j] = base_code(r->base, c, key_place(p, j, c));
    }
    ok = ok && lay_commit(n, &r->lay, R, now, key, p->laned && r->base->ragged);
    arena_free(&a);
    return ok;
}

/* One number of the table, 0 where it is NULL. */
static double table_number(const TableCol *k, size_t at)
{
    return k->null && k->null[at] ? 0 : k->type != T_REAL ? (double)k->i[at] : k->bytes ? k->lut[k->bytes[at]] : k->r[at];
}

/* Blocks of rows, so that neither the table's order nor the lanes' strides miss the cache for long. */
static void load_values(Native *n, const Places *p, const TableCol *k, Lay *y, LCol *to)
{
    const Table *t = p->s->t;
    const size_t step = 32;

    for (size_t r0 = 0; r0 < y->R; r0 += step)
        for (size_t l = 0; l < y->L; l++)
            for (size_t r = r0; r < y->R && r < r0 + step; r++) {
                const size_t at = table_at(t, k, place(p, r, l)), to_at = r * y->L + l;
                const bool null = k->null && k->null[at];
                val_set(n, to->val, to_at, table_number(k, at));
                if (to->nulls)
                    to->null[to_at] = null;
                to->any_null |= null;
            }
}

/* Straight into blocks of W lanes (nest.h), for columns that only nests read. */
static void load_blocks(Native *n, const Places *p, const TableCol *k, const Lay *y, char *to)
{
    const size_t W = nest_width(n);

    for (size_t l = 0; l < y->L; l += W, to += y->R * W * n->esz)
        for (size_t r = 0; r < y->R; r++)
            for (size_t w = 0; w < W; w++)
                val_set(n, to, r * W + w,
                        l + w < y->L ? table_number(k, table_at(p->s->t, k, place(p, r, l + w))) : 0);
}

/* Packed bytes, or plain numbers without NULL, of lanes that stand row by row. */
static bool fills_blocks(const struct Base *s, int c)
{
    const TableCol *k = &s->t->col[s->tcol[c]];

    return k->type == T_REAL && !k->null && (!s->perm || s->by_lane[c].p) && (!s->t->n_inner || k->dim == DIM_full);
}

/* Rows in which a lane's stand far apart, the image being the last key perhaps, are put in order once: each batch would
 * look for them again. */
static bool put_by_lane(Native *n, struct Base *s, int c)
{
    const TableCol *k = &s->t->col[s->tcol[c]];
    const size_t N = s->t->n_rows;

    if (!s->perm || s->by_lane[c].p || k->null || s->t->n_inner || !n->have_batch ||
        4 * (double)N * (double)n->esz > (double)n->limit - (double)n->used)
        return true;
    if (!arr_need(n, &s->by_lane[c], N * n->esz))
        return false;
    for (size_t at = 0; at < N; at++)
        val_set(n, s->by_lane[c].p, at, table_number(k, s->perm[at]));
    return true;
}

static bool load_in_blocks(Native *n, Rel *r, const Places *p, int c)
{
    struct Base *s = r->base;
    LCol *to = &r->lay.col[c];
    const TableCol *k = &s->t->col[s->tcol[c]];

    const bool ahead = s->is_ahead && s->ahead_col[c];

    if (!put_by_lane(n, s, c))
        return false;
    if (ahead) {
        const Arr mine = to->blk_mem;
        to->blk_mem = s->ahead_mem[c];
        s->ahead_mem[c] = mine;
    } else if (!nest_room(n, &r->lay, &to->blk_mem)) {
        return false;
    }
    to->blk = to->blk_mem.p;
    if (!fills_blocks(s, c)) {
        load_blocks(n, p, k, &r->lay, to->blk);
    } else if (!ahead) {
        Fill *f = fill_new(n, &n->scratch, k, s->by_lane[c].p, p->pick, r->lay.R, r->lay.L);
        f->to = to->blk;
        fill_now(f);
    }
    return true;
}

/* Where the place of a (group, lane) stands, and what it is: the row, or the choice of its group. */
static void store_place(Native *n, const struct Base *s, size_t row, size_t d, size_t l, size_t W, void *places)
{
    const size_t G = s->chosen >= 0 ? s->rest.n_groups : 1, g = s->chosen >= 0 ? s->rest_rank[s->rest.gid[row]] : 0;

    val_set(n, places, ((l / W) * G + g) * W + l % W,
            (double)(s->chosen >= 0 ? s->choice_rank[s->choice.gid[row]] : d));
}

static bool ragged_memory(Native *n, const struct Base *s, Lay *y, size_t W)
{
    const size_t places = (s->chosen >= 0 ? s->rest.n_groups : 1) * (y->L + W);

    if (!arr_need(n, &y->pres_mem, lay_size(y)) || !arr_need(n, &y->place_mem, places * n->esz + 64))
        return false;
    y->pres = y->pres_mem.p;
    y->one_each = s->chosen >= 0 || s->t->n_rows == s->n_lanes;
    y->chosen = s->chosen;
    y->all_here = false;
    memset(y->pres, 0, lay_size(y));
    memset(y->place_mem.p, 0, places * n->esz);
    for (int c = 0; c < y->n_cols; c++)
        if (y->col[c].kind == CK_val) {
            memset(y->col[c].val, 0, lay_size(y) * n->esz);
            if (y->col[c].nulls)
                memset(y->col[c].null, 0, lay_size(y));
        }
    return true;
}

/* Only what is there: everything else is absent, and 0. */
static bool load_ragged(Native *n, Rel *r, const Places *p)
{
    const struct Base *s = p->s;
    Lay *y = &r->lay;
    const size_t W = nest_width(n);

    if (!ragged_memory(n, s, y, W))
        return false;
    for (size_t l = 0; l < y->L; l++)
        for (uint32_t k = s->lane_ptr[p->pick[l]]; k < s->lane_ptr[p->pick[l] + 1]; k++) {
            const size_t row = s->perm[k], d = s->rest_at[base_pair(s, row)], at = d * y->L + l;
            y->pres[at] = 1;
            store_place(n, s, row, d, l, W, y->place_mem.p);
            for (int c = 0; c < y->n_cols; c++) {
                LCol *to = &y->col[c];
                const TableCol *from = s->tcol[c] < 0 ? NULL : &s->t->col[s->tcol[c]];
                if (to->kind != CK_val || !from)
                    continue;
                val_set(n, to->val, at, table_number(from, row));
                if (to->nulls)
                    to->any_null |= to->null[at] = from->null && from->null[row];
            }
        }
    return true;
}

static bool load_moving_key(Native *n, Rel *r, const Places *p, int c)
{
    LCol *to = &r->lay.col[c];

    if (!arr_need(n, &to->key_mem, lay_size(&r->lay) * sizeof(int64_t)))
        return false;
    to->key = to->key_mem.p;
    for (size_t k = 0; k < r->lay.R; k++)
        to->key[k] = base_code(r->base, c, key_place(p, k, c));
    return true;
}

/* Only nests read it. */
static bool stays_in_blocks(const LCol *k)
{
    return k->kind == CK_val && !k->nulls && k->blk && !k->val_asked;
}

bool base_load_columns(Native *n, Rel *r, const Places *p)
{
    Lay *y = &r->lay;
    const size_t N = lay_size(y);

    for (int c = 0; c < y->n_cols; c++) {
        LCol *to = &y->col[c];
        if (to->kind == CK_dyn && !load_moving_key(n, r, p, c))
            return false;
        if (to->kind != CK_val)
            continue;
        to->any_null = false;
        to->blk_only = to->unscanned = p->laned && !p->s->ragged && stays_in_blocks(to);
        if (to->blk_only && !load_in_blocks(n, r, p, c))
            return false;
        if (to->blk_only)
            continue;
        if (!arr_need(n, &to->val_mem, N * n->esz) || (to->nulls && !arr_need(n, &to->null_mem, N)))
            return false;
        to->val = to->val_mem.p;
        to->null = to->null_mem.p;
        to->unscanned = true;
        if (!(p->laned && p->s->ragged))
            load_values(n, p, &p->s->t->col[p->s->tcol[c]], y, to);
    }
    return !(p->laned && p->s->ragged) || load_ragged(n, r, p);
}

bool base_fill_ahead(Native *n, Rel *r, int c)
{
    struct Base *s = r->base;
    const TableCol *from = s->tcol[c] < 0 ? NULL : &s->t->col[s->tcol[c]];

    s->ahead_col[c] = from && stays_in_blocks(&r->lay.col[c]) && fills_blocks(s, c);
    if (!s->ahead_col[c])
        return true;
    Fill *f = fill_new(n, &n->later_arena, from, s->by_lane[c].p, s->ahead.p, s->n_rest, s->n_ahead);
    if (!arr_need(n, &s->ahead_mem[c], (size_t)fill_blocks(f) * f->W * f->R * n->esz))
        return false;
    f->to = s->ahead_mem[c].p;
    VEC_PUSH(&n->later_arena, n->later, n->n_later, f);
    return true;
}
