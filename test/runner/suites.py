# SPDX-License-Identifier: Apache-2.0
"""What is not a case: unit tests, replayed fuzzing corpora, code blocks in documents, mutations, kills.

Each suite yields (name, None) for a pass, (name, text) for a failure, (name, Skip) for what cannot run.
"""
import glob
import os
import re
import sys

from .scratch import ROOT, Fail, Skip, run_command


def build_dir(settings):
    """Where the programs of test/unit and test/fuzz stand for the build under test."""
    folder = os.path.dirname(settings.bin)
    return os.path.join(ROOT, 'build') if folder == ROOT else folder


def tap_lines(name, r):
    """`ok name` and `not ok name: why` lines; the exit status counts where it says more than they do."""
    results = [(m[2], None if m[1] == 'ok' else m[3] or 'failed')
               for m in re.finditer(r'^(ok|not ok) ([^:\n]*)(?:: (.*))?$', r.out, re.M)]
    for test, why in results:
        yield f'{name}: {test}', why
    if not results or (r.status != 0 and all(why is None for _, why in results)):
        yield name, r.describe() if r.status != 0 else None


def tap_program(settings, name, argv, timeout=300):
    try:
        r = run_command(argv, settings.folder, timeout)
    except Fail as e:
        yield name, str(e)
        return
    yield from tap_lines(name, r)


def unit(settings):
    for source in sorted(glob.glob(os.path.join(ROOT, 'test', 'unit', '*.c'))):
        name = os.path.splitext(os.path.basename(source))[0]
        path = os.path.join(build_dir(settings), 'unit', name)
        if os.path.exists(path):
            yield from tap_program(settings, f'unit/{name}', [path])
        else:
            yield f'unit/{name}', f'{path} is not built'


def corpora(settings):
    """Every input the fuzzers ever found interesting, once more through the ordinary build."""
    for source in sorted(glob.glob(os.path.join(ROOT, 'test', 'fuzz', '*.c'))):
        name = os.path.splitext(os.path.basename(source))[0]
        corpus = os.path.join(ROOT, 'test', 'fuzz', 'corpus', name)
        if name == 'replay':
            continue
        path = os.path.join(build_dir(settings), 'replay', name)
        files = sorted(glob.glob(os.path.join(corpus, '*')))
        if name == 'front':
            seeds = os.path.join(settings.folder, 'seeds')
            run_command([sys.executable, os.path.join(ROOT, 'test', 'fuzz', 'seed.py'), seeds], settings.folder)
            files += sorted(glob.glob(os.path.join(seeds, name, '*')))
        if not os.path.exists(path):
            yield f'fuzz/{name}', f'{path} is not built'
            continue
        try:
            r = run_command([path, *files], settings.folder, 600)
            yield f'fuzz/{name} ({len(files)} inputs)', None if r.status == 0 and files else r.describe()
        except Fail as e:
            yield f'fuzz/{name}', str(e)


def code_blocks(path):
    """(line, info string, text) of every fenced block of a Markdown file."""
    with open(path, encoding='utf-8') as f:
        lines = f.read().split('\n')
    start = info = None
    for i, line in enumerate(lines):
        if start is None and line.startswith('```'):
            start, info = i, line[3:].strip()
        elif start is not None and line.startswith('```'):
            yield start + 1, info, '\n'.join(lines[start + 1:i]) + '\n'
            start = None


def documents(settings):
    """```sql blocks must bind; a ```sqlite block before them makes their database, ```sql fragment is
    not a whole model and is left alone."""
    from .casefile import Case
    from .scratch import Scratch
    files = sorted(glob.glob(os.path.join(ROOT, '*.md')) + glob.glob(os.path.join(ROOT, 'doc', '*.md')))
    for path in files:
        page, setup = os.path.relpath(path, ROOT), ''
        for line, info, text in code_blocks(path):
            if info == 'sqlite':
                setup = text
            if info != 'sql':
                continue
            case = Case(page, line, 'document', {}, text, '', setup, (0, 0))
            s = Scratch(settings, case)
            try:
                s.write('model.sql', text)
                r = s.sqlgrad('explain', 'model.sql', '--stage', 'bind', '--db', s.database())
                yield f'{page}:{line}', None if r.status == 0 else r.describe()
            except Fail as e:
                yield f'{page}:{line}', str(e)
            finally:
                s.close(settings.keep)


def random_models(settings):
    """test/random_models.py: every engine, SQLite itself and finite differences agree on random models."""
    yield from tap_program(settings, 'random models', [sys.executable, os.path.join(ROOT, 'test', 'random_models.py'),
                                                       '--bin', settings.bin, '--seeds', '0..149'], 600)


def loops_of(settings, seeds, timeout):
    yield from tap_program(settings, 'random loops', [sys.executable, os.path.join(ROOT, 'test', 'random_loops.py'),
                                                      '--bin', settings.bin, '--seeds', seeds], timeout)


def some_loops(settings):
    """A handful of what --all does."""
    yield from loops_of(settings, '0..7', 600)


def random_loops(settings):
    """test/random_loops.py: tuple lists, compiled loops and SQL agree on random models of arrays."""
    yield from loops_of(settings, '0..119', 3600)


def mutations(settings):
    """test/mutate.py: broken models, hostile databases and files, under the sanitizers."""
    binary = settings.asan or settings.bin
    yield from tap_program(settings, 'mutate', [sys.executable, os.path.join(ROOT, 'test', 'mutate.py'),
                                                '--bin', binary], 1800)


def kills(settings):
    """test/kill.py: kill -9 at random moments, then --resume."""
    for engine, n in (('native', '30'), ('sql', '13')):
        yield from tap_program(settings, 'kill', [sys.executable, os.path.join(ROOT, 'test', 'kill.py'),
                                                  '--bin', settings.bin, '--engine', engine, '--kills', n], 1800)


QUICK = (unit, corpora)
USUAL = (unit, corpora, documents, some_loops)
ALL = (unit, corpora, documents, random_models, random_loops, mutations, kills)

__all__ = ['QUICK', 'USUAL', 'ALL', 'Skip']
