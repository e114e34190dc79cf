/* SPDX-License-Identifier: Apache-2.0
 *
 * read.c - rows of the database as host tables, and what can be said of a table by looking at its rows.
 *
 * SQLite stores any type in any column, so a column's type is settled here: by its declaration where that
 * says something, otherwise by what it holds.  A stored value that contradicts it is an error, never a
 * conversion; only integers in REAL columns become reals. */
#include "db/driver.h"

#include <string.h>
#include <unistd.h>

/* ---- types of columns ---- */

typedef struct Want {
    Type type;              /* T_NULL: by what the column holds */
    bool key;               /* declared as something that is no number: a real in it is an error */
} Want;

static bool decl_has(const char *decl, const char *word)
{
    const size_t n = strlen(word);

    for (; *decl; decl++) {
        size_t k = 0;
        while (k < n && (decl[k] & ~0x20) == word[k])
            k++;
        if (k == n)
            return true;
    }
    return false;
}

/* SQLite's rules for names of types, made finer: NUMERIC is a value, BOOLEAN an integer; DATE, UUID and the
 * like are keys, whose storage class SQLite chooses by the text.  NUM is what CREATE TABLE AS makes of those. */
static Want want_of(const char *decl)
{
    static const struct { const char *word; Type type; } rule[] = {
        { "REAL", T_REAL }, { "FLOA", T_REAL }, { "DOUB", T_REAL },
        { "INT", T_INT }, { "CHAR", T_TEXT }, { "CLOB", T_TEXT }, { "TEXT", T_TEXT },
        { "NUMERIC", T_REAL }, { "NUMBER", T_REAL }, { "DECIMAL", T_REAL },
        { "BOOL", T_INT }, { "SERIAL", T_INT }, { "BIT", T_INT },
    };

    if (!*decl || ascii_ieq(decl, "NUM") || ascii_ieq(decl, "ANY") || decl_has(decl, "BLOB"))
        return (Want){ T_NULL, false };
    for (size_t k = 0; k < COUNT_OF(rule); k++)
        if (decl_has(decl, rule[k].word))
            return (Want){ rule[k].type, false };
    return (Want){ ascii_ieq(decl, "DEC") ? T_REAL : T_NULL, !ascii_ieq(decl, "DEC") };
}

Type drv_decl_type(const char *decl)
{
    return want_of(decl).type;
}

/* The type of a column of type `now` (T_NULL: nothing seen yet) after a value of class s: T_BOOL if the
 * value does not fit. */
static Type type_after(Want w, Type now, Store s)
{
    switch (s) {
    case STORE_null: return now;
    case STORE_int: return now == T_TEXT ? T_BOOL : now == T_REAL ? T_REAL : T_INT;
    case STORE_real:
        if (w.key || now == T_TEXT || (now == T_INT && w.type == T_INT))
            return T_BOOL;
        return T_REAL;
    case STORE_text: return now == T_NULL || now == T_TEXT ? T_TEXT : T_BOOL;
    case STORE_blob: return T_BOOL;
    }
    return T_BOOL;
}

/* ---- a table being read ---- */

typedef struct ColIn {
    const char *name, *decl;
    Want want;
    Type type;
    void *data;             /* 8 bytes an entry whatever the type, so that integers can become reals in place */
    uint8_t *null;
    const char *last; size_t last_len;      /* the text of the row before: texts often repeat */
} ColIn;

typedef struct Reader {
    Db *db;
    Stmt *st;
    const char *what;       /* for messages: the table's name, or "the query" */
    ColIn *col; int n_cols;
    size_t n, cap;
    int64_t budget;         /* bytes of payload the table can still have; INT64_MAX: unlimited */
    size_t mem_limit;
    Arena arena;            /* becomes the table's */
    Map text;               /* every distinct text, once */
} Reader;

static void reader_open(Reader *r, Db *db, Stmt *st, const char *what)
{
    *r = (Reader){ .db = db, .st = st, .what = what, .budget = INT64_MAX };
    r->n_cols = stmt_n_cols(st);
    r->col = ARENA_ARRAY(&r->arena, ColIn, r->n_cols);
    r->mem_limit = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * 3 * (size_t)sysconf(_SC_PAGESIZE);
    for (int c = 0; c < r->n_cols; c++) {
        ColIn *k = &r->col[c];
        k->name = arena_strdup(&r->arena, stmt_name(st, c));
        k->decl = arena_strdup(&r->arena, stmt_decl(st, c));
        k->want = want_of(k->decl);
        k->type = k->want.type;
    }
}

static void reader_close(Reader *r)
{
    for (int c = 0; c < r->n_cols; c++) {
        mem_free(r->col[c].data);
        mem_free(r->col[c].null);
    }
    arena_free(&r->arena);
}

static Code no_memory(Reader *r, Err *e)
{
    return err_set(e, E_ENV, ERR_db_env, "%s: %s needs more memory than there is (%zu rows read so far)",
                   db_path(r->db), r->what, r->n);
}

static Code value_error(Reader *r, int c, Err *e)
{
    const ColIn *k = &r->col[c];
    const char *kind = k->type == T_NULL ? "" : type_name[k->type];
    Buf b = { 0 };
    size_t len;
    const char *s;

    switch (stmt_store(r->st, c)) {
    case STORE_null: buf_puts(&b, "NULL"); break;
    case STORE_int: buf_printf(&b, "the integer %lld", (long long)stmt_int(r->st, c)); break;
    case STORE_real: buf_puts(&b, "the real "); buf_real(&b, stmt_real(r->st, c)); break;
    case STORE_text:
        s = stmt_text(r->st, c, &len);
        buf_printf(&b, "the text '%.40s'%s", s ? s : "", len > 40 ? "…" : "");
        break;
    case STORE_blob: stmt_blob(r->st, c, &len); buf_printf(&b, "a blob of %zu bytes", len); break;
    }
    if (*k->decl && k->want.type != T_NULL)
        err_set(e, E_INPUT, ERR_db_value, "%s: %s.%s is declared %s, but row %zu holds %s", db_path(r->db),
                r->what, k->name, k->decl, r->n + 1, b.s);
    else if (*kind)
        err_set(e, E_INPUT, ERR_db_value, "%s: %s.%s holds %s values, but row %zu holds %s", db_path(r->db),
                r->what, k->name, kind, r->n + 1, b.s);
    else
        err_set(e, E_INPUT, ERR_db_value, "%s: %s.%s: row %zu holds %s, which is no key and no value",
                db_path(r->db), r->what, k->name, r->n + 1, b.s);
    buf_free(&b);
    return e->code;
}

static bool grow_block(void **p, size_t old_bytes, size_t nbytes)
{
    void *q = mem_try(nbytes);

    if (!q)
        return false;
    if (*p)
        memcpy(q, *p, old_bytes);
    mem_free(*p);
    *p = q;
    return true;
}

static Code reader_grow(Reader *r, Err *e)
{
    const size_t cap = r->cap < 1024 ? 1024 : r->cap < ((size_t)1 << 20) ? 2 * r->cap : r->cap + r->cap / 2;
    const size_t row = 9 * (size_t)r->n_cols + 1;

    if (cap > r->mem_limit / row || r->arena.total > r->mem_limit - cap * row)
        return no_memory(r, e);
    for (int c = 0; c < r->n_cols; c++) {
        ColIn *k = &r->col[c];
        void *null = k->null;
        if (!grow_block(&k->data, r->n * 8, cap * 8))
            return no_memory(r, e);
        if (null && !grow_block(&null, r->n, cap))
            return no_memory(r, e);
        k->null = null;
    }
    r->cap = cap;
    return OK;
}

static void ints_to_reals(void *data, size_t n)
{
    const int64_t *from = data;
    double *to = data;

    for (size_t k = 0; k < n; k++) {
        const double x = (double)from[k];
        to[k] = x;
    }
}

static void start_texts(ColIn *k, size_t n)
{
    const char **s = k->data;

    for (size_t i = 0; i < n; i++)
        s[i] = "";
}

/* Column k takes another type after its first values were seen. */
static void retype(ColIn *k, Type to, size_t n)
{
    if (to == T_REAL && k->type == T_INT)
        ints_to_reals(k->data, n);
    if (to == T_TEXT)
        start_texts(k, n);
    k->type = to;
}

static Code take_text(Reader *r, int c, const char **out, Err *e)
{
    ColIn *k = &r->col[c];
    size_t len;
    const char *s = stmt_text(r->st, c, &len);

    if (!s)
        return no_memory(r, e);
    r->budget -= (int64_t)len;
    if (k->last && len == k->last_len && !memcmp(s, k->last, len)) {
        *out = k->last;
        return OK;
    }
    if (memchr(s, 0, len))
        return err_set(e, E_INPUT, ERR_db_value, "%s: %s.%s: the text in row %zu holds a NUL byte",
                       db_path(r->db), r->what, k->name, r->n + 1);
    const int at = *map_put(&r->text, s, len, r->text.n);
    *out = k->last = r->text.e[at].key;
    k->last_len = len;
    return OK;
}

static Code take_null(Reader *r, ColIn *k, Err *e)
{
    if (!k->null && !(k->null = mem_try(r->cap)))
        return no_memory(r, e);
    k->null[r->n] = 1;
    if (k->type == T_TEXT)
        ((const char **)k->data)[r->n] = "";
    return OK;
}

static Code take_cell(Reader *r, int c, Err *e)
{
    ColIn *k = &r->col[c];
    const Store s = stmt_store(r->st, c);

    if (s == STORE_null)
        return take_null(r, k, e);
    const Type t = type_after(k->want, k->type, s);
    if (t == T_BOOL)
        return value_error(r, c, e);
    if (t != k->type)
        retype(k, t, r->n);
    if (t == T_INT)
        ((int64_t *)k->data)[r->n] = stmt_int(r->st, c);
    else if (t == T_REAL)
        ((double *)k->data)[r->n] = stmt_real(r->st, c);
    else
        return take_text(r, c, &((const char **)k->data)[r->n], e);
    return OK;
}

/* A damaged tree can make a small file look like endless rows; each row costs at least four bytes. */
static Code spend(Reader *r, Err *e)
{
    r->budget -= r->budget == INT64_MAX ? 0 : 4;
    if (r->budget >= 0)
        return OK;
    return err_set(e, E_INPUT, ERR_db_format, "%s: the database is damaged (%s seems larger than the file)",
                   db_path(r->db), r->what);
}

static Code read_rows(Reader *r, Err *e)
{
    bool row;
    Code rc;

    map_init(&r->text, &r->arena);
    while (!(rc = stmt_step(r->db, r->st, &row, e)) && row) {
        if (r->n == r->cap && (rc = reader_grow(r, e)) != OK)
            return rc;
        for (int c = 0; c < r->n_cols; c++)
            if ((rc = take_cell(r, c, e)) != OK)
                return rc;
        if ((rc = spend(r, e)) != OK)
            return rc;
        r->n++;
    }
    return rc;
}

/* The rows read so far become a table; columns without any value are of type `empty`. */
static void reader_give(Reader *r, const char *name, Type empty, Table *out)
{
    *out = (Table){ .arena = r->arena, .n_rows = r->n, .n_cols = r->n_cols };
    r->arena = (Arena){ 0 };
    out->name = arena_strdup(&out->arena, name);
    out->col = ARENA_ARRAY(&out->arena, TableCol, r->n_cols);
    for (int c = 0; c < r->n_cols; c++) {
        ColIn *k = &r->col[c];
        TableCol *to = &out->col[c];
        if (!k->data)
            k->data = mem_alloc(8);
        if (k->type == T_NULL)
            retype(k, empty, r->n);
        *to = (TableCol){ .name = k->name, .type = k->type, .null = k->null };
        to->i = k->type == T_INT ? k->data : NULL;
        to->r = k->type == T_REAL ? k->data : NULL;
        to->s = k->type == T_TEXT ? k->data : NULL;
        table_adopt(out, k->data);
        if (k->null)
            table_adopt(out, k->null);
        k->data = k->null = NULL;
    }
}

/* ---- tables ---- */

static Code find_readable(Db *db, const char *table, DbObject *o, Arena *a, Err *e)
{
    const Code rc = drv_find(db, table, o, a, e);

    if (rc)
        return rc;
    if (!o->exists)
        return err_set(e, E_INPUT, ERR_db_table, "%s: there is no table %s", db_path(db), table);
    if (o->is_virtual)
        return err_set(e, E_INPUT, ERR_db_table, "%s: %s is a virtual table; copy it into an ordinary one",
                       db_path(db), table);
    return OK;
}

static Code set_budget(Reader *r, const DbObject *o, Err *e)
{
    int64_t n;

    if (o->is_view || o->is_temp)
        return OK;
    const Code rc = drv_n_bytes(r->db, &n, e);
    r->budget = 2 * n + 65536;          /* texts stored as UTF-16 grow when read */
    return rc;
}

static Code open_select(Db *db, const DbObject *o, const char *where, Stmt **st, Err *e)
{
    Arena a = { 0 };
    const char *name = drv_ident(&a, o->name);
    const Code rc = where ? stmt_openf(db, st, e, "SELECT * FROM %s WHERE %s", name, where)
                          : stmt_openf(db, st, e, "SELECT * FROM %s", name);

    arena_free(&a);
    return rc;
}

static Code read_plain(Db *db, const DbObject *o, const char *where, Table *out, Err *e)
{
    Stmt *st;
    Reader r;
    Code rc = open_select(db, o, where, &st, e);

    if (rc)
        return rc;
    reader_open(&r, db, st, o->name);
    rc = set_budget(&r, o, e);
    if (!rc)
        rc = read_rows(&r, e);
    if (!rc)
        rc = drv_unchanged(db, e);
    if (!rc)
        reader_give(&r, o->name, T_TEXT, out);
    reader_close(&r);
    stmt_close(st);
    if (!rc)
        table_sort(out);
    return rc;
}

/* SQLite allows it; no SQL text of ours could name it. */
static Code empty_name(Db *db, const char *table, int c, Err *e)
{
    return err_set(e, E_INPUT, ERR_db_table, "%s: column %d of %s has an empty name", db_path(db), c + 1, table);
}

Code db_read(Db *db, const char *table, const char *where, Table *out, Err *e)
{
    Arena a = { 0 };
    DbObject o;
    Packed p = { 0 };
    bool done = false;
    Code rc = find_readable(db, table, &o, &a, e);

    *out = (Table){ 0 };
    if (!rc && o.is_view)
        rc = packed_find(db, o.name, &p, &a, e);
    if (!rc && p.is_packed)
        rc = packed_read(db, &p, where, out, &done, e);
    if (!rc && !done)
        rc = read_plain(db, &o, where, out, e);
    for (int c = 0; !rc && c < out->n_cols; c++)
        if (!*out->col[c].name)
            rc = empty_name(db, o.name, c, e);
    arena_free(&a);
    return rc;
}

Code db_query(Db *db, const char *sql, Table *out, Err *e)
{
    Stmt *st;
    Reader r;
    Code rc = stmt_open(db, &st, sql, e);

    *out = (Table){ 0 };
    if (rc)
        return rc;
    reader_open(&r, db, st, "the query");
    rc = read_rows(&r, e);
    if (!rc)
        rc = drv_unchanged(db, e);
    if (!rc)
        reader_give(&r, "", T_REAL, out);
    reader_close(&r);
    stmt_close(st);
    return rc;
}

/* ---- looking without keeping ---- */

static void see_int(CatCol *k, int64_t i)
{
    k->lo = !k->has_range || i < k->lo ? i : k->lo;
    k->hi = !k->has_range || i > k->hi ? i : k->hi;
    k->has_range = true;
}

static Code see_row(Reader *r, CatTable *t, Err *e)
{
    for (int c = 0; c < r->n_cols; c++) {
        ColIn *in = &r->col[c];
        const Store s = stmt_store(r->st, c);
        const Type now = type_after(in->want, in->type, s);
        if (now == T_BOOL)
            return value_error(r, c, e);
        in->type = now;
        t->col[c].nullable |= s == STORE_null;
        if (s == STORE_int)
            see_int(&t->col[c], stmt_int(r->st, c));
    }
    return spend(r, e);
}

static Code see_rows(Reader *r, CatTable *t, Arena *a, Err *e)
{
    bool row;
    Code rc;

    t->n_cols = r->n_cols;
    t->col = ARENA_ARRAY(a, CatCol, r->n_cols);
    while (!(rc = stmt_step(r->db, r->st, &row, e)) && row) {
        if ((rc = see_row(r, t, e)) != OK)
            return rc;
        r->n++;
    }
    t->n_rows = (int64_t)r->n;
    for (int c = 0; c < r->n_cols; c++) {
        const ColIn *in = &r->col[c];
        CatCol *k = &t->col[c];
        k->name = arena_strdup(a, in->name);
        k->decl = arena_strdup(a, in->decl);
        k->type = in->type == T_NULL ? T_TEXT : in->type;
        k->has_range &= k->type == T_INT;
        k->n_distinct = -1;
    }
    return rc;
}

static Code describe_plain(Db *db, const DbObject *o, CatTable *t, Arena *a, Err *e)
{
    Stmt *st;
    Reader r;
    Code rc = open_select(db, o, NULL, &st, e);

    if (rc)
        return rc;
    reader_open(&r, db, st, o->name);
    rc = set_budget(&r, o, e);
    if (!rc)
        rc = see_rows(&r, t, a, e);
    if (!rc)
        rc = drv_unchanged(db, e);
    reader_close(&r);
    stmt_close(st);
    return rc;
}

Code db_describe(Db *db, const char *table, CatTable *t, Arena *a, Err *e)
{
    DbObject o;
    Packed p = { 0 };
    Code rc = drv_find(db, table, &o, a, e);

    *t = (CatTable){ .name = arena_strdup(a, table), .db_name = o.name };
    if (rc || !o.exists)
        return rc;
    if ((rc = find_readable(db, table, &o, a, e)) != OK)
        return rc;
    t->exists = true;
    if (o.is_view && (rc = packed_find(db, o.name, &p, a, e)) != OK)
        return rc;
    rc = p.is_packed ? packed_describe(db, &p, t, a, e) : describe_plain(db, &o, t, a, e);
    for (int c = 0; !rc && c < t->n_cols; c++)
        if (!*t->col[c].name)
            rc = empty_name(db, o.name, c, e);
    return rc;
}
