# SPDX-License-Identifier: ISC
"""posix.py on every kind of mount, and on a directory of the system."""
import os
import subprocess
import sys

import mounts
from mounts import NOTAPACK, sh
from support import clean, format_disk, has, same

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "posix.py")


def conform(directory, *without):
    os.chmod(".", 0o755)
    done = subprocess.run([sys.executable, PROGRAM, directory,
                           ",".join(without)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=300)
    print(done.stdout.decode(), end="")
    same(done.returncode, 0)


def test_of_the_system():
    os.mkdir("here")
    conform("here")


def test_native():
    disk = format_disk("64m")
    with mounts.image(disk, "allow_other") as mount:
        conform("mnt", "symlink", "link", "fifo")
        mount.unmount()
    clean(disk)


def test_mirage():
    disk = format_disk("64m", profile="mirage")
    with mounts.image(disk, "allow_other") as mount:
        conform("mnt", "symlink", "link", "fifo")
        mount.unmount()
    clean(disk)


def on_a_store(name, options="allow_other"):
    sh("%s -s %s init" % (NOTAPACK, name))
    command = [NOTAPACK, "-s", name, "-o", options, "mount", "-f"]
    with mounts.mounted(command) as mount:
        os.mkdir("mnt/live/main")
        conform("mnt/live/main", "link", "fifo")
        mount.unmount()
    has(sh("%s -s %s check" % (NOTAPACK, name)), "CHECK OK")


def test_branch():
    on_a_store("st")


def test_branch_with_attributes():
    on_a_store("st", "allow_other,posix,commit=1")


def test_branch_in_an_image():
    disk = format_disk("64m")
    on_a_store(disk + ":st")
    clean(disk)


if __name__ == "__main__":
    mounts.main(globals())
