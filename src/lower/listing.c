/* SPDX-License-Identifier: Apache-2.0
 *
 * listing.c - a nest as pseudo code with its schedule, for people and for golden files.  Buffers are p0, p1, …,
 * loops x0, x1, …; an element is a row of its buffer, of all lanes where the buffer has them. */
#include "lower/gen.h"

static void list_affine(Buf *out, const Affine *a)
{
    const size_t start = out->n;

    for (int l = 0; l < MAX_LOOPS; l++) {
        const int64_t k = a->k[l];
        if (!k)
            continue;
        buf_puts(out, out->n > start ? k < 0 ? " - " : " + " : k < 0 ? "-" : "");
        if (k != 1 && k != -1)
            buf_printf(out, "%lld*", (long long)(k < 0 ? -k : k));
        buf_printf(out, "x%d", l);
    }
    if (out->n == start)
        buf_printf(out, "%lld", (long long)a->c);
    else if (a->c)
        buf_printf(out, a->c < 0 ? " - %lld" : " + %lld", (long long)(a->c < 0 ? -a->c : a->c));
}

static void list_operand(Buf *out, const Nest *n, const Operand *o)
{
    Affine at = o->at;

    switch (o->kind) {
    case OPD_load:
        buf_printf(out, "p%d[", o->index);
        at.c += n->buf[o->index].base;
        list_affine(out, &at);
        buf_putc(out, ']');
        return;
    case OPD_key:
        buf_putc(out, '(');
        list_affine(out, &o->at);
        buf_putc(out, ')');
        return;
    case OPD_agg: buf_printf(out, "a%d", o->index); return;
    case OPD_place: buf_printf(out, "place(a%d)", o->index); return;
    }
}

static void list_expr(Buf *out, const Nest *n, const Expr *e);

static void list_call(Buf *out, const Nest *n, const Expr *e)
{
    buf_printf(out, "%s(", op_info[e->op].name);
    for (int k = 0; k < e->n_args; k++) {
        buf_puts(out, k ? ", " : "");
        list_expr(out, n, e->arg[k]);
    }
    buf_putc(out, ')');
}

/* Infix operators in parentheses unless they stand alone. */
static void list_expr(Buf *out, const Nest *n, const Expr *e)
{
    const char *sql = op_info[e->op].sql;
    const bool infix = e->n_args == 2 && *sql && sql[1] == 0;

    if (e->op == OP_col) {
        list_operand(out, n, &n->opd[e->col]);
    } else if (e->op == OP_lit_int) {
        buf_printf(out, "%lld", (long long)e->i);
    } else if (e->op == OP_lit_real) {
        buf_real(out, e->r);
    } else if (infix) {
        buf_putc(out, '(');
        list_expr(out, n, e->arg[0]);
        buf_printf(out, " %s ", sql);
        list_expr(out, n, e->arg[1]);
        buf_putc(out, ')');
    } else {
        list_call(out, n, e);
    }
}

/* An expression that stands alone on its line. */
static void list_whole(Buf *out, const Nest *n, const Expr *e)
{
    Buf b = { 0 };

    list_expr(&b, n, e);
    if (b.n > 1 && b.s[0] == '(' && e->op != OP_col) {
        buf_add(out, b.s + 1, b.n - 2);
    } else if (b.n) {
        buf_puts(out, b.s);
    }
    buf_free(&b);
}

static void list_bounds(Buf *out, const Bound *b, int n, bool low)
{
    if (n > 1)
        buf_puts(out, low ? "max(" : "min(");
    for (int k = 0; k < n; k++) {
        buf_puts(out, k ? ", " : "");
        if (b[k].d != 1)
            buf_puts(out, low ? "ceil((" : "floor((");
        list_affine(out, &b[k].e);
        if (b[k].d != 1)
            buf_printf(out, ") / %lld)", (long long)b[k].d);
    }
    if (n > 1)
        buf_putc(out, ')');
}

static void list_loop(Buf *out, const Nest *n, int l, int depth)
{
    const NestLoop *p = &n->loop[l];
    const Schedule *s = &n->sched;
    const int factor = l < n->n_out ? s->tile[l] : s->unroll[l];

    buf_printf(out, "%*sfor x%d in ", 2 * depth, "", l);
    if (p->box) {
        buf_printf(out, "%lld .. %lld", (long long)p->min, (long long)p->max);
    } else {
        list_bounds(out, p->lo, p->n_lo, true);
        buf_puts(out, " .. ");
        list_bounds(out, p->hi, p->n_hi, false);
    }
    const char *sep = ":  ";
    if (s->vec == l) {
        buf_printf(out, "%s%s", sep, s->packed ? "vectors with the lanes" : "vectors");
        sep = ", ";
    }
    if (l == n->split) {
        buf_printf(out, "%ssplit", sep);
        sep = ", ";
    }
    if (factor > 1)
        buf_printf(out, "%s%s %d", sep, l < n->n_out ? "tile" : "unroll", factor);
    if (l >= n->n_out && l == s->order[n->n_loops - 1] && s->ways > 1)
        buf_printf(out, "%s%d ways", factor > 1 ? ", " : sep, s->ways);
    buf_putc(out, '\n');
}

static void list_lanes(Buf *out, const Nest *n, int depth)
{
    buf_printf(out, "%*sfor lanes:  %s", 2 * depth, "", n->sched.turned ? "turned" : n->sched.packed ? "blocks" : "vectors");
    if (n->sched.lane_tile > 1)
        buf_printf(out, ", tile %d", n->sched.lane_tile);
    buf_putc(out, '\n');
}

static void list_agg(Buf *out, const Nest *n, int k, int depth)
{
    const NestAgg *a = &n->agg[k];

    buf_printf(out, "%*sa%d %s= ", 2 * depth, "", k, a->op == AGG_sum ? "+" : a->op == AGG_max ? "max" : "min");
    list_whole(out, n, a->e);
    if (a->keep_place) {
        buf_puts(out, "  at ");
        list_affine(out, &a->place);
    }
    buf_putc(out, '\n');
}

static void list_store(Buf *out, const Nest *n, const NestStore *s, int depth)
{
    buf_printf(out, "%*sp%d[", 2 * depth, "", s->buf);
    list_affine(out, &s->at);
    buf_puts(out, "] = ");
    list_whole(out, n, s->e);
    buf_putc(out, '\n');
}

static void list_bufs(Buf *out, const Nest *n)
{
    for (int k = 0; k < n->n_bufs; k++)
        buf_printf(out, "%sp%d %zu%s%s", k ? ", " : "  ", k, n->buf[k].rows, n->buf[k].lanes ? " x lanes" : "",
                   n->buf[k].written ? " written" : "");
    buf_puts(out, n->n_bufs ? "\n" : "");
}

static void list_alone(Buf *out, const Nest *n)
{
    int depth = 1, scope = 1;

    if (n->lanes && !n->sched.turned && (!n->sum_lanes || n->sched.lanes_first))
        list_lanes(out, n, depth++);
    scope = depth;
    for (int k = 0; k < n->n_loops; k++)
        scope = n->sched.order[k] < n->n_out ? depth + k + 1 : scope;
    for (int k = 0; k < n->n_loops; k++) {
        if (depth == scope && n->sum_lanes && !n->sched.lanes_first)
            list_lanes(out, n, depth++);
        list_loop(out, n, n->sched.order[k], depth++);
    }
    if (depth == scope && n->sum_lanes && !n->sched.lanes_first)
        list_lanes(out, n, depth++);
    for (int k = 0; k < n->n_conds; k++) {
        buf_printf(out, "%*sif ", 2 * depth, "");
        list_affine(out, &n->cond[k]);
        buf_puts(out, " >= 0\n");
    }
    for (int k = 0; k < n->n_aggs; k++)
        list_agg(out, n, k, depth);
    for (int k = 0; k < n->n_stores; k++)
        list_store(out, n, &n->store[k], scope);
}

/* Copies of whole buffers, of as many rows as each has. */
static void list_copies(Buf *out, const Nest *n)
{
    for (int k = 0; k < n->n_stores; k++) {
        const NestStore *s = &n->store[k];
        const int from = n->opd[s->e->col].index;
        buf_printf(out, "  p%d[%lld ..] = p%d[0 .. %zu]\n", s->buf, (long long)s->at.c, from, n->buf[from].rows - 1);
    }
}

void nest_listing(Buf *out, const Nest *n)
{
    buf_printf(out, "nest %d\n", n->id);
    list_bufs(out, n);
    if (n->copies && n->n_loops == 0)
        list_copies(out, n);
    else
        for (; n; n = n->next)
            list_alone(out, n);
}
