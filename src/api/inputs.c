/* SPDX-License-Identifier: Apache-2.0
 *
 * inputs.c - what a command works on: the model file, the databases, and the tables the model asks for.
 *
 * Every table is read once, whole and sorted; compilation sees facts about it (Catalog), engines its rows
 * (Feed).  Parameters, and other tables that are differentiated, are looked for in the state database
 * first, all others in the database with the data only. */
#include "api/session.h"
#include "front/bind.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the model file ---- */

/* Append a file; what is wrong with it, or NULL. */
static const char *read_text(const char *path, Buf *out)
{
    char part[65536];
    struct stat st;
    size_t n;
    FILE *f = fopen(path, "rb");

    if (!f || fstat(fileno(f), &st) != 0 || S_ISDIR(st.st_mode)) {
        const char *wrong = f ? "is not a file" : strerror(errno);
        if (f)
            fclose(f);
        return wrong;
    }
    buf_puts(out, "");
    while ((n = fread(part, 1, sizeof part, f)) > 0 && out->n < INT32_MAX / 2)
        buf_add(out, part, n);
    const bool bad = ferror(f);
    fclose(f);
    return bad ? "cannot be read" : NULL;
}

static Code read_model(Job *j, const char *path)
{
    const char *wrong = read_text(path, &j->text);

    return wrong ? err_set(&j->e, E_INPUT, ERR_api_file, "%s: %s", path, wrong) : OK;
}

/* ---- lists of pairs ---- */

static const char *pair_part(Job *j, const char **s, const char *stops)
{
    Arena *a = &j->arena;
    const char *at = *s;

    if (*at != '"') {
        *s += strcspn(at, stops);
        return arena_strndup(a, at, (size_t)(*s - at));
    }
    char *out = arena_alloc(a, strlen(at));
    size_t n = 0;
    for (at++; *at && !(*at == '"' && at[1] != '"'); at++) {
        out[n++] = *at;
        at += *at == '"';
    }
    *s = at + (*at == '"');
    return out;
}

bool next_pair(Job *j, const char **s, const char **name, const char **text)
{
    if (!**s)
        return false;
    *name = pair_part(j, s, "=,");
    *text = "";
    if (**s == '=') {
        ++*s;
        *text = pair_part(j, s, ",");
    }
    *s += **s == ',';
    return true;
}

/* ---- names ---- */

static bool name_in(const char *const *list, int n, const char *name)
{
    for (int k = 0; k < n; k++)
        if (ascii_ieq(list[k], name))
            return true;
    return false;
}

static void find_names(Job *j, void *unused)
{
    (void)unused;
    Arena *a = &j->arena;
    j->n_tables = front_tables(j->scan, &j->table);
    for (int k = 0; k < j->scan->n_stmts; k++)
        for (int d = 0; j->scan->stmt[k].name && d < j->scan->stmt[k].n_dirs; d++)
            if (j->scan->stmt[k].dir[d].word == DIR_param)
                VEC_PUSH(a, j->trained, j->n_trained, j->scan->stmt[k].name);
    int n;
    const char **wrt = list_option(j, OPT_wrt, &n);
    for (int k = 0; k < n; k++)
        VEC_PUSH(a, j->trained, j->n_trained, wrt[k]);
}

/* For @include: a plain file, which cannot keep the reader waiting. */
static const char *read_included(Compile *c, const char *path, const char **text, size_t *len)
{
    Buf b = { 0 };
    struct stat st;
    const char *wrong = stat(path, &st) != 0 ? strerror(errno) : S_ISREG(st.st_mode) ? NULL : "is not a file";

    if (!wrong)
        wrong = read_text(path, &b);

    *len = b.n;
    *text = wrong ? "" : arena_strndup(&c->arena, b.s, b.n);
    buf_free(&b);
    return wrong;
}

static void scan_model(Job *j, void *path)
{
    const int file = compile_add_file(&j->c, path, j->text.s, j->text.n);

    j->c.read_file = read_included;
    j->scan = front_scan(&j->c, file);
    j->n_model_files = j->c.n_files;
    find_names(j, NULL);
}

/* ---- databases ---- */

static Code open_state(Job *j)
{
    const bool writes = j->cmd->letter == 't';
    Code rc;

    if (writes && !j->state_path)
        return err_set(&j->e, E_USAGE, ERR_api_missing, "train needs --db, or --state for where to keep what it learns");
    if (j->state_path && (!j->db_path || strcmp(j->state_path, j->db_path)))
        return db_open(&j->state, j->state_path, writes ? DB_CREATE : DB_READ, &j->e);
    if (writes) {
        rc = db_open(&j->state, j->state_path, DB_CREATE, &j->e);
        j->db = j->state;
        return rc;
    }
    j->state = j->db;
    return OK;
}

static Code open_databases(Job *j)
{
    const bool one = j->cmd->letter == 't' && (!opt_text(j->o, OPT_state, NULL) ||
                     (opt_text(j->o, OPT_db, NULL) && !strcmp(opt_text(j->o, OPT_state, ""), opt_text(j->o, OPT_db, ""))));
    Code rc = OK;

    j->db_path = opt_text(j->o, OPT_db, NULL);
    j->state_path = opt_text(j->o, OPT_state, j->db_path);
    if (j->db_path && !one && (rc = db_open(&j->db, j->db_path, DB_READ, &j->e)) == OK)
        db_watch(j->db, &j->s->stop, 0);        /* never the state: a checkpoint is written after Ctrl-C */
    return rc == OK ? open_state(j) : rc;
}

void inputs_close(Job *j)
{
    if (j->state && j->state != j->db)
        db_close(j->state);
    if (j->db)
        db_close(j->db);
    j->db = j->state = NULL;
}

Code inputs_open(Job *j, const char *model)
{
    Code rc = passes_check(j);

    if (rc == OK) rc = read_model(j, model);
    if (rc == OK) rc = job_guard(j, scan_model, (void *)model);
    return rc == OK ? open_databases(j) : rc;
}

/* ---- tables ---- */

Code host_get(Job *j, Db *from, const char *name, Host **out)
{
    for (int k = 0; k < j->n_hosts; k++)
        if (j->host[k]->from == from && ascii_ieq(j->host[k]->name, name)) {
            *out = j->host[k];
            return OK;
        }
    Host *h = ARENA_NEW(&j->arena, Host);
    h->from = from;
    h->name = arena_strdup(&j->arena, name);
    h->facts.name = h->facts.db_name = h->name;
    VEC_PUSH(&j->arena, j->host, j->n_hosts, h);
    *out = h;
    if (!from || !db_has(from, name))
        return OK;
    const Code rc = db_read(from, name, NULL, &h->t, &j->e);
    if (rc != OK)
        return rc;
    table_facts(&h->t, &h->facts, &j->arena);
    h->facts.db_name = arena_strdup(&j->arena, h->t.name);
    return OK;
}

static bool declares_param(const Job *j, const char *name)
{
    for (int k = 0; k < j->scan->n_stmts; k++)
        if (j->scan->stmt[k].name && ascii_ieq(j->scan->stmt[k].name, name) && dir_find(&j->scan->stmt[k], DIR_param))
            return true;
    return false;
}

/* Where a model's table comes from: the state first if it is trained, and nowhere if it is empty there.  Data that
 * --fresh starts anew is what it was before training; a run is resumed with what it left, whatever it began with. */
static Code find_host(Job *j, const char *name, const char *db_name, Host **out)
{
    const bool trained = name_in(j->trained, j->n_trained, name);
    const bool anew = opt_flag(j->o, OPT_fresh) && j->state != j->db && !declares_param(j, name);
    Code rc = OK;

    *out = NULL;
    if (trained && j->state && !anew)
        rc = host_get(j, j->state, opt_flag(j->o, OPT_resume) ? name : db_name, out);
    if (rc != OK || (*out && (*out)->facts.exists && (*out)->facts.n_rows > 0))
        return rc;
    return host_get(j, j->db ? j->db : j->state, db_name, out);
}

/* The name of the database's table that a model's name means: --bind, then what `extra` says over it. */
static const char *bound_to(Job *j, const char *extra, const char *name)
{
    const char *list[2] = { extra, opt_text(j->o, OPT_bind, NULL) }, *from, *to;

    for (int k = 0; k < 2; k++)
        for (const char *s = list[k] ? list[k] : ""; next_pair(j, &s, &from, &to);)
            if (ascii_ieq(from, name))
                return to;
    return NULL;
}

static Code add_table(Job *j, Catalog *cat, const char *name, const char *extra)
{
    const char *to = bound_to(j, extra, name);
    Host *h;
    const Code rc = find_host(j, name, to ? to : name, &h);

    if (rc != OK)
        return rc;
    if (to && !h->facts.exists)
        return err_set(&j->e, E_INPUT, ERR_api_bind, "the database has no table %s, to which %s is bound", to, name);
    CatTable t = h->facts;
    t.name = arena_strdup(&j->arena, name);
    if (name_in(j->trained, j->n_trained, name))
        t.exists &= t.n_rows > 0;
    t.in_state = h->from == j->state && j->state != j->db;
    VEC_PUSH(&j->arena, cat->table, cat->n_tables, t);
    return OK;
}

/* Names that --bind and --eval-bind give; each must be a table of the model. */
static Code bound_names(Job *j, const char *extra, const char ***names, int *n)
{
    const char *list[2] = { opt_text(j->o, OPT_bind, NULL), extra }, *from, *to;

    for (int k = 0; k < 2; k++)
        for (const char *s = list[k] ? list[k] : ""; next_pair(j, &s, &from, &to);) {
            bool known = name_in(j->table, j->n_tables, from);
            for (int i = 0; i < j->scan->n_stmts && !known; i++)
                known = j->scan->stmt[i].name && ascii_ieq(j->scan->stmt[i].name, from);
            if (!*from || !*to)
                return err_set(&j->e, E_USAGE, ERR_api_bind, "\"%s\" is not TABLE=DBTABLE", from);
            if (!known)
                return err_set(&j->e, E_USAGE, ERR_api_bind, "the model has no table %s to bind", from);
            if (!name_in(*names, *n, from))
                VEC_PUSH(&j->arena, *names, *n, from);
        }
    return OK;
}

/* Tables that --out wrote into this very database are the model's own, not others of the same name. */
static Code own_results(Job *j, Catalog *cat)
{
    Table t = { 0 };
    Code rc = OK;

    if (!db_has(j->db, "sqlgrad_out"))
        return OK;
    rc = db_query(j->db, "SELECT CAST(name AS TEXT) AS name FROM sqlgrad_out WHERE name IS NOT NULL", &t, &j->e);
    for (size_t k = 0; rc == OK && t.n_cols == 1 && t.col[0].type == T_TEXT && k < t.n_rows; k++)
        VEC_PUSH(&j->arena, cat->written, cat->n_written, arena_strdup(&j->arena, t.col[0].s[k]));
    table_free(&t);
    return rc == E_INPUT ? OK : rc;             /* some other table of that name */
}

static Code fill_catalog(Job *j, Catalog *cat, const BindReq *r, const char ***bound, int *n_bound)
{
    Code rc = bound_names(j, r->extra, bound, n_bound);

    *cat = (Catalog){ .have_db = j->db != NULL || j->state != NULL };
    for (int k = 0; k < j->n_tables && rc == OK; k++)
        rc = add_table(j, cat, j->table[k], r->extra);
    for (int k = 0; k < *n_bound && rc == OK; k++)
        if (!catalog_find(cat, (*bound)[k]))
            rc = add_table(j, cat, (*bound)[k], r->extra);
    for (int k = 0; k < r->n_targets && rc == OK; k++)
        if (!catalog_find(cat, r->target[k]))
            rc = add_table(j, cat, r->target[k], r->extra);
    if (rc == OK && j->db)
        rc = db_tables(j->db, &j->arena, &cat->known, &cat->n_known, &j->e);
    if (rc == OK && j->db)
        rc = own_results(j, cat);
    return rc;
}

/* ---- binding ---- */

static Code read_sets(Job *j, FrontOpts *o)
{
    const char *name, *text, **names = NULL;
    double *vals = NULL;
    int n = 0, m = 0;

    for (const char *s = opt_text(j->o, OPT_set, ""); next_pair(j, &s, &name, &text);) {
        double v;
        if (!*name || !parse_real(text, strlen(text), &v))
            return err_set(&j->e, E_USAGE, ERR_api_value, "--set wants NAME=NUMBER, not \"%s=%s\"", name, text);
        VEC_PUSH(&j->arena, names, n, name);
        VEC_PUSH(&j->arena, vals, m, v);
    }
    o->set_name = names;
    o->set_val = vals;
    o->n_sets = n;
    return OK;
}

typedef struct BindCall { FrontOpts o; Bound *out; } BindCall;

static void call_bind(Job *j, void *arg)
{
    BindCall *b = arg;

    b->out->p = front_bind(&j->c, j->scan, &b->out->cat, &b->o);
}

/* A table that the model's own @minimize differentiates and the state holds: found only once it is bound. */
static bool new_trained(Job *j, const Prog *p)
{
    bool any = false;

    for (int k = 0; k < p->n_obj; k++)
        for (int i = 0; i < p->obj[k].n_over; i++)
            if (!name_in(j->trained, j->n_trained, p->obj[k].over[i]->name)) {
                VEC_PUSH(&j->arena, j->trained, j->n_trained, p->obj[k].over[i]->name);
                any |= j->state && j->state != j->db && db_has(j->state, p->obj[k].over[i]->name);
            }
    return any;
}

Code inputs_bind(Job *j, const BindReq *r, Bound *out)
{
    BindCall call = { .out = out };
    const double began = clock_seconds();
    Code rc = read_sets(j, &call.o);

    call.o.target = r->target;
    call.o.n_targets = r->n_targets;
    call.o.eval = r->eval;
    call.o.plain = r->plain;
    call.o.declared = r->declared;
    if (rc == OK) rc = fill_catalog(j, &out->cat, r, &call.o.bound, &call.o.n_bound);
    const double read = clock_seconds();
    j->load_seconds += read - began;
    if (rc == OK) rc = job_guard(j, call_bind, &call);
    if (rc == OK && new_trained(j, out->p))
        return inputs_bind(j, r, out);
    if (rc == OK) rc = params_make(j, out, r);
    j->compile_seconds += clock_seconds() - read;
    return rc;
}

/* The row that noise is drawn from: that of the first step, which every command but `train` looks at. */
static const Table *first_noise_row(Job *j)
{
    return noise_row(&j->noise, j->seed, 0) ? &j->noise : NULL;
}

/* The rows behind one base block; NULL for the driver's own tables. */
static const Table *block_rows(Job *j, const Bound *b, const Block *base)
{
    const Made *m = base->role == BASE_param || base->role == BASE_range ? made_find(j, base->name) : NULL;

    if (m)
        return m->t;
    if (base->role == BASE_driver && !strcmp(base->name, NOISE_TABLE))
        return first_noise_row(j);
    if (!base->cat || base->role == BASE_driver)
        return NULL;
    for (int k = 0; k < j->n_hosts; k++)
        if (j->host[k]->facts.exists && ascii_ieq(j->host[k]->facts.db_name, base->cat->db_name) &&
            (j->host[k]->from == j->state) == (base->cat->in_state || j->state == j->db))
            return &j->host[k]->t;
    (void)b;
    return NULL;
}

void inputs_feed(Job *j, Bound *b)
{
    b->feed = NULL;
    b->n_feeds = 0;
    for (int k = 0; k < b->p->n_blocks; k++) {
        const Block *base = b->p->block[k];
        const Table *t = base->kind == BLK_base ? block_rows(j, b, base) : NULL;
        if (t)
            VEC_PUSH(&j->arena, b->feed, b->n_feeds, ((Feed){ base, t }));
    }
}
