/* SPDX-License-Identifier: Apache-2.0
 *
 * native_tape.c - expressions to register programs.  A register holds one type of thing for a chunk of
 * tuples × lanes, or one a tuple where lanes do not matter, or one value; it is spread only where it meets
 * a wider one.  Equal subexpressions of a block share a register. */
#include "exec/native.h"

#include <math.h>
#include <string.h>

bool tape_init(Native *n, Tape *t, const Block *b, Input *in, int n_in, bool laned)
{
    *t = (Tape){ .b = b, .in = in, .n_in = n_in, .laned = laned };
    t->match = ARENA_ARRAY(&t->arena, int, n_in + 1);
    for (int s = 0; s < n_in; s++)
        t->match[s] = -1;
    (void)n;
    return true;
}

void tape_free(Tape *t)
{
    arena_free(&t->arena);
    *t = (Tape){ 0 };
}

static int add_reg(Tape *t, RegType type, RegShape shape, bool nulls)
{
    const Reg r = { type, shape == SH_tuple && !t->laned ? SH_full : shape, nulls };

    VEC_PUSH(&t->arena, t->reg, t->n_regs, r);
    return t->n_regs - 1;
}

static int add_ins(Tape *t, Ins i)
{
    VEC_PUSH(&t->arena, t->ins, t->n_ins, i);
    return i.dst;
}

static RegShape widest(const Tape *t, int a, int b, int c)
{
    RegShape s = t->reg[a].shape;

    if (b >= 0 && t->reg[b].shape > s)
        s = t->reg[b].shape;
    if (c >= 0 && t->reg[c].shape > s)
        s = t->reg[c].shape;
    return s;
}

/* A constant serves as any shape; a tuple's value is repeated over its lanes. */
static int spread_to(Tape *t, int r, RegShape shape)
{
    if (r < 0 || shape != SH_full || t->reg[r].shape != SH_tuple)
        return r;
    for (int k = 0; k < t->n_ins; k++)
        if (t->ins[k].kind == IN_spread && t->ins[k].a == r)
            return t->ins[k].dst;
    const Reg from = t->reg[r];
    return add_ins(t, (Ins){ .kind = IN_spread, .dst = add_reg(t, from.type, SH_full, from.nulls), .a = r });
}

int tape_full(Tape *t, int r)
{
    return spread_to(t, r, SH_full);
}

/* dst of `type` from up to three registers, brought to one shape. */
static int apply(Tape *t, InsKind kind, Op op, RegType type, bool nulls, int a, int b, int c)
{
    const RegShape s = widest(t, a, b, c);

    a = spread_to(t, a, s);
    b = spread_to(t, b, s);
    c = spread_to(t, c, s);
    return add_ins(t, (Ins){ .kind = kind, .op = op, .dst = add_reg(t, type, s, nulls), .a = a, .b = b, .c = c });
}

static bool any_nulls(const Tape *t, int a, int b)
{
    return t->reg[a].nulls || (b >= 0 && t->reg[b].nulls);
}

static int literal(Tape *t, RegType type, double r, int64_t i, bool null)
{
    return add_ins(t, (Ins){ .kind = IN_lit, .dst = add_reg(t, type, SH_const, null), .a = -1, .b = -1, .c = -1, .r = r,
                             .i = i });
}

static int null_of(Tape *t, RegType type)
{
    return literal(t, type, 0, type == RT_bool ? 1 : KEY_NULL, true);
}

int tape_as(Tape *t, int r, RegType type)
{
    const Reg from = t->reg[r];

    if (from.type == type)
        return r;
    if (type == RT_real) {
        r = tape_as(t, r, RT_int);
        return apply(t, IN_to_real, OP_to_real, RT_real, from.nulls, r, -1, -1);
    }
    if (type == RT_int)
        return apply(t, IN_to_int, OP_to_int, RT_int, from.nulls || from.type == RT_real, r, -1, -1);
    return apply(t, IN_to_bool, OP_not_null, RT_bool, from.nulls, tape_as(t, r, RT_int), -1, -1);
}

static RegType reg_type(Type t)
{
    return t == T_REAL ? RT_real : t == T_BOOL ? RT_bool : RT_int;
}

/* ---- loads ---- */

/* Where the load of a column of source s has one value a tuple, lane, or in all. */
static RegShape load_shape(const Tape *t, const Input *in, ColKind kind)
{
    if (in->laned)
        return kind == CK_row ? SH_tuple : SH_full;
    return in->always0 ? SH_const : t->laned ? SH_tuple : SH_full;
}

static int load(Tape *t, const Expr *e)
{
    const Input *in = &t->in[e->src];
    const LCol *k = &in->lay->col[e->col];
    const bool real = k->type == T_REAL;
    const bool nulls = k->nulls || in->left || (k->kind == CK_lane && in->rel->b->col[e->col].nullable);
    int r = add_reg(t, real ? RT_real : RT_int, load_shape(t, in, k->kind), nulls);

    add_ins(t, (Ins){ .kind = IN_load, .dst = r, .a = -1, .b = -1, .c = -1, .src = e->src, .col = e->col });
    if (t->match[e->src] >= 0)
        r = apply(t, IN_guard, OP_col, t->reg[r].type, true, r, t->match[e->src], -1);
    if (real && e->type != T_REAL)
        return tape_as(t, r, reg_type(e->type));
    return tape_as(t, r, reg_type(e->type) == RT_real && !real ? RT_real : e->type == T_BOOL ? RT_bool : t->reg[r].type);
}

static int load_pres(Tape *t, int src)
{
    const Input *in = &t->in[src];
    const RegShape s = in->laned ? SH_full : in->always0 ? SH_const : SH_tuple;

    return add_ins(t, (Ins){ .kind = IN_pres, .dst = add_reg(t, RT_bool, s, false), .a = -1, .b = -1, .c = -1,
                             .src = src });
}

/* ---- operators ---- */

static int arith(Native *n, Tape *t, const Expr *e)
{
    const RegType type = e->type == T_REAL ? RT_real : RT_int;
    const int a = tape_as(t, tape_expr(n, t, e->arg[0]), type);
    const int b = e->n_args > 1 ? tape_as(t, tape_expr(n, t, e->arg[1]), type) : -1;
    const bool nulls = any_nulls(t, a, b) || e->op == OP_idiv || e->op == OP_mod;

    return apply(t, type == RT_real ? IN_real : IN_int, e->op, type, nulls, a, b, -1);
}

static int round_to(Native *n, Tape *t, const Expr *e)
{
    const int a = tape_as(t, tape_expr(n, t, e->arg[0]), RT_real);
    const int b = literal(t, RT_real, pow(10, (double)e->arg[1]->i), 0, false);

    return apply(t, IN_real, OP_round, RT_real, t->reg[a].nulls, a, b, -1);
}

static int extreme(Native *n, Tape *t, const Expr *e)
{
    const RegType type = e->type == T_REAL ? RT_real : RT_int;
    const InsKind kind = type == RT_real ? IN_real : e->type == T_TEXT ? IN_extreme_text : IN_int;
    int a = tape_as(t, tape_expr(n, t, e->arg[0]), type);

    for (int k = 1; k < e->n_args; k++) {
        const int b = tape_as(t, tape_expr(n, t, e->arg[k]), type);
        a = apply(t, kind, e->op, type, any_nulls(t, a, b), a, b, -1);
    }
    return a;
}

static int select_of(Tape *t, int cond, int x, int y)
{
    return apply(t, IN_sel, OP_cond, t->reg[x].type, any_nulls(t, x, y), x, y, cond);
}

static int cond(Native *n, Tape *t, const Expr *e)
{
    const RegType type = reg_type(e->type);
    int r = tape_as(t, tape_expr(n, t, e->arg[e->n_args - 1]), type);

    for (int k = e->n_args - 3; k >= 0; k -= 2) {
        const int c = tape_as(t, tape_expr(n, t, e->arg[k]), RT_bool);
        r = select_of(t, c, tape_as(t, tape_expr(n, t, e->arg[k + 1]), type), r);
    }
    return r;
}

static int coalesce(Native *n, Tape *t, const Expr *e)
{
    const RegType type = reg_type(e->type);
    int r = tape_as(t, tape_expr(n, t, e->arg[e->n_args - 1]), type);

    for (int k = e->n_args - 2; k >= 0; k--) {
        const int x = tape_as(t, tape_expr(n, t, e->arg[k]), type);
        r = t->reg[x].nulls ? apply(t, IN_coalesce, OP_coalesce, type, t->reg[r].nulls, x, r, -1) : x;
    }
    return r;
}

/* Two operands of a comparison in their common type. */
static int compare(Native *n, Tape *t, Op op, const Expr *x, const Expr *y)
{
    const bool real = x->type == T_REAL || y->type == T_REAL, text = x->type == T_TEXT && y->type == T_TEXT;
    const RegType type = real ? RT_real : RT_int;
    const int a = tape_as(t, tape_expr(n, t, x), type), b = tape_as(t, tape_expr(n, t, y), type);

    if (op == OP_same || op == OP_differ)
        return apply(t, IN_same, op, RT_bool, false, a, b, -1);
    return apply(t, real ? IN_cmp : text && op != OP_eq && op != OP_ne ? IN_cmp_text : IN_cmp_int, op, RT_bool,
                 any_nulls(t, a, b), a, b, -1);
}

static int in_list(Native *n, Tape *t, const Expr *e)
{
    int r = -1;

    for (int k = 1; k < e->n_args; k++) {
        const int c = compare(n, t, OP_eq, e->arg[0], e->arg[k]);
        r = r < 0 ? c : apply(t, IN_or, OP_or, RT_bool, any_nulls(t, r, c), r, c, -1);
    }
    return r < 0 ? literal(t, RT_bool, 0, 0, false) : r;
}

static int logic(Native *n, Tape *t, const Expr *e)
{
    int r = tape_as(t, tape_expr(n, t, e->arg[0]), RT_bool);

    for (int k = 1; k < e->n_args; k++) {
        const int c = tape_as(t, tape_expr(n, t, e->arg[k]), RT_bool);
        r = apply(t, e->op == OP_and ? IN_and : IN_or, e->op, RT_bool, any_nulls(t, r, c), r, c, -1);
    }
    return r;
}

static int null_test(Native *n, Tape *t, const Expr *e)
{
    const int a = tape_expr(n, t, e->arg[0]);

    return apply(t, IN_is_null, e->op, RT_bool, false, a, -1, -1);
}

static int nullif(Native *n, Tape *t, const Expr *e)
{
    const int c = compare(n, t, OP_eq, e->arg[0], e->arg[1]);
    const int a = tape_as(t, tape_expr(n, t, e->arg[0]), reg_type(e->type));

    return apply(t, IN_nullif, OP_nullif, t->reg[a].type, true, a, -1, c);
}

static int convert(Native *n, Tape *t, const Expr *e)
{
    const Type from = e->arg[0]->type;
    const int a = tape_expr(n, t, e->arg[0]);

    if (e->op == OP_to_text) {
        if (from == T_TEXT || from == T_NULL)
            return a;
        t->serial = true;
        const int x = t->reg[a].type == RT_bool ? tape_as(t, a, RT_int) : a;
        return apply(t, IN_print, e->op, RT_int, t->reg[x].nulls, x, -1, -1);
    }
    if (from == T_TEXT)
        return apply(t, IN_parse, e->op, e->op == OP_to_int ? RT_int : RT_real, t->reg[a].nulls, a, -1, -1);
    return tape_as(t, a, e->op == OP_to_int ? RT_int : RT_real);
}

/* The keys as one place, then the number there.  Codes that move look as if they could be NULL: seed and step
 * do, so what is known of the columns counts. */
static int draw(Native *n, Tape *t, const Expr *e)
{
    int place = literal(t, RT_int, 0, 0, false);

    for (int k = DRAW_KEYS; k < e->n_args; k++) {
        const int key = tape_as(t, tape_expr(n, t, e->arg[k]), RT_int);
        place = apply(t, e->arg[k]->type == T_TEXT ? IN_place_text : IN_place, e->op, RT_int, t->reg[place].nulls ||
                      (t->reg[key].nulls && e->arg[k]->nullable), place, key, -1);
    }
    const int seed = tape_expr(n, t, e->arg[1]), step = tape_expr(n, t, e->arg[2]);
    const bool nulls = t->reg[place].nulls || e->arg[1]->nullable || e->arg[2]->nullable;
    const int r = apply(t, IN_draw, e->op, RT_real, nulls, place, seed, step);
    t->ins[t->n_ins - 1].i = e->arg[0]->i;
    return r;
}

static int compile(Native *n, Tape *t, const Expr *e)
{
    switch (e->op) {
    case OP_col: return load(t, e);
    case OP_lit_int:
        return e->type == T_BOOL ? literal(t, RT_bool, 0, e->i ? 2 : 0, false)
                                 : literal(t, RT_int, 0, IS_KEY(e->i) ? e->i : KEY_BAD, false);
    case OP_lit_real: return literal(t, RT_real, e->r, 0, false);
    case OP_lit_text: return literal(t, RT_int, 0, dict_code(&n->dict, e->s), false);
    case OP_lit_null: return null_of(t, reg_type(e->type));
    case OP_var: BUG("a loop variable reached the native engine");
    case OP_neg: case OP_add: case OP_sub: case OP_mul: case OP_div: case OP_idiv: case OP_mod: case OP_abs: case OP_sign:
    case OP_exp: case OP_ln: case OP_log10: case OP_sqrt: case OP_pow: case OP_sin: case OP_cos: case OP_tan:
    case OP_tanh: case OP_atan: case OP_floor: case OP_ceil:
        return arith(n, t, e);
    case OP_round: return round_to(n, t, e);
    case OP_draw: return draw(n, t, e);
    case OP_max: case OP_min: return extreme(n, t, e);
    case OP_cond: return cond(n, t, e);
    case OP_coalesce: return coalesce(n, t, e);
    case OP_nullif: return nullif(n, t, e);
    case OP_to_int: case OP_to_real: case OP_to_text: return convert(n, t, e);
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same: case OP_differ:
        return compare(n, t, e->op, e->arg[0], e->arg[1]);
    case OP_is_null: case OP_not_null: return null_test(n, t, e);
    case OP_in: return in_list(n, t, e);
    case OP_and: case OP_or: return logic(n, t, e);
    case OP_not: {
        const int a = tape_as(t, tape_expr(n, t, e->arg[0]), RT_bool);
        return apply(t, IN_not, OP_not, RT_bool, t->reg[a].nulls, a, -1, -1);
    }
    }
    BUG("tape: operator %d", (int)e->op);
}

int tape_expr(Native *n, Tape *t, const Expr *e)
{
    int n_r = t->n_memo;

    for (int k = 0; k < t->n_memo; k++)
        if (ex_equal(t->memo_e[k], e))
            return t->memo_r[k];
    const int r = compile(n, t, e);
    n_r = t->n_memo;
    VEC_PUSH(&t->arena, t->memo_r, n_r, r);
    VEC_PUSH(&t->arena, t->memo_e, t->n_memo, e);
    return r;
}

/* ---- presence ---- */

static int both(Tape *t, int a, int b)
{
    return a < 0 ? b : b < 0 ? a : apply(t, IN_and, OP_and, RT_bool, any_nulls(t, a, b), a, b, -1);
}

/* A weak LEFT source's own columns are read raw in its ON, guarded by the match everywhere else. */
static void match_of(Native *n, Tape *t, int s)
{
    const Input *in = &t->in[s];
    int m = in->lay->masked && !in->pres_settled ? load_pres(t, s) : -1;

    for (int k = 0; k < in->n_soft; k++)
        m = both(t, m, tape_as(t, tape_expr(n, t, in->soft[k]), RT_bool));
    t->match[s] = m;
    t->n_memo = 0;
}

int tape_mask(Native *n, Tape *t, Expr *const *soft, int n_soft)
{
    int m = -1;

    for (int s = 0; s < t->n_in; s++)
        if (t->in[s].used && t->in[s].weak)
            match_of(n, t, s);
    for (int s = 0; s < t->n_in; s++) {
        const Input *in = &t->in[s];
        if (in->used && !in->left && !in->weak && in->lay->masked && !in->pres_settled)
            m = both(t, m, load_pres(t, s));
    }
    for (int k = 0; k < n_soft; k++)
        m = both(t, m, tape_as(t, tape_expr(n, t, soft[k]), RT_bool));
    return m;
}

bool tape_ready(Native *n, Tape *t)
{
    for (int s = 0; s < t->n_in; s++)
        if (t->in[s].used && (!lay_keys(n, t->in[s].lay) || !lay_values(n, t->in[s].rel, t->in[s].lay)))
            return false;
    for (int k = 0; k < t->n_ins; k++) {
        const Ins *i = &t->ins[k];
        if (i->kind == IN_load && !t->in[i->src].laned && t->in[i->src].lay->col[i->col].type != T_REAL &&
            !lay_codes(n, t->in[i->src].lay, i->col))
            return false;
    }
    return true;
}
