# SPDX-License-Identifier: ISC
"""How much code a program gets from libnotafs-core.a: size.py NAME=FILE...

Each FILE is linked with nothing but what it uses. Prints the bytes of code and
constants (text), and fails when one is above its limit; a goal that is missed
is said. The last line says "N passed, N failed".
"""
import subprocess
import sys

KIB = 1024
# name: (goal, limit), bytes. The limit keeps a miss from getting worse.
BOUNDS = {
    "Notafs, native disks": (48 * KIB, 48 * KIB),
    "Notafs, both profiles": (None, 68 * KIB),
    "Notafs, both profiles, all calls": (None, 84 * KIB),
    "whole store, native disks": (192 * KIB, 192 * KIB),
    "whole store, both profiles": (192 * KIB, 192 * KIB),
}
KEPT = (".text", ".rodata", ".data.rel.ro", ".data", ".bss")


def sections(path):
    """{section: bytes}, what has a name of KEPT or below it added up."""
    out = subprocess.run(["size", "-A", path], check=True, capture_output=True,
                         text=True).stdout
    found = dict.fromkeys(KEPT, 0)
    for line in out.splitlines():
        fields = line.split()
        for name in KEPT:
            if len(fields) == 3 and (fields[0] == name
                                     or fields[0].startswith(name + ".")):
                if name != ".data" or not fields[0].startswith(".data.rel.ro"):
                    found[name] += int(fields[1])
    return found


def main():
    failed = 0
    for word in sys.argv[1:]:
        name, path = word.split("=")
        goal, limit = BOUNDS[name]
        found = sections(path)
        text = found[".text"] + found[".rodata"] + found[".data.rel.ro"]
        said = "" if goal is None else f", goal {goal}"
        if goal is not None and text > goal:
            said += f" MISSED by {text - goal}"
        print(f"{name}: text {text}{said}, variables "
              f"{found['.data'] + found['.bss']}")
        if text > limit or found[".data"] + found[".bss"] > 0:
            print(f"FAILED {name}: above {limit}, or variables")
            failed += 1
    print(f"{len(sys.argv) - 1 - failed} passed, {failed} failed")
    return int(failed > 0)


sys.exit(main())
