/* SPDX-License-Identifier: Apache-2.0
 *
 * native_nest.c - blocks as loop nests, the symbolic part: what is known of the sources' rows, what can be lowered,
 * and the code for it.  All nests that are new are compiled together.  They run in native_sweep.c. */
#include "exec/native_nest.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BLOCKS 8                   /* lane blocks of a part: large sums are written once a part */
#define LEAST_WORK 3e8                  /* multiply-adds of a run that are worth a compiler's time */

typedef struct NestLib { struct NestLib *next; CcLib lib; } NestLib;

/* As many as the widest vectors the CPU has hold numbers, or fewer if batches are small: one number for all of a run,
 * since the order of sums depends on it. */
size_t nest_width(Native *n)
{
    const size_t keys = n->have_batch ? n->batch_keys.n_rows : SIZE_MAX;

    if (!n->width)
        for (n->width = kern_vector_bytes() / n->esz; n->width * n->esz > 16 && keys <= n->width / 2;)
            n->width /= 2;
    return n->width;
}

size_t nest_blocks(Native *n, size_t L)
{
    return (L + nest_width(n) - 1) / nest_width(n);
}

Parts nest_parts(Native *n, size_t L)
{
    Parts p = { .blocks = nest_blocks(n, L) };

    p.step = p.blocks / 2 < MOST_BLOCKS ? p.blocks / 2 : MOST_BLOCKS;   /* two threads share the smallest batches */
    if (p.step * MAX_PARTS < p.blocks)
        p.step = (p.blocks + MAX_PARTS - 1) / MAX_PARTS;
    if (p.step == 0)
        p.step = 1;
    p.n = (int)((p.blocks + p.step - 1) / p.step);
    return p;
}

/* AVX-512 has 32 registers for vectors of any width. */
Target nest_target(Native *n)
{
    return (Target){ .f64 = n->o.f64, .W = (int)(kern_vector_bytes() / n->esz), .B = (int)nest_width(n),
                     .regs = kern_vector_bytes() == 64 ? 32 : 16,
                     .blocks = n->have_batch ? (int)nest_parts(n, n->batch_keys.n_rows).step : 0 };
}

/* ---- what is known of a relation's rows ---- */

static RegKind regular_kind(const Lay *y, const LCol *k)
{
    if (k->kind == CK_lane)
        return REG_lane;
    if (k->kind == CK_dyn && k->type == T_INT && !k->nulls && y->L == 1 && !y->is_view)
        return REG_count;
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

static bool look_at_keys(Native *n, Lay *y, bool lanes, bool loose, struct LayShape *s)
{
    const int64_t **key = ARENA_ARRAY(&s->arena, const int64_t *, y->n_cols + 1);
    RegKind *kind = ARENA_ARRAY(&s->arena, RegKind, y->n_cols + 1);
    bool *ints = ARENA_ARRAY(&s->arena, bool, y->n_cols + 1);

    if (!lay_keys(n, y))
        return false;
    for (int c = 0; c < y->n_cols; c++) {
        key[c] = y->col[c].kind == CK_row ? y->col[c].key : NULL;
        kind[c] = regular_kind(y, &y->col[c]);
        ints[c] = y->col[c].type == T_INT;
    }
    return regular_look(&s->reg, &s->arena, y->n_cols, key, kind, ints, (int64_t)y->R, KEY_NULL, loose) &&
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
        if (y->col[c].kind == CK_row && (g->col[c].kind == REG_none || g->col[c].kind == REG_count))
            return;
    for (int c = 0; c < y->n_cols; c++)
        if (y->col[c].kind == CK_row)
            forget_keys(n, &y->col[c]);
    y->gen = g;
}

/* The dimension that column c runs along alone; -1. */
static int dim_of_col(const Regular *g, int c)
{
    const RegCol *k = &g->col[c];
    int found = -1;

    if (k->kind == REG_codes)
        return k->dim;
    for (int d = 0; k->kind == REG_affine && d < g->n_dims; d++)
        if (k->key.k[d])
            found = found == -1 ? d : -2;
    return found;
}

/* Rows of a base table that are there by their place: one in all, or one of each group. */
static bool base_places(const Lay *y, Regular *g)
{
    const int dim = y->chosen < 0 ? -1 : dim_of_col(g, y->chosen);
    int64_t groups = 1;

    g->winner = true;
    g->pick = -1;
    g->chosen = 1;
    for (int d = g->n_dims - 1; d >= 0; d--) {
        if (y->chosen < 0) {
            g->place.k[d] = g->stride[d];
        } else if (d == dim) {
            g->place.k[d] = 1;
        } else {
            g->group.k[d] = groups;
            groups *= g->extent[d];
        }
    }
    g->part = g->group;
    g->groups = groups;
    return y->chosen < 0 || dim >= 0 || (dim == -1 && groups == g->rows);
}

/* Are its rows the same in all steps and batches?  Else there would be code for each. */
static bool rows_stay(const Rel *r)
{
    return !r->b->batched && !r->b->dynamic_rows && !r->plan.hard;
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
    s->ok = look_at_keys(n, y, lanes, rows_stay(r), s) && (!y->masked || base_places(y, &s->reg));
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

    return !n->no_cc && !n->o.no_loops && r->life != LIFE_static && !(b->kind == BLK_row && b->one_row);
}

Lay *nest_lay(Native *n, Rel *r, int s, bool batch, bool *err)
{
    const int k = read_of(r, s);

    return batch && k >= 0 ? plan_lay(n, r, k, err) : &r->src[s]->lay;
}

static bool read_sources(Native *n, Rel *r, bool batch, const Regular **src)
{
    bool err = false;

    for (int s = 0; s < r->b->n_src; s++) {
        Lay *y = nest_lay(n, r, s, batch, &err);
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
        now[c].nulls = kind == REG_list && regular_any_null(&low->out, c);
        if (kind == REG_lane)
            r->lay.lane = c;
        if (now[c].kind == CK_row && low->count[c])
            ok = fill_counts_of_rows(n, low, c, &key[c]);
        else if (now[c].kind == CK_row)
            forget_keys(n, &r->lay.col[c]);
    }
    ok = ok && lay_commit(n, &r->lay, (size_t)low->out.rows, now, key, low->out.winner || low->out.n_conds);
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
    r->lay.place_only = false;
    for (int c = 0; c < r->lay.n_cols; c++)             /* a list may come next: its numbers are not in blocks */
        r->lay.col[c].blk_only = false;
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

/* A gradient of the rows that one batch meets, of an embedding say: another batch meets others.  A nest's rows are the
 * same for all batches: a slice. */
static bool reads_rows_of_batch(Native *n, const Rel *r)
{
    for (int s = 0; s < r->b->n_src; s++) {
        const Block *b = r->src[s]->b;
        if (b->batched && b->grad_of && prog_has(n->p, b->grad_of) && !r->src[s]->plan.nest &&
            lay_size(&r->src[s]->lay) < lay_size(&n->rel[b->grad_of->id].lay))
            return true;
    }
    return false;
}

static bool has_many_buffers(const Nest *n)
{
    return n->n_bufs > MAX_BUFS && !n->copies;
}

/* Does it wait for code? */
static bool lacks_code(const NestPlan *np)
{
    return np && !np->fn && !np->low.nest.copies;
}

bool nest_settle(Native *n, Rel *r, bool lanes, bool *done)
{
    const bool batch = lanes && is_batch_laned(r);
    const Regular **src = ARENA_ARRAY(&n->scratch, const Regular *, r->b->n_src + 1);

    *done = false;
    nest_drop(n, r);
    if (!may_be_nest(n, r) || (lanes ? !batch : reads_batch_keys(r) || reads_rows_of_batch(n, r)))
        return true;                    /* with a batch's keys as dimensions there would be code for every batch */
    r->plan.no_nest = NULL;
    if (!read_sources(n, r, batch, src))
        return false;
    NestPlan *np = r->plan.nest = mem_alloc(sizeof *np);
    if (!lower_block(r->b, &n->order[r->b->id], src, n->blind[r->b->id], &np->arena, &np->low, &r->plan.no_nest) ||
        has_many_buffers(&np->low.nest) || (!np->low.nest.copies && !nest_can(&np->low.nest))) {
        if (!r->plan.no_nest)
            r->plan.no_nest = has_many_buffers(&np->low.nest) ? "it reads and writes too many columns"
                                                             : "an operator has no C text";
        nest_drop(n, r);
        return true;
    }
    nest_rebase(&np->low.nest);
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

void nest_keep_lib(Native *n, const CcLib *lib)
{
    NestLib *l = ARENA_NEW(&n->arena, NestLib);

    *l = (NestLib){ n->libs, *lib };
    n->libs = l;
}

static void bind_code(Native *n, const CcLib *lib, const Target *t)
{
    for (int k = 0; k < n->n_rels; k++) {
        NestPlan *np = n->rel[k].plan.nest;
        Buf name = { 0 };
        if (!lacks_code(np))
            continue;
        NestText *text = &n->nest_text[np->text];
        if (!text->fn) {
            nest_name(&name, &np->low.nest, t);
            void *fn = cc_symbol(lib, name.s);
            memcpy(&text->fn, &fn, sizeof fn);
            buf_free(&name);
        }
        np->fn = text->fn;
    }
}

/* Without a compiler the lists do the work of what has no code. */
static void do_without(Native *n)
{
    n->no_cc = true;
    for (int k = 0; k < n->n_rels; k++) {
        Rel *r = &n->rel[k];
        if (!lacks_code(r->plan.nest))
            continue;
        nest_drop(n, r);
        r->plan.settled = r->plan.computed = false;
    }
}

size_t nest_lanes(const Rel *r)
{
    size_t lanes = 1;

    for (int j = 0; r->plan.nest && r->plan.laned && j < plan_reads(r); j++)
        if (r->plan.lane_col[j] >= 0)
            lanes = r->src[plan_read_src(r, j)]->lay.L;
    return lanes;
}

/* Decided once, by what the first nests have to do in one run. */
static bool is_worth_it(Native *n)
{
    double work = 0;

    if (n->o.all_loops || n->libs)
        return true;
    for (int k = 0; k < n->n_rels; k++) {
        const Rel *r = &n->rel[k];
        work += r->plan.nest ? nest_work(&r->plan.nest->low.nest) * (double)nest_lanes(r) : 0;
    }
    return work >= LEAST_WORK;
}

static bool any_new(const Native *n)
{
    for (int k = 0; k < n->n_rels; k++)
        if (lacks_code(n->rel[k].plan.nest))
            return true;
    return false;
}

/* The text of a nest, unless another nest has the same one: then that one's function is its, too. */
static void text_of_nest(Native *n, NestPlan *np, const Target *t, Buf *out)
{
    Nest *nest = &np->low.nest;
    Buf text = { 0 };

    if (!n->text_of.a)
        map_init(&n->text_of, &n->arena);
    nest->code = 0;
    nest_text(&text, nest, t);
    const int *known = map_get(&n->text_of, text.s, text.n);
    np->text = known ? *known : n->n_nest_texts;
    if (!known) {
        map_put(&n->text_of, text.s, text.n, np->text);
        VEC_PUSH(&n->arena, n->nest_text, n->n_nest_texts, ((NestText){ .code = nest->id }));
    }
    buf_free(&text);
    nest->code = n->nest_text[np->text].code;
    np->fn = n->nest_text[np->text].fn;
    if (!known)
        nest_text(out, nest, t);
}

static int write_pieces(Native *n, Piece *piece, const Target *t)
{
    Buf *text = ARENA_ARRAY(&n->scratch, Buf, n->n_rels + 1);
    size_t total = 0;
    int pieces = 1;

    for (int k = 0; k < n->n_rels; k++) {
        NestPlan *np = n->rel[k].plan.nest;
        if (!lacks_code(np))
            continue;
        nest_schedule(&np->low.nest, t);
        text_of_nest(n, np, t, &text[k]);
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
    double longest = 0;

    for (int i = 0; i < pieces; i++) {
        longest = piece[i].lib.seconds > longest ? piece[i].lib.seconds : longest;
        buf_free(&piece[i].text);
        bad = !bad && piece[i].rc != OK ? &piece[i] : bad;
        if (piece[i].rc != OK)
            continue;
        nest_keep_lib(n, &piece[i].lib);
        bind_code(n, &piece[i].lib, t);
    }
    n->code_seconds += longest;
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
    const Target t = nest_target(n);

    if (!any_new(n))
        return true;
    if (!is_worth_it(n)) {
        do_without(n);
        return true;
    }
    Piece *piece = ARENA_ARRAY(&n->scratch, Piece, MOST_PIECES);
    const int pieces = write_pieces(n, piece, &t);
    if (!any_new(n)) {                      /* all of them run functions that are there */
        for (int i = 0; i < pieces; i++)
            buf_free(&piece[i].text);
        return true;
    }
    compile_pieces(n, piece, pieces);
    if (!take_pieces(n, piece, pieces, &t))
        return false;
    trials_find(n, &t);
    return true;
}

double nest_seconds(const Engine *e)
{
    return ((const Native *)e)->code_seconds;
}

void nest_close(Native *n)
{
    trials_close(n);
    for (NestLib *l = n->libs; l; l = l->next)
        cc_close(&l->lib);
    n->libs = NULL;
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
    const Target t = nest_target(n);

    (void)err;
    if (text)
        nest_prelude(out, &t);
    for (int k = 0; k < n->n_rels; k++) {
        Rel *r = &n->rel[k];
        if (!r->needed || r->b->kind == BLK_base)
            continue;
        if (!text)
            explain_rel(r, out);
        else if (r->plan.nest && !r->plan.nest->low.nest.copies)
            nest_text(out, &r->plan.nest->low.nest, &t);
    }
    return OK;
}
