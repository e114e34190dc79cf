/* SPDX-License-Identifier: Apache-2.0
 *
 * native_pool.c - a small pool of threads.  Parts of work are handed out as threads come; what a part
 * computes depends on the part alone, so the results do not depend on the threads. */
#include "exec/native.h"

#include <pthread.h>

typedef struct Work { void (*fn)(void *arg, int part); void *arg; int next, n_parts; } Work;

struct Pool {
    pthread_mutex_t lock;
    pthread_cond_t start, done, later_done;
    pthread_t *thread; int n_threads;   /* besides the caller's */
    Work now, later;
    int busy, later_busy;               /* threads that have not done with `now`; parts of `later` under way */
    unsigned turn;
    bool quit;
};

/* The lock is held, but while a part is worked on. */
static void take_part(Pool *p, Work *w)
{
    const int part = w->next++;

    pthread_mutex_unlock(&p->lock);
    w->fn(w->arg, part);
    pthread_mutex_lock(&p->lock);
}

static void take_parts(Pool *p)
{
    while (p->now.next < p->now.n_parts)
        take_part(p, &p->now);
}

static void take_later(Pool *p)
{
    p->later_busy++;
    take_part(p, &p->later);
    if (--p->later_busy == 0 && p->later.next == p->later.n_parts)
        pthread_cond_signal(&p->later_done);
}

static void *pool_thread(void *arg)
{
    Pool *p = arg;
    unsigned seen = 0;

    pthread_mutex_lock(&p->lock);
    while (!p->quit) {
        if (p->turn != seen) {
            seen = p->turn;
            take_parts(p);
            if (--p->busy == 0)
                pthread_cond_signal(&p->done);
        } else if (p->later.next < p->later.n_parts) {
            take_later(p);
        } else {
            pthread_cond_wait(&p->start, &p->lock);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

Pool *pool_open(int n_threads)
{
    Pool *p = mem_alloc(sizeof *p);

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    pthread_cond_init(&p->later_done, NULL);
    p->thread = mem_alloc((size_t)(n_threads > 1 ? n_threads : 1) * sizeof *p->thread);
    for (int k = 1; k < n_threads; k++)
        if (pthread_create(&p->thread[p->n_threads], NULL, pool_thread, p) == 0)
            p->n_threads++;                     /* fewer threads: the same results, later */
    return p;
}

void pool_close(Pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (int k = 0; k < p->n_threads; k++)
        pthread_join(p->thread[k], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->start);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->later_done);
    mem_free(p->thread);
    mem_free(p);
}

void pool_run(Pool *p, int n_parts, void (*fn)(void *arg, int part), void *arg)
{
    if (!p || p->n_threads == 0 || n_parts < 2) {
        for (int k = 0; k < n_parts; k++)
            fn(arg, k);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->now = (Work){ fn, arg, 0, n_parts };
    p->busy = p->n_threads;
    p->turn++;
    pthread_cond_broadcast(&p->start);
    take_parts(p);
    while (p->busy > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void pool_later(Pool *p, int n_parts, void (*fn)(void *arg, int part), void *arg)
{
    pthread_mutex_lock(&p->lock);
    p->later = (Work){ fn, arg, 0, n_parts };
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
}

void pool_finish(Pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->later.next < p->later.n_parts)
        take_part(p, &p->later);
    while (p->later_busy > 0)
        pthread_cond_wait(&p->later_done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
