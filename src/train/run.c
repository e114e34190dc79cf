/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - the training loop.  A step: draw the batch, write sqlgrad_step, let the engine evaluate the loss and
 * the update blocks, look at the loss, and only then assign.  Nothing in the database changes but by checkpoints.
 *
 * The numbers depend on the parameters, the data, the options and the step number alone, so a run resumed at
 * step k is the run that was never stopped.  The cadence of checkpoints and evaluations changes none. */
#include "train/train.h"

#include <math.h>
#include <string.h>

#define CHECKPOINT_SECONDS 30.0

/* The best value of a metric, and how many evaluations came after it. */
typedef struct WatchState { bool any; double best; int waited; } WatchState;

/* The loop's own state. */
typedef struct Loop1 {
    Train *t;
    Err *e;
    Engine *g;
    Progress progress;
    Block **target; int n_loss_targets, n_all_targets;      /* loss and updates; and the metrics */
    int64_t per_epoch, total, step, eval_every;
    uint32_t *perm; int64_t perm_epoch;
    Table batch, row, noise;            /* what the engine was last given */
    const Block *noise_table;           /* NULL: nothing is drawn */
    Table *now_param, *now_state;       /* as last fetched, to be saved */
    Table *eval_param;                  /* as the evaluation sets were given them */
    Table *best;                        /* --keep: parameters of the best evaluation */
    WatchState stop_at, keep;
    Reach *reach; bool reach_over;
    Metric *loss;                       /* of the last step, one for each of plan.loss */
    double saved;                       /* clock of the last checkpoint */
} Loop1;

int64_t train_per_epoch(const Train *t)
{
    const int64_t n = (int64_t)t->keys->n_rows;

    if (t->batch <= 0 || !t->keys->n_cols || n <= t->batch)
        return 1;
    return n / t->batch + (n % t->batch != 0);
}

int64_t train_total(const Train *t)
{
    int64_t n;

    if (t->steps)
        return t->steps;
    return __builtin_mul_overflow(t->epochs, train_per_epoch(t), &n) ? INT64_MAX : n;
}

/* ---- starting ---- */

static Code bind_start(Loop1 *l)
{
    const Train *t = l->t;
    const StepPlan *s = &t->plan;
    Code rc = OK;

    for (int k = 0; k < t->p->n_blocks && rc == OK; k++) {
        const Table *rows = feed_find(t->feed, t->n_feeds, t->p->block[k]);
        if (rows)
            rc = t->ops->bind(l->g, t->p->block[k], rows, l->e);
    }
    for (int k = 0; k < s->n_over && rc == OK; k++) {
        rc = t->ops->bind(l->g, s->over[k].table, &t->param[k], l->e);
        if (rc == OK && s->over[k].state)
            rc = t->ops->bind(l->g, s->over[k].state, &t->state[k], l->e);
    }
    return rc;
}

static void list_targets(Loop1 *l)
{
    const Train *t = l->t;
    Arena *a = &l->progress.arena;

    l->loss = ARENA_ARRAY(a, Metric, t->plan.n_losses + 1);
    for (int k = 0; k < t->plan.n_losses; k++) {
        l->loss[k] = (Metric){ t->plan.loss[k]->name, NAN };
        VEC_PUSH(a, l->target, l->n_all_targets, t->plan.loss[k]);
    }
    for (int k = 0; k < t->plan.n_over; k++)
        VEC_PUSH(a, l->target, l->n_all_targets, t->plan.over[k].update);
    l->n_loss_targets = l->n_all_targets;
    for (int k = 0; k < t->n_metrics; k++)
        VEC_PUSH(a, l->target, l->n_all_targets, t->metric[k]);
}

static Code loop_open(Loop1 *l)
{
    Train *t = l->t;
    Code rc;

    const double began = clock_seconds();
    l->per_epoch = train_per_epoch(t);
    l->total = train_total(t);
    l->eval_every = t->eval_every ? t->eval_every : t->steps ? (l->total + 9) / 10 : 1;
    if (!t->steps && !__builtin_mul_overflow(l->eval_every, l->per_epoch, &l->eval_every))
        l->eval_every += l->eval_every == 0;
    l->perm_epoch = -1;
    l->step = t->start;
    l->noise_table = prog_find(t->p, NOISE_TABLE, MODE_always);
    list_targets(l);
    if (l->per_epoch > 1 && !(l->perm = mem_try(t->keys->n_rows * sizeof *l->perm)))
        return err_set(l->e, E_ENV, ERR_mem_exhausted, "out of memory for the order of batches");
    rc = t->ops->open(&l->g, t->p, &t->eo, l->e);
    if (rc == OK)
        rc = bind_start(l);
    for (int k = 0; k < t->n_evals && rc == OK; k++)
        rc = forward_open(&t->eval[k].f, l->e);
    t->compile_seconds += clock_seconds() - began;
    l->progress = (Progress){ .to = t->report, .first = t->start, .total = l->total, .per_epoch = l->per_epoch,
                              .rows = t->rows / l->per_epoch, .began = clock_seconds(), .said = clock_seconds(),
                              .arena = l->progress.arena };
    l->saved = l->progress.began;
    return rc;
}

static void free_tables(Table *t, int n)
{
    for (int k = 0; t && k < n; k++)
        table_free(&t[k]);
    mem_free(t);
}

static void loop_close(Loop1 *l)
{
    for (int k = 0; k < l->t->n_evals; k++)
        forward_close(&l->t->eval[k].f);
    if (l->g)
        l->t->ops->close(l->g);
    free_tables(l->now_param, l->t->plan.n_over);
    free_tables(l->now_state, l->t->plan.n_over);
    free_tables(l->eval_param, l->t->plan.n_over * l->t->n_evals);
    free_tables(l->best, l->t->plan.n_over);
    mem_free(l->perm);
    reach_free(l->reach, l->t->plan.n_over);
    table_free(&l->batch);
    table_free(&l->row);
    table_free(&l->noise);
    arena_free(&l->progress.arena);
}

/* ---- parts of a step ---- */

/* Keys of the batch that starts at place `first` of the epoch's order. */
static Code batch_at(Loop1 *l, int64_t first, Table *out)
{
    const int64_t left = (int64_t)l->t->keys->n_rows - first;

    return batch_take(l->t->keys, l->perm, (size_t)first, (size_t)(left < l->t->batch ? left : l->t->batch), out, l->e);
}

/* What the engine may prepare while it works on this batch. */
static Code expect_batch(Loop1 *l, int64_t first)
{
    Table next = { 0 };
    Code rc = OK;

    if (l->t->ops->expect && first < (int64_t)l->t->keys->n_rows) {
        rc = batch_at(l, first, &next);
        if (rc == OK) rc = l->t->ops->expect(l->g, &next, l->e);
        table_free(&next);
    }
    return rc;
}

static Code draw_batch(Loop1 *l)
{
    const Train *t = l->t;
    const int64_t epoch = l->step / l->per_epoch, first = l->step % l->per_epoch * t->batch;
    Table next = { 0 };

    if (l->per_epoch == 1)
        return OK;
    if (epoch != l->perm_epoch)
        draw_permutation(t->seed, (uint64_t)epoch, l->perm, (uint32_t)t->keys->n_rows);
    l->perm_epoch = epoch;
    Code rc = batch_at(l, first, &next);
    if (rc == OK) rc = t->ops->batch(l->g, &next, l->e);
    if (rc == OK) rc = expect_batch(l, first + t->batch);
    table_free(&l->batch);
    l->batch = next;
    return rc;
}

static Code write_step_row(Loop1 *l)
{
    const Code rc = optim_step_row(&l->t->plan, l->step, l->step / l->per_epoch, &l->row, l->e);

    return rc == OK ? l->t->ops->bind(l->g, l->t->plan.step, &l->row, l->e) : rc;
}

/* Noise is drawn anew in every step. */
static Code write_noise_row(Loop1 *l)
{
    if (!l->noise_table)
        return OK;
    if (!noise_row(&l->noise, l->t->seed, l->step))
        return err_set(l->e, E_ENV, ERR_mem_exhausted, "out of memory");
    return l->t->ops->bind(l->g, l->noise_table, &l->noise, l->e);
}

/* The REAL columns of a one-row table, one Metric each. */
static int take_metrics(const Block *b, const Table *t, Arena *a, Metric *m)
{
    int n_values = 0, n = 0;

    for (int c = 0; c < t->n_cols; c++)
        n_values += t->col[c].type != T_TEXT;
    for (int c = 0; c < t->n_cols; c++)
        if (t->col[c].type != T_TEXT) {
            const bool has = t->n_rows == 1 && !table_null(t, c, 0);
            m[n++] = (Metric){ n_values == 1 ? b->name : arena_printf(a, "%s.%s", b->name, t->col[c].name),
                               has ? table_real(t, c, 0) : NAN };
        }
    return n;
}

Code loss_take(const EngineOps *ops, Engine *g, const Table *t, double *out, Err *e)
{
    int c = 0;

    while (c < t->n_cols && t->col[c].type != T_REAL)
        c++;
    if (t->n_rows == 1 && c < t->n_cols && !table_null(t, c, 0)) {
        *out = table_real(t, c, 0);
        return OK;
    }
    const Block *bad = g ? ops->nonfinite(g) : NULL;
    if (bad)
        return err_set(e, E_INPUT, ERR_train_nonfinite, "an infinity or NaN appeared, first in %s", bad->name);
    return err_set(e, E_INPUT, ERR_train_loss, "%s, the loss, is NULL: no row reached it%s", t->name,
                   ops == &engine_sql ? ", or it is not a number" : "");
}

Code loss_fetch(const EngineOps *ops, Engine *g, const Block *loss, double *out, Err *e)
{
    Table t = { 0 };
    Code rc = ops->fetch(g, loss, false, &t, e);

    if (rc == OK)
        rc = loss_take(ops, g, &t, out, e);
    table_free(&t);
    return rc;
}

static Code read_losses(Loop1 *l)
{
    Code rc = OK;

    for (int k = 0; k < l->t->plan.n_losses && rc == OK; k++) {
        Err why = { 0 };
        rc = loss_fetch(l->t->ops, l->g, l->t->plan.loss[k], &l->loss[k].value, &why);
        if (rc != OK)
            err_set(l->e, rc, why.id, "step %lld: %s", (long long)l->step, why.msg);
    }
    return rc;
}

/* The first loss that is not finite; NULL: all are. */
static const char *bad_loss(const Loop1 *l)
{
    for (int k = 0; k < l->t->plan.n_losses; k++)
        if (!isfinite(l->loss[k].value))
            return l->loss[k].name;
    return NULL;
}

static Code blame_nonfinite(Loop1 *l)
{
    const Block *b = l->t->ops->nonfinite(l->g);

    return err_set(l->e, E_INPUT, ERR_train_nonfinite,
                   "step %lld: an infinity or NaN appeared, first in %s; the parameters before this step are kept",
                   (long long)l->step, b ? b->name : bad_loss(l));
}

static double code_seconds(const Loop1 *l)
{
    return l->t->ops->code_seconds ? l->t->ops->code_seconds(l->g) : 0;
}

/* ---- evaluating ---- */

/* The engine's rows of `block` in place of *out. */
static Code fetch_into(Loop1 *l, const Block *block, Table *out)
{
    Table now = { 0 };
    const Code rc = l->t->ops->fetch(l->g, block, false, &now, l->e);

    if (rc == OK) {
        table_free(out);
        *out = now;
    }
    return rc;
}

static Code fetch_params(Loop1 *l, Table **param, Table **state)
{
    const StepPlan *s = &l->t->plan;
    Code rc = OK;

    if (!*param)
        *param = mem_alloc((size_t)s->n_over * sizeof **param);
    if (state && !*state)
        *state = mem_alloc((size_t)s->n_over * sizeof **state);
    for (int k = 0; k < s->n_over && rc == OK; k++) {
        rc = fetch_into(l, s->over[k].table, &(*param)[k]);
        if (rc == OK && state && s->over[k].state)
            rc = fetch_into(l, s->over[k].state, &(*state)[k]);
    }
    return rc;
}

/* One more value of the metric that is watched: whether it is the best so far. */
static bool is_best(WatchState *s, const Watch *w, double v)
{
    if (s->any && !(w->low ? v < s->best : v > s->best)) {
        s->waited++;
        return false;
    }
    *s = (WatchState){ .any = true, .best = v };
    return true;
}

static bool is_over(const Loop1 *l)
{
    return l->t->stop_at.metric && l->stop_at.waited >= l->t->stop_at.patience;
}

/* Remember the best parameters, and count how long nothing got better. */
static Code watch(Loop1 *l, const Metric *m, int n)
{
    Code rc = OK;

    for (int k = 0; k < n && rc == OK; k++) {
        if (l->t->stop_at.metric && ascii_ieq(m[k].name, l->t->stop_at.metric))
            is_best(&l->stop_at, &l->t->stop_at, m[k].value);
        if (l->t->keep.metric && ascii_ieq(m[k].name, l->t->keep.metric) && is_best(&l->keep, &l->t->keep, m[k].value))
            rc = fetch_params(l, &l->best, NULL);
    }
    return rc;
}

/* A resumed run has seen what its history says. */
static Code rewatch(Loop1 *l, const Watch *w, WatchState *s)
{
    const Train *t = l->t;
    Table seen = { 0 };
    Code rc;

    if (!w->metric || !t->start)
        return OK;
    rc = history_values(t->ckpt.db, t->ckpt.row.run, t->n_evals ? t->eval[0].name : "train", w->metric, &seen, l->e);
    for (size_t r = 0; rc == OK && r < seen.n_rows; r++)
        is_best(s, w, table_real(&seen, 0, r));
    table_free(&seen);
    return rc;
}

static Code rewatch_all(Loop1 *l)
{
    const int n = l->t->plan.n_over;
    Code rc = rewatch(l, &l->t->stop_at, &l->stop_at);

    if (rc == OK)
        rc = rewatch(l, &l->t->keep, &l->keep);
    if (rc != OK || !l->t->best)
        return rc;
    l->best = mem_alloc((size_t)n * sizeof *l->best);
    for (int k = 0; k < n && rc == OK; k++)
        if (!table_copy(&l->best[k], &l->t->best[k]))
            rc = err_set(l->e, E_ENV, ERR_mem_exhausted, "out of memory for the best parameters");
    return rc;
}

static Code say_metrics(Loop1 *l, const char *split, const Metric *m, int n)
{
    for (int k = 0; k < n; k++)
        if (isfinite(m[k].value))
            history_add(&l->t->ckpt, l->step / l->per_epoch, l->step, split, m[k].name, m[k].value);
    progress_metrics(&l->progress, split, l->step + 1, m, n);
    return l->t->n_evals && strcmp(split, l->t->eval[0].name) ? OK : watch(l, m, n);      /* the first set decides */
}

/* The training program's own metrics, from the run of this step. */
static Code train_metrics(Loop1 *l)
{
    Arena a = { 0 };
    Metric m[64];
    int n = 0;
    Code rc = OK;

    for (int k = 0; k < l->t->n_metrics && rc == OK && n + l->t->metric[k]->n_cols <= (int)COUNT_OF(m); k++) {
        Table t = { 0 };
        rc = l->t->ops->fetch(l->g, l->t->metric[k], false, &t, l->e);
        if (rc == OK)
            n += take_metrics(l->t->metric[k], &t, &a, m + n);
        table_free(&t);
    }
    if (rc == OK && n)
        rc = say_metrics(l, "train", m, n);
    arena_free(&a);
    return rc;
}

/* Give an evaluation set the parameters of now.  The engine may keep what it was bound to, so the rows of
 * before are freed only after the new ones are bound. */
static Code bind_eval(Loop1 *l, EvalSet *v)
{
    const StepPlan *s = &l->t->plan;
    Code rc = OK;

    if (!l->eval_param)
        l->eval_param = mem_alloc((size_t)(s->n_over * l->t->n_evals) * sizeof *l->eval_param);
    for (int k = 0; k < s->n_over && rc == OK; k++) {
        Table *slot = &l->eval_param[(v - l->t->eval) * s->n_over + k], old = *slot;
        *slot = (Table){ 0 };
        rc = fetch_into(l, s->over[k].table, slot);
        if (rc == OK)
            rc = forward_bind(&v->f, s->over[k].table->name, slot, l->e);
        table_free(&old);
    }
    return rc;
}

static Code eval_set(Loop1 *l, EvalSet *v)
{
    Table *out = mem_alloc((size_t)v->f.n_targets * sizeof *out);
    Arena a = { 0 };
    Metric m[64];
    int n = 0;
    Code rc = bind_eval(l, v);

    if (rc == OK)
        rc = forward_run(&v->f, out, l->e);
    for (int k = 0; k < v->f.n_targets && rc == OK && n + out[k].n_cols <= (int)COUNT_OF(m); k++)
        n += take_metrics(v->f.target[k], &out[k], &a, m + n);
    if (rc == OK)
        rc = say_metrics(l, v->name, m, n);
    for (int k = 0; k < v->f.n_targets; k++)
        table_free(&out[k]);
    mem_free(out);
    arena_free(&a);
    return rc;
}

static Code eval_sets(Loop1 *l)
{
    Code rc = OK;

    for (int k = 0; k < l->t->n_evals && rc == OK; k++)
        rc = eval_set(l, &l->t->eval[k]);
    return rc;
}

/* ---- one step ---- */

static Code look_for_unreached(Loop1 *l)
{
    const int64_t look = l->step;
    Code rc = OK;

    if (l->reach_over || l->t->start)          /* a resumed run said it when it began */
        return OK;
    if (!l->reach)
        l->reach = mem_alloc((size_t)l->t->plan.n_over * sizeof *l->reach);
    rc = reach_look(l->t, l->reach, l->g, look, look + 1 >= l->per_epoch, l->e);
    l->reach_over = true;
    for (int k = 0; k < l->t->plan.n_over; k++)
        l->reach_over &= l->reach[k].over;
    return rc;
}

static bool eval_due(const Loop1 *l)
{
    return (l->step + 1) % l->eval_every == 0 || l->step + 1 == l->total;
}

static Code one_step(Loop1 *l)
{
    const bool metrics = eval_due(l) && l->t->n_evals == 0;
    Code rc = draw_batch(l);

    if (rc == OK) rc = write_step_row(l);
    if (rc == OK) rc = write_noise_row(l);
    if (rc == OK) rc = l->t->ops->run(l->g, l->target, metrics ? l->n_all_targets : l->n_loss_targets, true, l->e);
    if (rc == OK) rc = read_losses(l);
    if (rc == OK && bad_loss(l)) rc = blame_nonfinite(l);
    if (rc == OK) rc = look_for_unreached(l);
    if (rc == OK && metrics) rc = train_metrics(l);         /* before the update, as the loss is */
    return rc == OK ? l->t->ops->assign(l->g, l->e) : rc;
}

/* ---- saving ---- */

/* NULL is no value either; tables without rows or columns hold nothing wrong. */
static const char *first_nonfinite(const Table *t, int n)
{
    for (int k = 0; k < n; k++)
        for (int c = 0; c < t[k].n_cols; c++)
            for (size_t r = 0; t[k].col[c].type == T_REAL && r < t[k].n_rows; r++)
                if (table_null(&t[k], c, r) || !isfinite(table_real(&t[k], c, r)))
                    return t[k].name;
    return NULL;
}

/* Write what is so far, if it is finite; before the first step, what the run starts from. */
static Code save(Loop1 *l, const char *status)
{
    Train *t = l->t;
    const StepPlan *s = &t->plan;
    const bool moved = l->step > t->start;
    const Code rc = moved ? fetch_params(l, &l->now_param, &l->now_state) : OK;
    const Table *param = moved ? l->now_param : t->param, *state = moved ? l->now_state : t->state;

    if (rc != OK)
        return rc;
    const char *bad = first_nonfinite(param, s->n_over);
    if (!bad)
        bad = first_nonfinite(state, s->n_over);
    if (bad)
        return err_set(l->e, E_INPUT, ERR_train_nonfinite, "step %lld: an infinity or NaN appeared in %s; "
                       "the last checkpoint, at step %lld, is kept", (long long)l->step - 1, bad, (long long)t->ckpt.row.step);
    const bool final = !strcmp(status, "finished") && l->best;
    t->ckpt.row.step = l->step;
    t->ckpt.row.epoch = l->step / l->per_epoch;
    t->ckpt.row.status = status;
    t->ckpt.best = l->best;
    l->saved = clock_seconds();
    return checkpoint_write(&t->ckpt, s, final ? l->best : param, state, l->e);
}

static bool save_due(const Loop1 *l)
{
    if (l->t->checkpoint_every)
        return l->step % l->t->checkpoint_every == 0;
    return clock_seconds() - l->saved >= CHECKPOINT_SECONDS;
}

/* ---- the loop ---- */

static Code loop_step(Loop1 *l)
{
    const double began = clock_seconds();
    Code rc = one_step(l);

    if (rc != OK)
        return rc;
    for (int k = 0; k < l->t->plan.n_losses; k++)
        history_add(&l->t->ckpt, l->step / l->per_epoch, l->step, "train", l->loss[k].name, l->loss[k].value);
    progress_step(&l->progress, l->step, l->loss, l->t->plan.n_losses, clock_seconds() - began);
    if (eval_due(l))
        rc = eval_sets(l);
    l->step++;
    if (rc == OK && l->step < l->total && save_due(l))
        rc = save(l, "running");
    return rc;
}

static Code loop_steps(Loop1 *l)
{
    Code rc = OK;

    while (rc == OK && l->step < l->total && !is_over(l)) {
        if (*l->t->stop)
            return E_STOPPED;
        rc = loop_step(l);
    }
    return rc;
}

/* Whatever happened, save what can be saved; the first error is the one reported. */
static Code loop_end(Loop1 *l, Code rc)
{
    Err later = { 0 };

    if (rc == OK)
        return save(l, "finished");
    if (rc == E_ENV)
        return rc;
    Err *first = l->e;
    l->e = &later;
    *l->t->stop = 0;                            /* or the engine would not let the state out */
    const Code saved = save(l, rc == E_STOPPED ? "interrupted" : "failed");
    l->e = first;
    return rc == E_STOPPED && saved != OK ? err_set(l->e, saved, later.id, "%s", later.msg) : rc;
}

Code train_loop(Train *t, Err *e)
{
    Loop1 l = { .t = t, .e = e };
    Code rc = loop_open(&l);

    if (rc == OK)
        rc = rewatch_all(&l);
    if (rc == OK && !t->ckpt.begun)
        rc = save(&l, "running");
    if (rc == OK)
        rc = loop_end(&l, loop_steps(&l));
    if (rc == OK)
        progress_done(&l.progress, l.step, l.loss, t->plan.n_losses, t->compile_seconds + code_seconds(&l), t->load_seconds);
    loop_close(&l);
    return rc;
}
