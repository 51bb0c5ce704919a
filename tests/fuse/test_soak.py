# SPDX-License-Identifier: ISC
"""Hours of work on three mounts at once, an image, a store in a folder and a store
in an image, and the memory that each daemon takes meanwhile.

Only with FUSE_SOAK, the seconds that it goes on. FUSE_SEED decides who does what
in which order. The file stressors of stress-ng are among it, if installed.
"""
import collections
import os
import random
import re
import shutil
import statistics
import subprocess
import threading
import time

import mounts
from mounts import NOTAPACK, sh
from support import Skip, clean, format_disk, has, make_tree, same

SECONDS = float(os.environ.get("FUSE_SOAK", "0"))
SEED = int(os.environ.get("FUSE_SEED", "1"))
EVERY = 10  # seconds between two looks at the memory

# Not io, which has all that is mounted in the machine written back, whoever's it
# is, and so keeps others from unmounting.
STRESSORS = [
    "access", "chdir", "chmod", "dentry", "dir", "dirdeep", "dirmany",
    "dup", "fallocate", "fcntl", "fiemap", "filename", "flock", "fpunch", "fsize",
    "fstat", "getdent", "hdd", "iomix", "lease", "locka", "lockf", "lockofd",
    "open", "readahead", "rename", "seek", "sendfile", "splice", "sync-file",
    "touch", "utime",
]
SMALL = ("--hdd-bytes 4m --fallocate-bytes 4m --seek-size 1m --iomix-bytes 1m "
         "--readahead-bytes 4m --sync-file-bytes 1m --fiemap-bytes 4m")

SCRIPTS = {
    "trees": 'cp -r "$TREE" t; sync t; tar c t | tar x -C ..; mv t u; '
             'diff -r "$TREE" u; find u -type f -print0 | xargs -0 cat > /dev/null',
    "many": 'for i in $(seq 300); do echo $i > f$i; done; ls -l | wc -l; '
            'rm f1*; mkdir d; mv f* d; sync d',
    "sqlite": 'sqlite3 a.db "create table t(a, b); with recursive c(x) as (select 1 '
              'union all select x + 1 from c where x < 3000) insert into t select x, '
              'hex(x) from c; delete from t where a % 3; pragma integrity_check"',
    "git": 'git init -q r; cd r; cp -r "$TREE" t; git add .; git -c user.name=a -c '
           'user.email=a commit -qm a; git fsck --strict; git gc -q',
    "holes": 'for i in $(seq 20); do truncate -s ${i}M f$i; dd if=/dev/zero of=f$i '
             'bs=64k count=4 seek=$i conv=notrunc status=none; done; cat * | cksum',
}


def memory(pid):
    """KiB in memory, and of these what no file gave."""
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        found = dict(re.findall(r"(VmRSS|RssAnon):\s+(\d+)", file.read()))
    return int(found["VmRSS"]), int(found["RssAnon"])


class Load(threading.Thread):
    """What is done on one mount, until the time is over."""

    def __init__(self, name, top, end):
        super().__init__()
        self.top = os.path.abspath(top)
        self.end = end
        self.dice = random.Random("%d %s" % (SEED, name))
        self.tree = os.path.abspath("tree")
        self.rounds = collections.Counter()
        self.failed = collections.Counter()
        self.errors = open(name + ".failed", "w", encoding="utf-8")

    def command(self, what):
        if what in SCRIPTS:
            return SCRIPTS[what]
        return ("stress-ng --%s 1 %s --temp-path . --timeout 5 -q" %
                (what, SMALL))

    def turn(self, what):
        work = os.path.join(self.top, "work")
        os.mkdir(work)
        here = os.path.join(work, "here")
        os.mkdir(here)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c",
                               self.command(what)], cwd=here, check=False,
                              env={**os.environ, "TREE": self.tree},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.rounds[what] += 1
        if done.returncode not in (0, 4):  # 4: stress-ng cannot do it here
            self.failed[what] += 1
            self.errors.write("%s: status %d\n%s\n" % (
                what, done.returncode, done.stdout.decode(errors="replace")))
            self.errors.flush()
        sh("rm -rf '%s'; sync '%s'" % (work, self.top))

    def run(self):
        choices = list(SCRIPTS) + (STRESSORS if shutil.which("stress-ng") else [])
        while time.monotonic() < self.end:
            self.dice.shuffle(choices)
            for what in choices:
                if time.monotonic() < self.end:
                    self.turn(what)


def report(name, samples):
    """Two lines of figures; whether memory stayed within bounds: that of the last
    quarter, of the time when it had seen all kinds of work."""
    good = True
    for i, what in enumerate(("VmRSS", "RssAnon")):
        all_of = [sample[i] for sample in samples]
        at = [len(all_of) * k // 4 for k in range(5)]
        quarters = [statistics.median(all_of[at[k]:at[k + 1]]) for k in range(4)]
        print("%s: %s KiB: least %d, median %d, most %d of %d; medians of quarters: "
              "%s" % (name, what, min(all_of), statistics.median(all_of),
                      max(all_of), len(all_of), quarters))
        good = good and quarters[3] < quarters[1] * 1.5 + 16384
    return good


def watch(daemons, end):
    samples = {name: [] for name in daemons}
    while time.monotonic() < end:
        time.sleep(EVERY)
        for name, pid in daemons.items():
            samples[name].append(memory(pid))
            with open(name + ".kib", "a", encoding="ascii") as file:
                file.write("%d %d\n" % samples[name][-1])
    return samples


def test_soak():
    if SECONDS == 0:
        raise Skip("FUSE_SOAK is not set")
    print("seed %d, in %s" % (SEED, os.getcwd()), flush=True)
    make_tree("tree", seed=SEED, files=150)
    sh("find tree -type d -empty -delete")
    disk = format_disk("1g")
    inner = format_disk("24g", name="inner.img")
    sh("%s -s st init; %s -s inner.img:st init" % (NOTAPACK, NOTAPACK))
    with mounts.image(disk, "commit=5", directory="image") as image, \
            mounts.mounted([NOTAPACK, "-s", "st", "mount", "-f"],
                           "folder") as folder, \
            mounts.mounted([NOTAPACK, "-s", "inner.img:st", "mount", "-f"],
                           "inside") as inside:
        os.mkdir("folder/live/main")
        os.mkdir("inside/live/main")
        end = time.monotonic() + SECONDS
        loads = {"image": Load("image", "image", end),
                 "folder": Load("folder", "folder/live/main", end),
                 "inside": Load("inside", "inside/live/main", end)}
        for load in loads.values():
            load.start()
        samples = watch({"image": image.daemon.pid, "folder": folder.daemon.pid,
                         "inside": inside.daemon.pid}, end)
        for load in loads.values():
            load.join()
        bounded = [report(name, samples[name]) for name in samples]
        for name, load in loads.items():
            print("%s: %d rounds, failed: %s" % (
                name, load.rounds.total(), dict(load.failed)))
        for mount in (image, folder, inside):
            print(mount.told())
            mount.unmount()
    clean(disk)
    clean(inner)
    for store in ("st", "inner.img:st"):
        has(sh("%s -s %s check" % (NOTAPACK, store)), "CHECK OK")
    same(bounded, [True] * 3)


if __name__ == "__main__":
    mounts.main(globals())
