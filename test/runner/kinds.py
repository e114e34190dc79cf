# SPDX-License-Identifier: Apache-2.0
"""What each kind of case does.

A kind is a function (scratch, case) -> the text found, which the runner compares with the expected
text; what must hold beside that it checks itself and raises Fail.  KINDS lists them with the way their
text is compared.
"""
import os
import re
import shlex
import sqlite3
import sys

from . import compare
from .scratch import ROOT, SHARED, Fail, Skip, run_command

MODEL = 'model.sql'
NOT_HERE = 77                   # the exit status of scripts whose data or PyTorch is missing
SHUFFLES = (1,)                 # seeds; each is one more run of every diff and grad case


def expect_status(result, status):
    if result.status != status:
        raise Fail(f'exit status {result.status}, expected {status}\n{result.describe()}')


def command_args(case, default):
    """cmd="run MODEL --db DB …" with MODEL and DB put in; MODEL may be left out."""
    words = shlex.split(case.args.get('cmd', default))
    if 'MODEL' not in words:
        words.insert(1, 'MODEL')
    return [{'MODEL': MODEL, 'DB': 'data.db'}.get(w, w) for w in words]


def last_table(case):
    names = re.findall(r'\bCREATE\s+(?:TEMP\s+)?(?:TABLE|VIEW)\s+("[^"]+"|\w+)\s+AS\b', case.input, re.I)
    if not names:
        raise Fail('the model defines no table, and the case names none')
    return names[-1]


# ---- error, note, explain, roundtrip: what the front and the passes say ----

def diagnostics(s, case, status):
    s.write(MODEL, case.input)
    s.database()
    r = s.sqlgrad(*command_args(case, 'explain MODEL --stage bind --db DB'))
    expect_status(r, int(case.args.get('status', status)))
    wanted = case.args.get('id')
    if wanted and wanted not in r.ids:
        raise Fail(f'id {wanted} expected, found {", ".join(sorted(r.ids)) or "none"}\n{r.err}')
    return r.err.replace(MODEL, '<input>').rstrip('\n')


def error_case(s, case):
    return diagnostics(s, case, 1)


def note_case(s, case):
    return diagnostics(s, case, 0)


def explain_case(s, case):
    s.write(MODEL, case.input)
    s.database()
    r = s.sqlgrad('explain', MODEL, '--stage', case.args['stage'], '--db', 'data.db',
                  *shlex.split(case.args.get('args', '')))
    expect_status(r, 0)
    return r.out.rstrip('\n')


def roundtrip_case(s, case):
    s.write(MODEL, case.input)
    s.database()
    texts, name = [], MODEL
    for k in range(2):
        r = s.sqlgrad('explain', name, '--stage', case.args.get('stage', 'opt'), '--db', 'data.db')
        if r.status != 0:
            raise Fail(f'reading the dump back: status {r.status}\n{r.err}\n--- dump ---\n{texts[-1]}' if k
                       else r.describe())
        texts.append(r.out)
        name = s.write('again.sql', r.out)
    if texts[0] != texts[1]:
        raise Fail('the dump read back gives another dump\n' + compare.diff(*texts))
    return 'ok'


# ---- diff: the same rows from every engine, and from shuffled tables ----

# What an engine's name in a case stands for: loops is the native engine that compiles however little there is to do.
ENGINES = {'native': ['--engine', 'native', '--no-loops'], 'loops': ['--engine', 'native', '--all-loops'],
           'sql': ['--engine', 'sql']}


def rows_of(s, db, engine, show, case):
    r = s.sqlgrad('run', MODEL, '--db', db, *ENGINES[engine], '--precision', 'f64', '--show', show, '--json',
                  *shlex.split(case.args.get('args', '')))
    expect_status(r, 0)
    return compare.parse_json_rows(r.out)[0]


def rows_of_sqlite(s, show, case):
    """The model's own text, run by SQLite: only where its meaning there is the same."""
    con = sqlite3.connect(os.path.join(s.folder, s.database('host.db')))
    try:
        con.executescript(case.input)
        names = re.findall(r'"[^"]*"|[^,"\s]+', show)
        return {n: [list(r) for r in con.execute(f'SELECT * FROM {n}')] for n in names}
    except sqlite3.Error as e:
        raise Fail(f'sqlite3 cannot run the model text: {e}') from None
    finally:
        con.close()


def tables_text(tables):
    """The rows of one table, or of several under their names."""
    text = []
    for name, rows in tables.items():
        text += [name + ':'] if len(tables) > 1 else []
        text += [compare.row_text(r) for r in rows]
    return '\n'.join(text)


def same_tables(want, got, rtol, any_order, what):
    lower = {k.lower().strip('"'): v for k, v in got.items()}
    for name, rows in want.items():
        wrong = compare.rows_differ(rows, lower.get(name.lower().strip('"'), []), rtol, any_order)
        if wrong:
            raise Fail(f'{what}: table {name}: {wrong}')


def engines_of(s, case, default='native,loops,sql'):
    names = case.args.get('engines', default).split(',')
    if 'native' in names and 'loops' not in names:
        names.append('loops')
    if s.settings.engine:
        names = [n for n in names if n == s.settings.engine]
    if not names:
        raise Skip(f'not for engine {s.settings.engine}')
    return names


def diff_case(s, case):
    s.write(MODEL, case.input)
    show = case.args.get('show') or last_table(case)
    rtol, any_order = float(case.args.get('rtol', '1e-9')), case.args.get('order') == 'any'
    engines = engines_of(s, case)
    first = None
    for seed in (0,) + (SHUFFLES if not s.settings.quick else ()):
        db = s.database(f'data{seed or ""}.db', seed)
        for engine in engines:
            if engine == 'sqlite':
                if seed == 0:
                    same_tables(first or {}, rows_of_sqlite(s, show, case), rtol, True, 'sqlite itself')
                continue
            found = rows_of(s, db, engine, show, case)
            if first is None:
                first = found
            same_tables(first, found, rtol, any_order,
                        f'engine {engine}' + (f', shuffled (seed {seed})' if seed else ''))
    return tables_text(first)


def rows_match(case, found):
    rtol, any_order = float(case.args.get('rtol', '1e-9')), case.args.get('order') == 'any'
    return compare.rows_differ(compare.parse_rows(case.expected), compare.parse_rows(found), rtol, any_order)


# ---- grad: finite differences, both engines, shuffled tables ----

def gradient_of(s, db, engine, case):
    r = s.sqlgrad('grad', MODEL, '--db', db, *ENGINES[engine], '--precision', 'f64', '--json',
                  *grad_flags(case))
    expect_status(r, 0)
    return compare.parse_json_rows(r.out)[0]


def grad_flags(case):
    flags = []
    for key in ('loss', 'wrt'):
        if key in case.args:
            flags += ['--' + key, case.args[key]]
    return flags + shlex.split(case.args.get('args', ''))


def largest_entry(rows):
    return max((abs(v) for r in rows for v in r if isinstance(v, float)), default=0.0)


def same_gradients(want, got, what, rtol=1e-9):
    """Agreement to rtol of the largest entry of each table; keys exactly."""
    for name in sorted(set(want) | set(got)):
        a, b = want.get(name, []), got.get(name, [])
        scale = largest_entry(a)
        if len(a) != len(b):
            raise Fail(f'{what}: table {name} has {len(b)} rows, expected {len(a)}')
        for x, y in zip(a, b):
            same = len(x) == len(y) and all(
                compare.close(u, v, rtol, scale) if isinstance(u, float) and isinstance(v, float) else u == v
                for u, v in zip(x, y))
            if not same:
                raise Fail(f'{what}: {name}: row {compare.row_text(y)}\nexpected {compare.row_text(x)}'
                           f'\nlargest entry {scale:g}')


def grad_case(s, case):
    """`check=no` leaves the finite differences out, for ties, where there is no derivative."""
    s.write(MODEL, case.input)
    s.database()
    if case.args.get('check') != 'no':
        r = s.sqlgrad('check', MODEL, '--db', 'data.db', *grad_flags(case))
        expect_status(r, 0)
    elif case.expected.strip() == 'ok':
        raise Fail('check=no needs the gradient rows as expected text')
    first = None
    for seed in (0,) + (SHUFFLES if not s.settings.quick else ()):
        db = s.database(f'data{seed or ""}.db', seed)
        for engine in engines_of(s, case):
            found = gradient_of(s, db, engine, case)
            first = found if first is None else first
            same_gradients(first, found, f'engine {engine}' + (f', shuffled (seed {seed})' if seed else ''))
    if case.expected.strip() == 'ok':
        return 'ok'
    return tables_text({k: v for k, v in first.items() if k.lower().startswith('grad_')})


def gradients_match(case, found):
    if case.expected == found:
        return None
    want, got = compare.parse_rows(case.expected), compare.parse_rows(found)
    try:
        same_gradients({'gradient': want_real(want, got)}, {'gradient': got}, 'gradient',
                       float(case.args.get('rtol', '1e-7')))
    except Fail as e:
        return str(e)
    return None


def want_real(want, got):
    """Expected values written as integers count as REAL where the found ones are."""
    return [[float(x) if isinstance(y, float) and isinstance(x, int) else x for x, y in zip(w, g)]
            if len(w) == len(g) else w for w, g in zip(want, got)] + want[len(got):]


# ---- run, oracle: transcripts ----

def transcript(s, case):
    """Model text first, then `$ command` lines for the shell.  The text found is each command's stdout,
    its stderr lines after `! `, and `[status N]` if it is not 0; with several commands, each command
    stands before what it printed."""
    lines = case.input.rstrip('\n').split('\n')
    first = next((i for i, line in enumerate(lines) if line.startswith('$ ')), len(lines))
    commands = [line[2:] for line in lines[first:] if line.startswith('$ ')]
    if not commands:
        raise Fail('a run case needs lines that start with "$ "')
    check_needs(case, '\n'.join(commands))
    s.write(MODEL, '\n'.join(lines[:first]) + '\n')
    if case.setup:
        s.database()
    for name in ('models', 'test'):
        os.symlink(os.path.join(ROOT, name), os.path.join(s.folder, name))
    found = []
    for command in commands:
        r = s.shell(command)
        if r.status == NOT_HERE:
            raise Skip(f'what `{command}` needs is not here')
        found += ['$ ' + command] if len(commands) > 1 else []
        found += r.out.splitlines()
        found += [('! ' + line).rstrip() for line in r.err.splitlines()]
        found += [f'[status {r.status}]'] if r.status else []
    return compare.SECONDS.sub(r'\g<1>0', '\n'.join(found))


def check_needs(case, text):
    if '$SHARED' in text and not os.path.isdir(SHARED):
        raise Skip('the data sets of ../shared/data are not there')
    needs = set(case.args.get('needs', '').split(',')) - {''}
    for need in needs:
        if need == 'torch':
            if not have_torch():
                raise Skip('python3-torch is not installed')
        elif need == 'terminal':
            if not have_terminal():
                raise Skip('no pseudo-terminals here (/dev/pts is not mounted)')
        elif need == 'avx2':
            if not have_avx2():
                raise Skip('this processor has no AVX2')
        elif not os.path.exists(os.path.join(SHARED, need)):
            raise Skip(f'../shared/data/{need} is not there')


def have_terminal():
    try:
        for fd in os.openpty():
            os.close(fd)
        return True
    except OSError:
        return False


def have_avx2():
    try:
        with open('/proc/cpuinfo', encoding='ascii', errors='replace') as f:
            return ' avx2' in f.read()
    except OSError:
        return False


_torch = []


def have_torch():
    if not _torch:
        try:
            _torch.append(run_command([python(), '-c', 'import torch'], '/tmp', 300).status == 0)
        except Fail:
            _torch.append(False)
    return _torch[0]


def python():
    """Debian's interpreter, which has python3-torch; else the one that runs this."""
    return '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable


def transcript_matches(case, found):
    rtol = float(case.args['rtol']) if 'rtol' in case.args else None
    return None if compare.text_matches(case.expected, found, rtol) else compare.diff(case.expected, found)


def oracle_case(s, case):
    """A transcript whose numbers come from elsewhere.  script=NAME: test/oracle/NAME, where PyTorch is
    installed, prints the expected text again."""
    script = case.args.get('script')
    check_needs(case, case.input)
    if script and s.settings.oracle and have_torch():
        words = [python(), os.path.join(ROOT, 'test', 'oracle', script), *shlex.split(case.args.get('args', ''))]
        r = run_command(words, s.folder, s.timeout(), {'SHARED': SHARED, 'ROOT': ROOT})
        if r.status == NOT_HERE:
            raise Skip(f'{script} says that what it needs is not here')
        expect_status(r, 0)
        wrong = transcript_matches(case, r.out.rstrip('\n'))
        if wrong:
            raise Fail(f'{script} does not reproduce the expected text\n{wrong}')
    if '$ ' not in case.input:
        if not (script and have_torch()):
            raise Skip('python3-torch is not installed')
        return case.expected
    return transcript(s, case)


def text_equal(case, found):
    if compare.text_matches(case.expected, found):
        return None
    return compare.diff(case.expected, found)


KINDS = {
    'error': (error_case, text_equal),
    'note': (note_case, text_equal),
    'explain': (explain_case, text_equal),
    'roundtrip': (roundtrip_case, text_equal),
    'diff': (diff_case, rows_match),
    'grad': (grad_case, gradients_match),
    'run': (transcript, transcript_matches),
    'oracle': (oracle_case, transcript_matches),
}
