/* SPDX-License-Identifier: Apache-2.0
 *
 * train.h - recipes over engines: optimizers as data, batches, initial values, checkpoints, history. */
#ifndef SG_TRAIN_H
#define SG_TRAIN_H

#include "db/db.h"
#include "exec/engine.h"
#include "front/front.h"
#include "pass/pass.h"
#endif
