/* SPDX-License-Identifier: Apache-2.0
 *
 * db.h - databases behind one interface; one driver a file (sqlite.c).  All functions return a Code
 * and describe a failure in *e; messages name the file and the table. */
#ifndef SG_DB_H
#define SG_DB_H

#include "ir/ir.h"

typedef struct Db Db;
typedef struct Stmt Stmt;
typedef enum DbMode { DB_READ, DB_WRITE, DB_CREATE } DbMode;    /* WRITE: must exist; CREATE: made if absent */

/* spec: an SQLite file, or later duckdb:FILE, postgres://…, trino://….  Hostile files are survivable:
 * defensive mode, untrusted schema, no extension loading. */
Code db_open(Db **out, const char *spec, DbMode mode, Err *e);
/* What all databases of the process may take of memory; beyond it statements fail with E_ENV. */
void db_memory_limit(size_t nbytes);
/* A connection for the SQL engine: `main` is the file, read-only (NULL: empty, in memory); what db_create
 * and CREATE TEMP make lies in memory and hides a table of the file of the same name. */
Code db_open_temp(Db **out, const char *readonly_path, Err *e);
void db_close(Db *db);
const char *db_path(const Db *db);
/* Calls on db end with E_STOPPED soon after *stop is set (by a signal handler); stop may be NULL.  `mem`
 * bounds what all connections hold together, temporary tables included: 0 means three quarters of the
 * machine's memory. */
void db_watch(Db *db, volatile int *stop, size_t mem);

/* Table and view names, in name order, without sqlite_%; in the arena. */
Code db_tables(Db *db, Arena *a, const char ***names, int *n, Err *e);
bool db_has(Db *db, const char *table);                         /* ASCII case ignored */
/* Columns of a table with resolved types (typeless ones by what they hold), whether a NULL is stored, ranges
 * of integers and the number of rows; t->exists false if there is none.  Every row is looked at. */
Code db_describe(Db *db, const char *table, CatTable *t, Arena *a, Err *e);
/* Read a table whole: all columns, sorted (table_sort).  A packed view (sqlgrad_packed) is read from its
 * bytes into product rows.  `where`: an SQL condition or NULL.  The caller frees *out. */
Code db_read(Db *db, const char *table, const char *where, Table *out, Err *e);
/* Run statements; run one query and return its rows unsorted, its columns typed by what they hold (nothing: REAL). */
Code db_exec(Db *db, Err *e, const char *sql);
Code db_query(Db *db, const char *sql, Table *out, Err *e);
/* One statement that is run many times, closed before its database; `row` (or NULL): whether it gave one. */
Code db_prepare(Db *db, const char *sql, Stmt **out, Err *e);
Code db_rerun(Db *db, Stmt *st, bool *row, Err *e);
void db_finish(Stmt *st);                                       /* NULL: nothing */
Code db_begin(Db *db, Err *e);                                  /* BEGIN IMMEDIATE */
Code db_commit(Db *db, Err *e);
void db_rollback(Db *db);
/* Create a table with the columns of t and insert its rows; `replace` drops an existing one.  SQLite has no
 * NaN and no -0.0: they are stored as NULL and 0.0. */
Code db_create(Db *db, const char *table, const Table *t, bool replace, Err *e);
Code db_append(Db *db, const char *table, const Table *t, Err *e);
/* UPDATE the value (REAL) columns of an existing table by its other columns, keeping all constraints; every row
 * of t must meet exactly one row of the table.  Rows of the table that t does not have stay as they are. */
Code db_update(Db *db, const char *table, const Table *t, Err *e);
/* Drop a table or view, a packed one with all that stands behind it; not there: nothing happens. */
Code db_drop(Db *db, const char *table, Err *e);

/* A packed view (image, dim…, val): one blob of bytes an image behind an ordinary view that any SQLite decodes;
 * val = map[byte].  The tables behind it are described in packed.c. */
typedef struct DbPack {
    const char *view;
    const char *dim[4]; int size[4]; int n_dims;    /* inner keys, outermost first: channel, r, c; each from 0 */
    const double *map;                              /* 256 values, none NaN */
} DbPack;

Code db_pack_create(Db *db, const DbPack *p, Err *e);
/* Before images are added to an existing view: an error unless it is packed with just these sizes and values;
 * *next is one more than its largest image. */
Code db_pack_match(Db *db, const DbPack *p, int64_t *next, Err *e);
/* Add n images, first, first + 1, …, each the product of the sizes bytes long, `stride` bytes apart. */
Code db_pack_append(Db *db, const DbPack *p, int64_t first, const uint8_t *px, size_t n, size_t stride, Err *e);
#endif
