/* SPDX-License-Identifier: Apache-2.0
 *
 * expr.c - scalar expressions: libpg_query's trees become typed ones over the draft's sources.  Integer
 * and real division part here; INT beside REAL becomes REAL; BETWEEN, simple CASE and IS TRUE are
 * spelled out.  TRUE and FALSE are written 1 = 1 and 1 = 0, since tables hold no BOOLEAN. */
#include "front/query.h"

/* ---- small builders ---- */

Expr *expr_at(Expr *e, Span at)
{
    e->at = at;
    return e;
}

Expr *expr_placeholder(Query *q, int src, int col, Type t, bool nullable, Span at)
{
    Expr *e = ex_new(q->a, OP_col, t, 0, NULL);

    e->src = src;
    e->col = col;
    e->nullable = nullable;
    e->at = at;
    return e;
}

Expr *expr_true(Arena *a)
{
    return ex2(a, OP_eq, ex_int(a, 1), ex_int(a, 1));
}

Expr *expr_false(Arena *a)
{
    return ex2(a, OP_eq, ex_int(a, 1), ex_int(a, 0));
}

Expr *expr_plain(Arena *a, Expr *e)
{
    return e->type == T_BOOL ? expr_at(ex1(a, OP_to_int, e), e->at) : e;
}

Expr *expr_convert(Arena *a, Expr *e, Type t)
{
    if (e->op == OP_lit_null && e->type != t)
        return expr_at(ex_null(a, t), e->at);
    if (t == T_INT || t == T_REAL)
        e = expr_plain(a, e);
    return t == T_REAL ? ex_real_of(a, e) : e;
}

Expr *expr_num(Query *q, Expr *e, const char *what)
{
    if (e->type == T_TEXT)
        diag_fail(q->b->c, ERR_expr_type, e->at,
                  "%s takes numbers, and %s is TEXT; CAST it if it holds a number", what,
                  src_text(q, e->at));
    return e->type == T_NULL ? expr_convert(q->a, e, T_INT) : expr_plain(q->a, e);
}

static bool numeric_type(Type t)
{
    return t == T_INT || t == T_REAL || t == T_BOOL;
}

/* Give all of e[0 … n) one type; TEXT and numbers do not meet. */
static void unify(Query *q, Expr **e, int n, const char *what)
{
    const Expr *text = NULL, *num = NULL;
    Type t = T_NULL;

    for (int k = 0; k < n; k++) {
        text = e[k]->type == T_TEXT ? e[k] : text;
        num = numeric_type(e[k]->type) ? e[k] : num;
        if (numeric_type(e[k]->type) && t != T_REAL)
            t = t == T_NULL || t == e[k]->type ? e[k]->type : e[k]->type == T_REAL ? T_REAL : T_INT;
    }
    if (text && num)
        diag_fail(q->b->c, ERR_expr_type, span_join(text->at, num->at),
                  "%s has TEXT %s beside %s %s; CAST one of them", what, src_text(q, text->at),
                  type_name[num->type], src_text(q, num->at));
    t = text ? T_TEXT : t == T_NULL ? T_INT : t;
    for (int k = 0; k < n; k++)
        if (e[k]->type != t)
            e[k] = expr_convert(q->a, e[k], t);
}

Expr *expr_mix(Query *q, Op op, Expr **arg, int n, const char *what, Span at)
{
    unify(q, arg, n, what);
    return expr_at(ex_exprs(q->a, op, arg, n), at);
}

Expr *expr_compare(Query *q, Op op, Expr *x, Expr *y, Span at)
{
    Expr *two[2] = { x, y };

    unify(q, two, 2, "a comparison");
    two[0] = expr_plain(q->a, two[0]);
    two[1] = expr_plain(q->a, two[1]);
    return expr_at(ex_exprs(q->a, op, two, 2), at);
}

bool expr_reads(const Expr *e, int src)
{
    if (e->op == OP_col && e->src == src)
        return true;
    for (int k = 0; k < e->n_args; k++)
        if (expr_reads(e->arg[k], src))
            return true;
    return false;
}

bool expr_reads_one(const Expr *e, int src, int col)
{
    if (e->op == OP_col && e->src == src && e->col == col)
        return true;
    for (int k = 0; k < e->n_args; k++)
        if (expr_reads_one(e->arg[k], src, col))
            return true;
    return false;
}

bool expr_reads_rows(const Expr *e)
{
    if (e->op == OP_col && (e->src < SRC_AGG || e->src == SRC_RANK))
        return true;
    for (int k = 0; k < e->n_args; k++)
        if (expr_reads_rows(e->arg[k]))
            return true;
    return false;
}

static int tree_size(const Expr *e, int most)
{
    int n = 1;

    for (int k = 0; k < e->n_args && n < most; k++)
        n += tree_size(e->arg[k], most - n);
    return n;
}

/* A repeated operand makes the tree, not the text, large: nesting such things must not run away. */
void expr_share(Query *q, const Expr *e, int times)
{
    const int most = MAX_TREE / (times > 0 ? times : 1);

    if (tree_size(e, most + 1) > most)
        diag_fail(q->b->c, ERR_expr_size, e->at,
                  "the expression becomes too large; compute %s in a table of its own",
                  src_text(q, e->at));
}

Expr *expr_rewrite(Arena *a, const Expr *e, Rewrite fn, void *arg)
{
    Expr *r = fn(arg, e);

    if (r)
        return r;
    Expr *n = ARENA_NEW(a, Expr);
    *n = *e;
    n->arg = ARENA_ARRAY(a, Expr *, e->n_args + 1);
    for (int k = 0; k < e->n_args; k++)
        n->arg[k] = expr_rewrite(a, e->arg[k], fn, arg);
    n->nullable = ex_may_null(n);
    return n;
}

static Expr *keep(void *arg, const Expr *e)
{
    (void)arg;
    (void)e;
    return NULL;
}

Expr *expr_copy(Arena *a, const Expr *e)
{
    return expr_rewrite(a, e, keep, NULL);
}

Expr *expr_col_at(Arena *a, const Expr *col, int src, int c)
{
    Expr *n = ARENA_NEW(a, Expr);

    *n = *col;
    n->src = src;
    n->col = c;
    return n;
}

typedef struct ToSource { Arena *a; int src; } ToSource;

static Expr *to_source(void *arg, const Expr *e)
{
    const ToSource *t = arg;

    return e->op == OP_col ? expr_col_at(t->a, e, t->src, e->col) : NULL;
}

Expr *expr_over_source(Arena *a, const Expr *e, int src)
{
    return expr_rewrite(a, e, to_source, &(ToSource){ a, src });
}

/* ---- literals ---- */

static Expr *number_literal(Query *q, const char *s, Span at)
{
    double r = 0;
    int64_t i = 0;

    if (parse_int(s, strlen(s), &i))
        return expr_at(ex_int(q->a, i), at);
    if (!parse_real(s, strlen(s), &r))
        diag_fail(q->b->c, ERR_expr_number, at,
                  "this number cannot be read; at most 63 digits, as 1.5 or 1.5e-3");
    return expr_at(ex_real(q->a, r), at);
}

static Expr *constant(Ctx *x, const PgQuery__AConst *k)
{
    Query *q = x->q;
    const Span at = bind_span(q->b, k->location, 0);

    if (k->isnull)
        return expr_at(ex_null(q->a, T_NULL), at);
    switch ((int)k->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL: return expr_at(ex_int(q->a, k->ival->ival), at);
    case PG_QUERY__A__CONST__VAL_FVAL: return number_literal(q, k->fval->fval, at);
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        return expr_at(k->boolval->boolval ? expr_true(q->a) : expr_false(q->a), at);
    case PG_QUERY__A__CONST__VAL_SVAL: return expr_at(ex_text(q->a, k->sval->sval), at);
    }
    diag_fail(q->b->c, ERR_expr_unsupported, at,
              "bit strings are not in the language; write a number or a text");
}

bool expr_int_literal(Query *q, const Node *n, int64_t *out)
{
    const Expr *e = NULL;

    if (n && n->node_case == PG_QUERY__NODE__NODE_PARAM_REF)
        e = bind_param_ref(q->b, n->param_ref->location);
    else if (n && n->node_case == PG_QUERY__NODE__NODE_A_CONST)
        e = constant(&(Ctx){ .q = q }, n->a_const);
    if (!e || e->op != OP_lit_int)
        return false;
    *out = e->i;
    return true;
}

/* ---- operators ---- */

static Expr *condition(Query *q, Expr *e, const char *what)
{
    if (e->type == T_NULL)
        return expr_at(ex_null(q->a, T_BOOL), e->at);
    if (e->type != T_BOOL)
        diag_fail(q->b->c, ERR_expr_condition, e->at, "%s needs a condition, and %s is %s%s", what,
                  src_text(q, e->at), type_name[e->type],
                  e->type == T_TEXT ? "; write a comparison" : "; compare it, such as … <> 0");
    return e;
}

Expr *expr_cond(Ctx *x, const Node *n)
{
    return condition(x->q, expr_bind(x, n), x->clause);
}

/* SUM(…)/COUNT(…) of integers, perhaps scaled, 1/COUNT(…), 1/2: almost always meant as a fraction. */
static void note_int_division(Query *q, const Expr *x, const Expr *y, Span at)
{
    const bool number = x->op == OP_lit_int;

    if (number && y->op == OP_lit_int && y->i != 0 && y->i != -1 && x->i % y->i != 0)
        diag_note(q->b->c, ERR_note_int_division, at, "both numbers are integers, so this is %lld; write 1.0 * %s for a fraction",
                  (long long)(x->i / y->i), src_text(q, at));
    else if (number && expr_reads(y, SRC_AGG))
        diag_note(q->b->c, ERR_note_int_division, at, "both sides are integers, so / truncates; write 1.0 * %s for a fraction",
                  src_text(q, at));
    else if (expr_reads(x, SRC_AGG) && expr_reads(y, SRC_AGG))
        diag_note(q->b->c, ERR_note_int_division, at,
                  "both aggregates are integers, so / truncates; write 1.0 * %s / … for a fraction",
                  src_text(q, x->at));
}

static Expr *division(Query *q, Expr *x, Expr *y, Span at)
{
    if (x->type == T_REAL || y->type == T_REAL)
        return ex2(q->a, OP_div, x, y);
    note_int_division(q, x, y, at);
    return ex2(q->a, OP_idiv, x, y);
}

static Expr *modulo(Query *q, Expr *x, Expr *y, Span at)
{
    const Expr *real = x->type == T_REAL ? x : y;

    if (real->type == T_REAL)
        diag_fail(q->b->c, ERR_expr_type, at,
                  "%% takes integers, and %s is REAL; databases disagree about it",
                  src_text(q, real->at));
    return ex2(q->a, OP_mod, x, y);
}

static Expr *arithmetic(Query *q, char op, Expr *x, Expr *y, Span at)
{
    const char what[2] = { op, 0 };

    x = expr_num(q, x, what);
    y = expr_num(q, y, what);
    switch (op) {
    case '+': return ex2(q->a, OP_add, x, y);
    case '-': return ex2(q->a, OP_sub, x, y);
    case '*': return ex2(q->a, OP_mul, x, y);
    case '/': return division(q, x, y, at);
    default: return modulo(q, x, y, at);
    }
}

static bool comparison_op(const char *name, Op *op)
{
    static const struct { const char *name; Op op; } table[] = {
        { "=", OP_eq }, { "<>", OP_ne }, { "!=", OP_ne }, { "<", OP_lt }, { "<=", OP_le }, { ">", OP_gt }, { ">=", OP_ge },
    };

    for (size_t k = 0; k < COUNT_OF(table); k++)
        if (!strcmp(name, table[k].name)) {
            *op = table[k].op;
            return true;
        }
    return false;
}

NORETURN static void fail_operator(Query *q, const char *name, Span at)
{
    const char *hint = !strcmp(name, "^") || !strcmp(name, "**") ? "write POW(x, y)"
                     : !strcmp(name, "||") ? "texts can be compared, not built"
                     : "it has + - * / % = <> < <= > >= AND OR NOT BETWEEN IN IS";
    diag_fail(q->b->c, ERR_expr_operator, at, "the language has no operator %s; %s", name, hint);
}

/* A literal is negated at once, as the parser does where the sign stands right before it: what is printed reads back. */
static Expr *negated(Query *q, Expr *e)
{
    if (e->op == OP_lit_int && e->i != INT64_MIN)
        return ex_int(q->a, -e->i);
    return e->op == OP_lit_real ? ex_real(q->a, -e->r) : ex1(q->a, OP_neg, e);
}

static Expr *operator_expr(Ctx *x, const PgQuery__AExpr *n)
{
    Query *q = x->q;
    const char *name = n->n_name ? node_string(n->name[n->n_name - 1]) : NULL;
    const Span op_at = bind_span(q->b, n->location, 0);
    Op op;

    if (!name || n->n_name != 1 || !n->rexpr)
        fail_operator(q, name ? name : "?", op_at);
    if (!n->lexpr) {
        if (strcmp(name, "-") && strcmp(name, "+"))
            fail_operator(q, name, op_at);
        Expr *e = expr_num(q, expr_bind(x, n->rexpr), name);
        const Span at = span_join(op_at, e->at);
        return *name == '-' ? expr_at(negated(q, e), at) : e;
    }
    const bool compares = comparison_op(name, &op);
    if (!compares && (strlen(name) != 1 || !strchr("+-*/%", *name)))
        fail_operator(q, name, op_at);
    Expr *l = expr_bind(x, n->lexpr), *r = expr_bind(x, n->rexpr);
    const Span at = span_join(l->at, r->at);
    return compares ? expr_compare(q, op, l, r, at) : expr_at(arithmetic(q, *name, l, r, at), at);
}

static Expr *in_values(Ctx *x, const PgQuery__AExpr *n)
{
    Query *q = x->q;
    const PgQuery__List *list = n->rexpr->list;
    Expr **arg = ARENA_ARRAY(q->a, Expr *, list->n_items + 1);
    const char *name = node_string(n->name[0]);

    arg[0] = expr_bind(x, n->lexpr);
    for (size_t k = 0; k < list->n_items; k++)
        arg[k + 1] = expr_bind(x, list->items[k]);
    const Span at = span_join(arg[0]->at, arg[list->n_items]->at);
    unify(q, arg, (int)list->n_items + 1, "IN");
    for (size_t k = 0; k <= list->n_items; k++)
        arg[k] = expr_plain(q->a, arg[k]);
    Expr *e = expr_at(ex_exprs(q->a, OP_in, arg, (int)list->n_items + 1), at);
    return name && !strcmp(name, "<>") ? expr_at(ex1(q->a, OP_not, e), at) : e;
}

static Expr *between(Ctx *x, const PgQuery__AExpr *n, bool negated)
{
    Query *q = x->q;
    Expr *e = expr_bind(x, n->lexpr);
    Expr *lo = expr_bind(x, n->rexpr->list->items[0]), *hi = expr_bind(x, n->rexpr->list->items[1]);
    const Span at = span_join(e->at, hi->at);

    expr_share(q, e, 2);
    Expr *l = expr_compare(q, negated ? OP_lt : OP_ge, e, lo, at);
    Expr *h = expr_compare(q, negated ? OP_gt : OP_le, e, hi, at);
    return expr_at(ex2(q->a, negated ? OP_or : OP_and, l, h), at);
}

static Expr *two_operands(Ctx *x, const PgQuery__AExpr *n, Op op)
{
    Expr *l = expr_bind(x, n->lexpr), *r = expr_bind(x, n->rexpr);
    const Span at = span_join(l->at, r->at);

    if (op == OP_nullif)
        return expr_mix(x->q, op, (Expr *[]){ expr_plain(x->q->a, l), expr_plain(x->q->a, r) }, 2,
                        "NULLIF", at);
    return expr_compare(x->q, op, l, r, at);
}

static Expr *a_expr(Ctx *x, const PgQuery__AExpr *n)
{
    Query *q = x->q;
    const Span at = bind_span(q->b, n->location, 0);

    switch ((int)n->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP: return operator_expr(x, n);
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT: return two_operands(x, n, OP_differ);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT: return two_operands(x, n, OP_same);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF: return two_operands(x, n, OP_nullif);
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        if (n->rexpr && n->rexpr->node_case == PG_QUERY__NODE__NODE_LIST)
            return in_values(x, n);
        break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN: return between(x, n, false);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN: return between(x, n, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE: case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
        diag_fail(q->b->c, ERR_expr_operator, at,
                  "the language has no pattern matching; compare with =, < or IN");
    }
    diag_fail(q->b->c, ERR_expr_unsupported, at,
              "this form of comparison is not in the language; use = < > BETWEEN IN");
}

/* AND or OR of several; nested ones of the same kind are flattened, as the printed form reads back. */
Expr *expr_junction(Query *q, Op op, Expr *const *arg, int n)
{
    Expr **flat = NULL;
    int m = 0;

    for (int k = 0; k < n; k++)
        for (int j = 0; j < (arg[k]->op == op ? arg[k]->n_args : 1); j++)
            VEC_PUSH(q->a, flat, m, arg[k]->op == op ? arg[k]->arg[j] : arg[k]);
    return ex_exprs(q->a, op, flat, m);
}

/* The comparison that holds where e does not, and is NULL where e is; OP_not: none.  Of a NaN neither < nor >= holds. */
static Op opposite(const Expr *e)
{
    static const struct { Op op, not; bool nan; } pair[] = {
        { OP_eq, OP_ne, true }, { OP_same, OP_differ, true }, { OP_is_null, OP_not_null, true }, { OP_lt, OP_ge, false },
        { OP_le, OP_gt, false },
    };

    for (size_t k = 0; k < COUNT_OF(pair); k++)
        if ((e->op == pair[k].op || e->op == pair[k].not) && (pair[k].nan || e->arg[0]->type != T_REAL))
            return e->op == pair[k].op ? pair[k].not : pair[k].op;
    return OP_not;
}

/* NOT goes as far in as it can: conditions joined by AND are looked at one by one. */
static Expr *expr_not(Query *q, Expr *e)
{
    const Op op = opposite(e);

    if (op != OP_not)
        return ex_exprs(q->a, op, e->arg, e->n_args);
    if (e->op == OP_not)
        return e->arg[0];
    if (e->op != OP_and && e->op != OP_or)
        return ex1(q->a, OP_not, e);
    Expr **arg = ARENA_ARRAY(q->a, Expr *, e->n_args + 1);
    for (int k = 0; k < e->n_args; k++)
        arg[k] = expr_at(expr_not(q, e->arg[k]), e->arg[k]->at);
    return expr_junction(q, e->op == OP_and ? OP_or : OP_and, arg, e->n_args);
}

static Expr *bool_expr(Ctx *x, const PgQuery__BoolExpr *n)
{
    Query *q = x->q;
    const bool is_not = n->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR;
    const bool is_and = n->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
    Expr **arg = ARENA_ARRAY(q->a, Expr *, n->n_args + 1);

    if (is_not && n->args[0]->node_case == PG_QUERY__NODE__NODE_SUB_LINK)
        return subquery_bind(x, n->args[0]->sub_link, true);
    for (size_t k = 0; k < n->n_args; k++)
        arg[k] = condition(q, expr_bind(x, n->args[k]), is_not ? "NOT" : is_and ? "AND" : "OR");
    const Span at = span_join(is_not ? bind_span(q->b, n->location, 0) : arg[0]->at,
                              arg[n->n_args - 1]->at);
    if (is_not)
        return expr_at(expr_not(q, arg[0]), at);
    return expr_at(expr_junction(q, is_and ? OP_and : OP_or, arg, (int)n->n_args), at);
}

/* ---- CASE, COALESCE, CAST, tests ---- */

static Expr *case_expr(Ctx *x, const PgQuery__CaseExpr *n)
{
    Query *q = x->q;
    const int n_when = (int)n->n_args;
    Expr **arg = ARENA_ARRAY(q->a, Expr *, 2 * n_when + 1),
         **res = ARENA_ARRAY(q->a, Expr *, n_when + 1);
    Expr *of = n->arg ? expr_bind(x, n->arg) : NULL;
    const Span at = span_case(q, n->location);

    if (of)
        expr_share(q, of, n_when);
    for (int k = 0; k < n_when; k++) {
        const PgQuery__CaseWhen *w = n->args[k]->case_when;
        Expr *e = expr_bind(x, w->expr);
        arg[2 * k] = of ? expr_compare(q, OP_eq, of, e, e->at) : condition(q, e, "WHEN");
        res[k] = expr_bind(x, w->result);
    }
    res[n_when] = n->defresult ? expr_bind(x, n->defresult) : ex_null(q->a, T_NULL);
    unify(q, res, n_when + 1, "CASE");
    for (int k = 0; k < n_when; k++)
        arg[2 * k + 1] = res[k];
    arg[2 * n_when] = res[n_when];
    return expr_at(ex_exprs(q->a, OP_cond, arg, 2 * n_when + 1), at);
}

static Expr *coalesce_expr(Ctx *x, const PgQuery__CoalesceExpr *n)
{
    Query *q = x->q;
    Expr **arg = ARENA_ARRAY(q->a, Expr *, n->n_args + 1);

    for (size_t k = 0; k < n->n_args; k++)
        arg[k] = expr_bind(x, n->args[k]);
    const Span at = span_call(q, n->location);
    return n->n_args == 1 ? arg[0] : expr_mix(q, OP_coalesce, arg, (int)n->n_args, "COALESCE", at);
}

static Type cast_type(Query *q, const PgQuery__TypeName *t, Span at)
{
    static const struct { const char *name; Type type; } table[] = {
        { "int2", T_INT }, { "int4", T_INT }, { "int8", T_INT }, { "float4", T_REAL }, { "float8", T_REAL },
        { "numeric", T_REAL }, { "double", T_REAL }, { "text", T_TEXT }, { "varchar", T_TEXT }, { "bool", T_BOOL },
    };
    const char *name = t->n_names ? node_string(t->names[t->n_names - 1]) : NULL;

    if (t->n_typmods || t->n_array_bounds || t->setof)
        diag_fail(q->b->c, ERR_expr_cast, at,
                  "CAST takes a plain type, without size or brackets; round with ROUND");
    for (size_t k = 0; name && k < COUNT_OF(table); k++)
        if (!strcmp(name, table[k].name))
            return table[k].type;
    diag_fail(q->b->c, ERR_expr_cast, at,
              "CAST has no type %s; it has INTEGER, REAL, TEXT, BOOLEAN",
              name ? name : "of this kind");
}

static Expr *cast_to(Ctx *x, Expr *e, Type t, Span at)
{
    Query *q = x->q;

    if (e->type == t)
        return e;
    if (e->op == OP_lit_null)
        return ex_null(q->a, t);
    if (t == T_TEXT && (e->type == T_REAL || q->resolve))
        diag_fail(q->b->c, ERR_expr_cast, at,
                  "a REAL is not cast to TEXT, since databases write it differently; CAST to "
                  "INTEGER first");
    if (t == T_TEXT && e->op == OP_lit_int)
        return ex_text(q->a, arena_printf(q->a, "%lld", (long long)e->i));
    if (t == T_BOOL)
        return expr_compare(q, OP_ne, expr_num(q, e, "CAST to BOOLEAN"), ex_int(q->a, 0), at);
    if (e->type == T_BOOL)
        e = expr_plain(q->a, e);
    return t == T_TEXT ? ex1(q->a, OP_to_text, e) : t == T_REAL ? ex1(q->a, OP_to_real, e)
         : e->type == T_INT ? e : ex1(q->a, OP_to_int, e);
}

static Expr *type_cast(Ctx *x, const PgQuery__TypeCast *n)
{
    Query *q = x->q;
    const Span type_at = bind_span(q->b, n->type_name->location, 0);
    const Type t = cast_type(q, n->type_name, type_at);
    Expr *e = expr_bind(x, n->arg);
    const Span call = span_call(q, n->location);        /* CAST(…); for e::type only a token */
    const Span at = call.len > 4 ? call : span_join(e->at, type_at);
    Expr *copy = ARENA_NEW(q->a, Expr);

    *copy = *cast_to(x, e, t, at);
    return expr_at(copy, at);
}

static Expr *is_null_test(Ctx *x, const PgQuery__NullTest *n)
{
    Query *q = x->q;
    const bool is = n->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    Expr *e = expr_bind(x, n->arg);

    if (e->op == OP_lit_null)
        e = expr_convert(q->a, e, T_INT);
    return expr_at(ex1(q->a, is ? OP_is_null : OP_not_null, expr_plain(q->a, e)),
                   span_join(e->at, bind_span(q->b, n->location, 0)));
}

/* IS TRUE and the like are never NULL: CASE says so. */
static Expr *bool_test(Ctx *x, const PgQuery__BooleanTest *n)
{
    Query *q = x->q;
    Expr *e = condition(q, expr_bind(x, n->arg), "IS TRUE");
    const Span at = span_join(e->at, bind_span(q->b, n->location, 0));
    const int t = (int)n->booltesttype;
    const bool of_false = t == PG_QUERY__BOOL_TEST_TYPE__IS_FALSE ||
                          t == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE;
    const bool yes = t == PG_QUERY__BOOL_TEST_TYPE__IS_TRUE ||
                     t == PG_QUERY__BOOL_TEST_TYPE__IS_FALSE;

    if (t == PG_QUERY__BOOL_TEST_TYPE__IS_UNKNOWN || t == PG_QUERY__BOOL_TEST_TYPE__IS_NOT_UNKNOWN)
        return expr_at(ex1(q->a,
                           t == PG_QUERY__BOOL_TEST_TYPE__IS_UNKNOWN ? OP_is_null : OP_not_null,
                           expr_plain(q->a, e)),
                       at);
    Expr *arg[3] = { of_false ? ex1(q->a, OP_not, e) : e, yes ? expr_true(q->a) : expr_false(q->a),
                     yes ? expr_false(q->a) : expr_true(q->a) };
    return expr_at(ex_exprs(q->a, OP_cond, arg, 3), at);
}

/* ---- the walk ---- */

static Expr *bind_kind(Ctx *x, const Node *n)
{
    Query *q = x->q;

    switch ((int)n->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF: return scope_column(x, n->column_ref);
    case PG_QUERY__NODE__NODE_A_CONST: return constant(x, n->a_const);
    case PG_QUERY__NODE__NODE_PARAM_REF: return bind_param_ref(q->b, n->param_ref->location);
    case PG_QUERY__NODE__NODE_A_EXPR: return a_expr(x, n->a_expr);
    case PG_QUERY__NODE__NODE_BOOL_EXPR: return bool_expr(x, n->bool_expr);
    case PG_QUERY__NODE__NODE_FUNC_CALL: return func_call(x, n->func_call);
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR: return func_minmax(x, n->min_max_expr);
    case PG_QUERY__NODE__NODE_CASE_EXPR: return case_expr(x, n->case_expr);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: return coalesce_expr(x, n->coalesce_expr);
    case PG_QUERY__NODE__NODE_TYPE_CAST: return type_cast(x, n->type_cast);
    case PG_QUERY__NODE__NODE_NULL_TEST: return is_null_test(x, n->null_test);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST: return bool_test(x, n->boolean_test);
    case PG_QUERY__NODE__NODE_SUB_LINK: return subquery_bind(x, n->sub_link, false);
    }
    const Span at = node_span(q, n);
    diag_fail(q->b->c, ERR_expr_unsupported, at, "%s is not an expression of the language",
              src_text(q, at));
}

Expr *expr_bind(Ctx *x, const Node *n)
{
    if (!n)
        diag_fail(x->q->b->c, ERR_expr_unsupported, bind_span(x->q->b, -1, 0),
                  "an expression is missing");
    if (x->depth >= MAX_NESTING)
        diag_fail(x->q->b->c, ERR_expr_size, node_span(x->q, n),
                  "the expression is nested more than %d deep", MAX_NESTING);
    x->depth++;
    Expr *e = bind_kind(x, n);
    x->depth--;
    return e;
}

Expr *bind_expr_over(Binder *b, Block *rel, const Node *n)
{
    Query *q = query_new(NULL, b, NULL);
    const Span at = rel->name_at;
    Tab *t = NULL;

    blk_add_source(b->p, q->d, rel, JOIN_inner, rel->name);
    t = scope_add_tab(q, scope_tab_of(q, rel, 0, rel->name, at));
    vis_add_tab(q, &q->vis, t);
    Ctx x = { .q = q, .clause = "CHECK" };
    return expr_bind(&x, n);
}

Expr *bind_scalar(Binder *b, const Node *n, Resolve resolve, void *arg, const char *const *names,
                  int n_names)
{
    Query *q = query_new(NULL, b, NULL);

    q->resolve = resolve;
    q->resolve_arg = arg;
    q->resolve_name = names;
    q->n_resolve_names = n_names;
    Ctx x = { .q = q, .clause = "this expression" };
    return expr_bind(&x, n);
}
