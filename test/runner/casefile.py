# SPDX-License-Identifier: Apache-2.0
""".case files: a list of small blocks, each

    # comment lines, if any
    kind key=value key="value with blanks"
    input lines, which may be empty
    ----
    expected lines, up to an empty line

Expected text that holds empty lines stands between `----` `----` pairs:

    ----
    ----
    text
    ----
    ----

A `setup` block holds SQL for the database of every case after it; the next `setup` replaces it.
"""
import re
import shlex
from dataclasses import dataclass, field

MARK = '----'


class CaseError(Exception):
    """The case file itself is wrong."""


@dataclass
class Case:
    file: str
    line: int                   # of the directive, from 1
    kind: str
    args: dict
    input: str
    expected: str               # without the last newline
    setup: str                  # SQL of the setup block in force, or ''
    expected_at: tuple          # (first, end) indexes into the file's lines, marks included
    variant: str = ''           # which line of a `-- for` list, see expand()
    features: set = field(default_factory=set)

    @property
    def where(self):
        return f'{self.file}:{self.line}' + (f'({self.variant})' if self.variant else '')


def split_args(words, where):
    args = {}
    for word in words:
        key, eq, value = word.partition('=')
        if not eq:
            raise CaseError(f'{where}: "{word}" is not key=value')
        args[key] = value
    return args


def read_block(lines, at, file):
    """Read the block whose directive is lines[at]: (kind, args, input, expected, expected_at, next)."""
    where = f'{file}:{at + 1}'
    try:
        words = shlex.split(lines[at])
    except ValueError as e:
        raise CaseError(f'{where}: {e}') from None
    mark = at + 1
    while mark < len(lines) and lines[mark] != MARK:
        mark += 1
    if mark == len(lines):
        raise CaseError(f'{where}: no ---- after this directive')
    first = end = mark + 1
    if lines[first:first + 1] == [MARK]:
        end = first + 1
        while lines[end:end + 2] != [MARK, MARK]:
            end += 1
            if end >= len(lines):
                raise CaseError(f'{where}: no closing ---- ---- after the expected text')
        expected = lines[first + 1:end]
        end += 2
    else:
        while end < len(lines) and lines[end] != '':
            end += 1
        expected = lines[first:end]
    args = split_args(words[1:], where)
    return words[0], args, '\n'.join(lines[at + 1:mark]) + '\n', '\n'.join(expected), (first, end), end


def expand(case):
    """A case whose input has lines `-- for NAME: TEXT` stands for one case per such line, in which
    {f} is TEXT and NAME is one of the features."""
    lines = case.input.split('\n')
    each = [m for m in (re.match(r'-- for ([\w.]+): (.*)', s) for s in lines) if m]
    if not each:
        return [case]
    rest = '\n'.join(s for s in lines if not s.startswith('-- for '))
    return [Case(case.file, case.line, case.kind, case.args, rest.replace('{f}', m[2]), case.expected,
                 case.setup, case.expected_at, m[1] + ' ' + m[2], case.features | {m[1]}) for m in each]


def read_cases(path, name):
    """All cases of a file, in order.  `name` is how the file is called in reports."""
    with open(path, encoding='utf-8') as f:
        lines = f.read().split('\n')
    cases, setup, at = [], '', 0
    while at < len(lines):
        if lines[at] == '' or lines[at].startswith('#'):
            at += 1
            continue
        kind, args, text, expected, span, after = read_block(lines, at, name)
        if kind == 'setup':
            setup = text
        else:
            features = set(filter(None, args.get('features', '').split(',')))
            cases += expand(Case(name, at + 1, kind, args, text, expected, setup, span, '', features))
        at = after
    return cases


def expected_lines(text):
    lines = text.split('\n') if text else []
    if '' in lines or lines[:1] == [MARK]:
        return [MARK] + lines + [MARK, MARK]
    return lines


def rewrite(path, changes):
    """Write new expected texts: changes is a list of (case, text)."""
    with open(path, encoding='utf-8') as f:
        lines = f.read().split('\n')
    for case, text in sorted(changes, key=lambda c: -c[0].line):
        first, end = case.expected_at
        lines[first:end] = expected_lines(text)
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines))
