# SPDX-License-Identifier: ISC
"""notapack send, receive, snapshot, push, pull, clone from the outside."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from support import ENV as SUPPORT_ENV, Skip, format_disk, has, main, same

NOTAPACK = os.path.abspath(os.path.join(
    os.path.dirname(os.path.abspath(sys.argv[1])), "notapack"))
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ENV = {**SUPPORT_ENV, "NOTAPACK_AUTHOR": "me"}


def raw(*args, status=0, stdin=b""):
    done = subprocess.run([NOTAPACK, *map(str, args)], input=stdin, env=ENV,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=300, check=False)
    pack.err = done.stderr.decode(errors="replace")
    if done.returncode != status:
        raise AssertionError("notapack %s: status %d, not %d\n%s" % (
            " ".join(map(str, args)), done.returncode, status, pack.err))
    return done.stdout


def pack(*args, **how):
    return raw(*args, **how).decode()


def make(store, commits=4, size=60000):
    """A store whose contents do not compress: several chunks."""
    rand = random.Random(1)
    pack("-s", store, "init", "--config", "kv64")
    for i in range(commits):
        add(store, "dir/f%d" % (i % 3), rand.randbytes(size), i)
    return store


def add(store, path, value, date, *options):
    pack("-s", store, "set", path, "--date", 1000 + date, *options, stdin=value)


def empty(store):
    pack("-s", store, "init", "--config", "kv64")
    return store


def dump(store):
    return pack("-s", store, "dump", "--all")


def whole(store):
    has(pack("-s", store, "check"), "CHECK OK")


def heads(store, branch="main"):
    return [c["hash"] for c in json.loads(pack("-s", store, "log", "--json",
                                               branch))]


def token_of(text):
    return re.search(r"--resume (\S+)", text).group(1)


def test_through_a_pipe():
    make("s")
    stream = raw("-s", "s", "send", "-")
    has(pack.err, "sent ")
    empty("d")
    has(pack("-s", "d", "receive", "-", stdin=stream), "created ")
    same(dump("d"), dump("s"))
    whole("d")
    has(pack("-s", "d", "receive", "-", stdin=stream), "unchanged ")
    same([n for n in os.listdir("d") if "receive" in n], [])


def test_lz4_reads_it():
    if shutil.which("lz4") is None:
        raise Skip("no lz4")
    make("s")
    add("s", "text", b"all the same " * 5000, 9)
    pack("-s", "s", "send", "x.lz4")
    done = subprocess.run(["lz4", "-d", "-c", "x.lz4"], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    has(done.stdout[:12], b"\0notapack")
    has(done.stdout, b"all the same all")
    same(os.path.getsize("x.lz4") < len(done.stdout), True)


def test_cut_and_resumed():
    make("s", commits=6)
    stream = raw("-s", "s", "send", "-")
    empty("d")
    rand = random.Random(7)
    token = None
    for _ in range(40):
        rest = raw("-s", "s", "send", "-", *(("--resume", token) if token
                                             else ()))
        same(rest, stream[len(stream) - len(rest):])
        cut = rand.randrange(1, len(rest) + 30000)
        piece = bytearray(rest[:cut])
        if rand.randrange(2) == 0:
            piece[rand.randrange(len(piece))] ^= 1
        done = subprocess.run([NOTAPACK, "-s", "d", "receive", "-"],
                              input=piece, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=ENV, check=False)
        if done.returncode == 0:
            break
        same(pack("-s", "d", "branch"), "")
        has(done.stderr.decode(), "not complete")
        told = token_of(done.stdout.decode())
        status = pack("-s", "d", "receive", "--status")
        if "to go on" in status:
            same(token_of(status), told)
            token = told
    same(done.returncode, 0)
    same(dump("d"), dump("s"))
    whole("d")


def test_chunks_in_any_order():
    make("s", commits=6)
    stream = raw("-s", "s", "send", "-")
    chunks = [c.start() for c in
              re.finditer(rb"\x5e\x2a\x4d\x18\x38\0\0\0NPS1", stream)]
    pieces = [stream[a:b] for a, b in zip(chunks, [*chunks[1:], len(stream)])]
    same(len(pieces) > 4, True)
    random.Random(3).shuffle(pieces)
    empty("d")
    pack("-s", "d", "receive", "-", stdin=b"noise".join(pieces + pieces[:2]))
    same(dump("d"), dump("s"))


def test_file_goes_on_where_it_ended():
    make("s")
    pack("-s", "s", "send", "whole")
    with open("whole", "rb") as file:
        data = file.read()
    with open("again.part", "wb") as file:
        file.write(data[:100000])
    said = pack("-s", "s", "send", "again")
    with open("again", "rb") as file:
        same(file.read() == data, True)
    same(os.path.exists("again.part"), False)
    same(int(re.search(r"in (\d+) chunks", said).group(1)) <
         len(re.findall(b"NPS1", data)), True)
    add("s", "more", b"1", 50)
    with open("again.part", "wb") as file:
        file.write(data[:100000])  # of another stream
    pack("-s", "s", "send", "again")
    empty("d")
    pack("-s", "d", "receive", "again")
    same(dump("d"), dump("s"))


def test_only_what_is_new():
    make("s", commits=5)
    log = heads("s")
    pack("-s", "s", "send", "old", log[2])
    pack("-s", "s", "send", "new", "main", "^" + log[2])
    empty("d")
    pack("-s", "d", "receive", "new", status=1)
    has(pack.err, "builds on a commit that is not here")
    has(pack("-s", "d", "receive", "old", "-b", "base"), " base")
    said = json.loads(pack("-s", "d", "receive", "new", "--json"))
    same([b["outcome"] for b in said["branches"]], ["created"])
    same(heads("d"), log)
    whole("d")
    pack("-s", "s", "send", "x", "main", "^" + log[0], "^" + "0" * 128)
    has(pack.err, "is not here")
    same(json.loads(pack("-s", "s", "send", "y", "main", "^" + log[0],
                         "--json"))["objects"], 0)


def test_nothing_is_stored_twice():
    make("s", commits=5)
    pack("-s", "s", "send", "all")
    pack("-s", "s", "send", "old", heads("s")[2], "--alone")
    empty("d")
    pack("-s", "d", "receive", "old", "-b", "base")
    before = os.path.getsize("d/store.0.suffix")
    os.mkdir("tmp")
    ENV["TMPDIR"] = os.path.abspath("tmp")
    said = json.loads(pack("-s", "d", "receive", "all", "--json"))
    del ENV["TMPDIR"]
    same(os.listdir("tmp"), [])
    same(said["known"], 5)  # three files and two directories
    same(os.path.getsize("d/store.0.suffix") - before < 4 * 60000, True)
    same(heads("d"), heads("s"))
    whole("d")


def test_push_and_pull():
    make("a")
    pack("clone", "a", "b")
    same(dump("b"), dump("a"))
    add("b", "x", b"1", 20)
    said = json.loads(pack("-s", "b", "push", "a", "--json"))
    same((said["branches"][0]["outcome"], said["objects"]), ("updated", 3))
    same(heads("a"), heads("b"))
    add("a", "y", b"2", 21)
    has(pack("-s", "a", "pull", "b"), "ahead ")
    add("b", "z", b"3", 22)
    pack("-s", "b", "push", "a", status=1)
    has(pack.err, "--force")
    mine = heads("a")
    has(pack("-s", "a", "pull", "b", "main", status=1), "refused ")
    same(heads("a"), mine)
    has(pack("-s", "b", "push", "a", "--force"), "forced ")
    same(heads("a"), heads("b"))
    pack("-s", "a", "branch", "side", mine[0])
    has(pack("-s", "b", "pull", "a", "side"), "created ")
    same(heads("b", "side"), mine)
    whole("a")
    whole("b")
    pack("-s", "b", "push", "nowhere", status=1)
    pack("-s", "b", "push", "a", "nobranch", status=1)


def test_every_kind_of_place():
    make("a")
    image = format_disk("32m")
    pack("clone", "a", image + ":one")
    same(dump(image + ":one"), dump("a"))
    add("a", "x", b"1", 20)
    pack("-s", image + ":one", "pull", "a")
    pack("clone", image + ":one", "b", "main")
    same(dump("b"), dump("a"))
    stream = raw("-s", image + ":one", "send", "-")
    empty("d")
    pack("-s", "d", "receive", "-", stdin=stream)
    same(dump("d"), dump("a"))


def test_snapshot():
    make("s")
    log = heads("s")
    pack("-s", "s", "snapshot", "x", log[1])
    empty("d")
    same(pack("-s", "d", "receive", "x"), "received %s\n" % log[1])
    same(pack("-s", "d", "receive", "x", "-b", "old"),
         "created %s old\n" % log[1])
    same(heads("d", "old"), [log[1]])
    whole("d")
    pack("-s", "s", "snapshot", "--as-store", "one", log[1])
    same([line for line in pack("-s", "one", "dump", "--commit",
                                log[1]).splitlines()
          if not line.startswith("unavailable ")],
         pack("-s", "s", "dump", "--commit", log[1]).splitlines())
    whole("one")
    pack("-s", "s", "snapshot", "--as-store", "one", log[1], status=1)
    has(pack.err, "exists already")
    add("one", "more", b"1", 30, "-b", "new")
    whole("one")


def test_interrupted():
    make("s", commits=8)
    stream = raw("-s", "s", "send", "-")
    empty("d")
    with subprocess.Popen([NOTAPACK, "-s", "d", "receive", "-"], env=ENV,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as run:
        run.stdin.write(stream[:300000])
        run.stdin.flush()
        while not os.path.exists("d/notapack.receive.list"):
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate()
    same(run.returncode, 128 + signal.SIGINT)
    has(err.decode(), "interrupted")
    whole("d")
    same(pack("-s", "d", "branch"), "")
    token = token_of(out.decode())
    pack("-s", "d", "receive", "-",
         stdin=raw("-s", "s", "send", "-", "--resume", token))
    same(dump("d"), dump("s"))
    pack("-s", "s", "send", "-", "--resume", "x", status=2)
    pack("-s", "s", "send", "-", "--resume", "0" * 32 + ":1", status=1)
    has(pack.err, "another now")


def interrupted(command, moment):
    """Send SIGINT once the command has read or written so much; its status."""
    with subprocess.Popen([NOTAPACK, *command], env=ENV,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as run:
        io = 0
        while io < moment and run.poll() is None:
            try:
                with open("/proc/%d/io" % run.pid, encoding="ascii") as file:
                    io = sum(int(line.split()[1]) for line in file
                             if line.startswith(("rchar", "wchar")))
            except OSError:
                break
        run.send_signal(signal.SIGINT)
        interrupted.err = run.communicate()[1].decode()
    return run.returncode


def test_interrupted_anywhere():
    """Of all that takes long: nothing is broken, nothing shown that is not
    whole, and the same command does the rest."""
    make("s", commits=8, size=1 << 20)
    wanted = dump("s")
    pack("-s", "lower", "init", "--config", "kv64", "--lower", "deep")
    for i in range(8):
        add("lower", "f%d" % i, os.urandom(1 << 20), i, "--lower", "deep")
    log = heads("s")
    seen = set()
    for name, command, made, lower in (
            ("push", ("-s", "s", "push", "d"), "d", ()),
            ("pull", ("-s", "d", "pull", "s"), "d", ()),
            ("clone", ("clone", "s", "d"), "d", ()),
            ("send", ("-s", "s", "send", "x"), None, ()),
            ("snapshot", ("-s", "s", "snapshot", "x"), None, ()),
            ("as-store", ("-s", "s", "snapshot", "--as-store", "d"), "d", ()),
            ("archive", ("-s", "lower", "archive", "--lower", "deep"), "lower",
             ("--lower", "deep"))):
        statuses = set()
        for moment in (0, 100000, 400000, 1000000, 3000000, 6000000, 1 << 40):
            if made == "d":
                shutil.rmtree("d", ignore_errors=True)
            if name in ("push", "pull"):
                empty("d")
            before = os.path.exists("x") and open("x", "rb").read()
            status = interrupted(command, moment)
            statuses.add(status)
            if status not in (0, -signal.SIGINT, 128 + signal.SIGINT):
                raise AssertionError("%s at %d: %d\n%s" % (
                    name, moment, status, interrupted.err))
            if made is None and status != 0:
                same(os.path.exists("x") and open("x", "rb").read(), before)
            if made is None or not os.path.exists(made + "/store.control"):
                continue
            has(pack("-s", made, "check", *lower), "CHECK OK")
            if status != 0 and made == "d":
                same(pack("-s", "d", "branch"), "")
        same(0 in statuses, True)
        seen |= statuses
        if name in ("push", "pull", "clone"):
            same(dump("d"), wanted)
    # On a busy machine some are done before the signal comes, but not all.
    same(128 + signal.SIGINT in seen, True)
    same(dump("s"), wanted)
    raw("-s", empty("e"), "receive", "x")
    same(heads("e", log[0])[:1], log[:1])


def test_two_stores_of_an_image():
    """One image may hold both ends."""
    format_disk("32m", "disk.img")
    make("disk.img:a")
    empty("disk.img:b")
    has(pack("-s", "disk.img:a", "push", "disk.img:b"), "created ")
    has(pack("clone", "disk.img:a", "disk.img:c"), "created ")
    pack("replay", "disk.img:a", "disk.img:d")
    add("disk.img:b", "more", b"1", 30)
    has(pack("-s", "./disk.img:a", "pull", "disk.img:b"), "updated ")
    same(dump("disk.img:a"), dump("disk.img:b"))
    same(dump("disk.img:c"), dump("disk.img:d"))
    for name in "abcd":
        whole("disk.img:" + name)
    pack("-s", "disk.img:a", "push", "disk.img:none", status=1)
    has(pack.err, "not a pack store")


def test_abort():
    make("s")
    add("s", "more", b"1", 40)
    stream = raw("-s", "s", "send", "-")
    other = raw("-s", "s", "send", "-", heads("s")[2])
    empty("d")
    pack("-s", "d", "receive", "-", stdin=stream[:200000], status=1)
    pack("-s", "d", "receive", "-", stdin=other, status=1)
    has(pack.err, "another stream is half received")
    pack("-s", "d", "receive", "--abort")
    same(pack("-s", "d", "receive", "--status"), "nothing is half received\n")
    pack("-s", "d", "receive", "-", stdin=other)
    whole("d")


def test_progress_help_manual():
    make("s")
    raw("-s", "s", "send", "-", "--progress")
    has(pack.err, "sending: ")
    empty("k")
    pack("-s", "k", "init", "--config", "kv32")
    with open(os.path.join(ROOT, "man/notapack.1"), encoding="utf-8") as file:
        page = file.read()
    usage = pack("--help")
    for verb in ("clone", "pull", "push", "receive", "send", "snapshot"):
        has(usage, "\n  " + verb)
        has(page, "Cm " + verb)
    for verb, option in (("send", "resume"), ("send", "alone"),
                         ("receive", "status"), ("receive", "abort"),
                         ("receive", "force"), ("push", "force"),
                         ("snapshot", "as-store")):
        has(pack(verb, "--help"), "--" + option)
        has(page, "Fl Fl " + option)


def test_empty_and_other_stores():
    empty("s")
    pack("-s", "s", "send", "-", status=1)
    has(pack.err, "no branch")
    pack("clone", "s", "t")
    whole("t")
    make("a")
    pack("-s", "k", "init", "--config", "kv32")
    pack("-s", "k", "receive", "-", stdin=raw("-s", "a", "send", "-"), status=1)
    has(pack.err, "configuration")


main(globals())
