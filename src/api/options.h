/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h - the one list of options: the command line, the public header's sqlgrad_set, the manual and the
 * check of which command takes what are made from it.
 *
 *   X(c_name, "name", kind, "ARG", commands, "help")
 *     kind      'f' flag, 't' text, 'l' text that adds up (comma-separated), 'n' number >= 0, 'i' integer >= 0, 'p' > 0
 *     commands  letters of COMMANDS that take it */
#ifndef SG_OPTIONS_H
#define SG_OPTIONS_H

#include "base/base.h"

/* C(letter, name, "ARGUMENTS", "help") */
#define COMMANDS(C)                                                                                \
    C('r', run,     "MODEL.sql", "evaluate the model once; show or write its tables")              \
    C('g', grad,    "MODEL.sql", "gradients of a loss with respect to tables")                     \
    C('t', train,   "MODEL.sql", "train; parameters, state and history go to the state database")  \
    C('v', eval,    "MODEL.sql", "evaluate in evaluation mode; shows the loss and the metrics")    \
    C('e', emit,    "MODEL.sql", "a plain-SQL script that does the same")                          \
    C('x', explain, "MODEL.sql", "what each stage made of the model")                              \
    C('c', check,   "MODEL.sql", "gradients against finite differences")                           \
    C('i', import,  "FORMAT FILE...", "data files (idx, cifar10, image, text, csv, npy) into a table") \
    C('p', plot,    "[DB...]",   "curves of training, images or points of a table")  \
    C('d', graph,   "MODEL.sql", "the model's tables and steps as a picture")

#define OPTIONS(X)                                                                                 \
    X(db,        "db",          't', "DB",     "rgtvexcipd", "the database with the data, read-only but for train and import") \
    X(state,     "state",       't', "DB",     "rgtvexcd", "where parameters and training state live (--db if not given)") \
    X(params,    "params",      't', "DB[:RUN]", "rgtvecd", "start from the parameters of another state database") \
    X(bind,      "bind",        'l', "T=DBTABLE", "rgtvexcd", "read DBTABLE of the database where the model says T") \
    X(set,       "set",         'l', "NAME=NUMBER", "rgtvexcd", "the number that :NAME stands for")  \
    X(show,      "show",        'l', "T[,T]",  "rgvp",      "tables to print; plot: names to draw (all)")                       \
    X(out,       "out",         't', "DB",     "rgvpd",     "the database, or picture, to write to instead of printing") \
    X(loss,      "loss",        't', "T",      "gtexcd",    "the table to differentiate (the @loss table)") \
    X(wrt,       "wrt",         'l', "T[,T]",  "gtexcd",    "tables to differentiate by (all @param tables)") \
    X(epochs,    "epochs",      'i', "N",      "te",       "train so many times over the data")      \
    X(steps,     "steps",       'i', "N",      "te",       "train so many steps")                    \
    X(batch,     "batch",       'p', "N",      "ted",       "batch keys a step; all of them if not given") \
    X(optimizer, "optimizer",   't', "SPEC",   "tex",      "sgd, adam, adamw, rmsprop, adagrad, signsgd, 'sgd(momentum=0.9)'") \
    X(lr,        "lr",          't', "X",      "tex",      "learning rate: a number, or of step, epoch, steps, epochs") \
    X(decay,     "weight-decay",'n', "X",      "tex",      "weight decay")                           \
    X(clip,      "clip",        'n', "X",      "tex",      "scale gradients down to this global norm") \
    X(eval_bind, "eval-bind",   'l', "T=DBTABLE", "t",     "also evaluate with DBTABLE for T; T again: another set") \
    X(eval_every,"eval-every",  'p', "N",      "t",        "evaluate every N epochs (steps with --steps)") \
    X(stop,      "stop",        't', "METRIC:N", "t",      "stop after N evaluations without a better METRIC (-METRIC: lower)") \
    X(keep,      "keep",        't', "best:METRIC", "t",   "leave the parameters that had the best METRIC") \
    X(fresh,     "fresh",       'f', "",       "t",        "start from new parameters even if there are some") \
    X(resume,    "resume",      'f', "",       "t",        "go on with the newest run, with its options") \
    X(ckpt_every,"checkpoint-every", 'p', "N", "t",        "save every N steps (every 30 s if not given)") \
    X(seed,      "seed",        'i', "N",      "rgtvecd",   "seed of all random numbers (0)")          \
    X(what,      "what",        't', "WHAT",   "ed",        "forward, grad or, for emit, step (forward)")         \
    X(dialect,   "dialect",     't', "NAME",   "e",        "sqlite; later duckdb, postgres, trino")    \
    X(stage,     "stage",       't', "STAGE",  "x",        "bind, grad, opt, sql, loop or c (bind)")   \
    X(table,     "table",       't', "T",      "ip",        "table for the data; plot: table to draw")                      \
    X(labels,    "labels",      't', "T",      "i",        "table for the labels")                    \
    X(as,        "as",          't', "EXPR",   "i",        "what to store in place of a value, such as 'val/255.0'") \
    X(channels,  "channels",    'p', "N",      "i",        "image: read all as grey (1) or as red, green, blue (3)") \
    X(keys,      "keys",        'l', "K[,K]",  "i",        "npy: names of the key columns (i,j,k,...)") \
    X(limit,     "limit",       'i', "N",      "ip",        "at most N images, rows or characters; plot: images (100)")         \
    X(run,       "run",         'l', "N[,N]",  "p",        "runs to draw, or all (the newest of each database)") \
    X(log,       "log",         'f', "",       "p",        "a logarithmic y axis")                    \
    X(smooth,    "smooth",      'n', "X",      "p",        "draw running means, 0 none to 0.99 slow; the values stay, faint") \
    X(x,         "x",           't', "WHAT",   "p",        "the x axis: step, epoch (a point is its mean) or time (step)") \
    X(range,     "range",       't', "A,B",    "p",        "ends of the y axis; of images, what is black and what is white") \
    X(title,     "title",       't', "TEXT",   "p",        "written above")                           \
    X(size,      "size",        't', "WxH",    "p",        "of an SVG, in pixels (720 wide)")         \
    X(where,     "where",       't', "SQL",    "p",        "rows to draw, such as 'image < 16'")      \
    X(axes,      "axes",        'l', "C,C[,C]", "p",       "columns of a table: row, column, channel; x, y, label") \
    X(value,     "value",       't', "COL",    "p",        "the column with an image's values (the only REAL one)") \
    X(cols,      "cols",        'p', "N",      "p",        "images side by side")                     \
    X(scale,     "scale",       'p', "N",      "p",        "pixels of a value, across and down (1)")  \
    X(colors,    "colors",      't', "NAME",   "p",        "of images: grey, heat or signed (grey)")  \
    X(ascii,     "ascii",       'f', "",       "p",        "plain characters only (set where the terminal has no UTF-8)") \
    X(columns,   "columns",     'p', "N",      "p",        "characters across (the terminal's, or 80)") \
    X(time,      "time",        'f', "",       "d",        "say what each step takes, on one thread")  \
    X(append,    "append",      'f', "",       "i",        "add to an existing table")                \
    X(replace,   "replace",     'f', "",       "i",        "replace an existing table")               \
    X(engine,    "engine",      't', "NAME",   "rgtvxcd",   "native, or sql inside the database")      \
    X(precision, "precision",   't', "P",      "rgtvd",     "f32 or f64 (f32)")                        \
    X(threads,   "threads",     'p', "N",      "rgtvcd",    "threads of the native engine (all cores)") \
    X(memory,    "memory",      'p', "MB",     "rgtvcd",    "what the engine may plan for (three quarters of the machine's)") \
    X(no_loops,  "no-loops",    'f', "",       "rgtvxcd",   "join everything row by row, compile nothing (for finding bugs)") \
    X(all_loops, "all-loops",   'f', "",       "rgtvxcd",   "compile every loop nest, also where little is to be done") \
    X(no_tune,   "no-tune",     'f', "",       "rgtvcd",   "loop nests as the model of the machine ranks them, no trials") \
    X(keep_c,    "keep-c",      't', "FILE",   "rgtvxcd",   "write the C that the native engine has compiled") \
    X(chunk,     "chunk",       'p', "N",      "rvt",      "batch keys evaluated at a time (256)")    \
    X(json,      "json",        'f', "",       "rgtvci",   "one JSON object a line")                  \
    X(quiet,     "quiet",       'f', "",       "rgtvexcipd", "no notes, no progress")                   \
    X(no_pass,   "no-pass",     'l', "NAME",   "rgtvexcd",  "leave a pass out (for finding bugs)")     \
    X(verify,    "verify",      'f', "",       "rgtvexcd",  "check the program after every pass")      \
    X(dump,      "dump",        'l', "STAGE[,STAGE]", "rgtvexcd", "print the program after bind, grad, a pass, or all") \
    X(dump_dir,  "dump-dir",    't', "DIR",    "rgtvexcd",  "write dumps to DIR/00-bind.sql, … (of all stages if no --dump)") \
    X(progress,  "progress",    'f', "",       "t",        "send progress lines (set on a terminal)") \
    X(color,     "color",       'f', "",       "p",        "use the terminal's colours (set on a terminal)") \
    X(show_ids,  "show-ids",    'f', "",       "rgtvexcipd", "put the id after each error and note")

typedef enum OptId {
#define X(c, name, kind, arg, commands, help) OPT_##c,
    OPTIONS(X)
#undef X
} OptId;

enum { N_OPTIONS = 0
#define X(c, name, kind, arg, commands, help) + 1
    OPTIONS(X)
#undef X
};

typedef struct Option { const char *name; char kind; const char *arg, *commands, *help; } Option;
extern const Option option_info[N_OPTIONS];

typedef struct Command { char letter; const char *name, *arg, *help; } Command;
extern const Command command_info[];
extern const int n_commands;

/* Values as set, NULL where not; texts from mem_alloc. */
typedef struct Options { char *val[N_OPTIONS]; } Options;

int  option_find(const char *name);                 /* -1: none */
const Command *command_find(const char *name);      /* NULL: none */
Code option_set(Options *o, const char *name, const char *value, Err *e);
void options_free(Options *o);
void options_copy(Options *to, const Options *from);
/* E_USAGE if an option is set that the command does not take. */
Code options_check(const Options *o, const Command *cmd, Err *e);
const char *opt_text(const Options *o, OptId k, const char *otherwise);
int64_t opt_int(const Options *o, OptId k, int64_t otherwise);
double  opt_real(const Options *o, OptId k, double otherwise);
bool    opt_flag(const Options *o, OptId k);
const char *help_text(const char *command);
#endif
