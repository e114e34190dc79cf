/* SPDX-License-Identifier: Apache-2.0
 *
 * graph.c - `graph`: the model as a picture in Graphviz's language, drawn by its dot.
 *
 * Tables of the model are nodes: data in red, parameters in blue, and each step of computation in a box, as the paper's
 * figures have them; blocks that the front or a pass made are passed through.  What loops make of a table is one node, and
 * a loop is a frame.  With a database the model is evaluated
 * once, on its first batch, so that boxes can say how large their tables are; with --time, what each took. */
#include "api/plot.h"
#include "exec/spawn.h"
#include "pass/pass.h"

#include <string.h>

#define RED    "#c0392b"
#define BLUE   "#2f6fb5"
#define VIOLET "#7a5ab5"
#define INK    "#5f6770"
#define TIMED_RUNS 8

typedef enum NodeKind { NODE_data, NODE_param, NODE_range, NODE_step, NODE_grad } NodeKind;
typedef struct GraphNode {
    NodeKind kind;
    const char *name, *keys, *size;
    Block *b;                       /* NODE_grad: whose gradient it is */
    bool loss, metric, asked;       /* asked: a gradient that --wrt or the objective names */
    double seconds;                 /* below 0: not known */
    int repeat;                     /* the innermost loop that makes it; -1 */
} GraphNode;
typedef enum EdgeKind { EDGE_use, EDGE_rows, EDGE_before, EDGE_back, EDGE_value } EdgeKind;    /* before: of an earlier step */
typedef struct GraphEdge { int from, to; EdgeKind kind; } GraphEdge;

typedef struct Graph {
    Bound bound;
    bool grad, runs;
    GraphNode *node; int n_nodes;
    GraphEdge *edge; int n_edges;
    int *of;                        /* node of a block, by id while it is drawn; -1 */
    Map forward;                    /* … of the blocks of the model itself, by address: ids change */
    Block **target; int n_targets;
    int64_t batch;                  /* keys of the batch that was evaluated; 0: all */
    Buf dot;
} Graph;

/* ---- nodes and edges ---- */

static NodeKind node_kind(const Prog *p, const Block *b)
{
    for (int k = 0; k < p->n_obj; k++)
        for (int o = 0; o < p->obj[k].n_over; o++)
            if (p->obj[k].over[o] == b)
                return NODE_param;
    if (b->is_param)
        return NODE_param;
    return b->kind != BLK_base ? NODE_step : b->role == BASE_range ? NODE_range : NODE_data;
}

static int add_node(Job *j, Graph *g, GraphNode n)
{
    n.seconds = -1;
    n.repeat = -1;
    VEC_PUSH(&j->arena, g->node, g->n_nodes, n);
    return g->n_nodes - 1;
}

static void add_edge(Job *j, Graph *g, int from, int to, EdgeKind kind)
{
    const GraphEdge e = { from, to, kind };

    for (int k = 0; k < g->n_edges; k++)
        if (g->edge[k].from == from && g->edge[k].to == to)
            return;
    if (from != to || kind == EDGE_before)
        VEC_PUSH(&j->arena, g->edge, g->n_edges, e);
}

/* What block b, of node `to`, makes of reading block s, of node `from`. */
static EdgeKind kind_of_edge(const Graph *g, const Block *s, int from, int to, EdgeKind kind)
{
    if (kind == EDGE_back)
        return g->node[from].kind != NODE_grad ? EDGE_value : kind;
    return kind == EDGE_use && s->table && from >= to ? EDGE_before : kind;
}

/* Edges from the nodes that b reads, itself or through blocks that are no nodes; `seen` is `round` where one was met. */
static void edges_into(Job *j, Graph *g, const Block *b, int to, EdgeKind kind, int *seen, int round)
{
    const bool gathers = b->kind == BLK_union;          /* of the slices of a table */

    for (int k = 0; k < b->n_src; k++) {
        const Block *s = b->src[k].rel;
        const int from = g->of[s->id];
        if (seen[s->id] == round)
            continue;
        seen[s->id] = round;
        if (from < 0)
            edges_into(j, g, s, to, kind, seen, round);
        else if (from != to || !gathers)
            add_edge(j, g, from, to, kind_of_edge(g, s, from, to, kind));
    }
    if (b->rows_from && seen[b->rows_from->id] != round) {
        seen[b->rows_from->id] = round;
        edges_into(j, g, b->rows_from, to, EDGE_rows, seen, round);
    }
}

static void all_edges(Job *j, Graph *g, EdgeKind kind)
{
    const Prog *p = g->bound.p;
    int *seen = ARENA_ARRAY(&j->arena, int, p->n_blocks);

    for (int k = 0; k < p->n_blocks; k++) {
        const int to = g->of[k];
        if (to < 0 || (kind == EDGE_back) != (g->node[to].kind == NODE_grad))
            continue;
        edges_into(j, g, p->block[k], to, kind, seen, k + 1);
        const Block *t = p->block[k]->updates;
        if (t && g->of[t->id] >= 0)
            add_edge(j, g, to, g->of[t->id], EDGE_rows);
    }
}

static const char *keys_text(Job *j, const Block *b)
{
    Buf s = { 0 };

    buf_puts(&s, "");
    for (int c = 0; c < b->n_cols; c++)
        if (b->col[c].type != T_REAL && !b->col[c].hidden)
            buf_printf(&s, "%s%s", s.n ? ", " : "", b->col[c].name);
    const char *text = arena_strdup(&j->arena, s.s);
    buf_free(&s);
    return text;
}

static void number_blocks(Job *j, Graph *g)
{
    g->of = ARENA_ARRAY(&j->arena, int, g->bound.p->n_blocks);
    for (int k = 0; k < g->bound.p->n_blocks; k++)
        g->of[k] = -1;
}

static bool stands_in(const Repeat *r, Span at)
{
    return at.len && at.file == r->first.file && at.file == r->last.file && at.off >= r->first.off && at.off <= r->last.off;
}

/* Earlier versions and slices are drawn as the table that they belong to, in the loop that they stand in. */
static void join_versions(Graph *g)
{
    const Prog *p = g->bound.p;

    for (int k = 0; k < p->n_blocks; k++) {
        const Block *b = p->block[k];
        for (int n = 0; b->table && n < g->n_nodes; n++)
            if (ascii_ieq(g->node[n].name, b->table))
                g->of[k] = n;
        for (int r = 0; g->of[k] >= 0 && r < p->n_repeats; r++)
            if (stands_in(&p->repeat[r], b->at))
                g->node[g->of[k]].repeat = r;
    }
}

static void model_nodes(Job *j, Graph *g)
{
    Prog *p = g->bound.p;

    number_blocks(j, g);
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        if (!b->user)
            continue;
        const NodeKind kind = node_kind(p, b);
        g->of[k] = add_node(j, g, (GraphNode){ .kind = kind, .name = b->name, .b = b, .keys = keys_text(j, b), .size = "",
                                               .loss = b->is_loss, .metric = b->is_metric });
        VEC_PUSH(&j->arena, g->target, g->n_targets, b);
    }
    join_versions(g);
    all_edges(j, g, EDGE_use);
    map_init(&g->forward, &j->arena);
    for (int k = 0; k < p->n_blocks; k++)
        if (g->of[k] >= 0)
            map_put(&g->forward, (const char *)&p->block[k], sizeof p->block[k], g->of[k]);
}

/* The node of a block of the model, or that of its gradient; -1. */
static int node_of_block(const Graph *g, const Block *b, bool grad)
{
    const int *at = map_get(&g->forward, (const char *)&b, sizeof b), n = at ? *at : -1;

    for (int k = 0; grad && n >= 0 && k < g->n_nodes; k++)
        if (g->node[k].kind == NODE_grad && g->node[k].b == g->node[n].b)
            return k;
    return grad ? -1 : n;
}

/* Of one table's gradient there may be several blocks: they are one node. */
static void grad_nodes(Job *j, Graph *g)
{
    Prog *p = g->bound.p;

    number_blocks(j, g);
    for (int k = 0; k < p->n_blocks; k++) {
        const Block *b = p->block[k], *f = b->grad_of;
        g->of[k] = f ? -1 : node_of_block(g, b, false);
        if (!f || node_of_block(g, f, false) < 0)
            continue;
        g->of[k] = node_of_block(g, f, true);
        if (g->of[k] < 0) {
            const GraphNode *n = &g->node[node_of_block(g, f, false)];
            g->of[k] = add_node(j, g, (GraphNode){ .kind = NODE_grad, .name = n->name, .b = n->b, .keys = "", .size = "" });
        }
    }
    for (int k = 0; k < p->n_grads; k++) {
        const int n = node_of_block(g, p->grad[k].table, true);
        if (n >= 0) {
            g->node[n].asked = true;
            g->of[p->grad[k].grad->id] = n;
        }
    }
    all_edges(j, g, EDGE_back);
}

/* A step that reads nothing is data that the model itself holds. */
static void mark_data(Graph *g)
{
    for (int k = 0; k < g->n_nodes; k++) {
        bool reads = g->node[k].kind != NODE_step;
        for (int e = 0; e < g->n_edges && !reads; e++)
            reads = g->edge[e].to == k;
        if (!reads)
            g->node[k].kind = NODE_data;
    }
}

static void build_graph(Job *j, void *arg)
{
    Graph *g = arg;
    Prog *p = g->bound.p;
    Goal goal;

    passes_check(j);
    model_nodes(j, g);
    mark_data(g);
    if (!g->n_nodes)
        diag_fail(&j->c, ERR_api_target, (Span){ 0 }, "the model has no tables; there is nothing to draw");
    if (g->grad) {
        goal_find(j, p, true, &goal);
        passes_before(j, p);
        pass_grad(p, goal.loss, goal.wrt, goal.n_wrt);
        grad_nodes(j, g);
        for (int k = 0; k < p->n_grads; k++)
            VEC_PUSH(&j->arena, g->target, g->n_targets, p->grad[k].grad);
    } else {
        passes_before(j, p);
    }
    if (g->runs)
        passes_run(j, p, g->target, g->n_targets);
}

/* ---- sizes ---- */

static const char *grouped(Arena *a, uint64_t n)
{
    char s[32];
    const char *out = "";

    snprintf(s, sizeof s, "%llu", (unsigned long long)n);
    size_t len = strlen(s);
    for (; len > 3; len -= 3)
        out = arena_printf(a, ",%.3s%s", s + len - 3, out);
    return arena_printf(a, "%.*s%s", (int)len, s, out);
}

/* A product of key ranges where every combination is there, else how many rows; `rows` below 0: not known. */
static const char *size_of(Arena *a, int64_t rows, const int64_t *lo, const int64_t *hi, int n_keys, bool known)
{
    Buf b = { 0 };
    int64_t product = 1;

    for (int k = 0; k < n_keys; k++) {
        const int64_t wide = known && hi[k] >= lo[k] ? hi[k] - lo[k] + 1 : 0;
        known = known && wide > 0 && wide < INT32_MAX && product < INT32_MAX;
        product *= known ? wide : 1;
    }
    if (n_keys && known && (rows < 0 || rows == product))
        for (int k = 0; k < n_keys; k++)
            buf_printf(&b, "%s%s", k ? " × " : "", grouped(a, (uint64_t)(hi[k] - lo[k] + 1)));
    else if (rows >= 0)
        buf_printf(&b, "%s row%s", grouped(a, (uint64_t)rows), rows == 1 ? "" : "s");
    const char *s = arena_strdup(a, b.s ? b.s : "");
    buf_free(&b);
    return s;
}

static const char *size_by_shape(Job *j, const Shape *s)
{
    return s && s->n_cols ? size_of(&j->arena, -1, s->lo, s->hi, s->n_cols, true) : "";
}

static const char *size_by_facts(Job *j, const CatTable *t)
{
    int64_t *lo = ARENA_ARRAY(&j->arena, int64_t, t->n_cols + 1), *hi = ARENA_ARRAY(&j->arena, int64_t, t->n_cols + 1);
    bool known = true;
    int n = 0;

    for (int c = 0; c < t->n_cols; c++) {
        if (t->col[c].type == T_REAL)
            continue;
        known = known && t->col[c].has_range && !t->col[c].nullable;
        lo[n] = t->col[c].lo;
        hi[n++] = t->col[c].hi;
    }
    return size_of(&j->arena, t->n_rows, lo, hi, n, known);
}

static void declared_sizes(Job *j, Graph *g)
{
    for (int k = 0; k < g->n_nodes; k++) {
        const Block *b = g->node[k].b;
        const Made *m = b->kind == BLK_base ? made_find(j, b->name) : NULL;
        if (b->cat && b->cat->exists)
            g->node[k].size = size_by_facts(j, b->cat);
        else if (b->shape)
            g->node[k].size = size_by_shape(j, b->shape);
        else if (m && m->t)
            g->node[k].size = size_of(&j->arena, (int64_t)m->t->n_rows, NULL, NULL, 0, false);
    }
}

static Code fetched_size(Job *j, GraphNode *n, const EngineOps *ops, Engine *e)
{
    Table t = { 0 };
    Arena a = { 0 };
    CatTable facts;
    const Code rc = ops->fetch(e, n->b, false, &t, &j->e);

    if (rc == OK) {
        table_facts(&t, &facts, &a);
        facts.n_rows = (int64_t)t.n_rows;
        n->size = size_by_facts(j, &facts);
    }
    arena_free(&a);
    table_free(&t);
    return rc;
}

/* What a block took, to the node that it is a part of. */
static void add_seconds(Graph *g, const Block *b, double s)
{
    const bool grad = b->grad_of != NULL;
    const int n = b->kind == BLK_base ? -1 : node_of_block(g, grad ? b->grad_of : b, grad);

    if (n >= 0 && s >= 0)
        g->node[n].seconds = (g->node[n].seconds < 0 ? 0 : g->node[n].seconds) + s;
}

static Code run_once(Job *j, Graph *g, bool timed)
{
    const EngineOps *ops = NULL;
    Engine *e = NULL;
    Code rc = engine_first(j, &g->bound, timed, &ops, &e);

    for (int k = 0; rc == OK && k < (timed ? TIMED_RUNS : 1); k++)
        rc = ops->run(e, g->target, g->n_targets, true, &j->e);
    for (int k = 0; rc == OK && k < g->n_nodes; k++)
        if (g->node[k].kind != NODE_grad && g->node[k].b->kind != BLK_base)
            rc = fetched_size(j, &g->node[k], ops, e);
    for (int k = 0; rc == OK && timed && ops->block_seconds && k < g->bound.p->n_blocks; k++)
        add_seconds(g, g->bound.p->block[k], ops->block_seconds(e, g->bound.p->block[k]));
    if (e)
        ops->close(e);
    return rc;
}

/* ---- the picture ---- */

static void html_text(Buf *b, const char *s)
{
    for (; *s; s++)
        if (*s == '<' || *s == '>' || *s == '&' || *s == '"')
            buf_printf(b, "&#%d;", *s);
        else
            buf_putc(b, (unsigned char)*s < 32 || *s == 127 ? ' ' : *s);
}

static const char *time_of(Arena *a, double s)
{
    return s >= 1 ? arena_printf(a, "%.3g s", s) : s >= 1e-3 ? arena_printf(a, "%.3g ms", 1e3 * s)
                                                             : arena_printf(a, "%.3g µs", 1e6 * s);
}

static void small_line(Buf *b, const char *s, bool italic)
{
    if (!*s)
        return;
    buf_printf(b, "<BR/><FONT POINT-SIZE=\"10\" COLOR=\"%s\">%s", INK, italic ? "<I>" : "");
    html_text(b, s);
    buf_puts(b, italic ? "</I></FONT>" : "</FONT>");
}

static void put_node(Job *j, Graph *g, int k)
{
    static const char *const colour[] = { RED, BLUE, INK, INK, VIOLET };
    const GraphNode *n = &g->node[k];
    const bool box = n->kind == NODE_step || n->kind == NODE_grad;
    Buf *b = &g->dot;

    buf_printf(b, "  n%d [shape=%s, color=\"%s\", fontcolor=\"%s\"", k, box ? "box" : "plaintext", colour[n->kind],
               colour[n->kind]);
    if (box)
        buf_printf(b, ", style=\"rounded%s\", penwidth=%s", n->metric ? ",dashed" : "", n->loss || n->asked ? "2.4" : "1");
    buf_puts(b, ", label=<<B>");
    if (n->kind == NODE_grad)
        buf_puts(b, "∂ ");
    html_text(b, n->name);
    buf_puts(b, "</B>");
    small_line(b, n->keys, true);
    small_line(b, n->size, false);
    if (n->seconds >= 0)
        small_line(b, time_of(&j->arena, n->seconds), false);
    buf_puts(b, ">];\n");
}

static void put_edge(Graph *g, const GraphEdge *e)
{
    static const char *const look[] = {
        [EDGE_use] = "", [EDGE_before] = ", style=dashed, constraint=false",
        [EDGE_rows] = ", style=dashed, constraint=false", [EDGE_back] = ", color=\"" VIOLET "\"",
        [EDGE_value] = ", style=dotted, constraint=false, arrowsize=0.5",
    };
    const NodeKind from = g->node[e->from].kind;

    buf_printf(&g->dot, "  n%d -> n%d [color=\"%s\"%s];\n", e->from, e->to,
               e->kind == EDGE_use && from == NODE_data ? RED : e->kind == EDGE_use && from == NODE_param ? BLUE : INK,
               e->kind == EDGE_use && from == NODE_step ? ", weight=8" : look[e->kind]);
}

/* The nodes of a loop, -1: of none, and the loops in it as frames. */
static void put_nodes(Job *j, Graph *g, int in)
{
    const Prog *p = g->bound.p;

    for (int k = 0; k < g->n_nodes; k++)
        if (g->node[k].repeat == in)
            put_node(j, g, k);
    for (int r = 0; r < p->n_repeats; r++) {
        if (p->repeat[r].up != in)
            continue;
        buf_printf(&g->dot, "  subgraph cluster%d {\n  graph [style=rounded, color=\"" INK "\", labelloc=t, labeljust=l, "
                            "label=<for <I>", r);
        html_text(&g->dot, p->repeat[r].var);
        buf_printf(&g->dot, "</I> = %lld … %lld>];\n", (long long)p->repeat[r].lo, (long long)p->repeat[r].hi);
        put_nodes(j, g, r);
        buf_puts(&g->dot, "  }\n");
    }
}

static void put_graph(Job *j, Graph *g, const char *model)
{
    const char *slash = strrchr(model, '/');
    Buf *b = &g->dot;

    buf_puts(b, "digraph model {\n  graph [bgcolor=transparent, rankdir=TB, nodesep=0.3, ranksep=0.35, fontname=\"Helvetica\", "
                "fontsize=11, fontcolor=\"" INK "\", labelloc=b, label=<");
    html_text(b, slash ? slash + 1 : model);
    if (g->batch)
        buf_printf(b, ", a batch of %s", grouped(&j->arena, (uint64_t)g->batch));
    buf_puts(b, ">];\n  node [fontname=\"Helvetica\", fontsize=12, margin=\"0.1,0.06\", height=0.3];\n"
                "  edge [arrowsize=0.7, color=\"" INK "\"];\n");
    put_nodes(j, g, -1);
    for (int k = 0; k < g->n_edges; k++)
        put_edge(g, &g->edge[k]);
    buf_puts(b, "}");
}

static Code draw_graph(Job *j, Graph *g)
{
    const char *out = opt_text(j->o, OPT_out, NULL), *ending = out ? plot_ending(out) : "dot";
    Buf pic = { 0 };
    Code rc = OK;

    if (!out) {
        job_out(j, REPORT_OUT, g->dot.s);
        return OK;
    }
    if (!strcmp(ending, "dot") || !strcmp(ending, "gv")) {
        buf_putc(&g->dot, '\n');
        return plot_write(j, out, &g->dot);
    }
    rc = dot_draw(g->dot.s, g->dot.n, ending, &j->s->stop, &pic, &j->e);
    if (rc == OK) rc = plot_write(j, out, &pic);
    buf_free(&pic);
    return rc;
}

/* ---- the command ---- */

static Code graph_words(Job *j, Graph *g)
{
    static const char *const known[] = { "dot", "gv", "svg", "png", "pdf" };
    const char *what = opt_text(j->o, OPT_what, "forward"), *out = opt_text(j->o, OPT_out, NULL);
    bool fits = !out;

    for (size_t k = 0; !fits && k < COUNT_OF(known); k++)
        fits = !strcmp(plot_ending(out), known[k]);
    g->grad = !strcmp(what, "grad");
    if (!g->grad && strcmp(what, "forward"))
        return err_set(&j->e, E_USAGE, ERR_plot_option, "--what is forward or grad for graph, not \"%s\"", what);
    if (!fits)
        return err_set(&j->e, E_USAGE, ERR_plot_option, "--out %s: a graph is written as .svg, .png, .pdf or .dot", out);
    if (opt_flag(j->o, OPT_time) && !j->db)
        return err_set(&j->e, E_USAGE, ERR_plot_option, "--time runs the model; it needs --db");
    return OK;
}

/* The rows that are evaluated, for the picture's caption. */
static Code graph_batch(Job *j, Graph *g)
{
    Table keys = { 0 };
    Code rc = batch_keys(g->bound.p, g->bound.feed, g->bound.n_feeds, &keys, &j->e);
    const int64_t want = opt_int(j->o, OPT_batch, FIRST_BATCH);

    g->batch = (int64_t)keys.n_rows < want ? (int64_t)keys.n_rows : want;
    table_free(&keys);
    return rc;
}

Code command_graph(Job *j, const char *model)
{
    Graph g = { 0 };
    BindReq req = { 0 };
    Code rc = graph_words(j, &g);

    g.runs = j->db != NULL;
    req.plain = req.declared = !g.runs;
    if (rc == OK) rc = inputs_bind(j, &req, &g.bound);
    if (rc == OK) rc = job_guard(j, build_graph, &g);
    if (rc == OK) declared_sizes(j, &g);
    if (rc == OK && g.runs) rc = run_once(j, &g, opt_flag(j->o, OPT_time));
    if (rc == OK && g.runs) rc = graph_batch(j, &g);
    if (rc == OK) {
        put_graph(j, &g, model);
        rc = draw_graph(j, &g);
    }
    buf_free(&g.dot);
    return rc;
}
