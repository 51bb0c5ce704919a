# SPDX-License-Identifier: ISC
"""mount(8) and umount(8) by the types fuse.notafs and fuse.notapack.

In a mount namespace of its own, where what helps them lies over /sbin.
"""
import os
import subprocess

import mounts
from mounts import NOTAPACK, sh
from support import NOTAFS, Skip, clean, format_disk, has, run, same

HELPER = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "../../fuse/mount.fuse.in")


def in_namespace(script):
    """The script where mount -t fuse.TYPE works; Skip where nothing can be laid
    over /sbin."""
    os.makedirs("helpers", exist_ok=True)
    for verb in ("mount", "umount"):
        for kind in ("notafs", "notapack"):
            name = "helpers/%s.fuse.%s" % (verb, kind)
            sh("sed 's|@bindir@|%s|' %s > %s; chmod 755 %s" % (
                os.path.dirname(NOTAFS), HELPER, name, name))
    os.makedirs("mnt", exist_ok=True)
    lay = "mount -t overlay overlay -o lowerdir=$PWD/helpers:%s %s" % (
        (os.path.realpath("/sbin"),) * 2)
    if subprocess.run(["unshare", "-m", "sh", "-c", lay], check=False,
                      stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("no overlay over /sbin")
    path = "%s:%s" % (os.path.dirname(NOTAFS), os.environ["PATH"])
    return sh("export PATH=%s; unshare -m bash -euc '%s\n%s'" % (
        path, lay, script))


def test_image():
    disk = format_disk()
    found = in_namespace("""
        mount -t fuse.notafs -o commit=0,noexec disk.img mnt
        echo content > mnt/file
        findmnt -no FSTYPE,OPTIONS mnt
        umount mnt
        notafs check -d disk.img
        mount -t fuse.notafs -o ro disk.img mnt
        cat mnt/file
        ! touch mnt/other 2>/dev/null
        umount mnt
    """)
    has(found, "fuse.notafs")
    has(found, "noexec")
    has(found, ": clean")
    has(found, "content")
    clean(disk)
    same(run("cat", "-d", disk, "file"), "content\n")


def test_store():
    sh("%s -s st init" % NOTAPACK)
    in_namespace("""
        mount -t fuse.notapack -o commit=0,author=somebody st mnt
        mkdir mnt/live/main
        echo content > mnt/live/main/file
        umount mnt
        notapack -s st get file > got
    """)
    same(sh("cat got"), "content\n")
    has(sh("%s -s st log" % NOTAPACK), "Author: somebody")


def test_fstab():
    """mount DIRECTORY, as fstab says."""
    disk = format_disk()
    found = in_namespace("""
        echo "$PWD/%s $PWD/mnt fuse.notafs noauto,nofail,commit=2 0 0" > tab
        mount -T tab mnt
        findmnt -no FSTYPE mnt
        umount mnt
    """ % disk)
    has(found, "fuse.notafs")


if __name__ == "__main__":
    mounts.main(globals())
