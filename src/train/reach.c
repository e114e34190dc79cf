/* SPDX-License-Identifier: Apache-2.0
 *
 * reach.c - parameter rows from which no path leads to the loss: a wrong index, a CHECK that allows too much.
 *
 * They are the rows that the parameter's gradient relation has not; the update meets it by a LEFT JOIN, so
 * nothing else would show it.  Looked at in the first step of a full batch, or in the first few batches: if
 * these differ in which rows they reach, as sentences differ in their words, nothing is said.  Nor is anything
 * said of a relation whose rows depend on values, such as those behind the winners of a MAX. */
#include "train/train.h"

#include <string.h>

#define REACH_LOOKS 4           /* batches */

const char *with_commas(Arena *a, int64_t n)
{
    char s[32], out[48];
    int at = 0;

    snprintf(s, sizeof s, "%lld", (long long)n);
    const int len = (int)strlen(s);
    for (int k = 0; k < len; k++) {
        out[at++] = s[k];
        if (k + 1 < len && (len - k - 1) % 3 == 0)
            out[at++] = ',';
    }
    out[at] = 0;
    return arena_strdup(a, out);
}

/* ---- the gradient relation ---- */

/* The block that gives parameter k its gradient, for every row; NULL: another took its place. */
static const Block *whole_gradient(const Prog *p, const StepPlan *s, int k)
{
    const Block *update = s->over[k].update;

    for (int i = 0; i < update->n_src; i++)
        if (k < p->n_grads && update->src[i].rel == p->grad[k].grad)
            return update->src[i].rel;
    return NULL;
}

static int joined_source(const Block *b)
{
    for (int i = 0; i < b->n_src; i++)
        if (b->src[i].join == JOIN_left)
            return i;
    return -1;
}

/* The column of b's source `src` that the ON conditions set equal to column `col` of the parameter; -1. */
static int equal_col(const Block *b, int src, const Block *param, int col)
{
    for (int k = 0; k < b->src[src].n_on; k++) {
        const Expr *e = b->src[src].on[k];
        if (e->op != OP_eq || e->arg[0]->op != OP_col || e->arg[1]->op != OP_col)
            continue;
        for (int i = 0; i < 2; i++) {
            const Expr *g = e->arg[i], *w = e->arg[1 - i];
            if (g->src == src && b->src[w->src].rel == param && w->col == col)
                return g->col;
        }
    }
    return -1;
}

/* ---- which rows are missing ---- */

typedef struct KeyPair { const TableCol *w, *g; int cw, cg; } KeyPair;

static bool rows_meet(const KeyPair *k, int n, const Table *w, size_t i, const Table *g, size_t j)
{
    for (int c = 0; c < n; c++) {
        const size_t a = table_at(w, k[c].w, i), b = table_at(g, k[c].g, j);
        if (table_null(w, k[c].cw, i) || table_null(g, k[c].cg, j))
            return false;
        if (k[c].w->type == T_TEXT ? strcmp(k[c].w->s[a], k[c].g->s[b]) != 0 : k[c].w->i[a] != k[c].g->i[b])
            return false;
    }
    return true;
}

/* missing[i]: row i of the parameter is not in g.  Both are sorted by key; where their columns stand in another
 * order the walk does not end with g's last row, and false says that nothing is known. */
static bool walk_rows(const KeyPair *k, int n, const Table *w, const Table *g, uint8_t *missing)
{
    size_t j = 0;

    for (size_t i = 0; i < w->n_rows; i++) {
        const bool met = j < g->n_rows && rows_meet(k, n, w, i, g, j);
        missing[i] = !met;
        j += met;
    }
    return j == g->n_rows;
}

static bool find_missing(const Block *whole, int src, const Block *param, const Table *w, const Table *g, uint8_t *missing)
{
    KeyPair k[32];
    int n = 0;

    for (int i = 0; i < param->n_id; i++) {
        const Col *id = &param->col[param->id_col[i]];
        const int at = equal_col(whole, src, param, param->id_col[i]), cw = table_find(w, id->name);
        if (at < 0 || cw < 0 || n == (int)COUNT_OF(k) || id->type == T_REAL)
            return false;
        k[n++] = (KeyPair){ &w->col[cw], &g->col[at], cw, at };
        if (w->col[cw].type != g->col[at].type)
            return false;
    }
    return walk_rows(k, n, w, g, missing);
}

/* ---- saying so ---- */

static void say_row(Buf *b, const Block *param, const Table *w, size_t row)
{
    buf_puts(b, " (");
    for (int i = 0; i < param->n_id; i++) {
        const int c = table_find(w, param->col[param->id_col[i]].name);
        const TableCol *k = &w->col[c];
        buf_printf(b, "%s%s ", i ? ", " : "", k->name);
        if (k->type == T_TEXT)
            buf_text(b, k->s[table_at(w, k, row)]);
        else
            buf_printf(b, "%lld", (long long)table_int(w, c, row));
    }
    buf_putc(b, ')');
}

static void say_missing(const Train *t, int k, const uint8_t *missing, size_t n)
{
    const Block *param = t->plan.over[k].table;
    const Table *w = &t->param[k];
    size_t first = 0;
    Arena a = { 0 };
    Buf b = { 0 };

    while (missing && !missing[first])
        first++;
    buf_printf(&b, "%s: ", param->name);
    if (n == w->n_rows)
        buf_puts(&b, n == 1 ? "its row" : "none of its rows");
    else
        buf_printf(&b, "%s of %s rows", with_commas(&a, (int64_t)n), with_commas(&a, (int64_t)w->n_rows));
    buf_printf(&b, " meet%s", n == 1 ? "s" : "");
    buf_printf(&b, n == w->n_rows && n > 1 ? " anything on the way to %s" : " nothing on the way to %s",
               t->plan.over[k].obj->loss->name);
    if (missing && n < w->n_rows && param->n_id) {
        buf_puts(&b, ", for example");
        say_row(&b, param, w, first);
    }
    t->report.note(t->report.arg, ERR_train_unreached, b.s);
    buf_free(&b);
    arena_free(&a);
}

/* ---- a look ---- */

static size_t count_missing(const uint8_t *missing, size_t n)
{
    size_t m = 0;

    for (size_t i = 0; i < n; i++)
        m += missing[i];
    return m;
}

/* One look at parameter k; r->over when nothing more can be learnt. */
static Code look_at(Train *t, int k, Engine *g, Reach *r, bool last, Err *e)
{
    const Block *whole = whole_gradient(t->p, &t->plan, k), *param = t->plan.over[k].table;
    const int src = whole ? joined_source(whole) : -1;
    const size_t n = t->param[k].n_rows;
    Table rows = { 0 };

    if (whole && src < 0 && whole->n_src == 1 && n)
        say_missing(t, k, NULL, n);
    r->over = src < 0 || whole->src[src].rel->dynamic_rows || !n;
    if (r->over)
        return OK;
    const Code rc = t->ops->fetch(g, whole->src[src].rel, true, &rows, e);
    uint8_t *missing = rc == OK ? mem_try(n) : NULL;
    r->over = !missing || rows.n_rows == n || !find_missing(whole, src, param, &t->param[k], &rows, missing) ||
              (r->missing && memcmp(r->missing, missing, n) != 0);
    if (!r->over && last)
        say_missing(t, k, missing, count_missing(missing, n));
    r->over |= last;
    mem_free(r->missing);
    r->missing = missing;
    table_free(&rows);
    return rc;
}

Code reach_look(Train *t, Reach *r, Engine *g, int64_t look, bool last, Err *e)
{
    Code rc = OK;

    for (int k = 0; k < t->plan.n_over && rc == OK; k++)
        if (!r[k].over)
            rc = look_at(t, k, g, &r[k], last || look + 1 >= REACH_LOOKS, e);
    return rc;
}

void reach_free(Reach *r, int n)
{
    for (int k = 0; r && k < n; k++)
        mem_free(r[k].missing);
    mem_free(r);
}
