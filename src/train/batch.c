/* SPDX-License-Identifier: Apache-2.0
 *
 * batch.c - the drawn set: the union of the distinct batch keys of all @data tables, ordered by key before
 * it is permuted, so that a batch depends on the keys and the seed only; and the rows of a batch.
 *
 * Tables arrive sorted, so equal keys mostly stand together; of product rows (images behind a packed view)
 * only the dimension that the key lives in is looked at. */
#include "train/train.h"

#include <string.h>

/* The batch key columns of one table; rows: the key is the row's rank. */
typedef struct KeyCols { const Table *t; int col[8], n; bool rows; size_t n_at; } KeyCols;

/* Rows to look at: one per entry if all key columns live in one dimension of product rows. */
static size_t key_rows(const KeyCols *k, Dim *dim)
{
    *dim = k->t->n_inner && k->n ? k->t->col[k->col[0]].dim : DIM_full;
    for (int c = 1; c < k->n; c++)
        if (k->t->col[k->col[c]].dim != *dim)
            *dim = DIM_full;
    return *dim == DIM_outer ? k->t->n_outer : *dim == DIM_inner ? k->t->n_inner : k->t->n_rows;
}

/* The relation row that stands for entry `at` of dimension dim. */
static size_t key_row(const KeyCols *k, Dim dim, size_t at)
{
    return dim == DIM_outer ? at * k->t->n_inner : at;
}

static bool same_entry(const TableCol *x, size_t i, const TableCol *y, size_t j)
{
    return x->type == T_TEXT ? !strcmp(x->s[i], y->s[j]) : x->type == T_REAL ? x->r[i] == y->r[j] : x->i[i] == y->i[j];
}

static bool same_key(const KeyCols *k, size_t a, size_t b)
{
    for (int c = 0; c < k->n; c++) {
        const TableCol *x = &k->t->col[k->col[c]];
        if (!same_entry(x, table_at(k->t, x, a), x, table_at(k->t, x, b)))
            return false;
    }
    return true;
}

static bool key_null(const KeyCols *k, size_t row)
{
    for (int c = 0; c < k->n; c++)
        if (table_null(k->t, k->col[c], row))
            return true;
    return false;
}

static void put_entry(Table *out, int c, size_t row, const TableCol *from, size_t at)
{
    TableCol *to = &out->col[c];

    if (to->type == T_TEXT)
        to->s[row] = arena_strdup(&out->arena, from->s[at]);
    else if (to->type == T_REAL)
        to->r[row] = from->bytes ? from->lut[from->bytes[at]] : from->r[at];
    else
        to->i[row] = from->i[at];
}

/* Count (out NULL) or append at *n the keys of one table, neighbours that repeat left out. */
static void collect_keys(const KeyCols *k, Table *out, size_t *n)
{
    Dim dim;
    const size_t n_rows = key_rows(k, &dim);
    size_t last = SIZE_MAX;

    for (size_t i = 0; i < n_rows; i++) {
        const size_t row = key_row(k, dim, i);
        if (key_null(k, row) || (!k->rows && last != SIZE_MAX && same_key(k, last, row)))
            continue;
        last = row;
        for (int c = 0; out && c < k->n; c++)
            put_entry(out, c, *n, &k->t->col[k->col[c]], table_at(k->t, &k->t->col[k->col[c]], row));
        if (out && k->rows)
            out->col[0].i[*n] = (int64_t)row;
        ++*n;
    }
}

static Code find_keys(const Block *b, const Table *t, KeyCols *out, Err *e)
{
    *out = (KeyCols){ .t = t, .rows = b->batch_rows };
    if (b->n_batch > (int)COUNT_OF(out->col))
        return err_set(e, E_INPUT, ERR_train_batch, "%s has more than %d batch keys", b->name, (int)COUNT_OF(out->col));
    for (int k = 0; !b->batch_rows && k < b->n_batch; k++) {
        out->col[out->n] = table_find(t, b->batch_key[k]);
        if (out->col[out->n++] < 0)
            return err_set(e, E_INPUT, ERR_train_batch, "%s has no column %s to draw batches by", b->name, b->batch_key[k]);
    }
    return OK;
}

/* The tables must agree in the number and the types of their batch keys. */
static Code keys_agree(const KeyCols *a, const KeyCols *b, Err *e)
{
    bool same = a->n == b->n && a->rows == b->rows;

    for (int c = 0; same && c < a->n; c++)
        same = a->t->col[a->col[c]].type == b->t->col[b->col[c]].type;
    return same ? OK : err_set(e, E_INPUT, ERR_train_batch, "the batch keys of %s and %s differ in number or type",
                               a->t->name, b->t->name);
}

/* The rows of t without repetitions; t is sorted. */
static Code unique_rows(Table *t, Table *out, Err *e)
{
    uint32_t *row = mem_try((t->n_rows + 1) * sizeof *row);
    KeyCols k = { .t = t, .n = t->n_cols };
    size_t n = 0;

    if (!row)
        return err_set(e, E_ENV, ERR_mem_exhausted, "out of memory for the batch keys");
    for (int c = 0; c < t->n_cols; c++)
        k.col[c] = c;
    for (size_t r = 0; r < t->n_rows; r++)
        if (!r || !same_key(&k, r - 1, r))
            row[n++] = (uint32_t)r;
    const Code rc = batch_take(t, row, 0, n, out, e);
    mem_free(row);
    return rc;
}

Code batch_take(const Table *keys, const uint32_t *perm, size_t first, size_t n, Table *out, Err *e)
{
    bool ok = table_init(out, keys->name, keys->n_cols, n);

    for (int c = 0; ok && c < keys->n_cols; c++)
        ok = table_add_col(out, c, keys->col[c].name, keys->col[c].type, false);
    if (!ok) {
        table_free(out);
        return err_set(e, E_ENV, ERR_mem_exhausted, "out of memory for the batch keys");
    }
    for (int c = 0; c < keys->n_cols; c++)
        for (size_t i = 0; i < n; i++)
            put_entry(out, c, i, &keys->col[c], perm ? perm[first + i] : first + i);
    return OK;
}

static Code gather_keys(const KeyCols *k, int n, Table *all, Err *e)
{
    size_t total = 0, at = 0;
    const int n_cols = k[0].rows ? 1 : k[0].n;
    bool ok;

    for (int i = 0; i < n; i++)
        collect_keys(&k[i], NULL, &total);
    if (total > UINT32_MAX)
        return err_set(e, E_INPUT, ERR_train_batch, "more than %u batch keys", UINT32_MAX);
    ok = table_init(all, "sqlgrad_batch", n_cols, total);
    for (int c = 0; ok && c < n_cols; c++) {
        const TableCol *from = k[0].rows ? NULL : &k[0].t->col[k[0].col[c]];
        ok = table_add_col(all, c, from ? from->name : "row", from ? from->type : T_INT, false);
    }
    if (!ok)
        return err_set(e, E_ENV, ERR_mem_exhausted, "out of memory for the batch keys");
    for (int i = 0; i < n; i++)
        collect_keys(&k[i], all, &at);
    return OK;
}

Code batch_keys(const Prog *p, const Feed *f, int n_feeds, Table *out, Err *e)
{
    KeyCols k[32];
    Table all = { 0 };
    int n = 0;
    Code rc = OK;

    *out = (Table){ 0 };
    for (int i = 0; i < p->n_blocks && rc == OK; i++) {
        const Block *b = p->block[i];
        const Table *t = b->is_data && b->kind == BLK_base && (b->n_batch || b->batch_rows) ? feed_find(f, n_feeds, b) : NULL;
        if (!t)
            continue;
        if (n == (int)COUNT_OF(k))
            return err_set(e, E_INPUT, ERR_train_batch, "more than %d @data tables", (int)COUNT_OF(k));
        rc = find_keys(b, t, &k[n], e);
        if (rc == OK && n++)
            rc = keys_agree(&k[0], &k[n - 1], e);
    }
    if (rc != OK || !n)
        return rc;
    rc = gather_keys(k, n, &all, e);
    if (rc == OK) {
        table_sort(&all);
        rc = unique_rows(&all, out, e);
    }
    table_free(&all);
    return rc;
}

bool table_copy(Table *out, const Table *t)
{
    bool ok = table_init(out, t->name, t->n_cols, t->n_rows);

    for (int c = 0; ok && c < t->n_cols; c++) {
        ok = table_add_col(out, c, t->col[c].name, t->col[c].type, t->col[c].null != NULL);
        for (size_t r = 0; ok && r < t->n_rows; r++) {
            const size_t at = table_at(t, &t->col[c], r);
            if (t->col[c].null)
                out->col[c].null[r] = t->col[c].null[at];
            if (t->col[c].type != T_TEXT || !t->col[c].null || !t->col[c].null[at])
                put_entry(out, c, r, &t->col[c], at);
        }
    }
    if (!ok)
        table_free(out);
    return ok;
}
