/* SPDX-License-Identifier: Apache-2.0
 *
 * sql.c - the engine that runs generated statements inside a database: the user's file read-only, every
 * table of the program a temporary one in memory.  It is the reference the native engine is compared with,
 * and runs what emitted scripts run, statement by statement.
 *
 * What must be computed again follows from clocks alone: a table is stale if one it was made from has
 * changed since.  Binding, drawing a batch and assigning change base tables; so static tables are computed
 * once, batch tables once a batch, step tables once a step.
 *
 * Tables and their indexes are made once, before anything is computed, and then only emptied and filled: each
 * statement that runs in every step is prepared once, for a database whose schema no longer changes.  Making
 * them anew would cost more than the rows of a loop's many small tables do. */
#include "exec/engine.h"
#include "db/db.h"
#include "emit/emit.h"

#include <math.h>
#include <string.h>

/* What the engine knows of one block's table. */
typedef struct SqlTable {
    bool made;                  /* the table and its indexes are there */
    bool filled;                /* derived: it has rows, or may have */
    bool there;                 /* it holds what its clock says */
    bool can_overflow;          /* derived: an INTEGER of it may become a REAL */
    Stmt *clear, *fill, *check; /* derived: statements kept; `check` finds such a REAL */
    bool apart;                 /* base: all rows stand in _sg_rows_of_NAME, NAME holds those of the batch */
    bool finite;                /* looked at, and nothing found */
    uint64_t clock;             /* when it changed */
    int batch;                  /* base: number of the batch it holds; 0: all rows */
} SqlTable;

typedef struct SqlEngine {
    Engine head;
    const Prog *p;
    EngineOpts o;
    const Dialect *d;
    Db *db;
    Arena a;
    Readers *readers;
    SqlTable *table;            /* by block id */
    Stmt **assign;              /* by assignment */
    uint64_t clock;
    bool broken;                /* the database undid more than the last statement */
    bool drew;                  /* sqlgrad_batch is there */
    int batch, n_batches;       /* current batch, 0: no restriction; how many were drawn */
} SqlEngine;

static SqlEngine *sql_self(Engine *g)
{
    return (SqlEngine *)g;
}

/* Run statements; a failure is reported with the table it happened at. */
static Code sql_run(SqlEngine *g, const Block *b, const Buf *sql, Err *e)
{
    Err mine = { 0 };

    if (!sql->n || db_exec(g->db, &mine, sql->s) == OK)
        return OK;
    return err_set(e, mine.code, mine.id, "%s: %s", b->name, mine.msg);
}

static Code sql_run_free(SqlEngine *g, const Block *b, Buf *sql, Err *e)
{
    const Code rc = sql_run(g, b, sql, e);

    buf_free(sql);
    return rc;
}

/* Run a statement that is kept in *st, prepared from `sql` the first time. */
static Code run_kept(SqlEngine *g, const Block *b, Stmt **st, Buf *sql, bool *row, Err *e)
{
    Err mine = { 0 };
    Code rc = *st ? OK : db_prepare(g->db, sql->s, st, &mine);

    buf_free(sql);
    if (rc == OK)
        rc = db_rerun(g->db, *st, row, &mine);
    return rc == OK ? OK : err_set(e, mine.code, mine.id, "%s: %s", b->name, mine.msg);
}

static bool sql_is_batched(const Block *b)
{
    return b->role == BASE_db && (b->n_batch > 0 || b->batch_rows);
}

static void put_all_name(Buf *out, const Block *b)
{
    Buf name = { 0 };

    buf_puts(&name, "_sg_rows_of_");
    buf_puts(&name, b->name);
    buf_ident(out, name.s);
    buf_free(&name);
}

/* ---- open and close ---- */

static void sql_close(Engine *eng)
{
    SqlEngine *g = sql_self(eng);

    if (!g)
        return;
    for (int k = 0; k < g->p->n_blocks; k++) {
        db_finish(g->table[k].clear);
        db_finish(g->table[k].fill);
        db_finish(g->table[k].check);
    }
    for (int k = 0; k < g->p->n_assigns; k++)
        db_finish(g->assign[k]);
    db_close(g->db);
    arena_free(&g->a);
    mem_free(g);
}

static Code sql_open(Engine **out, const Prog *p, const EngineOpts *o, Err *e)
{
    SqlEngine *g = mem_alloc(sizeof *g);
    *g = (SqlEngine){ .head = { &engine_sql }, .p = p, .o = *o, .d = dialect_find("sqlite") };
    g->readers = emit_readers(&g->a, p);
    g->table = ARENA_ARRAY(&g->a, SqlTable, p->n_blocks + 1);
    g->assign = ARENA_ARRAY(&g->a, Stmt *, p->n_assigns + 1);
    db_memory_limit(o->mem_limit ? o->mem_limit : mem_default_limit());     /* temporary tables live in memory */
    const Code rc = db_open_temp(&g->db, o->db_path, e);
    if (rc != OK)
        sql_close(&g->head);
    else
        db_watch(g->db, o->stop, o->mem_limit);
    *out = rc == OK ? &g->head : NULL;
    return rc;
}

/* ---- base tables ---- */

/* The columns of t that b names, in b's order and spelling, over t's memory; the row number is not among them. */
static int sql_columns(const Block *b, const Table *t, Table *view, TableCol *col)
{
    int n = 0;

    *view = *t;
    view->col = col;
    for (int c = 0; c < b->n_cols; c++) {
        if (b->bag && c == b->n_cols - 1)
            continue;
        const int k = table_find(t, b->col[c].name);
        if (k < 0)
            BUG("bind: %s has no column %s", b->name, b->col[c].name);
        col[n] = t->col[k];
        col[n++].name = b->col[c].name;
    }
    return view->n_cols = n;
}

static Code append_rows(SqlEngine *g, const Block *b, const Table *t, Err *e)
{
    Arena a = { 0 };
    Table view;
    Code rc = OK;

    if (sql_columns(b, t, &view, ARENA_ARRAY(&a, TableCol, b->n_cols + 1)))
        rc = db_append(g->db, b->name, &view, e);
    arena_free(&a);
    return rc;
}

/* A bag's row number is the row's rank: t is sorted, and rows are added in its order. */
static void put_ranks(Buf *out, const Block *b)
{
    buf_puts(out, "UPDATE temp.");
    buf_ident(out, b->name);
    buf_puts(out, " SET ");
    buf_ident(out, b->col[b->n_cols - 1].name);
    buf_puts(out, " = rowid - 1;\n");
}

static void put_drop_all(Buf *out, const Block *b)
{
    buf_puts(out, "DROP TABLE IF EXISTS temp.");
    put_all_name(out, b);
    buf_puts(out, ";\n");
}

static void put_clear(Buf *out, const Block *b)
{
    buf_puts(out, "DELETE FROM temp.");
    buf_ident(out, b->name);
    buf_puts(out, ";\n");
}

/* Before the rows of a base table: an empty table.  One that is bound again is emptied. */
static void put_empty(SqlEngine *g, Buf *out, const Block *b)
{
    if (g->table[b->id].made && !g->table[b->id].apart) {
        put_clear(out, b);
    } else {
        put_drop_all(out, b);
        emit_create(out, b, g->d);
    }
}

static Code sql_bind(Engine *eng, const Block *b, const Table *t, Err *e)
{
    SqlEngine *g = sql_self(eng);
    SqlTable *k = &g->table[b->id];
    const bool again = k->made && !k->apart;
    Buf sql = { 0 };
    Code rc = db_exec(g->db, e, "BEGIN");

    if (rc != OK)
        return rc;
    put_empty(g, &sql, b);
    rc = sql_run_free(g, b, &sql, e);
    if (rc == OK) rc = append_rows(g, b, t, e);
    if (rc == OK && b->bag) put_ranks(&sql, b);
    if (rc == OK && !again) emit_indexes(&sql, g->readers, b);
    if (rc == OK) rc = sql_run_free(g, b, &sql, e);
    if (db_exec(g->db, e, rc == OK ? "COMMIT" : "ROLLBACK") != OK && rc == OK)
        rc = e->code;
    *k = (SqlTable){ .made = rc == OK || again, .there = rc == OK, .clock = ++g->clock };
    return rc;
}

/* Batch key k of b among the columns of sqlgrad_batch. */
static void put_key_equal(Buf *out, const Block *b, int k)
{
    buf_puts(out, k ? " AND _sg_t." : " ON _sg_t.");
    if (b->batch_rows)
        buf_puts(out, "rowid");
    else
        buf_ident(out, b->batch_key[k]);
    buf_printf(out, " = _sg_k.\"k%d\"%s", k, b->batch_rows ? " + 1" : "");
}

/* All rows move aside, with an index by which a batch finds its rows. */
static void put_apart(Buf *out, const Block *b)
{
    buf_puts(out, "ALTER TABLE temp.");
    buf_ident(out, b->name);
    buf_puts(out, " RENAME TO ");
    put_all_name(out, b);
    buf_puts(out, ";\n");
    if (b->batch_rows)
        return;
    Buf name = { 0 };
    buf_puts(&name, "_sg_b_");
    buf_puts(&name, b->name);
    buf_puts(out, "CREATE INDEX temp.");
    buf_ident(out, name.s);
    buf_free(&name);
    buf_puts(out, " ON ");
    put_all_name(out, b);
    for (int k = 0; k < b->n_batch; k++) {
        buf_puts(out, k ? ", " : " (");
        buf_ident(out, b->batch_key[k]);
    }
    buf_puts(out, ");\n");
}

static void put_columns_of(Buf *out, const Block *b)
{
    for (int c = 0; c < b->n_cols; c++) {
        buf_puts(out, c ? ", _sg_t." : "_sg_t.");
        buf_ident(out, b->col[c].name);
    }
}

/* Fill NAME, which is empty, from _sg_rows_of_NAME: the batch's rows, or all of them. */
static void put_rows_of_batch(SqlEngine *g, Buf *out, const Block *b)
{
    buf_puts(out, "INSERT INTO temp.");
    buf_ident(out, b->name);
    buf_puts(out, " SELECT ");
    put_columns_of(out, b);
    buf_puts(out, g->batch ? " FROM temp.sqlgrad_batch AS _sg_k CROSS JOIN temp." : " FROM temp.");
    put_all_name(out, b);
    buf_puts(out, " AS _sg_t");
    for (int k = 0; g->batch && k < (b->batch_rows ? 1 : b->n_batch); k++)
        put_key_equal(out, b, k);
    buf_puts(out, ";\n");
}

/* Drop the indexes that emit_indexes made: a table that moves aside would keep them, and their names are wanted again. */
static void put_drop_indexes(Buf *out, const Block *b)
{
    for (int k = 0; k < EMIT_MAX_INDEXES; k++) {
        buf_puts(out, "DROP INDEX IF EXISTS temp.");
        emit_index_name(out, b, k);
        buf_puts(out, ";\n");
    }
}

static Code restrict_rows(SqlEngine *g, const Block *b, Err *e)
{
    SqlTable *k = &g->table[b->id];
    Buf sql = { 0 };

    if (!k->apart && !g->batch)
        return OK;
    if (k->apart) {
        put_clear(&sql, b);
    } else {
        put_drop_indexes(&sql, b);
        put_apart(&sql, b);
        emit_create(&sql, b, g->d);
        emit_indexes(&sql, g->readers, b);
    }
    put_rows_of_batch(g, &sql, b);
    const Code rc = sql_run_free(g, b, &sql, e);
    if (rc == OK) {
        k->apart = true;
        k->batch = g->batch;
        k->clock = ++g->clock;
    }
    return rc;
}

/* A base table that was not bound is the database's own. */
static Code read_in_place(SqlEngine *g, const Block *b, Err *e)
{
    SqlTable *k = &g->table[b->id];
    Buf sql = { 0 };

    if ((b->role != BASE_db || !g->o.db_path) && b->role != BASE_range)
        BUG("no rows were bound for %s", b->name);
    emit_base(&sql, g->p, g->readers, b, false, g->d);
    const Code rc = sql_run_free(g, b, &sql, e);
    k->there = rc == OK;
    k->clock = ++g->clock;
    return rc;
}

static Code base_ready(SqlEngine *g, const Block *b, Err *e)
{
    SqlTable *k = &g->table[b->id];

    if (!k->there && read_in_place(g, b, e) != OK)
        return e->code;
    if (sql_is_batched(b) && k->batch != g->batch)
        return restrict_rows(g, b, e);
    return OK;
}

/* ---- batches ---- */

static Code store_batch(SqlEngine *g, const Table *t, Err *e)
{
    if (!g->drew)
        return db_create(g->db, "sqlgrad_batch", t, true, e);
    if (db_exec(g->db, e, "DELETE FROM temp.sqlgrad_batch") != OK)
        return e->code;
    return db_append(g->db, "sqlgrad_batch", t, e);
}

static Code sql_batch(Engine *eng, const Table *keys, Err *e)
{
    SqlEngine *g = sql_self(eng);
    Arena a = { 0 };
    Code rc = OK;

    g->batch = 0;
    if (!keys || !keys->n_cols)
        return OK;
    Table t = *keys;
    t.col = ARENA_ARRAY(&a, TableCol, keys->n_cols);
    for (int c = 0; c < keys->n_cols; c++) {
        t.col[c] = keys->col[c];
        t.col[c].name = arena_printf(&a, "k%d", c);
    }
    rc = store_batch(g, &t, e);
    g->drew |= rc == OK;
    arena_free(&a);
    if (rc == OK)
        g->batch = ++g->n_batches;
    return rc;
}

/* ---- evaluation ---- */

static bool is_stale(const SqlEngine *g, const Block *b)
{
    const SqlTable *k = &g->table[b->id];

    for (int s = 0; k->there && s < b->n_src; s++)
        if (g->table[b->src[s].rel->id].clock > k->clock)
            return true;
    return !k->there;
}

/* An INTEGER + - * that leaves 64 bits becomes a REAL in SQLite. */
static bool may_overflow(void *arg, const Expr *e)
{
    (void)arg;
    return e->type == T_INT && (e->op == OP_add || e->op == OP_sub || e->op == OP_mul || e->op == OP_neg);
}

/* A query for one row whose INTEGER became a REAL; false: no column of b can. */
static bool put_overflown(Buf *out, const Block *b)
{
    int n = 0;

    for (int c = 0; c < b->n_cols; c++) {
        const Col *k = &b->col[c];
        if (k->type != T_INT || !k->e || !ex_any(k->e, may_overflow, NULL))
            continue;
        buf_puts(out, n++ ? " OR TYPEOF(" : "SELECT 1 FROM temp.");
        if (n == 1) {
            buf_ident(out, b->name);
            buf_puts(out, " WHERE TYPEOF(");
        }
        buf_ident(out, k->name);
        buf_puts(out, ") = 'real'");
    }
    buf_puts(out, n ? " LIMIT 1" : "");
    return n > 0;
}

static Code check_overflow(SqlEngine *g, const Block *b, Err *e)
{
    SqlTable *k = &g->table[b->id];
    bool found = false;
    Buf sql = { 0 };

    if (!k->can_overflow)
        return OK;
    if (!k->check)
        put_overflown(&sql, b);
    const Code rc = run_kept(g, b, &k->check, &sql, &found, e);
    if (!found)
        return rc;
    return err_set(e, E_INPUT, ERR_sql_overflow, "%s: an INTEGER computation left the range of 64 bits", b->name);
}

static Code empty_table(SqlEngine *g, const Block *b, Err *e)
{
    SqlTable *k = &g->table[b->id];
    Buf sql = { 0 };

    k->there = false;
    if (!k->filled)
        return OK;
    if (!k->clear)
        put_clear(&sql, b);
    return run_kept(g, b, &k->clear, &sql, NULL, e);
}

static Code fill_table(SqlEngine *g, const Block *b, Err *e)
{
    SqlTable *k = &g->table[b->id];
    Buf sql = { 0 };

    if (!k->fill)
        emit_insert(&sql, b, g->d);
    k->filled = true;
    return run_kept(g, b, &k->fill, &sql, NULL, e);
}

static Code compute(SqlEngine *g, const Block *b, Err *e)
{
    SqlTable *k = &g->table[b->id];

    if (g->o.stop && *g->o.stop)
        return err_set(e, E_STOPPED, ERR_db_stopped, "stopped before %s", b->name);
    Code rc = empty_table(g, b, e);
    if (rc == OK)
        rc = fill_table(g, b, e);
    if (rc == OK)
        rc = check_overflow(g, b, e);
    k->there = rc == OK;
    k->finite = false;
    k->clock = ++g->clock;
    return rc;
}

static Code make_table(SqlEngine *g, const Block *b, Err *e)
{
    SqlTable *k = &g->table[b->id];
    Buf sql = { 0 };

    k->can_overflow = put_overflown(&sql, b);
    buf_free(&sql);
    emit_create(&sql, b, g->d);
    emit_indexes(&sql, g->readers, b);
    const Code rc = sql_run_free(g, b, &sql, e);
    k->made = rc == OK;
    return rc;
}

/* All that is needed stands before the first statement is prepared: each change of the schema would have all of
 * them prepared again. */
static Code sql_evaluate(SqlEngine *g, Block *const *target, int n, Err *e)
{
    bool *need = mem_alloc((size_t)g->p->n_blocks + 1);
    Code rc = OK;

    emit_needed(g->p, target, n, need);
    for (int k = 0; k < g->p->n_blocks && rc == OK; k++) {
        const Block *b = g->p->block[k];
        if (need[k] && b->kind == BLK_base)
            rc = base_ready(g, b, e);
        else if (need[k] && !g->table[k].made)
            rc = make_table(g, b, e);
    }
    for (int k = 0; k < g->p->n_blocks && rc == OK; k++)
        if (need[k] && g->p->block[k]->kind != BLK_base && is_stale(g, g->p->block[k]))
            rc = compute(g, g->p->block[k], e);
    mem_free(need);
    return rc;
}

/* Only temporary tables were made, each of them whole: they stay even if a later one failed. */
static Code sql_eval(Engine *eng, Block *const *target, int n, bool new_step, Err *e)
{
    SqlEngine *g = sql_self(eng);
    Err ignored = { 0 };

    (void)new_step;                                 /* the clocks know */
    if (g->broken)
        return err_set(e, E_ENV, ERR_db_env, "the engine's tables are gone after an earlier failure");
    if (db_exec(g->db, e, "BEGIN") != OK)
        return e->code;
    const Code rc = sql_evaluate(g, target, n, e);
    if (rc == OK)
        return db_exec(g->db, e, "COMMIT");
    g->broken = db_exec(g->db, &ignored, "COMMIT") != OK;
    return rc;
}

/* A table of parameters or state holds no NULL; only some assignments could put one there. */
static Code no_new_nulls(SqlEngine *g, const Assign *a, Err *e)
{
    Table found = { 0 };
    Buf sql = { 0 };
    Code rc = OK;

    for (int k = 0; k < a->n_cols && rc == OK; k++) {
        if (!a->from->col[a->from_col[k]].nullable || a->target->col[a->to_col[k]].nullable)
            continue;
        buf_puts(&sql, "SELECT 1 FROM temp.");
        buf_ident(&sql, a->target->name);
        buf_puts(&sql, " WHERE ");
        buf_ident(&sql, a->target->col[a->to_col[k]].name);
        buf_puts(&sql, " IS NULL LIMIT 1");
        rc = db_query(g->db, sql.s, &found, e);
        if (rc == OK && found.n_rows)
            rc = err_set(e, E_INPUT, ERR_native_table, "%s: column %s became NULL", a->target->name,
                         a->target->col[a->to_col[k]].name);
        table_free(&found);
        buf_free(&sql);
    }
    return rc;
}

static Code sql_assign(Engine *eng, Err *e)
{
    SqlEngine *g = sql_self(eng);
    Buf sql = { 0 };
    Err ignored = { 0 };
    Code rc = db_exec(g->db, e, "BEGIN");

    if (rc != OK || !g->p->n_assigns)
        return rc != OK ? rc : db_exec(g->db, e, "COMMIT");
    for (int k = 0; k < g->p->n_assigns && rc == OK; k++) {
        if (!g->assign[k])
            emit_assign(&sql, &g->p->assign[k], "temp", g->d);
        rc = run_kept(g, g->p->assign[k].target, &g->assign[k], &sql, NULL, e);
    }
    for (int k = 0; k < g->p->n_assigns && rc == OK; k++)
        rc = no_new_nulls(g, &g->p->assign[k], e);
    if (rc == OK)
        rc = db_exec(g->db, e, "COMMIT");
    else
        db_exec(g->db, &ignored, "ROLLBACK");
    for (int k = 0; k < g->p->n_assigns; k++)
        g->table[g->p->assign[k].target->id].clock = ++g->clock;
    return rc;
}

/* ---- results ---- */

static bool cell_is_null(const Table *t, int c, size_t row)
{
    return t->col[c].null && t->col[c].null[row];
}

static bool column_has_null(const Table *t, int c)
{
    for (size_t r = 0; t->col[c].null && r < t->n_rows; r++)
        if (t->col[c].null[r])
            return true;
    return false;
}

/* NULL in a REAL column that cannot be NULL is how the database keeps a NaN. */
static void copy_reals(TableCol *to, const Table *t, int c, bool nullable)
{
    for (size_t r = 0; r < t->n_rows; r++) {
        if (!cell_is_null(t, c, r))
            to->r[r] = t->col[c].type == T_TEXT ? NAN : table_real(t, c, r);
        else if (nullable)
            to->null[r] = 1;
        else
            to->r[r] = NAN;
    }
}

static Code copy_others(Table *out, int k, const Table *t, int c, const Block *b, Err *e)
{
    TableCol *to = &out->col[k];
    const bool text = to->type == T_TEXT;

    for (size_t r = 0; r < t->n_rows; r++) {
        if (cell_is_null(t, c, r))
            to->null[r] = 1;
        else if (t->col[c].type != to->type)
            return err_set(e, E_INPUT, ERR_sql_overflow, "%s.%s is %s in the program, and the database computed a %s: "
                           "an integer became too large", b->name, to->name, type_name[to->type],
                           type_name[t->col[c].type]);
        else if (text)
            to->s[r] = arena_strdup(&out->arena, t->col[c].s[r]);
        else
            to->i[r] = t->col[c].i[r];
    }
    return OK;
}

static Code typed_column(Table *out, int k, const Table *t, int c, const Block *b, const Col *col, Err *e)
{
    const bool real = col->type == T_REAL, nulls = column_has_null(t, c);

    if (!table_add_col(out, k, col->name, col->type, (real && col->nullable) || (!real && nulls)))
        return err_set(e, E_ENV, ERR_mem_exhausted, "out of memory for the rows of %s", b->name);
    if (real)
        copy_reals(&out->col[k], t, c, col->nullable);
    else
        return copy_others(out, k, t, c, b, e);
    return OK;
}

static int shown_columns(const Block *b, bool hidden, int *col)
{
    int n = 0;

    for (int c = 0; c < b->n_cols; c++)
        if (hidden || !b->col[c].hidden)
            col[n++] = c;
    return n;
}

static void put_fetch(Buf *out, const Block *b, const int *col, int n)
{
    buf_puts(out, "SELECT ");
    for (int k = 0; k < n; k++) {
        buf_puts(out, k ? ", " : "");
        buf_ident(out, b->col[col[k]].name);
    }
    buf_puts(out, n ? " FROM " : "1 FROM ");
    buf_puts(out, b->kind == BLK_base ? "" : "temp.");
    buf_ident(out, b->name);
}

static Code sql_fetch(Engine *eng, const Block *b, bool hidden, Table *out, Err *e)
{
    SqlEngine *g = sql_self(eng);
    int *col = mem_alloc(((size_t)b->n_cols + 1) * sizeof *col);
    const int n = shown_columns(b, hidden, col);
    Buf sql = { 0 };
    Table raw = { 0 };

    *out = (Table){ 0 };
    put_fetch(&sql, b, col, n);
    Code rc = b->kind == BLK_base ? base_ready(g, b, e) : OK;
    if (rc == OK) rc = db_query(g->db, sql.s, &raw, e);
    if (rc == OK && !table_init(out, b->name, n, raw.n_rows))
        rc = err_set(e, E_ENV, ERR_mem_exhausted, "out of memory for the rows of %s", b->name);
    for (int k = 0; k < n && rc == OK; k++)
        rc = typed_column(out, k, &raw, k, b, &b->col[col[k]], e);
    if (rc == OK)
        table_sort(out);
    else
        table_free(out);
    table_free(&raw);
    buf_free(&sql);
    mem_free(col);
    return rc;
}

/* ---- NaN and infinity ---- */

static bool put_bad_cells(Buf *out, const Block *b)
{
    int n = 0;

    buf_puts(out, "SELECT 1 AS bad FROM temp.");
    buf_ident(out, b->name);
    for (int c = 0; c < b->n_cols; c++) {
        const Col *k = &b->col[c];
        if (k->type != T_REAL)
            continue;
        buf_puts(out, n++ ? " OR " : " WHERE ");
        if (!k->nullable) {
            buf_ident(out, k->name);
            buf_puts(out, " IS NULL OR ");
        }
        buf_puts(out, "ABS(");
        buf_ident(out, k->name);
        buf_puts(out, ") > 1.7976931348623157e308");
    }
    buf_puts(out, " LIMIT 1");
    return n > 0;
}

static bool has_bad_cell(SqlEngine *g, const Block *b)
{
    Buf sql = { 0 };
    Table t = { 0 };
    Err ignored = { 0 };

    const bool bad = put_bad_cells(&sql, b) && db_query(g->db, sql.s, &t, &ignored) == OK && t.n_rows > 0;
    table_free(&t);
    buf_free(&sql);
    return bad;
}

static const Block *sql_nonfinite(Engine *eng)
{
    SqlEngine *g = sql_self(eng);

    for (int k = 0; k < g->p->n_blocks; k++) {
        const Block *b = g->p->block[k];
        SqlTable *t = &g->table[k];
        if (b->kind == BLK_base || !t->there || t->finite)
            continue;
        if (has_bad_cell(g, b))
            return b;
        t->finite = true;
    }
    return NULL;
}

static Code sql_explain(Engine *e, bool text, Buf *out, Err *err)
{
    (void)e;
    (void)text;
    (void)out;
    return err_set(err, E_USAGE, ERR_sql_explain, "the SQL engine has no loops; --stage sql prints its statements");
}

const EngineOps engine_sql = {
    .name = "sql", .open = sql_open, .close = sql_close, .bind = sql_bind, .batch = sql_batch, .run = sql_eval,
    .assign = sql_assign, .fetch = sql_fetch, .nonfinite = sql_nonfinite, .explain = sql_explain,
};
