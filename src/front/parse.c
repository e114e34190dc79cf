/* SPDX-License-Identifier: Apache-2.0
 *
 * parse.c - statements through libpg_query. Its parser and the protobuf code recurse once per
 * level of the text, so they run on a thread with a large stack, and a statement has a bounded
 * number of tokens (scan.c); trees nested too deeply for the rest of the compiler are refused
 * there. Also: syntax errors in the model's terms, and the list of tables each statement reads. */
#include "front/bind.h"
#include "front/pg.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STACK_BYTES  ((size_t)128 << 20)    /* reserved, not used: some ten times what is needed */
#define MAX_DEPTH    500                    /* levels of expressions and subqueries */

typedef struct Parsed {
    PgQuery__ParseResult *tree;
    char *message;                  /* the parser's error, in the arena; or NULL */
    int cursor;                     /* its position, in characters from 1 */
    bool deep; int deep_at;         /* nested too deeply, at this byte */
} Parsed;

typedef struct ParseJob { Scan *s; Parsed *out; } ParseJob;

/* ---- trees, by reflection: the walks need no list of node types ---- */

typedef void ChildFn(void *arg, const ProtobufCMessage *child, const ProtobufCFieldDescriptor *f);

static void each_of_field(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, ChildFn *fn,
                          void *arg)
{
    const char *base = (const char *)m;

    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        const size_t n = *(const size_t *)(const void *)(base + f->quantifier_offset);
        ProtobufCMessage **v = *(ProtobufCMessage **const *)(const void *)(base + f->offset);
        for (size_t i = 0; i < n; i++)
            fn(arg, v[i], f);
        return;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
        *(const uint32_t *)(const void *)(base + f->quantifier_offset) != f->id)
        return;
    const ProtobufCMessage *child = *(ProtobufCMessage *const *)(const void *)(base + f->offset);
    if (child)
        fn(arg, child, f);
}

static void each_child(const ProtobufCMessage *m, ChildFn *fn, void *arg)
{
    if (m->descriptor == &pg_query__node__descriptor) {     /* a union: one of some 250 fields */
        const unsigned set = ((const PgQuery__Node *)(const void *)m)->node_case;
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field(m->descriptor, set);
        if (f)
            each_of_field(m, f, fn, arg);
        return;
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++)
        each_of_field(m, &m->descriptor->fields[i], fn, arg);
}

static int location_of(const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "location");

    return f && f->type == PROTOBUF_C_TYPE_INT32
        ? *(const int32_t *)(const void *)((const char *)m + f->offset) : -1;
}

typedef struct DepthWalk { int depth, at; bool deep; } DepthWalk;

static void walk_depth(void *arg, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    DepthWalk *w = arg;
    const bool level = m->descriptor == &pg_query__node__descriptor ||
                       m->descriptor == &pg_query__select_stmt__descriptor;

    (void)f;
    if (w->deep)
        return;
    if (location_of(m) > 0)
        w->at = location_of(m);
    w->depth += level;
    if (w->depth > MAX_DEPTH)
        w->deep = true;
    else
        each_child(m, walk_depth, w);
    w->depth -= level;
}

/* ---- the parser's thread; diagnostics wait until it has ended ---- */

static void parse_one(const Stmt *s, Parsed *p, Arena *a)
{
    PgQueryProtobufParseResult r = pg_query_parse_protobuf(s->text);
    DepthWalk w = { 0 };

    if (r.error) {
        p->message = arena_strdup(a, r.error->message);
        p->cursor = r.error->cursorpos;
    } else {
        p->tree = pg_query__parse_result__unpack(NULL, r.parse_tree.len,
                                                 (const uint8_t *)r.parse_tree.data);
    }
    pg_query_free_protobuf_parse_result(r);
    if (!p->tree)
        return;
    walk_depth(&w, &p->tree->base, NULL);
    if (w.deep) {
        p->deep = true;
        p->deep_at = w.at;
        pg_query__parse_result__free_unpacked(p->tree,
                                              NULL); /* recursive: must happen on this stack */
        p->tree = NULL;
    }
}

static void *parse_thread(void *arg)
{
    ParseJob *job = arg;

    for (int i = 0; i < job->s->n_stmts; i++)
        if (!job->s->stmt[i].unreadable)
            parse_one(&job->s->stmt[i], &job->out[i], &job->s->c->arena);
    return NULL;
}

static void run_on_large_stack(ParseJob *job)
{
    pthread_attr_t attr;
    pthread_t thread;

    if (pthread_attr_init(&attr))
        diag_fail_env(job->s->c, ERR_mem_exhausted, "no thread for the parser");
    const bool ok = !pthread_attr_setstacksize(&attr, STACK_BYTES) &&
                    !pthread_create(&thread, &attr, parse_thread, job);
    pthread_attr_destroy(&attr);
    if (!ok)
        diag_fail_env(job->s->c, ERR_mem_exhausted,
                      "no thread with a stack of %zu MB for the parser", STACK_BYTES >> 20);
    pthread_join(thread, NULL);
}

/* All scans of a compilation, freed together: a compilation has few places for foreign objects. */
typedef struct TreeList { Scan *first; } TreeList;

static void free_trees(void *arg)
{
    for (const Scan *s = ((TreeList *)arg)->first; s; s = s->next)
        for (int i = 0; i < s->n_stmts; i++)
            if (s->stmt[i].tree)
                pg_query__parse_result__free_unpacked(s->stmt[i].tree, NULL);
}

static void keep_trees(Scan *s)
{
    Compile *c = s->c;
    TreeList *list = NULL;

    for (int i = 0; i < c->n_release; i++)
        if (c->release[i] == free_trees)
            list = c->release_arg[i];
    if (!list) {
        list = ARENA_NEW(&c->arena, TreeList);
        compile_on_free(c, free_trees, list);
    }
    s->next = list->first;
    list->first = s;
}

/* ---- syntax errors ---- */

static const char *const clause_words[] = {
    "SELECT", "FROM",      "WHERE",   "GROUP", "ORDER", "HAVING",   "JOIN",   "LEFT",  "INNER",
    "OUTER",  "CROSS",     "NATURAL", "USING", "UNION", "CREATE",   "TABLE",  "VIEW",  "BETWEEN",
    "CASE",   "WHEN",      "THEN",    "ELSE",  "END",   "DISTINCT", "LIMIT",  "CHECK", "PRIMARY",
    "UNIQUE", "INTEGER",   "BIGINT",  "REAL",  "TEXT",  "VALUES",   "INSERT", "INTO",  "TEMP",
    "WITH",   "PARTITION", "OVER",    "AND",   "NOT",   "NULL",     "EXISTS", "CAST",  "COALESCE"
};

/* Words that PostgreSQL's grammar keeps for itself and that people take for names. */
static const char *const reserved_words[] = {
    "all", "analyse", "analyze", "any", "array", "asc", "both", "cast", "check", "collate", "column",
    "constraint", "create", "default", "desc", "distinct", "do", "fetch", "for", "foreign", "grant",
    "group", "into", "lateral", "leading", "limit", "localtime", "offset", "only", "order", "placing",
    "primary", "references", "returning", "some", "table", "to", "trailing", "unique", "user",
    "using", "variadic", "window", "with"
};

static bool is_one_of(const char *s, Tok t, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lex_is(s, t, words[i]))
            return true;
    return false;
}

/* One letter changed, added, dropped, or two neighbours swapped; case ignored. */
static bool one_edit(const char *a, size_t n, const char *b, size_t m)
{
    size_t i = 0, j = 0;

    while (i < n && i < m && (a[i] | 32) == (b[i] | 32)) i++;
    while (j < n - i && j < m - i && (a[n - 1 - j] | 32) == (b[m - 1 - j] | 32)) j++;
    const size_t x = n - i - j, y = m - i - j;
    return (x <= 1 && y <= 1 && x + y > 0) ||
           (x == 2 && y == 2 && (a[i] | 32) == (b[i + 1] | 32) && (a[i + 1] | 32) == (b[i] | 32));
}

static const char *meant_word(const char *s, Tok t)
{
    if (t.kind != TOK_word || t.len < 3 || is_one_of(s, t, clause_words, COUNT_OF(clause_words)))
        return NULL;
    for (size_t i = 0; i < COUNT_OF(clause_words); i++)
        if (one_edit(s + t.off, t.len, clause_words[i], strlen(clause_words[i])))
            return clause_words[i];
    return NULL;
}

/* Where in its statement a token stands: its neighbours, and the parenthesis it is in. */
typedef struct Context {
    const char *s;
    Tok now, next, before[3];
    int depth;
    bool in_decl;
    Tok first;          /* behind the ( of CREATE TABLE name ( */
} Context;

static Context find_context(const Scan *sc, const Stmt *st, size_t off)
{
    const size_t end = (size_t)(st->at.off + st->at.len);
    Context k = { .s = sc->c->file[st->at.file].text };

    for (Tok t = lex_solid(k.s, end, st->at.off < 0 ? 0 : (size_t)st->at.off);;
         t = lex_solid(k.s, end, t.off + t.len)) {
        k.before[2] = k.before[1];
        k.before[1] = k.before[0];
        k.before[0] = k.now;
        k.now = t;
        k.next = lex_solid(k.s, end, t.off + t.len);
        if (t.kind == TOK_end || t.off + t.len > off)
            return k;
        const bool opens = t.kind == TOK_punct && k.s[t.off] == '(';
        if (opens && !k.depth && st->name_at.len && k.before[0].off == (size_t)st->name_at.off) {
            k.first = k.next;
            k.in_decl = true;
        }
        if (opens)
            k.depth++;
        else if (t.kind == TOK_punct && k.s[t.off] == ')')
            k.in_decl &= --k.depth > 0;
    }
}

static bool stands_punct(const Context *k, Tok t, const char *set)
{
    return t.kind == TOK_punct && t.len == 1 && strchr(set, k->s[t.off]);
}

/* `CREATE TABLE t (a, …)`: SQLite's columns without a type. */
static bool lacks_type(const Context *k)
{
    static const char *const after[] = { "check", "primary", "unique",
                                         "not",   "default", "references" };
    const bool ends =
        stands_punct(k, k->now, ",)") || is_one_of(k->s, k->now, after, COUNT_OF(after));

    return k->in_decl && k->depth == 1 && ends && stands_punct(k, k->before[1], "(,") &&
           (k->before[0].kind == TOK_word || k->before[0].kind == TOK_quoted);
}

/* A reserved word where a name may have been meant: not the ORDER of an ORDER BY. */
static bool stands_as_name(const Context *k)
{
    static const char *const before[] = { "select", "by", "from", "join", "table", "view", "where",
                                          "and", "or", "on", "order", "when", "then", "else" };

    return is_one_of(k->s, k->now, reserved_words, COUNT_OF(reserved_words)) &&
           !lex_is(k->s, k->next, "by") &&
           (stands_punct(k, k->before[0], "(,.=<>+-*/") ||
            is_one_of(k->s, k->before[0], before, COUNT_OF(before)));
}

#define SHOWN(k, t) lex_shown((k)->s, t), (k)->s + (t).off

static void report_near(const Scan *sc, const Context *k, Span at)
{
    static const char *const clauses[] = { "from", "where", "group", "order" };
    Compile *c = sc->c;
    Tok wrong = k->now;
    const char *meant = meant_word(k->s, wrong);

    for (int i = 0; i < 2 && !meant; i++) {
        wrong = k->before[i];
        meant = wrong.len ? meant_word(k->s, wrong) : NULL;
    }
    if (stands_punct(k, k->now, "[`") || stands_punct(k, k->before[0], "[`") || stands_punct(k, k->before[1], "[`"))
        diag_error(c, ERR_scan_syntax, at, "syntax error at \"%.*s\"; names are quoted with double quotes: \"a name\"",
                   SHOWN(k, k->now));
    else if (lacks_type(k))
        diag_error(c, ERR_scan_syntax,
                   (Span){ (int)k->before[0].off, (int)k->before[0].len, at.file },
                   "column %.*s has no type; write INTEGER, REAL or TEXT after it",
                   SHOWN(k, k->before[0]));
    else if (stands_as_name(k))
        diag_error(c, ERR_scan_syntax, at,
                   "%.*s is a word of SQL; as a name it needs double quotes: \"%.*s\"",
                   SHOWN(k, k->now), SHOWN(k, k->now));
    else if (lex_is(k->s, k->now, "create"))
        diag_error(c, ERR_scan_syntax, at, "syntax error at \"%.*s\"; a ; is missing before it",
                   SHOWN(k, k->now));
    else if (k->depth > 0 && is_one_of(k->s, k->now, clauses, COUNT_OF(clauses)))
        diag_error(c, ERR_scan_syntax, at, "syntax error at \"%.*s\"; is a ) missing before it?",
                   SHOWN(k, k->now));
    else if (meant && wrong.off == k->now.off)
        diag_error(c, ERR_scan_syntax, at, "syntax error at \"%.*s\"; did you mean %s?",
                   SHOWN(k, k->now), meant);
    else if (meant)
        diag_error(c, ERR_scan_syntax, at,
                   "syntax error at \"%.*s\"; did you mean %s in place of %.*s?", SHOWN(k, k->now),
                   meant, SHOWN(k, wrong));
    else
        diag_error(c, ERR_scan_syntax, at, "syntax error at \"%.*s\"", SHOWN(k, k->now));
}

/* Bytes from the start of `s` to character number `cursor` (from 1). */
static size_t byte_of_char(const char *s, int cursor)
{
    size_t i = 0;

    for (int left = cursor - 1; left > 0 && s[i]; left--)
        for (i++; (s[i] & 0xC0) == 0x80;) i++;
    return i;
}

static void report_syntax(Scan *sc, const Stmt *st, const Parsed *p)
{
    const int64_t where = st->at.off + (int64_t)byte_of_char(st->text, p->cursor);
    const size_t off = where < 0 ? 0 : (size_t)where;
    const Context k = find_context(sc, st, off);
    const char *near = strstr(p->message, " at or near "),
               *id = sc->expr ? ERR_bind_text : ERR_scan_syntax;
    const Tok t = k.now.kind == TOK_end ? k.before[0] : k.now;
    const Span at = { (int)t.off, (int)t.len, st->at.file };

    /* CREATE TABLE t (a, b) could go on with AS SELECT: the parser waits for it */
    const bool typeless = k.now.kind == TOK_end && k.first.len && stands_punct(&k, k.before[0], ")");

    if (typeless)
        diag_error(sc->c, id, (Span){ (int)k.first.off, (int)k.first.len, at.file },
                   "column %.*s has no type; write INTEGER, REAL or TEXT after it", SHOWN(&k, k.first));
    else if (strstr(p->message, "memory exhausted"))
        diag_error(sc->c, ERR_scan_limit, at, "nested too deeply");
    else if (strstr(p->message, "at end of input"))
        diag_error(sc->c, id, at, "the %s ends here, unfinished%s",
                   sc->expr ? "expression" : "statement", k.depth > 0 ? "; a ) is missing" : "");
    else if (!strncmp(p->message, "syntax error", 12) && !sc->expr)
        report_near(sc, &k, at);
    else if (near)
        diag_error(sc->c, id, at, "%.*s at \"%.*s\"", (int)(near - p->message), p->message,
                   SHOWN(&k, t));
    else
        diag_error(sc->c, id, at, "%s", p->message);
}

/* ---- what was parsed ---- */

static StmtKind kind_of(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_CREATE_STMT ? STMT_declare
           : n->node_case == PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT ||
                   n->node_case == PG_QUERY__NODE__NODE_VIEW_STMT
               ? STMT_query
           : n->node_case == PG_QUERY__NODE__NODE_INSERT_STMT ? STMT_insert
                                                              : STMT_none;
}

/* The names of the CTEs that a query may read. */
typedef struct CteScope { const struct CteScope *up; const char *name; } CteScope;
typedef struct ReadWalk { Compile *c; Stmt *st; const CteScope *scope; } ReadWalk;

static void walk_reads(void *arg, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);

static void add_read(ReadWalk *w, const PgQuery__RangeVar *r)
{
    const bool plain = !r->schemaname || !*r->schemaname;

    for (const CteScope *s = w->scope; s && plain; s = s->up)
        if (!strcmp(s->name, r->relname))
            return;
    const Read one = { plain ? NULL : r->schemaname, r->relname, r->location };
    VEC_PUSH(&w->c->arena, w->st->read, w->st->n_reads, one);
}

/* A CTE sees those before it (itself too if recursive); the query sees all. */
static void walk_with(ReadWalk *w, const PgQuery__WithClause *with)
{
    for (size_t i = 0; i < with->n_ctes; i++) {
        const PgQuery__CommonTableExpr *cte = with->ctes[i]->common_table_expr;
        CteScope *s = ARENA_NEW(&w->c->arena, CteScope);
        *s = (CteScope){ w->scope, cte->ctename };
        if (with->recursive)
            w->scope = s;
        walk_reads(w, &cte->ctequery->base, NULL);
        w->scope = s;
    }
}

static void walk_reads(void *arg, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    ReadWalk *w = arg;
    const CteScope *outer = w->scope;

    (void)f;
    if (m->descriptor == &pg_query__range_var__descriptor) {
        add_read(w, (const PgQuery__RangeVar *)(const void *)m);
        return;
    }
    if (m->descriptor == &pg_query__with_clause__descriptor)
        return; /* walked below, before the query that it serves */
    if (m->descriptor == &pg_query__select_stmt__descriptor) {
        const PgQuery__SelectStmt *q = (const PgQuery__SelectStmt *)(const void *)m;
        if (q->with_clause)
            walk_with(w, q->with_clause);
    }
    each_child(m, walk_reads, w);
    w->scope = outer;
}

static int by_location(const void *a, const void *b)
{
    const Read *x = a, *y = b;

    return (x->location > y->location) - (x->location < y->location);
}

static void find_reads(Compile *c, Stmt *st)
{
    const PgQuery__Node *n = st->tree->stmts[0]->stmt;
    ReadWalk w = { c, st, NULL };

    if (n->node_case == PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT && n->create_table_as_stmt->query)
        walk_reads(&w, &n->create_table_as_stmt->query->base, NULL);
    else if (n->node_case == PG_QUERY__NODE__NODE_VIEW_STMT && n->view_stmt->query)
        walk_reads(&w, &n->view_stmt->query->base, NULL);
    else if (n->node_case == PG_QUERY__NODE__NODE_INSERT_STMT && n->insert_stmt->select_stmt) {
        if (n->insert_stmt->with_clause)
            walk_with(&w, n->insert_stmt->with_clause);
        walk_reads(&w, &n->insert_stmt->select_stmt->base, NULL);
    }
    if (st->n_reads)
        qsort(st->read, (size_t)st->n_reads, sizeof *st->read, by_location);
}

static void take_parsed(Scan *sc, Stmt *st, const Parsed *p)
{
    const int start = st->at.off < 0 ? 0 : st->at.off, deep = st->at.off + p->deep_at;
    const Span word = { start, (int)lex(st->text, strlen(st->text), 0).len, st->at.file };

    if (p->message)
        report_syntax(sc, st, p);
    else if (p->deep)
        diag_error(sc->c, ERR_scan_limit, (Span){ deep < 0 ? 0 : deep, 1, st->at.file },
                   "nested more than %d levels deep", MAX_DEPTH);
    else if (!p->tree || p->tree->n_stmts != 1)
        diag_error(sc->c, ERR_scan_syntax, word, "this cannot be read as one statement");
    else if (sc->expr)
        return;
    else if (kind_of(p->tree->stmts[0]->stmt) == STMT_none)
        diag_error(sc->c, ERR_scan_statement, word,
                   "no statement of a model; they are " MODEL_STATEMENTS);
    else {
        st->kind = kind_of(p->tree->stmts[0]->stmt);
        find_reads(sc->c, st);
        return;
    }
    st->failed = true;
}

void parse_statements(Scan *s)
{
    ParseJob job = { s, ARENA_ARRAY(&s->c->arena, Parsed, s->n_stmts + 1) };

    if (!s->n_stmts)
        return;
    keep_trees(s);
    run_on_large_stack(&job);
    for (int i = 0; i < s->n_stmts; i++)
        s->stmt[i].tree = job.out[i].tree;
    for (int i = 0; i < s->n_stmts && s->c->n_errors < MAX_ERRORS; i++)
        if (!s->stmt[i].unreadable)
            take_parsed(s, &s->stmt[i], &job.out[i]);
}
