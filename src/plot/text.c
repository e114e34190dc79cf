/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - a chart in characters: a cell has 2 x 4 dots of Braille, or a letter or mark of its group where dots of
 * several groups could not be told apart. */
#include "plot/chart.h"

#include <math.h>
#include <string.h>

#define USUAL_COLS 80
#define USUAL_ROWS 12
#define DOTS_X 2
#define DOTS_Y 4

static const char marks[] = "*o+x#%@abcdefghijklmnpqrstuvwyz";
static const int tint[] = { 34, 33, 32, 31, 35, 36, 94, 95, 92, 90 };       /* escape codes of the terminal's colours */

typedef struct Screen {
    const Chart *c; Arena *a;
    int cols, rows;             /* of the frame, in cells */
    uint8_t *dots;              /* a bit a dot */
    int *group;                 /* 1 + the group seen last in a cell; 0: none */
    bool braille;
} Screen;

static void screen_dot(Screen *t, int x, int y, int group)
{
    static const uint8_t bit[DOTS_Y][DOTS_X] = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } };

    if (x < 0 || y < 0 || x >= t->cols * DOTS_X || y >= t->rows * DOTS_Y)
        return;
    const int cell = y / DOTS_Y * t->cols + x / DOTS_X;
    t->dots[cell] |= bit[y % DOTS_Y][x % DOTS_X];
    t->group[cell] = group + 1;
}

static void screen_line(Screen *t, double x0, double y0, double x1, double y1, int group)
{
    const double most = 4.0 * DOTS_Y * (t->cols + t->rows), n = fmin(most, fmax(1, ceil(fmax(fabs(x1 - x0), fabs(y1 - y0)))));

    for (double k = 0; k <= n; k++)
        screen_dot(t, (int)floor(x0 + (x1 - x0) * k / n + 0.5), (int)floor(y0 + (y1 - y0) * k / n + 0.5), group);
}

static double cut_within(double v, double most)
{
    return fmin(2 * most, fmax(-most, v));
}

static void screen_series(Screen *t, const Axis *x, const Axis *y, const Series *s)
{
    const double *v = s->smooth ? s->smooth : s->y, wide = t->cols * DOTS_X - 1, high = t->rows * DOTS_Y - 1;
    size_t n, *at = curve_thin(x, s, v, (size_t)wide, &n, t->a);
    double px = (double)NAN, py = (double)NAN;

    if (t->c->points)
        n = s->n;
    for (size_t k = 0; k < n; k++) {
        const size_t i = t->c->points ? k : at[k];
        const double qx = axis_place(x, s->x[i]) * wide, qy = cut_within((1 - axis_place(y, v[i])) * high, high + 1);
        if (!isnan(qx) && !isnan(axis_place(y, v[i]))) {
            if (t->c->points || isnan(px) || isnan(py))
                screen_dot(t, (int)(qx + 0.5), (int)floor(qy + 0.5), s->group);
            else
                screen_line(t, px, py, qx, qy, s->group);
        }
        px = qx;
        py = isnan(axis_place(y, v[i])) ? (double)NAN : qy;
    }
}

static void put_cell(Buf *b, const Screen *t, int cell)
{
    const int group = t->group[cell] - 1;

    if (group < 0) {
        buf_putc(b, ' ');
        return;
    }
    if (t->c->colour)
        buf_printf(b, "\033[%dm", tint[(size_t)group % COUNT_OF(tint)]);
    if (t->braille)
        buf_printf(b, "\xe2%c%c", 0xa0 | t->dots[cell] >> 6, 0x80 | (t->dots[cell] & 0x3f));
    else
        buf_putc(b, marks[(size_t)group % (sizeof marks - 1)]);
    if (t->c->colour)
        buf_puts(b, "\033[0m");
}

static void end_line(Buf *b)
{
    while (b->n && b->s[b->n - 1] == ' ')
        b->n--;
    buf_putc(b, '\n');
}

/* The row of the frame that a value falls into. */
static int row_of(const Screen *t, const Axis *y, double v)
{
    return (int)floor(((1 - axis_place(y, v)) * (t->rows * DOTS_Y - 1) + 0.5) / DOTS_Y);
}

static void put_rows(Buf *b, const Screen *t, const Axis *y, int left)
{
    for (int r = 0; r < t->rows; r++) {
        const char *label = "";
        for (int k = 0; k < y->n_ticks; k++)
            if (row_of(t, y, y->tick[k]) == r)
                label = axis_label(y, y->tick[k], t->a);
        buf_printf(b, "%*s %s", left, label, t->c->plain ? *label ? "+" : "|" : *label ? "┤" : "│");
        for (int k = 0; k < t->cols; k++)
            put_cell(b, t, r * t->cols + k);
        end_line(b);
    }
}

/* The axis, and below it the ticks' labels, each left out where it would touch the one before. */
static void put_bottom(Buf *b, const Screen *t, const Axis *x, int left)
{
    char *line = arena_alloc(t->a, (size_t)(t->cols + 64));
    int end = -1;

    memset(line, ' ', (size_t)(t->cols + 63));
    buf_printf(b, "%*s %s", left, "", t->c->plain ? "+" : "└");
    for (int k = 0; k < t->cols; k++)
        buf_puts(b, t->c->plain ? "-" : "─");
    buf_putc(b, '\n');
    for (int k = 0; k < x->n_ticks; k++) {
        const char *s = axis_label(x, x->tick[k], t->a);
        const int n = (int)strlen(s), middle = (int)(axis_place(x, x->tick[k]) * (t->cols - 1) + 0.5);
        int at = middle - n / 2 < 0 ? 0 : middle - n / 2;
        at = at + n > t->cols ? t->cols - n : at;
        if (at > end && at >= 0 && n < 60) {
            memcpy(line + at, s, (size_t)n);
            end = at + n;
        }
    }
    const int name = (int)strlen(t->c->x_name);
    if (end + 1 < t->cols - name)
        memcpy(line + t->cols - name, t->c->x_name, (size_t)name);
    buf_printf(b, "%*s %s", left + 1, "", line);
    end_line(b);
}

/* Names under their marks, with where each ends. */
static void put_legend(Buf *b, const Screen *t, const Panel *p, int left)
{
    int used = 0;

    for (int k = 0; k < p->n_series; k++) {
        const Series *s = &p->series[k];
        const double *v = s->smooth ? s->smooth : s->y;
        const char *last = s->n && !t->c->points ? arena_printf(t->a, " %.4g", v[s->n - 1]) : "";
        const int n = (int)(strlen(t->c->group[s->group]) + strlen(last)) + 4;
        if (used && used + n > t->cols) {
            end_line(b);
            used = 0;
        }
        if (!used)
            buf_printf(b, "%*s ", left + 1, "");
        used += n;
        if (t->c->colour)
            buf_printf(b, "\033[%dm", tint[(size_t)s->group % COUNT_OF(tint)]);
        if (t->braille)
            buf_puts(b, "━");
        else
            buf_putc(b, marks[(size_t)s->group % (sizeof marks - 1)]);
        buf_printf(b, "%s %s%s   ", t->c->colour ? "\033[0m" : "", t->c->group[s->group], last);
    }
    end_line(b);
}

static void put_panel(Buf *b, Screen *t, const Axis *x, const Panel *p, int left)
{
    const size_t n = (size_t)(t->cols * t->rows);
    Axis y;

    t->dots = arena_alloc(t->a, n);
    t->group = ARENA_ARRAY(t->a, int, n);
    t->braille = !t->c->plain && (t->c->colour || p->n_series <= 1);
    chart_y_axis(t->c, p, t->rows / 3, &y);
    for (int k = 0; k < p->n_series; k++)
        screen_series(t, x, &y, &p->series[k]);
    buf_printf(b, "%*s %s\n", left + 1, "", p->title);
    put_rows(b, t, &y, left);
    put_bottom(b, t, x, left);
    put_legend(b, t, p, left);
}

static int labels_width(const Chart *c, int rows, Arena *a)
{
    int most = 1;

    for (int p = 0; p < c->n_panels; p++) {
        Axis y;
        chart_y_axis(c, &c->panel[p], rows / 3, &y);
        for (int k = 0; k < y.n_ticks; k++) {
            const int n = (int)strlen(axis_label(&y, y.tick[k], a));
            most = n > most ? n : most;
        }
    }
    return most;
}

void chart_text(Buf *out, const Chart *c, Arena *a)
{
    Screen t = { .c = c, .a = a, .rows = c->height ? c->height : USUAL_ROWS };
    const int left = labels_width(c, t.rows, a), cols = (c->width ? c->width : USUAL_COLS) - left - 3;
    Axis x;

    t.cols = cols < 10 ? 10 : cols;
    chart_x_axis(c, t.cols / 10 < MOST_TICKS ? t.cols / 10 : MOST_TICKS - 1, &x);
    if (c->title)
        buf_printf(out, "%*s %s\n", left + 1, "", c->title);
    for (int k = 0; k < c->n_panels; k++) {
        if (k)
            buf_putc(out, '\n');
        put_panel(out, &t, &x, &c->panel[k], left);
    }
    while (out->n && out->s[out->n - 1] == '\n')
        out->s[--out->n] = 0;
}
