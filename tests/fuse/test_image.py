# SPDX-License-Identifier: ISC
"""The image view, used by programs that everybody has."""
import ctypes
import errno
import os
import subprocess
import time

import mounts
from mounts import fails, read, sh, write
from support import (Skip, clean, data, dumped_files, dump_of, format_disk,
                     has, make_tree, run, same, tree_of)


def test_background():
    disk = format_disk()
    os.mkdir("mnt")
    run("mount", disk, "mnt")
    same(os.path.ismount("mnt"), True)
    write("mnt/file", b"content")
    has(sh("grep ' %s fuse.notafs ' /proc/mounts" % os.path.abspath("mnt")),
        os.path.abspath(disk))
    sh("umount mnt; flock -w 30 %s true" % disk)
    mounts.wait_until(lambda: run("cat", "-d", disk, "file",
                                  status=None) == "content")
    clean(disk)


def test_refusals():
    os.mkdir("mnt")
    has(run("mount", "absent.img", "mnt", status=1) + run.err, "absent.img")
    write("zeros.img", bytes(1 << 20))
    run("mount", "zeros.img", "mnt", status=1)
    has(run.err, "not formatted")
    disk = format_disk()
    run("mount", disk, "absent", status=1)
    has(run.err, "absent")
    run("mount", disk, "mnt", "-o", "nonsense", status=124)
    has(run.err, "nonsense")
    with mounts.image(disk):
        run("mount", disk, "mnt", status=1)
        has(run.err, "open in another process")


def test_copies():
    disk = format_disk("64m")
    make_tree("tree", seed=3, files=120)
    with mounts.image(disk) as mount:
        sh("cp -a tree mnt/copied; diff -r tree mnt/copied")
        same(tree_of("mnt/copied"), tree_of("tree"))
        sh("mkdir mnt/tarred; tar c -C tree . | tar x -C mnt/tarred")
        same(tree_of("mnt/tarred"), tree_of("tree"))
        sh("tar c -C mnt/copied . | tar d -C tree")
        mount.unmount()
    clean(disk)
    same(dumped_files(disk),
         sorted(dump_of("tree", "/copied") + dump_of("tree", "/tarred")))
    with mounts.image(disk, "ro"):
        same(tree_of("mnt/copied"), tree_of("tree"))
        fails(errno.EROFS, write, "mnt/new", b"")
        fails(errno.EROFS, os.remove, "mnt/copied/" + os.listdir("tree")[0])


def test_golden():
    """Disks that OCaml Notafs wrote."""
    shared = os.path.abspath(os.environ.get("NOTAFS_SHARED", os.path.join(
        os.path.dirname(__file__), "../../../shared")))
    golden = os.path.join(shared, "golden", "notafs")
    if not os.path.isdir(golden):
        if os.environ.get("NOTAFS_REQUIRE_SHARED"):
            raise AssertionError("no " + golden)
        raise Skip("no " + golden)
    for name in ("p512-200k-basic", "p512-200k-many", "p1024-8m-churn",
                 "p4096-8m-large", "p512-200k-basic-nocheck"):
        sh("xz -dkc %s/%s.img.xz > disk.img" % (golden, name))
        with open("%s/%s.dump.txt" % (golden, name), encoding="utf-8") as file:
            wanted = sorted(line.strip() for line in file if " file " in line)
        for options in ("ro", ""):
            with mounts.image("disk.img", options):
                same(dump_of("mnt"), wanted)
        with mounts.image("disk.img") as mount:
            free = os.statvfs("mnt")
            same(free.f_blocks * free.f_frsize <= os.path.getsize("disk.img"),
                 True)
            write("mnt/a new file", data(3000, 1))
            mount.unmount()
        clean("disk.img")
        same(run("cat", "-d", "disk.img", "a new file", text=False),
             data(3000, 1))


def test_git():
    disk = format_disk("64m")
    make_tree("tree", seed=4, files=60)
    with mounts.image(disk) as mount:
        sh("""
            export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a
            export GIT_COMMITTER_EMAIL=a HOME=$PWD
            git init -q mnt/repo
            cp -r tree/. mnt/repo
            cd mnt/repo
            git add .
            git commit -qm first
            git mv "$(git ls-files | head -1)" moved
            git commit -qam second
            git fsck --strict
            cd ..
            git clone -q repo clone
            cd clone
            git fsck --strict
            git gc -q
            git fsck --strict
            test -z "$(git status --short)"
        """)
        mount.unmount()
    clean(disk)
    with mounts.image(disk):
        sh("cd mnt/clone; HOME=$PWD; git config --global safe.directory '*'; "
           "git fsck --strict; git status --short")


def test_sqlite():
    disk = format_disk("64m")
    script = """
        sqlite3 mnt/%s.db "pragma journal_mode=%s;
            create table t(a integer primary key, b);
            with recursive c(x) as (select 1 union all select x + 1 from c
                where x < 5000) insert into t select x, hex(x * x) from c;
            delete from t where a %% 3 = 0;
            update t set b = 'new' where a %% 5 = 0;
            vacuum;
            pragma integrity_check; select count(*) from t;"
    """
    with mounts.image(disk) as mount:
        for mode in ["delete", "wal", "truncate"]:
            found = sh(script % (mode, mode)).split()
            same(found, [mode, "ok", "3334"])
        mount.unmount()
    clean(disk)
    with mounts.image(disk):
        same(sh("sqlite3 mnt/wal.db 'pragma integrity_check'"), "ok\n")


def test_holes():
    disk = format_disk("64m")
    with mounts.image(disk):
        fd = os.open("mnt/holes", os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, b"x" * 8192, 1 << 20)
        # The kernel holds it back still; it must not be taken for a hole.
        same(os.lseek(fd, 0, os.SEEK_DATA), 1 << 20)
        same(os.lseek(fd, 1 << 20, os.SEEK_HOLE), (1 << 20) + 8192)
        os.ftruncate(fd, 1 << 40)
        same(os.lseek(fd, 2 << 20, os.SEEK_HOLE), 2 << 20)
        fails(errno.ENXIO, os.lseek, fd, 2 << 20, os.SEEK_DATA)
        os.fsync(fd)
        os.close(fd)
        free = os.statvfs("mnt").f_bfree
        sh("fallocate -p -o 1048576 -l 4096 mnt/holes; sync mnt/holes")
        same(os.lseek(fd := os.open("mnt/holes", os.O_RDONLY), 0,
                      os.SEEK_DATA), (1 << 20) + 4096)
        same(os.pread(fd, 8192, 1 << 20), bytes(4096) + b"x" * 4096)
        os.close(fd)
        same(os.statvfs("mnt").f_bfree > free - 4, True)
        sh("truncate -s 2M mnt/holes; cp --sparse=auto mnt/holes mnt/copy; "
           "cmp mnt/holes mnt/copy")
        sh("fallocate -l 1M mnt/holes 2>&1", status=1)


def test_without_a_name():
    disk = format_disk()
    with mounts.image(disk) as mount:
        file = open("mnt/file", "w+b", buffering=0)
        file.write(b"still there")
        os.remove("mnt/file")
        same(os.listdir("mnt"), [])
        same(os.fstat(file.fileno()).st_nlink, 0)
        file.write(b" and more")
        os.fsync(file.fileno())
        other = open("mnt/other", "w+b", buffering=0)
        other.write(b"other")
        write("mnt/new", b"new")
        os.rename("mnt/new", "mnt/other")  # replaces what is open
        other.seek(0)
        same(other.read(), b"other")
        same(read("mnt/other"), b"new")
        file.seek(0)
        same(file.read(), b"still there and more")
        fails(errno.ENOENT, os.listdir, "mnt/.notafs-removed")
        file.close()
        other.close()
        mount.unmount()
    clean(disk)
    same([line for line in dumped_files(disk) if "removed" in line], [])


def test_times_without_a_file():
    """What the kernel writes back of a file that is gone is no error, neither to
    it nor to who syncs next."""
    disk = format_disk()
    libc = ctypes.CDLL(None, use_errno=True)
    with mounts.image(disk):
        top = os.open("mnt", os.O_RDONLY)
        for name in ("file", "other"):
            write("mnt/" + name, b"x")
            known = os.open("mnt/" + name, os.O_PATH)
            same(libc.syncfs(top), 0)
            with open("mnt/" + name, "r+b", buffering=0) as file:
                file.write(b"y")
            os.remove("mnt/" + name)
            same(libc.syncfs(top), 0)
            same(os.stat("/proc/self/fd/%d" % known).st_nlink, 0)
            os.close(known)
        os.close(top)
    clean(disk)


def test_without_a_name_and_killed():
    disk = format_disk()
    with mounts.image(disk) as mount:
        file = open("mnt/file", "w+b", buffering=0)
        file.write(data(100000, 1))
        os.remove("mnt/file")
        os.fsync(file.fileno())
        mount.kill()
        fails(errno.ENOTCONN, file.close)
    clean(disk)
    with mounts.image(disk):  # takes it away
        same(os.listdir("mnt"), [])
    same(dumped_files(disk), [])


def test_full():
    disk = format_disk("8m")
    with mounts.image(disk) as mount:
        write("mnt/kept", data(100000, 1))
        sh("sync mnt/kept")
        free = os.statvfs("mnt").f_bfree
        try:
            with open("mnt/filler", "wb", buffering=0) as file:
                for i in range(100):
                    file.write(data(100000, i))
                    os.fsync(file.fileno())
        except OSError as error:
            same(error.errno, errno.ENOSPC)
        else:
            raise AssertionError("no end of space")
        length = os.path.getsize("mnt/filler")
        same(read("mnt/kept"), data(100000, 1))
        same(read("mnt/filler")[:100000], data(100000, 0))
        same(length > 5000000, True)
        os.remove("mnt/filler")
        write("mnt/again", data(5000000, 5))
        sh("sync mnt/again")
        same(read("mnt/again"), data(5000000, 5))
        os.remove("mnt/again")
        sh("sync mnt")
        same(os.statvfs("mnt").f_bfree >= free - 8, True)
        mount.unmount()
    clean(disk)


def test_terminated():
    """SIGTERM keeps what was written, though nobody asked for it."""
    disk = format_disk()
    with mounts.image(disk, "commit=0") as mount:
        write("mnt/file", data(300000, 1))
        mount.terminate()
        same(os.path.ismount("mnt"), False)
    with mounts.image(disk, "commit=0") as mount:
        same(read("mnt/file"), data(300000, 1))
        file = open("mnt/open", "wb", buffering=0)
        file.write(data(100000, 2))
        mount.terminate()  # though a file is open
        fails(errno.ENOTCONN, os.fsync, file.fileno())
        file.close()
    clean(disk)
    with mounts.image(disk):
        same(read("mnt/open"), data(100000, 2))


def test_by_the_clock():
    disk = format_disk()
    with mounts.image(disk, "commit=1") as mount:
        os.mkdir("mnt/dir")
        sh("sync mnt/dir")
        os.mkdir("mnt/late")
        mounts.wait_until(lambda: "late" in run("list", "-d", copy(disk)))
        mount.kill()
    has(run("list", "-d", disk), "late")


def copy(disk):
    subprocess.run(["cp", disk, "copy.img"], check=True)
    return "copy.img"


def test_killed_mount_is_replaced():
    disk = format_disk()
    with mounts.image(disk) as mount:
        write("mnt/file", b"1")
        sh("sync mnt/file")
        mount.daemon.kill()
        mount.daemon.wait()
        fails(errno.ENOTCONN, os.listdir, "mnt")
        run("mount", disk, "mnt")
        same(read("mnt/file"), b"1")
        sh("umount mnt")


def test_generations():
    disk = format_disk("16m")
    with mounts.image(disk, "commit=1") as mount:
        for text in (b"one", b"two", b"three"):
            write("mnt/a", text * 2000)
            sh("sync mnt/a")
        same(os.listdir("mnt"), ["a"])
        # Image files discard, which leaves the newest two.
        names = sorted(os.listdir("mnt/.generations"), key=int)
        found = [read("mnt/.generations/%s/a" % name)
                 for name in names[-2:]]
        same(found, [b"two" * 2000, b"three" * 2000])
        old = "mnt/.generations/%s" % names[-2]
        fails(errno.EROFS, write, old + "/a", b"")
        fails(errno.EROFS, write, old + "/b", b"")
        fails(errno.EROFS, os.remove, old + "/a")
        fails(errno.EROFS, os.mkdir, "mnt/.generations/7")
        fails(errno.ENOENT, os.stat, "mnt/.generations/999")
        fails(errno.ENOENT, os.stat, "mnt/.generations/01")
        same(time.time() - os.stat(old).st_mtime < 600, True)
        # It stays, however often its pages were free to be taken.
        with open(old + "/a", "rb") as file:
            for i in range(60):
                write("mnt/a", data(40000, i))
                sh("sync mnt/a")
            same(file.read(), b"two" * 2000)
        # And nobody looks any more: its pages come back.
        mounts.wait_until(fills, "mnt/big", 12000000)
        mount.unmount()
    clean(disk)
    with mounts.image(disk, "ro"):
        same(len(read("mnt/big")), 12000000)
        same(os.listdir("mnt/.generations") != [], True)


def fills(path, length):
    try:
        write(path, bytes(data(1000, 1)) * (length // 1000))
        sh("sync " + path)
        return True
    except (OSError, AssertionError):
        return False


def test_readers_do_not_wait():
    """A commit hangs at the device; files and names are read all the same."""
    gate = os.environ.get("FUSE_GATE_LIBRARY")
    if gate is None:
        raise Skip("run by meson, which builds what holds back fdatasync")
    disk = format_disk("64m")
    make_tree("tree", seed=9, files=30)
    with mounts.image(disk):
        sh("cp -a tree mnt/tree")
    with mounts.image(disk, "commit=0", preload=gate) as mount:
        os.stat("mnt/tree")
        write("mnt/new", data(100000, 1))
        write("gate", b"")
        waiting = [subprocess.Popen(["sync", "mnt/new"]) for _ in range(20)]
        mounts.wait_until(os.path.exists, "gate.reached")
        same(tree_of("mnt/tree"), tree_of("tree"))
        same(read("mnt/new"), data(100000, 1))
        same([p.poll() for p in waiting], [None] * len(waiting))
        os.remove("gate")
        same({p.wait(mounts.PATIENCE) for p in waiting}, {0})
        mount.unmount()
    clean(disk)


def test_permissions():
    disk = format_disk()
    with mounts.image(disk, "uid=1000,gid=1001,umask=027"):
        os.mkdir("mnt/dir", 0o2775)
        write("mnt/dir/file", b"")
        os.chmod("mnt/dir/file", 0o4711)
        os.chown("mnt/dir/file", 7, 8)
        st = os.stat("mnt/dir/file")
        same((st.st_mode, st.st_uid, st.st_gid), (0o100711, 7, 8))
        os.utime("mnt/dir/file", ns=(5 * 10**9 + 1, 6 * 10**9 + 2))
        st = os.stat("mnt/dir/file")
        same((st.st_atime_ns, st.st_mtime_ns), (5 * 10**9 + 1, 6 * 10**9 + 2))
    with mounts.image(disk, "uid=1000,gid=1001,umask=027"):
        st = os.stat("mnt/dir/file")
        same((st.st_mode, st.st_uid, st.st_gid), (0o100640, 1000, 1001))
        same(os.stat("mnt/dir").st_mode, 0o40750)
        same(st.st_mtime_ns, 6 * 10**9 + 2)


def test_unsupported():
    disk = format_disk()
    with mounts.image(disk):
        write("mnt/file", b"")
        fails(errno.EPERM, os.symlink, "file", "mnt/link")
        fails(errno.EPERM, os.link, "mnt/file", "mnt/link")
        fails(errno.EPERM, os.mkfifo, "mnt/fifo")
        fails(errno.EPERM, os.mkdir, "mnt/.notafs-removed")
        fails(errno.ENAMETOOLONG, write, "mnt/" + 256 * "n", b"")
        fails(errno.EOPNOTSUPP, os.setxattr, "mnt/file", "user.x", b"1")


def test_damage():
    """A damaged file is refused, the others are read."""
    disk = format_disk()
    with mounts.image(disk):
        write("mnt/good", data(50000, 1))
        write("mnt/bad", b"needle" * 10000)
    with open(disk, "r+b") as file:
        at = file.read().index(b"needle" * 100)
        file.seek(at + 1000)
        file.write(b"?")
    with mounts.image(disk, "ro"):
        same(read("mnt/good"), data(50000, 1))
        fails(errno.EUCLEAN, read, "mnt/bad")
    with open(disk, "r+b") as file:
        file.write(bytes(1 << 20))
    run("mount", disk, "mnt", status=1)
    has(run.err, "not formatted")


if __name__ == "__main__":
    mounts.main(globals())
