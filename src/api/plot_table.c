/* SPDX-License-Identifier: Apache-2.0
 *
 * plot_table.c - `plot --table`: a table whose keys are rows and columns as images on a sheet, a table of two values
 * as a cloud of points.
 *
 * Which column is what --axes says, or names do: r, c and channel, x, y and label; what is left of the keys of an
 * image table tells images apart. */
#include "api/plot.h"
#include "plot/sheet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_IMAGES 100             /* on a sheet, unless --limit says another number */
#define MOST_SPAN (1 << 20)         /* rows or columns of an image */
#define MOST_GROUPS 10              /* colours of a cloud */
#define MOST_NOTES 400              /* points that are written to */

typedef struct TablePlot {
    const PlotOpts *o;
    const char *db, *name;
    const char **axis; int n_axes;  /* --axes */
    Table t;
    int at[3];                      /* columns: row, column, channel; or x, y, label.  -1: none */
    int value;                      /* images: their column */
    bool cloud;
} TablePlot;

static Code plot_wrong(Job *j, const TablePlot *p, const char *fmt, ...) PRINTF(3, 4);
static Code plot_wrong(Job *j, const TablePlot *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    const char *what = arena_vprintf(&j->arena, fmt, ap);
    va_end(ap);
    return err_set(&j->e, E_INPUT, ERR_plot_data, "%s: %s", p->name, what);
}

static const char *columns_text(Job *j, const Table *t)
{
    Buf b = { 0 };

    buf_puts(&b, "");
    for (int c = 0; c < t->n_cols; c++)
        buf_printf(&b, "%s%s %s", c ? ", " : "", t->col[c].name, type_name[t->col[c].type]);
    const char *s = arena_strdup(&j->arena, b.s);
    buf_free(&b);
    return s;
}

static void read_axes(Job *j, void *arg)
{
    TablePlot *p = arg;

    p->axis = list_option(j, OPT_axes, &p->n_axes);
    if (p->axis && (p->n_axes < 2 || p->n_axes > 3))
        diag_fail(&j->c, ERR_plot_option, (Span){ 0 }, "--axes names two columns, or three: r,c,channel or x,y,label");
}

static Code read_table(Job *j, TablePlot *p)
{
    Db *db = NULL;
    Code rc = db_open(&db, p->db, DB_READ, &j->e);

    if (rc == OK) {
        db_watch(db, &j->s->stop, 0);
        if (!db_has(db, p->name))
            rc = err_set(&j->e, E_INPUT, ERR_plot_data, "%s has no table %s", p->db, p->name);
    }
    if (rc == OK) rc = db_read(db, p->name, opt_text(j->o, OPT_where, NULL), &p->t, &j->e);
    if (rc == OK && !p->t.n_rows)
        rc = plot_wrong(j, p, "no rows%s", j->o->val[OPT_where] ? " that --where chooses" : "; there is nothing to draw");
    if (db)
        db_close(db);
    return rc;
}

/* ---- which column is what ---- */

static int nth_value(const Table *t, int n)
{
    for (int c = 0; c < t->n_cols; c++)
        if (t->col[c].type == T_REAL && !n--)
            return c;
    return -1;
}

static Code named_axes(Job *j, TablePlot *p)
{
    for (int k = 0; k < p->n_axes; k++)
        if ((p->at[k] = table_find(&p->t, p->axis[k])) < 0)
            return plot_wrong(j, p, "no column \"%s\"; it has %s", p->axis[k], columns_text(j, &p->t));
    if (p->n_axes && (p->at[0] == p->at[1] || p->at[2] == p->at[0] || p->at[2] == p->at[1]))
        return plot_wrong(j, p, "--axes names a column twice");
    return OK;
}

/* An SVG is a cloud, a picture an image; in characters the columns decide. */
static Code find_axes(Job *j, TablePlot *p)
{
    const Table *t = &p->t;
    const bool image = table_find(t, "r") >= 0 && table_find(t, "c") >= 0;

    p->at[0] = p->at[1] = p->at[2] = -1;
    if (named_axes(j, p))
        return j->e.code;
    p->cloud = p->o->out ? !strcmp(plot_ending(p->o->out), "svg")
                         : p->n_axes ? t->col[p->at[0]].type == T_REAL && t->col[p->at[1]].type == T_REAL : !image;
    if (p->n_axes)
        return OK;
    p->at[0] = table_find(t, p->cloud ? "x" : "r");
    p->at[1] = table_find(t, p->cloud ? "y" : "c");
    p->at[2] = table_find(t, p->cloud ? "label" : "channel");
    if (p->cloud && (p->at[0] < 0 || p->at[1] < 0)) {
        p->at[0] = nth_value(t, 0);
        p->at[1] = nth_value(t, 1);
    }
    if (p->at[0] < 0 || p->at[1] < 0)
        return plot_wrong(j, p, "it has %s; %s, so name columns with --axes", columns_text(j, t),
                          p->cloud ? "a cloud of points needs two values" : "an image needs the keys r and c");
    return OK;
}

static Code find_value(Job *j, TablePlot *p)
{
    const char *name = opt_text(j->o, OPT_value, NULL);

    p->value = name ? table_find(&p->t, name) : nth_value(&p->t, 0);
    if (p->value < 0 && name)
        return plot_wrong(j, p, "no column \"%s\"; it has %s", name, columns_text(j, &p->t));
    if (p->value < 0)
        return plot_wrong(j, p, "it has %s, but no value to draw; name one with --value", columns_text(j, &p->t));
    if (!name && nth_value(&p->t, 1) >= 0)
        return plot_wrong(j, p, "it has %s; say with --value which to draw", columns_text(j, &p->t));
    if (p->t.col[p->value].type == T_TEXT)
        return plot_wrong(j, p, "%s is TEXT, no value", p->t.col[p->value].name);
    return OK;
}

/* ---- images ---- */

/* A key column as places 0, 1, …: integers from the least on, texts in their order. */
typedef struct Places { const Table *t; int col; int64_t lo; Map text; int *rank; int n; } Places;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t entries_of(const Table *t, const TableCol *c)
{
    return !t->n_inner || c->dim == DIM_full ? t->n_rows : c->dim == DIM_outer ? t->n_outer : t->n_inner;
}

static void text_places(Places *x, const TableCol *c, size_t n, Arena *a)
{
    Map seen;

    map_init(&seen, a);
    map_init(&x->text, a);
    for (size_t i = 0; i < n; i++)
        if (c->s[i])
            map_put(&seen, c->s[i], strlen(c->s[i]), 0);
    const char **sorted = ARENA_ARRAY(a, const char *, seen.n + 1);
    for (int k = 0; k < seen.n; k++)
        sorted[k] = seen.e[k].key;
    qsort(sorted, (size_t)seen.n, sizeof *sorted, by_text);
    for (int k = 0; k < seen.n; k++)
        map_put(&x->text, sorted[k], strlen(sorted[k]), k);
    x->n = seen.n;
}

static Code places_make(Job *j, const TablePlot *p, int col, Places *x)
{
    const TableCol *c = &p->t.col[col];
    const size_t n = entries_of(&p->t, c);
    int64_t hi = INT64_MIN;

    *x = (Places){ .t = &p->t, .col = col, .lo = INT64_MAX };
    if (c->type == T_REAL)
        return plot_wrong(j, p, "%s is REAL; rows, columns and channels of an image are keys", c->name);
    if (c->type == T_TEXT) {
        text_places(x, c, n, &j->arena);
        return OK;
    }
    for (size_t i = 0; i < n; i++)
        if (!c->null || !c->null[i]) {
            x->lo = c->i[i] < x->lo ? c->i[i] : x->lo;
            hi = c->i[i] > hi ? c->i[i] : hi;
        }
    if (hi < x->lo || (uint64_t)hi - (uint64_t)x->lo >= MOST_SPAN)
        return plot_wrong(j, p, "%s runs from %lld to %lld, too far for an image", c->name, (long long)x->lo, (long long)hi);
    x->n = (int)(hi - x->lo) + 1;
    return OK;
}

/* -1: NULL. */
static int grid_place(const Places *x, size_t row)
{
    const TableCol *c = &x->t->col[x->col];
    const size_t at = table_at(x->t, c, row);

    if (c->null && c->null[at])
        return -1;
    if (c->type == T_TEXT)
        return *map_get(&x->text, c->s[at], strlen(c->s[at]));
    return (int)(c->i[at] - x->lo);
}

typedef struct Images { int *key; int n_keys; Map seen; size_t last; int image; Buf text; } ImageKeys;

static void image_keys(Job *j, const TablePlot *p, ImageKeys *k)
{
    *k = (ImageKeys){ .image = -1 };
    map_init(&k->seen, &j->arena);
    for (int c = 0; c < p->t.n_cols; c++)
        if (p->t.col[c].type != T_REAL && c != p->at[0] && c != p->at[1] && c != p->at[2] && c != p->value)
            VEC_PUSH(&j->arena, k->key, k->n_keys, c);
}

static bool same_image(const Table *t, const ImageKeys *k, size_t row)
{
    for (int i = 0; i < k->n_keys; i++) {
        const TableCol *c = &t->col[k->key[i]];
        const size_t x = table_at(t, c, k->last), y = table_at(t, c, row);
        if (x != y && ((c->null && (c->null[x] || c->null[y])) || (c->type == T_TEXT ? strcmp(c->s[x], c->s[y]) != 0
                                                                                      : c->i[x] != c->i[y])))
            return false;
    }
    return k->image >= 0;
}

/* The number of a row's image, in the order in which images come; equal keys have equal texts. */
static int image_of(const Table *t, ImageKeys *k, size_t row)
{
    if (same_image(t, k, row))
        return k->image;
    k->text.n = 0;
    buf_puts(&k->text, "");
    for (int i = 0; i < k->n_keys; i++) {
        const TableCol *c = &t->col[k->key[i]];
        if (table_null(t, k->key[i], row))
            buf_puts(&k->text, "NULL,");
        else if (c->type == T_TEXT) {
            buf_text(&k->text, c->s[table_at(t, c, row)]);
            buf_putc(&k->text, ',');
        } else
            buf_printf(&k->text, "%lld,", (long long)table_int(t, k->key[i], row));
    }
    k->last = row;
    k->image = *map_put(&k->seen, k->text.s, k->text.n, k->seen.n);
    return k->image;
}

typedef struct Grid { Places r, c, channel; size_t n_images, most; double *val; } Grid;

static Code grid_shape(Job *j, TablePlot *p, Grid *g)
{
    Code rc = places_make(j, p, p->at[0], &g->r);

    if (rc == OK) rc = places_make(j, p, p->at[1], &g->c);
    g->channel.n = 1;
    if (rc == OK && p->at[2] >= 0) rc = places_make(j, p, p->at[2], &g->channel);
    if (rc == OK && g->channel.n != 1 && g->channel.n != 3)
        return plot_wrong(j, p, "%d channels; a picture has 1 or 3.  --axes %s,%s draws each %s by itself", g->channel.n,
                          p->t.col[p->at[0]].name, p->t.col[p->at[1]].name, p->t.col[p->at[2]].name);
    return rc;
}

static Code grid_room(Job *j, const TablePlot *p, Grid *g)
{
    const size_t each = (size_t)g->r.n * (size_t)g->c.n * (size_t)g->channel.n;

    if (each > PICTURE_MOST || g->n_images > PICTURE_MOST / each)
        return plot_wrong(j, p, "%zu images of %d x %d are too many for a picture; --limit or --where takes fewer", g->n_images,
                          g->r.n, g->c.n);
    g->val = mem_try(g->n_images * each * sizeof *g->val);
    for (size_t i = 0; g->val && i < g->n_images * each; i++)
        g->val[i] = (double)NAN;
    return g->val ? OK : err_set(&j->e, E_ENV, ERR_plot_file, "%zu images do not fit in memory", g->n_images);
}

/* Two rows for one place would hide each other. */
static Code grid_fill(Job *j, const TablePlot *p, Grid *g, ImageKeys *k)
{
    const Table *t = &p->t;
    k->image = -1;

    for (size_t row = 0; row < t->n_rows; row++) {
        const int r = grid_place(&g->r, row), c = grid_place(&g->c, row), ch = p->at[2] >= 0 ? grid_place(&g->channel, row) : 0;
        const size_t image = (size_t)image_of(t, k, row);
        if (image >= g->n_images || r < 0 || c < 0 || ch < 0 || table_null(t, p->value, row))
            continue;
        double *to = &g->val[((image * (size_t)g->channel.n + (size_t)ch) * (size_t)g->r.n + (size_t)r) * (size_t)g->c.n +
                             (size_t)c];
        if (!isnan(*to))
            return plot_wrong(j, p, "several rows for one place: %s and %s do not tell the rows of an image apart",
                              t->col[p->at[0]].name, t->col[p->at[1]].name);
        *to = table_real(t, p->value, row);
    }
    return OK;
}

static Code read_colors(Job *j, SheetColors *out)
{
    const char *name = opt_text(j->o, OPT_colors, "grey");

    for (*out = 0; *out < N_SHEET_COLORS; ++*out)
        if (!strcmp(name, sheet_colors[*out]))
            return OK;
    return err_set(&j->e, E_USAGE, ERR_plot_option, "--colors %s: it is grey, heat or signed", name);
}

static Code write_picture(Job *j, const PlotOpts *o, Picture *pic)
{
    Buf b = { 0 };
    Code rc = OK;

    if (!o->out) {
        picture_text(&b, pic, o->columns, o->colour && !o->plain);
        job_out(j, REPORT_OUT, b.s);
    } else {
        const char *ending = plot_ending(o->out);
        if (!strcmp(ending, "ppm") || !strcmp(ending, "pgm"))
            rc = picture_convert(pic, ending[1] == 'p' ? 3 : 1, &j->e);
        if (rc == OK && !strcmp(ending, "png"))
            rc = png_print(pic, &b, &j->e);
        else if (rc == OK)
            pnm_print(pic, &b);
        if (rc == OK) rc = plot_write(j, o->out, &b);
    }
    buf_free(&b);
    return rc;
}

static Code draw_sheet(Job *j, const TablePlot *p, const Grid *g, SheetColors colors)
{
    Picture pic = { 0 };
    const Sheet s = { .n = g->n_images, .channels = g->channel.n, .rows = g->r.n, .cols = g->c.n, .val = g->val,
                      .colors = colors, .has_range = p->o->has_range, .lo = p->o->lo, .hi = p->o->hi,
                      .across = (int)opt_int(j->o, OPT_cols, p->o->out ? 0 : (int64_t)g->n_images),
                      .scale = (int)opt_int(j->o, OPT_scale, 1) };
    Code rc = s.channels == 3 && colors != SHEET_grey
              ? plot_wrong(j, p, "--colors %s is for one channel, not three", sheet_colors[colors])
              : sheet_picture(&s, &pic, &j->e);

    if (rc == OK) rc = write_picture(j, p->o, &pic);
    picture_free(&pic);
    return rc;
}

/* How many are drawn: --limit, else a hundred; in characters those that fit side by side. */
static size_t images_wanted(Job *j, const TablePlot *p, const Grid *g)
{
    const int side = p->o->columns / (p->o->colour ? 1 : 2) / (g->c.n + 2);

    return (size_t)opt_int(j->o, OPT_limit, p->o->out ? MOST_IMAGES : side < 1 ? 1 : side);
}

static Code draw_images(Job *j, TablePlot *p)
{
    Grid g = { 0 };
    ImageKeys k = { 0 };
    SheetColors colors;
    Code rc = read_colors(j, &colors);

    if (rc == OK && opt_int(j->o, OPT_scale, 1) > 1000)
        rc = err_set(&j->e, E_USAGE, ERR_plot_option, "--scale is at most 1000");
    if (rc == OK) rc = find_value(j, p);
    if (rc == OK) rc = grid_shape(j, p, &g);
    if (rc != OK)
        return rc;
    image_keys(j, p, &k);
    for (size_t row = 0; row < p->t.n_rows; row++)
        image_of(&p->t, &k, row);
    const size_t most = images_wanted(j, p, &g), there = (size_t)k.seen.n;
    g.n_images = there < most ? there : most;
    rc = grid_room(j, p, &g);
    if (rc == OK) rc = grid_fill(j, p, &g, &k);
    if (rc == OK) rc = draw_sheet(j, p, &g, colors);
    if (rc == OK && g.n_images < there)
        job_note(j, ERR_plot_some, "%zu of %zu images are drawn; --limit N takes more, --where others", g.n_images, there);
    mem_free(g.val);
    buf_free(&k.text);
    return rc;
}

/* ---- clouds ---- */

static const char *cell_text(Job *j, const TablePlot *p, size_t row)
{
    const TableCol *c = &p->t.col[p->at[2]];

    if (table_null(&p->t, p->at[2], row))
        return "NULL";
    return c->type == T_TEXT ? c->s[table_at(&p->t, c, row)]
                             : arena_printf(&j->arena, "%lld", (long long)table_int(&p->t, p->at[2], row));
}

typedef struct Cloud { double *x, *y; const char **text; int *group; size_t n; const char **name; int n_groups; } Cloud;

/* Points by label, or all in one; the labels are written to the points if they hardly repeat. */
static void cloud_groups(Job *j, const TablePlot *p, Cloud *k)
{
    Map seen;

    map_init(&seen, &j->arena);
    k->text = ARENA_ARRAY(&j->arena, const char *, k->n);
    k->group = ARENA_ARRAY(&j->arena, int, k->n);
    for (size_t i = 0; i < k->n && p->at[2] >= 0; i++) {
        k->text[i] = cell_text(j, p, i);
        k->group[i] = *map_put(&seen, k->text[i], strlen(k->text[i]), seen.n);
    }
    const bool colours = seen.n > 0 && seen.n <= MOST_GROUPS && 2 * (size_t)seen.n <= k->n;
    if (!colours)
        memset(k->group, 0, k->n * sizeof *k->group);
    for (int g = 0; colours && g < seen.n; g++)
        VEC_PUSH(&j->arena, k->name, k->n_groups, seen.e[g].key);
    if (!colours)
        VEC_PUSH(&j->arena, k->name, k->n_groups, p->name);
    if (colours || !seen.n || k->n > MOST_NOTES)
        k->text = NULL;
    if (!colours && seen.n && k->n > MOST_NOTES)
        job_note(j, ERR_plot_some, "%d different texts are too many for colours, %zu points too many to be written to",
                 seen.n, k->n);
}

static void cloud_series(Job *j, const Cloud *k, int group, Series *s)
{
    *s = (Series){ .group = group, .x = ARENA_ARRAY(&j->arena, double, k->n), .y = ARENA_ARRAY(&j->arena, double, k->n),
                   .text = k->text ? ARENA_ARRAY(&j->arena, const char *, k->n) : NULL };
    for (size_t i = 0; i < k->n; i++)
        if (k->group[i] == group) {
            s->x[s->n] = k->x[i];
            s->y[s->n] = k->y[i];
            if (s->text)
                s->text[s->n] = k->text[i];
            s->n++;
        }
}

static Code draw_cloud(Job *j, TablePlot *p)
{
    const Table *t = &p->t;
    Cloud k = { .n = t->n_rows, .x = ARENA_ARRAY(&j->arena, double, t->n_rows), .y = ARENA_ARRAY(&j->arena, double, t->n_rows) };
    Panel panel = { .title = t->col[p->at[1]].name };
    Chart c = { .x_name = t->col[p->at[0]].name, .points = true, .panel = &panel, .n_panels = 1 };

    for (int a = 0; a < 2; a++)
        if (t->col[p->at[a]].type == T_TEXT)
            return plot_wrong(j, p, "%s is TEXT; a point needs numbers", t->col[p->at[a]].name);
    if (p->at[2] >= 0 && t->col[p->at[2]].type == T_REAL)
        return plot_wrong(j, p, "%s is REAL; what tells points apart is a key", t->col[p->at[2]].name);
    for (size_t i = 0; i < k.n; i++) {
        k.x[i] = table_null(t, p->at[0], i) ? (double)NAN : table_real(t, p->at[0], i);
        k.y[i] = table_null(t, p->at[1], i) ? (double)NAN : table_real(t, p->at[1], i);
    }
    cloud_groups(j, p, &k);
    c.group = k.name;
    c.n_groups = k.n_groups;
    for (int g = 0; g < k.n_groups; g++) {
        Series s;
        cloud_series(j, &k, g, &s);
        VEC_PUSH(&j->arena, panel.series, panel.n_series, s);
    }
    return plot_chart(j, p->o, &c);
}

/* ---- the command ---- */

static Code check_ending(Job *j, const PlotOpts *o)
{
    static const char *const known[] = { "png", "ppm", "pgm", "svg" };

    for (size_t k = 0; o->out && k < COUNT_OF(known); k++)
        if (!strcmp(plot_ending(o->out), known[k]))
            return OK;
    return o->out ? err_set(&j->e, E_USAGE, ERR_plot_option, "--out %s: images are written as .png, .ppm or .pgm, clouds of "
                            "points as .svg", o->out) : OK;
}

Code plot_table(Job *j, const PlotOpts *o, const char *db)
{
    TablePlot p = { .o = o, .db = db, .name = opt_text(j->o, OPT_table, NULL), .value = -1 };
    Code rc = check_ending(j, o);

    if (rc == OK) rc = job_guard(j, read_axes, &p);
    if (rc == OK) rc = read_table(j, &p);
    if (rc == OK) rc = find_axes(j, &p);
    if (rc == OK) rc = p.cloud ? draw_cloud(j, &p) : draw_images(j, &p);
    table_free(&p.t);
    return rc;
}
