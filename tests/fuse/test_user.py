# SPDX-License-Identifier: ISC
"""Mounts by a user who is not root, through fusermount3: of what belongs to them,
for themselves alone."""
import errno
import os
import shutil
import signal
import subprocess

import mounts
from mounts import NOTAPACK
from support import ENV, NOTAFS, Skip, clean, format_disk, has, same

USER = 65534
AS_USER = ["setpriv", "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups"]


def needs():
    helper = shutil.which("fusermount3")
    if helper is None or os.stat(helper).st_mode & 0o4000 == 0:
        raise Skip("no fusermount3 that is setuid")
    os.chmod(".", 0o755)
    if subprocess.run([*AS_USER, NOTAFS, "--version"], check=False,
                      stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("users cannot run " + NOTAFS)
    os.mkdir("mnt")
    os.chown("mnt", USER, USER)


def user(*command, status=0):
    """What a command of the user prints, in both ways."""
    done = subprocess.run([*AS_USER, *command], env=ENV, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, check=False)
    text = done.stdout.decode()
    same((done.returncode, text if done.returncode != status else ""),
         (status, ""))
    return text


def by_user(*command):
    return mounts.mounted([*AS_USER, *command, "mount", "-f"])


def refused(path):
    try:
        os.listdir(path)
    except OSError as error:
        same(error.errno, errno.EACCES)
        return
    raise AssertionError("others can look into it")


def test_image():
    needs()
    disk = format_disk()
    user(NOTAFS, "mount", disk, "mnt", status=1)  # root's
    os.chown(disk, USER, USER)
    user(NOTAFS, "mount", disk, "mnt")
    refused("mnt")
    user("sh", "-c", "echo content > mnt/file; sync mnt/file; mkdir mnt/d")
    has(user("stat", "-c", "%u %g", "mnt/file"), "%d %d" % (USER, USER))
    user("fusermount3", "-u", "mnt")
    mounts.wait_until(lambda: subprocess.run(
        [NOTAFS, "check", "-d", disk], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, check=False).returncode == 0)
    clean(disk)
    same(user(NOTAFS, "cat", "-d", disk, "file"), "content\n")


def test_terminated():
    needs()
    disk = format_disk()
    os.chown(disk, USER, USER)
    with mounts.mounted([*AS_USER, NOTAFS, "mount", "-f", "-o", "commit=0",
                         disk]) as mount:
        user("sh", "-c", "echo content > mnt/file")
        mount.daemon.send_signal(signal.SIGTERM)
        mount.end()
        same(mounts.is_mounted("mnt"), False)
    clean(disk)
    same(user(NOTAFS, "cat", "-d", disk, "file"), "content\n")


def test_store():
    needs()
    os.mkdir("home")
    os.chown("home", USER, USER)
    user(NOTAPACK, "-s", "home/st", "init")
    with by_user(NOTAPACK, "-s", "home/st") as mount:
        refused("mnt")
        user("sh", "-c", "mkdir mnt/live/main; echo content > mnt/live/main/file")
        user("fusermount3", "-u", "mnt")
        mount.end()
    same(user(NOTAPACK, "-s", "home/st", "get", "file"), "content\n")
    has(user(NOTAPACK, "-s", "home/st", "check"), "CHECK OK")


def test_others_are_refused():
    """allow_other is for whom /etc/fuse.conf lets."""
    needs()
    try:
        with open("/etc/fuse.conf", encoding="utf-8") as file:
            if "user_allow_other" in [line.strip() for line in file]:
                raise Skip("/etc/fuse.conf lets users do so")
    except FileNotFoundError:
        pass
    disk = format_disk()
    os.chown(disk, USER, USER)
    has(user(NOTAFS, "mount", "-o", "allow_other", disk, "mnt", status=1),
        "user_allow_other")
    same(mounts.is_mounted("mnt"), False)
    user(NOTAFS, "mount", disk, "mnt")
    user("fusermount3", "-u", "mnt")


if __name__ == "__main__":
    mounts.main(globals())
