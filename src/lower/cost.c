/* SPDX-License-Identifier: Apache-2.0
 *
 * cost.c - the model of the machine by which schedules are ranked.
 *
 * Cycles of a core with two multiply-adds and two loads a cycle, a latency of four (five, so that there is some slack),
 * and 16 or 32 registers.  The numbers are fitted to timings of convolutions and products; what they rank first is
 * within 10 % of the best. */
#include "lower/schedule.h"

#include <string.h>

enum { LATENCY = 5, FAR_BYTES = 512 };

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
double sched_bytes_of(const Model *m, const Operand *o, const int64_t *points)
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

double sched_all_bytes(const Model *m, const Operand *o)
{
    int64_t points[N_VARS];

    for (int l = 0; l < N_VARS; l++)
        points[l] = l < m->n->n_loops ? sched_steps(m, l) : 1;
    return sched_bytes_of(m, o, points);
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
        here[l] = l >= m->n->n_out && l < m->n->n_loops && !m->outer[l] ? sched_steps(m, l) : m->f[l];
    if (m->n->sum_lanes)
        here[LANE_VAR] = m->n->sched.lanes_first ? 1 : SOME_BLOCKS;
    memcpy(both, here, sizeof both);
    both[inner] += here[inner];
    for (int k = 0; k < m->n->n_opds; k++) {
        const Operand *o = &m->n->opd[k];
        if (o->kind != OPD_load || !m->in_agg[k])
            continue;
        const double bytes = sched_bytes_of(m, o, here), speed = jumps(m, o) >= 4 * FAR_BYTES ? m->speed[k] / 4 : m->speed[k];
        all += bytes;
        new_all += bytes / speed;
        new_inner += (sched_bytes_of(m, o, both) - bytes) / speed;
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
        if (sched_steps(m, l) <= m->f[l] || bounds_outputs(n, l))
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
                known = known && m->f[l] == sched_steps(m, l);
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
bool sched_tile_fits(const Model *m)
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

bool sched_is_runtime(const Nest *n, int l)
{
    return !n->loop[l].box || l == n->split;
}

/* Tiles, the last of a loop a smaller one. */
static double tiles(const Model *m)
{
    double n = 1;

    for (int l = 0; l < m->n->n_out; l++) {
        const int64_t s = sched_steps(m, l), rest = s % m->f[l];
        n *= (double)(s / m->f[l]) + (rest ? 0.05 + max2(0.6, (double)rest / (double)m->f[l]) : 0);
    }
    /* how many lane blocks there will be is not known: the rest of them may be all */
    const double f = m->n->sum_lanes ? 1 : (double)m->f[LANE_VAR];
    return n / f * (0.98 + 0.02 * f);
}

double sched_body_size(const Model *m)
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
        const int64_t s = sched_steps(m, l);
        const bool rest = s % m->f[l] || nest_extent(n, l) % nest_unit(n, m->t, l) ||
                          (sched_is_runtime(n, l) && (m->f[l] > 1 || n->sched.vec == l));
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
bool sched_alike(const Model *m, const Schedule *a, const Schedule *b)
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
        if (sched_alike(m, &m->list[at].s, &new.s))
            return;
    for (int k = n = at; k < m->n_list; k++)
        if (!sched_alike(m, &m->list[k].s, &new.s))
            m->list[n++] = m->list[k];
    n -= n == MOST_LISTED;
    memmove(m->list + at + 1, m->list + at, (size_t)(n - at) * sizeof *m->list);
    m->list[at] = new;
    m->n_list = n + 1;
}

void sched_rank(Model *m)
{
    const double text = copies(m) * sched_body_size(m);
    const double cost = tiles(m) * tile_cost(m) * (1 + 0.1 * text / m->most_body);

    if (m->list) {
        list_schedule(m, cost);
    } else if (m->best_cost < 0 || cost < m->best_cost * 0.999) {
        m->best_cost = cost;
        schedule_here(m, &m->best);
    }
}
