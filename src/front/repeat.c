/* SPDX-License-Identifier: Apache-2.0
 *
 * repeat.c - the statements of a file in order, each under a guard of its own, and those of a loop as often as its bounds
 * say.  Loops are written out here and known to nothing behind the front. */
#include "front/defs.h"

bool stmt_in_loop(const Scan *s, int stmt)
{
    for (int l = 0; l < s->n_loops; l++)
        if (s->loop[l].first <= stmt && stmt < s->loop[l].end)
            return true;
    return false;
}

void bind_check_repeated(Binder *b)
{
    static const DirWord once[] = { DIR_data, DIR_param, DIR_range, DIR_loss, DIR_metric };

    if (b->stmt->kind == STMT_declare)
        diag_fail(b->c, ERR_bind_loop, b->stmt->name_at, "%s is declared in a loop; declarations stand before it", b->stmt->name);
    for (size_t i = 0; i < COUNT_OF(once); i++)
        if (dir_find(b->stmt, once[i]))
            diag_fail(b->c, ERR_bind_loop, dir_find(b->stmt, once[i])->at, "@%s stands in a loop; it has one table",
                      dir_word(once[i]));
}

/* The definition that a statement makes or fills; NULL: none is bound in this mode or needed. */
static Def *def_of_stmt(Binder *b, int i)
{
    const Stmt *st = &b->scan->stmt[i];
    Def *d = st->kind == STMT_insert && st->name ? def_find(b, st->name)
             : b->defs->of_stmt[i] >= 0 ? &b->defs->def[b->defs->of_stmt[i]] : NULL;

    return d && (!d->needed || d->dropped) ? NULL : d;
}

static bool other_mode(const Binder *b, const Stmt *st)
{
    return stmt_mode(st) == (b->o && b->o->eval ? MODE_train : MODE_eval);
}

static void bind_one(Binder *b, int i)
{
    Stmt *st = b->stmt = &b->scan->stmt[i];
    Def *at = st->failed ? NULL : def_of_stmt(b, i);
    const bool lost = st->kind == STMT_insert && st->name && !st->failed && !def_find(b, st->name);

    b->mode = stmt_mode(st);
    if (lost && !other_mode(b, st))
        bind_guarded(b, NULL, bind_insert);
    st->failed |= lost;
    if (!at || other_mode(b, st) || (b->n_steps && at->state == DEF_failed))
        return;
    /* Binding may add definitions and so move the array: it gets a copy. */
    Def d = *at;
    const ptrdiff_t k = at - b->defs->def;
    const int first = b->p->n_blocks, errors = b->c->n_errors;
    bind_guarded(b, &d, st->kind == STMT_insert ? bind_insert : bind_stmt);
    b->defs->def[k] = d;
    if (b->c->n_errors == errors)
        prog_narrow(b->p, first, true, &b->cuts);
}

/* ---- loops ---- */

#define MAX_REPEATED 200000         /* statements that loops make of a file */
#define MAX_LOOPS    16             /* open at once */

static bool loop_is_needed(Binder *b, const ScanLoop *l)
{
    for (int i = l->first; i < l->end; i++) {
        const Stmt *st = &b->scan->stmt[i];
        if (!st->failed && (def_of_stmt(b, i) || (st->kind == STMT_insert && !def_find(b, st->name))))
            return true;
    }
    return false;
}

typedef struct LoopCall { const ScanLoop *l; LoopHead head; bool ok; } LoopCall;

static void read_head(Binder *b, Def *arg)
{
    LoopCall *k = b->loop_call;
    int64_t n;

    (void)arg;
    k->head = dir_loop(b, &k->l->head);
    if (b->n_steps >= MAX_LOOPS)
        diag_fail(b->c, ERR_bind_loop, k->l->head.at, "more than %d loops in one another", MAX_LOOPS);
    for (int i = 0; i < b->n_steps; i++)
        if (ascii_ieq(b->step_name[i], k->head.var))
            diag_fail(b->c, ERR_bind_loop, k->l->head.at, ":%s counts the loop around this one already", k->head.var);
    if (__builtin_sub_overflow(k->head.hi, k->head.lo, &n) || n >= MAX_REPEATED ||
        (n + 1) * (k->l->end - k->l->first) + b->n_repeated > MAX_REPEATED)
        diag_fail(b->c, ERR_bind_loop, k->l->head.at, "this loop makes more than %d statements of the file", MAX_REPEATED);
    k->ok = true;
}

/* For who draws the program as it was written; bounds that change are those of the first run. */
static void note_repeat(Binder *b, ScanLoop *l, const LoopHead *head)
{
    const Scan *s = b->scan;

    if (l->repeat || l->first == l->end)
        return;
    VEC_PUSH(&b->c->arena, b->p->repeat, b->p->n_repeats,
             ((Repeat){ head->var, head->lo, head->hi, s->stmt[l->first].at, s->stmt[l->end - 1].at,
                        l->up < 0 ? -1 : s->loop[l->up].repeat - 1 }));
    l->repeat = b->p->n_repeats;
}

static void bind_loop(Binder *b, int at)
{
    ScanLoop *l = &b->scan->loop[at];
    LoopCall call = { .l = l };
    const int depth = b->n_steps;

    if (l->failed || !loop_is_needed(b, l))
        return;
    b->stmt = l->first < l->end ? &b->scan->stmt[l->first] : NULL;
    b->loop_call = &call;
    bind_guarded(b, NULL, read_head);
    if (!call.ok)
        for (int i = l->first; i < l->end; i++) {
            Def *d = def_of_stmt(b, i);
            if (d)
                d->state = DEF_failed;
        }
    l->failed = !call.ok;
    if (!call.ok)
        return;
    note_repeat(b, l, &call.head);
    int n = depth;
    VEC_PUSH(&b->c->arena, b->step_name, n, call.head.var);
    VEC_PUSH(&b->c->arena, b->step, b->n_steps, call.head.lo);
    for (int64_t v = call.head.lo; v <= call.head.hi; v++) {
        b->step[depth] = v;
        b->n_repeated += l->end - l->first;
        bind_statements(b, l->first, l->end, at);
    }
    b->n_steps = depth;
}

/* The statements first … end that stand in loop `up` itself, and its inner loops where they stand. */
void bind_statements(Binder *b, int first, int end, int up)
{
    const Scan *s = b->scan;
    int i = first;

    for (int l = up + 1; l <= s->n_loops; l++) {
        const bool last = l == s->n_loops;
        if (!last && (s->loop[l].up != up || s->loop[l].first < first || s->loop[l].first > end))
            continue;
        for (const int to = last ? end : s->loop[l].first; i < to && b->c->n_errors < 2 * MAX_ERRORS; i++)
            bind_one(b, i);
        if (!last) {
            bind_loop(b, l);
            i = s->loop[l].end;
        }
    }
}
