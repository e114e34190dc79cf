/* SPDX-License-Identifier: Apache-2.0
 *
 * verify.c - what every pass may rely on and must leave true: the rules at the head of ir.h, checked.
 * A violation is a bug of the pass named `after`, never the user's fault. */
#include "ir/ir.h"

#include <string.h>

typedef struct Verifier { const char *after; const Prog *p; const Block *b; const bool *defined; } Verifier;

#define VERIFY(v, cond, ...) \
    do { if (!(cond)) verify_failed((v), __VA_ARGS__); } while (0)

PRINTF(2, 3) NORETURN static void verify_failed(const Verifier *v, const char *fmt, ...)
{
    Arena a = { 0 };
    va_list ap;

    va_start(ap, fmt);
    const char *what = arena_vprintf(&a, fmt, ap);
    va_end(ap);
    BUG("after %s: block %s (%s): %s", v->after, v->b && v->b->name ? v->b->name : "?",
        v->b ? block_kind_name[v->b->kind] : "?", what);
}

/* ---- expressions ---- */

static bool is_number(Type t)
{
    return t == T_INT || t == T_REAL;
}

static bool types_agree(Type x, Type y)
{
    return x == y || x == T_NULL || y == T_NULL;
}

static void verify_leaf(const Verifier *v, const Expr *e, int max_src)
{
    if (e->op == OP_lit_text || e->op == OP_var)
        VERIFY(v, e->s, "%s without text", op_info[e->op].name);
    if (e->op != OP_col)
        return;
    if (v->b->kind == BLK_base) {                   /* a CHECK */
        VERIFY(v, e->col >= 0 && e->col < v->b->n_cols, "CHECK reads column %d", e->col);
        return;
    }
    VERIFY(v, e->src >= 0 && e->src < v->b->n_src, "source %d of %d", e->src, v->b->n_src);
    VERIFY(v, e->src <= max_src, "an ON reads source %d, after its own", e->src);
    const Source *s = &v->b->src[e->src];
    VERIFY(v, e->col >= 0 && e->col < s->rel->n_cols, "column %d of %s", e->col, s->alias);
    const Col *k = &s->rel->col[e->col];
    VERIFY(v, e->type == k->type, "%s.%s is %s, the expression says %s", s->alias, k->name, type_name[k->type],
           type_name[e->type]);
    VERIFY(v, e->nullable || !(k->nullable || s->join == JOIN_left), "%s.%s may be NULL", s->alias, k->name);
}

static void verify_arity(const Verifier *v, const Expr *e)
{
    const OpInfo *o = &op_info[e->op];

    if (o->nargs >= 0)
        VERIFY(v, e->n_args == o->nargs, "%s has %d arguments", o->name, e->n_args);
    else if (e->op == OP_cond)
        VERIFY(v, e->n_args >= 3 && e->n_args % 2 == 1, "CASE has %d arguments", e->n_args);
    else
        VERIFY(v, e->n_args >= (e->op == OP_coalesce || e->op == OP_and || e->op == OP_or ? 1 : 2),
               "%s has %d arguments", o->name, e->n_args);
    for (int k = 0; k < e->n_args; k++)
        VERIFY(v, e->arg[k], "%s lacks argument %d", o->name, k);
}

static void verify_arg_types(const Verifier *v, const Expr *e, Type want, const char *what)
{
    for (int k = 0; k < e->n_args; k++)
        VERIFY(v, types_agree(e->arg[k]->type, want), "%s: argument %d is %s, %s is %s", op_info[e->op].name, k,
               type_name[e->arg[k]->type], what, type_name[want]);
}

/* Results of CASE have its type, conditions are boolean. */
static void verify_cond(const Verifier *v, const Expr *e)
{
    for (int k = 0; k < e->n_args; k++)
        if (k % 2 == 0 && k < e->n_args - 1)
            VERIFY(v, types_agree(e->arg[k]->type, T_BOOL), "CASE: condition %d is %s", k, type_name[e->arg[k]->type]);
        else
            VERIFY(v, types_agree(e->arg[k]->type, e->type), "CASE: result %d is %s, the whole %s", k,
                   type_name[e->arg[k]->type], type_name[e->type]);
}

static void verify_compared(const Verifier *v, const Expr *e)
{
    Type t = T_NULL;

    VERIFY(v, e->type == T_BOOL, "%s is %s", op_info[e->op].name, type_name[e->type]);
    for (int k = 0; k < e->n_args; k++) {
        const Type u = e->arg[k]->type;
        if (t == T_NULL)
            t = u;
        const bool ints = (t == T_BOOL || t == T_INT) && (u == T_BOOL || u == T_INT);
        VERIFY(v, ints || types_agree(t, u), "%s compares %s with %s", op_info[e->op].name, type_name[t], type_name[u]);
    }
}

static void verify_types(const Verifier *v, const Expr *e)
{
    switch (e->op) {
    case OP_lit_int: VERIFY(v, e->type == T_INT || e->type == T_BOOL, "an integer of type %s", type_name[e->type]); return;
    case OP_lit_real: VERIFY(v, e->type == T_REAL, "a real of type %s", type_name[e->type]); return;
    case OP_lit_text: VERIFY(v, e->type == T_TEXT, "a text of type %s", type_name[e->type]); return;
    case OP_col: case OP_lit_null: case OP_var: return;
    case OP_neg: case OP_add: case OP_sub: case OP_mul: case OP_abs: case OP_sign:
        VERIFY(v, is_number(e->type), "%s is %s", op_info[e->op].name, type_name[e->type]);
        verify_arg_types(v, e, e->type, "the result");
        return;
    case OP_max: case OP_min:
        verify_arg_types(v, e, e->type, "the result");
        return;
    case OP_div: case OP_exp: case OP_ln: case OP_log10: case OP_sqrt: case OP_pow: case OP_sin: case OP_cos:
    case OP_tan: case OP_tanh: case OP_atan: case OP_floor: case OP_ceil:
        VERIFY(v, e->type == T_REAL, "%s is %s", op_info[e->op].name, type_name[e->type]);
        verify_arg_types(v, e, T_REAL, "what it takes");
        return;
    case OP_draw:
        VERIFY(v, e->type == T_REAL && e->n_args >= DRAW_KEYS && e->arg[0]->op == OP_lit_int, "draw without a stream");
        for (int k = 1; k < e->n_args; k++)
            VERIFY(v, e->arg[k]->type == T_INT || (k >= DRAW_KEYS && e->arg[k]->type == T_TEXT), "draw for %s",
                   type_name[e->arg[k]->type]);
        return;
    case OP_round:
        VERIFY(v, e->type == T_REAL && types_agree(e->arg[0]->type, T_REAL), "ROUND of %s", type_name[e->arg[0]->type]);
        VERIFY(v, e->arg[1]->op == OP_lit_int, "ROUND to digits that are no literal");
        return;
    case OP_idiv: case OP_mod:
        VERIFY(v, e->type == T_INT, "%s is %s", op_info[e->op].name, type_name[e->type]);
        verify_arg_types(v, e, T_INT, "what it takes");
        return;
    case OP_cond: verify_cond(v, e); return;
    case OP_coalesce: verify_arg_types(v, e, e->type, "the result"); return;
    case OP_nullif:
        VERIFY(v, types_agree(e->arg[0]->type, e->type), "NULLIF is %s", type_name[e->type]);
        return;
    case OP_to_int: VERIFY(v, e->type == T_INT, "to_int is %s", type_name[e->type]); return;
    case OP_to_real: VERIFY(v, e->type == T_REAL, "to_real is %s", type_name[e->type]); return;
    case OP_to_text: VERIFY(v, e->type == T_TEXT, "to_text is %s", type_name[e->type]); return;
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same: case OP_differ: case OP_in:
        verify_compared(v, e);
        return;
    case OP_is_null: case OP_not_null:
        VERIFY(v, e->type == T_BOOL, "%s is %s", op_info[e->op].name, type_name[e->type]);
        return;
    case OP_and: case OP_or: case OP_not:
        VERIFY(v, e->type == T_BOOL, "%s is %s", op_info[e->op].name, type_name[e->type]);
        verify_arg_types(v, e, T_BOOL, "what it takes");
        return;
    }
    BUG("verify_types: operator %d", (int)e->op);
}

static void verify_expr(const Verifier *v, const Expr *e, int max_src)
{
    VERIFY(v, e, "an expression is missing");
    VERIFY(v, (int)e->op >= 0 && (int)e->op < n_ops, "operator %d", (int)e->op);
    VERIFY(v, (int)e->type >= T_NULL && (int)e->type <= T_REAL, "type %d", (int)e->type);
    verify_arity(v, e);
    verify_leaf(v, e, max_src);
    for (int k = 0; k < e->n_args; k++)
        verify_expr(v, e->arg[k], max_src);
    verify_types(v, e);
    VERIFY(v, e->nullable || !ex_may_null(e), "%s may be NULL and says it is not", op_info[e->op].name);
}

static void verify_conjuncts(const Verifier *v, Expr *const *e, int n, int max_src)
{
    for (int k = 0; k < n; k++) {
        verify_expr(v, e[k], max_src);
        VERIFY(v, types_agree(e[k]->type, T_BOOL), "a condition is %s", type_name[e[k]->type]);
        VERIFY(v, e[k]->op != OP_and, "AND was not split");
    }
}

/* ---- blocks ---- */

static void verify_sources(const Verifier *v)
{
    const Block *b = v->b;

    for (int s = 0; s < b->n_src; s++) {
        const Source *k = &b->src[s];
        VERIFY(v, k->rel && k->rel->id >= 0 && k->rel->id < v->p->n_blocks && v->defined[k->rel->id] &&
                  v->p->block[k->rel->id] == k->rel, "source %d (%s) is not defined before", s, k->alias);
        VERIFY(v, k->alias && *k->alias, "source %d has no alias", s);
        for (int t = 0; t < s; t++)
            VERIFY(v, b->kind == BLK_union || !ascii_ieq(b->src[t].alias, k->alias), "two sources named %s", k->alias);
        VERIFY(v, k->join == JOIN_inner || s > 0, "the first source is LEFT");
        VERIFY(v, k->join == JOIN_left || !k->n_on, "%s has an ON and is not LEFT", k->alias);
        verify_conjuncts(v, k->on, k->n_on, s);
    }
}

static void verify_names(const Verifier *v)
{
    const Block *b = v->b;

    VERIFY(v, b->name && *b->name, "no name");
    for (int c = 0; c < b->n_cols; c++) {
        VERIFY(v, b->col[c].name && *b->col[c].name, "column %d has no name", c);
        for (int d = 0; d < c; d++)
            VERIFY(v, strcmp(b->col[c].name, b->col[d].name), "two columns named %s", b->col[c].name);
    }
}

static void verify_agg(const Verifier *v, const Col *k)
{
    switch (k->agg) {
    case AGG_none: VERIFY(v, false, "column %s is no key and no aggregate", k->name); return;
    case AGG_count: VERIFY(v, k->type == T_INT && !k->nullable, "COUNT %s is %s", k->name, type_name[k->type]); return;
    case AGG_sum:
        VERIFY(v, k->e && types_agree(k->type, k->e->type) && (is_number(k->type) || k->type == T_NULL), "SUM %s is %s",
               k->name, type_name[k->type]);
        return;
    case AGG_min: case AGG_max:
        VERIFY(v, k->e && k->type == k->e->type, "%s %s is %s", agg_info[k->agg].sql, k->name, type_name[k->type]);
        return;
    }
    BUG("verify_agg: aggregate %d", (int)k->agg);
}

static void verify_cols(const Verifier *v)
{
    const Block *b = v->b;

    for (int c = 0; c < b->n_cols; c++) {
        const Col *k = &b->col[c];
        const bool agg = b->kind == BLK_reduce && c >= b->n_keys;
        if (b->kind == BLK_base || b->kind == BLK_union) {
            VERIFY(v, !k->e && k->agg == AGG_none, "column %s has an expression", k->name);
            continue;
        }
        if (agg) {
            verify_agg(v, k);
            if (k->e)
                verify_expr(v, k->e, b->n_src);
            continue;
        }
        VERIFY(v, k->agg == AGG_none, "column %s is an aggregate", k->name);
        verify_expr(v, k->e, b->n_src);
        VERIFY(v, k->type == k->e->type, "column %s is %s, its expression %s", k->name, type_name[k->type],
               type_name[k->e->type]);
        VERIFY(v, k->nullable || !k->e->nullable, "column %s may be NULL and says it is not", k->name);
    }
}

static void verify_parts(const Verifier *v)
{
    const Block *b = v->b;

    VERIFY(v, b->n_parts > 0, "no parts");
    VERIFY(v, !b->n_where, "a union with a condition");
    for (int p = 0; p < b->n_parts; p++) {
        VERIFY(v, b->part[p].src >= -1 && b->part[p].src < b->n_src, "part %d has source %d", p, b->part[p].src);
        for (int c = 0; c < b->n_cols; c++) {
            verify_expr(v, b->part[p].e[c], b->n_src);
            VERIFY(v, types_agree(b->part[p].e[c]->type, b->col[c].type), "part %d: column %s is %s, not %s", p,
                   b->col[c].name, type_name[b->part[p].e[c]->type], type_name[b->col[c].type]);
        }
    }
}

static void verify_pick(const Verifier *v)
{
    const Block *b = v->b;

    VERIFY(v, b->limit >= 0, "limit %lld", (long long)b->limit);
    for (int k = 0; k < b->n_part; k++)
        verify_expr(v, b->part_key[k], b->n_src);
    for (int k = 0; k < b->n_order; k++)
        verify_expr(v, b->order[k].e, b->n_src);
}

static void verify_identity(const Verifier *v)
{
    const Block *b = v->b;

    for (int k = 0; k < b->n_id; k++) {
        VERIFY(v, b->id_col[k] >= 0 && b->id_col[k] < b->n_cols, "identity column %d", b->id_col[k]);
        for (int j = 0; j < k; j++)
            VERIFY(v, b->id_col[j] != b->id_col[k], "identity column %s twice", b->col[b->id_col[k]].name);
    }
    VERIFY(v, !b->bag || (b->kind == BLK_base && b->n_cols && b->col[b->n_cols - 1].hidden), "a bag without row numbers");
}

static void verify_block(const Verifier *v)
{
    const Block *b = v->b;

    VERIFY(v, (b->role != BASE_none) == (b->kind == BLK_base), "role %d", (int)b->role);
    VERIFY(v, b->kind != BLK_base || !b->n_src, "a base block with sources");
    VERIFY(v, b->n_keys >= 0 && b->n_keys <= b->n_cols && (b->kind == BLK_reduce || !b->n_keys), "%d keys", b->n_keys);
    verify_names(v);
    verify_sources(v);
    verify_conjuncts(v, b->where, b->n_where, b->n_src);
    verify_cols(v);
    verify_identity(v);
    if (b->kind == BLK_union)
        verify_parts(v);
    if (b->kind == BLK_pick)
        verify_pick(v);
    for (int k = 0; b->shape && k < b->shape->n_checks; k++)
        verify_expr(v, b->shape->check[k], 0);
}

/* ---- the program ---- */

static bool in_prog(const Prog *p, const Block *b)
{
    return b && b->id >= 0 && b->id < p->n_blocks && p->block[b->id] == b;
}

static void verify_results(const Verifier *v)
{
    const Prog *p = v->p;

    for (int k = 0; k < p->n_obj; k++)
        VERIFY(v, in_prog(p, p->obj[k].loss), "objective %d has no loss", k);
    for (int k = 0; k < p->n_grads; k++)
        VERIFY(v, in_prog(p, p->grad[k].table) && in_prog(p, p->grad[k].grad), "gradient %d has no blocks", k);
    for (int k = 0; k < p->n_assigns; k++) {
        const Assign *a = &p->assign[k];
        VERIFY(v, in_prog(p, a->target) && in_prog(p, a->from) && a->target->kind == BLK_base, "assignment %d", k);
        for (int c = 0; c < a->n_cols; c++) {
            VERIFY(v, a->to_col[c] >= 0 && a->to_col[c] < a->target->n_cols && a->from_col[c] >= 0 &&
                      a->from_col[c] < a->from->n_cols, "assignment %d, column %d", k, c);
            VERIFY(v, types_agree(a->target->col[a->to_col[c]].type, a->from->col[a->from_col[c]].type),
                   "assignment %d of another type", k);
        }
    }
}

void ir_verify(const Prog *p, const char *after)
{
    Arena a = { 0 };
    bool *defined = ARENA_ARRAY(&a, bool, p->n_blocks + 1);
    Verifier v = { after, p, NULL, defined };

    for (int k = 0; k < p->n_blocks; k++) {
        v.b = p->block[k];
        VERIFY(&v, v.b->id == k, "id %d at position %d", v.b->id, k);
        verify_block(&v);
        defined[k] = true;
    }
    v.b = NULL;
    verify_results(&v);
    arena_free(&a);
}
