/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule.c - how a nest runs: which loop goes along the vector, the order of loops, the register tile, what is
 * written out.
 *
 * First the nest is made plainer.  Then come the choices that the bits of sums depend on, by rules over the nest and
 * the target: the vector loop, the order of reduction loops, how many ways a sum is split.  Tiles, the order of output
 * loops and the number of iterations written out change no bit; they are the best by a model of the machine, or those
 * of a few that the model ranks first which turn out fastest. */
#include "lower/gen.h"

#include <string.h>

/* ---- plainer nests ---- */

static void each_affine(Nest *n, void (*fn)(Affine *a, int l, int64_t by), int l, int64_t by)
{
    for (int k = 0; k < n->n_opds; k++)
        fn(&n->opd[k].at, l, by);
    for (int k = 0; k < n->n_aggs; k++)
        fn(&n->agg[k].place, l, by);
    for (int k = 0; k < n->n_stores; k++)
        fn(&n->store[k].at, l, by);
    for (int m = 0; m < n->n_loops; m++) {
        for (int k = 0; !n->loop[m].box && k < n->loop[m].n_lo; k++)
            fn(&n->loop[m].lo[k].e, l, by);
        for (int k = 0; !n->loop[m].box && k < n->loop[m].n_hi; k++)
            fn(&n->loop[m].hi[k].e, l, by);
    }
}

/* Loop l is `at`, and goes. */
static void fix_loop(Affine *a, int l, int64_t at)
{
    a->c += a->k[l] * at;
    memmove(a->k + l, a->k + l + 1, (MAX_LOOPS - 1 - l) * sizeof *a->k);
    a->k[MAX_LOOPS - 1] = 0;
}

static void remove_loop(Nest *n, int l, int64_t at)
{
    each_affine(n, fix_loop, l, at);
    memmove(n->loop + l, n->loop + l + 1, (MAX_LOOPS - 1 - l) * sizeof *n->loop);
    n->n_loops--;
    n->n_out -= l < n->n_out;
    n->split -= n->split > l;
}

static bool steps_join(const Affine *a, int l, int64_t extent)
{
    return a->k[l] == a->k[l + 1] * extent;
}

/* May loops l and l + 1 be one loop? */
static bool joins_next(const Nest *n, int l)
{
    const int64_t e = nest_extent(n, l + 1);
    bool ok = (l + 1 < n->n_out || l >= n->n_out) && n->loop[l].box && n->loop[l + 1].box && n->split != l &&
              n->split != l + 1 && !nest_bounded_by(n, l) && !nest_bounded_by(n, l + 1);

    for (int k = 0; ok && k < n->n_opds; k++)
        ok = n->opd[k].kind == OPD_agg || n->opd[k].kind == OPD_place || steps_join(&n->opd[k].at, l, e);
    for (int k = 0; ok && k < n->n_aggs; k++)
        ok = !n->agg[k].keep_place || steps_join(&n->agg[k].place, l, e);
    for (int k = 0; ok && k < n->n_stores; k++)
        ok = steps_join(&n->store[k].at, l, e);
    return ok;
}

static void plainer(Nest *n)
{
    for (int l = n->n_loops - 1; l >= 0; l--)
        if (l != n->split && n->loop[l].box && nest_extent(n, l) == 1)
            remove_loop(n, l, n->loop[l].min);
    for (int l = n->n_loops - 2; l >= 0; l--)
        if (nest_extent(n, l) && nest_extent(n, l + 1) && joins_next(n, l)) {
            const int64_t e = nest_extent(n, l + 1);
            n->loop[l + 1].min += n->loop[l].min * e;
            n->loop[l + 1].max += n->loop[l].max * e;
            remove_loop(n, l, 0);
        }
}

/* ---- the vector loop ---- */

/* 0: cannot; else how much of a vector it fills, on the average.  `any_step`: loads may be gathered. */
static double along_score(const Nest *n, int l, bool any_step)
{
    const bool out = l < n->n_out;
    const double extent = (double)nest_extent(n, l);
    double loads = 0;

    if (nest_bounded_by(n, l) || extent < 2)
        return 0;
    for (int k = 0; k < n->n_stores; k++)
        if (n->store[k].at.k[l] != out)
            return 0;
    for (int k = 0; !out && k < n->n_aggs; k++)
        if (n->agg[k].keep_place)
            return 0;
    for (int k = 0; k < n->n_opds; k++) {
        const Operand *o = &n->opd[k];
        int64_t lo, hi;
        nest_range(n, &o->at, &lo, &hi);
        if (o->kind == OPD_key && o->at.k[l] && (lo < -EXACT || hi > EXACT))
            return 0;
        if (o->kind == OPD_load && o->at.k[l] != 0 && o->at.k[l] != 1 && !(any_step && out))
            return 0;
        loads += o->kind == OPD_load && o->at.k[l] == 1;
    }
    if (!out && loads == 0)
        return 0;
    /* a reduction ends with a sum across the vector */
    return extent / (double)((int64_t)(extent + 7) / 8) * (out ? 1 : extent / (extent + 24));
}

/* How well iterations of loop l fill a vector that has room for P of them, each with the lanes of a block: 1 at best,
 * 0: cannot.  Loads that take several instructions count against it. */
static double pack_score(const Nest *n, int l, int64_t P)
{
    const bool out = l < n->n_out;
    const double extent = (double)nest_extent(n, l);
    double loads = 0, dear = 0;

    if (nest_bounded_by(n, l) || !n->loop[l].box || extent < 2 || (out && n->sum_lanes))
        return 0;
    for (int k = 0; k < n->n_stores; k++)
        if (n->store[k].at.k[l] != out)
            return 0;
    for (int k = 0; !out && k < n->n_aggs; k++)
        if (n->agg[k].keep_place)
            return 0;
    for (int k = 0; k < n->n_opds; k++) {
        const Operand *o = &n->opd[k];
        const bool lanes = o->kind == OPD_load && n->buf[o->index].lanes;
        int64_t lo, hi;
        nest_range(n, &o->at, &lo, &hi);
        if (o->kind == OPD_key && o->at.k[l] && (lo < -EXACT || hi > EXACT))
            return 0;
        if (o->kind != OPD_load || !o->at.k[l])
            continue;
        loads += lanes && o->at.k[l] == 1;
        dear += o->at.k[l] == 1 ? lanes ? 0 : 0.25 : lanes ? 0.25 * (double)P : 0.5 * (double)P;
    }
    if (!out && loads == 0)
        return 0;
    return extent / (double)((int64_t)(extent + (double)P - 1) / P * P) / (1 + dear) *
           (out || n->sum_lanes ? 1 : extent / (extent + 8));
}

static bool is_of_loop(const Affine *f, int v)
{
    for (int l = 0; l < MAX_LOOPS; l++)
        if (l != v && f->k[l])
            return false;
    return true;
}

/* A bound of loop l that depends on loop v becomes a condition; false: it cannot. */
static bool free_bounds(Nest *n, int l, int v, const Bound *b, int n_bounds, int64_t sign)
{
    for (int k = 0; k < n_bounds; k++) {
        Affine f = b[k].e;
        if (!is_of_loop(&f, v) || (f.k[v] && (b[k].d != 1 || n->n_conds == MAX_CONDS)))
            return false;
        if (!f.k[v])
            continue;
        f.c = -sign * f.c;
        f.k[v] = -sign * f.k[v];
        f.k[l] = sign;
        n->cond[n->n_conds++] = f;
    }
    return true;
}

/* The iterations of loop l that meet the conditions at iteration `at` of loop v. */
static void met_range(const Nest *n, int l, int v, int64_t at, int64_t *lo, int64_t *hi)
{
    *lo = n->loop[l].min;
    *hi = n->loop[l].max;
    for (int k = 0; k < n->n_conds; k++) {
        const int64_t x = n->cond[k].c + n->cond[k].k[v] * at;
        if (n->cond[k].k[l] > 0 && -x > *lo)
            *lo = -x;
        if (n->cond[k].k[l] < 0 && x < *hi)
            *hi = x;
    }
}

/* How many of the iterations that loop v and the loops freed of it go through count. */
static double share_that_counts(const Nest *n, int v)
{
    double met = 0;
    int64_t lo, hi;

    for (int64_t at = n->loop[v].min; at <= n->loop[v].max; at++) {
        double here = 1;
        for (int l = n->n_out; l < n->n_loops; l++) {
            met_range(n, l, v, at, &lo, &hi);
            here *= hi < lo ? 0 : (double)(hi - lo + 1) / (double)nest_extent(n, l);
        }
        met += here;
    }
    return met / (double)nest_extent(n, v);
}

/* How far iterations of loop l that do not count are from those that do, at most. */
static int64_t farthest(const Nest *n, int l, int v)
{
    int64_t most = 0, lo, hi;

    for (int64_t at = n->loop[v].min; at <= n->loop[v].max; at++) {
        met_range(n, l, v, at, &lo, &hi);
        if (hi < lo)
            return INT32_MAX;
        most = lo - n->loop[l].min > most ? lo - n->loop[l].min : most;
        most = n->loop[l].max - hi > most ? n->loop[l].max - hi : most;
    }
    return most;
}

/* Do the loads of iterations that do not count, too, stay within their buffers and the slack? */
static bool loads_stay(const Nest *n, const Target *t, int v)
{
    for (int k = 0; k < n->n_opds; k++) {
        const Operand *o = &n->opd[k];
        int64_t over = 0;
        if (o->kind != OPD_load)
            continue;
        const int64_t B = n->buf[o->index].lanes ? t->B : 1, room = (NEST_SLACK / (t->f64 ? 8 : 4) - t->W) / B;
        for (int l = n->n_out; l < n->n_loops; l++) {
            const int64_t far = o->at.k[l] ? farthest(n, l, v) : 0, step = o->at.k[l] < 0 ? -o->at.k[l] : o->at.k[l];
            over += far && step > room ? room + 1 : far * step;
        }
        if (over > room)
            return false;
    }
    return true;
}

/* Reduction loops whose bounds depend on output loop v run over all they may meet for any v, under conditions.  False:
 * there are none, or it cannot be; then the loops in *was are the nest's again. */
static bool free_loop(Nest *n, const Target *t, int v, NestLoop *was)
{
    bool ok = v < n->n_out;

    memcpy(was, n->loop, sizeof n->loop);
    for (int l = n->n_out; ok && l < n->n_loops; l++) {
        NestLoop *o = &n->loop[l];
        if (o->box || !(nest_any_reads(o->lo, o->n_lo, v) || nest_any_reads(o->hi, o->n_hi, v)))
            continue;
        ok = free_bounds(n, l, v, o->lo, o->n_lo, 1) && free_bounds(n, l, v, o->hi, o->n_hi, -1);
        o->box = true;
    }
    for (int k = 0; k < n->n_aggs; k++)
        ok = ok && !n->agg[k].keep_place;
    ok = ok && n->n_conds > 0 && loads_stay(n, t, v);
    if (!ok) {
        memcpy(n->loop, was, sizeof n->loop);
        n->n_conds = 0;
    }
    return ok;
}

/* As pack_score, for a loop that bounds may depend on. */
static double pack_score_freed(Nest *n, const Target *t, int v)
{
    NestLoop was[MAX_LOOPS];
    double s = 0;

    if (!nest_bounded_by(n, v))
        return pack_score(n, v, t->W / t->B);
    if (free_loop(n, t, v, was)) {
        s = pack_score(n, v, t->W / t->B) * share_that_counts(n, v);
        memcpy(n->loop, was, sizeof was);
        n->n_conds = 0;
    }
    return s;
}

/* The loop of which a vector holds several iterations, all lanes of a block for each. */
static int packed_loop(Nest *n, const Target *t)
{
    const int64_t P = t->W / t->B;
    double most = 1.2 / (double)P;                      /* of what one iteration a vector does */
    int best = VEC_lanes;
    NestLoop was[MAX_LOOPS];

    for (int l = 0; P > 1 && l < n->n_loops; l++) {
        const double s = pack_score_freed(n, t, l);
        if (s > most) {
            most = s;
            best = l;
        }
    }
    if (best >= 0 && nest_bounded_by(n, best))
        free_loop(n, t, best, was);
    return best;
}

static int vector_loop(const Nest *n)
{
    int best = VEC_none;
    double most = 0;

    for (int any_step = 0; any_step < 2 && best == VEC_none; any_step++)
        for (int l = 0; l < n->n_loops; l++) {
            const double s = along_score(n, l, any_step);
            if (s > most) {
                most = s;
                best = l;
            }
        }
    return best;
}

/* ---- the model ----
 *
 * Cycles of a core with two multiply-adds and two loads a cycle, a latency of four (five, so that there is some slack),
 * and 16 or 32 registers.  The
 * numbers are fitted to timings of convolutions and products; what they rank first is within 10 % of the best. */

enum { MIN_BODY = 32, MAX_BODY = 320, LATENCY = 5, MAX_FULL = 3, SOME_BLOCKS = 8, MIN_BLOCK = 64,
       MIN_USES = 4, MOST_TURNED = 16, TURN_BLOCKS = 8, FAR = 2048, MOST_LISTED = 12,
       FAR_BYTES = 512 };
enum { L1 = 24 << 10, L2 = 384 << 10 };         /* bytes that stay, beside others */
#define MOST_COST 1.6                           /* of what the model ranks first: others are not worth a trial */

typedef struct Ranked { Schedule s; double cost; } Ranked;

typedef struct Model {
    Nest *n;
    const Target *t;
    int W;
    int number;                         /* bytes of one */
    int max_live, max_tile;             /* registers a tile may take; points it may have */
    int blocks;                         /* of lanes, in a call; 0: not known */
    double round;                       /* what a round of a loop costs beside its body */
    int red[MAX_LOOPS], n_red;          /* the order of the reduction loops */
    int64_t f[N_VARS];                  /* points of each loop in the body */
    double rounds;                      /* reduction points of one tile */
    double speed[MAX_OPDS];             /* bytes a cycle from where the operand is */
    bool outer[MAX_LOOPS];              /* reduction loops that stand outside the tiles */
    bool in_agg[MAX_OPDS];
    double most_body;                   /* text that the nest's work is worth compiling, in operations */
    double n_accs;                      /* registers that one point of the tile takes */
    bool places;                        /* winners' places are kept: constants and masks take registers as well */
    Schedule best;
    double best_cost;
    Ranked *list; int n_list;           /* the best of each sort, the best first; NULL: only the best of all is looked for */
} Model;

static int64_t steps_of(const Model *m, int l)
{
    const int64_t e = nest_extent(m->n, l), unit = nest_unit(m->n, m->t, l);
    return (e + unit - 1) / unit;
}

/* How many numbers c + the sum of k[l] * j, 0 <= j < points[l], there are; along the vector a step is W of them. */
static double distinct(const Model *m, const Affine *a, int64_t lane_step, const int64_t *points)
{
    int64_t span = 0, k[N_VARS], f[N_VARS];
    double n = 1;
    int len = 0;

    for (int l = 0; l < N_VARS; l++) {
        int64_t by = l == LANE_VAR ? lane_step : l >= MAX_LOOPS ? 0 : a->k[l] < 0 ? -a->k[l] : a->k[l];
        if (!by || points[l] <= 1)
            continue;
        by *= nest_unit(m->n, m->t, l);
        int at = len++;
        for (; at > 0 && k[at - 1] > by; at--) {
            k[at] = k[at - 1];
            f[at] = f[at - 1];
        }
        k[at] = by;
        f[at] = points[l];
    }
    for (int i = 0; i < len; i++) {
        const int64_t reach = span + k[i] * (f[i] - 1);
        n = k[i] > span ? n * (double)f[i] : n * (double)(reach + k[0]) / (double)(span + k[0]);
        span = reach;
    }
    return n;
}

/* Distinct values of an expression in the body, each times its cost; loads apart. */
static void count_ops(const Model *m, const Expr *e, uint32_t *loops, double *ops)
{
    *loops = 0;
    if (e->op == OP_col) {
        const Operand *o = &m->n->opd[e->col];
        for (int l = 0; l < m->n->n_loops; l++)
            *loops |= o->at.k[l] ? 1u << l : 0;
        if (o->kind == OPD_load && m->n->buf[o->index].lanes)
            *loops |= 1u << LANE_VAR;
        return;
    }
    for (int k = 0; k < e->n_args; k++) {
        uint32_t in;
        count_ops(m, e->arg[k], &in, ops);
        *loops |= in;
    }
    Expr self = *e;
    self.n_args = 0;
    double n = nest_cost(m->n, &self);
    for (int l = 0; l < N_VARS; l++)
        n *= *loops >> l & 1 ? (double)m->f[l] : 1;
    *ops += n;
}

static int64_t lane_step(const Nest *n, const Operand *o)
{
    return n->buf[o->index].lanes ? (int64_t)n->buf[o->index].rows : 0;
}

/* Loads of the operands that `e` reads; *held: registers for all but the operand that has most of them. */
static void count_loads(const Model *m, const Expr *e, bool *seen, double *loads, double *held, double *most)
{
    for (int k = 0; k < e->n_args; k++)
        count_loads(m, e->arg[k], seen, loads, held, most);
    if (e->op != OP_col || m->n->opd[e->col].kind != OPD_load || seen[e->col])
        return;
    seen[e->col] = true;
    const Operand *o = &m->n->opd[e->col];
    const int v = m->n->sched.vec;
    const double n = distinct(m, &o->at, lane_step(m->n, o), m->f);
    const bool near = v < 0 || (o->at.k[v] | 1) == 1;
    const double each = near ? 1 : 1.5 * m->W / (m->n->sched.packed && m->n->buf[o->index].lanes ? m->t->B : 1);
    double here = 1;
    for (int l = 0; l < N_VARS; l++)
        if ((l == LANE_VAR ? !m->n->sum_lanes && lane_step(m->n, o) : l < m->n->n_out && o->at.k[l]) && m->f[l] > 1)
            here *= (double)m->f[l];
    *loads += n * each;
    *held += here;
    *most = here > *most ? here : *most;
}

typedef struct Demand { double ops, loads, held; } Demand;

static Demand demand_of(const Model *m, bool stores)
{
    Demand r = { 0 };
    double most = 0;
    uint32_t loops;
    bool seen[MAX_OPDS] = { false };

    for (int k = 0; !stores && k < m->n->n_aggs; k++) {
        count_ops(m, m->n->agg[k].e, &loops, &r.ops);
        count_loads(m, m->n->agg[k].e, seen, &r.loads, &r.held, &most);
    }
    for (int k = 0; stores && k < m->n->n_stores; k++) {
        count_ops(m, m->n->store[k].e, &loops, &r.ops);
        count_loads(m, m->n->store[k].e, seen, &r.loads, &r.held, &most);
    }
    r.held -= most;
    return r;
}

static double max2(double x, double y)
{
    return x > y ? x : y;
}

static double tile_points(const Model *m)
{
    double t = m->n->sum_lanes ? 1 : (double)m->f[LANE_VAR];

    for (int l = 0; l < m->n->n_out; l++)
        t *= (double)m->f[l];
    return t;
}

/* ---- memory: what a tile reads from beyond the first cache ---- */

/* Bytes of cache lines that an operand touches at these points. */
static double bytes_of(const Model *m, const Operand *o, const int64_t *points)
{
    const int v = m->n->sched.vec;
    const bool lanes = m->n->buf[o->index].lanes, along = v >= 0 && (o->at.k[v] == 1 || o->at.k[v] == -1);
    const int numbers = m->n->sched.packed ? (lanes ? m->t->B : 1) * (along ? m->W / m->t->B : 1)
                      : lanes ? m->t->B : along ? m->W : 1;
    const double size = numbers * m->number;
    double run = 1;

    for (int l = 0; l < m->n->n_loops; l++)
        if ((o->at.k[l] == 1 || o->at.k[l] == -1) && (double)points[l] > run)
            run = (double)points[l];
    const double line = (double)(((int64_t)(run * size) + 63) / 64 * 64);
    return distinct(m, &o->at, lane_step(m->n, o), points) / run * line;
}

static double all_bytes(const Model *m, const Operand *o)
{
    int64_t points[N_VARS];

    for (int l = 0; l < N_VARS; l++)
        points[l] = l < m->n->n_loops ? steps_of(m, l) : 1;
    return bytes_of(m, o, points);
}

/* How many bytes lie between the vectors that neighbouring rounds load.  Products of plain matrices read a few lines of
 * one row, then of the next: such lines fall into few sets of the cache, so that some of them are fetched again, and
 * nothing fetches them ahead. */
static int64_t jumps(const Model *m, const Operand *o)
{
    const int v = m->n->sched.vec, in = m->n_red ? m->red[m->n_red - 1] : -1;

    if (in < 0 || v < 0 || in == v || m->n->lanes || o->kind != OPD_load || o->at.k[v] != 1)
        return 0;
    return (o->at.k[in] < 0 ? -o->at.k[in] : o->at.k[in]) % ((int64_t)1 << 40) * m->number;
}

/* Cycles to read what is new in the next tile along output loop `inner`. */
static double traffic(const Model *m, int inner)
{
    double all = 0, new_all = 0, new_inner = 0;
    int64_t here[N_VARS], both[N_VARS];

    for (int l = 0; l < N_VARS; l++)
        here[l] = l >= m->n->n_out && l < m->n->n_loops && !m->outer[l] ? steps_of(m, l) : m->f[l];
    if (m->n->sum_lanes)
        here[LANE_VAR] = m->n->sched.lanes_first ? 1 : SOME_BLOCKS;
    memcpy(both, here, sizeof both);
    both[inner] += here[inner];
    for (int k = 0; k < m->n->n_opds; k++) {
        const Operand *o = &m->n->opd[k];
        if (o->kind != OPD_load || !m->in_agg[k])
            continue;
        const double bytes = bytes_of(m, o, here), speed = jumps(m, o) >= 4 * FAR_BYTES ? m->speed[k] / 4 : m->speed[k];
        all += bytes;
        new_all += bytes / speed;
        new_inner += (bytes_of(m, o, both) - bytes) / speed;
    }
    return all > L1 ? new_all : new_inner;
}

/* Loops whose bounds depend on loop l stay inside it. */
static bool bounds_outputs(const Nest *n, int l)
{
    for (int k = 0; k < n->n_out; k++)
        if (!n->loop[k].box && (nest_any_reads(n->loop[k].lo, n->loop[k].n_lo, l) ||
                                nest_any_reads(n->loop[k].hi, n->loop[k].n_hi, l)))
            return true;
    return false;
}

static int innermost(const Model *m, double *cost)
{
    const Nest *n = m->n;
    int best = n->n_out ? n->n_out - 1 : LANE_VAR;

    *cost = traffic(m, best);
    for (int l = n->n_out - 2; l >= 0; l--) {
        if (steps_of(m, l) <= m->f[l] || bounds_outputs(n, l))
            continue;
        const double c = traffic(m, l);
        if (c < 0.8 * *cost) {
            *cost = c;
            best = l;
        }
    }
    return best;
}

/* What conditions add to `products`: little where all their loops are written out, so that the text knows which count. */
static double mask_ops(const Model *m, double products)
{
    double ops = m->n->n_conds ? 2 * products : 0;
    bool known = true;

    for (int k = 0; k < m->n->n_conds; k++) {
        double points = 2;
        for (int l = 0; l < m->n->n_loops; l++)
            if (m->n->cond[k].k[l]) {
                points *= (double)m->f[l];
                known = known && m->f[l] == steps_of(m, l);
            }
        ops += points;
    }
    return known ? ops / 4 : ops;
}

/* Vectors that the body loads from lines far apart. */
static double far_loads(const Model *m)
{
    double far = 0;

    for (int k = 0; k < m->n->n_opds; k++)
        if (m->in_agg[k] && jumps(m, &m->n->opd[k]) >= FAR_BYTES)
            far += distinct(m, &m->n->opd[k].at, lane_step(m->n, &m->n->opd[k]), m->f);
    return far;
}

/* One register tile, from its first load to its last store. */
static double tile_cost(const Model *m)
{
    const Nest *n = m->n;
    const double T = tile_points(m);
    const Demand end = demand_of(m, true);
    const double across = n->sum_lanes || n->sched.vec >= n->n_out ? 2.5 * T * n->n_aggs : 0;
    double cost = max2(max2(end.ops / 2, end.loads / 2), max2(T * n->n_stores, (end.ops + end.loads + T) / 5)) + 3;
    double U = 1;

    if (!n->n_aggs)
        return cost;
    for (int l = n->n_out; l < n->n_loops; l++)
        U *= (double)m->f[l];
    Demand in = demand_of(m, false);
    for (int k = 0; k < n->n_aggs; k++)
        in.ops += n->agg[k].op != AGG_sum ? (n->agg[k].keep_place ? 5 : 3) * T * U
                : n->agg[k].e->op == OP_mul ? 0 : T * U;
    in.ops += mask_ops(m, T * U * n->n_aggs);
    const double latency = LATENCY * U / n->sched.ways, issue = (in.ops + in.loads + 6) / 5.5;
    const double body = max2(max2(in.ops / 2, in.loads / 2), max2(latency, issue)) + far_loads(m) / 2;
    const double all = m->rounds / U * body * (1 + m->round / (16 + 4 * body)) + (1.5 * T + 6) * n->n_aggs / 2 + across + 4;
    double memory;
    innermost(m, &memory);
    return cost + max2(all, memory) + 0.3 * (all < memory ? all : memory);
}

/* The registers a tile needs. */
static bool tile_fits(const Model *m)
{
    const double T = tile_points(m);
    const Demand in = demand_of(m, false);

    if (T == 1)
        return true;
    if (in.ops > MAX_BODY || demand_of(m, true).ops > MAX_BODY)
        return false;
    return m->n->n_aggs ? T * m->n_accs * m->n->sched.ways + in.held + (m->places ? m->max_live / 2 : 1) <= m->max_live
                        : T <= 4 && demand_of(m, true).ops <= 2 * MIN_BODY;
}

static bool is_runtime(const Nest *n, int l)
{
    return !n->loop[l].box || l == n->split;
}

/* Tiles, the last of a loop a smaller one. */
static double tiles(const Model *m)
{
    double n = 1;

    for (int l = 0; l < m->n->n_out; l++) {
        const int64_t s = steps_of(m, l), rest = s % m->f[l];
        n *= (double)(s / m->f[l]) + (rest ? 0.05 + max2(0.6, (double)rest / (double)m->f[l]) : 0);
    }
    /* how many lane blocks there will be is not known: the rest of them may be all */
    const double f = m->n->sum_lanes ? 1 : (double)m->f[LANE_VAR];
    return n / f * (0.98 + 0.02 * f);
}

static double body_size(const Model *m)
{
    const Demand in = demand_of(m, m->n->n_aggs == 0);
    double points = tile_points(m);

    for (int l = m->n->n_out; l < m->n->n_loops; l++)
        points *= (double)m->f[l];
    return max2(points * m->n->n_aggs, in.ops);
}

/* How often the body is written: once more for the rest of each loop. */
static double copies(const Model *m)
{
    const Nest *n = m->n;
    double c = m->f[LANE_VAR] > 1 ? 2 : 1;

    for (int l = 0; l < n->n_loops; l++) {
        const int64_t s = steps_of(m, l);
        const bool rest = s % m->f[l] || nest_extent(n, l) % nest_unit(n, m->t, l) ||
                          (is_runtime(n, l) && (m->f[l] > 1 || n->sched.vec == l));
        c *= rest && s > m->f[l] ? 2 : 1;
    }
    return c;
}

/* The schedule that the model stands at. */
static void schedule_here(const Model *m, Schedule *s)
{
    const Nest *n = m->n;
    double ignored;
    const int inner = innermost(m, &ignored);
    int at = 0;

    *s = n->sched;
    for (int l = 0; l < n->n_loops; l++)
        *(l < n->n_out ? &s->tile[l] : &s->unroll[l]) = (int)m->f[l];
    for (int l = n->n_out; l < n->n_loops; l++)
        if (m->outer[l])
            s->order[at++] = l;
    for (int l = 0; l < n->n_out; l++)
        if (l != inner)
            s->order[at++] = l;
    if (inner < n->n_out)
        s->order[at++] = inner;
    for (int k = 0; k < m->n_red; k++)
        s->order[at++] = m->red[k];
    s->lane_tile = n->sum_lanes ? 1 : (int)m->f[LANE_VAR];
}

/* Of one sort: they run through the loops in one order, and no side of one tile is half as long again as the other's. */
static bool schedules_alike(const Model *m, const Schedule *a, const Schedule *b)
{
    bool alike = !memcmp(a->order, b->order, sizeof a->order) && a->lane_tile == b->lane_tile;

    for (int l = 0; l < m->n->n_out; l++)
        alike = alike && 2 * a->tile[l] < 3 * b->tile[l] && 2 * b->tile[l] < 3 * a->tile[l];
    return alike;
}

/* Into the list, unless one of its sort is better; those of its sort that are not go. */
static void list_schedule(Model *m, double cost)
{
    Ranked new = { .cost = cost };
    int at = 0, n = 0;

    if (m->n_list == MOST_LISTED && cost >= m->list[m->n_list - 1].cost)
        return;
    schedule_here(m, &new.s);
    for (at = 0; at < m->n_list && m->list[at].cost <= cost; at++)
        if (schedules_alike(m, &m->list[at].s, &new.s))
            return;
    for (int k = n = at; k < m->n_list; k++)
        if (!schedules_alike(m, &m->list[k].s, &new.s))
            m->list[n++] = m->list[k];
    n -= n == MOST_LISTED;
    memmove(m->list + at + 1, m->list + at, (size_t)(n - at) * sizeof *m->list);
    m->list[at] = new;
    m->n_list = n + 1;
}

static void rank_schedule(Model *m)
{
    const double text = copies(m) * body_size(m);
    const double cost = tiles(m) * tile_cost(m) * (1 + 0.1 * text / m->most_body);

    if (m->list) {
        list_schedule(m, cost);
    } else if (m->best_cost < 0 || cost < m->best_cost * 0.999) {
        m->best_cost = cost;
        schedule_here(m, &m->best);
    }
}

/* With ways, the rounds of the innermost loop go to them in turn, however many are written out. */
static bool factor_ok(const Model *m, int l, int64_t f)
{
    const int ways = m->n->sched.ways;

    if (l != m->red[m->n_red - 1] || ways == 1)
        return true;
    return is_runtime(m->n, l) ? f == ways : f % ways == 0 || f == steps_of(m, l);
}


/* Every number of innermost reduction loops written out in full, and the next one in part. */
static void try_unrolls(Model *m)
{
    static const int64_t part[] = { 1, 2, 4, 8 };
    const Nest *n = m->n;

    for (int l = n->n_out; l < n->n_loops; l++)
        m->f[l] = 1;
    if (!tile_fits(m))
        return;
    if (!m->n_red)
        rank_schedule(m);
    for (int full = 0; m->n_red && full <= MAX_FULL && full <= m->n_red; full++) {
        if (full) {
            const int l = m->red[m->n_red - full];
            const int64_t s = steps_of(m, l);
            if (is_runtime(n, l) || nest_bounded_by(n, l) || s > MAX_BODY || s < 1)
                break;
            m->f[l] = s;
            if (body_size(m) > m->most_body && full + n->sched.ways > 1)
                break;
        }
        if (full == m->n_red) {
            rank_schedule(m);
            break;
        }
        const int next = m->red[m->n_red - full - 1];
        for (size_t k = 0; k < COUNT_OF(part); k++) {
            if (k && (nest_bounded_by(n, next) || 2 * part[k] > steps_of(m, next)))
                break;
            m->f[next] = part[k];
            if (factor_ok(m, next, part[k]) && (k == 0 || part[k] == n->sched.ways || body_size(m) <= m->most_body))
                rank_schedule(m);
        }
        m->f[next] = 1;
    }
}

/* Tiles over the output loops from l on; at most `left` more points. */
static void try_tiles(Model *m, int l, int64_t left, int more)
{
    const Nest *n = m->n;

    if (l == n->n_out) {
        const int64_t most = !n->lanes || n->sum_lanes ? 1 : m->blocks ? m->blocks : 4;
        for (int64_t f = 1; f <= most && f <= left; f++)
            if (most % f == 0) {
                m->f[LANE_VAR] = f;
                try_unrolls(m);
            }
        m->f[LANE_VAR] = 1;
        return;
    }
    const int64_t s = steps_of(m, l);
    m->f[l] = 1;
    try_tiles(m, l + 1, left, more);
    if (nest_bounded_by(n, l) || !more)
        return;
    for (int64_t f = 2; f <= left && f <= s; f++) {
        if (s % f && s < 3 * f)
            continue;
        m->f[l] = f;
        try_tiles(m, l + 1, left / f, more - 1);
    }
    m->f[l] = 1;
}

/* ---- what the order of sums depends on ---- */

/* Can one sum be split, and into how many, so that enough of them are on the way at a time? */
static int ways_of(const Model *m)
{
    const Nest *n = m->n;
    int64_t T = n->lanes && !n->sum_lanes ? 2 : 1;
    double cost = 0;

    for (int k = 0; k < n->n_aggs; k++) {
        cost += nest_cost(n, n->agg[k].e);
        if (n->agg[k].op != AGG_sum)
            return 1;
    }
    for (int l = 0; l < n->n_out; l++)
        if (!nest_bounded_by(n, l) && T < 8)
            T *= steps_of(m, l);
    if (!m->n_red || !n->n_aggs || cost > 30)
        return 1;
    int ways = 1;
    while (ways < 8 && 2 * ways * T * n->n_aggs <= 8 && 4 * ways <= steps_of(m, m->red[m->n_red - 1]))
        ways *= 2;
    return ways;
}

static bool keeps_places(const Nest *n)
{
    for (int k = 0; k < n->n_aggs; k++)
        if (n->agg[k].keep_place)
            return true;
    return false;
}

/* Reduction loop l may stand innermost. */
static bool may_end(const Model *m, int l)
{
    const Nest *n = m->n;
    return !m->outer[l] && n->loop[l].box && l != n->split && !nest_bounded_by(n, l) && !keeps_places(n);
}

/* How far apart what neighbouring iterations of loop l read is, all operands together. */
static int64_t stride_sum(const Nest *n, int l)
{
    int64_t sum = 0;

    for (int k = 0; k < n->n_opds; k++)
        if (n->opd[k].kind == OPD_load)
            sum += (n->opd[k].at.k[l] < 0 ? -n->opd[k].at.k[l] : n->opd[k].at.k[l]) % ((int64_t)1 << 40);
    return sum;
}

/* Far strides outside, so that the order does not depend on how the loops were written; not where bounds or winners
 * depend on the order. */
static void sort_reductions(Model *m)
{
    const Nest *n = m->n;
    bool free = !keeps_places(n);

    for (int l = n->n_out; l < n->n_loops; l++)
        free = free && n->loop[l].box;
    for (int i = 1; free && i < m->n_red; i++)
        for (int j = i; j > 0 && stride_sum(n, m->red[j - 1]) < stride_sum(n, m->red[j]); j--) {
            const int l = m->red[j];
            m->red[j] = m->red[j - 1];
            m->red[j - 1] = l;
        }
}

/* Far strides outside or the nest's order, but for x and then y, which go to the end (-1: none). */
static void reductions_ending(Model *m, int x, int y)
{
    m->n_red = 0;
    for (int l = m->n->n_out; l < m->n->n_loops; l++)
        if (l != x && l != y && !m->outer[l])
            m->red[m->n_red++] = l;
    sort_reductions(m);
    if (x >= 0)
        m->red[m->n_red++] = x;
    if (y >= 0)
        m->red[m->n_red++] = y;
}

static void try_order(Model *m, int x, int y)
{
    reductions_ending(m, x, y);
    m->n->sched.ways = ways_of(m);
    try_tiles(m, 0, m->max_tile, 3);
}

static void try_orders(Model *m)
{
    const Nest *n = m->n;
    const int last = n->sched.vec >= n->n_out ? n->sched.vec : -1;

    try_order(m, -1, last);
    for (int x = n->n_out; x < n->n_loops; x++)
        for (int y = x; y < n->n_loops; y++) {
            if (!may_end(m, x) || !may_end(m, y) || (last >= 0 && x != last && y != last))
                continue;
            const bool vec_first = x == last;
            try_order(m, x == y ? -1 : vec_first ? y : x, vec_first ? x : y);
        }
}

/* ---- loops outside the tiles ---- */

/* Results may be added up in the stores' buffers: they are plain sums. */
static bool sums_in_place(const Nest *n)
{
    for (int k = 0; k < n->n_aggs; k++)
        if (n->agg[k].op != AGG_sum)
            return false;
    for (int k = 0; k < n->n_stores; k++)
        if (n->store[k].e->op != OP_col || n->opd[n->store[k].e->col].kind != OPD_agg)
            return false;
    return n->n_aggs > 0;
}

static void mark_loads(Model *m, const Expr *e)
{
    if (e->op == OP_col)
        m->in_agg[e->col] = true;
    for (int k = 0; k < e->n_args; k++)
        mark_loads(m, e->arg[k]);
}

/* What the loads touch, with `part` of the steps of loop l. */
static double bytes_in_all(const Model *m, int l, int64_t part)
{
    int64_t points[N_VARS];
    double bytes = 0;

    for (int k = 0; k < N_VARS; k++)
        points[k] = k == l ? part : k < m->n->n_loops ? steps_of(m, k) : 1;
    for (int k = 0; k < m->n->n_opds; k++)
        if (m->n->opd[k].kind == OPD_load && m->in_agg[k])
            bytes += bytes_of(m, &m->n->opd[k], points);
    return bytes;
}

/* Iterations of reduction loop l that go together, so that what they read stays in the second cache.  0: all of them
 * do, or none. */
static int64_t block_of(const Model *m, int l)
{
    const int64_t e = nest_extent(m->n, l);

    if (!sums_in_place(m->n) || m->n->lanes || !m->n->loop[l].box || l == m->n->split || l == m->n->sched.vec ||
        nest_bounded_by(m->n, l) || bytes_in_all(m, -1, 0) <= L2 || e < 4 * MIN_BLOCK)
        return 0;
    int64_t b = e / 2;
    while (b > MIN_BLOCK && bytes_in_all(m, l, b) > L2 / 2)
        b = (b + 1) / 2;
    for (int64_t d = b; 2 * d > b; d--)
        if (e % d == 0)
            return d;
    return (b + 3) / 4 * 4;
}

static void split_affine(Affine *a, int l, int64_t block)
{
    memmove(a->k + l + 1, a->k + l, (MAX_LOOPS - 1 - l) * sizeof *a->k);
    a->k[l] = a->k[l + 1] * block;
}

/* Reduction loop l becomes two: over blocks, which goes outside the tiles, and within one, of which the last may be
 * shorter. */
static void make_blocks(Model *m, int l, int64_t block)
{
    Nest *n = m->n;
    const int64_t e = nest_extent(n, l);

    each_affine(n, split_affine, l, block);
    memmove(n->loop + l + 1, n->loop + l, (MAX_LOOPS - 1 - l) * sizeof *n->loop);
    n->n_loops++;
    n->split += n->split > l;
    n->sched.vec += n->sched.vec > l;
    n->loop[l] = (NestLoop){ .min = 0, .max = (e - 1) / block, .box = true };
    NestLoop *in = &n->loop[l + 1];
    const int64_t min = in->min, max = in->max;
    in->max = min + block - 1;
    if (e % block) {
        n->made[0] = (Bound){ .e.c = min, .d = 1 };
        n->made[1] = (Bound){ .e.c = in->max, .d = 1 };
        n->made[2] = (Bound){ .e.c = max, .d = 1 };
        n->made[2].e.k[l] = -block;
        *in = (NestLoop){ .min = min, .max = in->max, .lo = n->made, .n_lo = 1, .hi = n->made + 1, .n_hi = 2 };
    }
    m->outer[l] = true;
}

static void choose_outer(Model *m)
{
    Nest *n = m->n;
    double rounds = 1;

    for (int l = n->n_out; l < n->n_loops; l++)
        rounds *= (double)nest_extent(n, l);
    n->sched.lanes_first = n->sum_lanes && sums_in_place(n) && rounds >= MIN_BLOCK;
    for (int l = n->n_loops - 1; l >= n->n_out && n->n_loops < MAX_LOOPS; l--) {
        const int64_t b = block_of(m, l);
        if (b) {
            make_blocks(m, l, b);
            break;
        }
    }
}

/* ---- sums over lanes alone ---- */

/* Whether vectors may run along output loop v, all that has lanes and runs along it being turned over. */
static bool turns_along(const Nest *n, int v)
{
    bool any = false;

    for (int k = 0; k < n->n_stores; k++)
        if (n->store[k].at.k[v] != 1)
            return false;
    for (int k = 0; k < n->n_opds; k++) {
        const Operand *o = &n->opd[k];
        if ((o->kind != OPD_load && o->kind != OPD_agg && o->at.k[v]) || (o->kind == OPD_load && (o->at.k[v] | 1) != 1))
            return false;
        if (o->kind != OPD_load || !n->buf[o->index].lanes || !o->at.k[v])
            continue;
        for (int l = 0; l < n->n_out; l++)
            if (l != v && o->at.k[l])
                return false;
        any = true;
    }
    return any;
}

static bool is_wide_along(const Nest *n, const Expr *e, int v)
{
    bool any = e->op == OP_col && n->opd[e->col].at.k[v];

    for (int k = 0; k < e->n_args; k++)
        any |= is_wide_along(n, e->arg[k], v);
    return any;
}

/* How far apart neighbouring rounds of the reduction loops read, at least: numbers of an operand with lanes; 0: of none. */
static int64_t least_stride(const Nest *n, const Target *t)
{
    int64_t least = INT64_MAX;

    for (int k = 0; k < n->n_opds; k++)
        for (int l = n->n_out; l < n->n_loops; l++) {
            const int64_t s = n->opd[k].at.k[l] < 0 ? -n->opd[k].at.k[l] : n->opd[k].at.k[l];
            if (n->opd[k].kind == OPD_load && n->buf[n->opd[k].index].lanes && s && s < least)
                least = s;
        }
    return least < INT64_MAX ? least * t->B : 0;
}

/* Reduction loops stay inside the tile or go outside it, none depends on another loop.  Vectors of lanes would be read
 * from far apart, one after the other, and be few. */
static bool reductions_turn(const Nest *n, const Target *t)
{
    for (int l = 0; l < n->n_loops; l++)
        if (!n->loop[l].box || nest_extent(n, l) < 1)
            return n->n_loops == n->n_out;
    return n->n_loops == n->n_out || least_stride(n, t) * (t->f64 ? 8 : 4) >= FAR;
}

/* The output loop that vectors are turned along; -1: the sums run across vectors of lanes.  Turning pays where each
 * sum has few numbers beside the lanes, and others use what was turned. */
static int turned_loop(const Nest *n, const Target *t)
{
    bool ok = n->sum_lanes && sums_in_place(n) && reductions_turn(n, t);

    for (int k = 0; ok && k < n->n_aggs; k++)
        ok = body_is_zero(n, n->agg[k].e);
    for (int v = n->n_out - 1; ok && v >= 0; v--) {
        int64_t others = 1;
        for (int l = 0; l < n->n_out; l++)
            others *= l != v && others < MIN_USES ? nest_extent(n, l) : 1;
        bool wide = turns_along(n, v) && nest_extent(n, v) >= MIN_USES && others >= MIN_USES;
        for (int k = 0; k < n->n_aggs; k++)
            wide = wide && is_wide_along(n, n->agg[k].e, v);
        if (wide)
            return v;
    }
    return -1;
}

/* The most of e rounds that divide them and are at most `most`; all of them if there is no good number. */
static int64_t rounds_of(int64_t e, int64_t most)
{
    int64_t b = e < most ? e : most > 1 ? most : 1;

    while (e % b)
        b--;
    return b < 4 && e <= 4 * most ? e : b;
}

/* Which rounds of the reduction loops go together: those of near strides, up to a number of vectors that stays in the
 * first cache when turned. */
static void turn_reductions(Model *m)
{
    Schedule *s = &m->n->sched;
    int64_t rounds = 1;
    bool full = false;

    reductions_ending(m, -1, -1);
    for (int i = m->n_red - 1; i >= 0; i--) {
        const int l = m->red[i];
        const int64_t e = nest_extent(m->n, l), b = full ? 1 : rounds_of(e, MOST_TURNED / rounds);
        rounds *= b;
        if (b == e)
            continue;
        full = m->outer[l] = true;
        if (b == 1 || m->n->n_loops == MAX_LOOPS)
            continue;
        make_blocks(m, l, b);
        for (int j = 0; j < i; j++)
            m->red[j] += m->red[j] > l;
    }
    s->turn_blocks = rounds < TURN_BLOCKS ? TURN_BLOCKS / (int)rounds : 1;
}

static void order_turned(Model *m)
{
    Schedule *s = &m->n->sched;
    int at = 0;

    for (int l = m->n->n_out; l < m->n->n_loops; l++)
        if (m->outer[l])
            s->order[at++] = l;
    s->order[at++] = s->vec;
    for (int l = 0; l < m->n->n_out; l++)
        if (l != s->vec)
            s->order[at++] = l;
    reductions_ending(m, -1, -1);
    for (int i = 0; i < m->n_red; i++)
        s->order[at++] = m->red[i];
}

/* Two vectors, and as many points of another loop as there are registers. */
static void schedule_turned(Model *m)
{
    Schedule *s = &m->n->sched;
    const int per_vector = (int)(m->max_tile / m->n_accs);
    int other = -1;

    turn_reductions(m);
    order_turned(m);
    s->tile[s->vec] = steps_of(m, s->vec) > 1 && per_vector > 1 ? 2 : 1;
    for (int l = 0; l < m->n->n_out; l++)
        if (l != s->vec && (other < 0 || nest_extent(m->n, l) >= nest_extent(m->n, other)))
            other = l;
    const int64_t most = per_vector / s->tile[s->vec], e = other < 0 ? 1 : nest_extent(m->n, other);
    for (int64_t f = 1, least = INT64_MAX; f <= most && f <= e; f++)
        if ((e + f - 1) / f + (e % f > 0) <= least) {
            least = (e + f - 1) / f + (e % f > 0);
            s->tile[other] = (int)f;
        }
}

/* What the model knows of a nest before its loops have an order. */
static void model_nest(Model *m, Nest *n, const Target *t)
{
    *m = (Model){ .n = n, .t = t, .W = t->W, .number = t->f64 ? 8 : 4, .blocks = t->blocks, .best_cost = -1 };
    m->max_live = t->regs == 32 ? 30 : 15;
    m->max_tile = t->regs == 32 ? 24 : 12;
    for (int k = 0; k < n->n_aggs; k++) {
        m->n_accs += n->agg[k].keep_place ? 2 : 1;
        m->places |= n->agg[k].keep_place && t->regs == 32;
        mark_loads(m, n->agg[k].e);
    }
    m->round = t->regs == 32 && !m->places ? 8 : 16;
    for (int l = 0; l < N_VARS; l++)
        m->f[l] = 1;
}

/* … and when it is known which loops stand outside the tiles. */
static void model_sizes(Model *m)
{
    const Nest *n = m->n;

    for (int k = 0; k < n->n_opds; k++)
        m->speed[k] = n->opd[k].kind != OPD_load || all_bytes(m, &n->opd[k]) <= L2 ? 24 : 10;
    m->rounds = n->sum_lanes && !n->sched.lanes_first ? SOME_BLOCKS : 1;
    for (int l = n->n_out; l < n->n_loops; l++)
        m->rounds *= m->outer[l] ? 1 : (double)steps_of(m, l) * (n->loop[l].box || n->loop[l].lo == n->made ? 1 : 0.6);
    m->most_body = nest_work(n) / 100;
    m->most_body = m->most_body < MIN_BODY ? MIN_BODY : m->most_body > MAX_BODY ? MAX_BODY : m->most_body;
}

void nest_schedule(Nest *n, const Target *t)
{
    Schedule *s = &n->sched;
    Model m;

    plainer(n);
    *s = (Schedule){ .lane_tile = 1, .ways = 1 };
    for (int l = 0; l < MAX_LOOPS; l++) {
        s->order[l] = l;
        s->tile[l] = s->unroll[l] = 1;
    }
    s->vec = n->lanes ? packed_loop(n, t) : vector_loop(n);
    s->packed = n->lanes && s->vec >= 0;
    model_nest(&m, n, t);
    const int turned = turned_loop(n, t);
    if (turned >= 0) {
        s->vec = turned;
        s->packed = false;
        s->turned = true;
        schedule_turned(&m);
        return;
    }
    choose_outer(&m);
    model_sizes(&m);
    try_orders(&m);
    if (m.best_cost >= 0)
        *s = m.best;
}

/* ---- other schedules with the same bits ---- */

/* Is it made of stored numbers alone?  Where a key is a number of the text, to multiply by it may be nothing. */
static bool of_loads(const Nest *n, const Expr *e)
{
    bool all = e->op != OP_lit_int && e->op != OP_lit_real && (e->op != OP_col || n->opd[e->col].kind == OPD_load);

    for (int k = 0; k < e->n_args; k++)
        all = all && of_loads(n, e->arg[k]);
    return all;
}

/* Nothing is added behind these without their own result in between; behind a choice it may be, in either branch. */
static bool leaves_products(const Nest *n, const Expr *e)
{
    return e->op == OP_neg || e->op == OP_abs || ((e->op == OP_mul || e->op == OP_div) && of_loads(n, e));
}

/* Is a product added to something, here or in a function?  Whether the two are rounded once or twice is the compiler's
 * choice, and may depend on where the product stands. */
static bool adds_product(const Nest *n, const Expr *e)
{
    bool any = false;

    for (int k = 0; k < e->n_args; k++) {
        const Expr *a = e->arg[k];
        any |= adds_product(n, a) || (!leaves_products(n, e) && (a->op == OP_mul || a->op == OP_neg));
    }
    return any;
}

/* The loops that an expression's value depends on. */
static uint32_t loops_read(const Nest *n, const Expr *e)
{
    uint32_t loops = 0;

    for (int k = 0; k < e->n_args; k++)
        loops |= loops_read(n, e->arg[k]);
    if (e->op != OP_col)
        return loops;
    for (int l = 0; l < n->n_loops; l++)
        loops |= n->opd[e->col].at.k[l] ? 1u << l : 0;
    return loops | (n->opd[e->col].kind == OPD_load && n->buf[n->opd[e->col].index].lanes ? 1u << LANE_VAR : 0);
}

/* Do the bits follow from what all schedules of the list have in common?  A product that is added up stands beside the
 * sum wherever it depends on all loops. */
static bool schedule_keeps_bits(const Nest *n)
{
    const uint32_t all = ((1u << n->n_loops) - 1) | (n->lanes ? 1u << LANE_VAR : 0);
    bool ok = !n->n_conds && n->n_aggs > 0 && !n->sched.turned;

    for (int k = 0; ok && k < n->n_aggs; k++)
        ok = !adds_product(n, n->agg[k].e) && loops_read(n, n->agg[k].e) == all;
    for (int k = 0; ok && k < n->n_stores; k++)
        ok = !adds_product(n, n->store[k].e);
    return ok;
}

/* The loops as the nest's schedule has them. */
static void model_order(Model *m)
{
    const Schedule *s = &m->n->sched;
    int last = 0;

    for (int k = 0; k < m->n->n_loops; k++)
        last = s->order[k] < m->n->n_out ? k : last;
    for (int k = 0; k < m->n->n_loops; k++) {
        if (s->order[k] < m->n->n_out)
            continue;
        if (k < last)
            m->outer[s->order[k]] = true;
        else
            m->red[m->n_red++] = s->order[k];
    }
}

int nest_candidates(const Nest *n, const Target *t, Schedule *out, int most)
{
    Ranked list[MOST_LISTED];
    Nest copy = *n;
    Model m;
    int k = 1;

    out[0] = n->sched;
    if (most < 2 || !schedule_keeps_bits(n))
        return 1;
    model_nest(&m, &copy, t);
    model_order(&m);
    model_sizes(&m);
    m.list = list;
    try_tiles(&m, 0, m.max_tile, 3);
    for (int i = 0; i < m.n_list && k < most; i++)
        if (list[i].cost <= MOST_COST * list[0].cost && !schedules_alike(&m, &list[i].s, &out[0]))
            out[k++] = list[i].s;
    return k;
}
