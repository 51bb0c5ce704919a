# SPDX-License-Identifier: ISC
"""The guest of examples/qemu, for real: test_keeper.py GUEST NOTAFS NOTAPACK [CASE...]

It runs under QEMU's own interpreter, so no hardware help is needed. Every
choice comes from KEEPER_SEED (1); KEEPER_KILLS (50) is how often the host kills
the machine. The last line says "N passed, N failed".
"""
import contextlib
import io
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback

GUEST, NOTAFS, NOTAPACK = map(os.path.abspath, sys.argv[1:4])
SEED = int(os.environ.get("KEEPER_SEED", "1"))
KILLS = int(os.environ.get("KEEPER_KILLS", "50"))
PATIENCE = 120  # seconds for an answer: ends a hang, speed is not judged

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                   "../../examples/qemu/run")
ACK = map(os.path.abspath, sys.argv[1:4])
SEED = int(os.environ.get("KEEPER_SEED", "1"))
KILLS = int(os.environ.get("KEEPER_KILLS", "50"))
PATIENCE = 120  # seconds for an answer: ends a hang, speed is not judged

QEMU = ["qemu-system-x86_64", "-M", "microvm,rtc=on,acpi=off", "-accel", "tcg",
        "-m", "32M", "-nodefaults", "-no-user-config", "-no-reboot",
        "-display", "none", "-serial", "stdio",
        "-global", "virtio-mmio.force-legacy=false",
        "-device", "virtio-blk-device,drive=disk"]
ACK = re.compile(r"committed (\d+) ([0-9a-f]{128})$")
MOUNTED = re.compile(r"mounted, (\d+) commits of the loop, head ([0-9a-f]+|none)$")


class Machine:
    """A guest that runs, and what it has said so far."""

    def __init__(self, disk, cmdline=""):
        self.process = subprocess.Popen(
            [RUN, GUEST, disk, cmdline], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.fresh = queue.Queue()
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.fresh.put(line.decode(errors="replace").rstrip("\r\n"))
        self.fresh.put(None)

    def next(self):
        """Its next line, None at the end."""
        try:
            line = self.fresh.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError("no answer after:\n" + self.tail()) from None
        if line is not None:
            self.lines.append(line)
        return line

    def tail(self):
        return "\n".join(self.lines[-20:])

    def until(self, pattern):
        """The match of the next line that has one."""
        while (line := self.next()) is not None:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended before {pattern!r}:\n{self.tail()}")

    def send(self, *commands):
        self.process.stdin.write("".join(c + "\n" for c in commands).encode())
        self.process.stdin.flush()

    def ask(self, command):
        """The lines of the answer, without the last one."""
        self.send(command)
        start = len(self.lines)
        last = self.until(r"^ok$|^error: ").group()
        if last != "ok":
            raise AssertionError(f"{command}: {self.lines[-1]}")
        return self.lines[start:-1]

    def refused(self, command):
        """The error of the answer."""
        self.send(command)
        self.until(r"^ok$|^error: ")
        if self.lines[-1] == "ok":
            raise AssertionError(f"{command}: was not refused")
        return self.lines[-1]

    def kill(self):
        """End the machine at once; what it had said until then is in lines."""
        self.process.kill()
        self.wait()

    def quit(self):
        self.send("quit")
        self.wait()

    def wait(self):
        while self.next() is not None:
            pass
        self.reader.join()
        self.process.wait(timeout=PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def host(*args, program=NOTAPACK):
    """What a program of the host says; it must succeed."""
    done = subprocess.run([program, *args], capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(args)}: {done.returncode}\n"
                             f"{(done.stdout + done.stderr).decode()[-2000:]}")
    return done.stdout


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}\nnot   {wanted!r}")


def blank(size=16 << 20):
    with open("disk.img", "wb") as disk:
        disk.truncate(size)
    return "disk.img"


def loop_tree(n):
    """The tree after n commits of the loop: keeper_work.c."""
    tree = {}
    for i in range(1, n + 1):
        letters = bytes(97 + (i + j) % 26 for j in range(i * 37 % 3000))
        tree["data/%02d" % (i * 7 % 64)] = b"%d\n" % i + letters
    if n > 0:
        tree["count"] = b"%d" % n
    return tree


def tar_files(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {entry.name.removeprefix("./"): tar.extractfile(entry).read()
                for entry in tar if entry.isfile()}


def host_tree(disk):
    return tar_files(host("-s", disk, "export", "-"))


def current(disk):
    """The generation that a mount takes: a commit that the kill cut off has
    left another one, which `notafs check` would look at by itself."""
    text = host("generations", "-d", disk, program=NOTAFS).decode()
    return next(line.split()[0] for line in text.splitlines()
                if line.endswith("current"))


def host_check(disk):
    """Both layers are clean; (number of the loop's commits, head)."""
    host("check", "-d", disk, "--generation", current(disk), program=NOTAFS)
    host("-s", disk, "check")
    head = host("-s", disk, "log", "-n", "1").decode().split()[1]
    tree = host_tree(disk)
    count = int(tree.get("count", b"0"))
    wanted = loop_tree(count)
    same({name: body for name, body in tree.items() if name in wanted}, wanted)
    return count, head


# ---- Cases ----------------------------------------------------------------

def test_commands():
    disk = blank()
    with Machine(disk) as m:
        m.until("the disk is blank")
        same(m.until(MOUNTED).groups(), ("0", "none"))
        m.ask("set greeting hello, world")
        head = m.ask("set a/b/c deep")[0]
        same(m.ask("get greeting"), ["hello, world"])
        same(m.ask("get a"), ["b/"])
        same(m.ask("get a/b/c"), ["deep"])
        same([line.split()[2] for line in m.ask("log 5")], ["set", "set"])
        same(m.ask("log 1")[0].split()[0], head)
        m.ask("rm greeting")
        for command in ["get greeting", "get", "nonsense", "set", "rm"]:
            m.refused(command) if command != "get" else m.ask(command)
        m.ask("run 5")
        m.until("^committed 5 ")
        m.ask("gc")
        m.until("^collected: ")
        same(len(m.ask("log")), 1)
        same(m.ask("get count"), ["5"])
        same(m.ask("check")[-1].split(", ")[-1], "0 findings")
        print("\n".join(m.ask("stat")))
        m.quit()
    same(host_check(disk)[0], 5)


def test_shared_disk():
    """What the host writes the guest sees, and the other way round."""
    disk = blank(4 << 20)
    host("format", "-d", disk, "--page-size", "512", program=NOTAFS)
    host("-s", disk, "init")
    host("-s", disk, "set", "from/host", "1")
    with Machine(disk) as m:
        same(m.until(MOUNTED).group(1), "0")
        same(m.ask("get from/host"), ["1"])
        head = m.ask("set from/guest 2")[0]
        m.quit()
    same(host("-s", disk, "get", "from/guest"), b"2")
    same(host_check(disk), (0, head))
    host("-s", disk, "rm", "from/guest")
    with Machine(disk) as m:
        m.until(MOUNTED)
        same(m.ask("get from"), ["host"])
        m.quit()


@contextlib.contextmanager
def mounted(program, *args):
    """A folder where a program of the host shows something while it runs."""
    folder = tempfile.mkdtemp(dir=".")
    if args[0] == "mount":
        host(*args, folder, program=program)
    else:
        host(*args, "mount", folder, program=program)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        # The daemon commits once it is not mounted any more, and then goes.
        while "another process" in subprocess.run(
                [NOTAFS, "info", "-d", "disk.img"], capture_output=True,
                text=True, check=False).stderr:
            time.sleep(0.01)


def test_mounted_disk():
    """The guest's disk, its files and its store, as the host mounts them."""
    if not os.path.exists("/dev/fuse") or os.geteuid() != 0:
        if os.environ.get("NOTAFS_REQUIRE_FUSE"):
            raise AssertionError("no /dev/fuse, or not root")
        print("SKIPPED mounted_disk: no /dev/fuse, or not root")
        return
    disk = blank()
    with Machine(disk) as m:
        m.until(MOUNTED)
        m.ask("run 9")
        m.until("^committed 9 ")
        m.ask("set from/guest 1")
        m.quit()
    files = tar_files(host("export", "-d", disk, "/", "-", program=NOTAFS))
    with mounted(NOTAFS, "mount", disk) as folder:
        same(sum(name.startswith("store.") for name in files) > 1, True)
        for name, body in files.items():
            with open(os.path.join(folder, name), "rb") as file:
                same(file.read(), body)
        with open(os.path.join(folder, "beside"), "xb") as file:
            file.write(b"not the store's")
    with mounted(NOTAPACK, "-s", disk) as folder:
        tree = os.path.join(folder, "live/main")
        for name, body in {**loop_tree(9), "from/guest": b"1"}.items():
            with open(os.path.join(tree, name), "rb") as file:
                same(file.read(), body)
        with open(os.path.join(tree, "from/host"), "xb") as file:
            file.write(b"2")
    with Machine(disk) as m:
        m.until(MOUNTED)
        same(m.ask("get from/host"), ["2"])
        same(m.ask("get from/guest"), ["1"])
        same(m.ask("check")[-1].split(", ")[-1], "0 findings")
        m.ask("set from/guest 3")
        m.quit()
    same(host("-s", disk, "get", "from/guest"), b"3")
    same(host("cat", "-d", disk, "beside", program=NOTAFS), b"not the store's")


def test_refuses():
    """No disk of ours is overwritten, and a disk of nobody is not formatted."""
    disk = blank(1 << 20)
    with open(disk, "r+b") as file:
        file.seek(5000)
        file.write(b"someone's data")
    with open(disk, "rb") as file:
        before = file.read()
    with Machine(disk) as m:
        m.until("^error: opening the disk")
        m.refused("get a")
        with open(disk, "rb") as file:
            same(file.read(), before)
        m.ask("format")
        m.ask("set a 1")
        m.quit()
    same(host("-s", disk, "get", "a"), b"1")


def test_expected_root():
    """A guest starts from the tree that it was built for, and no other."""
    os.mkdir("site")
    with open("site/page", "w", encoding="utf-8") as file:
        file.write("hello")
    root = host("build", "--from", "site", "--size", "1m", "--out", "disk.img",
                program=NOTAFS).decode().split()[1]
    for cmdline, fits in [(f"expect-root={root}", True),
                          (f"expect-root={'0' * 128}", False),
                          (f"expect-root={root[:-1]}", False)]:
        with Machine("disk.img", cmdline) as m:
            same(m.until("^root ([0-9a-f]+)").group(1), root)
            if fits:
                m.until(MOUNTED)
                same(m.ask("get page"), ["hello"])
            else:
                m.until("^error: opening the disk: ")
                m.refused("get page")
            m.quit()


def test_full_disk():
    """A disk that is full says so, and goes on once there is room."""
    disk = blank(256 << 10)
    with Machine(disk, "page=512") as m:
        m.until(MOUNTED)
        m.ask("run")
        m.until("^error: commit: ")
        m.until(MOUNTED)
        count = m.ask("get count")[0]
        m.ask("check")
        m.quit()
    same(host_check(disk)[0], int(count))


def kill_once(disk, dice, expected):
    """Let it commit, kill it; (acknowledged, head) of the last commit."""
    last = expected
    moment = dice.random()
    flush = " flush=no" if dice.random() < 0.25 else ""
    with Machine(disk, "run=1000000" + flush) as m:
        if moment < 0.1:  # while it boots
            time.sleep(dice.uniform(0, 0.5))
        else:
            same(m.until(MOUNTED).groups(),
                 (str(expected[0]), expected[1] or "none"))
            if dice.random() < 0.5:
                m.send("gc")
            for _ in range(dice.randrange(1, 60)):
                m.until(ACK)
            time.sleep(dice.uniform(0, 0.02))
        m.kill()
        for line in m.lines:
            if "error" in line:
                raise AssertionError(line)
            if found := ACK.search(line):
                last = (int(found.group(1)), found.group(2))
    return last


def test_killed():
    dice = random.Random(SEED)
    disk = blank(8 << 20)
    with Machine(disk) as m:
        m.until(MOUNTED)
        m.ask("run 1")
        state = m.until(ACK).groups()
        m.quit()
    state = (int(state[0]), state[1])
    unacknowledged = 0
    for i in range(KILLS):
        last = kill_once(disk, dice, state)
        try:
            state = host_check(disk)
            # The last commit acknowledged, or the one that was being made.
            if state != last:
                same(state[0], last[0] + 1)
                unacknowledged += 1
        except AssertionError:
            print(f"KEEPER_SEED={SEED}: after kill {i}, acknowledged {last}")
            raise
    with Machine(disk) as m:
        same(m.until(MOUNTED).groups(), (str(state[0]), state[1]))
        same(m.ask("check")[-1].split(", ")[-1], "0 findings")
        print("\n".join(m.ask("stat")))
        m.quit()
    print(f"{KILLS} kills, {state[0]} commits, {unacknowledged} times one more "
          "than was acknowledged")


def main():
    wanted = sys.argv[4:]
    passed = failed = 0
    for name, case in list(globals().items()):
        name = name.removeprefix("test_")
        if not callable(case) or "test_" + name not in globals():
            continue
        if wanted and name not in wanted:
            continue
        home = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                case()
                passed += 1
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"FAILED {name}")
                traceback.print_exc(file=sys.stdout)
            os.chdir(home)
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


if shutil.which("qemu-system-x86_64") is None:
    print("there is no qemu-system-x86_64")
    sys.exit(77)
sys.exit(main())
