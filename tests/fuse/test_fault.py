# SPDX-License-Identifier: ISC
"""The n-th allocation of the daemon of a store fails, for n = 1, 2, ... until none did: who
asked is told so, and it goes on as if nothing had been.

FUSE_FAULTS (default: 30) is how many n are tried on each view, spread over those
that there are.
"""
import errno
import mmap
import os
import struct

import mounts
from mounts import NOTAPACK, sh
from support import Skip, clean, data, format_disk, has, same

LIBRARY = os.environ.get("FUSE_FAULT_LIBRARY")
FAULTS = int(os.environ.get("FUSE_FAULTS", "30"))
ALLOC, LIVE = 0, 8  # where fault.c has them


class Fault:
    def __init__(self):
        with open("fault", "wb") as file:
            file.write(bytes(4096))
        with open("fault", "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 4096)

    def get(self, what):
        return struct.unpack_from("q", self.shared, what)[0]

    def set(self, what, n):
        struct.pack_into("q", self.shared, what, n)


def work(top):
    """Something of everything."""
    here = top + "/here"
    os.mkdir(here)
    with open(here + "/file", "wb", buffering=0) as file:
        file.write(data(50000, 1))
        file.truncate(40000)
        os.fsync(file.fileno())
    os.rename(here + "/file", here + "/other")
    same(sorted(os.listdir(here)), ["other"])
    with open(here + "/other", "rb", buffering=0) as file:
        same(file.read(), data(50000, 1)[:40000])
    os.chmod(here + "/other", 0o600)
    with open(here + "/gone", "wb", buffering=0) as file:
        os.remove(here + "/gone")
        file.write(b"1")
    clear(top)


def clear(top):
    sh("rm -rf %s/here; sync %s" % (top, top))


def may_fail(top):
    try:
        work(top)
    except OSError as error:
        same(error.errno in (errno.ENOMEM, errno.EIO), True)
    except AssertionError as error:  # of rm and sync
        if not str(error).startswith("status 1"):
            raise


def rounds(mount, fault, top, ns):
    """How many blocks there are more in the end."""
    live = fault.get(LIVE)
    for n in ns:
        fault.set(ALLOC, n)
        may_fail(top)
        fault.set(ALLOC, 0)
        same(mount.daemon.poll(), None)
        clear(top)
        work(top)
        with open(top + "/kept", "rb") as file:
            same(file.read(), data(3000, 2))
    return fault.get(LIVE) - live


def fail_each(mount, fault, top):
    with open(top + "/kept", "wb") as file:
        file.write(data(3000, 2))
    work(top)
    fault.set(ALLOC, 1 << 40)
    work(top)
    n_allocs = (1 << 40) - fault.get(ALLOC)
    ns = range(1, n_allocs, max(1, n_allocs // FAULTS))
    usual = rounds(mount, fault, top, [0] * len(ns))  # caches fill
    more = rounds(mount, fault, top, ns)
    print("%d allocations, %d failed; %d blocks more, %d if none fails" % (
        n_allocs, len(ns), more, usual))
    same(more < usual + FAULTS, True)
    mount.unmount()


def needs():
    if LIBRARY is None:
        raise Skip("run by meson, which builds what fails")


def mounted(command):
    return mounts.mounted([*command, "mount", "-f", "-o", "commit=0"],
                          preload=LIBRARY)


def test_stores():
    needs()
    for name in "st", format_disk("64m") + ":st":
        sh("%s -s %s init" % (NOTAPACK, name))
        fault = Fault()
        with mounted([NOTAPACK, "-s", name]) as mount:
            os.mkdir("mnt/live/main")
            fail_each(mount, fault, "mnt/live/main")
        has(sh("%s -s %s check" % (NOTAPACK, name)), "CHECK OK")


if __name__ == "__main__":
    mounts.main(globals())
