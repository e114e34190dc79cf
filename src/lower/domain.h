/* SPDX-License-Identifier: Apache-2.0
 *
 * domain.h - sets of integer points given by linear inequalities: exact ranges, projections, loop bounds. */
#ifndef SG_DOMAIN_H
#define SG_DOMAIN_H

#include "lower/nest.h"

typedef struct Domain Domain;

/* All integer points of n_vars dimensions; NULL if that cannot be had (memory). */
Domain *domain_new(int n_vars);
void domain_free(Domain *d);
/* Keep the points where k[0] x0 + … + c >= 0.  Where arithmetic overflows or isl gives up, the domain turns bad, every
 * question is answered with false, and the caller does without it. */
void domain_ge(Domain *d, const int64_t *k, int64_t c);
/* The least and greatest value of a form over the points; false: none (unbounded, empty, bad). */
bool domain_range(Domain *d, const int64_t *k, int64_t c, int64_t *lo, int64_t *hi);
/* Does every point satisfy k x + c >= 0? */
bool domain_implies(Domain *d, const int64_t *k, int64_t c);
/* Is the projection on the first n variables exactly the box of its ranges lo … hi?  Sets these. */
bool domain_box(Domain *d, int n, int64_t *lo, int64_t *hi);
/* The bounds of variable `var` over the variables before it, those behind it projected out.  Forms are over
 * variables 0 … var - 1 (at most MAX_LOOPS); arrays are in the arena. */
bool domain_bounds(Domain *d, int var, NestLoop *out, Arena *a);

#endif
