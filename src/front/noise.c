/* SPDX-License-Identifier: Apache-2.0
 *
 * noise.c - tables whose values are drawn: `-- @noise(normal(0, 1))`.  The query or the CHECKs below it give the
 * rows; over them stands a row block with the same keys, whose values are expressions of `draw`, a pure function of
 * the seed, the step, the table's column and the row's keys.  Seed and step are the one row of a table of the
 * driver's.  So noise is a table like any other: later stages know the operator and nothing else. */
#include "front/bind.h"

#include <string.h>

#define TWO_PI 6.283185307179586476925286766559

/* The driver's row of seed and step; made where it is first read. */
Block *noise_driver(Binder *b)
{
    static const char *const col[] = { "seed", "step" };
    Block *k = prog_find(b->p, NOISE_TABLE, MODE_always);

    if (k)
        return k;
    k = blk_new(b->p, BLK_base, NOISE_TABLE);
    k->role = BASE_driver;
    k->life = LIFE_step;
    for (int c = 0; c < (int)COUNT_OF(col); c++) {
        blk_add_col(b->p, k, col[c], NULL, AGG_none);
        k->col[c].type = T_INT;
        k->col[c].nullable = false;
    }
    blk_set_id(b->p, k, NULL, 0);
    return k;
}

/* ---- what a value is ---- */

/* A number for every column of every table, of which a stream's two halves are made; its letters in lower case, so
 * that it does not depend on how a name is spelled. */
static int64_t stream_of(const Binder *b, const char *table, const char *col)
{
    Buf name = { 0 };

    buf_printf(&name, "%s.%s", table, col);
    for (int i = 0; i < b->n_steps; i++)                /* in a loop each step draws its own */
        buf_printf(&name, ".%lld", (long long)b->step[i]);
    for (size_t k = 0; k < name.n; k++)
        name.s[k] = (char)(name.s[k] >= 'A' && name.s[k] <= 'Z' ? name.s[k] + 32 : name.s[k]);
    const uint64_t h = hash_bytes(name.s, name.n);
    buf_free(&name);
    return (int64_t)(h >> 33 << 1);
}

/* draw(stream, seed, step, keys…) over z's sources: 0 the rows, 1 the driver's row. */
static Expr *drawn(Arena *a, const Block *z, int64_t stream)
{
    const Block *rows = z->src[0].rel;
    Expr **arg = ARENA_ARRAY(a, Expr *, rows->n_cols + DRAW_KEYS);
    int n = DRAW_KEYS;

    arg[0] = ex_int(a, stream);
    arg[1] = ex_col(a, z, 1, 0);
    arg[2] = ex_col(a, z, 1, 1);
    for (int c = 0; c < rows->n_cols; c++)
        if (!rows->col[c].hidden && rows->col[c].type != T_REAL && rows->col[c].type != T_NULL) {
            Expr *key = ex_col(a, z, 0, c);
            arg[n++] = key->type == T_BOOL ? ex1(a, OP_to_int, key) : key;
        }
    return ex_new(a, OP_draw, T_REAL, n, arg);
}

/* Box and Muller; 1 - u lies in (0, 1], so the logarithm is finite. */
static Expr *normal_value(Arena *a, const Block *z, const Noise *n, int64_t stream)
{
    Expr *u = ex2(a, OP_sub, ex_real(a, 1), drawn(a, z, stream));
    Expr *r = ex1(a, OP_sqrt, ex2(a, OP_mul, ex_real(a, -2), ex1(a, OP_ln, u)));
    Expr *turn = ex1(a, OP_cos, ex2(a, OP_mul, ex_real(a, TWO_PI), drawn(a, z, stream + 1)));
    Expr *x = ex2(a, OP_mul, r, turn);

    if (n->b != 1)
        x = ex2(a, OP_mul, ex_real(a, n->b), x);
    return n->a ? ex2(a, OP_add, ex_real(a, n->a), x) : x;
}

static Expr *uniform_value(Arena *a, const Block *z, const Noise *n, int64_t stream)
{
    Expr *u = drawn(a, z, stream);

    if (n->b - n->a != 1)
        u = ex2(a, OP_mul, ex_real(a, n->b - n->a), u);
    return n->a ? ex2(a, OP_add, ex_real(a, n->a), u) : u;
}

static Expr *noise_value(const Binder *b, const Block *z, const Noise *n, const char *col)
{
    Arena *a = &b->c->arena;
    const int64_t stream = stream_of(b, z->name, col);

    switch (n->kind) {
    case NOISE_normal: return normal_value(a, z, n, stream);
    case NOISE_uniform: return uniform_value(a, z, n, stream);
    case NOISE_bernoulli: break;
    }
    Expr *part[3] = { ex2(a, OP_lt, drawn(a, z, stream), ex_real(a, n->a)), ex_real(a, 1), ex_real(a, 0) };
    return ex_exprs(a, OP_cond, part, 3);
}

/* ---- the table ---- */

static void need_value(Binder *b, const Block *rows)
{
    for (int c = 0; c < rows->n_cols; c++)
        if (!rows->col[c].hidden && rows->col[c].type == T_REAL)
            return;
    diag_fail(b->c, ERR_bind_noise, b->stmt->name_at, "%s has no REAL column to fill; it is written 0.0 AS val",
              b->stmt->name);
}

static Block *new_noise(Binder *b, Block *rows, bool drawn_here)
{
    Block *z = blk_new(b->p, BLK_row, b->stmt->name);

    blk_add_source(b->p, z, rows, JOIN_inner, NULL);
    if (drawn_here)
        blk_add_source(b->p, z, noise_driver(b), JOIN_inner, NULL);
    VEC_PUSH(&b->c->arena, b->noise, b->n_noise, z);
    return z;
}

static void add_drawn(Binder *b, Block *z, const Noise *n, const char *name, Span at)
{
    Arena *a = &b->c->arena;
    const int c = blk_add_col(b->p, z, name, z->n_src == 1 ? ex_real(a, n->eval) : noise_value(b, z, n, name), AGG_none);

    z->col[c].at = at;
}

static void add_row_key(Binder *b, Block *z, int from)
{
    const Col *k = &z->src[0].rel->col[from];
    const int c = blk_add_col(b->p, z, k->name, ex_col(&b->c->arena, z, 0, from), AGG_none);

    z->col[c].at = k->at;
}

static bool is_drawn(const Binder *b, const Noise *n)
{
    return !(b->o && b->o->eval && n->has_eval);
}

/* For a host that cannot draw: a base table with the columns of z, which the host fills. */
static Block *given_table(Binder *b, Block *z, const Noise *n)
{
    static const char *const kind[] = {
        [NOISE_normal] = "normal", [NOISE_uniform] = "uniform", [NOISE_bernoulli] = "bernoulli"
    };
    Buf text = { 0 };

    if (!b->o || !b->o->plain)
        return z;
    Block *t = blk_new(b->p, BLK_base, z->name);
    int *id = ARENA_ARRAY(&b->c->arena, int, z->n_cols + 1), n_id = 0;
    z->name = name_fit(&b->c->arena, GEN_PREFIX "drawn_", z->name, "");
    t->role = BASE_db;
    buf_printf(&text, "%s(", kind[n->kind]);
    buf_real(&text, n->a);
    if (n->kind != NOISE_bernoulli) {
        buf_puts(&text, ", ");
        buf_real(&text, n->b);
    }
    buf_puts(&text, ")");
    t->filled = arena_strdup(&b->c->arena, text.s);
    buf_free(&text);
    for (int c = 0; c < z->n_cols; c++) {
        const int to = blk_add_col(b->p, t, z->col[c].name, NULL, AGG_none);
        t->col[to].type = z->col[c].type;
        t->col[to].at = z->col[c].at;
        t->col[to].nullable = false;
        if (t->col[to].type != T_REAL)
            id[n_id++] = to;
    }
    blk_set_id(b->p, t, id, n_id);
    return t;
}

Block *noise_from_query(Binder *b, Block *rows, const Noise *n)
{
    need_value(b, rows);
    if (is_drawn(b, n))
        noise_driver(b);                /* a source is an earlier block */
    Block *z = new_noise(b, rows, is_drawn(b, n));
    for (int c = 0; c < rows->n_cols; c++)
        if (rows->col[c].hidden)
            continue;
        else if (rows->col[c].type == T_REAL)
            add_drawn(b, z, n, rows->col[c].name, rows->col[c].at);
        else
            add_row_key(b, z, c);
    return given_table(b, z, n);
}

Block *noise_from_checks(Binder *b, const struct Decl *d, const Noise *n)
{
    const char *name;
    Type type;
    Span at;
    int n_values = 0;

    Block *rows = declare_keys(b, d, name_fit(&b->c->arena, GEN_PREFIX "rows_", b->stmt->name, ""));
    if (is_drawn(b, n))
        noise_driver(b);
    Block *z = new_noise(b, rows, is_drawn(b, n));
    for (int c = 0; declare_column(d, c, &name, &type, &at); c++)
        if (type == T_REAL) {
            add_drawn(b, z, n, name, at);
            n_values++;
        } else {
            add_row_key(b, z, blk_find_col(rows, name));
        }
    if (!n_values)
        diag_fail(b->c, ERR_bind_noise, b->stmt->name_at, "%s has no REAL column to fill", b->stmt->name);
    return given_table(b, z, n);
}

/* Rows with the same keys would be the same number: the visible keys are the rows' identity. */
void noise_check_keys(Binder *b)
{
    if (b->o && b->o->declared && !b->cat->have_db)
        return;                                         /* not known */
    for (int k = 0; k < b->n_noise; k++) {
        const Block *rows = b->noise[k]->src[0].rel;
        bool known = true;
        for (int i = 0; i < rows->n_id; i++)
            known &= !rows->col[rows->id_col[i]].hidden && rows->col[rows->id_col[i]].type != T_REAL;
        if (!known || (!rows->n_id && !rows->one_row))
            diag_error(b->c, ERR_bind_noise, b->noise[k]->name_at, "the keys of %s may repeat, and rows with the same "
                       "keys are the same number; select a key that tells its rows apart, or SELECT DISTINCT",
                       blk_shown(b->p, b->noise[k]));
    }
}
