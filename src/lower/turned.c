/* SPDX-License-Identifier: Apache-2.0
 *
 * turned.c - sums over lanes alone: vectors run along an output loop, and what has lanes is turned over for it. */
#include "lower/schedule.h"

enum { MIN_USES = 4, MOST_TURNED = 16, TURN_BLOCKS = 8, FAR = 2048 };

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
int sched_turned_loop(const Nest *n, const Target *t)
{
    bool ok = n->sum_lanes && sched_sums_in_place(n) && reductions_turn(n, t);

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

    sched_reductions_ending(m, -1, -1);
    for (int i = m->n_red - 1; i >= 0; i--) {
        const int l = m->red[i];
        const int64_t e = nest_extent(m->n, l), b = full ? 1 : rounds_of(e, MOST_TURNED / rounds);
        rounds *= b;
        if (b == e)
            continue;
        full = m->outer[l] = true;
        if (b == 1 || m->n->n_loops == MAX_LOOPS)
            continue;
        sched_make_blocks(m, l, b);
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
    sched_reductions_ending(m, -1, -1);
    for (int i = 0; i < m->n_red; i++)
        s->order[at++] = m->red[i];
}

/* Two vectors, and as many points of another loop as there are registers. */
void sched_turned(Model *m)
{
    Schedule *s = &m->n->sched;
    const int per_vector = (int)(m->max_tile / m->n_accs);
    int other = -1;

    turn_reductions(m);
    order_turned(m);
    s->tile[s->vec] = sched_steps(m, s->vec) > 1 && per_vector > 1 ? 2 : 1;
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
