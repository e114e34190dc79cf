/* SPDX-License-Identifier: Apache-2.0
 *
 * native_base.c - base tables: from host tables to layouts.
 *
 * A @data table whose batch keys all have the same rest (every image has the same pixels) is laid out with
 * the batch key as its lane: another batch brings other values, never other rows.  Only the values of the
 * batch are gathered; packed product rows are never expanded whole.  Where the rests differ but are few (an
 * image has one of ten labels, a sequence one of 96 tokens at each of its places), the rows are all rests of the
 * table, and a mask says which are there.  Other @data tables are cut to the rows of the batch. */
#include "exec/native.h"

#include <stdlib.h>
#include <string.h>

struct Base {
    const Table *t;
    int *tcol;                  /* table column of each block column, -1: the row number */
    const int64_t **code;       /* key columns, an entry each by the column's dimension */
    Arr *code_mem;
    uint64_t bind_ver, loaded_bind, loaded_batch;

    /* batches */
    bool looked, laned;         /* looked: it is known whether lane_col can be the lane */
    int lane_col;
    size_t n_rest, n_lanes;     /* rows of one lane; lanes of the whole table */
    const uint32_t *perm; Arr perm_mem;     /* table row of (lane, rest); NULL: lane * n_rest + rest */
    Arr *by_lane;               /* by column: the numbers, in that order, where perm is not NULL; made when batches come */
    Arr lane_code_mem;
    const int64_t *lane_key[1];
    bool ragged;                /* not every lane has every rest */
    KeyTable rest;              /* ragged: rows by what is neither the batch key nor chosen */
    const int64_t **rest_key;
    int chosen;                 /* ragged: each lane has every rest once, with one key of this column; -1: no such column */
    KeyTable choice;            /* by that column */
    const int64_t *choice_key[1];
    Arr even_mem;               /* ragged: codes of one column, and behind those of the rows the integers between */
    Arr rest_mem, ptr_mem;
    uint32_t *rest_at;          /* row of (rest, choice): they stand in key order, whether or not a lane has them */
    uint32_t *rest_row, *choice_row;    /* by row: a table row with its rest; with its choice */
    uint32_t *rest_rank, *choice_rank;  /* in key order, by group of the tables above */
    uint32_t *lane_ptr;         /* rows of lane l: perm[lane_ptr[l] … lane_ptr[l + 1]) */
    KeyTable lanes, rows;       /* by batch key */
    const int64_t **row_key; Arr *row_mem;
    bool have_lanes, have_rows;
    Arr pick;                   /* lanes or rows of the batch */

    /* the batch that may come next: its lanes, and its numbers by column, which other threads may be at work on */
    Arr ahead; size_t n_ahead;
    Arr *ahead_mem; bool *ahead_col;
    bool is_ahead;              /* it is the one being loaded */
};

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

static int64_t base_code(const struct Base *s, int c, size_t row)
{
    if (row >= s->t->n_rows)
        return ((const int64_t *)s->even_mem.p)[row];
    return s->code[c][s->tcol[c] < 0 ? row : table_at(s->t, &s->t->col[s->tcol[c]], row)];
}

/* ---- which column can be the lane ---- */

/* The column: the only batch key; for product rows of a table without batches, the only outer key. */
static int lane_candidate(const Rel *r)
{
    const Block *b = r->b;
    const Table *t = r->base->t;
    int found = -1;

    if (is_batched(b) && b->n_batch == 1 && !b->batch_rows) {
        found = blk_find_col(b, b->batch_key[0]);
        for (int c = 0; found < 0 && c < b->n_cols; c++)
            if (ascii_ieq(b->col[c].name, b->batch_key[0]))
                found = c;
        return found >= 0 && b->col[found].type != T_REAL ? found : -1;
    }
    for (int c = 0; t->n_inner && !is_batched(b) && c < b->n_cols; c++)
        if (b->col[c].type != T_REAL && r->base->tcol[c] >= 0 && t->col[r->base->tcol[c]].dim == DIM_outer)
            found = found == -1 ? c : -2;
    return found;
}

static bool product_rows_ok(const Rel *r, int lane)
{
    const struct Base *s = r->base;

    for (int c = 0; c < r->b->n_cols; c++) {
        const Dim want = c == lane ? DIM_outer : DIM_inner;
        if (r->b->col[c].type != T_REAL && (s->tcol[c] < 0 || s->t->col[s->tcol[c]].dim != want))
            return false;
    }
    return true;
}

static size_t base_row(const struct Base *s, size_t lane, size_t rest)
{
    const size_t at = lane * s->n_rest + rest;
    return s->perm ? s->perm[at] : at;
}

/* Every lane has the rest of lane 0; rows stand by lane. */
static bool lanes_agree(const Rel *r)
{
    const struct Base *s = r->base;

    for (size_t l = 1; l < s->n_lanes; l++)
        for (size_t j = 0; j < s->n_rest; j++)
            for (int c = 0; c < r->b->n_cols; c++) {
                if (r->b->col[c].type == T_REAL)
                    continue;
                const int64_t here = base_code(s, c, base_row(s, l, j)), first = base_code(s, c, base_row(s, l, 0));
                if (c == s->lane_col ? here != first : here != base_code(s, c, base_row(s, 0, j)))
                    return false;
            }
    return true;
}

/* Plain rows: put them by lane (stable, so the rest keeps its order), then compare. */
static bool look_at_rows(Native *n, Rel *r, bool *ok)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    Arr rank = { 0 };
    size_t d = 0;
    bool sorted = true;

    if (!arr_need(n, &rank, N * sizeof(uint32_t)))
        return false;
    uint32_t *at[1] = { rank.p };
    bool fine = rank_codes(n, s->code[s->lane_col], N, r->b->col[s->lane_col].type, rank.p, &d);
    if (fine && d && N % d == 0) {
        s->n_lanes = d;
        s->n_rest = N / d;
        for (size_t k = 0; sorted && k < N; k++)
            sorted = at[0][k] == k / s->n_rest;
        s->perm = NULL;
        if (!sorted) {
            fine = arr_need(n, &s->perm_mem, N * sizeof(uint32_t)) && order_rows(n, N, 1, at, &d, s->perm_mem.p);
            s->perm = s->perm_mem.p;
        }
        *ok = fine && lanes_agree(r);
    }
    arr_drop(n, &rank);
    return fine;
}

/* ---- lanes with different rests ---- */

#define MOST_RESTS 1024
#define MOST_CHOSEN 65536               /* (rest, choice) pairs: a lane holds a number for each rest */
#define LEAST_DENSITY 32                /* one place in so many is filled, or rows are better listed */
#define MOST_CHOICES 256                /* … which sums over choices need not be */

#define MOST_UNUSED 8                   /* of so many integers in a row one is used, or they are a list of codes */

typedef struct Ints { int64_t lo, hi; size_t used; bool at[MOST_CHOICES]; } Ints;

static bool few_ints(const int64_t *code, size_t N, Ints *v)
{
    *v = (Ints){ .lo = INT64_MAX, .hi = INT64_MIN };
    for (size_t k = 0; k < N; k++) {
        if (!IS_KEY(code[k]))
            return false;
        v->lo = code[k] < v->lo ? code[k] : v->lo;
        v->hi = code[k] > v->hi ? code[k] : v->hi;
    }
    if ((uint64_t)v->hi - (uint64_t)v->lo >= MOST_CHOICES)
        return false;
    for (size_t k = 0; k < N; k++) {
        v->used += !v->at[code[k] - v->lo];
        v->at[code[k] - v->lo] = true;
    }
    return true;
}

static bool ints_even(const Ints *v)
{
    int64_t step = 0, last = 0;

    for (int64_t i = 1; i <= v->hi - v->lo; i++) {
        if (!v->at[i])
            continue;
        if (step && i - last != step)
            return false;
        step = i - last;
        last = i;
    }
    return true;
}

/* The codes of column c, of its rows and, where they are integers with gaps, of what fills those: labels 0, 4 and 9 are
 * then 0 to 9, and numbers of a loop.  Nobody has the others. */
static bool even_codes(Native *n, Rel *r, int c, size_t most, const int64_t **code, size_t *count)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    Ints v;

    *code = s->code[c];
    *count = N;
    if (r->b->col[c].type != T_INT || !few_ints(s->code[c], N, &v) || ints_even(&v))
        return true;
    const size_t all = (size_t)(v.hi - v.lo) + 1;
    if (all > most || all > v.used * MOST_UNUSED)
        return true;
    if (!arr_need(n, &s->even_mem, (N + all) * sizeof(int64_t)))
        return false;
    int64_t *even = s->even_mem.p;
    memcpy(even, s->code[c], N * sizeof *even);
    for (size_t i = 0; i < all; i++)
        if (!v.at[i])
            even[(*count)++] = v.lo + (int64_t)i;
    *code = even;
    return true;
}

/* Behind the codes of column c, those of classes that no row names. */
static bool add_classes(Native *n, Rel *r, int c, const int64_t *class, size_t n_classes, size_t *count)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    const int64_t *key[1] = { s->code[c] };
    KeyTable own = { 0 };

    if (!arr_need(n, &s->even_mem, (N + n_classes) * sizeof(int64_t)) || !keys_build(n, &own, 1, key, NULL, N))
        return false;
    int64_t *code = s->even_mem.p;
    memcpy(code, s->code[c], N * sizeof *code);
    for (size_t k = 0; k < n_classes; k++)
        if (keys_find(&own, &class[k]) == ROW_NONE)
            code[(*count)++] = class[k];
    keys_free(n, &own);
    return true;
}

/* The codes of column c, and behind those of its rows what it could be as well: the classes it is compared with, where
 * those are no integers in a row, or what fills gaps. */
static bool filled_codes(Native *n, Rel *r, int c, size_t most, const int64_t **code, size_t *count)
{
    struct Base *s = r->base;
    int64_t class[MOST_CHOICES];
    const size_t n_classes = ties_of(n, r, c, most < MOST_CHOICES ? most : MOST_CHOICES, class);
    Ints v;

    if (n_classes == 0 || (r->b->col[c].type == T_INT && few_ints(class, n_classes, &v)))
        return even_codes(n, r, c, most, code, count);
    *count = s->t->n_rows;
    if (!add_classes(n, r, c, class, n_classes, count))
        return false;
    *code = *count > s->t->n_rows ? s->even_mem.p : s->code[c];
    return true;
}

static size_t n_choices(const struct Base *s)
{
    return s->chosen >= 0 ? s->choice.n_groups : 1;
}

/* The (rest, choice) pair of a table row, before they are ordered. */
static size_t pair_of(const struct Base *s, size_t row)
{
    return s->rest.gid[row] * n_choices(s) + (s->chosen >= 0 ? s->choice.gid[row] : 0);
}

/* A table row that has the key of column c of this pair. */
static size_t row_of_pair(const struct Base *s, size_t pair, int c)
{
    return c >= 0 && c == s->chosen ? s->choice.first[pair % n_choices(s)] : s->rest.first[pair / n_choices(s)];
}

/* Ranks of a key table's groups in the order that rows stand in. */
static void rank_groups(const struct Base *s, size_t D, const uint32_t *order, size_t n_groups, bool choices, uint32_t *rank)
{
    uint32_t next = 0;

    memset(rank, 0xff, n_groups * sizeof *rank);
    for (size_t d = 0; d < D; d++) {
        const size_t g = choices ? order[d] % n_choices(s) : order[d] / n_choices(s);
        if (rank[g] == UINT32_MAX)
            rank[g] = next++;
    }
}

static bool rests_memory(Native *n, struct Base *s, size_t D)
{
    if (!arr_need(n, &s->rest_mem, (3 * D + s->rest.n_groups + n_choices(s)) * sizeof(uint32_t)))
        return false;
    s->rest_at = s->rest_mem.p;
    s->rest_row = s->rest_at + D;
    s->choice_row = s->rest_row + D;
    s->rest_rank = s->choice_row + D;
    s->choice_rank = s->rest_rank + s->rest.n_groups;
    return true;
}

/* Pairs in the order of their keys. */
static bool order_rests(Native *n, Rel *r, Arena *a)
{
    struct Base *s = r->base;
    const size_t D = s->rest.n_groups * n_choices(s);
    uint32_t **rank = ARENA_ARRAY(a, uint32_t *, r->b->n_cols + 1);
    size_t *n_ranks = ARENA_ARRAY(a, size_t, r->b->n_cols + 1);
    int64_t *code = ARENA_ARRAY(a, int64_t, D + 1);
    uint32_t *order = ARENA_ARRAY(a, uint32_t, D + 1);
    bool ok = rests_memory(n, s, D);
    int K = 0;

    for (int c = 0; ok && c < r->b->n_cols; c++) {
        if (c == s->lane_col || r->b->col[c].type == T_REAL)
            continue;
        for (size_t d = 0; d < D; d++)
            code[d] = base_code(s, c, row_of_pair(s, d, c));
        rank[K] = ARENA_ARRAY(a, uint32_t, D + 1);
        ok = rank_codes(n, code, D, r->b->col[c].type, rank[K], &n_ranks[K]);
        K++;
    }
    ok = ok && order_rows(n, D, K, rank, n_ranks, order);
    for (size_t d = 0; ok && d < D; d++) {
        s->rest_at[order[d]] = (uint32_t)d;
        s->rest_row[d] = (uint32_t)row_of_pair(s, order[d], -1);
        s->choice_row[d] = (uint32_t)row_of_pair(s, order[d], s->chosen);
    }
    if (ok) {
        rank_groups(s, D, order, s->rest.n_groups, false, s->rest_rank);
        rank_groups(s, D, order, n_choices(s), true, s->choice_rank);
    }
    return ok;
}

/* Key columns but the batch key and `chosen`; with the batch key first if `lane`. */
static int rest_keys(const Rel *r, int chosen, bool lane, const int64_t **key)
{
    const struct Base *s = r->base;
    int K = 0;

    if (lane)
        key[K++] = s->code[s->lane_col];
    for (int c = 0; c < r->b->n_cols; c++)
        if (c != s->lane_col && c != chosen && r->b->col[c].type != T_REAL)
            key[K++] = s->code[c];
    return K;
}

/* Does every lane have every rest without column c exactly once?  Leaves `rest` and `choice` built. */
static bool is_chosen(Native *n, Rel *r, int c, bool *yes)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    const int64_t **both = ARENA_ARRAY(&n->arena, const int64_t *, r->b->n_cols + 1);
    KeyTable all = { 0 };
    const int K = rest_keys(r, c, false, s->rest_key);

    keys_free(n, &s->rest);
    keys_free(n, &s->choice);
    size_t n_codes;
    if (!filled_codes(n, r, c, MOST_CHOICES, &s->choice_key[0], &n_codes) ||
        !keys_build(n, &s->rest, K, s->rest_key, NULL, N) || !keys_build(n, &s->choice, 1, s->choice_key, NULL, n_codes))
        return false;
    const size_t G = s->rest.n_groups, E = s->choice.n_groups;
    *yes = G * s->n_lanes == N && E <= MOST_CHOICES && G * E <= MOST_CHOSEN;
    if (!*yes)
        return true;
    const bool ok = keys_build(n, &all, rest_keys(r, c, true, both), both, NULL, N);
    *yes = ok && all.n_groups == N;
    keys_free(n, &all);
    return ok;
}

/* A column whose key each lane chooses for every rest: then sums over it are sums over one row. */
static bool find_chosen(Native *n, Rel *r)
{
    struct Base *s = r->base;
    bool yes = false;

    for (int c = 0; s->n_lanes && s->t->n_rows % s->n_lanes == 0 && c < r->b->n_cols; c++) {
        if (c == s->lane_col || r->b->col[c].type == T_REAL)
            continue;
        if (!is_chosen(n, r, c, &yes))
            return false;
        if (yes) {
            s->chosen = c;
            return true;
        }
    }
    return true;
}

static bool rows_by_lane(Native *n, struct Base *s, uint32_t *rank)
{
    const size_t N = s->t->n_rows;

    if (!arr_need(n, &s->perm_mem, N * sizeof(uint32_t)) || !arr_need(n, &s->ptr_mem, (s->n_lanes + 1) * sizeof(uint32_t)) ||
        !order_rows(n, N, 1, &rank, &s->n_lanes, s->perm_mem.p))
        return false;
    s->perm = s->perm_mem.p;
    s->lane_ptr = s->ptr_mem.p;
    memset(s->lane_ptr, 0, (s->n_lanes + 1) * sizeof(uint32_t));
    for (size_t k = 0; k < N; k++)
        s->lane_ptr[rank[k] + 1]++;
    for (size_t l = 0; l < s->n_lanes; l++)
        s->lane_ptr[l + 1] += s->lane_ptr[l];
    return true;
}

/* Keys that are data: rows are told apart without them.  A list of all that could be there would grow by as much with
 * every join. */
static bool has_payload_keys(const Rel *r, int n_rest_keys)
{
    int n = 0;

    for (int k = 0; k < r->b->n_id; k++)
        n += r->b->id_col[k] != r->base->lane_col;
    return n < n_rest_keys;
}

/* The only key but the lane's: its gaps are filled where that is worth it. */
static bool build_rests(Native *n, Rel *r, int K)
{
    struct Base *s = r->base;
    size_t count = s->t->n_rows;
    int c = 0;

    keys_free(n, &s->rest);
    rest_keys(r, -1, false, s->rest_key);
    while (K == 1 && s->code[c] != s->rest_key[0])
        c++;
    if (K == 1 && count == s->n_lanes && !filled_codes(n, r, c, LEAST_DENSITY, &s->rest_key[0], &count))
        return false;
    return keys_build(n, &s->rest, K, s->rest_key, NULL, count);
}

/* Which rests there are, and how they are found; *ok: few enough. */
static bool collect_rests(Native *n, Rel *r, bool *ok)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    const int K = rest_keys(r, -1, false, s->rest_key);

    s->chosen = -1;
    const bool nests = n->have_batch && n->o.all_loops && !n->no_cc && !n->o.no_loops;   /* lists would grow by every choice */
    if (N != s->n_lanes && K > 1 && nests && !find_chosen(n, r))
        return false;
    if (s->chosen < 0 && !build_rests(n, r, K))
        return false;
    const size_t D = s->rest.n_groups;
    *ok = s->chosen >= 0 || (D <= MOST_RESTS && D * s->n_lanes <= N * LEAST_DENSITY &&
                             (N == s->n_lanes || !has_payload_keys(r, K)));
    return true;
}

/* Rows by lane, and the rests there are; *ok: few enough. */
static bool look_at_rests(Native *n, Rel *r, bool *ok)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    Arena a = { 0 };
    Arr rank = { 0 };

    *ok = false;
    if (s->t->n_inner || !is_batched(r->b))
        return true;
    s->rest_key = ARENA_ARRAY(&n->arena, const int64_t *, r->b->n_cols + 1);
    if (rest_keys(r, -1, false, s->rest_key) == 0)
        return true;
    bool fine = arr_need(n, &rank, N * sizeof(uint32_t)) &&
                rank_codes(n, s->code[s->lane_col], N, r->b->col[s->lane_col].type, rank.p, &s->n_lanes) &&
                collect_rests(n, r, ok);
    if (fine && *ok) {
        fine = rows_by_lane(n, s, rank.p) && order_rests(n, r, &a);
        s->n_rest = s->rest.n_groups * n_choices(s);
    }
    arr_drop(n, &rank);
    arena_free(&a);
    return fine;
}

static bool gather_lane_keys(Native *n, Rel *r)
{
    struct Base *s = r->base;

    if (!arr_need(n, &s->lane_code_mem, s->n_lanes * sizeof(int64_t)))
        return false;
    for (size_t l = 0; l < s->n_lanes; l++)
        ((int64_t *)s->lane_code_mem.p)[l] =
            base_code(s, s->lane_col, s->ragged ? s->perm[s->lane_ptr[l]] : base_row(s, l, 0));
    s->lane_key[0] = s->lane_code_mem.p;
    keys_free(n, &s->lanes);
    s->have_lanes = keys_build(n, &s->lanes, 1, s->lane_key, NULL, s->n_lanes);
    return s->have_lanes;
}

static bool look_for_lane(Native *n, Rel *r)
{
    struct Base *s = r->base;
    bool ok = false;

    s->looked = true;
    s->laned = false;
    s->lane_col = lane_candidate(r);
    if (s->lane_col < 0 || s->t->n_rows == 0 || r->b->bag)
        return true;
    if (s->t->n_inner && product_rows_ok(r, s->lane_col)) {
        s->n_lanes = s->t->n_outer;
        s->n_rest = s->t->n_inner;
        s->perm = NULL;
        ok = true;
    } else if (!s->t->n_inner && !look_at_rows(n, r, &ok)) {
        return false;
    }
    if (!ok && !look_at_rests(n, r, &s->ragged))
        return false;
    if (!ok && !s->ragged)
        return true;
    if (!gather_lane_keys(n, r))
        return false;
    s->laned = s->lanes.n_groups == s->n_lanes;         /* a repeated outer key is no lane */
    return true;
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
    *count = sort_unique(s->pick.p, *count);
    return true;
}

/* ---- keys and values of the layout ---- */

/* Table row of flat position (row, lane). */
typedef struct Places { const struct Base *s; const uint32_t *pick; bool laned; } Places;

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

static bool load_keys(Native *n, Rel *r, const Places *p, size_t R)
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
            const size_t row = s->perm[k], d = s->rest_at[pair_of(s, row)], at = d * y->L + l;
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

static bool load_columns(Native *n, Rel *r, const Places *p)
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
    Places p = { s, NULL, s->laned };
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
    if ((!same_rows && !load_keys(n, r, &p, s->laned ? s->n_rest : count)) || !load_columns(n, r, &p))
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
    if (!s->looked && !look_for_lane(n, r))
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
    for (int c = 0; s->n_ahead && c < r->b->n_cols; c++) {
        const LCol *k = &r->lay.col[c];
        const TableCol *from = s->tcol[c] < 0 ? NULL : &s->t->col[s->tcol[c]];
        s->ahead_col[c] = from && stays_in_blocks(k) && fills_blocks(s, c);
        if (!s->ahead_col[c])
            continue;
        Fill *f = fill_new(n, &n->later_arena, from, s->by_lane[c].p, s->ahead.p, s->n_rest, s->n_ahead);
        if (!arr_need(n, &s->ahead_mem[c], (size_t)fill_blocks(f) * f->W * f->R * n->esz))
            return false;
        f->to = s->ahead_mem[c].p;
        VEC_PUSH(&n->later_arena, n->later, n->n_later, f);
    }
    return true;
}

bool base_is_batched(const Rel *r)
{
    return is_batched(r->b);
}
