/* SPDX-License-Identifier: Apache-2.0
 *
 * db.h - databases behind one interface; one driver a file (sqlite.c).  All functions return a Code
 * and describe a failure in *e; messages name the file and the table. */
#ifndef SG_DB_H
#define SG_DB_H

#include "ir/ir.h"

typedef struct Db Db;
typedef enum DbMode { DB_READ, DB_WRITE, DB_CREATE } DbMode;    /* WRITE: must exist; CREATE: made if absent */

/* spec: an SQLite file, or later duckdb:FILE, postgres://…, trino://….  Hostile files are survivable:
 * defensive mode, untrusted schema, no extension loading. */
Code db_open(Db **out, const char *spec, DbMode mode, Err *e);
void db_close(Db *db);

/* Table and view names, in name order, without sqlite_%; in the arena. */
Code db_tables(Db *db, Arena *a, const char ***names, int *n, Err *e);
bool db_has(Db *db, const char *table);                         /* ASCII case ignored */
/* Columns of a table with resolved types (typeless ones by what they hold); t->exists false if there is none. */
Code db_describe(Db *db, const char *table, CatTable *t, Arena *a, Err *e);
/* Read a table whole: all columns, sorted (table_sort).  A packed view (sqlgrad_packed) is read from its
 * bytes into product rows.  `where`: an SQL condition or NULL.  The caller frees *out. */
Code db_read(Db *db, const char *table, const char *where, Table *out, Err *e);
/* Run statements; run a query and return its rows unsorted. */
Code db_exec(Db *db, Err *e, const char *sql);
Code db_query(Db *db, const char *sql, Table *out, Err *e);
Code db_begin(Db *db, Err *e);                                  /* BEGIN IMMEDIATE */
Code db_commit(Db *db, Err *e);
void db_rollback(Db *db);
/* Create a table with the columns of t and insert its rows; `replace` drops an existing one. */
Code db_create(Db *db, const char *table, const Table *t, bool replace, Err *e);
Code db_append(Db *db, const char *table, const Table *t, Err *e);
/* UPDATE the value columns of an existing table by key; every row must be met exactly once. */
Code db_update(Db *db, const char *table, const Table *t, Err *e);
#endif
