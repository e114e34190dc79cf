/* SPDX-License-Identifier: Apache-2.0
 *
 * packed.c - images as one blob of bytes each, behind an ordinary view that any SQLite decodes.
 *
 * A packed view T (image, dim…, val) is made of
 *   sqlgrad_bytes_T (image INTEGER PRIMARY KEY, px BLOB)        one byte a position, all of one length
 *   sqlgrad_pos_T (k INTEGER PRIMARY KEY, dim… INTEGER)         byte k of a blob belongs to this key
 *   sqlgrad_map_T (hex TEXT PRIMARY KEY, val REAL)              the value of each of the 256 bytes
 * and has a row in sqlgrad_packed (view, bytes, positions, map).  That row only says where to look: a view
 * counts as packed if its text and the texts of its tables are exactly what is written here for their names,
 * so bytes and view cannot say different things; any other view is read row by row, as SQLite shows it. */
#include "db/driver.h"

#include <math.h>
#include <string.h>

#define MAX_DIMS 4
#define MAX_POSITIONS (1 << 26)

static const char outer_name[] = "image", value_name[] = "val";

typedef struct PackText { const char *view, *bytes, *pos, *map; } PackText;

/* ---- the texts that make a packed view ---- */

static const char *part_name(Arena *a, const char *kind, const char *view)
{
    return arena_printf(a, "sqlgrad_%s_%s", kind, view);
}

static void name_parts(Packed *p, const char *view, Arena *a)
{
    p->view = arena_strdup(a, view);
    p->bytes = part_name(a, "bytes", view);
    p->pos = part_name(a, "pos", view);
    p->map = part_name(a, "map", view);
}

static const char *take_buf(Arena *a, Buf *b)
{
    const char *s = arena_strndup(a, b->s, b->n);

    buf_free(b);
    return s;
}

static const char *view_text(const Packed *p, Arena *a)
{
    Buf b = { 0 };

    buf_printf(&b, "CREATE VIEW %s AS\nSELECT b.image AS image", drv_ident(a, p->view));
    for (int d = 0; d < p->n_dims; d++)
        buf_printf(&b, ", p.%s AS %s", drv_ident(a, p->dim[d]), drv_ident(a, p->dim[d]));
    buf_printf(&b, ", m.val AS val\nFROM %s AS b CROSS JOIN %s AS p CROSS JOIN %s AS m\n"
               "WHERE m.hex = hex(substr(b.px, p.k + 1, 1))",
               drv_ident(a, p->bytes), drv_ident(a, p->pos), drv_ident(a, p->map));
    return take_buf(a, &b);
}

static PackText texts_of(const Packed *p, Arena *a)
{
    PackText t = { .view = view_text(p, a) };
    Buf b = { 0 };

    t.bytes = arena_printf(a, "CREATE TABLE %s (image INTEGER PRIMARY KEY, px BLOB NOT NULL"
                           " CHECK (typeof(px) = 'blob' AND length(px) = %zu))",
                           drv_ident(a, p->bytes), p->n_pos);
    buf_printf(&b, "CREATE TABLE %s (k INTEGER PRIMARY KEY", drv_ident(a, p->pos));
    for (int d = 0; d < p->n_dims; d++)
        buf_printf(&b, ", %s INTEGER NOT NULL", drv_ident(a, p->dim[d]));
    buf_puts(&b, ")");
    t.pos = take_buf(a, &b);
    t.map = arena_printf(a, "CREATE TABLE %s (hex TEXT PRIMARY KEY, val REAL NOT NULL) WITHOUT ROWID",
                         drv_ident(a, p->map));
    return t;
}

/* ---- finding one ---- */

static Code packed_error(Db *db, const Packed *p, Err *e, const char *what)
{
    return err_set(e, E_INPUT, ERR_db_packed, "%s: the packed data of %s is damaged: %s", db_path(db),
                   p->view, what);
}

static Code is_recorded(Db *db, const Packed *p, bool *yes, Err *e)
{
    Arena a = { 0 };
    DbObject o;
    Stmt *st;
    Code rc = drv_find(db, "sqlgrad_packed", &o, &a, e);

    *yes = false;
    arena_free(&a);
    if (rc || !o.exists || o.is_virtual || o.is_view || o.is_temp)
        return rc;
    Err other = { 0 };                          /* a table of that name that is not ours: no record */
    if (stmt_open(db, &st, "SELECT 1 FROM main.sqlgrad_packed WHERE \"view\" = ?1 AND bytes = ?2"
                           " AND positions = ?3 AND map = ?4", &other))
        return OK;
    const char *name[] = { p->view, p->bytes, p->pos, p->map };
    for (int k = 0; k < 4; k++)
        stmt_bind_text(st, k + 1, name[k], strlen(name[k]));
    rc = stmt_step(db, st, yes, e);
    stmt_close(st);
    return rc;
}

/* Whether `name` is a plain object of the file whose text is `want`. */
static Code has_text(Db *db, const char *name, const char *want, bool *yes, Err *e)
{
    Arena a = { 0 };
    DbObject o;
    const Code rc = drv_find(db, name, &o, &a, e);

    *yes = !rc && o.exists && !o.is_virtual && !o.is_temp && !strcmp(o.sql, want);
    arena_free(&a);
    return rc;
}

static Code have_texts(Db *db, const Packed *p, bool with_view, bool *yes, Err *e)
{
    Arena a = { 0 };
    const PackText t = texts_of(p, &a);
    Code rc = has_text(db, p->bytes, t.bytes, yes, e);

    if (!rc && *yes)
        rc = has_text(db, p->pos, t.pos, yes, e);
    if (!rc && *yes)
        rc = has_text(db, p->map, t.map, yes, e);
    if (!rc && *yes && with_view)
        rc = has_text(db, p->view, t.view, yes, e);
    arena_free(&a);
    return rc;
}

static bool keys_increase(const Packed *p, size_t at)
{
    for (int d = 0; d < p->n_dims; d++)
        if (p->key[d][at - 1] != p->key[d][at])
            return p->key[d][at - 1] < p->key[d][at];
    return false;
}

static void take_position(Packed *p, Stmt *st, bool *yes, Arena *a)
{
    for (int d = 0; d < p->n_dims; d++) {
        int n = (int)p->n_pos;
        *yes = *yes && stmt_store(st, d + 1) == STORE_int;
        VEC_PUSH(a, p->key[d], n, stmt_int(st, d + 1));
    }
    *yes = *yes && stmt_int(st, 0) == (int64_t)p->n_pos;
    p->n_pos++;
    *yes = *yes && (p->n_pos == 1 || keys_increase(p, p->n_pos - 1));
}

/* Names of the inner keys and the keys of all positions; *yes false: not of our making. */
static Code read_positions(Db *db, Stmt *st, Packed *p, bool *yes, Arena *a, Err *e)
{
    bool row;
    int64_t n_bytes;
    Code rc = drv_n_bytes(db, &n_bytes, e);

    p->n_dims = stmt_n_cols(st) - 1;
    *yes = p->n_dims >= 1 && p->n_dims <= MAX_DIMS && !strcmp(stmt_name(st, 0), "k");
    for (int d = 0; *yes && d < p->n_dims; d++)
        p->dim[d] = arena_strdup(a, stmt_name(st, d + 1));
    while (*yes && !rc && !(rc = stmt_step(db, st, &row, e)) && row) {
        take_position(p, st, yes, a);
        *yes = *yes && p->n_pos < MAX_POSITIONS && (int64_t)p->n_pos < n_bytes / 4;
    }
    *yes = *yes && !rc && p->n_pos > 0;
    return rc;
}

static Code find_positions(Db *db, Packed *p, bool *yes, Arena *a, Err *e)
{
    Stmt *st;
    DbObject o;
    Code rc = drv_find(db, p->pos, &o, a, e);

    *yes = !rc && o.exists && !o.is_view && !o.is_virtual && !o.is_temp;
    if (!*yes)
        return rc;
    if ((rc = stmt_openf(db, &st, e, "SELECT * FROM main.%s ORDER BY 1", drv_ident(a, p->pos))) != OK)
        return rc;
    rc = read_positions(db, st, p, yes, a, e);
    stmt_close(st);
    return rc;
}

static void hex_of(int byte, char out[3])
{
    static const char digit[] = "0123456789ABCDEF";

    out[0] = digit[byte >> 4 & 15];
    out[1] = digit[byte & 15];
    out[2] = 0;
}

static Code read_map(Db *db, Packed *p, Err *e)
{
    Arena a = { 0 };
    Stmt *st;
    bool row = false;
    int n = 0;
    Code rc = stmt_openf(db, &st, e, "SELECT hex, val FROM main.%s ORDER BY hex", drv_ident(&a, p->map));

    while (!rc && !(rc = stmt_step(db, st, &row, e)) && row) {
        char want[3];
        size_t len;
        const char *hex = stmt_text(st, 0, &len);
        hex_of(n, want);
        if (n == 256 || !hex || strcmp(hex, want) || stmt_store(st, 1) != STORE_real) {
            rc = packed_error(db, p, e, "its map is not one number for each byte");
            break;
        }
        p->val[n++] = stmt_real(st, 1);
    }
    if (!rc && n != 256)
        rc = packed_error(db, p, e, "its map has not 256 values");
    stmt_close(st);
    arena_free(&a);
    return rc;
}

Code packed_find(Db *db, const char *table, Packed *p, Arena *a, Err *e)
{
    bool yes;
    Code rc;

    *p = (Packed){ 0 };
    name_parts(p, table, a);
    rc = is_recorded(db, p, &yes, e);
    if (!rc && yes)
        rc = find_positions(db, p, &yes, a, e);
    if (!rc && yes)
        rc = have_texts(db, p, true, &yes, e);
    if (!rc && yes)
        rc = read_map(db, p, e);
    p->is_packed = !rc && yes;
    return rc;
}

/* ---- reading ---- */

static Code wrong_length(Db *db, const Packed *p, int64_t image, size_t len, Err *e)
{
    return err_set(e, E_INPUT, ERR_db_packed,
                   "%s: the packed data of %s is damaged: image %lld has %zu bytes, its positions ask for %zu",
                   db_path(db), p->view, (long long)image, len, p->n_pos);
}

static Code describe_images(Db *db, const Packed *p, Stmt *st, CatTable *t, Err *e)
{
    bool row;
    const Code rc = stmt_step(db, st, &row, e);

    if (rc)
        return rc;
    const int64_t n = stmt_int(st, 0);
    if (n && (stmt_int(st, 4) != (int64_t)p->n_pos || stmt_int(st, 3) != (int64_t)p->n_pos))
        return packed_error(db, p, e, "its blobs are not as long as its positions ask for");
    if (n > INT64_MAX / (int64_t)p->n_pos)
        return packed_error(db, p, e, "it has too many images");
    t->n_rows = n * (int64_t)p->n_pos;
    t->col[0].has_range = n > 0;
    t->col[0].lo = stmt_int(st, 1);
    t->col[0].hi = stmt_int(st, 2);
    t->col[0].n_distinct = n;
    return OK;
}

static void describe_key(const Packed *p, int d, CatCol *k)
{
    k->has_range = true;
    k->lo = k->hi = p->key[d][0];
    for (size_t i = 1; i < p->n_pos; i++) {
        k->lo = p->key[d][i] < k->lo ? p->key[d][i] : k->lo;
        k->hi = p->key[d][i] > k->hi ? p->key[d][i] : k->hi;
    }
}

Code packed_describe(Db *db, const Packed *p, CatTable *t, Arena *a, Err *e)
{
    Stmt *st;

    t->n_cols = p->n_dims + 2;
    t->col = ARENA_ARRAY(a, CatCol, t->n_cols);
    for (int c = 0; c < t->n_cols; c++) {
        const bool val = c == p->n_dims + 1;
        const char *name = !c ? outer_name : val ? value_name : p->dim[c - 1];
        t->col[c] = (CatCol){ .name = arena_strdup(a, name), .type = val ? T_REAL : T_INT,
                              .decl = val ? "REAL" : "INTEGER", .n_distinct = -1 };
        if (c && !val)
            describe_key(p, c - 1, &t->col[c]);
    }
    t->unique = true;
    Code rc = stmt_openf(db, &st, e, "SELECT count(*), min(image), max(image), min(length(px)), max(length(px))"
                                     " FROM main.%s", drv_ident(a, p->bytes));
    if (!rc)
        rc = describe_images(db, p, st, t, e);
    stmt_close(st);
    return rc ? rc : drv_unchanged(db, e);
}

typedef struct Images { int64_t *id; uint8_t *px; size_t n, cap; } Images;

static bool images_grow(Images *im, size_t n_pos)
{
    const size_t cap = im->cap ? 2 * im->cap : 256;

    if (cap > PTRDIFF_MAX / 16 / n_pos)
        return false;
    int64_t *id = mem_try(cap * sizeof *id);
    uint8_t *px = mem_try(cap * n_pos);
    if (id && px && im->n) {
        memcpy(id, im->id, im->n * sizeof *id);
        memcpy(px, im->px, im->n * n_pos);
    }
    mem_free(id && px ? (void *)im->id : (void *)id);
    mem_free(id && px ? im->px : px);
    if (!id || !px)
        return false;
    *im = (Images){ id, px, im->n, cap };
    return true;
}

static Code read_blobs(Db *db, const Packed *p, Stmt *st, Images *im, Err *e)
{
    int64_t budget;
    bool row;
    Code rc = drv_n_bytes(db, &budget, e);

    while (!rc && !(rc = stmt_step(db, st, &row, e)) && row) {
        size_t len;
        const uint8_t *px = stmt_blob(st, 1, &len);
        if (len != p->n_pos || !px)
            return wrong_length(db, p, stmt_int(st, 0), len, e);
        if ((budget -= (int64_t)len) < 0)
            return packed_error(db, p, e, "it seems larger than the file");
        if (im->n == im->cap && !images_grow(im, p->n_pos))
            return err_set(e, E_ENV, ERR_db_env, "%s: %s needs more memory than there is", db_path(db), p->view);
        im->id[im->n] = stmt_int(st, 0);
        memcpy(im->px + im->n++ * p->n_pos, px, len);
    }
    return rc;
}

static void give_images(const Packed *p, Images *im, Table *out)
{
    table_init(out, p->view, p->n_dims + 2, im->n * p->n_pos);
    out->n_outer = im->n;
    out->n_inner = p->n_pos;
    for (int c = 0; c < out->n_cols; c++)
        out->col[c].type = T_INT;
    out->col[0].name = outer_name;
    out->col[0].dim = DIM_outer;
    out->col[0].i = im->id ? im->id : mem_alloc(8);
    table_adopt(out, out->col[0].i);
    for (int d = 0; d < p->n_dims; d++) {
        TableCol *k = &out->col[d + 1];
        *k = (TableCol){ .name = arena_strdup(&out->arena, p->dim[d]), .type = T_INT, .dim = DIM_inner };
        k->i = mem_alloc(p->n_pos * sizeof *k->i);
        table_adopt(out, k->i);
        memcpy(k->i, p->key[d], p->n_pos * sizeof *k->i);
    }
    TableCol *val = &out->col[p->n_dims + 1];
    val->name = value_name;
    val->type = T_REAL;
    val->dim = DIM_full;
    val->bytes = im->px ? im->px : mem_alloc(1);
    table_adopt(out, (void *)val->bytes);
    memcpy(val->lut, p->val, sizeof val->lut);
}

/* `where` may speak of images only: it is tried on a relation that has the view's name and no other column,
 * so that px and rowid of the table of bytes are not taken for columns of the view. */
static Code open_some_images(Db *db, const Packed *p, const char *where, Stmt **st, Err *e)
{
    Arena a = { 0 };
    const char *bytes = drv_ident(&a, p->bytes);
    const char *some = arena_printf(&a, "SELECT image FROM (SELECT image FROM main.%s) AS %s WHERE %s", bytes,
                                    drv_ident(&a, p->view), where);
    Code rc = stmt_open(db, st, some, e);

    stmt_close(*st);
    *st = NULL;
    if (!rc)
        rc = stmt_openf(db, st, e, "SELECT image, px FROM main.%s WHERE image IN (%s) ORDER BY image", bytes, some);
    arena_free(&a);
    return rc;
}

static Code open_images(Db *db, const Packed *p, Stmt **st, Err *e)
{
    Arena a = { 0 };
    const Code rc = stmt_openf(db, st, e, "SELECT image, px FROM main.%s ORDER BY image", drv_ident(&a, p->bytes));

    arena_free(&a);
    return rc;
}

Code packed_read(Db *db, const Packed *p, const char *where, Table *out, bool *done, Err *e)
{
    Err trial = { 0 };
    Images im = { 0 };
    Stmt *st;

    if (where && open_some_images(db, p, where, &st, &trial))
        return OK;
    if (!where && open_images(db, p, &st, e))
        return e->code;
    Code rc = read_blobs(db, p, st, &im, e);
    stmt_close(st);
    if (!rc)
        rc = drv_unchanged(db, e);
    if (rc) {
        mem_free(im.id);
        mem_free(im.px);
        return rc;
    }
    *done = true;
    give_images(p, &im, out);
    return OK;
}

/* ---- writing ---- */

static Code fill_positions(Db *db, const DbPack *d, const Packed *p, Err *e)
{
    Arena a = { 0 };
    Buf b = { 0 };
    Stmt *st;

    buf_printf(&b, "INSERT INTO main.%s VALUES (?1", drv_ident(&a, p->pos));
    for (int k = 0; k < d->n_dims; k++)
        buf_printf(&b, ", ?%d", k + 2);
    buf_puts(&b, ")");
    Code rc = stmt_open(db, &st, b.s, e);
    for (size_t i = 0; !rc && i < p->n_pos; i++) {
        size_t rest = i;
        stmt_bind_int(st, 1, (int64_t)i);
        for (int k = d->n_dims - 1; k >= 0; k--) {
            stmt_bind_int(st, k + 2, (int64_t)(rest % (size_t)d->size[k]));
            rest /= (size_t)d->size[k];
        }
        rc = stmt_run(db, st, e);
    }
    stmt_close(st);
    buf_free(&b);
    arena_free(&a);
    return rc;
}

static Code fill_byte_map(Db *db, const DbPack *d, const Packed *p, Err *e)
{
    Arena a = { 0 };
    Stmt *st;
    Code rc = stmt_openf(db, &st, e, "INSERT INTO main.%s VALUES (?1, ?2)", drv_ident(&a, p->map));

    for (int k = 0; !rc && k < 256; k++) {
        char hex[3];
        hex_of(k, hex);
        stmt_bind_text(st, 1, hex, 2);
        stmt_bind_real(st, 2, d->map[k]);
        rc = stmt_run(db, st, e);
    }
    stmt_close(st);
    arena_free(&a);
    return rc;
}

static Code record(Db *db, const Packed *p, Err *e)
{
    const char *name[] = { p->view, p->bytes, p->pos, p->map };
    Stmt *st;
    Code rc = db_exec(db, e, "CREATE TABLE IF NOT EXISTS main.sqlgrad_packed (\"view\" TEXT PRIMARY KEY,"
                             " bytes TEXT NOT NULL, positions TEXT NOT NULL, map TEXT NOT NULL)");

    if (!rc)
        rc = stmt_open(db, &st, "INSERT OR REPLACE INTO main.sqlgrad_packed (\"view\", bytes, positions, map)"
                                " VALUES (?1, ?2, ?3, ?4)", e);
    if (rc)
        return rc;
    for (int k = 0; k < 4; k++)
        stmt_bind_text(st, k + 1, name[k], strlen(name[k]));
    rc = stmt_run(db, st, e);
    stmt_close(st);
    return rc;
}

static Code plan_pack(Db *db, const DbPack *d, Packed *p, Arena *a, Err *e)
{
    *p = (Packed){ .n_dims = d->n_dims, .n_pos = 1 };
    name_parts(p, d->view, a);
    if (d->n_dims < 1 || d->n_dims > MAX_DIMS)
        BUG("a packed view of %d dimensions", d->n_dims);
    for (int k = 0; k < d->n_dims; k++) {
        p->dim[k] = d->dim[k];
        if (d->size[k] < 1 || p->n_pos > (size_t)(MAX_POSITIONS / d->size[k]))
            return err_set(e, E_INPUT, ERR_db_packed, "%s: an image of %s has no positions or more than %d",
                           db_path(db), d->view, MAX_POSITIONS);
        p->n_pos *= (size_t)d->size[k];
    }
    for (int k = 0; k < 256; k++)
        if (isnan(d->map[k]))
            return err_set(e, E_INPUT, ERR_db_packed, "%s: byte %d has no value in %s", db_path(db), k, d->view);
    return OK;
}

static Code make_parts(Db *db, const DbPack *d, const Packed *p, Arena *a, Err *e)
{
    const PackText t = texts_of(p, a);
    Code rc = packed_drop(db, d->view, e);      /* what a view that is gone left behind */

    if (!rc)
        rc = drv_exec(db, e, "%s;\n%s;\n%s;\n%s", t.bytes, t.pos, t.map, t.view);
    if (!rc)
        rc = fill_positions(db, d, p, e);
    if (!rc)
        rc = fill_byte_map(db, d, p, e);
    return rc ? rc : record(db, p, e);
}

Code db_pack_create(Db *db, const DbPack *d, Err *e)
{
    Arena a = { 0 };
    Packed p;
    Code rc = plan_pack(db, d, &p, &a, e);

    if (!rc && db_has(db, d->view))
        rc = err_set(e, E_INPUT, ERR_db_exists, "%s: there is already a table %s", db_path(db), d->view);
    if (!rc)
        rc = drv_save(db, e);
    if (!rc)
        rc = drv_release(db, make_parts(db, d, &p, &a, e), e);
    arena_free(&a);
    return rc;
}

static Code same_pack(Db *db, const DbPack *d, const Packed *have, const Packed *want, Err *e)
{
    const char *why = NULL;

    if (have->n_dims != want->n_dims || have->n_pos != want->n_pos)
        why = "its images have another size";
    for (int k = 0; !why && k < want->n_dims; k++)
        if (strcmp(have->dim[k], want->dim[k]) || have->key[k][have->n_pos - 1] != d->size[k] - 1)
            why = "its images have another size";
    for (int k = 0; !why && k < 256; k++)
        if (memcmp(&have->val[k], &d->map[k], sizeof(double)) && have->val[k] != d->map[k])
            why = "its values were made by another expression";
    return why ? err_set(e, E_INPUT, ERR_db_packed, "%s: images cannot be added to %s: %s", db_path(db),
                         d->view, why) : OK;
}

static Code next_image(Db *db, const Packed *p, int64_t *next, Arena *a, Err *e)
{
    Stmt *st;
    bool row;
    Code rc = stmt_openf(db, &st, e, "SELECT coalesce(max(image), -1) FROM main.%s", drv_ident(a, p->bytes));

    if (!rc && !(rc = stmt_step(db, st, &row, e))) {
        const int64_t last = stmt_int(st, 0);
        *next = last < -1 ? 0 : last + (last < INT64_MAX);
    }
    stmt_close(st);
    return rc;
}

Code db_pack_match(Db *db, const DbPack *d, int64_t *next, Err *e)
{
    Arena a = { 0 };
    Packed have, want;
    DbObject o;
    Code rc = plan_pack(db, d, &want, &a, e);

    *next = 0;
    if (!rc)
        rc = drv_find(db, d->view, &o, &a, e);
    if (!rc)
        rc = packed_find(db, o.name, &have, &a, e);
    if (!rc && !have.is_packed)
        rc = err_set(e, E_INPUT, ERR_db_packed, "%s: images cannot be added to %s: it is no packed view",
                     db_path(db), d->view);
    if (!rc)
        rc = same_pack(db, d, &have, &want, e);
    if (!rc)
        rc = next_image(db, &have, next, &a, e);
    arena_free(&a);
    return rc;
}

Code db_pack_append(Db *db, const DbPack *d, int64_t first, const uint8_t *px, size_t n, size_t stride, Err *e)
{
    Arena a = { 0 };
    Packed p;
    DbObject o;
    Stmt *st = NULL;
    Code rc = plan_pack(db, d, &p, &a, e);

    if (!rc && n && first > INT64_MAX - (int64_t)n)
        rc = err_set(e, E_INPUT, ERR_db_packed, "%s: the images of %s are numbered too high", db_path(db), d->view);
    if (!rc)
        rc = drv_find(db, d->view, &o, &a, e);
    if (!rc)
        rc = stmt_openf(db, &st, e, "INSERT INTO main.%s VALUES (?1, ?2)",
                        drv_ident(&a, part_name(&a, "bytes", o.name)));
    for (size_t k = 0; !rc && k < n; k++) {
        stmt_bind_int(st, 1, first + (int64_t)k);
        stmt_bind_blob(st, 2, px + k * stride, p.n_pos);
        rc = stmt_run(db, st, e);
    }
    stmt_close(st);
    arena_free(&a);
    return rc;
}

/* Only tables that are ours by name and text go; a record that names others is just forgotten. */
Code packed_drop(Db *db, const char *view, Err *e)
{
    Arena a = { 0 };
    Packed p = { 0 };
    bool yes;

    name_parts(&p, view, &a);
    Code rc = is_recorded(db, &p, &yes, e);
    if (!rc && yes)
        rc = find_positions(db, &p, &yes, &a, e);
    if (!rc && yes)
        rc = have_texts(db, &p, false, &yes, e);
    if (!rc && yes) {
        Buf b = { 0 };
        buf_puts(&b, "DELETE FROM main.sqlgrad_packed WHERE \"view\" = ");
        buf_text(&b, p.view);
        rc = drv_exec(db, e, "DROP TABLE main.%s; DROP TABLE main.%s; DROP TABLE main.%s; %s",
                      drv_ident(&a, p.bytes), drv_ident(&a, p.pos), drv_ident(&a, p.map), b.s);
        buf_free(&b);
    }
    arena_free(&a);
    return rc;
}
