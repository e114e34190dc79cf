/* SPDX-License-Identifier: Apache-2.0
 *
 * peak.c - what this machine can do at most: multiply-adds in registers, sgemm if OpenBLAS is there, memory
 * bandwidth.  `peak [THREADS]` prints one line of JSON, the best of many short trials of each, so that other work on the
 * machine hardly shows; a benchmark states what it reaches as a share of these.
 *
 * Threads are plain threads, each pinned to a processor: two fresh ones may share one for a second otherwise. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __AVX512F__
#define WIDTH 16
#elif defined __AVX__
#define WIDTH 8
#else
#define WIDTH 4
#endif

enum { TRIALS = 25, MAX_THREADS = 64, CHAINS = 12, FMA_LOOPS = 2000000, GEMM_N = 768, GEMM_TIMES = 1 };
#define FLOATS (32l << 20)          /* of each array of the memory tests: 128 MiB, beyond every cache */

typedef float Vec __attribute__((vector_size(4 * WIDTH)));
typedef double (*Work)(int part, int n_parts);      /* returns something that depends on all of it */
typedef struct Part { Work work; int part, n_parts; double out, began, ended; pthread_barrier_t *gate; } Part;
typedef void Sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                   int ldb, float beta, float *c, int ldc);

static float *mem_a, *mem_b, *mem_c;
static Sgemm *sgemm;
static volatile double sink;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Twelve independent chains fill two units of latency four, and leave registers for the constants. */
static double work_fma(int part, int n_parts)
{
    Vec a[CHAINS];
    const Vec m = (Vec){ 0 } + 0.999999f, c = (Vec){ 0 } + 1e-6f;
    double s = 0;

    (void)n_parts;
    for (int k = 0; k < CHAINS; k++)
        a[k] = (Vec){ 0 } + (float)(k + part);
    for (long i = 0; i < FMA_LOOPS; i++)
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            a[k] = a[k] * m + c;
    for (int k = 0; k < CHAINS; k++)
        s += (double)a[k][0];
    return s;
}

static double work_triad(int part, int n_parts)
{
    const long lo = FLOATS / n_parts * part, hi = FLOATS / n_parts * (part + 1);
    float *restrict c = mem_c;
    const float *restrict a = mem_a, *restrict b = mem_b;

    for (long i = lo; i < hi; i++)
        c[i] = a[i] + 3.0f * b[i];
    return (double)c[lo];
}

static double work_read(int part, int n_parts)
{
    const long lo = FLOATS / n_parts * part, hi = FLOATS / n_parts * (part + 1);
    Vec s[8] = { 0 };
    double all = 0;

    for (long i = lo; i < hi; i += 8 * WIDTH)
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++)
            s[k] += *(const Vec *)(mem_a + i + k * WIDTH);
    for (int k = 0; k < 8; k++)
        all += (double)s[k][0];
    return all;
}

/* Each thread multiplies matrices of its own, in its part of the arrays. */
static double work_sgemm(int part, int n_parts)
{
    const long at = (long)part * GEMM_N * GEMM_N;

    (void)n_parts;
    for (int k = 0; k < GEMM_TIMES; k++)
        sgemm(101, 111, 111, GEMM_N, GEMM_N, GEMM_N, 1, mem_a + at, GEMM_N, mem_b + at, GEMM_N, 0, mem_c + at, GEMM_N);
    return (double)mem_c[at];
}

static void *run_part(void *arg)
{
    Part *p = arg;
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)p->part, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);       /* refused: it runs where it may */
    pthread_barrier_wait(p->gate);
    p->began = now();
    p->out = p->work(p->part, p->n_parts);
    p->ended = now();
    return NULL;
}

/* Seconds from the first thread's beginning to the last one's end. */
static double one_trial(Work work, int n_threads)
{
    double began = 0, ended = 0;
    pthread_t thread[MAX_THREADS];
    Part part[MAX_THREADS];
    pthread_barrier_t gate;

    pthread_barrier_init(&gate, NULL, (unsigned)n_threads);
    for (int k = 0; k < n_threads; k++) {
        part[k] = (Part){ .work = work, .part = k, .n_parts = n_threads, .gate = &gate };
        if (pthread_create(&thread[k], NULL, run_part, &part[k])) {
            fprintf(stderr, "peak: cannot start %d threads\n", n_threads);
            exit(3);
        }
    }
    for (int k = 0; k < n_threads; k++) {
        pthread_join(thread[k], NULL);
        sink = sink + part[k].out;
        began = k == 0 || part[k].began < began ? part[k].began : began;
        ended = part[k].ended > ended ? part[k].ended : ended;
    }
    pthread_barrier_destroy(&gate);
    return ended - began;
}

/* The best rate of doing `amount` in all, in units of 1e9 a second. */
static double rate(Work work, int n_threads, double amount)
{
    double best = 0;

    for (int k = 0; k < TRIALS; k++) {
        const double r = amount / one_trial(work, n_threads) / 1e9;
        best = r > best ? r : best;
    }
    return best;
}

static void find_sgemm(void)
{
    void *blas = dlopen("libopenblas.so.0", RTLD_NOW);
    void *found = blas ? dlsym(blas, "cblas_sgemm") : NULL, *one = blas ? dlsym(blas, "openblas_set_num_threads") : NULL;
    void (*set_threads)(int);

    memcpy(&sgemm, &found, sizeof found);           /* a function's address, as POSIX allows and ISO C does not write */
    memcpy(&set_threads, &one, sizeof one);
    if (set_threads)
        set_threads(1);
}

int main(int argc, char **argv)
{
    const int n = argc > 1 ? atoi(argv[1]) : 1;

    if (n < 1 || n > MAX_THREADS) {
        fprintf(stderr, "usage: peak [THREADS], at most %d\n", MAX_THREADS);
        return 2;
    }
    mem_a = aligned_alloc(64, 4 * FLOATS);
    mem_b = aligned_alloc(64, 4 * FLOATS);
    mem_c = aligned_alloc(64, 4 * FLOATS);
    if (!mem_a || !mem_b || !mem_c) {
        fprintf(stderr, "peak: out of memory\n");
        return 3;
    }
    for (long i = 0; i < FLOATS; i++) {
        mem_a[i] = (float)(i % 7 - 3);
        mem_b[i] = (float)(i % 5 - 2);
        mem_c[i] = 0;
    }
    find_sgemm();
    printf("{\"threads\":%d,\"vector_floats\":%d,\"fma_gflops\":%.1f", n, WIDTH,
           rate(work_fma, n, 2.0 * CHAINS * WIDTH * FMA_LOOPS * n));
    if (sgemm)
        printf(",\"sgemm_gflops\":%.1f", rate(work_sgemm, n, 2.0 * GEMM_N * GEMM_N * GEMM_N * GEMM_TIMES * n));
    printf(",\"triad_gbs\":%.2f,\"read_gbs\":%.2f}\n", rate(work_triad, n, 12.0 * FLOATS),
           rate(work_read, n, 4.0 * FLOATS));
    return 0;
}
