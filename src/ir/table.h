/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h - what compilation and engines know of the database: Catalog (facts about tables), and Table
 * (rows on the host).  Both are plain structures that `db` fills; nothing compiled calls `db`. */
#ifndef SG_TABLE_H
#define SG_TABLE_H

/* One column of a host table.  A table has either plain rows (n_inner == 0: every column has n_rows
 * entries) or product rows: all pairs (o, i) with o < n_outer, i < n_inner, row = o * n_inner + i, where a
 * column of DIM_outer has n_outer entries, of DIM_inner n_inner entries, of DIM_full n_outer * n_inner. */
typedef enum Dim { DIM_full, DIM_outer, DIM_inner } Dim;

typedef struct TableCol {
    const char *name;
    Type type;                  /* INT, TEXT, REAL (BOOL is INT here) */
    Dim dim;
    int64_t *i;                 /* INT */
    double *r;                  /* REAL, unless bytes is set */
    const char **s;             /* TEXT, in the table's arena */
    const uint8_t *bytes;       /* packed REAL: value = lut[bytes[row]] */
    double lut[256];
    uint8_t *null;              /* 1 where NULL, or NULL pointer if there is none */
} TableCol;

typedef struct Table {
    Arena arena;                /* names and texts */
    const char *name;
    size_t n_rows;              /* of the relation: n_outer * n_inner for product rows */
    size_t n_outer, n_inner;    /* 0, 0: plain rows */
    TableCol *col; int n_cols;
    void **owned; int n_owned;      /* mem_try blocks behind the columns; the list is in the arena */
} Table;

void table_free(Table *t);
/* Entry of column c for relation row `row`. */
static inline size_t table_at(const Table *t, const TableCol *c, size_t row)
{
    return !t->n_inner || c->dim == DIM_full ? row : c->dim == DIM_outer ? row / t->n_inner : row % t->n_inner;
}
static inline bool table_null(const Table *t, int c, size_t row)
{
    return t->col[c].null && t->col[c].null[table_at(t, &t->col[c], row)];
}
static inline double table_real(const Table *t, int c, size_t row)
{
    const TableCol *k = &t->col[c];
    const size_t j = table_at(t, k, row);
    return k->type != T_REAL ? (double)k->i[j] : k->bytes ? k->lut[k->bytes[j]] : k->r[j];
}
static inline int64_t table_int(const Table *t, int c, size_t row)
{
    return t->col[c].i[table_at(t, &t->col[c], row)];
}
/* Columns with n_rows entries allocated (plain rows).  False: out of memory. */
bool table_init(Table *t, const char *name, int n_cols, size_t n_rows);
bool table_add_col(Table *t, int c, const char *name, Type type, bool nulls);
void table_adopt(Table *t, void *block);                /* a mem_try block that table_free frees */
int  table_find(const Table *t, const char *name);      /* ASCII case ignored; -1 */

/* ---- facts about the database ---- */

typedef struct CatCol {
    const char *name;           /* as the database spells it */
    Type type;                  /* after looking, for typeless columns */
    const char *decl;           /* declared type, or "" */
    bool nullable;              /* a NULL is stored */
    bool has_range; int64_t lo, hi;     /* INT columns: smallest and largest */
    int64_t n_distinct;         /* -1 unknown */
} CatCol;

typedef struct CatTable {
    const char *name;           /* as asked for by the model */
    const char *db_name;        /* the table read in its place (--bind), spelled as in the database */
    bool exists;
    bool in_state;              /* found in the state database, not in --db */
    CatCol *col; int n_cols;
    int64_t n_rows;
    bool unique;                /* the non-REAL columns are unique and never NULL together with themselves */
    int *known_by, n_known;     /* if unique: the fewest non-REAL columns that tell rows apart; none: all of them do */
    const char *dup_a;          /* if not unique: the repeated key, as text, for messages */
} CatTable;

typedef struct Catalog {
    Arena arena;
    CatTable *table; int n_tables;
    bool have_db;               /* false: emit on declared tables only */
    const char **known; int n_known;    /* all table names in the database, for suggestions */
    const char **written; int n_written;        /* those that a run wrote there as results (--out) */
} Catalog;

CatTable *catalog_find(const Catalog *cat, const char *name);       /* ASCII case ignored */

#endif
