/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoint.c - what a run leaves in the state database.  A checkpoint is one transaction: kill the process at
 * any moment, and the database holds the last complete one.  Numbers are stored as doubles, which hold the
 * engine's floats exactly, so a resumed run goes on with the same bits.
 *
 * The lock against a second trainer is a lock held on the database file, which the system drops with the
 * process; it does not meet SQLite's own locks (flock against fcntl), so readers are not disturbed. */
#include "train/train.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_PREFIX "sqlgrad_state_"

static const char create_tables[] =
    "CREATE TABLE IF NOT EXISTS sqlgrad_run (run INTEGER PRIMARY KEY, model TEXT, model_hash TEXT, status TEXT,"
    " seed INTEGER, options TEXT, epoch INTEGER, step INTEGER, updated TEXT);\n"
    "CREATE TABLE IF NOT EXISTS sqlgrad_history (run INTEGER, epoch INTEGER, step INTEGER, split TEXT, name TEXT,"
    " value REAL, at TEXT);\n";

/* ---- the lock ---- */

Code state_lock(const char *path, int *fd, Err *e)
{
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd < 0)
        return err_set(e, E_ENV, ERR_train_locked, "%s cannot be locked: %s", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return OK;
    const int why = errno;
    close(*fd);
    *fd = -1;
    if (why == EWOULDBLOCK)
        return E_ENV;                           /* the caller looks up which run it is */
    return err_set(e, E_ENV, ERR_train_locked, "%s cannot be locked: %s", path, strerror(why));
}

/* The process that holds the lock, as Linux tells it: "1: FLOCK ADVISORY WRITE pid major:minor:inode …". */
int64_t state_holder(const char *path)
{
    struct stat st;
    char line[200];
    long long pid, inode, found = 0;
    FILE *f = stat(path, &st) == 0 ? fopen("/proc/locks", "r") : NULL;

    while (f && !found && fgets(line, sizeof line, f))
        if (sscanf(line, "%*d: FLOCK %*s WRITE %lld %*x:%*x:%lld", &pid, &inode) == 2 && inode == (long long)st.st_ino)
            found = pid;
    if (f)
        fclose(f);
    return found;
}

void state_unlock(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* ---- reading ---- */

static const char *text_at(const Table *t, const char *name, size_t row, Arena *a)
{
    const int c = table_find(t, name);

    if (c < 0 || t->col[c].type != T_TEXT || table_null(t, c, row))
        return "";
    return arena_strdup(a, t->col[c].s[row]);
}

static int64_t int_at(const Table *t, const char *name, size_t row)
{
    const int c = table_find(t, name);

    return c < 0 || t->col[c].type != T_INT || table_null(t, c, row) ? 0 : t->col[c].i[row];
}

Code run_newest(Db *db, Arena *a, RunRow *out, Err *e)
{
    Table t = { 0 };

    *out = (RunRow){ 0 };
    if (!db_has(db, "sqlgrad_run"))
        return OK;
    const Code rc = db_query(db, "SELECT run, model, model_hash, status, seed, options, epoch, step FROM sqlgrad_run"
                             " ORDER BY run DESC LIMIT 1", &t, e);
    if (rc == OK && t.n_rows)
        *out = (RunRow){ int_at(&t, "run", 0), int_at(&t, "seed", 0), int_at(&t, "epoch", 0), int_at(&t, "step", 0),
                         text_at(&t, "model", 0, a), text_at(&t, "model_hash", 0, a), text_at(&t, "status", 0, a),
                         text_at(&t, "options", 0, a) };
    table_free(&t);
    return rc;
}

/* ---- writing ---- */

/* State tables and best parameters of earlier runs; their parameters are about to be overwritten. */
static Code drop_old_state(Db *db, Err *e)
{
    Arena a = { 0 };
    const char **name;
    int n;
    Code rc = db_tables(db, &a, &name, &n, e);

    for (int k = 0; k < n && rc == OK; k++) {
        Buf sql = { 0 };
        if (strncmp(name[k], STATE_PREFIX, strlen(STATE_PREFIX)) && strncmp(name[k], BEST_PREFIX, strlen(BEST_PREFIX)))
            continue;
        buf_puts(&sql, "DROP TABLE ");
        buf_ident(&sql, name[k]);
        rc = db_exec(db, e, sql.s);
        buf_free(&sql);
    }
    arena_free(&a);
    return rc;
}

static Code begin_run(Checkpoint *k, const StepPlan *s, const Table *state, Err *e)
{
    Code rc = db_exec(k->db, e, create_tables);

    if (rc == OK)
        rc = drop_old_state(k->db, e);
    for (int i = 0; i < s->n_over && rc == OK; i++)
        if (s->over[i].state)
            rc = db_create(k->db, s->over[i].state->name, &state[i], true, e);
    return rc;
}

/* A stored table keeps its definition and constraints; an empty one is filled, an absent one made. */
static Code write_param(Db *db, const char *name, const Table *t, Err *e)
{
    Table count = { 0 };
    Buf sql = { 0 };

    if (!db_has(db, name))
        return db_create(db, name, t, false, e);
    buf_puts(&sql, "SELECT EXISTS (SELECT 1 FROM ");
    buf_ident(&sql, name);
    buf_puts(&sql, ") AS filled");
    Code rc = db_query(db, sql.s, &count, e);
    if (rc == OK)
        rc = int_at(&count, "filled", 0) ? db_update(db, name, t, e) : db_append(db, name, t, e);
    table_free(&count);
    buf_free(&sql);
    return rc;
}

static Code write_history(Checkpoint *k, Err *e)
{
    static const struct { const char *name; Type type; } col[] = {
        { "run", T_INT }, { "epoch", T_INT }, { "step", T_INT }, { "split", T_TEXT }, { "name", T_TEXT },
        { "value", T_REAL }, { "at", T_TEXT },
    };
    Table t;
    bool ok = table_init(&t, "sqlgrad_history", COUNT_OF(col), (size_t)k->n_history);

    for (int c = 0; ok && c < (int)COUNT_OF(col); c++)
        ok = table_add_col(&t, c, col[c].name, col[c].type, false);
    if (!ok) {
        table_free(&t);
        return err_set(e, E_ENV, ERR_mem_exhausted, "out of memory for the history");
    }
    for (int i = 0; i < k->n_history; i++) {
        const HistoryRow *h = &k->history[i];
        t.col[0].i[i] = k->row.run;
        t.col[1].i[i] = h->epoch;
        t.col[2].i[i] = h->step;
        t.col[3].s[i] = h->split;
        t.col[4].s[i] = h->name;
        t.col[5].r[i] = h->value;
        t.col[6].s[i] = h->at;
    }
    const Code rc = k->n_history ? db_append(k->db, "sqlgrad_history", &t, e) : OK;
    table_free(&t);
    return rc;
}

static Code write_run(Checkpoint *k, Err *e)
{
    const RunRow *r = &k->row;
    Buf sql = { 0 };

    buf_printf(&sql, "INSERT OR REPLACE INTO sqlgrad_run (run, model, model_hash, status, seed, options, epoch, step,"
               " updated) VALUES (%lld, ", (long long)r->run);
    buf_text(&sql, r->model);
    buf_puts(&sql, ", ");
    buf_text(&sql, r->model_hash);
    buf_puts(&sql, ", ");
    buf_text(&sql, r->status);
    buf_printf(&sql, ", %lld, ", (long long)r->seed);
    buf_text(&sql, r->options);
    buf_printf(&sql, ", %lld, %lld, strftime('%%Y-%%m-%%d %%H:%%M:%%f'))", (long long)r->epoch, (long long)r->step);
    const Code rc = db_exec(k->db, e, sql.s);
    buf_free(&sql);
    return rc;
}

/* The next step's row, so that an emitted script goes on from here too; no row if its learning rate is not
 * finite, as one that ends at the last step may be. */
static Code write_step(Checkpoint *k, const StepPlan *s, Err *e)
{
    Table row = { 0 };
    Err ignored = { 0 };
    Code rc;

    if (optim_step_row(s, k->row.step, k->row.epoch, &row, &ignored) == OK)
        rc = db_create(k->db, s->step->name, &row, true, e);
    else
        rc = db_drop(k->db, s->step->name, e);
    table_free(&row);
    return rc;
}

static Code write_all(Checkpoint *k, const StepPlan *s, const Table *param, const Table *state, Err *e)
{
    Code rc = k->begun ? OK : begin_run(k, s, state, e);

    for (int i = 0; i < s->n_over && rc == OK; i++) {
        rc = write_param(k->db, s->over[i].table->name, &param[i], e);
        if (rc == OK && k->begun && s->over[i].state)
            rc = db_update(k->db, s->over[i].state->name, &state[i], e);
    }
    for (int i = 0; i < s->n_over && rc == OK && k->best; i++) {
        Buf name = { 0 };
        buf_printf(&name, BEST_PREFIX "%s", s->over[i].table->name);
        rc = db_create(k->db, name.s, &k->best[i], true, e);
        buf_free(&name);
    }
    if (rc == OK) rc = write_step(k, s, e);
    if (rc == OK) rc = write_history(k, e);
    return rc == OK ? write_run(k, e) : rc;
}

Code checkpoint_write(Checkpoint *k, const StepPlan *s, const Table *param, const Table *state, Err *e)
{
    Code rc = db_begin(k->db, e);

    if (rc != OK)
        return rc;
    rc = write_all(k, s, param, state, e);
    if (rc == OK)
        rc = db_commit(k->db, e);
    if (rc != OK) {
        db_rollback(k->db);
        return rc;
    }
    k->begun = true;
    k->n_history = 0;
    k->history = NULL;
    arena_free(&k->arena);
    return OK;
}
