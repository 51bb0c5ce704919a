# SPDX-License-Identifier: ISC
"""A program that is killed or interrupted leaves a disk that is whole."""
import fcntl
import os
import random
import signal
import struct
import subprocess
import termios
import time

from support import (ENV, NOTAFS, Skip, clean, data, dump_of, dumped_files,
                     format_disk, has, main, make_tree, run, run_json, same)

PROFILES = ("native", "mirage")
ROUNDS = 5


def start_import(disk, *args):
    return subprocess.Popen([NOTAFS, "import", "-d", disk, *args], env=ENV,
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def feed(process, stream, upto):
    """Give the import part of an archive, and wait until it has read it: all but
    the last 64 KiB, what a pipe holds, is on its way to the disk then."""
    process.stdin.write(stream[:upto])
    process.stdin.flush()
    waiting = b"    "
    while process.poll() is None and struct.unpack("i", waiting)[0] != 0:
        time.sleep(0.002)
        waiting = fcntl.ioctl(process.stdin, termios.FIONREAD, waiting)


def archive(source):
    return subprocess.run(["tar", "cf", "-", "-C", source, "."], check=True,
                          stdout=subprocess.PIPE).stdout


def test_kill_in_imports():
    for profile in PROFILES:
        disk = format_disk("32m", profile + ".img", profile=profile)
        make_tree("old-" + profile, 1)
        make_tree("new-" + profile, 2, 80)
        run("import", "-d", disk, "old-" + profile, "old")
        stream = archive("new-" + profile)
        for i in range(ROUNDS):
            # The import waits for the rest of the archive when it is killed.
            process = start_import(disk, "--cache", "64k", "--commit-every",
                                   "64k", "-", "new")
            feed(process, stream, len(stream) * (i + 1) // (ROUNDS + 1))
            process.kill()
            process.communicate()
            same(process.returncode, -signal.SIGKILL)
            clean(disk)
            found = dumped_files(disk)
            same([line for line in found if line.startswith("/old/")],
                 dump_of("old-" + profile, "/old"))
            # What is there of the new files is whole.
            new = [line for line in found if line.startswith("/new/")]
            same(set(new) <= set(dump_of("new-" + profile, "/new")), True)
        run("import", "-d", disk, "-", "new", stdin=stream)
        same(dumped_files(disk), sorted(dump_of("old-" + profile, "/old") +
                                        dump_of("new-" + profile, "/new")))
        clean(disk)


def test_kill_at_random():
    """At any moment, most of them in the middle of a write."""
    dice = random.Random(4)
    for profile in PROFILES:
        disk = format_disk("64m", profile + ".img", profile=profile)
        source = "many-" + profile
        make_tree(source, 5, 150)
        whole = set(dump_of(source))
        for _ in range(ROUNDS):
            process = start_import(disk, "--cache", "64k", "--commit-every",
                                   "50k", source)
            time.sleep(dice.random() * 0.05)
            process.kill()
            process.communicate()
            clean(disk)
            same(set(dumped_files(disk)) <= whole, True)
        run("import", "-d", disk, source)
        same(set(dumped_files(disk)), whole)
        clean(disk)


def test_signals_in_imports():
    make_tree("s", 3, 60)
    stream = archive("s")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        disk = format_disk("32m")
        run("touch", "-d", disk, "kept")
        before = run("dump", "-d", disk).splitlines()[2:]
        process = start_import(disk, "--cache", "64k", "-")
        feed(process, stream, len(stream) // 2)
        process.send_signal(number)
        err = process.communicate()[1].decode()
        same(process.returncode, 128 + number)
        has(err, "interrupted; the disk is as of its last commit")
        same(run("dump", "-d", disk).splitlines()[2:], before)
        clean(disk)


def test_signal_keeps_commits():
    disk = format_disk("32m")
    make_tree("s", 3, 60)
    stream = archive("s")
    process = start_import(disk, "--commit-every", "100k", "-")
    feed(process, stream, len(stream) // 2)
    process.send_signal(signal.SIGINT)
    process.communicate()
    same(process.returncode, 128 + signal.SIGINT)
    found = dumped_files(disk)
    same(len(found) > 0 and set(found) <= set(dump_of("s")), True)
    clean(disk)


def test_signal_in_readers():
    disk = format_disk()
    with open("f", "wb") as file:
        file.write(data(5000000, 1))
    run("copy", "-d", disk, "f", "@f")
    process = subprocess.Popen([NOTAFS, "export", "-d", disk, "/", "-"], env=ENV,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(100)  # the rest does not fit into the pipe
    process.send_signal(signal.SIGTERM)
    err = process.communicate()[1].decode()
    same(process.returncode, 128 + signal.SIGTERM)
    has(err, "interrupted")
    process = subprocess.Popen([NOTAFS, "cat", "-d", disk, "f"], env=ENV,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(100)
    process.send_signal(signal.SIGINT)
    process.communicate()
    same(process.returncode, -signal.SIGINT)


def test_output_that_fails():
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    disk = format_disk()
    with open("f", "wb") as file:
        file.write(data(100000, 1))
    run("copy", "-d", disk, "f", "@f")
    for args in (("cat", "-d", disk, "f"), ("list", "-d", disk)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([NOTAFS, *args], stdout=full,
                                  stderr=subprocess.PIPE, check=False)
        same(done.returncode, 1)
        has(done.stderr.decode(), "No space left on device")
    run("copy", "-d", disk, "@f", "/dev/full", status=1)
    has(run.err, "/dev/full: No space left on device")


def test_loop_device():
    """A block special file, where the system lets us have one."""
    with open("back", "wb") as file:
        file.truncate(64 << 20)
    try:
        loop = subprocess.run(["losetup", "--find", "--show", "back"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=True).stdout.decode().strip()
    except (OSError, subprocess.CalledProcessError) as why:
        raise Skip("no loop devices") from why
    try:
        make_tree("s")
        run("format", "-d", loop)
        for options in ((), ("--direct",)):
            run("import", "-d", loop, *options, "s")
            same(dumped_files(loop, *options), dump_of("s"))
            clean(loop, *options)
        run("remove", "-d", loop, "dir 0")
        same(run_json("stats", "-d", loop)["page_count"], 16384)
        run("resize", "-d", loop, "128m", status=1)
        has(run.err, "too many for the device")
        clean(loop)
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)


def is_locked(disk):
    """Whether anyone has a lock on it (asked without taking one)."""
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with open(disk, "r+b") as file:
        found = fcntl.fcntl(file, getattr(fcntl, "F_OFD_GETLK", 36), lock)
    return struct.unpack("hhqqi4x", found)[0] != fcntl.F_UNLCK


def test_two_writers():
    disk = format_disk()
    process = start_import(disk, "-")
    while not is_locked(disk):
        time.sleep(0.002)
    for verb in ("touch", "cat"):
        run(verb, "-d", disk, "x", status=1)
        has(run.err, "open in another process")
    process.communicate(b"\0" * 1024)
    same(process.returncode, 0)
    run("touch", "-d", disk, "x")


main(globals())
