/* SPDX-License-Identifier: Apache-2.0
 *
 * slices.c - a UNION ALL is read only where it can answer (ir/narrow.c).
 *   needs   prog_analyse (Col.constant)
 *   keeps   every relation, row for row
 *   leaves  unions of fewer parts, and readers of one part's table; prune removes what nobody reads */
#include "pass/pass.h"

void pass_slices(Prog *p)
{
    Cuts cuts = { 0 };

    prog_narrow(p, 0, false, &cuts);
    prog_drop_passed(p);
}
