# SPDX-License-Identifier: ISC
"""build: images whose bytes depend on names and contents alone."""
import hashlib
import io
import json
import os
import subprocess
import tarfile

from support import ENV, NOTAFS, clean, data, has, main, make_tree, run, \
    run_json, same

FILES = {"a": b"", "etc/motd": b"hello\n", "etc/deep/z": b"z" * 5000,
         **{"many/%03d" % i: b"%d" % i for i in range(300)}}
# The hash of their tree.
ROOT = ("4b39f14dc8a85540a1cfe33894cbd7e1ffb86e1e3ec636ee94633955d5a25a07"
        "34ac640a88dcda7fbb2687a9c9774951cac236b2b174c1ecd1c706ed91ebf959")


def notapack(*args):
    path = os.path.join(os.path.dirname(NOTAFS), "notapack")
    return subprocess.run([path, *args], check=True, stdout=subprocess.PIPE,
                          env=ENV, timeout=300).stdout


def write_files(top, order=1):
    for name in list(FILES)[::order]:
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(FILES[name])


def make_tar(name, order=1):
    with tarfile.open(name, "w:gz") as tar:
        for path in list(FILES)[::order]:
            entry = tarfile.TarInfo("./" + path)
            entry.size = len(FILES[path])
            entry.mtime = 1700000000
            tar.addfile(entry, io.BytesIO(FILES[path]))


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def build(source, out, *options, **how):
    return run("build", "--from", source, "--size", "1m", "--out", out,
               *options, **how)


def test_same_bytes():
    write_files("forth")
    write_files("back", -1)
    make_tar("back.tar.gz", -1)
    has(build("forth", "1.img"), "root %s\n" % ROOT)
    build("back", "2.img")
    build("back.tar.gz", "3.img")
    with open("back.tar.gz", "rb") as file:
        build("-", "4.img", stdin=file.read())
    for i in [2, 3, 4]:
        same(digest("%d.img" % i), digest("1.img"))


def test_store():
    make_tree("tree", seed=3)
    found = run_json("build", "--from", "tree", "--size", "16m", "--out",
                     "disk.img", "--page-size", "512")
    same(found["files"], 40)
    clean("disk.img")
    notapack("-s", "disk.img", "check")
    has(notapack("-s", "disk.img", "log").decode(), found["commit"])
    notapack("-s", "disk.img", "export", "copy")
    same(subprocess.run(["diff", "-r", "tree", "copy"], check=False).returncode,
         0)
    # The same tree by another way has the same hash.
    notapack("-s", "store", "init")
    notapack("-s", "store", "import", "tree")
    commit = json.loads(notapack("-s", "store", "log", "--json"))[0]
    same(commit["root"], found["root"])


def test_expected_root():
    write_files("tree")
    build("tree", "disk.img", "--expect-root", ROOT)
    before = digest("disk.img")
    with open("tree/a", "wb") as file:
        file.write(b"other")
    build("tree", "disk.img", "--expect-root", ROOT, status=1)
    has(run.err, "the root hash is ")
    same(digest("disk.img"), before)
    same(sorted(os.listdir()), ["disk.img", "tree"])


def test_left_out():
    os.mkdir("tree")
    os.symlink("a", "tree/link")
    os.mkfifo("tree/fifo")
    with open("tree/file", "wb") as file:
        file.write(data(70000, 1))
    same(run_json("build", "--from", "tree", "--size", "1m", "--out", "d.img")
         ["skipped"], 2)
    with tarfile.open("evil.tar", "w") as tar:
        for name in ["../up", "/root", "fine"]:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    build("evil.tar", "e.img")
    same(notapack("-s", "e.img", "ls").decode().split(), ["fine", "root"])


def test_failures():
    os.mkdir("tree")
    with open("tree/file", "wb") as file:
        file.write(data(2 << 20, 1))
    for args, status in [
            (["--from", "tree", "--size", "1m", "--out", "d.img"], 1),
            (["--from", "none", "--size", "1m", "--out", "d.img"], 1),
            (["--from", "tree", "--size", "1k", "--out", "d.img"], 1),
            (["--from", "tree", "--size", "9m", "--out", "no/d.img"], 1),
            (["--from", "tree", "--size", "9m"], 124),
            (["--from", "tree", "--out", "d.img"], 124),
            (["--size", "9m", "--out", "d.img"], 124)]:
        run("build", *args, status=status)
        same(os.listdir(), ["tree"])


main(globals())
