/* SPDX-License-Identifier: Apache-2.0
 *
 * dialect.c - what differs between engines, and nothing else.  The columns are described at Dialect in ir.h.
 * The first release prints scripts for SQLite only; the other rows hold what is known of their engines. */
#include "emit/emit.h"

#include <string.h>

const Dialect dialects[] = {
    /* Division by zero and LN(0) give NULL, NaN is stored as NULL; SQRT and POW outside their domains are NULL,
     * EXP overflows to infinity: only the first two need guards.  MAX of two arguments with a NULL is NULL. */
    { .name = "sqlite", .real = "REAL", .integer = "INTEGER", .text = "TEXT", .ln = "LN", .max = "MAX", .min = "MIN",
      .idiv = "/", .same = "IS", .differ = "IS NOT", .guard_ieee = true, .cross_join_order = true,
      .temp_prefix = true, .script = true, .sign_is_int = true, .round_binary = true },
    { .name = "duckdb", .real = "DOUBLE", .integer = "BIGINT", .text = "VARCHAR", .ln = "LN", .max = "GREATEST",
      .min = "LEAST", .idiv = "//", .same = "IS NOT DISTINCT FROM", .differ = "IS DISTINCT FROM",
      .guard_ieee = true, .temp_prefix = true, .script = true, .round_binary = true },
    { .name = "postgres", .real = "DOUBLE PRECISION", .integer = "BIGINT", .text = "TEXT COLLATE \"C\"", .ln = "LN",
      .max = "GREATEST", .min = "LEAST", .idiv = "/", .same = "IS NOT DISTINCT FROM", .differ = "IS DISTINCT FROM",
      .guard_ieee = true, .script = true, .round_binary = true },
    { .name = "trino", .real = "DOUBLE", .integer = "BIGINT", .text = "VARCHAR", .ln = "LN", .max = "GREATEST",
      .min = "LEAST", .idiv = "/", .same = "IS NOT DISTINCT FROM", .differ = "IS DISTINCT FROM",
      .guard_ieee = true, .script = true, .round_binary = true },
};

const int n_dialects = COUNT_OF(dialects);

const Dialect *dialect_find(const char *name)
{
    for (int k = 0; k < n_dialects; k++)
        if (!strcmp(dialects[k].name, name))
            return &dialects[k];
    return NULL;
}
