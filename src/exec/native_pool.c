/* SPDX-License-Identifier: Apache-2.0
 *
 * native_pool.c - a small pool of threads.  Parts of work are handed out as threads come; what a part
 * computes depends on the part alone, so the results do not depend on the threads. */
#include "exec/native.h"

#include <pthread.h>

struct Pool {
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    pthread_t *thread; int n_threads;   /* besides the caller's */
    void (*fn)(void *arg, int part); void *arg;
    int next, n_parts, busy;
    unsigned turn;
    bool quit;
};

static void take_parts(Pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->next < p->n_parts) {
        const int part = p->next++;
        pthread_mutex_unlock(&p->lock);
        p->fn(p->arg, part);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

static void *pool_thread(void *arg)
{
    Pool *p = arg;
    unsigned seen = 0;

    for (;;) {
        pthread_mutex_lock(&p->lock);
        while (p->turn == seen && !p->quit)
            pthread_cond_wait(&p->start, &p->lock);
        seen = p->turn;
        const bool quit = p->quit;
        pthread_mutex_unlock(&p->lock);
        if (quit)
            return NULL;
        take_parts(p);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
}

Pool *pool_open(int n_threads)
{
    Pool *p = mem_alloc(sizeof *p);

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
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
    p->fn = fn;
    p->arg = arg;
    p->next = 0;
    p->n_parts = n_parts;
    p->busy = p->n_threads;
    p->turn++;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    take_parts(p);
    pthread_mutex_lock(&p->lock);
    while (p->busy > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
