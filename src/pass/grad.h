/* SPDX-License-Identifier: Apache-2.0
 * grad.h - what derive.c gives to grad.c. */
#ifndef SG_GRAD_H
#define SG_GRAD_H

#include "pass/pass.h"

/* The derivative of e towards the column `col` (an OP_col); NULL: zero everywhere. */
Expr *grad_derive(Arena *a, const Expr *e, const Expr *col);
/* Products and sums of derivatives, where NULL is zero and factors 1.0 vanish. */
Expr *grad_mul(Arena *a, Expr *x, Expr *y);
Expr *grad_add(Arena *a, Expr *x, Expr *y);

#endif
