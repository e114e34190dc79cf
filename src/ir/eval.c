/* SPDX-License-Identifier: Apache-2.0
 *
 * eval.c - one expression, one row, in double precision with SQL's NULLs: learning rates, --as, CHECKs,
 * constant folding.  It is also the plainest statement of what every operator means; the engines'
 * kernels are tested against it. */
#include "ir/ir.h"

#include <math.h>
#include <string.h>

typedef Value (*Getter)(void *arg, const Expr *col);

static Value null_value(Type t)
{
    return (Value){ .type = t, .null = true };
}

static Value int_val(int64_t i)
{
    return (Value){ .type = T_INT, .i = i };
}

static Value bool_val(bool b)
{
    return (Value){ .type = T_BOOL, .i = b };
}

static Value real_val(double r)
{
    return (Value){ .type = T_REAL, .r = r };
}

/* NULL first, numbers by value, texts by bytes. */
static int compare_values(Value x, Value y)
{
    if (x.null || y.null)
        return y.null - x.null;
    if (x.type == T_TEXT)
        return strcmp(x.s, y.s);
    if (x.type == T_REAL)
        return (x.r > y.r) - (x.r < y.r);
    return (x.i > y.i) - (x.i < y.i);
}

static double round_half_away(double x, int64_t digits)
{
    if (digits == 0)
        return round(x);
    const double ten = pow(10.0, (double)digits);
    const double r = round(x * ten) / ten;
    return isfinite(r) ? r : x;
}

static Value eval_int(Op op, int64_t x, int64_t y)
{
    int64_t r = 0;
    bool bad = false;

    if (op == OP_add)
        bad = __builtin_add_overflow(x, y, &r);
    else if (op == OP_sub)
        bad = __builtin_sub_overflow(x, y, &r);
    else if (op == OP_mul)
        bad = __builtin_mul_overflow(x, y, &r);
    else if (op == OP_idiv && !(bad = y == 0 || (y == -1 && x == INT64_MIN)))
        r = x / y;
    else if (op == OP_mod && !(bad = y == 0))
        r = y == -1 ? 0 : x % y;
    else if (op == OP_neg || (op == OP_abs && x < 0))
        bad = __builtin_sub_overflow((int64_t)0, x, &r);
    else if (op == OP_abs)
        r = x;
    else if (op == OP_sign)
        r = (x > 0) - (x < 0);
    return bad ? null_value(T_INT) : int_val(r);
}

static double eval_real1(Op op, double x)
{
    return op == OP_neg ? -x : op == OP_abs ? fabs(x) : op == OP_exp ? exp(x) : op == OP_ln ? log(x)
         : op == OP_log10 ? log10(x) : op == OP_sqrt ? sqrt(x) : op == OP_sin ? sin(x) : op == OP_cos ? cos(x)
         : op == OP_tan ? tan(x) : op == OP_tanh ? tanh(x) : op == OP_atan ? atan(x) : op == OP_floor ? floor(x)
         : op == OP_ceil ? ceil(x) : isnan(x) ? x : (double)((x > 0) - (x < 0));     /* sign */
}

static double eval_real2(Op op, double x, double y)
{
    return op == OP_add ? x + y : op == OP_sub ? x - y : op == OP_mul ? x * y : op == OP_div ? x / y : pow(x, y);
}

static Value eval_compare(Op op, Value x, Value y)
{
    if (op == OP_same || op == OP_differ)
        return bool_val((x.null == y.null && (x.null || compare_values(x, y) == 0)) == (op == OP_same));
    if (x.null || y.null)
        return null_value(T_BOOL);
    if (x.type == T_REAL && (isnan(x.r) || isnan(y.r)))
        return bool_val(op == OP_ne);
    const int c = compare_values(x, y);
    return bool_val(op == OP_eq ? c == 0 : op == OP_ne ? c != 0 : op == OP_lt ? c < 0 :
                    op == OP_le ? c <= 0 : op == OP_gt ? c > 0 : c >= 0);
}

static Value eval_logic(const Expr *e, Getter get, void *arg)
{
    const bool stop = e->op == OP_or;
    bool unknown = false;

    for (int k = 0; k < e->n_args; k++) {
        const Value v = ex_eval(e->arg[k], get, arg);
        if (!v.null && (v.i != 0) == stop)
            return bool_val(stop);
        unknown |= v.null;
    }
    return unknown ? null_value(T_BOOL) : bool_val(!stop);
}

static Value eval_cond(const Expr *e, Getter get, void *arg)
{
    for (int k = 0; k + 1 < e->n_args; k += 2) {
        const Value v = ex_eval(e->arg[k], get, arg);
        if (!v.null && v.i)
            return ex_eval(e->arg[k + 1], get, arg);
    }
    return ex_eval(e->arg[e->n_args - 1], get, arg);
}

static Value eval_in(const Expr *e, Getter get, void *arg)
{
    const Value x = ex_eval(e->arg[0], get, arg);
    bool unknown = false;

    for (int k = 1; k < e->n_args; k++) {
        const Value v = eval_compare(OP_eq, x, ex_eval(e->arg[k], get, arg));
        if (!v.null && v.i)
            return v;
        unknown |= v.null;
    }
    return unknown ? null_value(T_BOOL) : bool_val(false);
}

static Value eval_extreme(const Expr *e, Getter get, void *arg)
{
    Value best = ex_eval(e->arg[0], get, arg);

    for (int k = 1; k < e->n_args; k++) {
        const Value v = ex_eval(e->arg[k], get, arg);
        if (v.null || best.null)
            return null_value(e->type);
        if (v.type == T_REAL && (isnan(v.r) || isnan(best.r)))
            best = real_val(NAN);
        else if ((e->op == OP_max) == (compare_values(v, best) > 0) && compare_values(v, best))
            best = v;
    }
    return best;
}

static Value to_int(Value v)
{
    int64_t i = 0;

    if (v.null)
        return null_value(T_INT);
    if (v.type == T_REAL) {
        if (isnan(v.r))
            return null_value(T_INT);
        return int_val(v.r >= 0x1p63 ? INT64_MAX : v.r < -0x1p63 ? INT64_MIN : (int64_t)v.r);
    }
    if (v.type != T_TEXT)
        return int_val(v.i);
    size_t n = strspn(v.s, "+-0123456789");
    while (n && !parse_int(v.s, n, &i))
        n--;
    return int_val(i);
}

static Value to_real(Value v)
{
    double r = 0;

    if (v.null)
        return null_value(T_REAL);
    if (v.type == T_REAL)
        return v;
    if (v.type != T_TEXT)
        return real_val((double)v.i);
    size_t n = strspn(v.s, "+-0123456789.eE");
    while (n && !parse_real(v.s, n, &r))
        n--;
    return real_val(r);
}

/* An INT as text; the text lives until seven more were made by this thread. */
static Value to_text(Value v)
{
    static _Thread_local char text[8][24];
    static _Thread_local unsigned n;

    if (v.null || v.type == T_TEXT)
        return v.null ? null_value(T_TEXT) : v;
    char *s = text[n++ % COUNT_OF(text)];
    snprintf(s, sizeof text[0], "%lld", (long long)v.i);
    return (Value){ .type = T_TEXT, .s = s };
}

static Value eval_arith(const Expr *e, Getter get, void *arg)
{
    const Value x = ex_eval(e->arg[0], get, arg);
    const Value y = e->n_args > 1 ? ex_eval(e->arg[1], get, arg) : x;

    if (x.null || y.null)
        return null_value(e->type);
    if (e->op == OP_round)
        return real_val(round_half_away(x.r, y.i));
    if (e->type != T_REAL)
        return eval_int(e->op, x.i, y.i);
    return real_val(e->n_args == 1 ? eval_real1(e->op, x.r) : eval_real2(e->op, x.r, y.r));
}

/* Seed, step and keys; a NULL among them gives NULL. */
static Value eval_draw(const Expr *e, Getter get, void *arg)
{
    int64_t place = 0, from[DRAW_KEYS] = { 0 };

    for (int k = 0; k < e->n_args; k++) {
        const Value v = ex_eval(e->arg[k], get, arg);
        if (v.null)
            return null_value(T_REAL);
        if (k < DRAW_KEYS)
            from[k] = v.i;
        else
            place = draw_place(place, v.type == T_TEXT ? hash_bytes(v.s, strlen(v.s)) : (uint64_t)v.i);
    }
    return real_val(draw_unit(draw_bits(from[0], from[1], from[2], place)));
}

Value ex_eval(const Expr *e, Value (*get)(void *arg, const Expr *col), void *arg)
{
    Value v;

    switch (e->op) {
    case OP_col: case OP_var:
        if (!get)
            BUG("ex_eval: a column where none can be");
        return get(arg, e);
    case OP_lit_int: return int_val(e->i);
    case OP_lit_real: return real_val(e->r);
    case OP_lit_text: return (Value){ .type = T_TEXT, .s = e->s };
    case OP_lit_null: return null_value(e->type);
    case OP_neg: case OP_add: case OP_sub: case OP_mul: case OP_div: case OP_idiv: case OP_mod:
    case OP_abs: case OP_sign: case OP_exp: case OP_ln: case OP_log10: case OP_sqrt: case OP_pow:
    case OP_sin: case OP_cos: case OP_tan: case OP_tanh: case OP_atan: case OP_floor: case OP_ceil:
    case OP_round:
        return eval_arith(e, get, arg);
    case OP_draw: return eval_draw(e, get, arg);
    case OP_max: case OP_min: return eval_extreme(e, get, arg);
    case OP_cond: return eval_cond(e, get, arg);
    case OP_coalesce:
        for (int k = 0; k < e->n_args; k++)
            if (!(v = ex_eval(e->arg[k], get, arg)).null)
                return v;
        return null_value(e->type);
    case OP_nullif:
        v = eval_compare(OP_eq, ex_eval(e->arg[0], get, arg), ex_eval(e->arg[1], get, arg));
        return !v.null && v.i ? null_value(e->type) : ex_eval(e->arg[0], get, arg);
    case OP_to_int: return to_int(ex_eval(e->arg[0], get, arg));
    case OP_to_real: return to_real(ex_eval(e->arg[0], get, arg));
    case OP_to_text: return to_text(ex_eval(e->arg[0], get, arg));
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same: case OP_differ:
        return eval_compare(e->op, ex_eval(e->arg[0], get, arg), ex_eval(e->arg[1], get, arg));
    case OP_is_null: return bool_val(ex_eval(e->arg[0], get, arg).null);
    case OP_not_null: return bool_val(!ex_eval(e->arg[0], get, arg).null);
    case OP_in: return eval_in(e, get, arg);
    case OP_and: case OP_or: return eval_logic(e, get, arg);
    case OP_not:
        v = ex_eval(e->arg[0], get, arg);
        return v.null ? v : bool_val(!v.i);
    }
    BUG("ex_eval: operator %d", (int)e->op);
}
