/* SPDX-License-Identifier: Apache-2.0
 *
 * native_base.h - what the files of base tables share: native_base.c binds them and picks the rows of a batch,
 * native_base_lane.c finds out whether a key can be the lane, native_base_load.c fills the layout. */
#ifndef SG_NATIVE_BASE_H
#define SG_NATIVE_BASE_H

#include "exec/native.h"

struct Base {
    const Table *t;
    int *tcol;                  /* table column of each block column, -1: the row number */
    const int64_t **code;       /* key columns, an entry each by the column's dimension */
    Arr *code_mem;
    uint64_t bind_ver, loaded_bind, loaded_batch;
    const uint32_t *turn, *turn_place; Arr turn_mem;    /* table rows in the order that readers want; where each is.  NULL:
                                                         * the table's own */

    /* batches */
    bool looked, laned;         /* looked: it is known whether lane_col can be the lane */
    int lane_col;
    size_t n_rest, n_lanes;     /* rows of one lane; lanes of the whole table */
    const uint32_t *perm; Arr perm_mem;     /* table row of (lane, rest); NULL: lane * n_rest + rest */
    Arr *by_lane;               /* by column: the numbers, in that order, where perm is not NULL; made when batches come */
    Arr lane_code_mem;
    const int64_t *lane_key[1];
    bool ragged;                /* not every lane has every rest */
    KeyTable rest;              /* ragged: rows by what is neither the batch key nor chosen */
    const int64_t **rest_key;
    int chosen;                 /* ragged: each lane has every rest once, with one key of this column; -1: no such column */
    KeyTable choice;            /* by that column */
    const int64_t *choice_key[1];
    Arr even_mem;               /* ragged: codes of one column, and behind those of the rows the integers between */
    Arr rest_mem, ptr_mem;
    uint32_t *rest_at;          /* row of (rest, choice): they stand in key order, whether or not a lane has them */
    uint32_t *rest_row, *choice_row;    /* by row: a table row with its rest; with its choice */
    uint32_t *rest_rank, *choice_rank;  /* in key order, by group of the tables above */
    uint32_t *lane_ptr;         /* rows of lane l: perm[lane_ptr[l] … lane_ptr[l + 1]) */
    KeyTable lanes, rows;       /* by batch key */
    const int64_t **row_key; Arr *row_mem;
    bool have_lanes, have_rows;
    Arr pick;                   /* lanes or rows of the batch */

    /* the batch that may come next: its lanes, and its numbers by column, which other threads may be at work on */
    Arr ahead; size_t n_ahead;
    Arr *ahead_mem; bool *ahead_col;
    bool is_ahead;              /* it is the one being loaded */
};

/* The table row; not of ragged lanes. */
static inline size_t base_row(const struct Base *s, size_t lane, size_t rest)
{
    const size_t at = lane * s->n_rest + rest;
    return s->perm ? s->perm[at] : at;
}

/* ---- native_base.c ---- */

int64_t base_code(const struct Base *s, int c, size_t row);     /* of key column c */

/* ---- native_base_lane.c ---- */

/* The (rest, choice) pair of a table row of ragged lanes, before they are ordered. */
size_t base_pair(const struct Base *s, size_t row);
/* Whether the only batch key, or the only outer key, can be the lane: fills `laned` and what follows in s. */
bool base_find_lane(Native *n, Rel *r);

/* ---- native_base_turn.c ---- */

bool base_find_turn(Native *n, Rel *r);                 /* sets s->turn */
void base_turn_rows(const uint32_t *by, uint32_t *row, size_t count);   /* row numbers to others, if `by` */

/* ---- native_base_load.c ---- */

/* Which table row stands at a place of the layout. */
typedef struct Places { const struct Base *s; const uint32_t *pick; bool laned; } Places;

bool base_load_keys(Native *n, Rel *r, const Places *p, size_t R);
bool base_load_columns(Native *n, Rel *r, const Places *p);
/* Start on the numbers of the lanes s->ahead of column c, in other threads; nothing where it does not go by blocks. */
bool base_fill_ahead(Native *n, Rel *r, int c);

#endif
