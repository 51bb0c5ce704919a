# SPDX-License-Identifier: ISC
"""Plots (SVG) of what was measured, by gnuplot."""
import statistics
import subprocess


def gnuplot(out, name, script):
    head = (f'set terminal svg noenhanced size 720,420 background "white"\n'
            f'set output "{out}/{name}.svg"\nset grid\nset key outside\n')
    subprocess.run(["gnuplot"], input=head + script, check=True, text=True)
    return name


def lines(out, name, script, blocks):
    """A plot of blocks, [(title, [(x, y)])], one line each."""
    path = f"{out}/{name}.dat"
    with open(path, "w", encoding="utf-8") as file:
        for title, rows in blocks:
            file.write(f'"{title}"\n')
            file.writelines(" ".join(map(str, row)) + "\n" for row in rows)
            file.write("\n\n")
    plotted = ", ".join(f'"{path}" index {i} with linespoints '
                        f"title columnhead(1)" for i in range(len(blocks)))
    return gnuplot(out, name, f"{script}\nplot {plotted}\n")


def bars(out, name, script, groups, series):
    """Groups, {label: {series: (median, q1, q3)}}, of bars with quartiles."""
    path = f"{out}/{name}.dat"
    with open(path, "w", encoding="utf-8") as file:
        for label, bar in groups.items():
            numbers = [x for one in series
                       for x in bar.get(one, ("NaN", "NaN", "NaN"))]
            file.write(f'"{label}" ' + " ".join(map(str, numbers)) + "\n")
    plotted = ", ".join(
        f'"{path}" using {3 * i + 2}:{3 * i + 3}:{3 * i + 4}:xtic(1) '
        f'title "{one}"' for i, one in enumerate(series))
    return gnuplot(out, name, "set style data histogram\n"
                   "set style histogram errorbars gap 1\n"
                   "set style fill solid 0.6\nset xtics rotate by -35\n"
                   f"{script}\nplot {plotted}\n")


def median(records, figure, field):
    return statistics.median(r[field] for r in records
                             if r["figure"] == figure)


def scaling(out, records):
    sizes = {10 ** int(name.split("-")[1]): rows
             for name, rows in records.items() if name.startswith("scaling-")}
    if not sizes:
        return
    each = {"bulk_load": 1, "incremental": 100, "read_reopened_first": 1,
            "read_onetree": 1, "traverse_sorted": 1}
    yield lines(out, "scaling", "set logscale xy\nset xlabel 'entries'\n"
                "set ylabel 'CPU microseconds each'",
                [(figure, [(n, 1e6 / median(rows, figure, "per_cpu_s") / many)
                           for n, rows in sizes.items()])
                 for figure, many in each.items()])
    yield lines(out, "memory", "set logscale xy\nset xlabel 'entries'\n"
                "set ylabel 'highest resident set, MB'",
                [("max_rss_mb", [(n, median(rows, "max_rss_mb", "value"))
                                 for n, rows in sizes.items()])])


def kernels(out, records):
    for name in "hash", "codec":
        rows = records.get(name, [])
        figures = dict.fromkeys(r["figure"] for r in rows)
        if figures:
            yield lines(out, name, "set logscale x\nset xlabel 'bytes of a "
                        "message'\nset ylabel 'GB/s'",
                        [(figure, [(r["message_len"], r["gb_per_s"])
                                   for r in rows if r["figure"] == figure])
                         for figure in figures])


def mounting(out, records):
    rows = records.get("mount", [])
    kinds = dict.fromkeys((r["profile"], r["reads"]) for r in rows)
    if kinds:
        yield lines(out, "mount", "set logscale xy\nset xlabel 'MiB of the "
                    "disk'\nset ylabel 'ms'",
                    [(f"{profile}, {reads}",
                      [(r["size_mib"], r["ms"]) for r in rows
                       if (r["profile"], r["reads"]) == (profile, reads)])
                     for profile, reads in kinds])


def quartiles(record, field):
    return record[field], record[field + "_q1"], record[field + "_q3"]


def grouped(rows, group, series, field):
    """{group: {series: quartiles}} of the records that have the field."""
    groups = {}
    for row in rows:
        if field in row:
            groups.setdefault(row[group], {})[row[series]] = quartiles(
                row, field)
    return groups


def compared(out, records):
    for name, group, series, field, label in [
            ("fuse", "figure", "place", "of_null", "of a loop that does nothing"),
            ("commits", "figure", "peer", "per_s", "commits a second"),
            ("import", "peer", "figure", "per_s", "MiB a second")]:
        rows = [r for r in records.get(name, []) if r["figure"] != "load"]
        groups = grouped(rows, group, series, field)
        if groups:
            names = list(dict.fromkeys(one for bar in groups.values()
                                       for one in bar))
            log = "set logscale y\n" if name == "commits" else ""
            yield bars(out, name, f"{log}set ylabel '{label}'", groups, names)


def write(out, records):
    """All plots that there are records for; their names."""
    return [name for kind in (scaling, kernels, mounting, compared)
            for name in kind(out, records)]
