/* SPDX-License-Identifier: Apache-2.0
 *
 * native_base_turn.c - base tables whose columns stand in another order than the one in which the program wants keys to
 * number rows (lower/order.c): their rows are read in that order.
 *
 * Product rows stay as they were imported. */
#include "exec/native_base.h"

/* Keys in the order in which they number rows; *same: that of the table's own columns. */
static int turn_columns(Native *n, const Rel *r, int *col, bool *same)
{
    const KeyOrder *x = &n->order[r->id];
    const struct Base *s = r->base;
    int K = 0, last = -1;

    *same = true;
    for (int i = 0; i < x->n; i++) {
        const int c = x->col[i];
        if (s->tcol[c] < 0)                     /* the row number stays behind all others */
            continue;
        *same = *same && s->tcol[c] > last;
        last = s->tcol[c];
        col[K++] = c;
    }
    return K;
}

static bool rank_rows(Native *n, Rel *r, const int *col, int K, Arr *mem, Arena *a)
{
    struct Base *s = r->base;
    uint32_t **rank = ARENA_ARRAY(a, uint32_t *, K + 1);
    size_t *n_ranks = ARENA_ARRAY(a, size_t, K + 1);
    const size_t N = s->t->n_rows;

    for (int k = 0; k < K; k++) {
        if (!arr_need(n, &mem[k], N * sizeof(uint32_t)))
            return false;
        rank[k] = mem[k].p;
        if (!rank_codes(n, s->code[col[k]], N, r->b->col[col[k]].type, rank[k], &n_ranks[k]))
            return false;
    }
    if (!arr_need(n, &s->turn_mem, 2 * N * sizeof(uint32_t)) || !order_rows(n, N, K, rank, n_ranks, s->turn_mem.p))
        return false;
    uint32_t *turn = s->turn_mem.p, *place = turn + N;
    for (size_t k = 0; k < N; k++)
        place[turn[k]] = (uint32_t)k;
    s->turn = turn;
    s->turn_place = place;
    return true;
}

bool base_find_turn(Native *n, Rel *r)
{
    struct Base *s = r->base;
    Arena a = { 0 };
    int *col = ARENA_ARRAY(&a, int, r->b->n_cols + 1);
    Arr *mem = ARENA_ARRAY(&a, Arr, r->b->n_cols + 1);
    bool same, ok = true;
    const int K = turn_columns(n, r, col, &same);

    s->turn = s->turn_place = NULL;
    if (!same && !s->t->n_inner && s->t->n_rows > 1)
        ok = rank_rows(n, r, col, K, mem, &a);
    for (int k = 0; k < K; k++)
        arr_drop(n, &mem[k]);
    arena_free(&a);
    return ok;
}

/* Numbers of rows to places in the other order, or back. */
void base_turn_rows(const uint32_t *by, uint32_t *row, size_t count)
{
    for (size_t k = 0; by && k < count; k++)
        row[k] = by[row[k]];
}
