# SPDX-License-Identifier: ISC
"""The worked example of docs/format-pack.md: the store that its script makes has
those bytes, and the bytes are read as that store."""
import os
import re
import subprocess
import sys

from support import has, main, same

NOTAPACK = os.path.abspath(os.path.join(
    os.path.dirname(os.path.abspath(sys.argv[1])), "notapack"))
DOC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                   "docs", "format-pack.md")


def example():
    """config, {kind of block: text}, {file: bytes}"""
    with open(DOC, encoding="utf-8") as file:
        text = file.read()
    files = {}
    for name, block in re.findall(r"^### (\S+)\n(?:[^`#]*?)```hex\n(.*?)^```",
                                  text, re.M | re.S):
        files[name] = bytes.fromhex("".join(
            re.match("[0-9a-f]*", line)[0] for line in block.splitlines()))
    blocks = dict(re.findall(r"^```(script|dump)\n(.*?)^```", text, re.M | re.S))
    return re.search(r"`--config (\S+)`:", text)[1], blocks, files


def pack(*args, stdin=""):
    return subprocess.run([NOTAPACK, *args], input=stdin.encode(), check=True,
                          stdout=subprocess.PIPE, timeout=60).stdout.decode()


def test_written():
    config, blocks, files = example()
    same(set(files), {"store.control", "store.dict", "store.0.suffix",
                      "store.branches", "index/log"})
    has(pack("-s", "s", "--config", config, "script", stdin=blocks["script"]),
        "closed")
    for name, wanted in files.items():
        with open("s/" + name, "rb") as file:
            same(file.read().hex(), wanted.hex())


def test_read():
    config, blocks, files = example()
    os.makedirs("s/index")
    for name, content in files.items():
        with open("s/" + name, "wb") as file:
            file.write(content)
    same(pack("-s", "s", "--config", config, "dump"), blocks["dump"])
    has(pack("-s", "s", "--config", config, "check"), "CHECK OK")


main(globals())
