/* SPDX-License-Identifier: Apache-2.0
 *
 * sheet.c - values to samples: a range to black and white or to a scale of colours, images laid out on a sheet. */
#include "plot/sheet.h"

#include <math.h>

#define GAP 2                       /* pixels between images */
#define PAPER 144                   /* the sheet, and where the table has no row */

const char *const sheet_colors[N_SHEET_COLORS] = { "grey", "heat", "signed" };

typedef struct Rgb { double part[3]; } Rgb;

/* From low to high, evenly spaced.  Both can be told apart in grey too. */
static const Rgb heat[] = { { { 18, 14, 54 } }, { { 66, 38, 130 } }, { { 40, 110, 150 } }, { { 62, 176, 122 } },
                            { { 190, 220, 72 } }, { { 254, 246, 182 } } };
static const Rgb two_sided[] = { { { 33, 76, 148 } }, { { 104, 160, 212 } }, { { 246, 246, 246 } }, { { 226, 128, 104 } },
                                 { { 158, 28, 40 } } };

static uint8_t colour_part(const Rgb *scale, int n, double at, int part)
{
    const int k = at >= 1 ? n - 2 : (int)(at * (n - 1));
    const double rest = at * (n - 1) - k;

    return (uint8_t)(scale[k].part[part] * (1 - rest) + scale[k + 1].part[part] * rest + 0.5);
}

static uint8_t sample_of(const Sheet *s, double v, int part)
{
    const double at = fmin(1, fmax(0, (v - s->lo) / (s->hi - s->lo)));

    switch (s->colors) {
    case SHEET_heat: return colour_part(heat, COUNT_OF(heat), at, part);
    case SHEET_signed: return colour_part(two_sided, COUNT_OF(two_sided), at, part);
    case SHEET_grey: case N_SHEET_COLORS: break;
    }
    return (uint8_t)(255 * at + 0.5);
}

/* Where the values do not say where black and white are: one value is in the middle, none anywhere. */
static void find_range(Sheet *s)
{
    const size_t n = s->n * (size_t)s->channels * (size_t)s->rows * (size_t)s->cols;
    double lo = INFINITY, hi = -INFINITY;

    for (size_t i = 0; i < n && !s->has_range; i++)
        if (isfinite(s->val[i])) {
            lo = fmin(lo, s->val[i]);
            hi = fmax(hi, s->val[i]);
        }
    if (!s->has_range && s->colors == SHEET_signed)
        lo = -(hi = fmax(fabs(lo), fabs(hi)));
    if (!s->has_range) {
        s->lo = lo;
        s->hi = hi;
    }
    if (!(s->hi > s->lo)) {
        s->lo = isfinite(s->lo) ? s->lo - 1 : 0;
        s->hi = s->lo + 2;
    }
}

/* One image into its place; `parts`: channels of the picture. */
static void sheet_image(const Sheet *s, size_t image, Picture *out, size_t top, size_t left)
{
    const size_t size = (size_t)s->rows * (size_t)s->cols, scale = (size_t)s->scale;

    for (int part = 0; part < out->channels; part++)
        for (size_t r = 0; r < (size_t)s->rows * scale; r++)
            for (size_t c = 0; c < (size_t)s->cols * scale; c++) {
                const size_t channel = image * (size_t)s->channels + (size_t)(s->channels == 3 ? part : 0);
                const double v = s->val[channel * size + r / scale * (size_t)s->cols + c / scale];
                *picture_at(out, part, top + r, left + c) = isnan(v) ? PAPER : sample_of(s, v, part);
            }
}

Code sheet_picture(const Sheet *given, Picture *out, Err *e)
{
    Sheet s = *given;
    const int64_t across = s.across ? s.across < (int64_t)s.n ? s.across : (int64_t)s.n : (int64_t)ceil(sqrt((double)s.n));
    const int64_t down = ((int64_t)s.n + across - 1) / across;
    const int64_t rows = (int64_t)s.rows * s.scale, cols = (int64_t)s.cols * s.scale;

    find_range(&s);
    if (picture_new(out, down * (rows + GAP) - GAP, across * (cols + GAP) - GAP,
                    s.channels == 3 || s.colors != SHEET_grey ? 3 : 1, e))
        return e->code;
    for (size_t i = 0; i < (size_t)out->channels * (size_t)out->rows * (size_t)out->cols; i++)
        out->px[i] = PAPER;
    for (size_t k = 0; k < s.n; k++)
        sheet_image(&s, k, out, k / (size_t)across * (size_t)(rows + GAP), k % (size_t)across * (size_t)(cols + GAP));
    return OK;
}

/* ---- characters ---- */

/* The mean over a square of `by` samples a side. */
static int mean_sample(const Picture *p, int channel, size_t r, size_t c, size_t by)
{
    int sum = 0, n = 0;

    for (size_t i = r * by; i < (r + 1) * by && i < (size_t)p->rows; i++)
        for (size_t k = c * by; k < (c + 1) * by && k < (size_t)p->cols; k++, n++)
            sum += *picture_at(p, p->channels == 3 ? channel : 0, i, k);
    return n ? sum / n : 0;
}

static void put_colour(Buf *b, const Picture *p, int code, size_t r, size_t c, size_t by)
{
    buf_printf(b, "\033[%d;2;%d;%d;%dm", code, mean_sample(p, 0, r, c, by), mean_sample(p, 1, r, c, by),
               mean_sample(p, 2, r, c, by));
}

static void text_halves(Buf *b, const Picture *p, size_t by, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r += 2) {
        for (size_t c = 0; c < cols; c++) {
            put_colour(b, p, 38, r, c, by);
            if (r + 1 < rows)
                put_colour(b, p, 48, r + 1, c, by);
            buf_puts(b, "▀");
        }
        buf_puts(b, "\033[0m\n");
    }
}

static void text_signs(Buf *b, const Picture *p, size_t by, size_t rows, size_t cols)
{
    static const char signs[] = " .:-=+*#%@";

    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            const int grey = (299 * mean_sample(p, 0, r, c, by) + 587 * mean_sample(p, 1, r, c, by) +
                              114 * mean_sample(p, 2, r, c, by)) / 1000;
            const char ch = signs[(size_t)grey * (sizeof signs - 1) / 256];
            buf_putc(b, ch);
            buf_putc(b, ch);
        }
        while (b->n && b->s[b->n - 1] == ' ')
            b->n--;
        buf_putc(b, '\n');
    }
}

void picture_text(Buf *out, const Picture *p, int columns, bool colour)
{
    const size_t room = (size_t)(columns < 10 ? 10 : columns) / (colour ? 1 : 2);
    const size_t by = ((size_t)p->cols + room - 1) / room;
    const size_t rows = ((size_t)p->rows + by - 1) / by, cols = ((size_t)p->cols + by - 1) / by;

    if (colour)
        text_halves(out, p, by, rows, cols);
    else
        text_signs(out, p, by, rows, cols);
    out->s[--out->n] = 0;
}
