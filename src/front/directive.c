/* SPDX-License-Identifier: Apache-2.0
 *
 * directive.c - what stands in comments behind `-- @`. Read in the scan (words, shape of the
 * arguments, the statement they belong to), given their meaning when that statement is bound. The
 * list of words is frozen; those without meaning yet say so. */
#include "front/bind.h"

#include <math.h>
#include <string.h>

#define MAX_BATCH_KEYS 4

typedef enum DirForm { FORM_bare, FORM_args, FORM_rest } DirForm;
enum { ON_declare = 1, ON_query = 2 };

static const struct DirInfo {
    const char *name;
    DirForm form;
    int on;
    const char *usage;
} dir_info[] = {
    [DIR_data] = { "data", FORM_args, ON_declare,
                   "@data(batch = KEY), @data(batch = rows)" },
    [DIR_param] = { "param", FORM_args, ON_declare | ON_query,
                    "@param(init = uniform(-0.1, 0.1), in = (COLUMNS), decay = 0, freeze)" },
    [DIR_range] = { "range", FORM_bare, ON_declare, "@range" },
    [DIR_set] = { "set", FORM_rest, 0, "@set name = number" },
    [DIR_loss] = { "loss", FORM_bare, ON_query, "@loss" },
    [DIR_metric] = { "metric", FORM_bare, ON_query, "@metric" },
    [DIR_once] = { "once", FORM_bare, ON_query, "@once" },
    [DIR_detach] = { "detach", FORM_bare, ON_query, "@detach" },
    [DIR_train] = { "train", FORM_bare, ON_declare | ON_query, "@train" },
    [DIR_eval] = { "eval", FORM_bare, ON_declare | ON_query, "@eval" },
    [DIR_minimize] = { "minimize", FORM_rest, 0,
                       "@minimize LOSS over P1, P2 using adam(lr = 1e-3)" },
    [DIR_maximize] = { "maximize", FORM_rest, 0,
                       "@maximize GAIN over P1, P2 clamp(0, 1) using sgd(lr = 1e-2)" },
    [DIR_noise] = { "noise", FORM_args, ON_declare | ON_query,
                    "@noise(normal(0, 1)), @noise(uniform(-1, 1)), @noise(bernoulli(0.5), eval = 0.5)" },
    [DIR_update] = { "update", FORM_rest, ON_query, "@update T" },
    [DIR_for] = { "for", FORM_rest, 0, "@for t = 1 .. 50" },
    [DIR_end] = { "end", FORM_bare, 0, "@end" },
    [DIR_include] = { "include", FORM_rest, 0, "@include 'file.sql'" },
};

/* Which names an initial value may have, and how many numbers. */
static const struct InitInfo { const char *name; int least, most;
} init_info[] = {
    { "zeros", 0, 0 },          { "ones", 0, 0 },
    { "const", 1, 1 },          { "uniform", 2, 2 },
    { "normal", 2, 2 },         { "xavier_uniform", 0, 1 },
    { "xavier_normal", 0, 1 },  { "kaiming_uniform", 0, 0 },
    { "kaiming_normal", 0, 0 }, { "torch_default", 0, 0 },
};

const char *dir_word(DirWord w)
{
    return dir_info[w].name;
}

const Directive *dir_find(const Stmt *st, DirWord w)
{
    for (int i = 0; i < st->n_dirs; i++)
        if (st->dir[i].word == w)
            return &st->dir[i];
    return NULL;
}

/* ---- reading, in the scan ---- */

/* A cursor over a part of the source text. */
typedef struct Reader { Compile *c; int file; const char *s; size_t end; Tok t; } Reader;

static Reader reader(Compile *c, Span at)
{
    Reader r = {
        .c = c, .file = at.file, .s = c->file[at.file].text, .end = (size_t)(at.off + at.len)
    };

    r.t = lex_solid(r.s, r.end, (size_t)at.off);
    return r;
}

static void advance(Reader *r)
{
    r->t = lex_solid(r->s, r->end, r->t.off + r->t.len);
}

static bool at_punct(const Reader *r, char ch)
{
    return r->t.kind == TOK_punct && r->t.len == 1 && r->s[r->t.off] == ch;
}

static bool take_punct(Reader *r, char ch)
{
    const bool is = at_punct(r, ch);

    if (is)
        advance(r);
    return is;
}

static bool at_name(const Reader *r)
{
    return r->t.kind == TOK_word || r->t.kind == TOK_quoted;
}

static Span here(const Reader *r)
{
    if (r->t.kind == TOK_end)           /* the last byte that is not blank */
        for (size_t i = r->end; i > 0; i--)
            if (!strchr(" \t\r\n", r->s[i - 1]))
                return (Span){ (int)i - 1, 1, r->file };
    return (Span){ (int)r->t.off, r->t.kind == TOK_open ? 1 : (int)r->t.len, r->file };
}

/* Tokens up to a comma or closing parenthesis at this level: the value of an argument. */
static Span skip_value(Reader *r)
{
    const size_t from = r->t.off;
    size_t to = from;

    for (int depth = 0; r->t.kind != TOK_end && (depth || !(at_punct(r, ',') || at_punct(r, ')')));
         advance(r)) {
        depth += at_punct(r, '(') - at_punct(r, ')');
        to = r->t.off + r->t.len;
    }
    return (Span){ (int)from, (int)(to - from), r->file };
}

/* `( [name =] value, … )`, the reader being at the parenthesis.  False: an error was recorded. */
static bool read_args(Reader *r, const char *of, const char *usage, DirArg **arg, int *n)
{
    advance(r);
    if (take_punct(r, ')'))
        return true;
    for (;;) {
        const Reader start = *r;
        DirArg a = { 0 };
        if (at_name(r)) {
            advance(r);
            if (take_punct(r, '='))
                a.name = lex_name(&r->c->arena, r->s, start.t);
            else
                *r = start;
        }
        a.at = skip_value(r);
        a.text = arena_strndup(&r->c->arena, r->s + a.at.off, (size_t)a.at.len);
        if (!a.at.len) {
            diag_error(r->c, ERR_directive_syntax, here(r), "an argument of %s is missing here: %s",
                       of, usage);
            return false;
        }
        VEC_PUSH(&r->c->arena, *arg, *n, a);
        if (take_punct(r, ')'))
            return true;
        if (!take_punct(r, ',')) {
            diag_error(r->c, ERR_directive_syntax, here(r), "the ) of %s is missing: %s", of,
                       usage);
            return false;
        }
    }
}

/* The word behind an `@`, if there is one that has a meaning. */
static bool read_word(Reader *r, Directive *d)
{
    const char *names[COUNT_OF(dir_info)];
    const Span sign = here(r);

    advance(r);
    d->at = (Span){ sign.off, (int)(r->t.off + r->t.len) - sign.off, r->file };
    const char *word = at_name(r) ? lex_name(&r->c->arena, r->s, r->t) : "";
    for (size_t i = 0; i < COUNT_OF(dir_info); i++) {
        names[i] = dir_info[i].name;
        if (!ascii_ieq(names[i], word))
            continue;
        d->word = (DirWord)i;
        advance(r);
        return true;
    }
    const char *near = nearest_name(word, names, COUNT_OF(names));
    if (near)
        diag_error(r->c, ERR_directive_unknown, d->at, "unknown directive @%s; did you mean @%s?",
                   word, near);
    else
        diag_error(r->c, ERR_directive_unknown, d->at,
                   "unknown directive @%s; they are @data, @param, @range, @set, @loss, "
                   "@metric, @once, @detach, @train, @eval, @noise, @include, @minimize, @maximize, @update",
                   word);
    return false;
}

static bool read_one(Reader *r, Directive *d)
{
    if (!read_word(r, d))
        return false;
    const struct DirInfo *info = &dir_info[d->word];
    if (info->form == FORM_rest) {
        d->rest_at = (Span){ (int)r->t.off, (int)(r->end - r->t.off), r->file };
        d->rest = arena_strndup(&r->c->arena, r->s + r->t.off, r->end - r->t.off);
        r->t = (Tok){ TOK_end, r->end, 0 };
        return true;
    }
    if (info->form == FORM_args && at_punct(r, '('))
        if (!read_args(r, arena_printf(&r->c->arena, "@%s", info->name), info->usage, &d->arg,
                       &d->n_args))
            return false;
    if (r->t.kind == TOK_end || at_punct(r, '@'))
        return true;
    diag_error(r->c, ERR_directive_syntax, here(r), "\"%.*s\" does not belong to @%s: %s",
               lex_shown(r->s, r->t), r->s + r->t.off, info->name, info->usage);
    return false;
}

bool dir_read(Compile *c, Span at, Directive **dir, int *n)
{
    Reader r = reader(c, at);

    while (r.t.kind != TOK_end) {
        Directive d = { 0 };
        if (!read_one(&r, &d))
            return false;
        VEC_PUSH(&c->arena, *dir, *n, d);
    }
    return true;
}

const char *dir_include(Compile *c, const Directive *d)
{
    Reader r = reader(c, d->rest_at);
    const Tok t = r.t;

    if (d->rest_at.len)
        advance(&r);
    if (t.kind == TOK_string && t.len > 2 && r.t.kind == TOK_end && !memchr(r.s + t.off + 1, '\'', t.len - 2))
        return arena_strndup(&c->arena, r.s + t.off + 1, t.len - 2);
    diag_error(c, ERR_directive_syntax, d->rest_at.len ? d->rest_at : d->at, "@include names one file in quotes: %s",
               dir_info[DIR_include].usage);
    return NULL;
}

/* ---- places ---- */

/* Directives that say what kind of table this is exclude each other and the ones about results. */
static bool excludes(DirWord a, DirWord b)
{
    const bool base_a = a == DIR_data || a == DIR_param || a == DIR_range || a == DIR_noise;
    const bool base_b = b == DIR_data || b == DIR_param || b == DIR_range || b == DIR_noise;
    const bool mode_a = a == DIR_train || a == DIR_eval, mode_b = b == DIR_train || b == DIR_eval;

    const bool never = (a == DIR_update && b == DIR_eval) || (a == DIR_eval && b == DIR_update);

    return a == b || never || (mode_a && mode_b) || ((base_a || base_b) && !mode_a && !mode_b);
}

static bool check_place(Compile *c, const Stmt *st, int i)
{
    const Directive *d = &st->dir[i];
    const int on = st->kind == STMT_declare ? ON_declare : st->kind == STMT_query ? ON_query : 0;

    for (int j = 0; j < i; j++)
        if (excludes(d->word, st->dir[j].word)) {
            diag_error(c, ERR_directive_place, d->at,
                       d->word == st->dir[j].word ? "@%s stands here twice"
                                                  : "@%s and @%s exclude each other",
                       dir_word(d->word), dir_word(st->dir[j].word));
            return false;
        }
    if (st->kind == STMT_none || (dir_info[d->word].on & on))
        return true;
    diag_error(c, ERR_directive_place, d->at, "@%s stands before %s", dir_word(d->word),
               dir_info[d->word].on == ON_declare ? "CREATE TABLE name (columns)"
               : dir_info[d->word].on == ON_query ? "CREATE TABLE or VIEW name AS SELECT"
                                                  : "CREATE TABLE");
    return false;
}

/* `@set name = number`; kept in the order of the text. */
static void read_set(Scan *s, const Directive *d)
{
    Compile *c = s->c;
    Reader r = reader(c, d->rest_at);
    const Reader start = r;
    const char *name = r.t.kind == TOK_word ? lex_name(&c->arena, r.s, r.t) : NULL;
    double val = 0;

    if (name)
        advance(&r);
    const bool has_sign = name && take_punct(&r, '=');
    const bool neg = take_punct(&r, '-');
    const Tok num = r.t;
    advance(&r);
    if (!has_sign || num.kind != TOK_number || r.t.kind != TOK_end ||
        !parse_real(r.s + num.off, num.len, &val) || !isfinite(val)) {
        diag_error(c, ERR_directive_syntax,
                   d->rest_at.len
                       ? (Span){ (int)start.t.off, (int)(num.off + num.len - start.t.off),
                                 d->rest_at.file }
                       : d->at,
                   "@set names a number: @set hidden = 16");
        return;
    }
    for (int i = 0; i < s->n_sets; i++)
        if (ascii_ieq(s->set_name[i], name)) {
            diag_error(c, ERR_directive_place, d->at, "@set %s stands here a second time", name);
            return;
        }
    int n = s->n_sets, m = s->n_sets;
    VEC_PUSH(&c->arena, s->set_name, s->n_sets, name);
    VEC_PUSH(&c->arena, s->set_val, n, neg ? -val : val);
    VEC_PUSH(&c->arena, s->set_real, m,
             memchr(r.s + num.off, '.', num.len) || memchr(r.s + num.off, 'e', num.len));
}

void dir_check_places(Scan *s)
{
    for (int i = 0; i < s->n_stmts; i++)
        for (int j = 0; j < s->stmt[i].n_dirs; j++)
            if (!check_place(s->c, &s->stmt[i], j))
                s->stmt[i].failed = true;
    for (int i = 0; i < s->n_free; i++) {
        if (s->free_dir[i].word == DIR_set)
            read_set(s, &s->free_dir[i]);
    }
}

/* ---- meaning: numbers and names ---- */

/* A number or :name with an optional sign, at the reader. */
static double read_number(Binder *b, Reader *r, const char *of)
{
    const Span at = here(r);
    const bool neg = take_punct(r, '-');
    bool real;
    double v = 0;

    if (!neg)
        take_punct(r, '+');
    if (r->t.kind == TOK_var) {
        const char *name = arena_strndup(&b->c->arena, r->s + r->t.off + 1, r->t.len - 1);
        if (!bind_number(b, name, &v, &real))
            diag_fail(b->c, ERR_bind_var, here(r),
                      ":%s has no number; say -- @set %s = … or --set %s=…", name, name, name);
    } else if (r->t.kind != TOK_number || !parse_real(r->s + r->t.off, r->t.len, &v) ||
               !isfinite(v))
        diag_fail(b->c, ERR_directive_argument, at, "%s takes numbers here", of);
    advance(r);
    return neg ? -v : v;
}

static void expect_end(Binder *b, const Reader *r, const char *usage)
{
    if (r->t.kind != TOK_end)
        diag_fail(b->c, ERR_directive_argument, here(r), "\"%.*s\" does not belong here: %s",
                  lex_shown(r->s, r->t), r->s + r->t.off, usage);
}

/* A key column of a block, by name. */
static const char *key_column(Binder *b, const Block *blk, const Reader *r)
{
    const char *word = at_name(r) ? lex_name(&b->c->arena, r->s, r->t) : NULL;
    Buf has = { 0 };

    for (int i = 0; word && i < blk->n_cols; i++)
        if (!blk->col[i].hidden && blk->col[i].type != T_REAL &&
            (r->t.kind == TOK_quoted ? !strcmp(blk->col[i].name, word)
                                     : ascii_ieq(blk->col[i].name, word)))
            return blk->col[i].name;
    for (int i = 0; i < blk->n_cols; i++)
        if (!blk->col[i].hidden && blk->col[i].type != T_REAL)
            buf_printf(&has, "%s%s", has.n ? ", " : "", blk->col[i].name);
    const char *list = arena_strdup(&b->c->arena, has.n ? has.s : "none");
    buf_free(&has);
    diag_fail(b->c, ERR_directive_argument, here(r), "no key column %.*s in %s; its keys are %s",
              lex_shown(r->s, r->t), r->s + r->t.off, blk->name, list);
}

static bool arg_is(const DirArg *a, const char *name)
{
    return a->name && ascii_ieq(a->name, name);
}

/* An argument whose name is none of `names`, which is NULL-terminated. */
NORETURN static void unknown_arg(Binder *b, const Directive *d, const DirArg *a,
                                 const char *const *names)
{
    const char *said = a->name ? a->name : a->text;
    int n = 0;

    while (names[n]) n++;
    const char *near = nearest_name(said, names, n);
    if (near)
        diag_fail(b->c, ERR_directive_argument, a->at,
                  "@%s has no argument %.40s; did you mean %s?", dir_word(d->word), said, near);
    diag_fail(b->c, ERR_directive_argument, a->at, "@%s has no argument %.40s: %s",
              dir_word(d->word), said, dir_info[d->word].usage);
}

static void no_twice(Binder *b, const Directive *d, int i)
{
    const DirArg *a = &d->arg[i];

    for (int j = 0; j < i && a->name; j++)
        if (arg_is(&d->arg[j], a->name))
            diag_fail(b->c, ERR_directive_argument, a->at, "@%s has %s twice", dir_word(d->word),
                      a->name);
}

/* ---- @for ---- */

#define FOR_USAGE "@for t = 1 .. :steps; a bound is a sum of numbers, :names and (SELECT MAX(key) FROM table)"

static void expect_word(Reader *r, const char *word)
{
    if (!lex_is(r->s, r->t, word))
        diag_fail(r->c, ERR_directive_syntax, here(r), "%s is missing here: " FOR_USAGE, word);
    advance(r);
}

static void expect_punct(Reader *r, char ch)
{
    if (!take_punct(r, ch))
        diag_fail(r->c, ERR_directive_syntax, here(r), "%c is missing here: " FOR_USAGE, ch);
}

static const char *take_name(Reader *r)
{
    if (!at_name(r))
        diag_fail(r->c, ERR_directive_syntax, here(r), "a name is missing here: " FOR_USAGE);
    const char *name = lex_name(&r->c->arena, r->s, r->t);
    advance(r);
    return name;
}

/* SELECT MAX(col) FROM table: a key of the database, whose range is known. */
typedef struct KeyBound { bool max; const char *col, *table; Span col_at, table_at; } KeyBound;

static KeyBound read_key_bound(Reader *r)
{
    KeyBound k = { 0 };

    expect_word(r, "select");
    k.max = lex_is(r->s, r->t, "max");
    if (!k.max && !lex_is(r->s, r->t, "min"))
        diag_fail(r->c, ERR_directive_syntax, here(r), "MAX or MIN is missing here: " FOR_USAGE);
    advance(r);
    expect_punct(r, '(');
    k.col_at = here(r);
    k.col = take_name(r);
    expect_punct(r, ')');
    expect_word(r, "from");
    k.table_at = here(r);
    k.table = take_name(r);
    expect_punct(r, ')');
    return k;
}

static int64_t key_bound(Binder *b, const KeyBound *k)
{
    const CatTable *t = b->cat ? catalog_find(b->cat, k->table) : NULL;

    if (!t || !t->exists)
        diag_fail(b->c, ERR_bind_loop, k->table_at, "no table %s in the database; a loop's bounds are keys of stored tables",
                  k->table);
    for (int c = 0; c < t->n_cols; c++)
        if (ascii_ieq(t->col[c].name, k->col)) {
            if (!t->col[c].has_range)
                diag_fail(b->c, ERR_bind_loop, k->col_at, "%s.%s holds no integer to bound a loop by", k->table, k->col);
            return k->max ? t->col[c].hi : t->col[c].lo;
        }
    diag_fail(b->c, ERR_bind_loop, k->col_at, "%s has no column %s", k->table, k->col);
}

static int64_t loop_number(Binder *b, Reader *r)
{
    const Span at = here(r);

    if (take_punct(r, '(')) {
        const KeyBound k = read_key_bound(r);
        return key_bound(b, &k);
    }
    if (r->t.kind != TOK_number && r->t.kind != TOK_var)
        diag_fail(b->c, ERR_directive_syntax, at, "a bound of the loop is missing here: " FOR_USAGE);
    const double v = read_number(b, r, "@for");
    if (v != floor(v) || fabs(v) > 1e15)
        diag_fail(b->c, ERR_bind_loop, at, "a loop counts in whole numbers");
    return (int64_t)v;
}

static int64_t loop_bound(Binder *b, Reader *r)
{
    int64_t sum = 0, sign = take_punct(r, '-') ? -1 : 1;

    for (;;) {
        sum += sign * loop_number(b, r);
        if (!at_punct(r, '+') && !at_punct(r, '-'))
            return sum;
        sign = at_punct(r, '-') ? -1 : 1;
        advance(r);
    }
}

/* By characters: in `1..5` the lexer would take the second dot for the number's. */
static void expect_dots(Reader *r)
{
    if (r->t.kind == TOK_end || r->t.off + 1 >= r->end || r->s[r->t.off] != '.' || r->s[r->t.off + 1] != '.')
        diag_fail(r->c, ERR_directive_syntax, here(r), ".. is missing here: " FOR_USAGE);
    r->t = lex_solid(r->s, r->end, r->t.off + 2);
}

LoopHead dir_loop(Binder *b, const Directive *d)
{
    Reader r = reader(b->c, d->rest_at);
    LoopHead h = { .var = take_name(&r) };

    expect_punct(&r, '=');
    h.lo = loop_bound(b, &r);
    expect_dots(&r);
    h.hi = loop_bound(b, &r);
    expect_end(b, &r, FOR_USAGE);
    return h;
}

int dir_loop_tables(Compile *c, const Directive *d, const char ***name)
{
    Reader r = reader(c, d->rest_at);
    int n = 0;

    *name = NULL;
    for (; r.t.kind != TOK_end && r.t.kind != TOK_open; advance(&r))
        if (lex_is(r.s, r.t, "from")) {
            advance(&r);
            if (at_name(&r))
                VEC_PUSH(&c->arena, *name, n, lex_name(&c->arena, r.s, r.t));
        }
    return n;
}

/* ---- @data ---- */

static void add_batch_key(Binder *b, Block *blk, const DirArg *a)
{
    Reader r = reader(b->c, a->at);
    const Span at = a->at;

    if (lex_is(r.s, r.t, "rows") && !blk->n_batch) {
        blk->batch_rows = true;
    } else {
        const char *key = key_column(b, blk, &r);
        for (int i = 0; i < blk->n_batch; i++)
            if (!strcmp(blk->batch_key[i], key))
                diag_fail(b->c, ERR_directive_argument, at, "batch key %s stands here twice", key);
        if (blk->n_batch == MAX_BATCH_KEYS || blk->batch_rows)
            diag_fail(b->c, ERR_directive_argument, at,
                      blk->batch_rows ? "batch = rows stands alone" : "more than %d batch keys",
                      MAX_BATCH_KEYS);
        VEC_PUSH(&b->c->arena, blk->batch_key, blk->n_batch, key);
    }
    advance(&r);
    expect_end(b, &r, dir_info[DIR_data].usage);
}

void dir_data(Binder *b, const Directive *d, Block *blk)
{
    static const char *const names[] = { "batch", NULL };

    blk->is_data = true;
    for (int i = 0; i < d->n_args; i++) {
        if (d->arg[i].name ? !arg_is(&d->arg[i], "batch") : i == 0)
            unknown_arg(b, d, &d->arg[i], names);
        no_twice(b, d, i);
        add_batch_key(b, blk, &d->arg[i]);
    }
}

/* ---- @param ---- */

static const struct InitInfo *init_named(Binder *b, const Reader *r)
{
    const char *names[COUNT_OF(init_info)],
        *word = at_name(r) ? lex_name(&b->c->arena, r->s, r->t) : "";

    for (size_t i = 0; i < COUNT_OF(init_info); i++) {
        names[i] = init_info[i].name;
        if (ascii_ieq(names[i], word))
            return &init_info[i];
    }
    const char *near = nearest_name(word, names, COUNT_OF(names));
    if (near)
        diag_fail(b->c, ERR_directive_argument, here(r), "no initial value %s; did you mean %s?",
                  word, near);
    diag_fail(b->c, ERR_directive_argument, here(r),
              "no such initial value; they are a number, zeros, ones, const(x), "
              "uniform(a, b), normal(mean, sd), xavier_uniform, xavier_normal, kaiming_uniform, "
              "kaiming_normal, torch_default");
}

static void check_init(Binder *b, const struct InitInfo *info, const Init *init)
{
    if (init->n_args < info->least || init->n_args > info->most)
        diag_fail(b->c, ERR_directive_argument, init->at,
                  info->most ? "%s takes %d number%s, not %d" : "%s takes no numbers", info->name,
                  info->most, info->most == 1 ? "" : "s", init->n_args);
    if (!strcmp(info->name, "uniform") && init->arg[0] > init->arg[1])
        diag_fail(b->c, ERR_directive_argument, init->at, "uniform(a, b) needs a <= b");
    if (!strcmp(info->name, "normal") && init->arg[1] < 0)
        diag_fail(b->c, ERR_directive_argument, init->at, "normal(mean, sd) needs sd >= 0");
}

/* One argument of an initial value: a number, or `of = table` for torch_default. */
static void read_init_arg(Binder *b, const DirArg *a, const struct InitInfo *info, Init *init)
{
    Reader r = reader(b->c, a->at);

    if (arg_is(a, "of") && !strcmp(info->name, "torch_default") && at_name(&r)) {
        init->of = lex_name(&b->c->arena, r.s, r.t);
        advance(&r);
    } else if (a->name) {
        diag_fail(b->c, ERR_directive_argument, a->at, "%s has no argument %s%s", info->name,
                  a->name, !strcmp(info->name, "torch_default") ? "; it has of = TABLE" : "");
    } else if (init->n_args == (int)COUNT_OF(init->arg)) {
        diag_fail(b->c, ERR_directive_argument, a->at, "%s takes %d numbers at most", info->name,
                  info->most);
    } else {
        init->arg[init->n_args++] = read_number(b, &r, info->name);
    }
    expect_end(b, &r, dir_info[DIR_param].usage);
}

/* `init = name`, `init = name(numbers)` or `init = number`. */
static void read_init(Binder *b, const DirArg *a, Init *init)
{
    Reader r = reader(b->c, a->at);
    DirArg *arg = NULL;
    int n = 0;

    init->at = a->at;
    if (!at_name(&r)) {
        init->name = "const";
        init->arg[init->n_args++] = read_number(b, &r, "init");
        expect_end(b, &r, dir_info[DIR_param].usage);
        return;
    }
    const struct InitInfo *info = init_named(b, &r);
    init->name = info->name;
    advance(&r);
    if (at_punct(&r, '(') && !read_args(&r, info->name, dir_info[DIR_param].usage, &arg, &n))
        bind_give_up(b);
    expect_end(b, &r, dir_info[DIR_param].usage);
    for (int i = 0; i < n; i++)
        read_init_arg(b, &arg[i], info, init);
    check_init(b, info, init);
    if (!strcmp(init->name, "ones")) {
        init->name = "const";
        init->arg[init->n_args++] = 1;
    }
}

/* `in = (c1, c2)` or `in = c`. */
static void read_fan_in(Binder *b, const DirArg *a, const Block *blk, Init *init)
{
    Reader r = reader(b->c, a->at);
    const bool list = take_punct(&r, '(');

    do {
        VEC_PUSH(&b->c->arena, init->in, init->n_in, key_column(b, blk, &r));
        advance(&r);
    } while (list && take_punct(&r, ','));
    if (list && !take_punct(&r, ')'))
        diag_fail(b->c, ERR_directive_argument, here(&r), "the ) of in = (…) is missing");
    expect_end(b, &r, dir_info[DIR_param].usage);
}

/* A flag: `freeze`, `freeze = 0`, `decay = 1`. */
static bool read_flag(Binder *b, const DirArg *a, const char *of)
{
    Reader r = reader(b->c, a->at);

    const double v = read_number(b, &r, of);
    expect_end(b, &r, dir_info[DIR_param].usage);
    if (v != 0 && v != 1)
        diag_fail(b->c, ERR_directive_argument, a->at, "%s is 0 or 1", of);
    return v != 0;
}

void dir_param(Binder *b, const Directive *d, Block *blk)
{
    static const char *const names[] = { "init", "in", "decay", "freeze", NULL };
    Init *init = ARENA_NEW(&b->c->arena, Init);

    blk->is_param = true;
    for (int i = 0; i < d->n_args; i++) {
        const DirArg *a = &d->arg[i];
        no_twice(b, d, i);
        if (arg_is(a, "init"))
            read_init(b, a, init);
        else if (arg_is(a, "in"))
            read_fan_in(b, a, blk, init);
        else if (arg_is(a, "decay"))
            blk->no_decay = !read_flag(b, a, "decay");
        else if (arg_is(a, "freeze"))
            blk->frozen = read_flag(b, a, "freeze");
        else if (!a->name && ascii_ieq(a->text, "freeze"))
            blk->frozen = true;
        else
            unknown_arg(b, d, a, names);
    }
    if (init->name || init->n_in)
        blk->init = init;
}

/* ---- @noise ---- */

#define MAX_NESTED 50           /* parentheses of a constant expression */

static double const_sum(Binder *b, Reader *r, const char *of, int depth);

static double const_factor(Binder *b, Reader *r, const char *of, int depth)
{
    if (!at_punct(r, '(') || depth == MAX_NESTED)
        return read_number(b, r, of);
    advance(r);
    const double v = const_sum(b, r, of, depth + 1);
    if (!take_punct(r, ')'))
        diag_fail(b->c, ERR_directive_argument, here(r), "a ) is missing here: %s", dir_info[DIR_noise].usage);
    return v;
}

static double const_product(Binder *b, Reader *r, const char *of, int depth)
{
    double v = const_factor(b, r, of, depth);

    for (;;)
        if (take_punct(r, '*'))
            v *= const_factor(b, r, of, depth);
        else if (take_punct(r, '/'))
            v /= const_factor(b, r, of, depth);
        else
            return v;
}

static double const_sum(Binder *b, Reader *r, const char *of, int depth)
{
    double v = const_product(b, r, of, depth);

    for (;;)
        if (take_punct(r, '+'))
            v += const_product(b, r, of, depth);
        else if (take_punct(r, '-'))
            v -= const_product(b, r, of, depth);
        else
            return v;
}

/* Numbers, :names, + - * / and parentheses. */
static double const_arg(Binder *b, const DirArg *a, const char *of)
{
    Reader r = reader(b->c, a->at);
    const double v = const_sum(b, &r, of, 0);

    expect_end(b, &r, dir_info[DIR_noise].usage);
    if (!isfinite(v))
        diag_fail(b->c, ERR_directive_argument, a->at, "%s takes finite numbers", of);
    return v;
}

static void check_noise(Binder *b, const DirArg *a, const Noise *n)
{
    if (n->kind == NOISE_normal && n->b < 0)
        diag_fail(b->c, ERR_directive_argument, a->at, "normal(mean, sd) needs sd >= 0");
    if (n->kind == NOISE_uniform && n->a > n->b)
        diag_fail(b->c, ERR_directive_argument, a->at, "uniform(a, b) needs a <= b");
    if (n->kind == NOISE_bernoulli && !(n->a >= 0 && n->a <= 1))
        diag_fail(b->c, ERR_directive_argument, a->at, "bernoulli(p) needs a probability, 0 <= p <= 1");
}

static void read_noise(Binder *b, const DirArg *a, Noise *n)
{
    static const struct { const char *name; int args; } kind[] = {
        [NOISE_normal] = { "normal", 2 }, [NOISE_uniform] = { "uniform", 2 }, [NOISE_bernoulli] = { "bernoulli", 1 }
    };
    Reader r = reader(b->c, a->at);
    const char *word = at_name(&r) ? lex_name(&b->c->arena, r.s, r.t) : "";
    double *to[2] = { &n->a, &n->b };
    DirArg *arg = NULL;
    size_t k = 0;
    int n_args = 0;

    while (k < COUNT_OF(kind) && !ascii_ieq(kind[k].name, word))
        k++;
    if (k == COUNT_OF(kind))
        diag_fail(b->c, ERR_directive_argument, here(&r),
                  "no such noise; there are normal(mean, sd), uniform(a, b) and bernoulli(p)");
    n->kind = (NoiseKind)k;
    advance(&r);
    if (at_punct(&r, '(') && !read_args(&r, kind[k].name, dir_info[DIR_noise].usage, &arg, &n_args))
        bind_give_up(b);
    expect_end(b, &r, dir_info[DIR_noise].usage);
    if (n_args != kind[k].args)
        diag_fail(b->c, ERR_directive_argument, a->at, "%s takes %d number%s, not %d", kind[k].name, kind[k].args,
                  kind[k].args == 1 ? "" : "s", n_args);
    for (int i = 0; i < n_args; i++) {
        if (arg[i].name)
            diag_fail(b->c, ERR_directive_argument, arg[i].at, "%s has no argument %s", kind[k].name, arg[i].name);
        *to[i] = const_arg(b, &arg[i], kind[k].name);
    }
    check_noise(b, a, n);
}

Noise dir_noise(Binder *b, const Directive *d)
{
    static const char *const names[] = { "eval", NULL };
    Noise n = { 0 };

    if (!d->n_args || d->arg[0].name)
        diag_fail(b->c, ERR_directive_argument, d->at, "which noise? %s", dir_info[DIR_noise].usage);
    read_noise(b, &d->arg[0], &n);
    for (int i = 1; i < d->n_args; i++) {
        no_twice(b, d, i);
        if (!arg_is(&d->arg[i], "eval"))
            unknown_arg(b, d, &d->arg[i], names);
        n.has_eval = true;
        n.eval = const_arg(b, &d->arg[i], "eval");
    }
    return n;
}

/* ---- @minimize, @maximize ---- */

bool dir_is_objective(DirWord w)
{
    return w == DIR_minimize || w == DIR_maximize;
}

static const char *objective_usage(const Objective *o)
{
    return dir_info[o->maximize ? DIR_maximize : DIR_minimize].usage;
}

static Block *directive_table(Binder *b, Reader *r, const char *usage)
{
    if (!at_name(r))
        diag_fail(b->c, ERR_directive_syntax, here(r), "a table is named here: %s", usage);
    Block *t = bind_table(b, NULL, lex_name(&b->c->arena, r->s, r->t), here(r));
    advance(r);
    return t;
}

/* A learning rate as text, every :name in it replaced by its number. */
static const char *rate_text(Binder *b, const DirArg *a)
{
    Arena *mem = &b->c->arena;
    Reader r = reader(b->c, a->at);
    size_t done = r.t.off;
    const char *text = "";

    while (r.t.kind != TOK_end) {
        if (r.t.kind != TOK_var) {
            advance(&r);
            continue;
        }
        const size_t from = done, to = r.t.off;
        done = r.t.off + r.t.len;
        const double number = read_number(b, &r, "lr");         /* it may not return */
        Buf out = { 0 };
        buf_real(&out, number);
        text = arena_printf(mem, "%s%.*s%s", text, (int)(to - from), r.s + from, out.s);
        buf_free(&out);
    }
    return arena_printf(mem, "%s%.*s", text, (int)((size_t)(a->at.off + a->at.len) - done), r.s + done);
}

/* `lr = EXPR` is kept as text; other arguments are numbers, true, false, or a bare flag. */
static void read_opt_arg(Binder *b, const DirArg *a, Objective *o)
{
    Reader r = reader(b->c, a->at);
    OptArg out = { a->name ? a->name : a->text, 1 };

    if (arg_is(a, "lr")) {
        o->lr = rate_text(b, a);
        return;
    }
    if (!a->name && !at_name(&r))
        diag_fail(b->c, ERR_directive_argument, a->at,
                  "arguments of an optimizer have names: adam(lr = 1e-3)");
    if (!a->name || lex_is(r.s, r.t, "true"))
        advance(&r);
    else if (lex_is(r.s, r.t, "false")) {
        out.val = 0;
        advance(&r);
    } else
        out.val = read_number(b, &r, out.name);
    expect_end(b, &r, objective_usage(o));
    VEC_PUSH(&b->c->arena, o->arg, o->n_args, out);
}

static void read_optimizer(Binder *b, Reader *r, Objective *o)
{
    DirArg *arg = NULL;
    int n = 0;

    if (!at_name(r))
        diag_fail(b->c, ERR_directive_syntax, here(r), "an optimizer is named here: %s",
                  objective_usage(o));
    o->optimizer = lex_name(&b->c->arena, r->s, r->t);
    advance(r);
    if (at_punct(r, '(') && !read_args(r, o->optimizer, objective_usage(o), &arg, &n))
        bind_give_up(b);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i && arg[i].name; j++)
            if (arg_is(&arg[j], arg[i].name))
                diag_fail(b->c, ERR_directive_argument, arg[i].at, "%s has %s twice", o->optimizer,
                          arg[i].name);
        read_opt_arg(b, &arg[i], o);
    }
}

/* `clamp(lo, hi)` behind a table of over. */
static Clamp read_clamp(Binder *b, Reader *r)
{
    const Reader start = *r;
    Clamp k = { .on = lex_is(r->s, r->t, "clamp") };

    if (!k.on)
        return k;
    advance(r);
    if (!take_punct(r, '('))
        diag_fail(b->c, ERR_directive_syntax, here(r), "clamp has bounds: clamp(0, 1)");
    k.lo = read_number(b, r, "clamp");
    if (!take_punct(r, ','))
        diag_fail(b->c, ERR_directive_syntax, here(r), "clamp has two bounds: clamp(0, 1)");
    k.hi = read_number(b, r, "clamp");
    if (!take_punct(r, ')'))
        diag_fail(b->c, ERR_directive_syntax, here(r), "the ) of clamp(…) is missing");
    if (k.lo > k.hi)
        diag_fail(b->c, ERR_directive_argument, here(&start), "clamp(lo, hi) needs lo <= hi");
    return k;
}

/* A table is moved by one objective only. */
static void add_over(Binder *b, Objective *o, Block *t, Span at, Clamp clamp)
{
    int n = o->n_over;

    for (int i = 0; i < o->n_over; i++)
        if (o->over[i] == t)
            diag_fail(b->c, ERR_directive_argument, at, "%s stands in over twice", t->name);
    for (int k = 0; k < b->p->n_obj; k++)
        for (int i = 0; i < b->p->obj[k].n_over; i++)
            if (b->p->obj[k].over[i] == t)
                diag_fail(b->c, ERR_directive_objective, at,
                          "%s is moved by the objective %s already; name the tables of each: "
                          "over P1, P2",
                          t->name, b->p->obj[k].loss->name);
    for (int i = 0; i < b->p->n_blocks; i++)
        if (b->p->block[i]->updates == t)
            diag_fail(b->c, ERR_directive_update, at, "%s gets its values from %s (@update)",
                      t->name, b->p->block[i]->name);
    VEC_PUSH(&b->c->arena, o->over, o->n_over, t);
    VEC_PUSH(&b->c->arena, o->clamp, n, clamp);
    if (!t->is_param)
        t->life = LIFE_step;            /* data that training moves */
}

static void read_over(Binder *b, Reader *r, Objective *o)
{
    do {
        const Span at = here(r);
        Block *t = directive_table(b, r, objective_usage(o));
        if (t->kind != BLK_base || t->role == BASE_range)
            diag_fail(b->c, ERR_directive_argument, at,
                      "%s is computed; over names parameters or data tables", t->name);
        add_over(b, o, t, at, read_clamp(b, r));
    } while (take_punct(r, ','));
}

void dir_objective(Binder *b, const Directive *d)
{
    Reader r = reader(b->c, d->rest_at);
    Objective o = { .at = d->at, .maximize = d->word == DIR_maximize };

    if (r.t.kind == TOK_end)
        diag_fail(b->c, ERR_directive_syntax, d->at, "@%s what? %s", dir_word(d->word),
                  objective_usage(&o));
    o.loss = directive_table(b, &r, objective_usage(&o));
    const bool named = lex_is(r.s, r.t, "over");
    if (named) {
        advance(&r);
        read_over(b, &r, &o);
    }
    if (lex_is(r.s, r.t, "using")) {
        advance(&r);
        read_optimizer(b, &r, &o);
    }
    expect_end(b, &r, objective_usage(&o));
    for (int i = 0; i < b->p->n_blocks && !named; i++)
        if (b->p->block[i]->is_param && !b->p->block[i]->frozen)
            add_over(b, &o, b->p->block[i], d->at, (Clamp){ 0 });
    VEC_PUSH(&b->c->arena, b->p->obj, b->p->n_obj, o);
}

/* ---- @update ---- */

const char *dir_update_name(Compile *c, const Directive *d)
{
    const Reader r = reader(c, d->rest_at);

    return at_name(&r) ? lex_name(&c->arena, r.s, r.t) : NULL;
}

static int visible_col(const Block *blk, const char *name)
{
    for (int c = 0; c < blk->n_cols; c++)
        if (!blk->col[c].hidden && ascii_ieq(blk->col[c].name, name))
            return c;
    return -1;
}

/* The rows of blk have t's columns, so that they can stand in t. */
static void check_update_cols(Binder *b, const Block *blk, const Block *t, Span at)
{
    for (int c = 0; c < t->n_cols; c++) {
        const int k = visible_col(blk, t->col[c].name);
        if (k < 0)
            diag_fail(b->c, ERR_directive_update, at, "%s has no column %s for that of %s",
                      blk->name, t->col[c].name, t->name);
        if (blk->col[k].type != t->col[c].type)
            diag_fail(b->c, ERR_directive_update, at, "%s.%s is %s, but %s.%s is %s", blk->name,
                      blk->col[k].name, type_name[blk->col[k].type], t->name, t->col[c].name,
                      type_name[t->col[c].type]);
    }
    for (int c = 0; c < blk->n_cols; c++)
        if (!blk->col[c].hidden && visible_col(t, blk->col[c].name) < 0)
            diag_fail(b->c, ERR_directive_update, at, "%s has no column %s to take that of %s",
                      t->name, blk->col[c].name, blk->name);
}

void dir_update(Binder *b, const Directive *d, Block *blk)
{
    Reader r = reader(b->c, d->rest_at);

    if (r.t.kind == TOK_end)
        diag_fail(b->c, ERR_directive_syntax, d->at, "@update what? @update T");
    const Span at = here(&r);
    Block *t = directive_table(b, &r, dir_info[DIR_update].usage);
    expect_end(b, &r, dir_info[DIR_update].usage);
    if (!t->is_param)
        diag_fail(b->c, ERR_directive_update, at,
                  "%s is no parameter; @update changes a table that @param declares", t->name);
    for (int i = 0; i < b->p->n_blocks; i++)
        if (b->p->block[i]->updates == t)
            diag_fail(b->c, ERR_directive_update, at, "%s gets its values from %s already", t->name,
                      b->p->block[i]->name);
    check_update_cols(b, blk, t, at);
    t->frozen = true;
    blk->updates = t;
}

/* Rows that meet the same row of the target would leave open which one stays. */
void dir_check_updates(Binder *b)
{
    for (int i = 0; i < b->p->n_blocks; i++) {
        const Block *k = b->p->block[i];
        for (int j = 0; k->updates && j < k->n_id; j++)
            if (k->col[k->id_col[j]].hidden || k->col[k->id_col[j]].type == T_REAL)
                diag_error(b->c, ERR_directive_update, k->name_at,
                           "%s may have several rows for one of %s; group it by the keys of %s",
                           k->name, k->updates->name, k->updates->name);
    }
}
