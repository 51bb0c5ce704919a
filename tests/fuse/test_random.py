# SPDX-License-Identifier: ISC
"""Random calls on a mount and on a directory of the system: the same answers,
and the same files, now and after another mount.

FUSE_ROUNDS (default: 1) and FUSE_SEED say how long and from where on,
FUSE_VERBOSE shows each call.
"""
import mmap
import os
import random
import subprocess

import mounts
from mounts import NOTAPACK, sh
from support import clean, format_disk, has, same

ROUNDS = int(os.environ.get("FUSE_ROUNDS", "1"))
SEED = int(os.environ.get("FUSE_SEED", "1"))
VERBOSE = "FUSE_VERBOSE" in os.environ
CALLS = 400
LARGEST = 300000


class Play:
    """The same calls in two directories."""

    def __init__(self, seed, tops, links, attrs=False):
        self.dice = random.Random(seed)
        self.tops = tops
        self.open = []  # [file descriptor in each directory]
        self.links = links
        self.attrs = attrs  # what is remembered of a file beside its contents

    def name(self):
        depth = self.dice.choice([1, 1, 2, 2, 3])
        return "/".join(self.dice.choice("abcde") for _ in range(depth))

    def both(self, call, *words):
        """call(top, i) in both directories: what each answered."""
        answers = []
        self.last = " ".join([self.kind, *map(str, words)])
        if VERBOSE:
            print(self.last, flush=True)
        for i, top in enumerate(self.tops):
            try:
                answers.append(call(top, i))
            except OSError as error:
                answers.append("errno %d" % error.errno)
        if answers[0] != answers[1]:
            raise AssertionError("%s: %r, and on the mount %r" % (
                self.last, *map(lambda a: repr(a)[:200], answers)))
        return answers[0]

    def content(self, length):
        return self.dice.randbytes(length)

    def step(self):
        kind = self.dice.choice(
            ["create"] * 4 + ["write"] * 8 + ["read"] * 4 + ["rename"] * 4 +
            ["unlink", "rmdir", "mkdir", "mkdir", "truncate", "truncate",
             "close", "list", "stat", "map", "punch", "symlink"] +
            ["sync"] * 4 + (["attrs"] * 5 + ["symlink"]) * self.attrs)
        self.kind = kind
        getattr(self, "do_" + kind)()

    def do_create(self):
        name = self.name()
        flags = os.O_RDWR | os.O_CREAT | self.dice.choice(
            [0, os.O_EXCL, os.O_TRUNC])
        fds = []
        if len(self.open) > 6:
            self.do_close()
        if not isinstance(self.both(lambda top, i: fds.append(
                os.open(os.path.join(top, name), flags, 0o644)), name, flags), str):
            self.open.append(fds)

    def do_close(self):
        if self.open:
            fds = self.open.pop(self.dice.randrange(len(self.open)))
            self.both(lambda top, i: os.close(fds[i]), fds)

    def some(self):
        return self.dice.choice(self.open) if self.open else None

    def at(self):
        return min(int(self.dice.expovariate(1 / 60000)), LARGEST)

    def do_write(self):
        fds, off = self.some(), self.at()
        content = self.content(self.dice.choice([0, 1, 100, 4096, 5000, 40000]))
        if fds:
            self.both(lambda top, i: os.pwrite(fds[i], content, off), fds,
                      len(content), off)

    def do_read(self):
        fds, off = self.some(), self.at()
        length = self.dice.choice([1, 4096, 100000])
        if fds:
            self.both(lambda top, i: os.pread(fds[i], length, off), fds,
                      length, off)

    def do_map(self):
        fds = self.some()
        if fds is None:
            return
        size = os.fstat(fds[0]).st_size
        if size == 0:
            return
        off = self.dice.randrange(size)
        content = self.content(min(size - off, 3000))

        def change(top, i):
            if os.fstat(fds[i]).st_size != size:
                return os.fstat(fds[i]).st_size
            with mmap.mmap(fds[i], size) as pages:
                before = pages[:]
                pages[off:off + len(content)] = content
                return before
        self.both(change, fds, off)

    def do_truncate(self):
        fds, size = self.some(), self.at()
        if fds:
            self.both(lambda top, i: os.ftruncate(fds[i], size), fds, size)

    def do_punch(self):
        """Zeros: a hole on the mount, written in the other."""
        fds, off, length = self.some(), self.at(), self.dice.randrange(1, 50000)
        if fds is None:
            return
        size = os.fstat(fds[0]).st_size
        length = min(length, size - off)
        if length <= 0:
            return
        os.pwrite(fds[0], bytes(length), off)
        done = subprocess.run(
            ["fallocate", "-p", "-o", str(off), "-l", str(length),
             "/dev/fd/%d" % fds[1]], pass_fds=[fds[1]],
            stderr=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            os.pwrite(fds[1], bytes(length), off)

    def do_rename(self):
        a, b = self.name(), self.name()
        self.both(lambda top, i: os.rename(os.path.join(top, a),
                                           os.path.join(top, b)), a, b)

    def do_unlink(self):
        name = self.name()
        self.both(lambda top, i: os.remove(os.path.join(top, name)), name)

    def do_mkdir(self):
        name = self.name()
        self.both(lambda top, i: os.mkdir(os.path.join(top, name)), name)

    def do_rmdir(self):
        name = self.name()
        self.both(lambda top, i: os.rmdir(os.path.join(top, name)), name)

    def do_symlink(self):
        name = self.name()
        if self.links:
            self.both(lambda top, i: os.symlink("a", os.path.join(top, name)),
                      name)

    def do_attrs(self):
        name, n = self.name(), self.dice.randrange(0o10000)

        def change(top, i):
            path = os.path.join(top, name)
            os.utime(path, ns=(n, n * 1000000007), follow_symlinks=False)
            if n % 4 == 0:
                os.setxattr(path, "user.%d" % (n % 16), b"%d" % n)
            elif n % 4 == 1:
                os.removexattr(path, "user.%d" % (n % 16 - 1))
            elif n % 4 == 2:
                os.chown(path, n % 5, n % 7, follow_symlinks=False)
            os.chmod(path, n)
        self.both(change, name, n)

    def do_list(self):
        name = self.name()
        self.both(lambda top, i: sorted(os.listdir(os.path.join(top, name))),
                  name)

    def do_stat(self):
        name = self.name()

        def look(top, i):
            st = os.lstat(os.path.join(top, name))
            return st.st_mode, st.st_size if not os.path.isdir(
                os.path.join(top, name)) else None
        self.both(look, name)

    def do_sync(self):
        if VERBOSE:
            print("sync")
        fd = os.open(self.tops[1], os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def finish(self):
        while self.open:
            self.do_close()


def play(seed, top, links, steps=CALLS, attrs=False):
    game = Play(seed, ["model", top], links, attrs)
    try:
        for _ in range(steps):
            game.step()
            if game.dice.randrange(100) == 0 or "FUSE_DIFF" in os.environ:
                sh("diff -r --no-dereference model %s" % top)
        sh("diff -r --no-dereference model %s" % top)
    finally:
        game.finish()


def rounds(case):
    for seed in range(SEED, SEED + ROUNDS):
        print("seed %d" % seed)
        os.mkdir("model")
        case(seed)
        sh("rm -r model")


def image_round(seed, profile):
    disk = format_disk("32m", profile=profile)
    for part in range(3):
        with mounts.image(disk, "commit=0") as mount:
            sh("diff -r model mnt")
            play(seed + 1000 * part, "mnt", False)
            mount.unmount()
        clean(disk)
    os.remove(disk)


def store_round(seed, name):
    sh('%s -s %s init' % (NOTAPACK, name))
    command = [NOTAPACK, "-s", name, "-o", "commit=0", "mount", "-f"]
    for part in range(3):
        with mounts.mounted(command) as mount:
            if part == 0:
                os.mkdir("mnt/live/main")
            sh("diff -r model mnt/live/main")
            play(seed + 1000 * part, "mnt/live/main", True)
            mount.unmount()
        # What a store has no place for.
        sh("find model -type l -delete; "
           "find model -mindepth 1 -type d -empty -delete")
        has(sh("%s -s %s check" % (NOTAPACK, name)), "CHECK OK")


def kept(top):
    """What is recorded of each file below."""
    found = {}
    for folder, folders, files in os.walk(top):
        for path in [os.path.join(folder, name) for name in files + folders]:
            st = os.lstat(path)
            link = os.path.islink(path)
            found[os.path.relpath(path, top)] = (
                st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns,
                st.st_ctime_ns, st.st_size if not os.path.isdir(path) else 0,
                os.readlink(path) if link else
                {x: os.getxattr(path, x) for x in os.listxattr(path)})
    return found


def attrs_round(seed, name):
    """With -o posix: nothing is lost, and each commit shows what was."""
    sh("%s -s %s init" % (NOTAPACK, name))
    command = [NOTAPACK, "-s", name, "-o", "commit=0,posix", "mount", "-f"]
    top, before, seen = "mnt/live/main", None, {}
    for part in range(4):
        with mounts.mounted(command) as mount:
            if part == 0:
                os.mkdir(top)
            for commit, state in seen.items():
                same(kept("mnt/commit/" + commit), state)
            if part > 0:
                same(kept(top), before)
            play(seed + 1000 * part, top, True, attrs=True)
            same(sh("rsync -rlpgoDXnc --delete --itemize-changes model/ %s/"
                    % top), "")
            sh("sync " + top)
            before = kept(top)
            commit = os.getxattr(top, "user.notafs.commit").decode()
            seen[commit] = before
            same(kept("mnt/commit/" + commit), before)
            mount.unmount()
        has(sh("%s -s %s check" % (NOTAPACK, name)), "CHECK OK")


def test_native():
    rounds(lambda seed: image_round(seed, "native"))


def test_mirage():
    rounds(lambda seed: image_round(seed, "mirage"))


def test_branch():
    def case(seed):
        store_round(seed, "st")
        sh("rm -r st")
    rounds(case)


def test_branch_with_attributes():
    def case(seed):
        attrs_round(seed, "st")
        sh("rm -r st")
    rounds(case)


def test_branch_in_an_image():
    def case(seed):
        disk = format_disk("64m")
        store_round(seed, disk + ":st")
        clean(disk)
        os.remove(disk)
    rounds(case)


if __name__ == "__main__":
    mounts.main(globals())
