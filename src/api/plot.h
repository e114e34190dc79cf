/* SPDX-License-Identifier: Apache-2.0
 *
 * plot.h - what the files of `plot` share. */
#ifndef SG_PLOT_H
#define SG_PLOT_H

#include "api/session.h"
#include "plot/chart.h"

typedef struct PlotOpts {
    const char *out, *title;
    bool has_range; double lo, hi;
    int width, height;              /* of an SVG, 0: as is usual */
    int x;                          /* 0 step, 1 epoch, 2 time */
    double smooth;
    bool plain, colour; int columns;        /* of the terminal */
} PlotOpts;

const char *plot_ending(const char *path);                              /* what stands behind the last dot */
Code plot_write(Job *j, const char *path, const Buf *b);                /* and say so */
Code plot_chart(Job *j, const PlotOpts *o, Chart *c);                   /* to --out, or in characters */
Code plot_table(Job *j, const PlotOpts *o, const char *db);             /* plot_table.c */
#endif
