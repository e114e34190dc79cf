/* SPDX-License-Identifier: Apache-2.0
 *
 * native_nest.c - blocks as loop nests: what can be lowered is, all nests that are new are compiled as one file, and
 * nests with lanes wait in a queue, to run one after the other on a part of the lanes at a time, while their numbers
 * are in the cache; the parts go to the threads.  The parts are cut by the number of lanes alone, and what is summed
 * over the lanes is summed part by part in their order, so that threads do not show in the bits.
 *
 * Numbers with lanes stand in blocks of W lanes here, and row by row for everyone else; a column knows which of the
 * two forms is there, and the other is made when it is asked for. */
#include "exec/cc.h"
#include "exec/native.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PARTS 16                    /* of the lanes, and so of partial sums */
#define PART_WORK 2e5                   /* multiply-adds that are worth a part of a nest without lanes */
#define LEAST_WORK 3e8                  /* multiply-adds of a run that are worth a compiler's time */

struct NestPlan {
    Arena arena;
    Lowered low;
    NestFn *fn;
    void **p;                           /* buffers, for the next run */
    Arr partial;                        /* sums over the lanes, by part */
};

typedef struct NestLib { struct NestLib *next; CcLib lib; } NestLib;

/* Numbers of the widest vectors the CPU has, or of narrower ones if batches are small: one width for all of a run,
 * since the order of sums depends on it. */
size_t nest_width(Native *n)
{
    const size_t keys = n->have_batch ? n->batch_keys.n_rows : SIZE_MAX;

    if (!n->width)
        for (n->width = kern_vector_bytes() / n->esz; n->width * n->esz > 16 && keys <= n->width / 2;)
            n->width /= 2;
    return n->width;
}

static size_t lane_blocks(Native *n, size_t L)
{
    return (L + nest_width(n) - 1) / nest_width(n);
}

/* Lanes [first, end) in parts of `step` blocks; the number of parts depends on the lanes alone. */
typedef struct Parts { size_t blocks, step; int n; } Parts;

static Parts cut_lanes(Native *n, size_t L)
{
    Parts p = { .blocks = lane_blocks(n, L) };

    p.step = p.blocks / 4 < 4 ? p.blocks / 4 : 4;
    if (p.step * MAX_PARTS < p.blocks)
        p.step = (p.blocks + MAX_PARTS - 1) / MAX_PARTS;
    if (p.step == 0)
        p.step = 1;
    p.n = (int)((p.blocks + p.step - 1) / p.step);
    return p;
}

/* AVX-512 has 32 registers for vectors of any width. */
static Target target_of(Native *n)
{
    return (Target){ .f64 = n->o.f64, .W = (int)nest_width(n), .regs = kern_vector_bytes() == 64 ? 32 : 16,
                     .blocks = n->have_batch ? (int)cut_lanes(n, n->batch_keys.n_rows).step : 0 };
}

/* ---- what is known of a relation's rows ---- */

static RegKind kind_of(const LCol *k)
{
    if (k->kind == CK_lane)
        return REG_lane;
    return k->kind == CK_val && !k->nulls ? REG_value : REG_none;
}

/* The lanes as one dimension more, the fastest. */
static bool add_lane_dim(const Lay *y, struct LayShape *s)
{
    Regular *g = &s->reg;
    const int last = g->n_dims;
    const int64_t L = (int64_t)y->L, step = L > 1 ? y->lane_key[1] - y->lane_key[0] : 0;
    bool even = y->col[y->lane].type == T_INT;

    if (last == REG_DIMS)
        return false;
    for (int64_t l = 0; l < L; l++)
        even = even && IS_KEY(y->lane_key[l]) && llabs(y->lane_key[l]) < (1 << 29) &&
               y->lane_key[l] == y->lane_key[0] + l * step;
    for (int d = 0; d < last; d++)
        g->stride[d] *= L;
    g->extent[last] = L;
    g->stride[last] = 1;
    g->codes[last] = even ? NULL : y->lane_key;
    g->n_dims++;
    g->rows *= L;
    g->lanes = false;
    for (int c = 0; c < g->n_cols; c++)
        if (g->col[c].kind == REG_lane) {
            g->col[c] = (RegCol){ .kind = even ? REG_affine : REG_codes, .dim = last, .key.c = even ? y->lane_key[0] : 0 };
            g->col[c].key.k[last] = even ? step : 0;
        }
    for (int64_t l = 0; l < L; l++)
        if (!IS_KEY(y->lane_key[l]))
            return false;
    return even || regular_distinct_codes(y->lane_key, L, 1, &s->arena);
}

static bool look(Native *n, Lay *y, bool lanes, struct LayShape *s)
{
    const int64_t **key = ARENA_ARRAY(&s->arena, const int64_t *, y->n_cols + 1);
    RegKind *kind = ARENA_ARRAY(&s->arena, RegKind, y->n_cols + 1);
    bool *ints = ARENA_ARRAY(&s->arena, bool, y->n_cols + 1);

    if (!lay_keys(n, y))
        return false;
    for (int c = 0; c < y->n_cols; c++) {
        key[c] = y->col[c].kind == CK_row ? y->col[c].key : NULL;
        kind[c] = kind_of(&y->col[c]);
        ints[c] = y->col[c].type == T_INT;
    }
    return regular_look(&s->reg, &s->arena, y->n_cols, key, kind, ints, (int64_t)y->R, KEY_NULL) &&
           (lanes || y->lane < 0 || add_lane_dim(y, s));
}

#define LARGE_TABLE 1000000             /* rows; keys are made again from their digits, should a list read them */

static bool is_large_table(const Rel *r, const Lay *y)
{
    return r->b->kind == BLK_base && !r->b->is_param && y == &r->lay && y->R >= LARGE_TABLE && y->L == 1 && y->lane < 0 &&
           !y->masked && !y->gen;
}

static void forget_keys(Native *n, LCol *k)
{
    arr_drop(n, &k->key_mem);
    k->key = NULL;
}

static void keep_digits_only(Native *n, Lay *y, const Regular *g)
{
    for (int c = 0; c < y->n_cols; c++)
        if (y->col[c].kind == CK_row && g->col[c].kind == REG_none)
            return;
    for (int c = 0; c < y->n_cols; c++)
        if (y->col[c].kind == CK_row)
            forget_keys(n, &y->col[c]);
    y->gen = g;
}

/* NULL: its rows are no box, or not always there. */
static const Regular *regular_of(Native *n, Rel *r, Lay *y, bool lanes)
{
    const NestPlan *np = r->plan.nest;
    struct LayShape *s = &y->shape[lanes];

    if (np && y == &r->lay && np->low.out.lanes == lanes)
        return &np->low.out;
    if (y->masked && np)
        return NULL;
    if (y->masked && !(y->one_each && lanes && r->b->kind == BLK_base))
        return NULL;
    if (s->looked && s->rows == y->rows_ver && (lanes || s->lane == y->lane_ver))
        return s->ok ? &s->reg : NULL;
    if (!lay_keys(n, y))                        /* they may be known by what is looked at anew */
        return NULL;
    arena_free(&s->arena);
    s->ok = look(n, y, lanes, s);
    s->reg.winner = y->masked;
    for (int d = 0; d < s->reg.n_dims; d++)
        s->reg.place.k[d] = s->reg.stride[d];
    s->looked = true;
    s->rows = y->rows_ver;
    s->lane = y->lane_ver;
    if (s->ok && is_large_table(r, y))
        keep_digits_only(n, y, &s->reg);
    return s->ok ? &s->reg : NULL;
}

/* ---- settling ---- */

static bool is_batch_laned(const Rel *r)
{
    for (int k = 0; r->plan.laned && k < plan_reads(r); k++)
        if (r->plan.lane_col[k] >= 0 && r->src[plan_read_src(r, k)]->batch_col[r->plan.lane_col[k]])
            return true;
    return false;
}

/* The read of source s: of a union, the first part that reads it. */
static int read_of(const Rel *r, int s)
{
    for (int k = 0; k < plan_reads(r); k++)
        if (plan_read_src(r, k) == s)
            return k;
    return -1;
}

static bool may_be_nest(const Native *n, const Rel *r)
{
    const Block *b = r->b;

    return !n->no_cc && !n->o.no_loops && r->life != LIFE_static &&
           !(b->kind == BLK_row && b->one_row);
}

static Lay *lay_read(Native *n, Rel *r, int s, bool batch, bool *err)
{
    const int k = read_of(r, s);

    return batch && k >= 0 ? plan_lay(n, r, k, err) : &r->src[s]->lay;
}

static bool read_sources(Native *n, Rel *r, bool batch, const Regular **src)
{
    bool err = false;

    for (int s = 0; s < r->b->n_src; s++) {
        Lay *y = lay_read(n, r, s, batch, &err);
        if (err || !y)
            return false;
        const int k = read_of(r, s);
        src[s] = lay_size(y) ? regular_of(n, r->src[s], y, batch && k >= 0 && r->plan.lane_col[k] >= 0) : NULL;
    }
    return true;
}

static bool fill_counts_of_rows(Native *n, const Lowered *low, int c, Arr *key)
{
    const size_t bytes = (size_t)low->out.rows * sizeof(int64_t);

    if (!arr_need(n, key, bytes))
        return false;
    memcpy(key->p, low->count[c], bytes);
    return true;
}

static bool commit_rows(Native *n, Rel *r, const Lowered *low)
{
    Arena a = { 0 };
    Arr *key = ARENA_ARRAY(&a, Arr, r->b->n_cols + 1);
    LCol *now = ARENA_ARRAY(&a, LCol, r->b->n_cols + 1);
    bool ok = true;

    r->lay.lane = -1;
    r->lay.rows_ver = 0;                                /* keys that are not made are not compared */
    for (int c = r->b->n_cols - 1; ok && c >= 0; c--) {
        const RegKind kind = low->out.col[c].kind;
        now[c].kind = kind == REG_value ? CK_val : kind == REG_lane ? CK_lane
                    : low->count[c] && low->nest.sum_lanes ? CK_dyn : CK_row;
        if (kind == REG_lane)
            r->lay.lane = c;
        if (now[c].kind == CK_row && low->count[c])
            ok = fill_counts_of_rows(n, low, c, &key[c]);
        else if (now[c].kind == CK_row)
            forget_keys(n, &r->lay.col[c]);
    }
    ok = ok && lay_commit(n, &r->lay, (size_t)low->out.rows, now, key, low->out.winner);
    r->lay.gen = ok ? &low->out : NULL;
    for (int c = 0; c < r->b->n_cols; c++)
        arr_drop(n, &key[c]);
    arena_free(&a);
    return ok;
}

void nest_drop(Native *n, Rel *r)
{
    NestPlan *np = r->plan.nest;

    if (!np)
        return;
    arr_drop(n, &np->partial);
    if (r->lay.gen == &np->low.out)
        r->lay.gen = NULL;
    arena_free(&np->arena);
    mem_free(np);
    r->plan.nest = NULL;
}

static bool reads_batch_keys(const Rel *r)
{
    for (int s = 0; s < r->b->n_src; s++)
        for (int c = 0; c < r->src[s]->b->n_cols; c++)
            if (r->src[s]->batch_col[c])
                return true;
    return false;
}

bool nest_settle(Native *n, Rel *r, bool lanes, bool *done)
{
    const bool batch = lanes && is_batch_laned(r);
    const Regular *src[MAX_SRC] = { 0 };

    *done = false;
    nest_drop(n, r);
    if (!may_be_nest(n, r) || (lanes ? !batch : reads_batch_keys(r)))
        return true;                    /* with a batch's keys as dimensions there would be code for every batch */
    r->plan.no_nest = NULL;
    if (!read_sources(n, r, batch, src))
        return false;
    NestPlan *np = r->plan.nest = mem_alloc(sizeof *np);
    if (!lower_block(r->b, src, n->blind[r->b->id], &np->arena, &np->low, &r->plan.no_nest) || !nest_can(&np->low.nest)) {
        r->plan.no_nest = r->plan.no_nest ? r->plan.no_nest : "an operator has no C text";
        nest_drop(n, r);
        return true;
    }
    if (!batch)
        plan_forget_lanes(r);
    r->plan.carried = np->low.out.lanes;
    *done = true;
    return commit_rows(n, r, &np->low);
}

/* ---- compiling ---- */

/* The text of new nests goes to the compiler in pieces, which run side by side. */
#define MOST_PIECES 4
#define PIECE_BYTES 24000

typedef struct Piece { Buf text; CcLib lib; CcOpts o; Err e; Code rc; } Piece;

static void compile_piece(void *arg, int k)
{
    Piece *p = (Piece *)arg + k;

    p->rc = cc_load(&p->lib, p->text.s, &p->o, &p->e);
}

static void bind_code(Native *n, const CcLib *lib, const Target *t)
{
    for (int k = 0; k < n->n_rels; k++) {
        NestPlan *np = n->rel[k].plan.nest;
        Buf name = { 0 };
        if (!np || np->fn)
            continue;
        nest_name(&name, &np->low.nest, t);
        void *fn = cc_symbol(lib, name.s);
        memcpy(&np->fn, &fn, sizeof fn);
        buf_free(&name);
    }
}

/* Without a compiler the lists do the work of what has no code. */
static void do_without(Native *n)
{
    n->no_cc = true;
    for (int k = 0; k < n->n_rels; k++) {
        Rel *r = &n->rel[k];
        if (!r->plan.nest || r->plan.nest->fn)
            continue;
        nest_drop(n, r);
        r->plan.settled = r->plan.computed = false;
    }
}

/* Decided once, by what the first nests have to do in one run. */
static bool is_worth_it(Native *n)
{
    double work = 0;

    if (n->o.all_loops || n->libs)
        return true;
    for (int k = 0; k < n->n_rels; k++) {
        const Rel *r = &n->rel[k];
        size_t lanes = 1;
        for (int j = 0; r->plan.nest && r->plan.laned && j < plan_reads(r); j++)
            if (r->plan.lane_col[j] >= 0)
                lanes = r->src[plan_read_src(r, j)]->lay.L;
        work += r->plan.nest ? nest_work(&r->plan.nest->low.nest) * (double)lanes : 0;
    }
    return work >= LEAST_WORK;
}

static bool any_new(const Native *n)
{
    for (int k = 0; k < n->n_rels; k++)
        if (n->rel[k].plan.nest && !n->rel[k].plan.nest->fn)
            return true;
    return false;
}

static int write_pieces(Native *n, Piece *piece, const Target *t)
{
    Buf *text = ARENA_ARRAY(&n->scratch, Buf, n->n_rels + 1);
    size_t total = 0;
    int pieces = 1;

    for (int k = 0; k < n->n_rels; k++) {
        NestPlan *np = n->rel[k].plan.nest;
        if (!np || np->fn)
            continue;
        nest_schedule(&np->low.nest, t);
        nest_text(&text[k], &np->low.nest, t);
        total += text[k].n;
    }
    pieces += (int)(total / PIECE_BYTES < MOST_PIECES ? total / PIECE_BYTES : MOST_PIECES - 1);
    if (n->o.keep_c)
        pieces = 1;
    for (int i = 0; i < pieces; i++)
        nest_prelude(&piece[i].text, t);
    for (int k = 0; k < n->n_rels; k++) {
        int least = 0;
        for (int i = 1; i < pieces; i++)
            least = piece[i].text.n < piece[least].text.n ? i : least;
        if (text[k].n)
            buf_add(&piece[least].text, text[k].s, text[k].n);
        buf_free(&text[k]);
    }
    return pieces;
}

/* Side by side: the work is done in other processes. */
static void compile_pieces(Native *n, Piece *piece, int pieces)
{
    const CcOpts o = { .keep = n->o.keep_c, .stop = n->o.stop };
    Pool *pool = pieces > 1 ? pool_open(pieces) : NULL;

    for (int i = 0; i < pieces; i++)
        piece[i].o = o;
    if (pool)
        pool_run(pool, pieces, compile_piece, piece);
    else
        for (int i = 0; i < pieces; i++)
            compile_piece(piece, i);
    pool_close(pool);
}

/* What the first piece that failed says; code that was made is kept until the engine closes. */
static bool take_pieces(Native *n, Piece *piece, int pieces, const Target *t)
{
    const Piece *bad = NULL;

    for (int i = 0; i < pieces; i++) {
        buf_free(&piece[i].text);
        bad = !bad && piece[i].rc != OK ? &piece[i] : bad;
        if (piece[i].rc != OK)
            continue;
        NestLib *lib = ARENA_NEW(&n->arena, NestLib);
        *lib = (NestLib){ n->libs, piece[i].lib };
        n->libs = lib;
        bind_code(n, &lib->lib, t);
    }
    if (!bad)
        return true;
    if (bad->rc == E_STOPPED)
        return native_fail(n, E_STOPPED, ERR_native_stopped, "interrupted");
    if (bad->rc == E_INPUT || !strcmp(bad->e.id, ERR_cc_keep))
        return native_fail(n, bad->rc, bad->e.id, "%s", bad->e.msg);
    if (n->o.no_cc)
        n->o.no_cc(n->o.no_cc_arg, &bad->e);
    do_without(n);
    return true;
}

bool nest_compile(Native *n)
{
    const Target t = target_of(n);

    if (!any_new(n))
        return true;
    if (!is_worth_it(n)) {
        do_without(n);
        return true;
    }
    Piece *piece = ARENA_ARRAY(&n->scratch, Piece, MOST_PIECES);
    const int pieces = write_pieces(n, piece, &t);
    compile_pieces(n, piece, pieces);
    return take_pieces(n, piece, pieces, &t);
}

void nest_close(Native *n)
{
    for (NestLib *l = n->libs; l; l = l->next)
        cc_close(&l->lib);
    n->libs = NULL;
}

/* ---- the two forms of a column ---- */

static void to_blocks(Native *n, const char *from, char *to, size_t R, size_t L)
{
    const size_t W = nest_width(n), esz = n->esz;

    for (size_t b = 0; b * W < L; b++) {
        const size_t m = L - b * W < W ? L - b * W : W;
        for (size_t r = 0; r < R; r++) {
            char *at = to + (b * R + r) * W * esz;
            memcpy(at, from + (r * L + b * W) * esz, m * esz);
            if (m < W)
                memset(at + m * esz, 0, (W - m) * esz);
        }
    }
}

static void from_blocks(Native *n, const char *from, char *to, size_t R, size_t L)
{
    const size_t W = nest_width(n), esz = n->esz;

    for (size_t b = 0; b * W < L; b++) {
        const size_t m = L - b * W < W ? L - b * W : W;
        for (size_t r = 0; r < R; r++)
            memcpy(to + (r * L + b * W) * esz, from + (b * R + r) * W * esz, m * esz);
    }
}

static size_t block_bytes(Native *n, const Lay *y, size_t rows)
{
    return rows * lane_blocks(n, y->L) * nest_width(n) * n->esz;
}

bool nest_room(Native *n, const Lay *y, Arr *a)
{
    return arr_need(n, a, block_bytes(n, y, y->R));
}

/* Which rows of a pick are there: those whose place the group stored. */
static bool make_presence(Native *n, Rel *r)
{
    const NestPlan *np = r->plan.nest;
    Lay *y = &r->lay;
    const Regular *out = &np->low.out;
    const size_t W = out->lanes ? nest_width(n) : 1;
    const size_t groups = np->low.nest.buf[np->low.nest.n_bufs - 1].rows;

    if (!arr_need(n, &y->pres_mem, lay_size(y)))
        return false;
    y->pres = y->pres_mem.p;
    for (size_t row = 0; row < y->R; row++) {
        int64_t group = out->group.c, place = out->place.c;
        for (int d = 0; d < out->n_dims; d++) {
            const int64_t i = (int64_t)row / out->stride[d] % out->extent[d];
            group += out->group.k[d] * i;
            place += out->place.k[d] * i;
        }
        for (size_t l = 0; l < y->L; l++) {
            const size_t at = ((l / W) * groups + (size_t)group) * W + l % W;
            y->pres[row * y->L + l] = val_get(n, y->place_mem.p, at) == (double)place;
        }
    }
    y->place_only = false;
    return true;
}

bool lay_plain(Native *n, Lay *y)
{
    for (int c = 0; c < y->n_cols; c++) {
        LCol *k = &y->col[c];
        if (k->kind != CK_val || !k->blk_only)
            continue;
        if (!arr_need(n, &k->val_mem, lay_size(y) * n->esz))
            return false;
        k->val = k->val_mem.p;
        from_blocks(n, k->blk, k->val, y->R, y->L);
        k->blk_only = false;
        k->val_asked = true;
    }
    if (!y->place_only)
        return true;
    for (int k = 0; k < n->n_rels; k++)
        if (&n->rel[k].lay == y)
            return make_presence(n, &n->rel[k]);
    return true;
}

bool lay_finite(Native *n, Lay *y, int c)
{
    LCol *k = &y->col[c];

    if (k->kind == CK_val && k->unscanned && lay_plain(n, y)) {
        k->finite = n->k->finite(k->val, lay_size(y));
        k->unscanned = false;
    }
    return k->finite;
}

static bool blocks_of(Native *n, Rel *r, Lay *y, int c, void **out)
{
    LCol *k = &y->col[c];

    if (!k->blk_only && (k->blk_ver != r->lay.val_ver || !k->blk)) {       /* of a view: its original's version */
        if (!nest_flush(n) || !lay_values(n, r, y) || !arr_need(n, &k->blk_mem, block_bytes(n, y, y->R)))
            return false;
        k->blk = k->blk_mem.p;
        to_blocks(n, k->val, k->blk, y->R, y->L);
        k->blk_ver = r->lay.val_ver;
    }
    *out = k->blk;
    return true;
}

/* ---- buffers ---- */

static bool input_buffer(Native *n, Rel *r, const NestSource *from, bool lanes, void **out)
{
    Rel *src = r->src[from->src];
    bool err = false;
    Lay *y = lay_read(n, r, from->src, r->plan.laned, &err);

    if (err || !y)
        return false;
    if (src->queued && !(lanes && r->plan.nest->low.nest.lanes) && !nest_flush(n))
        return false;
    if (from->col < 0) {
        *out = y->place_mem.p;
        return true;
    }
    if (lanes)
        return blocks_of(n, src, y, from->col, out);
    if ((y->is_view || y->col[from->col].blk_only) && (!nest_flush(n) || !lay_values(n, src, y)))
        return false;
    *out = y->col[from->col].val;
    return true;
}

/* Where the result goes: blocks of lanes, or rows. */
static bool output_buffer(Native *n, Rel *r, const NestSource *from, const NestBuf *b, void **out)
{
    Lay *y = &r->lay;
    LCol *k = from->col < 0 ? NULL : &y->col[from->col];
    Arr *a = !k ? &y->place_mem : b->lanes ? &k->blk_mem : &k->val_mem;

    if (b->lanes ? !arr_need(n, a, block_bytes(n, y, b->rows)) : !arr_take(n, a, b->rows * n->esz))
        return false;
    *out = a->p;
    if (!k) {
        y->place_only = true;
        y->all_here = false;
        return true;
    }
    k->any_null = false;
    k->unscanned = true;
    k->blk_only = b->lanes;
    k->blk_ver = 0;
    if (b->lanes)
        k->blk = a->p;
    else
        k->val = a->p;
    return true;
}

/* Counts over the lanes: those of one lane, as often as there are lanes. */
static bool fill_counts(Native *n, Rel *r, size_t L)
{
    const Lowered *low = &r->plan.nest->low;

    for (int c = 0; c < r->b->n_cols; c++) {
        LCol *k = &r->lay.col[c];
        if (k->kind != CK_dyn)
            continue;
        if (!arr_need(n, &k->key_mem, r->lay.R * sizeof(int64_t)))
            return false;
        k->key = k->key_mem.p;
        for (size_t row = 0; row < r->lay.R; row++)
            k->key[row] = low->count[c][row] * (int64_t)L;
    }
    return true;
}

static bool find_buffers(Native *n, Rel *r)
{
    NestPlan *np = r->plan.nest;
    const Nest *nest = &np->low.nest;

    np->p = np->p ? np->p : ARENA_ARRAY(&np->arena, void *, nest->n_bufs + 1);
    for (int k = 0; k < nest->n_bufs; k++)
        if (np->low.from[k].src >= 0 && !input_buffer(n, r, &np->low.from[k], nest->buf[k].lanes, &np->p[k]))
            return false;
    for (int k = 0; k < nest->n_bufs; k++)
        if (np->low.from[k].src < 0 && !output_buffer(n, r, &np->low.from[k], &nest->buf[k], &np->p[k]))
            return false;
    return true;
}

/* ---- running ---- */

typedef struct Together { Native *n; Parts parts; size_t L; } Together;

static size_t partial_rows(const NestBuf *b)
{
    return (b->rows + 15) / 16 * 16;
}

/* The buffers of one part: sums go to places of their own. */
static void part_buffers(const Together *t, const NestPlan *np, int part, void **p)
{
    const Nest *nest = &np->low.nest;
    char *at = (char *)np->partial.p;

    memcpy(p, np->p, (size_t)nest->n_bufs * sizeof *p);
    for (int k = 0; nest->sum_lanes && t->parts.n > 1 && k < nest->n_bufs; k++) {
        const size_t bytes = partial_rows(&nest->buf[k]) * t->n->esz;
        if (!nest->buf[k].written)
            continue;
        p[k] = at + (size_t)part * bytes;
        at += (size_t)t->parts.n * bytes;
    }
}

static void run_part(void *arg, int part)
{
    Together *t = arg;
    const size_t b0 = (size_t)part * t->parts.step, b1 = b0 + t->parts.step;
    void *p[64];

    for (int k = 0; k < t->n->n_queue; k++) {
        Rel *r = t->n->queue[k];
        const NestPlan *np = r->plan.nest;
        const double from = native_seconds(t->n);
        part_buffers(t, np, part, p);
        np->fn(p, (int64_t)b0, (int64_t)(b1 < t->parts.blocks ? b1 : t->parts.blocks), (int64_t)t->L, 0);
        if (t->n->trace && !t->n->pool)
            r->spent.computing += native_seconds(t->n) - from;
    }
}

static void add_up(const Native *n, void *out, const char *from, size_t rows, size_t stride, int parts)
{
    memcpy(out, from, rows * n->esz);
    for (int k = 1; k < parts; k++) {
        from += stride;
        if (n->o.f64)
            for (size_t i = 0; i < rows; i++)
                ((double *)out)[i] += ((const double *)(const void *)from)[i];
        else
            for (size_t i = 0; i < rows; i++)
                ((float *)out)[i] += ((const float *)(const void *)from)[i];
    }
}

static void sum_parts(const Native *n, const NestPlan *np, int parts)
{
    const char *at = np->partial.p;

    for (int k = 0; k < np->low.nest.n_bufs; k++) {
        const NestBuf *b = &np->low.nest.buf[k];
        const size_t bytes = partial_rows(b) * n->esz;
        if (!b->written)
            continue;
        add_up(n, np->p[k], at, b->rows, bytes, parts);
        at += (size_t)parts * bytes;
    }
}

static bool room_for_parts(Native *n, NestPlan *np, int parts)
{
    size_t bytes = 0;

    for (int k = 0; k < np->low.nest.n_bufs; k++)
        bytes += np->low.nest.buf[k].written ? partial_rows(&np->low.nest.buf[k]) * n->esz : 0;
    return !np->low.nest.sum_lanes || parts < 2 || arr_need(n, &np->partial, bytes * (size_t)parts);
}

bool nest_flush(Native *n)
{
    bool ok = true;

    if (n->n_queue == 0)
        return true;
    Together t = { .n = n, .L = n->queue_L };
    t.parts = cut_lanes(n, t.L);
    for (int k = 0; ok && k < n->n_queue; k++)
        ok = room_for_parts(n, n->queue[k]->plan.nest, t.parts.n);
    if (ok && n->pool && t.parts.n > 1)
        pool_run(n->pool, t.parts.n, run_part, &t);
    else
        for (int k = 0; ok && k < t.parts.n; k++)
            run_part(&t, k);
    for (int k = 0; k < n->n_queue; k++) {
        NestPlan *np = n->queue[k]->plan.nest;
        if (ok && np->low.nest.sum_lanes && t.parts.n > 1)
            sum_parts(n, np, t.parts.n);
        n->queue[k]->queued = false;
    }
    const int done = n->n_queue;
    n->n_queue = 0;
    for (int k = 0; k < done; k++)
        rel_done(n, n->queue[k]);
    return ok;
}

typedef struct Alone { const NestPlan *np; int64_t count; int parts; } Alone;

static void run_alone_part(void *arg, int part)
{
    const Alone *a = arg;

    a->np->fn(a->np->p, a->count * part / a->parts, a->count * (part + 1) / a->parts, 1, 0);
}

/* Without lanes: the split loop is cut, if it is an output loop, and if that is worth it. */
static void run_alone(Native *n, const NestPlan *np)
{
    const Nest *nest = &np->low.nest;
    const int s = nest->split;
    Alone a = { np, s < 0 ? 1 : nest->loop[s].max - nest->loop[s].min + 1, 1 };

    if (s >= 0 && s < nest->n_out && n->pool) {
        const double worth = nest_work(nest) / PART_WORK;
        a.parts = worth > MAX_PARTS ? MAX_PARTS : (int)worth;
        a.parts = a.parts > a.count ? (int)a.count : a.parts;
    }
    if (a.parts > 1) {
        pool_run(n->pool, a.parts, run_alone_part, &a);
        return;
    }
    a.parts = 1;
    run_alone_part(&a, 0);
}

bool nest_compute(Native *n, Rel *r)
{
    NestPlan *np = r->plan.nest;
    size_t L;

    if (!plan_output_lanes(n, r, &L))
        return false;
    if (n->n_queue && (!np->low.nest.lanes || L != n->queue_L) && !nest_flush(n))
        return false;
    if (!find_buffers(n, r) || !fill_counts(n, r, L))
        return false;
    if (np->low.nest.lanes) {
        r->queued = true;
        n->queue_L = L;
        n->queue[n->n_queue++] = r;
    } else {
        run_alone(n, np);
    }
    r->lay.val_ver = ++n->clock;
    for (int c = 0; c < r->lay.n_cols; c++)
        r->lay.col[c].blk_ver = r->lay.col[c].blk_only ? r->lay.val_ver : 0;
    plan_remember(r);
    return true;
}

/* ---- explaining ---- */

static const char *path_of(const Rel *r)
{
    if (r->plan.nest)
        return "nest";
    if (r->b->one_row)
        return "one row";
    return r->life == LIFE_static ? "computed once" : r->plan.laned ? "tuple list x lanes" : "tuple list";
}

static void explain_rel(const Rel *r, Buf *out)
{
    buf_printf(out, "-- %d ", r->b->id);
    print_name(out, r->b->name, &dialect_canonical);
    buf_printf(out, ": %s", path_of(r));
    if (!r->plan.nest && r->plan.no_nest)
        buf_printf(out, " (%s)", r->plan.no_nest);
    buf_putc(out, '\n');
    if (r->plan.nest)
        nest_listing(out, &r->plan.nest->low.nest);
}

Code nest_explain(Engine *e, bool text, Buf *out, Err *err)
{
    Native *n = (Native *)e;
    const Target t = target_of(n);

    (void)err;
    if (text)
        nest_prelude(out, &t);
    for (int k = 0; k < n->n_rels; k++) {
        Rel *r = &n->rel[k];
        if (!r->needed || r->b->kind == BLK_base)
            continue;
        if (!text)
            explain_rel(r, out);
        else if (r->plan.nest)
            nest_text(out, &r->plan.nest->low.nest, &t);
    }
    return OK;
}
