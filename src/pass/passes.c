/* SPDX-License-Identifier: Apache-2.0
 *
 * passes.c - the pipeline as a list.  Checking and skipping are written once, round the list. */
#include "pass/pass.h"

static void once(Prog *p, const PassOpts *o)      { (void)o; pass_once(p); }
static void slices(Prog *p, const PassOpts *o)    { (void)o; pass_slices(p); }
static void logsumexp(Prog *p, const PassOpts *o) { (void)o; pass_logsumexp(p); }
static void logistic(Prog *p, const PassOpts *o)  { (void)o; pass_logistic(p); }
static void leaveout(Prog *p, const PassOpts *o)  { (void)o; pass_leaveout(p); }
static void simplify(Prog *p, const PassOpts *o)  { (void)o; pass_simplify(p); }
static void fuse(Prog *p, const PassOpts *o)      { (void)o; pass_fuse(p); }
static void cse(Prog *p, const PassOpts *o)       { (void)o; pass_cse(p); }
static void prune(Prog *p, const PassOpts *o)     { pass_prune(p, o->keep, o->n_keep); }

static const struct { const char *name; PassStage stage; void (*run)(Prog *, const PassOpts *); } passes[] = {
    { "once",      PASS_forward, once      },
    { "slices",    PASS_forward, slices    },
    { "logsumexp", PASS_forward, logsumexp },
    { "logistic",  PASS_forward, logistic  },
    { "leaveout",  PASS_forward, leaveout  },
    /* pass_grad stands here */
    { "simplify",  PASS_whole,   simplify  },
    { "fuse",      PASS_whole,   fuse      },
    { "cse",       PASS_whole,   cse       },
    { "prune",     PASS_whole,   prune     },      /* last: fuse and cse make blocks dead */
};

int pass_count(void)
{
    return (int)COUNT_OF(passes);
}

const char *pass_name(int k)
{
    return passes[k].name;
}

void run_passes(Prog *p, PassStage stage, const PassOpts *o)
{
    for (int k = 0; k < (int)COUNT_OF(passes); k++) {
        if (passes[k].stage != stage || o->skip & 1u << k)
            continue;                               /* --no-pass=NAME */
        passes[k].run(p, o);
        prog_analyse(p);
        if (o->verify)
            ir_verify(p, passes[k].name);
        if (o->after)
            o->after(o->arg, p, passes[k].name);
    }
}
