/* SPDX-License-Identifier: Apache-2.0
 *
 * cse.c - a block that computes what an earlier one computes is replaced by it.  Of two row blocks over the same sources
 * and conditions the later may have other columns, if those of the earlier and constants say them: the gradients of a
 * sum's terms are the same numbers under other keys.
 *   needs   sources are earlier blocks
 *   keeps   the user's blocks (only generated ones are replaced)
 *   leaves  the replaced blocks behind; prune removes them */
#include "pass/pass.h"

#include <string.h>

static bool exprs_equal(Expr *const *x, Expr *const *y, int n)
{
    for (int k = 0; k < n; k++)
        if ((x[k] == NULL) != (y[k] == NULL) || (x[k] && !ex_equal(x[k], y[k])))
            return false;
    return true;
}

static bool sources_equal(const Block *x, const Block *y)
{
    if (x->n_src != y->n_src)
        return false;
    for (int s = 0; s < x->n_src; s++) {
        const Source *u = &x->src[s], *v = &y->src[s];
        if (u->rel != v->rel || u->join != v->join || u->n_on != v->n_on || !exprs_equal(u->on, v->on, u->n_on))
            return false;
    }
    return true;
}

static bool columns_equal(const Block *x, const Block *y)
{
    if (x->n_cols != y->n_cols || x->n_keys != y->n_keys)
        return false;
    for (int c = 0; c < x->n_cols; c++)
        if (x->col[c].agg != y->col[c].agg || !exprs_equal(&x->col[c].e, &y->col[c].e, 1) ||
            strcmp(x->col[c].name, y->col[c].name))
            return false;
    return true;
}

static bool orders_equal(const Block *x, const Block *y)
{
    if (x->limit != y->limit || x->n_order != y->n_order || x->n_part != y->n_part)
        return false;
    for (int o = 0; o < x->n_order; o++)
        if (x->order[o].desc != y->order[o].desc || !ex_equal(x->order[o].e, y->order[o].e))
            return false;
    return exprs_equal(x->part_key, y->part_key, x->n_part);
}

static bool blocks_equal(const Block *x, const Block *y)
{
    if (x->kind != y->kind || x->kind == BLK_base || x->kind == BLK_union || x->mode != y->mode)
        return false;
    if (x->is_detached != y->is_detached || x->n_where != y->n_where)
        return false;
    return sources_equal(x, y) && exprs_equal(x->where, y->where, x->n_where) && columns_equal(x, y) &&
           orders_equal(x, y);
}

/* ---- the same rows under other columns ---- */

static bool same_rows(const Block *x, const Block *y)
{
    return x->kind == BLK_row && y->kind == BLK_row && x->mode == y->mode && !x->is_detached && !y->is_detached &&
           !x->is_once && !y->is_once && x->n_src > 0 && x->n_where == y->n_where && sources_equal(x, y) &&
           exprs_equal(x->where, y->where, x->n_where);
}

/* Column c of y over x as source 0; NULL: x does not say it.  A number of type REAL must be the same expression: what is
 * equal may differ in its sign, or be NULL. */
static Expr *said_by(Arena *a, const Block *x, const Known *k, const Block *y, int c)
{
    const Expr *e = y->col[c].e;

    if (y->col[c].constant)
        return ex_copy(a, y->col[c].constant);
    if (y->col[c].type != T_REAL)
        e = known_write(k, e);
    for (int d = 0; e && d < x->n_cols; d++) {
        if (!ex_equal(x->col[d].e, e) || x->col[d].type != y->col[c].type)
            continue;
        Expr *col = ex_new(a, OP_col, x->col[d].type, 0, NULL);
        col->col = d;
        col->nullable = x->col[d].nullable;
        return col;
    }
    return NULL;
}

/* What y's columns are, over x; NULL: x does not say them all. */
static Expr **columns_said(Prog *p, const Block *x, const Block *y)
{
    Arena a = { 0 };
    Known *k = known_new(&a, x);
    Expr **how = ARENA_ARRAY(&p->c->arena, Expr *, y->n_cols + 1);
    bool all = true;

    for (int c = 0; c < x->n_cols; c++)
        known_add_expr(k, x->col[c].e);
    known_close(k);
    for (int c = 0; c < y->n_cols && all; c++)
        all = (how[c] = said_by(&p->c->arena, x, k, y, c)) != NULL;
    arena_free(&a);
    return all ? how : NULL;
}

typedef struct Said { Block *by; Expr **how; bool literal; } Said;

typedef struct SaidCall { Arena *a; const Said *said; int src; } SaidCall;

static Expr *column_said(void *arg, const Expr *col)
{
    const SaidCall *k = arg;

    if (col->src != k->src)
        return NULL;
    Expr *e = ex_copy(k->a, k->said->how[col->col]);
    if (e->op == OP_col)
        e->src = k->src;
    e->at = col->at;
    return e;
}

static void put_said(void *arg, Expr **e)
{
    *e = ex_map(((const SaidCall *)arg)->a, *e, column_said, arg);
}

/* Versions of a table that a loop adds to share what their parts say of the columns. */
static void put_in_part(SaidCall *k, const Block *b, Part *part)
{
    Expr **e = ARENA_ARRAY(k->a, Expr *, b->n_cols + 1);

    for (int c = 0; c < b->n_cols; c++)
        e[c] = ex_map(k->a, part->e[c], column_said, k);
    part->e = e;
}

/* Reader b takes its source s from the other block.  Where a LEFT source has no row, a constant would not be NULL. */
static void read_said(Prog *p, Block *b, int s, const Said *said)
{
    SaidCall k = { &p->c->arena, said, s };

    if (said->literal && b->src[s].join == JOIN_left)
        return;
    for (int i = 0; i < b->n_parts; i++)
        if (b->part[i].src == s)
            put_in_part(&k, b, &b->part[i]);
    if (b->kind != BLK_union)
        blk_each_expr(b, put_said, &k);
    b->src[s].rel = said->by;
}

/* ---- finding them: there may be as many blocks as steps of a loop ---- */

static uint64_t mixed(uint64_t h, uint64_t x)
{
    return hash_u64(31 * h + x);
}

static uint64_t expr_mixed(uint64_t h, const Expr *e)
{
    h = mixed(mixed(h, e->op), e->op == OP_col ? (uint64_t)e->src << 32 | (uint64_t)e->col : (uint64_t)e->i);
    for (int k = 0; k < e->n_args; k++)
        h = expr_mixed(h, e->arg[k]);
    return h;
}

/* Equal for blocks over the same sources and conditions. */
static uint64_t rows_mixed(const Block *b)
{
    uint64_t h = mixed((uint64_t)b->kind, (uint64_t)b->n_where);

    for (int s = 0; s < b->n_src; s++)
        h = mixed(h, (uint64_t)b->src[s].rel->id);
    for (int w = 0; w < b->n_where; w++)
        h = expr_mixed(h, b->where[w]);
    return h;
}

static uint64_t columns_mixed(uint64_t h, const Block *b)
{
    for (int c = 0; c < b->n_cols; c++)
        h = b->col[c].e ? expr_mixed(h, b->col[c].e) : mixed(h, (uint64_t)b->col[c].agg);
    return h;
}

#define MOST_ASKED 8                    /* of blocks over the same rows, the latest */

/* Blocks by what their rows mix to: head[slot] and then next[block] are 1 + a block's id, the latest first. */
typedef struct Found {
    uint64_t *of, *whole;               /* by block: rows; rows and columns */
    int *head, *next; size_t mask;
    Block **now;                        /* what stands for it */
    Said *said;
} Found;

static Block *equal_before(const Prog *p, const Found *f, const Block *b)
{
    Block *first = NULL;

    for (int k = f->head[f->of[b->id] & f->mask]; k; k = f->next[k - 1])
        if (f->whole[k - 1] == f->whole[b->id] && blocks_equal(p->block[k - 1], b))
            first = p->block[k - 1];
    return first;
}

static Said said_earlier(Prog *p, const Found *f, const Block *b)
{
    Said said = { 0 };
    int asked = 0;

    for (int k = f->head[f->of[b->id] & f->mask]; k && !said.by && asked < MOST_ASKED; k = f->next[k - 1]) {
        Block *x = p->block[k - 1];
        if (f->of[k - 1] != f->of[b->id] || f->now[k - 1] != x || f->said[k - 1].by || !same_rows(x, b))
            continue;
        Expr **how = columns_said(p, x, b);
        if (how)
            said = (Said){ .by = x, .how = how };
        asked++;
    }
    for (int c = 0; said.by && c < b->n_cols; c++)
        said.literal |= said.how[c]->op != OP_col;
    return said;
}

static void read_earlier(Prog *p, const Found *f, Block *b)
{
    for (int s = 0; s < b->n_src; s++) {
        b->src[s].rel = f->now[b->src[s].rel->id];
        if (f->said[b->src[s].rel->id].by)
            read_said(p, b, s, &f->said[b->src[s].rel->id]);
    }
}

void pass_cse(Prog *p)
{
    Arena a = { 0 };
    Found f = { .of = ARENA_ARRAY(&a, uint64_t, p->n_blocks + 1), .whole = ARENA_ARRAY(&a, uint64_t, p->n_blocks + 1),
                .next = ARENA_ARRAY(&a, int, p->n_blocks + 1), .mask = 15, .now = ARENA_ARRAY(&a, Block *, p->n_blocks + 1),
                .said = ARENA_ARRAY(&a, Said, p->n_blocks + 1) };

    while (f.mask < (size_t)p->n_blocks)
        f.mask = 2 * f.mask + 1;
    f.head = ARENA_ARRAY(&a, int, f.mask + 1);
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        read_earlier(p, &f, b);
        f.of[k] = rows_mixed(b);
        f.whole[k] = columns_mixed(f.of[k], b);
        f.now[k] = b->user ? NULL : equal_before(p, &f, b);
        f.now[k] = f.now[k] ? f.now[k] : b;
        if (f.now[k] == b && !b->user)
            f.said[k] = said_earlier(p, &f, b);
        f.next[k] = f.head[f.of[k] & f.mask];
        f.head[f.of[k] & f.mask] = k + 1;
    }
    arena_free(&a);
}
