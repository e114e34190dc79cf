# SPDX-License-Identifier: Apache-2.0
"""What bench/run and bench/scale are made of.

workloads   what is measured: one entry each
data        the data sets, made once and kept
sides       the processes that do the work, ours and the peers', and how they are spoken to
measure     one workload: trials, turns in rounds, what is computed from them
report      tables, JSON, Markdown
machine     what the machine is and what it can do at most
plot        an SVG of points and power laws
"""
