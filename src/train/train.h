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

void   philox4x32(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);   /* 10 rounds */
double draw_uniform(uint64_t seed, uint64_t stream, uint64_t n);        /* in [0, 1), 53 bits */
double draw_normal(uint64_t seed, uint64_t stream, uint64_t n);         /* mean 0, deviation 1 */
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

typedef struct StepOpts {
    Optim optim;
    const char *lr, *lr_what;       /* text of the learning rate; what it is called in messages */
    double clip;                    /* 0: none */
    bool maximize;
    int64_t steps, epochs;          /* totals, 0 unknown: names in a learning rate */
} StepOpts;

typedef struct StepPlan {
    Block *loss;
    Block *step;                    /* sqlgrad_step: step, epoch, lr and what the optimizer needs once a step */
    StepCol *col; int n_cols;       /* its REAL columns, from column 2 on */
    Block **over, **state, **update; int n_over;    /* state[k] NULL: the optimizer keeps nothing */
    const char *const *slot; int n_slots;
    const double *slot_start;
} StepPlan;

/* Append the update blocks of p->grad and fill p->assign. */
void optim_build(Prog *p, const StepOpts *o, StepPlan *out);
/* The same step as a statement: one more block that gives sqlgrad_step's next row, and its assignment. */
void optim_next(Prog *p, StepPlan *s);
/* sqlgrad_step's row for a step; an error if the learning rate is not finite. */
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

/* ---- checkpoint.c, history.c ---- */

typedef struct History { int64_t epoch, step; const char *split, *name; double value; double at; } History;

/* What sqlgrad_run holds about a run. */
typedef struct RunRow {
    int64_t run, seed, epoch, step;
    const char *model, *model_hash, *status, *options, *updated;
} RunRow;

typedef struct Checkpoint {
    Db *db;
    RunRow row;
    Arena arena;                    /* texts of row and history */
    History *history; int n_history, n_written;
} Checkpoint;

/* The newest run of the state database; *found false if there is none. */
Code run_newest(Db *db, Arena *a, RunRow *out, bool *found, Err *e);
/* The optimizer state of a run into state tables whose keys are set; false rows: an error. */
Code state_read(Db *db, int64_t run, const char *table, const char *const *slot, int n_slots, int n_value_cols,
                Table *state, Err *e);
/* All in one transaction: parameters, state, history, the run's row. */
Code checkpoint_write(Checkpoint *k, const StepPlan *s, const Table *param, const Table *state, Err *e);
void history_add(Checkpoint *k, int64_t epoch, int64_t step, const char *split, const char *name, double value);
/* Hold the state file for this process; status 3 if another one does. */
Code state_lock(const char *path, int *fd, Err *e);
void state_unlock(int fd);

/* ---- run.c: the loop ---- */

typedef enum { REPORT_OUT = 1, REPORT_NOTE, REPORT_PROGRESS } ReportKind;
typedef struct Report { void (*line)(void *arg, int kind, const char *text); void *arg; bool json, quiet, tty; } Report;

typedef struct EvalSet { const char *name; Forward f; } EvalSet;        /* targets: loss first, then the metrics */

typedef struct Train {
    const Prog *p;
    StepPlan plan;
    Block **metric; int n_metrics;
    const EngineOps *ops; EngineOpts eo;
    const Feed *feed; int n_feeds;          /* data tables; parameters and state stand below */
    Table *param, *state;                   /* n_over each: where the run starts, and where it ended */
    const Table *keys;                      /* drawn set; NULL or no columns: full batch */
    int64_t batch;                          /* 0: full batch */
    int64_t epochs, steps;                  /* one of them > 0, or both 0 with `none` */
    int64_t eval_every, checkpoint_every;   /* 0: default */
    uint64_t seed;
    int64_t start;                          /* steps already done (resume) */
    EvalSet *eval; int n_evals;
    const char *stop_metric; int stop_patience; bool stop_low;
    const char *keep_metric; bool keep_low;
    Checkpoint ckpt;
    Report report;
    volatile int *stop;
    double compile_seconds, load_seconds;
    int64_t rows;                           /* rows of the @data tables that a step reads, for rows/s */
} Train;

Code train_loop(Train *t, Err *e);
double clock_seconds(void);                 /* monotonic */
#endif
