/* SPDX-License-Identifier: Apache-2.0
 *
 * bind.h - what the files of the front share.  lex.c: tokens.  scan.c: statements, rewrites.  parse.c:
 * libpg_query, syntax errors, tables read.  directive.c: `-- @…` words.  declare.c: CREATE TABLE (…),
 * CHECK, shapes.  bind.c: statements to blocks, tables by name; insert.c: INSERT INTO; repeat.c: loops; noise.c: @noise.
 * query.c: one SELECT to blocks.  expr.c: scalar expressions.  The other files of queries: see query.h. */
#ifndef SG_BIND_H
#define SG_BIND_H

#include "front/front.h"

struct PgQuery__Node; struct PgQuery__SelectStmt; struct PgQuery__CreateStmt; struct PgQuery__ParseResult;
struct PgQuery__TypeName;

typedef enum DirWord {
    DIR_data, DIR_param, DIR_range, DIR_set, DIR_loss, DIR_metric, DIR_once, DIR_detach, DIR_train, DIR_eval,
    DIR_minimize, DIR_maximize, DIR_noise, DIR_update, DIR_for, DIR_end, DIR_include
} DirWord;

typedef struct DirArg { const char *name; const char *text; Span at; } DirArg;     /* name NULL: positional */
typedef struct Directive { DirWord word; Span at; const char *rest; Span rest_at; DirArg *arg; int n_args; } Directive;

/* ---- lex.c: tokens of the source text ---- */

typedef enum TokKind {
    TOK_end, TOK_space, TOK_comment, TOK_word, TOK_quoted, TOK_string, TOK_number, TOK_var, TOK_punct,
    TOK_dollar,                         /* $$…, $1: not part of the language */
    TOK_open                            /* a quote or comment that is not closed */
} TokKind;
typedef struct Tok { TokKind kind; size_t off, len; } Tok;

/* The token that starts at s[i], of a text of n bytes; `lex_solid` skips blanks and comments first. */
Tok lex(const char *s, size_t n, size_t i);
Tok lex_solid(const char *s, size_t n, size_t i);
/* The name a word or quoted token stands for, in the user's spelling. */
char *lex_name(Arena *a, const char *s, Tok t);
bool lex_is(const char *s, Tok t, const char *word);    /* a word, ASCII case ignored */
int  lex_shown(const char *s, Tok t);                   /* bytes of it that a message shows: whole characters, 40 at most */

/* declare: CREATE TABLE (…).  query: CREATE TABLE|VIEW AS.  insert: INSERT INTO. */
typedef enum StmtKind { STMT_none, STMT_declare, STMT_query, STMT_insert } StmtKind;
#define MAX_ERRORS 100          /* of one scan; what follows is not reported */
#define MODEL_STATEMENTS                                                                           \
    "CREATE TABLE … AS SELECT, CREATE TABLE (…), CREATE VIEW … AS SELECT, INSERT INTO … SELECT"

typedef struct Stmt {
    Span at;                            /* whole statement in the file */
    const char *text;                   /* rewritten text given to the parser; byte i stands at at.off + i */
    Directive *dir; int n_dirs;         /* those that stand before it */
    struct PgQuery__ParseResult *tree;  /* NULL: did not parse (error recorded) */
    StmtKind kind;                      /* STMT_none: did not parse */
    bool unreadable;                    /* an error was found before the parser: it is not parsed */
    bool failed;                        /* an error about it is recorded: it is not bound, its readers stay silent */
    const char *name; Span name_at;     /* the table it defines or fills, in the user's spelling */
    bool quoted;
    struct Read *read; int n_reads;     /* the tables it reads, in order of mention, CTEs left out */
} Stmt;

/* A table that a statement reads; name as libpg_query gives it. */
typedef struct Read { const char *schema, *name; int location; } Read;

/* -- @for VAR = LO .. HI  statements [first, end)  -- @end */
typedef struct ScanLoop {
    Directive head;
    int first, end;                     /* end -1: not closed yet */
    int up;                             /* the loop it stands in, -1: none */
    bool failed;                        /* an error about its head is recorded */
    int repeat;                         /* its number among Prog.repeat, from 1; 0: not bound yet */
} ScanLoop;

struct Scan {
    Compile *c; int file;
    Stmt *stmt; int n_stmts;
    ScanLoop *loop; int n_loops;        /* in the order of their @for */
    bool expr;                          /* one expression, see scan_expr */
    Scan *next;                         /* of the same compilation: trees are freed together */
    bool canonical;                     /* the text is a dump: its first line says so, names with GEN_PREFIX are allowed */
    Directive *free_dir; int n_free;    /* directives after the last statement, and @set/@minimize wherever they stand */
    const char **set_name; double *set_val; int n_sets;     /* @set, in order */
    bool *set_real;                     /* written with a point or exponent: stays REAL though integral */
    const char **var; int n_vars;       /* every :name of the text, once */
};

typedef struct Defs Defs;           /* bind.c: tables by name */

typedef struct Binder {
    Compile *c;
    Prog *p;
    const Catalog *cat;
    Scan *scan;
    const FrontOpts *o;
    Stmt *stmt;                         /* being bound */
    Mode mode;                          /* of the item being bound */
    int n_gen;                          /* counter behind generated names */
    Block **noise; int n_noise;         /* tables with @noise */
    const char **step_name; int64_t *step; int n_steps;         /* variables of the loops that are open, outermost first */
    int n_repeated;                     /* statements that loops were made into so far */
    struct LoopCall *loop_call;         /* the loop whose head is being read */
    Defs *defs;
    Cuts cuts;                          /* of versions, by what read them */
} Binder;

/* ---- scan stage, parse.c and directive.c ---- */

/* The scan of a text that is one expression: parsed as `SELECT text`, its positions count from the text. */
Scan *scan_expr(Compile *c, int file);
/* Parse every readable statement: fills tree, kind, read; records syntax errors. */
void parse_statements(Scan *s);
/* Read the directives of a comment, text[at.off] being the `@`; they are appended to *dir.  False: an
 * error was recorded. */
bool dir_read(Compile *c, Span at, Directive **dir, int *n);
/* The file that an @include names, or NULL: an error was recorded. */
const char *dir_include(Compile *c, const Directive *d);
const char *dir_word(DirWord w);
const Directive *dir_find(const Stmt *st, DirWord w);           /* NULL: none */
/* Every directive stands once, before a statement it fits; reads the @set numbers. */
void dir_check_places(Scan *s);
/* What @data, @param say about a block; the @minimize, once all blocks are bound. */
void dir_data(Binder *b, const Directive *d, Block *blk);
void dir_param(Binder *b, const Directive *d, Block *blk);
void dir_objective(Binder *b, const Directive *d);
/* What @noise says. */
typedef enum NoiseKind { NOISE_normal, NOISE_uniform, NOISE_bernoulli } NoiseKind;
typedef struct Noise { NoiseKind kind; double a, b; bool has_eval; double eval; } Noise;
Noise dir_noise(Binder *b, const Directive *d);
bool dir_is_objective(DirWord w);
/* @update T before blk, which is bound; and once identities are known, that its rows tell those of T apart. */
void dir_update(Binder *b, const Directive *d, Block *blk);
void dir_check_updates(Binder *b);
const char *dir_update_name(Compile *c, const Directive *d);    /* NULL: it names none */
/* The head of a loop: its variable and bounds, as the loops around it stand now. */
typedef struct LoopHead { const char *var; int64_t lo, hi; } LoopHead;
LoopHead dir_loop(Binder *b, const Directive *d);
/* The tables whose keys bound a loop: `(SELECT MAX(col) FROM table)`.  Fills *name, in the arena. */
int dir_loop_tables(Compile *c, const Directive *d, const char ***name);
/* The number behind `:name`, of a loop, --set or @set; false: there is none. */
bool bind_number(const Binder *b, const char *name, double *val, bool *real);

/* Leave the statement being bound; an error about it, or about what it reads, is recorded already. */
NORETURN void bind_give_up(Binder *b);
/* What is wrong with a new table or column name, or NULL: reserved prefix. */
const char *bind_bad_name(const Binder *b, const char *name);

/* ---- declare.c ---- */

typedef struct Decl Decl;
/* CREATE TABLE (…): columns, keys and CHECKs, not yet compared with any database. */
Decl *declare_read(Binder *b, const struct PgQuery__CreateStmt *n);
/* Its base block.  cat: what the database has, or NULL. */
Block *declare_block(Binder *b, const Decl *d, BaseRole role, const CatTable *cat);
/* A relation of its columns without rows: what INSERT INTO fills starts with. */
Block *declare_empty(Binder *b, const Decl *d);
/* The base block of a table that is only in the database. */
Block *declare_from_catalog(Binder *b, const CatTable *cat, const char *name, Span at);
/* A @range block of the keys alone, under another name; and column c as declared, false: there are fewer. */
Block *declare_keys(Binder *b, const Decl *d, const char *name);
bool declare_column(const Decl *d, int c, const char **name, Type *type, Span *at);
/* A column type; false: not supported. */
bool declare_type(const struct PgQuery__TypeName *t, Type *out);

/* libpg_query's headers are included through front/pg.h only.
 *
 * What the scan changed in Stmt.text, byte for byte: comments are blanks, `==` is `= `, and every `:name` is
 * `$0…01` of the same length: all parameters have number 1, bind_param_ref reads the name at the location.
 * Dollar quotes, E'…' and the like, names over 63 bytes, and trees nested deeper than 500 never arrive here.
 *
 * The next four are in bind.c. */

/* Position of a libpg_query location (bytes into stmt->text; -1: the whole statement) of `len` bytes
 * (0: the token that starts there). */
Span bind_span(const Binder *b, int location, int len);
/* The identifier at a location in the user's own spelling (libpg_query folds case). */
const char *bind_spelling(const Binder *b, int location, const char *folded);

/* The relation a name stands for, in the mode being bound: defined earlier in the file, or a
 * base block made from the declaration and the catalog.  `name` as libpg_query gives it (folded unless
 * quoted in the source at `at`).  Fails with the nearest name. */
Block *bind_table(Binder *b, const char *schema, const char *name, Span at);
/* The value of :name at a location ($0…n in the tree), or an error. */
Expr *bind_param_ref(Binder *b, int location);

/* ---- noise.c ---- */

/* A table with @noise over the rows of a query, or of a declaration's CHECKs. */
Block *noise_from_query(Binder *b, Block *rows, const Noise *n);
Block *noise_from_checks(Binder *b, const Decl *d, const Noise *n);
Block *noise_driver(Binder *b);
void noise_check_keys(Binder *b);       /* once identities are known */

/* query.c: the block(s) of a query; the last one is returned and named `name` (NULL: generated).  Its
 * visible columns are the query's; hidden ones are added later by prog_analyse. */
Block *bind_query(Binder *b, const struct PgQuery__SelectStmt *q, const char *name, Span name_at);
/* expr.c: a CHECK or other expression over one relation, source 0. */
Expr *bind_expr_over(Binder *b, Block *rel, const struct PgQuery__Node *n);
/* expr.c: an expression without tables, where an unqualified column name means resolve(arg, name in the
 * user's spelling); NULL from resolve is an error that lists the n_names `names`.  Aggregates, windows,
 * subqueries and qualified names are errors.  Called by front_expr (bind.c). */
Expr *bind_scalar(Binder *b, const struct PgQuery__Node *n, Expr *(*resolve)(void *arg, const char *name),
                  void *arg, const char *const *names, int n_names);
#endif
