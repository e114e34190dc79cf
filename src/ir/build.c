/* SPDX-License-Identifier: Apache-2.0
 *
 * build.c - making expressions and blocks.  Everybody who makes IR goes through here, so that types and
 * nullability are derived in one place and conversions from INT to REAL are always explicit. */
#include "ir/ir.h"

#include <math.h>
#include <string.h>

/* ---- expressions ---- */

/* The common type of several expressions: REAL beside INT is REAL, NULL literals follow the others. */
static Type common_type(Expr *const *e, int n)
{
    Type t = T_NULL;

    for (int k = 0; k < n; k++) {
        const Type u = e[k]->type;
        if (u == T_NULL || u == t)
            continue;
        if (t == T_NULL)
            t = u;
        else if (t == T_TEXT || u == T_TEXT)
            t = T_TEXT;
        else
            t = t == T_REAL || u == T_REAL ? T_REAL : T_INT;    /* BOOL beside INT is INT */
    }
    return t;
}

/* Which arguments of a cond are results: every second one and the last. */
static bool is_result(const Expr *e, int k)
{
    return k % 2 == 1 || k == e->n_args - 1;
}

static Type result_type(const Expr *e)
{
    Type t = T_NULL;

    if (e->op != OP_cond)
        return common_type(e->arg, e->op == OP_nullif ? 1 : e->n_args);
    for (int k = 0; k < e->n_args; k++)
        if (is_result(e, k)) {
            Expr *two[2] = { &(Expr){ .type = t }, e->arg[k] };
            t = common_type(two, 2);
        }
    return t;
}

static Type derived_type(const Expr *e)
{
    const Type t = e->n_args ? common_type(e->arg, e->n_args) : T_NULL;
    const char kind = op_info[e->op].kind;

    if (kind == 'n')
        return t == T_REAL || t == T_TEXT ? t : T_INT;
    if (kind == 'r' || e->op == OP_to_real || e->op == OP_draw)
        return T_REAL;
    if (kind == 'b')
        return T_BOOL;
    if (e->op == OP_idiv || e->op == OP_mod || e->op == OP_to_int)
        return T_INT;
    return e->op == OP_to_text ? T_TEXT : result_type(e);   /* else cond, coalesce, nullif */
}

static bool any_null(const Expr *e)
{
    for (int k = 0; k < e->n_args; k++)
        if (e->arg[k]->nullable)
            return true;
    return false;
}

static bool cond_null(const Expr *e)
{
    for (int k = 0; k < e->n_args; k++)
        if (is_result(e, k) && e->arg[k]->nullable)
            return true;
    return false;
}

bool ex_may_null(const Expr *e)
{
    switch (e->op) {
    case OP_col: return e->nullable;
    case OP_lit_int: case OP_lit_real: case OP_lit_text: case OP_var: return false;
    case OP_lit_null: case OP_nullif: return true;
    case OP_idiv: case OP_mod:
        return any_null(e) || e->arg[1]->op != OP_lit_int || e->arg[1]->i == 0;
    case OP_cond: return cond_null(e);
    case OP_coalesce:
        for (int k = 0; k < e->n_args; k++)
            if (!e->arg[k]->nullable)
                return false;
        return true;
    case OP_same: case OP_differ: case OP_is_null: case OP_not_null: return false;
    case OP_neg: case OP_add: case OP_sub: case OP_mul: case OP_div: case OP_abs: case OP_sign:
    case OP_exp: case OP_ln: case OP_log10: case OP_sqrt: case OP_pow: case OP_sin: case OP_cos:
    case OP_tan: case OP_tanh: case OP_atan: case OP_floor: case OP_ceil: case OP_round: case OP_draw:
    case OP_max: case OP_min: case OP_to_int: case OP_to_real: case OP_to_text: case OP_eq: case OP_ne: case OP_lt:
    case OP_le: case OP_gt: case OP_ge: case OP_in: case OP_and: case OP_or: case OP_not:
        return any_null(e);
    }
    BUG("ex_may_null: operator %d", (int)e->op);
}

Expr *ex_new(Arena *a, Op op, Type t, int n, Expr **arg)
{
    Expr *e = ARENA_NEW(a, Expr);

    *e = (Expr){ .op = op, .type = t, .n_args = n, .src = -1, .col = -1 };
    e->arg = ARENA_ARRAY(a, Expr *, n ? n : 1);
    for (int k = 0; k < n; k++) {
        e->arg[k] = arg[k];
        if (!e->at.len)
            e->at = arg[k]->at;
    }
    e->nullable = ex_may_null(e);
    return e;
}

Expr *ex_real_of(Arena *a, Expr *e)
{
    if (e->type == T_REAL)
        return e;
    Expr *r = e->op == OP_lit_int ? ex_real(a, (double)e->i)
            : e->op == OP_lit_null ? ex_null(a, T_REAL) : ex_new(a, OP_to_real, T_REAL, 1, &e);
    r->at = e->at;
    return r;
}

/* Make the arguments agree: numbers become REAL where the operator or a sibling asks for it. */
static void unify_args(Arena *a, Expr *e)
{
    const char kind = op_info[e->op].kind;
    const Type t = common_type(e->arg, e->n_args);
    const bool compares = kind == 'b' && e->op != OP_and && e->op != OP_or && e->op != OP_not;

    for (int k = 0; k < e->n_args; k++) {
        const bool wants_real = kind == 'r' ? !(e->op == OP_round && k == 1)
                              : (kind == 'n' || compares) ? t == T_REAL
                              : (e->op == OP_coalesce || e->op == OP_nullif) ? t == T_REAL
                              : e->op == OP_cond && is_result(e, k) && e->type == T_REAL;
        if (wants_real && e->arg[k]->type != T_TEXT)
            e->arg[k] = ex_real_of(a, e->arg[k]);
    }
}

Expr *ex_exprs(Arena *a, Op op, Expr **arg, int n)
{
    Expr *e = ex_new(a, op, T_NULL, n, arg);

    e->type = derived_type(e);
    unify_args(a, e);
    if (op == OP_nullif)
        e->type = e->arg[0]->type;
    e->nullable = ex_may_null(e);
    return e;
}

Expr *ex1(Arena *a, Op op, Expr *x)
{
    return ex_exprs(a, op, &x, 1);
}

Expr *ex2(Arena *a, Op op, Expr *x, Expr *y)
{
    return ex_exprs(a, op, (Expr *[]){ x, y }, 2);
}

Expr *ex_int(Arena *a, int64_t i)
{
    Expr *e = ex_new(a, OP_lit_int, T_INT, 0, NULL);
    e->i = i;
    return e;
}

Expr *ex_real(Arena *a, double r)
{
    Expr *e = ex_new(a, OP_lit_real, T_REAL, 0, NULL);
    e->r = r;
    return e;
}

Expr *ex_text(Arena *a, const char *s)
{
    Expr *e = ex_new(a, OP_lit_text, T_TEXT, 0, NULL);
    e->s = arena_strdup(a, s);
    return e;
}

Expr *ex_null(Arena *a, Type t)
{
    return ex_new(a, OP_lit_null, t, 0, NULL);
}

Expr *ex_col(Arena *a, const Block *b, int src, int col)
{
    const Col *k = &b->src[src].rel->col[col];
    Expr *e = ex_new(a, OP_col, k->type, 0, NULL);

    e->src = src;
    e->col = col;
    e->nullable = k->nullable || b->src[src].join == JOIN_left;
    return e;
}

bool ex_is_real(const Expr *e, double v)
{
    return e->op == OP_lit_real && e->r == v && signbit(e->r) == signbit(v);
}

bool ex_equal(const Expr *x, const Expr *y)
{
    if (x == y)
        return true;
    if (!x || !y || x->op != y->op || x->type != y->type || x->n_args != y->n_args)
        return false;
    if (x->src != y->src || x->col != y->col || x->i != y->i || memcmp(&x->r, &y->r, sizeof x->r))
        return false;
    if ((x->s || y->s) && (!x->s || !y->s || strcmp(x->s, y->s)))
        return false;
    for (int k = 0; k < x->n_args; k++)
        if (!ex_equal(x->arg[k], y->arg[k]))
            return false;
    return true;
}

Expr *ex_map(Arena *a, const Expr *e, Expr *(*sub)(void *arg, const Expr *col), void *arg)
{
    if (e->op == OP_col) {
        Expr *r = sub(arg, e);
        if (r)
            return r;
    }
    Expr *n = ARENA_NEW(a, Expr);
    *n = *e;
    n->arg = ARENA_ARRAY(a, Expr *, e->n_args ? e->n_args : 1);
    for (int k = 0; k < e->n_args; k++)
        n->arg[k] = ex_map(a, e->arg[k], sub, arg);
    n->nullable = ex_may_null(n);
    return n;
}

static Expr *keep_col(void *arg, const Expr *col)
{
    (void)arg, (void)col;
    return NULL;
}

Expr *ex_copy(Arena *a, const Expr *e)
{
    return ex_map(a, e, keep_col, NULL);
}

bool ex_any(const Expr *e, bool (*test)(void *arg, const Expr *e), void *arg)
{
    if (test(arg, e))
        return true;
    for (int k = 0; k < e->n_args; k++)
        if (ex_any(e->arg[k], test, arg))
            return true;
    return false;
}

uint64_t ex_sources(const Expr *e)
{
    uint64_t set = e->op == OP_col ? (uint64_t)1 << (e->src & 63) : 0;

    for (int k = 0; k < e->n_args; k++)
        set |= ex_sources(e->arg[k]);
    return set;
}

/* ---- blocks ---- */

static int *name_slot(Prog *p, Map *m, const char *key)
{
    if (!m->a)
        map_init(m, &p->c->arena);
    return map_put(m, key, strlen(key), 0);
}

const char *blk_shown(Prog *p, const Block *b)
{
    const size_t prefix = strlen(GEN_PREFIX);
    const char *end = strrchr(b->name, '_');

    if (b->table || strncmp(b->name, GEN_PREFIX, prefix) || end < b->name + prefix)
        return b->table ? b->table : b->name;
    return arena_printf(&p->c->arena, "%.*s", (int)(end - b->name - (ptrdiff_t)prefix), b->name + prefix);
}

Block *blk_new(Prog *p, BlockKind kind, const char *name)
{
    Block *b = ARENA_NEW(&p->c->arena, Block);

    *b = (Block){ .id = p->n_blocks, .kind = kind, .limit = 1 };
    b->name = name ? name : prog_unique_name(p, "t");
    if (!strncmp(b->name, GEN_PREFIX, strlen(GEN_PREFIX)))
        *name_slot(p, &p->generated, b->name) = 1;
    VEC_PUSH(&p->c->arena, p->block, p->n_blocks, b);
    return b;
}

static bool alias_used(const Block *b, const char *alias)
{
    for (int s = 0; s < b->n_src; s++)
        if (ascii_ieq(b->src[s].alias, alias))
            return true;
    return false;
}

const char *name_fit(Arena *a, const char *prefix, const char *stem, const char *suffix)
{
    size_t n = strlen(stem);
    const size_t rest = strlen(prefix) + strlen(suffix);

    if (rest + n > MAX_NAME) {
        n = MAX_NAME - rest;
        while (n > 0 && ((unsigned char)stem[n] & 0xc0) == 0x80)       /* not inside a character */
            n--;
    }
    return arena_printf(a, "%s%.*s%s", prefix, (int)n, stem, suffix);
}

int blk_add_source(Prog *p, Block *b, Block *rel, Join join, const char *alias)
{
    Arena *a = &p->c->arena;
    const char *name = alias ? alias : rel->name;
    const bool own = b->kind == BLK_union;              /* each part has a FROM of its own */
    int uses = 1;                                       /* of this relation: where counting starts */

    for (int s = 0; s < b->n_src && !own; s++)
        uses += b->src[s].rel == rel;
    for (int k = uses > 2 ? uses : 2; !own && alias_used(b, name); k++)
        name = name_fit(a, "", alias ? alias : rel->name, arena_printf(a, "_%d", k));
    const Source s = { .rel = rel, .alias = name, .join = join };
    VEC_PUSH(a, b->src, b->n_src, s);
    return b->n_src - 1;
}

int blk_add_col(Prog *p, Block *b, const char *name, Expr *e, Agg agg)
{
    Arena *a = &p->c->arena;
    Col c = { .name = name, .e = e, .agg = agg };

    if (!name)
        c.name = arena_printf(a, GEN_PREFIX "c%d", b->n_cols);
    c.type = agg == AGG_count ? T_INT : e ? e->type : T_NULL;
    c.nullable = agg == AGG_count ? false : e ? e->nullable || (agg != AGG_none && b->n_keys == 0) : false;
    if (e)
        c.at = e->at;
    VEC_PUSH(a, b->col, b->n_cols, c);
    return b->n_cols - 1;
}

void blk_add_where(Prog *p, Block *b, Expr *e)
{
    if (e->op != OP_and) {
        VEC_PUSH(&p->c->arena, b->where, b->n_where, e);
        return;
    }
    for (int k = 0; k < e->n_args; k++)
        blk_add_where(p, b, e->arg[k]);
}

void blk_add_on(Prog *p, Block *b, int src, Expr *e)
{
    Source *s = &b->src[src];

    if (e->op != OP_and) {
        VEC_PUSH(&p->c->arena, s->on, s->n_on, e);
        return;
    }
    for (int k = 0; k < e->n_args; k++)
        blk_add_on(p, b, src, e->arg[k]);
}

void blk_own_parts(Prog *p, Block *b)
{
    const Source *src = b->src;
    const Part *part = b->part;
    const int n_src = b->n_src, n_parts = b->n_parts;

    b->src = NULL;
    b->part = NULL;
    b->n_src = b->n_parts = 0;
    for (int s = 0; s < n_src; s++)
        VEC_PUSH(&p->c->arena, b->src, b->n_src, src[s]);
    for (int k = 0; k < n_parts; k++)
        VEC_PUSH(&p->c->arena, b->part, b->n_parts, part[k]);
}

void blk_set_id(Prog *p, Block *b, const int *col, int n)
{
    if (!b->id_col || b->n_id != n || (n && memcmp(b->id_col, col, (size_t)n * sizeof *col) != 0)) {
        b->id_col = ARENA_ARRAY(&p->c->arena, int, n ? n : 1);
        for (int k = 0; k < n; k++)
            b->id_col[k] = col[k];
    }
    b->n_id = n;
    b->one_row = n == 0;
}

int blk_find_col(const Block *b, const char *name)
{
    for (int k = 0; k < b->n_cols; k++)
        if (!strcmp(b->col[k].name, name))
            return k;
    return -1;
}

void blk_mark(bool *marked, const Block *b)
{
    if (marked[b->id])
        return;
    marked[b->id] = true;
    for (int s = 0; s < b->n_src; s++)
        blk_mark(marked, b->src[s].rel);
    if (b->rows_from)
        blk_mark(marked, b->rows_from);
}

bool col_is_id(const Block *b, int col)
{
    for (int k = 0; k < b->n_id; k++)
        if (b->id_col[k] == col)
            return true;
    return false;
}

Block *prog_find(const Prog *p, const char *name, Mode mode)
{
    for (int k = p->n_blocks - 1; k >= 0; k--) {
        Block *b = p->block[k];
        if (ascii_ieq(b->name, name) && (b->mode == MODE_always || mode == MODE_always || b->mode == mode))
            return b;
    }
    return NULL;
}

bool prog_claim_name(Prog *p, const char *name)
{
    return (*name_slot(p, &p->generated, name))++ == 0;
}

const char *prog_unique_name(Prog *p, const char *stem)
{
    int last = *name_slot(p, &p->stems, stem);

    for (;;) {
        char suffix[16];
        snprintf(suffix, sizeof suffix, "_%d", ++last);
        const char *name = name_fit(&p->c->arena, GEN_PREFIX, stem, suffix);
        if (!prog_claim_name(p, name))
            continue;
        *name_slot(p, &p->stems, stem) = last;
        return name;
    }
}

static void each_of(Expr **e, int n, void (*fn)(void *arg, Expr **e), void *arg)
{
    for (int k = 0; k < n; k++)
        if (e[k])
            fn(arg, &e[k]);
}

void blk_each_expr(Block *b, void (*fn)(void *arg, Expr **e), void *arg)
{
    each_of(b->where, b->n_where, fn, arg);
    each_of(b->part_key, b->n_part, fn, arg);
    for (int c = 0; c < b->n_cols; c++)
        each_of(&b->col[c].e, 1, fn, arg);
    for (int o = 0; o < b->n_order; o++)
        each_of(&b->order[o].e, 1, fn, arg);
    for (int i = 0; i < b->n_parts; i++)
        each_of(b->part[i].e, b->n_cols, fn, arg);
    for (int s = 0; s < b->n_src; s++)
        each_of(b->src[s].on, b->src[s].n_on, fn, arg);
}

bool prog_has(const Prog *p, const Block *b)
{
    return b->id < p->n_blocks && p->block[b->id] == b;
}

void prog_set_blocks(Prog *p, Block *const *block, int n)
{
    p->block = NULL;
    p->n_blocks = 0;
    for (int k = 0; k < n; k++) {
        block[k]->id = k;
        VEC_PUSH(&p->c->arena, p->block, p->n_blocks, block[k]);
    }
}

void prog_move_before(Prog *p, Block *b, const Block *ref)
{
    int k = p->n_blocks - 1;

    while (k >= 0 && p->block[k] != b)
        k--;
    for (; k > 0 && p->block[k - 1] != ref; k--)
        p->block[k] = p->block[k - 1];
    p->block[k] = p->block[k - 1];
    p->block[k - 1] = b;
    for (k = 0; k < p->n_blocks; k++)
        p->block[k]->id = k;
}
