/* SPDX-License-Identifier: Apache-2.0
 *
 * native_mem.c - counted memory, the error of the running call, and the dictionary of texts. */
#include "exec/native.h"

#include <stdlib.h>
#include <string.h>

bool native_fail(Native *n, Code code, const char *id, const char *fmt, ...)
{
    char msg[1500];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    err_set(n->err, code, id, "%s%s%s", n->at ? n->at->name : "", n->at ? ": " : "", msg);
    return false;
}

bool native_stopped(Native *n)
{
    if (!n->o.stop || !*n->o.stop)
        return false;
    native_fail(n, E_STOPPED, ERR_native_stopped, "interrupted");
    return true;
}

bool arr_fits(Native *n, double nbytes)
{
    if (nbytes <= (double)n->limit - (double)n->used)
        return true;
    return native_fail(n, E_ENV, ERR_native_memory, "needs %.0f MB more, beside %.0f MB in use; the limit is %.0f MB",
                       nbytes / 1e6, (double)n->used / 1e6, (double)n->limit / 1e6);
}

static void *counted(Native *n, size_t nbytes)
{
    void *p = NULL;

    if (!arr_fits(n, (double)nbytes))
        return NULL;
    if (!(p = mem_try(nbytes + 2 * NEST_SLACK))) {
        native_fail(n, E_ENV, ERR_native_memory, "the system has no %.0f MB of memory left", (double)nbytes / 1e6);
        return NULL;
    }
    n->used += nbytes;
    n->most_used = n->used > n->most_used ? n->used : n->most_used;
    return (char *)p + NEST_SLACK;
}

void arr_drop(Native *n, Arr *a)
{
    if (a->p) {
        n->used -= a->cap;
        mem_free((char *)a->p - NEST_SLACK);
    }
    *a = (Arr){ 0 };
}

bool arr_need(Native *n, Arr *a, size_t nbytes)
{
    if (a->p && a->cap >= nbytes)
        return true;
    arr_drop(n, a);
    nbytes = nbytes ? nbytes : 64;
    if (!(a->p = counted(n, nbytes)))
        return false;
    a->cap = nbytes;
    return true;
}

bool arr_keep(Native *n, Arr *a, size_t used, size_t nbytes)
{
    Arr b = { 0 };

    if (a->p && a->cap >= nbytes)
        return true;
    if (nbytes < 2 * a->cap && 2 * a->cap < n->limit / 4)
        nbytes = 2 * a->cap;
    if (!arr_need(n, &b, nbytes))
        return false;
    if (used)
        memcpy(b.p, a->p, used);
    arr_drop(n, a);
    *a = b;
    return true;
}

bool arr_take(Native *n, Arr *a, size_t nbytes)
{
    int best = -1;

    if (a->p && a->cap >= nbytes)
        return true;
    for (int k = 0; k < n->n_spare; k++)
        if (n->spare[k].cap >= nbytes && n->spare[k].cap / 2 <= nbytes && (best < 0 || n->spare[k].cap < n->spare[best].cap))
            best = k;
    if (best < 0)
        return arr_need(n, a, nbytes);
    arr_drop(n, a);
    *a = n->spare[best];
    n->spare[best] = n->spare[--n->n_spare];
    return true;
}

void arr_spare(Native *n, Arr *a)
{
    if (a->p && n->n_spare < n->max_spare)
        n->spare[n->n_spare++] = *a;
    else
        arr_drop(n, a);
    *a = (Arr){ 0 };
}

/* ---- texts ---- */

int64_t dict_code(Dict *d, const char *s)
{
    if (!d->map.a)
        map_init(&d->map, &d->arena);
    const int next = d->map.n;
    return *map_put(&d->map, s, strlen(s), next);
}

const char *dict_text(const Dict *d, int64_t code)
{
    return d->map.e[code].key;
}

typedef struct Ranked { const char *s; uint32_t code; } Ranked;

static int compare_ranked(const void *x, const void *y)
{
    return strcmp(((const Ranked *)x)->s, ((const Ranked *)y)->s);
}

const uint32_t *dict_ranks(Dict *d)
{
    const int n = d->map.n;

    if (d->n_ranked == n && d->rank)
        return d->rank;
    Ranked *r = mem_alloc((size_t)(n + 1) * sizeof *r);
    for (int k = 0; k < n; k++)
        r[k] = (Ranked){ d->map.e[k].key, (uint32_t)k };
    qsort(r, (size_t)n, sizeof *r, compare_ranked);
    if (d->rank_cap < (size_t)n || !d->rank) {
        d->rank_cap = 2 * (size_t)n + 64;
        d->rank = arena_alloc(&d->arena, d->rank_cap * sizeof *d->rank);
    }
    for (int k = 0; k < n; k++)
        d->rank[r[k].code] = (uint32_t)k;
    d->n_ranked = n;
    mem_free(r);
    return d->rank;
}
