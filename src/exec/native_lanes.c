/* SPDX-License-Identifier: Apache-2.0
 *
 * native_lanes.c - which column, if any, runs along the lanes of a block.
 *
 * A lane class is a set of columns, at most one a source, tied by equalities.  It can be the lane if nothing
 * else in the block reads it, the output keeps it as a plain column or sums it away, and in every source that
 * has it the support is rest × column, with the same keys.  Sources without it are read expanded: one value
 * for all lanes.  A batch key comes first (the lists must not depend on the batch), else the class that makes
 * the fewest tuples.  The choice is kept as long as it is possible. */
#include "exec/native.h"

#include <string.h>

typedef struct LaneClass { Native *n; const Rel *r; int *col; bool by_eq; } LaneClass;

static bool is_member(const LaneClass *k, const Expr *e)
{
    return e->op == OP_col && k->col[e->src] >= 0 &&
           (k->col[e->src] == e->col || lay_equal_cols(k->n, &k->r->src[e->src]->lay, k->col[e->src], e->col));
}

static bool reads_member(void *arg, const Expr *e)
{
    return is_member(arg, e);
}

static bool reads_class(const LaneClass *k, const Expr *e)
{
    return e && ex_any(e, reads_member, (void *)k);
}

/* An equality of two plain columns that may tie them: of inner sources in WHERE, of the LEFT source in its ON. */
static bool is_tie(const Block *b, const Expr *e, int on)
{
    if ((e->op != OP_eq && e->op != OP_same) || e->arg[0]->op != OP_col || e->arg[1]->op != OP_col)
        return false;
    const int s = e->arg[0]->src, t = e->arg[1]->src;
    if (s == t || e->arg[0]->type == T_REAL || e->arg[1]->type == T_REAL)
        return false;
    return on < 0 ? b->src[s].join == JOIN_inner && b->src[t].join == JOIN_inner : s == on || t == on;
}

/* Add what e ties to the class; false: a source would have two columns. */
static bool tie(const Block *b, LaneClass *k, const Expr *e, int on, bool *grew)
{
    if (!is_tie(b, e, on))
        return true;
    for (int side = 0; side < 2; side++) {
        const Expr *x = e->arg[side], *y = e->arg[1 - side];
        if (!is_member(k, x))
            continue;
        k->by_eq |= e->op == OP_eq;
        if (is_member(k, y) || (on >= 0 && (y->src != on || b->src[x->src].join != JOIN_inner)))
            continue;                   /* the ON of a LEFT source ties that source only, and to rows that exist */
        if (k->col[y->src] >= 0)
            return false;
        k->col[y->src] = y->col;
        *grew = true;
    }
    return true;
}

static bool grow(const Block *b, LaneClass *k)
{
    for (bool grew = true; grew;) {
        grew = false;
        for (int w = 0; w < b->n_where; w++)
            if (!tie(b, k, b->where[w], -1, &grew))
                return false;
        for (int s = 0; s < b->n_src; s++)
            for (int o = 0; o < b->src[s].n_on; o++)
                if (!tie(b, k, b->src[s].on[o], s, &grew))
                    return false;
    }
    return true;
}

static bool inside(const LaneClass *k, const Expr *e)
{
    return is_member(k, e->arg[0]) && is_member(k, e->arg[1]);
}

static bool conditions_allow(const Block *b, const LaneClass *k)
{
    bool inner = false;

    for (int w = 0; w < b->n_where; w++)
        if (reads_class(k, b->where[w]) && !(is_tie(b, b->where[w], -1) && inside(k, b->where[w])))
            return false;
    for (int s = 0; s < b->n_src; s++) {
        inner |= k->col[s] >= 0 && b->src[s].join == JOIN_inner;
        for (int o = 0; o < b->src[s].n_on; o++)
            if (reads_class(k, b->src[s].on[o]) && !(is_tie(b, b->src[s].on[o], s) && inside(k, b->src[s].on[o])))
                return false;
    }
    return inner;
}

/* A plain member of an inner source: never NULL by an unmatched LEFT. */
static bool is_plain(const Block *b, const LaneClass *k, const Expr *e)
{
    return is_member(k, e) && b->src[e->src].join == JOIN_inner;
}

static bool outputs_allow(const Block *b, const LaneClass *k, bool *carried)
{
    bool in_part = b->kind != BLK_pick;

    *carried = false;
    for (int c = 0; c < b->n_cols; c++) {
        const Expr *e = b->col[c].e;
        if (!reads_class(k, e))
            continue;
        if (b->kind == BLK_reduce ? c >= b->n_keys : b->col[c].type == T_REAL)
            continue;                   /* numbers may be computed from the lane's key */
        if (!is_plain(b, k, e))
            return false;
        *carried = true;
    }
    for (int c = 0; c < b->n_part; c++) {
        if (reads_class(k, b->part_key[c]) && !is_plain(b, k, b->part_key[c]))
            return false;
        in_part |= is_plain(b, k, b->part_key[c]);
    }
    for (int o = 0; o < b->n_order; o++)
        if (reads_class(k, b->order[o].e))
            return false;
    return in_part && (*carried || b->kind == BLK_reduce);
}

/* ---- the data ---- */

static bool has_null(const Lay *y)
{
    for (size_t l = 0; l < y->L; l++)
        if (y->lane_key[l] == KEY_NULL)
            return true;
    return false;
}

/* Layouts of all members, with the same lanes.  *err: out of memory. */
static bool data_allow(Native *n, const Rel *r, const LaneClass *k, bool *err)
{
    const Lay *first = NULL;

    for (int s = 0; s < r->b->n_src; s++) {
        if (k->col[s] < 0)
            continue;
        const Lay *y = lay_with_lane(n, r->src[s], k->col[s], err);
        if (!y || y->L == 0 || (first && !lay_same_lanes(first, y)) || (k->by_eq && has_null(y)))
            return false;
        first = y;
    }
    return first != NULL;
}

int plan_reads(const Rel *r)
{
    return r->b->kind == BLK_union ? r->b->n_parts : r->b->n_src;
}

int plan_read_src(const Rel *r, int k)
{
    return r->b->kind == BLK_union ? r->b->part[k].src : k;
}

Lay *plan_lay(Native *n, Rel *r, int k, bool *err)
{
    Rel *from = r->src[plan_read_src(r, k)];

    return r->plan.laned && r->plan.lane_col[k] >= 0 ? lay_with_lane(n, from, r->plan.lane_col[k], err) : &from->lay;
}

/* The inputs of list k (unions: part k) as the present choice of lanes has them. */
static bool set_input(Native *n, Rel *r, Leg *leg, int k)
{
    const int s = plan_read_src(r, k);
    Input *in = &leg->in[leg->part ? 0 : s];
    bool err = false;

    in->rel = r->src[s];
    in->lay = plan_lay(n, r, k, &err);
    in->used = true;
    in->laned = r->plan.laned && r->plan.lane_col[k] >= 0;
    in->left = r->b->src[s].join == JOIN_left;
    in->weak = in->left && in->lay && in->lay->masked && !pres_known(in, r->plan.hard);
    return !err && in->lay;
}

bool plan_set_inputs(Native *n, Rel *r)
{
    const Plan *p = &r->plan;

    plan_make_legs(n, r);
    for (int g = 0; g < p->n_legs; g++)
        for (int s = 0; s < p->leg[g].n_in; s++)
            p->leg[g].in[s].used = false;
    for (int k = 0; k < plan_reads(r); k++)
        if (plan_read_src(r, k) >= 0 && !set_input(n, r, &p->leg[r->b->kind == BLK_union ? k : 0], k))
            return false;
    for (int s = 0; r->b->kind != BLK_union && s < r->b->n_src; s++)
        for (int k = 0; k < r->b->src[s].n_on; k++)
            p->leg[0].in[s].weak |= !known_on(p->leg[0].in, r->b->src[s].on[k], s, p->hard);
    return true;
}

bool is_lane_expr(const Input *in, const Expr *e)
{
    return e->op == OP_col && in[e->src].laned && in[e->src].lay->col[e->col].kind == CK_lane;
}

/* What must be known to build groups. */
bool plan_groups_known(const Rel *r, const Leg *leg, bool hard)
{
    const Block *b = r->b;

    for (int c = 0; c < b->n_keys; c++)
        if (!is_lane_expr(leg->in, b->col[c].e) && !known_expr(leg->in, b->col[c].e, hard))
            return false;
    for (int k = 0; k < b->n_part; k++)
        if (!is_lane_expr(leg->in, b->part_key[k]) && !known_expr(leg->in, b->part_key[k], hard))
            return false;
    for (int s = 0; b->kind == BLK_pick && s < b->n_src; s++)
        for (int i = 0; i < b->src[s].rel->n_id; i++) {
            const int c = b->src[s].rel->id_col[i];
            const Expr e = { .op = OP_col, .type = b->src[s].rel->col[c].type, .src = s, .col = c };
            if (!is_lane_expr(leg->in, &e) && !known_expr(leg->in, &e, hard))
                return false;
        }
    return true;
}

static void take_class(Rel *r, const LaneClass *k, bool carried)
{
    r->plan.laned = k != NULL;
    r->plan.carried = carried;
    r->plan.no_null_lane = k && k->by_eq;
    for (int s = 0; s < r->b->n_src; s++)
        r->plan.lane_col[s] = k ? k->col[s] : -1;
}

static bool class_possible(Native *n, Rel *r, const LaneClass *k, bool carried, bool *err)
{
    if (!data_allow(n, r, k, err))
        return false;
    take_class(r, k, carried);
    r->plan.hard = false;
    return plan_set_inputs(n, r) && plan_groups_known(r, &r->plan.leg[0], false);
}

static bool is_batch_class(const Rel *r, const LaneClass *k)
{
    for (int s = 0; s < r->b->n_src; s++)
        if (k->col[s] >= 0 && r->src[s]->batch_col[k->col[s]])
            return true;
    return false;
}

/* ---- which class makes the fewest tuples ---- */

static double tuples_expected(Native *n, const Rel *r)
{
    double t = 1, most = 1;

    for (int s = 0; s < r->b->n_src; s++) {
        const double rows = (double)lay_size(&r->src[s]->lay);
        t *= rows > 1 ? rows : 1;
        most = rows > most ? rows : most;
    }
    for (int w = 0; w < r->b->n_where; w++) {
        const Expr *e = r->b->where[w];
        if (!is_tie(r->b, e, -1))
            continue;
        const size_t x = lay_distinct(n, &r->src[e->arg[0]->src]->lay, e->arg[0]->col);
        const size_t y = lay_distinct(n, &r->src[e->arg[1]->src]->lay, e->arg[1]->col);
        t /= (double)(x > y ? x : y ? y : 1);
    }
    return t > most ? t : most;
}

/* Elements moved each time because a source stands in another layout. */
static double moved_elements(Native *n, const Rel *r, const LaneClass *k)
{
    double sum = 0;
    bool err = false;

    for (int s = 0; s < r->b->n_src; s++) {
        if (k->col[s] < 0 || r->src[s]->life == LIFE_static)
            continue;
        const Lay *y = lay_with_lane(n, r->src[s], k->col[s], &err);
        if (y && y->is_view && !y->same_order)
            sum += (double)lay_size(y);
    }
    return sum;
}

typedef struct Choice { LaneClass class; bool carried; double cost; } Choice;

static void consider(Native *n, Rel *r, LaneClass *k, bool carried, double tuples, Choice *best, bool *err)
{
    const bool batch = is_batch_class(r, k);
    size_t lanes = 0;

    for (int s = 0; s < r->b->n_src && !lanes; s++)
        if (k->col[s] >= 0)
            lanes = lay_distinct(n, &r->src[s]->lay, k->col[s]);
    if (!batch && (lanes < 4 || (best->class.col && tuples / (double)lanes * 4 >= best->cost)))
        return;
    if (!class_possible(n, r, k, carried, err))
        return;
    const double cost = batch ? -1 : tuples / (double)lanes * 4 + moved_elements(n, r, k);
    if (best->class.col ? cost >= best->cost : cost >= tuples * 4)
        return;
    *best = (Choice){ *k, carried, cost };
}

/* Class k is tested; false: it was before. */
static bool test_once(const Block *b, const LaneClass *k, bool **tested)
{
    bool first = true;

    for (int s = 0; s < b->n_src; s++)
        if (k->col[s] >= 0) {
            first = first && !tested[s][k->col[s]];
            tested[s][k->col[s]] = true;
        }
    return first;
}

/* The class of column c of source s, if it is a batch's, or is not. */
static void test_class(Native *n, Rel *r, int s, int c, bool batch, bool **tested, double tuples, Choice *best, bool *err)
{
    const Block *b = r->b;
    const ColKind kind = r->src[s]->lay.col[c].kind;
    LaneClass k = { n, r, ARENA_ARRAY(&n->scratch, int, b->n_src + 1), false };
    bool carried;

    if ((kind != CK_row && kind != CK_lane) || tested[s][c])
        return;
    for (int t = 0; t < b->n_src; t++)
        k.col[t] = t == s ? c : -1;
    if (grow(b, &k) && is_batch_class(r, &k) == batch && test_once(b, &k, tested) && conditions_allow(b, &k) &&
        outputs_allow(b, &k, &carried))
        consider(n, r, &k, carried, tuples, best, err);
}

static bool choose_class(Native *n, Rel *r)
{
    const Block *b = r->b;
    Arena a = { 0 };
    Choice best = { .cost = 0 };
    bool err = false, **tested = ARENA_ARRAY(&a, bool *, b->n_src + 1);
    const double tuples = tuples_expected(n, r);

    for (int batch = 1; batch >= 0; batch--) {
        for (int s = 0; s < b->n_src; s++)
            tested[s] = ARENA_ARRAY(&a, bool, b->src[s].rel->n_cols + 1);
        for (int i = 0; i < b->n_src; i++) {
            const int s = n->order[r->id].src[i];
            for (int j = 0; j < b->src[s].rel->n_cols && !err && best.cost >= 0; j++)
                test_class(n, r, s, n->order[r->src[s]->id].col[j], batch, tested, tuples, &best, &err);
        }
    }
    take_class(r, best.class.col ? &best.class : NULL, best.carried);
    arena_free(&a);
    return !err;
}

/* ---- unions: one column that is a lane in every part ---- */

static bool part_allows(Native *n, const Rel *r, const Part *part, int c, const Lay **first, bool *err)
{
    const Expr *e = part->src < 0 ? NULL : part->e[c];
    LaneClass k = { n, r, ARENA_ARRAY(&n->scratch, int, r->b->n_src + 1), false };

    if (!e || e->op != OP_col || e->type == T_REAL)
        return false;
    for (int s = 0; s < r->b->n_src; s++)
        k.col[s] = s == part->src ? e->col : -1;
    for (int d = 0; d < r->b->n_cols; d++)
        if (d != c && reads_class(&k, part->e[d]))
            return false;
    const Lay *y = lay_with_lane(n, r->src[part->src], e->col, err);
    if (!y || y->L == 0 || (*first && !lay_same_lanes(*first, y)))
        return false;
    *first = y;
    return true;
}

static bool union_lane(Native *n, Rel *r, int c, bool *err)
{
    const Lay *first = NULL;

    for (int p = 0; p < r->b->n_parts; p++)
        if (!part_allows(n, r, &r->b->part[p], c, &first, err))
            return false;
    return first && (r->batch_col[c] || first->L >= 4);
}

/* How welcome column c is: a batch's key, the lane of the first part as it stands, any other. */
static int union_class(const Rel *r, int c)
{
    const Expr *e = r->b->n_parts ? r->b->part[0].e[c] : NULL;

    if (!e || e->op != OP_col)
        return -1;
    return r->batch_col[c] ? 0 : r->src[e->src]->lay.col[e->col].kind == CK_lane ? 1 : 2;
}

/* Asking for a column makes a view of every part, so it is asked for only where no better one was found. */
static bool choose_union(Native *n, Rel *r)
{
    const Block *b = r->b;
    bool err = false;
    size_t most = 0;
    int best = -1;

    r->plan.laned = false;
    for (int class = 0; class < 3 && best < 0; class++)
        for (int c = 0; c < b->n_cols && !err && (best < 0 || class == 2); c++) {
            if (union_class(r, c) != class || !union_lane(n, r, c, &err))
                continue;
            const Expr *e = b->part[0].e[c];
            const size_t lanes = lay_with_lane(n, r->src[e->src], e->col, &err)->L;
            if (best < 0 || lanes > most) {
                most = lanes;
                best = c;
            }
        }
    r->plan.laned = r->plan.carried = best >= 0;
    for (int p = 0; p < b->n_parts; p++)
        r->plan.lane_col[p] = best < 0 ? -1 : b->part[p].e[best]->col;
    return !err;
}

/* ---- keeping a choice ---- */

/* Is column c of a union still the lane of every part? */
static bool still_union_lane(Native *n, const Rel *r, int c, bool *err)
{
    const Lay *first = NULL;

    for (int p = 0; p < r->b->n_parts; p++) {
        const Part *part = &r->b->part[p];
        if (!part_allows(n, r, part, c, &first, err) || part->e[c]->col != r->plan.lane_col[p])
            return false;
    }
    return true;
}

/* Which columns equal the lane depends on the data, so that the block is asked again too. */
static bool still_possible(Native *n, Rel *r, bool *err)
{
    LaneClass k = { n, r, r->plan.lane_col, r->plan.no_null_lane };
    bool carried, possible = false;

    if (!r->plan.laned)
        return !r->plan.no_lanes;
    if (r->b->kind != BLK_union)
        return conditions_allow(r->b, &k) && outputs_allow(r->b, &k, &carried) && carried == r->plan.carried &&
               data_allow(n, r, &k, err);
    for (int c = 0; c < r->b->n_cols && !possible && !*err; c++)
        possible = still_union_lane(n, r, c, err);
    return possible;
}

/* ---- views that were made to choose ---- */

#define MOST_REMADE 100000              /* numbers of a view that is rather made twice than kept */

static bool has_view(const Rel *r, int c)
{
    return r->view && r->view[c] && r->view[c]->of_rows;
}

static bool reads_view(const Rel *r, const Rel *src, int c)
{
    for (int k = 0; k < plan_reads(r); k++)
        if (plan_read_src(r, k) >= 0 && r->src[plan_read_src(r, k)] == src && r->plan.lane_col[k] == c)
            return true;
    return false;
}

/* Small ones that are new and were not chosen: a loop's many steps would keep many of them. */
static void forget_views(Native *n, Rel *r, bool *const *had)
{
    for (int s = 0; s < r->b->n_src; s++)
        for (int c = 0; c < r->src[s]->b->n_cols; c++)
            if (!had[s][c] && has_view(r->src[s], c) && !reads_view(r, r->src[s], c) && lay_size(&r->src[s]->lay) < MOST_REMADE)
                lay_forget_view(n, r->src[s]->view[c]);
}

static bool choose_lanes(Native *n, Rel *r)
{
    Arena a = { 0 };
    bool **had = ARENA_ARRAY(&a, bool *, r->b->n_src + 1);

    for (int s = 0; s < r->b->n_src; s++) {
        had[s] = ARENA_ARRAY(&a, bool, r->src[s]->b->n_cols + 1);
        for (int c = 0; c < r->src[s]->b->n_cols; c++)
            had[s][c] = has_view(r->src[s], c);
    }
    const bool ok = r->b->kind == BLK_union ? choose_union(n, r) : choose_class(n, r);
    if (ok)
        forget_views(n, r, had);
    arena_free(&a);
    return ok;
}

bool plan_choose_lanes(Native *n, Rel *r)
{
    bool err = false;

    if (r->plan.settled && still_possible(n, r, &err))
        return !err;
    if (err)
        return false;
    if (r->plan.hard) {
        take_class(r, NULL, false);
        return true;
    }
    r->plan.no_lanes = false;
    for (int s = 0; s < r->b->n_src; s++)
        r->plan.no_lanes |= r->src[s]->lay.lane >= 0 && r->src[s]->lay.L == 0;
    return choose_lanes(n, r);
}

bool plan_lanes_hold(Native *n, Rel *r, bool *err)
{
    return still_possible(n, r, err);
}
