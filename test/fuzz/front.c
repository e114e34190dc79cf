/* SPDX-License-Identifier: Apache-2.0
 *
 * front.c - any text as a model, over a database of three tables: the scan, the parser, binding, and
 * where that succeeds the verifier and the printed form, which must read back to the same print. */
#include "fuzz.h"

#include "front/front.h"

#include <string.h>

static CatCol t_cols[] = {
    { .name = "id", .type = T_INT, .decl = "INTEGER", .has_range = true, .lo = 0, .hi = 9, .n_distinct = 10 },
    { .name = "k", .type = T_TEXT, .decl = "TEXT", .nullable = true, .n_distinct = 3 },
    { .name = "x", .type = T_REAL, .decl = "REAL", .nullable = true, .n_distinct = -1 },
};
static CatCol w_cols[] = {
    { .name = "id", .type = T_INT, .decl = "INTEGER", .has_range = true, .lo = 0, .hi = 4, .n_distinct = 5 },
    { .name = "r", .type = T_INT, .decl = "INTEGER", .has_range = true, .lo = 0, .hi = 4, .n_distinct = 5 },
    { .name = "w", .type = T_REAL, .decl = "REAL", .n_distinct = -1 },
};
static CatCol bag_cols[] = {
    { .name = "val", .type = T_REAL, .decl = "REAL", .n_distinct = -1 },
};
static CatTable fuzz_tables[] = {
    { .name = "t", .db_name = "t", .exists = true, .col = t_cols, .n_cols = 3, .n_rows = 10 },
    { .name = "w", .db_name = "w", .exists = true, .col = w_cols, .n_cols = 3, .n_rows = 25, .unique = true },
    { .name = "bag", .db_name = "bag", .exists = true, .col = bag_cols, .n_cols = 1, .n_rows = 7 },
};
static const char *fuzz_known[] = { "t", "w", "bag" };

/* The canonical form of a model text, or false if it is in error. */
static bool bound_text(const char *text, size_t len, Buf *out)
{
    Compile c = { 0 };
    Catalog cat = { .table = fuzz_tables, .n_tables = 3, .have_db = true, .known = fuzz_known, .n_known = 3 };
    const FrontOpts o = { 0 };
    volatile bool bound = false;

    if (!setjmp(c.fail)) {
        Scan *s = front_scan(&c, compile_add_file(&c, "m.sql", text, len));
        diag_stop_if_any(&c);
        Prog *p = front_bind(&c, s, &cat, &o);
        ir_verify(p, "bind");
        print_prog(out, p, &dialect_canonical, false);
        bound = true;
    }
    for (int i = 0; i < c.n_diags && i < 100; i++) {
        Buf shown = { 0 };
        diag_print(&shown, &c, &c.diag[i]);
        buf_free(&shown);
    }
    compile_free(&c);
    return bound;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buf first = { 0 }, again = { 0 };
    char *text = mem_alloc(size + 1);

    memcpy(text, data, size);
    /* A model of nothing but unused declarations prints as nothing, and nothing is no model. */
    if (bound_text(text, size, &first) && first.s && strstr(first.s, "CREATE")) {
        if (!bound_text(first.s, first.n, &again))
            BUG("front: the printed form does not read back:\n%s", first.s);
        if (first.n != again.n || memcmp(first.s, again.s, first.n))
            BUG("front: the printed form reads back to another:\n%s\n---\n%s", first.s, again.s);
    }
    mem_free(text);
    buf_free(&first);
    buf_free(&again);
    return 0;
}
