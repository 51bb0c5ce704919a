# SPDX-License-Identifier: ISC
"""Images of the real program with one flipped byte: never worse than it, and
where it dies the disk still mounts, or what is damaged is named and the rest
comes out. Images that we write on stay clean."""
import glob
import json
import lzma
import os
import shutil

from support import Skip, clean, has, main, run, run_json, same

SHARED = os.environ.get("NOTAFS_SHARED", os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../../shared"))
GOLDEN = os.path.join(SHARED, "golden", "notafs")


def golden(pattern):
    found = sorted(glob.glob(os.path.join(GOLDEN, pattern)))
    if not found:
        raise Skip("no golden data")
    return found


def unpack(path):
    """The image beside a file of golden data, and its dump."""
    base = os.path.join(
        os.path.dirname(path), os.path.basename(path).split(".")[0])
    with lzma.open(base + ".img.xz") as packed, open("disk.img", "wb") as disk:
        shutil.copyfileobj(packed, disk)
    with open(base + ".dump.txt", encoding="utf-8") as file:
        return file.read()


def flip(offset, mask):
    with open("disk.img", "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def lines_of_files(text):
    return {line for line in text.splitlines() if line.startswith("/")}


def older_generations():
    """What the generations of the image hold that are whole."""
    listings = []
    for found in run_json("generations", "-d", "disk.img"):
        text = run("dump", "-d", "disk.img", "--verify", "--generation",
                   found["number"], status=None)
        if run.status == 0:
            listings.append(text)
    return listings


def judge(page, outcome, wanted, older):
    """Is what notafs makes of the image no worse than what the real program
    does? Generations that are whole are what both may fall back to."""
    text = run("dump", "-d", "disk.img", status=None)
    if text == outcome and run.status == 0:
        return
    if run.status == 0:
        # Another generation: because the real program dies, or because it
        # does not verify the file table and shows what happens to be there.
        has(older, text)
        if outcome is not None:
            has(run("check", "-d", "disk.img", status=4),
                "its file table or free queue is damaged")
        return
    same((page, run.status, outcome), (page, 1, None))
    # No generation is whole, and the real program dies. Here the damage is
    # named, and all but one file is as it was.
    has(run.err, "no generation is whole")
    found = run_json("check", "-d", "disk.img", status=4)
    lost = lines_of_files(wanted) - lines_of_files(text)
    same({line.split(" ")[0] for line in lost},
         {f["path"] for f in found["damaged_files"]})
    same(len(lost) <= 1, True)


def test_flipped_bytes():
    for path in golden("*.faults.json"):
        wanted = unpack(path)
        with open(path, encoding="utf-8") as file:
            faults = json.load(file)
        older = older_generations()
        has(older, wanted)
        for page, outcome in faults["outcomes"]:
            at = page * faults["page_size"] + faults["flip"]["offset_in_page"]
            flip(at, faults["flip"]["xor"])
            if outcome.startswith("error"):
                outcome = None
            elif outcome != "same":
                outcome = faults["states"][outcome]
            else:
                outcome = wanted
            judge(page, outcome, wanted, older)
            flip(at, faults["flip"]["xor"])


def test_written_on():
    """Append, overwrite, remove and many commits on a real image."""
    for path in golden("*.img.xz"):
        if os.path.getsize(path) > 200000:
            continue
        before = lines_of_files(unpack(path))
        kept = {line for line in before if " file " in line}
        script = ["touch ours/%d %d %d" % (i % 7, 100 + 37 * i, i)
                  for i in range(20)]
        script = [part for line in script for part in (line, "flush")]
        run("script", "-d", "disk.img", stdin="\n".join(script + [
            "append ours/1 3000 5", "blit ours/2 100 700 6", "remove ours/3",
            "flush", "reconnect", "rename ours/4 ours/1", "flush"]).encode(),
            status=None)
        if run.status == 0:
            same(lines_of_files(run("list", "-d", "disk.img", "ours")),
                 {"/ours/0", "/ours/1", "/ours/2", "/ours/5", "/ours/6"})
        after = lines_of_files(run("dump", "-d", "disk.img"))
        same(kept - after, set())
        clean("disk.img")


main(globals())
