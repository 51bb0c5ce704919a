# SPDX-License-Identifier: ISC
"""Garbage collections by ours and by the reference model of irmin-pack:
pack_gc_reference.py NOTAPACK [SEED...]

Random command scripts with splits, collections and volumes run on both: the
answers are the same, and so are all files, byte by byte; where a script reads
between its writes, which makes upstream write some inodes again, listings are.
What ours has written is verified by the reference. Golden stores, collected by
the real program or not, with a lower layer or not, are collected once more.
"""
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

SHARED = os.environ.get("NOTAFS_SHARED", os.path.join("..", "shared"))
GOLDEN = os.path.join(SHARED, "golden", "irmin")
NOTAPACK = os.path.abspath(sys.argv[1])
CONFIGS = ("smallseeded", "kv64", "tezos", "small", "kv32", "hashbits", "sha1")
N_SEEDS = 42
STEPS = ["a", "b", "dir", "longer-directory-name", "data", "%c3%a9", "x%20y"]


def load_reference():
    path = os.path.join(SHARED, "reference", "irmin_pack.py")
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module


def notapack(*args, stdin="", env=None):
    done = subprocess.run([NOTAPACK, *args], input=stdin, text=True,
                          capture_output=True, timeout=300, check=False,
                          env={**os.environ, **(env or {})})
    if done.returncode not in (0, 1):
        raise AssertionError("notapack %s: status %d: %s" % (
            " ".join(args), done.returncode, done.stderr[-500:]))
    return done.stdout + done.stderr


class Commands:
    """Random commands, run on the model as they are made: which commits there
    are, and which of them a collection has left whole, is what it says."""

    def __init__(self, reference, rand, writer, reads):
        self.rand, self.writer, self.reads = rand, writer, reads
        self.script = reference.Script(writer)
        self.width = rand.choice([4, 12, 60])
        self.kept_by = None  # what the last collection was told to keep
        self.lines, self.answers = [], []

    def add(self, line):
        answers = list(self.script.run(line))[:-1]  # without "closed"
        self.lines.append(line)
        self.answers += answers
        return not (answers and answers[-1].startswith("error"))

    def is_there(self, off):
        w = self.writer
        return (w.gc_state is None or off >= w.gc_state["suffix_start"] or
                any(o <= off < o + n for mapping in
                    [w.mapping, *(v.mapping for v in w.volumes)]
                    for o, _, n in mapping))

    def descends(self, commit):
        """From what the last collection kept, or is it that?"""
        found, todo = set(), [commit]
        while todo:
            c = todo.pop()
            if c.off not in found:
                found.add(c.off)
                todo += c.parents
        return self.kept_by is None or self.kept_by.off in found

    def whole(self):
        """Commits of which all is there, by hash; collections leave others,
        newer ones on other branches, dangling. With reads that depends on what
        was written again: only what descends from what was kept counts, and
        there are no merges, whose trees may come from elsewhere."""
        found = []
        for commit in self.writer.commits.values():
            offs = {commit.off, *(p.off for p in commit.parents)}
            self.writer.tree_offsets(commit.root, offs)
            if all(map(self.is_there, offs)) and (not self.reads or
                                                  self.descends(commit)):
                found.append(commit.hash.hex())
        return sorted(found)

    def path(self):
        rand = self.rand
        steps = [rand.choice(STEPS) for _ in range(rand.choice([0, 0, 1, 2, 3]))]
        return "/".join(["", *steps, "f%d" % rand.randrange(self.width)])

    def change(self):
        rand = self.rand
        kind = rand.random()
        if kind < 0.75:
            self.add("set %s %d %d" % (
                self.path(), rand.choice([0, 1, 20, 60, 127, 128, 200, 1000]),
                rand.randrange(1 << 30)))
        elif kind < 0.8:
            self.add("setraw %s some%%20bytes" % self.path())
        elif kind < 0.95:
            self.add("del " + self.path())
        else:
            self.add("del /" + rand.choice(STEPS))
        if self.reads and rand.random() < 0.2:
            self.add(rand.choice(["hash", "find " + self.path(), "list /",
                                  "list /" + rand.choice(STEPS)]))

    def commit(self):
        rand = self.rand
        line = "commit %s %d %s msg%%20%d" % (
            rand.choice(["main", "main", "side", "-"]), rand.randrange(5000),
            rand.choice(["-", "author"]), rand.randrange(9))
        known = self.whole()
        head = self.script.head
        if known and head and not self.reads and rand.random() < 0.2:
            line += " " + " ".join(sorted({head.hash.hex(),
                                           rand.choice(known)}))
        self.add(line)

    def move(self):
        known = self.whole()
        if known:
            self.add("checkout " + self.rand.choice(known))

    def collect(self):
        """To some commit, mostly one that is allowed, then on from one that is
        left: what a tree in memory becomes is not told by the model."""
        known = self.whole()
        if not known:
            return
        target = self.rand.choice(known)
        if self.rand.random() < 0.7:  # the newest that is whole
            target = max(known, key=lambda h: self.writer.commits[
                bytes.fromhex(h)].off)
        state = self.writer.gc_state
        if self.writer.volumes and state and state["suffix_start"] == (
                self.writer.commits[bytes.fromhex(target)].off):
            return  # upstream would archive it twice, and then refuse
        if self.rand.random() < 0.5:
            self.add("split")
        if self.add("gc " + target):
            self.kept_by = self.writer.commits[bytes.fromhex(target)]
        self.add("checkout " + target)

    def one(self):
        kind = self.rand.random()
        if kind < 0.8:
            self.change()
        elif kind < 0.9:
            self.commit()
        elif kind < 0.92:
            self.move()
        elif kind < 0.94:
            self.add("split")
        elif kind < 0.96:
            self.collect()
        elif kind < 0.965:
            self.add("addvolume")
        elif kind < 0.98 and self.script.head is not None:
            self.add("reopen")
        elif kind < 0.985:
            self.add("setbranch other %s" % self.rand.choice(
                self.whole() or ["00"]))
        elif kind < 0.99:
            self.add("rmbranch side")
        else:
            self.add("flush")

    def take(self):
        """What a run of the program is fed, and what it should answer."""
        text = "\n".join(self.lines) + "\n"
        answers = self.answers + ["closed"]
        self.lines, self.answers = [], []
        return text, answers

    def begin(self, reference):
        """A run begins with an empty tree and no parent."""
        self.script = reference.Script(self.writer)


def without_text(answers):
    return ["error" if a.startswith("error") else a for a in answers]


def dump(config, store, lower):
    options = ["--lower", lower] if lower else []
    return notapack("-s", store, "--config", config, *options, "dump", "--all")


def first_difference(mine, theirs):
    for name in sorted(set(mine) | set(theirs)):
        if mine.get(name) != theirs.get(name):
            return "%s is %s" % (name, "missing" if name not in mine else
                                 "too many" if name not in theirs else
                                 "different")
    return None


def verify(reference, config, store, lower):
    """Problems, but those of commits that are newer than what was kept and no
    descendants of it, which upstream leaves dangling, too."""
    cfg = reference.Config.parse(config)
    found = reference.Verifier(reference.Store(store, lower, cfg)).run()
    return [str(p) for p in found if not (".suffix" in str(p) and
                                          "refers to the absent" in str(p))]


def random_round(reference, seed, folder):
    """None, or what is wrong; and how many collections there were."""
    rand = random.Random(seed)
    config = CONFIGS[seed % len(CONFIGS)]
    reads = rand.random() < 0.3
    store = os.path.join(folder, "store")
    lower = os.path.join(folder, "lower") if rand.random() < 0.5 else None
    writer = reference.Writer(reference.Config.parse(config), "minimal",
                              bool(lower))
    commands = Commands(reference, rand, writer, reads)
    options = ["--lower", lower] if lower else []
    n_gc = 0
    for session in range(rand.randrange(1, 4)):
        commands.begin(reference)
        if session > 0:
            commands.move()
        for _ in range(rand.choice([80, 300])):
            commands.one()
        commands.collect()
        text, wanted = commands.take()
        n_gc += wanted.count("gc ok")
        found = notapack("-s", store, "--config", config, *options, "script",
                         stdin=text).splitlines()
        if without_text(found) != without_text(wanted):
            at = next((i for i, (a, b) in enumerate(zip(
                without_text(found), without_text(wanted))) if a != b),
                min(len(found), len(wanted)))
            return "answer %d of run %d is %s, not %s" % (
                at, session, found[at:at + 1], wanted[at:at + 1]), n_gc
        problems = verify(reference, config, store, lower)
        if problems:
            return problems[0], n_gc
    theirs = os.path.join(folder, "theirs")
    reference.write_files(theirs, writer.store_files())
    their_lower = os.path.join(folder, "their-lower") if lower else None
    if lower:
        reference.write_files(their_lower, writer.lower_files())
    problem = None
    if not reads:
        problem = first_difference(reference.load_files(store),
                                   reference.load_files(theirs))
        if problem is None and lower:
            problem = first_difference(reference.load_files(lower),
                                       reference.load_files(their_lower))
    if problem is None and (dump(config, store, lower) !=
                            dump(config, theirs, their_lower)):
        problem = "the listings differ"
    return problem, n_gc


def lines_of(listing):
    """Of a listing what a collection does not change."""
    return [line for line in listing.splitlines()
            if not line.startswith(("unavailable ", "branch "))]


def golden_round(reference, name, folder, migrate):
    """A golden store gets a commit, is split and collected at it: the commit
    lists as before, and the reference finds nothing wrong. None, or what is;
    migrate: with a lower layer that is new to it."""
    with open(os.path.join(GOLDEN, name, "manifest.json"),
              encoding="utf-8") as file:
        manifest = json.load(file)
    config = manifest["config"]["name"]
    store, lower = (os.path.join(folder, part) for part in ("store", "lower"))
    shutil.copytree(os.path.join(GOLDEN, name, "store"), store)
    if os.path.isdir(os.path.join(GOLDEN, name, "lower")):
        shutil.copytree(os.path.join(GOLDEN, name, "lower"), lower)
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    if not migrate and not os.path.isdir(lower):
        lower = None
    options = ["-s", store, "--config", config,
               *(["--lower", lower] if lower else [])]
    before = notapack(*options[:4], "dump", "--all")
    head = manifest["branches"].get("main") or next(
        (c["hash"] for c in manifest["commits"]), None)
    found = notapack(*options, "script", stdin="%sset /after/gc 10 3\n"
                     "commit main 1 - -\n" % (
                         "checkout %s\n" % head if head else ""))
    if not found.startswith("commit "):
        return "no commit: " + found
    if migrate and not set(lines_of(before)) <= set(lines_of(
            notapack(*options, "dump", "--all"))):
        return "the migration has lost something"
    target = found.split()[1]
    listing = lines_of(notapack(*options, "dump", "--commit", target))
    everything = notapack(*options, "dump", "--all")
    found = notapack(*options, "script",
                     stdin="split\ngc %s\n" % target)
    if not found.endswith("gc ok\nclosed\n"):
        return found
    if lines_of(notapack(*options, "dump", "--commit", target)) != listing:
        return "the listing has changed"
    if lower and notapack(*options, "dump", "--all") != everything:
        return "something was lost"
    # The dead header of a store born V1 stays in front of its first volume,
    # and its commits keep their kind: P has another layout.
    return "; ".join(p for p in verify(reference, config, store, lower)
                     if "(0, 16, 440) not contiguous" not in p and not
                     (name.endswith("-v1") and "has kind C" in p)) or None


def may_collect(name, migrate):
    """Minimal from the first day on, not born before V3; or neither collected
    nor split before, when a lower layer is new to it."""
    with open(os.path.join(GOLDEN, name, "manifest.json"),
              encoding="utf-8") as file:
        config = json.load(file)["config"]
    if migrate:
        return config["contents_length_header"] and not name.endswith(
            ("dir100k", "tezos-crashtail", "lower", "snapshot", "split", "gc", "gcfresh",
             "gcmany", "gcnested"))
    return config["indexing_strategy"] == "minimal" and not name.endswith(
        ("-v1", "dir100k"))


def main():
    if not os.path.isdir(GOLDEN):
        print("NOT CHECKED AGAINST THE REAL PROGRAM: there is no", GOLDEN)
        sys.exit(1 if os.environ.get("NOTAFS_REQUIRE_SHARED") else 77)
    reference = load_reference()
    passed = failed = n_gc = 0

    def case(name, problem):
        nonlocal passed, failed
        if problem is None:
            passed += 1
        else:
            failed += 1
            print("FAILED %s: %s" % (name, problem))

    for seed in [int(word) for word in sys.argv[2:]] or range(N_SEEDS):
        with tempfile.TemporaryDirectory(prefix="notapack-") as folder:
            problem, n = random_round(reference, seed, folder)
            n_gc += n
            case("seed %d" % seed, problem)
    print("%d collections" % n_gc)
    for name in sorted(os.listdir(GOLDEN)) if len(sys.argv) == 2 else ():
        for migrate in (False, True):
            if not may_collect(name, migrate):
                continue
            with tempfile.TemporaryDirectory(prefix="notapack-") as folder:
                case(name + (" with a lower layer" if migrate else ""),
                     golden_round(reference, name, folder, migrate))
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)


main()
