# SPDX-License-Identifier: Apache-2.0
"""What is printed and written: lines on the terminal, results/NAME.json, results.md made of all of those."""
import glob
import json
import os


def duration(s):
    """Three figures with a unit."""
    for unit, scale in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if s * scale >= 1 or unit == "µs":
            return f"{s * scale:.3g} {unit}"


def rate(result, seconds):
    count, unit = result["per"]
    r = count / seconds
    return "" if unit == "step" else f"{r / 1e6:,.1f} M {unit}/s" if r >= 1e7 else f"{r:,.0f} {unit}/s"


def times(r):
    return f"{r:.2f}×" if r < 9.95 else f"{r:.0f}×"


def side_line(result, f):
    words = [f"  {f['label']}, {f['threads']} thread{'s' * (f['threads'] > 1)}:", duration(f["seconds"]),
             f"[{duration(f['least'])} .. {duration(f['greatest'])}]", rate(result, f["seconds"]), f"{f['rss_mib']} MiB"]
    if f["processors_used"]:
        words.append(f"{f['processors_used']} processors")
    if "gflops" in f:
        words.append(f"{f['gflops']:.1f} GFLOP/s ({100 * f['share_of_fma']:.0f} % of peak)")
    if "gbs" in f:
        words.append(f"{f['gbs']:.1f} GB/s ({100 * f['share_of_bandwidth']:.0f} % of triad)")
    if "accuracy" in f:
        words.append(f"accuracy {f['accuracy']:.4f}, loop {f['total_seconds']:.1f} s")
    if "config" in f:
        words.append(f["config"])
    return "  ".join(w for w in words if w)


def verdict(ok):
    return "yes" if ok else "NO"


def summary(result):
    """Lines for the terminal."""
    yield from (side_line(result, f) for f in result["sides"])
    t = result["times"]
    yield (f"  compile {duration(t['compile_cold'])}, from the cache {duration(t['compile_cached'])}; "
           f"load {duration(t['load'])}; data: {result['data']}")
    for d in result["losses"]:
        yield (f"  losses of {d['peer']}, {d['threads']}: first {d['first']:.1e} apart, first {d['losses']} at most "
               f"{d['greatest']:.1e} ({d['ours']:.6g}, {d['theirs']:.6g}); within {result['rtol']:g}: "
               f"{verdict(d['greatest'] <= result['rtol'])}")
    for r in result["ratios"]:
        for key in sorted(k for k in r if k not in ("peer", "must")):
            what = "best against best" if key == "best" else f"{key} thread{'s' * (key != '1')} against {key}"
            bar = f"; at least {r['must']:g}: {verdict(r[key]['ratio'] >= r['must'])}" if r["must"] and key == "1" else ""
            yield (f"  {r['peer']}: {what}: {times(r[key]['ratio'])} its speed (by round {times(r[key]['least'])} .. "
                   f"{times(r[key]['greatest'])}, quietest turns {times(r[key]['quietest'])}){bar}")
    if result["must_seconds"]:
        least = min(f["seconds"] for f in result["sides"] if f["label"] == "sqlgrad")
        yield f"  under {duration(result['must_seconds'])}: {verdict(least < result['must_seconds'])}"


def agree(result):
    return all(d["greatest"] <= result["rtol"] for d in result["losses"])


# ---- files ----

def write(result, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, result["name"] + ".json"), "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")


def read_all(folder, order):
    found = []
    for path in glob.glob(os.path.join(folder, "*.json")):
        with open(path, encoding="utf-8") as f:
            result = json.load(f)
        if result.get("name") in order and not result["quick"]:
            found.append(result)
    return sorted(found, key=lambda r: order.index(r["name"]))


def cell(result, f):
    return f"{duration(f['seconds'])}, {rate(result, f['seconds'])}" if rate(result, f["seconds"]) else duration(f["seconds"])


def find(result, label, threads):
    return next((f for f in result["sides"] if f["label"] == label and f["threads"] == threads), None)


def table_row(result, ratio):
    ours, theirs = find(result, "sqlgrad", 1), find(result, ratio["peer"], 1)
    mem = f"{ours['rss_mib']} / {theirs['rss_mib']} MiB"
    one, best = ratio.get("1"), ratio["best"]
    spread = f"{times(one['ratio'])} ({times(one['least'])} .. {times(one['greatest'])})"
    return (f"| {result['title']} | {ratio['peer']} | {cell(result, ours)} | {cell(result, theirs)} | {spread} "
            f"| {times(best['ratio'])} | {mem} |")


def machine_line(m, peaks):
    words = [f"{m['processors']} processors of {m['cpu']} (family {m['family']}, {m['vectors']})", m["system"], m["compiler"]]
    for n, p in sorted(peaks.items()):
        gemm = f", sgemm {p['sgemm_gflops']:.0f}" if "sgemm_gflops" in p else ""
        words.append(f"{n} thread{'s' * (n != '1')} at most {p['fma_gflops']:.0f} GFLOP/s{gemm}, {p['triad_gbs']:.0f} GB/s")
    return "; ".join(words)


def markdown(results):
    """A table for the README, and what each figure says."""
    yield "Time of one step, median, one thread; ratio: how many times the peer's speed, with the least and greatest of"
    yield "the rounds; best: the fastest thread count of each; memory: the most each process had, one thread."
    yield ""
    yield "| workload | peer | sqlgrad | peer's time | ratio | best | memory |"
    yield "|---|---|---|---|---|---|---|"
    for result in results:
        yield from (table_row(result, r) for r in result["ratios"] if "1" in r)
    yield ""
    yield "| workload | compile | from the cache | load | GFLOP/s (share of peak) | configuration of the peer |"
    yield "|---|---|---|---|---|---|"
    for result in results:
        f, t = find(result, "sqlgrad", 1), result["times"]
        configs = "; ".join(s["config"] for s in result["sides"] if s["threads"] == 1 and "config" in s)
        share = f"{f['gflops']:.1f} ({100 * f['share_of_fma']:.0f} %)" if f and "gflops" in f else ""
        yield (f"| {result['title']} | {duration(t['compile_cold'])} | {duration(t['compile_cached'])} | "
               f"{duration(t['load'])} | {share} | {configs} |")
    yield ""
    for result in results:
        for f in (f for f in result["sides"] if "accuracy" in f):
            yield (f"{result['title']}: {f['label']}, {f['threads']} thread{'s' * (f['threads'] > 1)}: "
                   f"{f['total_seconds']:.1f} s of steps, accuracy {100 * f['accuracy']:.2f} %.")
    for result in results[:1]:
        yield ""
        yield machine_line(result["machine"], result["peaks"]) + "."


def write_markdown(folder, path, order):
    results = read_all(folder, order)
    if results:
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(markdown(results)) + "\n")
