/* SPDX-License-Identifier: Apache-2.0
 *
 * params.c - the rows of parameters: as stored, from --params, or new ones from their declaration or query and
 * the seed; and of @range tables.  Made once a command, so that training and evaluation start from the same. */
#include "api/session.h"

#include <math.h>
#include <string.h>

Made *made_find(const Job *j, const char *name)
{
    for (int k = 0; k < j->n_made; k++)
        if (!strcmp(j->made[k]->name, name))
            return j->made[k];
    return NULL;
}

static const Host *stored_host(const Job *j, const Block *b)
{
    for (int k = 0; b->cat && k < j->n_hosts; k++) {
        const Host *h = j->host[k];
        if (h->facts.exists && ascii_ieq(h->facts.db_name, b->cat->db_name) &&
            (h->from == j->state) == (b->cat->in_state || j->state == j->db))
            return h;
    }
    return NULL;
}

/* ---- rows against a declaration ---- */

static bool same_keys(const Table *x, const Table *y)
{
    for (int c = 0; c < x->n_cols; c++) {
        const int d = table_find(y, x->col[c].name);
        if (x->col[c].type != T_INT)
            continue;
        if (d < 0 || y->col[d].type != T_INT)
            return false;
        for (size_t r = 0; r < x->n_rows; r++)
            if (table_null(y, d, r) || table_int(x, c, r) != table_int(y, d, r))
                return false;
    }
    return true;
}

/* Stored rows are those the CHECKs allow, every one once.  Rows of both are sorted, but the stored table's columns
 * may stand in another order. */
static void check_rows(Job *j, const Block *b, const Table *t)
{
    Table want = { 0 }, have = { 0 };
    const int64_t n = init_count(&j->c, b);

    if ((int64_t)t->n_rows != n)
        diag_fail(&j->c, ERR_train_rows, b->name_at, "%s has %s rows, its CHECKs ask for %s", b->name,
                  with_commas(&j->arena, (int64_t)t->n_rows), with_commas(&j->arena, n));
    init_rows(&j->c, b, &want);
    bool ok = table_init(&have, b->name, want.n_cols, t->n_rows);
    for (int c = 0; ok && c < want.n_cols; c++) {
        const int k = table_find(t, want.col[c].name);
        ok = k >= 0 && table_add_col(&have, c, want.col[c].name, want.col[c].type, false);
        for (size_t r = 0; ok && want.col[c].type == T_INT && r < t->n_rows; r++)
            have.col[c].i[r] = t->col[k].type == T_INT && !table_null(t, k, r) ? table_int(t, k, r) : INT64_MIN;
    }
    if (ok) {
        table_sort(&have);
        ok = same_keys(&want, &have);
    }
    table_free(&want);
    table_free(&have);
    if (!ok)
        diag_fail(&j->c, ERR_train_rows, b->name_at, "the rows of %s are as many as its CHECKs ask for, but not the same",
                  b->name);
}

static void check_values(Job *j, const Block *b, const Table *t)
{
    for (int c = 0; c < t->n_cols; c++)
        for (size_t r = 0; t->col[c].type == T_REAL && r < t->n_rows; r++)
            if (table_null(t, c, r) || !isfinite(table_real(t, c, r)))
                diag_fail(&j->c, ERR_train_rows, b->name_at, "parameter %s holds a NULL or an infinity in %s", b->name,
                          t->col[c].name);
}

/* ---- rows from a query ---- */

typedef struct QueryRows { const char *name; Bound bound; Block *rows; } QueryRows;

static void cut_query(Job *j, void *arg)
{
    QueryRows *q = arg;
    Prog *p = q->bound.p;

    for (int k = 0; k < p->n_blocks; k++)
        if (!strcmp(p->block[k]->name, q->name))
            q->rows = p->block[k]->rows_from;
    passes_before(j, p);
    passes_run(j, p, &q->rows, 1);
}

static void check_unique(Job *j, void *arg)
{
    const Made *m = arg;
    CatTable facts = { 0 };

    table_facts(&m->own, &facts, &j->arena);
    for (int c = 0; c < facts.n_cols; c++)
        facts.unique &= !(facts.col[c].nullable && facts.col[c].type != T_REAL);
    if (!facts.unique)
        diag_fail(&j->c, ERR_train_rows, (Span){ 0 }, "the query of parameter %s gives two rows with the same key, or a NULL "
                  "in a key%s%s", m->name, facts.dup_a && *facts.dup_a ? ": " : "", facts.dup_a ? facts.dup_a : "");
}

/* Without a database, a query may read tables that are not there. */
static bool has_all_rows(const Bound *b)
{
    int bases = 0;

    for (int k = 0; k < b->p->n_blocks; k++)
        bases += b->p->block[k]->kind == BLK_base;
    return bases == b->n_feeds;
}

/* Bind once more for these rows alone, and run the query in double precision; m->t NULL: they are not known. */
static Code query_rows(Job *j, const BindReq *from, Made *m)
{
    QueryRows q = { .name = m->name };
    BindReq r = { &m->name, 1, from->eval, from->plain, from->declared, from->extra };
    const EngineOps *ops;
    Forward f = { 0 };
    EngineOpts eo;

    Code rc = inputs_bind(j, &r, &q.bound);
    if (rc == OK) rc = job_guard(j, cut_query, &q);
    if (rc == OK) rc = engine_pick(j, &ops, &eo);
    if (rc != OK)
        return rc;
    inputs_feed(j, &q.bound);
    if (from->declared && !has_all_rows(&q.bound)) {
        m->t = NULL;
        return OK;
    }
    eo.f64 = true;
    f = (Forward){ .ops = ops, .eo = eo, .whole = q.bound.p, .target = &q.rows, .n_targets = 1, .feed = q.bound.feed,
                   .n_feeds = q.bound.n_feeds };
    rc = forward_open(&f, &j->e);
    if (rc == OK) rc = forward_run(&f, &m->own, &j->e);
    forward_close(&f);
    if (rc == OK)
        m->own.name = arena_strdup(&m->own.arena, m->name);
    return rc == OK ? job_guard(j, check_unique, m) : rc;
}

/* ---- making ---- */

typedef struct Making { Job *j; Bound *b; Block *block; Made *m; const Host *host; } Making;

/* Whether the CHECKs bound every key; a stored table needs no such declaration. */
static bool has_hull(const Shape *s)
{
    for (int k = 0; k < s->n_cols; k++)
        if (s->lo[k] > s->hi[k])
            return false;
    return true;
}

/* Rows, values 0 where they are new. */
static void make_rows(Job *j, void *arg)
{
    Making *k = arg;

    if (k->host)
        check_values(j, k->block, &k->host->t);
    if (k->host && k->block->shape && has_hull(k->block->shape))
        check_rows(j, k->block, &k->host->t);
    if (k->m->stored || k->block->rows_from)
        return;
    if (k->block->shape) {
        init_rows(&j->c, k->block, &k->m->own);
    } else if (k->host) {
        if (!table_copy(&k->m->own, &k->host->t))
            diag_fail_env(&j->c, ERR_mem_exhausted, "out of memory for %s", k->block->name);
    } else {
        diag_fail(&j->c, ERR_train_rows, k->block->name_at, "%s is not in the database, and nothing says what its rows are",
                  k->block->name);
    }
}

typedef struct Fill { Bound *b; Made **m; int n; } Fill;

static void fill_values(Job *j, void *arg)
{
    Fill *f = arg;
    Feed *all = ARENA_ARRAY(&j->arena, Feed, f->b->p->n_blocks + 1);
    int n = 0;

    for (int k = 0; k < f->b->p->n_blocks; k++) {
        const Made *m = f->b->p->block[k]->is_param ? made_find(j, f->b->p->block[k]->name) : NULL;
        if (m && m->t)
            all[n++] = (Feed){ f->b->p->block[k], m->t };
    }
    for (int k = 0; k < n; k++) {
        Made *m = made_find(j, all[k].base->name);
        bool here = false;
        for (int i = 0; i < f->n; i++)
            here |= f->m[i] == m;
        if (here && !m->stored && !m->given && !(all[k].base->rows_from && !all[k].base->init))
            init_values(f->b->p, all[k].base, j->seed, &m->own, all, n);
    }
}

static bool same_values(const Table *x, const Table *y)
{
    for (int c = 0; c < x->n_cols; c++) {
        const int d = table_find(y, x->col[c].name);
        for (size_t r = 0; x->col[c].type == T_REAL && r < y->n_rows; r++)
            if (d < 0 || y->col[d].type == T_TEXT || table_null(y, d, r) || !isfinite(table_real(y, d, r)))
                return false;
    }
    return true;
}

/* --params: the values of another state database, where the keys are the same. */
static Code take_params(Job *j, Made *m)
{
    const char *spec = opt_text(j->o, OPT_params, NULL), *colon = spec ? strrchr(spec, ':') : NULL;
    int64_t run = 0;
    RunRow newest;
    Table t = { 0 };
    Db *db = NULL;

    if (!spec)
        return OK;
    const bool has_run = colon && parse_int(colon + 1, strlen(colon + 1), &run);
    const char *path = has_run ? arena_strndup(&j->arena, spec, (size_t)(colon - spec)) : spec;
    Code rc = db_open(&db, path, DB_READ, &j->e);
    if (rc == OK && has_run) {
        rc = run_newest(db, &j->arena, &newest, &j->e);
        if (rc == OK && newest.run != run)
            rc = err_set(&j->e, E_INPUT, ERR_api_params, "%s holds the parameters of run %lld, not %lld", path,
                         (long long)newest.run, (long long)run);
    }
    if (rc == OK) rc = db_read(db, m->name, NULL, &t, &j->e);
    db_close(db);
    if (rc == OK && (t.n_rows != m->t->n_rows || !same_keys(m->t, &t) || !same_values(m->t, &t)))
        rc = err_set(&j->e, E_INPUT, ERR_api_params, "%s: the rows of %s are not those of the model", path, m->name);
    if (rc == OK) {
        table_free(&m->own);
        m->own = t;
        m->t = &m->own;
        m->given = true;
        return OK;
    }
    table_free(&t);
    return rc;
}

static Code make_one(Job *j, Bound *b, Block *block, const BindReq *r, Made **out)
{
    Made *m = ARENA_NEW(&j->arena, Made);
    Making k = { j, b, block, m, NULL };

    *out = m;
    m->name = arena_strdup(&j->arena, block->name);
    m->t = &m->own;
    m->trained = block->role == BASE_param;
    VEC_PUSH(&j->arena, j->made, j->n_made, m);
    if (block->role == BASE_param)
        k.host = stored_host(j, block);
    m->stored = k.host && !j->fresh;
    if (m->stored)
        m->t = &k.host->t;
    Code rc = job_guard(j, make_rows, &k);
    if (rc == OK && !m->stored && block->rows_from)
        rc = query_rows(j, r, m);
    return rc;
}

static void say_made(Job *j, Made *const *m, int n, const Bound *b)
{
    Buf kept = { 0 }, drawn = { 0 };

    for (int k = 0; k < n; k++) {
        const Block *block = prog_find(b->p, m[k]->name, MODE_always);
        Buf *list = m[k]->given ? NULL : m[k]->stored ? &kept : &drawn;
        if (list && block && block->is_param)
            buf_printf(list, "%s%s", list->n ? ", " : "", m[k]->name);
    }
    for (int k = 0; k < b->p->n_blocks && !j->said_data; k++) {
        const Block *data = b->p->block[k];
        if (data->kind == BLK_base && !data->is_param && data->life == LIFE_step && data->cat && data->cat->in_state)
            buf_printf(&kept, "%s%s", kept.n ? ", " : "", data->name);
    }
    if (kept.n && j->note_kept)
        job_note(j, ERR_train_kept, "found in the database and kept: %s (--fresh starts anew)", kept.s);
    if (drawn.n && strchr("rv", j->cmd->letter))
        job_note(j, ERR_train_drawn, "not in the database, so untrained: %s", drawn.s);
    j->said_data = true;
    buf_free(&kept);
    buf_free(&drawn);
}

Code params_make(Job *j, Bound *b, const BindReq *r)
{
    Made **now = ARENA_ARRAY(&j->arena, Made *, b->p->n_blocks + 1);
    Fill f = { b, now, 0 };
    Code rc = OK;

    for (int k = 0; k < b->p->n_blocks && rc == OK; k++) {
        Block *block = b->p->block[k];
        const bool wanted = block->kind == BLK_base && (block->role == BASE_param || block->role == BASE_range);
        if (!wanted || made_find(j, block->name))
            continue;
        rc = make_one(j, b, block, r, &now[f.n++]);
    }
    for (int k = 0; k < f.n && rc == OK; k++)
        if (now[k]->trained && now[k]->t)
            rc = take_params(j, now[k]);
    if (rc == OK && f.n) rc = job_guard(j, fill_values, &f);
    if (rc == OK && (f.n || !j->said_data))
        say_made(j, now, f.n, b);
    return rc;
}
