/* SPDX-License-Identifier: Apache-2.0
 *
 * dialect.c - what differs between engines, and nothing else.  The columns are described at Dialect in ir.h.
 * This release prints scripts for SQLite only; a row is added when its engine runs the tests. */
#include "emit/emit.h"

#include <string.h>

const Dialect dialects[] = {
    /* Division by zero and LN(0) give NULL, NaN is stored as NULL; SQRT and POW outside their domains are NULL,
     * EXP overflows to infinity: only the first two need guards.  MAX of two arguments with a NULL is NULL. */
    { .name = "sqlite", .real = "REAL", .integer = "INTEGER", .text = "TEXT", .ln = "LN", .max = "MAX", .min = "MIN",
      .idiv = "/", .same = "IS", .differ = "IS NOT", .guard_ieee = true, .cross_join_order = true,
      .temp_prefix = true, .script = true, .sign_is_int = true, .round_binary = true },
};

const int n_dialects = COUNT_OF(dialects);

const Dialect *dialect_find(const char *name)
{
    for (int k = 0; k < n_dialects; k++)
        if (!strcmp(dialects[k].name, name))
            return &dialects[k];
    return NULL;
}
