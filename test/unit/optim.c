/* SPDX-License-Identifier: Apache-2.0
 *
 * optim.c - every optimizer against torch.optim: one value, five gradients that are given, the weights after
 * each step.  The blocks that optim_build makes have one row each, so they are evaluated here by hand,
 * without an engine.
 *
 * The numbers are torch 1.13's in float64, from
 *
 *   w = torch.tensor([1.5], dtype=torch.float64, requires_grad=True)
 *   o = torch.optim.SGD([w], lr=.1, momentum=.9)                # and so on, see `cases`
 *   for g in [0.5, -0.3, 0.8, 0.1, -0.6]:
 *       w.grad = torch.tensor([g], dtype=torch.float64); o.step(); print('%.17g' % w.item()) */
#include "unit.h"

#include "train/train.h"

enum { STEPS = 5 };
static const double gradients[STEPS] = { 0.5, -0.3, 0.8, 0.1, -0.6 };

static const struct { const char *name, *spec; double clip, w[STEPS]; } cases[] = {
    { "sgd", "sgd", 0, { 1.45, 1.48, 1.3999999999999999, 1.3899999999999999, 1.45 } },
    { "sgd with momentum", "sgd(momentum=0.9)", 0,
      { 1.45, 1.4350000000000001, 1.3415000000000001, 1.2473500000000002, 1.2226150000000002 } },
    { "sgd with dampening", "sgd(momentum=0.9, dampening=0.5)", 0,
      { 1.45, 1.4199999999999999, 1.353, 1.2876999999999998, 1.2589299999999999 } },
    { "sgd with nesterov and weight decay", "sgd(momentum=0.9, nesterov=true, weight_decay=0.01)", 0,
      { 1.40215, 1.4147709150000001, 1.2457036087615001, 1.1454494901137033, 1.1771655625473554 } },
    { "adam", "adam", 0,
      { 1.4000000020000001, 1.3808501989417754, 1.3204965636828665, 1.2654640634791925, 1.2538404008413342 } },
    { "adam with all arguments", "adam(beta1=0.8, beta2=0.99, eps=1e-3, weight_decay=0.1)", 0,
      { 1.4001536098310292, 1.3578937032513865, 1.2826327489174125, 1.2129849699944537, 1.1874240337248692 } },
    { "adamw", "adamw", 0,
      { 1.398500002, 1.3779516989397753, 1.3162201119819266, 1.2598713916662707, 1.2469878576367461 } },
    { "adamw with weight decay", "adamw(weight_decay=0.2)", 0,
      { 1.3700000019999998, 1.3234501989017751, 1.2366275596648306, 1.1568625082678601, 1.1221015954646445 } },
    { "rmsprop", "rmsprop", 0,
      { 0.50000019999996048, 1.016397890605409, 0.20584268671979289, 0.10453673993388203, 0.62585422847615957 } },
    { "rmsprop with all arguments", "rmsprop(alpha=0.9, eps=1e-4, weight_decay=0.1, momentum=0.5, centered=true)", 0,
      { 1.1668375192209124, 1.092130697707721, 0.77261252924393475, 0.55493777760674967, 0.59978689020603293 } },
    { "adagrad", "adagrad", 0,
      { 1.4000000000199999, 1.451449575553929, 1.3706373719979152, 1.3605869938463333, 1.4122267717913211 } },
    { "adagrad with all arguments",
      "adagrad(lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.3, eps=1e-3)", 0,
      { 1.4236192714453584, 1.4401771389613678, 1.3787678623342003, 1.3647243085676191, 1.3886641347945501 } },
    { "signsgd", "signsgd", 0, { 1.4, 1.5, 1.4, 1.3, 1.4 } },     /* torch: w - 0.1 * torch.sign(g) */
    { "signsgd with all arguments", "signsgd(momentum=0.5, weight_decay=0.1)", 0, { 1.4, 1.3, 1.2, 1.1, 1.2 } },
    { "clipping", "sgd", 0.4,
      { 1.4600000799998401, 1.4900000799998401, 1.4500001299997776, 1.4400001299997776, 1.480000063333222 } },
};

/* The row of a one-row base block. */
typedef struct Row { const Block *b; double val[8]; } Row;
static Row rows[8];
static int n_rows;

static double cell(const Block *b, int col);

typedef struct At { const Block *b; } At;

static Value get(void *arg, const Expr *col)
{
    const At *at = arg;

    return (Value){ .type = col->type, .r = cell(at->b->src[col->src].rel, col->col),
                    .i = (int64_t)cell(at->b->src[col->src].rel, col->col) };
}

static double cell(const Block *b, int col)
{
    for (int k = 0; k < n_rows; k++)
        if (rows[k].b == b)
            return rows[k].val[col];
    const Value v = ex_eval(b->col[col].e, get, &(At){ b });
    CHECK(!v.null);
    return v.type == T_REAL ? v.r : (double)v.i;
}

static Row *row_of(const Block *b)
{
    for (int k = 0; k < n_rows; k++)
        if (rows[k].b == b)
            return &rows[k];
    rows[n_rows].b = b;
    return &rows[n_rows++];
}

static Block *one_value(Prog *p, const char *name)
{
    Block *b = blk_new(p, BLK_base, name);
    const int key = blk_add_col(p, b, "k", NULL, AGG_none), w = blk_add_col(p, b, "w", NULL, AGG_none);

    b->role = BASE_driver;
    b->col[key].type = T_INT;
    b->col[w].type = T_REAL;
    blk_set_id(p, b, &key, 1);
    return b;
}

static void assign(const Prog *p)
{
    double now[8][8];

    for (int k = 0; k < p->n_assigns; k++)
        for (int c = 0; c < p->assign[k].n_cols; c++)
            now[k][c] = cell(p->assign[k].from, p->assign[k].from_col[c]);
    for (int k = 0; k < p->n_assigns; k++)
        for (int c = 0; c < p->assign[k].n_cols; c++)
            row_of(p->assign[k].target)->val[p->assign[k].to_col[c]] = now[k][c];
}

static void start_state(const StepPlan *s)
{
    for (int c = 1; s->over[0].state && c < s->over[0].state->n_cols; c++)
        row_of(s->over[0].state)->val[c] = s->obj[0].slot_start[c - 1];
}

static void step_row(const StepPlan *s, int64_t step)
{
    Table t = { 0 };
    Err e = { 0 };

    CHECK(optim_step_row(s, step, step, &t, &e) == OK);
    for (int c = 0; c < t.n_cols; c++)
        row_of(s->step)->val[c] = table_real(&t, c, 0);
    table_free(&t);
}

static void run_case(Compile *c, size_t k)
{
    Prog p = { .c = c };
    GradOf g = { one_value(&p, "p"), one_value(&p, "g") };
    StepOpts o = { .n_grads = 1, .lr = "0.1", .lr_what = "lr", .clip = cases[k].clip };
    StepPlan s;
    char wrong[100];

    const char *why = optim_parse(&o.optim, cases[k].spec, &c->arena);
    CHECK_STR(why ? why : "", "");
    p.grad = &g;
    p.n_grads = 1;
    n_rows = 0;
    optim_build(&p, &o, 1, &s);
    row_of(g.table)->val[1] = 1.5;
    start_state(&s);
    for (int i = 0; i < STEPS; i++) {
        step_row(&s, i);
        row_of(g.grad)->val[1] = gradients[i];
        assign(&p);
        const double w = row_of(g.table)->val[1], want = cases[k].w[i];
        snprintf(wrong, sizeof wrong, ", %s, step %d: %.17g, expected %.17g", cases[k].name, i, w, want);
        if (!(fabs(w - want) <= 1e-15 * 4))
            unit_wrong(__LINE__, "weight", wrong);
    }
}

static void against_torch(void)
{
    for (size_t k = 0; k < COUNT_OF(cases); k++) {
        Compile c = { 0 };
        c.guard = &c.fail;
        if (setjmp(c.fail) == 0)
            run_case(&c, k);
        else
            unit_wrong(__LINE__, c.n_diags ? c.diag[0].msg : "failed", "");
        compile_free(&c);
    }
}

static void specs(void)
{
    Arena a = { 0 };
    Optim o;

    CHECK(optim_parse(&o, "adam", &a) == NULL);
    CHECK(optim_parse(&o, " sgd( momentum = 0.5 , lr = 1.0 - step/100 ) ", &a) == NULL);
    CHECK_STR(o.lr, "1.0 - step/100");
    CHECK(optim_parse(&o, "sgd(lr = MAX(0.1, 1/(step+1)))", &a) == NULL);
    CHECK_STR(o.lr, "MAX(0.1, 1/(step+1))");
    CHECK(optim_parse(&o, "adamm", &a) != NULL);
    CHECK(optim_parse(&o, "adam(", &a) != NULL);
    CHECK(optim_parse(&o, "adam)", &a) != NULL);
    CHECK(optim_parse(&o, "", &a) != NULL);
    CHECK(optim_parse(&o, "adam(momentum=1)", &a) != NULL);
    CHECK(optim_parse(&o, "adam(beta1)", &a) != NULL);
    CHECK(optim_parse(&o, "adam(beta1=x)", &a) != NULL);
    CHECK(optim_parse(&o, "adam(beta1=1)", &a) != NULL);
    CHECK(optim_parse(&o, "sgd(nesterov=true)", &a) != NULL);
    arena_free(&a);
}

/* In a learning rate every number is REAL: 1/2 is a half. */
static void learning_rates(void)
{
    static const struct { const char *text; double at10; } lr[] = {
        { "0.5", 0.5 }, { "1.0 - 0.9*step/100", 0.91 }, { "1/2", 0.5 }, { "step/3", 10 / 3.0 },
        { "CASE WHEN epoch < 2 THEN 1 ELSE 0.1 END", 1 }, { "steps - step", 90 }, { "MIN(1, (step + 1)/20)", 0.55 },
    };

    for (size_t k = 0; k < COUNT_OF(lr); k++) {
        Compile c = { 0 };
        Prog p = { .c = &c };
        StepOpts o = { .lr = lr[k].text, .lr_what = "--lr", .steps = 100 };
        StepPlan s;
        c.guard = &c.fail;
        if (setjmp(c.fail) == 0) {
            CHECK(optim_named(&o.optim, "sgd", &c.arena) == NULL);
            optim_build(&p, &o, 1, &s);
            CHECK(fabs(optim_lr(&s, 10, 1) - lr[k].at10) < 1e-15);
        } else {
            unit_wrong(__LINE__, lr[k].text, c.n_diags ? c.diag[0].msg : "");
        }
        compile_free(&c);
    }
}

TEST_MAIN({ "optimizers against torch.optim", against_torch }, { "optimizer specs", specs },
          { "learning rates", learning_rates })
