/* SPDX-License-Identifier: Apache-2.0
 *
 * import.c - files of one format into tables of a database, in one transaction, all or nothing.
 *
 * Everything that can be wrong with the files is found before the database is touched.  Images become a
 * packed view (db_pack_create) and a plain table of labels; a CSV file becomes a plain table. */
#include "data/csv.h"
#include "data/file.h"

#include <string.h>

#define CIFAR_STRIDE 3073
#define CIFAR_PIXELS 3072

/* ---- images ---- */

/* Part of a file: n images, or labels, `stride` bytes apart. */
typedef struct ImagePart { const uint8_t *p; size_t n, stride; } ImagePart;

typedef struct ImageSet {
    FileBytes *file; int n_files;
    ImagePart *px, *label; int n_px, n_label;
    size_t n_images, n_labels;
    const char *first;              /* the file that fixed the size */
    DbPack pack;
    Arena arena;
} ImageSet;

static void set_free(ImageSet *s)
{
    for (int k = 0; k < s->n_files; k++)
        file_free(&s->file[k]);
    arena_free(&s->arena);
}

static Code same_size(const ImageSet *s, const char *path, int rows, int cols, Err *e)
{
    if (s->pack.size[0] == rows && s->pack.size[1] == cols)
        return OK;
    return err_set(e, E_INPUT, ERR_data_match, "%s: images of %d x %d; those in %s are %d x %d", path, rows, cols,
                   s->first, s->pack.size[0], s->pack.size[1]);
}

static Code add_idx_images(ImageSet *s, const char *path, const uint32_t dim[4], const uint8_t *data, Err *e)
{
    const ImagePart part = { data, dim[0], (size_t)dim[1] * dim[2] };

    if (dim[1] > INT32_MAX || dim[2] > INT32_MAX)
        return err_set(e, E_INPUT, ERR_data_size, "%s: images of %u x %u are too large", path, dim[1], dim[2]);
    if (s->n_px && same_size(s, path, (int)dim[1], (int)dim[2], e))
        return e->code;
    if (!s->n_px) {
        s->first = path;
        s->pack = (DbPack){ .dim = { "r", "c" }, .size = { (int)dim[1], (int)dim[2] }, .n_dims = 2 };
    }
    VEC_PUSH(&s->arena, s->px, s->n_px, part);
    s->n_images += part.n;
    return OK;
}

static Code add_idx(ImageSet *s, const char *path, const FileBytes *f, Err *e)
{
    Err inner = { 0 };
    const uint8_t *data;
    uint32_t dim[4] = { 0 };
    int n_dims;

    if (idx_parse(f->p, f->n, &n_dims, dim, &data, &inner))
        return file_error(path, &inner, e);
    if (n_dims == 3)
        return add_idx_images(s, path, dim, data, e);
    if (n_dims != 1)
        return err_set(e, E_INPUT, ERR_data_format, "%s: %d dimensions; images have 3, labels 1", path, n_dims);
    VEC_PUSH(&s->arena, s->label, s->n_label, ((ImagePart){ data, dim[0], 1 }));
    s->n_labels += dim[0];
    return OK;
}

static Code add_cifar(ImageSet *s, const char *path, const FileBytes *f, Err *e)
{
    Err inner = { 0 };
    size_t n;

    if (cifar10_parse(f->p, f->n, &n, &inner))
        return file_error(path, &inner, e);
    s->pack = (DbPack){ .dim = { "channel", "r", "c" }, .size = { 3, 32, 32 }, .n_dims = 3 };
    VEC_PUSH(&s->arena, s->px, s->n_px, ((ImagePart){ f->p + 1, n, CIFAR_STRIDE }));
    VEC_PUSH(&s->arena, s->label, s->n_label, ((ImagePart){ f->p, n, CIFAR_STRIDE }));
    s->n_images += n;
    s->n_labels += n;
    return OK;
}

static Code read_image_files(ImageSet *s, const ImportOpts *o, bool cifar, Err *e)
{
    Code rc = OK;

    s->file = ARENA_ARRAY(&s->arena, FileBytes, o->n_files);
    for (int k = 0; !rc && k < o->n_files; k++) {
        FileBytes *f = &s->file[s->n_files++];
        rc = file_read(f, o->file[k], e);
        if (!rc)
            rc = cifar ? add_cifar(s, o->file[k], f, e) : add_idx(s, o->file[k], f, e);
    }
    return rc;
}

static Code check_set(const ImageSet *s, const ImportOpts *o, bool cifar, Err *e)
{
    if (!s->n_images)
        return err_set(e, E_INPUT, ERR_data_match, "no file holds images (%s)", o->file[0]);
    if (!cifar && s->n_label && !o->labels)
        return err_set(e, E_INPUT, ERR_data_option, "a file holds labels; name their table with --labels");
    if (o->labels && !s->n_label)
        return err_set(e, E_INPUT, ERR_data_option, "--labels %s: no file holds labels", o->labels);
    if (o->labels && s->n_labels != s->n_images)
        return err_set(e, E_INPUT, ERR_data_match, "%zu images, but %zu labels", s->n_images, s->n_labels);
    return OK;
}

static size_t limited(size_t n, int64_t limit)
{
    return limit >= 0 && (uint64_t)limit < n ? (size_t)limit : n;
}

/* Where the new images go, and the number of the first. */
static Code prepare_view(Db *db, const ImageSet *s, const ImportOpts *o, int64_t *first, Err *e)
{
    *first = 0;
    if (o->append && db_has(db, o->table))
        return db_pack_match(db, &s->pack, first, e);
    if (o->replace && db_drop(db, o->table, e))
        return e->code;
    return db_pack_create(db, &s->pack, e);
}

static Code write_images(Db *db, const ImageSet *s, int64_t first, size_t n, Err *e)
{
    Code rc = OK;

    for (int k = 0; !rc && k < s->n_px; k++) {
        const size_t now = s->px[k].n < n ? s->px[k].n : n;
        rc = db_pack_append(db, &s->pack, first, s->px[k].p, now, s->px[k].stride, e);
        first += (int64_t)now;
        n -= now;
    }
    return rc;
}

static Code label_rows(const ImageSet *s, const ImportOpts *o, int64_t first, size_t n, Table *t, Err *e)
{
    size_t row = 0;

    table_init(t, o->labels, 2, n);
    if (!table_add_col(t, 0, "image", T_INT, false) || !table_add_col(t, 1, "label", T_INT, false))
        return err_set(e, E_ENV, ERR_data_file, "%zu labels do not fit in memory", n);
    for (int k = 0; k < s->n_label; k++)
        for (size_t i = 0; i < s->label[k].n && row < n; i++, row++) {
            t->col[0].i[row] = first + (int64_t)row;
            t->col[1].i[row] = s->label[k].p[i * s->label[k].stride];
        }
    return OK;
}

static Code check_old_labels(Db *db, const ImportOpts *o, int64_t first, Err *e)
{
    Buf b = { 0 };
    Table t;

    buf_puts(&b, "SELECT max(image) FROM ");
    buf_ident(&b, o->labels);
    Code rc = db_query(db, b.s, &t, e);
    buf_free(&b);
    if (!rc && t.n_rows && t.col[0].type == T_INT && t.col[0].i[0] >= first)
        rc = err_set(e, E_INPUT, ERR_data_match, "%s holds a label of image %lld, but the next image of %s is %lld",
                     o->labels, (long long)t.col[0].i[0], o->table, (long long)first);
    if (!rc)
        table_free(&t);
    return rc;
}

static Code prepare_labels(Db *db, const ImportOpts *o, int64_t first, Err *e)
{
    Buf b = { 0 };

    if (o->append && db_has(db, o->labels))
        return check_old_labels(db, o, first, e);
    if (o->replace && db_drop(db, o->labels, e))
        return e->code;
    if (db_has(db, o->labels))
        return err_set(e, E_INPUT, ERR_db_exists, "%s: there is already a table %s", db_path(db), o->labels);
    buf_puts(&b, "CREATE TABLE ");
    buf_ident(&b, o->labels);
    buf_puts(&b, " (image INTEGER PRIMARY KEY, label INTEGER NOT NULL)");
    const Code rc = db_exec(db, e, b.s);
    buf_free(&b);
    return rc;
}

static Code write_labels(Db *db, const ImageSet *s, const ImportOpts *o, int64_t first, size_t n, Err *e)
{
    Table t = { 0 };
    Code rc = prepare_labels(db, o, first, e);

    if (!rc)
        rc = label_rows(s, o, first, n, &t, e);
    if (!rc)
        rc = db_append(db, o->labels, &t, e);
    table_free(&t);
    return rc;
}

static Code write_set(Db *db, const ImageSet *s, const ImportOpts *o, size_t n, Err *e)
{
    int64_t first;
    Code rc = prepare_view(db, s, o, &first, e);

    if (!rc)
        rc = write_images(db, s, first, n, e);
    if (!rc && o->labels)
        rc = write_labels(db, s, o, first, n, e);
    return rc;
}

static void report_images(const ImageSet *s, const ImportOpts *o, size_t n, ImportReport *r, Arena *a)
{
    Buf b = { 0 };

    r->n_images = r->n_rows = (int64_t)n;
    r->n_labels = o->labels ? (int64_t)n : 0;
    for (int k = 0; k < s->pack.n_dims; k++) {
        buf_printf(&b, "%s%d", k ? " x " : "", s->pack.size[k]);
        r->n_rows *= s->pack.size[k];
    }
    r->shape = arena_strdup(a, b.s);
    buf_free(&b);
}

/* Run `write` in a transaction. */
static Code in_transaction(Db *db, Code (*write)(Db *db, const void *arg, Err *e), const void *arg, Err *e)
{
    Code rc = db_begin(db, e);

    if (rc)
        return rc;
    rc = write(db, arg, e);
    if (!rc)
        rc = db_commit(db, e);
    if (rc)
        db_rollback(db);
    return rc;
}

typedef struct ImageJob { const ImageSet *s; const ImportOpts *o; size_t n; } ImageJob;

static Code image_job(Db *db, const void *arg, Err *e)
{
    const ImageJob *j = arg;

    return write_set(db, j->s, j->o, j->n, e);
}

static Code import_images(Db *db, const ImportOpts *o, bool cifar, ImportReport *r, Arena *a, Err *e)
{
    ImageSet s = { 0 };
    double bytes[256];
    Code rc = read_image_files(&s, o, cifar, e);

    if (!rc)
        rc = check_set(&s, o, cifar, e);
    for (int k = 0; k < 256; k++)
        bytes[k] = k;
    s.pack.view = o->table;
    s.pack.map = o->has_map ? o->map : bytes;
    const ImageJob job = { &s, o, limited(s.n_images, o->limit) };
    if (!rc)
        rc = in_transaction(db, image_job, &job, e);
    if (!rc)
        report_images(&s, o, job.n, r, a);
    set_free(&s);
    return rc;
}

/* ---- CSV ---- */

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

static Code import_csv(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e)
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
        rc = in_transaction(db, csv_job, &job, e);
    if (!rc)
        report_csv(&s, r, a);
    for (int k = 0; k < s.n_files; k++)
        file_free(&s.file[k]);
    arena_free(&s.arena);
    return rc;
}

/* ---- options ---- */

static bool reserved_name(const char *s)
{
    static const char *const prefix[] = { "sqlite_", "sqlgrad_", GEN_PREFIX };

    for (size_t k = 0; k < COUNT_OF(prefix); k++) {
        size_t i = 0;
        while (prefix[k][i] && (s[i] | 0x20) == (prefix[k][i] | 0x20))
            i++;
        if (!prefix[k][i])
            return true;
    }
    return false;
}

static Code check_table_names(const ImportOpts *o, Err *e)
{
    const char *name[] = { o->table, o->labels };

    if (!o->table)
        return err_set(e, E_USAGE, ERR_data_option, "name the table to import into with --table");
    for (int k = 0; k < 2; k++)
        if (name[k] && (!*name[k] || reserved_name(name[k])))
            return err_set(e, E_INPUT, ERR_data_option, "\"%s\" cannot be the name of a table: names that start with "
                           "sqlite_, sqlgrad_ or %s are reserved", name[k], GEN_PREFIX);
    if (o->labels && ascii_ieq(o->table, o->labels))
        return err_set(e, E_INPUT, ERR_data_option, "--table and --labels are both %s", o->table);
    return OK;
}

static Code check_opts(const ImportOpts *o, bool csv, Err *e)
{
    if (!o->n_files)
        return err_set(e, E_USAGE, ERR_data_option, "no file to import");
    if (o->append && o->replace)
        return err_set(e, E_USAGE, ERR_data_option, "--append and --replace exclude each other");
    if (!o->limit)
        return err_set(e, E_USAGE, ERR_data_option, "--limit 0 would import nothing");
    if (csv && (o->as || o->has_map))
        return err_set(e, E_INPUT, ERR_data_option, "csv has no --as; compute the value in the model");
    if (csv && o->labels)
        return err_set(e, E_INPUT, ERR_data_option, "csv has no --labels; import them as a table of their own");
    if (o->as && !o->has_map)
        BUG("--as without its values");
    return check_table_names(o, e);
}

Code data_import(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e)
{
    static const char *const format[] = { "idx", "cifar10", "csv" };
    size_t k = 0;

    *r = (ImportReport){ .shape = "" };
    while (k < COUNT_OF(format) && strcmp(o->format, format[k]))
        k++;
    if (k == COUNT_OF(format))
        return err_set(e, E_USAGE, ERR_data_option, "unknown format \"%s\"; it is one of idx, cifar10, csv", o->format);
    if (check_opts(o, k == 2, e))
        return e->code;
    return k == 2 ? import_csv(db, o, r, a, e) : import_images(db, o, k == 1, r, a, e);
}
