/* SPDX-License-Identifier: Apache-2.0
 *
 * chart.h - curves and clouds of points in panels over one another, as SVG or as characters.
 *
 * All panels share the x axis and the groups: a group is what the legend names, one colour in every panel. */
#ifndef SG_CHART_H
#define SG_CHART_H

#include "base/base.h"

typedef struct Series {
    int group;                  /* index into Chart.group */
    double *x, *y; size_t n;    /* by ascending x for curves; what is not finite is a gap */
    double *smooth;             /* drawn in place of y, which stays faint behind it; or NULL */
    const char **text;          /* drawn at the points, or NULL */
} Series;

typedef struct Panel { const char *title; Series *series; int n_series; } Panel;

typedef struct Chart {
    const char *title;          /* or NULL */
    const char *x_name;
    const char **group; int n_groups;       /* one: no legend */
    Panel *panel; int n_panels;
    int width, height;          /* SVG: pixels, 0: as is usual; characters: columns and rows of a panel */
    bool points;                /* a cloud, not curves */
    bool log;                   /* the y axis; what is not above 0 is a gap */
    bool has_range; double lo, hi;          /* of the y axes */
    bool plain, colour;         /* characters: ASCII only; with the terminal's colours */
} Chart;

void chart_svg(Buf *out, const Chart *c, Arena *a);
void chart_text(Buf *out, const Chart *c, Arena *a);        /* lines, the last without a newline */

/* ---- axes.c ---- */

#define MOST_TICKS 12

/* Where values go: place = (value - lo) / (hi - lo), of logarithms if log. */
typedef struct Axis { double lo, hi; bool log; double tick[MOST_TICKS]; int n_ticks; double step; } Axis;

/* An axis over [lo, hi] with about `want` ticks at round numbers; `widen`: it starts and ends at a tick. */
void axis_make(Axis *x, double lo, double hi, bool log, int want, bool widen);
double axis_place(const Axis *x, double v);                 /* 0 .. 1 inside; NaN for what it cannot show */
const char *axis_label(const Axis *x, double tick, Arena *a);
/* The axes of a chart: one for x, one for a panel's y. */
void chart_x_axis(const Chart *c, int want, Axis *out);
void chart_y_axis(const Chart *c, const Panel *p, int want, Axis *out);
/* Points that a curve needs at `buckets` places along the axis: the first, least, greatest and last of each.  *n: how many. */
size_t *curve_thin(const Axis *x, const Series *s, const double *y, size_t buckets, size_t *n, Arena *a);
#endif
