# SPDX-License-Identifier: ISC
"""notapack, command by command: what merge, revert and proof do, JSON of every
command, help, messages, progress, and what an interruption leaves."""
import json
import os
import re
import signal
import subprocess
import sys
import time

from support import Skip, has, main, run as notafs, same

NOTAPACK = os.path.abspath(os.path.join(
    os.path.dirname(os.path.abspath(sys.argv[1])), "notapack"))
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SHARED = os.environ.get("NOTAFS_SHARED", os.path.join(ROOT, "..", "shared"))
ENV = {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1000",
       "NOTAPACK_AUTHOR": "me"}


def pack(*args, status=0, stdin=b"", env=None):
    done = subprocess.run([NOTAPACK, *map(str, args)], input=stdin,
                          env={**ENV, **(env or {})}, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, check=False)
    pack.err = done.stderr.decode(errors="replace")
    if done.returncode != status:
        raise AssertionError("notapack %s: status %d, not %d\n%s%s" % (
            " ".join(map(str, args)), done.returncode, status,
            done.stdout.decode(errors="replace")[-1000:], pack.err[-1000:]))
    return done.stdout.decode()


def on(store):
    """notapack -s STORE, as a function; .json parses what it prints."""
    def call(*args, **more):
        return pack("-s", store, *args, **more)

    def as_json(*args, **more):
        return json.loads(call(*args, "--json", **more))
    call.json = as_json
    return call


def two_sides(config="kv32"):
    """main and dev, each with a change of its own."""
    s = on("s")
    s("init", "--config", config)
    s("set", "a/b", "1")
    s("set", "c", "1")
    s("branch", "dev")
    s("set", "main-only", "x")
    s("set", "dev-only", "y", "-b", "dev")
    return s


def head(s, branch="main"):
    return {b["name"]: b["hash"] for b in s.json("branch")}[branch]


# ------------------------------------------------------------ merge, revert


def test_merge():
    s = two_sides()
    ours, theirs = head(s), head(s, "dev")
    has(s("merge", "dev", "-m", "both"), "merged ")
    same(s("ls"), "a/\nc\ndev-only\nmain-only\n")
    commit = s.json("show")
    same(sorted(commit["parents"]), sorted([ours, theirs]))
    same(commit["message"], "both")
    same(s.json("merge", "dev")["outcome"], "up-to-date")
    has(s("merge", "main", "-b", "dev"), "fast-forward ")
    same(head(s), head(s, "dev"))
    has(s("merge", "main", "-b", "new"), "fast-forward ")
    same(head(s, "new"), head(s))
    has(s("check"), "CHECK OK")


def test_merge_fast_forward():
    s = two_sides()
    before = head(s)
    s("merge", "dev", "--ff-only", status=1)
    has(pack.err, "branch has commits that the other has not")
    same(head(s), before)
    s("branch", "more")
    s("set", "z", "1", "-b", "more")
    s("merge", "more", "--no-ff")
    same(len(s.json("show")["parents"]), 2)
    same(s("diff", "main", "more"), "")
    s("merge", "more", "--no-ff", "--ff-only", status=2)


def test_merge_conflicts():
    s = two_sides()
    s("set", "a/b", "ours")
    s("set", "a/b", "theirs", "-b", "dev")
    s("rm", "c")
    s("set", "c", "2", "-b", "dev")
    s("set", "new/x", "1")
    s("set", "new", "2", "-b", "dev")
    before = head(s)
    found = s("merge", "dev", status=1)
    same([line.split(":")[0] for line in found.splitlines()],
         ["CONFLICT /a/b", "CONFLICT /c", "CONFLICT /new"])
    has(found, "removed here, changed there (here nothing, there contents)")
    has(pack.err, "3 conflicts; nothing was committed")
    same(head(s), before)
    found = s.json("merge", "dev", status=1)
    same(found["outcome"], "conflict")
    same([c["path"] for c in found["conflicts"]],
         [["a", "b"], ["c"], ["new"]])
    same(found["conflicts"][1]["ours"], None)
    same(found["conflicts"][2]["ours"]["kind"], "node")
    s("merge", "dev", "-X", "both", status=2)
    s("merge", "dev", "-X", "theirs")
    same([s("get", p) for p in ("a/b", "c", "new")], ["theirs", "2", "2"])
    same(s("get", "main-only"), "x")
    has(s("check"), "CHECK OK")


def test_revert():
    s = two_sides()
    s("set", "a/b", "2", "-m", "to be undone")
    undo = head(s)
    s("set", "z", "1")
    has(s("revert", undo[:10]), "reverted ")
    same([s("get", "a/b"), s("get", "z")], ["1", "1"])
    s("set", "a/b", "3")
    has(s("revert", undo, status=1), "CONFLICT /a/b")
    same(s("get", "a/b"), "3")
    s("revert", "--to", undo)
    same(s("diff", undo, "main"), "")
    s("merge", "dev")
    has(s("revert", "main", "--parent", "3", status=1), "")
    s("revert", "main", "--parent", "0", status=2)
    s("revert", "main", "--parent", "2")


# ----------------------------------------------------------------- proofs


def prove(s, config, operations, root=None):
    wanted = s("proof", "make", "p", *operations)
    root = root or re.search("^before (.*)$", wanted, re.M)[1]
    same(pack("--config", config, "--root", root, "proof", "verify", "p",
              stdin="\n".join(operations).encode()), wanted)
    return wanted


def test_proof():
    s = two_sides()
    operations = ["get a/b", "kind none", "stat c", "length a", "list /",
                  "hash", "set a/new %68i", "rm c", "mv a b", "list /"]
    wanted = prove(s, "kv32", operations, s.json("show")["root"])
    has(wanted, "get /a/b 1\nkind /none none\nstat /c contents ")
    has(wanted, "  main-only contents ")
    answers = s.json("proof", "make", "p", *operations)
    same(json.loads(pack("--config", "kv32", "proof", "verify", "p", "--json",
                         *operations)), answers)
    same(answers["answers"][0]["contents"], "1")
    # The configuration can be that of a store; other answers are not to be had.
    s("proof", "verify", "p", *operations)
    s("proof", "verify", "p", "get a/b", status=1)
    has(pack.err, "malformed proof")
    s("proof", "make", "p", "get c")
    s("proof", "verify", "p", "get a/b", status=1)
    has(pack.err, "proof does not show what was looked at")
    s("proof", "verify", "p", "--root", "0" * 64, "get c", status=1)
    has(pack.err, "of another tree")
    shown = s("proof", "show", "p")
    has(shown, "c contents 1")
    has(shown, "  a node-hash ")
    parts = s.json("proof", "show", "p")["parts"]
    same([p["part"] for p in parts],
         ["node", "node-hash", "contents", "contents-hash"])


def test_proof_refuses():
    s = two_sides()
    s("proof", "make", "p", "get a/b")
    with open("p", "rb") as file:
        proof = file.read()
    for at in range(0, len(proof), 7):
        with open("q", "wb") as file:
            file.write(proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1:])
        pack("--config", "kv32", "proof", "verify", "q", "get a/b", status=1)
    for length in range(0, len(proof), 11):
        with open("q", "wb") as file:
            file.write(proof[:length])
        pack("--config", "kv32", "proof", "verify", "q", "get a/b", status=1)
    pack("proof", "verify", "p", "get a/b", status=2)
    s("proof", "make", "p", "frobnicate a/b", status=2)
    s("proof", "make", "p", "get", status=2)
    s("proof", "fake", "p", "get a", status=2)


def proofs_of_irmin():
    """Those in tests/data/proofs: name of the file, and what is known of it."""
    folder = os.path.join(ROOT, "tests", "data", "proofs")
    with open(os.path.join(folder, "index.json")) as file:
        return [(os.path.join(folder, known["store"]), known)
                for known in json.load(file)]


def test_proofs_of_irmin():
    """Proofs that irmin-pack made are verified, and nothing else is."""
    for path, known in proofs_of_irmin():
        verify = ["--config", known["config"], "proof", "verify"]
        found = pack(*verify, path, *known["operations"])
        has(found, "after " + known["after"])
        with open(path, "rb") as file:
            proof = file.read()
        for at in range(0, len(proof), len(proof) // 20):
            with open("q", "wb") as file:
                file.write(proof[:at] + bytes([proof[at] ^ 4])
                           + proof[at + 1:])
            pack(*verify, "q", *known["operations"], status=1)


def test_same_proofs_as_irmin():
    """What irmin-pack proved of golden stores is proved here by the same
    bytes."""
    if not os.path.isdir(os.path.join(SHARED, "golden", "irmin")):
        raise Skip("no golden data")
    for path, known in proofs_of_irmin():
        store = os.path.join(SHARED, "golden", "irmin", known["store"], "store")
        pack("-s", store, "--config", known["config"], "--commit",
             known["commit"], "proof", "make", "p", *known["operations"])
        with open("p", "rb") as ours, open(path, "rb") as theirs:
            same((known["store"], ours.read()), (known["store"], theirs.read()))


def test_proofs_of_golden_stores():
    """Hash and length of a file as irmin says, in directories large and small,
    nested and not, under every configuration."""
    top = os.path.join(SHARED, "golden", "irmin")
    if not os.path.isdir(top):
        raise Skip("no golden data")
    configs = set()
    for name in sorted(os.listdir(top)):
        config, kind = name.split("-", 1)
        if kind not in ("dir300", "dir400", "nested", "boundary", "dir5000"):
            continue
        with open(os.path.join(top, name, "manifest.json")) as file:
            commit = json.load(file)["commits"][-1]
        found = commit["paths"][len(commit["paths"]) // 2]
        folder = "/".join(found["path"][:-1])
        path = folder + "/" + found["path"][-1]
        operations = ["stat " + path, "length /" + folder,
                      "set %s/new x" % folder, "rm " + path]
        pack("-s", os.path.join(top, name, "store"), "--config", config,
             "--commit", commit["hash"], "proof", "make", "p", *operations)
        has(pack("--config", config, "--root", commit["root"], "proof",
                 "verify", "p", *operations),
            " contents %s %d\n" % (found["hash"], found["len"]))
        configs.add(config)
    same(configs, {"hashbits", "kv32", "kv64", "nohdr", "sha1", "small",
                   "smallseeded", "tezos"})


# ------------------------------------------------------------------- JSON


def test_json_of_every_command():
    s = two_sides()
    one = s.json
    same(one("get", "a/b")["contents"], "1")
    same(set(one("set", "q", "1")), {"branch", "hash"})
    same(set(one("set", "q", "1")), {"branch", "hash"})  # nothing new
    same(set(one("rm", "q")), {"branch", "hash"})
    same(one("ls")[0]["kind"], "node")
    same(one("tree")[0]["path"], [])
    same(one("find", "b")[0]["path"], ["a", "b"])
    same(one("log", "-n", "1")[0]["author"], "me")
    same(one("show")["changes"][0]["change"], "D")
    same(one("branch", "x")["name"], "x")
    same(one("branch", "-d", "x")["hash"], None)
    same(one("merge", "dev")["outcome"], "merged")
    same(one("revert", "dev")["outcome"], "reverted")
    same([d["change"] for d in one("diff", "dev", "main")], ["D", "A"])
    os.mkdir("in")
    with open("in/f", "w") as file:
        file.write("12345")
    same(set(one("import", "in", "imported")), {"branch", "hash"})
    same(one("export", "out"), {"files": 4, "bytes": 8})
    commit = head(s)
    same(one("cat-object", commit)["hash"], commit)
    index = [json.loads(line) for line in s("index", "--json").splitlines()]
    same({e["kind"] for e in index}, {"D"})
    root = s.json("cat-object", index[0]["off"])["root"]
    same(len(root), 64)
    # By offset: contents first, then the directories above.
    contents = one("cat-object", "0")
    same([contents["kind"], contents["contents"]], ["B", "1"])
    inode = one("cat-object", str(contents["len"]))
    same([inode["kind"], inode["slots"][0]["name"]], ["R", "b"])
    same(one("stat")["config"], "kv32")
    same(one("stat")["config_sure"], "yes")
    check = one("check")
    same([check["ok"], check["findings"]], [True, []])
    same(one("repair")["findings"], [])
    lines = [json.loads(line) for line in s("dump", "--json").splitlines()]
    same({line["line"] for line in lines},
         {"branch", "commit", "list", "entry"})
    same(one("control")["version"], 5)
    same(one("dict"), ["main-only", "dev-only", "imported"])
    same(pack("replay", "s", "t", "--json", "--config", "kv32") != "", True)
    same(on("t").json("init", "--config", "kv32")["config"], "kv32")
    same(on("t")("dump"), s("dump"))
    lines = [json.loads(line) for line in s(
        "script", "--json", stdin=b"# none\nsetraw x/y 12\nlist x\n"
        b"find x/y\nfind z\nhash\ncommit new 1 a m\ncheckout-branch new\n"
        b"set z 1x 1\ngc 00\n").splitlines()]
    same([line.get("line") for line in lines], [*range(2, 11), None])
    same([line.get("ok", True) for line in lines], [True] * 7 + [False] * 2
         + [True])
    answers = {line.get("command"): line for line in lines}
    same([(e["name"], e["kind"]) for e in answers["list"]["entries"]],
         [("y", "contents")])
    same([lines[2]["found"], lines[2]["length"], lines[3]["found"]],
         [True, 2, False])
    same(answers["hash"]["root"], answers["commit"]["root"])
    same(answers["checkout-branch"]["head"], head(s, "new"))
    same(answers["set"]["error"], "not a number")
    same(lines[-1], {"closed": True})


# ---------------------------------------------------------- help, messages


def verbs():
    listing = pack("--help").split("Options of all")[0]
    return re.findall(r"^  ([a-z][a-z-]*) +\S", listing, re.M)


def test_help():
    wanted = ("init set get rm ls tree find log show branch merge revert diff "
              "import export cat-object stat check repair dump control index "
              "dict proof replay").split()
    same(set(wanted) - set(verbs()), set())
    with open(os.path.join(ROOT, "man/notapack.1"), encoding="utf-8") as file:
        page = file.read()
    for verb in verbs():
        text = pack(verb, "--help")
        has(text, "Usage: notapack -s STORE " + verb)
        same(pack("help", verb), text)
        for option in re.findall(r" --([a-z-]+)", text):
            has(page, "Fl Fl " + option)
        if not re.search(r"Cm (.*[ ,])?%s\b" % verb, page):
            raise AssertionError("the manual lacks " + verb)
    for option in re.findall(r" --([a-z-]+)", pack("--help")):
        has(page, "Fl Fl " + option)
    has(pack("--version"), "notapack 0.")
    same(pack("-h"), pack("help"))


def complete(*words):
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              'compopt() { :; }; _notapack; printf "%s\\n" "${COMPREPLY[@]}"')
    path = os.path.dirname(NOTAPACK) + ":" + ENV["PATH"]
    done = subprocess.run(
        ["bash", "-c", script, "bash",
         os.path.join(ROOT, "completions/notapack"), *words],
        env={**ENV, "PATH": path}, stdout=subprocess.PIPE, check=True)
    return set(done.stdout.decode().split())


def test_completion():
    same(complete("notapack", ""), set(verbs()))
    two_sides()
    same(complete("notapack", "-s", "s", "merge", ""), {"main", "dev"})
    same(complete("notapack", "-s", "s", "get", "a/"), {"a/b"})
    same(complete("notapack", "merge", "--no"), {"--no-ff"})
    same(complete("notapack", "merge", "-X", "o"), {"ours"})
    same(complete("notapack", "proof", "m"), {"make"})


def test_options_are_checked():
    s = two_sides()
    for args in (("ls", "--dry-run"), ("get", "a/b", "--no-ff"),
                 ("log", "-n", "x"), ("set", "a", "b", "--date", "soon"),
                 ("set", "a", "b", "--commit", "dev"),
                 ("log", "--strategy", "most"), ("--frobnicate",), ()):
        s(*args, status=2)
    for config in ("kv65", "kv64,entry=2", "entries=3", "hash=md5", ""):
        s("log", "--config", config, status=1)
        has(pack.err, "configuration unknown")
        has(pack.err, "hint: --config takes")


def test_dates():
    s = on("s")
    s("init", "--config", "kv32")
    wanted = []
    for i, (text, seconds) in enumerate((
            ("12345", 12345), ("2001-02-03", 981158400),
            ("2001-02-03T04:05:06Z", 981173106), ("-5", -5))):
        s("set", "x", i, "--date", text, "--author", "A", "-m", "M %d" % i)
        wanted.append((seconds, "A", "M %d" % i))
    s("set", "x", "y", env={"SOURCE_DATE_EPOCH": "77"})
    wanted.append((77, "me", "set x"))
    same(sorted((c["date"], c["author"], c["message"])
                for c in s.json("log")), sorted(wanted))


def test_messages_say_what_to_do():
    on("none")("log", status=1)
    has(pack.err, "hint: 'notapack -s STORE init'")
    s = two_sides()
    s("log", "-b", "nobody", status=1)
    has(pack.err, "nobody: no such branch")
    with open("raw.img", "wb") as file:
        file.truncate(1 << 20)
    on("raw.img:x")("init", status=1)
    has(pack.err, "notafs format")
    with open("s/store.control", "r+b") as file:
        file.seek(10)
        file.write(b"\xff\xff")
    s("log", status=1)
    has(pack.err, "store.control")
    has(pack.err, "repair")


def test_auto_says_how_sure_it_is():
    s = on("s")
    s("script", "--config", "kv32",
      stdin=b"setraw a x\ncommit main 0 - -\n")
    found = s.json("stat")
    same([found["config"], found["config_sure"]], ["kv32", "yes"])
    t = on("t")
    t("script", "--config", "kv64,entries=8",
      stdin=b"setraw a x\ncommit main 0 - -\n")
    same(t.json("stat")["config_sure"], "no")
    t("set", "b", "1")
    has(pack.err, "is a guess")


def test_every_command_on_an_image():
    notafs("format", "-d", "d.img", "--size", "16m")
    s = on("d.img:deep/store")
    s("init", "--config", "tezos")
    s("set", "a/b", "1")
    s("branch", "dev")
    s("set", "c", "1", "-b", "dev")
    has(s("merge", "dev"), "fast-forward")
    has(s("check"), "CHECK OK")
    prove(s, "tezos", ["get a/b", "set x y"])
    has(s("repair"), "last good commit")
    pack("replay", "d.img:deep/store", "other")
    same(on("other")("dump"), s("dump"))
    same(on("other").json("stat")["config"], "tezos")
    has(notafs("check", "-d", "d.img"), "clean")


def test_demo():
    for path in ("assert.h", "stdio.h", "linux/fs.h", "sys/stat.h"):
        os.makedirs(os.path.dirname("inc/" + path), exist_ok=True)
        with open("inc/" + path, "w") as file:
            file.write(path * 100)
    done = subprocess.run([os.path.join(ROOT, "demo/notapack.sh"), NOTAPACK,
                           "inc"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    same(done.returncode, 0)
    has(done.stdout.decode(), "All files are equal to the byte")


# ------------------------------------------------- progress, interruption


def big_folder(n=3000):
    os.makedirs("big")
    for i in range(n):
        folder = "big/%d" % (i % 40)
        os.makedirs(folder, exist_ok=True)
        with open("%s/%d" % (folder, i), "w") as file:
            file.write("%d" % i * 50)


def test_progress():
    big_folder()
    s = on("s")
    s("init", "--config", "kv32")
    for args, text in ((("import", "big"), " files, "),
                       (("check",), " objects"), (("repair",), "repair: "),
                       (("export", "out"), " files, ")):
        s(*args, "--progress")
        has(pack.err, "\r\033[K%s: " % args[0])
        has(pack.err, text)
    s("import", "big")
    same("\r" in pack.err, False)
    pack("replay", "s", "t", "--progress")
    has(pack.err, " commits, ")


def interrupt(*args, after):
    """Send SIGINT once the file named `after` is there; the exit status."""
    process = subprocess.Popen([NOTAPACK, *args], env=ENV,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    while process.poll() is None and not os.path.exists(after):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    interrupt.err = process.communicate()[1].decode()
    return process.returncode


def test_interruption():
    """Ctrl-C at any moment: a store that opens, at a commit it had before or
    the one being made."""
    big_folder()
    s = on("s")
    s("init", "--config", "kv32")
    s("set", "before", "1")
    seen = set()
    for n in range(6):
        name = "fifo%d" % n
        os.mkfifo(name)
        before = s("dump", "--all")
        # A tar stream that ends in the middle of nowhere, and then the signal.
        process = subprocess.Popen([NOTAPACK, "-s", "s", "import", name],
                                   env=ENV, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        tar = subprocess.run(["tar", "c", "big"], stdout=subprocess.PIPE,
                             check=True).stdout
        with open(name, "wb", buffering=0) as fifo:
            fifo.write(tar[:len(tar) // 7 * (n + 1)])
            process.send_signal(signal.SIGINT)
            has(process.communicate()[1].decode(), "interrupted")
        seen.add(process.returncode)
        same(s("dump", "--all"), before)
        has(s("check"), "CHECK OK")
    same(seen, {128 + signal.SIGINT})


def test_interrupted_replay_goes_on():
    s = on("s")
    s("init", "--config", "kv32")
    lines = []
    for i in range(3000):
        lines.append("setraw f%d %d\ncommit main %d - -\n" % (i % 50, i, i))
    s("script", stdin="".join(lines).encode())
    status = interrupt("replay", "s", "t", after="t/store.control")
    if status == 0:
        raise Skip("it was done before the signal came")
    same(status, 128 + signal.SIGINT)
    has(interrupt.err, "interrupted")
    has(on("t")("check", "--config", "kv32"), "CHECK OK")
    pack("replay", "s", "t")
    same(on("t")("dump", "--all"), s("dump", "--all"))


main(globals())
