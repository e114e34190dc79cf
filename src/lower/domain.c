/* SPDX-License-Identifier: Apache-2.0
 *
 * domain.c - integer sets, by isl (the only file that includes it).
 *
 * A domain is one isl basic set without existential variables: quotients and remainders are variables of their
 * own, given by the caller.  Errors never print or abort; the number of operations is bounded, so that hostile
 * predicates end in "bad" and not in a hang. */
#include "lower/domain.h"

#include <isl/aff.h>
#include <isl/constraint.h>
#include <isl/ctx.h>
#include <isl/ilp.h>
#include <isl/local_space.h>
#include <isl/options.h>
#include <isl/set.h>
#include <isl/space.h>
#include <isl/val.h>
#include <string.h>

#define MAX_OPERATIONS 2000000u

struct Domain { isl_ctx *ctx; isl_basic_set *set; int n; bool bad; };

Domain *domain_new(int n_vars)
{
    Domain *d = mem_alloc(sizeof *d);

    d->ctx = isl_ctx_alloc();
    d->n = n_vars;
    if (d->ctx) {
        isl_options_set_on_error(d->ctx, ISL_ON_ERROR_CONTINUE);
        isl_ctx_set_max_operations(d->ctx, MAX_OPERATIONS);
        d->set = isl_basic_set_universe(isl_space_set_alloc(d->ctx, 0, (unsigned)n_vars));
    }
    d->bad = !d->set;
    return d;
}

void domain_free(Domain *d)
{
    if (!d)
        return;
    isl_basic_set_free(d->set);
    if (d->ctx)
        isl_ctx_free(d->ctx);
    mem_free(d);
}

/* Numbers beyond this never meet in a product that isl's callers cannot hold. */
static bool is_sane(int64_t x)
{
    return x > -((int64_t)1 << 52) && x < (int64_t)1 << 52;
}

static isl_aff *form_aff(Domain *d, const int64_t *k, int64_t c)
{
    isl_aff *a = isl_aff_zero_on_domain(isl_local_space_from_space(isl_basic_set_get_space(d->set)));

    for (int v = 0; v < d->n; v++) {
        if (!is_sane(k[v]))
            d->bad = true;
        if (k[v])
            a = isl_aff_set_coefficient_val(a, isl_dim_in, v, isl_val_int_from_si(d->ctx, (long)k[v]));
    }
    if (!is_sane(c))
        d->bad = true;
    return isl_aff_set_constant_val(a, isl_val_int_from_si(d->ctx, (long)c));
}

void domain_ge(Domain *d, const int64_t *k, int64_t c)
{
    if (d->bad)
        return;
    isl_aff *a = form_aff(d, k, c), *zero = isl_aff_zero_on_domain(isl_aff_get_domain_local_space(a));
    d->set = isl_basic_set_intersect(d->set, isl_aff_ge_basic_set(a, zero));
    d->bad |= !d->set;
}

/* An integer that fits; frees v. */
static bool take_int(isl_val *v, int64_t *out)
{
    const bool ok = v && isl_val_is_int(v) == isl_bool_true && isl_val_n_abs_num_chunks(v, 8) == 1;
    const int64_t x = ok ? (int64_t)isl_val_get_num_si(v) : 0;

    isl_val_free(v);
    *out = x;
    return ok && is_sane(x);
}

bool domain_range(Domain *d, const int64_t *k, int64_t c, int64_t *lo, int64_t *hi)
{
    if (d->bad)
        return false;
    isl_aff *a = form_aff(d, k, c);
    isl_set *s = isl_set_from_basic_set(isl_basic_set_copy(d->set));
    const bool ok = take_int(isl_set_min_val(s, a), lo) & take_int(isl_set_max_val(s, a), hi);

    isl_set_free(s);
    isl_aff_free(a);
    return ok && !d->bad && *lo <= *hi;
}

bool domain_implies(Domain *d, const int64_t *k, int64_t c)
{
    int64_t lo, hi;

    return domain_range(d, k, c, &lo, &hi) && lo >= 0;
}

static isl_set *box_of(Domain *d, int n, const int64_t *lo, const int64_t *hi)
{
    isl_set *s = isl_set_universe(isl_space_set_alloc(d->ctx, 0, (unsigned)n));

    for (int v = 0; v < n; v++) {
        s = isl_set_lower_bound_val(s, isl_dim_set, (unsigned)v, isl_val_int_from_si(d->ctx, (long)lo[v]));
        s = isl_set_upper_bound_val(s, isl_dim_set, (unsigned)v, isl_val_int_from_si(d->ctx, (long)hi[v]));
    }
    return s;
}

bool domain_box(Domain *d, int n, int64_t *lo, int64_t *hi)
{
    int64_t *k = mem_alloc((size_t)(d->n + 1) * sizeof *k);
    bool ok = !d->bad;

    for (int v = 0; ok && v < n; v++) {
        k[v] = 1;
        ok = domain_range(d, k, 0, &lo[v], &hi[v]);
        k[v] = 0;
    }
    mem_free(k);
    if (!ok)
        return false;
    isl_set *s = isl_set_from_basic_set(isl_basic_set_copy(d->set));
    s = isl_set_project_out(s, isl_dim_set, (unsigned)n, (unsigned)(d->n - n));
    isl_set *box = box_of(d, n, lo, hi);
    ok = isl_set_is_equal(s, box) == isl_bool_true;
    isl_set_free(s);
    isl_set_free(box);
    return ok;
}

/* ---- bounds of a loop ---- */

typedef struct Bounds { NestLoop *out; Arena *a; int var; bool bad; } Bounds;

static bool coefficient(isl_constraint *c, int v, int64_t *out)
{
    return take_int(isl_constraint_get_coefficient_val(c, isl_dim_set, v), out);
}

/* k * var + rest >= 0: var >= ceil(-rest / k), or var <= floor(rest / -k). */
static void add_bound(Bounds *b, const int64_t *k, int64_t c)
{
    const int64_t kv = k[b->var], sign = kv > 0 ? -1 : 1;
    Bound now = { .d = kv > 0 ? kv : -kv };

    now.e.c = sign * c;
    for (int v = 0; v < b->var; v++)
        now.e.k[v] = sign * k[v];
    if (kv > 0)
        VEC_PUSH(b->a, b->out->lo, b->out->n_lo, now);
    else if (kv < 0)
        VEC_PUSH(b->a, b->out->hi, b->out->n_hi, now);
}

static isl_stat read_constraint(isl_constraint *c, void *arg)
{
    Bounds *b = arg;
    int64_t k[MAX_LOOPS], k0;
    bool ok = take_int(isl_constraint_get_constant_val(c), &k0);

    ok &= isl_constraint_dim(c, isl_dim_div) == 0;
    for (int v = 0; v <= b->var; v++)
        ok &= coefficient(c, v, &k[v]);
    b->bad |= !ok;
    if (ok && k[b->var]) {
        add_bound(b, k, k0);
        if (isl_constraint_is_equality(c) == isl_bool_true) {
            for (int v = 0; v <= b->var; v++)
                k[v] = -k[v];
            add_bound(b, k, -k0);
        }
    }
    isl_constraint_free(c);
    return isl_stat_ok;
}

static bool is_constant(const Bound *b)
{
    for (int v = 0; v < MAX_LOOPS; v++)
        if (b->e.k[v])
            return false;
    return true;
}

static bool all_constant(const Bound *b, int n)
{
    for (int k = 0; k < n; k++)
        if (!is_constant(&b[k]))
            return false;
    return true;
}

bool domain_bounds(Domain *d, int var, NestLoop *out, Arena *a)
{
    Bounds b = { out, a, var, false };
    int64_t *k = ARENA_ARRAY(a, int64_t, d->n + 1);

    *out = (NestLoop){ 0 };
    k[var] = 1;
    if (var >= MAX_LOOPS || !domain_range(d, k, 0, &out->min, &out->max))
        return false;
    isl_set *s = isl_set_from_basic_set(isl_basic_set_copy(d->set));
    s = isl_set_project_out(s, isl_dim_set, (unsigned)(var + 1), (unsigned)(d->n - var - 1));
    s = isl_set_coalesce(isl_set_remove_redundancies(s));
    bool ok = s && isl_set_n_basic_set(s) == 1;
    isl_basic_set *one = ok ? isl_set_simple_hull(s) : NULL;
    if (!ok)
        isl_set_free(s);
    ok = ok && one && isl_basic_set_foreach_constraint(one, read_constraint, &b) == isl_stat_ok && !b.bad;
    isl_basic_set_free(one);
    out->box = ok && all_constant(out->lo, out->n_lo) && all_constant(out->hi, out->n_hi);
    return ok && out->n_lo && out->n_hi;
}
