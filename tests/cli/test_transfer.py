# SPDX-License-Identifier: ISC
"""import and export: what comes back is what was given, to the byte."""
import os
import subprocess
import tarfile

from support import (clean, data, dump_of, dumped_files, format_disk, has, main,
                     make_tree, percent, run, run_json, same, tree_of)

PROFILES = ("native", "mirage")


def each_profile(case):
    def both():
        for profile in PROFILES:
            make_tree("source " + profile)
            case(format_disk("32m", profile + ".img", profile=profile),
                 "source " + profile, "copy " + profile)
    return both


@each_profile
def test_directory(disk, source, copy):
    has(run("import", "-d", disk, source), "Imported 40 files and 7 dir")
    clean(disk)
    same(dumped_files(disk), dump_of(source))
    has(run("export", "-d", disk, "/", copy), "Exported 40 files and 7 dir")
    same(tree_of(copy), tree_of(source))
    for folder in next(os.walk(source))[1]:
        same(os.stat(os.path.join(copy, folder)).st_mtime,
             os.stat(os.path.join(source, folder)).st_mtime)
    # Again, over what is there: nothing changes, and no space is lost.
    used = run_json("stats", "-d", disk)["free_pages"]
    run("import", "-d", disk, source)
    same(dumped_files(disk), dump_of(source))
    clean(disk)
    same(run_json("stats", "-d", disk)["files"], 40)
    if abs(run_json("stats", "-d", disk)["free_pages"] - used) > 100:
        raise AssertionError("space is lost")


@each_profile
def test_below_a_path(disk, source, copy):
    run("import", "-d", disk, source, "/a/b/")
    same(dumped_files(disk), dump_of(source, "/a/b"))
    run("export", "-d", disk, "a", copy)
    same(tree_of(copy + "/b"), tree_of(source))


@each_profile
def test_one_file(disk, source, copy):
    del source
    with open("f", "wb") as file:
        file.write(data(5000, 7))
    run("copy", "-d", disk, "f", "@d/f")
    run("export", "-d", disk, "d/f", copy)
    same(list(tree_of(copy)), ["f"])
    run("export", "-d", disk, "/d/f", copy + ".tar")
    with tarfile.open(copy + ".tar") as tar:
        same(tar.getnames(), ["f"])


@each_profile
def test_tar_round_trip(disk, source, copy):
    for suffix in (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst",
                   ".tar.lz4"):
        name = copy + suffix
        run("import", "-d", disk, source, "x")
        run("export", "-d", disk, "x", name)
        run("remove", "-d", disk, "x")
        run("import", "-d", disk, name, "y")
        same(dumped_files(disk), dump_of(source, "/y"))
        run("remove", "-d", disk, "y")
    clean(disk)
    os.mkdir(copy)
    subprocess.run(["tar", "xzf", copy + ".tgz", "-C", copy], check=True)
    same(tree_of(copy), tree_of(source))


@each_profile
def test_tar_stream(disk, source, copy):
    del copy
    stream = subprocess.run(["tar", "cf", "-", "-C", source, "."], check=True,
                            stdout=subprocess.PIPE).stdout
    run("import", "-d", disk, "-", stdin=stream)
    same(dumped_files(disk), dump_of(source))
    out = run("export", "-d", disk, "/", "-", text=False)
    run("import", "-d", disk, "-", "again", stdin=out)
    same(dumped_files(disk), sorted(dump_of(source) + dump_of(source, "/again")))


def test_cut_tar_imports_nothing():
    disk = format_disk()
    make_tree("s")
    subprocess.run(["tar", "cf", "t.tar", "s"], check=True)
    before = run("dump", "-d", disk)
    os.truncate("t.tar", os.path.getsize("t.tar") // 2)
    run("import", "-d", disk, "t.tar", status=1)
    has(run.err, "nothing was imported")
    same(run("dump", "-d", disk), before)
    run("import", "-d", disk, "-", status=1, stdin=b"this is no archive" * 100)
    same(run("dump", "-d", disk), before)


def test_odd_tar():
    """Names that lead elsewhere, links, devices."""
    with tarfile.open("odd.tar", "w") as tar:
        def add(name, kind=tarfile.REGTYPE, link="", size=0):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, size
            with open("/dev/zero", "rb") as zero:
                tar.addfile(member, zero if size else None)
        add("a/one", size=3000)
        add("../escape", size=10)
        add("/absolute", size=20)
        add("./b/../../c", size=30)
        add("hard", tarfile.LNKTYPE, "a/one")
        add("a/one", tarfile.LNKTYPE, "a/one")
        add("soft", tarfile.SYMTYPE, "a/one")
        add("fifo", tarfile.FIFOTYPE)
    disk = format_disk()
    same(run_json("import", "-d", disk, "odd.tar")["left_out"], 5)
    has(run.err, "left out: ../escape")
    has(run.err, "soft (a symbolic link)")
    same([(e["path"], e.get("size")) for e in run_json("tree", "-d", disk)],
         [("/a", None), ("/a/one", 3000), ("/absolute", 20), ("/hard", 3000)])


def test_what_cannot_be_taken():
    disk = format_disk()
    os.makedirs("s/d")
    os.symlink("d", "s/link")
    os.mkfifo("s/fifo")
    same(run_json("import", "-d", disk, "s")["left_out"], 2)
    same(run("list", "-d", disk), "/d\n")
    run("import", "-d", disk, "absent", status=1)
    has(run.err, "absent: No such file")
    # The disk itself lies in the directory.
    run("import", "-d", disk, ".")
    has(run.err, "the disk itself")


def test_clash_imports_nothing():
    disk = format_disk()
    os.makedirs("s/a")
    os.makedirs("s/x")
    with open("s/a/f", "wb") as file:
        file.write(b"new")
    run("touch", "-d", disk, "x")  # a file where a directory has to be
    before = run("dump", "-d", disk)
    run("import", "-d", disk, "s", status=1)
    has(run.err, "/x: ")
    same(run("dump", "-d", disk), before)


def test_commit_every():
    disk = format_disk("32m")
    make_tree("s")
    first = run_json("stats", "-d", disk)["generation"]
    commits = run_json("import", "-d", disk, "--commit-every", "50k",
                       "s")["commits"]
    if commits < 5:
        raise AssertionError("%d commits" % commits)
    same(run_json("stats", "-d", disk)["generation"], first + commits)
    same(dumped_files(disk), dump_of("s"))
    clean(disk)


def test_no_space_imports_nothing():
    for profile in PROFILES:
        disk = format_disk("1m", profile + ".img", profile=profile)
        run("touch", "-d", disk, "kept")
        before = run("dump", "-d", disk).splitlines()[2:]
        os.makedirs("s", exist_ok=True)
        for i in range(30):
            with open("s/%d" % i, "wb") as file:
                file.write(data(100000, i))
        run("import", "-d", disk, "s", status=1)
        has(run.err, "no space left")
        has(run.err, "nothing was imported")
        same(run("dump", "-d", disk).splitlines()[2:], before)
        clean(disk)


def test_larger_than_the_cache():
    for profile in PROFILES:
        disk = format_disk("64m", profile + ".img", profile=profile)
        os.makedirs("s", exist_ok=True)
        for i in range(3):
            with open("s/big%d" % i, "wb") as file:
                file.write(data(6 << 20, i))
        run("import", "-d", disk, "--cache", "256k", "s")
        same(dumped_files(disk, "--cache", "256k"), dump_of("s"))
        clean(disk)


def test_compress():
    disk = format_disk()
    os.mkdir("s")
    with open("s/text", "wb") as file:
        file.write(b"0123456789" * 300000)
    run("import", "-d", disk, "--compress", "s")
    same(run_json("stats", "-d", disk, "text")["compression"], "lz4")
    same(dumped_files(disk), dump_of("s"))
    stats = run_json("stats", "-d", disk)
    used = stats["page_count"] - stats["free_pages"]
    if used > 300:
        raise AssertionError("%d pages for what LZ4 makes small" % used)
    clean(disk)


def test_holes():
    disk = format_disk("8m")
    os.mkdir("s")
    with open("s/sparse", "wb") as file:
        file.seek(1 << 30)
        file.write(b"end")
        file.truncate(3 << 30)
    run("import", "-d", disk, "s")
    same(run_json("stats", "-d", disk, "sparse")["size"], 3 << 30)
    run("export", "-d", disk, "/", "copy")
    same(os.path.getsize("copy/sparse"), 3 << 30)
    if os.stat("copy/sparse").st_blocks > 4096:
        raise AssertionError("the hole was filled")
    with open("copy/sparse", "rb") as file:
        file.seek((1 << 30) - 1)
        same(file.read(5), b"\0end\0")
    run("export", "-d", disk, "/", "s.tar")
    if os.path.getsize("s.tar") > 1 << 20:
        raise AssertionError("the hole is in the archive")
    run("import", "-d", disk, "s.tar", "again")
    same(run_json("stats", "-d", disk, "again/sparse")["size"], 3 << 30)
    clean(disk)


def test_names_that_lead_out():
    """A disk may name a file "..": it is not written there."""
    disk = format_disk()
    run("touch", "-d", disk, "d/../evil")
    run("touch", "-d", disk, "fine")
    run("export", "-d", disk, "/", "out", status=1)
    has(run.err, "left out: /d/..")
    same(sorted(tree_of("out")), ["d", "fine"])
    os.mkdir("elsewhere")
    os.mkdir("target")
    os.symlink("../elsewhere", "target/d")
    run("export", "-d", disk, "/", "target", status=1)
    same(os.listdir("elsewhere"), [])


def test_messages_are_plain():
    """Names cannot send escape codes to a terminal through messages."""
    disk = format_disk()
    run("script", "-d", disk, stdin=b"touch d%1b[31m/.. 1 1\nflush\n")
    run("export", "-d", disk, "/", "out", status=1)
    has(run.err, "left out: /d\\027[31m/.. (no name for a file here)")
    os.symlink("x", "out/\x1b[31mlink")
    run("import", "-d", disk, "out")
    has(run.err, "left out: /\\027[31mlink (a symbolic link)")
    same("\x1b" in run("tree", "-d", disk) + run("list", "-d", disk), False)


def test_system_headers():
    """A real directory on a disk of a gigabyte, compared with sha256sum."""
    for profile, source in (("native", "/usr/include"),
                            ("mirage", "/usr/include/linux")):
        disk = format_disk("1g", profile + ".img", profile=profile)
        run("import", "-d", disk, source, "h")
        clean(disk)
        found = {}
        for line in dumped_files(disk):
            path, _, _, digest, _ = line.split(" ")
            found[path.removeprefix("/h/")] = digest
        sums = subprocess.run(
            "find . -type f -print0 | xargs -0 sha256sum", shell=True,
            cwd=source, check=True, stdout=subprocess.PIPE).stdout.decode()
        wanted = {percent(path): digest for digest, path in
                  (line.split("  ./") for line in sums.splitlines())}
        same(len(wanted) > 100, True)
        same(found, wanted)


main(globals())
