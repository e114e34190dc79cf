# SPDX-License-Identifier: Apache-2.0
"""sqlgrad against the reference files: compare.py MODEL [--engine native|loops|sql] [--precision f64|f32] [--bin PATH]

Builds the database that the reference script describes, its rows in two orders, runs `sqlgrad grad` and, in f64, the reference's training
runs, and compares every number: to 1e-9 of its table's largest entry in f64, 1e-4 in f32.  Needs no PyTorch.
Prints one line and exits 0 if all agree, 1 if not, 77 if the model's data is not there."""
import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile

import oracle
from oracle import HERE, TOP


def command(args, words):
    flags = {"loops": ["native", "--all-loops"]}.get(args.engine, [args.engine])
    r = subprocess.run([args.bin, *words, "--engine", *flags, "--precision", args.precision, "--json", "--quiet"],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"$ sqlgrad {' '.join(words)}\nstatus {r.returncode}\n{r.stderr}")
    return [json.loads(line) for line in r.stdout.splitlines()]


def common(spec, db):
    """The words every command starts with after its name."""
    words = [os.path.join(TOP, spec.model), "--db", db]
    for flag, pairs in (("--set", spec.sets), ("--bind", spec.bind)):
        if pairs:
            words += [flag, ",".join(f"{k}={v}" for k, v in pairs.items())]
    return words


def gradients(args, spec, db, got):
    for loss, _, tables in spec.goals:
        rows = {}
        for line in command(args, ["grad", *common(spec, db), "--loss", loss, "--wrt", ",".join(tables)]):
            rows.setdefault(line.pop("table"), []).append(line)
        got["loss", loss, ""] = next(iter(rows[loss][0].values()))
        for name in tables:
            enter(got, "grad", name, spec.params[name], rows["grad_" + name])


def enter(got, what, name, p, rows):
    """Every entry of a table given as dicts, in key order."""
    table = sorted(tuple(r[c] for c in (*p.columns, *p.values)) for r in rows)
    if [r[:len(p.columns)] for r in table] != p.keys():
        sys.exit(f"{what} {name}: its keys are not those of the table")
    oracle.describe(got, what, name, list(p.cells(table)), 10 ** 9)


def training(args, spec, db, run, got):
    name, flags, steps = run
    state = os.path.join(os.path.dirname(db), name + ".db")
    words = ["train", *common(spec, db), "--state", state, "--steps", str(steps)]
    if name != "own":
        words += [w for flag in flags.items() for w in flag]
    for line in command(args, words):
        if line.get("event") == "step":
            for k, value in enumerate(line.get("losses", {"": line["loss"]}).values()):
                got["step", name, f"{line['step']}{'abcdefg'[k - 1] if k else ''}"] = value
    con = sqlite3.connect(state)
    con.row_factory = sqlite3.Row
    for table in spec.moved:
        p = spec.params[table]
        enter(got, f"{table}@{name}", table, p, [dict(r) for r in con.execute(f"SELECT * FROM {table}")])
    con.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model", choices=oracle.MODELS)
    p.add_argument("--engine", default="native")
    p.add_argument("--precision", default="f64")
    p.add_argument("--bin", default="sqlgrad")
    p.add_argument("--runs", help="only these training runs, comma separated; none: no training")
    args = p.parse_args()
    spec = oracle.load(args.model)
    if spec is None:
        print("skipped: the data is not there")
        sys.exit(oracle.SKIP)
    ref, got, shuffled = oracle.read_reference(os.path.join(HERE, args.model + ".txt")), {}, {}
    train = args.precision == "f64"     # f32: Adam divides noise by noise where a gradient is nearly zero
    names = [r[0] for r in spec.runs] if args.runs is None else args.runs.split(",")
    runs = [r for r in spec.runs if train and r[0] in names]
    with tempfile.TemporaryDirectory() as folder:
        db = os.path.join(folder, "data.db")
        spec.write_db(db)
        gradients(args, spec, db, got)
        spec.write_db(db + "2", shuffled=1)
        gradients(args, spec, db + "2", shuffled)
        for run in runs:
            training(args, spec, db, run, got)
    done = {"loss", "grad", "step"} | {f"{t}@{r[0]}" for t in spec.params for r in runs}
    ref = {k: v for k, v in ref.items() if k[0] in done and (k[0] != "step" or k[1] in [r[0] for r in runs])}
    rtol = 1e-9 if train else 1e-4
    wrong = oracle.differences(ref, got, rtol)
    if shuffled != {k: got[k] for k in shuffled} and args.engine != "sql":
        wrong.append("the order of the rows changes the bits")
    for line in wrong[:20]:
        print(line)
    print(f"{args.model} {args.engine} {args.precision}: {len(ref)} numbers, {len(wrong)} differ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
