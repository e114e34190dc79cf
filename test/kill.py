#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at many moments of a training run, at least ten of them inside a checkpoint and one before the
first.  After each, the state database must open and hold a complete checkpoint (or, before the first,
nothing), and --resume must end with the bits of the run that was left alone: parameters, optimizer state
and history.  Nothing of it all may change the data.  Prints `ok …` and `not ok …` lines."""
import argparse
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from runner.scratch import ENV, ROOT  # noqa: E402

# Two layers, mini-batches, an optimizer with two slots; enough numbers that a checkpoint takes a while.
MODEL = """
-- @data(batch = row)
CREATE TABLE xs (row INTEGER, i INTEGER, val REAL);
-- @data(batch = row)
CREATE TABLE ys (row INTEGER, val REAL);
-- @param(init = normal(0, 0.1))
CREATE TABLE w1 (i INTEGER CHECK (i BETWEEN 0 AND 9), j INTEGER CHECK (j BETWEEN 0 AND 399), w REAL);
-- @param(init = normal(0, 0.1))
CREATE TABLE w2 (j INTEGER CHECK (j BETWEEN 0 AND 399), w REAL);
CREATE TABLE hidden AS
  SELECT row, j, TANH(SUM(val * w)) AS val FROM xs, w1 WHERE xs.i = w1.i GROUP BY row, j;
CREATE TABLE out AS
  SELECT row, SUM(val * w) AS val FROM hidden, w2 WHERE hidden.j = w2.j GROUP BY row;
-- @loss
CREATE TABLE loss AS
  SELECT AVG((out.val - ys.val) * (out.val - ys.val)) AS val FROM out, ys WHERE out.row = ys.row;
"""
ROWS, BATCH, EPOCHS = 60, 10, 12        # 72 steps, a checkpoint after each
TRAIN = ['--epochs', str(EPOCHS), '--batch', str(BATCH), '--optimizer', 'adam', '--lr', '1e-2', '--seed', '3',
         '--checkpoint-every', '1', '--quiet']
TIMES = {'at', 'updated', 'started', 'pid', 'seconds'}      # columns that may differ between equal runs


def make_data(path):
    con = sqlite3.connect(path)
    con.execute('CREATE TABLE xs (row INTEGER, i INTEGER, val REAL)')
    con.execute('CREATE TABLE ys (row INTEGER, val REAL)')
    rng = random.Random(5)
    for r in range(ROWS):
        x = [rng.uniform(-1, 1) for _ in range(10)]
        con.executemany('INSERT INTO xs VALUES (?, ?, ?)', [(r, i, v) for i, v in enumerate(x)])
        con.execute('INSERT INTO ys VALUES (?, ?)', (r, x[0] * x[1] - x[2]))
    con.commit()
    con.close()


def bits(v):
    return struct.pack('<d', v) if isinstance(v, float) else v


def fingerprint(path):
    """{table: sorted rows} of everything a run leaves, numbers as their bits, without times."""
    con = sqlite3.connect(path)
    found = {}
    for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"):
        cursor = con.execute(f'SELECT * FROM "{table}"')
        keep = [i for i, d in enumerate(cursor.description) if d[0] not in TIMES]
        found[table] = sorted((tuple(bits(r[i]) for i in keep) for r in cursor), key=repr)
    con.close()
    return found


def differing(a, b):
    return [t for t in sorted(set(a) | set(b)) if a.get(t) != b.get(t)]


def inspect(folder, aside):
    """What a killed run left, looked at in a copy so that sqlgrad itself recovers the original.
    (steps in the newest checkpoint, or None before the first; was it inside a checkpoint; what is wrong)"""
    journals = [n for n in os.listdir(folder) if n.startswith('state.db-') and not n.endswith('-shm')]
    inside = any(os.path.getsize(os.path.join(folder, n)) > 0 for n in journals)
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(folder, aside)
    path = os.path.join(aside, 'state.db')
    if not os.path.exists(path):
        return None, inside, None
    con = sqlite3.connect(path)
    try:
        check = con.execute('PRAGMA integrity_check').fetchone()[0]
        if check != 'ok':
            return None, inside, f'integrity_check: {check}'
        tables = {r[0] for r in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        runs = con.execute('SELECT step FROM sqlgrad_run').fetchall() if 'sqlgrad_run' in tables else []
        if not runs:
            return None, inside, None
        for table, rows in (('w1', 4000), ('w2', 400)):
            n = con.execute(f'SELECT COUNT(w) FROM {table}').fetchone()[0] if table in tables else 0
            if n != rows:
                return runs[-1][0], inside, f'{table} has {n} of {rows} rows at step {runs[-1][0]}'
        return runs[-1][0], inside, None
    except sqlite3.Error as e:
        return None, inside, f'the state database does not open: {e}'
    finally:
        con.close()


class Killer:
    def __init__(self, binary, engine, top):
        self.binary, self.engine, self.top = binary, engine, top
        self.data, self.model = os.path.join(top, 'data.db'), os.path.join(top, 'model.sql')
        make_data(self.data)
        with open(self.data, 'rb') as f:
            self.untouched = f.read()
        with open(self.model, 'w', encoding='utf-8') as f:
            f.write(MODEL)

    def command(self, folder, *more):
        return [self.binary, 'train', self.model, '--db', self.data, '--state', os.path.join(folder, 'state.db'),
                '--engine', self.engine, *TRAIN, *more]

    def run(self, folder, *more):
        return subprocess.run(self.command(folder, *more), env=ENV, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)

    def data_changed(self):
        with open(self.data, 'rb') as f:
            return f.read() != self.untouched

    def kill_at(self, folder, when):
        """when: seconds after the start, or the number of the checkpoint to be caught inside (int)."""
        p = subprocess.Popen(self.command(folder), env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        if isinstance(when, int):
            self.wait_for_checkpoint(p, folder, when)
        else:
            time.sleep(when)
        p.send_signal(signal.SIGKILL)
        p.wait()

    @staticmethod
    def wait_for_checkpoint(p, folder, number):
        """Return while the number-th checkpoint after now is being written."""
        journal, seen, was = os.path.join(folder, 'state.db-journal'), 0, False
        end = time.monotonic() + 60
        while p.poll() is None and time.monotonic() < end:
            try:
                writing = os.stat(journal).st_size > 512
            except OSError:
                writing = False
            seen += writing and not was
            was = writing
            if writing and seen >= number:
                return


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--bin', default=os.path.join(ROOT, 'sqlgrad'))
    p.add_argument('--engine', default='native')
    p.add_argument('--kills', type=int, default=30)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--keep', action='store_true')
    o = p.parse_args()
    top = tempfile.mkdtemp(prefix='sqlgrad-kill-')
    k, rng = Killer(os.path.abspath(o.bin), o.engine, top), random.Random(o.seed)

    whole = os.path.join(top, 'whole')
    os.mkdir(whole)
    start = time.monotonic()
    r = k.run(whole)
    seconds = time.monotonic() - start
    if r.returncode != 0:
        print(f'not ok kill: the run left alone ends with status {r.returncode}: {r.stdout[-500:]!r}')
        return 1
    want = fingerprint(os.path.join(whole, 'state.db'))
    inside = before = faults = done = 0
    moments = [0.0] + [rng.randrange(1, 60) for _ in range(12)]
    moments += [rng.uniform(0, seconds) for _ in range(o.kills - len(moments))]
    while done < len(moments):
        when = moments[done]
        done += 1
        folder = os.path.join(top, f'kill{done}')
        os.mkdir(folder)
        k.kill_at(folder, when)
        step, caught, wrong = inspect(folder, os.path.join(top, 'aside'))
        inside, before = inside + caught, before + (step is None)
        if not wrong:
            r = k.run(folder, *(['--resume'] if step is not None else []))
            if r.returncode != 0:
                wrong = f'--resume ends with status {r.returncode}: {r.stdout[-500:]!r}'
            else:
                tables = differing(want, fingerprint(os.path.join(folder, 'state.db')))
                wrong = f'after --resume these tables differ: {", ".join(tables)}' if tables else None
        if wrong:
            faults += 1
            what = f'inside checkpoint {when}' if isinstance(when, int) else f'after {when:.3f} s'
            print(f'not ok kill {done} {what}, step {step}: {wrong}', flush=True)
        if not o.keep:
            shutil.rmtree(folder, ignore_errors=True)
        if done == len(moments) and inside < 10 and len(moments) < 3 * o.kills:
            moments.append(rng.randrange(1, 60))
    if inside < 10 or not before:
        faults += 1
        print(f'not ok kill: only {inside} kills inside a checkpoint, {before} before the first')
    if k.data_changed():
        faults += 1
        print('not ok kill: the data are not what they were')
    if not faults:
        print(f'ok kill -9 of {o.engine} at {done} moments, {inside} inside a checkpoint, {before} before the first')
    if o.keep:
        print(f'kept: {top}')
    else:
        shutil.rmtree(top, ignore_errors=True)
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
