/* SPDX-License-Identifier: Apache-2.0
 *
 * api.c - the public C API as a program that embeds it sees it: options, commands, result tables column by
 * column, errors with their place, events, and two sessions side by side. */
#include "unit.h"

#include "sqlgrad.h"

#include <stdlib.h>
#include <unistd.h>

static char model_path[] = "/tmp/sqlgrad-api-XXXXXX";

static void write_model(const char *text)
{
    FILE *f = fopen(model_path, "w");

    CHECK(f != NULL);
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

static void result_columns(void)
{
    sqlgrad *s = sqlgrad_new();
    double r[3];
    int64_t i[3];
    const char *t[3];
    uint8_t null[3];

    write_model("CREATE TABLE a AS WITH v(id, name, x) AS (VALUES (2, 'two', 0.5), (1, 'one', NULL), (3, 'three', 1e-3))\n"
                "SELECT id, name, x FROM v;\n");
    CHECK_INT(sqlgrad_set(s, "precision", "f64"), SQLGRAD_OK);
    CHECK_INT(sqlgrad_run(s, model_path), SQLGRAD_OK);
    CHECK_STR(sqlgrad_errmsg(s), "");
    CHECK_INT(sqlgrad_tables(s), 1);
    CHECK_STR(sqlgrad_table_name(s, 0), "a");
    CHECK_INT(sqlgrad_rows(s, 0), 3);
    CHECK_INT(sqlgrad_cols(s, 0), 3);
    CHECK_STR(sqlgrad_col_name(s, 0, 2), "x");
    CHECK_INT(sqlgrad_col_type(s, 0, 0), SQLGRAD_INTEGER);
    CHECK_INT(sqlgrad_col_type(s, 0, 1), SQLGRAD_TEXT);
    CHECK_INT(sqlgrad_col_type(s, 0, 2), SQLGRAD_REAL);
    CHECK_INT(sqlgrad_rows_int(s, 0, 0, 0, 3, i, NULL), SQLGRAD_OK);
    CHECK(i[0] == 1 && i[1] == 2 && i[2] == 3);
    CHECK_INT(sqlgrad_rows_text(s, 0, 1, 1, 2, t, null), SQLGRAD_OK);
    CHECK_STR(t[0], "two");
    CHECK_STR(t[1], "three");
    CHECK_INT(sqlgrad_rows_real(s, 0, 2, 0, 3, r, null), SQLGRAD_OK);
    CHECK(isnan(r[0]) && null[0] == 1 && r[1] == 0.5 && null[1] == 0 && r[2] == 1e-3);
    CHECK_INT(sqlgrad_rows_real(s, 0, 2, 2, 2, r, null), SQLGRAD_USAGE);
    CHECK_INT(sqlgrad_rows_real(s, 0, 1, 0, 1, r, null), SQLGRAD_USAGE);
    CHECK_INT(sqlgrad_rows_int(s, 1, 0, 0, 0, i, null), SQLGRAD_USAGE);
    CHECK(sqlgrad_table_name(s, 1) == NULL && sqlgrad_col_name(s, 0, 3) == NULL && sqlgrad_rows(s, -1) == 0);
    sqlgrad_free(s);
}

static void errors_have_places(void)
{
    sqlgrad *s = sqlgrad_new();

    write_model("CREATE TABLE a AS SELECT 1 AS x;\nCREATE TABLE b AS SELECT y FROM a;\n");
    CHECK_INT(sqlgrad_run(s, model_path), SQLGRAD_INPUT);
    CHECK_INT(sqlgrad_errline(s), 2);
    CHECK_INT(sqlgrad_errcol(s), 26);
    CHECK(strstr(sqlgrad_errmsg(s), "no column \"y\"") != NULL);
    CHECK(*sqlgrad_errid(s) != 0);
    CHECK_INT(sqlgrad_tables(s), 0);
    CHECK_INT(sqlgrad_run(s, "/nonexistent/model.sql"), SQLGRAD_INPUT);
    CHECK_INT(sqlgrad_errline(s), 0);
    CHECK_STR(sqlgrad_errid(s), "api.file");
    CHECK_INT(sqlgrad_run(s, NULL), SQLGRAD_USAGE);
    sqlgrad_free(s);
    sqlgrad_free(NULL);
}

static void options_are_checked(void)
{
    sqlgrad *s = sqlgrad_new();

    CHECK_INT(sqlgrad_set(s, "wieght-decay", "1"), SQLGRAD_USAGE);
    CHECK_STR(sqlgrad_errmsg(s), "no option --wieght-decay; did you mean --weight-decay?");
    CHECK_INT(sqlgrad_set(s, "steps", "many"), SQLGRAD_USAGE);
    CHECK_INT(sqlgrad_set(s, "steps", "-1"), SQLGRAD_USAGE);
    CHECK_INT(sqlgrad_set(s, "steps", "3"), SQLGRAD_OK);
    write_model("CREATE TABLE a AS SELECT 1 AS x;\n");
    CHECK_INT(sqlgrad_run(s, model_path), SQLGRAD_USAGE);
    CHECK_STR(sqlgrad_errmsg(s), "run takes no --steps");
    CHECK_INT(sqlgrad_set(s, "steps", NULL), SQLGRAD_OK);
    CHECK_INT(sqlgrad_run(s, model_path), SQLGRAD_OK);
    CHECK_INT(sqlgrad_option_kind("json"), 'f');
    CHECK_INT(sqlgrad_option_kind("db"), 'v');
    CHECK_INT(sqlgrad_option_kind("dbx"), 0);
    CHECK(sqlgrad_help("train") != NULL && sqlgrad_help("rain") == NULL && sqlgrad_help(NULL) != NULL);
    CHECK(sqlgrad_list(s, "ops") != NULL && sqlgrad_list(s, "opts") == NULL);
    sqlgrad_free(s);
}

typedef struct Heard { int kind[8]; char text[8][100]; int n; } Heard;

static void hear(void *arg, int kind, const char *text)
{
    Heard *h = arg;

    if (h->n == 8)
        return;
    h->kind[h->n] = kind;
    snprintf(h->text[h->n++], sizeof h->text[0], "%s", text);
}

static void events_and_sets(void)
{
    sqlgrad *s = sqlgrad_new(), *other = sqlgrad_new();
    Heard h = { .n = 0 };

    write_model("-- @set k = 1\n-- @set m = 1\nCREATE TABLE a AS SELECT :k + 10 * :m AS x;\n");
    sqlgrad_on_event(s, hear, &h);
    CHECK_INT(sqlgrad_set(s, "json", "1"), SQLGRAD_OK);
    CHECK_INT(sqlgrad_set(s, "set", "k=5"), SQLGRAD_OK);
    CHECK_INT(sqlgrad_set(s, "set", "m=7"), SQLGRAD_OK);
    CHECK_INT(sqlgrad_run(s, model_path), SQLGRAD_OK);
    CHECK_INT(sqlgrad_run(other, model_path), SQLGRAD_OK);
    CHECK_INT(h.n, 1);
    CHECK_INT(h.kind[0], SQLGRAD_OUT);
    CHECK_STR(h.text[0], "{\"table\":\"a\",\"x\":75}");
    CHECK_INT(sqlgrad_tables(other), 1);
    sqlgrad_free(s);
    sqlgrad_free(other);
}

static void remove_model(void)
{
    unlink(model_path);
}

int main(void)
{
    static const UnitTest tests[] = {
        { "result tables by column", result_columns }, { "errors have places", errors_have_places },
        { "options are checked", options_are_checked }, { "events and sets", events_and_sets },
    };
    const int fd = mkstemp(model_path);

    if (fd >= 0)
        close(fd);
    atexit(remove_model);
    return unit_main(tests, COUNT_OF(tests));
}
