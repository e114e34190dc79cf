/* SPDX-License-Identifier: Apache-2.0
 *
 * import_text.c - text into a row a character: (pos, code, ch), where equal characters have equal codes.
 *
 * Codes are 0, 1, 2, … in the order of code points.  Where rows are added (--append), characters that the table or
 * the alphabet (--labels) holds keep their codes, and others follow. */
#include "data/importer.h"

#include <string.h>

#define CODE_POINTS 0x110000

int32_t utf8_next(const uint8_t *p, size_t n, size_t *at)
{
    static const int32_t least[] = { 1, 0x80, 0x800, 0x10000 };
    const uint8_t first = p[*at];
    const int more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : -1;
    int32_t ch = more <= 0 ? first : first & (0x3f >> more);

    if (more < 0 || n - *at <= (size_t)more)
        return -1;
    for (int k = 1; k <= more; k++) {
        if (p[*at + (size_t)k] >> 6 != 2)
            return -1;
        ch = ch << 6 | (p[*at + (size_t)k] & 0x3f);
    }
    if (ch < least[more] || ch >= CODE_POINTS || (ch >= 0xd800 && ch < 0xe000))
        return -1;
    *at += (size_t)more + 1;
    return ch;
}

typedef struct TextSet {
    FileBytes *file; int n_files;
    size_t n;                           /* characters */
    int32_t *code;                      /* of each code point; -1: it does not occur */
    const char **letter; int n_codes;   /* the text of each code */
    int n_old;                          /* codes that were there before */
    int64_t first;                      /* position of the first character */
    Arena arena;
} TextSet;

static void text_free(TextSet *s)
{
    for (int k = 0; k < s->n_files; k++)
        file_free(&s->file[k]);
    mem_free(s->code);
    arena_free(&s->arena);
}

static Code not_text(const char *path, const FileBytes *f, size_t at, Err *e)
{
    int64_t line = 1;

    for (size_t k = 0; k < at; k++)
        line += f->p[k] == '\n';
    return err_set(e, E_INPUT, ERR_data_format, "%s: line %lld: byte %zu is %s", path, (long long)line, at,
                   f->p[at] ? "no UTF-8" : "NUL; this is no text");
}

static size_t text_start(const FileBytes *f)
{
    return f->n >= 3 && !memcmp(f->p, "\xef\xbb\xbf", 3) ? 3 : 0;
}

/* Mark the characters of a file, at most `left` of them. */
static Code mark_letters(TextSet *s, const char *path, const FileBytes *f, size_t left, Err *e)
{
    for (size_t at = text_start(f), from; at < f->n && left; left--, s->n++) {
        from = at;
        const int32_t ch = utf8_next(f->p, f->n, &at);
        if (ch < 0)
            return not_text(path, f, from, e);
        if (s->code[ch] < 0)
            s->code[ch] = INT32_MAX;
    }
    return OK;
}

static Code read_texts(TextSet *s, const ImportOpts *o, Err *e)
{
    const size_t most = o->limit < 0 ? SIZE_MAX : (size_t)o->limit;
    Code rc = OK;

    s->file = ARENA_ARRAY(&s->arena, FileBytes, o->n_files);
    for (int k = 0; !rc && k < o->n_files && s->n < most; k++) {
        rc = file_read(&s->file[s->n_files++], o->file[k], e);
        if (!rc)
            rc = mark_letters(s, o->file[k], &s->file[k], most - s->n, e);
    }
    return rc || s->n ? rc : err_set(e, E_INPUT, ERR_data_size, "%s: no character; there is nothing to import", o->file[0]);
}

static const char *letter_text(Arena *a, int32_t ch)
{
    if (ch < 0x80)
        return arena_printf(a, "%c", (int)ch);
    if (ch < 0x800)
        return arena_printf(a, "%c%c", (int)(0xc0 | ch >> 6), (int)(0x80 | (ch & 0x3f)));
    if (ch < 0x10000)
        return arena_printf(a, "%c%c%c", (int)(0xe0 | ch >> 12), (int)(0x80 | (ch >> 6 & 0x3f)), (int)(0x80 | (ch & 0x3f)));
    return arena_printf(a, "%c%c%c%c", (int)(0xf0 | ch >> 18), (int)(0x80 | (ch >> 12 & 0x3f)), (int)(0x80 | (ch >> 6 & 0x3f)),
                        (int)(0x80 | (ch & 0x3f)));
}

/* Those that have no code yet, in order of code points. */
static void number_letters(TextSet *s)
{
    for (int32_t ch = 0; ch < CODE_POINTS; ch++)
        if (s->code[ch] == INT32_MAX) {
            s->code[ch] = s->n_codes;
            VEC_PUSH(&s->arena, s->letter, s->n_codes, letter_text(&s->arena, ch));
        }
}

/* ---- codes that are there already ---- */

static Code bad_alphabet(Db *db, const char *table, Err *e)
{
    return err_set(e, E_INPUT, ERR_data_match, "%s: %s holds no alphabet (code, ch) with the codes 0, 1, 2, …, a character each",
                   db_path(db), table);
}

static Code take_letter(Db *db, TextSet *s, const Table *t, size_t row, const char *table, Err *e)
{
    const char *ch = t->col[1].type == T_TEXT && !table_null(t, 1, row) ? t->col[1].s[row] : "";
    const size_t n = strlen(ch);
    size_t at = 0;
    const int32_t point = n ? utf8_next((const uint8_t *)ch, n, &at) : -1;

    if (point < 0 || at != n || t->col[0].type != T_INT || table_null(t, 0, row) || t->col[0].i[row] != s->n_codes ||
        (s->code[point] >= 0 && s->code[point] != INT32_MAX))
        return bad_alphabet(db, table, e);
    s->code[point] = s->n_codes;
    VEC_PUSH(&s->arena, s->letter, s->n_codes, arena_strdup(&s->arena, ch));
    s->n_old = s->n_codes;
    return OK;
}

static Code old_letters(Db *db, TextSet *s, const char *table, Err *e)
{
    Buf b = { 0 };
    Table t = { 0 };

    buf_puts(&b, "SELECT DISTINCT code, ch FROM ");
    buf_ident(&b, table);
    buf_puts(&b, " ORDER BY code");
    Code rc = db_query(db, b.s, &t, e);
    for (size_t row = 0; !rc && row < t.n_rows; row++)
        rc = take_letter(db, s, &t, row, table, e);
    table_free(&t);
    buf_free(&b);
    return rc;
}

static Code next_position(Db *db, TextSet *s, const char *table, Err *e)
{
    Buf b = { 0 };
    Table t = { 0 };

    buf_puts(&b, "SELECT coalesce(max(pos), -1) AS pos FROM ");
    buf_ident(&b, table);
    Code rc = db_query(db, b.s, &t, e);
    if (!rc && (t.col[0].type != T_INT || t.col[0].i[0] < -1 || t.col[0].i[0] > INT64_MAX / 2))
        rc = err_set(e, E_INPUT, ERR_data_match, "%s: the positions of %s are no numbers from 0", db_path(db), table);
    if (!rc)
        s->first = t.col[0].i[0] + 1;
    table_free(&t);
    buf_free(&b);
    return rc;
}

static Code old_text(Db *db, TextSet *s, const ImportOpts *o, Err *e)
{
    const bool alphabet = o->labels && db_has(db, o->labels), rows = db_has(db, o->table);
    Code rc = OK;

    if (!o->append)
        return OK;
    if (alphabet || rows)
        rc = old_letters(db, s, alphabet ? o->labels : o->table, e);
    return rc || !rows ? rc : next_position(db, s, o->table, e);
}

/* ---- writing ---- */

static Code new_table(Db *db, const ImportOpts *o, const char *table, const char *columns, Err *e)
{
    Buf b = { 0 };

    if (o->append && db_has(db, table))
        return OK;
    if (o->replace && db_drop(db, table, e))
        return e->code;
    if (db_has(db, table))
        return err_set(e, E_INPUT, ERR_db_exists, "%s: there is already a table %s", db_path(db), table);
    buf_puts(&b, "CREATE TABLE ");
    buf_ident(&b, table);
    buf_printf(&b, " (%s)", columns);
    const Code rc = db_exec(db, e, b.s);
    buf_free(&b);
    return rc;
}

static Code text_columns(Table *t, const char *name, const char *key, size_t n, Err *e)
{
    const char *const names[] = { key, "code", "ch" };
    const int skip = key ? 0 : 1;

    table_init(t, name, 3 - skip, n);
    for (int c = 0; c < t->n_cols; c++)
        if (!table_add_col(t, c, names[c + skip], c + skip == 2 ? T_TEXT : T_INT, false))
            return err_set(e, E_ENV, ERR_data_file, "%zu characters do not fit in memory", n);
    return OK;
}

static void text_rows(const TextSet *s, Table *t)
{
    size_t row = 0;

    for (int k = 0; k < s->n_files; k++)
        for (size_t at = text_start(&s->file[k]); at < s->file[k].n && row < s->n; row++) {
            const int32_t code = s->code[utf8_next(s->file[k].p, s->file[k].n, &at)];
            t->col[0].i[row] = s->first + (int64_t)row;
            t->col[1].i[row] = code;
            t->col[2].s[row] = s->letter[code];
        }
}

static Code write_text(Db *db, const TextSet *s, const ImportOpts *o, Err *e)
{
    Table t = { 0 };
    Code rc = new_table(db, o, o->table, "pos INTEGER PRIMARY KEY, code INTEGER NOT NULL, ch TEXT NOT NULL", e);

    if (!rc)
        rc = text_columns(&t, o->table, "pos", s->n, e);
    if (!rc) {
        text_rows(s, &t);
        rc = db_append(db, o->table, &t, e);
    }
    table_free(&t);
    return rc;
}

static Code write_alphabet(Db *db, const TextSet *s, const ImportOpts *o, Err *e)
{
    const bool there = o->append && db_has(db, o->labels);
    const size_t from = there ? (size_t)s->n_old : 0;
    Table t = { 0 };
    Code rc = new_table(db, o, o->labels, "code INTEGER PRIMARY KEY, ch TEXT NOT NULL", e);

    if (!rc)
        rc = text_columns(&t, o->labels, NULL, (size_t)s->n_codes - from, e);
    for (size_t row = 0; !rc && row < t.n_rows; row++) {
        t.col[0].i[row] = (int64_t)(from + row);
        t.col[1].s[row] = s->letter[from + row];
    }
    if (!rc)
        rc = db_append(db, o->labels, &t, e);
    table_free(&t);
    return rc;
}

typedef struct TextJob { TextSet *s; const ImportOpts *o; } TextJob;

static Code text_job(Db *db, const void *arg, Err *e)
{
    const TextJob *j = arg;
    Code rc = old_text(db, j->s, j->o, e);

    if (!rc) {
        number_letters(j->s);
        rc = write_text(db, j->s, j->o, e);
    }
    return rc || !j->o->labels ? rc : write_alphabet(db, j->s, j->o, e);
}

Code import_text(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e)
{
    TextSet s = { .code = mem_try(CODE_POINTS * sizeof *s.code) };
    const TextJob job = { &s, o };
    Code rc = s.code ? OK : err_set(e, E_ENV, ERR_data_file, "no memory for an alphabet");

    (void)a;
    for (int32_t ch = 0; !rc && ch < CODE_POINTS; ch++)
        s.code[ch] = -1;
    if (!rc)
        rc = read_texts(&s, o, e);
    if (!rc)
        rc = import_transaction(db, text_job, &job, e);
    r->n_rows = (int64_t)s.n;
    r->n_codes = s.n_codes;
    text_free(&s);
    return rc;
}
