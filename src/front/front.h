/* SPDX-License-Identifier: Apache-2.0
 *
 * front.h - SQL text to blocks.  Three calls: scan finds statements and directives; tables tells which
 * names the database must be asked about; bind makes the program. */
#ifndef SG_FRONT_H
#define SG_FRONT_H

#include "ir/ir.h"

typedef struct Scan Scan;

/* Split file `file` of c into statements and directives; parse each statement with libpg_query.  Every
 * statement's syntax error is recorded (diag_error); the caller decides when to stop. */
Scan *front_scan(Compile *c, int file);

/* Names of all tables that statements read and no statement before them defines, and of all declared
 * ones: candidates for the database.  In order of first mention, spelled as written. */
int front_tables(Scan *s, const char ***names);

typedef struct FrontOpts {
    const char **set_name; const double *set_val; int n_sets;   /* --set NAME=NUMBER */
    const char **target; int n_targets;     /* bind only what these need; NULL: everything */
    const char **bound; int n_bound;        /* --bind names: a derived table listed here is a base table */
    bool plain;                             /* for hosts that cannot draw: a table with @noise is one that they fill */
    bool declared;                          /* nothing is evaluated: without a database, tables are as they are declared */
    bool eval;                              /* evaluation mode: @train items are dropped, else @eval items */
} FrontOpts;

/* Bind to a program: names, types, directives, every rewriting of design.md, prog_analyse at the end.
 * Errors are recorded one per statement at least, then diag_stop_if_any. */
Prog *front_bind(Compile *c, Scan *s, const Catalog *cat, const FrontOpts *o);

/* Bind one expression text (an optimizer's right-hand side, a learning rate, --as).  `resolve` gives the
 * expression of a column name, or NULL if there is none (an error that lists `names`).  `what` names
 * the text in messages, such as "--lr". */
Expr *front_expr(Compile *c, const char *what, const char *text,
                 Expr *(*resolve)(void *arg, const char *name), void *arg, const char *const *names, int n_names);

/* The table names in a command-line list: split at commas, "a,b" quoted. Returned in the arena. */
int front_list(Compile *c, const char *text, const char ***names);
#endif
