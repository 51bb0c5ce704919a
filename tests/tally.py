# SPDX-License-Identifier: ISC
"""Sums the cases of one `meson test`: tally.py testlog.json

A program that ends with "N passed, N failed" counts as that many cases, any
other as one; a program that fails otherwise than by a failed case is one more
that failed. The sum is the last line.
"""
import json
import re
import sys

COUNTS = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)


def cases(test):
    """(passed, failed) of one test program."""
    ok = test["result"] == "OK"
    found = COUNTS.findall(test.get("stdout", ""))
    if not found:
        return (int(ok), int(not ok))
    passed, failed = map(int, found[-1])
    return (passed, max(failed, int(not ok)))


def main():
    passed = failed = 0
    with open(sys.argv[1], encoding="utf-8") as log:
        for test in map(json.loads, log):
            if test["result"] == "SKIP":
                print(f"SKIPPED {test['name']}: {test.get('stdout', '').strip()}")
                continue
            more = cases(test)
            passed, failed = passed + more[0], failed + more[1]
            if more[1] > 0:
                print(f"FAILED {test['name']} ({test['result']})")
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


sys.exit(main())
