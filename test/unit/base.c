/* SPDX-License-Identifier: Apache-2.0
 *
 * base.c - the base layer: arenas, growing text, maps, numbers, name suggestions, and how an error
 * shows its place in the user's text. */
#include "unit.h"

static void arena_objects(void)
{
    Arena a = { 0 };
    char *p[200];

    for (int i = 0; i < 200; i++) {
        const size_t n = (size_t)(i * 997 % 5000 + 1);
        p[i] = arena_alloc(&a, n);
        CHECK((uintptr_t)p[i] % 16 == 0);
        for (size_t k = 0; k < n; k++)
            CHECK_INT(p[i][k], 0);
        memset(p[i], i, n);
    }
    for (int i = 0; i < 200; i++)
        CHECK_INT((unsigned char)p[i][0], i);
    CHECK(a.total > 0);
    arena_free(&a);
    CHECK(a.head == NULL && a.total == 0);
    arena_free(&a);
}

static void arena_big_object(void)
{
    Arena a = { 0 };
    char *p = arena_alloc(&a, (size_t)1 << 20), *q = arena_alloc(&a, 0);

    memset(p, 1, (size_t)1 << 20);
    CHECK(q != NULL);
    CHECK_STR(arena_strdup(&a, "after"), "after");
    CHECK_STR(arena_strndup(&a, "abcdef", 3), "abc");
    CHECK_STR(arena_printf(&a, "%s-%d", "x", 7), "x-7");
    arena_free(&a);
}

static void vec_push(void)
{
    Arena a = { 0 };
    int *v = NULL, n = 0;

    for (int i = 0; i < 1000; i++)
        VEC_PUSH(&a, v, n, 3 * i);
    CHECK_INT(n, 1000);
    for (int i = 0; i < 1000; i++)
        CHECK_INT(v[i], 3 * i);
    arena_free(&a);
}

static void mem_blocks(void)
{
    double *p = mem_try(1000);

    CHECK((uintptr_t)p % 64 == 0);
    CHECK(p[0] == 0 && p[124] == 0);
    p[0] = 1.5;
    p = mem_realloc(p, 1000, 100000);
    CHECK(p[0] == 1.5 && p[12499] == 0);
    mem_free(p);
    mem_free(NULL);
    CHECK(mem_try(PTRDIFF_MAX) == NULL);
}

static void buf_text_grows(void)
{
    Buf b = { 0 };

    for (int i = 0; i < 500; i++)
        buf_printf(&b, "%d,", i % 10);
    CHECK_INT(b.n, 1000);
    CHECK_INT(strlen(b.s), 1000);
    buf_free(&b);
    CHECK(b.s == NULL && b.n == 0);
    buf_ident(&b, "a\"b");
    buf_putc(&b, ' ');
    buf_text(&b, "it's");
    CHECK_STR(b.s, "\"a\"\"b\" 'it''s'");
    buf_free(&b);
}

static void real_text(double x, const char *want)
{
    Buf b = { 0 };

    buf_real(&b, x);
    CHECK_STR(b.s, want);
    buf_free(&b);
}

static void buf_reals(void)
{
    real_text(0.1, "0.1");
    real_text(1, "1.0");
    real_text(-0.0, "-0.0");
    real_text(1e300, "1e+300");
    real_text(0.1 + 0.2, "0.30000000000000004");
    real_text(5e-324, "4.94065645841247e-324");
    real_text(INFINITY, "9e999");
    real_text(-INFINITY, "-9e999");
    real_text(NAN, "NULL");
}

static void buf_reals_read_back(void)
{
    uint64_t bits = 1;

    for (int i = 0; i < 20000; i++) {
        Buf b = { 0 };
        double x, y;
        bits = hash_u64(bits + 1);
        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x))
            continue;
        buf_real(&b, x);
        CHECK(parse_real(b.s, b.n, &y) && !memcmp(&x, &y, sizeof x));
        buf_free(&b);
    }
}

static void map_many(void)
{
    Arena a = { 0 };
    Map m;
    char key[32];

    map_init(&m, &a);
    CHECK(map_get(&m, "k", 1) == NULL);
    for (int i = 0; i < 5000; i++) {
        const int n = snprintf(key, sizeof key, "key %d", i);
        CHECK_INT(*map_put(&m, key, (size_t)n, i), i);
    }
    CHECK_INT(*map_put(&m, "key 7", 5, 99), 7);     /* an existing value stays */
    CHECK_INT(m.n, 5000);
    for (int i = 0; i < 5000; i++) {
        const int n = snprintf(key, sizeof key, "key %d", i);
        const int *v = map_get(&m, key, (size_t)n);
        CHECK(v && *v == i);
        CHECK_STR(m.e[i].key, key);                 /* insertion order */
    }
    CHECK(map_get(&m, "key 5000", 8) == NULL);
    arena_free(&a);
}

static void map_binary_keys(void)
{
    Arena a = { 0 };
    Map m;

    map_init(&m, &a);
    map_put(&m, "a\0b", 3, 1);
    map_put(&m, "a\0c", 3, 2);
    map_put(&m, "", 0, 3);
    CHECK_INT(*map_get(&m, "a\0b", 3), 1);
    CHECK_INT(*map_get(&m, "a\0c", 3), 2);
    CHECK_INT(*map_get(&m, "", 0), 3);
    CHECK(map_get(&m, "a", 1) == NULL);
    arena_free(&a);
}

static void ints(void)
{
    int64_t v = 0;

#define YES(text, want) CHECK(parse_int(text, strlen(text), &v)); CHECK_INT(v, want)
#define NO(text)        CHECK(!parse_int(text, strlen(text), &v))
    YES("0", 0);
    YES("-0", 0);
    YES("+42", 42);
    YES("007", 7);
    YES("9223372036854775807", INT64_MAX);
    YES("-9223372036854775808", INT64_MIN);
    NO("9223372036854775808");
    NO("-9223372036854775809");
    NO("18446744073709551616");
    NO("99999999999999999999999");
    NO("");
    NO("-");
    NO("+");
    NO("1x");
    NO(" 1");
    NO("1.0");
    NO("--1");
    CHECK(parse_int("123", 2, &v) && v == 12);      /* only n bytes are read */
#undef YES
#undef NO
}

static void reals(void)
{
    double v = 0;

#define YES(text, want) CHECK(parse_real(text, strlen(text), &v) && v == (want))
#define NO(text)        CHECK(!parse_real(text, strlen(text), &v))
    YES("0", 0);
    YES("1.5", 1.5);
    YES("-.5e1", -5.0);
    YES("1e-400", 0.0);
    NO("");
    NO("e5");
    NO("1.5x");
    NO("nan");
    NO("inf");
    NO("0x10");
    NO("1,5");
    NO("1.2.3");
    NO(" 1");
    CHECK(parse_real("1.5e3", 3, &v) && v == 1.5);
#undef YES
#undef NO
}

static void suggestions(void)
{
    static const char *const names[] = { "out_channel", "in_channel", "r", "c", "weight" };

    CHECK_STR(nearest_name("weigth", names, 5), "weight");
    CHECK_STR(nearest_name("WEIGHT", names, 5), "weight");
    CHECK_STR(nearest_name("in_chanel", names, 5), "in_channel");
    CHECK(nearest_name("banana", names, 5) == NULL);
    CHECK(nearest_name("x", names, 0) == NULL);
    CHECK(ascii_ieq("AbC", "aBc") && !ascii_ieq("ab", "abc") && !ascii_ieq("abc", "ab"));
}

/* The printed form of an error at bytes [off, off + len) of `text`. */
static void shows(const char *text, int off, int len, const char *want)
{
    Compile c = { 0 };
    Buf b = { 0 };

    compile_add_file(&c, "m.sql", text, strlen(text));
    diag_error(&c, "front.test", (Span){ off, len, 0 }, "no %s", "column");
    CHECK_INT(c.n_errors, 1);
    diag_print(&b, &c, &c.diag[0]);
    CHECK_STR(b.s, want);
    buf_free(&b);
    compile_free(&c);
}

static void diag_plain(void)
{
    shows("SELECT y FROM t;\n", 7, 1,
          "m.sql:1:8: error: no column\n   1 | SELECT y FROM t;\n     |        ^\n");
    shows("a\nbc def\n", 5, 3, "m.sql:2:4: error: no column\n   2 | bc def\n     |    ^~~\n");
    shows("a\r\nb\r\n", 3, 1, "m.sql:2:1: error: no column\n   2 | b\n     | ^\n");
    shows("a", 0, 0, "m.sql: error: no column\n");
}

static void diag_at_the_edges(void)
{
    shows("abc", 3, 1, "m.sql:1:4: error: no column\n   1 | abc\n     |    ^\n");
    shows("ab\ncd", 1, 4, "m.sql:1:2: error: no column\n   1 | ab\n     |  ^\n");  /* marks stop at the line's end */
    shows("", 0, 1, "m.sql:1:1: error: no column\n   1 | \n     | ^\n");
}

static void diag_utf8_and_tabs(void)
{
    shows("'\xc3\xa4\xc3\xb6' x", 7, 1, "m.sql:1:6: error: no column\n   1 | '\xc3\xa4\xc3\xb6' x\n     |      ^\n");
    shows("\tx\ty", 3, 1, "m.sql:1:4: error: no column\n   1 |  x y\n     |    ^\n");
    shows("\xc3\xa4\xc3\xb6", 0, 4, "m.sql:1:1: error: no column\n   1 | \xc3\xa4\xc3\xb6\n     | ^~\n");
}

static void diag_long_line(void)
{
    char text[2001];
    Compile c = { 0 };
    Buf b = { 0 };

    memset(text, 'x', 2000);
    text[2000] = 0;
    text[1000] = 'Y';
    compile_add_file(&c, "m.sql", text, 2000);
    diag_error(&c, "front.test", (Span){ 1000, 1, 0 }, "long");
    diag_print(&b, &c, &c.diag[0]);
    CHECK(b.n < 400);
    CHECK(!strncmp(b.s, "m.sql:1:1001: error: long\n", 26));
    const char *line = strchr(b.s, '\n') + 1, *marks = strchr(line, '\n') + 1;
    CHECK(strchr(line, 'Y') - line == strchr(marks, '^') - marks);
    buf_free(&b);
    compile_free(&c);
}

/* A carriage return inside a line, or any control byte, is a blank and ends nothing. */
static void diag_control_bytes(void)
{
    char text[301];

    shows("a\rb\033c x", 6, 1, "m.sql:1:7: error: no column\n   1 | a b c x\n     |       ^\n");
    memset(text, 'x', 300);
    text[10] = '\r';
    text[300] = 0;
    Compile c = { 0 };
    Buf b = { 0 };
    compile_add_file(&c, "m.sql", arena_strdup(&c.arena, text), 300);
    diag_error(&c, "front.test", (Span){ 290, 5, 0 }, "far");
    diag_print(&b, &c, &c.diag[0]);
    CHECK(!strncmp(b.s, "m.sql:1:291: error: far\n", 24));
    buf_free(&b);
    compile_free(&c);
}

static void diag_fail_leaves(void)
{
    Compile c = { 0 };

    compile_add_file(&c, "m.sql", "x", 1);
    if (!setjmp(c.fail)) {
        diag_note(&c, "front.test", (Span){ 0, 1, 0 }, "a note");
        diag_stop_if_any(&c);
        diag_fail(&c, "front.test", (Span){ 0, 1, 0 }, "an error");
    }
    CHECK_INT(c.code, E_INPUT);
    CHECK_INT(c.n_diags, 2);
    CHECK_INT(c.n_errors, 1);
    compile_free(&c);
}

static void err_first_wins(void)
{
    Err e = { 0 };

    CHECK_INT(err_set(&e, E_INPUT, "a.b", "first %d", 1), E_INPUT);
    CHECK_INT(err_set(&e, E_ENV, "c.d", "second"), E_INPUT);
    CHECK_STR(e.msg, "first 1");
}

TEST_MAIN(
    { "arena objects", arena_objects }, { "arena big object", arena_big_object },
    { "VEC_PUSH", vec_push }, { "mem blocks", mem_blocks }, { "Buf grows", buf_text_grows },
    { "buf_real", buf_reals }, { "buf_real reads back", buf_reals_read_back },
    { "Map many keys", map_many }, { "Map binary keys", map_binary_keys },
    { "parse_int", ints }, { "parse_real", reals }, { "nearest_name", suggestions },
    { "diag_print", diag_plain }, { "diag_print at the edges", diag_at_the_edges },
    { "diag_print UTF-8 and tabs", diag_utf8_and_tabs }, { "diag_print long line", diag_long_line },
    { "diag_print control bytes", diag_control_bytes },
    { "diag_fail", diag_fail_leaves }, { "err_set", err_first_wins })
