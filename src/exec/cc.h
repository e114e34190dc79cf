/* SPDX-License-Identifier: Apache-2.0
 *
 * cc.h - C text to machine code: the system's compiler, a cache of what it made, dlopen.
 *
 * The compiler is `cc`, or the words of $SQLGRAD_CC: a program and arguments that come first.  What was made for the
 * same text, compiler, flags and CPU is found in the cache (cc_store.h).  The text must have no variables that
 * change: two loads of one text may share one library. */
#ifndef SG_CC_H
#define SG_CC_H

#include "base/base.h"

typedef struct CcOpts {
    const char *keep;           /* also add the text to this file, as a part of its own (--keep-c); or NULL */
    bool no_cache;              /* compile even if the cache has it, and leave it as it is */
    volatile int *stop;         /* set from a signal handler: the compiler is ended, E_STOPPED; or NULL */
} CcOpts;

typedef struct CcLib {
    void *handle;
    bool cached;                /* found in the cache */
    double seconds;             /* spent compiling and loading */
} CcLib;

/* Compile `text` or find it in the cache, and load it.  E_ENV: cc.missing, cc.failed, cc.place, and the caller may go
 * on without; or cc.keep, and the user should know.  Nothing is left behind but the cache and `keep`.  Any number of
 * threads and processes may call it at once. */
Code cc_load(CcLib *out, const char *text, const CcOpts *o, Err *e);
/* A short note about a text, kept in the cache for the same compiler, flags and CPU: what made its code fast, say.
 * False: there is none.  Nothing may depend on it but speed: where there is no cache, nothing is kept. */
bool cc_recall(const char *text, char *note, size_t n);
void cc_remember(const char *text, const char *note);
void *cc_symbol(const CcLib *lib, const char *name);    /* NULL: not there */
void cc_close(CcLib *lib);

#endif
