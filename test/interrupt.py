#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in the middle of a run, then --resume: the bits of a run left alone.  The signal is sent when a step's line
has been read; the run cannot have ended by then, since the rest of its lines do not fit into the pipe.  While it runs,
a second trainer on the same state is turned away.  `sqlgrad` is looked for in PATH."""
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile

MODEL = """
-- @data(batch = n)
CREATE TABLE xs (n INTEGER, i INTEGER, v REAL);
-- @param(init = normal(0, 1))
CREATE TABLE w (i INTEGER CHECK (i BETWEEN 0 AND 2), w REAL);
CREATE TABLE pred AS SELECT n, SUM(v * w) AS p FROM xs, w WHERE xs.i = w.i GROUP BY n;
-- @loss
CREATE TABLE loss AS SELECT AVG((p - 1.0) * (p - 1.0)) AS val FROM pred;
"""
STEPS, AT = 1800, 37            # 1800 lines of about 55 bytes; a pipe holds 65536, the reader 8192


def make(folder):
    with open(os.path.join(folder, 'model.sql'), 'w', encoding='utf-8') as f:
        f.write(MODEL)
    con = sqlite3.connect(os.path.join(folder, 'data.db'))
    con.execute('CREATE TABLE xs (n INTEGER, i INTEGER, v REAL)')
    con.executemany('INSERT INTO xs VALUES (?, ?, ?)', [(k // 3, k % 3, (k * 37 % 11 - 5) / 5) for k in range(36)])
    con.commit()
    con.close()


def command(state, engine, *more):
    return ['sqlgrad', 'train', 'model.sql', '--db', 'data.db', '--state', state, '--steps', str(STEPS), '--batch', '5',
            '--optimizer', 'adam', '--lr', '1e-3', '--seed', '4', '--engine', engine, '--json', *more]


def run(folder, words):
    return subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=300, check=False)


def bits(path):
    con = sqlite3.connect(path)
    rows = [r for q in ('SELECT i, w FROM w ORDER BY i', 'SELECT * FROM sqlgrad_state_w ORDER BY i',
                        'SELECT epoch, step, split, name, value FROM sqlgrad_history ORDER BY step',
                        'SELECT run, status, seed, epoch, step FROM sqlgrad_run') for r in con.execute(q)]
    con.close()
    return [tuple(struct.pack('<d', v) if isinstance(v, float) else v for v in r) for r in rows]


def interrupt(folder, state, engine, sig):
    """(status, steps in the checkpoint, status of a second trainer meanwhile)"""
    p = subprocess.Popen(command(state, engine), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    for _ in range(AT):
        p.stdout.readline()
    second = run(folder, command(state, engine, '--fresh')).returncode
    p.send_signal(sig)
    p.stdout.read()
    status = p.wait(timeout=300)
    con = sqlite3.connect(os.path.join(folder, state))
    found = con.execute('SELECT status, step FROM sqlgrad_run').fetchall()
    con.close()
    return status, found, second


def main():
    folder = tempfile.mkdtemp(prefix='sqlgrad-interrupt-')
    make(folder)
    try:
        for engine, sig in (('native', signal.SIGINT), ('native', signal.SIGTERM), ('sql', signal.SIGINT)):
            name = f'{engine} {sig.name}'
            whole, cut = f'whole-{name}.db', f'cut-{name}.db'
            run(folder, command(whole, engine))
            status, found, second = interrupt(folder, cut, engine, sig)
            between = len(found) == 1 and found[0][0] == 'interrupted' and AT <= found[0][1] < STEPS
            print(f'{name}: status {status}, {found[0][0] if between else found}; a second trainer: status {second}')
            again = run(folder, ['sqlgrad', 'train', 'model.sql', '--db', 'data.db', '--state', cut, '--resume', '--quiet'])
            same = bits(os.path.join(folder, whole)) == bits(os.path.join(folder, cut))
            print(f'{name}: resumed, status {again.returncode}: {"the same bits" if same else "OTHER BITS"}')
    finally:
        shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
