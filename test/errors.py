#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""doc/errors.md, the list of error ids, is what `sqlgrad --list errors` prints; --rewrite makes it so.  `sqlgrad` is
looked for in PATH."""
import os
import subprocess
import sys

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), 'doc', 'errors.md')

HEAD = """# Errors and notes

Each error and each note has an id. The command prints it after the message where the environment variable `SQLGRAD_SHOW_IDS` is set; a program gets it
from `sqlgrad_errid`. Ids stay the same when messages get better. An error in the model shows its place, the source line and what would be right:

    model.sql:3:12: error: no column "y" in t; it has id, x

| part of an id | what speaks |
|---|---|
| `scan`, `directive`, `declare`, `bind` | reading a model file: text, `-- @` directives, CREATE TABLE (…), names |
| `query`, `expr`, `group`, `window`, `subquery` | a SELECT |
| `note` | what means something else in other databases; never an error |
| `grad` | what cannot be differentiated |
| `native`, `sql` | the two engines |
| `cc` | the C compiler that the native engine uses; it does without |
| `db`, `data` | databases and files to import |
| `train`, `api` | training; options and commands |
| `plot`, `graph` | pictures |
| `mem` | no memory |

The exit status says whose turn it is: 1 the input's, 2 the command line's, 3 the machine's.

<!-- made by test/errors.py --rewrite from `sqlgrad --list errors` -->

| id | what it means |
|---|---|
"""


def page():
    out = subprocess.run(['sqlgrad', '--list', 'errors'], stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = [line.split('  ', 1) for line in out.splitlines()]
    return HEAD + ''.join(f'| `{name}` | {text.replace("|", chr(92) + "|")} |\n' for name, text in rows)


def main():
    want, have = page(), None
    if os.path.exists(PAGE):
        with open(PAGE, encoding='utf-8') as f:
            have = f.read()
    if '--rewrite' in sys.argv:
        with open(PAGE, 'w', encoding='utf-8') as f:
            f.write(want)
    elif want != have:
        print('doc/errors.md is not what `sqlgrad --list errors` says; run test/errors.py --rewrite')
        return 1
    print('doc/errors.md is what sqlgrad --list errors prints')
    return 0


sys.exit(main())
