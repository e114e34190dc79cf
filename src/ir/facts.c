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

/* How many leading key columns tell rows x and y apart; 0: none does. */
static int keys_apart(const Table *t, size_t x, size_t y)
{
    int n = 0;

    for (int c = 0; c < t->n_cols; c++) {
        if (t->col[c].type == T_REAL)
            continue;
        n++;
        if (!cells_equal(&t->col[c], x, y))
            return n;
    }
    return 0;
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

/* Is this key column unique by itself, and never NULL?  The first repetition answers: mostly soon. */
static bool is_unique_alone(const Table *t, const TableCol *k)
{
    size_t mask = 16;
    bool unique = !k->null;

    while (mask < 2 * t->n_rows)
        mask *= 2;
    uint32_t *slot = unique && t->n_rows < UINT32_MAX ? mem_try(mask * sizeof *slot) : NULL;
    unique = slot != NULL;
    if (slot)
        memset(slot, 0xff, mask-- * sizeof *slot);
    for (size_t row = 0; unique && row < t->n_rows; row++) {
        size_t at = cell_hash(k, row) & mask;
        for (; unique && slot[at] != UINT32_MAX; at = (at + 1) & mask)
            unique = !cells_equal(k, slot[at], row);
        slot[at] = (uint32_t)row;
    }
    mem_free(slot);
    return unique;
}

static int column_unique_alone(const Table *t)
{
    for (int c = 0; c < t->n_cols; c++)
        if (t->col[c].type != T_REAL && is_unique_alone(t, &t->col[c]))
            return c;
    return -1;
}

/* Rows sorted by keys: repeated keys stand beside each other.  A product table is unique by how it is made. */
static void find_repeat(const Table *t, CatTable *out, Arena *a)
{
    int n_keys = 0;

    out->unique = true;
    out->n_unique = 0;
    out->one_is_enough = false;
    for (int c = 0; c < t->n_cols; c++)
        n_keys += t->col[c].type != T_REAL;
    if (t->n_inner)
        out->n_unique = n_keys;
    for (size_t j = 1; j < t->n_rows && !t->n_inner; j++) {
        const int n = keys_apart(t, j - 1, j);
        out->n_unique = n > out->n_unique ? n : out->n_unique;
        if (n == 0) {
            out->unique = false;
            out->dup_a = n_keys ? key_text(t, j, a) : "";
            return;
        }
    }
    if (out->n_unique == 0 && n_keys)
        out->n_unique = 1;
    if (out->n_unique == n_keys && n_keys > 1 && !t->n_inner)
        out->one_is_enough = (out->unique_col = column_unique_alone(t)) >= 0;
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
