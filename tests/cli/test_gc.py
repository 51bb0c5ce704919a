# SPDX-License-Identifier: ISC
"""notapack gc, archive, split, volumes from the outside."""
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys

from support import ENV as SUPPORT_ENV, has, main, run as notafs, same

NOTAPACK = os.path.abspath(os.path.join(
    os.path.dirname(os.path.abspath(sys.argv[1])), "notapack"))
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ENV = {**SUPPORT_ENV, "NOTAPACK_AUTHOR": "me"}


def pack(*args, status=0, stdin=b""):
    done = subprocess.run([NOTAPACK, *map(str, args)], input=stdin, env=ENV,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=300, check=False)
    pack.err = done.stderr.decode(errors="replace")
    if done.returncode != status:
        raise AssertionError("notapack %s: status %d, not %d\n%s" % (
            " ".join(map(str, args)), done.returncode, status, pack.err))
    return done.stdout.decode()


class Store:
    """A store and the options that open it."""

    def __init__(self, *where, commits=6):
        self.where = ["-s", *where]
        self("init", "--config", "kv64")
        self.where += ["--config", "kv64"]
        self.times = 0
        self.commit(commits)

    def __call__(self, *args, **how):
        return pack(*self.where, *args, **how)

    def commit(self, n=1, *options):
        for _ in range(n):
            self.times += 1
            self("set", "dir/f%d" % (self.times % 4), "value %d" % self.times,
                 "--date", 1000 * self.times, *options)

    def log(self, *branch):
        return [c["hash"] for c in json.loads(self("log", "--json", *branch))]

    def whole(self):
        has(self("check"), "CHECK OK")


def size_of(store):
    return sum(os.path.getsize(os.path.join(store, name))
               for name in os.listdir(store) if name.startswith("store.")
               and name not in ("store.control", "store.branches"))


def test_gc_keeps_what_it_is_told():
    s = Store("s")
    log = s.log()
    s("gc", log[2][:10])
    same(s.log(), log[:3])
    s.whole()
    s.commit(3)
    s("gc", "main")
    same(s.log(), s.log()[:1])
    s.whole()


def test_rules():
    s = Store("s")
    s("branch", "side", s.log()[3])
    s.commit(1, "-b", "side")
    main_log, side_log = s.log(), s.log("side")
    for name, rule, mains, sides in (
            ("a", ["--heads"], 1, 1), ("b", ["--last", "3"], 5, 3),
            ("c", ["--since", "4000"], 3, 1),
            ("d", ["--since", "1970-01-02"], 1, 1),
            ("e", ["--since", "1d", "--last", "2"], 2, 2)):
        shutil.copytree("s", name)
        s.where[1] = name
        s("gc", *rule)
        same((name, s.log()), (name, main_log[:mains]))
        same((name, s.log("side")), (name, side_log[:sides]))
        s.whole()
        same(s("gc", *rule),
             "nothing to collect: no commit since the last collection\n")
        same(json.loads(s("gc", *rule, "--json")), {"collected": False})


def test_dry_run_and_figures():
    s = Store("s")
    before = size_of("s")
    said = json.loads(s("gc", "--last", "2", "--dry-run", "--json"))
    same(size_of("s"), before)
    same((said["dry_run"], said["collected"]), (True, False))
    done = json.loads(s("gc", "--last", "2", "--json"))
    same((done["dry_run"], done["collected"]), (False, True))
    for key in ("commits_kept", "objects", "ranges", "prefix_bytes",
                "mapping_bytes", "chunks_removed", "suffix_bytes_freed",
                "prefix_bytes_freed", "generation"):
        same((key, said[key]), (key, done[key]))
    same(before - size_of("s"),
         done["suffix_bytes_freed"] + done["prefix_bytes_freed"] -
         done["prefix_bytes"] - done["mapping_bytes"])
    s.commit()
    has(s("gc", "--heads"), "freed ")
    s.commit()
    same(s("gc", "--heads", "-q"), "")


def test_archive_loses_nothing():
    s = Store("s", "--lower", "l")
    log = s.log()
    wanted = s("dump", "--all")
    has(s("archive", "--dry-run"), "would archive")
    has(s("archive"), "archived ")
    same(s.log(), log)
    same(s("dump", "--all"), wanted)
    has(s("volumes"), "volume.0 0..")
    s("volumes", "add")
    same(s("volumes").splitlines()[1], "volume.1 empty")
    s("volumes", "add", status=1)
    s.commit(3)
    log = s.log()
    s("archive", "--last", "2")
    same(s.log(), log)
    same([v["number"] for v in json.loads(s("volumes", "--json"))], [0, 1])
    s.whole()


def test_split():
    s = Store("s")
    s("split")
    same(sorted(n for n in os.listdir("s") if n.endswith("suffix")),
         ["store.0.suffix", "store.1.suffix"])
    s("split", status=1)
    has(pack.err, "empty")
    s.whole()


def test_on_an_image():
    notafs("format", "-d", "d.img", "--size", "8m")
    s = Store("d.img:one")
    log = s.log()
    s("gc", "--last", "2")
    same(s.log(), log[:2])
    s.whole()
    has(notafs("check", "-d", "d.img"), "clean")


def test_lower_layer_on_an_image():
    notafs("format", "-d", "d.img", "--size", "8m")
    notafs("format", "-d", "e.img", "--size", "8m")
    s = Store("d.img:one", "--lower", "d.img:archive")
    log, wanted = s.log(), s("dump", "--all")
    has(s("archive"), "archived ")
    same((s.log(), s("dump", "--all")), (log, wanted))
    s("volumes", "add")
    s.commit(2)
    s("archive", "--last", "2")
    has(notafs("list", "-d", "d.img", "/archive"), "volume.1")
    s.whole()
    has(notafs("check", "-d", "d.img"), "clean")
    s.where[3] = "e.img:archive"
    s("archive", status=1)
    has(pack.err, "neither a folder")


def test_a_lower_layer_is_added():
    s = Store("s")
    log, wanted = s.log(), s("dump", "--all")
    os.mkdir("l")
    s.where += ["--lower", "l"]
    s.commit()
    same(s.log()[1:], log)
    has(s("dump", "--all"), wanted.split("\n")[1])
    has(s("volumes"), "volume.0 0..")
    s("archive")
    same(s.log()[1:], log)
    s.whole()


def test_side_branch_without_its_tree():
    """A collection takes the tree of a commit beside its target: irmin-pack
    lists such a commit as gone, and so does dump, which says why."""
    def s(*args, **how):
        return pack("-s", "s", "--config", "kv64", *args, **how)

    def script(text):
        answers = s("script", stdin=text.encode())
        return [line.split()[1] for line in answers.splitlines()
                if line.startswith("commit ")]

    one, _, three = script("setraw a/b 1\ncommit main 1 a m\n"
                           "setraw a/b 2\ncommit main 2 a m\n"
                           "setraw a/b 3\ncommit main 3 a m\n")
    side, beside = script(
        "checkout %s\nsplit\ncheckout %s\ncommit side 4 a m %s\n"
        "setraw x 5\ncommit beside 5 a m\ngc %s\n" % (three, one, three, three))
    lines = s("dump", status=1).splitlines()
    assert "branch-unresolved side" in lines, lines
    assert "unavailable " + side in lines, lines
    assert any(line.startswith("commit " + three) for line in lines), lines
    assert "list " + three in lines and "list " + beside not in lines, lines
    assert re.search(r"branch side: reference to an object that is not there: "
                     r"store\.\d\.suffix at \d+", pack.err), pack.err
    log = s("log", "-b", "beside", status=1)
    assert beside in log and "store.1.suffix at" in pack.err, (log, pack.err)

def test_refusals():
    s = Store("s")
    s("gc", status=2)
    s("gc", "--last", "none", status=2)
    s("gc", "--last", "0", status=2)
    s("gc", "--since", "yesterday", status=2)
    s("gc", "0123", status=1)
    s("archive", status=2)
    s("volumes", status=2)
    s("gc", s.log()[1])
    s("gc", s.log()[1], status=1)
    has(pack.err, "not newer")
    pack("-s", "always", "init", "--config", "kv64")
    pack("-s", "always", "set", "a", "b", "--strategy", "always")
    pack("-s", "always", "gc", "main", status=1)
    pack("-s", "always", "split", status=1)
    pack("-s", "empty", "init")
    pack("-s", "empty", "gc", "--heads", status=1)
    has(pack.err, "no branch has a commit")


def gc_on_a_terminal(store, stop):
    """Run gc with its progress on a terminal; stop it when it shows any."""
    ours, theirs = pty.openpty()
    gc = subprocess.Popen([NOTAPACK, *store.where, "gc", "--last", "2"],
                          env=ENV, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    text = b""
    try:
        while True:
            part = os.read(ours, 4096)
            if stop and not text:
                gc.send_signal(signal.SIGINT)
            text += part
    except OSError:
        pass  # it has closed its end
    os.close(ours)
    return gc.wait(), text.decode()


def test_interrupted():
    """The first signal gives up: the store as it was, and nothing left over."""
    s = Store("s")
    for i in range(3):
        s("set", "large%d" % i, stdin=os.urandom(8 << 20))
    log, names = s.log(), sorted(os.listdir("s"))
    status, text = gc_on_a_terminal(s, True)
    if status == 128 + signal.SIGINT:
        has(text, "the store is as it was")
        same(s.log(), log)
        same([n for n in os.listdir("s") if n.endswith(("prefix", "mapping"))],
             [])
        same(set(os.listdir("s")) - set(names), {"store.1.suffix"})
    else:
        same(status, 0)  # it was done when the signal came
    s.whole()
    s.commit()
    status, text = gc_on_a_terminal(s, False)
    same(status, 0)
    has(text, "copying what to keep: ")
    s.whole()


def test_killed():
    """What a killed gc has left the next open for writing removes."""
    s = Store("s")
    log = s.log()
    for name in ("store.1.prefix", "store.1.mapping", "store.9.suffix"):
        with open(os.path.join("s", name), "wb") as file:
            file.write(b"left over")
    s.whole()
    same(s.log(), log)
    s.commit()
    same([n for n in os.listdir("s") if re.search("prefix|mapping|9", n)], [])
    s.whole()


def test_the_format_page():
    """Its example is what is written."""
    with open(os.path.join(ROOT, "docs/format-pack.md"),
              encoding="utf-8") as file:
        page = file.read()
    pack("-s", "s", "init", "--config", "kv64")
    for date, name, value in ((1, "f1", "value 1"), (2, "f2", "value 2"),
                              (3, "f3", "value 3"), (4, "f1", "other")):
        pack("-s", "s", "set", "dir/" + name, value, "--date", date, "-m", "m")
    pack("-s", "s", "gc", "main")
    for name, block in (("store.1.mapping", "mapping"),
                        ("store.control", "control")):
        text = page.split("```%s\n" % block)[1].split("```")[0]
        wanted = "".join(re.match("[0-9a-f ]*?(?=  |$)", line).group()
                         for line in text.splitlines()
                         if not line.startswith(" "))
        with open("s/" + name, "rb") as file:
            same((name, file.read()), (name, bytes.fromhex(wanted)))


def test_help_manual_completion():
    with open(os.path.join(ROOT, "man/notapack.1"), encoding="utf-8") as file:
        page = file.read()
    usage = pack("--help")
    for verb in ("gc", "archive", "split", "volumes"):
        has(usage, "\n  " + verb)
        has(page, ".It Cm " + verb)
    script = ('source "$1"; COMP_WORDS=(notapack gc --); COMP_CWORD=2; '
              '_notapack; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(
        ["bash", "-c", script, "bash",
         os.path.join(ROOT, "completions/notapack")],
        env={**ENV,
             "PATH": os.path.dirname(NOTAPACK) + ":" + os.environ["PATH"]}, stdout=subprocess.PIPE, check=True)
    offered = done.stdout.decode().split()
    for option in ("--dry-run", "--heads", "--last", "--since"):
        has(pack("gc", "--help"), option)
        has(page, "Fl Fl " + option[2:])
        same(option in offered, True)


main(globals())
