/* SPDX-License-Identifier: Apache-2.0
 *
 * train.h - recipes over engines: random numbers, initial values, batches, optimizers as data, forward
 * passes in chunks, the training loop, checkpoints and history.
 *
 * Functions that take a Prog or a Compile belong to the compile half (diag_fail); the others return a Code. */
#ifndef SG_TRAIN_H
#define SG_TRAIN_H

#include "db/db.h"
#include "exec/engine.h"
#include "front/front.h"
#include "pass/pass.h"

/* ---- random.c: numbers by (seed, stream, counter), so that nothing depends on the order of drawing ---- */

double draw_uniform(uint64_t seed, uint64_t stream, uint64_t n);        /* in [0, 1), 53 bits */
double draw_normal(uint64_t seed, uint64_t stream, uint64_t n);         /* mean 0, deviation 1 */
/* The one row of NOISE_TABLE, in a new table or the one of the step before; false: out of memory. */
bool   noise_row(Table *out, uint64_t seed, int64_t step);
void   draw_permutation(uint64_t seed, uint64_t epoch, uint32_t *perm, uint32_t n);

/* ---- init.c ---- */

/* The rows of a base block: data, parameters, ranges.  The table stays where it is. */
typedef struct Feed { const Block *base; const Table *t; } Feed;
const Table *feed_find(const Feed *f, int n, const Block *base);

/* The rows that a declared table's CHECKs allow, in key order, value columns 0.  Too many, or CHECKs that
 * give no bounds: an error at the table's name. */
void init_rows(Compile *c, const Block *b, Table *out);
int64_t init_count(Compile *c, const Block *b);         /* only how many */
/* How many rows of parameter `b` (whose rows are t) meet in one output row of its first use, and in one
 * input row. */
void init_fans(const Prog *p, const Block *b, const Table *t, double *fan_in, double *fan_out);
/* Fill the value columns of t by b->init, from the seed and the rank of each row; `param` are the rows of
 * every parameter, for torch_default(of = …). */
void init_values(const Prog *p, const Block *b, uint64_t seed, Table *t, const Feed *param, int n_params);

/* ---- batch.c ---- */

/* The union of the distinct batch keys of all @data tables that p reads, in key order: plain columns in
 * batch-key order.  No @data table: n_cols 0.  `find` gives the rows of a base block. */
Code batch_keys(const Prog *p, const Feed *f, int n_feeds, Table *out, Err *e);
/* Rows perm[first … first + n) of keys (perm NULL: rows first …). */
Code batch_take(const Table *keys, const uint32_t *perm, size_t first, size_t n, Table *out, Err *e);
bool table_copy(Table *out, const Table *t);            /* plain rows; false: out of memory */

/* ---- optim.c: optimizers are rows of a table, their updates are blocks ---- */

enum { OPTIM_ARGS = 8 };
typedef struct Optim { const struct OptimDef *def; double arg[OPTIM_ARGS]; const char *lr; } Optim;

/* Each returns NULL, or what is wrong, in the arena. */
const char *optim_named(Optim *o, const char *name, Arena *a);              /* with its defaults */
const char *optim_set(Optim *o, const char *arg, double val, Arena *a);
const char *optim_parse(Optim *o, const char *spec, Arena *a);              /* "sgd(momentum=0.9, lr=1e-2)" */
const char *optim_check(const Optim *o, Arena *a);                          /* arguments that go together */
void optim_text(Buf *out, const Optim *o);                                  /* the same as a spec, all arguments */
double optim_default_lr(const Optim *o);

/* Where sqlgrad_step's columns come from: expressions over step and epoch (columns 0 and 1). */
typedef struct StepCol { const char *name; Expr *e; } StepCol;

/* One objective; its gradients stand in p->grad from first_grad on. */
typedef struct StepOpts {
    Block *loss;
    int first_grad, n_grads;
    const Objective *obj;           /* for the bounds of its tables; or NULL */
    Optim optim;
    const char *lr, *lr_what;       /* text of the learning rate; what it is called in messages */
    double clip;                    /* 0: none */
    bool maximize;
    int64_t steps, epochs;          /* totals, 0 unknown: names in a learning rate */
} StepOpts;

/* What one objective's optimizer keeps for each value, and its columns of sqlgrad_step: lr is the first. */
typedef struct StepObj {
    Block *loss;
    int first_col, n_cols;          /* in StepPlan.col */
    const char *const *slot; int n_slots;
    const double *slot_start;
} StepObj;

/* A table that a step changes: by an optimizer, or by @update (obj NULL). */
typedef struct StepTable {
    Block *table, *update;
    Block *state;                   /* NULL: the optimizer keeps nothing */
    const StepObj *obj;
} StepTable;

typedef struct StepPlan {
    StepObj *obj; int n_obj;
    Block **loss; int n_losses;     /* of all objectives, each once, in their order */
    Block *step;                    /* sqlgrad_step: step, epoch, lr and what the optimizers need once a step */
    StepCol *col; int n_cols;       /* its REAL columns, from column 2 on */
    StepTable *over; int n_over;
} StepPlan;

/* Append the update blocks of n objectives and fill p->assign, also for the tables of @update. */
void optim_build(Prog *p, const StepOpts *o, int n, StepPlan *out);
/* For scripts, after all passes: one more block that gives sqlgrad_step's next row, and its assignment; and
 * p->start, what driver tables begin with.  prog_analyse comes after it. */
void optim_next(Prog *p, StepPlan *s);
/* sqlgrad_step's row for a step, in a new table or the one of the step before; an error if the learning rate is
 * not finite. */
Code optim_step_row(const StepPlan *s, int64_t step, int64_t epoch, Table *out, Err *e);
double optim_lr(const StepPlan *s, int64_t step, int64_t epoch);
/* Start values of a state table: the keys of the parameter, 0 or what the optimizer starts from. */
Code optim_state_rows(const StepPlan *s, int k, const Table *param, Table *out, Err *e);
const char *const *optim_names(int *n);

/* ---- forward.c: targets over all batch keys, a chunk at a time ---- */

typedef struct Forward {
    const EngineOps *ops; EngineOpts eo;
    const Prog *whole;              /* used when there is one chunk only */
    Split split; bool chunked;
    Block *const *target; int n_targets;
    Feed *feed; int n_feeds;        /* forward_bind changes its rows */
    const Table *keys; size_t chunk;
    Engine *main, *local;           /* main: whole or global */
} Forward;

Code forward_open(Forward *f, Err *e);
Code forward_bind(Forward *f, const char *name, const Table *t, Err *e);   /* new rows of a base table, by name */
Code forward_run(Forward *f, Table *out, Err *e);                           /* out[n_targets], freed by the caller */
void forward_close(Forward *f);

/* ---- checkpoint.c, history.c ----
 *
 * In the state database: sqlgrad_run (a row a run), sqlgrad_history (losses and metrics), the parameters under
 * their own names, for each parameter sqlgrad_state_T with its keys and what the optimizer keeps, and
 * sqlgrad_step with the number and learning rate of the next step. */

typedef struct RunRow {
    int64_t run, seed, epoch, step;
    const char *model, *model_hash, *status, *options;      /* status: running, interrupted, failed, finished */
} RunRow;

typedef struct HistoryRow { int64_t epoch, step; const char *split, *name; double value; const char *at; } HistoryRow;

typedef struct Checkpoint {
    Db *db;
    RunRow row;
    Arena arena;                        /* history since the last checkpoint */
    HistoryRow *history; int n_history;
    bool begun;                         /* tables of this run exist */
    const Table *best;                  /* --keep: the best parameters so far, written as sqlgrad_best_T; or NULL */
} Checkpoint;

#define BEST_PREFIX "sqlgrad_best_"

/* The newest run of the state database; run 0: none. */
Code run_newest(Db *db, Arena *a, RunRow *out, Err *e);
/* All in one transaction: parameters, state, history, the run's row. */
Code checkpoint_write(Checkpoint *k, const StepPlan *s, const Table *param, const Table *state, Err *e);
void history_add(Checkpoint *k, int64_t epoch, int64_t step, const char *split, const char *name, double value);
/* The values of one metric in the history of a run, oldest first, for --stop after a resume. */
Code history_values(Db *db, int64_t run, const char *split, const char *name, Table *out, Err *e);
/* Hold the state database for this process; status 3 if another one does.  *fd is -1 until it is held. */
Code state_lock(const char *path, int *fd, Err *e);
void state_unlock(int fd);
int64_t state_holder(const char *path);         /* process that holds it; 0: not known */

/* ---- progress.c: what a run says while it runs ---- */

typedef enum ReportKind { REPORT_OUT = 1, REPORT_NOTE, REPORT_ERROR, REPORT_PROGRESS } ReportKind;
/* line: `text` without a newline at the end.  note: one with an id, which --quiet leaves out.  tty: progress
 * lines are wanted. */
typedef struct Report {
    void (*line)(void *arg, ReportKind kind, const char *text);
    void (*note)(void *arg, const char *id, const char *text);
    void *arg;
    bool json, quiet, tty;
} Report;

typedef struct Metric { const char *name; double value; } Metric;      /* table, or table.column if it has several */

typedef struct Progress {
    Report to;
    int64_t first, total, per_epoch, rows;      /* steps; rows: of @data tables a step reads */
    double began, shown, said;                  /* clock */
    double *second; int64_t n_seconds;          /* of every step of this process, for the median */
    Metric *metric; int n_metrics;              /* the last ones evaluated, for the line */
    Arena arena;
} Progress;

double clock_seconds(void);                 /* monotonic */
/* loss: of every objective, n > 0 of them; the first is the run's "loss". */
void progress_step(Progress *g, int64_t step, const Metric *loss, int n, double seconds);
void progress_metrics(Progress *g, const char *split, int64_t step, const Metric *m, int n);
void progress_done(Progress *g, int64_t steps, const Metric *loss, int n, double compile_seconds, double load_seconds);

/* ---- run.c: the loop ---- */

/* What is watched at every evaluation: an evaluation set, whose targets are the loss and the metrics. */
typedef struct EvalSet { const char *name; Forward f; } EvalSet;

typedef struct Watch { const char *metric; bool low; int patience; } Watch;     /* metric NULL: nothing */

typedef struct Train {
    const Prog *p;
    StepPlan plan;
    Block **metric; int n_metrics;          /* in p */
    const EngineOps *ops; EngineOpts eo;
    const Feed *feed; int n_feeds;          /* data tables; parameters and state stand below */
    const Table *param, *state;             /* plan.n_over each: where the run starts */
    const Table *best;                      /* resume with --keep: the best parameters before; or NULL */
    const Table *keys;                      /* drawn set; no columns: full batch */
    int64_t batch;                          /* keys a step; 0: all */
    int64_t epochs, steps;                  /* one of them says how long; the other is 0 */
    int64_t eval_every, checkpoint_every;   /* 0: default */
    int64_t start;                          /* steps already done (resume) */
    uint64_t seed;
    EvalSet *eval; int n_evals;
    Watch stop_at, keep;
    Checkpoint ckpt;
    Report report;
    volatile int *stop;
    int64_t rows;                           /* of the @data tables together */
    double compile_seconds, load_seconds;
} Train;

/* ---- reach.c: parameter rows that nothing leads from ---- */

typedef struct Reach { uint8_t *missing; bool over; } Reach;        /* of one parameter */

/* After the run of a step, the `look`-th from 0: note what stayed unreached in every look.  last: there are no more
 * batches.  r[plan.n_over] starts zeroed. */
Code reach_look(Train *t, Reach *r, Engine *g, int64_t look, bool last, Err *e);
void reach_free(Reach *r, int n);
const char *with_commas(Arena *a, int64_t n);           /* 1,234,567 */

/* The loss of the last run.  NULL is an error: no row reached it, or in SQL its value is not a number. */
Code loss_fetch(const EngineOps *ops, Engine *g, const Block *loss, double *out, Err *e);
Code loss_take(const EngineOps *ops, Engine *g, const Table *t, double *out, Err *e);     /* from its fetched rows */

/* Steps an epoch, and in all. */
int64_t train_per_epoch(const Train *t);
int64_t train_total(const Train *t);
Code train_loop(Train *t, Err *e);
#endif
