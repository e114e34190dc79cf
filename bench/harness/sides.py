# SPDX-License-Identifier: Apache-2.0
"""The processes that do the work, one a side and thread count, which stand still while it is another's turn.

Ours is bench/driver.c on the library; a peer is bench/peer.py under Debian's interpreter, which has PyTorch.  A turn is
`go(n)`: n steps, and how long each took.
"""
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from .data import TOP

PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


class SideFailed(Exception):
    """A process ended where it should have answered; what it had to say is on standard error."""


@dataclass
class Turn:
    seconds: list
    losses: list
    cpu: float                  # processor time since the process began
    rss_kib: int                # the most memory it has had


class Side:
    """A process spoken to in lines."""

    def __init__(self, label, threads, argv, env):
        self.label, self.threads, self.losses, self.turns = label, threads, [], []
        self.process = subprocess.Popen(argv, env={**os.environ, **env}, cwd=TOP, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def ask(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise SideFailed(f"{self.label} ended with status {self.process.wait()}")
        return json.loads(answer)

    def go(self, n):
        turn = self.turn(n)
        self.losses += turn.losses
        return turn

    def close(self):
        """Let it end; what it had to save is saved afterwards."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


# ---- sqlgrad ----

def programs(sqlgrad):
    """Paths of sqlgrad, driver and peak: those of the build that a command belongs to, or of this tree, built now."""
    if not sqlgrad:
        subprocess.run(["make", "--no-print-directory", "all", "bench-programs"], cwd=TOP, check=True, stdout=sys.stderr)
        sqlgrad = os.path.join(TOP, "sqlgrad")
    sqlgrad = os.path.realpath(sqlgrad)
    folder = os.path.dirname(sqlgrad)
    folder = os.path.join(os.path.join(TOP, "build") if folder == TOP else folder, "bench-programs")
    return sqlgrad, os.path.join(folder, "driver"), os.path.join(folder, "peak")


def command(tools, workload):
    """Arguments of every command on a workload after the model: where the data is, the numbers that are set."""
    sets = ",".join(f"{k}={v}" for k, v in workload.sets.items())
    return {"db": tools.db, **({"set": sets} if sets else {})}


def flags(options):
    return [w for k, v in options.items() for w in ("--" + k, str(v))]


def own_env(tools):
    """One thread for BLAS, whose own pool would fight ours; a compile cache apart from the user's."""
    return {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "SQLGRAD_CACHE": tools.cache}


def sqlgrad(tools, *words):
    """A command to its end; the objects it printed."""
    r = subprocess.run([tools.sqlgrad, *words, "--json", "--quiet"], cwd=TOP, env={**os.environ, **own_env(tools)},
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if r.returncode:
        raise SideFailed(f"sqlgrad {words[0]} ended with status {r.returncode}")
    return [json.loads(line) for line in r.stdout.splitlines()]


class Ours(Side):
    def __init__(self, tools, workload, threads):
        self.counts, self.state = workload.counts, os.path.join(tools.folder, f"state{threads}.db")
        if os.path.exists(tools.start):
            shutil.copyfile(tools.start, self.state)
        options = {**command(tools, workload), **workload.flags, "state": self.state, "threads": threads, "json": 1,
                   "quiet": 1, "steps": 10 ** 9, "checkpoint-every": 10 ** 9, **tools.extra}
        if self.counts == "eval":
            options |= {"eval-bind": "samples=samples,labels=labels", "eval-every": 1}
        super().__init__("sqlgrad", threads, [tools.driver, workload.model, self.counts,
                                              *(f"{k}={v}" for k, v in options.items())], own_env(tools))

    def turn(self, n):
        a = self.ask(str(n))
        losses = [e["metrics"]["x_ent_loss"] if self.counts == "eval" else e["loss"] for e in a["events"]]
        return Turn(a["seconds"], losses, a["cpu"], a["rss_kib"])


def run_once(tools, workload, state):
    """A `sqlgrad train` of one step that changes no parameter; its last line."""
    return sqlgrad(tools, "train", workload.model, "--steps", "1",
                   *flags({**command(tools, workload), **workload.flags, "state": state, "lr": 0, **tools.extra}))[-1]


def accuracy(tools, workload, state):
    bind = ",".join(f"{k}={v}" for k, v in workload.accuracy.items())
    rows = sqlgrad(tools, "eval", workload.model, "--show", "accuracy",
                   *flags({**command(tools, workload), "state": state, "bind": bind}))
    return next(v for k, v in rows[0].items() if k != "table")


# ---- PyTorch ----

def peer_envs(threads):
    """Settings that help PyTorch on some workloads and hurt it on others.  Debian's OpenBLAS has threads of its own,
    which fight those of OpenMP; two fresh threads can share one processor unless they are pinned."""
    one = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}
    if threads == 1:
        return {"": one}
    places = ",".join("{%d}" % k for k in sorted(os.sched_getaffinity(0))[:threads])
    return {"pinned": {**one, "OMP_PLACES": places, "OMP_PROC_BIND": "true"}, "not pinned": one,
            "BLAS threads": {**one, "OPENBLAS_NUM_THREADS": str(threads)}}


def have_torch():
    return subprocess.run([PYTHON, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0


class Torch(Side):
    def __init__(self, task, label, threads, env_name, config=None):
        super().__init__(label, threads, [PYTHON, os.path.join(TOP, "bench", "peer.py"), task, str(threads)],
                         peer_envs(threads)[env_name])
        self.env_name = env_name
        if config is not None:
            self.config = self.ask("use " + config)["used"]

    def turn(self, n):
        return Turn(**{k: v for k, v in self.ask(f"go {n}").items()})


def try_configs(task, label, threads, seconds, names):
    """Short trials of the configurations named, or of all, in every environment: (environment, configuration) ->
    seconds a step, the fastest first."""
    found = {}
    for env in peer_envs(threads):
        side = Torch(task, label, threads, env)
        found |= {(env, config): s for config, s in side.ask(f"trial {seconds} {json.dumps(names)}").items()}
        side.close()
    return dict(sorted(found.items(), key=lambda kv: kv[1]))
