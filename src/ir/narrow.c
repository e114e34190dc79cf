/* SPDX-License-Identifier: Apache-2.0
 *
 * narrow.c - a UNION ALL is read only where it can answer: `WHERE h.t = 4` over slices t = 0, 1, 2 … reads slice 4.  A loop
 * over time leaves one slice a step; with this each step costs what it reads, not what came before.  The front does it as
 * soon as a statement is bound, or a table would be there in as many versions as steps, of as many parts; pass_slices for
 * every other union. */
#include "ir/ir.h"

#include <string.h>

/* What is known of source s before its parts are looked at, and what of each part. */
typedef struct Look { Arena *a; const Block *b; int s; const Consts *known; } Look;

static bool differs_at_once(const Look *l, const Part *part)
{
    const Block *u = l->b->src[l->s].rel;

    for (int c = 0; c < u->n_cols && l->b->src[l->s].join != JOIN_left; c++) {
        const Expr *want = consts_of(l->known, l->s, c), *have = part->e[c];
        if (want && want->op == OP_lit_int && have->op == OP_lit_int && want->i != have->i)
            return true;
    }
    return false;
}

/* What conditions may leave parts out: for a LEFT source its ON, else WHERE. */
static bool part_answers(const Look *l, const Part *part)
{
    const Block *b = l->b, *u = b->src[l->s].rel;

    if (differs_at_once(l, part))
        return false;
    Consts *inner = consts_new(l->a, u), *k = consts_new(l->a, b);
    for (int c = 0; c < u->n_cols; c++)
        if (u->col[c].type != T_REAL && u->col[c].type != T_BOOL)
            consts_set(k, l->s, c, consts_literal(inner, part->e[c]));
    consts_follow(k);
    return b->src[l->s].join == JOIN_left ? !consts_never(k, b->src[l->s].on, b->src[l->s].n_on)
                                          : !consts_never(k, b->where, b->n_where);
}

/* The parts that can answer, of a union. */
static int *parts_left(Arena *a, const Block *b, int s, int *n)
{
    const Block *u = b->src[s].rel;
    int *keep = ARENA_ARRAY(a, int, u->n_parts);
    Arena each = { 0 };
    Consts *known = consts_new(a, b);
    const Look look = { &each, b, s, known };

    consts_follow(known);
    for (int k = 0; k < u->n_parts; k++) {
        if (part_answers(&look, &u->part[k]))
            keep[(*n)++] = k;
        arena_free(&each);
    }
    if (*n == 0)
        keep[(*n)++] = 0;               /* the condition that never holds stays, and says so */
    return keep;
}

/* ---- one part is left: its table is read in place of the union ---- */

typedef struct Inside { Arena *a; const Block *b; int src; const Part *part; } Inside;

static Expr *read_inside(void *arg, const Expr *col)
{
    const Inside *v = arg;

    if (col->src != v->src)
        return NULL;
    Expr *e = ex_copy(v->a, v->part->e[col->col]);
    if (e->op == OP_col) {
        e->src = v->src;
        e->nullable = col->nullable;
    }
    e->at = col->at;
    return e;
}

static void put_inside(void *arg, Expr **e)
{
    *e = ex_map(((const Inside *)arg)->a, *e, read_inside, arg);
}

/* A part that only renames and numbers; of a LEFT source, whose columns may be NULL, one that only renames. */
static bool reads_through(const Block *b, int s, const Part *part)
{
    const Block *u = b->src[s].rel;

    for (int c = 0; c < u->n_cols; c++)
        if (part->e[c]->op != OP_col && (b->src[s].join == JOIN_left || part->e[c]->n_args))
            return false;
    return b->kind != BLK_union;
}

static void read_part(Prog *p, Block *b, int s, const Part *part)
{
    const Block *u = b->src[s].rel;
    Inside v = { &p->c->arena, b, s, part };

    blk_each_expr(b, put_inside, &v);
    b->src[s].rel = u->src[part->src].rel;
}

/* ---- several are left: a union of those ---- */

static Block *union_of_parts(Prog *p, const Block *u, const int *keep, int n)
{
    Block *v = blk_new(p, BLK_union, prog_unique_name(p, u->name));

    v->mode = u->mode;
    v->at = u->at;
    for (int c = 0; c < u->n_cols; c++) {
        const int at = blk_add_col(p, v, u->col[c].name, NULL, AGG_none);
        v->col[at] = u->col[c];
    }
    for (int i = 0; i < n; i++) {
        const Part *old = &u->part[keep[i]];
        Part part = { blk_add_source(p, v, u->src[old->src].rel, JOIN_inner, NULL),
                      ARENA_ARRAY(&p->c->arena, Expr *, u->n_cols + 1) };
        for (int c = 0; c < u->n_cols; c++) {
            part.e[c] = ex_copy(&p->c->arena, old->e[c]);
            if (part.e[c]->op == OP_col)
                part.e[c]->src = part.src;
        }
        VEC_PUSH(&p->c->arena, v->part, v->n_parts, part);
    }
    prog_analyse_one(p, v);
    return v;
}

static bool plain_parts(const Block *u)
{
    for (int i = 0; i < u->n_parts; i++)
        for (int c = 0; c < u->n_cols; c++)
            if (u->part[i].e[c]->n_args)
                return false;
    return true;
}

struct Cut { const Block *from; int *keep; int n; Block *now; };

static Block *cut_before(const Cuts *c, const Block *u, const int *keep, int n)
{
    for (int k = c->n - 1; k >= 0 && k >= c->n - 8; k--) {
        const Cut *cut = &c->cut[k];
        if (cut->from == u && cut->n == n && !memcmp(cut->keep, keep, (size_t)n * sizeof *keep))
            return cut->now;
    }
    return NULL;
}

static Block *cut_out(Prog *p, Cuts *c, const Block *u, const int *keep, int n)
{
    Block *now = cut_before(c, u, keep, n);
    Arena *a = &p->c->arena;

    if (!now) {
        now = union_of_parts(p, u, keep, n);
        const Cut cut = { u, ARENA_ARRAY(a, int, n), n, now };
        memcpy(cut.keep, keep, (size_t)n * sizeof *keep);
        VEC_PUSH(a, c->cut, c->n, cut);
    }
    return now;
}

static bool narrow_source(Prog *p, Block *b, int s, Cuts *cuts)
{
    const Block *u = b->src[s].rel;
    Arena a = { 0 };
    int n = 0;
    const int *keep = parts_left(&a, b, s, &n);
    const bool one = n == 1 && reads_through(b, s, &u->part[keep[0]]), fewer = n < u->n_parts && plain_parts(u);

    if (one)
        read_part(p, b, s, &u->part[keep[0]]);
    else if (fewer)
        b->src[s].rel = cut_out(p, cuts, u, keep, n);
    arena_free(&a);
    return one || fewer;
}

static bool narrow_block(Prog *p, Block *b, bool versions, Cuts *cuts)
{
    bool narrowed = false;

    for (int s = 0; s < b->n_src && b->kind != BLK_union; s++) {
        const Block *u = b->src[s].rel;
        if (u->kind == BLK_union && u->n_parts > 1 && (!versions || u->is_version))
            narrowed |= narrow_source(p, b, s, cuts);
    }
    return narrowed;
}

void prog_narrow(Prog *p, int first, bool versions, Cuts *cuts)
{
    const int n = p->n_blocks - first;
    Arena a = { 0 };
    Block **old = ARENA_ARRAY(&a, Block *, n + 1);
    bool narrowed = false;

    for (int i = 0; i < n; i++)
        old[i] = p->block[first + i];
    p->n_blocks = first;
    for (int i = 0; i < n; i++) {
        narrowed |= narrow_block(p, old[i], versions, cuts);
        old[i]->id = p->n_blocks;
        VEC_PUSH(&p->c->arena, p->block, p->n_blocks, old[i]);
        if (narrowed && versions)
            prog_analyse_one(p, old[i]);
    }
    arena_free(&a);
}

void prog_drop_passed(Prog *p)
{
    bool *read = ARENA_ARRAY(&p->c->arena, bool, p->n_blocks + 1);
    int n = 0;

    for (int i = p->n_blocks - 1; i >= 0; i--) {
        const Block *b = p->block[i];
        read[i] |= b->kind != BLK_union || b->user;
        for (int s = 0; s < b->n_src && read[i]; s++)
            read[b->src[s].rel->id] = true;
    }
    for (int i = 0; i < p->n_blocks; i++)
        if (read[i]) {
            p->block[n] = p->block[i];
            p->block[n]->id = n;
            n++;
        }
    p->n_blocks = n;
}
