# SPDX-License-Identifier: ISC
"""kill -9 of the daemons under load: the disk, and the store on it, are clean, and
all that fsync answered for is there.

FUSE_KILLS (default: 50) is how often, FUSE_SEED the seed.
"""
import os
import random
import time

import mounts
from mounts import NOTAPACK, sh
from support import clean, data, format_disk, has, same

KILLS = int(os.environ.get("FUSE_KILLS", "50"))
SEED = int(os.environ.get("FUSE_SEED", "1"))
WRITERS = 3
RECORD = 700  # bytes: neither a page nor a part of one


def work(top, i, ready):
    """Append records to a file, and note outside how many fsync has answered
    for; make noise meanwhile that nobody asks to keep."""
    name = "%s/w%d" % (top, i)
    fd = os.open(name, os.O_RDWR | os.O_CREAT)
    acked = os.open("log%d" % i, os.O_WRONLY | os.O_CREAT)
    at = os.fstat(fd).st_size // RECORD
    dice = random.Random(at)
    os.write(ready, b".")
    while True:
        for _ in range(dice.randrange(1, 6)):
            os.pwrite(fd, data(RECORD, SEED + 1000000 * i + at), at * RECORD)
            at += 1
        noise = name + ".noise%d" % dice.randrange(4)
        other = os.open(noise, os.O_RDWR | os.O_CREAT)
        os.pwrite(other, bytes(dice.randrange(40000)), dice.randrange(100000))
        os.close(other)
        os.rename(noise, name + ".renamed")
        os.fsync(fd)
        os.ftruncate(acked, at)


def start(top, i):
    """A process that works until the mount is gone, once it has begun."""
    begun, ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work(top, i, ready)
        except OSError:
            os._exit(0)
        finally:
            os._exit(1)
    same(os.read(begun, 1), b".")
    os.close(begun)
    os.close(ready)
    return child


def check_file(top, i):
    acked = os.path.getsize("log%d" % i) if os.path.exists("log%d" % i) else 0
    name = "%s/w%d" % (top, i)
    content = b""
    if os.path.exists(name):
        with open(name, "rb") as file:
            content = file.read()
    if len(content) < acked * RECORD:
        raise AssertionError("w%d: %d bytes, and fsync answered for %d" % (
            i, len(content), acked * RECORD))
    for k in range(acked):
        same(content[k * RECORD:(k + 1) * RECORD],
             data(RECORD, SEED + 1000000 * i + k))
    return acked


def kill_again_and_again(mounted, top, check):
    print("seed %d" % SEED)
    dice = random.Random(SEED)
    total = 0
    for turn in range(KILLS):
        with mounted() as mount:
            total += sum(check_file(top, i) for i in range(WRITERS))
            if turn % 10 == 9:  # what is checked again and again must stay few
                for i in range(WRITERS):
                    os.truncate("%s/w%d" % (top, i), 0)
                    os.truncate("log%d" % i, 0)
                sh("sync " + top)
            loads = [start(top, i) for i in range(WRITERS)]
            time.sleep(dice.random() / 10)  # no deadline: a moment
            mount.kill()
            for load in loads:
                same(os.waitpid(load, 0)[1], 0)
        check()
    same(total > KILLS, True)  # it was a load


def test_kill():
    disk = format_disk("64m")
    kill_again_and_again(lambda: mounts.image(disk, "commit=1"), "mnt",
                         lambda: clean(disk))


def test_kill_store_on_disk():
    disk = format_disk("512m")
    command = [NOTAPACK, "-s", disk + ":st", "mount", "-f", "-o", "commit=1"]
    sh("%s -s %s:st init" % (NOTAPACK, disk))
    with mounts.mounted(command):
        os.mkdir("mnt/live/main")
        os.close(os.open("mnt/live/main/begun", os.O_CREAT | os.O_WRONLY))

    def check():
        clean(disk)
        has(sh("%s -s %s:st check" % (NOTAPACK, disk)), "CHECK OK")
    kill_again_and_again(lambda: mounts.mounted(command), "mnt/live/main", check)


if __name__ == "__main__":
    mounts.main(globals())
