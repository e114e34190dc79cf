#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""seed.py DIR - writes DIR/front: the models of models/ and of every case, one file each, for the
fuzzer of the front to start from.  The stored corpora hold only what was found beyond these."""
import glob
import hashlib
import os
import sys

sys.dont_write_bytecode = True
TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TEST)

from runner.casefile import read_cases  # noqa: E402


def models():
    for path in sorted(glob.glob(os.path.join(os.path.dirname(TEST), 'models', '*.sql'))):
        with open(path, 'rb') as f:
            yield f.read()
    for path in sorted(glob.glob(os.path.join(TEST, 'cases', '**', '*.case'), recursive=True)):
        for case in read_cases(path, path):
            yield case.input.encode()


def write_seeds(folder):
    os.makedirs(folder, exist_ok=True)
    for text in models():
        with open(os.path.join(folder, hashlib.sha1(text).hexdigest()[:16]), 'wb') as f:
            f.write(text)


if __name__ == '__main__':
    write_seeds(os.path.join(sys.argv[1], 'front'))
