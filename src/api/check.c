/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - `check`: the compiled gradient against central differences of the loss, in double precision.
 *
 * For each value x, h = 6.1e-6 * max(1, |x|) (the cube root of the machine's epsilon balances truncation against
 * rounding), with the steps really taken.  Up to 200 values a table one by one; of more, 200 drawn by the
 * seed, and the derivative along one random direction, which all values share in.  A difference may be off by
 * 1e-7 of the table's largest gradient and by what rounding the loss leaves, 64 * epsilon * |loss| / h.
 *
 * Where that fails, the reason may be the difference: truncation (a wider step with Richardson's extrapolation
 * decides), or a kink at x or beside it (one-sided differences that do not meet as h shrinks): there the
 * gradient must lie between them, and the kink is counted. */
#include "api/session.h"

#include <math.h>
#include <string.h>

#define CHECK_MAX  200
#define CHECK_REL  1e-7
#define STEP_REL   6.1e-6
#define STREAM_PICK 0x7069636bull       /* "pick" */
#define STREAM_WAY  0x776179ull         /* "way" */

typedef struct CheckPlan {
    Bound bound; BindReq req;
    Goal goal;
    Block **target; int n_targets;      /* loss, then gradients */
    const EngineOps *ops; Engine *g;
    double loss;                        /* at x */
} CheckPlan;

/* One table under test. */
typedef struct Probe {
    CheckPlan *q;
    Job *j;
    const Block *base; Table x;         /* a copy of the rows that is moved about */
    Table grad;
    double largest;
    int n_kinks;
    double worst, worst_grad, worst_diff, worst_tol; size_t worst_row; int worst_col;      /* row SIZE_MAX: the direction */
} Probe;

/* ---- the loss at x ---- */

static Code probe_loss(Probe *p, double *out)
{
    CheckPlan *q = p->q;
    Code rc = q->ops->bind(q->g, p->base, &p->x, &p->j->e);

    if (rc == OK) rc = q->ops->run(q->g, q->target, 1, true, &p->j->e);
    return rc == OK ? loss_fetch(q->ops, q->g, q->target[0], out, &p->j->e) : rc;
}

/* Where to step from x: one value (row, col), or all along a random direction (row SIZE_MAX). */
typedef struct Way { size_t row; int col; } Way;

static double way_sign(const Probe *p, int c, size_t r)
{
    return draw_uniform(p->j->seed, STREAM_WAY + (uint64_t)c, r) < 0.5 ? -1 : 1;
}

/* The loss at x + h (relative to each value's size along a direction); *moved: what was really added. */
static Code loss_at(Probe *p, const Way *w, double h, double *loss, double *moved)
{
    Code rc;

    if (w->row != SIZE_MAX) {
        double *x = &p->x.col[w->col].r[w->row];
        const double old = *x;
        *x = old + h;
        *moved = *x - old;
        rc = probe_loss(p, loss);
        *x = old;
        return rc;
    }
    Table old;
    if (!table_copy(&old, &p->x))
        return err_set(&p->j->e, E_ENV, ERR_mem_exhausted, "out of memory for a copy of %s", p->x.name);
    for (int c = 0; c < p->x.n_cols; c++)
        for (size_t r = 0; p->x.col[c].type == T_REAL && r < p->x.n_rows; r++)
            p->x.col[c].r[r] += h * way_sign(p, c, r);
    *moved = h;
    rc = probe_loss(p, loss);
    for (int c = 0; c < p->x.n_cols; c++)
        if (p->x.col[c].type == T_REAL)
            memcpy(p->x.col[c].r, old.col[c].r, p->x.n_rows * sizeof(double));
    table_free(&old);
    return rc;
}

typedef struct Sides { double central, right, left; } Sides;

static Code take_sides(Probe *p, const Way *w, double h, Sides *out)
{
    double hi, lo, up, down;
    Code rc = loss_at(p, w, h, &hi, &up);

    if (rc == OK)
        rc = loss_at(p, w, -h, &lo, &down);
    if (rc == OK)
        *out = (Sides){ (hi - lo) / (up - down), (hi - p->q->loss) / up, (p->q->loss - lo) / -down };
    return rc;
}

/* ---- judging ---- */

static bool within(double g, double d, double tol)
{
    return fabs(g - d) <= tol;          /* false for NaN on either side */
}

/* Between the one-sided differences, which do not come together as the step shrinks. */
static bool at_kink(double g, const Sides *wide, const Sides *narrow, double tol)
{
    const double lo = fmin(narrow->left, narrow->right), hi = fmax(narrow->left, narrow->right);

    return fabs(narrow->right - narrow->left) > 0.5 * fabs(wide->right - wide->left) && g >= lo - tol && g <= hi + tol;
}

/* Sets *ok, and *diff to the difference that decided. */
static Code judge(Probe *p, const Way *w, double x, double g, double base_tol, bool *ok, double *diff, double *tol)
{
    const double h = STEP_REL * fmax(1, fabs(x)), noise = 64 * 2.220446049250313e-16 * fabs(p->q->loss);
    Sides s, wide, narrow;
    Code rc = take_sides(p, w, h, &s);

    *diff = s.central;
    *tol = base_tol + noise / h;
    *ok = rc == OK && within(g, s.central, *tol);
    if (rc != OK || *ok)
        return rc;
    rc = take_sides(p, w, 64 * h, &narrow);
    if (rc == OK) rc = take_sides(p, w, 128 * h, &wide);
    const double extrapolated = (4 * narrow.central - wide.central) / 3;
    if (rc == OK && within(g, extrapolated, base_tol + noise / (64 * h))) {
        *diff = extrapolated;
        *ok = true;
        return OK;
    }
    if (rc == OK) rc = take_sides(p, w, h / 64, &narrow);
    const double near = base_tol + 64 * noise / h;
    if (rc == OK && (within(g, narrow.central, near) || at_kink(g, &s, &narrow, near))) {
        *ok = true;
        *diff = narrow.central;
        p->n_kinks++;
    }
    return rc;
}

static Code probe_one(Probe *p, const Way *w, double x, double g, double base_tol)
{
    double diff, tol;
    bool ok;
    const Code rc = judge(p, w, x, g, base_tol, &ok, &diff, &tol);

    if (rc != OK)
        return rc;
    const double err = ok && !within(g, diff, tol) ? 0 : fabs(g - diff) / tol;
    if (!(err <= p->worst)) {                   /* a NaN is the worst of all */
        p->worst = isnan(err) ? INFINITY : err;
        p->worst_grad = g;
        p->worst_diff = diff;
        p->worst_tol = tol;
        p->worst_row = w->row;
        p->worst_col = w->col;
    }
    return OK;
}

/* ---- one table ---- */

static double grad_at(const Probe *p, int c, size_t r)
{
    const int k = table_find(&p->grad, p->x.col[c].name);

    return k < 0 || table_null(&p->grad, k, r) ? 0 : table_real(&p->grad, k, r);
}

static size_t count_values(const Table *t)
{
    size_t n = 0;

    for (int c = 0; c < t->n_cols; c++)
        n += t->col[c].type == T_REAL ? t->n_rows : 0;
    return n;
}

static Code probe_value(Probe *p, size_t at)
{
    for (int c = 0; c < p->x.n_cols; c++) {
        if (p->x.col[c].type != T_REAL)
            continue;
        if (at < p->x.n_rows) {
            const Way w = { at, c };
            if (table_null(&p->x, c, at))
                return OK;                      /* nothing flows into a NULL */
            return probe_one(p, &w, p->x.col[c].r[at], grad_at(p, c, at), CHECK_REL * p->largest);
        }
        at -= p->x.n_rows;
    }
    BUG("value %zu of %s", at, p->x.name);
}

static Code probe_direction(Probe *p)
{
    const Way w = { SIZE_MAX, 0 };
    double along = 0, size = 0;

    for (int c = 0; c < p->x.n_cols; c++)
        for (size_t r = 0; p->x.col[c].type == T_REAL && r < p->x.n_rows; r++) {
            along += way_sign(p, c, r) * grad_at(p, c, r);
            size += fabs(grad_at(p, c, r));
        }
    return probe_one(p, &w, 1, along, CHECK_REL * size);
}

static Code probe_values(Probe *p, size_t n)
{
    Code rc = OK;

    if (n <= CHECK_MAX) {
        for (size_t k = 0; k < n && rc == OK; k++)
            rc = probe_value(p, k);
        return rc;
    }
    for (uint64_t k = 0; k < CHECK_MAX && rc == OK; k++)
        rc = probe_value(p, (size_t)(draw_uniform(p->j->seed, STREAM_PICK, k) * (double)n));
    return rc == OK ? probe_direction(p) : rc;
}

static void say_place(const Probe *p, Buf *b)
{
    int n = 0;

    if (p->worst_row == SIZE_MAX) {
        buf_puts(b, "along a random direction");
        return;
    }
    buf_printf(b, "at %s", p->x.name);
    for (int c = 0; c < p->x.n_cols; c++) {
        const TableCol *k = &p->x.col[c];
        if (k->type == T_REAL)
            continue;
        buf_puts(b, n++ ? ", " : "(");
        if (k->type == T_TEXT)
            buf_text(b, k->s[p->worst_row]);
        else
            buf_printf(b, "%lld", (long long)k->i[p->worst_row]);
    }
    buf_printf(b, "%s.%s", n ? ")" : "", p->x.col[p->worst_col].name);
}

static void say_probe(Probe *p, size_t n)
{
    Buf b = { 0 };

    buf_printf(&b, "%s: %zu of %zu values%s, largest gradient %.6g; worst ", p->base->name,
               n <= CHECK_MAX ? n : (size_t)CHECK_MAX, n, n <= CHECK_MAX ? "" : " and a direction", p->largest);
    say_place(p, &b);
    buf_printf(&b, ": gradient %.17g, difference %.17g, %.2g of the tolerance %.3g: %s", p->worst_grad, p->worst_diff, p->worst,
               p->worst_tol, p->worst <= 1 ? "ok" : "WRONG");
    if (p->n_kinks)
        buf_printf(&b, "\n  %d value%s at or beside a kink, where one-sided differences do not meet; the gradient lies "
                   "between them", p->n_kinks, p->n_kinks == 1 ? "" : "s");
    job_out(p->j, REPORT_OUT, b.s);
    buf_free(&b);
}

/* Whole numbers stored where the model says REAL. */
static Code real_columns(Job *j, const Block *base, Table *t)
{
    for (int c = 0; c < t->n_cols; c++) {
        TableCol *k = &t->col[c];
        const int64_t *whole = k->i;
        for (int b = 0; b < base->n_cols; b++)
            if (k->type == T_INT && base->col[b].type == T_REAL && ascii_ieq(base->col[b].name, k->name)) {
                if (!table_add_col(t, c, k->name, T_REAL, false))
                    return err_set(&j->e, E_ENV, ERR_mem_exhausted, "out of memory for a copy of %s", t->name);
                for (size_t r = 0; r < t->n_rows; r++)
                    k->r[r] = (double)whole[r];
            }
    }
    return OK;
}

static Code check_table(Job *j, CheckPlan *q, int k, const Table *rows)
{
    Probe p = { .q = q, .j = j, .base = q->goal.wrt[k], .worst = -1 };
    Code rc = q->ops->fetch(q->g, q->target[k + 1], false, &p.grad, &j->e);

    if (rc == OK && !table_copy(&p.x, rows))
        rc = err_set(&j->e, E_ENV, ERR_mem_exhausted, "out of memory for a copy of %s", rows->name);
    if (rc == OK) rc = real_columns(j, p.base, &p.x);
    for (int c = 0; c < p.x.n_cols && rc == OK; c++)
        for (size_t r = 0; p.x.col[c].type == T_REAL && r < p.x.n_rows; r++)
            p.largest = fmax(p.largest, fabs(grad_at(&p, c, r)));
    if (rc == OK && p.grad.n_rows != p.x.n_rows)
        BUG("the gradient of %s has %zu rows, not %zu", p.base->name, p.grad.n_rows, p.x.n_rows);
    const size_t n = count_values(&p.x);
    if (rc == OK && n) rc = probe_values(&p, n);
    if (rc == OK && n) say_probe(&p, n);
    if (rc == OK) rc = q->ops->bind(q->g, p.base, rows, &j->e);
    if (rc == OK && p.worst > 1)
        rc = err_set(&j->e, E_INPUT, ERR_api_check, "the gradient of %s with respect to %s differs from finite differences",
                     q->goal.loss->name, p.base->name);
    table_free(&p.x);
    table_free(&p.grad);
    return rc;
}

/* ---- the command ---- */

static void probe_names(Job *j, void *arg)
{
    CheckPlan *q = arg;
    int n_loss, n_wrt;
    const char **loss = list_option(j, OPT_loss, &n_loss), **wrt = list_option(j, OPT_wrt, &n_wrt);

    for (int k = 0; n_loss && n_wrt && k < n_loss + n_wrt; k++)
        VEC_PUSH(&j->arena, q->req.target, q->req.n_targets, k < n_loss ? loss[k] : wrt[k - n_loss]);
}

static void prepare_check(Job *j, void *arg)
{
    CheckPlan *q = arg;
    Prog *p = q->bound.p;

    goal_find(j, p, true, &q->goal);
    passes_before(j, p);
    pass_grad(p, q->goal.loss, q->goal.wrt, q->goal.n_wrt);
    VEC_PUSH(&j->arena, q->target, q->n_targets, q->goal.loss);
    for (int k = 0; k < p->n_grads; k++)
        VEC_PUSH(&j->arena, q->target, q->n_targets, p->grad[k].grad);
    passes_run(j, p, q->target, q->n_targets);
}

/* All gradients are taken first: a probe's runs leave the engine at other parameters. */
static Code check_all(Job *j, CheckPlan *q)
{
    Probe base = { .q = q, .j = j };
    Err first = { 0 };
    Code rc = OK;

    for (int k = 0; k < q->goal.n_wrt && rc == OK; k++) {
        const Table *rows = feed_find(q->bound.feed, q->bound.n_feeds, q->goal.wrt[k]);
        if (!rows)
            BUG("no rows for %s", q->goal.wrt[k]->name);
        base.base = q->goal.wrt[k];
        base.x = *rows;
        rc = probe_loss(&base, &q->loss);
        if (rc == OK && !isfinite(q->loss))
            rc = err_set(&j->e, E_INPUT, ERR_train_nonfinite, "%s is %s here; differences need a finite loss", q->goal.loss->name,
                         isnan(q->loss) ? "not a number" : "infinite");
        if (rc == OK) rc = q->ops->run(q->g, q->target, q->n_targets, true, &j->e);
        if (rc == OK) rc = check_table(j, q, k, rows);
        if (rc != OK && j->e.id == ERR_api_check) {      /* go on, and report the first in the end */
            if (first.code == OK)
                first = j->e;
            j->e = (Err){ 0 };
            rc = OK;
        }
    }
    if (rc == OK && first.code != OK) {
        j->e = first;
        rc = first.code;
    }
    return rc;
}

Code command_check(Job *j)
{
    CheckPlan q = { 0 };
    EngineOpts eo;
    Code rc = job_guard(j, probe_names, &q);

    if (rc == OK) rc = inputs_bind(j, &q.req, &q.bound);
    if (rc == OK) rc = job_guard(j, prepare_check, &q);
    if (rc == OK) rc = engine_pick(j, &q.ops, &eo);
    if (rc != OK)
        return rc;
    inputs_feed(j, &q.bound);
    eo.f64 = true;
    rc = q.ops->open(&q.g, q.bound.p, &eo, &j->e);
    for (int k = 0; k < q.bound.n_feeds && rc == OK; k++)
        rc = q.ops->bind(q.g, q.bound.feed[k].base, q.bound.feed[k].t, &j->e);
    if (rc == OK) rc = check_all(j, &q);
    if (q.g)
        q.ops->close(q.g);
    return rc;
}
