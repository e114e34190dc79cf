/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c - what a run says while it runs: a line that is rewritten on a terminal, a line now and then
 * elsewhere, or JSON events, one a step.  Nothing here touches a number of the run. */
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHOW_EVERY 0.1          /* seconds between rewrites of the progress line */
#define SAY_EVERY  10.0         /* seconds between lines where there is no terminal */

static void json_text(Buf *b, const char *s)
{
    buf_putc(b, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buf_putc(b, '\\');
        if ((unsigned char)*s < 32)
            buf_printf(b, "\\u%04x", (unsigned)*s);
        else
            buf_putc(b, *s);
    }
    buf_putc(b, '"');
}

static void json_real(Buf *b, double x)
{
    if (isfinite(x))
        buf_real(b, x);
    else
        buf_puts(b, "null");
}

static void say(const Progress *g, ReportKind kind, Buf *b)
{
    g->to.line(g->to.arg, kind, b->s);
    buf_free(b);
}

/* 83 s as 1m23s. */
static void add_time(Buf *b, double s)
{
    const long long t = s < 1e9 ? (long long)(s + 0.5) : 1000000000;

    if (t >= 3600)
        buf_printf(b, "%lldh%02lldm", t / 3600, t / 60 % 60);
    else if (t >= 60)
        buf_printf(b, "%lldm%02llds", t / 60, t % 60);
    else
        buf_printf(b, "%llds", t);
}

static void add_rate(Buf *b, double x)
{
    if (x >= 10e6)
        buf_printf(b, "%.0fM", x / 1e6);
    else if (x >= 10e3)
        buf_printf(b, "%.0fk", x / 1e3);
    else
        buf_printf(b, "%.3g", x);
}

static void progress_line(Progress *g, int64_t step, const Metric *loss, int n, ReportKind kind)
{
    const double spent = clock_seconds() - g->began, done = (double)(step + 1 - g->first);
    Buf b = { 0 };

    if (g->per_epoch > 1 && g->per_epoch < g->total)
        buf_printf(&b, "epoch %lld  ", (long long)(step / g->per_epoch));
    buf_printf(&b, "step %lld/%lld", (long long)step + 1, (long long)g->total);
    for (int k = 0; k < n; k++)
        buf_printf(&b, "  %s %.6g", n == 1 ? "loss" : loss[k].name, loss[k].value);
    for (int k = 0; k < g->n_metrics; k++)
        buf_printf(&b, "  %s %.4g", g->metric[k].name, g->metric[k].value);
    if (spent > 0) {
        buf_puts(&b, "  ");
        if (g->rows) {
            add_rate(&b, (double)g->rows * done / spent);
            buf_puts(&b, " rows/s  ");
        }
        add_time(&b, spent / done * (double)(g->total - step - 1));
        buf_puts(&b, " left");
    }
    say(g, kind, &b);
}

/* {"name":value,…} */
static void json_values(Buf *b, const Metric *m, int n)
{
    buf_putc(b, '{');
    for (int k = 0; k < n; k++) {
        if (k)
            buf_putc(b, ',');
        json_text(b, m[k].name);
        buf_putc(b, ':');
        json_real(b, m[k].value);
    }
    buf_putc(b, '}');
}

/* Where there are several. */
static void json_losses(Buf *b, const Metric *loss, int n)
{
    if (n < 2)
        return;
    buf_puts(b, ",\"losses\":");
    json_values(b, loss, n);
}

static void keep_second(Progress *g, double seconds)
{
    VEC_PUSH(&g->arena, g->second, g->n_seconds, seconds);
}

void progress_step(Progress *g, int64_t step, const Metric *loss, int n, double seconds)
{
    const double now = clock_seconds();
    Buf b = { 0 };

    keep_second(g, seconds);
    if (g->to.json) {
        buf_printf(&b, "{\"event\":\"step\",\"epoch\":%lld,\"step\":%lld,\"loss\":", (long long)(step / g->per_epoch),
                   (long long)step);
        json_real(&b, loss[0].value);
        json_losses(&b, loss, n);
        buf_putc(&b, '}');
        say(g, REPORT_OUT, &b);
    } else if (g->to.tty && !g->to.quiet && now - g->shown >= SHOW_EVERY) {
        g->shown = now;
        progress_line(g, step, loss, n, REPORT_PROGRESS);
    } else if (!g->to.tty && !g->to.quiet && now - g->said >= SAY_EVERY) {
        g->said = now;
        progress_line(g, step, loss, n, REPORT_NOTE);
    }
}

static void json_metrics(Progress *g, const char *split, int64_t step, const Metric *m, int n)
{
    Buf b = { 0 };

    buf_puts(&b, "{\"event\":\"eval\",\"split\":");
    json_text(&b, split);
    buf_printf(&b, ",\"epoch\":%lld,\"step\":%lld,\"metrics\":", (long long)((step - 1) / g->per_epoch), (long long)step);
    json_values(&b, m, n);
    buf_putc(&b, '}');
    say(g, REPORT_OUT, &b);
}

/* `step`: how many steps were done when the metrics were taken. */
void progress_metrics(Progress *g, const char *split, int64_t step, const Metric *m, int n)
{
    Buf b = { 0 };

    g->metric = ARENA_ARRAY(&g->arena, Metric, n + 1);
    g->n_metrics = n;
    for (int k = 0; k < n; k++)
        g->metric[k] = (Metric){ arena_strdup(&g->arena, m[k].name), m[k].value };
    if (g->to.json) {
        json_metrics(g, split, step, m, n);
        return;
    }
    if (g->to.quiet || !n)
        return;
    if (g->per_epoch > 1 && g->per_epoch < g->total)
        buf_printf(&b, "epoch %lld  ", (long long)((step - 1) / g->per_epoch));
    buf_printf(&b, "step %lld/%lld  %s:", (long long)step, (long long)g->total, split);
    for (int k = 0; k < n; k++)
        buf_printf(&b, "  %s %.6g", m[k].name, m[k].value);
    say(g, REPORT_NOTE, &b);
    g->said = clock_seconds();
}

static int by_size(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;

    return (a > b) - (a < b);
}

static double median_second(Progress *g)
{
    if (!g->n_seconds)
        return 0;
    qsort(g->second, (size_t)g->n_seconds, sizeof *g->second, by_size);
    return g->second[g->n_seconds / 2];
}

void progress_done(Progress *g, int64_t steps, const Metric *loss, int n, double compile_seconds, double load_seconds)
{
    const double median = median_second(g);
    Buf b = { 0 };

    if (g->to.json) {
        buf_printf(&b, "{\"event\":\"done\",\"steps\":%lld,\"loss\":", (long long)steps);
        json_real(&b, loss[0].value);
        json_losses(&b, loss, n);
        buf_puts(&b, ",\"seconds_per_step\":");
        json_real(&b, median);
        buf_puts(&b, ",\"compile_seconds\":");
        json_real(&b, compile_seconds);
        buf_puts(&b, ",\"load_seconds\":");
        json_real(&b, load_seconds);
        buf_putc(&b, '}');
    } else {
        buf_printf(&b, "%lld step%s", (long long)steps, steps == 1 ? "" : "s");
        for (int k = 0; k < n && g->n_seconds; k++)
            buf_printf(&b, ", last %s %.6g", n == 1 ? "loss" : loss[k].name, loss[k].value);
        if (g->n_seconds)
            buf_printf(&b, ", %.3g ms a step", 1e3 * median);
    }
    if (g->to.json || !g->to.quiet)
        say(g, REPORT_OUT, &b);
    else
        buf_free(&b);
}
