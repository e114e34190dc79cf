/* SPDX-License-Identifier: Apache-2.0
 *
 * axes.c - ranges, round numbers for ticks, and what of a long curve a picture can show. */
#include "plot/chart.h"

#include <math.h>
#include <string.h>

#define LARGEST 1e300           /* beyond it differences overflow */

/* The least of 1, 2, 5 times a power of ten that is not under x. */
static double round_step(double x)
{
    const double unit = pow(10, floor(log10(x))), part = x / unit;

    return unit * (part <= 1.000001 ? 1 : part <= 2.000001 ? 2 : part <= 5.000001 ? 5 : 10);
}

static void linear_ticks(Axis *x, int want, bool widen)
{
    x->step = round_step((x->hi - x->lo) / want);
    if (widen) {
        x->lo = floor(x->lo / x->step + 1e-6) * x->step;
        x->hi = ceil(x->hi / x->step - 1e-6) * x->step;
    }
    const double first = ceil(x->lo / x->step - 1e-6);
    for (int k = 0; k < MOST_TICKS && (first + k) * x->step <= x->hi + 1e-6 * x->step; k++)
        x->tick[x->n_ticks++] = (first + k) * x->step;
}

/* Powers of ten; where there is hardly one, 2 and 5 times them too. */
static void log_ticks(Axis *x, bool widen)
{
    static const double part[] = { 1, 2, 5 };
    double from = floor(log10(x->lo) + 1e-9), to = ceil(log10(x->hi) - 1e-9);
    const double every = ceil((to - from) / (MOST_TICKS - 4));
    const int parts = to - from <= 2 ? 3 : 1;

    if (widen && parts == 1) {
        x->lo = pow(10, from);
        x->hi = pow(10, to);
    }
    for (double k = from; k <= to; k += every > 1 ? every : 1)
        for (int p = 0; p < parts && x->n_ticks < MOST_TICKS; p++) {
            const double v = part[p] * pow(10, k);
            if (v >= x->lo * 0.999999 && v <= x->hi * 1.000001)
                x->tick[x->n_ticks++] = v;
        }
    if (x->n_ticks >= 2)
        return;
    x->n_ticks = 0;                             /* far less than a power of ten */
    linear_ticks(x, 4, widen);
}

static double within_largest(double v)
{
    return v > LARGEST ? LARGEST : v < -LARGEST ? -LARGEST : v;
}

void axis_make(Axis *x, double lo, double hi, bool log, int want, bool widen)
{
    const double size = fmax(fabs(lo), fabs(hi));

    if (!(hi - lo > 1e-9 * size)) {             /* one value, or none */
        lo = log ? lo / 2 : lo - (size > 0 ? 0.1 * size : 1);
        hi = log ? hi * 2 : hi + (size > 0 ? 0.1 * size : 1);
    }
    *x = (Axis){ .lo = within_largest(lo), .hi = within_largest(hi), .log = log };
    if (log)
        log_ticks(x, widen);
    else
        linear_ticks(x, want, widen);
}

double axis_place(const Axis *x, double v)
{
    if (!isfinite(v) || (x->log && v <= 0))
        return (double)NAN;
    return x->log ? log(v / x->lo) / log(x->hi / x->lo) : (v - x->lo) / (x->hi - x->lo);
}

static void trim_zeros(char *s)
{
    char *end = s + strlen(s);

    while (end[-1] == '0')
        *--end = 0;
    if (end[-1] == '.')
        *--end = 0;
}

/* 1e-5, not 1e-05. */
static void short_exponent(char *s, size_t size, int digits, double v)
{
    snprintf(s, size, "%.*g", digits, v);
    char *e = strchr(s, 'e'), *from = e ? e + 2 : NULL;
    if (!e)
        return;
    while (*from == '0' && from[1])
        from++;
    char *to = e[1] == '-' ? e + 2 : e + 1;
    memmove(to, from, strlen(from) + 1);
}

const char *axis_label(const Axis *x, double v, Arena *a)
{
    static const struct { double unit; const char *name; } units[] = { { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } };
    const double size = fmax(fabs(x->lo), fabs(x->hi)), part = x->log && !x->step ? v : x->step;
    char s[64];

    if (v == 0)
        return "0";
    for (size_t k = 0; k < COUNT_OF(units) && !x->log && size < 1e12; k++)
        if (size >= 10 * units[k].unit && part >= units[k].unit / 100) {
            snprintf(s, sizeof s, "%.2f", v / units[k].unit);
            trim_zeros(s);
            return arena_printf(a, "%s%s", s, units[k].name);
        }
    const double digits = -floor(log10(part) + 1e-9);
    if (size >= 1e6 || digits > 4)
        short_exponent(s, sizeof s, (int)fmin(15, fmax(1, ceil(log10(fabs(v) / part) - 1e-6) + 1)), v);
    else
        snprintf(s, sizeof s, "%.*f", (int)fmax(0, digits), v);
    return arena_strdup(a, s);
}

/* ---- the axes of a chart ---- */

typedef struct Reach { double lo, hi; } Reach;

static void reach_add(Reach *r, double v, bool log)
{
    if (!isfinite(v) || (log && v <= 0))
        return;
    r->lo = v < r->lo ? v : r->lo;
    r->hi = v > r->hi ? v : r->hi;
}

void chart_x_axis(const Chart *c, int want, Axis *out)
{
    Reach r = { INFINITY, -INFINITY };

    for (int p = 0; p < c->n_panels; p++)
        for (int k = 0; k < c->panel[p].n_series; k++) {
            const Series *s = &c->panel[p].series[k];
            for (size_t i = 0; i < s->n; i++)
                reach_add(&r, s->x[i], false);
        }
    if (r.lo > r.hi)
        r = (Reach){ 0, 1 };
    axis_make(out, r.lo, r.hi, false, want, c->points);
}

void chart_y_axis(const Chart *c, const Panel *p, int want, Axis *out)
{
    Reach r = { INFINITY, -INFINITY };

    for (int k = 0; k < p->n_series; k++)
        for (size_t i = 0; i < p->series[k].n; i++)
            reach_add(&r, p->series[k].y[i], c->log);
    if (c->has_range)
        r = (Reach){ c->lo, c->hi };
    else if (r.lo > r.hi)
        r = (Reach){ c->log ? 0.1 : 0, 1 };
    axis_make(out, r.lo, r.hi, c->log, want, !c->has_range);
}

size_t *curve_thin(const Axis *x, const Series *s, const double *y, size_t buckets, size_t *n, Arena *a)
{
    size_t *kept = ARENA_ARRAY(a, size_t, s->n < 4 * (buckets + 1) ? s->n + 1 : 4 * (buckets + 1));

    *n = 0;
    if (s->n <= 2 * buckets) {
        for (size_t i = 0; i < s->n; i++)
            kept[(*n)++] = i;
        return kept;
    }
    for (size_t from = 0, to; from < s->n; from = to) {
        const double bucket = floor(axis_place(x, s->x[from]) * (double)buckets);
        size_t least = from, most = from;
        for (to = from; to < s->n && floor(axis_place(x, s->x[to]) * (double)buckets) == bucket; to++) {
            least = y[to] < y[least] || isnan(y[least]) ? to : least;
            most = y[to] > y[most] || isnan(y[most]) ? to : most;
        }
        const size_t at[] = { from, least < most ? least : most, least < most ? most : least, to - 1 };
        for (int k = 0; k < 4; k++)
            if (!*n || at[k] > kept[*n - 1])
                kept[(*n)++] = at[k];
    }
    return kept;
}
