# SPDX-License-Identifier: Apache-2.0
"""A folder, a database and a way to run commands for one case."""
import os
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.path.join(os.path.dirname(ROOT), 'shared', 'data')     # optional data sets beside the tree

SANITIZER_STATUS = 99
ENV = {
    'PATH': '/usr/local/bin:/usr/bin:/bin', 'LC_ALL': 'C.UTF-8', 'PYTHONDONTWRITEBYTECODE': '1', 'SQLGRAD_SHOW_IDS': '1',
    'SQLGRAD_CACHE': os.environ.get('SQLGRAD_CACHE') or os.path.join(ROOT, 'build', 'cc-cache'),
    **{name: os.environ[name] for name in ('SQLGRAD_CC',) if name in os.environ},
    'ASAN_OPTIONS': f'exitcode={SANITIZER_STATUS}:detect_leaks=1:allocator_may_return_null=1',
    'UBSAN_OPTIONS': f'exitcode={SANITIZER_STATUS}:halt_on_error=1:print_stacktrace=1',
    'LSAN_OPTIONS': f'exitcode={SANITIZER_STATUS}:suppressions={ROOT}/test/lsan.supp:print_suppressions=0',
}

ID = re.compile(r'^(.*(?:error|note): .*) \[([a-z0-9_]+(?:\.[a-z0-9_]+)+)\]$', re.M)


class Fail(Exception):
    """The case failed; the text says how."""


class Skip(Exception):
    """The case cannot run here; the text says why."""


class Result:
    """What a command left.  Error ids are taken out of stderr into `ids`."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out = argv, status, out
        self.ids = set(m[1] for m in ID.findall(err))
        self.err = ID.sub(r'\1', err)

    def describe(self):
        return f'$ {" ".join(self.argv)}\nstatus {self.status}\n{self.out[-3000:]}{self.err[-3000:]}'

    def crashed(self):
        return (self.status < 0 or self.status in (SANITIZER_STATUS, 128 + 6, 128 + 11, 128 + 8)
                or 'sqlgrad: bug at' in self.err)


def run_command(argv, cwd, timeout=120, env=None, **kw):
    try:
        p = subprocess.run(argv, cwd=cwd, env={**ENV, 'HOME': cwd, **(env or {})}, timeout=timeout,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)
    except subprocess.TimeoutExpired:
        raise Fail(f'$ {" ".join(argv)}\nno end after {timeout} s') from None
    r = Result(argv, p.returncode, p.stdout.decode('utf-8', 'replace'), p.stderr.decode('utf-8', 'replace'))
    if r.crashed():
        raise Fail('crashed: ' + r.describe())
    return r


def shuffle_tables(path, seed):
    """Insert the rows of every table anew, in another order."""
    rng = random.Random(seed)
    con = sqlite3.connect(path)
    for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
                                " AND name NOT LIKE 'sqlgrad%' ORDER BY name").fetchall():
        quoted = '"' + table.replace('"', '""') + '"'
        rows = con.execute(f'SELECT * FROM {quoted}').fetchall()
        if rows:
            rng.shuffle(rows)
            con.execute(f'DELETE FROM {quoted}')
            con.executemany(f'INSERT INTO {quoted} VALUES ({",".join("?" * len(rows[0]))})', rows)
    con.commit()
    con.close()


class SetupCache:
    """Databases made from setup texts, once each."""

    def __init__(self, folder):
        self.folder, self.lock, self.made = folder, threading.Lock(), {}

    def path(self, setup, shuffled):
        with self.lock:
            key = (setup, shuffled)
            if key not in self.made:
                path = os.path.join(self.folder, f'setup{len(self.made)}.db')
                self.make(path, setup, shuffled)
                self.made[key] = path
            return self.made[key]

    @staticmethod
    def make(path, setup, shuffled):
        con = sqlite3.connect(path)
        try:
            con.executescript(setup)
            con.execute('PRAGMA user_version = 1')      # a database file even without tables
            con.commit()
        except sqlite3.Error as e:
            raise Fail(f'setup: {e}') from None
        finally:
            con.close()
        if shuffled:
            shuffle_tables(path, shuffled)


class Scratch:
    """The folder of one case.  model.sql and data.db stand in it; commands run in it."""

    def __init__(self, settings, case):
        self.settings, self.case = settings, case
        self.folder = tempfile.mkdtemp(prefix='case-', dir=settings.folder)
        self.ids = set()

    def close(self, keep):
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, text):
        with open(os.path.join(self.folder, name), 'w', encoding='utf-8', newline='') as f:
            f.write(text)
        return name

    def database(self, name='data.db', shuffled=0):
        shutil.copyfile(self.settings.setups.path(self.case.setup, shuffled), os.path.join(self.folder, name))
        return name

    def sqlgrad(self, *args, env=None):
        r = run_command([self.settings.bin, *args], self.folder, self.timeout(), env)
        self.ids |= r.ids
        return r

    def shell(self, line):
        """One line of a transcript, by /bin/sh, with this build's sqlgrad found first."""
        env = {'PATH': self.settings.bin_dir + ':' + ENV['PATH'], 'ROOT': ROOT, 'SHARED': SHARED}
        r = run_command(['/bin/sh', '-c', line], self.folder, self.timeout(), env)
        self.ids |= r.ids
        return r

    def timeout(self):
        return float(self.case.args.get('timeout', 120))
