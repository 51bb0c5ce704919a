# SPDX-License-Identifier: ISC
"""What the tests of the program notafs share.

A test file is a program: test_X.py NOTAFS SUPPORT_DIR. Its functions named
test_* are cases, each run in an empty directory of its own; the last line says
"N passed, N failed".
"""
import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import traceback

NOTAFS = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "notafs"
ENV = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm"}


class Skip(Exception):
    """A case that cannot be run here."""


def run(*args, status=0, stdin=b"", text=True):
    """Run notafs; its stdout. The exit status must be the given one (None: any),
    and on success nothing may be on stderr but what the case asks for."""
    done = subprocess.run([NOTAFS, *map(str, args)], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=ENV, timeout=300, check=False)
    if status is not None and done.returncode != status:
        raise AssertionError("notafs %s: status %d, not %d\n%s%s" % (
            " ".join(map(str, args)), done.returncode, status,
            done.stdout.decode(errors="replace")[-2000:],
            done.stderr.decode(errors="replace")[-2000:]))
    run.err = done.stderr.decode(errors="replace")
    run.status = done.returncode
    return done.stdout.decode() if text else done.stdout


def run_json(*args, status=0):
    return json.loads(run(*args, "--json", status=status))


def format_disk(size="16m", name="disk.img", **options):
    args = ["--%s=%s" % (k.replace("_", "-"), v) for k, v in options.items()]
    run("format", "-d", name, "--size", size, *args)
    return name


def same(found, wanted):
    if found != wanted:
        raise AssertionError("found %r\nnot   %r" % (found, wanted))


def has(text, part):
    if part not in text:
        raise AssertionError("%r is not in %r" % (part, text))


def data(length, seed):
    return random.Random(seed).randbytes(length)


def make_tree(top, seed=1, files=40, largest=200000):
    """Directories and files of many sizes, reproducible."""
    dice = random.Random(seed)
    folders = [top]
    os.makedirs(top)
    for i in range(files // 6 + 1):
        folder = os.path.join(dice.choice(folders), "dir %d" % i)
        os.makedirs(folder)
        folders.append(folder)
    for i in range(files):
        name = dice.choice(["plain", "with space", "utf8-\u00e9", "%41", "x.tar"])
        size = dice.choice([0, 1, 100, 511, 512, 513, 4095, 4096, 4097,
                            dice.randrange(largest)])
        path = os.path.join(dice.choice(folders), "%s-%d" % (name, i))
        with open(path, "wb") as file:
            file.write(dice.randbytes(size))
        os.utime(path, (0, 1600000000 + i))
    for i, folder in enumerate(folders):
        os.utime(folder, (0, 1500000000 + i))


def tree_of(top):
    """{relative path: None for a directory, (mtime, sha256) for a file}."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in folders:
            found[os.path.relpath(os.path.join(folder, name), top)] = None
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(path, top)] = (int(os.stat(path).st_mtime),
                                                 digest)
    return found


def percent(path):
    return "".join(chr(c) if c < 128 and (chr(c).isalnum() or c in b"._-/")
                   else "%%%02x" % c for c in path.encode())


def dump_of(top, prefix=""):
    """The lines of a dump for files that are copies of a directory's."""
    lines = []
    for path, what in tree_of(top).items():
        if what is not None:
            size = os.path.getsize(os.path.join(top, path))
            lines.append("%s/%s file %d %s %d" % (prefix, percent(path), size,
                                                 what[1], what[0]))
    return sorted(lines)


def dumped_files(disk, *options):
    return sorted(line for line in run("dump", "-d", disk, *options).splitlines()
                  if " file " in line)


def clean(disk, *options):
    """check finds nothing."""
    has(run("check", "-d", disk, *options), "clean")


@contextlib.contextmanager
def inside(folder):
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main(names):
    passed = failed = 0
    for name, case in list(names.items()):
        if not name.startswith("test_"):
            continue
        with tempfile.TemporaryDirectory() as folder, inside(folder):
            try:
                case()
            except Skip as why:
                print("SKIPPED %s: %s" % (name, why))
                continue
            except Exception:  # whatever it is, the case has failed
                failed += 1
                print("FAILED %s" % name)
                traceback.print_exc(file=sys.stdout)
                continue
        passed += 1
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)
