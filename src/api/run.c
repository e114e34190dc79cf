/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - `run` and `eval`: the forward pass, in chunks of batch keys where there are many. */
#include "api/session.h"

#include <string.h>

typedef struct RunPlan { Bound bound; bool eval; const char **show; int n_show; Block **target; int n_targets; } RunPlan;

static void add_target(Job *j, RunPlan *r, Block *b)
{
    for (int k = 0; k < r->n_targets; k++)
        if (r->target[k] == b)
            return;
    VEC_PUSH(&j->arena, r->target, r->n_targets, b);
}

static bool is_derived(const Block *b)
{
    return b->user && b->kind != BLK_base;
}

/* The loss of one of the objectives. */
static bool is_objective(const Prog *p, const Block *b)
{
    for (int k = 0; k < p->n_obj; k++)
        if (p->obj[k].loss == b)
            return true;
    return false;
}

/* Without --show: every derived table for --out; else the loss and the metrics; else what the file ends with. */
static void default_targets(Job *j, RunPlan *r)
{
    const Prog *p = r->bound.p;
    const bool all = opt_text(j->o, OPT_out, NULL) != NULL;

    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        if (all ? is_derived(b) && !b->is_view : b->is_loss || b->is_metric || is_objective(p, b))
            add_target(j, r, b);
    }
    for (int k = p->n_blocks - 1; k >= 0 && !r->n_targets; k--)
        if (is_derived(p->block[k]))
            add_target(j, r, p->block[k]);
    if (!r->n_targets)
        diag_fail(&j->c, ERR_api_target, (Span){ 0 }, "the model derives no table; there is nothing to show");
}

static void read_show(Job *j, void *arg)
{
    RunPlan *r = arg;

    r->show = list_option(j, OPT_show, &r->n_show);
}

static void prepare_run(Job *j, void *arg)
{
    RunPlan *r = arg;

    for (int k = 0; k < r->n_show; k++) {
        Block *b = prog_find(r->bound.p, r->show[k], MODE_always);
        if (!b)
            BUG("a target was not bound: %s", r->show[k]);
        add_target(j, r, b);
    }
    if (!r->n_show)
        default_targets(j, r);
    passes_before(j, r->bound.p);
    passes_run(j, r->bound.p, r->target, r->n_targets);
}

static Code run_forward(Job *j, RunPlan *r)
{
    Table keys = { 0 }, *out = mem_alloc((size_t)r->n_targets * sizeof *out);
    Forward f = { 0 };
    double loss;
    Code rc = forward_plan(j, &r->bound, r->target, r->n_targets, &keys, &f);

    if (rc == OK) rc = forward_open(&f, &j->e);
    if (rc == OK) rc = forward_run(&f, out, &j->e);
    forward_close(&f);
    for (int k = 0; k < r->n_targets && rc == OK; k++)
        if (r->target[k]->is_loss || is_objective(r->bound.p, r->target[k]))
            rc = loss_take(f.ops, NULL, &out[k], &loss, &j->e);
    for (int k = 0; k < r->n_targets; k++) {
        if (rc == OK)
            job_result(j, &out[k]);
        table_free(&out[k]);
    }
    mem_free(out);
    table_free(&keys);
    return rc;
}

Code command_run(Job *j, bool eval)
{
    RunPlan r = { .eval = eval };
    BindReq req = { .eval = eval };
    Code rc = job_guard(j, read_show, &r);

    req.target = r.show;
    req.n_targets = r.n_show;
    if (rc == OK) rc = inputs_bind(j, &req, &r.bound);
    if (rc == OK) rc = job_guard(j, prepare_run, &r);
    if (rc == OK) rc = run_forward(j, &r);
    return rc == OK ? show_results(j) : rc;
}
