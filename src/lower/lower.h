/* SPDX-License-Identifier: Apache-2.0
 *
 * lower.h - regular relations, and the blocks over them as loop nests.
 *
 * A relation is regular if its rows are a box: numbered by a few dimensions, each key an affine form of these
 * numbers, or one of a list of codes.  Or those of a box that meet affine conditions (k.t <= q.t): every row of the
 * box has its place, and those that do not meet them are not there and hold 0.  Whether it is one is found by looking
 * at its keys (regular.c), however it was made.  A block over regular sources whose conditions and keys are affine is a
 * nest (block.c, condition.c, lists.c, result.c, union.c, concat.c, linear.c). */
#ifndef SG_LOWER_H
#define SG_LOWER_H

#include "lower/nest.h"

#define REG_DIMS 12

typedef enum RegKind {
    REG_none,                   /* nothing is known; it may not be read */
    REG_affine,                 /* INT: `key` over the dimensions */
    REG_codes,                  /* INT or TEXT: the code of dimension `dim` */
    REG_list,                   /* INT or TEXT: `list`, by the number of dimension `dim`; entries may be alike, or REG_NULL */
    REG_lane,                   /* the key that runs along the lanes */
    REG_count,                  /* INT: numbers in an array over rows, the same in all lanes; none NULL or less than key.c */
    REG_value                   /* REAL: numbers, none NULL, in an array over rows (and lanes) */
} RegKind;

#define REG_NULL INT64_MIN              /* the code of NULL */

typedef struct RegCol { RegKind kind; Affine key; int dim; const int64_t *list; } RegCol;

typedef struct Regular {
    int n_dims;
    int64_t extent[REG_DIMS], stride[REG_DIMS];         /* stride in rows */
    const int64_t *codes[REG_DIMS];                     /* of dimensions with codes: one per index, distinct */
    RegCol *col; int n_cols;
    int64_t rows;
    bool lanes;                                         /* a row holds all lanes */
    bool gaps;                                          /* some rows hold 0 and are as good as not there */
    Affine *cond; int n_conds;                          /* over the dimensions: rows are there where all are >= 0 */
    /* The result of a pick, or what is there as its rows are: `chosen` rows of each group are there, whose places are the
     * numbers in the group.  One: those whose place is the one stored for the group.  Several (mask): those for which 1
     * is stored. */
    bool winner, mask;
    Affine part, place;                                 /* over the dimensions: which group, and which row of it */
    Affine group; int64_t groups;                       /* where the place or the 1 is stored, and how many there are */
    int64_t chosen;
    int pick;                                           /* the block that chose them */
} Regular;

/* A relation of `rows` rows; key[c]: codes of column c, NULL: not static; kind[c] says what other columns are
 * (REG_lane, REG_value, REG_none).  Codes of INT columns are the integers (`ints`).  null: the code of NULL.
 * loose: what is no box is one dimension, or a box for each number of it, and keys are lists along that.  False: not regular. */
bool regular_look(Regular *out, Arena *a, int n_cols, const int64_t *const *key, const RegKind *kind, const bool *ints,
                  int64_t rows, int64_t null, bool loose);
/* Are the n codes, `stride` apart, all different?  A code that stands for two indexes would not tell them apart. */
bool regular_distinct_codes(const int64_t *code, int64_t n, int64_t stride, Arena *a);
/* Does row `row` meet the conditions? */
bool regular_meets(const Regular *r, int64_t row);
/* The key of column c in row `row`. */
int64_t regular_key(const Regular *r, int c, int64_t row);
bool regular_any_null(const Regular *r, int c);         /* of a list */
/* How many keys column c has; 0: not known at once. */
int64_t regular_distinct(const Regular *r, int c);

typedef struct NestSource { int src, col; } NestSource;        /* src -1: the block's own column; col -1: its places */

typedef struct Lowered {
    Nest nest;
    NestSource *from;           /* by buffer */
    Regular out;                /* rows of the result, and its keys */
    int64_t **count;            /* by column: COUNT of every row, where it is settled; or NULL.  Of nests that sum
                                 * over the lanes: of one lane */
} Lowered;

/* order.c.  In an order that does not depend on that of columns, sources and conditions: */
typedef struct KeyOrder {
    int *col, n;                /* columns: the n that are keys as they number rows, the outermost first; then the others */
    int *src;                   /* sources */
    int *part;                  /* PARTITION BY keys */
} KeyOrder;

/* By block id, in the arena. */
KeyOrder *prog_orders(const Prog *p, Arena *a);

/* `src`: by source; NULL: not regular.  `blind`: nobody can tell a row of the result that is not there from one whose
 * numbers are 0.  False: no nest; *why says why (static text). */
bool lower_block(const Block *b, const KeyOrder *order, const Regular *const *src, bool blind, Arena *a, Lowered *out,
                 const char **why);

/* blind.c.  By block id: nobody can tell a row of it that is not there from one whose numbers are 0.  Gradients are,
 * where they are only multiplied and summed. */
void prog_blind(const Prog *p, bool *blind);

/* ---- linear.c: affine forms over the variables of one block ---- */

#define MAX_VARS 40

typedef struct Lin { int64_t c, k[MAX_VARS]; } Lin;

/* Variables are the dimensions of the sources, then what divisions and groupings add.  An equation eliminates one. */
typedef struct Space {
    Arena *a;
    int n;
    int64_t lo[MAX_VARS], hi[MAX_VARS];
    const int64_t *codes[MAX_VARS];
    bool gone[MAX_VARS];        /* eliminated: it is `def` over the live ones */
    Lin def[MAX_VARS];
    Lin *ge; int n_ge;          /* forms that are >= 0 */
    struct Quotient { Lin of; int64_t by; int q, r; bool neg; } *quot; int n_quots;
    bool closed;                /* its variables are loops already: no more of them */
    const char *why;            /* set where something is not affine */
} Space;

int  space_var(Space *s, int64_t lo, int64_t hi, const int64_t *codes);         /* -1: too many */
Lin  lin_const(int64_t c);
Lin  lin_var(const Space *s, int v);
bool lin_add(Lin *x, const Lin *y, int64_t times);      /* x += times * y; false: too large */
bool lin_is_const(const Lin *x);
int  lin_only_var(const Lin *x);                        /* the variable, if it is one and has factor 1 and no constant; -1 */
Lin  space_reduce(const Space *s, const Lin *x);        /* over the live variables */
bool space_range(Space *s, const Lin *x, int64_t *lo, int64_t *hi);
bool space_zero(Space *s, const Lin *x, int pivot);     /* x = 0; pivot -1: choose the variable that goes */
bool space_ge(Space *s, const Lin *x);                  /* x >= 0 */
bool space_div(Space *s, const Lin *x, int64_t by, Lin *quotient, Lin *remainder);     /* truncating, as SQL's */

#endif
