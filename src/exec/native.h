/* SPDX-License-Identifier: Apache-2.0
 *
 * native.h - what the files of the native engine share.
 *
 * A relation is a set of rows × lanes.  Keys are settled once: static int64 arrays, a row each.  Values
 * are flat arrays of R × L numbers, lane innermost.  Which rows exist may depend on values: then the rows
 * are a static superset and `pres` says which are there.  What is absent or NULL holds 0, so that sums of
 * products need no masks where all numbers are finite.
 *
 *   native.c          the interface: open, bind, batch, run, assign, fetch
 *   native_base.c     base tables, batches
 *   native_fill.c     numbers of a batch into blocks of lanes, also ahead of time
 *   native_ties.c     what keys of other tables a column is compared with
 *   native_mem.c      counted memory, texts
 *   native_lay.c      layouts: lanes, re-laning, expanded keys
 *   native_sort.c     ranks, stable orders, hash tables of keys
 *   native_lanes.c    symbolic phase: which column runs along the lanes
 *   native_settle.c   symbolic phase: groups, output rows, programs
 *   native_join.c     symbolic phase: one block's join as a tuple list
 *   native_tape.c     expressions to register programs
 *   native_run.c      their interpreter
 *   native_ints.c     kernels on integers, truth values and texts
 *   native_kernels.c  kernels on numbers, for float and double, for several kinds of CPU
 *   native_compute.c  numeric phase: rows, sums, picks
 *   native_nest.c     blocks as loop nests in place of tuple lists: what is lowered and compiled
 *   native_sweep.c    nests at work: lanes in parts, blocks of lanes
 *   native_trial.c    which of a nest's schedules is fastest here
 *   native_want.c     which rows anyone will read
 *   native_replay.c   steps that do what the step before did
 *   native_pool.c     threads */
#ifndef SG_NATIVE_H
#define SG_NATIVE_H

#include "exec/engine.h"
#include "lower/lower.h"

/* A key is an int64: an INTEGER itself, the code of a TEXT, a REAL as ordered bits.  Two values mean something
 * else; they lie below the bits of any REAL, and data that holds them is refused. */
#define KEY_NULL REG_NULL
#define KEY_BAD  (INT64_MIN + 10369)    /* integer overflow; an error once it is stored or compared */
#define IS_KEY(k) ((k) != KEY_NULL && (k) != KEY_BAD)
#define ROW_NONE UINT32_MAX             /* no row: an unmatched LEFT source */
#define MAX_SRC  64
#define CHUNK    ((size_t)1024)         /* elements a register holds */

typedef struct Native Native;
typedef struct Rel Rel;

/* ---- memory: every large array is counted against the limit ---- */

typedef struct Arr { void *p; size_t cap; } Arr;
/* At least nbytes; contents are lost when it grows (arr_need) or kept (arr_keep).  False: error set. */
bool arr_need(Native *n, Arr *a, size_t nbytes);
bool arr_keep(Native *n, Arr *a, size_t used, size_t nbytes);
void arr_drop(Native *n, Arr *a);
bool arr_take(Native *n, Arr *a, size_t nbytes);        /* as arr_need, from the spare buffers if one fits */
void arr_spare(Native *n, Arr *a);                      /* to the spare buffers */
bool arr_fits(Native *n, double nbytes);        /* would that much more be allowed?  False: error set */
/* Set the error of the running call; false. */
bool native_fail(Native *n, Code code, const char *id, const char *fmt, ...) PRINTF(4, 5);
bool native_stopped(Native *n);
double native_seconds(const Native *n);                 /* a clock, while there is a trace; else 0 */

/* ---- texts ---- */

/* Codes are handed out in order of arrival; their byte order is `rank`, made again when texts came. */
typedef struct Dict { Arena arena; Map map; uint32_t *rank; int n_ranked; size_t rank_cap; } Dict;
int64_t dict_code(Dict *d, const char *s);
const char *dict_text(const Dict *d, int64_t code);
const uint32_t *dict_ranks(Dict *d);

/* ---- layouts ---- */

typedef enum ColKind {
    CK_row,             /* key[r] */
    CK_lane,            /* lane_key[l] */
    CK_dyn,             /* INT or TEXT computed from values: key[r * L + l] */
    CK_val              /* val[r * L + l]; `known`: also key[r], its ordered bits, the same in all lanes */
} ColKind;

typedef struct LCol {
    ColKind kind;
    Type type;
    bool known;
    bool nulls;                 /* the column may hold NULL: `null` is in use (CK_val) */
    bool any_null, finite;      /* what the last computation left, absent rows aside */
    int64_t *key;
    void *val;
    uint8_t *null;
    Arr key_mem, val_mem, null_mem;
    Arr xkey; uint64_t xkey_ver;        /* codes at flat positions, made when a reader asks */
    size_t n_distinct; uint64_t distinct_ver;
    /* The same numbers in blocks of W lanes, as nests have them (nest.h): they are those of val_ver `blk_ver`. */
    void *blk; Arr blk_mem; uint64_t blk_ver;
    bool blk_only;              /* val was not made yet */
    bool val_asked;             /* it was, once: base tables keep making it */
    bool unscanned;             /* finite is not known yet */
    bool as_number; uint64_t num_ver;   /* an integer that nests read as a number: val holds it, of this version */
} LCol;

typedef struct Lay {
    size_t R, L;
    int lane;                   /* first lane column, -1: one lane without a key */
    int64_t *lane_key; Arr lane_mem;
    LCol *col; int n_cols;
    bool masked;                /* pres is in use */
    bool all_here;              /* masked, but nothing is absent at present */
    uint8_t *pres; Arr pres_mem;
    uint64_t rows_ver;          /* R, kinds, static keys */
    uint64_t lane_ver;          /* L, lane_key */
    uint64_t val_ver;           /* everything else */
    /* a view of another layout with another lane */
    bool is_view, ok;
    bool same_order;            /* flat positions are those of the original: arrays are shared */
    uint32_t *perm; Arr perm_mem;       /* flat position here -> there */
    const Regular *digits; int digit;   /* the lane is this digit of the row number: perm is made when it is needed */
    uint64_t of_rows, of_lane, of_val;
    /* what nests know of it: read with lanes, and with all keys as dimensions */
    struct LayShape { Regular reg; bool looked, ok; uint64_t rows, lane; Arena arena; } shape[2];
    const Regular *gen;         /* static keys that were not made yet can be made from this; or NULL */
    Arr place_mem; bool place_only;     /* a pick: places of the winners; pres was not made yet */
    bool one_each;              /* masked: every lane has one row; place_mem says which … */
    int chosen;                 /* … or -1 < one row of each group, which differ in this column: the place is its number */
} Lay;

size_t lay_size(const Lay *y);
Code lay_init(Native *n, Lay *y, const Block *b);
void lay_free(Native *n, Lay *y);
void lay_forget_view(Native *n, Lay *v);               /* it is made anew when it is asked for */
/* The layout of r whose lane is column col, or NULL: its rows are no product (*err: out of memory). */
Lay *lay_with_lane(Native *n, Rel *r, int col, bool *err);
bool lay_values(Native *n, Rel *r, Lay *y);             /* bring a view's values up to date */
bool lay_plain(Native *n, Lay *y);                      /* val and pres, where only nests' forms of them are there */
/* Integers that nests read as numbers, of the present version. */
bool lay_numbers(Native *n, Lay *y);
bool lay_finite(Native *n, Lay *y, int c);              /* are all numbers of column c finite? */
/* Codes of column c at flat positions; values are read as they are now. */
const int64_t *lay_codes(Native *n, Lay *y, int c);
size_t lay_distinct(Native *n, Lay *y, int c);          /* of a CK_row column, over R rows; 0: unknown */
bool lay_same_lanes(const Lay *x, const Lay *y);
bool lay_equal_cols(Native *n, Lay *y, int c, int d);        /* the same key in every row, so that they are lanes together */
bool lay_set_lanes(Native *n, Lay *y, const int64_t *key, size_t L);
/* New rows: kind, known and nulls of every column as in `now`, static keys in `key` (taken over).  If nothing
 * differs, rows_ver stays. */
bool lay_commit(Native *n, Lay *y, size_t R, const LCol *now, Arr *key, bool masked);
bool lay_keys(Native *n, Lay *y);                       /* make the static keys that only `gen` knows */

int64_t real_code(double x);
double code_real(int64_t k);

/* ---- sorting and hashing of codes ---- */

/* rank[i] of key[i] among the distinct keys, in key order (NULL first, texts by bytes). */
bool rank_codes(Native *n, const int64_t *key, size_t count, Type type, uint32_t *rank, size_t *n_distinct);
/* Stable order of rows by rank columns, the first the most significant: perm[0 … count). */
bool order_rows(Native *n, size_t count, int n_cols, uint32_t *const *rank, const size_t *n_ranks, uint32_t *perm);

/* Rows grouped by equal keys (n_keys columns of `count` codes); groups in order of first row. */
typedef struct KeyTable {
    int n_keys; const int64_t **key;
    size_t count, n_groups;
    uint32_t *slot; size_t mask;
    uint32_t *first, *gid;      /* first row of a group; group of a row, ROW_NONE: left out */
    uint32_t *ptr, *row;        /* rows of group g: row[ptr[g] … ptr[g + 1]) */
    Arr mem[5];
} KeyTable;
/* skip[k]: rows with NULL in key k are left out. */
bool keys_build(Native *n, KeyTable *t, int n_keys, const int64_t **key, const bool *skip, size_t count);
bool keys_lists(Native *n, KeyTable *t);                /* ptr, row */
uint32_t keys_find(const KeyTable *t, const int64_t *code);
void keys_free(Native *n, KeyTable *t);

/* ---- expressions as register programs ---- */

typedef enum RegType { RT_real, RT_int, RT_bool } RegType;      /* bool: 0 false, 1 NULL, 2 true */
typedef enum RegShape { SH_const, SH_tuple, SH_full } RegShape; /* one value; one a tuple; one a tuple and lane */

typedef struct Reg { RegType type; RegShape shape; bool nulls; } Reg;

typedef enum InsKind {
    IN_load, IN_pres, IN_lit, IN_spread, IN_guard,
    IN_real, IN_int, IN_cmp, IN_cmp_int, IN_cmp_text, IN_extreme_text,
    IN_and, IN_or, IN_not, IN_same, IN_is_null, IN_sel, IN_coalesce, IN_nullif,
    IN_to_real, IN_to_int, IN_to_bool, IN_parse, IN_print,
    IN_place, IN_place_text, IN_draw
} InsKind;

/* dst = op(a, b), c the condition of IN_sel and IN_nullif; registers.  IN_draw: of place a, seed b, step c in stream i. */
typedef struct Ins { InsKind kind; Op op; int dst, a, b, c; int src, col; double r; int64_t i; } Ins;

/* How a block reads a source. */
typedef struct Input {
    Rel *rel; Lay *lay;
    bool used;                  /* part of this list */
    bool laned;                 /* lanes run along; else flat positions are rows */
    bool left, weak;            /* LEFT: some tuples have no row; weak: a match may be absent by values */
    bool pres_settled;          /* absent rows are not in the list */
    Expr **soft; int n_soft;    /* LEFT: ON conditions left to the numeric phase */
    const uint32_t *idx;        /* row of each tuple; NULL: tuple number + base, or always 0 */
    bool always0;
    size_t base;
    Arr idx_mem;
} Input;

typedef struct Tape {
    Arena arena;
    const Block *b;
    Input *in; int n_in;
    bool laned;                 /* tuples × lanes; else one lane */
    Ins *ins; int n_ins;
    Reg *reg; int n_regs;
    const Expr **memo_e; int *memo_r; int n_memo;
    int *match;                 /* per source: register that says whether a weak source has its row; -1 */
    bool serial;                /* makes texts: one thread */
} Tape;

bool tape_init(Native *n, Tape *t, const Block *b, Input *in, int n_in, bool laned);
void tape_free(Tape *t);
/* The register of e.  Loads are resolved when the tape runs; kinds and nullability are those of now. */
int  tape_expr(Native *n, Tape *t, const Expr *e);
int  tape_as(Tape *t, int r, RegType type);
int  tape_full(Tape *t, int r);                         /* spread to tuples × lanes */
/* A register true where the tuple is there: presences of inner sources and the given conditions; -1: always. */
int  tape_mask(Native *n, Tape *t, Expr *const *soft, int n_soft);
bool tape_ready(Native *n, Tape *t);                    /* expanded keys and view values are there */

/* Registers of one thread. */
typedef struct Frame {
    Native *n; const Tape *t;
    void **data; uint8_t **null;        /* by register: where it is now */
    void **home; uint8_t **home_null;   /* its own memory */
    bool bad;                           /* an integer overflowed and was used */
    void *mem; size_t cap;
} Frame;
/* Registers of `cap` elements (at most CHUNK); constants are computed here.  False: error set. */
bool frame_open(Native *n, Frame *f, const Tape *t, size_t cap);
void frame_close(Frame *f);
/* Tuples t0 … t0 + nt, lanes l0 … l0 + nl of L; nl == L or nt == 1; nt * nl <= cap. */
void frame_run(Frame *f, size_t t0, size_t nt, size_t l0, size_t nl, size_t L);
/* Register r as codes, `count` of them. */
void frame_codes(Frame *f, int r, size_t count, int64_t *out);

/* ---- kernels ---- */

enum { N_OPS = 0
#define O(name, nargs, kind, grad, sql) + 1
    OPS(O)
#undef O
};

typedef void RealFn(void *d, const void *a, const void *b, size_t n);

/* Sums of products with lanes: rows row[r0 … r1) of out, or r0 … r1 if row is NULL.  a_rows: rows of a, to know whether
 * it is large; out_rows: rows of out up to which vectors may write what is written anew later, or by nobody. */
typedef struct LaneSums {
    void *out; const void *a, *b;
    const uint32_t *ia, *ib, *ptr, *row;
    size_t r0, r1, L, a_rows, out_rows;
} LaneSums;

typedef void LanesFn(const LaneSums *j);

/* What bytes stand for: number[byte] of the kernel's type.  Even: the same bits are first + step * byte. */
typedef struct ByteNumbers { const void *number; bool even; double first, step; } ByteNumbers;

/* One set for float and one for double, for the CPU at hand. */
typedef struct Kern {
    RealFn *real[N_OPS];                        /* arithmetic; b ignored by unary ones */
    RealFn *cmp[N_OPS];                         /* d: truth values */
    void (*sel)(void *d, const uint8_t *c, const void *x, const void *y, size_t n);
    void (*pick_null)(void *d, const uint8_t *null, const void *x, const void *y, size_t n);   /* null ? y : x */
    void (*fill)(void *d, double x, size_t n);
    void (*spread)(void *d, const void *a, size_t nt, size_t nl);
    void (*gather)(void *d, uint8_t *null, const void *a, const uint8_t *anull, const uint32_t *ix, size_t n);
    void (*gather_lanes)(void *d, uint8_t *null, const void *a, const uint8_t *anull, const uint32_t *ix, size_t nt,
                         size_t L, size_t l0, size_t nl);
    void (*from_int)(void *d, uint8_t *null, const int64_t *a, size_t n);
    /* Random numbers in [0, 1), see base/philox.h. */
    void (*draw)(void *d, int64_t stream, int64_t seed, int64_t step, const int64_t *place, size_t n);
    void (*to_int)(int64_t *d, const void *a, const uint8_t *null, size_t n);
    void (*codes)(int64_t *d, const void *a, const uint8_t *null, size_t n);
    void (*from_codes)(void *d, uint8_t *null, int64_t code, size_t n);
    /* d = x where mask is true (NULL mask: everywhere) and x not NULL, else 0; dnull where x is NULL and there */
    void (*store)(void *d, uint8_t *dnull, const void *x, const uint8_t *xnull, const uint8_t *mask, size_t n);
    /* acc over lanes: sum, max, min of x where valid (valid NULL: everywhere); seen[l] set where valid */
    void (*acc)(Agg agg, void *acc, uint8_t *unset, const void *x, const uint8_t *skip, size_t n);
    /* the same over n elements into one double */
    void (*fold)(Agg agg, double *acc, bool *unset, const void *x, const uint8_t *skip, size_t n);
    bool (*finite)(const void *a, size_t n);
    /* out[r] = sum over t in [ptr[r], ptr[r+1]) of a * b, by how a and b have lanes; lanes_x_list: b[t], as the list has
     * them, and no ib.  Vectors read behind a's last row. */
    LanesFn *lanes_x_scalar, *lanes_x_list, *lanes_x_lanes;
    void (*dot_scalar)(void *out, const void *a, const uint32_t *ia, const void *b, const uint32_t *ib,
                       const uint32_t *ptr, size_t r0, size_t r1, size_t L);
    void (*dot_lanes)(void *out, const void *a, const uint32_t *ia, const void *b, const uint32_t *ib,
                      const uint32_t *ptr, size_t r0, size_t r1, size_t L);
    void (*dot)(void *out, const void *a, const uint32_t *ia, const void *b, const uint32_t *ib,
                const uint32_t *ptr, size_t r0, size_t r1, size_t L);
    /* best so far by x: where x beats best (desc: greater), best = x and at = t */
    void (*beat)(void *best, uint32_t *at, const void *x, const uint8_t *skip, bool desc, uint32_t t, size_t n);
    void (*bytes)(void *d, const uint8_t *b, const ByteNumbers *as, size_t n);
    /* n_rows bytes of each of W lanes; d[row * W + lane] */
    void (*bytes_to_lanes)(void *d, const uint8_t *const *from, const ByteNumbers *as, size_t n_rows, size_t W);
} Kern;

const Kern *kern_for(bool f64);
size_t kern_vector_bytes(void);         /* of the widest vectors that the CPU, or SQLGRAD_CPU, allows */

void ints_op(Op op, int64_t *d, const int64_t *a, const int64_t *b, size_t n);
void ints_compare(Op op, uint8_t *d, const int64_t *a, const int64_t *b, size_t n, bool *bad);
void texts_compare(const Dict *dict, Op op, uint8_t *d, const int64_t *a, const int64_t *b, size_t n);
void texts_extreme(const Dict *dict, bool max, int64_t *d, const int64_t *a, const int64_t *b, size_t n);
int64_t text_to_int(const char *s);
double text_to_real(const char *s);

/* ---- plans ---- */

typedef struct OutCol {
    bool settled;               /* key, lane or known value: nothing to compute */
    int reg;                    /* register of the column or of the aggregate's argument, -1: none */
    bool direct;                /* the register can stand in the output's own memory */
    bool fast;                  /* SUM of a product of two loads: fa × fb, of sources; fb NULL: times 1 */
    const Expr *fa, *fb;
    Arr factor; uint64_t factor_ver;    /* the numbers of a static fb in the order of the tuples */
} OutCol;

/* One list of tuples and the program over it.  A union has one a part. */
typedef struct Leg {
    Input *in; int n_in;        /* of a union's part: the one source it has */
    Expr **part;                /* of a union's part: its columns, over that source; else NULL */
    size_t n;                   /* tuples */
    size_t first;               /* output row of tuple 0: row blocks, unions */
    uint32_t *ptr; Arr ptr_mem; /* reduce: tuples of output row r; pick: of group r */
    size_t n_groups;
    Tape tape; bool tape_made;
    OutCol *out;
    int mask;                   /* register, -1: all tuples are there */
    int *order;                 /* pick: registers */
    Arena arena;                /* of one settlement */
    Expr **soft; int n_soft;    /* conditions left to the numeric phase */
    Arr zero_idx;               /* for sums without a second factor */
} Leg;

typedef struct SrcSeen { uint64_t rows, lane, val, used_val; Lay *lay; } SrcSeen;

typedef struct NestPlan NestPlan;

typedef struct Plan {
    bool settled, hard;         /* hard: lists are built from present values, anew when they change */
    bool fresh;                 /* settled since the last computation */
    bool laned, carried;        /* lanes run through; the output keeps them */
    bool no_lanes;              /* a source had a lane column and not one lane: choose again */
    bool no_null_lane;          /* an equality of lane columns: no lane may be NULL */
    int *lane_col;              /* per read: its lane column, -1: read expanded */
    Leg *leg; int n_legs;
    SrcSeen *seen;
    bool computed;
    bool lists_gone;            /* they are made again before it is computed again */
    NestPlan *nest;             /* not NULL: a nest, in place of the lists */
    const char *no_nest;        /* why not */
} Plan;

struct Rel {
    const Block *b;
    int id;
    Rel **src;                  /* the relation of each source */
    Lay lay;
    Lay **view;                 /* by column */
    Lifetime life;
    bool *batch_col;            /* the column carries a batch key */
    bool *reads;                /* by source: it is read each time, not only when the rows are settled */
    bool needed, queued;        /* queued: its nest runs at the next flush */
    bool kept;                  /* asked for by name: its numbers stay until the next run */
    int readers_left;           /* of this run … */
    int readers_ahead;          /* … and of those, the ones that are not even in the queue */
    /* Rows that reach what the run asks for (native_want.c): a byte each, if not all do; and what is computed of it:
     * rows of a list, or pairs from, to of a nest's split loop, n_parts numbers (-1: everything). */
    bool wants_all, was_needed, was_kept;
    Arr want_mem, part_mem; int n_parts;
    uint64_t left_out;          /* the version of wants that the last computation left rows out by; 0: none */
    struct Base *base;
    Plan plan;
    bool evaluated;             /* in the last run or before */
    struct Spent { int settled, computed; double settling, computing; } spent;      /* SQLGRAD_TRACE=exec */
};

typedef struct Pool Pool;

struct Native {
    Engine engine;
    const Prog *p;
    EngineOpts o;
    const Kern *k;
    size_t esz;                 /* bytes of a value */
    Arena arena, scratch;       /* scratch: of one call */
    Rel *rel; int n_rels;
    Dict dict;
    size_t used, limit, most_used;
    Arr *spare; int n_spare, max_spare; /* buffers whose numbers nobody reads any more */
    struct Lent { Arr mem; size_t L; } *lent; int n_lent;       /* … behind the nests in the queue: blocks of L lanes */
    bool keep_all;              /* … but that is to be looked at */
    uint64_t clock;             /* versions */
    Pool *pool; int n_threads;
    Err *err;                   /* of the running call */
    const Block *at;            /* being worked on, for messages */
    Table batch_keys; bool have_batch;
    uint64_t batch_ver;
    bool trace; double flushed;     /* flushed: seconds that nests put off took, which are not those of who made them run */
    struct AssignMap *assign_map;
    bool *blind;                /* by block id: see lower_block */
    KeyOrder *order;            /* by block id */
    bool ahead;                 /* settling before anything is computed: what needs values waits */
    bool no_cc;                 /* there is no compiler */
    bool limited;               /* rows that nobody reads are left out */
    bool redo;                  /* … but something was settled since that was found */
    uint64_t n_runs, n_settled, settled_before, wants_ver, wants_settled;
    size_t width;               /* lanes of a block; 0: not chosen yet */
    struct NestLib *libs; double code_seconds;
    struct Trials *trials; int trying;      /* trying: nests on trial (native_trial.c) */
    Map text_of; struct NestText *nest_text; int n_nest_texts;      /* texts of nests, each compiled once */
    struct Replay *replay; uint64_t n_plans;        /* plans settled so far */
    Rel **queue; int n_queue; size_t queue_L;   /* nests with lanes that run together, a part of the lanes at a time */
    struct Fill **later; int n_later; Arena later_arena;       /* what other threads prepare of the next batch */
};

static inline double val_get(const Native *n, const void *v, size_t i)
{
    return n->o.f64 ? ((const double *)v)[i] : (double)((const float *)v)[i];
}

static inline void val_set(const Native *n, void *v, size_t i, double x)
{
    if (n->o.f64)
        ((double *)v)[i] = x;
    else
        ((float *)v)[i] = (float)x;
}

/* base */
bool base_open(Native *n, Rel *r);
void base_free(Native *n, Rel *r);
bool base_bind(Native *n, Rel *r, const Table *t);
bool base_load(Native *n, Rel *r);                      /* rows and values, if something changed */
bool base_is_batched(const Rel *r);
/* Keys of a column as they were bound, an entry each by its dimension; NULL: it is no key of a base table. */
const int64_t *base_codes(const Rel *r, int col, size_t *count);
/* ties: the distinct keys of other base tables that the program calls equal to this column's; 0: none, or over `most`. */
size_t ties_of(Native *n, Rel *r, int col, size_t most, int64_t *out);
bool base_expect(Native *n, Rel *r, const Table *keys); /* these keys may be the next batch's */

/* fill: a number for each of R rows and L lanes; lane[l] stands at row lane[l] * R of the table, or of `own`, numbers of
 * the engine's type in that order */
typedef struct Fill {
    const Native *n; const TableCol *from; const void *own;
    const uint32_t *lane; size_t R, L, W;
    void *to;                   /* set by the caller */
    ByteNumbers as; double number[256];
} Fill;
Fill *fill_new(Native *n, Arena *a, const TableCol *k, const void *own, const uint32_t *lane, size_t R, size_t L);
bool fill_is_long(size_t R, size_t L);                  /* worth another thread's time */
int  fill_blocks(const Fill *f);
void fill_block(const Fill *f, int block);
void fill_now(const Fill *f);
void later_start(Native *n);                            /* n->later, by threads that have nothing else to do */
void later_finish(Native *n);                           /* nobody works on it any more */

/* settle, compute */
bool plan_open(Native *n, Rel *r);
void plan_make_legs(Native *n, Rel *r);
void plan_free(Native *n, Rel *r);
bool plan_stale(Native *n, Rel *r, bool *stale);        /* must the lists be built again? */
bool plan_settle(Native *n, Rel *r);                     /* n->ahead: it may be left unsettled */
bool plan_inputs_moved(const Rel *r);                   /* must it be computed again? */
bool plan_compute(Native *n, Rel *r);
/* Reads: the sources, or of a union its parts (source -1: a row of constants). */
int plan_reads(const Rel *r);
int plan_read_src(const Rel *r, int k);
Lay *plan_lay(Native *n, Rel *r, int k, bool *err);     /* the layout in which read k is done; NULL: no longer possible */
bool plan_set_inputs(Native *n, Rel *r);
bool is_lane_expr(const Input *in, const Expr *e);        /* a lane column, read along the lanes */
bool plan_groups_known(const Rel *r, const Leg *leg, bool hard);
bool plan_choose_lanes(Native *n, Rel *r);
bool plan_lanes_hold(Native *n, Rel *r, bool *err);

/* join */
typedef enum JoinResult { JOINED, JOIN_error, JOIN_needs_values } JoinResult;
/* Tuples of the used sources of leg->in under the block's conditions; leg->soft, Input.soft take what depends
 * on values (never, if hard).  JOIN_needs_values: only values can settle it. */
JoinResult join_tuples(Native *n, Rel *r, Leg *leg, bool hard);
/* Is e known now, without values that move?  hard: all values may be read. */
bool known_expr(const Input *in, const Expr *e, bool hard);
bool known_on(Input *in, const Expr *e, int on, bool hard);
bool pres_known(const Input *in, bool hard);
/* Codes of e over `count` tuples. */
bool settle_codes(Native *n, const Block *b, Input *in, int n_in, const Expr *e, size_t count, int64_t *out);

/* want */
bool want_find(Native *n);                              /* before a run: n->limited, and the parts of each relation */
void want_free(Native *n, Rel *r);
/* The parts of r to compute, or NULL: all of it. */
static inline const uint32_t *want_parts(const Native *n, const Rel *r)
{
    return n->limited && !r->wants_all && r->n_parts >= 0 ? r->part_mem.p : NULL;
}

/* nest */
/* Lower it, with the lanes chosen, or (without) all keys as dimensions, if no source has a batch's.  *done: it is a nest. */
bool nest_settle(Native *n, Rel *r, bool lanes, bool *done);
bool nest_compile(Native *n);                           /* all that have no code yet */
bool nest_compute(Native *n, Rel *r);                   /* now, or at the next flush */
bool nest_flush(Native *n);
#define LEAST_RELEASED 1000000          /* bytes */
bool rel_can_release(const Native *n, const Rel *r);
void rel_release(Native *n, Rel *r);                    /* its numbers, until it is computed anew */
bool rel_can_lend(const Rel *r);                        /* its numbers are in blocks of lanes that another may take */
void rel_read(Native *n, Rel *r);                       /* it was computed or queued: what nobody reads after it is lent */
bool blocks_borrow(Native *n, Arr *a, size_t nbytes, size_t L);     /* as arr_need */
void blocks_close(Native *n, size_t L);                 /* nothing is queued: those of other lanes go; 0: all */
void rel_done(Native *n, Rel *r);                       /* it was computed: its sources have a reader less */
bool native_evaluate(Native *n, Rel *r);                /* one relation, and what waits for it to be read */
void native_count_readers(Native *n);
void trials_go_on(Native *n);                           /* before a run: other schedules may be tried in it */
void nest_drop(Native *n, Rel *r);
void nest_close(Native *n);
Code nest_explain(Engine *e, bool text, Buf *out, Err *err);
double nest_seconds(const Engine *e);
size_t nest_width(Native *n);                           /* lanes of a block */
bool nest_room(Native *n, const Lay *y, Arr *a);        /* for all rows of a column, in blocks of lanes */
bool plan_output_lanes(Native *n, Rel *r, size_t *L);   /* lanes of the sources, kept by the output or not */
void plan_remember(Rel *r);                             /* the values it was computed from */
void plan_forget_lanes(Rel *r);

/* replay */
bool replay_run(Native *n, Block *const *target, int n_targets, bool *done);    /* *done: the run is over */
void replay_learn(Native *n, Block *const *target, int n_targets);              /* after a run of the other kind */
void replay_forget(Native *n);
void replay_close(Native *n);

/* pool: fn(arg, part) for every part; parts are handed out in any order */
Pool *pool_open(int n_threads);
void pool_close(Pool *p);
void pool_run(Pool *p, int n_parts, void (*fn)(void *arg, int part), void *arg);
/* The same, by threads that have no other parts to take, until pool_finish, where the caller takes what is left. */
void pool_later(Pool *p, int n_parts, void (*fn)(void *arg, int part), void *arg);
void pool_finish(Pool *p);
#endif
