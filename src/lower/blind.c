/* SPDX-License-Identifier: Apache-2.0
 *
 * blind.c - relations of which a missing row and a row of zeros are the same to everyone.
 *
 * A gradient may leave out rows whose gradient is zero, or hold them: its readers multiply and sum, and what leaves
 * the program is completed with zeros (COALESCE over a LEFT JOIN).  This is looked at, not assumed: every reader must
 * give zero for zero, and be blind itself where its own rows come and go with the source's.  Then values may be
 * masked to zero in a dense array, in place of a list of the rows that are there. */
#include "lower/lower.h"

static bool reads_number(void *src, const Expr *e)
{
    return e->op == OP_col && e->type == T_REAL && e->src == *(const int *)src;
}

static bool reads_numbers(const Expr *e, int src)
{
    return e && ex_any(e, reads_number, &src);
}

static bool is_zero_for_zero(const Expr *e, int src);

/* Every value of a CASE. */
static bool branches_are_zero(const Expr *e, int src)
{
    for (int k = 0; k + 1 < e->n_args; k += 2)
        if (reads_numbers(e->arg[k], src) || !is_zero_for_zero(e->arg[k + 1], src))
            return false;
    return is_zero_for_zero(e->arg[e->n_args - 1], src);
}

/* Is e 0 where the numbers of the source are? */
static bool is_zero_for_zero(const Expr *e, int src)
{
    if (e->op == OP_lit_real)
        return e->r == 0;
    if (e->op == OP_col)
        return e->type == T_REAL && e->src == src;
    if (e->op == OP_neg || e->op == OP_div)
        return is_zero_for_zero(e->arg[0], src) && (e->n_args < 2 || !reads_numbers(e->arg[1], src));
    if (e->op == OP_mul)
        return is_zero_for_zero(e->arg[0], src) || is_zero_for_zero(e->arg[1], src);
    if (e->op == OP_add || e->op == OP_sub)
        return is_zero_for_zero(e->arg[0], src) && is_zero_for_zero(e->arg[1], src);
    return e->op == OP_cond && branches_are_zero(e, src);
}

/* Only as COALESCE(number, 0). */
static bool completes(const Expr *e, int src)
{
    if (!e || !reads_numbers(e, src))
        return true;
    if (e->op == OP_coalesce)
        return e->n_args == 2 && e->arg[0]->op == OP_col && ex_is_real(e->arg[1], 0);
    for (int k = 0; k < e->n_args; k++)
        if (!completes(e->arg[k], src))
            return false;
    return e->op != OP_col;
}

static bool conditions_read(const Block *b, int src)
{
    for (int w = 0; w < b->n_where; w++)
        if (reads_numbers(b->where[w], src))
            return true;
    for (int s = 0; s < b->n_src; s++)
        for (int k = 0; k < b->src[s].n_on; k++)
            if (reads_numbers(b->src[s].on[k], src))
                return true;
    return false;
}

/* Does reader b, itself blind or not, take a zero row of its source for none? */
static bool reads_blindly(const Block *b, int src, bool blind)
{
    if (b->kind == BLK_pick || b->kind == BLK_base || conditions_read(b, src))
        return false;
    if (b->kind == BLK_union)
        return blind;
    if (b->src[src].join == JOIN_left) {
        for (int c = 0; c < b->n_cols; c++)
            if (!completes(b->col[c].e, src))
                return false;
        return b->kind == BLK_row;
    }
    for (int c = 0; c < b->n_cols; c++) {
        const bool key = b->kind == BLK_reduce ? c < b->n_keys : b->col[c].type != T_REAL;
        if (key && !reads_numbers(b->col[c].e, src))
            continue;
        if (!b->col[c].e || (b->kind == BLK_reduce && b->col[c].agg != AGG_sum) || !is_zero_for_zero(b->col[c].e, src))
            return false;
    }
    return blind;
}

static bool leaves(const Prog *p, const Block *b)
{
    for (int g = 0; g < p->n_grads; g++)
        if (p->grad[g].grad == b)
            return true;
    for (int k = 0; k < p->n_assigns; k++)
        if (p->assign[k].from == b)
            return true;
    return !b->grad_of;
}

void prog_blind(const Prog *p, bool *blind)
{
    for (int k = p->n_blocks - 1; k >= 0; k--)
        blind[k] = !leaves(p, p->block[k]);
    for (int k = p->n_blocks - 1; k >= 0; k--)          /* readers come after what they read */
        for (int s = 0; s < p->block[k]->n_src; s++)
            if (!reads_blindly(p->block[k], s, blind[k]))
                blind[p->block[k]->src[s].rel->id] = false;
}
