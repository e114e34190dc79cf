/* SPDX-License-Identifier: Apache-2.0
 *
 * native.c - the native engine from inside: kernels against plain loops and against ir/eval.c, orders and
 * hash tables of keys, and a small program built by hand, run over batches of every kind. */
#include "unit.h"

#include "exec/native.h"

#include <stdlib.h>

static Native *some_native(bool f64)
{
    static Native n;
    static Err e;

    e = (Err){ 0 };
    n = (Native){ .limit = (size_t)1 << 30, .err = &e, .o = { .f64 = f64 }, .esz = f64 ? 8 : 4, .k = kern_for(f64) };
    return &n;
}

static double noise(uint64_t k)
{
    return (double)(hash_u64(k + 1) >> 11) / 9007199254740992.0 - 0.5;
}

/* ---- sums of products, every number of lanes, every kind of CPU ---- */

enum { ROWS = 3, TUPLES = 41, PLACES = 9, MOST = 261, BEHIND = 64 };

typedef struct Sums { const Native *n; uint32_t ia[TUPLES], ib[TUPLES], ptr[ROWS + 1]; void *a, *b, *out; } Sums;

static void fill_sums(Sums *s, const Native *n)
{
    *s = (Sums){ .n = n, .ptr = { 0, 0, 23, TUPLES } };
    s->a = mem_alloc(sizeof(double) * PLACES * MOST + BEHIND);
    s->b = mem_alloc(sizeof(double) * PLACES * MOST + BEHIND);
    s->out = mem_alloc(sizeof(double) * ROWS * MOST);
    for (size_t k = 0; k < PLACES * MOST; k++) {
        val_set(n, s->a, k, noise(k));
        val_set(n, s->b, k, noise(k + 7777));
    }
    for (size_t t = 0; t < TUPLES; t++) {
        s->ia[t] = (uint32_t)(hash_u64(t) % PLACES);
        s->ib[t] = (uint32_t)(hash_u64(t + 99) % PLACES);
    }
}

/* a's lanes times b's (or b's one value), summed over the tuples of a row, and over lanes if `all`. */
static double plain_sum(const Sums *s, size_t row, size_t lane, size_t L, bool b_lanes, bool all)
{
    double sum = 0;

    for (size_t t = s->ptr[row]; t < s->ptr[row + 1]; t++)
        for (size_t l = all ? 0 : lane; l < (all ? L : lane + 1); l++)
            sum += val_get(s->n, s->a, s->ia[t] * L + l) * val_get(s->n, s->b, b_lanes ? s->ib[t] * L + l : s->ib[t]);
    return sum;
}

static bool sums_agree(const Sums *s, size_t L, bool b_lanes, bool all)
{
    const double tol = s->n->o.f64 ? 1e-12 : 2e-5;

    for (size_t r = 0; r < ROWS; r++)
        for (size_t l = 0; l < (all ? 1 : L); l++)
            if (fabs(val_get(s->n, s->out, all ? r : r * L + l) - plain_sum(s, r, l, L, b_lanes, all)) > tol)
                return false;
    return true;
}

static void try_sums(const Native *n)
{
    static const size_t lanes[] = { 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 64, 117, 128, 130, 150, 256, 261 };
    const Kern *k = n->k;
    Sums s;

    fill_sums(&s, n);
    for (size_t i = 0; i < COUNT_OF(lanes); i++) {
        const size_t L = lanes[i];
        const LaneSums w = { s.out, s.a, s.b, s.ia, s.ib, s.ptr, NULL, 0, ROWS, L, ROWS, ROWS };
        k->lanes_x_scalar(&w);
        CHECK(sums_agree(&s, L, false, false));
        k->lanes_x_lanes(&w);
        CHECK(sums_agree(&s, L, true, false));
        k->dot_scalar(s.out, s.a, s.ia, s.b, s.ib, s.ptr, 0, ROWS, L);
        CHECK(sums_agree(&s, L, false, true));
        k->dot_lanes(s.out, s.a, s.ia, s.b, s.ib, s.ptr, 0, ROWS, L);
        CHECK(sums_agree(&s, L, true, true));
    }
    for (size_t t = 0; t < TUPLES; t++)
        s.ib[t] = (uint32_t)t;
    for (size_t i = 0; i < COUNT_OF(lanes); i++) {
        const uint32_t row[] = { 1, 2 };
        k->lanes_x_list(&(LaneSums){ s.out, s.a, s.b, s.ia, NULL, s.ptr, NULL, 0, ROWS, lanes[i], ROWS << 20, ROWS });
        CHECK(sums_agree(&s, lanes[i], false, false));
        k->lanes_x_list(&(LaneSums){ s.out, s.a, s.b, s.ia, NULL, s.ptr, row, 0, 2, lanes[i], ROWS, ROWS });
        CHECK(sums_agree(&s, lanes[i], false, false));
    }
    k->dot(s.out, s.a, s.ia, s.b, s.ib, s.ptr, 0, ROWS, 1);
    CHECK(sums_agree(&s, 1, false, true));
    mem_free(s.a);
    mem_free(s.b);
    mem_free(s.out);
}

static void products(void)
{
    static const char *const cpu[] = { "base", "avx2", "" };

    for (size_t c = 0; c < COUNT_OF(cpu); c++)
        for (int f64 = 0; f64 < 2; f64++) {
            setenv("SQLGRAD_CPU", cpu[c], 1);
            try_sums(some_native(f64));
        }
    unsetenv("SQLGRAD_CPU");
}

/* ---- operators mean what ir/eval.c says ---- */

static bool same_number(double x, double y)
{
    return isnan(x) ? isnan(y) : isinf(x) || x == 0 ? x == y && signbit(x) == signbit(y) : fabs(x - y) <= 1e-15 * fabs(y);
}

static void operators(void)
{
    static const Op ops[] = { OP_neg, OP_add, OP_sub, OP_mul, OP_div, OP_abs, OP_sign, OP_exp, OP_ln, OP_log10, OP_sqrt,
                              OP_pow, OP_sin, OP_cos, OP_tan, OP_tanh, OP_atan, OP_floor, OP_ceil };
    const double x[] = { 0, -0.0, 1, -1, 0.5, -2.5, 3, 1e300, -1e300, (double)INFINITY, -(double)INFINITY, (double)NAN };
    const Native *n = some_native(true);
    Arena a = { 0 };

    for (size_t o = 0; o < COUNT_OF(ops); o++)
        for (size_t i = 0; i < COUNT_OF(x); i++)
            for (size_t j = 0; j < (op_info[ops[o]].nargs == 2 ? COUNT_OF(x) : 1); j++) {
                double out;
                n->k->real[ops[o]](&out, &x[i], &x[j], 1);
                const Expr *e = op_info[ops[o]].nargs == 2 ? ex2(&a, ops[o], ex_real(&a, x[i]), ex_real(&a, x[j]))
                                                          : ex1(&a, ops[o], ex_real(&a, x[i]));
                if (!same_number(out, ex_eval(e, NULL, NULL).r))
                    unit_wrong(__LINE__, op_info[ops[o]].name, "");
            }
    arena_free(&a);
}

static void integers(void)
{
    const int64_t x[] = { INT64_MAX, INT64_MIN + 1, 7, -7, KEY_NULL, KEY_BAD, 5 };
    const int64_t y[] = { 1, -1, 0, 2, 1, 1, KEY_NULL };
    int64_t out[7];

    ints_op(OP_add, out, x, y, 7);
    CHECK(out[0] == KEY_BAD && out[1] == KEY_BAD && out[2] == 7 && out[4] == KEY_NULL && out[5] == KEY_BAD && out[6] == KEY_NULL);
    ints_op(OP_idiv, out, x, y, 7);
    CHECK(out[0] == INT64_MAX && out[1] == INT64_MAX && out[2] == KEY_NULL && out[3] == -3);
    ints_op(OP_mod, out, x, y, 7);
    CHECK(out[1] == 0 && out[2] == KEY_NULL && out[3] == -1);
    CHECK(text_to_int("  -12abc") == -12 && text_to_int("99999999999999999999") == INT64_MAX && text_to_int("x") == 0);
    CHECK(text_to_real("1.5e2x") == 150 && text_to_real("") == 0 && text_to_real("-.5") == -0.5);
}

/* ---- keys ---- */

static void reals_as_keys(void)
{
    const double x[] = { -(double)INFINITY, -1e300, -1, -1e-320, 0, 1e-320, 0.1, 1, 1e300, (double)INFINITY };

    for (size_t k = 0; k < COUNT_OF(x); k++) {
        CHECK(code_real(real_code(x[k])) == x[k]);
        CHECK(k == 0 || real_code(x[k]) > real_code(x[k - 1]));
        CHECK(IS_KEY(real_code(x[k])) && real_code(x[k]) > KEY_BAD);
    }
    CHECK(real_code(-0.0) == real_code(0.0) && isnan(code_real(real_code((double)NAN))));
}

static void orders(void)
{
    Native *n = some_native(true);
    const int64_t key[] = { 5, KEY_NULL, -3, 5, INT64_MAX, -3 }, two[] = { 0, 1, 2, 3, 4, 5 };
    uint32_t rank[6], rank2[6], perm[6];
    size_t d, d2;

    CHECK(rank_codes(n, key, 6, T_INT, rank, &d) && d == 4);
    CHECK(rank[0] == 2 && rank[1] == 0 && rank[2] == 1 && rank[4] == 3);
    CHECK(rank_codes(n, two, 6, T_INT, rank2, &d2) && d2 == 6);
    CHECK(order_rows(n, 6, 2, (uint32_t *const[]){ rank, rank2 }, (size_t[]){ d, d2 }, perm));
    CHECK(perm[0] == 1 && perm[1] == 2 && perm[2] == 5 && perm[3] == 0 && perm[4] == 3 && perm[5] == 4);
    KeyTable t;
    const int64_t *cols[1] = { key };
    const bool skip[1] = { true };
    CHECK(keys_build(n, &t, 1, cols, skip, 6) && keys_lists(n, &t) && t.n_groups == 3 && t.gid[1] == ROW_NONE);
    const uint32_t g = keys_find(&t, (int64_t[]){ -3 });
    CHECK(g != ROW_NONE && t.ptr[g + 1] - t.ptr[g] == 2 && t.row[t.ptr[g]] == 2 && t.row[t.ptr[g] + 1] == 5);
    CHECK(keys_find(&t, (int64_t[]){ 4 }) == ROW_NONE);
    keys_free(n, &t);
    CHECK_INT(n->used, 0);
}

static void texts(void)
{
    Dict d = { 0 };
    const int64_t z = dict_code(&d, "z"), a = dict_code(&d, "a"), upper = dict_code(&d, "B");

    CHECK(dict_code(&d, "a") == a && !strcmp(dict_text(&d, z), "z"));
    CHECK(dict_ranks(&d)[upper] == 0 && dict_ranks(&d)[a] == 1 && dict_ranks(&d)[z] == 2);
    const int64_t none = dict_code(&d, "");
    CHECK(dict_ranks(&d)[none] == 0 && dict_ranks(&d)[z] == 3);
    arena_free(&d.arena);
}

/* ---- a program: y(n, o) = sum over i of x(n, i) * w(i, o); z(o) = sum over n of y where y > 0 ---- */

enum { N = 9, I = 3, O = 5 };

typedef struct Model { Compile c; Prog p; Block *x, *w, *y, *z; Table xt, wt; } Model;

static Block *base_block(Prog *p, const char *name, const char *k1, const char *k2)
{
    Block *b = blk_new(p, BLK_base, name);
    const char *names[3] = { k1, k2, "v" };

    for (int c = 0; c < 3; c++) {
        const Col k = { .name = names[c], .type = c < 2 ? T_INT : T_REAL };
        VEC_PUSH(&p->c->arena, b->col, b->n_cols, k);
    }
    b->role = BASE_db;
    blk_set_id(p, b, (int[]){ 0, 1 }, 2);
    return b;
}

static void fill_table(Table *t, const char *name, const char *k1, const char *k2, size_t n1, size_t n2)
{
    table_init(t, name, 3, n1 * n2);
    table_add_col(t, 0, k1, T_INT, false);
    table_add_col(t, 1, k2, T_INT, false);
    table_add_col(t, 2, "v", T_REAL, false);
    for (size_t r = 0; r < n1 * n2; r++) {
        t->col[0].i[r] = (int64_t)(r / n2);
        t->col[1].i[r] = (int64_t)(r % n2);
        t->col[2].r[r] = noise(r + n1);
    }
}

static void build_model(Model *m)
{
    Prog *p = &m->p;

    *m = (Model){ .p = { .path = "unit" } };
    p->c = &m->c;
    Arena *a = &m->c.arena;
    m->x = base_block(p, "x", "n", "i");
    m->x->is_data = true;
    m->x->n_batch = 1;
    m->x->batch_key = ARENA_ARRAY(a, const char *, 1);
    m->x->batch_key[0] = "n";
    m->w = base_block(p, "w", "i", "o");
    m->w->is_param = true;
    m->y = blk_new(p, BLK_reduce, "y");
    blk_add_source(p, m->y, m->x, JOIN_inner, NULL);
    blk_add_source(p, m->y, m->w, JOIN_inner, NULL);
    blk_add_where(p, m->y, ex2(a, OP_eq, ex_col(a, m->y, 0, 1), ex_col(a, m->y, 1, 0)));
    blk_add_col(p, m->y, "n", ex_col(a, m->y, 0, 0), AGG_none);
    blk_add_col(p, m->y, "o", ex_col(a, m->y, 1, 1), AGG_none);
    m->y->n_keys = 2;
    blk_add_col(p, m->y, "v", ex2(a, OP_mul, ex_col(a, m->y, 0, 2), ex_col(a, m->y, 1, 2)), AGG_sum);
    m->z = blk_new(p, BLK_reduce, "z");
    blk_add_source(p, m->z, m->y, JOIN_inner, NULL);
    blk_add_where(p, m->z, ex2(a, OP_gt, ex_col(a, m->z, 0, 2), ex_real(a, 0)));
    blk_add_col(p, m->z, "o", ex_col(a, m->z, 0, 1), AGG_none);
    m->z->n_keys = 1;
    blk_add_col(p, m->z, "v", ex_col(a, m->z, 0, 2), AGG_sum);
    blk_add_col(p, m->z, "k", NULL, AGG_count);
    prog_analyse(p);
    fill_table(&m->xt, "x", "n", "i", N, I);
    fill_table(&m->wt, "w", "i", "o", I, O);
}

static double plain_y(const Model *m, int64_t n, int64_t o)
{
    double sum = 0;

    for (int64_t i = 0; i < I; i++)
        sum += m->xt.col[2].r[n * I + i] * m->wt.col[2].r[i * O + o];
    return sum;
}

/* z against a plain loop over the batch's keys; rows with nothing above 0 are not there. */
static bool z_agrees(const Model *m, const Table *z, const int64_t *key, size_t n)
{
    size_t row = 0;

    for (int64_t o = 0; o < O; o++) {
        double sum = 0;
        int64_t count = 0;
        for (size_t k = 0; k < n; k++)
            if (key[k] < N && plain_y(m, key[k], o) > 0) {
                sum += plain_y(m, key[k], o);
                count++;
            }
        if (count == 0)
            continue;
        if (row >= z->n_rows || z->col[0].i[row] != o || z->col[2].i[row] != count || fabs(z->col[1].r[row] - sum) > 1e-12)
            return false;
        row++;
    }
    return row == z->n_rows;
}

static void run_batch(Model *m, Engine *g, const int64_t *key, size_t n)
{
    Table keys, z = { 0 };
    Err e = { 0 };

    table_init(&keys, "batch", 1, n);
    table_add_col(&keys, 0, "n", T_INT, false);
    for (size_t k = 0; k < n; k++)
        keys.col[0].i[k] = key[k];
    CHECK(g->ops->batch(g, &keys, &e) == OK);
    table_free(&keys);
    CHECK(g->ops->run(g, &m->z, 1, true, &e) == OK);
    if (g->ops->fetch(g, m->z, false, &z, &e) == OK)
        CHECK(z_agrees(m, &z, key, n));
    CHECK_STR(e.msg, "");
    CHECK(!g->ops->nonfinite(g));
    table_free(&z);
}

static void batches(void)
{
    const int64_t a[] = { 0, 1, 2, 3 }, b[] = { 8, 2, 5, 7 }, one[] = { 6 }, absent[] = { 4, 77, 8 };
    const int64_t all[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };
    Model m;
    Engine *g = NULL;
    Err e = { 0 };

    build_model(&m);
    CHECK(engine_native.open(&g, &m.p, &(EngineOpts){ .f64 = true, .threads = 2 }, &e) == OK);
    CHECK(g->ops->bind(g, m.x, &m.xt, &e) == OK && g->ops->bind(g, m.w, &m.wt, &e) == OK);
    run_batch(&m, g, a, 4);
    run_batch(&m, g, b, 4);
    run_batch(&m, g, one, 1);
    run_batch(&m, g, absent, 3);
    run_batch(&m, g, absent + 1, 1);
    run_batch(&m, g, all, 9);
    m.wt.col[2].r[4] = 3.5;                     /* the parameters move */
    CHECK(g->ops->bind(g, m.w, &m.wt, &e) == OK);
    run_batch(&m, g, b, 4);
    m.wt.col[2].r[0] = (double)INFINITY;
    CHECK(g->ops->bind(g, m.w, &m.wt, &e) == OK && g->ops->run(g, &m.z, 1, true, &e) == OK);
    CHECK(g->ops->nonfinite(g) == m.w);
    g->ops->close(g);
    table_free(&m.xt);
    table_free(&m.wt);
    compile_free(&m.c);
}

static void limits(void)
{
    Model m;
    Engine *g = NULL;
    Err e = { 0 };
    volatile int stop = 1;

    build_model(&m);
    CHECK(engine_native.open(&g, &m.p, &(EngineOpts){ .f64 = true, .mem_limit = 600 }, &e) == OK);
    CHECK(g->ops->bind(g, m.x, &m.xt, &e) == OK && g->ops->bind(g, m.w, &m.wt, &e) == OK);
    CHECK(g->ops->run(g, &m.z, 1, true, &e) == E_ENV && e.id == ERR_native_memory);
    g->ops->close(g);
    e = (Err){ 0 };
    CHECK(engine_native.open(&g, &m.p, &(EngineOpts){ .stop = &stop }, &e) == OK);
    CHECK(g->ops->bind(g, m.x, &m.xt, &e) == OK && g->ops->bind(g, m.w, &m.wt, &e) == OK);
    CHECK(g->ops->run(g, &m.z, 1, true, &e) == E_STOPPED);
    g->ops->close(g);
    e = (Err){ 0 };
    CHECK(engine_native.open(&g, &m.p, &(EngineOpts){ 0 }, &e) == OK);
    CHECK(g->ops->bind(g, m.w, &m.xt, &e) == E_INPUT && e.id == ERR_native_table);
    g->ops->close(g);
    table_free(&m.xt);
    table_free(&m.wt);
    compile_free(&m.c);
}

TEST_MAIN({ "products", products }, { "operators", operators }, { "integers", integers }, { "reals_as_keys", reals_as_keys },
          { "orders", orders }, { "texts", texts }, { "batches", batches }, { "limits", limits })
