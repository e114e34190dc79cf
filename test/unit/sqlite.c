/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite.c - the SQLite driver: types of columns, rows in and out, and databases that lie or are broken. */
#include "unit.h"

#include "db/db.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[] = "/tmp/sqlgrad-unit-XXXXXX";
static char path[100];

static const char *file_in(const char *name)
{
    if (scratch[sizeof scratch - 2] == 'X' && !mkdtemp(scratch))
        BUG("no scratch folder");
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    unlink(path);
    return path;
}

static Db *create(const char *name, const char *sql)
{
    Err e = { 0 };
    Db *db = NULL;

    CHECK(!db_open(&db, file_in(name), DB_CREATE, &e) && !db_exec(db, &e, sql));
    CHECK_STR(e.msg, "");
    return db;
}

static void close_and_remove(Db *db)
{
    char name[100];

    snprintf(name, sizeof name, "%s", db_path(db));
    db_close(db);
    unlink(name);
    rmdir(scratch);
    memcpy(scratch + sizeof scratch - 7, "XXXXXX", 6);
}

static void remove_file(void)
{
    unlink(path);
    rmdir(scratch);
    memcpy(scratch + sizeof scratch - 7, "XXXXXX", 6);
}

/* The message of the error that reading `table` gives, after the path; "" if it gives none. */
static const char *read_error(Db *db, const char *table)
{
    static Err e;
    Table t;

    e = (Err){ 0 };
    if (!db_read(db, table, NULL, &t, &e))
        table_free(&t);
    const char *colon = strstr(e.msg, ": ");
    return colon ? colon + 2 : e.msg;
}

static const char *open_error(const char *spec, DbMode mode, Code want)
{
    static Err e;
    Db *db;

    e = (Err){ 0 };
    CHECK_INT(db_open(&db, spec, mode, &e), want);
    CHECK(!db || want == OK);
    db_close(db);
    return e.msg;
}

static Type type_in(Db *db, const char *table, int col)
{
    Arena a = { 0 };
    Err e = { 0 };
    CatTable t;
    Type type = T_NULL;

    CHECK_INT(db_describe(db, table, &t, &a, &e), OK);
    CHECK_STR(e.msg, "");
    if (t.exists && col < t.n_cols)
        type = t.col[col].type;
    arena_free(&a);
    return type;
}

/* ---- opening ---- */

static void test_open(void)
{
    CHECK_STR(open_error(NULL, DB_READ, E_INPUT), "no database is named");
    CHECK_STR(open_error("", DB_READ, E_INPUT), "no database is named");
    CHECK(strstr(open_error("duckdb:x.db", DB_READ, E_INPUT), "not yet"));
    CHECK(strstr(open_error("postgres://h/d", DB_WRITE, E_INPUT), "not yet"));
    CHECK(strstr(open_error("trino://h", DB_CREATE, E_INPUT), "not yet"));
    CHECK_STR(open_error("/nonexistent/x.db", DB_READ, E_INPUT), "/nonexistent/x.db: there is no such file");
    CHECK_STR(open_error("/tmp", DB_READ, E_INPUT), "/tmp: a folder, not a database file");
    CHECK_STR(open_error("/dev/null", DB_CREATE, E_INPUT), "/dev/null: not an ordinary file, not a database file");
    CHECK(strstr(open_error("/nonexistent/x.db", DB_CREATE, E_ENV), "/nonexistent/x.db: "));
    CHECK(strstr(open_error("file:none?mode=memory", DB_READ, E_INPUT), "no such file"));
}

static void write_bytes(const char *name, const void *p, size_t n, long at)
{
    FILE *f = fopen(name, at < 0 ? "wb" : "rb+");

    if (!f || (at > 0 && fseek(f, at, SEEK_SET)) || fwrite(p, 1, n, f) != n)
        unit_wrong(0, "cannot write ", name);
    if (f)
        fclose(f);
}

static void test_not_a_database(void)
{
    write_bytes(file_in("text.db"), "hello, this is only text", 24, -1);
    CHECK(strstr(open_error(path, DB_READ, E_INPUT), "text.db: this is no SQLite database"));
    CHECK(strstr(open_error(path, DB_CREATE, E_INPUT), "text.db: this is no SQLite database"));
    write_bytes(path, "", 0, -1);
    CHECK_STR(open_error(path, DB_READ, OK), "");       /* an empty file is an empty database */
    remove_file();
}

static void test_names_are_no_uris(void)
{
    Err e = { 0 };
    Db *db = create("a?b%41#c&mode=ro.db", "CREATE TABLE t (x REAL)");
    struct stat st;

    CHECK_INT(stat(db_path(db), &st), 0);
    CHECK(db_has(db, "T") && !db_has(db, "u"));
    CHECK_INT(db_exec(db, &e, "INSERT INTO t VALUES (1)"), OK);
    close_and_remove(db);
}

static void test_unused_file_goes(void)
{
    struct stat st;

    db_close(create("new.db", "SELECT 1"));
    CHECK(stat(path, &st) != 0);
    remove_file();
}

/* ---- types ---- */

static void test_declared_types(void)
{
    Db *db = create("types.db",
        "CREATE TABLE t (a REAL, b FLOAT, c DOUBLE PRECISION, d NUMERIC(3,1), e DECIMAL, f INT, g BIGINT, h BOOLEAN,"
        " i TEXT, j VARCHAR(10), k DATE, l, m FLOATING POINT)");
    static const Type want[] = { T_REAL, T_REAL, T_REAL, T_REAL, T_REAL, T_INT, T_INT, T_INT, T_TEXT, T_TEXT,
                                 T_TEXT, T_TEXT, T_REAL };

    for (int c = 0; c < (int)COUNT_OF(want); c++)
        CHECK_INT(type_in(db, "t", c), want[c]);
    close_and_remove(db);
}

static void test_typeless_columns(void)
{
    Db *db = create("typeless.db",
        "CREATE TABLE t (i, r, x, n, d DATE, k TEXT);"
        "INSERT INTO t VALUES (1, 2, 'a', NULL, '2024-01-01', 'u'), (NULL, 2.5, NULL, NULL, NULL, 'u');"
        "CREATE VIEW v AS SELECT i * 2 AS i2, r * 2 AS r2, x || '!' AS x2, CAST(i AS REAL) AS c FROM t;"
        "CREATE TABLE ctas AS SELECT d, r FROM t");
    static const Type want[] = { T_INT, T_REAL, T_TEXT, T_TEXT, T_TEXT, T_TEXT }, view[] = { T_INT, T_REAL, T_TEXT, T_REAL };
    Err e = { 0 };
    Table t;

    for (int c = 0; c < (int)COUNT_OF(want); c++)
        CHECK_INT(type_in(db, "t", c), want[c]);
    for (int c = 0; c < (int)COUNT_OF(view); c++)
        CHECK_INT(type_in(db, "v", c), view[c]);
    CHECK_INT(type_in(db, "ctas", 0), T_TEXT);
    CHECK_INT(type_in(db, "ctas", 1), T_REAL);
    CHECK_INT(db_read(db, "t", NULL, &t, &e), OK);
    CHECK_INT(t.n_rows, 2);
    CHECK(table_null(&t, 0, 0) && table_int(&t, 0, 1) == 1);        /* sorted: NULL first */
    CHECK(table_real(&t, 1, 0) == 2.5 && table_real(&t, 1, 1) == 2.0);
    CHECK(t.col[5].s[0] == t.col[5].s[1]);                          /* one copy of each text */
    CHECK_STR(t.col[2].s[1], "a");
    table_free(&t);
    close_and_remove(db);
}

static void test_values_that_contradict(void)
{
    Db *db = create("bad.db",
        "CREATE TABLE a (k INTEGER, x REAL); INSERT INTO a VALUES (1, 1.0), (2.5, 1.0);"
        "CREATE TABLE b (k INTEGER, x REAL); INSERT INTO b VALUES (1, 1.0), (2, 'two');"
        "CREATE TABLE c (k INTEGER); INSERT INTO c VALUES ('it''s');"
        "CREATE TABLE d (k TEXT); INSERT INTO d VALUES (x'0102');"
        "CREATE TABLE e (k); INSERT INTO e VALUES (1), ('x');"
        "CREATE TABLE f (k DATE); INSERT INTO f VALUES (1.5);"
        "CREATE TABLE g (k TEXT); INSERT INTO g VALUES (CAST(x'410042' AS TEXT));");

    CHECK_STR(read_error(db, "a"), "a.k is declared INTEGER, but row 2 holds the real 2.5");
    CHECK_STR(read_error(db, "b"), "b.x is declared REAL, but row 2 holds the text 'two'");
    CHECK_STR(read_error(db, "c"), "c.k is declared INTEGER, but row 1 holds the text 'it's'");
    CHECK_STR(read_error(db, "d"), "d.k is declared TEXT, but row 1 holds a blob of 2 bytes");
    CHECK_STR(read_error(db, "e"), "e.k holds INTEGER values, but row 2 holds the text 'x'");
    CHECK_STR(read_error(db, "f"), "f.k: row 1 holds the real 1.5, which is no key and no value");
    CHECK_STR(read_error(db, "g"), "g.k: the text in row 1 holds a NUL byte");
    CHECK_STR(read_error(db, "none"), "there is no table none");
    close_and_remove(db);
}

static void test_facts(void)
{
    Db *db = create("facts.db", "CREATE TABLE t (k INTEGER, x REAL);"
                                "INSERT INTO t VALUES (-9223372036854775808, 1), (5, NULL), (9223372036854775807, 2)");
    Arena a = { 0 };
    Err e = { 0 };
    CatTable t;

    CHECK_INT(db_describe(db, "T", &t, &a, &e), OK);
    CHECK(t.exists && !t.col[0].nullable && t.col[1].nullable && t.col[0].has_range);
    CHECK_STR(t.db_name, "t");
    CHECK_INT(t.n_rows, 3);
    CHECK_INT(t.col[0].lo, INT64_MIN);
    CHECK_INT(t.col[0].hi, INT64_MAX);
    CHECK_INT(db_describe(db, "u", &t, &a, &e), OK);
    CHECK(!t.exists);
    arena_free(&a);
    close_and_remove(db);
}

static void test_where_and_query(void)
{
    Db *db = create("query.db", "CREATE TABLE t (k INTEGER, x REAL); INSERT INTO t VALUES (3, 1), (1, 2), (2, NULL)");
    Err e = { 0 };
    Table t;

    CHECK_INT(db_read(db, "t", "k < 3", &t, &e), OK);
    CHECK_INT(t.n_rows, 2);
    CHECK(table_int(&t, 0, 0) == 1 && table_null(&t, 1, 1));
    table_free(&t);
    CHECK_INT(db_query(db, "SELECT SUM(x), NULL, 'a' || k, k FROM t WHERE k = 3", &t, &e), OK);
    CHECK(t.n_rows == 1 && t.col[0].type == T_REAL && t.col[1].type == T_REAL && t.col[2].type == T_TEXT);
    CHECK(table_null(&t, 1, 0) && table_int(&t, 3, 0) == 3);
    table_free(&t);
    CHECK_INT(db_query(db, "SELECT x FROM t WHERE 0", &t, &e), OK);
    CHECK_INT(t.n_rows, 0);
    table_free(&t);
    CHECK_INT(db_query(db, "SELECT \"x y\" FROM t", &t, &e), E_INPUT);      /* no string by accident */
    CHECK(strstr(e.msg, "no such column: x y"));
    close_and_remove(db);
}

/* ---- names ---- */

static void test_odd_names(void)
{
    static const char *const name[] = { "select", "a\"b", "a'b", "Größe", "x y", "a.b", "; DROP TABLE t; --" };
    Db *db = create("names.db", "CREATE TABLE t (x REAL)");
    Arena arena = { 0 };
    const char **all;
    int n;
    Err e = { 0 };

    for (size_t k = 0; k < COUNT_OF(name); k++) {
        Table t, back;
        table_init(&t, name[k], 2, 1);
        CHECK(table_add_col(&t, 0, name[k], T_INT, false) && table_add_col(&t, 1, "from", T_REAL, false));
        t.col[0].i[0] = (int64_t)k;
        CHECK_INT(db_create(db, name[k], &t, false, &e), OK);
        CHECK_INT(db_append(db, name[k], &t, &e), OK);
        CHECK_INT(db_read(db, name[k], NULL, &back, &e), OK);
        CHECK(back.n_rows == 2 && table_int(&back, 0, 1) == (int64_t)k);
        CHECK_STR(back.n_cols ? back.col[0].name : "", name[k]);
        table_free(&back);
        table_free(&t);
    }
    CHECK_INT(db_tables(db, &arena, &all, &n, &e), OK);
    CHECK_INT(n, COUNT_OF(name) + 1);
    CHECK_STR(e.msg, "");
    arena_free(&arena);
    close_and_remove(db);
}

/* ---- writing ---- */

static Table three_rows(void)
{
    static const char *const text[] = { "a", "b", "" };
    Table t;

    table_init(&t, "t", 3, 3);
    table_add_col(&t, 0, "k", T_INT, false);
    table_add_col(&t, 1, "s", T_TEXT, true);
    table_add_col(&t, 2, "x", T_REAL, true);
    for (int r = 0; r < 3; r++) {
        t.col[0].i[r] = r;
        t.col[1].s[r] = text[r];
        t.col[2].r[r] = 0.1 * r;
    }
    t.col[1].null[2] = t.col[2].null[1] = 1;
    return t;
}

static void test_create_append(void)
{
    Db *db = create("write.db", "CREATE TABLE old (x REAL); CREATE VIEW v AS SELECT 1 AS k");
    Table t = three_rows(), back;
    Err e = { 0 }, clash = { 0 }, no_view = { 0 }, no_col = { 0 };

    CHECK_INT(db_create(db, "t", &t, false, &e), OK);
    CHECK_INT(db_create(db, "T", &t, false, &clash), E_INPUT);
    CHECK(strstr(clash.msg, "there is already a table T"));
    CHECK_INT(db_create(db, "t", &t, true, &e), OK);
    CHECK_INT(db_append(db, "t", &t, &e), OK);
    CHECK_INT(db_read(db, "t", NULL, &back, &e), OK);
    CHECK_INT(back.n_rows, 6);
    CHECK(table_null(&back, 1, 5) && table_null(&back, 2, 3) && table_real(&back, 2, 4) == 0.2);
    CHECK_INT(db_append(db, "v", &t, &no_view), E_INPUT);
    CHECK(strstr(no_view.msg, "v is a view"));
    CHECK_INT(db_append(db, "old", &t, &no_col), E_INPUT);
    CHECK(strstr(no_col.msg, "old has no column k"));
    table_free(&back);
    table_free(&t);
    CHECK_STR(e.msg, "");
    close_and_remove(db);
}

static void test_append_is_whole(void)
{
    Db *db = create("whole.db", "CREATE TABLE t (k INTEGER CHECK (k < 2), s TEXT, x REAL);"
                                "CREATE TABLE u (k TEXT, s TEXT, x REAL)");
    Table t = three_rows(), back;
    Err e = { 0 }, types = { 0 }, ok = { 0 };

    CHECK_INT(db_append(db, "t", &t, &e), E_INPUT);
    CHECK(strstr(e.msg, "CHECK constraint failed"));
    CHECK_INT(db_query(db, "SELECT COUNT(*) FROM t", &back, &ok), OK);
    CHECK_INT(table_int(&back, 0, 0), 0);
    table_free(&back);
    CHECK_INT(db_append(db, "u", &t, &types), E_INPUT);
    CHECK(strstr(types.msg, "u.k is declared TEXT, but the new rows hold INTEGER values"));
    table_free(&t);
    close_and_remove(db);
}

/* Run db_update with rows k = 0 … n-1, x = 10 k on `sql`; the error's message after the path. */
static const char *update_error(const char *sql, int n, const char *check)
{
    static Err e;
    Db *db = create("update.db", sql);
    Table t, back;
    Err ok = { 0 };

    e = (Err){ 0 };
    table_init(&t, "t", 2, (size_t)n);
    table_add_col(&t, 0, "k", T_INT, false);
    table_add_col(&t, 1, "x", T_REAL, false);
    for (int r = 0; r < n; r++) {
        t.col[0].i[r] = r;
        t.col[1].r[r] = 10.0 * r;
    }
    db_update(db, "t", &t, &e);
    CHECK_INT(db_query(db, check, &back, &ok), OK);
    CHECK(back.n_rows == 1 && table_int(&back, 0, 0) == 1);
    table_free(&back);
    table_free(&t);
    close_and_remove(db);
    const char *colon = strstr(e.msg, ": ");
    return colon ? colon + 2 : e.msg;
}

static void test_update(void)
{
    const char *same = "SELECT SUM(x) = -3 FROM t", *done = "SELECT SUM(x) = 30 FROM t";

    CHECK_STR(update_error("CREATE TABLE t (k INTEGER, x REAL); INSERT INTO t VALUES (2,-1),(0,-1),(1,-1)", 3, done), "");
    CHECK_STR(update_error("CREATE TABLE t (rowid TEXT, k INTEGER PRIMARY KEY, x REAL) WITHOUT ROWID;"
                           "INSERT INTO t VALUES ('a',2,-1),('a',0,-1),('a',1,-1)", 3, done), "");
    CHECK_STR(update_error("CREATE TABLE t (rowid INTEGER, k INTEGER, x REAL); INSERT INTO t VALUES (7,2,-1),(7,0,-1),(7,1,-1)",
                           3, done), "");
    CHECK_STR(update_error("CREATE TABLE t (k INTEGER, x REAL); INSERT INTO t VALUES (2,-1),(2,-1),(1,-1)", 3, same),
              "t: the row (k 2) meets two rows of the table");
    CHECK_STR(update_error("CREATE TABLE t (k INTEGER, x REAL); INSERT INTO t VALUES (3,-1),(0,-1),(1,-1)", 3, same),
              "t: the row (k 2) is not in the table");
    CHECK_STR(update_error("CREATE TABLE t (k INTEGER, x REAL CHECK (x < 15)); INSERT INTO t VALUES (2,-1),(0,-1),(1,-1)", 3, same),
              "CHECK constraint failed: x < 15");
    CHECK_STR(update_error("CREATE TABLE t (k INTEGER, x REAL); INSERT INTO t VALUES (2,-1),(0,-1),(1,-1);"
                           "CREATE TRIGGER g BEFORE UPDATE ON t WHEN old.k = 1 BEGIN SELECT RAISE(IGNORE); END", 3, same),
              "t: the row (k 1) could not be updated: a trigger of the table prevents it");
    CHECK_STR(update_error("CREATE VIEW t AS SELECT 1 AS k, -3.0 AS x", 3, same), "t is a view; its rows cannot be written");
}

static void test_temp(void)
{
    Err e = { 0 }, write = { 0 };
    Db *db = create("file.db", "CREATE TABLE t (k INTEGER, s TEXT, x REAL); INSERT INTO t VALUES (9, 'z', 9)");
    Table t = three_rows(), back;

    db_close(db);
    CHECK_INT(db_open_temp(&db, path, &e), OK);
    CHECK_INT(db_exec(db, &write, "INSERT INTO t VALUES (1, 'a', 1)"), E_ENV);
    CHECK_INT(db_create(db, "t", &t, false, &e), OK);               /* hides the file's */
    CHECK_INT(db_read(db, "t", NULL, &back, &e), OK);
    CHECK_INT(back.n_rows, 3);
    table_free(&back);
    CHECK_INT(db_create(db, "t", &t, true, &e), OK);
    CHECK_INT(db_drop(db, "t", &e), OK);
    CHECK_INT(db_read(db, "t", NULL, &back, &e), OK);
    CHECK_INT(back.n_rows, 1);
    table_free(&back);
    close_and_remove(db);
    CHECK_INT(db_open_temp(&db, NULL, &e), OK);
    CHECK_INT(db_create(db, "t", &t, false, &e), OK);
    CHECK_INT(db_exec(db, &e, "CREATE TEMP TABLE u AS SELECT k + 1 AS k FROM t"), OK);
    CHECK_INT(db_read(db, "u", NULL, &back, &e), OK);
    CHECK_INT(back.n_rows, 3);
    CHECK_STR(e.msg, "");
    table_free(&back);
    table_free(&t);
    db_close(db);
}

/* ---- what reading leaves behind ---- */

static uint64_t hash_file(const char *name)
{
    static uint8_t bytes[1 << 20];
    FILE *f = fopen(name, "rb");
    const size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;

    if (f)
        fclose(f);
    return hash_bytes(bytes, n);
}

static int n_beside(void)
{
    static const char *const suffix[] = { "-wal", "-shm", "-journal" };
    struct stat st;
    char beside[200];
    int n = 0;

    for (int k = 0; k < 3; k++) {
        snprintf(beside, sizeof beside, "%s%s", path, suffix[k]);
        n += stat(beside, &st) == 0;
    }
    return n;
}

static void check_untouched(const char *mode, int n_files)
{
    char sql[200];
    Err e = { 0 };
    Table t;
    Db *db;

    snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s; CREATE TABLE t (k INTEGER); INSERT INTO t VALUES (1)", mode);
    db_close(create("untouched.db", sql));
    const uint64_t before = hash_file(path);
    CHECK_INT(db_open(&db, path, DB_READ, &e), OK);
    CHECK_INT(db_read(db, "t", NULL, &t, &e), OK);
    CHECK_INT(n_beside(), n_files);
    table_free(&t);
    db_close(db);
    CHECK_INT(n_beside(), n_files);
    CHECK(hash_file(path) == before);
}

static void test_reading_leaves_no_trace(void)
{
    check_untouched("delete", 0);
    remove_file();
    check_untouched("wal", 0);
    remove_file();
    check_untouched("persist", 1);              /* the journal was there before */
    char journal[120];
    snprintf(journal, sizeof journal, "%s-journal", path);
    unlink(journal);
    remove_file();
}

static void test_locked(void)
{
    Err e = { 0 }, busy = { 0 };
    Db *first = create("locked.db", "CREATE TABLE t (k INTEGER)"), *second;

    CHECK_INT(db_open(&second, path, DB_WRITE, &e), OK);
    CHECK_INT(db_begin(first, &e), OK);
    CHECK_INT(db_begin(second, &busy), E_ENV);
    CHECK(strstr(busy.msg, "another program has locked the database"));
    db_rollback(first);
    db_close(second);
    close_and_remove(first);
}

/* ---- hostile databases ---- */

/* Every table of a damaged database reads or gives an error; nothing else is asked. */
static void read_everything(const char *name)
{
    Arena a = { 0 };
    const char **table = NULL;
    int n = 0;
    Err e = { 0 };
    Db *db;

    if (!db_open(&db, name, DB_READ, &e))
        db_tables(db, &a, &table, &n, &e);
    for (int k = 0; k < n; k++) {
        Err inner = { 0 };
        CatTable cat;
        Table t;
        db_describe(db, table[k], &cat, &a, &inner);
        inner = (Err){ 0 };
        if (!db_read(db, table[k], NULL, &t, &inner))
            table_free(&t);
        CHECK(inner.code == OK || inner.code == E_INPUT || inner.code == E_ENV);
    }
    db_close(db);
    arena_free(&a);
}

static void make_victim(void)
{
    static double map[256];
    static uint8_t px[40 * 12];
    Err e = { 0 };
    Db *db = create("victim.db", "PRAGMA page_size = 512; CREATE TABLE t (k INTEGER PRIMARY KEY, s TEXT, x REAL);"
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
                    " INSERT INTO t SELECT i, 'text' || i, i / 3.0 FROM n; CREATE INDEX i ON t (s);"
                    "INSERT INTO t VALUES (1000, hex(zeroblob(3000)), 1.5); CREATE VIEW v AS SELECT s, x FROM t");
    const DbPack p = { "img", { "r", "c" }, { 3, 4 }, 2, map };

    CHECK_INT(db_pack_create(db, &p, &e), OK);
    CHECK_INT(db_pack_append(db, &p, 0, px, 40, 12, &e), OK);
    CHECK_STR(e.msg, "");
    db_close(db);
}

static void test_damaged(void)
{
    static uint8_t whole[1 << 17];
    uint64_t seed = 1;

    make_victim();
    FILE *f = fopen(path, "rb");
    const size_t n = f ? fread(whole, 1, sizeof whole, f) : 0;
    if (f)
        fclose(f);
    CHECK(n > 10000 && n < sizeof whole);
    for (size_t cut = 0; cut < n; cut += cut < 1024 ? 57 : n / 17) {
        write_bytes(path, whole, cut, -1);
        read_everything(path);
    }
    for (int round = 0; round < 300; round++) {
        write_bytes(path, whole, n, -1);
        for (int k = 0; k < 4; k++) {
            seed = hash_u64(seed + 1);
            const uint8_t b = (uint8_t)(seed >> 40);
            write_bytes(path, &b, 1, (long)(seed % n));
        }
        read_everything(path);
    }
    remove_file();
}

static void test_endless_tree(void)
{
    /* A root page whose children are all one leaf: 100 rows seem to be 100 times the file. */
    Db *db = create("endless.db", "PRAGMA page_size = 512; CREATE TABLE t (k INTEGER);"
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i FROM n");
    uint8_t page[512];

    db_close(db);
    FILE *f = fopen(path, "rb");
    CHECK(f && !fseek(f, 512, SEEK_SET) && fread(page, 1, 512, f) == 512);
    if (f)
        fclose(f);
    CHECK_INT(page[0], 5);                                          /* an interior page of a table */
    const int n_cells = page[3] << 8 | page[4], first = page[12] << 8 | page[13];
    for (int k = 0; k < n_cells; k++) {
        const int cell = page[12 + 2 * k] << 8 | page[13 + 2 * k];
        memcpy(page + cell, page + first, 4);
    }
    page[8] = page[9] = page[10] = 0;
    page[11] = 2;                                                   /* and the last one is the root itself */
    write_bytes(path, page, 512, 512);
    Err e = { 0 };
    CHECK_INT(db_open(&db, path, DB_READ, &e), OK);
    CHECK(strstr(read_error(db, "t"), "the database is damaged"));
    close_and_remove(db);
}

static void test_views_that_fail(void)
{
    Db *db = create("views.db", "CREATE VIEW broken AS SELECT x FROM nowhere; CREATE TABLE t (k INTEGER);"
                    "CREATE VIEW loads AS SELECT load_extension('x') AS x;"
                    "CREATE VIEW big AS SELECT hex(zeroblob(200000000)) || hex(zeroblob(200000000)) AS x;"
                    "CREATE VIRTUAL TABLE virt USING fts5(x)");

    CHECK(strstr(read_error(db, "broken"), "no such table"));
    CHECK(*read_error(db, "loads"));
    CHECK(strstr(read_error(db, "big"), "too big"));
    CHECK(strstr(read_error(db, "virt"), "virt is a virtual table"));
    close_and_remove(db);
}

/* ---- packed views ---- */

static void fill_ramp(double map[256])
{
    for (int k = 0; k < 256; k++)
        map[k] = k / 127.5 - 1;
}

static Db *packed_db(double map[256], const char *view)
{
    uint8_t px[3 * 7];
    Err e = { 0 };
    Db *db = create("packed.db", "CREATE TABLE other (x REAL)");
    const DbPack p = { view, { "r", "c" }, { 2, 3 }, 2, map };

    for (int k = 0; k < 21; k++)
        px[k] = (uint8_t)(k * 13);
    fill_ramp(map);
    CHECK_INT(db_pack_create(db, &p, &e), OK);
    CHECK_INT(db_pack_append(db, &p, 5, px, 3, 7, &e), OK);
    CHECK_STR(e.msg, "");
    return db;
}

/* Packed bytes, and what SQLite makes of the view, are the same. */
static void check_same_as_view(Db *db, const char *view, const char *where, bool packed)
{
    char sql[200];
    Err e = { 0 };
    Table t, q;

    snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" WHERE %s ORDER BY image, r, c", view, where ? where : "1");
    CHECK_INT(db_read(db, view, where, &t, &e), OK);
    CHECK_INT(db_query(db, sql, &q, &e), OK);
    CHECK_STR(e.msg, "");
    CHECK_INT(t.n_inner > 0, packed);
    CHECK_INT(t.n_rows, q.n_rows);
    for (size_t row = 0; row < t.n_rows && row < q.n_rows; row++) {
        for (int c = 0; c < 3; c++)
            CHECK_INT(table_int(&t, c, row), table_int(&q, c, row));
        CHECK(table_real(&t, 3, row) == table_real(&q, 3, row));
    }
    table_free(&t);
    table_free(&q);
}

static void test_packed(void)
{
    double map[256];
    Db *db = packed_db(map, "im's \"x\"");
    Arena a = { 0 };
    Err e = { 0 };
    CatTable t;

    db_close(db);
    CHECK_INT(db_open(&db, path, DB_READ, &e), OK);
    CHECK_INT(db_describe(db, "IM's \"X\"", &t, &a, &e), OK);
    CHECK(t.exists && t.unique && t.n_rows == 18 && t.n_cols == 4 && t.col[3].type == T_REAL);
    CHECK(t.col[0].lo == 5 && t.col[0].hi == 7 && t.col[2].hi == 2);
    arena_free(&a);
    close_and_remove(db);

    db = packed_db(map, "img");
    check_same_as_view(db, "img", NULL, true);
    check_same_as_view(db, "img", "image IN (5, 7)", true);
    check_same_as_view(db, "img", "\"img\".image = 6", true);
    check_same_as_view(db, "img", "image > 100", true);
    check_same_as_view(db, "img", "image = 6 AND r = 1", false);
    check_same_as_view(db, "img", "val > 0", false);
    close_and_remove(db);
}

static void test_packed_append(void)
{
    double map[256], other[256];
    uint8_t px[6] = { 0 };
    Db *db = packed_db(map, "img");
    const DbPack p = { "img", { "r", "c" }, { 2, 3 }, 2, map }, turned = { "img", { "r", "c" }, { 3, 2 }, 2, map },
                 valued = { "img", { "r", "c" }, { 2, 3 }, 2, other };
    int64_t next;
    Err e = { 0 }, clash = { 0 }, size = { 0 }, value = { 0 };

    memcpy(other, map, sizeof other);
    other[255] = 0;
    CHECK_INT(db_pack_match(db, &p, &next, &e), OK);
    CHECK_INT(next, 8);
    CHECK_INT(db_pack_append(db, &p, next, px, 1, 6, &e), OK);
    check_same_as_view(db, "img", NULL, true);
    CHECK_INT(db_pack_match(db, &turned, &next, &size), E_INPUT);
    CHECK(strstr(size.msg, "another size"));
    CHECK_INT(db_pack_match(db, &valued, &next, &value), E_INPUT);
    CHECK(strstr(value.msg, "another expression"));
    CHECK_INT(db_pack_create(db, &p, &clash), E_INPUT);
    CHECK_INT(db_drop(db, "img", &e), OK);
    CHECK_INT(db_pack_create(db, &p, &e), OK);
    CHECK_INT(db_exec(db, &e, "DROP VIEW img"), OK);                /* by hand: its tables stay */
    CHECK_INT(db_pack_create(db, &p, &e), OK);
    CHECK_STR(e.msg, "");
    close_and_remove(db);
}

/* After `sql` has tampered with it, the view reads as SQLite shows it, or with `error`. */
static void tampered(const char *sql, const char *error)
{
    double map[256];
    Db *db = packed_db(map, "img");
    Err e = { 0 };

    CHECK_INT(db_exec(db, &e, sql), OK);
    CHECK_STR(e.msg, "");
    if (*error)
        CHECK(strstr(read_error(db, "img"), error));
    else
        check_same_as_view(db, "img", NULL, false);
    close_and_remove(db);
}

static void test_packed_lies(void)
{
    const char *view = "DROP VIEW img; CREATE VIEW \"img\" AS SELECT image, r, c, 2.0 AS val FROM sqlgrad_bytes_img, sqlgrad_pos_img";

    tampered(view, "");
    tampered("DELETE FROM sqlgrad_packed", "");
    tampered("UPDATE sqlgrad_packed SET bytes = 'other'", "");
    tampered("DROP TABLE sqlgrad_packed; CREATE TABLE sqlgrad_packed (x)", "");
    tampered("DELETE FROM sqlgrad_pos_img WHERE k = 5", "");
    tampered("UPDATE sqlgrad_pos_img SET r = 7 WHERE k = 0", "");
    tampered("UPDATE sqlgrad_pos_img SET c = 0, r = 0", "");
    tampered("INSERT INTO sqlgrad_pos_img VALUES (6, 9, 9)", "");
    tampered("ALTER TABLE sqlgrad_bytes_img RENAME TO moved", "");
    tampered("DELETE FROM sqlgrad_map_img WHERE hex = '07'", "its map is not one number for each byte");
    tampered("INSERT INTO sqlgrad_map_img VALUES ('zz', 1)", "its map is not one number for each byte");
    tampered("UPDATE sqlgrad_map_img SET val = 'x' WHERE hex = '07'", "its map is not one number for each byte");
    tampered("PRAGMA ignore_check_constraints = 1; UPDATE sqlgrad_bytes_img SET px = x'0102' WHERE image = 6",
             "image 6 has 2 bytes, its positions ask for 6");
    tampered("PRAGMA ignore_check_constraints = 1; UPDATE sqlgrad_bytes_img SET px = zeroblob(600) WHERE image = 6",
             "image 6 has 600 bytes");
}

/* A record may not make us drop a table that is not ours. */
static void test_packed_drop_is_careful(void)
{
    double map[256];
    Db *db = packed_db(map, "img");
    Err e = { 0 };

    CHECK_INT(db_exec(db, &e, "CREATE VIEW liar AS SELECT 1 AS k; INSERT INTO sqlgrad_packed SELECT 'liar', bytes, positions, map"
                              " FROM sqlgrad_packed; INSERT INTO sqlgrad_packed VALUES ('liar2', 'other', 'other', 'other')"), OK);
    CHECK_INT(db_drop(db, "liar", &e), OK);
    CHECK(db_has(db, "other") && db_has(db, "sqlgrad_bytes_img") && !db_has(db, "liar"));
    check_same_as_view(db, "img", NULL, true);
    CHECK_INT(db_drop(db, "img", &e), OK);
    CHECK(!db_has(db, "img") && !db_has(db, "sqlgrad_bytes_img") && !db_has(db, "sqlgrad_map_img"));
    CHECK_STR(e.msg, "");
    close_and_remove(db);
}

TEST_MAIN({ "sqlite.open", test_open },
          { "sqlite.not_a_database", test_not_a_database },
          { "sqlite.names_are_no_uris", test_names_are_no_uris },
          { "sqlite.unused_file_goes", test_unused_file_goes },
          { "sqlite.declared_types", test_declared_types },
          { "sqlite.typeless_columns", test_typeless_columns },
          { "sqlite.values_that_contradict", test_values_that_contradict },
          { "sqlite.facts", test_facts },
          { "sqlite.where_and_query", test_where_and_query },
          { "sqlite.odd_names", test_odd_names },
          { "sqlite.create_append", test_create_append },
          { "sqlite.append_is_whole", test_append_is_whole },
          { "sqlite.update", test_update },
          { "sqlite.temp", test_temp },
          { "sqlite.reading_leaves_no_trace", test_reading_leaves_no_trace },
          { "sqlite.locked", test_locked },
          { "sqlite.damaged", test_damaged },
          { "sqlite.endless_tree", test_endless_tree },
          { "sqlite.views_that_fail", test_views_that_fail },
          { "sqlite.packed", test_packed },
          { "sqlite.packed_append", test_packed_append },
          { "sqlite.packed_lies", test_packed_lies },
          { "sqlite.packed_drop_is_careful", test_packed_drop_is_careful })
