/* SPDX-License-Identifier: Apache-2.0
 *
 * sheet.h - images of a table, side by side on a sheet, as a picture or as characters. */
#ifndef SG_SHEET_H
#define SG_SHEET_H

#include "data/picture.h"

typedef enum SheetColors { SHEET_grey, SHEET_heat, SHEET_signed, N_SHEET_COLORS } SheetColors;
extern const char *const sheet_colors[N_SHEET_COLORS];

typedef struct Sheet {
    size_t n;                       /* images */
    int channels, rows, cols;       /* of each */
    const double *val;              /* (image, channel, r, c); NaN: the table has no such row */
    SheetColors colors;             /* heat, signed: of one channel */
    bool has_range; double lo, hi;  /* of what is black and white; else the least and the greatest value */
    int across;                     /* images in a row; 0: about as many as there are rows */
    int scale;                      /* pixels a value */
} Sheet;

Code sheet_picture(const Sheet *s, Picture *out, Err *e);
/* A picture in characters at most `columns` wide: halves of cells in colours, or signs from dark to bright. */
void picture_text(Buf *out, const Picture *p, int columns, bool colour);
#endif
