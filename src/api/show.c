/* SPDX-License-Identifier: Apache-2.0
 *
 * show.c - results: aligned columns, JSON objects one a row, or tables in the --out database.
 *
 * Of the tables in --out only those an earlier run wrote are replaced; sqlgrad_out lists them. */
#include "api/session.h"

#include <math.h>
#include <string.h>

#define FLUSH_BYTES 60000       /* lines are passed on in pieces of about this size */

typedef struct Shower { Job *j; Buf b; } Shower;

static void flush(Shower *s, bool all)
{
    if (!s->b.n || (!all && s->b.n < FLUSH_BYTES))
        return;
    s->b.s[--s->b.n] = 0;                       /* the last newline is the event's */
    job_out(s->j, REPORT_OUT, s->b.s);
    s->b.n = 0;
}

/* ---- JSON ---- */

static void json_string(Buf *b, const char *s)
{
    buf_putc(b, '"');
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            buf_printf(b, "\\%c", *s);
        else if ((unsigned char)*s < 32)
            buf_printf(b, "\\u%04x", (unsigned)(unsigned char)*s);
        else
            buf_putc(b, *s);
    buf_putc(b, '"');
}

/* JSON has no infinity: 9e999 reads as one almost everywhere; NaN is null. */
static void json_cell(Buf *b, const Table *t, int c, size_t row)
{
    const TableCol *k = &t->col[c];

    if (table_null(t, c, row) || (k->type == T_REAL && isnan(table_real(t, c, row))))
        buf_puts(b, "null");
    else if (k->type == T_REAL)
        buf_real(b, table_real(t, c, row));
    else if (k->type == T_TEXT)
        json_string(b, k->s[table_at(t, k, row)]);
    else
        buf_printf(b, "%lld", (long long)table_int(t, c, row));
}

static void show_json(Shower *s, const Table *t)
{
    for (size_t r = 0; r < t->n_rows; r++) {
        buf_puts(&s->b, "{\"table\":");
        json_string(&s->b, t->name);
        for (int c = 0; c < t->n_cols; c++) {
            buf_putc(&s->b, ',');
            json_string(&s->b, t->col[c].name);
            buf_putc(&s->b, ':');
            json_cell(&s->b, t, c, r);
        }
        buf_puts(&s->b, "}\n");
        flush(s, false);
    }
}

/* ---- columns ---- */

static size_t text_width(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

/* Control characters would move the terminal's cursor. */
static void plain_text(Buf *b, const char *s)
{
    for (; *s; s++)
        buf_putc(b, (unsigned char)*s < 32 || *s == 127 ? ' ' : *s);
}

static void show_cell(Buf *b, const Table *t, int c, size_t row)
{
    const TableCol *k = &t->col[c];
    char s[40];

    b->n = 0;
    buf_puts(b, "");
    if (table_null(t, c, row)) {
        buf_puts(b, "NULL");
    } else if (k->type == T_REAL) {
        snprintf(s, sizeof s, "%.7g", table_real(t, c, row));
        buf_puts(b, s);
    } else if (k->type == T_TEXT) {
        plain_text(b, k->s[table_at(t, k, row)]);
    } else {
        buf_printf(b, "%lld", (long long)table_int(t, c, row));
    }
}

static void put_padded(Buf *b, const char *s, size_t width, bool left)
{
    const size_t n = text_width(s);

    if (left)
        buf_puts(b, s);
    for (size_t i = n; i < width; i++)
        buf_putc(b, ' ');
    if (!left)
        buf_puts(b, s);
}

static void end_row(Buf *b)
{
    while (b->n && b->s[b->n - 1] == ' ')
        b->n--;
    buf_putc(b, '\n');
}

static void show_columns(Shower *s, const Table *t)
{
    size_t *width = mem_alloc((size_t)(t->n_cols + 1) * sizeof *width);
    Buf cell = { 0 };

    for (int c = 0; c < t->n_cols; c++) {
        width[c] = text_width(t->col[c].name);
        for (size_t r = 0; r < t->n_rows; r++) {
            show_cell(&cell, t, c, r);
            if (text_width(cell.s) > width[c])
                width[c] = text_width(cell.s);
        }
    }
    buf_printf(&s->b, "%s: %zu row%s\n", t->name, t->n_rows, t->n_rows == 1 ? "" : "s");
    for (int c = 0; c < t->n_cols; c++) {
        buf_puts(&s->b, "  ");
        put_padded(&s->b, t->col[c].name, width[c], t->col[c].type == T_TEXT);
    }
    end_row(&s->b);
    for (size_t r = 0; r < t->n_rows; r++) {
        for (int c = 0; c < t->n_cols; c++) {
            show_cell(&cell, t, c, r);
            buf_puts(&s->b, "  ");
            put_padded(&s->b, cell.s, width[c], t->col[c].type == T_TEXT);
        }
        end_row(&s->b);
        flush(s, false);
    }
    buf_free(&cell);
    mem_free(width);
}

/* ---- --out ---- */

static Code may_write(Job *j, Db *out, const char *path, const char *name, bool *mine)
{
    Table t = { 0 };
    Buf sql = { 0 };

    *mine = false;
    if (!db_has(out, name))
        return OK;
    if (!db_has(out, "sqlgrad_out"))
        return err_set(&j->e, E_INPUT, ERR_api_out, "%s has a table %s that no run wrote; it is left alone", path, name);
    buf_puts(&sql, "SELECT 1 AS found FROM sqlgrad_out WHERE name = ");
    buf_text(&sql, name);
    const Code rc = db_query(out, sql.s, &t, &j->e);
    *mine = rc == OK && t.n_rows > 0;
    table_free(&t);
    buf_free(&sql);
    if (rc == OK && !*mine)
        return err_set(&j->e, E_INPUT, ERR_api_out, "%s has a table %s that no run wrote; it is left alone", path, name);
    return rc;
}

static Code write_result(Job *j, Db *out, const char *path, const Table *t)
{
    Buf sql = { 0 };
    bool mine;
    Code rc = may_write(j, out, path, t->name, &mine);

    if (rc == OK) rc = db_create(out, t->name, t, mine, &j->e);
    buf_puts(&sql, "INSERT OR IGNORE INTO sqlgrad_out VALUES (");
    buf_text(&sql, t->name);
    buf_puts(&sql, ")");
    if (rc == OK) rc = db_exec(out, &j->e, sql.s);
    buf_free(&sql);
    return rc;
}

static Code write_results(Job *j, const char *path)
{
    Db *out = NULL;

    inputs_close(j);
    Code rc = db_open(&out, path, DB_CREATE, &j->e);
    if (rc == OK) rc = db_begin(out, &j->e);
    if (rc == OK) {
        rc = db_exec(out, &j->e, "CREATE TABLE IF NOT EXISTS sqlgrad_out (name TEXT PRIMARY KEY)");
        for (int k = 0; k < j->s->n_results && rc == OK; k++)
            rc = write_result(j, out, path, &j->s->result[k]);
        if (rc == OK)
            rc = db_commit(out, &j->e);
        if (rc != OK)
            db_rollback(out);
    }
    if (out)
        db_close(out);
    return rc;
}

Code show_results(Job *j)
{
    const char *out = opt_text(j->o, OPT_out, NULL);
    Shower s = { .j = j };
    Code rc = out ? write_results(j, out) : OK;

    for (int k = 0; k < j->s->n_results && rc == OK && !out; k++) {
        if (opt_flag(j->o, OPT_json))
            show_json(&s, &j->s->result[k]);
        else
            show_columns(&s, &j->s->result[k]);
    }
    flush(&s, true);
    buf_free(&s.b);
    return rc;
}
