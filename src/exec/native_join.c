/* SPDX-License-Identifier: Apache-2.0
 *
 * native_join.c - one block's join as a list of tuples: a row number per source.
 *
 * Sources are joined one after the other, in an order estimated from numbers of distinct keys.  An
 * equality between the next source and what is bound is a hash key; linear equalities are taken apart into
 * the next source's terms and the others (s.r - w.r = g.r1 finds s.r = g.r1 + w.r).  Other conditions on
 * keys are tested as soon as their sources are bound.  Conditions on values that move are left over: the
 * numeric phase turns them into masks. */
#include "exec/native.h"

#include <string.h>

#define CAND ((size_t)CHUNK)            /* candidate pairs tested at once */

typedef struct Cond { Expr *e; uint64_t src; int on; bool hard, done; } Cond;     /* on: its LEFT source, -1: WHERE */

typedef struct HashKey { const Expr *mine, *bound; bool null_safe, real; } HashKey;

typedef struct Joiner {
    Native *n; Rel *r; Leg *leg; bool hard;
    Arena a;
    Cond *cond; int n_cond;
    uint64_t bound;
    Arr *sel; size_t *n_sel;            /* rows of each source that pass its own conditions; p NULL: all */
    /* the pairs of the step under way */
    Arr owner, row; size_t n_pairs;
    bool needs_values;
} Joiner;

static uint64_t bit(int s)
{
    return (uint64_t)1 << s;
}

static size_t input_rows(const Input *in)
{
    return in->laned ? in->lay->R : lay_size(in->lay);
}

/* ---- what is known without values that move ---- */

static bool known_col(const Input *in, int col, bool hard)
{
    const LCol *k = &in->lay->col[col];

    if (in->weak && !hard)
        return false;
    if (k->kind == CK_row)
        return true;
    if (in->laned)
        return false;
    return k->kind == CK_lane || hard || (k->kind == CK_val && k->known) || in->rel->life == LIFE_static;
}

/* Which rows are there can be read now. */
bool pres_known(const Input *in, bool hard)
{
    return hard || (in->rel->life == LIFE_static && !in->laned);
}

bool known_expr(const Input *in, const Expr *e, bool hard)
{
    if (e->op == OP_col) {
        const LCol *k = &in[e->src].lay->col[e->col];
        return known_col(&in[e->src], e->col, hard) || (k->kind == CK_val && k->known && !(in[e->src].weak && !hard));
    }
    for (int k = 0; k < e->n_args; k++) {
        const Expr *x = e->arg[k];
        if (x->op == OP_col ? !known_col(&in[x->src], x->col, hard) : !known_expr(in, x, hard))
            return false;
    }
    return true;
}

/* A LEFT source's own ON reads its rows as they are, matched or not. */
bool known_on(Input *in, const Expr *e, int on, bool hard)
{
    const bool weak = on >= 0 && in[on].weak;

    if (on >= 0)
        in[on].weak = false;
    const bool known = known_expr(in, e, hard);
    if (on >= 0)
        in[on].weak = weak;
    return known;
}

/* ---- evaluation over tuples ---- */

static bool column_codes(Native *n, Input *in, const Expr *e, size_t count, int64_t *out)
{
    const LCol *k = &in->lay->col[e->col];
    const int64_t *code = in->laned ? k->key : lay_codes(n, in->lay, e->col);

    if (!code)
        return false;
    for (size_t j = 0; j < count; j++) {
        const size_t row = in->idx ? in->idx[j] : in->always0 ? 0 : in->base + j;
        out[j] = row == ROW_NONE ? KEY_NULL : code[row];
    }
    return true;
}

static bool overflowed(Native *n)
{
    return native_fail(n, E_INPUT, ERR_native_overflow, "an INTEGER computation leaves the range of 64 bits");
}

bool settle_codes(Native *n, const Block *b, Input *in, int n_in, const Expr *e, size_t count, int64_t *out)
{
    Tape t;
    Frame f = { 0 };
    bool ok = true;

    if (e->op == OP_col) {
        ok = column_codes(n, &in[e->src], e, count, out);
    } else {
        tape_init(n, &t, b, in, n_in, false);
        const int r = tape_full(&t, tape_expr(n, &t, e));
        ok = tape_ready(n, &t) && frame_open(n, &f, &t, count < CHUNK ? count : CHUNK);
        for (size_t at = 0; ok && at < count; at += CHUNK) {
            const size_t m = count - at < CHUNK ? count - at : CHUNK;
            frame_run(&f, at, m, 0, 1, 1);
            frame_codes(&f, r, m, out + at);
        }
        ok = ok && (!f.bad || overflowed(n));
        frame_close(&f);
        tape_free(&t);
    }
    for (size_t j = 0; ok && j < count; j++)
        if (out[j] == KEY_BAD)
            return overflowed(n);
    return ok;
}

/* A conjunction over tuples. */
typedef struct Test { Tape t; Frame f; int reg; } Test;

static bool test_open(Joiner *j, Test *q, Input *in, Cond *const *c, int n)
{
    tape_init(j->n, &q->t, j->r->b, in, j->leg->n_in, false);
    q->reg = -1;
    q->f = (Frame){ 0 };
    Expr **e = ARENA_ARRAY(&j->a, Expr *, n + 1);
    for (int k = 0; k < n; k++)
        e[k] = c[k]->e;
    Expr all = { .op = OP_and, .type = T_BOOL, .n_args = n, .arg = e, .src = -1, .col = -1 };
    q->reg = tape_as(&q->t, tape_expr(j->n, &q->t, &all), RT_bool);
    q->t.n_memo = 0;                    /* `all` lives in this frame */
    return tape_ready(j->n, &q->t) && frame_open(j->n, &q->f, &q->t, CHUNK);
}

static void test_close(Test *q)
{
    frame_close(&q->f);
    tape_free(&q->t);
}

static const uint8_t *test_run(Test *q, size_t at, size_t count)
{
    frame_run(&q->f, at, count, 0, 1, 1);
    return q->f.data[q->reg];
}

/* ---- conditions ---- */

/* An equality of lane columns: true by layout. */
static bool by_lanes(const Joiner *j, const Expr *e)
{
    return (e->op == OP_eq || e->op == OP_same) && is_lane_expr(j->leg->in, e->arg[0]) &&
           is_lane_expr(j->leg->in, e->arg[1]);
}

static void add_cond(Joiner *j, Expr *e, int on)
{
    if (by_lanes(j, e))
        return;
    const Cond c = { e, ex_sources(e), on, known_on(j->leg->in, e, on, j->hard), false };
    if (c.hard) {
        VEC_PUSH(&j->a, j->cond, j->n_cond, c);
        return;
    }
    if (on >= 0) {
        VEC_PUSH(&j->leg->arena, j->leg->in[on].soft, j->leg->in[on].n_soft, e);
        j->leg->in[on].weak = true;
    } else {
        VEC_PUSH(&j->leg->arena, j->leg->soft, j->leg->n_soft, e);
    }
}

/* ON conditions first: a source whose match depends on values has no known columns. */
static void sort_conditions(Joiner *j)
{
    const Block *b = j->r->b;

    for (int s = 0; s < j->leg->n_in; s++) {
        Input *in = &j->leg->in[s];
        in->soft = NULL;
        in->n_soft = 0;
        in->weak = in->used && b->src[s].join == JOIN_left && in->lay->masked && !pres_known(in, j->hard);
        for (int k = 0; in->used && k < b->src[s].n_on; k++)
            add_cond(j, b->src[s].on[k], s);
    }
    j->leg->soft = NULL;
    j->leg->n_soft = 0;
    for (int w = 0; b->kind != BLK_union && w < b->n_where; w++)
        add_cond(j, b->where[w], -1);
}

/* Conditions not yet tested that read only sources in `known`, and all of `must`; those of `on` alone. */
static int conditions(Joiner *j, uint64_t known, uint64_t must, int on, Cond **out)
{
    int n = 0;

    for (int k = 0; k < j->n_cond; k++) {
        Cond *c = &j->cond[k];
        if (!c->done && c->on == on && !(c->src & ~known) && (c->src & must) == must)
            out[n++] = c;
    }
    return n;
}

static void mark_done(Cond *const *c, int n)
{
    for (int k = 0; k < n; k++)
        c[k]->done = true;
}

/* ---- rows of one source that can take part ---- */

static bool filter_source(Joiner *j, int s)
{
    Input *in = &j->leg->in[s];
    const size_t rows = input_rows(in);
    Cond **c = ARENA_ARRAY(&j->a, Cond *, j->n_cond + 1);
    const bool left = j->r->b->src[s].join == JOIN_left;
    const int n = conditions(j, bit(s), bit(s), left ? s : -1, c);
    const bool absent = in->lay->masked && pres_known(in, j->hard);
    size_t m = 0;
    Test q;

    if (absent && in->lay->place_only && !(nest_flush(j->n) && lay_plain(j->n, in->lay)))
        return false;                   /* a nest left it unsaid which rows are there */
    in->pres_settled = absent;
    j->n_sel[s] = rows;
    if (n == 0 && !absent)
        return true;
    if (!arr_need(j->n, &j->sel[s], rows * sizeof(uint32_t)))
        return false;
    mark_done(c, n);
    Input *alone = ARENA_ARRAY(&j->a, Input, j->leg->n_in + 1);
    alone[s] = *in;
    alone[s].idx = NULL;
    alone[s].base = 0;
    alone[s].always0 = false;
    bool ok = n == 0 || test_open(j, &q, alone, c, n);
    for (size_t at = 0; ok && at < rows; at += CHUNK) {
        const size_t count = rows - at < CHUNK ? rows - at : CHUNK;
        const uint8_t *keep = n ? test_run(&q, at, count) : NULL;
        for (size_t k = 0; k < count; k++)
            if ((!keep || keep[k] == 2) && (!absent || in->lay->pres[at + k]))
                ((uint32_t *)j->sel[s].p)[m++] = (uint32_t)(at + k);
    }
    ok = ok && (n == 0 || !q.f.bad || overflowed(j->n));
    if (n)
        test_close(&q);
    j->n_sel[s] = m;
    return ok;
}

/* ---- hash keys ---- */

typedef struct Linear { Joiner *j; int s; Expr *mine, *rest; bool fits; } Linear;

static void add_term(Linear *l, Expr **sum, const Expr *e, bool minus)
{
    Arena *a = &l->j->a;

    if (!*sum)
        *sum = minus ? ex1(a, OP_neg, (Expr *)e) : (Expr *)e;
    else
        *sum = ex2(a, minus ? OP_sub : OP_add, *sum, (Expr *)e);
}

/* The terms of ±e: the source's own to `mine`, the others with the other sign to `rest`. */
static void take_apart(Linear *l, const Expr *e, bool minus)
{
    const uint64_t src = ex_sources(e);

    if (!(src & bit(l->s))) {
        add_term(l, &l->rest, e, !minus);
    } else if (src == bit(l->s)) {
        add_term(l, &l->mine, e, minus);
    } else if (e->op == OP_add || e->op == OP_sub) {
        take_apart(l, e->arg[0], minus);
        take_apart(l, e->arg[1], minus != (e->op == OP_sub));
    } else if (e->op == OP_neg) {
        take_apart(l, e->arg[0], !minus);
    } else {
        l->fits = false;
    }
}

static bool as_hash_key(Joiner *j, const Cond *c, int s, uint64_t bound, HashKey *out)
{
    const Expr *e = c->e;

    if ((e->op != OP_eq && e->op != OP_same) || !(c->src & bit(s)) || c->src & ~(bound | bit(s)))
        return false;
    out->null_safe = e->op == OP_same;
    out->real = e->arg[0]->type == T_REAL || e->arg[1]->type == T_REAL;
    for (int side = 0; side < 2; side++)
        if (ex_sources(e->arg[side]) == bit(s) && !(ex_sources(e->arg[1 - side]) & bit(s))) {
            out->mine = e->arg[side];
            out->bound = e->arg[1 - side];
            return true;
        }
    if (e->op != OP_eq || e->arg[0]->type != T_INT || e->arg[1]->type != T_INT)
        return false;
    Linear l = { j, s, NULL, NULL, true };
    take_apart(&l, e->arg[0], false);
    take_apart(&l, e->arg[1], true);
    out->mine = l.mine;
    out->bound = l.rest ? l.rest : ex_int(&j->a, 0);
    return l.fits && l.mine;
}

static int hash_keys(Joiner *j, int s, uint64_t bound, HashKey *out, Cond **used)
{
    const bool left = j->r->b->src[s].join == JOIN_left;
    int n = 0;

    for (int k = 0; k < j->n_cond && n < 64; k++)
        if (!j->cond[k].done && j->cond[k].on == (left ? s : -1) && as_hash_key(j, &j->cond[k], s, bound, &out[n]))
            used[n++] = &j->cond[k];
    return n;
}

/* ---- the order of joining ---- */

static double distinct_of(Joiner *j, int s, const Expr *e)
{
    if (e->op == OP_col) {
        const size_t d = lay_distinct(j->n, j->leg->in[s].lay, e->col);
        if (d)
            return (double)d;
    }
    return 16;
}

/* Tuples after joining s to `now` ones. */
static double estimate(Joiner *j, int s, uint64_t bound, double now)
{
    HashKey key[64];
    Cond *used[64];
    const double rows = (double)j->n_sel[s];
    const int n = hash_keys(j, s, bound, key, used);
    double groups = 1;

    for (int k = 0; k < n; k++)
        groups *= distinct_of(j, s, key[k].mine);
    groups = groups > rows ? rows : groups;
    const double out = now * rows / (groups < 1 ? 1 : groups);
    return j->r->b->src[s].join == JOIN_left && out < now ? now : out;
}

static bool can_join(const Joiner *j, int s, uint64_t bound)
{
    const Block *b = j->r->b;
    uint64_t need = 0;

    if (!j->leg->in[s].used || bound & bit(s))
        return false;
    for (int k = 0; k < b->src[s].n_on; k++)
        need |= ex_sources(b->src[s].on[k]);
    return !(need & ~(bound | bit(s)));
}

static double plan_from(Joiner *j, int start, int *order)
{
    uint64_t bound = bit(start);
    double now = (double)j->n_sel[start], cost = now;
    int n = 1;

    order[0] = start;
    for (;;) {
        int best = -1;
        double least = 0;
        for (int s = 0; s < j->leg->n_in; s++) {
            if (!can_join(j, s, bound))
                continue;
            const double e = estimate(j, s, bound, now);
            if (best < 0 || e < least) {
                best = s;
                least = e;
            }
        }
        if (best < 0)
            return cost;
        order[n++] = best;
        bound |= bit(best);
        now = least;
        cost += least;
    }
}

static int choose_order(Joiner *j, int *order)
{
    int *trial = ARENA_ARRAY(&j->a, int, j->leg->n_in + 1), n = 0;
    double least = -1;

    for (int s = 0; s < j->leg->n_in; s++)
        n += j->leg->in[s].used;
    for (int s = 0; s < j->leg->n_in; s++) {
        if (!j->leg->in[s].used || j->r->b->src[s].join == JOIN_left)
            continue;
        const double cost = plan_from(j, s, trial);
        if (least < 0 || cost < least) {
            least = cost;
            memcpy(order, trial, (size_t)n * sizeof *order);
        }
    }
    return n;
}

/* ---- one step ---- */

typedef struct Step {
    int s; bool left;
    HashKey key[64]; int n_keys;
    Cond **test; int n_tests;           /* beyond the hash keys, part of the match */
    Arr code[64]; const int64_t *code_at[64]; bool skip[64];
    KeyTable table;
    Arr gid; Arr matched;
    size_t n_rows;
    double total;
    bool exact;                         /* the number of pairs is known */
} Step;

static bool is_nan_code(int64_t k)
{
    return k == INT64_MAX;
}

static bool build_table(Joiner *j, Step *st)
{
    Input *in = &j->leg->in[st->s], *alone = ARENA_ARRAY(&j->a, Input, j->leg->n_in + 1);

    alone[st->s] = *in;
    alone[st->s].idx = j->sel[st->s].p;
    alone[st->s].base = 0;
    alone[st->s].always0 = false;
    st->n_rows = j->n_sel[st->s];
    for (int k = 0; k < st->n_keys; k++) {
        if (!arr_need(j->n, &st->code[k], st->n_rows * sizeof(int64_t)) ||
            !settle_codes(j->n, j->r->b, alone, j->leg->n_in, st->key[k].mine, st->n_rows, st->code[k].p))
            return false;
        int64_t *code = st->code[k].p;
        for (size_t r = 0; st->key[k].real && !st->key[k].null_safe && r < st->n_rows; r++)
            code[r] = is_nan_code(code[r]) ? KEY_NULL : code[r];
        st->code_at[k] = code;
        st->skip[k] = !st->key[k].null_safe;
    }
    return keys_build(j->n, &st->table, st->n_keys, st->code_at, st->skip, st->n_rows) && keys_lists(j->n, &st->table);
}

/* The bound tuples from `at` on, as inputs that start there. */
static void inputs_at(const Joiner *j, Input *out, size_t at)
{
    for (int s = 0; s < j->leg->n_in; s++) {
        out[s] = j->leg->in[s];
        if (out[s].idx)
            out[s].idx += at;
        else
            out[s].base += at;
    }
}

/* The group of rows that each bound tuple meets, and how many pairs that makes. */
static bool probe(Joiner *j, Step *st)
{
    const size_t nt = j->leg->n, block = 4096;
    Input *in = ARENA_ARRAY(&j->a, Input, j->leg->n_in + 1);
    int64_t *code = mem_alloc(block * (size_t)(st->n_keys + 1) * sizeof *code), one[64];
    bool ok = arr_need(j->n, &st->gid, nt * sizeof(uint32_t));

    st->total = 0;
    for (size_t at = 0; ok && at < nt; at += block) {
        const size_t m = nt - at < block ? nt - at : block;
        inputs_at(j, in, at);
        for (int k = 0; ok && k < st->n_keys; k++)
            ok = settle_codes(j->n, j->r->b, in, j->leg->n_in, st->key[k].bound, m, code + (size_t)k * block);
        for (size_t t = 0; ok && t < m; t++) {
            bool none = false;
            for (int k = 0; k < st->n_keys; k++) {
                one[k] = code[(size_t)k * block + t];
                none |= st->skip[k] && (one[k] == KEY_NULL || (st->key[k].real && is_nan_code(one[k])));
            }
            const uint32_t g = none ? ROW_NONE : st->n_keys ? keys_find(&st->table, one) : 0;
            ((uint32_t *)st->gid.p)[at + t] = g;
            if (st->n_keys == 0)
                st->total += (double)st->n_rows;
            else if (g != ROW_NONE)
                st->total += st->table.ptr[g + 1] - st->table.ptr[g];
        }
        ok = ok && !native_stopped(j->n);
    }
    mem_free(code);
    return ok;
}

static uint32_t nth_row(const Joiner *j, const Step *st, size_t k)
{
    return j->sel[st->s].p ? ((const uint32_t *)j->sel[st->s].p)[k] : (uint32_t)k;
}

/* Test the last m candidates and keep those that pass. */
static bool keep_candidates(Joiner *j, Step *st, Test *q, uint32_t *const *tmp, size_t m)
{
    uint32_t *owner = (uint32_t *)j->owner.p + j->n_pairs, *row = (uint32_t *)j->row.p + j->n_pairs;
    size_t kept = 0;

    for (int s = 0; s < j->leg->n_in; s++) {
        const Input *in = &j->leg->in[s];
        for (size_t k = 0; tmp[s] && k < m; k++)
            tmp[s][k] = s == st->s ? row[k] : in->idx ? in->idx[owner[k]] : (uint32_t)(in->base + owner[k]);
    }
    const uint8_t *keep = test_run(q, 0, m);
    for (size_t k = 0; k < m; k++)
        if (keep[k] == 2) {
            owner[kept] = owner[k];
            row[kept++] = row[k];
        }
    j->n_pairs += kept;
    return !native_stopped(j->n);
}

static bool room_for(Joiner *j, size_t pairs)
{
    if (pairs >= ROW_NONE)
        return native_fail(j->n, E_INPUT, ERR_native_rows, "its join makes more than %u rows", ROW_NONE - 1);
    return arr_keep(j->n, &j->owner, j->n_pairs * sizeof(uint32_t), pairs * sizeof(uint32_t)) &&
           arr_keep(j->n, &j->row, j->n_pairs * sizeof(uint32_t), pairs * sizeof(uint32_t));
}

static bool emit_pairs(Joiner *j, Step *st, Test *q, uint32_t *const *tmp)
{
    const uint32_t *gid = st->gid.p;
    size_t m = 0;

    j->n_pairs = 0;
    for (size_t t = 0; t < j->leg->n; t++) {
        if (gid[t] == ROW_NONE)
            continue;
        const size_t first = st->n_keys ? st->table.ptr[gid[t]] : 0;
        const size_t end = st->n_keys ? st->table.ptr[gid[t] + 1] : st->n_rows;
        for (size_t k = first; k < end; k++) {
            if (m == 0 && !room_for(j, q || !st->exact ? j->n_pairs + CAND : (size_t)st->total))
                return false;
            ((uint32_t *)j->owner.p)[j->n_pairs + m] = (uint32_t)t;
            ((uint32_t *)j->row.p)[j->n_pairs + m] = nth_row(j, st, st->n_keys ? st->table.row[k] : k);
            m++;
            if (!q) {
                j->n_pairs++;
                m = 0;
            } else if (m == CAND) {
                if (!keep_candidates(j, st, q, tmp, m))
                    return false;
                m = 0;
            }
        }
    }
    return m == 0 || keep_candidates(j, st, q, tmp, m);
}

/* Put a pair without a row behind every tuple that found none; owners stay in order. */
static bool add_unmatched(Joiner *j)
{
    const size_t nt = j->leg->n;
    const uint32_t *owner = j->owner.p, *row = j->row.p;
    Arr owner2 = { 0 }, row2 = { 0 };
    size_t m = 0, k = 0, alone = nt;

    for (size_t i = 0; i < j->n_pairs; i++)
        alone -= i == 0 || owner[i] != owner[i - 1];
    if (alone == 0)
        return true;
    if (j->n_pairs + alone >= ROW_NONE)
        return native_fail(j->n, E_INPUT, ERR_native_rows, "its join makes more than %u rows", ROW_NONE - 1);
    if (!arr_need(j->n, &owner2, (j->n_pairs + alone) * sizeof *owner) ||
        !arr_need(j->n, &row2, (j->n_pairs + alone) * sizeof *row)) {
        arr_drop(j->n, &owner2);
        return false;
    }
    for (size_t t = 0; t < nt; t++) {
        const size_t before = m;
        for (; k < j->n_pairs && owner[k] == t; k++, m++) {
            ((uint32_t *)owner2.p)[m] = (uint32_t)t;
            ((uint32_t *)row2.p)[m] = row[k];
        }
        if (m == before) {
            ((uint32_t *)owner2.p)[m] = (uint32_t)t;
            ((uint32_t *)row2.p)[m++] = ROW_NONE;
        }
    }
    arr_drop(j->n, &j->owner);
    arr_drop(j->n, &j->row);
    j->owner = owner2;
    j->row = row2;
    j->n_pairs = m;
    return true;
}

static bool several_matches(const Joiner *j)
{
    const uint32_t *owner = j->owner.p;

    for (size_t k = 1; k < j->n_pairs; k++)
        if (owner[k] == owner[k - 1])
            return true;
    return false;
}

static bool is_identity(const uint32_t *v, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (v[k] != k)
            return false;
    return true;
}

/* The pairs become the tuples: rows of the sources bound before are read through their owners. */
static bool take_pairs(Joiner *j, int s)
{
    const bool same = j->n_pairs == j->leg->n && is_identity(j->owner.p, j->n_pairs);
    const uint32_t *owner = j->owner.p;

    for (int t = 0; !same && t < j->leg->n_in; t++) {
        Input *in = &j->leg->in[t];
        Arr now = { 0 };
        if (!(j->bound & bit(t)))
            continue;
        if (!arr_need(j->n, &now, j->n_pairs * sizeof(uint32_t)))
            return false;
        for (size_t k = 0; k < j->n_pairs; k++)
            ((uint32_t *)now.p)[k] = in->idx ? in->idx[owner[k]] : (uint32_t)(in->base + owner[k]);
        arr_drop(j->n, &in->idx_mem);
        in->idx_mem = now;
        in->idx = now.p;
    }
    Input *in = &j->leg->in[s];
    arr_drop(j->n, &in->idx_mem);
    if (!j->row.p && !arr_need(j->n, &j->row, 64))
        return false;
    in->idx_mem = j->row;
    in->idx = j->row.p;
    j->row = (Arr){ 0 };
    j->leg->n = j->n_pairs;
    j->bound |= bit(s);
    return true;
}

/* WHERE conditions that could not be part of a match: they read a LEFT source. */
static bool filter_tuples(Joiner *j)
{
    Cond **c = ARENA_ARRAY(&j->a, Cond *, j->n_cond + 1);
    const int n = conditions(j, j->bound, 0, -1, c);
    Test q;
    size_t m = 0;

    if (n == 0)
        return true;
    mark_done(c, n);
    Input *in = ARENA_ARRAY(&j->a, Input, j->leg->n_in + 1);
    inputs_at(j, in, 0);
    bool ok = test_open(j, &q, in, c, n);
    ok = ok && arr_need(j->n, &j->owner, j->leg->n * sizeof(uint32_t));
    for (size_t at = 0; ok && at < j->leg->n; at += CHUNK) {
        const size_t count = j->leg->n - at < CHUNK ? j->leg->n - at : CHUNK;
        const uint8_t *keep = test_run(&q, at, count);
        for (size_t k = 0; k < count; k++)
            if (keep[k] == 2)
                ((uint32_t *)j->owner.p)[m++] = (uint32_t)(at + k);
    }
    ok = ok && (!q.f.bad || overflowed(j->n));
    test_close(&q);
    for (int s = 0; ok && m < j->leg->n && s < j->leg->n_in; s++) {
        Input *k = &j->leg->in[s];
        Arr now = { 0 };
        if (!(j->bound & bit(s)))
            continue;
        if (!(ok = arr_need(j->n, &now, m * sizeof(uint32_t))))
            break;
        for (size_t t = 0; t < m; t++) {
            const uint32_t from = ((const uint32_t *)j->owner.p)[t];
            ((uint32_t *)now.p)[t] = k->idx ? k->idx[from] : (uint32_t)(k->base + from);
        }
        arr_drop(j->n, &k->idx_mem);
        k->idx_mem = now;
        k->idx = now.p;
    }
    if (ok)
        j->leg->n = m;
    return ok;
}

/* Would an equality on values spare a large cross join? */
static bool wants_values(const Joiner *j, const Step *st)
{
    const double n = (double)j->leg->n, m = (double)j->n_sel[st->s];
    const int left = j->r->b->src[st->s].join == JOIN_left;
    Expr *const *e = left ? j->leg->in[st->s].soft : j->leg->soft;
    const int count = left ? j->leg->in[st->s].n_soft : j->leg->n_soft;

    if (j->hard || st->n_keys || n * m <= 4 * (n + m) + 1024)
        return false;
    for (int k = 0; k < count; k++)
        if ((e[k]->op == OP_eq || e[k]->op == OP_same) && ex_sources(e[k]) & bit(st->s) &&
            ex_sources(e[k]) & j->bound)
            return true;
    return false;
}

static void step_free(Joiner *j, Step *st)
{
    for (int k = 0; k < st->n_keys; k++)
        arr_drop(j->n, &st->code[k]);
    keys_free(j->n, &st->table);
    arr_drop(j->n, &st->gid);
}

/* Row numbers of all sources, the pairs they are made from, and the output's keys. */
static size_t bytes_of_tuple(const Joiner *j)
{
    return ((size_t)j->leg->n_in + 2) * sizeof(uint32_t) +
           (j->r->b->kind == BLK_reduce ? (size_t)j->r->b->n_keys : (size_t)j->r->b->n_cols) * sizeof(int64_t);
}

static bool run_step(Joiner *j, Step *st)
{
    Cond *used[64];
    const int s = st->s;

    st->left = j->r->b->src[s].join == JOIN_left;
    st->n_keys = hash_keys(j, s, j->bound, st->key, used);
    mark_done(used, st->n_keys);
    st->test = ARENA_ARRAY(&j->a, Cond *, j->n_cond + 1);
    st->n_tests = conditions(j, j->bound | bit(s), st->left ? 0 : bit(s), st->left ? s : -1, st->test);
    mark_done(st->test, st->n_tests);
    if (wants_values(j, st)) {
        j->needs_values = true;
        return false;
    }
    if (!build_table(j, st) || !probe(j, st))
        return false;
    st->exact = st->n_tests == 0;
    if (st->exact && !arr_fits(j->n, st->total * (double)bytes_of_tuple(j)))
        return false;
    if (st->total > (st->exact ? (double)ROW_NONE : 1e11))
        return native_fail(j->n, E_INPUT, ERR_native_rows, "its join meets %.3g pairs of rows at %s", st->total,
                           j->r->b->src[s].alias);
    Input *cand = ARENA_ARRAY(&j->a, Input, j->leg->n_in + 1);
    uint32_t **tmp = ARENA_ARRAY(&j->a, uint32_t *, j->leg->n_in + 1);
    Test q;
    bool ok = true;
    for (int t = 0; st->n_tests && t < j->leg->n_in; t++) {
        cand[t] = j->leg->in[t];
        if (!((j->bound | bit(s)) >> t & 1))
            continue;
        cand[t].idx = tmp[t] = arena_alloc(&j->a, CAND * sizeof(uint32_t));
    }
    if (st->n_tests)
        ok = test_open(j, &q, cand, st->test, st->n_tests);
    ok = ok && emit_pairs(j, st, st->n_tests ? &q : NULL, tmp);
    if (st->n_tests) {
        ok = ok && (!q.f.bad || overflowed(j->n));
        test_close(&q);
    }
    if (ok && j->leg->in[s].weak && !j->hard && several_matches(j)) {
        j->needs_values = true;
        return false;
    }
    return ok && (!st->left || add_unmatched(j)) && take_pairs(j, s) && filter_tuples(j);
}

static bool first_source(Joiner *j, int s)
{
    Input *in = &j->leg->in[s];

    arr_drop(j->n, &in->idx_mem);
    in->idx_mem = j->sel[s];
    j->sel[s] = (Arr){ 0 };
    in->idx = in->idx_mem.p;
    in->base = 0;
    j->leg->n = j->n_sel[s];
    j->bound = bit(s);
    return filter_tuples(j);
}

static bool run_join(Joiner *j)
{
    int *order = ARENA_ARRAY(&j->a, int, j->leg->n_in + 1);
    int n = 0;

    for (int s = 0; s < j->leg->n_in; s++)
        if (j->leg->in[s].used && !filter_source(j, s))
            return false;
    j->leg->n = 1;
    n = choose_order(j, order);
    if (n == 0)
        return filter_tuples(j);
    if (!first_source(j, order[0]))
        return false;
    for (int k = 1; k < n; k++) {
        Step st = { .s = order[k] };
        const bool ok = run_step(j, &st);
        step_free(j, &st);
        if (!ok)
            return false;
    }
    return true;
}

/* A list that is the rows in order, or always the only row, needs no numbers. */
static void simplify_input(Joiner *j, Input *in)
{
    const size_t rows = input_rows(in);
    bool none = false;

    for (size_t k = 0; in->idx && k < j->leg->n; k++)
        none |= in->idx[k] == ROW_NONE;
    in->left = none;
    in->always0 = false;
    if (none)
        return;
    in->always0 = rows == 1 && !in->laned;
    if (in->always0 || (in->idx && is_identity(in->idx, j->leg->n))) {
        arr_drop(j->n, &in->idx_mem);
        in->idx = NULL;
        in->base = 0;
    }
}

/* A part of a union: every row of its one source, or one row of constants. */
static JoinResult all_rows(Native *n, Leg *leg)
{
    leg->n = 1;
    leg->soft = NULL;
    leg->n_soft = 0;
    for (int s = 0; s < leg->n_in; s++) {
        Input *in = &leg->in[s];
        arr_drop(n, &in->idx_mem);
        in->idx = NULL;
        in->base = 0;
        in->always0 = in->pres_settled = in->left = in->weak = false;
        if (in->used)
            leg->n = input_rows(in);
    }
    return JOINED;
}

JoinResult join_tuples(Native *n, Rel *r, Leg *leg, bool hard)
{
    Joiner j = { .n = n, .r = r, .leg = leg, .hard = hard };

    arena_free(&leg->arena);
    if (r->b->kind == BLK_union)
        return all_rows(n, leg);
    j.sel = ARENA_ARRAY(&j.a, Arr, leg->n_in + 1);
    j.n_sel = ARENA_ARRAY(&j.a, size_t, leg->n_in + 1);
    for (int s = 0; s < leg->n_in; s++) {
        arr_drop(n, &leg->in[s].idx_mem);
        leg->in[s].idx = NULL;
        leg->in[s].base = 0;
        leg->in[s].always0 = leg->in[s].pres_settled = false;
        leg->in[s].left = r->b->src[s].join == JOIN_left;
    }
    sort_conditions(&j);
    const bool ok = run_join(&j);
    for (int s = 0; ok && s < leg->n_in; s++)
        if (leg->in[s].used)
            simplify_input(&j, &leg->in[s]);
    for (int s = 0; s < leg->n_in; s++)
        arr_drop(n, &j.sel[s]);
    arr_drop(n, &j.owner);
    arr_drop(n, &j.row);
    arena_free(&j.a);
    return ok ? JOINED : j.needs_values ? JOIN_needs_values : JOIN_error;
}
