# SPDX-License-Identifier: Apache-2.0
"""The command line, the order of things, the summary."""
import argparse
import collections
import concurrent.futures
import glob
import os
import shutil
import tempfile
import time

from . import coverage, suites
from .casefile import CaseError, read_cases, rewrite
from .kinds import KINDS
from .scratch import ROOT, Fail, Scratch, SetupCache, Skip

Outcome = collections.namedtuple('Outcome', 'case state text found ids seconds')     # state: passed failed skipped


def parse_command_line(argv):
    p = argparse.ArgumentParser(prog='test/run', description='Runs test/cases and the other tests.')
    p.add_argument('what', nargs='*', help='case files, FILE:LINE for one case, or folders; default: everything')
    p.add_argument('--rewrite', action='store_true', help='write what is found as expected text')
    p.add_argument('--keep', action='store_true', help='keep the scratch folders, and say where')
    p.add_argument('-j', type=int, default=2, metavar='N', help='cases at a time (2)')
    p.add_argument('--engine', choices=('native', 'sql'), help='only this engine in diff and grad cases')
    p.add_argument('--bin', default='sqlgrad', metavar='PATH', help='the command under test (./sqlgrad)')
    p.add_argument('--quick', action='store_true', help='the inner loop: no shuffles, no slow=yes cases, no oracles')
    p.add_argument('--all', action='store_true', help='also random models and loops, mutated inputs and kill -9')
    p.add_argument('--asan', metavar='PATH', help='the sanitized command, for the mutated inputs')
    p.add_argument('--seconds', action='store_true', help='print the slowest cases')
    o = p.parse_args(argv)
    o.bin = os.path.abspath(o.bin if os.sep in o.bin else os.path.join(ROOT, o.bin))
    o.asan = os.path.abspath(o.asan) if o.asan else None
    return o


def find_cases(what):
    """(all cases of the named files, path of each file), only the case that holds LINE for FILE:LINE."""
    everything = os.path.join(ROOT, 'test', 'cases')
    cases, paths = [], {}
    for word in what or [everything]:
        path, _, line = word.partition(':')
        files = sorted(glob.glob(os.path.join(path, '**', '*.case'), recursive=True)) if os.path.isdir(path) else [path]
        for name in files:
            shown = os.path.relpath(name, ROOT)
            paths[shown] = name
            found = read_cases(name, shown)
            if line:
                at = max((c.line for c in found if c.line <= int(line)), default=0)
                found = [c for c in found if c.line == at]
            cases += found
    return cases, paths


def run_case(settings, case):
    start = time.monotonic()
    scratch = Scratch(settings, case)
    state, text, found = 'passed', None, None
    try:
        if case.kind not in KINDS:
            raise Fail(f'unknown kind "{case.kind}"; {", ".join(KINDS)}')
        if settings.quick and (case.args.get('slow') or case.kind == 'oracle'):
            raise Skip('left out by --quick')
        do, compare = KINDS[case.kind]
        found = do(scratch, case)
        text = compare(case, found)
        state = 'failed' if text else 'passed'
    except Skip as e:
        state, text = 'skipped', str(e)
    except Fail as e:
        state, text = 'failed', str(e)
    except Exception as e:      # a fault of the runner or unreadable output: this case's failure, not the end
        state, text = 'failed', f'{type(e).__name__}: {e}'
    if settings.keep:
        text = (text or '') + f'\nkept: {scratch.folder}'
        print(f'{case.where}: {scratch.folder}')
    scratch.close(settings.keep)
    return Outcome(case, state, text, found, scratch.ids, time.monotonic() - start)


def run_cases(settings, cases):
    with concurrent.futures.ThreadPoolExecutor(max(1, settings.j)) as pool:
        for outcome in pool.map(lambda c: run_case(settings, c), cases):
            if outcome.state == 'failed' and not settings.rewrite:
                print(f'FAIL {outcome.case.where}: {outcome.case.kind}\n{indent(outcome.text)}', flush=True)
            yield outcome


def indent(text):
    return '\n'.join('    ' + line for line in text.rstrip('\n').split('\n'))


def write_back(outcomes, paths):
    """--rewrite: the expected texts of failing cases become what was found."""
    changed = collections.defaultdict(list)
    for o in outcomes:
        if o.state == 'failed' and o.found is not None:
            changed[o.case.file].append((o.case, o.found))
        elif o.state == 'failed':
            print(f'not rewritten: {o.case.where}\n{indent(o.text)}')
    for name, changes in changed.items():
        changes = list({c.line: (c, text) for c, text in changes}.values())
        rewrite(paths[name], changes)
        print(f'{name}: {len(changes)} rewritten')


class Count:
    """Passed, failed, skipped, and the reasons for skipping."""

    def __init__(self):
        self.passed = self.failed = 0
        self.reasons = collections.Counter()

    def add(self, state, reason=None):
        if state == 'skipped':
            self.reasons[reason] += 1
        else:
            setattr(self, state, getattr(self, state) + 1)

    def summary(self):
        for reason, n in sorted(self.reasons.items()):
            print(f'skipped {n}: {reason}')
        print(f'{self.passed} passed, {self.failed} failed, {sum(self.reasons.values())} skipped')


def run_suites(settings, count):
    chosen = suites.ALL if settings.all else suites.QUICK if settings.quick else suites.USUAL
    for suite in chosen:
        for name, why in suite(settings):
            if why is not None:
                print(f'FAIL {name}\n{indent(why)}', flush=True)
            count.add('failed' if why is not None else 'passed')


def check_coverage(settings, cases, outcomes, count):
    seen = set().union(*(o.ids for o in outcomes if o.state == 'passed')) if outcomes else set()
    for problem in coverage.missing_features(settings, cases) + coverage.missing_errors(settings, seen):
        print(f'FAIL coverage: {problem}')
        count.add('failed')


def print_slowest(outcomes):
    for o in sorted(outcomes, key=lambda o: -o.seconds)[:10]:
        print(f'{o.seconds:7.2f} s  {o.case.where}')


def main(argv):
    settings = parse_command_line(argv)
    count = Count()
    if not os.access(settings.bin, os.X_OK):
        print(f'no {settings.bin}: run make first')
        count.add('failed')
        count.summary()
        return 1
    try:
        cases, paths = find_cases(settings.what)
    except (CaseError, OSError) as e:
        print(f'FAIL {e}')
        count.add('failed')
        count.summary()
        return 1
    settings.folder = tempfile.mkdtemp(prefix='sqlgrad-test-')
    settings.bin_dir = os.path.join(settings.folder, 'bin')
    os.mkdir(settings.bin_dir)
    os.symlink(settings.bin, os.path.join(settings.bin_dir, 'sqlgrad'))
    settings.setups = SetupCache(settings.folder)
    settings.oracle = not settings.quick
    outcomes = list(run_cases(settings, cases))
    if settings.rewrite:
        write_back(outcomes, paths)
    for o in outcomes:
        count.add(o.state, o.text)
    if not settings.what and not settings.rewrite:
        if not settings.engine and not settings.quick:
            check_coverage(settings, cases, outcomes, count)
        run_suites(settings, count)
    if settings.seconds:
        print_slowest(outcomes)
    if not settings.keep:
        shutil.rmtree(settings.folder, ignore_errors=True)
    count.summary()
    return 1 if count.failed and not settings.rewrite else 0
