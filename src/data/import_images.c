/* SPDX-License-Identifier: Apache-2.0
 *
 * import_images.c - images of IDX and CIFAR-10 files, or a picture a file, into a packed view (db_pack_create) and a
 * plain table of labels. */
#include "data/importer.h"
#include "data/picture.h"

#include <string.h>

#define CIFAR_STRIDE 3073
#define CIFAR_PIXELS 3072

/* Part of a file: n images, or labels, `stride` bytes apart. */
typedef struct ImagePart { const uint8_t *p; size_t n, stride; } ImagePart;

typedef struct ImageSet {
    FileBytes *file; int n_files;
    uint8_t **own; int n_own;       /* pictures: their samples */
    ImagePart *px, *label; int n_px, n_label;
    size_t n_images, n_labels;
    const char **name;              /* pictures: the file of each image */
    const char *first;              /* the file that fixed the size */
    DbPack pack;
    Arena arena;
} ImageSet;

static void set_free(ImageSet *s)
{
    for (int k = 0; k < s->n_files; k++)
        file_free(&s->file[k]);
    for (int k = 0; k < s->n_own; k++)
        mem_free(s->own[k]);
    arena_free(&s->arena);
}

static const char *size_text(const DbPack *p, Arena *a)
{
    Buf b = { 0 };

    for (int k = 0; k < p->n_dims; k++)
        buf_printf(&b, "%s%d", k ? " x " : "", p->size[k]);
    const char *s = arena_strdup(a, b.s);
    buf_free(&b);
    return s;
}

/* The first images fix the size; the others must have it. */
static Code take_size(ImageSet *s, const char *path, const DbPack *d, Err *e)
{
    if (!s->n_px) {
        s->first = path;
        s->pack = *d;
    }
    if (!memcmp(s->pack.size, d->size, sizeof d->size))
        return OK;
    return err_set(e, E_INPUT, ERR_data_match, "%s: images of %s; those in %s are %s", path, size_text(d, &s->arena),
                   s->first, size_text(&s->pack, &s->arena));
}

static Code add_idx_images(ImageSet *s, const char *path, const uint32_t dim[4], const uint8_t *data, Err *e)
{
    const ImagePart part = { data, dim[0], (size_t)dim[1] * dim[2] };

    if (dim[1] > INT32_MAX || dim[2] > INT32_MAX)
        return err_set(e, E_INPUT, ERR_data_size, "%s: images of %u x %u are too large", path, dim[1], dim[2]);
    if (take_size(s, path, &(DbPack){ .dim = { "r", "c" }, .size = { (int)dim[1], (int)dim[2] }, .n_dims = 2 }, e))
        return e->code;
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

/* The picture's samples take the place of the file's bytes. */
static Code add_picture(ImageSet *s, const char *path, const ImportOpts *o, Picture *p, Err *e)
{
    const int channels = o->channels ? (int)o->channels : p->channels;
    const size_t n = (size_t)channels * (size_t)p->rows * (size_t)p->cols;
    Code rc = picture_convert(p, channels, e);

    if (!rc)
        rc = take_size(s, path, &(DbPack){ .dim = { "channel", "r", "c" }, .size = { channels, p->rows, p->cols },
                                           .n_dims = 3 }, e);
    if (rc) {
        picture_free(p);
        return rc;
    }
    VEC_PUSH(&s->arena, s->own, s->n_own, p->px);
    VEC_PUSH(&s->arena, s->px, s->n_px, ((ImagePart){ p->px, 1, n }));
    VEC_PUSH(&s->arena, s->name, s->n_label, path);
    s->n_images++;
    s->n_labels++;
    return OK;
}

/* The pictures of one file: PNM may hold several. */
static Code add_pictures(ImageSet *s, const char *path, const ImportOpts *o, const FileBytes *f, Err *e)
{
    size_t at = 0, used;
    Err inner = { 0 };
    Picture p;
    Code rc = OK;

    do {
        const bool png = png_is(f->p + at, f->n - at);
        used = f->n - at;
        if (png ? png_parse(f->p, f->n, &p, &inner) : pnm_parse(f->p + at, f->n - at, &p, &used, &inner))
            return file_error(path, &inner, e);
        rc = add_picture(s, path, o, &p, e);
        at += used;
    } while (!rc && at < f->n);
    return rc;
}

static Code add_file(ImageSet *s, const ImportOpts *o, ImportFormat format, const char *path, Err *e)
{
    FileBytes *f = &s->file[s->n_files++];
    Code rc = file_read(f, path, e);

    if (!rc && format == FORMAT_image) {
        rc = add_pictures(s, path, o, f, e);
        file_free(f);                   /* of many files only the samples are kept */
    } else if (!rc)
        rc = format == FORMAT_cifar10 ? add_cifar(s, path, f, e) : add_idx(s, path, f, e);
    return rc;
}

static Code read_image_files(ImageSet *s, const ImportOpts *o, ImportFormat format, Err *e)
{
    Code rc = OK;

    s->file = ARENA_ARRAY(&s->arena, FileBytes, o->n_files);
    for (int k = 0; !rc && k < o->n_files && (format != FORMAT_image || o->limit < 0 || s->n_images < (size_t)o->limit); k++)
        rc = add_file(s, o, format, o->file[k], e);
    return rc;
}

static Code check_set(const ImageSet *s, const ImportOpts *o, ImportFormat format, Err *e)
{
    if (!s->n_images)
        return err_set(e, E_INPUT, ERR_data_match, "no file holds images (%s)", o->file[0]);
    if (format == FORMAT_idx && s->n_label && !o->labels)
        return err_set(e, E_INPUT, ERR_data_option, "a file holds labels; name their table with --labels");
    if (o->labels && !s->n_label)
        return err_set(e, E_INPUT, ERR_data_option, "--labels %s: no file holds labels", o->labels);
    if (o->labels && s->n_labels != s->n_images)
        return err_set(e, E_INPUT, ERR_data_match, "%zu images, but %zu labels", s->n_images, s->n_labels);
    return OK;
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

static void number_labels(const ImageSet *s, size_t n, Table *t)
{
    size_t row = 0;

    for (int k = 0; k < s->n_label; k++)
        for (size_t i = 0; i < s->label[k].n && row < n; i++)
            t->col[1].i[row++] = s->label[k].p[i * s->label[k].stride];
}

/* The name of the folder that a picture's file is in, and the file's path. */
static void name_labels(const ImageSet *s, size_t n, Table *t)
{
    for (size_t row = 0; row < n; row++) {
        const char *path = s->name[row], *end = strrchr(path, '/'), *from = end;
        while (from && from > path && from[-1] != '/')
            from--;
        t->col[1].s[row] = end && end > from ? arena_strndup(&t->arena, from, (size_t)(end - from)) : ".";
        t->col[2].s[row] = arena_strdup(&t->arena, path);
    }
}

static Code label_rows(const ImageSet *s, const ImportOpts *o, int64_t first, size_t n, Table *t, Err *e)
{
    const bool named = s->name != NULL;

    table_init(t, o->labels, named ? 3 : 2, n);
    if (!table_add_col(t, 0, "image", T_INT, false) || !table_add_col(t, 1, "label", named ? T_TEXT : T_INT, false) ||
        (named && !table_add_col(t, 2, "file", T_TEXT, false)))
        return err_set(e, E_ENV, ERR_data_file, "%zu labels do not fit in memory", n);
    for (size_t row = 0; row < n; row++)
        t->col[0].i[row] = first + (int64_t)row;
    if (named)
        name_labels(s, n, t);
    else
        number_labels(s, n, t);
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

static Code prepare_labels(Db *db, const ImageSet *s, const ImportOpts *o, int64_t first, Err *e)
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
    buf_puts(&b, s->name ? " (image INTEGER PRIMARY KEY, label TEXT NOT NULL, file TEXT NOT NULL)"
                         : " (image INTEGER PRIMARY KEY, label INTEGER NOT NULL)");
    const Code rc = db_exec(db, e, b.s);
    buf_free(&b);
    return rc;
}

static Code write_labels(Db *db, const ImageSet *s, const ImportOpts *o, int64_t first, size_t n, Err *e)
{
    Table t = { 0 };
    Code rc = prepare_labels(db, s, o, first, e);

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
    r->n_images = r->n_rows = (int64_t)n;
    r->n_labels = o->labels ? (int64_t)n : 0;
    for (int k = 0; k < s->pack.n_dims; k++)
        r->n_rows *= s->pack.size[k];
    r->shape = size_text(&s->pack, a);
}

typedef struct ImageJob { const ImageSet *s; const ImportOpts *o; size_t n; } ImageJob;

static Code image_job(Db *db, const void *arg, Err *e)
{
    const ImageJob *j = arg;

    return write_set(db, j->s, j->o, j->n, e);
}

Code import_images(Db *db, const ImportOpts *o, ImportFormat format, ImportReport *r, Arena *a, Err *e)
{
    ImageSet s = { 0 };
    double bytes[256];
    Code rc = read_image_files(&s, o, format, e);

    if (!rc)
        rc = check_set(&s, o, format, e);
    for (int k = 0; k < 256; k++)
        bytes[k] = k;
    s.pack.view = o->table;
    s.pack.map = o->has_map ? o->map : bytes;
    const ImageJob job = { &s, o, import_limit(s.n_images, o->limit) };
    if (!rc)
        rc = import_transaction(db, image_job, &job, e);
    if (!rc)
        report_images(&s, o, job.n, r, a);
    set_free(&s);
    return rc;
}
