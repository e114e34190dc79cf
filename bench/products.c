/* SPDX-License-Identifier: Apache-2.0
 *
 * products.c - products of matrices: the nests that the loop compiler makes of them, beside OpenBLAS, in one thread.
 * `products [--loops | --schedules] [NAME]…` prints GFLOP/s of each product, the best of many short turns that alternate between all
 * sides, so that other work on the machine hardly shows; NAME keeps the products whose names begin with it.  --loops
 * prints the nests, too; --schedules measures all schedules that the model ranks first.
 *
 * A product is C(M, N) = the sum over K of A * B.  Nests have it in the three forms that models give it: over plain
 * arrays, with M along the lanes (a batch), and with K over the lanes (a weight's gradient).  OpenBLAS has all of them
 * over plain arrays, with the transposes that the nests' layouts have.
 *
 * OpenBLAS chooses its kernels when it is loaded, by the CPU or OPENBLAS_CORETYPE: one copy of it is loaded for each. */
#define _GNU_SOURCE
#include "exec/cc.h"
#include "exec/native.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TURNS = 15, MOST_CORES = 5, MOST_FNS = 8, ROW_MAJOR = 101, PLAIN = 111, TRANS = 112 };
#define TURN_SECONDS 0.004

typedef void Sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                   int ldb, float beta, float *c, int ldc);
typedef void Dgemm(int order, int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda,
                   const double *b, int ldb, double beta, double *c, int ldc);

typedef struct Blas { char core[32]; Sgemm *s; Dgemm *d; } Blas;

/* form: 'r' plain arrays, 'l' M is lanes x rest, 'o' K is lanes x rest.  ta, tb: A is stored (K, M), B as (N, K). */
typedef struct Product { const char *name; int64_t m, k, n; char form; int64_t lanes; bool ta, tb; } Product;

static const Product products[] = {
    { "mlp forward",             128, 784, 512, 'l', 128, false, true },
    { "mlp gradient of weights", 512, 128, 784, 'o', 128, true, false },
    { "mlp gradient of inputs",  128, 512, 784, 'l', 128, false, false },
    { "gpt up",                  1024, 128, 512, 'l', 16, false, true },
    { "gpt up, of weights",      512, 1024, 128, 'o', 16, true, false },
    { "gpt up, of inputs",       1024, 512, 128, 'l', 16, false, false },
    { "gpt down",                1024, 512, 128, 'l', 16, false, true },
    { "gpt down, of weights",    128, 1024, 512, 'o', 16, true, false },
    { "gpt down, of inputs",     1024, 128, 512, 'l', 16, false, false },
    { "gpt head",                1024, 128, 128, 'l', 16, false, true },
    { "gpt head, of weights",    128, 1024, 128, 'o', 16, true, false },
    { "gpt head, of inputs",     1024, 128, 128, 'l', 16, false, false },
    { "gcn large",               169343, 128, 256, 'r', 0, false, false },
    { "gcn large, of weights",   128, 169343, 256, 'r', 0, true, false },
    { "gcn large, of inputs",    169343, 256, 128, 'r', 0, false, true },
    { "rows nn",                 1024, 512, 512, 'r', 0, false, false },
    { "rows nt",                 1024, 512, 512, 'r', 0, false, true },
    { "rows tn",                 512, 1024, 512, 'r', 0, true, false },
    { "square 1000",             1000, 1000, 1000, 'r', 0, false, false },
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- OpenBLAS ---- */

static void *find(void *lib, const char *name)
{
    return lib ? dlsym(lib, name) : NULL;
}

/* In a namespace of its own, so that its choice is made once more. */
static bool load_blas(Blas *b, const char *core)
{
    if (core)
        setenv("OPENBLAS_CORETYPE", core, 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    void *lib = dlmopen(LM_ID_NEWLM, "libopenblas.so.0", RTLD_NOW), *s = find(lib, "cblas_sgemm"), *d = find(lib, "cblas_dgemm"),
         *one = find(lib, "openblas_set_num_threads"), *name = find(lib, "openblas_get_corename");
    void (*set_threads)(int);
    char *(*get_name)(void);

    if (!s || !d || !one || !name)
        return false;
    memcpy(&b->s, &s, sizeof s);                /* a function's address, as POSIX allows and ISO C does not write */
    memcpy(&b->d, &d, sizeof d);
    memcpy(&set_threads, &one, sizeof one);
    memcpy(&get_name, &name, sizeof name);
    set_threads(1);
    snprintf(b->core, sizeof b->core, "%s", get_name());
    return true;
}

/* As it chooses by itself, and each kind of kernel that the CPU can run. */
static int load_all(Blas *b)
{
    int n = load_blas(&b[0], getenv("OPENBLAS_CORETYPE"));

    if (n && __builtin_cpu_supports("avx2"))
        n += load_blas(&b[n], "Haswell");
    if (n && __builtin_cpu_supports("avx2"))
        n += load_blas(&b[n], "Zen");
    if (n && __builtin_cpu_supports("avx512f"))
        n += load_blas(&b[n], "SkylakeX");
    return n;
}

/* ---- nests ---- */

/* fn: of each schedule that the model ranks first. */
typedef struct Side {
    const Product *s; Nest n; Target t;
    NestFn *fn[MOST_FNS]; int n_fns;
    void *p[3], *a, *b, *c;
    size_t size[3];
} Side;

static Arena arena;

static void loop(Nest *n, int64_t extent)
{
    n->loop[n->n_loops++] = (NestLoop){ .max = extent - 1, .box = true };
}

static Expr *load(Nest *n, OperandKind kind, int buf, Affine at)
{
    Expr *e = ex_new(&arena, OP_col, T_REAL, 0, NULL);

    e->src = 0;
    e->col = n->n_opds;
    VEC_PUSH(&arena, n->opd, n->n_opds, ((Operand){ kind, buf, at }));
    return e;
}

/* A, B, C over loops with these factors. */
static void add_product(Nest *n, const size_t rows[3], const bool lanes[3], const Affine at[3])
{
    Expr *f[2];

    for (int k = 0; k < 3; k++)
        VEC_PUSH(&arena, n->buf, n->n_bufs, ((NestBuf){ .lanes = lanes[k], .rows = rows[k], .written = k == 2 }));
    for (int k = 0; k < 2; k++)
        f[k] = load(n, OPD_load, k, at[k]);
    VEC_PUSH(&arena, n->agg, n->n_aggs, ((NestAgg){ .op = AGG_sum, .e = ex_exprs(&arena, OP_mul, f, 2) }));
    VEC_PUSH(&arena, n->store, n->n_stores, ((NestStore){ 2, at[2], load(n, OPD_agg, 0, (Affine){ 0 }) }));
}

/* Loops: i < rest of M, j < N, k < K, or of sums over the lanes i < M, j < N, k < rest of K. */
static void make_nest(Nest *n, const Product *s, int id)
{
    const bool over = s->form == 'o', lanes = s->form != 'r';
    const int64_t m = s->form == 'l' ? s->m / s->lanes : s->m, k = over ? s->k / s->lanes : s->k;
    const size_t rows[3] = { (size_t)(m * k), (size_t)(k * s->n), (size_t)(m * s->n) };
    const Affine at[3] = { { .k = { s->ta ? 1 : k, 0, s->ta ? m : 1 } }, { .k = { 0, s->tb ? k : 1, s->tb ? 1 : s->n } },
                           { .k = { s->n, 1, 0 } } };

    *n = (Nest){ .id = id, .code = id, .lanes = lanes, .sum_lanes = over, .split = lanes ? -1 : 0, .n_out = 2 };
    loop(n, m);
    loop(n, s->n);
    loop(n, k);
    add_product(n, rows, (bool[3]){ lanes, over, lanes && !over }, at);
}

static void *make_array(size_t n, bool f64)
{
    char *p = aligned_alloc(64, (n * 8 + 3 * NEST_SLACK) / 64 * 64);

    if (!p) {
        fprintf(stderr, "products: out of memory\n");
        exit(3);
    }
    memset(p, 0, n * 8 + 2 * NEST_SLACK);
    for (size_t k = 0; k < n; k++)
        if (f64)
            ((double *)(p + NEST_SLACK))[k] = (double)(k * 7 % 31) / 16 - 1;
        else
            ((float *)(p + NEST_SLACK))[k] = (float)(k * 7 % 31) / 16 - 1;
    return p + NEST_SLACK;
}

/* Element (row, lane) of what has lanes, from plain (lane x rest, rest): lanes are the slowest part. */
static void to_blocks(const Side *d, const char *from, char *to, size_t rows, int64_t lanes)
{
    const size_t esz = d->t.f64 ? 8 : 4, B = (size_t)d->t.B;

    for (size_t l = 0; l < (size_t)lanes; l++)
        for (size_t r = 0; r < rows; r++)
            memcpy(to + ((l / B * rows + r) * B + l % B) * esz, from + (l * rows + r) * esz, esz);
}

static void make_side(Side *d)
{
    const Product *s = d->s;
    const size_t size[3] = { (size_t)(s->m * s->k), (size_t)(s->k * s->n), (size_t)(s->m * s->n) };

    void **plain[3] = { &d->a, &d->b, &d->c };
    for (int k = 0; k < 3; k++) {
        *plain[k] = make_array(size[k], d->t.f64);
        d->p[k] = make_array(size[k], d->t.f64);
        d->size[k] = size[k];
        if (k < 2 && d->n.buf[k].lanes)
            to_blocks(d, *plain[k], d->p[k], d->n.buf[k].rows, s->lanes);
    }
}

static void free_side(Side *d)
{
    void *p[6] = { d->p[0], d->p[1], d->p[2], d->a, d->b, d->c };

    for (int k = 0; k < 6; k++)
        free((char *)p[k] - NEST_SLACK);
}

static void run_nest(const Side *d, NestFn *fn)
{
    const Product *s = d->s;
    const int64_t blocks = (s->lanes + d->t.B - 1) / d->t.B, step = blocks > 1 ? blocks / 2 : 1;

    if (s->form == 'r')
        fn(d->p, 0, d->n.loop[d->n.split].max + 1, 1, 0);
    for (int64_t b = 0; b < blocks; b += step)
        fn(d->p, b, b + step < blocks ? b + step : blocks, s->lanes, s->form == 'o' && b > 0);
}

static void run_blas(const Side *d, const Blas *b)
{
    const Product *s = d->s;
    const int m = (int)s->m, n = (int)s->n, k = (int)s->k, ta = s->ta ? TRANS : PLAIN, tb = s->tb ? TRANS : PLAIN;
    const int lda = s->ta ? m : k, ldb = s->tb ? k : n;

    if (d->t.f64)
        b->d(ROW_MAJOR, ta, tb, m, n, k, 1, d->a, lda, d->b, ldb, 0, d->c, n);
    else
        b->s(ROW_MAJOR, ta, tb, m, n, k, 1, d->a, lda, d->b, ldb, 0, d->c, n);
}

/* ---- measuring ---- */

static double number(const Side *d, const void *p, size_t k)
{
    return d->t.f64 ? ((const double *)p)[k] : (double)((const float *)p)[k];
}

/* How far the two results are apart, of the largest number. */
static double apart(const Side *d)
{
    double most = 0, worst = 0;
    void *c = d->p[2], *moved = NULL;

    if (d->s->form == 'l') {
        moved = make_array(d->size[2], d->t.f64);
        to_blocks(d, d->c, moved, d->n.buf[2].rows, d->s->lanes);
    }
    for (size_t k = 0; k < d->size[2]; k++) {
        const double x = number(d, c, k), y = number(d, moved ? moved : d->c, k);
        worst = fmax(worst, fabs(x - y));
        most = fmax(most, fabs(y));
    }
    if (moved)
        free((char *)moved - NEST_SLACK);
    return worst / most;
}

/* Seconds of one product, in a turn that is long enough to tell; side k: OpenBLAS's, then the nest's schedules. */
static double one_turn(const Side *d, const Blas *blas, int n_blas, int k)
{
    const double began = now();
    int times = 0;

    do {
        if (k < n_blas)
            run_blas(d, &blas[k]);
        else
            run_nest(d, d->fn[k - n_blas]);
        times++;
    } while (now() - began < TURN_SECONDS);
    return (now() - began) / times;
}

static void measure(const Side *d, const Blas *blas, int n_blas)
{
    double best[MOST_CORES + MOST_FNS];
    const double gflop = 2e-9 * (double)d->s->m * (double)d->s->n * (double)d->s->k;

    for (int k = 0; k < n_blas + d->n_fns; k++)
        best[k] = INFINITY;
    for (int turn = 0; turn < TURNS; turn++)
        for (int k = 0; k < n_blas + d->n_fns; k++)
            best[k] = fmin(best[k], one_turn(d, blas, n_blas, k));
    printf("%-24s %s %6lld %6lld %6lld %8.1f", d->s->name, d->t.f64 ? "f64" : "f32", (long long)d->s->m, (long long)d->s->k,
           (long long)d->s->n, gflop / best[n_blas]);
    for (int k = 0; k < n_blas; k++)
        printf(" %10.1f", gflop / best[k]);
    for (int k = 1; k < d->n_fns; k++)
        printf("%s%.1f", k > 1 ? " " : "   others: ", gflop / best[n_blas + k]);
    if (n_blas && apart(d) > (d->t.f64 ? 1e-12 : 1e-4))
        printf("  the results differ by %g", apart(d));
    printf("\n");
    fflush(stdout);
}

static void print_loops(const Nest *n)
{
    Buf b = { 0 };

    nest_listing(&b, n);
    fputs(b.s, stdout);
    buf_free(&b);
}

/* As the engine makes it. */
static Target target(const Product *s, bool f64)
{
    const int bytes = (int)kern_vector_bytes(), W = bytes / (f64 ? 8 : 4);
    const int64_t blocks = (s->lanes + W - 1) / W;

    return (Target){ .f64 = f64, .W = W, .B = W, .regs = bytes == 64 ? 32 : 16, .blocks = blocks > 1 ? (int)(blocks / 2) : 1 };
}

static bool compile(Side *d, bool list, int most)
{
    Schedule sched[MOST_FNS];
    Buf text = { 0 };
    Err e = { 0 };
    CcLib lib;

    nest_schedule(&d->n, &d->t);
    d->n_fns = nest_candidates(&d->n, &d->t, sched, most);
    nest_prelude(&text, &d->t);
    for (int k = 0; k < d->n_fns; k++) {
        d->n.code = k;
        d->n.sched = sched[k];
        nest_text(&text, &d->n, &d->t);
        if (list)
            print_loops(&d->n);
    }
    const bool ok = cc_load(&lib, text.s, &(CcOpts){ 0 }, &e) == OK;
    for (int k = 0; ok && k < d->n_fns; k++) {
        Buf name = { 0 };
        d->n.code = k;
        nest_name(&name, &d->n, &d->t);
        void *fn = cc_symbol(&lib, name.s);
        memcpy(&d->fn[k], &fn, sizeof fn);
        buf_free(&name);
    }
    if (!ok)
        fprintf(stderr, "products: %s\n", e.msg);
    buf_free(&text);
    return ok;
}

static bool is_asked(const char *name, char **word, int n)
{
    for (int k = 0; k < n; k++)
        if (!strncmp(name, word[k], strlen(word[k])))
            return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    static Blas blas[MOST_CORES];
    const bool all = argc > 1 && !strcmp(argv[1], "--schedules"), list = all || (argc > 1 && !strcmp(argv[1], "--loops"));
    const int n_blas = load_all(blas);

    argv += 1 + list;
    argc -= 1 + list;
    printf("%-28s %6s %6s %6s %8s", "", "M", "K", "N", "nest");
    for (int k = 0; k < n_blas; k++)
        printf(" %10s", k ? blas[k].core : "OpenBLAS");
    printf(n_blas ? "     (it chose %s)\n" : "     (no OpenBLAS)\n", blas[0].core);
    for (size_t k = 0; k < COUNT_OF(products); k++)
        for (int f64 = 0; is_asked(products[k].name, argv, argc) && f64 < 2; f64++) {
            Side d = { .s = &products[k], .t = target(&products[k], f64) };
            make_nest(&d.n, d.s, (int)k);
            if (!nest_can(&d.n) || !compile(&d, list, all ? MOST_FNS : 1))
                return 3;
            make_side(&d);
            measure(&d, blas, n_blas);
            free_side(&d);
        }
    arena_free(&arena);
    return 0;
}
