/* SPDX-License-Identifier: Apache-2.0
 *
 * emit.h - blocks to SQL scripts.  A dialect is a row in a table; emitters never ask which one it is.
 *
 * A derived block becomes a temporary table of its name.  A base block is read in place, or through a
 * temporary table of its name that hides the database's.  The order of blocks is the program's. */
#ifndef SG_EMIT_H
#define SG_EMIT_H

#include "ir/ir.h"

extern const Dialect dialects[];
extern const int n_dialects;
const Dialect *dialect_find(const char *name);          /* NULL: there is none of that name */

/* Who reads each block, found once for a program: the indexes of all its tables take one look at every source. */
typedef struct Readers Readers;
Readers *emit_readers(Arena *a, const Prog *p);

/* The statements that evaluate one block into a temporary table of its name, dropping an old one: DROP, CREATE
 * TEMP TABLE, INSERT … SELECT, and indexes for the joins of its readers.  Each ends a line. */
void emit_block(Buf *out, const Readers *r, const Block *b, const Dialect *d);
/* Of them only INSERT … SELECT, without the end of a statement. */
void emit_insert(Buf *out, const Block *b, const Dialect *d);
/* DROP and CREATE TEMP TABLE with b's columns and their types.  Types matter: SQLite takes no index of a column
 * without one (CREATE TABLE … AS gives none to an expression) for a comparison with a column that has one. */
void emit_create(Buf *out, const Block *b, const Dialect *d);
/* "column" TYPE, … */
void emit_typed_cols(Buf *out, const Block *b, const Dialect *d);
/* Only the indexes, for a table that is there already. */
void emit_indexes(Buf *out, const Readers *r, const Block *b);
/* The quoted name of b's index k, for those who move a table aside and must drop its indexes. */
enum { EMIT_MAX_INDEXES = 16 };
void emit_index_name(Buf *out, const Block *b, int k);
/* Statements that prepare a base block: a temporary copy where the table cannot be read in place (bag,
 * conversion, another name, text keys of unknown collation, batch) or is joined by columns without an index;
 * else nothing.  `batch`: only rows whose keys are in sqlgrad_batch. */
void emit_base(Buf *out, const Prog *p, const Readers *r, const Block *b, bool batch, const Dialect *d);
/* SELECT of all combinations that a declared table's CHECKs allow, value columns `val`. */
void emit_shape(Buf *out, const Block *b, double val, const Dialect *d);
/* An assignment as an UPDATE; `schema` holds the target ("main", "temp"). */
void emit_assign(Buf *out, const Assign *a, const char *schema, const Dialect *d);

typedef enum EmitWhat { EMIT_forward, EMIT_grad, EMIT_step } EmitWhat;

typedef struct EmitOpts {
    EmitWhat what;
    bool batch;                         /* @data tables are restricted to sqlgrad_batch(keys) */
    Block *const *show; int n_show;     /* what forward selects at the end; none: @loss and @metric tables, or the last */
} EmitOpts;

/* A whole script; see decisions.md "Emitted scripts". */
void emit_script(Buf *out, const Prog *p, const EmitOpts *o, const Dialect *d);

/* need[id] = true for the targets and all blocks they are made from. */
void emit_needed(const Prog *p, Block *const *target, int n, bool *need);
#endif
