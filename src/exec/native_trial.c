/* SPDX-License-Identifier: Apache-2.0
 *
 * native_trial.c - which of a nest's schedules is fastest here, found out while the engine works.
 *
 * A nest begins with the schedule that the model ranks first.  Once a run has lasted a while, the next few of its
 * heaviest nests are compiled beside it, and the nests take turns with them at their real work: every schedule gives
 * the same bits, so nobody can tell.  The one whose best turn was shortest stays, and is remembered in the cache; a
 * later run finds it there and neither compiles nor times the others.  Short runs try nothing and wait for nothing. */
#include "exec/cc.h"
#include "exec/native_nest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_TRIED   4                  /* schedules of a nest, the model's first among them */
#define MOST_TRIALS  6                  /* nests */
#define LEAST_SHARE  0.04               /* of a run's work that a nest does, to be tried */
#define TRIAL_AFTER  1.0                /* seconds, unless $SQLGRAD_TUNE says how many */
#define MOST_TURNS   12                 /* of each schedule … */
#define LEAST_TURNS  3                  /* … and if these took long */
#define MOST_RUNS    (4 * MOST_TRIED * MOST_TURNS)
#define LONG_TURNS   0.5                /* seconds, of all schedules together */
#define NOTE_SIZE    32
#define CLEARLY      0.98               /* of the time of the first: others are no better */

typedef enum TrialState { TRIAL_waits, TRIAL_runs, TRIAL_over } TrialState;

typedef struct Trial {
    TrialState state;
    int text;                           /* among Native.nest_text */
    Target target;
    const char *key;                    /* what the choice is found by */
    const char *code;                   /* of all schedules but the first, a library */
    Schedule sched[MOST_TRIED]; NestFn *fn[MOST_TRIED]; int n;
    double best[MOST_TRIED], spent;
    int at, turns;
    double took[MAX_PARTS]; int calls;  /* of this turn, by part of the lanes */
    size_t blocks;                      /* of lanes, in the last turn */
    CcLib lib; Code rc;
} Trial;

struct Trials {
    Trial **trial; int n;
    double since;                       /* of the first run */
    double after;
    bool compiling;
    pthread_t compiler;
    int compiled;                       /* set last by the compiler's thread */
    volatile int quit;
    int runs_left;                      /* until what is still on trial is given up */
    int n_seen;                         /* texts of nests that were looked at */
};

static double trial_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- which nests ---- */

static void use_schedule(Native *n, Trial *t, int k)
{
    t->at = k;
    n->nest_text[t->text].fn = t->fn[k];
    for (int r = 0; r < n->n_rels; r++) {
        NestPlan *np = n->rel[r].plan.nest;
        if (!np || np->text != t->text || np->low.nest.copies)
            continue;
        np->fn = t->fn[k];
        np->low.nest.sched = t->sched[k];
    }
}

/* The nest that has a text, and what all that have it do in a run. */
static const Rel *rel_of_text(const Native *n, int text, double *work)
{
    const Rel *first = NULL;

    *work = 0;
    for (int k = 0; k < n->n_rels; k++) {
        const Rel *r = &n->rel[k];
        const NestPlan *np = r->plan.nest;
        if (!np || !np->fn || np->low.nest.copies || np->text != text)
            continue;
        first = first ? first : r;
        *work += nest_work(&np->low.nest) * (double)nest_lanes(r);
    }
    return first;
}

/* A nest with a schedule, named by its number. */
static void add_schedule_text(Buf *out, const Nest *nest, const Trial *t, int k)
{
    Nest copy = *nest;

    copy.code = k;
    copy.sched = k ? t->sched[k] : nest->sched;
    nest_text(out, &copy, &t->target);
}

/* The same work: text, threads and lanes. */
static const char *key_of_choice(Native *n, const Trial *t, const Rel *r)
{
    Buf text = { 0 };

    add_schedule_text(&text, &r->plan.nest->low.nest, t, 0);
    const char *s = arena_printf(&n->arena, "%d threads, %zu lanes\n%s", n->n_threads, nest_lanes(r), text.s);
    buf_free(&text);
    return s;
}

/* The schedules to try, and their code; false: there are none. */
static bool find_others(Native *n, Trial *t)
{
    double work;
    const Rel *r = rel_of_text(n, t->text, &work);
    Buf text = { 0 };

    if (!r)
        return false;
    const Nest *nest = &r->plan.nest->low.nest;
    t->n = nest_candidates(nest, &t->target, t->sched, MOST_TRIED);
    t->fn[0] = r->plan.nest->fn;
    nest_prelude(&text, &t->target);
    for (int k = 1; k < t->n; k++)
        add_schedule_text(&text, nest, t, k);
    t->code = arena_strndup(&n->arena, text.s, text.n);
    buf_free(&text);
    return t->n > 1;
}

static bool bind_others(Native *n, Trial *t)
{
    Nest none = { 0 };

    nest_keep_lib(n, &t->lib);
    for (int k = 1; k < t->n; k++) {
        Buf name = { 0 };
        none.code = k;
        nest_name(&name, &none, &t->target);
        void *fn = cc_symbol(&t->lib, name.s);
        memcpy(&t->fn[k], &fn, sizeof fn);
        buf_free(&name);
        if (!fn)
            return false;
    }
    return true;
}

static Code load_others(Trial *t, volatile int *stop)
{
    Err e = { 0 };

    return cc_load(&t->lib, t->code, &(CcOpts){ .stop = stop }, &e);
}

/* The choice, and a hash of what it was made of: another version of the model has other schedules. */
static void note_of_choice(const Trial *t, int choice, char *note, size_t size)
{
    snprintf(note, size, "%d %016llx", choice, choice ? (unsigned long long)hash_bytes(t->code, strlen(t->code)) : 0);
}

/* What an earlier run found out. */
static void take_choice(Native *n, Trial *t)
{
    char said[NOTE_SIZE], note[NOTE_SIZE];

    if (!cc_recall(t->key, said, sizeof said) || *said < '0' || *said >= '0' + MOST_TRIED)
        return;
    const int choice = *said - '0';
    if (choice && !find_others(n, t))
        return;
    note_of_choice(t, choice, note, sizeof note);
    if (strcmp(said, note))
        return;
    t->state = TRIAL_over;
    if (choice && choice < t->n && load_others(t, n->o.stop) == OK && bind_others(n, t))
        use_schedule(n, t, choice);
}

static void add_trial(Native *n, const Rel *r, const Target *target)
{
    Trial *t = ARENA_NEW(&n->arena, Trial);

    *t = (Trial){ .text = r->plan.nest->text, .target = *target };
    t->key = key_of_choice(n, t, r);
    VEC_PUSH(&n->arena, n->trials->trial, n->trials->n, t);
    take_choice(n, t);
}

typedef struct Heavy { const Rel *r; double work; } Heavy;

static int heaviest_first(const void *x, const void *y)
{
    const Heavy *a = x, *b = y;

    return a->work != b->work ? (a->work < b->work ? 1 : -1) : a->r->b->id - b->r->b->id;
}

static double seconds_before(void)
{
    const char *s = getenv("SQLGRAD_TUNE");

    return s && *s ? strtod(s, NULL) : TRIAL_AFTER;
}

void trials_find(Native *n, const Target *target)
{
    Heavy *heavy = ARENA_ARRAY(&n->scratch, Heavy, n->n_nest_texts + 1);
    double total = 0;
    int count = 0;

    if (n->o.no_tune || n->o.keep_c)
        return;
    if (!n->trials) {
        n->trials = ARENA_NEW(&n->arena, struct Trials);
        n->trials->after = seconds_before();
    }
    for (int k = 0; k < n->n_nest_texts; k++) {
        Heavy h;
        h.r = rel_of_text(n, k, &h.work);
        total += h.work;
        if (h.r && k >= n->trials->n_seen)
            heavy[count++] = h;
    }
    n->trials->n_seen = n->n_nest_texts;
    if (count)
        qsort(heavy, (size_t)count, sizeof *heavy, heaviest_first);
    for (int k = 0; k < count && (n->trials->after <= 0 || (k < MOST_TRIALS && heavy[k].work >= LEAST_SHARE * total)); k++)
        add_trial(n, heavy[k].r, target);
}

/* ---- compiling beside the run ---- */

static void *compile_others(void *arg)
{
    struct Trials *all = arg;

    for (int k = 0; k < all->n && !all->quit; k++)
        if (all->trial[k]->state == TRIAL_waits)
            all->trial[k]->rc = load_others(all->trial[k], &all->quit);
    __atomic_store_n(&all->compiled, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void begin_trials(Native *n)
{
    struct Trials *all = n->trials;

    pthread_join(all->compiler, NULL);
    all->compiling = false;
    for (int k = 0; k < all->n; k++) {
        Trial *t = all->trial[k];
        if (t->state != TRIAL_waits)
            continue;
        const bool ok = t->rc == OK && bind_others(n, t);
        t->state = ok ? TRIAL_runs : TRIAL_over;
        n->trying += ok;
    }
    if (n->trying)
        replay_forget(n);               /* what is written down is not timed */
    all->runs_left = MOST_RUNS;
}

/* Nests that do not run any more, or only in part. */
static void give_up(Native *n)
{
    for (int k = 0; k < n->trials->n; k++) {
        Trial *t = n->trials->trial[k];
        if (t->state != TRIAL_runs)
            continue;
        t->state = TRIAL_over;
        use_schedule(n, t, 0);
    }
    n->trying = 0;
}

static void begin_compiling(Native *n)
{
    struct Trials *all = n->trials;
    bool any = false;

    for (int k = 0; k < all->n; k++) {
        Trial *t = all->trial[k];
        if (t->state == TRIAL_waits && !find_others(n, t))
            t->state = TRIAL_over;
        any |= t->state == TRIAL_waits;
    }
    all->compiled = 0;
    all->compiling = any && pthread_create(&all->compiler, NULL, compile_others, all) == 0;
}

static bool any_waits(const struct Trials *all)
{
    for (int k = 0; k < all->n; k++)
        if (all->trial[k]->state == TRIAL_waits)
            return true;
    return false;
}

void trials_go_on(Native *n)
{
    struct Trials *all = n->trials;

    if (n->trying && all->runs_left-- == 0)
        give_up(n);
    if (!all || (!all->compiling && !any_waits(all)))
        return;
    const double at = trial_time();
    all->since = all->since > 0 ? all->since : at;
    if (!all->compiling && at - all->since >= all->after)
        begin_compiling(n);
    if (all->compiling && (all->after <= 0 || __atomic_load_n(&all->compiled, __ATOMIC_ACQUIRE)))
        begin_trials(n);
}

/* ---- turns ---- */

static Trial *trial_of(const Native *n, const NestPlan *np)
{
    for (int k = 0; np->fn && k < n->trials->n; k++)
        if (n->trials->trial[k]->text == np->text)
            return n->trials->trial[k]->state == TRIAL_runs ? n->trials->trial[k] : NULL;
    return NULL;
}

double trial_begins(const Native *n, const NestPlan *np)
{
    return n->trying && trial_of(n, np) ? trial_time() : 0;
}

void trial_ends(const Native *n, const NestPlan *np, int part, double began)
{
    if (began > 0)
        trial_of(n, np)->took[part] += trial_time() - began;
}

static void print_trial(const Native *n, const Trial *t, int best)
{
    fprintf(stderr, "nest %d: schedule %d of %d;", n->nest_text[t->text].code, best + 1, t->n);
    for (int k = 0; k < t->n; k++)
        fprintf(stderr, " %.2f", 1e6 * t->best[k]);
    fprintf(stderr, " us%s\n", t->blocks > 1 ? " a block of lanes" : "");
}

static void end_trial(Native *n, Trial *t)
{
    char note[NOTE_SIZE];
    int best = 0;

    for (int k = 1; k < t->n; k++)
        best = t->best[k] < t->best[best] ? k : best;
    best = t->best[best] < CLEARLY * t->best[0] ? best : 0;
    t->state = TRIAL_over;
    n->trying--;
    use_schedule(n, t, best);
    note_of_choice(t, best, note, sizeof note);
    cc_remember(t->key, note);
    if (n->trace)
        print_trial(n, t, best);
}

/* A turn is over: the next schedule's begins. */
static void end_turn(Native *n, Trial *t, double seconds)
{
    t->best[t->at] = t->turns == 0 || seconds < t->best[t->at] ? seconds : t->best[t->at];
    t->at = (t->at + 1) % t->n;
    t->turns += t->at == 0;
    if (t->turns >= MOST_TURNS || (t->at == 0 && t->turns >= LEAST_TURNS && t->spent > LONG_TURNS))
        end_trial(n, t);
    else
        use_schedule(n, t, t->at);
}

void trial_counts(const Native *n, const NestPlan *np)
{
    Trial *t = n->trying ? trial_of(n, np) : NULL;

    if (t)
        t->calls++;
}

void trials_turn(Native *n, size_t blocks)
{
    for (int k = 0; n->trying && k < n->trials->n; k++) {
        Trial *t = n->trials->trial[k];
        double seconds = 0;
        if (t->state != TRIAL_runs || !t->calls)
            continue;
        for (int part = 0; part < MAX_PARTS; part++)
            seconds += t->took[part];
        t->spent += seconds;
        seconds /= (double)t->calls * (double)blocks;
        memset(t->took, 0, sizeof t->took);
        t->calls = 0;
        t->blocks = blocks;
        end_turn(n, t, seconds);
    }
}

void trials_close(Native *n)
{
    struct Trials *all = n->trials;

    if (!all || !all->compiling)
        return;
    all->quit = 1;
    pthread_join(all->compiler, NULL);
    for (int k = 0; k < all->n; k++)
        if (all->trial[k]->state == TRIAL_waits && all->trial[k]->rc == OK)
            nest_keep_lib(n, &all->trial[k]->lib);
    all->compiling = false;
}
