/* SPDX-License-Identifier: Apache-2.0
 *
 * random.c - random numbers as a function of (seed, stream, counter), from Philox (base/philox.c).
 * Nothing has a state, so a run resumed in the middle draws what it would have drawn.
 *
 *   key      the seed (two words)
 *   counter  stream (two words), n (two words)
 *
 * Streams: initial values use the hash of table and column; permutations the one below. */
#include "train/train.h"

#include <math.h>

#define STREAM_EPOCH 0x65706f6368ull        /* "epoch"; xored with the epoch's own hash */
#define TWO_PI       6.283185307179586476925286766559

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

bool noise_row(Table *out, uint64_t seed, int64_t step)
{
    if (!out->n_cols && (!table_init(out, NOISE_TABLE, 2, 1) || !table_add_col(out, 0, "seed", T_INT, false) ||
                         !table_add_col(out, 1, "step", T_INT, false)))
        return false;
    out->col[0].i[0] = (int64_t)(seed & INT64_MAX);
    out->col[1].i[0] = step;
    return true;
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
