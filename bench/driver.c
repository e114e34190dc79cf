/* SPDX-License-Identifier: Apache-2.0
 *
 * driver.c - a training run of sqlgrad that stands still between turns.
 *
 *     driver MODEL.sql step|eval option=value…
 *
 * A benchmark alternates between this process and its peers, so that all see the same machine.  Each line "N" on
 * standard input lets N steps pass (or, with `eval`, N evaluations of the sets of eval-bind) and is answered by one
 * line of JSON: how long each took, what the library said of it, and the processor time and memory used so far.
 * The run waits inside the callback that the library reports a step to; nothing but steps is in the times.  The
 * first step's time holds loading and compiling too.  End of input ends the run, after its state is saved. */
#include <sqlgrad.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { TEXT_MAX = 512 };

typedef struct Unit { double seconds; char text[TEXT_MAX]; } Unit;

typedef struct Driver {
    sqlgrad *session;
    const char *counted;            /* how the event that ends a unit begins */
    double since;                   /* when the unit under way began */
    Unit *unit; long n, wanted;     /* of the turn under way */
    bool over;
} Driver;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double tv_seconds(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

static void answer(const Driver *d)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    printf("{\"cpu\":%.6f,\"rss_kib\":%ld,\"seconds\":[", tv_seconds(u.ru_utime) + tv_seconds(u.ru_stime), u.ru_maxrss);
    for (long k = 0; k < d->n; k++)
        printf("%s%.9f", k ? "," : "", d->unit[k].seconds);
    printf("],\"events\":[");
    for (long k = 0; k < d->n; k++)
        printf("%s%s", k ? "," : "", d->unit[k].text);
    printf("]}\n");
    fflush(stdout);
}

/* Wait for the next turn; at the end of input, or without memory for it, ask the run to stop. */
static void next_turn(Driver *d)
{
    char line[64];
    long n;

    d->n = d->wanted = 0;
    if (!fgets(line, sizeof line, stdin) || (n = strtol(line, NULL, 10)) <= 0) {
        d->over = true;
        sqlgrad_interrupt(d->session);
        return;
    }
    Unit *u = realloc(d->unit, (size_t)n * sizeof *u);
    if (!u) {
        fprintf(stderr, "driver: out of memory for %ld steps\n", n);
        exit(SQLGRAD_ENVIRONMENT);
    }
    d->unit = u;
    d->wanted = n;
}

static void on_event(void *arg, int kind, const char *text)
{
    Driver *d = arg;
    const double at = now();

    if (kind == SQLGRAD_ERROR && !d->over)
        fprintf(stderr, "%s\n", text);
    if (kind == SQLGRAD_OUT && !d->over && !strncmp(text, d->counted, strlen(d->counted))) {
        Unit *u = &d->unit[d->n++];
        u->seconds = at - d->since;
        snprintf(u->text, sizeof u->text, "%s", strlen(text) < TEXT_MAX ? text : "null");
        if (d->n == d->wanted) {
            answer(d);
            next_turn(d);
        }
    }
    d->since = now();               /* an evaluation is counted from the event before it */
}

static int set_option(sqlgrad *s, const char *word)
{
    const char *eq = strchr(word, '=');
    char name[64];

    if (!eq || (size_t)(eq - word) >= sizeof name)
        return SQLGRAD_USAGE;
    snprintf(name, sizeof name, "%.*s", (int)(eq - word), word);
    return sqlgrad_set(s, name, eq + 1);
}

int main(int argc, char **argv)
{
    Driver d = { .since = now() };
    int rc = SQLGRAD_OK;

    if (argc < 3 || (strcmp(argv[2], "step") && strcmp(argv[2], "eval")) || !(d.session = sqlgrad_new())) {
        fprintf(stderr, "usage: driver MODEL.sql step|eval option=value...\n");
        return SQLGRAD_USAGE;
    }
    d.counted = !strcmp(argv[2], "step") ? "{\"event\":\"step\"" : "{\"event\":\"eval\"";
    for (int k = 3; k < argc && rc == SQLGRAD_OK; k++)
        if ((rc = set_option(d.session, argv[k])) != SQLGRAD_OK)
            fprintf(stderr, "driver: %s: %s\n", argv[k], sqlgrad_errmsg(d.session));
    if (rc == SQLGRAD_OK)
        next_turn(&d);
    sqlgrad_on_event(d.session, on_event, &d);
    if (rc == SQLGRAD_OK && !d.over)
        rc = sqlgrad_train(d.session, argv[1]);
    sqlgrad_free(d.session);
    free(d.unit);
    return d.over ? SQLGRAD_OK : rc;
}
