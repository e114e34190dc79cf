/* SPDX-License-Identifier: Apache-2.0
 *
 * native_lay.c - layouts of relations: rows × lanes.
 *
 * A relation has one layout in which it is computed, and views of it with other columns as lanes, made
 * when a reader asks and the support is a product (rest × column), which is checked on the keys.  A view
 * in the same flat order shares the arrays; another is a copy through a permutation.
 *
 * Versions come from one clock, so that "the newest of them" names a state.  rows_ver moves only when
 * static keys really differ: what was settled on them stays valid when a batch brings the same rows. */
#include "exec/native.h"

#include <string.h>

size_t lay_size(const Lay *y)
{
    return y->R * y->L;
}

static uint64_t newest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

Code lay_init(Native *n, Lay *y, const Block *b)
{
    *y = (Lay){ .L = 1, .lane = -1, .n_cols = b->n_cols };
    y->col = ARENA_ARRAY(&n->arena, LCol, b->n_cols + 1);
    for (int c = 0; c < b->n_cols; c++) {
        const Type t = b->col[c].type;
        y->col[c].type = t == T_REAL || t == T_TEXT ? t : T_INT;
        y->col[c].kind = t == T_REAL ? CK_val : CK_row;
        y->col[c].finite = true;
    }
    return OK;
}

void lay_free(Native *n, Lay *y)
{
    for (int c = 0; c < y->n_cols; c++) {
        arr_drop(n, &y->col[c].key_mem);
        arr_drop(n, &y->col[c].val_mem);
        arr_drop(n, &y->col[c].null_mem);
        arr_drop(n, &y->col[c].xkey);
        arr_drop(n, &y->col[c].blk_mem);
    }
    for (int k = 0; k < 2; k++)
        arena_free(&y->shape[k].arena);
    arr_drop(n, &y->place_mem);
    arr_drop(n, &y->lane_mem);
    arr_drop(n, &y->pres_mem);
    arr_drop(n, &y->perm_mem);
}

void lay_forget_view(Native *n, Lay *v)
{
    lay_free(n, v);
    for (int c = 0; c < v->n_cols; c++) {
        LCol *k = &v->col[c];
        k->key = NULL;
        k->val = k->blk = NULL;
        k->null = NULL;
        k->xkey_ver = k->blk_ver = 0;
    }
    memset(v->shape, 0, sizeof v->shape);
    v->lane_key = NULL;
    v->perm = NULL;
    v->pres = NULL;
    v->R = v->L = 0;
    v->of_rows = v->of_lane = v->of_val = 0;
    v->ok = false;
}

bool lay_set_lanes(Native *n, Lay *y, const int64_t *key, size_t L)
{
    const bool same = y->L == L && y->lane_ver && (!key || (y->lane_key && !memcmp(y->lane_key, key, L * sizeof *key)));

    if (same && !key == !y->lane_key)
        return true;
    y->L = L;
    y->lane_ver = ++n->clock;
    y->lane_key = NULL;
    if (!key)
        return true;
    if (!arr_need(n, &y->lane_mem, L * sizeof *key))
        return false;
    y->lane_key = y->lane_mem.p;
    memcpy(y->lane_key, key, L * sizeof *key);
    return true;
}

bool lay_same_lanes(const Lay *x, const Lay *y)
{
    return x->L == y->L && !memcmp(x->lane_key, y->lane_key, x->L * sizeof *x->lane_key);
}

bool lay_keys(Native *n, Lay *y)
{
    for (int c = 0; y->gen && c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        if (k->kind != CK_row || k->key)
            continue;
        if (!arr_need(n, &k->key_mem, y->R * sizeof(int64_t)))
            return false;
        k->key = k->key_mem.p;
        for (size_t row = 0; row < y->R; row++)
            k->key[row] = regular_key(y->gen, c, (int64_t)row);
    }
    return true;
}

bool lay_commit(Native *n, Lay *y, size_t R, const LCol *now, Arr *key, bool masked)
{
    bool same = y->rows_ver && y->R == R && y->masked == masked && !y->gen;

    y->gen = NULL;

    for (int c = 0; c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        same = same && k->kind == now[c].kind && k->known == now[c].known && k->nulls == now[c].nulls;
        if (same && key[c].p)
            same = k->key && !memcmp(k->key, key[c].p, R * sizeof(int64_t));
    }
    for (int c = 0; c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        if (same || !key[c].p) {
            arr_drop(n, &key[c]);
            continue;
        }
        arr_drop(n, &k->key_mem);
        k->key_mem = key[c];
        k->key = k->key_mem.p;
        key[c] = (Arr){ 0 };
    }
    if (same)
        return true;
    for (int c = 0; c < y->n_cols; c++) {
        y->col[c].kind = now[c].kind;
        y->col[c].known = now[c].known;
        y->col[c].nulls = now[c].nulls;
    }
    y->R = R;
    y->masked = masked;
    y->rows_ver = ++n->clock;
    return true;
}

/* ---- expanded keys ---- */

static bool expand_rows(Native *n, const Lay *y, LCol *k)
{
    if (!arr_need(n, &k->xkey, lay_size(y) * sizeof(int64_t)))
        return false;
    int64_t *x = k->xkey.p;
    for (size_t r = 0; r < y->R; r++)
        for (size_t l = 0; l < y->L; l++)
            *x++ = k->key[r];
    return true;
}

static bool expand_lanes(Native *n, const Lay *y, LCol *k)
{
    if (!arr_need(n, &k->xkey, lay_size(y) * sizeof(int64_t)))
        return false;
    for (size_t r = 0; r < y->R; r++)
        memcpy((int64_t *)k->xkey.p + r * y->L, y->lane_key, y->L * sizeof(int64_t));
    return true;
}

static bool encode_values(Native *n, Lay *y, LCol *k)
{
    if (!lay_plain(n, y) || !arr_need(n, &k->xkey, lay_size(y) * sizeof(int64_t)))
        return false;
    n->k->codes(k->xkey.p, k->val, k->nulls ? k->null : NULL, lay_size(y));
    return true;
}

const int64_t *lay_codes(Native *n, Lay *y, int c)
{
    LCol *k = &y->col[c];
    const bool value = k->kind == CK_val && !k->known;
    const uint64_t ver = newest(newest(y->rows_ver, y->lane_ver), value ? y->val_ver : 0);

    if (k->kind == CK_row && !lay_keys(n, y))
        return NULL;
    if (k->kind == CK_dyn || (k->kind != CK_lane && !value && y->L == 1))
        return k->key;
    if (k->xkey_ver == ver && k->xkey.p)
        return k->xkey.p;
    if (!(value ? encode_values(n, y, k) : k->kind == CK_lane ? expand_lanes(n, y, k) : expand_rows(n, y, k)))
        return NULL;
    k->xkey_ver = ver;
    return k->xkey.p;
}

size_t lay_distinct(Native *n, Lay *y, int c)
{
    LCol *k = &y->col[c];
    Arr rank = { 0 };

    if (k->kind == CK_lane)
        return y->L;
    if (k->kind != CK_row || y->R == 0)
        return 0;
    if (k->distinct_ver == y->rows_ver)
        return k->n_distinct;
    if (y->gen && regular_distinct(y->gen, c)) {
        k->distinct_ver = y->rows_ver;
        return k->n_distinct = (size_t)regular_distinct(y->gen, c);
    }
    if (!lay_keys(n, y) || !arr_need(n, &rank, y->R * sizeof(uint32_t)))
        return 0;
    if (rank_codes(n, k->key, y->R, T_INT, rank.p, &k->n_distinct))
        k->distinct_ver = y->rows_ver;
    arr_drop(n, &rank);
    return k->distinct_ver == y->rows_ver ? k->n_distinct : 0;
}

/* ---- views ---- */

bool lay_equal_cols(Native *n, Lay *y, int c, int d)
{
    const LCol *x = &y->col[c], *z = &y->col[d];

    if (x->kind == CK_lane || z->kind == CK_lane)
        return x->kind == z->kind;
    if (c == d)
        return true;
    if (x->kind != CK_row || z->kind != CK_row || x->type != z->type)
        return false;
    if (y->gen && y->gen->col[c].kind == REG_affine && y->gen->col[d].kind == REG_affine)
        return !memcmp(&y->gen->col[c].key, &y->gen->col[d].key, sizeof(Affine));
    return lay_keys(n, y) && (!y->R || !memcmp(x->key, z->key, y->R * sizeof *x->key));
}

typedef struct ViewWork {
    int n_cols, *col;           /* key columns, the lane last */
    Arr *rank;                  /* by position in col */
    uint32_t **rank_at; size_t *n_ranks;
    Arr perm;
    size_t N;
} ViewWork;

static bool is_key_col(const LCol *k)
{
    return k->kind == CK_row || k->kind == CK_lane;
}

static void work_free(Native *n, ViewWork *w)
{
    for (int k = 0; k < w->n_cols; k++)
        arr_drop(n, &w->rank[k]);
    arr_drop(n, &w->perm);
}

static bool rank_column(Native *n, Lay *prim, ViewWork *w, int k)
{
    const int64_t *code = lay_codes(n, prim, w->col[k]);

    if (!code || !arr_need(n, &w->rank[k], w->N * sizeof(uint32_t)))
        return false;
    w->rank_at[k] = w->rank[k].p;
    return rank_codes(n, code, w->N, prim->col[w->col[k]].type, w->rank_at[k], &w->n_ranks[k]);
}

/* Blocks of d rows that agree in all but the lane, whose ranks are 0 … d - 1 in each. */
static bool is_product(const ViewWork *w, size_t d)
{
    const uint32_t *perm = w->perm.p, *lane = w->rank_at[w->n_cols - 1];

    for (size_t k = 0; k < w->N; k++) {
        if (lane[perm[k]] != k % d)
            return false;
        for (int c = 0; k % d && c < w->n_cols - 1; c++)
            if (w->rank_at[c][perm[k]] != w->rank_at[c][perm[k - 1]])
                return false;
    }
    return true;
}

static bool same_places(const uint32_t *perm, size_t N)
{
    for (size_t k = 0; k < N; k++)
        if (perm[k] != k)
            return false;
    return true;
}

/* Find the permutation; *product says whether there is one.  False: out of memory. */
static bool view_order(Native *n, Rel *r, int col, ViewWork *w, Arena *a, bool *product)
{
    Lay *prim = &r->lay;

    *product = false;
    *w = (ViewWork){ .N = lay_size(prim), .col = ARENA_ARRAY(a, int, prim->n_cols + 1) };
    for (int i = 0; i < prim->n_cols; i++) {
        const int c = n->order[r->id].col[i];
        if (c != col && is_key_col(&prim->col[c]) && !lay_equal_cols(n, prim, c, col))
            w->col[w->n_cols++] = c;
    }
    w->col[w->n_cols++] = col;
    w->rank = ARENA_ARRAY(a, Arr, w->n_cols);
    w->rank_at = ARENA_ARRAY(a, uint32_t *, w->n_cols);
    w->n_ranks = ARENA_ARRAY(a, size_t, w->n_cols);
    if (!rank_column(n, prim, w, w->n_cols - 1))
        return false;
    const size_t d = w->n_ranks[w->n_cols - 1];
    if (w->N % d)
        return true;
    for (int k = 0; k < w->n_cols - 1; k++)
        if (!rank_column(n, prim, w, k))
            return false;
    if (!arr_need(n, &w->perm, w->N * sizeof(uint32_t)) ||
        !order_rows(n, w->N, w->n_cols, w->rank_at, w->n_ranks, w->perm.p))
        return false;
    *product = is_product(w, d);
    return true;
}

static bool view_fill(Native *n, Rel *r, Lay *v, int col, ViewWork *w, Arena *a)
{
    Lay *prim = &r->lay;
    const size_t L = w->n_ranks[w->n_cols - 1], R = w->N / L;
    const uint32_t *perm = w->perm.p;
    Arr *key = ARENA_ARRAY(a, Arr, prim->n_cols + 1), lanes = { 0 };
    LCol *now = ARENA_ARRAY(a, LCol, prim->n_cols + 1);

    for (int c = 0; c < prim->n_cols; c++) {
        now[c].kind = is_key_col(&prim->col[c]) ? CK_row : prim->col[c].kind;
        now[c].nulls = prim->col[c].nulls;
        const int64_t *code = is_key_col(&prim->col[c]) ? lay_codes(n, prim, c) : NULL;
        if (is_key_col(&prim->col[c]) && lay_equal_cols(n, prim, c, col))
            now[c].kind = CK_lane;
        if (c == col) {
            if (!arr_need(n, &lanes, L * sizeof(int64_t)))
                return false;
            for (size_t l = 0; l < L; l++)
                ((int64_t *)lanes.p)[l] = code[perm[l]];
        } else if (code && now[c].kind == CK_row) {
            if (!arr_need(n, &key[c], R * sizeof(int64_t)))
                return false;
            for (size_t j = 0; j < R; j++)
                ((int64_t *)key[c].p)[j] = code[perm[j * L]];
        }
    }
    v->lane = col;
    const bool ok = lay_set_lanes(n, v, lanes.p, L) && lay_commit(n, v, R, now, key, prim->masked);
    arr_drop(n, &lanes);
    v->same_order = same_places(perm, w->N);
    arr_drop(n, &v->perm_mem);
    if (!v->same_order) {
        v->perm_mem = w->perm;
        w->perm = (Arr){ 0 };
    }
    v->perm = v->perm_mem.p;
    v->of_val = 0;
    return ok;
}

/* What is known of the rows' numbers without looking; NULL: nothing. */
static const Regular *known_digits(const Lay *y)
{
    const struct LayShape *s = &y->shape[0];

    if (y->masked)
        return NULL;
    if (y->gen && y->L == 1 && y->lane < 0)
        return y->gen;
    return s->looked && s->ok && s->rows == y->rows_ver && s->lane == y->lane_ver ? &s->reg : NULL;
}

static bool ascends(const int64_t *code, int64_t n)
{
    for (int64_t i = 1; i < n; i++)
        if (code[i] <= code[i - 1])
            return false;
    return true;
}

/* The digit that column col is by itself, its keys ascending with it; -1. */
static int digit_alone(const Regular *g, int col)
{
    const RegCol *k = &g->col[col];
    int dim = -1;

    if (k->kind == REG_codes)
        return ascends(g->codes[k->dim], g->extent[k->dim]) ? k->dim : -1;
    for (int d = 0; k->kind == REG_affine && d < g->n_dims; d++)
        if (k->key.k[d]) {
            if (dim >= 0 || k->key.k[d] < 0)
                return -1;
            dim = d;
        }
    return dim;
}

/* The digit of the row number that is column col and no other key depends on; -1. */
static int digit_of(const Lay *y, const Regular *g, int col)
{
    const int dim = digit_alone(g, col);

    for (int c = 0; dim >= 0 && c < y->n_cols; c++) {
        const RegCol *k = &g->col[c];
        if (c == col || !is_key_col(&y->col[c]))
            continue;
        const bool reads = k->kind == REG_codes ? k->dim == dim : k->key.k[dim] != 0;
        if ((k->kind != REG_affine && k->kind != REG_codes) || (reads && memcmp(k, &g->col[col], sizeof *k)))
            return -1;
    }
    return dim;
}

/* The row of the original that row j of the view begins at. */
static size_t row_without(const Regular *g, int dim, size_t j)
{
    size_t at = 0;

    for (int d = g->n_dims - 1; d >= 0; d--) {
        if (d == dim)
            continue;
        at += j % (size_t)g->extent[d] * (size_t)g->stride[d];
        j /= (size_t)g->extent[d];
    }
    return at;
}

/* A digit of the row number as the lane; nothing is sorted.  The places are worked out when values are asked for. */
static bool view_of_digit(Native *n, Lay *prim, Lay *v, const Regular *g, int col, int dim)
{
    Arena a = { 0 };
    Arr *key = ARENA_ARRAY(&a, Arr, prim->n_cols + 1), lanes = { 0 };
    LCol *now = ARENA_ARRAY(&a, LCol, prim->n_cols + 1);
    const size_t L = (size_t)g->extent[dim], R = lay_size(prim) / L;
    bool ok = arr_need(n, &lanes, L * sizeof(int64_t));

    for (size_t l = 0; ok && l < L; l++)
        ((int64_t *)lanes.p)[l] = regular_key(g, col, (int64_t)(l * (size_t)g->stride[dim]));
    for (int c = 0; ok && c < prim->n_cols; c++) {
        const bool is_key = is_key_col(&prim->col[c]);
        now[c].kind = is_key ? CK_row : prim->col[c].kind;
        now[c].nulls = prim->col[c].nulls;
        if (is_key && (g->col[c].kind == REG_codes ? g->col[c].dim == dim : g->col[c].key.k[dim] != 0))
            now[c].kind = CK_lane;
        if (now[c].kind != CK_row)
            continue;
        ok = arr_need(n, &key[c], R * sizeof(int64_t));
        for (size_t j = 0; ok && j < R; j++)
            ((int64_t *)key[c].p)[j] = regular_key(g, c, (int64_t)row_without(g, dim, j));
    }
    v->lane = col;
    ok = ok && lay_set_lanes(n, v, lanes.p, L) && lay_commit(n, v, R, now, key, false);
    arr_drop(n, &lanes);
    arena_free(&a);
    arr_drop(n, &v->perm_mem);
    v->perm = NULL;
    v->digits = g;
    v->digit = dim;
    v->same_order = dim == g->n_dims - 1;
    v->of_val = 0;
    return ok;
}

/* Where the rows of a view of a digit stand in the original. */
static bool need_places(Native *n, Lay *v)
{
    if (v->same_order || v->perm)
        return true;
    if (!arr_need(n, &v->perm_mem, lay_size(v) * sizeof(uint32_t)))
        return false;
    v->perm = v->perm_mem.p;
    const size_t stride = (size_t)v->digits->stride[v->digit];
    for (size_t j = 0, at = 0; j < v->R; j++) {
        const size_t row = row_without(v->digits, v->digit, j);
        for (size_t l = 0; l < v->L; l++)
            v->perm[at++] = (uint32_t)(row + l * stride);
    }
    return true;
}

/* Codes that were made to put rows in order; who reads them makes them again. */
static void drop_new_codes(Native *n, Lay *y, const bool *had)
{
    for (int c = 0; c < y->n_cols; c++)
        if (!had[c])
            arr_drop(n, &y->col[c].xkey);
}

static bool view_build(Native *n, Rel *r, Lay *v, int col)
{
    Arena a = { 0 };
    ViewWork w;
    bool product, ok, *had = ARENA_ARRAY(&a, bool, r->lay.n_cols + 1);

    v->of_rows = r->lay.rows_ver;
    v->of_lane = r->lay.lane_ver;
    const Regular *g = known_digits(&r->lay);
    const int dim = g ? digit_of(&r->lay, g, col) : -1;
    if (dim >= 0) {
        arena_free(&a);
        return v->ok = view_of_digit(n, &r->lay, v, g, col, dim);
    }
    for (int c = 0; c < r->lay.n_cols; c++)
        had[c] = r->lay.col[c].xkey.p != NULL;
    ok = view_order(n, r, col, &w, &a, &product);
    v->ok = false;
    if (ok && product)
        v->ok = ok = view_fill(n, r, v, col, &w, &a);
    drop_new_codes(n, &r->lay, had);
    work_free(n, &w);
    arena_free(&a);
    return ok;
}

Lay *lay_with_lane(Native *n, Rel *r, int col, bool *err)
{
    Lay *prim = &r->lay;

    if (prim->col[col].kind == CK_lane)
        return prim;
    if (prim->col[col].kind != CK_row || lay_size(prim) == 0)
        return NULL;
    if (!r->view)
        r->view = ARENA_ARRAY(&n->arena, Lay *, prim->n_cols + 1);
    if (!r->view[col]) {
        r->view[col] = ARENA_NEW(&n->arena, Lay);
        lay_init(n, r->view[col], r->b);
        r->view[col]->is_view = true;
    }
    Lay *v = r->view[col];
    if ((v->of_rows != prim->rows_ver || v->of_lane != prim->lane_ver) && !view_build(n, r, v, col)) {
        *err = true;
        return NULL;
    }
    return v->ok ? v : NULL;
}

static bool copy_bytes(Native *n, Arr *to, const uint8_t *from, const uint32_t *perm, size_t N)
{
    if (!arr_need(n, to, N))
        return false;
    for (size_t k = 0; k < N; k++)
        ((uint8_t *)to->p)[k] = from[perm[k]];
    return true;
}

static bool copy_keys(Native *n, Arr *to, const int64_t *from, const uint32_t *perm, size_t N)
{
    if (!arr_need(n, to, N * sizeof *from))
        return false;
    for (size_t k = 0; k < N; k++)
        ((int64_t *)to->p)[k] = from[perm[k]];
    return true;
}

static bool view_column(Native *n, const Lay *prim, Lay *v, int c)
{
    const LCol *from = &prim->col[c];
    LCol *to = &v->col[c];
    const size_t N = lay_size(v);

    if (to->kind != CK_val && to->kind != CK_dyn)
        return true;
    to->any_null = from->any_null;
    to->finite = from->finite;
    to->unscanned = from->unscanned;
    if (v->same_order) {
        to->val = from->val;
        to->null = from->null;
        if (to->kind == CK_dyn)
            to->key = from->key;
        return true;
    }
    if (to->kind == CK_dyn) {
        const bool ok = copy_keys(n, &to->key_mem, from->key, v->perm, N);
        to->key = to->key_mem.p;
        return ok;
    }
    if (!arr_take(n, &to->val_mem, N * n->esz))
        return false;
    to->val = to->val_mem.p;
    n->k->gather(to->val, NULL, from->val, NULL, v->perm, N);
    if (from->nulls && !copy_bytes(n, &to->null_mem, from->null, v->perm, N))
        return false;
    to->null = to->null_mem.p;
    return true;
}

bool lay_values(Native *n, Rel *r, Lay *v)
{
    const Lay *prim = &r->lay;

    if (!lay_plain(n, &r->lay))
        return false;
    if (!v->is_view || v->of_val == prim->val_ver)
        return true;
    if (!need_places(n, v))
        return false;
    for (int c = 0; c < v->n_cols; c++)
        if (!view_column(n, prim, v, c))
            return false;
    v->all_here = prim->all_here;
    if (prim->masked && v->same_order) {
        v->pres = prim->pres;
    } else if (prim->masked) {
        if (!copy_bytes(n, &v->pres_mem, prim->pres, v->perm, lay_size(v)))
            return false;
        v->pres = v->pres_mem.p;
    }
    v->of_val = v->val_ver = prim->val_ver;
    return true;
}
