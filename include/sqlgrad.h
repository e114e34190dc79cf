/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlgrad.h - differentiate and train models written in SQL.
 *
 * A session holds options and the results of its last command.  Options have the names of the command line's,
 * and each command does what `sqlgrad COMMAND` does: the command line uses nothing but this header.
 *
 *     sqlgrad *s = sqlgrad_new();
 *     sqlgrad_set(s, "db", "karate.db");
 *     sqlgrad_set(s, "steps", "100");
 *     if (sqlgrad_train(s, "models/karate.sql") != SQLGRAD_OK)
 *         fprintf(stderr, "%s\n", sqlgrad_errmsg(s));
 *     sqlgrad_free(s);
 *
 * The native engine starts the machine's C compiler, if there is one, and keeps what it made in the user's cache
 * directory (doc/libraries.md).  In a process that must not start others set "no-loops" to "1".
 *
 * Link with -lsqlgrad; `pkg-config sqlgrad` knows the rest. */
#ifndef SQLGRAD_H
#define SQLGRAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SQLGRAD_API __attribute__((visibility("default")))
#else
#define SQLGRAD_API
#endif

#ifndef SQLGRAD_VERSION
#define SQLGRAD_VERSION "0.1.0"
#endif

/** Result codes; the command's exit statuses. */
enum {
    SQLGRAD_OK = 0,
    SQLGRAD_INPUT = 1,          /* the input is wrong: SQL, data, a file that is no database */
    SQLGRAD_USAGE = 2,          /* the call is wrong: an option, a name, an argument */
    SQLGRAD_ENVIRONMENT = 3,    /* the environment failed: disk, memory, a database locked or unreachable */
    SQLGRAD_INTERRUPTED = 130   /* sqlgrad_interrupt was called; a training run's state was saved */
};

/** A session.  Made by sqlgrad_new, freed by sqlgrad_free.
 *
 *  threads  one call at a time per session, except sqlgrad_interrupt; sessions do not share anything.
 */
typedef struct sqlgrad sqlgrad;

/** Make a session without options.
 *
 *  owner    the caller frees it with sqlgrad_free.
 *  errors   NULL if memory ran out.
 */
SQLGRAD_API sqlgrad *sqlgrad_new(void);

/** Free a session and all it returned.
 *
 *  NULL     does nothing.
 */
SQLGRAD_API void sqlgrad_free(sqlgrad *s);

/* ---- options ---- */

/** Set an option for the commands that follow.
 *
 *  option   a name of the command line without its dashes, such as "db" or "weight-decay".
 *  value    as on the command line; "1" or "0" for a flag.  Not kept after the call.  "set" and "bind" add to
 *           what was set before; every other option replaces it.
 *  NULL     as value: the option is as if never set.
 *  errors   SQLGRAD_USAGE for an unknown option (sqlgrad_errmsg names the nearest) or a value it cannot take.
 */
SQLGRAD_API int sqlgrad_set(sqlgrad *s, const char *option, const char *value);

/** Say what kind of option a name is: 'f' a flag, 'v' one with a value, 0 not an option. */
SQLGRAD_API int sqlgrad_option_kind(const char *option);

/** Give the manual text of a command, or of all commands.
 *
 *  command  "run", "train", …
 *  NULL     the list of commands.
 *  owner    the library's, for ever; NULL if there is no such command.
 */
SQLGRAD_API const char *sqlgrad_help(const char *command);

/** Give a list that the library is made from, one entry a line.
 *
 *  what     "ops", "aggs", "joins" (each with the letter of its gradient: y has a rule, 0 zero, - none), "errors" (each id with
 *           what it means).
 *  owner    the session's, until its next call; NULL if there is no such list.
 */
SQLGRAD_API const char *sqlgrad_list(sqlgrad *s, const char *what);

/** Give the version of the library, as in SQLGRAD_VERSION. */
SQLGRAD_API const char *sqlgrad_version(void);

/* ---- events ---- */

/** What a line of text is. */
enum {
    SQLGRAD_OUT = 1,            /* results: tables, scripts, JSON objects; the command line's stdout */
    SQLGRAD_NOTE = 2,           /* notes and progress lines to be kept; its stderr */
    SQLGRAD_ERROR = 3,          /* errors, with source line and marks */
    SQLGRAD_PROGRESS = 4        /* a progress line that replaces the last one; only with the option "progress" */
};

/** Called with each line (or several, separated by newlines) while a command runs.
 *
 *  text     without a newline at the end; valid during the call.
 *  threads  called on the thread that runs the command; it may call sqlgrad_interrupt and nothing else.
 */
typedef void sqlgrad_event_fn(void *arg, int kind, const char *text);

/** Set the function that is given all output.
 *
 *  NULL     as fn: nothing is printed, which is also how a session starts.
 */
SQLGRAD_API void sqlgrad_on_event(sqlgrad *s, sqlgrad_event_fn *fn, void *arg);

/* ---- commands ----
 *
 * Each takes the path of a model file and works with the options set, of which it takes those that
 * sqlgrad_help lists; any other one that is set is SQLGRAD_USAGE.  Results replace those of the command before. */

/** Evaluate the model once.  The tables shown, or all derived ones with "out", are the result. */
SQLGRAD_API int sqlgrad_run(sqlgrad *s, const char *model);

/** Evaluate the model in evaluation mode; the loss and the metrics are the result unless "show" says others. */
SQLGRAD_API int sqlgrad_eval(sqlgrad *s, const char *model);

/** Differentiate.  The loss, and for each table T of "wrt" a table grad_T, are the result. */
SQLGRAD_API int sqlgrad_grad(sqlgrad *s, const char *model);

/** Train.  Parameters, optimizer state and history are in the state database; no result tables. */
SQLGRAD_API int sqlgrad_train(sqlgrad *s, const char *model);

/** Compare gradients with central differences, in double precision; SQLGRAD_INPUT if they differ. */
SQLGRAD_API int sqlgrad_check(sqlgrad *s, const char *model);

/** Write a plain-SQL script, as events of kind SQLGRAD_OUT. */
SQLGRAD_API int sqlgrad_emit(sqlgrad *s, const char *model);

/** Write what a stage made of the model, as events of kind SQLGRAD_OUT. */
SQLGRAD_API int sqlgrad_explain(sqlgrad *s, const char *model);

/** Draw the model's tables and steps, to the file "out" or, in Graphviz's language, as an event of kind SQLGRAD_OUT. */
SQLGRAD_API int sqlgrad_graph(sqlgrad *s, const char *model);

/** Import data files into a table.
 *
 *  format   "idx", "cifar10", "image", "text", "csv" or "npy".
 *  file     `n` paths, read in this order.
 */
SQLGRAD_API int sqlgrad_import(sqlgrad *s, const char *format, const char *const *file, int n);

/** Draw the history of training runs, or with "table" a table, to the file "out" or as events of kind SQLGRAD_OUT.
 *
 *  db       `n` databases; none: the option "db".
 */
SQLGRAD_API int sqlgrad_plot(sqlgrad *s, const char *const *db, int n);

/** Ask the running command to stop soon; training saves its state first.
 *
 *  threads  may be called from any thread and from a signal handler.
 */
SQLGRAD_API void sqlgrad_interrupt(sqlgrad *s);

/* ---- results ----
 *
 * Tables are numbered from 0, in the order they were asked for; rows are sorted by key; hidden columns are left out.
 * A table or column number out of range gives NULL, 0 or SQLGRAD_USAGE. */

/** Types of result columns. */
enum { SQLGRAD_INTEGER = 1, SQLGRAD_TEXT = 2, SQLGRAD_REAL = 3 };

SQLGRAD_API int         sqlgrad_tables(const sqlgrad *s);                       /* how many */
SQLGRAD_API const char *sqlgrad_table_name(const sqlgrad *s, int table);       /* valid until the next command */
SQLGRAD_API size_t      sqlgrad_rows(const sqlgrad *s, int table);
SQLGRAD_API int         sqlgrad_cols(const sqlgrad *s, int table);
SQLGRAD_API const char *sqlgrad_col_name(const sqlgrad *s, int table, int col);
SQLGRAD_API int         sqlgrad_col_type(const sqlgrad *s, int table, int col);

/** Copy rows of one column of a result table.
 *
 *  first, n the rows wanted: first ≤ row < first + n, all of them inside the table.
 *  dst      n doubles, integers or text pointers; the column must have that type (an INTEGER column may also be
 *           copied as REAL).
 *  null     n bytes, 1 where the row is NULL and 0 elsewhere; or NULL.
 *  NULL     is copied as NaN, 0 or a NULL pointer.
 *  owner    the caller keeps dst and null; texts are the session's, until its next command.
 *  errors   SQLGRAD_USAGE if a number is out of range or the type differs.
 */
SQLGRAD_API int sqlgrad_rows_real(const sqlgrad *s, int table, int col, size_t first, size_t n, double *dst,
                                  uint8_t *null);
SQLGRAD_API int sqlgrad_rows_int(const sqlgrad *s, int table, int col, size_t first, size_t n, int64_t *dst,
                                 uint8_t *null);
SQLGRAD_API int sqlgrad_rows_text(const sqlgrad *s, int table, int col, size_t first, size_t n, const char **dst,
                                  uint8_t *null);

/* ---- errors ---- */

/** Describe the first error of the last call.
 *
 *  owner    the session's, until its next call.  "" if it succeeded.
 */
SQLGRAD_API const char *sqlgrad_errmsg(const sqlgrad *s);

/** Its id, such as "bind.no_table"; "" if it succeeded.  doc/errors.md lists them. */
SQLGRAD_API const char *sqlgrad_errid(const sqlgrad *s);

/** Where it is in the model file: line and column (in code points) from 1; 0 if it has no position. */
SQLGRAD_API int sqlgrad_errline(const sqlgrad *s);
SQLGRAD_API int sqlgrad_errcol(const sqlgrad *s);

#ifdef __cplusplus
}
#endif
#endif
