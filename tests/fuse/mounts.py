# SPDX-License-Identifier: ISC
"""What the tests of mounts share, on top of those of the programs.

They mount for real: as root, with /dev/fuse. Where that is not to be had they
are skipped with a line that says so, or fail if NOTAFS_REQUIRE_FUSE is set.
"""
import contextlib
import errno
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "cli"))

import support  # noqa: E402

NOTAPACK = os.path.join(os.path.dirname(support.NOTAFS), "notapack")
PATIENCE = 60  # seconds that a mount or its end may take before it hangs


def available():
    return os.path.exists("/dev/fuse") and os.geteuid() == 0


def main(names):
    if not available():
        if os.environ.get("NOTAFS_REQUIRE_FUSE"):
            print("NOTAFS_REQUIRE_FUSE is set: no /dev/fuse, or not root")
            sys.exit(1)
        print("SKIPPED all: no /dev/fuse, or not root")
        sys.exit(77)
    support.main(names)


def wait_until(what, *args):
    end = time.monotonic() + PATIENCE
    while not what(*args):
        if time.monotonic() > end:
            raise AssertionError("waited for %s%r" % (what.__name__, args))
        time.sleep(0.01)


def is_mounted(directory):
    """Also where a user has mounted, and even root may not look."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        return os.path.abspath(directory) in [line.split()[1] for line in file]


def pack(*args, status=0, store="st"):
    done = subprocess.run([NOTAPACK, "-s", store, *args], env=support.ENV,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=300, check=False)
    support.same((done.returncode, done.stderr[:500] if status == 0 else b""),
                 (status, b""))
    return done.stdout.decode()


def fails(wanted, call, *args, **more):
    try:
        call(*args, **more)
    except OSError as error:
        support.same(errno.errorcode[error.errno], errno.errorcode[wanted])
        return
    raise AssertionError("%s: no error" % call.__name__)


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def xattr(path, name):
    return os.getxattr(path, "user.notafs." + name).decode()


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Mount:
    """A mount in the foreground of a child, at self.dir."""

    def __init__(self, command, directory, preload=None):
        self.dir = os.path.abspath(directory)
        os.makedirs(self.dir, exist_ok=True)
        self.errors = open(self.dir + ".stderr", "ab")
        env = dict(support.ENV)
        if preload is not None:
            env.update(LD_PRELOAD=preload, FUSE_GATE=os.path.abspath("gate"),
                       FUSE_FAULT=os.path.abspath("fault"))
        self.daemon = subprocess.Popen([*command, self.dir],
                                       stderr=self.errors, env=env)
        try:
            wait_until(self.is_up)
        except AssertionError:
            self.clear()
            raise
        if self.daemon.poll() is not None:
            self.errors.close()
            raise AssertionError("no mount: " + self.told())

    def is_up(self):
        return self.daemon.poll() is not None or is_mounted(self.dir)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def told(self):
        with open(self.dir + ".stderr", encoding="utf-8") as file:
            return file.read()

    def unmount(self, status=0):
        wait_until(self.is_unmounted)
        self.end(status)

    def is_unmounted(self):
        """Who looks at all that is mounted, as others do at times, has it busy
        for a moment."""
        done = subprocess.run(["umount", self.dir], stderr=subprocess.PIPE,
                              check=False)
        if done.returncode != 0 and b"busy" not in done.stderr:
            raise AssertionError("umount: " + done.stderr.decode())
        return done.returncode == 0

    def end(self, status=0):
        """status: what it must end with; None: whatever."""
        found = self.daemon.wait(PATIENCE)
        support.same(found, found if status is None else status)
        self.errors.close()

    def terminate(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.end()

    def kill(self):
        self.daemon.kill()
        self.end(-signal.SIGKILL)
        subprocess.run(["umount", "-l", self.dir], check=True)

    def clear(self):
        """After a failure: leave nothing behind."""
        if self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        subprocess.run(["umount", "-l", self.dir], check=False,
                       stderr=subprocess.DEVNULL)
        self.errors.close()


def image(disk, options="", directory="mnt", preload=None):
    """The disk mounted, see mounted."""
    command = [support.NOTAFS, "mount", "-f", disk]
    return mounted(command + (["-o", options] if options else []), directory,
                   preload)


@contextlib.contextmanager
def mounted(command, directory="mnt", preload=None):
    """Mounted by that command; unmounted at the end unless the case did so."""
    mount = Mount(command, directory, preload)
    try:
        yield mount
        if mount.daemon.poll() is None:
            mount.unmount()
    finally:
        mount.clear()


def sh(script, *args, status=0):
    """A shell script, which stops at the first failure; what it printed."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script, "sh", *args],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=300, check=False, env=support.ENV)
    if done.returncode != status:
        raise AssertionError("status %d, not %d, of\n%s\n%s" % (
            done.returncode, status, script,
            done.stdout.decode(errors="replace")[-3000:]))
    return done.stdout.decode(errors="replace")
