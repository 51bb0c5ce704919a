# SPDX-License-Identifier: ISC
"""What the freestanding archives need and hold: symbols.py ARCHIVE...

In the order of the layers, bottom to top: an archive needs nothing but ALLOWED
and what itself or an earlier one defines, all that it defines for others has
a prefix of ours, and it has no variable that could be written.
"""
import re
import subprocess
import sys

ALLOWED = {"memcpy", "memmove", "memset", "memcmp", "strlen"}
PREFIX = re.compile(r"(nf|bd|pk)_")
WRITABLE = re.compile(r"\.(data(?!\.rel\.ro)|bss|tdata|tbss)|\*COM\*")


def symbols(archive):
    """(name, class letter, section) of each."""
    out = subprocess.run(["nm", "--format=sysv", archive], check=True,
                         capture_output=True, text=True).stdout
    for line in out.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 7 and fields[0] != "Name":
            yield fields[0], fields[2], fields[6]


def main():
    known = ALLOWED | {"_GLOBAL_OFFSET_TABLE_"}  # made by the linker
    failed = 0
    for archive in sys.argv[1:]:
        rows = list(symbols(archive))
        defined = {name for name, kind, _ in rows if kind in "TDRBVW"}
        known |= defined
        bad = [f"needs {name}" for name, kind, _ in rows
               if kind == "U" and name not in known]
        bad += [f"defines {name}" for name in defined if not PREFIX.match(name)]
        bad += [f"can write {name} in {section}" for name, _, section in rows
                if WRITABLE.match(section)]
        if not defined:
            bad.append("defines nothing")
        for what in sorted(set(bad)):
            print(f"{archive} {what}")
        failed += bool(bad)
    print(f"{len(sys.argv) - 1 - failed} passed, {failed} failed")
    return int(failed > 0)


sys.exit(main())
