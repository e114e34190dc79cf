/* SPDX-License-Identifier: Apache-2.0
 *
 * import_csv.c - CSV files with one header between them into a plain table. */
#include "data/csv.h"
#include "data/importer.h"

#include <string.h>

typedef struct CsvSet {
    FileBytes *file; int n_files;
    CsvInfo *info;
    Type *type; bool known;         /* known: those of the table that rows are added to */
    Arena arena;
} CsvSet;

static Code same_header(const CsvSet *s, int k, const ImportOpts *o, Err *e)
{
    const CsvInfo *x = &s->info[0], *y = &s->info[k];
    bool same = x->n_cols == y->n_cols;

    for (int c = 0; same && c < x->n_cols; c++)
        same = !strcmp(x->name[c], y->name[c]);
    return same ? OK : err_set(e, E_INPUT, ERR_data_match, "%s: line 1: its columns are not those of %s",
                               o->file[k], o->file[0]);
}

static Code read_csvs(CsvSet *s, const ImportOpts *o, Err *e)
{
    int64_t left = o->limit;
    Code rc = OK;

    s->file = ARENA_ARRAY(&s->arena, FileBytes, o->n_files);
    s->info = ARENA_ARRAY(&s->arena, CsvInfo, o->n_files);
    for (int k = 0; !rc && left && k < o->n_files; k++) {
        Err inner = { 0 };
        rc = file_read(&s->file[k], o->file[k], e);
        if (rc)
            return rc;
        s->n_files = k + 1;
        if (csv_look((const char *)s->file[k].p, s->file[k].n, left, &s->info[k], &s->arena, &inner))
            return file_error(o->file[k], &inner, e);
        rc = same_header(s, k, o, e);
        left -= left > 0 ? (int64_t)s->info[k].n_rows : 0;
    }
    return rc;
}

/* Each column's type over all files: where they differ the wider one. */
static Code unite_types(CsvSet *s, const ImportOpts *o, Err *e)
{
    const CsvInfo *first = &s->info[0];

    for (int c = 0; c < first->n_cols; c++) {
        CsvSeen all = { 0 };
        int from = 0;
        for (int k = 0; k < s->n_files; k++) {
            const CsvSeen *x = &s->info[k].seen[c];
            from = !all.overflow && x->overflow ? k : from;
            all.integer |= x->integer;
            all.real |= x->real;
            all.text |= x->text;
            all.big |= x->big;
            all.overflow = all.overflow ? all.overflow : x->overflow;
        }
        Err inner = { 0 };
        if (csv_type(&all, first->name[c], &s->type[c], &inner))
            return file_error(o->file[from], &inner, e);
    }
    return OK;
}

static Code table_types(Db *db, CsvSet *s, const ImportOpts *o, Err *e)
{
    const CsvInfo *h = &s->info[0];
    CatTable t;
    Code rc = db_describe(db, o->table, &t, &s->arena, e);

    for (int c = 0; !rc && c < h->n_cols; c++) {
        int at = 0;
        while (at < t.n_cols && !ascii_ieq(t.col[at].name, h->name[c]))
            at++;
        if (at == t.n_cols)
            return err_set(e, E_INPUT, ERR_data_match, "%s: line 1: %s has no column \"%s\"", o->file[0], o->table,
                           h->name[c]);
        s->type[c] = t.col[at].type;
        for (int k = 0; k < s->n_files; k++) {
            int64_t line;
            if (!csv_fits(&s->info[k].seen[c], s->type[c], &line))
                return err_set(e, E_INPUT, ERR_data_match, "%s: line %lld: column \"%s\" of %s is %s; this value is not",
                               o->file[k], (long long)line, h->name[c], o->table, type_name[s->type[c]]);
        }
    }
    return rc;
}

typedef struct CsvJob { const CsvSet *s; const ImportOpts *o; } CsvJob;

static Code write_csv(Db *db, const CsvSet *s, const ImportOpts *o, int k, Err *e)
{
    Err inner = { 0 };
    Table t;

    if (csv_fill((const char *)s->file[k].p, s->file[k].n, &s->info[k], s->type, &t, &inner))
        return file_error(o->file[k], &inner, e);
    const Code rc = k || s->known ? db_append(db, o->table, &t, e) : db_create(db, o->table, &t, o->replace, e);
    table_free(&t);
    return rc;
}

static Code csv_job(Db *db, const void *arg, Err *e)
{
    const CsvJob *j = arg;
    Code rc = OK;

    for (int k = 0; !rc && k < j->s->n_files; k++)
        rc = write_csv(db, j->s, j->o, k, e);
    return rc;
}

static void report_csv(const CsvSet *s, ImportReport *r, Arena *a)
{
    Buf b = { 0 };

    for (int k = 0; k < s->n_files; k++)
        r->n_rows += (int64_t)s->info[k].n_rows;
    for (int c = 0; c < s->info[0].n_cols; c++)
        buf_printf(&b, "%s%s %s", c ? ", " : "", s->info[0].name[c], type_name[s->type[c]]);
    r->shape = arena_strdup(a, b.s);
    buf_free(&b);
}

Code import_csv(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e)
{
    CsvSet s = { 0 };
    const CsvJob job = { &s, o };
    Code rc = read_csvs(&s, o, e);

    if (!rc) {
        s.type = ARENA_ARRAY(&s.arena, Type, s.info[0].n_cols);
        s.known = o->append && db_has(db, o->table);
        rc = s.known ? table_types(db, &s, o, e) : unite_types(&s, o, e);
    }
    if (!rc)
        rc = import_transaction(db, csv_job, &job, e);
    if (!rc)
        report_csv(&s, r, a);
    for (int k = 0; k < s.n_files; k++)
        file_free(&s.file[k]);
    arena_free(&s.arena);
    return rc;
}
