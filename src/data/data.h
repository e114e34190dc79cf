/* SPDX-License-Identifier: Apache-2.0
 *
 * data.h - importers: bulk, one transaction, all or nothing. */
#ifndef SG_DATA_H
#define SG_DATA_H

#include "db/db.h"

typedef struct ImportOpts {
    const char *format;                 /* idx cifar10 csv */
    const char **file; int n_files;
    const char *table, *labels;         /* labels NULL: none */
    const char *as;                     /* EXPR over val, or NULL; bound by the caller through `map` */
    double map[256]; bool has_map;      /* value of each byte under EXPR */
    int64_t limit;                      /* images or rows, -1: all */
    bool append, replace;
} ImportOpts;

typedef struct ImportReport { int64_t n_images, n_labels, n_rows; const char *shape; } ImportReport;

Code data_import(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e);

/* The parsers alone, on bytes, for fuzzing; each fails with a message that says where. */
Code idx_parse(const uint8_t *p, size_t n, int *n_dims, uint32_t dim[4], const uint8_t **data, Err *e);
Code cifar10_parse(const uint8_t *p, size_t n, size_t *n_images, Err *e);
Code csv_parse(const char *text, size_t n, int64_t limit, Table *out, Err *e);  /* header, quoting, types from the data */
#endif
