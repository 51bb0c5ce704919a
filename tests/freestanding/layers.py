# SPDX-License-Identifier: ISC
"""Each file includes only what its layer may: layers.py ROOT

Layers are those of docs/architecture.md. <notafs/...> means include/notafs,
"..." means a path from the root; the freestanding layers see nothing of the
system but what CORE_SYSTEM lists.
"""
import os
import re
import sys

CORE_SYSTEM = {"limits.h", "stdalign.h", "stdbool.h", "stddef.h", "stdint.h",
               "string.h"}
# Headers of other libraries that are nothing but code to compile in.
CORE_FOREIGN = {"notafs/checksum.c": {"xxhash.h"}}

# layer: (folder, its public headers, layers below that it may include)
CORE = {
    "platform": ("notafs/platform",
                 ["platform.h", "err.def", "codec.h", "mem_arena.h"], []),
    "blockdev": ("notafs/blockdev", ["blockdev.h", "bd_mem.h"], ["platform"]),
    "notafs": ("notafs", ["notafs.h"], ["platform", "blockdev"]),
    "vfs": ("pack/vfs", ["vfs.h", "vfs_notafs.h"], ["platform"]),
    "hash": ("pack/hash", ["hash.h"], ["platform"]),
    "pack": ("pack", ["pack.h"], ["platform", "vfs", "hash"]),
    "store": ("pack/store", ["merge.h", "proof.h"],
              ["platform", "vfs", "hash", "pack"]),
    "posix": ("pack/posix", ["posix.h"],
              ["platform", "vfs", "hash", "pack", "store"]),
    "stream": ("pack/stream", ["stream.h"],
               ["platform", "vfs", "hash", "pack", "store"]),
}
HOST = ("host", ["host.h", "codec_lz4.h", "hash_gcrypt.h", "vfs_posix.h"],
        list(CORE))
LAYERS = {**CORE, "host": HOST}
# The one that knows both sides.
EXTRA = {
    "pack/vfs/vfs_notafs.c": ["blockdev", "notafs"],
    "include/notafs/vfs_notafs.h": ["blockdev", "notafs"],
}
# Public headers only, and what hosted programs share.
FRONT_ENDS = ["bench", "cli", "examples", "fuse", "inspect"]
SHARED = {"host/prng.h"}
# What the programs need to mount.
MOUNTS = {"fuse/daemon.h", "fuse/image.h", "fuse/options.h", "fuse/store.h"}
# What is measured by itself, and by whom.
MEASURED = {"bench/bench_codec.c": {"notafs/nf_int.h"},
            "bench/bench_hash.c": {"pack/hash/hash.h"}}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def layer_of(path):
    """The layer that a file belongs to, None for front ends."""
    if path.startswith("include/notafs/"):
        name = path.removeprefix("include/notafs/")
        return next(la for la, row in LAYERS.items() if name in row[1])
    fits = [la for la, row in LAYERS.items() if path.startswith(row[0] + "/")]
    return max(fits, key=lambda la: len(LAYERS[la][0]), default=None)


def resolve(root, quote, name):
    """Path from the root of what is included, None for the system's."""
    path = "include/" + name if quote == "<" else name
    return path if os.path.exists(os.path.join(root, path)) else None


def complaint(root, path, quote, name):
    """Why a file must not include a name; None if it may."""
    mine = layer_of(path)
    target = resolve(root, quote, name)
    if target is None:
        if quote == '"':
            return "no such file from the root"
        if mine not in CORE or name in CORE_SYSTEM:
            return None
        if name in CORE_FOREIGN.get(path, set()):
            return None
        return "a system header in a freestanding layer"
    theirs = layer_of(target)
    if path.startswith("include/") and not target.startswith("include/"):
        return "an installed header must not need others"
    if mine is None:
        public = target.startswith("include/")
        own = target.split("/")[0] in {path.split("/")[0], "inspect"}
        shared = target in SHARED | MEASURED.get(path, set())
        own = own or (path.startswith("cli/") and target in MOUNTS)
        return None if public or own or shared else "not public"
    allowed = [mine] + LAYERS[mine][2] + EXTRA.get(path, [])
    return None if theirs in allowed else f"{mine} is not above {theirs}"


def sources(root):
    for top in ["include", *{row[0].split("/")[0] for row in LAYERS.values()},
                *FRONT_ENDS]:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if name.endswith((".c", ".h", ".def")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def main():
    root = sys.argv[1]
    passed = failed = 0
    for path in sorted(sources(root)):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            found = INCLUDE.findall(file.read())
        bad = [(name, why) for quote, name in found
               if (why := complaint(root, path, quote, name)) is not None]
        for name, why in bad:
            print(f"{path} includes {name}: {why}")
        passed, failed = passed + (not bad), failed + bool(bad)
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


sys.exit(main())
