/* SPDX-License-Identifier: Apache-2.0
 *
 * inline.c - a row block that is cheap to compute is computed where it is read, instead of being stored.  For hosts
 * that compile loops; a SQL host would join once more for every reader.
 *   needs   prog_analyse; runs after the other passes
 *   keeps   every other relation, row for row: the block's sources and conditions stand in its place
 *   leaves  the blocks behind; prune removes them
 *
 * Every reader must meet each of its rows about once (its other sources are found by the block's row), or the work
 * would be done again for every pair of a contraction; but for columns in another order, which are no work. */
#include "pass/pass.h"

#define COST_MAX 8                      /* operations a row, over all readers */
#define SRC_MAX  12                     /* tables that a reader joins in the end */

static bool reads_a_number(void *arg, const Expr *e)
{
    (void)arg;
    return e->op == OP_col && e->type == T_REAL;
}

static bool is_dear(void *arg, const Expr *e)
{
    (void)arg;
    switch (e->op) {
    case OP_div: case OP_exp: case OP_ln: case OP_log10: case OP_sqrt: case OP_pow: case OP_sin: case OP_cos:
    case OP_tan: case OP_tanh: case OP_atan: case OP_draw: case OP_to_text: case OP_to_int: case OP_nullif:
        return true;
    case OP_col: case OP_lit_int: case OP_lit_real: case OP_lit_text: case OP_lit_null: case OP_var: case OP_neg:
    case OP_add: case OP_sub: case OP_mul: case OP_idiv: case OP_mod: case OP_abs: case OP_sign: case OP_floor:
    case OP_ceil: case OP_round: case OP_max: case OP_min: case OP_cond: case OP_coalesce: case OP_to_real:
    case OP_eq: case OP_ne: case OP_lt: case OP_le: case OP_gt: case OP_ge: case OP_same: case OP_differ:
    case OP_is_null: case OP_not_null: case OP_in: case OP_and: case OP_or: case OP_not:
        return false;
    }
    return true;
}

static int cost_of(const Expr *e)
{
    int n = e->type == T_REAL && e->n_args > 0;

    for (int k = 0; k < e->n_args; k++)
        n += cost_of(e->arg[k]);
    return n;
}

/* Is a column of source s asked for by a condition? */
static bool is_bound_col(const Block *b, int s, int col)
{
    for (int w = 0; w < b->n_where; w++)
        for (int side = 0; side < 2 && b->where[w]->op == OP_eq; side++)
            if (b->where[w]->arg[side]->op == OP_col && b->where[w]->arg[side]->src == s && b->where[w]->arg[side]->col == col)
                return true;
    return false;
}

/* An embedding: a key that is data and no part of an identity names several rows of another source.  Which rows those are
 * moves with the data; once stored, the result is as regular as what asked for it. */
static bool gathers_rows(const Block *b)
{
    for (int w = 0; w < b->n_where; w++)
        for (int side = 0; side < 2 && b->where[w]->op == OP_eq; side++) {
            const Expr *from = b->where[w]->arg[side], *to = b->where[w]->arg[1 - side];
            if (from->op != OP_col || to->op != OP_col || from->src == to->src || col_is_id(b->src[from->src].rel, from->col))
                continue;
            const Block *r = b->src[to->src].rel;
            for (int k = 0; k < r->n_id; k++)
                if (!is_bound_col(b, to->src, r->id_col[k]))
                    return true;
        }
    return false;
}

/* Operations of one row; -1: it must be stored. */
static int row_cost(const Block *b)
{
    int cost = 0;

    if (b->kind != BLK_row || b->n_src == 0 || b->n_src > 4 || b->one_row || b->is_once || b->is_loss || b->is_metric)
        return -1;
    for (int s = 0; s < b->n_src; s++)
        if (b->src[s].join != JOIN_inner)
            return -1;
    for (int w = 0; w < b->n_where; w++)
        if (ex_any(b->where[w], reads_a_number, NULL))
            return -1;
    if (gathers_rows(b))
        return -1;
    for (int c = 0; c < b->n_cols; c++) {
        const Expr *e = b->col[c].e;
        if (ex_any(e, is_dear, NULL) || (e->type != T_REAL && ex_any(e, reads_a_number, NULL)))
            return -1;
        cost += cost_of(e);
    }
    return cost;
}

/* Does a row of source s find the rows of all others? */
static bool meets_once(const Prog *p, const Block *r, int s)
{
    Known *k = known_new(&p->c->arena, r);

    known_add_source(k, s);
    known_close(k);
    for (int t = 0; t < r->n_src; t++)
        if (!known_has_source(k, t))
            return false;
    return true;
}

/* The order a pick names must settle all ties: that of the sources will be another one. */
static bool order_settles(const Prog *p, const Block *r)
{
    Known *k = known_new(&p->c->arena, r);

    for (int o = 0; o < r->n_order; o++)
        known_add_expr(k, r->order[o].e);
    for (int g = 0; g < r->n_part; g++)
        known_add_expr(k, r->part_key[g]);
    known_close(k);
    for (int t = 0; t < r->n_src; t++)
        if (!known_has_source(k, t))
            return false;
    return true;
}

/* The columns of one source in another order, or under other names: no work, however often it is read. */
static bool only_reorders(const Block *b)
{
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].e->op != OP_col)
            return false;
    return b->kind == BLK_row && b->n_src == 1 && b->n_where == 0;
}

static bool may_read_inlined(const Prog *p, const Block *r, int s)
{
    if (r->kind == BLK_union || r->kind == BLK_base || r->src[s].join != JOIN_inner || r->is_once ||
        r->n_src + r->src[s].rel->n_src - 1 > SRC_MAX)
        return false;
    if (r->kind != BLK_pick && only_reorders(r->src[s].rel))
        return true;
    for (int t = 0; t < r->n_src; t++)
        if (t != s && r->src[t].rel == r->src[s].rel)
            return false;
    return meets_once(p, r, s) && (r->kind != BLK_pick || order_settles(p, r));
}

int inline_readers(const Prog *p, const Block *b)
{
    int n = 0;

    for (int k = 0; k < p->n_blocks; k++)
        for (int s = 0; s < p->block[k]->n_src; s++) {
            if (p->block[k]->src[s].rel != b)
                continue;
            if (!may_read_inlined(p, p->block[k], s))
                return -1;
            n++;
        }
    return n;
}

static bool is_asked_for(const Prog *p, const Block *b, Block *const *keep, int n_keep)
{
    for (int k = 0; k < n_keep; k++)
        if (keep[k] == b)
            return true;
    for (int k = 0; k < p->n_assigns; k++)
        if (p->assign[k].from == b)
            return true;
    for (int g = 0; g < p->n_grads; g++)
        if (p->grad[g].grad == b)
            return true;
    return false;
}

/* ---- the substitution ---- */

typedef struct Shift { Arena *a; int src; const Block *b; } Shift;

static Expr *column_inside(void *arg, const Expr *col)
{
    const Shift *s = arg;
    Expr *e = ex_copy(s->a, col);

    e->src += s->src;
    return e;
}

/* Columns of the block become its expressions; the sources behind it move up. */
static Expr *in_its_place(void *arg, const Expr *col)
{
    const Shift *s = arg;

    if (col->src < s->src)
        return NULL;
    if (col->src == s->src)
        return ex_map(s->a, s->b->col[col->col].e, column_inside, arg);
    Expr *e = ex_copy(s->a, col);
    e->src += s->b->n_src - 1;
    return e;
}

static void put_in_place(void *arg, Expr **e)
{
    *e = ex_map(((const Shift *)arg)->a, *e, in_its_place, arg);
}

static bool alias_taken(const Source *src, int n, const char *name)
{
    for (int s = 0; s < n; s++)
        if (src[s].alias && ascii_ieq(src[s].alias, name))
            return true;
    return false;
}

static const char *free_alias(Arena *a, const Source *src, int n, const char *name)
{
    for (int k = 1; alias_taken(src, n, name); k++)
        name = arena_printf(a, GEN_PREFIX "r%d", k);
    return name;
}

static void inline_source(Prog *p, Block *r, int at)
{
    const Block *b = r->src[at].rel;
    Shift shift = { &p->c->arena, at, b };
    Source *src = NULL;
    int n = 0;

    blk_each_expr(r, put_in_place, &shift);
    for (int s = 0; s < at; s++)
        VEC_PUSH(shift.a, src, n, r->src[s]);
    for (int s = 0; s < b->n_src; s++)
        VEC_PUSH(shift.a, src, n, b->src[s]);
    for (int s = at + 1; s < r->n_src; s++)
        VEC_PUSH(shift.a, src, n, r->src[s]);
    for (int s = at; s < at + b->n_src; s++) {
        src[s].alias = NULL;
        src[s].alias = free_alias(shift.a, src, n, b->src[s - at].alias);
    }
    r->src = src;
    r->n_src = n;
    for (int w = 0; w < b->n_where; w++)
        blk_add_where(p, r, ex_map(shift.a, b->where[w], column_inside, &shift));
}

static void inline_everywhere(Prog *p, const Block *b)
{
    for (int k = 0; k < p->n_blocks; k++)
        for (int s = 0; s < p->block[k]->n_src; s++)
            if (p->block[k]->src[s].rel == b)
                inline_source(p, p->block[k], s);
}

void pass_inline(Prog *p, Block *const *keep, int n_keep)
{
    pass_reread(p);
    for (int k = 0; k < p->n_blocks; k++) {
        const Block *b = p->block[k];
        const int cost = is_asked_for(p, b, keep, n_keep) ? -1 : row_cost(b);
        const int readers = cost < 0 ? -1 : inline_readers(p, b);
        if (readers > 0 && cost * readers <= COST_MAX)
            inline_everywhere(p, b);
    }
    pass_prune(p, keep, n_keep);
}
