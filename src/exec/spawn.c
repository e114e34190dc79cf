/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.c - starting a program without a shell, waiting for it, and drawing with Graphviz by it.
 *
 * dot reads and writes nameless temporary files: what it leaves half done nobody sees. */
#include "exec/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define DOT_SECONDS 300             /* then the picture is too large for it */
#define DOT_MESSAGE 300             /* bytes of what it said that are shown */

extern char **environ;

/* Signals as a program expects them, whatever the host does with its own: an ignored SIGCHLD would keep a compiler
 * from waiting for its parts. */
void spawn_attr(posix_spawnattr_t *at)
{
    static const int usual[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGALRM };
    sigset_t none, set;

    sigemptyset(&none);
    sigemptyset(&set);
    for (size_t k = 0; k < COUNT_OF(usual); k++)
        sigaddset(&set, usual[k]);
    posix_spawnattr_init(at);
    posix_spawnattr_setsigmask(at, &none);
    posix_spawnattr_setsigdefault(at, &set);
    posix_spawnattr_setpgroup(at, 0);
    posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

static double spawn_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void end_program(pid_t pid)
{
    kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Where somebody else waits for every child, or the host ignores SIGCHLD, nobody knows the status: what was made
 * decides, and it counts as 0. */
SpawnEnd spawn_wait(pid_t pid, double seconds, const volatile int *stop, int *status)
{
    const double limit = spawn_clock() + seconds;
    const struct timespec nap = { .tv_nsec = 2000000 };

    for (;;) {
        const pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return SPAWN_done;
        *status = 0;
        if (got < 0 && errno != EINTR)
            return SPAWN_done;
        if ((stop && *stop) || spawn_clock() > limit) {
            end_program(pid);
            return stop && *stop ? SPAWN_stopped : SPAWN_late;
        }
        nanosleep(&nap, NULL);
    }
}

/* ---- dot ---- */

typedef struct DotJob { const char *program; FILE *file[3]; } DotJob;       /* its input, output and messages */

static Code dot_files(DotJob *d, const char *text, size_t n, Err *e)
{
    for (int k = 0; k < 3; k++)
        if (!(d->file[k] = tmpfile()))
            return err_set(e, E_ENV, ERR_graph_dot, "no temporary file can be made: %s", strerror(errno));
        else
            fcntl(fileno(d->file[k]), F_SETFD, FD_CLOEXEC);
    if (fwrite(text, 1, n, d->file[0]) != n || fflush(d->file[0]) == EOF)
        return err_set(e, E_ENV, ERR_graph_dot, "a temporary file cannot be written: %s", strerror(errno));
    rewind(d->file[0]);
    return OK;
}

static Code dot_start(DotJob *d, const char *format, pid_t *pid, Err *e)
{
    char kind[32];
    char *const argv[] = { (char *)(uintptr_t)d->program, kind, NULL };
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;

    snprintf(kind, sizeof kind, "-T%s", format);
    spawn_attr(&at);
    posix_spawn_file_actions_init(&fa);
    for (int k = 0; k < 3; k++)
        posix_spawn_file_actions_adddup2(&fa, fileno(d->file[k]), k);
    const int why = posix_spawnp(pid, d->program, &fa, &at, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    return why ? err_set(e, E_ENV, ERR_graph_dot, "Graphviz's \"%.200s\", which draws the picture, cannot be started: %s; "
                         "--out FILE.dot needs no Graphviz", d->program, strerror(why)) : OK;
}

static void take_file(FILE *f, Buf *out, size_t most)
{
    char part[4096];
    size_t n;

    rewind(f);
    buf_puts(out, "");
    while (out->n < most && (n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(out, part, n < most - out->n ? n : most - out->n);
}

static Code dot_failed(DotJob *d, SpawnEnd end, int status, Err *e)
{
    Buf said = { 0 };

    if (end == SPAWN_stopped)
        return err_set(e, E_STOPPED, NULL, "interrupted");
    take_file(d->file[2], &said, DOT_MESSAGE);
    for (char *s = said.s; *s; s++)
        *s = (unsigned char)*s < ' ' ? ' ' : *s;
    const Code rc = end == SPAWN_late
        ? err_set(e, E_ENV, ERR_graph_dot, "\"%.200s\" did not end within %d seconds", d->program, DOT_SECONDS)
        : err_set(e, E_ENV, ERR_graph_dot, "\"%.200s\" failed with status %d%s%s", d->program,
                  WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), said.n ? ": " : "", said.s);
    buf_free(&said);
    return rc;
}

Code dot_draw(const char *text, size_t n, const char *format, const volatile int *stop, Buf *out, Err *e)
{
    DotJob d = { .program = getenv("SQLGRAD_DOT") };
    int status = 0;
    pid_t pid;

    if (!d.program || !*d.program)
        d.program = "dot";
    Code rc = dot_files(&d, text, n, e);
    if (rc == OK) rc = dot_start(&d, format, &pid, e);
    if (rc == OK) {
        const SpawnEnd end = spawn_wait(pid, DOT_SECONDS, stop, &status);
        if (end != SPAWN_done || status)
            rc = dot_failed(&d, end, status, e);
        else
            take_file(d.file[1], out, SIZE_MAX);
    }
    if (rc == OK && !out->n)
        rc = err_set(e, E_ENV, ERR_graph_dot, "\"%.200s\" drew nothing", d.program);
    for (int k = 0; k < 3; k++)
        if (d.file[k])
            fclose(d.file[k]);
    return rc;
}
