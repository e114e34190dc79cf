/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - growing text, numbers independent of the locale, and the map. */
#include "base/base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void buf_add(Buf *b, const char *s, size_t n)
{
    if (b->n + n + 1 > b->cap) {
        const size_t cap = 2 * b->cap > b->n + n + 1 ? 2 * b->cap : b->n + n + 64;
        b->s = mem_realloc(b->s, b->n, cap);
        b->cap = cap;
    }
    if (n)
        memcpy(b->s + b->n, s, n);
    b->n += n;
    b->s[b->n] = 0;
}

void buf_puts(Buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_putc(Buf *b, char ch)
{
    buf_add(b, &ch, 1);
}

void buf_printf(Buf *b, const char *fmt, ...)
{
    Arena a = { 0 };
    va_list ap;

    va_start(ap, fmt);
    buf_puts(b, arena_vprintf(&a, fmt, ap));
    va_end(ap);
    arena_free(&a);
}

void buf_free(Buf *b)
{
    mem_free(b->s);
    *b = (Buf){ 0 };
}

void buf_real(Buf *b, double x)
{
    char s[40];

    if (isnan(x)) {
        buf_puts(b, "NULL");
        return;
    }
    if (isinf(x)) {
        buf_puts(b, x > 0 ? "9e999" : "-9e999");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, x);
        if (strtod(s, NULL) == x)
            break;
    }
    for (char *p = s; *p; p++)
        if (*p == ',')
            *p = '.';
    buf_puts(b, s);
    if (!strpbrk(s, ".e"))
        buf_puts(b, ".0");
}

static void buf_quoted(Buf *b, const char *s, char q)
{
    buf_putc(b, q);
    for (; *s; s++) {
        if (*s == q)
            buf_putc(b, q);
        buf_putc(b, *s);
    }
    buf_putc(b, q);
}

void buf_ident(Buf *b, const char *name)
{
    buf_quoted(b, name, '"');
}

void buf_text(Buf *b, const char *text)
{
    buf_quoted(b, text, '\'');
}

/* ---- map ---- */

uint64_t hash_bytes(const void *p, size_t n)
{
    const unsigned char *s = p;
    uint64_t h = 1469598103934665603ull;

    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * 1099511628211ull;
    return hash_u64(h);
}

void map_init(Map *m, Arena *a)
{
    *m = (Map){ .a = a };
}

static int *map_slot(const Map *m, const char *key, size_t len, uint64_t h)
{
    for (unsigned i = (unsigned)h;; i++) {
        int *s = &m->slot[i & (unsigned)(m->n_slots - 1)];
        if (!*s)
            return s;
        const struct MapEntry *e = &m->e[*s - 1];
        if (e->hash == h && e->len == len && !memcmp(e->key, key, len))
            return s;
    }
}

int *map_get(const Map *m, const char *key, size_t len)
{
    if (!m->n_slots)
        return NULL;
    const int s = *map_slot(m, key, len, hash_bytes(key, len));
    return s ? &m->e[s - 1].val : NULL;
}

static void map_rehash(Map *m)
{
    m->n_slots = m->n_slots ? 2 * m->n_slots : 16;
    m->slot = ARENA_ARRAY(m->a, int, m->n_slots);
    for (int i = 0; i < m->n; i++)
        *map_slot(m, m->e[i].key, m->e[i].len, m->e[i].hash) = i + 1;
}

int *map_put(Map *m, const char *key, size_t len, int val)
{
    const uint64_t h = hash_bytes(key, len);

    if (2 * (m->n + 1) > m->n_slots)
        map_rehash(m);
    int *s = map_slot(m, key, len, h);
    if (!*s) {
        struct MapEntry e = { arena_strndup(m->a, key, len), len, val, h };
        VEC_PUSH(m->a, m->e, m->n, e);
        *s = m->n;
    }
    return &m->e[*s - 1].val;
}

/* ---- numbers and names ---- */

bool parse_real(const char *s, size_t n, double *out)
{
    char tmp[64], *end;

    if (!n || n >= sizeof tmp)
        return false;
    memcpy(tmp, s, n);                  /* s need not end after its n bytes */
    tmp[n] = 0;
    if (strspn(tmp, "0123456789+-.eE") < n)
        return false;
    *out = strtod(tmp, &end);           /* the library runs in the C locale for numbers: see api */
    return *end == 0;
}

bool parse_int(const char *s, size_t n, int64_t *out)
{
    const bool neg = n && *s == '-';
    size_t i = n && (*s == '-' || *s == '+');
    uint64_t v = 0;

    if (i == n)
        return false;
    for (; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || v > (UINT64_MAX - 9) / 10)
            return false;
        v = 10 * v + (uint64_t)(s[i] - '0');
    }
    if (v > (uint64_t)INT64_MAX + neg)
        return false;
    *out = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static char lower(char ch)
{
    return ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
}

bool ascii_ieq(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b))
        a++, b++;
    return lower(*a) == lower(*b);
}

/* Optimal string alignment distance (Damerau-Levenshtein with adjacent swaps), capped at 63 bytes. */
static int edit_distance(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    int d[3][65] = { { 0 } };

    if (n > 63 || m > 63)
        return 99;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *now = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = up[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            if (up[j] + 1 < best) best = up[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return d[n % 3][m];
}

const char *nearest_name(const char *name, const char *const *names, int n)
{
    const char *best = NULL;
    int least = 1 + (int)strlen(name) / 3;

    for (int i = 0; i < n; i++) {
        const int d = edit_distance(name, names[i]);
        if (d <= least && d < (int)strlen(name) && (!best || d < least)) {
            best = names[i];
            least = d;
        }
    }
    return best;
}
