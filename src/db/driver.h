/* SPDX-License-Identifier: Apache-2.0
 *
 * driver.h - private to src/db: statements of one database, so that reading, writing and packing are
 * written without its library.  sqlite.c implements it. */
#ifndef SG_DRIVER_H
#define SG_DRIVER_H

#include "db/db.h"

typedef enum Store { STORE_null, STORE_int, STORE_real, STORE_text, STORE_blob } Store;

Code stmt_open(Db *db, Stmt **out, const char *sql, Err *e);        /* exactly one statement */
Code stmt_openf(Db *db, Stmt **out, Err *e, const char *fmt, ...) PRINTF(4, 5);
void stmt_close(Stmt *st);                                          /* NULL: nothing */
Code stmt_step(Db *db, Stmt *st, bool *row, Err *e);                /* *row false: no more rows */
Code stmt_run(Db *db, Stmt *st, Err *e);                            /* to its end, then ready to run again */

int stmt_n_cols(Stmt *st);
const char *stmt_name(Stmt *st, int col);
const char *stmt_decl(Stmt *st, int col);                           /* declared type, "" if there is none */
Store stmt_store(Stmt *st, int col);
int64_t stmt_int(Stmt *st, int col);
double stmt_real(Stmt *st, int col);
const char *stmt_text(Stmt *st, int col, size_t *len);              /* valid until the next step; NULL: no memory */
const uint8_t *stmt_blob(Stmt *st, int col, size_t *len);

/* Parameters count from 1; texts and blobs are not copied.  False: longer than the database takes. */
void stmt_bind_null(Stmt *st, int at);
void stmt_bind_int(Stmt *st, int at, int64_t i);
void stmt_bind_real(Stmt *st, int at, double r);
bool stmt_bind_text(Stmt *st, int at, const char *s, size_t len);
bool stmt_bind_blob(Stmt *st, int at, const void *p, size_t len);

/* What a name stands for in the database; texts in the arena. */
typedef struct DbObject {
    const char *name, *sql;         /* as spelled in the database */
    bool exists, is_view, is_virtual, is_temp;
} DbObject;

Code drv_find(Db *db, const char *name, DbObject *o, Arena *a, Err *e);
Code drv_exec(Db *db, Err *e, const char *fmt, ...) PRINTF(3, 4);
const char *drv_ident(Arena *a, const char *name);                  /* quoted */
bool drv_is_temp(const Db *db);                                     /* from db_open_temp */
int64_t drv_changes(const Db *db);                                  /* rows the last statement changed */
Type drv_decl_type(const char *decl);                               /* T_NULL: by what the column holds */
/* No table of the file can hold more payload than this; only a damaged one seems to. */
Code drv_n_bytes(Db *db, int64_t *n, Err *e);
Code drv_unchanged(Db *db, Err *e);                                 /* the file, if it was opened without locks */
/* Savepoints: what lies between is done whole or not at all, inside or outside a transaction. */
Code drv_save(Db *db, Err *e);
Code drv_release(Db *db, Code rc, Err *e);                          /* rc not OK: undone; returns the code */

/* ---- packed.c ---- */

/* The parts of a packed view, found in the database and checked; is_packed false: read it as any view. */
typedef struct Packed {
    bool is_packed;
    const char *view, *bytes, *pos, *map;       /* table names */
    int n_dims;
    const char *dim[4];
    int64_t *key[4];                            /* n_pos each, in key order */
    size_t n_pos;
    double val[256];
} Packed;

Code packed_find(Db *db, const char *table, Packed *p, Arena *a, Err *e);
Code packed_describe(Db *db, const Packed *p, CatTable *t, Arena *a, Err *e);
/* *done false: `where` does not speak of images alone, so the view must be read as any other. */
Code packed_read(Db *db, const Packed *p, const char *where, Table *out, bool *done, Err *e);
/* Drop what stands behind a packed view that is dropped or gone. */
Code packed_drop(Db *db, const char *view, Err *e);
#endif
