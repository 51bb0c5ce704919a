# SPDX-License-Identifier: ISC
"""Random scripts for two programs: pack_reference.py NOTAPACK [FIRST [N]]

The reference model of the real irmin-pack runs a script while it is made,
`notapack script` runs it after that. Same answers; where nothing was read
between writes the same files to the byte, else the same listing. What the
reference finds in our stores: nothing. What `notapack` finds in its: nothing.
The same after our store was replayed into another, and its index made anew.
"""
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile

from pack_scripts import Author, Shape, some_config

SHARED = os.environ.get("NOTAFS_SHARED", os.path.join("..", "shared"))
NOTAPACK = sys.argv[1]
FIRST = int(sys.argv[2]) if len(sys.argv) > 2 else 1
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 24
STRATEGIES = ["minimal", "minimal", "always", "minimal_with_contents"]


def load_reference():
    """The module reference/irmin_pack.py, with all hashes that we know."""
    path = os.path.join(SHARED, "reference", "irmin_pack.py")
    if not os.path.exists(path):
        print("NOT CHECKED AGAINST THE REAL PROGRAM: there is no", path)
        sys.exit(1 if os.environ.get("NOTAFS_REQUIRE_SHARED") else 77)
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    digests, hashlib = module.DIGESTS, module.hashlib
    for size in (20, 48):
        digests[f"blake2b{size}"] = \
            lambda b, n=size: hashlib.blake2b(b, digest_size=n)
    for name in ("blake2s", "sha224", "sha384", "sha512"):
        digests[name] = getattr(hashlib, name)
    digests["rmd160"] = lambda b: hashlib.new("ripemd160", b)
    return module


def notapack(*args, text=None):
    run = subprocess.run([NOTAPACK, *args], capture_output=True, timeout=300,
                         input=text, check=False)
    if run.returncode < 0 or run.returncode > 127:
        raise AssertionError(f"notapack {args} died: {run.stderr}")
    return run.stdout.decode(), run.stderr.decode()


def files_of(root):
    files = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            files[os.path.relpath(path, root)] = open(path, "rb").read()
    files.pop(os.path.join("index", "lock"), None)
    return files


def plain(answers):
    """Answers without the texts of errors, which are each program's own."""
    return ["error" if a.startswith("error ") else a for a in answers]


class Round:
    def __init__(self, reference, seed, folder):
        self.reference, self.folder = reference, folder
        self.rand = random.Random(seed)
        self.config = some_config(self.rand)
        self.strategy = self.rand.choice(STRATEGIES)
        self.reads = self.rand.random() < 0.5
        self.ours = os.path.join(folder, "ours")
        self.options = ["--config", self.config, "--strategy", self.strategy]

    def name(self, seed):
        return f"{seed} ({self.config} {self.strategy}" \
            f"{' reads' if self.reads else ''})"

    def scripts(self):
        """A writer of the reference that has run them, or what differs."""
        reference = self.reference
        writer = reference.Writer(reference.Config.parse(self.config),
                                  self.strategy, None)
        shape = Shape(self.rand, reads=self.reads)
        for part in range(self.rand.choice([1, 2])):
            script = reference.Script(writer)
            theirs = []

            def ask(line):
                answers = list(script.run(line))[:-1]
                theirs.extend(answers)
                return answers

            text = Author(self.rand, ask, shape).script()
            out, err = notapack("-s", self.ours, "script", *self.options,
                                text=text.encode())
            ours = out.splitlines()
            theirs.append("closed")
            for i, pair in enumerate(zip(plain(ours), plain(theirs))):
                if pair[0] != pair[1]:
                    return writer, f"part {part} answer {i}: {pair} {err}"
            if len(ours) != len(theirs):
                return writer, f"part {part} ended early: {err}"
        return writer, None

    def files_differ(self, writer):
        """Which file differs, and where."""
        ours, theirs = files_of(self.ours), writer.store_files()
        for name in sorted(set(ours) | set(theirs)):
            a, b = ours.get(name), theirs.get(name)
            if a is None or b is None:
                return f"{name} is missing"
            if a != bytes(b):
                at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y),
                          min(len(a), len(b)))
                return f"{name} differs at {at} ({len(a)} for {len(b)} bytes)"
        return None

    def verify(self, root):
        """What the reference finds in a store of ours."""
        reference = self.reference
        store = reference.Store(root, None,
                                reference.Config.parse(self.config))
        problems = reference.Verifier(store).run()
        return f"verify of {root}: {problems[0]}" if problems else None

    def maintained(self, listing):
        """Replay, then repair: the listing stays."""
        copy = os.path.join(self.folder, "copy")
        _, err = notapack("replay", self.ours, copy, "-q", *self.options)
        if notapack("-s", copy, "dump", "--all", *self.options)[0] != listing:
            return f"the listing of the replayed store differs: {err}"
        shutil.rmtree(os.path.join(self.ours, "index"))
        _, err = notapack("-s", self.ours, "repair", *self.options)
        if notapack("-s", self.ours, "dump", "--all",
                    *self.options)[0] != listing:
            return f"the listing of the repaired store differs: {err}"
        return self.verify(copy) or self.verify(self.ours)

    def problem(self):
        writer, problem = self.scripts()
        if problem:
            return problem
        if not self.reads:
            problem = self.files_differ(writer)
        theirs = os.path.join(self.folder, "theirs")
        self.reference.write_files(theirs, writer.store_files())
        dumps = []
        for root in (self.ours, theirs):
            dumps.append(notapack("-s", root, "dump", "--all",
                                  *self.options)[0])
            out, err = notapack("-s", root, "check", *self.options)
            if out.splitlines()[-1:] != ["CHECK OK"]:
                problem = problem or f"check of {root}: {out}{err}"
        if dumps[0] != dumps[1] or not dumps[0]:
            problem = problem or "the listings differ"
        return problem or self.verify(self.ours) or self.maintained(dumps[0])


def main():
    reference = load_reference()
    passed = 0
    for seed in range(FIRST, FIRST + ROUNDS):
        with tempfile.TemporaryDirectory(prefix="notapack-") as folder:
            one = Round(reference, seed, folder)
            problem = one.problem()
            if problem:
                print(f"FAIL seed {one.name(seed)}: {problem}")
            passed += problem is None
    print(f"{passed} passed, {ROUNDS - passed} failed")
    sys.exit(passed < ROUNDS)


main()
