# SPDX-License-Identifier: Apache-2.0
"""What the machine is, and what it can do at most (bench/peak.c)."""
import json
import os
import platform
import re
import subprocess


def first_match(path, pattern):
    try:
        with open(path, encoding="utf-8") as f:
            m = re.search(pattern, f.read(), re.M)
    except OSError:
        return ""
    return m[1].strip() if m else ""


def describe():
    flags = first_match("/proc/cpuinfo", r"^flags\s*:(.*)$").split()
    wide = [f for f in ("avx512f", "avx2", "avx") if f in flags]
    version = subprocess.run(["cc", "--version"], capture_output=True, text=True).stdout.splitlines()
    return {"cpu": first_match("/proc/cpuinfo", r"^model name\s*:(.*)$") or platform.machine(),
            "family": first_match("/proc/cpuinfo", r"^cpu family\s*:(.*)$"), "vectors": wide[0] if wide else "",
            "processors": len(os.sched_getaffinity(0)), "system": platform.platform(terse=True),
            "compiler": version[0] if version else ""}


def peaks(program, thread_counts):
    """Threads -> the rates peak.c measures."""
    found = {}
    for n in thread_counts:
        r = subprocess.run([program, str(n)], stdout=subprocess.PIPE, text=True, check=True)
        found[n] = json.loads(r.stdout)
    return found


def load():
    """Processes that want to run, averaged over a minute: how much of a quiet machine this was."""
    return round(os.getloadavg()[0], 2)
