/* SPDX-License-Identifier: Apache-2.0
 *
 * base.h - what every layer stands on: memory, strings, maps, and the two ways an error leaves.
 *
 * Compile half (front, pass, emit, lower): diag_fail() never returns; see Compile.
 * Run half (exec, db, data, train): functions return a Code and describe it in an Err. */
#ifndef SG_BASE_H
#define SG_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__)
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define NORETURN     __attribute__((noreturn))
#else
#define PRINTF(f, a)
#define NORETURN
#endif

#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

/* A bug in sqlgrad itself; never reachable from user input.  Prints where and aborts. */
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
NORETURN void bug_at(const char *file, int line, const char *fmt, ...) PRINTF(3, 4);

/* ---- result codes; they are the command's exit statuses and the public SQLGRAD_… codes ---- */

typedef enum Code {
    OK = 0,
    E_INPUT = 1,        /* the input is wrong: SQL, data, a file that is no database */
    E_USAGE = 2,        /* the call or the command line is wrong */
    E_ENV = 3,          /* the environment failed: disk, memory, a lock */
    E_STOPPED = 130     /* interrupted by the user, state saved */
} Code;

/* ---- memory ---- */

/* The only callers of malloc are in arena.c.  Memory is zeroed.  Out of memory: mem_alloc calls
 * mem_exhausted(), which longjmps to the innermost guard of the thread (mem_guard) or exits 3;
 * mem_try returns NULL, for large buffers whose absence is an ordinary error. */
void *mem_alloc(size_t nbytes);
void *mem_try(size_t nbytes);                           /* 64-byte aligned, zeroed; free with mem_free */
void *mem_realloc(void *p, size_t old_bytes, size_t nbytes);
void  mem_free(void *p);
size_t mem_default_limit(void);                         /* three quarters of the machine's memory, in bytes */

typedef struct Arena Arena;
struct Arena { struct ArenaChunk *head; size_t total; };

void *arena_alloc(Arena *a, size_t nbytes);             /* zeroed, 16-byte aligned */
void  arena_free(Arena *a);                             /* everything at once; *a is empty again */
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_strdup(Arena *a, const char *s);
char *arena_printf(Arena *a, const char *fmt, ...) PRINTF(2, 3);
char *arena_vprintf(Arena *a, const char *fmt, va_list ap);
void *arena_grow(Arena *a, void *old, size_t n, size_t size);  /* see VEC_PUSH */
#define ARENA_NEW(a, T)      ((T *)arena_alloc((a), sizeof(T)))
#define ARENA_ARRAY(a, T, n) ((T *)arena_alloc((a), (size_t)(n) * sizeof(T)))

/* Append x to the arena array `v` that has `n` elements (n is incremented).  Capacity is the
 * next power of two of n, so no third variable is needed; never shrink n of a shared array. */
size_t arena_room(size_t n);                            /* the capacity that VEC_PUSH takes an array of n to have */
#define ARENA_VEC(a, T, n)   ARENA_ARRAY((a), T, arena_room((size_t)(n)))      /* n elements that more may be pushed to */
#define VEC_PUSH(a, v, n, x) \
    ((v) = arena_grow((a), (v), (size_t)(n), sizeof *(v)), (v)[(n)++] = (x))

/* ---- text under construction (heap) ---- */

typedef struct Buf { char *s; size_t n, cap; } Buf;     /* s is NUL-terminated once anything was added */
void  buf_add(Buf *b, const char *s, size_t n);
void  buf_puts(Buf *b, const char *s);
void  buf_putc(Buf *b, char ch);
void  buf_printf(Buf *b, const char *fmt, ...) PRINTF(2, 3);
void  buf_free(Buf *b);
/* A double as the shortest text that reads back to the same double, locale-independent:
 * always with '.', 'e', or as "9e999" / "-9e999" for infinities and "NULL" for NaN. */
void  buf_real(Buf *b, double x);
/* "name" with embedded quotes doubled, and 'text' likewise. */
void  buf_ident(Buf *b, const char *name);
void  buf_text(Buf *b, const char *text);

/* ---- map from byte strings to ints, insertion-ordered ---- */

typedef struct Map Map;
struct Map { Arena *a; struct MapEntry *e; int n; int *slot; int n_slots; };
struct MapEntry { const char *key; size_t len; int val; uint64_t hash; };

void map_init(Map *m, Arena *a);
int *map_get(const Map *m, const char *key, size_t len);            /* NULL if absent */
int *map_put(Map *m, const char *key, size_t len, int val);         /* keeps an existing value; the key is copied */
uint64_t hash_bytes(const void *p, size_t n);                       /* stable across runs and machines */
static inline uint64_t hash_u64(uint64_t x)
{
    x ^= x >> 33; x *= 0xff51afd7ed558ccdull; x ^= x >> 33; x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ (x >> 33);
}

/* Numbers independent of the locale. */
bool parse_real(const char *s, size_t n, double *out);              /* the whole of s, else false */
bool parse_int(const char *s, size_t n, int64_t *out);
bool ascii_ieq(const char *a, const char *b);                       /* equal but for ASCII case */
/* The closest of `n` names to `name` by edit distance, or NULL if none is close: for suggestions. */
const char *nearest_name(const char *name, const char *const *names, int n);

/* ---- run half: errors ---- */

typedef struct Err { Code code; const char *id; char msg[2000]; } Err;
/* Fill *e (the first error wins) and return code.  `id` is an ERR_… of errors.h. */
Code err_set(Err *e, Code code, const char *id, const char *fmt, ...) PRINTF(4, 5);

/* ---- compile half: errors with positions ---- */

typedef struct Span { int off, len; int file; } Span;   /* bytes into Compile.file[file]; len 0: no position */

typedef struct SrcFile { const char *path, *text; size_t len; } SrcFile;

typedef enum DiagKind { DIAG_ERROR, DIAG_NOTE } DiagKind;

typedef struct Diag { DiagKind kind; const char *id; Span at; const char *msg; } Diag;

/* One compilation.  Lives in the caller's frame; everything it made lies in its arena. */
typedef struct Compile {
    Arena arena;
    SrcFile *file; int n_files;
    Diag *diag; int n_diags, n_errors;
    Code code;                                          /* set by diag_fail */
    /* What @include reads: the text goes to the arena; returns what is wrong, or NULL.  NULL: no files here. */
    const char *(*read_file)(struct Compile *c, const char *path, const char **text, size_t *len);
    jmp_buf fail;                                       /* set once, in api; or per statement by the front */
    jmp_buf *guard;                                     /* where diag_fail goes: &fail unless a stage nests its own */
    void (*release[16])(void *); void *release_arg[16]; int n_release;   /* foreign objects, freed by compile_free */
} Compile;

int  compile_add_file(Compile *c, const char *path, const char *text, size_t len);  /* text is not copied */
void compile_on_free(Compile *c, void (*fn)(void *), void *arg);
void compile_free(Compile *c);

/* Record an error and leave to *c->guard with c->code = E_INPUT. */
NORETURN void diag_fail(Compile *c, const char *id, Span at, const char *fmt, ...) PRINTF(4, 5);
/* Leave as diag_fail does; an error is recorded already. */
NORETURN void diag_leave(Compile *c);
/* Leave because of the environment (memory, disk). */
NORETURN void diag_fail_env(Compile *c, const char *id, const char *fmt, ...) PRINTF(3, 4);
/* Record an error / a note and go on. */
void diag_error(Compile *c, const char *id, Span at, const char *fmt, ...) PRINTF(4, 5);
void diag_note(Compile *c, const char *id, Span at, const char *fmt, ...) PRINTF(4, 5);
/* Leave if any error was recorded. */
void diag_stop_if_any(Compile *c);
/* `path:line:col: error: msg`, the source line (cut to a window if long), marks under the span. */
void diag_print(Buf *out, const Compile *c, const Diag *d);
/* Line and column (from 1, in code points) of a position. */
void diag_locate(const Compile *c, Span at, int *line, int *col);

#include "base/errors.h"
#include "base/philox.h"
#endif
