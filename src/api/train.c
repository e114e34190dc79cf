/* SPDX-License-Identifier: Apache-2.0
 *
 * train.c - `train`: from options, directives and a stored run to a Train, and around train_loop.
 *
 * A run's options are stored with it, one `name=value` a line; --resume takes them from there, and an option
 * given again must have the stored value, but for those in `may_differ`.  Those not stored change no number. */
#include "api/session.h"

#include <math.h>
#include <string.h>

/* ---- the optimizer ---- */

/* What CLI options say, checked before anything is compiled, so that errors are usage. */
Code step_check(Job *j)
{
    const char *spec = opt_text(j->o, OPT_optimizer, NULL);
    Optim o;
    const char *wrong = spec ? optim_parse(&o, spec, &j->arena) : NULL;

    if (wrong)
        return err_set(&j->e, E_USAGE, ERR_train_optimizer, "--optimizer: %s", wrong);
    return OK;
}

/* @minimize … using NAME(arg = …): an error stands at the directive. */
static void directive_optimizer(Job *j, const Objective *obj, Optim *o)
{
    const char *wrong = optim_named(o, obj->optimizer, &j->arena);

    for (int k = 0; !wrong && k < obj->n_args; k++)
        wrong = optim_set(o, obj->arg[k].name, obj->arg[k].val, &j->arena);
    if (!wrong)
        wrong = optim_check(o, &j->arena);
    if (wrong)
        diag_fail(&j->c, ERR_train_optimizer, obj->at, "%s", wrong);
    o->lr = obj->lr;
}

void step_options(Job *j, const Goal *g, StepOpts *out)
{
    const char *spec = opt_text(j->o, OPT_optimizer, NULL);

    if (spec)
        optim_parse(&out->optim, spec, &j->arena);
    else if (g->obj && g->obj->optimizer)
        directive_optimizer(j, g->obj, &out->optim);
    else
        optim_named(&out->optim, "adam", &j->arena);
    if (j->o->val[OPT_decay]) {
        const char *wrong = optim_set(&out->optim, "weight_decay", opt_real(j->o, OPT_decay, 0), &j->arena);
        if (wrong)
            diag_fail(&j->c, ERR_train_optimizer, (Span){ 0 }, "%s", wrong);
    }
    out->lr = opt_text(j->o, OPT_lr, out->optim.lr);
    out->lr_what = j->o->val[OPT_lr] ? "--lr" : "lr";
    if (!out->lr) {
        Buf b = { 0 };
        buf_real(&b, optim_default_lr(&out->optim));
        out->lr = arena_strdup(&j->arena, b.s);
        buf_free(&b);
    }
    out->clip = opt_real(j->o, OPT_clip, 0);
    out->maximize = g->obj && g->obj->maximize;
    out->steps = opt_int(j->o, OPT_steps, 0);
    out->epochs = opt_int(j->o, OPT_epochs, 0);
}

/* ---- stored options ---- */

static const OptId may_differ[] = { OPT_epochs, OPT_steps, OPT_eval_every, OPT_ckpt_every };
static const OptId not_stored[] = {
    OPT_db, OPT_state, OPT_threads, OPT_memory, OPT_chunk, OPT_json, OPT_quiet, OPT_progress, OPT_show_ids, OPT_resume,
    OPT_fresh, OPT_verify, OPT_dump, OPT_dump_dir, OPT_keep_c,
};

static bool option_in(int k, const OptId *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((int)list[i] == k)
            return true;
    return false;
}

static bool option_stored(int k)
{
    return strchr(option_info[k].commands, 't') && !option_in(k, not_stored, COUNT_OF(not_stored));
}

static const char *options_text(Job *j, uint64_t keys_hash)
{
    Buf b = { 0 };

    for (int k = 0; k < N_OPTIONS; k++)
        if (option_stored(k) && j->o->val[k]) {
            buf_printf(&b, "%s=%s", option_info[k].name, j->o->val[k]);
            for (size_t i = 0; i < b.n; i++)
                b.s[i] = b.s[i] == '\n' ? ' ' : b.s[i];
            buf_putc(&b, 1);                    /* a separator no value holds; written as a newline below */
        }
    for (size_t i = 0; i < b.n; i++)
        b.s[i] = b.s[i] == 1 ? '\n' : b.s[i];
    buf_printf(&b, "batch-keys=%016llx", (unsigned long long)keys_hash);
    const char *text = arena_strdup(&j->arena, b.s);
    buf_free(&b);
    return text;
}

/* The value of a line `name=value` of stored options; NULL: none. */
static const char *stored_value(Job *j, const char *options, const char *name)
{
    const size_t n = strlen(name);

    for (const char *s = options; *s;) {
        const size_t len = strcspn(s, "\n");
        if (len > n && !strncmp(s, name, n) && s[n] == '=')
            return arena_strndup(&j->arena, s + n + 1, len - n - 1);
        s += len + (s[len] == '\n');
    }
    return NULL;
}

/* Options of the stored run that are not given now are set; those given must be the same, or may differ. */
static Code take_option(Job *j, const RunRow *run, int k, bool length_given)
{
    const char *was = stored_value(j, run->options, option_info[k].name), *now = j->o->val[k];

    if (!now && was && !(length_given && (k == OPT_epochs || k == OPT_steps)))
        return option_set(&j->own, option_info[k].name, was, &j->e) == OK ? OK
             : err_set(&j->e, E_INPUT, ERR_train_resume, "the options stored with run %lld cannot be read", (long long)run->run);
    if (!now || option_in(k, may_differ, COUNT_OF(may_differ)) || (was && !strcmp(was, now)))
        return OK;
    return err_set(&j->e, E_INPUT, ERR_train_resume, "run %lld was started %s%s%s; --resume goes on with that",
                   (long long)run->run, was ? "with --" : "without --", option_info[k].name,
                   was ? arena_printf(&j->arena, " %s", was) : "");
}

static Code take_options(Job *j, const RunRow *run)
{
    const bool length_given = j->o->val[OPT_epochs] || j->o->val[OPT_steps];
    Code rc = OK;

    for (int k = 0; k < N_OPTIONS && rc == OK; k++)
        if (option_stored(k))
            rc = take_option(j, run, k, length_given);
    j->seed = (uint64_t)opt_int(j->o, OPT_seed, 0);
    return rc;
}

/* ---- the run before this one ---- */

typedef struct TrainPlan {
    Bound bound;
    Goal *goal; int n_goals;
    RunRow newest;
    bool resume;
    const char *model_hash;
    Table keys;
    uint64_t keys_hash;
    Train t;
    Block **keep; int n_keep;
    Bound *eval_bound; Table *eval_keys;
} TrainPlan;

static Code hold_state(Job *j, TrainPlan *q)
{
    Code rc = state_lock(j->state_path, &j->lock, &j->e);
    RunRow run = { 0 };
    Err ignored = { 0 };

    if (rc == OK)
        return run_newest(j->state, &j->arena, &q->newest, &j->e);
    if (j->e.code != OK)
        return rc;
    run_newest(j->state, &j->arena, &run, &ignored);
    return err_set(&j->e, E_ENV, ERR_train_locked, "run %lld of %s is being trained by process %lld", (long long)run.run,
                   j->state_path, (long long)state_holder(j->state_path));
}

/* Of the model and what it includes, in order. */
static uint64_t model_hash(const Job *j)
{
    uint64_t h = hash_bytes(j->text.s, j->text.n);

    for (int k = 1; k < j->n_model_files; k++)
        h = hash_u64(h ^ hash_bytes(j->c.file[k].text, j->c.file[k].len));
    return h;
}

static Code check_resume(Job *j, TrainPlan *q, const char *model)
{
    const RunRow *n = &q->newest;

    q->model_hash = arena_printf(&j->arena, "%016llx", (unsigned long long)model_hash(j));
    if (!opt_flag(j->o, OPT_resume)) {
        if (n->run && strcmp(n->status, "finished") && !opt_flag(j->o, OPT_fresh))
            job_note(j, ERR_train_unfinished, "run %lld stopped at step %lld (%s); --resume would go on with it",
                     (long long)n->run, (long long)n->step, n->status);
        return OK;
    }
    if (opt_flag(j->o, OPT_fresh))
        return err_set(&j->e, E_USAGE, ERR_api_option, "--resume and --fresh exclude each other");
    if (!n->run)
        return err_set(&j->e, E_INPUT, ERR_train_resume, "%s holds no run to resume", j->state_path);
    if (strcmp(n->model_hash, q->model_hash))
        return err_set(&j->e, E_INPUT, ERR_train_resume, "%s has changed since run %lld (%s) began", model, (long long)n->run,
                       n->model);
    q->resume = true;
    return take_options(j, n);
}

static Code check_length(Job *j)
{
    const bool e = j->o->val[OPT_epochs], s = j->o->val[OPT_steps];

    if (!e && !s)
        return err_set(&j->e, E_USAGE, ERR_api_missing, "train needs --epochs or --steps");
    if (e && s)
        return err_set(&j->e, E_USAGE, ERR_api_option, "--epochs and --steps exclude each other");
    return OK;
}

/* ---- keys, totals, options of the loop ---- */

static uint64_t hash_key_rows(const Table *t)
{
    uint64_t h = 7;

    for (int c = 0; c < t->n_cols; c++)
        for (size_t r = 0; r < t->n_rows; r++) {
            const TableCol *k = &t->col[c];
            h = hash_u64(h * 31 + (k->type == T_TEXT ? hash_bytes(k->s[r], strlen(k->s[r]))
                                   : k->type == T_REAL ? hash_bytes(&k->r[r], sizeof k->r[r]) : (uint64_t)k->i[r]));
        }
    return h;
}

static Code draw_keys(Job *j, TrainPlan *q)
{
    const char *was;

    inputs_feed(j, &q->bound);
    Code rc = batch_keys(q->bound.p, q->bound.feed, q->bound.n_feeds, &q->keys, &j->e);
    if (rc != OK)
        return rc;
    q->keys_hash = hash_key_rows(&q->keys);
    was = q->resume ? stored_value(j, q->newest.options, "batch-keys") : NULL;
    if (was && strcmp(was, arena_printf(&j->arena, "%016llx", (unsigned long long)q->keys_hash)))
        return err_set(&j->e, E_INPUT, ERR_train_resume, "the batch keys have changed since run %lld began",
                       (long long)q->newest.run);
    if (opt_int(j->o, OPT_batch, 0) && !q->keys.n_cols)
        return err_set(&j->e, E_INPUT, ERR_train_batch, "--batch needs a table to draw from: -- @data(batch = KEY)");
    if (q->keys.n_cols && !q->keys.n_rows)
        return err_set(&j->e, E_INPUT, ERR_train_batch, "the @data tables are empty");
    return OK;
}

static int64_t count_rows(const Bound *b)
{
    int64_t data = 0, all = 0;

    for (int k = 0; k < b->n_feeds; k++) {
        const int64_t n = (int64_t)b->feed[k].t->n_rows;
        data += b->feed[k].base->is_data ? n : 0;
        all += b->feed[k].base->role == BASE_db ? n : 0;
    }
    return data ? data : all;
}

/* METRIC:N with - for lower is better. */
static Code read_watch(Job *j, OptId k, const char *before, Watch *w)
{
    const char *s = opt_text(j->o, k, NULL), *colon = s ? strrchr(s, ':') : NULL;
    int64_t n = 0;

    if (!s)
        return OK;
    if (before && !strncmp(s, before, strlen(before)))
        s += strlen(before);
    else if (before || !colon || !parse_int(colon + 1, strlen(colon + 1), &n) || n < 1 || n > INT32_MAX)
        return err_set(&j->e, E_USAGE, ERR_api_value, before ? "--%s wants %sMETRIC" : "--%s wants METRIC:N",
                       option_info[k].name, before);
    w->low = *s == '-';
    s += w->low;
    w->metric = before ? arena_strdup(&j->arena, s) : arena_strndup(&j->arena, s, (size_t)(colon - s));
    w->patience = (int)n;
    return OK;
}

static Code loop_options(Job *j, TrainPlan *q)
{
    Train *t = &q->t;
    Code rc = read_watch(j, OPT_stop, NULL, &t->stop_at);

    if (rc == OK) rc = read_watch(j, OPT_keep, "best:", &t->keep);
    t->keys = &q->keys;
    t->batch = opt_int(j->o, OPT_batch, 0);
    t->epochs = opt_int(j->o, OPT_epochs, 0);
    t->steps = opt_int(j->o, OPT_steps, 0);
    t->eval_every = opt_int(j->o, OPT_eval_every, 0);
    t->checkpoint_every = opt_int(j->o, OPT_ckpt_every, 0);
    t->start = q->resume ? q->newest.step : 0;
    t->seed = j->seed;
    t->stop = &j->s->stop;
    return rc;
}

/* ---- compiling ---- */

/* Data that moves keeps its place: all of it is there in every step, and it is not the user's only copy. */
static void check_moving(Job *j, const TrainPlan *q, const Goal *g)
{
    for (int k = 0; k < g->n_wrt; k++) {
        const Block *b = g->wrt[k];
        if (b->is_param || b->kind != BLK_base)
            continue;
        if (b->batched && train_per_epoch(&q->t) > 1)
            diag_fail(&j->c, ERR_train_moving, b->name_at, "training changes %s, from which batches are drawn; leave "
                      "--batch out, or its @data", b->name);
        if (j->state == j->db)
            diag_fail(&j->c, ERR_train_moving, b->name_at, "training would overwrite the values of the data table %s in %s; "
                      "--state names another database for what it becomes", b->name, j->db_path ? j->db_path : j->state_path);
    }
}

static void prepare_train(Job *j, void *arg)
{
    TrainPlan *q = arg;
    Prog *p = q->bound.p;
    Train *t = &q->t;

    goals_find(j, p, &q->goal, &q->n_goals);
    StepOpts *so = ARENA_ARRAY(&j->arena, StepOpts, q->n_goals);
    const int64_t per_epoch = train_per_epoch(t);
    for (int k = 0; k < q->n_goals; k++) {
        step_options(j, &q->goal[k], &so[k]);
        so[k].steps = train_total(t);
        so[k].epochs = t->epochs ? t->epochs : (t->steps + per_epoch - 1) / per_epoch;
    }
    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->is_metric)
            VEC_PUSH(&j->arena, t->metric, t->n_metrics, p->block[k]);
    step_blocks(j, p, q->goal, q->n_goals, so, &t->plan);
    for (int k = 0; k < q->n_goals; k++)
        check_moving(j, q, &q->goal[k]);
    for (int k = 0; k < t->plan.n_losses; k++)
        VEC_PUSH(&j->arena, q->keep, q->n_keep, t->plan.loss[k]);
    for (int k = 0; k < t->n_metrics; k++)
        VEC_PUSH(&j->arena, q->keep, q->n_keep, t->metric[k]);
    for (int k = 0; k < t->plan.n_over; k++)
        VEC_PUSH(&j->arena, q->keep, q->n_keep, t->plan.over[k].update);
    passes_run(j, p, q->keep, q->n_keep);
    t->p = p;
}

/* Parameters apart from other feeds: their rows are the run's. */
static void split_feeds(Job *j, TrainPlan *q, Table *param)
{
    Train *t = &q->t;
    Feed *feed = NULL;

    for (int k = 0; k < q->bound.n_feeds; k++) {
        const Feed f = q->bound.feed[k];
        bool over = false;
        for (int i = 0; i < t->plan.n_over; i++)
            if (t->plan.over[i].table == f.base) {
                over = true;
                param[i] = *f.t;
            }
        if (!over)
            VEC_PUSH(&j->arena, feed, t->n_feeds, f);
    }
    t->feed = feed;
    t->param = param;
}

/* What the optimizer keeps of parameter k: new, or as the run left it. */
static Code start_state(Job *j, TrainPlan *q, int k, Table *out)
{
    const StepTable *s = &q->t.plan.over[k];
    Host *h = NULL;

    if (!q->resume)
        return optim_state_rows(&q->t.plan, k, &q->t.param[k], out, &j->e);
    const Code rc = host_get(j, j->state, s->state->name, &h);
    if (rc != OK)
        return rc;
    if (!h->facts.exists || h->t.n_rows != q->t.param[k].n_rows || h->t.n_cols != s->state->n_cols)
        return err_set(&j->e, E_INPUT, ERR_train_state, "%s in %s does not fit the parameter %s", s->state->name,
                       j->state_path, s->table->name);
    *out = h->t;
    return OK;
}

/* The best parameters that a resumed run had found, if any. */
static Code start_best(Job *j, TrainPlan *q)
{
    const int n = q->t.plan.n_over;
    Table *best = ARENA_ARRAY(&j->arena, Table, n + 1);

    for (int k = 0; k < n; k++) {
        Host *h;
        const Code rc = host_get(j, j->state, arena_printf(&j->arena, BEST_PREFIX "%s", q->t.plan.over[k].table->name), &h);
        if (rc != OK || !h->facts.exists || h->t.n_rows != q->t.param[k].n_rows)
            return rc;
        best[k] = h->t;
    }
    q->t.best = best;
    return OK;
}

static Code start_tables(Job *j, TrainPlan *q)
{
    Train *t = &q->t;
    const int n = t->plan.n_over;
    Table *state = ARENA_ARRAY(&j->arena, Table, n + 1);
    Code rc = OK;

    inputs_feed(j, &q->bound);
    split_feeds(j, q, ARENA_ARRAY(&j->arena, Table, n + 1));
    t->state = state;
    t->rows = count_rows(&q->bound);
    for (int k = 0; k < n && rc == OK; k++)
        if (t->plan.over[k].state)
            rc = start_state(j, q, k, &state[k]);
    return rc == OK && q->resume && q->t.keep.metric ? start_best(j, q) : rc;
}

/* ---- evaluation sets ---- */

typedef struct EvalCall { TrainPlan *q; int at; Block **target; int n; } EvalCall;

static void prepare_eval(Job *j, void *arg)
{
    EvalCall *e = arg;
    Prog *p = e->q->eval_bound[e->at].p;
    const StepPlan *s = &e->q->t.plan;

    for (int k = 0; k < s->n_losses; k++) {
        Block *loss = prog_find(p, s->loss[k]->name, MODE_always);
        if (loss)
            VEC_PUSH(&j->arena, e->target, e->n, loss);
    }
    const int n_losses = e->n;
    for (int k = 0; k < p->n_blocks; k++) {
        bool is_loss = false;
        for (int i = 0; i < n_losses; i++)
            is_loss |= e->target[i] == p->block[k];
        if (p->block[k]->is_metric && !is_loss)
            VEC_PUSH(&j->arena, e->target, e->n, p->block[k]);
    }
    passes_before(j, p);
    passes_run(j, p, e->target, e->n);
}

/* The pairs of --eval-bind, one text a set: a table named again begins the next set. */
static int split_sets(Job *j, const char *list, const char ***out)
{
    const char *begin = list, *s = list, *from, *to, **seen = NULL;
    int n = 0, n_seen = 0;

    for (const char *at = s; next_pair(j, &s, &from, &to); at = s) {
        bool again = false;
        for (int k = 0; k < n_seen; k++)
            again |= ascii_ieq(seen[k], from);
        if (again) {
            VEC_PUSH(&j->arena, *out, n, arena_strndup(&j->arena, begin, (size_t)(at - begin)));
            begin = at;
            n_seen = 0;
        }
        VEC_PUSH(&j->arena, seen, n_seen, from);
    }
    if (*begin)
        VEC_PUSH(&j->arena, *out, n, begin);
    return n;
}

/* A set is called after its first table in the database. */
static Code add_eval_set(Job *j, TrainPlan *q, const char *list, int at)
{
    const char *s = list, *from, *to;
    EvalCall call = { .q = q, .at = at };
    BindReq req = { .eval = true, .extra = list };
    EvalSet *set = &q->t.eval[at];

    q->t.n_evals = at + 1;
    next_pair(j, &s, &from, &to);
    set->name = to;
    Code rc = inputs_bind(j, &req, &q->eval_bound[at]);
    if (rc == OK) rc = job_guard(j, prepare_eval, &call);
    return rc == OK ? forward_plan(j, &q->eval_bound[at], call.target, call.n, &q->eval_keys[at], &set->f) : rc;
}

static Code add_eval_sets(Job *j, TrainPlan *q)
{
    const char **list = NULL;
    const int n = split_sets(j, opt_text(j->o, OPT_eval_bind, ""), &list);
    Code rc = OK;

    q->eval_bound = ARENA_ARRAY(&j->arena, Bound, n + 1);
    q->eval_keys = ARENA_ARRAY(&j->arena, Table, n + 1);
    q->t.eval = ARENA_ARRAY(&j->arena, EvalSet, n + 1);
    for (int k = 0; k < n && rc == OK; k++)
        rc = add_eval_set(j, q, list[k], k);
    return rc;
}

/* ---- the run ---- */

static void train_line(void *arg, ReportKind kind, const char *text)
{
    job_out(arg, kind, text);
}

static void train_note(void *arg, const char *id, const char *text)
{
    job_note(arg, id, "%s", text);
}

static void first_run_row(Job *j, TrainPlan *q, const char *model)
{
    Checkpoint *k = &q->t.ckpt;

    k->db = j->state;
    k->begun = q->resume;
    k->row = (RunRow){ .run = q->resume ? q->newest.run : q->newest.run + 1, .seed = (int64_t)j->seed, .model = model,
                       .model_hash = q->model_hash, .status = "running", .step = q->t.start,
                       .options = options_text(j, q->keys_hash) };
}

static Code nothing_to_do(Job *j, const TrainPlan *q)
{
    Buf b = { 0 };

    if (opt_flag(j->o, OPT_json))
        buf_printf(&b, "{\"event\":\"nothing to do\",\"run\":%lld,\"steps\":%lld}", (long long)q->newest.run,
                   (long long)q->newest.step);
    else
        buf_printf(&b, "nothing to do: run %lld is finished, at step %lld", (long long)q->newest.run,
                   (long long)q->newest.step);
    job_out(j, REPORT_OUT, b.s);
    buf_free(&b);
    return OK;
}

static Code compile_and_run(Job *j, TrainPlan *q, const char *model)
{
    Train *t = &q->t;
    const double began = clock_seconds();
    Code rc = job_guard(j, prepare_train, q);

    if (rc == OK) rc = engine_pick(j, &t->ops, &t->eo);
    if (rc == OK) rc = start_tables(j, q);
    if (rc == OK) rc = add_eval_sets(j, q);
    if (rc != OK)
        return rc;
    first_run_row(j, q, model);
    t->report = (Report){ train_line, train_note, j, opt_flag(j->o, OPT_json), opt_flag(j->o, OPT_quiet),
                          opt_flag(j->o, OPT_progress) };
    t->compile_seconds = j->compile_seconds + clock_seconds() - began;
    t->load_seconds = j->load_seconds;
    rc = train_loop(t, &j->e);
    if (rc == E_STOPPED) {
        j->e = (Err){ 0 };
        err_set(&j->e, rc, ERR_train_stopped, "interrupted after step %lld; its state is in %s, and --resume goes on from there",
                (long long)t->ckpt.row.step - 1, j->state_path);
    }
    return rc;
}

static void train_free(TrainPlan *q)
{
    for (int k = 0; k < q->t.plan.n_over && q->t.state && !q->resume; k++)
        table_free((Table *)&q->t.state[k]);
    for (int k = 0; k < q->t.n_evals; k++)
        table_free(&q->eval_keys[k]);
    arena_free(&q->t.ckpt.arena);
    table_free(&q->keys);
}

static Code bind_train(Job *j, TrainPlan *q, const char *model)
{
    BindReq req = { 0 };
    Code rc = step_check(j);

    if (rc == OK) rc = hold_state(j, q);
    if (rc == OK) rc = check_resume(j, q, model);
    if (rc == OK) rc = check_length(j);
    j->fresh = opt_flag(j->o, OPT_fresh);
    j->note_kept = !q->resume && !j->fresh;
    if (rc == OK) rc = inputs_bind(j, &req, &q->bound);
    if (rc == OK) rc = draw_keys(j, q);
    return rc == OK ? loop_options(j, q) : rc;
}

Code command_train(Job *j)
{
    TrainPlan *q = ARENA_NEW(&j->arena, TrainPlan);
    const char *model = j->c.file[0].path;
    Code rc = bind_train(j, q, model);

    if (rc == OK && q->resume && q->newest.step >= train_total(&q->t))
        rc = nothing_to_do(j, q);
    else if (rc == OK)
        rc = compile_and_run(j, q, model);
    train_free(q);
    return rc;
}
