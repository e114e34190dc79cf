/* SPDX-License-Identifier: Apache-2.0
 *
 * bind.h - what the files of the front share.  scan.c: statements and directives.  directive.c: `-- @…`
 * words.  declare.c: CREATE TABLE (…), CHECK, shapes.  bind.c: statements to blocks in order, tables by
 * name.  query.c: one SELECT to blocks.  expr.c: scalar expressions.  rewrite files: see query.c. */
#ifndef SG_BIND_H
#define SG_BIND_H

#include "front/front.h"

struct PgQuery__Node; struct PgQuery__SelectStmt; struct PgQuery__CreateStmt; struct PgQuery__ParseResult;

typedef enum DirWord {
    DIR_data, DIR_param, DIR_range, DIR_set, DIR_loss, DIR_metric, DIR_once, DIR_detach, DIR_train, DIR_eval,
    DIR_minimize, DIR_maximize, DIR_noise, DIR_update, DIR_for, DIR_end, DIR_include
} DirWord;

typedef struct DirArg { const char *name; const char *text; Span at; } DirArg;     /* name NULL: positional */
typedef struct Directive { DirWord word; Span at; const char *rest; Span rest_at; DirArg *arg; int n_args; } Directive;

typedef struct Stmt {
    Span at;                            /* whole statement in the file */
    const char *text;                   /* rewritten text given to the parser; byte i stands at at.off + i */
    Directive *dir; int n_dirs;         /* those that stand before it */
    struct PgQuery__ParseResult *tree;  /* NULL: did not parse (error recorded) */
    const char *name; Span name_at;     /* the table it defines or fills, in the user's spelling */
    bool quoted;
} Stmt;

struct Scan {
    Compile *c; int file;
    Stmt *stmt; int n_stmts;
    Directive *free_dir; int n_free;    /* directives after the last statement, and @set/@minimize wherever they stand */
    const char **set_name; double *set_val; int n_sets;     /* @set, in order */
};

typedef struct Binder {
    Compile *c;
    Prog *p;
    const Catalog *cat;
    Scan *scan;
    const FrontOpts *o;
    Stmt *stmt;                         /* being bound */
    Mode mode;                          /* of the item being bound */
    int n_gen;                          /* counter behind generated names */
} Binder;

/* Position of a libpg_query location (bytes into stmt->text; -1: the whole statement) of `len` bytes
 * (0: the token that starts there). */
Span bind_span(const Binder *b, int location, int len);
/* The identifier at a location in the user's own spelling (libpg_query folds case). */
const char *bind_spelling(const Binder *b, int location, const char *folded);

/* bind.c: the relation a name stands for, in the mode being bound: defined earlier in the file, or a
 * base block made from the declaration and the catalog.  Fails with the nearest name. */
Block *bind_table(Binder *b, const char *schema, const char *name, Span at);
/* bind.c: the value of :name at a location ($0…n in the tree), or an error. */
Expr *bind_param_ref(Binder *b, int location);

/* query.c: the block(s) of a query; the last one is returned and named `name` (NULL: generated).  Its
 * visible columns are the query's; hidden ones are added later by prog_analyse. */
Block *bind_query(Binder *b, const struct PgQuery__SelectStmt *q, const char *name, Span name_at);
/* expr.c: a CHECK or other expression over one relation, source 0. */
Expr *bind_expr_over(Binder *b, Block *rel, const struct PgQuery__Node *n);
#endif
