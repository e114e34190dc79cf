/* SPDX-License-Identifier: Apache-2.0
 *
 * func.c - function calls: the scalar functions of the language, and the aggregates as sums, counts, minima
 * and maxima (AVG and VARIANCE are expressions over those). */
#include "front/query.h"

typedef struct FuncInfo { const char *name; Op op; int n_args; } FuncInfo;

static const FuncInfo scalar_func[] = {
    { "abs", OP_abs, 1 }, { "sign", OP_sign, 1 }, { "exp", OP_exp, 1 }, { "ln", OP_ln, 1 }, { "log10", OP_log10, 1 },
    { "sqrt", OP_sqrt, 1 }, { "pow", OP_pow, 2 }, { "power", OP_pow, 2 }, { "sin", OP_sin, 1 }, { "cos", OP_cos, 1 },
    { "tan", OP_tan, 1 }, { "tanh", OP_tanh, 1 }, { "atan", OP_atan, 1 }, { "floor", OP_floor, 1 },
    { "ceil", OP_ceil, 1 }, { "ceiling", OP_ceil, 1 }, { "mod", OP_mod, 2 },
};

typedef enum AggKind {
    KIND_sum, KIND_count, KIND_min, KIND_max, KIND_avg, KIND_var, KIND_var_pop, KIND_sd, KIND_sd_pop
} AggKind;

static const struct { const char *name; AggKind kind; } agg_func[] = {
    { "sum", KIND_sum }, { "count", KIND_count }, { "min", KIND_min }, { "max", KIND_max }, { "avg", KIND_avg },
    { "variance", KIND_var }, { "var_samp", KIND_var }, { "var_pop", KIND_var_pop }, { "stddev", KIND_sd },
    { "stddev_samp", KIND_sd }, { "stddev_pop", KIND_sd_pop },
};

static const char *const other_func[] = { "log", "log2", "round", "ifnull", "iif", "pi", "greatest", "least", "coalesce",
                                          "nullif", "row_number" };

/* What others have as functions is written out. */
static const struct { const char *name, *as; } written_so[] = {
    { "sigmoid", "1 / (1 + EXP(-x))" }, { "softplus", "LN(1 + EXP(x))" }, { "square", "x * x" },
    { "log1p", "LN(1 + x)" }, { "expm1", "EXP(x) - 1" },
    { "cbrt", "POW(x, 1.0 / 3)" }, { "sinh", "(EXP(x) - EXP(-x)) / 2" }, { "cosh", "(EXP(x) + EXP(-x)) / 2" },
    { "trunc", "CAST(x AS INTEGER)" }, { "if", "CASE WHEN … THEN … ELSE … END" },
    { "total", "COALESCE(SUM(x), 0.0)" }, { "bool_or", "MAX(CASE WHEN … THEN 1 ELSE 0 END)" },
    { "random", "-- @noise(uniform(0, 1)) before a CREATE TABLE" }, { "rand", "-- @noise(uniform(0, 1)) before a CREATE TABLE" },
    { "randn", "-- @noise(normal(0, 1)) before a CREATE TABLE" },
    { "generate_series", "a table of keys: -- @range before CREATE TABLE t (k INTEGER CHECK (k BETWEEN 1 AND 9))" },
};

static int find_agg(const char *name, size_t n_args)
{
    for (size_t k = 0; k < COUNT_OF(agg_func); k++)
        if (!strcmp(name, agg_func[k].name))
            return (agg_func[k].kind == KIND_min || agg_func[k].kind == KIND_max) && n_args > 1
                       ? -1
                       : (int)k;
    return -1;
}

static const char *func_name(const PgQuery__FuncCall *f)
{
    const char *name = f->n_funcname ? node_string(f->funcname[f->n_funcname - 1]) : NULL;

    return name && (f->n_funcname == 1 || !strcmp(node_string(f->funcname[0]), "pg_catalog"))
               ? name
               : NULL;
}

/* ---- does a tree hold an aggregate or a window? ---- */

static bool any_aggregates(Node *const *n, size_t count)
{
    for (size_t k = 0; k < count; k++)
        if (func_node_aggregates(n[k]))
            return true;
    return false;
}

bool func_node_aggregates(const Node *n)
{
    const char *name;

    if (!n)
        return false;
    switch ((int)n->node_case) {
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        name = func_name(n->func_call);
        return n->func_call->over || (name && find_agg(name, n->func_call->n_args) >= 0) ||
               any_aggregates(n->func_call->args, n->func_call->n_args);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return func_node_aggregates(n->a_expr->lexpr) || func_node_aggregates(n->a_expr->rexpr);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return any_aggregates(n->bool_expr->args, n->bool_expr->n_args);
    case PG_QUERY__NODE__NODE_LIST: return any_aggregates(n->list->items, n->list->n_items);
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return func_node_aggregates(n->case_expr->arg) ||
               func_node_aggregates(n->case_expr->defresult) ||
               any_aggregates(n->case_expr->args, n->case_expr->n_args);
    case PG_QUERY__NODE__NODE_CASE_WHEN:
        return func_node_aggregates(n->case_when->expr) ||
               func_node_aggregates(n->case_when->result);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return any_aggregates(n->coalesce_expr->args, n->coalesce_expr->n_args);
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return any_aggregates(n->min_max_expr->args, n->min_max_expr->n_args);
    case PG_QUERY__NODE__NODE_TYPE_CAST: return func_node_aggregates(n->type_cast->arg);
    case PG_QUERY__NODE__NODE_NULL_TEST: return func_node_aggregates(n->null_test->arg);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST: return func_node_aggregates(n->boolean_test->arg);
    }
    return false;
}

/* ---- scalar functions ---- */

/* Function names are shown in capitals, however they were written. */
static const char *capitals(Query *q, const char *name)
{
    char *s = arena_strdup(q->a, name);

    for (char *p = s; *p; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
    return s;
}

static void need_args(Query *q, const char *name, size_t have, int want, Span at)
{
    if ((int)have != want)
        diag_fail(q->b->c, ERR_expr_arguments, at, "%s takes %d argument%s, not %d",
                  capitals(q, name), want, want == 1 ? "" : "s", (int)have);
}

static bool noted_in_stmt(const Query *q, const char *id)
{
    const Compile *c = q->b->c;

    for (int k = 0; k < c->n_diags; k++) {
        const Span d = c->diag[k].at, s = q->b->stmt ? q->b->stmt->at : (Span){ 0 };
        if (c->diag[k].id == id && d.file == s.file && d.off >= s.off && d.off < s.off + s.len)
            return true;
    }
    return false;
}

static Expr *logarithm(Query *q, Expr **arg, size_t n, Span at)
{
    if (n == 2)
        return ex2(q->a, OP_div, ex1(q->a, OP_ln, arg[1]), ex1(q->a, OP_ln, arg[0]));
    need_args(q, "LOG", n, 1, at);
    if (!noted_in_stmt(q, ERR_note_log))
        diag_note(q->b->c, ERR_note_log, at,
                  "LOG is the natural logarithm here (base 10 in SQLite and PostgreSQL); "
                  "LN and LOG10 mean the same everywhere");
    return ex1(q->a, OP_ln, arg[0]);
}

static Expr *rounded(Query *q, Expr **arg, size_t n, Span at)
{
    if (n != 1 && n != 2)
        need_args(q, "ROUND", n, 1, at);
    if (n == 2 && (arg[1]->op != OP_lit_int || arg[1]->i < 0 || arg[1]->i > 15))
        diag_fail(q->b->c, ERR_expr_arguments, arg[1]->at,
                  "the second argument of ROUND is a number from 0 to 15, written out");
    return arg[0]->type == T_INT ? arg[0]
                                 : ex2(q->a, OP_round, arg[0], n == 2 ? arg[1] : ex_int(q->a, 0));
}

/* FLOOR and CEIL leave an integer what it is; % and MOD want integers. */
static Expr *plain_func(Query *q, const FuncInfo *f, Expr **arg, size_t n, Span at)
{
    need_args(q, f->name, n, f->n_args, at);
    if ((f->op == OP_floor || f->op == OP_ceil) && arg[0]->type == T_INT)
        return arg[0];
    if (f->op == OP_mod && (arg[0]->type == T_REAL || arg[1]->type == T_REAL))
        diag_fail(q->b->c, ERR_expr_type, at,
                  "MOD takes integers, and %s is REAL; databases disagree about it",
                  src_text(q, arg[arg[0]->type == T_REAL ? 0 : 1]->at));
    return ex_exprs(q->a, f->op, arg, (int)n);
}

NORETURN static void fail_function(Query *q, const char *name, Span at)
{
    const char *all[COUNT_OF(scalar_func) + COUNT_OF(agg_func) + COUNT_OF(other_func)];
    int n = 0;

    for (size_t k = 0; k < COUNT_OF(scalar_func); k++) all[n++] = scalar_func[k].name;
    for (size_t k = 0; k < COUNT_OF(agg_func); k++) all[n++] = agg_func[k].name;
    for (size_t k = 0; k < COUNT_OF(other_func); k++) all[n++] = other_func[k];
    const char *near = nearest_name(name, all, n);
    if (near)
        diag_fail(q->b->c, ERR_expr_function, at,
                  "the language has no function %s; did you mean %s", capitals(q, name),
                  capitals(q, near));
    for (size_t k = 0; k < COUNT_OF(written_so); k++)
        if (!strcmp(name, written_so[k].name))
            diag_fail(q->b->c, ERR_expr_function, at, "the language has no function %s; write %s", capitals(q, name),
                      written_so[k].as);
    diag_fail(q->b->c, ERR_expr_function, at,
              "the language has no function %s; it has ABS SIGN EXP LN LOG LOG10 SQRT POW SIN COS "
              "TAN TANH ATAN FLOOR "
              "CEIL ROUND MOD GREATEST LEAST COALESCE NULLIF, and the aggregates",
              capitals(q, name));
}

/* Functions whose arguments are not all numbers. */
static Expr *mixed_func(Query *q, const char *name, Expr **arg, size_t n, Span at)
{
    if (!strcmp(name, "ifnull") || !strcmp(name, "coalesce")) {
        need_args(q, name, n, 2, at);
        return expr_mix(q, OP_coalesce, arg, 2, capitals(q, name), at);
    }
    if (!strcmp(name, "iif")) {
        need_args(q, name, n, 3, at);
        Expr *res[3] = { ex_null(q->a, T_NULL), arg[1], arg[2] };
        Expr *both = expr_mix(q, OP_coalesce, &res[1], 2, capitals(q, name),
                              at); /* only to give them one type */
        if (arg[0]->type != T_BOOL)
            diag_fail(q->b->c, ERR_expr_condition, arg[0]->at,
                      "IIF needs a condition, and %s is %s", src_text(q, arg[0]->at),
                      type_name[arg[0]->type]);
        return ex_exprs(q->a, OP_cond, (Expr *[]){ arg[0], both->arg[0], both->arg[1] }, 3);
    }
    return NULL;
}

static Expr *numeric_func(Query *q, const char *name, Expr **arg, size_t n, Span at)
{
    for (size_t k = 0; k < n; k++)
        arg[k] = expr_num(q, arg[k], capitals(q, name));
    if (!strcmp(name, "log"))
        return logarithm(q, arg, n, at);
    if (!strcmp(name, "round"))
        return rounded(q, arg, n, at);
    if (!strcmp(name, "log2") && n == 1)
        return ex2(q->a, OP_div, ex1(q->a, OP_ln, arg[0]), ex1(q->a, OP_ln, ex_real(q->a, 2.0)));
    if (!strcmp(name, "pi") && n == 0)
        return ex_real(q->a, 3.14159265358979323846);
    if ((!strcmp(name, "max") || !strcmp(name, "min")) && n > 1)
        return ex_exprs(q->a, *name == 'm' && name[1] == 'a' ? OP_max : OP_min, arg, (int)n);
    for (size_t k = 0; k < COUNT_OF(scalar_func); k++)
        if (!strcmp(name, scalar_func[k].name))
            return plain_func(q, &scalar_func[k], arg, n, at);
    fail_function(q, name, at);
}

/* Of a dump: what @noise became. */
static Expr *draw_call(Query *q, Expr **arg, size_t n, Span at)
{
    bool ok = n >= DRAW_KEYS && arg[0]->op == OP_lit_int && arg[1]->type == T_INT && arg[2]->type == T_INT;

    for (size_t k = DRAW_KEYS; k < n; k++)
        ok &= arg[k]->type == T_INT || arg[k]->type == T_TEXT;
    if (!ok)
        diag_fail(q->b->c, ERR_expr_arguments, at, "SQLGRAD_DRAW takes a stream, a seed, a step, and keys");
    return ex_new(q->a, OP_draw, T_REAL, (int)n, arg);
}

static bool known_function(const char *name)
{
    for (size_t k = 0; k < COUNT_OF(scalar_func); k++)
        if (!strcmp(name, scalar_func[k].name))
            return true;
    for (size_t k = 0; k < COUNT_OF(other_func); k++)
        if (!strcmp(name, other_func[k]))
            return true;
    return find_agg(name, 1) >= 0;
}

static Expr *scalar_call(Ctx *x, const PgQuery__FuncCall *f, const char *name, Span at)
{
    Query *q = x->q;
    Expr **arg = ARENA_ARRAY(q->a, Expr *, f->n_args + 1);
    const Span whole = span_call(q, f->location);

    const bool draw = q->b->scan->canonical && !strcmp(name, "sqlgrad_draw");
    if (!draw && !known_function(name))
        fail_function(q, name, at);
    if (f->agg_star || f->agg_distinct || f->agg_filter)
        diag_fail(q->b->c, ERR_expr_arguments, at,
                  "*, DISTINCT and FILTER belong to aggregates, and this %s is none",
                  capitals(q, name));
    for (size_t k = 0; k < f->n_args; k++)
        arg[k] = expr_bind(x, f->args[k]);
    Expr *e = draw ? draw_call(q, arg, f->n_args, whole) : mixed_func(q, name, arg, f->n_args, whole);
    e = e ? e : numeric_func(q, name, arg, f->n_args, whole);
    Expr *copy = ARENA_NEW(q->a, Expr);
    *copy = *e;
    return expr_at(copy, whole);
}

Expr *func_minmax(Ctx *x, const PgQuery__MinMaxExpr *m)
{
    Query *q = x->q;
    const bool greatest = m->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST;
    Expr **arg = ARENA_ARRAY(q->a, Expr *, m->n_args + 1);

    for (size_t k = 0; k < m->n_args; k++)
        arg[k] = expr_num(q, expr_bind(x, m->args[k]), greatest ? "GREATEST" : "LEAST");
    const Span at = span_call(q, m->location);
    if (m->n_args == 1)
        return arg[0];
    return expr_at(ex_exprs(q->a, greatest ? OP_max : OP_min, arg, (int)m->n_args), at);
}

/* ---- aggregates ---- */

/* Where the sums and counts of an aggregate go: to the groups, or to a window. */
typedef struct Sink { Query *q; const WinUse *over; bool distinct; Span at; } Sink;

static Expr *sink_agg(Sink *s, Agg fn, Expr *arg)
{
    Query *q = s->q;
    const Type t = fn == AGG_count ? T_INT : arg->type;

    if (fn == AGG_count && arg && !arg->nullable && !s->distinct)
        arg = NULL;
    if (s->over) {
        WinUse w = *s->over;
        w.fn = fn;
        w.arg = arg;
        w.part = ARENA_ARRAY(q->a, Expr *, w.n_part + 1); /* each window is rewritten by itself */
        if (w.n_part)
            memcpy(w.part, s->over->part, (size_t)w.n_part * sizeof *w.part);
        VEC_PUSH(q->a, q->win, q->n_wins, w);
        return expr_placeholder(q, SRC_WIN, q->n_wins - 1, t, fn != AGG_count, s->at);
    }
    const bool nullable = fn != AGG_count && (q->n_keys == 0 || arg->nullable);
    return expr_placeholder(q, SRC_AGG, group_add_agg(q, fn, arg, s->distinct), t, nullable, s->at);
}

static Expr *average(Sink *s, Expr *arg)
{
    Arena *a = s->q->a;

    return ex2(a, OP_div, sink_agg(s, AGG_sum, ex_real_of(a, arg)),
               ex_real_of(a, sink_agg(s, AGG_count, arg)));
}

/* The mean that the squared differences are taken from: known before the aggregate itself. */
static Expr *mean_of(Sink *s, Expr *arg)
{
    Query *q = s->q;

    if (s->over)
        return average(s, arg);
    VEC_PUSH(q->a, q->mean, q->n_means, ((Mean){ arg, NULL }));
    return expr_placeholder(q, SRC_MEAN, q->n_means - 1, T_REAL, true, s->at);
}

static Expr *variance(Sink *s, Expr *arg, AggKind kind)
{
    Arena *a = s->q->a;
    const bool sample = kind == KIND_var || kind == KIND_sd;

    expr_share(s->q, arg, 4);
    Expr *diff = ex2(a, OP_sub, ex_real_of(a, arg), mean_of(s, arg));
    Expr *sum = sink_agg(s, AGG_sum, ex2(a, OP_mul, diff, diff)), *n = sink_agg(s, AGG_count, arg);
    if (sample) /* one value has no sample variance: NULL, as in SQL */
        n = ex2(a, OP_nullif, ex2(a, OP_sub, n, ex_int(a, 1)), ex_int(a, 0));
    Expr *v = ex2(a, OP_div, sum, ex_real_of(a, n));
    return kind == KIND_sd || kind == KIND_sd_pop ? ex1(a, OP_sqrt, v) : v;
}

static Expr *make_agg(Sink *s, AggKind kind, Expr *arg)
{
    if (arg && kind != KIND_count && kind != KIND_min && kind != KIND_max)
        arg = expr_num(s->q, arg, "this aggregate");
    else if (arg)
        arg = expr_plain(s->q->a, arg->type == T_NULL ? expr_convert(s->q->a, arg, T_INT) : arg);
    switch (kind) {
    case KIND_sum: return sink_agg(s, AGG_sum, arg);
    case KIND_count: return sink_agg(s, AGG_count, arg);
    case KIND_min: return sink_agg(s, AGG_min, arg);
    case KIND_max: return sink_agg(s, AGG_max, arg);
    case KIND_avg: return average(s, arg);
    case KIND_var: case KIND_var_pop: case KIND_sd: case KIND_sd_pop: return variance(s, arg, kind);
    }
    BUG("aggregate kind %d", (int)kind);
}

static Expr *agg_argument(Ctx *x, const PgQuery__FuncCall *f, AggKind kind, const char *name,
                          Span at)
{
    Query *q = x->q;
    Ctx inner = *x;
    Expr *arg = NULL;

    if (!f->over) {
        inner.aggs = inner.windows = inner.alias_first = inner.alias_last = false;
        inner.in_agg = true;
        inner.clause = "an aggregate";
    }
    if (f->agg_star ? kind != KIND_count : f->n_args != 1)
        diag_fail(q->b->c, ERR_expr_arguments, at, "%s takes one argument%s", name,
                  f->agg_star ? "; only COUNT takes *" : "");
    if (!f->agg_star)
        arg = expr_bind(&inner, f->args[0]);
    if (f->agg_filter) {
        Expr *c = expr_cond(&inner, f->agg_filter);
        arg = arg ? arg : ex_int(q->a, 1);
        arg = expr_plain(q->a, arg);
        arg = ex_exprs(q->a, OP_cond, (Expr *[]){ c, arg, ex_null(q->a, arg->type) }, 3);
        arg->at = at;
    }
    return arg;
}

static void check_agg_place(Ctx *x, const PgQuery__FuncCall *f, const char *name, Span at)
{
    Query *q = x->q;

    if (x->in_agg && !f->over)
        diag_fail(q->b->c, ERR_group_nested, at,
                  "%s inside an aggregate; compute the inner one in a subquery", name);
    if (!f->over && !x->aggs)
        diag_fail(q->b->c, ERR_group_place, at, "%s cannot stand in %s%s", name, x->clause,
                  !strcmp(x->clause, "WHERE") ? ", which is applied before grouping; write HAVING, "
                                                "or use a subquery"
                                              : "");
    if (f->n_agg_order || f->agg_within_group || f->func_variadic)
        diag_fail(q->b->c, ERR_expr_arguments, at, "%s takes no ORDER BY, WITHIN GROUP or VARIADIC",
                  name);
}

static Expr *agg_call(Ctx *x, const PgQuery__FuncCall *f, AggKind kind, const char *name,
                      const WinUse *over)
{
    Query *q = x->q;
    const Span at = span_call(q, f->location);

    check_agg_place(x, f, name, at);
    Expr *arg = agg_argument(x, f, kind, name, at);
    const bool distinct = f->agg_distinct && kind != KIND_min && kind != KIND_max;
    if (distinct && (kind != KIND_count || over || !arg))
        diag_fail(q->b->c, ERR_group_distinct, at,
                  "DISTINCT goes with COUNT, MIN and MAX only; for %s(DISTINCT …) use a "
                  "subquery with SELECT DISTINCT",
                  name);
    if (!over)
        q->grouped = true;
    Sink s = { q, over, distinct, at };
    return expr_at(make_agg(&s, kind, arg), at);
}

Expr *func_call(Ctx *x, const PgQuery__FuncCall *f)
{
    Query *q = x->q;
    const char *name = func_name(f);
    const Span at = bind_span(q->b, f->location, 0);

    if (!name)
        diag_fail(q->b->c, ERR_expr_function, at,
                  "a function of a schema is not part of the language");
    const int k = find_agg(name, f->n_args);
    if (f->over && k < 0)
        return window_call(x, f, name);
    if (f->over) {
        const WinUse over = window_spec(x, f);
        if (over.n_order)
            diag_fail(q->b->c, ERR_window_form, over.order[0].e->at,
                      "an aggregate OVER (… ORDER BY) would be a running one, "
                      "which the language does not have; leave ORDER BY out");
        return agg_call(x, f, agg_func[k].kind, capitals(q, name), &over);
    }
    if (k >= 0)
        return agg_call(x, f, agg_func[k].kind, capitals(q, name), NULL);
    if (!strcmp(name, "row_number"))
        diag_fail(q->b->c, ERR_window_form, at,
                  "ROW_NUMBER needs OVER (PARTITION BY … ORDER BY …)");
    return scalar_call(x, f, name, at);
}
