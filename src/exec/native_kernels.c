/* SPDX-License-Identifier: Apache-2.0
 *
 * native_kernels.c - the inner loops on numbers, compiled for several kinds of CPU and chosen when an
 * engine opens; and the loops on integers, truth values and texts.  No -ffast-math: NaN and infinity keep
 * their meaning.  Contraction to fused multiply-add is allowed (twice the speed, the same bits on every run
 * of one build on one kind of CPU). */
#include "exec/native.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t real_code(double x)
{
    int64_t k;

    x = isnan(x) ? (double)NAN : x == 0 ? 0 : x;
    memcpy(&k, &x, sizeof k);
    if (isnan(x))
        return INT64_MAX;
    return k < 0 ? k ^ INT64_MAX : k;
}

double code_real(int64_t k)
{
    double x;

    if (k == INT64_MAX)
        return (double)NAN;
    k = k < 0 ? k ^ INT64_MAX : k;
    memcpy(&x, &k, sizeof x);
    return x;
}

typedef uint8_t Bytes16 __attribute__((vector_size(16)));
#define BYTES_LOW(x, y) \
    __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define BYTES_HIGH(x, y) \
    __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

#define CAT2(a, b) a##_##b
#define CAT(a, b) CAT2(a, b)
#define M_float(x) x##f
#define M_double(x) x

#if defined(__clang__)
#pragma STDC FP_CONTRACT ON
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 64")
#pragma GCC push_options
#pragma GCC optimize("O3", "fp-contract=fast", "no-math-errno", "no-trapping-math")
#endif

#define T float
#define M(x) M_float(x)
#define KN(x) CAT(x, f32)
#define VB 64
#define W1 16
#define W2 8
#define W4 4
#include "exec/native_kernels.inc"
#undef T
#undef M
#undef KN
#undef W1
#undef W2
#undef W4

#define T double
#define M(x) M_double(x)
#define KN(x) CAT(x, f64)
#define W1 8
#define W2 4
#define W4 2
#include "exec/native_kernels.inc"
#undef T
#undef M
#undef KN
#undef VB
#undef W1
#undef W2
#undef W4

#if defined(__x86_64__)
#define HAVE_X86 1

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define T float
#define M(x) M_float(x)
#define KN(x) CAT(x, f32_avx2)
#define VB 32
#define W1 8
#define W2 4
#define W4 2
#include "exec/native_kernels.inc"
#undef T
#undef M
#undef KN
#undef W1
#undef W2
#undef W4
#define T double
#define M(x) M_double(x)
#define KN(x) CAT(x, f64_avx2)
#define W1 4
#define W2 2
#define W4 1
#include "exec/native_kernels.inc"
#undef T
#undef M
#undef KN
#undef VB
#undef W1
#undef W2
#undef W4
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define T float
#define M(x) M_float(x)
#define KN(x) CAT(x, f32_avx512)
#define VB 64
#define W1 16
#define W2 8
#define W4 4
#include "exec/native_kernels.inc"
#undef T
#undef M
#undef KN
#undef W1
#undef W2
#undef W4
#define T double
#define M(x) M_double(x)
#define KN(x) CAT(x, f64_avx512)
#define W1 8
#define W2 4
#define W4 2
#include "exec/native_kernels.inc"
#undef T
#undef M
#undef KN
#undef VB
#undef W1
#undef W2
#undef W4
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#if !defined(__clang__)
#pragma GCC pop_options
#endif

typedef enum CpuLevel { CPU_base, CPU_avx2, CPU_avx512 } CpuLevel;

/* SQLGRAD_CPU=base|avx2 asks for less than the CPU can do, for tests. */
static CpuLevel cpu_level(void)
{
#if defined(HAVE_X86)
    const char *ask = getenv("SQLGRAD_CPU");
    const bool base = ask && !strcmp(ask, "base"), avx2 = ask && !strcmp(ask, "avx2");

    if (!base && !avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return CPU_avx512;
    if (!base && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return CPU_avx2;
#endif
    return CPU_base;
}

size_t kern_vector_bytes(void)
{
    static const size_t bytes[] = { [CPU_base] = 16, [CPU_avx2] = 32, [CPU_avx512] = 64 };

    return bytes[cpu_level()];
}

const Kern *kern_for(bool f64)
{
#if defined(HAVE_X86)
    if (cpu_level() == CPU_avx512)
        return f64 ? &kern_f64_avx512 : &kern_f32_avx512;
    if (cpu_level() == CPU_avx2)
        return f64 ? &kern_f64_avx2 : &kern_f32_avx2;
#endif
    return f64 ? &kern_f64 : &kern_f32;
}
