/* SPDX-License-Identifier: Apache-2.0
 *
 * grad.c - `grad`: the loss, and for each table T differentiated by a table grad_T: T's columns, the gradient
 * standing in each value column. */
#include "api/session.h"

typedef struct GradPlan {
    Bound bound; BindReq req;
    Goal goal;
    Block **target; int n_targets;
} GradPlan;

/* Only what --loss and --wrt need is bound, if both are given. */
static void grad_targets(Job *j, void *arg)
{
    GradPlan *g = arg;
    int n_loss, n_wrt;
    const char **loss = list_option(j, OPT_loss, &n_loss), **wrt = list_option(j, OPT_wrt, &n_wrt);

    for (int k = 0; n_loss && n_wrt && k < n_loss; k++)
        VEC_PUSH(&j->arena, g->req.target, g->req.n_targets, loss[k]);
    for (int k = 0; n_loss && n_wrt && k < n_wrt; k++)
        VEC_PUSH(&j->arena, g->req.target, g->req.n_targets, wrt[k]);
}

static void prepare_grad(Job *j, void *arg)
{
    GradPlan *g = arg;
    Prog *p = g->bound.p;

    goal_find(j, p, true, &g->goal);
    passes_before(j, p);
    pass_grad(p, g->goal.loss, g->goal.wrt, g->goal.n_wrt);
    VEC_PUSH(&j->arena, g->target, g->n_targets, g->goal.loss);
    for (int k = 0; k < p->n_grads; k++)
        VEC_PUSH(&j->arena, g->target, g->n_targets, p->grad[k].grad);
    passes_run(j, p, g->target, g->n_targets);
}

/* Fetch under the names and columns of the tables differentiated. */
static Code take_result(Job *j, const EngineOps *ops, Engine *e, const GradPlan *g, int k)
{
    Table t = { 0 };
    double loss;
    Code rc = ops->fetch(e, g->target[k], false, &t, &j->e);

    if (rc == OK && k == 0)
        rc = loss_take(ops, e, &t, &loss, &j->e);
    if (rc != OK) {
        table_free(&t);
        return rc;
    }
    if (k > 0)
        t.name = arena_printf(&t.arena, "grad_%s", g->goal.wrt[k - 1]->name);
    job_result(j, &t);
    return OK;
}

static Code run_grad(Job *j, GradPlan *g)
{
    const EngineOps *ops;
    EngineOpts eo;
    Engine *e = NULL;
    Code rc = engine_pick(j, &ops, &eo);

    if (rc != OK)
        return rc;
    inputs_feed(j, &g->bound);
    rc = ops->open(&e, g->bound.p, &eo, &j->e);
    for (int k = 0; k < g->bound.n_feeds && rc == OK; k++)
        rc = ops->bind(e, g->bound.feed[k].base, g->bound.feed[k].t, &j->e);
    if (rc == OK) rc = ops->run(e, g->target, g->n_targets, true, &j->e);
    for (int k = 0; k < g->n_targets && rc == OK; k++)
        rc = take_result(j, ops, e, g, k);
    if (e)
        ops->close(e);
    return rc;
}

Code command_grad(Job *j)
{
    GradPlan g = { 0 };
    Code rc = job_guard(j, grad_targets, &g);

    if (rc == OK) rc = inputs_bind(j, &g.req, &g.bound);
    if (rc == OK) rc = job_guard(j, prepare_grad, &g);
    if (rc == OK) rc = run_grad(j, &g);
    return rc == OK ? show_results(j) : rc;
}
