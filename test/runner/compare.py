# SPDX-License-Identifier: Apache-2.0
"""Rows, numbers and texts.  Rows print as `a|b|c`, NULL as NULL, REAL as %.17g."""
import difflib
import json
import math
import re

NUMBER = re.compile(r'(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?!\w)')
SECONDS = re.compile(r'("\w*seconds\w*": ?)[-+.\deE]+')


def cell(v):
    if v is None:
        return 'NULL'
    if isinstance(v, bool):
        return str(int(v))
    if isinstance(v, float):
        return f'{v:.17g}'
    return str(v).replace('\\', '\\\\').replace('|', '\\|').replace('\n', '\\n')


def row_text(row):
    return '|'.join(cell(v) for v in row)


def parse_json_rows(text):
    """--json output: the rows of each table, in order, {table: [[value, …], …]}, and its columns."""
    rows, columns = {}, {}
    for line in text.splitlines():
        obj = json.loads(line)
        if 'table' not in obj:
            continue
        table = obj.pop('table')
        rows.setdefault(table, []).append(list(obj.values()))
        columns[table] = list(obj.keys())
    return rows, columns


def parse_rows(text):
    """The expected form back to values."""
    return [[parse_cell(s) for s in re.split(r'(?<!\\)\|', line)] for line in text.split('\n') if text]


def parse_cell(s):
    if s == 'NULL':
        return None
    try:
        return int(s)
    except ValueError:
        pass
    try:
        return float(s)
    except ValueError:
        return s.replace('\\n', '\n').replace('\\|', '|').replace('\\\\', '\\')


def is_number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def close(a, b, rtol, scale):
    """Equal to rtol of the larger of the two, or of `scale`, the largest entry of their column."""
    if a == b:
        return True
    if not (math.isfinite(a) and math.isfinite(b)):
        return False
    return abs(a - b) <= rtol * max(abs(a), abs(b), scale)


def sort_key(row):
    """For comparing bags: keys first, then values, rounded so that a last digit moves nothing."""
    return ([(v is not None, str(type(v)), v) for v in row if not isinstance(v, float) and v is not None],
            [float(f'{v:.6g}') for v in row if isinstance(v, float)])


def rows_differ(want, got, rtol, any_order=False):
    """None if equal, else what is wrong in one line."""
    if len(want) != len(got):
        return f'{len(got)} rows, expected {len(want)}'
    if any_order:
        try:
            want, got = sorted(want, key=sort_key), sorted(got, key=sort_key)
        except TypeError:
            want, got = sorted(want, key=row_text), sorted(got, key=row_text)
    width = max((len(r) for r in want), default=0)
    scale = [max((abs(r[c]) for r in want if c < len(r) and isinstance(r[c], float) and math.isfinite(r[c])),
                 default=0.0) for c in range(width)]
    for w, g in zip(want, got):
        if len(w) != len(g):
            return f'row {row_text(g)}: {len(g)} columns, expected {len(w)}'
        for c, (x, y) in enumerate(zip(w, g)):
            if is_number(x) and is_number(y):
                same = close(x, y, rtol, scale[c])
            else:
                same = type(x) is type(y) and x == y
            if not same:
                return f'row {row_text(g)}\nexpected {row_text(w)}'
    return None


def line_matches(want, got, rtol):
    """Equal but for numbers, which agree to rtol, and for `{*}`, which stands for any text."""
    if want == got:
        return True
    if '{*}' not in want and rtol is None:
        return False
    number = f'({NUMBER.pattern})'
    pieces = ['.*'.join(re.escape(s) for s in text.split('{*}')) for text in
              (NUMBER.split(want) if rtol is not None else [want])]
    m = re.fullmatch(number.join(pieces), got)
    return m is not None and all(close(float(x), float(y), rtol, 0.0)
                                 for x, y in zip(NUMBER.findall(want) if rtol is not None else [], m.groups()))


def text_matches(want, got, rtol=None):
    """Line by line; a line `...` stands for any number of lines."""
    w, g = want.split('\n'), got.split('\n')

    def match(i, j):
        while i < len(w):
            if w[i] == '...':
                return any(match(i + 1, k) for k in range(j, len(g) + 1))
            if j == len(g) or not line_matches(w[i], g[j], rtol):
                return False
            i, j = i + 1, j + 1
        return j == len(g)
    return match(0, 0)


def diff(want, got):
    return '\n'.join(difflib.unified_diff(want.split('\n'), got.split('\n'), 'expected', 'found', lineterm='', n=2))
