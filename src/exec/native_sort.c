/* SPDX-License-Identifier: Apache-2.0
 *
 * native_sort.c - ranks and stable orders of keys, and hash tables of rows by key.  All results depend on
 * the keys alone, never on where rows stand or how hashes fall. */
#include "exec/native.h"

#include <stdlib.h>
#include <string.h>

/* ---- ranks ---- */

static int compare_codes(const void *x, const void *y)
{
    const int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* A text's place in byte order; NULL stays first. */
static int64_t sortable(const uint32_t *text_rank, int64_t key)
{
    return !text_rank || key == KEY_NULL ? key : (int64_t)text_rank[key];
}

typedef struct Range { int64_t lo, hi; bool null, any; } Range;

static Range key_range(const int64_t *key, size_t count, const uint32_t *text_rank)
{
    Range r = { 0, 0, false, false };

    for (size_t k = 0; k < count; k++) {
        const int64_t x = sortable(text_rank, key[k]);
        if (x == KEY_NULL) {
            r.null = true;
            continue;
        }
        r.lo = !r.any || x < r.lo ? x : r.lo;
        r.hi = !r.any || x > r.hi ? x : r.hi;
        r.any = true;
    }
    return r;
}

/* Keys in a small range: one pass over a table of the range. */
static bool rank_dense(Native *n, const int64_t *key, size_t count, const uint32_t *text_rank, Range r, uint32_t *rank,
                       size_t *n_distinct)
{
    const size_t width = r.any ? (size_t)((uint64_t)r.hi - (uint64_t)r.lo) + 2 : 1;
    Arr mem = { 0 };

    if (!arr_need(n, &mem, width * sizeof(uint32_t)))
        return false;
    uint32_t *at = mem.p, next = 0;
    memset(at, 0, width * sizeof *at);
    for (size_t k = 0; k < count; k++) {
        const int64_t x = sortable(text_rank, key[k]);
        at[x == KEY_NULL ? 0 : (uint64_t)x - (uint64_t)r.lo + 1] = 1;
    }
    for (size_t j = 0; j < width; j++)
        if (at[j])
            at[j] = next++;
    for (size_t k = 0; k < count; k++) {
        const int64_t x = sortable(text_rank, key[k]);
        rank[k] = at[x == KEY_NULL ? 0 : (uint64_t)x - (uint64_t)r.lo + 1];
    }
    *n_distinct = next;
    arr_drop(n, &mem);
    return true;
}

static uint32_t find_rank(const int64_t *sorted, size_t n, int64_t x)
{
    size_t lo = 0, hi = n;

    while (lo + 1 < hi) {
        const size_t mid = (lo + hi) / 2;
        if (sorted[mid] <= x)
            lo = mid;
        else
            hi = mid;
    }
    return (uint32_t)lo;
}

bool rank_codes(Native *n, const int64_t *key, size_t count, Type type, uint32_t *rank, size_t *n_distinct)
{
    const uint32_t *text_rank = type == T_TEXT ? dict_ranks(&n->dict) : NULL;
    const Range r = key_range(key, count, text_rank);
    Arr mem = { 0 };
    size_t d = 0;

    if (!r.any || (uint64_t)r.hi - (uint64_t)r.lo < 4 * (uint64_t)count + 1024)
        return rank_dense(n, key, count, text_rank, r, rank, n_distinct);
    if (!arr_need(n, &mem, count * sizeof(int64_t)))
        return false;
    int64_t *sorted = mem.p;
    for (size_t k = 0; k < count; k++)
        sorted[k] = sortable(text_rank, key[k]);
    qsort(sorted, count, sizeof *sorted, compare_codes);
    for (size_t k = 0; k < count; k++)
        if (k == 0 || sorted[k] != sorted[d - 1])
            sorted[d++] = sorted[k];
    for (size_t k = 0; k < count; k++)
        rank[k] = find_rank(sorted, d, sortable(text_rank, key[k]));
    *n_distinct = d;
    arr_drop(n, &mem);
    return true;
}

/* One stable counting pass: the rows in `from`, ordered by rank, to `to`. */
static void counting_pass(const uint32_t *rank, size_t n_ranks, size_t count, const uint32_t *from, uint32_t *to,
                          uint32_t *start)
{
    memset(start, 0, (n_ranks + 1) * sizeof *start);
    for (size_t k = 0; k < count; k++)
        start[rank[k] + 1]++;
    for (size_t j = 1; j <= n_ranks; j++)
        start[j] += start[j - 1];
    for (size_t k = 0; k < count; k++)
        to[start[rank[from[k]]]++] = from[k];
}

static bool in_order(const uint32_t *rank, size_t count)
{
    for (size_t k = 1; k < count; k++)
        if (rank[k] < rank[k - 1])
            return false;
    return true;
}

bool order_rows(Native *n, size_t count, int n_cols, uint32_t *const *rank, const size_t *n_ranks, uint32_t *perm)
{
    Arr tmp = { 0 }, start = { 0 };
    size_t most = 1;

    for (size_t k = 0; k < count; k++)
        perm[k] = (uint32_t)k;
    if (n_cols == 1 && in_order(rank[0], count))
        return true;
    for (int c = 0; c < n_cols; c++)
        most = n_ranks[c] > most ? n_ranks[c] : most;
    bool ok = arr_need(n, &tmp, count * sizeof(uint32_t)) && arr_need(n, &start, (most + 1) * sizeof(uint32_t));
    for (int c = n_cols - 1; ok && c >= 0; c--) {
        if (n_ranks[c] < 2)
            continue;
        memcpy(tmp.p, perm, count * sizeof *perm);
        counting_pass(rank[c], n_ranks[c], count, tmp.p, perm, start.p);
    }
    arr_drop(n, &tmp);
    arr_drop(n, &start);
    return ok;
}

/* ---- rows by key ---- */

static uint64_t hash_row(int n_keys, const int64_t *const *key, size_t row)
{
    uint64_t h = 0x9e3779b97f4a7c15ull;

    for (int k = 0; k < n_keys; k++)
        h = hash_u64(h ^ (uint64_t)key[k][row]) + (uint64_t)k;
    return h;
}

static uint64_t hash_codes(int n_keys, const int64_t *code)
{
    uint64_t h = 0x9e3779b97f4a7c15ull;

    for (int k = 0; k < n_keys; k++)
        h = hash_u64(h ^ (uint64_t)code[k]) + (uint64_t)k;
    return h;
}

static bool equal_rows(const KeyTable *t, size_t x, size_t y)
{
    for (int k = 0; k < t->n_keys; k++)
        if (t->key[k][x] != t->key[k][y])
            return false;
    return true;
}

static bool equal_codes(const KeyTable *t, size_t row, const int64_t *code)
{
    for (int k = 0; k < t->n_keys; k++)
        if (t->key[k][row] != code[k])
            return false;
    return true;
}

static bool left_out(const KeyTable *t, const bool *skip, size_t row)
{
    for (int k = 0; skip && k < t->n_keys; k++)
        if (skip[k] && t->key[k][row] == KEY_NULL)
            return true;
    return false;
}

static uint32_t group_of_row(KeyTable *t, size_t row)
{
    for (size_t i = hash_row(t->n_keys, t->key, row);; i++) {
        uint32_t *s = &t->slot[i & t->mask];
        if (*s == ROW_NONE) {
            *s = (uint32_t)t->n_groups;
            t->first[t->n_groups] = (uint32_t)row;
            return (uint32_t)t->n_groups++;
        }
        if (equal_rows(t, t->first[*s], row))
            return *s;
    }
}

bool keys_build(Native *n, KeyTable *t, int n_keys, const int64_t **key, const bool *skip, size_t count)
{
    size_t size = 16;

    *t = (KeyTable){ .n_keys = n_keys, .key = key, .count = count };
    while (size < 2 * count)
        size *= 2;
    t->mask = size - 1;
    if (!arr_need(n, &t->mem[0], size * sizeof(uint32_t)) || !arr_need(n, &t->mem[1], count * sizeof(uint32_t)) ||
        !arr_need(n, &t->mem[2], count * sizeof(uint32_t))) {
        keys_free(n, t);
        return false;
    }
    t->slot = t->mem[0].p;
    t->first = t->mem[1].p;
    t->gid = t->mem[2].p;
    memset(t->slot, 0xff, size * sizeof *t->slot);
    for (size_t r = 0; r < count; r++)
        t->gid[r] = left_out(t, skip, r) ? ROW_NONE : group_of_row(t, r);
    return true;
}

bool keys_lists(Native *n, KeyTable *t)
{
    if (!arr_need(n, &t->mem[3], (t->n_groups + 2) * sizeof(uint32_t)) ||
        !arr_need(n, &t->mem[4], t->count * sizeof(uint32_t)))
        return false;
    t->ptr = t->mem[3].p;
    t->row = t->mem[4].p;
    memset(t->ptr, 0, (t->n_groups + 2) * sizeof *t->ptr);
    for (size_t r = 0; r < t->count; r++)
        if (t->gid[r] != ROW_NONE)
            t->ptr[t->gid[r] + 2]++;
    for (size_t g = 2; g < t->n_groups + 2; g++)
        t->ptr[g] += t->ptr[g - 1];
    for (size_t r = 0; r < t->count; r++)
        if (t->gid[r] != ROW_NONE)
            t->row[t->ptr[t->gid[r] + 1]++] = (uint32_t)r;
    return true;
}

uint32_t keys_find(const KeyTable *t, const int64_t *code)
{
    if (t->count == 0)
        return ROW_NONE;
    for (size_t i = hash_codes(t->n_keys, code);; i++) {
        const uint32_t s = t->slot[i & t->mask];
        if (s == ROW_NONE || equal_codes(t, t->first[s], code))
            return s;
    }
}

void keys_free(Native *n, KeyTable *t)
{
    for (int k = 0; k < (int)COUNT_OF(t->mem); k++)
        arr_drop(n, &t->mem[k]);
}
