/* SPDX-License-Identifier: Apache-2.0
 *
 * ctext.c - a scheduled nest as a C function: loops, accumulators, stores.
 *
 * The text of a nest is a sequence of loops: lane blocks, output loops, then the accumulate scope, where a register
 * tile of named accumulators runs through the reduction loops.  A loop whose factor does not divide its extent is
 * written twice, the second time for what is left.
 *
 * Bases: inside the accumulate scope, addresses are a pointer that holds all that does not change there, plus the
 * rest.  The pointer passes through an empty asm, because gcc otherwise moves the loads that do not depend on the
 * innermost output loop out of it, all of them, and spills them. */
#include "lower/gen.h"

#include <string.h>

/* Lanes of vectors that were turned over that are written out. */
enum { IN_UNROLL = 4 };

typedef struct Text {
    Gen g;
    int seq[N_VARS], n_seq;     /* loops, outermost first */
    int tile[N_VARS], n_tile;   /* the output loops, as the points of the innermost text follow each other */
    int scope_at;               /* where in seq the accumulate scope begins */
    int turn_at;                /* and where vectors are turned over; -1: none are */
    bool open;                  /* inside it */
    bool partial;               /* results are added to what is there if `add` */
    bool outer;                 /* and in the second round of a reduction loop outside the tile */
    bool across;                /* sums run across the vector */
} Text;

static void text_from(Text *x, int i);

static bool is_reduction(const Nest *n, int l)
{
    return l == LANE_VAR ? n->sum_lanes : l == IN_VAR || l >= n->n_out;
}

static int64_t unit_of(const Gen *g, int l)
{
    return nest_unit(g->n, g->t, l);
}

/* ---- points of the tile, points written out ---- */

static int64_t points(const Text *x, bool reductions)
{
    int64_t n = 1;

    for (int i = 0; i < x->n_seq; i++)
        if (is_reduction(x->g.n, x->seq[i]) == reductions)
            n *= x->g.count[x->seq[i]];
    return n;
}

static int64_t digit(const Gen *g, int l, const int64_t *from)
{
    return (g->off[l] - from[l]) / unit_of(g, l);
}

/* Does the point hold the last vector of a loop whose extent is no multiple of W? */
static bool at_tail(const Gen *g, const int64_t *from)
{
    const int v = g->n->sched.vec;
    return g->tail && v >= 0 && digit(g, v, from) == g->count[v] - 1;
}

/* Go to point number `at`, the innermost loop running fastest; `from` is the first point. */
static void go_to(Text *x, bool reductions, int64_t at, const int64_t *from)
{
    Gen *g = &x->g;

    for (int i = x->n_seq - 1; i >= 0; i--) {
        const int l = x->seq[i];
        if (is_reduction(g->n, l) != reductions)
            continue;
        g->off[l] = from[l] + at % g->count[l] * unit_of(g, l);
        at /= g->count[l];
    }
    g->last = at_tail(g, from);
}

/* Go to the tile's point number `at` in the order of x->tile; returns its number in go_to's. */
static int64_t go_along_tile(Text *x, int64_t at, const int64_t *from)
{
    Gen *g = &x->g;
    int64_t number = 0;

    for (int i = x->n_tile - 1; i >= 0; i--) {
        const int l = x->tile[i];
        g->off[l] = from[l] + at % g->count[l] * unit_of(g, l);
        at /= g->count[l];
    }
    for (int i = 0; i < x->n_seq; i++)
        if (!is_reduction(g->n, x->seq[i]))
            number = number * g->count[x->seq[i]] + digit(g, x->seq[i], from);
    g->last = at_tail(g, from);
    return number;
}

/* ---- loops ---- */

static const char *bound_text(Gen *g, const Bound *b, int n, bool low)
{
    const char *s = NULL;

    for (int k = 0; k < n; k++) {
        const char *e = gen_affine(g, &b[k].e);
        if (b[k].d != 1)
            e = gen_text(g, "%s(%s, %lld)", low ? "ceil_div" : "floor_div", e, (long long)b[k].d);
        s = !s ? e : gen_text(g, "%s(%s, %s)", low ? "int_max" : "int_min", s, e);
    }
    return s;
}

/* Lanes of a sum that do not count: those behind the last, unless they are 0 anyway; blocks that repeat the first. */
static bool needs_mask(const Gen *g, const Expr *e)
{
    return g->n->sum_lanes && !g->n->sched.turned &&
           (!body_is_zero(g->n, e) || (!g->n->sched.packed && g->t->B < g->t->W));
}

static bool masks_lanes(const Text *x)
{
    const Nest *n = x->g.n;

    for (int k = 0; n->sum_lanes && k < n->n_aggs; k++)
        if (needs_mask(&x->g, n->agg[k].e))
            return true;
    return n->lanes && !n->sum_lanes;
}

/* Which lanes of block b + k are there, in each block of the vector. */
static const char *live_lanes(Gen *g, int64_t k)
{
    const char *b = k ? gen_text(g, "(b + %lld)", (long long)k) : "b";

    if (g->n->sum_lanes && !g->n->sched.packed && g->t->B < g->t->W)
        return gen_text(g, "vlive(int_min(n_lanes - %s * B, B))", b);           /* once: not in each block */
    return gen_text(g, "vlanes(n_lanes - %s * B)", b);
}

/* How many numbers the last vector of the loop along the vector holds. */
static const char *tail_numbers(Gen *g)
{
    return g->n->sched.packed ? gen_text(g, "(%s) * B", g->tail) : g->tail;
}

/* The mask of such a vector, of a reduction. */
static const char *tail_mask(const Text *x)
{
    return x->g.n->lanes ? "part" : "live0";
}

static void text_block(Text *x, int i)
{
    Gen *g = &x->g;

    g->depth++;
    if (x->seq[i] == LANE_VAR && masks_lanes(x))
        for (int64_t k = 0; k < g->count[LANE_VAR]; k++)
            gen_line(g, "const ivec live%lld = %s;", (long long)k, live_lanes(g, k));
    if (g->tail && is_reduction(g->n, x->seq[i]) && g->n->sched.vec == x->seq[i])
        gen_line(g, "const ivec %s = vlive(%s)%s;", tail_mask(x), tail_numbers(g),
                 g->n->sum_lanes && masks_lanes(x) ? " & live0" : "");
    text_from(x, i + 1);
    g->depth--;
    gen_line(g, "}");
}

/* The rest of a large tile goes on in a smaller one, since parts may be small; 0: done. */
static int64_t next_factor(int l, int64_t f)
{
    return f == 1 ? 0 : f < 6 || l == LANE_VAR ? 1 : (f + 2) / 3;
}

/* A loop whose bounds are known when it runs: lane blocks, the loop that is split, bounds that are no box. */
static void text_runtime(Text *x, int i, int64_t factor, const char *lo, const char *end)
{
    Gen *g = &x->g;
    const int l = x->seq[i];
    const int64_t unit = unit_of(g, l);
    const char *v = gen_loop_var(g, l);

    g->var[l] = true;
    g->off[l] = 0;
    g->count[l] = 1;
    if (factor * unit == 1) {
        gen_line(g, "for (int64_t %s = %s; %s < %s; %s++) {", v, lo, v, end, v);
        text_block(x, i);
        return;
    }
    if (l != LANE_VAR) {
        gen_line(g, "const int64_t end%d = %s;", l, end);
        end = gen_text(g, "end%d", l);
    }
    gen_line(g, "int64_t %s = %s;", v, lo);
    for (int64_t f = factor; f >= 1; f = next_factor(l, f)) {
        g->count[l] = f;
        gen_line(g, "for (; %s + %lld <= %s; %s += %lld) {", v, (long long)(f * unit), end, v, (long long)(f * unit));
        text_block(x, i);
    }
    if (unit == 1)
        return;
    g->tail = gen_text(g, "%s - %s", end, v);
    gen_line(g, "if (%s < %s) {", v, end);
    text_block(x, i);
    g->tail = NULL;
}

/* The rest of a loop over a box, or a loop of one round: no variable. */
static void text_fixed(Text *x, int i, int64_t at, int64_t count, const char *tail, bool braces)
{
    Gen *g = &x->g;
    const int l = x->seq[i];
    const char *old = g->tail;

    g->var[l] = false;
    g->off[l] = at;
    g->count[l] = count;
    if (tail)
        g->tail = tail;
    if (braces || tail) {
        gen_line(g, "{");
        text_block(x, i);
    } else {
        text_from(x, i + 1);
    }
    g->tail = old;
}

static void text_box(Text *x, int i, int64_t factor, int64_t first, int64_t extent)
{
    Gen *g = &x->g;
    const int l = x->seq[i];
    const int64_t unit = unit_of(g, l), steps = (extent + unit - 1) / unit, part = extent % unit;
    const int64_t rest = part ? (steps - 1) % factor + 1 : steps % factor, rounds = (steps - rest) / factor;
    const char *v = gen_loop_var(g, l);

    if (rounds > 1) {
        g->var[l] = true;
        g->off[l] = 0;
        g->count[l] = factor;
        if (factor * unit == 1)
            gen_line(g, "for (int64_t %s = %lld; %s < %lld; %s++) {", v, (long long)first, v,
                     (long long)(first + rounds), v);
        else
            gen_line(g, "for (int64_t %s = %lld; %s < %lld; %s += %lld) {", v, (long long)first, v,
                     (long long)(first + rounds * factor * unit), v, (long long)(factor * unit));
        text_block(x, i);
    } else if (rounds == 1) {
        text_fixed(x, i, first, factor, NULL, rest > 0);
    }
    if (rest)
        text_fixed(x, i, first + rounds * factor * unit, rest, part ? gen_text(g, "%lld", (long long)part) : NULL,
                   rounds > 0);
}

static void text_loop(Text *x, int i)
{
    Gen *g = &x->g;
    const Nest *n = g->n;
    const Schedule *s = &n->sched;
    const int l = x->seq[i];
    const int64_t factor = l == LANE_VAR ? s->lane_tile : l == IN_VAR ? (g->t->B < IN_UNROLL ? g->t->B : IN_UNROLL)
                         : l < n->n_out ? s->tile[l] : s->unroll[l];
    const struct { bool var; int64_t off, count; } was = { g->var[l], g->off[l], g->count[l] };

    g->inner[l] = x->open;
    if (l == LANE_VAR) {
        text_runtime(x, i, factor, s->turned ? "c0" : "b0", s->turned ? "c1" : "b1");
    } else if (l == IN_VAR) {
        text_box(x, i, factor, 0, g->t->B);
    } else if (l == n->split) {
        const long long at = (long long)n->loop[l].min;
        text_runtime(x, i, factor, at ? gen_text(g, "b0 + %lld", at) : "b0", at ? gen_text(g, "b1 + %lld", at) : "b1");
    } else if (!n->loop[l].box) {
        const NestLoop *p = &n->loop[l];
        const char *hi = bound_text(g, p->hi, p->n_hi, false);
        text_runtime(x, i, factor, bound_text(g, p->lo, p->n_lo, true), gen_text(g, "%s + 1", hi));
    } else {
        text_box(x, i, factor, n->loop[l].min, nest_extent(n, l));
    }
    g->var[l] = was.var;
    g->off[l] = was.off;
    g->count[l] = was.count;
}

/* ---- accumulators ---- */

static const char *acc_name(Gen *g, int agg, int64_t point, int64_t way)
{
    return way ? gen_text(g, "a%d_%lldw%lld", agg, (long long)point, (long long)way)
               : gen_text(g, "a%d_%lld", agg, (long long)point);
}

/* A sum of products is written so that it becomes multiply-adds. */
static void text_sum(Gen *g, const char *acc, const Expr *e, bool wide, const char *mask)
{
    const bool minus = e->op == OP_neg;
    const Expr *p = minus ? e->arg[0] : e;

    if (p->op == OP_mul && !mask) {
        Val a = body_expr(g, p->arg[0]), b = body_expr(g, p->arg[1]);
        if (wide) {
            a = body_wide(g, a);
            b = body_wide(g, b);
        }
        gen_line(g, "%s %s= %s * %s;", acc, minus ? "-" : "+", a.s, b.s);
        return;
    }
    Val v = body_expr(g, e);
    if (wide)
        v = body_wide(g, v);
    gen_line(g, mask ? "%s += vand(%s, %s);" : "%s += %s%s;", acc, mask ? mask : "", v.s);
}

static bool surely_some(const Nest *n)
{
    for (int l = n->n_out; l < n->n_loops; l++)
        if (!n->loop[l].box || !nest_extent(n, l))
            return false;
    return true;
}

static void text_extreme(Gen *g, const NestAgg *a, int i, int64_t point, const char *mask)
{
    const char *acc = acc_name(g, i, point, 0), *name = op_info[a->op == AGG_max ? OP_max : OP_min].name;
    const char *where = gen_text(g, "w%d_%lld", i, (long long)point);
    const bool wide = g->acc_wide[i];
    const char c = wide ? 'v' : 's';
    Val v = body_expr(g, a->e);

    if (wide)
        v = body_wide(g, v);
    if (!a->keep_place) {
        const char *r = gen_text(g, "%c%s(%s, %s)", c, name, v.s, acc);
        gen_line(g, mask ? "%s = sel(%s, %s, %s);" : "%s = %s%s;", acc, mask ? mask : "", r, acc);
        return;
    }
    Val at = body_affine_real(g, &a->place);
    if (wide)
        at = body_wide(g, at);
    const char *won = gen_text(g, "t%d", g->n_temps++);
    gen_line(g, "const %s %s = %cbeats_%s(%s, %s)%s;", wide ? "ivec" : "int", won, c, name, v.s, acc,
             surely_some(g->n) ? "" : gen_text(g, " | (%s != %s)", where, where));
    gen_line(g, wide ? "%s = sel(%s, %s, %s);" : "%s = %s ? %s : %s;", where, won, at.s, where);
    gen_line(g, wide ? "%s = sel(%s, %s, %s);" : "%s = %s ? %s : %s;", acc, won, v.s, acc);
}

/* Iterations of the loop along the vector that this point's vector holds. */
static int64_t iterations_here(const Text *x, const int64_t *from)
{
    const Gen *g = &x->g;
    const int64_t all = nest_unit(g->n, g->t, g->n->sched.vec);

    return at_tail(g, from) ? nest_extent(g->n, g->n->sched.vec) % all : all;
}

/* The innermost text: every point written out, for every point of the tile. */
static void text_body(Text *x)
{
    Gen *g = &x->g;
    const Nest *n = g->n;
    const int last = x->n_seq ? x->seq[x->n_seq - 1] : LANE_VAR;
    int64_t from[N_VARS];

    memcpy(from, g->off, sizeof from);
    body_begin(g);
    for (int64_t u = 0; n->n_aggs && u < points(x, true); u++)
        for (int64_t at = 0; at < points(x, false); at++) {
            go_to(x, true, u, from);
            const int64_t t = go_along_tile(x, at, from);
            const int64_t way = g->ways > 1 ? digit(g, last, from) % g->ways : 0;
            const bool tail = (x->across || g->folds) && at_tail(g, from);
            const char *meets = n->n_conds ? body_conds(g, iterations_here(x, from)) : "";
            for (int k = 0; meets && k < n->n_aggs; k++) {
                const NestAgg *a = &n->agg[k];
                const char *mask = *meets ? meets : tail ? tail_mask(x) : needs_mask(g, a->e) ? "live0" : NULL;
                if (a->op == AGG_sum)
                    text_sum(g, acc_name(g, k, t, way), a->e, g->acc_wide[k], mask);
                else
                    text_extreme(g, a, k, t, mask);
            }
        }
    memcpy(g->off, from, sizeof from);
}

/* The place of the first iteration: it wins unless another is better. */
static const char *first_place(Gen *g, const NestAgg *a, bool wide)
{
    bool var[N_VARS];
    int64_t off[N_VARS];

    memcpy(var, g->var, sizeof var);
    memcpy(off, g->off, sizeof off);
    for (int l = g->n->n_out; l < g->n->n_loops; l++) {
        g->var[l] = false;
        g->off[l] = g->n->loop[l].min;
    }
    Val v = body_affine_real(g, &a->place);
    if (wide)
        v = body_wide(g, v);
    memcpy(g->var, var, sizeof var);
    memcpy(g->off, off, sizeof off);
    return v.s;
}

static void text_init(Text *x)
{
    Gen *g = &x->g;
    const Nest *n = g->n;
    int64_t from[N_VARS];

    memcpy(from, g->off, sizeof from);
    body_begin(g);
    for (int k = 0; k < n->n_aggs; k++) {
        const NestAgg *a = &n->agg[k];
        const bool wide = g->acc_wide[k];
        const char *zero = gen_text(g, a->op == AGG_sum ? "0" : a->op == AGG_max ? "-INFINITE" : "INFINITE");
        const char *start = !wide ? zero : a->op == AGG_sum ? "{ 0 }" : gen_text(g, "splat(%s)", zero);
        for (int64_t t = 0; t < points(x, false); t++) {
            for (int64_t w = 0; w < g->ways; w++)
                gen_line(g, "%s %s = %s;", wide ? "vec" : "real", acc_name(g, k, t, w), start);
            if (!a->keep_place)
                continue;
            go_to(x, false, t, from);
            const char *first = surely_some(n) ? first_place(g, a, wide) : wide ? "splat(NOT_A_NUMBER)" : "NOT_A_NUMBER";
            gen_line(g, "%s w%d_%lld = %s;", wide ? "vec" : "real", k, (long long)t, first);
        }
    }
    memcpy(g->off, from, sizeof from);
}

/* ---- results ---- */

static void fold_ways(Text *x, int agg)
{
    Gen *g = &x->g;

    for (int64_t t = 0; t < points(x, false); t++)
        for (int64_t step = 1; step < g->ways; step *= 2)
            for (int64_t w = 0; w + step < g->ways; w += 2 * step)
                gen_line(g, "%s += %s;", acc_name(g, agg, t, w), acc_name(g, agg, t, w + step));
}

/* One number of a vector of them: several sums at a time where a short vector holds them. */
static void fold_across(Text *x, int agg)
{
    Gen *g = &x->g;
    const Agg op = g->n->agg[agg].op;
    const int64_t n = points(x, false), group = op == AGG_sum ? 16 / (g->t->f64 ? 8 : 4) : 1;

    for (int64_t t = 0; t < n;) {
        if (group == 1 || group > g->t->W || t + group > n) {
            gen_line(g, "const real r%d_%lld = across_%s(%s);", agg, (long long)t,
                     op == AGG_sum ? "sum" : op == AGG_max ? "max" : "min", acc_name(g, agg, t, 0));
            t++;
            continue;
        }
        const char *args = acc_name(g, agg, t, 0);
        for (int64_t k = 1; k < group; k++)
            args = gen_text(g, "%s, %s", args, acc_name(g, agg, t + k, 0));
        gen_line(g, "const few f%d_%lld = across_few(%s);", agg, (long long)t, args);
        for (int64_t k = 0; k < group; k++)
            gen_line(g, "const real r%d_%lld = f%d_%lld[%lld];", agg, (long long)(t + k), agg, (long long)t,
                     (long long)k);
        t += group;
    }
}

/* Whether the store's next `group` points, from t on, are one short vector; they were summed together. */
static bool stores_few(Text *x, const NestStore *s, int64_t t, const int64_t *from)
{
    Gen *g = &x->g;
    const int64_t group = 16 / (g->t->f64 ? 8 : 4);
    const Addr a = gen_addr(g, s->buf, &s->at);
    int64_t at = 0;
    bool next = true;

    if (s->e->op != OP_col || g->n->opd[s->e->col].kind != OPD_agg || group > g->t->W || t % group ||
        t + group > points(x, false) || g->n->agg[g->n->opd[s->e->col].index].op != AGG_sum ||
        !g->acc_wide[g->n->opd[s->e->col].index])
        return false;
    for (int64_t k = 0; k < group; k++) {
        go_to(x, false, t + k, from);
        const int64_t here = gen_here(g, &a);
        at = k ? at : here;
        next &= here == at + k;
    }
    go_to(x, false, t, from);
    return next;
}

static void text_store(Text *x, const NestStore *s, Val v, const int64_t *from)
{
    Gen *g = &x->g;
    const Addr a = gen_addr(g, s->buf, &s->at);
    const char *at = gen_sum(g, gen_here(g, &a), a.k, false, false);
    const char *p = gen_text(g, "p%d + %s", s->buf, at), *more = x->outer ? ", more" : ", add";
    const bool adds = x->partial || x->outer;

    if (g->n->buf[s->buf].lanes) {
        v = body_wide(g, v);
        v.s = gen_text(g, "vand(live%lld, %s)", (long long)digit(g, LANE_VAR, from), v.s);
        const bool full = g->t->B == g->t->W || (g->n->sched.packed && !g->folds);
        if (full && g->n->sched.packed && at_tail(g, from))
            gen_line(g, "st_some%s(%s, %s, %s%s);", adds ? "_add" : "", p, v.s, tail_numbers(g), adds ? more : "");
        else
            gen_line(g, "st%s%s(%s, %s%s);", full ? "" : "_block", adds ? "_add" : "", p, v.s, adds ? more : "");
    } else if (g->n->sched.vec >= 0 && !x->across) {
        v = body_wide(g, v);
        if (at_tail(g, from))
            gen_line(g, "st_some%s(%s, %s, %s%s);", adds ? "_add" : "", p, v.s, g->tail, adds ? more : "");
        else
            gen_line(g, "st%s(%s, %s%s);", adds ? "_add" : "", p, v.s, adds ? more : "");
    } else if (adds) {
        gen_line(g, "p%d[%s] = %s ? p%d[%s] + %s : %s;", s->buf, at, more + 2, s->buf, at, v.s, v.s);
    } else {
        gen_line(g, "p%d[%s] = %s;", s->buf, at, v.s);
    }
}

/* All values first, so that no load waits for a store. */
static void text_stores(Text *x)
{
    Gen *g = &x->g;
    const Nest *n = g->n;
    const int64_t n_points = points(x, false);
    Val *v = ARENA_ARRAY(g->arena, Val, n_points * n->n_stores);
    int64_t from[N_VARS];

    memcpy(from, g->off, sizeof from);
    body_begin(g);
    for (int64_t t = 0; t < n_points; t++)
        for (int k = 0; k < n->n_stores; k++) {
            go_to(x, false, t, from);
            g->point = (int)t;
            v[t * n->n_stores + k] = body_expr(g, n->store[k].e);
        }
    for (int k = 0; k < n->n_stores; k++)
        for (int64_t t = 0; t < n_points; t++) {
            go_to(x, false, t, from);
            if (x->across && stores_few(x, &n->store[k], t, from)) {
                const Addr a = gen_addr(g, n->store[k].buf, &n->store[k].at);
                gen_line(g, "st_few(p%d + %s, f%d_%lld, %s);", n->store[k].buf,
                         gen_sum(g, gen_here(g, &a), a.k, false, false), n->opd[n->store[k].e->col].index,
                         (long long)t, x->outer ? "more" : x->partial ? "add" : "0");
                t += 16 / (g->t->f64 ? 8 : 4) - 1;
                continue;
            }
            text_store(x, &n->store[k], v[t * n->n_stores + k], from);
        }
    memcpy(g->off, from, sizeof from);
}

static void text_results(Text *x)
{
    Gen *g = &x->g;
    const Nest *n = g->n;

    for (int k = 0; k < n->n_aggs; k++) {
        fold_ways(x, k);
        if (x->across && g->acc_wide[k])
            fold_across(x, k);
        for (int64_t t = 0; g->folds && t < points(x, false); t++)
            gen_line(g, "%s = folded_%s(%s);", acc_name(g, k, t, 0), n->agg[k].op == AGG_sum ? "sum"
                     : n->agg[k].op == AGG_max ? "max" : "min", acc_name(g, k, t, 0));
        for (int64_t t = 0; n->agg[k].keep_place && !surely_some(n) && t < points(x, false); t++)
            gen_line(g, g->acc_wide[k] ? "w%d_%lld = vand((ivec)(w%d_%lld == w%d_%lld), w%d_%lld);"
                                       : "w%d_%lld = w%d_%lld == w%d_%lld ? w%d_%lld : 0;", k, (long long)t, k,
                     (long long)t, k, (long long)t, k, (long long)t);
    }
    text_stores(x);
}

/* The pointers are known only when the text that uses them is written. */
static void text_bases(Gen *g)
{
    for (int k = 0; k < g->n_bases; k++) {
        const Base *b = &g->base[k];
        gen_line(g, "const real *q%d = p%d%s;", k, b->buf, gen_sum(g, 0, b->k, false, true));
        gen_line(g, "HIDE(q%d);", k);
    }
}

/* Whether what the tile adds up goes on top of what an earlier round left. */
static void text_more(Text *x)
{
    Gen *g = &x->g;
    const Nest *n = g->n;
    const char *s = n->sched.turned ? "add || c0 > b0" : x->partial ? "add" : "0";

    for (int k = 0; k < x->scope_at; k++) {
        const int l = x->seq[k];
        if (!is_reduction(n, l) || !g->var[l])
            continue;
        const char *v = gen_loop_var(g, l);
        const int64_t first = l == LANE_VAR ? 0 : n->loop[l].min;
        if (l == LANE_VAR || l == n->split)
            s = gen_text(g, first ? "%s || %s > b0 + %lld" : "%s || %s > b0", s, v, (long long)first);
        else
            s = gen_text(g, "%s || %s > %lld", s, v, (long long)first);
    }
    gen_line(g, "const int more = %s;", s);
}

static void text_scope(Text *x, int i)
{
    Gen *g = &x->g;
    Buf *out = g->out, body = { 0 };

    x->open = true;
    if (x->outer)
        text_more(x);
    text_init(x);
    g->in_scope = true;
    g->n_bases = 0;
    g->base = NULL;
    g->out = &body;
    text_from(x, i);
    g->out = out;
    g->in_scope = false;
    text_bases(g);
    if (body.n)
        buf_add(out, body.s, body.n);
    buf_free(&body);
    x->open = false;
    text_results(x);
}

/* The squares of an operand, of the lane block b and one round of the loops of its reduction. */
static void turn_squares(Text *x, int opd)
{
    Gen *g = &x->g;
    const Nest *n = g->n;
    const int v = n->sched.vec;
    const Addr a = gen_addr(g, n->opd[opd].index, &n->opd[opd].at);

    for (int64_t j = 0; j < g->n_turned; j++) {
        g->off[v] = g->turn_at + j * g->t->W;
        gen_line(g, "turn(p%d + %s, %s, turned%d + %s, %lld);", a.buf, gen_sum(g, gen_here(g, &a), a.k, false, false),
                 g->tail && j == g->n_turned - 1 ? g->tail : "W", opd, gen_turned(g, &n->opd[opd], j), (long long)g->n_turned);
    }
    g->off[v] = g->turn_at;
}

/* What runs along the vector and has lanes, one vector for each lane: turned over in squares of W by W. */
static void text_turn(Text *x)
{
    Gen *g = &x->g;
    const Nest *n = g->n;
    const int depth = g->depth;

    g->turn_at = g->off[n->sched.vec];
    g->n_turned = g->count[n->sched.vec];
    for (int k = 0; k < n->n_opds; k++) {
        int64_t rounds = n->sched.turn_blocks;
        if (!gen_turns(n, &n->opd[k]))
            continue;
        for (int l = n->n_out; l < n->n_loops; l++)
            rounds *= gen_turns_over(n, &n->opd[k], l) ? nest_extent(n, l) : 1;
        gen_line(g, "vec turned%d[%lld];", k, (long long)(rounds * g->t->B * g->n_turned));
        gen_line(g, "for (int64_t b = c0; b < c1; b++)");
        g->var[LANE_VAR] = true;
        for (int l = n->n_out; l < n->n_loops; l++) {
            if (!gen_turns_over(n, &n->opd[k], l))
                continue;
            g->depth++;
            g->var[l] = true;
            gen_line(g, "for (int64_t x%d = %lld; x%d <= %lld; x%d++)", l, (long long)n->loop[l].min, l,
                     (long long)n->loop[l].max, l);
        }
        gen_line(g, "{");
        g->depth++;
        turn_squares(x, k);
        g->depth = depth;
        gen_line(g, "}");
        g->var[LANE_VAR] = false;
        for (int l = n->n_out; l < n->n_loops; l++)
            g->var[l] &= !gen_turns_over(n, &n->opd[k], l);
    }
}

static void text_from(Text *x, int i)
{
    if (i == x->turn_at)
        text_turn(x);
    if (i == x->scope_at && !x->open)
        text_scope(x, i);
    else if (i < x->n_seq)
        text_loop(x, i);
    else
        text_body(x);
}

/* ---- the function ---- */

/* Vectors are turned inside their own loop, and used by all other output loops. */
static void sequence_turned(Text *x)
{
    const Nest *n = x->g.n;

    for (int k = 0; k < n->n_loops; k++) {
        const int l = n->sched.order[k];
        x->seq[x->n_seq++] = l;
        if (l == n->sched.vec)
            x->turn_at = x->n_seq;
        if (!is_reduction(n, l))
            x->scope_at = x->n_seq;
    }
    x->seq[x->n_seq++] = LANE_VAR;
    x->seq[x->n_seq++] = IN_VAR;
    x->outer = true;
}

static void text_sequence(Text *x)
{
    const Nest *n = x->g.n;
    bool lanes = n->lanes;
    int tile_at = 0;            /* the accumulate scope in the nest's own order */

    for (int k = 0; k < n->n_loops; k++)
        tile_at = n->sched.order[k] < n->n_out ? k + 1 : tile_at;
    if (lanes && (!n->sum_lanes || n->sched.lanes_first)) {
        x->seq[x->n_seq++] = LANE_VAR;
        x->outer = n->sum_lanes;
        lanes = false;
    }
    for (int k = 0; k < n->n_loops; k++) {
        if (k == tile_at && lanes)
            x->seq[x->n_seq++] = LANE_VAR;
        x->outer |= k < tile_at && n->sched.order[k] >= n->n_out;
        x->seq[x->n_seq++] = n->sched.order[k];
    }
    if (tile_at == n->n_loops && lanes)
        x->seq[x->n_seq++] = LANE_VAR;
    for (int k = 0; k < x->n_seq; k++)
        if (!is_reduction(n, x->seq[k]) || (n->sched.lanes_first && k == 0))
            x->scope_at = k + 1;
}

/* Does an operand differ along output loop l? */
static bool varies_along(const Nest *n, const Operand *o, int l)
{
    return l == LANE_VAR ? n->buf[o->index].lanes : o->at.k[l] != 0;
}

/* The loops of the operand that most points of the tile read differently go first: each of its values is used up
 * before the next is loaded, and only the others take registers. */
static void order_tile(Text *x)
{
    const Nest *n = x->g.n;
    const Operand *most = NULL;
    double of_most = 0;

    for (int k = 0; k < n->n_opds; k++) {
        double points = n->opd[k].kind == OPD_load;
        for (int i = 0; i < x->n_seq && points > 0; i++)
            if (!is_reduction(n, x->seq[i]) && varies_along(n, &n->opd[k], x->seq[i]))
                points *= x->seq[i] == LANE_VAR ? n->sched.lane_tile : n->sched.tile[x->seq[i]];
        if (points > of_most) {
            of_most = points;
            most = &n->opd[k];
        }
    }
    for (int first = 1; first >= 0; first--)
        for (int i = 0; i < x->n_seq; i++)
            if (!is_reduction(n, x->seq[i]) && (most && varies_along(n, most, x->seq[i])) == first)
                x->tile[x->n_tile++] = x->seq[i];
}

/* The buffer that is written, or one that may be the same. */
static bool overlays(const Nest *n, int b)
{
    bool any = nest_may_overlay(n, b);

    for (int k = 0; n->buf[b].written && k < n->n_bufs; k++)
        any |= nest_may_overlay(n, k);
    return any;
}

static void text_name(Buf *out, int code, int part)
{
    if (part)
        buf_printf(out, "static void nest%d_%d", code, part);
    else
        buf_printf(out, "void nest%d", code);
    buf_puts(out, "(void *const *p, int64_t b0, int64_t b1, int64_t n_lanes, int add)\n{\n");
}

/* part: of a nest that others follow, its number from 1; 0: it is one nest. */
static void text_head(Gen *g, int code, int part)
{
    const Nest *n = g->n;

    buf_printf(g->out, "/* Block %d:", code);
    for (int l = 0; l < n->n_loops; l++)
        buf_printf(g->out, "%s x%d %s%lld", l == n->n_out ? l ? "; over" : " over" : l ? "," : "", l,
                   n->loop[l].box ? "" : "<= ", (long long)nest_extent(n, l));
    buf_printf(g->out, "%s%s */\n", n->n_loops ? "; " : " ",
               n->sched.turned ? gen_text(g, "over the lanes, vectors along x%d", n->sched.vec)
               : n->sched.packed ? gen_text(g, "%s the lanes and x%d", n->sum_lanes ? "over" : "in", n->sched.vec)
               : n->sum_lanes ? "over the lanes" : n->lanes ? "in lanes"
               : n->sched.vec >= 0 ? gen_text(g, "vectors along x%d", n->sched.vec) : "scalar");
    text_name(g->out, code, part);
    g->depth = 1;
    for (int k = 0; k < n->n_bufs; k++) {
        bool stored = false;
        for (int s = 0; s < n->n_stores; s++)
            stored |= n->store[s].buf == k;
        gen_line(g, "%sreal *%sconst p%d = p[%d];", stored ? "" : "const ", overlays(n, k) ? "" : "restrict ", k, k);
    }
    gen_line(g, "(void)b0, (void)b1, (void)n_lanes, (void)add;");
}

void nest_name(Buf *out, const Nest *n, const Target *t)
{
    (void)t;
    buf_printf(out, "nest%d", n->code);
}

static void text_alone(Buf *out, const Nest *n, const Target *t, int code, int part)
{
    Arena arena = { 0 };
    Text x = { .g = { .n = n, .t = t, .arena = &arena, .out = out, .ways = n->sched.ways > 1 ? n->sched.ways : 1 } };

    x.partial = n->sum_lanes || (n->split >= 0 && n->split >= n->n_out);
    x.turn_at = -1;
    x.g.folds = n->lanes && !n->sum_lanes && n->sched.vec >= n->n_out;
    x.across = !x.g.folds && ((n->sum_lanes && !n->sched.turned) || n->sched.vec >= n->n_out);
    for (int l = 0; l < N_VARS; l++)
        x.g.count[l] = 1;
    for (int k = 0; k < n->n_aggs; k++)
        x.g.acc_wide[k] = x.across || x.g.folds || body_is_wide(&x.g, n->agg[k].e) ||
                          (n->agg[k].keep_place && n->sched.vec >= 0 && n->agg[k].place.k[n->sched.vec]);
    x.g.across = x.across;
    text_head(&x.g, code, part);
    if (n->sched.turned) {
        sequence_turned(&x);
        gen_line(&x.g, "for (int64_t c0 = b0; c0 < b1; c0 += %d) {", n->sched.turn_blocks);
        x.g.depth++;
        gen_line(&x.g, "const int64_t c1 = int_min(c0 + %d, b1);", n->sched.turn_blocks);
    } else {
        text_sequence(&x);
    }
    order_tile(&x);
    text_from(&x, 0);
    if (n->sched.turned)
        buf_puts(out, "    }\n");
    buf_puts(out, "}\n");
    arena_free(&arena);
}

void nest_text(Buf *out, const Nest *n, const Target *t)
{
    int parts = 0;

    for (const Nest *m = n; m; m = m->next)
        text_alone(out, m, t, n->code, n->next ? ++parts : 0);
    if (!parts)
        return;
    text_name(out, n->code, 0);
    for (int k = 1; k <= parts; k++)
        buf_printf(out, "    nest%d_%d(p, b0, b1, n_lanes, add);\n", n->code, k);
    buf_puts(out, "}\n");
}
