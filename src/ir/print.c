/* SPDX-License-Identifier: Apache-2.0
 *
 * print.c - expressions and queries as SQL.  One printer for every dialect: the Dialect row decides, the
 * code never asks which row it is.  The canonical row is what dumps and tests show: every column qualified,
 * every GROUP BY spelled out, joins explicit, parentheses only where precedence asks for them.  A dump runs
 * in sqlite3 and is read back by the front.
 *
 * Where an engine gives NULL instead of an infinity (x / 0, LN(0)), the row asks for guards; sign.c tells
 * where they are needed.  NaN is NULL in such an engine. */
#include "ir/ir.h"
#include "ir/keywords.h"

#include <math.h>
#include <string.h>

#define LINE_MAX_CHARS 100
#define GUARD_IN_LINE 8         /* larger operands get a name first; that costs no time, and text does not double */
#define UNION_CHUNK 400         /* SQLite takes 500 terms in a compound SELECT */

const Dialect dialect_canonical = {
    .name = "canonical", .real = "REAL", .integer = "INTEGER", .text = "TEXT", .ln = "LN", .max = "MAX",
    .min = "MIN", .idiv = "/", .same = "IS NOT DISTINCT FROM", .differ = "IS DISTINCT FROM",
};

typedef struct Printer { Buf *out; const Block *b; const Dialect *d; } Printer;

/* How tightly a printed form binds; a smaller one inside a larger one needs parentheses. */
typedef enum Prec { PREC_or = 1, PREC_and, PREC_not, PREC_cmp, PREC_add, PREC_mul, PREC_neg, PREC_atom } Prec;

static void put_expr(Printer *p, const Expr *e, Prec min);

/* ---- names ---- */

static bool is_keyword(const char *name)
{
    size_t lo = 0, hi = COUNT_OF(sql_keywords);

    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        const int c = strcmp(name, sql_keywords[mid]);
        if (c == 0)
            return true;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return false;
}

static bool is_plain_name(const char *name)
{
    if (!*name || (*name >= '0' && *name <= '9'))
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) && !is_keyword(name);
}

void print_name(Buf *out, const char *name, const Dialect *d)
{
    if (!d->script && is_plain_name(name))
        buf_puts(out, name);
    else
        buf_ident(out, name);
}

void print_comment(Buf *out, const char *text)
{
    for (; *text; text++)
        buf_putc(out, (unsigned char)*text < ' ' ? ' ' : *text);
}

static void put_column(Printer *p, int src, int col)
{
    const Block *b = p->b;

    if (b->kind == BLK_base) {                      /* a CHECK: the table itself */
        print_name(p->out, b->col[col].name, p->d);
        return;
    }
    print_name(p->out, b->src[src].alias, p->d);
    buf_putc(p->out, '.');
    print_name(p->out, b->src[src].rel->col[col].name, p->d);
}

static const char *type_in(const Dialect *d, Type t)
{
    return t == T_REAL ? d->real : t == T_TEXT ? d->text : d->integer;
}

/* ---- expressions ---- */

static bool real_is_negative(const Expr *e)
{
    return e->op == OP_lit_real && !isnan(e->r) && signbit(e->r);
}

static Prec prec_of(const Expr *e)
{
    switch (e->op) {
    case OP_or: return PREC_or;
    case OP_and: return PREC_and;
    case OP_not: return PREC_not;
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same: case OP_differ:
    case OP_is_null: case OP_not_null: case OP_in:
        return PREC_cmp;
    case OP_add: case OP_sub: return PREC_add;
    case OP_mul: case OP_div: case OP_idiv: case OP_mod: return PREC_mul;
    case OP_neg: return PREC_neg;
    case OP_lit_int: return e->i == INT64_MIN ? PREC_add : e->i < 0 ? PREC_neg : PREC_atom;
    case OP_lit_real: return real_is_negative(e) ? PREC_neg : PREC_atom;
    case OP_col: case OP_lit_text: case OP_lit_null: case OP_var: case OP_abs: case OP_sign: case OP_exp:
    case OP_ln: case OP_log10: case OP_sqrt: case OP_pow: case OP_sin: case OP_cos: case OP_tan: case OP_tanh:
    case OP_atan: case OP_floor: case OP_ceil: case OP_round: case OP_draw: case OP_max: case OP_min: case OP_cond:
    case OP_coalesce: case OP_nullif: case OP_to_int: case OP_to_real: case OP_to_text:
        return PREC_atom;
    }
    BUG("prec_of: operator %d", (int)e->op);
}

static void put_int(Buf *out, const Expr *e)
{
    if (e->type == T_BOOL)
        buf_puts(out, e->i ? "TRUE" : "FALSE");
    else if (e->i == INT64_MIN)                     /* not one literal in either parser */
        buf_puts(out, "-9223372036854775807 - 1");
    else
        buf_printf(out, "%lld", (long long)e->i);
}

static void put_list(Printer *p, Expr *const *e, int n)
{
    for (int k = 0; k < n; k++) {
        if (k)
            buf_puts(p->out, ", ");
        put_expr(p, e[k], PREC_or);
    }
}

static void put_call(Printer *p, const char *name, const Expr *e)
{
    buf_puts(p->out, name);
    buf_putc(p->out, '(');
    put_list(p, e->arg, e->n_args);
    buf_putc(p->out, ')');
}

static void put_infix(Printer *p, const Expr *e, const char *op, Prec left, Prec right)
{
    for (int k = 0; k < e->n_args; k++) {
        if (k)
            buf_printf(p->out, " %s ", op);
        put_expr(p, e->arg[k], k ? right : left);
    }
}

static void put_cast(Printer *p, const Expr *e, const char *type)
{
    buf_puts(p->out, "CAST(");
    put_expr(p, e, PREC_or);
    buf_printf(p->out, " AS %s)", type);
}

static void put_case(Printer *p, const Expr *e)
{
    buf_puts(p->out, "CASE");
    for (int k = 0; k + 1 < e->n_args; k += 2) {
        buf_puts(p->out, " WHEN ");
        put_expr(p, e->arg[k], PREC_or);
        buf_puts(p->out, " THEN ");
        put_expr(p, e->arg[k + 1], PREC_or);
    }
    buf_puts(p->out, " ELSE ");
    put_expr(p, e->arg[e->n_args - 1], PREC_or);
    buf_puts(p->out, " END");
}

static void put_in(Printer *p, const Expr *e, const char *op)
{
    put_expr(p, e->arg[0], PREC_add);
    buf_printf(p->out, " %s (", op);
    put_list(p, e->arg + 1, e->n_args - 1);
    buf_putc(p->out, ')');
}

static void put_postfix(Printer *p, const Expr *e)
{
    put_expr(p, e->arg[0], PREC_add);
    buf_printf(p->out, " %s", op_info[e->op].sql);
}

static void put_not(Printer *p, const Expr *e)
{
    if (e->arg[0]->op == OP_in) {
        put_in(p, e->arg[0], "NOT IN");
        return;
    }
    buf_puts(p->out, "NOT ");
    put_expr(p, e->arg[0], PREC_cmp);
}

static void put_function(Printer *p, const Expr *e)
{
    const char *sql = op_info[e->op].sql;           /* "ABS(" */
    char name[16];

    snprintf(name, sizeof name, "%.*s", (int)strlen(sql) - 1, sql);
    put_call(p, name, e);
}

/* The plain form of e, without guards. */
static void put_op(Printer *p, const Expr *e)
{
    const char *sql = op_info[e->op].sql;

    switch (e->op) {
    case OP_col: put_column(p, e->src, e->col); return;
    case OP_lit_int: put_int(p->out, e); return;
    case OP_lit_real: buf_real(p->out, e->r); return;
    case OP_lit_text: buf_text(p->out, e->s); return;
    case OP_lit_null: buf_puts(p->out, "NULL"); return;
    case OP_var: buf_printf(p->out, ":%s", e->s); return;
    case OP_neg: buf_putc(p->out, '-'); put_expr(p, e->arg[0], PREC_atom); return;
    case OP_add: case OP_sub: put_infix(p, e, sql, PREC_add, PREC_mul); return;
    case OP_mul: case OP_div: case OP_mod: put_infix(p, e, sql, PREC_mul, PREC_neg); return;
    case OP_idiv: put_infix(p, e, p->d->idiv, PREC_mul, PREC_neg); return;
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge:
        put_infix(p, e, sql, PREC_add, PREC_add);
        return;
    case OP_same: put_infix(p, e, p->d->same, PREC_add, PREC_add); return;
    case OP_differ: put_infix(p, e, p->d->differ, PREC_add, PREC_add); return;
    case OP_is_null: case OP_not_null: put_postfix(p, e); return;
    case OP_in: put_in(p, e, "IN"); return;
    case OP_and: put_infix(p, e, sql, PREC_not, PREC_not); return;
    case OP_or: put_infix(p, e, sql, PREC_and, PREC_and); return;
    case OP_not: put_not(p, e); return;
    case OP_ln: put_call(p, p->d->ln, e); return;
    case OP_max: put_call(p, p->d->max, e); return;
    case OP_min: put_call(p, p->d->min, e); return;
    case OP_cond: put_case(p, e); return;
    case OP_to_int: put_cast(p, e->arg[0], p->d->integer); return;
    case OP_to_real: put_cast(p, e->arg[0], p->d->real); return;
    case OP_to_text: put_cast(p, e->arg[0], p->d->text); return;
    case OP_abs: case OP_sign: case OP_exp: case OP_log10: case OP_sqrt: case OP_pow: case OP_sin:
    case OP_cos: case OP_tan: case OP_tanh: case OP_atan: case OP_floor: case OP_ceil: case OP_round:
    case OP_coalesce: case OP_nullif: case OP_draw:
        put_function(p, e);
        return;
    }
    BUG("put_op: operator %d", (int)e->op);
}

/* ---- guards ---- */

static bool needs_guard(const Printer *p, const Expr *e)
{
    if (e->op == OP_div)
        return (ex_signs(p->b, e->arg[1]) & SIGN_zero) != 0;
    return (e->op == OP_ln || e->op == OP_log10) && (ex_signs(p->b, e->arg[0]) & SIGN_zero);
}

/* The size of e's text in nodes; a guard that stands in line doubles that of its operands. */
static int guarded_size(const Printer *p, const Expr *e)
{
    int n = 0;

    for (int k = 0; k < e->n_args; k++)
        n += guarded_size(p, e->arg[k]);
    return 1 + (needs_guard(p, e) && n <= GUARD_IN_LINE ? 2 * n : n);
}

/* x * infinity: NaN for zero. */
static void put_times_inf(Printer *p, const Expr *x)
{
    if (x->op == OP_lit_real && x->r != 0) {
        buf_real(p->out, x->r > 0 ? INFINITY : -INFINITY);
        return;
    }
    put_expr(p, x, PREC_mul);
    buf_puts(p->out, " * 9e999");
}

static void put_guarded_div(Printer *p, const Expr *e)
{
    buf_puts(p->out, "CASE WHEN ");
    put_expr(p, e->arg[1], PREC_add);
    buf_puts(p->out, " = 0.0 THEN ");
    put_times_inf(p, e->arg[0]);
    buf_puts(p->out, " ELSE ");
    put_infix(p, e, "/", PREC_mul, PREC_neg);
    buf_puts(p->out, " END");
}

static void put_guarded_log(Printer *p, const Expr *e)
{
    buf_puts(p->out, "CASE WHEN ");
    put_expr(p, e->arg[0], PREC_add);
    buf_puts(p->out, " = 0.0 THEN -9e999 ELSE ");
    put_op(p, e);
    buf_puts(p->out, " END");
}

/* The operands are named by a sub-select first, so that nested guards do not double the text each time. */
static void put_hoisted(Printer *p, const Expr *e)
{
    const bool div = e->op == OP_div;

    if (div)
        buf_puts(p->out, "(SELECT CASE WHEN _sg_y = 0.0 THEN _sg_x * 9e999 ELSE _sg_x / _sg_y END FROM (SELECT ");
    else
        buf_printf(p->out, "(SELECT CASE WHEN _sg_x = 0.0 THEN -9e999 ELSE %s(_sg_x) END FROM (SELECT ",
                   e->op == OP_ln ? p->d->ln : "LOG10");
    put_expr(p, e->arg[0], PREC_or);
    buf_puts(p->out, " AS _sg_x");
    if (div) {
        buf_puts(p->out, ", ");
        put_expr(p, e->arg[1], PREC_or);
        buf_puts(p->out, " AS _sg_y");
    }
    buf_puts(p->out, ") AS _sg_hoist)");
}

static void put_guard(Printer *p, const Expr *e)
{
    int n = 0;

    for (int k = 0; k < e->n_args; k++)
        n += guarded_size(p, e->arg[k]);
    if (n > GUARD_IN_LINE)
        put_hoisted(p, e);
    else if (e->op == OP_div)
        put_guarded_div(p, e);
    else
        put_guarded_log(p, e);
}

/* NULL in a LEFT source's REAL column may be a NaN, or say that no row was met: only a key column of that
 * source tells.  The column to ask, or -1. */
static int null_witness(const Printer *p, const Expr *e)
{
    if (e->op != OP_col || e->type != T_REAL || p->b->kind == BLK_base)
        return -1;
    const Block *r = p->b->src[e->src].rel;
    for (int c = 0; c < r->n_cols && !r->col[e->col].nullable; c++)
        if (r->col[c].type != T_REAL && !r->col[c].nullable)
            return c;
    return -1;
}

/* COALESCE of the arguments from k on.  What cannot be NULL must not be replaced by a default: it may be NaN. */
static void put_coalesce(Printer *p, const Expr *e, int k)
{
    const Expr *x = e->arg[k];
    const int witness = null_witness(p, x);

    if (!x->nullable || k == e->n_args - 1) {
        put_expr(p, x, PREC_atom);
        return;
    }
    if (witness < 0) {
        buf_puts(p->out, "COALESCE(");
        put_expr(p, x, PREC_or);
        buf_puts(p->out, ", ");
        put_coalesce(p, e, k + 1);
        buf_putc(p->out, ')');
        return;
    }
    buf_puts(p->out, "CASE WHEN ");
    put_column(p, x->src, witness);
    buf_puts(p->out, " IS NULL THEN ");
    put_coalesce(p, e, k + 1);
    buf_puts(p->out, " ELSE ");
    put_expr(p, x, PREC_or);
    buf_puts(p->out, " END");
}

/* IS [NOT] NULL of a REAL, where NaN is NULL and must not count; false: the plain form will do. */
static bool put_null_test(Printer *p, const Expr *e)
{
    const Expr *x = e->arg[0];
    const int witness = null_witness(p, x);

    if (x->type != T_REAL || (x->nullable && witness < 0))
        return false;
    if (!x->nullable) {
        buf_puts(p->out, e->op == OP_is_null ? "FALSE" : "TRUE");
        return true;
    }
    buf_putc(p->out, '(');
    put_column(p, x->src, witness);
    buf_printf(p->out, " %s)", op_info[e->op].sql);
    return true;
}

static void put_round_binary(Printer *p, const Expr *e)
{
    const double ten = pow(10.0, (double)e->arg[1]->i);

    buf_puts(p->out, "(ROUND(");
    put_expr(p, e->arg[0], PREC_mul);
    buf_puts(p->out, " * ");
    buf_real(p->out, ten);
    buf_puts(p->out, ") / ");
    buf_real(p->out, ten);
    buf_putc(p->out, ')');
}

/* Forms that this engine needs in place of the plain one; false: the plain one will do. */
static bool put_special(Printer *p, const Expr *e)
{
    const Dialect *d = p->d;

    if (d->guard_ieee && needs_guard(p, e))
        put_guard(p, e);
    else if (d->guard_ieee && e->op == OP_coalesce && e->type == T_REAL)
        put_coalesce(p, e, 0);
    else if (d->guard_ieee && (e->op == OP_is_null || e->op == OP_not_null))
        return put_null_test(p, e);
    else if (d->sign_is_int && e->op == OP_sign && e->type == T_REAL) {
        buf_puts(p->out, "CAST(");
        put_op(p, e);
        buf_printf(p->out, " AS %s)", d->real);
    } else if (d->round_binary && e->op == OP_round && e->arg[1]->op == OP_lit_int && e->arg[1]->i)
        put_round_binary(p, e);
    else
        return false;
    return true;
}

static void put_expr(Printer *p, const Expr *e, Prec min)
{
    if (put_special(p, e))
        return;                                     /* all of them are atoms */
    const bool paren = prec_of(e) < min;
    if (paren)
        buf_putc(p->out, '(');
    put_op(p, e);
    if (paren)
        buf_putc(p->out, ')');
}

void print_expr(Buf *out, const Block *b, const Expr *e, const Dialect *d)
{
    put_expr(&(Printer){ out, b, d }, e, PREC_or);
}

/* ---- columns ---- */

/* NULL where some part is NULL: nothing inside replaces NULL by a value. */
static bool replaces_null(void *arg, const Expr *e)
{
    (void)arg;
    return e->op == OP_cond || e->op == OP_coalesce || e->op == OP_nullif || e->op == OP_is_null ||
           e->op == OP_not_null || e->op == OP_same || e->op == OP_differ || e->op == OP_in;
}

static int put_not_nulls(Printer *p, const Expr *e, int n)
{
    if (e->op == OP_col && e->nullable) {
        buf_puts(p->out, n ? " AND " : "CASE WHEN ");
        put_op(p, e);
        buf_puts(p->out, " IS NOT NULL");
        return n + 1;
    }
    for (int k = 0; k < e->n_args; k++)
        n = put_not_nulls(p, e->arg[k], n);
    return n;
}

/* An aggregate skips NULL, hence NaN: a NaN that the argument may give counts as an infinity, so that
 * the result is not finite either. */
static void put_agg_arg(Printer *p, const Col *k)
{
    const char *inf = k->agg == AGG_min ? "-9e999" : "9e999";
    const bool risky = p->d->guard_ieee && k->e->type == T_REAL && (ex_risk(p->b, k->e) & RISK_nan);

    if (!risky || (k->e->nullable && ex_any(k->e, replaces_null, NULL))) {
        put_expr(p, k->e, PREC_or);
        return;
    }
    buf_puts(p->out, "COALESCE(");
    put_expr(p, k->e, PREC_or);
    buf_puts(p->out, ", ");
    if (k->e->nullable && put_not_nulls(p, k->e, 0))
        buf_printf(p->out, " THEN %s END)", inf);
    else
        buf_printf(p->out, "%s)", inf);
}

static void put_agg(Printer *p, const Col *k)
{
    if (k->agg == AGG_count && (!k->e || (p->d->guard_ieee && !k->e->nullable))) {
        buf_puts(p->out, "COUNT(*)");
        return;
    }
    buf_puts(p->out, agg_info[k->agg].sql);
    buf_putc(p->out, '(');
    if (k->agg != AGG_count)
        put_agg_arg(p, k);
    else if (p->d->guard_ieee && null_witness(p, k->e) >= 0)
        put_column(p, k->e->src, null_witness(p, k->e));
    else
        put_expr(p, k->e, PREC_or);
    buf_putc(p->out, ')');
}

static bool names_itself(const Block *b, const Expr *e, const char *name)
{
    return e->op == OP_col && !strcmp(b->src[e->src].rel->col[e->col].name, name);
}

static void put_item(Printer *p, const Expr *e, const char *name)
{
    if (e->op == OP_lit_null && e->type != T_NULL)  /* a typed NULL */
        buf_printf(p->out, "CAST(NULL AS %s)", type_in(p->d, e->type));
    else
        put_expr(p, e, PREC_or);
    if (!names_itself(p->b, e, name)) {
        buf_puts(p->out, " AS ");
        print_name(p->out, name, p->d);
    }
}

/* Items of a list, broken into lines of LINE_MAX_CHARS. */
typedef struct Lines { Buf *out; const char *indent; size_t bol; int n; } Lines;

static Lines lines_begin(Buf *out, const char *indent)
{
    size_t bol = out->n;

    while (bol > 0 && out->s[bol - 1] != '\n')
        bol--;
    return (Lines){ out, indent, bol, 0 };
}

static void lines_item(Lines *l, const Buf *item)
{
    if (l->n++) {
        buf_puts(l->out, ",");
        if (l->out->n - l->bol + item->n + 2 > LINE_MAX_CHARS) {
            buf_putc(l->out, '\n');
            l->bol = l->out->n;
            buf_printf(l->out, "%s  ", l->indent);
        } else {
            buf_putc(l->out, ' ');
        }
    }
    buf_add(l->out, item->s ? item->s : "", item->n);
}

static void put_columns(Printer *p, const char *indent)
{
    Buf *out = p->out, item = { 0 };
    Lines l = lines_begin(out, indent);

    p->out = &item;
    for (int c = 0; c < p->b->n_cols; c++) {
        const Col *k = &p->b->col[c];
        item.n = 0;
        if (k->agg == AGG_none) {
            put_item(p, k->e, k->name);
        } else {
            put_agg(p, k);
            buf_puts(&item, " AS ");
            print_name(&item, k->name, p->d);
        }
        lines_item(&l, &item);
    }
    p->out = out;
    buf_free(&item);
    if (!p->b->n_cols)                              /* SQL has no relation without columns */
        buf_puts(out, p->b->kind == BLK_reduce && !p->b->n_keys ? "COUNT(*) AS _sg_one" : "1 AS _sg_one");
}

/* ---- FROM and WHERE ---- */

static int last_read(const Expr *e)
{
    int last = e->op == OP_col ? e->src : -1;

    for (int k = 0; k < e->n_args; k++) {
        const int s = last_read(e->arg[k]);
        last = s > last ? s : last;
    }
    return last;
}

/* The source in whose ON the conjunct is printed: the last it reads, if that is joined inner; 0: WHERE. */
static int home_of(const Block *b, const Expr *e)
{
    const int s = last_read(e);
    return s > 0 && b->src[s].join == JOIN_inner ? s : 0;
}

static void put_relation(Printer *p, const Source *s)
{
    if (s->rel->schema && !p->d->script) {
        print_name(p->out, s->rel->schema, p->d);
        buf_putc(p->out, '.');
    } else if (s->rel->kind != BLK_base && p->d->temp_prefix) {
        buf_puts(p->out, "temp.");                  /* never a table of the database that has this name */
    }
    print_name(p->out, s->rel->name, p->d);
    if (strcmp(s->rel->name, s->alias)) {
        buf_puts(p->out, " AS ");
        print_name(p->out, s->alias, p->d);
    }
}

/* Conjuncts joined by AND, each begun by `first` or AND. */
static int put_conjunct(Printer *p, const Expr *e, int n, const char *first)
{
    buf_puts(p->out, n ? " AND " : first);
    put_expr(p, e, PREC_not);
    return n + 1;
}

static void put_join(Printer *p, int s, const char *indent)
{
    const Block *b = p->b;
    const Source *k = &b->src[s];
    const bool fixed = b->ordered && p->d->cross_join_order;
    Buf on = { 0 }, *out = p->out;
    int n = 0;

    p->out = &on;
    for (int w = 0; w < b->n_where; w++)
        if (home_of(b, b->where[w]) == s)
            n = put_conjunct(p, b->where[w], n, " ON ");
    for (int o = 0; o < k->n_on; o++)
        n = put_conjunct(p, k->on[o], n, " ON ");
    if (!n && k->join == JOIN_left)
        buf_puts(&on, " ON TRUE");
    p->out = out;
    buf_printf(out, "\n%s%s ", indent, k->join == JOIN_inner && (!n || fixed) ? "CROSS JOIN" : join_info[k->join].sql);
    put_relation(p, k);
    buf_add(out, on.s ? on.s : "", on.n);
    buf_free(&on);
}

static void put_from(Printer *p, const char *indent)
{
    const Block *b = p->b;
    char first[64];
    int n = 0;

    if (b->n_src) {
        buf_printf(p->out, "\n%sFROM ", indent);
        put_relation(p, &b->src[0]);
    }
    for (int s = 1; s < b->n_src; s++)
        put_join(p, s, indent);
    snprintf(first, sizeof first, "\n%sWHERE ", indent);
    for (int w = 0; w < b->n_where; w++)
        if (home_of(b, b->where[w]) == 0)
            n = put_conjunct(p, b->where[w], n, first);
}

/* ---- the four kinds of SELECT ---- */

/* A group by constants that has no aggregate: SQLite takes HAVING only beside one, so it is said by DISTINCT. */
static bool only_constants(const Block *b)
{
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].agg != AGG_none || last_read(b->col[c].e) >= 0)
            return false;
    return b->kind == BLK_reduce && b->n_keys;
}

/* Constants say nothing in a GROUP BY (and an integer there is a position). */
static void put_group_by(Printer *p, const char *indent)
{
    const Block *b = p->b;
    int n = 0;

    for (int k = 0; k < b->n_keys; k++) {
        if (last_read(b->col[k].e) < 0)
            continue;
        if (!n++)
            buf_printf(p->out, "\n%sGROUP BY ", indent);
        else
            buf_puts(p->out, ", ");
        put_expr(p, b->col[k].e, PREC_or);
    }
    if (b->n_keys && !n && !only_constants(b))      /* groups of no rows do not exist */
        buf_printf(p->out, "\n%sHAVING COUNT(*) > 0", indent);
}

static bool is_part_key(const Block *b, int src, int col)
{
    for (int k = 0; k < b->n_part; k++)
        if (b->part_key[k]->op == OP_col && b->part_key[k]->src == src && b->part_key[k]->col == col)
            return true;
    for (int k = 0; k < b->n_order; k++)
        if (!b->order[k].desc && b->order[k].e->op == OP_col && b->order[k].e->src == src && b->order[k].e->col == col)
            return true;
    return false;
}

static void put_rank_order(Printer *p)
{
    const Block *b = p->b;
    const char *first = b->n_part ? " ORDER BY " : "ORDER BY ";
    int n = 0;

    for (int k = 0; k < b->n_order; k++) {
        buf_puts(p->out, n++ ? ", " : first);
        put_expr(p, b->order[k].e, PREC_or);
        buf_puts(p->out, b->order[k].desc ? " DESC" : "");
    }
    for (int s = 0; s < b->n_src; s++)
        for (int j = 0; j < b->src[s].rel->n_id; j++) {
            const int c = b->src[s].rel->id_col[j];
            if (is_part_key(b, s, c))
                continue;
            buf_puts(p->out, n++ ? ", " : first);
            put_column(p, s, c);
        }
}

static void put_pick(Printer *p, const char *indent)
{
    const Block *b = p->b;
    Buf item = { 0 };
    char deeper[64];

    snprintf(deeper, sizeof deeper, "%s  ", indent);
    buf_printf(p->out, "%sSELECT ", indent);
    Lines l = lines_begin(p->out, indent);
    for (int c = 0; c < b->n_cols; c++) {
        item.n = 0;
        buf_puts(&item, "_sg_p.");
        print_name(&item, b->col[c].name, p->d);
        lines_item(&l, &item);
    }
    buf_free(&item);
    buf_printf(p->out, "%s\n%sFROM (\n%sSELECT ", b->n_cols ? "" : "_sg_one", indent, deeper);
    put_columns(p, deeper);
    buf_printf(p->out, ",\n%s  ROW_NUMBER() OVER (", deeper);
    if (b->n_part) {
        buf_puts(p->out, "PARTITION BY ");
        put_list(p, b->part_key, b->n_part);
    }
    put_rank_order(p);
    buf_puts(p->out, ") AS _sg_rank");
    put_from(p, deeper);
    buf_printf(p->out, ") AS _sg_p\n%sWHERE _sg_p._sg_rank <= %lld", indent, (long long)b->limit);
}

static void put_part(Printer *p, const Part *q, const char *indent)
{
    const Block *b = p->b;
    Buf *out = p->out, item = { 0 };

    buf_printf(out, "%sSELECT ", indent);
    Lines l = lines_begin(out, indent);
    p->out = &item;
    for (int c = 0; c < b->n_cols; c++) {
        item.n = 0;
        put_item(p, q->e[c], b->col[c].name);
        lines_item(&l, &item);
    }
    p->out = out;
    buf_free(&item);
    if (!b->n_cols)
        buf_puts(out, "1 AS _sg_one");
    if (q->src >= 0) {
        buf_printf(out, "\n%sFROM ", indent);
        put_relation(p, &b->src[q->src]);
    }
}

static void put_parts(Printer *p, int from, int to, const char *indent)
{
    for (int k = from; k < to; k++) {
        if (k > from)
            buf_printf(p->out, "\n%sUNION ALL\n", indent);
        put_part(p, &p->b->part[k], indent);
    }
}

static void put_union(Printer *p, const char *indent)
{
    const Block *b = p->b;
    char deeper[64];

    if (b->n_parts <= UNION_CHUNK) {
        put_parts(p, 0, b->n_parts, indent);
        return;
    }
    snprintf(deeper, sizeof deeper, "%s  ", indent);
    for (int k = 0; k < b->n_parts; k += UNION_CHUNK) {
        buf_printf(p->out, "%s%sSELECT * FROM (\n", k ? "\nUNION ALL\n" : "", indent);
        put_parts(p, k, k + UNION_CHUNK < b->n_parts ? k + UNION_CHUNK : b->n_parts, deeper);
        buf_printf(p->out, ") AS _sg_u%d", k / UNION_CHUNK);
    }
}

void print_select(Buf *out, const Block *b, const Dialect *d, const char *indent)
{
    Printer p = { out, b, d };

    switch (b->kind) {
    case BLK_base:
        BUG("print_select: %s is a base block", b->name);
    case BLK_row: case BLK_reduce:
        buf_printf(out, "%sSELECT %s", indent, only_constants(b) ? "DISTINCT " : "");
        put_columns(&p, indent);
        put_from(&p, indent);
        if (b->kind == BLK_reduce)
            put_group_by(&p, indent);
        return;
    case BLK_pick:
        put_pick(&p, indent);
        return;
    case BLK_union:
        put_union(&p, indent);
        return;
    }
}

/* ---- declarations ---- */

static bool reads_other_col(void *arg, const Expr *e)
{
    return e->op == OP_col && e->col != *(const int *)arg;
}

/* The one column that a CHECK conjunct reads, or -1. */
static int checked_col(const Block *b, const Expr *e)
{
    for (int c = 0; c < b->n_cols; c++)
        if (!ex_any(e, reads_other_col, &c))
            return c;
    return -1;
}

/* The CHECK conjuncts of column c; c < 0: those that read several. */
static void put_checks(Printer *p, int c, const char *lead)
{
    const Shape *s = p->b->shape;
    int n = 0;

    for (int k = 0; s && k < s->n_checks; k++)
        if (checked_col(p->b, s->check[k]) == c)
            n = put_conjunct(p, s->check[k], n, lead);
    if (n)
        buf_putc(p->out, ')');
}

static void put_declaration(Printer *p)
{
    const Block *b = p->b;

    buf_puts(p->out, "CREATE TABLE ");
    if (b->schema && !p->d->script) {
        print_name(p->out, b->schema, p->d);
        buf_putc(p->out, '.');
    }
    print_name(p->out, b->name, p->d);
    buf_puts(p->out, " (");
    for (int c = 0; c < b->n_cols; c++) {
        buf_puts(p->out, c ? ",\n  " : "\n  ");
        print_name(p->out, b->col[c].name, p->d);
        buf_printf(p->out, " %s", type_in(p->d, b->col[c].type));
        put_checks(p, c, " CHECK (");
    }
    put_checks(p, -1, ",\n  CHECK (");
    buf_puts(p->out, ");\n");
}

void print_block(Buf *out, const Block *b, const Dialect *d)
{
    Printer p = { out, b, d };

    if (b->kind == BLK_base) {
        put_declaration(&p);
        return;
    }
    buf_puts(out, b->is_view ? "CREATE VIEW " : b->is_temp ? "CREATE TEMP TABLE " : "CREATE TABLE ");
    print_name(out, b->name, d);
    buf_puts(out, " AS\n");
    print_select(out, b, d, "");
    buf_puts(out, ";\n");
}
