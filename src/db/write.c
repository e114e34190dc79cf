/* SPDX-License-Identifier: Apache-2.0
 *
 * write.c - host tables into the database: create, append, update by key, drop.
 *
 * Each is done whole or not at all (a savepoint).  An update first finds the row of every key in one pass
 * over the table and then writes by row number, so that it needs no index and meets each row exactly once. */
#include "db/driver.h"

#include <math.h>
#include <string.h>

#define INSERT_ROWS 50          /* rows in one INSERT: three times as fast as one */
#define INSERT_VALUES 2000      /* and at most so many parameters, or one row's */

static bool bind_cell(Stmt *st, int at, const Table *t, int c, size_t row)
{
    const TableCol *k = &t->col[c];

    if (table_null(t, c, row))
        stmt_bind_null(st, at);
    else if (k->type == T_REAL)
        stmt_bind_real(st, at, table_real(t, c, row));
    else if (k->type == T_TEXT) {
        const char *s = k->s[table_at(t, k, row)];
        return stmt_bind_text(st, at, s, strlen(s));
    } else
        stmt_bind_int(st, at, table_int(t, c, row));
    return true;
}

static Code too_long(Db *db, const char *table, size_t row, Err *e)
{
    return err_set(e, E_INPUT, ERR_db_value, "%s: a text in row %zu for %s is too long for the database",
                   db_path(db), row + 1, table);
}

/* ---- insert ---- */

static Code open_insert(Db *db, const char *table, const Table *t, int n_rows, Stmt **st, Err *e)
{
    Buf b = { 0 };

    buf_puts(&b, "INSERT INTO ");
    buf_ident(&b, table);
    for (int c = 0; c < t->n_cols; c++) {
        buf_puts(&b, c ? ", " : " (");
        buf_ident(&b, t->col[c].name);
    }
    buf_puts(&b, ") VALUES ");
    for (int r = 0; r < n_rows; r++)
        for (int c = 0; c < t->n_cols; c++)
            buf_puts(&b, c ? ", ?" : r ? "), (?" : "(?");
    buf_puts(&b, ")");
    const Code rc = stmt_open(db, st, b.s, e);
    buf_free(&b);
    return rc;
}

static Code insert_some(Db *db, const char *table, const Table *t, size_t *row, size_t to, int n_rows, Err *e)
{
    Stmt *st;
    Code rc = OK;

    if (to - *row < (size_t)n_rows)
        return OK;
    rc = open_insert(db, table, t, n_rows, &st, e);
    for (; !rc && to - *row >= (size_t)n_rows; *row += (size_t)n_rows) {
        for (int k = 0; !rc && k < n_rows * t->n_cols; k++) {
            const size_t r = *row + (size_t)(k / t->n_cols);
            if (!bind_cell(st, k + 1, t, k % t->n_cols, r))
                rc = too_long(db, table, r, e);
        }
        if (!rc)
            rc = stmt_run(db, st, e);
    }
    stmt_close(st);
    return rc;
}

static Code insert_rows(Db *db, const char *table, const Table *t, Err *e)
{
    const int fit = t->n_cols ? INSERT_VALUES / t->n_cols : 1;
    const int many = fit > INSERT_ROWS ? INSERT_ROWS : fit;
    size_t row = 0;
    Code rc = OK;

    if (many > 1)
        rc = insert_some(db, table, t, &row, t->n_rows, many, e);
    return rc ? rc : insert_some(db, table, t, &row, t->n_rows, 1, e);
}

/* ---- create, drop ---- */

static Code drop_object(Db *db, const DbObject *o, Err *e)
{
    Arena a = { 0 };
    const char *kind = o->is_view ? "VIEW" : "TABLE", *schema = o->is_temp ? "temp" : "main";
    Code rc = drv_exec(db, e, "DROP %s %s.%s", kind, schema, drv_ident(&a, o->name));

    if (!rc && o->is_view && !o->is_temp)
        rc = packed_drop(db, o->name, e);
    arena_free(&a);
    return rc;
}

Code db_drop(Db *db, const char *table, Err *e)
{
    Arena a = { 0 };
    DbObject o;
    Code rc = drv_find(db, table, &o, &a, e);

    if (!rc && o.exists && !(drv_is_temp(db) && !o.is_temp)) {
        rc = drv_save(db, e);
        if (!rc)
            rc = drv_release(db, drop_object(db, &o, e), e);
    }
    arena_free(&a);
    return rc;
}

static Code create_empty(Db *db, const char *table, const Table *t, Err *e)
{
    Buf b = { 0 };

    buf_printf(&b, "CREATE %sTABLE ", drv_is_temp(db) ? "TEMP " : "");
    buf_ident(&b, table);
    for (int c = 0; c < t->n_cols; c++) {
        buf_puts(&b, c ? ", " : " (");
        buf_ident(&b, t->col[c].name);
        buf_printf(&b, " %s", t->col[c].type == T_REAL ? "REAL" : t->col[c].type == T_TEXT ? "TEXT" : "INTEGER");
    }
    buf_puts(&b, ")");
    const Code rc = db_exec(db, e, b.s);
    buf_free(&b);
    return rc;
}

Code db_create(Db *db, const char *table, const Table *t, bool replace, Err *e)
{
    Code rc = drv_save(db, e);

    if (rc)
        return rc;
    if (replace)
        rc = db_drop(db, table, e);
    else if (!drv_is_temp(db) && db_has(db, table))
        rc = err_set(e, E_INPUT, ERR_db_exists, "%s: there is already a table %s", db_path(db), table);
    if (!rc)
        rc = create_empty(db, table, t, e);
    if (!rc)
        rc = insert_rows(db, table, t, e);
    return drv_release(db, rc, e);
}

/* ---- append ---- */

static Code find_writable(Db *db, const char *table, DbObject *o, Arena *a, Err *e)
{
    const Code rc = drv_find(db, table, o, a, e);

    if (rc)
        return rc;
    if (!o->exists)
        return err_set(e, E_INPUT, ERR_db_table, "%s: there is no table %s", db_path(db), table);
    if (o->is_view || o->is_virtual)
        return err_set(e, E_INPUT, ERR_db_table, "%s: %s is a %s; its rows cannot be written", db_path(db), table,
                       o->is_view ? "view" : "virtual table");
    return OK;
}

static Code check_append_col(Db *db, const char *table, Stmt *st, const TableCol *k, Err *e)
{
    for (int c = 0; c < stmt_n_cols(st); c++) {
        if (!ascii_ieq(stmt_name(st, c), k->name))
            continue;
        const Type have = drv_decl_type(stmt_decl(st, c));
        if (have == T_NULL || have == k->type || (have == T_REAL && k->type == T_INT))
            return OK;
        return err_set(e, E_INPUT, ERR_db_value, "%s: %s.%s is declared %s, but the new rows hold %s values",
                       db_path(db), table, k->name, stmt_decl(st, c), type_name[k->type]);
    }
    return err_set(e, E_INPUT, ERR_db_table, "%s: %s has no column %s", db_path(db), table, k->name);
}

static Code append_checked(Db *db, const DbObject *o, const Table *t, Err *e)
{
    Arena a = { 0 };
    Stmt *st;
    Code rc = stmt_openf(db, &st, e, "SELECT * FROM %s", drv_ident(&a, o->name));

    for (int c = 0; !rc && c < t->n_cols; c++)
        rc = check_append_col(db, o->name, st, &t->col[c], e);
    stmt_close(st);
    arena_free(&a);
    return rc ? rc : insert_rows(db, o->name, t, e);
}

Code db_append(Db *db, const char *table, const Table *t, Err *e)
{
    Arena a = { 0 };
    DbObject o;
    Code rc = find_writable(db, table, &o, &a, e);

    if (!rc)
        rc = drv_save(db, e);
    if (!rc)
        rc = drv_release(db, append_checked(db, &o, t, e), e);
    arena_free(&a);
    return rc;
}

/* ---- update ---- */

typedef struct Update {
    Db *db;
    const char *table;          /* as spelled in the database */
    const char *row_name;       /* rowid, or another of its names if a column is called so; NULL: none */
    const Table *t;
    int *key; int n_keys;       /* columns of t */
    int *val; int n_vals;
    Arena arena;
} Update;

static void split_columns(Update *u, const Table *t)
{
    u->key = ARENA_ARRAY(&u->arena, int, t->n_cols + 1);
    u->val = ARENA_ARRAY(&u->arena, int, t->n_cols + 1);
    for (int c = 0; c < t->n_cols; c++)
        if (t->col[c].type == T_REAL)
            u->val[u->n_vals++] = c;
        else
            u->key[u->n_keys++] = c;
}

/* Every way to say row number that no column hides; none in WITHOUT ROWID tables. */
static void find_row_name(Update *u)
{
    static const char *const name[] = { "rowid", "_rowid_", "oid" };

    for (size_t k = 0; k < COUNT_OF(name) && !u->row_name; k++) {
        Err e = { 0 };
        Stmt *all = NULL, *one = NULL;
        bool hidden = stmt_openf(u->db, &all, &e, "SELECT * FROM %s", drv_ident(&u->arena, u->table)) != OK;
        for (int c = 0; !hidden && c < stmt_n_cols(all); c++)
            hidden = ascii_ieq(stmt_name(all, c), name[k]);
        if (!hidden && !stmt_openf(u->db, &one, &e, "SELECT %s FROM %s", name[k], drv_ident(&u->arena, u->table)))
            u->row_name = name[k];
        stmt_close(all);
        stmt_close(one);
    }
}

static void add_int(Buf *b, int64_t i)
{
    buf_putc(b, 'i');
    buf_add(b, (const char *)&i, sizeof i);
}

static void add_text(Buf *b, const char *s, size_t n)
{
    buf_putc(b, 't');
    buf_add(b, (const char *)&n, sizeof n);
    buf_add(b, s, n);
}

static void key_of_table(const Update *u, size_t row, Buf *b)
{
    b->n = 0;
    buf_add(b, "", 0);
    for (int k = 0; k < u->n_keys; k++) {
        const TableCol *c = &u->t->col[u->key[k]];
        const size_t at = table_at(u->t, c, row);
        if (table_null(u->t, u->key[k], row))
            buf_putc(b, 'n');
        else if (c->type == T_TEXT)
            add_text(b, c->s[at], strlen(c->s[at]));
        else
            add_int(b, c->i[at]);
    }
}

/* The key in a row of the database, columns 1 …; a class that no key of t has gives a key that none equals. */
static void key_of_row(const Update *u, Stmt *st, Buf *b)
{
    b->n = 0;
    buf_add(b, "", 0);
    for (int k = 0; k < u->n_keys; k++) {
        size_t n;
        const char *s;
        switch (stmt_store(st, k + 1)) {
        case STORE_null: buf_putc(b, 'n'); break;
        case STORE_int: add_int(b, stmt_int(st, k + 1)); break;
        case STORE_text: s = stmt_text(st, k + 1, &n); add_text(b, s ? s : "", n); break;
        case STORE_real: case STORE_blob: buf_putc(b, '?'); break;
        }
    }
}

/* A row of t for messages: "(out_channel 0, r 3)". */
static Code row_error(const Update *u, size_t row, const char *what, Err *e)
{
    Buf b = { 0 };

    for (int k = 0; k < u->n_keys; k++) {
        const TableCol *c = &u->t->col[u->key[k]];
        const size_t at = table_at(u->t, c, row);
        buf_printf(&b, "%s%s ", k ? ", " : "", c->name);
        if (table_null(u->t, u->key[k], row))
            buf_puts(&b, "NULL");
        else if (c->type == T_TEXT)
            buf_printf(&b, "'%.40s'", c->s[at]);
        else
            buf_printf(&b, "%lld", (long long)c->i[at]);
    }
    err_set(e, E_INPUT, ERR_db_update, "%s: %s: the row (%s) %s", db_path(u->db), u->table, b.s ? b.s : "", what);
    buf_free(&b);
    return e->code;
}

static Code map_keys(Update *u, Map *m, Buf *b, Err *e)
{
    map_init(m, &u->arena);
    for (size_t row = 0; row < u->t->n_rows; row++) {
        key_of_table(u, row, b);
        map_put(m, b->s, b->n, m->n);
        if ((size_t)m->n != row + 1)
            return row_error(u, row, "is to be updated twice", e);
    }
    return OK;
}

static const char *key_list(const Update *u)
{
    Buf b = { 0 };

    buf_puts(&b, u->row_name ? u->row_name : "0");
    for (int k = 0; k < u->n_keys; k++) {
        buf_puts(&b, ", ");
        buf_ident(&b, u->t->col[u->key[k]].name);
    }
    const char *s = arena_strdup((Arena *)&u->arena, b.s);
    buf_free(&b);
    return s;
}

/* Which row of the table each row of t meets: at[row] is its row number, met[row] whether there is one. */
static Code meet_rows(Update *u, const Map *m, int64_t *at, uint8_t *met, Buf *b, Err *e)
{
    Stmt *st;
    bool more;
    Code rc = stmt_openf(u->db, &st, e, "SELECT %s FROM %s", key_list(u), drv_ident(&u->arena, u->table));

    while (!rc && !(rc = stmt_step(u->db, st, &more, e)) && more) {
        key_of_row(u, st, b);
        const int *row = map_get(m, b->s, b->n);
        if (row && met[*row]++)
            rc = row_error(u, (size_t)*row, "meets two rows of the table", e);
        else if (row)
            at[*row] = stmt_int(st, 0);
    }
    stmt_close(st);
    for (size_t row = 0; !rc && row < u->t->n_rows; row++)
        if (!met[row])
            rc = row_error(u, row, "is not in the table", e);
    return rc;
}

static Code open_update(Update *u, Stmt **st, Err *e)
{
    Buf b = { 0 };
    int at = 1;

    buf_puts(&b, "UPDATE ");
    buf_ident(&b, u->table);
    for (int k = 0; k < u->n_vals; k++) {
        buf_puts(&b, k ? ", " : " SET ");
        buf_ident(&b, u->t->col[u->val[k]].name);
        buf_printf(&b, " = ?%d", at++);
    }
    if (u->row_name)
        buf_printf(&b, " WHERE %s = ?%d", u->row_name, at++);
    for (int k = 0; !u->row_name && k < u->n_keys; k++) {
        buf_puts(&b, k ? " AND " : " WHERE ");
        buf_ident(&b, u->t->col[u->key[k]].name);
        buf_printf(&b, " IS ?%d", at++);
    }
    const Code rc = stmt_open(u->db, st, b.s, e);
    buf_free(&b);
    return rc;
}

static Code update_row(Update *u, Stmt *st, size_t row, int64_t at, Err *e)
{
    int n = 1;

    for (int k = 0; k < u->n_vals; k++, n++) {
        if (!table_null(u->t, u->val[k], row) && isnan(table_real(u->t, u->val[k], row)))
            return row_error(u, row, "would hold a NaN", e);
        bind_cell(st, n, u->t, u->val[k], row);
    }
    if (u->row_name)
        stmt_bind_int(st, n, at);
    for (int k = 0; !u->row_name && k < u->n_keys; k++)
        bind_cell(st, n++, u->t, u->key[k], row);
    const Code rc = stmt_run(u->db, st, e);
    if (!rc && drv_changes(u->db) != 1)
        return row_error(u, row, "could not be updated: a trigger of the table prevents it", e);
    return rc;
}

static Code update_rows(Update *u, Err *e)
{
    const size_t n = u->t->n_rows;
    int64_t *at = mem_alloc(n * sizeof *at);
    uint8_t *met = mem_alloc(n);
    Buf b = { 0 };
    Map m;
    Stmt *st = NULL;
    Code rc = map_keys(u, &m, &b, e);

    if (!rc)
        rc = meet_rows(u, &m, at, met, &b, e);
    if (!rc)
        rc = open_update(u, &st, e);
    for (size_t row = 0; !rc && row < n; row++)
        rc = update_row(u, st, row, at[row], e);
    stmt_close(st);
    buf_free(&b);
    mem_free(at);
    mem_free(met);
    return rc;
}

Code db_update(Db *db, const char *table, const Table *t, Err *e)
{
    Update u = { .db = db, .t = t };
    DbObject o;
    Code rc = find_writable(db, table, &o, &u.arena, e);

    u.table = o.name;
    split_columns(&u, t);
    if (!rc && u.n_vals) {
        rc = drv_save(db, e);
        if (!rc) {
            find_row_name(&u);
            rc = drv_release(db, update_rows(&u, e), e);
        }
    }
    arena_free(&u.arena);
    return rc;
}
