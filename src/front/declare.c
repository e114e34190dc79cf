/* SPDX-License-Identifier: Apache-2.0
 *
 * declare.c - base tables: what CREATE TABLE (…) declares, what the database holds, and the block
 * made from both. A declaration adds directives and shapes to a table; where it contradicts the
 * database, that is an error, because a wrong type or key would give wrong numbers later.
 *
 * The shape of a table is the integer hull its CHECKs allow, found by interval arithmetic over
 * their conjuncts; every conjunct is kept too and tested on each row of the hull by who fills the
 * table. */
#include "front/bind.h"
#include "front/pg.h"

#include <math.h>
#include <string.h>

#define MAX_HULL   ((int64_t)1 << 30)   /* rows of a table made from its CHECKs */
#define MAX_ROUNDS 16 /* of bounds following from each other (`a < b AND b < 5`) */

typedef struct DeclCol {
    const char *name;
    Span at;
    Type type;
    const char *type_text;
    bool not_null;
} DeclCol;
typedef struct DeclCheck { const PgQuery__Node *e; Span at; } DeclCheck;

struct Decl {
    const Stmt *st;
    DeclCol *col; int n_cols;
    int *key;
    int n_keys;
    bool has_key; /* PRIMARY KEY, else the first UNIQUE whose columns are NOT NULL */
    DeclCheck *check; int n_checks;
    bool row_numbers;                       /* a dump's declaration of a bag */
};

/* ---- types ---- */

static const struct { const char *name; Type type;
} sql_types[] = {
    { "float4", T_REAL }, { "float8", T_REAL },    { "numeric", T_REAL },
    { "double", T_REAL }, { "real", T_REAL },      { "int2", T_INT },
    { "int4", T_INT },    { "int8", T_INT },       { "bool", T_INT },
    { "tinyint", T_INT }, { "text", T_TEXT },      { "varchar", T_TEXT },
    { "bpchar", T_TEXT }, { "string", T_TEXT },    { "date", T_TEXT },
    { "time", T_TEXT },   { "timestamp", T_TEXT }, { "timestamptz", T_TEXT },
};

bool declare_type(const PgQuery__TypeName *t, Type *out)
{
    if (!t || !t->n_names || t->n_array_bounds || t->setof || t->pct_type)
        return false;
    const PgQuery__Node *last = t->names[t->n_names - 1];
    if (last->node_case != PG_QUERY__NODE__NODE_STRING)
        return false;
    for (size_t i = 0; i < COUNT_OF(sql_types); i++)
        if (!strcmp(sql_types[i].name, last->string->sval)) {
            *out = sql_types[i].type;
            return true;
        }
    return false;
}

/* ---- reading a declaration ---- */

static int decl_find(const Decl *d, const char *name)
{
    for (int i = 0; i < d->n_cols; i++)
        if (ascii_ieq(d->col[i].name, name))
            return i;
    return -1;
}

static const char *decl_names(Binder *b, const Decl *d)
{
    const char *s = "";

    for (int i = 0; i < d->n_cols; i++)
        s = arena_printf(&b->c->arena, "%s%s%s", s, i ? ", " : "", d->col[i].name);
    return s;
}

static void set_key(Binder *b, Decl *d, const int *col, int n, bool primary)
{
    for (int i = 0; i < n; i++) {
        if (d->col[col[i]].type == T_REAL)
            diag_fail(b->c, ERR_declare_column, d->col[col[i]].at,
                      "%s is REAL, a value; a key is INTEGER or TEXT", d->col[col[i]].name);
        if (primary)
            d->col[col[i]].not_null = true;
        else if (!d->col[col[i]].not_null)
            return;
    }
    if (d->has_key && !primary)
        return;
    d->has_key = true;
    d->key = ARENA_ARRAY(&b->c->arena, int, n);
    memcpy(d->key, col, (size_t)n * sizeof *col);
    d->n_keys = n;
}

NORETURN static void fail_clause(Binder *b, int location, const char *what)
{
    diag_fail(b->c, ERR_declare_clause, location < 0 ? b->stmt->name_at : bind_span(b, location, 0),
              "%s has no meaning in a model; a declaration holds columns, "
              "PRIMARY KEY, UNIQUE, NOT NULL and CHECK",
              what);
}

static void add_check(Binder *b, Decl *d, const PgQuery__Constraint *k)
{
    const DeclCheck c = { k->raw_expr, bind_span(b, k->location, 0) };

    VEC_PUSH(&b->c->arena, d->check, d->n_checks, c);
}

static void col_constraint(Binder *b, Decl *d, int col, const PgQuery__Constraint *k, bool unique)
{
    switch ((int)k->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_NULL: case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
    case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
        return;
    case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
        d->col[col].not_null = true;
        return;
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
        if (!unique)
            add_check(b, d, k);
        return;
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
        set_key(b, d, &col, 1, true);
        return;
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
        if (unique)
            set_key(b, d, &col, 1, false);
        return;
    }
    fail_clause(b, k->location, "this clause");
}

static void read_column(Binder *b, Decl *d, const PgQuery__ColumnDef *n)
{
    DeclCol c = { .name = bind_spelling(b, n->location, n->colname),
                  .at = bind_span(b, n->location, 0) };
    const int at = d->n_cols;

    if (decl_find(d, c.name) >= 0)
        diag_fail(b->c, ERR_declare_column, c.at, "column %s is declared twice", c.name);
    if (n->coll_clause)
        fail_clause(b, n->coll_clause->location, "COLLATE");
    if (!declare_type(n->type_name, &c.type))
        diag_fail(b->c, ERR_declare_type,
                  bind_span(b, n->type_name ? n->type_name->location : n->location, 0),
                  "no such column type here; write INTEGER, REAL or TEXT");
    c.type_text = type_name[c.type];
    d->row_numbers |= b->scan->canonical && !strcmp(c.name, GEN_PREFIX "row");
    if (!strcmp(c.name, GEN_PREFIX "row") && b->scan->canonical)
        return;
    if (bind_bad_name(b, c.name))
        diag_fail(b->c, ERR_bind_name, c.at, "%s", bind_bad_name(b, c.name));
    VEC_PUSH(&b->c->arena, d->col, d->n_cols, c);
    for (int pass = 0; pass < 2; pass++)        /* NOT NULL may stand behind UNIQUE */
        for (size_t i = 0; i < n->n_constraints; i++)
            if (n->constraints[i]->node_case == PG_QUERY__NODE__NODE_CONSTRAINT)
                col_constraint(b, d, at, n->constraints[i]->constraint, pass == 1);
}

static void table_constraint(Binder *b, Decl *d, const PgQuery__Constraint *k)
{
    const bool primary = k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    int *col = ARENA_ARRAY(&b->c->arena, int, k->n_keys + 1);

    if (k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN)
        return;
    if (k->contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK) {
        add_check(b, d, k);
        return;
    }
    if (!primary && k->contype != PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE)
        fail_clause(b, k->location, "this clause");
    for (size_t i = 0; i < k->n_keys; i++) {
        const char *name =
            k->keys[i]->node_case == PG_QUERY__NODE__NODE_STRING ? k->keys[i]->string->sval : "";
        col[i] = decl_find(d, name);
        if (col[i] < 0)
            diag_fail(b->c, ERR_declare_column, bind_span(b, k->location, 0),
                      "no column %s in %s; it has %s", name, d->st->name, decl_names(b, d));
    }
    set_key(b, d, col, (int)k->n_keys, primary);
}

Decl *declare_read(Binder *b, const PgQuery__CreateStmt *n)
{
    Decl *d = ARENA_NEW(&b->c->arena, Decl);

    d->st = b->stmt;
    if (n->n_inh_relations || n->partbound || n->partspec || n->of_typename || n->n_options)
        fail_clause(b, -1, "what follows the columns");
    for (size_t i = 0; i < n->n_table_elts; i++)
        if (n->table_elts[i]->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF)
            read_column(b, d, n->table_elts[i]->column_def);
        else if (n->table_elts[i]->node_case != PG_QUERY__NODE__NODE_CONSTRAINT)
            fail_clause(b, -1, "LIKE");
    for (size_t i = 0; i < n->n_table_elts; i++)
        if (n->table_elts[i]->node_case == PG_QUERY__NODE__NODE_CONSTRAINT)
            table_constraint(b, d, n->table_elts[i]->constraint);
    if (!d->n_cols)
        diag_fail(b->c, ERR_declare_column, b->stmt->name_at, "%s has no columns", b->stmt->name);
    return d;
}

/* ---- bounds: what CHECKs say about INTEGER columns ---- */

/* INT64_MIN and INT64_MAX stand for "unknown"; arithmetic saturates to them. */
typedef struct Range { int64_t lo, hi; } Range;
typedef struct Bounds { Range *col; int n_cols; bool empty; } Bounds;

static const Range any_int = { INT64_MIN, INT64_MAX };

static bool known_range(Range r)
{
    return r.lo != INT64_MIN && r.hi != INT64_MAX;
}

static int64_t sat_add(int64_t x, int64_t y)
{
    int64_t r;

    if (x == INT64_MIN || x == INT64_MAX)
        return x;
    if (y == INT64_MIN || y == INT64_MAX)
        return y;
    return __builtin_add_overflow(x, y, &r) ? (x < 0 ? INT64_MIN : INT64_MAX) : r;
}

static int64_t sat_neg(int64_t x)
{
    return x == INT64_MIN ? INT64_MAX : x == INT64_MAX ? INT64_MIN : -x;
}

static Range mul_range(Range x, Range y)
{
    const int64_t a[2] = { x.lo, x.hi }, c[2] = { y.lo, y.hi };
    Range r = { INT64_MAX, INT64_MIN };

    if (!known_range(x) || !known_range(y))
        return any_int;
    for (int i = 0; i < 4; i++) {
        int64_t p;
        if (__builtin_mul_overflow(a[i / 2], c[i % 2], &p))
            return any_int;
        r.lo = p < r.lo ? p : r.lo;
        r.hi = p > r.hi ? p : r.hi;
    }
    return r;
}

static bool is_a_col(void *none, const Expr *e)
{
    (void)none;
    return e->op == OP_col;
}

/* Whether e is a number made of literals, such as 48 / 3 - 1, and which. */
static bool number_of_literals(const Expr *e, Value *v)
{
    if (ex_any(e, is_a_col, NULL))
        return false;
    *v = ex_eval(e, NULL, NULL);
    return !v->null;
}

static Range bounds_of(const Bounds *k, const Expr *e)
{
    Value v;

    if (e->type == T_INT && number_of_literals(e, &v))
        return (Range){ v.i, v.i };
    if (e->op == OP_col && e->type == T_INT && e->col < k->n_cols)
        return k->col[e->col];
    if (e->op == OP_neg) {
        const Range r = bounds_of(k, e->arg[0]);
        return (Range){ sat_neg(r.hi), sat_neg(r.lo) };
    }
    if (e->op != OP_add && e->op != OP_sub && e->op != OP_mul)
        return any_int;
    const Range x = bounds_of(k, e->arg[0]), y = bounds_of(k, e->arg[1]);
    if (e->op == OP_mul)
        return mul_range(x, y);
    return e->op == OP_add ? (Range){ sat_add(x.lo, y.lo), sat_add(x.hi, y.hi) }
                           : (Range){ sat_add(x.lo, sat_neg(y.hi)), sat_add(x.hi, sat_neg(y.lo)) };
}

static bool real_const(const Expr *e, double *out)
{
    Value v;

    if (!number_of_literals(e, &v))
        return false;
    *out = v.type == T_REAL ? v.r : (double)v.i;
    return v.type == T_REAL || v.type == T_INT;
}

/* The range of col where `col op x` may hold for an x in r; a real constant is rounded inwards. */
static Range allowed(Op op, Range r)
{
    if (op == OP_eq || op == OP_same)
        return r;
    if (op == OP_le)
        return (Range){ INT64_MIN, r.hi };
    if (op == OP_lt)
        return (Range){ INT64_MIN, sat_add(r.hi, -1) };
    if (op == OP_ge)
        return (Range){ r.lo, INT64_MAX };
    if (op == OP_gt)
        return (Range){ sat_add(r.lo, 1), INT64_MAX };
    return any_int;
}

static Range allowed_real(Op op, double v)
{
    const double lo = ceil(v), hi = floor(v), big = 4e18;

    if (!(fabs(v) < big))
        return any_int;
    if (op == OP_eq || op == OP_same)
        return (Range){ (int64_t)lo, (int64_t)hi };         /* empty if v is no integer */
    if (op == OP_le || op == OP_lt)
        return (Range){ INT64_MIN, op == OP_lt && lo == hi ? (int64_t)hi - 1 : (int64_t)hi };
    if (op == OP_ge || op == OP_gt)
        return (Range){ op == OP_gt && lo == hi ? (int64_t)lo + 1 : (int64_t)lo, INT64_MAX };
    return any_int;
}

static void meet(Bounds *k, int col, Range r)
{
    Range *x = &k->col[col];

    x->lo = r.lo > x->lo ? r.lo : x->lo;
    x->hi = r.hi < x->hi ? r.hi : x->hi;
    k->empty |= x->lo > x->hi;
}

static Op flipped(Op op)
{
    return op == OP_lt   ? OP_gt
           : op == OP_gt ? OP_lt
           : op == OP_le ? OP_ge
           : op == OP_ge ? OP_le
                         : op;
}

/* The INTEGER column an expression is, a conversion to REAL left aside; -1: it is none. */
static int int_col(const Bounds *k, const Expr *e)
{
    if (e->op == OP_to_real)
        e = e->arg[0];
    return e->op == OP_col && e->type == T_INT && e->col < k->n_cols ? e->col : -1;
}

static void meet_compare(Bounds *k, Op op, const Expr *x, const Expr *y)
{
    const int col = int_col(k, x);
    double v;

    if (col >= 0)
        meet(k, col,
             y->type == T_REAL && real_const(y, &v) ? allowed_real(op, v)
                                                    : allowed(op, bounds_of(k, y)));
}

static void meet_in(Bounds *k, const Expr *e)
{
    const int col = int_col(k, e->arg[0]);
    Range all = { INT64_MAX, INT64_MIN };

    for (int i = 1; i < e->n_args; i++) {
        double v;
        const Range r = e->arg[i]->type == T_REAL && real_const(e->arg[i], &v)
                            ? allowed_real(OP_eq, v)
                            : bounds_of(k, e->arg[i]);
        if (r.lo > r.hi)
            continue;
        all.lo = r.lo < all.lo ? r.lo : all.lo;
        all.hi = r.hi > all.hi ? r.hi : all.hi;
    }
    if (col >= 0)
        meet(k, col, all);
}

static void narrow(Arena *a, Bounds *k, const Expr *e);

/* Either side may hold: the hull of what each leaves. */
static void narrow_or(Arena *a, Bounds *k, const Expr *e)
{
    Bounds all = { ARENA_ARRAY(a, Range, k->n_cols), k->n_cols, true };

    for (int i = 0; i < e->n_args; i++) {
        Bounds one = { ARENA_ARRAY(a, Range, k->n_cols), k->n_cols, k->empty };
        memcpy(one.col, k->col, (size_t)k->n_cols * sizeof *k->col);
        narrow(a, &one, e->arg[i]);
        for (int c = 0; c < k->n_cols && !one.empty; c++) {
            all.col[c].lo =
                all.empty || one.col[c].lo < all.col[c].lo ? one.col[c].lo : all.col[c].lo;
            all.col[c].hi =
                all.empty || one.col[c].hi > all.col[c].hi ? one.col[c].hi : all.col[c].hi;
        }
        all.empty &= one.empty;
    }
    if (all.empty)
        k->empty = true;
    else
        memcpy(k->col, all.col, (size_t)k->n_cols * sizeof *k->col);
}

static void narrow(Arena *a, Bounds *k, const Expr *e)
{
    if (e->op == OP_and) {
        for (int i = 0; i < e->n_args; i++)
            narrow(a, k, e->arg[i]);
    } else if (e->op == OP_or) {
        narrow_or(a, k, e);
    } else if (e->op == OP_in) {
        meet_in(k, e);
    } else if (e->n_args == 2) {
        meet_compare(k, e->op, e->arg[0], e->arg[1]);
        meet_compare(k, flipped(e->op), e->arg[1], e->arg[0]);
    }
}

/* ---- shapes ---- */

static void add_conjuncts(Arena *a, Shape *s, Expr *e)
{
    if (e->op != OP_and) {
        VEC_PUSH(a, s->check, s->n_checks, e);
        return;
    }
    for (int i = 0; i < e->n_args; i++)
        add_conjuncts(a, s, e->arg[i]);
}

static bool reads_real(void *arg, const Expr *e)
{
    const Block *blk = arg;

    return e->op == OP_col && blk->col[e->col].type == T_REAL;
}

static void bind_checks(Binder *b, const Decl *d, Block *blk)
{
    Shape *s = blk->shape = ARENA_NEW(&b->c->arena, Shape);

    for (int i = 0; i < d->n_checks; i++) {
        Expr *e = bind_expr_over(b, blk, d->check[i].e);
        if (e->type != T_BOOL)
            diag_fail(b->c, ERR_declare_clause, d->check[i].at, "a CHECK holds a condition");
        if (!ex_any(e, reads_real, blk))
            add_conjuncts(&b->c->arena, s, e);
        else if (blk->role == BASE_param)
            diag_fail(b->c, ERR_declare_clause, d->check[i].at,
                      "training cannot keep a CHECK on a value column");
    }
}

static bool same_bounds(const Bounds *k, const Range *old)
{
    return !memcmp(k->col, old, (size_t)k->n_cols * sizeof *old);
}

static void find_hull(Binder *b, const Decl *d, Block *blk)
{
    Arena *a = &b->c->arena;
    Shape *s = blk->shape;
    Bounds k = { ARENA_ARRAY(a, Range, blk->n_cols), blk->n_cols, false };
    Range *old = ARENA_ARRAY(a, Range, blk->n_cols);

    for (int c = 0; c < blk->n_cols; c++)
        k.col[c] = any_int;
    for (int round = 0; round < MAX_ROUNDS && !k.empty; round++) {
        memcpy(old, k.col, (size_t)blk->n_cols * sizeof *old);
        for (int i = 0; i < s->n_checks; i++)
            narrow(a, &k, s->check[i]);
        if (same_bounds(&k, old))
            break;
    }
    if (k.empty)
        diag_fail(b->c, ERR_declare_shape, d->st->name_at, "no row satisfies the CHECKs of %s",
                  d->st->name);
    for (int c = 0; c < blk->n_cols; c++) {
        if (blk->col[c].type == T_REAL || blk->col[c].hidden)
            continue;
        int n = s->n_cols, m = s->n_cols;
        const bool known = known_range(k.col[c]);
        VEC_PUSH(a, s->lo, n, known ? k.col[c].lo : 1);
        VEC_PUSH(a, s->hi, m, known ? k.col[c].hi : 0);
        VEC_PUSH(a, s->col, s->n_cols, c);
    }
}

/* A table made from its CHECKs: every key has bounds, and the box of them is not too large. */
static void require_hull(Binder *b, const Decl *d, const Block *blk)
{
    const Shape *s = blk->shape;
    int64_t rows = 1;

    for (int i = 0; i < s->n_cols; i++) {
        const Col *k = &blk->col[s->col[i]];
        int64_t n;
        if (k->type != T_INT)
            diag_fail(b->c, ERR_declare_shape, k->at,
                      "key %s is %s; rows made from CHECKs have INTEGER keys, others come "
                      "from CREATE TABLE %s AS SELECT",
                      k->name, type_name[k->type], d->st->name);
        if (s->lo[i] > s->hi[i])
            diag_fail(b->c, ERR_declare_shape, k->at,
                      "the rows of %s follow from bounds of its keys, and %s has none; write "
                      "%s INTEGER CHECK (%s BETWEEN 0 AND 9)",
                      d->st->name, k->name, k->name, k->name);
        if (__builtin_sub_overflow(s->hi[i], s->lo[i], &n) || n >= MAX_HULL ||
            __builtin_mul_overflow(rows, n + 1, &rows) || rows > MAX_HULL)
            diag_fail(b->c, ERR_declare_shape, d->st->name_at,
                      "the CHECKs of %s ask for more than %lld rows", d->st->name,
                      (long long)MAX_HULL);
    }
}

/* ---- blocks ---- */

static void declare_col(Binder *b, Block *blk, const char *name, Type type, bool nullable, Span at)
{
    const int c = blk_add_col(b->p, blk, name, NULL, AGG_none);

    blk->col[c].type = type == T_BOOL || type == T_NULL ? T_INT : type;
    blk->col[c].nullable = nullable;
    blk->col[c].at = at;
}

static int cat_find(const CatTable *cat, const char *name)
{
    for (int i = 0; i < cat->n_cols; i++)
        if (ascii_ieq(cat->col[i].name, name))
            return i;
    return -1;
}

static const char *cat_names(Binder *b, const CatTable *cat)
{
    const char *s = "";

    for (int i = 0; i < cat->n_cols; i++)
        s = arena_printf(&b->c->arena, "%s%s%s", s, i ? ", " : "", cat->col[i].name);
    return s;
}

/* Where a declared table was looked up, for messages: --bind may have given it another name. */
static const char *place_of(const Decl *d, const CatTable *cat)
{
    return cat->db_name && !ascii_ieq(cat->db_name, d->st->name) ? cat->db_name : "the database";
}

/* What the database holds must be what is declared. */
static void compare_column(Binder *b, const Decl *d, const DeclCol *k, const CatTable *cat)
{
    const int at = cat_find(cat, k->name);
    const CatCol *have = &cat->col[at < 0 ? 0 : at];

    if (at < 0)
        diag_fail(b->c, ERR_declare_column, k->at, "%s has no column %s in %s; it has %s",
                  d->st->name, k->name, place_of(d, cat), cat_names(b, cat));
    const Type type = have->type == T_BOOL ? T_INT : have->type;
    if (type != T_NULL && type != k->type && !(type == T_INT && k->type == T_REAL))
        diag_fail(b->c, ERR_declare_type, k->at, "%s.%s is declared %s, but is %s in %s",
                  d->st->name, k->name, k->type_text, type_name[type], place_of(d, cat));
    if (k->not_null && have->nullable)
        diag_fail(b->c, ERR_declare_data, k->at,
                  "%s.%s is declared NOT NULL, but the database holds a NULL", d->st->name,
                  k->name);
}

static void compare_range(Binder *b, const Decl *d, const Block *blk, const CatTable *cat)
{
    const Shape *s = blk->shape;

    for (int i = 0; i < s->n_cols; i++) {
        const Col *k = &blk->col[s->col[i]];
        const int at = cat_find(cat, k->name);
        if (at < 0 || !cat->col[at].has_range || s->lo[i] > s->hi[i])
            continue;
        const CatCol *have = &cat->col[at];
        if (have->lo < s->lo[i] || have->hi > s->hi[i])
            diag_fail(b->c, ERR_declare_data, k->at,
                      "the CHECKs of %s allow %s from %lld to %lld, but the database holds %lld "
                      "to %lld",
                      d->st->name, k->name, (long long)s->lo[i], (long long)s->hi[i],
                      (long long)have->lo, (long long)have->hi);
    }
}

/* Is column i of a table one of those its rows are known by? */
static bool is_known_by(const CatTable *cat, int i)
{
    bool found = cat->n_known == 0;

    for (int k = 0; k < cat->n_known; k++)
        found |= cat->known_by[k] == i;
    return found;
}

/* Rows of a database's table are known by as few of its keys as are unique, or by a row number. */
static void identity_from_catalog(Binder *b, Block *blk, const CatTable *cat)
{
    int *id = ARENA_ARRAY(&b->c->arena, int, blk->n_cols + 1), n = 0, want = 0;

    for (int i = 0; i < cat->n_cols; i++) {
        if (cat->col[i].type == T_REAL || !is_known_by(cat, i))
            continue;
        want++;
        for (int c = 0; c < blk->n_cols; c++)
            if (ascii_ieq(blk->col[c].name, cat->col[i].name) && blk->col[c].type != T_REAL)
                id[n++] = c;
    }
    if (cat->unique && n == want && (n || cat->n_rows <= 1))
        blk_set_id(b->p, blk, id, n);
    else
        blk->bag = true;
}

static void add_row_numbers(Binder *b, Block *blk)
{
    const int c = blk_add_col(b->p, blk, GEN_PREFIX "row", NULL, AGG_none);

    blk->col[c].type = T_INT;
    blk->col[c].hidden = true;
    blk_set_id(b->p, blk, &c, 1);
}

/* Without a database: a declared key; in a dump, all keys unless it shows row numbers. */
static void identity_as_declared(Binder *b, const Decl *d, Block *blk)
{
    int *id = ARENA_ARRAY(&b->c->arena, int, blk->n_cols + 1), n = 0;

    for (int c = 0; c < blk->n_cols; c++)
        if (blk->col[c].type != T_REAL)
            id[n++] = c;
    if (d->has_key)
        blk_set_id(b->p, blk, d->key, d->n_keys);
    else if (b->scan->canonical && !d->row_numbers)
        blk_set_id(b->p, blk, id, n);
    else
        blk->bag = true;
}

static Block *new_base(Binder *b, const char *name, BaseRole role, const CatTable *cat)
{
    Block *blk = blk_new(b->p, BLK_base, name);

    blk->role = role;
    blk->cat = cat;
    blk->user = true;
    return blk;
}

/* The database's columns in its order, as declared where they are. */
static void columns_of_both(Binder *b, const Decl *d, Block *blk, const CatTable *cat)
{
    for (int i = 0; i < cat->n_cols; i++) {
        const CatCol *k = &cat->col[i];
        const int at = d ? decl_find(d, k->name) : -1;
        if (bind_bad_name(b, k->name) && at < 0)
            diag_fail(b->c, ERR_bind_name, blk->name_at, "%s has a column %s; %s", blk->name,
                      k->name, bind_bad_name(b, k->name));
        declare_col(b, blk, at < 0 ? k->name : d->col[at].name, at < 0 ? k->type : d->col[at].type,
                    k->nullable, at < 0 ? (Span){ 0 } : d->col[at].at);
    }
}

/* Keys of a parameter are its rows' identity and never NULL; it has something to train. */
static void check_param(Binder *b, const Decl *d, const CatTable *cat)
{
    int n_values = 0;

    for (int i = 0; i < d->n_cols; i++)
        n_values += d->col[i].type == T_REAL;
    if (!n_values)
        diag_fail(b->c, ERR_bind_param, d->st->name_at, "%s has no REAL column to train",
                  d->st->name);
    for (int i = 0; cat && i < cat->n_cols; i++)
        if (decl_find(d, cat->col[i].name) < 0)
            diag_fail(b->c, ERR_declare_column, d->st->name_at,
                      "%s has a column %s in the database that is not declared", d->st->name,
                      cat->col[i].name);
}

static void check_range(Binder *b, const Decl *d)
{
    for (int i = 0; i < d->n_cols; i++)
        if (d->col[i].type == T_REAL)
            diag_fail(b->c, ERR_declare_column, d->col[i].at,
                      "%s is REAL; a @range table has keys only", d->col[i].name);
}

Block *declare_block(Binder *b, const Decl *d, BaseRole role, const CatTable *cat)
{
    const bool made = role == BASE_param || role == BASE_range;

    if (role == BASE_param)
        check_param(b, d, cat);
    if (role == BASE_range)
        check_range(b, d);
    for (int i = 0; cat && i < d->n_cols; i++)
        compare_column(b, d, &d->col[i], cat);
    if (cat && d->has_key && !cat->unique && !made)
        diag_fail(b->c, ERR_declare_data, d->st->name_at,
                  "%s is declared with a key, but the database repeats the row (%s)", d->st->name,
                  cat->dup_a ? cat->dup_a : "");
    Block *blk = new_base(b, d->st->name, role, cat);
    blk->at = d->st->at;
    blk->name_at = d->st->name_at;
    if (cat && !made)
        columns_of_both(b, d, blk, cat);
    else
        for (int i = 0; i < d->n_cols; i++)
            declare_col(b, blk, d->col[i].name, d->col[i].type, !made && !d->col[i].not_null,
                        d->col[i].at);
    bind_checks(b, d, blk);
    find_hull(b, d, blk);
    if (made)
        require_hull(b, d, blk);
    else if (cat)
        compare_range(b, d, blk, cat);
    if (made)
        blk_set_id(b->p, blk, blk->shape->col, blk->shape->n_cols);
    else if (cat)
        identity_from_catalog(b, blk, cat);
    else
        identity_as_declared(b, d, blk);
    if (blk->bag)
        add_row_numbers(b, blk);
    if (!blk->shape->n_checks && !made)
        blk->shape = NULL;
    return blk;
}

Block *declare_keys(Binder *b, const Decl *d, const char *name)
{
    Decl keys = *d;

    keys.col = NULL;
    keys.n_cols = 0;
    for (int c = 0; c < d->n_cols; c++)
        if (d->col[c].type != T_REAL)
            VEC_PUSH(&b->c->arena, keys.col, keys.n_cols, d->col[c]);
    Block *blk = declare_block(b, &keys, BASE_range, NULL);
    blk->name = name;
    blk->user = false;
    return blk;
}

bool declare_column(const Decl *d, int c, const char **name, Type *type, Span *at)
{
    if (c >= d->n_cols)
        return false;
    *name = d->col[c].name;
    *type = d->col[c].type;
    *at = d->col[c].at;
    return true;
}

/* Zeros of each type under a condition that never holds. */
Block *declare_empty(Binder *b, const Decl *d)
{
    Arena *a = &b->c->arena;
    Block *k = blk_new(b->p, BLK_row, b->stmt->name);

    for (int c = 0; c < d->n_cols; c++) {
        Expr *zero = d->col[c].type == T_REAL ? ex_real(a, 0) : d->col[c].type == T_TEXT ? ex_text(a, "") : ex_int(a, 0);
        const int at = blk_add_col(b->p, k, d->col[c].name, zero, AGG_none);
        k->col[at].at = d->col[c].at;
    }
    blk_add_where(b->p, k, ex2(a, OP_eq, ex_int(a, 1), ex_int(a, 0)));
    return k;
}

Block *declare_from_catalog(Binder *b, const CatTable *cat, const char *name, Span at)
{
    Block *blk = new_base(b, name, BASE_db, cat);

    blk->name_at = at;
    columns_of_both(b, NULL, blk, cat);
    identity_from_catalog(b, blk, cat);
    if (blk->bag)
        add_row_numbers(b, blk);
    return blk;
}
