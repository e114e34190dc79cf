/* SPDX-License-Identifier: Apache-2.0
 *
 * file.h - private to src/data: a whole file in memory, unpacked if it is gzip. */
#ifndef SG_FILE_H
#define SG_FILE_H

#include "base/base.h"

typedef struct FileBytes { uint8_t *p; size_t n; } FileBytes;

Code file_read(FileBytes *out, const char *path, Err *e);
void file_free(FileBytes *f);
/* Give a parser's error on behalf of a file: "path: what the parser said". */
Code file_error(const char *path, const Err *inner, Err *e);
#endif
