#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the compiler does not check: layers, forbidden calls, one file per library, unique names,
the length of functions.  Prints one line per fault and exits 1 if there is one."""
import glob
import os
import re
import statistics
import sys

os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# A file may include its own layer and those before it.
LAYERS = {'base': 0, 'ir': 1, 'front': 2, 'pass': 2, 'emit': 2, 'lower': 2,
          'exec': 3, 'db': 3, 'data': 3, 'plot': 3, 'train': 4, 'api': 5, 'cli': 6}

# call -> the files or folders that may use it
CALLS = {
    r'(?:malloc|calloc|realloc|aligned_alloc|posix_memalign|free|strdup|strndup)': ['src/base/arena.c'],
    r'(?:setjmp|sigsetjmp)': ['src/api/', 'src/front/', 'src/data/png.c'],
    r'(?:longjmp|siglongjmp)': ['src/base/'],
    r'(?:exit|_exit|abort|quick_exit)': ['src/base/arena.c', 'src/cli/'],
    r'(?:system|popen|gets|strcpy|strcat|sprintf|vsprintf|strtok|alloca|rand|srand)': [],
}

# header -> the most files that may include it, and where
LIBRARIES = {'sqlite3.h': (1, 'src/db/sqlite.c'), 'zlib.h': (1, 'src/'), 'png.h': (1, 'src/data/'), 'pg_query': (9, 'src/front/'),
             'isl/': (1, 'src/lower/'), 'dlfcn.h': (1, 'src/exec/'), 'cblas.h': (1, 'src/exec/')}

# Nothing may recognise a model, a table or a layer of a network by its name.
NAMES = r'"[^"\n]*\b(?:conv\d?|relu\d?|pool\d?|flatten|samples|labels|fc\d|softmax|embedding)\b[^"\n]*"'

MAX_WIDTH = 130
faults = []


def fault(path, line, text):
    faults.append(f'{path}:{line}: {text}')


def blank(m):
    return re.sub(r'[^\n]', ' ', m[0])


def code_only(text):
    """The text with comments, strings and character constants blanked, lines kept."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def line_of(text, at):
    return text.count('\n', 0, at) + 1


def check_includes(path, text):
    layer = path.split('/')[1]
    for m in re.finditer(r'^#include "(\w+)/[^"]+"', text, re.M):
        if m[1] not in LAYERS:
            fault(path, line_of(text, m.start()), f'include of unknown layer {m[1]}')
        elif LAYERS[m[1]] > LAYERS[layer]:
            fault(path, line_of(text, m.start()), f'{layer} includes {m[1]}, a later layer')


def check_calls(path, text, code):
    for call, places in CALLS.items():
        if any(path.startswith(p) for p in places):
            continue
        for m in re.finditer(r'(?<![\w.>])' + call + r'\s*\(', code):
            fault(path, line_of(code, m.start()), f'{m[0].rstrip("( ")} is not for this file')
    if path.startswith('src/emit/') and re.search(r'strcmp\(d->name', code):
        fault(path, 1, 'an emitter asks which dialect it is; make it a cell of the table')


def check_text(path, text):
    if 'SPDX-License-Identifier: Apache-2.0' not in text[:200]:
        fault(path, 1, 'no SPDX line')
    for n, line in enumerate(text.split('\n'), 1):
        if len(line) > MAX_WIDTH:
            fault(path, n, f'{len(line)} columns')
        if line != line.rstrip() or '\t' in line:
            fault(path, n, 'tab or trailing blank')
    for m in re.finditer(NAMES, re.sub(r'/\*.*?\*/', blank, text, flags=re.S)):
        if not path.startswith(('src/base/errors.h', 'src/data/', 'src/api/options', 'src/api/import')):     # manual, data formats
            fault(path, line_of(text, m.start()), f'a table or layer name in the code: {m[0]}')


def functions(path, code):
    """(name, first line, number of lines, static) of every function body."""
    for m in re.finditer(r'^(?P<head>[A-Za-z_][^;{}#=]*?\b(?P<name>\w+)\s*\([^;{}]*\)\s*)\n\{', code, re.M):
        end = code.find('\n}', m.end())
        if end > 0:
            first = line_of(code, m.start())
            yield m['name'], first, line_of(code, end + 1) - first + 1, m['head'].lstrip().startswith('static')


def check_libraries(includes):
    for header, (most, where) in LIBRARIES.items():
        users = [p for p, text in includes if re.search(r'#include <' + re.escape(header), text)]
        for path in users:
            if not path.startswith(where):
                fault(path, 1, f'<{header}> belongs in {where}')
        if len(users) > most:
            fault(users[-1], 1, f'<{header}> is included in {len(users)} files: {" ".join(users)}')


def main():
    files = sorted(glob.glob('src/*/*.[ch]') + glob.glob('include/*.h'))
    texts, all_functions, statics = [], [], {}
    for path in files:
        with open(path, encoding='utf-8') as f:
            text = f.read()
        texts.append((path, text))
        code = code_only(text)
        if path.startswith('src/'):
            check_includes(path, text)
        check_calls(path, text, code)
        check_text(path, text)
        for name, line, length, static in functions(path, code):
            all_functions.append((length, name, f'{path}:{line}'))
            if static and path.endswith('.c'):
                statics.setdefault(name, []).append(f'{path}:{line}')
    check_libraries(texts)
    for name, places in statics.items():
        if len(places) > 1:
            fault(*places[1].split(':'), f'static {name} is also in {places[0]}')
    if all_functions:
        lengths = sorted(n for n, _, _ in all_functions)
        print('longest functions:')
        for length, name, where in sorted(all_functions, reverse=True)[:10]:
            print(f'{length:5} {name}  {where}')
        print(f'{len(lengths)} functions, median {statistics.median(lengths):g} lines, '
              f'nine in ten under {lengths[int(0.9 * len(lengths))] + 1}')
    for line in faults:
        print(line)
    print(f'{len(faults)} faults')
    return 1 if faults else 0


sys.exit(main())
