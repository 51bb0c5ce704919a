# SPDX-License-Identifier: ISC
"""Images that two programs write in turn: mirage_reference.py NOTAFS [SEED...]

`notafs script` and the reference model of the OCaml program change the same
image by random commands. After each turn both list the same, and after each of
`notafs` the reference finds nothing wrong. Golden images are written on in the
same way.
"""
import random
import sys

from mirage_images import (Tally, dump, golden_bytes, golden_names,
                           image_file, load_reference, need_shared, notafs,
                           without_counter)

# page size, pages, checksum, largest file
DISKS = [
    (512, 1500, "ADLER-32", 20000),
    (512, 250, "ADLER-32", 2500),
    (1024, 3000, "NO-CHECK", 50000),
    (4096, 800, "ADLER-32", 100000),
    (512, 70000, "ADLER-32", 200000),
]
ROUNDS = 8
SCENARIOS = ("basic", "churn", "fill", "many", "nocheck")  # of golden images


class Commands:
    """Random commands, and the sizes that files have after them."""

    def __init__(self, rand, sizes, largest):
        self.rand, self.sizes, self.largest = rand, sizes, largest

    def one(self):
        rand, sizes = self.rand, self.sizes
        seed = rand.randrange(1 << 30)
        kind = rand.random()
        if kind < 0.3 or not sizes:
            name = rand.choice(["a/f%d", "f%d", "d/e/f%d"]) % rand.randrange(9)
            size = rand.choice([0, 1, 508, 509, rand.randrange(self.largest)])
            sizes[name] = size
            return f"touch {name} {size} {seed}"
        name = rand.choice(sorted(sizes))
        if kind < 0.5:
            size = rand.randrange(1, self.largest // 3)
            sizes[name] += size
            return f"append {name} {size} {seed}"
        if kind < 0.7:
            off = rand.randrange(sizes[name] + 1)
            size = rand.randrange(1, self.largest // 4)
            sizes[name] = max(sizes[name], off + size)
            return f"blit {name} {off} {size} {seed}"
        if kind < 0.8:
            del sizes[name]
            return f"remove {name}"
        if kind < 0.85:
            to = f"r{rand.randrange(5)}"
            if to != name:
                sizes[to] = sizes.pop(name)
                return f"rename {name} {to}"
        return "flush"

    def script(self, n):
        return "\n".join([self.one() for _ in range(n)] + ["flush", ""])


class Image:
    """An image file, and the two programs that change it."""

    def __init__(self, reference, path, page, checksum):
        self.reference, self.path = reference, path
        self.page, self.checksum = page, checksum

    def mine(self, script):
        status, out, err = notafs(
            "script", "-d", self.path, "--profile", "mirage", "-p",
            str(self.page), "--checksum", self.checksum, input=script)
        return out + err + ("" if status == 0 else f"error: status {status}")

    def theirs(self, script):
        with open(self.path, "rb") as f:
            data = f.read()
        device = self.reference.Device(len(data), self.page)
        device.data[:] = data
        writer = self.reference.Script(device, self.checksum)
        writer.time = 5000
        if not script.startswith("clock"):
            script = "reconnect\n" + script
        answers = "\n".join(writer.run(script))
        with open(self.path, "wb") as f:
            f.write(device.data)
        return answers

    def listing(self):
        image = self.reference.open_image(self.path)
        leaf = image.choose()
        return "\n".join(self.reference.dump_lines(image, leaf))

    def problem(self, verify, sizes=None):
        """What is wrong, or None."""
        theirs = without_counter(self.listing())
        mine = dump(self.path)
        if mine is None or without_counter(mine) != theirs:
            return "the listings differ"
        found = {line.split()[0][1:]: int(line.split()[2]) for line in theirs
                 if line.split()[1] == "file"}
        if sizes is not None and found != sizes:
            return f"files are {found}, not {sizes}"
        if verify:
            image = self.reference.open_image(self.path)
            problems = self.reference.verify(image)
            status, out, err = notafs("check", "-d", self.path)
            if status != 0:
                problems.append(f"check: {out}{err}")
            return "; ".join(problems) or None
        return None


def in_turn(reference, tally, seed):
    """One image, changed by both."""
    rand = random.Random(seed)
    page, pages, checksum, largest = DISKS[seed % len(DISKS)]
    sizes = {}
    with image_file() as path:
        with open(path, "wb") as f:
            f.truncate(page * pages)
        image = Image(reference, path, page, checksum)
        commands = Commands(rand, sizes, largest)
        rand.choice([image.mine, image.theirs])("clock 1000\nformat\n")
        for turn in range(ROUNDS):
            who = rand.choice([image.mine, image.theirs])
            answers = who(commands.script(rand.randrange(1, 60)))
            name = f"seed {seed} turn {turn} {who.__name__}"
            if "error" in answers:
                tally.case(name, answers[:200])
                break
            tally.case(name, image.problem(who == image.mine, sizes))


def write_on(reference, tally, name):
    """A golden image: many commits, then what the OCaml program makes of it."""
    data = golden_bytes(name)
    if len(data) > 1 << 24:
        return  # the reference takes long for large ones
    header = reference.Image(bytes(data)).g
    with image_file() as path:
        with open(path, "wb") as f:
            f.write(data)
        image = Image(reference, path, header.page_size, header.checksum)
        files = [line.split()[0] for line in image.listing().splitlines()
                 if line.split()[1] == "file"]
        script = []
        for i in range(12):
            script += [f"touch new{i} 1000 {i}", "flush"]
            if files:
                script += [f"append {files[0]} 700 {i}",
                           f"blit {files[0]} 3 100 {i}", "flush"]
            if i >= 2:
                script += [f"remove new{i - 2}", "flush"]
            script.append("reconnect")
        answers = image.mine("\n".join(script) + "\n")
        problem = answers[:200] if "error" in answers else image.problem(True)
        tally.case(f"{name} written on", problem)
        answers = image.theirs("touch last 5000 1\nremove new11\nflush\n")
        problem = answers[:200] if "error" in answers else image.problem(False)
        tally.case(f"{name} written on by both", problem)


def main():
    need_shared()
    reference = load_reference()
    tally = Tally()
    seeds = [int(word) for word in sys.argv[2:]] or range(5)
    for seed in seeds:
        in_turn(reference, tally, seed)
    for name in golden_names():
        if not name.endswith(SCENARIOS):
            continue
        write_on(reference, tally, name)
    tally.end()


main()
