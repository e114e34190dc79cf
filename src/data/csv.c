/* SPDX-License-Identifier: Apache-2.0
 *
 * csv.c - CSV as RFC 4180 has it, with a header; types from the data.
 *
 * An empty field without quotes is NULL.  INTEGER: digits with an optional sign and no leading zero, in 64
 * bits.  REAL: a decimal number with point or exponent.  Anything else is TEXT, and one text makes its column
 * TEXT: 0123 and numbers beyond 64 bits are codes, not quantities.  Blanks round a number do not matter; a
 * number beyond the range of REAL in a column of numbers is an error. */
#include "data/csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Csv {
    const char *s, *end;
    int64_t line;               /* of s, from 1 */
    /* the field just read */
    const char *field; size_t len;
    int64_t field_line;
    bool quoted, last;          /* last: of its row */
    Buf buf;                    /* its text where quotes were doubled; and scratch for numbers */
} Csv;

static Code csv_error(int64_t line, Err *e, const char *what)
{
    return err_set(e, E_INPUT, ERR_data_csv, "line %lld: %s", (long long)line, what);
}

/* ---- fields ---- */

static bool line_end(const Csv *c)
{
    return c->s == c->end || *c->s == '\n' || *c->s == '\r';
}

static void skip_line_end(Csv *c)
{
    if (c->s < c->end && *c->s == '\r')
        c->s++;
    if (c->s < c->end && *c->s == '\n')
        c->s++;
    c->line++;
}

static Code quoted_field(Csv *c, Err *e)
{
    bool closed = false;

    c->buf.n = 0;
    buf_add(&c->buf, "", 0);
    for (c->s++; c->s < c->end && !closed; ) {
        const char *q = memchr(c->s, '"', (size_t)(c->end - c->s));
        const char *to = q ? q : c->end;
        for (const char *p = c->s; p < to; p++)
            c->line += *p == '\n' || (*p == '\r' && p + 1 < c->end && p[1] != '\n');
        buf_add(&c->buf, c->s, (size_t)(to - c->s));
        closed = q && (q + 1 == c->end || q[1] != '"');
        if (q && !closed)
            buf_putc(&c->buf, '"');
        c->s = !q ? c->end : closed ? q + 1 : q + 2;
    }
    c->field = c->buf.s;
    c->len = c->buf.n;
    if (!closed)
        return csv_error(c->field_line, e, "a quote is opened and never closed");
    if (!line_end(c) && *c->s != ',')
        return csv_error(c->line, e, "text after a closing quote; a quote inside a quoted field is doubled");
    return OK;
}

static Code bare_field(Csv *c, Err *e)
{
    c->field = c->s;
    while (!line_end(c) && *c->s != ',') {
        if (*c->s == '"')
            return csv_error(c->line, e, "a quote inside a field that does not start with one");
        c->s++;
    }
    c->len = (size_t)(c->s - c->field);
    return OK;
}

/* The next field; after the last one of a row the scanner stands at the next row. */
static Code next_field(Csv *c, Err *e)
{
    c->field_line = c->line;
    c->quoted = c->s < c->end && *c->s == '"';
    const Code rc = c->quoted ? quoted_field(c, e) : bare_field(c, e);
    if (rc)
        return rc;
    if (c->len && memchr(c->field, 0, c->len))
        return csv_error(c->field_line, e, "a NUL byte; this is no text");
    c->last = line_end(c);
    if (c->last)
        skip_line_end(c);
    else
        c->s++;
    return OK;
}

static bool is_utf8(const char *s, size_t n)
{
    for (size_t i = 0; i < n; ) {
        const unsigned char ch = (unsigned char)s[i];
        const size_t len = ch < 0x80 ? 1 : ch >= 0xC2 && ch < 0xE0 ? 2 : ch >= 0xE0 && ch < 0xF0 ? 3
                         : ch >= 0xF0 && ch < 0xF5 ? 4 : 0;
        if (!len || len > n - i)
            return false;
        for (size_t k = 1; k < len; k++)
            if (((unsigned char)s[i + k] & 0xC0) != 0x80)
                return false;
        if ((ch == 0xE0 && (unsigned char)s[i + 1] < 0xA0) || (ch == 0xF0 && (unsigned char)s[i + 1] < 0x90) ||
            (ch == 0xED && (unsigned char)s[i + 1] > 0x9F) || (ch == 0xF4 && (unsigned char)s[i + 1] > 0x8F))
            return false;
        i += len;
    }
    return true;
}

/* ---- what a field is ---- */

static void trim_blanks(const char **s, size_t *n)
{
    while (*n && (**s == ' ' || **s == '\t'))
        ++*s, --*n;
    while (*n && ((*s)[*n - 1] == ' ' || (*s)[*n - 1] == '\t'))
        --*n;
}

static size_t digits(const char *s, size_t n)
{
    size_t k = 0;

    while (k < n && s[k] >= '0' && s[k] <= '9')
        k++;
    return k;
}

/* T_INT or T_REAL if s is written as such a number (however large), else T_TEXT. */
static Type number_form(const char *s, size_t n)
{
    const size_t sign = n && (*s == '-' || *s == '+');
    const size_t whole = digits(s + sign, n - sign);
    size_t at = sign + whole, part = 0;

    if (whole > 1 && s[sign] == '0')
        return T_TEXT;
    if (at == n)
        return whole ? T_INT : T_TEXT;
    if (s[at] == '.') {
        part = digits(s + at + 1, n - at - 1);
        at += 1 + part;
    }
    if (!whole && !part)
        return T_TEXT;
    if (at < n && (s[at] == 'e' || s[at] == 'E')) {
        at++;
        at += at < n && (s[at] == '-' || s[at] == '+');
        const size_t k = digits(s + at, n - at);
        if (!k)
            return T_TEXT;
        at += k;
    }
    return at == n ? T_REAL : T_TEXT;
}

/* parse_real for numbers of any length. */
static double field_real(const char *s, size_t n)
{
    double x;

    if (parse_real(s, n, &x))
        return x;
    char *copy = mem_alloc(n + 1);
    memcpy(copy, s, n);
    x = strtod(copy, NULL);
    mem_free(copy);
    return x;
}

static void first_line(int64_t *slot, const Csv *c)
{
    if (!*slot)
        *slot = c->field_line;
}

static Code see_field(Csv *c, CsvSeen *seen, Err *e)
{
    const char *s = c->field;
    size_t n = c->len;
    int64_t i;

    if (!n) {
        first_line(c->quoted ? &seen->text : &seen->null, c);
        return OK;
    }
    trim_blanks(&s, &n);
    const Type t = number_form(s, n);
    if (t == T_TEXT) {
        if (!is_utf8(c->field, c->len))
            return csv_error(c->field_line, e, "bytes that are not UTF-8");
        first_line(&seen->text, c);
    } else if (isinf(field_real(s, n)))
        first_line(&seen->overflow, c);
    else if (t == T_REAL)
        first_line(&seen->real, c);
    else
        first_line(parse_int(s, n, &i) ? &seen->integer : &seen->big, c);
    return OK;
}

/* ---- the header ---- */

static Code start_csv(Csv *c, const char *text, size_t n, Err *e)
{
    *c = (Csv){ .s = text, .end = text + n, .line = 1 };
    if (n >= 2 && (!memcmp(text, "\xff\xfe", 2) || !memcmp(text, "\xfe\xff", 2)))
        return csv_error(1, e, "the file is UTF-16; save it as UTF-8");
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        c->s += 3;
    while (c->end > c->s && (c->end[-1] == '\n' || c->end[-1] == '\r'))
        c->end--;                       /* blank lines at the end are no rows */
    if (c->s == c->end)
        return err_set(e, E_INPUT, ERR_data_csv, "the file is empty; a CSV file starts with the names of its columns");
    return OK;
}

static Code header_name(Csv *c, CsvInfo *info, Arena *a, Err *e)
{
    const char *s = c->field;
    size_t n = c->len;

    if (!c->quoted)
        trim_blanks(&s, &n);
    if (!n)
        return err_set(e, E_INPUT, ERR_data_csv, "line 1: column %d has no name", info->n_cols + 1);
    if (!is_utf8(s, n))
        return csv_error(1, e, "a column's name is not UTF-8");
    const char *name = arena_strndup(a, s, n);
    if (!strncmp(name, GEN_PREFIX, strlen(GEN_PREFIX)))
        return err_set(e, E_INPUT, ERR_data_csv, "line 1: column \"%s\": names that start with %s are reserved",
                       name, GEN_PREFIX);
    for (int k = 0; k < info->n_cols; k++)
        if (ascii_ieq(name, info->name[k]))
            return err_set(e, E_INPUT, ERR_data_csv, "line 1: two columns are called \"%s\"", name);
    VEC_PUSH(a, info->name, info->n_cols, name);
    return OK;
}

static Code read_header(Csv *c, CsvInfo *info, Arena *a, Err *e)
{
    Code rc;

    do {
        if ((rc = next_field(c, e)) == OK)
            rc = header_name(c, info, a, e);
        if (!rc && info->n_cols > 2000)
            rc = err_set(e, E_INPUT, ERR_data_csv, "line 1: more than 2000 columns");
    } while (!rc && !c->last);
    return rc;
}

/* ---- rows ---- */

static Code ragged(int64_t line, int found, bool more, int want, Err *e)
{
    return err_set(e, E_INPUT, ERR_data_csv, "line %lld: %s%d field%s; the header has %d", (long long)line,
                   more ? "more than " : "", found, found == 1 ? "" : "s", want);
}

static Code look_row(Csv *c, CsvInfo *info, Err *e)
{
    const int64_t line = c->line;
    Code rc;

    for (int k = 0; k < info->n_cols; k++) {
        if ((rc = next_field(c, e)) != OK || (rc = see_field(c, &info->seen[k], e)) != OK)
            return rc;
        if (c->last && k + 1 < info->n_cols)
            return ragged(line, k + 1, false, info->n_cols, e);
    }
    return c->last ? OK : ragged(line, info->n_cols, true, info->n_cols, e);
}

Code csv_look(const char *text, size_t n, int64_t limit, CsvInfo *info, Arena *a, Err *e)
{
    Csv c;
    Code rc = start_csv(&c, text, n, e);

    *info = (CsvInfo){ 0 };
    if (!rc)
        rc = read_header(&c, info, a, e);
    if (!rc)
        info->seen = ARENA_ARRAY(a, CsvSeen, info->n_cols);
    while (!rc && c.s < c.end && (limit < 0 || info->n_rows < (uint64_t)limit)) {
        rc = look_row(&c, info, e);
        info->n_rows++;
    }
    if (!rc && !info->n_rows)
        rc = err_set(e, E_INPUT, ERR_data_csv, "the file has a header and no rows");
    buf_free(&c.buf);
    return rc;
}

Code csv_type(const CsvSeen *s, const char *name, Type *type, Err *e)
{
    *type = T_TEXT;
    if (s->text || (!s->real && (s->big || !(s->integer || s->overflow))))
        return OK;
    if (s->overflow)
        return err_set(e, E_INPUT, ERR_data_csv, "line %lld: the number in column \"%s\" is beyond the range of REAL",
                       (long long)s->overflow, name);
    *type = s->real ? T_REAL : T_INT;
    return OK;
}

static int64_t earlier(int64_t x, int64_t y)
{
    return !x || (y && y < x) ? y : x;
}

bool csv_fits(const CsvSeen *s, Type type, int64_t *line)
{
    *line = type == T_TEXT ? 0 : earlier(s->text, s->overflow);
    if (type == T_INT)
        *line = earlier(*line, earlier(s->real, s->big));
    return !*line;
}

static void store_field(Csv *c, TableCol *k, size_t row, Map *m)
{
    const char *s = c->field;
    size_t n = c->len;

    if (!n && !c->quoted) {
        k->null[row] = 1;
        if (k->s)
            k->s[row] = "";
        return;
    }
    if (k->type == T_TEXT) {
        const int at = *map_put(m, s, n, m->n);
        k->s[row] = m->e[at].key;
        return;
    }
    trim_blanks(&s, &n);
    if (k->type == T_REAL)
        k->r[row] = field_real(s, n);
    else
        parse_int(s, n, &k->i[row]);
}

static Code fill_rows(Csv *c, Table *out, Err *e)
{
    Map m;
    Code rc = OK;

    map_init(&m, &out->arena);
    for (size_t row = 0; !rc && row < out->n_rows; row++)
        for (int k = 0; !rc && k < out->n_cols; k++)
            if ((rc = next_field(c, e)) == OK)
                store_field(c, &out->col[k], row, &m);
    return rc;
}

Code csv_fill(const char *text, size_t n, const CsvInfo *info, const Type *type, Table *out, Err *e)
{
    Arena a = { 0 };
    CsvInfo again = { 0 };
    Csv c;
    Code rc = start_csv(&c, text, n, e);

    if (!rc)
        rc = read_header(&c, &again, &a, e);
    table_init(out, "", info->n_cols, info->n_rows);
    for (int k = 0; !rc && k < info->n_cols; k++)
        if (!table_add_col(out, k, info->name[k], type[k], info->seen[k].null > 0))
            rc = err_set(e, E_ENV, ERR_data_file, "%zu rows do not fit in memory", info->n_rows);
    if (!rc)
        rc = fill_rows(&c, out, e);
    if (rc)
        table_free(out);
    buf_free(&c.buf);
    arena_free(&a);
    return rc;
}

Code csv_parse(const char *text, size_t n, int64_t limit, Table *out, Err *e)
{
    Arena a = { 0 };
    CsvInfo info;
    Code rc = csv_look(text, n, limit, &info, &a, e);

    *out = (Table){ 0 };
    if (!rc) {
        Type *type = ARENA_ARRAY(&a, Type, info.n_cols);
        for (int k = 0; !rc && k < info.n_cols; k++)
            rc = csv_type(&info.seen[k], info.name[k], &type[k], e);
        if (!rc)
            rc = csv_fill(text, n, &info, type, out, e);
    }
    arena_free(&a);
    return rc;
}
