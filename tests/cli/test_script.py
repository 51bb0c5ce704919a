# SPDX-License-Identifier: ISC
"""Batch mode: answers, errors, and the clock. The golden scripts are run by the
conformance tests; these are about what they do not reach."""
import hashlib

from support import clean, format_disk, has, main, run, same


def script(disk, *lines, status=0, options=()):
    return run("script", "-d", disk, *options,
               stdin="\n".join(lines).encode() + b"\n", status=status)


def generated(length, seed):
    """The data of a script, written down once more."""
    state = seed ^ 0x9E3779B97F4A7C15 or 1
    mask = (1 << 64) - 1
    out = bytearray()
    while len(out) < min(length, 65536):
        state ^= state >> 12
        state ^= state << 25 & mask
        state ^= state >> 27
        out += (state * 0x2545F4914F6CDD1D & mask).to_bytes(8, "little")
    base = bytes(out[:65536])
    return (base * (length // 65536 + 1))[:length]


def test_answers():
    for profile in ("native", "mirage"):
        with open("disk.img", "wb") as file:
            file.truncate(8 << 20)
        wanted = bytearray(generated(3000000, 42))
        wanted[70000:71000] = generated(1000, 7)
        wanted += generated(5, 8)
        text = script("disk.img", "# a comment", "", "clock 1700000000", "format",
                      "touch a%20b/c 3000000 42", "blit a%20b/c 70000 1000 7",
                      "append a%20b/c 5 8", "flush", "reconnect",
                      "size a%20b/c", "read a%20b/c 65000 200000",
                      "read a%20b/c 3000000 100",
                      options=("--profile", profile, "-p", "1024"))
        def answer(off, length):
            part = wanted[off:off + length]
            return "read %d %s\n" % (len(part), hashlib.sha256(part).hexdigest())
        same(text, "size 3000005\n" + answer(65000, 200000) +
             answer(3000000, 100))
        same(run("cat", "-d", "disk.img", "a b/c", text=False) == bytes(wanted),
             True)
        clean("disk.img")


def test_only_flush_commits():
    disk = format_disk()
    script(disk, "touch a 10 1", "flush", "touch b 10 1")
    same(run("list", "-d", disk), "/a\n")
    same(script(disk, "touch c 1 1", "reconnect", "size c", status=1),
         "error no such file\n")


def test_errors_go_on():
    disk = format_disk()
    same(script(disk, "size none", "nonsense", "touch a", "touch a x 1",
                "touch a 1 1 1 1 1", "touch a 5 1", "touch a/b 1 1", "rename x y",
                "size a", "remove none", "flush", status=1),
         "error no such file\n" + 4 * "error invalid argument\n" +
         "error not a directory\nerror no such file\nsize 5\n")
    same(run("list", "-d", disk), "/a\n")
    has(run("script", "--help"), "blit PATH OFF LEN SEED")


def test_clock():
    disk = format_disk(profile="mirage")
    script(disk, "clock 1600000000", "touch a/b 1 1", "touch c 1 1",
           "append c 5 5", "rename a/b d/e", "touch f 1 1", "flush")
    same([line.split(" ")[0:1] + line.split(" ")[-1:]
          for line in run("dump", "-d", disk).splitlines()[2:]],
         [["/a", "1600000003"], ["/c", "1600000002"], ["/d", "1600000003"],
          ["/d/e", "1600000001"], ["/f", "1600000004"]])


main(globals())
