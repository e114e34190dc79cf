/* SPDX-License-Identifier: Apache-2.0
 *
 * csv.c - any bytes as a CSV file. */
#include "fuzz.h"

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Table t = { 0 };
    Err e = { 0 };

    if (csv_parse((const char *)data, size, -1, &t, &e) == OK)
        for (int c = 0; c < t.n_cols; c++)
            if (!t.col[c].name || (t.col[c].type == T_TEXT && t.n_rows && !t.col[c].s))
                BUG("csv: column %d has no name or no rows", c);
    table_free(&t);
    return 0;
}
