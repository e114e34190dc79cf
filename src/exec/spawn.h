/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.h - what starting another program takes: the C compiler (cc.c), Graphviz (dot.c). */
#ifndef SG_SPAWN_H
#define SG_SPAWN_H

#include "base/base.h"

#include <spawn.h>
#include <sys/types.h>

/* A process group of its own, and signals as a program expects them; the caller destroys it. */
void spawn_attr(posix_spawnattr_t *at);

typedef enum SpawnEnd { SPAWN_done, SPAWN_stopped, SPAWN_late } SpawnEnd;

/* Wait until the program ends; it is ended with all it started once *stop is set (NULL: never) or `seconds` are over. */
SpawnEnd spawn_wait(pid_t pid, double seconds, const volatile int *stop, int *status);

/* Have Graphviz's dot, or the program that $SQLGRAD_DOT names, draw `n` bytes of its language as `format` (svg, png, …). */
Code dot_draw(const char *text, size_t n, const char *format, const volatile int *stop, Buf *out, Err *e);
#endif
