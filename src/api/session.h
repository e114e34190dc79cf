/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h - what the files of the library's face share: the session, and a Job, one command in it.
 *
 * A Job is freed by job_end whatever happened.  Its compile half runs under job_guard, the only setjmp beside
 * the front's; what it makes lies in the Compile's arena, so nothing is lost when diag_fail leaves.  Files,
 * engines and tables belong to the Job itself, or to run-half functions that return a Code. */
#ifndef SG_SESSION_H
#define SG_SESSION_H

#include "api/options.h"
#include "sqlgrad.h"
#include "train/train.h"

struct sqlgrad {
    Options opt;
    sqlgrad_event_fn *fn; void *fn_arg;
    volatile int stop;
    Err err; int line, col;             /* of the last call */
    Table *result; int n_results;
    Buf list;                           /* sqlgrad_list's */
};

/* A table of a database, read once however often it is asked for. */
typedef struct Host { Db *from; const char *name; Table t; CatTable facts; } Host;

/* The rows of a parameter or a @range table: stored, or made here. */
/* What the model's text gives rows to: a parameter (trained), stored or not, given by --params or not, or a range. */
typedef struct Made { const char *name; const Table *t; Table own; bool trained, stored, given; } Made;

typedef struct Job {
    sqlgrad *s; const Command *cmd;
    Options own; const Options *o;      /* own: a copy of the session's, to which --resume adds */
    Compile c; Err e;
    Arena arena;                        /* outlives the compile half's jumps; freed with the job */
    Buf text;                           /* the model file */
    int n_model_files;                  /* the first of c's files: the model, and what it includes */
    Scan *scan;
    const char *db_path, *state_path;   /* NULL: none */
    Db *db, *state;                     /* the same if state_path is db_path */
    int lock;                           /* -1: none held */
    const char **table; int n_tables;   /* names that the model asks the database for */
    const char **trained; int n_trained;        /* parameters, and what is differentiated: looked for in the state first */
    Host **host; int n_hosts;
    Made **made; int n_made;
    Table noise;                        /* the row of NOISE_TABLE */
    bool fresh, note_kept, said_data;   /* train --fresh; say which parameters are kept, and which data once */
    uint64_t seed;
    int shown;                          /* diagnostics already passed on */
    int n_dumps;                        /* --dump-dir: files written */
    bool kept_c;                        /* --keep-c: what an earlier command left there is gone */
    bool note_no_cc;                    /* said that there is no compiler */
    double load_seconds, compile_seconds;
} Job;

/* A program bound to tables. */
typedef struct Bound {
    Catalog cat;
    Prog *p;
    Feed *feed; int n_feeds;            /* rows of every base block, but for the driver's */
} Bound;

typedef struct BindReq {
    const char **target; int n_targets; /* NULL: everything */
    bool eval, plain, declared;         /* see FrontOpts */
    const char *extra;                  /* an --eval-bind list, over --bind */
} BindReq;

/* ---- session.c ---- */

Code job_begin(Job *j, sqlgrad *s, const char *command, const char *model);
int  job_end(Job *j, Code rc);          /* reports what is left to report; the public result code */
/* Run fn under the guard.  Diagnostics are passed on. */
Code job_guard(Job *j, void (*fn)(Job *, void *), void *arg);
/* To the session's event function. */
void job_out(Job *j, ReportKind kind, const char *text);
void job_note(Job *j, const char *id, const char *fmt, ...) PRINTF(3, 4);
void job_result(Job *j, Table *t);      /* moved into the session */
void results_free(sqlgrad *s);

/* ---- inputs.c ---- */

/* Read the model file, scan it, open the databases. */
Code inputs_open(Job *j, const char *model);
/* Close the databases, so that another connection may write. */
void inputs_close(Job *j);
/* Read the tables and bind the program; its parameters have rows afterwards (params_make). */
Code inputs_bind(Job *j, const BindReq *r, Bound *out);
/* Feeds of every base block of p (the driver's left out), after all passes. */
void inputs_feed(Job *j, Bound *b);
/* A table of a database, read on first use; facts.exists false if there is none. */
Code host_get(Job *j, Db *from, const char *name, Host **out);
/* The next `name=text` of a list, names in double quotes or not; false at its end.  *s moves on. */
bool next_pair(Job *j, const char **s, const char **name, const char **text);

/* ---- params.c ---- */

/* Rows of every parameter and @range table of p that is not made yet. */
Code params_make(Job *j, Bound *b, const BindReq *r);
Made *made_find(const Job *j, const char *name);

/* ---- pipeline.c ---- */

/* What a command works on, found by option, directive or default. */
typedef struct Goal { Block *loss; Block **wrt; int n_wrt; const Objective *obj; } Goal;

/* The functions that may diag_fail: call them under job_guard. */
void goal_find(Job *j, const Prog *p, bool need_wrt, Goal *out);
void goals_find(Job *j, const Prog *p, Goal **out, int *n);                 /* what training works on: all objectives */
/* passes_before, gradients and updates of n goals; o[k] holds goal k's optimizer, and is completed. */
void step_blocks(Job *j, Prog *p, const Goal *g, int n, StepOpts *o, StepPlan *out);
void passes_before(Job *j, Prog *p);                                        /* those that come before pass_grad */
void passes_run(Job *j, Prog *p, Block **keep, int n_keep);
Code passes_check(Job *j);                                                  /* the names that --no-pass and --dump give */
const char **list_option(Job *j, OptId k, int *n);                          /* NULL if not set */
Code engine_pick(Job *j, const EngineOps **ops, EngineOpts *eo);
/* An engine that holds b's tables and the first batch; times: on one thread, keeping what each block takes.  *g is to
 * be closed even after an error, unless NULL. */
#define FIRST_BATCH 128                     /* keys, unless --batch says another number */
Code engine_first(Job *j, Bound *b, bool times, const EngineOps **ops, Engine **g);
/* Compile p forward for targets: chunked if there are more batch keys than a chunk. */
Code forward_plan(Job *j, Bound *b, Block **target, int n, Table *keys, Forward *out);

/* ---- train.c ---- */

/* Optimizer and learning rate by option, @minimize or default.  step_check first: wrong options are usage. */
Code step_check(Job *j);
void step_options(Job *j, const Goal *g, StepOpts *out);

/* ---- show.c ---- */

/* Print the session's results, or write them to --out. */
Code show_results(Job *j);

/* ---- one file a command ---- */

Code command_run(Job *j, bool eval);
Code command_grad(Job *j);
Code command_train(Job *j);
Code command_emit(Job *j);
Code command_explain(Job *j);
Code command_check(Job *j);
Code command_import(Job *j, const char *format, const char *const *file, int n);
Code command_graph(Job *j, const char *model);
Code command_plot(Job *j, const char *const *db, int n);
#endif
