/* SPDX-License-Identifier: Apache-2.0
 *
 * native_settle.c - the symbolic phase of one block: its tuples, the rows they make, in an order that
 * depends on keys alone, and the register programs that will move the values. */
#include "exec/native.h"

#include <string.h>

bool plan_open(Native *n, Rel *r)
{
    Plan *p = &r->plan;
    const Block *b = r->b;
    const int reads = plan_reads(r);

    p->lane_col = ARENA_ARRAY(&n->arena, int, (reads > b->n_src ? reads : b->n_src) + 1);
    p->seen = ARENA_ARRAY(&n->arena, SrcSeen, reads + 1);
    return true;
}

static Expr *of_only_source(void *arg, const Expr *col)
{
    Expr *e = ARENA_NEW((Arena *)arg, Expr);

    *e = *col;
    e->src = 0;
    return e;
}

/* What a part of a union says of its columns; its list has one source. */
static Expr **part_of_union(Native *n, const Block *b, const Part *part)
{
    Expr **e = ARENA_ARRAY(&n->arena, Expr *, b->n_cols + 1);

    for (int c = 0; c < b->n_cols; c++)
        e[c] = ex_map(&n->arena, part->e[c], of_only_source, &n->arena);
    return e;
}

/* For those that do become lists. */
void plan_make_legs(Native *n, Rel *r)
{
    Plan *p = &r->plan;
    const Block *b = r->b;

    if (p->leg)
        return;
    p->n_legs = b->kind == BLK_union ? b->n_parts : 1;
    p->leg = ARENA_ARRAY(&n->arena, Leg, p->n_legs + 1);
    for (int g = 0; g < p->n_legs; g++) {
        Leg *leg = &p->leg[g];
        leg->n_in = b->kind == BLK_union ? b->part[g].src >= 0 : b->n_src;
        leg->in = ARENA_ARRAY(&n->arena, Input, leg->n_in + 1);
        leg->part = b->kind == BLK_union ? part_of_union(n, b, &b->part[g]) : NULL;
        leg->out = ARENA_ARRAY(&n->arena, OutCol, b->n_cols + 1);
        leg->order = ARENA_ARRAY(&n->arena, int, b->n_order + 1);
    }
}

void plan_free(Native *n, Rel *r)
{
    for (int g = 0; g < r->plan.n_legs; g++) {
        Leg *leg = &r->plan.leg[g];
        for (int s = 0; s < leg->n_in; s++)
            arr_drop(n, &leg->in[s].idx_mem);
        arr_drop(n, &leg->ptr_mem);
        arr_drop(n, &leg->zero_idx);
        for (int c = 0; c < r->b->n_cols; c++)
            arr_drop(n, &leg->out[c].factor);
        tape_free(&leg->tape);
        arena_free(&leg->arena);
    }
}

/* ---- what a list was built from ---- */

bool plan_stale(Native *n, Rel *r, bool *stale)
{
    const Plan *p = &r->plan;
    bool err = false;

    *stale = !p->settled || !plan_lanes_hold(n, r, &err);
    for (int k = 0; k < plan_reads(r) && !*stale && !err; k++) {
        const int s = plan_read_src(r, k);
        if (s < 0)
            continue;
        const Lay *y = plan_lay(n, r, k, &err);
        const SrcSeen *was = &p->seen[k];
        *stale = !y || y != was->lay || y->rows_ver != was->rows;
        if (!*stale && !(p->laned && p->lane_col[k] >= 0))
            *stale = y->lane_ver != was->lane;
        if (!*stale && (p->hard || r->src[s]->life == LIFE_static))
            *stale = r->src[s]->lay.val_ver != was->val;
    }
    return !err;
}

static bool remember_sources(Native *n, Rel *r)
{
    bool err = false;

    for (int k = 0; k < plan_reads(r); k++) {
        const int s = plan_read_src(r, k);
        if (s < 0)
            continue;
        Lay *y = plan_lay(n, r, k, &err);
        if (!y)
            return false;
        r->plan.seen[k] = (SrcSeen){ y->rows_ver, y->lane_ver, r->src[s]->lay.val_ver, 0, y };
    }
    return !err;
}

bool plan_inputs_moved(const Rel *r)
{
    if (!r->plan.computed || r->plan.fresh)
        return true;
    for (int k = 0; k < plan_reads(r); k++) {
        const int s = plan_read_src(r, k);
        if (s >= 0 && r->src[s]->lay.val_ver != r->plan.seen[k].used_val)
            return true;
    }
    return false;
}

/* ---- order of tuples ---- */

/* tuple k becomes tuple perm[k] of before */
static bool permute_tuples(Native *n, Leg *leg, const uint32_t *perm)
{
    bool same = true;

    for (size_t k = 0; same && k < leg->n; k++)
        same = perm[k] == k;
    for (int s = 0; !same && s < leg->n_in; s++) {
        Input *in = &leg->in[s];
        Arr now = { 0 };
        if (!in->used || in->always0)
            continue;
        if (!arr_need(n, &now, leg->n * sizeof(uint32_t)))
            return false;
        for (size_t k = 0; k < leg->n; k++)
            ((uint32_t *)now.p)[k] = in->idx ? in->idx[perm[k]] : (uint32_t)(in->base + perm[k]);
        arr_drop(n, &in->idx_mem);
        in->idx_mem = now;
        in->idx = now.p;
    }
    return true;
}

static size_t rows_of_input(const Input *in)
{
    return in->laned ? in->lay->R : lay_size(in->lay);
}

/* Rows of the largest inner source in order: the reads that cost most run through memory. */
static bool order_by_largest(Native *n, const Rel *r, Leg *leg)
{
    Input *big = NULL;
    Arr perm = { 0 };

    for (int s = 0; s < leg->n_in; s++) {
        Input *in = &leg->in[s];
        if (in->used && r->b->src[s].join == JOIN_inner && (!big || rows_of_input(in) > rows_of_input(big)))
            big = in;
    }
    if (!big || !big->idx)
        return true;
    const size_t rows = rows_of_input(big);
    uint32_t *rank[1] = { (uint32_t *)big->idx };
    bool ok = arr_need(n, &perm, leg->n * sizeof(uint32_t)) && order_rows(n, leg->n, 1, rank, &rows, perm.p) &&
              permute_tuples(n, leg, perm.p);
    arr_drop(n, &perm);
    if (ok && big->idx) {
        bool same = leg->n == rows;
        for (size_t k = 0; same && k < leg->n; k++)
            same = big->idx[k] == k;
        if (same) {
            arr_drop(n, &big->idx_mem);
            big->idx = NULL;
            big->base = 0;
        }
    }
    return ok;
}

/* ---- groups ---- */

/* Key columns of the grouping, over tuples and then over groups. */
typedef struct Keys { int n; const Expr **e; int *col; Arr *code; const int64_t **at; } Keys;    /* col: of the result */

static void add_key(Keys *k, Arena *a, const Expr *e, int col)
{
    int m = k->n;

    VEC_PUSH(a, k->col, m, col);
    m = k->n;
    VEC_PUSH(a, k->e, m, e);
    k->n = m;
}

static bool key_codes(Native *n, Rel *r, Leg *leg, Keys *k, Arena *a)
{
    k->code = ARENA_ARRAY(a, Arr, k->n + 1);
    k->at = ARENA_ARRAY(a, const int64_t *, k->n + 1);
    for (int c = 0; c < k->n; c++) {
        if (!arr_need(n, &k->code[c], leg->n * sizeof(int64_t)) ||
            !settle_codes(n, r->b, leg->in, leg->n_in, k->e[c], leg->n, k->code[c].p))
            return false;
        k->at[c] = k->code[c].p;
    }
    return true;
}

static void keys_drop(Native *n, Keys *k)
{
    for (int c = 0; k->code && c < k->n; c++)
        arr_drop(n, &k->code[c]);
}

/* Rank columns of `count` rows of codes, to order them by. */
static bool ranks_of(Native *n, const Keys *k, const uint32_t *row, size_t count, uint32_t **rank, size_t *n_ranks,
                     Arr *mem)
{
    Arr tmp = { 0 };
    bool ok = arr_need(n, &tmp, count * sizeof(int64_t));

    for (int c = 0; ok && c < k->n; c++) {
        int64_t *code = tmp.p;
        for (size_t j = 0; j < count; j++)
            code[j] = k->at[c][row ? row[j] : j];
        ok = arr_need(n, &mem[c], count * sizeof(uint32_t));
        rank[c] = mem[c].p;
        ok = ok && rank_codes(n, code, count, k->e[c]->type, rank[c], &n_ranks[c]);
    }
    arr_drop(n, &tmp);
    return ok;
}

/* Groups of tuples with equal keys, in key order: the tuples are put by group (in their order), *n_groups and
 * leg->ptr say where each begins, `key` keeps the keys of each group. */
static bool group_tuples(Native *n, Leg *leg, Keys *k, Arena *a)
{
    KeyTable t;
    Arr *mem = ARENA_ARRAY(a, Arr, k->n + 4), order = { 0 }, gid = { 0 }, perm = { 0 };
    uint32_t **rank = ARENA_ARRAY(a, uint32_t *, k->n + 1);
    size_t *n_ranks = ARENA_ARRAY(a, size_t, k->n + 1);

    if (!keys_build(n, &t, k->n, k->at, NULL, leg->n))
        return false;
    const size_t G = t.n_groups;
    bool ok = ranks_of(n, k, t.first, G, rank, n_ranks, mem) && arr_need(n, &order, G * sizeof(uint32_t)) &&
              arr_need(n, &gid, (leg->n + G) * sizeof(uint32_t)) && arr_need(n, &perm, leg->n * sizeof(uint32_t)) &&
              arr_need(n, &leg->ptr_mem, (G + 1) * sizeof(uint32_t)) &&
              order_rows(n, G, k->n, rank, n_ranks, order.p);
    if (ok) {
        uint32_t *place = (uint32_t *)gid.p + leg->n, *g = gid.p;
        for (size_t j = 0; j < G; j++)
            place[((uint32_t *)order.p)[j]] = (uint32_t)j;
        leg->ptr = leg->ptr_mem.p;
        memset(leg->ptr, 0, (G + 1) * sizeof(uint32_t));
        for (size_t j = 0; j < leg->n; j++) {
            g[j] = place[t.gid[j]];
            leg->ptr[g[j] + 1]++;
        }
        for (size_t j = 0; j < G; j++)
            leg->ptr[j + 1] += leg->ptr[j];
        ok = order_rows(n, leg->n, 1, (uint32_t *const[]){ g }, &G, perm.p) && permute_tuples(n, leg, perm.p);
        leg->n_groups = G;
        for (int c = 0; ok && c < k->n; c++) {          /* keys of the groups, in order */
            Arr now = { 0 };
            ok = arr_need(n, &now, G * sizeof(int64_t));
            for (size_t j = 0; ok && j < G; j++)
                ((int64_t *)now.p)[j] = k->at[c][t.first[((uint32_t *)order.p)[j]]];
            arr_drop(n, &k->code[c]);
            k->code[c] = now;
            k->at[c] = now.p;
        }
    }
    for (int c = 0; c < k->n; c++)
        arr_drop(n, &mem[c]);
    arr_drop(n, &order);
    arr_drop(n, &gid);
    arr_drop(n, &perm);
    keys_free(n, &t);
    return ok;
}

/* One group of everything: no keys (always a row), or only lanes (a row if there is a tuple). */
static bool one_group(Native *n, Leg *leg, bool always)
{
    leg->n_groups = always || leg->n > 0;
    if (!arr_need(n, &leg->ptr_mem, 2 * sizeof(uint32_t)))
        return false;
    leg->ptr = leg->ptr_mem.p;
    leg->ptr[0] = 0;
    leg->ptr[1] = (uint32_t)leg->n;
    return true;
}

/* Sums that nobody tells from rows that are not there, if they are 0. */
static bool may_hold_zeros(const Native *n, const Rel *r, const Keys *k)
{
    const Block *b = r->b;

    for (int c = b->n_keys; c < b->n_cols; c++)
        if (b->col[c].agg != AGG_sum || b->col[c].type != T_REAL || b->col[c].e->nullable)
            return false;
    return k->n == 1 && k->e[0]->type == T_INT && n->blind[r->b->id];
}

#define GAPS 8                          /* one key in so many may be missing */

/* A few keys are missing between the least and the greatest: groups without tuples are put there, so that the rows are
 * regular, and what reads them can be a nest. */
static bool fill_gaps(Native *n, Leg *leg, Keys *k)
{
    const size_t G = leg->n_groups;
    const int64_t *key = k->at[0];
    Arr code = { 0 }, ptr = { 0 };
    uint64_t span = 0;

    if (G > 1 && IS_KEY(key[0]))
        span = (uint64_t)key[G - 1] - (uint64_t)key[0] + 1;
    if (span <= G || span - G > G / GAPS)
        return true;
    if (!arr_need(n, &code, span * sizeof *key) || !arr_need(n, &ptr, (span + 1) * sizeof *leg->ptr)) {
        arr_drop(n, &code);
        return false;
    }
    for (size_t at = 0, g = 0; at < span; at++) {
        ((int64_t *)code.p)[at] = key[0] + (int64_t)at;
        ((uint32_t *)ptr.p)[at] = leg->ptr[g];
        g += key[g] == key[0] + (int64_t)at;
    }
    ((uint32_t *)ptr.p)[span] = leg->ptr[G];
    arr_drop(n, &k->code[0]);
    arr_drop(n, &leg->ptr_mem);
    k->code[0] = code;
    k->at[0] = code.p;
    leg->ptr_mem = ptr;
    leg->ptr = ptr.p;
    leg->n_groups = span;
    return true;
}

static bool group_reduce(Native *n, Rel *r, Leg *leg, Keys *k, Arena *a)
{
    const Block *b = r->b;

    for (int i = 0; i < b->n_keys; i++) {
        const int c = n->order[r->id].col[i];
        if (!is_lane_expr(leg->in, b->col[c].e))
            add_key(k, a, b->col[c].e, c);
    }
    if (k->n == 0)
        return one_group(n, leg, b->n_keys == 0);
    return key_codes(n, r, leg, k, a) && group_tuples(n, leg, k, a) && (!may_hold_zeros(n, r, k) || fill_gaps(n, leg, k));
}

/* Tuples of a pick: by partition, within it by the sources' identities, so that list order breaks ties. */
static bool order_ties(Native *n, Rel *r, Leg *leg, Arena *a)
{
    const Block *b = r->b;
    Keys k = { 0 };

    for (int s = 0; s < b->n_src; s++)
        for (int i = 0; i < b->src[s].rel->n_id; i++) {
            Expr *e = ex_col(a, b, s, b->src[s].rel->id_col[i]);
            if (!is_lane_expr(leg->in, e))
                add_key(&k, a, e, -1);
        }
    if (k.n == 0)
        return true;
    Arr *mem = ARENA_ARRAY(a, Arr, k.n), perm = { 0 };
    uint32_t **rank = ARENA_ARRAY(a, uint32_t *, k.n);
    size_t *n_ranks = ARENA_ARRAY(a, size_t, k.n);
    const bool ok = key_codes(n, r, leg, &k, a) && ranks_of(n, &k, NULL, leg->n, rank, n_ranks, mem) &&
                    arr_need(n, &perm, leg->n * sizeof(uint32_t)) &&
                    order_rows(n, leg->n, k.n, rank, n_ranks, perm.p) && permute_tuples(n, leg, perm.p);
    for (int c = 0; c < k.n; c++)
        arr_drop(n, &mem[c]);
    arr_drop(n, &perm);
    keys_drop(n, &k);
    return ok;
}

static bool group_pick(Native *n, Rel *r, Leg *leg, Arena *a)
{
    const Block *b = r->b;
    Keys k = { 0 };

    if (!order_ties(n, r, leg, a))
        return false;
    for (int c = 0; c < b->n_part; c++)
        if (!is_lane_expr(leg->in, b->part_key[c]))
            add_key(&k, a, b->part_key[c], -1);
    const bool ok = k.n == 0 ? one_group(n, leg, false) : key_codes(n, r, leg, &k, a) && group_tuples(n, leg, &k, a);
    keys_drop(n, &k);
    return ok;
}

/* ---- programs ---- */

static const Expr *out_expr(const Rel *r, int leg, int c)
{
    return r->plan.leg[leg].part ? r->plan.leg[leg].part[c] : r->b->col[c].e;
}

static bool is_plain_real(const Leg *leg, const Expr *e)
{
    return e->op == OP_col && e->type == T_REAL && leg->in[e->src].lay->col[e->col].kind == CK_val &&
           leg->in[e->src].lay->col[e->col].type == T_REAL && !leg->in[e->src].left && !leg->in[e->src].weak;
}

/* SUM of one or a product of two loads; whether it may be used at present is asked each time. */
static void find_fast(const Rel *r, const Leg *leg, int c, OutCol *o)
{
    const Expr *e = r->b->col[c].e;

    o->fast = false;
    if (r->b->kind != BLK_reduce || c < r->b->n_keys || r->b->col[c].agg != AGG_sum || e->type != T_REAL || leg->n_soft)
        return;
    for (int s = 0; s < leg->n_in; s++)
        if (leg->in[s].weak)
            return;
    const bool two = e->op == OP_mul;
    o->fa = two ? e->arg[0] : e;
    o->fb = two ? e->arg[1] : NULL;
    if (!is_plain_real(leg, o->fa) || (o->fb && !is_plain_real(leg, o->fb)))
        return;
    if (o->fb && leg->in[o->fb->src].laned && !leg->in[o->fa->src].laned) {
        const Expr *x = o->fa;
        o->fa = o->fb;
        o->fb = x;
    }
    o->fast = !r->plan.laned || leg->in[o->fa->src].laned;
}

/* A factor without lanes, a row a tuple: it is read without row numbers (lanes_x_list). */
static bool reads_in_order(const Rel *r, const Leg *leg, const Expr *e)
{
    const Input *in = &leg->in[e->src];

    return r->plan.laned && r->plan.carried && !in->laned && !in->idx && !in->always0;
}

static bool materialise(Native *n, Leg *leg, int s)
{
    Input *in = &leg->in[s];

    if (in->idx)
        return true;
    if (!arr_need(n, &in->idx_mem, leg->n * sizeof(uint32_t)))
        return false;
    for (size_t k = 0; k < leg->n; k++)
        ((uint32_t *)in->idx_mem.p)[k] = in->always0 ? 0 : (uint32_t)(in->base + k);
    in->idx = in->idx_mem.p;
    return true;
}

/* Not a load: those may be read in place. */
static bool writes_memory(const Tape *t, int reg)
{
    for (int k = 0; k < t->n_ins; k++)
        if (t->ins[k].dst == reg)
            return t->ins[k].kind != IN_load && t->ins[k].kind != IN_pres;
    return false;
}

static bool compile_out(Native *n, Rel *r, int g, int c)
{
    Leg *leg = &r->plan.leg[g];
    OutCol *o = &leg->out[c];
    const Expr *e = out_expr(r, g, c);
    const bool agg = r->b->kind == BLK_reduce && c >= r->b->n_keys;
    const Type t = r->b->col[c].type;

    o->reg = -1;
    find_fast(r, leg, c, o);
    if (o->settled || !e)
        return true;
    const RegType type = agg && r->b->col[c].agg == AGG_count ? RT_int : t == T_REAL ? RT_real : RT_int;
    int reg = tape_expr(n, &leg->tape, e);
    if (!(agg && r->b->col[c].agg == AGG_count))
        reg = tape_as(&leg->tape, reg, type);
    o->reg = tape_full(&leg->tape, reg);
    o->direct = !agg && type == RT_real && leg->tape.reg[o->reg].shape == SH_full && writes_memory(&leg->tape, o->reg);
    for (int d = 0; d < c; d++)
        o->direct = o->direct && leg->out[d].reg != o->reg;
    o->factor_ver = 0;
    if (!o->fast)
        return true;
    if (!materialise(n, leg, o->fa->src) || (o->fb && !reads_in_order(r, leg, o->fb) && !materialise(n, leg, o->fb->src)))
        return false;
    if (!o->fb) {
        if (!arr_need(n, &leg->zero_idx, leg->n * sizeof(uint32_t)))
            return false;
        memset(leg->zero_idx.p, 0, leg->n * sizeof(uint32_t));
    }
    return true;
}

/* Sources that no instruction reads need no row numbers any more. */
static void drop_unread(Native *n, Leg *leg)
{
    for (int s = 0; s < leg->n_in; s++) {
        bool read = false;
        for (int k = 0; k < leg->tape.n_ins; k++)
            read |= (leg->tape.ins[k].kind == IN_load || leg->tape.ins[k].kind == IN_pres) && leg->tape.ins[k].src == s;
        if (read)
            continue;
        leg->in[s].used = false;
        leg->in[s].idx = NULL;
        arr_drop(n, &leg->in[s].idx_mem);
    }
}

static bool compile_leg(Native *n, Rel *r, int g)
{
    Leg *leg = &r->plan.leg[g];

    tape_free(&leg->tape);
    tape_init(n, &leg->tape, r->b, leg->in, leg->n_in, r->plan.laned);
    leg->mask = tape_mask(n, &leg->tape, leg->soft, leg->n_soft);
    if (leg->mask >= 0)
        leg->mask = tape_full(&leg->tape, leg->mask);
    for (int c = 0; c < r->b->n_cols; c++)
        if (!compile_out(n, r, g, c))
            return false;
    for (int o = 0; r->b->kind == BLK_pick && o < r->b->n_order; o++)
        leg->order[o] = tape_full(&leg->tape, tape_expr(n, &leg->tape, r->b->order[o].e));
    drop_unread(n, leg);
    return true;
}

/* ---- output columns ---- */

/* What column c is, by what every list makes of it. */
static LCol out_kind(const Rel *r, int c)
{
    const Block *b = r->b;
    const Plan *p = &r->plan;
    LCol k = { .kind = b->col[c].type == T_REAL ? CK_val : CK_dyn };
    bool lane = p->laned && p->carried, known = true;

    if (b->kind == BLK_reduce && c >= b->n_keys)
        return k;
    for (int g = 0; g < p->n_legs; g++) {
        const Expr *e = out_expr(r, g, c);
        lane = lane && is_lane_expr(p->leg[g].in, e) && b->src[e->src].join == JOIN_inner;
        known = known && known_expr(p->leg[g].in, e, p->hard) && (b->kind == BLK_reduce || e->type != T_REAL || e->op == OP_col);
        if (known && b->kind != BLK_reduce && e->type == T_REAL)        /* propagated, never encoded anew */
            known = p->leg[g].in[e->src].lay->col[e->col].known;
    }
    if (lane)
        k.kind = CK_lane;
    else if (known && k.kind == CK_dyn)
        k.kind = CK_row;
    else
        k.known = known && k.kind == CK_val;
    return k;
}

static bool row_keys(Native *n, Rel *r, int c, size_t R, Arr *out)
{
    size_t at = 0;

    if (!arr_need(n, out, R * sizeof(int64_t)))
        return false;
    for (int g = 0; g < r->plan.n_legs; g++) {
        Leg *leg = &r->plan.leg[g];
        if (!settle_codes(n, r->b, leg->in, leg->n_in, out_expr(r, g, c), leg->n, (int64_t *)out->p + at))
            return false;
        at += leg->n;
    }
    return true;
}

static bool has_null_key(const Arr *key, size_t R)
{
    for (size_t k = 0; key->p && k < R; k++)
        if (((const int64_t *)key->p)[k] == KEY_NULL)
            return true;
    return false;
}

/* May an aggregate without GROUP BY meet no row?  What is absent for a while has a mask. */
static bool may_meet_none(const Rel *r)
{
    const Leg *leg = &r->plan.leg[0];
    bool none = leg->mask >= 0 || leg->n == 0;

    for (int s = 0; s < leg->n_in; s++)
        none |= leg->in[s].used && leg->in[s].laned && leg->in[s].lay->L == 0;
    return none;
}

static bool may_be_null(const Rel *r, int c)
{
    const Block *b = r->b;
    const bool agg = b->kind == BLK_reduce && c >= b->n_keys;
    bool null = agg && b->n_keys == 0 && may_meet_none(r);

    for (int g = 0; g < r->plan.n_legs; g++) {
        const Leg *leg = &r->plan.leg[g];
        null |= leg->out[c].reg >= 0 && leg->tape.reg[leg->out[c].reg].nulls;
    }
    return null && !(agg && b->col[c].agg == AGG_count);
}

/* The codes of the groups' key that is column c. */
static Arr take_codes(Keys *k, int c)
{
    int i = 0;

    while (k->col[i] != c)
        i++;
    const Arr code = k->code[i];
    k->code[i] = (Arr){ 0 };
    return code;
}

/* Kinds first: they say what the programs must compute. */
static bool settle_columns(Native *n, Rel *r, Keys *keys, Arr *key, LCol *now, Arena *a)
{
    const Block *b = r->b;
    size_t R = 0;

    for (int g = 0; g < r->plan.n_legs; g++)
        R += b->kind == BLK_reduce ? r->plan.leg[g].n_groups : r->plan.leg[g].n;
    for (int c = 0; c < b->n_cols; c++) {
        now[c] = out_kind(r, c);
        const bool settled = now[c].kind == CK_row || now[c].kind == CK_lane || now[c].known;
        for (int g = 0; g < r->plan.n_legs; g++)
            r->plan.leg[g].out[c].settled = settled;
        if (b->kind == BLK_reduce && c < b->n_keys && now[c].kind != CK_lane) {
            key[c] = take_codes(keys, c);
        } else if (settled && now[c].kind != CK_lane && !row_keys(n, r, c, R, &key[c])) {
            return false;
        }
        now[c].nulls = has_null_key(&key[c], R);
    }
    for (int g = 0; g < r->plan.n_legs; g++)
        if (!compile_leg(n, r, g))
            return false;
    for (int c = 0; c < b->n_cols; c++)
        if (now[c].kind == CK_dyn || (now[c].kind == CK_val && !now[c].known))
            now[c].nulls = may_be_null(r, c);
    (void)a;
    return true;
}

static bool is_masked(const Rel *r)
{
    bool masked = r->b->kind == BLK_pick;

    for (int g = 0; g < r->plan.n_legs; g++)
        masked |= r->plan.leg[g].mask >= 0;
    return masked && !(r->b->kind == BLK_reduce && r->b->n_keys == 0);
}

static bool settle_rows(Native *n, Rel *r)
{
    Arena a = { 0 };
    Arr *key = ARENA_ARRAY(&a, Arr, r->b->n_cols + 1);
    LCol *now = ARENA_ARRAY(&a, LCol, r->b->n_cols + 1);
    Keys keys = { 0 };
    Leg *leg = r->plan.leg;
    size_t R = 0;
    bool ok = true;

    if (r->b->kind == BLK_row)
        ok = order_by_largest(n, r, leg);
    else if (r->b->kind == BLK_reduce)
        ok = group_reduce(n, r, leg, &keys, &a);
    else if (r->b->kind == BLK_pick)
        ok = group_pick(n, r, leg, &a);
    for (int g = 0; g < r->plan.n_legs; g++) {
        r->plan.leg[g].first = R;
        R += r->b->kind == BLK_reduce ? leg->n_groups : r->plan.leg[g].n;
    }
    if (R >= ROW_NONE)
        ok = native_fail(n, E_INPUT, ERR_native_rows, "it has more than %u rows", ROW_NONE - 1);
    ok = ok && settle_columns(n, r, &keys, key, now, &a);
    ok = ok && lay_commit(n, &r->lay, R, now, key, is_masked(r));
    r->lay.lane = -1;
    for (int c = r->b->n_cols - 1; ok && c >= 0; c--)
        if (now[c].kind == CK_lane)
            r->lay.lane = c;
    for (int c = 0; c < r->b->n_cols; c++)
        arr_drop(n, &key[c]);
    keys_drop(n, &keys);
    arena_free(&a);
    return ok;
}

/* ---- */

static JoinResult join_legs(Native *n, Rel *r)
{
    JoinResult res = JOINED;

    for (int g = 0; g < r->plan.n_legs; g++)
        for (int s = 0; s < r->plan.leg[g].n_in; s++)
            if (r->plan.leg[g].in[s].used && !lay_keys(n, r->plan.leg[g].in[s].lay))
                return JOIN_error;
    for (int g = 0; g < r->plan.n_legs && res == JOINED; g++)
        res = join_tuples(n, r, &r->plan.leg[g], r->plan.hard);
    return res;
}

void plan_forget_lanes(Rel *r)
{
    r->plan.laned = r->plan.carried = false;
    for (int s = 0; s < r->b->n_src || s < plan_reads(r); s++)
        r->plan.lane_col[s] = -1;
}

static void go_hard(Rel *r)
{
    r->plan.hard = true;
    plan_forget_lanes(r);
}

static bool settled_as_nest(Native *n, Rel *r, bool lanes, bool *done)
{
    *done = false;
    if (r->plan.hard || !nest_settle(n, r, lanes, done))
        return r->plan.hard;
    if (!*done)
        return true;
    r->plan.settled = r->plan.fresh = true;
    return remember_sources(n, r);
}

bool plan_settle(Native *n, Rel *r)
{
    bool nest;

    n->n_plans++;
    r->plan.settled = r->plan.lists_gone = false;
    if (!settled_as_nest(n, r, false, &nest) || nest)
        return nest;
    if (!plan_choose_lanes(n, r))
        return false;
    if (!plan_set_inputs(n, r))
        return false;
    if (r->b->kind != BLK_union && !plan_groups_known(r, &r->plan.leg[0], r->plan.hard)) {
        if (n->ahead)
            return true;
        go_hard(r);
        if (!plan_set_inputs(n, r))
            return false;
    }
    if (n->ahead && r->plan.hard)
        return true;
    if (!settled_as_nest(n, r, true, &nest) || nest)
        return nest;
    JoinResult res = join_legs(n, r);
    if (res == JOIN_needs_values && n->ahead)
        return true;
    if (res == JOIN_needs_values) {
        go_hard(r);
        if (!plan_set_inputs(n, r))
            return false;
        res = join_legs(n, r);
    }
    if (res != JOINED || !settle_rows(n, r) || !remember_sources(n, r))
        return false;
    r->plan.settled = r->plan.fresh = true;
    return true;
}
