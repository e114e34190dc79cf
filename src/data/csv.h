/* SPDX-License-Identifier: Apache-2.0
 *
 * csv.h - private to src/data: CSV in two passes, so that several files agree on their types before any
 * value is stored. */
#ifndef SG_CSV_H
#define SG_CSV_H

#include "data/data.h"

/* What the fields of a column look like; lines are those of the first field of its kind, 0: none seen. */
typedef struct CsvSeen {
    int64_t integer, real, text, null, big;     /* big: digits beyond 64 bits */
    int64_t overflow;                           /* a number beyond the range of REAL */
} CsvSeen;

typedef struct CsvInfo {
    const char **name; int n_cols;
    CsvSeen *seen;
    size_t n_rows;
} CsvInfo;

/* Header and kinds of all fields; at most `limit` rows (-1: all). */
Code csv_look(const char *text, size_t n, int64_t limit, CsvInfo *info, Arena *a, Err *e);
/* The type that fits all fields of a column. */
Code csv_type(const CsvSeen *s, const char *name, Type *type, Err *e);
/* Whether every field of a column can be stored as `type`; if not, *line is the first that cannot. */
bool csv_fits(const CsvSeen *s, Type type, int64_t *line);
/* The rows as a table with these types; `info` is what csv_look said of the same text. */
Code csv_fill(const char *text, size_t n, const CsvInfo *info, const Type *type, Table *out, Err *e);
#endif
