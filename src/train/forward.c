/* SPDX-License-Identifier: Apache-2.0
 *
 * forward.c - evaluate targets over all batch keys in chunks, so that a forward pass over many images needs no
 * more memory than one chunk.  What a chunk's keys settle alone is computed chunk by chunk (Split.local); the
 * few tables that later steps read are fetched, put together and bound into the program of the rest
 * (Split.global).  One chunk: the whole program, at once.  Used by run, eval, and evaluation sets. */
#include "train/train.h"

#include <string.h>

static const Table *feed_named(const Feed *f, int n, const char *name)
{
    for (int k = 0; k < n; k++)
        if (!strcmp(f[k].base->name, name))
            return f[k].t;
    return NULL;
}

static bool is_cross(const Forward *f, const char *name)
{
    for (int k = 0; f->chunked && k < f->split.n_cross; k++)
        if (!strcmp(f->split.cross[k]->name, name))
            return true;
    return false;
}

/* Bind every base block of p but those that chunks fill. */
static Code bind_bases(const Forward *f, Engine *g, const Prog *p, bool skip_cross, Err *e)
{
    Code rc = OK;

    for (int k = 0; k < p->n_blocks && rc == OK; k++) {
        const Block *b = p->block[k];
        if (b->kind != BLK_base || (skip_cross && is_cross(f, b->name)))
            continue;
        const Table *t = feed_named(f->feed, f->n_feeds, b->name);
        if (!t)
            BUG("no rows for the base table %s", b->name);
        rc = f->ops->bind(g, b, t, e);
    }
    return rc;
}

Code forward_open(Forward *f, Err *e)
{
    Engine **g = f->chunked ? &f->local : &f->main;
    const Prog *p = f->chunked ? f->split.local : f->whole;

    const Code rc = f->ops->open(g, p, &f->eo, e);
    return rc != OK ? rc : bind_bases(f, *g, p, false, e);
}

static Code bind_named(const Forward *f, Engine *g, const Prog *p, const char *name, const Table *t, Err *e)
{
    for (int k = 0; g && k < p->n_blocks; k++)
        if (p->block[k]->kind == BLK_base && !strcmp(p->block[k]->name, name))
            return f->ops->bind(g, p->block[k], t, e);
    return OK;
}

Code forward_bind(Forward *f, const char *name, const Table *t, Err *e)
{
    for (int k = 0; k < f->n_feeds; k++)
        if (!strcmp(f->feed[k].base->name, name))
            f->feed[k].t = t;                      /* should the global program be opened later */
    const Code rc = f->chunked ? bind_named(f, f->local, f->split.local, name, t, e) : OK;
    return rc != OK ? rc : bind_named(f, f->main, f->chunked ? f->split.global : f->whole, name, t, e);
}

/* Rows of `from` after those of `to`; both have the same columns.  `at`: rows of `to` that are filled. */
static void copy_rows(Table *to, size_t at, const Table *from)
{
    for (int c = 0; c < to->n_cols; c++) {
        TableCol *k = &to->col[c];
        const TableCol *s = &from->col[c];
        for (size_t r = 0; r < from->n_rows; r++) {
            if (k->null)
                k->null[at + r] = s->null && s->null[r];
            if (k->type == T_REAL)
                k->r[at + r] = s->r[r];
            else if (k->type == T_INT)
                k->i[at + r] = s->i[r];
            else
                k->s[at + r] = s->s[r] ? arena_strdup(&to->arena, s->s[r]) : NULL;
        }
    }
}

static Code join_tables(const Table *part, size_t n, size_t stride, Table *out, Err *e)
{
    size_t rows = 0, at = 0;
    bool ok;

    for (size_t i = 0; i < n; i++)
        rows += part[i * stride].n_rows;
    ok = table_init(out, part[0].name, part[0].n_cols, rows);
    for (int c = 0; ok && c < out->n_cols; c++) {
        bool nulls = false;
        for (size_t i = 0; i < n; i++)
            nulls |= part[i * stride].col[c].null != NULL;
        ok = table_add_col(out, c, part[0].col[c].name, part[0].col[c].type, nulls);
    }
    if (!ok)
        return err_set(e, E_ENV, ERR_mem_exhausted, "out of memory for the %zu rows of %s", rows, part[0].name);
    for (size_t i = 0; i < n; i++) {
        copy_rows(out, at, &part[i * stride]);
        at += part[i * stride].n_rows;
    }
    table_sort(out);
    return OK;
}

static Code chunk_keys(const Forward *f, size_t first, Table *out, Err *e)
{
    const size_t left = f->keys->n_rows - first;

    return batch_take(f->keys, NULL, first, left < f->chunk ? left : f->chunk, out, e);
}

static Code expect_chunk(Forward *f, size_t first, Err *e)
{
    Table keys = { 0 };
    Code rc = OK;

    if (f->ops->expect && first < f->keys->n_rows) {
        rc = chunk_keys(f, first, &keys, e);
        if (rc == OK) rc = f->ops->expect(f->local, &keys, e);
        table_free(&keys);
    }
    return rc;
}

static Code run_chunk(Forward *f, size_t first, Table *part, Err *e)
{
    Table keys = { 0 };
    Code rc = chunk_keys(f, first, &keys, e);

    if (rc == OK) rc = f->ops->batch(f->local, &keys, e);
    if (rc == OK) rc = expect_chunk(f, first + f->chunk, e);
    if (rc == OK) rc = f->ops->run(f->local, f->split.cross, f->split.n_cross, true, e);
    for (int k = 0; k < f->split.n_cross && rc == OK; k++)
        rc = f->ops->fetch(f->local, f->split.cross[k], true, &part[k], e);
    table_free(&keys);
    return rc;
}

/* The tables that cross, over all chunks: cross[n_cross]. */
static Code run_chunks(Forward *f, Table *cross, Err *e)
{
    const size_t n_chunks = (f->keys->n_rows + f->chunk - 1) / f->chunk, n = (size_t)f->split.n_cross;
    Table *part = mem_alloc(n_chunks * n * sizeof *part);
    Code rc = OK;

    for (size_t i = 0; i < n_chunks && rc == OK; i++)
        rc = run_chunk(f, i * f->chunk, &part[i * n], e);
    for (size_t k = 0; k < n && rc == OK; k++)
        rc = join_tables(&part[k], n_chunks, n, &cross[k], e);
    for (size_t i = 0; i < n_chunks * n; i++)
        table_free(&part[i]);
    mem_free(part);
    return rc;
}

static Block *target_in(const Prog *p, const Block *target)
{
    for (int k = p->n_blocks - 1; k >= 0; k--)
        if (!strcmp(p->block[k]->name, target->name))
            return p->block[k];
    BUG("%s is in neither part of the split program", target->name);
}

static Code run_targets(Forward *f, Engine *g, Block **target, Table *out, Err *e)
{
    Code rc = f->ops->run(g, target, f->n_targets, true, e);

    for (int k = 0; k < f->n_targets && rc == OK; k++)
        rc = f->ops->fetch(g, target[k], false, &out[k], e);
    return rc;
}

/* The program of the rest is opened once; its base tables are bound as they change. */
static Code open_global(Forward *f, Err *e)
{
    if (f->main)
        return OK;
    const Code rc = f->ops->open(&f->main, f->split.global, &f->eo, e);
    return rc != OK ? rc : bind_bases(f, f->main, f->split.global, true, e);
}

static Code run_global(Forward *f, const Table *cross, Table *out, Err *e)
{
    Block **target = mem_alloc((size_t)f->n_targets * sizeof *target);
    Code rc = open_global(f, e);

    for (int k = 0; k < f->n_targets; k++)
        target[k] = target_in(f->split.global, f->target[k]);
    for (int j = 0; j < f->split.n_cross && rc == OK; j++)
        rc = bind_named(f, f->main, f->split.global, f->split.cross[j]->name, &cross[j], e);
    if (rc == OK) rc = run_targets(f, f->main, target, out, e);
    mem_free(target);
    return rc;
}

Code forward_run(Forward *f, Table *out, Err *e)
{
    if (!f->chunked)
        return run_targets(f, f->main, (Block **)f->target, out, e);
    Table *cross = mem_alloc(((size_t)f->split.n_cross + 1) * sizeof *cross);
    Code rc = run_chunks(f, cross, e);
    if (rc == OK)
        rc = run_global(f, cross, out, e);      /* which keeps no table that it will not be given again */
    for (int k = 0; k < f->split.n_cross; k++)
        table_free(&cross[k]);
    mem_free(cross);
    return rc;
}

void forward_close(Forward *f)
{
    if (f->local)
        f->ops->close(f->local);
    if (f->main)
        f->ops->close(f->main);
    f->local = f->main = NULL;
}
