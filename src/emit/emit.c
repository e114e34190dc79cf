/* SPDX-License-Identifier: Apache-2.0
 *
 * emit.c - one block to the statements that evaluate it, and assignments to UPDATEs.  Shared by scripts and
 * by the SQL engine, so that a script does what the engine does. */
#include "emit/emit.h"

#include <string.h>

void emit_typed_cols(Buf *out, const Block *b, const Dialect *d)
{
    for (int c = 0; c < b->n_cols; c++) {
        const Type t = b->col[c].type;
        buf_puts(out, c ? ", " : "");
        buf_ident(out, b->col[c].name);
        buf_printf(out, " %s", t == T_REAL ? d->real : t == T_TEXT ? d->text : d->integer);
    }
    if (!b->n_cols)                                 /* SQL has no relation without columns: see print.c */
        buf_printf(out, "\"_sg_one\" %s", d->integer);
}

void emit_create(Buf *out, const Block *b, const Dialect *d)
{
    buf_puts(out, "DROP TABLE IF EXISTS temp.");
    buf_ident(out, b->name);
    buf_puts(out, ";\nCREATE TEMP TABLE ");
    buf_ident(out, b->name);
    buf_puts(out, " (");
    emit_typed_cols(out, b, d);
    buf_puts(out, ");\n");
}

void emit_insert(Buf *out, const Block *b, const Dialect *d)
{
    buf_puts(out, "INSERT INTO temp.");
    buf_ident(out, b->name);
    buf_putc(out, '\n');
    print_select(out, b, d, "");
}

void emit_block(Buf *out, const Readers *r, const Block *b, const Dialect *d)
{
    emit_create(out, b, d);
    emit_insert(out, b, d);
    buf_puts(out, ";\n");
    emit_indexes(out, r, b);
}

/* The column of `from` that holds target's column c: assigned to it, or of the same name. */
static int source_col(const Assign *a, int c)
{
    for (int k = 0; k < a->n_cols; k++)
        if (a->to_col[k] == c)
            return a->from_col[k];
    for (int k = 0; k < a->from->n_cols; k++)
        if (ascii_ieq(a->from->col[k].name, a->target->col[c].name))
            return k;
    BUG("assignment to %s: no column %s in %s", a->target->name, a->target->col[c].name, a->from->name);
}

static void put_sets(Buf *out, const Assign *a)
{
    int n = 0;

    for (int k = 0; k < a->n_cols; k++) {
        if (col_is_id(a->target, a->to_col[k]))
            continue;                               /* rows are matched on it */
        buf_puts(out, n++ ? ", " : " SET ");
        buf_ident(out, a->target->col[a->to_col[k]].name);
        buf_puts(out, " = \"_sg_f\".");
        buf_ident(out, a->from->col[a->from_col[k]].name);
    }
}

static void put_match(Buf *out, const Assign *a, const Dialect *d)
{
    const Block *t = a->target;

    for (int k = 0; k < t->n_id; k++) {
        const int c = t->id_col[k];
        buf_puts(out, k ? " AND \"_sg_t\"." : " WHERE \"_sg_t\".");
        buf_ident(out, t->col[c].name);
        buf_printf(out, " %s \"_sg_f\".", t->col[c].nullable ? d->same : "=");
        buf_ident(out, a->from->col[source_col(a, c)].name);
    }
}

void emit_assign(Buf *out, const Assign *a, const char *schema, const Dialect *d)
{
    buf_printf(out, "UPDATE %s.", schema);
    buf_ident(out, a->target->name);
    buf_puts(out, " AS \"_sg_t\"");
    put_sets(out, a);
    buf_puts(out, " FROM temp.");
    buf_ident(out, a->from->name);
    buf_puts(out, " AS \"_sg_f\"");
    put_match(out, a, d);
    buf_puts(out, ";\n");
}

void emit_needed(const Prog *p, Block *const *target, int n, bool *need)
{
    for (int k = 0; k < n; k++)
        need[target[k]->id] = true;
    for (int k = p->n_blocks - 1; k >= 0; k--)
        for (int s = 0; need[k] && s < p->block[k]->n_src; s++)
            need[p->block[k]->src[s].rel->id] = true;
}
