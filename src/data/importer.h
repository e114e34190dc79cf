/* SPDX-License-Identifier: Apache-2.0
 *
 * importer.h - private to src/data: the importers behind data_import, and what they share. */
#ifndef SG_IMPORTER_H
#define SG_IMPORTER_H

#include "data/data.h"
#include "data/file.h"

/* At most `limit` of n; -1: all. */
size_t import_limit(size_t n, int64_t limit);
/* Run `write` in a transaction. */
Code import_transaction(Db *db, Code (*write)(Db *db, const void *arg, Err *e), const void *arg, Err *e);

Code import_images(Db *db, const ImportOpts *o, ImportFormat format, ImportReport *r, Arena *a, Err *e);
Code import_csv(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e);
Code import_text(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e);
Code import_npy(Db *db, const ImportOpts *o, ImportReport *r, Arena *a, Err *e);
#endif
