/* SPDX-License-Identifier: Apache-2.0
 *
 * svg.c - a chart as SVG: no background, and inks that can be read on white and on black. */
#include "plot/chart.h"

#include "data/data.h"

#include <math.h>
#include <string.h>

#define FONT 13.0               /* pixels; a character is taken to be 0.56 of it wide */
#define LINE 20.0
#define PLOT_WIDTH 720
#define PANEL_HEIGHT 300        /* of a single one */
#define LOW_PANEL 210
#define CLOUD_SIDE 560
#define DOTS 40                 /* curves of so few points show them */

static const char *const ink[] = {
    "#3a86c8", "#e0752e", "#3c9d5b", "#c94f6d", "#8a6fc4", "#a8822e", "#2a9fa8", "#d36bb4", "#7d8a3c", "#8a8f98",
};
static const char *const dash[] = { NULL, "6 3", "2 3", "8 3 2 3" };

typedef struct Svg { Buf *out; const Chart *c; Arena *a; Axis x; double left, right, top, bottom; } Svg;    /* a panel's frame */

/* Text for XML: what it cannot hold becomes a question mark. */
static void svg_escape(Buf *b, const char *s)
{
    const size_t n = strlen(s);

    for (size_t at = 0, before; at < n;) {
        before = at;
        const int32_t ch = utf8_next((const uint8_t *)s, n, &at);
        at += ch < 0;
        if (ch == '<' || ch == '>' || ch == '&' || ch == '"')
            buf_printf(b, "&#%d;", (int)ch);
        else if (ch < 32 || ch == 127 || ch == 0xfffe || ch == 0xffff)
            buf_putc(b, ch < 0 ? '?' : ' ');
        else
            buf_add(b, s + before, at - before);
    }
}

static double text_reach(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return 0.56 * FONT * (double)n;
}

/* `how`: further attributes, such as text-anchor. */
static void svg_text(Svg *g, double x, double y, const char *how, const char *s)
{
    buf_printf(g->out, "<text x=\"%.1f\" y=\"%.1f\"%s%s>", x, y, *how ? " " : "", how);
    svg_escape(g->out, s);
    buf_puts(g->out, "</text>\n");
}

static void svg_stroke(Buf *b, int group)
{
    const char *d = dash[(size_t)group / COUNT_OF(ink) % COUNT_OF(dash)];

    buf_printf(b, " stroke=\"%s\"", ink[(size_t)group % COUNT_OF(ink)]);
    if (d)
        buf_printf(b, " stroke-dasharray=\"%s\"", d);
}

static double svg_x(const Svg *g, double v)
{
    return g->left + axis_place(&g->x, v) * (g->right - g->left);
}

static double svg_y(const Svg *g, const Axis *y, double v)
{
    return g->bottom - axis_place(y, v) * (g->bottom - g->top);
}

/* ---- a panel ---- */

static void svg_grid(Svg *g, const Axis *y, bool last)
{
    buf_puts(g->out, "<g class=\"grid\">\n");
    for (int k = 0; k < y->n_ticks; k++)
        buf_printf(g->out, "<path d=\"M%.1f %.1fH%.1f\"/>\n", g->left, svg_y(g, y, y->tick[k]), g->right);
    for (int k = 0; k < g->x.n_ticks; k++)
        buf_printf(g->out, "<path d=\"M%.1f %.1fV%.1f\"/>\n", svg_x(g, g->x.tick[k]), g->c->points ? g->top : g->bottom,
                   g->bottom + 4);
    buf_printf(g->out, "</g>\n<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n", g->left, g->bottom, g->right);
    for (int k = 0; k < y->n_ticks; k++)
        svg_text(g, g->left - 7, svg_y(g, y, y->tick[k]) + 4.5, "text-anchor=\"end\"", axis_label(y, y->tick[k], g->a));
    for (int k = 0; k < g->x.n_ticks && last; k++)
        svg_text(g, svg_x(g, g->x.tick[k]), g->bottom + 18, "text-anchor=\"middle\"", axis_label(&g->x, g->x.tick[k], g->a));
}

static void svg_dot(Svg *g, double x, double y, int group, double radius)
{
    buf_printf(g->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>\n", x, y, radius,
               ink[(size_t)group % COUNT_OF(ink)]);
}

static void svg_curve(Svg *g, const Axis *y, const Series *s, const double *v, bool faint)
{
    size_t n, *at = curve_thin(&g->x, s, v, (size_t)(g->right - g->left) / 2, &n, g->a);
    bool gap = true;

    buf_puts(g->out, faint ? "<path class=\"curve faint\"" : "<path class=\"curve\"");
    svg_stroke(g->out, s->group);
    buf_puts(g->out, " d=\"");
    for (size_t k = 0; k < n; k++) {
        const double px = svg_x(g, s->x[at[k]]), py = svg_y(g, y, v[at[k]]);
        if (!isnan(px) && !isnan(py))
            buf_printf(g->out, "%s%.1f %.1f", gap ? "M" : "L", px, py);
        gap = isnan(px) || isnan(py);
    }
    buf_puts(g->out, "\"/>\n");
    for (size_t k = 0; k < n && s->n <= DOTS && !faint; k++)
        if (!isnan(svg_y(g, y, v[at[k]])))
            svg_dot(g, svg_x(g, s->x[at[k]]), svg_y(g, y, v[at[k]]), s->group, 2.5);
}

static void svg_cloud(Svg *g, const Axis *y, const Series *s)
{
    const double radius = s->n > 2000 ? 1.6 : s->n > 200 ? 2.5 : 3.5;

    buf_puts(g->out, "<g class=\"cloud\">\n");
    for (size_t i = 0; i < s->n; i++) {
        const double px = svg_x(g, s->x[i]), py = svg_y(g, y, s->y[i]);
        if (isnan(px) || isnan(py))
            continue;
        svg_dot(g, px, py, s->group, radius);
        if (s->text)
            svg_text(g, px + 6, py + 4, "class=\"note\"", s->text[i]);
    }
    buf_puts(g->out, "</g>\n");
}

/* Curves are cut at the frame where --range is narrower than they are. */
static void svg_panel(Svg *g, int k, bool last)
{
    const Panel *p = &g->c->panel[k];
    Axis y;

    chart_y_axis(g->c, p, (int)((g->bottom - g->top) / 45), &y);
    svg_text(g, g->left, g->top - 9, "class=\"name\"", p->title);
    svg_grid(g, &y, last);
    buf_printf(g->out, "<clipPath id=\"p%d\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></clipPath>\n"
               "<g clip-path=\"url(#p%d)\">\n", k, g->left - 4, g->top - 4, g->right - g->left + 8, g->bottom - g->top + 8, k);
    for (int s = 0; s < p->n_series; s++)
        if (g->c->points)
            svg_cloud(g, &y, &p->series[s]);
        else if (p->series[s].smooth)
            svg_curve(g, &y, &p->series[s], p->series[s].y, true);
    for (int s = 0; s < p->n_series && !g->c->points; s++)
        svg_curve(g, &y, &p->series[s], p->series[s].smooth ? p->series[s].smooth : p->series[s].y, false);
    buf_puts(g->out, "</g>\n");
}

/* ---- the whole ---- */

/* Names in rows from (left, y) on; the y where they end.  Nothing is drawn without `out`. */
static double svg_legend(Svg *g, double y, bool draw)
{
    double x = g->left;

    for (int k = 0; k < g->c->n_groups && g->c->n_groups > 1; k++) {
        const double wide = 34 + text_reach(g->c->group[k]);
        if (x > g->left && x + wide > g->right) {
            x = g->left;
            y += LINE;
        }
        if (draw && g->c->points)
            svg_dot(g, x + 10, y - 4.5, k, 4);
        else if (draw) {
            buf_printf(g->out, "<path class=\"curve\" d=\"M%.1f %.1fh18\"", x, y - 4.5);
            svg_stroke(g->out, k);
            buf_puts(g->out, "/>\n");
        }
        if (draw)
            svg_text(g, x + 24, y, "", g->c->group[k]);
        x += wide + 12;
    }
    return g->c->n_groups > 1 ? y + LINE : y;
}

static double label_reach(const Chart *c, Arena *a)
{
    double most = 0;

    for (int p = 0; p < c->n_panels; p++) {
        Axis y;
        chart_y_axis(c, &c->panel[p], 5, &y);
        for (int k = 0; k < y.n_ticks; k++)
            most = fmax(most, text_reach(axis_label(&y, y.tick[k], a)));
    }
    return most;
}

static void svg_head(Buf *b, int width, int height)
{
    buf_printf(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", width, height,
               width, height);
    buf_printf(b, "<style>\n"
               "text { font: %gpx system-ui, \"Segoe UI\", \"DejaVu Sans\", Helvetica, Arial, sans-serif; fill: #6a7078 }\n"
               ".title { font-size: 16px; font-weight: 600 }\n"
               ".name { font-weight: 600 }\n"
               ".note { font-size: 11px }\n"
               ".grid path { stroke: #80868f; stroke-opacity: .25 }\n"
               ".axis { stroke: #80868f }\n"
               ".curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round }\n"
               ".faint { stroke-width: 1; stroke-opacity: .3 }\n"
               ".cloud circle { fill-opacity: .75 }\n"
               "@media (prefers-color-scheme: dark) { text { fill: #a9b0b9 } }\n"
               "</style>\n", FONT);
}

void chart_svg(Buf *out, const Chart *c, Arena *a)
{
    Svg g = { .out = out, .c = c, .a = a, .left = 24 + label_reach(c, a) };
    const int width = c->width ? c->width : c->points ? CLOUD_SIDE : PLOT_WIDTH;

    const int usual = c->points ? CLOUD_SIDE - 60 : c->n_panels > 1 ? LOW_PANEL : PANEL_HEIGHT;
    g.right = width - 18;
    const double legend = (c->title ? 34 : 12) + 12, first = svg_legend(&g, legend, false) + (c->n_groups > 1 ? 0 : -8);
    const int height = c->height ? c->height
                       : (int)first + c->n_panels * usual + 26;
    const double each = (height - first - 26) / c->n_panels;
    chart_x_axis(c, width / 90, &g.x);
    svg_head(out, width, height);
    if (c->title)
        svg_text(&g, g.left, 24, "class=\"title\"", c->title);
    svg_legend(&g, legend, true);
    for (int k = 0; k < c->n_panels; k++) {
        g.top = first + k * each + 26;
        g.bottom = first + (k + 1) * each - 20;
        svg_panel(&g, k, k == c->n_panels - 1);
    }
    svg_text(&g, (g.left + g.right) / 2, height - 8.0, "text-anchor=\"middle\"", c->x_name);
    buf_puts(out, "</svg>\n");
}
