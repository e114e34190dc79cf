/* SPDX-License-Identifier: Apache-2.0
 *
 * cc_store.c - directories and files for compiled libraries; see cc_store.h.
 *
 * The cache is $SQLGRAD_CACHE, $XDG_CACHE_HOME/sqlgrad or ~/.cache/sqlgrad.  An entry is KEY.so, or KEY.note, a
 * few words about what was compiled.  It is made in a
 * working directory beside it and moved there by rename, so processes need not wait for each other; what is not
 * whole or not ours is not loaded, and made again.  Each process holds a lock on its working directory: one that
 * can be locked belongs to nobody any more. */
#include "exec/cc_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WORK_NAME   "sqlgrad-work-"
#define SEAL_MAGIC  "sqlgradC"
#define SEAL_BYTES  (sizeof SEAL_MAGIC - 1 + DIGEST_BYTES)
#define KEY_DIGITS  (2 * (size_t)DIGEST_BYTES)
#define MAX_ENTRY   ((off_t)64 << 20)
#define MAX_ENTRIES 2000
#define MAX_BYTES   ((off_t)256 << 20)
#define STALE_AGE   86400           /* seconds; where a file system has no locks */

static bool ours_alone(const struct stat *st)
{
    return st->st_uid == geteuid() && !(st->st_mode & 022);
}

/* Nobody else can put another directory in the place of one we make there. */
static bool keeps_ours(const struct stat *st)
{
    return (st->st_uid == geteuid() || st->st_uid == 0) && (!(st->st_mode & 022) || st->st_mode & S_ISVTX);
}

/* ---- places ---- */

static bool place_try(Place *p, const char *path, bool cache)
{
    struct stat st;

    *p = (Place){ path, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), cache };
    if (p->fd >= 0 && fstat(p->fd, &st) == 0 && (cache ? ours_alone(&st) : keeps_ours(&st)))
        return true;
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    return false;
}

/* Make a directory and those above it, for us alone; what is there stays as it is. */
static void make_path(char *path)
{
    for (char *p = path + 1; *p; p++)
        if (*p == '/' && p[1]) {
            *p = 0;
            mkdir(path, 0700);
            *p = '/';
        }
    mkdir(path, 0700);
}

static const char *env_text(const char *name)
{
    const char *s = getenv(name);

    return s && *s ? s : NULL;
}

/* A relative path gets a "./": nobody shall take it for an option. */
static char *plain_path(Arena *a, const char *path)
{
    return arena_printf(a, "%s%s", *path == '/' ? "" : "./", path);
}

static char *cache_path(Arena *a)
{
    const char *own = env_text("SQLGRAD_CACHE"), *xdg = env_text("XDG_CACHE_HOME"), *home = env_text("HOME");

    if (own)
        return plain_path(a, own);
    if (xdg && *xdg == '/')             /* a relative one is to be ignored, its specification says */
        return arena_printf(a, "%s/sqlgrad", xdg);
    /* A home that is not there is not made: daemons have such. */
    return home && *home == '/' && access(home, W_OK | X_OK) == 0 ? arena_printf(a, "%s/.cache/sqlgrad", home) : NULL;
}

int places_open(Place place[MAX_PLACES], Arena *a)
{
    const char *tmp = env_text("TMPDIR");
    char *cache = cache_path(a);
    int n = 0;

    if (cache) {
        make_path(cache);
        n += place_try(&place[n], cache, true);
    }
    if (tmp)
        n += place_try(&place[n], plain_path(a, tmp), false);
    n += place_try(&place[n], "/tmp", false);
    return n;
}

void places_close(Place *place, int n)
{
    for (int k = 0; k < n; k++)
        close(place[k].fd);
}

/* ---- working directories ---- */

/* False too if a sweep removed it between being made and being locked. */
static bool work_lock(int fd)
{
    struct stat st;

    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return false;
    return fstat(fd, &st) == 0 && st.st_nlink > 0 && st.st_uid == geteuid() && !(st.st_mode & 077);
}

bool work_make(Work *w, const Place *in, Arena *a)
{
    for (int tries = 0; tries < 10; tries++) {
        char *path = arena_printf(a, "%s/" WORK_NAME "XXXXXX", in->path);
        if (!mkdtemp(path))
            return false;
        *w = (Work){ in, path, strrchr(path, '/') + 1, -1 };
        w->fd = openat(in->fd, w->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (w->fd >= 0 && work_lock(w->fd))
            return true;
        if (w->fd >= 0)
            close(w->fd);
        unlinkat(in->fd, w->name, AT_REMOVEDIR);
    }
    errno = EBUSY;
    return false;
}

static DIR *list_dir(int fd)
{
    const int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);      /* an offset of its own */
    DIR *d = own >= 0 ? fdopendir(own) : NULL;

    if (!d && own >= 0)
        close(own);
    return d;
}

static void empty_dir(int fd)
{
    DIR *d = list_dir(fd);

    for (struct dirent *f; d && (f = readdir(d)) != NULL;)
        if (strcmp(f->d_name, ".") && strcmp(f->d_name, "..") && unlinkat(fd, f->d_name, 0) != 0)
            unlinkat(fd, f->d_name, AT_REMOVEDIR);
    if (d)
        closedir(d);
}

/* Twice: a compiler that is being killed may still have made a file. */
static void remove_dir(int in, const char *name, int fd)
{
    for (int tries = 0; tries < 2; tries++) {
        empty_dir(fd);
        if (unlinkat(in, name, AT_REMOVEDIR) == 0)
            return;
    }
}

void work_remove(Work *w)
{
    if (w->fd < 0)
        return;
    remove_dir(w->in->fd, w->name, w->fd);
    close(w->fd);
    w->fd = -1;
}

static bool work_is_stale(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || st.st_uid != geteuid())
        return false;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    return errno != EWOULDBLOCK && time(NULL) - st.st_mtime > STALE_AGE;
}

void works_sweep(const Place *in)
{
    DIR *d = list_dir(in->fd);

    for (struct dirent *f; d && (f = readdir(d)) != NULL;) {
        if (strncmp(f->d_name, WORK_NAME, sizeof WORK_NAME - 1))
            continue;
        const int fd = openat(in->fd, f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (work_is_stale(fd))
            remove_dir(in->fd, f->d_name, fd);
        close(fd);
    }
    if (d)
        closedir(d);
}

/* ---- files ---- */

static bool put_all(int fd, const void *p, size_t n)
{
    const char *s = p;

    while (n) {
        const ssize_t put = write(fd, s, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        s += put;
        n -= (size_t)put;
    }
    return true;
}

static size_t take_all(int fd, void *p, size_t n)
{
    size_t have = 0;

    while (have < n) {
        const ssize_t got = read(fd, (char *)p + have, n - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    return have;
}

bool file_write(int dir, const char *name, const char *text, size_t n)
{
    const int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return false;
    const bool ok = put_all(fd, text, n);
    return close(fd) == 0 && ok;
}

void file_head(int dir, const char *name, char *out, size_t n)
{
    const int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

    out[fd >= 0 ? take_all(fd, out, n - 1) : 0] = 0;
    if (fd >= 0)
        close(fd);
}

static void seal_of(uint8_t out[SEAL_BYTES], const char *key, const uint8_t *p, size_t n)
{
    Digest d;

    digest_start(&d);
    digest_text(&d, key);
    digest_add(&d, p, n);
    memcpy(out, SEAL_MAGIC, SEAL_BYTES - DIGEST_BYTES);
    digest_end(&d, out + SEAL_BYTES - DIGEST_BYTES);
}

/* The bytes of a plain file of ours, read through fd; NULL if it is none. */
static uint8_t *own_bytes(int fd, size_t *n)
{
    struct stat st;
    uint8_t *p = NULL;

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !ours_alone(&st) || st.st_size > MAX_ENTRY)
        return NULL;
    *n = (size_t)st.st_size;
    p = mem_try(*n);
    if (p && take_all(fd, p, *n) == *n)
        return p;
    mem_free(p);
    return NULL;
}

bool file_seal(int dir, const char *name, const char *key)
{
    const int fd = openat(dir, name, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    uint8_t seal[SEAL_BYTES];
    size_t n;

    if (fd >= 0)
        fchmod(fd, 0600);
    uint8_t *p = own_bytes(fd, &n);
    if (p)
        seal_of(seal, key, p, n);
    const bool ok = p && put_all(fd, seal, sizeof seal);
    mem_free(p);
    return fd >= 0 && close(fd) == 0 && ok;
}

/* The bytes of a sound file without the seal; NULL if it is not. */
static uint8_t *sound_bytes(int dir, const char *name, const char *key, size_t *n)
{
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    uint8_t seal[SEAL_BYTES];
    uint8_t *p = own_bytes(fd, n);
    bool ok = p && *n > SEAL_BYTES;

    if (ok) {
        *n -= SEAL_BYTES;
        seal_of(seal, key, p, *n);
        ok = !memcmp(seal, p + *n, SEAL_BYTES);
    }
    if (ok)
        futimens(fd, NULL);             /* used now: the oldest go first */
    else
        mem_free(p);
    if (fd >= 0)
        close(fd);
    return ok ? p : NULL;
}

bool file_sound(int dir, const char *name, const char *key)
{
    size_t n;
    uint8_t *p = sound_bytes(dir, name, key, &n);

    mem_free(p);
    return p != NULL;
}

bool file_sealed(int dir, const char *name, const char *key, char *out, size_t size)
{
    size_t n = 0;
    uint8_t *p = sound_bytes(dir, name, key, &n);
    const bool ok = p && n < size;

    if (ok)
        memcpy(out, p, n);
    out[ok ? n : 0] = 0;
    mem_free(p);
    return ok;
}

/* ---- the bound of the cache ---- */

typedef struct CacheEntry { char name[KEY_DIGITS + sizeof ".note"]; struct timespec used; off_t size; } CacheEntry;

static bool entry_read(int dir, const char *name, CacheEntry *out)
{
    struct stat st;

    if (strspn(name, "0123456789abcdef") != KEY_DIGITS ||
        (strcmp(name + KEY_DIGITS, ".so") && strcmp(name + KEY_DIGITS, ".note")) ||
        fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    memcpy(out->name, name, strlen(name) + 1);
    out->used = st.st_mtim;
    out->size = st.st_size;
    return true;
}

static int newest_first(const void *x, const void *y)
{
    const CacheEntry *a = x, *b = y;

    if (a->used.tv_sec != b->used.tv_sec)
        return a->used.tv_sec < b->used.tv_sec ? 1 : -1;
    if (a->used.tv_nsec != b->used.tv_nsec)
        return a->used.tv_nsec < b->used.tv_nsec ? 1 : -1;
    return strcmp(a->name, b->name);
}

static void cache_trim(const Place *cache)
{
    Arena a = { 0 };
    CacheEntry *e = NULL, found;
    int n = 0;
    off_t sum = 0;
    DIR *d = list_dir(cache->fd);

    for (struct dirent *f; d && (f = readdir(d)) != NULL;)
        if (entry_read(cache->fd, f->d_name, &found))
            VEC_PUSH(&a, e, n, found);
    if (d)
        closedir(d);
    if (n)
        qsort(e, (size_t)n, sizeof *e, newest_first);
    for (int k = 0; k < n; k++) {
        sum += e[k].size;
        if (k >= MAX_ENTRIES || sum > MAX_BYTES)
            unlinkat(cache->fd, e[k].name, 0);
    }
    arena_free(&a);
}

bool cache_publish(const Work *w, const Place *cache, const char *name)
{
    const bool ok = renameat(w->fd, name, cache->fd, name) == 0;

    if (ok)
        cache_trim(cache);
    return ok;
}
