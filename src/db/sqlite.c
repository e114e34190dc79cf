/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite.c - the SQLite driver, and the only file that includes sqlite3.h.
 *
 * A database may come from anywhere, so every connection is defensive, distrusts its schema, loads no
 * extension and attaches nothing.  A connection that reads leaves no trace: a file in WAL mode whose log is
 * empty is opened as immutable (SQLite would create files beside it) and must not change meanwhile. */
#include "db/driver.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 3000            /* how long to wait for another program's lock */
#define MAX_VALUE (1 << 28)     /* bytes in one text or blob */

struct Db {
    sqlite3 *h;
    char *path;                 /* as the user said it */
    bool is_temp;
    bool made;                  /* the file was not there; empty at the end, it goes again */
    bool immutable;             /* opened without locks; `seen` is how the file looked */
    struct stat seen;
    Arena arena;
};

static sqlite3_stmt *raw(Stmt *st)
{
    return (sqlite3_stmt *)st;
}

/* ---- errors ---- */

typedef struct SqliteError { int rc; Code code; const char *id, *hint; } SqliteError;

/* Extended codes first: the first entry that fits wins. */
static const SqliteError *error_of(int rc)
{
    static const SqliteError known[] = {
        { SQLITE_READONLY_ROLLBACK, E_ENV, ERR_db_busy,
          "another program left a transaction unfinished; opening the file once with the sqlite3 shell undoes it" },
        { SQLITE_READONLY_RECOVERY, E_ENV, ERR_db_busy,
          "another program left its log unfinished; opening the file once with the sqlite3 shell recovers it" },
        { SQLITE_IOERR_CORRUPTFS, E_INPUT, ERR_db_format, NULL },
        { SQLITE_NOTADB, E_INPUT, ERR_db_format, "this is no SQLite database" },
        { SQLITE_CORRUPT, E_INPUT, ERR_db_format, "the database is damaged" },
        { SQLITE_BUSY, E_ENV, ERR_db_busy, "another program has locked the database" },
        { SQLITE_LOCKED, E_ENV, ERR_db_busy, "the table is in use" },
        { SQLITE_FULL, E_ENV, ERR_db_env, "the disk is full" },
        { SQLITE_IOERR, E_ENV, ERR_db_env, NULL },
        { SQLITE_NOMEM, E_ENV, ERR_db_env, NULL },
        { SQLITE_CANTOPEN, E_ENV, ERR_db_env, NULL },
        { SQLITE_PERM, E_ENV, ERR_db_env, NULL },
        { SQLITE_READONLY, E_ENV, ERR_db_env, NULL },
        { SQLITE_PROTOCOL, E_ENV, ERR_db_busy, NULL },
        { SQLITE_NOLFS, E_ENV, ERR_db_env, NULL },
        { SQLITE_INTERRUPT, E_STOPPED, ERR_db_stopped, NULL },
        { SQLITE_OK, E_INPUT, ERR_db_sql, NULL },               /* everything else */
    };
    size_t k = 0;

    while (k + 1 < COUNT_OF(known) && known[k].rc != rc && known[k].rc != (rc & 0xff))
        k++;
    return &known[k];
}

static Code sqlite_fail(Db *db, Err *e)
{
    const int rc = db->h ? sqlite3_extended_errcode(db->h) : SQLITE_NOMEM;
    const SqliteError *k = error_of(rc);
    const char *text = db->h ? sqlite3_errmsg(db->h) : "out of memory";

    if (k->hint)
        return err_set(e, k->code, k->id, "%s: %s (%s)", db->path, k->hint, text);
    return err_set(e, k->code, k->id, "%s: %s", db->path, text);
}

/* ---- opening ---- */

static Code check_spec(const char *spec, Err *e)
{
    static const char *const later[] = { "duckdb:", "postgres://", "postgresql://", "trino://" };

    if (!spec || !*spec)
        return err_set(e, E_INPUT, ERR_db_open, "no database is named");
    for (size_t k = 0; k < COUNT_OF(later); k++)
        if (!strncmp(spec, later[k], strlen(later[k])))
            return err_set(e, E_INPUT, ERR_db_not_yet, "%s: not yet: databases other than SQLite files", spec);
    return OK;
}

/* The folder that a new file is to stand in. */
static Code check_folder(const char *path, Err *e)
{
    const char *slash = strrchr(path, '/');
    const int n = slash ? (int)(slash - path) : 0;
    char folder[4096];
    struct stat st;

    if (n == 0 || n >= (int)sizeof folder)
        return OK;
    snprintf(folder, sizeof folder, "%.*s", n, path);
    return stat(folder, &st) == 0 ? OK : err_set(e, E_ENV, ERR_db_env, "%s: %s: %s", path, folder, strerror(errno));
}

static Code check_file(const char *path, DbMode mode, struct stat *st, Err *e)
{
    if (stat(path, st) == 0) {
        if (S_ISREG(st->st_mode))
            return access(path, R_OK) == 0 ? OK : err_set(e, E_ENV, ERR_db_env, "%s: %s", path, strerror(errno));
        return err_set(e, E_INPUT, ERR_db_open, "%s: %s, not a database file", path,
                       S_ISDIR(st->st_mode) ? "a folder" : "not an ordinary file");
    }
    const int why = errno;
    *st = (struct stat){ 0 };
    if (why == ENOENT && mode == DB_CREATE)
        return check_folder(path, e);
    if (why == ENOENT || why == ENOTDIR)
        return err_set(e, E_INPUT, ERR_db_open, "%s: there is no such file", path);
    return err_set(e, E_ENV, ERR_db_env, "%s: %s", path, strerror(why));
}

/* Size of the file `path` + suffix, -1 if there is none. */
static int64_t size_beside(Arena *a, const char *path, const char *suffix)
{
    struct stat st;

    return stat(arena_printf(a, "%s%s", path, suffix), &st) ? -1 : (int64_t)st.st_size;
}

static bool in_wal_mode(const char *path)
{
    unsigned char head[20] = { 0 };
    FILE *f = fopen(path, "rb");

    if (!f)
        return false;
    const bool whole = fread(head, 1, sizeof head, f) == sizeof head;
    fclose(f);
    return whole && !memcmp(head, "SQLite format 3", 16) && (head[18] == 2 || head[19] == 2);
}

/* Whether a file to be read must be opened as immutable so that nothing is created beside it. */
static Code choose_immutable(Db *db, Err *e)
{
    if (!in_wal_mode(db->path))
        return OK;
    if (size_beside(&db->arena, db->path, "-wal") <= 0) {
        db->immutable = true;
        return OK;
    }
    if (size_beside(&db->arena, db->path, "-shm") >= 0)
        return OK;
    return err_set(e, E_ENV, ERR_db_busy,
                   "%s: another program left its log %s-wal unfinished; opening the file once with the sqlite3 "
                   "shell recovers it", db->path, db->path);
}

/* The path as a URI, so that no character of it has a meaning. */
static char *file_uri(Arena *a, const char *path, bool immutable)
{
    Buf b = { 0 };

    buf_puts(&b, *path == '/' ? "file://" : "file:./");
    for (; *path; path++)
        if (strchr("%?#", *path))
            buf_printf(&b, "%%%02X", (unsigned)(unsigned char)*path);
        else
            buf_putc(&b, *path);
    if (immutable)
        buf_puts(&b, "?immutable=1");
    char *uri = arena_strdup(a, b.s);
    buf_free(&b);
    return uri;
}

static Code harden(Db *db, Err *e)
{
    static const struct { int what, on; } config[] = {
        { SQLITE_DBCONFIG_DEFENSIVE, 1 },
        { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
        { SQLITE_DBCONFIG_DQS_DML, 0 },
        { SQLITE_DBCONFIG_DQS_DDL, 0 },
        { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
        { SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0 },
    };

    sqlite3_extended_result_codes(db->h, 1);
    sqlite3_busy_timeout(db->h, BUSY_MS);
    for (size_t k = 0; k < COUNT_OF(config); k++)
        sqlite3_db_config(db->h, config[k].what, config[k].on, NULL);
    sqlite3_limit(db->h, SQLITE_LIMIT_LENGTH, MAX_VALUE);
    sqlite3_limit(db->h, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(db->h, SQLITE_LIMIT_TRIGGER_DEPTH, 50);
    sqlite3_limit(db->h, SQLITE_LIMIT_WORKER_THREADS, 0);
    /* No memory map: a file cut short by another program would kill the process. */
    return db_exec(db, e, "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;"
                          "PRAGMA cache_size = -65536; SELECT count(*) FROM sqlite_schema");
}

static Code connect_file(Db *db, DbMode mode, Err *e)
{
    static const int flag[] = {
        [DB_READ] = SQLITE_OPEN_READONLY,
        [DB_WRITE] = SQLITE_OPEN_READWRITE,
        [DB_CREATE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
    };
    Code rc = check_file(db->path, mode, &db->seen, e);

    if (!rc && mode == DB_READ)
        rc = choose_immutable(db, e);
    if (rc)
        return rc;
    const char *uri = file_uri(&db->arena, db->path, db->immutable);
    if (sqlite3_open_v2(uri, &db->h, flag[mode] | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL))
        return sqlite_fail(db, e);
    db->made = mode == DB_CREATE && !db->seen.st_ino;
    if ((rc = harden(db, e)) != OK)
        return rc;
    if (mode != DB_READ && sqlite3_db_readonly(db->h, "main"))
        return err_set(e, E_ENV, ERR_db_env, "%s: the file may not be written", db->path);
    return OK;
}

static Db *new_db(const char *path)
{
    Db *db = mem_alloc(sizeof *db);

    db->path = arena_strdup(&db->arena, path);
    return db;
}

static Code keep_or_close(Db **out, Db *db, Code rc)
{
    if (rc)
        db_close(db);
    else
        *out = db;
    return rc;
}

Code db_open(Db **out, const char *spec, DbMode mode, Err *e)
{
    *out = NULL;
    if (check_spec(spec, e))
        return e->code;
    Db *db = new_db(spec);
    return keep_or_close(out, db, connect_file(db, mode, e));
}

/* The operator `draw` as SQL: stream, seed, step, keys. */
static void draw_function(sqlite3_context *ctx, int n, sqlite3_value **arg)
{
    int64_t place = 0;

    for (int k = 0; k < n; k++) {
        const int type = sqlite3_value_type(arg[k]);
        if (type == SQLITE_NULL || n < 3) {
            sqlite3_result_null(ctx);
            return;
        }
        if (k < 3)
            continue;
        const void *text = type == SQLITE_INTEGER ? NULL : sqlite3_value_text(arg[k]);
        place = draw_place(place, text ? hash_bytes(text, (size_t)sqlite3_value_bytes(arg[k]))
                                       : (uint64_t)sqlite3_value_int64(arg[k]));
    }
    sqlite3_result_double(ctx, draw_unit(draw_bits(sqlite3_value_int64(arg[0]), sqlite3_value_int64(arg[1]),
                                                   sqlite3_value_int64(arg[2]), place)));
}

static Code add_functions(Db *db, Err *e)
{
    return sqlite3_create_function_v2(db->h, "sqlgrad_draw", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, draw_function,
                                      NULL, NULL, NULL) ? sqlite_fail(db, e) : OK;
}

static Code connect_memory(Db *db, Err *e)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;

    return sqlite3_open_v2(":memory:", &db->h, flags, NULL) ? sqlite_fail(db, e) : harden(db, e);
}

void db_memory_limit(size_t nbytes)
{
    sqlite3_hard_heap_limit64((sqlite3_int64)(nbytes < INT64_MAX ? nbytes : INT64_MAX));
}

Code db_open_temp(Db **out, const char *readonly_path, Err *e)
{
    *out = NULL;
    if (readonly_path && check_spec(readonly_path, e))
        return e->code;
    Db *db = new_db(readonly_path ? readonly_path : "(memory)");
    db->is_temp = true;
    const Code rc = readonly_path ? connect_file(db, DB_READ, e) : connect_memory(db, e);
    return keep_or_close(out, db, rc == OK ? add_functions(db, e) : rc);
}

void db_close(Db *db)
{
    if (!db)
        return;
    sqlite3_close_v2(db->h);
    if (db->made && size_beside(&db->arena, db->path, "") == 0)
        unlink(db->path);
    arena_free(&db->arena);
    mem_free(db);
}

const char *db_path(const Db *db)
{
    return db->path;
}

static int must_stop(void *stop)
{
    return *(volatile int *)stop != 0;
}

void db_watch(Db *db, volatile int *stop, size_t mem)
{
    const int64_t all = (int64_t)sysconf(_SC_PHYS_PAGES) / 4 * 3 * (int64_t)sysconf(_SC_PAGESIZE);

    sqlite3_hard_heap_limit64(mem ? (int64_t)mem : all);
    sqlite3_progress_handler(db->h, stop ? 100000 : 0, must_stop, (void *)stop);
}

bool drv_is_temp(const Db *db)
{
    return db->is_temp;
}

int64_t drv_changes(const Db *db)
{
    return sqlite3_changes64(db->h);
}

Code drv_unchanged(Db *db, Err *e)
{
    struct stat now;

    if (!db->immutable)
        return OK;
    if (!stat(db->path, &now) && now.st_size == db->seen.st_size && now.st_ino == db->seen.st_ino &&
        now.st_mtim.tv_sec == db->seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == db->seen.st_mtim.tv_nsec)
        return OK;
    return err_set(e, E_ENV, ERR_db_busy, "%s: another program changed the file while it was being read",
                   db->path);
}

/* ---- statements ---- */

Code stmt_open(Db *db, Stmt **out, const char *sql, Err *e)
{
    sqlite3_stmt *st = NULL;

    *out = NULL;
    if (sqlite3_prepare_v3(db->h, sql, -1, 0, &st, NULL))
        return sqlite_fail(db, e);
    if (!st)
        return err_set(e, E_INPUT, ERR_db_sql, "%s: an empty statement", db->path);
    *out = (Stmt *)st;
    return OK;
}

Code stmt_openf(Db *db, Stmt **out, Err *e, const char *fmt, ...)
{
    Arena a = { 0 };
    va_list ap;

    va_start(ap, fmt);
    const Code rc = stmt_open(db, out, arena_vprintf(&a, fmt, ap), e);
    va_end(ap);
    arena_free(&a);
    return rc;
}

void stmt_close(Stmt *st)
{
    sqlite3_finalize(raw(st));
}

Code stmt_step(Db *db, Stmt *st, bool *row, Err *e)
{
    const int rc = sqlite3_step(raw(st));

    *row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? OK : sqlite_fail(db, e);
}

Code stmt_run(Db *db, Stmt *st, Err *e)
{
    int rc;

    while ((rc = sqlite3_step(raw(st))) == SQLITE_ROW)
        ;
    const Code code = rc == SQLITE_DONE ? OK : sqlite_fail(db, e);
    sqlite3_reset(raw(st));
    return code;
}

int stmt_n_cols(Stmt *st)
{
    return sqlite3_column_count(raw(st));
}

const char *stmt_name(Stmt *st, int col)
{
    const char *s = sqlite3_column_name(raw(st), col);

    return s ? s : "";
}

const char *stmt_decl(Stmt *st, int col)
{
    const char *s = sqlite3_column_decltype(raw(st), col);

    return s ? s : "";
}

Store stmt_store(Stmt *st, int col)
{
    switch (sqlite3_column_type(raw(st), col)) {
    case SQLITE_INTEGER: return STORE_int;
    case SQLITE_FLOAT: return STORE_real;
    case SQLITE_TEXT: return STORE_text;
    case SQLITE_BLOB: return STORE_blob;
    default: return STORE_null;
    }
}

int64_t stmt_int(Stmt *st, int col)
{
    return sqlite3_column_int64(raw(st), col);
}

double stmt_real(Stmt *st, int col)
{
    return sqlite3_column_double(raw(st), col);
}

const char *stmt_text(Stmt *st, int col, size_t *len)
{
    const char *s = (const char *)sqlite3_column_text(raw(st), col);

    *len = (size_t)sqlite3_column_bytes(raw(st), col);
    return s;
}

const uint8_t *stmt_blob(Stmt *st, int col, size_t *len)
{
    const uint8_t *p = sqlite3_column_blob(raw(st), col);

    *len = (size_t)sqlite3_column_bytes(raw(st), col);
    return p;
}

void stmt_bind_null(Stmt *st, int at)
{
    sqlite3_bind_null(raw(st), at);
}

void stmt_bind_int(Stmt *st, int at, int64_t i)
{
    sqlite3_bind_int64(raw(st), at, i);
}

void stmt_bind_real(Stmt *st, int at, double r)
{
    sqlite3_bind_double(raw(st), at, r);
}

bool stmt_bind_text(Stmt *st, int at, const char *s, size_t len)
{
    return sqlite3_bind_text64(raw(st), at, s, len, SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK;
}

bool stmt_bind_blob(Stmt *st, int at, const void *p, size_t len)
{
    return sqlite3_bind_blob64(raw(st), at, p, len, SQLITE_STATIC) == SQLITE_OK;
}

/* ---- the database as a whole ---- */

Code db_exec(Db *db, Err *e, const char *sql)
{
    return sqlite3_exec(db->h, sql, NULL, NULL, NULL) ? sqlite_fail(db, e) : OK;
}

Code drv_exec(Db *db, Err *e, const char *fmt, ...)
{
    Arena a = { 0 };
    va_list ap;

    va_start(ap, fmt);
    const Code rc = db_exec(db, e, arena_vprintf(&a, fmt, ap));
    va_end(ap);
    arena_free(&a);
    return rc;
}

Code db_prepare(Db *db, const char *sql, Stmt **out, Err *e)
{
    sqlite3_stmt *st = NULL;

    *out = NULL;
    if (sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL))
        return sqlite_fail(db, e);
    *out = (Stmt *)st;
    return OK;
}

Code db_rerun(Db *db, Stmt *st, bool *row, Err *e)
{
    const int rc = sqlite3_step(raw(st));
    const Code code = rc == SQLITE_ROW || rc == SQLITE_DONE ? OK : sqlite_fail(db, e);

    if (row)
        *row = rc == SQLITE_ROW;
    sqlite3_reset(raw(st));
    return code;
}

void db_finish(Stmt *st)
{
    stmt_close(st);
}

Code db_begin(Db *db, Err *e)
{
    return db_exec(db, e, "BEGIN IMMEDIATE");
}

Code db_commit(Db *db, Err *e)
{
    return db_exec(db, e, "COMMIT");
}

void db_rollback(Db *db)
{
    if (!sqlite3_get_autocommit(db->h))
        sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
}

Code drv_save(Db *db, Err *e)
{
    return db_exec(db, e, "SAVEPOINT sqlgrad");
}

Code drv_release(Db *db, Code rc, Err *e)
{
    if (!rc && !db_exec(db, e, "RELEASE sqlgrad"))
        return OK;
    /* A full disk has rolled everything back already; then there is nothing to undo. */
    if (!sqlite3_get_autocommit(db->h))
        sqlite3_exec(db->h, "ROLLBACK TO sqlgrad; RELEASE sqlgrad", NULL, NULL, NULL);
    return e->code;
}

Code drv_n_bytes(Db *db, int64_t *n, Err *e)
{
    Stmt *st;
    bool row;
    Code rc = stmt_open(db, &st, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", e);

    *n = 0;
    if (!rc && !(rc = stmt_step(db, st, &row, e)) && row)
        *n = stmt_int(st, 0);
    stmt_close(st);
    return rc;
}

const char *drv_ident(Arena *a, const char *name)
{
    Buf b = { 0 };

    buf_ident(&b, name);
    const char *s = arena_strdup(a, b.s);
    buf_free(&b);
    return s;
}

static const char *keep_text(Arena *a, Stmt *st, int col)
{
    size_t len;
    const char *s = stmt_text(st, col, &len);

    return s ? arena_strndup(a, s, len) : "";
}

static void fill_object(DbObject *o, Stmt *st, Arena *a)
{
    o->exists = true;
    o->name = keep_text(a, st, 0);
    o->sql = keep_text(a, st, 2);
    o->is_view = !strcmp(keep_text(a, st, 1), "view");
    o->is_virtual = !o->is_view && stmt_int(st, 3) == 0;        /* no root page */
    o->is_temp = stmt_int(st, 4) != 0;
}

#define FIND_IN(schema, temp) \
    "SELECT name, type, sql, rootpage, " temp " AS of_temp FROM " schema \
    " WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')"

Code drv_find(Db *db, const char *name, DbObject *o, Arena *a, Err *e)
{
    Stmt *st;
    bool row = false;
    Code rc = stmt_open(db, &st, FIND_IN("sqlite_temp_schema", "1") " UNION ALL "
                                 FIND_IN("main.sqlite_schema", "0") " ORDER BY of_temp DESC LIMIT 1", e);

    *o = (DbObject){ .name = name };
    if (rc)
        return rc;
    stmt_bind_text(st, 1, name, strlen(name));
    rc = stmt_step(db, st, &row, e);
    if (!rc && row)
        fill_object(o, st, a);
    stmt_close(st);
    return rc;
}

bool db_has(Db *db, const char *table)
{
    Arena a = { 0 };
    Err e = { 0 };
    DbObject o;

    drv_find(db, table, &o, &a, &e);
    arena_free(&a);
    return o.exists;
}

Code db_tables(Db *db, Arena *a, const char ***names, int *n, Err *e)
{
    Stmt *st;
    bool row = false;
    Code rc = stmt_open(db, &st, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
                                 " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name", e);

    *names = NULL;
    *n = 0;
    while (!rc && !(rc = stmt_step(db, st, &row, e)) && row)
        VEC_PUSH(a, *names, *n, keep_text(a, st, 0));
    stmt_close(st);
    return rc;
}
