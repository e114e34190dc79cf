/* SPDX-License-Identifier: Apache-2.0
 *
 * facts.c - host tables in canonical order, and what can be known of a table by looking at it. */
#include "ir/ir.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rank of each distinct text in byte order, so that sorting compares numbers. */
typedef struct SortKey { const int64_t *i; const double *r; const char **s; const uint8_t *null; } SortKey;

typedef struct Sorter { SortKey key[64]; int n; } Sorter;

static int compare_cell(const SortKey *k, size_t x, size_t y)
{
    const int nx = k->null && k->null[x], ny = k->null && k->null[y];

    if (nx || ny)
        return ny - nx;
    if (k->i)
        return (k->i[x] > k->i[y]) - (k->i[x] < k->i[y]);
    if (k->s)
        return strcmp(k->s[x], k->s[y]);
    return (k->r[x] > k->r[y]) - (k->r[x] < k->r[y]);
}

static int compare_rows(const Sorter *s, size_t x, size_t y)
{
    for (int k = 0; k < s->n; k++) {
        const int c = compare_cell(&s->key[k], x, y);
        if (c)
            return c;
    }
    return 0;
}

static void sorter_init(Sorter *s, const Table *t)
{
    s->n = 0;
    for (int pass = 0; pass < 2; pass++)            /* keys, then values */
        for (int c = 0; c < t->n_cols && s->n < (int)COUNT_OF(s->key); c++) {
            const TableCol *k = &t->col[c];
            if ((k->type == T_REAL) == pass)
                s->key[s->n++] = (SortKey){ k->i, k->r, k->s, k->null };
        }
}

/* Merge sort of row numbers: stable, O(n log n) on hostile input. */
static void merge_rows(const Sorter *s, uint32_t *row, uint32_t *tmp, size_t n)
{
    if (n < 2)
        return;
    const size_t h = n / 2;
    merge_rows(s, row, tmp, h);
    merge_rows(s, row + h, tmp, n - h);
    if (compare_rows(s, row[h - 1], row[h]) <= 0)
        return;
    memcpy(tmp, row, h * sizeof *row);
    for (size_t i = 0, j = h, k = 0; i < h; k++)
        row[k] = j < n && compare_rows(s, tmp[i], row[j]) > 0 ? row[j++] : tmp[i++];
}

static void permute(void *data, size_t size, const uint32_t *row, size_t n, void *tmp)
{
    if (!data)
        return;
    for (size_t k = 0; k < n; k++)
        memcpy((char *)tmp + k * size, (char *)data + row[k] * size, size);
    memcpy(data, tmp, n * size);
}

static bool is_sorted(const Sorter *s, size_t n)
{
    for (size_t k = 1; k < n; k++)
        if (compare_rows(s, k - 1, k) > 0)
            return false;
    return true;
}

void table_sort(Table *t)
{
    Sorter s;

    if (t->n_inner || t->n_rows < 2)
        return;
    sorter_init(&s, t);
    if (is_sorted(&s, t->n_rows))
        return;
    uint32_t *row = mem_alloc(t->n_rows * sizeof *row), *tmp = mem_alloc(t->n_rows * sizeof(int64_t));
    for (size_t k = 0; k < t->n_rows; k++)
        row[k] = (uint32_t)k;
    merge_rows(&s, row, tmp, t->n_rows);
    for (int c = 0; c < t->n_cols; c++) {
        TableCol *k = &t->col[c];
        permute(k->i, sizeof *k->i, row, t->n_rows, tmp);
        permute(k->r, sizeof *k->r, row, t->n_rows, tmp);
        permute(k->s, sizeof *k->s, row, t->n_rows, tmp);
        permute(k->null, 1, row, t->n_rows, tmp);
    }
    mem_free(row);
    mem_free(tmp);
}

/* ---- facts ---- */

static size_t col_len(const Table *t, const TableCol *k)
{
    return !t->n_inner || k->dim == DIM_full ? t->n_rows : k->dim == DIM_outer ? t->n_outer : t->n_inner;
}

static void col_facts(const Table *t, const TableCol *k, CatCol *out)
{
    const size_t n = col_len(t, k);

    out->type = k->type;
    out->n_distinct = -1;
    for (size_t j = 0; j < n; j++) {
        if (k->null && k->null[j]) {
            out->nullable = true;
            continue;
        }
        if (k->type != T_INT)
            continue;
        if (!out->has_range || k->i[j] < out->lo) out->lo = k->i[j];
        if (!out->has_range || k->i[j] > out->hi) out->hi = k->i[j];
        out->has_range = true;
    }
}

static bool cells_equal(const TableCol *k, size_t x, size_t y)
{
    if (k->null && (k->null[x] || k->null[y]))
        return k->null[x] == k->null[y];
    return k->i ? k->i[x] == k->i[y] : !strcmp(k->s[x], k->s[y]);
}

static bool keys_equal(const Table *t, size_t x, size_t y)
{
    for (int c = 0; c < t->n_cols; c++)
        if (t->col[c].type != T_REAL && !cells_equal(&t->col[c], x, y))
            return false;
    return true;
}

static const char *key_text(const Table *t, size_t row, Arena *a)
{
    Buf b = { 0 };

    for (int c = 0; c < t->n_cols; c++) {
        const TableCol *k = &t->col[c];
        if (k->type == T_REAL)
            continue;
        buf_printf(&b, "%s%s = ", b.n ? ", " : "", k->name);
        if (k->null && k->null[row])
            buf_puts(&b, "NULL");
        else if (k->type == T_INT)
            buf_printf(&b, "%lld", (long long)k->i[row]);
        else
            buf_text(&b, k->s[row]);
    }
    const char *s = arena_strdup(a, b.s ? b.s : "");
    buf_free(&b);
    return s;
}

static uint64_t cell_hash(const TableCol *k, size_t row)
{
    return k->i ? hash_u64((uint64_t)k->i[row]) : hash_bytes(k->s[row], strlen(k->s[row]));
}

enum { MOST_KEYS = 6, MANY_ROWS = 1 << 22 };   /* beyond these it is not worth to look at every subset */

/* Some key columns of a table. */
typedef struct Subset { int col[MOST_KEYS], n; } Subset;

static uint64_t row_hash(const Table *t, const Subset *by, size_t row)
{
    uint64_t h = 0;

    for (int k = 0; k < by->n; k++)
        h = hash_u64(h ^ cell_hash(&t->col[by->col[k]], row));
    return h;
}

static bool rows_equal(const Table *t, const Subset *by, size_t x, size_t y)
{
    for (int k = 0; k < by->n; k++)
        if (!cells_equal(&t->col[by->col[k]], x, y))
            return false;
    return true;
}

/* Do these columns, never NULL, tell all rows apart?  The first repetition answers: mostly soon. */
static bool is_unique_by(const Table *t, const Subset *by)
{
    size_t mask = 16;
    bool unique = t->n_rows < UINT32_MAX;

    for (int k = 0; k < by->n; k++)
        unique = unique && !t->col[by->col[k]].null;
    while (mask < 2 * t->n_rows)
        mask *= 2;
    uint32_t *slot = unique ? mem_try(mask * sizeof *slot) : NULL;
    unique = slot != NULL;
    if (slot)
        memset(slot, 0xff, mask-- * sizeof *slot);
    for (size_t row = 0; unique && row < t->n_rows; row++) {
        size_t at = row_hash(t, by, row) & mask;
        for (; unique && slot[at] != UINT32_MAX; at = (at + 1) & mask)
            unique = !rows_equal(t, by, slot[at], row);
        slot[at] = (uint32_t)row;
    }
    mem_free(slot);
    return unique;
}

/* How many rows there could be: of columns that are told apart by few numbers it is they that are meant to. */
static double most_rows(const CatTable *out, const Subset *by)
{
    double n = 1;

    for (int k = 0; k < by->n; k++) {
        const CatCol *c = &out->col[by->col[k]];
        n *= c->has_range ? (double)c->hi - (double)c->lo + 1 : 1e30;
    }
    return n;
}

/* Of all subsets of n of the K keys, from key `from` on, the unique one that fits closest. */
static void try_subsets(const Table *t, const CatTable *out, const int *key, int K, int from, int n, Subset *now, Subset *best)
{
    if (now->n == n) {
        if ((!best->n || most_rows(out, now) < most_rows(out, best)) && is_unique_by(t, now))
            *best = *now;
        return;
    }
    for (int k = from; k < K; k++) {
        now->col[now->n++] = key[k];
        try_subsets(t, out, key, K, k + 1, n, now, best);
        now->n--;
    }
}

/* The fewest key columns that tell rows apart, whatever order columns stand in. */
static void find_known_by(const Table *t, CatTable *out, const int *key, int K, Arena *a)
{
    Subset now = { .n = 0 }, best = { .n = 0 };

    for (int n = 1; n < K && n <= MOST_KEYS && !best.n; n++)
        try_subsets(t, out, key, n == 1 || (K <= MOST_KEYS && t->n_rows < MANY_ROWS) ? K : n, 0, n, &now, &best);
    out->n_known = best.n ? best.n : K;
    out->known_by = ARENA_ARRAY(a, int, out->n_known + 1);
    for (int k = 0; k < out->n_known; k++)
        out->known_by[k] = best.n ? best.col[k] : key[k];
}

/* Rows sorted by keys: repeated keys stand beside each other.  A product table is unique by how it is made. */
static void find_repeat(const Table *t, CatTable *out, Arena *a)
{
    int *key = ARENA_ARRAY(a, int, t->n_cols + 1), K = 0;

    out->unique = true;
    for (int c = 0; c < t->n_cols; c++)
        if (t->col[c].type != T_REAL)
            key[K++] = c;
    for (size_t j = 1; j < t->n_rows && !t->n_inner; j++)
        if (keys_equal(t, j - 1, j)) {
            out->unique = false;
            out->dup_a = K ? key_text(t, j, a) : "";
            return;
        }
    if (!t->n_inner)
        find_known_by(t, out, key, K, a);
}

void table_facts(const Table *t, CatTable *out, Arena *a)
{
    out->exists = true;
    out->n_rows = (int64_t)t->n_rows;
    out->n_cols = t->n_cols;
    out->col = ARENA_ARRAY(a, CatCol, t->n_cols ? t->n_cols : 1);
    for (int c = 0; c < t->n_cols; c++) {
        out->col[c].name = arena_strdup(a, t->col[c].name);
        out->col[c].decl = type_name[t->col[c].type];
        col_facts(t, &t->col[c], &out->col[c]);
    }
    find_repeat(t, out, a);
}
