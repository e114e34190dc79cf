/* SPDX-License-Identifier: Apache-2.0
 *
 * ir.h - query blocks, the one intermediate form.
 *
 * A program is a list of blocks in definition order, without loops: the front repeats what stands in one, each
 * step a block of its own, and engines share what equal blocks have in common.  A block defines one
 * relation from earlier ones.  Its printed form is canonical SQL (print.c), which the front reads back.
 *
 *   kind    relation                                                       columns
 *   base    a table of the database, a parameter, or driver data           declared
 *   row     SELECT exprs FROM sources WHERE where                          one expr each
 *   reduce  SELECT keys, aggregates … GROUP BY keys (none: exactly 1 row)  first n_keys are keys
 *   pick    the first `limit` joined rows of each group `part` by `order`  one expr each
 *   union   UNION ALL of parts, one source each                            see Block.part
 *
 * Rules every pass may rely on (ir_verify):
 *  - sources are earlier blocks; source 0 is never LEFT; a LEFT source has its ON in Source.on, which
 *    reads that source and earlier ones only; inner conditions stand in `where` as conjuncts.
 *  - expressions are typed trees; BETWEEN, AVG, windows, subqueries, EXISTS, bare columns, DISTINCT
 *    (a reduce without aggregates), HAVING (the `where` of a row block over the reduce) are gone.
 *  - arguments of numeric operators have one type; conversions INT to REAL are explicit (to_real).
 *  - a union's parts agree in column count and types. */
#ifndef SG_IR_H
#define SG_IR_H

#include "base/base.h"
#include "ir/ops.h"

typedef enum Type { T_NULL, T_BOOL, T_INT, T_TEXT, T_REAL } Type;    /* REAL: a value; else a key */
extern const char *const type_name[];                                /* "INTEGER", "REAL", … */

#include "ir/table.h"

typedef struct Expr Expr;
struct Expr {
    Op op;
    Type type;
    bool nullable;              /* may be SQL NULL */
    Span at;                    /* where the user wrote it; len 0 for generated ones */
    int src, col;               /* col: index into Block.src and that block's columns */
    int64_t i;                  /* lit_int */
    double r;                   /* lit_real */
    const char *s;              /* lit_text, var */
    int n_args;
    Expr **arg;
};

typedef struct Block Block;

typedef struct Col {
    const char *name;           /* unique in the block; generated names start with GEN_PREFIX */
    Span at;
    Expr *e;                    /* over Block.src; NULL: COUNT(*), or a column of a base or union block */
    Agg agg;                    /* reduce blocks, columns n_keys and up */
    Type type;
    bool nullable;
    bool hidden;                /* never shown or written: identity that the user's list leaves out, branch tags */
    bool active;                /* depends on a differentiated table (and is REAL): carries gradient */
    bool dynamic;               /* depends on a value that changes from step to step though it is a key or row set */
    const Expr *constant;       /* a key that is this literal in every row; or NULL */
} Col;

typedef struct Source {
    Block *rel;
    const char *alias;          /* unique in the block */
    Join join;
    Expr **on; int n_on;        /* LEFT only: conjuncts */
    Span at;
} Source;

typedef struct Order { Expr *e; bool desc; } Order;

/* One branch of a union: column c of the union is e[c], over the one source `src` (index in Block.src).  Unions may share
 * e: what says something else from then on is another array. */
typedef struct Part { int src; Expr **e; } Part;

typedef enum BlockKind { BLK_base, BLK_row, BLK_reduce, BLK_pick, BLK_union } BlockKind;
extern const char *const block_kind_name[];

/* What a base block is filled from. */
typedef enum BaseRole {
    BASE_none,                  /* not a base block */
    BASE_db,                    /* a table or view of the database */
    BASE_param,                 /* @param declared with a shape: rows from the CHECKs, `shape` below */
    BASE_range,                 /* @range: key rows from the CHECKs */
    BASE_driver                 /* written by the driver: sqlgrad_step, optimizer state */
} BaseRole;

typedef enum Lifetime { LIFE_static, LIFE_batch, LIFE_step } Lifetime;
typedef enum Mode { MODE_always, MODE_train, MODE_eval } Mode;

/* The integer box or set that CHECK constraints allow for a declared table: all combinations of the
 * columns' values that satisfy `check` (expressions over source 0 = the table itself). */
typedef struct Shape {
    int n_cols;                 /* key columns, in declaration order: Block.col indexes in `col` */
    int *col;
    int64_t *lo, *hi;           /* inclusive hull found from BETWEEN, comparisons and IN; lo > hi: unknown */
    Expr **check; int n_checks; /* every CHECK conjunct, tested on each row of the hull */
} Shape;

/* How a parameter starts: init name and its numbers, e.g. {"uniform", {-0.1, 0.1}, 2}. */
typedef struct Init {
    const char *name;           /* zeros const uniform normal xavier_uniform … torch_default; NULL: none given */
    double arg[4]; int n_args;
    const char **in; int n_in;  /* in = (cols): the fan-in keys */
    const char *of;             /* torch_default(of = conv1_weight): the fan of another table */
    Span at;
} Init;

struct Block {
    int id;                     /* position in Prog.block; printed as a number nowhere but in dumps */
    BlockKind kind;
    const char *name;           /* as its definition spells it; generated names start with GEN_PREFIX */
    const char *schema;         /* of a base table, or NULL */
    Span at;                    /* the statement; name_at the table's name in it */
    Span name_at;
    const char *table;          /* of what a loop makes: the table that it is an earlier version or a slice of; else NULL */
    Source *src; int n_src;
    Expr **where; int n_where;  /* conjuncts */
    Col *col; int n_cols;
    int n_keys;                 /* reduce */
    Expr **part_key; int n_part;/* pick: PARTITION BY */
    Order *order; int n_order;  /* pick: then ties by the sources' identities, in FROM order */
    int64_t limit;              /* pick */
    Part *part; int n_parts;    /* union */
    int *id_col; int n_id;      /* identity: columns on which the rows are unique; none and one_row: one row */
    bool id_fixed;              /* the identity was set by who made the block (grad): not derived again */
    bool one_row;               /* at most one row: a reduce without keys (exactly one) or what follows from it */
    bool bag;                   /* a base table whose keys repeat: its identity is the hidden row number, the last column */
    Lifetime life;
    Mode mode;
    bool ordered;               /* sources stand in the order in which a SQL host should join them (pass_sqljoin) */
    bool dynamic_rows;          /* which rows exist depends on values that change from step to step */
    bool batched;               /* depends on rows of a @data table that has batch keys */
    bool batch_local;           /* batched, and carries the batch key from every batched source by equality, in batch_col */
    int batch_col[4]; int n_batch_cols;
    BaseRole role;
    const struct CatTable *cat; /* base: what is known of its data, or NULL */
    Shape *shape;               /* base tables declared with CHECKs, or NULL */
    Init *init;                 /* parameters */
    bool is_param, is_data, is_loss, is_metric, is_once, is_detached, frozen, no_decay;
    bool is_view, is_temp;      /* said CREATE VIEW / TEMP */
    bool is_version;            /* the slices that INSERTs had added to a table when this was read */
    bool user;                  /* defined or named by the user; else made by the front or a pass */
    Block *rows_from;           /* `@param` before CREATE TABLE … AS SELECT: the query, a static block of the same visible
                                 * columns, evaluated over whole tables by the driver when the parameter is absent; it
                                 * gives the rows and, without `init`, the first values.  Not a source: passes that keep
                                 * the parameter keep it.  Printed as one statement: the directive, then the query. */
    const char *filled;         /* base: who runs the script fills it before every step, with this; or NULL */
    const char **batch_key; int n_batch; bool batch_rows;   /* @data(batch = …) */
    const Block *grad_of;       /* the block whose gradient this is, which may be no part of the program any more; or NULL */
    Block *updates;             /* `@update T`: after a training step these rows replace T's values; else NULL */
    const char *why;            /* gradient blocks: which proof let a source be left out, for explain; or NULL */
};

typedef struct OptArg { const char *name; double val; } OptArg;

/* Bounds that the values of an optimised table are put back into after each step. */
typedef struct Clamp { bool on; double lo, hi; } Clamp;

/* -- @minimize LOSS over P, Q clamp(0, 1) using adam(lr = 1e-3).  Several run in lockstep: all gradients of a step
 * are taken at the same values, then all updates are assigned. */
typedef struct Objective {
    Block *loss;
    Block **over; Clamp *clamp; int n_over;
    bool maximize;
    const char *optimizer;      /* NULL: none given */
    OptArg *arg; int n_args;
    const char *lr;             /* learning-rate expression as text, or NULL */
    Span at;
} Objective;

/* After a step, `target` (base) takes the rows of `from`: column target.col[i] gets from.col[from_col[i]];
 * rows are matched on target's identity.  Optimizer updates, state, @update. */
typedef struct Assign { Block *target, *from; int *to_col, *from_col; int n_cols; } Assign;

/* A named result that the driver asks for: gradient of a table, clipped norm … */
typedef struct GradOf { Block *table, *grad; } GradOf;      /* grad: all of table's rows, d per value column */

/* A loop of the text: its variable, the bounds of its first run, and what stands in it. */
typedef struct Repeat { const char *var; int64_t lo, hi; Span first, last; int up; } Repeat;

typedef struct Prog {
    Compile *c;
    Block **block; int n_blocks;                    /* in definition order; the front has unrolled loops */
    Objective *obj; int n_obj;
    Assign *assign; int n_assigns;
    Assign *start; int n_starts;                    /* scripts: a target that is missing or empty starts with from's rows */
    GradOf *grad; int n_grads;                      /* made by pass_grad, in the order of `wrt` */
    const char *path;
    Repeat *repeat; int n_repeats;                  /* the loops that stood in the text, each before those in it */
    Map stems, generated;                           /* of generated names: to the last number given; all of them */
} Prog;

#define GEN_PREFIX "_sg_"       /* no user table or column may start with it */
#define NOISE_TABLE GEN_PREFIX "noise"      /* the driver's one row of seed and step, from which `draw` draws */

/* ---- build.c ---- */

Expr *ex_new(Arena *a, Op op, Type t, int n_args, Expr **args);     /* args copied; nullable from the arguments' */
Expr *ex1(Arena *a, Op op, Expr *x);                                /* type derived by ex_type */
Expr *ex2(Arena *a, Op op, Expr *x, Expr *y);
Expr *ex_exprs(Arena *a, Op op, Expr **arg, int n);
Expr *ex_int(Arena *a, int64_t i);
Expr *ex_real(Arena *a, double r);
Expr *ex_text(Arena *a, const char *s);
Expr *ex_null(Arena *a, Type t);
Expr *ex_col(Arena *a, const Block *b, int src, int col);           /* type, nullable from the source (LEFT: nullable) */
Expr *ex_real_of(Arena *a, Expr *e);                                /* e, wrapped in to_real if it is not REAL */
bool  ex_equal(const Expr *x, const Expr *y);                       /* structurally; positions ignored */
bool  ex_is_real(const Expr *e, double v);                          /* the literal v */
/* A copy of e with every `col` replaced by sub(arg, col expr); NULL keeps it. */
Expr *ex_map(Arena *a, const Expr *e, Expr *(*sub)(void *arg, const Expr *col), void *arg);
Expr *ex_copy(Arena *a, const Expr *e);
bool  ex_any(const Expr *e, bool (*test)(void *arg, const Expr *e), void *arg);
uint64_t ex_sources(const Expr *e);                                 /* bit set of the sources read (src < 64) */
bool  ex_may_null(const Expr *e);                                   /* recomputed from the arguments */

Block *blk_new(Prog *p, BlockKind kind, const char *name);          /* appended to p->block, id set */
int    blk_add_source(Prog *p, Block *b, Block *rel, Join join, const char *alias);  /* alias NULL: made unique */
int    blk_add_col(Prog *p, Block *b, const char *name, Expr *e, Agg agg);           /* name NULL: generated */
void   blk_add_where(Prog *p, Block *b, Expr *e);                   /* splits AND */
void   blk_add_on(Prog *p, Block *b, int src, Expr *e);
void   blk_own_parts(Prog *p, Block *b);                            /* of a union: sources and parts, if they were shared */
void   blk_set_id(Prog *p, Block *b, const int *col, int n);
void   blk_each_expr(Block *b, void (*fn)(void *arg, Expr **e), void *arg);      /* every expression it has */
int    blk_find_col(const Block *b, const char *name);              /* exact; -1 */
const char *blk_shown(Prog *p, const Block *b);                     /* its name for messages: not one that was generated */
#define MAX_NAME 63             /* bytes: PostgreSQL's parser cuts longer names */
const char *name_fit(Arena *a, const char *prefix, const char *stem, const char *suffix);   /* the stem cut, if need be */
const char *prog_unique_name(Prog *p, const char *stem);            /* GEN_PREFIX + stem + number */
bool   prog_claim_name(Prog *p, const char *name);                  /* a generated one; false: it is taken */
Block *prog_find(const Prog *p, const char *name, Mode mode);       /* ASCII case ignored; NULL */
bool   prog_has(const Prog *p, const Block *b);                     /* by its id */
bool   col_is_id(const Block *b, int col);
void   blk_mark(bool *marked, const Block *b);                      /* b and all it reads, by Block.id */
/* The program's blocks from now on, some of those it has in any order; ids follow. */
void   prog_set_blocks(Prog *p, Block *const *block, int n);
void   prog_move_before(Prog *p, Block *b, const Block *ref);       /* in p->block; ids follow */

/* Fill derived facts, in block order: nullable of columns, identity (adding hidden columns where the
 * visible ones do not hold it), one_row, life, dynamic.  Called after bind and after each pass. */
void   prog_analyse(Prog *p);
void   prog_analyse_one(Prog *p, Block *b);         /* of one new block, so that what reads it may rely on them at once */
/* The same for activity: forward from `wrt`.  Marks Col.active. */
void   prog_activity(Prog *p, Block *const *wrt, int n_wrt);

/* ---- algebra.c ---- */

/* Closure algebra over a block's columns: which expressions over the sources follow from known ones. */
typedef struct Known Known;
Known *known_new(Arena *a, const Block *b);
void known_add_expr(Known *k, const Expr *e);           /* the value of e is known */
void known_add_source(Known *k, int src);               /* all of the source's columns */
void known_close(Known *k);                             /* follow equalities and identities */
bool known_has_expr(const Known *k, const Expr *e);
bool known_has_source(const Known *k, int src);
/* e written in what is known (a column solved from an equality), or NULL. */
Expr *known_write(const Known *k, const Expr *e);
/* An equality of integers as `column of source src = the rest`, if it is linear with that one column of
 * src, of coefficient 1 or -1; or NULL. */
Expr *equality_solved(const Prog *p, const Block *b, const Expr *eq, int src);

/* ---- constant.c: keys that are one literal in every row ---- */

typedef struct Consts Consts;
Consts *consts_new(Arena *a, const Block *b);           /* from the sources' columns; nothing of a LEFT source */
const Expr *consts_of(const Consts *k, int src, int col);   /* what is known of a column; or NULL */
void consts_set(Consts *k, int src, int col, const Expr *literal);
void consts_follow(Consts *k);                          /* over the equalities of WHERE */
const Expr *consts_literal(const Consts *k, const Expr *e);     /* the INTEGER or TEXT that e is in every row; or NULL */
bool consts_never(const Consts *k, Expr *const *cond, int n);   /* one of the conditions is never true */
void analyse_constants(Prog *p, Block *b);              /* fills Col.constant; part of prog_analyse */

/* ---- narrow.c: only those parts of a UNION ALL are read that can answer ---- */

/* The same parts of the same union are asked for by several blocks of a step. */
typedef struct Cut Cut;
typedef struct Cuts { Cut *cut; int n; } Cuts;
/* In the blocks from number `first` on, which need Col.constant; `versions`: of tables that INSERTs add to, and facts
 * follow at once. */
void prog_narrow(Prog *p, int first, bool versions, Cuts *cuts);
/* Drop versions of a table that a loop has gone past and nobody reads: there may be as many as steps. */
void prog_drop_passed(Prog *p);

/* ---- print.c: canonical SQL, and other dialects through the same code ---- */

typedef struct Dialect {
    const char *name;
    const char *real, *integer, *text;      /* type names */
    const char *ln, *max, *min;             /* "LN", "MAX" or "GREATEST", … */
    const char *idiv;                       /* "/" or "//" */
    const char *same, *differ;              /* "IS NOT DISTINCT FROM" … */
    bool guard_ieee;                        /* print guarded forms where the engine gives NULL or an error for x/0, LN(0), … */
    bool cross_join_order;                  /* CROSS JOIN fixes the join order (SQLite) */
    bool temp_prefix;                       /* temporary tables are written temp."x" */
    bool script;                            /* names always quoted; base tables under their plain names */
    bool sign_is_int;                       /* SIGN of a REAL gives an INTEGER: cast it */
    bool round_binary;                      /* ROUND(x, n) as ROUND(x * 10^n) / 10^n, as eval.c has it */
} Dialect;

extern const Dialect dialect_canonical;

/* sign.c: what values of e, an expression over b's sources, can be (never NULL or NaN: those are not asked
 * about).  SIGN_far: |e| >= 1.  Proofs are cheap and may say SIGN_any. */
enum { SIGN_neg = 1, SIGN_zero = 2, SIGN_pos = 4, SIGN_any = 7, SIGN_far = 8 };
unsigned ex_signs(const Block *b, const Expr *e);
/* Whether e, over finite columns, can be infinite or NaN. */
enum { RISK_inf = 1, RISK_nan = 2 };
unsigned ex_risk(const Block *b, const Expr *e);

void print_name(Buf *out, const char *name, const Dialect *d);      /* quoted where needed */
void print_comment(Buf *out, const char *text);                     /* inside `--`: no line ends */
void print_expr(Buf *out, const Block *b, const Expr *e, const Dialect *d);
void print_select(Buf *out, const Block *b, const Dialect *d, const char *indent);  /* the SELECT of a block */
void print_block(Buf *out, const Block *b, const Dialect *d);       /* CREATE TABLE name AS SELECT …; */
/* dump.c.  The whole program: directives, declarations of base tables, blocks.  `facts`: with a comment above each
 * block that shows kind, identity, lifetime and each column's type, active, dynamic, nullable. */
void print_prog(Buf *out, const Prog *p, const Dialect *d, bool facts);

/* ---- eval.c ---- */

/* Evaluate an expression of literals, and of columns that `get` supplies (NULL: none), in double
 * precision with SQL's NULLs; for learning rates, --as, CHECKs and folding. */
typedef struct Value { Type type; bool null; int64_t i; double r; const char *s; } Value;
Value ex_eval(const Expr *e, Value (*get)(void *arg, const Expr *col), void *arg);

/* ---- facts.c ---- */

/* Sort the rows of a plain table by its key columns (NULL first, texts by bytes), then by its values, so
 * that physical order never matters; and fill t's facts: types, nullable, ranges, unique, dup_a. */
void table_sort(Table *t);
void table_facts(const Table *t, CatTable *out, Arena *a);      /* t sorted */

/* ---- verify.c ---- */

/* BUG()s, naming `after`, if an invariant of this header does not hold. */
void ir_verify(const Prog *p, const char *after);

#endif
