/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled nests against a naive interpreter that follows the definition in lower/nest.h word for word: nests of the
 * kinds that models are made of, and random ones.  All nests of one target are compiled as one file.
 *
 * Numbers are small multiples of 1/8, and what jumps (comparisons, floor, winners) is only fed with what every
 * precision computes exactly; so any difference beyond rounding is a fault.  Buffers start poisoned, and the slack
 * behind them holds NaN.  Other schedules that the model ranks first give the same bits. */
#include "unit.h"

#include "exec/cc.h"
#include "lower/nest.h"

#include <stdlib.h>

enum { MOST_SCHEDULES = 4, NEXT_CODE = 10000, MAX_BUFS = 8, SLACK = NEST_SLACK };

typedef struct Case {
    Nest n;
    int n_lanes;                        /* 1 without lanes */
    int64_t end;                        /* of the split loop's iterations */
    bool odd;                           /* inputs hold infinities and NaN */
    Schedule sched[MOST_SCHEDULES]; int n_scheds;
    double *in[MAX_BUFS], *want[MAX_BUFS];      /* row * n_lanes + lane */
    double *size[MAX_BUFS];             /* of what was added up: a measure for rounding */
    bool *set[MAX_BUFS];
} Case;

static Arena arena;
static uint64_t seed;
static double rough;                    /* inputs are so much larger */
static int compared;                    /* schedules whose bits were compared with those of the first */

static int64_t draw(int64_t lo, int64_t hi)
{
    seed += 0x9e3779b97f4a7c15ull;
    return lo + (int64_t)(hash_u64(seed) % (uint64_t)(hi - lo + 1));
}

/* ---- building nests ---- */

static Affine aff(int64_t c, int n, ...)
{
    Affine a = { .c = c };
    va_list ap;

    va_start(ap, n);
    for (int k = 0; k < n; k++)
        a.k[k] = va_arg(ap, int);
    va_end(ap);
    return a;
}

static void box(Nest *n, int64_t min, int64_t max)
{
    n->loop[n->n_loops++] = (NestLoop){ .min = min, .max = max, .box = true };
}

static void bounded(Nest *n, int64_t min, int64_t max, Bound lo, Bound hi)
{
    NestLoop l = { .min = min, .max = max };

    VEC_PUSH(&arena, l.lo, l.n_lo, lo);
    VEC_PUSH(&arena, l.hi, l.n_hi, hi);
    VEC_PUSH(&arena, l.lo, l.n_lo, ((Bound){ aff(min, 0), 1 }));
    VEC_PUSH(&arena, l.hi, l.n_hi, ((Bound){ aff(max, 0), 1 }));
    n->loop[n->n_loops++] = l;
}

static int buffer(Nest *n, bool lanes, size_t rows)
{
    VEC_PUSH(&arena, n->buf, n->n_bufs, ((NestBuf){ .lanes = lanes, .rows = rows }));
    return n->n_bufs - 1;
}

static Expr *opd(Nest *n, OperandKind kind, int index, Affine at)
{
    Expr *e = ex_new(&arena, OP_col, kind == OPD_key ? T_INT : T_REAL, 0, NULL);

    e->src = 0;
    e->col = n->n_opds;
    VEC_PUSH(&arena, n->opd, n->n_opds, ((Operand){ kind, index, at }));
    return e;
}

static Expr *ld_of(Nest *n, int buf, Affine at)
{
    return opd(n, OPD_load, buf, at);
}

static Expr *agg_of(Nest *n, int k)
{
    return opd(n, OPD_agg, k, (Affine){ 0 });
}

static Expr *op1(Op op, Expr *x)
{
    return ex1(&arena, op, x);
}

static Expr *op2(Op op, Expr *x, Expr *y)
{
    return ex2(&arena, op, x, y);
}

static Expr *cond(Expr *c, Expr *x, Expr *y)
{
    return ex_exprs(&arena, OP_cond, (Expr *[]){ c, x, y }, 3);
}

static Expr *num(double x)
{
    return ex_real(&arena, x);
}

static void agg(Nest *n, Agg op, Expr *e)
{
    VEC_PUSH(&arena, n->agg, n->n_aggs, ((NestAgg){ .op = op, .e = e }));
}

static void store(Nest *n, int buf, Affine at, Expr *e)
{
    n->buf[buf].written = true;
    VEC_PUSH(&arena, n->store, n->n_stores, ((NestStore){ buf, at, e }));
}

static Case *new_case(int id, int n_lanes)
{
    Case *c = ARENA_NEW(&arena, Case);

    c->n = (Nest){ .id = id, .code = id, .split = -1, .lanes = n_lanes > 0 };
    c->n_lanes = n_lanes > 0 ? n_lanes : 1;
    return c;
}

/* ---- the interpreter ---- */

typedef struct At { Case *c; int64_t x[MAX_LOOPS]; int lane; double acc[16], place[16], size; bool any[16]; } At;

static int64_t value_at(const At *at, const Affine *a)
{
    int64_t r = a->c;

    for (int l = 0; l < at->c->n.n_loops; l++)
        r += a->k[l] * at->x[l];
    return r;
}

static Value get_operand(void *arg, const Expr *col)
{
    const At *at = arg;
    const Operand *o = &at->c->n.opd[col->col];
    const NestBuf *b = &at->c->n.buf[o->kind == OPD_load ? o->index : 0];

    if (o->kind == OPD_key)
        return (Value){ .type = T_INT, .i = value_at(at, &o->at) };
    if (o->kind != OPD_load)
        return (Value){ .type = T_REAL, .r = (o->kind == OPD_agg ? at->acc : at->place)[o->index] };
    return (Value){ .type = T_REAL, .r = at->c->in[o->index][b->lanes ? value_at(at, &o->at) * at->c->n_lanes + at->lane
                                                                      : value_at(at, &o->at)] };
}

static void aggregate(At *at)
{
    const Nest *n = &at->c->n;

    for (int k = 0; k < n->n_aggs; k++) {
        const NestAgg *a = &n->agg[k];
        const double v = ex_eval(a->e, get_operand, at).r, old = at->acc[k];
        const bool wins = !at->any[k] || (!isnan(old) && (isnan(v) || (a->op == AGG_max ? v > old : v < old)));
        if (a->op == AGG_sum) {
            at->acc[k] += v;
            at->size += fabs(v);
        } else if (wins) {
            at->acc[k] = v;
            at->place[k] = a->keep_place ? (double)value_at(at, &a->place) : 0;
        }
        at->any[k] = true;
    }
}

static int64_t bound_of(const At *at, const Bound *b, int n, bool low)
{
    int64_t r = 0;

    for (int k = 0; k < n; k++) {
        const int64_t e = value_at(at, &b[k].e), d = b[k].d;
        const int64_t q = low ? e / d + (e % d > 0) : e / d - (e % d < 0);
        r = k == 0 || (low ? q > r : q < r) ? q : r;
    }
    return r;
}

static void stores_of(At *at, int lane)
{
    Case *c = at->c;

    for (int k = 0; k < c->n.n_stores; k++) {
        const NestStore *s = &c->n.store[k];
        const int64_t row = value_at(at, &s->at), i = c->n.buf[s->buf].lanes ? row * c->n_lanes + lane : row;
        c->want[s->buf][i] = ex_eval(s->e, get_operand, at).r;
        c->size[s->buf][i] = at->size;
        c->set[s->buf][i] = true;
    }
}

/* The loops from l on; lanes are inside the output loops, and inside the reductions where they are summed. */
static void interpret(At *at, int l)
{
    const Nest *n = &at->c->n;

    if (l == n->n_out && at->lane < 0) {
        for (int k = 0; k < n->n_aggs; k++) {
            at->acc[k] = n->agg[k].op == AGG_sum ? 0 : n->agg[k].op == AGG_max ? -INFINITY : INFINITY;
            at->any[k] = false;
            at->place[k] = 0;
        }
        at->size = 0;
        for (int lane = 0; lane < at->c->n_lanes; lane++) {
            At one = *at;
            one.lane = lane;
            interpret(&one, l);
            if (n->sum_lanes) {
                memcpy(at->acc, one.acc, sizeof at->acc);
                at->size = one.size;
            } else {
                stores_of(&one, lane);
            }
        }
        if (n->sum_lanes)
            stores_of(at, 0);
        return;
    }
    if (l == n->n_loops) {
        aggregate(at);
        return;
    }
    const NestLoop *p = &n->loop[l];
    const int64_t lo = p->box ? p->min : bound_of(at, p->lo, p->n_lo, true);
    const int64_t hi = p->box ? p->max : bound_of(at, p->hi, p->n_hi, false);
    for (int64_t x = lo; x <= hi; x++) {
        at->x[l] = x;
        interpret(at, l + 1);
    }
}

static void make_want(Case *c)
{
    static const double odd[] = { NAN, INFINITY, -INFINITY, -0.0 };
    At at = { .c = c, .lane = -1 };

    for (int k = 0; k < c->n.n_bufs; k++) {
        const size_t size = c->n.buf[k].rows * (size_t)(c->n.buf[k].lanes ? c->n_lanes : 1);
        c->in[k] = ARENA_ARRAY(&arena, double, size + 1);
        c->want[k] = ARENA_ARRAY(&arena, double, size + 1);
        c->size[k] = ARENA_ARRAY(&arena, double, size + 1);
        c->set[k] = ARENA_ARRAY(&arena, bool, size + 1);
        for (size_t i = 0; i < size; i++)
            c->in[k][i] = c->odd && draw(0, 7) == 0 ? odd[draw(0, COUNT_OF(odd) - 1)] : (double)draw(-16, 16) / 8;
    }
    if (c->n.split >= 0)
        c->end = c->n.loop[c->n.split].max - c->n.loop[c->n.split].min + 1;
    interpret(&at, 0);
}

/* ---- running the compiled function ---- */

static void put_real(void *p, size_t i, double x, bool f64)
{
    if (f64)
        ((double *)p)[i] = x;
    else
        ((float *)p)[i] = (float)x;
}

static double get_real(const void *p, size_t i, bool f64)
{
    return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static size_t place_of(const Case *c, int buf, size_t row, size_t lane, size_t W)
{
    return c->n.buf[buf].lanes ? (lane / W * c->n.buf[buf].rows + row) * W + lane % W : row;
}

static size_t numbers(const Case *c, int buf, size_t W)
{
    const NestBuf *b = &c->n.buf[buf];
    return b->rows * (b->lanes ? ((size_t)c->n_lanes + W - 1) / W * W : 1);
}

/* The buffers as the function takes them. */
static void lay_out(const Case *c, const Target *t, void **p)
{
    const size_t esz = t->f64 ? 8 : 4, W = (size_t)t->B;

    for (int k = 0; k < c->n.n_bufs; k++) {
        const NestBuf *b = &c->n.buf[k];
        const size_t size = numbers(c, k, W);
        p[k] = mem_try(size * esz + 2 * SLACK);
        for (size_t i = 0; i < SLACK / esz; i++)
            put_real(p[k], i, NAN, t->f64);
        p[k] = (char *)p[k] + SLACK;
        for (size_t i = 0; i < SLACK / esz; i++)
            put_real(p[k], size + i, NAN, t->f64);
        for (size_t i = 0; i < size; i++)
            put_real(p[k], i, b->written ? 1e9 : 0, t->f64);
        for (size_t row = 0; row < b->rows; row++)
            for (size_t lane = 0; lane < (b->lanes ? (size_t)c->n_lanes : 1); lane++)
                if (!b->written)
                    put_real(p[k], place_of(c, k, row, lane, W),
                             c->in[k][b->lanes ? row * (size_t)c->n_lanes + lane : row] * (1 + rough), t->f64);
    }
}

static void call_in_parts(Case *c, const Target *t, NestFn *f, void *const *p)
{
    const int64_t n = c->n.lanes ? (c->n_lanes + t->B - 1) / t->B : c->n.split >= 0 ? c->end : 1;
    const int64_t at[] = { 0, n > 1 ? n / 3 : 0, n > 2 ? n - n / 3 : n, n };

    if (c->n.split < 0 && !c->n.lanes) {
        f(p, 0, 1, 1, 0);
        return;
    }
    bool first = true;
    for (int k = 0; k < 3; k++)
        if (at[k] < at[k + 1] || (k == 2 && first)) {
            f(p, at[k], at[k + 1], c->n_lanes, !first);
            first = false;
        }
}

static double worst(const Case *c, const Target *t, void *const *p)
{
    double bad = 0;

    for (int k = 0; k < c->n.n_bufs; k++) {
        const NestBuf *b = &c->n.buf[k];
        const size_t L = b->lanes ? (size_t)c->n_lanes : 1, W = (size_t)t->B;
        for (size_t row = 0; b->written && row < b->rows; row++)
            for (size_t lane = 0; lane < (b->lanes ? (L + W - 1) / W * W : 1); lane++) {
                const double got = get_real(p[k], place_of(c, k, row, lane, W), t->f64);
                const bool set = lane < L ? c->set[k][row * L + lane] : c->set[k][row * L];
                const double want = !set ? 1e9 : lane < L ? c->want[k][row * L + lane] : 0;
                const double off = isnan(want) || isnan(got) || isinf(want) || isinf(got)
                                 ? (isnan(want) && isnan(got)) || want == got ? 0 : 1e30
                                 : fabs(want - got) / (1 + fabs(want) + (set && lane < L ? c->size[k][row * L + lane] : 0));
                bad = off > bad ? off : bad;
            }
    }
    return bad;
}

static NestFn *fn_of(Case *c, const Target *t, const CcLib *lib, int schedule, Buf *name)
{
    NestFn *f;

    c->n.code = c->n.id + schedule * NEXT_CODE;
    nest_name(name, &c->n, t);
    c->n.code = c->n.id;
    void *sym = cc_symbol(lib, name->s);
    memcpy(&f, &sym, sizeof f);
    return f;
}

/* On numbers whose sums are rounded. */
static bool run_rough(Case *c, const Target *t, const CcLib *lib, int schedule, void **p)
{
    Buf name = { 0 };
    NestFn *f = fn_of(c, t, lib, schedule, &name);

    rough = 0.1;
    lay_out(c, t, p);
    rough = 0;
    if (f)
        call_in_parts(c, t, f, p);
    buf_free(&name);
    return f != NULL;
}

static void check_bits(Case *c, const Target *t, const CcLib *lib, int schedule)
{
    void *p[MAX_BUFS] = { 0 }, *want[MAX_BUFS] = { 0 };
    bool same = run_rough(c, t, lib, 0, want) && run_rough(c, t, lib, schedule, p);

    for (int k = 0; k < c->n.n_bufs; k++) {
        same = same && !memcmp(p[k], want[k], numbers(c, k, (size_t)t->B) * (t->f64 ? 8 : 4));
        mem_free((char *)p[k] - SLACK);
        mem_free((char *)want[k] - SLACK);
    }
    if (!same) {
        char why[100];
        snprintf(why, sizeof why, " of nest %d, schedule %d, W = %d, B = %d, %s", c->n.id, schedule, t->W, t->B,
                 t->f64 ? "double" : "float");
        unit_wrong(__LINE__, "other bits", why);
    }
    compared++;
}

static void check_case(Case *c, const Target *t, const CcLib *lib)
{
    Buf name = { 0 };
    void *p[MAX_BUFS] = { 0 };
    NestFn *f = fn_of(c, t, lib, 0, &name);

    lay_out(c, t, p);
    if (f)
        call_in_parts(c, t, f, p);
    for (int k = 1; k < c->n_scheds; k++)
        check_bits(c, t, lib, k);
    const double bad = f ? worst(c, t, p) : 1e30;
    if (bad > (t->f64 ? 1e-12 : 2e-5)) {
        char why[100];
        snprintf(why, sizeof why, " of %s, W = %d, B = %d, %s: off by %g", name.s, t->W, t->B, t->f64 ? "double" : "float", bad);
        unit_wrong(__LINE__, "result", why);
    }
    for (int k = 0; k < c->n.n_bufs; k++)
        mem_free((char *)p[k] - SLACK);
    buf_free(&name);
}

/* Another schedule that gives the same results.  Winners depend on the order, so their reductions stay. */
static void shake(Nest *n)
{
    Schedule *s = &n->sched;

    for (int l = 0; l < n->n_loops; l++) {
        bool bounds = false, places = false;
        for (int m = 0; m < n->n_loops; m++) {
            for (int k = 0; k < n->loop[m].n_lo; k++)
                bounds |= n->loop[m].lo[k].e.k[l] != 0;
            for (int k = 0; k < n->loop[m].n_hi; k++)
                bounds |= n->loop[m].hi[k].e.k[l] != 0;
        }
        for (int k = 0; k < n->n_aggs; k++)
            places |= n->agg[k].keep_place;
        if (l < n->n_out && !bounds)
            s->tile[l] = draw(0, 1) ? 1 : (int)draw(2, 3);
        if (l >= n->n_out && !bounds && !places && s->ways == 1 && l == s->order[n->n_loops - 1])
            s->unroll[l] = (int)draw(1, 3);
    }
    s->lane_tile = n->lanes && !n->sum_lanes ? (int)draw(1, 3) : 1;
    s->lanes_first = n->sum_lanes && draw(0, 1);
}

/* By each of its schedules. */
static void add_texts(Case *c, const Target *t, Buf *text)
{
    const Schedule first = c->n.sched;

    for (int k = 0; k < c->n_scheds; k++) {
        c->n.code = c->n.id + k * NEXT_CODE;
        c->n.sched = k ? c->sched[k] : first;
        nest_text(text, &c->n, t);
    }
    c->n.code = c->n.id;
    c->n.sched = first;
}

/* Compile all cases and check each.  False: there is no compiler. */
static bool run_cases(Case **c, int n, const Target *t, bool shaken)
{
    Buf text = { 0 };
    CcLib lib = { 0 };
    Err e = { 0 };
    const CcOpts o = { .no_cache = true, .keep = getenv("NEST_KEEP") };

    nest_prelude(&text, t);
    for (int k = 0; k < n; k++) {
        make_want(c[k]);
        CHECK(nest_can(&c[k]->n));
        nest_schedule(&c[k]->n, t);
        c[k]->n_scheds = shaken ? 1 : nest_candidates(&c[k]->n, t, c[k]->sched, MOST_SCHEDULES);
        if (shaken)
            shake(&c[k]->n);
        add_texts(c[k], t, &text);
    }
    const Code code = cc_load(&lib, text.s, &o, &e);
    if (code != OK) {
        if (code == E_ENV && e.id == ERR_cc_missing)
            printf("# skipped: %s\n", e.msg);
        else
            unit_wrong(__LINE__, "cc_load", e.msg);
    }
    for (int k = 0; code == OK && k < n; k++)
        check_case(c[k], t, &lib);
    if (code == OK)
        cc_close(&lib);
    buf_free(&text);
    return code == OK;
}

/* ---- nests as models have them ---- */

/* out(oc, y, x) = sum over ic, kr, kc of in(ic, y + kr, x + kc) w(oc, ic, kr, kc) */
static Case *conv_forward(int id, int lanes)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int in = buffer(n, true, 2 * 9 * 9), w = buffer(n, false, 4 * 2 * 25), out = buffer(n, true, 4 * 25);

    box(n, 0, 3), box(n, 0, 4), box(n, 0, 4);
    n->n_out = 3;
    box(n, 0, 1), box(n, 0, 4), box(n, 0, 4);
    agg(n, AGG_sum, op2(OP_mul, ld_of(n, in, aff(0, 6, 0, 9, 1, 81, 9, 1)), ld_of(n, w, aff(0, 6, 50, 0, 0, 25, 5, 1))));
    store(n, out, aff(0, 3, 25, 5, 1), op1(OP_tanh, agg_of(n, 0)));
    return c;
}

/* The gradient by its input, gathered: rows of the window are bounded by the place. */
static Case *conv_by_input(int id, int lanes)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int g = buffer(n, true, 4 * 25), w = buffer(n, false, 4 * 2 * 25), out = buffer(n, true, 2 * 81);

    box(n, 0, 1), box(n, 0, 8), box(n, 0, 8);
    n->n_out = 3;
    box(n, 0, 3);
    bounded(n, 0, 4, (Bound){ aff(-4, 2, 0, 1), 1 }, (Bound){ aff(0, 2, 0, 1), 1 });
    bounded(n, 0, 4, (Bound){ aff(-4, 3, 0, 0, 1), 1 }, (Bound){ aff(0, 3, 0, 0, 1), 1 });
    agg(n, AGG_sum, op2(OP_mul, ld_of(n, g, aff(0, 6, 0, 5, 1, 25, -5, -1)), ld_of(n, w, aff(0, 6, 25, 0, 0, 50, 5, 1))));
    store(n, out, aff(0, 3, 81, 9, 1), agg_of(n, 0));
    return c;
}

static Case *conv_by_weight(int id, int lanes)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int in = buffer(n, true, 2 * 81), g = buffer(n, true, 4 * 25), out = buffer(n, false, 4 * 2 * 25);

    n->sum_lanes = true;
    box(n, 0, 3), box(n, 0, 1), box(n, 0, 4), box(n, 0, 4);
    n->n_out = 4;
    box(n, 0, 4), box(n, 0, 4);
    agg(n, AGG_sum, op2(OP_mul, ld_of(n, g, aff(0, 6, 25, 0, 0, 0, 5, 1)), ld_of(n, in, aff(0, 6, 0, 81, 9, 1, 9, 1))));
    store(n, out, aff(0, 4, 50, 25, 5, 1), agg_of(n, 0));
    return c;
}

/* Every second row of a window that steps by two: bounds and addresses with divisions. */
static Case *strided(int id, int lanes)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int in = buffer(n, lanes > 0, 12), out = buffer(n, lanes > 0, 11);

    box(n, 0, 10);
    n->n_out = 1;
    bounded(n, 0, 5, (Bound){ aff(-5, 1, 1), 2 }, (Bound){ aff(3, 1, 1), 2 });
    agg(n, AGG_sum, op2(OP_mul, ld_of(n, in, aff(1, 2, 0, 2)), num(0.5)));
    store(n, out, aff(0, 1, 1), agg_of(n, 0));
    return c;
}

/* out(i, j) = sum over k of a(i, k) b(k, j), either of which may stand transposed */
static Case *product(int id, int I, int J, int K, bool ta, bool tb)
{
    Case *c = new_case(id, 0);
    Nest *n = &c->n;
    const int a = buffer(n, false, (size_t)(I * K)), b = buffer(n, false, (size_t)(K * J)),
              out = buffer(n, false, (size_t)(I * J));

    box(n, 0, I - 1), box(n, 0, J - 1);
    n->n_out = 2;
    box(n, 0, K - 1);
    agg(n, AGG_sum, op2(OP_mul, ld_of(n, a, ta ? aff(0, 3, 1, 0, I) : aff(0, 3, K, 0, 1)),
                        ld_of(n, b, tb ? aff(0, 3, 0, K, 1) : aff(0, 3, 0, 1, J))));
    store(n, out, aff(0, 2, J, 1), agg_of(n, 0));
    return c;
}

static Case *product_split(int id, int I, int J, int K, int split)
{
    Case *c = product(id, I, J, K, true, false);
    c->n.split = split;
    return c;
}

static Case *product_lanes(int id, int lanes, int J, int K)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int w = buffer(n, false, (size_t)(J * K)), in = buffer(n, true, (size_t)K), out = buffer(n, true, (size_t)J),
              bias = buffer(n, false, (size_t)J);

    box(n, 0, J - 1);
    n->n_out = 1;
    box(n, 0, K - 1);
    agg(n, AGG_sum, op2(OP_mul, ld_of(n, w, aff(0, 2, K, 1)), ld_of(n, in, aff(0, 2, 0, 1))));
    store(n, out, aff(0, 1, 1), op2(OP_add, agg_of(n, 0), ld_of(n, bias, aff(0, 1, 1))));
    return c;
}

static Case *outer_product(int id, int lanes, int J, int K)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int g = buffer(n, true, (size_t)J), in = buffer(n, true, (size_t)K), out = buffer(n, false, (size_t)(J * K));

    n->sum_lanes = true;
    box(n, 0, J - 1), box(n, 0, K - 1);
    n->n_out = 2;
    agg(n, AGG_sum, op2(OP_mul, ld_of(n, g, aff(0, 2, 1, 0)), ld_of(n, in, aff(0, 2, 0, 1))));
    store(n, out, aff(0, 2, K, 1), agg_of(n, 0));
    return c;
}

/* The same, summed over U x T steps whose rows lie far apart. */
static Case *outer_product_steps(int id, int lanes, int J, int K, int U, int T)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int g = buffer(n, true, (size_t)(T * U * J)), in = buffer(n, true, (size_t)(T * U * K)),
              out = buffer(n, false, (size_t)(J * K));

    n->sum_lanes = true;
    box(n, 0, J - 1), box(n, 0, K - 1);
    n->n_out = 2;
    box(n, 0, U - 1), box(n, 2, T + 1);
    agg(n, AGG_sum, op2(OP_mul, ld_of(n, g, aff(-2 * J, 4, 1, 0, T * J, J)), ld_of(n, in, aff(-2 * U * K, 4, 0, 1, K, U * K))));
    store(n, out, aff(0, 2, K, 1), agg_of(n, 0));
    return c;
}

/* The largest of each 2 x 2 window, and which it was. */
static Case *window_max(int id, int lanes)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int in = buffer(n, lanes > 0, 3 * 64), out = buffer(n, lanes > 0, 3 * 16), at = buffer(n, lanes > 0, 3 * 16);

    box(n, 0, 2), box(n, 0, 3), box(n, 0, 3);
    n->n_out = 3;
    box(n, 0, 1), box(n, 0, 1);
    agg(n, AGG_max, ld_of(n, in, aff(0, 5, 64, 16, 2, 8, 1)));
    n->agg[0].keep_place = true;
    n->agg[0].place = aff(0, 5, 0, 0, 0, 2, 1);
    store(n, out, aff(0, 3, 16, 4, 1), ex_exprs(&arena, OP_max, (Expr *[]){ num(0), agg_of(n, 0) }, 2));
    store(n, at, aff(0, 3, 16, 4, 1), opd(n, OPD_place, 0, (Affine){ 0 }));
    return c;
}

static Case *elementwise(int id, int lanes, int rows)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int a = buffer(n, lanes > 0, (size_t)rows), b = buffer(n, false, (size_t)rows),
              out = buffer(n, lanes > 0, (size_t)rows);
    Expr *x = ld_of(n, a, aff(0, 1, 1)), *y = ld_of(n, b, aff(0, 1, 1));

    box(n, 0, rows - 1);
    n->n_out = 1;
    n->split = lanes ? -1 : 0;
    store(n, out, aff(0, 1, 1), cond(op2(OP_gt, x, y), op1(OP_exp, op2(OP_mul, x, y)),
                                     op2(OP_sub, op1(OP_tanh, x), op1(OP_ln, op2(OP_add, op1(OP_abs, y), num(1))))));
    return c;
}

/* Each row's exponentials, shifted by the row's largest number: two sums and their quotient. */
static Case *row_quotient(int id, int lanes, int rows, int n_in)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int in = buffer(n, lanes > 0, (size_t)(rows * n_in)), m = buffer(n, lanes > 0, (size_t)rows),
              out = buffer(n, lanes > 0, (size_t)rows);
    Expr *x = ld_of(n, in, aff(0, 2, n_in, 1));
    Expr *e = op1(OP_exp, op2(OP_sub, x, ld_of(n, m, aff(0, 2, 1, 0))));

    box(n, 0, rows - 1);
    n->n_out = 1;
    box(n, 0, n_in - 1);
    agg(n, AGG_sum, e);
    agg(n, AGG_sum, op2(OP_mul, e, x));
    agg(n, AGG_min, x);
    store(n, out, aff(0, 1, 1), op2(OP_add, op2(OP_div, agg_of(n, 1), agg_of(n, 0)), agg_of(n, 2)));
    return c;
}

/* out(q, d) = sum over k <= q of p(q, k) v(k, d) */
static Case *triangle(int id, int Q, int D, bool transposed)
{
    Case *c = new_case(id, 0);
    Nest *n = &c->n;
    const int p = buffer(n, false, (size_t)(Q * Q)), v = buffer(n, false, (size_t)(Q * D)),
              out = buffer(n, false, (size_t)(Q * D));

    box(n, 0, Q - 1), box(n, 0, D - 1);
    n->n_out = 2;
    bounded(n, 0, Q - 1, (Bound){ aff(0, 0), 1 }, (Bound){ aff(0, 1, 1), 1 });
    agg(n, AGG_sum, op2(OP_mul, ld_of(n, p, aff(0, 3, Q, 0, 1)),
                        ld_of(n, v, transposed ? aff(0, 3, 0, Q, 1) : aff(0, 3, 0, 1, D))));
    store(n, out, transposed ? aff(0, 2, 1, Q) : aff(0, 2, D, 1), agg_of(n, 0));
    return c;
}

/* The smallest of a triangle's rows and where it stands; some rows are empty, and give infinity and place 0. */
static Case *triangle_max(int id, int lanes, int Q)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int p = buffer(n, lanes > 0, (size_t)(Q * Q)), out = buffer(n, lanes > 0, (size_t)Q),
              at = buffer(n, lanes > 0, (size_t)Q);

    box(n, 0, Q - 1);
    n->n_out = 1;
    bounded(n, 0, Q - 1, (Bound){ aff(0, 0), 1 }, (Bound){ aff(-2, 1, 1), 1 });
    agg(n, AGG_min, ld_of(n, p, aff(0, 2, Q, 1)));
    n->agg[0].keep_place = true;
    n->agg[0].place = aff(3, 2, 0, 1);
    store(n, out, aff(0, 1, 1), agg_of(n, 0));
    store(n, at, aff(0, 1, 1), opd(n, OPD_place, 0, (Affine){ 0 }));
    return c;
}

/* One row: no output loop. */
static Case *single(int id, int lanes, bool sum_lanes, int n_in, Agg op)
{
    Case *c = new_case(id, lanes);
    Nest *n = &c->n;
    const int in = buffer(n, lanes > 0, (size_t)n_in), w = buffer(n, false, (size_t)n_in),
              out = buffer(n, lanes > 0 && !sum_lanes, 1);

    n->sum_lanes = sum_lanes;
    if (n_in > 1)
        box(n, 0, n_in - 1);
    agg(n, op, op2(OP_mul, ld_of(n, in, aff(0, n_in > 1, 1)), ld_of(n, w, aff(0, n_in > 1, 1))));
    store(n, out, aff(0, 0), agg_of(n, 0));
    return c;
}

static int model_cases(Case **c, int lanes)
{
    int n = 0;

#define ADD(make, ...) (c[n] = make(n, __VA_ARGS__), n++)
    ADD(conv_forward, lanes), ADD(conv_by_input, lanes), ADD(conv_by_weight, lanes);
    ADD(strided, lanes), ADD(strided, 0);
    ADD(product, 7, 19, 23, false, false), ADD(product, 12, 16, 8, true, false), ADD(product, 5, 6, 37, false, true);
    ADD(product, 24, 32, 9, false, false), ADD(product, 3, 5, 2, true, true);
    ADD(product_split, 12, 20, 11, 0), ADD(product_split, 6, 11, 13, 1), ADD(product_split, 9, 17, 29, 2);
    ADD(product, 3, 20, 6007, true, false), ADD(product_split, 18, 4, 6011, 0);
    ADD(product_lanes, lanes, 12, 31), ADD(product_lanes, lanes, 13, 7), ADD(outer_product, lanes, 12, 20);
    ADD(outer_product, lanes, 5, 7), ADD(outer_product, lanes, 6, 37);
    ADD(outer_product_steps, lanes, 70, 66, 1, 48), ADD(outer_product_steps, lanes, 65, 64, 3, 20);
    ADD(outer_product_steps, lanes, 67, 130, 1, 71), ADD(outer_product_steps, lanes, 64, 70, 2, 3), ADD(window_max, lanes), ADD(window_max, 0);
    ADD(elementwise, lanes, 24), ADD(elementwise, 0, 53), ADD(elementwise, 0, 3);
    ADD(row_quotient, lanes, 6, 10), ADD(row_quotient, 0, 6, 10), ADD(row_quotient, 0, 20, 33);
    ADD(triangle, 13, 24, false), ADD(triangle, 13, 8, true), ADD(triangle, 9, 3, false);
    ADD(single, lanes, true, 9, AGG_sum), ADD(single, lanes, false, 1, AGG_max), ADD(single, lanes, true, 1, AGG_sum);
    ADD(window_max, lanes), c[n - 1]->odd = true;
    ADD(window_max, 0), c[n - 1]->odd = true;
    ADD(elementwise, lanes, 24), c[n - 1]->odd = true;
    ADD(single, 0, false, 77, AGG_max), c[n - 1]->odd = true;
    ADD(triangle_max, lanes, 7), ADD(triangle_max, 0, 7), c[n - 1]->odd = true;
    ADD(single, 0, false, 1000, AGG_sum), ADD(single, 0, false, 77, AGG_min), ADD(single, 0, false, 1, AGG_sum);
#undef ADD
    return n;
}

static void model_nests(void)
{
    static const Target target[] = { { false, 8, 8, 16, 0 }, { true, 4, 4, 32, 3 }, { false, 16, 16, 32, 2 }, { true, 1, 1, 16, 0 },
                                     { false, 16, 4, 32, 0 }, { true, 8, 2, 32, 0 }, { false, 8, 4, 16, 0 } };
    static const int lanes[] = { 19, 9, 19, 2, 4, 5, 3 };
    Case *c[64];

    seed = 1;
    for (size_t k = 0; k < COUNT_OF(target); k++)
        if (!run_cases(c, model_cases(c, lanes[k]), &target[k], false))
            break;
    arena_free(&arena);
}

/* ---- random nests ---- */

/* An expression that every precision computes exactly; keys, loads of small numbers, at most two factors. */
static Expr *exact_expr(Nest *n, Expr **load, int n_loads, int depth)
{
    switch (depth > 0 ? draw(0, 7) : 0) {
    case 1: return op2(OP_mul, load[draw(0, n_loads - 1)], load[draw(0, n_loads - 1)]);
    case 2: return op2(draw(0, 1) ? OP_add : OP_sub, exact_expr(n, load, n_loads, depth - 1),
                       exact_expr(n, load, n_loads, depth - 1));
    case 3: return op2(draw(0, 1) ? OP_max : OP_min, exact_expr(n, load, n_loads, depth - 1), num((double)draw(-2, 2)));
    case 4: return op1(draw(0, 1) ? OP_neg : OP_abs, exact_expr(n, load, n_loads, depth - 1));
    case 5: return num((double)draw(-8, 8) / 4);
    default: return load[draw(0, n_loads - 1)];
    }
}

static Expr *random_test(Nest *n, Expr **load, int n_loads, Expr *key)
{
    static const Op ops[] = { OP_lt, OP_le, OP_gt, OP_ge, OP_eq, OP_ne, OP_same, OP_differ };
    const Op op = ops[draw(0, COUNT_OF(ops) - 1)];

    switch (draw(0, 4)) {
    case 0: return op2(op, key, ex_int(&arena, draw(-2, 6)));
    case 1: return op1(OP_not, random_test(n, load, n_loads, key));
    case 2: return op2(draw(0, 1) ? OP_and : OP_or, random_test(n, load, n_loads, key),
                       op2(op, load[0], load[n_loads - 1]));
    case 3: return ex_exprs(&arena, OP_in, (Expr *[]){ key, ex_int(&arena, 1), ex_int(&arena, 3) }, 3);
    default: return op2(op, exact_expr(n, load, n_loads, 1), exact_expr(n, load, n_loads, 1));
    }
}

static Expr *random_expr(Nest *n, Expr **load, int n_loads, Expr *key)
{
    static const Op unary[] = { OP_exp, OP_tanh, OP_sin, OP_cos, OP_atan, OP_floor, OP_ceil, OP_sign };
    Expr *x = exact_expr(n, load, n_loads, 2);

    switch (draw(0, 9)) {
    case 0: return op1(unary[draw(0, COUNT_OF(unary) - 1)], x);
    case 1: return op1(draw(0, 1) ? OP_sqrt : OP_ln, op2(OP_add, op1(OP_abs, x), num(0.5)));
    case 2: return cond(random_test(n, load, n_loads, key), x, exact_expr(n, load, n_loads, 2));
    case 3: return op2(OP_div, x, num((double)draw(1, 5)));
    case 4: return op2(OP_mul, x, op1(OP_to_real, key));
    case 5: return ex_exprs(&arena, OP_round, (Expr *[]){ op2(OP_mul, x, num(0.5)), ex_int(&arena, 0) }, 2);
    case 6: return op2(OP_pow, op1(OP_abs, x), num((double)draw(1, 4) / 2));
    default: return op2(OP_mul, load[draw(0, n_loads - 1)], load[draw(0, n_loads - 1)]);
    }
}

static int64_t random_extent(void)
{
    static const int64_t e[] = { 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17 };
    return e[draw(0, COUNT_OF(e) - 1)];
}

static void affine_range(const Nest *n, const Affine *a, int64_t *lo, int64_t *hi)
{
    *lo = *hi = a->c;
    for (int l = 0; l < n->n_loops; l++) {
        const int64_t x = a->k[l] * n->loop[l].min, y = a->k[l] * n->loop[l].max;
        *lo += x < y ? x : y;
        *hi += x < y ? y : x;
    }
}

/* Bounds over the loops so far; min and max enclose them. */
static void random_bounded(Nest *n)
{
    NestLoop l = { .min = -99, .max = 99 };

    for (int k = 0; k < (int)draw(2, 4); k++) {
        Bound b = { .e = { .c = draw(-2, 3) }, .d = draw(1, 3) };
        int64_t lo, hi;
        for (int m = 0; m < n->n_loops; m++)
            b.e.k[m] = draw(0, 2) ? 0 : draw(-1, 2);
        const bool low = k % 2 == 0;
        b.e.c += low ? 0 : 4;
        affine_range(n, &b.e, &lo, &hi);
        if (low) {
            const int64_t q = lo / b.d + (lo % b.d > 0);
            l.min = q > l.min ? q : l.min;
            VEC_PUSH(&arena, l.lo, l.n_lo, b);
        } else {
            const int64_t q = hi / b.d - (hi % b.d < 0);
            l.max = q < l.max ? q : l.max;
            VEC_PUSH(&arena, l.hi, l.n_hi, b);
        }
    }
    n->loop[n->n_loops++] = l;
}

static void random_loops(Nest *n, int n_out, int n_red)
{
    int64_t points = 1;

    for (int l = 0; l < n_out + n_red; l++) {
        int64_t e = random_extent(), at = draw(-2, 2);
        if (points * e > 3000)
            e = 2;
        points *= e;
        if (l >= n_out && draw(0, 3) == 0)
            random_bounded(n);
        else
            box(n, at, at + e - 1);
    }
    n->n_out = n_out;
}

/* Row-major with a random order of loops and perhaps gaps. */
static Affine random_dense(const Nest *n, int n_loops, size_t *rows)
{
    Affine a = { 0 };
    bool done[MAX_LOOPS] = { false };
    int64_t size = draw(0, 3) ? 1 : 2, lo, hi;
    const bool natural = draw(0, 1);

    for (int k = 0; k < n_loops; k++) {
        int l = natural ? n_loops - 1 - k : (int)draw(0, n_loops - 1);
        while (done[l])
            l = (l + 1) % n_loops;
        done[l] = true;
        a.k[l] = size;
        const int64_t e = n->loop[l].max - n->loop[l].min + 1;
        size *= e > 0 ? e : 1;
    }
    affine_range(n, &a, &lo, &hi);
    a.c = -lo;
    *rows = (size_t)(hi - lo + 1);
    return a;
}

static Expr *random_load(Nest *n, int n_loops)
{
    size_t rows;
    Affine a = random_dense(n, n_loops, &rows);
    int64_t lo, hi;

    if (n_loops && draw(0, 1)) {
        a.c = 0;
        for (int l = 0; l < n_loops; l++)
            a.k[l] = draw(0, 1) ? 0 : draw(0, 2) ? 1 : draw(-2, 3);
        affine_range(n, &a, &lo, &hi);
        a.c = -lo;
        rows = (size_t)(hi > lo ? hi - lo + 1 : 1);
    }
    return ld_of(n, buffer(n, n->lanes && draw(0, 2), rows), a);
}

static void random_aggs(Nest *n, bool sums)
{
    Expr *load[3];
    const int n_loads = (int)draw(1, 3);
    Affine key = { .c = draw(-1, 1) };
    size_t rows;

    for (int k = 0; k < n_loads; k++)
        load[k] = random_load(n, n->n_loops);
    if (n->n_loops)
        key.k[draw(0, n->n_loops - 1)] = 1;
    for (int k = (int)draw(1, 2); k > 0; k--) {
        const Agg op = sums || draw(0, 1) ? AGG_sum : draw(0, 1) ? AGG_max : AGG_min;
        Expr *at = opd(n, OPD_key, 0, key);
        agg(n, op, op == AGG_sum ? random_expr(n, load, n_loads, at) : exact_expr(n, load, n_loads, 2));
        if (op != AGG_sum && draw(0, 1)) {
            n->agg[n->n_aggs - 1].keep_place = true;
            n->agg[n->n_aggs - 1].place = random_dense(n, n->n_loops, &rows);
        }
    }
}

static bool all_sums(const Nest *n)
{
    for (int k = 0; k < n->n_aggs; k++)
        if (n->agg[k].op != AGG_sum)
            return false;
    return n->n_aggs > 0;
}

static void random_stores(Nest *n, bool plain)
{
    Expr *load[2] = { random_load(n, n->n_out), random_load(n, n->n_out) };
    Affine key = { .c = 1 };

    if (n->n_out)
        key.k[0] = 1;
    for (int k = 0; k < (n->n_aggs ? n->n_aggs : 1); k++) {
        size_t rows;
        Affine at = random_dense(n, n->n_out, &rows);
        Expr *e = n->n_aggs ? agg_of(n, k) : random_expr(n, load, 2, opd(n, OPD_key, 0, key));
        if (!plain && n->n_aggs && draw(0, 1))
            e = op2(OP_add, e, random_expr(n, load, 2, opd(n, OPD_key, 0, key)));
        store(n, buffer(n, n->lanes && !n->sum_lanes, rows), at, e);
        if (n->n_aggs && n->agg[k].keep_place)
            store(n, buffer(n, n->lanes && !n->sum_lanes, rows), at, opd(n, OPD_place, k, (Affine){ 0 }));
    }
}

static bool has_room(const Nest *n)
{
    return n->n_bufs <= MAX_BUFS;
}

static Case *random_case(int id)
{
    Case *c = new_case(id, draw(0, 1) ? (int)draw(1, 19) : 0);
    Nest *n = &c->n;
    const int n_red = (int)draw(0, 3);

    n->sum_lanes = n->lanes && draw(0, 2) == 0;
    random_loops(n, (int)draw(0, 3), n_red);
    if (n_red || n->sum_lanes)
        random_aggs(n, n->sum_lanes);
    if (!n->lanes && n->n_loops && draw(0, 1)) {
        const int l = (int)draw(0, n->n_loops - 1);
        bool free = n->loop[l].box && (l < n->n_out || all_sums(n));
        for (int m = 0; m < n->n_loops; m++) {
            for (int k = 0; k < n->loop[m].n_lo; k++)
                free &= !n->loop[m].lo[k].e.k[l];
            for (int k = 0; k < n->loop[m].n_hi; k++)
                free &= !n->loop[m].hi[k].e.k[l];
        }
        n->split = free ? l : -1;
    }
    random_stores(n, n->sum_lanes || n->split >= n->n_out);
    return has_room(n) ? c : random_case(id);
}

static void random_nests(void)
{
    static const Target target[] = { { false, 8, 8, 16, 0 }, { true, 4, 4, 16, 0 }, { false, 4, 4, 32, 0 }, { false, 16, 16, 32, 2 },
                                     { false, 16, 4, 32, 0 }, { true, 8, 4, 32, 0 }, { false, 16, 2, 32, 0 } };
    enum { EACH_TARGET = 60 };
    Case *c[400];
    const char *s = getenv("NEST_SEED"), *m = getenv("NEST_CASES");
    const int n = m ? atoi(m) : EACH_TARGET;

    for (size_t k = 0; k < COUNT_OF(target); k++) {
        seed = (s ? (uint64_t)atoll(s) : 7) * 1000 + k;
        for (int i = 0; i < n; i++)
            c[i] = random_case(i);
        if (!run_cases(c, n, &target[k], k % 2))
            break;
        arena_free(&arena);
    }
    printf("# %d schedules gave the same bits as the first\n", compared);
    arena_free(&arena);
}

/* ---- the vector functions against the C library's ---- */

typedef struct Func { Op op; long double (*f)(long double); double lo, hi, ulps; } Func;

static double sample(const Func *f, int k, int n)
{
    static const double odd[] = { 0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, 1e-40, -1e-40, 1e-320, 88.7, 89, -87.4, -103.9,
                                  709.7, 710, -745.1, -746, 3e38, 1e300, 0.5, 20, -30, 9000, 1e10 };

    if (k < (int)COUNT_OF(odd))
        return odd[k];
    return k % 3 == 0 ? f->lo + (f->hi - f->lo) * k / n : k % 3 == 1 ? 1e-3 * (k - n / 2) : pow(10, 60.0 * k / n - 30);
}

static double ulps_off(double got, long double want, bool f64)
{
    const double w = f64 ? (double)want : (double)(float)want;

    if (isnan(w) || isinf(w) || isnan(got) || isinf(got))
        return (isnan(w) && isnan(got)) || w == got ? 0 : 1e30;
    const double ulp = f64 ? fmax(nextafter(fabs(w), INFINITY) - fabs(w), 0x1p-1074)
                           : (double)(nextafterf(fabsf((float)w), INFINITY) - fabsf((float)w));
    return signbit(got) != signbit(w) && w == 0 ? 1e30 : (double)(fabsl((long double)got - want) / ulp);
}

static void check_func(const Func *f, const Nest *n, const Target *t, const CcLib *lib, int rows)
{
    const size_t esz = t->f64 ? 8 : 4;
    void *p[2] = { mem_try((size_t)rows * esz + SLACK), mem_try((size_t)rows * esz + SLACK) };
    Buf name = { 0 };
    double bad = 0, at = 0;

    nest_name(&name, n, t);
    void *sym = cc_symbol(lib, name.s);
    NestFn *fn;
    memcpy(&fn, &sym, sizeof fn);
    for (int k = 0; k < rows; k++)
        put_real(p[0], (size_t)k, sample(f, k, rows), t->f64);
    fn(p, 0, 1, 1, 0);
    for (int k = 0; k < rows; k++) {
        const double x = get_real(p[0], (size_t)k, t->f64), off = ulps_off(get_real(p[1], (size_t)k, t->f64), f->f(x), t->f64);
        if (off > bad)
            bad = off, at = x;
    }
    if (getenv("NEST_ULPS"))
        printf("# %s %s: %.2f ulps at %.17g\n", op_info[f->op].name, t->f64 ? "double" : "float", bad, at);
    if (bad > f->ulps * (t->f64 ? 1 : 1.5)) {
        char why[100];
        snprintf(why, sizeof why, "(%.9g), %s: %g units off", at, t->f64 ? "double" : "float", bad);
        unit_wrong(__LINE__, op_info[f->op].name, why);
    }
    mem_free(p[0]);
    mem_free(p[1]);
    buf_free(&name);
}

static void functions(void)
{
    static const Func func[] = {
        { OP_exp, expl, -750, 715, 2 }, { OP_ln, logl, 0, 3, 2 }, { OP_tanh, tanhl, -25, 25, 3 },
        { OP_sin, sinl, -9000, 9000, 3 }, { OP_cos, cosl, -100, 100, 3 }, { OP_sqrt, sqrtl, 0, 2, 0.51 },
    };
    static const Target target[] = { { false, 8, 8, 16, 0 }, { true, 4, 4, 16, 0 }, { false, 2, 2, 16, 0 }, { true, 8, 8, 32, 0 } };
    enum { ROWS = 20000 };

    for (size_t k = 0; k < COUNT_OF(target); k++) {
        Nest n[COUNT_OF(func)];
        Buf text = { 0 };
        CcLib lib = { 0 };
        Err e = { 0 };
        nest_prelude(&text, &target[k]);
        for (size_t i = 0; i < COUNT_OF(func); i++) {
            n[i] = new_case((int)i, 0)->n;
            const int in = buffer(&n[i], false, ROWS), out = buffer(&n[i], false, ROWS);
            box(&n[i], 0, ROWS - 1);
            n[i].n_out = 1;
            store(&n[i], out, aff(0, 1, 1), op1(func[i].op, ld_of(&n[i], in, aff(0, 1, 1))));
            nest_schedule(&n[i], &target[k]);
            nest_text(&text, &n[i], &target[k]);
        }
        if (cc_load(&lib, text.s, &(CcOpts){ .no_cache = true }, &e) == OK) {
            for (size_t i = 0; i < COUNT_OF(func); i++)
                check_func(&func[i], &n[i], &target[k], &lib, ROWS);
            cc_close(&lib);
        } else {
            CHECK_STR(e.id, ERR_cc_missing);
        }
        buf_free(&text);
    }
    arena_free(&arena);
}

/* ---- what is refused, and the printed form ---- */

static void refused(void)
{
    Case *c = product(0, 3, 4, 5, false, false);
    Nest *n = &c->n;
    Expr *x = op2(OP_mul, ld_of(n, 0, aff(0, 3, 5, 0, 1)), ld_of(n, 1, aff(0, 3, 0, 1, 4)));

    CHECK(nest_can(n));
    n->agg[0].e = op1(OP_to_real, op1(OP_to_int, x));
    CHECK(!nest_can(n));
    n->agg[0].e = op2(OP_nullif, x, num(0));
    CHECK(!nest_can(n));
    n->agg[0].e = opd(n, OPD_agg, 0, (Affine){ 0 });
    CHECK(!nest_can(n));
    n->agg[0].e = x;
    n->agg[0].op = AGG_max;
    n->split = 2;
    CHECK(!nest_can(n));
    n->split = -1;
    CHECK(nest_can(n));
    for (int k = 0; k < 20; k++)
        x = op2(OP_add, x, x);
    n->agg[0].e = x;
    CHECK(!nest_can(n));
    arena_free(&arena);
}

static void listing(void)
{
    const Target t = { false, 8, 8, 16, 0 };
    Buf out = { 0 }, text = { 0 }, again = { 0 };
    Case *c = strided(7, 3);

    nest_schedule(&c->n, &t);
    nest_listing(&out, &c->n);
    CHECK_STR(out.s, "nest 7\n"
                     "  p0 12 x lanes, p1 11 x lanes written\n"
                     "  for lanes:  vectors, tile 4\n"
                     "    for x0 in 0 .. 10\n"
                     "      for x1 in max(ceil((x0 - 5) / 2), 0) .. min(floor((x0 + 3) / 2), 5):  unroll 2, 2 ways\n"
                     "        a0 += p0[2*x1 + 1] * 0.5\n"
                     "      p1[x0] = a0\n");
    nest_text(&text, &c->n, &t);
    nest_text(&again, &c->n, &t);
    CHECK_STR(text.s, again.s);
    buf_free(&out);
    buf_free(&text);
    buf_free(&again);
    arena_free(&arena);
}

TEST_MAIN({ "what is refused", refused }, { "listing", listing }, { "vector functions", functions }, { "nests as models have them", model_nests }, { "random nests", random_nests })
