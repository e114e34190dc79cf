/* SPDX-License-Identifier: Apache-2.0
 *
 * order.h - what the files that find the order of keys share. */
#ifndef SG_ORDER_H
#define SG_ORDER_H

#include "lower/lower.h"

/* Marks of a key, those that draw it further inside the greater. */
enum {
    MARK_summed = 1,            /* tables that are no parameters are summed over it */
    MARK_made = 2,              /* a parameter brought it in */
    MARK_compared = 4,          /* it is less or more than another key */
    MARK_weighed = 8,           /* it is summed over against a parameter, or in a sum of one table alone */
    MARK_shifted = 16           /* its sum or difference with another is a key, or what it is divided by */
};
/* What stands outside of all others: a batch's keys; of stored tables, keys of which readers take a slice each.  Where a
 * slice is taken of what is computed, the key only tends there: all slices are made together. */
enum { AT_batch = -4, AT_literal = -2, TENDS_outside = -1, OUTSIDE = 2 };
typedef struct Link { int from, to; } Link;

/* A column as a node of a graph, and groups of them as one of another. */
typedef struct Web {
    int n;
    int64_t *own, *sum, *next;
    int *ptr, *at;              /* the neighbours of node v: at[ptr[v] … ptr[v + 1]) */
} Web;

typedef struct Orders {
    const Prog *p;
    Arena *a, *work;
    int *first, n;              /* by block: the node of its first column */
    int *group;                 /* by node: a tree, as of sets that are joined */
    int *mark, *digit, *outer;  /* by node, then by the root of a group: of all members */
    int *slices; int64_t **lit; /* how many literals it is compared with, and which */
    bool *vague;                /* which keys of its sources it is depends on the order of their columns */
    int *quotient;              /* of which node's key it is a quotient, + 1; 0: of none */
    Link *link; int n_links;
    int first_grad;             /* blocks from here on are gradients, and what is made of them: they follow */
    Web cols, groups;
} Orders;

/* ---- order.c ---- */

int  order_node(const Orders *o, const Block *b, int c);                /* of a column */
void order_link(Orders *o, int v, int w, bool same);                    /* two neighbours; same: of one group */
int  order_root(int *group, int v);                                     /* of the set that v is in */
void order_join(int *group, int v, int w);

/* ---- order_marks.c ---- */

bool order_is_key(const Block *b, int c);                               /* column c of the result */
void order_see_block(Orders *o, const Block *b);                        /* the marks and links it makes */

#endif
