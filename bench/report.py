# SPDX-License-Identifier: ISC
"""Runs the workloads and reports.

    report.py NOTAFS_BENCH OUT [--quick|--long] [RUN]...

OUT gets RUN.json, the records of each run; report.md with plots, by gnuplot; and
readme.md, the tables of the README. --quick runs everything small, --long goes on
to 10^7 objects. With names of runs only these are run, and reported together
with what OUT has already. Runs are taken several times in alternation; figures
are medians, with the quartiles. Interrupted, it reports what there is.
"""
import json
import os
import signal
import subprocess
import sys
import time

import plots
import runs
import tables


class Stop:
    """Ctrl-C, or asked to end: so is the run that is under way."""

    def __init__(self):
        self.number = 0
        self.child = None

    def __call__(self, number, _frame):
        self.number = number
        if self.child is not None:
            self.child.terminate()


stop = Stop()


def measure_one(program, words):
    """What a run prints. A run that is ended removes what it made."""
    with subprocess.Popen([program, *words.split(), "--json"],
                          stdout=subprocess.PIPE, text=True) as run:
        stop.child = run
        if stop.number: # while it was started
            run.terminate()
        text = run.communicate()[0]
        stop.child = None
    return text if run.returncode == 0 else None


def progress(begun, i, n, name):
    seconds = int(time.monotonic() - begun)
    print(f"[{i:2}/{n} {seconds // 60}:{seconds % 60:02}] {name}",
          file=sys.stderr, flush=True)


def measure(program, out, rows):
    """Run them all, in turns; the names of those that failed."""
    begun = time.monotonic()
    failed = []
    turns = [(turn, name, words) for turn in range(9)
             for name, times, words in rows if turn < times]
    for i, (turn, name, words) in enumerate(turns, 1):
        progress(begun, i, len(turns), name)
        text = measure_one(program, words)
        if stop.number:
            break
        if text is None:
            print(f"{name} FAILED: {words}", file=sys.stderr)
            failed.append(name)
            continue
        with open(f"{out}/{name}.json", "a" if turn else "w",
                  encoding="utf-8") as file:
            file.write(text)
    return failed


def load(out, names):
    """{run: its records}, of the runs that OUT has."""
    records = {}
    for name in names:
        path = f"{out}/{name}.json"
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                records[name] = [json.loads(line) for line in file]
    return {name: rows for name, rows in records.items() if rows}


def main():
    program, out, *words = sys.argv[1:]
    mode = words.pop(0) if words and words[0] in ("--quick", "--long") else ""
    tree = os.path.dirname(os.path.abspath(__file__))
    rows = list(runs.runs(mode, tree))
    names = [row[0] for row in rows]
    wrong = [word for word in words if word not in names]
    if wrong:
        sys.exit(f"no such run: {wrong[0]}; there are {' '.join(names)}")
    os.makedirs(out, exist_ok=True)
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, stop)
    failed = measure(program, out,
                     [row for row in rows if not words or row[0] in words])
    records = load(out, names)
    tables.write(out, records, failed, plots.write(out, records))
    print(f"{out}/report.md")
    sys.exit(128 + stop.number if stop.number else 1 if failed else 0)


main()
