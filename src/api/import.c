/* SPDX-License-Identifier: Apache-2.0
 *
 * import.c - `import`: options to an importer, and --as, an expression over the byte `val`, to the table of
 * 256 values that packed images are stored with. */
#include "api/session.h"
#include "data/data.h"

#include <math.h>
#include <string.h>

static Expr *as_name(void *arg, const char *name)
{
    Arena *a = arg;
    Expr *e;

    if (!ascii_ieq(name, "val"))
        return NULL;
    e = ex_new(a, OP_col, T_REAL, 0, NULL);
    e->src = e->col = 0;
    return e;
}

static Value as_value(void *arg, const Expr *col)
{
    (void)col;
    return (Value){ .type = T_REAL, .r = *(const double *)arg };
}

static double as_number(void *arg, double val)
{
    const Value v = ex_eval(arg, as_value, &val);

    return v.null ? (double)NAN : v.type == T_REAL ? v.r : (double)v.i;
}

static void fill_map(Job *j, void *arg)
{
    static const char *const names[] = { "val" };
    ImportOpts *o = arg;
    Expr *e = front_expr(&j->c, "--as", o->as, as_name, &j->c.arena, names, 1);

    if (!strcmp(o->format, import_format[FORMAT_npy])) {
        if (e->type == T_TEXT)
            diag_fail(&j->c, ERR_api_value, (Span){ 0 }, "--as \"%s\" gives no number", o->as);
        o->value = as_number;
        o->value_arg = e;
        return;
    }
    for (int k = 0; k < 256; k++) {
        double byte = k;
        const Value v = ex_eval(e, as_value, &byte);
        o->map[k] = v.type == T_REAL ? v.r : (double)v.i;
        if (v.null || v.type == T_TEXT || !isfinite(o->map[k]))
            diag_fail(&j->c, ERR_api_value, (Span){ 0 }, "--as \"%s\" gives no finite number for the byte %d", o->as, k);
    }
    o->has_map = true;
}

/* --keys: the names of an array's dimensions. */
static void key_names(Job *j, void *arg)
{
    ImportOpts *o = arg;

    o->key = list_option(j, OPT_keys, &o->n_keys);
}

static void say_import(Job *j, const ImportOpts *o, const ImportReport *r)
{
    Buf b = { 0 };

    if (opt_flag(j->o, OPT_json))
        buf_printf(&b, "{\"event\":\"import\",\"images\":%lld,\"labels\":%lld,\"rows\":%lld}", (long long)r->n_images,
                   (long long)r->n_labels, (long long)r->n_rows);
    else if (r->n_images || r->n_labels) {
        if (r->n_images)
            buf_printf(&b, "%s: %lld images%s%s, %lld rows", o->table, (long long)r->n_images, r->shape ? " of " : "",
                       r->shape ? r->shape : "", (long long)r->n_rows);
        if (r->n_labels)
            buf_printf(&b, "%s%s: %lld labels", b.n ? "; " : "", o->labels ? o->labels : o->table, (long long)r->n_labels);
    } else
        buf_printf(&b, "%s: %lld row%s", o->table, (long long)r->n_rows, r->n_rows == 1 ? "" : "s");
    if (r->n_codes && !opt_flag(j->o, OPT_json))
        buf_printf(&b, ", %lld different character%s", (long long)r->n_codes, r->n_codes == 1 ? "" : "s");
    if (opt_flag(j->o, OPT_json) || !opt_flag(j->o, OPT_quiet))
        job_out(j, REPORT_OUT, b.s);
    buf_free(&b);
}

static Code import_words(Job *j, const ImportOpts *o)
{
    static const char there[] = "there are idx, cifar10, image, text, csv and npy";
    bool known = false;

    if (!o->format || o->n_files < 1)
        return err_set(&j->e, E_USAGE, ERR_api_missing, "import wants a format and files: sqlgrad import %s; %s", j->cmd->arg,
                       there);
    for (int k = 0; k < N_FORMATS; k++)
        known = known || !strcmp(o->format, import_format[k]);
    if (!known)
        return err_set(&j->e, E_USAGE, ERR_api_value, "no format \"%s\"; %s", o->format, there);
    if (!opt_text(j->o, OPT_db, NULL))
        return err_set(&j->e, E_USAGE, ERR_api_missing, "import needs --db, the database to fill");
    if (!o->table && !o->labels)
        return err_set(&j->e, E_USAGE, ERR_api_missing, "import needs --table, the table to make");
    if (o->append && o->replace)
        return err_set(&j->e, E_USAGE, ERR_api_option, "--append and --replace exclude each other");
    return OK;
}

Code command_import(Job *j, const char *format, const char *const *file, int n)
{
    ImportOpts o = { .format = format, .file = (const char **)file, .n_files = n, .table = opt_text(j->o, OPT_table, NULL),
                     .labels = opt_text(j->o, OPT_labels, NULL), .as = opt_text(j->o, OPT_as, NULL),
                     .limit = opt_int(j->o, OPT_limit, -1), .channels = opt_int(j->o, OPT_channels, 0),
                     .append = opt_flag(j->o, OPT_append), .replace = opt_flag(j->o, OPT_replace) };
    ImportReport r = { 0 };
    Db *db = NULL;
    Code rc = import_words(j, &o);

    if (rc == OK) rc = job_guard(j, key_names, &o);
    if (rc == OK && o.as) rc = job_guard(j, fill_map, &o);
    if (rc == OK) rc = db_open(&db, opt_text(j->o, OPT_db, NULL), DB_CREATE, &j->e);
    if (rc == OK) rc = data_import(db, &o, &r, &j->arena, &j->e);
    if (db)
        db_close(db);
    if (rc == OK)
        say_import(j, &o, &r);
    return rc;
}
