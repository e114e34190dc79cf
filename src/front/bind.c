/* SPDX-License-Identifier: Apache-2.0
 *
 * bind.c - the statements of a file, in order, to the blocks of a program. Tables are found by
 * name: what the file defines in the mode being bound, else what the database has. Base blocks are
 * made before the query that reads them, because sources are earlier blocks. Every statement is
 * bound under a guard of its own, so that one error hides nothing in the others; what reads a
 * failed table stays silent. */
#include "front/defs.h"

#include <math.h>
#include <string.h>

#define MAX_GUESSES 1000        /* names compared for a suggestion */

/* ---- positions and spellings ---- */

static const SrcFile *bound_file(const Binder *b)
{
    return &b->c->file[b->stmt ? b->stmt->at.file : b->scan->file];
}

static size_t offset_of(const Binder *b, int location)
{
    const int64_t off = (int64_t)b->stmt->at.off + location;

    return off < 0 ? 0 : (size_t)off < bound_file(b)->len ? (size_t)off : bound_file(b)->len;
}

Span bind_span(const Binder *b, int location, int len)
{
    const SrcFile *f = bound_file(b);

    if (location < 0) {
        const int64_t off = b->stmt->at.off < 0 ? 0 : b->stmt->at.off;
        const int64_t end = (int64_t)b->stmt->at.off + b->stmt->at.len;
        return (Span){ (int)off, end > off ? (int)(end - off) : 0, b->stmt->at.file };
    }
    const size_t off = offset_of(b, location);
    if (len > 0)
        return (Span){ (int)off, (size_t)len < f->len - off ? len : (int)(f->len - off),
                       b->stmt->at.file };
    const Tok t = lex(f->text, f->len, off);
    return (Span){ (int)t.off, t.kind == TOK_open ? 1 : (int)t.len, b->stmt->at.file };
}

const char *bind_spelling(const Binder *b, int location, const char *folded)
{
    const SrcFile *f = bound_file(b);
    Tok t = lex_solid(f->text, f->len, offset_of(b, location < 0 ? 0 : location));

    while (t.kind == TOK_word || t.kind == TOK_quoted) {        /* a.b.c: the part that is meant */
        const char *name = lex_name(&b->c->arena, f->text, t);
        if (t.kind == TOK_quoted ? !strcmp(name, folded) : ascii_ieq(name, folded))
            return name;
        t = lex_solid(f->text, f->len, t.off + t.len);
        if (t.kind == TOK_punct && f->text[t.off] == '.')
            t = lex_solid(f->text, f->len, t.off + t.len);
    }
    return folded;
}

const char *bind_bad_name(const Binder *b, const char *name)
{
    if (b->scan->canonical || strlen(name) < strlen(GEN_PREFIX))
        return NULL;
    char head[sizeof GEN_PREFIX] = { 0 };
    memcpy(head, name, strlen(GEN_PREFIX));
    return ascii_ieq(head, GEN_PREFIX) ? "names that begin with " GEN_PREFIX " are reserved" : NULL;
}

/* ---- numbers with names ---- */

bool bind_number(const Binder *b, const char *name, double *val, bool *real)
{
    bool found = false;

    *real = false;
    for (int i = b->n_steps - 1; i >= 0; i--)
        if (ascii_ieq(b->step_name[i], name)) {
            *val = (double)b->step[i];
            return true;
        }
    for (int i = 0; i < b->scan->n_sets; i++)
        if (ascii_ieq(b->scan->set_name[i], name)) {
            *val = b->scan->set_val[i];
            *real = b->scan->set_real[i];
            found = true;
        }
    for (int i = 0; b->o && i < b->o->n_sets; i++)
        if (ascii_ieq(b->o->set_name[i], name)) {
            *val = b->o->set_val[i];
            found = true;
        }
    *real |= found && (*val != floor(*val) || fabs(*val) > 9007199254740992.0);
    return found && isfinite(*val);
}

Expr *bind_param_ref(Binder *b, int location)
{
    const Span at = bind_span(b, location, 0);
    const char *text = bound_file(b)->text + at.off;
    double val;
    bool real;

    if (at.len < 2 || *text != ':')
        diag_fail(b->c, ERR_bind_var, at, "named numbers are written :name");
    const char *name = arena_strndup(&b->c->arena, text + 1, (size_t)at.len - 1);
    if (!bind_number(b, name, &val, &real)) {
        const char *near = nearest_name(name, b->scan->set_name, b->scan->n_sets);
        if (near)
            diag_fail(b->c, ERR_bind_var, at, ":%s has no number; did you mean :%s?", name, near);
        diag_fail(b->c, ERR_bind_var, at, ":%s has no number; say -- @set %s = … or --set %s=…",
                  name, name, name);
    }
    Expr *e = real ? ex_real(&b->c->arena, val) : ex_int(&b->c->arena, (int64_t)val);
    e->at = at;
    return e;
}

/* A --set that neither an @set nor a :name of the file knows is a slip of the pen. */
static void check_sets(Binder *b)
{
    const Scan *s = b->scan;

    for (int i = 0; b->o && i < b->o->n_sets; i++) {
        const char *name = b->o->set_name[i];
        bool known = false;
        for (int j = 0; j < s->n_sets; j++)
            known |= ascii_ieq(s->set_name[j], name);
        for (int j = 0; j < s->n_vars; j++)
            known |= ascii_ieq(s->var[j], name);
        const char *near = nearest_name(name, s->set_name, s->n_sets);
        if (!known)
            diag_error(b->c, ERR_bind_var, (Span){ 0 }, "--set %s: the model has no :%s%s%s%s", name,
                       name, near ? "; did you mean :" : "", near ? near : "", near ? "?" : "");
        else if (!isfinite(b->o->set_val[i]))
            diag_error(b->c, ERR_bind_var, (Span){ 0 }, "--set %s: not a finite number", name);
    }
}

/* ---- definitions by name ---- */

void bind_give_up(Binder *b)
{
    diag_leave(b->c);
}

static char *lower_key(Compile *c, const char *name)
{
    char *key = arena_strdup(&c->arena, name);

    for (char *p = key; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    return key;
}

Def *def_find(const Binder *b, const char *name)
{
    const char *key = lower_key(b->c, name);
    const int *at = map_get(&b->defs->by_name, key, strlen(key));
    return at && *at ? &b->defs->def[*at - 1] : NULL;
}

Def *def_add(Binder *b, Def d)
{
    Defs *k = b->defs;
    const char *key = lower_key(b->c, d.name);

    VEC_PUSH(&b->c->arena, k->def, k->n, d);
    int *at = map_put(&k->by_name, key, strlen(key), k->n);
    if (k->def[*at - 1].dropped)
        *at = k->n;
    return &k->def[k->n - 1];
}

bool def_is_bound(const Binder *b, const char *name)
{
    for (int i = 0; b->o && i < b->o->n_bound; i++)
        if (ascii_ieq(b->o->bound[i], name))
            return true;
    return false;
}

const char *bind_line(Binder *b, Span at)
{
    int line, col;

    diag_locate(b->c, at, &line, &col);
    if (b->c->n_files > at.file && at.file != b->scan->file)
        return arena_printf(&b->c->arena, "line %d of %s", line, b->c->file[at.file].path);
    return arena_printf(&b->c->arena, "line %d", line);
}

Mode stmt_mode(const Stmt *st)
{
    return dir_find(st, DIR_train) ? MODE_train : dir_find(st, DIR_eval) ? MODE_eval : MODE_always;
}

/* Two definitions of a name are allowed if one is @train and the other @eval. */
static bool redefines(Binder *b, Stmt *st)
{
    for (int i = 0; i < b->defs->n; i++) {
        const Stmt *old = b->defs->def[i].st;
        if (!old || !ascii_ieq(old->name, st->name))
            continue;
        if (stmt_mode(old) != MODE_always && stmt_mode(st) != MODE_always &&
            stmt_mode(old) != stmt_mode(st))
            continue;
        diag_error(b->c, ERR_bind_twice, st->name_at, "%s is defined already, on %s%s", st->name,
                   bind_line(b, old->name_at),
                   strcmp(old->name, st->name) ? "; names that differ in case only are one name"
                                               : "");
        return true;
    }
    return false;
}

/* The definition that statement i, in a loop, makes anew at every step: that of a table created before. */
static int made_anew(Binder *b, int i)
{
    const Stmt *st = &b->scan->stmt[i];
    const Def *d = def_find(b, st->name);

    return d && d->st && stmt_in_loop(b->scan, i) && st->kind == STMT_query && d->st->kind == STMT_query &&
           stmt_mode(st) == MODE_always && stmt_mode(d->st) == MODE_always && !dir_find(d->st, DIR_param)
           ? (int)(d - b->defs->def) : -1;
}

/* Enter every definition before any is bound, so that a name read too early is known. */
static void collect_defs(Binder *b)
{
    Scan *s = b->scan;
    const Mode other = b->o && b->o->eval ? MODE_train : MODE_eval;

    b->defs = ARENA_NEW(&b->c->arena, Defs);
    map_init(&b->defs->by_name, &b->c->arena);
    b->defs->of_stmt = ARENA_ARRAY(&b->c->arena, int, s->n_stmts + 1);
    for (int i = 0; i < s->n_stmts; i++) {
        Stmt *st = &s->stmt[i];
        b->defs->of_stmt[i] = -1;
        if (!st->name || st->kind == STMT_insert || b->c->n_errors > 2 * MAX_ERRORS)
            continue;
        b->defs->of_stmt[i] = made_anew(b, i);
        if (b->defs->of_stmt[i] >= 0)
            continue;
        if (def_find(b, st->name) && redefines(b, st)) {
            st->failed = true;
            continue;
        }
        if (bind_bad_name(b, st->name)) {
            diag_error(b->c, ERR_bind_name, st->name_at, "%s; choose another one",
                       bind_bad_name(b, st->name));
            st->failed = true;
        }
        def_add(b, (Def){ .st = st, .name = st->name, .dropped = stmt_mode(st) == other,
                          .state = st->failed ? DEF_failed : DEF_waiting });
        b->defs->of_stmt[i] = b->defs->n - 1;
    }
}

/* Which definitions INSERTs fill; a name that none has is an error when the INSERT is bound. */
static void collect_inserts(Binder *b)
{
    for (int i = 0; i < b->scan->n_stmts; i++) {
        Stmt *st = &b->scan->stmt[i];
        Def *d = st->name && st->kind == STMT_insert ? def_find(b, st->name) : NULL;
        if (d && !d->insert)
            d->insert = st;
    }
}

/* ---- tables by name ---- */

/* All names that could have been meant. */
static const char *nearest_table(Binder *b, const char *name)
{
    Arena *a = &b->c->arena;
    const char **names = NULL;
    int n = 0;

    for (int i = 0; i < b->defs->n && n < MAX_GUESSES; i++)
        VEC_PUSH(a, names, n, b->defs->def[i].name);
    for (int i = 0; b->cat && i < b->cat->n_known && n < 2 * MAX_GUESSES; i++)
        VEC_PUSH(a, names, n, b->cat->known[i]);
    return nearest_name(name, names, n);
}

NORETURN static void fail_no_such(Binder *b, const char *name, Span at)
{
    const char *near = nearest_table(b, name);
    const bool have_db = b->cat && b->cat->have_db;

    if (near && strcmp(near, name))
        diag_fail(b->c, ERR_bind_no_table, at, "no table \"%s\"; did you mean %s?", name, near);
    if (have_db)
        diag_fail(b->c, ERR_bind_no_table, at, "no table \"%s\" in this file or in the database", name);
    diag_fail(b->c, ERR_bind_no_table, at,
              "no table \"%s\" in this file; declare it, CREATE TABLE %s (…), or name a database "
              "with --db",
              name, name);
}

/* The block of a definition that is read now. */
static Block *def_block(Binder *b, Def *d, const char *name, Span at)
{
    if (d->state == DEF_failed)
        bind_give_up(b);
    if (d->missing)
        diag_fail(b->c, ERR_bind_no_table, at, b->cat->have_db ? "%s is declared on %s, but the database has no such table"
                  : "%s is declared on %s, and there is no database to find it in; name one with --db", name,
                  bind_line(b, d->st->name_at));
    if (d->state == DEF_done && def_current(b, d))
        return d->block;
    if (d->st == b->stmt)
        diag_fail(b->c, ERR_bind_order, at,
                  "%s reads itself; a definition reads earlier tables only", name);
    if (d->st->at.file == b->stmt->at.file && d->st->at.off < b->stmt->at.off)
        diag_fail(b->c, ERR_bind_order, at, "%s is made in a loop that takes no step, on %s", name, bind_line(b, d->st->name_at));
    diag_fail(b->c, ERR_bind_order, at,
              "%s is defined later, on %s; a definition reads earlier tables only", name,
              bind_line(b, d->st->name_at));
}

static bool quoted_at(const Binder *b, Span at)
{
    return at.len > 0 && b->c->file[at.file].text[at.off] == '"';
}

/* A table of the database that the file does not mention otherwise. */
static Block *base_from_catalog(Binder *b, const char *name, Span at)
{
    const CatTable *t = b->cat ? catalog_find(b->cat, name) : NULL;

    if (!t || !t->exists)
        fail_no_such(b, name, at);
    const char *db_name = t->db_name ? t->db_name : t->name;
    const bool own = !def_is_bound(b, name) && ascii_ieq(db_name, name);
    if (own && quoted_at(b, at) && strcmp(db_name, name))
        fail_no_such(b, name, at);
    Block *blk = declare_from_catalog(b, t, own ? db_name : name, at);
    def_add(b, (Def){ .name = blk->name, .state = DEF_done, .block = blk, .needed = true });
    return blk;
}

Block *bind_table(Binder *b, const char *schema, const char *name, Span at)
{
    if (schema && *schema && !ascii_ieq(schema, "main"))
        diag_fail(b->c, ERR_bind_name, at, "%s.%s: schemas are not supported yet; write %s", schema,
                  name, name);
    Def *d = def_find(b, name);
    if (!d)
        return base_from_catalog(b, name, at);
    if (d->dropped)
        diag_fail(b->c, ERR_bind_no_table, at, "%s is defined for %s only, on %s", name,
                  stmt_mode(d->st) == MODE_train ? "training (@train)" : "evaluation (@eval)",
                  bind_line(b, d->st->name_at));
    if (quoted_at(b, at) && !(schema && *schema) && strcmp(d->name, name))
        diag_fail(b->c, ERR_bind_no_table, at,
                  "no table \"%s\"; a quoted name matches exactly, and here is %s", name, d->name);
    return def_block(b, d, name, at);
}

/* ---- what the targets need ---- */

static void need(Binder *b, Def *d);

static void need_name(Binder *b, const char *name)
{
    Def *d = def_find(b, name);

    if (d)
        need(b, d);
}

/* Recursion only as deep as the file has definitions (at most 10,000), a few words each. */
static void need(Binder *b, Def *d)
{
    if (d->needed || d->dropped)
        return;
    d->needed = true;
    if (!d->st || def_is_bound(b, d->name))
        return;
    for (int i = 0; i < b->scan->n_stmts; i++) {
        const Stmt *st = &b->scan->stmt[i];
        const bool fills = d->insert && st->kind == STMT_insert && st->name && ascii_ieq(st->name, d->name);
        const bool makes = b->defs->of_stmt[i] >= 0 && &b->defs->def[b->defs->of_stmt[i]] == d;
        for (int r = 0; (fills || makes) && r < st->n_reads; r++)
            need_name(b, st->read[r].name);
    }
    const Directive *update = dir_find(d->st, DIR_update);
    const char *target = update ? dir_update_name(b->c, update) : NULL;
    if (target)
        need_name(b, target);
}

/* Whether the loss of a @minimize is needed: then what it trains is, too. */
static bool need_objective(Binder *b, const Directive *d)
{
    const SrcFile *f = &b->c->file[d->rest_at.file];
    const size_t end = (size_t)(d->rest_at.off + d->rest_at.len);
    Tok t = lex_solid(f->text, end, (size_t)d->rest_at.off);
    const bool name = t.kind == TOK_word || t.kind == TOK_quoted;
    const Def *loss =
        name && dir_is_objective(d->word) ? def_find(b, lex_name(&b->c->arena, f->text, t)) : NULL;

    if (!loss || !loss->needed)
        return false;
    for (; t.kind != TOK_end && t.kind != TOK_open && !lex_is(f->text, t, "using");
         t = lex_solid(f->text, end, t.off + t.len))
        if (t.kind == TOK_word || t.kind == TOK_quoted)
            need_name(b, lex_name(&b->c->arena, f->text, t));
    return true;
}

static void find_needed(Binder *b)
{
    const bool all = !b->o || !b->o->target;

    for (int i = 0; i < b->defs->n && all; i++)
        b->defs->def[i].needed = true;
    for (int i = 0; !all && i < b->o->n_targets; i++)
        need_name(b, b->o->target[i]);
    for (int i = 0; !all && i < b->scan->n_free; i++)
        need_objective(b, &b->scan->free_dir[i]);
}

NORETURN static void fail_target(Binder *b, const char *name)
{
    const Def *d = def_find(b, name);
    const char *near = nearest_table(b, name);

    if (d && d->dropped)
        diag_fail(b->c, ERR_bind_target, d->st->name_at, "%s is asked for, but defined for %s only",
                  name, stmt_mode(d->st) == MODE_train ? "training (@train)" : "evaluation (@eval)");
    if (d && d->missing)
        diag_fail(b->c, ERR_bind_target, d->st->name_at, b->cat->have_db
                  ? "%s is asked for and declared here, but the database has no such table"
                  : "%s is asked for and declared here, and there is no database to find it in; name one with --db", name);
    if (near && !ascii_ieq(near, name))
        diag_fail(b->c, ERR_bind_target, (Span){ 0 }, "no table \"%s\"; did you mean %s?", name, near);
    diag_fail(b->c, ERR_bind_target, (Span){ 0 }, "no table \"%s\" in the model or in the database",
              name);
}

/* Targets that the file does not define may be tables of the database. */
static void bind_target(Binder *b, Def *d)
{
    const CatTable *t = b->cat ? catalog_find(b->cat, d->name) : NULL;
    const Def *have = def_find(b, d->name);

    if (have && !have->dropped && (have->block || have->state == DEF_failed))
        return;
    if (have || !t || !t->exists)
        fail_target(b, d->name);
    base_from_catalog(b, d->name, (Span){ 0 });
}

/* ---- statements ---- */

static void mark_block(const Stmt *st, Block *blk)
{
    blk->user = true;
    blk->at = st->at;
    blk->name_at = st->name_at;
    blk->mode = stmt_mode(st);
}

/* `CREATE TABLE x (a, b) AS …`: new names for the first columns. */
static void give_names(Binder *b, Block *blk, PgQuery__Node **names, size_t n)
{
    const SrcFile *f = bound_file(b);
    Tok t = lex_solid(f->text, f->len,
                      (size_t)(b->stmt->name_at.off + b->stmt->name_at.len)); /* the ( */
    size_t at = 0;

    for (int c = 0; c < blk->n_cols && at < n; c++) {
        if (blk->col[c].hidden)
            continue;
        t = lex_solid(f->text, f->len, t.off + t.len);
        const char *folded =
            names[at]->node_case == PG_QUERY__NODE__NODE_STRING ? names[at]->string->sval : "";
        const char *spelt = lex_name(&b->c->arena, f->text, t);
        blk->col[c].name = ascii_ieq(spelt, folded) ? spelt : arena_strdup(&b->c->arena, folded);
        blk->col[c].at = (Span){ (int)t.off, (int)t.len, b->stmt->at.file };
        t = lex_solid(f->text, f->len, t.off + t.len); /* a comma */
        at++;
    }
    if (at < n)
        diag_fail(b->c, ERR_bind_name, b->stmt->name_at, "%s names %zu columns, its query has %zu",
                  b->stmt->name, n, at);
}

/* Visible columns: no name reserved, none twice.  In a dump reserved names are hidden columns. */
static void check_columns(Binder *b, Block *blk)
{
    for (int c = 0; c < blk->n_cols; c++) {
        Col *k = &blk->col[c];
        if (k->hidden)
            continue;
        if (bind_bad_name(b, k->name))
            diag_fail(b->c, ERR_bind_name, k->at.len ? k->at : b->stmt->name_at, "%s",
                      bind_bad_name(b, k->name));
        k->hidden = b->scan->canonical && !strncmp(k->name, GEN_PREFIX, strlen(GEN_PREFIX));
        for (int j = 0; j < c; j++)
            if (!blk->col[j].hidden && ascii_ieq(blk->col[j].name, k->name))
                diag_fail(b->c, ERR_bind_name, k->at.len ? k->at : b->stmt->name_at,
                          "%s has two columns named %s; name one of them AS …", b->stmt->name,
                          k->name);
    }
}

typedef struct QueryParts {
    const PgQuery__SelectStmt *q;
    PgQuery__Node **names; size_t n_names;
    const PgQuery__RangeVar *rel;
    bool view;
} QueryParts;

NORETURN void bind_fail_part(Binder *b, const char *what)
{
    diag_fail(b->c, ERR_bind_statement, b->stmt->name_at,
              "%s has no meaning in a model; its statements are " MODEL_STATEMENTS, what);
}

static QueryParts query_parts(Binder *b)
{
    const PgQuery__Node *n = b->stmt->tree->stmts[0]->stmt;
    const PgQuery__Node *query;
    QueryParts p = { 0 };

    if (n->node_case == PG_QUERY__NODE__NODE_VIEW_STMT) {
        const PgQuery__ViewStmt *v = n->view_stmt;
        if (v->n_options || v->with_check_option != PG_QUERY__VIEW_CHECK_OPTION__NO_CHECK_OPTION)
            bind_fail_part(b, "WITH … of a view");
        query = v->query;
        p = (QueryParts){
            .names = v->aliases, .n_names = v->n_aliases, .rel = v->view, .view = true
        };
    } else {
        const PgQuery__CreateTableAsStmt *t = n->create_table_as_stmt;
        if (t->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE || t->is_select_into)
            bind_fail_part(b, "a materialized view");
        if (t->into->n_options || t->into->skip_data ||
            t->into->on_commit > PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_NOOP)
            bind_fail_part(b, "WITH …");
        query = t->query;
        p = (QueryParts){ .names = t->into->col_names,
                          .n_names = t->into->n_col_names,
                          .rel = t->into->rel };
    }
    if (n->node_case == PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT &&
        n->create_table_as_stmt->if_not_exists)
        bind_fail_part(b, "IF NOT EXISTS");
    if (!query || query->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        bind_fail_part(b, "EXECUTE");
    p.q = query->select_stmt;
    return p;
}

void bind_check_schema(Binder *b, const PgQuery__RangeVar *r)
{
    if (r && r->schemaname && *r->schemaname && !ascii_ieq(r->schemaname, "main"))
        diag_fail(b->c, ERR_bind_name, bind_span(b, r->location, 0),
                  "schemas are not supported yet; write %s", r->relname);
}

/* Make the base blocks that a statement reads, so that they come before its own. */
void bind_reads(Binder *b)
{
    for (int i = 0; i < b->stmt->n_reads; i++) {
        const Read *r = &b->stmt->read[i];
        bind_table(b, r->schema, r->name, bind_span(b, r->location, 0));
    }
}

/* The parameter whose rows a query gives: a base block beside the query's, Block.rows_from. */
static Block *param_from_query(Binder *b, Block *rows, const Directive *d)
{
    Block *p = blk_new(b->p, BLK_base, b->stmt->name);
    int *id, n = 0, n_values = 0;

    p->role = BASE_param;
    p->rows_from = rows;
    p->cat = b->cat ? catalog_find(b->cat, b->stmt->name) : NULL;
    if (p->cat && !p->cat->exists)
        p->cat = NULL;
    id = ARENA_ARRAY(&b->c->arena, int, rows->n_cols + 1);
    for (int c = 0; c < rows->n_cols; c++) {
        if (rows->col[c].hidden)
            continue;
        const int k = blk_add_col(b->p, p, rows->col[c].name, NULL, AGG_none);
        p->col[k].type =
            rows->col[c].type == T_BOOL || rows->col[c].type == T_NULL ? T_INT : rows->col[c].type;
        p->col[k].at = rows->col[c].at;
        n_values += p->col[k].type == T_REAL;
        if (p->col[k].type != T_REAL)
            id[n++] = k;
    }
    if (!n_values)
        diag_fail(b->c, ERR_bind_param, b->stmt->name_at,
                  "%s has no REAL column to train; its first value is written 0.0", b->stmt->name);
    blk_set_id(b->p, p, id, n);
    dir_param(b, d, p);
    return p;
}

/* Rows of a parameter are settled before training: they may not depend on what training changes. */
static void check_param_rows(Binder *b, const Block *rows)
{
    const Block **from =
        ARENA_ARRAY(&b->c->arena, const Block *, b->p->n_blocks + 1); /* by block id */

    for (int i = 0; i <= rows->id; i++) {
        const Block *k = b->p->block[i];
        from[i] = k->is_param ? k : NULL;
        for (int s = 0; s < k->n_src && !from[i]; s++)
            from[i] = from[k->src[s].rel->id];
    }
    if (from[rows->id])
        diag_fail(b->c, ERR_bind_param, b->stmt->name_at,
                  "the rows of %s would depend on parameter %s; take them from data", b->stmt->name,
                  from[rows->id]->name);
}

static Block *bind_query_stmt(Binder *b)
{
    Stmt *st = b->stmt;
    const QueryParts p = query_parts(b);
    const Directive *param = dir_find(st, DIR_param), *noise = dir_find(st, DIR_noise);

    bind_check_schema(b, p.rel);
    if (param && p.view)
        diag_fail(b->c, ERR_directive_place, param->at,
                  "a parameter is a TABLE; its values change");
    bind_reads(b);
    Block *blk = bind_query(
        b, p.q, param || noise ? name_fit(&b->c->arena, GEN_PREFIX "rows_", st->name, "") : st->name,
        st->name_at);
    if (p.n_names)
        give_names(b, blk, p.names, p.n_names);
    check_columns(b, blk);
    if (noise) {
        const Noise n = dir_noise(b, noise);
        blk = noise_from_query(b, blk, &n);
    }
    blk->is_view = p.view;
    blk->is_temp = p.rel && p.rel->relpersistence && p.rel->relpersistence[0] == 't';
    blk->is_loss = dir_find(st, DIR_loss) != NULL;
    blk->is_metric = dir_find(st, DIR_metric) != NULL;
    blk->is_once = dir_find(st, DIR_once) != NULL;
    blk->is_detached = dir_find(st, DIR_detach) != NULL;
    if (!param) {
        mark_block(st, blk);
        if (dir_find(st, DIR_update))
            dir_update(b, dir_find(st, DIR_update), blk);
        return blk;
    }
    check_param_rows(b, blk);
    blk->user = false;
    blk->at = st->at;
    blk->name_at = st->name_at;
    blk->is_once = true;
    Block *base = param_from_query(b, blk, param);
    mark_block(st, base);
    return base;
}

static Block *bind_declaration(Binder *b, Def *def)
{
    Stmt *st = b->stmt;
    const PgQuery__CreateStmt *n = st->tree->stmts[0]->stmt->create_stmt;
    const Directive *param = dir_find(st, DIR_param), *data = dir_find(st, DIR_data);
    const Directive *noise = dir_find(st, DIR_noise);
    const BaseRole role = param ? BASE_param : dir_find(st, DIR_range) ? BASE_range : BASE_db;
    const CatTable *cat = b->cat && role != BASE_range ? catalog_find(b->cat, st->name) : NULL;

    bind_check_schema(b, n->relation);
    if (b->scan->canonical && !strcmp(st->name, NOISE_TABLE))
        return noise_driver(b);
    const Decl *d = declare_read(b, n);
    if (noise) {
        const Noise z = dir_noise(b, noise);
        Block *blk = noise_from_checks(b, d, &z);
        mark_block(st, blk);
        return blk;
    }
    if (def->insert && role == BASE_db && !data) {
        Block *empty = declare_empty(b, d);
        mark_block(st, empty);
        prog_analyse_one(b->p, empty);
        return empty;
    }
    if (cat && !cat->exists)
        cat = NULL;
    if (role == BASE_db && !cat && b->cat && (b->cat->have_db || !(b->o && b->o->declared))) {
        def->missing = true;            /* an error only for those who read it */
        return NULL;
    }
    Block *blk = declare_block(b, d, role, cat);
    mark_block(st, blk);
    if (param)
        dir_param(b, param, blk);
    if (data)
        dir_data(b, data, blk);
    return blk;
}

/* `--bind t=…` of a derived table: its definition is not used. */
static Block *bind_replaced(Binder *b)
{
    const CatTable *t = b->cat ? catalog_find(b->cat, b->stmt->name) : NULL;

    if (!t || !t->exists)
        diag_fail(b->c, ERR_bind_no_table, b->stmt->name_at,
                  "%s is bound to a table that the database does not have", b->stmt->name);
    Block *blk = declare_from_catalog(b, t, b->stmt->name, b->stmt->name_at);
    mark_block(b->stmt, blk);
    return blk;
}

void bind_stmt(Binder *b, Def *d)
{
    Stmt *st = b->stmt;

    if (b->n_steps && st->kind != STMT_insert)
        bind_check_repeated(b);
    if (st->kind == STMT_declare)
        d->block = bind_declaration(b, d);
    else
        d->block = def_is_bound(b, st->name) ? bind_replaced(b) : bind_query_stmt(b);
    Block *old = def_find(b, d->name)->block;           /* in a loop: that of the step before */
    if (old)
        def_supersede(b, old);
    d->slice = NULL;
    d->slice_src = NULL;
    d->slice_part = NULL;
    d->rising = NULL;
    d->n_slices = d->n_slice_src = d->n_slice_parts = 0;
    d->state = DEF_done;
}

/* One statement under its own guard: an error in it ends here.  What changes after setjmp lies
 * behind pointers, not in this frame. */
void bind_guarded(Binder *b, Def *d, void (*fn)(Binder *b, Def *d))
{
    Compile *c = b->c;
    jmp_buf *volatile outer = c->guard;
    jmp_buf here;

    c->guard = &here;
    if (setjmp(here) == 0)
        fn(b, d);
    else if (d)
        d->state = DEF_failed;
    c->guard = outer;
}

/* ---- what must hold of the whole ---- */

/* With targets, an objective counts if its loss is among what they need. */
static void bind_objectives(Binder *b, Def *unused)
{
    (void)unused;
    for (int i = 0; i < b->scan->n_free; i++) {
        const Directive *d = &b->scan->free_dir[i];
        if (dir_is_objective(d->word) && (!b->o || !b->o->target || need_objective(b, d)))
            dir_objective(b, d);
    }
}

static int n_values(const Block *blk)
{
    int n = 0;

    for (int c = 0; c < blk->n_cols; c++)
        n += !blk->col[c].hidden && blk->col[c].type == T_REAL;
    return n;
}

static void check_results(Binder *b)
{
    const Block *loss = NULL;

    for (int i = 0; i < b->p->n_blocks; i++) {
        const Block *k = b->p->block[i];
        if ((k->is_loss || k->is_metric) && !k->one_row)
            diag_error(b->c, ERR_bind_result, k->name_at,
                       "%s may have many rows; a %s has one: an aggregate without GROUP BY",
                       k->name, k->is_loss ? "@loss" : "@metric");
        else if (k->is_loss && n_values(k) != 1)
            diag_error(b->c, ERR_bind_result, k->name_at, "%s has %d REAL columns; a @loss has one",
                       k->name, n_values(k));
        if (k->is_loss && loss)
            diag_error(b->c, ERR_bind_result, k->name_at, "a second @loss; %s has one already",
                       loss->name);
        loss = k->is_loss ? k : loss;
    }
    for (int i = 0; i < b->p->n_obj; i++) {
        const Objective *o = &b->p->obj[i];
        if (!o->loss->one_row || n_values(o->loss) != 1)
            diag_error(b->c, ERR_bind_result, o->at,
                       "%s cannot be %s: it is not one row with one REAL column", o->loss->name,
                       o->maximize ? "maximised" : "minimised");
    }
}

/* torch_default(of = T): T is a parameter. */
static void check_init_of(Binder *b)
{
    for (int i = 0; i < b->p->n_blocks; i++) {
        const Init *in = b->p->block[i]->init;
        const Def *d = in && in->of ? def_find(b, in->of) : NULL;
        if (in && in->of && !(d && d->st && dir_find(d->st, DIR_param)))
            diag_error(b->c, ERR_directive_argument, in->at,
                       "of = %s names no parameter of this file", in->of);
    }
}

/* Batch keys are drawn together: as many in every @data table that has some. */
static void check_batches(Binder *b)
{
    const Block *first = NULL;

    for (int i = 0; i < b->p->n_blocks; i++) {
        const Block *k = b->p->block[i];
        if (!k->n_batch && !k->batch_rows)
            continue;
        if (first && (first->n_batch != k->n_batch || first->batch_rows != k->batch_rows))
            diag_error(b->c, ERR_directive_argument, k->name_at,
                       "%s and %s have different batch keys; one batch is drawn for both",
                       first->name, k->name);
        else if (first && k->batch_rows)
            diag_error(b->c, ERR_directive_argument, k->name_at,
                       "%s and %s are both drawn by rows; give them a common batch key",
                       first->name, k->name);
        first = first ? first : k;
    }
}

/* Whether e reads a column of the batch key of a source; that source, or -1. */
static int batch_source(const Block *k, const Expr *e)
{
    const Block *r = e->op == OP_col ? k->src[e->src].rel : NULL;

    for (int i = 0; r && r->batched && i < r->n_batch_cols; i++)
        if (r->batch_col[i] == e->col)
            return e->src;
    return -1;
}

/* A table of the database, joined to batched rows on their key but read whole every time. */
static bool note_unbatched(Binder *b, const Block *k, const Expr *e)
{
    for (int side = 0; side < 2 && (e->op == OP_eq || e->op == OP_same); side++) {
        const Expr *x = e->arg[side], *y = e->arg[1 - side];
        const Block *r = y->op == OP_col ? k->src[y->src].rel : NULL;
        const int from = batch_source(k, x);
        if (from < 0 || !r || r->role != BASE_db || r->is_data || r->filled)
            continue;
        diag_note(
            b->c, ERR_bind_unbatched, k->src[y->src].at.len ? k->src[y->src].at : k->name_at,
            "%s meets the batch key %s of %s, but has no @data: it is read whole for every batch",
            r->name, k->src[from].rel->col[x->col].name, k->src[from].rel->name);
        return true;
    }
    return false;
}

static void note_batches(Binder *b)
{
    for (int i = 0; i < b->p->n_blocks; i++) {
        const Block *k = b->p->block[i];
        bool said = false;
        for (int j = 0; j < k->n_where && !said; j++)
            said = note_unbatched(b, k, k->where[j]);
        for (int s = 0; s < k->n_src; s++)
            for (int j = 0; j < k->src[s].n_on && !said; j++)
                said = note_unbatched(b, k, k->src[s].on[j]);
    }
}

static bool is_own_result(const Binder *b, const char *name)
{
    for (int k = 0; k < b->cat->n_written; k++)
        if (ascii_ieq(b->cat->written[k], name))
            return true;
    return false;
}

static void note_same_names(Binder *b)
{
    const char *list = "";
    Span at = { 0 };
    int n = 0;

    for (int i = 0; i < b->defs->n; i++) {
        const Def *d = &b->defs->def[i];
        if (!d->st || (d->st->kind != STMT_query && !d->insert) || !d->block || d->block->is_param ||
            def_is_bound(b, d->name))
            continue;
        for (int j = 0; b->cat && j < b->cat->n_known; j++)
            if (ascii_ieq(b->cat->known[j], d->name) && !is_own_result(b, d->name)) {
                list = n < 8 ? arena_printf(&b->c->arena, "%s%s%s", list, n ? ", " : "", d->name)
                             : list;
                at = n ? at : d->st->name_at;
                n++;
            }
    }
    if (n)
        diag_note(b->c, ERR_bind_same_name, at,
                  "%s%s: the database has %s of the same name; this file's definition%s used", list,
                  n > 8 ? ", …" : "", n > 1 ? "tables" : "a table", n > 1 ? "s are" : " is");
}

Prog *front_bind(Compile *c, Scan *s, const Catalog *cat, const FrontOpts *o)
{
    Binder b = { .c = c, .cat = cat, .scan = s, .o = o };

    b.p = ARENA_NEW(&c->arena, Prog);
    b.p->c = c;
    b.p->path = c->file[s->file].path;
    check_sets(&b);
    collect_defs(&b);
    collect_inserts(&b);
    find_needed(&b);
    bind_statements(&b, 0, s->n_stmts, -1);
    for (int i = 0; i < b.defs->n; i++)
        if (b.defs->def[i].state == DEF_done)
            def_current(&b, &b.defs->def[i]);
    b.stmt = s->n_stmts ? &s->stmt[0] : NULL;
    for (int i = 0; o && o->target && i < o->n_targets && b.stmt; i++)
        bind_guarded(&b, &(Def){ .name = o->target[i] }, bind_target);
    if (b.stmt)
        bind_guarded(&b, NULL, bind_objectives);
    check_init_of(&b);
    check_batches(&b);
    diag_stop_if_any(c);
    prog_drop_passed(b.p);
    def_part_versions(&b);
    prog_analyse(b.p);
    check_results(&b);
    noise_check_keys(&b);
    dir_check_updates(&b);
    note_same_names(&b);
    note_batches(&b);
    diag_stop_if_any(c);
    return b.p;
}

/* ---- names for the database ---- */

/* Names found so far, without regard to ASCII case. */
typedef struct NameSet { Map map; const char **name; int n; } NameSet;

static bool has_name(Compile *c, const NameSet *k, const char *name)
{
    return map_get(&k->map, lower_key(c, name), strlen(name)) != NULL;
}

static void add_name(Compile *c, NameSet *k, const char *name)
{
    if (has_name(c, k, name))
        return;
    map_put(&k->map, lower_key(c, name), strlen(name), 1);
    VEC_PUSH(&c->arena, k->name, k->n, name);
}

/* The tables a @minimize names, unless the file defines them. */
static void add_objective(Compile *c, const Directive *d, const NameSet *defined, NameSet *ask)
{
    const char *text = c->file[d->rest_at.file].text;
    const size_t end = (size_t)(d->rest_at.off + d->rest_at.len);

    for (Tok t = lex_solid(text, end, (size_t)d->rest_at.off);
         t.kind != TOK_end && t.kind != TOK_open && !lex_is(text, t, "using");
         t = lex_solid(text, end, t.off + t.len)) {
        const char *name = lex_name(&c->arena, text, t);
        if ((t.kind == TOK_word || t.kind == TOK_quoted) && !lex_is(text, t, "over") &&
            !has_name(c, defined, name))
            add_name(c, ask, name);
    }
}

int front_tables(Scan *s, const char ***names)
{
    Compile *c = s->c;
    NameSet defined = { 0 }, ask = { 0 };
    Binder b = { .c = c, .scan = s };

    map_init(&defined.map, &c->arena);
    map_init(&ask.map, &c->arena);
    for (int i = 0; i < s->n_stmts; i++) {
        const Stmt *st = b.stmt = &s->stmt[i];
        for (int j = 0; j < st->n_reads; j++)
            if (!has_name(c, &defined, st->read[j].name))
                add_name(c, &ask, bind_spelling(&b, st->read[j].location, st->read[j].name));
        if (!st->name)
            continue;
        if (st->kind == STMT_declare || dir_find(st, DIR_param))
            add_name(c, &ask, st->name);
        add_name(c, &defined, st->name);
    }
    for (int l = 0; l < s->n_loops; l++) {
        const char **bound;
        for (int i = dir_loop_tables(c, &s->loop[l].head, &bound); i > 0; i--)
            add_name(c, &ask, bound[i - 1]);
    }
    for (int i = 0; i < s->n_free; i++)
        if (dir_is_objective(s->free_dir[i].word))
            add_objective(c, &s->free_dir[i], &defined, &ask);
    *names = ask.name;
    return ask.n;
}

int front_list(Compile *c, const char *text, const char ***names)
{
    int n = 0;

    *names = NULL;
    for (const char *s = text;;) {
        const size_t len = *s == '"' ? lex(s, strlen(s), 0).len : strcspn(s, ",");
        const bool closed = *s != '"' || lex(s, strlen(s), 0).kind == TOK_quoted;
        if (!len || !closed || (s[len] && s[len] != ','))
            diag_fail(c, ERR_bind_list, (Span){ 0 }, closed ? "an empty name in the list \"%s\""
                      : "a quote is not closed in the list \"%s\"", text);
        VEC_PUSH(&c->arena, *names, n,
                 *s == '"' ? lex_name(&c->arena, s, (Tok){ TOK_quoted, 0, len })
                           : arena_strndup(&c->arena, s, len));
        if (!s[len])
            return n;
        s += len + 1;
    }
}

/* ---- one expression ---- */

static const PgQuery__Node *only_expr(const Stmt *st)
{
    if (!st->tree || st->tree->n_stmts != 1 ||
        st->tree->stmts[0]->stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        return NULL;
    const PgQuery__SelectStmt *q = st->tree->stmts[0]->stmt->select_stmt;
    if (q->n_target_list != 1 || q->n_from_clause || q->where_clause || q->n_group_clause ||
        q->having_clause || q->n_sort_clause || q->limit_count || q->limit_offset ||
        q->with_clause || q->n_window_clause || q->n_distinct_clause || q->n_locking_clause ||
        q->into_clause || q->op != PG_QUERY__SET_OPERATION__SETOP_NONE)
        return NULL;
    const PgQuery__ResTarget *t = q->target_list[0]->res_target;
    return t->name && *t->name ? NULL : t->val;
}

Expr *front_expr(Compile *c, const char *what, const char *text,
                 Expr *(*resolve)(void *arg, const char *name), void *arg, const char *const *names,
                 int n_names)
{
    static const FrontOpts none = { 0 };
    const int file = compile_add_file(c, what, text, strlen(text)), errors = c->n_errors;
    Scan *s = scan_expr(c, file);
    const PgQuery__Node *n = s->n_stmts == 1 ? only_expr(&s->stmt[0]) : NULL;
    Binder b = { .c = c, .scan = s, .stmt = s->stmt, .o = &none };

    if (!n && c->n_errors > errors)
        diag_leave(c);
    if (!n)
        diag_fail(c, ERR_bind_text, (Span){ 0, (int)strlen(text), file },
                  "this is not one expression");
    b.p = ARENA_NEW(&c->arena, Prog);
    b.p->c = c;
    b.defs = ARENA_NEW(&c->arena, Defs);
    map_init(&b.defs->by_name, &c->arena);
    return bind_scalar(&b, n, resolve, arg, names, n_names);
}
