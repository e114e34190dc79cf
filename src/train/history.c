/* SPDX-License-Identifier: Apache-2.0
 *
 * history.c - losses and metrics of a run: kept in memory since the last checkpoint, written with it, so that
 * the history in the database never runs ahead of the parameters beside it. */
#include "train/train.h"

#include <math.h>
#include <time.h>

double clock_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Now, UTC, as SQLite's date functions read it. */
static const char *time_text(Arena *a)
{
    struct timespec now;
    struct tm tm;
    char s[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(s, sizeof s, "%Y-%m-%d %H:%M:%S", &tm);
    return arena_printf(a, "%s.%03ld", s, now.tv_nsec / 1000000);
}

void history_add(Checkpoint *k, int64_t epoch, int64_t step, const char *split, const char *name, double value)
{
    const HistoryRow h = { epoch, step, arena_strdup(&k->arena, split), arena_strdup(&k->arena, name), value,
                           time_text(&k->arena) };

    VEC_PUSH(&k->arena, k->history, k->n_history, h);
}

Code history_values(Db *db, int64_t run, const char *split, const char *name, Table *out, Err *e)
{
    Buf sql = { 0 };

    buf_printf(&sql, "SELECT value FROM sqlgrad_history WHERE run = %lld AND split = ", (long long)run);
    buf_text(&sql, split);
    buf_puts(&sql, " AND name = ");
    buf_text(&sql, name);
    buf_puts(&sql, " ORDER BY step");
    const Code rc = db_query(db, sql.s, out, e);
    buf_free(&sql);
    return rc;
}
