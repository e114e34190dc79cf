/* SPDX-License-Identifier: Apache-2.0
 *
 * vector.c - which loop of a nest goes along the vector. */
#include "lower/schedule.h"

#include <string.h>

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
int sched_packed_loop(Nest *n, const Target *t)
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

int sched_vector_loop(const Nest *n)
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
