/* SPDX-License-Identifier: Apache-2.0
 *
 * group.c - GROUP BY: one reduction of the draft, and a new draft over it.  What is neither a key nor an
 * aggregate must follow from the keys; its source is then joined again *after* the grouping, on its
 * identity, so that its gradient is summed over groups and not over joined rows.
 *
 * VARIANCE needs the groups' means before the aggregates; COUNT(DISTINCT x) counts the groups of (keys, x). */
#include "front/query.h"

/* ---- the keys ---- */

static const VisCol *input_column(const Query *q, const Ident *name)
{
    for (int k = 0; k < q->vis.n; k++)
        if (name_is(q->vis.v[k].name, name))
            return &q->vis.v[k];
    return NULL;
}

static Expr *bind_out(Query *q, const Out *o, const char *clause, Span at)
{
    if (!o->node)
        return o->e;
    if (func_node_aggregates(o->node))
        diag_fail(q->b->c, ERR_group_alias, at,
                  "%s stands for an aggregate, which cannot be grouped by; group in a subquery "
                  "first",
                  src_text(q, at));
    Ctx x = { .q = q, .clause = clause, .subqueries = true };
    return expr_bind(&x, o->node);
}

/* `GROUP BY r` where the select list has r/2 AS r: the alias.  Other databases take the input column. */
static Expr *key_of_alias(Query *q, const Ident *name)
{
    const Out *o = scope_alias(q, name);

    if (!o)
        return NULL;
    Expr *e = bind_out(q, o, "GROUP BY", name->at);
    const VisCol *c = input_column(q, name);
    if (c && !ex_equal(c->e, e))
        VEC_PUSH(q->a, q->shadow, q->n_shadows, ((Shadow){ name->text, e->at, name->at }));
    return e;
}

static Expr *key_of_ordinal(Query *q, int64_t k, Span at)
{
    if (k < 1 || k > q->n_outs)
        diag_fail(q->b->c, ERR_query_ordinal, at, "GROUP BY %lld: the select list has %d column%s",
                  (long long)k, q->n_outs, q->n_outs == 1 ? "" : "s");
    return bind_out(q, &q->out[k - 1], "GROUP BY", at);
}

static Expr *bind_key(Query *q, const Node *n)
{
    Ctx x = { .q = q, .clause = "GROUP BY", .subqueries = true };
    const Span at = node_span(q, n);
    int64_t k;
    Ident name;

    if (n->node_case == PG_QUERY__NODE__NODE_GROUPING_SET)
        diag_fail(q->b->c, ERR_query_clause, at,
                  "ROLLUP, CUBE and GROUPING SETS are not in the language; write one GROUP BY for "
                  "each and UNION ALL");
    if (n->node_case == PG_QUERY__NODE__NODE_A_CONST && expr_int_literal(q, n, &k))
        return key_of_ordinal(q, k, at);
    if (n->node_case == PG_QUERY__NODE__NODE_COLUMN_REF && n->column_ref->n_fields == 1 &&
        name_path(q, n->column_ref->location, &name, 1) == 1) {
        Expr *e = key_of_alias(q, &name);
        if (e)
            return e;
    }
    return expr_bind(&x, n);
}

static void note_aliases(Query *q)
{
    const char *names = "", *texts = "";

    if (!q->n_shadows || (q->b->scan && q->b->scan->canonical))
        return;
    for (int k = 0; k < q->n_shadows; k++) {
        const Shadow *w = &q->shadow[k];
        names = arena_printf(q->a, "%s%s%s", names, k ? ", " : "", w->name);
        texts = arena_printf(q->a, "%s%s%s AS %s", texts, k ? ", " : "", src_text(q, w->at),
                             w->name);
    }
    diag_note(q->b->c, ERR_note_group_alias, q->shadow[0].name_at,
              "GROUP BY %s means %s of the select list, not the input column%s", names, texts,
              q->n_shadows == 1 ? "" : "s");
}

void group_keys(Query *q)
{
    const PgQuery__SelectStmt *s = q->q;

    if (s->n_group_clause > MAX_KEYS)
        diag_fail(q->b->c, ERR_query_limit, node_span(q, s->group_clause[0]),
                  "GROUP BY takes at most %d keys", MAX_KEYS);
    for (size_t k = 0; k < s->n_group_clause; k++) {
        Expr *e = bind_key(q, s->group_clause[k]);
        bool twice = false;
        e = expr_plain(q->a, e->type == T_NULL ? expr_convert(q->a, e, T_INT) : e);
        for (int j = 0; j < q->n_keys; j++)
            twice |= ex_equal(q->key[j], e);
        if (!twice)
            VEC_PUSH(q->a, q->key, q->n_keys, e);
        q->grouped = true;
    }
    note_aliases(q);
}

static bool counts_rows(const Query *q)
{
    const Expr *h = q->having;

    return h && h->op == OP_gt && h->arg[0]->op == OP_col && h->arg[0]->src == SRC_AGG &&
           !q->agg[h->arg[0]->col].arg && h->arg[1]->op == OP_lit_int && h->arg[1]->i == 0;
}

/* A dump leaves constant keys out of GROUP BY; where no other key is left it says HAVING COUNT(*) > 0. */
void group_constants(Query *q)
{
    if (q->having && !(q->n_keys == 0 && counts_rows(q)))
        return;
    for (int k = 0; k < q->n_outs; k++) {
        Expr *e = q->out[k].e;
        if (!expr_reads(e, SRC_AGG) && !expr_reads_rows(e) && !expr_reads(e, SRC_WIN) &&
            (q->n_keys || q->having)) {
            bool twice = false;
            for (int j = 0; j < q->n_keys; j++)
                twice |= ex_equal(q->key[j], e);
            if (!twice)
                VEC_PUSH(q->a, q->key, q->n_keys, e);
        }
    }
    q->having = NULL;
}

int group_add_agg(Query *q, Agg fn, Expr *arg, bool distinct)
{
    for (int k = 0; k < q->n_aggs; k++) {
        const AggUse *u = &q->agg[k];
        if (u->fn == fn && u->distinct == distinct &&
            (u->arg == arg || (u->arg && arg && ex_equal(u->arg, arg))))
            return k;
    }
    if (q->n_aggs >= MAX_COLS)
        diag_fail(q->b->c, ERR_query_limit, arg ? arg->at : bind_span(q->b, -1, 0),
                  "a query has at most %d aggregates", MAX_COLS);
    VEC_PUSH(q->a, q->agg, q->n_aggs, ((AggUse){ fn, arg, distinct }));
    return q->n_aggs - 1;
}

/* A REAL key that the others determine leaves the keys: it is looked up afterwards. */
static void drop_determined_keys(Query *q)
{
    if (q->b->scan && q->b->scan->canonical)
        return;
    for (int k = q->n_keys - 1; k >= 0 && q->n_keys > 1; k--) {
        if (q->key[k]->type != T_REAL)
            continue;
        Known *known = known_new(q->a, q->d);
        for (int j = 0; j < q->n_keys; j++)
            if (j != k)
                known_add_expr(known, q->key[j]);
        known_close(known);
        if (!known_has_expr(known, q->key[k]))
            continue;
        for (int j = k; j + 1 < q->n_keys; j++)
            q->key[j] = q->key[j + 1];
        q->n_keys--;
    }
}

/* ---- side reductions: means, distinct counts ---- */

Expr *group_key_equal(Query *q, Expr *x, Expr *y)
{
    return ex2(q->a, x->nullable || y->nullable ? OP_same : OP_eq, x, y);
}

static Block *reduction_of_draft(Query *q, Expr *more)
{
    Block *r = query_new_block(q, BLK_reduce, NULL);

    from_copy(q, r);
    r->n_keys = q->n_keys + (more != NULL);
    for (int k = 0; k < q->n_keys; k++)
        blk_add_col(q->b->p, r, NULL, expr_copy(q->a, q->key[k]), AGG_none);
    if (more)
        blk_add_col(q->b->p, r, NULL, expr_copy(q->a, more), AGG_none);
    return r;
}

/* Join the draft with a reduction of itself by the keys; `key` are the keys over the draft. */
static int join_back(Query *q, Block *r, Join join, Expr **key)
{
    const int src = from_add_source(q, r, join, NULL, r->at, false);

    for (int k = 0; k < q->n_keys; k++) {
        Expr *e = group_key_equal(q, key[k], ex_col(q->a, q->d, src, k));
        if (join == JOIN_left)
            blk_add_on(q->b->p, q->d, src, e);
        else
            blk_add_where(q->b->p, q->d, e);
    }
    return src;
}

static Expr *mean_node(void *arg, const Expr *e)
{
    const Query *q = arg;

    return e->op == OP_col && e->src == SRC_MEAN ? q->mean[e->col].now : NULL;
}

static void means_stage(Query *q)
{
    if (!q->n_means)
        return;
    Block *r = reduction_of_draft(q, NULL);
    for (int k = 0; k < q->n_means; k++) {
        Expr *x = q->mean[k].arg;
        blk_add_col(q->b->p, r, NULL, expr_copy(q->a, ex_real_of(q->a, x)), AGG_sum);
        blk_add_col(q->b->p, r, NULL, x->nullable ? expr_copy(q->a, x) : NULL, AGG_count);
    }
    query_done(q, r);
    const int src = join_back(q, r, JOIN_inner, q->key);
    for (int k = 0; k < q->n_means; k++)
        q->mean[k].now = ex2(q->a, OP_div, ex_col(q->a, q->d, src, q->n_keys + 2 * k),
                             ex_real_of(q->a, ex_col(q->a, q->d, src, q->n_keys + 2 * k + 1)));
    for (int k = 0; k < q->n_aggs; k++)
        if (q->agg[k].arg)
            q->agg[k].arg = expr_rewrite(q->a, q->agg[k].arg, mean_node, q);
}

/* COUNT(DISTINCT x): how many groups (keys, x) a group of the keys has, NULL left out. */
static Block *distinct_counts(Query *q, Expr *x)
{
    Block *d = reduction_of_draft(q, x), *c = query_new_block(q, BLK_reduce, NULL);

    if (x->nullable)
        blk_add_where(q->b->p, d, ex1(q->a, OP_not_null, expr_copy(q->a, x)));
    query_done(q, d);
    blk_add_source(q->b->p, c, d, JOIN_inner, NULL);
    c->n_keys = q->n_keys;
    for (int k = 0; k < q->n_keys; k++)
        blk_add_col(q->b->p, c, NULL, ex_col(q->a, c, 0, k), AGG_none);
    blk_add_col(q->b->p, c, NULL, NULL, AGG_count);
    query_done(q, c);
    return c;
}

/* ---- the reduction itself ---- */

typedef struct Group {
    Query *q;
    Block *old, *r;             /* the draft before; the reduction, source 0 of the new draft */
    Known *known;               /* over `old`, given the keys */
    Expr **agg;                 /* what the aggregates became */
    int *lookup;                /* per old source: source of the new draft, -1 none yet */
    bool *busy;
} Group;

enum { SRC_SELF = SRC_RANK + 1 };

static uint64_t used_sources(const Query *q, const bool *gone)
{
    uint64_t set = 0;

    for (int k = 0; k < q->n_keys; k++) set |= ex_sources(q->key[k]);
    for (int k = 0; k < q->n_aggs; k++) set |= q->agg[k].arg ? ex_sources(q->agg[k].arg) : 0;
    for (int k = 0; k < q->d->n_where; k++) set |= ex_sources(q->d->where[k]);
    for (int s = 0; s < q->d->n_src; s++)
        for (int k = 0; k < q->d->src[s].n_on && !gone[s]; k++)
            set |= ex_sources(q->d->src[s].on[k]) & ~((uint64_t)1 << s);
    return set;
}

static Expr *renumber_src(void *arg, const Expr *e)
{
    const int *to = ((Query *)arg)->renumber;

    if (e->op != OP_col || e->src >= SRC_AGG)
        return NULL;
    return expr_col_at(((Query *)arg)->a, e, to[e->src], e->col);
}

/* Sources that subqueries of the select list added are looked up after the grouping; if nothing before it
 * reads them they leave the draft.  They meet each row exactly once, so that no row is lost or doubled.
 * to[s]: the source's new number, -1 if it left. */
static void prune(Query *q, int *to)
{
    Block *d = q->d;
    bool gone[MAX_SOURCES + 1] = { false };
    int n = 0;

    for (int s = d->n_src - 1; s > 0; s--)
        gone[s] = q->optional[s] && (d->src[s].join == JOIN_left || rel_one_row(d->src[s].rel)) &&
                  !(used_sources(q, gone) >> s & 1);
    for (int s = 0; s < d->n_src; s++) {
        to[s] = gone[s] ? -1 : n;
        if (!gone[s])
            d->src[n++] = d->src[s];
    }
    d->n_src = n;
    q->renumber = to;
}

static Expr *renumbered(Query *q, const Expr *e)
{
    return e ? expr_rewrite(q->a, e, renumber_src, q) : NULL;
}

/* A draft without the sources that only later stages read. */
static Block *pruned_copy(Query *q, BlockKind kind, const char *name)
{
    Block *r = query_new_block(q, kind, name), *d = q->d, copy = *d;
    int to[MAX_SOURCES + 1];

    copy.src = ARENA_VEC(q->a, Source, d->n_src);
    memcpy(copy.src, d->src, (size_t)d->n_src * sizeof *d->src);
    q->d = &copy;
    prune(q, to);
    from_copy(q, r);
    for (int k = 0; k < r->n_where; k++)
        r->where[k] = renumbered(q, r->where[k]);
    for (int s = 0; s < r->n_src; s++)
        for (int k = 0; k < r->src[s].n_on; k++)
            r->src[s].on[k] = renumbered(q, r->src[s].on[k]);
    q->d = d;
    q->renumber = ARENA_ARRAY(q->a, int, MAX_SOURCES + 1);
    memcpy(q->renumber, to, sizeof to);
    return r;
}

/* ---- straight: every output is a key or an aggregate, keys first ---- */

static int key_index(const Query *q, const Expr *e)
{
    for (int k = 0; k < q->n_keys; k++)
        if (ex_equal(q->key[k], e))
            return k;
    return -1;
}

static bool is_direct(const Query *q)
{
    bool *seen = ARENA_ARRAY(q->a, bool, q->n_keys + 1);
    bool aggs = false;

    if (q->having || q->n_wins || q->distinct || q->has_limit || q->n_means)
        return false;
    for (int o = 0; o < q->n_outs; o++) {
        const Expr *e = q->out[o].e;
        const int k = key_index(q, e);
        if (e->op == OP_col && e->src == SRC_AGG && !q->agg[e->col].distinct) {
            aggs = true;
        } else {
            if (k < 0 || seen[k] || aggs)
                return false;
            seen[k] = true;
        }
    }
    return true;
}

static void add_agg(Query *q, Block *r, const char *name, const AggUse *u)
{
    blk_add_col(q->b->p, r, name, renumbered(q, u->arg), u->fn);
}

static Block *direct_reduction(Query *q, const char *name)
{
    Block *r = pruned_copy(q, BLK_reduce, name);
    bool *seen = ARENA_ARRAY(q->a, bool, q->n_keys + 1);
    int o = 0;

    r->n_keys = q->n_keys;
    for (; o < q->n_outs && q->out[o].e->src != SRC_AGG; o++) {
        seen[key_index(q, q->out[o].e)] = true;
        query_add_col(q, r, &q->out[o], renumbered(q, q->out[o].e));
    }
    for (int k = 0; k < q->n_keys; k++)
        if (!seen[k])
            blk_add_col(q->b->p, r, arena_printf(q->a, GEN_PREFIX "g%d", k),
                        renumbered(q, q->key[k]), AGG_none);
    for (; o < q->n_outs; o++) {
        query_check_name(q, r, &q->out[o]);
        add_agg(q, r, q->out[o].name, &q->agg[q->out[o].e->col]);
        r->col[r->n_cols - 1].at = q->out[o].at;
    }
    return r;
}

/* ---- expressions after the grouping ---- */

static Expr *written(Group *g, const Expr *e);

/* The other side of an equality of WHERE that gives column c of source s, written after the grouping. */
static Expr *by_equality(Group *g, int s, int c)
{
    for (int w = 0; w < g->old->n_where; w++) {
        const Expr *e = g->old->where[w];
        for (int side = 0; side < 2 && (e->op == OP_eq || e->op == OP_same); side++) {
            const Expr *x = e->arg[side], *y = e->arg[1 - side];
            if (x->op != OP_col || x->src != s || x->col != c || (ex_sources(y) >> s & 1) ||
                !known_has_expr(g->known, y))
                continue;
            Expr *r = written(g, y);
            if (r)
                return r;
        }
    }
    return NULL;
}

static Expr *id_value(Group *g, int s, int c)
{
    Expr *col = ex_col(g->q->a, g->old, s, c), *how = known_write(g->known, col);
    Expr *e = how ? written(g, how) : NULL;

    return e ? e : by_equality(g, s, c);
}

static int add_lookup(Group *g, int s, Join join)
{
    Query *q = g->q;
    const Source *old = &g->old->src[s];

    return g->lookup[s] = from_add_source(q, old->rel, join, old->alias, old->at, false);
}

static bool lookup_inner(Group *g, int s)
{
    Query *q = g->q;
    const Block *rel = g->old->src[s].rel;
    Expr **value = ARENA_ARRAY(q->a, Expr *, rel->n_id + 1);
    const Join join = q->n_keys == 0 && !rel_one_row(rel) ? JOIN_left : JOIN_inner;

    for (int j = 0; j < rel->n_id; j++)
        if (!(value[j] = id_value(g, s, rel->id_col[j])))
            return false;
    const int src = add_lookup(g, s, join);
    for (int j = 0; j < rel->n_id; j++) {
        Expr *e = group_key_equal(q, ex_col(q->a, g->q->d, src, rel->id_col[j]), value[j]);
        if (join == JOIN_left)
            blk_add_on(q->b->p, q->d, src, e);
        else
            blk_add_where(q->b->p, q->d, e);
    }
    if (join == JOIN_left && rel->n_id == 0)
        blk_add_on(q->b->p, q->d, src, expr_true(q->a));
    return true;
}

typedef struct OnSide { Group *g; int s; bool ok; } OnSide;

static Expr *on_node(void *arg, const Expr *e)
{
    OnSide *o = arg;

    if (e->op != OP_col)
        return NULL;
    if (e->src == o->s)
        return expr_col_at(o->g->q->a, e, SRC_SELF, e->col);
    Expr *r = written(o->g, e);
    o->ok &= r != NULL;
    return r;
}

static Expr *self_node(void *arg, const Expr *e)
{
    const Group *g = arg;

    return e->op == OP_col && e->src == SRC_SELF
               ? expr_col_at(g->q->a, e, g->q->d->n_src - 1, e->col)
               : NULL;
}

/* A LEFT JOIN is repeated with its whole condition. */
static bool lookup_left(Group *g, int s)
{
    const Source *old = &g->old->src[s];
    Expr **on = ARENA_ARRAY(g->q->a, Expr *, old->n_on + 1);
    OnSide o = { g, s, true };

    for (int k = 0; k < old->n_on; k++)
        on[k] = expr_rewrite(g->q->a, old->on[k], on_node, &o);
    if (!o.ok)
        return false;
    const int src = add_lookup(g, s, JOIN_left);
    for (int k = 0; k < old->n_on; k++)
        blk_add_on(g->q->b->p, g->q->d, src, expr_rewrite(g->q->a, on[k], self_node, g));
    return true;
}

static bool lookup_source(Group *g, int s)
{
    if (g->lookup[s] >= 0)
        return true;
    if (g->busy[s] || !known_has_source(g->known, s))
        return false;
    g->busy[s] = true;
    const bool ok = g->old->src[s].join == JOIN_left ? lookup_left(g, s) : lookup_inner(g, s);
    g->busy[s] = false;
    return ok;
}

static Expr *written_col(Group *g, const Expr *e)
{
    Expr *how = known_write(g->known, e);
    Expr *r = how && !ex_equal(how, e) ? written(g, how) : NULL;

    if (r)
        return r;
    return lookup_source(g, e->src) ? ex_col(g->q->a, g->q->d, g->lookup[e->src], e->col) : NULL;
}

/* An expression over the old draft, over the new one; NULL if the keys do not give it. */
static Expr *written(Group *g, const Expr *e)
{
    const int k = key_index(g->q, e);
    Expr *n;

    if (k >= 0)
        return ex_col(g->q->a, g->q->d, 0, k);
    if (e->op == OP_col)
        return e->src >= SRC_AGG ? NULL : written_col(g, e);
    n = ARENA_NEW(g->q->a, Expr);
    *n = *e;
    n->arg = ARENA_ARRAY(g->q->a, Expr *, e->n_args + 1);
    for (int i = 0; i < e->n_args; i++)
        if (!(n->arg[i] = written(g, e->arg[i])))
            return NULL;
    n->nullable = ex_may_null(n);
    return n;
}

NORETURN static void fail_bare(Group *g, const Expr *e)
{
    Query *q = g->q;
    const Source *s = &g->old->src[e->src];
    const Block *rel = s->rel;
    const char *why = "";

    if (q->was_distinct)
        diag_fail(q->b->c, ERR_group_bare, e->at,
                  "ORDER BY of SELECT DISTINCT takes what is selected; %s is not",
                  src_text(q, e->at));
    if (q->n_keys == 0)
        diag_fail(q->b->c, ERR_group_bare, e->at,
                  "%s stands beside an aggregate, and there is no GROUP BY; add one, put it "
                  "inside an aggregate, or make the aggregate a window, SUM(…) OVER ()",
                  e->at.len ? src_text(q, e->at) : rel->col[e->col].name);
    if (rel->kind == BLK_base && rel->bag)
        why = arena_printf(q->a, " (the rows of %s are not unique by its keys%s%s)", rel->name,
                           rel->cat && rel->cat->dup_a ? ": " : "",
                           rel->cat && rel->cat->dup_a ? rel->cat->dup_a : "");
    diag_fail(q->b->c, ERR_group_bare, e->at,
              "%s is not determined by GROUP BY%s; add it to GROUP BY, or put it inside an "
              "aggregate",
              e->at.len ? src_text(q, e->at) : rel->col[e->col].name, why);
}

static Expr *grouped_node(void *arg, const Expr *e)
{
    Group *g = arg;
    const int k = key_index(g->q, e);
    Expr *r = NULL;

    if (e->op == OP_col && e->src == SRC_AGG)
        r = expr_copy(g->q->a, g->agg[e->col]);
    else if (k >= 0)
        r = ex_col(g->q->a, g->q->d, 0, k);
    else if (e->op == OP_col && e->src < SRC_AGG && !(r = written_col(g, e)))
        fail_bare(g, e);
    if (r && e->at.len) {
        r = expr_copy(g->q->a, r);
        r->at = e->at;
    }
    return r;
}

static const char *key_name(Query *q, const Block *r, const Expr *e)
{
    if (e->op != OP_col)
        return NULL;
    const char *name = q->d->src[e->src].rel->col[e->col].name;
    return strncmp(name, GEN_PREFIX, strlen(GEN_PREFIX)) && blk_find_col(r, name) < 0 ? name : NULL;
}

static void reduce_all(Group *g)
{
    Query *q = g->q;

    g->r = pruned_copy(q, BLK_reduce, NULL);
    g->r->n_keys = q->n_keys;
    for (int k = 0; k < q->n_keys; k++)
        blk_add_col(q->b->p, g->r, key_name(q, g->r, q->key[k]), renumbered(q, q->key[k]),
                    AGG_none);
    for (int k = 0; k < q->n_aggs; k++)
        if (!q->agg[k].distinct)
            add_agg(q, g->r, NULL, &q->agg[k]);
    if (g->r->n_cols == 0)
        blk_add_col(q->b->p, g->r, NULL, NULL, AGG_count);
    query_done(q, g->r);
}

/* The aggregates over the new draft; distinct counts are joined. */
static void find_aggregates(Group *g, Block **counts)
{
    Query *q = g->q;
    Expr **key = ARENA_ARRAY(q->a, Expr *, q->n_keys + 1);
    int c = q->n_keys;

    for (int k = 0; k < q->n_keys; k++)
        key[k] = ex_col(q->a, q->d, 0, k);
    for (int k = 0; k < q->n_aggs; k++) {
        if (!q->agg[k].distinct) {
            g->agg[k] = ex_col(q->a, q->d, 0, c++);
            continue;
        }
        const int src = join_back(q, counts[k], q->n_keys ? JOIN_left : JOIN_inner, key);
        g->agg[k] = ex_col(q->a, q->d, src, q->n_keys);
        if (q->n_keys)
            g->agg[k] = ex2(q->a, OP_coalesce, g->agg[k], ex_int(q->a, 0));
    }
}

void group_stage(Query *q, Block **direct, const char *name)
{
    if (!q->d->n_src)
        diag_fail(q->b->c, ERR_group_place, q->n_outs ? q->out[0].at : bind_span(q->b, -1, 0),
                  "an aggregate needs a table in FROM");
    drop_determined_keys(q);
    if (direct && is_direct(q)) {
        *direct = direct_reduction(q, name);
        query_done(q, *direct);
        return;
    }
    means_stage(q);
    Group g = { .q = q, .old = q->d, .known = known_new(q->a, q->d) };
    Block **counts = ARENA_ARRAY(q->a, Block *, q->n_aggs + 1);
    g.agg = ARENA_ARRAY(q->a, Expr *, q->n_aggs + 1);
    g.lookup = ARENA_ARRAY(q->a, int, q->d->n_src + 1);
    g.busy = ARENA_ARRAY(q->a, bool, q->d->n_src + 1);
    for (int s = 0; s < q->d->n_src; s++)
        g.lookup[s] = -1;
    for (int k = 0; k < q->n_keys; k++)
        known_add_expr(g.known, q->key[k]);
    known_close(g.known);
    for (int k = 0; k < q->n_aggs; k++)
        if (q->agg[k].distinct)
            counts[k] = distinct_counts(q, q->agg[k].arg);
    reduce_all(&g);
    query_new_draft(q, g.r);
    find_aggregates(&g, counts);
    query_map(q, grouped_node, &g);
    if (q->having)
        blk_add_where(q->b->p, q->d, q->having);
    q->having = NULL;
}
