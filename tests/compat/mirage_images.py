# SPDX-License-Identifier: ISC
"""What the tests of mirage images share: golden images, the reference model
of the OCaml program, and the program `notafs`."""
import contextlib
import importlib.util
import lzma
import os
import subprocess
import sys
import tempfile

SHARED = os.environ.get("NOTAFS_SHARED", os.path.join("..", "shared"))
GOLDEN = os.path.join(SHARED, "golden", "notafs")
NOTAFS = sys.argv[1]


def need_shared():
    """Ends the test where the data of the real program are not there."""
    if not os.path.isdir(GOLDEN):
        print("NOT CHECKED AGAINST THE REAL PROGRAM: there is no", GOLDEN)
        sys.exit(1 if os.environ.get("NOTAFS_REQUIRE_SHARED") else 77)


def load_reference():
    """The module reference/notafs.py."""
    path = os.path.join(SHARED, "reference", "notafs.py")
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module


def golden_names():
    return sorted(name[:-len(".img.xz")] for name in os.listdir(GOLDEN)
                  if name.endswith(".img.xz"))


def golden_bytes(name):
    with lzma.open(os.path.join(GOLDEN, name + ".img.xz")) as f:
        return bytearray(f.read())


def golden_text(name):
    with open(os.path.join(GOLDEN, name), encoding="utf-8") as f:
        return f.read()


@contextlib.contextmanager
def image_file():
    """The path of an image to write on."""
    with tempfile.TemporaryDirectory(prefix="notafs-") as folder:
        yield os.path.join(folder, "disk.img")


def notafs(*args, **options):
    """Runs a verb: (exit status, output, errors)."""
    run = subprocess.run([NOTAFS, *args], capture_output=True, text=True,
                         timeout=300, check=False, **options)
    if run.returncode < 0 or run.returncode > 127:
        raise AssertionError(f"notafs {args} died: {run.returncode} "
                             f"{run.stderr}")
    return run.returncode, run.stdout, run.stderr


def dump(path):
    """The listing, or None when the disk cannot be opened."""
    status, out, _ = notafs("dump", "-d", path)
    return out if status == 0 else None


def without_counter(text):
    """A listing without the line of the free counter, which the OCaml program
    gets wrong."""
    return [line for line in text.splitlines()
            if not line.startswith("free_sectors")]


class Tally:
    """Counts cases, and ends the test."""

    def __init__(self):
        self.passed = self.failed = 0

    def case(self, name, problem=None):
        if problem:
            print(f"FAIL {name}: {problem}")
            self.failed += 1
        else:
            self.passed += 1

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(self.failed > 0)
