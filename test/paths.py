# SPDX-License-Identifier: Apache-2.0
"""Which path each block of each model takes: paths.py [--bin PATH] [NAME…].

A line a model, on the data of its reference (test/oracle): how many blocks are nests, and the others by reason."""
import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(TOP, "test", "oracle"))
import oracle  # noqa: E402


def paths(sqlgrad, spec):
    with tempfile.TemporaryDirectory() as folder:
        db = os.path.join(folder, "data.db")
        spec.write_db(db)
        words = [sqlgrad, "explain", os.path.join(TOP, spec.model), "--db", db, "--stage", "loop", "--quiet"]
        for flag, pairs in (("--set", spec.sets), ("--bind", spec.bind)):
            if pairs:
                words += [flag, ",".join(f"{k}={v}" for k, v in pairs.items())]
        text = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    return collections.Counter(re.findall(r"^-- \d+ \S+: (.*)$", text, re.M))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("names", nargs="*")
    p.add_argument("--bin", default=os.path.join(TOP, "sqlgrad"))
    args = p.parse_args()
    for name in args.names or oracle.MODELS:
        if name in ("cora", "moons"):                   # data of one's own; models.case and sparse.case have these models
            continue
        found = paths(args.bin, oracle.load(name))
        print(f"{name}: {found.pop('nest', 0)} nests")
        for path, n in sorted(found.items()):
            print(f"  {n} {path}")


if __name__ == "__main__":
    main()
