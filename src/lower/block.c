/* SPDX-License-Identifier: Apache-2.0
 *
 * block.c - a block over regular sources as a nest.
 *
 *   conditions   equalities eliminate variables, inequalities bound them (condition.c)
 *   outputs      which variables the grouping keeps; a key that mixes some (samples.r - weight.r) becomes one itself
 *   loops        output loops in the order of the keys, then the rest as reductions, with exact bounds
 *   rows         of the result, and whether they are there
 *   numbers      operands as affine forms of the loops, sums, stores (result.c); unions (union.c, concat.c)
 *
 * Nothing here knows a layer: a convolution is a join of boxes with affine keys.  What does not fit says why, and
 * runs over a tuple list. */
#include "lower/block.h"

#include "lower/domain.h"

#include <stdlib.h>
#include <string.h>

/* ---- variables ---- */

static bool all_regular(Lower *l)
{
    for (int s = 0; s < l->b->n_src; s++)
        if (!l->src[s])
            return low_refuse(l, "a source is not regular");
    return true;
}

static bool make_vars(Lower *l)
{
    for (int i = 0; i < l->b->n_src; i++) {
        const int s = l->order->src[i];
        const Regular *r = l->src[s];
        l->var0[s] = l->s.n;
        l->lanes |= r->lanes;
        l->masked |= r->winner;
        for (int d = 0; d < r->n_dims; d++) {
            const int v = space_var(&l->s, 0, r->extent[d] - 1, r->codes[d]);
            if (v < 0)
                return false;
            if (r->extent[d] == 1) {
                l->s.gone[v] = true;
                l->s.def[v] = lin_const(0);
            }
        }
    }
    return true;
}

/* Rows of sources that are those of a box only in part; of outer joins it is asked later. */
static bool sources_rows(Lower *l)
{
    for (int s = 0; s < l->b->n_src; s++)
        for (int k = 0; l->b->src[s].join != JOIN_left && k < l->src[s]->n_conds; k++) {
            const Lin x = low_over_vars(l, s, &l->src[s]->cond[k]);
            if (!space_ge(&l->s, &x))
                return false;
        }
    return true;
}

/* ---- outputs ---- */

static bool read_key(Lower *l, const Expr *e, Key *k)
{
    if (low_is_kind(l, e, REG_lane)) {
        k->kind = REG_lane;
        l->carried = true;
        return true;
    }
    if (low_is_kind(l, e, REG_codes)) {
        k->kind = REG_codes;
        k->var = low_codes_var(l, e);
        k->x = lin_var(&l->s, k->var);
        return true;
    }
    if (low_is_kind(l, e, REG_list)) {
        k->kind = REG_list;
        k->list = low_col(l, e)->list;
        k->n = l->src[e->src]->extent[low_col(l, e)->dim];
        k->x = lin_var(&l->s, low_codes_var(l, e));
        return true;
    }
    k->kind = REG_affine;
    return low_lin(l, e, &k->x);
}

bool low_is_key(const Block *b, int c)
{
    return b->kind == BLK_reduce ? c < b->n_keys : b->col[c].type != T_REAL;
}

static bool read_keys(Lower *l)
{
    const Block *b = l->b;

    l->key = ARENA_ARRAY(l->work, Key, b->n_cols + 1);
    l->part = ARENA_ARRAY(l->work, Key, b->n_part + 1);
    for (int c = 0; c < b->n_cols; c++)
        if (low_is_key(b, c) && !read_key(l, b->col[c].e, &l->key[c]))
            return false;
    for (int k = 0; k < b->n_part; k++)
        if (!read_key(l, b->part_key[k], &l->part[k]))
            return false;
    return true;
}

/* How many keys say which row of the result, or which group of a pick, a tuple belongs to. */
static int group_keys(const Lower *l)
{
    return l->b->kind == BLK_pick ? l->b->n_part : l->order->n;
}

static bool is_alone(const Lin *x, int v)
{
    for (int w = 0; w < MAX_VARS; w++)
        if (w != v && x->k[w])
            return false;
    return true;
}

static int open_vars(const Lower *l, const Lin *x, int *var)
{
    int n = 0;

    for (int v = 0; v < l->s.n; v++)
        if (x->k[v] && !l->is_out[v])
            var[n++] = v;
    return n;
}

/* Are the open variables digits of the key, so that it tells them all? */
static bool are_digits(const Lower *l, const Lin *x, int *var, int n)
{
    int64_t reach = 0;

    for (int k = 1; k < n; k++)                         /* by factor, the least first */
        for (int j = k; j > 0 && llabs(x->k[var[j]]) < llabs(x->k[var[j - 1]]); j--) {
            const int v = var[j];
            var[j] = var[j - 1];
            var[j - 1] = v;
        }
    for (int k = 0; k < n; k++) {
        const int64_t f = llabs(x->k[var[k]]);
        if (f <= reach)
            return false;
        reach += f * (l->s.hi[var[k]] - l->s.lo[var[k]]);
    }
    return true;
}

/* Number k of the keys of the grouping, in the order in which they number rows. */
static Key *group_key(const Lower *l, int k)
{
    return l->b->kind == BLK_pick ? &l->part[l->order->part[k]] : &l->key[l->order->col[k]];
}

static int by_entries(const void *x, const void *y)
{
    const int64_t *const *a = x, *const *b = y;

    for (int64_t k = 1; k <= **a; k++)
        if ((*a)[k] != (*b)[k])
            return (*a)[k] < (*b)[k] ? -1 : 1;
    return 0;
}

/* Does the key run along v by steps of one?  *at: its entry where v is 0. */
static bool is_list_of(const Lower *l, const Key *k, int v, int64_t *at)
{
    const Lin x = k->kind == REG_list ? space_reduce(&l->s, &k->x) : lin_const(0);

    *at = x.c;
    return x.k[v] == 1 && is_alone(&x, v);
}

/* Do the lists among the keys tell variable v, all together? */
static bool lists_tell(Lower *l, int v)
{
    const int n = group_keys(l);
    const int64_t **list = ARENA_ARRAY(l->work, const int64_t *, n + 1);       /* from the entry where v is 0 */
    int64_t lo = l->s.lo[v], hi = l->s.hi[v], at;
    int m = 0;

    for (int k = 0; k < n; k++)
        if (is_list_of(l, group_key(l, k), v, &at)) {
            lo = lo + at < 0 ? -at : lo;
            hi = hi + at >= group_key(l, k)->n ? group_key(l, k)->n - 1 - at : hi;
            list[m++] = group_key(l, k)->list + at;
        }
    const int64_t count = hi < lo ? 0 : hi - lo + 1;
    const int64_t **row = ARENA_ARRAY(l->work, const int64_t *, count + 1);
    for (int64_t i = 0; i < count; i++) {
        int64_t *entry = ARENA_ARRAY(l->work, int64_t, m + 1);
        row[i] = entry;
        *entry++ = m;
        for (int k = 0; k < m; k++)
            *entry++ = list[k][lo + i];
    }
    qsort(row, (size_t)count, sizeof *row, by_entries);
    for (int64_t i = 1; i < count; i++)
        if (!by_entries(&row[i], &row[i - 1]))
            return false;
    return m > 0;
}

static bool find_outputs_of_lists(Lower *l)
{
    const int n = group_keys(l);
    bool found = false;

    for (int v = 0; v < l->s.n; v++) {
        bool read = false;
        for (int k = 0; k < n && !l->is_out[v]; k++)
            read |= group_key(l, k)->kind == REG_list && space_reduce(&l->s, &group_key(l, k)->x).k[v] != 0;
        if (!read || l->is_out[v] || !lists_tell(l, v))
            continue;
        l->is_out[v] = found = true;
    }
    return found;
}

/* One round over the keys; true: some variable was found to be told by a key. */
static bool find_outputs(Lower *l, bool digits)
{
    const int n = group_keys(l);
    int var[MAX_VARS];
    bool found = false;

    for (int k = 0; k < n; k++) {
        const Key *key = group_key(l, k);
        if (key->kind != REG_affine && key->kind != REG_codes)
            continue;
        const Lin x = space_reduce(&l->s, &key->x);
        const int m = open_vars(l, &x, var);
        if (m == 0 || (m > 1 && !(digits && are_digits(l, &x, var, m))))
            continue;
        for (int i = 0; i < m; i++)
            l->is_out[var[i]] = true;
        found = true;
    }
    return found;
}

/* A key that mixes open variables becomes a variable; the widest of them goes.  *left: there was none. */
static bool substitute_key(Lower *l, bool *left)
{
    const int n = group_keys(l);
    int var[MAX_VARS];

    *left = true;
    for (int k = 0; k < n; k++) {
        const Key *key = group_key(l, k);
        if (key->kind != REG_affine)
            continue;
        Lin x = space_reduce(&l->s, &key->x);
        const int m = open_vars(l, &x, var);
        int pivot = -1;
        int64_t lo, hi;
        for (int i = 0; i < m; i++)
            if (llabs(x.k[var[i]]) == 1 && !l->s.codes[var[i]] &&
                (pivot < 0 || l->s.hi[var[i]] - l->s.lo[var[i]] > l->s.hi[pivot] - l->s.lo[pivot]))
                pivot = var[i];
        if (m == 0)
            continue;
        if (pivot < 0)
            return low_refuse(l, "a key mixes several with factors");
        if (!space_range(&l->s, &x, &lo, &hi))
            return false;
        const int v = space_var(&l->s, lo, hi, NULL);
        if (v < 0)
            return false;
        const Lin at = lin_var(&l->s, v);
        l->is_out[v] = true;
        *left = false;
        return lin_add(&x, &at, -1) && space_zero(&l->s, &x, pivot);
    }
    return true;
}

static bool is_in_key(const Lower *l, int v)
{
    for (int c = 0; c < l->b->n_cols; c++)
        if ((l->key[c].kind == REG_affine || l->key[c].kind == REG_codes || l->key[c].kind == REG_list) &&
            space_reduce(&l->s, &l->key[c].x).k[v])
            return true;
    return false;
}

static Lin place_form(const Lower *l, int src)
{
    const Lin x = low_over_vars(l, src, &l->src[src]->place);

    return space_reduce(&l->s, &x);
}

/* A place that no key tells: of its rows one is there, and the others' numbers are 0, so that they can be summed. */
static bool is_summed_place(const Lower *l, int v)
{
    for (int s = 0; s < l->b->n_src; s++)
        if (l->src[s]->winner && !l->src[s]->mask && place_form(l, s).k[v])
            return !is_in_key(l, v);
    return false;
}

/* Entries of a list may be alike: rows that it does not tell apart would be one group. */
static bool lists_are_told(Lower *l)
{
    for (int k = 0; k < group_keys(l); k++) {
        const Key *key = group_key(l, k);
        const Lin x = key->kind == REG_list ? space_reduce(&l->s, &key->x) : lin_const(0);
        for (int v = 0; v < l->s.n; v++)
            if (x.k[v] && !l->is_out[v])
                return low_refuse(l, "a key of a list runs along no loop");
    }
    return true;
}

static bool choose_outputs(Lower *l)
{
    bool left = l->b->kind == BLK_row;

    for (int v = 0; left && v < l->s.n; v++)
        l->is_out[v] = !l->s.gone[v] && !is_summed_place(l, v);
    while (!left) {
        while (find_outputs(l, false) || find_outputs(l, true) || find_outputs_of_lists(l))
            continue;
        if (!substitute_key(l, &left))
            return false;
    }
    return lists_are_told(l);
}

/* ---- loops ---- */

static bool add_loop(Lower *l, int v)
{
    Nest *n = &l->out->nest;

    if (l->loop_of[v] >= 0)
        return true;
    if (n->n_loops == MAX_LOOPS)
        return low_refuse(l, "it has too many loops");
    l->loop_of[v] = n->n_loops;
    l->loop_var[n->n_loops++] = v;
    return true;
}

/* Variables of a form that are outputs (or not), the greatest factor first. */
static bool add_loops_of(Lower *l, const Lin *form, bool out)
{
    Lin x = space_reduce(&l->s, form);

    for (;;) {
        int best = -1;
        for (int v = 0; v < l->s.n; v++)
            if (x.k[v] && l->is_out[v] == out && (best < 0 || llabs(x.k[v]) > llabs(x.k[best])))
                best = v;
        if (best < 0)
            return true;
        if (!add_loop(l, best))
            return false;
        x.k[best] = 0;
    }
}

static bool output_loops(Lower *l)
{
    const int n = group_keys(l);

    l->s.closed = true;
    for (int v = 0; v < MAX_VARS; v++)
        l->loop_of[v] = -1;
    for (int k = 0; k < n; k++) {
        const Key *key = group_key(l, k);
        if ((key->kind == REG_affine || key->kind == REG_codes) && !add_loops_of(l, &key->x, true))
            return false;
    }
    for (int v = 0; v < l->s.n; v++)
        if (l->is_out[v] && !l->s.gone[v] && !add_loop(l, v))
            return false;
    l->out->nest.n_out = l->out->nest.n_loops;
    return true;
}

/* How far apart rows of the sources are that neighbouring values of a variable meet, of all sources together. */
static double stride_of(const Lower *l, int v)
{
    double sum = 0;

    for (int s = 0; s < l->b->n_src; s++) {
        Affine row = { 0 };
        for (int d = 0; d < l->src[s]->n_dims; d++)
            row.k[d] = l->src[s]->stride[d];
        Lin x = low_over_vars(l, s, &row);
        x = space_reduce(&l->s, &x);
        sum += (double)llabs(x.k[v]);
    }
    return sum;
}

/* Far strides outside. */
static bool reduction_loops(Lower *l)
{
    for (;;) {
        int far = -1;
        for (int v = 0; v < l->s.n; v++)
            if (!l->is_out[v] && !l->s.gone[v] && l->loop_of[v] < 0 && (far < 0 || stride_of(l, v) > stride_of(l, far)))
                far = v;
        if (far < 0)
            return true;
        if (!add_loop(l, far))
            return false;
    }
}

/* The loops inside a pick's group run in the order that breaks ties: by this expression next. */
static bool tie_order(Lower *l, const Expr *e, bool desc)
{
    Key k = { 0 };
    int var[MAX_VARS], n = 0;

    if (!read_key(l, e, &k))
        return false;
    if (k.kind == REG_lane)
        return true;
    const Lin x = space_reduce(&l->s, &k.x);
    for (int v = 0; v < l->s.n; v++)
        if (x.k[v] && !l->is_out[v] && l->loop_of[v] < 0) {
            if ((x.k[v] > 0) == desc || l->s.codes[v])
                return low_refuse(l, "ties go another way than its loops");
            var[n++] = v;
        }
    if (n > 1 && !are_digits(l, &x, var, n))
        return low_refuse(l, "ties go another way than its loops");
    while (n > 0)
        if (!add_loop(l, var[--n]))
            return false;
    return true;
}

static bool pick_loops(Lower *l)
{
    const Block *b = l->b;

    if (b->limit < 1 || b->n_order < 1 || b->order[0].e->type != T_REAL)
        return low_refuse(l, "it picks otherwise than by one number");
    for (int o = 1; o < b->n_order; o++)
        if (!tie_order(l, b->order[o].e, b->order[o].desc))
            return false;
    for (int s = 0; s < b->n_src; s++)
        for (int i = 0; i < b->src[s].rel->n_id; i++)
            if (!tie_order(l, ex_col(l->a, b, s, b->src[s].rel->id_col[i]), false))
                return false;
    return true;
}

Affine low_over_loops(const Lower *l, const Lin *form)
{
    const Lin x = space_reduce(&l->s, form);
    Affine f = { .c = x.c };

    for (int v = 0; v < l->s.n; v++)
        if (x.k[v])
            f.k[l->loop_of[v]] = x.k[v];
    return f;
}

static void keep_at_least(Domain *d, const Lower *l, const Lin *form, int64_t sign, int64_t c)
{
    const Affine f = low_over_loops(l, form);
    int64_t k[MAX_LOOPS];

    for (int i = 0; i < MAX_LOOPS; i++)
        k[i] = sign * f.k[i];
    domain_ge(d, k, sign * f.c + c);
}

/* Output loops whose bounds depend on those outside them: worth it where the rows fill a good part of the box. */
static bool bounds_of_rows(Lower *l, Domain *d)
{
    Nest *n = &l->out->nest;
    double box = 1;

    for (int i = 0; i < n->n_out; i++) {
        if (!domain_bounds(d, i, &n->loop[i], l->a))
            return low_refuse(l, "its rows are no box, nor given by plain bounds");
        box *= (double)(n->loop[i].max - n->loop[i].min + 1);
    }
    if (l->lanes && !l->carried)
        return low_refuse(l, "its rows are no box, and it sums over the lanes");
    if (l->b->kind == BLK_pick)
        return low_refuse(l, "its groups are no box");
    if (box > MOST_HOLES && (double)low_points(n, n->n_out) * LEAST_SHARE < box)
        return low_refuse(l, "its rows are few in a large box");
    return true;
}

static bool find_bounds(Lower *l)
{
    Nest *n = &l->out->nest;
    Domain *d = domain_new(n->n_loops);
    int64_t lo[MAX_LOOPS], hi[MAX_LOOPS];

    for (int v = 0; v < l->s.n; v++) {
        const Lin at = lin_var(&l->s, v);
        keep_at_least(d, l, &at, 1, -l->s.lo[v]);
        keep_at_least(d, l, &at, -1, l->s.hi[v]);
    }
    for (int g = 0; g < l->s.n_ge; g++)
        keep_at_least(d, l, &l->s.ge[g], 1, 0);
    const int64_t nothing[MAX_LOOPS] = { 0 };
    const bool any = domain_range(d, nothing, 0, lo, hi) || low_refuse(l, "no row meets its conditions");
    const bool box = any && domain_box(d, n->n_out, lo, hi);
    bool ok = any && (box || bounds_of_rows(l, d));
    for (int i = 0; box && i < n->n_out; i++)
        n->loop[i] = (NestLoop){ .min = lo[i], .max = hi[i], .box = true };
    for (int i = n->n_out; ok && i < n->n_loops; i++)
        ok = domain_bounds(d, i, &n->loop[i], l->a) || low_refuse(l, "a loop has no plain bounds");
    domain_free(d);
    return ok;
}

/* ---- rows of the result ---- */

/* Number the points of loops [from, to) row by row. */
Affine low_number_points(const Nest *n, int from, int to, int64_t *count)
{
    Affine f = { 0 };

    *count = 1;
    for (int i = to - 1; i >= from; i--) {
        f.k[i] = *count;
        f.c -= *count * n->loop[i].min;
        if (__builtin_mul_overflow(*count, n->loop[i].max - n->loop[i].min + 1, count))
            *count = INT64_MAX;
    }
    return f;
}

/* A form over loops as one over the dimensions of the result, that are numbered from 0. */
static Affine over_dims(const Nest *n, Affine f)
{
    for (int i = 0; i < n->n_loops; i++)
        f.c += f.k[i] * n->loop[i].min;
    return f;
}

bool low_all_box(const Nest *n)
{
    for (int i = 0; i < n->n_loops; i++)
        if (!n->loop[i].box)
            return false;
    return true;
}

/* Are all places of the source met, by output loops only (`out`) or by the others only? */
static bool meets_all_places(const Lower *l, int src, bool out)
{
    const Regular *r = l->src[src];
    const Nest *n = &l->out->nest;
    const Lin x = place_form(l, src);
    const Affine f = low_over_loops(l, &x);
    int64_t places = 1, met = 1;

    for (int d = 0; d < r->n_dims; d++)
        places *= r->place.k[d] ? r->extent[d] : 1;
    for (int i = 0; i < n->n_loops; i++) {
        if (!f.k[i])
            continue;
        if ((i < n->n_out) != out || !n->loop[i].box)
            return false;
        met *= n->loop[i].max - n->loop[i].min + 1;
    }
    return met == places;
}

/* Do two sources' places have no loop in common, so that any pair of them occurs? */
static bool are_apart(const Lower *l, int s, int t)
{
    const Lin x = place_form(l, s), y = place_form(l, t);

    for (int v = 0; v < l->s.n; v++)
        if (x.k[v] && y.k[v])
            return false;
    return true;
}

static bool same_forms(const Lower *l, int s, const Affine *f, int t, const Affine *g)
{
    Lin x = low_over_vars(l, s, f), y = low_over_vars(l, t, g);

    x = space_reduce(&l->s, &x);
    y = space_reduce(&l->s, &y);
    return !memcmp(&x, &y, sizeof x);
}

/* Are the rows of a source there where those of one before it are? */
bool low_chosen_before(const Lower *l, int s)
{
    const Regular *r = l->src[s];

    for (int t = 0; t < s; t++)
        if (r->pick >= 0 && l->src[t]->winner && l->src[t]->pick == r->pick && l->src[t]->mask == r->mask &&
            same_forms(l, s, &r->place, t, &l->src[t]->place) && same_forms(l, s, &r->part, t, &l->src[t]->part))
            return true;
    return false;
}

/* Are the groups of a source told by output loops alone? */
static bool part_is_out(const Lower *l, int src)
{
    const Lin x = low_over_vars(l, src, &l->src[src]->part);
    const Affine f = low_over_loops(l, &x);

    for (int i = l->out->nest.n_out; i < MAX_LOOPS; i++)
        if (f.k[i])
            return false;
    return !l->lanes || l->carried;
}

/* Whether rows of the result come and go with those of a source. */
static bool find_presence(Lower *l)
{
    int winners = 0, last = -1;

    l->certain = true;
    l->carry = -1;
    for (int s = 0; s < l->b->n_src; s++) {
        if (!l->src[s]->winner || low_chosen_before(l, s))
            continue;
        for (int t = 0; t < s; t++)
            l->certain = l->certain && (!l->src[t]->winner || are_apart(l, s, t));
        winners++;
        last = s;
        l->certain = l->certain && meets_all_places(l, s, false);
    }
    if (!l->masked || l->certain || l->blind)
        return true;
    if ((l->b->kind != BLK_row && l->b->kind != BLK_reduce) || winners != 1 || !meets_all_places(l, last, true) ||
        !part_is_out(l, last) || !low_all_box(&l->out->nest))
        return low_refuse(l, "its rows are there by values that move");
    l->carry = last;
    return true;
}

/* Numbers the dimensions that the places leave, or all. */
static void number_groups(Regular *r)
{
    r->group = (Affine){ 0 };
    r->groups = 1;
    for (int d = r->n_dims - 1; d >= 0; d--) {
        if (!r->mask && r->place.k[d])
            continue;
        r->group.k[d] = r->groups;
        r->groups *= r->extent[d];
    }
}

/* The result's rows are there as those of the source are. */
static void carried_places(const Lower *l, Regular *r)
{
    const Regular *src = l->src[l->carry];
    const Lin place = place_form(l, l->carry), part = low_over_vars(l, l->carry, &src->part);

    r->winner = true;
    r->mask = src->mask;
    r->chosen = src->chosen;
    r->pick = src->pick;
    r->place = over_dims(&l->out->nest, low_over_loops(l, &place));
    r->part = over_dims(&l->out->nest, low_over_loops(l, &part));
    number_groups(r);
}

/* What a pick leaves: `limit` rows of each group. */
static void picked_places(const Lower *l, Regular *r)
{
    const Nest *n = &l->out->nest;
    int64_t groups, places;

    r->winner = true;
    r->pick = l->b->id;
    r->part = over_dims(n, low_number_points(n, 0, n->n_out, &groups));
    r->place = over_dims(n, low_number_points(n, n->n_out, n->n_loops, &places));
    r->chosen = l->b->limit < places ? l->b->limit : places;
    r->mask = r->chosen > 1;
    number_groups(r);
}

/* A copy: the result may outlive what is known of its sources. */
const int64_t *low_own_codes(Lower *l, const int64_t *codes, int64_t n)
{
    if (!codes)
        return NULL;
    int64_t *own = ARENA_ARRAY(l->a, int64_t, n);
    memcpy(own, codes, (size_t)n * sizeof *own);
    return own;
}

/* The loop that runs along a key's codes: its own variable, or one it was found equal to. */
static int codes_loop(const Lower *l, const Key *k)
{
    const Lin x = space_reduce(&l->s, &k->x);
    const int v = lin_only_var(&x);

    return v < 0 ? -1 : l->loop_of[v];
}

/* A key that is a list runs along one output loop, from the list's entry for the loop's first number. */
static bool list_over_dims(Lower *l, const Key *k, RegCol *col)
{
    const Nest *n = &l->out->nest;
    const Lin x = space_reduce(&l->s, &k->x);
    int v = 0;

    while (v < l->s.n && !x.k[v])
        v++;
    if (v == l->s.n)
        return low_refuse(l, "a key of a list has one value");
    col->dim = l->loop_of[v];
    if (x.k[v] != 1 || !is_alone(&x, v) || col->dim < 0 || col->dim >= l->out->out.n_dims)
        return low_refuse(l, "a key of a list runs along no loop");
    const NestLoop *o = &n->loop[col->dim];
    col->list = low_own_codes(l, k->list + o->min + x.c, o->max - o->min + 1);
    return true;
}

/* Bounds of output loops as conditions over the dimensions. */
static void add_conds(Lower *l, int loop, const Bound *b, int n_bounds, int64_t sign)
{
    Regular *r = &l->out->out;

    for (int k = 0; k < n_bounds; k++) {
        Affine f = { .c = -sign * b[k].e.c };
        for (int i = 0; i < MAX_LOOPS; i++)
            f.k[i] = -sign * b[k].e.k[i];
        f.k[loop] = sign * b[k].d;
        f = over_dims(&l->out->nest, f);
        VEC_PUSH(l->a, r->cond, r->n_conds, f);
    }
}

static void rows_conds(Lower *l)
{
    const Nest *n = &l->out->nest;

    for (int i = 0; i < l->out->out.n_dims; i++)
        if (!n->loop[i].box) {
            add_conds(l, i, n->loop[i].lo, n->loop[i].n_lo, 1);
            add_conds(l, i, n->loop[i].hi, n->loop[i].n_hi, -1);
        }
}

static bool result_rows(Lower *l)
{
    const Nest *n = &l->out->nest;
    Regular *r = &l->out->out;
    const int dims = l->b->kind == BLK_pick ? n->n_loops : n->n_out;

    *r = (Regular){ .n_dims = dims, .n_cols = l->b->n_cols, .lanes = l->carried };
    if (dims > REG_DIMS)
        return low_refuse(l, "it has too many loops");
    const Affine at = low_number_points(n, 0, dims, &r->rows);
    if (r->rows >= UINT32_MAX)
        return low_refuse(l, "it has too many rows");
    for (int d = 0; d < dims; d++) {
        r->extent[d] = n->loop[d].max - n->loop[d].min + 1;
        r->stride[d] = at.k[d];
        r->codes[d] = low_own_codes(l, l->s.codes[l->loop_var[d]], r->extent[d]);
    }
    r->col = ARENA_ARRAY(l->a, RegCol, l->b->n_cols + 1);
    for (int c = 0; c < l->b->n_cols; c++) {
        const Key *k = &l->key[c];
        RegCol *col = &r->col[c];
        col->kind = !low_is_key(l->b, c) ? l->b->col[c].type == T_REAL ? REG_value : REG_affine : k->kind;
        if (col->kind == REG_codes && (col->dim = codes_loop(l, k)) < 0)
            return low_refuse(l, "a key of a list has one value");
        if (col->kind == REG_list && !list_over_dims(l, k, col))
            return false;
        if (low_is_key(l->b, c) && col->kind == REG_affine)
            col->key = over_dims(n, low_over_loops(l, &k->x));
    }
    if (l->b->kind == BLK_pick)
        picked_places(l, r);
    if (l->carry >= 0)
        carried_places(l, r);
    rows_conds(l);
    return true;
}
/* ---- */

/* ---- dimensions that are one ---- */

static bool form_joins(const Affine *f, int d, int64_t extent)
{
    return f->k[d] == f->k[d + 1] * extent;
}

/* May dimensions d and d + 1 be one?  Nothing tells them apart. */
static bool dims_join(const Regular *r, int d)
{
    const int64_t e = r->extent[d + 1];
    bool ok = !r->codes[d] && !r->codes[d + 1] && r->stride[d] == r->stride[d + 1] * e;

    for (int c = 0; ok && c < r->n_cols; c++)
        ok = r->col[c].kind == REG_list ? r->col[c].dim != d && r->col[c].dim != d + 1
           : r->col[c].kind != REG_affine || form_joins(&r->col[c].key, d, e);
    for (int k = 0; ok && k < r->n_conds; k++)
        ok = form_joins(&r->cond[k], d, e);
    return ok && (!r->winner ||
                  (form_joins(&r->group, d, e) && form_joins(&r->place, d, e) && form_joins(&r->part, d, e)));
}

static void drop_dim(Affine *f, int d)
{
    memmove(f->k + d, f->k + d + 1, (MAX_LOOPS - 1 - d) * sizeof *f->k);
    f->k[MAX_LOOPS - 1] = 0;
}

/* Keys that were put together from digits (2 * r + i) and whose digits stand beside each other are keys again, so that
 * readers see as few dimensions as there are. */
static void join_dims(Regular *r)
{
    for (int d = r->n_dims - 2; d >= 0; d--) {
        if (!dims_join(r, d))
            continue;
        r->extent[d + 1] *= r->extent[d];
        for (int k = d; k + 1 < r->n_dims; k++) {
            r->extent[k] = r->extent[k + 1];
            r->stride[k] = r->stride[k + 1];
            r->codes[k] = r->codes[k + 1];
        }
        r->n_dims--;
        for (int k = 0; k < r->n_conds; k++)
            drop_dim(&r->cond[k], d);
        drop_dim(&r->group, d);
        drop_dim(&r->place, d);
        drop_dim(&r->part, d);
        for (int c = 0; c < r->n_cols; c++) {
            drop_dim(&r->col[c].key, d);
            r->col[c].dim -= r->col[c].dim > d;
        }
    }
}

#define MOST_SOURCES 64                 /* of a join */

static bool shape_is_right(Lower *l)
{
    const Block *b = l->b;

    if (b->kind != BLK_row && b->kind != BLK_reduce && b->kind != BLK_pick && b->kind != BLK_union)
        return low_refuse(l, "it has no rows");
    if (b->n_src == 0)
        return low_refuse(l, "it has no sources");
    return b->kind == BLK_union || b->n_src < MOST_SOURCES || low_refuse(l, "it joins too many sources");
}

/* The outermost output loop that no bound depends on. */
static int loop_to_split(const Nest *n)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->loop[i].box && !nest_bounded_by(n, i))
            return i;
    return -1;
}

static bool lanes_are_right(Lower *l)
{
    Nest *n = &l->out->nest;

    n->lanes = l->lanes;
    n->sum_lanes = l->lanes && !l->carried;
    n->split = n->lanes ? -1 : loop_to_split(n);
    return !n->sum_lanes || l->b->kind == BLK_reduce || low_refuse(l, "a row for every lane that the lanes do not tell apart");
}

bool lower_block(const Block *b, const KeyOrder *order, const Regular *const *src, bool blind, Arena *a, Lowered *out,
                 const char **why)
{
    Arena work = { 0 };
    Lower *l = ARENA_NEW(&work, Lower);

    *out = (Lowered){ .nest = { .id = b->id } };
    *l = (Lower){ .b = b, .order = order, .src = ARENA_ARRAY(&work, const Regular *, b->n_src + 1), .blind = blind, .a = a,
                  .work = &work, .out = out, .s = { .a = &work }, .met = ARENA_ARRAY(&work, bool, b->n_where + 1),
                  .first = ARENA_ARRAY(&work, int64_t, b->n_src + 1), .var0 = ARENA_ARRAY(&work, int, b->n_src + 1) };
    memcpy(l->src, src, (size_t)b->n_src * sizeof *src);
    const bool ok = !shape_is_right(l) ? false : b->kind == BLK_union ? low_union(l)
                  : all_regular(l) && low_narrow(l) && make_vars(l) && sources_rows(l) && low_conditions(l) &&
                    low_outer_joins(l) && read_keys(l) && choose_outputs(l) && output_loops(l) &&
                    (b->kind != BLK_pick || pick_loops(l)) && reduction_loops(l) && find_bounds(l) &&
                    find_presence(l) && result_rows(l) && lanes_are_right(l) && low_results(l);
    if (ok)
        join_dims(&out->out);
    *why = ok ? NULL : l->s.why ? l->s.why : "it is not affine";
    arena_free(&work);
    return ok;
}
