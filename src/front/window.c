/* SPDX-License-Identifier: Apache-2.0
 *
 * window.c - `agg(e) OVER (PARTITION BY p)` is a reduction of the same rows by p, joined back on p.
 *
 * ROW_NUMBER() chooses rows: where an enclosing WHERE says `rn <= k` it becomes a pick, the first k rows of
 * each partition.  A row number that is read otherwise is counted: how many rows of the partition do not
 * come after this one, ties by identity, over the picked rows only. */
#include "front/query.h"

enum { FRAME_NONDEFAULT = 1 };      /* FRAMEOPTION_NONDEFAULT of PostgreSQL's parser */

/* ---- OVER (…) ---- */

static const PgQuery__WindowDef *named_window(Query *q, const PgQuery__WindowDef *w, Span at)
{
    const char *name = w->name && *w->name         ? w->name
                       : w->refname && *w->refname ? w->refname
                                                   : NULL;

    if (!name)
        return w;
    for (size_t k = 0; q->q && k < q->q->n_window_clause; k++) {
        const PgQuery__WindowDef *d = q->q->window_clause[k]->window_def;
        if (d->name && !strcmp(d->name, name) && !(d->refname && *d->refname))
            return d;
    }
    diag_fail(q->b->c, ERR_window_form, at, "no window %s; write OVER (PARTITION BY …) out", name);
}

WinUse window_spec(Ctx *x, const PgQuery__FuncCall *f)
{
    Query *q = x->q;
    const Span at = bind_span(q->b, f->location, 0);
    const PgQuery__WindowDef *w = named_window(q, f->over, at);
    WinUse u = { .fn = AGG_none, .at = at };
    Ctx inner = *x;

    if (!x->windows)
        diag_fail(q->b->c, ERR_window_place, at,
                  "a window cannot stand in %s; compute it in a subquery", x->clause);
    if (w->frame_options & FRAME_NONDEFAULT)
        diag_fail(q->b->c, ERR_window_form, at,
                  "a window frame (ROWS, RANGE, GROUPS) is not in the language");
    inner.windows = inner.alias_first = inner.alias_last = false;
    inner.clause = "OVER";
    for (size_t k = 0; k < w->n_partition_clause; k++) {
        Expr *e = expr_bind(&inner, w->partition_clause[k]);
        VEC_PUSH(q->a, u.part, u.n_part, expr_plain(q->a, e));
    }
    u.order = order_list(&inner, w->order_clause, w->n_order_clause, &u.n_order);
    return u;
}

Expr *window_call(Ctx *x, const PgQuery__FuncCall *f, const char *name)
{
    Query *q = x->q;
    const Span at = bind_span(q->b, f->location, 0);

    if (strcmp(name, "row_number"))
        diag_fail(q->b->c, ERR_window_form, at, "the language has no window function %s; %s", src_text(q, at),
                  !strcmp(name, "lag") || !strcmp(name, "lead")
                      ? "join the table with itself, ON b.t = a.t - 1"
                      : "it has SUM COUNT MIN MAX AVG VARIANCE STDDEV OVER (PARTITION BY …) and ROW_NUMBER()");
    if (f->n_args || f->agg_star || f->agg_distinct || f->agg_filter)
        diag_fail(q->b->c, ERR_expr_arguments, at, "ROW_NUMBER takes no arguments");
    const WinUse u = window_spec(x, f);
    if (!u.n_order && !(q->b->scan && q->b->scan->canonical))
        diag_fail(q->b->c, ERR_window_form, at,
                  "ROW_NUMBER needs ORDER BY in its OVER (…): rows have no order of their own");
    VEC_PUSH(q->a, q->win, q->n_wins, u);
    return expr_placeholder(q, SRC_WIN, q->n_wins - 1, T_INT, false, at);
}

/* ---- ORDER BY ---- */

/* NULL comes first ascending and last descending; asked for the other way, a key of its own says so. */
static void push_order(Query *q, Order **list, int *n, Expr *e, bool desc, int nulls)
{
    const bool wrong = desc ? nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST
                            : nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_LAST;

    if (wrong && e->nullable)
        VEC_PUSH(q->a, *list, *n,
                 ((Order){ ex1(q->a, OP_to_int, ex1(q->a, OP_is_null, e)), desc }));
    VEC_PUSH(q->a, *list, *n, ((Order){ e, desc }));
}

static Expr *order_key(Ctx *x, const Node *n)
{
    Query *q = x->q;
    int64_t k;

    if (!x->alias_first || n->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        !expr_int_literal(q, n, &k))
        return expr_bind(x, n);
    if (k < 1 || k > q->n_outs)
        diag_fail(q->b->c, ERR_query_ordinal, node_span(q, n),
                  "ORDER BY %lld: the select list has %d column%s", (long long)k, q->n_outs,
                  q->n_outs == 1 ? "" : "s");
    return q->out[k - 1].e;
}

Order *order_list(Ctx *x, Node **sort, size_t n, int *n_out)
{
    Query *q = x->q;
    Order *list = NULL;

    *n_out = 0;
    if (n > MAX_KEYS)
        diag_fail(q->b->c, ERR_query_limit, node_span(q, sort[0]), "ORDER BY takes at most %d keys",
                  MAX_KEYS);
    for (size_t k = 0; k < n; k++) {
        const PgQuery__SortBy *s = sort[k]->sort_by;
        if (s->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING)
            diag_fail(q->b->c, ERR_query_clause, node_span(q, s->node),
                      "ORDER BY … USING is not in the language; write ASC or DESC");
        Expr *e = order_key(x, s->node);
        e = expr_plain(q->a, e->type == T_NULL ? expr_convert(q->a, e, T_INT) : e);
        push_order(q, &list, n_out, e, s->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC,
                   (int)s->sortby_nulls);
    }
    return list;
}

/* ---- aggregates over partitions ---- */

static Expr *window_node(void *arg, const Expr *e)
{
    const Query *q = arg;

    return e->op == OP_col && e->src == SRC_WIN && q->win[e->col].now
               ? expr_copy(q->a, q->win[e->col].now)
               : NULL;
}

static bool same_partition(const WinUse *x, const WinUse *y)
{
    if (x->n_part != y->n_part)
        return false;
    for (int k = 0; k < x->n_part; k++)
        if (!ex_equal(x->part[k], y->part[k]))
            return false;
    return true;
}

static bool is_ready(const WinUse *w)
{
    return w->fn != AGG_none && !w->now && !(w->arg && expr_reads(w->arg, SRC_WIN));
}

/* All windows with w's partition whose arguments are known: one reduction, joined back null-safely. */
static void partition_stage(Query *q, const WinUse *w)
{
    Block *r = query_new_block(q, BLK_reduce, NULL);
    int col[256], win[256], n = 0;

    from_copy(q, r);
    r->n_keys = w->n_part;
    for (int k = 0; k < w->n_part; k++)
        blk_add_col(q->b->p, r, NULL, expr_copy(q->a, w->part[k]), AGG_none);
    for (int k = 0; k < q->n_wins && n < (int)COUNT_OF(win); k++) {
        WinUse *v = &q->win[k];
        if (!is_ready(v) || !same_partition(v, w))
            continue;
        win[n] = k;
        col[n++] = blk_add_col(q->b->p, r, NULL, v->arg ? expr_copy(q->a, v->arg) : NULL, v->fn);
    }
    query_done(q, r);
    Expr **part = w->part;
    const int n_part = w->n_part, src = from_add_source(q, r, JOIN_inner, NULL, w->at, false);
    for (int k = 0; k < n_part; k++)
        blk_add_where(q->b->p, q->d,
                      group_key_equal(q, expr_copy(q->a, part[k]), ex_col(q->a, q->d, src, k)));
    for (int k = 0; k < n; k++)
        q->win[win[k]].now = ex_col(q->a, q->d, src, col[k]);
}

static void aggregates_stage(Query *q)
{
    for (bool any = true; any;) {
        any = false;
        for (int k = 0; k < q->n_wins && !any; k++)
            if (is_ready(&q->win[k])) {
                const WinUse w = q->win[k];
                partition_stage(q, &w);
                any = true;
            }
        query_map(q, window_node, q);
    }
}

/* ---- row numbers that are read as values ---- */

typedef struct RankKey { Expr *a, *b; bool desc; } RankKey;

/* b comes before a in one key; NULL first ascending, last descending. */
static Expr *key_before(Arena *ar, const RankKey *k)
{
    Expr *less = ex2(ar, k->desc ? OP_gt : OP_lt, k->b, k->a);
    Expr *low = k->desc ? k->a : k->b, *high = k->desc ? k->b : k->a;

    if (!k->a->nullable && !k->b->nullable)
        return less;
    Expr *by_null = ex2(ar, OP_and, ex1(ar, OP_is_null, low), ex1(ar, OP_not_null, high));
    return ex2(ar, OP_or, by_null, ex2(ar, OP_and, ex1(ar, OP_not_null, k->a), less));
}

/* b does not come after a: before it in the first key that differs, or the same row. */
static Expr *not_after(Query *q, const RankKey *k, int n)
{
    Arena *ar = q->a;
    Expr *e = NULL;

    for (int j = n - 1; j >= 0; j--) {
        const bool plain = !k[j].a->nullable && !k[j].b->nullable;
        if (!e && plain) {
            e = ex2(ar, k[j].desc ? OP_ge : OP_le, k[j].b, k[j].a);
            continue;
        }
        Expr *equal = ex2(ar, plain ? OP_eq : OP_same, k[j].b, k[j].a);
        e = expr_junction(
            q, OP_or,
            (Expr *[]){ key_before(ar, &k[j]),
                        e ? expr_junction(q, OP_and, (Expr *[]){ equal, e }, 2) : equal },
            2);
    }
    return e;
}

/* Whether the partition or the order already settles a column of the identity. */
static bool ordered_by(const Expr *id, Expr *const *part, int n_part, const Order *order,
                       int n_order)
{
    for (int k = 0; k < n_part; k++)
        if (part[k]->op == OP_col && part[k]->col == id->col)
            return true;
    for (int k = 0; k < n_order; k++)
        if (order[k].e->op == OP_col && order[k].e->col == id->col)
            return true;
    return false;
}

/* The block that counts: one row for each row of m, by m's identity. */
static Block *rank_block(Query *q, Block *m, Expr **part, int n_part, const Order *order,
                         int n_order)
{
    Block *r = query_new_block(q, BLK_reduce, NULL);
    RankKey *k = ARENA_ARRAY(q->a, RankKey, n_order + m->n_id + 1);
    int n = 0;

    blk_add_source(q->b->p, r, m, JOIN_inner, NULL);
    blk_add_source(q->b->p, r, m, JOIN_inner, NULL);
    for (int p = 0; p < n_part; p++)
        blk_add_where(
            q->b->p, r,
            group_key_equal(q, expr_over_source(q->a, part[p], 0), expr_over_source(q->a, part[p], 1)));
    for (int o = 0; o < n_order; o++)
        k[n++] = (RankKey){ expr_over_source(q->a, order[o].e, 0), expr_over_source(q->a, order[o].e, 1),
                            order[o].desc };
    for (int j = 0; j < m->n_id; j++) {
        Expr *id = ex_col(q->a, r, 0, m->id_col[j]);
        if (!ordered_by(id, part, n_part, order, n_order))
            k[n++] = (RankKey){ id, ex_col(q->a, r, 1, m->id_col[j]), false };
    }
    if (n)
        blk_add_where(q->b->p, r, not_after(q, k, n));
    r->n_keys = m->n_id;
    for (int j = 0; j < m->n_id; j++)
        blk_add_col(q->b->p, r, NULL, ex_col(q->a, r, 0, m->id_col[j]), AGG_none);
    blk_add_col(q->b->p, r, NULL, NULL, AGG_count);
    query_done(q, r);
    return r;
}

/* Conditions that bring source s, a rank block of m, to m's rows in source src of d. */
static void match_ranks(Query *q, Block *d, const Block *m, int src, int s)
{
    for (int j = 0; j < m->n_id; j++) {
        Expr *x = ex_col(q->a, d, src, m->id_col[j]), *y = ex_col(q->a, d, s, j);
        blk_add_where(q->b->p, d, ex2(q->a, m->col[m->id_col[j]].nullable ? OP_same : OP_eq, x, y));
    }
}

Expr *rank_join(Query *q, int src, Expr **part, int n_part, const Order *order, int n_order)
{
    Block *m = q->d->src[src].rel;

    if (m->n_id == 0)
        return ex_int(q->a, 1);
    Block *r = rank_block(q, m, part, n_part, order, n_order);
    const int s = from_add_source(q, r, JOIN_inner, NULL, q->d->src[src].at, false);
    match_ranks(q, q->d, m, src, s);
    return ex_col(q->a, q->d, s, m->n_id);
}

/* The number of a subquery's row must be there before any join, whose ON may read it: source src
 * becomes a block that has it as one column more. */
static Expr *rank_before(Query *q, int src, Expr **part, int n_part, const Order *order,
                         int n_order)
{
    Block *m = q->d->src[src].rel;
    Block *r = m->n_id ? rank_block(q, m, part, n_part, order, n_order) : NULL;
    Block *n = query_new_block(q, BLK_row, NULL);

    blk_add_source(q->b->p, n, m, JOIN_inner, NULL);
    if (r)
        match_ranks(q, n, m, 0, blk_add_source(q->b->p, n, r, JOIN_inner, NULL));
    for (int c = 0; c < m->n_cols; c++)
        blk_add_col(q->b->p, n, m->col[c].name, ex_col(q->a, n, 0, c), AGG_none);
    const int rank = blk_add_col(q->b->p, n, arena_printf(q->a, GEN_PREFIX "n%d", m->n_cols),
                                 r ? ex_col(q->a, n, 1, m->n_id) : ex_int(q->a, 1), AGG_none);
    query_done(q, n);
    q->d->src[src].rel = n;
    return ex_col(q->a, q->d, src, rank);
}

/* ROW_NUMBER() of this query's own rows, read as a value. */
static void rank_windows(Query *q)
{
    for (int k = 0; k < q->n_wins; k++) {
        if (q->win[k].fn != AGG_none || q->win[k].now || k == q->open_win)
            continue;
        if (q->d->n_src != 1 || q->d->n_where)
            query_materialise(q);
        const WinUse *w = &q->win[k];
        Expr *e = rank_join(q, 0, w->part, w->n_part, w->order, w->n_order);
        q->win[k].now = e;
        query_map(q, window_node, q);
    }
}

void window_stage(Query *q)
{
    bool aggs = false;

    for (int k = 0; k < q->n_wins; k++)
        aggs |= q->win[k].fn != AGG_none;
    if (aggs && q->d->n_src != 1)
        query_materialise(q);
    aggregates_stage(q);
    rank_windows(q);
}

/* ---- open picks: WHERE says how many rows ---- */

static bool is_rank(const Expr *e, int tab)
{
    return e->op == OP_col && e->src == SRC_RANK && e->col == tab;
}

/* A conjunct that says no more than rank <= *most (or rank >= 1: *most is INT64_MAX).  `rank = k` also
 * says more, unless k is 1. */
static bool rank_bound(const Expr *e, int tab, int64_t *most, bool *all)
{
    if (e->n_args != 2)
        return false;
    const int r = is_rank(e->arg[0], tab) ? 0 : 1;
    const Expr *lit = e->arg[1 - r];
    if (!is_rank(e->arg[r], tab) || lit->op != OP_lit_int || lit->i < 1 || lit->i == INT64_MAX)
        return false;
    *all = true;
    *most = INT64_MAX;
    if (e->op == OP_eq || e->op == OP_same) {
        *most = lit->i;
        *all = lit->i == 1;
        return true;
    }
    if (e->op == (r == 0 ? OP_le : OP_ge) || e->op == (r == 0 ? OP_lt : OP_gt)) {
        *most = lit->i - (e->op == OP_lt || e->op == OP_gt);
        return *most >= 1;
    }
    return e->op == (r == 0 ? OP_ge : OP_le) && lit->i == 1;
}

static int64_t take_bounds(Expr **list, int *n, int tab)
{
    int64_t least = INT64_MAX, most = 0;
    bool all = false;
    int kept = 0;

    for (int k = 0; k < *n; k++) {
        const bool bound = rank_bound(list[k], tab, &most, &all);
        least = bound && most < least ? most : least;
        if (!bound || !all)
            list[kept++] = list[k];
    }
    *n = kept;
    return least;
}

typedef struct RankUse { Query *q; int tab; Expr *now; bool seen; } RankUse;

static Expr *rank_node(void *arg, const Expr *e)
{
    RankUse *u = arg;

    if (!is_rank(e, u->tab))
        return NULL;
    u->seen = true;
    if (!u->now)
        return NULL;
    Expr *r = expr_copy(u->q->a, u->now);
    r->at = e->at;
    return r;
}

static void map_rank(Query *q, RankUse *u)
{
    query_map_all(q, rank_node, u);
    if (!u->now)
        return;
    for (int k = 0; k < q->vis.n; k++)
        q->vis.v[k].e = expr_rewrite(q->a, q->vis.v[k].e, rank_node, u);
    for (int t = 0; t < q->n_tabs; t++)
        for (int c = 0; c < q->tab[t]->n_cols; c++)
            q->tab[t]->col[c].e = expr_rewrite(q->a, q->tab[t]->col[c].e, rank_node, u);
}

/* The pick's partition and order as columns of it, for counting. */
static Expr *as_column(Query *q, Block *p, int src, const Expr *e)
{
    for (int c = 0; c < p->n_cols; c++)
        if (p->col[c].e && ex_equal(p->col[c].e, e))
            return ex_col(q->a, q->d, src, c);
    return ex_col(q->a, q->d, src, blk_add_col(q->b->p, p, NULL, expr_copy(q->a, e), AGG_none));
}

static Expr *count_ranks(Query *q, const Tab *t)
{
    Block *p = t->open->pick;
    Expr **part = ARENA_ARRAY(q->a, Expr *, p->n_part + 1);
    Order *order = ARENA_ARRAY(q->a, Order, p->n_order + 1);
    const int n_part = p->n_part, n_order = p->n_order;

    for (int k = 0; k < n_part; k++)
        part[k] = as_column(q, p, t->src, p->part_key[k]);
    for (int k = 0; k < n_order; k++)
        order[k] = (Order){ as_column(q, p, t->src, p->order[k].e), p->order[k].desc };
    if (p->limit == INT64_MAX)                          /* nothing chosen: plain rows */
        *p = (Block){ .id = p->id,
                      .kind = BLK_row,
                      .name = p->name,
                      .at = p->at,
                      .src = p->src,
                      .n_src = p->n_src,
                      .where = p->where,
                      .n_where = p->n_where,
                      .col = p->col,
                      .n_cols = p->n_cols,
                      .limit = 1,
                      .mode = p->mode };
    query_done(q, p);
    return rank_before(q, t->src, part, n_part, order, n_order);
}

static void absorb_tab(Query *q, int tab)
{
    Tab *t = q->tab[tab];
    Source *s = &q->d->src[t->src];
    Block *p = t->open->pick;
    RankUse u = { q, tab, NULL, false };

    p->limit = s->join == JOIN_left ? take_bounds(s->on, &s->n_on, tab)
                                    : take_bounds(q->d->where, &q->d->n_where, tab);
    if (s->join == JOIN_left && s->n_on == 0)
        blk_add_on(q->b->p, q->d, t->src, expr_true(q->a));
    map_rank(q, &u);
    if (u.seen && p->limit == 1 && s->join == JOIN_inner)
        u.now = ex_int(q->a, 1);
    else if (u.seen)
        u.now = count_ranks(q, t);
    if (u.now)
        map_rank(q, &u);
    if (!u.seen && p->limit == INT64_MAX) {
        p->kind = BLK_row;
        p->n_part = p->n_order = 0;
        p->limit = 1;
    }
    query_done(q, p);
    t->open = NULL;
}

void rank_absorb(Query *q)
{
    for (int t = 0; t < q->n_tabs; t++)
        if (q->tab[t]->open)
            absorb_tab(q, t);
}
