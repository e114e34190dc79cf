/* SPDX-License-Identifier: Apache-2.0
 *
 * pg.h - the only place that includes libpg_query: PostgreSQL's parser and its trees as protobuf-c
 * structures.  Shared by the files of the front, never included outside it. */
#ifndef SG_PG_H
#define SG_PG_H

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#endif
