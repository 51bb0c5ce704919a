# SPDX-License-Identifier: ISC
"""notafs-bench at work, small: test_bench.py REPORT.PY NOTAFS_BENCH

Root hashes are those that OCaml irmin-pack 3.11 came to in the same runs; what
is counted must be what the work needs. No times: machines differ.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest

REPORT = sys.argv.pop(1)
BENCH = sys.argv.pop(1)


def bench(*words):
    """The records of a run, by figure."""
    out = subprocess.run([BENCH, *words, "--json"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    records = [json.loads(line) for line in out.splitlines()]
    for record in records:
        for name in "machine", "commit", "date", "command":
            assert record[name], record
    return {record["figure"]: record for record in records}


class Pack(unittest.TestCase):
    def test_tezos_bulk_root(self):
        got = bench("pack", "--commits", "0", "--reads", "0")
        self.assertEqual(
            got["bulk_root"]["value"],
            "116e02b886517b0102e0a4c8680a11f5"
            "11f8e5a1eae31c04cd4441b6b0198956")
        self.assertEqual(got["bulk_load"]["sets"], 100000)
        self.assertEqual(got["traverse_sorted"]["files"], 100000)

    def test_irmin_32_bulk_root(self):
        got = bench("pack", "--config", "irmin-32", "--entries", "20000",
                    "--vsize", "1000", "--depth", "4", "--width", "16",
                    "--commits", "0", "--reads", "0")
        self.assertEqual(
            got["bulk_root"]["value"],
            "8fd2e87975e043d0cadbb4265cc66d6d"
            "4aa8b1b47927b3e68a69def0851f256c")

    def test_clearing_and_splitting_change_no_hash(self):
        small = ["pack", "--entries", "2000", "--commits", "20", "--sets",
                 "10", "--width", "8", "--reads", "500", "--check"]
        roots = set()
        for words in [[], ["--clear", "--gc"], ["--split-every", "0"],
                      ["--durable"]]:
            got = bench(*small, *words)
            roots.add(got["final_root"]["value"])
            # 21 commits and what each made new; all of it is reached.
            self.assertGreater(got["integrity_check"]["objects"], 2000 + 21)
            self.assertEqual(got["read_onetree"]["finds"], 500)
        self.assertEqual(len(roots), 1)

    def test_a_durable_commit_is_flushed(self):
        got = bench("pack", "--entries", "100", "--commits", "10", "--sets",
                    "1", "--reads", "0", "--split-every", "0", "--durable")
        # Pack and control, index, branch: a fixed number for each commit.
        self.assertEqual(got["incremental"]["flushes"] % 10, 0)
        self.assertLessEqual(got["incremental"]["flushes"], 60)

    def test_an_end_by_signal_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.Popen(
                [BENCH, "pack", "--entries", "1000", "--commits", "1000000",
                 "--sets", "1", "--folder", folder], stdout=subprocess.PIPE)
            run.stdout.readline() # the bulk load is done
            self.assertEqual(len(os.listdir(folder)), 1)
            run.terminate()
            self.assertEqual(run.wait(), -signal.SIGTERM)
            run.stdout.close()
            self.assertEqual(os.listdir(folder), [])

    def test_wrong_options(self):
        for words in [[], ["nonsense"], ["pack", "--nonsense"],
                      ["pack", "--entries"], ["pack", "--entries", "x"]]:
            run = subprocess.run([BENCH, *words], stderr=subprocess.PIPE)
            self.assertEqual(run.returncode, 2, words)


class Report(unittest.TestCase):
    def run_report(self, out, *words):
        return subprocess.run([sys.executable, REPORT, BENCH, out, *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)

    def test_quick(self):
        with tempfile.TemporaryDirectory() as out:
            run = self.run_report(out, "--quick")
            self.assertEqual(run.returncode, 0, run.stderr)
            with open(f"{out}/report.md", encoding="utf-8") as file:
                text = file.read()
            for part in ("pack-1m", "files-mirage", "device-direct", "commits",
                         "mix", "gc", "append", "mount", "import", "fuse",
                         "hash", "codec", "scaling-3", "Hashing alone"):
                self.assertIn(f"## {part}\n", text)
            self.assertNotIn("FAILED", text)
            for name in ("scaling", "memory", "hash", "codec", "mount",
                         "commits", "import"):
                with open(f"{out}/{name}.svg", encoding="utf-8") as file:
                    self.assertIn("</svg>", file.read())
            with open(f"{out}/readme.md", encoding="utf-8") as file:
                text = file.read()
            for part in "bulk load, sets", "small set", "LMDB", "libb2":
                self.assertIn(part, text)

    def test_some_runs(self):
        with tempfile.TemporaryDirectory() as out:
            run = self.run_report(out, "--quick", "append", "mix")
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(sorted(n for n in os.listdir(out) if
                                    n.endswith(".json")),
                             ["append.json", "mix.json"])
            self.assertNotEqual(self.run_report(out, "nonsense").returncode, 0)

    def test_interrupted_it_reports_what_there_is(self):
        with tempfile.TemporaryDirectory() as out:
            self.run_report(out, "--quick", "append")
            run = subprocess.Popen([sys.executable, REPORT, BENCH, out,
                                    "commits-1m"], stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
            run.stderr.readline() # it has begun
            run.terminate()
            run.communicate()
            self.assertEqual(run.returncode, 128 + signal.SIGTERM)
            with open(f"{out}/report.md", encoding="utf-8") as file:
                self.assertIn("## append\n", file.read())


class Commits(unittest.TestCase):
    def test_every_peer_takes_part(self):
        run = subprocess.run(
            [BENCH, "commits", "--entries", "100", "--rounds", "1",
             "--singles", "2", "--batches", "1", "--updates", "20", "--size",
             "32m", "--json"],
            check=True, stdout=subprocess.PIPE, text=True)
        records = [json.loads(line) for line in run.stdout.splitlines()]
        want = {"LMDB", "SQLite", "files on btrfs", "git fast-import",
                "libgit2", "overwrite in place", "pack in a folder",
                "pack on an image", "plain files"}
        if any(r["figure"] == "skipped" for r in records):
            want.remove("files on btrfs") # not root, or an old kernel
        for figure in "load", "commit_one", "commit_many":
            names = [r["peer"] for r in records if r["figure"] == figure]
            self.assertEqual(set(names), want)

    def test_mix_finds_the_same_everywhere(self):
        run = subprocess.run(
            [BENCH, "mix", "--entries", "500", "--rounds", "2", "--commits",
             "3", "--size", "32m", "--json"],
            check=True, stdout=subprocess.PIPE, text=True)
        found = {r["peer"]: r["found"]
                 for r in map(json.loads, run.stdout.splitlines())}
        self.assertEqual(sorted(found), ["LMDB", "SQLite", "pack in a folder",
                                         "pack on an image"])
        self.assertEqual(len(set(found.values())), 1)
        # Every other key is there, and 80 of 99 operations look one up.
        self.assertGreater(found["LMDB"], 3 * 390 * 0.3)

    def test_a_collection_is_in_steps(self):
        run = subprocess.run(
            [BENCH, "gc", "--entries", "2000", "--quiet", "5", "--updates",
             "20", "--rounds", "2", "--budget", "64k", "--size", "32m",
             "--json"],
            check=True, stdout=subprocess.PIPE, text=True)
        records = list(map(json.loads, run.stdout.splitlines()))
        self.assertEqual(len(records), 2)
        for record in records:
            self.assertLessEqual(record["longest_step"], 64 << 10)
            self.assertGreater(record["commits"], 2 * 2)
            self.assertGreater(record["bytes_freed"], 0)


@unittest.skipUnless(os.path.exists("/dev/fuse") and os.geteuid() == 0,
                     "no /dev/fuse, or not root")
class Fuse(unittest.TestCase):
    SMALL = ["fuse", "--size", "64m", "--fsize", "1m", "--entries", "60",
             "--rounds", "2", "--pages", "20", "--stats", "20", "--syncs", "2"]

    def test_every_place_takes_part(self):
        run = subprocess.run([BENCH, *self.SMALL, "--json"], check=True,
                             stdout=subprocess.PIPE, text=True)
        records = [json.loads(line) for line in run.stdout.splitlines()]
        want = ["bindfs", "folder", "image", "null", "null, written through",
                "store"]
        for figure in ("write", "read", "random_write", "random_read",
                       "create", "stat", "list", "list_stat", "remove"):
            places = [r["place"] for r in records if r["figure"] == figure]
            self.assertEqual(sorted(places), want, figure)
        syncs = [r["place"] for r in records if r["figure"] == "sync"]
        self.assertEqual(sorted(syncs), ["bindfs", "folder", "image", "store"])

    def test_an_end_by_signal_leaves_no_mount(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.Popen(
                [BENCH, *self.SMALL, "--rounds", "50", "--pages", "1000000",
                 "--folder", folder], stdout=subprocess.PIPE)
            run.stdout.readline() # the first figure is done
            run.terminate()
            self.assertEqual(run.wait(), -signal.SIGTERM)
            run.stdout.close()
            with open("/proc/mounts", encoding="utf-8") as file:
                self.assertNotIn(folder, file.read())
            self.assertEqual(os.listdir(folder), [])


def records_of(*words):
    """All records of a run, in order."""
    run = subprocess.run([BENCH, *words, "--json"], check=True,
                         stdout=subprocess.PIPE, text=True)
    return list(map(json.loads, run.stdout.splitlines()))


class Small(unittest.TestCase):
    def test_an_append_is_one_flush_or_two(self):
        flushes = {r["peer"]: r.get("flushes") for r in records_of(
            "append", "--appends", "8", "--size", "16m")}
        self.assertEqual(flushes, {
            "plain file": None, "plain file, blocks there": None,
            "Notafs, native": 8, "Notafs, mirage": 16})

    def test_a_mount_reads_as_much_of_any_size(self):
        pages = {(r["profile"], r["reads"], r["size_mib"]): r["pages_read"]
                 for r in records_of("mount", "--to", "64m", "--rounds", "1")}
        self.assertEqual(len(pages), 8)
        self.assertEqual(pages["native", "what it needs", 16],
                         pages["native", "what it needs", 64])
        for profile in "native", "mirage": # the contents alone: 64 x 16 KiB
            self.assertGreater(pages[profile, "everything", 64], 64 * 4)

    def test_codecs_agree_with_their_libraries(self):
        records = records_of("codec", "--rounds", "1")
        self.assertEqual(len(records), 6 * 7 - 1)  # no XXH3 of 64 bytes

    def test_what_is_imported_comes_out(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(f"{folder}/tree")
            for i in range(20):
                os.makedirs(f"{folder}/tree/{i % 3}/x", exist_ok=True)
                with open(f"{folder}/tree/{i % 3}/x/{i}", "wb") as file:
                    file.write(bytes([i]) * 1000 * i)
            records = records_of("import", "--tree", f"{folder}/tree",
                                 "--rounds", "1", "--size", "32m")
        self.assertEqual(len(records), 2 * 6)


class Files(unittest.TestCase):
    SMALL = ["--size", "8m", "--fsize", "1m", "--reads", "200", "--appends",
             "3000", "--sets", "50", "--overwrites", "100", "--cache", "1m"]

    def test_what_the_device_is_asked_for(self):
        for profile in "native", "mirage":
            got = bench("files", *self.SMALL, "--profile", profile)
            # A set writes its pages once, and little more than them.
            self.assertGreaterEqual(got["set_2"]["pages_written"], 256)
            self.assertLess(got["set_2"]["pages_written"], 280)
            # A get reads them once: they go around the cache.
            self.assertLess(got["get_2"]["pages_read"], 280)
            self.assertEqual(got["append"]["flushes"], 2 * 3)
            # One flush a commit on native, pages and leaf on mirage.
            self.assertEqual(got["small_set_commit"]["flushes"],
                             (1 if profile == "native" else 2) * 50)
            self.assertGreater(got["scrub"]["mib"], 1)

    def test_device(self):
        run = subprocess.run(
            [BENCH, "device", "--size", "64m", "--fsize", "2m", "--rounds",
             "3", "--commits", "4", "--pages", "50", "--churn", "640",
             "--json"],
            check=True, stdout=subprocess.PIPE, text=True)
        records = [json.loads(line) for line in run.stdout.splitlines()]
        got = {record["figure"]: record for record in records}
        for name in "overwrite_commit", "one_key_commit":
            # Both flush once a commit; ours writes one page more at least.
            self.assertEqual(got[name]["flushes"], got[name]["raw_flushes"])
        self.assertEqual(got["one_key_commit"]["pages"],
                         2 * got["one_key_commit"]["raw_pages"])
        # Requests of a read go on from node to node, and a scrub's are long.
        self.assertLess(got["sequential_read"]["requests"],
                        4 * got["sequential_read"]["raw_requests"])
        self.assertLess(got["scrub"]["requests"], 100)
        self.assertEqual(got["random_read"]["raw_pages"], 150)
        churns = [r for r in records if r["figure"] == "churn"]
        self.assertEqual([r["full_per_cent"] for r in churns], [50, 80, 95])
        for record in churns:
            self.assertLess(record["pages_written_each"], 3)
        for record in records:
            if record["figure"] == "mount": # whatever the disk holds
                self.assertLessEqual(record["pages_read"], 64)

    def test_flushing_changes_no_count(self):
        counts = [[(r["batches"], r["pages_written"], r["flushes"])
                   for r in bench("files", *self.SMALL, *words).values()]
                  for words in ([], ["--durable"])]
        self.assertEqual(*counts)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
