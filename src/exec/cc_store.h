/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_store.h - where compiled libraries lie and are made: the cache, private working directories, and files that
 * prove that they are whole.  Loading a file runs it, so only files are trusted that we own, in directories that we
 * own, neither writable by anybody else. */
#ifndef SG_CC_STORE_H
#define SG_CC_STORE_H

#include "base/digest.h"

/* A directory that libraries can be made in. */
typedef struct Place { const char *path; int fd; bool cache; } Place;      /* fd -1: none; cache: they stay there */

/* A private directory in a place, locked as long as it is used. */
typedef struct Work { const Place *in; const char *path, *name; int fd; } Work;

#define MAX_PLACES 3
/* The cache first if there is one, then where temporary files go.  Returns how many; paths lie in `a`. */
int  places_open(Place place[MAX_PLACES], Arena *a);
void places_close(Place *place, int n);

/* errno says why not. */
bool work_make(Work *w, const Place *in, Arena *a);
void work_remove(Work *w);                              /* with all files in it */
void works_sweep(const Place *in);                      /* those that killed processes left */

bool file_write(int dir, const char *name, const char *text, size_t n);     /* a new file; errno */
/* The beginning of a file, at most n - 1 bytes and a NUL; empty if it cannot be read. */
void file_head(int dir, const char *name, char *out, size_t n);

/* A sealed file ends with a digest of its key and its bytes. */
bool file_seal(int dir, const char *name, const char *key);
bool file_sound(int dir, const char *name, const char *key);
/* What was sealed, of at most n - 1 bytes, and a NUL; false: it is not sound. */
bool file_sealed(int dir, const char *name, const char *key, char *out, size_t n);
/* A sealed file of w moves into the cache, at once; others see all of it or nothing.  The oldest entries go. */
bool cache_publish(const Work *w, const Place *cache, const char *name);

#endif
