/* SPDX-License-Identifier: Apache-2.0
 *
 * example.c - sqlgrad from C: train a line, y = a + b x, on data.db, and read what it learnt.
 *
 *     cc example.c $(pkg-config --cflags --libs sqlgrad) -o example
 *     sqlite3 data.db "CREATE TABLE points (x REAL, y REAL); INSERT INTO points VALUES (0, 1), (1, 3), (2, 5), (3, 7);"
 *     ./example line.sql data.db
 *
 * where line.sql is
 *
 *     CREATE TABLE points (x REAL, y REAL);
 *     -- @param(init = zeros)
 *     CREATE TABLE w (power INTEGER CHECK (power BETWEEN 0 AND 1), w REAL);
 *     -- @loss
 *     CREATE TABLE loss AS SELECT AVG((a.w + b.w * x - y) * (a.w + b.w * x - y)) AS val
 *     FROM points, w AS a, w AS b WHERE a.power = 0 AND b.power = 1;
 *     CREATE TABLE line AS SELECT power, w FROM w; */
#include <sqlgrad.h>
#include <stdio.h>

static void on_event(void *arg, int kind, const char *text)
{
    (void)arg;
    if (kind == SQLGRAD_ERROR || kind == SQLGRAD_NOTE)
        fprintf(stderr, "%s\n", text);
}

static int train_and_show(sqlgrad *s, const char *model, const char *db)
{
    double w[2];

    sqlgrad_set(s, "db", db);
    sqlgrad_set(s, "steps", "200");
    sqlgrad_set(s, "lr", "0.1");
    sqlgrad_set(s, "fresh", "1");
    int rc = sqlgrad_train(s, model);           /* parameters and history are in the database now */
    sqlgrad_set(s, "steps", NULL);              /* run takes none of these */
    sqlgrad_set(s, "lr", NULL);
    sqlgrad_set(s, "fresh", NULL);
    sqlgrad_set(s, "show", "line,loss");
    if (rc == SQLGRAD_OK)
        rc = sqlgrad_run(s, model);
    for (int t = 0; rc == SQLGRAD_OK && t < sqlgrad_tables(s); t++)
        printf("%s: %zu rows of %d columns\n", sqlgrad_table_name(s, t), sqlgrad_rows(s, t), sqlgrad_cols(s, t));
    if (rc == SQLGRAD_OK && sqlgrad_rows_real(s, 0, 1, 0, 2, w, NULL) == SQLGRAD_OK)
        printf("y = %.2f + %.2f x\n", w[0], w[1]);
    return rc;
}

int main(int argc, char **argv)
{
    sqlgrad *s = argc == 3 ? sqlgrad_new() : NULL;

    if (!s) {
        fprintf(stderr, "usage: example MODEL.sql DB\n");
        return SQLGRAD_USAGE;
    }
    sqlgrad_on_event(s, on_event, NULL);
    const int rc = train_and_show(s, argv[1], argv[2]);
    sqlgrad_free(s);
    return rc;
}
