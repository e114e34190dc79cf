/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.c - one scan of the file, before the parser: statement ends, directives, and the rewrites
 * that keep every byte where it is (comments to blanks, `==` to `= `, `:name` to `$0…01`). Each
 * statement is then parsed by itself (parse.c), so that an error in one hides nothing in the
 * others. */
#include "front/bind.h"

#include <string.h>

#define MAX_FILE       ((size_t)16 << 20)
#define MAX_STMT       ((size_t)1 << 20)    /* bytes of one statement */
#define MAX_TOKENS     50000                /* of one statement; bounds the parser's stack */
#define MAX_STMTS      10000
#define MAX_PARENS     1000                 /* open at once */
#define MAX_CHAIN      2000                 /* operators on one path of a tree, estimated */
#define EXPR_HEAD      "SELECT "
#define MAX_VARS       200                  /* different :names */
#define MAX_DEPTH      20                   /* of files that include each other */
#define MAX_FILES      500

/* One level of parentheses.  The parser and above all the protobuf code take time quadratic in
 * the depth of a tree, so the depth is estimated from the tokens first: operators between two
 * separators, on top of the deepest parenthesis among them.  AND and OR are lists in the tree, hence separators. */
typedef struct Level { int ops, inner, chain, deepest; } Level;

typedef struct Scanner {
    Compile *c;
    Scan *s;
    int file;
    const struct Scanner *from;     /* of the file that includes this one; NULL: the model */
    const char *text; size_t n;
    char *out;                      /* the rewritten text: statements are slices of it */
    Directive *dir; int n_dirs;     /* waiting for their statement */
    bool dir_failed;                /* one of them was wrong */
    bool in_stmt, failed;
    bool expr;                      /* the text is one expression */
    size_t start, end;              /* of the statement: first byte, one past the last token */
    int n_tokens;
    Level level[MAX_PARENS + 1]; int depth;
} Scanner;

static Span scan_at(const Scanner *k, size_t off, size_t len)
{
    return (Span){ (int)off, (int)len, k->file };
}

/* ---- the file as a whole ---- */

/* Length of the UTF-8 sequence at s, 0 if it is none; overlong forms and surrogates are none. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    const size_t len = s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
                       : s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : 0;
    if (!len || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return len;
}

static bool file_is_text(Scanner *k)
{
    if (k->n > MAX_FILE) {
        diag_error(k->c, ERR_scan_file, (Span){ 0 }, "the file has %zu bytes; a model may have %zu",
                   k->n, MAX_FILE);
        return false;
    }
    for (size_t i = 0, len; i < k->n; i += len) {
        len = utf8_len((const unsigned char *)k->text + i, k->n - i);
        if (len && k->text[i])
            continue;
        diag_error(k->c, ERR_scan_file, scan_at(k, i, 1), len ? "a NUL byte; a model is UTF-8 text"
                   : "byte 0x%02X is not UTF-8", (unsigned char)k->text[i]);
        return false;
    }
    return true;
}

/* ---- directives ---- */

static bool is_free(DirWord w)
{
    return w == DIR_set || dir_is_objective(w);
}

static void include(Scanner *k, const Directive *d);

static void open_loop(Scanner *k, Directive d)
{
    Scan *s = k->s;
    int up = s->n_loops - 1;

    while (up >= 0 && s->loop[up].end >= 0)
        up = s->loop[up].up;
    VEC_PUSH(&k->c->arena, s->loop, s->n_loops, ((ScanLoop){ .head = d, .first = s->n_stmts, .end = -1, .up = up }));
}

static void close_loop(Scanner *k, const Directive *d)
{
    Scan *s = k->s;
    int l = s->n_loops - 1;

    while (l >= 0 && s->loop[l].end >= 0)
        l--;
    if (l < 0 || s->loop[l].head.at.file != d->at.file)
        diag_error(k->c, ERR_directive_place, d->at, "@end without @for");
    else
        s->loop[l].end = s->n_stmts;
}

/* @for and @end stand between statements; what waits for a statement cannot wait across them. */
static void take_loop(Scanner *k, Directive d)
{
    if (k->in_stmt)
        diag_error(k->c, ERR_directive_place, d.at, "@%s inside a statement; is a ; missing before it?", dir_word(d.word));
    else if (k->n_dirs)
        diag_error(k->c, ERR_directive_place, k->dir[0].at, "no statement follows @%s", dir_word(k->dir[0].word));
    k->n_dirs = 0;
    k->dir = NULL;
    if (d.word == DIR_for)
        open_loop(k, d);
    else
        close_loop(k, &d);
}

/* Hand the directives of one comment to the statement that follows, or to the file. */
static void take_directives(Scanner *k, Span at)
{
    Directive *dir = NULL;
    int n = 0;

    if (!dir_read(k->c, at, &dir, &n))
        k->dir_failed = true;
    for (int i = 0; i < n; i++) {
        if (dir[i].word == DIR_for || dir[i].word == DIR_end)
            take_loop(k, dir[i]);
        else if (is_free(dir[i].word))
            VEC_PUSH(&k->c->arena, k->s->free_dir, k->s->n_free, dir[i]);
        else if (dir[i].word == DIR_include && !k->in_stmt)
            include(k, &dir[i]);
        else if (k->in_stmt)
            diag_error(k->c, ERR_directive_place, dir[i].at,
                       "@%s inside a statement; it stands before the statement it belongs to",
                       dir_word(dir[i].word));
        else
            VEC_PUSH(&k->c->arena, k->dir, k->n_dirs, dir[i]);
    }
}

static void scan_comment(Scanner *k, Tok t)
{
    size_t i = t.off + 2;

    for (size_t j = t.off; j < t.off + t.len; j++)
        if (k->out[j] != '\n')
            k->out[j] = ' ';
    while (i < t.off + t.len && (k->text[i] == ' ' || k->text[i] == '\t')) i++;
    if (k->text[t.off] == '-' && i + 1 < t.off + t.len && k->text[i] == '@' &&
        lex(k->text, k->n, i + 1).kind == TOK_word)
        take_directives(k, scan_at(k, i, t.off + t.len - i));
}

/* ---- statements ---- */

/* The name a statement defines or fills, found without the parser so that it is known when parsing
 * fails: CREATE … TABLE|VIEW [IF NOT EXISTS] [schema.]name, INSERT INTO [schema.]name. */
static bool any_word(const Scanner *k, Tok t, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (lex_is(k->text, t, words[i]))
            return true;
    return false;
}

static Tok name_token(const Scanner *k)
{
    static const char *const kind[] = { "table", "view", "into", NULL };
    static const char *const absent[] = { "if", "not", "exists", NULL };
    Tok t = lex_solid(k->text, k->n, k->start);

    for (int n = 0; n < 5 && t.kind == TOK_word && !any_word(k, t, kind); n++)
        t = lex_solid(k->text, k->n, t.off + t.len);
    if (!any_word(k, t, kind))
        return (Tok){ TOK_end, k->end, 0 };
    do
        t = lex_solid(k->text, k->n, t.off + t.len);
    while (any_word(k, t, absent));
    return t;
}

static void find_name(const Scanner *k, Stmt *s)
{
    Tok t = name_token(k);

    for (;;) {
        const Tok dot = lex_solid(k->text, k->n, t.off + t.len);
        if (dot.kind != TOK_punct || k->text[dot.off] != '.')
            break;
        t = lex_solid(k->text, k->n, dot.off + dot.len);
    }
    if (t.off >= k->end || (t.kind != TOK_word && t.kind != TOK_quoted))
        return;
    s->name = lex_name(&k->c->arena, k->text, t);
    s->name_at = scan_at(k, t.off, t.len);
    s->quoted = t.kind == TOK_quoted;
}

/* Only CREATE and INSERT begin a statement of a model; said here and not by the parser. */
static bool check_first_word(Scanner *k, Stmt *st)
{
    static const char *const known[] = { "CREATE", "INSERT" };
    static const char *const query[] = { "select", "with", "values", "table" };
    const Tok t = lex(k->text, k->n, k->start);
    const Span at = scan_at(k, t.off, t.len);
    const char *word = arena_strndup(&k->c->arena, k->text + t.off, (size_t)lex_shown(k->text, t));

    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (lex_is(k->text, t, known[i]))
            return true;
    for (size_t i = 0; i < COUNT_OF(query); i++)
        if (lex_is(k->text, t, query[i])) {
            diag_error(k->c, ERR_scan_statement, at,
                       "a query needs a name: CREATE TABLE name AS %s …", word);
            return false;
        }
    static const char *const other[] = { "CREATE", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER" };
    const char *near = t.kind == TOK_word ? nearest_name(word, other, COUNT_OF(other)) : NULL;
    near = near == other[0] || near == other[1] ? near : NULL;              /* UPDATE is no CREATE misspelt */
    if (!near)
        st->name = NULL;            /* DROP TABLE x defines nothing */
    if (near)
        diag_error(k->c, ERR_scan_statement, at, "\"%s\" begins no statement; did you mean %s?",
                   word, near);
    else
        diag_error(k->c, ERR_scan_statement, at,
                   "\"%s\" begins no statement of a model; they are " MODEL_STATEMENTS, word);
    return false;
}

static bool check_limits(Scanner *k)
{
    const Span at = scan_at(k, k->start, lex(k->text, k->n, k->start).len);

    if (k->end - k->start > MAX_STMT)
        diag_error(k->c, ERR_scan_limit, at,
                   "this statement has %zu bytes; a statement may have %zu", k->end - k->start,
                   MAX_STMT);
    else if (k->n_tokens > MAX_TOKENS)
        diag_error(k->c, ERR_scan_limit, at,
                   "this statement has %d tokens; a statement may have %d", k->n_tokens,
                   MAX_TOKENS);
    else
        return true;
    return false;
}

static void end_statement(Scanner *k)
{
    Stmt s = { .at = scan_at(k, k->start, k->end - k->start), .text = k->out + k->start };

    if (!k->in_stmt)
        return;
    find_name(k, &s);
    s.kind = lex_is(k->text, lex(k->text, k->n, k->start), "insert") ? STMT_insert : STMT_none;
    s.dir = k->dir;
    s.n_dirs = k->n_dirs;
    s.failed = k->failed || k->dir_failed;
    if (!k->failed && (!check_limits(k) || (!k->expr && !check_first_word(k, &s))))
        s.unreadable = s.failed = true;
    s.unreadable |= k->failed;
    k->out[k->end] = 0;
    VEC_PUSH(&k->c->arena, k->s->stmt, k->s->n_stmts, s);
    k->dir = NULL;
    k->n_dirs = k->n_tokens = 0;
    k->in_stmt = k->failed = k->dir_failed = false;
}

/* ---- tokens ---- */

static void token_error(Scanner *k, const char *id, Tok t, const char *msg)
{
    if (k->c->n_errors < MAX_ERRORS)
        diag_error(k->c, id, scan_at(k, t.off, t.kind == TOK_open ? 1 : t.len), "%s", msg);
    k->failed = true;
}

static void scan_var(Scanner *k, Tok t)
{
    const char *name = arena_strndup(&k->c->arena, k->text + t.off + 1, t.len - 1);

    memset(k->out + t.off, '0', t.len);
    k->out[t.off] = '$';
    k->out[t.off + t.len - 1] = '1';
    for (int i = 0; i < k->s->n_vars; i++)
        if (ascii_ieq(k->s->var[i], name))
            return;
    if (k->s->n_vars == MAX_VARS)
        token_error(k, ERR_scan_limit, t, "too many different :names");
    else
        VEC_PUSH(&k->c->arena, k->s->var, k->s->n_vars, name);
}

/* E'a\'b', B'1', X'1F', N'x', U&'x': other rules for what is inside, so they are refused. */
static bool is_string_prefix(const Scanner *k, Tok t)
{
    const size_t after = t.off + t.len;
    const char ch = (char)(k->text[t.off] | 32);

    if (t.len != 1 || after + 1 >= k->n)
        return false;
    if (ch == 'u' && k->text[after] == '&')
        return k->text[after + 1] == '\'' || k->text[after + 1] == '"';
    return strchr("ebxn", ch) && k->text[after] == '\'';
}

/* `==`, but not as part of another operator such as `<==`. */
static bool is_double_equal(const Scanner *k, Tok t)
{
    const char *s = k->text + t.off;

    return s[0] == '=' && t.off + 1 < k->n && s[1] == '=' &&
           !(t.off && strchr("=<>!~+-*/%^&|#@?", s[-1])) &&
           !(t.off + 2 < k->n && strchr("=<>!~*/%^&|#@?", s[2]));
}

static void end_chain(Level *l)
{
    l->deepest = l->ops + l->inner > l->deepest ? l->ops + l->inner : l->deepest;
    l->ops = l->inner = 0;
}

static void close_level(Scanner *k)
{
    if (!k->depth)
        return;
    Level *l = &k->level[k->depth--], *up = l - 1;
    end_chain(l);
    const int deep = l->deepest + l->chain + 1;
    up->inner = deep > up->inner ? deep : up->inner;
}

static void measure_depth(Scanner *k, Tok t)
{
    static const char *const ops[] = {
        "is", "not", "between", "in", "like", "collate", "at", NULL
    };
    static const char *const lists[] = { "join", "union", "intersect", "except", NULL };
    static const char *const breaks[] = { "and",    "or",    "select", "from",  "where", "group",
                                          "having", "order", "on",     "using", "when",  "then",
                                          "else",   "end",   "as",     "case",  NULL };
    Level *l = &k->level[k->depth];
    const char ch = t.kind == TOK_punct ? k->text[t.off] : 0;

    if (ch == '(' && k->depth < MAX_PARENS)
        k->level[++k->depth] = (Level){ 0 };
    else if (ch == ')')
        close_level(k);
    else if (ch == ',' || any_word(k, t, breaks))
        end_chain(l);
    else if ((ch && strchr("+-*/%<>=|&^!~#@?:", ch)) || any_word(k, t, ops))
        l->ops++;
    else if (any_word(k, t, lists))
        l->chain++;
    if (ch != '(' && l->ops + l->inner + l->deepest + l->chain <= MAX_CHAIN)
        return;
    if (ch == '(' && k->depth < MAX_PARENS)
        return;
    if (!k->failed)
        token_error(k, ERR_scan_limit, t, ch == '(' ? "more than 1000 parentheses are open here"
                    : "nested too deeply: more than 2000 operators on one path");
}

static void scan_token(Scanner *k, Tok t)
{
    if (!k->in_stmt) {
        k->in_stmt = true;
        k->start = t.off;
        k->depth = 0;
        k->level[0] = (Level){ 0 };
    }
    measure_depth(k, t);
    k->end = t.off + t.len;
    k->n_tokens++;
    if (t.kind == TOK_open)
        token_error(k, ERR_scan_open, t,
                    k->text[t.off] == '/' ? "this comment is not closed"
                                          : "this quote is not closed");
    else if (t.kind == TOK_dollar)
        token_error(k, ERR_scan_token, t,
                    "$ begins nothing here; texts stand in 'quotes', named numbers are :name");
    else if (t.kind == TOK_word && is_string_prefix(k, t))
        token_error(k, ERR_scan_token, t,
                    "texts have no prefix here; write 'text', with '' for a quote");
    else if (t.len > MAX_NAME &&
             (t.kind == TOK_word || t.kind == TOK_quoted || t.kind == TOK_var) &&
             strlen(lex_name(&k->c->arena, k->text, t)) > MAX_NAME + (t.kind == TOK_var))
        token_error(k, ERR_scan_token, t, "this name is longer than 63 bytes");
    else if (t.kind == TOK_var)
        scan_var(k, t);
    else if (t.kind == TOK_punct && is_double_equal(k, t))
        k->out[t.off + 1] = ' ';
}

static void scan_all(Scanner *k)
{
    for (Tok t = lex(k->text, k->n, 0); t.kind != TOK_end; t = lex(k->text, k->n, t.off + t.len)) {
        if (t.kind == TOK_comment)
            scan_comment(k, t);
        else if (t.kind == TOK_punct && k->text[t.off] == ';')
            end_statement(k);
        else if (t.kind != TOK_space)
            scan_token(k, t);
        if (k->s->n_stmts > MAX_STMTS || k->c->n_errors >= MAX_ERRORS) {
            diag_error(k->c, ERR_scan_limit, scan_at(k, t.off, 1), k->s->n_stmts > MAX_STMTS
                       ? "more than %d statements" : "more than %d errors; the rest is not read",
                       k->s->n_stmts > MAX_STMTS ? MAX_STMTS : MAX_ERRORS);
            return;
        }
    }
    end_statement(k);
}

/* ---- @include ---- */

/* The file beside the one that names it, unless its path begins at the root. */
static const char *included_path(const Scanner *k, const char *name)
{
    const char *from = k->c->file[k->file].path, *slash = strrchr(from, '/');

    return *name == '/' || !slash ? name
         : arena_printf(&k->c->arena, "%.*s%s", (int)(slash + 1 - from), from, name);
}

/* Why the file may not stand here, or NULL. */
static const char *cannot_include(const Scanner *k, const char *path)
{
    int depth = 0;

    for (const Scanner *up = k; up; up = up->from, depth++)
        if (!strcmp(k->c->file[up->file].path, path))
            return "it includes itself";
    return depth > MAX_DEPTH ? "files include each other more than 20 deep"
         : k->c->n_files > MAX_FILES ? "more than 500 files" : k->c->read_file ? NULL : "no files can be read here";
}

static void scan_file(Scanner *k);

/* The statements of the file stand where the directive does. */
static void include(Scanner *k, const Directive *d)
{
    Compile *c = k->c;
    const char *name = dir_include(c, d), *path = name ? included_path(k, name) : NULL, *text;
    size_t n;

    if (k->n_dirs)
        diag_error(c, ERR_directive_place, k->dir[0].at, "no statement follows @%s", dir_word(k->dir[0].word));
    k->n_dirs = 0;
    k->dir = NULL;
    if (!name)
        return;
    const char *wrong = cannot_include(k, path);
    if (!wrong)
        wrong = c->read_file(c, path, &text, &n);
    if (wrong) {
        diag_error(c, ERR_scan_include, d->rest_at, "%s: %s", path, wrong);
        return;
    }
    Scanner *in = ARENA_NEW(&c->arena, Scanner);
    *in = (Scanner){ .c = c, .s = k->s, .file = compile_add_file(c, path, text, n), .from = k, .text = text, .n = n };
    scan_file(in);
}

/* Blank a byte order mark and recognise the first line of a dump. */
static void scan_head(Scanner *k)
{
    static const char mark[] = "-- sqlgrad blocks";

    if (k->n >= 3 && !memcmp(k->text, "\xEF\xBB\xBF", 3)) {
        k->text = arena_strndup(&k->c->arena, k->text, k->n);
        memset((char *)k->text, ' ', 3);
        memset(k->out, ' ', 3);
    }
    if (!k->from)
        k->s->canonical = k->n >= sizeof mark - 1 && !memcmp(k->text, mark, sizeof mark - 1);
}

static bool comes_after(Span a, Span b)
{
    return a.file != b.file ? a.file > b.file : a.off > b.off;
}

/* Errors in the order of the text, though the parser ran after the scan. */
static void sort_errors(Compile *c, int from)
{
    for (int i = from + 1; i < c->n_diags; i++)
        for (int j = i; j > from && comes_after(c->diag[j - 1].at, c->diag[j].at); j--) {
            const Diag d = c->diag[j];
            c->diag[j] = c->diag[j - 1];
            c->diag[j - 1] = d;
        }
}

static void scan_file(Scanner *k)
{
    if (!file_is_text(k))
        return;
    k->out = arena_strndup(&k->c->arena, k->text, k->n);
    scan_head(k);
    scan_all(k);
    if (k->n_dirs)
        diag_error(k->c, ERR_directive_place, k->dir[0].at, "no statement follows @%s", dir_word(k->dir[0].word));
}

Scan *front_scan(Compile *c, int file)
{
    Scan *s = ARENA_NEW(&c->arena, Scan);
    Scanner k = { .c = c, .s = s, .file = file, .text = c->file[file].text, .n = c->file[file].len };
    const int errors = c->n_errors, diags = c->n_diags;

    s->c = c;
    s->file = file;
    scan_file(&k);
    for (int l = 0; l < s->n_loops; l++)
        if (s->loop[l].end < 0) {
            diag_error(c, ERR_directive_place, s->loop[l].head.at, "@for without @end");
            s->loop[l].end = s->n_stmts;
        }
    if (!s->n_stmts && c->n_errors == errors)
        diag_error(c, ERR_scan_file, (Span){ 0 }, "no statement in %s", c->file[file].path);
    parse_statements(s);
    dir_check_places(s);
    sort_errors(c, diags);
    return s;
}

/* The text becomes the statement `SELECT text`; positions count from the text. */
Scan *scan_expr(Compile *c, int file)
{
    Scan *s = ARENA_NEW(&c->arena, Scan);
    Scanner k = {
        .c = c, .s = s, .file = file, .text = c->file[file].text, .n = c->file[file].len, .expr = true
    };

    s->c = c;
    s->file = file;
    s->expr = true;
    if (!file_is_text(&k))
        return s;
    k.out = arena_strndup(&c->arena, k.text, k.n);
    scan_all(&k);
    for (int i = 0; i < s->n_stmts; i++) {
        Stmt *st = &s->stmt[i];
        st->text = arena_printf(&c->arena, EXPR_HEAD "%s", st->text);
        st->at.off -= (int)strlen(EXPR_HEAD);
        st->at.len += (int)strlen(EXPR_HEAD);
        st->name = NULL;
    }
    parse_statements(s);
    return s;
}
