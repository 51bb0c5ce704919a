# SPDX-License-Identifier: ISC
"""check, scrub, salvage and map on disks that are damaged."""
import json
import os
import re
import xml.etree.ElementTree

from support import (clean, data, format_disk, has, main, make_tree, run,
                     run_json, same, tree_of)

PROFILES = ("native", "mirage")


def flip(disk, page, page_size, offset=100):
    with open(disk, "r+b") as file:
        file.seek(page * page_size + offset)
        byte = file.read(1)[0]
        file.seek(page * page_size + offset)
        file.write(bytes([byte ^ 0xff]))


def runs(disk, kind):
    return [r for r in run_json("map", "-d", disk)["runs"] if r["kind"] == kind]


def damaged_file_disk(profile):
    """Three files, one of which has a damaged page of data."""
    disk = format_disk(name=profile + ".img", profile=profile)
    page_size = run_json("info", disk)["page_size"]
    pages = {}
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        with open(name, "wb") as file:
            file.write(data(200000, seed))
        seen = {r["page"] + i for r in runs(disk, "data")
                for i in range(r["count"])}
        run("copy", "-d", disk, name, "@d/" + name)
        pages[name] = sorted({r["page"] + i for r in runs(disk, "data")
                              for i in range(r["count"])} - seen)
    flip(disk, pages["b"][len(pages["b"]) // 2], page_size)
    return disk


def test_damaged_data():
    for profile in PROFILES:
        disk = damaged_file_disk(profile)
        text = run("check", "-d", disk, status=4)
        has(text, "does not match its checksum")
        has(text, "damaged file: /d/b\n")
        has(text, "salvage")
        if "damaged file: /d/a" in text or "damaged file: /d/c" in text:
            raise AssertionError(text)
        found = run_json("check", "-d", disk, status=4)
        same(found["clean"], False)
        same(found["damaged_files"], [{"path": "/d/b"}])
        same(found["findings"][0]["error"], "NF_EC_CHECKSUM")
        run("scrub", "-d", disk, status=4)
        # One damaged file leaves the others readable.
        same(run("cat", "-d", disk, "--no-verify", "d/a", text=False),
             data(200000, 1))
        run("cat", "-d", disk, "--no-verify", "d/b", status=1, text=False)
        has(run.err, "d/b: checksum mismatch")
        has(run.err, "page %d" % found["findings"][0]["page"])
        has(run.err, "notafs salvage")
        run("export", "-d", disk, "--no-verify", "d", "out-" + profile, status=1)
        same(sorted(os.listdir("out-" + profile)), ["a", "c"])
        has(run("map", "-d", disk, "--no-verify"), "'!' damaged")


def test_salvage_zeros():
    for profile in PROFILES:
        disk = damaged_file_disk(profile)
        out = "out-" + profile
        # b was written by one generation only: no other one has it whole.
        text = run("salvage", "-d", disk, out, status=1)
        has(text, "/d/b: lost, zeros in the copy, bytes ")
        has(text, "2 files whole, 0 from older generations, 1 in part")
        first, last = map(int, re.search(r"bytes (\d+)\.\.(\d+)", text).groups())
        wanted = bytearray(data(200000, 2))
        page_size = run_json("info", disk)["page_size"]
        if last - first >= page_size:
            raise AssertionError("more than a page is lost: " + text)
        wanted[first:last + 1] = bytes(last + 1 - first)
        for name, contents in (("a", data(200000, 1)), ("b", bytes(wanted)),
                               ("c", data(200000, 3))):
            with open(os.path.join(out, "d", name), "rb") as file:
                same(file.read() == contents, True)
        run("salvage", "-d", disk, out, status=1)
        has(run.err, "not empty")
        found = run_json("salvage", "-d", disk, out + "2", status=1)
        same((found["whole"], found["partial"]), (2, 1))
        same(found["lost_bytes"], last + 1 - first)


def test_salvage_older():
    for profile in PROFILES:
        disk = format_disk(name=profile + ".img", profile=profile)
        page_size = run_json("info", disk)["page_size"]
        with open("f", "wb") as file:
            file.write(data(100000, 1))
        run("copy", "-d", disk, "f", "@f")
        seen = {r["page"] + i for r in runs(disk, "data")
                for i in range(r["count"])}
        with open("f", "wb") as file:
            file.write(data(100000, 2))
        run("copy", "-d", disk, "f", "@f")
        new = sorted({r["page"] + i for r in runs(disk, "data")
                      for i in range(r["count"])} - seen)
        newest, old = [g["number"]
                       for g in run_json("generations", "-d", disk)[:2]]
        flip(disk, new[5], page_size)
        has(run("salvage", "-d", disk, "out-" + profile, status=1),
            "/f: from generation %d\n" % old)
        with open("out-%s/f" % profile, "rb") as file:
            same(file.read() == data(100000, 1), True)
        run("salvage", "-d", disk, "--generation", newest, "newer-" + profile,
            status=1)
        with open("newer-%s/f" % profile, "rb") as file:
            same(file.read()[:100], data(100000, 2)[:100])
        has(run("check", "-d", disk, status=4), "--restore %d" % old)


def test_salvage_whole_disk():
    for profile in PROFILES:
        disk = format_disk("32m", name=profile + ".img", profile=profile)
        make_tree("s-" + profile)
        run("import", "-d", disk, "s-" + profile)
        has(run("salvage", "-d", disk, "out-" + profile), "40 files whole")
        same(tree_of("out-" + profile), tree_of("s-" + profile))


def test_salvage_broken_listing():
    """A damaged page of the file table hides some names: the others come."""
    disk = format_disk("8m", page_size=512)
    count = 400
    script = ["touch dir/file-%04d 10 %d" % (i, i) for i in range(count)]
    run("script", "-d", disk, stdin="\n".join(script + ["flush"]).encode())
    pages = [r["page"] + i for r in runs(disk, "table")
             for i in range(r["count"])]
    newest = run_json("generations", "-d", disk)[0]["number"]
    names = set()
    most = 0
    for page in pages[::len(pages) // 8]:
        flip(disk, page, 512)
        out = "out-%d" % page
        text = run("salvage", "-d", disk, "--generation", newest, "--json", out,
                   status=None)
        flip(disk, page, 512)
        if text and os.path.isdir(out + "/dir"):
            here = os.listdir(out + "/dir")
            same(json.loads(text)["names_lost"], len(here) < count)
            names.update(here)
            most = max(most, len(here))
    same(len(names), count)
    if most < count * 9 // 10:
        raise AssertionError("of %d names at most %d came" % (count, most))
    clean(disk)


def test_scrub_rate():
    disk = format_disk("8m")
    run("touch", "-d", disk, "x")
    has(run("scrub", "-d", disk, "--rate", "100m"), "clean")
    same(run_json("scrub", "-d", disk, "--rate", "100m")["clean"], True)


def test_header_copy():
    """The first header is damaged: another one serves."""
    disk = format_disk()
    run("touch", "-d", disk, "x")
    with open(disk, "r+b") as file:
        file.write(bytes(4096))
    same(run("list", "-d", disk), "/x\n")
    same(run_json("info", disk)["header_damaged"], True)
    has(run.err, "")
    has(run("check", "-d", disk, status=4), "header")


def test_every_page():
    """Whatever page is damaged: never a crash, and an answer."""
    for profile in PROFILES:
        disk = format_disk("512k", name=profile + ".img", profile=profile)
        page_size = run_json("info", disk)["page_size"]
        run("script", "-d", disk, "--profile", profile,
            stdin=b"touch a 3000 1\nflush\ntouch d/b 9000 2\nflush\n"
            b"append a 2000 3\nflush\n")
        used = [r["page"] + i for r in run_json("map", "-d", disk)["runs"]
                if r["kind"] not in ("free", "unused") for i in range(r["count"])]
        for page in used:
            flip(disk, page, page_size, 20)
            for verb in ("check", "dump", "map", "generations"):
                run(verb, "-d", disk, status=None)
                if run.status not in (0, 1, 4, 8):
                    raise AssertionError("%s, page %d: status %d" % (
                        verb, page, run.status))
            flip(disk, page, page_size, 20)
        clean(disk)


def test_map():
    for profile in PROFILES:
        disk = format_disk("4m", name=profile + ".img", profile=profile)
        with open("f", "wb") as file:
            file.write(data(500000, 1))
        run("copy", "-d", disk, "f", "@f")
        found = run_json("map", "-d", disk)
        total = 0
        for row in sorted(found["runs"], key=lambda r: r["page"]):
            same(row["page"], total)
            total += row["count"]
        same(total, found["page_count"])
        kinds = {r["kind"] for r in found["runs"]}
        same({"system", "table", "data"} <= kinds, True)
        text = run("map", "-d", disk)
        has(text, "DDDDDDDD")
        same("\033" in text, False)
        run("map", "-d", disk, "--svg", "map.svg")
        xml.etree.ElementTree.parse("map.svg")


main(globals())
