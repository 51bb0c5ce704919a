# SPDX-License-Identifier: ISC
"""What is run: (name, how often, words for notafs-bench) of each run."""

PACK = {
    "pack-1m": "--entries 1000000 --commits 100 --sets 1000 --depth 4 "
               "--reads 200000 --clear --check --gc",
    "pack-100k": "--clear --check --gc",
    "pack-irmin-32": "--config irmin-32 --entries 20000 --commits 1000 "
                     "--sets 10 --vsize 1000 --depth 4 --width 16 "
                     "--reads 50000 --clear --split-every 50",
}
ONCE = {
    "device": "device --durable",
    "device-direct": "device --durable --direct",
    "commits": "commits --entries 100000 --rounds 5",
    "commits-1m": "commits --rounds 3",
    "mix": "mix",
    "gc": "gc",
    "append": "append",
    "mount": "mount",
    "import": "import",
    "fuse": "fuse",
    "hash": "hash",
    "codec": "codec",
}

QUICK_PACK = "--entries 2000 --commits 10 --sets 20 --reads 500 --clear --check --gc"
QUICK_DISK = "--size 64m --fsize 2m"
QUICK_COMMITS = "--rounds 1 --singles 2 --batches 1 --updates 10 --size 32m"
QUICK_ONCE = {
    "device": f"{QUICK_DISK} --rounds 3 --commits 2 --pages 50 --churn 64",
    "device-direct": f"{QUICK_DISK} --rounds 3 --commits 2 --pages 50 --churn 64",
    "commits": f"--entries 100 {QUICK_COMMITS}",
    "commits-1m": f"--entries 200 {QUICK_COMMITS}",
    "mix": "--entries 200 --rounds 2 --commits 2 --size 32m",
    "gc": "--entries 500 --quiet 4 --updates 10 --rounds 1 --size 32m",
    "append": "--appends 5 --size 16m",
    "mount": "--to 64m --rounds 1",
    "import": "--rounds 1 --size 32m --tree TREE",
    "fuse": "--size 64m --fsize 1m --entries 60 --rounds 2 --pages 20 "
            "--stats 20 --syncs 2",
    "hash": "--rounds 1",
    "codec": "--rounds 1",
}


def runs(mode, tree):
    """All runs of a mode; tree: a small folder for --quick to import."""
    quick = mode == "--quick"
    for name, words in PACK.items():
        config = "--config irmin-32 " if "irmin" in name else ""
        yield name, 1 if quick else 3, "pack " + (
            config + QUICK_PACK if quick else words)
    for profile in "native", "mirage":
        small = (QUICK_DISK + " --reads 200 --appends 2000 --sets 20 "
                 "--overwrites 40") if quick else ""
        yield (f"files-{profile}", 1 if quick else 5,
               f"files --profile {profile} {small}".strip())
    for name, words in ONCE.items():
        if quick: # what is durable and direct stays so
            kept = [w for w in words.split() if w in (
                words.split()[0], "--durable", "--direct")]
            words = " ".join(kept + [QUICK_ONCE[name].replace("TREE", tree)])
        yield name, 1, words
    top = 3 if quick else 7 if mode == "--long" else 6
    for n in range(2 if quick else 3, top + 1):
        yield (f"scaling-{n}", 1, f"pack --entries {10 ** n} --commits 20 "
               f"--sets 100 --depth 4 --reads 20000 --split-every 0")
