/* SPDX-License-Identifier: Apache-2.0
 *
 * optim.c - optimizers as data.  A row of `optims` lists an optimizer's arguments, what it keeps per value
 * (slots) and its assignments, as SQL expressions; optim_build turns them into row blocks over
 * (parameter, gradient, state, sqlgrad_step), so that every engine runs and prints one definition.
 *
 * Names, defaults and formulas are those of torch.optim (pytorch.org/docs, version 2); doc/optimizers.md
 * explains them.  In the texts: w a value, g its gradient, slots by name, lr the learning rate, step from 0.
 * `once` lines depend on nothing but the step; the driver evaluates them in double and writes them beside lr. */
#include "train/train.h"

#include <math.h>
#include <string.h>

typedef struct OptimLine {
    const char *when;           /* arguments that must not be 0 ("!x": must be 0), separated by blanks; or NULL */
    const char *to, *text;
} OptimLine;

typedef struct OptimDef {
    const char *name;
    double lr;
    struct { const char *name; double val; } arg[OPTIM_ARGS];
    struct { const char *when, *name, *start; } slot[3];    /* start: an argument, or NULL for 0 */
    OptimLine once[2], each[8];
} OptimDef;

#define ADAM_EACH                                                                                  \
    { NULL, "m", "m + (1.0 - beta1) * (g - m)" },                                                  \
    { NULL, "v", "beta2 * v + (1.0 - beta2) * (g * g)" },                                          \
    { NULL, "w", "w - lr / correct1 * (m / (SQRT(v) / correct2 + eps))" }
#define ADAM_ONCE                                                                                  \
    { NULL, "correct1", "1.0 - POW(beta1, step + 1)" },                                            \
    { NULL, "correct2", "SQRT(1.0 - POW(beta2, step + 1))" }

static const OptimDef optims[] = {
    { .name = "sgd", .lr = 1e-3,
      .arg = { { "momentum", 0 }, { "dampening", 0 }, { "weight_decay", 0 }, { "nesterov", 0 } },
      .slot = { { "momentum", "buf", NULL } },
      .once = { { "momentum dampening", "part", "CASE WHEN step = 0 THEN 1.0 ELSE 1.0 - dampening END" } },
      .each = { { "weight_decay", "g", "g + weight_decay * w" },
                { "momentum dampening", "buf", "momentum * buf + part * g" },
                { "momentum !dampening", "buf", "momentum * buf + g" },
                { "momentum nesterov", "g", "g + momentum * buf" },
                { "momentum !nesterov", "g", "buf" },
                { NULL, "w", "w - lr * g" } } },
    { .name = "adam", .lr = 1e-3,
      .arg = { { "beta1", 0.9 }, { "beta2", 0.999 }, { "eps", 1e-8 }, { "weight_decay", 0 } },
      .slot = { { NULL, "m", NULL }, { NULL, "v", NULL } },
      .once = { ADAM_ONCE },
      .each = { { "weight_decay", "g", "g + weight_decay * w" }, ADAM_EACH } },
    { .name = "adamw", .lr = 1e-3,
      .arg = { { "beta1", 0.9 }, { "beta2", 0.999 }, { "eps", 1e-8 }, { "weight_decay", 1e-2 } },
      .slot = { { NULL, "m", NULL }, { NULL, "v", NULL } },
      .once = { ADAM_ONCE },
      .each = { { "weight_decay", "w", "w - lr * weight_decay * w" }, ADAM_EACH } },
    { .name = "rmsprop", .lr = 1e-2,
      .arg = { { "alpha", 0.99 }, { "eps", 1e-8 }, { "weight_decay", 0 }, { "momentum", 0 }, { "centered", 0 } },
      .slot = { { NULL, "v", NULL }, { "centered", "m", NULL }, { "momentum", "buf", NULL } },
      .each = { { "weight_decay", "g", "g + weight_decay * w" },
                { NULL, "v", "alpha * v + (1.0 - alpha) * (g * g)" },
                { "centered", "m", "m + (1.0 - alpha) * (g - m)" },
                { "centered", "g", "g / (SQRT(v - m * m) + eps)" },
                { "!centered", "g", "g / (SQRT(v) + eps)" },
                { "momentum", "buf", "momentum * buf + g" },
                { "momentum", "g", "buf" },
                { NULL, "w", "w - lr * g" } } },
    { .name = "adagrad", .lr = 1e-2,
      .arg = { { "lr_decay", 0 }, { "weight_decay", 0 }, { "initial_accumulator_value", 0 }, { "eps", 1e-10 } },
      .slot = { { NULL, "sum", "initial_accumulator_value" } },
      .once = { { NULL, "rate", "lr / (1.0 + step * lr_decay)" } },
      .each = { { "weight_decay", "g", "g + weight_decay * w" },
                { NULL, "sum", "sum + g * g" },
                { NULL, "w", "w - rate * g / (SQRT(sum) + eps)" } } },
    { .name = "signsgd", .lr = 1e-3,
      .arg = { { "momentum", 0 }, { "weight_decay", 0 } },
      .slot = { { "momentum", "buf", NULL } },
      .each = { { "weight_decay", "g", "g + weight_decay * w" },
                { "momentum", "buf", "momentum * buf + g" },
                { "momentum", "g", "buf" },
                { NULL, "w", "w - lr * SIGN(g)" } } },
};

const char *const *optim_names(int *n)
{
    static const char *names[COUNT_OF(optims)];

    for (size_t k = 0; k < COUNT_OF(optims); k++)
        names[k] = optims[k].name;
    *n = COUNT_OF(optims);
    return names;
}

/* ---- naming one ---- */

static int def_n_args(const OptimDef *d)
{
    int n = 0;

    while (n < OPTIM_ARGS && d->arg[n].name)
        n++;
    return n;
}

static int def_arg(const OptimDef *d, const char *name, size_t len)
{
    for (int k = 0; k < def_n_args(d); k++)
        if (strlen(d->arg[k].name) == len && !strncmp(d->arg[k].name, name, len))
            return k;
    return -1;
}

static double arg_val(const Optim *o, const char *name, size_t len)
{
    const int k = def_arg(o->def, name, len);

    return k < 0 ? 0 : o->arg[k];
}

const char *optim_named(Optim *o, const char *name, Arena *a)
{
    int n;
    const char *const *names = optim_names(&n);
    Buf list = { 0 };

    *o = (Optim){ 0 };
    for (size_t k = 0; k < COUNT_OF(optims); k++) {
        buf_printf(&list, "%s%s", k ? ", " : "", names[k]);
        if (ascii_ieq(names[k], name))
            o->def = &optims[k];
    }
    const char *wrong = o->def ? NULL : arena_printf(a, "no optimizer \"%s\"; there are %s", name, list.s);
    buf_free(&list);
    for (int k = 0; o->def && k < OPTIM_ARGS; k++)
        o->arg[k] = o->def->arg[k].val;
    return wrong;
}

const char *optim_set(Optim *o, const char *arg, double val, Arena *a)
{
    const int k = def_arg(o->def, arg, strlen(arg));
    Buf list = { 0 };

    if (k >= 0) {
        o->arg[k] = val;
        return isfinite(val) ? NULL : arena_printf(a, "%s is not finite", arg);
    }
    for (int j = 0; j < def_n_args(o->def); j++)
        buf_printf(&list, ", %s", o->def->arg[j].name);
    const char *wrong = arena_printf(a, "%s has no argument \"%s\"; it has lr%s", o->def->name, arg, list.s);
    buf_free(&list);
    return wrong;
}

const char *optim_check(const Optim *o, Arena *a)
{
    static const char *const decays[] = { "momentum", "dampening", "alpha", "beta1", "beta2" };

    for (size_t k = 0; k < COUNT_OF(decays); k++) {
        const double v = arg_val(o, decays[k], strlen(decays[k]));
        if (v < 0 || v > 1 || (v >= 1 && strchr("b", decays[k][0])))
            return arena_printf(a, "%s of %s must lie between 0 and 1", decays[k], o->def->name);
    }
    if (arg_val(o, "eps", 3) < 0 || arg_val(o, "weight_decay", 12) < 0)
        return "eps and weight_decay must not be negative";
    if (arg_val(o, "nesterov", 8) != 0 && (arg_val(o, "momentum", 8) == 0 || arg_val(o, "dampening", 9) != 0))
        return "nesterov needs a momentum and no dampening";
    return NULL;
}

static void trim(const char **s, size_t *n)
{
    while (*n && strchr(" \t\r\n", **s))
        ++*s, --*n;
    while (*n && strchr(" \t\r\n", (*s)[*n - 1]))
        --*n;
}

/* One `name=value` of a spec; lr is kept as text, since it may be an expression. */
static const char *parse_arg(Optim *o, const char *s, size_t n, Arena *a)
{
    const char *eq = memchr(s, '=', n);
    double v;

    if (!eq)
        return arena_printf(a, "\"%.*s\" is not name=value", (int)n, s);
    const char *val = eq + 1;
    size_t n_name = (size_t)(eq - s), n_val = n - n_name - 1;
    trim(&s, &n_name);
    trim(&val, &n_val);
    if (n_name == 2 && !strncmp(s, "lr", 2)) {
        o->lr = arena_strndup(a, val, n_val);
        return NULL;
    }
    if (n_val == 4 && !strncmp(val, "true", 4))
        v = 1;
    else if (n_val == 5 && !strncmp(val, "false", 5))
        v = 0;
    else if (!parse_real(val, n_val, &v))
        return arena_printf(a, "\"%.*s\" is not a number", (int)n_val, val);
    return optim_set(o, arena_strndup(a, s, n_name), v, a);
}

/* The end of the argument that starts at s: a comma outside parentheses, or end. */
static const char *arg_end(const char *s, const char *end)
{
    int depth = 0;

    for (; s < end && (depth > 0 || *s != ','); s++)
        depth += (*s == '(') - (*s == ')');
    return s;
}

const char *optim_parse(Optim *o, const char *spec, Arena *a)
{
    const char *open = strchr(spec, '('), *end = spec + strlen(spec), *s = spec;
    size_t n = open ? (size_t)(open - spec) : strlen(spec);

    trim(&s, &n);
    const char *wrong = optim_named(o, arena_strndup(a, s, n), a);
    if (wrong || !open)
        return wrong ? wrong : optim_check(o, a);
    while (end > open && strchr(" \t\r\n", end[-1]))
        end--;
    if (end[-1] != ')')
        return arena_printf(a, "\"%s\" lacks its closing parenthesis", spec);
    end--;
    for (s = open + 1; s < end && !wrong; s++) {
        const char *stop = arg_end(s, end);
        wrong = parse_arg(o, s, (size_t)(stop - s), a);
        s = stop;
    }
    return wrong ? wrong : optim_check(o, a);
}

void optim_text(Buf *out, const Optim *o)
{
    buf_printf(out, "%s(", o->def->name);
    for (int k = 0; k < def_n_args(o->def); k++) {
        buf_printf(out, "%s%s=", k ? ", " : "", o->def->arg[k].name);
        buf_real(out, o->arg[k]);
    }
    buf_putc(out, ')');
}

double optim_default_lr(const Optim *o)
{
    return o->def->lr;
}

/* ---- expressions ---- */

/* Names in scope while a text is bound; a later one of the same name wins. */
typedef struct OptimScope {
    Arena *a;
    const char *name[40]; Expr *e[40]; int n;
    Compile *c;                         /* of a learning rate; else NULL */
} OptimScope;

static void scope_put(OptimScope *s, const char *name, Expr *e)
{
    if (s->n == (int)COUNT_OF(s->name))
        BUG("too many names for an optimizer");
    s->name[s->n] = name;
    s->e[s->n++] = e;
}

static Expr *scope_get(void *arg, const char *name)
{
    const OptimScope *s = arg;

    for (int k = s->n - 1; k >= 0; k--)
        if (ascii_ieq(s->name[k], name))
            return s->e[k];
    if (s->c && (ascii_ieq(name, "steps") || ascii_ieq(name, "epochs")))
        diag_fail(s->c, ERR_train_lr, (Span){ 0 }, "the learning rate reads %s; a script is told how many with --%s", name, name);
    return NULL;
}

static bool line_holds(const Optim *o, const char *when)
{
    for (const char *s = when ? when : ""; *s;) {
        const size_t n = strcspn(s, " ");
        const bool negated = *s == '!';
        if ((arg_val(o, s + negated, n - negated) != 0) == negated)
            return false;
        s += n + (s[n] == ' ');
    }
    return true;
}

/* e with every number REAL: in a learning rate 1/2 is a half.  The digits of ROUND stay. */
static Expr *all_real(Arena *a, const Expr *e)
{
    Expr **arg = ARENA_ARRAY(a, Expr *, e->n_args ? e->n_args : 1);

    if (e->op == OP_lit_int)
        return ex_real(a, (double)e->i);
    if (e->op == OP_to_real || e->op == OP_col)
        return ex_real_of(a, (Expr *)e);
    for (int k = 0; k < e->n_args; k++)
        arg[k] = e->op == OP_round && k == 1 ? e->arg[k] : all_real(a, e->arg[k]);
    if (!e->n_args)
        return (Expr *)e;
    return ex_exprs(a, e->op == OP_idiv ? OP_div : e->op, arg, e->n_args);
}

/* Column `col` of the table that is source `src`. */
static Expr *plain_col(Arena *a, Type t, int src, int col)
{
    Expr *e = ex_new(a, OP_col, t, 0, NULL);

    e->src = src;
    e->col = col;
    return e;
}

static Expr *bind_text(Prog *p, const char *what, const char *text, OptimScope *s)
{
    return front_expr(p->c, what, text, scope_get, s, s->name, s->n);
}

/* Keep only the names a user may mention, so that the message lists no others. */
static Expr *bind_lr(Prog *p, const StepOpts *o)
{
    OptimScope s = { .a = &p->c->arena, .c = p->c };

    scope_put(&s, "step", ex_real_of(s.a, plain_col(s.a, T_INT, 0, 0)));
    scope_put(&s, "epoch", ex_real_of(s.a, plain_col(s.a, T_INT, 0, 1)));
    if (o->steps > 0)
        scope_put(&s, "steps", ex_real(s.a, (double)o->steps));
    if (o->epochs > 0)
        scope_put(&s, "epochs", ex_real(s.a, (double)o->epochs));
    Expr *e = all_real(s.a, bind_text(p, o->lr_what, o->lr, &s));
    if (e->type != T_REAL)
        diag_fail(p->c, ERR_train_lr, (Span){ 0 }, "%s \"%s\" is not a number", o->lr_what, o->lr);
    return e;
}

static void scope_args(OptimScope *s, const Optim *o)
{
    for (int k = 0; k < def_n_args(o->def); k++)
        scope_put(s, o->def->arg[k].name, ex_real(s->a, o->arg[k]));
}

/* ---- blocks ---- */

static int add_base_col(Prog *p, Block *b, const char *name, Type t)
{
    const int c = blk_add_col(p, b, name, NULL, AGG_none);

    b->col[c].type = t;
    b->col[c].nullable = false;
    return c;
}

static Block *driver_block(Prog *p, const char *name)
{
    Block *b = blk_new(p, BLK_base, name);

    b->role = BASE_driver;
    b->life = LIFE_step;
    return b;
}

/* lr, or lr_2 for the second objective. */
static const char *step_col_name(Arena *a, const char *name, int at)
{
    return at ? arena_printf(a, "%s_%d", name, at + 1) : name;
}

/* The columns of sqlgrad_step that objective `at` needs. */
static void add_step_cols(Prog *p, const StepOpts *o, int at, StepPlan *out)
{
    Arena *a = &p->c->arena;
    OptimScope s = { .a = a };
    const OptimDef *d = o->optim.def;
    const StepCol lr = { step_col_name(a, "lr", at), bind_lr(p, o) };

    out->obj[at].first_col = out->n_cols;
    VEC_PUSH(a, out->col, out->n_cols, lr);
    scope_args(&s, &o->optim);
    scope_put(&s, "step", ex_real_of(a, plain_col(a, T_INT, 0, 0)));
    scope_put(&s, "lr", lr.e);
    for (size_t k = 0; k < COUNT_OF(d->once) && d->once[k].to; k++)
        if (line_holds(&o->optim, d->once[k].when)) {
            const StepCol c = { step_col_name(a, d->once[k].to, at), bind_text(p, d->once[k].to, d->once[k].text, &s) };
            VEC_PUSH(a, out->col, out->n_cols, c);
        }
    out->obj[at].n_cols = out->n_cols - out->obj[at].first_col;
}

static void build_step_table(Prog *p, const StepOpts *o, int n, StepPlan *out)
{
    out->step = driver_block(p, "sqlgrad_step");
    add_base_col(p, out->step, "step", T_INT);
    add_base_col(p, out->step, "epoch", T_INT);
    for (int k = 0; k < n; k++)
        add_step_cols(p, &o[k], k, out);
    for (int k = 0; k < out->n_cols; k++)
        add_base_col(p, out->step, out->col[k].name, T_REAL);
    blk_set_id(p, out->step, NULL, 0);
}

static bool is_value(const Block *b, int c)
{
    return b->col[c].type == T_REAL && !b->col[c].hidden;
}

/* The column that keeps `slot` of value column c: w_m, with more underscores if the table has that name. */
static const char *slot_col(Arena *a, const Block *param, int c, const char *slot)
{
    const char *name = arena_printf(a, "%s_%s", param->col[c].name, slot);

    for (int k = 0; k < param->n_cols; k++)
        if (ascii_ieq(param->col[k].name, name)) {
            name = arena_printf(a, "%s_", name);
            k = -1;
        }
    return name;
}

/* sqlgrad_state_T: T's keys, and one column for each value column and slot. */
static Block *build_state(Prog *p, const Block *param, const StepObj *s)
{
    Arena *a = &p->c->arena;
    Block *b = driver_block(p, arena_printf(a, "sqlgrad_state_%s", param->name));
    int *id = ARENA_ARRAY(a, int, param->n_cols + 1), n_id = 0;

    for (int c = 0; c < param->n_cols; c++)
        if (param->col[c].type != T_REAL && !param->col[c].hidden)
            id[n_id++] = add_base_col(p, b, param->col[c].name, param->col[c].type);
    for (int c = 0; c < param->n_cols; c++)
        for (int k = 0; is_value(param, c) && k < s->n_slots; k++)
            add_base_col(p, b, slot_col(a, param, c, s->slot[k]), T_REAL);
    blk_set_id(p, b, id, n_id);
    return b;
}

/* One row: clip, what every gradient is multiplied by so that their norm is at most `most`
 * (torch.nn.utils.clip_grad_norm_: most / (norm + 1e-6), never above 1). */
static Block *build_clip(Prog *p, const StepOpts *o)
{
    Arena *a = &p->c->arena;
    Block **part = ARENA_ARRAY(a, Block *, o->n_grads ? o->n_grads : 1);
    Expr *sum = NULL;

    for (int k = 0; k < o->n_grads; k++) {
        Block *g = p->grad[o->first_grad + k].grad;
        Expr *e = NULL;
        part[k] = blk_new(p, BLK_reduce, prog_unique_name(p, "norm"));
        blk_add_source(p, part[k], g, JOIN_inner, NULL);
        for (int c = 0; c < g->n_cols; c++)
            if (is_value(g, c)) {
                Expr *x = ex_col(a, part[k], 0, c), *xx = ex2(a, OP_mul, x, x);
                e = e ? ex2(a, OP_add, e, xx) : xx;
            }
        blk_add_col(p, part[k], "val", e, AGG_sum);
        blk_set_id(p, part[k], NULL, 0);
    }
    Block *b = blk_new(p, BLK_row, prog_unique_name(p, "clip"));
    for (int k = 0; k < o->n_grads; k++) {
        blk_add_source(p, b, part[k], JOIN_inner, NULL);
        Expr *x = ex2(a, OP_coalesce, ex_col(a, b, k, 0), ex_real(a, 0));
        sum = sum ? ex2(a, OP_add, sum, x) : x;
    }
    Expr *norm = ex2(a, OP_add, ex1(a, OP_sqrt, sum), ex_real(a, 1e-6));
    Expr *scale = ex2(a, OP_min, ex_real(a, 1), ex2(a, OP_div, ex_real(a, o->clip), norm));
    blk_add_col(p, b, "scale", scale, AGG_none);
    blk_set_id(p, b, NULL, 0);
    return b;
}

/* What one update block is made from. */
typedef struct UpdateIn {
    const StepPlan *plan; const StepObj *obj;
    Block *param, *grad, *state, *clip;
    Clamp clamp;
    int src_state, src_step, src_clip;
} UpdateIn;

static void join_on_keys(Prog *p, Block *b, int src, const Block *param)
{
    Arena *a = &p->c->arena;

    for (int c = 0; c < param->n_cols; c++)
        if (param->col[c].type != T_REAL && !param->col[c].hidden) {
            const int k = blk_find_col(b->src[src].rel, param->col[c].name);
            blk_add_where(p, b, ex2(a, OP_eq, ex_col(a, b, 0, c), ex_col(a, b, src, k)));
        }
}

/* The assignments for one value column: leaves the new w and the new slots in *s. */
static void bind_each(Prog *p, const StepOpts *o, const Optim *optim, OptimScope *s)
{
    const OptimDef *d = o->optim.def;

    for (size_t k = 0; k < COUNT_OF(d->each) && d->each[k].to; k++)
        if (line_holds(optim, d->each[k].when))
            scope_put(s, d->each[k].to, bind_text(p, d->name, d->each[k].text, s));
}

static void scope_start(Prog *p, const StepOpts *o, const Block *b, const UpdateIn *in, const Optim *optim, int c,
                        OptimScope *s)
{
    Arena *a = &p->c->arena;
    const OptimDef *d = optim->def;
    const char *name = in->param->col[c].name;
    Expr *g = ex_col(a, b, 1, blk_find_col(in->grad, name));

    scope_args(s, optim);
    int col = in->obj->first_col + 2;
    scope_put(s, "lr", ex_col(a, b, in->src_step, col++));
    for (size_t k = 0; k < COUNT_OF(d->once) && d->once[k].to; k++)
        if (line_holds(&o->optim, d->once[k].when))
            scope_put(s, d->once[k].to, ex_col(a, b, in->src_step, col++));
    for (int k = 0; k < in->obj->n_slots; k++) {
        const char *slot = slot_col(a, in->param, c, in->obj->slot[k]);
        scope_put(s, in->obj->slot[k], ex_col(a, b, in->src_state, blk_find_col(in->state, slot)));
    }
    if (in->clip)
        g = ex2(a, OP_mul, g, ex_col(a, b, in->src_clip, 0));
    scope_put(s, "g", o->maximize ? ex1(a, OP_neg, g) : g);
    scope_put(s, "w", ex_col(a, b, 0, c));
}

static void set_decay(Optim *o, double val)
{
    const int k = def_arg(o->def, "weight_decay", 12);

    if (k >= 0)
        o->arg[k] = val;
}

static Expr *clamped(Arena *a, Expr *w, const Clamp *k)
{
    return !k->on ? w : ex2(a, OP_max, ex2(a, OP_min, w, ex_real(a, k->hi)), ex_real(a, k->lo));
}

/* Columns of the update: the keys, then for each value column the new value and the new slots. */
static void add_update_cols(Prog *p, const StepOpts *o, const UpdateIn *in, Block *b)
{
    Arena *a = &p->c->arena;
    int *id = ARENA_ARRAY(a, int, in->param->n_cols + 1), n_id = 0;
    Optim optim = o->optim;

    if (in->param->no_decay)
        set_decay(&optim, 0);
    for (int c = 0; c < in->param->n_cols; c++)
        if (in->param->col[c].type != T_REAL && !in->param->col[c].hidden)
            id[n_id++] = blk_add_col(p, b, in->param->col[c].name, ex_col(a, b, 0, c), AGG_none);
    for (int c = 0; c < in->param->n_cols; c++) {
        OptimScope s = { .a = a };
        if (!is_value(in->param, c))
            continue;
        scope_start(p, o, b, in, &optim, c, &s);
        bind_each(p, o, &optim, &s);
        blk_add_col(p, b, in->param->col[c].name, clamped(a, scope_get(&s, "w"), &in->clamp), AGG_none);
        for (int k = 0; k < in->obj->n_slots; k++)
            blk_add_col(p, b, slot_col(a, in->param, c, in->obj->slot[k]),
                        scope_get(&s, in->obj->slot[k]), AGG_none);
    }
    blk_set_id(p, b, id, n_id);
}

static void add_assign(Prog *p, Block *target, Block *from)
{
    Arena *a = &p->c->arena;
    Assign s = { .target = target, .from = from };

    s.to_col = ARENA_ARRAY(a, int, target->n_cols + 1);
    s.from_col = ARENA_ARRAY(a, int, target->n_cols + 1);
    for (int c = 0; c < target->n_cols; c++)
        if (is_value(target, c)) {
            s.to_col[s.n_cols] = c;
            s.from_col[s.n_cols++] = blk_find_col(from, target->col[c].name);
        }
    VEC_PUSH(a, p->assign, p->n_assigns, s);
}

static Block *build_update(Prog *p, const StepOpts *o, UpdateIn *in)
{
    const char *name = name_fit(&p->c->arena, GEN_PREFIX "new_", in->param->name, "");
    Block *b = blk_new(p, BLK_row, prog_find(p, name, MODE_always) ? prog_unique_name(p, "new") : name);

    blk_add_source(p, b, in->param, JOIN_inner, NULL);
    blk_add_source(p, b, in->grad, JOIN_inner, NULL);
    join_on_keys(p, b, 1, in->param);
    if (in->state) {
        in->src_state = blk_add_source(p, b, in->state, JOIN_inner, NULL);
        join_on_keys(p, b, in->src_state, in->param);
    }
    in->src_step = blk_add_source(p, b, in->plan->step, JOIN_inner, NULL);
    if (in->clip)
        in->src_clip = blk_add_source(p, b, in->clip, JOIN_inner, NULL);
    add_update_cols(p, o, in, b);
    add_assign(p, in->param, b);
    if (in->state)
        add_assign(p, in->state, b);
    return b;
}

static void list_slots(Prog *p, const Optim *o, StepObj *out)
{
    const OptimDef *d = o->def;
    Arena *a = &p->c->arena;
    const char **name = ARENA_ARRAY(a, const char *, COUNT_OF(d->slot));
    double *start = ARENA_ARRAY(a, double, COUNT_OF(d->slot));

    for (size_t k = 0; k < COUNT_OF(d->slot) && d->slot[k].name; k++)
        if (line_holds(o, d->slot[k].when)) {
            const char *from = d->slot[k].start;
            start[out->n_slots] = from ? arg_val(o, from, strlen(from)) : 0;
            name[out->n_slots++] = d->slot[k].name;
        }
    out->slot = name;
    out->slot_start = start;
}

static Clamp clamp_of(const Objective *o, const Block *table)
{
    for (int k = 0; o && k < o->n_over; k++)
        if (o->over[k] == table)
            return o->clamp[k];
    return (Clamp){ 0 };
}

/* The updates of one objective's tables. */
static void build_objective(Prog *p, const StepOpts *o, const StepObj *obj, StepPlan *out)
{
    Block *clip = o->clip > 0 ? build_clip(p, o) : NULL;

    for (int k = 0; k < o->n_grads; k++) {
        const GradOf *g = &p->grad[o->first_grad + k];
        StepTable t = { .table = g->table, .obj = obj, .state = obj->n_slots ? build_state(p, g->table, obj) : NULL };
        UpdateIn in = { out, obj, t.table, g->grad, t.state, clip, clamp_of(o->obj, t.table), 0, 0, 0 };
        t.update = build_update(p, o, &in);
        VEC_PUSH(&p->c->arena, out->over, out->n_over, t);
    }
}

/* The tables that @update changes. */
static void build_replaced(Prog *p, StepPlan *out)
{
    for (int k = 0; k < p->n_blocks; k++) {
        Block *b = p->block[k];
        const StepTable t = { .table = b->updates, .update = b };
        if (!b->updates)
            continue;
        add_assign(p, b->updates, b);
        VEC_PUSH(&p->c->arena, out->over, out->n_over, t);
    }
}

static void list_loss(Prog *p, Block *loss, StepPlan *out)
{
    for (int k = 0; k < out->n_losses; k++)
        if (out->loss[k] == loss)
            return;
    VEC_PUSH(&p->c->arena, out->loss, out->n_losses, loss);
}

void optim_build(Prog *p, const StepOpts *o, int n, StepPlan *out)
{
    *out = (StepPlan){ .obj = ARENA_ARRAY(&p->c->arena, StepObj, n + 1), .n_obj = n };
    for (int k = 0; k < n; k++) {
        out->obj[k].loss = o[k].loss;
        list_slots(p, &o[k].optim, &out->obj[k]);
        list_loss(p, o[k].loss, out);
    }
    build_step_table(p, o, n, out);
    for (int k = 0; k < n; k++)
        build_objective(p, &o[k], &out->obj[k], out);
    build_replaced(p, out);
}

/* ---- values ---- */

static Value step_value(void *arg, const Expr *col)
{
    const int64_t *at = arg;            /* step, epoch */

    return (Value){ .type = T_INT, .i = at[col->col] };
}

static double eval_step_col(const Expr *e, int64_t step, int64_t epoch)
{
    int64_t at[2] = { step, epoch };
    const Value v = ex_eval(e, step_value, at);

    return v.null ? NAN : v.type == T_REAL ? v.r : (double)v.i;
}

double optim_lr(const StepPlan *s, int64_t step, int64_t epoch)
{
    return eval_step_col(s->col[0].e, step, epoch);
}

static bool step_table(const StepPlan *s, Table *out)
{
    bool ok = table_init(out, "sqlgrad_step", 2 + s->n_cols, 1) && table_add_col(out, 0, "step", T_INT, false)
              && table_add_col(out, 1, "epoch", T_INT, false);

    for (int k = 0; ok && k < s->n_cols; k++)
        ok = table_add_col(out, k + 2, s->col[k].name, T_REAL, false);
    if (!ok)
        table_free(out);
    return ok;
}

Code optim_step_row(const StepPlan *s, int64_t step, int64_t epoch, Table *out, Err *e)
{
    if (!out->n_cols && !step_table(s, out))
        return err_set(e, E_ENV, ERR_mem_exhausted, "out of memory");
    for (int k = 0; k < s->n_cols; k++)
        out->col[k + 2].r[0] = eval_step_col(s->col[k].e, step, epoch);
    out->col[0].i[0] = step;
    out->col[1].i[0] = epoch;
    for (int k = 0; k < s->n_obj; k++)
        if (!isfinite(out->col[2 + s->obj[k].first_col].r[0]))
            return err_set(e, E_INPUT, ERR_train_lr, "the learning rate of step %lld is not finite", (long long)step);
    return OK;
}

Code optim_state_rows(const StepPlan *s, int k, const Table *param, Table *out, Err *e)
{
    const Block *b = s->over[k].state;
    const StepObj *obj = s->over[k].obj;
    bool ok = table_init(out, b->name, b->n_cols, param->n_rows);

    for (int c = 0; ok && c < b->n_cols; c++) {
        ok = table_add_col(out, c, b->col[c].name, b->col[c].type, false);
        if (!ok)
            break;
        const int from = b->col[c].type == T_REAL ? -1 : table_find(param, b->col[c].name);
        const int slot = (c - b->n_id) % (obj->n_slots ? obj->n_slots : 1);
        for (size_t r = 0; r < param->n_rows; r++) {
            if (from < 0)
                out->col[c].r[r] = obj->slot_start[slot];
            else if (out->col[c].type == T_TEXT)
                out->col[c].s[r] = arena_strdup(&out->arena, param->col[from].s[table_at(param, &param->col[from], r)]);
            else
                out->col[c].i[r] = table_int(param, from, r);
        }
    }
    return ok ? OK : err_set(e, E_ENV, ERR_mem_exhausted, "out of memory");
}

/* ---- the step as a statement ---- */

typedef struct NextArg { Arena *a; const Block *b; } NextArg;

static Expr *next_of(void *arg, const Expr *col)
{
    const NextArg *n = arg;

    return ex2(n->a, OP_add, ex_col(n->a, n->b, 0, col->col), ex_int(n->a, 1));
}

static void assign_all(Prog *p, Assign **list, int *n, Block *target, Block *from)
{
    Arena *a = &p->c->arena;
    Assign set = { .target = target, .from = from, .n_cols = target->n_cols };

    set.to_col = ARENA_ARRAY(a, int, set.n_cols + 1);
    set.from_col = ARENA_ARRAY(a, int, set.n_cols + 1);
    for (int c = 0; c < set.n_cols; c++)
        set.to_col[c] = set.from_col[c] = c;
    VEC_PUSH(a, *list, *n, set);
}

/* The rows a state table starts with: the parameter's keys, and what the optimizer starts from. */
static Block *state_start(Prog *p, const StepTable *t)
{
    Arena *a = &p->c->arena;
    const Block *state = t->state;
    Block *b = blk_new(p, BLK_row, prog_unique_name(p, "start"));

    blk_add_source(p, b, t->table, JOIN_inner, NULL);
    for (int c = 0; c < state->n_cols; c++) {
        Expr *e = state->col[c].type != T_REAL
                ? ex_col(a, b, 0, blk_find_col(t->table, state->col[c].name))
                : ex_real(a, t->obj->slot_start[(c - state->n_id) % t->obj->n_slots]);
        blk_add_col(p, b, state->col[c].name, e, AGG_none);
    }
    blk_set_id(p, b, state->id_col, state->n_id);
    return b;
}

static Block *step_start(Prog *p, const StepPlan *s)
{
    Arena *a = &p->c->arena;
    Block *b = blk_new(p, BLK_row, prog_unique_name(p, "start"));

    for (int c = 0; c < s->step->n_cols; c++)
        blk_add_col(p, b, s->step->col[c].name,
                    c < 2 ? ex_int(a, 0) : ex_real(a, eval_step_col(s->col[c - 2].e, 0, 0)), AGG_none);
    blk_set_id(p, b, NULL, 0);
    return b;
}

/* A full-batch step is an epoch, so both count together. */
void optim_next(Prog *p, StepPlan *s)
{
    Arena *a = &p->c->arena;
    Block *b = blk_new(p, BLK_row, GEN_PREFIX "new_sqlgrad_step");
    NextArg arg = { a, b };

    blk_add_source(p, b, s->step, JOIN_inner, NULL);
    for (int c = 0; c < s->step->n_cols; c++) {
        Expr *e = c < 2 ? next_of(&arg, plain_col(a, T_INT, 0, c)) : ex_map(a, s->col[c - 2].e, next_of, &arg);
        blk_add_col(p, b, s->step->col[c].name, e, AGG_none);
    }
    blk_set_id(p, b, NULL, 0);
    assign_all(p, &p->assign, &p->n_assigns, s->step, b);
    for (int k = 0; k < s->n_over; k++)
        if (s->over[k].state)
            assign_all(p, &p->start, &p->n_starts, s->over[k].state, state_start(p, &s->over[k]));
    assign_all(p, &p->start, &p->n_starts, s->step, step_start(p, s));
}
