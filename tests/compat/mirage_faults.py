# SPDX-License-Identifier: ISC
"""Images with one flipped byte, page by page: mirage_faults.py NOTAFS

What the real program shows of each is known (golden/README.md, faults.json).
Where it shows the newest generation, so does `notafs`; where it shows an older
one, `notafs` shows that or another; and where it dies, `notafs` does not.
"""
import json

from mirage_images import (Tally, dump, golden_bytes, golden_text,
                           image_file, load_reference, need_shared)

NAMES = ["p512-100k-basic", "p512-200k-churn"]


def table_pages(image):
    """The pages of the file table: the real program parses them and does not
    look at their checksums (W4), so that it may show what rotted."""
    image.choose()
    return {page for page, role in image.roles.items()
            if role.text.startswith("table ")}


def chosen(outcomes):
    """A third of them, all of the first pages, and all where an older
    generation is shown."""
    return [outcome for i, outcome in enumerate(outcomes)
            if i % 3 == 0 or outcome[0] <= 12
            or not outcome[1].startswith(("same", "error"))]


def judge(page, theirs, mine, want, states, tables):
    """What is wrong with an outcome, or None."""
    if page <= 4:
        # the real program dies; states do not have all older generations
        return None if mine is not None else "header or root page is too much"
    if mine is not None and mine != want and mine.strip() not in states:
        return "shows what never was on the disk"
    if theirs == "same" and mine != want:
        if page in tables and mine is not None:
            return None  # an older generation instead of a damaged table
        return "does not show the newest generation"
    if not theirs.startswith(("same", "error")) and mine is None:
        return "shows nothing, not even an older generation"
    return None


def main():
    need_shared()
    reference = load_reference()
    tally = Tally()
    for name in NAMES:
        faults = json.loads(golden_text(name + ".faults.json"))
        want = golden_text(name + ".dump.txt")
        states = {text.strip() for text in faults["states"].values()}
        data = golden_bytes(name)
        tables = table_pages(reference.Image(bytes(data)))
        flip = faults["flip"]
        better = 0
        with image_file() as path:
            for page, theirs in chosen(faults["outcomes"]):
                at = page * faults["page_size"] + flip["offset_in_page"]
                data[at] ^= flip["xor"]
                with open(path, "wb") as f:
                    f.write(data)
                data[at] ^= flip["xor"]
                mine = dump(path)
                better += theirs.startswith("error") and mine is not None
                tally.case(f"{name} page {page}",
                           judge(page, theirs, mine, want, states, tables))
        print(f"{name}: {better} disks that the real program cannot open")
        tally.case(f"{name} better", None if better > 4 else "never better")
    tally.end()


main()
