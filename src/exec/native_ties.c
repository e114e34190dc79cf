/* SPDX-License-Identifier: Apache-2.0
 *
 * native_ties.c - the keys that a column of a base table is compared with for equality, however many blocks lie
 * between: those of other base tables.  Labels that are texts, or integers far apart, are laid out as the classes they
 * name are, also where no row has some of them; a join of the two is then one of equal dimensions. */
#include "exec/native.h"

typedef struct Tied { Rel *r; int col; } Tied;

typedef struct Ties { Native *n; Arena *a; Tied *at; int count; bool **seen; } Ties;

static void tie_column(Ties *t, Rel *r, int col)
{
    if (t->seen[r->id][col])
        return;
    t->seen[r->id][col] = true;
    VEC_PUSH(t->a, t->at, t->count, ((Tied){ r, col }));
}

static bool is_column(const Expr *e, int src, int col)
{
    return e && e->op == OP_col && e->src == src && e->col == col;
}

static void tie_equal(Ties *t, const Rel *r, Expr *const *cond, int n, int src, int col)
{
    for (int k = 0; k < n; k++)
        for (int side = 0; side < 2 && (cond[k]->op == OP_eq || cond[k]->op == OP_same); side++) {
            const Expr *other = cond[k]->arg[1 - side];
            if (is_column(cond[k]->arg[side], src, col) && other->op == OP_col)
                tie_column(t, r->src[other->src], other->col);
        }
}

/* What a block that reads the column as column `col` of source `src` calls equal to it, or passes on. */
static void tie_reader(Ties *t, Rel *r, int src, int col)
{
    const Block *b = r->b;

    tie_equal(t, r, b->where, b->n_where, src, col);
    for (int s = 0; s < b->n_src; s++)
        tie_equal(t, r, b->src[s].on, b->src[s].n_on, src, col);
    for (int c = 0; c < b->n_cols; c++) {
        if (is_column(b->col[c].e, src, col) && b->col[c].agg == AGG_none)
            tie_column(t, r, c);
        for (int p = 0; p < b->n_parts; p++)
            if (is_column(b->part[p].e[c], src, col))
                tie_column(t, r, c);
    }
}

static void tie_definition(Ties *t, const Rel *r, int col)
{
    const Block *b = r->b;
    const Expr *e = b->col[col].e;

    if (e && e->op == OP_col && b->col[col].agg == AGG_none)
        tie_column(t, r->src[e->src], e->col);
    for (int p = 0; p < b->n_parts; p++)
        if (b->part[p].e[col]->op == OP_col)
            tie_column(t, r->src[b->part[p].e[col]->src], b->part[p].e[col]->col);
}

static void find_ties(Ties *t, Rel *r, int col)
{
    Native *n = t->n;

    t->seen = ARENA_ARRAY(t->a, bool *, n->n_rels + 1);
    for (int k = 0; k < n->n_rels; k++)
        t->seen[k] = ARENA_ARRAY(t->a, bool, n->rel[k].b->n_cols + 1);
    tie_column(t, r, col);
    for (int at = 0; at < t->count; at++) {
        const Tied x = t->at[at];
        tie_definition(t, x.r, x.col);
        for (int k = 0; k < n->n_rels; k++)
            for (int s = 0; s < n->rel[k].b->n_src; s++)
                if (n->rel[k].src[s] == x.r)
                    tie_reader(t, &n->rel[k], s, x.col);
    }
}

/* Put a column's keys behind those that were found; false: there are more than `most`. */
static bool add_distinct(const int64_t *code, size_t count, size_t most, int64_t *out, size_t *n)
{
    for (size_t k = 0; k < count; k++) {
        size_t at = 0;
        if (!IS_KEY(code[k]) || (k && code[k] == code[k - 1]))
            continue;
        while (at < *n && out[at] != code[k])
            at++;
        if (at < *n)
            continue;
        if (*n == most)
            return false;
        out[(*n)++] = code[k];
    }
    return true;
}

size_t ties_of(Native *n, Rel *r, int col, size_t most, int64_t *out)
{
    Arena a = { 0 };
    Ties t = { .n = n, .a = &a };
    size_t found = 0;

    find_ties(&t, r, col);
    for (int k = 0; k < t.count; k++) {
        size_t count = 0;
        const int64_t *code = t.at[k].r == r ? NULL : base_codes(t.at[k].r, t.at[k].col, &count);
        if (code && !add_distinct(code, count, most, out, &found)) {
            found = 0;
            break;
        }
    }
    arena_free(&a);
    return found;
}
