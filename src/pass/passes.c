/* SPDX-License-Identifier: Apache-2.0
 *
 * passes.c - the pipeline between differentiation and the engines, as a list.  Checking and skipping are
 * written once, round the list. */
#include "pass/pass.h"

static void prune(Prog *p, const PassOpts *o)    { pass_prune(p, o->keep, o->n_keep); }
static void simplify(Prog *p, const PassOpts *o) { (void)o; pass_simplify(p); }
static void fuse(Prog *p, const PassOpts *o)     { (void)o; pass_fuse(p); }
static void cse(Prog *p, const PassOpts *o)      { (void)o; pass_cse(p); }

static const struct { const char *name; void (*run)(Prog *, const PassOpts *); } passes[] = {
    { "simplify", simplify },
    { "fuse",     fuse     },
    { "cse",      cse      },       /* fuse and cse before prune: they make blocks dead */
    { "prune",    prune    },
};

int pass_count(void)
{
    return (int)COUNT_OF(passes);
}

const char *pass_name(int k)
{
    return passes[k].name;
}

void run_passes(Prog *p, const PassOpts *o)
{
    for (int k = 0; k < (int)COUNT_OF(passes); k++) {
        if (o->skip & 1u << k)
            continue;                               /* --no-pass=NAME */
        passes[k].run(p, o);
        prog_analyse(p);
        if (o->verify)
            ir_verify(p, passes[k].name);
    }
}
