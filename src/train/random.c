/* SPDX-License-Identifier: Apache-2.0
 *
 * random.c - random numbers as a function of (seed, stream, counter): Philox4x32-10 of Salmon, Moraes, Dror
 * and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).  Nothing has a state, so a value does
 * not depend on what else was drawn before, and a run resumed in the middle draws what it would have drawn.
 *
 *   key      the seed (two words)
 *   counter  stream (two words), n (two words)
 *
 * Streams: initial values use the hash of table and column; permutations the one below. */
#include "train/train.h"

#include <math.h>

#define STREAM_EPOCH 0x65706f6368ull        /* "epoch"; xored with the epoch's own hash */
#define TWO_PI       6.283185307179586476925286766559

static void philox_round(uint32_t c[4], const uint32_t k[2])
{
    const uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
    const uint32_t n0 = (uint32_t)(b >> 32) ^ c[1] ^ k[0], n2 = (uint32_t)(a >> 32) ^ c[3] ^ k[1];

    c[0] = n0;
    c[1] = (uint32_t)b;
    c[2] = n2;
    c[3] = (uint32_t)a;
}

void philox4x32(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t k[2] = { key[0], key[1] };

    for (int i = 0; i < 4; i++)
        out[i] = ctr[i];
    for (int r = 0; r < 10; r++) {
        philox_round(out, k);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
}

/* Two 64-bit words for counter n. */
static void draw_words(uint64_t seed, uint64_t stream, uint64_t n, uint64_t w[2])
{
    const uint32_t ctr[4] = { (uint32_t)n, (uint32_t)(n >> 32), (uint32_t)stream, (uint32_t)(stream >> 32) };
    const uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    uint32_t o[4];

    philox4x32(ctr, key, o);
    w[0] = (uint64_t)o[1] << 32 | o[0];
    w[1] = (uint64_t)o[3] << 32 | o[2];
}

static double unit_interval(uint64_t w)
{
    return (double)(w >> 11) * 0x1p-53;
}

double draw_uniform(uint64_t seed, uint64_t stream, uint64_t n)
{
    uint64_t w[2];

    draw_words(seed, stream, n, w);
    return unit_interval(w[0]);
}

/* Box and Muller; 1 - u lies in (0, 1], so the logarithm is finite. */
double draw_normal(uint64_t seed, uint64_t stream, uint64_t n)
{
    uint64_t w[2];

    draw_words(seed, stream, n, w);
    return sqrt(-2.0 * log(1.0 - unit_interval(w[0]))) * cos(TWO_PI * unit_interval(w[1]));
}

/* A number below n without bias: words past the last multiple of n are drawn again, from the counter's
 * upper half, so that the other draws keep theirs. */
static uint32_t draw_below(uint64_t seed, uint64_t stream, uint64_t i, uint32_t n)
{
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t w[2];

    for (uint64_t retry = 0;; retry++) {
        draw_words(seed, stream, i | retry << 40, w);
        if (w[0] < limit)
            return (uint32_t)(w[0] % n);
    }
}

void draw_permutation(uint64_t seed, uint64_t epoch, uint32_t *perm, uint32_t n)
{
    const uint64_t stream = STREAM_EPOCH ^ hash_u64(epoch + 1);

    for (uint32_t i = 0; i < n; i++)
        perm[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        const uint32_t j = draw_below(seed, stream, i, i), t = perm[i - 1];
        perm[i - 1] = perm[j];
        perm[j] = t;
    }
}
