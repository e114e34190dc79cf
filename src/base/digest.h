/* SPDX-License-Identifier: Apache-2.0
 *
 * digest.h - BLAKE2b with 32 bytes (RFC 7693, no key): names for texts, and proof that a file is whole.  The
 * map's hash_bytes is faster and for tables in memory only. */
#ifndef SG_DIGEST_H
#define SG_DIGEST_H

#include "base/base.h"

#define DIGEST_BYTES 32

typedef struct Digest { uint64_t h[8], n; size_t used; uint8_t block[128]; } Digest;     /* n: bytes before block */

void digest_start(Digest *d);
void digest_add(Digest *d, const void *p, size_t n);
void digest_text(Digest *d, const char *s);         /* with its length first: texts in a row stay apart */
void digest_end(Digest *d, uint8_t out[DIGEST_BYTES]);

#endif
