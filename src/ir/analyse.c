/* SPDX-License-Identifier: Apache-2.0
 *
 * analyse.c - facts derived in one sweep over the blocks: which columns may be NULL, on which columns the
 * rows are unique (hidden columns are added where the visible ones do not hold the identity), how long a
 * relation lives, what depends on values that move, and which key carries the batch. */
#include "ir/ir.h"

#include <string.h>

/* ---- nullable ---- */

static bool on_left(const Block *b, const Expr *col)
{
    return b->src[col->src].join == JOIN_left;
}

static void refresh_null(const Block *b, Expr *e)
{
    if (!e)
        return;
    for (int k = 0; k < e->n_args; k++)
        refresh_null(b, e->arg[k]);
    if (e->op == OP_col)
        e->nullable = b->src[e->src].rel->col[e->col].nullable || on_left(b, e);
    else
        e->nullable = ex_may_null(e);
}

static void refresh_exprs(const Block *b, Expr **e, int n)
{
    for (int k = 0; k < n; k++)
        refresh_null(b, e[k]);
}

static void analyse_null(Block *b)
{
    refresh_exprs(b, b->where, b->n_where);
    refresh_exprs(b, b->part_key, b->n_part);
    for (int s = 0; s < b->n_src; s++)
        refresh_exprs(b, b->src[s].on, b->src[s].n_on);
    for (int o = 0; o < b->n_order; o++)
        refresh_null(b, b->order[o].e);
    for (int p = 0; p < b->n_parts; p++)
        refresh_exprs(b, b->part[p].e, b->n_cols);
    for (int c = 0; c < b->n_cols; c++) {
        Col *k = &b->col[c];
        refresh_null(b, k->e);
        if (b->kind == BLK_union) {
            k->nullable = false;
            for (int p = 0; p < b->n_parts; p++)
                k->nullable |= b->part[p].e[c]->nullable;
        } else if (k->agg == AGG_count) {
            k->nullable = false;
        } else if (k->e) {
            k->nullable = k->e->nullable || (k->agg != AGG_none && b->n_keys == 0);
        }
    }
}

/* ---- identity ---- */

/* Keys; and hidden columns, which may hold a REAL that a source is grouped by. */
static bool may_identify(const Col *c)
{
    return c->type != T_REAL || c->hidden;
}

static bool all_known(const Block *b, const bool *use)
{
    Arena a = { 0 };
    Known *k = known_new(&a, b);
    bool all = true;

    for (int c = 0; c < b->n_cols; c++)
        if (use[c])
            known_add_expr(k, b->col[c].e);
    known_close(k);
    for (int s = 0; s < b->n_src; s++)
        all &= known_has_source(k, s);
    arena_free(&a);
    return all;
}

static bool has_column(const Block *b, const Expr *e)
{
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].e && ex_equal(b->col[c].e, e))
            return true;
    return false;
}

static int add_hidden(Prog *p, Block *b, Expr *e)
{
    char *name = NULL;

    for (int n = 1; !name || blk_find_col(b, name) >= 0; n++)
        name = arena_printf(&p->c->arena, GEN_PREFIX "k%d", n);
    const int c = blk_add_col(p, b, name, e, AGG_none);
    b->col[c].hidden = true;
    return c;
}

/* Hidden columns for the identities of sources that the columns so far do not give. */
static void complete_identity(Prog *p, Block *b)
{
    if (b->kind == BLK_pick && b->limit == 1) {
        for (int j = 0; j < b->n_part; j++)
            if (!has_column(b, b->part_key[j]))
                add_hidden(p, b, b->part_key[j]);
        return;
    }
    for (int s = 0; s < b->n_src; s++) {
        Arena a = { 0 };
        Known *k = known_new(&a, b);
        for (int c = 0; c < b->n_cols; c++)
            if (may_identify(&b->col[c]))
                known_add_expr(k, b->col[c].e);
        known_close(k);
        const Block *r = b->src[s].rel;
        for (int j = 0; j < r->n_id && !known_has_source(k, s); j++) {
            Expr *e = ex_col(&p->c->arena, b, s, r->id_col[j]);
            if (!known_has_expr(k, e))
                add_hidden(p, b, e);
        }
        arena_free(&a);
    }
}

/* The fewest columns, visible ones preferred, on which a row or pick block's rows are unique. */
static void identity_of_rows(Prog *p, Block *b)
{
    Arena a = { 0 };
    bool *use = ARENA_ARRAY(&a, bool, b->n_cols + 64);
    int id[256], n = 0;

    for (int c = 0; c < b->n_cols; c++)
        use[c] = may_identify(&b->col[c]);
    if (!all_known(b, use)) {
        complete_identity(p, b);
        use = ARENA_ARRAY(&a, bool, b->n_cols + 1);
        for (int c = 0; c < b->n_cols; c++)
            use[c] = may_identify(&b->col[c]);
    }
    for (int c = b->n_cols - 1; c >= 0; c--) {
        const bool was = use[c];
        use[c] = false;
        use[c] = was && !all_known(b, use);
    }
    for (int c = 0; c < b->n_cols && n < (int)COUNT_OF(id); c++)
        if (use[c])
            id[n++] = c;
    arena_free(&a);
    blk_set_id(p, b, id, n);
}

static bool numbers_parts(const Block *b, int c)
{
    bool rising = true;

    for (int i = 0; i < b->n_parts; i++) {
        if (b->part[i].e[c]->op != OP_lit_int)
            return false;
        rising &= i == 0 || b->part[i - 1].e[c]->i < b->part[i].e[c]->i;
    }
    for (int i = 0; !rising && i < b->n_parts; i++)
        for (int j = 0; j < i; j++)
            if (b->part[j].e[c]->i == b->part[i].e[c]->i)
                return false;
    return true;
}

/* The column that tells the branches: a visible one that numbers them, such as the step of a loop; else the tag. */
static int branch_col(const Block *b, int n_cols)
{
    int tag = -1;

    for (int c = 0; c < n_cols; c++) {
        if (numbers_parts(b, c) && !b->col[c].hidden)
            return c;
        if (b->col[c].hidden && !strcmp(b->col[c].name, GEN_PREFIX "branch"))
            tag = c;
    }
    return tag;
}

/* UNION ALL: the branch number, visible columns that hold a part's identity, and hidden slots for the rest,
 * one list of slots a type, NULL where a part has fewer. */
static void identity_of_union(Prog *p, Block *b)
{
    Arena *a = &p->c->arena;
    const int n_old = b->n_cols;
    Arena t = { 0 };
    bool *used = ARENA_ARRAY(&t, bool, n_old + 1);
    int slot[256], n_slots = 0, id[512], n = 0;

    for (int i = 0; i < b->n_parts; i++) {
        const Block *r = b->src[b->part[i].src].rel;
        bool taken[256] = { false };
        for (int j = 0; j < r->n_id; j++) {
            int c = 0, h = 0;
            if (r->col[r->id_col[j]].constant)
                continue;
            while (c < n_old && !(b->part[i].e[c]->op == OP_col && b->part[i].e[c]->col == r->id_col[j] &&
                                  b->col[c].type == r->col[r->id_col[j]].type))
                c++;
            if (c < n_old) {
                used[c] = true;
                continue;
            }
            while (h < n_slots && (taken[h] || b->col[slot[h]].type != r->col[r->id_col[j]].type))
                h++;
            if (h == n_slots && n_slots < 256) {
                const int k = add_hidden(p, b, NULL);
                if (!n_slots)
                    blk_own_parts(p, b);
                b->col[k].type = r->col[r->id_col[j]].type;
                slot[n_slots++] = k;
                for (int q = 0; q < b->n_parts; q++) {
                    Expr **e = ARENA_ARRAY(a, Expr *, b->n_cols);
                    memcpy(e, b->part[q].e, (size_t)(b->n_cols - 1) * sizeof *e);
                    e[k] = ex_null(a, b->col[k].type);
                    b->part[q].e = e;
                }
            }
            taken[h] = true;
            b->part[i].e[slot[h]] = ex_col(a, b, b->part[i].src, r->id_col[j]);
        }
    }
    const int tag = branch_col(b, n_old);
    for (int c = 0; c < n_old; c++)
        if (used[c] || c == tag)
            id[n++] = c;
    for (int h = 0; h < n_slots && n < (int)COUNT_OF(id); h++)
        id[n++] = slot[h];
    arena_free(&t);
    blk_set_id(p, b, id, n);
    for (int h = 0; h < n_slots; h++) {
        b->col[slot[h]].nullable = false;
        for (int q = 0; q < b->n_parts; q++)
            b->col[slot[h]].nullable |= b->part[q].e[slot[h]]->nullable;
    }
    b->one_row = false;
}

static void analyse_identity(Prog *p, Block *b)
{
    int id[256];

    if (b->id_fixed)
        return;
    switch (b->kind) {
    case BLK_base:
        return;                                     /* the front looked at the data */
    case BLK_reduce:
        for (int c = 0; c < b->n_keys && c < (int)COUNT_OF(id); c++)
            id[c] = c;
        blk_set_id(p, b, id, b->n_keys);
        return;
    case BLK_row: case BLK_pick:
        identity_of_rows(p, b);
        return;
    case BLK_union:
        identity_of_union(p, b);
        return;
    }
}

/* ---- lifetimes and what moves ---- */

static bool reads_moving(void *arg, const Expr *e)
{
    const Block *b = arg;

    if (e->op != OP_col)
        return false;
    const Block *r = b->src[e->src].rel;
    return r->col[e->col].dynamic || (r->col[e->col].type == T_REAL && r->life == LIFE_step);
}

static bool moves(const Block *b, Expr *const *e, int n)
{
    for (int k = 0; k < n; k++)
        if (e[k] && ex_any(e[k], reads_moving, (void *)b))
            return true;
    return false;
}

static void analyse_life(Block *b)
{
    if (b->kind == BLK_base) {
        b->batched = b->is_data && (b->n_batch > 0 || b->batch_rows);
        b->life = b->is_param || b->role == BASE_driver || b->life == LIFE_step ? LIFE_step
                : b->batched ? LIFE_batch : LIFE_static;
        return;
    }
    b->life = LIFE_static;
    b->batched = b->dynamic_rows = false;
    for (int s = 0; s < b->n_src; s++) {
        const Block *r = b->src[s].rel;
        b->life = r->life > b->life ? r->life : b->life;
        b->batched |= r->batched;
        b->dynamic_rows |= r->dynamic_rows && b->src[s].join == JOIN_inner;
        b->dynamic_rows |= b->src[s].join == JOIN_left && b->dynamic_rows;
    }
    b->dynamic_rows |= moves(b, b->where, b->n_where);
    for (int o = 0; o < b->n_order; o++)
        b->dynamic_rows |= moves(b, &b->order[o].e, 1);
    for (int k = 0; k < b->n_part; k++)
        b->dynamic_rows |= moves(b, &b->part_key[k], 1);
}

/* A key that moves: computed from a moving value, or counted over moving rows. */
static void analyse_dynamic(Block *b)
{
    bool left_moves = b->dynamic_rows;

    for (int s = 0; s < b->n_src; s++)
        left_moves |= b->src[s].rel->dynamic_rows || moves(b, b->src[s].on, b->src[s].n_on);
    for (int c = 0; c < b->n_cols; c++) {
        Col *k = &b->col[c];
        if (b->kind == BLK_base || k->type == T_REAL)
            continue;
        k->dynamic = k->e && moves(b, &k->e, 1);
        k->dynamic |= k->agg != AGG_none && left_moves;
        for (int p = 0; p < b->n_parts; p++)
            k->dynamic |= moves(b, &b->part[p].e[c], 1);
    }
    if (b->kind == BLK_reduce && b->n_keys == 0)
        b->dynamic_rows = false;                    /* always one row */
}

/* ---- the batch key ---- */

/* Union-find over (source, column): columns that are equal in every row.  What the ON of a LEFT source says
 * holds only where it matches, so it is no such equality. */
typedef struct Classes { const Block *b; int *up, *first; } Classes;

static int find(int *up, int x)
{
    while (up[x] != x)
        x = up[x] = up[up[x]];
    return x;
}

static void join_equal(Classes *c, const Expr *e)
{
    if ((e->op == OP_eq || e->op == OP_same) && e->arg[0]->op == OP_col && e->arg[1]->op == OP_col)
        c->up[find(c->up, c->first[e->arg[0]->src] + e->arg[0]->col)] =
            find(c->up, c->first[e->arg[1]->src] + e->arg[1]->col);
}

static Classes column_classes(Arena *a, const Block *b)
{
    Classes c = { b, NULL, ARENA_ARRAY(a, int, b->n_src + 1) };
    int n = 0;

    for (int s = 0; s < b->n_src; s++) {
        c.first[s] = n;
        n += b->src[s].rel->n_cols;
    }
    c.up = ARENA_ARRAY(a, int, n + 1);
    for (int k = 0; k < n; k++)
        c.up[k] = k;
    for (int w = 0; w < b->n_where; w++)
        join_equal(&c, b->where[w]);
    for (int s = 0; s < b->n_src; s++)
        for (int o = 0; b->src[s].join == JOIN_inner && o < b->src[s].n_on; o++)
            join_equal(&c, b->src[s].on[o]);
    return c;
}

static int class_of(Classes *c, int src, int col)
{
    return find(c->up, c->first[src] + col);
}

static bool is_batch_of_left(const Block *b, const Expr *e, int j)
{
    return b->src[e->src].join == JOIN_left && b->src[e->src].rel->batched && e->col == b->src[e->src].rel->batch_col[j];
}

/* Does the ON of LEFT source s tie its batch column j to the class, or to that of a LEFT source before it? */
static bool tied_by_on(Classes *c, int s, int j, int class)
{
    const Block *b = c->b;

    for (int o = 0; o < b->src[s].n_on; o++) {
        const Expr *e = b->src[s].on[o];
        if (e->op != OP_eq || e->arg[0]->op != OP_col || e->arg[1]->op != OP_col)
            continue;
        for (int side = 0; side < 2; side++) {
            const Expr *x = e->arg[side], *y = e->arg[1 - side];
            if (x->src == s && x->col == b->src[s].rel->batch_col[j] && y->src != s &&
                (class_of(c, y->src, y->col) == class || is_batch_of_left(b, y, j)))
                return true;
        }
    }
    return false;
}

/* Batch column j of the output: the column equal to the first batched source's, if all batched sources
 * agree on it; -1 if there is none. */
static int carried_batch_col(Classes *c, int j)
{
    const Block *b = c->b;
    int class = -1;

    for (int s = 0; s < b->n_src; s++) {
        const Block *r = b->src[s].rel;
        if (!r->batched)
            continue;
        if (!r->batch_local || j >= r->n_batch_cols)
            return -1;
        const int mine = class_of(c, s, r->batch_col[j]);
        if (class >= 0 && mine != class && !(b->src[s].join == JOIN_left && tied_by_on(c, s, j, class)))
            return -1;
        class = class < 0 ? mine : class;
    }
    for (int k = 0; k < (b->kind == BLK_reduce ? b->n_keys : b->n_cols); k++) {
        const Expr *e = b->col[k].e;
        if (e && e->op == OP_col && b->src[e->src].join == JOIN_inner &&
            class_of(c, e->src, e->col) == class)
            return k;
    }
    return -1;
}

static bool union_carries(const Block *b, int col, int j)
{
    for (int i = 0; i < b->n_parts; i++) {
        const Block *r = b->src[b->part[i].src].rel;
        const Expr *e = b->part[i].e[col];
        if (!r->batch_local || j >= r->n_batch_cols || e->op != OP_col || e->col != r->batch_col[j])
            return false;
    }
    return true;
}

static int union_batch_col(const Block *b, int j)
{
    for (int c = 0; c < b->n_cols; c++)
        if (union_carries(b, c, j))
            return c;
    return -1;
}

static void base_batch(Block *b)
{
    b->batch_local = b->batched;
    b->n_batch_cols = 0;
    if (b->batch_rows && b->batched) {
        for (int j = 0; j < b->n_id && b->n_batch_cols < (int)COUNT_OF(b->batch_col); j++)
            b->batch_col[b->n_batch_cols++] = b->id_col[j];
        return;
    }
    for (int j = 0; j < b->n_batch && j < (int)COUNT_OF(b->batch_col); j++)
        for (int c = 0; c < b->n_cols; c++)
            if (ascii_ieq(b->col[c].name, b->batch_key[j]))
                b->batch_col[b->n_batch_cols++] = c;
}

/* A pick is local only if the batch key is part of its partition: otherwise it picks across keys. */
static bool pick_is_local(const Block *b, Classes *c)
{
    const Expr *e = b->col[b->batch_col[0]].e;

    for (int k = 0; k < b->n_part; k++)
        if (b->part_key[k]->op == OP_col &&
            class_of(c, b->part_key[k]->src, b->part_key[k]->col) == class_of(c, e->src, e->col))
            return true;
    return false;
}

static void find_batch_cols(Block *b, int want)
{
    Arena a = { 0 };
    Classes c = { 0 };

    if (b->kind != BLK_union)
        c = column_classes(&a, b);
    for (int j = 0; j < want; j++) {
        const int col = b->kind == BLK_union ? union_batch_col(b, j) : carried_batch_col(&c, j);
        if (col < 0)
            break;
        b->batch_col[b->n_batch_cols++] = col;
    }
    b->batch_local = want > 0 && b->n_batch_cols == want && (b->kind != BLK_pick || pick_is_local(b, &c));
    arena_free(&a);
}

static void analyse_batch(Block *b)
{
    int want = 0;

    if (b->kind == BLK_base) {
        base_batch(b);
        return;
    }
    b->batch_local = false;
    b->n_batch_cols = 0;
    if (!b->batched)
        return;
    for (int s = 0; s < b->n_src; s++)
        if (b->src[s].rel->batched)
            want = b->src[s].rel->n_batch_cols;
    find_batch_cols(b, want);
}

void prog_analyse_one(Prog *p, Block *b)
{
    analyse_null(b);
    analyse_constants(p, b);
    analyse_identity(p, b);
    analyse_life(b);
    analyse_dynamic(b);
    analyse_batch(b);
}

void prog_analyse(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++) {
        p->block[k]->id = k;
        prog_analyse_one(p, p->block[k]);
    }
}

/* ---- activity ---- */

static bool reads_active(void *arg, const Expr *e)
{
    const Block *b = arg;
    return e->op == OP_col && b->src[e->src].rel->col[e->col].active;
}

static bool col_active(const Block *b, int c)
{
    const Col *k = &b->col[c];

    if (k->type != T_REAL || b->is_detached)
        return false;
    for (int p = 0; p < b->n_parts; p++)
        if (ex_any(b->part[p].e[c], reads_active, (void *)b))
            return true;
    return k->e && ex_any(k->e, reads_active, (void *)b);
}

void prog_activity(Prog *p, Block *const *wrt, int n_wrt)
{
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        for (int c = 0; c < b->n_cols; c++)
            b->col[c].active = b->kind != BLK_base && col_active(b, c);
        for (int w = 0; w < n_wrt; w++)
            for (int c = 0; c < b->n_cols && wrt[w] == b; c++)
                b->col[c].active = b->col[c].type == T_REAL;
    }
}
