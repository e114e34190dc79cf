/* SPDX-License-Identifier: Apache-2.0
 *
 * import_npy.c - arrays of .npy files into a plain table: a key column a dimension, and val.
 *
 * Floating elements, and all elements under --as, become REAL values; integers become INTEGER, which is a key.  Of
 * several files the first dimension goes on from one to the next. */
#include "data/importer.h"

#include <string.h>

typedef struct NpySet {
    FileBytes *file; int n_files;
    Npy *array;
    const char **key;
    Type type;
    size_t n_rows;                  /* with --limit */
    int64_t first;                  /* of the first key */
    Arena arena;
} NpySet;

static Code same_shape(const NpySet *s, const ImportOpts *o, int k, Err *e)
{
    const Npy *x = &s->array[0], *y = &s->array[k];
    bool same = x->n_dims == y->n_dims && x->n_dims > 0 && (x->kind == 'f') == (y->kind == 'f');

    for (int d = 1; same && d < x->n_dims; d++)
        same = x->dim[d] == y->dim[d];
    return same || !k ? OK : err_set(e, E_INPUT, ERR_data_match, "%s: its dimensions beyond the first, or the kind of its "
                                     "elements, are not those of %s", o->file[k], o->file[0]);
}

static uint64_t npy_inner(const Npy *a)
{
    uint64_t n = 1;

    for (int d = 1; d < a->n_dims; d++)
        n *= a->dim[d];
    return n;
}

static Code read_arrays(NpySet *s, const ImportOpts *o, Err *e)
{
    uint64_t n = 0;
    Code rc = OK;

    s->file = ARENA_ARRAY(&s->arena, FileBytes, o->n_files);
    s->array = ARENA_ARRAY(&s->arena, Npy, o->n_files);
    for (int k = 0; !rc && k < o->n_files; k++) {
        Err inner = { 0 };
        rc = file_read(&s->file[s->n_files++], o->file[k], e);
        if (!rc && npy_parse(s->file[k].p, s->file[k].n, &s->array[k], &inner))
            rc = file_error(o->file[k], &inner, e);
        if (!rc)
            rc = same_shape(s, o, k, e);
        n += rc ? 0 : s->array[k].n;
    }
    s->n_rows = import_limit((size_t)n, o->limit);
    return rc || s->n_rows ? rc : err_set(e, E_INPUT, ERR_data_size, "%s: no element; there is nothing to import", o->file[0]);
}

/* i, j, k, … unless --keys names them. */
static Code name_keys(NpySet *s, const ImportOpts *o, Err *e)
{
    static const char *const usual[NPY_DIMS] = { "i", "j", "k", "l", "m", "n", "o", "p" };
    const int n = s->array[0].n_dims;

    if (o->n_keys && o->n_keys != n)
        return err_set(e, E_INPUT, ERR_data_option, "--keys names %d column%s; %s has %d dimension%s", o->n_keys,
                       o->n_keys == 1 ? "" : "s", o->file[0], n, n == 1 ? "" : "s");
    s->key = ARENA_ARRAY(&s->arena, const char *, n);
    for (int d = 0; d < n; d++) {
        s->key[d] = o->n_keys ? o->key[d] : usual[d];
        for (int c = 0; c < d; c++)
            if (ascii_ieq(s->key[c], s->key[d]))
                return err_set(e, E_INPUT, ERR_data_option, "--keys names \"%s\" twice", s->key[d]);
        if (!*s->key[d] || ascii_ieq(s->key[d], "val"))
            return err_set(e, E_INPUT, ERR_data_option, "\"%s\" cannot be the name of a key", s->key[d]);
    }
    return OK;
}

/* Where the element with the keys of C order number `row` lies. */
static uint64_t npy_place(const Npy *a, uint64_t row)
{
    uint64_t at = 0, stride = a->n;

    if (!a->fortran)
        return row;
    for (int d = a->n_dims - 1; d >= 0; d--) {
        stride /= a->dim[d];
        at += row % a->dim[d] * stride;
        row /= a->dim[d];
    }
    return at;
}

static void npy_keys(const Npy *a, uint64_t row, int64_t first, Table *t, size_t to)
{
    for (int d = a->n_dims - 1; d >= 0; d--) {
        t->col[d].i[to] = (int64_t)(d ? row % a->dim[d] : row) + (d ? 0 : first);
        row /= a->dim[d];
    }
}

static Code npy_value(const NpySet *s, const ImportOpts *o, int k, uint64_t at, Table *t, size_t to, Err *e)
{
    const Npy *a = &s->array[k];
    TableCol *c = &t->col[a->n_dims];

    if (s->type == T_REAL)
        c->r[to] = o->value ? o->value(o->value_arg, npy_real(a, at)) : npy_real(a, at);
    else if ((c->i[to] = npy_int(a, at)) < 0 && a->kind == 'u')
        return err_set(e, E_INPUT, ERR_data_size, "%s: element %llu is beyond the largest INTEGER", o->file[k],
                       (unsigned long long)at);
    return OK;
}

static Code npy_rows(const NpySet *s, const ImportOpts *o, Table *t, Err *e)
{
    int64_t first = s->first;
    size_t to = 0;
    Code rc = OK;

    for (int k = 0; !rc && k < s->n_files; k++) {
        const Npy *a = &s->array[k];
        for (uint64_t row = 0; !rc && row < a->n && to < s->n_rows; row++, to++) {
            npy_keys(a, row, first, t, to);
            rc = npy_value(s, o, k, npy_place(a, row), t, to, e);
        }
        first += a->n_dims ? (int64_t)a->dim[0] : 0;
    }
    return rc;
}

static Code fill_npy(const NpySet *s, const ImportOpts *o, Table *t, Err *e)
{
    const int n = s->array[0].n_dims;
    bool room = table_init(t, o->table, n + 1, s->n_rows);

    for (int d = 0; room && d < n; d++)
        room = table_add_col(t, d, s->key[d], T_INT, false);
    room = room && table_add_col(t, n, "val", s->type, false);
    return room ? npy_rows(s, o, t, e)
                : err_set(e, E_ENV, ERR_data_file, "%zu elements do not fit in memory", s->n_rows);
}

/* Rows are added behind those of the table: where its first key ends. */
static Code npy_next(Db *db, NpySet *s, const ImportOpts *o, Err *e)
{
    Buf b = { 0 };
    Table t = { 0 };

    if (!o->append || !db_has(db, o->table) || !s->array[0].n_dims)
        return OK;
    buf_puts(&b, "SELECT coalesce(max(");
    buf_ident(&b, s->key[0]);
    buf_puts(&b, "), -1) AS last FROM ");
    buf_ident(&b, o->table);
    Code rc = db_query(db, b.s, &t, e);
    if (!rc && (t.col[0].type != T_INT || t.col[0].i[0] > INT64_MAX / 2 || t.col[0].i[0] < -INT64_MAX / 2))
        rc = err_set(e, E_INPUT, ERR_data_match, "%s: %s of %s is no number to go on from", db_path(db), s->key[0], o->table);
    if (!rc)
        s->first = t.col[0].i[0] + 1;
    table_free(&t);
    buf_free(&b);
    return rc;
}

typedef struct NpyJob { NpySet *s; const ImportOpts *o; } NpyJob;

static Code npy_job(Db *db, const void *arg, Err *e)
{
    const NpyJob *j = arg;
    Table t = { 0 };
    Code rc = npy_next(db, j->s, j->o, e);

    if (!rc)
        rc = fill_npy(j->s, j->o, &t, e);
    if (!rc)
        rc = j->o->append && db_has(db, j->o->table) ? db_append(db, j->o->table, &t, e)
                                                     : db_create(db, j->o->table, &t, j->o->replace, e);
    table_free(&t);
    return rc;
}

static const char *npy_shape_text(const NpySet *s, Arena *a)
{
    const Npy *x = &s->array[0];
    uint64_t outer = 0;
    Buf b = { 0 };

    for (int k = 0; k < s->n_files; k++)
        outer += s->array[k].n_dims ? s->array[k].dim[0] : 0;
    buf_puts(&b, "");
    if (x->n_dims && s->n_rows % npy_inner(x) == 0)
        outer = s->n_rows / npy_inner(x);
    for (int d = 0; d < x->n_dims; d++)
        buf_printf(&b, "%s%llu", d ? " x " : "", (unsigned long long)(d ? x->dim[d] : outer));
    const char *text = arena_strdup(a, b.s);
    buf_free(&b);
    return text;
}

Code import_npy(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e)
{
    NpySet s = { 0 };
    const NpyJob job = { &s, o };
    Code rc = read_arrays(&s, o, e);

    if (!rc)
        rc = name_keys(&s, o, e);
    if (!rc) {
        s.type = s.array[0].kind == 'f' || o->value ? T_REAL : T_INT;
        rc = import_transaction(db, npy_job, &job, e);
    }
    r->n_rows = (int64_t)s.n_rows;
    if (!rc)
        r->shape = npy_shape_text(&s, a);
    for (int k = 0; k < s.n_files; k++)
        file_free(&s.file[k]);
    arena_free(&s.arena);
    return rc;
}
