/* SPDX-License-Identifier: Apache-2.0
 *
 * emit.h - blocks to SQL scripts.  A dialect is a row in a table; emitters never ask which one it is. */
#ifndef SG_EMIT_H
#define SG_EMIT_H

#include "ir/ir.h"

extern const Dialect dialects[];
extern const int n_dialects;
const Dialect *dialect_find(const char *name);

/* The statements that evaluate one block into a temporary table of its name, dropping an old one: DROP,
 * CREATE TEMP TABLE … AS, and indexes for the joins of its readers.  Separated by newlines. */
void emit_block(Buf *out, const Prog *p, const Block *b, const Dialect *d);
/* Statements that prepare a base block: a temporary copy or view where the table cannot be read in place
 * (bag, conversion, packed view, parameter made from its shape), else nothing. */
void emit_base(Buf *out, const Prog *p, const Block *b, const Dialect *d);
/* Statements that perform p->assign. */
void emit_assigns(Buf *out, const Prog *p, const Dialect *d);
/* A whole script; see doc and decisions.md "Emitted scripts". */
typedef enum EmitWhat { EMIT_forward, EMIT_grad, EMIT_step } EmitWhat;
void emit_script(Buf *out, const Prog *p, EmitWhat what, const Dialect *d);
#endif
