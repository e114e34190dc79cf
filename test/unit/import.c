/* SPDX-License-Identifier: Apache-2.0
 *
 * import.c - IDX, CIFAR-10 and CSV files into a database, and files that are cut, false or far too large. */
#include "unit.h"

#include "data/data.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- IDX ---- */

/* The error of idx_parse on these bytes, "" if there is none. */
static const char *idx_error(const void *p, size_t n)
{
    static Err e;
    uint32_t dim[4] = { 0 };
    const uint8_t *data;
    int n_dims;
    uint8_t *copy = mem_alloc(n);                   /* at its exact size, so that the sanitizer sees reads past it */

    e = (Err){ 0 };
    memcpy(copy, p, n);
    idx_parse(copy, n, &n_dims, dim, &data, &e);
    mem_free(copy);
    return e.msg;
}

static void test_idx(void)
{
    CHECK_STR(idx_error("\0\0\x08\x01\0\0\0\x02" "ab", 10), "");
    CHECK_STR(idx_error("\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x01" "ab", 18), "");
    CHECK_STR(idx_error("", 0), "0 bytes; an IDX file starts with 4 bytes that say what it is");
    CHECK_STR(idx_error("\0\0\x08", 3), "3 bytes; an IDX file starts with 4 bytes that say what it is");
    CHECK_STR(idx_error("PK\3\4", 4), "starts with 50 4b 03 04; an IDX file starts with 00 00");
    CHECK_STR(idx_error("\0\0\x0d\x03", 4), "elements of type 0x0d; only bytes (0x08) are read");
    CHECK_STR(idx_error("\0\0\x08\0", 4), "0 dimensions; images have 3, labels 1");
    CHECK_STR(idx_error("\0\0\x08\x05", 4), "5 dimensions; images have 3, labels 1");
    CHECK_STR(idx_error("\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0", 15), "15 bytes; the header alone has 16");
    CHECK_STR(idx_error("\0\0\x08\x01\0\0\0\x03" "ab", 10), "the header asks for 3 bytes of data, the file has 2");
    CHECK_STR(idx_error("\0\0\x08\x01\0\0\0\x01" "ab", 10), "the header asks for 1 bytes of data, the file has 2");
    CHECK_STR(idx_error("\0\0\x08\x03\0\0\0\x01\0\0\0\0\0\0\0\x01", 16), "dimension 2 is 0");
    CHECK_STR(idx_error("\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16),
              "the dimensions multiply to more than a file can hold");
    CHECK_STR(idx_error("\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", 12),
              "the header asks for 18446744065119617025 bytes of data, the file has 0");
}

static void test_cifar10(void)
{
    uint8_t *p = mem_alloc(2 * 3073);
    size_t n;
    Err e = { 0 }, empty = { 0 }, cut = { 0 }, label = { 0 };

    CHECK_INT(cifar10_parse(p, 2 * 3073, &n, &e), OK);
    CHECK_INT(n, 2);
    CHECK_INT(cifar10_parse(p, 0, &n, &empty), E_INPUT);
    CHECK_STR(empty.msg, "the file is empty");
    CHECK_INT(cifar10_parse(p, 3074, &n, &cut), E_INPUT);
    CHECK_STR(cut.msg, "3074 bytes; images of 3073 bytes would make 3073 or 6146");
    p[3073] = 10;
    CHECK_INT(cifar10_parse(p, 2 * 3073, &n, &label), E_INPUT);
    CHECK_STR(label.msg, "image 1 has label 10; CIFAR-10 has labels 0 to 9");
    mem_free(p);
}

/* ---- CSV ---- */

/* A CSV text as `name TYPE|cell|cell…;` for each column, or its error. */
static const char *csv_text_n(const char *text, size_t n, int64_t limit)
{
    static char out[400];
    Buf b = { 0 };
    Err e = { 0 };
    Table t;
    char *copy = mem_alloc(n);

    memcpy(copy, text, n);
    if (csv_parse(copy, n, limit, &t, &e))
        buf_puts(&b, e.msg);
    for (int c = 0; !e.code && c < t.n_cols; c++) {
        const TableCol *k = &t.col[c];
        buf_printf(&b, "%s%s %s", c ? "; " : "", k->name, type_name[k->type]);
        for (size_t r = 0; r < t.n_rows; r++) {
            buf_putc(&b, '|');
            if (table_null(&t, c, r)) buf_puts(&b, "NULL");
            else if (k->type == T_TEXT) buf_text(&b, k->s[r]);
            else if (k->type == T_REAL) buf_real(&b, k->r[r]);
            else buf_printf(&b, "%lld", (long long)k->i[r]);
        }
    }
    snprintf(out, sizeof out, "%.390s", b.s ? b.s : "");
    if (!e.code)
        table_free(&t);
    buf_free(&b);
    mem_free(copy);
    return out;
}

static const char *csv_text(const char *text)
{
    return csv_text_n(text, strlen(text), -1);
}

static void test_csv_types(void)
{
    CHECK_STR(csv_text("a,b,c\n1,2.5,x\n-2,3,y\n"), "a INTEGER|1|-2; b REAL|2.5|3.0; c TEXT|'x'|'y'");
    CHECK_STR(csv_text("a\n1\n\n3"), "a INTEGER|1|NULL|3");
    CHECK_STR(csv_text("a,b\n,\n,\n"), "a TEXT|NULL|NULL; b TEXT|NULL|NULL");
    CHECK_STR(csv_text("a\n0123\n5\n"), "a TEXT|'0123'|'5'");
    CHECK_STR(csv_text("a\n+5\n-7\n0\n"), "a INTEGER|5|-7|0");
    CHECK_STR(csv_text("a\n.5\n5.\n1e3\n-1E-2\n"), "a REAL|0.5|5.0|1000.0|-0.01");
    CHECK_STR(csv_text("a\n.\n"), "a TEXT|'.'");
    CHECK_STR(csv_text("a\n1e\n"), "a TEXT|'1e'");
    CHECK_STR(csv_text("a\n1e5x\n"), "a TEXT|'1e5x'");
    CHECK_STR(csv_text("a\nnan\n"), "a TEXT|'nan'");
    CHECK_STR(csv_text("a\n0x10\n"), "a TEXT|'0x10'");
    CHECK_STR(csv_text("a\n 5 \n"), "a INTEGER|5");
    CHECK_STR(csv_text("a\n5 6\n"), "a TEXT|'5 6'");
    CHECK_STR(csv_text("a\n9223372036854775807\n-9223372036854775808\n"),
              "a INTEGER|9223372036854775807|-9223372036854775808");
    CHECK_STR(csv_text("a\n9223372036854775808\n"), "a TEXT|'9223372036854775808'");
    CHECK_STR(csv_text("a\n9223372036854775808\n0.5\n"), "a REAL|9.223372036854776e+18|0.5");
    CHECK_STR(csv_text("a\n1\n1e999\n"), "line 3: the number in column \"a\" is beyond the range of REAL");
    CHECK_STR(csv_text("a\nx\n1e999\n"), "a TEXT|'x'|'1e999'");
    CHECK_STR(csv_text("a\n1e-999\n"), "a REAL|0.0");
    CHECK_STR(csv_text("a\n0.100000000000000005551115123125782702118158340454101562500000000000000000000\n"), "a REAL|0.1");
}

static void test_csv_quoting(void)
{
    CHECK_STR(csv_text("a,b\n\"x,y\",\"say \"\"hi\"\"\"\n"), "a TEXT|'x,y'; b TEXT|'say \"hi\"'");
    CHECK_STR(csv_text("a,b\n\"two\nlines\",1\n"), "a TEXT|'two\nlines'; b INTEGER|1");
    CHECK_STR(csv_text("\"a,1\",b\n\"7\",\"\"\n"), "a,1 INTEGER|7; b TEXT|''");
    CHECK_STR(csv_text("\xef\xbb\xbf" "a\r\n1\r\n2\r\n"), "a INTEGER|1|2");
    CHECK_STR(csv_text("a\r1\r2\r"), "a INTEGER|1|2");
    CHECK_STR(csv_text("Größe\nü\n"), "Größe TEXT|'ü'");
    CHECK_STR(csv_text("a , b\n1,2\n"), "a INTEGER|1; b INTEGER|2");
    CHECK_STR(csv_text("a\n1\n\n\r\n\n"), "a INTEGER|1");
    CHECK_STR(csv_text_n("a\n1\n2\nx\"\n", 9, 2), "a INTEGER|1|2");
}

static void test_csv_errors(void)
{
    CHECK_STR(csv_text(""), "the file is empty; a CSV file starts with the names of its columns");
    CHECK_STR(csv_text("\n\n"), "the file is empty; a CSV file starts with the names of its columns");
    CHECK_STR(csv_text("a,b\n"), "the file has a header and no rows");
    CHECK_STR(csv_text("a,b\n1,2\n3\n"), "line 3: 1 field; the header has 2");
    CHECK_STR(csv_text("a,b\n1,2\n\n1,2\n"), "line 3: 1 field; the header has 2");
    CHECK_STR(csv_text("a,b\n1,2,3\n"), "line 2: more than 2 fields; the header has 2");
    CHECK_STR(csv_text("a,b\n\"x\n\ny\",1\n1,2,3\n"), "line 5: more than 2 fields; the header has 2");
    CHECK_STR(csv_text("a,b\n1,x\"y\n"), "line 2: a quote inside a field that does not start with one");
    CHECK_STR(csv_text("a,b\n\"x\"y,1\n"), "line 2: text after a closing quote; a quote inside a quoted field is doubled");
    CHECK_STR(csv_text("a,b\n1,\"x\n\n\n"), "line 2: a quote is opened and never closed");
    CHECK_STR(csv_text("a,b\n1,\""), "line 2: a quote is opened and never closed");
    CHECK_STR(csv_text("a,A\n1,2\n"), "line 1: two columns are called \"A\"");
    CHECK_STR(csv_text("a,,b\n1,2,3\n"), "line 1: column 2 has no name");
    CHECK_STR(csv_text("_sg_x\n1\n"), "line 1: column \"_sg_x\": names that start with _sg_ are reserved");
    CHECK_STR(csv_text("a\n\xff\n"), "line 2: bytes that are not UTF-8");
    CHECK_STR(csv_text("a\n\xed\xa0\x80\n"), "line 2: bytes that are not UTF-8");
    CHECK_STR(csv_text("\xff\xfe" "a"), "line 1: the file is UTF-16; save it as UTF-8");
    CHECK_STR(csv_text_n("a\n1\0002\n", 6, -1), "line 2: a NUL byte; this is no text");
}

/* ---- whole imports ---- */

static char scratch[] = "/tmp/sqlgrad-unit-XXXXXX";

static const char *in_scratch(const char *name)
{
    static char path[64][120];
    static int next;
    char *p = path[next++ % 64];

    snprintf(p, sizeof path[0], "%s/%s", scratch, name);
    return p;
}

static const char *put(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(in_scratch(name), "wb");

    CHECK(f && fwrite(p, 1, n, f) == n);
    if (f)
        fclose(f);
    return in_scratch(name);
}

/* What a shell command prints, to its first line's end. */
static const char *shell(const char *command)
{
    static char out[300];
    FILE *f = popen(command, "r");

    *out = 0;
    if (f && !fgets(out, sizeof out, f))
        *out = 0;
    if (f)
        pclose(f);
    out[strcspn(out, "\n")] = 0;
    return out;
}

/* The sqlite3 shell's answer, for which nothing of ours is needed. */
static const char *ask(const char *sql)
{
    char command[500];

    snprintf(command, sizeof command, "sqlite3 %s/d.db \"%s\"", scratch, sql);
    return shell(command);
}

static Code import_into(const ImportOpts *o, ImportReport *r, Err *e)
{
    Arena a = { 0 };
    Db *db;
    Code rc = db_open(&db, in_scratch("d.db"), DB_CREATE, e);

    if (!rc)
        rc = data_import(db, o, r, &a, e);
    db_close(db);
    arena_free(&a);
    return rc;
}

/* The error of an import without the folder, "" if there is none. */
static const char *import_error(ImportOpts o)
{
    static Err e;
    ImportReport r;

    e = (Err){ 0 };
    o.limit = o.limit ? o.limit : -1;
    import_into(&o, &r, &e);
    return !strncmp(e.msg, scratch, strlen(scratch)) ? e.msg + strlen(scratch) + 1 : e.msg;
}

static void begin(void)
{
    memcpy(scratch + sizeof scratch - 7, "XXXXXX", 6);
    CHECK(mkdtemp(scratch) != NULL);
}

static void finish(void)
{
    char command[100];

    snprintf(command, sizeof command, "rm -r %s", scratch);
    CHECK_INT(system(command), 0);
}

#define IMPORT(fmt, name, ...) \
    import_error((ImportOpts){ .format = fmt, .table = name, .file = (const char *[]){ __VA_ARGS__ }, \
                               .n_files = (int)COUNT_OF(((const char *[]){ __VA_ARGS__ })) })

static const char idx_images[] = "\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x03\x00\x01\x7f\x80\xfe\xff";
static const char idx_labels[] = "\0\0\x08\x01\0\0\0\x02\x07\x09";

static void test_import_idx(void)
{
    begin();
    const char *px = put("px", idx_images, 22), *label = put("label", idx_labels, 10);
    ImportOpts o = { .format = "idx", .table = "im\"g", .labels = "lab", .file = (const char *[]){ label, px }, .n_files = 2 };

    CHECK_STR(import_error(o), "");
    CHECK_STR(ask("SELECT group_concat(image || r || c || ':' || val, ' ') FROM 'im\\\"g'"),
              "000:0.0 001:1.0 002:127.0 100:128.0 101:254.0 102:255.0");
    CHECK_STR(ask("SELECT group_concat(image || ':' || label) FROM lab"), "0:7,1:9");
    CHECK_STR(import_error(o), "d.db: there is already a table im\"g");
    o.append = true;
    CHECK_STR(import_error(o), "");
    CHECK_STR(ask("SELECT COUNT(*) || '|' || MAX(image) FROM 'im\\\"g'"), "12|3");
    CHECK_STR(ask("SELECT group_concat(image || ':' || label) FROM lab"), "0:7,1:9,2:7,3:9");
    o.append = false;
    o.replace = true;
    o.limit = 1;
    o.as = "val/127.5 - 1";
    o.has_map = true;
    for (int k = 0; k < 256; k++)
        o.map[k] = k / 127.5 - 1;
    CHECK_STR(import_error(o), "");
    CHECK_STR(ask("SELECT COUNT(*) || '|' || SUM(val = c / 127.5 - 1) FROM 'im\\\"g' WHERE c < 2"), "2|2");
    CHECK_STR(ask("SELECT COUNT(*) FROM lab"), "1");
    CHECK_STR(ask("SELECT COUNT(*) FROM sqlite_schema"), "7");
    finish();
}

static void test_import_wrong(void)
{
    begin();
    const char *px = put("px", idx_images, 22), *cut = put("cut", idx_images, 21),
               *other = put("other", "\0\0\x08\x03\0\0\0\x01\0\0\0\x03\0\0\0\x01" "abc", 19);

    CHECK_STR(IMPORT("idx", "t", cut), "cut: the header asks for 6 bytes of data, the file has 5");
    CHECK(strstr(IMPORT("idx", "t", px, other), "other: images of 3 x 1; those in /"));
    CHECK_STR(IMPORT("idx", "t", in_scratch("none")), "none: there is no such file");
    CHECK_STR(IMPORT("idx", "t", "/tmp"), "/tmp: not an ordinary file");
    CHECK_STR(IMPORT("png", "t", px), "unknown format \"png\"; it is one of idx, cifar10, image, text, csv, npy");
    CHECK_STR(IMPORT("idx", "sqlite_x", px), "\"sqlite_x\" cannot be the name of a table: names that start with "
              "sqlite_, sqlgrad_ or _sg_ are reserved");
    CHECK_STR(IMPORT("idx", NULL, px), "name the table to import into with --table");
    CHECK_STR(IMPORT("idx", "t", put("empty", "", 0)), "empty: 0 bytes; an IDX file starts with 4 bytes that say what it is");
    CHECK_STR(IMPORT("csv", "t", put("nul", "a\n\0\n", 4)), "nul: line 2: a NUL byte; this is no text");
    CHECK(access(in_scratch("d.db"), F_OK) != 0);           /* nothing was left */
    const char *label = put("label", idx_labels, 9);
    CHECK_STR(IMPORT("idx", "t", label), "label: the header asks for 2 bytes of data, the file has 1");
    label = put("label", "\0\0\x08\x01\0\0\0\x01\x07", 9);
    CHECK_STR(IMPORT("idx", "t", px, label), "a file holds labels; name their table with --labels");
    ImportOpts o = { .format = "idx", .table = "t", .labels = "T", .file = (const char *[]){ px, label }, .n_files = 2 };
    CHECK_STR(import_error(o), "--table and --labels are both t");
    o.labels = "l";
    CHECK_STR(import_error(o), "2 images, but 1 labels");
    o.n_files = 1;
    CHECK_STR(import_error(o), "--labels l: no file holds labels");
    finish();
}

static void test_import_gzip(void)
{
    char command[300];

    begin();
    put("px", idx_images, 22);
    snprintf(command, sizeof command, "cd %s && gzip -k px && head -c 30 px.gz > cut && (cat px.gz; echo tail) > tail"
             " && (head -c 20 px.gz; head -c 20 /dev/zero) > bad && head -c 300000000 /dev/zero | gzip -1 > bomb", scratch);
    CHECK_INT(system(command), 0);
    CHECK_STR(IMPORT("idx", "t", in_scratch("px.gz")), "");
    CHECK_STR(ask("SELECT SUM(val) FROM t"), "765.0");
    CHECK(strstr(IMPORT("idx", "u", in_scratch("cut")), "cut: the gzip file ends too early"));
    CHECK(strstr(IMPORT("idx", "u", in_scratch("tail")), "tail: the gzip file is damaged after 22 unpacked bytes"));
    CHECK(strstr(IMPORT("idx", "u", in_scratch("bad")), "bad: the gzip file"));
    CHECK(strstr(IMPORT("csv", "u", in_scratch("bomb")), "bytes unpack to more than 256 MB"));
    finish();
}

static void test_import_cifar10(void)
{
    uint8_t *p = mem_alloc(2 * 3073);

    begin();
    for (int k = 0; k < 2 * 3073; k++)
        p[k] = (uint8_t)(k * 7);
    p[0] = 3;
    p[3073] = 9;
    const char *file = put("batch", p, 2 * 3073);
    ImportOpts o = { .format = "cifar10", .table = "s", .labels = "l", .file = (const char *[]){ file, file },
                     .n_files = 2, .limit = 3 };
    CHECK_STR(import_error(o), "");
    CHECK_STR(ask("SELECT COUNT(*) || '|' || MAX(image) || '|' || SUM(val) FROM s"), "9216|2|1175040.0");
    CHECK_STR(ask("SELECT val FROM s WHERE image = 0 AND channel = 1 AND r = 2 AND c = 3"), "220.0");
    CHECK_STR(ask("SELECT group_concat(label) FROM l"), "3,9,3");
    finish();
    mem_free(p);
}

static void test_import_csv(void)
{
    begin();
    const char *one = put("one", "k,x\n1,2\n2,3\n", 12), *two = put("two", "k,x\n3,0.5\n,\n", 12);
    ImportOpts o = { .format = "csv", .table = "t", .file = (const char *[]){ one, two }, .n_files = 2 };

    CHECK_STR(import_error(o), "");
    CHECK_STR(ask("SELECT group_concat(coalesce(k, '-') || ' ' || coalesce(x, '-') || ' ' || typeof(x)) FROM t"),
              "1 2.0 real,2 3.0 real,3 0.5 real,- - null");
    CHECK_STR(import_error(o), "d.db: there is already a table t");
    o.append = true;
    o.n_files = 1;
    CHECK_STR(import_error(o), "");
    CHECK_STR(ask("SELECT COUNT(*) || typeof(SUM(x)) FROM t"), "6real");
    o.file = (const char *[]){ put("bad", "k,x\n1,2\n2.5,3\n", 14) };
    CHECK_STR(import_error(o), "bad: line 3: column \"k\" of t is INTEGER; this value is not");
    o.file = (const char *[]){ put("bad", "k,y\n1,2\n", 8) };
    CHECK_STR(import_error(o), "bad: line 1: t has no column \"y\"");
    o.append = false;
    o.replace = true;
    o.file = (const char *[]){ put("bad", "k,x\n1,2\n1,2,3\n", 14) };
    CHECK_STR(import_error(o), "bad: line 3: more than 2 fields; the header has 2");
    CHECK_STR(ask("SELECT COUNT(*) FROM t"), "6");                  /* all or nothing */
    o.as = "val / 255";
    CHECK_STR(import_error(o), "csv has no --as; compute the value in the model");
    finish();
}

/* A long run of blank lines must not take quadratic time. */
static void test_csv_is_linear(void)
{
    const size_t n = 2000000;
    char *text = mem_alloc(n);
    Table t;
    Err e = { 0 };

    memset(text, '\n', n);
    memcpy(text, "a", 1);
    text[n - 1] = '7';
    CHECK_INT(csv_parse(text, n, -1, &t, &e), OK);
    CHECK_INT(t.n_rows, n - 2);
    table_free(&t);
    mem_free(text);
}

TEST_MAIN({ "import.idx_bytes", test_idx },
          { "import.cifar10_bytes", test_cifar10 },
          { "import.csv_types", test_csv_types },
          { "import.csv_quoting", test_csv_quoting },
          { "import.csv_errors", test_csv_errors },
          { "import.csv_is_linear", test_csv_is_linear },
          { "import.idx", test_import_idx },
          { "import.wrong", test_import_wrong },
          { "import.gzip", test_import_gzip },
          { "import.cifar10", test_import_cifar10 },
          { "import.csv", test_import_csv })
