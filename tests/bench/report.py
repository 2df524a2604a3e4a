# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report of script/bench: raw.jsonl in, table and targets out.

    report.py FOLDER

Reads machine.txt, raw.jsonl, failed.txt and overhead.txt in the folder; prints
the report and writes table.txt, bench.json and bench.png there. Needs nothing
but Python and, for the plot, gnuplot.
"""

import json
import os
import re
import statistics
import subprocess
import sys

PEERS = ("rfb", "shm", "gdp", "unixfd")
ARMS = ("helix", "helix-bgrx") + PEERS
SCENES = ("full", "box", "typing", "scroll", "static")


def read_lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if line.strip()]


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def per_frame(row, key, scale=1.0):
    """A counter of the window, per frame that arrived in it."""
    if not row.get("frames") or key not in row:
        return None
    return row[key] * scale / row["frames"]


def shim_delta(row, key):
    """What one of the shim's counters grew by while it was measured."""
    if "shim_begin" not in row or "shim_end" not in row:
        return None
    return row["shim_end"].get(key, 0) - row["shim_begin"].get(key, 0)


def cpu_percent(row, who):
    return row[who + "_cpu_ns"] / row["seconds"] / 1e7


def describe(row):
    """The figures of one measurement, as they are shown."""
    figures = {
        "fps": row["frames"] / row["seconds"],
        "receiver_cpu_ms": per_frame(row, "receiver_cpu_ns", 1e-6),
        "producer_cpu_ms": per_frame(row, "producer_cpu_ns", 1e-6),
        "age_p50_ms": row["age_p50_ns"] / 1e6 if "age_p50_ns" in row else None,
        "age_p99_ms": row["age_p99_ns"] / 1e6 if "age_p99_ns" in row else None,
        "age_max_ms": row["age_max_ns"] / 1e6 if "age_max_ns" in row else None,
        "faults": per_frame(row, "receiver_minor_faults"),
        "producer_faults": per_frame(row, "producer_minor_faults"),
        "large_allocs": per_frame(row, "receiver_large_allocs"),
        "wakeups_per_s": row["receiver_sleeps"] / row["seconds"],
        "receiver_cpu_percent": cpu_percent(row, "receiver"),
        "missed": row["missed"],
        "readback_ms": per_frame(row, "src_readback_time", 1e-6),
        "read_kib": None,
        "copied_kib": None,
    }
    read = shim_delta(row, "readback_bytes")
    copied = shim_delta(row, "copy_bytes")
    frames = row["frames"]
    if read is not None and frames:
        figures["read_kib"] = read / 1024 / frames
        figures["copied_kib"] = (
            (copied or 0) + row.get("src_converted_bytes", 0)) / 1024 / frames
    both = [figures["receiver_cpu_ms"], figures["producer_cpu_ms"]]
    figures["both_cpu_ms"] = sum(both) if None not in both else None
    return figures


def key_of(row):
    return row["source"], row["size"], row["scene"], row["arm"]


def group(rows):
    """{(source, size, scene, arm): {round: figures}}"""
    groups = {}
    for row in rows:
        if row.get("kind") == "arm":
            groups.setdefault(key_of(row), {})[row["round"]] = describe(row)
    return groups


def medians(rounds):
    names = next(iter(rounds.values())).keys()
    return {name: median([figures[name] for figures in rounds.values()])
            for name in names}


def paired(groups, over, under, figure):
    """The median over the rounds of over's figure by under's."""
    ratios = []
    for number, figures in groups.get(over, {}).items():
        other = groups.get(under, {}).get(number)
        if other and figures[figure] is not None and other[figure]:
            ratios.append(figures[figure] / other[figure])
    return median(ratios)


# ---- holds: buckets of the shim ----

def parse_buckets(text):
    return {int(upper): int(count) for upper, count in
            (part.split(":") for part in text.split("/") if part)}


def holds(rows):
    """How long the main loop was held, per GPU, size and scene."""
    found = {}
    for row in rows:
        if row.get("kind") != "arm" or row["arm"] != "helix":
            continue
        if "shim_begin" not in row or "shim_end" not in row:
            continue
        before = parse_buckets(row["shim_begin"].get("hold_buckets", ""))
        buckets = found.setdefault(
            (row["source"], row["size"], row["scene"]), {})
        after = parse_buckets(row["shim_end"].get("hold_buckets", ""))
        for upper, count in after.items():
            buckets[upper] = (
                buckets.get(upper, 0) + count - before.get(upper, 0))
    return found


def bucket_percentile(buckets, percent):
    total, seen = sum(buckets.values()), 0
    for upper in sorted(buckets):
        seen += buckets[upper]
        if buckets[upper] and seen >= total * percent / 100:
            return upper / 1e6
    return None


def hold_lines(found):
    lines = []
    for (source, size, scene), buckets in sorted(found.items()):
        if sum(buckets.values()) == 0:
            continue
        lines.append({
            "source": source, "size": size, "scene": scene,
            "readbacks": sum(buckets.values()),
            "p50_ms": bucket_percentile(buckets, 50),
            "p99_ms": bucket_percentile(buckets, 99),
            "max_ms": bucket_percentile(buckets, 100)})
    return lines


# ---- targets ----

class Targets:
    """The rows of the table of targets: reached, missed, or not measured."""

    def __init__(self):
        self.rows = []

    def add(self, what, value, limit, unit="", least=False):
        if value is None:
            state = "not measured"
        elif (value >= limit) if least else (value <= limit):
            state = "reached"
        else:
            state = "missed"
        self.rows.append({"what": what, "value": value, "limit": limit,
                          "unit": unit, "least": least, "state": state})


def add_cost_targets(targets, groups):
    full = ("1920x1080", "full")
    ours = ("sim",) + full + ("helix",)
    vnc = [median([r]) for r in (
        paired(groups, (gpu,) + full + ("rfb",), (gpu,) + full + ("helix",),
               "receiver_cpu_ms") for gpu in ("2d", "virgl"))]
    targets.add("receiver's CPU: rfbsrc by ours, 1080p full", median(vnc), 12,
                "x", least=True)
    for arm, least in (("shm", 5), ("unixfd", 4)):
        peer = ("sim",) + full + (arm,)
        targets.add(f"receiver's CPU: {arm} by ours, 1080p full",
                    paired(groups, peer, ours, "receiver_cpu_ms"), least, "x",
                    least=True)
    for arm in ("shm", "unixfd"):
        peer = ("sim",) + full + (arm,)
        targets.add(f"both sides' CPU: {arm} by ours, 1080p full",
                    paired(groups, peer, ours, "both_cpu_ms"), 3, "x",
                    least=True)
    whole = ("sim", "3840x2160", "full", "helix")
    box = ("sim", "3840x2160", "box", "helix")
    targets.add("CPU, both sides: our full by our box, 4K",
                paired(groups, whole, box, "both_cpu_ms"), 50, "x", least=True)
    figures = medians(groups[box]) if box in groups else {}
    read, copied = figures.get("read_kib"), figures.get("copied_kib")
    targets.add("read back and copied a frame, 4K box",
                None if read is None else read + copied, 64, "KiB")
    figures = medians(groups[ours]) if ours in groups else {}
    readback = figures.get("readback_ms")
    for name, limit in (("p50", 0.5), ("p99", 1.5)):
        age = figures.get(f"age_{name}_ms")
        targets.add(f"shim to NV12, 1080p full, without the readback: {name}",
                    None if None in (age, readback) else age - readback,
                    limit, "ms")
        targets.add(f"capture to NV12, 1080p full, with it: {name}", age,
                    limit, "ms")


def of_kind(rows, kind, **labels):
    return [row for row in rows if row.get("kind") == kind
            and all(row.get(k) == v for k, v in labels.items())]


def ms_of(rows, key):
    return median([row[key] / 1e6 for row in rows if key in row])


def add_stream_targets(targets, rows):
    for kind in ("unix", "tcp"):
        found = [row for row in of_kind(rows, "units")
                 if row["address"].startswith(kind)]
        targets.add(f"20 kB unit, pad to pad, {kind}: p99",
                    ms_of(found, "p99_ns"), 0.2, "ms")
    for row in of_kind(rows, "sustained")[:1]:
        dropped = row["missed"] + row.get("src_dropped", 0)
        targets.add(f"4K60 for {row['seconds']:.0f} s: dropped", dropped, 0,
                    "frames")
        targets.add(f"4K60 for {row['seconds']:.0f} s: frames a second",
                    row["frames"] / row["seconds"], 59.5, "", least=True)
    for row in of_kind(rows, "still")[:1]:
        seconds = f"static screen, {row['seconds']:.0f} s"
        targets.add(f"{seconds}: readbacks", shim_delta(row, "readbacks"), 0)
        targets.add(f"{seconds}: frame messages", shim_delta(row, "frames"), 0)
        targets.add(f"{seconds}: host pipeline", cpu_percent(row, "receiver"),
                    0.5, "% of a core")
    for scene in ("full", "scroll", "typing"):
        found = of_kind(rows, "encoded", scene=scene)
        targets.add(f"capture to encoded at helixsrc, 1080p {scene}: p50",
                    ms_of(found, "age_p50_ns"), 10, "ms")
        targets.add(f"capture to encoded at helixsrc, 1080p {scene}: p99",
                    ms_of(found, "age_p99_ns"), 20, "ms")


def add_guest_targets(targets, folder, rows):
    for scene in ("full", "typing"):
        found = of_kind(rows, "guest", scene=scene)
        for name, limit in (("p50", 10), ("p99", 20)):
            targets.add(
                f"capture to application in the guest, 1080p30 {scene}: {name}",
                median([row.get(f"latency_{name}_ms") for row in found]),
                limit, "ms")
    text = "\n".join(read_lines(os.path.join(folder, "overhead.txt")))
    for kind, limit, what in (("watched", 0.90, "one 60 fps client"),
                              ("stopped", 0.99, "a stopped client")):
        match = re.search(kind + r": median ratio ([0-9.]+)", text)
        targets.add(f"guest's frame rate with {what}",
                    float(match.group(1)) if match else None, limit, "x",
                    least=True)


# ---- what is printed ----

def show(value, digits=2):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.{digits}f}"


COLUMNS = (("fps", "fps", 1), ("receiver_cpu_ms", "recv ms", 3),
           ("producer_cpu_ms", "send ms", 3), ("age_p50_ms", "p50 ms", 2),
           ("age_p99_ms", "p99 ms", 2), ("age_max_ms", "max ms", 1),
           ("read_kib", "read KiB", 0), ("copied_kib", "copy KiB", 0),
           ("faults", "faults", 1), ("large_allocs", "allocs", 2),
           ("wakeups_per_s", "wakes/s", 0), ("receiver_cpu_percent", "cpu %", 2))


def arm_table(groups):
    head = ["source", "size", "scene", "arm", "rounds"]
    head += [title for _, title, _ in COLUMNS] + ["CPU x ours"]
    lines = [head]

    def order(key):
        return (key[0], key[1], SCENES.index(key[2]), ARMS.index(key[3]))

    for key in sorted(groups, key=order):
        figures = medians(groups[key])
        ours = key[:3] + ("helix",)
        ratio = paired(groups, key, ours, "receiver_cpu_ms")
        lines.append([*key, str(len(groups[key]))]
                     + [show(figures[name], digits)
                        for name, _, digits in COLUMNS]
                     + [show(ratio, 1)])
    return lines


def aligned(lines):
    widths = [max(len(line[i]) for line in lines)
              for i in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) if i < 4 else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(line, widths)))
            .rstrip() for line in lines]


def target_lines(targets):
    lines = []
    for row in targets.rows:
        sign = "at least" if row["least"] else "at most"
        lines.append(f"{row['state']:<13} {show(row['value']):>9} "
                     f"{row['unit']:<11} {sign} {row['limit']:g}  "
                     f"{row['what']}")
    return lines


def guest_lines(rows):
    """Capture to the application in the real guest, by GPU and scene."""
    guest = of_kind(rows, "guest")
    lines = []
    for source, scene in sorted({(r["source"], r["scene"]) for r in guest}):
        found = of_kind(guest, "guest", source=source, scene=scene)
        line = f"  {source:<9} {scene:<7}"
        for name in ("p50", "p99"):
            value = median([row.get(f"latency_{name}_ms") for row in found])
            line += f" {name} {show(value)}"
        fps = median([row.get("fps") for row in found])
        lines.append(f"{line}, {show(fps, 1)} fps")
    if lines:
        lines[:0] = ["", "Capture to the application in the real guest, "
                     "likewise, 1080p30 (ms):"]
    return lines


def socket_lines(rows):
    """A unit's way beside the bare socket's."""
    lines = []
    for kind in ("unix", "tcp"):
        for name, title in (("units", "pad to pad:"),
                            ("socket", "the bare socket:")):
            found = [row for row in of_kind(rows, name)
                     if row["address"].startswith(kind)]
            if found:
                lines.append(f"20 kB over {kind:<4}, {title:<16}" + "".join(
                    f" {p} {show(ms_of(found, f'{p}_ns'), 3)}"
                    for p in ("p50", "p99", "max")) + " ms")
    return [""] + lines if lines else []


def text_report(machine, groups, hold, targets, rows, failures):
    parts = [f"{key}: {value}" for key, value in machine.items()]
    parts += ["", "Medians over the rounds; recv and send are CPU time a frame "
              "of the whole", "receiving and sending process; CPU x ours is "
              "the median of paired ratios.", ""]
    if groups:
        parts += aligned(arm_table(groups))
    if hold:
        parts += ["", "Display thread (QEMU: main loop) held by a flush with "
                  "readback, by the shim:"]
        parts += aligned(
            [["source", "size", "scene", "", "readbacks", "p50 ms", "p99 ms",
              "max ms"]]
            + [[h["source"], h["size"], h["scene"], "", str(h["readbacks"]),
                show(h["p50_ms"], 3), show(h["p99_ms"], 3),
                show(h["max_ms"], 3)] for h in hold])
    encoded = of_kind(rows, "encoded") + of_kind(rows, "keyframe")
    if encoded:
        parts += ["", "Capture to helixsrc's pad, x264enc ultrafast "
                  "zerolatency, 1080p60 (ms):"]
        labels = sorted({(r["kind"], r["scene"], r["address"])
                         for r in encoded})
        for kind, scene, address in labels:
            found = of_kind(encoded, kind, scene=scene, address=address)
            name = "key_wait" if kind == "keyframe" else "age"
            parts.append(f"  {kind:<9} {scene:<7} {address:<5}" + "".join(
                f" {p} {show(ms_of(found, f'{name}_{p}_ns'))}"
                for p in ("p50", "p95", "p99", "max")))
    parts += guest_lines(rows) + socket_lines(rows)
    parts += ["", "Targets:"] + target_lines(targets)
    if failures:
        parts += ["", "Not measured, because it failed:"] + failures
    return "\n".join(parts)


# ---- the plot ----

def plot(folder, groups):
    """Bars: the receiver's CPU time a frame, per scene and arm, at 1080p."""
    def value_of(scene, arm):
        return median([
            medians(groups[key])["receiver_cpu_ms"] for key in groups
            if key[1:] == ("1920x1080", scene, arm)])

    arms = [arm for arm in ARMS
            if any(value_of(scene, arm) for scene in SCENES)]
    scenes = [scene for scene in SCENES if scene != "static" and any(
        key[1] == "1920x1080" and key[2] == scene for key in groups)]
    if not arms or not scenes:
        return
    data = os.path.join(folder, "bench.dat")
    with open(data, "w", encoding="utf-8") as file:
        print("scene", *arms, file=file)
        for scene in scenes:
            values = [value_of(scene, arm) for arm in arms]
            print(scene, *("NaN" if value is None else f"{value:.4f}"
                           for value in values), file=file)
    commands = f"""
set terminal pngcairo size 1000,600 font "sans,11"
set output "{os.path.join(folder, 'bench.png')}"
set title "Receiving side: CPU time per frame to NV12, 1920x1080"
set ylabel "ms per frame (log scale)"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set logscale y
set grid ytics
set key outside right top
plot for [i=2:{len(arms) + 1}] "{data}" using i:xtic(1) title columnheader(i)
"""
    try:
        subprocess.run(["gnuplot"], input=commands, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no plot: {error}", file=sys.stderr)


def main():
    folder = sys.argv[1]
    machine = dict(line.split(" ", 1) for line in
                   read_lines(os.path.join(folder, "machine.txt")))
    rows = [json.loads(line) for line in
            read_lines(os.path.join(folder, "raw.jsonl"))]
    failures = read_lines(os.path.join(folder, "failed.txt"))
    groups = group(rows)
    hold = hold_lines(holds(rows))
    targets = Targets()
    add_cost_targets(targets, groups)
    add_stream_targets(targets, rows)
    add_guest_targets(targets, folder, rows)
    text = text_report(machine, groups, hold, targets, rows, failures)
    print(text)
    with open(os.path.join(folder, "table.txt"), "w",
              encoding="utf-8") as file:
        print(text, file=file)
    summary = {
        "machine": machine,
        "arms": [dict(zip(("source", "size", "scene", "arm"), key),
                      rounds=len(rounds), **medians(rounds))
                 for key, rounds in sorted(groups.items())],
        "holds": hold, "targets": targets.rows, "failures": failures}
    with open(os.path.join(folder, "bench.json"), "w",
              encoding="utf-8") as file:
        json.dump(summary, file, indent=1)
        print(file=file)
    plot(folder, groups)


if __name__ == "__main__":
    main()
