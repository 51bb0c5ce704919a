# SPDX-License-Identifier: ISC
"""Help, manual page and completion know the same verbs and options."""
import os
import re
import subprocess

from support import ENV, NOTAFS, format_disk, has, main, run, same

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def verbs():
    return re.findall(r"^  ([a-z-]+) {2,}\S", run("--help"), re.M)


def complete(*words):
    """What bash completion offers for the last word."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              'compopt() { :; }; _notafs; printf "%s\\n" "${COMPREPLY[@]}"')
    path = os.path.dirname(NOTAFS) + ":" + ENV["PATH"]
    done = subprocess.run(
        ["bash", "-c", script, "bash", os.path.join(ROOT, "completions/notafs"),
         *words], env={**ENV, "PATH": path}, stdout=subprocess.PIPE, check=True)
    return set(done.stdout.decode().splitlines())


def test_help():
    wanted = {"format", "info", "copy", "cat", "stats", "list", "tree", "touch",
              "rename", "remove", "import", "export", "dump", "script", "check",
              "scrub", "salvage", "map", "generations", "resize",
              "set-compression", "mount", "build"}
    same(set(verbs()), wanted)
    same(run(), run("--help"))
    has(run("--version"), "notafs 0.")
    for verb in wanted:
        text = run(verb, "--help")
        has(text, "Usage: notafs " + verb)
        same(run("help", verb), text)
        same(run(verb, "-h"), text)


def test_manual():
    with open(os.path.join(ROOT, "man/notafs.1"), encoding="utf-8") as file:
        page = file.read()
    for verb in verbs():
        has(page, ".It Cm " + verb)
        for option in re.findall(r" --([a-z_-]+)", run(verb, "--help")):
            if option not in ("help", "disk", "direct", "cache", "json"):
                has(page, "-" + option)


def test_completion():
    same(complete("notafs", ""), set(verbs()))
    same(complete("notafs", "to"), {"touch"})
    has(complete("notafs", "format", "--pro"), "--profile=")
    same(complete("notafs", "format", "--profile", "m"), {"mirage"})
    disk = format_disk()
    for path in ("dir/one", "dir/two", "x$(touch ran)"):
        run("touch", "-d", disk, path)
    same(complete("notafs", "cat", "-d", disk, "dir/t"), {"dir/two"})
    same(complete("notafs", "cat", "-d", disk, "d"), {"dir"})
    has(complete("notafs", "cat", "-d", disk, "x"), "x$(touch ran)")
    same(os.path.exists("ran"), False)


main(globals())
