#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Broken and hostile input, meant for the sanitized build.

  models     the models of models/ and of the cases, each with a token removed, doubled or swapped
  statements of 10 MB, expressions of 100,000 terms, deep nesting, long lists
  databases  truncated, with bytes changed, or no database at all
  files      truncated and corrupted data files for every importer

Every command must end with status 0 or 1, without a fault, and leave the database as it was byte for
byte; a failed import leaves no table behind.  Prints `ok …` and `not ok …` lines.  The seed is fixed;
--only NAME runs one input again, --keep leaves the folders.
"""
import argparse
import concurrent.futures
import glob
import gzip
import hashlib
import os
import random
import re
import shutil
import sqlite3
import struct
import sys
import tempfile
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from runner.casefile import read_cases  # noqa: E402
from runner.scratch import ROOT, Fail, SetupCache, run_command  # noqa: E402

TOKEN = re.compile(r"\s+|--[^\n]*|'(?:''|[^'])*'|\"[^\"]*\"|\w+(?:\.\d+)?|<=|>=|<>|==|\|\||.", re.S)
FUNCTIONS = 'SUM AVG MIN MAX COUNT EXP LN LOG SQRT SIN COS TAN TANH ATAN ABS SIGN FLOOR CEIL'.split()
RUN = ['run', 'MODEL', '--db', 'DB', '--json', '--memory', '1000']
COMMANDS = (RUN, RUN + ['--engine', 'sql'], ['explain', 'MODEL', '--db', 'DB', '--stage', 'bind'],
            ['explain', 'MODEL', '--db', 'DB', '--stage', 'opt'],
            ['emit', 'MODEL', '--db', 'DB', '--dialect', 'sqlite'])


def put_in(words):
    return [{'MODEL': 'model.sql', 'DB': 'data.db'}.get(w, w) for w in words]


class Input:
    """One hostile input: files to write, the command, and what to look at afterwards."""

    def __init__(self, name, argv, files, setup=None, fresh=None, allowed=(0, 1)):
        self.name, self.argv, self.files, self.allowed = name, argv, files, allowed
        self.setup, self.fresh = setup, fresh       # SQL of DB; or the name of a database the command makes


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).digest()


def tables_in(path):
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return []
    con = sqlite3.connect(path)
    try:
        return [r[0] for r in con.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    finally:
        con.close()


def run_input(settings, item):
    """None, or what is wrong; and the exit status."""
    folder = tempfile.mkdtemp(prefix='mutate-', dir=settings.folder)
    try:
        for name, content in item.files.items():
            with open(os.path.join(folder, name), 'wb') as f:
                f.write(content)
        db = os.path.join(folder, 'data.db')
        if item.setup is not None:
            shutil.copyfile(settings.setups.path(item.setup, 0), db)
        before = digest(db) if os.path.exists(db) else None
        r = run_command([settings.bin, *item.argv], folder, settings.timeout)
        if r.status not in item.allowed:
            return r.describe(), r.status
        if before and digest(db) != before:
            return 'the database file changed\n' + r.describe(), r.status
        if os.path.exists(db + '-journal') or os.path.exists(db + '-wal'):
            return 'a journal was left\n' + r.describe(), r.status
        if item.fresh and r.status == 1 and tables_in(os.path.join(folder, item.fresh)):
            return 'the failed import left tables behind\n' + r.describe(), r.status
        return None, r.status
    except Fail as e:
        return str(e), -1
    finally:
        if not settings.keep:
            shutil.rmtree(folder, ignore_errors=True)


# ---- models ----

def data_tables(text):
    """A few rows for each data table that a model file declares."""
    setup = ''
    for before, name, columns in re.findall(r'([^\n]*)\nCREATE TABLE (\w+) \(([^;]*)\);', text):
        if '@param' in before or '@range' in before or 'CHECK' in columns:
            continue
        names = [c.split() for c in columns.split(',')]
        setup += f'CREATE TABLE {name} ({columns});\n'
        for row in range(3):
            cells = (str(row + 0.5) if t.upper() == 'REAL' else str(row) if t.upper() == 'INTEGER' else "'a'"
                     for _, t, *_ in names)
            setup += f'INSERT INTO {name} VALUES ({", ".join(cells)});\n'
    return setup


def model_texts():
    """(name, database, text) of every model there is."""
    for path in sorted(glob.glob(os.path.join(ROOT, 'models', '*.sql'))):
        with open(path, encoding='utf-8') as f:
            text = f.read()
        yield os.path.basename(path), data_tables(text), text
    for path in sorted(glob.glob(os.path.join(ROOT, 'test', 'cases', '**', '*.case'), recursive=True)):
        for case in read_cases(path, os.path.relpath(path, ROOT)):
            if case.kind in ('diff', 'grad', 'explain', 'error', 'note', 'roundtrip'):
                yield case.where, case.setup, case.input


def token_class(t):
    """Tokens that may often stand for each other; keywords are written in capitals."""
    if t[0].isalpha() or t[0] == '_':
        return 'function' if t in FUNCTIONS else 'keyword' if t.isupper() and len(t) > 1 else 'name'
    return 'number' if t[0].isdigit() else 'operator' if t[0] in '+-*/%<>=' else t


def mutate(rng, text):
    """The text with one token removed, doubled or swapped with another, often with one of its kind."""
    tokens = TOKEN.findall(text)
    words = [i for i, t in enumerate(tokens) if not t.isspace() and not re.match(r'--(?! *@)', t)]
    what = rng.choice(('remove', 'double', 'swap', 'alike', 'alike'))
    if what == 'alike':         # names with names, operators with operators: more often a model still
        kind = rng.choice(('name', 'number', 'operator', 'function'))
        words = [k for k in words if token_class(tokens[k]) == kind]
    if len(words) < 2:
        return text
    i, j = rng.sample(words, 2)
    if what == 'remove':
        tokens[i] = ''
    elif what == 'double':
        tokens[i] = tokens[i] + ' ' + tokens[i]
    else:
        tokens[i], tokens[j] = tokens[j], tokens[i]
    return ''.join(tokens)


def mutated_models(n):
    texts = list(model_texts())
    rng = random.Random(1)
    for k in range(n):
        name, setup, text = rng.choice(texts)
        text = mutate(rng, text)
        yield Input(f'model {k} ({name})', put_in(COMMANDS[k % len(COMMANDS)]), {'model.sql': text.encode()}, setup)


# ---- statements ----

T_SETUP = """CREATE TABLE t (id INTEGER, k TEXT, x REAL);
INSERT INTO t VALUES (1, 'a', 0.5), (2, 'b', NULL), (3, 'a', 2.0);
CREATE TABLE u (id INTEGER, y REAL);
INSERT INTO u VALUES (1, 1.5), (2, 2.5);
"""


def long_statements():
    n, big = 100000, 10 * 1000 * 1000
    make = 'CREATE TABLE a AS SELECT '
    yield 'string of 10 MB', make + "'" + 'x' * big + "' AS k FROM t;"
    yield 'identifier of 10 MB', make + 'x' * big + ' FROM t;'
    yield 'comment of 10 MB', '-- ' + 'x' * big + '\n' + make + 'x FROM t;'
    yield 'directive of 10 MB', '-- @loss ' + 'x' * big + '\n' + make + 'x FROM t;'
    yield 'number of 10 MB', make + '1' * big + ' AS z FROM t;'
    yield 'blanks of 10 MB', make + ' ' * big + 'x FROM t;'
    yield 'lines of 10 MB', make + '\n' * big + 'nope FROM t;'
    yield 'one statement of 10 MB', make + ', '.join(f'x * {k}.5 AS x{k}' for k in range(500000)) + ' FROM t;'
    yield '100,000 terms', make + ' + '.join(['x'] * n) + ' AS y FROM t;'
    yield '100,000 factors', make + 'SUM(' + ' * '.join(['x'] * n) + ') AS y FROM t;'
    yield '100,000 terms with parentheses', make + '(x + ' * n + 'x' + ')' * n + ' AS y FROM t;'
    yield '100,000 nested calls', make + 'ABS(' * n + 'x' + ')' * n + ' AS y FROM t;'
    yield '100,000 nested NOT', make + 'id FROM t WHERE ' + 'NOT ' * n + 'id = 1;'
    yield '100,000 minus signs', make + '- ' * n + 'x AS y FROM t;'
    yield '100,000 conditions', make + 'id FROM t WHERE ' + ' AND '.join(['id > 0'] * n) + ';'
    yield '100,000 alternatives', make + 'id FROM t WHERE ' + ' OR '.join(['id = 5'] * n) + ';'
    yield '100,000 in a list', make + 'id FROM t WHERE id IN (' + ','.join(map(str, range(n))) + ');'
    yield '100,000 CASE branches', make + 'CASE ' + 'WHEN id = 1 THEN x ' * n + 'END AS y FROM t;'
    yield '100,000 COALESCE arguments', make + 'COALESCE(' + ','.join(['x'] * n) + ') AS y FROM t;'
    yield '100,000 MAX arguments', make + 'MAX(' + ','.join(['x'] * n) + ') AS y FROM t;'
    yield '100,000 columns', make + ','.join(f'x AS c{k}' for k in range(n)) + ' FROM t;'
    yield '10,000 branches', make + 'x FROM t' + ' UNION ALL SELECT x FROM t' * 10000 + ';'
    yield '1,000 joins', make + 't0.x FROM ' + ', '.join(f't AS t{k}' for k in range(1000)) + ';'
    yield '40 joins without a condition', make + 't0.x FROM ' + ', '.join(f't AS t{k}' for k in range(40)) + ';'
    yield '3,000 subqueries', make + 'x FROM ' + '(SELECT x FROM ' * 3000 + 't' + ') AS s' * 3000 + ';'
    yield '10,000 statements', ''.join(f'CREATE TABLE a{k} AS SELECT id, x FROM '
                                       f'{"t" if k == 0 else f"a{k - 1}"};\n' for k in range(10000))
    yield '100,000 semicolons', ';' * n + make + 'x FROM t;'
    yield '100,000 grouping columns', make + 'SUM(x) AS s FROM t GROUP BY ' + ','.join(['id'] * n) + ';'
    yield '100,000 CHECKs', '-- @param\nCREATE TABLE p (' + 'i INTEGER ' + 'CHECK (i > 0) ' * n + ', w REAL);'
    yield 'a shape of 10^18 rows', ('-- @param\nCREATE TABLE p (i INTEGER CHECK (i BETWEEN 0 AND 999999999), '
                                   'j INTEGER CHECK (j BETWEEN 0 AND 999999999), w REAL);\n-- @loss\n'
                                   'CREATE TABLE l AS SELECT SUM(w) AS val FROM p;')
    yield 'a NUL byte', make + 'x\0 FROM t;'
    yield 'no UTF-8', make + 'x AS \udcff\udcfe FROM t;'
    yield 'nothing', ''


def hostile_statements():
    for name, text in long_statements():
        data = text.encode('utf-8', 'surrogateescape')
        if 'without a condition' in name:       # 3^40 rows: native says so; SQLite would try
            yield Input(f'run: {name}', put_in(RUN), {'model.sql': data}, T_SETUP, allowed=(3,))
            continue
        for argv in (put_in(RUN), put_in(RUN + ['--engine', 'sql']), put_in(['explain', 'MODEL', '--db', 'DB', '--stage', 'opt'])):
            yield Input(f'{argv[0]} {argv[-1]}: {name}', argv, {'model.sql': data}, T_SETUP)


# ---- databases ----

def database_bytes(settings, setup):
    with open(settings.setups.path(setup, 0), 'rb') as f:
        return f.read()


def hostile_databases(settings):
    model = b'CREATE TABLE a AS SELECT t.id, k, SUM(x * y) AS s FROM t, u WHERE t.id = u.id GROUP BY t.id, k;\n'
    rows = ''.join(f"INSERT INTO t VALUES ({k}, 'key {k}', {k}.5);\n" for k in range(10, 400))
    good, rng = database_bytes(settings, T_SETUP + rows), random.Random(2)
    bad = {'empty file': b'', 'text file': b'hello, world\n' * 1000, 'only a header': good[:100], 'zeros': bytes(8192),
           'random bytes': rng.randbytes(8192), 'header, then random bytes': good[:100] + rng.randbytes(8000)}
    for k in range(20):
        n = rng.randrange(1, len(good))
        bad[f'cut to {n} bytes'] = good[:n]
    for k in range(60):
        data = bytearray(good)
        for _ in range(rng.choice((1, 2, 10, 100))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        bad[f'changed bytes {k}'] = bytes(data)
    for name, data in bad.items():
        for engine in ('native', 'sql'):
            yield Input(f'database: {name} ({engine})',
                        put_in(RUN + ['--engine', engine]),
                        {'model.sql': model, 'data.db': data})
    for name, setup in hostile_schemas():
        yield Input(f'database: {name}', put_in(RUN),
                    {'model.sql': b'CREATE TABLE a AS SELECT x FROM t;\n'}, setup)


def hostile_schemas():
    yield 'view without end', ('CREATE VIEW t AS WITH RECURSIVE r(x) AS (SELECT 1.0 UNION ALL SELECT x + 1 FROM r) '
                               'SELECT x FROM r LIMIT 1000000;')
    yield 'view on itself', 'CREATE VIEW t AS SELECT x FROM v; CREATE VIEW v AS SELECT x FROM t;'
    yield 'packed table that is no blob', ('CREATE TABLE sqlgrad_packed (a, b, c, d, e, f); '
                                           'INSERT INTO sqlgrad_packed VALUES (1, 2, 3, 4, 5, 6); CREATE TABLE t (x REAL);')
    yield 'blob values', "CREATE TABLE t (x REAL); INSERT INTO t VALUES (x'00ff'), (1.0);"
    yield 'mixed types', "CREATE TABLE t (x); INSERT INTO t VALUES (1), ('a'), (2.5), (NULL), (x'01');"
    yield 'infinities', 'CREATE TABLE t (x REAL); INSERT INTO t VALUES (9e999), (-9e999), (1e308), (5e-324);'
    yield 'no columns left', 'CREATE TABLE t ("" REAL, x REAL);'
    yield 'same name twice', 'CREATE TABLE t ("x" REAL); CREATE TABLE "T " (x REAL);'


# ---- data files ----

def idx_file(*dims):
    n = 1
    for d in dims:
        n *= d
    return struct.pack('>HBB', 0, 8, len(dims)) + b''.join(struct.pack('>I', d) for d in dims) + bytes(
        (7 * k) % 256 for k in range(n))


def png_file(cols, rows):
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    pixels = b''.join(bytes([k % 5]) + bytes((k * c) % 256 for c in range(3 * cols)) for k in range(rows))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', cols, rows, 8, 2, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(pixels)) + chunk(b'IEND', b''))


def npy_file(*dims):
    n = 1
    for d in dims:
        n *= d
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': %s, }\n" % str(dims).encode()
    return b'\x93NUMPY\1\0' + struct.pack('<H', len(head)) + head + struct.pack(f'<{n}d', *range(n))


def hostile_files():
    images, labels, rng = idx_file(3, 4, 4), idx_file(3), random.Random(3)
    cifar = b''.join(bytes([k]) + bytes((k + i) % 256 for i in range(3072)) for k in range(2))
    csv = b'id,name,x\n' + b''.join(b'%d,"n, %d",%d.5\n' % (k, k, k) for k in range(50))
    whole = {'idx': {'i': images, 'l': labels}, 'idx gzip': {'i': gzip.compress(images, mtime=0), 'l': labels},
             'cifar10': {'b': cifar}, 'csv': {'c.csv': csv},
             'image PNG': {'a.png': png_file(7, 5)}, 'image PPM': {'a.ppm': b'P6 5 3 255\n' + bytes(range(45))},
             'image plain PGM': {'a.pgm': b'P2\n# grey\n4 3\n15\n' + b' '.join(b'%d' % k for k in range(12))},
             'text': {'a.txt': 'Zürich, 12 °C\n'.encode() * 9}, 'npy': {'a.npy': npy_file(4, 6)}}
    for name, files in whole.items():
        argv = ['import', name.split()[0], *files, '--db', 'new.db', '--table', 't']
        argv += ['--labels', 'l'] if name not in ('csv', 'npy') else []
        first = next(iter(files))
        yield Input(f'import {name}: whole', argv, files, fresh='new.db')
        for k in range(12):
            data = files[first][:rng.randrange(len(files[first]))]
            yield Input(f'import {name}: cut to {len(data)}', argv, {**files, first: data}, fresh='new.db')
        for k in range(25):
            data = bytearray(files[first])
            for _ in range(rng.choice((1, 3, 30))):
                data[rng.randrange(min(len(data), 64) if k % 2 else len(data))] = rng.randrange(256)
            yield Input(f'import {name}: changed bytes {k}', argv, {**files, first: bytes(data)}, fresh='new.db')
        yield Input(f'import {name}: file missing', argv, {}, fresh='new.db')
    bomb = gzip.compress(idx_file(1) + bytes(200 * 1000 * 1000), mtime=0)
    yield Input('import idx gzip: 200 MB from 200 kB', ['import', 'idx', 'i', '--db', 'new.db', '--table', 't'],
                {'i': bomb}, fresh='new.db')
    yield Input('import csv: 100,000 columns', ['import', 'csv', 'c.csv', '--db', 'new.db', '--table', 't'],
                {'c.csv': b','.join(b'c%d' % k for k in range(100000)) + b'\n'}, fresh='new.db')


# ---- all of it ----

def report(settings, title, items):
    """Run a group of inputs; one line for the group, or one for each fault."""
    if settings.only:
        items = [i for i in items if settings.only in i.name]
    items = list(items)
    if not items:
        return 0
    with concurrent.futures.ThreadPoolExecutor(settings.jobs) as pool:
        results = list(pool.map(lambda item: run_input(settings, item), items))
    faults = 0
    for item, (wrong, _) in zip(items, results):
        if wrong:
            faults += 1
            print(f'not ok {item.name.replace(":", ",")}: {wrong[:1500]!r}', flush=True)
    accepted = sum(1 for _, status in results if status == 0)
    if not faults:
        print(f'ok {title} ({len(items)}, {accepted} accepted)', flush=True)
    return faults


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--bin', default=os.path.join(ROOT, 'build', 'asan', 'sqlgrad'))
    p.add_argument('-n', type=int, default=1000, help='mutated models')
    p.add_argument('--jobs', type=int, default=2)
    p.add_argument('--timeout', type=float, default=120)
    p.add_argument('--only', help='only inputs whose name holds this')
    p.add_argument('--keep', action='store_true')
    settings = p.parse_args()
    settings.bin = os.path.abspath(settings.bin)
    settings.folder = tempfile.mkdtemp(prefix='sqlgrad-mutate-')
    settings.setups = SetupCache(settings.folder)
    faults = report(settings, 'mutated models', mutated_models(settings.n))
    faults += report(settings, 'hostile statements', hostile_statements())
    faults += report(settings, 'hostile databases', hostile_databases(settings))
    faults += report(settings, 'hostile data files', hostile_files())
    if settings.keep:
        print(f'kept: {settings.folder}')
    else:
        shutil.rmtree(settings.folder, ignore_errors=True)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
