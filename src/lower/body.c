/* SPDX-License-Identifier: Apache-2.0
 *
 * body.c - expressions of a nest as straight-line C, at one point of its loops.
 *
 * Values are numbered by their text: what was written once under a name is not written again, be it a load that two
 * points of a tile share or a subexpression.  A value that is the same in the whole vector stays a scalar until it
 * meets one that is not. */
#include "lower/gen.h"

#include <math.h>
#include <string.h>

void gen_line(Gen *g, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_printf(g->out, "%*s%s\n", 4 * g->depth, "", arena_vprintf(g->arena, fmt, ap));
    va_end(ap);
}

const char *gen_text(Gen *g, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    const char *s = arena_vprintf(g->arena, fmt, ap);
    va_end(ap);
    return s;
}

const char *gen_loop_var(Gen *g, int l)
{
    return l == LANE_VAR ? "b" : l == IN_VAR ? "l" : gen_text(g, "x%d", l);
}

/* ---- addresses ---- */

bool gen_turns(const Nest *n, const Operand *o)
{
    return n->sched.turned && o->kind == OPD_load && n->buf[o->index].lanes && o->at.k[n->sched.vec];
}

bool gen_turns_over(const Nest *n, const Operand *o, int l)
{
    bool inside = false;

    for (int k = 0; k < n->n_loops; k++)
        inside = n->sched.order[k] == l || (inside && n->sched.order[k] >= n->n_out);
    return gen_turns(n, o) && l >= n->n_out && inside && o->at.k[l];
}

Addr gen_addr(const Gen *g, int buf, const Affine *a)
{
    const NestBuf *b = &g->n->buf[buf];
    const int64_t unit = b->lanes ? g->t->B : 1;
    Addr r = { .buf = buf, .c = a->c * unit };

    for (int l = 0; l < g->n->n_loops; l++)
        r.k[l] = a->k[l] * unit;
    r.k[LANE_VAR] = b->lanes ? (int64_t)b->rows * unit : 0;
    r.k[IN_VAR] = b->lanes && g->n->sched.turned;
    return r;
}

int64_t gen_here(const Gen *g, const Addr *a)
{
    int64_t c = a->c;

    for (int l = 0; l < N_VARS; l++)
        c += a->k[l] * g->off[l];
    return c;
}

static void sum_term(Buf *b, int64_t k, const char *var)
{
    const char *sign = b->n ? k < 0 ? " - " : " + " : k < 0 ? "-" : "";
    const long long size = k < 0 ? -(long long)k : (long long)k;

    buf_puts(b, sign);
    if (size != 1 || !var)
        buf_printf(b, var ? "%lld*" : "%lld", size);
    if (var)
        buf_puts(b, var);
}

const char *gen_sum(Gen *g, int64_t c, const int64_t *k, bool inner, bool lead)
{
    Buf b = { 0 };

    for (int l = N_VARS - 1; l >= 0; l--) {
        const int v = (l + LANE_VAR) % N_VARS;
        if (g->var[v] && k[v] && (!inner || g->inner[v]))
            sum_term(&b, k[v], gen_loop_var(g, v));
    }
    if (c || (!b.n && !lead))
        sum_term(&b, c, NULL);
    const char *s = !b.n ? "" : !lead ? gen_text(g, "%s", b.s) : *b.s == '-' ? gen_text(g, " - %s", b.s + 1)
                  : gen_text(g, " + %s", b.s);
    buf_free(&b);
    return s;
}

const char *gen_affine(Gen *g, const Affine *a)
{
    Addr r = { .c = a->c };

    memcpy(r.k, a->k, sizeof a->k);
    return gen_sum(g, gen_here(g, &r), r.k, false, false);
}

/* The number of the base that holds the outer part of an address. */
static int base_of(Gen *g, const Addr *a)
{
    Base b = { .buf = a->buf };

    for (int l = 0; l < N_VARS; l++)
        b.k[l] = g->var[l] && !g->inner[l] ? a->k[l] : 0;
    for (int k = 0; k < g->n_bases; k++)
        if (g->base[k].buf == b.buf && !memcmp(g->base[k].k, b.k, sizeof b.k))
            return k;
    VEC_PUSH(g->arena, g->base, g->n_bases, b);
    return g->n_bases - 1;
}

const char *gen_real(Gen *g, double x)
{
    const float f = (float)x;
    const bool f64 = g->t->f64;
    char s[40];

    if (isnan(x))
        return "NOT_A_NUMBER";
    if (f64 ? isinf(x) : isinf(f))
        return x > 0 ? "INFINITE" : "-INFINITE";
    for (int digits = f64 ? 15 : 6; digits <= (f64 ? 17 : 9); digits++) {
        snprintf(s, sizeof s - 4, "%.*g", digits, f64 ? x : (double)f);
        for (char *p = s; *p; p++)
            if (*p == ',')
                *p = '.';
        double back;
        if (parse_real(s, strlen(s), &back) && (f64 ? back == x : (float)back == f))
            break;
    }
    if (!strpbrk(s, ".e"))
        strncat(s, ".0", 3);
    return gen_text(g, f64 ? "%s" : "%sf", s);
}

/* ---- values ---- */

void body_begin(Gen *g)
{
    map_init(&g->known, g->arena);
    g->val = NULL;
    g->n_vals = 0;
}

static const char *type_of_val(Type t, bool wide)
{
    return t == T_REAL ? wide ? "vec" : "real" : wide ? "ivec" : t == T_BOOL ? "int" : "int64_t";
}

/* The value of `text`, under a name. */
static Val named(Gen *g, Type t, bool wide, const char *text)
{
    const int *at = map_get(&g->known, text, strlen(text));

    if (at)
        return g->val[*at];
    const Val v = { .s = gen_text(g, "t%d", g->n_temps++), .type = t, .wide = wide };
    gen_line(g, "const %s %s = %s;", type_of_val(t, wide), v.s, text);
    map_put(&g->known, text, strlen(text), g->n_vals);
    VEC_PUSH(g->arena, g->val, g->n_vals, v);
    return v;
}

Val body_wide(Gen *g, Val v)
{
    if (v.wide)
        return v;
    const char *f = v.type == T_REAL ? "splat" : v.type == T_BOOL ? "vmask" : "isplat";
    return named(g, v.type, true, gen_text(g, "%s(%s)", f, v.s));
}

/* What one vector step along the vector loop adds; 0: uniform. */
static int64_t step_along(const Gen *g, const Affine *a)
{
    return g->n->sched.vec >= 0 ? a->k[g->n->sched.vec] : 0;
}

static bool load_wide(const Gen *g, const Operand *o)
{
    return (g->n->buf[o->index].lanes && !g->n->sched.turned) || step_along(g, &o->at);
}

const char *gen_turned(Gen *g, const Operand *o, int64_t j)
{
    Addr a = { .c = j, .k = { [IN_VAR] = g->n_turned } };
    int64_t step = g->n_turned * g->t->B;

    const char *block = gen_text(g, "%lld * (b - c0)", (long long)step);
    step *= g->n->sched.turn_blocks;
    for (int l = g->n->n_loops - 1; l >= g->n->n_out; l--)
        if (gen_turns_over(g->n, o, l)) {
            a.c -= step * g->n->loop[l].min;
            a.k[l] = step;
            step *= nest_extent(g->n, l);
        }
    return gen_text(g, "%s%s", block, gen_sum(g, gen_here(g, &a), a.k, false, true));
}

static Val load_turned(Gen *g, const Operand *o)
{
    const int64_t j = (g->off[g->n->sched.vec] - g->turn_at) / g->t->W;

    return named(g, T_REAL, true, gen_text(g, "turned%d[%s]", (int)(o - g->n->opd), gen_turned(g, o, j)));
}

/* What loads a vector of it; *step: how far apart its parts are, 0: adjacent. */
static const char *load_name(const Gen *g, const Operand *o, int64_t *step)
{
    const bool lanes = g->n->buf[o->index].lanes, near = *step == 0 || *step == 1;
    const int64_t k = *step;

    *step = near ? 0 : lanes ? k * g->t->B : k;
    if (lanes)
        return g->t->B == g->t->W || k == 1 ? "ld" : k ? "ldk_blocks" : "ld_block";
    if (g->n->sched.packed)
        return near ? "ld_each" : "ldk_each";
    return near ? "ld" : "ldk";
}

static Val load_value(Gen *g, const Operand *o)
{
    const Addr a = gen_addr(g, o->index, &o->at);
    const int64_t here = gen_here(g, &a);
    int64_t step = step_along(g, &o->at);
    const bool wide = load_wide(g, o);
    if (gen_turns(g->n, o))
        return load_turned(g, o);
    const char *p = g->in_scope ? gen_text(g, "q%d", base_of(g, &a)) : gen_text(g, "p%d", o->index);
    if (!wide) {
        const char *s = gen_text(g, "%s[%s]", p, gen_sum(g, here, a.k, g->in_scope, false));
        /* where nothing is stored in between, it needs no name */
        return g->in_scope ? (Val){ .s = s, .type = T_REAL } : named(g, T_REAL, false, s);
    }
    const char *at = gen_sum(g, here, a.k, g->in_scope, true), *ld = load_name(g, o, &step);
    if (step && g->last)                /* those behind the last may lie far behind the buffer */
        return named(g, T_REAL, true, gen_text(g, "%s_some(%s%s, %lld, %s)", ld, p, at, (long long)step, g->tail));
    return named(g, T_REAL, true, step ? gen_text(g, "%s(%s%s, %lld)", ld, p, at, (long long)step)
                                       : gen_text(g, "%s(%s%s)", ld, p, at));
}

static Val key_value(Gen *g, const Operand *o)
{
    const int64_t step = step_along(g, &o->at);
    const char *s = gen_affine(g, &o->at);

    if (!step)
        return (Val){ .s = gen_text(g, "(int64_t)(%s)", s), .type = T_INT };
    return named(g, T_INT, true, gen_text(g, "isplat(%s) + %lld * %s", s, (long long)step,
                                          g->n->sched.packed ? "COUNT_BLOCKS" : "COUNT_UP"));
}

Val body_affine_real(Gen *g, const Affine *a)
{
    const int64_t step = step_along(g, a);
    const char *s = gen_affine(g, a);

    if (!step)
        return named(g, T_REAL, false, gen_text(g, "(real)(%s)", s));
    return named(g, T_REAL, true, gen_text(g, "splat((real)(%s)) + splat(%s) * %s", s, gen_real(g, (double)step),
                                           g->n->sched.packed ? "COUNT_BLOCKS_REAL" : "COUNT_UP_REAL"));
}

static Val operand_value(Gen *g, const Operand *o)
{
    const int i = o->index;

    switch (o->kind) {
    case OPD_load: return load_value(g, o);
    case OPD_key: return key_value(g, o);
    case OPD_agg:
        return (Val){ .s = gen_text(g, g->across ? "r%d_%d" : "a%d_%d", i, g->point), .type = T_REAL,
                      .wide = g->acc_wide[i] && !g->across };
    case OPD_place: return (Val){ .s = gen_text(g, "w%d_%d", i, g->point), .type = T_REAL, .wide = g->acc_wide[i] };
    }
    BUG("operand_value: kind %d", (int)o->kind);
}

/* ---- operators ---- */

static Val call1(Gen *g, const char *name, Val x)
{
    return named(g, x.type, x.wide, gen_text(g, "%c%s(%s)", x.wide ? 'v' : 's', name, x.s));
}

/* Both wide or both not. */
static bool level(Gen *g, Val *x, Val *y)
{
    if (x->wide != y->wide) {
        *x = body_wide(g, *x);
        *y = body_wide(g, *y);
    }
    return x->wide;
}

static Val call2(Gen *g, const char *name, Type t, Val x, Val y)
{
    const bool wide = level(g, &x, &y);
    return named(g, t, wide, gen_text(g, "%c%s(%s, %s)", wide ? 'v' : 's', name, x.s, y.s));
}

static Val infix(Gen *g, const char *op, Val x, Val y)
{
    const bool wide = level(g, &x, &y);
    return named(g, x.type, wide, gen_text(g, "%s %s %s", x.s, op, y.s));
}

static Val compared(Gen *g, const char *op, Val x, Val y)
{
    const bool wide = level(g, &x, &y);
    return named(g, T_BOOL, wide, gen_text(g, wide ? "(ivec)(%s %s %s)" : "%s %s %s", x.s, op, y.s));
}

static Val compare_exprs(Gen *g, Op op, const Expr *x, const Expr *y)
{
    const Val a = body_expr(g, x), b = body_expr(g, y);
    const bool real = a.type == T_REAL;
    const char *s = op == OP_lt ? "<" : op == OP_le ? "<=" : op == OP_gt ? ">" : op == OP_ge ? ">="
                  : op == OP_ne || op == OP_differ ? "!=" : "==";

    if (real && op == OP_same)
        return call2(g, "same", T_BOOL, a, b);
    if (real && op == OP_differ)
        return call2(g, "differ", T_BOOL, a, b);
    return compared(g, s, a, b);
}

static Val truth(bool b)
{
    return (Val){ .s = b ? "1" : "0", .type = T_BOOL };
}

static Val in_list_of(Gen *g, const Expr *e)
{
    Val r = truth(false);

    for (int k = 1; k < e->n_args; k++) {
        const Val c = compare_exprs(g, OP_eq, e->arg[0], e->arg[k]);
        r = k == 1 ? c : infix(g, "|", r, c);
    }
    return r;
}

/* c ? x : y */
static Val choose(Gen *g, Val c, Val x, Val y)
{
    if (c.wide) {
        x = body_wide(g, x);
        if (x.type == T_REAL && !strcmp(y.s, gen_real(g, 0)))
            return named(g, T_REAL, true, gen_text(g, "vand(%s, %s)", c.s, x.s));
        y = body_wide(g, y);
        return named(g, x.type, true, gen_text(g, x.type == T_REAL ? "sel(%s, %s, %s)" : "isel(%s, %s, %s)",
                                               c.s, x.s, y.s));
    }
    const bool wide = level(g, &x, &y);
    return named(g, x.type, wide, gen_text(g, "%s ? %s : %s", c.s, x.s, y.s));
}

static Val cond_value(Gen *g, const Expr *e)
{
    Val r = body_expr(g, e->arg[e->n_args - 1]);

    for (int k = e->n_args - 3; k >= 0; k -= 2)
        r = choose(g, body_expr(g, e->arg[k]), body_expr(g, e->arg[k + 1]), r);
    return r;
}

static Val fold_args(Gen *g, const Expr *e)
{
    const char *name = op_info[e->op].name;
    Val r = body_expr(g, e->arg[0]);

    for (int k = 1; k < e->n_args; k++) {
        const Val x = body_expr(g, e->arg[k]);
        r = e->op == OP_and ? infix(g, "&", r, x) : e->op == OP_or ? infix(g, "|", r, x)
          : call2(g, name, T_REAL, x, r);       /* of equals the first stays */
    }
    return r;
}

/* Powers that a few multiplications give to the last bit or the one before it. */
static Val power(Gen *g, const Expr *e)
{
    const Val x = body_expr(g, e->arg[0]);
    const double y = e->arg[1]->op == OP_lit_real ? e->arg[1]->r : 0;

    if (y == 1)
        return x;
    if (y == 2)
        return infix(g, "*", x, x);
    if (y == 3)
        return infix(g, "*", infix(g, "*", x, x), x);
    if (y == -1)
        return infix(g, "/", (Val){ .s = gen_real(g, 1), .type = T_REAL }, x);
    if (y == 0.5)
        return call1(g, "root", x);
    return call2(g, "pow", T_REAL, x, body_expr(g, e->arg[1]));
}

static Val round_value(Gen *g, const Expr *e)
{
    const Val x = body_expr(g, e->arg[0]);
    const double ten = pow(10.0, (double)e->arg[1]->i);

    if (ten == 1)
        return call1(g, "round", x);
    return call2(g, "roundto", T_REAL, x, (Val){ .s = gen_real(g, ten), .type = T_REAL });
}

static Val real_of(Gen *g, const Expr *e)
{
    const Expr *x = e->arg[0];

    if (x->op == OP_lit_int)
        return (Val){ .s = gen_real(g, (double)x->i), .type = T_REAL };
    if (x->type == T_INT && x->op == OP_col)
        return body_affine_real(g, &g->n->opd[x->col].at);
    const Val v = body_expr(g, x);
    if (x->type != T_BOOL)
        return v;
    return choose(g, v, (Val){ .s = gen_real(g, 1), .type = T_REAL }, (Val){ .s = gen_real(g, 0), .type = T_REAL });
}

static Val not_value(Gen *g, Val v)
{
    return v.wide ? named(g, T_BOOL, true, gen_text(g, "~%s", v.s)) : named(g, T_BOOL, false, gen_text(g, "!%s", v.s));
}

Val body_expr(Gen *g, const Expr *e)
{
    const char *name = op_info[e->op].name;
    Val x;

    switch (e->op) {
    case OP_col: return operand_value(g, &g->n->opd[e->col]);
    case OP_lit_int: return (Val){ .s = gen_text(g, "INT64_C(%lld)", (long long)e->i), .type = T_INT };
    case OP_lit_real: return (Val){ .s = gen_real(g, e->r), .type = T_REAL };
    case OP_neg:
        x = body_expr(g, e->arg[0]);
        return named(g, T_REAL, x.wide, gen_text(g, "-(%s)", x.s));
    case OP_add: case OP_sub: case OP_mul: case OP_div:
        x = body_expr(g, e->arg[0]);
        return infix(g, op_info[e->op].sql, x, body_expr(g, e->arg[1]));
    case OP_abs: case OP_sign: case OP_exp: case OP_ln: case OP_log10: case OP_sqrt: case OP_sin: case OP_cos:
    case OP_tan: case OP_tanh: case OP_atan: case OP_floor: case OP_ceil:
        return call1(g, name, body_expr(g, e->arg[0]));
    case OP_pow: return power(g, e);
    case OP_round: return round_value(g, e);
    case OP_max: case OP_min: case OP_and: case OP_or: return fold_args(g, e);
    case OP_cond: return cond_value(g, e);
    case OP_coalesce: return body_expr(g, e->arg[0]);
    case OP_to_real: return real_of(g, e);
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same: case OP_differ:
        return compare_exprs(g, e->op, e->arg[0], e->arg[1]);
    case OP_is_null: case OP_not_null: return truth(e->op == OP_not_null);
    case OP_in: return in_list_of(g, e);
    case OP_not: return not_value(g, body_expr(g, e->arg[0]));
    case OP_lit_text: case OP_lit_null: case OP_var: case OP_idiv: case OP_mod: case OP_nullif: case OP_to_int:
    case OP_to_text: case OP_draw:
        break;
    }
    BUG("body_expr: operator %d", (int)e->op);
}

/* ---- conditions ---- */

/* Do all, or none, of the vector's first `count` iterations meet the condition, as far as its text can tell? */
static bool cond_settled(const Gen *g, const Affine *f, int64_t count, bool *all)
{
    int64_t first = f->c, last;

    for (int l = 0; l < g->n->n_loops; l++) {
        if (g->var[l] && f->k[l])
            return false;
        first += f->k[l] * g->off[l];
    }
    last = first + step_along(g, f) * (count - 1);
    *all = first >= 0 && last >= 0;
    return *all || (first < 0 && last < 0);
}

const char *body_conds(Gen *g, int64_t count)
{
    Val r = truth(true);

    for (int k = 0; k < g->n->n_conds; k++) {
        const Affine *f = &g->n->cond[k];
        const char *counter = g->n->sched.packed ? "COUNT_BLOCKS" : "COUNT_UP";
        bool all;
        if (cond_settled(g, f, count, &all)) {
            if (!all)
                return NULL;
            continue;
        }
        const Val v = named(g, T_BOOL, true, gen_text(g, "(ivec)(isplat(%s) + %lld * %s >= 0)", gen_affine(g, f),
                                                      (long long)step_along(g, f), counter));
        r = r.wide ? infix(g, "&", r, v) : v;
    }
    return r.wide ? r.s : "";
}

/* ---- what can be said of a value without writing it ---- */

bool body_is_wide(const Gen *g, const Expr *e)
{
    if (e->op == OP_col) {
        const Operand *o = &g->n->opd[e->col];
        return o->kind == OPD_load ? load_wide(g, o) : step_along(g, &o->at) != 0;
    }
    for (int k = 0; k < e->n_args; k++)
        if (body_is_wide(g, e->arg[k]))
            return true;
    return false;
}

/* A literal that is finite in every precision. */
static bool is_moderate(const Expr *e)
{
    return e->op == OP_lit_real && fabs(e->r) < 1e30;
}

/* Buffers with lanes hold 0 there.  A product with anything else may be NaN there, so it counts as not 0. */
bool body_is_zero(const Nest *n, const Expr *e)
{
    switch (e->op) {
    case OP_col: return n->opd[e->col].kind == OPD_load && n->buf[n->opd[e->col].index].lanes;
    case OP_lit_real: return e->r == 0;
    case OP_neg: case OP_abs: case OP_sign: case OP_sqrt: case OP_sin: case OP_tan: case OP_tanh: case OP_atan:
    case OP_floor: case OP_ceil: case OP_round:
        return body_is_zero(n, e->arg[0]);
    case OP_add: case OP_sub:
        return body_is_zero(n, e->arg[0]) && body_is_zero(n, e->arg[1]);
    case OP_mul:
        return (body_is_zero(n, e->arg[0]) && (body_is_zero(n, e->arg[1]) || is_moderate(e->arg[1]))) ||
               (body_is_zero(n, e->arg[1]) && is_moderate(e->arg[0]));
    case OP_div: return body_is_zero(n, e->arg[0]) && is_moderate(e->arg[1]) && fabs(e->arg[1]->r) > 1e-30;
    case OP_cond: case OP_max: case OP_min:
        for (int k = 0; k < e->n_args; k++)
            if ((e->op != OP_cond || k % 2 || k == e->n_args - 1) && !body_is_zero(n, e->arg[k]))
                return false;
        return true;
    case OP_coalesce: return body_is_zero(n, e->arg[0]);
    case OP_lit_int: case OP_lit_text: case OP_lit_null: case OP_var: case OP_idiv: case OP_mod: case OP_exp:
    case OP_ln: case OP_log10: case OP_pow: case OP_cos: case OP_draw: case OP_nullif: case OP_to_int: case OP_to_real:
    case OP_to_text: case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same:
    case OP_differ: case OP_is_null: case OP_not_null: case OP_in: case OP_and: case OP_or: case OP_not:
        return false;
    }
    BUG("body_is_zero: operator %d", (int)e->op);
}
