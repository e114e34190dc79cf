/* SPDX-License-Identifier: Apache-2.0
 *
 * schedule.c - how a nest runs: which loop goes along the vector, the order of loops, the register tile, what is
 * written out.
 *
 * First the nest is made plainer.  Then come the choices that the bits of sums depend on, by rules over the nest and
 * the target: the vector loop, the order of reduction loops, how many ways a sum is split.  Tiles, the order of output
 * loops and the number of iterations written out change no bit; they are the best by a model of the machine, or those
 * of a few that the model ranks first which turn out fastest. */
#include "lower/schedule.h"

#include <string.h>

enum { MAX_FULL = 3, MIN_BLOCK = 64 };
#define MOST_COST 1.6                           /* of what the model ranks first: others are not worth a trial */

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

/* ---- tiles, and what is written out ---- */

/* With ways, the rounds of the innermost loop go to them in turn, however many are written out. */
static bool factor_ok(const Model *m, int l, int64_t f)
{
    const int ways = m->n->sched.ways;

    if (l != m->red[m->n_red - 1] || ways == 1)
        return true;
    return sched_is_runtime(m->n, l) ? f == ways : f % ways == 0 || f == sched_steps(m, l);
}


/* Every number of innermost reduction loops written out in full, and the next one in part. */
static void try_unrolls(Model *m)
{
    static const int64_t part[] = { 1, 2, 4, 8 };
    const Nest *n = m->n;

    for (int l = n->n_out; l < n->n_loops; l++)
        m->f[l] = 1;
    if (!sched_tile_fits(m))
        return;
    if (!m->n_red)
        sched_rank(m);
    for (int full = 0; m->n_red && full <= MAX_FULL && full <= m->n_red; full++) {
        if (full) {
            const int l = m->red[m->n_red - full];
            const int64_t s = sched_steps(m, l);
            if (sched_is_runtime(n, l) || nest_bounded_by(n, l) || s > MAX_BODY || s < 1)
                break;
            m->f[l] = s;
            if (sched_body_size(m) > m->most_body && full + n->sched.ways > 1)
                break;
        }
        if (full == m->n_red) {
            sched_rank(m);
            break;
        }
        const int next = m->red[m->n_red - full - 1];
        for (size_t k = 0; k < COUNT_OF(part); k++) {
            if (k && (nest_bounded_by(n, next) || 2 * part[k] > sched_steps(m, next)))
                break;
            m->f[next] = part[k];
            if (factor_ok(m, next, part[k]) && (k == 0 || part[k] == n->sched.ways || sched_body_size(m) <= m->most_body))
                sched_rank(m);
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
    const int64_t s = sched_steps(m, l);
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
            T *= sched_steps(m, l);
    if (!m->n_red || !n->n_aggs || cost > 30)
        return 1;
    int ways = 1;
    while (ways < 8 && 2 * ways * T * n->n_aggs <= 8 && 4 * ways <= sched_steps(m, m->red[m->n_red - 1]))
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
void sched_reductions_ending(Model *m, int x, int y)
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
    sched_reductions_ending(m, x, y);
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
bool sched_sums_in_place(const Nest *n)
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
        points[k] = k == l ? part : k < m->n->n_loops ? sched_steps(m, k) : 1;
    for (int k = 0; k < m->n->n_opds; k++)
        if (m->n->opd[k].kind == OPD_load && m->in_agg[k])
            bytes += sched_bytes_of(m, &m->n->opd[k], points);
    return bytes;
}

/* Iterations of reduction loop l that go together, so that what they read stays in the second cache.  0: all of them
 * do, or none. */
static int64_t block_of(const Model *m, int l)
{
    const int64_t e = nest_extent(m->n, l);

    if (!sched_sums_in_place(m->n) || m->n->lanes || !m->n->loop[l].box || l == m->n->split || l == m->n->sched.vec ||
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

void sched_make_blocks(Model *m, int l, int64_t block)
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
    n->sched.lanes_first = n->sum_lanes && sched_sums_in_place(n) && rounds >= MIN_BLOCK;
    for (int l = n->n_loops - 1; l >= n->n_out && n->n_loops < MAX_LOOPS; l--) {
        const int64_t b = block_of(m, l);
        if (b) {
            sched_make_blocks(m, l, b);
            break;
        }
    }
}

/* ---- the whole ---- */

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
        m->speed[k] = n->opd[k].kind != OPD_load || sched_all_bytes(m, &n->opd[k]) <= L2 ? 24 : 10;
    m->rounds = n->sum_lanes && !n->sched.lanes_first ? SOME_BLOCKS : 1;
    for (int l = n->n_out; l < n->n_loops; l++)
        m->rounds *= m->outer[l] ? 1 : (double)sched_steps(m, l) * (n->loop[l].box || n->loop[l].lo == n->made ? 1 : 0.6);
    m->most_body = nest_work(n) / 100;
    m->most_body = m->most_body < MIN_BODY ? MIN_BODY : m->most_body > MAX_BODY ? MAX_BODY : m->most_body;
}

static void schedule_alone(Nest *n, const Target *t)
{
    Schedule *s = &n->sched;
    Model m;

    plainer(n);
    *s = (Schedule){ .lane_tile = 1, .ways = 1 };
    for (int l = 0; l < MAX_LOOPS; l++) {
        s->order[l] = l;
        s->tile[l] = s->unroll[l] = 1;
    }
    s->vec = n->lanes ? sched_packed_loop(n, t) : sched_vector_loop(n);
    s->packed = n->lanes && s->vec >= 0;
    model_nest(&m, n, t);
    const int turned = sched_turned_loop(n, t);
    if (turned >= 0) {
        s->vec = turned;
        s->packed = false;
        s->turned = true;
        sched_turned(&m);
        return;
    }
    choose_outer(&m);
    model_sizes(&m);
    try_orders(&m);
    if (m.best_cost >= 0)
        *s = m.best;
}

void nest_schedule(Nest *n, const Target *t)
{
    for (; n; n = n->next)
        schedule_alone(n, t);
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
    if (most < 2 || n->next || !schedule_keeps_bits(n))
        return 1;
    model_nest(&m, &copy, t);
    model_order(&m);
    model_sizes(&m);
    m.list = list;
    try_tiles(&m, 0, m.max_tile, 3);
    for (int i = 0; i < m.n_list && k < most; i++)
        if (list[i].cost <= MOST_COST * list[0].cost && !sched_alike(&m, &list[i].s, &out[0]))
            out[k++] = list[i].s;
    return k;
}
