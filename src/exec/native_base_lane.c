/* SPDX-License-Identifier: Apache-2.0
 *
 * native_base_lane.c - whether a key of a base table can be its lane.
 *
 * It can where every lane has the same rest (every image the same pixels), or where the rests differ but are few: then
 * the rows are all rests of the table, and a mask says which of them a lane has. */
#include "exec/native_base.h"

#include <string.h>

/* ---- which column can be the lane ---- */

/* The column: the only batch key; for product rows of a table without batches, the only outer key. */
static int lane_candidate(const Rel *r)
{
    const Block *b = r->b;
    const Table *t = r->base->t;
    int found = -1;

    if (base_is_batched(r) && b->n_batch == 1 && !b->batch_rows) {
        found = blk_find_col(b, b->batch_key[0]);
        for (int c = 0; found < 0 && c < b->n_cols; c++)
            if (ascii_ieq(b->col[c].name, b->batch_key[0]))
                found = c;
        return found >= 0 && b->col[found].type != T_REAL ? found : -1;
    }
    for (int c = 0; t->n_inner && !base_is_batched(r) && c < b->n_cols; c++)
        if (b->col[c].type != T_REAL && r->base->tcol[c] >= 0 && t->col[r->base->tcol[c]].dim == DIM_outer)
            found = found == -1 ? c : -2;
    return found;
}

static bool product_rows_ok(const Rel *r, int lane)
{
    const struct Base *s = r->base;

    for (int c = 0; c < r->b->n_cols; c++) {
        const Dim want = c == lane ? DIM_outer : DIM_inner;
        if (r->b->col[c].type != T_REAL && (s->tcol[c] < 0 || s->t->col[s->tcol[c]].dim != want))
            return false;
    }
    return true;
}

/* Every lane has the rest of lane 0; rows stand by lane. */
static bool lanes_agree(const Rel *r)
{
    const struct Base *s = r->base;

    for (size_t l = 1; l < s->n_lanes; l++)
        for (size_t j = 0; j < s->n_rest; j++)
            for (int c = 0; c < r->b->n_cols; c++) {
                if (r->b->col[c].type == T_REAL)
                    continue;
                const int64_t here = base_code(s, c, base_row(s, l, j)), first = base_code(s, c, base_row(s, l, 0));
                if (c == s->lane_col ? here != first : here != base_code(s, c, base_row(s, 0, j)))
                    return false;
            }
    return true;
}

/* Rows by the rank of their lane, those of one in the order that readers want. */
static bool rows_by_rank(Native *n, struct Base *s, uint32_t **rank, const size_t *n_ranks)
{
    const size_t N = s->t->n_rows;
    Arr turned = { 0 };
    uint32_t *at[1] = { rank[0] };

    if (s->turn) {
        if (!arr_need(n, &turned, N * sizeof(uint32_t)))
            return false;
        at[0] = turned.p;
        for (size_t k = 0; k < N; k++)
            at[0][k] = rank[0][s->turn[k]];
    }
    const bool ok = arr_need(n, &s->perm_mem, N * sizeof(uint32_t)) && order_rows(n, N, 1, at, n_ranks, s->perm_mem.p);
    if (ok)
        base_turn_rows(s->turn, s->perm_mem.p, N);
    arr_drop(n, &turned);
    return ok;
}

/* Plain rows: put them by lane (stable, so the rest keeps its order), then compare. */
static bool look_at_rows(Native *n, Rel *r, bool *ok)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    Arr rank = { 0 };
    size_t d = 0;
    bool sorted = true;

    if (!arr_need(n, &rank, N * sizeof(uint32_t)))
        return false;
    uint32_t *at[1] = { rank.p };
    bool fine = rank_codes(n, s->code[s->lane_col], N, r->b->col[s->lane_col].type, rank.p, &d);
    if (fine && d && N % d == 0) {
        s->n_lanes = d;
        s->n_rest = N / d;
        for (size_t k = 0; sorted && k < N; k++)
            sorted = at[0][k] == k / s->n_rest && !s->turn;
        s->perm = NULL;
        if (!sorted) {
            fine = rows_by_rank(n, s, at, &d);
            s->perm = s->perm_mem.p;
        }
        *ok = fine && lanes_agree(r);
    }
    arr_drop(n, &rank);
    return fine;
}

/* ---- lanes with different rests ---- */

#define MOST_RESTS 1024
#define MOST_CHOSEN 65536               /* (rest, choice) pairs: a lane holds a number for each rest */
#define LEAST_DENSITY 32                /* one place in so many is filled, or rows are better listed */
#define MOST_CHOICES 256                /* … which sums over choices need not be */

#define MOST_UNUSED 8                   /* of so many integers in a row one is used, or they are a list of codes */

typedef struct Ints { int64_t lo, hi; size_t used; bool at[MOST_CHOICES]; } Ints;

static bool few_ints(const int64_t *code, size_t N, Ints *v)
{
    *v = (Ints){ .lo = INT64_MAX, .hi = INT64_MIN };
    for (size_t k = 0; k < N; k++) {
        if (!IS_KEY(code[k]))
            return false;
        v->lo = code[k] < v->lo ? code[k] : v->lo;
        v->hi = code[k] > v->hi ? code[k] : v->hi;
    }
    if ((uint64_t)v->hi - (uint64_t)v->lo >= MOST_CHOICES)
        return false;
    for (size_t k = 0; k < N; k++) {
        v->used += !v->at[code[k] - v->lo];
        v->at[code[k] - v->lo] = true;
    }
    return true;
}

static bool ints_even(const Ints *v)
{
    int64_t step = 0, last = 0;

    for (int64_t i = 1; i <= v->hi - v->lo; i++) {
        if (!v->at[i])
            continue;
        if (step && i - last != step)
            return false;
        step = i - last;
        last = i;
    }
    return true;
}

/* The codes of column c, of its rows and, where they are integers with gaps, of what fills those: labels 0, 4 and 9 are
 * then 0 to 9, and numbers of a loop.  Nobody has the others. */
static bool even_codes(Native *n, Rel *r, int c, size_t most, const int64_t **code, size_t *count)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    Ints v;

    *code = s->code[c];
    *count = N;
    if (r->b->col[c].type != T_INT || !few_ints(s->code[c], N, &v) || ints_even(&v))
        return true;
    const size_t all = (size_t)(v.hi - v.lo) + 1;
    if (all > most || all > v.used * MOST_UNUSED)
        return true;
    if (!arr_need(n, &s->even_mem, (N + all) * sizeof(int64_t)))
        return false;
    int64_t *even = s->even_mem.p;
    memcpy(even, s->code[c], N * sizeof *even);
    for (size_t i = 0; i < all; i++)
        if (!v.at[i])
            even[(*count)++] = v.lo + (int64_t)i;
    *code = even;
    return true;
}

/* Behind the codes of column c, those of classes that no row names. */
static bool add_classes(Native *n, Rel *r, int c, const int64_t *class, size_t n_classes, size_t *count)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    const int64_t *key[1] = { s->code[c] };
    KeyTable own = { 0 };

    if (!arr_need(n, &s->even_mem, (N + n_classes) * sizeof(int64_t)) || !keys_build(n, &own, 1, key, NULL, N))
        return false;
    int64_t *code = s->even_mem.p;
    memcpy(code, s->code[c], N * sizeof *code);
    for (size_t k = 0; k < n_classes; k++)
        if (keys_find(&own, &class[k]) == ROW_NONE)
            code[(*count)++] = class[k];
    keys_free(n, &own);
    return true;
}

/* The codes of column c, and behind those of its rows what it could be as well: the classes it is compared with, where
 * those are no integers in a row, or what fills gaps. */
static bool filled_codes(Native *n, Rel *r, int c, size_t most, const int64_t **code, size_t *count)
{
    struct Base *s = r->base;
    int64_t class[MOST_CHOICES];
    const size_t n_classes = ties_of(n, r, c, most < MOST_CHOICES ? most : MOST_CHOICES, class);
    Ints v;

    if (n_classes == 0 || (r->b->col[c].type == T_INT && few_ints(class, n_classes, &v)))
        return even_codes(n, r, c, most, code, count);
    *count = s->t->n_rows;
    if (!add_classes(n, r, c, class, n_classes, count))
        return false;
    *code = *count > s->t->n_rows ? s->even_mem.p : s->code[c];
    return true;
}

static size_t n_choices(const struct Base *s)
{
    return s->chosen >= 0 ? s->choice.n_groups : 1;
}

size_t base_pair(const struct Base *s, size_t row)
{
    return s->rest.gid[row] * n_choices(s) + (s->chosen >= 0 ? s->choice.gid[row] : 0);
}

/* A table row that has the key of column c of this pair. */
static size_t row_of_pair(const struct Base *s, size_t pair, int c)
{
    return c >= 0 && c == s->chosen ? s->choice.first[pair % n_choices(s)] : s->rest.first[pair / n_choices(s)];
}

/* Ranks of a key table's groups in the order that rows stand in. */
static void rank_groups(const struct Base *s, size_t D, const uint32_t *order, size_t n_groups, bool choices, uint32_t *rank)
{
    uint32_t next = 0;

    memset(rank, 0xff, n_groups * sizeof *rank);
    for (size_t d = 0; d < D; d++) {
        const size_t g = choices ? order[d] % n_choices(s) : order[d] / n_choices(s);
        if (rank[g] == UINT32_MAX)
            rank[g] = next++;
    }
}

static bool rests_memory(Native *n, struct Base *s, size_t D)
{
    if (!arr_need(n, &s->rest_mem, (3 * D + s->rest.n_groups + n_choices(s)) * sizeof(uint32_t)))
        return false;
    s->rest_at = s->rest_mem.p;
    s->rest_row = s->rest_at + D;
    s->choice_row = s->rest_row + D;
    s->rest_rank = s->choice_row + D;
    s->choice_rank = s->rest_rank + s->rest.n_groups;
    return true;
}

/* Pairs in the order of their keys. */
static bool order_rests(Native *n, Rel *r, Arena *a)
{
    struct Base *s = r->base;
    const size_t D = s->rest.n_groups * n_choices(s);
    uint32_t **rank = ARENA_ARRAY(a, uint32_t *, r->b->n_cols + 1);
    size_t *n_ranks = ARENA_ARRAY(a, size_t, r->b->n_cols + 1);
    int64_t *code = ARENA_ARRAY(a, int64_t, D + 1);
    uint32_t *order = ARENA_ARRAY(a, uint32_t, D + 1);
    bool ok = rests_memory(n, s, D);
    int K = 0;

    for (int i = 0; ok && i < n->order[r->id].n; i++) {
        const int c = n->order[r->id].col[i];
        if (c == s->lane_col)
            continue;
        for (size_t d = 0; d < D; d++)
            code[d] = base_code(s, c, row_of_pair(s, d, c));
        rank[K] = ARENA_ARRAY(a, uint32_t, D + 1);
        ok = rank_codes(n, code, D, r->b->col[c].type, rank[K], &n_ranks[K]);
        K++;
    }
    ok = ok && order_rows(n, D, K, rank, n_ranks, order);
    for (size_t d = 0; ok && d < D; d++) {
        s->rest_at[order[d]] = (uint32_t)d;
        s->rest_row[d] = (uint32_t)row_of_pair(s, order[d], -1);
        s->choice_row[d] = (uint32_t)row_of_pair(s, order[d], s->chosen);
    }
    if (ok) {
        rank_groups(s, D, order, s->rest.n_groups, false, s->rest_rank);
        rank_groups(s, D, order, n_choices(s), true, s->choice_rank);
    }
    return ok;
}

/* Key columns but the batch key and `chosen`; with the batch key first if `lane`. */
static int rest_keys(const Rel *r, int chosen, bool lane, const int64_t **key)
{
    const struct Base *s = r->base;
    int K = 0;

    if (lane)
        key[K++] = s->code[s->lane_col];
    for (int c = 0; c < r->b->n_cols; c++)
        if (c != s->lane_col && c != chosen && r->b->col[c].type != T_REAL)
            key[K++] = s->code[c];
    return K;
}

/* Does every lane have every rest without column c exactly once?  Leaves `rest` and `choice` built. */
static bool is_choice(Native *n, Rel *r, int c, bool *yes)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    const int64_t **both = ARENA_ARRAY(&n->arena, const int64_t *, r->b->n_cols + 1);
    KeyTable all = { 0 };
    const int K = rest_keys(r, c, false, s->rest_key);

    keys_free(n, &s->rest);
    keys_free(n, &s->choice);
    size_t n_codes;
    if (!filled_codes(n, r, c, MOST_CHOICES, &s->choice_key[0], &n_codes) ||
        !keys_build(n, &s->rest, K, s->rest_key, NULL, N) || !keys_build(n, &s->choice, 1, s->choice_key, NULL, n_codes))
        return false;
    const size_t G = s->rest.n_groups, E = s->choice.n_groups;
    *yes = G * s->n_lanes == N && E <= MOST_CHOICES && G * E <= MOST_CHOSEN;
    if (!*yes)
        return true;
    const bool ok = keys_build(n, &all, rest_keys(r, c, true, both), both, NULL, N);
    *yes = ok && all.n_groups == N;
    keys_free(n, &all);
    return ok;
}

/* A column whose key each lane chooses for every rest: then sums over it are sums over one row. */
static bool find_chosen(Native *n, Rel *r)
{
    struct Base *s = r->base;
    bool yes = false;

    for (int c = 0; s->n_lanes && s->t->n_rows % s->n_lanes == 0 && c < r->b->n_cols; c++) {
        if (c == s->lane_col || r->b->col[c].type == T_REAL)
            continue;
        if (!is_choice(n, r, c, &yes))
            return false;
        if (yes) {
            s->chosen = c;
            return true;
        }
    }
    return true;
}

static bool rows_by_lane(Native *n, struct Base *s, uint32_t *rank)
{
    const size_t N = s->t->n_rows;

    if (!arr_need(n, &s->perm_mem, N * sizeof(uint32_t)) || !arr_need(n, &s->ptr_mem, (s->n_lanes + 1) * sizeof(uint32_t)) ||
        !order_rows(n, N, 1, &rank, &s->n_lanes, s->perm_mem.p))
        return false;
    s->perm = s->perm_mem.p;
    s->lane_ptr = s->ptr_mem.p;
    memset(s->lane_ptr, 0, (s->n_lanes + 1) * sizeof(uint32_t));
    for (size_t k = 0; k < N; k++)
        s->lane_ptr[rank[k] + 1]++;
    for (size_t l = 0; l < s->n_lanes; l++)
        s->lane_ptr[l + 1] += s->lane_ptr[l];
    return true;
}

/* Keys that are data: rows are told apart without them.  A list of all that could be there would grow by as much with
 * every join. */
static bool has_payload_keys(const Rel *r, int n_rest_keys)
{
    int n = 0;

    for (int k = 0; k < r->b->n_id; k++)
        n += r->b->id_col[k] != r->base->lane_col;
    return n < n_rest_keys;
}

/* The only key but the lane's: its gaps are filled where that is worth it. */
static bool build_rests(Native *n, Rel *r, int K)
{
    struct Base *s = r->base;
    size_t count = s->t->n_rows;
    int c = 0;

    keys_free(n, &s->rest);
    rest_keys(r, -1, false, s->rest_key);
    while (K == 1 && s->code[c] != s->rest_key[0])
        c++;
    if (K == 1 && count == s->n_lanes && !filled_codes(n, r, c, LEAST_DENSITY, &s->rest_key[0], &count))
        return false;
    return keys_build(n, &s->rest, K, s->rest_key, NULL, count);
}

/* Which rests there are, and how they are found; *ok: few enough. */
static bool collect_rests(Native *n, Rel *r, bool *ok)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    const int K = rest_keys(r, -1, false, s->rest_key);

    s->chosen = -1;
    const bool nests = n->have_batch && n->o.all_loops && !n->no_cc && !n->o.no_loops;   /* lists would grow by every choice */
    if (N != s->n_lanes && K > 1 && nests && !find_chosen(n, r))
        return false;
    if (s->chosen < 0 && !build_rests(n, r, K))
        return false;
    const size_t D = s->rest.n_groups;
    *ok = s->chosen >= 0 || (D <= MOST_RESTS && D * s->n_lanes <= N * LEAST_DENSITY &&
                             (N == s->n_lanes || !has_payload_keys(r, K)));
    return true;
}

/* Rows by lane, and the rests there are; *ok: few enough. */
static bool look_at_rests(Native *n, Rel *r, bool *ok)
{
    struct Base *s = r->base;
    const size_t N = s->t->n_rows;
    Arena a = { 0 };
    Arr rank = { 0 };

    *ok = false;
    if (s->t->n_inner || !base_is_batched(r))
        return true;
    s->rest_key = ARENA_ARRAY(&n->arena, const int64_t *, r->b->n_cols + 1);
    if (rest_keys(r, -1, false, s->rest_key) == 0)
        return true;
    bool fine = arr_need(n, &rank, N * sizeof(uint32_t)) &&
                rank_codes(n, s->code[s->lane_col], N, r->b->col[s->lane_col].type, rank.p, &s->n_lanes) &&
                collect_rests(n, r, ok);
    if (fine && *ok) {
        fine = rows_by_lane(n, s, rank.p) && order_rests(n, r, &a);
        s->n_rest = s->rest.n_groups * n_choices(s);
    }
    arr_drop(n, &rank);
    arena_free(&a);
    return fine;
}

static bool gather_lane_keys(Native *n, Rel *r)
{
    struct Base *s = r->base;

    if (!arr_need(n, &s->lane_code_mem, s->n_lanes * sizeof(int64_t)))
        return false;
    for (size_t l = 0; l < s->n_lanes; l++)
        ((int64_t *)s->lane_code_mem.p)[l] =
            base_code(s, s->lane_col, s->ragged ? s->perm[s->lane_ptr[l]] : base_row(s, l, 0));
    s->lane_key[0] = s->lane_code_mem.p;
    keys_free(n, &s->lanes);
    s->have_lanes = keys_build(n, &s->lanes, 1, s->lane_key, NULL, s->n_lanes);
    return s->have_lanes;
}

bool base_find_lane(Native *n, Rel *r)
{
    struct Base *s = r->base;
    bool ok = false;

    s->looked = true;
    s->laned = false;
    s->lane_col = lane_candidate(r);
    if (s->lane_col < 0 || s->t->n_rows == 0 || r->b->bag)
        return true;
    if (s->t->n_inner && product_rows_ok(r, s->lane_col)) {
        s->n_lanes = s->t->n_outer;
        s->n_rest = s->t->n_inner;
        s->perm = NULL;
        ok = true;
    } else if (!s->t->n_inner && !look_at_rows(n, r, &ok)) {
        return false;
    }
    if (!ok && !look_at_rests(n, r, &s->ragged))
        return false;
    if (!ok && !s->ragged)
        return true;
    if (!gather_lane_keys(n, r))
        return false;
    s->laned = s->lanes.n_groups == s->n_lanes;         /* a repeated outer key is no lane */
    return true;
}
