/* SPDX-License-Identifier: Apache-2.0
 *
 * grad_alike.c - contributions of one form, as the steps of a loop make them to a weight that all of them read, are one
 * sum: what differs from one to the next (the tables of a step, the numbers in its conditions) stands side by side in a
 * UNION ALL with a number for each, and the number is one more key to join on.  A step then leaves its tables' rows, not
 * a table as large as the weight, and the weight's gradient is written once. */
#include "pass/grad.h"

#include <string.h>

#define LEAST_ALIKE 3                   /* fewer meet as any others do */
#define MOST_FORMS  16                  /* that are told from one another; what has another form stays as it is */

/* The INTEGER literals of one contribution, in the order in which its expressions are walked. */
typedef struct Numbers { int64_t *of; int n; } Numbers;

typedef struct Alike {
    Back *k;
    const Contribution **from; int n;
    Numbers *number;                    /* by contribution */
    bool differs[64];                   /* by source: not all read the same table */
    int first;                          /* a source that differs: its union holds the numbers that differ */
    int **col;                          /* by source that differs: where its columns stand in the union, -1: nowhere */
    int *tag;
    int *number_col;                    /* by place among the literals: column of the first union, -1: they are all equal */
    int at;                             /* the next literal */
} Alike;

static bool exprs_alike(const Expr *x, const Expr *y)
{
    if (x->op != y->op || x->type != y->type || x->n_args != y->n_args || x->src != y->src || x->col != y->col ||
        memcmp(&x->r, &y->r, sizeof x->r) || (x->s || y->s ? !x->s || !y->s || strcmp(x->s, y->s) : false))
        return false;
    for (int k = 0; k < x->n_args; k++)
        if (!exprs_alike(x->arg[k], y->arg[k]))
            return false;
    return true;
}

/* The same columns under the same names, and of them the same identity. */
static bool tables_alike(const Block *x, const Block *y)
{
    if (x == y)
        return true;
    if (x->n_cols != y->n_cols || x->n_id != y->n_id || x->mode != y->mode ||
        (x->n_id && memcmp(x->id_col, y->id_col, (size_t)x->n_id * sizeof *x->id_col) != 0))
        return false;
    for (int c = 0; c < x->n_cols; c++)
        if (x->col[c].type != y->col[c].type || strcmp(x->col[c].name, y->col[c].name))
            return false;
    return true;
}

static bool sums_plainly(const Block *b)
{
    for (int s = 0; s < b->n_src; s++)
        if (b->src[s].join != JOIN_inner || b->src[s].n_on)
            return false;
    for (int c = b->n_keys; c < b->n_cols; c++)
        if (b->col[c].agg != AGG_sum)
            return false;
    return b->kind == BLK_reduce && b->n_src < 64;
}

static bool contributions_alike(const Contribution *x, const Contribution *y)
{
    const Block *a = x->rel, *b = y->rel;

    if (!sums_plainly(b) || a->n_src != b->n_src || a->n_where != b->n_where || a->n_cols != b->n_cols ||
        a->n_keys != b->n_keys || a->mode != b->mode)
        return false;
    for (int s = 0; s < a->n_src; s++)
        if (!tables_alike(a->src[s].rel, b->src[s].rel))
            return false;
    for (int w = 0; w < a->n_where; w++)
        if (!exprs_alike(a->where[w], b->where[w]))
            return false;
    for (int c = 0; c < a->n_cols; c++)
        if (!exprs_alike(a->col[c].e, b->col[c].e))
            return false;
    return true;
}

/* ---- numbers ---- */

static void list_numbers(Arena *a, Numbers *out, const Expr *e)
{
    if (e->op == OP_lit_int)
        VEC_PUSH(a, out->of, out->n, e->i);
    for (int k = 0; k < e->n_args; k++)
        list_numbers(a, out, e->arg[k]);
}

static Numbers numbers_of(Arena *a, const Block *b)
{
    Numbers out = { 0 };

    for (int w = 0; w < b->n_where; w++)
        list_numbers(a, &out, b->where[w]);
    for (int c = 0; c < b->n_cols; c++)
        list_numbers(a, &out, b->col[c].e);
    return out;
}

/* Are the literals at places p and q equal in every contribution?  q -1: those at p, to that of the first. */
static bool same_numbers(const Alike *k, int p, int q)
{
    for (int i = 0; i < k->n; i++)
        if (k->number[i].of[p] != (q < 0 ? k->number[0].of[p] : k->number[i].of[q]))
            return false;
    return true;
}

/* ---- tables side by side ---- */

static void mark_columns(const Expr *e, int s, bool *read)
{
    if (e->op == OP_col && e->src == s)
        read[e->col] = true;
    for (int k = 0; k < e->n_args; k++)
        mark_columns(e->arg[k], s, read);
}

/* Columns of source s that the contributions read, and those of its identity. */
static bool *columns_wanted(const Alike *k, int s)
{
    const Block *b = k->from[0]->rel, *r = b->src[s].rel;
    bool *read = ARENA_ARRAY(k->k->a, bool, r->n_cols + 1);

    for (int w = 0; w < b->n_where; w++)
        mark_columns(b->where[w], s, read);
    for (int c = 0; c < b->n_cols; c++)
        mark_columns(b->col[c].e, s, read);
    for (int i = 0; i < r->n_id; i++)
        read[r->id_col[i]] = true;
    return read;
}

static int add_int_col(Alike *k, Block *u, const char *name)
{
    while (blk_find_col(u, name) >= 0)
        name = arena_printf(k->k->a, "%s_", name);
    const int c = blk_add_col(k->k->p, u, name, NULL, AGG_none);
    u->col[c].type = T_INT;
    u->col[c].hidden = true;
    return c;
}

static void add_columns(Alike *k, Block *u, int s)
{
    const Block *r = k->from[0]->rel->src[s].rel;
    const bool *read = columns_wanted(k, s);

    k->col[s] = grad_ints(k->k->a, r->n_cols, -1);
    for (int c = 0; c < r->n_cols; c++)
        if (read[c]) {
            k->col[s][c] = blk_add_col(k->k->p, u, r->col[c].name, NULL, AGG_none);
            u->col[k->col[s][c]].type = r->col[c].type;
        }
    k->tag[s] = add_int_col(k, u, GEN_PREFIX "branch");
    for (int p = 0; s == k->first && p < k->number[0].n; p++) {
        k->number_col[p] = -1;
        for (int q = 0; q < p && k->number_col[p] < 0; q++)
            if (k->number_col[q] >= 0 && same_numbers(k, p, q))
                k->number_col[p] = k->number_col[q];
        if (k->number_col[p] < 0 && !same_numbers(k, p, -1))
            k->number_col[p] = add_int_col(k, u, arena_printf(k->k->a, GEN_PREFIX "n%d", p));
    }
}

static void add_part(Alike *k, Block *u, int s, int i)
{
    Arena *a = k->k->a;
    Block *r = k->from[i]->rel->src[s].rel;
    Part part = { blk_add_source(k->k->p, u, r, JOIN_inner, NULL), ARENA_ARRAY(a, Expr *, u->n_cols) };

    for (int c = 0; c < r->n_cols; c++)
        if (k->col[s][c] >= 0) {
            part.e[k->col[s][c]] = ex_col(a, u, part.src, c);
            u->col[k->col[s][c]].nullable |= r->col[c].nullable;
        }
    part.e[k->tag[s]] = ex_int(a, i);
    for (int p = 0; s == k->first && p < k->number[i].n; p++)
        if (k->number_col[p] >= 0)
            part.e[k->number_col[p]] = ex_int(a, k->number[i].of[p]);
    VEC_PUSH(a, u->part, u->n_parts, part);
}

static Block *tables_together(Alike *k, int s)
{
    const Block *r = k->from[0]->rel->src[s].rel;
    Block *u = blk_new(k->k->p, BLK_union, prog_unique_name(k->k->p, "steps"));
    int *id = grad_ints(k->k->a, r->n_id + 1, -1);

    u->at = k->from[0]->rel->at;
    u->mode = r->mode;
    u->grad_of = r->grad_of;
    add_columns(k, u, s);
    for (int i = 0; i < k->n; i++)
        add_part(k, u, s, i);
    for (int i = 0; i < r->n_id; i++)
        id[i + 1] = k->col[s][r->id_col[i]];
    id[0] = k->tag[s];
    blk_set_id(k->k->p, u, id, r->n_id + 1);
    u->id_fixed = true;
    return u;
}

/* ---- the sum ---- */

/* The first contribution's expression, over the unions where tables and numbers differ. */
static Expr *over_unions(Alike *k, const Block *b, const Expr *e)
{
    Arena *a = k->k->a;

    if (e->op == OP_col)
        return ex_col(a, b, e->src, k->differs[e->src] ? k->col[e->src][e->col] : e->col);
    if (e->op == OP_lit_int && k->number_col[k->at++] >= 0)
        return ex_col(a, b, k->first, k->number_col[k->at - 1]);
    Expr *n = ARENA_NEW(a, Expr);
    *n = *e;
    n->arg = ARENA_ARRAY(a, Expr *, e->n_args + 1);
    for (int i = 0; i < e->n_args; i++)
        n->arg[i] = over_unions(k, b, e->arg[i]);
    n->nullable = ex_may_null(n);
    return n;
}

static Block *sum_of_alike(Alike *k, const Block *r)
{
    const Block *of = k->from[0]->rel;
    Prog *p = k->k->p;
    Arena *a = k->k->a;
    Block **rel = ARENA_ARRAY(a, Block *, of->n_src + 1);

    for (int s = 0; s < of->n_src; s++)
        rel[s] = k->differs[s] ? tables_together(k, s) : of->src[s].rel;
    Block *b = grad_block(k->k, BLK_reduce, r);
    for (int s = 0; s < of->n_src; s++)
        blk_add_source(p, b, rel[s], JOIN_inner, of->src[s].alias);
    k->at = 0;
    for (int w = 0; w < of->n_where; w++)
        blk_add_where(p, b, over_unions(k, b, of->where[w]));
    for (int s = k->first + 1; s < of->n_src; s++)
        if (k->differs[s])
            blk_add_where(p, b, ex2(a, OP_eq, ex_col(a, b, s, k->tag[s]), ex_col(a, b, k->first, k->tag[k->first])));
    b->n_keys = of->n_keys;
    for (int c = 0; c < of->n_cols; c++)
        blk_add_col(p, b, of->col[c].name, over_unions(k, b, of->col[c].e), of->col[c].agg);
    b->mode = of->mode;
    return b;
}

/* Contributions that differ in no table differ in nothing that could be numbered. */
static bool find_differences(Alike *k)
{
    const Block *of = k->from[0]->rel;

    k->first = -1;
    for (int s = of->n_src - 1; s >= 0; s--) {
        for (int i = 1; i < k->n; i++)
            k->differs[s] |= k->from[i]->rel->src[s].rel != of->src[s].rel;
        k->first = k->differs[s] ? s : k->first;
    }
    for (int i = 0; i < k->n; i++)
        k->number[i] = numbers_of(k->k->a, k->from[i]->rel);
    return k->first >= 0;
}

static bool sum_together(Back *back, const Block *r, const Contribution **from, int n, Contribution *out)
{
    Arena *a = back->a;
    Alike k = { .k = back, .from = from, .n = n, .number = ARENA_ARRAY(a, Numbers, n) };

    if (n < LEAST_ALIKE || !find_differences(&k))
        return false;
    k.col = ARENA_ARRAY(a, int *, from[0]->rel->n_src + 1);
    k.tag = grad_ints(a, from[0]->rel->n_src, -1);
    k.number_col = grad_ints(a, k.number[0].n, -1);
    *out = *from[0];
    out->rel = sum_of_alike(&k, r);
    blk_set_id(back->p, out->rel, out->id, r->n_id);
    out->rel->id_fixed = true;
    return true;
}

int grad_sum_alike(Back *k, const Block *r, Contribution *c, int n)
{
    int *form = grad_ints(k->a, n, -1), first[MOST_FORMS], n_forms = 0, m = 0;
    const Contribution **from = ARENA_ARRAY(k->a, const Contribution *, n);
    Contribution *all = ARENA_ARRAY(k->a, Contribution, n);

    if (n < LEAST_ALIKE)
        return n;
    memcpy(all, c, (size_t)n * sizeof *c);
    for (int i = 0; i < n; i++) {
        for (int f = 0; f < n_forms && form[i] < 0; f++)
            if (contributions_alike(&all[first[f]], &all[i]))
                form[i] = f;
        if (form[i] < 0 && n_forms < MOST_FORMS && sums_plainly(all[i].rel)) {
            form[i] = n_forms;
            first[n_forms++] = i;
        }
    }
    for (int i = 0; i < n; i++) {
        int n_from = 0;
        if (form[i] >= 0 && first[form[i]] != i)
            continue;
        for (int j = i; form[i] >= 0 && j < n; j++)
            if (form[j] == form[i])
                from[n_from++] = &all[j];
        if (sum_together(k, r, from, n_from, &c[m]))
            m++;
        else
            for (int j = 0; j < n_from || (form[i] < 0 && j == 0); j++)
                c[m++] = form[i] < 0 ? all[i] : *from[j];
    }
    return m;
}
