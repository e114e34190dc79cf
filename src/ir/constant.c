/* SPDX-License-Identifier: Apache-2.0
 *
 * constant.c - keys that are one literal in every row of a relation.  Statements repeated by a loop leave many:
 * `SELECT 5 AS t, …` makes a slice, and `WHERE h.t = 4` asks for one.  Known constants spread over the equalities of
 * a block, and where a condition over them cannot hold, no row comes of it. */
#include "ir/ir.h"

struct Consts {
    Arena *a;
    const Block *b;
    const Expr ***of;           /* [source][column]: the literal, or NULL */
};

Consts *consts_new(Arena *a, const Block *b)
{
    Consts *k = ARENA_NEW(a, Consts);

    *k = (Consts){ a, b, ARENA_ARRAY(a, const Expr **, b->n_src + 1) };
    for (int s = 0; s < b->n_src; s++) {
        const Block *r = b->src[s].rel;
        k->of[s] = ARENA_ARRAY(a, const Expr *, r->n_cols + 1);
        for (int c = 0; c < r->n_cols && b->src[s].join != JOIN_left; c++)
            k->of[s][c] = r->col[c].constant;
    }
    return k;
}

const Expr *consts_of(const Consts *k, int src, int col)
{
    return k->of[src][col];
}

void consts_set(Consts *k, int src, int col, const Expr *literal)
{
    k->of[src][col] = literal;
}

typedef struct ConstCall { const Consts *k; bool known; } ConstCall;

static bool is_unknown_col(void *arg, const Expr *e)
{
    const Consts *k = arg;

    return e->op == OP_var || (e->op == OP_col && !k->of[e->src][e->col]);
}

static Value const_of_col(void *arg, const Expr *e)
{
    const Consts *k = arg;

    return ex_eval(k->of[e->src][e->col], NULL, NULL);
}

static bool known_value(const Consts *k, const Expr *e, Value *out)
{
    if (ex_any(e, is_unknown_col, (void *)k))
        return false;
    *out = ex_eval(e, const_of_col, (void *)k);
    return true;
}

const Expr *consts_literal(const Consts *k, const Expr *e)
{
    Value v;

    if (e->type == T_REAL || !known_value(k, e, &v) || v.null)
        return NULL;
    return v.type == T_TEXT ? ex_text(k->a, v.s) : ex_int(k->a, v.i);
}

/* A literal of its own: the text of another arena's would go with that. */
static const Expr *own_literal(Arena *a, const Expr *e)
{
    return e->op == OP_lit_text ? ex_text(a, e->s) : ex_copy(a, e);
}

/* `column = expression`, the column unknown and the expression not: the column is that literal. */
static bool follow_side(Consts *k, const Expr *col, const Expr *e)
{
    if (col->op != OP_col || col->type == T_REAL || k->of[col->src][col->col] || k->b->src[col->src].join == JOIN_left)
        return false;
    return (k->of[col->src][col->col] = consts_literal(k, e)) != NULL;
}

static bool follow(Consts *k, const Expr *e)
{
    return (e->op == OP_eq || e->op == OP_same) && e->arg[0]->type == e->arg[1]->type &&
           (follow_side(k, e->arg[0], e->arg[1]) || follow_side(k, e->arg[1], e->arg[0]));
}

void consts_follow(Consts *k)
{
    for (bool more = true; more;) {
        more = false;
        for (int w = 0; w < k->b->n_where; w++)
            more |= follow(k, k->b->where[w]);
    }
}

bool consts_never(const Consts *k, Expr *const *cond, int n)
{
    Value v;

    for (int w = 0; w < n; w++)
        if (known_value(k, cond[w], &v) && (v.null || !v.i))
            return true;
    return false;
}

/* ---- of a block's own columns ---- */

static bool has_constant_source(const Block *b)
{
    for (int s = 0; s < b->n_src; s++)
        for (int c = 0; c < b->src[s].rel->n_cols; c++)
            if (b->src[s].rel->col[c].constant)
                return true;
    return false;
}

static bool has_literal(const Expr *e)
{
    for (int i = 0; i < e->n_args; i++)
        if (has_literal(e->arg[i]))
            return true;
    return e->op == OP_lit_int || e->op == OP_lit_text;
}

static bool compares_literal(const Block *b)
{
    for (int w = 0; w < b->n_where; w++)
        if ((b->where[w]->op == OP_eq || b->where[w]->op == OP_same) && has_literal(b->where[w]))
            return true;
    return false;
}

/* Without what consts_new gathers, where a column or a literal stands, as in most parts: there may be thousands. */
static const Expr *constant_of_part(Arena *a, const Block *b, const Expr *e)
{
    if (e->op == OP_lit_int || e->op == OP_lit_text)
        return e;
    return e->op == OP_col ? b->src[e->src].rel->col[e->col].constant : consts_literal(consts_new(a, b), e);
}

static const Expr *constant_of_parts(Arena *a, const Block *b, int c)
{
    const Expr *first = NULL;

    for (int i = 0; i < b->n_parts; i++) {
        const Expr *e = constant_of_part(a, b, b->part[i].e[c]);
        if (!e || (first && !ex_equal(first, e)))
            return NULL;
        first = e;
    }
    return first;
}

static bool may_be_constant(const Block *b, const Col *k, bool moved)
{
    if (k->type == T_REAL || k->type == T_BOOL || k->agg != AGG_none)
        return false;
    return b->kind == BLK_union || (k->e && (moved || !ex_sources(k->e)));
}

void analyse_constants(Prog *p, Block *b)
{
    const bool moved = b->kind != BLK_union && (has_constant_source(b) || compares_literal(b));
    Arena a = { 0 };
    Consts *k = NULL;

    for (int c = 0; c < b->n_cols && b->kind != BLK_base; c++) {
        Col *col = &b->col[c];
        const Expr *found = NULL;
        if (!may_be_constant(b, col, moved)) {
            col->constant = NULL;
            continue;
        }
        if (!k && b->kind != BLK_union) {
            k = consts_new(&a, b);
            consts_follow(k);
        }
        found = b->kind == BLK_union ? constant_of_parts(&a, b, c) : consts_literal(k, col->e);
        if (!found || !col->constant || !ex_equal(found, col->constant))
            col->constant = found ? own_literal(&p->c->arena, found) : NULL;
    }
    arena_free(&a);
}
