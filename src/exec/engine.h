/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.h - running a program.  Two engines stand behind one interface: native (tuple lists × lanes
 * over flat arrays) and sql (generated statements in a database).  They give the same numbers.
 *
 * Order of calls: open; bind every base block; then any number of { batch; run; fetch; assign }. */
#ifndef SG_ENGINE_H
#define SG_ENGINE_H

#include "ir/ir.h"

typedef struct Engine Engine;

typedef struct EngineOpts {
    bool f64;                   /* native: value type double, else float */
    int threads;                /* native */
    size_t mem_limit;           /* bytes the engine may plan for; 0: three quarters of the machine's */
    const char *db_path;        /* sql: the database file with the user's tables, opened read-only; or NULL */
    volatile int *stop;         /* set from a signal handler: long phases end with E_STOPPED */
    bool no_loops;              /* native: tuple lists only; nothing is compiled */
    bool all_loops;             /* native: compile nests however little they have to do */
    bool no_tune;               /* native: nests keep the schedule that the model ranks first; no trials of others */
    bool times;                 /* native: keep what each block took, for block_seconds */
    const char *keep_c;         /* native: a file that generated C is added to, made by the caller; or NULL */
    /* native: called where it must do without a compiler; or NULL */
    void (*no_cc)(void *arg, const Err *why); void *no_cc_arg;
} EngineOpts;

typedef struct EngineOps {
    const char *name;           /* "native", "sql" */
    Code (*open)(Engine **out, const Prog *p, const EngineOpts *o, Err *e);
    void (*close)(Engine *);
    /* The rows of a base block.  Columns are matched by name; INT data of a REAL column is converted; `t`
     * is sorted (table_sort) and is kept, not copied.  A bag's row number column is the row's rank.
     * Called again: replaces the rows, for parameters, state and driver tables. */
    Code (*bind)(Engine *, const Block *base, const Table *t, Err *e);
    /* Restrict @data tables to the rows whose batch key is in `keys` (columns in batch-key order, rows in
     * the order drawn); NULL: no restriction.  What depends on the batch is computed anew. */
    Code (*batch)(Engine *, const Table *keys, Err *e);
    /* The keys that the next batch may have, as for `batch`: threads that wait prepare it.  NULL: the engine does not. */
    Code (*expect)(Engine *, const Table *keys, Err *e);
    /* Evaluate the targets and what they need; what is up to date by its lifetime is not computed again.
     * The caller says with `new_step` that parameters or driver tables changed. */
    Code (*run)(Engine *, Block *const *target, int n, bool new_step, Err *e);
    /* Perform p->assign, all from the values of the last run. */
    Code (*assign)(Engine *, Err *e);
    /* The rows of a block after run, as a plain table sorted by its keys; hidden columns only if asked.
     * The caller frees it. */
    Code (*fetch)(Engine *, const Block *b, bool hidden, Table *out, Err *e);
    /* The first evaluated block, in program order, that holds an infinity or NaN (or in SQL a NULL where
     * none can be); NULL: all finite. */
    const Block *(*nonfinite)(Engine *);
    /* After run: how each block was computed, and why so; `text`: the generated C in place of the loops. */
    Code (*explain)(Engine *, bool text, Buf *out, Err *e);
    /* Seconds spent on making machine code, or finding it in the cache; NULL: it makes none. */
    double (*code_seconds)(const Engine *);
    /* With EngineOpts.times: the mean seconds that computing a block took; below 0: it was not computed.  NULL: none kept. */
    double (*block_seconds)(const Engine *, const Block *);
} EngineOps;

struct Engine { const EngineOps *ops; };        /* the first member of each engine's own structure */

extern const EngineOps engine_native, engine_sql;
#endif
