# SPDX-License-Identifier: ISC
"""The verbs of the OCaml program: the same lines on success, and on failure a
message on stderr with status 1."""
import os

from support import data, format_disk, has, main, run, run_json, same

PROFILES = ("native", "mirage")


def each_profile(case):
    def both():
        for profile in PROFILES:
            disk = format_disk("4m", profile + ".img", profile=profile)
            case(disk)
            has(run("check", "-d", disk), "clean")
    return both


def test_format_and_info():
    same(run("format", "-d", "a.img", "--size", "400k", "--profile", "mirage"),
         'Disk at "a.img" succesfully formatted\n')
    same(run("info", "a.img"), "Sector size: 512b\n"
         "Disk space: 400kb (800 sectors)\nChecksum: ADLER-32 with 32 bits\n")
    run("format", "-d", "a.img", "-p", "1024", "--profile=mirage",
        "--checksum=NO-CHECK")
    same(run("info", "a.img"), "Sector size: 1kb\n"
         "Disk space: 400kb (400 sectors)\nChecksum: NO-CHECK with 0 bits\n")
    run("format", "--disk=a.img", "--page_size=512")
    same(run("info", "-d", "a.img"), "Sector size: 512b\n"
         "Disk space: 400kb (800 sectors)\nChecksum: XXH3-64 with 64 bits\n"
         "Profile: native\n")
    run("format", "-d", "a.img")
    same(run_json("info", "a.img")["page_size"], 4096)


def test_format_every_page_size():
    for profile, largest in (("native", 65536), ("mirage", 4096)):
        size = 512
        while size <= largest:
            format_disk("8m", profile=profile, page_size=size)
            same(run_json("info", "disk.img")["page_size"], size)
            run("touch", "-d", "disk.img", "x")
            has(run("check", "-d", "disk.img"), "clean")
            size *= 2


@each_profile
def test_touch_list_tree(disk):
    same(run("touch", "-d", disk, "/a/b"), 'File "/a/b" created\n')
    same(run("touch", "-d", disk, "z"), 'File "z" created\n')
    run("touch", "-d", disk, "a/c")
    run("touch", "-d", disk, "\u00e9\n\"")
    same(run("list", "-d", disk), '/a\n/z\n/\\195\\169\\n\\"\n')
    same(run("list", "-d", disk, "a"), "/a/b\n/a/c\n")
    same(run("tree", "-d", disk), "/\n├── a\n│   ├── b\n│   └── c\n"
         "├── z\n└── \u00e9\\010\"\n")
    same(run("tree", "-d", disk, "/a/"), "/a\n├── b\n└── c\n")
    same([e["path"] for e in run_json("tree", "-d", disk)],
         ["/a", "/a/b", "/a/c", "/z", "/\u00e9\n\""])


@each_profile
def test_copy_cat_stats(disk):
    contents = data(100000, 1)
    with open("in", "wb") as file:
        file.write(contents)
    same(run("copy", "-d", disk, "in", "@d/x"),
         'File "in" has been copied to key "d/x"\n')
    same(run("cat", "-d", disk, "d/x", text=False), contents)
    same(run("copy", "-d", disk, "@d/x", "@y"),
         'Key "d/x" has been copied to key "y"\n')
    same(run("copy", "-d", disk, "@y", "out"),
         'Key "y" has been copied to file "out"\n')
    with open("out", "rb") as file:
        same(file.read(), contents)
    lines = run("stats", "-d", disk, "y").splitlines()
    same(lines[0], "Size: 100000")
    same(lines[1][:15] + lines[1][-7:], "Last modified: " + " -00:00")
    same(run_json("stats", "-d", disk, "y")["size"], 100000)
    run("copy", "-d", disk, "@y", "@y")
    same(run("cat", "-d", disk, "y", text=False), contents)
    run("touch", "-d", disk, "y")
    same(run("cat", "-d", disk, "y", text=False), b"")


@each_profile
def test_rename_remove(disk):
    run("touch", "-d", disk, "a/b")
    same(run("rename", "-d", disk, "a/b", "c/d"),
         'File "a/b" renamed to "c/d"\n')
    same(run("rename", "-d", disk, "c", "e"), 'File "c" renamed to "e"\n')
    same(run("list", "-d", disk, "e"), "/e/d\n")
    same(run("remove", "-d", disk, "e"), 'File "e" removed\n')
    same(run("remove", "-d", disk, "e"), 'File "e" removed\n')
    same(run("list", "-d", disk), "/a\n")


@each_profile
def test_failures(disk):
    run("touch", "-d", disk, "dir/file")
    for args, text in (
            (("cat", "none"), "none: no such file"),
            (("cat", "dir"), "dir: is a directory"),
            (("cat", "dir/file/x"), "not a directory"),
            (("list", "none"), "none: no such file"),
            (("list", "dir/file"), "not a directory"),
            (("tree", "dir/file"), "not a directory"),
            (("stats", "none"), "no such file"),
            (("rename", "none", "x"), "none: no such file"),
            (("rename", "dir", "dir/sub"), "invalid argument"),
            (("touch", "dir"), "dir: is a directory"),
            (("touch", "dir/file/x"), "not a directory"),
            (("remove", "/"), "invalid argument"),
            (("copy", "absent", "@x"), "absent: No such file or directory"),
            (("copy", "@none", "out"), "none: no such file"),
            (("copy", "@dir/file", "/absent/out"), "/absent/out: No such file"),
            (("cat", "--generation", "77", "x"), "no such generation")):
        same(run(args[0], "-d", disk, *args[1:], status=1), "")
        has(run.err, text)
        has(run.err, "notafs %s: " % args[0])
    same(run("list", "-d", disk), "/dir\n")


def test_usage():
    format_disk()
    for args in ((), ("--disk",), ("nonsense",)):
        if args:
            run(*args, status=124)
    for args, text in (
            (("cat", "-d", "disk.img"), "too few"),
            (("cat", "-d", "disk.img", "a", "b"), "unexpected operand 'b'"),
            (("cat", "a"), "-d DISK is missing"),
            (("cat", "-d"), "needs a value"),
            (("cat", "--nonsense", "a"), "unknown option"),
            (("cat", "-d", "disk.img", "--rate", "5", "x"), "unknown option"),
            (("cat", "-d", "disk.img", "--cache", "much", "x"), "not a size"),
            (("list", "-d", "disk.img", "--generation", "0"), "not a number"),
            (("copy", "-d", "disk.img", "a", "b"), "'@'"),
            (("format", "-d", "disk.img", "-p", "1000"), "powers of two"),
            (("format", "-d", "disk.img", "-p", "8k", "--profile=mirage"),
             "powers of two"),
            (("format", "-d", "disk.img", "--profile", "ext4"), "no profile"),
            (("format", "-d", "disk.img", "--checksum", "md5"), "no checksum"),
            (("format", "-d", "disk.img", "--checksum", "ADLER-32"),
             "have no ADLER-32"),
            (("set-compression", "-d", "disk.img", "x", "gzip"), "neither"),
            (("list", "-d", "disk.img", "--verify", "--no-verify"),
             "--verify or")):
        same(run(*args, status=124), "")
        has(run.err, text)
    run("check", status=16)
    run("scrub", "-d", "disk.img", "--rate", "x", status=16)
    run("check", "-d", "absent", status=8)
    has(run.err, "absent: no such file")


def test_not_a_disk():
    with open("zeros", "wb") as file:
        file.truncate(1 << 20)
    for verb in ("list", "check", "dump", "map", "generations"):
        run(verb, "-d", "zeros", status=8 if verb == "check" else 1)
        has(run.err, "not formatted")
        has(run.err, "notafs format")
    run("format", "-d", ".", status=1)
    has(run.err, "is a directory")
    with open("small", "wb") as file:
        file.truncate(2000)
    run("format", "-d", "small", status=1)


def test_locked():
    import fcntl
    import struct
    format_disk()
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with open("disk.img", "r+b") as file:
        fcntl.fcntl(file, getattr(fcntl, "F_OFD_SETLK", 37), lock)
        run("touch", "-d", "disk.img", "x", status=1)
        has(run.err, "open in another process")
        run("list", "-d", "disk.img", status=1)
    run("touch", "-d", "disk.img", "x")


def test_no_space():
    for profile in PROFILES:
        disk = format_disk("1m", profile=profile)
        run("touch", "-d", disk, "kept")
        before = run("dump", "-d", disk).splitlines()[2:]
        with open("big", "wb") as file:
            file.write(data(2 << 20, 3))
        run("copy", "-d", disk, "big", "@big", status=1)
        has(run.err, "no space left")
        has(run.err, "can be taken now")
        has(run.err, "removing files frees space")
        same(run("dump", "-d", disk).splitlines()[2:], before)
        has(run("check", "-d", disk), "clean")


def test_set_compression():
    disk = format_disk()
    text = b"to be or not to be\n" * 20000
    with open("text", "wb") as file:
        file.write(text)
    run("copy", "-d", disk, "text", "@text")
    plain = run_json("stats", "-d", disk)["free_pages"]
    same(run("set-compression", "-d", disk, "text", "lz4"),
         'File "text" is stored with compression lz4\n')
    run("touch", "-d", disk, "x")  # another commit frees the old pages
    run("touch", "-d", disk, "y")
    packed = run_json("stats", "-d", disk)["free_pages"]
    if packed < plain + 50:
        raise AssertionError("nothing saved: %d, %d" % (plain, packed))
    same(run("cat", "-d", disk, "text", text=False), text)
    same(run_json("stats", "-d", disk, "text")["compression"], "lz4")
    run("copy", "-d", disk, "@text", "@copy")
    same(run_json("stats", "-d", disk, "copy")["compression"], "lz4")
    run("set-compression", "-d", disk, "text", "none")
    same(run("cat", "-d", disk, "text", text=False), text)
    has(run("check", "-d", disk), "clean")
    mirage = format_disk(name="m.img", profile="mirage")
    run("touch", "-d", mirage, "x")
    run("set-compression", "-d", mirage, "x", "lz4", status=1)
    has(run.err, "not supported")


def test_resize():
    disk = format_disk("4m")
    with open("f", "wb") as file:
        file.write(data(1 << 20, 5))
    run("copy", "-d", disk, "f", "@f")
    before = run("dump", "-d", disk).splitlines()[2:]
    has(run("resize", "-d", disk, "32m"), "8192 pages")
    same(os.path.getsize(disk), 32 << 20)
    same(run_json("stats", "-d", disk)["page_count"], 8192)
    same(run("dump", "-d", disk).splitlines()[2:], before)
    has(run("check", "-d", disk), "clean")
    run("resize", "-d", disk, "16m")
    same(os.path.getsize(disk), 16 << 20)
    same(run("dump", "-d", disk).splitlines()[2:], before)
    has(run("check", "-d", disk), "clean")
    os.truncate(disk, 20 << 20)
    run("resize", "-d", disk)
    same(run_json("stats", "-d", disk)["page_count"], 5120)
    run("resize", "-d", disk, "1m", status=1)
    has(run.err, "is in use")
    run("resize", "-d", disk, "64k", status=1)
    has(run.err, "16 pages are too few")
    same(os.path.getsize(disk), 20 << 20)
    has(run("check", "-d", disk), "clean")
    mirage = format_disk("1m", "m.img", profile="mirage")
    run("resize", "-d", mirage, "2m", status=1)
    has(run.err, "mirage disks keep their size")
    same(os.path.getsize(mirage), 1 << 20)


def test_options_of_the_mount():
    disk = format_disk()
    run("touch", "-d", disk, "x")
    for option in ("--verify", "--no-verify", "--direct", "--cache=64k",
                   "--cache=1g"):
        same(run("list", "-d", disk, option), "/x\n")
    run("list", "-d", disk, "--cache", "1k", status=1)
    has(run.err, "cache too small")


main(globals())
