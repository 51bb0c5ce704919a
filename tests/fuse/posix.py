# SPDX-License-Identifier: ISC
"""What POSIX asks of a file system, as cases that run in any directory.

    posix.py DIRECTORY [WITHOUT,...]

WITHOUT names what is not there: symlink, link, fifo. The cases are true of the
system's own file systems, which is how they are checked themselves. Needs root.
"""
import contextlib
import errno
import fcntl
import mmap
import os
import stat
import sys
import time
import traceback

WITHOUT = set()


def same(found, wanted):
    if found != wanted:
        raise AssertionError("found %r, not %r" % (found, wanted))


def fails(wanted, call, *args, **more):
    try:
        call(*args, **more)
    except OSError as error:
        same(errno.errorcode[error.errno], errno.errorcode[wanted])
        return
    raise AssertionError("%s%r: no error" % (call.__name__, args))


def write(path, content=b"", mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    os.write(fd, content)
    os.close(fd)


def read(path):
    with open(path, "rb") as file:
        return file.read()


@contextlib.contextmanager
def opened(path, flags, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def as_user(uid, gid=None):
    os.setegid(gid if gid is not None else uid)
    os.setgroups([])
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def times(path):
    st = os.lstat(path)
    return st.st_mtime_ns, st.st_ctime_ns


def later(path, before):
    """The file system's clock may be coarse: so that times can differ."""
    while time.time_ns() < max(before) + 20000000:
        time.sleep(0.005)


# ---- open, read, write ----------------------------------------------------


def case_open_flags():
    fails(errno.ENOENT, os.open, "f", os.O_RDONLY)
    fails(errno.ENOENT, os.open, "d/f", os.O_WRONLY | os.O_CREAT)
    write("f", b"12345")
    fails(errno.EEXIST, os.open, "f", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    fails(errno.ENOTDIR, os.open, "f/x", os.O_RDONLY)
    fails(errno.ENOTDIR, os.open, "f", os.O_RDONLY | os.O_DIRECTORY)
    os.mkdir("d")
    fails(errno.EISDIR, os.open, "d", os.O_WRONLY)
    fails(errno.EISDIR, os.open, "d", os.O_RDONLY | os.O_CREAT)
    with opened("f", os.O_RDONLY) as fd:
        fails(errno.EBADF, os.write, fd, b"x")
        fails(errno.EINVAL, os.ftruncate, fd, 0)
    with opened("f", os.O_WRONLY) as fd:
        fails(errno.EBADF, os.read, fd, 1)
    with opened("f", os.O_WRONLY | os.O_TRUNC):
        same(os.stat("f").st_size, 0)


def case_append():
    write("f", b"1")
    with opened("f", os.O_WRONLY | os.O_APPEND) as a:
        with opened("f", os.O_WRONLY | os.O_APPEND) as b:
            os.write(a, b"2")
            os.write(b, b"3")
            os.lseek(a, 0, os.SEEK_SET)
            os.write(a, b"4")
    same(read("f"), b"1234")


def case_offsets():
    with opened("f", os.O_RDWR | os.O_CREAT) as fd:
        same(os.pread(fd, 10, 0), b"")
        same(os.pwrite(fd, b"end", 100000), 3)
        same(os.fstat(fd).st_size, 100003)
        same(os.pread(fd, 10, 99995), bytes(5) + b"end")
        same(os.pread(fd, 10, 100003), b"")
        same(os.pread(fd, 10, 1 << 40), b"")
        os.pwrite(fd, b"begin", 0)
        same(os.read(fd, 6), b"begin\0")
        same(os.lseek(fd, 0, os.SEEK_END), 100003)
        fails(errno.EINVAL, os.lseek, fd, -1, os.SEEK_SET)


def case_truncate():
    write("f", bytes(range(256)) * 40)
    os.truncate("f", 5000)
    same(len(read("f")), 5000)
    os.truncate("f", 9000)
    same(read("f"), (bytes(range(256)) * 40)[:5000] + bytes(4000))
    os.truncate("f", 0)
    os.truncate("f", 3)
    same(read("f"), bytes(3))
    os.mkdir("d")
    fails(errno.EISDIR, os.truncate, "d", 0)
    fails(errno.ENOENT, os.truncate, "x", 0)
    fails(errno.EINVAL, os.truncate, "f", -1)


def case_mapped():
    write("f", bytes(20000))
    with opened("f", os.O_RDWR) as fd:
        with mmap.mmap(fd, 20000) as shared:
            shared[5000:5003] = b"abc"
            same(os.pread(fd, 3, 5000), b"abc")
            os.pwrite(fd, b"xyz", 9000)
            same(shared[9000:9003], b"xyz")
            shared.flush()
        with mmap.mmap(fd, 20000, mmap.MAP_PRIVATE) as private:
            private[0:3] = b"123"
            same(os.pread(fd, 3, 0), bytes(3))
    same(read("f")[5000:5003], b"abc")
    with opened("f", os.O_RDWR) as fd:  # mapped, closed, then changed
        shared = mmap.mmap(fd, 20000)
    shared[19999:20000] = b"z"
    shared.close()
    same(read("f")[19998:], b"\0z")


def case_vectors():
    with opened("f", os.O_RDWR | os.O_CREAT) as fd:
        same(os.writev(fd, [b"one", b"", b"two" * 5000]), 15003)
        bufs = [bytearray(2), bytearray(3)]
        same(os.preadv(fd, bufs, 1), 5)
        same(bytes(bufs[0] + bufs[1]), b"netwo")
        same(os.pwritev(fd, [b"XX", b"YY"], 1), 4)
    same(read("f")[:6], b"oXXYYo")


def case_synced():
    for flag in (os.O_SYNC, os.O_DSYNC):
        with opened("f", os.O_WRONLY | os.O_CREAT | flag) as fd:
            os.write(fd, b"12")
            os.fsync(fd)
            os.fdatasync(fd)
    with opened(".", os.O_RDONLY) as fd:
        os.fsync(fd)


def case_locks():
    write("f", b"12345678")
    with opened("f", os.O_RDWR) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 4, 0)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with opened("f", os.O_RDWR) as other:
                    fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 4, 4)
                    fails(errno.EAGAIN, fcntl.lockf, other,
                          fcntl.LOCK_EX | fcntl.LOCK_NB, 4, 2)
                    status = 0
            finally:
                os._exit(status)
        same(os.waitpid(child, 0)[1], 0)
        fcntl.flock(fd, fcntl.LOCK_EX)
        with opened("f", os.O_RDWR) as other:
            fails(errno.EAGAIN, fcntl.flock, other,
                  fcntl.LOCK_EX | fcntl.LOCK_NB)


# ---- names -----------------------------------------------------------------


def case_names():
    longest = "n" * 255
    write(longest)
    same(os.listdir("."), [longest])
    os.rename(longest, "m" * 255)
    for call in (write, os.mkdir, os.stat, os.remove, os.rmdir):
        fails(errno.ENAMETOOLONG, call, "n" * 256)
    os.remove("m" * 255)
    odd = ["a\nb", " ", "\u00e9\u6f22", "-", "%41", "*", "\udcff"]
    for name in odd:
        write(name, os.fsencode(name))
    same(sorted(os.listdir(".")), sorted(odd))
    for name in odd:
        same(read(name), os.fsencode(name))


def case_directories():
    os.mkdir("d", 0o750)
    same(stat.S_IMODE(os.stat("d").st_mode), 0o750)
    fails(errno.EEXIST, os.mkdir, "d")
    write("f")
    fails(errno.EEXIST, os.mkdir, "f")
    fails(errno.ENOTDIR, os.mkdir, "f/d")
    fails(errno.ENOENT, os.mkdir, "x/d")
    fails(errno.ENOTDIR, os.rmdir, "f")
    fails(errno.EISDIR, os.remove, "d")
    fails(errno.ENOENT, os.rmdir, "x")
    write("d/f")
    fails(errno.ENOTEMPTY, os.rmdir, "d")
    fails(errno.EINVAL, os.rmdir, "d/.")
    os.remove("d/f")
    os.rmdir("d")
    fails(errno.ENOENT, os.stat, "d")


def case_removed_directory():
    os.mkdir("d")
    with opened("d", os.O_RDONLY) as fd:
        os.rmdir("d")
        same(os.listdir(fd), [])
        fails(errno.ENOENT, os.open, "f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        fails(errno.ENOENT, os.mkdir, "x", dir_fd=fd)


def case_unlinked_file():
    write("f", b"content")
    with opened("f", os.O_RDWR) as fd:
        os.remove("f")
        fails(errno.ENOENT, os.stat, "f")
        same(os.fstat(fd).st_nlink, 0)
        same(os.read(fd, 10), b"content")
        os.pwrite(fd, b"more", 7)
        os.ftruncate(fd, 9)
        os.fchmod(fd, 0o600)
        os.fsync(fd)
        same(os.pread(fd, 20, 0), b"contentmo")
        write("f", b"another")
        same(os.pread(fd, 20, 0), b"contentmo")
        same(os.fstat(fd).st_size, 9)
    same(read("f"), b"another")


def case_rename_files():
    write("a", b"a")
    write("b", b"b")
    ino = os.stat("a").st_ino
    os.rename("a", "b")
    same(read("b"), b"a")
    same(os.stat("b").st_ino, ino)
    fails(errno.ENOENT, os.stat, "a")
    fails(errno.ENOENT, os.rename, "a", "c")
    fails(errno.ENOENT, os.rename, "b", "x/c")
    fails(errno.ENOTDIR, os.rename, "b", "b/c")
    os.rename("b", "b")
    os.mkdir("d")
    fails(errno.EISDIR, os.rename, "b", "d")
    fails(errno.ENOTDIR, os.rename, "d", "b")
    os.rename("b", "d/c")
    same(os.listdir("d"), ["c"])


def case_rename_directories():
    os.makedirs("a/b/c")
    write("a/b/f", b"1")
    fails(errno.EINVAL, os.rename, "a", "a/x")
    fails(errno.EINVAL, os.rename, "a", "a/b/x")
    fails(errno.ENOTEMPTY, os.rename, "a/b/c", "a")
    os.mkdir("e")
    os.rename("a/b", "e")
    same(sorted(os.listdir("e")), ["c", "f"])
    same(os.listdir("a"), [])
    os.rename("e", "a/e")
    same(read("a/e/f"), b"1")
    with opened("a/e", os.O_RDONLY) as fd:
        os.rename("a/e", "g")
        same(sorted(os.listdir(fd)), ["c", "f"])
        write("g/new", b"2")
        same(sorted(os.listdir(fd)), ["c", "f", "new"])
    fails(errno.ENOTEMPTY, os.rename, "a", "g")
    fails(errno.EINVAL, os.rename, "g", "g/c/x")


def case_rename_over_open():
    write("a", b"new")
    write("b", b"old")
    with opened("b", os.O_RDONLY) as fd:
        os.rename("a", "b")
        same(os.read(fd, 9), b"old")
        same(os.fstat(fd).st_nlink, 0)
    same(read("b"), b"new")


def case_links():
    write("f", b"content")
    if "link" in WITHOUT:
        fails(errno.EPERM, os.link, "f", "g")
    else:
        os.link("f", "g")
        same(os.stat("f").st_nlink, 2)
        os.remove("f")
        same(read("g"), b"content")
    if "symlink" in WITHOUT:
        fails(errno.EPERM, os.symlink, "f", "s")
        return
    os.symlink("target", "s")
    same(os.readlink("s"), "target")
    same(os.lstat("s").st_size, 6)
    same(stat.S_ISLNK(os.lstat("s").st_mode), True)
    fails(errno.ENOENT, os.stat, "s")
    fails(errno.EEXIST, os.symlink, "x", "s")
    write("s", b"through")
    same(read("target"), b"through")
    fails(errno.EINVAL, os.readlink, "target")
    os.symlink("loop", "loop")
    fails(errno.ELOOP, os.stat, "loop")
    os.rename("s", "t")
    same(os.readlink("t"), "target")
    os.remove("t")
    same(read("target"), b"through")
    os.symlink("x" * 1000, "long")
    same(os.readlink("long"), "x" * 1000)


def case_special_files():
    if "fifo" in WITHOUT:
        fails(errno.EPERM, os.mkfifo, "p")
        fails(errno.EPERM, os.mknod, "c", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod("f", stat.S_IFREG | 0o640)
    same(os.stat("f").st_mode, stat.S_IFREG | 0o640)


def case_listing():
    names = ["file %04d" % i for i in range(700)]
    for name in names:
        write(name)
    same(sorted(os.listdir(".")), names)
    # Removing what has been listed disturbs no other.
    seen = []
    with os.scandir(".") as entries:
        for entry in entries:
            seen.append(entry.name)
            os.remove(entry.name)
    same(sorted(seen), names)
    same(os.listdir("."), [])


def case_listing_in_two():
    for i in range(50):
        write("f%d" % i)
    with opened(".", os.O_RDONLY) as fd:
        first = os.listdir(fd)
        write("late")
        os.remove("f7")
        second = os.listdir(fd)  # listdir begins anew
    same(len(first), 50)
    same(set(second), set(first) - {"f7"} | {"late"})


# ---- attributes --------------------------------------------------------------


def case_modes():
    os.umask(0o022)
    write("f", mode=0o666)
    same(os.stat("f").st_mode, stat.S_IFREG | 0o644)
    for mode in (0o000, 0o777, 0o4711, 0o2755, 0o1640):
        os.chmod("f", mode)
        same(stat.S_IMODE(os.stat("f").st_mode), mode)
    os.mkdir("d", 0o1777)
    same(stat.S_IMODE(os.stat("d").st_mode), 0o1755)
    fails(errno.ENOENT, os.chmod, "x", 0)


def case_owners():
    write("f", mode=0o644)
    os.chown("f", 123, 456)
    st = os.stat("f")
    same((st.st_uid, st.st_gid), (123, 456))
    os.chown("f", -1, 7)
    st = os.stat("f")
    same((st.st_uid, st.st_gid), (123, 7))
    with as_user(123):
        fails(errno.EPERM, os.chown, "f", 5, -1)
    with as_user(9):
        fails(errno.EPERM, os.chmod, "f", 0o777)
    os.mkdir("d")
    os.chown("d", 1, 77)
    os.chmod("d", 0o2775)
    write("d/f")
    os.mkdir("d/e")
    same(os.stat("d/f").st_gid, 77)
    same(os.stat("d/e").st_gid, 77)
    same(os.stat("d/e").st_mode & stat.S_ISGID, stat.S_ISGID)


def case_permissions():
    os.chmod(".", 0o755)
    os.mkdir("d", 0o700)
    write("d/f", b"1")
    write("secret", b"1", 0o600)
    write("readable", b"1", 0o644)
    with as_user(1000):
        fails(errno.EACCES, os.stat, "d/f")
        fails(errno.EACCES, os.listdir, "d")
        fails(errno.EACCES, read, "secret")
        same(read("readable"), b"1")
        fails(errno.EACCES, os.open, "readable", os.O_WRONLY)
        fails(errno.EACCES, write, "new")
        fails(errno.EACCES, os.remove, "readable")
        fails(errno.EACCES, os.rename, "readable", "other")
        fails(errno.EACCES, os.mkdir, "e")
    os.mkdir("shared", 0o777)
    os.chmod("shared", 0o1777)
    write("shared/f", b"1")
    with as_user(1000):
        write("shared/mine", b"2")
        same(os.stat("shared/mine").st_uid, 1000)
        fails(errno.EPERM, os.remove, "shared/f")
        fails(errno.EPERM, os.rename, "shared/f", "shared/g")
        os.remove("shared/mine")


def case_set_id_bits():
    write("f", b"1")
    os.chown("f", 1000, 1000)
    os.chmod("f", 0o6777)
    with as_user(1000):
        with opened("f", os.O_WRONLY) as fd:
            os.write(fd, b"2")
    same(os.stat("f").st_mode & stat.S_ISUID, 0)


def case_times():
    write("f", b"1")
    os.utime("f", ns=(10**18 + 1, 10**18 + 2))
    st = os.stat("f")
    same((st.st_atime_ns, st.st_mtime_ns), (10**18 + 1, 10**18 + 2))
    os.utime("f", ns=(5, 2**33 * 10**9))
    same(os.stat("f").st_mtime_ns, 2**33 * 10**9)
    os.utime("f", ns=(5, -7 * 10**9))
    same(os.stat("f").st_mtime_ns, -7 * 10**9)
    os.mkdir("d")
    os.utime("d", ns=(3, 10**18 + 3))
    same(os.stat("d").st_mtime_ns, 10**18 + 3)
    os.utime("f")
    same(abs(time.time() - os.stat("f").st_mtime) < 5, True)


def case_times_of_changes():
    write("f", b"1")
    os.mkdir("d")
    before = times("f")
    later("f", before)
    os.chmod("f", 0o600)
    same(times("f")[0], before[0])
    same(times("f")[1] > before[1], True)
    before = times("f")
    later("f", before)
    with opened("f", os.O_WRONLY) as fd:
        os.write(fd, b"2")
    same(times("f")[0] > before[0], True)
    before = times("f")
    later("f", before)
    os.truncate("f", 0)
    same(times("f")[0] > before[0], True)
    for change in (lambda: write("d/f"), lambda: os.rename("d/f", "d/g"),
                   lambda: os.remove("d/g"), lambda: os.mkdir("d/e"),
                   lambda: os.rmdir("d/e")):
        before = times("d")
        later("d", before)
        change()
        same(times("d")[0] > before[0], True)
        same(times("d")[1] > before[1], True)
    before = times("d")
    later("d", before)
    write("f", b"elsewhere")
    same(times("d"), before)


def case_numbers():
    write("a")
    write("b")
    os.mkdir("d")
    numbers = {os.stat(name).st_ino for name in ("a", "b", "d", ".")}
    same(len(numbers), 4)
    same({os.stat(name).st_dev for name in ("a", "b", "d")},
         {os.stat(".").st_dev})
    same(os.stat("d/..").st_ino, os.stat(".").st_ino)
    os.rename("a", "d/a")
    write("a")
    same(os.stat("a").st_ino != os.stat("d/a").st_ino, True)
    same(os.statvfs(".").f_namemax >= 255, True)


def run(directory):
    passed = failed = 0
    os.umask(0o022)
    for name, case in list(globals().items()):
        if not name.startswith("case_"):
            continue
        folder = os.path.join(directory, name)
        os.mkdir(folder)
        os.chdir(folder)
        try:
            case()
            passed += 1
        except Exception:  # whatever it is, the case has failed
            failed += 1
            print("FAILED %s" % name)
            traceback.print_exc(file=sys.stdout)
        finally:
            os.chdir("/")
    print("%d passed, %d failed" % (passed, failed))
    return failed


if __name__ == "__main__":
    WITHOUT.update(sys.argv[2].split(",") if len(sys.argv) > 2 else [])
    sys.exit(run(os.path.abspath(sys.argv[1])) > 0)
