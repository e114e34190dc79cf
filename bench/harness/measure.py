# SPDX-License-Identifier: Apache-2.0
"""One workload: its data and first parameters, trials of the peers' configurations, turns in rounds, figures.

A round gives every side one turn of some steps, in the same order, so that a busy minute meets all of them.  A turn's
figure is the median of its steps; a side's figure is the median of its turns, its spread their least and greatest.
"""
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
from dataclasses import dataclass, field

from . import data, machine, sides

COMPARED = 20                   # losses at the start that must agree
KEPT = 4                        # configurations of a peer that are tried with more threads too


@dataclass
class Tools:
    """Programs and folders of one workload."""
    sqlgrad: str
    driver: str
    root: str                   # of data, start values, the compile cache
    quick: bool = False
    extra: dict = field(default_factory=dict)       # further options for sqlgrad

    def enter(self, name, folder):
        self.data = folder
        self.db = os.path.join(folder, "data.db")
        self.folder = os.path.join(self.root, "work", name)
        self.cache = os.path.join(self.root, "cache")
        self.start = os.path.join(self.folder, "start.db")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)


# ---- before the turns ----

def model_text(path):
    """A model's text, with those it includes in their places."""
    with open(path, encoding="utf-8") as f:
        return re.sub(r"^-- @include '([^']*)'", lambda m: model_text(os.path.join(os.path.dirname(path), m[1])), f.read(), flags=re.M)


def parameters(model):
    """Names of the tables after `-- @param` in a model's text."""
    return re.findall(r"^-- @param\b[^\n]*\nCREATE TABLE (\w+)", model_text(os.path.join(data.TOP, model)), re.M)


def copy_tables(source, target, names):
    con = sqlite3.connect(target)
    con.execute("ATTACH ? AS trained", (source,))
    for name in names:
        con.execute(f"CREATE TABLE {name} AS SELECT * FROM trained.{name}")
    con.commit()
    con.close()


def first_parameters(tools, workload):
    """start.db with the parameters sqlgrad draws, and the same as arrays; the model's first runs, timed: with an empty
    compile cache, and once more."""
    drawn = os.path.join(tools.folder, "drawn.db")
    shutil.rmtree(tools.cache, ignore_errors=True)
    cold = sides.run_once(tools, workload, drawn)
    warm = sides.run_once(tools, workload, drawn)
    names = parameters(workload.model)
    copy_tables(drawn, tools.start, names)
    con = sqlite3.connect(tools.start)
    files = []
    for name in names:
        cursor = con.execute(f"SELECT * FROM {name}")
        keys = [c[0] for c in cursor.description][:-1]
        order = ", ".join(f'"{k}"' for k in keys)
        rows = con.execute(f"SELECT * FROM {name} ORDER BY {order}").fetchall()
        shape = [len({r[k] for r in rows}) for k in range(len(keys))]
        with open(os.path.join(tools.folder, name + ".f32"), "wb") as f:
            f.write(data.array.array("f", [r[-1] for r in rows]).tobytes())
        files.append({"name": name, "file": name + ".f32", "shape": shape})
    con.close()
    return files, {"compile_cold": cold["compile_seconds"], "compile_cached": warm["compile_seconds"],
                   "load": warm["load_seconds"]}


def write_task(tools, workload, peer, number, params, arrays):
    """What a peer is told."""
    o = workload.flags
    optimizer = {"name": o["optimizer"], "lr": o["lr"]}
    if "weight-decay" in o:
        optimizer["weight_decay"] = o["weight-decay"]
    path = os.path.join(tools.folder, f"task{number}.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"network": peer.network, "option": peer.option, "batch": o.get("batch", 0), "optimizer": optimizer,
                   "data": tools.data, "params": params, "arrays": arrays}, f, indent=1)
    return path


def trials(task, label, threads, options, say):
    """Thread count -> configurations tried, the fastest first: with more threads, the best few of the count before."""
    found, names = {}, []
    for n in threads:
        found[n] = sides.try_configs(task, label, n, options.trial, names)
        names = list(dict.fromkeys(config for _, config in found[n]))[:KEPT]
        say(f"  {label}, {n} thread{'s' * (n > 1)}: best of {len(found[n])} configurations: " + "; ".join(
            f"{', '.join(w for w in (config, env) if w)} {1e3 * s:.3g} ms"
            for (env, config), s in list(found[n].items())[:3]))
    return found


def start_peers(tools, workload, params, arrays, options, say):
    """Each peer at each thread count, in the best configuration that trials find."""
    started = []
    for number, peer in enumerate(workload.peers):
        task = write_task(tools, workload, peer, number, params, arrays)
        found = trials(task, peer.label, options.threads, options, say) if options.trial else {}
        for n in options.threads:
            env, config = next(iter(found[n])) if found else (next(iter(sides.peer_envs(n))), "")
            side = sides.Torch(task, peer.label, n, env, config)
            side.trials = {", ".join(w for w in reversed(k) if w): v for k, v in found.get(n, {}).items()}
            started.append(side)
    return started


# ---- turns ----

def warm_up(side, options):
    """The first step, which holds loading and compiling, and a few more; how many steps fill a turn."""
    first = side.go(1)
    side.first_seconds = first.seconds[0]
    second = side.go(1).seconds[0]
    few = side.go(min(20, int(options.turn / second))).seconds if second < options.turn else [second]
    side.per_turn = max(1, min(500, round(options.turn / statistics.median(few))))


def take_turns(all_sides, workload, options):
    """Rounds of one turn each."""
    if workload.steps:                          # a whole training, dealt out
        total = workload.steps if not options.quick else 30
        for side in all_sides:
            side.first_seconds = side.go(1).seconds[0]
            side.per_turn = -(-(total - 1) // options.rounds)
    else:
        for side in all_sides:
            warm_up(side, options)
    for _ in range(options.rounds):
        for side in all_sides:
            side.turns.append(side.go(side.per_turn))
    for side in all_sides:                      # as many losses as are compared, unless it takes long
        missing = COMPARED - len(side.losses)
        if missing > 0 and missing * side.turns[-1].seconds[-1] < 5:
            side.go(missing)


def figures(side, counts):
    """What the turns of a side come to."""
    medians = [statistics.median(t.seconds) for t in side.turns]
    spent = sum(sum(t.seconds) for t in side.turns)
    used = side.turns[-1].cpu - side.turns[0].cpu
    later = sum(sum(t.seconds) for t in side.turns[1:]) if counts == "step" else 0
    found = {"label": side.label, "threads": side.threads, "seconds": statistics.median(medians), "least": min(medians),
             "greatest": max(medians), "turns": medians, "steps_a_turn": side.per_turn, "total_seconds": spent,
             "first_seconds": side.first_seconds, "processors_used": round(used / later, 2) if later else None,
             "rss_mib": round(side.turns[-1].rss_kib / 1024), "first_losses": side.losses[:COMPARED]}
    if hasattr(side, "config"):
        found |= {"config": ", ".join(w for w in (side.config, side.env_name) if w), "trials": side.trials}
    return found


def loss_difference(ours, theirs):
    """Greatest relative difference of the first losses, and that of the very first."""
    pairs = list(zip(ours["first_losses"], theirs["first_losses"]))
    apart = [abs(a - b) / max(abs(a), abs(b), 1e-30) for a, b in pairs]
    return {"peer": theirs["label"], "threads": theirs["threads"], "losses": len(pairs), "first": apart[0],
            "greatest": max(apart), "ours": pairs[-1][0], "theirs": pairs[-1][1]}


def best_of(found, label):
    return min((f for f in found if f["label"] == label), key=lambda f: f["seconds"])


def ratios(workload, found, threads):
    """How many times our speed is each peer's: one thread against one, best against best, and round by round."""
    out = []
    for peer in workload.peers:
        row = {"peer": peer.label, "must": peer.must}
        pairs = {"best": (best_of(found, "sqlgrad"), best_of(found, peer.label))}
        for n in threads:
            pairs[str(n)] = tuple(next(f for f in found if f["label"] == who and f["threads"] == n)
                                  for who in ("sqlgrad", peer.label))
        for key, (a, b) in pairs.items():
            by_round = [y / x for x, y in zip(a["turns"], b["turns"])]
            row[key] = {"ratio": b["seconds"] / a["seconds"], "least": min(by_round), "greatest": max(by_round),
                        "quietest": b["least"] / a["least"]}
        out.append(row)
    return out


def shares(workload, found, peaks):
    """Our share of the machine's peaks at the same number of threads."""
    for f in found:
        peak = peaks.get(f["threads"])
        if peak and workload.flop:
            f["gflops"] = workload.flop / f["seconds"] / 1e9
            f["share_of_fma"] = f["gflops"] / peak["fma_gflops"]
        if peak and workload.bytes:
            f["gbs"] = workload.bytes / f["seconds"] / 1e9
            f["share_of_bandwidth"] = f["gbs"] / peak["triad_gbs"]


def measure(tools, workload, options, peaks, say):
    """All of one workload, as what goes into its file of results."""
    say(f"{workload.name}: {workload.title}")
    size = workload.quick if options.quick else workload.size
    tools.enter(workload.name, data.make(workload.data, tools.sqlgrad, os.path.join(tools.root, "data"), **size))
    with open(os.path.join(tools.data, "arrays.json"), encoding="utf-8") as f:
        known = json.load(f)
    count, unit = workload.per
    params, times = first_parameters(tools, workload)
    began = machine.load()
    peers = start_peers(tools, workload, params, known["arrays"], options, say) if options.peers else []
    ours = [sides.Ours(tools, workload, n) for n in options.threads]
    everyone = [s for n in options.threads for s in ours + peers if s.threads == n]
    try:
        take_turns(everyone, workload, options)
        for side in peers if workload.accuracy else []:
            side.accuracy = side.ask("accuracy")["accuracy"]
    finally:
        for side in everyone:
            side.close()
    found = [figures(side, workload.counts) for side in everyone]
    for side, f in zip(everyone, found):
        if workload.accuracy:
            f["accuracy"] = side.accuracy if side in peers else sides.accuracy(tools, workload, side.state)
    if not options.quick:
        shares(workload, found, peaks)
    apart = [loss_difference(best_of(found, "sqlgrad"), f) for f in found if f["label"] != "sqlgrad"]
    return {"name": workload.name, "title": workload.title, "per": [size.get(count, count), unit],
            "data": known["kind"], "quick": options.quick,
            "machine": machine.describe(), "load_average": [began, machine.load()], "times": times, "sides": found,
            "ratios": ratios(workload, found, options.threads) if peers else [],
            "losses": apart, "rtol": workload.rtol, "must_seconds": workload.seconds,
            "peaks": {str(k): v for k, v in peaks.items()}}
