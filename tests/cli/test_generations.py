# SPDX-License-Identifier: ISC
"""Older generations: listed, read, exported, restored."""
import os

from support import (clean, data, dump_of, dumped_files, format_disk, has, main,
                     make_tree, run, run_json, same, tree_of)

PROFILES = ("native", "mirage")


def newest(disk):
    return run_json("stats", "-d", disk)["generation"]


def last_but_one(disk):
    """The generation before the newest. On mirage a mount makes one more of the
    same content before the first change, so numbers are no counts."""
    return run_json("generations", "-d", disk)[1]["number"]


def test_list():
    for profile in PROFILES:
        disk = format_disk(name=profile + ".img", profile=profile)
        run("touch", "-d", disk, "a")
        run("touch", "-d", disk, "b")
        found = run_json("generations", "-d", disk)
        same([g["current"] for g in found[:2]], [True, False])
        same([g["number"] for g in found[:2]], [newest(disk), newest(disk) - 1])
        has(run("generations", "-d", disk), "complete, current\n")
        same([g["complete"] for g in found[:2]],
             [True, True if profile == "native" else None])


def test_complete_is_whole():
    """Freed pages are discarded, and the older generations end with that."""
    disk = format_disk()
    for seed in range(4):
        run("script", "-d", disk, "--profile", "native",
            stdin=b"touch a 6000 %d\nflush\n" % seed)
    found = run_json("generations", "-d", disk)
    same([g["complete"] for g in found[:2]], [True, True])
    same(len(found) > 3, True)
    for generation in found:
        if generation["complete"]:
            clean(disk, "--generation", generation["number"])


def test_look_back():
    for profile in PROFILES:
        disk = format_disk(name=profile + ".img", profile=profile)
        with open("f", "wb") as file:
            file.write(data(30000, 1))
        run("copy", "-d", disk, "f", "@d/f")
        run("touch", "-d", disk, "d/f")
        old = last_but_one(disk)
        same(run("cat", "-d", disk, "d/f", text=False), b"")
        look = ("-d", disk, "--generation", old)
        same(run("cat", *look, "d/f", text=False), data(30000, 1))
        same(run_json("stats", *look, "d/f")["size"], 30000)
        same(run("list", *look, "d"), "/d/f\n")
        same(run("tree", *look), "/\n└── d\n    └── f\n")
        has(run("dump", *look), "/d/f file 30000 ")
        run("export", *look, "d", "out-" + profile)
        same(os.path.getsize("out-%s/f" % profile), 30000)
        clean(disk, "--generation", old)


def restore_case(profile):
    disk = format_disk("32m", name=profile + ".img", profile=profile)
    source = "s-" + profile
    make_tree(source)
    run("import", "-d", disk, source)
    run("touch", "-d", disk, "replaced/by/file")
    run("remove", "-d", disk, "replaced")
    wanted = run("dump", "-d", disk).splitlines()[2:]
    files = sorted(p for p, what in tree_of(source).items() if what)
    # One transaction of changes: removed, changed, new, of another kind.
    script = ["remove " + "".join("%%%02x" % c for c in files[0].encode()),
              "append " + "".join("%%%02x" % c for c in files[1].encode()) +
              " 5000 1", "touch new/x 100 2", "rename %s moved" %
              "".join("%%%02x" % c for c in files[2].encode()), "flush"]
    run("script", "-d", disk, "--profile", profile,
        stdin="\n".join(script).encode())
    if run("dump", "-d", disk).splitlines()[2:] == wanted:
        raise AssertionError("nothing was changed")
    text = run("generations", "-d", disk, "--restore", last_but_one(disk))
    has(text, "is restored as generation %d" % newest(disk))
    has(text, "(3 files copied, 2 entries removed)")
    same(run("dump", "-d", disk).splitlines()[2:], wanted)
    clean(disk)
    # It is one commit, and can be undone.
    run("generations", "-d", disk, "--restore", last_but_one(disk))
    has(run("list", "-d", disk), "/moved\n")
    clean(disk)


def test_restore_native():
    restore_case("native")


def test_restore_mirage():
    restore_case("mirage")


def test_restore_of_another_kind():
    for profile in PROFILES:
        disk = format_disk(name=profile + ".img", profile=profile)
        run("touch", "-d", disk, "a/b/c")
        run("touch", "-d", disk, "x")
        run("script", "-d", disk, stdin=b"remove a\ntouch a 10 1\nremove x\n"
            b"touch x/y/z 10 1\nflush\n")
        run("generations", "-d", disk, "--restore", last_but_one(disk))
        same(run("tree", "-d", disk),
             "/\n├── a\n│   └── b\n│       └── c\n└── x\n")
        clean(disk)


def test_restore_compressed():
    disk = format_disk()
    with open("text", "wb") as file:
        file.write(b"again and " * 50000)
    run("copy", "-d", disk, "text", "@text")
    run("set-compression", "-d", disk, "text", "lz4")
    old = newest(disk)
    run("touch", "-d", disk, "text")
    run("generations", "-d", disk, "--restore", old)
    same(run_json("stats", "-d", disk, "text")["compression"], "lz4")
    same(run("cat", "-d", disk, "text", text=False), b"again and " * 50000)
    clean(disk)


def test_no_such_generation():
    disk = format_disk()
    run("generations", "-d", disk, "--restore", "99", status=1)
    has(run.err, "no such generation")
    has(run.err, "'notafs generations' lists")


main(globals())
