/* SPDX-License-Identifier: Apache-2.0
 *
 * plot.c - `plot`: curves of sqlgrad_history, one panel a name, of one or several runs and databases; with --table
 * what plot_table.c draws. */
#include "api/plot.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MOST_SIDE 20000         /* pixels */

/* ---- options ---- */

static Code plot_option(Job *j, const char *what, const char *value, const char *wants)
{
    return err_set(&j->e, E_USAGE, ERR_plot_option, "--%s %s: %s", what, value, wants);
}

static Code read_range(Job *j, PlotOpts *o)
{
    const char *s = opt_text(j->o, OPT_range, NULL), *comma = s ? strchr(s, ',') : NULL;

    if (!s)
        return OK;
    o->has_range = comma && parse_real(s, (size_t)(comma - s), &o->lo) && parse_real(comma + 1, strlen(comma + 1), &o->hi);
    return o->has_range && o->lo < o->hi && isfinite(o->lo) && isfinite(o->hi)
           ? OK : plot_option(j, "range", s, "two numbers, the smaller first, such as 0,1");
}

static Code read_size(Job *j, PlotOpts *o)
{
    const char *s = opt_text(j->o, OPT_size, NULL), *by = s ? strchr(s, 'x') : NULL;
    int64_t w = 0, h = 0;

    if (!s)
        return OK;
    if (!by || !parse_int(s, (size_t)(by - s), &w) || !parse_int(by + 1, strlen(by + 1), &h) || w < 100 || h < 100 ||
        w > MOST_SIDE || h > MOST_SIDE)
        return plot_option(j, "size", s, "width and height in pixels, such as 720x400");
    o->width = (int)w;
    o->height = (int)h;
    return OK;
}

static Code read_words(Job *j, PlotOpts *o)
{
    static const char *const axes[] = { "step", "epoch", "time" };
    const char *x = opt_text(j->o, OPT_x, "step");

    for (o->x = 0; strcmp(axes[o->x], x);)
        if (++o->x == (int)COUNT_OF(axes))
            return plot_option(j, "x", x, "it is step, epoch or time");
    o->smooth = opt_real(j->o, OPT_smooth, 0);
    if (o->smooth >= 1)
        return plot_option(j, "smooth", opt_text(j->o, OPT_smooth, ""), "a number from 0, not smoothed, to below 1, such as 0.9");
    return OK;
}

/* What does not belong together is said before a database is opened. */
static Code plot_words(Job *j, PlotOpts *o)
{
    static const OptId curves[] = { OPT_show, OPT_run, OPT_log, OPT_smooth, OPT_x };
    static const OptId tables[] = { OPT_where, OPT_axes, OPT_value, OPT_cols, OPT_scale, OPT_colors, OPT_limit };
    const bool table = j->o->val[OPT_table] != NULL;

    *o = (PlotOpts){ .out = opt_text(j->o, OPT_out, NULL), .title = opt_text(j->o, OPT_title, NULL),
                     .plain = opt_flag(j->o, OPT_ascii), .colour = opt_flag(j->o, OPT_color),
                     .columns = (int)opt_int(j->o, OPT_columns, 80) };
    for (size_t k = 0; k < COUNT_OF(curves) && table; k++)
        if (j->o->val[curves[k]])
            return err_set(&j->e, E_USAGE, ERR_plot_option, "--%s is for curves; --table draws a table",
                           option_info[curves[k]].name);
    for (size_t k = 0; k < COUNT_OF(tables) && !table; k++)
        if (j->o->val[tables[k]])
            return err_set(&j->e, E_USAGE, ERR_plot_option, "--%s says how a table is drawn; name it with --table",
                           option_info[tables[k]].name);
    Code rc = read_range(j, o);
    if (rc == OK) rc = read_size(j, o);
    return rc == OK ? read_words(j, o) : rc;
}

/* ---- output ---- */

const char *plot_ending(const char *path)
{
    const char *dot = strrchr(path, '.');

    return dot && !strchr(dot, '/') ? dot + 1 : "";
}

Code plot_write(Job *j, const char *path, const Buf *b)
{
    FILE *f = fopen(path, "wb");
    bool whole = f != NULL;

    if (f) {
        whole = fwrite(b->s, 1, b->n, f) == b->n;
        whole = fclose(f) == 0 && whole;
    }
    if (!whole)
        return err_set(&j->e, E_ENV, ERR_plot_file, "%s cannot be written: %s", path, strerror(errno ? errno : EIO));
    if (!opt_flag(j->o, OPT_quiet)) {
        Buf say = { 0 };
        buf_printf(&say, "%s: %zu bytes", path, b->n);
        job_out(j, REPORT_OUT, say.s);
        buf_free(&say);
    }
    return OK;
}

Code plot_chart(Job *j, const PlotOpts *o, Chart *c)
{
    Buf b = { 0 };
    Code rc = OK;

    c->title = o->title;
    c->has_range = o->has_range;
    c->lo = o->lo;
    c->hi = o->hi;
    c->plain = o->plain;
    c->colour = o->colour;
    c->width = o->out ? o->width : o->columns;
    c->height = o->out ? o->height : 0;
    if (o->out) {
        chart_svg(&b, c, &j->arena);
        rc = plot_write(j, o->out, &b);
    } else {
        chart_text(&b, c, &j->arena);
        job_out(j, REPORT_OUT, b.s);
    }
    buf_free(&b);
    return rc;
}

/* ---- history ---- */

/* A curve before it is known which groups there are. */
typedef struct Curve { const char *db, *split, *name; int64_t run; double *x, *y; int n; } Curve;

typedef struct History {
    const PlotOpts *o;
    const char **show; int n_show;
    int64_t *run; int n_runs; bool all;         /* none: the newest */
    Curve *curve; int n_curves;
    const char **name; int n_names;             /* all there are, for messages */
    int64_t dropped;                            /* values that a logarithmic axis cannot show */
} History;

static void read_lists(Job *j, void *arg)
{
    History *h = arg;
    const char *runs = opt_text(j->o, OPT_run, NULL);
    int n;

    h->show = list_option(j, OPT_show, &h->n_show);
    h->all = runs && !strcmp(runs, "all");
    const char **word = runs && !h->all ? list_option(j, OPT_run, &n) : NULL;
    for (int k = 0; word && k < n; k++) {
        int64_t run;
        if (!parse_int(word[k], strlen(word[k]), &run))
            diag_fail(&j->c, ERR_plot_option, (Span){ 0 }, "--run %s: numbers of runs, or all", runs);
        VEC_PUSH(&j->arena, h->run, h->n_runs, run);
    }
}

/* One epoch is one point, the mean of its values. */
static void history_sql(Buf *b, const History *h)
{
    static const char *const x[] = {
        "CAST(step AS REAL)", "CAST(epoch AS REAL)",
        "(julianday(at) - (SELECT min(julianday(at)) FROM sqlgrad_history AS f WHERE f.run = h.run)) * 86400.0",
    };

    buf_printf(b, "SELECT CAST(run AS INTEGER) AS run, CAST(split AS TEXT) AS split, CAST(name AS TEXT) AS name, %s AS x,"
               " CAST(%s AS REAL) AS y FROM sqlgrad_history AS h", x[h->o->x], h->o->x == 1 ? "avg(value)" : "value");
    if (h->n_runs) {
        buf_puts(b, " WHERE run IN (");
        for (int k = 0; k < h->n_runs; k++)
            buf_printf(b, "%s%lld", k ? ", " : "", (long long)h->run[k]);
        buf_puts(b, ")");
    } else if (!h->all)
        buf_puts(b, " WHERE run = (SELECT max(run) FROM sqlgrad_history)");
    buf_puts(b, h->o->x == 1 ? " GROUP BY run, split, name, epoch ORDER BY run, epoch, min(step)" : " ORDER BY run, step");
}

static bool name_wanted(const History *h, const char *name)
{
    for (int k = 0; k < h->n_show; k++)
        if (ascii_ieq(h->show[k], name))
            return true;
    return !h->n_show;
}

static Curve *curve_of(Job *j, History *h, const char *db, const Table *t, size_t row)
{
    const char *split = t->col[1].s[row], *name = t->col[2].s[row];
    const int64_t run = t->col[0].i[row];

    for (int k = h->n_curves - 1; k >= 0; k--) {
        Curve *c = &h->curve[k];
        if (c->run == run && c->db == db && !strcmp(c->split, split) && !strcmp(c->name, name))
            return c;
    }
    const Curve c = { .db = db, .split = arena_strdup(&j->arena, split), .name = arena_strdup(&j->arena, name), .run = run };
    VEC_PUSH(&j->arena, h->curve, h->n_curves, c);
    return &h->curve[h->n_curves - 1];
}

static void note_name(Job *j, History *h, const char *name)
{
    for (int k = 0; k < h->n_names; k++)
        if (!strcmp(h->name[k], name))
            return;
    VEC_PUSH(&j->arena, h->name, h->n_names, arena_strdup(&j->arena, name));
}

static void take_history(Job *j, History *h, const char *db, const Table *t)
{
    for (size_t row = 0; row < t->n_rows; row++) {
        if (table_null(t, 0, row) || table_null(t, 1, row) || table_null(t, 2, row) || table_null(t, 3, row))
            continue;
        note_name(j, h, t->col[2].s[row]);
        if (!name_wanted(h, t->col[2].s[row]))
            continue;
        Curve *c = curve_of(j, h, db, t, row);
        int n = c->n;
        const double y = table_null(t, 4, row) ? (double)NAN : table_real(t, 4, row);
        VEC_PUSH(&j->arena, c->x, n, table_real(t, 3, row));
        VEC_PUSH(&j->arena, c->y, c->n, y);
        h->dropped += opt_flag(j->o, OPT_log) && y <= 0;
    }
}

/* Columns that a hostile history gives other types are none of ours. */
static Code check_types(Job *j, const char *path, const Table *t)
{
    const bool right = t->col[0].type == T_INT && t->col[1].type == T_TEXT && t->col[2].type == T_TEXT &&
                       t->col[3].type != T_TEXT && t->col[4].type != T_TEXT;

    return right ? OK : err_set(&j->e, E_INPUT, ERR_plot_data, "%s: sqlgrad_history does not hold what training writes", path);
}

static Code read_history(Job *j, History *h, const char *path)
{
    Table t = { 0 };
    Buf sql = { 0 };
    Db *db = NULL;
    Code rc = db_open(&db, path, DB_READ, &j->e);

    if (rc == OK) {
        db_watch(db, &j->s->stop, 0);
        if (!db_has(db, "sqlgrad_history"))
            rc = err_set(&j->e, E_INPUT, ERR_plot_data, "%s has no history of a training run (sqlgrad_history)", path);
    }
    history_sql(&sql, h);
    if (rc == OK) rc = db_query(db, sql.s, &t, &j->e);
    if (rc == OK && t.n_rows) rc = check_types(j, path, &t);
    if (rc == OK && !t.n_rows)
        rc = err_set(&j->e, E_INPUT, ERR_plot_data, "%s: the history has no rows%s", path, h->n_runs ? " of these runs" : "");
    if (rc == OK)
        take_history(j, h, path, &t);
    table_free(&t);
    buf_free(&sql);
    if (db)
        db_close(db);
    return rc;
}

static Code check_shown(Job *j, const History *h)
{
    Buf all = { 0 };

    for (int k = 0; k < h->n_names; k++)
        buf_printf(&all, "%s%s", k ? ", " : "", h->name[k]);
    for (int k = 0; k < h->n_show && j->e.code == OK; k++) {
        bool found = false;
        for (int n = 0; n < h->n_names; n++)
            found = found || ascii_ieq(h->show[k], h->name[n]);
        if (!found)
            err_set(&j->e, E_INPUT, ERR_plot_data, "the history has no \"%s\"; it has %s", h->show[k], all.s ? all.s : "nothing");
    }
    buf_free(&all);
    return j->e.code;
}

/* ---- the chart ---- */

/* A path without its folders and what stands behind the last dot. */
static const char *short_path(const char *path, Arena *a)
{
    const char *slash = strrchr(path, '/'), *s = slash ? slash + 1 : path, *dot = strrchr(s, '.');

    return dot && dot > s ? arena_strndup(a, s, (size_t)(dot - s)) : arena_strdup(a, s);
}

/* What of database, run and split tells the curves apart. */
static const char *group_name(Job *j, const History *h, const Curve *c)
{
    bool dbs = false, runs = false;
    Buf b = { 0 };

    for (int k = 0; k < h->n_curves; k++) {
        dbs = dbs || h->curve[k].db != c->db;
        runs = runs || (h->curve[k].db == c->db && h->curve[k].run != c->run);
    }
    if (dbs)
        buf_printf(&b, "%s ", short_path(c->db, &j->arena));
    if (runs)
        buf_printf(&b, "run %lld ", (long long)c->run);
    buf_puts(&b, c->split);
    const char *s = arena_strdup(&j->arena, b.s);
    buf_free(&b);
    return s;
}

/* The mean of the values so far, each older one weighing `keep` times the next; what is not finite is passed over. */
static double *smoothed(Arena *a, const double *y, size_t n, double keep)
{
    double *out = ARENA_ARRAY(a, double, n), sum = 0, weight = 0;

    for (size_t i = 0; i < n; i++) {
        if (isfinite(y[i])) {
            sum = keep * sum + (1 - keep) * y[i];
            weight = keep * weight + (1 - keep);
        }
        out[i] = isfinite(y[i]) ? sum / weight : y[i];
    }
    return out;
}

static int group_find(Chart *c, const char *name, Arena *a)
{
    for (int k = 0; k < c->n_groups; k++)
        if (!strcmp(c->group[k], name))
            return k;
    VEC_PUSH(a, c->group, c->n_groups, name);
    return c->n_groups - 1;
}

static Panel *panel_find(Chart *c, const char *name, Arena *a)
{
    for (int k = 0; k < c->n_panels; k++)
        if (!strcmp(c->panel[k].title, name))
            return &c->panel[k];
    VEC_PUSH(a, c->panel, c->n_panels, (Panel){ .title = name });
    return &c->panel[c->n_panels - 1];
}

static void add_curve(Job *j, const History *h, const Curve *c, Chart *to)
{
    Panel *p = panel_find(to, c->name, &j->arena);
    Series s = { .group = group_find(to, group_name(j, h, c), &j->arena), .x = c->x, .y = c->y, .n = (size_t)c->n };

    if (h->o->smooth > 0)
        s.smooth = smoothed(&j->arena, c->y, s.n, h->o->smooth);
    VEC_PUSH(&j->arena, p->series, p->n_series, s);
}

/* Panels in the order of --show, or in which the names come. */
static void make_chart(Job *j, const History *h, Chart *c)
{
    static const char *const x_name[] = { "step", "epoch", "seconds" };

    *c = (Chart){ .x_name = x_name[h->o->x], .log = opt_flag(j->o, OPT_log) };
    for (int s = 0; s < h->n_show; s++)
        for (int k = 0; k < h->n_curves; k++)
            if (ascii_ieq(h->curve[k].name, h->show[s]))
                panel_find(c, h->curve[k].name, &j->arena);
    for (int k = 0; k < h->n_curves; k++)
        add_curve(j, h, &h->curve[k], c);
}

static Code plot_history(Job *j, const PlotOpts *o, const char *const *db, int n)
{
    History h = { .o = o };
    Chart c;
    Code rc = job_guard(j, read_lists, &h);

    if (rc == OK && o->out && strcmp(plot_ending(o->out), "svg"))
        rc = err_set(&j->e, E_USAGE, ERR_plot_option, "--out %s: curves are written as .svg", o->out);
    for (int k = 0; k < n && rc == OK; k++)
        rc = read_history(j, &h, db[k]);
    if (rc == OK) rc = check_shown(j, &h);
    if (rc != OK)
        return rc;
    make_chart(j, &h, &c);
    if (h.dropped)
        job_note(j, ERR_plot_log, "%lld value%s not above 0, which --log cannot show", (long long)h.dropped,
                 h.dropped == 1 ? " is" : "s are");
    return plot_chart(j, o, &c);
}

Code command_plot(Job *j, const char *const *db, int n)
{
    const char *one = opt_text(j->o, OPT_db, NULL);
    PlotOpts o;
    Code rc = plot_words(j, &o);

    if (rc == OK && one && n)
        rc = err_set(&j->e, E_USAGE, ERR_plot_option, "databases are named with --db or without, not both ways");
    if (rc == OK && !one && !n)
        rc = err_set(&j->e, E_USAGE, ERR_api_missing, "plot wants a database: sqlgrad plot %s", j->cmd->arg);
    if (rc == OK && j->o->val[OPT_table] && n > 1)
        rc = err_set(&j->e, E_USAGE, ERR_plot_option, "--table is drawn from one database, not %d", n);
    if (rc != OK)
        return rc;
    if (j->o->val[OPT_table])
        return plot_table(j, &o, one ? one : db[0]);
    return one ? plot_history(j, &o, &one, 1) : plot_history(j, &o, db, n);
}
