/* SPDX-License-Identifier: Apache-2.0
 *
 * defs.h - tables by name, as the files that bind statements see them.  bind.c: names, CREATE, what must hold of the
 * whole.  insert.c: INSERT INTO, and the versions of a table.  repeat.c: statements in order, loops. */
#ifndef SG_DEFS_H
#define SG_DEFS_H

#include "front/bind.h"
#include "front/pg.h"

typedef enum DefState { DEF_waiting, DEF_done, DEF_failed } DefState;

/* A table the file defines or declares, or a base table that was asked for. */
typedef struct Def {
    Stmt *st;                       /* NULL: a base table known by the database only */
    const char *name;
    bool dropped;                   /* belongs to the other mode */
    bool needed;                    /* a target needs it */
    DefState state;
    Block *block;                   /* the newest version; NULL: its slices have not been put together yet */
    bool missing;                   /* declared, but the database has no such table */
    Stmt *insert;                   /* the first INSERT INTO it, or NULL */
    Block **slice; int n_slices;    /* what it was created with and what INSERTs added, in order */
    bool slice_tag;                 /* the parts of their union begin with the branch number */
    Source *slice_src; Part *slice_part; int n_slice_src, n_slice_parts;    /* of that union; versions share them */
    bool *rising; int n_rising;     /* by column: it is a greater number in each of the first n_rising slices */
} Def;

struct Defs {
    Def *def; int n;
    Map by_name; /* lower case, to 1 + the first of its definitions that is not dropped */
    int *of_stmt;                   /* statement to definition, -1: none */
};

/* ---- bind.c ---- */
Def *def_find(const Binder *b, const char *name);               /* ASCII case ignored; NULL */
Def *def_add(Binder *b, Def d);
bool def_is_bound(const Binder *b, const char *name);           /* by --bind */
const char *bind_line(Binder *b, Span at);                      /* "line 5" */
Mode stmt_mode(const Stmt *st);
void bind_check_schema(Binder *b, const PgQuery__RangeVar *r);
NORETURN void bind_fail_part(Binder *b, const char *what);      /* a clause that models do not have */
void bind_reads(Binder *b);                                     /* base blocks of what the statement reads, before its own */
void bind_stmt(Binder *b, Def *d);                              /* CREATE */
/* One statement under its own guard: an error in it ends here, and d has failed. */
void bind_guarded(Binder *b, Def *d, void (*fn)(Binder *b, Def *d));

/* ---- insert.c ---- */
Block *def_current(Binder *b, Def *d);                          /* the newest version, put together when it is first read */
void def_supersede(Binder *b, Block *old);                      /* it is no longer the newest */
void bind_insert(Binder *b, Def *d);
void def_part_versions(Binder *b);                              /* they share nothing from then on */

/* ---- repeat.c ---- */
bool stmt_in_loop(const Scan *s, int stmt);
void bind_check_repeated(Binder *b);                            /* what may not stand in a loop */
/* The statements first … end that stand in loop `up` itself (-1: none), and its inner loops where they stand. */
void bind_statements(Binder *b, int first, int end, int up);
#endif
