/* SPDX-License-Identifier: Apache-2.0
 *
 * dump.c - a whole program as text: declarations, blocks, and in comments what SQL has no words for:
 * directives, which the front reads back, and derived facts, for people.  The same program always gives
 * the same bytes: no addresses, no hash order, no times. */
#include "ir/ir.h"

#include <string.h>

static const char *const lifetime_name[] = { "static", "batch", "step" };

/* A name in a comment: one with line ends in it must not end the comment. */
static void dump_name(Buf *out, const char *name, const Dialect *d)
{
    Buf b = { 0 };

    print_name(&b, name, d);
    print_comment(out, b.s);
    buf_free(&b);
}

typedef struct Comma { Buf *out; const char *open, *close; int n; } Comma;

static void comma(Comma *c)
{
    buf_puts(c->out, c->n++ ? ", " : c->open);
}

static void comma_end(Comma *c)
{
    if (c->n)
        buf_puts(c->out, c->close);
}

/* ---- facts ---- */

static void dump_identity(Buf *out, const Block *b, const Dialect *d)
{
    if (b->n_id == 0) {
        buf_puts(out, b->one_row ? ", one row" : ", no identity");
        return;
    }
    buf_puts(out, ", identity (");
    for (int k = 0; k < b->n_id; k++) {
        buf_puts(out, k ? ", " : "");
        dump_name(out, b->col[b->id_col[k]].name, d);
    }
    buf_putc(out, ')');
}

static void dump_block_facts(Buf *out, const Block *b, const Dialect *d)
{
    buf_printf(out, "-- %s", block_kind_name[b->kind]);
    dump_identity(out, b, d);
    buf_printf(out, ", %s", lifetime_name[b->life]);
    if (b->bag) buf_puts(out, ", bag");
    if (b->dynamic_rows) buf_puts(out, ", dynamic rows");
    if (b->batch_local) buf_puts(out, ", batch-local");
    else if (b->batched) buf_puts(out, ", batched");
    if (b->why) buf_printf(out, ", %s", b->why);
    buf_putc(out, '\n');
}

static void dump_col_facts(Buf *out, const Block *b, const Dialect *d)
{
    for (int c = 0; c < b->n_cols; c++) {
        const Col *k = &b->col[c];
        buf_puts(out, "--   ");
        dump_name(out, k->name, d);
        buf_printf(out, " %s%s%s%s%s\n", type_name[k->type], k->active ? ", active" : "",
                   k->dynamic ? ", dynamic" : "", k->nullable ? ", nullable" : "", k->hidden ? ", hidden" : "");
    }
}

/* ---- directives ---- */

static void dump_init(Buf *out, const Init *in, const Dialect *d)
{
    Comma c = { out, "(", ")", 0 };

    buf_puts(out, "init = ");
    print_comment(out, in->name);
    for (int k = 0; k < in->n_args; k++) {
        comma(&c);
        buf_real(out, in->arg[k]);
    }
    if (in->of) {
        comma(&c);
        buf_puts(out, "of = ");
        dump_name(out, in->of, d);
    }
    comma_end(&c);
    for (int k = 0; k < in->n_in; k++) {
        buf_puts(out, k ? ", " : ", in = (");
        dump_name(out, in->in[k], d);
    }
    if (in->n_in)
        buf_putc(out, ')');
}

static void dump_param(Buf *out, const Block *b, const Dialect *d)
{
    Comma c = { out, "(", ")", 0 };

    buf_puts(out, "-- @param");
    if (b->init && b->init->name) {
        comma(&c);
        dump_init(out, b->init, d);
    }
    if (b->no_decay) {
        comma(&c);
        buf_puts(out, "decay = 0");
    }
    if (b->frozen) {
        comma(&c);
        buf_puts(out, "freeze");
    }
    comma_end(&c);
    buf_putc(out, '\n');
}

static void dump_data(Buf *out, const Block *b, const Dialect *d)
{
    buf_puts(out, "-- @data");
    if (b->batch_rows)
        buf_puts(out, "(batch = rows)");
    for (int k = 0; k < b->n_batch; k++) {
        buf_puts(out, k ? ", " : "(batch = ");
        dump_name(out, b->batch_key[k], d);
    }
    buf_puts(out, b->n_batch ? ")\n" : "\n");
}

static void dump_directives(Buf *out, const Block *b, const Dialect *d)
{
    if (b->mode == MODE_train) buf_puts(out, "-- @train\n");
    if (b->mode == MODE_eval) buf_puts(out, "-- @eval\n");
    if (b->is_param) dump_param(out, b, d);
    if (b->is_data) dump_data(out, b, d);
    if (b->role == BASE_range) buf_puts(out, "-- @range\n");
    if (b->is_once) buf_puts(out, "-- @once\n");
    if (b->is_detached) buf_puts(out, "-- @detach\n");
    if (b->is_loss) buf_puts(out, "-- @loss\n");
    if (b->is_metric) buf_puts(out, "-- @metric\n");
    if (b->updates) {
        buf_puts(out, "-- @update ");
        dump_name(out, b->updates->name, d);
        buf_putc(out, '\n');
    }
}

static void dump_optimizer(Buf *out, const Objective *o)
{
    Comma c = { out, "(", ")", 0 };

    buf_puts(out, " using ");
    print_comment(out, o->optimizer);
    for (int k = 0; k < o->n_args; k++) {
        comma(&c);
        print_comment(out, o->arg[k].name);
        buf_puts(out, " = ");
        buf_real(out, o->arg[k].val);
    }
    if (o->lr) {
        comma(&c);
        buf_puts(out, "lr = ");
        print_comment(out, o->lr);
    }
    comma_end(&c);
}

static void dump_objective(Buf *out, const Objective *o, const Dialect *d)
{
    buf_printf(out, "\n-- @%s ", o->maximize ? "maximize" : "minimize");
    dump_name(out, o->loss->name, d);
    for (int k = 0; k < o->n_over; k++) {
        buf_puts(out, k ? ", " : " over ");
        dump_name(out, o->over[k]->name, d);
        if (o->clamp[k].on) {
            buf_puts(out, " clamp(");
            buf_real(out, o->clamp[k].lo);
            buf_puts(out, ", ");
            buf_real(out, o->clamp[k].hi);
            buf_putc(out, ')');
        }
    }
    if (o->optimizer)
        dump_optimizer(out, o);
    buf_putc(out, '\n');
}

static void dump_results(Buf *out, const Prog *p, const Dialect *d)
{
    for (int k = 0; k < p->n_grads; k++) {
        buf_puts(out, k ? "-- gradient of " : "\n-- gradient of ");
        dump_name(out, p->grad[k].table->name, d);
        buf_puts(out, ": ");
        dump_name(out, p->grad[k].grad->name, d);
        buf_putc(out, '\n');
    }
    for (int k = 0; k < p->n_assigns; k++) {
        const Assign *a = &p->assign[k];
        buf_puts(out, k ? "-- assign " : "\n-- assign ");
        dump_name(out, a->target->name, d);
        for (int c = 0; c < a->n_cols; c++) {
            buf_puts(out, c ? ", " : " (");
            dump_name(out, a->target->col[a->to_col[c]].name, d);
        }
        buf_puts(out, ") from ");
        dump_name(out, a->from->name, d);
        for (int c = 0; c < a->n_cols; c++) {
            buf_puts(out, c ? ", " : " (");
            dump_name(out, a->from->col[a->from_col[c]].name, d);
        }
        buf_puts(out, ")\n");
    }
}

/* A parameter's query is printed where the parameter stands, in its name. */
static bool is_param_query(const Prog *p, const Block *b)
{
    for (int k = 0; k < p->n_blocks; k++)
        if (p->block[k]->rows_from == b)
            return true;
    return false;
}

static void dump_block(Buf *out, const Block *b, const Dialect *d, bool facts)
{
    buf_putc(out, '\n');
    if (facts) {
        dump_block_facts(out, b, d);
        dump_col_facts(out, b, d);
    }
    dump_directives(out, b, d);
    if (!b->rows_from) {
        print_block(out, b, d);
        return;
    }
    Block named = *b->rows_from;
    named.name = b->name;
    print_block(out, &named, d);
}

void print_prog(Buf *out, const Prog *p, const Dialect *d, bool facts)
{
    buf_puts(out, "-- sqlgrad blocks\n");
    for (int k = 0; k < p->n_blocks; k++)
        if (!is_param_query(p, p->block[k]))
            dump_block(out, p->block[k], d, facts);
    for (int k = 0; k < p->n_obj; k++)
        dump_objective(out, &p->obj[k], d);
    if (facts)
        dump_results(out, p, d);
}
