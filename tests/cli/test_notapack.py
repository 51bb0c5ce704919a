# SPDX-License-Identifier: ISC
"""notapack from the outside: its commands, on folders and images; stores with
one flipped byte; stores that have lost a file."""
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys

from support import Skip, has, main, run as notafs, same

NOTAPACK = os.path.abspath(os.path.join(
    os.path.dirname(os.path.abspath(sys.argv[1])), "notapack"))
SHARED = os.environ.get("NOTAFS_SHARED", os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../../shared"))
ENV = {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1000",
       "NOTAPACK_AUTHOR": "me"}


def pack(*args, status=0, stdin=b"", text=True):
    done = subprocess.run([NOTAPACK, *map(str, args)], input=stdin, env=ENV,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=300, check=False)
    if status is not None and done.returncode != status:
        raise AssertionError("notapack %s: status %d, not %d\n%s" % (
            " ".join(map(str, args)), done.returncode, status,
            done.stderr.decode(errors="replace")[-2000:]))
    pack.status = done.returncode
    pack.err = done.stderr.decode(errors="replace")
    return done.stdout.decode() if text else done.stdout


def a_store(name="s", config="tezos"):
    pack("-s", name, "init", "--config", config)
    pack("-s", name, "set", "a/b", "hello")
    pack("-s", name, "set", "a/c", "world", "-m", "second")
    pack("-s", name, "set", "x", stdin=b"from stdin")
    return name


def test_verbs():
    s = a_store()
    same(pack("-s", s, "get", "a/b"), "hello")
    same(pack("-s", s, "get", "x"), "from stdin")
    same(pack("-s", s, "ls"), "a/\nx\n")
    same(pack("-s", s, "ls", "a"), "b\nc\n")
    same(pack("-s", s, "tree"), "a/\n  b\n  c\nx\n")
    same(pack("-s", s, "find", "[bc]"), "/a/b\n/a/c\n")
    pack("-s", s, "get", "a", status=1)
    has(pack.err, "is a directory")
    pack("-s", s, "get", "none", status=1)
    pack("-s", s, "rm", "none", status=1)
    pack("-s", s, "branch", "dev")
    pack("-s", s, "rm", "a/b", "-b", "dev")
    same(pack("-s", s, "diff", "main", "dev"), "D /a/b\n")
    pack("-s", s, "revert", "dev", "-b", "dev")
    same(pack("-s", s, "diff", "main", "dev"), "")
    pack("-s", s, "rm", "a", "-b", "dev")
    pack("-s", s, "revert", "--to", "main", "-b", "dev")
    same(pack("-s", s, "diff", "main", "dev"), "")
    pack("-s", s, "branch", "-d", "dev")
    has(pack("-s", s, "check"), "CHECK OK")


def test_commits_are_reproducible():
    heads = [pack("-s", a_store(n), "log", "-n", "1") for n in ("s", "t")]
    same(heads[0], heads[1])


def test_json():
    s = a_store()
    log = json.loads(pack("-s", s, "log", "--json"))
    same([c["message"] for c in log][1], "second")
    same(log[0]["date"], 1000)
    names = json.loads(pack("-s", s, "ls", "--json"))
    same([e["name"] for e in names], ["a", "x"])
    same(json.loads(pack("-s", s, "control", "--json"))["version"], 5)
    same(json.loads(pack("-s", s, "dict", "--json")), [])
    show = json.loads(pack("-s", s, "show", log[1]["hash"][:8], "--json"))
    same(show["changes"][0]["path"], ["a", "c"])


def test_hash_prefixes():
    s = a_store()
    head = json.loads(pack("-s", s, "branch", "--json"))[0]["hash"]
    has(pack("-s", s, "show", head[:6]), "commit " + head)
    pack("-s", s, "show", "zz", status=1)


def test_nothing_changed_is_no_commit():
    s = a_store()
    before = pack("-s", s, "branch")
    pack("-s", s, "set", "a/b", "hello")
    same(pack("-s", s, "branch"), before)


def folder(name):
    os.makedirs(name + "/d/e")
    for path, data in ("d/e/f", b"1" * 5000), ("d/g", b""), ("h i", b"\0\xff"):
        with open(os.path.join(name, path), "wb") as f:
            f.write(data)
    os.symlink("h i", name + "/link")


def test_import_and_export():
    folder("in")
    root = set()
    pack("-s", "s", "init", "--config", "kv32")
    pack("-s", "s", "import", "in")
    has(pack.err, "passed over")
    root.add(json.loads(pack("-s", "s", "show", "--json"))["root"])
    pack("-s", "s", "export", "out")
    os.remove("in/link")
    subprocess.run(["diff", "-r", "in", "out"], check=True)
    pack("-s", "s", "export", "out.tar")
    pack("-s", "t", "init", "--config", "kv32")
    pack("-s", "t", "import", "out.tar")
    root.add(json.loads(pack("-s", "t", "show", "--json"))["root"])
    tar = pack("-s", "s", "export", "-", text=False)
    pack("-s", "u", "init", "--config", "kv32")
    pack("-s", "u", "import", "-", "below", stdin=tar)
    pack("-s", "u", "get", "below/d/e/f")
    same(len(root), 1)


def test_image_and_replay():
    s = a_store()
    notafs("format", "-d", "d.img", "--size", "32m")
    pack("replay", s, "d.img:one", "--config", "tezos")
    same(pack("-s", "d.img:one", "dump", "--all", "--config", "tezos"),
         pack("-s", s, "dump", "--all"))
    pack("-s", "d.img:one", "set", "new", "1", "--config", "tezos")
    pack("-s", "d.img:two", "init", "--config", "kv64")
    same(pack("-s", "d.img:one", "get", "new", "--config", "tezos"), "1")
    pack("replay", "d.img:one", "back", "--config", "tezos")
    same(pack("-s", "back", "get", "new", "--config", "tezos"), "1")
    has(notafs("check", "-d", "d.img"), "clean")


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0xff]))


def test_one_flipped_byte():
    """An error, or the same data; never other data."""
    root = os.path.join(SHARED, "golden", "irmin", "kv64-gc")
    if not os.path.exists(root + "/faults.json"):
        raise Skip("no golden data")
    shutil.copytree(root + "/store", "s")
    subprocess.run(["chmod", "-R", "u+w", "s"], check=True)
    dump = ["-s", "s", "dump", "--all", "--config", "kv64"]
    wanted = pack(*dump)
    with open(root + "/faults.json") as f:
        flips = json.load(f)["flips"]
    for name, places in flips.items():
        for at, _ in places[::max(1, len(places) // 40)]:
            flip("s/" + name, at)
            found = pack(*dump, status=None)
            if pack.status == 0 and found != wanted:
                raise AssertionError("%s at %d: other data" % (name, at))
            if pack.status not in (0, 1):
                raise AssertionError("%s at %d: %s" % (name, at, pack.err))
            flip("s/" + name, at)
    same(pack(*dump), wanted)


def test_last_good_commit():
    """Not one that shares what is damaged with a newer one."""
    pack("-s", "s", "init")
    commits = []
    for i, name in enumerate("abc"):
        pack("-s", "s", "set", name, "--date", str(i),
             stdin=b"the contents of " + name.encode() * 20)
        commits.append(json.loads(pack("-s", "s", "log", "-n", "1",
                                       "--json"))[0]["hash"])
    with open("s/store.0.suffix", "r+b") as file:
        file.seek(file.read().index(b"the contents of bb"))
        file.write(b"T")
    has(pack("-s", "s", "repair"), "last good commit " + commits[0])


def test_repair():
    s = a_store()
    wanted = pack("-s", s, "dump", "--all")
    os.remove("s/index/log")
    has(pack("-s", s, "check", status=1), "CHECK FAILED")
    has(pack("-s", s, "repair"), "last good commit")
    has(pack("-s", s, "check"), "CHECK OK")
    same(pack("-s", s, "dump", "--all"), wanted)
    flip("s/store.control", 12)
    pack("-s", s, "dump", status=1)
    has(pack.err, "store.control")
    has(pack("-s", s, "repair"), "made anew")
    same(pack("-s", s, "dump", "--all"), wanted)
    size = os.path.getsize("s/store.branches")
    flip("s/store.branches", size - 1)
    has(pack("-s", s, "repair"), "branch parked")
    same(pack("-s", s, "branch"), "")
    with open("s/notapack.parked") as f:
        has(f.read(), "main ")
    has(pack("-s", s, "check"), "CHECK OK")


def golden(name):
    """A copy of a golden store that can be written to, as s; its manifest."""
    root = os.path.join(SHARED, "golden", "irmin", name)
    if not glob.glob(root + "/store/*"):
        raise Skip("no golden data")
    shutil.copytree(root + "/store", "s")
    subprocess.run(["chmod", "-R", "u+w", "s"], check=True)
    with open(root + "/manifest.json") as f:
        return json.load(f)


def digests(root="s"):
    """Length and SHA-256 of each file but the lock."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                data = f.read()
            found[os.path.relpath(path, root)] = (
                len(data), hashlib.sha256(data).hexdigest())
    found.pop("index/lock", None)
    return found


def test_old_layouts():
    """V1 is read as it is, and migrated by the first that writes."""
    manifest = golden("sha1-raw-v1")
    before = digests()
    wanted = pack("-s", "s", "dump", "--config", "sha1")
    has(pack("-s", "s", "check", "--config", "sha1"), "CHECK OK")
    same(digests(), before)
    pack("-s", "s", "script", "--config", "sha1", stdin=b"flush\n")
    upgraded = {f["file"]: (f["size"], f["sha256"])
                for f in manifest["store_files"]}
    # Eight bytes beyond the dictionary's end, which upstream leaves, are cut.
    same(upgraded.pop("store.dict")[0], 24)
    with open("s/store.dict", "rb") as f:
        same(f.read(), bytes(8) + b"00000001")
    same({k: v for k, v in digests().items() if k != "store.dict"}, upgraded)
    same(sorted(os.listdir("s")), ["index", "store.0.suffix",
                                   "store.branches", "store.control",
                                   "store.dict"])
    same(pack("-s", "s", "dump", "--config", "sha1"), wanted)
    with open("s/store.control", "rb") as f:
        same(f.read().hex(), "3030303030303035" "0000000000000000"
             "00000000000001b8" "00" "0000000010d10174" "000100" "00"
             "00000000000001b8")


def test_crash_tails():
    """Bytes beyond the recorded ends: not looked at, and cut by a writer."""
    for name, config in (("kv64-crashtail", "kv64"),
                         ("tezos-crashtail", "tezos")):
        golden(name)
        before = digests()
        wanted = pack("-s", "s", "dump", "--config", config)
        has(pack("-s", "s", "check", "--config", config), "CHECK OK")
        same(digests(), before)
        control = json.loads(pack("-s", "s", "control", "--json", "--config",
                                  config))
        pack("-s", "s", "script", "--config", config, stdin=b"flush\n")
        after = digests()
        last = "store.%d.suffix" % (control["chunk_start"] +
                                    control["chunk_num"] - 1)
        for file, end in ((last, control["chunk_end"]),
                          ("store.dict", control["dict_end"])):
            same(after[file][0], end)
            same(before[file][0] > end, True)
        for file in set(after) - {last, "store.dict"}:
            same(after[file], before[file])
        same(pack("-s", "s", "dump", "--config", config), wanted)
        pack("-s", "s", "set", "new", "1", "--config", config)
        has(pack("-s", "s", "check", "--config", config), "CHECK OK")
        shutil.rmtree("s")


def test_locked():
    s = a_store()
    writer = subprocess.Popen([NOTAPACK, "-s", s, "script"], env=ENV,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdin.write(b"hash\n" * 1000)
    writer.stdin.write(b"flush\n")
    writer.stdin.flush()
    while not open("s/index/lock").read() == str(writer.pid):
        pass
    pack("-s", s, "set", "y", "1", status=1)
    has(pack.err, "open for writing elsewhere")
    same(pack("-s", s, "get", "a/b"), "hello")
    writer.communicate()


def test_script_of_long_lines():
    """A commit has all the parents that its line names; too many: an error."""
    lines = ["commit - %d a b" % i for i in range(100)]
    answers = pack("-s", "s", "script", "--config", "kv32",
                   stdin="\n".join(["set /a 1 1"] + lines).encode())
    made = sorted(a.split()[1] for a in answers.splitlines()[:100])
    answers = pack("-s", "s", "script", stdin=(
        "set /a 1 1\ncommit main 5 a b " + " ".join(made) + "\n" +
        "commit main 5 a b" + " x" * 600 + "\n").encode()).splitlines()
    same(answers[1:], ["error too many words", "closed"])
    head = answers[0].split()[1]
    line = next(a for a in pack("-s", "s", "dump").splitlines()
                if a.startswith("commit " + head))
    same(line.split(" parents ")[1].split(), made)


def test_usage():
    pack("frobnicate", status=2)
    pack("get", "x", status=2)
    pack("-s", "s", "get", status=2)
    has(pack("--help"), "Usage")


main(globals())
