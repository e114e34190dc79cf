/* SPDX-License-Identifier: Apache-2.0
 *
 * diag.c - errors: a message that knows where it is in the user's text, and the compilation that
 * owns it.  Offsets are bytes; columns are code points from 1, as editors count. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

#define LINE_WINDOW 120         /* columns of a long source line that are shown */

Code err_set(Err *e, Code code, const char *id, const char *fmt, ...)
{
    va_list ap;

    if (e->code != OK)
        return e->code;
    e->code = code;
    e->id = id;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    return code;
}

int compile_add_file(Compile *c, const char *path, const char *text, size_t len)
{
    VEC_PUSH(&c->arena, c->file, c->n_files, ((SrcFile){ path, text, len }));
    return c->n_files - 1;
}

void compile_on_free(Compile *c, void (*fn)(void *), void *arg)
{
    if (c->n_release == (int)COUNT_OF(c->release))
        BUG("more than %d foreign objects in a compilation", c->n_release);
    c->release[c->n_release] = fn;
    c->release_arg[c->n_release++] = arg;
}

void compile_free(Compile *c)
{
    while (c->n_release > 0) {
        c->n_release--;
        c->release[c->n_release](c->release_arg[c->n_release]);
    }
    arena_free(&c->arena);
}

static void diag_add(Compile *c, DiagKind kind, const char *id, Span at, const char *fmt, va_list ap)
{
    const Diag d = { kind, id, at, arena_vprintf(&c->arena, fmt, ap) };

    VEC_PUSH(&c->arena, c->diag, c->n_diags, d);
    c->n_errors += kind == DIAG_ERROR;
}

void diag_leave(Compile *c)
{
    c->code = E_INPUT;
    longjmp(c->guard ? *c->guard : c->fail, 1);
}

void diag_fail(Compile *c, const char *id, Span at, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    diag_add(c, DIAG_ERROR, id, at, fmt, ap);
    va_end(ap);
    diag_leave(c);
}

void diag_fail_env(Compile *c, const char *id, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    diag_add(c, DIAG_ERROR, id, (Span){ 0 }, fmt, ap);
    va_end(ap);
    c->code = E_ENV;
    longjmp(c->fail, 1);
}

void diag_error(Compile *c, const char *id, Span at, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    diag_add(c, DIAG_ERROR, id, at, fmt, ap);
    va_end(ap);
}

void diag_note(Compile *c, const char *id, Span at, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    diag_add(c, DIAG_NOTE, id, at, fmt, ap);
    va_end(ap);
}

void diag_stop_if_any(Compile *c)
{
    if (!c->n_errors)
        return;
    c->code = E_INPUT;
    longjmp(c->fail, 1);
}

static bool starts_char(char ch)
{
    return (ch & 0xC0) != 0x80;
}

/* The line that holds byte `off`: its first byte, one past its last, and its number. */
static int find_line(const SrcFile *f, size_t off, size_t *bol, size_t *eol)
{
    int line = 1;

    *bol = 0;
    for (size_t i = 0; i < off && i < f->len; i++)
        if (f->text[i] == '\n') {
            line++;
            *bol = i + 1;
        }
    *eol = *bol;
    while (*eol < f->len && f->text[*eol] != '\n')
        ++*eol;
    if (*eol > *bol && f->text[*eol - 1] == '\r')
        --*eol;
    return line;
}

void diag_locate(const Compile *c, Span at, int *line, int *col)
{
    const SrcFile *f = &c->file[at.file];
    size_t bol, eol;

    *line = find_line(f, (size_t)at.off, &bol, &eol);
    *col = 1;
    for (size_t i = bol; i < (size_t)at.off && i < f->len; i++)
        *col += starts_char(f->text[i]);
}

/* The source line with marks under [at.off, at.off + at.len); a long line is cut to a window. */
static void print_marked(Buf *out, const SrcFile *f, Span at, int line, size_t bol, size_t eol)
{
    const size_t off = (size_t)at.off < f->len ? (size_t)at.off : f->len;
    size_t from = bol, to = eol, width = 0;

    if (to - from > LINE_WINDOW) {
        from = off - bol > LINE_WINDOW / 2 ? off - LINE_WINDOW / 2 : bol;
        while (from > bol && !starts_char(f->text[from])) from--;
        if (to - from > LINE_WINDOW) to = from + LINE_WINDOW;
        while (to < eol && !starts_char(f->text[to])) to++;
    }
    buf_printf(out, "%4d | ", line);
    for (size_t i = from; i < to; i++)
        buf_putc(out, (unsigned char)f->text[i] < ' ' ? ' ' : f->text[i]);    /* tabs, stray control bytes */
    buf_puts(out, "\n     | ");
    for (size_t i = from; i < off; i++)
        width += starts_char(f->text[i]);
    while (width-- > 0) buf_putc(out, ' ');
    buf_putc(out, '^');
    for (size_t i = off + 1; i < off + (size_t)at.len && i < to; i++)
        if (starts_char(f->text[i])) buf_putc(out, '~');
    buf_putc(out, '\n');
}

void diag_print(Buf *out, const Compile *c, const Diag *d)
{
    const char *kind = d->kind == DIAG_NOTE ? "note" : "error";

    if (d->at.len == 0 || d->at.file >= c->n_files) {
        if (c->n_files)
            buf_printf(out, "%s: %s: %s\n", c->file[0].path, kind, d->msg);
        else
            buf_printf(out, "sqlgrad: %s: %s\n", kind, d->msg);
        return;
    }
    const SrcFile *f = &c->file[d->at.file];
    size_t bol, eol;
    int line, col;
    diag_locate(c, d->at, &line, &col);
    find_line(f, (size_t)d->at.off, &bol, &eol);
    buf_printf(out, "%s:%d:%d: %s: %s\n", f->path, line, col, kind, d->msg);
    print_marked(out, f, d->at, line, bol, eol);
}
