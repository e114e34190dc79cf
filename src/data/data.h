/* SPDX-License-Identifier: Apache-2.0
 *
 * data.h - importers: bulk, one transaction, all or nothing. */
#ifndef SG_DATA_H
#define SG_DATA_H

#include "db/db.h"

typedef enum ImportFormat {
    FORMAT_idx, FORMAT_cifar10, FORMAT_image, FORMAT_text, FORMAT_csv, FORMAT_npy, N_FORMATS
} ImportFormat;
extern const char *const import_format[N_FORMATS];     /* their names */

typedef struct ImportOpts {
    const char *format;
    const char **file; int n_files;
    const char *table, *labels;         /* labels NULL: none */
    const char *as;                     /* EXPR over val, or NULL; bound by the caller through `map` and `value` */
    double map[256]; bool has_map;      /* images: value of each byte under EXPR */
    double (*value)(void *arg, double val); void *value_arg;    /* npy: the same for any number; NULL: none */
    int64_t channels;                   /* image: 1 or 3, as which all pictures are read; 0: as they are */
    const char **key; int n_keys;       /* npy: names of the key columns; none: i, j, k, l, … */
    int64_t limit;                      /* images, rows or characters, -1: all */
    bool append, replace;
} ImportOpts;

typedef struct ImportReport { int64_t n_images, n_labels, n_rows, n_codes; const char *shape; } ImportReport;

Code data_import(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e);

/* The parsers alone, on bytes, for fuzzing; each fails with a message that says where.  Those of pictures: picture.h. */
Code idx_parse(const uint8_t *p, size_t n, int *n_dims, uint32_t dim[4], const uint8_t **data, Err *e);
Code cifar10_parse(const uint8_t *p, size_t n, size_t *n_images, Err *e);
Code csv_parse(const char *text, size_t n, int64_t limit, Table *out, Err *e);  /* header, quoting, types from the data */

/* Text as code points: the next one at *at, which moves on; -1: the bytes are no UTF-8, or NUL. */
int32_t utf8_next(const uint8_t *p, size_t n, size_t *at);

#define NPY_DIMS 8
/* An array of NumPy's format.  kind: 'i' signed, 'u' unsigned, 'b' boolean, 'f' floating; `size`: bytes of an element. */
typedef struct Npy {
    char kind; int size;
    bool big_endian, fortran;
    int n_dims; uint64_t dim[NPY_DIMS], n;
    const uint8_t *data;
} Npy;
Code npy_parse(const uint8_t *p, size_t n, Npy *out, Err *e);
double  npy_real(const Npy *a, uint64_t at);            /* element number `at` of the data, in the order of the file */
int64_t npy_int(const Npy *a, uint64_t at);             /* not for floating elements */
#endif
