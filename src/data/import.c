/* SPDX-License-Identifier: Apache-2.0
 *
 * import.c - files of one format into tables of a database, in one transaction, all or nothing.
 *
 * Everything that can be wrong with the files is found before the database is touched.  One file a kind of data
 * does the work; here is what they share, and what options may say. */
#include "data/importer.h"

#include <string.h>

size_t import_limit(size_t n, int64_t limit)
{
    return limit >= 0 && (uint64_t)limit < n ? (size_t)limit : n;
}

Code import_transaction(Db *db, Code (*write)(Db *db, const void *arg, Err *e), const void *arg, Err *e)
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

/* What each format makes nothing of, and why. */
static const struct { ImportFormat format; char option; const char *why; } not_for[] = {
    { FORMAT_csv, 'a', "csv has no --as; compute the value in the model" },
    { FORMAT_text, 'a', "text has no --as; its rows hold characters and their codes" },
    { FORMAT_csv, 'l', "csv has no --labels; import them as a table of their own" },
    { FORMAT_npy, 'l', "npy has no --labels; import them as a table of their own" },
};

static Code check_format(const ImportOpts *o, ImportFormat f, Err *e)
{
    for (size_t k = 0; k < COUNT_OF(not_for); k++)
        if (not_for[k].format == f && (not_for[k].option == 'a' ? o->as || o->has_map : o->labels != NULL))
            return err_set(e, E_INPUT, ERR_data_option, "%s", not_for[k].why);
    if (o->channels && f != FORMAT_image)
        return err_set(e, E_INPUT, ERR_data_option, "--channels is for the format image");
    if (o->channels && o->channels != 1 && o->channels != 3)
        return err_set(e, E_INPUT, ERR_data_option, "--channels is 1 (grey) or 3 (red, green, blue), not %lld",
                       (long long)o->channels);
    if (o->n_keys && f != FORMAT_npy)
        return err_set(e, E_INPUT, ERR_data_option, "--keys is for the format npy");
    return OK;
}

static Code check_opts(const ImportOpts *o, ImportFormat f, Err *e)
{
    if (!o->n_files)
        return err_set(e, E_USAGE, ERR_data_option, "no file to import");
    if (o->append && o->replace)
        return err_set(e, E_USAGE, ERR_data_option, "--append and --replace exclude each other");
    if (!o->limit)
        return err_set(e, E_USAGE, ERR_data_option, "--limit 0 would import nothing");
    if (check_format(o, f, e))
        return e->code;
    if (o->as && !o->has_map && !o->value)
        BUG("--as without its values");
    return check_table_names(o, e);
}

const char *const import_format[N_FORMATS] = {
    [FORMAT_idx] = "idx", [FORMAT_cifar10] = "cifar10", [FORMAT_image] = "image", [FORMAT_text] = "text",
    [FORMAT_csv] = "csv", [FORMAT_npy] = "npy",
};

static Code run_importer(Db *db, const ImportOpts *o, ImportFormat f, ImportReport *r, Arena *a, Err *e)
{
    switch (f) {
    case FORMAT_idx: case FORMAT_cifar10: case FORMAT_image:
        return import_images(db, o, f, r, a, e);
    case FORMAT_text: return import_text(db, o, r, a, e);
    case FORMAT_csv: return import_csv(db, o, r, a, e);
    case FORMAT_npy: return import_npy(db, o, r, a, e);
    case N_FORMATS: break;
    }
    BUG("no format %d", (int)f);
}

Code data_import(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e)
{
    ImportFormat f = 0;

    *r = (ImportReport){ .shape = "" };
    while (f < N_FORMATS && strcmp(o->format, import_format[f]))
        f++;
    if (f == N_FORMATS)
        return err_set(e, E_USAGE, ERR_data_option, "unknown format \"%s\"; it is one of idx, cifar10, image, text, csv, npy",
                       o->format);
    return check_opts(o, f, e) ? e->code : run_importer(db, o, f, r, a, e);
}
