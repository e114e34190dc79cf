/* SPDX-License-Identifier: Apache-2.0
 *
 * index.c - which indexes a table needs: one for each set of columns by which some reader looks its rows up, that
 * is, the columns an equality joins to what stands before it, or by which it groups what it joins to them, or that
 * many readers compare with numbers of their own, as the steps of a loop do.  Where it is cheap the index also holds
 * the other columns the reader wants, so that the rows themselves are not visited (Cora's forward pass: 1.3 s with
 * covering indexes, 55 s without).  For speed only. */
#include "emit/emit.h"

#define MAX_SETS EMIT_MAX_INDEXES
#define MAX_COVER 6             /* columns of an index beyond those looked up */
#define MANY_READERS 4          /* that take a part each: with an index they do not all read the whole table */

typedef struct IndexSet {
    uint64_t eq, read;
    int n_parts;                /* readers of a part, if all are that */
    bool firm;
} IndexSet;

static uint64_t column_bit(int col)
{
    return col < 64 ? (uint64_t)1 << col : 0;
}

/* The last source e reads; -1: none. */
static int reads_up_to(const Expr *e)
{
    int last = e->op == OP_col ? e->src : -1;

    for (int k = 0; k < e->n_args; k++) {
        const int s = reads_up_to(e->arg[k]);
        last = s > last ? s : last;
    }
    return last;
}

static bool reads_own(void *arg, const Expr *e)
{
    return e->op == OP_col && e->src == *(const int *)arg;
}

/* `e` is `column of s = what is known before s`: the column's bit. */
static uint64_t looked_up(int s, const Expr *e)
{
    if (e->op != OP_eq && e->op != OP_same)
        return 0;
    for (int side = 0; side < 2; side++) {
        const Expr *mine = e->arg[side], *other = e->arg[1 - side];
        if (mine->op == OP_col && mine->src == s && !ex_any(other, reads_own, &s) &&
            reads_up_to(other) < s)
            return column_bit(mine->col);
    }
    return 0;
}

static uint64_t bits_of(const Expr *e, int s)
{
    uint64_t set = e && e->op == OP_col && e->src == s ? column_bit(e->col) : 0;

    for (int k = 0; e && k < e->n_args; k++)
        set |= bits_of(e->arg[k], s);
    return set;
}

/* All columns of source s that r reads. */
static uint64_t columns_read(const Block *r, int s)
{
    uint64_t set = 0;

    for (int c = 0; c < r->n_cols; c++)
        set |= bits_of(r->col[c].e, s);
    for (int w = 0; w < r->n_where; w++)
        set |= bits_of(r->where[w], s);
    for (int t = 0; t < r->n_src; t++)
        for (int o = 0; o < r->src[t].n_on; o++)
            set |= bits_of(r->src[t].on[o], s);
    for (int k = 0; k < r->n_part; k++)
        set |= bits_of(r->part_key[k], s);
    for (int k = 0; k < r->n_order; k++)
        set |= bits_of(r->order[k].e, s);
    for (int k = 0; r->kind == BLK_pick && k < r->src[s].rel->n_id; k++)
        set |= column_bit(r->src[s].rel->id_col[k]);
    return set;
}

/* The columns of its first source by which r groups joined rows, if it groups by nothing else: read in their order,
 * the rows need no sorting. */
static uint64_t grouped_by_first(const Block *r)
{
    uint64_t set = 0;

    for (int k = 0; k < r->n_keys; k++) {
        const Expr *e = r->col[k].e;
        if (e->op != OP_col || e->src != 0)
            return 0;
        set |= column_bit(e->col);
    }
    return set;
}

/* The columns of its first source that r compares with numbers or texts. */
static uint64_t fixed_in_first(const Block *r)
{
    uint64_t set = 0;

    for (int k = 0; k < r->n_where; k++)
        for (int side = 0; side < 2 && r->where[k]->op == OP_eq; side++) {
            const Expr *col = r->where[k]->arg[side], *val = r->where[k]->arg[1 - side];
            if (col->op == OP_col && col->src == 0 && (val->op == OP_lit_int || val->op == OP_lit_text))
                set |= column_bit(col->col);
        }
    return set;
}

static IndexSet part_wanted_by(const Block *r)
{
    return (IndexSet){ .eq = fixed_in_first(r), .read = columns_read(r, 0), .n_parts = 1 };
}

static IndexSet wanted_by(const Block *r, int s)
{
    IndexSet w = { .eq = s || r->kind != BLK_reduce || !r->ordered ? 0 : grouped_by_first(r), .firm = true };

    for (int k = 0; k < r->n_where && s; k++)
        w.eq |= looked_up(s, r->where[k]);
    for (int k = 0; k < r->src[s].n_on; k++)
        w.eq |= looked_up(s, r->src[s].on[k]);
    w.read = columns_read(r, s);
    return w;
}

static int add_set(IndexSet *set, int n, IndexSet w)
{
    for (int k = 0; k < n; k++)
        if (set[k].eq == w.eq) {
            set[k].read |= w.read;
            set[k].n_parts += w.n_parts;
            set[k].firm |= w.firm;
            return n;
        }
    if (w.eq && n < MAX_SETS)
        set[n++] = w;
    return n;
}

static int drop_few(IndexSet *set, int n)
{
    int left = 0;

    for (int k = 0; k < n; k++)
        if (set[k].firm || set[k].n_parts >= MANY_READERS)
            set[left++] = set[k];
    return left;
}

static int bit_count(uint64_t x)
{
    int n = 0;

    for (; x; x &= x - 1)
        n++;
    return n;
}

/* Larger sets first: an index on (a, b) also serves those who look up by a, if a stands first in it. */
static void sort_sets(IndexSet *set, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && bit_count(set[j].eq) > bit_count(set[j - 1].eq); j--) {
            const IndexSet t = set[j];
            set[j] = set[j - 1];
            set[j - 1] = t;
        }
}

/* ---- who reads a block ---- */

typedef struct Use { const Block *by; int src; } Use;
struct Readers { int *first; Use *use; };       /* the uses of block id: first[id] … first[id + 1] - 1, in program order */

/* Where the order of joins is open, an index without statistics misleads SQLite's planner more often than it
 * helps; it makes transient ones itself. */
static bool looks_up_rows(const Block *b, int s)
{
    if (s == 0)
        return b->kind != BLK_union;
    return b->kind != BLK_union && (b->ordered || b->src[s].join == JOIN_left);
}

Readers *emit_readers(Arena *a, const Prog *p)
{
    Readers *r = arena_alloc(a, sizeof *r);
    int n = 0;

    r->first = ARENA_ARRAY(a, int, p->n_blocks + 2);
    for (int k = 0; k < p->n_blocks; k++)
        for (int s = 0; s < p->block[k]->n_src; s++)
            r->first[p->block[k]->src[s].rel->id + 2] += looks_up_rows(p->block[k], s);
    for (int k = 0; k <= p->n_blocks; k++)
        n = r->first[k + 1] += n;
    r->use = ARENA_ARRAY(a, Use, n + 1);
    for (int k = 0; k < p->n_blocks; k++)
        for (int s = 0; s < p->block[k]->n_src; s++)
            if (looks_up_rows(p->block[k], s))
                r->use[r->first[p->block[k]->src[s].rel->id + 1]++] = (Use){ p->block[k], s };
    return r;
}

static int collect_sets(const Readers *r, const Block *b, IndexSet *set)
{
    int n = 0;

    for (int k = r->first[b->id]; k < r->first[b->id + 1] && !b->one_row; k++) {
        n = add_set(set, n, wanted_by(r->use[k].by, r->use[k].src));
        if (r->use[k].src == 0)
            n = add_set(set, n, part_wanted_by(r->use[k].by));
    }
    n = drop_few(set, n);
    sort_sets(set, n);
    return n;
}

typedef struct IndexPrinter { Buf *out; const Block *b; uint64_t done; int n; } IndexPrinter;

static void put_index_cols(IndexPrinter *x, uint64_t set)
{
    for (int c = 0; c < x->b->n_cols && c < 64; c++) {
        if (!(set & ~x->done & column_bit(c)))
            continue;
        buf_puts(x->out, x->n++ ? ", " : "");
        buf_ident(x->out, x->b->col[c].name);
        x->done |= column_bit(c);
    }
}

void emit_index_name(Buf *out, const Block *b, int k)
{
    Buf full = { 0 };

    buf_printf(&full, "_sg_i%d_%s", k, b->name);
    buf_ident(out, full.s);
    buf_free(&full);
}

/* Index k: first the columns of the largest smaller set that it can serve as well (which is then done). */
static void put_index(Buf *out, const Block *b, IndexSet *set, int k, int n)
{
    IndexPrinter x = { out, b, 0, 0 };

    buf_puts(out, "CREATE INDEX temp.");
    emit_index_name(out, b, k);
    buf_puts(out, " ON ");
    buf_ident(out, b->name);
    buf_puts(out, " (");
    uint64_t inner = set[k].eq;
    uint64_t prefix[MAX_SETS];
    int n_prefix = 0;
    for (int j = k + 1; j < n; j++)
        if (set[j].eq && (set[j].eq & ~inner) == 0) {
            prefix[n_prefix++] = inner = set[j].eq;
            set[k].read |= set[j].read;
            set[j].eq = 0;
        }
    while (n_prefix > 0)
        put_index_cols(&x, prefix[--n_prefix]);
    put_index_cols(&x, set[k].eq);
    if (bit_count(set[k].read & ~set[k].eq) <= MAX_COVER)
        put_index_cols(&x, set[k].read);
    buf_puts(out, ");\n");
}

void emit_indexes(Buf *out, const Readers *r, const Block *b)
{
    IndexSet set[MAX_SETS];
    const int n = collect_sets(r, b, set);

    for (int k = 0; k < n; k++)
        if (set[k].eq)
            put_index(out, b, set, k, n);
}
