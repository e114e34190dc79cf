/* SPDX-License-Identifier: Apache-2.0
 * table.c - host tables. */
#include "ir/ir.h"

#include <string.h>

void table_adopt(Table *t, void *block)
{
    VEC_PUSH(&t->arena, t->owned, t->n_owned, block);
}

static void *table_own(Table *t, size_t nbytes)
{
    void *p = mem_try(nbytes ? nbytes : 1);

    if (p)
        table_adopt(t, p);
    return p;
}

bool table_init(Table *t, const char *name, int n_cols, size_t n_rows)
{
    *t = (Table){ .n_rows = n_rows, .n_cols = n_cols };
    t->name = arena_strdup(&t->arena, name);
    t->col = ARENA_ARRAY(&t->arena, TableCol, n_cols);
    return true;
}

bool table_add_col(Table *t, int c, const char *name, Type type, bool nulls)
{
    TableCol *k = &t->col[c];

    k->name = arena_strdup(&t->arena, name);
    k->type = type == T_BOOL || type == T_NULL ? T_INT : type;
    if (k->type == T_TEXT && !(k->s = table_own(t, t->n_rows * sizeof *k->s)))
        return false;
    if (k->type == T_REAL && !(k->r = table_own(t, t->n_rows * sizeof *k->r)))
        return false;
    if (k->type == T_INT && !(k->i = table_own(t, t->n_rows * sizeof *k->i)))
        return false;
    return !nulls || (k->null = table_own(t, t->n_rows)) != NULL;
}

int table_find(const Table *t, const char *name)
{
    for (int c = 0; c < t->n_cols; c++)
        if (ascii_ieq(t->col[c].name, name))
            return c;
    return -1;
}

void table_free(Table *t)
{
    for (int k = 0; k < t->n_owned; k++)
        mem_free(t->owned[k]);
    arena_free(&t->arena);
    *t = (Table){ 0 };
}

CatTable *catalog_find(const Catalog *cat, const char *name)
{
    for (int k = 0; k < cat->n_tables; k++)
        if (ascii_ieq(cat->table[k].name, name))
            return &cat->table[k];
    return NULL;
}
