/* SPDX-License-Identifier: Apache-2.0
 *
 * cc.c - C text to machine code with the compiler that the system has.
 *
 * The compiler is started directly, no shell between, in a process group of its own so that it can be ended with
 * all it started; it reads nothing, its messages go to a file beside the text, and its temporary files too.  The key
 * of the cache does not hold the compiler's version, which would take a process to ask for, but the size and time of
 * its file: an upgrade changes them. */
#include "exec/cc.h"

#include "exec/cc_store.h"
#include "exec/spawn.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CACHE_FORMAT "1"            /* of keys and entries */
#define TEXT_NAME    "n.c"
#define LOG_NAME     "messages"
#define PART_LINE    "#if PART == "   /* of kept files */
#define MAX_SECONDS  600            /* then the compiler hangs, or might as well */
#define MAX_LINES    4              /* of its messages that are shown */

extern char **environ;

/* -march=native is left out where the compiler has none.  The parameter: gcc otherwise makes no multiply-adds of a
 * loop's only sum on some CPUs, so that bits would depend on how many sums stand beside each other. */
static const char cc_native[] = "-march=native";
static const char *const cc_flags[] = {
    "-O2", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "--param=avoid-fma-max-bits=0",
    "-shared", "-fPIC", "-w",
};

typedef struct CcJob {
    const char *text;
    const CcOpts *o;
    Arena arena;
    const char **word; int n_words;         /* of the compiler's command; the first is a path */
    char key[2 * DIGEST_BYTES + 1], file[2 * DIGEST_BYTES + 4];     /* file: KEY.so */
    Place place[MAX_PLACES]; int n_places;
    bool cacheable;                         /* the key says what CPU this is */
    bool unloadable;                        /* what was made could not be loaded from where it was made */
} CcJob;

static double cc_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool cc_stopped(const CcJob *j)
{
    return j->o->stop && *j->o->stop;
}

static Code cc_interrupted(Err *e)
{
    return err_set(e, E_STOPPED, ERR_native_stopped, "interrupted");
}

/* ---- the compiler ---- */

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Where PATH has a program; an empty part of PATH is not the current directory here.  NULL: nowhere. */
static const char *program_path(CcJob *j, const char *name)
{
    const char *path = getenv("PATH");

    if (strchr(name, '/'))
        return is_program(name) ? name : NULL;
    for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
        const size_t n = strcspn(p, ":");
        const char *full = arena_printf(&j->arena, "%.*s/%s", (int)n, p, name);
        if (n && is_program(full))
            return full;
        p += n + (p[n] == ':');
    }
    return NULL;
}

static void split_command(CcJob *j)
{
    const char *s = getenv("SQLGRAD_CC");

    for (s = s ? s : ""; *(s += strspn(s, " \t"));) {
        const size_t n = strcspn(s, " \t");
        VEC_PUSH(&j->arena, j->word, j->n_words, arena_strndup(&j->arena, s, n));
        s += n;
    }
    if (!j->n_words)
        VEC_PUSH(&j->arena, j->word, j->n_words, "cc");
}

static Code find_compiler(CcJob *j, Err *e)
{
    const char *found = program_path(j, j->word[0]);
    if (!found)
        return err_set(e, E_ENV, ERR_cc_missing, "there is no C compiler \"%.200s\"", j->word[0]);
    j->word[0] = found;
    return OK;
}

/* ---- the key ---- */

/* What a program is as long as nobody upgrades it.  Words that are no program count as texts only. */
static void digest_word(CcJob *j, Digest *d, const char *word)
{
    const char *path = *word == '-' ? NULL : program_path(j, word);
    struct stat st;

    digest_text(d, word);
    if (path && stat(path, &st) == 0) {
        const int64_t fact[3] = { st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec };
        digest_text(d, path);
        digest_add(d, fact, sizeof fact);
    }
}

/* Lines of /proc/cpuinfo that say which instructions there are, on x86, ARM, RISC-V and POWER. */
static bool says_kind(const char *line)
{
    static const char *const word[] = {
        "vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU implementer", "CPU architecture",
        "CPU variant", "CPU part", "isa", "uarch", "cpu\t",
    };

    for (size_t k = 0; k < COUNT_OF(word); k++)
        if (!strncmp(line, word[k], strlen(word[k])))
            return true;
    return false;
}

/* The first processor stands for all.  False: the system does not say. */
static bool digest_cpu(Digest *d)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[8192];
    bool any = false;

    while (f && fgets(line, sizeof line, f) && *line != '\n')
        if (says_kind(line)) {
            digest_text(d, line);
            any = true;
        }
    if (f)
        fclose(f);
    return any;
}

static void make_key(CcJob *j)
{
    uint8_t sum[DIGEST_BYTES];
    Digest d;

    digest_start(&d);
    digest_text(&d, CACHE_FORMAT);
    for (int k = 0; k < j->n_words; k++)
        digest_word(j, &d, j->word[k]);
    digest_text(&d, cc_native);
    for (size_t k = 0; k < COUNT_OF(cc_flags); k++)
        digest_text(&d, cc_flags[k]);
    j->cacheable = digest_cpu(&d);
    digest_text(&d, j->text);
    digest_end(&d, sum);
    for (int k = 0; k < DIGEST_BYTES; k++)
        snprintf(j->key + 2 * k, 3, "%02x", sum[k]);
    snprintf(j->file, sizeof j->file, "%s.so", j->key);
}

/* ---- running it ---- */

/* The command, NULL behind it; the two paths last but one and as the output. */
static const char **command_line(CcJob *j, bool native, const char *from, const char *to)
{
    const char **v = NULL;
    int n = 0;

    for (int k = 0; k < j->n_words; k++)
        VEC_PUSH(&j->arena, v, n, j->word[k]);
    if (native)
        VEC_PUSH(&j->arena, v, n, cc_native);
    for (size_t k = 0; k < COUNT_OF(cc_flags); k++)
        VEC_PUSH(&j->arena, v, n, cc_flags[k]);
    VEC_PUSH(&j->arena, v, n, "-o");
    VEC_PUSH(&j->arena, v, n, to);
    VEC_PUSH(&j->arena, v, n, from);
    VEC_PUSH(&j->arena, v, n, "-lm");
    VEC_PUSH(&j->arena, v, n, NULL);
    return v;
}

/* Ours, with temporary files in the working directory and messages in English. */
static char **compiler_env(CcJob *j, const char *tmp)
{
    char **v = NULL;
    int n = 0;

    for (char **p = environ; p && *p; p++)
        if (strncmp(*p, "TMPDIR=", 7) && strncmp(*p, "LC_ALL=", 7))
            VEC_PUSH(&j->arena, v, n, *p);
    VEC_PUSH(&j->arena, v, n, arena_printf(&j->arena, "TMPDIR=%s", tmp));
    VEC_PUSH(&j->arena, v, n, arena_strdup(&j->arena, "LC_ALL=C"));
    VEC_PUSH(&j->arena, v, n, NULL);
    return v;
}

static Code start_compiler(CcJob *j, const Work *w, const char **argv, pid_t *pid, Err *e)
{
    const char *log = arena_printf(&j->arena, "%s/" LOG_NAME, w->path);
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;

    spawn_attr(&at);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&fa, 1, 2);
    const int why = posix_spawn(pid, argv[0], &fa, &at, (char *const *)(uintptr_t)argv, compiler_env(j, w->path));
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    return why ? err_set(e, E_ENV, ERR_cc_missing, "the C compiler \"%.200s\" cannot be started: %s", argv[0], strerror(why))
               : OK;
}

/* Its status as waitpid gives it. */
static Code wait_compiler(const CcJob *j, pid_t pid, int *status, Err *e)
{
    switch (spawn_wait(pid, MAX_SECONDS, j->o->stop, status)) {
    case SPAWN_stopped: return cc_interrupted(e);
    case SPAWN_late:
        return err_set(e, E_ENV, ERR_cc_failed, "the C compiler did not end within %d minutes", MAX_SECONDS / 60);
    case SPAWN_done: break;
    }
    return OK;
}

/* The first lines of what it said, without the path of the working directory, indented but for the first. */
static void add_messages(Buf *b, const Work *w, const char *said)
{
    const size_t path = strlen(w->path);
    int lines = 1;

    for (const char *s = said; *s; s++) {
        if (!strncmp(s, w->path, path) && s[path] == '/')
            s += path;
        else if (*s != '\n')
            buf_putc(b, (unsigned char)*s < ' ' || *s == 127 ? ' ' : *s);
        else if (!s[1] || ++lines > MAX_LINES)
            break;
        else
            buf_puts(b, "\n    ");
    }
}

static Code compiler_failed(const CcJob *j, const Work *w, int status, const char *said, Err *e)
{
    Buf b = { 0 };

    buf_printf(&b, "the C compiler \"%.200s\" ", j->word[0]);
    if (WIFSIGNALED(status))
        buf_printf(&b, "was ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        buf_printf(&b, "failed with status %d", WEXITSTATUS(status));
    else
        buf_puts(&b, "made nothing");
    if (*said)
        buf_puts(&b, ": ");
    add_messages(&b, w, said);
    const Code rc = err_set(e, E_ENV, ERR_cc_failed, "%s", b.s);
    buf_free(&b);
    return rc;
}

/* One run, which makes j->file in w.  *native: try with it; false afterwards if the compiler refused that alone. */
static Code run_compiler(CcJob *j, const Work *w, bool *native, Err *e)
{
    const char *from = arena_printf(&j->arena, "%s/" TEXT_NAME, w->path);
    const char *to = arena_printf(&j->arena, "%s/%s", w->path, j->file);
    char said[1500];
    int status;
    pid_t pid;
    Code rc = start_compiler(j, w, command_line(j, *native, from, to), &pid, e);

    if (rc == OK) rc = wait_compiler(j, pid, &status, e);
    if (rc != OK || (!status && faccessat(w->fd, j->file, R_OK, 0) == 0))
        return rc;
    file_head(w->fd, LOG_NAME, said, sizeof said);
    if (*native && strstr(said, "march")) {
        *native = false;
        return OK;
    }
    return compiler_failed(j, w, status, said, e);
}

static Code compile_in(CcJob *j, const Work *w, Err *e)
{
    bool native = true;

    if (!file_write(w->fd, TEXT_NAME, j->text, strlen(j->text)))
        return err_set(e, E_ENV, ERR_cc_place, "%s cannot be written in: %s", w->in->path, strerror(errno));
    Code rc = run_compiler(j, w, &native, e);
    if (rc == OK && !native)
        rc = run_compiler(j, w, &native, e);
    return rc;
}

/* ---- loading ---- */

/* Names stay unique: the loader takes a path that it knows for the same library, and by its key it is. */
static void *load_file(CcJob *j, const char *dir)
{
    return dlopen(arena_printf(&j->arena, "%s/%s", dir, j->file), RTLD_NOW | RTLD_LOCAL);
}

static bool load_cached(CcJob *j, CcLib *out)
{
    const Place *p = j->place;

    if (!j->n_places || !p->cache || !j->cacheable || j->o->no_cache)
        return false;
    works_sweep(p);
    if (file_sound(p->fd, j->file, j->key))
        out->handle = load_file(j, p->path);
    if (!out->handle)
        unlinkat(p->fd, j->file, 0);        /* not there, not whole, or of no use any more */
    out->cached = out->handle != NULL;
    return out->cached;
}

/* Compile in one place, load from there; then the library may move into the cache, or be removed. */
static Code make_in(CcJob *j, const Place *p, CcLib *out, Err *e)
{
    const bool publish = p->cache && j->cacheable && !j->o->no_cache;
    Work w;

    works_sweep(p);
    if (!work_make(&w, p, &j->arena))
        return err_set(e, E_ENV, ERR_cc_place, "%s cannot be written in: %s", p->path, strerror(errno));
    Code rc = compile_in(j, &w, e);
    const bool sealed = rc == OK && publish && file_seal(w.fd, j->file, j->key);
    if (rc == OK && !(out->handle = load_file(j, w.path))) {
        const char *why = dlerror();
        j->unloadable = !why || !strstr(why, "undefined symbol");       /* which no other place would define */
        rc = err_set(e, E_ENV, ERR_cc_failed, "what the C compiler made cannot be loaded: %.400s", why ? why : "no reason given");
    }
    if (rc == OK && sealed)
        cache_publish(&w, p, j->file);
    work_remove(&w);
    return rc;
}

/* Where one place cannot be written in, or nothing can be loaded from it (mounted noexec), the next one may do. */
static Code make_library(CcJob *j, CcLib *out, Err *e)
{
    Err last = { 0 };

    err_set(&last, E_ENV, ERR_cc_place, "there is no directory for temporary files: TMPDIR and /tmp do not exist, or others "
                                        "could exchange what stands in them");
    for (int k = 0; k < j->n_places && (last.id == ERR_cc_place || j->unloadable); k++) {
        last = (Err){ 0 };
        j->unloadable = false;
        if (make_in(j, &j->place[k], out, &last) == OK)
            return OK;
    }
    return err_set(e, last.code, last.id, "%s", last.msg);
}

/* ---- the kept text ---- */

static int count_parts(FILE *f)
{
    char line[4096];
    int n = 0;

    rewind(f);
    while (fgets(line, sizeof line, f))
        n += !strncmp(line, PART_LINE, sizeof PART_LINE - 1);
    return n;
}

/* A command may compile several texts; the file holds each as a part, and compiles with -DPART=N. */
static void source_part(CcJob *j, Buf *b, int part)
{
    const char **v = command_line(j, true, j->o->keep, "n.so");

    if (part == 1)
        buf_puts(b, "#ifndef PART\n#define PART 1\n#endif\n");
    buf_printf(b, "\n" PART_LINE "%d\n/* -DPART=%d:", part, part);
    for (; *v; v++) {
        buf_putc(b, ' ');
        for (const char *s = *v; *s; s++)
            buf_puts(b, *s == '*' && s[1] == '/' ? "* " : (char[]){ *s, 0 });
    }
    buf_printf(b, " */\n%s#endif\n", j->text);
}

static Code keep_source(CcJob *j, Err *e)
{
    FILE *f = fopen(j->o->keep, "a+e");
    Buf b = { 0 };

    if (f)
        source_part(j, &b, count_parts(f) + 1);
    bool ok = f && fseek(f, 0, SEEK_END) == 0 && fwrite(b.s, 1, b.n, f) == b.n;
    ok = f && fclose(f) == 0 && ok;
    buf_free(&b);
    return ok ? OK : err_set(e, E_ENV, ERR_cc_keep, "%s cannot be written: %s", j->o->keep, strerror(errno));
}

/* ---- the interface ---- */

static Code find_or_make(CcJob *j, CcLib *out, Err *e)
{
    make_key(j);
    j->n_places = places_open(j->place, &j->arena);
    const Code rc = cc_stopped(j) ? cc_interrupted(e) : load_cached(j, out) ? OK : make_library(j, out, e);
    places_close(j->place, j->n_places);
    return rc;
}

Code cc_load(CcLib *out, const char *text, const CcOpts *o, Err *e)
{
    const double began = cc_clock();
    CcJob j = { .text = text, .o = o };

    *out = (CcLib){ 0 };
    split_command(&j);
    Code rc = o->keep ? keep_source(&j, e) : OK;
    if (rc == OK) rc = find_compiler(&j, e);
    if (rc == OK) rc = find_or_make(&j, out, e);
    arena_free(&j.arena);
    out->seconds = cc_clock() - began;
    return rc;
}

/* The file KEY.note, and the cache it lies in; false: there is none. */
static bool find_note(CcJob *j, char *name, size_t n)
{
    Err e = { 0 };

    split_command(j);
    if (find_compiler(j, &e) != OK)
        return false;
    make_key(j);
    snprintf(name, n, "%s.note", j->key);
    j->n_places = places_open(j->place, &j->arena);
    return j->n_places > 0 && j->place[0].cache && j->cacheable;
}

bool cc_recall(const char *text, char *note, size_t n)
{
    CcJob j = { .text = text };
    char name[sizeof j.key + 8];
    const bool ok = find_note(&j, name, sizeof name) && file_sealed(j.place[0].fd, name, j.key, note, n);

    places_close(j.place, j.n_places);
    arena_free(&j.arena);
    return ok;
}

void cc_remember(const char *text, const char *note)
{
    CcJob j = { .text = text };
    char name[sizeof j.key + 8];
    Work w;

    if (find_note(&j, name, sizeof name) && work_make(&w, &j.place[0], &j.arena)) {
        if (file_write(w.fd, name, note, strlen(note)) && file_seal(w.fd, name, j.key))
            cache_publish(&w, &j.place[0], name);
        work_remove(&w);
    }
    places_close(j.place, j.n_places);
    arena_free(&j.arena);
}

void *cc_symbol(const CcLib *lib, const char *name)
{
    return lib->handle ? dlsym(lib->handle, name) : NULL;
}

void cc_close(CcLib *lib)
{
    if (lib->handle)
        dlclose(lib->handle);
    *lib = (CcLib){ 0 };
}
