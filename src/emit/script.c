/* SPDX-License-Identifier: Apache-2.0
 *
 * script.c - whole scripts: forward, gradients, one training step, as plain SQL that an engine's shell runs
 * alone.  A step script is a function of tables only; it is one transaction, and changes the database only if
 * every block was computed and every new value is finite: a failed check rolls all back, temporary tables
 * included, so that what follows cannot run either. */
#include "emit/emit.h"

#include <string.h>

#define CHECKED_AT_ONCE 100

typedef struct Script {
    Buf *out; const Prog *p; const EmitOpts *o; const Dialect *d;
    Arena a;
    Readers *readers;
    bool *need, *done;          /* by block id */
    Block **show; int n_show;
} Script;

static void put_comment(Script *s, const char *before, const char *name, const char *after)
{
    buf_puts(s->out, before);
    print_comment(s->out, name);
    buf_puts(s->out, after);
}

/* ---- what is computed ---- */

static void show_block(Script *s, Block *b)
{
    for (int k = 0; k < s->n_show; k++)
        if (s->show[k] == b)
            return;
    VEC_PUSH(&s->a, s->show, s->n_show, b);
}

static void show_marked(Script *s)
{
    for (int k = 0; k < s->p->n_blocks; k++)
        if (s->p->block[k]->is_loss || s->p->block[k]->is_metric)
            show_block(s, s->p->block[k]);
    for (int k = 0; k < s->p->n_obj; k++)
        show_block(s, s->p->obj[k].loss);
    for (int k = s->p->n_blocks - 1; k >= 0 && !s->n_show; k--)
        if (s->p->block[k]->user && s->p->block[k]->kind != BLK_base)
            show_block(s, s->p->block[k]);
}

static void choose_shown(Script *s)
{
    const Prog *p = s->p;

    for (int k = 0; k < s->o->n_show; k++)
        show_block(s, s->o->show[k]);
    if (!s->n_show && s->o->what == EMIT_forward)
        show_marked(s);
    if (s->o->what != EMIT_forward) {
        for (int k = 0; k < p->n_obj && !s->n_show; k++)
            show_block(s, p->obj[k].loss);
        for (int k = 0; k < p->n_blocks && !s->n_show; k++)
            if (p->block[k]->is_loss)
                show_block(s, p->block[k]);
    }
    for (int k = 0; k < p->n_grads && s->o->what == EMIT_grad; k++)
        show_block(s, p->grad[k].grad);
}

static void choose_needed(Script *s)
{
    const Prog *p = s->p;

    s->need = ARENA_ARRAY(&s->a, bool, p->n_blocks + 1);
    s->done = ARENA_ARRAY(&s->a, bool, p->n_blocks + 1);
    emit_needed(p, s->show, s->n_show, s->need);
    for (int k = 0; k < p->n_assigns && s->o->what == EMIT_step; k++) {
        emit_needed(p, &p->assign[k].from, 1, s->need);
        s->need[p->assign[k].target->id] = true;
    }
}

/* ---- parts ---- */

static void put_header(Script *s)
{
    static const char *const what[] = { "the forward pass", "the loss and its gradients", "one training step" };

    buf_printf(s->out, "-- sqlgrad: %s", what[s->o->what]);
    put_comment(s, " of ", s->p->path ? s->p->path : "a model", "\n");
    buf_printf(s->out, "-- For %s.  ", s->d->name);
    buf_puts(s->out, s->o->what == EMIT_step ? "Changes parameters, optimizer state and sqlgrad_step.\n"
                                             : "Makes temporary tables only.\n");
    if (s->o->batch)
        buf_puts(s->out, "-- Reads the keys of the batch from sqlgrad_batch.\n");
    for (int k = 0; k < s->p->n_assigns && s->o->what == EMIT_step; k++) {
        buf_puts(s->out, "DROP TABLE IF EXISTS temp.");     /* a rollback must not bring an earlier run's back */
        buf_ident(s->out, s->p->assign[k].from->name);
        buf_puts(s->out, ";\n");
    }
    buf_puts(s->out, "BEGIN;\n");
}

static void put_names(Script *s, const Block *b, const int *col, int n)
{
    for (int k = 0; k < n; k++) {
        buf_puts(s->out, k ? ", " : "");
        buf_ident(s->out, b->col[col[k]].name);
    }
}

/* CREATE TABLE IF NOT EXISTS and the head of an INSERT, for a table the step keeps its state in. */
static void put_kept_table(Script *s, const Block *t)
{
    put_comment(s, "\n-- ", t->name, ", if it is missing\nCREATE TABLE IF NOT EXISTS main.");
    buf_ident(s->out, t->name);
    buf_puts(s->out, " (");
    emit_typed_cols(s->out, t, s->d);
    if (t->n_id) {
        buf_puts(s->out, ", PRIMARY KEY (");
        put_names(s, t, t->id_col, t->n_id);
        buf_putc(s->out, ')');
    }
    buf_puts(s->out, ");\nINSERT INTO main.");
    buf_ident(s->out, t->name);
}

static void put_if_empty(Script *s, const Block *t)
{
    buf_puts(s->out, ")\nWHERE NOT EXISTS (SELECT 1 FROM main.");
    buf_ident(s->out, t->name);
    buf_puts(s->out, ");\n");
}

/* The visible columns of a parameter's query. */
static void put_stored_rows(Script *s, const Block *b)
{
    buf_puts(s->out, "SELECT ");
    for (int c = 0; c < b->n_cols; c++) {
        buf_puts(s->out, c ? ", " : "");
        buf_ident(s->out, b->col[c].name);
    }
    buf_puts(s->out, " FROM temp.");
    buf_ident(s->out, b->rows_from->name);
}

/* A table of the driver that does not exist yet, or is empty, begins with the rows of `from`. */
static void put_start(Script *s, const Assign *a)
{
    put_kept_table(s, a->target);
    buf_puts(s->out, " (");
    put_names(s, a->target, a->to_col, a->n_cols);
    buf_puts(s->out, ")\nSELECT ");
    put_names(s, a->from, a->from_col, a->n_cols);
    buf_puts(s->out, " FROM (\n");
    print_select(s->out, a->from, s->d, "  ");
    put_if_empty(s, a->target);
}

static void put_base(Script *s, const Block *b)
{
    if (b->filled)
        put_comment(s, "\n-- ", b->name, ": noise, which you fill before each step with ");
    else
        put_comment(s, "\n-- ", b->name, b->is_param ? ": a parameter\n" : b->is_data ? ": data\n" : ": a table\n");
    if (b->filled)
        buf_printf(s->out, "%s\n", b->filled);
    emit_base(s->out, s->p, s->readers, b, s->o->batch, s->d);
}

static void put_block(Script *s, const Block *b)
{
    put_comment(s, "\n-- ", b->name, "");
    if (b->grad_of && prog_has(s->p, b->grad_of))
        put_comment(s, ": gradient of ", b->grad_of->name, "");
    buf_putc(s->out, '\n');
    emit_block(s->out, s->readers, b, s->d);
}

/* What is needed and not there yet: base tables first, so that the script says at its head what it reads. */
static void put_blocks(Script *s, const bool *need)
{
    for (int base = 1; base >= 0; base--)
        for (int k = 0; k < s->p->n_blocks; k++) {
            const Block *b = s->p->block[k];
            if (!need[k] || s->done[k] || (b->kind == BLK_base) != base)
                continue;
            s->done[k] = true;
            if (base)
                put_base(s, b);
            else
                put_block(s, b);
        }
}

/* Parameters that start without random numbers need no driver: from their query, or from one number. */
static bool starts_alone(const Block *b, double *val)
{
    const char *init = b->init ? b->init->name : NULL;

    if (b->role != BASE_param || (b->cat && b->cat->exists))
        return false;
    *val = init && !strcmp(init, "const") && b->init->n_args ? b->init->arg[0] : 0;
    return init ? b->shape && (!strcmp(init, "zeros") || !strcmp(init, "const")) : b->rows_from != NULL;
}

static void put_param_start(Script *s, const Block *b, double val)
{
    if (b->rows_from) {
        bool *need = ARENA_ARRAY(&s->a, bool, s->p->n_blocks + 1);
        emit_needed(s->p, &b->rows_from, 1, need);
        put_blocks(s, need);
        s->need[b->rows_from->id] = true;           /* counted among what must have been computed */
    }
    put_kept_table(s, b);
    buf_puts(s->out, "\nSELECT * FROM (\n");
    if (b->rows_from)
        put_stored_rows(s, b);
    else
        emit_shape(s->out, b, val, s->d);
    put_if_empty(s, b);
}

static void put_param_starts(Script *s)
{
    double val;

    for (int k = 0; k < s->p->n_blocks; k++)
        if (s->need[k] && starts_alone(s->p->block[k], &val))
            put_param_start(s, s->p->block[k], val);
}

static void put_result(Script *s, const Block *b)
{
    int n = 0;

    put_comment(s, "\n-- result: ", b->name, "\nSELECT ");
    for (int c = 0; c < b->n_cols; c++)
        if (!b->col[c].hidden) {
            buf_puts(s->out, n++ ? ", " : "");
            buf_ident(s->out, b->col[c].name);
        }
    buf_puts(s->out, b->kind == BLK_base ? " FROM " : " FROM temp.");
    buf_ident(s->out, b->name);
    n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int c = 0; c < b->n_cols; c++)
            if (!b->col[c].hidden && (b->col[c].type == T_REAL) == pass) {
                buf_puts(s->out, n++ ? ", " : " ORDER BY ");
                buf_ident(s->out, b->col[c].name);
            }
    buf_puts(s->out, ";\n");
}

/* ---- the end of a step ---- */

static void put_check(Script *s, const char *promise)
{
    buf_puts(s->out, "CREATE TEMP TABLE \"_sg_check\" (\"ok\" INTEGER CONSTRAINT ");
    buf_ident(s->out, promise);
    buf_puts(s->out, " CHECK (\"ok\"));\nINSERT OR ROLLBACK INTO temp.\"_sg_check\"\nSELECT ");
}

static void put_check_end(Script *s, const char *close)
{
    buf_puts(s->out, close);
    buf_puts(s->out, ";\nDROP TABLE temp.\"_sg_check\";\n");
}

/* What goes into a table of parameters or state is no NULL, even where b might hold one. */
static bool is_new_value(const Prog *p, const Block *b)
{
    for (int k = 0; k < p->n_assigns; k++)
        if (p->assign[k].from == b)
            return true;
    return false;
}

static bool has_values(const Block *b)
{
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].type == T_REAL)
            return true;
    return false;
}

/* Whether a value of b, which has some, is infinite, or NULL where none can be. */
static void put_bad_values(Script *s, const Block *b, const char *before)
{
    int n = 0;

    for (int c = 0; c < b->n_cols; c++) {
        if (b->col[c].type != T_REAL)
            continue;
        if (!n++) {
            buf_puts(s->out, before);
            buf_puts(s->out, "EXISTS (SELECT 1 FROM temp.");
            buf_ident(s->out, b->name);
        }
        buf_puts(s->out, n == 1 ? " WHERE ABS(" : " OR ABS(");
        buf_ident(s->out, b->col[c].name);
        buf_puts(s->out, ") > 1.7976931348623157e308");
        if (!b->col[c].nullable || is_new_value(s->p, b)) {
            buf_puts(s->out, " OR ");
            buf_ident(s->out, b->col[c].name);
            buf_puts(s->out, " IS NULL");
        }
    }
    buf_puts(s->out, ")");
}

/* As the driver does after each step, for some blocks at a time: an expression has no more than 1000 levels. */
static void put_finite_checks(Script *s)
{
    int n = 0;

    for (int k = 0; k < s->p->n_blocks; k++) {
        const Block *b = s->p->block[k];
        if (!s->need[k] || b->kind == BLK_base || !has_values(b))
            continue;
        if (n == 0)
            put_check(s, "every value is finite");
        put_bad_values(s, b, n++ ? "\n  OR " : "NOT (");
        if (n == CHECKED_AT_ONCE) {
            put_check_end(s, ")");
            n = 0;
        }
    }
    if (n)
        put_check_end(s, ")");
}

static void put_computed_check(Script *s)
{
    int n = 0;

    put_check(s, "every block was computed");
    buf_puts(s->out, "COUNT(*) = ");
    for (int k = 0; k < s->p->n_blocks; k++)
        n += s->need[k] && s->p->block[k]->kind != BLK_base;
    buf_printf(s->out, "%d FROM sqlite_temp_master WHERE type = 'table' AND name IN (", n);
    n = 0;
    for (int k = 0; k < s->p->n_blocks; k++)
        if (s->need[k] && s->p->block[k]->kind != BLK_base) {
            buf_puts(s->out, n == 0 ? "\n  " : n % 5 ? ", " : ",\n  ");
            buf_text(s->out, s->p->block[k]->name);
            n++;
        }
    put_check_end(s, ")");
}

static void put_step_end(Script *s)
{
    buf_puts(s->out, "\n-- nothing is changed unless all went well\nDROP TABLE IF EXISTS temp.\"_sg_check\";\n");
    put_computed_check(s);
    put_finite_checks(s);
    buf_puts(s->out, "\n-- new values\n");
    for (int k = 0; k < s->p->n_assigns; k++)
        emit_assign(s->out, &s->p->assign[k], "main", s->d);
}

void emit_script(Buf *out, const Prog *p, const EmitOpts *o, const Dialect *d)
{
    Script s = { .out = out, .p = p, .o = o, .d = d };

    s.readers = emit_readers(&s.a, p);
    choose_shown(&s);
    choose_needed(&s);
    put_header(&s);
    if (o->what == EMIT_step)
        put_param_starts(&s);
    for (int k = 0; k < p->n_starts && o->what == EMIT_step; k++)
        put_start(&s, &p->start[k]);
    put_blocks(&s, s.need);
    for (int k = 0; k < s.n_show; k++)
        put_result(&s, s.show[k]);
    if (o->what == EMIT_step)
        put_step_end(&s);
    buf_puts(out, "COMMIT;\n");
    arena_free(&s.a);
}
