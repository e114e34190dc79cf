/* SPDX-License-Identifier: Apache-2.0
 *
 * base.c - base tables in a script: read in place where the database's table already is what the program
 * says, else through a temporary copy of the same name, which hides it.  A copy is made for row numbers (a
 * bag), conversions, another name (--bind), text keys (whose collation may ignore case), a batch, indexes.
 * A table that @range declares is made from its CHECKs. */
#include "emit/emit.h"

#include <string.h>

/* ---- rows from CHECKs ---- */

static void put_counter(Buf *out, int k, int64_t lo, int64_t hi)
{
    buf_printf(out, "%s\n  \"_sg_r%d\"(\"v\") AS (SELECT %lld UNION ALL SELECT \"v\" + 1 FROM \"_sg_r%d\" WHERE \"v\" < %lld)",
               k ? "," : "", k, (long long)lo, k, (long long)hi);
}

/* The position of column c among the shape's keys, or -1: a value. */
static int shape_key(const Shape *s, int c)
{
    for (int k = 0; s && k < s->n_cols; k++)
        if (s->col[k] == c)
            return k;
    return -1;
}

void emit_shape(Buf *out, const Block *b, double val, const Dialect *d)
{
    const Shape *s = b->shape;

    for (int k = 0; k < s->n_cols; k++) {
        if (!k)
            buf_puts(out, "WITH RECURSIVE");
        put_counter(out, k, s->lo[k], s->hi[k]);
    }
    buf_puts(out, "\nSELECT * FROM (SELECT ");
    for (int c = 0; c < b->n_cols; c++) {
        const int k = shape_key(s, c);
        if (c)
            buf_puts(out, ", ");
        if (k >= 0) {
            buf_printf(out, "\"_sg_r%d\".\"v\" AS ", k);
        } else {
            buf_real(out, val);
            buf_puts(out, " AS ");
        }
        buf_ident(out, b->col[c].name);
    }
    for (int k = 0; k < s->n_cols; k++)
        buf_printf(out, "%s\"_sg_r%d\"", k ? " CROSS JOIN " : " FROM ", k);
    buf_putc(out, ')');
    for (int k = 0; k < s->n_checks; k++) {
        buf_puts(out, k ? "\n  AND (" : "\nWHERE (");
        print_expr(out, b, s->check[k], d);
        buf_putc(out, ')');
    }
}

/* ---- copies ---- */

static const CatCol *catalog_col(const Block *b, const char *name)
{
    for (int c = 0; b->cat && b->cat->exists && c < b->cat->n_cols; c++)
        if (ascii_ieq(b->cat->col[c].name, name))
            return &b->cat->col[c];
    return NULL;
}

static bool has_word(const char *s, const char *word)
{
    const size_t n = strlen(word);
    char part[16];

    for (; strlen(s) >= n; s++) {
        snprintf(part, sizeof part, "%.*s", (int)n, s);
        if (ascii_ieq(part, word))
            return true;
    }
    return false;
}

/* Whether the database's column may hold values of another type than the program says, or has another one:
 * INTEGER data declared REAL are converted by the copy's type, and a column without a type has no useful index. */
static bool needs_type(const Block *b, const Col *k)
{
    const CatCol *c = catalog_col(b, k->name);

    if (b->role == BASE_driver)
        return false;
    if (k->type == T_TEXT || !c || !c->decl)
        return true;
    if (k->type != T_REAL)
        return !has_word(c->decl, "INT");
    return has_word(c->decl, "INT") ||
           !(has_word(c->decl, "REAL") || has_word(c->decl, "FLOA") || has_word(c->decl, "DOUB"));
}

static bool is_row_number(const Block *b, int c)
{
    return b->bag && c == b->n_cols - 1;
}

static const char *stored_name(const Block *b)
{
    return b->cat && b->cat->exists && b->cat->db_name ? b->cat->db_name : b->name;
}

static bool base_is_batched(const Block *b)
{
    return b->role == BASE_db && (b->n_batch > 0 || b->batch_rows);
}

static bool has_index(const Readers *r, const Block *b)
{
    Buf tmp = { 0 };

    emit_indexes(&tmp, r, b);
    const bool any = tmp.n > 0;
    buf_free(&tmp);
    return any;
}

static bool needs_copy(const Readers *r, const Block *b, bool batch)
{
    if (b->bag || b->schema || (batch && base_is_batched(b)) || !ascii_ieq(stored_name(b), b->name))
        return true;
    for (int c = 0; c < b->n_cols; c++)
        if (needs_type(b, &b->col[c]))
            return true;
    return has_index(r, b);
}

static void put_row_number(Buf *out, const Block *b)
{
    int n = 0;

    buf_puts(out, "ROW_NUMBER() OVER (");
    for (int pass = 0; pass < 2; pass++)            /* keys, then values: as table_sort */
        for (int c = 0; c < b->n_cols; c++) {
            if (is_row_number(b, c) || (b->col[c].type == T_REAL) != pass)
                continue;
            buf_puts(out, n++ ? ", " : "ORDER BY ");
            buf_puts(out, "\"_sg_t\".");
            buf_ident(out, b->col[c].name);
            if (b->col[c].type == T_TEXT)
                buf_puts(out, " COLLATE BINARY");
        }
    buf_puts(out, ") - 1");
}

static void put_copied_cols(Buf *out, const Block *b)
{
    for (int c = 0; c < b->n_cols; c++) {
        buf_puts(out, c ? ", " : "");
        if (is_row_number(b, c)) {
            put_row_number(out, b);
        } else {
            buf_puts(out, "\"_sg_t\".");
            buf_ident(out, b->col[c].name);
        }
    }
}

/* Rows drawn by their keys; keys of several tables meet by position. */
static void put_batch_join(Buf *out, const Block *b, const Block *first)
{
    buf_puts(out, "\nWHERE ");
    if (b->batch_rows) {
        buf_puts(out, "\"_sg_t\".\"_sg_rank\" IN (SELECT \"row\" FROM main.\"sqlgrad_batch\")");
        return;
    }
    buf_puts(out, "EXISTS (SELECT 1 FROM main.\"sqlgrad_batch\" AS \"_sg_b\" WHERE ");
    for (int k = 0; k < b->n_batch; k++) {
        buf_puts(out, k ? " AND \"_sg_b\"." : "\"_sg_b\".");
        buf_ident(out, k < first->n_batch ? first->batch_key[k] : b->batch_key[k]);
        buf_puts(out, " = \"_sg_t\".");
        buf_ident(out, b->batch_key[k]);
    }
    buf_putc(out, ')');
}

static const Block *first_batched(const Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->kind == BLK_base && base_is_batched(p->block[k]))
            return p->block[k];
    return NULL;
}

/* FROM: the stored table; a batch of rows needs its rows ranked first. */
static void put_stored(Buf *out, const Block *b, bool batch)
{
    const bool ranked = batch && b->batch_rows;

    buf_puts(out, "\nFROM ");
    if (ranked) {
        buf_puts(out, "(SELECT *, ");
        put_row_number(out, b);
        buf_puts(out, " AS \"_sg_rank\" FROM ");
    }
    buf_ident(out, b->schema ? b->schema : "main");
    buf_putc(out, '.');
    buf_ident(out, stored_name(b));
    buf_puts(out, " AS \"_sg_t\"");
    if (ranked)
        buf_puts(out, ") AS \"_sg_t\"");
}

static void put_insert(Buf *out, const Block *b, const Dialect *d)
{
    emit_create(out, b, d);
    buf_puts(out, "INSERT INTO temp.");
    buf_ident(out, b->name);
    buf_putc(out, '\n');
}

static void put_drop(Buf *out, const Block *b)
{
    buf_puts(out, "DROP TABLE IF EXISTS temp.");
    buf_ident(out, b->name);
    buf_puts(out, ";\n");
}

void emit_base(Buf *out, const Prog *p, const Readers *r, const Block *b, bool batch, const Dialect *d)
{
    const bool restricted = batch && base_is_batched(b);

    if (b->role == BASE_range) {
        put_insert(out, b, d);
        emit_shape(out, b, 0, d);
    } else if (!needs_copy(r, b, batch)) {
        put_drop(out, b);                           /* a copy that another script may have left */
        return;
    } else {
        put_insert(out, b, d);
        buf_puts(out, "SELECT ");
        put_copied_cols(out, b);
        put_stored(out, b, restricted);
        if (restricted)
            put_batch_join(out, b, first_batched(p));
    }
    buf_puts(out, ";\n");
    emit_indexes(out, r, b);
}
