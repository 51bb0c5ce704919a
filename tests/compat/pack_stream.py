# SPDX-License-Identifier: ISC
"""Golden stores through streams: pack_stream.py NOTAPACK

Each is cloned, into a directory or (every fifth) into an image: the copy has to
list as upstream lists the original, to the letter, and to pass our check and
the reference's. A commit whose parents stayed behind, collected, refers to them
by hash; the reference calls that a problem, and it is the only one that may be.
Stores of one commit have to have the files that upstream made, to the byte.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SHARED = os.environ.get("NOTAFS_SHARED", os.path.join(ROOT, "..", "shared"))
GOLDEN = os.path.join(SHARED, "golden", "irmin")
REFERENCE = os.path.join(SHARED, "reference", "irmin_pack.py")
VERIFY_MAX = 400_000  # bytes of store that the reference is given
NOTAPACK = sys.argv[1]


def pack(*args, status=0):
    done = subprocess.run([NOTAPACK, "-q", *args], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != status:
        raise AssertionError(f"{' '.join(args)}: {done.returncode}\n"
                             f"{done.stderr.decode()}")
    return done.stdout


def size_of(folder):
    return sum(os.path.getsize(os.path.join(at, name))
               for at, _, names in os.walk(folder) for name in names)


def reference_verifies(store, config):
    if size_of(store) > VERIFY_MAX:
        return
    done = subprocess.run([sys.executable, REFERENCE, "verify", store,
                           "--config", config], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    problems = [line for line in done.stdout.decode().splitlines()
                if "PROBLEM" in line and "refers to the absent" not in line]
    if problems or done.returncode not in (0, 1):
        raise AssertionError(f"{problems}\n{done.stderr.decode()}")


class Golden:
    def __init__(self, name):
        self.name = name
        self.folder = os.path.join(GOLDEN, name)
        with open(os.path.join(self.folder, "manifest.json"),
                  encoding="utf-8") as file:
            self.manifest = json.load(file)
        config = self.manifest["config"]
        self.config = ["--config", config["name"],
                       "--strategy", config["indexing_strategy"]]
        self.store = os.path.join(self.folder, "store")
        lower = os.path.join(self.folder, "lower")
        self.lower = ["--lower", lower] if os.path.exists(lower) else []
        self.commits = ([self.manifest["commits"][0]["hash"]]
                        if name.endswith("-snapshot") else [])

    def dump(self, store):
        args = ["--commit", self.commits[0]] if self.commits else []
        text = pack("-s", store, *self.config, "dump", *args)
        return hashlib.sha256(text).hexdigest()

    def clone(self, target):
        pack(*self.config, *self.lower, "clone", self.store, target,
             *self.commits)
        expected = os.path.join(self.folder, "dump.sha256")
        if os.path.exists(expected):
            with open(expected, encoding="ascii") as file:
                assert self.dump(target) == file.read().split()[0], "listing"
        pack("-s", target, *self.config, "check")
        if os.path.isdir(target):
            reference_verifies(target,
                               os.path.join(self.folder, "manifest.json"))

    def one_commit(self, target):
        """Once more what upstream made once: one generation on."""
        pack("-s", self.store, *self.config, "snapshot", "--as-store", target,
             self.commits[0])
        for ours, theirs in (("store.2.prefix", "store.1.prefix"),
                             ("store.2.mapping", "store.1.mapping"),
                             ("store.1.suffix",) * 2, ("store.dict",) * 2,
                             ("store.branches",) * 2, ("index/log",) * 2):
            with open(os.path.join(target, ours), "rb") as a, \
                    open(os.path.join(self.store, theirs), "rb") as b:
                assert a.read() == b.read(), ours
        with open(os.path.join(target, "store.control"), "rb") as a, \
                open(os.path.join(self.store, "store.control"), "rb") as b:
            a, b = bytearray(a.read()), bytearray(b.read())
        a[25:33] = b[25:33]  # the checksum
        assert (a[45], b[45]) == (2, 1), "generation"
        a[45] = b[45]
        assert a == b, "control"
        reference_verifies(target, os.path.join(self.folder, "manifest.json"))


def main():
    if not os.path.exists(GOLDEN):
        print(f"{GOLDEN}: not there, nothing compared")
        return int("NOTAFS_REQUIRE_SHARED" in os.environ)
    passed = failed = 0
    for i, name in enumerate(sorted(os.listdir(GOLDEN))):
        golden = Golden(name)
        work = tempfile.mkdtemp()
        target = os.path.join(work, "clone")
        if i % 5 == 4:
            image = os.path.join(work, "image")
            subprocess.run([NOTAPACK[:-len("notapack")] + "notafs", "format",
                            "-d", image, "--size", "64M"], check=True,
                           stdout=subprocess.DEVNULL)
            target = image + ":clone"
        try:
            golden.clone(target)
            if golden.commits:
                golden.one_commit(os.path.join(work, "one"))
            passed += 1
        except AssertionError as error:
            print(f"{name}: {error}")
            failed += 1
        shutil.rmtree(work)
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


sys.exit(main())
