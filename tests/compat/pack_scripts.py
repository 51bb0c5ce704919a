# SPDX-License-Identifier: ISC
"""Random command scripts for irmin-pack stores (golden/README.md), made while
a first program answers them: so they can name the commits that it made."""
from urllib.parse import quote_from_bytes

SAFE = "._-"  # beside letters and digits
SIZES = [0, 1, 2, 3, 4, 5, 20, 60, 100, 127, 128, 129, 200, 255, 256, 1000,
         5000, 16383, 16384, 16385]
DATES = [0, 1, -1, 1 << 31, 1700000000, -(1 << 40), (1 << 62) - 1,
         (1 << 63) - 1, -(1 << 63)]
TEXTS = ["-", "alice", "bob <bob@example.org>", "Zo\u00eb", "x" * 130,
         "two\nlines", "100%", "\0", "a/b"]
BRANCHES = ["main", "dev", "feature/one", "v1.0_x-y", "b" * 140]


def words(text):
    """A path, text or name as a script has it."""
    return quote_from_bytes(text if isinstance(text, bytes) else text.encode(),
                            safe=SAFE)


def path_words(path):
    return "/" + "/".join(words(step) for step in path)


class Shape:
    """What kind of script: how many of which commands, on what names."""

    def __init__(self, rand, reads=False, scale=1, gc=False):
        self.reads, self.gc = reads, gc
        self.commands = rand.choice([60, 150, 300]) * scale
        self.width = rand.choice([5, 40, 400]) * scale
        self.depth = rand.choice([1, 3, 6, 40])
        self.odd = rand.choice([0, 0.05, 0.4])
        self.burst = rand.choice([1, 1, 30, 120]) * scale
        self.largest = rand.choice([60, 1000, 20000])
        self.commits = rand.choice([0.03, 0.1, 0.3])


class Author:
    """Writes one script. `ask` takes a line and gives back the answers."""

    def __init__(self, rand, ask, shape):
        self.rand, self.ask, self.shape = rand, ask, shape
        self.files, self.head = set(), None
        self.trees = {}  # commit -> its files
        self.branches = {}
        self.lines = []

    def tell(self, line):
        answers = self.ask(line)
        self.lines.append(line)
        return answers

    # ------------------------------------------------------------- the words
    def step(self):
        rand, shape = self.rand, self.shape
        if rand.random() < shape.odd:
            return rand.choice([
                b"a", b"abc", b"abcd", b"\xc3\xa9\xc3\xa9", b"\xff\x00\xfe",
                b" ", b"%", b"a/b", b".", b"..", b"a\nb", b"-",
                b"n" * rand.choice([126, 127, 128, 129, 255, 256, 300]),
                bytes(rand.randrange(256) for _ in range(rand.randrange(1, 9)))
            ])
        return rand.choice([b"f%d", b"file-%04d", b"d%d"]) \
            % rand.randrange(shape.width)

    def path(self):
        depth = self.rand.randrange(1, self.shape.depth + 1)
        if self.shape.depth > 20:  # few deep chains rather than a bush
            base = [b"deep"] * (depth - 1)
        else:
            base = [b"dir%d" % self.rand.randrange(3)
                    for _ in range(depth - 1)]
        return tuple(base + [self.step()])

    def some_file(self):
        return self.rand.choice(sorted(self.files)) if self.files else (b"no",)

    # ---------------------------------------------------------- the commands
    def set(self, path):
        size = self.rand.choice(
            [n for n in SIZES if n <= self.shape.largest])
        seed = self.rand.choice([7, 8, self.rand.randrange(1 << 31)])
        # a file where a directory was, a directory where a file was
        self.files = {f for f in self.files if f[:len(path)] != path
                      and path[:len(f)] != f}
        self.files.add(path)
        self.tell(f"set {path_words(path)} {size} {seed}")

    def burst(self):
        base = self.path()[:-1] + (b"big%d" % self.rand.randrange(2),)
        for _ in range(self.shape.burst):
            self.set(base + (b"entry%d" % self.rand.randrange(10**6),))

    def remove(self):
        path = self.some_file()
        path = path[:self.rand.randrange(1, len(path) + 1)] \
            if self.rand.random() < 0.3 else path
        if self.rand.random() < 0.1:
            path = self.path()
        self.files = {f for f in self.files if f[:len(path)] != path}
        self.tell(f"del {path_words(path)}")

    def commit(self):
        rand = self.rand
        branch = rand.choice(BRANCHES + ["-"])
        date = rand.choice(DATES + [rand.randrange(1 << 40)])
        texts = [rand.choice(TEXTS) for _ in "ab"]
        line = f"commit {branch if branch == '-' else words(branch)} {date} " \
            + " ".join(t if t == "-" else words(t) for t in texts)
        if rand.random() < 0.2 and self.trees:
            line += "".join(" " + rand.choice(sorted(self.trees))
                            for _ in range(rand.randrange(1, 4)))
        for answer in self.tell(line):
            if answer.startswith("commit "):
                self.head = answer.split()[1]
                self.trees[self.head] = frozenset(self.files)
                if branch != "-":
                    self.branches[branch] = self.head

    def went_to(self, commit):
        self.head = commit
        self.files = set(self.trees.get(commit, ()))

    def move(self):
        rand = self.rand
        kind = rand.random()
        if kind < 0.4 and self.trees:
            commit = rand.choice(sorted(self.trees))
            if not self.tell(f"checkout {commit}"):
                self.went_to(commit)
        elif kind < 0.7:
            branch = rand.choice(sorted(self.branches) or ["none"])
            for answer in self.tell(f"checkout-branch {words(branch)}"):
                if answer.startswith("head "):
                    self.went_to(answer.split()[1])
        elif kind < 0.75:
            self.tell("empty")
            self.went_to(None)
        elif kind < 0.9 and self.trees:
            branch, commit = rand.choice(BRANCHES), \
                rand.choice(sorted(self.trees))
            if not self.tell(f"setbranch {words(branch)} {commit}"):
                self.branches[branch] = commit
        elif self.branches:
            branch = rand.choice(sorted(self.branches))
            self.tell(f"rmbranch {words(branch)}")
            self.branches.pop(branch)

    def store(self):
        kind = self.rand.random()
        if kind < 0.4:
            self.tell("flush")
        elif kind < 0.8:
            self.tell("reopen")
            if self.head:
                self.went_to(self.head)
        else:
            self.tell("split")

    def read(self):
        kind = self.rand.random()
        path = self.some_file() if self.rand.random() < 0.7 else self.path()
        if kind < 0.5:
            self.tell(f"find {path_words(path)}")
        elif kind < 0.8:
            self.tell(f"list {path_words(path[:-1])}")
        else:
            self.tell("hash")

    def collect(self):
        """Ends on the tree of a commit that is there for sure."""
        if not self.trees:
            return
        if self.rand.random() < 0.5:
            self.tell("addvolume")
        target = self.rand.choice(list(self.trees)[-4:])
        if "gc ok" in self.tell(f"gc {target}"):
            gone = list(self.trees)[:list(self.trees).index(target)]
            for commit in gone:
                del self.trees[commit]
        self.tell(f"checkout {target}")
        self.went_to(target)

    def one(self):
        shape, kind = self.shape, self.rand.random()
        if kind < shape.commits:
            self.commit()
        elif kind < shape.commits + 0.05:
            self.move()
        elif kind < shape.commits + 0.07:
            self.store()
        elif kind < shape.commits + 0.1:
            self.burst()
        elif shape.gc and kind < shape.commits + 0.12:
            self.collect()
        elif shape.reads and kind < shape.commits + 0.25:
            self.read()
        elif kind < 0.8:
            self.set(self.path())
        else:
            self.remove()

    def script(self):
        for _ in range(self.shape.commands):
            self.one()
        self.commit()
        return "\n".join(self.lines) + "\n"


VARIATIONS = [
    ("entries", [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]),
    ("stable_hash", [0, 1, 3, 31, 32, 33, 256, 1000]),
    ("inode_child_order", ["seeded_hash", "hash_bits"]),
    ("hash", ["blake2b64", "blake2b32", "blake2b20", "blake2b48", "blake2s",
              "sha1", "sha224", "sha256", "sha384", "sha512", "rmd160"]),
    ("schema", ["kv", "v2"]),
    ("forbid_empty_dir_persistence", ["true", "false"]),
]
PRESETS = ["kv64", "kv32", "hashbits", "smallseeded", "tezos", "sha1", "small"]


def some_config(rand):
    """A preset, or one with changes."""
    name = rand.choice(PRESETS)
    if rand.random() < 0.5:
        return name
    changes = rand.sample(VARIATIONS, rand.randrange(1, 4))
    if name == "tezos":  # its schema comes with its hash
        changes = [c for c in changes if c[0] not in ("schema", "hash")]
    return ",".join([name] + [f"{key}={rand.choice(values)}"
                              for key, values in changes])
