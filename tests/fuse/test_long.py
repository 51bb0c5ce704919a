# SPDX-License-Identifier: ISC
"""What takes minutes: a compiler, fio with verification, stress-ng and rsync on
mounts, 100 000 files in a directory, and the memory that the daemon takes.

Only with FUSE_LONG set. FUSE_SECONDS (default: 20) is for how long each stressor
of stress-ng runs. What is not installed is skipped.
"""
import os
import re
import shutil

import mounts
from mounts import NOTAPACK, sh
from support import Skip, clean, format_disk, has, make_tree, same, tree_of

SECONDS = os.environ.get("FUSE_SECONDS", "20")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def needs(*programs):
    if not os.environ.get("FUSE_LONG"):
        raise Skip("FUSE_LONG is not set")
    for program in programs:
        if shutil.which(program) is None:
            raise Skip("no " + program)


def memory(mount):
    """KiB that the daemon has in memory now."""
    with open("/proc/%d/status" % mount.daemon.pid, encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def on_both(case, size="1g"):
    """case(directory) on an image, and on a branch."""
    disk = format_disk(size)
    with mounts.image(disk, "allow_other") as mount:
        case("mnt")
        print("image: %d KiB" % memory(mount))
        mount.unmount()
    clean(disk)
    os.remove(disk)
    sh("%s -s st init" % NOTAPACK)
    with mounts.mounted([NOTAPACK, "-s", "st", "mount", "-f"]) as mount:
        os.mkdir("mnt/live/main")
        case("mnt/live/main")
        print("branch: %d KiB" % memory(mount))
        mount.unmount()
    has(sh("%s -s st check" % NOTAPACK), "CHECK OK")


def test_compiler():
    """The project builds on a mount, from what is on it."""
    needs("meson", "ninja")

    def case(top):
        sh("mkdir %s/src; cd %s; git ls-files -z | "
           "tar c --null -T - | tar x -C $OLDPWD/%s/src" % (top, ROOT, top))
        sh("cd %s/src; CCACHE_DISABLE=1 meson setup build -Dtests=false && "
           "CCACHE_DISABLE=1 ninja -j2 -C build cli/notafs && "
           "build/cli/notafs --version" % top)
    on_both(case)


def test_fio():
    needs("fio")

    def case(top):
        for engine in ("psync", "mmap"):
            sh("fio --name=v --directory=%s --ioengine=%s --rw=randwrite "
               "--bs=16k --size=16m --nrfiles=2 --verify=crc32c "
               "--verify_fatal=1 --do_verify=1 --fsync=64 --loops=3 "
               "--randseed=1 --numjobs=2" % (top, engine))
            sh("rm -f %s/v.*" % top)
    on_both(case)


def test_stress_ng():
    needs("stress-ng")

    def case(top):
        for stressor in ("dir", "rename", "filename", "seek", "fallocate",
                         "dentry", "readahead", "hdd"):
            more = "--hdd-bytes 16m" if stressor == "hdd" else ""
            sh("cd %s; stress-ng --%s 2 %s --temp-path . --verify "
               "--timeout %s" % (top, stressor, more, SECONDS))
        sh("rm -rf %s/tmp-stress*" % top)
    on_both(case)


def test_rsync():
    needs("rsync")
    make_tree("tree", seed=7, files=300)
    sh("find tree -type d -empty -delete")

    def case(top):
        sh("rsync -a tree/ %s/copy/; rsync -a --delete tree/ %s/copy/" %
           (top, top))
        same(sh("rsync -ani --checksum --delete tree/ %s/copy/" % top), "")
        same(tree_of(top + "/copy"), tree_of("tree"))
    on_both(case)


def test_many_files():
    needs()

    def case(top):
        os.mkdir(top + "/many")
        for i in range(100000):
            os.close(os.open("%s/many/file %d" % (top, i),
                             os.O_WRONLY | os.O_CREAT))
        names = os.listdir(top + "/many")
        same(len(names), 100000)
        same(len(set(names)), 100000)
        same(len([e.stat().st_size for e in os.scandir(top + "/many")]),
             100000)
        sh("rm -r %s/many" % top)
    on_both(case)


def test_memory():
    """Rounds of the same work do not take more and more."""
    needs()
    make_tree("tree", seed=8, files=200)

    def case(top):
        for _ in range(30):
            sh("cp -r tree %s/t; sync %s; find %s/t -type f -print0 | xargs -0 cat "
               ">/dev/null; rm -r %s/t" % ((top,) * 4))
    disk = format_disk("256m")
    with mounts.image(disk) as mount:
        found = []
        for _ in range(4):
            case("mnt")
            sh("echo 2 > /proc/sys/vm/drop_caches")
            found.append(memory(mount))
        print("KiB after each round:", found)
        same(found[-1] < found[0] * 1.5, True)
    clean(disk)
    sh("%s -s st init" % NOTAPACK)
    with mounts.mounted([NOTAPACK, "-s", "st", "mount", "-f"]) as mount:
        os.mkdir("mnt/live/main")
        found = []
        for _ in range(4):
            case("mnt/live/main")
            sh("echo 2 > /proc/sys/vm/drop_caches")
            found.append(memory(mount))
        print("KiB after each round:", found)
        same(found[-1] < found[0] * 1.5, True)


if __name__ == "__main__":
    mounts.main(globals())
