/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - the only caller of malloc; zeroed memory, freed all at once.
 * With ARENA_DEBUG every object is its own chunk, so that ASan sees overruns between objects.
 * SQLGRAD_FAIL_ALLOC=n makes the n-th allocation fail, for tests of what happens then. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ARENA_DEBUG
#define ARENA_DEBUG 0
#endif
/* Chunks grow with what an arena holds: there may be thousands of small ones. */
#define LEAST_CHUNK ((size_t)1024)
#define MOST_CHUNK  ((size_t)64 * 1024)

struct ArenaChunk { struct ArenaChunk *next; size_t used, cap; _Alignas(16) char mem[]; };

void bug_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fprintf(stderr, "sqlgrad: bug at %s:%d: ", file, line);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

static bool alloc_fails(void)
{
    static long left = -1;

    if (left < 0) {
        const char *s = getenv("SQLGRAD_FAIL_ALLOC");
        left = s ? atol(s) : 0;
    }
    return left > 0 && --left == 0;
}

NORETURN static void mem_exhausted(void)
{
    /* The id stands in no Err: nothing may be allocated any more.  See SQLGRAD_SHOW_IDS in the command. */
    fputs(getenv("SQLGRAD_SHOW_IDS") ? "sqlgrad: error: out of memory [mem.exhausted]\n"
                                     : "sqlgrad: error: out of memory\n", stderr);
    exit(E_ENV);
}

void *mem_try(size_t nbytes)
{
    const size_t rounded = (nbytes + 63) & ~(size_t)63;

    if (nbytes > PTRDIFF_MAX / 2 || alloc_fails())
        return NULL;
    void *p = aligned_alloc(64, rounded ? rounded : 64);
    return p ? memset(p, 0, rounded) : NULL;
}

void *mem_alloc(size_t nbytes)
{
    void *p = mem_try(nbytes);

    if (!p)
        mem_exhausted();
    return p;
}

void *mem_realloc(void *p, size_t old_bytes, size_t nbytes)
{
    void *q = mem_alloc(nbytes);

    if (p)
        memcpy(q, p, old_bytes < nbytes ? old_bytes : nbytes);
    mem_free(p);
    return q;
}

void mem_free(void *p)
{
    free(p);
}

size_t mem_default_limit(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (size_t)pages / 4 * 3 * (size_t)size : (size_t)4 << 30;
}

static size_t next_chunk(const Arena *a, size_t need)
{
    size_t cap = a->total < LEAST_CHUNK ? LEAST_CHUNK : a->total;

    cap = cap > MOST_CHUNK ? MOST_CHUNK : cap;
    return need > cap ? need : cap;
}

void *arena_alloc(Arena *a, size_t n)
{
    const size_t need = ARENA_DEBUG ? n : (n + 15) & ~(size_t)15;
    struct ArenaChunk *c = a->head;

    if (n > PTRDIFF_MAX / 2)
        mem_exhausted();
    if (ARENA_DEBUG || !c || c->cap - c->used < need) {
        const size_t cap = ARENA_DEBUG ? need : next_chunk(a, need);
        c = alloc_fails() ? NULL : malloc(sizeof *c + cap);
        if (!c)
            mem_exhausted();
        *c = (struct ArenaChunk){ .next = a->head, .cap = cap };
        a->head = c;
        a->total += cap;
    }
    c->used += need;
    return memset(c->mem + c->used - need, 0, n);
}

void arena_free(Arena *a)
{
    for (struct ArenaChunk *c = a->head, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *a = (Arena){ 0 };
}

size_t arena_room(size_t n)
{
    size_t room = 4;

    while (room < n)
        room *= 2;
    return room;
}

void *arena_grow(Arena *a, void *old, size_t n, size_t size)
{
    if (n & (n - 1))
        return old;                     /* not a power of two: there is room */
    if (n && n < 4)
        return old;                     /* the first allocation holds four */
    void *p = arena_alloc(a, (n ? 2 * n : 4) * size);
    if (n)
        memcpy(p, old, n * size);
    return p;
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);

    if (n)
        memcpy(p, s, n);
    return p;
}

char *arena_strdup(Arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(Arena *a, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}
