# SPDX-License-Identifier: ISC
"""Runs the workloads and reports: report.py NOTAFS_BENCH OUT [--quick|--long]

OUT gets RUN.json, the records of each run; report.md; and plots, by gnuplot.
--quick runs everything small, --long goes on to 10^7 objects. Runs are taken
several times in alternation; figures are medians, with the quartiles.
"""
import json
import os
import statistics
import subprocess
import sys

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

PACK = {
    "pack-1m": "--entries 1000000 --commits 100 --sets 1000 --depth 4 "
               "--reads 200000 --clear --check --gc",
    "pack-100k": "--clear --check --gc",
    "pack-irmin-32": "--config irmin-32 --entries 20000 --commits 1000 "
                     "--sets 10 --vsize 1000 --depth 4 --width 16 "
                     "--reads 50000 --clear --split-every 50",
}
QUICK_PACK = "--entries 2000 --commits 10 --sets 20 --reads 500 --clear --check --gc"
QUICK_DISK = "--size 64m --fsize 2m"


def runs(mode):
    """(name, how often, words) of each run."""
    quick = mode == "--quick"
    for name, words in PACK.items():
        config = "--config irmin-32 " if "irmin" in name else ""
        yield name, 1 if quick else 3, "pack " + (
            config + QUICK_PACK if quick else words)
    for profile in "native", "mirage":
        small = (QUICK_DISK + " --reads 200 --appends 2000 --sets 20 "
                 "--overwrites 40") if quick else ""
        yield (f"files-{profile}", 1 if quick else 5,
               f"files --profile {profile} {small}")
    for name, words in ("device", ""), ("device-direct", "--direct"):
        small = QUICK_DISK + " --rounds 3 --commits 2 --churn 64" if quick else ""
        yield name, 1, f"device --durable {words} {small}"
    yield "commits", 1, "commits" + (
        " --entries 100 --rounds 1 --singles 2 --batches 1 --updates 10 "
        "--size 32m" if quick else "")
    yield "hash", 1, "hash" + (" --rounds 1" if quick else "")
    top = 3 if quick else 7 if mode == "--long" else 6
    for n in range(2 if quick else 3, top + 1):
        yield (f"scaling-{n}", 1, f"pack --entries {10 ** n} --commits 20 "
               f"--sets 100 --depth 4 --reads 20000 --split-every 0")


def measure(program, out, mode):
    """All records: {run: [record]}; those of repeated runs together."""
    records = {}
    rows = list(runs(mode))
    for turn in range(max(times for _, times, _ in rows)):
        for name, times, words in rows:
            if turn >= times:
                continue
            done = subprocess.run([program, *words.split(), "--json"],
                                  check=True, stdout=subprocess.PIPE,
                                  text=True)
            with open(f"{out}/{name}.json", "a" if turn else "w",
                      encoding="utf-8") as file:
                file.write(done.stdout)
            records.setdefault(name, []).extend(
                json.loads(line) for line in done.stdout.splitlines())
    return records


def values(records, figure, field):
    return [r[field] for r in records if r["figure"] == figure and field in r]


def median(records, figure, field):
    return statistics.median(values(records, figure, field))


def spread(numbers):
    """Median and what is beside it."""
    low, high = min(numbers), max(numbers)
    return f"{number(statistics.median(numbers))} ({number(low)}–{number(high)})"


def number(x):
    return f"{x:,.0f}".replace(",", " ") if abs(x) >= 100 else f"{x:.3g}"


def table(head, rows):
    lines = ["| " + " | ".join(row) + " |" for row in
             [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


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
                         if theirs else ""])
        elif rates and max(rates) > 0:
            cpu = values(records, figure, "per_cpu_s")
            rows.append([figure, spread(rates), spread(cpu),
                         number(theirs) if theirs else "",
                         number(statistics.median(cpu) / theirs)
                         if theirs else ""])
    return f"## {name}\n\n" + table(
        ["figure", "a second", "a CPU second", "OCaml", "times"], rows)


def hashing_alone(all_records):
    """What an incremental commit takes against its hashes alone."""
    records = all_records["pack-1m"]
    n = sum(values(records, "incremental", "commits"))
    cpu = sum(values(records, "incremental", "cpu_s")) / n
    hashed = sum(values(records, "incremental", "bytes_hashed")) / n
    lines = []
    for kernel in "one at a time", "many, avx512":
        ns = [r["ns"] / r["message_len"] for r in all_records["hash"]
              if r["figure"] == kernel and r["message_len"] == 1024]
        if ns:
            alone = hashed * ns[0] / 1e9
            lines.append(f"- {kernel}: {alone * 1000:.2f} ms, the commit "
                         f"takes {cpu / alone:.1f} times that\n")
    return (f"A commit of pack-1m takes {cpu * 1000:.2f} ms of CPU and hashes "
            f"{hashed / 1e6:.2f} MB, verification included; hashing as much "
            "in messages of 1 KiB:\n\n" + "".join(lines))


def peers(records):
    rows = [[r["figure"], r["peer"],
             f"{number(r['per_s'])} ({number(r['per_s_q1'])}–"
             f"{number(r['per_s_q3'])})", number(r["image_is_times"])]
            for r in records if "image_is_times" in r]
    return "## commits, all durable\n\n" + table(
        ["figure", "peer", "a second", "pack on an image is times"], rows)


def devices(name, records):
    rows = [[r["figure"], r["unit"], number(r["raw_per_s"]),
             number(r["per_s"]),
             f"{r['of_raw']:.2f} ({r['of_raw_q1']:.2f}–{r['of_raw_q3']:.2f})",
             str(r["raw_flushes"]), str(r["flushes"])]
            for r in records if "of_raw" in r]
    rows += [[f"{r['figure']}, {r['full_per_cent']} % full",
              "pages" if "pages" in r else "mounts", "", number(r["per_s"]),
              "", "", ""] for r in records if "full_per_cent" in r]
    return f"## {name}: Notafs beside the bare device\n\n" + table(
        ["figure", "unit", "device", "Notafs", "of the device",
         "flushes of the device's", "of Notafs'"], rows)


def hashes(records):
    rows = [[str(r["message_len"]), r["figure"], number(r["ns"]),
             f"{r['gb_per_s']:.2f}",
             f"{r['times_libb2']:.2f} ({r['times_libb2_q1']:.2f}–"
             f"{r['times_libb2_q3']:.2f})"] for r in records]
    return "## BLAKE2b\n\n" + table(
        ["bytes", "kernel", "ns", "GB/s", "times libb2"], rows)


def plot(out, name, script, blocks):
    """Data of blocks, one for each line of the plot, and the plot itself."""
    with open(f"{out}/{name}.dat", "w", encoding="utf-8") as file:
        for title, rows in blocks:
            file.write(f'"{title}"\n')
            file.writelines(" ".join(map(str, row)) + "\n" for row in rows)
            file.write("\n\n")
    head = (f'set terminal svg size 720,420 background "white"\n'
            f'set output "{out}/{name}.svg"\nset grid\nset key outside\n')
    lines = ", ".join(f'"{out}/{name}.dat" index {i} with linespoints '
                      f"title columnhead(1)" for i in range(len(blocks)))
    subprocess.run(["gnuplot"], input=f"{head}{script}\nplot {lines}\n",
                   check=True, text=True)


def plots(out, all_records):
    scaling = {10 ** int(name.split("-")[1]): records
               for name, records in all_records.items()
               if name.startswith("scaling-")}
    cost = [(figure, [(n, 1e6 / median(records, figure, "per_cpu_s") / each)
                      for n, records in scaling.items()])
            for figure, each in [("bulk_load", 1), ("incremental", 100),
                                 ("read_reopened_first", 1),
                                 ("read_onetree", 1), ("traverse_sorted", 1)]]
    plot(out, "scaling", "set logscale xy\nset xlabel 'entries'\n"
         "set ylabel 'CPU microseconds each'", cost)
    plot(out, "memory", "set logscale xy\nset xlabel 'entries'\n"
         "set ylabel 'highest resident set, MB'",
         [("max_rss_mb", [(n, median(records, "max_rss_mb", "value"))
                          for n, records in scaling.items()])])
    kernels = dict.fromkeys(r["figure"] for r in all_records["hash"])
    plot(out, "hash", "set logscale x\nset xlabel 'bytes of a message'\n"
         "set ylabel 'GB/s'",
         [(kernel, [(r["message_len"], r["gb_per_s"])
                    for r in all_records["hash"] if r["figure"] == kernel])
          for kernel in kernels])


def report(out, all_records):
    first = next(iter(all_records.values()))[0]
    parts = [f"# Figures of notafs\n\n{first['machine']}; commit "
             f"{first['commit']}; {first['date']}\n\nMedians, with lowest and "
             "highest or quartiles behind them. What others do on the machine "
             "shows in the seconds of the wall.\n"]
    for name, records in all_records.items():
        if name.startswith(("pack", "files", "scaling")):
            parts.append(beside_ocaml(name, records))
        if name.startswith("device"):
            parts.append(devices(name, records))
    parts += [hashing_alone(all_records), peers(all_records["commits"]),
              hashes(all_records["hash"])]
    parts += [f"![{name}]({name}.svg)\n"
              for name in ("scaling", "memory", "hash")]
    with open(f"{out}/report.md", "w", encoding="utf-8") as file:
        file.write("\n".join(parts))


def main():
    program, out, *mode = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    all_records = measure(program, out, mode[0] if mode else "")
    plots(out, all_records)
    report(out, all_records)
    print(f"{out}/report.md")


main()
