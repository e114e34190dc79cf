/* SPDX-License-Identifier: Apache-2.0
 *
 * native_base.c - base tables: from host tables to layouts.
 *
 * A @data table whose batch keys all have the same rest (every image has the same pixels) is laid out with
 * the batch key as its lane: another batch brings other values, never other rows.  Only the values of the
 * batch are gathered; packed product rows are never expanded whole.  Where the rests differ but are few (an
 * image has one of ten labels, a sequence one of 96 tokens at each of its places), the rows are all rests of the
 * table, and a mask says which are there.  Other @data tables are cut to the rows of the batch. */
#include "exec/native_base.h"

#include <stdlib.h>
#include <string.h>

static bool is_batched(const Block *b)
{
    return b->is_data && (b->n_batch > 0 || b->batch_rows);
}

bool base_open(Native *n, Rel *r)
{
    r->base = ARENA_NEW(&n->arena, struct Base);
    r->base->tcol = ARENA_ARRAY(&n->arena, int, r->b->n_cols + 1);
    r->base->code = ARENA_ARRAY(&n->arena, const int64_t *, r->b->n_cols + 1);
    r->base->code_mem = ARENA_ARRAY(&n->arena, Arr, r->b->n_cols + 1);
    r->base->row_key = ARENA_ARRAY(&n->arena, const int64_t *, r->b->n_batch + 1);
    r->base->row_mem = ARENA_ARRAY(&n->arena, Arr, r->b->n_batch + 1);
    r->base->by_lane = ARENA_ARRAY(&n->arena, Arr, r->b->n_cols + 1);
    r->base->ahead_mem = ARENA_ARRAY(&n->arena, Arr, r->b->n_cols + 1);
    r->base->ahead_col = ARENA_ARRAY(&n->arena, bool, r->b->n_cols + 1);
    return true;
}

void base_free(Native *n, Rel *r)
{
    struct Base *s = r->base;

    for (int c = 0; c < r->b->n_cols; c++) {
        arr_drop(n, &s->code_mem[c]);
        arr_drop(n, &s->ahead_mem[c]);
        arr_drop(n, &s->by_lane[c]);
    }
    arr_drop(n, &s->ahead);
    for (int k = 0; k < r->b->n_batch; k++)
        arr_drop(n, &s->row_mem[k]);
    arr_drop(n, &s->turn_mem);
    arr_drop(n, &s->perm_mem);
    arr_drop(n, &s->even_mem);
    arr_drop(n, &s->rest_mem);
    arr_drop(n, &s->ptr_mem);
    keys_free(n, &s->rest);
    keys_free(n, &s->choice);
    arr_drop(n, &s->lane_code_mem);
    arr_drop(n, &s->pick);
    keys_free(n, &s->lanes);
    keys_free(n, &s->rows);
}

/* ---- binding ---- */

static size_t col_entries(const Table *t, const TableCol *k)
{
    return !t->n_inner || k->dim == DIM_full ? t->n_rows : k->dim == DIM_outer ? t->n_outer : t->n_inner;
}

static bool fits(const Col *want, const TableCol *have)
{
    if (want->type == T_REAL)
        return have->type != T_TEXT;
    return (want->type == T_TEXT) == (have->type == T_TEXT) && have->type != T_REAL;
}

static bool match_columns(Native *n, Rel *r, const Table *t)
{
    const Block *b = r->b;

    for (int c = 0; c < b->n_cols; c++) {
        const int at = r->base->tcol[c] = table_find(t, b->col[c].name);
        if (at < 0 && b->bag && c == b->n_cols - 1)
            continue;
        if (at < 0)
            return native_fail(n, E_INPUT, ERR_native_table, "the table has no column %s", b->col[c].name);
        if (!fits(&b->col[c], &t->col[at]))
            return native_fail(n, E_INPUT, ERR_native_table, "column %s is %s in the table, %s in the model", b->col[c].name,
                               type_name[t->col[at].type], type_name[b->col[c].type]);
    }
    return true;
}

static bool no_null(Native *n, const Col *c, const Table *t, const TableCol *k)
{
    for (size_t j = 0; !c->nullable && k->null && j < col_entries(t, k); j++)
        if (k->null[j])
            return native_fail(n, E_INPUT, ERR_native_table, "column %s holds NULL, which it did not when the model was bound",
                               c->name);
    return true;
}

static bool encode_ints(Native *n, const Col *c, const TableCol *k, size_t count, Arr *mem, const int64_t **out)
{
    for (size_t j = 0; j < count; j++)
        if (!IS_KEY(k->i[j]) && !(k->null && k->null[j]))
            return native_fail(n, E_INPUT, ERR_native_table,
                               "column %s holds %lld, a number that the native engine keeps for itself", c->name,
                               (long long)k->i[j]);
    *out = k->i;
    if (!k->null)
        return true;
    if (!arr_need(n, mem, count * sizeof(int64_t)))
        return false;
    int64_t *code = mem->p;
    for (size_t j = 0; j < count; j++)
        code[j] = k->null[j] ? KEY_NULL : k->i[j];
    *out = code;
    return true;
}

static bool encode_texts(Native *n, const TableCol *k, size_t count, Arr *mem, const int64_t **out)
{
    if (!arr_need(n, mem, count * sizeof(int64_t)))
        return false;
    int64_t *code = mem->p;
    for (size_t j = 0; j < count; j++)
        code[j] = k->null && k->null[j] ? KEY_NULL : dict_code(&n->dict, k->s[j]);
    *out = code;
    return true;
}

static bool number_rows(Native *n, size_t count, Arr *mem, const int64_t **out)
{
    if (!arr_need(n, mem, count * sizeof(int64_t)))
        return false;
    int64_t *code = mem->p;
    for (size_t j = 0; j < count; j++)
        code[j] = (int64_t)j;
    *out = code;
    return true;
}

bool base_bind(Native *n, Rel *r, const Table *t)
{
    struct Base *s = r->base;
    const Block *b = r->b;

    if (t->n_rows >= ROW_NONE)
        return native_fail(n, E_INPUT, ERR_native_rows, "%zu rows; at most %u can be numbered", t->n_rows, ROW_NONE - 1);
    if (!match_columns(n, r, t))
        return false;
    for (int c = 0; c < b->n_cols; c++) {
        const TableCol *k = s->tcol[c] < 0 ? NULL : &t->col[s->tcol[c]];
        if (k && !no_null(n, &b->col[c], t, k))
            return false;
        if (b->col[c].type == T_REAL)
            continue;
        const bool ok = !k ? number_rows(n, t->n_rows, &s->code_mem[c], &s->code[c])
                      : k->type == T_TEXT ? encode_texts(n, k, col_entries(t, k), &s->code_mem[c], &s->code[c])
                      : encode_ints(n, &b->col[c], k, col_entries(t, k), &s->code_mem[c], &s->code[c]);
        if (!ok)
            return false;
    }
    later_finish(n);
    s->n_ahead = 0;
    for (int c = 0; c < b->n_cols; c++)
        arr_drop(n, &s->by_lane[c]);
    s->t = t;
    s->bind_ver = ++n->clock;
    s->looked = s->laned = s->ragged = s->have_lanes = s->have_rows = false;
    keys_free(n, &s->rest);
    keys_free(n, &s->choice);
    keys_free(n, &s->lanes);
    keys_free(n, &s->rows);
    return true;
}

const int64_t *base_codes(const Rel *r, int col, size_t *count)
{
    const struct Base *s = r->base;

    if (!s || !s->bind_ver || r->b->col[col].type == T_REAL)
        return NULL;
    *count = s->tcol[col] < 0 ? s->t->n_rows : col_entries(s->t, &s->t->col[s->tcol[col]]);
    return s->code[col];
}

int64_t base_code(const struct Base *s, int c, size_t row)
{
    if (row >= s->t->n_rows)
        return ((const int64_t *)s->even_mem.p)[row];
    return s->code[c][s->tcol[c] < 0 ? row : table_at(s->t, &s->t->col[s->tcol[c]], row)];
}

/* ---- the rows of the batch ---- */

static int64_t table_code(Native *n, const Table *t, int c, size_t row)
{
    const TableCol *k = &t->col[c];

    if (table_null(t, c, row))
        return KEY_NULL;
    return k->type == T_TEXT ? dict_code(&n->dict, k->s[table_at(t, k, row)])
         : k->type == T_REAL ? real_code(table_real(t, c, row)) : table_int(t, c, row);
}

static int compare_u32(const void *x, const void *y)
{
    const uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

static size_t sort_unique(uint32_t *v, size_t count)
{
    size_t m = 0;

    if (count)
        qsort(v, count, sizeof *v, compare_u32);
    for (size_t k = 0; k < count; k++)
        if (k == 0 || v[k] != v[m - 1])
            v[m++] = v[k];
    return m;
}

/* The lanes of a batch's keys; NULL: all. */
static bool pick_lanes(Native *n, struct Base *s, const Table *keys, Arr *mem, size_t *count)
{
    const bool all = keys == NULL;
    const size_t most = all ? s->n_lanes : keys->n_rows;

    *count = 0;
    if (!arr_need(n, mem, most * sizeof(uint32_t)))
        return false;
    uint32_t *pick = mem->p;
    for (size_t k = 0; k < most; k++) {
        const int64_t code = all ? 0 : table_code(n, keys, 0, k);
        const uint32_t lane = all ? (uint32_t)k : keys_find(&s->lanes, &code);
        if (lane != ROW_NONE)
            pick[(*count)++] = lane;
    }
    *count = sort_unique(pick, *count);
    return true;
}

static bool index_rows(Native *n, Rel *r)
{
    struct Base *s = r->base;
    const Block *b = r->b;

    for (int k = 0; k < b->n_batch; k++) {
        int c = 0;
        while (c < b->n_cols && !ascii_ieq(b->col[c].name, b->batch_key[k]))
            c++;
        if (c == b->n_cols)
            return native_fail(n, E_INPUT, ERR_native_table, "there is no batch key %s", b->batch_key[k]);
        if (!arr_need(n, &s->row_mem[k], s->t->n_rows * sizeof(int64_t)))
            return false;
        for (size_t j = 0; j < s->t->n_rows; j++)
            ((int64_t *)s->row_mem[k].p)[j] = table_code(n, s->t, s->tcol[c], j);
        s->row_key[k] = s->row_mem[k].p;
    }
    keys_free(n, &s->rows);
    s->have_rows = keys_build(n, &s->rows, b->n_batch, s->row_key, NULL, s->t->n_rows) && keys_lists(n, &s->rows);
    return s->have_rows;        /* the key arrays stay: keys_find compares with them */
}

static bool append_row(Native *n, Arr *a, size_t *count, uint32_t row)
{
    if (!arr_keep(n, a, *count * sizeof row, (*count + 1) * sizeof row))
        return false;
    ((uint32_t *)a->p)[(*count)++] = row;
    return true;
}

static bool pick_rows(Native *n, Rel *r, size_t *count)
{
    struct Base *s = r->base;
    const Block *b = r->b;
    int64_t code[64];

    *count = 0;
    if (!b->batch_rows && !s->have_rows && !index_rows(n, r))
        return false;
    if (n->batch_keys.n_cols != (b->batch_rows ? 1 : b->n_batch) || n->batch_keys.n_cols > (int)COUNT_OF(code))
        return native_fail(n, E_INPUT, ERR_native_table, "a batch of %d key columns does not fit", n->batch_keys.n_cols);
    for (size_t k = 0; k < n->batch_keys.n_rows; k++) {
        for (int c = 0; c < n->batch_keys.n_cols; c++)
            code[c] = table_code(n, &n->batch_keys, c, k);
        if (b->batch_rows) {
            if (code[0] >= 0 && (uint64_t)code[0] < s->t->n_rows && !append_row(n, &s->pick, count, (uint32_t)code[0]))
                return false;
            continue;
        }
        const uint32_t g = keys_find(&s->rows, code);
        for (size_t j = g == ROW_NONE ? 1 : s->rows.ptr[g], e = g == ROW_NONE ? 0 : s->rows.ptr[g + 1]; j < e; j++)
            if (!append_row(n, &s->pick, count, s->rows.row[j]))
                return false;
    }
    base_turn_rows(s->turn_place, s->pick.p, *count);
    *count = sort_unique(s->pick.p, *count);
    base_turn_rows(s->turn, s->pick.p, *count);
    return true;
}

static const uint32_t first_lane[1];

/* Was this batch expected?  Then its numbers are there, or nearly. */
static void take_ahead(Native *n, struct Base *s, size_t count)
{
    s->is_ahead = s->laned && s->n_ahead == count && count && !memcmp(s->ahead.p, s->pick.p, count * sizeof(uint32_t));
    s->n_ahead = 0;
    if (s->is_ahead)
        later_finish(n);
}

static bool load_now(Native *n, Rel *r, bool restrict_it)
{
    struct Base *s = r->base;
    Places p = { s, s->turn, s->laned };
    size_t count = s->t->n_rows;

    if (s->laned && !pick_lanes(n, s, restrict_it ? &n->batch_keys : NULL, &s->pick, &count))
        return false;
    take_ahead(n, s, count);
    if (!s->laned && restrict_it && !pick_rows(n, r, &count))
        return false;
    if (s->laned || restrict_it)
        p.pick = s->pick.p;
    r->lay.lane = s->laned ? s->lane_col : -1;
    if (s->laned) {
        Arr lanes = { 0 };
        bool ok = arr_need(n, &lanes, count * sizeof(int64_t));
        for (size_t l = 0; ok && l < count; l++)
            ((int64_t *)lanes.p)[l] = s->lane_key[0][p.pick[l]];
        ok = ok && lay_set_lanes(n, &r->lay, lanes.p, count);
        arr_drop(n, &lanes);
        if (!ok)
            return false;
    } else if (!lay_set_lanes(n, &r->lay, NULL, 1)) {
        return false;
    }
    if (s->laned && count == 0)                 /* no lane to take the keys from: keep the rows */
        p.pick = first_lane;
    const bool same_rows = s->laned && s->loaded_bind == s->bind_ver;      /* other lanes, the same rows */
    if ((!same_rows && !base_load_keys(n, r, &p, s->laned ? s->n_rest : count)) || !base_load_columns(n, r, &p))
        return false;
    r->lay.val_ver = ++n->clock;
    for (int c = 0; c < r->lay.n_cols; c++)
        r->lay.col[c].blk_ver = r->lay.col[c].blk_only ? r->lay.val_ver : 0;
    return true;
}

bool base_load(Native *n, Rel *r)
{
    struct Base *s = r->base;
    const bool restrict_it = is_batched(r->b) && n->have_batch;
    const uint64_t batch = restrict_it ? n->batch_ver : 0;

    if (!s->bind_ver)
        return native_fail(n, E_USAGE, ERR_native_table, "the table was not bound");
    if (s->loaded_bind == s->bind_ver && s->loaded_batch == batch)
        return true;
    if (!s->looked && !(base_find_turn(n, r) && base_find_lane(n, r)))
        return false;
    if (!load_now(n, r, restrict_it))
        return false;
    s->loaded_bind = s->bind_ver;
    s->loaded_batch = batch;
    return true;
}

static bool can_look_ahead(const Native *n, const Rel *r, const Table *keys)
{
    const struct Base *s = r->base;
    const double bytes = (double)keys->n_rows * (double)s->n_rest * (double)n->esz * r->b->n_cols;

    return base_is_batched(r) && s->bind_ver && s->loaded_bind == s->bind_ver && s->laned && !s->ragged &&
           keys->n_cols == 1 && fill_is_long(s->n_rest, keys->n_rows) && 4 * bytes < (double)n->limit - (double)n->used;
}

bool base_expect(Native *n, Rel *r, const Table *keys)
{
    struct Base *s = r->base;

    if (!can_look_ahead(n, r, keys))
        return true;
    if (!pick_lanes(n, s, keys, &s->ahead, &s->n_ahead))
        return false;
    for (int c = 0; s->n_ahead && c < r->b->n_cols; c++)
        if (!base_fill_ahead(n, r, c))
            return false;
    return true;
}

bool base_is_batched(const Rel *r)
{
    return is_batched(r->b);
}
