# SPDX-License-Identifier: ISC
"""kill -9 of the daemon under load: the disk is clean, and all that fsync
answered for is there.

FUSE_KILLS (default: 50) is how often, FUSE_SEED the seed.
"""
import os
import random
import time

import mounts
from support import clean, data, format_disk, same

KILLS = int(os.environ.get("FUSE_KILLS", "50"))
SEED = int(os.environ.get("FUSE_SEED", "1"))
WRITERS = 3
RECORD = 700  # bytes: neither a page nor a part of one


def work(i, ready):
    """Append records to a file, and note outside how many fsync has answered
    for; make noise meanwhile that nobody asks to keep."""
    name = "mnt/w%d" % i
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


def start(i):
    """A process that works until the mount is gone, once it has begun."""
    begun, ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work(i, ready)
        except OSError:
            os._exit(0)
        finally:
            os._exit(1)
    same(os.read(begun, 1), b".")
    os.close(begun)
    os.close(ready)
    return child


def check_file(i):
    acked = os.path.getsize("log%d" % i) if os.path.exists("log%d" % i) else 0
    name = "mnt/w%d" % i
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


def test_kill():
    print("seed %d" % SEED)
    dice = random.Random(SEED)
    disk = format_disk("64m")
    total = 0
    for turn in range(KILLS):
        with mounts.image(disk, "commit=1") as mount:
            total += sum(check_file(i) for i in range(WRITERS))
            if turn % 10 == 9:  # what is checked again and again must stay few
                for i in range(WRITERS):
                    os.truncate("mnt/w%d" % i, 0)
                    os.truncate("log%d" % i, 0)
                mounts.sh("sync mnt")
            loads = [start(i) for i in range(WRITERS)]
            time.sleep(dice.random() / 10)  # no deadline: a moment
            mount.kill()
            for load in loads:
                same(os.waitpid(load, 0)[1], 0)
        clean(disk)
    same(total > KILLS, True)  # it was a load


if __name__ == "__main__":
    mounts.main(globals())
