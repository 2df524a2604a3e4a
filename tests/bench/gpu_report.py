# SPDX-License-Identifier: LGPL-2.1-or-later
"""The report of script/bench --gpu: raw.jsonl in, a table out.

    gpu_report.py FOLDER JSON

Reads machine.txt, raw.jsonl and failed.txt in the folder; prints the table and
writes table.txt there, and everything that is in it to the file JSON.
"""

import json
import os
import sys

from report import (aligned, bucket_percentile, median, parse_buckets,
                    read_lines, show)

LABELS = ("size", "scene", "readback")


def flushes_a_second(row):
    """The guest's, as the shim counts them for a client."""
    begin, end = row["shim_begin"], row["shim_end"]
    return ((end["flushes"] - begin["flushes"]) * 1e9
            / (end["time_ns"] - begin["time_ns"]))


def held(row):
    """Buckets of how long the main loop was held meanwhile."""
    before = parse_buckets(row["shim_begin"]["hold_buckets"])
    after = parse_buckets(row["shim_end"]["hold_buckets"])
    return {upper: count - before.get(upper, 0)
            for upper, count in after.items()}


def ms(value):
    return None if value is None else value / 1e6


def figures_of(phases):
    """Of one round: {phase: row} in, what the table shows out."""
    found = {}
    paced, checked = phases.get("paced"), phases.get("checked")
    if paced:
        buckets = held(paced)
        found["fps"] = flushes_a_second(paced)
        for percent in (50, 99, 100):
            found[f"hold_p{percent}_ms"] = bucket_percentile(buckets, percent)
        found["age_p50_ms"] = ms(paced.get("age_p50_ns"))
        found["age_p99_ms"] = ms(paced.get("age_p99_ns"))
        found["unnumbered"] = paced["unnumbered"] + paced["backwards"]
    if checked:
        found["compared"] = checked["frames"]
        found["wrong"] = checked["wrong"]
    for phase in ("alone", "watched", "stopped"):
        if phase in phases:
            found[phase + "_fps"] = (
                phases[phase]["pictures"] * 1e9 / phases[phase]["ns"])
    for phase in ("watched", "stopped"):
        if found.get("alone_fps") and phase + "_fps" in found:
            found[phase + "_ratio"] = (
                found[phase + "_fps"] / found["alone_fps"])
    return found


def summarize(rows):
    """A line for each size, scene and way to read back."""
    rounds = {}
    for row in rows:
        key = tuple(row[label] for label in LABELS)
        rounds.setdefault(key, {}).setdefault(row["round"], {})[
            row["phase"]] = row
    lines = []
    for key, phases in rounds.items():
        figures = [figures_of(phases[number]) for number in sorted(phases)]
        line = dict(zip(LABELS, key), rounds=len(figures))
        for name in sorted(set().union(*figures)):
            values = [one.get(name) for one in figures]
            # One wrong picture is one too many: these are no medians.
            line[name] = (sum(value or 0 for value in values)
                          if name in ("unnumbered", "compared", "wrong")
                          else median(values))
        lines.append(line)
    return lines


COLUMNS = (("fps", "fps", 1), ("hold_p50_ms", "hold p50", 3),
           ("hold_p99_ms", "p99", 3), ("hold_p100_ms", "max", 3),
           ("age_p50_ms", "age p50", 2), ("age_p99_ms", "p99", 2),
           ("alone_fps", "alone", 1), ("watched_ratio", "watched", 3),
           ("stopped_ratio", "stopped", 3), ("compared", "compared", 0),
           ("wrong", "wrong", 0), ("unnumbered", "torn", 0))


def table(lines):
    head = ["size", "scene", "readback", "rounds"]
    return aligned([head + [title for _, title, _ in COLUMNS]] + [
        [line["size"], line["scene"], line["readback"], str(line["rounds"])]
        + [show(line.get(name), digits) for name, _, digits in COLUMNS]
        for line in lines])


def main():
    folder, target = sys.argv[1:]
    machine = dict(line.split(" ", 1) for line in
                   read_lines(os.path.join(folder, "machine.txt")))
    lines = summarize([json.loads(line) for line in
                       read_lines(os.path.join(folder, "raw.jsonl"))])
    failures = read_lines(os.path.join(folder, "failed.txt"))
    text = [f"{key}: {value}" for key, value in machine.items()]
    text += ["", "Medians over the rounds. fps, hold (ms that QEMU's main loop "
             "is held by a flush", "with readback) and age (ms from capture to "
             "helixqemusrc's pad, NV12): 60 pictures", "a second asked. alone: "
             "pictures a second as fast as the host takes them, without",
             "a client; watched, stopped: the same with a 60 fps client, with "
             "a stopped one, by", "alone. compared, wrong: whole pictures; "
             "torn: without their number, or older than", "the one before.", ""]
    text += table(lines)
    if failures:
        text += ["", "Not measured, because it failed:"] + failures
    print("\n".join(text))
    with open(os.path.join(folder, "table.txt"), "w",
              encoding="utf-8") as file:
        print("\n".join(text), file=file)
    with open(target, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "lines": lines, "failures": failures},
                  file, indent=1)
        print(file=file)
    if failures or not lines or any(line.get("wrong") for line in lines):
        sys.exit(1)


main()
