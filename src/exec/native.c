/* SPDX-License-Identifier: Apache-2.0
 *
 * native.c - the native engine's interface, and what is computed when.  Every relation carries versions; a
 * block is settled anew when the rows it was settled on changed, and computed anew when a value it reads
 * did.  Lifetimes (static, batch, step) follow by themselves. */
#include "exec/native.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Rows of an assignment's source for every row of its target, kept while neither side's rows change. */
typedef struct AssignMap { uint64_t target_rows, target_lane, from_rows, from_lane; bool same; Arr from; } AssignMap;

static Native *native_of(Engine *e)
{
    return (Native *)e;
}

static Rel *rel_of(Native *n, const Block *b)
{
    if (b->id < 0 || b->id >= n->n_rels || n->rel[b->id].b != b)
        BUG("block %s is not in the engine's program", b->name);
    return &n->rel[b->id];
}

/* ---- open, close ---- */

static bool is_assigned(const Prog *p, const Block *b)
{
    for (int k = 0; k < p->n_assigns; k++)
        if (p->assign[k].target == b)
            return true;
    return false;
}

static Lifetime life_of(const Prog *p, const Rel *r)
{
    const Block *b = r->b;
    Lifetime life = LIFE_static;

    if (b->kind == BLK_base)
        return b->is_param || b->role == BASE_driver || b->life == LIFE_step || is_assigned(p, b) ? LIFE_step
             : base_is_batched(r) ? LIFE_batch : LIFE_static;
    for (int s = 0; s < b->n_src; s++)
        life = r->src[s]->life > life ? r->src[s]->life : life;
    return life;
}

static bool carries_batch(const Rel *r, const Expr *e)
{
    return e && e->op == OP_col && r->src[e->src]->batch_col[e->col];
}

static void mark_batch_cols(Rel *r)
{
    const Block *b = r->b;

    for (int c = 0; c < b->n_cols; c++) {
        for (int k = 0; base_is_batched(r) && b->kind == BLK_base && k < b->n_batch; k++)
            r->batch_col[c] |= ascii_ieq(b->col[c].name, b->batch_key[k]);
        for (int p = 0; p < b->n_parts; p++)
            r->batch_col[c] |= carries_batch(r, b->part[p].e[c]);
        r->batch_col[c] |= b->kind != BLK_base && b->kind != BLK_union && carries_batch(r, b->col[c].e);
    }
}

static bool reads_this(void *src, const Expr *e)
{
    return e->op == OP_col && e->src == *(const int *)src;
}

static bool changes(void *arg, const Expr *e)
{
    const Block *b = arg;
    return e->op == OP_col && (e->type == T_REAL || b->src[e->src].rel->col[e->col].dynamic);
}

/* Does it read the source each time it is computed, not only where its rows are settled? */
static bool reads_each_time(Block *b, const Expr *e, bool value, int src)
{
    return e && (value || ex_any(e, changes, b)) && ex_any(e, reads_this, &src);
}

static bool is_read_each_time(Block *b, int src)
{
    bool found = b->kind == BLK_union;

    for (int c = 0; c < b->src[src].rel->n_cols; c++)
        found |= b->src[src].rel->col[c].dynamic;
    for (int k = 0; k < b->n_where; k++)
        found |= reads_each_time(b, b->where[k], false, src);
    for (int s = 0; s < b->n_src; s++)
        for (int k = 0; k < b->src[s].n_on; k++)
            found |= reads_each_time(b, b->src[s].on[k], false, src);
    for (int c = 0; c < b->n_cols; c++)
        found |= reads_each_time(b, b->col[c].e, b->kind == BLK_reduce ? c >= b->n_keys : b->col[c].type == T_REAL, src);
    for (int k = 0; k < b->n_part; k++)
        found |= reads_each_time(b, b->part_key[k], true, src);
    for (int k = 0; k < b->n_order; k++)
        found |= reads_each_time(b, b->order[k].e, true, src);
    return found;
}

static bool open_rel(Native *n, int k)
{
    Rel *r = &n->rel[k];
    const Block *b = n->p->block[k];

    r->b = b;
    r->id = k;
    r->src = ARENA_ARRAY(&n->arena, Rel *, b->n_src + 1);
    r->batch_col = ARENA_ARRAY(&n->arena, bool, b->n_cols + 1);
    for (int s = 0; s < b->n_src; s++)
        r->src[s] = rel_of(n, b->src[s].rel);
    r->reads = ARENA_ARRAY(&n->arena, bool, b->n_src + 1);
    for (int s = 0; s < b->n_src; s++)
        r->reads[s] = is_read_each_time(n->p->block[k], s);
    if (b->n_src >= MAX_SRC && b->kind != BLK_union)
        return native_fail(n, E_INPUT, ERR_native_rows, "%s joins %d tables; at most %d can be", b->name, b->n_src, MAX_SRC - 1);
    r->life = life_of(n->p, r);
    mark_batch_cols(r);
    lay_init(n, &r->lay, b);
    return b->kind == BLK_base ? base_open(n, r) : plan_open(n, r);
}

static size_t lay_bytes(const Lay *y)
{
    size_t sum = y->pres_mem.cap + y->perm_mem.cap + y->place_mem.cap;

    for (int c = 0; c < y->n_cols; c++)
        sum += y->col[c].key_mem.cap + y->col[c].val_mem.cap + y->col[c].null_mem.cap + y->col[c].blk_mem.cap +
               y->col[c].xkey.cap;
    return sum;
}

/* Of a relation: its layouts, and the lists of its block. */
static double rel_megabytes(const Rel *r)
{
    size_t sum = lay_bytes(&r->lay);

    for (int c = 0; r->view && c < r->b->n_cols; c++)
        sum += r->view[c] ? lay_bytes(r->view[c]) : 0;
    for (int g = 0; g < r->plan.n_legs; g++) {
        const Leg *leg = &r->plan.leg[g];
        sum += leg->ptr_mem.cap + leg->zero_idx.cap;
        for (int c = 0; c < r->b->n_cols; c++)
            sum += leg->out[c].factor.cap;
        for (int s = 0; s < leg->n_in; s++)
            sum += leg->in[s].idx_mem.cap;
    }
    return 1e-6 * (double)sum;
}

static bool trace_wanted(void)
{
    const char *s = getenv("SQLGRAD_TRACE");

    return s && strstr(s, "exec");
}

/* SQLGRAD_TRACE=exec: what each block was and took, on stderr. */
static void print_trace(const Native *n)
{
    fprintf(stderr, "arrays: %.1f MB, at most %.1f MB\n", 1e-6 * (double)n->used, 1e-6 * (double)n->most_used);
    fprintf(stderr, "%-28s %-6s %9s %5s %9s %8s  %4s %9s %5s %9s\n", "block", "kind", "rows", "lanes", "tuples", "MB",
            "sett", "ms", "comp", "ms each");
    for (int k = 0; k < n->n_rels; k++) {
        const Rel *r = &n->rel[k];
        const Plan *p = &r->plan;
        size_t tuples = 0;
        for (int g = 0; g < p->n_legs; g++)
            tuples += p->leg[g].n;
        if (r->evaluated || r->spent.computed)
            fprintf(stderr, "%-28.28s %-6s %9zu %5zu %9zu %8.1f  %4d %9.3f %5d %9.3f %s%s%s%s%s%s %s\n", r->b->name,
                    block_kind_name[r->b->kind], r->lay.R, r->lay.L, tuples, rel_megabytes(r), r->spent.settled,
                    1e3 * r->spent.settling, r->spent.computed,
                    r->spent.computed ? 1e3 * r->spent.computing / r->spent.computed : 0,
                    p->nest ? "nest " : "", p->laned ? "laned " : "", p->hard ? "hard " : "", r->lay.masked ? "masked " : "",
                    r->left_out ? "some rows " : "",
                    p->n_legs && !p->nest && p->leg[0].out[r->b->n_cols - 1].fast ? "product" : "",
                    p->no_nest && !p->nest ? p->no_nest : "");
    }
}

static void native_close(Engine *e)
{
    Native *n = native_of(e);

    if (!n)
        return;
    later_finish(n);
    if (trace_wanted())
        print_trace(n);
    for (int k = 0; k < n->n_rels; k++) {
        Rel *r = &n->rel[k];
        for (int c = 0; r->view && c < r->b->n_cols; c++)
            if (r->view[c])
                lay_free(n, r->view[c]);
        if (!r->b)
            continue;
        nest_drop(n, r);
        lay_free(n, &r->lay);
        if (r->base)
            base_free(n, r);
        want_free(n, r);
        plan_free(n, r);
    }
    nest_close(n);
    replay_close(n);
    for (int k = 0; k < n->n_spare; k++)
        arr_drop(n, &n->spare[k]);
    blocks_close(n, 0);
    for (int k = 0; n->assign_map && k < n->p->n_assigns; k++)
        arr_drop(n, &n->assign_map[k].from);
    table_free(&n->batch_keys);
    pool_close(n->pool);
    arena_free(&n->dict.arena);
    arena_free(&n->arena);
    mem_free(n);
}

static Code native_open(Engine **out, const Prog *p, const EngineOpts *o, Err *e)
{
    Native *n = mem_alloc(sizeof *n);
    bool ok = true;

    *out = NULL;
    n->engine.ops = &engine_native;
    n->p = p;
    n->o = *o;
    n->err = e;
    n->trace = o->times || trace_wanted();
    n->k = kern_for(o->f64);
    n->esz = o->f64 ? sizeof(double) : sizeof(float);
    n->limit = o->mem_limit ? o->mem_limit : mem_default_limit();
    n->n_threads = o->threads > 0 ? o->threads : 1;
    n->rel = ARENA_ARRAY(&n->arena, Rel, p->n_blocks + 1);
    n->assign_map = ARENA_ARRAY(&n->arena, AssignMap, p->n_assigns + 1);
    n->max_spare = 4 * p->n_blocks;
    n->spare = ARENA_ARRAY(&n->arena, Arr, n->max_spare + 1);
    n->lent = ARENA_ARRAY(&n->arena, struct Lent, n->max_spare + 1);
    n->queue = ARENA_ARRAY(&n->arena, Rel *, p->n_blocks + 1);
    n->blind = ARENA_ARRAY(&n->arena, bool, p->n_blocks + 1);
    prog_blind(p, n->blind);
    n->order = prog_orders(p, &n->arena);
    for (int k = 0; ok && k < p->n_blocks; k++) {
        n->n_rels = k + 1;
        ok = open_rel(n, k);
    }
    if (!ok) {
        native_close(&n->engine);
        return e->code;
    }
    n->pool = n->n_threads > 1 ? pool_open(n->n_threads) : NULL;
    *out = &n->engine;
    return OK;
}

static Code done(Native *n, bool ok)
{
    n->at = NULL;
    if (!ok && n->err->code == OK)
        BUG("the native engine failed without saying why");
    return ok ? OK : n->err->code;
}

/* ---- bind, batch ---- */

static Code native_bind(Engine *e, const Block *base, const Table *t, Err *err)
{
    Native *n = native_of(e);

    n->err = err;
    n->at = base;
    return done(n, base_bind(n, rel_of(n, base), t));
}

/* A copy: the caller's table may go. */
static bool copy_batch_keys(Native *n, const Table *keys)
{
    Table *to = &n->batch_keys;

    table_free(to);
    bool ok = table_init(to, keys->name ? keys->name : "batch", keys->n_cols, keys->n_rows);
    for (int c = 0; ok && c < keys->n_cols; c++) {
        bool nulls = false;
        for (size_t r = 0; r < keys->n_rows; r++)
            nulls |= table_null(keys, c, r);
        ok = table_add_col(to, c, keys->col[c].name, keys->col[c].type, nulls);
        for (size_t r = 0; ok && r < keys->n_rows; r++) {
            const size_t at = table_at(keys, &keys->col[c], r);
            if (nulls)
                to->col[c].null[r] = table_null(keys, c, r);
            if (to->col[c].type == T_TEXT)
                to->col[c].s[r] = arena_strdup(&to->arena, keys->col[c].s[at]);
            else if (to->col[c].type == T_REAL)
                to->col[c].r[r] = table_real(keys, c, r);
            else
                to->col[c].i[r] = keys->col[c].i[at];
        }
    }
    return ok || native_fail(n, E_ENV, ERR_native_memory, "no memory for the keys of a batch");
}

static Code native_batch(Engine *e, const Table *keys, Err *err)
{
    Native *n = native_of(e);

    n->err = err;
    n->have_batch = keys != NULL;
    n->batch_ver = ++n->clock;
    return done(n, !keys || copy_batch_keys(n, keys));
}

static Code native_expect(Engine *e, const Table *keys, Err *err)
{
    Native *n = native_of(e);
    bool ok = true;

    n->err = err;
    if (!n->pool || !n->have_batch)
        return OK;
    later_finish(n);
    for (int k = 0; ok && k < n->n_rels; k++)
        if (n->rel[k].b->kind == BLK_base)
            ok = base_expect(n, &n->rel[k], keys);
    later_start(n);
    return done(n, ok);
}

/* ---- run ---- */

double native_seconds(const Native *n)
{
    struct timespec t = { 0, 0 };

    if (n->trace)
        clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool evaluate(Native *n, Rel *r)
{
    bool stale;

    n->at = r->b;
    if (native_stopped(n))
        return false;
    r->evaluated = true;
    if (r->b->kind == BLK_base)
        return base_load(n, r);
    const double t0 = native_seconds(n);
    if (!plan_stale(n, r, &stale))
        return false;
    if (stale && (!nest_flush(n) || !plan_settle(n, r) || !nest_compile(n)))
        return false;
    if (!r->plan.settled && !plan_settle(n, r))         /* a nest that could not be compiled */
        return false;
    n->n_settled += stale;
    n->redo |= stale && n->limited;
    const double t1 = native_seconds(n), flushed = n->flushed;
    const uint64_t left_out = n->limited && !r->wants_all && r->n_parts >= 0 ? n->wants_ver : 0;
    const bool moved = plan_inputs_moved(r) || (r->left_out && r->left_out != left_out);
    if (moved && r->plan.lists_gone && !plan_settle(n, r))
        return false;
    if (moved && !(r->plan.nest ? nest_compute(n, r) : nest_flush(n) && plan_compute(n, r)))
        return false;
    if (moved && !lay_numbers(n, &r->lay))
        return false;
    r->left_out = moved ? left_out : r->left_out;
    r->spent.settled += stale;
    r->spent.computed += moved;
    r->spent.settling += t1 - t0;
    if (!r->queued && !(r->plan.nest && r->plan.laned))
        r->spent.computing += native_seconds(n) - t1 - (n->flushed - flushed);
    return true;
}

/* ---- buffers that nobody reads any more in this run ---- */

static size_t value_bytes(const Rel *r)
{
    size_t sum = 0;

    for (int c = 0; c < r->lay.n_cols; c++)
        sum += r->lay.col[c].val_mem.cap;
    return sum;
}

bool rel_can_release(const Native *n, const Rel *r)
{
    return !n->keep_all && !r->kept && !r->queued && r->b->kind != BLK_base && r->life == LIFE_step && !r->lay.masked &&
           value_bytes(r) >= LEAST_RELEASED;
}

static void release_lay(Native *n, Lay *y)
{
    y->of_val = 0;
    for (int c = 0; c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        if (k->kind != CK_val || k->known || k->blk_only)
            continue;
        arr_spare(n, &k->val_mem);
        k->val = NULL;
        k->unscanned = false;
        k->finite = true;
    }
}

/* It is computed anew when it is next needed. */
void rel_release(Native *n, Rel *r)
{
    release_lay(n, &r->lay);
    for (int c = 0; r->view && c < r->b->n_cols; c++)
        if (r->view[c])
            release_lay(n, r->view[c]);
    r->plan.computed = r->evaluated = false;
}

void rel_done(Native *n, Rel *r)
{
    for (int s = 0; s < r->b->n_src; s++)
        if (r->reads[s] && --r->src[s]->readers_left == 0 && rel_can_release(n, r->src[s]))
            rel_release(n, r->src[s]);
}

void native_count_readers(Native *n)
{
    for (int k = 0; k < n->n_rels; k++)
        n->rel[k].readers_left = n->rel[k].readers_ahead = 0;
    for (int k = 0; k < n->n_rels; k++)
        for (int s = 0; n->rel[k].needed && s < n->rel[k].b->n_src; s++)
            n->rel[k].src[s]->readers_ahead = n->rel[k].src[s]->readers_left += n->rel[k].reads[s];
}

static void need_rel(Rel *r)
{
    if (r->needed)
        return;
    r->needed = true;
    for (int s = 0; s < r->b->n_src; s++)
        need_rel(r->src[s]);
}

static bool sources_settled(const Rel *r)
{
    for (int s = 0; s < r->b->n_src; s++)
        if (r->src[s]->b->kind != BLK_base && !r->src[s]->plan.settled)
            return false;
    return true;
}

static bool settle_early(Native *n, Rel *r)
{
    size_t L;

    if (r->b->kind == BLK_base || r->life == LIFE_static)
        return evaluate(n, r);
    n->at = r->b;
    if (r->plan.settled || r->plan.hard || !sources_settled(r))
        return true;
    n->ahead = true;
    const bool ok = plan_settle(n, r) && (!r->plan.settled || plan_output_lanes(n, r, &L));
    n->ahead = false;
    return ok;
}

#define LEAST_DROPPED 1000000           /* bytes */

static void drop_codes(Native *n, Lay *y)
{
    for (int c = 0; c < y->n_cols; c++)
        if (y->col[c].xkey.cap >= LEAST_DROPPED)
            arr_drop(n, &y->col[c].xkey);
}

/* Codes were read by what was settled; who needs them again makes them again. */
static void drop_all_codes(Native *n)
{
    for (int k = 0; k < n->n_rels; k++) {
        const Rel *r = &n->rel[k];
        drop_codes(n, &n->rel[k].lay);
        for (int c = 0; r->view && c < r->b->n_cols; c++)
            if (r->view[c])
                drop_codes(n, r->view[c]);
    }
}

/* What is new is settled first, so that all its nests are compiled at once. */
static bool settle_new(Native *n)
{
    bool new = false;

    for (int k = 0; k < n->n_rels; k++)
        new |= n->rel[k].needed && n->rel[k].b->kind != BLK_base && !n->rel[k].plan.settled && !n->rel[k].plan.hard;
    for (int k = 0; new && k < n->n_rels; k++)
        if (n->rel[k].needed && !settle_early(n, &n->rel[k]))
            return false;
    if (new)
        drop_all_codes(n);
    return !new || nest_compile(n);
}

bool native_evaluate(Native *n, Rel *r)
{
    if (!evaluate(n, r))
        return false;
    rel_read(n, r);
    if (!r->queued)
        rel_done(n, r);
    return true;
}

static bool evaluate_all(Native *n)
{
    native_count_readers(n);
    for (int k = 0; k < n->n_rels; k++)
        if (n->rel[k].needed && !native_evaluate(n, &n->rel[k]))
            return false;
    return nest_flush(n);
}

static bool evaluate_needed(Native *n)
{
    if (!settle_new(n) || !want_find(n) || !evaluate_all(n))
        return false;
    if (!n->redo)
        return true;
    n->redo = n->limited = false;
    return evaluate_all(n);
}

/* What the last run asked for once more, and all of it is kept: for what was released and is wanted after all. */
static bool evaluate_again(Native *n)
{
    replay_forget(n);
    n->keep_all = true;
    const bool ok = evaluate_needed(n);
    arena_free(&n->scratch);
    n->keep_all = false;
    return ok;
}

static Code native_run(Engine *e, Block *const *target, int n_targets, bool new_step, Err *err)
{
    Native *n = native_of(e);

    bool over;

    (void)new_step;                     /* versions tell */
    n->err = err;
    trials_go_on(n);
    if (!replay_run(n, target, n_targets, &over))
        return done(n, false);
    if (over)
        return OK;
    for (int k = 0; k < n->n_rels; k++)
        n->rel[k].needed = n->rel[k].kept = false;
    for (int t = 0; t < n_targets; t++) {
        need_rel(rel_of(n, target[t]));
        rel_of(n, target[t])->kept = true;
    }
    for (int k = 0; k < n->p->n_assigns; k++)
        rel_of(n, n->p->assign[k].from)->kept = true;
    const bool ok = evaluate_needed(n);
    if (ok)
        replay_learn(n, target, n_targets);
    arena_free(&n->scratch);
    return done(n, ok);
}

/* ---- assign ---- */

/* The column of the source that holds target column c: assigned to it, or of its name. */
static int column_for(const Assign *a, int c)
{
    for (int k = 0; k < a->n_cols; k++)
        if (a->to_col[k] == c)
            return a->from_col[k];
    for (int k = 0; k < a->from->n_cols; k++)
        if (ascii_ieq(a->from->col[k].name, a->target->col[c].name))
            return k;
    BUG("%s is assigned from %s, which lacks %s", a->target->name, a->from->name, a->target->col[c].name);
}

static bool identity_codes(Native *n, const Assign *a, Rel *target, Rel *from, const int64_t **key_t, const int64_t **key_f)
{
    const Block *b = target->b;

    for (int k = 0; k < b->n_id; k++) {
        const int c = b->id_col[k], d = column_for(a, c);
        if (!(key_t[k] = lay_codes(n, &target->lay, c)) || !(key_f[k] = lay_codes(n, &from->lay, d)))
            return false;
    }
    return true;
}

/* Flat position in `from` of every flat position in `target`; ROW_NONE: no row. */
static bool match_rows(Native *n, const Assign *a, Rel *target, Rel *from, AssignMap *m)
{
    const size_t N = lay_size(&target->lay);
    const int n_id = target->b->n_id;
    const int64_t **key_t = ARENA_ARRAY(&n->scratch, const int64_t *, n_id + 1);
    const int64_t **key_f = ARENA_ARRAY(&n->scratch, const int64_t *, n_id + 1);
    int64_t *code = ARENA_ARRAY(&n->scratch, int64_t, n_id + 1);
    KeyTable t = { 0 };

    if (m->from.p && m->target_rows == target->lay.rows_ver && m->target_lane == target->lay.lane_ver &&
        m->from_rows == from->lay.rows_ver && m->from_lane == from->lay.lane_ver)
        return true;
    bool ok = identity_codes(n, a, target, from, key_t, key_f) && arr_need(n, &m->from, N * sizeof(uint32_t)) &&
              keys_build(n, &t, n_id, key_f, NULL, lay_size(&from->lay));
    for (size_t k = 0; ok && k < N; k++) {
        for (int c = 0; c < n_id; c++)
            code[c] = key_t[c][k];
        const uint32_t g = keys_find(&t, code);
        ((uint32_t *)m->from.p)[k] = g == ROW_NONE ? ROW_NONE : t.first[g];
        m->same = (k == 0 || m->same) && ((uint32_t *)m->from.p)[k] == k;
    }
    keys_free(n, &t);
    m->target_rows = target->lay.rows_ver;
    m->target_lane = target->lay.lane_ver;
    m->from_rows = from->lay.rows_ver;
    m->from_lane = from->lay.lane_ver;
    return ok;
}

/* New values of one column, in a block of its own: all assignments read the values of before. */
typedef struct NewCol { Rel *target; int col; const uint32_t *map; Arr val, null, key; const Lay *from; const LCol *k; } NewCol;

static bool gather_new(Native *n, NewCol *c, Rel *from, int from_col)
{
    const size_t N = lay_size(&c->target->lay);

    c->from = &from->lay;
    c->k = &from->lay.col[from_col];
    if (c->k->type != T_REAL) {
        const int64_t *code = lay_codes(n, &from->lay, from_col);
        if (!code || !arr_need(n, &c->key, N * sizeof *code))
            return false;
        for (size_t k = 0; k < N; k++)
            ((int64_t *)c->key.p)[k] = c->map[k] == ROW_NONE ? KEY_NULL : code[c->map[k]];
        return true;
    }
    if (!lay_plain(n, &from->lay) || !arr_need(n, &c->val, N * n->esz) || !arr_need(n, &c->null, N))
        return false;
    n->k->gather(c->val.p, c->null.p, c->k->val, c->k->nulls ? c->k->null : NULL, c->map, N);
    return true;
}

static bool row_moves(const NewCol *c, size_t k)
{
    return c->map[k] != ROW_NONE && (!c->from->masked || c->from->pres[c->map[k]]);
}

static bool put_new(Native *n, NewCol *c)
{
    Lay *y = &c->target->lay;
    LCol *to = &y->col[c->col];
    const size_t N = lay_size(y);

    n->at = c->target->b;
    if (to->kind == CK_lane || (to->kind == CK_row && y->L != 1))
        return native_fail(n, E_INPUT, ERR_native_table, "a key that runs along the lanes cannot be assigned");
    for (size_t k = 0; k < N; k++) {
        if (!row_moves(c, k))
            continue;
        if (to->kind != CK_val) {
            to->key[k] = ((const int64_t *)c->key.p)[k];
            continue;
        }
        const bool null = ((const uint8_t *)c->null.p)[k];
        if (null && !to->nulls)
            return native_fail(n, E_INPUT, ERR_native_table, "column %s became NULL", c->target->b->col[c->col].name);
        val_set(n, to->val, k, null ? 0 : val_get(n, c->val.p, k));
        if (to->nulls)
            to->null[k] = null;
        to->any_null |= null;
    }
    if (to->kind == CK_val)
        to->unscanned = true;
    else
        y->rows_ver = ++n->clock;
    y->val_ver = ++n->clock;
    return true;
}

/* Numbers of a derived relation in the same order move at once. */
static bool moves_whole(const Rel *target, const Rel *from, const AssignMap *m, const Assign *a, int c)
{
    const LCol *to = &target->lay.col[a->to_col[c]], *k = &from->lay.col[a->from_col[c]];

    return m->same && from->b->kind != BLK_base && !from->lay.masked && lay_size(&from->lay) == lay_size(&target->lay) &&
           to->kind == CK_val && k->kind == CK_val && !k->nulls && !to->nulls;
}

static bool move_whole(Native *n, Rel *target, Rel *from, int to_col, int from_col)
{
    LCol *to = &target->lay.col[to_col];

    if (!lay_plain(n, &from->lay))
        return false;
    memcpy(to->val, from->lay.col[from_col].val, lay_size(&target->lay) * n->esz);
    to->unscanned = true;
    target->lay.val_ver = ++n->clock;
    return true;
}

static bool can_assign(Native *n, const Rel *target)
{
    if (base_is_batched(target) && n->have_batch)
        return native_fail(n, E_INPUT, ERR_native_table, "a @data table cannot be changed while batches are drawn from it");
    return true;
}

static Code native_assign(Engine *e, Err *err)
{
    Native *n = native_of(e);
    const Prog *p = n->p;
    NewCol *col = NULL;
    int n_cols = 0;
    bool ok = true;

    n->err = err;
    for (int k = 0; ok && k < p->n_assigns; k++) {
        Rel *target = rel_of(n, p->assign[k].target), *from = rel_of(n, p->assign[k].from);
        n->at = target->b;
        ok = can_assign(n, target) && base_load(n, target) && match_rows(n, &p->assign[k], target, from, &n->assign_map[k]);
        for (int c = 0; ok && c < p->assign[k].n_cols; c++) {
            if (moves_whole(target, from, &n->assign_map[k], &p->assign[k], c)) {
                ok = move_whole(n, target, from, p->assign[k].to_col[c], p->assign[k].from_col[c]);
                continue;
            }
            NewCol now = { .target = target, .col = p->assign[k].to_col[c], .map = n->assign_map[k].from.p };
            ok = gather_new(n, &now, from, p->assign[k].from_col[c]);
            VEC_PUSH(&n->scratch, col, n_cols, now);
        }
    }
    for (int c = 0; ok && c < n_cols; c++)
        ok = put_new(n, &col[c]);
    for (int c = 0; c < n_cols; c++) {
        arr_drop(n, &col[c].val);
        arr_drop(n, &col[c].null);
        arr_drop(n, &col[c].key);
    }
    arena_free(&n->scratch);
    return done(n, ok);
}

/* ---- fetch ---- */

static size_t count_here(const Lay *y)
{
    size_t m = 0;

    for (size_t k = 0; k < lay_size(y); k++)
        m += !y->masked || y->pres[k];
    return m;
}

static bool fetch_key(Native *n, Lay *y, int c, Table *out, int to)
{
    const int64_t *code = lay_codes(n, y, c);
    TableCol *k = &out->col[to];
    size_t at = 0;

    for (size_t j = 0; code && j < lay_size(y); j++) {
        if (y->masked && !y->pres[j])
            continue;
        const bool null = code[j] == KEY_NULL;
        k->null[at] = null;
        if (k->type == T_TEXT)
            k->s[at] = null ? "" : arena_strdup(&out->arena, dict_text(&n->dict, code[j]));
        else
            k->i[at] = null ? 0 : code[j];
        at++;
    }
    return code != NULL;
}

static void fetch_real(Native *n, const Lay *y, const LCol *from, TableCol *k)
{
    size_t at = 0;

    for (size_t j = 0; j < lay_size(y); j++) {
        if (y->masked && !y->pres[j])
            continue;
        k->null[at] = from->nulls && from->null[j];
        k->r[at] = k->null[at] ? 0 : val_get(n, from->val, j);
        at++;
    }
}

/* No NULL: no mask. */
static void trim_nulls(Table *t)
{
    for (int c = 0; c < t->n_cols; c++)
        if (t->col[c].null && !memchr(t->col[c].null, 1, t->n_rows))
            t->col[c].null = NULL;
}

static Code native_fetch(Engine *e, const Block *b, bool hidden, Table *out, Err *err)
{
    Native *n = native_of(e);
    Rel *r = rel_of(n, b);
    Lay *y = &r->lay;
    int n_cols = 0;

    n->err = err;
    n->at = b;
    if ((!r->evaluated || r->left_out) && r->needed && !evaluate_again(n))
        return done(n, false);
    n->at = b;
    if (!r->evaluated)
        return done(n, native_fail(n, E_USAGE, ERR_native_table, "it was not evaluated"));
    for (int c = 0; c < b->n_cols; c++)
        n_cols += hidden || !b->col[c].hidden;
    bool ok = lay_plain(n, y);
    if (!ok)
        return done(n, false);
    ok = table_init(out, b->name, n_cols, count_here(y));
    for (int c = 0, to = 0; ok && c < b->n_cols; c++) {
        if (b->col[c].hidden && !hidden)
            continue;
        ok = table_add_col(out, to, b->col[c].name, b->col[c].type, true);
        if (!ok)
            break;
        if (y->col[c].type == T_REAL)
            fetch_real(n, y, &y->col[c], &out->col[to]);
        else
            ok = fetch_key(n, y, c, out, to);
        to++;
    }
    if (!ok) {
        table_free(out);
        return done(n, n->err->code != OK ? false : native_fail(n, E_ENV, ERR_native_memory, "no memory to copy it out"));
    }
    trim_nulls(out);
    table_sort(out);
    return done(n, true);
}

static const Block *native_nonfinite(Engine *e)
{
    Native *n = native_of(e);
    Err again = { 0 };

    n->err = &again;
    evaluate_again(n);
    for (int k = 0; k < n->n_rels; k++)
        for (int c = 0; n->rel[k].evaluated && c < n->rel[k].lay.n_cols; c++)
            if (!lay_finite(n, &n->rel[k].lay, c))
                return n->rel[k].b;
    return NULL;
}

static double native_block_seconds(const Engine *e, const Block *b)
{
    const Native *n = (const Native *)(const void *)e;

    for (int k = 0; k < n->n_rels; k++)
        if (n->rel[k].b == b && n->rel[k].spent.computed)
            return n->rel[k].spent.computing / n->rel[k].spent.computed;
    return -1;
}

const EngineOps engine_native = {
    "native", native_open, native_close, native_bind, native_batch, native_expect, native_run, native_assign, native_fetch,
    native_nonfinite, nest_explain, nest_seconds, native_block_seconds
};
