/* SPDX-License-Identifier: Apache-2.0
 * ops.c - the tables made from ops.h. */
#include "ir/ir.h"

const OpInfo op_info[] = {
#define O(name, nargs, kind, grad, sql) { #name, nargs, kind, grad, sql },
    OPS(O)
#undef O
};

const struct AggInfo agg_info[] = {
#define A(name, grad, sql) { #name, grad, sql },
    AGGS(A)
#undef A
};

const struct JoinInfo join_info[] = {
#define J(name, sql) { #name, sql },
    JOINS(J)
#undef J
};

const int n_ops = COUNT_OF(op_info), n_aggs = COUNT_OF(agg_info), n_joins = COUNT_OF(join_info);
const char *const type_name[] = { "NULL", "BOOLEAN", "INTEGER", "TEXT", "REAL" };
const char *const block_kind_name[] = { "base", "row", "reduce", "pick", "union" };
