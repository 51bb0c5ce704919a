# SPDX-License-Identifier: ISC
"""Tables of what was measured: report.md, all of it, and readme.md."""
import statistics

# irmin-pack 3.11 and Notafs 0.1 under OCaml 4.13, nothing fsynced, a machine
# of the same kind: per second of the wall.
OCAML = {
    "pack-1m": {"bulk_load": 62600, "incremental": 4.2,
                "read_reopened_first": 20400, "read_freshtree_lruwarm": 26300,
                "read_onetree": 67200, "traverse_unordered": 187000,
                "traverse_sorted": 201000, "max_rss_mb": 784},
    "pack-100k": {"bulk_load": 62800, "incremental": 12.9,
                  "read_reopened_first": 39600,
                  "read_freshtree_lruwarm": 84500, "read_onetree": 192000,
                  "max_rss_mb": 253},
    "pack-irmin-32": {"incremental": 998},
    "files-mirage": {"set_1": 242, "set_2": 242, "get_1": 47, "get_2": 47,
                     "reconnect": 1 / 0.67, "random_read": 6150,
                     "append": 37.6, "small_set_commit": 1340,
                     "random_overwrite": 5420},
}


def number(x):
    return f"{x:,.0f}".replace(",", " ") if abs(x) >= 100 else f"{x:.3g}"


def spread(numbers):
    """Median and quartiles of several runs."""
    middle = number(statistics.median(numbers))
    if len(numbers) < 2:
        return middle
    low, _, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return f"{middle} ({number(low)}–{number(high)})"


def within(record, field):
    """The same of a record that has them."""
    return (f"{number(record[field])} ({number(record[field + '_q1'])}–"
            f"{number(record[field + '_q3'])})")


def table(head, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in
             [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def values(records, figure, field):
    return [r[field] for r in records if r["figure"] == figure and field in r]


def median(records, figure, field="per_s"):
    found = values(records, figure, field)
    return statistics.median(found) if found else None


# ------------------------------------------------------------------ sections


def beside_ocaml(name, records):
    """Rates of a run, by the wall and by the processor, beside OCaml's."""
    rows = []
    for figure in dict.fromkeys(r["figure"] for r in records):
        rates = values(records, figure, "per_s")
        theirs = OCAML.get(name, {}).get(figure)
        if figure == "max_rss_mb":
            ours = values(records, figure, "value")
            rows.append([figure, spread(ours), "",
                         number(theirs) if theirs else "",
                         number(theirs / statistics.median(ours))
                         if theirs else "", ""])
        elif rates and max(rates) > 0:
            hashed = values(records, figure, "bytes_hashed")
            rows.append([figure, spread(rates),
                         spread(values(records, figure, "per_cpu_s")),
                         number(theirs) if theirs else "",
                         number(statistics.median(rates) / theirs)
                         if theirs else "",
                         number(hashed[0]) if hashed else
                         number(values(records, figure, "pages_hashed")[0])])
    return table(["figure", "a second", "a CPU second", "OCaml", "times",
                  "pages hashed" if name.startswith("files")
                  else "bytes hashed"], rows)


def hashing_alone(all_records):
    """What an incremental commit takes against its hashes alone."""
    records = all_records["pack-1m"]
    n = sum(values(records, "incremental", "commits"))
    cpu = sum(values(records, "incremental", "cpu_s")) / n
    hashed = sum(values(records, "incremental", "bytes_hashed")) / n
    lines = []
    for kernel in "one at a time", "many, avx2", "many, avx512":
        ns = [r["ns"] / r["message_len"] for r in all_records["hash"]
              if r["figure"] == kernel and r["message_len"] == 1024]
        if ns:
            alone = hashed * ns[0] / 1e9
            lines.append(f"- {kernel}: {alone * 1000:.2f} ms, the commit "
                         f"takes {cpu / alone:.1f} times that\n")
    return (f"A commit of pack-1m takes {cpu * 1000:.2f} ms of CPU and hashes "
            f"{hashed / 1e6:.2f} MB, verification included; hashing as much "
            "in messages of 1 KiB:\n\n" + "".join(lines))


def commits(_, records):
    return table(["figure", "peer", "a second", "pack on an image is times"],
                 [[r["figure"], r["peer"], within(r, "per_s"),
                   within(r, "image_is_times")]
                  for r in records if "image_is_times" in r])


def devices(_, records):
    rows = [[r["figure"], r["unit"], within(r, "raw_per_s"),
             within(r, "per_s"), within(r, "of_raw"),
             f"{r['raw_pages']} / {r['pages']}",
             f"{r['raw_flushes']} / {r['flushes']}"]
            for r in records if "of_raw" in r]
    rows += [[f"{r['figure']}, {r['full_per_cent']} % full",
              "pages" if "pages" in r else "mounts", "", number(r["per_s"]),
              "", number(r.get("pages_written_each", r.get("pages_read"))),
              ""] for r in records if "full_per_cent" in r]
    return table(["figure", "unit", "device", "Notafs", "of the device",
                  "pages", "flushes"], rows)


def hashes(_, records):
    ratio = "times_libb2" if "times_libb2" in records[0] else "times_peer"
    return table(["bytes", "what", "ns", "GB/s", "times its peer"],
                 [[r["message_len"], r["figure"], within(r, "ns"),
                   f"{r['gb_per_s']:.2f}", within(r, ratio)]
                  for r in records])


def mix(_, records):
    return table(["peer", "operations a second", "a CPU second",
                  "pack on an image is times", "of CPU"],
                 [[r["peer"], within(r, "per_s"), within(r, "per_cpu_s"),
                   within(r, "image_is_times"),
                   within(r, "image_is_times_cpu")] for r in records])


def latency(record, name):
    return " / ".join(number(record[f"{name}_{mark}_us"])
                      for mark in ("p50", "p90", "p99", "max"))


def gc(_, records):
    return table(["store", "commits a second", "while collecting",
                  "commit, µs p50 / p90 / p99 / max", "while collecting",
                  "a step", "longest step, bytes"],
                 [[r["peer"], number(r["quiet_per_s"]), number(r["per_s"]),
                   latency(r, "quiet"), latency(r, "commit"),
                   latency(r, "step"), number(r["longest_step"])]
                  for r in records])


def append(_, records):
    return table(["peer", "a second", "µs p50 / p90 / p99 / max", "flushes",
                  "pages written"],
                 [[r["peer"], number(r["per_s"]), latency(r, "append"),
                   r.get("flushes", ""), r.get("pages_written", "")]
                  for r in records])


def mount(_, records):
    return table(["profile", "reads", "MiB", "ms", "pages read"],
                 [[r["profile"], r["reads"], number(r["size_mib"]),
                   within(r, "ms"), r["pages_read"]] for r in records])


def imports(_, records):
    return table(["figure", "by", "MiB a second", "MiB a CPU second"],
                 [[r["figure"], r["peer"], within(r, "per_s"),
                   within(r, "per_cpu_s")] for r in records])


def fuse(_, records):
    return table(["figure", "place", "unit", "a second", "a CPU second",
                  "of the null loop", "of its CPU", "of bindfs"],
                 [[r["figure"], r["place"], r["unit"], within(r, "per_s"),
                   within(r, "per_cpu_s"),
                   within(r, "of_null") if "of_null" in r else "",
                   within(r, "of_null_cpu") if "of_null_cpu" in r else "",
                   within(r, "of_bindfs") if "of_bindfs" in r else ""]
                  for r in records])


SECTIONS = {"pack": beside_ocaml, "files": beside_ocaml, "scaling": beside_ocaml,
            "device": devices, "commits": commits, "mix": mix, "gc": gc,
            "append": append, "mount": mount, "import": imports, "fuse": fuse,
            "hash": hashes, "codec": hashes}


def section(name, records):
    kept = [r for r in records if r["figure"] != "skipped"]
    skipped = [f"SKIPPED {r['what']}: {r['why']}\n" for r in records
               if r["figure"] == "skipped"]
    last = records[-1]
    head = (f"## {name}\n\n`{last['command']}`, commit {last['commit']}, "
            f"{last['date']}\n")
    parts = [SECTIONS[name.split("-")[0]](name, kept)] if kept else []
    return "\n".join([head, *skipped, *parts])


# -------------------------------------------------------------------- README


def readme_ocaml(name, records, rows):
    """rows: (label, figures that stand together, divided by slashes)."""
    lines = []
    for label, figures in rows:
        ours = [median(records, f, "value" if f == "max_rss_mb" else "per_s")
                for f in figures]
        theirs = [OCAML[name][f] for f in figures]
        times = [t / o if f == "max_rss_mb" else o / t
                 for f, o, t in zip(figures, ours, theirs)]
        lines.append([label, *(" / ".join(map(number, numbers))
                               for numbers in (ours, theirs, times))])
    return table([f"`{records[0]['command'].removesuffix(' --json')}`",
                  "notafs", "OCaml", "times"], lines)


PACK_ROWS = [
    ("bulk load, sets", ["bulk_load"]),
    ("incremental, commits of 1 000 sets", ["incremental"]),
    ("look-ups: reopened / warm / one tree",
     ["read_reopened_first", "read_freshtree_lruwarm", "read_onetree"]),
    ("traversal, unordered / sorted, files",
     ["traverse_unordered", "traverse_sorted"]),
    ("highest memory, cache of 16 MiB, MB", ["max_rss_mb"])]
FILES_ROWS = [
    ("set / get, MiB", ["set_2", "get_2"]), ("reads of 4 KiB", ["random_read"]),
    ("appends of 128 B, MiB", ["append"]),
    ("small set and commit", ["small_set_commit"]),
    ("overwrites of 128 B", ["random_overwrite"])]


def readme_commits(records, large):
    peers = list(dict.fromkeys(r["peer"] for r in records if "peer" in r))

    def cell(rows, peer, figure):
        found = [r for r in rows if r["figure"] == figure
                 and r.get("peer") == peer]
        return within(found[0], "per_s") if found else ""
    return table([f"`{records[0]['command'].removesuffix(' --json')}`, all "
                  "durable", "one key", "1 000 keys",
                  "1 000 keys of a million"],
                 [[peer, cell(records, peer, "commit_one"),
                   cell(records, peer, "commit_many"),
                   cell(large, peer, "commit_many")] for peer in peers])


def readme_fuse(records):
    rows = []
    for figure in dict.fromkeys(r["figure"] for r in records
                                if "place" in r):
        by = {r["place"]: r for r in records if r["figure"] == figure}

        def cell(place, field):
            return (number(by[place][field])
                    if place in by and field in by[place] else "")
        rows.append([f"{figure}, {by['image']['unit']}",
                     cell("image", "per_s"), cell("image", "of_null"),
                     cell("image", "of_bindfs"), cell("store", "per_s"),
                     cell("store", "of_null"), cell("store", "of_bindfs"),
                     cell("folder", "per_s")])
    return table([f"`{records[0]['command'].removesuffix(' --json')}`",
                  "image", "of null", "of bindfs", "store", "of null",
                  "of bindfs", "bare folder"], rows)


def readme_device(records):
    return table([f"`{records[0]['command'].removesuffix(' --json')}`",
                  "device", "Notafs", "of the device"],
                 [[f"{r['figure'].replace('_', ' ')}, {r['unit']}",
                   number(r["raw_per_s"]), number(r["per_s"]),
                   within(r, "of_raw")] for r in records if "of_raw" in r])


def readme_hash(records):
    sizes = [64, 100, 1024, 65536]
    rows = []
    for kernel in dict.fromkeys(r["figure"] for r in records):
        by = {r["message_len"]: r for r in records if r["figure"] == kernel}
        rows.append([kernel, *(f"{by[n]['gb_per_s']:.2f} "
                               f"({by[n]['times_libb2']:.1f})"
                               for n in sizes if n in by)])
    return table(["BLAKE2b, GB/s (times libb2)",
                  *(f"{n} B" for n in sizes)], rows)


def readme(records):
    """The tables that the README has, of what was run."""
    first = next(iter(records.values()))[0]
    parts = [f"Measured {first['date'][:10]} on {first['machine']}, commit "
             f"{first['commit']}, by `./dev bench`: medians, quartiles in "
             "brackets, a second of the wall. OCaml: irmin-pack 3.11 and "
             "Notafs 0.1. Nothing is fsynced in the first two tables.\n"]
    if "pack-1m" in records:
        parts.append(readme_ocaml("pack-1m", records["pack-1m"], PACK_ROWS))
    if "files-mirage" in records:
        parts.append(readme_ocaml("files-mirage", records["files-mirage"],
                                  FILES_ROWS))
    if "commits" in records:
        parts.append(readme_commits(records["commits"],
                                    records.get("commits-1m", [])))
    for name, write_table in [("fuse", readme_fuse),
                              ("device-direct", readme_device),
                              ("hash", readme_hash)]:
        rows = [r for r in records.get(name, []) if r["figure"] != "skipped"]
        if rows:
            parts.append(write_table(rows))
    for name, write_table in [("append", append), ("gc", gc), ("mix", mix),
                              ("import", imports)]:
        if name in records:
            parts.append(f"`{records[name][0]['command']}`:\n\n"
                         .replace(" --json", "")
                         + write_table(name, records[name]))
    return "\n".join(parts)


def write(out, records, failed, plotted):
    """report.md and readme.md."""
    if not records:
        return
    first = next(iter(records.values()))[0]
    parts = [f"# Figures of notafs\n\n{first['machine']}\n\nMedians, with "
             "quartiles behind them. What others do on the machine shows in "
             "the seconds of the wall.\n"]
    parts += [f"FAILED: {name}\n" for name in failed]
    parts += [section(name, rows) for name, rows in records.items()]
    if "pack-1m" in records and "hash" in records:
        parts.append("## Hashing alone\n\n" + hashing_alone(records))
    parts += [f"![{name}]({name}.svg)\n" for name in plotted]
    for name, text in ("report", "\n".join(parts)), ("readme", readme(records)):
        with open(f"{out}/{name}.md", "w", encoding="utf-8") as file:
            file.write(text)
