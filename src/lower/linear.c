/* SPDX-License-Identifier: Apache-2.0
 *
 * linear.c - affine forms over the variables of one block, and the elimination of variables by equations.
 *
 * An equation is solved for a variable of factor 1 or -1, the one with the widest range: what stays is narrow, and
 * mostly a box (a convolution keeps its kernel's rows, not the image's).  Quotients and remainders by a literal are
 * variables of their own, tied by `x = by * q + r`; SQL truncates, so the sign of x must be known. */
#include "lower/lower.h"

#include "lower/domain.h"

#define LIN_MAX ((int64_t)1 << 44)      /* factors and constants beyond this are not worth being right about */

static bool lin_small(int64_t x)
{
    return x > -LIN_MAX && x < LIN_MAX;
}

static bool too_large(Space *s)
{
    s->why = "its keys are too large for exact arithmetic";
    return false;
}

int space_var(Space *s, int64_t lo, int64_t hi, const int64_t *codes)
{
    if (s->n == MAX_VARS) {
        s->why = "it has too many keys";
        return -1;
    }
    s->lo[s->n] = lo;
    s->hi[s->n] = hi;
    s->codes[s->n] = codes;
    s->gone[s->n] = false;
    return s->n++;
}

Lin lin_const(int64_t c)
{
    return (Lin){ .c = c };
}

Lin lin_var(const Space *s, int v)
{
    Lin x = { 0 };

    if (s->gone[v])
        return s->def[v];
    x.k[v] = 1;
    return x;
}

static bool add_times(int64_t *x, int64_t y, int64_t times)
{
    int64_t p;

    return !__builtin_mul_overflow(y, times, &p) && !__builtin_add_overflow(*x, p, x) && lin_small(*x);
}

bool lin_add(Lin *x, const Lin *y, int64_t times)
{
    bool ok = add_times(&x->c, y->c, times);

    for (int v = 0; v < MAX_VARS; v++)
        ok = add_times(&x->k[v], y->k[v], times) && ok;
    return ok;
}

bool lin_is_const(const Lin *x)
{
    for (int v = 0; v < MAX_VARS; v++)
        if (x->k[v])
            return false;
    return true;
}

int lin_only_var(const Lin *x)
{
    int found = -1;

    for (int v = 0; v < MAX_VARS; v++)
        if (x->k[v]) {
            if (found >= 0 || x->k[v] != 1)
                return -1;
            found = v;
        }
    return x->c ? -1 : found;
}

Lin space_reduce(const Space *s, const Lin *x)
{
    Lin y = lin_const(x->c);

    for (int v = 0; v < s->n; v++) {
        const Lin d = lin_var(s, v);
        if (x->k[v])
            lin_add(&y, &d, x->k[v]);
    }
    return y;
}

/* By the ranges of the variables alone. */
static bool plain_range(const Space *s, const Lin *x, int64_t *lo, int64_t *hi)
{
    bool ok = true;

    *lo = *hi = x->c;
    for (int v = 0; v < s->n; v++) {
        const bool up = x->k[v] > 0;
        if (!x->k[v])
            continue;
        ok = add_times(lo, up ? s->lo[v] : s->hi[v], x->k[v]) && add_times(hi, up ? s->hi[v] : s->lo[v], x->k[v]) && ok;
    }
    return ok;
}

/* All that is known of the live variables, as a domain over all variables. */
static Domain *space_domain(const Space *s)
{
    Domain *d = domain_new(s->n);

    for (int v = 0; v < s->n; v++) {
        Lin at = lin_var(s, v), up = lin_const(s->hi[v]);
        lin_add(&up, &at, -1);
        at.c -= s->lo[v];
        domain_ge(d, at.k, at.c);
        domain_ge(d, up.k, up.c);
    }
    for (int g = 0; g < s->n_ge; g++) {
        const Lin x = space_reduce(s, &s->ge[g]);
        domain_ge(d, x.k, x.c);
    }
    return d;
}

bool space_range(Space *s, const Lin *x, int64_t *lo, int64_t *hi)
{
    const Lin y = space_reduce(s, x);

    if (!plain_range(s, &y, lo, hi))
        return too_large(s);
    if (lin_is_const(&y))
        return true;
    Domain *d = space_domain(s);
    int64_t dlo, dhi;
    if (domain_range(d, y.k, y.c, &dlo, &dhi)) {
        *lo = dlo;
        *hi = dhi;
    }
    domain_free(d);
    return true;
}

static int choose_pivot(const Space *s, const Lin *x)
{
    int best = -1;

    for (int v = 0; v < s->n; v++)
        if ((x->k[v] == 1 || x->k[v] == -1) && (best < 0 || s->hi[v] - s->lo[v] > s->hi[best] - s->lo[best]))
            best = v;
    return best;
}

static bool divide_out(Lin *x)
{
    int64_t g = 0;

    for (int v = 0; v < MAX_VARS; v++)
        for (int64_t p = x->k[v] < 0 ? -x->k[v] : x->k[v], t; p; p = t) {
            t = g % p;
            g = p;
        }
    if (g == 0)
        return x->c == 0;
    if (x->c % g)
        return false;
    x->c /= g;
    for (int v = 0; v < MAX_VARS; v++)
        x->k[v] /= g;
    return true;
}

/* Every definition in terms of v is rewritten; v = to. */
static bool eliminate(Space *s, int v, const Lin *to)
{
    bool ok = true;

    s->gone[v] = true;
    s->def[v] = *to;
    for (int w = 0; w < s->n; w++) {
        const int64_t k = s->def[w].k[v];
        if (!s->gone[w] || w == v || !k)
            continue;
        s->def[w].k[v] = 0;
        ok = lin_add(&s->def[w], to, k) && ok;
    }
    return ok || too_large(s);
}

bool space_zero(Space *s, const Lin *x, int pivot)
{
    Lin y = space_reduce(s, x), to = { 0 };

    if (!divide_out(&y)) {
        s->why = "nothing joins";
        return false;
    }
    if (lin_is_const(&y))
        return true;
    const int v = pivot >= 0 ? pivot : choose_pivot(s, &y);
    if (v < 0 || (y.k[v] != 1 && y.k[v] != -1)) {
        s->why = "an equality cannot be solved for one key";
        return false;
    }
    const int64_t sign = -y.k[v];
    y.k[v] = 0;
    return lin_add(&to, &y, sign) && eliminate(s, v, &to);
}

bool space_ge(Space *s, const Lin *x)
{
    int64_t lo, hi;

    if (!plain_range(s, x, &lo, &hi))
        return too_large(s);
    if (hi < 0) {
        s->why = "nothing joins";
        return false;
    }
    if (lo < 0)
        VEC_PUSH(s->a, s->ge, s->n_ge, *x);
    return true;
}

static struct Quotient *known_quotient(Space *s, const Lin *x, int64_t by)
{
    for (int k = 0; k < s->n_quots; k++) {
        Lin diff = space_reduce(s, &s->quot[k].of);
        if (s->quot[k].by == by && lin_add(&diff, x, -1) && diff.c == 0 && lin_is_const(&diff))
            return &s->quot[k];
    }
    return NULL;
}

static bool new_quotient(Space *s, const Lin *x, int64_t by)
{
    struct Quotient q = { .of = *x, .by = by };
    int64_t lo, hi;

    if (s->closed) {
        s->why = "a number is made of a quotient that is no key";
        return false;
    }
    if (!space_range(s, x, &lo, &hi))
        return false;
    if (lo < 0 && hi > 0) {
        s->why = "the sign of what it divides is not known";
        return false;
    }
    q.neg = lo < 0;
    q.q = space_var(s, (q.neg ? -hi : lo) / by, (q.neg ? -lo : hi) / by, NULL);
    q.r = space_var(s, 0, by - 1, NULL);
    if (q.q < 0 || q.r < 0)
        return false;
    Lin eq = lin_const(0);
    const Lin vq = lin_var(s, q.q), vr = lin_var(s, q.r);
    if (!lin_add(&eq, x, q.neg ? 1 : -1) || !lin_add(&eq, &vq, by) || !lin_add(&eq, &vr, 1))
        return too_large(s);
    VEC_PUSH(s->a, s->quot, s->n_quots, q);
    return space_zero(s, &eq, -1);
}

bool space_div(Space *s, const Lin *x, int64_t by, Lin *quotient, Lin *remainder)
{
    const Lin y = space_reduce(s, x);

    if (by <= 0 || !lin_small(by)) {
        s->why = "it divides by something other than a positive literal";
        return false;
    }
    if (!known_quotient(s, &y, by) && !new_quotient(s, &y, by))
        return false;
    const Lin now = space_reduce(s, &y);
    const struct Quotient *k = known_quotient(s, &now, by);
    if (!k)
        return too_large(s);
    const Lin q = lin_var(s, k->q), r = lin_var(s, k->r);
    *quotient = *remainder = lin_const(0);
    return lin_add(quotient, &q, k->neg ? -1 : 1) && lin_add(remainder, &r, k->neg ? -1 : 1);
}
