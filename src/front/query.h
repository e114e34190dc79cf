/* SPDX-License-Identifier: Apache-2.0
 *
 * query.h - one SELECT on its way to blocks; shared by the files that bind queries.
 *
 *   names.c     names as the user spells them, spans, lists for messages
 *   scope.c     which column a name means
 *   expr.c      scalar expressions; func.c: function calls
 *   from.c      FROM: tables, joins, WITH
 *   subquery.c  scalar subqueries, IN, EXISTS: sources of the block
 *   group.c     GROUP BY, aggregates, bare columns
 *   window.c    aggregates OVER, ROW_NUMBER
 *   setop.c     UNION, VALUES
 *   query.c     the stages in order, output columns, DISTINCT, ORDER BY … LIMIT
 *
 * A query collects its sources and conditions in a draft, a block that is not part of the program.
 * Expressions are bound over the draft; what a later stage must supply stands in them as a column of a
 * pretended source (SRC_…): an aggregate, a window, a column of the enclosing query, a row number.
 * Each stage moves the draft on and rewrites the expressions that are still waiting. */
#ifndef SG_QUERY_H
#define SG_QUERY_H

#include "front/bind.h"
#include "front/pg.h"

#include <string.h>

typedef PgQuery__Node Node;

enum {                          /* Expr.src of placeholders; Expr.col is the index named */
    SRC_AGG = 1 << 20,          /* Query.agg */
    SRC_WIN,                    /* Query.win */
    SRC_MEAN,                   /* Query.mean: the group's mean, inside an aggregate */
    SRC_OUTER,                  /* Query.outer_ref: an expression of the enclosing query */
    SRC_RANK                    /* Query.tab: the row number that an open pick would give */
};

enum { MAX_SOURCES = 60, MAX_COLS = 2000, MAX_KEYS = 200, MAX_NESTING = 500, MAX_QUERIES = 40, MAX_TREE = 200000 };

typedef struct Query Query;
typedef struct Cte Cte;

/* A name of WITH; blk NULL: bound anew at each use. */
struct Cte { Cte *next; const char *name; const PgQuery__CommonTableExpr *node; Cte *env; Block *blk; };

/* A pick whose limit an enclosing WHERE may set: `row_number <= k`.  col[] of the subquery are its
 * columns, rank_at is where ROW_NUMBER() stands among them. */
typedef struct Open { Block *pick; int rank_at; const char *name; bool hidden; } Open;

typedef struct TabCol { const char *name; Expr *e; bool hidden; } TabCol;
typedef struct Tab {            /* one name in FROM */
    const char *alias, *schema;
    TabCol *col; int n_cols;
    Block *rel;                 /* NULL: part of a nested join that became one block */
    Open *open;
    int src;                    /* of an open tab */
    Span at;
} Tab;

typedef struct VisCol { const char *name; Expr *e; Tab *tab; } VisCol;      /* tab NULL: merged by USING */
typedef struct Vis { VisCol *v; int n; } Vis;

typedef struct Out {
    const char *name;           /* NULL: not named by the user */
    bool named;                 /* by AS: may be meant in WHERE, GROUP BY … */
    const Node *node;           /* NULL: from a star */
    Expr *e;
    Span at;
} Out;

typedef struct AggUse { Agg fn; Expr *arg; bool distinct; } AggUse;          /* arg NULL: COUNT(*) */
typedef struct WinUse {
    Agg fn; Expr *arg;          /* fn AGG_none: ROW_NUMBER() */
    Expr **part; int n_part;
    Order *order; int n_order;
    Expr *now;                  /* what it became */
    Span at;
} WinUse;
/* An alias in GROUP BY that stands before an input column of its name. */
typedef struct Shadow { const char *name; Span at, name_at; } Shadow;
typedef struct Mean { Expr *arg, *now; } Mean;

typedef Expr *(*Resolve)(void *arg, const char *name);

struct Query {
    Binder *b;
    Arena *a;
    const PgQuery__SelectStmt *q;
    Query *outer;               /* the enclosing query, for correlated subqueries; NULL in FROM */
    Expr **outer_ref; int n_outer_refs;
    Cte *env;                   /* WITH names in scope, innermost first */
    int nesting;                /* of joins */
    const char *stem;           /* of generated names */

    Block *d;                   /* the draft */
    bool *optional;             /* per source of the first draft: added by a subquery, free to leave */
    Tab **tab; int n_tabs;
    Vis vis;                    /* what an unqualified name may mean */
    Resolve resolve; void *resolve_arg;             /* instead, for bind_scalar */
    const char *const *resolve_name; int n_resolve_names;

    Out *out; int n_outs;
    Expr **key; int n_keys;     /* GROUP BY */
    AggUse *agg; int n_aggs;
    Mean *mean; int n_means;
    WinUse *win; int n_wins;
    Expr *having;
    Order *order; int n_order;
    bool grouped, distinct, was_distinct, has_limit;
    Shadow *shadow; int n_shadows;
    int64_t limit;
    bool collected;
    int *renumber;              /* group.c: sources after pruning */
    int level;                  /* of nested queries */
    Block *own_pick;            /* made by a subquery of FROM for this query only */
    int open_win;               /* the ROW_NUMBER() that an enclosing WHERE may limit, or -1 */
};

/* What an expression may hold where it stands. */
typedef struct Ctx {
    Query *q;
    const char *clause;         /* for messages: "WHERE" */
    bool aggs, windows, subqueries;
    bool alias_first;           /* HAVING, ORDER BY */
    bool alias_last;            /* WHERE */
    bool in_agg;
    int depth;
} Ctx;

/* ---- names.c ---- */
typedef struct Ident { const char *text; bool quoted; Span at; } Ident;
int   name_path(Query *q, int location, Ident *out, int max);      /* the names of a.b.c at a location */
bool  name_is(const char *def, const Ident *want);
Ident name_anywhere(Query *q, int from, const char *folded);       /* first identifier that folds to it */
Ident name_alias(Query *q, int location, const char *folded);      /* of `expr AS name` that starts at location */
Span  span_join(Span x, Span y);
Span  span_call(Query *q, int location);                           /* name(…) */
Span  span_case(Query *q, int location);                           /* CASE … END */
Span  node_span(Query *q, const Node *n);
const char *list_names(Arena *a, const char *const *name, int n);  /* "a, b, c", cut when long */
const char *src_text(Query *q, Span at);                           /* the user's text, on one line, cut */
const char *node_string(const Node *n);                            /* of a String node, or NULL */
bool  reserved_name(Query *q, const char *name);
const char *fresh_name(Query *q);

/* ---- scope.c ---- */
Tab  *scope_add_tab(Query *q, Tab *t);
Tab  *scope_tab_of(Query *q, Block *rel, int src, const char *alias, Span at);
void  vis_add_tab(Query *q, Vis *v, Tab *t);
void  vis_cat(Query *q, Vis *v, const Vis *w);
Expr *scope_column(Ctx *x, const PgQuery__ColumnRef *r);
Tab  *scope_find_tab(Query *q, const Ident *want);
NORETURN void scope_fail_table(Query *q, const Ident *want);
Out  *scope_alias(Query *q, const Ident *want);

/* ---- expr.c ---- */
Expr *expr_bind(Ctx *x, const Node *n);
Expr *expr_cond(Ctx *x, const Node *n);                            /* must be a condition */
Expr *expr_placeholder(Query *q, int src, int col, Type t, bool nullable, Span at);
Expr *expr_junction(Query *q, Op op, Expr *const *arg, int n);     /* AND, OR */
Expr *expr_true(Arena *a);
Expr *expr_false(Arena *a);
Expr *expr_compare(Query *q, Op op, Expr *x, Expr *y, Span at);
Expr *expr_num(Query *q, Expr *e, const char *what);               /* BOOL becomes INT; TEXT is an error */
Expr *expr_plain(Arena *a, Expr *e);                               /* BOOL becomes INT */
Expr *expr_mix(Query *q, Op op, Expr **arg, int n, const char *what, Span at);
Expr *expr_convert(Arena *a, Expr *e, Type t);
bool  expr_reads(const Expr *e, int src);                          /* a placeholder kind */
bool  expr_reads_one(const Expr *e, int src, int col);             /* one placeholder */
bool  expr_reads_rows(const Expr *e);                              /* a column of the draft */
void  expr_share(Query *q, const Expr *e, int times);              /* fails if e is too large to repeat */
Expr *expr_at(Expr *e, Span at);
bool  expr_int_literal(Query *q, const Node *n, int64_t *out);

/* Copy e top down; fn gives a replacement for a node, or NULL to go on inside. */
typedef Expr *(*Rewrite)(void *arg, const Expr *e);
Expr *expr_rewrite(Arena *a, const Expr *e, Rewrite fn, void *arg);
Expr *expr_copy(Arena *a, const Expr *e);                          /* deep */
Expr *expr_over_source(Arena *a, const Expr *e, int src);          /* all its columns from source src */
Expr *expr_col_at(Arena *a, const Expr *col, int src, int c);      /* the column node, moved */

/* ---- func.c ---- */
Expr *func_call(Ctx *x, const PgQuery__FuncCall *f);
Expr *func_minmax(Ctx *x, const PgQuery__MinMaxExpr *m);
bool  func_node_aggregates(const Node *n);                         /* holds an aggregate or a window */

/* ---- from.c ---- */
void  from_bind(Query *q);
void  from_with(Query *q, const PgQuery__WithClause *w);
int   from_add_source(Query *q, Block *rel, Join join, const char *alias, Span at, bool optional);
bool  rel_one_row(const Block *b);                                 /* exactly one row, whatever the data */
void  from_copy(Query *q, Block *to);                              /* the draft's sources and conditions, copied */

/* ---- subquery.c ---- */
Expr *subquery_bind(Ctx *x, const PgQuery__SubLink *s, bool negated);
void  subquery_conjunct(Ctx *x, const Node *n);                    /* one conjunct of WHERE */

/* ---- group.c ---- */
void  group_keys(Query *q);
void  group_constants(Query *q);
int   group_add_agg(Query *q, Agg fn, Expr *arg, bool distinct);
void  group_stage(Query *q, Block **direct, const char *name);
Expr *group_key_equal(Query *q, Expr *x, Expr *y);                 /* null-safe where it must be */

/* ---- window.c ---- */
WinUse window_spec(Ctx *x, const PgQuery__FuncCall *f);            /* partition and order of OVER (…) */
Expr *window_call(Ctx *x, const PgQuery__FuncCall *f, const char *name);
void  window_stage(Query *q);
void  rank_absorb(Query *q);                                       /* limits of open picks; other uses */
Expr *rank_join(Query *q, int src, Expr **part, int n_part, const Order *order, int n_order);
Order *order_list(Ctx *x, PgQuery__Node **sort, size_t n, int *n_out);

/* ---- setop.c ---- */
Block *setop_bind(Query *q, const char *name);
Block *values_bind(Query *q, const char *name);

/* ---- query.c ---- */
Query *query_new(Query *outer, Binder *b, const PgQuery__SelectStmt *s);
void  query_collect(Query *q);                                     /* clauses bound, nothing rewritten */
void  query_settle(Query *q, const char *name, Block **direct);    /* groups and windows done */
Block *query_finish(Query *q, const char *name);
Block *query_block(Query *q, const char *name);
Open *query_open(Query *q, Block **closed);                        /* FROM subquery: open pick, or NULL and a block */
Block *query_new_block(Query *q, BlockKind kind, const char *name);
void  query_done(Query *q, Block *b);                              /* facts of a finished block */
void  query_map(Query *q, Rewrite fn, void *arg);                  /* rewrite what waits for the grouping to be done */
void  query_map_all(Query *q, Rewrite fn, void *arg);              /* and what goes into it, and the draft's conditions */
void  query_materialise(Query *q);                                 /* the draft becomes one block */
void  query_new_draft(Query *q, Block *over);                      /* FROM over */
void  query_check_name(Query *q, const Block *b, const Out *o);    /* fails if b has such a column */
int   query_add_col(Query *q, Block *b, const Out *o, Expr *e);
void  query_add_cols(Query *q, Block *b, int skip);                /* the outputs as columns, but for output `skip` */
Block *query_rename(Query *q, Block *b, const char *name);
#endif
