# SPDX-License-Identifier: ISC
"""The store view: what programs that everybody has write is what notapack finds,
and what irmin-pack wrote is what they read."""
import errno
import os
import re
import shutil
import subprocess
import time

import mounts
from mounts import NOTAPACK, fails, pack, read, sh, sync, write, xattr
from support import (NOTAFS, ENV, Skip, clean, data, format_disk, has,
                     make_tree, same, tree_of)

SHARED = os.path.abspath(os.environ.get(
    "NOTAFS_SHARED", os.path.join(os.path.dirname(__file__), "../../../shared")))
GOLDEN = os.path.join(SHARED, "golden", "irmin")
# One of each kind; in kv64-lower what is not in the store itself is below it.
STORES = ["kv64-nested", "kv64-binary", "kv64-dir300", "kv64-longnames",
          "kv64-merge", "kv64-gcmany", "kv64-always-nested", "kv64-lower",
          "tezos-nested", "tezos-boundary", "sha1-nested", "nohdr-nested",
          "hashbits-nested", "small-gc", "smallseeded-nested"]


def store(options="", name="st", words=(), preload=None):
    command = [NOTAPACK, "-s", name, *words, "mount", "-f"]
    return mounts.mounted(command + (["-o", options] if options else []),
                          preload=preload)


def percent(name):
    return "".join(chr(c) if chr(c).isalnum() and c < 128 or c in b"._-"
                   else "%%%02x" % c for c in name)


def listing(top, prefix="", key=()):
    """Lines of a dump, with what they are sorted by."""
    top = os.fsencode(top)
    names = os.listdir(top)
    lines = [(key, "%s node %s %d" % (prefix or "/", xattr(top, "hash"),
                                      len(names)))]
    for name in names:
        path = os.path.join(top, name)
        at = prefix + "/" + percent(name)
        if os.path.isdir(path):
            lines += listing(path, at, (*key, name))
        else:
            lines.append(((*key, name), "%s contents %s %d" % (
                at, xattr(path, "hash"), os.path.getsize(path))))
    return lines


def can_be_shown(step):
    raw = re.sub("%(..)", lambda m: chr(int(m.group(1), 16)), step)
    return (raw not in ("", ".", "..") and "/" not in raw and "\0" not in raw
            and len(raw) <= 255)


def shown(dump):
    """A listing without what no file can be called, nor counted."""
    lines = {}
    for line in dump.splitlines():
        path, kind, digest, length = line.split(" ")
        steps = [] if path == "/" else path.split("/")[1:]
        if all(map(can_be_shown, steps)):
            lines["/".join(steps)] = [path, kind, digest, int(length)]
        elif all(map(can_be_shown, steps[:-1])):
            lines["/".join(steps[:-1])][3] -= 1
    return ["%s %s %s %d" % tuple(line) for line in lines.values()]


def test_golden():
    if not os.path.isdir(GOLDEN):
        if os.environ.get("NOTAFS_REQUIRE_SHARED"):
            raise AssertionError("no " + GOLDEN)
        raise Skip("no " + GOLDEN)
    for name in STORES:
        folder = os.path.join(GOLDEN, name)
        with open(os.path.join(folder, "dump.txt"), encoding="utf-8") as file:
            dump = file.read()
        lower = os.path.join(folder, "lower")
        words = ["--lower", lower] if os.path.isdir(lower) else []
        heads = dict(re.findall(r"^branch (\S+) (\S+)$", dump, re.M))
        lists = re.split(r"^list (\S+)\n", dump, flags=re.M)[1:]
        lists = dict(zip(lists[::2], lists[1::2]))
        with store("ro", os.path.join(folder, "store"), words):
            same(set(os.listdir("mnt/live")), set(heads))
            commits = set(re.findall(r"^commit (\S+)", dump, re.M))
            same(commits <= set(os.listdir("mnt/commit")), True)
            for branch, head in heads.items():
                same(xattr("mnt/live/" + branch, "commit"), head)
                found = sorted(listing("mnt/commit/" + head))
                same([line for _, line in found], shown(lists[head]))
            first = next(iter(heads))
            same(sorted(listing("mnt/live/" + first)),
                 sorted(listing("mnt/commit/" + heads[first])))
            fails(errno.EROFS, write, "mnt/live/%s/new" % first, b"")


def test_copies():
    pack("init")
    make_tree("tree", seed=3, files=100)
    sh("find tree -type d -empty -delete")
    with store() as mount:
        os.mkdir("mnt/live/main")
        sh("cp -a tree mnt/live/main/copied; diff -r tree mnt/live/main/copied")
        same(tree_of("mnt/live/main/copied"), tree_of("tree"))
        sh("mkdir mnt/live/main/tarred; "
           "tar c -C tree . | tar x -C mnt/live/main/tarred")
        same(tree_of("mnt/live/main/tarred"), tree_of("tree"))
        # Nothing of a commit that is not asked for is seen.
        sync("mnt/live/main")
        same(tree_of("mnt/live/main/tarred"), tree_of("tree"))
        head = xattr("mnt/live/main", "commit")
        sh("diff -r tree mnt/commit/%s/copied" % head)
        mount.unmount()
    has(pack("check"), "CHECK OK")
    pack("export", "out")
    sh("diff -r tree out/copied; diff -r tree out/tarred")
    with store():
        sh("diff -r tree mnt/live/main/copied")


def test_git_and_sqlite():
    pack("init")
    make_tree("tree", seed=4, files=40)
    with store("commit=1") as mount:
        os.mkdir("mnt/live/main")
        sh("""
            export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a
            export GIT_COMMITTER_EMAIL=a HOME=$PWD
            git init -q mnt/live/main/repo
            cp -r tree/. mnt/live/main/repo
            cd mnt/live/main/repo
            git add .
            git commit -qm first
            git mv "$(git ls-files | head -1)" moved
            git commit -qam second
            git fsck --strict
            git clone -q . ../clone
            cd ../clone
            git fsck --strict
            git gc -q
            git fsck --strict
            test -z "$(git status --short)"
        """)
        same(sh("""sqlite3 mnt/live/main/t.db "create table t(a, b);
            with recursive c(x) as (select 1 union all select x + 1 from c
                where x < 3000) insert into t select x, hex(x * x) from c;
            delete from t where a % 3 = 0; vacuum;
            pragma integrity_check; select count(*) from t;" """), "ok\n2000\n")
        mount.unmount()
    has(pack("check"), "CHECK OK")
    with store():
        same(sh("sqlite3 mnt/live/main/t.db 'pragma integrity_check'"), "ok\n")


def test_commits():
    pack("init")
    with store("commit=0,author=somebody,message=by default") as mount:
        os.mkdir("mnt/live/main")
        top = "mnt/live/main/"
        write(top + "a", b"1")
        os.mkdir(top + "empty")
        fails(errno.ENODATA, xattr, top, "commit")
        sync(top + "a")
        first = xattr(top, "commit")
        same(xattr(top + "a", "message"), "by default")
        has(pack("log"), "Author: somebody")
        # A file's hash is known before it is committed.
        write(top + "a", b"2")
        pending = xattr(top + "a", "hash")
        whole = xattr(top, "hash")
        os.setxattr(top + "a", "user.notafs.message", b"second")
        sync(top)
        second = xattr(top, "commit")
        same(xattr("mnt/commit/%s/a" % second, "hash"), pending)
        same(xattr("mnt/commit/%s" % second, "hash"), whole)
        same(xattr("mnt/commit/%s" % second, "message"), "second")
        same(read("mnt/commit/%s/a" % first), b"1")
        fails(errno.EROFS, write, "mnt/commit/%s/a" % first, b"")
        fails(errno.EROFS, os.remove, "mnt/commit/%s/a" % first)
        fails(errno.ENOENT, os.stat, "mnt/commit/" + 128 * "0")
        fails(errno.ENOENT, os.stat, "mnt/commit/%s/b" % first)
        # What changes nothing makes no commit.
        os.chmod(top + "a", 0o600)
        os.symlink("a", top + "link")
        sync(top)
        same(xattr(top, "commit"), second)
        same(os.readlink(top + "link"), "a")
        same(read(top + "link"), b"2")
        same(sorted(os.listdir(top)), ["a", "empty", "link"])
        mount.unmount()
    same(pack("ls").split(), ["a"])
    same(pack("log").count("commit "), 2)


def test_moves():
    """Renames of what is committed and what is not, then compared."""
    pack("init")
    shutil.rmtree("model", ignore_errors=True)
    os.makedirs("model")
    with store("commit=0") as mount:
        os.mkdir("mnt/live/main")
        steps = """
            mkdir d; echo 1 > d/f; mkdir d/e; echo 2 > d/e/g; echo 3 > h
            SYNC
            mv d m; echo 4 > m/e/new; mv h m/e/h; rm m/f
            SYNC
            mv m/e x; mv x/g x/gg; mkdir m/e; mv x m/e/x; echo 5 > m/e/x/gg
            mv m/e/x/h h
            SYNC
            mv m/e/x y; rmdir m/e; rm -r m; mkdir m; echo 6 > m/f
            echo 7 > h; rm h; mkdir h; echo 8 > h/h
            SYNC
            mv h/h hh; rmdir h; mv hh h; mv y/gg h
            SYNC
            mv y z; mv z/new z/newer; mv z y; rm y/newer
            SYNC
            mv y/h q 2>/dev/null || true; mv h y 2>/dev/null || mv m/f y/f
            SYNC
        """
        for step in steps.split("SYNC"):
            for top in ("model", "mnt/live/main"):
                sh("cd %s\n%s" % (top, step.strip()))
            sh("diff -r model mnt/live/main")
            before = xattr("mnt/live/main", "hash")
            sync("mnt/live/main")
            same(xattr("mnt/live/main", "hash"), before)
            sh("diff -r model mnt/live/main")
            head = xattr("mnt/live/main", "commit")
            sh("find model -type d -empty -delete; diff -r model mnt/commit/%s"
               % head)
            os.makedirs("model", exist_ok=True)
            sh("find mnt/live/main -mindepth 1 -type d -empty -delete")
        mount.unmount()
    has(pack("check"), "CHECK OK")


def test_branches():
    pack("init")
    pack("set", "a", "1")
    with store() as mount:
        same(os.listdir("mnt/live"), ["main"])
        os.mkdir("mnt/live/new")
        same(read("mnt/live/new/a"), b"1")
        write("mnt/live/new/a", b"2")
        same(read("mnt/live/main/a"), b"1")
        os.setxattr("mnt/live/new", "user.notafs.branch", b"third%2Fx")
        same(read("mnt/live/third%2Fx/a"), b"2")
        same(set(os.listdir("mnt/live")), {"main", "new", "third%2Fx"})
        fails(errno.EEXIST, os.mkdir, "mnt/live/new")
        fails(errno.EBUSY, os.rmdir, "mnt/live/main")
        fails(errno.EPERM, write, "mnt/live/file", b"")
        fails(errno.EPERM, os.mkdir, "mnt/commit/x")
        fails(errno.EXDEV, os.rename, "mnt/live/new/a", "mnt/live/main/b")
        os.rmdir("mnt/live/new")
        fails(errno.ENOENT, os.stat, "mnt/live/new")
        same(set(os.listdir("mnt/live")), {"main", "third%2Fx"})
        mount.unmount()
    same(sorted(line.split()[0] for line in pack("branch").splitlines()),
         ["main", "third/x"])


def test_moments():
    pack("init")
    for date in (1000, 2000, 3000):
        pack("--date", str(date), "set", "a", str(date))
    pack("branch", "tag/v1")
    with store():
        same(read("mnt/at/2500/a"), b"2000")
        same(read("mnt/at/1970-01-01T00:50:00Z/a"), b"3000")
        same(read("mnt/at/1970-01-02/a"), b"3000")
        fails(errno.ENOENT, os.stat, "mnt/at/999")
        fails(errno.ENOENT, os.stat, "mnt/at/sometime")
        same(os.listdir("mnt/tag"), ["v1"])
        same(os.listdir("mnt/live"), ["main"])
        same(read("mnt/tag/v1/a"), b"3000")
        same(os.stat("mnt/tag/v1/a").st_mtime, 3000)
        fails(errno.EROFS, write, "mnt/tag/v1/a", b"")


def test_others_commit():
    """Another process moves the branch: it shows, and it is merged."""
    pack("init")
    for name in ("same", "ours", "theirs", "both", "dir/one", "dir/two"):
        pack("set", name, "0")
    with store("commit=0") as mount:
        top = "mnt/live/main/"
        same(read(top + "theirs"), b"0")
        pack("set", "theirs", "1")
        pack("rm", "dir/one")
        pack("set", "dir/new", "1")
        mounts.wait_until(lambda: read(top + "theirs") == b"1")
        mounts.wait_until(lambda: sorted(os.listdir(top + "dir")) ==
                          ["new", "two"])
        fails(errno.ENOENT, os.stat, top + "dir/one")
        # Now both at once.
        write(top + "ours", b"2")
        write(top + "both", b"2 by us")
        os.remove(top + "dir/two")
        pack("set", "both", "2 by them")
        pack("set", "theirs", "2")
        sync(top + "ours")
        same(read(top + "ours"), b"2")
        mounts.wait_until(lambda: read(top + "theirs") == b"2")
        mounts.wait_until(lambda: read(top + "both") == b"2 by them")
        conflicts = [n for n in os.listdir(top) if n.startswith("both.")]
        same(len(conflicts), 1)
        has(conflicts[0], "both.conflict-")
        same(read(top + conflicts[0]), b"2 by us")
        same(xattr(top + conflicts[0], "hash").startswith(
            conflicts[0].removeprefix("both.conflict-")), True)
        same(os.listdir(top + "dir"), ["new"])
        mount.unmount()
    has(pack("check"), "CHECK OK")
    same(pack("get", "both"), "2 by them")


def test_locked_by_another():
    """Who commits waits for the lock of another process."""
    pack("init")
    with store("commit=0"):
        os.mkdir("mnt/live/main")
        write("mnt/live/main/a", b"1")
        other = subprocess.Popen([NOTAPACK, "-s", "st", "script"],
                                 stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL)
        other.stdin.write(b"set x 10 1\ncommit other 5 - -\nflush\n")
        other.stdin.flush()
        mounts.wait_until(lambda: "other" in pack("branch"))
        waiting = subprocess.Popen(["sync", "mnt/live/main/a"])
        other.stdin.close()
        same(other.wait(60), 0)
        same(waiting.wait(60), 0)
    same(pack("get", "a"), "1")


def test_readers_do_not_wait():
    """A commit hangs at the device; what is stored is read all the same."""
    gate = os.environ.get("FUSE_GATE_LIBRARY")
    if gate is None:
        raise Skip("run by meson, which builds what holds back fdatasync")
    make_tree("tree", seed=9, files=30)
    sh("find tree -type d -empty -delete")
    for name in "st", format_disk("64m") + ":st":
        pack("init", store=name)
        pack("import", "tree", "tree", store=name)
        with store("commit=0", name=name, preload=gate) as mount:
            os.stat("mnt/live/main")
            new = ["mnt/live/main/new%d" % i for i in range(20)]
            for path in new:
                write(path, data(100000, 1))
            write("gate", b"")
            waiting = [subprocess.Popen(["sync", path]) for path in new]
            mounts.wait_until(os.path.exists, "gate.reached")
            sh("diff -r tree mnt/live/main/tree")
            same({read(path) for path in new}, {data(100000, 1)})
            same([p.poll() for p in waiting], [None] * len(waiting))
            os.remove("gate")
            same({p.wait(mounts.PATIENCE) for p in waiting}, {0})
            os.remove("gate.reached")
            mount.unmount()
        has(pack("check", store=name), "CHECK OK")


def test_one_disk_many_commits():
    """Of a store in an image: what is open, listed or of an older commit goes on
    being read while commits come."""
    name = format_disk("64m") + ":st"
    pack("init", "--strategy", "always", store=name)
    with store("commit=0", name=name, words=["--strategy", "always"]) as mount:
        os.mkdir("mnt/live/main")
        seen = {}
        for i in range(200):
            write("mnt/live/main/f%d" % i, data(2000, i))
            if i == 100:
                entries = os.scandir("mnt/live/main")
                next(entries)
                first = open("mnt/live/main/f0", "rb", buffering=0)
            sync("mnt/live/main")
            seen[xattr("mnt/live/main", "commit")] = i + 1
        same(len(set(seen)), 200)
        same(100 <= len(list(entries)) + 1 <= 200, True)
        same(first.read(), data(2000, 0))
        first.close()
        for commit, n in list(seen.items())[::13]:
            top = "mnt/commit/%s/" % commit
            same(len(os.listdir(top)), n)
            same(read(top + "f%d" % (n - 1)), data(2000, n - 1))
        same([read("mnt/live/main/f%d" % i) for i in range(200)],
             [data(2000, i) for i in range(200)])
        os.mkdir("mnt/live/other")
        same(len(os.listdir("mnt/live/other")), 200)
        mount.unmount()
    has(pack("check", store=name), "CHECK OK")
    clean("disk.img")


def test_in_an_image():
    disk = format_disk("64m")
    name = disk + ":stores/one"
    pack("init", store=name)
    make_tree("tree", seed=5, files=60)
    sh("find tree -type d -empty -delete")
    with store(name=name) as mount:
        os.mkdir("mnt/live/main")
        sh("cp -a tree mnt/live/main/t; diff -r tree mnt/live/main/t; "
           "sync mnt/live/main; diff -r tree mnt/live/main/t")
        head = xattr("mnt/live/main", "commit")
        sh("diff -r tree mnt/commit/%s/t" % head)
        mount.unmount()
    clean(disk)
    has(pack("check", store=name), "CHECK OK")
    with store("ro", name=name):
        sh("diff -r tree mnt/live/main/t")


def test_large_directory():
    """100 000 entries are listed and looked up without loading all of them."""
    folder = os.path.join(GOLDEN, "tezos-dir100k")
    if not os.path.isdir(folder):
        raise Skip("no " + folder)
    with store("ro", os.path.join(folder, "store")) as mount:
        def peak():
            with open("/proc/%d/status" % mount.daemon.pid) as file:
                return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1))
        branch = "mnt/live/" + os.listdir("mnt/live")[0]
        top = max((sum(1 for _ in os.scandir(entry)), entry)
                  for entry, _, _ in os.walk(branch))
        same(top[0] >= 100000, True)
        names = sorted(os.listdir(top[1]))
        same(len(names), len(set(names)))
        for name in names[::5000]:
            os.stat(os.path.join(top[1], name))
        same(peak() < 200000, True)  # KiB


def test_killed():
    """What fsync has answered for is there; the store is whole."""
    pack("init")
    acked = 0
    for turn in range(10):
        with store("commit=1") as mount:
            if turn == 0:
                os.mkdir("mnt/live/main")
            same([read("mnt/live/main/f%d" % i) for i in range(acked)],
                 [data(3000, i) for i in range(acked)])
            for i in range(acked, acked + 3):
                write("mnt/live/main/f%d" % i, data(3000, i))
                sync("mnt/live/main/f%d" % i)
            acked += 3
            write("mnt/live/main/noise", data(100000, turn))
            time.sleep(0.001 * turn)
            mount.kill()
        has(pack("check"), "CHECK OK")


def until_full(top):
    """Files that fsync has answered for, until it says that there is no room."""
    kept = 0
    while True:
        path = "%s/f%d" % (top, kept)
        try:
            write(path, data(100000, kept))
            sync(path)
        except OSError as error:
            same(errno.errorcode[error.errno], "ENOSPC")
            return kept
        kept += 1
        same(kept < 1000, True)


def fill(name, options):
    """Until there is no room: all that was answered for is read, and is there
    after the mount."""
    top = "mnt/live/main"
    with store(options, name=name) as mount:
        os.mkdir(top)
        kept = until_full(top)
        same(kept > 3, True)
        head = xattr(top, "commit")
        for i in range(kept + 1):  # what is not stored is in memory
            same(read("%s/f%d" % (top, i)), data(100000, i))
        same(len(os.listdir("mnt/commit/" + head)), kept)
        fails(errno.ENOSPC, sync, top)
        os.remove("%s/f%d" % (top, kept))
        mount.unmount(None)
    has(pack("check", store=name), "CHECK OK")
    with store("ro," + options, name=name) as mount:
        same(sorted(os.listdir(top)), sorted("f%d" % i for i in range(kept)))
        for i in range(kept):
            same(read("%s/f%d" % (top, i)), data(100000, i))
        mount.unmount()


def goes_on(name, options):
    """With room again."""
    with store(options, name=name) as mount:
        write("mnt/live/main/small", b"1")
        sync("mnt/live/main")
        mount.unmount()
    has(pack("check", store=name), "CHECK OK")


def test_full_image():
    for options in ("commit=0", "commit=0,posix"):
        disk = format_disk("3m")
        pack("init", store=disk + ":st")
        fill(disk + ":st", options)
        clean(disk)
        sh("%s resize -d %s 4m" % (NOTAFS, disk))
        goes_on(disk + ":st", options)
        clean(disk)
        os.remove(disk)


def test_full_folder():
    os.mkdir("small")
    for options in ("commit=0", "commit=0,posix"):
        sh("mount -t tmpfs -o size=2m tmpfs small")
        try:
            pack("init", store="small/st")
            fill("small/st", options)
            sh("mount -o remount,size=3m small")
            goes_on("small/st", options)
        finally:
            sh("umount small")


def test_holes():
    """There are none: the kernel, told that we do not know, says so itself."""
    pack("init")
    with store() as mount:
        os.mkdir("mnt/live/main")
        write("mnt/live/main/a", bytes(100000))
        fd = os.open("mnt/live/main/a", os.O_RDONLY)
        for _ in range(2):
            same(os.lseek(fd, 5, os.SEEK_DATA), 5)
            same(os.lseek(fd, 5, os.SEEK_HOLE), 100000)
            fails(errno.ENXIO, os.lseek, fd, 100000, os.SEEK_DATA)
        same(os.lseek(fd, -1, os.SEEK_END), 99999)
        os.close(fd)
        mount.unmount()


def damage(path, needle):
    with open(path, "r+b") as file:
        at = file.read().index(needle)
        file.seek(at + len(needle) // 2)
        file.write(b"?")


def test_damage():
    """A damaged file is refused, the others are read; and a store or a disk that
    is damaged where it begins, with the reason."""
    disk = format_disk("32m")
    os.mkdir("mnt")
    for name in "st", disk + ":st":
        pack("init", store=name)
        with store(name=name):
            os.mkdir("mnt/live/main")
            write("mnt/live/main/good", data(50000, 1))
            write("mnt/live/main/bad", data(3000000, 2))
    needle = data(3000000, 2)[1500000:1500100]
    damage("st/store.0.suffix", needle)
    damage(disk, needle)
    for name in "st", disk + ":st":
        for options in "ro", "":
            with store(options, name=name) as mount:
                same(read("mnt/live/main/good"), data(50000, 1))
                fails(errno.EUCLEAN, read, "mnt/live/main/bad")
                if not options:
                    write("mnt/live/main/new", b"new")
                    sync("mnt/live/main/new")
                    same(read("mnt/live/main/new"), b"new")
                mount.unmount()
    os.truncate("st/store.control", 5)
    os.truncate(disk, 1 << 20)
    for name, reason in ("st", "control file"), (disk + ":st", "disk.img"):
        done = subprocess.run([NOTAPACK, "-s", name, "mount", "-f", "mnt"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=ENV, timeout=60, check=False)
        same(done.returncode, 1)
        has(done.stdout.decode(), reason)
        same(mounts.is_mounted("mnt"), False)


def test_unsupported():
    pack("init")
    with store():
        os.mkdir("mnt/live/main")
        top = "mnt/live/main/"
        write(top + "file", b"")
        fails(errno.EPERM, os.link, top + "file", top + "link")
        fails(errno.EPERM, os.mkfifo, top + "fifo")
        fails(errno.ENAMETOOLONG, write, top + 256 * "n", b"")
        fails(errno.EOPNOTSUPP, os.setxattr, top + "file", "user.x", b"1")
        fails(errno.ENODATA, os.getxattr, top + "file", "user.x")
        fails(errno.EPERM, os.setxattr, top + "file", "user.notafs.hash", b"1")
        fails(errno.ENOTEMPTY, os.rmdir, "mnt/live/main/..")


if __name__ == "__main__":
    mounts.main(globals())
