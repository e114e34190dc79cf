# SPDX-License-Identifier: Apache-2.0
"""What the acceptance scripts share: running the command, and saying whether a figure reaches its bar."""
import argparse
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def arguments(doc, **more):
    p = argparse.ArgumentParser(description=doc)
    p.add_argument("--bin", default="sqlgrad")
    p.add_argument("--engine", default="native", choices=("native", "sql"))
    p.add_argument("--data", default=os.environ.get("SHARED", ""), help="folder with the data sets (default $SHARED)")
    for name, default in more.items():
        p.add_argument("--" + name, type=type(default), default=default)
    return p.parse_args()


def sqlgrad(args, *words):
    """Run a command; its --json lines as dicts."""
    r = subprocess.run([args.bin, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"$ sqlgrad {' '.join(words)}\nstatus {r.returncode}\n{r.stdout[-2000:]}{r.stderr[-2000:]}")
    return [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")]


def model(name):
    return os.path.join(TOP, "models", name)


def data(args, *path):
    """A data file; without it the script is skipped."""
    name = os.path.join(args.data, *path)
    if not args.data or not os.path.exists(name):
        print(f"skipped: no {os.path.join(*path)}; name its folder with --data or $SHARED")
        sys.exit(77)
    return name


def metric(lines, table="accuracy"):
    """The one number of a metric table in the output of `eval --json`."""
    return next(v for line in lines if line.get("table") == table for k, v in line.items() if k != "table")


def verdict(what, figure, bar):
    print(f"{what}: {figure:.4f}, at least {bar}: {'yes' if figure >= bar else 'NO'}")
    sys.exit(0 if figure >= bar else 1)
