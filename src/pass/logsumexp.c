/* SPDX-License-Identifier: Apache-2.0
 *
 * logsumexp.c - LN(SUM(EXP(e))) and EXP(x) / SUM(EXP(e)), as people write a softmax, overflow in f32 above 88.  The
 * sum is taken of EXP(e - m) instead, m the group's maximum; LN(sum) becomes LN(sum) + m and EXP(x) / sum becomes
 * EXP(x - m) / sum: the same numbers, and the same gradient with none through m (m cancels).
 *   needs   prog_analyse; runs before grad
 *   keeps   what the user named: only a generated SUM that is read by nothing else is touched
 *   leaves  two blocks more a rewritten sum, detached: the maxima, and they made finite (0.0 where not) */
#include "pass/pass.h"

#include <math.h>
#include <string.h>

typedef struct Sum { Prog *p; Block *r; int col; int reads, fit; Block *max; } Sum;

static bool reads_sum(const Sum *s, const Block *b, const Expr *e)
{
    return e->op == OP_col && b->src[e->src].rel == s->r && e->col == s->col;
}

/* Where the EXP stands in EXP(x), -EXP(x), EXP(x) * a; NULL: nowhere. */
static Expr **exp_in(Expr **e)
{
    Expr **found = NULL;

    if ((*e)->op == OP_exp)
        return e;
    for (int k = 0; k < (*e)->n_args && !found && ((*e)->op == OP_neg || (*e)->op == OP_mul); k++)
        found = exp_in(&(*e)->arg[k]);
    return found;
}

static bool is_share(const Sum *s, const Block *b, const Expr *e)
{
    return e->op == OP_div && reads_sum(s, b, e->arg[1]) && exp_in(&e->arg[0]);
}

static void count_reads(Sum *s, const Block *b, const Expr *e)
{
    if (!e)
        return;
    s->reads += reads_sum(s, b, e);
    s->fit += is_share(s, b, e) || (e->op == OP_ln && reads_sum(s, b, e->arg[0]));
    for (int k = 0; k < e->n_args; k++)
        count_reads(s, b, e->arg[k]);
}

static void count_in_block(Sum *s, const Block *b)
{
    for (int c = 0; c < b->n_cols; c++)
        count_reads(s, b, b->col[c].e);
    for (int w = 0; w < b->n_where; w++)
        count_reads(s, b, b->where[w]);
    for (int o = 0; o < b->n_order; o++)
        count_reads(s, b, b->order[o].e);
    for (int k = 0; k < b->n_part; k++)
        count_reads(s, b, b->part_key[k]);
    for (int k = 0; k < b->n_src; k++)
        for (int o = 0; o < b->src[k].n_on; o++)
            count_reads(s, b, b->src[k].on[o]);
    for (int k = 0; k < b->n_parts; k++)
        for (int c = 0; c < b->n_cols; c++)
            count_reads(s, b, b->part[k].e[c]);
}

static bool reads_it(const Sum *s, const Block *b)
{
    Sum probe = *s;

    count_in_block(&probe, b);
    return probe.reads > s->reads;
}

/* Others may join the groups, if they do not read the sum. */
static bool only_row_readers(const Sum *s)
{
    for (int k = 0; k < s->p->n_blocks; k++) {
        const Block *b = s->p->block[k];
        bool other = false;
        for (int i = 0; i < b->n_src; i++)
            other |= b->src[i].rel == s->r && (b->kind != BLK_row || b->src[i].join != JOIN_inner);
        if (other && reads_it(s, b))
            return false;
    }
    return true;
}

static bool wanted(Sum *s)
{
    const Col *c = &s->r->col[s->col];

    if (s->r->user || c->agg != AGG_sum || c->type != T_REAL || c->e->op != OP_exp || !only_row_readers(s))
        return false;
    for (int k = 0; k < s->p->n_blocks; k++)
        count_in_block(s, s->p->block[k]);
    return s->fit > 0 && s->fit == s->reads;
}

/* SELECT keys, MAX(e) AS m over the same rows and groups. */
static Block *make_max(Sum *s)
{
    Arena *a = &s->p->c->arena;
    const Block *r = s->r;
    Block *m = blk_new(s->p, BLK_reduce, prog_unique_name(s->p, "max"));

    for (int k = 0; k < r->n_src; k++) {
        blk_add_source(s->p, m, r->src[k].rel, r->src[k].join, r->src[k].alias);
        for (int o = 0; o < r->src[k].n_on; o++)
            blk_add_on(s->p, m, k, ex_copy(a, r->src[k].on[o]));
    }
    for (int w = 0; w < r->n_where; w++)
        blk_add_where(s->p, m, ex_copy(a, r->where[w]));
    for (int k = 0; k < r->n_keys; k++)
        blk_add_col(s->p, m, r->col[k].name, ex_copy(a, r->col[k].e), AGG_none);
    m->n_keys = r->n_keys;
    blk_add_col(s->p, m, GEN_PREFIX "m", ex_copy(a, r->col[s->col].e->arg[0]), AGG_max);
    return m;
}

/* SELECT keys, m where it is finite, else 0.0. */
static Block *make_finite(Sum *s, Block *m)
{
    Arena *a = &s->p->c->arena;
    Block *f = blk_new(s->p, BLK_row, prog_unique_name(s->p, "finite"));

    blk_add_source(s->p, f, m, JOIN_inner, NULL);
    for (int k = 0; k < m->n_keys; k++)
        blk_add_col(s->p, f, m->col[k].name, ex_col(a, f, 0, k), AGG_none);
    Expr *x = ex_col(a, f, 0, m->n_keys);
    Expr *when[3] = { ex2(a, OP_le, ex1(a, OP_abs, x), ex_real(a, 1.7976931348623157e308)), x, ex_real(a, 0) };
    blk_add_col(s->p, f, GEN_PREFIX "m", ex_exprs(a, OP_cond, when, 3), AGG_none);
    f->is_detached = m->is_detached = true;
    return f;
}

/* Join the maxima to block b on the group keys that `key` gives there; returns the column m. */
static Expr *join_max(Sum *s, Block *b, Expr *(*key)(void *arg, int k), void *arg)
{
    Arena *a = &s->p->c->arena;
    const int src = blk_add_source(s->p, b, s->max, JOIN_inner, NULL);

    for (int k = 0; k < s->r->n_keys; k++) {
        Expr *x = key(arg, k), *y = ex_col(a, b, src, k);
        blk_add_where(s->p, b, ex2(a, x->nullable ? OP_same : OP_eq, x, y));
    }
    return ex_col(a, b, src, s->r->n_keys);
}

static Expr *own_key(void *arg, int k)
{
    const Sum *s = arg;
    return ex_copy(&s->p->c->arena, s->r->col[k].e);
}

typedef struct Reader { Sum *s; Block *b; int src; Expr *m; } Reader;

static Expr *reader_key(void *arg, int k)
{
    const Reader *r = arg;
    return ex_col(&r->s->p->c->arena, r->b, r->src, k);
}

static bool is_read(const Reader *r, const Expr *e)
{
    return e->op == OP_col && e->src == r->src && e->col == r->s->col;
}

static Expr *add_max(Reader *r, Expr *e)
{
    Arena *a = &r->s->p->c->arena;

    if (!e)
        return NULL;
    if (e->op == OP_ln && is_read(r, e->arg[0]))
        return ex2(a, OP_add, e, r->m);
    if (e->op == OP_div && is_read(r, e->arg[1])) {
        Expr **x = exp_in(&e->arg[0]);
        *x = ex1(a, OP_exp, ex2(a, OP_sub, (*x)->arg[0], r->m));
        return e;
    }
    for (int k = 0; k < e->n_args; k++)
        e->arg[k] = add_max(r, e->arg[k]);
    return e;
}

static void rewrite_reader(Reader *r)
{
    Arena *a = &r->s->p->c->arena;
    const int n_where = r->b->n_where;

    r->m = join_max(r->s, r->b, reader_key, r);
    for (int c = 0; c < r->b->n_cols; c++)
        r->b->col[c].e = add_max(r, ex_copy(a, r->b->col[c].e));
    for (int w = 0; w < n_where; w++)
        r->b->where[w] = add_max(r, ex_copy(a, r->b->where[w]));
}

static bool is_reader(const Sum *s, const Block *b, int src)
{
    return b->src[src].rel == s->r && b->kind == BLK_row && reads_it(s, b);
}

/* Only what it changes is analysed again, not the program: a loop written out has a sum in each of its steps. */
static void rewrite(Sum *s)
{
    Arena *a = &s->p->c->arena;
    Block *m = make_max(s);

    s->max = make_finite(s, m);
    prog_move_before(s->p, m, s->r);
    prog_move_before(s->p, s->max, s->r);
    prog_analyse_one(s->p, m);
    prog_analyse_one(s->p, s->max);
    Col *c = &s->r->col[s->col];
    Expr *max = join_max(s, s->r, own_key, s);
    c->e = ex1(a, OP_exp, ex2(a, OP_sub, c->e->arg[0], max));
    prog_analyse_one(s->p, s->r);
    for (int k = 0; k < s->p->n_blocks; k++) {
        Block *b = s->p->block[k];
        const int n_src = b->n_src;
        for (int src = 0; src < n_src; src++)
            if (is_reader(s, b, src))
                rewrite_reader(&(Reader){ .s = s, .b = b, .src = src });
        if (b->n_src > n_src)
            prog_analyse_one(s->p, b);
    }
}

void pass_logsumexp(Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++) {
        Block *r = p->block[k];
        for (int c = r->n_keys; r->kind == BLK_reduce && c < r->n_cols; c++) {
            Sum s = { .p = p, .r = r, .col = c };
            if (!wanted(&s))
                continue;
            rewrite(&s);
            k = r->id;
        }
    }
}
