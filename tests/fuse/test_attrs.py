# SPDX-License-Identifier: ISC
"""The store view with -o posix: what is recorded beside the data is there after
any end of the mount, in every copy of the store and in every view of it, and the
data have the hashes that they have without it."""
import errno
import os
import shutil
import time

import mounts
from mounts import NOTAPACK, fails, pack, read, sh, sync, write, xattr
from support import clean, data, format_disk, has, make_tree, same

MAIN = "mnt/live/main"


def store(options="", name="st", directory="mnt"):
    return mounts.mounted([NOTAPACK, "-s", name, "mount", "-f", "--posix",
                           "-o", "allow_other," + options], directory)


def plain(options="commit=5", name="st"):
    return mounts.mounted([NOTAPACK, "-s", name, "mount", "-f", "-o", options])


def make_rich(top, seed=1):
    """A tree with all that is recorded."""
    shutil.rmtree(top, ignore_errors=True)
    make_tree(top, seed=seed, files=60)
    n = 0
    for folder, folders, files in os.walk(top):
        for name in sorted(files + folders):
            path = os.path.join(folder, name)
            n += 1
            if os.path.islink(path):
                continue
            os.chown(path, n % 5 * 1000, n % 3 * 1000)
            os.chmod(path, [0o644, 0o4755, 0o600, 0o2710, 0o1777, 0o000][n % 6])
            if n % 4 == 0:
                os.setxattr(path, "user.number", b"%d" % n)
                os.setxattr(path, "user.empty", b"")
        os.symlink("l%d/../nowhere" % n, os.path.join(folder, "link%d" % n))
        os.mkdir(os.path.join(folder, "empty%d" % n))
    for folder, folders, files in os.walk(top, topdown=False):
        for name in sorted(files + folders):
            n += 1
            path = os.path.join(folder, name)
            os.utime(path, ns=(0, n * 1234567890123), follow_symlinks=False)
    os.utime(top, ns=(0, 1234567890123))


def compare(left, right):
    """By what two programs make of it; and by attributes of users."""
    args = os.path.abspath(left), os.path.abspath(right)
    same(sh('rsync -anc --itemize-changes --delete "$1/" "$2/"', *args), "")
    sh('tar c -C "$1" . | tar d -C "$2"', *args)
    same(users(left), users(right))


def users(top):
    found = {}
    for folder, folders, files in os.walk(top):
        for name in files + folders:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                found[os.path.relpath(path, top)] = {
                    x: os.getxattr(path, x) for x in os.listxattr(path)
                    if not x.startswith("user.notafs.")}
    return found


def test_copies():
    """cp -a, rsync -a and tar, before and after the end of the mount."""
    make_rich("tree")
    pack("init")
    with store() as mount:
        os.mkdir(MAIN)
        sh("cp -a tree %s/cp; rsync -aX tree/ %s/rsync; mkdir %s/tar; "
           "tar c --xattrs -C tree . | tar x --xattrs -C %s/tar"
           % ((MAIN,) * 4))
        for how in ("cp", "rsync", "tar"):
            compare("tree", MAIN + "/" + how)
        mount.unmount()
    has(pack("check"), "CHECK OK")
    with store() as mount:
        head = xattr(MAIN, "commit")
        for how in ("cp", "rsync", "tar"):
            compare("tree", MAIN + "/" + how)
            compare("tree", "mnt/commit/%s/%s" % (head, how))
        compare(MAIN, "mnt/commit/" + head)
        same(os.listdir("mnt/live"), ["main"])
        fails(errno.EPERM, os.mkdir, "mnt/live/posix%2Fmain")
        # Looking at it is no change.
        mount.unmount()
    same(pack("log").count("commit "), 1)


def test_in_an_image():
    make_rich("tree", seed=2)
    disk = format_disk("64m")
    name = disk + ":st"
    pack("init", store=name)
    with store(name=name) as mount:
        os.mkdir(MAIN)
        sh("cp -a tree %s/cp; sync %s" % (MAIN, MAIN))
        compare("tree", MAIN + "/cp")
        mount.unmount()
    clean(disk)
    with store("ro", name=name) as mount:
        compare("tree", MAIN + "/cp")
        mount.unmount()


def test_hashes_of_the_data():
    """Those of a plain tree are what they are without the option."""
    make_tree("tree", seed=3, files=100)
    sh("find tree -type d -empty -delete")
    pack("init")
    pack("init", store="other")
    with store() as mount:
        os.mkdir(MAIN)
        sh("cp -a tree/. %s; ln -s x %s/link; mkdir %s/empty" % ((MAIN,) * 3))
        sync(MAIN)
        recorded = xattr(MAIN, "hash")
        mount.unmount()
    with plain(name="other") as mount:
        os.mkdir(MAIN)
        sh("cp -a tree/. " + MAIN)
        same(xattr(MAIN, "hash"), recorded)
        mount.unmount()
    with plain() as mount:
        same(xattr(MAIN, "hash"), recorded)
        sh("diff -r tree " + MAIN)
        mount.unmount()


def test_changes():
    """The same done to a branch and beside it, compared after each commit and
    after each end of the mount."""
    pack("init")
    os.mkdir("model")
    steps = """
        mkdir d; echo 1 > d/f; mkdir d/e; echo 2 > d/e/g; ln -s d l; mkdir d/n
        ln -s f d/k; mkdir d/n/m; chmod 700 d/e; chmod 4711 d/f
        SYNC
        mv d m; mkdir d; mv m/k d; chmod 1777 d; mv l m/l; touch -d @1000 m/n/m
        SYNC
        mv m/n n; rm m/f; mkdir m/f; rmdir n/m; ln -s g m/e/h
        SYNC
        rm d/k; echo 3 > d/k; rm -r m/e; ln -s d m/e; chown 5:6 n
        SYNC
        rm m/e; mkdir m/e; touch m/e/x; rm m/l; mkdir m/l; mv m/l m/e/l
        mv n m/e/l/n; chmod 711 m/e/l/n
        SYNC
        mv m/e e; rm -r m; mv e/l/n .; rmdir e/l; rm e/x; rmdir e; rm -r d
        chmod 0755 n; touch -hd @7 n
    """.split("SYNC")
    for i, step in enumerate(steps):
        with store("commit=0") as mount:
            if i == 0:
                os.mkdir(MAIN)
            for top in ("model", MAIN):
                sh("umask 022; cd %s\n%s\n" % (top, step.strip()))
            sh("touch -hr model %s; cd model; find . -mindepth 1 -exec "
               "touch -hr {} ../%s/{} ';'" % (MAIN, MAIN))
            compare("model", MAIN)
            same(sorted(os.listdir("model")), sorted(os.listdir(MAIN)))
            if i % 2 == 0:
                sync(MAIN)
                compare("model", MAIN)
            mount.unmount()
        with store("commit=0") as mount:
            compare("model", MAIN)
            mount.unmount()
    has(pack("check"), "CHECK OK")


def test_each_change_is_a_commit():
    """So that what a commit shows never changes."""
    pack("init")
    with store("commit=0") as mount:
        os.mkdir(MAIN)
        write(MAIN + "/a", b"1")
        sync(MAIN)
        first = xattr(MAIN, "commit"), xattr(MAIN, "hash")
        os.chmod(MAIN + "/a", 0o600)
        os.symlink("a", MAIN + "/link")
        sync(MAIN)
        second = xattr(MAIN, "commit"), xattr(MAIN, "hash")
        same(first[0] == second[0], False)
        same(first[1], second[1])
        os.utime(MAIN + "/a", ns=(5, os.stat(MAIN + "/a").st_mtime_ns))
        os.stat(MAIN + "/a")
        mount.unmount()
    with store("commit=0") as mount:
        same(os.stat("mnt/commit/%s/a" % first[0]).st_mode & 0o777, 0o644)
        same(os.listdir("mnt/commit/" + first[0]), ["a"])
        same(os.stat("mnt/commit/%s/a" % second[0]).st_mode & 0o777, 0o600)
        same(os.readlink("mnt/commit/%s/link" % second[0]), "a")
        os.listxattr(MAIN + "/a")
        mount.unmount()


def test_attributes_of_users():
    pack("init")
    with store("commit=0") as mount:
        os.mkdir(MAIN)
        path = MAIN + "/a"
        write(path, b"1")
        os.setxattr(path, "user.b", b"1", os.XATTR_CREATE)
        fails(errno.EEXIST, os.setxattr, path, "user.b", b"2", os.XATTR_CREATE)
        fails(errno.ENODATA, os.setxattr, path, "user.a", b"2",
              os.XATTR_REPLACE)
        os.setxattr(path, "user.a", b"2")
        os.setxattr(path, "user.c", data(60000, 1))
        fails(errno.ENOSPC, os.setxattr, path, "user.d", data(60000, 1))
        fails(errno.ENODATA, os.removexattr, path, "user.d")
        fails(errno.EPERM, os.removexattr, path, "user.notafs.hash")
        fails(errno.EOPNOTSUPP, os.setxattr, path, "trusted.x", b"1")
        os.setxattr(path, "user.b", b"")
        mount.unmount()
    with store("commit=0") as mount:
        same([x for x in os.listxattr(path) if "notafs" not in x],
             ["user.a", "user.b", "user.c"])
        same(os.getxattr(path, "user.c"), data(60000, 1))
        os.removexattr(path, "user.c")
        fails(errno.ENODATA, os.getxattr, path, "user.c")
        mount.unmount()
    with store("ro") as mount:
        same([x for x in os.listxattr(path) if "notafs" not in x],
             ["user.a", "user.b"])
        same(os.getxattr(path, "user.b"), b"")
        fails(errno.EROFS, os.setxattr, path, "user.b", b"1")
        mount.unmount()


def test_who_knows_nothing_of_it():
    """Paths that are still there keep their attributes; others have none."""
    pack("init")
    with store() as mount:
        os.mkdir(MAIN)
        sh("""umask 022; cd %s; mkdir d d/n gone gone/n; echo 1 > d/f; chmod 751 d
              echo 1 > gone/f; ln -s x gone/link; ln -s x d/link; ln -s y over
              echo 1 > a; chmod 600 a; echo 1 > b; chmod 640 b
              touch -d @1000 a b d/f""" % MAIN)
        mount.unmount()
    pack("--date", "2000", "set", "b", "2")
    pack("--date", "2001", "rm", "gone/f")
    pack("--date", "2002", "set", "over", "3")
    pack("--date", "2003", "set", "new", "4")

    def look(top):
        same(sorted(os.listdir(top)), ["a", "b", "d", "new", "over"])
        same([(os.stat(top + x).st_mode & 0o777, int(os.stat(top + x).st_mtime))
              for x in ("a", "b")], [(0o600, 1000), (0o640, 2003)])
        same(os.stat(top + "d").st_mode & 0o777, 0o751)
        same(sorted(os.listdir(top + "d")), ["f", "link", "n"])
        same(read(top + "over"), b"3")
    with store() as mount:
        head = xattr(MAIN, "commit")
        look(MAIN + "/")
        look("mnt/commit/%s/" % head)
        os.chmod(MAIN + "/a", 0o666)
        mount.unmount()
    with store() as mount:
        look("mnt/commit/%s/" % head)
        same(os.stat(MAIN + "/a").st_mode & 0o777, 0o666)
        same(os.stat(MAIN + "/b").st_mode & 0o777, 0o640)
        same(os.path.lexists(MAIN + "/gone"), False)
        mount.unmount()
    # A mount without the option is such a program.
    with plain() as mount:
        write(MAIN + "/b", b"5")
        os.rename(MAIN + "/d/f", MAIN + "/moved")
        mount.unmount()
    with store() as mount:
        same(os.stat(MAIN + "/b").st_mode & 0o777, 0o640)
        same(sorted(os.listdir(MAIN)), ["a", "b", "moved", "new", "over"])
        mount.unmount()
    has(pack("check"), "CHECK OK")


def test_others_commit():
    """A branch that another mount moves, and a program that knows nothing."""
    pack("init")
    with store("commit=0") as mount:
        os.mkdir(MAIN)
        sh("cd %s; mkdir d; touch a b c d/f; ln -s a link; sync ." % MAIN)
        with store("commit=0", directory="mnt2") as other:
            there = "mnt2/live/main"
            os.chmod(there + "/a", 0o600)
            os.chmod(there + "/b", 0o601)
            os.symlink("b", there + "/link2")
            os.remove(there + "/link")
            os.mkdir(there + "/d2")
            sync(there)
            mounts.wait_until(lambda: sorted(os.listdir(MAIN)) ==
                              ["a", "b", "c", "d", "d2", "link2"])
            mounts.wait_until(
                lambda: os.stat(MAIN + "/a").st_mode & 0o777 == 0o600)
            # Both at once: what differs is merged by path; the later one counts.
            os.chmod(MAIN + "/a", 0o640)
            os.chmod(MAIN + "/c", 0o641)
            os.symlink("c", MAIN + "/link3")
            time.sleep(0.02)  # for ctime, however coarse
            os.chmod(there + "/a", 0o644)
            os.chmod(there + "/b", 0o645)
            write(there + "/both", b"theirs")
            os.chmod(there + "/both", 0o700)
            write(MAIN + "/both", b"ours")
            os.chmod(MAIN + "/both", 0o711)
            sync(there)
            sync(MAIN)

            def modes(top):
                return [os.stat(top + "/" + x).st_mode & 0o777
                        for x in ("a", "b", "c")]
            mounts.wait_until(lambda: modes(MAIN) == [0o644, 0o645, 0o641])
            mounts.wait_until(lambda: modes(there) == [0o644, 0o645, 0o641])
            mounts.wait_until(lambda: read(MAIN + "/both") == b"theirs")
            names = sorted(os.listdir(MAIN))
            same(len(names), 9)
            same(names[3].startswith("both.conflict-"), True)
            same(os.stat(MAIN + "/" + names[3]).st_mode & 0o777, 0o711)
            same(os.readlink(MAIN + "/link3"), "c")
            other.unmount()
        pack("set", "a", "changed")
        mounts.wait_until(lambda: read(MAIN + "/a") == b"changed")
        same(os.stat(MAIN + "/a").st_mode & 0o777, 0o644)
        mount.unmount()
    with store() as mount:
        same(sorted(os.listdir(MAIN)), names)
        mount.unmount()
    has(pack("check"), "CHECK OK")


def test_branches_and_moments():
    pack("init")
    with store("commit=0") as mount:
        os.mkdir(MAIN)
        write(MAIN + "/a", b"1")
        os.chmod(MAIN + "/a", 0o600)
        os.symlink("x", MAIN + "/link")
        sync(MAIN)
        os.mkdir("mnt/live/new")
        same(os.stat("mnt/live/new/a").st_mode & 0o777, 0o600)
        os.chmod("mnt/live/new/a", 0o400)
        os.remove("mnt/live/new/link")
        sync("mnt/live/new")
        same(os.readlink(MAIN + "/link"), "x")
        os.setxattr("mnt/live/new", "user.notafs.branch", b"third")
        same(os.stat("mnt/live/third/a").st_mode & 0o777, 0o400)
        os.rmdir("mnt/live/new")
        mount.unmount()
    same(sorted(line.split()[0] for line in pack("branch").splitlines()),
         ["main", "posix/main", "posix/third", "third"])
    pack("branch", "tag/v1")
    with store("commit=0") as mount:
        same(os.stat("mnt/tag/v1/a").st_mode & 0o777, 0o600)
        same(os.readlink("mnt/tag/v1/link"), "x")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 9))
        same(os.readlink("mnt/at/%s/link" % now), "x")
        same(os.stat("mnt/live/third/a").st_mode & 0o777, 0o400)
        mount.unmount()


def test_clone():
    """Copies of the store have it, too."""
    make_rich("tree", seed=4)
    pack("init")
    with store() as mount:
        os.mkdir(MAIN)
        sh("cp -a tree %s/t" % MAIN)
        mount.unmount()
    sh("%s clone st other" % NOTAPACK)
    with store(name="other") as mount:
        compare("tree", MAIN + "/t")
        os.chmod(MAIN + "/t", 0o700)
        os.rename(MAIN + "/t", MAIN + "/moved")
        mount.unmount()
    pack("push", "st", store="other")
    os.chmod("tree", 0o700)
    with store("ro") as mount:
        compare("tree", MAIN + "/moved")
        mount.unmount()
    has(pack("check"), "CHECK OK")


def test_git():
    """With links, modes and what git makes of them."""
    pack("init")
    make_tree("tree", seed=5, files=40)
    with store("commit=1") as mount:
        os.mkdir(MAIN)
        sh("""
            export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a
            export GIT_COMMITTER_EMAIL=a HOME=$PWD
            git init -q tree
            cd tree
            ln -s nowhere link
            echo "#!/bin/sh" > program
            chmod +x program
            git add .
            git commit -qm first
            git clone -q . ../mnt/live/main/clone
            cd ../mnt/live/main/clone
            git fsck --strict
            test -z "$(git status --short)"
        """)
        mount.unmount()
    with store("commit=1") as mount:
        sh("""
            export HOME=$PWD
            git config --global --add safe.directory '*'
            cd mnt/live/main/clone
            git fsck --strict
            test -z "$(git status --short)"
            test -x program
            git gc -q
            git fsck --strict
            test "$(readlink link)" = nowhere
        """)
        mount.unmount()


def test_killed():
    """What fsync has answered for is there with its attributes."""
    pack("init")
    acked = 0
    for turn in range(8):
        with store("commit=1") as mount:
            if turn == 0:
                os.mkdir(MAIN)
            for i in range(acked):
                path = MAIN + "/f%d" % i
                same((read(path), os.stat(path).st_mode & 0o7777,
                      os.stat(path).st_mtime_ns, os.readlink(path + ".link")),
                     (data(3000, i), i % 512, i * 1000000007, "f%d" % i))
            for i in range(acked, acked + 3):
                path = MAIN + "/f%d" % i
                write(path, data(3000, i))
                os.chmod(path, i % 512)
                os.symlink("f%d" % i, path + ".link")
                os.utime(path, ns=(0, i * 1000000007))
                sync(MAIN)
            acked += 3
            write(MAIN + "/noise", data(100000, turn))
            os.symlink("noise", MAIN + "/noise%d" % turn)
            time.sleep(0.001 * turn)
            mount.kill()
        has(pack("check"), "CHECK OK")


def test_collected():
    """A collection keeps what belongs to the commits that it keeps."""
    make_rich("tree", seed=6)
    pack("init")
    with store("commit=0") as mount:
        os.mkdir(MAIN)
        sh("cp -a tree %s/t; sync %s" % (MAIN, MAIN))
        pack("branch", "tag/v1")
        commits = [xattr(MAIN, "commit")]
        for i in range(5):
            os.chmod(MAIN + "/t", 0o700 + i)
            write(MAIN + "/n", data(5000, i))
            sync(MAIN)
            commits.append(xattr(MAIN, "commit"))
        mount.unmount()
    before = pack("stat")
    pack("gc", "--heads")
    same(pack("stat") == before, False)
    with store("ro") as mount:
        compare("tree", "mnt/tag/v1/t")
        same(os.stat(MAIN + "/t").st_mode & 0o777, 0o704)
        fails(errno.ENOENT, os.stat, "mnt/commit/%s/t" % commits[2])
        os.chmod("tree", 0o704)
        compare("tree", MAIN + "/t")
        mount.unmount()
    with store("commit=0") as mount:
        os.chmod(MAIN + "/t", 0o711)
        sync(MAIN)
        commits.append(xattr(MAIN, "commit"))
        mount.unmount()
    pack("gc", commits[-1])
    with store("ro") as mount:
        os.chmod("tree", 0o711)
        compare("tree", MAIN + "/t")
        mount.unmount()
    has(pack("check"), "CHECK OK")


def test_merged():
    """notapack merge, with and without changes on the branch itself."""
    pack("init")
    with store("commit=0") as mount:
        os.mkdir(MAIN)
        sh("cd %s; umask 022; mkdir d; touch a b d/f; ln -s a link; sync ."
           % MAIN)
        os.mkdir("mnt/live/other")
        sh("""cd mnt/live/other; chmod 600 b; rm link; ln -s b link2; mkdir e
              echo 1 > d/g; chmod 711 d/g; sync .""")
        os.mkdir("mnt/live/ahead")
        sh("cd mnt/live/ahead; chmod 640 a; sync .")
        mount.unmount()
    pack("merge", "ahead")
    pack("branch", "-d", "ahead")
    same("ahead" in pack("branch"), False)

    def look(wanted):
        with store("ro") as mount:
            same({x: oct(os.stat("%s/%s" % (MAIN, x)).st_mode)[-3:]
                  for x in ("a", "b", "d", "d/f")}, wanted)
            names = sorted(os.listdir(MAIN))
            mount.unmount()
        return names
    plainly = {"a": "640", "b": "644", "d": "755", "d/f": "644"}
    same(look(plainly), ["a", "b", "d", "link"])
    pack("merge", "other")
    same(look({**plainly, "b": "600"}), ["a", "b", "d", "e", "link2"])
    with store("commit=0") as mount:
        same(os.stat(MAIN + "/d/g").st_mode & 0o777, 0o711)
        os.chmod(MAIN + "/a", 0o700)
        mount.unmount()
    same(look({**plainly, "a": "700", "b": "600"}),
         ["a", "b", "d", "e", "link2"])
    pack("merge", "other", "-b", "fresh")
    pack("branch", "-d", "other")
    with store("ro") as mount:
        same(os.stat("mnt/live/fresh/d/g").st_mode & 0o777, 0o711)
        mount.unmount()
    has(pack("check"), "CHECK OK")


if __name__ == "__main__":
    mounts.main(globals())
