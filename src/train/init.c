/* SPDX-License-Identifier: Apache-2.0
 *
 * init.c - the rows of tables declared by CHECKs, and the first values of parameters.
 *
 * A value is drawn by (seed, table and column name, rank of its row's key), so it depends on nothing else:
 * not on other tables, threads or the order of rows.  Fans are counted in the relation's own terms: fan_in is
 * the number of rows of the table that meet in one output row at its first use, which is PyTorch's number for
 * linear and convolution weights whatever their column order. */
#include "train/train.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define MAX_ROWS ((int64_t)1 << 31)         /* of a declared table */
#define MAX_TRIED ((int64_t)1 << 25)        /* values of one column, or combinations, that CHECKs are tried on */

const Table *feed_find(const Feed *f, int n, const Block *base)
{
    for (int k = 0; k < n; k++)
        if (f[k].base == base)
            return f[k].t;
    return NULL;
}

/* ---- rows ---- */

/* Values that one key column may take, and where the enumeration stands. */
typedef struct Axis { int col; int64_t *v; int64_t n, at; } Axis;
typedef struct Grid { const Block *b; Axis *axis; int n; Expr **check; int n_checks; } Grid;

static Value grid_value(void *arg, const Expr *col)
{
    const Grid *g = arg;

    for (int k = 0; k < g->n; k++)
        if (g->axis[k].col == col->col)
            return (Value){ .type = T_INT, .i = g->axis[k].v[g->axis[k].at] };
    return (Value){ .type = col->type, .null = true };
}

/* SQL: a CHECK is violated only when it is false; unknown passes. */
static bool grid_passes(Grid *g, Expr *const *check, int n)
{
    for (int k = 0; k < n; k++) {
        const Value v = ex_eval(check[k], grid_value, g);
        if (!v.null && !v.i)
            return false;
    }
    return true;
}

static bool reads_other(void *arg, const Expr *e)
{
    return e->op == OP_col && e->col != *(const int *)arg;
}

/* The values of column k of the shape between its bounds that pass the checks on that column alone. */
static void fill_axis(Compile *c, const Block *b, int k, Axis *x)
{
    const Shape *s = b->shape;
    Grid g = { b, x, 1, NULL, 0 };
    Expr **own = ARENA_ARRAY(&c->arena, Expr *, s->n_checks + 1);
    int n_own = 0;
    int64_t n;

    if (s->lo[k] > s->hi[k] || __builtin_sub_overflow(s->hi[k], s->lo[k], &n) || n >= MAX_TRIED)
        diag_fail(c, ERR_train_shape, b->name_at, "the CHECKs of %s let %s lie between %lld and %lld; at most %lld values "
                  "can be tried", b->name, b->col[s->col[k]].name, (long long)s->lo[k], (long long)s->hi[k],
                  (long long)MAX_TRIED);
    for (int j = 0; j < s->n_checks; j++)
        if (!ex_any(s->check[j], reads_other, &s->col[k]))
            own[n_own++] = s->check[j];
    *x = (Axis){ .col = s->col[k], .v = ARENA_ARRAY(&c->arena, int64_t, n + 1) };
    for (int64_t i = 0; i <= n; i++) {
        x->v[x->n] = s->lo[k] + i;
        x->at = x->n;
        x->n += grid_passes(&g, own, n_own);
    }
    x->at = 0;
}

static bool reads_two(const Shape *s, const Expr *e)
{
    for (int k = 0; k < s->n_cols; k++)
        if (!ex_any(e, reads_other, &s->col[k]))
            return false;
    return true;
}

static void grid_open(Compile *c, const Block *b, Grid *g)
{
    const Shape *s = b->shape;
    int64_t n = 1;

    *g = (Grid){ .b = b, .n = s->n_cols };
    g->axis = ARENA_ARRAY(&c->arena, Axis, s->n_cols + 1);
    g->check = ARENA_ARRAY(&c->arena, Expr *, s->n_checks + 1);
    for (int k = 0; k < s->n_cols; k++) {
        fill_axis(c, b, k, &g->axis[k]);
        if (__builtin_mul_overflow(n, g->axis[k].n, &n) || n > MAX_ROWS)
            diag_fail(c, ERR_train_shape, b->name_at, "the CHECKs of %s ask for more than %lld rows", b->name,
                      (long long)MAX_ROWS);
    }
    for (int k = 0; k < s->n_checks; k++)
        if (s->n_cols > 1 && reads_two(s, s->check[k]))
            g->check[g->n_checks++] = s->check[k];
    if (g->n_checks && n > MAX_TRIED)
        diag_fail(c, ERR_train_shape, b->name_at, "the CHECKs of %s must be tried on %lld combinations, more than %lld",
                  b->name, (long long)n, (long long)MAX_TRIED);
}

/* The next combination, last column fastest; false at the end. */
static bool grid_next(Grid *g)
{
    for (int k = g->n - 1; k >= 0; k--) {
        if (++g->axis[k].at < g->axis[k].n)
            return true;
        g->axis[k].at = 0;
    }
    return false;
}

static int64_t grid_count(Grid *g)
{
    int64_t n = 1, passed = 0;

    for (int k = 0; k < g->n; k++)
        n *= g->axis[k].n;
    if (!g->n_checks || !n)
        return n;
    do
        passed += grid_passes(g, g->check, g->n_checks);
    while (grid_next(g));
    return passed;
}

int64_t init_count(Compile *c, const Block *b)
{
    Grid g;

    grid_open(c, b, &g);
    return grid_count(&g);
}

static double machine_bytes(void)
{
    return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

void init_rows(Compile *c, const Block *b, Table *out)
{
    Grid g;
    int n_cols = 0;
    bool ok = true;

    grid_open(c, b, &g);
    const int64_t n = grid_count(&g);
    for (int k = 0; k < b->n_cols; k++)
        n_cols += !b->col[k].hidden;
    if ((double)n * n_cols * 8 > machine_bytes())
        diag_fail_env(c, ERR_mem_exhausted, "the %lld rows of %s would take %.0f MB of memory", (long long)n, b->name,
                      (double)n * n_cols * 8 / 1e6);
    table_init(out, b->name, n_cols, (size_t)n);
    for (int k = 0, at = 0; k < b->n_cols && ok; k++)
        if (!b->col[k].hidden)
            ok = table_add_col(out, at++, b->col[k].name, b->col[k].type, false);
    if (!ok) {
        table_free(out);
        diag_fail_env(c, ERR_mem_exhausted, "out of memory for the %lld rows of %s", (long long)n, b->name);
    }
    for (size_t r = 0; r < out->n_rows;) {
        if (grid_passes(&g, g.check, g.n_checks)) {
            for (int k = 0; k < g.n; k++)
                out->col[table_find(out, b->col[g.axis[k].col].name)].i[r] = g.axis[k].v[g.axis[k].at];
            r++;
        }
        if (!grid_next(&g))
            break;
    }
}

/* ---- fans ---- */

static int source_of(const Block *b, const Block *rel)
{
    for (int s = 0; s < b->n_src; s++)
        if (b->src[s].rel == rel)
            return s;
    return -1;
}

static const Block *first_reader(const Prog *p, const Block *b)
{
    for (int k = 0; k < p->n_blocks; k++)
        if (source_of(p->block[k], b) >= 0)
            return p->block[k];
    return NULL;
}

/* Number of distinct combinations of the columns in `in` (by 64-bit hashes: an init needs no more). */
static double distinct_rows(const Table *t, const bool *in)
{
    size_t cap = 16, n = 0;

    while (cap < 2 * t->n_rows)
        cap *= 2;
    uint64_t *slot = mem_alloc(cap * sizeof *slot);
    for (size_t r = 0; r < t->n_rows; r++) {
        uint64_t h = 1;
        for (int c = 0; c < t->n_cols; c++) {
            const TableCol *k = &t->col[c];
            const size_t at = table_at(t, k, r);
            if (in[c])
                h = hash_u64(h * 31 + (k->type == T_TEXT ? hash_bytes(k->s[at], strlen(k->s[at])) : (uint64_t)k->i[at]));
        }
        h |= h == 0;
        size_t i = h & (cap - 1);
        while (slot[i] && slot[i] != h)
            i = (i + 1) & (cap - 1);
        n += slot[i] == 0;
        slot[i] = h;
    }
    mem_free(slot);
    return n ? (double)n : 1;
}

/* Which columns of source s of block b are known once `k` is closed. */
static void known_cols(const Prog *p, const Block *b, int s, const Known *k, bool *out)
{
    const Block *rel = b->src[s].rel;

    for (int c = 0; c < rel->n_cols; c++)
        out[c] = rel->col[c].type != T_REAL && known_has_expr(k, ex_col(&p->c->arena, b, s, c));
}

/* Which key columns of b follow from the keys of the first reduction that b flows into, through row blocks;
 * false if there is none (then every output row has one row of b). */
static bool reaching_keys(const Prog *p, const Block *b, const Block *reader, bool *out)
{
    const int s = source_of(reader, b);
    Known *k = known_new(&p->c->arena, reader);

    if (reader->kind == BLK_reduce) {
        for (int c = 0; c < reader->n_keys; c++)
            known_add_expr(k, reader->col[c].e);
    } else if (reader->kind == BLK_row) {
        const Block *next = first_reader(p, reader);
        bool *known = ARENA_ARRAY(&p->c->arena, bool, reader->n_cols + 1);
        if (!next || !reaching_keys(p, reader, next, known))
            return false;
        for (int c = 0; c < reader->n_cols; c++)
            if (known[c])
                known_add_expr(k, reader->col[c].e);
    } else {
        return false;
    }
    known_close(k);
    known_cols(p, reader, s, k, out);
    return true;
}

/* Which key columns of b follow from one row of each other source of its reader. */
static void joined_keys(const Prog *p, const Block *b, const Block *reader, bool *out)
{
    const int s = source_of(reader, b);
    Known *k = known_new(&p->c->arena, reader);

    for (int j = 0; j < reader->n_src; j++)
        if (j != s)
            known_add_source(k, j);
    known_close(k);
    known_cols(p, reader, s, k, out);
}

/* The same set by column of t, whose columns stand in another order. */
static double rows_per(const Block *b, const Table *t, const bool *known, Arena *a)
{
    bool *in = ARENA_ARRAY(a, bool, t->n_cols + 1);

    for (int c = 0; c < b->n_cols; c++) {
        const int k = table_find(t, b->col[c].name);
        if (k >= 0 && t->col[k].type != T_REAL)
            in[k] = known[c];
    }
    return t->n_rows ? (double)t->n_rows / distinct_rows(t, in) : 1;
}

void init_fans(const Prog *p, const Block *b, const Table *t, double *fan_in, double *fan_out)
{
    Arena *a = &p->c->arena;
    const Block *reader = first_reader(p, b);
    bool *known = ARENA_ARRAY(a, bool, b->n_cols + 1);

    *fan_in = *fan_out = 1;
    if (b->init && b->init->n_in) {             /* said in so many words: all other keys reach the output */
        for (int c = 0; c < b->n_cols; c++) {
            known[c] = true;
            for (int k = 0; k < b->init->n_in; k++)
                known[c] &= !ascii_ieq(b->init->in[k], b->col[c].name);
        }
        *fan_in = rows_per(b, t, known, a);
    } else if (reader && reaching_keys(p, b, reader, known)) {
        *fan_in = rows_per(b, t, known, a);
    }
    if (!reader || reader->kind == BLK_union || reader->n_src < 2)
        return;
    memset(known, 0, (size_t)b->n_cols * sizeof *known);
    joined_keys(p, b, reader, known);
    *fan_out = rows_per(b, t, known, a);
}

/* ---- values ---- */

typedef enum Draw { DRAW_const, DRAW_uniform, DRAW_normal } Draw;
typedef struct Start { Draw draw; double a, b; } Start;     /* value; bounds; mean and deviation */

static const struct { const char *name; int min_args, max_args; } inits[] = {
    { "zeros", 0, 0 }, { "const", 1, 1 }, { "uniform", 2, 2 }, { "normal", 2, 2 }, { "ones", 0, 0 }, { "xavier_uniform", 0, 1 },
    { "xavier_normal", 0, 1 }, { "kaiming_uniform", 0, 0 }, { "kaiming_normal", 0, 0 }, { "torch_default", 0, 0 },
};

static int find_init(const Prog *p, const Block *b)
{
    const char *names[COUNT_OF(inits)];

    if (!b->init || !b->init->name)
        diag_fail(p->c, ERR_train_init, b->name_at, "%s is not in the database, and its @param says no init; "
                  "say for example @param(init = xavier_uniform)", b->name);
    for (size_t k = 0; k < COUNT_OF(inits); k++) {
        names[k] = inits[k].name;
        if (!ascii_ieq(names[k], b->init->name))
            continue;
        if (b->init->n_args < inits[k].min_args || b->init->n_args > inits[k].max_args)
            diag_fail(p->c, ERR_train_init, b->init->at, "init %s takes %d number%s, not %d", names[k],
                      inits[k].max_args, inits[k].max_args == 1 ? "" : "s", b->init->n_args);
        return (int)k;
    }
    const char *near = nearest_name(b->init->name, names, COUNT_OF(inits));
    diag_fail(p->c, ERR_train_init, b->init->at, "no init \"%s\"; %s%s", b->init->name,
              near ? "did you mean " : "there are zeros, ones, const(c), uniform(a, b), normal(mean, deviation), xavier_…, "
              "kaiming_… and torch_default", near ? near : "");
}

/* torch_default(of = T): the fan of T, for biases. */
static void fans_of(const Prog *p, const Block *b, const Table *t, const Feed *param, int n, double fan[2])
{
    if (!b->init->of) {
        init_fans(p, b, t, &fan[0], &fan[1]);
        return;
    }
    for (int k = 0; k < n; k++)
        if (ascii_ieq(param[k].base->name, b->init->of)) {
            init_fans(p, param[k].base, param[k].t, &fan[0], &fan[1]);
            return;
        }
    diag_fail(p->c, ERR_train_init, b->init->at, "torch_default(of = %s): no parameter of that name", b->init->of);
}

/* Bounds and deviations as in torch.nn.init (fan_in mode, gain of relu for kaiming). */
static Start find_start(const Prog *p, const Block *b, const Table *t, const Feed *param, int n)
{
    const int kind = find_init(p, b);
    const char *name = inits[kind].name;
    const Init *i = b->init;
    double fan[2] = { 1, 1 };

    if (kind == 0)
        return (Start){ DRAW_const, 0, 0 };
    if (kind == 4)
        return (Start){ DRAW_const, 1, 0 };
    if (kind == 1)
        return (Start){ DRAW_const, i->arg[0], 0 };
    if (kind <= 3)
        return (Start){ kind == 2 ? DRAW_uniform : DRAW_normal, i->arg[0], i->arg[1] };
    fans_of(p, b, t, param, n, fan);
    const double gain = i->n_args ? i->arg[0] : 1;
    const double std = !strncmp(name, "xavier", 6) ? gain * sqrt(2 / (fan[0] + fan[1]))
                     : !strncmp(name, "kaiming", 7) ? sqrt(2 / fan[0]) : sqrt(1 / (3 * fan[0]));
    if (strstr(name, "normal"))
        return (Start){ DRAW_normal, 0, std };
    return (Start){ DRAW_uniform, -sqrt(3.0) * std, sqrt(3.0) * std };
}

static double draw_start(const Start *s, uint64_t seed, uint64_t stream, uint64_t n)
{
    switch (s->draw) {
    case DRAW_const: return s->a;
    case DRAW_uniform: return s->a + (s->b - s->a) * draw_uniform(seed, stream, n);
    case DRAW_normal: return s->a + s->b * draw_normal(seed, stream, n);
    }
    BUG("draw_start: %d", (int)s->draw);
}

void init_values(const Prog *p, const Block *b, uint64_t seed, Table *t, const Feed *param, int n_params)
{
    const Start s = find_start(p, b, t, param, n_params);

    for (int c = 0; c < t->n_cols; c++) {
        if (t->col[c].type != T_REAL)
            continue;
        const uint64_t stream = hash_u64(hash_bytes(b->name, strlen(b->name)))
                                ^ hash_bytes(t->col[c].name, strlen(t->col[c].name));
        for (size_t r = 0; r < t->n_rows; r++)
            t->col[c].r[r] = draw_start(&s, seed, stream, r);
    }
}
