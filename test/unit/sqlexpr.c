/* SPDX-License-Identifier: Apache-2.0
 *
 * Random expressions, printed for SQLite with their guards and run by it, against the interpreter of
 * ir/eval.c: the same bits, infinities where IEEE has infinities, NULL only for NULL and NaN.  And printed
 * expressions grow with the expression, not with the depth of nested guards.  LOG10 is left out: SQLite
 * divides natural logarithms, and its last bit differs. */
#include "db/db.h"
#include "emit/emit.h"
#include "exec/engine.h"
#include "unit.h"

static uint64_t seed;

static int draw(int n)
{
    seed = hash_u64(seed + 0x9e3779b97f4a7c15ull);
    return (int)(seed % (uint64_t)n);
}

typedef struct World { Compile c; Prog *p; Block *base, *row; Table t; } World;

enum { N_ROWS = 24, N_VALUES = 3 };

static void world_begin(World *w)
{
    static const double value[] = { 0, 1, -1, 0.5, -2.5, 1000, -1000, 3, 1e-310, 2 };
    static const char *const name[] = { "a", "b", "c" };

    *w = (World){ .p = NULL };
    w->p = ARENA_NEW(&w->c.arena, Prog);
    w->p->c = &w->c;
    w->base = blk_new(w->p, BLK_base, "t");
    w->base->role = BASE_db;
    table_init(&w->t, "t", N_VALUES + 1, N_ROWS);
    for (int k = 0; k <= N_VALUES; k++) {
        const int c = blk_add_col(w->p, w->base, k ? name[k - 1] : "id", NULL, AGG_none);
        w->base->col[c].type = k ? T_REAL : T_INT;
        w->base->col[c].nullable = k == N_VALUES;
        table_add_col(&w->t, k, k ? name[k - 1] : "id", k ? T_REAL : T_INT, k == N_VALUES);
        for (int r = 0; r < N_ROWS; r++) {
            if (!k)
                w->t.col[k].i[r] = r;
            else
                w->t.col[k].r[r] = value[draw(COUNT_OF(value))];
            if (k == N_VALUES)
                w->t.col[k].null[r] = r % 5 == 0;
        }
    }
    blk_set_id(w->p, w->base, (int[]){ 0 }, 1);
    w->row = blk_new(w->p, BLK_row, "r");
    blk_add_source(w->p, w->row, w->base, JOIN_inner, NULL);
    blk_add_col(w->p, w->row, "id", ex_col(&w->c.arena, w->row, 0, 0), AGG_none);
}

static void world_end(World *w)
{
    table_free(&w->t);
    compile_free(&w->c);
}

static Expr *random_leaf(World *w)
{
    static const double lit[] = { 0, 1, 2, -1.5, 0.25 };

    if (draw(4) == 0)
        return ex_real(&w->c.arena, lit[draw(COUNT_OF(lit))]);
    return ex_col(&w->c.arena, w->row, 0, 1 + draw(N_VALUES));
}

/* Conditions read columns that are never NULL: a comparison with NaN is true nowhere in SQL. */
static Expr *random_test(World *w)
{
    static const Op op[] = { OP_lt, OP_ge, OP_eq, OP_ne };
    return ex2(&w->c.arena, op[draw(4)], ex_col(&w->c.arena, w->row, 0, 1 + draw(2)), ex_real(&w->c.arena, draw(3)));
}

static Expr *random_expr(World *w, int depth)
{
    static const Op one[] = { OP_neg, OP_abs, OP_sign, OP_exp, OP_ln, OP_sqrt, OP_sin, OP_cos, OP_tan,
                              OP_tanh, OP_atan, OP_floor, OP_ceil };
    static const Op two[] = { OP_add, OP_sub, OP_mul, OP_div, OP_div, OP_div, OP_pow, OP_max, OP_min };
    Arena *a = &w->c.arena;

    if (depth == 0)
        return random_leaf(w);
    switch (draw(10)) {
    case 0: case 1: case 2:
        return ex1(a, one[draw(COUNT_OF(one))], random_expr(w, depth - 1));
    case 3:
        return ex_exprs(a, OP_cond, (Expr *[]){ random_test(w), random_expr(w, depth - 1), random_expr(w, depth - 1) }, 3);
    case 4:
        return ex2(a, OP_coalesce, ex_col(a, w->row, 0, N_VALUES), random_expr(w, depth - 1));
    case 5:
        return ex2(a, OP_round, random_expr(w, depth - 1), ex_int(a, draw(3)));
    default:
        return ex2(a, two[draw(COUNT_OF(two))], random_expr(w, depth - 1), random_expr(w, depth - 1));
    }
}

typedef struct Cell { const Table *t; size_t row; } Cell;

static Value get_cell(void *arg, const Expr *col)
{
    const Cell *c = arg;

    if (table_null(c->t, col->col, c->row))
        return (Value){ .type = T_REAL, .null = true };
    return (Value){ .type = T_REAL, .r = table_real(c->t, col->col, c->row) };
}

static bool same_value(Value want, bool null, double got)
{
    const bool nothing = want.null || isnan(want.r);

    if (nothing || null || isnan(got))
        return nothing && (null || isnan(got));
    return want.r == got;
}

/* SQLite has one zero, and no NaN to which POW(NaN, 0) could be 1: rows where either would matter. */
static bool beyond_sqlite(const Expr *e, Cell *cell)
{
    const Value v = ex_eval(e, get_cell, cell);

    if (!v.null && e->type == T_REAL && e->op == OP_pow && isnan(ex_eval(e->arg[1], get_cell, cell).r))
        return true;
    if (!v.null && e->op == OP_pow && isnan(ex_eval(e->arg[0], get_cell, cell).r))
        return true;
    for (int k = 0; k < e->n_args; k++)
        if (beyond_sqlite(e->arg[k], cell))
            return true;
    return !v.null && e->type == T_REAL && v.r == 0 && signbit(v.r);
}

/* The first row where the two differ, as text; "" if none does. */
static void compare_rows(World *w, const Table *got, Buf *wrong)
{
    for (int c = 1; c < got->n_cols && !wrong->n; c++)
        for (size_t r = 0; r < got->n_rows && !wrong->n; r++) {
            Cell cell = { &w->t, r };
            const Value want = ex_eval(w->row->col[c].e, get_cell, &cell);
            if (same_value(want, table_null(got, c, r), got->col[c].r[r]) || beyond_sqlite(w->row->col[c].e, &cell))
                continue;
            buf_printf(wrong, "row %zu: %.17g, expected %.17g: ", r, got->col[c].r[r], want.null ? NAN : want.r);
            print_expr(wrong, w->row, w->row->col[c].e, &dialect_canonical);
        }
}

static void run_row(World *w, Block *target, Table *out, Err *e)
{
    Engine *g = NULL;

    prog_analyse(w->p);
    ir_verify(w->p, "test");
    if (engine_sql.open(&g, w->p, &(EngineOpts){ .f64 = true }, e) == OK &&
        engine_sql.bind(g, w->base, &w->t, e) == OK && engine_sql.run(g, &target, 1, true, e) == OK)
        engine_sql.fetch(g, target, false, out, e);
    if (g)
        engine_sql.close(g);
}

static void random_expressions(void)
{
    for (int round = 0; round < 20; round++) {
        World w;
        Table got = { 0 };
        Err e = { 0 };
        Buf wrong = { 0 };

        seed = (uint64_t)round;
        world_begin(&w);
        for (int k = 0; k < 25; k++)
            blk_add_col(w.p, w.row, NULL, random_expr(&w, 1 + k % 5), AGG_none);
        run_row(&w, w.row, &got, &e);
        CHECK_STR(e.msg, "");
        compare_rows(&w, &got, &wrong);
        CHECK_STR(wrong.s ? wrong.s : "", "");
        buf_free(&wrong);
        table_free(&got);
        world_end(&w);
    }
}

/* A NaN among the summands must not be skipped as NULL is. */
static void sums_of_nan(void)
{
    World w;
    Table got = { 0 };
    Err e = { 0 };

    seed = 1;
    world_begin(&w);
    w.t.col[1].r[0] = 0;
    w.t.col[1].r[1] = w.t.col[3].r[1] = -1;
    Arena *a = &w.c.arena;
    Block *b = blk_new(w.p, BLK_reduce, "s");
    blk_add_source(w.p, b, w.base, JOIN_inner, NULL);
    Expr *x = ex_col(a, b, 0, 1), *c = ex_col(a, b, 0, 3);
    blk_add_col(w.p, b, "root", ex1(a, OP_sqrt, x), AGG_sum);
    blk_add_col(w.p, b, "least", ex1(a, OP_ln, x), AGG_min);
    blk_add_col(w.p, b, "most", ex2(a, OP_div, x, x), AGG_max);
    blk_add_col(w.p, b, "with_null", ex1(a, OP_sqrt, c), AGG_sum);
    blk_add_col(w.p, b, "plain", c, AGG_sum);
    run_row(&w, b, &got, &e);
    CHECK_STR(e.msg, "");
    for (int k = 0; k < 4 && got.n_rows == 1; k++)
        CHECK(!isfinite(got.col[k].r[0]));
    CHECK(got.n_rows == 1 && isfinite(got.col[4].r[0]) && !table_null(&got, 4, 0));
    table_free(&got);
    world_end(&w);
}

static void nested_guards(void)
{
    World w;
    Buf small = { 0 }, large = { 0 };

    world_begin(&w);
    Arena *a = &w.c.arena;
    Expr *e = ex_col(a, w.row, 0, 1);
    for (int k = 0; k < 64; k++) {
        if (k == 32)
            print_expr(&small, w.row, e, dialect_find("sqlite"));
        e = k % 3 ? ex2(a, OP_div, ex_col(a, w.row, 0, 2), e) : ex1(a, OP_ln, e);
    }
    print_expr(&large, w.row, e, dialect_find("sqlite"));
    CHECK(large.n < 3 * small.n);
    buf_free(&small);
    buf_free(&large);
    world_end(&w);
}

TEST_MAIN({ "random_expressions", random_expressions }, { "sums_of_nan", sums_of_nan }, { "nested_guards", nested_guards })
