/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - sessions, the public functions, and the frame round every command: numbers in the C locale, the
 * compile guard, errors and notes passed on, everything freed. */
#include "api/session.h"

#include <locale.h>
#include <math.h>
#include <string.h>

/* ---- sessions ---- */

sqlgrad *sqlgrad_new(void)
{
    return mem_try(sizeof(sqlgrad));
}

void results_free(sqlgrad *s)
{
    for (int k = 0; k < s->n_results; k++)
        table_free(&s->result[k]);
    mem_free(s->result);
    s->result = NULL;
    s->n_results = 0;
}

void sqlgrad_free(sqlgrad *s)
{
    if (!s)
        return;
    results_free(s);
    options_free(&s->opt);
    buf_free(&s->list);
    mem_free(s);
}

static void session_clear(sqlgrad *s)
{
    s->err = (Err){ 0 };
    s->line = s->col = 0;
}

int sqlgrad_set(sqlgrad *s, const char *option, const char *value)
{
    session_clear(s);
    return (int)option_set(&s->opt, option, value, &s->err);
}

int sqlgrad_option_kind(const char *option)
{
    const int k = option_find(option);

    return k < 0 ? 0 : option_info[k].kind == 'f' ? 'f' : 'v';
}

const char *sqlgrad_help(const char *command)
{
    return help_text(command);
}

const char *sqlgrad_version(void)
{
    return SQLGRAD_VERSION;
}

void sqlgrad_on_event(sqlgrad *s, sqlgrad_event_fn *fn, void *arg)
{
    s->fn = fn;
    s->fn_arg = arg;
}

void sqlgrad_interrupt(sqlgrad *s)
{
    s->stop = 1;
}

static void list_errors(Buf *b)
{
#define E(name, text, doc) buf_puts(b, text "  " doc "\n");
    ERRORS(E)
#undef E
}

const char *sqlgrad_list(sqlgrad *s, const char *what)
{
    Buf b = { 0 };

    for (int k = 0; !strcmp(what, "ops") && k < n_ops; k++)
        buf_printf(&b, "%s %c\n", op_info[k].name, op_info[k].grad);
    for (int k = 0; !strcmp(what, "aggs") && k < n_aggs; k++)
        buf_printf(&b, "%s %c\n", agg_info[k].name, agg_info[k].grad);
    for (int k = 0; !strcmp(what, "joins") && k < n_joins; k++)
        buf_printf(&b, "%s\n", join_info[k].name);
    if (!strcmp(what, "errors"))
        list_errors(&b);
    buf_free(&s->list);
    s->list = b;
    return s->list.s;
}

/* ---- results ---- */

int sqlgrad_tables(const sqlgrad *s)
{
    return s->n_results;
}

static const Table *result_at(const sqlgrad *s, int table)
{
    return table >= 0 && table < s->n_results ? &s->result[table] : NULL;
}

static const TableCol *result_col(const sqlgrad *s, int table, int col)
{
    const Table *t = result_at(s, table);

    return t && col >= 0 && col < t->n_cols ? &t->col[col] : NULL;
}

const char *sqlgrad_table_name(const sqlgrad *s, int table)
{
    const Table *t = result_at(s, table);

    return t ? t->name : NULL;
}

size_t sqlgrad_rows(const sqlgrad *s, int table)
{
    const Table *t = result_at(s, table);

    return t ? t->n_rows : 0;
}

int sqlgrad_cols(const sqlgrad *s, int table)
{
    const Table *t = result_at(s, table);

    return t ? t->n_cols : 0;
}

const char *sqlgrad_col_name(const sqlgrad *s, int table, int col)
{
    const TableCol *c = result_col(s, table, col);

    return c ? c->name : NULL;
}

int sqlgrad_col_type(const sqlgrad *s, int table, int col)
{
    const TableCol *c = result_col(s, table, col);

    return !c ? 0 : c->type == T_REAL ? SQLGRAD_REAL : c->type == T_TEXT ? SQLGRAD_TEXT : SQLGRAD_INTEGER;
}

/* The column if the rows wanted are inside its table; fills `null`. */
static const TableCol *result_range(const sqlgrad *s, int table, int col, size_t first, size_t n, uint8_t *null)
{
    const Table *t = result_at(s, table);
    const TableCol *c = result_col(s, table, col);

    if (!c || first > t->n_rows || n > t->n_rows - first)
        return NULL;
    for (size_t i = 0; null && i < n; i++)
        null[i] = c->null && c->null[first + i];
    return c;
}

int sqlgrad_rows_real(const sqlgrad *s, int table, int col, size_t first, size_t n, double *dst, uint8_t *null)
{
    const TableCol *c = result_range(s, table, col, first, n, null);

    if (!c || c->type == T_TEXT)
        return SQLGRAD_USAGE;
    for (size_t i = 0; i < n; i++)
        dst[i] = c->null && c->null[first + i] ? (double)NAN : table_real(result_at(s, table), col, first + i);
    return SQLGRAD_OK;
}

int sqlgrad_rows_int(const sqlgrad *s, int table, int col, size_t first, size_t n, int64_t *dst, uint8_t *null)
{
    const TableCol *c = result_range(s, table, col, first, n, null);

    if (!c || c->type != T_INT)
        return SQLGRAD_USAGE;
    for (size_t i = 0; i < n; i++)
        dst[i] = c->null && c->null[first + i] ? 0 : c->i[first + i];
    return SQLGRAD_OK;
}

int sqlgrad_rows_text(const sqlgrad *s, int table, int col, size_t first, size_t n, const char **dst, uint8_t *null)
{
    const TableCol *c = result_range(s, table, col, first, n, null);

    if (!c || c->type != T_TEXT)
        return SQLGRAD_USAGE;
    for (size_t i = 0; i < n; i++)
        dst[i] = c->null && c->null[first + i] ? NULL : c->s[first + i];
    return SQLGRAD_OK;
}

const char *sqlgrad_errmsg(const sqlgrad *s)
{
    return s->err.code == OK ? "" : s->err.msg;
}

const char *sqlgrad_errid(const sqlgrad *s)
{
    return s->err.code == OK || !s->err.id ? "" : s->err.id;
}

int sqlgrad_errline(const sqlgrad *s)
{
    return s->line;
}

int sqlgrad_errcol(const sqlgrad *s)
{
    return s->col;
}

/* ---- events ---- */

void job_out(Job *j, ReportKind kind, const char *text)
{
    if (j->s->fn)
        j->s->fn(j->s->fn_arg, (int)kind, text);
}

/* A message with its id after the first line, if asked for. */
static void say_message(Job *j, ReportKind kind, Buf *b, const char *id)
{
    char *end = b->s ? strchr(b->s, '\n') : NULL;
    Buf out = { 0 };

    if (b->n && b->s[b->n - 1] == '\n')
        b->s[--b->n] = 0;
    end = b->s ? strchr(b->s, '\n') : NULL;
    buf_add(&out, b->s ? b->s : "", end ? (size_t)(end - b->s) : b->n);
    if (opt_flag(j->o, OPT_show_ids) && id)
        buf_printf(&out, " [%s]", id);
    if (end)
        buf_puts(&out, end);
    job_out(j, kind, out.s);
    buf_free(&out);
    buf_free(b);
}

void job_note(Job *j, const char *id, const char *fmt, ...)
{
    Arena a = { 0 };
    Buf b = { 0 };
    va_list ap;

    if (opt_flag(j->o, OPT_quiet))
        return;
    va_start(ap, fmt);
    buf_printf(&b, "sqlgrad: note: %s", arena_vprintf(&a, fmt, ap));
    va_end(ap);
    say_message(j, REPORT_NOTE, &b, id);
    arena_free(&a);
}

/* The first error of the compile half is what sqlgrad_errmsg tells. */
static void keep_diag(Job *j, const Diag *d)
{
    if (j->e.code != OK)
        return;
    err_set(&j->e, j->c.code == OK ? E_INPUT : j->c.code, d->id, "%s", d->msg);
    if (d->at.len && d->at.file < j->c.n_files)
        diag_locate(&j->c, d->at, &j->s->line, &j->s->col);
}

/* A model is bound more than once, for evaluation and for the rows of parameters: notes come once. */
static bool said_before(const Job *j, const Diag *d)
{
    for (int k = 0; k < j->shown; k++) {
        const Diag *o = &j->c.diag[k];
        if (o->kind == d->kind && o->id == d->id && o->at.off == d->at.off && !strcmp(o->msg, d->msg))
            return true;
    }
    return false;
}

static void say_diags(Job *j)
{
    for (; j->shown < j->c.n_diags; j->shown++) {
        const Diag *d = &j->c.diag[j->shown];
        Buf b = { 0 };
        if (d->kind == DIAG_NOTE && (opt_flag(j->o, OPT_quiet) || said_before(j, d)))
            continue;
        diag_print(&b, &j->c, d);
        say_message(j, d->kind == DIAG_NOTE ? REPORT_NOTE : REPORT_ERROR, &b, d->id);
        if (d->kind == DIAG_ERROR)
            keep_diag(j, d);
    }
}

/* ---- the frame round a command ---- */

Code job_guard(Job *j, void (*fn)(Job *, void *), void *arg)
{
    j->c.guard = &j->c.fail;
    if (setjmp(j->c.fail) == 0)
        fn(j, arg);
    say_diags(j);
    return j->c.code;
}

void job_result(Job *j, Table *t)
{
    sqlgrad *s = j->s;

    s->result = mem_realloc(s->result, (size_t)s->n_results * sizeof *s->result,
                            (size_t)(s->n_results + 1) * sizeof *s->result);
    s->result[s->n_results++] = *t;
    *t = (Table){ 0 };
}

Code job_begin(Job *j, sqlgrad *s, const char *command, const char *model)
{
    *j = (Job){ .s = s, .cmd = command_find(command), .lock = -1 };
    j->o = &j->own;
    options_copy(&j->own, &s->opt);
    session_clear(s);
    results_free(s);
    s->stop = 0;
    j->seed = (uint64_t)opt_int(j->o, OPT_seed, 0);
    if (options_check(j->o, j->cmd, &j->e) != OK)
        return j->e.code;
    if (j->cmd->letter == 'i' || j->cmd->letter == 'p')
        return OK;
    if (!model)
        return err_set(&j->e, E_USAGE, ERR_api_missing, "%s wants a model file: sqlgrad %s %s", command, command,
                       j->cmd->arg);
    return inputs_open(j, model);
}

/* Run-half errors have no position; those of the compile half were passed on already. */
static void say_error(Job *j, Code rc)
{
    Buf b = { 0 };

    if (rc == OK || j->c.code != OK)
        return;
    if (rc == E_STOPPED && j->e.code == OK)
        err_set(&j->e, rc, NULL, "interrupted");
    buf_printf(&b, "sqlgrad: %s: %s", rc == E_STOPPED ? "note" : "error", j->e.msg);
    say_message(j, REPORT_ERROR, &b, j->e.id);
}

int job_end(Job *j, Code rc)
{
    say_error(j, rc);
    inputs_close(j);
    state_unlock(j->lock);
    for (int k = 0; k < j->n_hosts; k++)
        table_free(&j->host[k]->t);
    table_free(&j->noise);
    for (int k = 0; k < j->n_made; k++)
        table_free(&j->made[k]->own);
    if (rc != OK)
        results_free(j->s);
    j->s->err = j->e;
    j->s->err.code = rc;
    compile_free(&j->c);
    arena_free(&j->arena);
    buf_free(&j->text);
    options_free(&j->own);
    return (int)rc;
}

/* Numbers are read and printed with the C library; the caller's locale must not turn points into commas. */
static locale_t enter_locale(locale_t *made)
{
    *made = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    return *made ? uselocale(*made) : (locale_t)0;
}

static void leave_locale(locale_t made, locale_t before)
{
    if (!made)
        return;
    uselocale(before);
    freelocale(made);
}

typedef struct Args { const char *model, *format; const char *const *file; int n; } Args;

static Code dispatch(Job *j, const Args *a)
{
    switch (j->cmd->letter) {
    case 'r': return command_run(j, false);
    case 'v': return command_run(j, true);
    case 'g': return command_grad(j);
    case 't': return command_train(j);
    case 'e': return command_emit(j);
    case 'x': return command_explain(j);
    case 'c': return command_check(j);
    case 'i': return command_import(j, a->format, a->file, a->n);
    case 'p': return command_plot(j, a->file, a->n);
    case 'd': return command_graph(j, a->model);
    }
    BUG("no command %c", j->cmd->letter);
}

static int do_command(sqlgrad *s, const char *command, const Args *a)
{
    locale_t made, before = enter_locale(&made);
    Job j;
    Code rc = job_begin(&j, s, command, a->model);

    if (rc == OK)
        rc = dispatch(&j, a);
    const int code = job_end(&j, rc);
    leave_locale(made, before);
    return code;
}

#define MODEL_COMMAND(name)                                                                        \
    int sqlgrad_##name(sqlgrad *s, const char *model)                                              \
    {                                                                                              \
        return do_command(s, #name, &(Args){ .model = model });                                    \
    }

MODEL_COMMAND(run)
MODEL_COMMAND(eval)
MODEL_COMMAND(grad)
MODEL_COMMAND(train)
MODEL_COMMAND(check)
MODEL_COMMAND(emit)
MODEL_COMMAND(explain)
MODEL_COMMAND(graph)

int sqlgrad_import(sqlgrad *s, const char *format, const char *const *file, int n)
{
    return do_command(s, "import", &(Args){ .format = format, .file = file, .n = n });
}

int sqlgrad_plot(sqlgrad *s, const char *const *db, int n)
{
    return do_command(s, "plot", &(Args){ .file = db, .n = n });
}
