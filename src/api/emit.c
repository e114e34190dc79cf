/* SPDX-License-Identifier: Apache-2.0
 *
 * emit.c - `emit`, a plain-SQL script, and `explain`, what each stage made of the model.  Both print
 * programs that other commands run; neither runs one. */
#include "api/session.h"
#include "emit/emit.h"

#include <string.h>

typedef struct EmitPlan {
    Bound bound;
    EmitWhat what; bool batch;
    const Dialect *dialect;
    Block **loss; int n_losses;         /* NULL: a forward script */
    StepPlan step;
    Block **keep; int n_keep;
    Buf out;
} EmitPlan;

static void keep_block(Job *j, EmitPlan *e, Block *b)
{
    VEC_PUSH(&j->arena, e->keep, e->n_keep, b);
}

static void keep_users(Job *j, EmitPlan *e)
{
    const Prog *p = e->bound.p;

    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->user)
            keep_block(j, e, p->block[k]);
}

static void keep_results(Job *j, EmitPlan *e)
{
    const Prog *p = e->bound.p;

    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->is_loss || p->block[k]->is_metric)
            keep_block(j, e, p->block[k]);
    for (int k = 0; k < p->n_obj; k++)
        if (!p->obj[k].loss->is_loss && !p->obj[k].loss->is_metric)
            keep_block(j, e, p->obj[k].loss);
    for (int k = p->n_blocks - 1; k >= 0 && !e->n_keep; k--)
        if (p->block[k]->user && p->block[k]->kind != BLK_base)
            keep_block(j, e, p->block[k]);
}

static void add_grad(Job *j, EmitPlan *e)
{
    Prog *p = e->bound.p;
    Goal g;

    goal_find(j, p, true, &g);
    passes_before(j, p);
    pass_grad(p, g.loss, g.wrt, g.n_wrt);
    VEC_PUSH(&j->arena, e->loss, e->n_losses, g.loss);
    keep_block(j, e, g.loss);
    for (int k = 0; k < p->n_grads; k++)
        keep_block(j, e, p->grad[k].grad);
}

static void add_step(Job *j, EmitPlan *e)
{
    Prog *p = e->bound.p;
    Goal *g;
    int n;

    goals_find(j, p, &g, &n);
    StepOpts *so = ARENA_ARRAY(&j->arena, StepOpts, n);
    for (int k = 0; k < n; k++)
        step_options(j, &g[k], &so[k]);
    step_blocks(j, p, g, n, so, &e->step);
    e->loss = e->step.loss;
    e->n_losses = e->step.n_losses;
    for (int k = 0; k < e->n_losses; k++)
        keep_block(j, e, e->loss[k]);
    for (int k = 0; k < e->step.n_over; k++)
        keep_block(j, e, e->step.over[k].update);
}

/* ---- emit ---- */

static void print_script(Job *j, void *arg)
{
    EmitPlan *e = arg;
    Prog *p = e->bound.p;
    EmitOpts o = { .what = e->what, .batch = e->batch };

    if (e->what == EMIT_forward) {
        passes_before(j, p);
        keep_results(j, e);
    } else if (e->what == EMIT_grad) {
        add_grad(j, e);
    } else {
        add_step(j, e);
    }
    passes_run(j, p, e->keep, e->n_keep);
    if (e->what == EMIT_step) {
        optim_next(p, &e->step);
        prog_analyse(p);
    }
    o.show = e->loss;
    o.n_show = e->n_losses;
    emit_script(&e->out, p, &o, e->dialect);
}

static Code emit_words(Job *j, EmitPlan *e)
{
    static const char *const whats[] = { "forward", "grad", "step" };
    const char *what = opt_text(j->o, OPT_what, "forward"), *dialect = opt_text(j->o, OPT_dialect, "sqlite");
    int k = 0;

    while (k < 3 && strcmp(whats[k], what))
        k++;
    if (k == 3)
        return err_set(&j->e, E_USAGE, ERR_api_value, "--what is forward, grad or step, not \"%s\"", what);
    e->what = (EmitWhat)k;
    e->batch = opt_int(j->o, OPT_batch, 0) > 0;
    e->dialect = dialect_find(dialect);
    if (e->dialect)
        return OK;
    if (!strcmp(dialect, "duckdb") || !strcmp(dialect, "postgres") || !strcmp(dialect, "trino"))
        return err_set(&j->e, E_USAGE, ERR_api_not_yet, "--dialect %s is not supported yet; sqlite is", dialect);
    return err_set(&j->e, E_USAGE, ERR_api_value, "no dialect \"%s\"; there is sqlite, and later duckdb, "
                   "postgres, trino", dialect);
}

static void say_script(Job *j, Buf *out)
{
    while (out->n && out->s[out->n - 1] == '\n')
        out->s[--out->n] = 0;
    if (out->n)
        job_out(j, REPORT_OUT, out->s);
}

Code command_emit(Job *j)
{
    EmitPlan e = { 0 };
    BindReq req = { .plain = true, .declared = true };
    Code rc = emit_words(j, &e);

    if (rc == OK) rc = inputs_bind(j, &req, &e.bound);
    if (rc == OK) rc = step_check(j);
    if (rc == OK) rc = job_guard(j, print_script, &e);
    if (rc == OK)
        say_script(j, &e.out);
    buf_free(&e.out);
    return rc;
}

/* ---- explain ---- */

typedef enum Stage { STAGE_bind, STAGE_grad, STAGE_opt, STAGE_sql, STAGE_loop, STAGE_c } Stage;
typedef struct Explain { EmitPlan e; Stage stage; bool differentiate; } Explain;

static void print_stage(Job *j, void *arg)
{
    Explain *x = arg;
    EmitPlan *e = &x->e;

    if (x->differentiate)
        add_grad(j, e);
    else if (x->stage != STAGE_bind)
        passes_before(j, e->bound.p);
    if (x->stage >= STAGE_loop && x->differentiate)
        keep_results(j, e);                     /* what training asks for */
    else
        keep_users(j, e);
    if (x->stage >= STAGE_opt)
        passes_run(j, e->bound.p, e->keep, e->n_keep);
    if (x->stage == STAGE_sql) {
        const EmitOpts o = { .what = x->differentiate ? EMIT_grad : EMIT_forward };
        pass_sqljoin(e->bound.p);
        prog_analyse(e->bound.p);
        emit_script(&e->out, e->bound.p, &o, dialect_find("sqlite"));
    } else if (x->stage >= STAGE_loop) {
        pass_inline(e->bound.p, e->keep, e->n_keep);
        prog_analyse(e->bound.p);
    } else {
        print_prog(&e->out, e->bound.p, &dialect_canonical, true);
    }
}

static bool has_loss(const Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->is_loss)
            return true;
    return p->n_obj > 0;
}

static bool has_params(const Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->is_param)
            return true;
    return p->n_obj > 0;
}

static Code stage_word(Job *j, Stage *out)
{
    static const char *const stages[] = { "bind", "grad", "opt", "sql", "loop", "c" };
    const char *stage = opt_text(j->o, OPT_stage, "bind");

    for (int k = 0; k < (int)COUNT_OF(stages); k++)
        if (!strcmp(stages[k], stage)) {
            *out = (Stage)k;
            return OK;
        }
    return err_set(&j->e, E_USAGE, ERR_api_value, "--stage is bind, grad, opt, sql, loop or c, not \"%s\"", stage);
}

/* The first batch, if there are batches. */
static Code first_batch(Job *j, const EngineOps *ops, Engine *g, const Bound *b)
{
    const int64_t want = opt_int(j->o, OPT_batch, FIRST_BATCH);
    Table keys = { 0 }, first = { 0 };
    Code rc = batch_keys(b->p, b->feed, b->n_feeds, &keys, &j->e);

    if (rc == OK && keys.n_rows) {
        const size_t n = keys.n_rows < (uint64_t)want ? keys.n_rows : (size_t)want;
        rc = batch_take(&keys, NULL, 0, n, &first, &j->e);
        if (rc == OK) rc = ops->batch(g, &first, &j->e);
    }
    table_free(&first);
    table_free(&keys);
    return rc;
}

Code engine_first(Job *j, Bound *b, bool times, const EngineOps **ops, Engine **g)
{
    EngineOpts eo;
    Code rc = engine_pick(j, ops, &eo);

    eo.times = times;
    eo.threads = times ? 1 : eo.threads;
    inputs_feed(j, b);
    if (rc == OK) rc = (*ops)->open(g, b->p, &eo, &j->e);
    for (int k = 0; k < b->n_feeds && rc == OK; k++)
        rc = (*ops)->bind(*g, b->feed[k].base, b->feed[k].t, &j->e);
    return rc == OK ? first_batch(j, *ops, *g, b) : rc;
}

/* What the engine makes of the program is known once it has run. */
static Code explain_engine(Job *j, Explain *x)
{
    EmitPlan *e = &x->e;
    const EngineOps *ops;
    Engine *g = NULL;
    Code rc = engine_first(j, &e->bound, false, &ops, &g);

    if (rc == OK) rc = ops->run(g, e->keep, e->n_keep, true, &j->e);
    if (rc == OK) rc = ops->explain(g, x->stage == STAGE_c, &e->out, &j->e);
    if (g)
        ops->close(g);
    return rc;
}

/* opt shows the forward program, whose dump reads back as a model, unless --loss or --wrt ask for gradients. */
Code command_explain(Job *j)
{
    Explain x = { .stage = STAGE_bind };
    BindReq req = { 0 };
    const bool asked = j->o->val[OPT_loss] || j->o->val[OPT_wrt];
    Code rc = stage_word(j, &x.stage);

    req.declared = x.stage < STAGE_loop;
    if (rc == OK) rc = inputs_bind(j, &req, &x.e.bound);
    if (rc != OK)
        return rc;
    x.differentiate = x.stage == STAGE_grad || (asked && x.stage != STAGE_bind) ||
                      (x.stage >= STAGE_sql && has_loss(x.e.bound.p) && has_params(x.e.bound.p));
    rc = job_guard(j, print_stage, &x);
    if (rc == OK && x.stage >= STAGE_loop) rc = explain_engine(j, &x);
    if (rc == OK)
        say_script(j, &x.e.out);
    buf_free(&x.e.out);
    return rc;
}
