/* SPDX-License-Identifier: Apache-2.0
 *
 * ops.h - the only lists of operators, aggregates and join forms.  Names, arity, printing, gradients,
 * interpreters and the test runner's demands are made from them; no `default:` over these enums.
 *
 *   O(name, nargs, kind, grad, "sql")
 *     nargs  -1: any number
 *     kind   'a' leaf, 'n' numeric (INT or REAL by Expr.type), 'r' REAL only, 'b' gives BOOL, 'm' other
 *     grad   'y' has a rule in pass/grad.c, '0' gradient is zero everywhere, '-' has no REAL argument
 *     sql    how the canonical form writes it: "+" infix, "F(" call, "" special-cased in print.c */
#ifndef SG_OPS_H
#define SG_OPS_H

#define OPS(O)                                                                                     \
    O(col,      0, 'a', '-', "")        /* source `src`, column `col` */                           \
    O(lit_int,  0, 'a', '-', "")                                                                   \
    O(lit_real, 0, 'a', '-', "")                                                                   \
    O(lit_text, 0, 'a', '-', "")                                                                   \
    O(lit_null, 0, 'a', '-', "NULL")                                                               \
    O(var,      0, 'a', '-', "")        /* loop variable :name, an INT */                          \
    O(neg,      1, 'n', 'y', "-")                                                                  \
    O(add,      2, 'n', 'y', "+")                                                                  \
    O(sub,      2, 'n', 'y', "-")                                                                  \
    O(mul,      2, 'n', 'y', "*")                                                                  \
    O(div,      2, 'r', 'y', "/")       /* real division, IEEE */                                  \
    O(idiv,     2, 'm', '-', "/")       /* INT, truncates toward zero; by zero: NULL */            \
    O(mod,      2, 'm', '-', "%")       /* INT, sign of the dividend; by zero: NULL */             \
    O(abs,      1, 'n', 'y', "ABS(")                                                               \
    O(sign,     1, 'n', '0', "SIGN(")                                                              \
    O(exp,      1, 'r', 'y', "EXP(")                                                               \
    O(ln,       1, 'r', 'y', "LN(")                                                                \
    O(log10,    1, 'r', 'y', "LOG10(")                                                             \
    O(sqrt,     1, 'r', 'y', "SQRT(")                                                              \
    O(pow,      2, 'r', 'y', "POW(")                                                               \
    O(sin,      1, 'r', 'y', "SIN(")                                                               \
    O(cos,      1, 'r', 'y', "COS(")                                                               \
    O(tan,      1, 'r', 'y', "TAN(")                                                               \
    O(tanh,     1, 'r', 'y', "TANH(")                                                              \
    O(atan,     1, 'r', 'y', "ATAN(")                                                              \
    O(floor,    1, 'r', '0', "FLOOR(")  /* REAL to REAL */                                         \
    O(ceil,     1, 'r', '0', "CEIL(")                                                              \
    O(round,    2, 'r', '0', "ROUND(")  /* argument 1: an INT literal, half away from zero */      \
    O(draw,    -1, 'm', '-', "SQLGRAD_DRAW(")   /* stream, seed, step, keys: random in [0, 1), see draw_noise */ \
    O(max,     -1, 'n', 'y', "MAX(")    /* two or more; any NULL gives NULL */                     \
    O(min,     -1, 'n', 'y', "MIN(")                                                               \
    O(cond,    -1, 'm', 'y', "")        /* CASE: when, then, …, else; ELSE is always there */      \
    O(coalesce,-1, 'm', 'y', "COALESCE(")                                                          \
    O(nullif,   2, 'm', 'y', "NULLIF(")                                                            \
    O(to_int,   1, 'm', '0', "")        /* CAST: REAL truncates, TEXT as SQLite, BOOL 0/1 */       \
    O(to_real,  1, 'm', 'y', "")                                                                   \
    O(to_text,  1, 'm', '-', "")                                                                   \
    O(eq,       2, 'b', '0', "=")                                                                  \
    O(ne,       2, 'b', '0', "<>")                                                                 \
    O(lt,       2, 'b', '0', "<")                                                                  \
    O(le,       2, 'b', '0', "<=")                                                                 \
    O(gt,       2, 'b', '0', ">")                                                                  \
    O(ge,       2, 'b', '0', ">=")                                                                 \
    O(same,     2, 'b', '0', "IS NOT DISTINCT FROM")    /* NULL-safe = */                          \
    O(differ,   2, 'b', '0', "IS DISTINCT FROM")                                                   \
    O(is_null,  1, 'b', '0', "IS NULL")                                                            \
    O(not_null, 1, 'b', '0', "IS NOT NULL")                                                        \
    O(in,      -1, 'b', '0', "IN")      /* argument 0 in the list of the others */                 \
    O(and,     -1, 'b', '-', "AND")                                                                \
    O(or,      -1, 'b', '-', "OR")                                                                 \
    O(not,      1, 'b', '-', "NOT")

/* A(name, grad, "sql"); avg, variance, stddev are expanded by the front. */
#define AGGS(A)                                                                                    \
    A(none,  '-', "")           /* not an aggregate: a key, or a column of a row block */          \
    A(sum,   'y', "SUM")                                                                           \
    A(count, '0', "COUNT")      /* COUNT(e); COUNT(*) has no argument (expr NULL) */               \
    A(min,   'y', "MIN")                                                                           \
    A(max,   'y', "MAX")

/* J(name, "sql") */
#define JOINS(J)                                                                                   \
    J(inner, "JOIN")                                                                               \
    J(left,  "LEFT JOIN")

enum { DRAW_KEYS = 3 };           /* argument of `draw` at which the keys begin */

typedef enum Op {
#define O(name, nargs, kind, grad, sql) OP_##name,
    OPS(O)
#undef O
} Op;

typedef enum Agg {
#define A(name, grad, sql) AGG_##name,
    AGGS(A)
#undef A
} Agg;

typedef enum Join {
#define J(name, sql) JOIN_##name,
    JOINS(J)
#undef J
} Join;

typedef struct OpInfo { const char *name; int nargs; char kind, grad; const char *sql; } OpInfo;
extern const OpInfo op_info[];
extern const struct AggInfo { const char *name; char grad; const char *sql; } agg_info[];
extern const struct JoinInfo { const char *name; const char *sql; } join_info[];
extern const int n_ops, n_aggs, n_joins;

#endif
