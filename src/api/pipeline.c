/* SPDX-License-Identifier: Apache-2.0
 *
 * pipeline.c - the steps between a bound program and an engine, which every command puts together:
 *
 *   inputs_bind      text and tables -> program            (inputs.c: scan, catalog, front_bind)
 *   goal_find        which loss, which tables
 *   passes_before    once, slices, logsumexp, logistic, leaveout
 *   pass_grad        forward -> forward and backward       (pass/grad.c)
 *   optim_build      gradients -> updates                  (train/optim.c; step_blocks does the last three for training)
 *   passes_run       simplify, fuse, cse, prune, each checked with --verify and left out with --no-pass; sqljoin for SQL
 *   inputs_feed      rows for every base block
 *   engine or Forward */
#include "api/session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_KEYS 256          /* batch keys that a forward pass evaluates at a time */

#ifdef SQLGRAD_DEBUG
static const bool always_verify = true;
#else
static const bool always_verify = false;
#endif

const char **list_option(Job *j, OptId k, int *n)
{
    const char **names = NULL;

    *n = 0;
    if (j->o->val[k])
        *n = front_list(&j->c, j->o->val[k], &names);
    return names;
}

/* ---- goals ---- */

static Block *named_block(Job *j, const Prog *p, const char *name)
{
    Block *b = prog_find(p, name, MODE_always);

    if (!b)
        diag_fail(&j->c, ERR_api_target, (Span){ 0 }, "the model has no table %s", name);
    return b;
}

static Block *marked_loss(const Prog *p)
{
    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->is_loss)
            return p->block[k];
    return NULL;
}

static void all_params(Job *j, const Prog *p, Goal *out)
{
    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->is_param && !p->block[k]->frozen)
            VEC_PUSH(&j->arena, out->wrt, out->n_wrt, p->block[k]);
}

/* The objective whose loss --loss names; without --loss, or where there is one only, the first. */
static const Objective *asked_objective(const Prog *p, const Block *loss)
{
    for (int k = 0; k < p->n_obj; k++)
        if (!loss || p->n_obj == 1 || p->obj[k].loss == loss)
            return &p->obj[k];
    return NULL;
}

/* Tables that @update changes have no other way to move. */
static void check_wrt_option(Job *j, const Prog *p, const Block *b)
{
    for (int k = 0; k < p->n_blocks && j->cmd->letter == 't'; k++)
        if (p->block[k]->updates == b)
            diag_fail(&j->c, ERR_api_target, (Span){ 0 }, "--wrt %s: it gets its values from %s (@update)", b->name,
                      p->block[k]->name);
}

void goal_find(Job *j, const Prog *p, bool need_wrt, Goal *out)
{
    int n_loss, n_wrt;
    const char **loss = list_option(j, OPT_loss, &n_loss), **wrt = list_option(j, OPT_wrt, &n_wrt);

    if (n_loss > 1)
        diag_fail(&j->c, ERR_api_target, (Span){ 0 }, "--loss takes one table");
    Block *asked = n_loss ? named_block(j, p, loss[0]) : NULL;
    *out = (Goal){ .obj = asked_objective(p, asked) };
    out->loss = asked ? asked : out->obj ? out->obj->loss : marked_loss(p);
    for (int k = 0; k < n_wrt; k++) {
        Block *b = named_block(j, p, wrt[k]);
        check_wrt_option(j, p, b);
        VEC_PUSH(&j->arena, out->wrt, out->n_wrt, b);
    }
    for (int k = 0; !n_wrt && out->obj && k < out->obj->n_over; k++)
        VEC_PUSH(&j->arena, out->wrt, out->n_wrt, out->obj->over[k]);
    if (!out->n_wrt)
        all_params(j, p, out);
    if (!out->loss)
        diag_fail(&j->c, ERR_api_target, (Span){ 0 }, "the model has no loss; write -- @loss before a table, or give --loss");
    if (need_wrt && !out->n_wrt)
        diag_fail(&j->c, ERR_api_target, (Span){ 0 }, "the model has no parameters; write -- @param before a "
                  "table, or give --wrt");
}

/* A model's objectives, which run in lockstep; options pick among them only where there is one. */
void goals_find(Job *j, const Prog *p, Goal **out, int *n)
{
    *n = p->n_obj > 1 ? p->n_obj : 1;
    *out = ARENA_ARRAY(&j->arena, Goal, *n);
    if (*n == 1) {
        goal_find(j, p, true, *out);
        return;
    }
    if (j->o->val[OPT_loss] || j->o->val[OPT_wrt])
        diag_fail(&j->c, ERR_api_objectives, (Span){ 0 }, "the model has %d objectives, which are trained together; "
                  "--loss and --wrt are for models with one", *n);
    for (int k = 0; k < *n; k++)
        (*out)[k] = (Goal){ p->obj[k].loss, p->obj[k].over, p->obj[k].n_over, &p->obj[k] };
}

/* Data that is differentiated changes from step to step. */
static void mark_moving(Prog *p, const Goal *g)
{
    for (int k = 0; k < g->n_wrt; k++)
        if (g->wrt[k]->kind == BLK_base && !g->wrt[k]->is_param)
            g->wrt[k]->life = LIFE_step;
    prog_analyse(p);
}

void step_blocks(Job *j, Prog *p, const Goal *g, int n, StepOpts *o, StepPlan *out)
{
    for (int k = 0; k < n; k++)
        mark_moving(p, &g[k]);
    passes_before(j, p);
    for (int k = 0; k < n; k++) {
        o[k].loss = g[k].loss;
        o[k].obj = g[k].obj;
        o[k].first_grad = p->n_grads;
        pass_grad(p, g[k].loss, g[k].wrt, g[k].n_wrt);
        o[k].n_grads = p->n_grads - o[k].first_grad;
    }
    optim_build(p, o, n, out);
}

/* ---- dumps ---- */

static bool wants_dump(Job *j, const char *stage)
{
    const char *list = opt_text(j->o, OPT_dump, opt_text(j->o, OPT_dump_dir, NULL) ? "all" : ""), *name, *unused;

    while (next_pair(j, &list, &name, &unused))
        if (!strcmp(name, stage) || !strcmp(name, "all"))
            return true;
    return false;
}

static bool write_dump(const char *path, const Buf *b)
{
    FILE *f = fopen(path, "wb");
    const bool ok = f && fwrite(b->s, 1, b->n, f) == b->n;

    return (!f || fclose(f) == 0) && ok;
}

/* The program as canonical SQL, to stdout before the command's own output, or to a file. */
static void dump_stage(void *arg, const Prog *p, const char *stage)
{
    Job *j = arg;
    const char *dir = opt_text(j->o, OPT_dump_dir, NULL);
    const char *path = dir ? arena_printf(&j->arena, "%s/%02d-%s.sql", dir, j->n_dumps++, stage) : NULL;
    bool ok = true;
    Buf b = { 0 };

    if (!wants_dump(j, stage))
        return;
    if (!dir)
        buf_printf(&b, "-- after %s\n\n", stage);
    print_prog(&b, p, &dialect_canonical, true);
    if (path)
        ok = write_dump(path, &b);
    else
        job_out(j, REPORT_OUT, b.s);
    buf_free(&b);
    if (!ok)
        diag_fail_env(&j->c, ERR_api_file, "%s: %s", path, strerror(errno));
}

/* ---- passes ---- */

static bool is_pass(const char *name)
{
    for (int k = 0; k < pass_count(); k++)
        if (!strcmp(pass_name(k), name))
            return true;
    return false;
}

static Code check_names(Job *j, OptId k, const char *const *more, int n_more)
{
    const char *name, *unused;
    Buf known = { 0 };
    Code rc = OK;

    for (int i = 0; i < n_more + pass_count(); i++)
        buf_printf(&known, "%s%s", i ? ", " : "", i < n_more ? more[i] : pass_name(i - n_more));
    for (const char *s = opt_text(j->o, k, ""); rc == OK && next_pair(j, &s, &name, &unused);) {
        bool ok = is_pass(name);
        for (int i = 0; i < n_more; i++)
            ok |= !strcmp(more[i], name);
        if (!ok)
            rc = err_set(&j->e, E_USAGE, ERR_api_value, "--%s: no \"%s\"; there are %s", option_info[k].name, name, known.s);
    }
    buf_free(&known);
    return rc;
}

Code passes_check(Job *j)
{
    static const char *const stages[] = { "all", "bind", "grad", "sqljoin", "inline" };
    const Code rc = check_names(j, OPT_no_pass, NULL, 0);

    return rc == OK ? check_names(j, OPT_dump, stages, COUNT_OF(stages)) : rc;
}

static unsigned passes_left_out(Job *j)
{
    int n;
    const char **name = list_option(j, OPT_no_pass, &n);
    unsigned skip = 0;

    for (int i = 0; i < n; i++)
        for (int k = 0; k < pass_count(); k++)
            if (!strcmp(pass_name(k), name[i]))
                skip |= 1u << k;
    return skip;
}

static bool wants_verify(const Job *j)
{
    return always_verify || opt_flag(j->o, OPT_verify);
}

static void after_pass(Job *j, Prog *p, const char *name)
{
    prog_analyse(p);
    if (wants_verify(j))
        ir_verify(p, name);
    dump_stage(j, p, name);
}

void passes_before(Job *j, Prog *p)
{
    const PassOpts o = { NULL, 0, passes_left_out(j), wants_verify(j), dump_stage, j };

    if (o.verify)
        ir_verify(p, "bind");
    dump_stage(j, p, "bind");
    run_passes(p, PASS_forward, &o);
}

void passes_run(Job *j, Prog *p, Block **keep, int n_keep)
{
    const PassOpts o = { keep, n_keep, passes_left_out(j), wants_verify(j), dump_stage, j };

    after_pass(j, p, "grad");
    run_passes(p, PASS_whole, &o);
    if (j->cmd->letter == 'e' || !strcmp(opt_text(j->o, OPT_engine, ""), "sql")) {
        pass_sqljoin(p);
        after_pass(j, p, "sqljoin");
    } else if (j->cmd->letter != 'x') {
        pass_inline(p, keep, n_keep);
        pass_later(p, keep, n_keep);
        after_pass(j, p, "inline");
    }
}

/* ---- engines ---- */

static size_t memory_limit(const Job *j)
{
    size_t bytes;

    return __builtin_mul_overflow((size_t)opt_int(j->o, OPT_memory, 0), (size_t)1000000, &bytes) ? SIZE_MAX : bytes;
}

/* A command may open several engines: the file starts empty, and each adds what it compiles. */
static Code start_kept_c(Job *j)
{
    const char *path = opt_text(j->o, OPT_keep_c, NULL);
    FILE *f = path && !j->kept_c ? fopen(path, "we") : NULL;

    if (path && !j->kept_c && (!f || fclose(f) != 0))
        return err_set(&j->e, E_ENV, ERR_cc_keep, "%s cannot be written: %s", path, strerror(errno));
    j->kept_c = true;
    return OK;
}

static void note_no_cc(void *arg, const Err *why)
{
    Job *j = arg;

    if (!j->note_no_cc)
        job_note(j, why->id, "without compiled loops, which is slower: %s", why->msg);
    j->note_no_cc = true;
}

Code engine_pick(Job *j, const EngineOps **ops, EngineOpts *eo)
{
    const char *engine = opt_text(j->o, OPT_engine, "native"), *precision = opt_text(j->o, OPT_precision, "f32");
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    const int64_t threads = opt_int(j->o, OPT_threads, cpus > 0 ? cpus : 1);

    *ops = !strcmp(engine, "sql") ? &engine_sql : &engine_native;
    if (strcmp(engine, "sql") && strcmp(engine, "native"))
        return err_set(&j->e, E_USAGE, ERR_api_value, "--engine is native or sql, not \"%s\"", engine);
    if (strcmp(precision, "f32") && strcmp(precision, "f64"))
        return err_set(&j->e, E_USAGE, ERR_api_value, "--precision is f32 or f64, not \"%s\"", precision);
    *eo = (EngineOpts){ .f64 = !strcmp(precision, "f64"), .threads = threads < 1 ? 1 : threads > 1024 ? 1024 : (int)threads,
                        .mem_limit = memory_limit(j), .db_path = j->db_path, .stop = &j->s->stop,
                        .no_loops = opt_flag(j->o, OPT_no_loops),
                        .all_loops = opt_flag(j->o, OPT_all_loops) || strchr("txd", j->cmd->letter),
                        .no_tune = opt_flag(j->o, OPT_no_tune),
                        .keep_c = opt_text(j->o, OPT_keep_c, NULL),
                        .no_cc = note_no_cc, .no_cc_arg = j };
    return *ops == &engine_native ? start_kept_c(j) : OK;
}

typedef struct SplitCall { Prog *p; Block **target; int n; Split out; } SplitCall;

static void call_split(Job *j, void *arg)
{
    SplitCall *s = arg;

    (void)j;
    s->out = pass_split(s->p, s->target, s->n);
}

Code forward_plan(Job *j, Bound *b, Block **target, int n, Table *keys, Forward *out)
{
    SplitCall call = { b->p, target, n, { 0 } };
    const int64_t chunk = opt_int(j->o, OPT_chunk, CHUNK_KEYS);

    *out = (Forward){ .whole = b->p, .target = target, .n_targets = n, .keys = keys,
                       .chunk = (size_t)chunk };
    Code rc = engine_pick(j, &out->ops, &out->eo);
    inputs_feed(j, b);
    out->feed = b->feed;
    out->n_feeds = b->n_feeds;
    if (rc == OK) rc = batch_keys(b->p, b->feed, b->n_feeds, keys, &j->e);
    if (rc != OK || keys->n_rows <= out->chunk)
        return rc;
    rc = job_guard(j, call_split, &call);
    out->split = call.out;
    out->chunked = rc == OK && call.out.n_cross > 0;
    return rc;
}
