# SPDX-License-Identifier: Apache-2.0
"""What the lists in the code demand of the cases.

The names come from `sqlgrad --list ops|aggs|joins|errors`, one a line, operators and aggregates with
their gradient letter ('y' a rule, '0' zero everywhere, '-' no REAL argument).
"""
from .scratch import run_command

CIRCUMSTANCES = ('ties', 'null', 'repeated', 'empty')


def listed(settings, what):
    r = run_command([settings.bin, '--list', what], settings.folder)
    return [line.split() for line in r.out.splitlines() if line.strip()] if r.status == 0 else []


def demanded_features(settings):
    """Names as the cases write them: op.exp, agg.max, join.left."""
    names = []
    for what, prefix in (('ops', 'op.'), ('aggs', 'agg.')):
        names += [prefix + w[0] for w in listed(settings, what) if len(w) > 1 and w[1] in 'y0']
    return names + ['join.' + w[0] for w in listed(settings, 'joins')]


def missing_features(settings, cases):
    """One line per operator, aggregate or join form for which a gradient case is missing."""
    grads = [c.features for c in cases if c.kind == 'grad']
    names = demanded_features(settings)
    problems = [] if names else ['sqlgrad --list ops prints nothing']
    for name in names:
        mine = [f for f in grads if name in f]
        absent = [x for x in CIRCUMSTANCES if not any(x in f for f in mine)]
        if not mine:
            problems.append(f'{name} has no grad case')
        elif absent:
            problems.append(f'{name} has no grad case with {", ".join(absent)}')
    known = set(names) | set(CIRCUMSTANCES)
    used = set().union(*grads) if grads else set()
    problems += [f'no such feature: {f}' for f in sorted(used)
                 if f.split('.')[0] in ('op', 'agg', 'join') and f not in known and names]
    return problems


def missing_errors(settings, seen):
    """Error ids that no passing case has shown."""
    names = [w[0] for w in listed(settings, 'errors')]
    problems = [] if names else ['sqlgrad --list errors prints nothing']
    return problems + [f'error id {name} has no case' for name in names if name not in seen]
