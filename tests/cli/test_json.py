# SPDX-License-Identifier: ISC
"""Every verb that offers --json prints JSON, with the facts of its text."""
import os
import re

from support import format_disk, has, main, run, run_json, same


def test_every_verb():
    disk = format_disk("4m")
    os.mkdir("s")
    with open("s/f\u00e9", "wb") as file:
        file.write(b"12345")
    arguments = {
        "info": (disk,), "stats": ("-d", disk), "list": ("-d", disk),
        "tree": ("-d", disk), "import": ("-d", disk, "s"),
        "export": ("-d", disk, "/", "out"), "dump": ("-d", disk),
        "check": ("-d", disk), "scrub": ("-d", disk),
        "salvage": ("-d", disk, "saved"), "map": ("-d", disk),
        "generations": ("-d", disk),
        "build": ("--from", "s", "--size", "1m", "--out", "built")}
    wanted = {
        "info": {"profile": "native", "page_size": 4096, "page_count": 1024,
                 "checksum": "XXH3-64", "header_damaged": False},
        "stats": {"files": 1, "dirs": 0, "generation": 2},
        "import": {"files": 1, "dirs": 0, "bytes": 5, "left_out": 0},
        "export": {"files": 1, "bytes": 5, "failed": 0},
        "dump": {"generation": 2},
        "check": {"clean": True, "findings": [], "damaged_files": []},
        "scrub": {"clean": True},
        "salvage": {"whole": 1, "partial": 0, "lost": 0, "items": []},
        "map": {"page_count": 1024},
        "build": {"files": 1, "bytes": 5, "skipped": 0}}
    verbs = re.findall(r"^  ([a-z-]+) {2,}\S", run("--help"), re.M)
    offered = {v for v in verbs if "--json" in run(v, "--help")}
    same(offered, set(arguments))
    for verb in ["import"] + sorted(offered - {"import"}):
        found = run_json(verb, *arguments[verb])
        for key, value in wanted.get(verb, {}).items():
            same((verb, key, found[key]), (verb, key, value))
    same(run_json("list", "-d", disk)[0]["path"], "/f\u00e9")
    same(run_json("list", "-d", disk)[0]["size"], 5)
    same(run_json("dump", "-d", disk)["entries"][0]["sha256"],
         "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5")
    same(run_json("generations", "-d", disk)[0]["current"], True)


def test_names_that_are_no_text():
    disk = format_disk("4m")
    run("script", "-d", disk, stdin=b"touch %ff%fe/a%00b 1 1\nflush\n")
    found = run_json("tree", "-d", disk)
    same([e.get("path_percent") for e in found], ["/%ff%fe", "/%ff%fe/a%00b"])
    has(run("dump", "-d", disk), "/%ff%fe/a%00b file 1 ")
    same(run("list", "-d", disk), "/\\255\\254\n")


main(globals())
